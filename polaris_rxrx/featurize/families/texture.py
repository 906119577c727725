"""Texture: Haralick's thirteen features of pairs of pixels some steps apart, in four directions.

Conventions
    As mahotas' `haralick(ignore_zeros=True)` within cp_measure's `get_texture`: a channel is quantized once
    over the fixed range 0 to 1, pairs with a level of 0 are left out, a pair counts both ways round, and an
    object that has no pair in one of the directions has no texture at that scale: NaN throughout.
    Directions 00 to 03 step (y, x) by (0, 1), (1, 1), (1, 0), (1, -1) times the scale.
    All features come from whole counts: of pairs of levels, of single levels, of sums and of differences.
    So variances and the correlation are rounded once, where mahotas subtracts rounded numbers: for an
    object of almost one level the last digits differ, ours being right. InfoMeas2 is 0 where levels are
    independent of each other; mahotas has the root of a rounding error there, below 1e-7.
    Nothing here is compiled by numba: that takes 1.06 s of a full site of 256 objects in place of 1.77 s, and
    intensities no less; an eighth of a site was not worth the dependency.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from polaris_rxrx.featurize.families.objects import Columns, Objects, Values
from polaris_rxrx.types import Floats, Ints, Matrix

FEATURES = (
    "AngularSecondMoment",
    "Contrast",
    "Correlation",
    "Variance",
    "InverseDifferenceMoment",
    "SumAverage",
    "SumVariance",
    "SumEntropy",
    "Entropy",
    "DifferenceVariance",
    "DifferenceEntropy",
    "InfoMeas1",
    "InfoMeas2",
)
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))
_TABLE = 2**18  # counts of pairs of levels that are held at once: 2 MB stay within the caches
_INDEPENDENT = 1e-12


def quantized(image: Floats, gray_levels: int) -> Matrix:
    """Levels (H, W) of an image of 0 to 1, as cp_measure has them: first 256, then fewer if so asked."""
    from skimage.exposure import rescale_intensity
    from skimage.util import img_as_ubyte

    levels = img_as_ubyte(image)
    if gray_levels != 256:
        fewer = rescale_intensity(levels, in_range=(0, 255), out_range=(0, gray_levels - 1))
        levels = fewer.astype(np.uint8)
    return np.asarray(levels)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs of pixels of one object: places among the objects' pixels, sorted by object."""

    first: Ints
    second: Ints
    of: Ints


def _pairs(objects: Objects, scale: int) -> Iterator[_Pairs]:
    """The pairs of each direction."""
    height, width = objects.shape
    place = np.empty(height * width, dtype=np.int64)
    place[objects.order] = np.arange(len(objects.order))
    labels = objects.labels.ravel()
    y, x = objects.order // width, objects.order % width
    for dy, dx in DIRECTIONS:
        to_y, to_x = y + dy * scale, x + dx * scale
        first = np.flatnonzero((to_y < height) & (to_x < width) & (to_x >= 0))
        target = objects.order[first] + (dy * width + dx) * scale
        same = labels[target] == objects.of[first] + 1
        first, target = first[same], target[same]
        yield _Pairs(first, place[target], objects.of[first])


@dataclass(frozen=True, eq=False)
class _Levels:
    """One channel's levels (pixels,), sorted as the objects are, and each object's range of those above 0."""

    level: Ints
    least: Ints
    most: Ints
    dark: bool

    @classmethod
    def of(cls, objects: Objects, image: Matrix) -> _Levels:
        level = image.ravel()[objects.order].astype(np.int64)
        lit = np.where(level > 0, level, 256)
        most = np.maximum.reduceat(level, objects.starts)
        return cls(
            level, np.minimum(np.minimum.reduceat(lit, objects.starts), most), most, bool((level == 0).any())
        )


def texture(
    objects: Objects,
    channels: Sequence[Values],
    images: Sequence[Matrix],
    scales: Sequence[int],
    gray_levels: int,
) -> list[Columns]:
    """Texture of every channel; `images` are the channels as `quantized` gives them."""
    levels = [_Levels.of(objects, image) for image in images]
    columns: list[Columns] = [{} for _ in channels]
    for scale in scales:
        found = np.empty((len(channels), len(DIRECTIONS), len(FEATURES), len(objects)))
        for direction, pairs in enumerate(_pairs(objects, scale)):
            for channel, of_channel in enumerate(levels):
                found[channel, direction] = _features(objects, of_channel, pairs)
        # What lacks pairs in one direction has no texture in any.
        found[np.broadcast_to(np.isnan(found).any(axis=(1, 2), keepdims=True), found.shape)] = np.nan
        for channel in range(len(channels)):
            for direction in range(len(DIRECTIONS)):
                tail = f"{{channel}}_{scale}_{direction:02d}_{gray_levels}"
                for name, values in zip(FEATURES, found[channel, direction], strict=True):
                    columns[channel][f"Texture_{name}_{tail}"] = values
    return columns


def _features(objects: Objects, levels: _Levels, pairs: _Pairs) -> Floats:
    """The thirteen features of every object in one direction, (13, objects); NaN without pairs."""
    a, b, of = levels.level[pairs.first], levels.level[pairs.second], pairs.of
    if levels.dark:
        lit = (a > 0) & (b > 0)
        a, b, of = a[lit], b[lit], of[lit]
    n = len(objects)
    number = np.bincount(of, minlength=n)
    both, squares = _joint(levels, a, b, of, number)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _from_counts(
            number=number.astype(np.float64),
            single=_histogram(of, a, n, 256) + _histogram(of, b, n, 256),
            sums=_histogram(of, a + b, n, 512),
            apart=_histogram(of, np.abs(a - b), n, 256),
            product=np.bincount(of, a * b, minlength=n).astype(np.float64),
            both=both,
            squares=squares,
            most=levels.most,
        )


def _histogram(of: Ints, values: Ints, objects: int, width: int) -> Ints:
    return np.bincount(of * width + values, minlength=objects * width).reshape(objects, width)


def _from_counts(
    *,
    number: Floats,
    single: Ints,
    sums: Ints,
    apart: Ints,
    product: Floats,
    both: Floats,
    squares: Floats,
    most: Ints,
) -> Floats:
    """Haralick's formulas on counts: `number` of pairs, levels of either end, sums, differences.

    `both` is the sum of c log2 c and `squares` that of c * c over the table of pairs in both orders.
    """
    total = 2 * number
    level, level_sum = np.arange(256), np.arange(512)
    once, twice = (single @ level).astype(np.float64), (single @ level**2).astype(np.float64)
    spread = total * twice - once * once  # whole numbers below 2**53
    covariance = total * (2 * product) - once * once
    share = apart / number[:, np.newaxis]
    mean = 1 / (most + 1)
    counted = np.arange(256) <= most[:, np.newaxis]
    of_sum = (sums @ level_sum).astype(np.float64)
    entropy = np.log2(total) - both / total
    of_level = np.log2(total) - _logs(single).sum(axis=1) / total
    shared = np.maximum(2 * of_level - entropy, 0)  # what the levels of a pair tell of each other, in bits
    found = np.empty((len(FEATURES), len(number)))
    found[0] = squares / (total * total)
    found[1] = (apart @ level**2) / number
    found[2] = np.where(spread == 0, 1.0, covariance / spread)
    found[3] = spread / (total * total)
    found[4] = share @ (1 / (1.0 + level**2))
    found[5] = of_sum / number
    found[6] = (number * (sums @ level_sum**2) - of_sum * of_sum) / (number * number)
    found[7] = np.log2(number) - _logs(sums).sum(axis=1) / number
    found[8] = entropy
    found[9] = (np.where(counted, share - mean[:, np.newaxis], 0.0) ** 2).sum(axis=1) * mean
    found[10] = np.log2(number) - _logs(apart).sum(axis=1) / number
    found[11] = np.where(of_level > 0, (entropy - 2 * of_level) / of_level, 0.0)
    found[12] = np.where(shared > _INDEPENDENT, np.sqrt(-np.expm1(-2 * shared)), 0.0)
    found[:, number == 0] = np.nan
    return found


def _joint(levels: _Levels, a: Ints, b: Ints, of: Ints, number: Ints) -> tuple[Floats, Floats]:
    """By object, over the table of pairs in both orders: the sums of c log2 c and of c * c.

    Tables are as wide as an object's own range of levels and stand behind each other, as many as are held at
    once. Pairs are counted in one order (the darker level first): off the diagonal each count stands for two.
    """
    width = levels.most - levels.least + 1
    size = width * width
    ends = np.concatenate([[0], np.cumsum(number)])
    logs, squares = np.zeros(len(number)), np.zeros(len(number))
    low, high = np.minimum(a, b), np.maximum(a, b)
    start = 0
    while start < len(number):
        stop = start + max(1, int(np.searchsorted(np.cumsum(size[start:]), _TABLE, side="right")))
        own = slice(int(ends[start]), int(ends[stop]))
        at = np.concatenate([[0], np.cumsum(size[start:stop])])
        # One base an object, so that a pair costs two look-ups: at + (low - least) * width + (high - least).
        base = at[:-1] - levels.least[start:stop] * (width[start:stop] + 1)
        inside = of[own] - start
        counts = np.bincount(
            base[inside] + low[own] * width[start:stop][inside] + high[own], minlength=at[-1]
        )
        diagonal = _diagonal(at[:-1], width[start:stop])
        same = counts[diagonal]
        rows = np.concatenate([[0], np.cumsum(width[start:stop])[:-1]])
        logs[start:stop] = 2 * np.add.reduceat(_logs(counts), at[:-1])
        logs[start:stop] += np.add.reduceat(_logs(2 * same) - 2 * _logs(same), rows)
        squares[start:stop] = 2 * np.add.reduceat(counts * counts, at[:-1])
        squares[start:stop] += 2 * np.add.reduceat(same * same, rows)
        start = stop
    return logs, squares


def _diagonal(at: Ints, width: Ints) -> Ints:
    """Places of the pairs of equal levels in tables that begin at `at`."""
    step = np.repeat(width + 1, width)
    nth = np.arange(len(step)) - np.repeat(np.cumsum(width) - width, width)
    return np.asarray(np.repeat(at, width) + nth * step)


@lru_cache(maxsize=1)
def _log_table(bits: int) -> Floats:
    counts = np.arange(2**bits, dtype=np.float64)
    counts[0] = 1  # 0 log 0 is 0
    return counts * np.log2(counts)


def _logs(counts: Ints) -> Floats:
    """c log2 c of whole numbers, by table."""
    most = int(counts.max(initial=1))
    return np.asarray(_log_table(max(16, most.bit_length()))[counts])
