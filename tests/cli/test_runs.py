"""`polaris-rxrx runs`: what it prints of folders, of damaged ones, and while they grow."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from polaris_rxrx import cli
from polaris_rxrx.suites.result import Result
from tests.runs.conftest import runs, runs_once  # noqa: F401  # fixtures
from tests.warm import Warm

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(runs: Path, capfd: pytest.CaptureFixture[str]) -> Run:  # noqa: F811
    def call(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = cli.run(["runs", *words])
        return code, *capfd.readouterr()

    return call


def test_runs_side_by_side(run: Run, runs_once: tuple[Path, dict[str, dict[str, Result]]]) -> None:  # noqa: F811
    code, out, err = run("out", "--suite", "drug-target", "--suite", "gene-gene")
    assert (code, err) == (0, "")
    values = {
        place: results["drug-target"].summary["max"]["average_precision"]
        for place, results in runs_once[1].items()
        if "drug-target" in results
    }
    blocks = out.split("\n\ndrug-target: ")
    assert len(blocks) == 2 and blocks[0].startswith("drug-target: seeds 3, active at most 1000 nM")
    lines = [line for line in out.splitlines() if line.startswith("out/")]
    of_first = [line for line in lines if line.startswith("out/epoch")][:2]
    better, worse = sorted(("out/epoch-1/x", "out/epoch-2/x"), key=lambda place: -values[place])
    for line, place in zip(of_first, (better, worse), strict=True):
        assert line.startswith(place) and f"{values[place]:.4f}" in line
    assert "Note  4 of 10 results not asked for" in " ".join(out.split("\n")) or "not asked for" in out
    assert "rows of one cannot be ranked against rows of another" in " ".join(out.split())


def test_other_forms(run: Run) -> None:
    code, out, _ = run("out", "--csv")
    assert code == 0 and len({r["path"] for r in csv.DictReader(io.StringIO(out))}) == 10
    document = json.loads(run("out", "--json")[1])
    assert {b["suite"] for b in document["blocks"]} >= {"signal", "activity", "clusters", "consistency"}
    assert run("out", "--html")[1].startswith("<!doctype html>\n")
    out = run("--markdown", "--model", "out/epoch-*")[1]
    assert out.count("\n| out/epoch-1/x | a map |") == 2 and "out/wells" not in out


def test_two_runs_of_one_name_are_told_apart(run: Run) -> None:
    shutil.copytree("out/wells", "again/wells")
    code, out, _ = run("out", "again", "--suite", "signal")
    lines = [line.split()[:2] for line in out.splitlines() if "/wells" in line]
    assert code == 0 and lines == [["again/wells", "embeddings"], ["out/wells", "embeddings"]]


def test_a_damaged_file_is_named_and_the_rest_is_shown(run: Run) -> None:
    whole = run("out")[1]
    Path("out/wells/half.json").write_text('{"suite": "drug-tar')
    code, out, err = run("out")
    assert code == 1 and out == whole
    assert "Damaged: out/wells/half.json: not JSON (" in err and "1 file is damaged; the others are" in err
    assert json.loads(run("out", "--json")[1])["damaged"][0]["path"] == "out/wells/half.json"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["gone"], 1, "gone: no such folder or file"),
        (["--suite", "recall"], 2, "--suite recall: expected one of drug-target, gene-gene"),
        (["--watch", "--csv"], 2, "--watch shows a table on the terminal; --csv was given, too"),
        (["--json", "--html"], 2, "--html and --json exclude each other"),
        (["--sort", "best"], 2, "best"),
    ],
)
def test_what_cannot_be(run: Run, words: list[str], code: int, message: str) -> None:
    found, out, err = run(*words)
    assert (found, out) == (code, "") and message in err


def test_nothing_there(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, out, _ = run("empty")
    assert code == 0 and "there are no results to be shown" in out


WATCH = """
import runpy, sys
sys.stdout = open(sys.argv.pop(1), "w", encoding="utf-8")
runpy.run_module("polaris_rxrx", run_name="__main__", alter_sys=True)
"""


def test_watching_shows_what_comes_and_ends_on_an_interrupt(runs: Path, lukewarm: Warm) -> None:  # noqa: F811
    page = Path("shown.txt").absolute()
    words = [str(page), "runs", "out", "--suite", "signal", "--watch", "--every", "0.1"]
    process = lukewarm.start(WATCH, words, apart=True)

    def shows(text: str) -> bool:
        """Whether it comes to show something, in a minute at most."""
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            if page.exists() and text in page.read_text("utf-8"):
                return True
            time.sleep(0.05)
        return False

    try:
        assert shows("out/wells") and "later" not in page.read_text("utf-8")
        (runs / "later").mkdir()
        half = runs / "later" / ".half.json.tmp"  # written beside its place, as this package writes
        half.write_bytes((runs / "wells" / "signal.json").read_bytes())
        half.replace(runs / "later" / "signal.json")
        assert shows("out/later") and "\x1b" not in page.read_text("utf-8")
        assert page.read_text("utf-8").count("\nrun ") == 2, "once, and once more when a file came"
    finally:
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
