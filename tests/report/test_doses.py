"""Dose curves against a slow twin on a small map."""

from __future__ import annotations

import numpy as np
import pytest

from polaris_rxrx.cards import Recipe
from polaris_rxrx.maps.build import Map
from polaris_rxrx.report.doses import dose_curves
from polaris_rxrx.task import Task
from polaris_rxrx.wells.metadata import Perturbations
from tests.conftest import MakeTask

GENES = [f"G{i}" for i in range(12)]


@pytest.fixture
def made(make_task: MakeTask) -> tuple[Task, Map]:
    """Two compounds at up to three concentrations, twelve genes; "C" has no row, G11 neither."""
    rng = np.random.default_rng(0)
    rows: list[tuple[str, str, float]] = [("CRISPR", g, np.nan) for g in GENES[:-1]]
    rows += [("COMPOUND", "A", c) for c in (10.0, 0.1, 1.0)] + [("COMPOUND", "B", 1.0)]
    x = rng.normal(size=(len(rows), 5))
    perturbations = Perturbations([r[0] for r in rows], [r[1] for r in rows], np.array([r[2] for r in rows]))
    map_ = Map(perturbations, x, np.ones(len(rows), dtype=np.int64))
    pairs = [(t, g, float(i < 2)) for t in "ABC" for i, g in enumerate(GENES)]
    pairs.append(("B", "G11", None))  # type: ignore[arg-type]
    return make_task([*pairs, ("only-unknown", "G11", 1.0)]), map_


def cosine(map_: Map, compound: str, concentration: float, gene: str) -> float:
    p = map_.perturbations
    names = list(zip(p.type, p.name, p.concentration.tolist(), strict=True))
    try:
        a = map_.x[names.index(("COMPOUND", compound, concentration))]
    except ValueError:
        return np.nan
    b = map_.x[[n[:2] for n in names].index(("CRISPR", gene))]
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize("kind", ["cosine", "abs-cosine"])
def test_curves_are_those_of_the_slow_twin(made: tuple[Task, Map], kind: str) -> None:
    task, map_ = made
    recipe = Recipe(similarity=kind, concentrations=(10.0, 1.0, 0.1, 1.0))  # type: ignore[arg-type]
    found = dose_curves(task, map_, ["B", "only-unknown", "A", "C"], recipe)
    assert [c.treatment for c in found] == ["B", "A"]
    for curve in found:
        assert curve.concentrations.tolist() == [0.1, 1.0, 10.0]
        assert list(curve.actives) == ["G0", "G1"]
        for i, c in enumerate(curve.concentrations.tolist()):
            each = [cosine(map_, curve.treatment, c, g) for g in GENES[:-1]]
            values = np.abs(each) if kind == "abs-cosine" else np.array(each)
            shown = [curve.actives["G0"][i], curve.actives["G1"][i], curve.inactive_mean[i]]
            shown += [curve.inactive_low[i], curve.inactive_high[i]]
            others = values[2:]
            expected = [values[0], values[1], others.mean(), *np.percentile(others, (10, 90))]
            np.testing.assert_allclose(shown, expected, rtol=0, atol=1e-12)
    assert np.isnan(found[0].actives["G0"]).tolist() == [True, False, True]


def test_a_treatment_without_inactives_has_its_actives_alone(
    make_task: MakeTask, made: tuple[Task, Map]
) -> None:
    (curve,) = dose_curves(make_task([("B", "G0", 1.0)]), made[1], ["B"], Recipe(concentrations=(1.0,)))
    assert np.isfinite(curve.actives["G0"]).all()
    assert np.isnan([*curve.inactive_mean, *curve.inactive_low, *curve.inactive_high]).all()


def test_the_default_recipe_is_the_papers(made: tuple[Task, Map]) -> None:
    (curve, _) = dose_curves(*made, ["A", "B"])
    assert curve.concentrations.tolist() == [0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0]
    assert (curve.actives["G0"][[3, 5, 7]] >= 0).all()
