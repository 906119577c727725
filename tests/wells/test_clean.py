"""Cleaning a CellProfiler-like table, each step against loops over columns."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.errors import DataError
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.wells.clean import MAX_ABSENT, MAX_ABSENT_IN_WELL, TAIL, Cleaning, clean
from polaris_rxrx.wells.memory import Wells, read_wells
from tests.wells_factory import Group, small

Floats = np.ndarray[Any, np.dtype[np.float64]]
NAMES = [
    "Cells_AreaShape_Area",  # fine
    "Cells_Texture_NaN_5_percent",  # as many holes as may be
    "Cells_Texture_NaN_6_percent",  # one hole too many
    "Nuclei_Constant",  # the same everywhere
    "Nuclei_Constant_in_controls",
    "Nuclei_Float32_noise",  # large, with a spread that is float32's rounding
    "Cyto_Heavy_tail",
    "Cyto_Infinite",
    "Cyto_Mostly_zero",  # MAD 0: the standard deviation bounds it
    "Cyto_No_control",  # not finite in any control well, yet in few wells
    *(f"Cells_Intensity_{i}" for i in range(6)),
]
PLAN = (
    Group("gene-001", CONTROL, 6),
    Group("gene-002", CONTROL, 4),
    *(Group(f"gene-00{1 + i % 2}", f"G{i:03d}", 3) for i in range(63)),
    Group("gene-001", "ONLY", 1),
)
N = 200


@pytest.fixture
def dirty(tmp_path: Path) -> Wells:
    """Wells with every fault there is; the last perturbation's only well lacks most features."""
    wells = read_wells(*small(tmp_path, plan=PLAN, width=len(NAMES), dtype=np.float64))
    assert len(wells) == N
    rng = np.random.default_rng(7)
    x = wells.x.copy()
    control = wells.control
    others = np.flatnonzero(~control)
    x[rng.choice(others, 10, replace=False), 1] = np.nan
    x[rng.choice(N, 11, replace=False), 2] = np.nan
    x[:, 3] = 3.5
    x[control, 4] = -1.0
    x[:, 5] = 1e8 + rng.normal(size=N)
    x[:, 6] = rng.standard_cauchy(N) ** 3
    x[rng.choice(N, 4, replace=False), 7] = [np.inf, -np.inf, np.nan, np.inf]
    x[:, 8] = 0
    x[np.flatnonzero(control)[0], 8] = 1.0
    x[others[:3], 8] = [0.5, 1e4, -1e4]
    x[control, 9] = np.nan
    only = int(np.flatnonzero(wells.perturbation == wells.perturbations.name.index("ONLY"))[0])
    x[only, 10:] = np.nan
    x[only, [0, 6, 7]] = np.inf
    return replace(wells, x=x, features=list(NAMES))


def twin(wells: Wells) -> tuple[list[list[float]], Cleaning, list[int], list[str]]:
    """The six steps in plain Python, a value at a time."""
    x = [[float(v) for v in row] for row in wells.x]
    ok = [[np.isfinite(v) for v in row] for row in x]
    seen = [row for row in ok if any(row)]
    columns = [
        j for j in range(len(wells.features)) if sum(not row[j] for row in seen) / len(seen) <= MAX_ABSENT
    ]
    rows = [
        i for i in range(len(x)) if sum(not ok[i][j] for j in columns) / len(columns) <= MAX_ABSENT_IN_WELL
    ]
    out: list[list[float]] = [[] for _ in rows]
    kept, constant, imputed, clipped = [], [], 0, 0
    for j in columns:
        control = [x[i][j] for i in rows if wells.control[i] and ok[i][j]]
        if not control or statistics.pstdev(control) <= 1e-7 * abs(statistics.median(control)):
            constant.append(wells.features[j])
            continue
        kept.append(wells.features[j])
        middle = statistics.median(control)
        spread = 1.4826 * statistics.median(abs(v - middle) for v in control) or statistics.pstdev(control)
        for place, i in enumerate(rows):
            value = x[i][j] if ok[i][j] else middle
            imputed += not ok[i][j]
            bounded = min(max(value, middle - TAIL * spread), middle + TAIL * spread)
            clipped += bounded != value
            out[place].append(bounded)
        here = [out[place][-1] for place, i in enumerate(rows) if wells.control[i]]
        center, scale = statistics.fmean(here), statistics.pstdev(here)
        for row in out:
            row[-1] = (row[-1] - center) / scale
    report = Cleaning(
        n_features=len(wells.features),
        mostly_missing=tuple(n for j, n in enumerate(wells.features) if j not in columns),
        constant=tuple(constant),
        n_wells_dropped=len(x) - len(rows),
        n_wells_absent=wells.missing,
        n_imputed=imputed,
        n_clipped=clipped,
    )
    return out, report, rows, kept


def test_every_step_equals_the_slow_twin(dirty: Wells) -> None:
    before = dirty.x.copy()
    cleaned, report = clean(dirty)
    values, expected, rows, kept = twin(dirty)
    assert report == expected
    assert cleaned.features == kept
    np.testing.assert_allclose(cleaned.x, values, rtol=1e-12, atol=1e-12)
    assert np.array_equal(cleaned.perturbation, dirty.perturbation[rows])
    assert np.array_equal(cleaned.experiment, dirty.experiment[rows])
    assert np.array_equal(cleaned.control, dirty.control[rows])
    assert np.array_equal(dirty.x, before, equal_nan=True)


def test_wells_without_any_value_take_no_feature_with_them(dirty: Wells) -> None:
    """Wells in which no cell was found, one in six here, have a row of NaN."""
    x = dirty.x.copy()
    x[np.random.default_rng(1).choice(np.flatnonzero(~dirty.control), 33, replace=False)] = np.nan
    emptied = replace(dirty, x=x)
    cleaned, report = clean(emptied)
    values, expected, rows, kept = twin(emptied)
    assert report == expected
    assert report.n_wells_dropped >= 33
    assert "Cells_AreaShape_Area" in cleaned.features
    assert cleaned.features == kept
    assert len(cleaned) == len(rows)
    np.testing.assert_allclose(cleaned.x, values, rtol=1e-12, atol=1e-12)


def test_the_faults_are_the_ones_that_were_planted(dirty: Wells) -> None:
    _, report = clean(dirty)
    assert report.mostly_missing == ("Cells_Texture_NaN_6_percent",)
    assert report.constant == (
        "Nuclei_Constant", "Nuclei_Constant_in_controls", "Nuclei_Float32_noise", "Cyto_No_control"
    )  # fmt: skip
    assert report.n_wells_dropped == 1
    assert report.n_imputed >= 13 and report.n_clipped >= 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # Controls 0, 1, 2, 3, 4: median 2, MAD 1, so the bounds are 2 -+ 14.826.
        ([0, 1, 2, 3, 4, 16.8, 16.9, -12.8, -12.9], [0, 1, 2, 3, 4, 16.8, 16.826, -12.8, -12.826]),
        # A hole becomes the controls' median.
        ([0, 1, 2, 3, 4, np.nan, np.inf, -np.inf, 5], [0, 1, 2, 3, 4, 2, 2, 2, 5]),
        # MAD 0: median 0, standard deviation 0.4, bounds -+ 4.
        ([0, 0, 1, 0, 0, 4.5, -4.5, 3.9, 0], [0, 0, 1, 0, 0, 4, -4, 3.9, 0]),
    ],
)
def test_bounds_and_medians_by_hand(values: list[float], expected: list[float]) -> None:
    from polaris_rxrx.wells.clean import _clean_columns

    control = np.arange(9) < 5
    out, varies, *_ = _clean_columns(np.where(np.isfinite(values), values, np.nan)[:, None], control)
    assert varies.all()
    c = np.array(expected[:5], dtype=np.float64)
    np.testing.assert_allclose(out[:, 0], (np.array(expected) - c.mean()) / c.std(), rtol=1e-12, atol=1e-15)


def test_the_report_says_everything(dirty: Wells) -> None:
    _, report = clean(replace(dirty, missing=3))
    text = str(report)
    for part in (
        "16 features in",
        "1 dropped as mostly missing ('Cells_Texture_NaN_6_percent')",
        "4 dropped as constant ('Nuclei_Constant', 'Nuclei_Constant_in_controls', ",
        "'Nuclei_Float32_noise' and 1 more)",
        "1 wells dropped as mostly missing",
        "3 wells not in the table",
        f"{report.n_imputed} values imputed",
        f"{report.n_clipped} values clipped",
    ):
        assert part in text
    assert report.to_dict()["rule"] == {
        "max_absent": 0.05, "max_absent_in_well": 0.5, "tail": 10.0, "scaled_on": "all control wells"
    }  # fmt: skip


def test_clean_wells_are_scaled_and_nothing_else(tmp_path: Path) -> None:
    wells = read_wells(*small(tmp_path))
    cleaned, report = clean(wells)
    c = wells.x[wells.control].astype(np.float64)
    np.testing.assert_allclose(cleaned.x, (wells.x - c.mean(axis=0)) / c.std(axis=0), rtol=1e-12, atol=1e-14)
    assert cleaned.x.dtype == np.float64
    assert cleaned.features == wells.features
    assert (report.n_imputed, report.n_clipped, report.n_wells_dropped) == (0, 0, 0)


def test_cleaning_twice_drops_nothing_more(dirty: Wells) -> None:
    once, _ = clean(dirty)
    twice, report = clean(once)
    assert (report.constant, report.mostly_missing, report.n_wells_dropped, report.n_imputed) == (
        (),
        (),
        0,
        0,
    )
    assert twice.features == once.features


def test_a_cleaned_table_makes_a_finite_map(dirty: Wells) -> None:
    cleaned, _ = clean(dirty)
    for aligner in ("pca-cs", "tvn", "center-scale"):
        map_ = build_map(cleaned, aligner)
        assert np.isfinite(map_.x).all() and "ONLY" not in map_.perturbations.name


@pytest.mark.parametrize("seed", range(5))
def test_units_do_not_matter_to_cleaning(dirty: Wells, seed: int) -> None:
    units = 10.0 ** np.random.default_rng(seed).uniform(-12, 12, size=len(NAMES))
    units *= np.random.default_rng(seed).choice([-1, 1], size=len(NAMES))
    ours, theirs = clean(dirty), clean(replace(dirty, x=dirty.x * units))
    assert ours[1] == theirs[1]
    signs = np.sign(units[[NAMES.index(n) for n in ours[0].features]])
    np.testing.assert_allclose(ours[0].x * signs, theirs[0].x, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("unit", [1e-290, 1e-160, 1e160, 1e280])
def test_no_unit_is_too_small_or_too_large(dirty: Wells, unit: float) -> None:
    x = dirty.x.copy()
    x[:, 6] = np.tanh(x[:, 6])  # what it had is beyond every bound at 1e280
    ours, theirs = clean(replace(dirty, x=x)), clean(replace(dirty, x=x * unit))
    assert ours[1] == theirs[1]
    np.testing.assert_allclose(ours[0].x, theirs[0].x, rtol=1e-9, atol=1e-11)


def test_a_value_that_no_square_holds_is_absent_or_clipped(tmp_path: Path) -> None:
    wells = read_wells(*small(tmp_path, plan=PLAN, dtype=np.float64))
    for value in (1e160, 1e299, 1.7e308):
        x = wells.x.copy()
        x[5, 2], x[6, 3] = value, -value
        cleaned, report = clean(replace(wells, x=x))
        assert np.isfinite(cleaned.x).all() and len(cleaned) == len(wells)
        assert (report.n_clipped, report.n_imputed) == ((0, 2) if value > 1e300 else (2, 0))


def test_more_columns_than_are_cleaned_at_once(tmp_path: Path) -> None:
    wells = read_wells(*small(tmp_path, width=150, dtype=np.float64))
    x = wells.x.copy()
    x[3, ::7] = np.nan
    x[:, 100] = 1.0
    wells = replace(wells, x=x)
    values, expected, _, kept = twin(wells)
    cleaned, report = clean(wells)
    assert report == expected and cleaned.features == kept
    np.testing.assert_allclose(cleaned.x, values, rtol=1e-10, atol=1e-12)


def _all_nan(w: Wells) -> Floats:
    return np.full_like(w.x, np.nan)


def _all_constant(w: Wells) -> Floats:
    return np.ones_like(w.x)


def _controls_nan(w: Wells) -> Floats:
    x = w.x.copy()
    x[w.control] = np.nan
    return x


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_all_nan, "every feature is mostly missing"),
        (_all_constant, "every feature is constant in control wells"),
        (_controls_nan, "no control well is left after cleaning"),
    ],
)
def test_nothing_left_is_an_error(tmp_path: Path, spoil: Any, message: str) -> None:
    # Few controls among many wells, so that losing them all is not losing the features.
    wells = read_wells(*small(tmp_path, plan=(*PLAN, Group("gene-001", "BULK", 100))))
    with pytest.raises(DataError, match=message) as caught:
        clean(replace(wells, x=spoil(wells)))
    assert str(caught.value).startswith(wells.sources["embeddings"])
