"""Energy distances and replicate consistency against double loops; nulls; what will not do."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps import align
from polaris_rxrx.maps.align import ALIGNERS, Aligner
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.suites import energy
from polaris_rxrx.suites import groups as grouping
from polaris_rxrx.suites.energy import ReferenceWells, energy_distance, energy_distances, mean_self_distance
from polaris_rxrx.suites.groups import gene_of
from polaris_rxrx.suites.replicates import evaluate_replicates, mean_pair_cosine
from polaris_rxrx.suites.result import Result
from polaris_rxrx.suites.signal import evaluate_signal as evaluate
from polaris_rxrx.wells.memory import Wells, read_wells
from polaris_rxrx.wells.metadata import Perturbations
from tests.conftest import ROOT
from tests.wells_factory import Group, make_embeddings, make_metadata, small, write

Floats = np.ndarray[Any, np.dtype[np.float64]]
# Four experiments; genes with names that a careless split would break; one too small, one planted strong.
GENES = ("TP53", "HLA-A", "A_guide_B", "NA", "STRONG")
PLAN = (
    *(Group(f"gene-00{e}", CONTROL, 30) for e in (1, 2)),
    *(Group(f"gene-00{e}", name, 4 + e) for e in (1, 2) for name in GENES),
    Group("gene-001", "FEW", 3),
    *(Group(f"compound-00{e}", CONTROL, 25, compound=True) for e in (1, 2)),
    Group("compound-001", "CRISPR_control", 6, compound=True),
    *(Group("compound-001", "aspirin", 6, c) for c in ("0.25", "10.0")),
    Group("compound-002", "aspirin", 2, "1.0"),
    Group("compound-002", "HLA-A", 5, "2.5"),
)


def in_guides(metadata: pd.DataFrame) -> pd.DataFrame:
    """Spread a gene's wells over two guides."""
    metadata = metadata.sort_values("well_id").reset_index(drop=True)
    nth = metadata.groupby(["gene", "experiment_name"]).cumcount() % 2 + 1
    gene = (metadata.perturbation_type == "CRISPR") & (metadata.gene != CONTROL)
    metadata["treatment"] = metadata.treatment.where(~gene, metadata.gene + "_guide_" + nth.astype(str))
    return metadata.sample(frac=1, random_state=5)


def write_wells(folder: Path, shuffle: int | None = None) -> tuple[Path, Path]:
    metadata = in_guides(make_metadata(PLAN))
    embeddings = make_embeddings(metadata.sort_values("well_id").reset_index(drop=True))
    strong = metadata.set_index("well_id").loc[embeddings.well_id, "gene"].to_numpy() == "STRONG"
    embeddings.loc[strong, "feature_0"] += np.float32(60)
    if shuffle is not None:
        metadata = metadata.sample(frac=1, random_state=shuffle)
        embeddings = embeddings.sample(frac=1, random_state=shuffle + 1)
    folder.mkdir(exist_ok=True)
    return write(folder, metadata, embeddings)


def make_wells(folder: Path, *, guides: bool = False) -> Wells:
    return read_wells(*write_wells(folder), guides=guides)


@pytest.fixture(scope="module")
def wells(tmp_path_factory: pytest.TempPathFactory) -> Wells:
    return make_wells(tmp_path_factory.mktemp("wells"))


@pytest.fixture(scope="module")
def guides(tmp_path_factory: pytest.TempPathFactory) -> Wells:
    return make_wells(tmp_path_factory.mktemp("guides"), guides=True)


def rows_of(result: Result, table: str = "perturbations") -> dict[str, dict[str, Any]]:
    columns = result.tables[table]
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return {row["perturbation"]: row for row in rows}


def twin_mean(x: Floats, y: Floats) -> float:
    return math.fsum(math.dist(a, b) for a in x.tolist() for b in y.tolist()) / (len(x) * len(y))


def twin_energy(x: Floats, y: Floats) -> float:
    return 2 * twin_mean(x, y) - twin_mean(x, x) - twin_mean(y, y)


def twin_cosine(x: Floats) -> float:
    def one(a: list[float], b: list[float]) -> float:
        return math.fsum(p * q for p, q in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))

    rows = x.tolist()
    pairs = [one(a, b) for i, a in enumerate(rows) for b in rows[:i]]
    return math.fsum(pairs) / len(pairs)


# Kernels

VALUES = st.floats(-100, 100).map(lambda v: round(v, 1))
ROWS = st.integers(1, 6).flatmap(lambda n: arrays(np.float64, (n, 3), elements=VALUES))


@given(ROWS, ROWS)
def test_energy_equals_double_loops(x: Floats, y: Floats) -> None:
    assert energy_distance(x, y) == pytest.approx(twin_energy(x, y), abs=1e-10)
    assert energy_distance(np.vstack([x, x]), np.vstack([y, x, y])) == pytest.approx(
        twin_energy(np.vstack([x, x]), np.vstack([y, x, y])), abs=1e-10
    )


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_energy_equals_double_loops_over_blocks(monkeypatch: pytest.MonkeyPatch, offset: float) -> None:
    monkeypatch.setattr(energy, "_ROWS_AT_ONCE", 7)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 9)) + offset, rng.normal(size=(23, 9)) * 2 + offset
    x[5] = x[33] = y[2]  # one row in several blocks and on both sides
    x[6] = x[5] + 1e-9  # and one so near that the product alone would lose it
    start = np.array([0, 1, 9, 30])
    found = energy_distances(x, start, ReferenceWells.of(y))
    expected = [twin_energy(x[a:b], y) for a, b in zip(start, [1, 9, 30, 40], strict=True)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    assert mean_self_distance(x) == pytest.approx(twin_mean(x, x), abs=1e-10)


def test_properties_of_the_energy_distance() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(12, 4)), rng.normal(size=(30, 4)) + 1
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    value = energy_distance(x, y)
    assert value > 0
    assert energy_distance(y, x) == pytest.approx(value, abs=1e-12)
    assert energy_distance(x[::-1], rng.permutation(y)) == pytest.approx(value, abs=1e-12)
    assert energy_distance(3 * x @ turn + 5, 3 * y @ turn + 5) == pytest.approx(3 * value, abs=1e-10)
    assert energy_distance(x, x) == pytest.approx(0, abs=1e-13)
    assert energy_distance(np.vstack([x, x]), x) == pytest.approx(0, abs=1e-13)
    assert energy_distance([[0.0]], [[3.0]]) == 6
    assert energy_distance([[1e-3, 1.0]], [[1e-3, 1.0]]) == 0
    assert mean_self_distance(np.ones((5, 2))) == 0


def test_the_arguments_are_left_as_they_were() -> None:
    x = np.arange(6.0).reshape(3, 2)
    x.flags.writeable = False
    energy_distance(x, x + 1)
    assert x.tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    "x, y, message",
    [
        (np.empty((0, 2)), np.ones((3, 2)), r"x has the shape \(0, 2\)"),
        (np.ones((3, 2)), np.empty((0, 2)), r"y has the shape \(0, 2\)"),
        (np.ones(3), np.ones((3, 2)), r"x has the shape \(3,\)"),
        (np.ones((3, 2)), np.ones((3, 3)), "x has 2 columns and y has 3"),
        ([[1.0, math.nan]], np.ones((3, 2)), "x holds nan in row 0, column 1"),
        (np.ones((3, 2)), [[1.0, 1.0], [math.inf, 0]], "y holds inf in row 1, column 0"),
    ],
)
def test_rows_that_will_not_do(x: Any, y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        energy_distance(x, y)


@pytest.mark.parametrize("n", [2, 5, 9])
def test_mean_pair_cosines_equal_double_loops(n: int) -> None:
    x = np.random.default_rng(n).normal(size=(n, 4)) + 0.5
    x[1] = x[0]
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert mean_pair_cosine(units) == pytest.approx(twin_cosine(x), abs=1e-10)


@pytest.mark.parametrize("n", [0, 1])
def test_no_pair_has_no_mean_cosine(n: int) -> None:
    assert math.isnan(mean_pair_cosine(np.ones((n, 1))))


# The suite


def aligned(wells: Wells, aligner: Aligner) -> Floats:
    """Every well aligned, in the order of `wells`."""
    controls = [align.moments(b.x[b.control]) for b in wells.blocks()]
    pooled = controls[0]
    for found in controls[1:]:
        pooled = pooled.merge(found)
    basis = align.basis(aligner, pooled, len(wells.features))
    return np.vstack([align.fit(basis, b.x[b.control]).rows(b.x) for b in wells.blocks()])


@pytest.mark.parametrize("aligner", ALIGNERS)
def test_rows_have_the_mean_of_sums(wells: Wells, aligner: Aligner) -> None:
    x, map_ = aligned(wells, aligner), build_map(wells, aligner)
    keys = list(
        zip(
            map_.perturbations.type,
            map_.perturbations.name,
            map_.perturbations.concentration.tolist(),
            strict=True,
        )
    )
    for row, (kind, name, dose) in enumerate(keys):
        p = wells.perturbations
        here = [
            i for i in range(len(p))
            if (p.type[i], p.name[i]) == (kind, name) and (dose != dose or p.concentration[i] == dose)
        ]  # fmt: skip
        mean = x[np.isin(wells.perturbation, here)].mean(axis=0)
        np.testing.assert_allclose(mean, map_.x[row], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("aligner", ALIGNERS)
def test_energies_equal_loops_over_aligned_wells(wells: Wells, aligner: Aligner) -> None:
    result = evaluate(wells, align_by=aligner, n_random=20)
    x = aligned(wells, aligner)
    names = np.array(wells.perturbations.name)[wells.perturbation]
    crispr = np.array(wells.perturbations.type)[wells.perturbation] == "CRISPR"
    rows = rows_of(result)
    assert list(rows) == sorted(GENES)
    for name, row in rows.items():
        mine = x[crispr & (names == name)]
        assert row["n_wells"] == len(mine) == 11
        assert row["energy_distance"] == pytest.approx(
            twin_energy(mine, x[crispr & wells.control]), abs=1e-10
        )
    values = sorted(row["energy_distance"] for row in rows.values())
    middle = values[2]
    assert result.summary["median"] == middle
    assert result.summary["mean"] == pytest.approx(math.fsum(values) / 5)
    assert result.summary["mad"] == pytest.approx(sorted(abs(v - middle) for v in values)[2])
    s = result.summary
    assert s["z"] == pytest.approx((s["mean"] - s["random_mean"]) / math.hypot(s["mad"], s["random_mad"]))
    assert result.notes[0] == "1 perturbations have fewer than 5 wells: 'FEW'"


def test_at_most_so_many_controls(wells: Wells) -> None:
    result = evaluate(wells, align_by="none", max_controls=17, n_random=20, baseline=False)
    crispr = np.array(wells.perturbations.type)[wells.perturbation] == "CRISPR"
    controls = wells.x[crispr & wells.control].astype(np.float64)
    order = np.random.default_rng([0, grouping.CONTROLS]).permutation(len(controls))
    mine = wells.x[np.array(wells.perturbations.name)[wells.perturbation] == "TP53"].astype(np.float64)
    assert rows_of(result)["TP53"]["energy_distance"] == pytest.approx(
        twin_energy(mine, controls[order[:17]]), abs=1e-9
    )
    assert result.protocol["n_controls"] == 17 and "z" not in result.summary
    assert (
        evaluate(wells, max_controls=17, seed=1).summary["mean"]
        != evaluate(wells, max_controls=17).summary["mean"]
    )


def test_by_guide(guides: Wells) -> None:
    rows = rows_of(evaluate(guides, by="guide", n_random=50))
    assert list(rows) == sorted(f"{gene}_guide_{n}" for gene in GENES for n in (1, 2))
    assert [row["gene"] for row in rows.values()] == sorted([*GENES, *GENES])
    assert {row["n_wells"] for row in rows.values()} == {5, 6}


def test_by_gene_is_the_same_from_guides(wells: Wells, guides: Wells) -> None:
    for measure in (evaluate, evaluate_replicates):
        one, other = rows_of(measure(wells)), rows_of(measure(guides))  # type: ignore[operator]
        assert list(one) == list(other)
        for name, row in one.items():
            key = "energy_distance" if "energy_distance" in row else "mean_cosine"
            assert other[name][key] == pytest.approx(row[key], abs=1e-10)


def test_by_compound(wells: Wells) -> None:
    rows = rows_of(evaluate(wells, by="compound"))
    assert {name: row["n_wells"] for name, row in rows.items()} == {"HLA-A": 5, "aspirin": 14}
    result = evaluate(wells, by="compound-concentration")
    columns = result.tables["perturbations"]
    assert list(zip(columns["perturbation"], columns["concentration"], columns["n_wells"], strict=True)) == [
        ("HLA-A", 2.5, 5), ("aspirin", 0.25, 6), ("aspirin", 10.0, 6)
    ]  # fmt: skip
    assert result.notes[0] == "1 perturbations have fewer than 5 wells: 'aspirin at 1 uM'"


@pytest.mark.parametrize(
    "guide, gene",
    [("RPLP2_guide_4", "RPLP2"), ("HLA-A_guide_12", "HLA-A"), ("A_guide_B_guide_1", "A_guide_B"),
     ("A_guide_1_guide_2", "A_guide_1"), ("TP53", "TP53"),
     ("X_guide_", "X_guide_"), ("X_guide_1 ", "X_guide_1 ")],
)  # fmt: skip
def test_a_guide_is_split_at_its_suffix_alone(guide: str, gene: str) -> None:
    assert gene_of(guide) == gene


def test_a_strong_perturbation_stands_out(wells: Wells) -> None:
    rows = rows_of(evaluate(wells, n_random=297))
    assert rows["STRONG"]["p_value"] == pytest.approx(0.01)  # each split's, and so their combination
    assert rows["STRONG"]["energy_distance"] == max(row["energy_distance"] for row in rows.values())
    for measure in (evaluate, evaluate_replicates):
        others = measure(wells, null=["TP53", "HLA-A", "NA", "A_guide_B"])  # type: ignore[operator]
        assert others.tables["perturbations"]["p_value"] == [0.0]


def null_wells(n_genes: int, n_wells: int, seed: int) -> Wells:
    """Genes that do nothing."""
    rng = np.random.default_rng(seed)
    sizes = [60] + [n_wells] * n_genes
    p = Perturbations(
        ["CRISPR"] * (n_genes + 1),
        [CONTROL, *(f"G{i:03d}" for i in range(n_genes))],
        np.full(n_genes + 1, np.nan),
    )
    code = np.repeat(np.arange(n_genes + 1), sizes)
    x = rng.normal(size=(len(code), 5)).astype(np.float32)
    zero = np.zeros(len(code), dtype=np.int64)
    return Wells(x, list("abcde"), zero, ["gene-001"], code, p, code == 0, 0, {})


def test_p_values_of_nothing_are_even() -> None:
    still = null_wells(200, 8, seed=0)
    for result in (
        evaluate(still, n_random=300, align_by="none", baseline=False),
        evaluate_replicates(still, n_random=300, align_by="none"),
        evaluate_replicates(still, n_random=300),
    ):
        p = np.array(result.tables["perturbations"]["p_value"])
        # All are held against the same 30 controls, which vary by chance, so they lie to one side alike.
        assert 0.3 < p.mean() < 0.7 and p.max() > 0.9
        assert (p < 0.05).mean() < 0.12
        assert set(result.tables["perturbations"]["n_tested"]) == {8}


def test_consistency_equals_double_loops(wells: Wells) -> None:
    result = evaluate_replicates(wells, n_random=600)
    x = aligned(wells, "pca-cs")
    names = np.array(wells.perturbations.name)[wells.perturbation]
    crispr = np.array(wells.perturbations.type)[wells.perturbation] == "CRISPR"
    rows = rows_of(result)
    assert list(rows) == sorted(GENES)
    for name, row in rows.items():
        assert row["mean_cosine"] == pytest.approx(twin_cosine(x[crispr & (names == name)]), abs=1e-10)
    assert rows["STRONG"]["p_value"] == pytest.approx(1 / 201)
    assert result.suite == "replicate-consistency" and result.summary["n_p_values"] == 5


def test_identical_wells_tie_with_their_null() -> None:
    same = replace(null_wells(6, 5, 0), x=np.full((90, 5), 0.3, dtype=np.float32))
    result = evaluate_replicates(same, align_by="none", n_random=9)
    assert result.tables["perturbations"]["mean_cosine"] == pytest.approx([1.0] * 6)
    assert all(p > 0.9 for p in result.tables["perturbations"]["p_value"])
    result = evaluate(same, align_by="none", n_random=9)
    assert result.tables["perturbations"]["energy_distance"] == [0.0] * 6
    assert all(p > 0.9 for p in result.tables["perturbations"]["p_value"])


def test_wells_without_length_have_no_cosine() -> None:
    still = null_wells(3, 5, 0)
    still.x[60:65] = 0
    still.x[65:67] = 0
    result = evaluate_replicates(still, align_by="none", n_random=9)
    rows = rows_of(result)
    assert math.isnan(rows["G000"]["mean_cosine"]) and math.isnan(rows["G000"]["p_value"])
    assert rows["G001"]["mean_cosine"] == pytest.approx(
        twin_cosine(still.x[67:70].astype(np.float64)), abs=1e-10
    )
    assert result.notes[0] == "7 wells have no length, hence no cosines, and were left out"
    assert json.loads(result.to_json())["summary"]["n_p_values"] == 2


def test_one_perturbation_has_a_p_value() -> None:
    result = evaluate_replicates(null_wells(1, 6, 0), n_random=9)
    assert result.notes == ()
    assert 0 < result.tables["perturbations"]["p_value"][0] <= 1


def test_a_control_among_a_genes_wells_is_a_control(wells: Wells) -> None:
    mine = np.flatnonzero(np.array(wells.perturbations.name)[wells.perturbation] == "TP53")
    control = wells.control.copy()
    control[mine[0]] = True
    result = evaluate(replace(wells, control=control), n_random=9)
    assert rows_of(result)["TP53"]["n_wells"] == 10
    assert result.protocol["n_controls"] == 61


# What will not do

Measure = Callable[..., Result]


@pytest.mark.parametrize("measure", [evaluate, evaluate_replicates])
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"by": "plate"}, "by is 'plate'; expected one of gene, guide"),
        ({"min_wells": 1}, "min_wells is 1; 2 or more"),
        ({"seed": -1}, "seed is -1"),
        ({"n_random": 0}, "n_random is 0"),
        ({"by": "guide"}, r"no perturbation is named like a guide .*guides=True"),
        ({"align_by": "magic"}, "aligner 'magic' is not known"),
    ],
)
def test_misuse(wells: Wells, measure: Measure, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        measure(wells, **arguments)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"max_controls": 1}, "max_controls is 1; 2 or more"),
        ({"null": "genes"}, "null is 'genes'; 'controls' or a list"),
        ({"null": []}, "the null names no gene"),
        ({"null": ["TP53"], "by": "compound"}, "goes with by='gene' or 'guide'"),
    ],
)
def test_misuse_of_the_null(wells: Wells, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(wells, **arguments)


def test_unknown_genes_in_the_null(wells: Wells) -> None:
    message = (
        r"2 of the null's 3 genes are not among the perturbations: 'FEW', 'tp53'; 'FEW' has too few wells"
    )
    with pytest.raises(DataError, match=message):
        evaluate(wells, null=["tp53", "NA", "FEW"])


@pytest.mark.parametrize("measure", [evaluate, evaluate_replicates])
def test_values_that_are_not_finite(wells: Wells, measure: Measure) -> None:
    x = wells.x.copy()
    row = int(np.flatnonzero(np.array(wells.perturbations.name)[wells.perturbation] == "TP53")[0])
    x[row, 2] = np.nan
    with pytest.raises(
        DataError, match=r"experiment 'gene-001': feature 'feature_2' is nan in a well of 'TP53'"
    ):
        measure(replace(wells, x=x))


@pytest.mark.parametrize("measure", [evaluate, evaluate_replicates])
def test_too_few_wells(wells: Wells, measure: Measure) -> None:
    with pytest.raises(
        DataError, match="none of the 6 perturbations by gene has 12 wells or more; the largest has 11"
    ):
        measure(wells, min_wells=12)
    none = replace(
        wells, x=wells.x[:0], experiment=wells.experiment[:0], perturbation=wells.perturbation[:0],
        control=wells.control[:0],
    )  # fmt: skip
    with pytest.raises(DataError, match="none of the 0 perturbations"):
        measure(none)


def test_no_controls(tmp_path: Path) -> None:
    plan = (*(g for g in PLAN if g.is_compound), *(Group("gene-001", n, 6) for n in GENES))
    with pytest.raises(DataError, match="hold 0 EMPTY_control wells on the side of gene"):
        evaluate(read_wells(*small(tmp_path, plan=plan)), align_by="none")
    with pytest.raises(
        DataError, match="1 of 3 experiments have fewer than 2 EMPTY_control wells: 'gene-001'"
    ):
        evaluate_replicates(read_wells(*small(tmp_path, plan=plan)))


# The same again


SAID = """
from polaris_rxrx.suites.replicates import evaluate_replicates
from polaris_rxrx.suites.signal import evaluate_signal
from polaris_rxrx.wells.memory import read_wells

def said(files):
    known = read_wells(*files, guides=True)
    results = [
        evaluate_signal(known, max_controls=20, n_random=30),
        evaluate_signal(known, by="guide", null=["TP53", "HLA-A"]),
        evaluate_replicates(known, n_random=30),
    ]
    return "".join(r.to_json() + "".join(r.csv(name) for name in r.tables) for r in results)
"""


def said(folder: Path, shuffle: int | None) -> str:
    """What all of them find in the same wells; what says it is text, for another process has it, too."""
    names: dict[str, Any] = {}
    exec(SAID, names)
    text: str = names["said"](write_wells(folder, shuffle))
    return text


def test_the_order_of_rows_changes_no_byte(tmp_path: Path) -> None:
    assert said(tmp_path / "one", None) == said(tmp_path / "two", 3) == said(tmp_path / "three", 8)


def test_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    script = SAID + "import sys; sys.stdout.write(said(sys.argv[1:]))"
    there = subprocess.run(
        [sys.executable, "-c", script, *map(str, write_wells(tmp_path / "there", None))],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert there == said(tmp_path / "here", None) and "replicate-consistency" in there


def test_a_result_can_be_told_from_another(wells: Wells) -> None:
    base = evaluate(wells).protocol
    other = replace(wells, x=wells.x + np.float32(1e-3))
    assert evaluate(wells).protocol == base
    for result in (
        evaluate(other),
        evaluate(wells, seed=1),
        evaluate(wells, align_by="tvn"),
        evaluate(wells, by="compound"),
    ):
        assert result.protocol != base
