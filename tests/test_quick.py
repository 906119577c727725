"""The quick checks: against counts by hand and by loops, on what they must refuse and must let pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from polaris_rxrx.quick import Check, check, lines, refused
from polaris_rxrx.task import MetricSpec, Task
from tests.audit.conftest import benchmark

MakeTask = Callable[..., Task]


@pytest.fixture(scope="module")
def large(make_task: MakeTask) -> Task:
    return benchmark(make_task, 5)


def by_name(task: Task, values: Any) -> dict[str, Check]:
    return {c.name: c for c in check(task, np.asarray(values, dtype=np.float64))}


def told(task: Task, values: Any) -> set[str]:
    return {name for name, c in by_name(task, values).items() if c.told}


def names_refused(task: Task, values: Any) -> list[str]:
    return [c.name for c in refused(check(task, np.asarray(values, dtype=np.float64)), task)]


def test_an_honest_model_hears_nothing(large: Task) -> None:
    assert large.active is not None
    for seed in range(10):
        rng = np.random.default_rng(seed)
        assert told(large, large.active + 2 * rng.normal(size=len(large))) == set()


@pytest.mark.parametrize("make", ["y", "3 + 1e-9 * y", "1 - 2 * y"])
def test_labels_are_refused(large: Task, make: str) -> None:
    values = eval(make, {"y": large.active})  # three ways of writing them, one of them upside down
    assert names_refused(large, values) == ["labels"]
    assert not any("two values:" in line.lower()[:21] for line in lines(check(large, values)))


def test_labels_of_a_small_task(make_task: MakeTask) -> None:
    """Exactly the labels is no accident however small the task is; two values that happen to fit may be."""
    small = make_task([("A", "g", 1), ("A", "h", 0), ("A", "i", 0), ("B", "g", None)])
    assert names_refused(small, [1, 0, 0, 0.5]) == ["labels"]
    assert names_refused(small, [2, 0, 0, 0]) == [] and "labels" in told(small, [2, 0, 0, 0])


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -3.5e300])
def test_a_constant_is_refused(make_task: MakeTask, labels: bool, value: float) -> None:
    pairs = [(t, g, float(g == "g")) for t in "AB" for g in "ghi"]
    task = make_task(pairs, labels=labels)
    found = [c for c in check(task, np.full(6, value)) if c.name == "constant"]
    assert names_refused(task, np.full(6, value)) == ["constant"]
    assert ("untouched sample_submission.csv" in found[0].words) is (value == 0)


def test_constant_in_each_treatment(make_task: MakeTask) -> None:
    """It ranks nothing by treatment, but something pooled."""
    pairs = [(t, g, float(g == "g")) for t in "AB" for g in "ghi"]
    values = [1, 1, 1, 2, 2, 2]
    assert names_refused(make_task(pairs), values) == ["constant"]
    pooled = MetricSpec(name="pooled", label="pr_auc")
    assert names_refused(make_task(pairs, metrics=[pooled]), values) == []
    assert names_refused(make_task(pairs, metrics=[pooled]), np.ones(6)) == ["constant"]
    half = by_name(make_task(pairs), [1, 1, 1, 1, 2, 3])["constant"]
    assert half.verdict == "warn" and "'A'" in half.words


def test_one_pair_is_no_constant(make_task: MakeTask) -> None:
    assert names_refused(make_task([("A", "g", 1)]), [0.0]) == []


def test_reversed_scores(large: Task) -> None:
    assert large.active is not None
    values = -(0.4 * large.active + np.random.default_rng(0).normal(size=len(large)))
    found = by_name(large, values)["direction"]
    aurocs, aps = [], []
    for name in set(large.treatment):
        own = np.array([t == name for t in large.treatment])
        aurocs.append(roc_auc_score(large.active[own], -values[own]))
        aps.append(average_precision_score(large.active[own], -values[own]))
    assert found.evidence["reversed"] and found.evidence["roc_auc_reversed"] == pytest.approx(np.mean(aurocs))
    assert found.evidence["pr_auc_reversed"] == pytest.approx(np.mean(aps))
    assert f"1 - AUROC would be {np.mean(aurocs):.2f}" in found.words
    assert "direction" not in told(large, -values)
    assert lines([found], brief=True) == lines([found])


def test_chance_is_not_called_reversed(large: Task) -> None:
    """Random scores, and scores with an effect for each gene, at most once in a thousand; 100 of each."""
    gene, names = large.groups("gene_symbol")
    below = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        for values in (rng.normal(size=len(large)), rng.normal(size=len(names))[gene]):
            found = by_name(large, values)["direction"]
            assert not found.evidence["reversed"], found.words
            below += found.told
            assert lines([found], brief=True) == []
    assert 80 < below < 190  # below chance by one of two figures: about every other time, and said as a fact


def test_the_spread_of_chance_is_that_of_a_simulation(large: Task) -> None:
    rng = np.random.default_rng(1)
    drawn = [
        by_name(large, rng.normal(size=len(large)))["direction"].evidence["standard_deviations"]
        for _ in range(200)
    ]
    assert 1.7 * np.std(drawn) == pytest.approx(1, abs=0.15) and abs(np.mean(drawn)) < 0.2


def test_two_values(large: Task, make_task: MakeTask) -> None:
    assert large.active is not None
    group, _ = large.groups("treatment")
    noise = large.active + 2 * np.random.default_rng(0).normal(size=len(large))
    assert "two-values" in told(large, noise > 1)
    assert names_refused(large, noise > 1) == []
    assert "two-values" in told(large, (noise > 1) + 10.0 * group)  # on a scale of each treatment's own
    assert "two-values" not in told(large, np.clip(np.round(noise), 0, 2))  # three values
    pairs = make_task([(t, g, float(g == "g")) for t in "ABCD" for g in "gh"])
    assert "two-values" not in told(pairs, [1, 0] * 4)  # two pairs a treatment have no more


def test_a_competition_has_no_labels_to_look_at(make_task: MakeTask) -> None:
    task = make_task([(t, g, None) for t in "AB" for g in "ghi"], labels=False)
    assert [c.name for c in check(task, np.arange(6.0))] == ["constant", "two-values"]
    assert told(task, [0, 1, 0, 0, 1, 1]) == {"two-values"}


@given(data=st.data())
def test_no_scores_are_too_odd(data: st.DataObject, make_task: MakeTask) -> None:
    n = data.draw(st.integers(1, 12))
    pair = st.tuples(st.sampled_from("ABC"), st.just("g"), st.sampled_from([0.0, 1.0, None]))
    task = make_task(data.draw(st.lists(pair, min_size=n, max_size=n)), labels=data.draw(st.booleans()))
    values = data.draw(st.lists(st.sampled_from([0, 1, -1e308, 1e308, 5e-324, 0.3]), min_size=n, max_size=n))
    found = check(task, np.array(values, dtype=np.float64))
    assert len(found) == (2 if task.active is None else 4)
    assert all(c.verdict in ("fail", "warn", "ok", "not checked") and c.words for c in found)
    both = refused(found, task)
    if (
        n > 1
        and len(set(values)) == 1
        and (task.active is None or len(task.active[~np.isnan(task.active)]) > 1)
    ):
        assert [c.name for c in both if c.name == "constant"] == ["constant"]
