"""Grouped average precision and AUROC against slow, obvious twins and scikit-learn."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from polaris_rxrx.errors import UsageError
from polaris_rxrx.metrics import METRICS, GroupScores, group_scores, metric_of

N_GROUPS = 5  # of which the strategies below use at most four
AWKWARD = (0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 1e-310, 1e308, -1e308, 1.0 + 2**-52, 0.1 + 0.2, 0.3)

labels = st.sampled_from((0.0, 1.0, np.nan))
scores = st.one_of(st.sampled_from(AWKWARD), st.floats(allow_nan=False, allow_infinity=False))
codes = st.integers(0, 3)
tables = st.lists(st.tuples(labels, scores, codes), max_size=40)
small_tables = st.lists(st.tuples(st.sampled_from((0.0, 1.0)), st.integers(-4, 4), codes), max_size=40)

Arrays = tuple[Any, Any, Any]


def arrays(rows: list[tuple[float, float, int]]) -> Arrays:
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return np.array(columns[0]), np.array(columns[1], dtype=np.float64), np.array(columns[2], dtype=np.int64)


def values(found: GroupScores) -> Any:
    return np.array([found.average_precision, found.auroc, found.n_pairs, found.n_active])


def slow_average_precision(y: list[float], s: list[float]) -> float:
    """Sum over thresholds of recall gained times precision there."""
    if 1 not in y:
        return float("nan")
    total = recall_before = 0.0
    for threshold in sorted(set(s), reverse=True):
        above = [label for label, score in zip(y, s, strict=True) if score >= threshold]
        recall = sum(above) / sum(y)
        total += (recall - recall_before) * sum(above) / len(above)
        recall_before = recall
    return total


def slow_auroc(y: list[float], s: list[float]) -> float:
    """The share of (active, inactive) pairs in the right order; a tie is half right."""
    actives = [score for label, score in zip(y, s, strict=True) if label == 1]
    inactives = [score for label, score in zip(y, s, strict=True) if label == 0]
    if not actives or not inactives:
        return float("nan")
    wins = sum((a > b) + 0.5 * (a == b) for a in actives for b in inactives)
    return wins / (len(actives) * len(inactives))


def of_group(table: Arrays, code: int) -> tuple[list[float], list[float]]:
    y, s, g = table
    keep = (g == code) & ~np.isnan(y)
    return y[keep].tolist(), s[keep].tolist()


@given(tables)
def test_every_group_is_what_the_slow_twins_say(rows: list[tuple[float, float, int]]) -> None:
    table = arrays(rows)
    found = group_scores(*table, N_GROUPS)
    for code in range(N_GROUPS):
        y, s = of_group(table, code)
        assert found.average_precision[code] == pytest.approx(
            slow_average_precision(y, s), abs=1e-12, nan_ok=True
        )
        assert found.auroc[code] == pytest.approx(slow_auroc(y, s), abs=1e-12, nan_ok=True)
        assert (found.n_pairs[code], found.n_active[code]) == (len(y), sum(y))


@given(tables)
def test_every_group_is_what_scikit_learn_says(rows: list[tuple[float, float, int]]) -> None:
    table = arrays(rows)
    found = group_scores(*table, N_GROUPS)
    for code in range(N_GROUPS):
        y, s = of_group(table, code)
        with warnings.catch_warnings():  # it subtracts scores of 1e308
            warnings.simplefilter("ignore", RuntimeWarning)
            if 1 in y:
                expected = average_precision_score(y, s)
                assert found.average_precision[code] == pytest.approx(expected, abs=1e-12)
            if 1 in y and 0 in y:
                assert found.auroc[code] == pytest.approx(roc_auc_score(y, s), abs=1e-12)


@pytest.mark.parametrize(
    ("y", "s", "average_precision", "auroc"),
    [
        ([1, 0, 0, 0], [4, 3, 2, 1], 1, 1),
        ([0, 0, 0, 1], [4, 3, 2, 1], 1 / 4, 0),
        ([1, 0, 1, 0], [4, 3, 2, 1], (1 + 2 / 3) / 2, 3 / 4),
        ([1, 0], [0.0, -0.0], 1 / 2, 1 / 2),
        ([1, 0], [5e-324, 0.0], 1, 1),
        ([1, 0], [-1e308, 1e308], 1 / 2, 0),
        ([1, 1, 0, 0], [2, 1, 1, 0], (1 + 2 / 3) / 2, 7 / 8),
        ([1], [3], 1, np.nan),
        ([0], [3], np.nan, np.nan),
        ([1, 1], [1, 2], 1, np.nan),
        ([0, 0], [1, 2], np.nan, np.nan),
        ([np.nan], [1], np.nan, np.nan),
        ([1, np.nan, 0], [1, 9, 0], 1, 1),
    ],
)
def test_by_hand(y: list[float], s: list[float], average_precision: float, auroc: float) -> None:
    found = group_scores(y, s, np.zeros(len(y), dtype=int), 1)
    assert found.average_precision == pytest.approx([average_precision], nan_ok=True, abs=1e-15)
    assert found.auroc == pytest.approx([auroc], nan_ok=True, abs=1e-15)


@pytest.mark.parametrize("n_groups", [0, 3])
def test_nothing_to_score(n_groups: int) -> None:
    found = group_scores([], [], [], n_groups)
    assert found.average_precision.shape == found.auroc.shape == (n_groups,)
    assert np.isnan(found.average_precision).all() and np.isnan(found.auroc).all()
    assert found.n_pairs.tolist() == found.n_active.tolist() == [0] * n_groups


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from(AWKWARD), st.randoms())
def test_all_tied_scores_prevalence_and_half(active: int, inactive: int, score: float, random: Any) -> None:
    y = [1] * active + [0] * inactive
    random.shuffle(y)
    found = group_scores(y, np.full(len(y), score), np.zeros(len(y), dtype=int), 1)
    assert found.average_precision[0] == pytest.approx(active / len(y), abs=1e-15)
    assert found.auroc[0] == 0.5


@given(tables, st.randoms())
def test_the_order_of_rows_does_not_matter(rows: list[tuple[float, float, int]], random: Any) -> None:
    shuffled = random.sample(rows, len(rows))
    np.testing.assert_array_equal(
        values(group_scores(*arrays(shuffled), N_GROUPS)), values(group_scores(*arrays(rows), N_GROUPS))
    )


@given(small_tables)
def test_strictly_monotone_transforms_leave_scores_alone(rows: list[tuple[float, float, int]]) -> None:
    y, s, g = arrays(rows)
    expected = values(group_scores(y, s, g, N_GROUPS))
    rank = np.unique(s, return_inverse=True)[1]
    for other in (2 * s, s * 2.0**1000, s * 2.0**-1074, s + 1e6, s**3, np.exp(s), rank):
        np.testing.assert_array_equal(values(group_scores(y, other, g, N_GROUPS)), expected)


@given(small_tables)
def test_flipping_labels_and_scores(rows: list[tuple[float, float, int]]) -> None:
    y, s, g = arrays(rows)
    auroc = group_scores(y, s, g, N_GROUPS).auroc
    np.testing.assert_allclose(group_scores(1 - y, -s, g, N_GROUPS).auroc, auroc, atol=1e-12)
    np.testing.assert_allclose(group_scores(y, -s, g, N_GROUPS).auroc, 1 - auroc, atol=1e-12)


@given(small_tables)
def test_a_group_does_not_feel_the_others(rows: list[tuple[float, float, int]]) -> None:
    together = values(group_scores(*arrays(rows), N_GROUPS))
    for code in range(N_GROUPS):
        alone = group_scores(*arrays([r for r in rows if r[2] == code]), N_GROUPS)
        np.testing.assert_allclose(together[:, code], values(alone)[:, code], atol=1e-12)


def test_any_dtype_and_layout_will_do_and_none_is_changed() -> None:
    random = np.random.default_rng(0)
    y, s, g = random.integers(0, 2, 60), random.integers(0, 9, 60), random.integers(0, 4, 60)
    expected = values(group_scores(y.astype(float), s.astype(float), g, 4))
    strided = np.repeat(np.stack([y, s, g]), 2, axis=1)[:, ::2]
    variants = [
        (y, s, g),
        (y.astype(bool), s.astype(np.float32), g.astype(np.uint8)),
        (y.tolist(), s.tolist(), g.tolist()),
        tuple(strided),
        tuple(np.asfortranarray(np.stack([y, s, g]).T).T),
        tuple(a[::-1] for a in (y, s, g)),
    ]
    for variant in variants:
        before = [np.array(a) for a in variant]
        np.testing.assert_array_equal(values(group_scores(*variant, 4)), expected)
        for a, b in zip(variant, before, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("y", "s", "g", "message"),
    [
        ([1, 0], [1], [0, 0], "one length"),
        ([1, 0], [1, 2], [0], "one length"),
        ([[1, 0]], [[1, 2]], [[0, 0]], "one length"),
        ([1, 0], [1, np.nan], [0, 0], "score 1 is not finite"),
        ([np.nan, 0], [np.inf, 1], [0, 0], "score 0 is not finite"),
        ([1, 2], [1, 2], [0, 0], "labels must be 0, 1 or NaN"),
        ([1, 0.5], [1, 2], [0, 0], "labels must be 0, 1 or NaN"),
        ([1, np.inf], [1, 2], [0, 0], "labels must be 0, 1 or NaN"),
        ([1, 0], [1, 2], [0, 2], r"0\.\.1"),
        ([1, 0], [1, 2], [0, -1], r"0\.\.1"),
    ],
)
def test_what_is_refused(y: Any, s: Any, g: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        group_scores(y, s, g, 2)


# --- the records -------------------------------------------------------------------------------------------


def test_every_metric_is_a_field_with_a_chance_and_a_perfect_value() -> None:
    groups = group_scores([1, 0, 0, 1, 1, 0], [3, 2, 1, 3, 2, 3], [0, 0, 0, 1, 1, 2], 3)
    for key, metric in METRICS.items():
        assert metric_of(key) is metric and metric.key == key
        values, chance, share = metric.values(groups), metric.chance(groups), metric.normalized(groups)
        assert values[0] == share[0] == 1 and 0 < chance[0] < 1  # perfect
        assert np.array_equal(np.isnan(values), np.isnan(chance))
        assert np.isnan(share[1:]).all()  # actives only, none
        down = replace(metric, direction=-1)  # as an error rate is: 0 is perfect
        assert down.normalized(groups)[0] == pytest.approx((1 - chance[0]) / -chance[0])
    with pytest.raises(UsageError, match="metric is 'f1'; expected pr_auc or roc_auc"):
        metric_of("f1")
