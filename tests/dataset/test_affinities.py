"""The affinity table and the benchmark drawn from it: the paper's rules, and the same draw everywhere."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx import arrow
from polaris_rxrx.baselines import predict_random
from polaris_rxrx.dataset import affinities
from polaris_rxrx.dataset.affinities import (
    Affinities,
    Candidates,
    Draw,
    candidates,
    draw,
    draw_negatives,
    read_affinities,
)
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.metrics import group_scores
from polaris_rxrx.task import MetricSpec, Task

HEADER = "gene_symbol,nM_value,treatment\n"


def made_up(seed: int, path: Path, genes: int = 60) -> list[tuple[str, float, str]]:
    """A random table with repeats, grey affinities, bounds hit exactly, a compound without actives."""
    rng = random.Random(seed)
    rows = [
        (
            f"G{rng.randrange(genes):02d}",
            rng.choice([0.0, 1.5, 1000.0, 1000.1, 10_000.0, 10_000.1, 5e5]),
            f"C{c}",
        )
        for c in range(12)
        for _ in range(rng.randrange(1, 30))
    ]
    rows += [(f"G{g:02d}", 20_000.0, "never active") for g in range(genes)]
    path.write_text(HEADER + "".join(f"{g},{v!r},{c}\n" for g, v, c in rows))
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_rules_on_a_random_table(tmp_path: Path, seed: int) -> None:
    rows = made_up(seed, tmp_path / "a.csv")
    table = read_affinities(tmp_path / "a.csv")
    drawn = draw(table, seed)
    strongest: dict[tuple[str, str], float] = {}
    for gene, value, compound in rows:
        strongest[compound, gene] = min(value, strongest.get((compound, gene), value))
    every_gene = {g for g, _, _ in rows}
    by_compound: dict[str, list[tuple[str, int]]] = {}
    for compound, gene, label in zip(drawn.treatment, drawn.gene_symbol, drawn.active, strict=True):
        by_compound.setdefault(compound, []).append((gene, label))
    for compound in {c for _, _, c in rows}:
        actives = {g for g in every_gene if strongest.get((compound, g), 1e9) <= 1000}
        grey = {g for g in every_gene if 1000 < strongest.get((compound, g), 1e9) <= 10_000}
        if not actives:
            assert compound not in by_compound
            continue
        pairs = by_compound[compound]
        negatives = {g for g, label in pairs if label == 0}
        wanted = max(2 * len(actives), 20)
        eligible = every_gene - actives - grey
        assert {g for g, label in pairs if label == 1} == actives
        assert negatives <= eligible
        assert len(negatives) == min(wanted, len(eligible))
        assert len(pairs) == len(actives) + len(negatives)  # none twice
        assert (compound in drawn.short) == (len(eligible) < wanted)
    keys = list(zip(drawn.treatment, drawn.gene_symbol, strict=True))
    assert keys == sorted(set(keys))


def test_a_compound_with_too_few_negatives_gets_all_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        HEADER + "".join(f"G{i},{10 if i < 3 else 50_000},C\n" for i in range(10)) + "G3,5000,C\n"
    )
    drawn = draw(read_affinities(path), 0)
    assert drawn.short == {"C": 6}
    assert sorted(drawn.active) == [0] * 6 + [1] * 3 and "G3" not in drawn.gene_symbol


def test_every_eligible_gene_is_drawn_equally_often(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "G00,1,C\n" + "".join(f"G{i:02d},99999,other\n" for i in range(1, 41)))
    table = read_affinities(path)
    counts: dict[str, int] = {}
    for seed in range(400):
        drawn = draw(table, seed)
        for gene, label in zip(drawn.gene_symbol, drawn.active, strict=True):
            counts[gene] = counts.get(gene, 0) + (label == 0)
    del counts["G00"]
    # 20 of 40, 400 times: 200 each, standard deviation 10.
    assert len(counts) == 40 and all(150 < n < 250 for n in counts.values())


def test_the_table_s_row_order_does_not_matter(tmp_path: Path) -> None:
    made_up(3, tmp_path / "a.csv")
    head, *lines = (tmp_path / "a.csv").read_text().splitlines()
    random.Random(0).shuffle(lines)
    (tmp_path / "b.csv").write_text("\n".join([head, *lines]) + "\n")
    for seed in (0, 1):
        a, b = (draw(read_affinities(tmp_path / name), seed) for name in ("a.csv", "b.csv"))
        assert a == b


def test_another_process_and_another_hash_seed_draw_the_same(tmp_path: Path) -> None:
    made_up(1, tmp_path / "a.csv")
    code = (
        "import sys; from polaris_rxrx.dataset.affinities import *\n"
        "d = draw(read_affinities(sys.argv[1]), 5); print(d.treatment, d.gene_symbol, d.active)"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "a.csv")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "77")  # without any, and another than this process's
    }
    here = draw(read_affinities(tmp_path / "a.csv"), 5)
    assert said == {f"{here.treatment} {here.gene_symbol} {here.active}\n"}
    assert draw(read_affinities(tmp_path / "a.csv"), 6) != here


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (",5,C", "line 3: gene_symbol and treatment must not be empty"),
        ("G,5,", "line 3: gene_symbol and treatment must not be empty"),
        *(
            (f"G,{v},C", f"line 3: nM_value is {v!r}; an affinity in nM")
            for v in ("", "-1", "nan", "inf", ">10", "1_0")
        ),
        ("G,5", "line 3: 2 fields where the header has 3"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}G,1,C\n{row}\n")
    with pytest.raises(DataError) as caught:
        read_affinities(path)
    assert str(caught.value).startswith(f"{path}, {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene,nM_value,treatment\nG,1,C\n", "no column 'gene_symbol'"),
        (HEADER, "holds no affinities"),
        ("", "is empty"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_affinities(path)
    assert str(caught.value).startswith(str(path))


def test_no_actives_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "G,1000.5,C\n")
    with pytest.raises(DataError, match="no affinity is 1,000 nM or less"):
        draw(read_affinities(path), 0)


# --- candidates and their draws ----------------------------------------------------------------------------


def drawn_of(can: Candidates, seed: int) -> dict[str, list[str]]:
    """Row -> its negatives, in the order drawn."""
    negatives = draw_negatives(can, seed)
    assert negatives.shape == (len(can.rows), int(can.n_negatives.max()))
    return {
        row: [can.columns[j] for j in negatives[i, : can.n_negatives[i]]] for i, row in enumerate(can.rows)
    }


@pytest.mark.parametrize("by", ["compound", "gene"])
@pytest.mark.parametrize(("active", "inactive"), [(1000, 10_000), (1.5, 1.5), (10_000, 5e5 - 1), (0.5, 1e9)])
@pytest.mark.parametrize("restricted", [False, True])
def test_candidates_by_definition(
    tmp_path: Path, by: Any, active: float, inactive: float, restricted: bool
) -> None:
    rows = made_up(7, tmp_path / "a.csv", genes=40)
    table = read_affinities(tmp_path / "a.csv")
    compounds, genes = sorted({c for *_, c in rows}), sorted({g for g, *_ in rows})
    limits: dict[str, Any] = {}
    if restricted:
        compounds, genes = compounds[::2], genes[5:30]
        limits = {"compounds": {*compounds, "in no table"}, "genes": [*reversed(genes), "in no table"]}
    can = candidates(table, by=by, active=active, inactive=inactive, min_negatives=5, **limits)
    strongest: dict[tuple[str, str], float] = {}
    for g, v, c in rows:
        strongest[c, g] = min(v, strongest.get((c, g), v))
    outer, inner = (compounds, genes) if by == "compound" else (genes, compounds)
    nm = {
        (r, k): strongest.get((r, k) if by == "compound" else (k, r), float("inf"))
        for r in outer
        for k in inner
    }
    assert can.columns == inner
    assert can.rows == [r for r in outer if any(nm[r, k] <= active for k in inner)]
    short = {}
    for i, r in enumerate(can.rows):
        assert can.active[i].tolist() == [nm[r, k] <= active for k in inner]
        assert can.eligible[i].tolist() == [nm[r, k] > inactive for k in inner]
        wanted = max(2 * sum(can.active[i]), 5)
        assert can.wanted[i] == wanted
        assert can.n_negatives[i] == min(wanted, sum(can.eligible[i]))
        if sum(can.eligible[i]) < wanted:
            short[r] = sum(can.eligible[i])
    assert can.short == short
    for r, names in drawn_of(can, 3).items():
        assert len(set(names)) == len(names)
        assert all(nm[r, k] > inactive for k in names)


def test_negatives_are_the_eligible_of_the_smallest_keys(tmp_path: Path) -> None:
    """In the order of their keys, so that fewer negatives of a seed are the first of more."""
    made_up(2, tmp_path / "a.csv")
    table = read_affinities(tmp_path / "a.csv")
    can, fewer = candidates(table), candidates(table, min_negatives=8)
    assert can.rows == fewer.rows
    for seed in range(5):
        key = np.random.default_rng(seed).random(can.eligible.shape)
        more, few = drawn_of(can, seed), drawn_of(fewer, seed)
        for i, row in enumerate(can.rows):
            eligible = sorted(np.flatnonzero(can.eligible[i]), key=lambda j: key[i, j])
            assert more[row] == [can.columns[j] for j in eligible[: can.n_negatives[i]]]
            assert few[row] == more[row][: len(few[row])]


def test_a_seed_draws_what_draw_draws(tmp_path: Path) -> None:
    made_up(4, tmp_path / "a.csv")
    table = read_affinities(tmp_path / "a.csv")
    for seed in range(3):
        drawn, here = draw(table, seed), drawn_of(candidates(table), seed)
        pairs = zip(drawn.treatment, drawn.gene_symbol, drawn.active, strict=True)
        assert {(c, g) for c, g, y in pairs if not y} == {(c, g) for c in here for g in here[c]}


@pytest.mark.parametrize("cells", [1, 1_500, 10**9], ids=["a compound", "some compounds", "all at once"])
def test_the_draw_is_the_same_however_many_compounds_are_drawn_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: int
) -> None:
    """With so many genes that most numbers are never looked at."""
    made_up(7, tmp_path / "a.csv", genes=500)
    table = read_affinities(tmp_path / "a.csv")
    can = candidates(table)
    monkeypatch.setattr(affinities, "_CELLS", cells)
    for seed in range(3):
        key = np.random.default_rng(seed).random(can.eligible.shape)
        expected = []
        for i, row in enumerate(can.rows):
            eligible = sorted(np.flatnonzero(can.eligible[i]), key=lambda j: key[i, j])
            taken = {*np.flatnonzero(can.active[i]), *eligible[: can.n_negatives[i]]}
            expected += [(row, can.columns[j], int(can.active[i, j])) for j in sorted(taken)]
        drawn = draw(table, seed)
        assert list(zip(drawn.treatment, drawn.gene_symbol, drawn.active, strict=True)) == expected
        assert drawn.short == can.short


def test_where_hardly_a_number_is_small_all_are_looked_at(tmp_path: Path) -> None:
    class High:
        """Numbers of which none is below 0.9."""

        def random(self, shape: tuple[int, int]) -> Any:
            return 0.9 + np.random.default_rng(0).random(shape) / 10

    made_up(7, tmp_path / "a.csv", genes=500)
    can = candidates(read_affinities(tmp_path / "a.csv"))
    key = High().random(can.eligible.shape)
    key[~can.eligible] = np.inf
    row, column = affinities._chosen(can, High())  # type: ignore[arg-type]
    for i in range(len(can.rows)):
        negatives = set(np.argsort(key[i], kind="stable")[: can.n_negatives[i]])
        assert set(column[row == i]) == negatives | set(np.flatnonzero(can.active[i]))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("G,1,C\nH,20000,C\n", None),
        ("G,1,C\nH,-0.0,C\n", None),
        ("G,1,C\n,2,C\n", "line 3: gene_symbol and treatment must not be empty"),
        ("G,1,C\nH,x,C\n", "line 3: nM_value is 'x'; an affinity in nM was expected"),
        ("G,1,C\nH,inf,C\n", "line 3: nM_value is 'inf'; an affinity in nM was expected"),
        ("G,1,C\nH,1_0,C\n", "line 3: nM_value is '1_0'; an affinity in nM was expected"),
        ('G,1,C\nH,"1,5",C\n', "line 3: nM_value is '1,5'; an affinity in nM was expected; it has a decimal"),
        ("G,1,C\n2-Sep,10,C\n", "line 3: gene_symbol is '2-Sep'; it looks like a gene name"),
        ("G,20000,C\nH,30000,C\n", "no affinity is 1,000 nM or less among the 1 compounds and 2 genes"),
    ],
)
def test_a_large_table_is_told_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str, told: str | None
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("gene_symbol,nM_value,treatment,units\n" + rows.replace("C\n", "C,nM\n"))
    found = []
    for size in (0, 1 << 60):
        monkeypatch.setattr(arrow, "BIG", size)
        try:
            found.append(draw(read_affinities(path), 0))
        except DataError as error:
            found.append(str(error))
    assert found[0] == found[1]
    assert isinstance(found[0], Draw) if told is None else told in str(found[0])


def test_as_many_negatives_as_columns(tmp_path: Path) -> None:
    """The most any row gets is every column: nothing is left to choose, all the same in an order drawn."""
    path = tmp_path / "a.csv"
    genes = [f"G{i}" for i in range(6)]
    path.write_text(HEADER + "G0,1,C\n" + "".join(f"{g},1,all\n{g},50000,never\n" for g in genes))
    can = candidates(read_affinities(path), by="gene", compounds=["C", "all", "never"])
    assert can.columns == ["C", "all", "never"] and can.short == {"G0": 1, **dict.fromkeys(genes[1:], 2)}
    assert drawn_of(can, 0)["G0"] == ["never"]
    assert {tuple(sorted(drawn_of(can, s)["G3"])) for s in range(5)} == {("C", "never")}
    whole = Candidates(
        ["r", "q"], ["a", "b"], np.zeros((2, 2), bool), np.ones((2, 2), bool), np.array([9, 1])
    )
    orders = {tuple(drawn_of(whole, s)["r"]) for s in range(20)}
    assert orders == {("a", "b"), ("b", "a")}
    assert {tuple(drawn_of(whole, s)["q"]) for s in range(20)} == {("a",), ("b",)}


def test_rows_without_an_eligible_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "A,1,C\nB,5000,C\n")
    can = candidates(read_affinities(path))
    assert can.short == {"C": 0} and drawn_of(can, 0) == {"C": []}


@pytest.mark.parametrize("by", ["compound", "gene"])
def test_every_eligible_column_is_drawn_equally_often(tmp_path: Path, by: Any) -> None:
    """Single columns, and pairs of columns: 8 of 24, 600 times."""
    path = tmp_path / "a.csv"
    ones = [("A", f"k{i:02d}") if by == "compound" else (f"k{i:02d}", "A") for i in range(25)]
    lines = [f"{k},{1 if '00' in r + k else 5e4},{r}\n{k},5e4,other\nother,5e4,{r}\n" for r, k in ones]
    path.write_text(HEADER + "".join(lines))
    can = candidates(read_affinities(path), by=by, min_negatives=8)
    assert can.rows == ["A"] and can.eligible.sum() == 25  # 24 and `other`
    counts = np.zeros((25, 25))
    at = {name: i for i, name in enumerate(sorted(set(can.columns) - {can.columns[can.active[0].argmax()]}))}
    for seed in range(600):
        drawn = [at[name] for name in drawn_of(can, seed)["A"]]
        counts[np.ix_(drawn, drawn)] += 1
    single, pairs = np.diag(counts), counts[~np.eye(25, dtype=bool)]
    # 8 of 25 is 192 times, sd 11.4; a pair 8 x 7 of 25 x 24 is 56, sd 7.1: five of them.
    assert (abs(single - 192) < 57).all() and (abs(pairs - 56) < 36).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"active": 2e4}, "active 20000 nM, inactive 10000 nM: expected 0 < active <= inactive"),
        ({"active": 0}, "active 0 nM, inactive 10000 nM: expected 0 < active <= inactive"),
        ({"active": -1, "inactive": 5}, "active -1 nM, inactive 5 nM: expected 0 < active <= inactive"),
        ({"inactive": float("nan")}, "active 1000 nM, inactive nan nM: expected 0 < active <= inactive"),
        ({"min_negatives": 0}, "min_negatives is 0; 1 or more was expected"),
    ],
)
def test_choices_that_cannot_mean_anything(tmp_path: Path, change: dict[str, float], message: str) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "G,1,C\n")
    with pytest.raises(UsageError) as caught:
        candidates(read_affinities(tmp_path / "a.csv"), **change)  # type: ignore[arg-type]
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"compounds": ["D"]}, "no affinity is 1,000 nM or less among the 1 compounds and 2 genes"),
        ({"genes": ["H"], "by": "gene"}, "no affinity is 1,000 nM or less among the 2 compounds and 1 genes"),
        ({"compounds": []}, "no affinity is 1,000 nM or less among the 0 compounds and 2 genes"),
        ({"active": 0.5}, "no affinity is 0.5 nM or less among the 2 compounds and 2 genes"),
    ],
    ids=str,
)
def test_nothing_active_is_said_of_what_was_searched(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "G,1,C\nH,50000,C\nH,50000,D\n")
    with pytest.raises(DataError) as caught:
        candidates(read_affinities(path), **change)
    assert str(caught.value).startswith(f"{path}: {message}")


# --- the real table ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Affinities:
    return read_affinities(shared_data / "compound_gene_interactions.csv")


def test_the_real_table(real: Affinities) -> None:
    assert (real.n_rows, len(real.by_compound), len(real.genes)) == (2921, 779, 351)
    pairs = [v for genes in real.by_compound.values() for v in genes.values()]
    assert sum(v <= 1000 for v in pairs) == 1380
    drawn = draw(real, 0)
    assert len(drawn) == 11_300 and len(set(drawn.treatment)) == 487
    assert sum(drawn.active) == 1380 and drawn.short == {}
    assert len({g for g, a in zip(drawn.gene_symbol, drawn.active, strict=True) if a}) == 294


def test_random_scores_on_the_real_table(real: Affinities) -> None:
    """What knowing nothing gives, over 100 draws: the published .2226 and .501."""
    precision, auroc = [], []
    for seed in range(100):
        drawn = draw(real, seed)
        names, group = np.unique(drawn.treatment, return_inverse=True)
        task = Task(
            inputs={"treatment": drawn.treatment, "gene_symbol": drawn.gene_symbol},
            active=None,
            main_metric="pr_auc",
            metrics=(MetricSpec(name="pr_auc", label="pr_auc"),),
        )
        scores = predict_random(task, seed).values
        result = group_scores(drawn.active, scores, group, len(names))
        precision.append(np.nanmean(result.average_precision))
        auroc.append(np.nanmean(result.auroc))
    assert np.mean(precision) == pytest.approx(0.2226, abs=0.003)
    assert np.mean(auroc) == pytest.approx(0.501, abs=0.003)
    assert 0.004 < np.std(precision) < 0.012


def test_the_real_table_by_gene(real: Affinities) -> None:
    can = candidates(real, by="gene")
    assert (len(can.rows), len(can.columns), int(can.active.sum())) == (294, 779, 1380)
    assert can.short == {} and can.n_negatives.min() == 20
    assert (can.n_negatives == np.maximum(20, 2 * can.active.sum(axis=1))).all()
