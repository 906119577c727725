"""`polaris-rxrx demo`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from polaris_rxrx.cli import run


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo") / "here"
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert run(["demo", str(folder)]) == 0
    return folder, out.getvalue()


def test_the_baselines_order_as_published(demo: tuple[Path, str]) -> None:
    _, out = demo
    scores = {name: float(ap) for name, ap in re.findall(r"^(\w+) +(0\.\d{4}) +0\.\d{4}$", out, re.M)}
    assert list(scores) == ["random", "cellprofiler", "openphenom"]
    assert scores["random"] + 0.05 < scores["cellprofiler"] < scores["openphenom"] - 0.05


def test_it_is_labelled_as_made_up(demo: tuple[Path, str]) -> None:
    folder, out = demo
    assert "made-up data" in out
    assert (folder / "data" / "README.txt").read_text().startswith("THIS DATA IS MADE UP")


def test_it_shows_the_commands_it_runs(demo: tuple[Path, str]) -> None:
    _, out = demo
    shown = re.findall(r"^\$ polaris-rxrx (\w+)", out, re.M)
    assert shown == ["prepare", "baseline", "baseline", "baseline", "score", "compare"]


def test_a_second_run_needs_force(demo: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = demo
    before = (folder / "openphenom.csv").read_bytes()
    assert run(["demo", str(folder)]) == 2
    assert "replace it with --force" in capsys.readouterr().err
    assert run(["demo", str(folder), "--force"]) == 0
    assert (folder / "openphenom.csv").read_bytes() == before


def test_a_folder_of_someone_elses_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("years of work")
    assert run(["demo", str(tmp_path), "--force"]) == 2
    assert "holds no README.txt" in capsys.readouterr().err
    assert (tmp_path / "data" / "thesis.txt").read_text() == "years of work"


def test_a_map_of_it_says_so_too(demo: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = demo
    map_, table = str(folder / "map.parquet"), str(folder / "data" / "compound_gene_interactions.csv")
    places = [
        "--task",
        str(folder / "task"),
        "--data",
        str(folder / "data"),
        "--out",
        str(folder / "again.csv"),
    ]
    assert run(["baseline", "openphenom", *places, "--save-map", map_]) == 0
    capsys.readouterr()
    assert run(["evaluate", "drug-target", "--map", map_, "--annotations", table, "--seeds", "2"]) == 0
    assert "The embeddings are made up" in capsys.readouterr().out
