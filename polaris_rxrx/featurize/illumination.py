"""Uneven illumination, estimated from many fields of a plate and divided out.

As CellProfiler's CorrectIlluminationCalculate and -Apply do it (`Regular`, all images of a plate, `Divide`):
a channel's fields are averaged pixel by pixel, the average is smoothed, divided by its least value, and each
field is divided by that. No pixel becomes brighter, so what was within 0 and 1 stays so.

Conventions
    Fields are (channels, height, width). The wells that stand for a plate are the first `MOST` in the order
    of the SHA-256 of their ids: each part of a plate finds the same ones, whatever else it has, and they are
    spread over the plate. Of a plate's wells those count that were asked for: a choice of wells (`--wells`)
    may give another illumination than the whole plate.
    What is averaged is cells and background alike, so it takes fields in which cells may lie anywhere, and
    enough of them; of a few, the cells themselves would be divided out.
    Numbers are summed in the order of the wells' ids, so that the same fields give the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from polaris_rxrx.errors import DataError
from polaris_rxrx.images.sites import Fault, ImageSet
from polaris_rxrx.types import Floats, Matrix

MOST = 64  # fields of six channels of 512 x 512 bytes: 100 MB, while a median is taken
METHODS = ("mean", "median")
WIDTH = 1 / 8  # sigma of the smoothing, as a share of the shorter side


def standing_for(images: ImageSet, plate: str) -> list[str]:
    """The wells that a plate's illumination is estimated from, in order of their ids."""
    own = [well for well in images.wells if images.plate(well) == plate]
    return sorted(sorted(own, key=lambda w: hashlib.sha256(w.encode()).hexdigest())[:MOST])


def estimate(fields: Iterable[Matrix], method: str) -> Floats:
    """How bright each pixel is, (channels, height, width), 1 where it is darkest.

    Args:
        fields: Fields as read, of one shape.
        method: `mean` or `median`, over the fields.

    Raises:
        DataError: There is no field, or fields are of several shapes.
    """
    from scipy.ndimage import gaussian_filter

    total: Matrix | None = None
    held, n = list[Matrix](), 0
    for field in fields:
        before = total if total is not None else held[0] if held else field
        if before.shape != field.shape:
            raise DataError(
                f"illumination: fields of {_size(before)} and of {_size(field)} pixels on one plate; one "
                "size was expected"
            )
        if method == "median":
            held.append(field)
        else:
            total = field.astype(np.float64) if total is None else total + field
        n += 1
    if not n:
        raise DataError("illumination: none of the fields that it is estimated from can be read")
    middle = np.median(np.stack(held), axis=0) if total is None else total / n
    sigma = WIDTH * min(middle.shape[1:])
    smooth = np.stack([gaussian_filter(plane, sigma, mode="nearest") for plane in middle])
    least = smooth.min(axis=(1, 2), keepdims=True)
    return np.asarray(np.where(least > 0, smooth / np.where(least > 0, least, 1), 1.0))


def of_plate(images: ImageSet, plate: str, method: str) -> tuple[Floats, tuple[Fault, ...]]:
    """A plate's illumination, and what was wrong with the fields that were looked at.

    The first good site of each well is.
    """
    faults = list[Fault]()

    def fields() -> Iterable[Matrix]:
        for found in images.read(standing_for(images, plate)):
            faults.extend(found.faults)
            if found.sites:
                yield found.sites[0].pixels

    try:
        return estimate(fields(), method), tuple(faults)
    except DataError as error:
        raise DataError(f"plate {plate}: {error}") from None


def beside(images: ImageSet, wells: Sequence[str]) -> list[str]:
    """Wells that have to be read for the illumination of the plates of these wells."""
    return [w for plate in dict.fromkeys(map(images.plate, wells)) for w in standing_for(images, plate)]


def _size(field: Matrix) -> str:
    return " x ".join(map(str, field.shape[1:]))
