"""`polaris-rxrx enrichment`: what is printed is what the library computes."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from scipy.stats import hypergeom

from polaris_rxrx import cli
from polaris_rxrx.maps.build import Map, build_map
from polaris_rxrx.maps.store import save_map
from polaris_rxrx.suites.enrichment import enrichment
from polaris_rxrx.suites.gene_sets import read_gene_sets
from polaris_rxrx.wells.memory import read_wells
from tests.wells_factory import small

SETS = "a complex\tTP53 BRCA1 FAR\nanother\tNA ONCE\nthe third\tTWIN FAR\n"


@pytest.fixture
def map_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Map:
    monkeypatch.chdir(tmp_path)
    built = build_map(read_wells(*small(tmp_path)))
    save_map(built, "map.parquet")
    Path("sets.tsv").write_text(SETS)
    Path("list.txt").write_text("TP53\nBRCA1\nELSEWHERE\n")
    return built


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.run(["enrichment", *words])
    return code, *capsys.readouterr()


ALL = ["list.txt", "--sets", "sets.tsv", "--map", "map.parquet"]


def test_it_is_the_librarys(map_: Map, capsys: pytest.CaptureFixture[str]) -> None:
    genes = {map_.perturbations.name[i] for i in map_.rows("CRISPR")}
    assert genes == {"TP53", "BRCA1", "NA", "ONCE", "TWIN"}
    code, out, err = call(capsys, *ALL, "--json", "--out", "res")
    assert (code, err) == (0, "Wrote enrichment into res\n")
    found = json.loads(out)
    (row,) = found.pop("sets")
    assert row["set"] == "a complex" and (row["n_shared"], row["n_set"]) == (2, 2)
    assert row["p_value"] == pytest.approx(hypergeom.sf(1, 5, 2, 2)) and row["genes"] == "TP53 BRCA1"
    assert row["p_bonferroni"] == pytest.approx(3 * row["p_value"])
    found["protocol"].pop("inputs")
    wanted = ["TP53", "BRCA1", "ELSEWHERE"]
    assert found == enrichment(wanted, read_gene_sets("sets.tsv"), genes).to_dict()
    with Path("res/enrichment_sets.csv").open(newline="") as handle:
        assert [r["set"] for r in csv.DictReader(handle)] == ["a complex"]

    code, out, _ = call(capsys, *ALL)
    assert code == 0 and out.startswith("enrichment: list.txt in map.parquet\n")
    assert "2 genes of the list among 5 of the map; 3 sets, 0 enriched" in out
    assert re.search(r"^a complex +2 +2 +0\.80 +0\.1 +0\.3 +0\.3$", out, re.M)
    assert "Note  1 of 3 genes are not in the map: 'ELSEWHERE'" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["list.txt", "--map", "map.parquet"], 2, "Missing option '--sets'"),
        (ALL[:3], 2, "give --model, --embeddings or --map"),
        (["gone.txt", *ALL[1:]], 1, "gone.txt: no such file"),
        (["sets.tsv", *ALL[1:]], 1, "sets.tsv, line 1"),
        (["list.txt", "--sets", "list.txt", *ALL[3:]], 1, "list.txt, line 1"),
        ([*ALL, "--out", "list.txt"], 2, "list.txt is a file; a folder was expected"),
    ],
)
def test_what_goes_wrong_is_told(
    map_: Map, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    found, out, err = call(capsys, *words)
    assert (found, out) == (code, ""), err
    assert message in err and "Traceback" not in err
