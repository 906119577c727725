"""What a report is made of: everything there, nothing of the machine, and said what is missing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx.dataset.affinities import draw, read_affinities
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.metrics import PR_AUC
from polaris_rxrx.predictions import Predictions, read_predictions, write_predictions
from polaris_rxrx.report.material import Material, extremes, gather, references
from polaris_rxrx.scoring import Score, score
from polaris_rxrx.task import Task, load_task
from polaris_rxrx.wells.metadata import Perturbations
from tests.conftest import MakeTask

GENES = [f"G{i}" for i in range(10)]


@pytest.fixture
def task(make_task: MakeTask) -> Task:
    """Eight treatments of ten genes, one to three of them active."""
    return make_task([(f"T{t}", g, float(i <= t % 3)) for t in range(8) for i, g in enumerate(GENES)])


def scored(task: Task, seed: int, source: str = "preds.csv") -> Score:
    values = np.random.default_rng(seed).random(len(task))
    return score(task, Predictions(values, source, f"sha-{seed}"))


def map_of(*compounds: str) -> Map:
    names = [*GENES, *compounds]
    types = ["CRISPR"] * len(GENES) + ["COMPOUND"] * len(compounds)
    concentration = np.r_[np.full(len(GENES), np.nan), np.ones(len(compounds))]
    x = np.random.default_rng(0).normal(size=(len(names), 4))
    protocol = {"align": "none", "made_up": True}
    return Map(Perturbations(types, names, concentration), x, np.ones(len(names), dtype=np.int64), protocol)


def test_everything_is_there(task: Task, tmp_path: Path) -> None:
    table = tmp_path / "affinities.csv"
    table.write_text("gene_symbol,nM_value,treatment\nG0,5,T0\nG0,50,T1\n", "utf-8")
    mine, other, third = (scored(task, i, f"/folder/of/mine/{n}.csv") for i, n in enumerate("abc"))
    found = gather(
        task,
        mine,
        against=[other, third],
        map_=map_of(*(f"T{i}" for i in range(8))),
        affinities=read_affinities(table),
        classes={"G0": "kinase"},
        smiles={"T0": "CCO", "T1": "", "unknown": "C"},
        resamples=200,
        seed=3,
        level=0.9,
        most=2,
    )
    assert found.names == ("a.csv", "b.csv", "c.csv")
    assert found.title == "a.csv on someone/small"
    assert found.comparison is not None
    assert found.comparison.names == found.names
    assert [(d.first, d.second) for d in found.comparison.differences] == [(0, 1), (0, 2)]
    assert (found.comparison.level, found.comparison.resamples, found.comparison.seed) == (0.9, 200, 3)
    assert (found.uncertainty.level, found.uncertainty.resamples, found.uncertainty.seed) == (0.9, 200, 3)
    assert len(found.curves) == 3
    assert found.target_classes is not None
    assert [p.name for p in found.target_classes.parts] == ["kinase", "unclassified"]
    told = found.provenance["target_classes"]
    assert told == {"n_genes": 1, "sha256": hashlib.sha256(b'["G0", "kinase"]').hexdigest()}
    assert found.potency is not None
    assert [p.name for p in found.potency.parts] == ["at most 10 nM", "10 to 100 nM", "unknown"]
    assert [c.treatment for c in found.doses] == [*found.hardest, *found.easiest]
    assert found.smiles == {"T0": "CCO"}
    assert found.notes == ()
    assert found.provenance["affinities"]["file"] == "affinities.csv"
    assert found.provenance["map"]["made_up"] is True
    assert found.provenance["statistics"] == {"resamples": 200, "seed": 3, "level": 0.9, "clusters": "both"}


def test_what_is_missing_is_said(task: Task) -> None:
    found = gather(task, scored(task, 0), resamples=100)
    assert (found.comparison, found.potency, found.doses, found.smiles) == (None, None, (), {})
    assert found.target_classes is not None
    told = "\n".join(found.notes)
    for option in ("--against FILE", "--annotations CSV", "--map FILE", "prepare --smiles"):
        assert option in told


def test_treatments_without_a_row_in_the_map_are_counted(task: Task) -> None:
    found = gather(task, scored(task, 0), map_=map_of("T0"), resamples=100, most=4)
    assert [c.treatment for c in found.doses] == ["T0"]
    assert any("7 of the 8 treatments shown are left out" in note for note in found.notes)


def test_one_treatment_has_no_intervals_and_no_comparison(make_task: MakeTask) -> None:
    task = make_task([("T", "G0", 1.0), ("T", "G1", 0.0)])
    found = gather(task, scored(task, 0), against=[scored(task, 1)], resamples=100)
    assert found.comparison is None
    assert np.isnan(found.uncertainty.pr_auc.interval.low)
    assert (found.hardest, found.easiest) == (("T",), ())
    assert any("at least two" in note for note in found.notes)


def test_extremes_are_by_normalised_precision_then_by_name(make_task: MakeTask) -> None:
    # "easy" has the lower average precision of the two, but is as far above chance as can be.
    pairs = [
        (t, f"G{i}", float(i < n)) for t, n in (("b", 1), ("a", 1), ("c", 1), ("all", 5)) for i in range(5)
    ]
    task = make_task([*pairs, ("none", "G0", 0.0)])
    values = np.array([1.0, 2, 3, 4, 5, 1, 2, 3, 4, 5, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0])
    found = score(task, Predictions(values, "x"))
    assert extremes(found, 6) == (("a", "b"), ("c",))  # `all` and `none` have no value
    assert extremes(found, 1) == (("a",), ("c",))


def test_equal_precisions_are_a_tie_whatever_their_rounding(make_task: MakeTask) -> None:
    """Actives at ranks 2 and 3 or at ranks 1 and 12 of 14: 7/12 both, but not in floating point."""
    places = {"b": (1, 2), "a": (0, 11)}
    task = make_task([(t, f"G{i}", float(i in at)) for t, at in places.items() for i in range(14)])
    found = score(task, Predictions(-np.tile(np.arange(14.0), 2), "x"))
    first, second = PR_AUC.normalized(found.groups)
    assert first != second and first == pytest.approx(second)
    assert extremes(found, 1) == (("a",), ("b",))


def test_extremes_know_what_chance_is(make_task: MakeTask) -> None:
    """Half of ten pairs are active and one is in the wrong half; or one of ten, and it is second."""
    pairs = [("many", f"G{i}", float(i < 5)) for i in range(10)] + [
        ("one", f"G{i}", float(i < 1)) for i in range(10)
    ]
    task = make_task(pairs)
    many = [10.0, 9, 8, 7, 3, 6, 5, 4, 2, 1]
    one = [9.0, 10, *range(8)]
    found = score(task, Predictions(np.array([*many, *one]), "x"))
    assert extremes(found, 1) == (("one",), ("many",))


@pytest.mark.parametrize("most", [1, 2, 3, 4, 100])
def test_no_treatment_is_among_both_extremes(task: Task, most: int) -> None:
    hardest, easiest = extremes(scored(task, 4), most)
    assert not set(hardest) & set(easiest)
    assert len(hardest) == len(easiest) == min(most, 4)


def test_published_scores_say_where_they_come_from() -> None:
    found = references()
    paper = {r.model: (r.value, r.spread) for r in found if "Table 4" in r.source}
    assert paper["OpenPhenom-S/16"] == (0.277, 0.016)
    assert paper["Phenom-2"] == (0.307, 0.015)
    (notebook,) = [r for r in found if "notebook" in r.source]
    assert (notebook.value, notebook.spread, notebook.spread_kind) == (0.266, None, None)
    assert all(r.protocol and r.grade for r in found)


def test_structures_may_be_part_of_the_task(make_task: MakeTask) -> None:
    task = make_task(
        [("A", "G0", 1.0), ("A", "G1", 0.0), ("B", "G0", 1.0)], more={"SMILES": ["CCO", "CCO", ""]}
    )
    assert gather(task, scored(task, 0), resamples=100).smiles == {"A": "CCO"}


def prepared(task: Task, folder: Path) -> Material:
    (folder / "task").mkdir(parents=True)
    task.save(folder / "task")
    loaded = load_task(folder / "task")
    scores = []
    for i, name in enumerate(("mine.csv", "other.csv")):
        write_predictions(folder / name, loaded, np.random.default_rng(i).random(len(loaded)))
        scores.append(score(loaded, read_predictions(folder / name, loaded)))
    return gather(loaded, scores[0], against=scores[1:], map_=map_of("T0", "T1"), resamples=200)


def test_provenance_is_the_same_wherever_it_is_made(task: Task, tmp_path: Path) -> None:
    one, two = (prepared(task, tmp_path / name).provenance for name in ("here", "there"))
    text = json.dumps(one, allow_nan=False)
    assert text == json.dumps(two, allow_nan=False)
    assert str(tmp_path) not in text
    files = one["task"]["files"]
    assert set(files) == {"train.csv", "test_features.csv", "sample_submission.csv", "private/answers.csv"}
    assert len(one["predictions"]["mine.csv"]["sha256"]) == 64
    assert one["task"]["protocol"] == task.protocol
    assert one["recipe"]["similarity"] == "abs-cosine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["a"]}, "2 different names were expected"),
        ({"names": ["a", "a"]}, "2 different names were expected"),
        ({"resamples": 5}, "resamples is 5"),
        ({"level": 1.0}, "level is 1"),
        ({"seed": -1}, "seed is -1"),
        ({"most": 0}, "most is 0"),
    ],
)
def test_options_that_cannot_mean_anything_are_refused(task: Task, options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gather(task, scored(task, 0), against=[scored(task, 1)], **{"resamples": 100, **options})


def test_files_of_one_name_are_told_apart(task: Task) -> None:
    found = gather(task, scored(task, 0, "a/p.csv"), against=[scored(task, 1, "b/p.csv")], resamples=100)
    assert found.names == ("p.csv (1)", "p.csv (2)")


def test_scores_of_another_task_are_refused(task: Task, make_task: MakeTask) -> None:
    other = make_task([("T0", "G0", 1.0), ("T0", "G1", 0.0), ("T1", "G0", 1.0)], artifact_id="someone/else")
    with pytest.raises(DataError, match="someone/else"):
        gather(task, scored(other, 0), resamples=100)
    with pytest.raises(DataError, match="someone/else"):
        gather(task, scored(task, 0), against=[scored(other, 0)], resamples=100)


def test_the_real_annotations(shared_data: Path, make_task: MakeTask) -> None:
    affinities = read_affinities(shared_data / "compound_gene_interactions.csv")
    drawn = draw(affinities, 0)
    task = make_task(list(zip(drawn.treatment, drawn.gene_symbol, map(float, drawn.active), strict=True)))
    found = gather(task, scored(task, 0), affinities=affinities, resamples=200)
    assert found.target_classes is not None and found.potency is not None
    for breakdown in (found.target_classes, found.potency):
        assert sum(p.n_active for p in breakdown.parts) == sum(drawn.active)
        assert all(p.n_treatments <= p.n_active for p in breakdown.parts)
        # Scores drawn at random: every part is near its chance.
        assert all(p.precision == pytest.approx(p.chance, abs=0.15) for p in breakdown.parts)
    assert "unclassified" not in [p.name for p in found.target_classes.parts]
    assert [p.name for p in found.potency.parts] == ["at most 10 nM", "10 to 100 nM", "100 to 1,000 nM"]
