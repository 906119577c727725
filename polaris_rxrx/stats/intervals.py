"""Bootstrap intervals of a mean over treatments.

Conventions
    What is drawn anew, with replacement, are the treatments: the interval tells how the mean would vary over
    other compounds. It says nothing of other draws of negatives or other runs of a model, and takes
    treatments for independent: where they share genes, `Interval.stretched` makes it as wide as it has to be.
    BCa (bias-corrected and accelerated), which allows for skew; equal values give an interval of no width,
    fewer than two none (NaN).

Source
    Efron, "Better bootstrap confidence intervals", JASA 82 (1987) 171-185.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from polaris_rxrx.stats.resampling import DEFAULT, Resampling
from polaris_rxrx.types import Floats

Ends = list[float | None]
"""An interval in a document: low and high, null where there is none."""

METHOD = "BCa bootstrap over treatments"
_CELLS = 1_000_000  # drawn at once: bounds the memory
_COLUMNS = 256  # whose means are held at once


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`; both NaN where there is none."""

    low: float
    high: float

    def stretched(
        self, about: float, factor: float, least: float = -math.inf, most: float = math.inf
    ) -> Interval:
        """Wider by a factor, which keeps the skew, but never beyond what is possible.

        >>> Interval(0.25, 0.75).stretched(about=0.5, factor=2, most=0.875)
        Interval(low=0.0, high=0.875)
        """
        low, high = (about + factor * (end - about) for end in (self.low, self.high))
        return Interval(max(low, least), min(high, most)) if low <= high else self

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ends(self) -> Ends:
        """Both for JSON; NaN as None."""
        return [plain(self.low), plain(self.high)]


def plain(value: float) -> float | None:
    """For JSON: NaN as None."""
    return None if math.isnan(value) else value


def mean_of(values: Floats) -> float:
    """The mean of what is not NaN; NaN if nothing is.

    >>> mean_of(np.array([0.25, 0.75, np.nan]))
    0.5
    """
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def median_of(values: Floats) -> float:
    """Their median; NaN if nothing is.

    >>> median_of(np.array([0.1, 0.5, 0.6, np.nan]))
    0.5
    """
    defined = values[~np.isnan(values)]
    return float(np.median(defined)) if len(defined) else float("nan")


def bootstrap_means(values: ArrayLike, how: Resampling) -> Floats:
    """Means of samples drawn with replacement from the rows of `values`, each sample as large as they are.

    Args:
        values: Shape (n, k); a row, with all its columns, is drawn as one.
        how: How many samples, and the seed of the draws.

    Returns:
        Shape (resamples, k).

    A mean of two values is one of three; half of the samples hold both:

    >>> from polaris_rxrx.stats.resampling import Resampling
    >>> means = bootstrap_means([[0.0], [1.0]], Resampling(resamples=1000))
    >>> means.shape, sorted(set(means[:, 0].tolist()))
    ((1000, 1), [0.0, 0.5, 1.0])
    >>> bool(abs(np.mean(means == 0.5) - 0.5) < 0.05)
    True
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    rng = np.random.default_rng(how.seed)
    means = np.empty((how.resamples, x.shape[1]))
    rows = max(1, _CELLS // n)
    for start in range(0, how.resamples, rows):
        part = means[start : start + rows]
        drawn = rng.integers(0, n, (len(part), n), dtype=np.int32)
        drawn += np.arange(0, len(part) * n, n, dtype=np.int32)[:, None]
        times = np.bincount(drawn.ravel(), minlength=len(part) * n).reshape(len(part), n)
        part[:] = times.astype(np.float64) @ x / n
    return means


def bca(values: ArrayLike, how: Resampling = DEFAULT) -> Interval:
    """The BCa interval of the mean of `values`, shape (n,), NaN left out.

    >>> values = [0.2, 0.4, 0.4, 0.5, 0.5, 0.6, 0.9, float("nan")]  # of eight treatments, one undefined
    >>> found = bca(values)
    >>> 0.2 < found.low < 0.5 < found.high < 0.9  # 0.5 is the mean
    True
    >>> bca([0.5, 0.5, 0.5])  # values that are equal have an interval without width
    Interval(low=0.5, high=0.5)
    """
    return bca_each([values], how)[0]


def bca_each(columns: Sequence[ArrayLike], how: Resampling = DEFAULT) -> list[Interval]:
    """`bca` of each column, the same treatments drawn for all that are defined for the same ones.

    The same treatments are drawn for both columns, so that of twice the values is twice as wide:

    >>> one, two = bca_each([[0.25, 0.5, 1.0], [0.5, 1.0, 2.0]])
    >>> bool(np.isclose(two.high, 2 * one.high))
    True
    """
    each = [np.asarray(c, dtype=np.float64) for c in columns]
    alike: dict[bytes, list[int]] = {}
    for i, x in enumerate(each):
        alike.setdefault(np.isnan(x).tobytes(), []).append(i)
    found: dict[int, Interval] = {}
    for places in alike.values():
        x = np.stack([each[i] for i in places], axis=1)
        x = x[~np.isnan(x[:, 0])]
        if len(x) < 2:
            found.update(dict.fromkeys(places, Interval(float("nan"), float("nan"))))
            continue
        for first in range(0, len(places), _COLUMNS):  # the same seed: the same treatments are drawn
            some = x[:, first : first + _COLUMNS]
            means = bootstrap_means(some, how)
            for column, i in enumerate(places[first : first + _COLUMNS]):
                found[i] = _ends(some[:, column], means[:, column], how.level)
    return [found[i] for i in range(len(each))]


def _ends(x: Floats, means: Floats, level: float) -> Interval:
    mean = float(x.mean())
    apart = x - mean
    if np.ptp(x) == 0:
        return Interval(mean, mean)
    means = np.sort(means)
    # Half of the draws that equal the mean count as below it: a mean of few values has many.
    near = 1e-12 * max(1.0, float(np.abs(x).max()))
    below = np.searchsorted(means, [mean - near, mean + near]).mean() / len(means)
    normal = NormalDist()
    bias = normal.inv_cdf(float(np.clip(below, 0.5 / len(means), 1 - 0.5 / len(means))))
    acceleration = float((apart**3).sum() / (6 * (apart**2).sum() ** 1.5))
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + normal.inv_cdf(tail)
        # Very few and very skewed values: past its pole the correction stands for all there is.
        stretch = max(1 - acceleration * z, 1e-9)
        ends.append(normal.cdf(bias + z / stretch))
    low, high = np.quantile(means, ends)
    return Interval(float(low), float(high))
