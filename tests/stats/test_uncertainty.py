"""What a score report says of its own noise, on awkward tasks and on a model that is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from polaris_rxrx import scoring
from polaris_rxrx.errors import UsageError
from polaris_rxrx.metrics import expected_average_precision
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.scoring import Score, score
from polaris_rxrx.stats.chance import random_means
from polaris_rxrx.stats.intervals import bca
from polaris_rxrx.stats.resampling import Resampling
from polaris_rxrx.stats.uncertainty import Uncertainty
from polaris_rxrx.task import Task
from tests.loops import times

MakeTask = Callable[..., Task]
NAN = float("nan")


def scored(task: Task, values: object) -> Score:
    return score(task, Predictions(np.asarray(values, dtype=np.float64), "preds.csv"))


@pytest.fixture(scope="module")
def middling(make_task: MakeTask) -> Task:
    """60 treatments of 21 to 26 pairs, one of actives only, one of none, a missing label."""
    rng = np.random.default_rng(0)
    pairs = [("all", "G1", 1), ("all", "G2", 1), ("none", "G1", 0), ("some", "G1", None)]
    for i in range(60):
        m = int(rng.integers(1, 7))
        pairs += [(f"c{i:02}", f"G{k}", int(k < m)) for k in range(20 + m)]
    task: Task = make_task(pairs)
    return task


def noisy(task: Task, strength: float, seed: int = 0) -> np.ndarray:
    """Scores that know the labels a little."""
    assert task.active is not None
    return np.random.default_rng(seed).normal(size=len(task)) + strength * np.nan_to_num(task.active)


def test_every_part_is_what_it_says(middling: Task) -> None:
    found = scored(middling, noisy(middling, 1))
    certainty = found.uncertainty(resamples=2_000, seed=3, level=0.9)
    ap, auroc = found.groups.average_precision, found.groups.auroc
    chance = expected_average_precision(found.groups.n_pairs, found.groups.n_active)
    of = certainty.pr_auc
    assert of.value == found.pr_auc
    assert of.chance == pytest.approx(np.nanmean(chance))
    both = ~np.isnan(auroc)
    assert of.normalised == pytest.approx(np.mean((ap - chance)[both] / (1 - chance)[both]))
    for ours, slow in (
        (of.interval, bca(ap, Resampling(2_000, 3, 0.9))),
        (certainty.roc_auc.interval, bca(auroc, Resampling(2_000, 3, 0.9))),
    ):
        assert (ours.low, ours.high) == pytest.approx((slow.low, slow.high), abs=1e-9)
    assert of.p_value == certainty.roc_auc.p_value == 1 / 2_001
    of = certainty.roc_auc
    assert (of.value, of.chance, of.normalised) == pytest.approx((found.roc_auc, 0.5, 2 * found.roc_auc - 1))
    assert of.normalised_interval.low == pytest.approx(2 * of.interval.low - 1)


def test_asked_again_a_score_says_what_it_would_have_said_at_first(
    middling: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random orders are kept for another level alone: of another seed or number they are drawn anew."""
    drawn: list[Any] = []

    def counted(*words: Any) -> Any:
        drawn.append(words[-1])
        return random_means(*words)

    monkeypatch.setattr(scoring, "random_means", counted)
    kept = scored(middling, noisy(middling, 0.5, 1))
    asked: tuple[tuple[int, int, float], ...] = (
        (200, 0, 0.95), (200, 0, 0.9), (200, 1, 0.9), (100, 1, 0.9), (200, 0, 0.95)
    )  # fmt: skip
    for n, seed, level in asked:
        found = kept.uncertainty(resamples=n, seed=seed, level=level)
        new = scored(middling, noisy(middling, 0.5, 1)).uncertainty(resamples=n, seed=seed, level=level)
        assert found.to_dict() == new.to_dict()
    assert len(drawn) == len(asked) + 4  # each new score's, and all but the second of the one that is kept


@pytest.mark.slow
def test_knowing_nothing_looks_like_nothing(middling: Task) -> None:
    """p-values of random predictions are spread evenly, and their normalised scores surround 0."""
    n = times(120, short=60)
    found = [scored(middling, noisy(middling, 0, seed)).uncertainty(resamples=300) for seed in range(n)]
    for name in ("pr_auc", "roc_auc"):
        p = np.sort([u[name].p_value for u in found])
        assert np.abs(p - np.arange(1, n + 1) / n).max() < 1.95 / np.sqrt(n)
        values = np.array([u[name].normalised for u in found])
        assert abs(values.mean()) < 4 * values.std() / np.sqrt(len(values))


def test_perfect_and_reversed(middling: Task) -> None:
    assert middling.active is not None
    labels = np.nan_to_num(middling.active)
    best = scored(middling, labels).uncertainty(resamples=200)
    assert (best.pr_auc.normalised, best.roc_auc.normalised) == (1, 1)
    assert best.pr_auc.interval.low == best.pr_auc.interval.high == 1
    worst = scored(middling, -labels).uncertainty(resamples=200)
    assert (
        worst.pr_auc.normalised < 0
        and worst.pr_auc.p_value > 0.5
        and worst.pr_auc.p_value_if_pairs_independent > 0.9
    )
    assert (worst.roc_auc.normalised, worst.roc_auc.p_value) == (-1, 1)


def test_constant_scores_are_no_better_than_themselves(middling: Task) -> None:
    """Prevalence, which random scores beat: ties are one threshold."""
    found = scored(middling, np.zeros(len(middling))).uncertainty(resamples=200)
    assert found.pr_auc.value < found.pr_auc.chance
    assert found.pr_auc.p_value == found.roc_auc.p_value == 1


def test_one_treatment_has_no_interval(make_task: MakeTask) -> None:
    task = make_task([("A", f"G{i}", int(i == 0)) for i in range(5)])
    found = scored(task, [5, 4, 3, 2, 1]).uncertainty()
    assert np.isnan([found.pr_auc.interval.low, found.roc_auc.normalised_interval.high]).all()
    assert found.pr_auc.p_value == pytest.approx(1 / 5, abs=0.02)
    assert found.to_dict()["pr_auc"]["interval"] == [None, None]


def test_only_actives(make_task: MakeTask) -> None:
    found = scored(make_task([("A", "G", 1), ("B", "G", 1)]), [1, 2]).uncertainty(resamples=200)
    assert (found.pr_auc.value, found.pr_auc.chance, found.pr_auc.p_value) == (1, 1, 1)
    assert np.isnan([found.pr_auc.normalised, found.roc_auc.value, found.roc_auc.p_value]).all()


def test_json_is_strict(task: Task) -> None:
    found = scored(task, [3, 2, 1, 0, 0, 0]).uncertainty(resamples=100)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["method"].startswith("BCa") and document["resamples"] == 100
    assert set(document["pr_auc"]) == {
        *("interval", "chance", "normalised", "normalised_interval", "p_value"),
        *("interval_over_treatments", "p_value_if_pairs_independent", "variance"),
    }
    assert document["clusters"] == "both"
    assert set(document["pr_auc"]["variance"]) == {
        *("treatment", "gene", "cell", "n_treatments", "n_genes", "used")
    }


def test_a_seed_means_the_same_report(middling: Task) -> None:
    def of(seed: int) -> Uncertainty:
        return scored(middling, noisy(middling, 0.3)).uncertainty(resamples=300, seed=seed)

    assert of(1) == of(1) != of(2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"resamples": 99}, "resamples is 99; at least 100"),
        ({"seed": -1}, "seed is -1; 0 or more"),
        ({"level": 95.0}, "level is 95; from 0.5 to below 1 was expected, as in 0.95"),
        ({"level": NAN}, "level is nan"),
        ({"level": 1.0}, "level is 1"),
        ({"clusters": "plate"}, "clusters is 'plate'; expected both, treatment, gene"),
    ],
)
def test_options_out_of_range(task: Task, options: dict[str, float], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        scored(task, np.zeros(6)).uncertainty(**options)  # type: ignore[arg-type]


def test_in_a_notebook(make_task: MakeTask) -> None:
    """Escaped, with every number; nothing is loaded and no script runs."""
    bad = "<img src=x onerror=alert(1)>"
    task = make_task([(bad, "G", 0), *(("A", f"G{i}", int(i < 2)) for i in range(6))], artifact_id=bad)
    found = scored(task, [0, 6, 5, 4, 3, 2, 1])
    page = found._repr_html_()
    assert "<img" not in page and page.count("&lt;img src=x onerror=alert(1)&gt;") == 2
    assert "no active pair" in page and "<svg" in page and "preds.csv" in page
    assert f"{found.pr_auc:.4f}" in page and "script" not in page and "http" not in page
    assert repr(found) == f"<Score of 'preds.csv' on {bad!r}: average precision 1.0000, AUROC 1.0000>"
