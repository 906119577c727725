"""Precision-recall and ROC curves of all pairs pooled: numpy arrays in, numpy arrays out.

Conventions
    A higher score means more likely active; labels are 1, 0 or NaN (no label: the pair is left out). Pairs of
    all treatments stand in one ranking, so the areas are not the official means over treatments.
    A point is a threshold, highest first; scores that are equal are one threshold. The first point is above
    every score: nothing is found, and precision is 1 by convention.
    Between two thresholds precision is that of the lower one (steps, not a slope); the ROC curve is straight.
    Undefined values are NaN: recall without an active, the false positive rate without an inactive.

Source
    scikit-learn's `precision_recall_curve` (which runs the other way) and `roc_curve`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polaris_rxrx.types import Bools, Floats, Ints

MOST = 1_500  # points: more than a screen can show


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision, recall, false and true positive rate as the threshold falls; arrays of equal length.

    The first point is above every score: recall, fpr and tpr are 0 and precision is 1 there, as scikit-learn
    has it. What is undefined (AUROC of one class) is NaN. The two areas are of the whole curve.
    """

    recall: Floats
    precision: Floats
    fpr: Floats
    tpr: Floats
    average_precision: float
    auroc: float


def pooled_curve(active: ArrayLike, score: ArrayLike, *, most: int | None = MOST) -> Curve:
    """The curves of pairs in one ranking.

    Thresholds amid a run that finds no active are left out: both curves are straight there. If more than
    `most` points are left, those closer to the last one kept than the eye can tell go too.

    Args:
        active: Labels 1, 0 or NaN, shape (n_pairs,).
        score: Finite scores, shape (n_pairs,).
        most: Points at most, 100 or more; None for all that bend a curve.

    Raises:
        ValueError: Shapes differ, a score is not finite, a label is not 0, 1 or NaN, `most` is below 100.
    """
    y = np.asarray(active, dtype=np.float64)
    s = np.asarray(score, dtype=np.float64)
    if not (y.ndim == 1 and y.shape == s.shape):
        raise ValueError(f"active {y.shape} and score {s.shape} must be of one length")
    if not np.isfinite(s).all():
        raise ValueError(f"score {np.flatnonzero(~np.isfinite(s))[0]} is not finite")
    if not np.isin(y[~np.isnan(y)], (0.0, 1.0)).all():
        raise ValueError("labels must be 0, 1 or NaN")
    if most is not None and most < 100:
        raise ValueError(f"most is {most}; 100 or more was expected")
    tp, fp = counts_by_threshold(y, s)
    n_active, n_inactive = int(tp[-1]), int(fp[-1])
    with np.errstate(invalid="ignore"):  # 0/0 where a class is absent: NaN, as said above
        tpr, fpr = tp / n_active, fp / n_inactive
    precision = np.ones(len(tp))
    np.divide(tp, tp + fp, out=precision, where=tp + fp > 0)
    gained = np.diff(tp)
    # An active beats the inactives of lower thresholds, and half of those of its own.
    wins = gained * (n_inactive - fp[1:] + 0.5 * np.diff(fp))
    points = np.stack([tpr, precision, fpr])
    points = points[:, _bends(tp)]
    if most is not None:
        points = _thin(points, most)
    return Curve(
        recall=points[0],
        precision=points[1],
        fpr=points[2],
        tpr=points[0],
        average_precision=float((gained * precision[1:]).sum() / n_active) if n_active else float("nan"),
        auroc=float(wins.sum() / (n_active * n_inactive)) if n_active and n_inactive else float("nan"),
    )


def counts_by_threshold(y: Floats, s: Floats) -> tuple[Ints, Ints]:
    """Actives and inactives at or above each distinct score, highest first, after a first point of none."""
    labelled = ~np.isnan(y)
    y, s = y[labelled], s[labelled]
    order = np.argsort(-s, kind="stable")
    y, s = y[order], s[order]
    end = np.flatnonzero(np.r_[s[1:] != s[:-1], True][: s.size])
    tp = np.cumsum(y == 1)[end]
    return np.r_[0, tp].astype(np.int64), np.r_[0, end + 1 - tp].astype(np.int64)


def _bends(tp: Ints) -> Bools:
    """Whether an active is found at a point or right after it; and the two ends."""
    found = np.diff(tp) > 0
    bends: Bools = np.r_[True, found] | np.r_[found, True]
    return bends


def _thin(points: Floats, most: int) -> Floats:
    """At most `most` of the points (k, n): those further than a step from the last one kept, and the ends."""
    if points.shape[1] <= most:
        return points
    known = points[~np.isnan(points).any(axis=1)]
    step = 1 / (2 * most)
    while True:
        keep = [0]
        last = known[:, 0]
        for i in range(1, known.shape[1] - 1):
            if np.abs(known[:, i] - last).max() > step:
                keep.append(i)
                last = known[:, i]
        keep.append(known.shape[1] - 1)
        if len(keep) <= most:
            return points[:, keep]
        step *= 1.3
