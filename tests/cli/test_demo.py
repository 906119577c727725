"""`polaris-rxrx demo`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from polaris_rxrx.cli import run
from tests.plates_factory import small_plates

UNEXPRESSED = "data/unexpressed_genes.txt"


def test_the_baselines_order_as_published(told_demo: tuple[Path, str]) -> None:
    _, out = told_demo
    scores = {name: float(ap) for name, ap in re.findall(r"^(\w+) +(0\.\d{4}) +0\.\d{4}$", out, re.M)}
    assert list(scores) == ["random", "cellprofiler", "openphenom"]
    assert scores["random"] + 0.05 < scores["cellprofiler"] < scores["openphenom"] - 0.05


def test_it_is_labelled_as_made_up(told_demo: tuple[Path, str]) -> None:
    folder, out = told_demo
    assert "synthetic data" in out
    assert (folder / "data" / "README.txt").read_text().startswith("THIS DATA IS MADE UP")


def test_it_shows_the_commands_it_runs(told_demo: tuple[Path, str]) -> None:
    _, out = told_demo
    shown = re.findall(r"^\$ polaris-rxrx (\w+)", out, re.M)
    assert shown == ["prepare", "baseline", "baseline", "baseline", "score", "compare"]


def test_a_second_run_needs_force_and_passes_the_width_on(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One second run for both; that the first fits the terminal is tested with the other commands."""
    monkeypatch.chdir(tmp_path)
    folder = Path("here")
    shutil.copytree(demo, folder)
    before = (folder / "openphenom.csv").read_bytes()
    assert run(["demo", str(folder)]) == 2
    assert "replace it with --force" in capsys.readouterr().err
    (folder / "openphenom.csv").write_bytes(before[:-9])
    assert run(["demo", str(folder), "--force", "--wide"]) == 0
    assert (folder / "openphenom.csv").read_bytes() == before
    assert max(len(line) for line in capsys.readouterr().out.splitlines() if line[:2] != "$ ") > 120


def test_a_folder_of_someone_elses_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("years of work")
    assert run(["demo", str(tmp_path), "--force"]) == 2
    assert "holds no README.txt" in capsys.readouterr().err
    assert (tmp_path / "data" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "all", "--model", "openphenom", "--unexpressed", UNEXPRESSED, "--out", "results"],
        ["evaluate", "signal", "--model", "cellprofiler", "--by", "compound"],
        pytest.param(["reproduce", "--model", "phenom-1"], marks=pytest.mark.slow),  # all three tables
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
    at_demo: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing has to be fetched, and what the figures stand on is told."""
    code = run(words)
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert "not computed" not in printed.err
    if words[0] in ("evaluate", "reproduce", "targets", "fetch"):
        assert "synthetic" in printed.out


def test_the_maps_of_three_models_are_reproduced(at_demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that a demo has files of; a model without its file would be left out."""
    assert run(["reproduce", "table6"]) == 0
    out, err = capsys.readouterr()
    assert "synthetic" in out and "not computed" not in err
    computed = re.findall(r"^(\S+) +recall CORUM +0\.\d{3} +0\.\d{3} ", out, re.M)
    assert computed == ["random", "cellprofiler", "openphenom", "phenom-1"]


def test_it_tells_how_to_go_on(told_demo: tuple[Path, str]) -> None:
    folder, out = told_demo
    assert f"cd {folder.name} && export POLARIS_RXRX_DATA=data" in out


def test_images_are_added_to_an_earlier_demo(
    demo: Path, at_demo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_plates(monkeypatch)
    before = sorted(path.name for path in demo.iterdir())
    assert run(["demo", str(at_demo), "--images"]) == 0
    out = capsys.readouterr().out
    assert f"{at_demo / 'images'}: 25 wells with images of six channels, synthetic" in out
    shown = re.findall(r"^  polaris-rxrx (\w+)", out, re.M)
    assert shown == ["view", "featurize", "prepare", "baseline", "score"]
    assert sorted(path.name for path in at_demo.iterdir()) == sorted([*before, "images"])
    assert run(["demo", str(at_demo), "--images"]) == 2
    assert "images is there already" in capsys.readouterr().err


def test_no_real_data_goes_beside_the_made_up(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted((demo / "data").rglob("*"))
    for words in (["fetch"], ["fetch", "relations", "--force"], ["fetch", "phenom-2", "--accept-licence"]):
        assert run([*words, "--data", str(demo / "data")]) == 2
        assert "holds the synthetic data of a demo" in capsys.readouterr().err
    assert sorted((demo / "data").rglob("*")) == before
    assert run(["fetch", "--list", "--json", "--data", str(demo / "data")]) == 0
    for row in json.loads(capsys.readouterr().out):
        assert (row["source"] == "synthetic (polaris-rxrx demo)") == (row["path"] is not None)
        assert row["problem"] is None


def test_a_map_of_it_says_so_too(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    map_, table = str(tmp_path / "map.parquet"), str(demo / "data" / "compound_gene_interactions.csv")
    places = [
        "--task",
        str(demo / "task"),
        "--data",
        str(demo / "data"),
        "--out",
        str(tmp_path / "again.csv"),
    ]
    assert run(["baseline", "openphenom", *places, "--save-map", map_]) == 0
    capsys.readouterr()
    assert run(["evaluate", "drug-target", "--map", map_, "--annotations", table, "--seeds", "2"]) == 0
    assert "The embeddings are synthetic" in capsys.readouterr().out
