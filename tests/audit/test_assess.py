"""The whole audit: its figures against the scorer's, scikit-learn's and `compare`'s, and its ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from polaris_rxrx.audit import Audit, audit
from polaris_rxrx.audit.shortcuts import KINDS
from polaris_rxrx.comparison import compare
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.scoring import score
from polaris_rxrx.stats.explain import places, remove
from polaris_rxrx.task import Task
from polaris_rxrx.wells.metadata import Perturbations
from tests.audit.conftest import benchmark, predictions
from tests.wells_factory import make_metadata

MakeTask = Callable[..., Task]


@pytest.fixture(scope="module")
def sample(make_task: MakeTask) -> tuple[Task, Any, Audit]:
    """Sixty treatments, some labels missing, a treatment without an active; a submission with some signal."""
    task = benchmark(make_task, 3, 60)
    assert task.active is not None
    rng = np.random.default_rng(0)
    task.active[rng.random(len(task)) < 0.03] = np.nan
    gene, _ = task.groups("gene_symbol")
    values = 0.8 * np.nan_to_num(task.active) + rng.normal(size=100)[gene] + rng.normal(size=len(task))
    return task, values, audit(task, predictions(values), resamples=500)


def test_figures_are_the_scorers_and_scikit_learns(sample: tuple[Task, Any, Audit]) -> None:
    task, values, found = sample
    assert task.active is not None
    labeled = ~np.isnan(task.active)
    own = score(task, predictions(values))
    everything = [(found.figures, values), *((s.figures, s.shortcut.values) for s in found.shortcuts)]
    for figures, v in everything:
        scored = score(task, predictions(v))
        assert (figures.pr_auc, figures.roc_auc) == (scored.pr_auc, scored.roc_auc)
        y, s = task.active[labeled], v[labeled]
        assert figures.pooled_pr_auc == pytest.approx(average_precision_score(y, s))
        assert figures.pooled_roc_auc == pytest.approx(roc_auc_score(y, s))
    certainty = own.uncertainty(resamples=500)
    assert found.figures.interval.low == pytest.approx(certainty.pr_auc.interval.low, abs=1e-9)
    assert found.chance == pytest.approx(certainty.pr_auc.chance)
    for s in found.shortcuts:
        told = compare(
            own, score(task, predictions(s.shortcut.values)), names=("a", "b"), resamples=500
        ).differences[0]
        assert s.difference == pytest.approx(told.mean)
        assert s.p_value == told.p_value
        assert s.difference_interval.high == pytest.approx(told.interval.high, abs=1e-9)


def test_correlation_and_explained_are_those_of_a_loop(sample: tuple[Task, Any, Audit]) -> None:
    task, values, found = sample
    assert task.active is not None
    labeled = ~np.isnan(task.active)
    names = np.array(task.treatment, dtype=object)
    for s in found.shortcuts:
        rho = []
        for name in set(task.treatment):
            own = (names == name) & labeled
            if np.ptp(values[own]) and np.ptp(s.shortcut.values[own]):
                rho.append(spearmanr(values[own], s.shortcut.values[own]).statistic)
        assert s.n_correlated == len(rho)
        assert s.correlation == pytest.approx(np.mean(rho) if rho else np.nan, nan_ok=True)
        if s.shortcut.kind.by == "compound":
            assert s.slope is None and s.explained == 0 and s.left == found.figures.pr_auc
    by_name = {s.shortcut.kind.name: s for s in found.shortcuts}
    blind = by_name["compound-blind"]
    group = task.groups("treatment")[0][labeled]
    at = [places(v[labeled], group, group.max() + 1) for v in (values, blind.shortcut.values)]
    kept = task.active[labeled]
    left = np.mean(
        [
            average_precision_score(kept[group == g], remove(*at).left[group == g])
            for g in set(group.tolist())
            if kept[group == g].any()
        ]
    )
    assert blind.left == pytest.approx(left)
    gain = found.figures.pr_auc - found.chance
    assert blind.explained == pytest.approx(1 - (left - found.chance) / gain)
    assert blind.correlation > 0.2 and blind.slope is not None and blind.slope > 0


def test_what_is_printed_is_in_strict_json(sample: tuple[Task, Any, Audit]) -> None:
    found = sample[2]
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["schema_version"] == 1 and document["failed"] == [c.name for c in found.failed]
    assert len(document["shortcuts"]) + len(document["not_computed"]) == len(KINDS)
    assert [s["pr_auc"] for s in document["shortcuts"]] == sorted(
        (s["pr_auc"] for s in document["shortcuts"]), reverse=True
    )
    assert {s["name"] for s in document["not_computed"]} == {
        k.name for k in KINDS if k.needs not in ("task", "submission")
    }


def test_a_submission_that_is_a_shortcut(tasks: list[Task]) -> None:
    popular = next(
        s for s in audit(tasks[0], predictions(np.zeros(len(tasks[0]))), resamples=100).shortcuts
        if s.shortcut.kind.name == "gene-popularity"
    ).shortcut.values  # fmt: skip
    found = audit(tasks[0], predictions(popular), resamples=100)
    same = next(s for s in found.shortcuts if s.shortcut.kind.name == "gene-popularity")
    assert (same.difference, same.p_value, same.slope) == (0, 1, 1)
    assert same.correlation == pytest.approx(1)
    check = found.check("shortcuts")
    assert check.verdict == "warn" and "gene-popularity" in check.evidence["not_beaten"]


def test_everything_there_is(make_task: MakeTask, tmp_path: Path) -> None:
    metadata = make_metadata()
    metadata.to_csv(tmp_path / "m.csv", index=False)
    rng = np.random.default_rng(0)
    metadata[["well_id"]].assign(n_nuclei=rng.integers(1, 99, len(metadata))).to_csv(
        tmp_path / "n.csv", index=False
    )
    genes, compounds = ["BRCA1", "NA", "TP53", "TWIN"], ["aspirin", "TWIN", "Eugenol (no structure)"]
    p = Perturbations(
        ["COMPOUND"] * 3 + ["CRISPR"] * 4, compounds + genes, np.r_[1.0, 1.0, 1.0, [np.nan] * 4]
    )
    map_ = Map(p, rng.normal(size=(7, 3)), np.ones(7, dtype=np.int64))
    task = make_task([(t, g, float(i == j)) for i, t in enumerate(compounds) for j, g in enumerate(genes)])
    seen: list[tuple[str, int, int]] = []
    found = audit(
        task,
        score(task, predictions(rng.normal(size=12))),
        metadata=tmp_path / "m.csv",
        nuclei=tmp_path / "n.csv",
        map_=map_,
        resamples=100,
        progress=lambda *step: seen.append(step),
    )
    assert found.skipped == () and {s.shortcut.kind.name for s in found.shortcuts} == {k.name for k in KINDS}
    assert seen[-1] == ("shortcuts", len(KINDS), len(KINDS))
    assert found.check("duplicates").verdict == "warn"  # all made of one SMILES
    given = audit(
        task, found.score, structures={"TWIN": "CC", "aspirin": "CCO", "other": "CC"}, resamples=100
    )
    assert given.check("duplicates").verdict == "ok"


@pytest.mark.parametrize(
    "pairs",
    [
        [("A", "g", 1), ("A", "h", 0), ("A", "i", 0)],  # one treatment
        [("A", "g", 1), ("A", "h", 1), ("B", "g", 1)],  # one class everywhere
        [("A", "g", 1), ("B", "g", 0), ("C", "h", None)],  # one pair each, one without a label
        [("A", "g", 1), ("A", "h", None), ("B", "g", 0), ("B", "h", 0), ("C", "i", 1), ("C", "g", 0)],
        [("NA", "<img src=x onerror=alert(1)>", 1), ("NA", "two\nlines", 0), ('"', ",", 1), ('"', "NA", 0)],
        [("A", "g", 1), ("A", "g", 0), ("A", "g", None), ("B", "g", 1), ("B", "h", 0)],  # a pair thrice
    ],
)
def test_tasks_that_can_barely_be_scored(make_task: MakeTask, pairs: Any) -> None:
    task = make_task(pairs)
    for values in (np.arange(len(task)), np.zeros(len(task)), np.arange(len(task)) % 2 * -1e308):
        found = audit(task, predictions(values), resamples=100)
        json.dumps(found.to_dict(), allow_nan=False)
        assert len(found.checks) == 12 and "compound-promiscuity" in {
            s.shortcut.kind.name for s in found.shortcuts
        }
        assert found.check("separation").verdict != "fail"


def test_what_cannot_be_audited(make_task: MakeTask, task: Task) -> None:
    competition = make_task([("A", "g", 1)], labels=False)
    with pytest.raises(DataError, match="competition"):
        audit(competition, predictions([1]))
    with pytest.raises(DataError, match="no treatment has an active pair"):
        audit(make_task([("A", "g", 0)]), predictions([1]))
    with pytest.raises(UsageError, match="the score is one on"):
        audit(make_task([("A", "g", 1)]), score(task, predictions(range(6))))
    with pytest.raises(UsageError, match="no metadata was given"):
        audit(task, predictions(range(6)), nuclei="n.csv")
    with pytest.raises(UsageError, match="resamples"):
        audit(task, predictions(range(6)), resamples=1)


def test_popularity_below_random_scores_is_told(make_task: MakeTask) -> None:
    """Every gene active once: what is left without a pair's own label is upside down."""
    task = make_task([(f"c{t}", f"g{(t + i) % 30:02}", float(i == 0)) for t in range(30) for i in range(10)])
    found = audit(task, predictions(np.random.default_rng(0).normal(size=300)), resamples=100)
    popular = next(s for s in found.shortcuts if s.shortcut.kind.name == "gene-popularity")
    assert popular.figures.roc_auc == 0
    assert any("gene popularity: below random scores" in n for n in found.notes)
