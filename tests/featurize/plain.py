"""cp_measure called plainly, measurement by measurement and channel by channel: what `measure` is held to.

Also fields to measure: `field` draws cells of a count and cover, `awkward` has one object of every odd kind.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from time import process_time
from typing import Any

import numpy as np
from cp_measure._sanitize import sanitize, sanitize_masks
from cp_measure.bulk import get_core_measurements, get_correlation_measurements
from cp_measure.core.measurecolocalization import get_correlation_overlap
from cp_measure.core.measuretexture import get_texture
from scipy import ndimage

from polaris_rxrx.types import Floats, Matrix

OUTLINES = ("sizeshape", "zernike", "feret")
OF_A_CHANNEL = ("intensity", "radial_distribution", "radial_zernikes", "texture", "granularity")


def plain(
    pixels: Floats,
    labels: Mapping[str, Matrix],
    channels: Sequence[str],
    scales: Sequence[int] = (3,),
    *,
    costes: bool = False,
    seconds: Counter[str] | None = None,
) -> dict[str, Floats]:
    """Column -> values, rows as `measure` has them; `seconds` is told the CPU time of each measurement."""
    numbers = np.unique(np.concatenate([image.ravel() for image in labels.values()]))
    numbers = numbers[numbers > 0]
    table = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for compartment, image in labels.items():
            rows = np.searchsorted(numbers, sanitize_masks(image)[1])
            for name, values in _columns(pixels, image, channels, scales, costes, seconds or Counter()):
                column = np.full(len(numbers), np.nan)
                column[rows] = np.where(np.isinf(values), np.nan, values)  # 1 / 0 is no number of ours
                table[f"{compartment}_{name}"] = column
    return table


def _columns(
    pixels: Floats,
    image: Matrix,
    channels: Sequence[str],
    scales: Sequence[int],
    costes: bool,
    seconds: Counter[str],
) -> Iterator[tuple[str, Matrix]]:
    core, pairs = get_core_measurements(legacy=True), get_correlation_measurements()
    pairs["overlap"] = _overlap
    if not costes:
        del pairs["costes"]

    def timed(measurement: str, function: Any, *given: Any, **options: Any) -> dict[str, Matrix]:
        start = process_time()
        found: dict[str, Matrix] = function(*given, **options)
        seconds[measurement] += process_time() - start
        return found

    for measurement in OUTLINES:
        for name, values in timed(measurement, core[measurement], image, None).items():
            yield f"AreaShape_{name}", values
    for channel, of_channel in zip(channels, pixels, strict=True):
        for measurement in OF_A_CHANNEL:
            if measurement == "texture":
                for scale in scales:
                    found = timed(measurement, sanitize(get_texture), image, of_channel, scale)
                    for name, values in found.items():
                        feature, rest = name.split("_", 1)
                        yield f"Texture_{feature}_{channel}_{rest}", values
            else:
                for name, values in timed(measurement, core[measurement], image, of_channel).items():
                    yield _with_channel(measurement, name, channel), values
    for first, second in combinations(range(len(channels)), 2):
        for measurement, function in pairs.items():
            options = {"scale_max": 255} if measurement == "costes" else {}
            found = timed(measurement, function, pixels[first], pixels[second], image, **options)
            for name, values in found.items():
                a, b = channels[first], channels[second]
                stem = name.replace("Pearson", "Correlation")
                if stem.endswith("_2"):
                    a, b = b, a
                yield f"{stem.removesuffix('_1').removesuffix('_2')}_{a}_{b}", np.asarray(values)


def _overlap(first: Floats, second: Floats, image: Matrix) -> dict[str, Matrix]:
    """Overlap and K, which divide by zero in an object without light: undefined, NaN here."""
    numbers = np.unique(image[image > 0])
    lit = [number for number in numbers if first[image == number].any() and second[image == number].any()]
    found = sanitize(get_correlation_overlap)(first, second, np.where(np.isin(image, lit), image, 0))
    table = {}
    for name, values in found.items():
        table[name] = np.full(len(numbers), np.nan)
        table[name][np.isin(numbers, lit)] = values
    return table


def _with_channel(measurement: str, name: str, channel: str) -> str:
    if measurement == "radial_distribution":
        stem, ring = name.rsplit("_", 1)
        return f"{stem}_{channel}_{ring}"
    if measurement == "radial_zernikes":
        category, feature, n, m = name.split("_")
        return f"{category}_{feature}_{channel}_{n}_{m}"
    return f"{name}_{channel}"


def difference(column: str, ours: Mapping[str, Floats], theirs: Mapping[str, Floats]) -> float:
    """The largest difference of a column relative to its scale: its largest absolute value, pi for an angle.

    Infinite where only one of the two is undefined. A moment of length 0 has no angle, and none is compared.
    Granularity is in percent: where a step takes nothing from any object, rounding of 100 is what is there.
    """
    mine, other = ours[column], theirs[column]
    if not np.array_equal(np.isnan(mine), np.isnan(other)):
        return float("inf")
    apart = np.abs(mine - other)
    scale = np.nanmax(np.abs(other), initial=0)
    if "ZernikePhase" in column:
        length = theirs[column.replace("Phase", "Magnitude")]
        apart = np.where(length > 1e-12, np.minimum(apart, 2 * np.pi - apart), 0)
        scale = np.pi
    if "_Granularity_" in column:
        scale = max(scale, 1.0)
    most = float(np.nanmax(apart, initial=0))
    return most / float(scale) if scale > 0 else most


def differences(ours: Mapping[str, Floats], theirs: Mapping[str, Floats]) -> dict[str, float]:
    """`difference` of every column of theirs, the largest first."""
    found = {column: difference(column, ours, theirs) for column in theirs}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def field(
    count: int, cover: float, size: int = 512, channels: int = 6, seed: int = 0
) -> tuple[Floats, dict[str, Matrix]]:
    """A field of `count` (a square number) cells that cover a part of it, 8 bits a channel, as floats."""
    draw = np.random.default_rng(seed)
    side = int(np.sqrt(count))
    step = size / side
    grid = (np.stack(np.meshgrid(*[np.arange(side)] * 2, indexing="ij"), -1).reshape(-1, 2) + 0.5) * step
    centers = grid + draw.uniform(-0.15, 0.15, (count, 2)) * step
    rows, columns = np.mgrid[:size, :size]
    distance, nearest = np.full((size, size), np.inf), np.zeros((size, size), np.int32)
    for number, (y, x) in enumerate(centers, 1):
        long, short, turn = *draw.uniform(0.85, 1.15, 2), draw.uniform(0, np.pi)
        box = tuple(slice(max(0, int(at - 1.6 * step)), int(at + 1.6 * step)) for at in (y, x))
        dy, dx = rows[box] - y, columns[box] - x
        along, across = dy * np.cos(turn) + dx * np.sin(turn), dx * np.cos(turn) - dy * np.sin(turn)
        reach = np.hypot(along / long, across / short)
        closer = reach < distance[box]
        distance[box][closer], nearest[box][closer] = reach[closer], number
    cells = np.where(distance <= np.quantile(distance, cover), nearest, 0).astype(np.int32)
    nuclei = np.where(distance <= np.quantile(distance, 0.4 * cover), nearest, 0).astype(np.int32)
    pixels = np.empty((channels, size, size))
    for channel in range(channels):
        fine, coarse = (ndimage.gaussian_filter(draw.normal(size=(size, size)), s) for s in (1.5, 6))
        glow = 0.25 * np.exp(-((distance / step / (0.2 + 0.08 * channel)) ** 2))
        grain = 0.04 * (6 * fine + 12 * coarse) * (cells > 0)
        noise = draw.normal(size=(size, size)) * 0.01
        pixels[channel] = np.clip(0.08 + glow + grain + noise, 0, 1)
    cytoplasm = np.where(nuclei > 0, 0, cells).astype(np.int32)
    return np.round(pixels * 255) / 255, {"Nuclei": nuclei, "Cells": cells, "Cytoplasm": cytoplasm}


ODD = {
    1: "touches the corner",
    2: "touches its neighbor",
    3: "is touched",
    5: "is one pixel",
    6: "is in two pieces",
    8: "is constant",
    9: "is dark",
    11: "is a row of pixels, on the border",
    14: "is all nucleus, without a cytoplasm",
    17: "has a hole",
    19: "has no nucleus",
}


def awkward(seed: int = 5) -> tuple[Floats, dict[str, Matrix]]:
    """Three channels of 60 x 70, with one object of every odd kind (`ODD`) and gaps in the numbers."""
    draw = np.random.default_rng(seed)
    cells = np.zeros((60, 70), np.int32)
    cells[:12, :14] = 1
    cells[16:28, 4:16], cells[16:28, 16:30] = 2, 3
    cells[5, 30] = 5
    cells[32:38, 4:10], cells[40:47, 14:22] = 6, 6
    cells[32:46, 28:40] = 8
    cells[32:46, 46:60] = 9
    cells[59, 20:45] = 11
    cells[4:13, 40:50] = 14
    cells[16:29, 36:50] = 17
    cells[20:24, 41:45] = 0
    cells[2:14, 56:68] = 19
    nuclei = np.where(ndimage.grey_erosion(cells, size=(5, 5)) == cells, cells, 0).astype(np.int32)
    nuclei[np.isin(cells, (5, 11, 14))] = cells[np.isin(cells, (5, 11, 14))]
    nuclei[nuclei == 19] = 0
    pixels = np.round(draw.uniform(0.1, 0.9, (3, *cells.shape)) * 255) / 255
    pixels[:, cells == 8] = 100 / 255
    pixels[:, cells == 9] = 0
    pixels[1:, 41, 16] = 0  # dark pixels within an object that is not
    cytoplasm = np.where(nuclei > 0, 0, cells).astype(np.int32)
    return pixels, {"Nuclei": nuclei, "Cells": cells, "Cytoplasm": cytoplasm}
