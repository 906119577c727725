"""Recall of known relations against double loops; what files and maps may hold; counts on the real files."""

from __future__ import annotations

import bisect
import gzip
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.store import save_map
from polaris_rxrx.suites.gene_gene import evaluate_gene_gene as evaluate
from polaris_rxrx.suites.layout import Layout
from polaris_rxrx.suites.relations import KNOWN_SOURCES, Relations, read_relations
from polaris_rxrx.wells.metadata import Perturbations
from tests.conftest import ROOT


def make_map(names: Sequence[str], x: Any, type: Sequence[str] | None = None) -> Map:
    n = len(names)
    p = Perturbations(list(type or ["CRISPR"] * n), list(names), np.full(n, np.nan))
    return Map(p, np.asarray(x, dtype=np.float64), np.full(n, 6), {"align": "none"})


def relate(*pairs: tuple[str, str]) -> Relations:
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    code = np.array([[names.index(a), names.index(b)] for a, b in pairs], dtype=np.int64)
    return Relations(Path("made.csv"), "0" * 64, ("entity1", "entity2"), names, code[:, 0], code[:, 1])


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def twin(
    names: Sequence[str], x: Any, pairs: set[tuple[str, str]], low: float, high: float
) -> dict[tuple[str, str], tuple[float, float, str]]:
    """Cosine, percentile and side of each pair: a loop over all pairs, one search a relation."""
    vector = dict(zip(names, np.asarray(x).tolist(), strict=True))

    def cosine(a: str, b: str) -> float:
        u, v = vector[a], vector[b]
        return math.fsum(p * q for p, q in zip(u, v, strict=True)) / (math.hypot(*u) * math.hypot(*v))

    null = sorted(cosine(a, b) for i, a in enumerate(names) for b in names[:i])
    found = {}
    for a, b in pairs:
        value = cosine(*sorted((a, b)))
        left, right = bisect.bisect_left(null, value), bisect.bisect_right(null, value)
        side = "low" if right / len(null) <= low else "high" if left / len(null) >= high else ""
        found[a, b] = (value, (left + right) / 2 / len(null), side)
    return found


# Vectors of lengths and products that are exact in binary, so that ties are ties in any arithmetic.
EXACT = st.lists(st.sampled_from([(1, 0, 0, 0), (-1, 0, 0, 0), (0, 2, 0, 0), (1, 1, 1, 1), (-2, 2, 2, -2)]))


def check_against_twin(
    names: list[str], x: Any, pairs: list[tuple[str, str]], low: float, high: float
) -> None:
    known = {(min(p), max(p)) for p in pairs if p[0] != p[1] and set(p) <= set(names)}
    expected = twin(names, x, known, low, high)
    result = evaluate(make_map(names, x), {"mine": relate(*pairs)}, low=low, high=high, n_bootstrap=0)
    rows = result.tables["relations"]
    found = list(zip(rows["gene1"], rows["gene2"], strict=True))
    assert found == sorted(expected)
    for i, pair in enumerate(found):
        cosine, percentile, side = expected[pair]
        assert rows["cosine"][i] == pytest.approx(cosine, abs=1e-10)
        assert rows["percentile"][i] == pytest.approx(percentile, abs=1e-10)
        assert (rows["side"][i], rows["recovered"][i]) == (side, int(side != ""))
    recall = sum(side != "" for *_, side in expected.values()) / len(expected)
    assert result.summary["sources"]["mine"]["recall"] == pytest.approx(recall, abs=1e-10)
    assert result.summary["n_pairs"] == len(names) * (len(names) - 1) // 2


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"G{i:02d}" for i in range(30)]
    pairs = [(names[i], names[j]) for i, j in rng.integers(30, size=(80, 2))] + [("G01", "else")]
    check_against_twin(names, rng.normal(size=(30, 5)) + 0.3, pairs, 0.1, 0.8)


@given(
    EXACT.filter(lambda rows: len(rows) >= 2), st.sampled_from([(0.05, 0.95), (0.25, 0.75), (0.5, 0.5001)])
)
def test_equals_the_slow_twin_in_ties(rows: list[tuple[int, ...]], ends: tuple[float, float]) -> None:
    names = [f"G{i:02d}" for i in range(len(rows))]
    check_against_twin(names, rows, [(a, b) for a in names for b in names], *ends)


def test_by_hand() -> None:
    # Pairs: ab 1, ac 0, ad -1, bc 0, bd -1, cd 0: the null is -1 -1 0 0 0 1.
    x = [[1, 0], [2, 0], [0, 3], [-1, 0]]
    result = evaluate(
        make_map("abcd", x),
        {"s": relate(("a", "b"), ("d", "a"), ("a", "d"), ("c", "d"))},
        low=1 / 3,
        high=5 / 6,
    )
    rows = result.tables["relations"]
    assert rows["gene1"] == ["a", "a", "c"] and rows["gene2"] == ["b", "d", "d"]
    assert rows["cosine"] == [1, -1, 0] and rows["side"] == ["high", "low", ""]
    assert rows["percentile"] == pytest.approx([11 / 12, 1 / 6, 7 / 12])
    found = result.summary["sources"]["s"]
    assert (found["recall"], found["n_low"], found["n_high"]) == (pytest.approx(2 / 3), 1, 1)
    assert result.summary["expected_by_chance"] == 0.5
    # A tie across a threshold is not recovered: two pairs share -1, a quarter of six is one and a half.
    assert (
        evaluate(make_map("abcd", x), {"s": relate(("a", "d"))}, low=0.25).summary["sources"]["s"]["n_low"]
        == 0
    )


def test_chance_is_what_unrelated_vectors_get() -> None:
    rng = np.random.default_rng(0)
    names = [f"G{i:03d}" for i in range(150)]
    pairs = [(names[i], names[j]) for i, j in rng.integers(150, size=(4000, 2))]
    result = evaluate(make_map(names, rng.normal(size=(150, 32))), {"s": relate(*pairs)})
    assert result.summary["sources"]["s"]["recall"] == pytest.approx(0.1, abs=0.02)


def test_the_interval_is_that_of_resampled_relations() -> None:
    rng = np.random.default_rng(1)
    names = [f"G{i:02d}" for i in range(40)]
    pairs = [(names[i], names[j]) for i, j in rng.integers(40, size=(300, 2))]
    map_ = make_map(names, rng.normal(size=(40, 3)))
    result = evaluate(map_, {"s": relate(*pairs)}, low=0.3, n_bootstrap=20_000)
    hit = np.array(result.tables["relations"]["recovered"])
    plain = [hit[rng.integers(len(hit), size=len(hit))].mean() for _ in range(5000)]
    found = result.summary["sources"]["s"]
    independent = [found["independent_low_end"], found["independent_high_end"]]
    assert independent == pytest.approx(np.quantile(plain, [0.025, 0.975]).tolist(), abs=0.006)
    # Wider by the variance over genes, by leaving each out with its relations and counting again.
    table = result.tables["relations"]
    ends = list(zip(table["gene1"], table["gene2"], strict=True))
    genes = sorted({g for e in ends for g in e})
    without = [np.mean([h for h, e in zip(hit, ends, strict=True) if g not in e]) for g in genes]
    of_genes = np.var(without) * (len(genes) - 1)
    one_less = [(hit.sum() - h) / (len(hit) - 1) for h in hit]
    spread = max(of_genes - np.var(one_less) * (len(hit) - 1), hit.var() / len(hit))
    factor = np.sqrt(spread / (hit.var() / len(hit)))
    assert factor > 1.1
    for end, plain_end in zip(("recall_low_end", "recall_high_end"), independent, strict=True):
        assert found[end] == pytest.approx(hit.mean() + factor * (plain_end - hit.mean()), abs=1e-9)
    other = evaluate(map_, {"t": relate(*pairs[:9]), "s": relate(*pairs)}, low=0.3, n_bootstrap=20_000)
    assert other.summary["sources"]["s"] == found
    none = evaluate(map_, {"s": relate(*pairs)}, n_bootstrap=0).summary["sources"]["s"]
    assert none["recall_low_end"] is None and none["recall_high_end"] is None


def test_what_is_no_gene_does_not_count() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3))
    plain = evaluate(make_map("abcd", x), {"s": relate(("a", "b"), ("b", "c"))})
    more = make_map(
        ["b", "EMPTY_control", "a", "drug", "zero", "c", "d", "tiny"],
        np.vstack([x[1], [1e-3, 0, 0], x[0], x[0], [0, 0, 0], x[2], x[3], x[0] * 1e-14]),
        ["CRISPR"] * 3 + ["COMPOUND"] + ["CRISPR"] * 4,
    )
    result = evaluate(more, {"s": relate(("a", "b"), ("b", "c"), ("zero", "a"), ("EMPTY_control", "a"))})
    assert result.tables == plain.tables | {"sources": result.tables["sources"]}
    assert result.summary["n_genes"] == 4
    assert result.notes == (
        "the map's rows 'EMPTY_control' are controls and were left out",
        "2 genes have a zero vector and were left out: 'tiny', 'zero'",
        "s: 2 of 5 genes are not in the map: 'EMPTY_control', 'zero'",
    )


def test_size_and_sign_of_values_are_no_trap() -> None:
    x = np.random.default_rng(0).normal(size=(5, 3))
    known = {"s": relate(("a", "b"), ("b", "c"), ("d", "e"))}
    plain = evaluate(make_map("abcde", x), known).tables["relations"]
    for factor in (1e200, 1e-200):
        found = evaluate(make_map("abcde", x * factor), known).tables["relations"]
        assert found["cosine"] == pytest.approx(plain["cosine"], abs=1e-12)


@pytest.mark.parametrize("low, high", [(0.95, 0.05), (0.5, 0.5), (-0.1, 0.9), (0.1, 1.1), (math.nan, 0.9)])
def test_thresholds_that_cannot_be(low: float, high: float) -> None:
    with pytest.raises(UsageError, match="0 <= low < high <= 1 was expected"):
        evaluate(make_map("ab", np.eye(2)), {"s": relate(("a", "b"))}, low=low, high=high)


def test_other_misuse() -> None:
    map_, known = make_map("ab", np.eye(2)), {"s": relate(("a", "b"))}
    for arguments, message in (({"seed": -1}, "seed is -1"), ({"n_bootstrap": -1}, "n_bootstrap is -1")):
        with pytest.raises(UsageError, match=message):
            evaluate(map_, known, **arguments)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no source"):
        evaluate(map_, {})


@pytest.mark.parametrize(
    "names, x, message",
    [
        ("a", [[1.0, 2.0]], r"has 1 CRISPR gene with a vector \('a'\); at least 2"),
        ("", np.empty((0, 2)), "has 0 CRISPR genes"),
        ("ab", [[0.0, 0.0], [0.0, 0.0]], "has 0 CRISPR genes"),
        ("abca", np.eye(4), "1 genes stand in the map more than once: 'a'"),
        ("abc", [[1.0, 2], [3, math.nan], [5, 6]], "gene 'b' holds nan in dimension 1 .not finite in 1 of 3"),
        ("abc", [[1.0, 2], [3, 4], [-math.inf, 6]], "gene 'c' holds -inf in dimension 0"),
    ],
)
def test_maps_that_will_not_do(names: str, x: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate(make_map(names, x), {"s": relate(("a", "b"))})


def test_no_relation_is_of_the_map() -> None:
    map_ = make_map("abc", np.eye(3))
    with pytest.raises(
        DataError, match=r"none of the relations in made.csv is between two of the map's 3 genes"
    ):
        evaluate(map_, {"s": relate(("x", "y"), ("a", "x"), ("b", "b"))})
    result = evaluate(map_, {"s": relate(("x", "y")), "t": relate(("a", "b"))})
    assert result.summary["sources"]["s"]["recall"] is None
    assert "s: no relation is between two genes of the map, so it has no recall" in result.notes
    assert json.loads(result.to_json())["summary"]["sources"]["s"]["n_relations"] == 0
    assert result.csv("sources").splitlines()[1] == "s,0,1,,,,,,0,0,0"


# Files


@pytest.mark.parametrize(
    "make", [str.encode, lambda t: gzip.compress(t.encode()), lambda t: b"\xef\xbb\xbf" + t.encode()]
)
@pytest.mark.parametrize(
    "text",
    [
        "entity1,entity2\nTP53,MDM2\nMDM2,TP53\nNA,nan\nMDM2,MDM2\n",
        "gene_a,gene_b\r\nTP53,MDM2\r\nMDM2,TP53\r\nNA,nan\r\nMDM2,MDM2",
        "a,b,score\nTP53,MDM2,0.5\n\nMDM2,TP53,x\nNA,nan,\nMDM2,MDM2,None\n",
        '"a","b"\n"TP53","MDM2"\nMDM2,TP53\nNA,"nan"\nMDM2,MDM2\n',
    ],
)
def test_files_that_say_the_same(tmp_path: Path, text: str, make: Any) -> None:
    known = read_relations(write(tmp_path / "r.txt", make(text)))
    rows = [(known.names[a], known.names[b]) for a, b in zip(known.first, known.second, strict=True)]
    assert rows == [("TP53", "MDM2"), ("MDM2", "TP53"), ("NA", "nan"), ("MDM2", "MDM2")]
    at = {"TP53": 0, "MDM2": 1, "NA": 2, "nan": 3}
    assert known.pairs(known.places(at)).tolist() == [[0, 1], [2, 3]]
    assert len(known) == 4 and len(known.sha256) == 64


def test_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": ["A", "ä,b"], "y": ["B", "A"]})
    frame.to_parquet(tmp_path / "r.parquet")
    known = read_relations(str(tmp_path / "r.parquet"))
    assert known.names == ["A", "ä,b", "B"] and known.header == ("x", "y")
    frame.assign(y=["B", None]).to_parquet(tmp_path / "r.parquet")
    with pytest.raises(DataError, match=r"r\.parquet, row 2: y is None; a name was expected"):
        read_relations(tmp_path / "r.parquet")


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "r.txt is empty"),
        ("entity1,entity2\n", "r.txt holds no relations"),
        ("entity1\nTP53\n", "r.txt has one column, 'entity1'; two were expected"),
        ("entity1;entity2\nTP53;MDM2\n", "semicolons"),
        ("entity1\tentity2\nTP53\tMDM2\n", "tabs"),
        ("entity1,entity2\nTP53,MDM2\nTP53\n", "r.txt, line 3: 1 fields where the header has 2"),
        ("entity1,entity2\nTP53,MDM2,AKT1\n", "r.txt, line 2: 3 fields"),
        ("entity1,entity2\nTP53,MDM2\n,AKT1\n", "r.txt, line 3: entity1 is ''; a name was expected"),
        ("a,a\nTP53,MDM2\n", "column 'a' stands more than once"),
        (",a\nTP53,MDM2\n", "column 1 has no name"),
        (b"entity1,entity2\nTP53,\xff\n", "r.txt, line 2: not UTF-8"),
        (b"entity1,entity2\nTP53,A\x00B\n", "r.txt, line 2: not UTF-8"),
        ('entity1,entity2\n"TP53,MDM2\n', "r.txt, line 2: not a CSV row"),
        (b"PAR1 and then nothing", "broken parquet"),
        (b"\x1f\x8bnothing", "broken gzip"),
    ],
)
def test_files_that_will_not_do(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_relations(write(tmp_path / "r.txt", text))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_relations(tmp_path / "none.txt")
    with pytest.raises(DataError, match="is a folder"):
        read_relations(tmp_path)


def test_a_file_without_a_header_is_noticed(tmp_path: Path) -> None:
    known = read_relations(write(tmp_path / "r.txt", "a,b\nb,c\n"))
    with pytest.raises(DataError, match=r"r.txt, line 1: 'a' and 'b' are genes of the map; a header"):
        evaluate(make_map("abc", np.eye(3)), {"s": known})


@given(
    st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)] * 2),
        min_size=1,
    )
)
def test_any_names_survive(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    from polaris_rxrx.tables import to_csv

    path = tmp_path_factory.mktemp("names") / "r.csv"
    columns = {"entity1": [a for a, _ in rows], "entity2": [b for _, b in rows]}
    known = read_relations(write(path, to_csv(columns)))
    assert [(known.names[a], known.names[b]) for a, b in zip(known.first, known.second, strict=True)] == rows


# The real files


@pytest.fixture(scope="session")
def real(shared_data: Path) -> tuple[Map, dict[str, Relations]]:
    """A random map of RxRx3-core's 735 genes, and the five real files."""
    wells = pd.read_parquet(shared_data / "metadata_rxrx3_trimmed.parquet", columns=["gene"])
    genes = sorted(set(wells.gene.dropna()) - {"EMPTY_control", ""})
    relations = {name: read_relations(shared_data / "relations" / f"{name}.txt") for name in KNOWN_SOURCES}
    return make_map(genes, np.random.default_rng(0).normal(size=(len(genes), 16))), relations


def test_counts_of_the_paper(real: tuple[Map, dict[str, Relations]]) -> None:
    map_, relations = real
    result = evaluate(map_, relations)
    assert result.summary["n_genes"] == 735
    counts = {name: found["n_relations"] for name, found in result.summary["sources"].items()}
    assert counts == {"CORUM": 1209, "HuMAP": 958, "Reactome": 569, "StringDB": 1737, "SIGNOR": 495}
    assert all(0.06 < found["recall"] < 0.14 for found in result.summary["sources"].values())
    hashes = result.protocol["relations_sha256"]
    assert hashes["CORUM"].startswith("edaafc77a184ef45") and len(set(hashes.values())) == 5


SCRIPT = """
import sys
from polaris_rxrx.maps.store import load_map
from polaris_rxrx.suites.gene_gene import evaluate_gene_gene as evaluate
from polaris_rxrx.suites.relations import read_relations
result = evaluate(load_map(sys.argv[1]), {name: read_relations(f"{name}.csv") for name in "st"})
sys.stdout.write(result.to_json() + result.csv("relations") + result.csv("sources"))
"""


def test_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    """Of another hash seed than this one's."""
    names = [f"G{i:02d}" for i in range(40)]
    rng = np.random.default_rng(3)
    lines = [f"{names[i]},{names[j]}\n" for i, j in rng.integers(40, size=(90, 2))]
    map_ = make_map(names, rng.normal(size=(40, 8)))
    save_map(map_, tmp_path / "map.parquet")
    files = {"s": lines, "t": lines[:20]}
    for name, own in files.items():
        write(tmp_path / f"{name}.csv", "entity1,entity2\n" + "".join(own))
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    there = subprocess.run(
        [sys.executable, "-c", SCRIPT, "map.parquet"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    here = evaluate(map_, {name: read_relations(tmp_path / f"{name}.csv") for name in files})
    assert there == here.to_json() + here.csv("relations") + here.csv("sources") and "gene-gene" in there


def test_rows_of_map_and_file_may_come_in_any_order() -> None:
    rng = np.random.default_rng(3)
    names = [f"G{i:02d}" for i in range(20)]
    pairs = [(names[i], names[j]) for i, j in rng.integers(20, size=(40, 2))]
    x, order = rng.normal(size=(20, 4)), rng.permutation(20)
    one = evaluate(make_map(names, x), {"s": relate(*pairs)})
    other = evaluate(
        make_map([names[i] for i in order], x[order]), {"s": relate(*[p[::-1] for p in pairs[::-1]])}
    )
    assert one.to_json() == other.to_json() and one.tables == other.tables


# --- the layout of the wells, and another map -------------------------------------------------------------


def layout_of(experiments: dict[str, list[int]]) -> Layout:
    names = sorted(experiments)
    perturbations = Perturbations(["CRISPR"] * len(names), names, np.full(len(names), np.nan))
    wells = [(i, e) for i, name in enumerate(names) for e in experiments[name]]
    code, experiment = (np.array(c, dtype=np.int64) for c in zip(*wells, strict=True))
    return Layout.of(perturbations, code, experiment)


def test_relations_of_genes_that_share_no_experiment() -> None:
    """Counted by hand over all pairs of genes that share none."""
    rng = np.random.default_rng(5)
    names = [f"G{i:02d}" for i in range(30)]
    experiments = {g: sorted({int(e) for e in rng.integers(6, size=2)}) for g in names}
    batch = rng.normal(size=(6, 8))
    x = np.array([batch[experiments[g]].mean(axis=0) + rng.normal(size=8) for g in names])
    pairs = [(names[i], names[j]) for i, j in rng.integers(30, size=(200, 2)) if i != j]
    layout = layout_of(experiments)
    result = evaluate(make_map(names, x), {"s": relate(*pairs)}, low=0.2, high=0.7, layout=layout)
    found = result.summary["sources"]["s"]

    def share(a: str, b: str) -> bool:
        return bool(set(experiments[a]) & set(experiments[b]))

    vector = dict(zip(names, x, strict=True))

    def cosine(a: str, b: str) -> float:
        u, v = vector[a], vector[b]
        return float(u @ v / np.sqrt((u @ u) * (v @ v)))

    every = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    null = sorted(cosine(a, b) for a, b in every if not share(a, b))
    related = sorted({(min(p), max(p)) for p in pairs})
    apart = [p for p in related if not share(*p)]
    hits = 0
    for p in apart:
        below = sum(v < cosine(*p) - 1e-12 for v in null)
        hits += (below + 1) / len(null) <= 0.2 or below / len(null) >= 0.7
    assert 0 < len(apart) < len(related)
    assert found["n_relations_apart"] == len(apart)
    assert found["recall_apart"] == pytest.approx(hits / len(apart))
    assert found["share_together"] == pytest.approx(1 - len(apart) / len(related))
    assert found["recall_apart_low_end"] < found["recall_apart"] < found["recall_apart_high_end"]
    assert result.summary["share_of_pairs_together"] == pytest.approx(np.mean([share(*p) for p in every]))
    assert result.protocol["layout"] is not None


def test_a_gene_that_is_not_in_the_layout_shares_nothing() -> None:
    names = list("abc")
    together = layout_of({"a": [0], "b": [0, 1]}).together(names)
    assert together.tolist() == [[True, True, False], [True, True, False], [False, False, False]]
    everything = evaluate(
        make_map(names, np.eye(3)), {"s": relate(("a", "b"))}, layout=layout_of({"a": [0], "b": [0]})
    ).summary["sources"]["s"]
    assert (everything["n_relations_apart"], everything["recall_apart"]) == (0, None)


def test_another_map_relation_by_relation() -> None:
    rng = np.random.default_rng(6)
    names = [f"G{i:02d}" for i in range(40)]
    pairs = [(names[2 * i], names[2 * i + 1]) for i in range(20)]
    pairs += [(names[i], names[j]) for i, j in rng.integers(40, size=(60, 2)) if i != j]
    x = rng.normal(size=(40, 12))
    x[1::2] = x[::2] + 0.2 * rng.normal(size=(20, 12))  # this one knows the first twenty
    ours, theirs = make_map(names, x), make_map(names[:36], rng.normal(size=(36, 12)))
    found = evaluate(ours, {"s": relate(*pairs)}, against=theirs).summary["sources"]["s"]
    hit = {}
    for key, map_ in (("ours", ours), ("theirs", theirs)):
        t = evaluate(map_, {"s": relate(*pairs)}).tables["relations"]
        hit[key] = {(a, b): r for a, b, r in zip(t["gene1"], t["gene2"], t["recovered"], strict=True)}
    both = sorted(set(hit["ours"]) & set(hit["theirs"]))
    d = np.array([hit["ours"][k] - hit["theirs"][k] for k in both], dtype=float)
    assert found["n_relations_both"] == len(both) < len(hit["ours"])
    assert found["recall_both"] - found["recall_against"] == pytest.approx(found["difference"])
    assert found["difference"] == pytest.approx(d.mean())
    assert found["difference_low_end"] < d.mean() < found["difference_high_end"]
    assert found["difference_p_value"] < 0.01
    itself = evaluate(ours, {"s": relate(*pairs)}, against=ours).summary["sources"]["s"]
    assert (itself["difference"], itself["difference_p_value"]) == (0, 1)
