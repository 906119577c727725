"""Bootstrap intervals of a mean over treatments.

Conventions
    What is drawn anew, with replacement, are the treatments: the interval tells how the mean would vary over
    other compounds. It says nothing of other draws of negatives or other runs of a model.
    BCa (bias-corrected and accelerated), which allows for skew; equal values give an interval of no width,
    fewer than two none (NaN).

Source
    Efron, "Better bootstrap confidence intervals", JASA 82 (1987) 171-185.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

METHOD = "BCa bootstrap over treatments"
_CELLS = 1_000_000  # drawn at once: bounds the memory


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`; both NaN where there is none."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def bootstrap_means(values: ArrayLike, resamples: int, seed: int) -> Floats:
    """The means of `resamples` samples, each as large as `values` (n,) and drawn from it with replacement."""
    x = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    rows = max(1, _CELLS // max(1, len(x)))
    for start in range(0, resamples, rows):
        part = means[start : start + rows]
        drawn = rng.integers(0, len(x), (len(part), len(x)), dtype=np.int32)
        x.take(drawn).mean(axis=1, out=part)
    return means


def bca(values: ArrayLike, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0) -> Interval:
    """The BCa interval of the mean of `values`, shape (n,), NaN left out.

    Raises:
        ValueError: `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; a number between 0 and 1 was expected")
    x = np.asarray(values, dtype=np.float64)
    x = x[~np.isnan(x)]
    if len(x) < 2:
        return Interval(float("nan"), float("nan"))
    mean = float(x.mean())
    apart = x - mean
    if np.ptp(x) == 0:
        return Interval(mean, mean)
    means = np.sort(bootstrap_means(x, resamples, seed))
    # Half of the draws that equal the mean count as below it: a mean of few values has many.
    near = 1e-12 * max(1.0, float(np.abs(x).max()))
    below = np.searchsorted(means, [mean - near, mean + near]).mean() / resamples
    normal = NormalDist()
    bias = normal.inv_cdf(float(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples)))
    acceleration = float((apart**3).sum() / (6 * (apart**2).sum() ** 1.5))
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + normal.inv_cdf(tail)
        ends.append(normal.cdf(bias + z / (1 - acceleration * z)))
    low, high = np.quantile(means, ends)
    return Interval(float(low), float(high))
