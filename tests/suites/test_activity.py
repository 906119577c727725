"""Activity against a slow twin, copairs, and worlds of pure noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from polaris_rxrx.errors import UsageError
from polaris_rxrx.parallel import Here, Processes
from polaris_rxrx.suites import activity, retrieval
from polaris_rxrx.suites.activity import evaluate_activity
from polaris_rxrx.suites.splits import _halves
from polaris_rxrx.types import Floats
from polaris_rxrx.wells.memory import Wells
from tests.calibration.wells import World, draw
from tests.conftest import copairs_map

SMALL = World(experiments=2, controls=16, genes=2, wells=6, features=5, plates=2, effect=2.0)
NOISE = World(experiments=8, controls=48, genes=6, wells=20, features=256)


def cosine(a: Floats, b: Floats) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def precision(positive: list[float], negative: list[float], first: bool) -> float:
    """By scikit-learn; or from the definition, each positive before the negatives that equal it."""
    if not first:
        y = [1] * len(positive) + [0] * len(negative)
        return float(average_precision_score(y, positive + negative))
    ordered = sorted(positive, reverse=True)
    return float(np.mean([k / (k + sum(v > s for v in negative)) for k, s in enumerate(ordered, 1)]))


def tied(wells: Wells) -> Wells:
    """The same wells with whole numbers for values: many are equal."""
    return replace(wells, x=np.round(wells.x / 2).astype(np.float32) + np.float32(0.25))


def scaled(wells: Wells, *, without: int) -> Wells:
    """One well without length."""
    x = wells.x.copy()
    x[without] = 0
    return replace(wells, x=x)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
def test_it_is_its_twin(ties: bool, legacy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every well by itself; a few queries at once give the same as all."""
    wells = draw(SMALL, 4)
    wells = scaled(tied(wells) if ties else wells, without=20)
    result = evaluate_activity(wells, align_by="none", legacy=legacy, null_size=50, seed=3)
    rows = result.tables["perturbations"]
    name = np.array(wells.perturbations.name)[wells.perturbation]
    start = 0
    held: dict[int, list[int]] = {}
    for b, block in enumerate(wells.blocks()):
        found = np.flatnonzero(block.control) if legacy else _halves(block, 3, 0, b)[1]
        held[b] = (start + found).tolist()
        start += len(block.x)
    every = [i for own in held.values() for i in own]
    x = wells.x.astype(np.float64)
    for k, gene in enumerate(rows["perturbation"]):
        own = [i for i in np.flatnonzero(name == gene).tolist() if x[i].any()]
        values = []
        for i in own:
            positive = [round(cosine(x[i], x[j]), 10) for j in own if j != i]
            against = every if legacy else held[int(wells.experiment[i])]
            negative = [round(cosine(x[i], x[j]), 10) for j in against]
            values.append(precision(positive, negative, legacy))
        assert rows["n_queries"][k] == len(own)
        assert rows["mean_average_precision"][k] == pytest.approx(np.mean(values), abs=1e-9)
    assert 5 in rows["n_queries"] and rows["n_wells"] == [6] * 4
    monkeypatch.setattr(activity, "_CELLS", 30)
    again = evaluate_activity(wells, align_by="none", legacy=legacy, null_size=50, seed=3)
    assert again.to_json() == result.to_json() and again.tables == result.tables


def with_ties(wells: Wells) -> Wells:
    """A few vectors, many times over, also among controls."""
    rng = np.random.default_rng(0)
    few = rng.normal(size=(9, wells.x.shape[1])).astype(np.float32)
    return replace(wells, x=few[rng.integers(0, 9, len(wells.x))])


@pytest.mark.parametrize("ties", [False, True])
def test_legacy_is_copairs(ties: bool, tmp_path: Path) -> None:
    copairs = copairs_map()
    import pandas as pd

    wells = draw(SMALL, 9)
    if ties:
        wells = with_ties(wells)
    name = np.array(wells.perturbations.name)[wells.perturbation]
    meta = pd.DataFrame({"gene": name, "reference": np.where(wells.control, np.arange(len(name)), -1)})
    both = ["gene", "reference"]
    x = wells.x.astype(np.float32)
    theirs = copairs.average_precision(meta, x, both, [], [], both, progress_bar=False)
    grouped = copairs.mean_average_precision(
        theirs[~wells.control],
        ["gene"],
        null_size=400,
        threshold=0.05,
        seed=6,
        cache_dir=tmp_path,
        progress_bar=False,
    ).set_index("gene")
    found = evaluate_activity(wells, align_by="none", legacy=True, null_size=400, seed=6)
    ours = found.tables["perturbations"]
    for k, gene in enumerate(ours["perturbation"]):
        of = grouped.loc[gene]
        assert ours["mean_average_precision"][k] == pytest.approx(of.mean_average_precision, rel=1e-6)
        assert ours["normalized"][k] == pytest.approx(of.mean_normalized_average_precision, rel=1e-5)
        assert ours["p_value"][k] == of.p_value
        assert ours["p_adjusted"][k] == pytest.approx(of.corrected_p_value)


@pytest.mark.parametrize("legacy", [False, True])
def test_workers_find_the_same(legacy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the byte: shares of one gene or of all, random orders by workers too, wells on disk too."""
    wells = draw(SMALL, 7)
    chosen: dict[str, Any] = {"null_size": 50, "seed": 2, "legacy": legacy}
    expected = evaluate_activity(wells, **chosen)
    assert expected.summary["n_perturbations"] == 4
    monkeypatch.setattr(retrieval, "_FEW_RANKS", 0)
    asked: list[int] = []

    class Backward(Here):
        def run(self, function: Any, items: Any) -> Iterator[tuple[int, Any]]:
            asked.append(len(items))
            for i in reversed(range(len(items))):
                function(items[i])
                yield i, function(items[i])

    for share, who in ((1, Backward()), (1 << 24, Backward()), *([] if legacy else [(1, Processes(2))])):
        monkeypatch.setattr(activity, "_SHARE", share)
        found = evaluate_activity(wells, who=who, max_memory=1, **chosen)
        assert found.to_json() == expected.to_json() and found.tables == expected.tables
    # Of few wells in a share there are as many as controls, which with `legacy` are more than all wells.
    assert (asked[0] == 1 if legacy else asked[0] > 1) and asked[2] == 1 and asked[1] == asked[3] > 0


def test_a_share_has_every_well_once_and_all_its_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "_SHARE", 1)
    rng = np.random.default_rng(0)
    sizes = np.array([3, 1, 4, 2])
    groups: Any = SimpleNamespace(sizes=sizes, start=np.cumsum(sizes) - sizes)
    experiment, held = np.array([0, 0, 1, 1, 2, 2, 2, 3, 0, 0]), np.array([0, 1, 1, 3, 3])
    own, controls = rng.normal(size=(10, 2)), rng.normal(size=(5, 2))
    shares = activity._Shares.of(groups, own, experiment, controls, held, False)
    seen = [shares[i] for i in range(len(shares))]
    np.testing.assert_array_equal(np.concatenate([s.own for s in seen]), own)
    assert np.concatenate([s.sizes for s in seen]).tolist() == sizes.tolist() and len(seen) > 1
    for share in seen:
        wanted = np.isin(held, share.experiment)
        np.testing.assert_array_equal(share.controls, controls[wanted])
        assert share.held.tolist() == held[wanted].tolist()
    assert shares.largest == max(s.own.nbytes + s.controls.nbytes for s in seen)


def test_what_is_too_much_to_send_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nobody(Here):
        def run(self, function: Any, items: Any) -> Iterator[tuple[int, Any]]:
            raise AssertionError("nobody was to be asked")

    wells = draw(SMALL, 7)
    expected = evaluate_activity(wells, null_size=50, legacy=True)
    monkeypatch.setattr(activity, "_SENT", 1)
    found = evaluate_activity(wells, null_size=50, legacy=True, who=Nobody())
    assert found.tables == expected.tables


def test_noise_raises_no_alarm_unless_it_is_done_the_usual_way() -> None:
    wells = draw(NOISE, 0)
    ours = evaluate_activity(wells, null_size=500)
    usual = evaluate_activity(wells, null_size=500, legacy=True)
    assert ours.summary["share_p_0.05"] <= 0.1 and ours.summary["share_active"] <= 0.02
    assert abs(ours.summary["mean_normalized"]) < 0.03
    assert usual.summary["share_p_0.05"] > 3 * max(ours.summary["share_p_0.05"], 0.05)
    assert ours.protocol["ties"] == "by threshold" and usual.protocol["ties"] == "positives first"


def test_an_effect_is_found() -> None:
    found = evaluate_activity(draw(replace(NOISE, experiments=3, effect=12.0), 2), null_size=500)
    assert found.summary["share_active"] > 0.9 and found.summary["n_perturbations"] == 18


def test_perturbations_without_controls_or_replicates_are_named() -> None:
    wells = draw(replace(SMALL, controls=3), 0)
    found = evaluate_activity(wells, align_by="none", null_size=50)
    assert found.summary["n_perturbations"] == 0 and found.summary["mean"] is None
    assert any(note.startswith("4 perturbations have no value") for note in found.notes)
    assert found.csv("perturbations") and '"share_active": null' in found.to_json()
    whole = evaluate_activity(wells, align_by="none", null_size=50, legacy=True)
    assert whole.summary["n_perturbations"] == 4

    name = wells.perturbations.name.index("G00000")
    keep = np.ones(len(wells), dtype=bool)
    keep[np.flatnonzero(wells.perturbation == name)[1:]] = False  # one well is left
    assert wells.plate is not None
    few = replace(
        wells,
        x=wells.x[keep],
        experiment=wells.experiment[keep],
        perturbation=wells.perturbation[keep],
        control=wells.control[keep],
        plate=wells.plate[keep],
    )
    found = evaluate_activity(few, align_by="none", null_size=50, legacy=True, min_wells=2)
    assert "G00000" not in found.tables["perturbations"]["perturbation"]
    assert any("fewer than 2 wells: 'G00000'" in note for note in found.notes)


def test_what_cannot_be_asked() -> None:
    wells = draw(SMALL, 0)
    with pytest.raises(UsageError, match="min_wells is 1"):
        evaluate_activity(wells, min_wells=1)
    with pytest.raises(UsageError, match="by is 'plate'"):
        evaluate_activity(wells, by="plate")  # type: ignore[arg-type]
