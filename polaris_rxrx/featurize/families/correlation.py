"""Correlation: how two channels go together within an object.

Conventions
    As cp_measure's `get_correlation_*`. Correlation is Pearson's, Slope that of the later channel on the
    earlier one (cp_measure's, beyond CellProfiler's tables of objects). Overlap, K, Manders and RWC count
    the pixels where both channels reach `threshold` percent of the object's brightest: of A and B, `_A_B`
    is how much of A lies there and `_B_A` how much of B. Ranks for RWC are those among an object's
    different values. Pearson's correlation and slope of a channel that is constant in an object are
    undefined, NaN; cp_measure has there what rounding leaves of a mean. Costes' thresholds are searched by
    cp_measure itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from polaris_rxrx.featurize.families.objects import Columns, Objects, Values
from polaris_rxrx.types import Floats


def correlation(
    objects: Objects, channels: Sequence[Values], names: Sequence[str], threshold: float
) -> Columns:
    """All but Costes, of every pair of channels; a column's name is whole, there is no `{channel}` in it."""
    pairs = list(combinations(range(len(channels)), 2))
    if not pairs:
        return {}
    first, second = (np.array(ends) for ends in zip(*pairs, strict=True))
    found = {name: np.empty((len(objects), len(pairs))) for name in _FOUND}
    values = np.stack([channel.values for channel in channels], axis=1)
    ranks = np.stack([channel.ranks for channel in channels], axis=1).astype(np.float64)
    greatest = np.stack([channel.greatest for channel in channels], axis=1)
    least = np.minimum.reduceat(values, objects.starts, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        for k, own in enumerate(objects.slices()):
            constant = greatest[k] == least[k]
            moments = _moments(values[own], constant)
            found["Correlation"][k] = moments[0][first, second]
            found["Slope"][k] = moments[1][first, second]
            bright = values[own] >= (threshold / 100) * greatest[k]
            _together(found, k, values[own], ranks[own], bright, first, second)
    columns: Columns = {}
    for at, (i, j) in enumerate(pairs):
        there, back = f"{names[i]}_{names[j]}", f"{names[j]}_{names[i]}"
        for name in ("Correlation", "Slope", "Overlap"):
            columns[f"Correlation_{name}_{there}"] = found[name][:, at]
        for name in ("K", "Manders", "RWC"):
            columns[f"Correlation_{name}_{there}"] = found[f"{name}_1"][:, at]
            columns[f"Correlation_{name}_{back}"] = found[f"{name}_2"][:, at]
    return columns


_FOUND = ("Correlation", "Slope", "Overlap", "K_1", "K_2", "Manders_1", "Manders_2", "RWC_1", "RWC_2")


def _moments(values: Floats, constant: Floats) -> tuple[Floats, Floats]:
    """Pearson's correlation and the slope of column j on column i, (channels, channels)."""
    apart = values - values.mean(axis=0)
    products = apart.T @ apart
    squares = np.diag(products).copy()
    squares[constant.astype(bool)] = np.nan
    deviation = np.sqrt(squares)
    pearson = np.clip(products / deviation[:, np.newaxis] / deviation[np.newaxis], -1, 1)
    slope = products / squares[:, np.newaxis]
    slope[:, constant.astype(bool)] = 0.0
    slope[constant.astype(bool)] = np.nan
    return pearson, slope


def _together(
    found: dict[str, Floats], k: int, values: Floats, ranks: Floats, bright: Floats, i: Floats, j: Floats
) -> None:
    """Overlap, K, Manders and RWC of object k, all pairs of channels at once."""
    mask = bright.astype(np.float64)
    light = values * mask
    anywhere = (mask.T @ mask)[i, j] > 0
    shared = light.T @ mask  # [a, b]: light of a where both are bright
    squared = (light * light).T @ mask
    product = (light.T @ light)[i, j]
    total = light.sum(axis=0)
    apart = np.abs(ranks[:, i] - ranks[:, j])
    apart *= mask[:, i]
    apart *= mask[:, j]
    weighed = light.T @ apart  # [a, pair]
    number = np.maximum(ranks.max(axis=0)[i], ranks.max(axis=0)[j]) + 1
    at = np.arange(len(i))
    every = {
        "Overlap": product / np.sqrt(squared[i, j] * squared[j, i]),
        "K_1": product / squared[i, j],
        "K_2": product / squared[j, i],
        "Manders_1": shared[i, j] / total[i],
        "Manders_2": shared[j, i] / total[j],
        "RWC_1": (shared[i, j] - weighed[i, at] / number) / total[i],
        "RWC_2": (shared[j, i] - weighed[j, at] / number) / total[j],
    }
    for name, of_pairs in every.items():
        found[name][k] = np.where(anywhere, of_pairs, 0.0)


def costes(objects: Objects, channels: Sequence[Values], names: Sequence[str], white: int) -> Columns:
    """Costes' coefficients of every pair; `white` is how many steps the camera's scale has (255: 8 bits)."""
    from cp_measure.core.measurecolocalization import get_correlation_costes

    columns: Columns = {}
    for i, j in combinations(range(len(channels)), 2):
        images = [np.zeros(objects.shape) for _ in range(2)]
        for image, channel in zip(images, (channels[i], channels[j]), strict=True):
            image.ravel()[objects.order] = channel.values
        with warnings.catch_warnings():  # one for every undefined object, which is NaN
            warnings.simplefilter("ignore", RuntimeWarning)
            both = get_correlation_costes(*images, objects.labels, scale_max=white)
        columns[f"Correlation_Costes_{names[i]}_{names[j]}"] = np.asarray(both["Correlation_Costes_1"])
        columns[f"Correlation_Costes_{names[j]}_{names[i]}"] = np.asarray(both["Correlation_Costes_2"])
    return columns
