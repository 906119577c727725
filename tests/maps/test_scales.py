"""Units: a profile's scores do not know them; PCA-CS loses no direction to them. Twins work in 100 digits."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.baselines import map_of, predict, read_model
from polaris_rxrx.cards import Card
from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.errors import DataError
from polaris_rxrx.maps import align
from polaris_rxrx.maps.align import Aligner
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.maps.similarity import cosine
from polaris_rxrx.task import MetricSpec, Task
from polaris_rxrx.wells.memory import read_wells
from tests.wells_factory import Group, make_embeddings, make_metadata, small, write

Floats = np.ndarray[Any, np.dtype[np.float64]]
COMPOUNDS = ["aspirin", "TWIN", "Eugenol (no structure)", "Dactolisib (BEZ235", 'odd, "name" ä ']
GENES = ["TP53", "BRCA1", "NA", "ONCE", "TWIN"]
TASK = Task(
    inputs={
        "treatment": [c for c in COMPOUNDS for _ in GENES],
        "gene_symbol": [g for _ in COMPOUNDS for g in GENES],
    },
    active=np.zeros(25),
    main_metric="pr_auc",
    metrics=(MetricSpec(name="pr_auc", label="pr_auc", group_by="treatment"),),
    source="test",
)
WIDTH = 8
FEATURES = [f"feature_{i}" for i in range(WIDTH)]


def profile_scores(folder: Path, frame: pd.DataFrame, aligner: Aligner) -> Floats:
    files = write(folder, make_metadata(), frame)
    card = Card.model_validate(
        {"name": "mine", "title": "Mine", "kind": "profile", "recipe": {"align": aligner}}
    )
    wells = read_model(card, *files)
    return predict(TASK, map_of(wells, card.recipe)).values


def scale(frame: pd.DataFrame, units: Floats, dtype: type = np.float64) -> pd.DataFrame:
    x = frame[FEATURES].to_numpy(np.float64) * units
    return pd.concat([frame[["well_id"]], pd.DataFrame(x.astype(dtype), columns=FEATURES)], axis=1)


# --- profiles ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aligner", ["pca-cs", "tvn", "center-scale", "none"])
@pytest.mark.parametrize("seed", range(4))
def test_a_profile_s_scores_do_not_know_units(tmp_path: Path, aligner: Aligner, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = make_embeddings(make_metadata(), WIDTH, dtype=np.float64)
    # Gaps, tails and an offset, as such tables have them.
    frame.loc[rng.choice(len(frame), 3, replace=False), "feature_1"] = np.nan
    frame["feature_2"] = np.sinh(2 * frame.feature_2)
    frame["feature_3"] += 1000
    before = profile_scores(tmp_path, frame, aligner)
    assert np.isfinite(before).all() and np.ptp(before) > 0.1
    for _ in range(3):
        units = 10.0 ** rng.uniform(-12, 12, WIDTH)
        assert np.abs(profile_scores(tmp_path, scale(frame, units), aligner) - before).max() < 1e-9
    for unit in (1e-12, 1e12, 3.0):  # one feature, three features
        for n in (1, 3):
            units = np.where(np.arange(WIDTH) < n, unit, 1.0)
            assert np.abs(profile_scores(tmp_path, scale(frame, units), aligner) - before).max() < 1e-9


def test_a_profile_in_float32_is_read_wide_enough(tmp_path: Path) -> None:
    # A factor that is a power of 2 is exact in float32 as well: 2^40 is 1e12.
    frame = scale(make_embeddings(make_metadata(), WIDTH), np.ones(WIDTH), np.float32)
    before = profile_scores(tmp_path, frame, "pca-cs")
    for exponent in (-40, 40):
        units = np.where(np.arange(WIDTH) < 3, 2.0**exponent, 1.0)
        after = profile_scores(tmp_path, scale(frame, units, np.float32), "pca-cs")
        assert np.abs(after - before).max() < 1e-9
    # The same numbers, stored wider.
    after = profile_scores(tmp_path, scale(frame, np.ones(WIDTH), np.float64), "pca-cs")
    assert np.array_equal(after, before)


def test_a_profile_is_one_in_units_of_its_controls(tmp_path: Path) -> None:
    """Against the definition: columns divided by their controls' standard deviation, then PCA-CS."""
    frame = make_embeddings(make_metadata(), WIDTH, dtype=np.float64)
    metadata = make_metadata().set_index("well_id").loc[frame.well_id]
    control = ((metadata.gene == CONTROL) | (metadata.treatment == CONTROL)).to_numpy()
    x = frame[FEATURES].to_numpy()
    by_hand = scale(frame, 1 / x[control].std(axis=0))
    wells = read_wells(*write(tmp_path, make_metadata(), by_hand))
    expected = predict(TASK, build_map(wells, "pca-cs")).values
    units = 10.0 ** np.arange(-4, WIDTH - 4)
    found = profile_scores(tmp_path, scale(frame, units), "pca-cs")
    np.testing.assert_allclose(found, expected, atol=1e-9)


# --- embeddings --------------------------------------------------------------------------------------------

ONE = (
    Group("gene-001", CONTROL, 60),
    *(Group("gene-001", f"G{i}", 3) for i in range(12)),
)
SIZES = {
    "alike": np.ones(WIDTH),
    "one at 1e8": np.r_[1e8, np.ones(WIDTH - 1)],
    "three at 1e8": np.r_[np.ones(WIDTH - 3), [1e8] * 3],
    "one at 1e-9": np.r_[np.ones(WIDTH - 1), 1e-9],
    "a ladder": 10.0 ** np.linspace(-8, 8, WIDTH),
    "three floors": np.r_[[1e12] * 3, [1e6] * 2, np.ones(WIDTH - 5)],
}


@pytest.mark.parametrize("sizes", SIZES)
def test_in_one_experiment_pca_cs_is_whitening_whatever_the_units(tmp_path: Path, sizes: str) -> None:
    """Of one experiment, the aligned wells' products are x^T C^-1 y, from which every unit cancels."""
    wells = read_wells(*small(tmp_path, plan=ONE, width=WIDTH, dtype=np.float64))
    map_ = build_map(replace(wells, x=wells.x * SIZES[sizes]), "pca-cs")
    assert map_.protocol["n_directions_dropped"] == 0
    c = wells.x[wells.control]
    means = np.array(
        [
            wells.x[wells.perturbation == wells.perturbations.name.index(n)].mean(axis=0) - c.mean(axis=0)
            for n in map_.perturbations.name
        ]
    )
    products = means @ np.linalg.solve(np.cov(c, rowvar=False, ddof=0), means.T)
    np.testing.assert_allclose(map_.x @ map_.x.T, products, rtol=1e-10, atol=1e-10)


def eigenvectors(matrix: Floats) -> list[list[Decimal]]:
    """Jacobi's rotations in 100 digits; columns in the order of falling eigenvalues."""
    n = len(matrix)
    a = [[Decimal(float(v)) for v in row] for row in matrix]
    v = [[Decimal(int(i == j)) for j in range(n)] for i in range(n)]
    for _ in range(60):
        worst = Decimal(0)
        for p in range(n):
            for q in range(p + 1, n):
                relative = abs(a[p][q]) / (a[p][p] * a[q][q]).sqrt()
                worst = max(worst, relative)
                if relative < Decimal(10) ** -50:
                    continue
                theta = (a[q][q] - a[p][p]) / (2 * a[p][q])
                t = (1 if theta >= 0 else -1) / (abs(theta) + (theta * theta + 1).sqrt())
                c = 1 / (t * t + 1).sqrt()
                s = t * c
                for row in (*a, *v):
                    row[p], row[q] = c * row[p] - s * row[q], s * row[p] + c * row[q]
                a[p], a[q] = (
                    [c * x - s * y for x, y in zip(a[p], a[q], strict=True)],
                    [s * x + c * y for x, y in zip(a[p], a[q], strict=True)],
                )
        if worst < Decimal(10) ** -50:
            break
    order = sorted(range(n), key=lambda i: -a[i][i])
    return [[row[i] for i in order] for row in v]


@pytest.mark.parametrize("sizes", SIZES)
def test_the_directions_are_those_of_a_hundred_digits(sizes: str) -> None:
    """Scores of rows on every direction, scaled: what PCA-CS takes from the directions."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(50, WIDTH)) @ rng.normal(size=(WIDTH, WIDTH)) * SIZES[sizes]
    fitted = align.moments(x)
    basis = align.basis("pca-cs", fitted, WIDTH)
    z = (x - basis.center) @ basis.rotation
    with localcontext() as context:
        context.prec = 100
        vectors = eigenvectors(fitted.scatter / fitted.n)
        moved = [[Decimal(float(v)) for v in row] for row in x - fitted.mean]
        columns = list(zip(*vectors, strict=True))
        exact = np.array(
            [[float(sum(a * b for a, b in zip(r, v, strict=True))) for v in columns] for r in moved]
        )
    z, exact = z / z.std(axis=0), exact / exact.std(axis=0)
    signs = np.sign((z * exact).sum(axis=0))
    np.testing.assert_allclose(z * signs, exact, atol=1e-9)


def test_ordinary_embeddings_stay_as_published() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 30)) @ rng.normal(size=(30, 30))
    fitted = align.moments(x)
    values, vectors = np.linalg.eigh(fitted.scatter / fitted.n)
    assert values[-1] / values[0] < align.GRADED
    assert np.array_equal(align.basis("pca-cs", fitted, 30).rotation, vectors[:, ::-1])


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_rank_is_that_of_the_correlations(tmp_path: Path, unit: float) -> None:
    """A sum of others, a copy and a constant add no direction, in whatever unit; the dropped are counted."""
    wells = read_wells(*small(tmp_path, width=WIDTH, dtype=np.float64))
    x = wells.x.copy()
    x[:, 5] = (x[:, 0] - 2 * x[:, 1]) * unit
    x[:, 6] = x[:, 2] * unit
    x[:, 7] = 3.25 * unit
    map_ = build_map(replace(wells, x=x), "pca-cs")
    plain = build_map(replace(wells, x=x[:, :5], features=FEATURES[:5]), "pca-cs")
    protocol = map_.protocol
    assert (protocol["n_components"], protocol["n_directions_dropped"]) == (5, 3)
    assert plain.protocol["n_directions_dropped"] == 0 and np.isfinite(map_.x).all()


def test_a_standard_deviation_of_one_is_no_constant() -> None:
    x = np.array([[1.0, 1e9], [-1.0, 1e9], [1.0, -1e9], [-1.0, -1e9]])
    assert align.basis("pca-cs", align.moments(x), 2).width == 2


@pytest.mark.parametrize("aligner", ["pca-cs", "tvn"])
def test_what_squares_do_not_hold_is_an_error(tmp_path: Path, aligner: Aligner) -> None:
    wells = read_wells(*small(tmp_path, dtype=np.float64))
    x = wells.x.copy()
    x[:, 2] *= 1e170
    with np.errstate(over="ignore"), pytest.raises(DataError, match="do not fit into float64"):
        build_map(replace(wells, x=x), aligner)


@pytest.mark.parametrize("aligner", ["pca-cs", "tvn", "center-scale"])
def test_a_feature_s_unit_moves_an_embedding_s_scores_little_where_it_cannot_matter(
    tmp_path: Path, aligner: Aligner
) -> None:
    """TVN and center-scale scale every feature; of PCA-CS this holds in one experiment."""
    plan = ONE if aligner == "pca-cs" else None
    wells = read_wells(
        *small(tmp_path, width=WIDTH, dtype=np.float64, **({} if plan is None else {"plan": plan}))
    )
    before = build_map(wells, aligner)
    for seed in range(3):
        units = 10.0 ** np.random.default_rng(seed).uniform(-8, 8, WIDTH)
        after = build_map(replace(wells, x=wells.x * units), aligner)
        assert np.abs(cosine(before.x, before.x) - cosine(after.x, after.x)).max() < 1e-9
