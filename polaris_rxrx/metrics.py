"""The metrics, and their values in many groups at once: numpy arrays in, numpy arrays out.

Conventions
    A higher score means more likely active. `active` is 1, 0 or NaN (no label: the pair is left out).
    `group` is the treatment of a pair as a code 0..n_groups-1. Pairs may come in any order; scores that are
    equal are one threshold, so the order of tied pairs never matters.
    Undefined values are NaN: average precision without an active, AUROC without both classes.
    `METRICS` has every metric that is computed here, by its key in a benchmark's specification; whatever is
    computed, compared or offered a metric by goes through it. To add one, add its value in `group_scores` and
    its line in `METRICS` here, its null in `polaris_rxrx.stats.chance`, and what it is without each pair in
    `polaris_rxrx.stats.deletions`.

Source
    Average precision is sum_k (R_k - R_{k-1}) P_k over the distinct thresholds, AUROC the share of
    (active, inactive) pairs in the right order, a tie counting one half: scikit-learn's
    `average_precision_score` and `roc_auc_score`, as polaris-lib applies them to each group.
    E[AP] = (m - 1) / (n - 1) * (1 - H_n / n) + H_n / n with H_n the n-th harmonic number: given an active at
    rank r, each of the r - 1 ranks above holds another with probability (m - 1) / (n - 1), so the expected
    precision there is (1 + (r - 1) (m - 1) / (n - 1)) / r; the mean over r = 1..n is the formula.

Deviations from polaris-lib 0.13
    1. NaN and infinite scores are refused here; the client drops the treatment and the mean may rise.
    2. AUROC of a one-class treatment is NaN here for the caller to leave out; what the client makes of it
       depends on the version of scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polaris_rxrx.errors import UsageError
from polaris_rxrx.types import Floats, Ints


@dataclass(frozen=True)
class GroupScores:
    """One value a group, each array of shape (n_groups,)."""

    average_precision: Floats
    auroc: Floats
    n_pairs: Ints
    n_active: Ints


@dataclass(frozen=True, eq=False)
class Blocks:
    """Runs of equal scores within a group: groups ascending, scores descending.

    `order` holds the labeled pairs so, shape (n_labeled,). The others have one value a block: its group,
    `active` and `inactive` pairs in it, and those of the group down to its end (`tp`, `fp`); `n_pairs` and
    `n_active` one a group.
    """

    order: Ints
    group: Ints
    active: Ints
    inactive: Ints
    tp: Ints
    fp: Ints
    n_pairs: Ints
    n_active: Ints

    def by_pair(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of blocks, laid over the pairs in `order`."""
        return np.repeat(values, self.active + self.inactive)


def blocks(active: ArrayLike, score: ArrayLike, group: ArrayLike, n_groups: int) -> Blocks:
    """Sort pairs into blocks; arguments and errors are those of `group_scores`.

    Of three pairs the first two are tied, so they are one block:

    >>> b = blocks([1, 0, 1], [0.8, 0.8, 0.1], [0, 0, 0], n_groups=1)
    >>> b.tp.tolist(), b.fp.tolist()
    ([1, 2], [1, 1])
    """
    y = np.asarray(active, dtype=np.float64)
    s = np.asarray(score, dtype=np.float64)
    g = np.asarray(group, dtype=np.int64)
    if not (y.ndim == 1 and y.shape == s.shape == g.shape):
        raise ValueError(f"active {y.shape}, score {s.shape} and group {g.shape} must be of one length")
    if not np.isfinite(s).all():
        raise ValueError(f"score {np.flatnonzero(~np.isfinite(s))[0]} is not finite")
    labeled = np.flatnonzero(~np.isnan(y))
    if not np.isin(y[labeled], (0.0, 1.0)).all():
        raise ValueError("labels must be 0, 1 or NaN")
    if g.size and not (g.min() >= 0 and g.max() < n_groups):
        raise ValueError(f"group codes must lie in 0..{n_groups - 1}")
    order = labeled[np.lexsort((-s[labeled], g[labeled]))]
    y, s, g = y[order], s[order], g[order]
    n_pairs = np.bincount(g, minlength=n_groups)
    n_active = np.bincount(g[y == 1], minlength=n_groups)
    end = np.flatnonzero(np.r_[(s[1:] != s[:-1]) | (g[1:] != g[:-1]), True][: s.size])
    of = g[end]
    tp = np.cumsum(y == 1)[end] - (np.cumsum(n_active) - n_active)[of]
    fp = end + 1 - (np.cumsum(n_pairs) - n_pairs)[of] - tp
    first = np.r_[True, of[1:] != of[:-1]][: of.size]
    block_tp = tp - np.where(first, 0, np.r_[0, tp[:-1]][: tp.size])
    block_fp = fp - np.where(first, 0, np.r_[0, fp[:-1]][: fp.size])
    return Blocks(order, of, block_tp, block_fp, tp, fp, n_pairs, n_active)


def group_scores(active: ArrayLike, score: ArrayLike, group: ArrayLike, n_groups: int) -> GroupScores:
    """Score every group in one pass.

    Args:
        active: Labels 1, 0 or NaN, shape (n_pairs,).
        score: Finite scores, shape (n_pairs,).
        group: Codes 0..n_groups-1, shape (n_pairs,).
        n_groups: How many groups there are; a code may be unused.

    Raises:
        ValueError: Shapes differ, a score is not finite, a label is not 0, 1 or NaN, a code out of range.

    Two treatments: the first ranks its active pair of three second, the other has no active:

    >>> found = group_scores([0, 1, 0, 0, 0], [0.9, 0.5, 0.1, 0.3, 0.2], [0, 0, 0, 1, 1], n_groups=2)
    >>> found.average_precision.tolist(), found.auroc.tolist()
    ([0.5, nan], [0.5, nan])
    >>> found.n_pairs.tolist(), found.n_active.tolist()
    ([3, 2], [1, 0])
    """
    b = blocks(active, score, group, n_groups)
    n_inactive = b.n_pairs - b.n_active
    precision_sum = np.bincount(b.group, b.active * (b.tp / (b.tp + b.fp)), minlength=n_groups)
    # An active beats the inactives of lower thresholds, and half of those of its own.
    wins = b.active * (n_inactive[b.group] - b.fp + 0.5 * b.inactive)
    wins = np.bincount(b.group, wins, minlength=n_groups)
    with np.errstate(invalid="ignore"):  # 0/0 where a group lacks a class: NaN, as said above
        return GroupScores(
            precision_sum / b.n_active, wins / (b.n_active * n_inactive), b.n_pairs, b.n_active
        )


def expected_average_precision(n_pairs: ArrayLike, n_active: ArrayLike) -> Floats:
    """The exact expectation of average precision under random scores, elementwise.

    Args:
        n_pairs: How many labeled pairs, any shape.
        n_active: How many of them are active, the same shape.

    Returns:
        Values in (0, 1], NaN where there is no active.

    One active of two pairs is first or second, with a precision of 1 or 1/2:

    >>> expected_average_precision([2, 10, 10], [1, 10, 0]).tolist()
    [0.75, 1.0, nan]
    """
    n = np.asarray(n_pairs, dtype=np.int64)
    m = np.asarray(n_active, dtype=np.int64)
    if n.shape != m.shape or np.any(m < 0) or np.any(m > n):
        raise ValueError("as many counts of actives as of pairs were expected, 0 <= actives <= pairs")
    harmonic = np.r_[0.0, np.cumsum(1.0 / np.arange(1, n.max(initial=0) + 1))][n]
    with np.errstate(invalid="ignore", divide="ignore"):
        first = harmonic / n
        others = np.where(n > 1, (m - 1) / np.maximum(n - 1, 1), 0.0)
        expected = others * (1 - first) + first
    return np.where(m > 0, expected, np.nan)


@dataclass(frozen=True)
class Metric:
    """A metric whose mean over treatments is scored.

    Attributes:
        key: Its label in a benchmark's specification, and its name in options and JSON.
        title: Its name in words.
        short: Its name in the head of a column.
        field: Which of `GroupScores` it is.
        chance: What random scores without ties expect of each group: exact, NaN where it is undefined.
        direction: 1 where a higher value is better and 1 perfect, -1 where a lower one is and 0 perfect.
    """

    key: str
    title: str
    short: str
    field: str
    chance: Callable[[GroupScores], Floats]
    direction: int = 1

    def values(self, groups: GroupScores) -> Floats:
        """One value a group."""
        values: Floats = getattr(groups, self.field)
        return values

    def above(self, groups: GroupScores) -> Floats:
        """Value - chance of each group.

        >>> groups = group_scores([1, 0], [0.9, 0.1], [0, 0], n_groups=1)
        >>> metric_of("pr_auc").above(groups).tolist()  # 1, and by chance 0.75
        [0.25]
        """
        return self.values(groups) - self.chance(groups)

    def normalized(self, groups: GroupScores) -> Floats:
        """(value - chance) / (perfect - chance) of each group: NaN where chance is perfect already.

        >>> groups = group_scores([1, 0], [0.1, 0.9], [0, 0], n_groups=1)
        >>> metric_of("pr_auc").normalized(groups).tolist()  # (0.5 - 0.75) / (1 - 0.75)
        [-1.0]
        """
        room = (1 + self.direction) / 2 - self.chance(groups)
        found: Floats = np.full(room.shape, np.nan)
        return np.divide(self.above(groups), room, out=found, where=np.abs(room) > 1e-12)


PR_AUC = Metric(
    "pr_auc",
    "average precision",
    "AP",
    "average_precision",
    lambda of: expected_average_precision(of.n_pairs, of.n_active),
)
ROC_AUC = Metric("roc_auc", "AUROC", "AUROC", "auroc", lambda of: np.where(np.isnan(of.auroc), np.nan, 0.5))
METRICS = {metric.key: metric for metric in (PR_AUC, ROC_AUC)}


def metric_of(key: str) -> Metric:
    """The metric of a key.

    Raises:
        UsageError: There is none.

    >>> metric_of("pr_auc").title, metric_of("roc_auc").short
    ('average precision', 'AUROC')
    """
    if key not in METRICS:
        raise UsageError(f"metric is {key!r}; expected {' or '.join(METRICS)}")
    return METRICS[key]
