"""Scores by kind of active pair: the kernel against a slow twin, the parts against the whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_rxrx.dataset.affinities import Affinities, read_affinities
from polaris_rxrx.errors import DataError
from polaris_rxrx.metrics import expected_average_precision, group_scores
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.report.breakdown import (
    break_down,
    by_potency,
    by_target_class,
    per_active,
    potency,
    read_classes,
)
from polaris_rxrx.scoring import Score, score
from polaris_rxrx.stats.intervals import bca
from polaris_rxrx.stats.resampling import Resampling
from tests.conftest import MakeTask

tables = st.lists(
    st.tuples(
        st.sampled_from((0.0, 1.0, np.nan)),
        st.one_of(st.integers(-2, 2).map(float), st.floats(allow_nan=False, allow_infinity=False)),
        st.integers(0, 3),
    ),
    max_size=40,
)


def arrays(rows: list[tuple[float, float, int]]) -> tuple[Any, Any, Any]:
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return np.array(columns[0]), np.array(columns[1], dtype=float), np.array(columns[2], dtype=np.int64)


def slow(y: Any, s: Any, g: Any) -> list[tuple[float, float]]:
    found = []
    rows = list(zip(y.tolist(), s.tolist(), g.tolist(), strict=True))
    for label, own, group in rows:
        if label != 1:
            found.append((np.nan, np.nan))
            continue
        above = [a for a, b, c in rows if c == group and a == a and b >= own]
        inactive = [b for a, b, c in rows if c == group and a == 0]
        wins = sum((own > b) + 0.5 * (own == b) for b in inactive)
        found.append((sum(above) / len(above), wins / len(inactive) if inactive else np.nan))
    return found


@given(tables)
def test_each_active_is_that_of_the_slow_twin(rows: list[tuple[float, float, int]]) -> None:
    table = arrays(rows)
    expected = np.array(slow(*table)).reshape(-1, 2).T
    np.testing.assert_allclose(np.stack(per_active(*table)), expected, rtol=0, atol=1e-12)


@given(tables)
def test_the_means_of_actives_are_the_metrics(rows: list[tuple[float, float, int]]) -> None:
    y, s, g = arrays(rows)
    groups = group_scores(y, s, g, 4)
    for each, metric in zip(per_active(y, s, g), (groups.average_precision, groups.auroc), strict=True):
        for code in range(4):
            own = each[(g == code) & (y == 1)]
            mean = own.mean() if len(own) else np.nan
            np.testing.assert_allclose(mean, metric[code], rtol=0, atol=1e-12)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        per_active([1.0], [np.nan], [0])


@pytest.fixture
def made(make_task: MakeTask) -> Score:
    """Twelve treatments of ten genes, two or three of them active; genes G0 to G3 are sometimes active."""
    rng = np.random.default_rng(3)
    pairs = [(f"T{t}", f"G{g}", float(g in (t % 4, (t + 1) % 4))) for t in range(12) for g in range(10)]
    task = make_task(pairs)
    return score(task, Predictions(rng.random(len(pairs)).round(1), "made.csv"))


def test_one_part_with_every_active_is_the_score(made: Score) -> None:
    (part,) = break_down("all", made, ["all"] * len(made.task), ["all", "none"], how=Resampling(500)).parts
    assert part.precision == pytest.approx(made.pr_auc, abs=1e-12)
    assert part.auroc == pytest.approx(made.roc_auc, abs=1e-12)
    assert (part.n_active, part.n_treatments) == (24, 12)
    assert part.chance == pytest.approx(float(expected_average_precision(10, 2)), abs=1e-12)
    expected = bca(made.groups.average_precision, Resampling(500))
    assert dataclasses.astuple(part.precision_interval) == pytest.approx(dataclasses.astuple(expected))


def test_parts_are_means_over_the_treatments_that_have_them(made: Score) -> None:
    classes = {"G0": "kinase", "G1": "kinase", "G2": "GPCR", "G9": "never active"}
    found = by_target_class(made, classes, how=Resampling(500))
    assert [p.name for p in found.parts] == ["kinase", "GPCR", "unclassified"]
    assert [p.n_active for p in found.parts] == [12, 6, 6]
    assert [p.n_treatments for p in found.parts] == [9, 6, 6]
    codes, _ = made.task.groups("treatment")
    precision, wins = per_active(made.task.active, made.predictions.values, codes)  # type: ignore[arg-type]
    for part, genes in zip(found.parts, (("G0", "G1"), ("G2",), ("G3",)), strict=True):
        means: dict[str, list[tuple[float, float]]] = {}
        for i, (t, g) in enumerate(zip(made.task.treatment, made.task.gene_symbol, strict=True)):
            if g in genes and made.task.active[i] == 1:  # type: ignore[index]
                means.setdefault(t, []).append((precision[i], wins[i]))
        values = np.array([np.mean(v, axis=0) for v in means.values()])
        assert (part.precision, part.auroc) == pytest.approx(tuple(values.mean(axis=0)), abs=1e-12)
        assert part.auroc_interval.low < part.auroc < part.auroc_interval.high
    assert found.notes == ("6 active pairs have a gene without a class",)


def test_chance_is_that_of_the_treatments_of_the_part(make_task: MakeTask) -> None:
    actives = {"A": ("BRAF",), "B": ("BRAF", "DRD2"), "C": ("DRD2", "EGFR", "BRAF"), "D": ("ESR1",)}
    genes = ("BRAF", "DRD2", "EGFR", "ESR1", "G1", "G2")
    task = make_task([(t, g, float(g in found)) for t, found in actives.items() for g in genes])
    result = by_target_class(score(task, Predictions(np.arange(24.0), "x")), how=Resampling(100))
    expected = {"kinase": (1, 2, 3), "GPCR": (2, 3), "nuclear receptor": (1,)}
    assert {p.name for p in result.parts} == set(expected)
    for part in result.parts:
        n_active = expected[part.name]
        chance = expected_average_precision([6] * len(n_active), n_active)
        assert part.chance == pytest.approx(chance.mean(), abs=1e-12)
        assert part.n_treatments == len(n_active)


def test_a_part_of_one_treatment_has_no_interval(make_task: MakeTask) -> None:
    task = make_task([("A", "BRAF", 1), ("A", "DRD2", 0), ("B", "DRD2", 1), ("B", "BRAF", 0)])
    found = by_target_class(score(task, Predictions(np.arange(4.0), "x")), how=Resampling(100))
    assert [(p.name, p.n_treatments) for p in found.parts] == [("GPCR", 1), ("kinase", 1)]
    assert all(np.isnan(p.precision_interval.low) and np.isnan(p.auroc_interval.high) for p in found.parts)


def test_a_treatment_of_actives_only_counts_for_precision_alone(make_task: MakeTask) -> None:
    task = make_task([("A", "BRAF", 1), ("B", "BRAF", 1), ("B", "DRD2", 0)])
    (part,) = by_target_class(score(task, Predictions(np.array([0.0, 1, 0]), "x")), how=Resampling(100)).parts
    assert (part.precision, part.auroc, part.n_treatments) == (1, 1, 2)


@pytest.mark.parametrize(
    ("affinity", "name"),
    [
        (None, "unknown"),
        (0.0, "at most 10 nM"),
        (10.0, "at most 10 nM"),
        (10.01, "10 to 100 nM"),
        (100.0, "10 to 100 nM"),
        (1000.0, "100 to 1,000 nM"),
        (1000.1, "above 1,000 nM"),
    ],
)
def test_potency_bins_hold_their_upper_end(affinity: float | None, name: str) -> None:
    assert potency(affinity) == name


def test_by_potency_takes_the_affinity_of_the_pair(made: Score) -> None:
    affinities = Affinities(
        {"T0": {"G0": 3.0, "G1": 500.0}, "T1": {"G1": 20.0, "G5": 1.0}, "T2": {"G2": 5_000.0}},
        (),
        Path("folder/table.csv"),
        "",
        4,
    )
    found = by_potency(made, affinities, how=Resampling(100))
    counts = {p.name: p.n_active for p in found.parts}
    assert counts == {
        "at most 10 nM": 1,
        "10 to 100 nM": 1,
        "100 to 1,000 nM": 1,
        "above 1,000 nM": 1,
        "unknown": 20,
    }
    assert found.notes == ("20 active pairs are not in table.csv",)


def test_the_package_classifies_every_gene_of_the_affinity_table(shared_data: Path) -> None:
    genes = read_affinities(shared_data / "compound_gene_interactions.csv").genes
    assert set(read_classes()) == set(genes)


def test_families_are_right_where_names_mislead() -> None:
    classes = read_classes()
    expected = {
        "kinase": ("BRAF", "KDR", "TGFBR1", "INSR", "CHUK", "PIK3CA", "MTOR", "CSF1R"),
        "GPCR": ("HTR2A", "CHRM1", "F2R", "TBXA2R", "SMO", "CASR", "CALCRL"),
        "nuclear receptor": ("AR", "NR3C1", "HNF4A", "RARA"),
        "ion channel": ("HTR3A", "CHRNA7", "CFTR", "GRIN1", "KCNJ11", "TRPV1"),
        "transporter": ("SLC6A4", "ABCC8", "ATP4A"),
        "protease": ("F2", "ACE", "CASP3", "PSMB5", "REN"),
        "epigenetic": ("BRD4", "HDAC1", "DNMT1"),
        "other enzyme": ("ACHE", "PTGS2", "TBXAS1", "CA2", "PDE5A", "TYR", "SI"),
        "other": ("BCL2", "TP53", "HSP90AA1", "TUBB", "SIGMAR1", "TLR7"),
    }
    for kind, genes in expected.items():
        assert {gene: classes[gene] for gene in genes} == dict.fromkeys(genes, kind)
    assert set(classes.values()) == set(expected)


def test_classes_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text('gene_symbol,target_class,note\nNA,"a, b",x\nBRAF, kinase ,y\n', "utf-8")
    assert read_classes(path) == {"NA": "a, b", "BRAF": "kinase"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene,target_class\nBRAF,kinase\n", "no column 'gene_symbol'"),
        ("gene_symbol,target_class\n", "holds no target classes"),
        ("gene_symbol,target_class\nBRAF,\n", "line 2: target_class is empty"),
        ("gene_symbol,target_class\n ,kinase\n", "line 2: gene_symbol is ' '"),
        (
            "gene_symbol,target_class\nBRAF,kinase\nDRD2,GPCR\nBRAF,other\n",
            "line 4: 'BRAF' stands a second time ('other'); it is 'kinase' on line 2",
        ),
    ],
)
def test_a_bad_table_of_classes_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError) as error:
        read_classes(path)
    assert message in str(error.value)
    assert "mine.csv" in str(error.value)
