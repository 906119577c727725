"""Mean average precision: does a profile find its like before others?

Conventions
    A query is a row of profiles; its positives are rows that should resemble it, its negatives rows that
    should not. Its average precision is that of the positives in the order of their similarity with the
    query, highest first, ties by threshold: equal similarities stand at one rank, the last of them (as
    `polaris_rxrx.metrics` and scikit-learn have it). A similarity that is NaN is no pair.
    A group's value is the mean over its queries that have a positive and a negative; its normalized value
    is the mean of (AP - expected) / (1 - expected), expected of a random order (`polaris_rxrx.metrics`).
    p = (1 + how many of `null_size` random orders have a higher mean) / (1 + null_size), where a group's
    random orders are the mean over its queries of one list of random AP for each pair of counts.
    That treats a group's queries as if they rose and fell together, which errs to the safe side.

Source
    copairs (Kalinin et al., Nat. Commun. 16 (2025) 5181); p-values are its own with an empty cache folder.

Deviations from copairs
    1. Ties: copairs puts positives first among equal similarities. `positives_first=True` does so, too.
    2. Similarities are float64; copairs has float32, which makes ties of what is nearly equal.
    3. No file keeps random orders from one run to the next: copairs' cache is named by the counts alone, so
       that a second table can get the random orders of the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.metrics import expected_average_precision
from polaris_rxrx.parallel import Here, Workers
from polaris_rxrx.types import Floats, Ints

NULL_SIZE = 10_000
_SEEDS = 8096  # as many as copairs has
_CELLS = 20_000_000  # ranks shuffled at once: bounds the memory
_FEW_RANKS = 200_000_000  # to be shuffled: below, starting workers takes longer
_FEW = 24  # positives: below, counting negatives is faster than sorting them


def average_precision(positive: Floats, negative: Floats, *, positives_first: bool = False) -> Floats:
    """Average precision of queries from the similarities with their positives and negatives.

    Args:
        positive: Shape (n_queries, n_positives); NaN is no pair.
        negative: Shape (n_queries, n_negatives); NaN is no pair.
        positives_first: Rank positives before negatives of equal similarity.

    Returns:
        Shape (n_queries,), NaN for a query without a positive.

    The better positive is first, the other last of four: (1 + 2/4) / 2.

    >>> average_precision(np.array([[0.9, 0.1]]), np.array([[0.5, 0.3]])).tolist()
    [0.75]
    """
    own = -np.sort(-positive, axis=1)  # highest first, NaN last
    there = ~np.isnan(own)
    n = there.sum(axis=1)
    rank = np.cumsum(there, axis=1)
    if not positives_first:  # that of the last of equal ones
        for k in range(own.shape[1] - 2, -1, -1):
            same = own[:, k] == own[:, k + 1]
            rank[same, k] = rank[same, k + 1]
    above = _reaching(own, negative, strictly=positives_first)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(there, rank / (rank + above), 0.0).sum(axis=1) / n
    return found


def _reaching(own: Floats, negative: Floats, *, strictly: bool) -> Ints:
    """How many negatives of a row are at or above (or above) each of its own values; 0 for NaN."""
    above = np.zeros(own.shape, dtype=np.int64)
    if own.shape[1] < _FEW:
        for k in range(own.shape[1]):
            at = own[:, k : k + 1]
            above[:, k] = (negative > at if strictly else negative >= at).sum(axis=1)
        return above
    ordered = np.sort(-negative, axis=1)  # NaN last
    for i, row in enumerate(ordered):
        above[i] = np.searchsorted(row, -own[i], side="left" if strictly else "right")
    above[np.isnan(own)] = 0
    return above


@dataclass(frozen=True, eq=False)
class Retrieved:
    """Of each query (n,): average precision, NaN where there is none, and the counts it rests on."""

    average_precision: Floats
    n_positive: Ints
    n_total: Ints

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Queries that have a positive and a negative."""
        counted: NDArray[np.bool_] = (self.n_positive > 0) & (self.n_total > self.n_positive)
        return counted


@dataclass(frozen=True, eq=False)
class GroupPrecision:
    """Of each group (k,), NaN for one without a counted query; `n_queries` are those counted."""

    mean: Floats
    normalized: Floats
    p_value: Floats
    n_queries: Ints


def by_group(
    found: Retrieved,
    group: Ints,
    n_groups: int,
    *,
    null_size: int = NULL_SIZE,
    seed: int = 0,
    who: Workers | None = None,
) -> GroupPrecision:
    """Means over groups of queries, and how often random orders do better.

    Args:
        found: Of the queries.
        group: A code in range(n_groups) for each query.
        n_groups: How many groups.
        null_size: Random orders for each pair of counts.
        seed: Of the random orders.
        who: Who draws them; this process.

    Two queries of one group, each with one positive among two rows, which a random order has first half of
    the time:

    >>> found = Retrieved(np.array([1.0, 1.0]), np.array([1, 1]), np.array([2, 2]))
    >>> means = by_group(found, np.array([0, 0]), n_groups=1, null_size=1000)
    >>> means.mean.tolist(), means.normalized.tolist(), means.n_queries.tolist()
    ([1.0], [1.0], [2])
    """
    keep = found.counted
    ap, g = found.average_precision[keep], group[keep]
    counts = np.stack([found.n_positive[keep], found.n_total[keep]], axis=1)
    n = np.bincount(g, minlength=n_groups)
    expected = expected_average_precision(counts[:, 1], counts[:, 0])
    with np.errstate(invalid="ignore"):
        mean = np.bincount(g, ap, minlength=n_groups) / n
        normalized = np.bincount(g, (ap - expected) / (1 - expected), minlength=n_groups) / n
    p = np.full(n_groups, np.nan)
    if len(g):
        kinds, kind = np.unique(counts, axis=0, return_inverse=True)
        null = random_orders(kinds, null_size, seed, who)
        order = np.argsort(g, kind="stable")
        kind, start = kind.reshape(-1)[order], np.cumsum(n) - n
        for k in np.flatnonzero(n).tolist():
            drawn = null[kind[start[k] : start[k] + n[k]]].mean(axis=0)
            p[k] = (1 + int((drawn > np.float32(mean[k])).sum())) / (1 + null_size)
    return GroupPrecision(mean, normalized, p, n)


def random_orders(counts: Ints, size: int, seed: int, who: Workers | None = None) -> NDArray[np.float32]:
    """Average precision of random orders, (k, size), for sorted counts (n_positive, n_total), (k, 2).

    The draws are copairs': a seed for each pair of counts, and one shuffle of all ranks for each order.
    Few of them are drawn here, whoever does the work.
    """
    seeds = np.random.default_rng(seed).integers(_SEEDS, size=len(counts))
    null = np.empty((len(counts), size), dtype=np.float32)
    kinds = [(n, total, size, s) for (n, total), s in zip(counts.tolist(), seeds.tolist(), strict=True)]
    few = int(counts[:, 1].sum()) * size < _FEW_RANKS
    for i, drawn in (Here() if who is None or few else who).run(_orders, kinds):
        null[i] = drawn
    return null


def _orders(kind: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """Average precision (size,) of orders with n positives among `total`, by a seed."""
    n, total, size, seed = kind
    found = np.empty(size, dtype=np.float32)
    rng = np.random.default_rng(seed)
    ranks = np.arange(total, dtype=np.uint16 if total < 2**16 else np.uint32)
    rows = max(1, _CELLS // total)
    for a in range(0, size, rows):
        shuffled = np.tile(ranks, (min(rows, size - a), 1))
        rng.permuted(shuffled, axis=1, out=shuffled)
        first = np.sort(shuffled[:, :n], axis=1)
        precision = np.arange(1, n + 1, dtype=np.float32) / (first + 1)
        found[a : a + rows] = precision.sum(axis=1) / n
    return found


def adjusted(p: Floats) -> Floats:
    """Benjamini and Hochberg's correction; NaN stays and does not count.

    >>> adjusted(np.array([0.25, np.nan, 0.5])).tolist()  # 0.25 * 2 / 1, and 0.5 * 2 / 2
    [0.5, nan, 0.5]
    """
    from scipy.stats import false_discovery_control

    q = np.full(p.shape, np.nan)
    there = ~np.isnan(p)
    if there.any():
        q[there] = false_discovery_control(p[there])
    return q
