"""`polaris-rxrx explore`: what it takes, what it says, what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from polaris_rxrx.cli import run
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.store import save_map
from polaris_rxrx.wells.metadata import Perturbations
from tests.explore.pages import held


def a_map(path: Path, n_genes: int, n_compounds: int = 0, width: int = 4) -> Map:
    n = n_genes + n_compounds
    p = Perturbations(
        ["CRISPR"] * n_genes + ["COMPOUND"] * n_compounds,
        [f"G{i:06d}" for i in range(n_genes)] + [f"c{i // 8:05d}" for i in range(n_compounds)],
        np.r_[np.full(n_genes, np.nan), 10.0 ** (np.arange(n_compounds) % 8)],
    )
    x = np.random.default_rng(0).standard_normal((n, width))
    map_ = Map(p, x, 1 + np.arange(n) % 7, {"align": "pca-cs"})
    save_map(map_, path)
    return map_


def explore(tmp_path: Path, *words: object) -> int:
    data = tmp_path / "nothing"
    data.mkdir(exist_ok=True)
    return run(["explore", *map(str, words), "--data", str(data), "--out", str(tmp_path / "map.html")])


def test_a_map_alone_says_which_views_are_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_map(tmp_path / "map.parquet", 5, 16)
    assert explore(tmp_path, tmp_path / "map.parquet") == 0
    out, err = capsys.readouterr()
    page = held((tmp_path / "map.html").read_text("utf-8"))
    assert out.startswith(f"{tmp_path / 'map.html'}: 21 rows of 4 features, ")
    for view in ("activity", "guides", "spread", "plates"):
        assert f"Without {view}: A map holds only the means of its wells; `explore --model CARD`" in err
        assert view in page.document["missing"]
    assert "Without relations: No known relations are at hand" in err
    assert page.document["title"] == str(tmp_path / "map.parquet")
    assert page.document["provenance"]["map"] == {"align": "pca-cs"}


def test_a_table_without_names_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bare.csv").write_text("feature_0,feature_1\n1,2\n3,4\n")
    assert explore(tmp_path, tmp_path / "bare.csv") == 1
    err = capsys.readouterr().err
    assert "bare.csv is not a map: it has no protocol, and no column names genes (gene, gene_symbol" in err
    (tmp_path / "empty.csv").write_text("gene,feature_0,feature_1\nA,1,2\n,3,4\n")
    assert explore(tmp_path, tmp_path / "empty.csv") == 1
    assert "empty.csv, line 3: gene empty; a name was expected" in capsys.readouterr().err
    assert not (tmp_path / "map.html").exists()


def test_rows_with_nan_are_there_without_a_cosine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    map_ = a_map(tmp_path / "map.parquet", 6)
    map_.x[2, 1] = np.nan
    map_.x[4] = np.nan
    save_map(map_, tmp_path / "nan.parquet")
    assert explore(tmp_path, tmp_path / "nan.parquet") == 0
    assert "2 rows have no vector (zeros, or values that are not finite)" in capsys.readouterr().err
    page = held((tmp_path / "map.html").read_text("utf-8"))
    assert (page.blocks["row_scale"] == 0).tolist() == [False, False, True, False, True, False]
    assert np.isfinite(page.blocks["null_cosine"]).all()
    assert sorted(page.blocks["order"].tolist()) == list(range(6))
    assert page.blocks["points"][2].tolist() == [-32768, -32768]


def test_a_map_of_one_row_is_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_map(tmp_path / "map.parquet", 1)
    assert explore(tmp_path, tmp_path / "map.parquet") == 0
    page = held((tmp_path / "map.html").read_text("utf-8"))
    assert page.names == ["G000000"] and "nulls" not in page.document
    assert "Without points: The map has fewer than three rows with a vector" in capsys.readouterr().err


def test_of_200_000_rows_the_page_has_50_000(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Genes first, compounds whole; which they are and what lifts the cap is said. (Of the tree a part.)"""
    monkeypatch.setattr("polaris_rxrx.explore.order.LINKED", 500)
    map_ = a_map(tmp_path / "map.parquet", 20_000, 180_000, width=2)
    assert explore(tmp_path, tmp_path / "map.parquet") == 0
    out, err = capsys.readouterr()
    assert "50,000 rows of 2 features" in out
    assert "50,000 of the map's 200,000 rows: genes before compounds" in err and "--max-rows N keeps" in err
    page = held((tmp_path / "map.html").read_text("utf-8"))
    assert page.document["rows"]["n_left_out"] == 150_000
    keys = page.rows()
    assert [k for k in keys if k[0] == "CRISPR"] == [("CRISPR", f"G{i:06d}", None) for i in range(20_000)]
    compounds = [name for kind, name, _ in keys if kind == "COMPOUND"]
    assert len(compounds) == 30_000 and {compounds.count(name) for name in compounds[:40]} == {8}
    wells = np.bincount(np.arange(180_000) // 8, weights=map_.n_wells[20_000:])
    chosen = sorted(sorted(range(22_500), key=lambda i: (-wells[i], i))[:3_750])
    assert list(dict.fromkeys(compounds)) == [f"c{i:05d}" for i in chosen]
    assert page.document["blocks"]["order"]["dtype"] == "u2"


def test_hostile_names_and_features_of_an_own_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["<img src=x onerror=alert(1)>", "</script>", "A"]
    lines = ["gene,f0,f1", *(f'"{n}",{i},{i * i + 1}' for i, n in enumerate(names))]
    (tmp_path / "own.csv").write_text("\n".join(lines) + "\n")
    assert explore(tmp_path, tmp_path / "own.csv") == 0
    text = (tmp_path / "map.html").read_text("utf-8")
    assert held(text).names == sorted(names) and "<img" not in text
    assert "protocol unknown" in capsys.readouterr().err


def test_neighbors_stand_for_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_map(tmp_path / "map.parquet", 30, 16)
    assert explore(tmp_path, tmp_path / "map.parquet", "--neighbors", 3, "--title", "Mine") == 0
    page = held((tmp_path / "map.html").read_text("utf-8"))
    assert "vectors" not in page.blocks and page.blocks["near_row"].shape == (46, 2, 6)
    assert page.document["neighbors"] == 3 and page.document["title"] == "Mine"
    assert "Without vectors: Each row's 3 nearest and 3 farthest" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--points", "pca"], "give --model, --embeddings or --map"),
        (["{map}", "--map", "{map}"], "are two maps; one was expected"),
        (["{map}", "--model", "openphenom"], "--model means nothing for a saved map"),
        (["{map}", "--plate-features", "a"], "--plate-features needs wells"),
        (["{map}", "--max-wells", "9"], "--max-wells needs wells"),
        (["{map}", "--max-rows", "0"], "Invalid value for '--max-rows'"),
        (["{map}", "--relations", "gone.txt"], "gone.txt"),
        (["{map}", "--out", "{map}"], "would be written over"),
        (["gone.parquet"], "gone.parquet"),
    ],
)
def test_what_cannot_be_is_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "map.parquet"
    a_map(path, 3)
    code = run(["explore", *(word.format(map=path) for word in words)])
    out, err = capsys.readouterr()
    assert said in err and out == ""
    assert code == (1 if "gone" in said else 2)


def test_a_model_says_where_plates_features_are(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "openphenom", "--data", demo / "data", "--plate-features", "feature_900"]
    assert run(["explore", *map(str, words), "--out", str(tmp_path / "map.html")]) == 2
    assert "there is no feature 'feature_900' for plates" in capsys.readouterr().err


def test_a_summary_has_no_single_wells(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, summary = demo / "data", tmp_path / "sums.parquet"
    words = ["summarize", str(data / "OpenPhenom_rxrx3_core_embeddings.parquet"), "--data", str(data)]
    assert run([*words, "--out", str(summary)]) == 0
    assert explore(tmp_path, "--model", "openphenom", "--embeddings", summary) == 0
    err = capsys.readouterr().err
    assert "Without plates: A summary holds only the sums of its wells; give the table itself" in err
