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

from polaris_rxrx.metrics import GroupScores, blocks
from polaris_rxrx.types import Floats, Ints


def without_each(active: ArrayLike, score: ArrayLike, group: ArrayLike, n_groups: int) -> GroupScores:
    """Score every group without each of its pairs.

    Args:
        active: Labels 1, 0 or NaN, shape (n_pairs,).
        score: Finite scores, shape (n_pairs,).
        group: Codes 0..n_groups-1, shape (n_pairs,).
        n_groups: How many groups there are.

    Raises:
        ValueError: As `group_scores`.

    The active pair is second of three. Without the one above it is first; without itself nothing is defined:

    >>> left = without_each([0, 1, 0], [0.9, 0.5, 0.1], [0, 0, 0], n_groups=1)
    >>> left.average_precision.tolist()
    [1.0, nan, 0.5]
    """
    all_y, all_g = np.asarray(active, dtype=np.float64), np.asarray(group, dtype=np.int64)
    b = blocks(all_y, score, all_g, n_groups)
    y, g = all_y[b.order] == 1, all_g[b.order]
    n, m = b.n_pairs, b.n_active
    end = b.tp + b.fp

    left = np.maximum(end - 1, 1)  # where nothing is left there is no active to multiply it by
    above = _above(b.active * (b.tp / np.maximum(end, 1)), b.group, n_groups)
    below_inactive = _from(b.active * (b.tp / left), b.group, n_groups)
    shorter = (b.tp - 1) / left
    below_active = _from(b.active * shorter, b.group, n_groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        without_inactive = (above + below_inactive) / m[b.group]
        without_active = (above + below_active - shorter) / (m[b.group] - 1)
    ap = np.where(y, b.by_pair(without_active), b.by_pair(without_inactive))
    ap[(m[g] - y) < 1] = np.nan

    # Wins of actives over inactives, less those of the pair that is gone.
    of_active = (n - m)[b.group] - b.fp + 0.5 * b.inactive
    of_inactive = b.tp - 0.5 * b.active
    wins = np.bincount(b.group, b.active * of_active, minlength=n_groups)
    gone = np.where(y, b.by_pair(of_active), b.by_pair(of_inactive))
    pairs_left = (m[g] - y) * (n[g] - m[g] - ~y)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = np.where(pairs_left > 0, (wins[g] - gone) / pairs_left, np.nan)

    out = GroupScores(
        np.full(all_y.size, np.nan),
        np.full(all_y.size, np.nan),
        np.asarray(n, dtype=np.int64)[all_g],
        np.asarray(m, dtype=np.int64)[all_g],
    )
    out.average_precision[b.order], out.auroc[b.order] = ap, auroc
    out.n_pairs[b.order] -= 1
    out.n_active[b.order] -= y
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
