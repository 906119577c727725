"""What knowing nothing scores: average precision and AUROC of rankings drawn at random.

Conventions
    A group (a treatment) has n labeled pairs, m of them active. "At random" is one of two things:
    `polaris_rxrx.metrics.Metric.chance` is exact and of scores without ties, every order of the n pairs
    equally likely; `random_means` keeps the scores as they are, ties too, and permutes the labels within each
    group.
    All means are over the groups for which a metric is defined (an active; both classes).

Source
    Floyd's choice of a random subset: Bentley and Floyd, Comm. ACM 30 (1987) 754-757.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polaris_rxrx.metrics import blocks
from polaris_rxrx.stats.resampling import Resampling
from polaris_rxrx.types import Floats, Ints

# Up to this many ways to place the actives are listed and drawn from; of more, each draw is made anew.
_LISTED = 3_000
# Sums of the same terms in another order differ by rounding; values this close are the same.
_ROUNDING = 1e-12


def random_means(
    active: ArrayLike, score: ArrayLike, group: ArrayLike, n_groups: int, how: Resampling
) -> tuple[Floats, Floats]:
    """Mean average precision and mean AUROC after permuting the labels within every group, many times.

    Arguments are those of `polaris_rxrx.metrics.group_scores`, then how many permutations are drawn and from
    which seed. Every permutation is equally likely and each group is drawn independently of the others.

    Returns:
        Of each of `METRICS`, in its order, an array of shape (resamples,); NaN where no group has the metric.

    Of two pairs one is active, so it is first or second, and the mean of many orders is near 0.75:

    >>> from polaris_rxrx.stats.resampling import Resampling
    >>> ap, auroc = random_means([1, 0], [0.9, 0.1], [0, 0], 1, Resampling(resamples=1000))
    >>> sorted(set(ap.tolist())), sorted(set(auroc.tolist()))
    ([0.5, 1.0], [0.0, 1.0])
    >>> bool(abs(ap.mean() - 0.75) < 0.05)
    True
    """
    rng = np.random.default_rng(how.seed)
    sums = np.zeros((2, how.resamples))
    counts = [0, 0]
    listed: dict[tuple[int, int, bytes], Floats] = {}
    for n, m, end in _groups(active, score, group, n_groups):
        if m == 0:
            continue
        if comb(n, m) <= _LISTED:
            key = (n, m, end.tobytes())
            if key not in listed:
                listed[key] = _score(_placements(n, m), n, end)
            drawn = listed[key][:, rng.integers(0, comb(n, m), how.resamples)]
        else:
            drawn = _draw(n, m, end, how.resamples, rng)
        sums[0] += drawn[0]
        counts[0] += 1
        if m < n:
            sums[1] += drawn[1]
            counts[1] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[0] / counts[0], sums[1] / counts[1]


def p_value(observed: float, null: Floats, *, extra: float = 0.0) -> float:
    """The share of draws at least as high as what was observed, itself counted: (b + 1) / (R + 1).

    Never zero: with R draws nothing below 1 / (R + 1) can be told. NaN if the value is.

    Args:
        observed: The mean.
        null: Means of random draws, shape (R,).
        extra: Variance that the mean has and the draws have not (genes shared between treatments); they are
            stretched about their mean by sqrt(1 + extra / their variance), which keeps their skew.

    Two of four draws are as high, and the observed mean counts, too: (2 + 1) / (4 + 1).

    >>> p_value(0.5, np.array([0.2, 0.4, 0.5, 0.6]))
    0.6
    """
    if np.isnan(observed):
        return float("nan")
    if extra > 0 and (spread := float(null.var())) > _ROUNDING**2:
        middle = float(null.mean())
        null = middle + (null - middle) * np.sqrt(1 + extra / spread)
    return float((1 + np.sum(null >= observed - _ROUNDING)) / (1 + len(null)))


def _groups(
    active: ArrayLike, score: ArrayLike, group: ArrayLike, n_groups: int
) -> Iterator[tuple[int, int, Ints]]:
    """Of each group n, m and, rank by rank from the highest score, where its block of equal scores ends."""
    b = blocks(active, score, group, n_groups)
    ends = b.by_pair(b.tp + b.fp)
    start = np.cumsum(b.n_pairs) - b.n_pairs
    for first, n, m in zip(start.tolist(), b.n_pairs.tolist(), b.n_active.tolist(), strict=True):
        yield n, m, ends[first : first + n]


def _middle(n: int, end: Ints) -> Floats:
    """The middle rank of each rank's block, counted from 1 at the highest score."""
    first = np.r_[0, end[:-1]]
    start = np.where(first == end, -1, first)  # -1: not the first of its block
    return (np.maximum.accumulate(start) + 1 + end) / 2


def _auroc(middle_sum: Floats, n: int, m: int) -> Floats:
    """AUROC from the sum of the actives' middle ranks (Mann and Whitney)."""
    if m == n:
        return np.full_like(middle_sum, np.nan)
    return (m * (n + 1) - middle_sum - m * (m + 1) / 2) / (m * (n - m))


@lru_cache(maxsize=64)
def _placements(n: int, m: int) -> Ints:
    """Every choice of m of n ranks, (m, C(n, m))."""
    ranks = chain.from_iterable(combinations(range(n), m))
    return np.ascontiguousarray(np.fromiter(ranks, np.int64, comb(n, m) * m).reshape(-1, m).T)


def _draw(n: int, m: int, end: Ints, resamples: int, rng: np.random.Generator) -> Floats:
    """`_score` of `resamples` random placements: Floyd's way to choose m of n, each choice equally likely."""
    drawn_as = np.dtype(np.int16 if n < 2**15 else np.int64)  # settles which numbers are drawn
    kept_as = np.dtype(np.int8) if n < 2**7 else drawn_as  # the narrower, the faster to compare
    at: NDArray[np.signedinteger[Any]] = np.empty((m, resamples), kept_as)
    for k, last in enumerate(range(n - m, n)):
        drawn = rng.integers(0, last + 1, resamples, dtype=drawn_as).astype(kept_as)
        taken = np.zeros(resamples, dtype=bool)
        for before in at[:k]:
            taken |= before == drawn
        at[k] = np.where(taken, kept_as.type(last), drawn)
    return _score(at, n, end)


def _score(at: NDArray[np.signedinteger[Any]], n: int, end: Ints) -> Floats:
    """Average precision and AUROC (2, k) of actives at the ranks `at` (m, k), counted from 0."""
    m, k = at.shape
    tied = bool((end != np.arange(1, n + 1)).any())
    ends, middle = end.astype(at.dtype), _middle(n, end)
    precision, middle_sum = np.zeros(k), np.zeros(k)
    for own in at:
        last = ends.take(own) if tied else own + 1
        found = np.zeros(k, dtype=at.dtype)  # actives down to the end of this one's block
        for other in at:
            found += other < last
        precision += found / last
        middle_sum += middle.take(own) if tied else last
    return np.stack([precision / m, _auroc(middle_sum, n, m)])
