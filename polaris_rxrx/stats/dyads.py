"""The variance of a mean over pairs whose partners are shared: relations of genes.

Conventions
    A pair has two different members, codes of shape (n, 2), and a value, shape (n,). Pairs that share a
    member are not independent. With delete-one jackknives, of members (each with all its pairs) and of pairs,
        V = V_member - V_pair,
    for a pair goes with each of its two members; never below the variance of independent pairs. A member
    without which no pair is left is not left out.

Source
    Cameron and Miller, "Robust inference for dyadic data" (2014); Snijders and Borgatti, Connections 22
    (1999) 161-170 (the jackknife).
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from polaris_rxrx.stats.intervals import Interval
from polaris_rxrx.stats.two_way import jackknife
from polaris_rxrx.types import Floats, Ints


def variance(values: Floats, members: Ints) -> tuple[float, float]:
    """The variance of the mean of `values`, and what it would be if pairs were independent.

    Both are NaN for fewer than two pairs. The second is the mean square distance from the mean over n, which
    for values 0 and 1 is p (1 - p) / n.

    Four pairs of eight members. Without a member, or a pair, the mean is 1/3 or 2/3: the jackknife's
    variances are 7/36 and 3/36. Half of 1 - 1/2 over four pairs is 1/16.

    >>> values, members = np.array([0.0, 1.0, 1.0, 0.0]), np.array([[0, 1], [2, 3], [4, 5], [6, 7]])
    >>> [round(v, 6) for v in variance(values, members)]
    [0.111111, 0.0625]
    """
    n = len(values)
    if n < 2:
        return float("nan"), float("nan")
    total = float(values.sum())
    independent = float(np.mean((values - values.mean()) ** 2)) / n
    flat = members.ravel()
    sums, counts = np.bincount(flat, np.repeat(values, 2)), np.bincount(flat)
    used = (counts > 0) & (counts < n)
    by_member = jackknife((total - sums[used]) / (n - counts[used]))
    by_pair = jackknife((total - values) / (n - 1))
    return max(independent, by_member - by_pair), independent


def difference(values: Floats, members: Ints, level: float) -> tuple[Interval, float]:
    """The interval of a mean difference, and the two-sided p-value of none (normal, with this variance).

    The mean is 1/2, its standard deviation 1/3: 1.96 times that to each side, and p of 1.5 of them.

    >>> members = np.array([[0, 1], [2, 3], [4, 5], [6, 7]])
    >>> interval, p = difference(np.array([0.0, 1.0, 1.0, 0.0]), members, level=0.95)
    >>> round(interval.low, 2), round(interval.high, 2), round(p, 4)
    (-0.15, 1.15, 0.1336)
    """
    spread, _ = variance(values, members)
    mean = float(values.mean()) if len(values) else float("nan")
    if np.isnan(spread):
        return Interval(spread, spread), spread
    if spread == 0:  # the same everywhere
        return Interval(mean, mean), 1.0 if mean == 0 else 0.0
    normal, error = NormalDist(), spread**0.5
    reach = normal.inv_cdf((1 + level) / 2) * error
    return Interval(mean - reach, mean + reach), 2 * normal.cdf(-abs(mean) / error)
