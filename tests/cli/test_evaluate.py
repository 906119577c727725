"""`polaris-rxrx evaluate` and `targets`: what is printed is what the library computes."""

from __future__ import annotations

import csv
import functools
import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from polaris_rxrx import cli, limits
from polaris_rxrx.dataset.affinities import read_affinities
from polaris_rxrx.dataset.registry import KNOWN
from polaris_rxrx.errors import DataError
from polaris_rxrx.files import sha256
from polaris_rxrx.maps.build import Map, build_map
from polaris_rxrx.maps.store import save_map
from polaris_rxrx.parallel import PROCESS, Processes
from polaris_rxrx.suites import activity, drug_target, gene_gene, groups, replicates, signal, splits
from polaris_rxrx.suites.layout import Layout
from polaris_rxrx.suites.relations import KNOWN_SOURCES, read_relations
from polaris_rxrx.suites.replicates import evaluate_replicates
from polaris_rxrx.suites.result import Result
from polaris_rxrx.wells.memory import read_wells
from tests.wells_factory import PLAN, Group, small

Run = Callable[..., tuple[int, str, str]]

CARD = 'name = "mine"\ntitle = "My model"\n[source]\nfile = "embeddings.parquet"\nwidth = 6\n'
AFFINITIES = """gene_symbol,nM_value,treatment
TP53,5,aspirin
BRCA1,1000,aspirin
NA,5000,aspirin
TWIN,20,TWIN
ONCE,100000,TWIN
NA,1,Dactolisib (BEZ235
FAR,1,nowhere
ONCE,2000,"odd, ""name"" ä "
"""
RELATIONS = "entity1,entity2\nTP53,BRCA1\nBRCA1,TP53\nTWIN,ONCE\nNA,TP53\nFAR,TP53\n"
GUIDES = tuple(Group(f"gene-00{e}", name, 6) for e in (1, 2) for name in ("KRAS", "NRAS", "EGFR"))


def strict(text: str) -> Any:
    """JSON as its standard has it: no NaN, no infinity, one document."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


@functools.cache
def _small_tables() -> dict[str, bytes]:
    """The tables of `small_data`, which are drawn once."""
    with tempfile.TemporaryDirectory() as name:
        metadata, embeddings = small(Path(name), plan=(*PLAN, *GUIDES))
        return {"metadata_rxrx3_core.csv": metadata.read_bytes(), embeddings.name: embeddings.read_bytes()}


def small_data(folder: Path) -> None:
    """Everything that a small data folder can hold."""
    for name, content in _small_tables().items():
        (folder / name).write_bytes(content)
    (folder / "mine.toml").write_text(CARD)
    (folder / "compound_gene_interactions.csv").write_text(AFFINITIES, "utf-8")
    (folder / "relations").mkdir()
    for file in KNOWN["relations"].files:
        (folder / file.name).write_text(RELATIONS)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in a folder that holds everything a small data folder can."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(tmp_path))
    small_data(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(list(arguments))
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def map_(run: Run, tmp_path: Path) -> Map:
    """The map of the folder's wells, also saved as map.parquet."""
    built = build_map(read_wells("metadata_rxrx3_core.csv", "embeddings.parquet"))
    save_map(built, tmp_path / "map.parquet")
    return built


def same(found: dict[str, Any], expected: Result) -> None:
    """Everything but the inputs, which the command adds, is what the library gives."""
    plain = expected.to_dict()
    found["protocol"] = {k: v for k, v in found["protocol"].items() if k != "inputs"}
    assert found == plain


def test_a_table_of_compounds_without_concentrations(run: Run, map_: Map) -> None:
    """One row a gene or compound, made elsewhere: the dose rule is max alone, and that is told."""
    p = map_.perturbations
    last = {(t, n): i for i, (t, n) in enumerate(zip(p.type, p.name, strict=True))}
    rows = list(last.values())
    own = pd.DataFrame(map_.x[rows], columns=[f"emb_{i}" for i in range(map_.x.shape[1])])
    own["gene"] = [n if t == "CRISPR" else "" for t, n in last]
    own["compound"] = [n if t == "COMPOUND" else "" for t, n in last]
    own.to_parquet("own.parquet", index=False)
    words = ["evaluate", "drug-target", "--map", "own.parquet", "--seeds", "3"]
    code, out, err = run(*words, "--json")
    assert code == 0, err
    found = strict(out)["drug-target"]
    assert list(found["summary"]["by_dose"]) == ["max"] and found["summary"]["max"]["n_scored"] > 0
    assert found["protocol"]["concentrations"] == []
    assert any("no compound has a concentration" in note for note in found["notes"])
    assert "no compound has a concentration" in " ".join(run(*words)[1].split())


def test_all_is_what_the_library_computes(run: Run, map_: Map, tmp_path: Path) -> None:
    code, out, err = run("evaluate", "all", "--model", "mine.toml", "--seeds", "7", "--json", "--out", "res")
    assert (code, err) == (
        0,
        "My model: 6 features: feature_0 .. feature_5\n"
        "Wrote drug-target, gene-gene, signal, replicate-consistency into res\n",
    )
    found = strict(out)
    assert list(found) == ["drug-target", "gene-gene", "signal", "replicate-consistency"]
    wells = read_wells("metadata_rxrx3_core.csv", "embeddings.parquet")
    relations = {name: read_relations(f"relations/{name}.txt") for name in KNOWN_SOURCES}
    affinities = read_affinities("compound_gene_interactions.csv")
    expected = [
        drug_target.evaluate_drug_target(map_, affinities, drug_target.Protocol(seeds=7)),
        gene_gene.evaluate_gene_gene(
            map_, relations, layout=Layout.of(wells.perturbations, wells.perturbation, wells.experiment)
        ),
        signal.evaluate_signal(wells),
        evaluate_replicates(wells),
    ]
    inputs = {
        "card": "mine",
        "n_wells_missing": 0,
        "reading": json.loads(json.dumps(wells.provenance["reading"])),
        "metadata_sha256": sha256(tmp_path / "metadata_rxrx3_core.csv"),
        "embeddings_sha256": sha256(tmp_path / "embeddings.parquet"),
        "made_up": False,
    }
    assert list(found["gene-gene"]["protocol"]["relations_sha256"]) == list(KNOWN_SOURCES)
    for result in expected:
        written = strict((tmp_path / "res" / f"{result.suite}.json").read_text("utf-8"))
        assert written == found[result.suite] and written["protocol"]["inputs"] == inputs
        same(found[result.suite], result)
        for name, columns in result.tables.items():
            with (tmp_path / "res" / f"{result.suite}_{name}.csv").open(
                newline="", encoding="utf-8"
            ) as handle:
                rows = list(csv.reader(handle))
            assert rows[0] == list(columns) and len(rows) == 1 + len(next(iter(columns.values())))
            assert (tmp_path / "res" / f"{result.suite}_{name}.csv").read_text("utf-8") == result.csv(name)


def test_the_text_says_the_same(run: Run, map_: Map) -> None:
    code, out, err = run(
        "evaluate", "drug-target", "--model", "mine.toml", "--seeds", "7", "--min-negatives", "2"
    )
    assert (code, err) == (0, "My model: 6 features: feature_0 .. feature_5\n")
    result = drug_target.evaluate_drug_target(
        map_,
        read_affinities("compound_gene_interactions.csv"),
        drug_target.Protocol(seeds=7, min_negatives=2),
    )
    lines = out.splitlines()
    assert lines[0] == "drug-target: My model"
    assert lines[1] == (
        f"3 compounds, {result.summary['n_pairs_a_seed']} pairs per seed, seeds 7; active at most 1,000 nM, "
        "negatives beyond 10,000 nM"
    )
    assert lines[2] == "sd over seeds, ddof 0; random: a new embedding for each seed"
    best = result.summary["max"]
    (row,) = (line.split() for line in lines if line.startswith("max"))
    ends = ("", "_sd", "_q0.5", "_random")
    expected = [f"{best[f'average_precision{end}']:.4f}" for end in ends] + [
        f"{best['average_precision_z']:.2f}"
    ]
    expected += [f"{best[f'auroc{end}']:.4f}" for end in ends] + [f"{best['auroc_z']:.2f}"]
    assert row == ["max", str(best["n_scored"]), *expected]
    assert lines[-len(result.notes) :] == [f"Note  {n}" for n in result.notes]
    assert any("1 compounds with an active have no row in the map: nowhere" in n for n in result.notes)

    code, out, _ = run("evaluate", "gene-gene", "--model", "mine.toml")
    relations = {"CORUM": read_relations("relations/CORUM.txt")}
    corum = gene_gene.evaluate_gene_gene(map_, relations).summary["sources"]["CORUM"]
    assert "gene-gene: My model\n8 genes, 28 pairs; recovered at or below quantile 0.05" in out
    keys = ("recall", "recall_low_end", "recall_high_end")
    assert re.search(
        r"^CORUM +3 +"
        + " +".join(f"{corum[k]:.4f}" for k in keys)
        + f" +{corum['n_low']} +{corum['n_high']}$",
        out,
        re.M,
    )
    assert "Note  CORUM: 1 of 6 genes are not in the map: 'FAR'" in out

    code, out, _ = run("evaluate", "signal", "--model", "mine.toml")
    s = signal.evaluate_signal(read_wells("metadata_rxrx3_core.csv", "embeddings.parquet")).summary
    cells = [f"{s[k]:.4f}" for k in ("mean", "mad", "median", "null_mean", "random_mean", "random_mad")]
    assert re.search("^energy distance +" + " +".join(cells) + f" +{s['z']:.2f} ", out, re.M)
    assert "replicate-consistency: My model" in out


def test_signal_is_the_same_on_disk_and_by_two_processes(run: Run) -> None:
    """Wells, aligned wells and whoever tests them are elsewhere; no number changes."""
    words = ("evaluate", "signal", "--model", "mine.toml", "--json")
    expected = strict(run(*words)[1])
    code, out, err = run(*words, "--max-memory", "1MB", "--workers", "2")
    assert code == 0 and "are kept on disk: they do not fit into memory" in err
    assert strict(out) == expected and list(expected) == ["signal", "replicate-consistency"]


@pytest.mark.parametrize(
    ("suite", "module", "function"),
    [
        ("signal", replicates, "evaluate_wells"),
        ("activity", activity, "evaluate_activity"),
        ("drug-target", drug_target, "evaluate_drug_target"),
    ],
)
def test_workers_and_what_they_leave_reach_the_suite(
    run: Run, suite: str, module: Any, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []

    def spy(*_: Any, **how: Any) -> Any:
        seen.append(how)
        raise DataError("that is enough")

    monkeypatch.setattr(module, function, spy)
    code, _, err = run("evaluate", suite, "--model", "mine.toml", "--max-memory", "900MB", "--workers", "2")
    assert code == 1 and "that is enough" in err
    (how,) = seen
    assert how["who"] == Processes(2)
    assert how.get("max_memory", 900_000_000 - 2 * PROCESS) == 900_000_000 - 2 * PROCESS
    assert ("max_memory" in how) == (suite != "drug-target")  # which stands on a map


@pytest.mark.parametrize("suite", ["signal", "activity"])
def test_the_limit_reaches_the_suite(run: Run, suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []
    plain = groups.room

    def spy(*words: Any) -> Any:
        found = plain(*words)
        made.append(limits.is_on_disk(found))
        return found

    for user in (groups, splits):
        monkeypatch.setattr(user, "room", spy)
    words = ["evaluate", suite, "--model", "mine.toml", *(["--null-size", "50"] * (suite == "activity"))]
    assert run(*words)[0] == 0 and made and not any(made)
    made.clear()
    assert run(*words, "--max-memory", "1MB")[0] == 0 and any(made)


@pytest.mark.parametrize("suite", ["drug-target", "gene-gene"])
def test_a_map_suffices(run: Run, map_: Map, tmp_path: Path, suite: str) -> None:
    code, own, _ = run("evaluate", suite, "--model", "mine.toml", "--json")
    assert code == 0
    code, out, err = run("evaluate", suite, "--map", "map.parquet", "--json")
    assert (code, err) == (0, "")
    first, second = strict(own)[suite], strict(out)[suite]
    assert second["protocol"]["inputs"] == {"map_sha256": sha256(tmp_path / "map.parquet"), "made_up": False}
    if suite == "gene-gene":  # a map holds no wells, so nobody knows which genes share an experiment
        assert first["summary"].pop("share_of_pairs_together") > 0
        assert second["summary"].pop("share_of_pairs_together") is None
        for source in first["summary"]["sources"].values():
            for key in [k for k in source if k.endswith(("_apart", "_together")) or "_apart_" in k]:
                del source[key]
    assert second["summary"] == first["summary"]


def test_a_map_learns_its_layout_from_metadata(run: Run, map_: Map, tmp_path: Path) -> None:
    whole = ("evaluate", "gene-gene", *MINE, "--json")
    beside = (*whole[:2], "--map", "map.parquet", "--metadata", "metadata_rxrx3_core.csv", "--json")
    first, second = (strict(run(*arguments)[1])["gene-gene"] for arguments in (whole, beside))
    assert second["protocol"]["layout"] == first["protocol"]["layout"] is not None
    assert second["summary"] == first["summary"]


def test_options_reach_the_library(run: Run, map_: Map) -> None:
    code, out, _ = run(
        "evaluate", "drug-target", "--embeddings", "embeddings.parquet", "--align", "tvn", "--seeds", "3",
        "--active", "10", "--inactive", "3000", "--min-negatives", "1", "--legacy", "--by", "gene",
        "--seed", "4", "--json",
    )  # fmt: skip
    assert code == 0
    protocol = drug_target.Protocol(
        seeds=3, active=10, inactive=3000, min_negatives=1, legacy=True, by="gene", random_seed=4
    )
    tvn = build_map(read_wells("metadata_rxrx3_core.csv", "embeddings.parquet"), "tvn")
    found = strict(out)["drug-target"]
    assert found["protocol"]["inputs"]["card"] == "embeddings"
    same(
        found,
        drug_target.evaluate_drug_target(tvn, read_affinities("compound_gene_interactions.csv"), protocol),
    )

    Path("own.csv").write_text("a,b\nTP53,NA\nKRAS,NRAS\n")
    code, out, _ = run(
        "evaluate", "gene-gene", "--map", "map.parquet", "--relations", "own.csv", "--low", "0.2", "--high",
        "0.7", "--seed", "5", "--json",
    )  # fmt: skip
    own = {"own": read_relations("own.csv")}
    same(strict(out)["gene-gene"], gene_gene.evaluate_gene_gene(map_, own, low=0.2, high=0.7, seed=5))

    Path("null.txt").write_text("KRAS\nNRAS\n\n")
    code, out, _ = run(
        "evaluate", "signal", "--model", "mine.toml", "--by", "guide", "--unexpressed", "null.txt", "--json"
    )
    guides = read_wells("metadata_rxrx3_core.csv", "embeddings.parquet", guides=True)
    found = strict(out)
    assert code == 0 and list(found) == ["signal", "replicate-consistency"]
    same(found["signal"], signal.evaluate_signal(guides, by="guide", null=["KRAS", "NRAS"]))
    consistency = evaluate_replicates(guides, by="guide", null=["KRAS", "NRAS"])
    same(found["replicate-consistency"], consistency)
    code, out, _ = run("evaluate", "signal", "--model", "mine.toml", "--unexpressed", "null.txt")
    assert code == 0 and out.count("null: 2 genes\n") == 2


def test_results_of_other_suites_stay(run: Run, map_: Map, tmp_path: Path) -> None:
    assert run("evaluate", "gene-gene", "--map", "map.parquet", "--out", "res")[0] == 0
    before = (tmp_path / "res" / "gene-gene.json").read_bytes()
    (tmp_path / "res" / "drug-target_stale.csv").write_text("of an earlier version")
    assert run("evaluate", "drug-target", "--map", "map.parquet", "--seeds", "2", "--out", "res")[0] == 0
    assert (tmp_path / "res" / "gene-gene.json").read_bytes() == before
    assert {p.name for p in (tmp_path / "res").iterdir()} == {
        "drug-target.json", "drug-target_doses.csv", "drug-target_per_compound.csv", "drug-target_seeds.csv",
        "drug-target_spread.csv", "gene-gene.json",
        "gene-gene_relations.csv", "gene-gene_sources.csv", "polaris-rxrx-finished.json",
        "polaris-rxrx-results.txt",
    }  # fmt: skip
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".tmp")]


def test_made_up_data_says_so(run: Run, tmp_path: Path) -> None:
    table = pq.read_table(tmp_path / "embeddings.parquet")
    pq.write_table(
        table.replace_schema_metadata({"polaris_rxrx": "made up"}), tmp_path / "embeddings.parquet"
    )
    code, out, _ = run("evaluate", "gene-gene", "--model", "mine.toml")
    assert code == 0 and "Note  The embeddings are synthetic (polaris-rxrx demo)" in out
    found = strict(run("evaluate", "gene-gene", "--model", "mine.toml", "--json")[1])["gene-gene"]
    assert found["protocol"]["inputs"]["made_up"] is True and found["notes"][0].startswith(
        "The embeddings are"
    )


def test_made_up_relations_and_affinities_beside_real_embeddings_say_so(
    run: Run, demo: Path, tmp_path: Path
) -> None:
    """The demo's affinity table, of one of this test's compounds; and relations in the demo's shape."""
    relations = tmp_path / "drawn.txt"
    relations.write_text("entity1,entity2,database\nTP53,BRCA1,made up\n")
    words = ["evaluate", "gene-gene", "--model", "mine.toml", "--relations", str(relations)]
    code, out, _ = run(*words)
    assert code == 0 and "Note  The relations are synthetic (polaris-rxrx demo)" in out
    found = strict(run(*words, "--json")[1])["gene-gene"]
    assert found["protocol"]["relations_made_up"] is True and not found["protocol"]["inputs"]["made_up"]
    assert (demo / "data" / "relations" / "CORUM.txt").read_text().splitlines()[1].endswith(",made up")

    table = tmp_path / "drawn.csv"
    lines = Path("compound_gene_interactions.csv").read_text().splitlines()
    header, *rows = lines
    if "database" not in header.split(","):
        header, rows = f"{header},database", [f"{row},made up" for row in rows]
    table.write_text("\n".join([header, *rows]) + "\n")
    words = ["evaluate", "drug-target", "--model", "mine.toml", "--seeds", "2", "--min-negatives", "1"]
    code, out, err = run(*words, "--annotations", str(table), "--json")
    assert code == 0, err
    found = strict(out)["drug-target"]
    assert found["protocol"]["affinities_made_up"] is True
    assert any(text.startswith("The affinities are synthetic") for text in found["notes"])
    assert "affinities_made_up" not in strict(run(*words, "--json")[1])["drug-target"]["protocol"]


MINE = ["--model", "mine.toml"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gene-gene"], 2, "give --model, --embeddings or --map"),
        (["everything", *MINE], 2, "'everything' is not one of"),
        (["gene-gene", "--model", "openphenum"], 2, "no baseline 'openphenum'; there are cellprofiler"),
        (["gene-gene", "--model", "random"], 2, "random has no embeddings; every suite runs random ones"),
        (["drug-target", *MINE, "--seeds", "0"], 2, "seeds is 0; 1 or more was expected"),
        (["drug-target", *MINE, "--seeds", "-3"], 2, "seeds is -3"),
        (["drug-target", *MINE, "--min-negatives", "0"], 2, "min_negatives is 0; 1 or more was expected"),
        (
            ["drug-target", *MINE, "--active", "100", "--inactive", "10"],
            2,
            "active 100 nM, inactive 10 nM: expected 0 < active <= inactive",
        ),
        (["drug-target", *MINE, "--active", "nan"], 2, "active nan nM"),
        (
            ["gene-gene", *MINE, "--low", "0.9", "--high", "0.1"],
            2,
            "--low 0.9, --high 0.1: 0 <= low < high <= 1 was expected",
        ),
        (["gene-gene", *MINE, "--low", "nan"], 2, "--low nan"),
        (
            ["gene-gene", *MINE, "--seeds", "3"],
            2,
            "--seeds belongs to drug-target; gene-gene has no use for it",
        ),
        (["signal", *MINE, "--relations", "a.txt"], 2, "--relations belongs to gene-gene"),
        (["all", *MINE, "--by", "gene"], 2, "--by means nothing for all"),
        (["gene-gene", *MINE, "--by", "gene"], 2, "--by means nothing for gene-gene: it has one way"),
        (["drug-target", *MINE, "--by", "guide"], 2, "--by guide: drug-target goes by compound, gene"),
        (
            ["signal", *MINE, "--by", "compound", "--unexpressed", "empty.txt"],
            1,
            "empty.txt names no gene; one on each line was expected",
        ),
        (
            ["signal", "--map", "map.parquet"],
            2,
            "signal needs wells, and a map (--map) holds only their means",
        ),
        (["all", "--map", "map.parquet"], 2, "signal needs wells"),
        (["gene-gene", "--map", "map.parquet", "--align", "tvn"], 2, "--align means nothing for a saved map"),
        (
            ["drug-target", "--map", "map.parquet", "--metadata", "metadata_rxrx3_core.csv"],
            2,
            "--metadata means nothing for a saved map",
        ),
        (["gene-gene", "--map", "map.parquet", *MINE], 2, "--model means nothing for a saved map"),
        (["gene-gene", "--map", "map.parquet", "--features", "*"], 2, "--features means nothing for a saved"),
        (["gene-gene", *MINE, "--features", "emb_*"], 1, "no column matches --features 'emb_*'"),
        (["gene-gene", "--map", "mine.toml"], 1, "mine.toml: not a whole map"),
        (["gene-gene", "--map", "embeddings.parquet"], 1, "embeddings.parquet is not a map"),
        (["gene-gene", "--map", "gone.parquet"], 1, "gone.parquet: no such file"),
        (["gene-gene", "--map", "nan.parquet"], 1, "row of gene 'BRCA1' holds nan in dimension 2"),
        (["drug-target", "--map", "nan.parquet"], 1, "(BRCA1) holds NaN or infinity"),
        (["gene-gene", "--map", "one.parquet"], 1, "the map has 1 CRISPR gene with a vector ('TP53')"),
        (["drug-target", "--map", "compounds.parquet"], 1, "the map has 0 genes"),
        (["gene-gene", *MINE, "--relations", "empty.txt"], 1, "empty.txt is empty"),
        (["gene-gene", *MINE, "--relations", "header.txt"], 1, "header.txt holds no relations"),
        (["gene-gene", *MINE, "--relations", "one.txt"], 1, "one.txt has one column, 'entity1'; two were"),
        (["gene-gene", *MINE, "--relations", "foreign.txt"], 1, "none of the relations in foreign.txt is"),
        (["gene-gene", *MINE, "--relations", "gone.txt"], 1, "gone.txt: no such file"),
        (["gene-gene", *MINE, "--relations", "folder"], 1, "folder holds no .txt file of relations"),
        (
            ["gene-gene", *MINE, "--relations", "one.txt", "--relations", "one.csv"],
            2,
            "two relation files are named one",
        ),
        (["gene-gene", "--embeddings", "gone.parquet"], 1, "gone.parquet: no such file"),
        (["gene-gene", "--model", "openphenom"], 1, "Try: polaris-rxrx fetch openphenom --data "),
        (["gene-gene", *MINE, "--data", "folder"], 1, "Try: polaris-rxrx fetch relations --data folder"),
        (["drug-target", *MINE, "--data", "folder"], 1, "Try: polaris-rxrx fetch annotations --data folder"),
        (["signal", *MINE, "--data", "folder"], 1, "Try: polaris-rxrx fetch metadata --data folder"),
        (
            ["gene-gene", *MINE, "--out", "relations"],
            2,
            "relations is not empty and holds no polaris-rxrx-res",
        ),
        (["gene-gene", *MINE, "--out", "mine.toml"], 2, "mine.toml is a file; a folder was expected"),
    ],
)
def test_what_goes_wrong_is_told(
    run: Run, map_: Map, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    Path("empty.txt").write_text("")
    Path("header.txt").write_text("entity1,entity2\n")
    Path("one.txt").write_text("entity1\nTP53\n")
    Path("one.csv").write_text("entity1\nTP53\n")
    Path("foreign.txt").write_text("entity1,entity2\nFAR,AWAY\n")
    x = map_.x.copy()
    x[map_.perturbations.name.index("BRCA1"), 2] = np.nan
    save_map(replace(map_, x=x), "nan.parquet")
    for name, keep in (
        ("one", [map_.perturbations.name.index("TP53")]),
        ("compounds", map_.rows("COMPOUND").tolist()),
    ):
        p = map_.perturbations
        few = replace(
            p,
            type=[p.type[i] for i in keep],
            name=[p.name[i] for i in keep],
            concentration=p.concentration[keep],
        )
        save_map(Map(few, map_.x[keep], map_.n_wells[keep], map_.protocol), f"{name}.parquet")
    before = {p.name for p in tmp_path.rglob("*")}
    found, out, err = run("evaluate", *arguments)
    assert (found, out) == (code, ""), err
    assert message in err and "Traceback" not in err
    assert {p.name for p in tmp_path.rglob("*")} == before


def test_features_decide_and_are_kept(run: Run) -> None:
    arguments = ["evaluate", "gene-gene", "--embeddings", "embeddings.parquet", "--features", "feature_[0-3]"]
    code, out, err = run(*arguments, "--json")
    told = "4 features: feature_0 .. feature_3. Left out: 'feature_4', 'feature_5' (no pattern matches)"
    assert code == 0 and err == f"embeddings.parquet: {told}\n"
    protocol = strict(out)["gene-gene"]["protocol"]
    assert protocol["map"]["n_features"] == 4
    reading = protocol["inputs"]["reading"]
    assert reading["features"]["patterns"] == ["feature_[0-3]"]
    assert reading["features"]["left_out"] == {"no pattern matches": ["feature_4", "feature_5"]}
    assert reading["ids"] == [] and reading["values"]["n_identical"] == 0


def test_targets(run: Run) -> None:
    code, out, err = run("targets")
    assert (code, err) == (0, "")
    assert out == (
        "target  active  compounds (nM)\n"
        "BRCA1        1  aspirin (1,000)\n"
        "FAR          1  nowhere (1)\n"
        "NA           1  Dactolisib (BEZ235 (1)\n"
        "TP53         1  aspirin (5)\n"
        "TWIN         1  TWIN (20)\n"
        "\n"
        "5 targets, 4 compounds, 5 pairs at most 1,000 nM\n"
    )
    code, out, _ = run("targets", "--active", "5000", "--target", "NA", "--json")
    assert strict(out) == {
        "active_nM": 5000,
        "annotations_sha256": sha256(Path("compound_gene_interactions.csv")),
        "targets": [
            {
                "target": "NA",
                "compounds": [
                    {"treatment": "Dactolisib (BEZ235", "nM": 1},
                    {"treatment": "aspirin", "nM": 5000},
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--target", "tp5"], 1, "no gene 'tp5'; did you mean TP53?"),
        (["--target", "ONCE"], 1, "ONCE has no active compound; its strongest affinity is 2,000 nM"),
        (["--active", "0"], 2, "--active 0: expected an affinity in nM"),
        (["--active", "nan"], 2, "--active nan"),
        (["--annotations", "mine.toml"], 1, "mine.toml"),
        (["--data", "relations"], 1, "Try: polaris-rxrx fetch annotations --data relations"),
    ],
)
def test_targets_that_are_not_there(run: Run, arguments: list[str], code: int, message: str) -> None:
    found, out, err = run("targets", *arguments)
    assert (found, out) == (code, ""), err
    assert message in err and "Traceback" not in err


def test_the_real_annotations(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["targets", "--annotations", str(shared_data / "compound_gene_interactions.csv")]) == 0
    out = capsys.readouterr().out
    assert out.endswith("294 targets, 487 compounds, 1,380 pairs at most 1,000 nM\n")
    assert re.search(r"^ACE +5 +zofenopril-calcium \(0\.4\), Benazepril \(1\.7\), Quinapril", out, re.M)
    assert all(re.search(rf"^{gene} ", out, re.M) for gene in ("AR", "BRAF"))
