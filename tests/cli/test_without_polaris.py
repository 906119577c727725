"""A Python to which polaris-lib does not go: the Hub's commands say so in one line, all others work."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from polaris_rxrx.cli import run
from polaris_rxrx.hub import upstream

pytestmark = pytest.mark.usefixtures("no_polaris")


@pytest.fixture
def no_polaris(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polaris", None)


@pytest.fixture(scope="module")
def task_without(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task that was prepared without polaris. For reading only."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "data").symlink_to(demo / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "polaris", None)
        patch.chdir(folder)
        patch.setenv("POLARIS_RXRX_DATA", "data")
        assert run(["prepare", "--annotations", "data/compound_gene_interactions.csv"]) == 0
    return folder / "task"


@pytest.fixture
def here(demo: Path, task_without: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the demo's data, predictions and a task that was prepared without polaris."""
    for name in ("data", "openphenom.csv", "random.csv"):
        (tmp_path / name).symlink_to(demo / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", "data")
    shutil.copytree(task_without, "task")
    return tmp_path


HUB = [
    ["login"],
    ["logout"],
    ["whoami"],
    ["prepare", "--out", "hub"],
    ["prepare", "someone/else", "--out", "hub"],
    ["score", "openphenom.csv", "--official"],
    ["submit", "openphenom.csv", "--dry-run"],
    ["submit", "openphenom.csv", "--yes"],
]


@pytest.mark.parametrize("words", HUB, ids=" ".join)
def test_a_command_of_the_hub_says_what_it_needs(
    words: list[str], here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "PYTHON", (3, 14))
    before = sorted(here.rglob("*"))
    capsys.readouterr()
    assert run(words) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith(
        "Error: this needs polaris-lib, which needs Python 3.10 to 3.12, and this is 3.14;"
    )
    assert "python3.12 -m venv hub && hub/bin/pip install " in line
    assert sorted(here.rglob("*")) == before


def test_a_python_it_goes_to_is_told_to_install_it(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "PYTHON", (3, 12))
    capsys.readouterr()
    assert run(["whoami"]) == 1
    assert "pip install 'polaris-lib==0.13.*'" in capsys.readouterr().err


def test_misuse_stays_misuse(here: Path) -> None:
    assert run(["submit", "--dry-run", "--bundle", "openphenom.csv"]) == 2
    assert run(["prepare", "--seed", "1"]) == 2


def test_a_folder_of_that_name_is_no_polaris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every prepared task holds one, and Python takes any folder for a package."""
    monkeypatch.delitem(sys.modules, "polaris")
    (tmp_path / "polaris").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert not upstream.is_installed()


def test_an_affinity_table_is_prepared_all_the_same(
    here: Path, demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["prepare", "--annotations", "data/compound_gene_interactions.csv", "--force"]) == 0
    assert "polaris-lib is not installed" in capsys.readouterr().err
    assert not (here / "task" / "polaris").exists()
    for name in ("train.csv", "test_features.csv", "sample_submission.csv", "private/answers.csv"):
        assert (here / "task" / name).read_bytes() == (demo / "task" / name).read_bytes()
    ours, theirs = (json.loads((folder / "task" / "task.json").read_text()) for folder in (here, demo))
    assert ours["versions"].keys() == {"polaris_rxrx"}
    assert {**ours, "versions": None} == {**theirs, "versions": None}


@pytest.mark.parametrize(
    "words",
    [
        ["baseline", "openphenom", "--out", "again.csv", "--save-map", "map.parquet"],
        ["prepare", "--annotations", "data/compound_gene_interactions.csv", "--smiles", "--out", "again"],
        ["score", "openphenom.csv"],
        ["compare", "openphenom.csv", "random.csv"],
        ["audit", "openphenom.csv"],
        ["leaderboard", "openphenom.csv"],
        ["report", "openphenom.csv"],
        ["targets"],
        ["evaluate", "signal", "--model", "openphenom"],
        ["submit", "--init", "my-model"],
        ["fetch", "--list"],
    ],
    ids=lambda words: words[0],
)
def test_all_else_works(words: list[str], here: Path) -> None:
    assert run(words) == 0


def test_a_task_prepared_without_it_names_the_way_to_the_official_score(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "is_installed", lambda: True)
    assert run(["score", "openphenom.csv", "--official"]) == 1
    assert "prepare it again with --force" in capsys.readouterr().err
