"""Comparisons: every number against the slow way, and what cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.metrics import average_precision_score, roc_auc_score

from polaris_rxrx.comparison import Comparison, compare
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.scoring import Score, score
from polaris_rxrx.stats.intervals import bca
from polaris_rxrx.stats.paired import detectable, holm, pairwise_p, sign_flip_p
from polaris_rxrx.stats.resampling import Resampling
from polaris_rxrx.task import Task
from tests.loops import times

MakeTask = Callable[..., Task]


def scored(task: Task, values: object, name: str = "preds.csv") -> Score:
    return score(task, Predictions(np.asarray(values, dtype=np.float64), name))


@pytest.fixture(scope="module")
def middling(make_task: MakeTask) -> Task:
    """80 treatments; one of actives only, one without."""
    pairs = [("all", "G1", 1), ("all", "G2", 1), ("none", "G1", 0)]
    for i in range(80):
        m = 1 + i % 4
        pairs += [(f"c{i:02}", f"G{k}", int(k < m)) for k in range(20 + m)]
    task: Task = make_task(pairs)
    return task


def model(task: Task, strength: float, seed: int) -> np.ndarray:
    assert task.active is not None
    return np.random.default_rng(seed).normal(size=len(task)) + strength * task.active


@pytest.fixture(scope="module")
def good(middling: Task) -> Score:
    return scored(middling, model(middling, 1.5, 0), "good.csv")


@pytest.fixture(scope="module")
def poor(middling: Task) -> Score:
    return scored(middling, model(middling, 0.5, 1), "poor.csv")


@pytest.fixture(scope="module")
def nearly(middling: Task, good: Score) -> Score:
    noise = np.random.default_rng(2).normal(size=len(middling))
    return scored(middling, good.predictions.values + 0.002 * noise, "nearly.csv")


def mean_precision(y: np.ndarray, s: np.ndarray) -> float:
    """Average precision from its definition: the precision at each active's score, averaged."""
    above = s[:, None] <= s
    return float(((above & (y == 1)).sum(axis=1) / above.sum(axis=1))[y == 1].mean())


def share_in_order(y: np.ndarray, s: np.ndarray) -> float:
    """AUROC from its definition: the share of an active and an inactive in order, ties half."""
    apart = s[y == 1][:, None] - s[y == 0]
    return float(((apart > 0) + 0.5 * (apart == 0)).mean())


@pytest.mark.parametrize("metric", ["pr_auc", "roc_auc"])
def test_every_number_by_the_slow_way(middling: Task, good: Score, poor: Score, metric: str) -> None:
    found = compare(good, poor, metric=metric, resamples=2_000, seed=5, level=0.9)  # type: ignore[arg-type]
    theirs = {"pr_auc": average_precision_score, "roc_auc": roc_auc_score}[metric]
    labels, names = np.array(middling.active), np.array(middling.treatment)
    rows = []
    for name in sorted(set(names)):
        of = names == name
        if labels[of].any() and not (metric == "roc_auc" and labels[of].all()):
            rows.append([theirs(labels[of], s.predictions.values[of]) for s in (good, poor)])
    np.testing.assert_allclose(found.values, rows, atol=1e-12)
    defined = {"pr_auc": mean_precision, "roc_auc": share_in_order}
    d = found.values[:, 0] - found.values[:, 1]
    (ours,) = found.differences
    assert ours.mean == pytest.approx(found.means[0] - found.means[1]) == pytest.approx(d.mean())
    # The variance by deleting and scoring again, one treatment, gene and pair at a time.
    genes, in_treatment = np.array(middling.gene_symbol), {t: names == t for t in set(names)}

    def value(of: NDArray[np.bool_]) -> float:
        """The difference in one treatment; NaN where there is none."""
        if not labels[of].any() or (metric == "roc_auc" and labels[of].all()):
            return float("nan")
        a, b = (defined[metric](labels[of], s.predictions.values[of]) for s in (good, poor))
        return float(a - b)

    counted = np.isin(names, found.treatments) & ~np.isnan(labels)
    parts, as_it_was = [], dict(zip(found.treatments, d.tolist(), strict=True))
    for column in (names, genes, np.arange(len(names))):
        means = []
        for k in sorted(set(column[counted])):
            hit = sorted(set(names[counted & (column == k)]))
            kept = (column != k) & ~np.isnan(labels)
            again = [value(in_treatment[t] & kept) for t in hit]
            means.append(np.nanmean([*again, *(x for t, x in as_it_was.items() if t not in hit)]))
        parts.append(np.var(means) * (len(means) - 1))
    v = ours.variance
    assert (v.treatment, v.gene, v.cell) == pytest.approx(tuple(parts), rel=1e-9)
    used = max(parts[0], parts[0] + parts[1] - parts[2])
    stretch = (used / parts[0]) ** 0.5
    assert stretch > 1
    plain = bca(d, Resampling(2_000, 5, 0.9))
    assert ours.interval.low == pytest.approx(ours.mean - stretch * (ours.mean - plain.low))
    assert ours.interval.high == pytest.approx(ours.mean + stretch * (plain.high - ours.mean))
    independent = pairwise_p(found.values, [(0, 1)], Resampling(2_000, 5))[0]
    assert ours.p_value_if_treatments_independent == independent <= ours.p_value == ours.p_corrected
    assert independent == pytest.approx(sign_flip_p(d, Resampling(20_000)), abs=0.01)
    assert ours.detectable == pytest.approx(detectable(used, level=0.9, power=0.8))
    assert (ours.wins, ours.ties, ours.losses) == (
        sum(a > b + 1e-12 for a, b in found.values),
        sum(abs(a - b) <= 1e-12 for a, b in found.values),
        sum(a < b - 1e-12 for a, b in found.values),
    )
    assert ours.verdict == "better"


def test_verdicts(good: Score, poor: Score, nearly: Score) -> None:
    found = compare(good, poor, nearly)
    assert [d.verdict for d in found.differences] == ["better", "tie"]
    assert [d.verdict for d in compare(poor, good, nearly).differences] == ["worse", "worse"]
    tie = found.differences[1]
    assert 0 in tie.interval and tie.ties > 40 and abs(tie.mean) < tie.detectable < 0.02


def test_random_against_random_is_a_tie_as_often_as_promised(middling: Task) -> None:
    """False alarms at level .95: 1 in 20 comparisons of models that know nothing."""
    n = times(120, short=60)
    runs = [scored(middling, model(middling, 0, seed)) for seed in range(2 * n)]
    verdicts = [
        compare(a, b, names=("a", "b"), resamples=300).differences[0].verdict
        for a, b in zip(runs[::2], runs[1::2], strict=True)
    ]
    assert sum(v != "tie" for v in verdicts) <= binom.isf(0.003, n, 0.05)  # 13 of 120


def test_holm_over_the_comparisons_made(good: Score, poor: Score, nearly: Score) -> None:
    some, every = compare(good, poor, nearly), compare(good, poor, nearly, all_pairs=True)
    assert [(d.first, d.second) for d in some.differences] == [(0, 1), (0, 2)]
    assert [(d.first, d.second) for d in every.differences] == [(0, 1), (0, 2), (1, 2)]
    for found in (some, every):
        assert [d.p_corrected for d in found.differences] == holm([d.p_value for d in found.differences])
    assert every.differences[0].p_corrected > some.differences[0].p_corrected


def test_what_is_detectable_grows_with_the_comparisons(good: Score, poor: Score, nearly: Score) -> None:
    """Found as often as promised although Holm divides the level: the smallest p must be below .05 / 3."""
    one, three = compare(good, poor), compare(good, poor, nearly, all_pairs=True)
    d = three.differences[0]
    used = d.variance.of("both")
    assert d.detectable == detectable(used, level=1 - 0.05 / 3) > one.differences[0].detectable
    rng = np.random.default_rng(0)
    spread = np.sqrt(used * 81)
    p = [sign_flip_p(rng.normal(d.detectable, spread, 81), Resampling(600, i)) for i in range(400)]
    assert 0.74 <= np.mean(np.array(p) * 3 < 0.05) <= 0.86


def test_many_comparisons_draw_more_signs(middling: Task, good: Score) -> None:
    """Of 120 comparisons at 100 draws, Holm's smallest p-value would be 120 / 101."""
    runs = [scored(middling, model(middling, 0, seed), f"{seed}") for seed in range(15)]
    found = compare(good, *runs, all_pairs=True, resamples=100)
    assert found.to_dict()["method"]["sign_flips"] == 12_000
    assert {d.verdict for d in found.differences if d.first == 0} == {"better"}


def test_swapping_turns_the_sign(good: Score, poor: Score) -> None:
    (one,), (other,) = compare(good, poor).differences, compare(poor, good).differences
    assert (one.mean, one.wins, one.losses) == (-other.mean, other.losses, other.wins)
    assert one.p_value == other.p_value


def test_where_they_differ_most(middling: Task, good: Score, poor: Score) -> None:
    found = compare(good, poor)
    (d,) = found.differences
    table = found.per_treatment()
    gaps = (table["good.csv"] - table["poor.csv"]).abs().sort_values(ascending=False, kind="stable")
    apart = found.apart(d, 7)
    assert [abs(a - b) for _, a, b in apart] == pytest.approx(gaps.to_numpy()[:7].tolist())
    for name, a, b in apart:
        assert table.loc[name].tolist() == [a, b]


def test_only_real_gaps_are_shown(make_task: MakeTask) -> None:
    task = make_task([(t, g, int(g == "G0")) for t in "AB" for g in ("G0", "G1")])
    found = compare(scored(task, [2, 1, 2, 1], "x"), scored(task, [2, 1, 1, 2], "y"))
    assert found.apart(found.differences[0]) == [("B", 1.0, 0.5)]


def test_monotone_transforms_rank_alike(good: Score, middling: Task) -> None:
    (d,) = compare(good, scored(middling, np.exp(good.predictions.values), "exp")).differences
    assert (d.mean, d.p_value, d.ties, d.verdict, d.detectable) == (0, 1, 81, "tie", 0)
    assert (d.interval.low, d.interval.high) == (0, 0)


# --- what cannot be compared -------------------------------------------------------------------------------


def test_identical_predictions(middling: Task, good: Score) -> None:
    same = scored(middling, good.predictions.values, "copy.csv")
    with pytest.raises(DataError, match=r"good\.csv and copy\.csv hold the same scores"):
        compare(good, same)
    with pytest.raises(DataError, match=r"good\.csv 2 hold the same"):
        compare(good, good)


def test_different_tasks(middling: Task, make_task: MakeTask, good: Score) -> None:
    assert middling.active is not None
    pairs = list(zip(middling.treatment, middling.gene_symbol, middling.active.tolist(), strict=True))
    other_label = [*pairs[:-1], (*pairs[-1][:2], 1 - pairs[-1][2])]
    other_gene = [*pairs[:-1], (pairs[-1][0], "OTHER", pairs[-1][2])]
    for changed in (other_label, other_gene, pairs[:-1]):
        task = make_task(changed, artifact_id="someone/else")
        with pytest.raises(DataError, match=r"good\.csv was scored on someone/small and b on someone/else"):
            compare(good, scored(task, np.arange(len(task)), "b"))


def test_the_same_task_loaded_twice(middling: Task, good: Score, poor: Score) -> None:
    again = scored(replace(middling), poor.predictions.values, "poor.csv")
    assert compare(good, again).differences[0].mean == compare(good, poor).differences[0].mean


@pytest.mark.parametrize("metric", ["pr_auc", "roc_auc"])
def test_one_treatment(make_task: MakeTask, metric: str) -> None:
    task = make_task([("A", "G0", 1), ("A", "G1", 0), ("B", "G0", 0)])
    with pytest.raises(DataError, match="defined for 1 of its treatments; at least 2"):
        compare(scored(task, [2, 1, 0], "a"), scored(task, [1, 2, 0], "b"), metric=metric)  # type: ignore[arg-type]


def test_two_treatments_say_little(make_task: MakeTask) -> None:
    task = make_task([(t, g, int(g == "G0")) for t in "AB" for g in ("G0", "G1")])
    (d,) = compare(scored(task, [2, 1, 2, 1], "a"), scored(task, [1, 2, 1, 2], "b")).differences
    assert (d.mean, d.p_value, d.verdict) == (0.5, 0.5, "tie")


@pytest.mark.parametrize("names", [("a",), ("a", "a"), ("a", "b", "c")])
def test_names_must_tell_them_apart(good: Score, poor: Score, names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="2 different names were expected"):
        compare(good, poor, names=names)


def test_one_score_is_not_a_comparison(good: Score) -> None:
    with pytest.raises(UsageError, match="two or more"):
        compare(good)


def test_an_unknown_metric(good: Score, poor: Score) -> None:
    with pytest.raises(UsageError, match="expected pr_auc or roc_auc"):
        compare(good, poor, metric="f1")  # type: ignore[arg-type]


# --- shown -------------------------------------------------------------------------------------------------


def test_json_is_strict(good: Score, poor: Score, nearly: Score) -> None:
    document = json.loads(json.dumps(compare(good, poor, nearly).to_dict(3), allow_nan=False))
    assert [c["second"] for c in document["comparisons"]] == ["poor.csv", "nearly.csv"]
    assert [len(c["apart"]) for c in document["comparisons"]] == [3, 1]
    assert document["method"]["n_comparisons"] == 2 and document["n_treatments"] == 81


def test_in_a_notebook(make_task: MakeTask) -> None:
    bad = "<img src=x onerror=alert(1)>"
    task = make_task([(t, g, int(g == "G0")) for t in ("A", bad) for g in ("G0", "G1")], artifact_id=bad)
    found = compare(scored(task, [2, 1, 2, 1], f"{bad}.csv"), scored(task, [2, 1, 1, 2], "y"))
    page = found._repr_html_()
    assert "<img" not in page and page.count("&lt;img src=x onerror=alert(1)&gt;") == 4
    assert "+0.2500" in page and "<svg" in page and "script" not in page
    assert repr(found) == f"<Comparison of '{bad}.csv' on '{bad}': 'y' +0.2500 (tie)>"


def test_from_the_package(good: Score, poor: Score) -> None:
    import polaris_rxrx as pr

    assert isinstance(pr.compare(good, poor), Comparison)
