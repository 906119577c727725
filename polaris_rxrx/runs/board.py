"""Runs in blocks, one a suite and protocol: chosen, ordered, and as CSV, Markdown, HTML and JSON.

Conventions
    Rows of different protocols stand in different blocks and in no common order. In a block the order is by
    the main figure, the highest first, and what has none comes last; or by name, or by time, the newest
    first. There are no ranks: whether one checkpoint is better than another beyond noise, intervals of
    single ones do not tell.
    Names are text: in Markdown and HTML they are escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import inf, isfinite
from typing import Any, Literal

from markupsafe import Markup, escape
from typing_extensions import TypedDict

from polaris_rxrx.documents import Fields, fields_of
from polaris_rxrx.errors import UsageError
from polaris_rxrx.present.html import element
from polaris_rxrx.present.html import table as html_table
from polaris_rxrx.present.numbers import count, number, typeset
from polaris_rxrx.runs.read import DIGITS, Damaged, Figure, Found, Row
from polaris_rxrx.tables import to_csv

SCHEMA_VERSION: Literal[1] = 1
SORTS = ("value", "name", "time")
CLOSING = "Blocks have protocols of their own: rows of one cannot be ranked against rows of another"


@dataclass(frozen=True)
class Block:
    """Rows of one suite and protocol, ordered, and the names of their figures."""

    suite: str
    protocol: str
    words: str
    figures: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        synthetic = "; of synthetic data" if any(row.synthetic for row in self.rows) else ""
        return f"{self.suite}: {self.words} (protocol {self.protocol}){synthetic}"


@dataclass(frozen=True)
class Board:
    """What is shown."""

    blocks: tuple[Block, ...]
    damaged: tuple[Damaged, ...]
    notes: tuple[str, ...]


class RunsDocument(TypedDict):
    """Results in blocks, one a suite and protocol; rows of different blocks cannot be ranked together."""

    schema_version: Literal[1]
    blocks: list[Fields[Block]]
    damaged: list[Fields[Damaged]]
    notes: list[str]


def assemble(
    found: Found, *, suites: Sequence[str] = (), models: Sequence[str] = (), sort: str = "value"
) -> Board:
    """The blocks of what was found.

    Args:
        found: See `polaris_rxrx.runs.read`.
        suites: Only of these; all without any.
        models: Only models or runs named like one of these patterns (`*`, `?`); all without any.
        sort: One of `SORTS`.

    Raises:
        UsageError: There is no such order.

    >>> import json
    >>> from polaris_rxrx.runs.read import Reader
    >>> task = pr.load_task("task")
    >>> report = pr.score(task, pr.read_predictions("openphenom.csv", task)).to_dict()
    >>> _ = Path("score.json").write_text(json.dumps(report), "utf-8")
    >>> board = assemble(Reader().read([Path("score.json")]))
    >>> [(block.suite, len(block.rows)) for block in board.blocks]
    [('score', 1)]
    """
    if sort not in SORTS:
        raise UsageError(f"sort is {sort!r}; {', '.join(SORTS)} was expected")
    chosen = [
        row
        for row in found.rows
        if (not suites or row.suite in suites)
        and (not models or any(fnmatchcase(name, m) for name in (row.model, row.run) for m in models))
    ]
    held: dict[tuple[str, str], list[Row]] = {}
    for row in chosen:
        held.setdefault((row.suite, row.protocol), []).append(row)
    blocks = [
        Block(suite, protocol, rows[0].words, _names(rows), tuple(sorted(rows, key=_order(sort))))
        for (suite, protocol), rows in sorted(held.items())
    ]
    notes = []
    if len(chosen) < len(found.rows):
        notes.append(f"{len(found.rows) - len(chosen):,} of {count(len(found.rows), 'result')} not asked for")
    if found.n_others:
        notes.append(f"{count(found.n_others, 'JSON file holds', 'JSON files hold')} no results")
    if not blocks:
        notes.append("there are no results to be shown; `polaris-rxrx evaluate ... --out DIR` writes some")
    if len(blocks) > 1:
        notes.append(CLOSING)
    return Board(tuple(blocks), found.damaged, tuple(notes))


def _names(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(figure.name for row in rows for figure in row.figures))


def _order(sort: str) -> Callable[[Row], Any]:
    def value(row: Row) -> float:
        main = row.figures[0].value if row.figures else None
        return inf if main is None or not isfinite(main) else -main

    keys: dict[str, Callable[[Row], Any]] = {
        "value": lambda row: (value(row), row.run, row.path),
        "name": lambda row: (row.model, row.run, row.path),
        "time": lambda row: (_newest(row.time), row.run, row.path),
    }
    return keys[sort]


def _newest(time: str) -> tuple[int, ...]:
    return tuple(-ord(letter) for letter in time)


def cells(block: Block) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a block as text: run, model, each figure and its interval, time, hash."""
    header = ["run", "model"]
    between = {f.name for row in block.rows for f in row.figures if f.low is not None}
    for name in block.figures:
        header += [name, "95% interval"] if name in between else [name]
    rows = []
    for row in block.rows:
        of = {figure.name: figure for figure in row.figures}
        line = [row.run, row.model]
        for name in block.figures:
            figure = of.get(name, Figure(name, None))
            line.append(number(figure.value))
            if name in between:
                line.append(_interval(figure))
        rows.append([*line, row.time[:16].replace("T", " "), row.sha256[:DIGITS]])
    return [*header, "file's time", "hash"], rows


def _interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return "-"
    return f"{number(figure.low)} to {number(figure.high)}"


def to_dict(board: Board) -> RunsDocument:
    """Plain JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "blocks": [fields_of(block) for block in board.blocks],
        "damaged": [fields_of(each) for each in board.damaged],
        "notes": list(board.notes),
    }


def as_csv(board: Board) -> str:
    """One line a figure: a block has a name, its protocol, and its words.

    >>> from polaris_rxrx.runs.read import Found
    >>> as_csv(assemble(Found())).split(",")[:5]
    ['run', 'model', 'suite', 'protocol', 'figure']
    """
    lines = [(block, row, figure) for block in board.blocks for row in block.rows for figure in row.figures]
    columns: dict[str, list[Any]] = {
        "run": [row.run for _, row, _ in lines],
        "model": [row.model for _, row, _ in lines],
        "suite": [row.suite for _, row, _ in lines],
        "protocol": [row.protocol for _, row, _ in lines],
        "figure": [figure.name for *_, figure in lines],
    }
    for name in ("value", "low", "high"):
        values = [getattr(figure, name) for *_, figure in lines]
        columns[name] = ["" if value is None else float(value) for value in values]
    for name in ("time", "sha256", "path", "words"):
        columns[name] = [getattr(row, name) for _, row, _ in lines]
    columns["synthetic"] = [str(row.synthetic).lower() for _, row, _ in lines]
    return to_csv(columns)


def as_markdown(board: Board) -> str:
    """A heading and a table for each block; names stay text.

    >>> from polaris_rxrx.runs.read import Found
    >>> as_markdown(assemble(Found()))[:35]
    '- there are no results to be shown;'
    """
    parts = []
    for block in board.blocks:
        header, rows = cells(block)
        rules = ["---", "---", *["---:"] * (len(header) - 2)]
        lines = [f"### {_markdown(block.title)}", ""]
        lines += [f"| {' | '.join(map(_markdown, line))} |" for line in (header, *[rules], *rows)]
        parts.append("\n".join(lines))
    told = [f"- {_markdown(note)}" for note in (*_damaged(board), *board.notes)]
    return "\n\n".join([*parts, *(["\n".join(told)] if told else [])]) + "\n"


def _markdown(text: str) -> str:
    line = " ".join(text.split())
    for letter in "\\`*_[]|":
        line = line.replace(letter, f"\\{letter}")
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def as_html(board: Board) -> str:
    """One page that loads nothing; names stay text."""
    parts = [element("h1", "Runs")]
    for block in board.blocks:
        header, rows = cells(block)
        set_ = [[*row[:2], *map(typeset, row[2:-2]), *row[-2:]] for row in rows]
        parts += [element("h2", block.title), html_table(header, set_, left=2)]
    told = [*_damaged(board), *board.notes]
    if told:
        parts.append(element("ul", *(element("li", each) for each in told)))
    return str(_PAGE.format(escape("Runs"), Markup("\n").join(parts)))


_PAGE = Markup(
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{}</title>\n'
    '<meta name="viewport" content="width=device-width">\n<meta name="color-scheme" content="light dark">\n'
    '</head>\n<body style="font-family:system-ui,sans-serif;overflow-x:auto">\n{}\n</body>\n</html>\n'
)


def _damaged(board: Board) -> list[str]:
    return [f"{each.path}: {each.reason}" for each in board.damaged]
