"""The drug-target benchmark against a twin that loops: per seed, dose rule and row, with scikit-learn."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from polaris_rxrx.dataset.affinities import Affinities, candidates, draw, draw_negatives, read_affinities
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.store import save_map
from polaris_rxrx.suites import random_scores
from polaris_rxrx.suites.drug_target import NOMINAL, QUANTILES, Protocol
from polaris_rxrx.suites.drug_target import evaluate_drug_target as evaluate
from polaris_rxrx.suites.result import Result
from polaris_rxrx.suites.sampled import draws_of, score_rule
from polaris_rxrx.wells.metadata import Perturbations
from tests.loops import times

DOSES = (0.1, 1.0, 10.0)
SMALL = Protocol(seeds=3, concentrations=DOSES, min_negatives=6)
Key = tuple[str, str, float]
Floats = np.ndarray[Any, np.dtype[np.float64]]

# --- small maps and tables ---------------------------------------------------------------------------------


def make_map(rows: Sequence[Key], x: Any) -> Map:
    """Rows of (type, name, concentration; -1 for none), in this order."""
    concentration = np.array([np.nan if c < 0 else c for *_, c in rows])
    p = Perturbations([t for t, *_ in rows], [n for _, n, _ in rows], concentration)
    return Map(p, np.asarray(x, dtype=np.float64), np.ones(len(rows), dtype=np.int64), {"align": "made up"})


def make_table(path: Path, rows: Sequence[tuple[str, float, str]]) -> Affinities:
    path.write_text("gene_symbol,nM_value,treatment\n" + "".join(f"{g},{v!r},{c}\n" for g, v, c in rows))
    return read_affinities(path)


@pytest.fixture
def table(tmp_path: Path) -> Affinities:
    """30 genes, 12 compounds with some actives, one that binds every gene, one that binds none."""
    rng = random.Random(0)
    genes = [f"G{i:02d}" for i in range(30)]
    rows = [
        (gene, rng.choice([0.0, 3.5, 1000.0, 1000.5, 10_000.0, 10_000.5, 9e5]), f"C{c:02d}")
        for c in range(12)
        for gene in rng.sample(genes, rng.randrange(1, 14))
    ]
    rows += [(gene, 5.0, "binds all") for gene in genes]
    rows += [(gene, 5e4, "binds none") for gene in genes]
    return make_table(tmp_path / "affinities.csv", rows)


def perturbations(table: Affinities, *, whole: bool = False) -> list[Key]:
    """Genes and compounds; unless `whole`, some are missing, and some are in no table."""
    rng = random.Random(1)
    rows = [("CRISPR", g, -1.0) for g in table.genes] + [
        ("COMPOUND", c, d) for c in table.by_compound for d in DOSES
    ]
    if not whole:
        rows = [
            row
            for row in rows
            if row[1] not in ("G03", "G17", "C05") and (row[0] == "CRISPR" or rng.random() < 0.8)
        ]
        rows += [("COMPOUND", "G04", 1.0), ("COMPOUND", "C02", 0.26), ("CRISPR", "in no table", -1.0)]
        rows += [("COMPOUND", "in no table", 10.0)]
    rng.shuffle(rows)
    return rows


def gaussian(rows: Sequence[Key], width: int = 7, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(len(rows), width))


def signs(rows: Sequence[Key]) -> Any:
    """Rows of 16 signs: a cosine is a sixteenth times an integer, without rounding; many are equal."""
    return np.random.default_rng(2).choice([-1.0, 1.0], size=(len(rows), 16))


# --- the twin ----------------------------------------------------------------------------------------------


def twin_similarity(rows: Sequence[Key], x: Any, p: Protocol) -> list[dict[tuple[str, str], float]]:
    """By dose rule: (compound, gene) -> similarity; what is not known is not there."""
    vector = {row: v for row, v in zip(rows, x, strict=True) if v.any()}
    by_rule: list[dict[tuple[str, str], float]] = [{} for _ in (*p.concentrations, "max")]
    for (kind, compound, dose), v in vector.items():
        if kind != "COMPOUND" or dose not in p.concentrations:
            continue
        for (other, gene, _), w in vector.items():
            if other == "CRISPR":
                value = float(v @ w) / float(np.linalg.norm(v) * np.linalg.norm(w))
                value = abs(value) if p.similarity == "abs-cosine" else value
                by_rule[p.concentrations.index(dose)][compound, gene] = value
                by_rule[-1][compound, gene] = max(value, by_rule[-1].get((compound, gene), -2.0))
    return by_rule


Draws = list[dict[str, list[tuple[str, int]]]]


def twin_names(table: Affinities, rows: Sequence[Key], p: Protocol) -> tuple[list[str], list[str]]:
    """Rows and columns that draws are from; legacy takes all annotated columns."""
    compounds = sorted(
        {n for t, n, d in rows if t == "COMPOUND" and d in p.concentrations and n in table.by_compound}
    )
    genes = sorted({n for t, n, _ in rows if t == "CRISPR" and n in table.genes})
    if p.legacy:
        genes = sorted(table.genes)
        compounds = sorted(table.by_compound) if p.by == "gene" else compounds
    return (compounds, genes) if p.by == "compound" else (genes, compounds)


def twin_draws(table: Affinities, rows: Sequence[Key], p: Protocol) -> Draws:
    """A dictionary a seed: row -> (column, label)."""
    every, columns = twin_names(table, rows, p)

    def nm(row: str, column: str) -> float:
        compound, gene = (row, column) if p.by == "compound" else (column, row)
        return table.by_compound[compound].get(gene, np.inf)

    draws = []
    kept = [row for row in every if any(nm(row, c) <= p.active for c in columns)]
    for seed in range(p.seeds):
        key = np.random.default_rng(seed).random((len(kept), len(columns)))
        by_row = {}
        for i, row in enumerate(kept):
            active = [c for c in columns if nm(row, c) <= p.active]
            eligible = [c for c in columns if nm(row, c) > p.inactive]
            n = min(max(2 * len(active), p.min_negatives), len(eligible))
            if p.legacy:
                drawn = np.random.default_rng(seed).choice(len(eligible), n, replace=False) if n else []
                negatives = [eligible[j] for j in drawn]
            else:
                negatives = sorted(eligible, key=lambda c: key[i, columns.index(c)])[:n]
            by_row[row] = [(c, 1) for c in active] + [(c, 0) for c in negatives]
        draws.append(by_row)
    return draws


def twin_scores(pairs: Sequence[tuple[int, float]]) -> tuple[float, float] | None:
    """Average precision and AUROC of (label, score) by their definitions, None without both classes.

    Average precision is, over the actives, the mean share of actives among all that score no less; AUROC is
    the share of pairs of an active and an inactive in which the active is above, half of it where they tie.
    scikit-learn says the same, see `test_the_twins_scores`, in a hundred times the time.
    """
    active, other = (np.array([s for label, s in pairs if label == wanted]) for wanted in (1, 0))
    if not len(active) or not len(other):
        return None
    actives_above = (active >= active[:, None]).sum(axis=1)
    all_above = actives_above + (other >= active[:, None]).sum(axis=1)
    won = (active[:, None] > other) + 0.5 * (active[:, None] == other)
    return float((actives_above / all_above).mean()), float(won.mean())


def twin_rows(
    draws: Sequence[dict[str, list[tuple[str, int]]]], similar: dict[tuple[str, str], float], p: Protocol
) -> tuple[dict[str, list[tuple[float, float] | None]], list[tuple[float, float] | None]]:
    """One dose rule: each row's scores seed by seed, and the micro scores seed by seed."""
    by_row: dict[str, list[tuple[float, float] | None]] = {row: [] for row in draws[0]}
    micro = []
    for by_seed in draws:
        pool = []
        for row, drawn in by_seed.items():
            keys = [((row, c) if p.by == "compound" else (c, row), label) for c, label in drawn]
            pairs = [(label, similar[k]) for k, label in keys if k in similar]
            pool += pairs
            by_row[row].append(twin_scores(pairs))
        micro.append(twin_scores(pool))
    return by_row, micro


def mean_sd(values: Sequence[float], p: Protocol) -> tuple[float | None, float | None]:
    if p.legacy:
        return statistics.fmean(values) if values else None, statistics.stdev(values) if values[1:] else None
    return (statistics.fmean(values), statistics.pstdev(values)) if values else (None, None)


COMPOUNDS_OF_A_TWIN = 40


def whole_embedding(
    compound: Any, gene: Any, n_genes: int, width: int, n_doses: int, rng: np.random.Generator, **_: Any
) -> Floats:
    """`random_cosines` as one would write it: every row of the embedding drawn, and pairs looked up."""
    knocked, treated = twin_embedding(n_genes, width, n_doses, rng)
    cosines = np.einsum("gw,cdw->dcg", knocked, treated)
    return np.asarray(cosines[:, compound, gene])


def twin_embedding(n_genes: int, width: int, n_doses: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    rows = [rng.normal(size=(*shape, width)) for shape in ((n_genes,), (COMPOUNDS_OF_A_TWIN, n_doses))]
    knocked, treated = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in rows)
    return knocked, treated


def twin_random(
    draws: Draws, columns: Sequence[str], width: int, own: Sequence[dict[tuple[str, str], float]], p: Protocol
) -> list[list[dict[tuple[str, str], float]]]:
    """Seed by seed, the similarities of a new random embedding by dose rule, of pairs that `own` has."""
    kept = list(draws[0])
    compounds, genes = (kept, list(columns)) if p.by == "compound" else (list(columns), kept)
    by_seed = []
    for seed in range(p.seeds):
        rng = np.random.default_rng([p.random_seed, seed, 1])
        knocked, treated = twin_embedding(len(genes), width, len(p.concentrations), rng)
        by_rule: list[dict[tuple[str, str], float]] = [{} for _ in own]
        for dose, known in enumerate(own[:-1]):
            for c, g in known:
                if c in compounds and g in genes:
                    value = float(treated[compounds.index(c), dose] @ knocked[genes.index(g)])
                    value = abs(value) if p.similarity == "abs-cosine" else value
                    by_rule[dose][c, g] = value
                    by_rule[-1][c, g] = max(value, by_rule[-1].get((c, g), -2.0))
        by_seed.append(by_rule)
    return by_seed


def twin_summary(own: Any, chance: Any, micro: Any, p: Protocol) -> dict[str, float | None]:
    """The headline numbers of one dose rule from `twin_rows`."""
    scored = [row for row, scores in own.items() if any(s is not None for s in scores)]
    out: dict[str, float | None] = {"n_scored": len(scored)}
    for which, name in enumerate(("average_precision", "auroc")):
        of = []
        for rows in (own, chance):
            by_seed = [[s[which] for r in scored if (s := rows[r][i]) is not None] for i in range(len(micro))]
            of += mean_sd([statistics.fmean(values) for values in by_seed if values], p)
        m, sd, b, sd_b = of
        out |= {name: m, f"{name}_sd": sd, f"{name}_random": b, f"{name}_random_sd": sd_b}
        none = not scored or sd is None or sd == sd_b == 0
        out[f"{name}_z"] = None if none else (m - b) / (sd**2 + sd_b**2) ** 0.5
        whole = [scores for scores in own.values() if None not in scores]
        for q in QUANTILES:
            by_seed = [[s[i][which] for s in whole] for i in range(len(micro))]
            out[f"{name}_q{q:g}"] = (
                statistics.fmean(float(np.quantile(v, q)) for v in by_seed) if whole else None
            )
        m, sd = mean_sd([s[which] for s in micro if s is not None], p)
        out |= {f"{name}_micro": m, f"{name}_micro_sd": sd}
    return out


def same(got: Any, expected: Any, where: str) -> None:
    if expected is None:
        assert got is None, where
    else:
        assert got == pytest.approx(expected, rel=0, abs=1e-10), where


def check(rows: Sequence[Key], x: Any, table: Affinities, p: Protocol) -> Result:
    """Every number of a result against the twin's, random embeddings drawn whole in both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random_scores, "random_cosines", whole_embedding)
        result = evaluate(make_map(rows, x), table, p)
    draws = twin_draws(table, rows, p)
    own = twin_similarity(rows, x, p)
    other = twin_random(draws, twin_names(table, rows, p)[1], x.shape[1], own, p)
    names = [f"{c:g}" for c in p.concentrations] + ["max"]
    assert list(result.summary["by_dose"]) == result.tables["doses"]["dose"] == names
    for i, name in enumerate(names):
        by_row, micro = twin_rows(draws, own[i], p)
        seed_by_seed = [twin_rows([drawn], rules[i], p)[0] for drawn, rules in zip(draws, other, strict=True)]
        chance = {row: [rows[row][0] for rows in seed_by_seed] for row in by_row}
        expected = twin_summary(by_row, chance, micro, p)
        assert result.summary["by_dose"][name].keys() == expected.keys()
        for key, value in expected.items():
            same(result.summary["by_dose"][name][key], value, f"dose {name}, {key}")
            same(result.tables["doses"][key][i], value, f"dose {name}, {key}, table")
    per = result.tables[f"per_{p.by}"]
    assert result.summary["max"] == result.summary["by_dose"]["max"]
    assert per[p.by] == list(draws[0]) and result.summary["n_rows"] == len(draws[0])
    assert result.summary["n_pairs_a_seed"] == sum(len(pairs) for pairs in draws[0].values())
    for i, (row, scores) in enumerate(by_row.items()):  # of the last rule, max
        labels = [label for _, label in draws[0][row]]
        assert (per["n_active"][i], per["n_negatives"][i]) == (sum(labels), labels.count(0))
        there = [s for s in scores if s is not None]
        for which, name in enumerate(("average_precision", "auroc")):
            m, sd = mean_sd([s[which] for s in there], p)
            same(per[f"{name}_max"][i], m, f"{row}, {name}")
            if name == "average_precision":
                same(per[f"{name}_max_sd"][i], sd, f"{row}, sd")
    return result


# --- equal to the twin -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
def test_the_twins_scores(ties: bool) -> None:
    rng = np.random.default_rng(4)
    for n in (2, 3, 7, 40, 300):
        labels = np.r_[1, 0, rng.random(n - 2) < 0.3].astype(int).tolist()
        scores = (rng.integers(4, size=n) / 4 if ties else rng.normal(size=n)).tolist()
        found = twin_scores(list(zip(labels, scores, strict=True)))
        expected = average_precision_score(labels, scores), roc_auc_score(labels, scores)
        assert found == pytest.approx(expected, rel=0, abs=1e-13)
    assert twin_scores([(1, 0.5), (1, 0.0)]) is None and twin_scores([(0, 0.5)]) is None


@pytest.mark.parametrize("by", ["compound", "gene"])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", ["floats", "ties", "holes", "holes and ties"])
def test_twin(table: Affinities, kind: str, legacy: bool, by: Any) -> None:
    """Compounds and genes missing, at some doses only; genes and compounds of length zero; ties."""
    rows = perturbations(table)
    x = signs(rows) if "ties" in kind else gaussian(rows)
    if "holes" in kind:
        x[[i for i, row in enumerate(rows) if row[1] in ("G01", "G08", "G20", "C07")]] = 0
    if kind == "ties":  # whole genes alike, as well
        at = {row[1]: i for i, row in enumerate(rows) if row[0] == "CRISPR"}
        x[at["G10"]] = x[at["G11"]] = x[at["G12"]]
    result = check(rows, x, table, replace(SMALL, by=by, legacy=legacy))
    assert 0 < result.summary["max"]["n_scored"] <= result.summary["n_rows"]


@pytest.mark.parametrize(
    "change",
    [
        {"similarity": "cosine"},
        {"active": 5.0, "inactive": 1000.0},
        {"active": 10_000.0, "inactive": 10_000.0},
        {"min_negatives": 1},
        {"min_negatives": 1000},
        {"concentrations": (10.0, 0.1)},
        {"concentrations": (1.0, 7.0)},  # nobody was tested at 7
        {"seeds": 1},
        {"random_seed": 3},
    ],
    ids=str,
)
def test_twin_with_other_choices(table: Affinities, change: dict[str, Any]) -> None:
    rows = perturbations(table)
    plain = evaluate(make_map(rows, gaussian(rows)), table, SMALL)
    other = check(rows, gaussian(rows), table, replace(SMALL, **change))
    assert other.summary["max"] != plain.summary["max"] and other.protocol != plain.protocol


def test_a_row_scored_in_some_seeds_only(tmp_path: Path) -> None:
    """One negative of two genes, one of which is a zero row: no score where that is drawn."""
    table = make_table(tmp_path / "a.csv", [("A", 1, "C"), ("B", 5e4, "C"), ("Z", 5e4, "C"), ("B", 1, "D")])
    rows = [("CRISPR", g, -1.0) for g in "ABZ"] + [("COMPOUND", c, 1.0) for c in "CD"]
    x = gaussian(rows)
    x[2] = 0
    p = Protocol(seeds=8, min_negatives=1, concentrations=(1.0,))
    for q in (replace(p, active=1.0), replace(p, legacy=True)):
        check(rows, x, table, q)
    c_only = make_table(tmp_path / "b.csv", [("A", 1, "C"), ("B", 5e4, "C"), ("Z", 5e4, "C")])
    found = check(rows, x, c_only, replace(p, min_negatives=1)).summary["max"]
    assert found["n_scored"] == 1  # two negatives of two, so in every seed
    assert found["average_precision_q0.5"] is not None


def test_seeds_in_which_nothing_is_scored_are_left_out(tmp_path: Path) -> None:
    many = [("B", 5e4, "C"), ("Y", 5e4, "C"), ("Z", 5e4, "C")]
    table = make_table(tmp_path / "a.csv", [("A", 1, "C"), *many])
    rows = [("CRISPR", g, -1.0) for g in "ABYZ"] + [("COMPOUND", "C", 1.0)]
    x = gaussian(rows)
    x[[2, 3]] = 0
    found = check(rows, x, table, Protocol(seeds=8, min_negatives=1, concentrations=(1.0,))).summary["max"]
    assert found["n_scored"] == 1 and found["average_precision_q0.5"] is None


def test_pairs_of_affinities_draw(table: Affinities) -> None:
    """Where the map holds everything, seed s is `draw(seed=s)`."""
    rows = perturbations(table, whole=True)
    x = gaussian(rows)
    p = Protocol(seeds=3, concentrations=DOSES)
    similar = twin_similarity(rows, x, p)[-1]
    means = []
    for seed in range(3):
        drawn = draw(table, seed)
        scores = []
        for compound in sorted(set(drawn.treatment)):
            zipped = zip(drawn.treatment, drawn.gene_symbol, drawn.active, strict=True)
            scores.append(twin_scores([(y, similar[c, g]) for c, g, y in zipped if c == compound]))
        means.append(statistics.fmean(s[0] for s in scores if s is not None))
    result = evaluate(make_map(rows, x), table, p)
    assert result.summary["max"]["average_precision"] == pytest.approx(statistics.fmean(means), abs=1e-12)
    assert result.summary["max"]["average_precision_sd"] == pytest.approx(statistics.pstdev(means), abs=1e-12)
    assert result.summary["n_pairs_a_seed"] == len(draw(table, 0))


# --- what must not matter ----------------------------------------------------------------------------------


def everything(result: Result) -> str:
    return result.to_json() + "".join(result.csv(name) for name in result.tables)


@pytest.mark.parametrize("make", [gaussian, signs])
@pytest.mark.parametrize("legacy", [False, True])
def test_the_order_of_the_maps_rows(table: Affinities, make: Any, legacy: bool) -> None:
    """Not a bit depends on it, nor on what no table names; the random map does not, either."""
    rows = perturbations(table)
    x = make(rows)
    p = replace(SMALL, legacy=legacy)
    expected = everything(evaluate(make_map(rows, x), table, p))
    for seed in range(3):
        order = random.Random(seed).sample(range(len(rows)), len(rows))
        order = [i for i in order if rows[i][:2] != ("COMPOUND", "in no table")]
        assert everything(evaluate(make_map([rows[i] for i in order], x[order]), table, p)) == expected


def test_another_process_and_another_hash_seed(table: Affinities, tmp_path: Path) -> None:
    rows = perturbations(table)
    map_ = make_map(rows, signs(rows))
    save_map(map_, tmp_path / "map.parquet")
    code = """if True:
        import sys
        from polaris_rxrx.dataset.affinities import read_affinities
        from polaris_rxrx.maps.store import load_map
        from polaris_rxrx.suites.drug_target import Protocol
        from polaris_rxrx.suites.drug_target import evaluate_drug_target as evaluate
        p = Protocol(seeds=3, concentrations=(0.1, 1.0, 10.0), min_negatives=6)
        result = evaluate(load_map(sys.argv[1]), read_affinities(sys.argv[2]), p)
        print(result.to_json() + "".join(result.csv(name) for name in result.tables), end="")
    """
    command = [sys.executable, "-c", code, str(tmp_path / "map.parquet"), str(table.path)]
    said = {
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("77",)  # this process has one of its own
    }
    assert said == {everything(evaluate(map_, table, SMALL))}


def test_all_tied_is_chance(table: Affinities) -> None:
    """One vector for everything: average precision is the prevalence, AUROC .5."""
    rows = perturbations(table, whole=True)
    result = evaluate(make_map(rows, np.ones((len(rows), 16))), table, SMALL)
    per = result.tables["per_compound"]
    pairs = list(zip(per["n_active"], per["n_negatives"], strict=True))
    expected = [a / (a + n) if n else None for a, n in pairs]
    assert per["average_precision_max"] == pytest.approx(expected)
    assert {v for v in per["auroc_max"] if v is not None} == {0.5}
    assert result.summary["max"]["auroc_micro"] == pytest.approx(0.5)


def test_a_perfect_and_a_wrong_map(tmp_path: Path) -> None:
    """Known by hand: compound i is gene i, or is orthogonal to it and like all others."""
    n = 6
    table = make_table(tmp_path / "a.csv", [(f"G{i}", 1.0, f"C{i}") for i in range(n)])
    rows = [("CRISPR", f"G{i}", -1.0) for i in range(n)] + [("COMPOUND", f"C{i}", 1.0) for i in range(n)]
    p = Protocol(seeds=2, concentrations=(1.0,))
    right = evaluate(make_map(rows, np.vstack([np.eye(n), -np.eye(n)])), table, p).summary["max"]
    assert (right["average_precision"], right["auroc"], right["auroc_micro"]) == (1, 1, 1)
    wrong = evaluate(make_map(rows, np.vstack([np.eye(n), 1 - np.eye(n)])), table, p).summary["max"]
    assert wrong["average_precision"] == pytest.approx(1 / n) and wrong["auroc"] == 0
    signed = evaluate(
        make_map(rows, np.vstack([np.eye(n), -np.eye(n)])), table, replace(p, similarity="cosine")
    ).summary["max"]
    assert signed["auroc"] == 0


def test_neither_map_nor_table_are_changed(table: Affinities) -> None:
    rows = perturbations(table)
    map_ = make_map(rows, gaussian(rows))
    before = map_.x.copy()
    map_.x.setflags(write=False)
    evaluate(map_, table, SMALL)
    assert (map_.x == before).all()


@pytest.mark.parametrize("by", ["compound", "gene"])
@pytest.mark.parametrize("legacy", [False, True])
def test_compounds_without_concentrations_are_scored_by_their_one_row(
    table: Affinities, legacy: bool, by: Any
) -> None:
    """As if each had been tested at one and the same concentration, random embeddings and all."""
    rows = [row for row in perturbations(table, whole=True) if row[0] == "CRISPR" or row[2] == 1.0]
    x = gaussian(rows)
    p = replace(SMALL, concentrations=(1.0,), legacy=legacy, by=by)
    at_one = evaluate(make_map(rows, x), table, p)
    found = evaluate(
        make_map([(t, n, -1.0) for t, n, _ in rows], x), table, replace(SMALL, legacy=legacy, by=by)
    )
    assert list(found.summary["by_dose"]) == ["max"] and found.protocol["concentrations"] == []
    assert found.summary["max"]["average_precision"] > 0
    assert found.summary["max"] == pytest.approx(at_one.summary["max"], rel=1e-9)
    assert found.summary["interval_max"] == at_one.summary["interval_max"]
    assert found.tables[f"per_{by}"] == at_one.tables[f"per_{by}"]
    assert found.notes[0] == (
        "no compound has a concentration: each of the 14 annotated ones has one row of the map, which is its "
        "score, and the only dose rule is max"
    )


def test_a_compound_without_a_concentration_among_others_is_told(table: Affinities) -> None:
    rows = perturbations(table, whole=True)
    with_one = [*rows, ("COMPOUND", "C03", -1.0)]
    x = gaussian(with_one)
    whole, found = (evaluate(make_map(r, x[: len(r)]), table, SMALL) for r in (rows, with_one))
    assert found.summary == whole.summary
    assert found.notes[0] == "1 rows of compounds have no concentration and were left out: C03"


# --- what is said ------------------------------------------------------------------------------------------


def test_notes_name_what_is_left_out(table: Affinities) -> None:
    rows = [row for row in perturbations(table, whole=True) if row != ("COMPOUND", "C03", 0.1)]
    rows = [row for row in rows if row[1] not in ("G03", "C05")]
    x = gaussian(rows)
    x[rows.index(("CRISPR", "G08", -1.0))] = 0
    notes = evaluate(make_map(rows, x), table, SMALL).notes
    every_dose = [f"dose {d}: 1 genes have no similarity there: G08" for d in ("0.1", "1", "10", "max")]
    assert "1 compounds with an active have no row in the map: C05" in notes
    assert "1 annotated genes are not in the map: G03" in notes
    assert "1 compounds have fewer eligible negatives than wanted and got all: binds all (0)" in notes
    assert "dose 0.1: 2 compounds have no score there: C03, binds all" in notes
    assert "dose 1: 1 compounds have no score there: binds all" in notes
    assert [n for n in notes if "no similarity" in n] == every_dose
    by_gene = evaluate(make_map(rows, x), table, replace(SMALL, by="gene")).notes
    assert "dose 0.1: 1 compounds have no similarity there: C03" in by_gene
    assert any(n.startswith("dose max: 1 genes have no score there: G08") for n in by_gene)


def test_a_whole_map_has_nothing_to_note(tmp_path: Path) -> None:
    table = make_table(tmp_path / "a.csv", [(f"G{i:02d}", 1.0 if i == 0 else 5e4, "C") for i in range(30)])
    rows = perturbations(table, whole=True)
    assert evaluate(make_map(rows, gaussian(rows)), table, replace(SMALL, min_negatives=20)).notes == ()


def test_the_protocol_tells_results_apart(table: Affinities, tmp_path: Path) -> None:
    rows = perturbations(table)
    x = gaussian(rows)
    one = evaluate(make_map(rows, x), table, SMALL).protocol
    assert one["map"] == {"align": "made up"} and one["annotations_sha256"] == table.sha256
    assert (one["seeds"], one["active_nM"], one["inactive_nM"], one["min_negatives"]) == (3, 1000, 10_000, 6)
    assert one["concentrations"] == list(DOSES) and one["versions"].keys() >= {"polaris_rxrx", "numpy"}
    x[rows.index(("CRISPR", "G00", -1.0)), 0] += 1
    assert evaluate(make_map(rows, x), table, SMALL).protocol["map_sha256"] != one["map_sha256"]


def test_progress(table: Affinities) -> None:
    rows = perturbations(table)
    said: list[tuple[str, int, int]] = []
    evaluate(make_map(rows, gaussian(rows)), table, SMALL, progress=lambda *a: said.append(a))
    assert said == [("scoring", i, 4) for i in (1, 2, 3, 4)] + [("random", i, 3) for i in (1, 2, 3)]


# --- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "seeds is 0; 1 or more was expected"),
        ({"seeds": -3}, "seeds is -3; 1 or more was expected"),
        (
            {"active": 2000.0, "inactive": 1000.0},
            "active 2000 nM, inactive 1000 nM: expected 0 < active <= inactive",
        ),
        ({"active": 0.0}, "active 0 nM, inactive 10000 nM: expected 0 < active <= inactive"),
        ({"active": float("nan")}, "active nan nM, inactive 10000 nM: expected 0 < active <= inactive"),
        ({"min_negatives": 0}, "min_negatives is 0; 1 or more was expected"),
        ({"concentrations": ()}, "at least one concentration was expected"),
        (
            {"concentrations": (1.0, 0.1, 1.0)},
            "concentrations are 1, 0.1, 1; different numbers above 0 were expected",
        ),
        ({"concentrations": (0.0,)}, "concentrations are 0; different numbers above 0 were expected"),
        (
            {"concentrations": (float("nan"),)},
            "concentrations are nan; different numbers above 0 were expected",
        ),
        ({"by": "guide"}, "by is 'guide'; compound or gene was expected"),
        ({"similarity": "dot"}, "similarity is 'dot'; abs-cosine or cosine was expected"),
    ],
    ids=str,
)
def test_choices_that_cannot_mean_anything(table: Affinities, change: dict[str, Any], message: str) -> None:
    rows = perturbations(table)
    with pytest.raises(UsageError) as caught:
        evaluate(make_map(rows, gaussian(rows)), table, replace(SMALL, **change))
    assert str(caught.value) == message and caught.value.exit_code == 2


def bad_map(kind: str, table: Affinities) -> Map:
    rows = perturbations(table, whole=True)
    if kind == "one gene":
        rows = [row for row in rows if row[0] == "COMPOUND" or row[1] == "G00"]
    elif kind == "no gene":
        rows = [row for row in rows if row[0] == "COMPOUND"]
    elif kind == "no common compound":
        rows = [(t, n if t == "CRISPR" else f"other {n}", d) for t, n, d in rows]
    elif kind == "no common gene":
        rows = [(t, n if t == "COMPOUND" else f"other {n}", d) for t, n, d in rows]
    elif kind == "other doses":
        rows = [(t, n, d * 1.01 if t == "COMPOUND" else d) for t, n, d in rows]
    elif kind.endswith("twice"):
        rows.append(next(row for row in rows if row[0] == ("CRISPR" if "gene" in kind else "COMPOUND")))
    x = gaussian(rows)
    at = rows.index(("COMPOUND", "C03", 0.1)) if ("COMPOUND", "C03", 0.1) in rows else 0
    if kind in ("nan", "inf"):
        x[at, 2] = float(kind)
    if kind == "all zero":
        x[:] = 0
    return make_map(rows, x)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("one gene", "nothing to score: no compound has both an active and a negative among the map's 14 "),
        ("all zero", "nothing to score: no compound has both an active and a negative among the map's 14 "),
        ("no gene", "the map has 0 genes and 14 of the compounds at the concentrations"),
        ("no common compound", "the map has 30 genes and 0 of the compounds at the concentrations"),
        ("other doses", "the map has 30 genes and 0 of the compounds at the concentrations"),
        ("no common gene", "no affinity is 1,000 nM or less among the 14 compounds and 0 genes"),
        ("gene twice", "stands in the map more than once; one row each was expected"),
        ("compound twice", "stands in the map more than once; one row each was expected"),
        ("nan", "(C03) holds NaN or infinity"),
        ("inf", "(C03) holds NaN or infinity"),
    ],
)
def test_maps_that_cannot_be_scored(table: Affinities, kind: str, message: str) -> None:
    map_ = bad_map(kind, table)
    with pytest.raises(DataError) as caught:
        evaluate(map_, table, SMALL)
    assert message in str(caught.value) and caught.value.exit_code == 1
    if "twice" in kind:
        assert repr(map_.perturbations.name[-1]) in str(caught.value)
    if kind in ("nan", "inf"):
        row = int(np.argwhere(~np.isfinite(map_.x))[0, 0])
        assert f"row {row} of the map" in str(caught.value)


def test_a_compound_and_a_gene_may_share_a_name(tmp_path: Path) -> None:
    table = make_table(tmp_path / "a.csv", [("A", 1, "A"), ("B", 5e4, "A"), ("B", 1, "B")])
    rows = [("CRISPR", g, -1.0) for g in "AB"] + [("COMPOUND", c, d) for c in "AB" for d in DOSES]
    assert check(rows, gaussian(rows), table, SMALL).summary["n_rows"] == 2


# --- the real table ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Affinities:
    return read_affinities(shared_data / "compound_gene_interactions.csv")


def real_rows(real: Affinities) -> list[Key]:
    return [("CRISPR", g, -1.0) for g in real.genes] + [
        ("COMPOUND", c, d) for c in real.by_compound for d in NOMINAL
    ]


@pytest.mark.slow
def test_random_maps_of_the_real_perturbations(real: Affinities) -> None:
    """.2226 and .5: the pairs of one embedding hang together, so a mean over 24 of them is taken (CI: 8)."""
    rows = real_rows(real)
    ap, auroc = [], []
    n = times(3, short=1)
    for seed in range(n):
        map_ = make_map(rows, gaussian(rows, 24, seed + 100))
        result = evaluate(map_, real, Protocol(random_seed=seed))
        assert (result.summary["n_rows"], result.summary["n_pairs_a_seed"]) == (487, 11_300)
        assert result.notes == ()
        doses = result.tables["doses"]
        assert doses["n_scored"] == [487] * 9
        ap += doses["average_precision"][:-1]
        auroc += doses["auroc"][:-1]
        assert all(0.19 < v < 0.26 for v in ap)
        # A new embedding each seed: a mean over 100 of them, and their spread.
        assert doses["average_precision_random"] == pytest.approx([0.2226] * 9, abs=0.004)
        assert doses["auroc_random"] == pytest.approx([0.5] * 9, abs=0.006)
        assert all(0.005 < sd < 0.011 for sd in doses["average_precision_random_sd"])
    assert statistics.fmean(ap) == pytest.approx(0.2226, abs=0.01 / n**0.5)
    assert statistics.fmean(auroc) == pytest.approx(0.5, abs=0.01 / n**0.5)


@pytest.mark.slow
def test_random_scores_on_the_real_table(real: Affinities) -> None:
    """Uniform scores, drawn anew for each of 100 seeds, through the kernel of the suite.

    A ranking without knowledge has an AUROC of .5 and an average precision that counts and no chance settle:
    the place i of N = a + n is an active's with probability a / N, after (i - 1) (a - 1) / (N - 1) others.
    """
    can = candidates(real)
    exact = []
    for a, n in zip(can.active.sum(axis=1).tolist(), can.n_negatives.tolist(), strict=True):
        places = range(1, a + n + 1)
        exact.append(statistics.fmean((1 + (i - 1) * (a - 1) / (a + n - 1)) / i for i in places))
    assert statistics.fmean(exact) == pytest.approx(0.2226, abs=0.003)
    ap, auroc = (np.full((len(can.rows), 100), np.nan) for _ in range(2))
    for seed in range(100):
        uniform = np.random.default_rng([seed, 1]).random(can.active.shape)
        negatives = draw_negatives(can, seed)[None]
        column = slice(seed, seed + 1)
        groups = list(draws_of(can, negatives))
        score_rule(uniform, can, negatives, groups, ap[:, column], auroc[:, column])
    assert ap.mean() == pytest.approx(statistics.fmean(exact), abs=0.003)
    assert auroc.mean() == pytest.approx(0.5, abs=0.003)
    assert 0.005 < ap.mean(axis=0).std() < 0.011


def test_one_seed_of_the_real_table_by_scikit_learn(real: Affinities) -> None:
    rows = real_rows(real)
    x = gaussian(rows, 16)
    found = evaluate(make_map(rows, x), real, Protocol(seeds=1)).summary["max"]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    at = {row: i for i, row in enumerate(rows)}
    drawn = draw(real, 0)
    scores: dict[str, list[tuple[int, float]]] = {}
    for compound, gene, label in zip(drawn.treatment, drawn.gene_symbol, drawn.active, strict=True):
        knockout = unit[at["CRISPR", gene, -1.0]]
        value = max(abs(float(unit[at["COMPOUND", compound, d]] @ knockout)) for d in NOMINAL)
        scores.setdefault(compound, []).append((label, value))
    both = [twin_scores(pairs) for pairs in scores.values()]
    assert len(both) == 487 and None not in both
    ap, auroc = (statistics.fmean(s[i] for s in both if s is not None) for i in (0, 1))
    assert found["average_precision"] == pytest.approx(ap, abs=1e-10)
    assert found["auroc"] == pytest.approx(auroc, abs=1e-10)
