"""How much of a submission's score a shortcut explains: kernels over all pairs at once.

Conventions
    Arrays are of shape (n_pairs,); `group` is the treatment of a pair as a code 0..n_groups-1. Only the order
    within a treatment counts for the official metric, so scores are turned into ranks there: the lowest of n
    pairs has rank 1, the highest n, equal scores the mean of their ranks (mid-ranks).
    Places are mid-ranks on a scale that does not depend on n, with mean zero: (rank - (n + 1) / 2) / n.

What is removed
    One slope over all treatments, by least squares: places of the submission on places of the shortcut. The
    shortcut's direction was fixed beforehand, so a submission that runs against it owes it nothing: of a
    negative slope nothing is removed (subtracting it would hand the submission what it does not have). What
    is left is scored as a submission is. A shortcut that is the same for all pairs of a treatment has no
    slope and explains nothing there.
    explained = 1 - (left - chance) / (submission - chance), not clipped: it is above 1 where what is left
    scores below random scores (nothing but ties does, for instance), and below 0 where the submission scores
    more without the shortcut. Not defined for a submission that is not above chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polaris_rxrx.types import Bools, Floats, Ints

# Places differ by 1/(2n) or not at all; what is left of equal ones differs by rounding alone.
_DECIMALS = 9


def mid_ranks(score: Floats, group: Ints, n_groups: int) -> Floats:
    """The rank of each score within its group, 1 the lowest; equal scores share the mean of their ranks.

    >>> mid_ranks(np.array([0.9, 0.1, 0.9, 0.5]), np.zeros(4, dtype=int), n_groups=1).tolist()
    [3.5, 1.0, 3.5, 2.0]
    """
    order = np.lexsort((score, group))
    s, g = score[order], group[order]
    start = np.r_[True, (s[1:] != s[:-1]) | (g[1:] != g[:-1])][: len(s)]
    block = np.cumsum(start) - 1
    first = np.flatnonzero(start)
    last = np.r_[first[1:], len(s)][: len(first)] - 1
    sizes = np.bincount(group, minlength=n_groups)
    before = (np.cumsum(sizes) - sizes)[g]
    ranks = np.empty(len(s))
    ranks[order] = ((first + last) / 2)[block] - before + 1
    return ranks


def places(score: Floats, group: Ints, n_groups: int) -> Floats:
    """Mid-ranks from about -1/2 (lowest) to 1/2, mean zero in every group.

    >>> places(np.array([0.9, 0.1, 0.9, 0.5]), np.zeros(4, dtype=int), n_groups=1).tolist()
    [0.25, -0.375, 0.25, -0.125]
    """
    n = np.bincount(group, minlength=n_groups)[group]
    found: Floats = (mid_ranks(score, group, n_groups) - (n + 1) / 2) / np.maximum(n, 1)
    return found


def elsewhere(values: Floats, gene: Ints, group: Ints) -> tuple[Floats, Floats]:
    """Of each pair, the sum and the number of `values` of its gene in other groups; NaN ones do not count."""
    _, cell = np.unique(gene * (int(group.max(initial=0)) + 1) + group, return_inverse=True)
    cell = cell.reshape(-1)
    known = ~np.isnan(values)

    def less_own(weights: Floats) -> Floats:
        of_all = np.bincount(gene, weights)[gene]
        return np.asarray(of_all - np.bincount(cell, weights)[cell], dtype=np.float64)

    return less_own(np.where(known, values, 0.0)), less_own(known.astype(np.float64))


def place_elsewhere(score: Floats, gene: Ints, group: Ints, n_groups: int) -> Floats:
    """The mean place of a pair's gene in other groups; NaN where it stands in no other.

    Places and not scores, for the official metric sees no more: scores may be on another scale in every
    group.
    """
    sums, n = elsewhere(places(score, group, n_groups), gene, group)
    # Sums that differ by rounding alone are ties.
    return np.where(n > 0, np.round(sums / np.maximum(n, 1), 12), np.nan)


def without_gene(score: Floats, gene: Ints, group: Ints, n_groups: int, counted: Bools) -> Floats | None:
    """What is left of the places of `counted` pairs once their gene's places elsewhere are taken out.

    A gene that stands in no other group is taken to be placed there like the mean of the others; None if
    that is so for all.
    """
    blind = place_elsewhere(score, gene, group, n_groups)
    known = ~np.isnan(blind)
    if not known.any():
        return None
    own = places(score[counted], group[counted], n_groups)
    blind = np.where(known, blind, blind[known].mean())
    return remove(own, places(blind[counted], group[counted], n_groups)).left


def rank_correlations(a: Floats, b: Floats, group: Ints, n_groups: int) -> Floats:
    """Spearman's correlation in every group of two `places`, (n_groups,); NaN where one does not vary.

    >>> group = np.zeros(3, dtype=int)
    >>> up, down = places(np.array([1.0, 2, 3]), group, 1), places(np.array([9.0, 8, 7]), group, 1)
    >>> round(float(rank_correlations(up, down, group, n_groups=1)[0]), 6)
    -1.0
    """
    ab, aa, bb = (np.bincount(group, x, minlength=n_groups) for x in (a * b, a * a, b * b))
    varies = (aa > 1e-12) & (bb > 1e-12)
    found: Floats = np.divide(ab, np.sqrt(aa * bb), out=np.full(n_groups, np.nan), where=varies)
    return found


@dataclass(frozen=True, eq=False)
class Remainder:
    """What is left of a submission's places; `slope` is None where the shortcut never varies."""

    slope: float | None
    left: Floats


def remove(submission: Floats, shortcut: Floats) -> Remainder:
    """Take the shortcut's part out of the submission; both are `places`."""
    varies = float(shortcut @ shortcut)
    if varies < 1e-12:
        return Remainder(None, submission)
    slope = float(submission @ shortcut) / varies
    if slope <= 0:
        return Remainder(slope, submission)
    return Remainder(slope, np.round(submission - slope * shortcut, _DECIMALS))


def explained(submission: float, left: float, chance: float) -> float:
    """The share of the submission's distance from chance that is gone; NaN if it is not above chance.

    Of 0.5 above chance 0.25 are left:

    >>> explained(submission=0.75, left=0.5, chance=0.25)
    0.5
    """
    if not submission > chance:
        return float("nan")
    return 1 - (left - chance) / (submission - chance)
