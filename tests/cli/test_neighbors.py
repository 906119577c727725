"""`polaris-rxrx neighbors`: what is printed is what the library finds, and known relations are marked."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx import cli
from polaris_rxrx.files import sha256
from polaris_rxrx.maps.build import Map, build_map
from polaris_rxrx.maps.store import save_map
from polaris_rxrx.suites.neighbors import neighbors
from polaris_rxrx.wells.memory import read_wells
from tests.wells_factory import small

RELATIONS = "entity1,entity2\nTP53,BRCA1\nTWIN,NA\n"
AFFINITIES = "gene_symbol,nM_value,treatment\nTP53,5,aspirin\nBRCA1,5000,aspirin\nTWIN,1000,TWIN\n"


@pytest.fixture
def map_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Map:
    """A map in map.parquet, in an empty data folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(tmp_path))
    built = build_map(read_wells(*small(tmp_path)))
    save_map(built, "map.parquet")
    Path("known.txt").write_text(RELATIONS)
    Path("nM.csv").write_text(AFFINITIES)
    return built


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.run(["neighbors", *words])
    return code, *capsys.readouterr()


ALL = ["--map", "map.parquet", "--relations", "known.txt", "--annotations", "nM.csv"]


def test_json_is_the_librarys(map_: Map, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "TP53", *ALL, "--json", "--out", "res")
    assert (code, err) == (0, "Wrote neighbors into res\n")
    found: dict[str, Any] = json.loads(out)
    pairs = {
        "known": frozenset([frozenset(("TP53", "BRCA1"))]),
        "target": frozenset([frozenset(("TP53", "aspirin"))]),
    }
    expected = neighbors(map_, "TP53", known=pairs)
    rows = found.pop("neighbors")
    for name, cells in expected.tables["neighbors"].items():
        for row, cell in zip(rows, cells, strict=True):
            assert row[name] == cell or (row[name] is None and np.isnan(cell))
    marked = {(row["name"], row["known"]) for row in rows if row["known"]}
    assert marked == {("BRCA1", "known"), ("aspirin", "target")}
    found["protocol"].pop("inputs")
    assert found == expected.to_dict()
    assert json.loads(Path("res/neighbors.json").read_text())["suite"] == "neighbors"
    with Path("res/neighbors_neighbors.csv").open(newline="") as handle:
        written = list(csv.DictReader(handle))
    assert [row["name"] for row in written] == [row["name"] for row in rows]


def test_the_text_says_the_same(map_: Map, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "TP53", *ALL, "--top", "1")
    assert (code, err) == (0, "")
    of = neighbors(map_, "TP53", top=1).tables["neighbors"]
    assert len(of["name"]) == 4  # the first and the last gene, the first and the last compound
    lines = out.splitlines()
    assert lines[0] == "neighbors: map.parquet" and lines[1].startswith("TP53 (CRISPR, 12 wells) beside ")
    for name, cosine, rank, n in zip(of["name"], of["cosine"], of["rank"], of["of"], strict=True):
        assert any(name in line and re.search(f"{cosine:.4f} +{rank} +{n} ", line) for line in lines)


def test_one_other_and_a_concentration(map_: Map, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "aspirin", *ALL, "--concentration", "0.25", "--with", "TP53", "--json")
    found = json.loads(out)
    assert code == 0 and found["protocol"]["concentration"] == 0.25
    (row,) = found["neighbors"]
    assert (row["name"], row["known"]) == ("TP53", "target")
    names, doses = map_.perturbations.name, map_.perturbations.concentration
    a = map_.x[next(i for i, n in enumerate(names) if n == "aspirin" and np.isclose(doses[i], 0.25))]
    b = map_.x[names.index("TP53")]
    assert row["cosine"] == pytest.approx(float(a @ b / np.sqrt((a @ a) * (b @ b))))


def test_nothing_is_marked_where_nothing_is_known(map_: Map, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "TP53", "--map", "map.parquet", "--json")
    assert code == 0 and err.startswith("No known relations are marked: there are none in --data")
    assert not [row for row in json.loads(out)["neighbors"] if row["known"]]


def test_a_model_gives_the_map(map_: Map, capsys: pytest.CaptureFixture[str]) -> None:
    whole = ["--embeddings", "embeddings.parquet", "--metadata", "metadata.csv", *ALL[2:], "--json"]
    first, second = (json.loads(call(capsys, "TP53", *words)[1]) for words in (whole, [*ALL, "--json"]))
    assert first["neighbors"] == second["neighbors"]


def test_genes_go_by_other_symbols(map_: Map, capsys: pytest.CaptureFixture[str]) -> None:
    """In relations, in affinities, and as they are asked for; what was renamed is counted and kept."""
    plain = json.loads(call(capsys, "TP53", *ALL, "--json")[1])
    Path("aliases.csv").write_text("previous,symbol\nP53,TP53\nBRCC1,BRCA1\n")
    Path("known.txt").write_text(RELATIONS.replace("BRCA1", "BRCC1"))
    Path("nM.csv").write_text(AFFINITIES.replace("TP53", "P53"))
    code, out, err = call(capsys, "P53", *ALL, "--aliases", "aliases.csv", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["neighbors"] == plain["neighbors"]
    assert {row["name"] for row in found["neighbors"] if row["known"]} == {"BRCA1", "aspirin"}
    assert found["protocol"]["renamed"] == {
        "the gene asked for": {"P53": "TP53"},
        "known": {"BRCC1": "BRCA1"},
        "affinities": {"P53": "TP53"},
    }
    assert found["protocol"]["aliases_sha256"] == sha256(Path("aliases.csv"))
    assert "known: 1 gene has another symbol in the map: BRCC1 is BRCA1" in found["notes"]
    code, out, err = call(capsys, "TP53", *ALL, "--with", "BRCC1", "--aliases", "aliases.csv", "--json")
    assert code == 0 and [row["name"] for row in json.loads(out)["neighbors"]] == ["BRCA1"]
    assert call(capsys, "P53", *ALL)[0] == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["TP53"], 2, "give --model, --embeddings or --map"),
        (["tp53", *ALL], 1, "the map has no 'tp53'; it has 'TP53'"),
        (["aspirin", *ALL, "--concentration", "3"], 1, "not at 3"),
        (["TP53", *ALL, "--with", "FAR"], 1, "the map has no 'FAR' that could be compared with 'TP53'"),
        (["TP53", *ALL, "--top", "0"], 2, "--top"),
        (["TP53", *ALL, "--metadata", "metadata.csv"], 2, "--metadata means nothing for a saved map"),
        (["TP53", "--map", "map.parquet", "--relations", "gone.txt"], 1, "gone.txt: no such file"),
        (["TP53", *ALL, "--aliases", "gone.csv"], 1, "gone.csv: no such file"),
    ],
)
def test_what_goes_wrong_is_told(
    map_: Map, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    found, out, err = call(capsys, *words)
    assert (found, out) == (code, ""), err
    assert message in err and "Traceback" not in err
