"""`polaris-rxrx reproduce` on a small folder of made-up files with the published names."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from polaris_rxrx import cli
from polaris_rxrx.dataset.affinities import read_affinities
from polaris_rxrx.dataset.registry import KNOWN
from polaris_rxrx.files import sha256
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.parallel import Processes
from polaris_rxrx.suites import drug_target, gene_gene, signal
from polaris_rxrx.suites import reproduce as reproducing
from polaris_rxrx.suites.deviations import DEVIATIONS
from polaris_rxrx.suites.relations import read_relations
from polaris_rxrx.suites.reproduce import random_map
from polaris_rxrx.wells.memory import read_wells
from tests.cli.test_evaluate import AFFINITIES, GUIDES, RELATIONS, strict
from tests.wells_factory import PLAN, Group, make_embeddings, make_metadata, small, write

Run = Callable[..., tuple[int, str, str]]
NAME = "OpenPhenom_rxrx3_core_embeddings.parquet"
TABLES = ["table4", "table6", "table6-rxrx3", "table6-jump-crispr", "notebook"]
READ = (
    "OpenPhenom-S/16: 384 features: feature_0 .. feature_383\n"
    "pca-cs: the 138 control wells vary in 137 of 384 directions; the other 247 were left out\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OpenPhenom's width, a few wells."""
    path = tmp_path_factory.mktemp("data")
    small(path, plan=(*PLAN, *GUIDES), width=384)
    (path / "metadata.csv").rename(path / "metadata_rxrx3_core.csv")
    (path / "embeddings.parquet").rename(path / NAME)
    (path / "compound_gene_interactions.csv").write_text(AFFINITIES, "utf-8")
    (path / "relations").mkdir()
    for file in KNOWN["relations"].files:
        (path / file.name).write_text(RELATIONS)
    return path


@pytest.fixture
def run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(folder))

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["reproduce", *arguments])
        return code, *capfd.readouterr()

    yield call


def test_memory_and_workers_reach_every_suite(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the workers take is left out; that the figures are the same, the suites' own tests show."""
    seen: dict[str, dict[str, Any]] = {}

    def spied(name: str) -> Callable[..., Any]:
        plain = getattr(reproducing, name)

        def spy(*given: Any, **how: Any) -> Any:
            seen[name] = how
            return plain(*given, **how)

        return spy

    for name in ("evaluate_signal", "evaluate_drug_target"):
        monkeypatch.setattr(reproducing, name, spied(name))
    code, out, err = run("table4", "--json", "--max-memory", "240000001", "--workers", "2")
    assert code == 0 and "are kept on disk: they do not fit into memory" in err
    assert next(iter(cells(strict(out), "table4")))[0] == "random"
    assert {name: how["who"] for name, how in seen.items()} == dict.fromkeys(seen, Processes(2))
    assert len(seen) == 2 and seen["evaluate_signal"]["max_memory"] == 1


def cells(document: Any, table: str) -> dict[tuple[str, str, str | None], dict[str, Any]]:
    return {(c["model"], c["quantity"], c["at"]): c for c in document["tables"][table]["cells"]}


def test_every_computed_cell_is_the_library_s(run: Run, folder: Path, tmp_path: Path) -> None:
    code, out, err = run("--json", "--out", "res")
    assert code == 0, err
    assert err == READ + f"Wrote reproduce.json and {', '.join(f'{t}.csv' for t in TABLES)} into res\n"
    document = strict(out)
    assert document == strict((tmp_path / "res" / "reproduce.json").read_text("utf-8"))
    assert document["made_up"] is False and list(document["tables"]) == TABLES
    assert list(document["inputs"]) == ["openphenom"]

    wells = read_wells(folder / "metadata_rxrx3_core.csv", folder / NAME)
    map_ = build_map(wells)
    affinities = read_affinities(folder / "compound_gene_interactions.csv")
    hundred = drug_target.evaluate_drug_target(map_, affinities, drug_target.Protocol(legacy=True)).summary[
        "by_dose"
    ]
    table4 = cells(document, "table4")
    own, random = (
        table4["openphenom", "average_precision", "max"],
        table4["random", "average_precision", "max"],
    )
    assert own["computed"] == hundred["max"]["average_precision"]
    assert own["computed_spread"] == hundred["max"]["average_precision_sd"]
    assert own["in_spreads"] == (own["computed"] - 0.277) / 0.016
    assert own["verdict"] == ("within" if abs(own["in_spreads"]) <= 1 else "outside")
    assert random["computed"] == hundred["max"]["average_precision_random"]
    z = table4["openphenom", "average_precision_z", "max"]
    # So few genes that all are drawn every time; but the random embeddings are others each seed.
    assert hundred["max"]["average_precision_sd"] == pytest.approx(0, abs=1e-12)
    assert z["computed"] == hundred["max"]["average_precision_z"] is not None
    assert z["verdict"] == "no published spread"
    assert table4["random", "average_precision_z", "max"]["verdict"] == "no published spread"
    energy = signal.evaluate_signal(wells).summary
    assert table4["openphenom", "energy_distance", None]["computed"] == energy["mean"]
    assert table4["openphenom", "energy_distance", None]["computed_spread"] == energy["mad"]
    assert table4["random", "energy_distance", None]["computed"] == energy["random_mean"]
    assert table4["openphenom", "energy_distance_z", None]["computed"] == energy["z"]
    assert {c["verdict"] for c in table4.values() if c["model"] == "phenom-2"} == {"not here"}

    names = ("CORUM", "HuMAP", "Reactome", "StringDB")
    relations = {n: read_relations(folder / "relations" / f"{n}.txt") for n in names}
    for model, x in (("openphenom", map_), ("random", random_map(map_))):
        recall = gene_gene.evaluate_gene_gene(x, relations).summary["sources"]
        for name in names:
            assert cells(document, "table6")[model, "recall", name]["computed"] == recall[name]["recall"]

    ten = drug_target.evaluate_drug_target(
        map_, affinities, drug_target.Protocol(seeds=10, legacy=True)
    ).summary["by_dose"]
    for (_, quantity, at), cell in cells(document, "notebook").items():
        assert at is not None and cell["computed"] == ten[at][quantity]
        assert cell["protocol"] == "drug-target deviation 5"

    for table, held in document["tables"].items():
        with (tmp_path / "res" / f"{table}.csv").open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        assert [row["verdict"] for row in rows] == [c["verdict"] for c in held["cells"]]
        assert [row["computed"] for row in rows] == [
            "" if c["computed"] is None else repr(c["computed"]) for c in held["cells"]
        ]


def test_text(run: Run) -> None:
    code, out, err = run("table6", "--wide")
    assert (code, err) == (0, READ)
    document = strict(run("table6", "--json")[1])
    assert list(document["tables"]) == TABLES[1:4]
    assert out.startswith(
        "table6: Recall of gene-gene relations, RxRx3-core\n"
        "Published in arXiv 2503.20158, Table 6 (author-reported)\n\n"
    )
    own = cells(document, "table6")["openphenom", "recall", "CORUM"]
    line = rf"openphenom +recall CORUM +0\.300 +{own['computed']:.3f} +"
    line += re.escape(f"{own['difference']:+.3f}") + r" +no published spread +differs \(1\)"
    assert re.search(f"^{line}$", out, re.M)
    assert re.search(r"^phenom-2 +recall CORUM +0\.486 +- +- +not here +-$", out, re.M)
    said = out.partition("\n\nDeviations from the public code, by suite and number\n")
    assert "\nProtocol  (1) gene-gene deviation 1\n\ntable6-rxrx3: " in said[0]
    known = [
        f"gene-gene {n}: {d.what} (not offered: {d.why})" for n, d in enumerate(DEVIATIONS["gene-gene"], 1)
    ]
    deviations, _, needs = said[2].partition("\n\nModels that are not here, and what they need\n")
    assert deviations.splitlines() == known
    assert needs.splitlines() == list(document["needs"].values())
    assert list(document["needs"]) == [
        "cellprofiler",
        "phenom-1",
        "phenom-2",
        "rxrx3-embeddings on rxrx3",
        "cellprofiler on jump-crispr",
    ]
    assert "none is published with RxRx3-core; give it with --embeddings" in document["needs"]["cellprofiler"]
    assert "; polaris-rxrx fetch phenom-2 --data " in document["needs"]["phenom-2"]


def test_rows_of_other_datasets_are_there_without_their_files(run: Run) -> None:
    """Their protocol and what they need on disk are told; no figure is."""
    out = run("table6", "--wide")[1]
    document = strict(run("table6", "--json")[1])
    for table, dataset, model in (
        ("table6-rxrx3", "rxrx3", "rxrx3-embeddings"),
        ("table6-jump-crispr", "jump-crispr", "cellprofiler"),
    ):
        told = out.partition(f"{table}: Recall of gene-gene relations, ")[2].partition("\n\ntable6-")[0]
        protocol = "gene-gene by align tvn, low 0.05, high 0.95, null all pairs of genes"
        assert f"(not on record)\nIts protocol: {protocol}\n" in told
        for source in ("CORUM", "HuMAP", "Reactome", "StringDB"):
            row = rf"^{model} +recall {source} +not on record here +- +- +not here +-$"
            assert re.search(row, told, re.M)
        held = document["tables"][table]
        assert held["dataset"] == dataset and held["grade"] == "not on record"
        assert {(c["published"], c["computed"], c["verdict"]) for c in held["cells"]} == {
            (None, None, "not here")
        }
    needs = document["needs"]
    assert re.fullmatch(
        r"RxRx3 needs metadata_rxrx3.csv, \{experiment_name\}/Plate\{plate\}/embeddings.parquet in \S+; had "
        r"by hand from https://rxrx3.rxrx.ai/downloads",
        needs["rxrx3-embeddings on rxrx3"],
    )
    assert re.search(
        r" needs well.csv.gz, plate.csv.gz, crispr.csv.gz, perturbation_control.csv, \{Metadata_Source\}/\S+ "
        r"in \S+; polaris-rxrx fetch --dataset jump-crispr --profiles --data \S+$",
        needs["cellprofiler on jump-crispr"],
    )


def test_rows_of_another_dataset_are_computed_where_its_files_are(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    """RxRx3's tree alone, without RxRx3-core's files: recall is that of the map the protocol says."""
    data, plan = tmp_path / "data", tuple(g for g in (*PLAN, *GUIDES) if not g.is_compound)
    plan = (*plan, Group("gene-001", "RXRX3-0001", 4), Group("gene-002", "RXRX3-0002", 3))
    metadata = make_metadata(plan)
    features = make_embeddings(metadata, 8).set_index("well_id")
    data.mkdir()
    metadata.to_csv(data / "metadata_rxrx3.csv", index=False)
    (data / "relations").symlink_to(folder / "relations")
    for (experiment, plate), ids in metadata.groupby(["experiment_name", "plate"]).well_id:
        (data / experiment / f"Plate{plate}").mkdir(parents=True)
        features.loc[ids].reset_index().to_parquet(data / experiment / f"Plate{plate}" / "embeddings.parquet")
    code, out, err = run("table6", "--data", "data", "--json")
    assert code == 0, err
    document = strict(out)
    assert "2 genes are blinded (named like RXRX3-*) and were left out of the map" in err
    given = document["inputs"]["rxrx3-embeddings on rxrx3"]
    assert list(document["inputs"]) == ["rxrx3-embeddings on rxrx3"] and given["dataset"] == "rxrx3"
    named = metadata[~metadata.gene.str.startswith("RXRX3-")]
    (tmp_path / "one").mkdir()
    wells = read_wells(*write(tmp_path / "one", metadata, features.reset_index()))
    map_ = build_map(wells, "tvn")
    keep = np.flatnonzero(np.isin(map_.perturbations.name, named.gene))
    assert len(keep) == len(map_) - 2
    map_ = replace(
        map_, perturbations=map_.perturbations.take(keep), x=map_.x[keep], n_wells=map_.n_wells[keep]
    )
    names = ("CORUM", "HuMAP", "Reactome", "StringDB")
    relations = {n: read_relations(folder / "relations" / f"{n}.txt") for n in names}
    expected = gene_gene.evaluate_gene_gene(map_, relations).summary["sources"]
    found = cells(document, "table6-rxrx3")
    assert {k: c["computed"] for k, c in found.items()} == {
        ("rxrx3-embeddings", "recall", n): expected[n]["recall"] for n in names
    }
    assert {c["verdict"] for c in found.values()} == {"not on record"}
    assert {c["verdict"] for c in cells(document, "table6").values()} == {"not here"}
    assert "openphenom" in document["needs"]
    text = run("table6", "--data", "data", "--wide")[1]
    shown = rf"^rxrx3-embeddings +recall CORUM +not on record here +{expected['CORUM']['recall']:.3f} +-"
    assert re.search(rf"{shown} +not on record +differs \(1\)$", text, re.M)
    assert run("table6", "--data", "data", "--model", "rxrx3-embeddings")[0] == 0
    code, _, err = run("table6", "--data", "data", "--model", "cellprofiler")
    assert code == 1 and "CellProfiler features has no table" in err


def test_a_model_asked_for_by_name_needs_no_other(run: Run) -> None:
    code, out, _ = run("table6", "--model", "openphenom", "--json")
    assert code == 0 and strict(out)["needs"] == {}
    assert "Models that are not here" not in run("table6", "--model", "openphenom")[1]


def test_deviations_are_printed_once_each(run: Run) -> None:
    out = run("--wide")[1]
    assert out.count("Deviations from the public code") == 1
    after = out.partition("Deviations from the public code, by suite and number\n")[2]
    lines = after.partition("\n\nModels that are not here")[0].splitlines()
    suites = ("drug-target", "signal", "gene-gene")
    assert [line.partition(":")[0] for line in lines] == [
        f"{suite} {n}{' (undone here)' if d.why is None else ''}"
        for suite in suites
        for n, d in enumerate(DEVIATIONS[suite], 1)
    ]
    assert "drug-target 4: a row with fewer eligible negatives than wanted gets all there" in out
    assert "drug-target 8: by gene, a label goes with the score of its pair; there labels" in out
    document = strict(run("--json")[1])
    held = document["tables"]["notebook"]["computed_protocols"]["openphenom drug-target"]["deviations"]
    assert [d["number"] for d in held if d["undone"]] == [1, 2, 3]


def test_features_are_a_pattern_s_choice(run: Run) -> None:
    code, _, err = run("table6", "--features", "feature_1*")
    assert code == 1 and "has 111 features; 384 were expected" in err
    code, out, err = run("table6", "--features", "feature_*", "--json")
    assert code == 0 and strict(out)["inputs"]["openphenom"]["reading"]["features"]["n"] == 384


def test_rows_a_well_are_read_as_asked_for(run: Run, folder: Path, tmp_path: Path) -> None:
    """Three rows a well, one far off: their median is the table as it was, their mean is not."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("metadata_rxrx3_core.csv", "relations"):
        (data / name).symlink_to(folder / name)
    table = pq.read_table(folder / NAME)
    far = pa.table({n: table[n] if n == "well_id" else pc.add(table[n], 9.0) for n in table.column_names})
    pq.write_table(pa.concat_tables([table, far.cast(table.schema), table]), data / NAME)
    once = strict(run("table6", "--json")[1])["tables"]["table6"]["cells"]
    code, out, err = run("table6", "--data", "data", "--sites", "median", "--json")
    assert code == 0 and "the median was taken" in err
    assert strict(out)["tables"]["table6"]["cells"] == once
    assert strict(out)["inputs"]["openphenom"]["reading"]["rows"]["sites"] == "median"
    assert (
        strict(run("table6", "--data", "data", "--json")[1])["inputs"]["openphenom"]["reading"]["rows"][
            "sites"
        ]
        == "mean"
    )
    for option, message in (("--ids", "so its ids stand in it"), ("--layer", "is no AnnData file")):
        code, out, err = run("table6", "--data", "data", option, "x")
        assert (code, out) == (2, "") and message in err


def test_genes_go_by_other_symbols(run: Run, folder: Path, tmp_path: Path) -> None:
    plain = strict(run("table6", "--json")[1])["tables"]["table6"]
    (tmp_path / "relations").mkdir()
    for path in (folder / "relations").iterdir():
        (tmp_path / "relations" / path.name).write_text(RELATIONS.replace("BRCA1", "BRCC1"))
    words = ["table6", "--relations", "relations", "--json"]
    other = strict(run(*words)[1])["tables"]["table6"]
    (tmp_path / "aliases.csv").write_text("previous,symbol\nBRCC1,BRCA1\n")
    code, out, err = run(*words, "--aliases", "aliases.csv")
    found = strict(out)["tables"]["table6"]
    assert code == 0 and found["cells"] == plain["cells"] != other["cells"]
    assert "CORUM: 1 gene has another symbol in the map: BRCC1 is BRCA1" in err
    protocol = found["computed_protocols"]["openphenom gene-gene"]
    assert protocol["renamed"]["CORUM"] == {"BRCC1": "BRCA1"}
    assert protocol["aliases_sha256"] == sha256(tmp_path / "aliases.csv")


def test_a_table_asks_only_for_what_it_needs(run: Run, folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("metadata_rxrx3_core.csv", NAME, "compound_gene_interactions.csv"):
        (data / name).symlink_to(folder / name)
    assert run("notebook", "--data", "data")[0] == 0
    code, out, err = run("--data", "data")
    assert (code, out) == (1, "") and "Try: polaris-rxrx fetch relations --data data" in err
    corum = str(folder / "relations" / "CORUM.txt")
    code, out, err = run("table6", "--data", "data", "--relations", corum)
    assert (code, out) == (1, "")
    assert "table6 needs the relations of 'HuMAP', 'Reactome', 'StringDB'" in err
    assert run("table6", "--data", "data", "--relations", str(folder / "relations"))[0] == 0


def test_made_up_data_says_so(run: Run, folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "metadata_rxrx3_core.csv").symlink_to(folder / "metadata_rxrx3_core.csv")
    (data / "relations").symlink_to(folder / "relations")
    pq.write_table(
        pq.read_table(folder / NAME).replace_schema_metadata({"polaris_rxrx": "made up"}), data / NAME
    )
    code, out, _ = run("table6", "--data", "data")
    assert code == 0 and out.startswith("The embeddings are synthetic (polaris-rxrx demo): these figures say")
    assert json.loads(run("table6", "--data", "data", "--json")[1])["made_up"] is True


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["table5"], 2, "'table5' is not one of 'table4', 'table6', 'notebook'"),
        (["--out", "."], 2, ". is the working directory or holds it"),
        (["--model", "mine"], 2, "no published figures of 'mine' there; there are some of cellprofiler,"),
        (["notebook", "--model", "phenom-1"], 2, "no published figures of 'phenom-1' there"),
        (["--model", "phenom-1"], 1, "Try: polaris-rxrx fetch phenom-1 --data "),
        (["--model", "cellprofiler"], 1, "CellProfiler features has no table"),
        (["--data", "gone"], 1, "Try: polaris-rxrx fetch openphenom --data gone"),
        (["--annotations", "gone.csv"], 1, "gone.csv: no such file"),
        (["--relations", "gone.txt"], 1, "gone.txt: no such file"),
        (["--aliases", "gone.csv"], 1, "gone.csv: no such file"),
        (["--metadata", "gone.csv"], 1, "gone.csv: no such file"),
        (["--out", "full"], 2, "full is not empty and holds no polaris-rxrx-results.txt"),
    ],
)
def test_what_goes_wrong_is_told(
    run: Run, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("somebody's")
    found, out, err = run(*arguments)
    assert (found, out) == (code, ""), err
    assert message in err and "Traceback" not in err
    assert {p.name for p in tmp_path.rglob("*")} == {"full", "thesis.txt"}
