"""Average precision and AUROC of a group without one of its pairs, for every pair at once.

Conventions
    Arguments are those of `polaris_rxrx.metrics.group_scores`; results are one value a pair, in the order
    given: the metrics and counts that the pair's group would have if that pair were not there. A metric is
    NaN where it would be undefined (the only active of a group is taken away, or one class is left), and for
    a pair without a label, which is not there to begin with.

How
    A group is sorted once. Taking a pair away changes the precision of the thresholds at or below its own and
    of no others, and always by one count: an inactive one leaves `tp / (end - 1)`, an active one
    `(tp - 1) / (end - 1)`. Sums of these from the top of a group and from its bottom give every deletion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from polaris_rxrx.metrics import GroupScores, group_scores
from polaris_rxrx.types import Floats, Ints


def without_each(
    active: ArrayLike, score: ArrayLike, group: ArrayLike, n_groups: int, *, of: GroupScores | None = None
) -> GroupScores:
    """Score every group without each of its pairs.

    Args:
        active: Labels 1, 0 or NaN, shape (n_pairs,).
        score: Finite scores, shape (n_pairs,).
        group: Codes 0..n_groups-1, shape (n_pairs,).
        n_groups: How many groups there are.
        of: What `group_scores` made of these, if it is at hand.

    Raises:
        ValueError: As `group_scores`.
    """
    all_y = np.asarray(active, dtype=np.float64)
    all_s = np.asarray(score, dtype=np.float64)
    all_g = np.asarray(group, dtype=np.int64)
    counts = group_scores(all_y, all_s, all_g, n_groups) if of is None else of
    labeled = np.flatnonzero(~np.isnan(all_y))
    y, s, g = all_y[labeled] == 1, all_s[labeled], all_g[labeled]
    order = np.lexsort((-s, g))
    y, s, g = y[order], s[order], g[order]
    n, m = counts.n_pairs, counts.n_active

    # Blocks of equal scores: `b` is the block of a pair, `of_block` the group of a block.
    last = np.r_[(s[1:] != s[:-1]) | (g[1:] != g[:-1]), True][: s.size]
    end_at = np.flatnonzero(last)
    b = np.cumsum(last) - last
    of_block = g[end_at]
    tp = np.cumsum(y)[end_at] - (np.cumsum(m) - m)[of_block]
    end = end_at + 1 - (np.cumsum(n) - n)[of_block]
    first = np.r_[True, of_block[1:] != of_block[:-1]][: of_block.size]
    block_active = tp - np.where(first, 0, np.r_[0, tp[:-1]][: tp.size])
    block_size = end - np.where(first, 0, np.r_[0, end[:-1]][: end.size])

    left = np.maximum(end - 1, 1)  # where nothing is left there is no active to multiply it by
    above = _above(block_active * (tp / np.maximum(end, 1)), of_block, n_groups)
    below_inactive = _from(block_active * (tp / left), of_block, n_groups)
    shorter = (tp - 1) / left
    below_active = _from(block_active * shorter, of_block, n_groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        without_inactive = (above + below_inactive) / m[of_block]
        without_active = (above + below_active - shorter) / (m[of_block] - 1)
    ap = np.where(y, without_active[b], without_inactive[b])
    ap[(m[g] - y) < 1] = np.nan

    # Wins of actives over inactives, less those of the pair that is gone.
    fp, block_inactive = end - tp, block_size - block_active
    inactive = (n - m)[of_block]
    wins = np.bincount(of_block, block_active * (inactive - fp + 0.5 * block_inactive), minlength=n_groups)
    of_active = (inactive - fp + 0.5 * block_inactive)[b]
    of_inactive = (tp - 0.5 * block_active)[b]
    pairs_left = (m[g] - y) * (n[g] - m[g] - ~y)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = np.where(pairs_left > 0, (wins[g] - np.where(y, of_active, of_inactive)) / pairs_left, np.nan)

    out = GroupScores(
        np.full(all_y.size, np.nan),
        np.full(all_y.size, np.nan),
        np.asarray(n, dtype=np.int64)[all_g],
        np.asarray(m, dtype=np.int64)[all_g],
    )
    at = labeled[order]
    out.average_precision[at], out.auroc[at] = ap, auroc
    out.n_pairs[labeled] -= 1
    out.n_active[at] -= y
    return out


def _above(values: Floats, of: Ints, n_groups: int) -> Floats:
    """For each block the sum over the blocks of its group before it."""
    running = np.cumsum(values) - values
    total = np.bincount(of, values, minlength=n_groups)
    before: Floats = running - (np.cumsum(total) - total)[of]
    return before


def _from(values: Floats, of: Ints, n_groups: int) -> Floats:
    """For each block the sum over the blocks of its group from itself on."""
    rest: Floats = np.bincount(of, values, minlength=n_groups)[of] - _above(values, of, n_groups)
    return rest
