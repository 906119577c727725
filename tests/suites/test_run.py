"""`polaris_rxrx.evaluate` gives what the command gives, and refuses what cannot mean anything."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import polaris_rxrx as pr
from polaris_rxrx import cli
from polaris_rxrx.baselines import read_model
from polaris_rxrx.cards import load_card
from polaris_rxrx.dataset.affinities import read_affinities
from polaris_rxrx.dataset.registry import locate
from polaris_rxrx.errors import PolarisRxrxError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.suites.relations import read_sources
from polaris_rxrx.suites.run import BELONGS, PAPER, SUITES
from polaris_rxrx.wells.memory import Wells
from tests.conftest import ROOT

Said = Callable[..., dict[str, Any]]
# Each suite with options that reach it, in the command's words and in Python's.
ASKED: dict[str, tuple[list[str], dict[str, Any]]] = {
    "drug-target": (["--seeds", "3", "--min-negatives", "4", "--by", "gene"],
                    {"seeds": 3, "min_negatives": 4, "by": "gene"}),
    "gene-gene": (["--low", "0.1", "--low", "0.2", "--high", "0.9", "--high", "0.7"],
                  {"low": (0.1, 0.2), "high": [0.9, 0.7]}),
    "signal": (["--by", "compound", "--seed", "3"], {"by": "compound", "seed": 3}),
    "clusters": (["--min-genes", "3", "--sets", "sets.tsv"], {"min_genes": 3, "sets": "sets.tsv"}),
    "consistency": (["--of", "compound", "--null-size", "40", "--legacy"],
                    {"of": "compound", "null_size": 40, "legacy": True}),
    "activity": (["--null-size", "40"], {"null_size": 40}),
}  # fmt: skip


@pytest.fixture(scope="module")
def data(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's, with half of its experiments: command and Python are held to each other, whatever they say.

    The control wells that are left are more than features, and of a gene half of the wells are.
    """
    folder = tmp_path_factory.mktemp("half") / "data"
    folder.mkdir()
    for path in (demo / "data").iterdir():
        if not path.name.startswith("metadata"):
            (folder / path.name).symlink_to(path)
    wells = pd.read_csv(demo / "data" / "metadata_rxrx3_core.csv", keep_default_na=False)
    half = ["gene-001", "gene-002", "gene-003", "compound-001"]
    wells[wells["experiment_name"].isin(half)].to_csv(folder / "metadata_rxrx3_core.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def wells(data: Path) -> Wells:
    """Read as the command reads them, so that the files' hashes are known."""
    card = load_card("openphenom")
    return read_model(card, locate("metadata", data), locate("openphenom", data), hashed=True)


@pytest.fixture(scope="module")
def map_(wells: Wells) -> Map:
    return pr.build_map(wells)


@pytest.fixture
def said(
    data: Path, map_: Map, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Said:
    """What the command prints as JSON, in a folder with sets and a saved map."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(data))
    genes = [map_.perturbations.name[i] for i in map_.rows("CRISPR")]
    Path("sets.tsv").write_text(f"one\t{' '.join(genes[:5])}\nother\t{' '.join(genes[3:9])}\n")
    pr.save_map(map_, "map.parquet")

    def call(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        assert cli.run(["evaluate", *words, "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return call


def plain(results: dict[str, Any]) -> dict[str, Any]:
    return {name: json.loads(result.to_json()) for name, result in results.items()}


@pytest.mark.parametrize("suite", SUITES)
def test_each_suite_of_wells_is_the_commands(suite: str, said: Said, wells: Wells) -> None:
    words, options = ASKED[suite]
    expected = said(suite, "--model", "openphenom", *words)
    found = plain(pr.evaluate(wells, suite, card="openphenom", **options))
    assert found == expected and list(found) == list(expected)
    assert found[suite]["protocol"]["inputs"]["embeddings_sha256"]
    assert any("synthetic" in note for note in found[suite]["notes"])


@pytest.mark.parametrize("suite", ["drug-target", "gene-gene", "clusters", "consistency"])
def test_each_suite_of_a_map_is_the_commands(suite: str, said: Said, map_: Map) -> None:
    words, options = ASKED[suite]
    expected = said(suite, "--map", "map.parquet", *words)
    assert plain(pr.evaluate("map.parquet", suite, **options)) == expected
    at_hand = plain(pr.evaluate(map_, suite, **options))
    assert expected[suite]["protocol"]["inputs"].pop("map_sha256")  # whose file nobody knows
    if suite == "drug-target":  # parquet keeps names and numbers, so the map is the same map
        assert at_hand[suite]["protocol"]["map_sha256"] == expected[suite]["protocol"]["map_sha256"]
    assert at_hand[suite]["summary"] == expected[suite]["summary"]
    assert at_hand[suite]["protocol"].keys() == expected[suite]["protocol"].keys()


def test_the_papers_three_are_the_default(said: Said, wells: Wells, map_: Map) -> None:
    """Files that are read once stand for their paths, and a recipe may be another."""
    expected = said("all", "--model", "openphenom", "--align", "center-scale", "--seeds", "2")
    truth = {
        "annotations": read_affinities(locate("annotations", Path(wells.sources["metadata"]).parent)),
        "relations": read_sources([locate("relations", Path(wells.sources["metadata"]).parent)]),
    }
    found = pr.evaluate(wells, card="openphenom", align="center-scale", seeds=2, **truth)
    assert plain(found) == expected
    assert list(found) == ["drug-target", "gene-gene", "signal", "replicate-consistency"]
    of_map = pr.evaluate(map_, seeds=2, **truth)
    assert list(of_map) == ["drug-target", "gene-gene"]
    beside = said("gene-gene", "--map", "map.parquet", "--against", "map.parquet")
    against = pr.evaluate("map.parquet", "gene-gene", against=map_)
    assert plain(against)["gene-gene"]["summary"] == beside["gene-gene"]["summary"]


def test_one_checkpoint_after_another(said: Said, map_: Map) -> None:
    """What is kept of the one before changes nothing, whatever is asked between: names, no features."""
    map_ = replace(map_, x=map_.x[:, :16])
    rng = np.random.default_rng(2)
    noise = replace(map_, x=rng.normal(size=map_.x.shape))
    asked: list[tuple[Map, dict[str, Any]]] = [
        (map_, {}),
        (noise, {}),
        (noise, {"legacy": True}),
        (noise, {"by": "gene"}),
        (map_, {"active": 100.0}),
        (map_, {}),
    ]
    for given, options in asked:
        pr.save_map(given, "asked.parquet")
        words = [w for n, v in options.items() for w in ([f"--{n}"] if v is True else [f"--{n}", str(v)])]
        expected = said("drug-target", "--map", "asked.parquet", "--seeds", "2", *words)
        assert plain(pr.evaluate("asked.parquet", "drug-target", seeds=2, **options)) == expected


def test_options_belong_to_suites_that_are_there() -> None:
    assert set(PAPER) < set(SUITES)
    assert {suite for of in BELONGS.values() for suite in of} == set(SUITES)


@pytest.mark.parametrize(
    ("given", "words", "message"),
    [
        ("map", {"suites": "signal"}, "signal needs wells, and a map holds only their means"),
        (
            "map",
            {"suites": ("gene-gene", "gene-gene")},
            "suites: 'gene-gene' is there twice; there are drug-",
        ),
        ("map", {"suites": "recall"}, "suites: 'recall' is no suite; there are drug-target, gene-gene"),
        ("map", {"suites": ()}, "no suite was named"),
        ("map", {"suites": "clusters", "seeds": 3}, "seeds belongs to drug-target; clusters has no use for"),
        ("map", {"suites": "clusters"}, "clusters needs sets, a file of complexes"),
        (
            "map",
            {"suites": "gene-gene", "hihg": 0.9},
            "there is no option 'hihg'; the suites' are",
        ),
        ("map", {"suites": "gene-gene", "high": (0.9, 0.8)}, "low was given 0 times and high 2 times"),
        ("map", {"align": "tvn"}, "align means nothing for a map, which is made already"),
        ("map", {"by": "guide"}, "by guide: drug-target goes by compound, gene"),
        ("wells", {"by": "gene"}, "by means nothing for all: drug-target and signal each understand one"),
        ("wells", {"metadata": "m.csv"}, "metadata means something beside a map alone, for gene-gene"),
        ("wells", {"card": "openphenon"}, "openphenon"),
        ("wells", {"align": "none", "components": 3}, "none"),
        ("number", {}, "int was given; wells, a map or the path of one was expected"),
    ],
)
def test_what_cannot_mean_anything(
    given: str, words: dict[str, Any], message: str, wells: Wells, map_: Map, data: Path
) -> None:
    with pytest.raises(UsageError) as error:
        pr.evaluate({"map": map_, "wells": wells, "number": 3}[given], data=data, **words)  # type: ignore[arg-type]
    assert message in str(error.value) and "--" not in str(error.value)


def test_files_that_are_not_there(map_: Map, tmp_path: Path) -> None:
    with pytest.raises(PolarisRxrxError, match=r"gone\.csv: no such file"):
        pr.evaluate(map_, "drug-target", annotations=tmp_path / "gone.csv")
    with pytest.raises(PolarisRxrxError, match=r"gone\.parquet"):
        pr.evaluate(tmp_path / "gone.parquet")


def test_directions_that_were_left_out_are_told(wells: Wells) -> None:
    """What the command says on stderr is a warning here."""

    flat = replace(
        wells, x=np.concatenate([wells.x, wells.x[:, :1]], axis=1), features=[*wells.features, "z"]
    )
    data = Path(wells.sources["metadata"]).parent
    with pytest.warns(UserWarning, match="the other 1 were left out"):
        pr.evaluate(flat, "gene-gene", data=data)


def test_the_loop_of_the_page(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`docs/training.md` is true: two checkpoints, a row each, in one block."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "training.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    table = pd.read_parquet(locate("openphenom", demo / "data"))
    x = table.drop(columns="well_id").to_numpy()
    names: dict[str, Any] = {"data": demo / "data", "well_ids": table["well_id"]}
    exec(code, names)
    names["evaluate"]("epoch-1", x)
    names["evaluate"]("epoch-2", np.random.default_rng(0).normal(size=x.shape))
    capsys.readouterr()
    assert cli.run(["runs", "runs", "--json"]) == 0
    blocks = json.loads(capsys.readouterr().out)["blocks"]
    assert [(b["suite"], sorted(r["run"] for r in b["rows"])) for b in blocks] == [
        (suite, ["runs/epoch-1", "runs/epoch-2"]) for suite in ("drug-target", "gene-gene")
    ]
    assert blocks[0]["rows"][0]["run"] == "runs/epoch-1", "noise is no better than the model"


def test_a_map_is_corrected_by_arms_as_the_command_does(
    said: Said, map_: Map, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polaris_rxrx.maps.correct.by_arm.__kwdefaults__", {"least": 2})
    genes = [map_.perturbations.name[i] for i in map_.rows("CRISPR")]
    arms = "".join(f"{gene},{1 + i % 4}p\n" for i, gene in enumerate(genes))
    Path("arms.csv").write_text(f"gene,arm\n{arms}")
    Path("silent.txt").write_text("\n".join(genes[::2]))
    more = ["--gene-arms", "arms.csv", "--arms-unexpressed", "silent.txt"]
    told = said("gene-gene", "--map", "map.parquet", *more)["gene-gene"]
    own = {"gene_arms": "arms.csv", "arms_unexpressed": "silent.txt"}
    with pytest.warns(UserWarning, match=r"map.parquet: Chromosome arms corrected: 2 by their unexpressed"):
        found = pr.evaluate("map.parquet", "gene-gene", **own)["gene-gene"].to_dict()
    (done,) = found["protocol"]["map"]["corrections"]
    assert done["correction"] == "chromosome-arm"
    assert json.loads(json.dumps(found["summary"])) == told["summary"]
    assert found["protocol"]["map"]["corrections"] == told["protocol"]["map"]["corrections"]
    assert found["summary"] != pr.evaluate(map_, "gene-gene", data=data)["gene-gene"].to_dict()["summary"]
    card = load_card("openphenom").with_recipe(correct=("chromosome-arm",))
    wells = read_model(card, locate("metadata", data), locate("openphenom", data))
    with pytest.raises(UsageError, match=r"chromosome-arm correction needs gene_arms"):
        pr.evaluate(wells, "gene-gene", card=card)
    with pytest.raises(UsageError, match=r"arms_unexpressed belongs to gene_arms"):
        pr.evaluate(map_, "gene-gene", arms_unexpressed="silent.txt")
    with pytest.raises(UsageError, match=r"gene_arms corrects a map; signal looks at wells"):
        pr.evaluate(wells, "signal", gene_arms="arms.csv")
