"""Intensity and Location: sums, spreads, quartiles and edges of a channel within objects.

Conventions
    As cp_measure's `get_intensity(legacy=True)`, which is CellProfiler's: a quartile at q of n sorted
    values is read at n * q (not (n - 1) * q), between neighbors in proportion, never beyond the last.
    MADIntensity is read so among the distances from the median. The brightest pixel is the first in reading
    order. An object without any intensity has no center of mass: NaN.
"""

from __future__ import annotations

import numpy as np

from polaris_rxrx.featurize.families.objects import Columns, Objects, Values
from polaris_rxrx.types import Floats, Ints


class Edges:
    """The edge pixels of all objects: places within what is sorted as the objects' pixels are."""

    def __init__(self, objects: Objects) -> None:
        from skimage.segmentation import find_boundaries

        # An axis more, as cp_measure has it: the image's own border is no edge.
        edge = find_boundaries(objects.labels[np.newaxis], mode="inner")[0]
        self.places: Ints = np.flatnonzero(edge.ravel()[objects.order])
        counts = np.bincount(objects.of[self.places], minlength=len(objects))
        self.having: Ints = np.flatnonzero(counts)
        self.counts: Ints = counts[self.having]
        self.starts: Ints = np.concatenate([[0], np.cumsum(self.counts)[:-1]]).astype(np.int64)


def intensity(channel: Values, edges: Edges) -> Columns:
    """Intensity and Location of one channel."""
    objects, values = channel.objects, channel.values
    total = objects.total(values)
    mean = total / objects.sizes
    apart = values - mean[objects.of]
    at = "Intensity_{name}Intensity{edge}_{{channel}}".format
    ordered, ends = channel.sorted, objects.starts + objects.sizes
    median = _quantile(ordered, objects, 0.5)
    columns = {
        at(name="Integrated", edge=""): total,
        at(name="Mean", edge=""): mean,
        at(name="Std", edge=""): np.sqrt(objects.total(apart * apart) / objects.sizes),
        at(name="Min", edge=""): ordered[objects.starts],
        at(name="Max", edge=""): ordered[ends - 1],
        at(name="LowerQuartile", edge=""): _quantile(ordered, objects, 0.25),
        at(name="Median", edge=""): median,
        at(name="MAD", edge=""): _middle_deviation(ordered, objects, median),
        at(name="UpperQuartile", edge=""): _quantile(ordered, objects, 0.75),
    }
    columns |= _places(channel, total)
    columns |= {at(name=name, edge="Edge"): found for name, found in _on_edges(channel, edges).items()}
    return columns


def _position(sizes: Ints, q: float) -> tuple[Ints, Ints, Floats]:
    """Where a quartile is read among n sorted values: two neighbors, and how far between them."""
    position = np.asarray(sizes * q, dtype=np.float64)
    low: Ints = np.minimum(position.astype(np.int64), sizes - 1)
    high: Ints = np.minimum(low + 1, sizes - 1)
    return low, high, position - low


def _quantile(ordered: Floats, objects: Objects, q: float) -> Floats:
    low, high, between = _position(objects.sizes, q)
    found: Floats = ordered[objects.starts + low] * (1 - between) + ordered[objects.starts + high] * between
    return found


def _middle_deviation(ordered: Floats, objects: Objects, median: Floats) -> Floats:
    """The distances from the median at half their number.

    In sorted values the k + 1 nearest to the median stand side by side, so the distance of rank k is the
    least over all such runs of their farther end: no second sort.
    """
    low, high, between = _position(objects.sizes, 0.5)
    apart = np.abs(ordered - median[objects.of])
    ends = objects.starts + objects.sizes
    here = np.arange(len(ordered))
    read = []
    for rank in (low, high):
        last = here + rank[objects.of]
        fits = last < ends[objects.of]
        farther = np.full(len(ordered), np.inf)
        farther[fits] = np.maximum(apart[fits], apart[last[fits]])
        read.append(np.minimum.reduceat(farther, objects.starts))
    found: Floats = read[0] * (1 - between) + read[1] * between
    return found


def _places(channel: Values, total: Floats) -> Columns:
    """Where an object's light is: center of mass, how far that is from the center, brightest pixel."""
    objects, values = channel.objects, channel.values
    brightest = np.flatnonzero(values == channel.greatest[objects.of])
    brightest = brightest[np.searchsorted(objects.of[brightest], np.arange(len(objects)))]
    columns, apart = {}, np.zeros(len(objects))
    for axis, at in (("X", objects.x), ("Y", objects.y)):
        with np.errstate(divide="ignore", invalid="ignore"):
            center = np.where(total != 0, objects.total(at * values) / total, np.nan)
        apart += (center - objects.total(at) / objects.sizes) ** 2
        columns[f"Location_CenterMassIntensity_{axis}_{{channel}}"] = center
        columns[f"Location_MaxIntensity_{axis}_{{channel}}"] = at[brightest]
    # CellProfiler has a third axis of flat images, too.
    columns["Location_CenterMassIntensity_Z_{channel}"] = np.where(total != 0, 0.0, np.nan)
    columns["Location_MaxIntensity_Z_{channel}"] = np.zeros(len(objects))
    columns["Intensity_MassDisplacement_{channel}"] = np.sqrt(apart)
    return columns


def _on_edges(channel: Values, edges: Edges) -> Columns:
    """The five measurements of edge pixels; 0 for an object that has none, as one that fills the image."""
    found = {name: np.zeros(len(channel.objects)) for name in ("Integrated", "Mean", "Std", "Min", "Max")}
    if len(edges.having):
        values = channel.values[edges.places]
        total = np.add.reduceat(values, edges.starts)
        mean = total / edges.counts
        apart = values - np.repeat(mean, edges.counts)
        found["Integrated"][edges.having] = total
        found["Mean"][edges.having] = mean
        found["Std"][edges.having] = np.sqrt(np.add.reduceat(apart * apart, edges.starts) / edges.counts)
        found["Min"][edges.having] = np.minimum.reduceat(values, edges.starts)
        found["Max"][edges.having] = np.maximum.reduceat(values, edges.starts)
    return found
