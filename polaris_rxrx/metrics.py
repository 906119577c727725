"""Average precision and AUROC of many groups at once: numpy arrays in, numpy arrays out.

Conventions
    A higher score means more likely active. `active` is 1, 0 or NaN (no label: the pair is left out).
    `group` is the treatment of a pair as a code 0..n_groups-1. Pairs may come in any order; scores that are
    equal are one threshold, so the order of tied pairs never matters.
    Undefined values are NaN: average precision without an active, AUROC without both classes.

Source
    Average precision is sum_k (R_k - R_{k-1}) P_k over the distinct thresholds, AUROC the share of
    (active, inactive) pairs in the right order, a tie counting one half: scikit-learn's
    `average_precision_score` and `roc_auc_score`, as polaris-lib applies them to each group.

Deviations from polaris-lib 0.13
    1. NaN and infinite scores are refused here; the client drops the treatment and the mean may rise.
    2. AUROC of a one-class treatment is NaN here for the caller to leave out; what the client makes of it
       depends on the version of scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polaris_rxrx.types import Floats, Ints


@dataclass(frozen=True)
class GroupScores:
    """One value a group, each array of shape (n_groups,)."""

    average_precision: Floats
    auroc: Floats
    n_pairs: Ints
    n_active: Ints


def group_scores(active: ArrayLike, score: ArrayLike, group: ArrayLike, n_groups: int) -> GroupScores:
    """Score every group in one pass.

    Args:
        active: Labels 1, 0 or NaN, shape (n_pairs,).
        score: Finite scores, shape (n_pairs,).
        group: Codes 0..n_groups-1, shape (n_pairs,).
        n_groups: How many groups there are; a code may be unused.

    Raises:
        ValueError: Shapes differ, a score is not finite, a label is not 0, 1 or NaN, a code out of range.
    """
    y = np.asarray(active, dtype=np.float64)
    s = np.asarray(score, dtype=np.float64)
    g = np.asarray(group, dtype=np.int64)
    if not (y.ndim == 1 and y.shape == s.shape == g.shape):
        raise ValueError(f"active {y.shape}, score {s.shape} and group {g.shape} must be of one length")
    if not np.isfinite(s).all():
        raise ValueError(f"score {np.flatnonzero(~np.isfinite(s))[0]} is not finite")
    labelled = ~np.isnan(y)
    if not np.isin(y[labelled], (0.0, 1.0)).all():
        raise ValueError("labels must be 0, 1 or NaN")
    if g.size and not (g.min() >= 0 and g.max() < n_groups):
        raise ValueError(f"group codes must lie in 0..{n_groups - 1}")
    if not labelled.all():
        y, s, g = y[labelled], s[labelled], g[labelled]

    # Groups ascending, scores descending; a block is a run of equal scores within a group.
    order = np.lexsort((-s, g))
    y, s, g = y[order], s[order], g[order]
    n_pairs = np.bincount(g, minlength=n_groups)
    n_active = np.bincount(g[y == 1], minlength=n_groups)
    end = np.flatnonzero(np.r_[(s[1:] != s[:-1]) | (g[1:] != g[:-1]), True][: s.size])
    of = g[end]
    # Actives and inactives of the group down to each block's end, and in the block alone.
    tp = np.cumsum(y == 1)[end] - (np.cumsum(n_active) - n_active)[of]
    fp = end + 1 - (np.cumsum(n_pairs) - n_pairs)[of] - tp
    first = np.r_[True, of[1:] != of[:-1]][: of.size]
    block_tp = tp - np.where(first, 0, np.r_[0, tp[:-1]][: tp.size])
    block_fp = fp - np.where(first, 0, np.r_[0, fp[:-1]][: fp.size])

    n_inactive = n_pairs - n_active
    precision_sum = np.bincount(of, block_tp * (tp / (tp + fp)), minlength=n_groups)
    # An active beats the inactives of lower thresholds, and half of those of its own.
    wins = np.bincount(of, block_tp * (n_inactive[of] - fp + 0.5 * block_fp), minlength=n_groups)
    with np.errstate(invalid="ignore"):  # 0/0 where a group lacks a class: NaN, as said above
        return GroupScores(precision_sum / n_active, wins / (n_active * n_inactive), n_pairs, n_active)
