"""What commands print fits the terminal; `--wide` shows all of it, and JSON knows nothing of widths."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polaris_rxrx import audit, baselines
from polaris_rxrx.cli import run
from polaris_rxrx.report import figures
from polaris_rxrx.suites import drug_target, replicates

Capture = pytest.CaptureFixture[str]
DRAWS = ["--resamples", "100"]
PRINTING = {
    "score": ["score", "openphenom.csv", *DRAWS],
    "compare": ["compare", "openphenom.csv", "cellprofiler.csv", "random.csv", "--all-pairs", *DRAWS],
    "audit": ["audit", "openphenom.csv", *DRAWS],
    "leaderboard": ["leaderboard", "openphenom.csv", "random.csv", "cellprofiler.csv"],
    "evaluate": ["evaluate", "all", "--model", "openphenom", "--seeds", "2"],
    "reproduce": ["reproduce", "table6", "--model", "openphenom"],
    "targets": ["targets"],
    "fetch": ["fetch", "--list"],
    "report": ["report", "openphenom.csv", *DRAWS],
}
# Most of what takes time; what they give knows nothing of widths, as JSON does not, see below.
COMPUTING = (
    (baselines, "read_model"),
    (baselines, "map_of"),
    (drug_target, "evaluate_drug_target"),
    (replicates, "evaluate_wells"),
    (audit, "audit"),
)


def printed(capsys: Capture, *words: str) -> list[str]:
    assert run(list(words)) == 0
    return capsys.readouterr().out.splitlines()


def words_of(lines: list[str]) -> list[str]:
    return sorted(re.findall(r"\S+", " ".join(lines)))


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives its first result again and again: a command is run four times, and only its printing differs."""
    results: list[Any] = []

    def once(*values: Any, **options: Any) -> Any:
        if not results:
            results.append(function(*values, **options))
        return results[0]

    return once


@pytest.mark.parametrize("command", PRINTING)
def test_output_fits_the_terminal(
    at_demo: Path, command: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On stdout the report has a line; to draw its figures would take half of the time of all commands.
    monkeypatch.setattr(figures, "draw", lambda material: {})
    for module, name in COMPUTING:
        monkeypatch.setattr(module, name, kept(getattr(module, name)))
    found = {}
    for columns in (80, 100):
        monkeypatch.setenv("COLUMNS", str(columns))
        found[columns] = printed(capsys, *PRINTING[command])
        assert max(map(len, found[columns])) <= columns
    monkeypatch.delenv("COLUMNS")  # not a terminal: 100
    assert printed(capsys, *PRINTING[command]) == found[100]
    wide = printed(capsys, *PRINTING[command], "--wide")
    assert len(wide) <= len(found[100]) and not any("…" in line or "--wide" in line for line in wide)
    # Nothing is lost when it is wrapped; heads and names may stand twice where a table is broken.
    lost = set(words_of(wide)) - set(words_of(found[80]))
    assert not lost or any("…" in line or "shows all" in line for line in found[80])


def test_the_demo_fits(told_demo: tuple[Path, str]) -> None:
    """In 80 columns; that it passes `--wide` on is tested where it is run once more (`test_demo`)."""
    _, told = told_demo
    lines = [line for line in told.splitlines() if not line.startswith("$ ")]  # to be copied
    assert 70 < max(map(len, lines)) <= 80


@pytest.mark.parametrize("command", ["score", "audit", "leaderboard"])
def test_json_is_the_same_at_any_width(
    at_demo: Path, command: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads("\n".join(printed(capsys, *PRINTING[command], "--json")))
    monkeypatch.setenv("COLUMNS", "40")
    assert json.loads("\n".join(printed(capsys, *PRINTING[command], "--json"))) == document
    assert json.loads("\n".join(printed(capsys, *PRINTING[command], "--json", "--wide"))) == document
