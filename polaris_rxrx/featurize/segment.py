"""Fields of cells to nuclei, cells and cytoplasm: which pixel is whose.

What CellProfiler's modules do (IdentifyPrimaryObjects, IdentifySecondaryObjects, IdentifyTertiaryObjects of
CellProfiler 4; Stirling et al. 2021, doi 10.1186/s12859-021-04344-9), by scipy, scikit-image and centrosome:
    nuclei     The nuclear channel is smoothed (`smoothing`), what reaches the threshold is foreground, holes
               are filled, and pieces that touch are split at a watershed that starts from local maxima, of
               the distance to the background (`split="shape"`) or the smoothed image (`split="intensity"`).
               Nuclei outside the range of diameters, and those at the border, are left out.
    cells      Each nucleus spreads over the foreground of another channel, or of the mean of all others
               (centrosome's propagate: Jones et al. 2005, doi 10.1007/11569541_54). Nuclei at the border
               spread, too, and what they take belongs to none.
    cytoplasm  A cell without the inside of its nucleus: as CellProfiler has it, a nucleus' outline counts to
               both, so that a cell that is all nucleus keeps a cytoplasm. `outline=False` takes it away.

Conventions
    Pixels are floats, 0 to 1. Labels are int32, (height, width): 0 is background, and i the same cell in all
    three; nuclei and cells have every number from 1 to `count`, a cytoplasm may lack pixels (see `outline`).
    Cells are numbered as CellProfiler numbers them: by the first pixel, row by row, of the maximum that a
    nucleus was split from.
    Diameters are those of circles of an object's area. `smoothing` is in pixels whatever the unit: noise is.

Where it deviates from CellProfiler
    1. A nuclear channel in which no two brightnesses stand apart (`contrast`) has no nuclei. CellProfiler
       divides an empty field's noise into objects.
    2. Maxima are sought at full resolution; CellProfiler goes to a lower one where the least diameter is
       above 10 pixels.
    3. `split="shape"` smooths the distance by an eighth of the least diameter, and adds no random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.errors import UsageError, short
from polaris_rxrx.types import Floats

LabelImage = NDArray[np.int32]
COMPARTMENTS = ("Nuclei", "Cells", "Cytoplasm")
METHODS = ("otsu", "cross-entropy", "otsu-3")
SPLITS = ("shape", "intensity", "none")
_ALL_AROUND = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Segmentation:
    """What the segmentation is told.

    Attributes:
        nuclei: The channel that shows nuclei.
        cells: The channel in which cells end; empty: the mean of all channels but the nuclei's.
        diameter: Least and greatest diameter of a nucleus, in `unit`.
        unit: `um`, which needs the images' pixel size, or `px`.
        smoothing: Sigma of the Gaussian that the nuclear channel is smoothed by, pixels; 0 for none.
        threshold: Where nuclei begin: `otsu`, `cross-entropy` (Li and Lee's minimum, CellProfiler's default),
            `otsu-3` (the lower of the two thresholds of three classes), or a number from 0 to 1.
        split: What parts touching nuclei: `shape`, `intensity` or `none`.
        contrast: How far the brighter part's mean must lie above the darker part's, in standard deviations of
            the darker part, where the channel, smoothed to a quarter of the least diameter, is parted by
            Otsu's threshold. Noise comes to 2.7, an even slope to 3.5, nuclei to 8 and more.
        border: Whether nuclei at the border are kept; parts of them are then measured as if they were whole.
        cell_threshold: Where cells begin, as `threshold`.
        regularization: Whether cells meet half-way (large) or where the image's edges are (0).
        outline: Whether a nucleus' outline counts to the cytoplasm, too.

    >>> Segmentation(nuclei="DNA", diameter=(8, 80), unit="px").threshold
    'otsu'
    """

    nuclei: str = "Hoechst"
    cells: str = ""
    diameter: tuple[float, float] = (6.0, 40.0)
    unit: Literal["um", "px"] = "um"
    smoothing: float = 1.0
    threshold: str | float = "otsu"
    split: Literal["shape", "intensity", "none"] = "shape"
    contrast: float = 4.5
    border: bool = False
    cell_threshold: str | float = "otsu-3"
    regularization: float = 0.05
    outline: bool = True

    def __post_init__(self) -> None:
        low, high = self.diameter
        if not 0 < low < high < float("inf"):
            raise UsageError(
                f"diameters of nuclei from {low} to {high}: expected two numbers above 0, the lesser first"
            )
        if self.unit not in ("um", "px"):
            raise UsageError(f"unit of diameters {short(self.unit)}: expected um or px")
        if self.split not in SPLITS:
            raise UsageError(f"split {short(self.split)}: expected one of {', '.join(SPLITS)}")
        for what, value in (("threshold", self.threshold), ("cell_threshold", self.cell_threshold)):
            if isinstance(value, str):
                known = value in METHODS
            else:
                known = 0 <= value <= 1
            if not known:
                raise UsageError(
                    f"{what} {short(value)}: expected one of {', '.join(METHODS)}, or a number from 0 to 1"
                )
        for what in ("smoothing", "contrast", "regularization"):
            if not 0 <= getattr(self, what) < float("inf"):
                raise UsageError(f"{what} {getattr(self, what)}: expected a number from 0 on")

    def in_pixels(self, pixel_size: float | None) -> tuple[float, float]:
        """The least and the greatest diameter in pixels, of images of `pixel_size` micrometers.

        Raises:
            UsageError: The diameters are in micrometers, and no pixel size is known.

        >>> Segmentation(diameter=(6.0, 40.0)).in_pixels(pixel_size=2.0)
        (3.0, 20.0)
        """
        low, high = self.diameter
        if self.unit == "px":
            return low, high
        if pixel_size is None:
            raise UsageError(
                f"nuclei of {low:g} to {high:g} um, but the size of a pixel is not known: state it "
                "(--pixel-size), or the diameters in pixels (--diameter 8,80px)"
            )
        return low / pixel_size, high / pixel_size

    def check(self, channels: Sequence[str]) -> None:
        """Whether the channels it names are there, and the libraries that find cells.

        Raises:
            UsageError: One is not, or no channel but the nuclei's is there to end cells in.
        """
        if any(find_spec(name) is None for name in ("skimage", "centrosome")):
            raise UsageError(
                "cells are found by scikit-image and centrosome: pip install 'polaris-rxrx[images]'"
            )
        for what, name in (("nuclei", self.nuclei), ("cells", self.cells)):
            if name and name not in channels:
                raise UsageError(
                    f"channel {short(name)} of the {what}: the images' channels are {', '.join(channels)}"
                )

    def as_dict(self) -> dict[str, Any]:
        """The parameters as a protocol keeps them."""
        return {**asdict(self), "diameter": list(self.diameter)}


@dataclass(frozen=True, eq=False)
class Labels:
    """Three images of labels, (height, width) int32 each, in which a number is the same cell."""

    nuclei: LabelImage
    cells: LabelImage
    cytoplasm: LabelImage

    @property
    def count(self) -> int:
        """How many cells: their numbers go from 1 to this."""
        return int(self.nuclei.max(initial=0))

    def by_name(self) -> dict[str, LabelImage]:
        """The three by the names that columns begin with."""
        return dict(zip(COMPARTMENTS, (self.nuclei, self.cells, self.cytoplasm), strict=True))


def segment(
    pixels: Floats, channels: Sequence[str], how: Segmentation, pixel_size: float | None = None
) -> Labels:
    """Find the cells of one field.

    Args:
        pixels: (channels, height, width), floats from 0 to 1.
        channels: Their names, in this order.
        how: The parameters.
        pixel_size: Micrometers a pixel, where `how` has its diameters in micrometers.

    Raises:
        UsageError: A channel is not there, or no pixel size is known.

    >>> from polaris_rxrx.dataset.sandbox_images import CHANNELS, Phenotype, draw
    >>> field = draw(Phenotype(count=6), seed=0, size=(96, 96))
    >>> labels = segment(field.pixels / 255, CHANNELS, Segmentation(unit="px"))
    >>> labels.nuclei.shape, int(labels.nuclei.max()), int(labels.cells.max())
    ((96, 96), 6, 6)
    """
    how.check(channels)
    diameter = how.in_pixels(pixel_size)
    nuclei, bystanders = find_nuclei(pixels[list(channels).index(how.nuclei)], how, diameter)
    if how.cells:
        body = pixels[list(channels).index(how.cells)]
    else:
        others = [c for c, name in enumerate(channels) if name != how.nuclei] or [0]
        body = pixels[others].mean(axis=0)
    cells = find_cells(body, nuclei, bystanders, how)
    return Labels(nuclei, cells, cytoplasm_of(nuclei, cells, outline=how.outline))


def threshold_of(image: Floats, how: str | float) -> float:
    """Where foreground begins, by a method's name or as a number; infinite for an image of one value."""
    if not isinstance(how, str):
        return float(how)
    from skimage import filters

    values = np.unique(image)
    if len(values) < 2:
        return float("inf")
    if how == "otsu":
        return float(filters.threshold_otsu(image))
    if how == "cross-entropy":
        # Half the least step between gray levels, as CellProfiler stops.
        return float(
            filters.threshold_li(image, tolerance=max(float(np.diff(values).min()) / 2, 0.5 / 65536))
        )
    if len(values) < 3:
        return float(values[1])
    return float(filters.threshold_multiotsu(image, classes=3, nbins=128)[0])


def find_nuclei(
    image: Floats, how: Segmentation, diameter: tuple[float, float]
) -> tuple[LabelImage, LabelImage]:
    """Nuclei of one channel, (height, width), with diameters in pixels.

    Returns:
        The nuclei, and those left out because they touch the border, which have neighbors' pixels, too; their
        numbers go on after the nuclei's. With `border`, the second is empty.
    """
    from centrosome.cpmorphology import fill_labeled_holes
    from scipy import ndimage as ndi
    from skimage.segmentation import relabel_sequential

    nothing = np.zeros(image.shape, np.int32)
    smooth = _smoothed(image, how.smoothing) if how.smoothing else image
    foreground = smooth >= threshold_of(image, how.threshold)
    if not foreground.any() or not _stands_out(image, how.contrast, diameter[0]):
        return nothing, nothing.copy()
    pieces, _ = ndi.label(ndi.binary_fill_holes(foreground), _ALL_AROUND)
    split = _split(image, pieces, how.split, diameter[0])
    edges = np.unique(np.concatenate([split[0], split[-1], split[:, 0], split[:, -1]]))
    at_border = np.zeros(int(split.max()) + 1, bool)
    at_border[edges] = True
    at_border[0] = False
    areas = np.bincount(split.ravel())
    low, high = np.pi / 4 * np.square(diameter)
    kept = (areas >= low) & (areas <= high)
    kept[0] = False
    if how.border:
        at_border[:] = False
    nuclei = fill_labeled_holes(np.where((kept & ~at_border)[split], split, 0))
    nuclei = relabel_sequential(nuclei)[0].astype(np.int32)
    bystanders = np.where(at_border[split] & (nuclei == 0), split + int(nuclei.max()), 0)
    return nuclei, bystanders.astype(np.int32)


def find_cells(image: Floats, nuclei: LabelImage, bystanders: LabelImage, how: Segmentation) -> LabelImage:
    """The cell of each nucleus, in the foreground of `image`; a nucleus is part of its cell."""
    from centrosome.cpmorphology import fill_labeled_holes
    from centrosome.propagate import propagate

    if not nuclei.any():
        return np.zeros(image.shape, np.int32)
    foreground = image >= threshold_of(image, how.cell_threshold)
    seeds = np.where(nuclei > 0, nuclei, bystanders)
    cells, _ = propagate(image, seeds, foreground, how.regularization)
    cells = fill_labeled_holes(cells)
    cells[cells > nuclei.max()] = 0
    return np.asarray(cells, np.int32)


def cytoplasm_of(nuclei: LabelImage, cells: LabelImage, *, outline: bool = True) -> LabelImage:
    """Cells without their nuclei, or with the nuclei's outlines only."""
    inside = nuclei > 0
    if outline:
        from centrosome.outline import outline as outlined

        inside &= outlined(nuclei) == 0
    return np.where(inside, 0, cells).astype(np.int32)


def _smoothed(image: Floats, sigma: float, far: int | None = None) -> Floats:
    """By a Gaussian of which, at the border, the part inside the image counts; cut off at `far` pixels."""
    from scipy import ndimage as ndi

    def blur(values: Floats) -> Floats:
        return np.asarray(ndi.gaussian_filter(values, sigma, mode="constant", radius=far))

    return blur(image) / blur(np.ones_like(image))


def _stands_out(image: Floats, contrast: float, least: float) -> bool:
    """Whether something of a nucleus' size is there beside the background, and not noise in two halves."""
    broad = _smoothed(image, least / 4)
    bright = broad > threshold_of(broad, "otsu")
    if not bright.any():
        return False
    above, below = broad[bright], broad[~bright]
    return bool(above.mean() - below.mean() > contrast * below.std())


def _split(
    image: Floats, pieces: NDArray[Any], split: Literal["shape", "intensity", "none"], least: float
) -> NDArray[Any]:
    """Pieces that touch, parted: a watershed from their maxima, labels (height, width)."""
    from centrosome.cpmorphology import is_local_maximum, strel_disk
    from scipy import ndimage as ndi
    from skimage.segmentation import watershed

    if split == "none" or not pieces.any():
        return pieces
    if split == "shape":
        height = _smoothed(ndi.distance_transform_edt(pieces > 0), least / 8)
        valley = -height
    else:
        # CellProfiler's width for objects of this size, and where it cuts its Gaussian off.
        sigma = least / 3.5
        height = _smoothed(image, sigma, max(int(2.35 * sigma / 2), 1))
        valley = -image
    tops = is_local_maximum(height, pieces, strel_disk(max(1.0, least / 1.5 - 0.5)))
    tops &= height > 0
    markers, _ = ndi.label(tops, _ALL_AROUND)
    return np.asarray(watershed(valley, markers, connectivity=_ALL_AROUND, mask=pieces > 0))
