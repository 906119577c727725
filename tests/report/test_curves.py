"""Pooled curves against a slow, obvious twin and scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from polaris_rxrx.report.curves import Curve, pooled_curve

pairs = st.lists(
    st.tuples(
        st.sampled_from((0.0, 1.0, np.nan)), st.one_of(st.integers(-3, 3).map(float), st.floats(-1e3, 1e3))
    ),
    max_size=40,
)
both_classes = pairs.filter(lambda rows: {0.0, 1.0} <= {y for y, _ in rows})


def arrays(rows: list[tuple[float, float]]) -> tuple[Any, Any]:
    return np.array([y for y, _ in rows], dtype=float), np.array([s for _, s in rows], dtype=float)


def slow_points(y: Any, s: Any) -> list[tuple[float, float, float]]:
    """Recall, precision and false positive rate at every threshold, highest first."""
    known = [(a, b) for a, b in zip(y.tolist(), s.tolist(), strict=True) if a == a]
    n_active, n_inactive = sum(a == 1 for a, _ in known), sum(a == 0 for a, _ in known)
    points = [(0.0, 1.0, 0.0)]
    for threshold in sorted({b for _, b in known}, reverse=True):
        tp = sum(a == 1 and b >= threshold for a, b in known)
        fp = sum(a == 0 and b >= threshold for a, b in known)
        points.append((tp / n_active, tp / (tp + fp), fp / n_inactive))
    return points


def area_of_steps(curve: Curve) -> float:
    return float((np.diff(curve.recall) * curve.precision[1:]).sum())


def area_of_line(curve: Curve) -> float:
    return float((np.diff(curve.fpr) * (curve.tpr[1:] + curve.tpr[:-1]) / 2).sum())


def lies_on(point: tuple[float, float, float], curve: Curve) -> bool:
    """Whether a threshold that was left out lies between two neighbours that find as many actives."""
    recall, precision, fpr = point
    for i in range(len(curve.recall) - 1):
        if curve.recall[i] == recall == curve.recall[i + 1] and curve.fpr[i] <= fpr <= curve.fpr[i + 1]:
            return bool(curve.precision[i] >= precision >= curve.precision[i + 1])
    return False


@given(both_classes)
def test_every_threshold_is_a_point_or_lies_on_the_curve(rows: list[tuple[float, float]]) -> None:
    y, s = arrays(rows)
    found = pooled_curve(y, s)
    kept = list(zip(found.recall, found.precision, found.fpr, strict=True))
    expected = slow_points(y, s)
    assert kept[0] == (0, 1, 0)
    assert kept[-1] == expected[-1]
    assert set(kept) <= set(expected)
    for point in expected:
        assert point in kept or lies_on(point, found)
    assert np.array_equal(found.tpr, found.recall)


@given(both_classes)
def test_areas_are_those_of_scikit_learn_and_of_the_points_kept(rows: list[tuple[float, float]]) -> None:
    y, s = arrays(rows)
    found = pooled_curve(y, s)
    known = ~np.isnan(y)
    assert found.average_precision == pytest.approx(average_precision_score(y[known], s[known]), abs=1e-12)
    assert found.auroc == pytest.approx(roc_auc_score(y[known], s[known]), abs=1e-12)
    assert area_of_steps(found) == pytest.approx(found.average_precision, abs=1e-12)
    assert area_of_line(found) == pytest.approx(found.auroc, abs=1e-12)


@given(both_classes)
def test_points_are_those_of_scikit_learn(rows: list[tuple[float, float]]) -> None:
    y, s = arrays(rows)
    found = pooled_curve(y, s)
    known = ~np.isnan(y)
    precision, recall, _ = precision_recall_curve(y[known], s[known])
    theirs = set(zip(recall.tolist(), precision.tolist(), strict=True))
    assert set(zip(found.recall.tolist(), found.precision.tolist(), strict=True)) <= theirs
    fpr, tpr, _ = roc_curve(y[known], s[known], drop_intermediate=False)
    assert set(zip(found.fpr.tolist(), found.tpr.tolist(), strict=True)) <= set(
        zip(fpr.tolist(), tpr.tolist(), strict=True)
    )


@given(both_classes, st.randoms())
def test_the_order_of_pairs_does_not_matter(rows: list[tuple[float, float]], random: Any) -> None:
    mixed = rows.copy()
    random.shuffle(mixed)
    a, b = pooled_curve(*arrays(rows)), pooled_curve(*arrays(mixed))
    assert (a.average_precision, a.auroc) == (b.average_precision, b.auroc)
    for name in ("recall", "precision", "fpr"):
        assert np.array_equal(getattr(a, name), getattr(b, name))


def test_equal_scores_are_one_threshold() -> None:
    found = pooled_curve([1, 0, 0, 0], [2, 2, 2, 2])
    assert found.recall.tolist() == [0, 1]
    assert found.precision.tolist() == [1, 0.25]
    assert (found.average_precision, found.auroc) == (0.25, 0.5)


def test_a_run_without_an_active_is_one_step() -> None:
    found = pooled_curve([1, *[0] * 50, 1], range(52, 0, -1))
    assert found.recall.tolist() == [0, 0.5, 0.5, 1]
    assert found.fpr.tolist() == [0, 0, 1, 1]


def test_many_pairs_make_few_points_that_draw_the_same() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(17_500) < 0.3).astype(float)
    s = rng.random(17_500) + 0.3 * y
    all_points, few = pooled_curve(y, s, most=None), pooled_curve(y, s)
    assert len(all_points.recall) > 5_000
    assert len(few.recall) <= 1_500
    assert (few.average_precision, few.auroc) == (all_points.average_precision, all_points.auroc)
    assert area_of_steps(few) == pytest.approx(few.average_precision, abs=1e-3)
    assert area_of_line(few) == pytest.approx(few.auroc, abs=1e-4)
    # No threshold is further than half a pixel, of 640, from a point that is kept.
    kept = np.stack([few.recall, few.precision, few.fpr])
    dropped = np.stack([all_points.recall, all_points.precision, all_points.fpr])
    last = np.searchsorted(few.recall + few.fpr, dropped[0] + dropped[2], side="right") - 1
    assert np.abs(dropped - kept[:, last]).max() < 0.5 / 640 * 3


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_has_no_auroc(label: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pooled_curve([label, label], [1, 2])
    assert np.isnan(found.auroc)
    assert (found.average_precision == 1) if label else np.isnan(found.average_precision)


def test_no_labels_at_all() -> None:
    found = pooled_curve([np.nan], [1])
    assert np.isnan([found.average_precision, found.auroc]).all()


@pytest.mark.parametrize(
    ("y", "s", "most", "message"),
    [
        ([1, 0], [1], None, "one length"),
        ([1, 0], [1, np.inf], None, "score 1 is not finite"),
        ([1, 2], [1, 2], None, "0, 1 or NaN"),
        ([1, 0], [1, 2], 99, "100 or more"),
    ],
)
def test_what_cannot_be_is_refused(y: list[float], s: list[float], most: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pooled_curve(y, s, most=most)
