"""Units: a column in another one is refused by name, whatever its rows; what may be nM or uM passes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from polaris_rxrx.dataset import units
from polaris_rxrx.dataset.affinities import read_affinities
from polaris_rxrx.dataset.rxrx3 import NOMINAL
from polaris_rxrx.errors import DataError
from polaris_rxrx.wells.metadata import read_metadata

Floats = NDArray[np.float64]

# What nM becomes, and what the message must then say, and undo.
OTHERS: dict[str, tuple[Callable[[Floats], Floats], str, str]] = {
    "uM": (lambda v: v * 1e-3, "looks like uM", "nM_value * 1,000"),
    "mM": (lambda v: v * 1e-6, "looks like mM", "nM_value * 1,000,000"),
    "M": (lambda v: v * 1e-9, "looks like M", "nM_value * 1,000,000,000"),
    "pM": (lambda v: v * 1e3, "looks like pM", "nM_value / 1,000"),
    "pActivity": (lambda v: 9 - np.log10(v), "looks like pActivity (-log10 of M)", "10 ** (9 - nM_value)"),
    "log10 M": (lambda v: np.log10(v) - 9, "looks like logarithms", "10 ** (nM_value + 9)"),
    "log10 nM": (np.log10, "looks like logarithms", "10 ** nM_value"),
    "-log10 nM": (lambda v: -np.log10(v), "looks like logarithms", "10 ** nM_value"),
}


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Floats:
    with (shared_data / "compound_gene_interactions.csv").open(newline="") as handle:
        return np.array([float(row["nM_value"]) for row in csv.DictReader(handle)])


def like_real(seed: int, n: int) -> Floats:
    """Affinities spread as the published ones: median 1,600 nM, a third of them beyond 10,000."""
    rng = np.random.default_rng(seed)
    return np.clip(np.round(10 ** rng.normal(3.2, 1.8, n), 3), 0.01, 1e8)


def write(path: Path, values: Sequence[float] | Floats, **more: str) -> Path:
    rows = [
        f"G{i},{float(v)!r},C{i % 7}{''.join(',' + cell for cell in more.values())}\n"
        for i, v in enumerate(values)
    ]
    path.write_text("".join([",".join(["gene_symbol", "nM_value", "treatment", *more]), "\n", *rows]))
    return path


@pytest.mark.parametrize("name", OTHERS)
def test_the_published_column_in_another_unit(real: Floats, tmp_path: Path, name: str) -> None:
    convert, told, cure = OTHERS[name]
    path = write(tmp_path / "a.csv", convert(real))
    with pytest.raises(DataError) as caught:
        read_affinities(path)
    assert str(caught.value).startswith(f"{path}: nM_value holds 2,921 numbers from")
    assert told + ", and" in str(caught.value) and cure in str(caught.value)


@given(st.integers(0, 2**32 - 1), st.integers(100, 400), st.sampled_from(sorted(OTHERS)))
def test_a_column_like_it_in_another_unit(seed: int, n: int, name: str) -> None:
    convert, told, _ = OTHERS[name]
    assert f"looks like {units.affinity_unit(convert(like_real(seed, n)))}" == told


@given(st.integers(0, 2**32 - 1), st.integers(1, 400))
def test_a_column_like_it_in_nM_passes(seed: int, n: int) -> None:
    assert units.affinity_unit(like_real(seed, n)) is None


def test_parts_of_the_published_table_pass(real: Floats) -> None:
    rng = np.random.default_rng(0)
    for part in (real, real[real <= 1000], real[real > 1000]):
        for n in (1, 2, 5, 9, 30, 300):
            assert sum(units.affinity_unit(rng.choice(part, n)) is not None for _ in range(50)) <= 1
        assert units.affinity_unit(part) is None


@pytest.mark.parametrize(
    "values",
    [
        [],
        [5.0],
        [5, 7.5],
        [3.2, 5.5, 6.1, 7.0],  # four potent compounds, or pActivity: who knows
        [0.2, 0.5],
        [10.0] * 50,
        [5.0] * 30 + [50_000.0] * 30,
        [0.0] * 3 + [1.5, 1000.0, 1000.1, 10_000.0, 5e5],
        [100_000.0] * 90 + [1, 2, 3, 40, 500, 6000, 700],  # a screen: mostly "over 100 uM"
        list(range(1, 100, 4)) + [250.0],
        [float("nan"), float("inf"), 3],
    ],
    ids=str,
)
def test_what_may_well_be_nM_passes(values: list[float]) -> None:
    assert units.affinity_unit(values) is None


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([1e-9, 5e-8, 2e-6], "M"),
        ([5e-5, 2e-3, 9e-3], "mM"),
        ([5.1, 6.2, 7.3, 8.4, 9.5, 4.4, 5.5, 6.6, 7.7, 8.8], units.PACTIVITY),
        ([-6.5, -7, -8.1], units.LOG),
        (list(np.linspace(0, 100, 40)), units.PERCENT),
        ([-3.0, -1.5, *np.linspace(0, 110, 40)], units.PERCENT),
    ],
    ids=str,
)
def test_few_values_of_which_there_is_no_doubt(values: list[float], unit: str) -> None:
    assert units.affinity_unit(values) == unit


def test_a_column_of_units_decides(tmp_path: Path) -> None:
    potent = np.linspace(3, 13, 12)
    path = tmp_path / "a.csv"
    with pytest.raises(DataError, match=r"looks like pActivity.*say so in a column `units`"):
        read_affinities(write(path, potent))
    assert len(read_affinities(write(path, potent, units="nM")).genes) == 12
    for unit, told in (("uM", "uM"), ("µM", "uM"), ("M", "M"), ("%", "percent")):
        with pytest.raises(DataError) as caught:
            read_affinities(write(path, potent * 1000, standard_units=unit))
        assert str(caught.value).startswith(
            f"{path}, line 2: standard_units is {unit!r}, so nM_value looks like {told}; nM was expected"
        )
    with pytest.raises(DataError, match=r"line 2: units is 'ug.mL-1'; nM was expected"):
        read_affinities(write(path, potent, units="ug.mL-1"))
    with pytest.raises(DataError, match="line 2: measurement_type is 'pIC50', so nM_value looks like pActiv"):
        read_affinities(write(path, [6.5, 7], measurement_type="pIC50"))
    assert read_affinities(write(path, [6.5, 7], measurement_type="ic50", database="log")).n_rows == 2


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        *(
            (n, units.PACTIVITY)
            for n in ("pIC50", "pchembl_value", "pKd", "pEC50", "p_activity", "pIC50_value")
        ),
        *((n, "uM") for n in ("IC50_uM", "IC50 (µM)", "ic50_um", "Ki[μM]", "micromolar")),
        *((n, "M") for n in ("Ki_M", "IC50 [M]", "molar", "kd mol/l")),
        *((n, "nM") for n in ("IC50_nM", "nm", "Kd (nM)")),
        *((n, units.LOG) for n in ("logIC50", "log_ki", "-logKi", "neg_log10_kd")),
        *((n, units.PERCENT) for n in ("% inhibition", "percent_control")),
        *(
            (n, None)
            for n in ("ic50", "ec50, ic50", "", "value", "SMILES", "database", "potency", "M1", "PIK3CA")
        ),
    ],
)
def test_names_tell_units(tmp_path: Path, name: str, unit: str | None) -> None:
    found = units.of_name(name)
    assert found == unit
    if unit is not None:
        path = tmp_path / "a.csv"
        path.write_text(f"gene_symbol,treatment,{name}\nG,C,6.5\n", "utf-8")
        with pytest.raises(DataError) as caught:
            read_affinities(path)
        assert f"no column 'nM_value'; column {name!r} looks like {unit} by its name" in str(caught.value)


# --- concentrations of wells -------------------------------------------------------------------------------


def wells(path: Path, doses: Sequence[float], **more: str) -> Path:
    head = ["well_id", "experiment_name", "gene", "treatment", "concentration", "perturbation_type", *more]
    rows = [
        ["a", "compound-001", "", "EMPTY_control", "", "COMPOUND", *more.values()],
        *(
            [f"w{i}", "compound-001", "", "aspirin", repr(float(d)), "COMPOUND", *more.values()]
            for i, d in enumerate(doses)
        ),
    ]
    path.write_text("\n".join(",".join(row) for row in [head, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("factor", "unit", "cure"),
    [
        (1e3, "nM", "concentration / 1,000"),
        (1e6, "pM", "concentration / 1,000,000"),
        (1e-3, "mM", "concentration * 1,000"),
        (1e-6, "M", "concentration * 1,000,000"),
    ],
)
def test_concentrations_in_another_unit(tmp_path: Path, factor: float, unit: str, cure: str) -> None:
    odd = (0.002, 0.026, 0.26, 2.6)  # they occur in a few wells
    for doses in (NOMINAL, (*NOMINAL, *odd), NOMINAL[3:], NOMINAL[::-1]):
        path = wells(tmp_path / "m.csv", [d * factor for d in doses])
        with pytest.raises(DataError) as caught:
            read_metadata(path)
        assert f"looks like {unit}. uM was expected: {cure}. If they are uM, say so" in str(caught.value)
    read_metadata(wells(tmp_path / "m.csv", [d * factor for d in NOMINAL], concentration_unit="uM"))


def test_concentrations_as_logarithms(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="looks like logarithms"):
        read_metadata(wells(tmp_path / "m.csv", [-8.6, -6.0, -5]))
    with pytest.raises(DataError, match=r"line 3.*concentration is '-1.0'; a number of uM"):
        read_metadata(wells(tmp_path / "m.csv", [-1, 5]))


@pytest.mark.parametrize(
    "doses",
    [
        NOMINAL,
        NOMINAL[:1],
        NOMINAL[:3],
        NOMINAL[-1:],
        (2.5, 10.0),
        (1.0, 10.0, 100.0),
        (3.0,),
        (5.0, 50.0),
        (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
        (1.0, 30.0, 1000.0),
        (20_000.0, 0.5, 3.0),  # one solvent among them
    ],
    ids=str,
)
def test_other_screens_doses_pass(tmp_path: Path, doses: Sequence[float]) -> None:
    assert len(read_metadata(wells(tmp_path / "m.csv", doses))) == len(doses) + 1


def test_a_stated_unit_of_concentrations(tmp_path: Path) -> None:
    for unit in ("uM", "µM", "micromolar"):
        assert (
            read_metadata(wells(tmp_path / "m.csv", [5000.0, 9000.0], concentration_units=unit)).control.sum()
            == 1
        )
    with pytest.raises(DataError, match="'concentration_unit' says 'nM'; concentrations in uM were expected"):
        read_metadata(wells(tmp_path / "m.csv", [2.5], concentration_unit="nM"))
