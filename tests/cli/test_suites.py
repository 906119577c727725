"""`polaris-rxrx evaluate` beyond the paper's three: complexes, consistency, activity; thresholds, seeds."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx import cli
from polaris_rxrx.dataset.affinities import read_affinities
from polaris_rxrx.files import sha256
from polaris_rxrx.maps.build import Map, build_map
from polaris_rxrx.maps.correct import by_arm, read_arms
from polaris_rxrx.maps.store import save_map
from polaris_rxrx.suites.activity import evaluate_activity
from polaris_rxrx.suites.clusters import clusters
from polaris_rxrx.suites.consistency import consistency
from polaris_rxrx.suites.drug_target import Protocol, evaluate_drug_target
from polaris_rxrx.suites.gene_gene import evaluate_gene_gene
from polaris_rxrx.suites.gene_sets import read_gene_sets
from polaris_rxrx.suites.relations import read_relations
from polaris_rxrx.suites.result import Result
from polaris_rxrx.wells.memory import read_wells
from tests.wells_factory import PLAN, Group, small

Run = Callable[..., tuple[int, str, str]]
SETS = "a complex\tTP53 BRCA1 KRAS\nanother\tNA ONCE NRAS\nthe third\tTWIN FAR\n"
AFFINITIES = "gene_symbol,nM_value,treatment\nTP53,5,aspirin\nTP53,800,TWIN\nNA,1,TWIN\nKRAS,1,Eugenol\n"
AFFINITIES += 'KRAS,2,"odd, ""name"" ä "\nKRAS,3,Eugenol (no structure)\nTWIN,20000,aspirin\nNA,9,aspirin\n'
GUIDES = tuple(Group(f"gene-00{e}", name, 6) for e in (1, 2) for name in ("KRAS", "NRAS"))
WELLS = ["--embeddings", "embeddings.parquet", "--metadata", "metadata.csv"]
MAP = ["--map", "map.parquet"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `evaluate` in a folder with wells, sets, affinities and relations."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(tmp_path))
    small(tmp_path, plan=(*PLAN, *GUIDES))
    Path("sets.tsv").write_text(SETS)
    Path("nM.csv").write_text(AFFINITIES, "utf-8")
    Path("known.txt").write_text("a,b\nTP53,BRCA1\nNA,TP53\nKRAS,NRAS\n")

    def call(*words: str) -> tuple[int, str, str]:
        code = cli.run(["evaluate", *words])
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def map_(run: Run) -> Map:
    built = build_map(read_wells("metadata.csv", "embeddings.parquet"))
    save_map(built, "map.parquet")
    return built


def same(out: str, expected: Result) -> dict[str, Any]:
    """What was printed is the library's result, with the inputs added."""
    found: dict[str, Any] = json.loads(out)[expected.suite]
    assert found["protocol"].pop("inputs")["made_up"] is False
    assert found == expected.to_dict()
    return found


def test_clusters(run: Run, map_: Map) -> None:
    words = ["clusters", "--sets", "sets.tsv", "--min-genes", "3"]
    expected = clusters(map_, read_gene_sets("sets.tsv"), min_genes=3)
    code, out, err = run(*words, *MAP, "--json", "--out", "res")
    assert (code, err) == (0, "Wrote clusters into res\n")
    same(out, expected)
    assert Path("res/clusters_complexes.csv").read_text("utf-8") == expected.csv("complexes")
    code, out, _ = run(*words, *WELLS, "--json")
    assert code == 0 and json.loads(out)["clusters"]["summary"] == expected.summary
    code, out, _ = run(*words, *MAP)
    assert "clusters: map.parquet\n7 genes, 2 complexes with 3 of them or more" in out
    of = expected.tables["complexes"]
    for k, name in enumerate(of["complex"]):
        (line,) = (line for line in out.splitlines() if line.startswith(name))
        figures = (of[key][k] for key in ("mean_within", "mean_between", "ks"))
        assert line.split()[-6:-2] == ["3", *(f"{v:.4f}" for v in figures)]
    assert "Note  1 of 3 complexes have fewer than 3 genes in the map" in out


def test_consistency_of_genes(run: Run, map_: Map) -> None:
    words = ["consistency", *MAP, "--sets", "sets.tsv", "--null-size", "99", "--seed", "4"]
    sets = read_gene_sets("sets.tsv")
    for extra in ([], ["--legacy"]):
        code, out, err = run(*words, *extra, "--json")
        assert (code, err) == (0, "")
        first = bool(extra)
        expected = consistency(map_, sets.genes, positives_first=first, null_size=99, seed=4)
        told = {**expected.protocol, "sets_sha256": sha256(Path("sets.tsv"))}
        same(out, replace(expected, protocol=told))
    code, out, _ = run(*words)
    assert code == 0 and "consistency: map.parquet\n6 genes, 2 annotations; mean average precision" in out


def test_consistency_of_compounds_that_share_a_target(run: Run, map_: Map) -> None:
    words = ["consistency", *MAP, "--of", "compound", "--annotations", "nM.csv", "--active", "500"]
    code, out, err = run(*words, "--null-size", "50", "--json")
    assert (code, err) == (0, "")
    affinities = read_affinities("nM.csv")
    shared = {
        "KRAS": ["Eugenol", 'odd, "name" ä ', "Eugenol (no structure)"],
        "NA": ["TWIN", "aspirin"],
        "TP53": ["aspirin"],
    }
    expected = consistency(map_, shared, of="COMPOUND", null_size=50)
    told = {**expected.protocol, "annotations_sha256": affinities.sha256, "active_nM": 500.0}
    found = same(out, replace(expected, protocol=told))
    assert found["summary"]["n_annotations"] == 2 and found["summary"]["n_perturbations"] == 4


@pytest.mark.parametrize("by", ["gene", "guide", "compound", "compound-concentration"])
def test_activity(run: Run, by: Any) -> None:
    code, out, _ = run("activity", *WELLS, "--by", by, "--null-size", "60", "--json", "--align", "none")
    wells = read_wells("metadata.csv", "embeddings.parquet", guides=by == "guide")
    expected = evaluate_activity(wells, by=by, align_by="none", null_size=60)
    assert code == 0
    same(out, expected)


def test_activity_as_copairs_is_used(run: Run) -> None:
    wells = read_wells("metadata.csv", "embeddings.parquet")
    expected = evaluate_activity(wells, null_size=60, seed=2, legacy=True)
    words = ["activity", *WELLS, "--legacy", "--null-size", "60", "--seed", "2"]
    code, out, _ = run(*words, "--json", "--out", "res")
    assert code == 0
    same(out, expected)
    assert Path("res/activity_perturbations.csv").read_text("utf-8") == expected.csv("perturbations")
    code, out, _ = run(*words)
    s = expected.summary
    (row,) = (line.split() for line in out.splitlines() if line.startswith("mean average precision"))
    assert row[3:] == [
        *(f"{s[k]:.4f}" for k in ("mean", "mean_normalized")),
        *(f"{s[k]:.1%}" for k in ("share_p_0.05", "share_active")),
    ]
    assert "negatives: all control wells; ties positives first" in " ".join(out.split())


def test_several_thresholds_in_one_run(run: Run, map_: Map) -> None:
    known = {"known": read_relations("known.txt")}
    words = ["gene-gene", *MAP, "--relations", "known.txt"]
    code, out, _ = run(
        *words, "--low", "0.1", "--high", "0.9", "--low", "0.3", "--high", "0.6", "--json", "--out", "res"
    )
    assert code == 0
    found = json.loads(out)["gene-gene"]
    one = evaluate_gene_gene(map_, known, low=0.1, high=0.9).to_dict()
    two = evaluate_gene_gene(map_, known, low=0.3, high=0.6).to_dict()
    thresholds = found["summary"].pop("thresholds")
    assert found["summary"] == one["summary"] and found["protocol"].pop("more") == [[0.3, 0.6]]
    found["protocol"].pop("inputs")
    assert found["protocol"] == one["protocol"]
    for row, alone in zip(thresholds, (one, two), strict=True):
        assert (row.pop("low"), row.pop("high")) == (alone["protocol"]["low"], alone["protocol"]["high"])
        name = row.pop("source")
        assert alone["summary"]["sources"][name].items() >= row.items() and len(row) >= 9
    with Path("res/gene-gene_thresholds.csv").open(newline="") as handle:
        assert [(r["low"], r["source"]) for r in csv.DictReader(handle)] == [
            ("0.1", "known"),
            ("0.3", "known"),
        ]
    code, out, _ = run(*words, "--low", "0.1", "--high", "0.9", "--low", "0.3", "--high", "0.6")
    assert code == 0 and "known   0.3   0.6          3" in out

    code, out, _ = run(*words, "--low", "0.1", "--high", "0.9", "--json")
    assert json.loads(out)["gene-gene"]["summary"] == one["summary"]  # of one pair nothing is added


def test_figures_by_seed(run: Run, map_: Map) -> None:
    code, _, _ = run("drug-target", *MAP, "--annotations", "nM.csv", "--seeds", "5", "--min-negatives", "2",
                     "--out", "res")  # fmt: skip
    assert code == 0
    result = evaluate_drug_target(map_, read_affinities("nM.csv"), Protocol(seeds=5, min_negatives=2))
    with Path("res/drug-target_seeds.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 5 * 9 and [r["seed"] for r in rows[:5]] == ["0", "1", "2", "3", "4"]
    for dose, of in result.summary["by_dose"].items():
        for name in ("average_precision", "auroc"):
            values = [float(r[name]) for r in rows if r["dose"] == dose and r[name]]
            if of[name] is None:
                assert not values
            else:
                assert np.mean(values) == pytest.approx(of[name])
                assert np.std(values) == pytest.approx(of[f"{name}_sd"], abs=1e-12)
    assert any(r["dose"] == "max" and r["average_precision"] for r in rows)


def test_chromosome_arms(run: Run, map_: Map, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polaris_rxrx.maps.correct.by_arm.__kwdefaults__", {"least": 2})
    Path("arms.csv").write_text("gene,arm\nTP53,17p\nBRCA1,17q\nKRAS,17q\nNRAS,17q\nONCE,1p\nFAR,1p\n")
    Path("silent.txt").write_text("KRAS\nNRAS\n")
    words = ["gene-gene", "--relations", "known.txt", "--gene-arms", "arms.csv"]
    arms = read_arms("arms.csv")
    for extra, silent in (([], []), (["--arms-unexpressed", "silent.txt"], ["KRAS", "NRAS"])):
        code, out, err = run(*words, *extra, *MAP, "--json")
        assert code == 0 and "Chromosome arms corrected: " in err and "2 genes have no arm" in err
        expected = by_arm(map_, arms, silent)
        found = json.loads(out)["gene-gene"]
        own = evaluate_gene_gene(expected, {"known": read_relations("known.txt")})
        assert found["summary"] == own.summary
        (done,) = found["protocol"]["map"]["corrections"]
        assert done["correction"] == "chromosome-arm" and done["arms_sha256"] == sha256(Path("arms.csv"))
        assert (done["unexpressed_sha256"] is None) == (not silent)
        assert done["arms_by_unexpressed"] == (["17q"] if silent else [])
        assert done["arms_by_all"] == ([] if silent else ["17q"]) and done["arms_left"] == ["17p", "1p"]
        code, out, _ = run(*words, *extra, *WELLS, "--json")
        assert (
            json.loads(out)["gene-gene"]["summary"]["sources"]["known"]["recall"]
            == (own.summary["sources"]["known"]["recall"])
        )


def test_medians(run: Run) -> None:
    code, out, _ = run("gene-gene", "--relations", "known.txt", *WELLS, "--aggregate", "median", "--json")
    median = build_map(read_wells("metadata.csv", "embeddings.parquet"), aggregate="median")
    own = evaluate_gene_gene(median, {"known": read_relations("known.txt")})
    found = json.loads(out)["gene-gene"]
    assert code == 0 and found["protocol"]["map"]["aggregate"] == "median"
    assert found["protocol"]["map_sha256"] == own.protocol["map_sha256"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["activity", *WELLS, "--gene-arms", "nM.csv"], 1, "nM.csv: no column"),
        (["activity", *WELLS, "--gene-arms", "arms.csv"], 2, "--gene-arms corrects a map; activity looks at"),
        (["clusters", *MAP, "--arms-unexpressed", "a.txt"], 2, "--arms-unexpressed belongs to --gene-arms"),
        (["clusters", *MAP, "--gene-arms", "gone.csv"], 1, "gone.csv: no such file"),
        (["clusters", *MAP, "--aggregate", "mean"], 2, "--aggregate means nothing for a saved map"),
        (["clusters", *MAP], 2, "clusters needs --sets, a file of complexes"),
        (["clusters", *MAP, "--sets", "gone.tsv"], 1, "gone.tsv: no such file"),
        (["clusters", *MAP, "--sets", "sets.tsv", "--min-genes", "1"], 2, "min_genes is 1; 2 or more"),
        (["clusters", *MAP, "--sets", "sets.tsv"], 1, "none of the 3 complexes in sets.tsv has 10 genes"),
        (["clusters", *MAP, "--null-size", "9"], 2, "--null-size belongs to consistency and activity"),
        (["gene-gene", *MAP, "--sets", "sets.tsv"], 2, "--sets belongs to clusters and consistency"),
        (["all", *WELLS, "--sets", "sets.tsv"], 2, "--sets belongs to clusters and consistency; all has no"),
        (["consistency", *MAP], 2, "consistency of genes needs --sets"),
        (["consistency", *MAP, "--sets", "sets.tsv", "--active", "5"], 2, "--active is about compounds"),
        (["consistency", *MAP, "--sets", "sets.tsv", "--of", "compound"], 2, "--sets is about genes"),
        (["consistency", *MAP, "--of", "compound"], 1, "Try: polaris-rxrx fetch annotations --data"),
        (
            ["consistency", *MAP, "--of", "compound", "--annotations", "nM.csv", "--active", "0"],
            2,
            "--active 0: expected an affinity in nM, more than 0",
        ),
        (
            ["consistency", *MAP, "--sets", "sets.tsv", "--by", "gene"],
            2,
            "--by means nothing for consistency",
        ),
        (["activity", *MAP], 2, "activity needs wells, and a map (--map) holds only their means"),
        (["activity", *WELLS, "--by", "plate"], 2, "--by plate: activity goes by gene, guide, compound"),
        (["activity", *WELLS, "--null-size", "0"], 2, "--null-size"),
        (
            ["gene-gene", *MAP, "--low", "0.1", "--low", "0.2", "--high", "0.9"],
            2,
            "--low was given 2 times and --high 1 times; as many of each were expected",
        ),
        (
            ["gene-gene", *MAP, "--low", "0.1", "--low", "0.1", "--high", "0.9", "--high", "0.9"],
            2,
            "one pair of --low and --high was given twice",
        ),
        (
            ["gene-gene", *MAP, "--low", "0.1", "--low", "0.8", "--high", "0.9", "--high", "0.7"],
            2,
            "--low 0.8, --high 0.7: 0 <= low < high <= 1 was expected",
        ),
    ],
)
def test_what_goes_wrong_is_told(run: Run, map_: Map, words: list[str], code: int, message: str) -> None:
    Path("arms.csv").write_text("gene,arm\nTP53,17p\n")
    found, out, err = run(*words)
    assert (found, out) == (code, ""), err
    assert message in err and "Traceback" not in err
