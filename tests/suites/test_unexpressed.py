"""A null of unexpressed genes: signal and replicate consistency against twins written from the definition.

The twins read the files with pandas and align, average and count by plain loops; nothing of the package is in
them.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.suites import signal
from polaris_rxrx.suites.replicates import evaluate_replicates
from polaris_rxrx.suites.result import Result
from polaris_rxrx.suites.unexpressed import p_values
from polaris_rxrx.wells.memory import Wells, read_wells
from tests.suites.test_signal import GENES, PLAN, null_wells, rows_of
from tests.wells_factory import Group, small

CONTROL = "EMPTY_control"
UNEXPRESSED = ["HLA-A", "NA", "Q1", "Q2", "Q3"]
WIDER = (*PLAN, *(Group(f"gene-00{e}", name, 3) for e in (1, 2) for name in ("Q1", "Q2", "Q3", "Q4", "Q5")))
Floats = np.ndarray[Any, np.dtype[np.float64]]
Measure = Callable[..., Result]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return small(tmp_path_factory.mktemp("wells"), plan=WIDER)


@pytest.fixture(scope="module")
def wells(files: tuple[Path, Path]) -> Wells:
    return read_wells(*files)


# --- twins -------------------------------------------------------------------------------------------------


def twin_aligned(files: tuple[Path, Path], aligner: str) -> dict[str, Floats]:
    """Gene (or EMPTY_control) of the CRISPR side -> its aligned wells."""
    metadata = pd.read_csv(files[0], keep_default_na=False)
    table = pd.read_parquet(files[1]).set_index("well_id").loc[metadata.well_id]
    x = table[sorted(table.columns, key=lambda c: int(c.split("_")[1]))].to_numpy(np.float64)
    control = (metadata.treatment == CONTROL).to_numpy() | (metadata.gene == CONTROL).to_numpy()
    experiment = metadata.experiment_name.to_numpy()
    if aligner == "tvn":
        x = (x - x[control].mean(axis=0)) / x[control].std(axis=0)
    x = np.array(x)  # one that may be written to
    if aligner in ("pca-cs", "tvn"):
        mean = x[control].mean(axis=0)
        x = (x - mean) @ np.linalg.svd(x[control] - mean, full_matrices=False)[2].T
    if aligner == "tvn":
        x = (x - x[control].mean(axis=0)) / x[control].std(axis=0)
    for name in set(experiment):
        here = experiment == name
        reference = x[here & control]
        if aligner in ("pca-cs", "center-scale"):
            x[here] = (x[here] - reference.mean(axis=0)) / reference.std(axis=0)
        if aligner == "tvn":
            values, vectors = np.linalg.eigh(np.cov(reference.T, ddof=1) + 0.5 * np.eye(x.shape[1]))
            x[here] = x[here] @ vectors @ np.diag(values**-0.5) @ vectors.T
    crispr = (metadata.perturbation_type == "CRISPR").to_numpy()
    names = metadata.gene.to_numpy()
    return {str(name): x[crispr & (names == name)] for name in set(names[crispr])}


def twin_consistency(x: Floats) -> float:
    def cosine(a: list[float], b: list[float]) -> float:
        return math.fsum(p * q for p, q in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    pairs = [cosine(a, b) for a, b in itertools.combinations(x.tolist(), 2)]
    return math.fsum(pairs) / len(pairs)


def twin_magnitude(x: Floats, controls: Floats) -> float:
    def mean(a: Floats, b: Floats) -> float:
        return math.fsum(math.dist(p, q) for p in a.tolist() for q in b.tolist()) / (len(a) * len(b))

    return 2 * mean(x, controls) - mean(x, x) - mean(controls, controls)


def twin_result(
    value: dict[str, float], null: list[str], side: Any
) -> tuple[dict[str, float], dict[str, float]]:
    """p by perturbation, and the headline numbers, of those that are not in the null."""
    below = np.sort([value[name] for name in null])
    reported = {name: v for name, v in value.items() if name not in null}
    p = {name: float(1 - np.searchsorted(below, v, side=side) / len(below)) for name, v in reported.items()}
    middle = statistics.median(reported.values())
    summary = {
        "n_perturbations": len(reported),
        "mean": statistics.fmean(reported.values()),
        "median": middle,
        "mad": statistics.median(abs(v - middle) for v in reported.values()),
        "n_p_values": len(reported),
        "share_p_0.05": statistics.fmean(v <= 0.05 for v in p.values()),
        "share_p_0.01": statistics.fmean(v <= 0.01 for v in p.values()),
    }
    return p, summary


@pytest.mark.parametrize("aligner", ["pca-cs", "tvn", "center-scale", "none"])
def test_both_equal_their_twins(files: tuple[Path, Path], wells: Wells, aligner: Any) -> None:
    x = twin_aligned(files, aligner)
    genes = sorted(name for name, rows in x.items() if name != CONTROL and len(rows) >= 5)
    assert set(genes) == {*GENES, "Q1", "Q2", "Q3", "Q4", "Q5"}
    for result, key, side, value in (
        (
            signal.evaluate_signal(wells, align_by=aligner, null=UNEXPRESSED),
            "energy_distance",
            "right",
            {name: twin_magnitude(x[name], x[CONTROL]) for name in genes},
        ),
        (
            evaluate_replicates(wells, align_by=aligner, null=UNEXPRESSED),
            "mean_cosine",
            "left",
            {name: twin_consistency(x[name]) for name in genes},
        ),
    ):
        p, summary = twin_result(value, UNEXPRESSED, side)
        rows, null = rows_of(result), rows_of(result, "null")
        assert list(rows) == sorted(p) and list(null) == sorted(UNEXPRESSED)
        for name, row in rows.items():
            assert row["p_value"] == pytest.approx(p[name], abs=1e-12), name
            assert row[key] == pytest.approx(value[name], abs=1e-9)
        for name, row in null.items():
            assert row[key] == pytest.approx(value[name], abs=1e-9)
            assert "p_value" not in row
        for name, v in summary.items():
            assert result.summary[name] == pytest.approx(v, abs=1e-9), name
        assert result.protocol["null"] == sorted(UNEXPRESSED) and result.protocol["n_random"] is None
        assert result.protocol["p_value"] == f"1 - searchsorted(null, value, {side}) / n"
        if key == "mean_cosine":
            mean = statistics.fmean(value[name] for name in UNEXPRESSED)
            assert result.summary["null_mean"] == pytest.approx(mean, abs=1e-9)


def test_by_guide_the_null_is_all_guides_of_its_genes(tmp_path: Path) -> None:
    from tests.suites.test_signal import make_wells

    guides = make_wells(tmp_path, guides=True)
    for result in (
        signal.evaluate_signal(guides, by="guide", null=["NA", "TP53"]),
        evaluate_replicates(guides, by="guide", null=["NA", "TP53"]),
    ):
        null, rows = rows_of(result, "null"), rows_of(result)
        assert list(null) == ["NA_guide_1", "NA_guide_2", "TP53_guide_1", "TP53_guide_2"]
        assert {row["gene"] for row in rows.values()} == {"A_guide_B", "HLA-A", "STRONG"}
        assert all(row["p_value"] in (0, 0.25, 0.5, 0.75, 1) for row in rows.values())


# --- the null alone ----------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(-8, 8), min_size=1, max_size=12),
    st.lists(st.integers(-8, 8), min_size=1, max_size=12),
)
def test_ties_are_at_or_above_on_the_left_and_not_above_on_the_right(
    null: list[int], values: list[int]
) -> None:
    for side, reach in (("left", lambda a, b: a >= b), ("right", lambda a, b: a > b)):
        p = p_values(np.array(values) / 8, np.array(null) / 8, side)  # type: ignore[arg-type]
        for v, found in zip(values, p, strict=True):
            assert found == pytest.approx(sum(reach(n, v) for n in null) / len(null), abs=1e-15)


@pytest.mark.parametrize("shift", [-1e-15, 1e-15])
def test_rounding_does_not_undo_a_tie(shift: float) -> None:
    assert p_values(np.array([0.3 + shift]), np.array([0.3, 0.1]), "left").tolist() == [0.5]
    assert p_values(np.array([0.3 + shift]), np.array([0.3, 0.1]), "right").tolist() == [0.0]
    assert np.isnan(p_values(np.array([np.nan]), np.array([0.3]), "left")).all()


def test_identical_wells_tie_with_their_null() -> None:
    same = null_wells(6, 5, 0)
    same.x[:] = np.float32(0.3)
    cosine = evaluate_replicates(same, align_by="none", null=["G000", "G001"])
    energy = signal.evaluate_signal(same, align_by="none", null=["G000", "G001"])
    assert cosine.tables["perturbations"]["p_value"] == [1.0] * 4
    assert energy.tables["perturbations"]["p_value"] == [0.0] * 4


def test_null_genes_are_in_no_mean(wells: Wells) -> None:
    """A null that is far from all others moves no mean; nor does it move the random ones'."""
    for measure, key in ((signal.evaluate_signal, "energy_distance"), (evaluate_replicates, "mean_cosine")):
        every = rows_of(measure(wells))  # type: ignore[operator]
        result = measure(wells, null=["STRONG"])  # type: ignore[operator]
        rest = [row[key] for name, row in every.items() if name != "STRONG"]
        assert result.summary["mean"] == pytest.approx(statistics.fmean(rest), abs=1e-12)
        assert result.summary["n_perturbations"] == len(rest) == len(rows_of(result))
    full, part = signal.evaluate_signal(wells).summary, signal.evaluate_signal(wells, null=["STRONG"]).summary
    assert part["random_mean"] != full["random_mean"]
    assert part["z"] == pytest.approx(
        (part["mean"] - part["random_mean"]) / math.hypot(part["mad"], part["random_mad"])
    )


# --- what will not do --------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", [signal.evaluate_signal, evaluate_replicates])
@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            {"null": "genes"},
            UsageError,
            "null is 'genes'; '(controls|others)' or a list of genes was expected",
        ),
        ({"null": []}, UsageError, "the null names no gene"),
        ({"null": ["TP53"], "by": "compound"}, UsageError, "goes with by='gene' or 'guide', not 'compound'"),
        (
            {"null": ["tp53", "NA", "FEW"]},
            DataError,
            "2 of the null's 3 genes are not among the perturbations: 'FEW', 'tp53'; 'FEW' has too few wells",
        ),
        (
            {"null": [*GENES, "Q1", "Q2", "Q3", "Q4", "Q5"]},
            DataError,
            "all 10 genes with enough wells are in the null; at least one other was expected",
        ),
    ],
    ids=str,
)
def test_lists_that_will_not_do(
    wells: Wells, measure: Measure, arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        measure(wells, **arguments)


def test_a_null_gene_without_a_cosine() -> None:
    still = null_wells(3, 5, 0)
    still.x[60:65] = 0
    with pytest.raises(DataError, match="the null's 'G000' has no two wells with a length"):
        evaluate_replicates(still, align_by="none", null=["G000", "G001"])
    rows = rows_of(evaluate_replicates(still, align_by="none", null=["G001"]))
    assert math.isnan(rows["G000"]["p_value"]) and not math.isnan(rows["G002"]["p_value"])
