"""`polaris-rxrx demo`."""

from __future__ import annotations

import json
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
    assert "synthetic data" in out
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


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "all", "--model", "openphenom", "--out", "results"],
        ["evaluate", "signal", "--model", "openphenom", "--unexpressed", "data/unexpressed_genes.txt"],
        ["evaluate", "signal", "--model", "cellprofiler", "--by", "compound"],
        pytest.param(["reproduce"], marks=pytest.mark.slow),  # all tables, a hundred samplings each
        ["targets"],
        ["prepare", "--annotations", "data/compound_gene_interactions.csv", "--smiles", "--out", "smiles"],
        ["score", "openphenom.csv", "--json", "--per-treatment", "rows.csv"],
        ["report", "openphenom.csv", "--against", "random.csv", "--figures", "figures"],
        ["audit", "openphenom.csv", "--json"],
        ["leaderboard", "openphenom.csv"],
        ["fetch", "--list"],
    ],
    ids=" ".join,
)
def test_every_command_runs_on_what_it_wrote(
    demo: tuple[Path, str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing has to be fetched, and what the figures stand on is told."""
    folder, _ = demo
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", "data")
    code = run(words)
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert "not computed" not in printed.err
    if words[0] in ("evaluate", "reproduce", "targets", "fetch"):
        assert "synthetic" in printed.out


def test_it_tells_how_to_go_on(demo: tuple[Path, str]) -> None:
    folder, out = demo
    assert f"cd {folder} && export POLARIS_RXRX_DATA=data" in out


def test_no_real_data_goes_beside_the_made_up(
    demo: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = demo
    before = sorted((folder / "data").rglob("*"))
    for words in (["fetch"], ["fetch", "relations", "--force"], ["fetch", "phenom-2", "--accept-licence"]):
        assert run([*words, "--data", str(folder / "data")]) == 2
        assert "holds the synthetic data of a demo" in capsys.readouterr().err
    assert sorted((folder / "data").rglob("*")) == before
    assert run(["fetch", "--list", "--json", "--data", str(folder / "data")]) == 0
    for row in json.loads(capsys.readouterr().out):
        assert (row["source"] == "synthetic (polaris-rxrx demo)") == (row["path"] is not None)
        assert row["problem"] is None


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
    assert "The embeddings are synthetic" in capsys.readouterr().out
