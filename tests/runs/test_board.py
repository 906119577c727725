"""Blocks of runs: who stands beside whom, in which order, and what text, Markdown, HTML and CSV say."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest

from polaris_rxrx.errors import UsageError
from polaris_rxrx.runs.board import CLOSING, as_csv, as_html, as_markdown, assemble
from polaris_rxrx.runs.read import Damaged, Figure, Found, Row

HOSTILE = "<img src=x onerror=alert(1)>|`*_"


def row(run: str, value: float | None, protocol: str = "aaaa", **more: str) -> Row:
    figures = (Figure("AP", value, None if value is None else value - 0.1, value), Figure("AUROC", 0.5))
    about = {"model": "m", "suite": "drug-target", "words": "seeds 3", "time": "2026-01-02T03:04:05+00:00"}
    about |= {"sha256": "f" * 64, "path": f"{run}/drug-target.json", **more}
    return Row(run=run, protocol=protocol, figures=figures, **about)


def test_protocols_are_apart_and_rows_in_order() -> None:
    found = Found((row("a", 0.2), row("b", 0.9, "bbbb"), row("c", None), row("d", 0.4), row("e", 0.4)))
    board = assemble(found)
    assert [(b.protocol, [r.run for r in b.rows]) for b in board.blocks] == [
        ("aaaa", ["d", "e", "a", "c"]),
        ("bbbb", ["b"]),
    ]
    assert board.notes == (CLOSING,)
    times = (replace(row("a", 1), time="2026-01-01"), replace(row("b", 0), time="2026-02-01"))
    for sort, expected in (("time", "ba"), ("value", "ab"), ("name", "ab")):
        (block,) = assemble(Found(times), sort=sort).blocks
        assert "".join(r.run for r in block.rows) == expected
    with pytest.raises(UsageError, match="sort is 'best'; value, name, time was expected"):
        assemble(found, sort="best")


def test_some_are_asked_for() -> None:
    found = Found((row("x/1", 0.2, model="tvn-1"), row("x/2", 0.3), row("y", 0.1, suite="signal")), (), 2)
    board = assemble(found, suites=["drug-target"], models=["x/*"])
    assert [r.run for b in board.blocks for r in b.rows] == ["x/2", "x/1"]
    assert board.notes == ("1 of 3 results not asked for", "2 JSON files hold no results")
    assert [r.run for b in assemble(found, models=["tvn*"]).blocks for r in b.rows] == ["x/1"]
    none = assemble(found, suites=["activity"])
    assert none.blocks == () and any("there are no results to be shown" in note for note in none.notes)


def test_csv_holds_every_figure_as_it_is() -> None:
    board = assemble(Found((row("a, b", 0.1 + 0.2), row("c", None, "bbbb"))))
    lines = list(csv.DictReader(io.StringIO(as_csv(board))))
    assert [(r["run"], r["figure"], r["value"], r["low"]) for r in lines] == [
        ("a, b", "AP", repr(0.1 + 0.2), repr(0.1 + 0.2 - 0.1)),
        ("a, b", "AUROC", "0.5", ""),
        ("c", "AP", "", ""),
        ("c", "AUROC", "0.5", ""),
    ]
    assert [r["protocol"] for r in lines] == ["aaaa", "aaaa", "bbbb", "bbbb"]
    assert {(r["time"], r["sha256"], r["synthetic"]) for r in lines} == {
        ("2026-01-02T03:04:05+00:00", "f" * 64, "false")
    }


def test_names_are_text_everywhere() -> None:
    board = assemble(Found((row(HOSTILE, 0.2, model=HOSTILE),), (Damaged(HOSTILE, HOSTILE),)))
    page = as_html(board)
    assert "<img" not in page and page.count("&lt;img src=x onerror=alert(1)&gt;") == 4
    assert "script" not in page and "http" not in page
    assert "<td" in page and "0.2000" in page and "0.1000 to 0.2000" in page
    text = as_markdown(board)
    assert "<img" not in text and text.count(r"&lt;img src=x onerror=alert(1)&gt;\|\`\*\_") == 4
    (line,) = (line for line in text.splitlines() if line.startswith("| &lt;"))
    assert len(re.findall(r"(?<!\\)\|", line)) == 8  # cells: run, model, AP, interval, AUROC, time, hash


def test_what_is_synthetic_is_said() -> None:
    (block,) = assemble(Found((replace(row("a", 0.1), synthetic=True), row("b", 0.2)))).blocks
    assert block.title == "drug-target: seeds 3 (protocol aaaa); of synthetic data"
