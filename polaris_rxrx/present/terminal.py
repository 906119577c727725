"""Text for a terminal: tables, notes and sentences that fit its width.

Conventions
    The width is the terminal's (or `$COLUMNS`), 100 where neither is known; `wide()`, which is the option
    `--wide`, lifts it. Text wraps and goes on under where it began; a word that is too long (a path, an
    address) is left whole, and so are commands that are there to be copied.
    A table that is too wide first has its heads on several lines, then the names shortened, the longest
    first; if that is not enough it goes on below, beside its rows' names again. Figures are never cut.
    Cells and sentences are one line of plain text: characters that would move the cursor, recolor the
    terminal or turn the direction of text are written as Python writes them (`\\x1b`).
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from polaris_rxrx.present.numbers import shorten

UNKNOWN = 100  # columns, where no terminal tells
NARROWEST = 40  # columns: below that nothing is readable, and lines are longer than the terminal
LEAST_NAME = 16  # characters that are left of a name
LEAST_TEXT = 30  # columns of wrapped text beside its label; else it goes below
MOST = 300  # characters of a note; --wide shows, and JSON holds, all of it
_GAP = "  "
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_WIDE: ContextVar[bool] = ContextVar("wide", default=False)


@contextmanager
def wide() -> Iterator[None]:
    """Within this nothing is wrapped, shortened or left out."""
    token = _WIDE.set(True)
    try:
        yield
    finally:
        _WIDE.reset(token)


def is_wide() -> bool:
    """Whether all is to be shown, however wide it is."""
    return _WIDE.get()


def width() -> int:
    """How many characters a line may have."""
    if is_wide():
        return sys.maxsize
    return max(NARROWEST, shutil.get_terminal_size((UNKNOWN, 24)).columns)


def plain(text: str) -> str:
    """Text without control characters but tab and line feed."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def line(text: str) -> str:
    """On one line (a message's own indented lines one after another), and plain."""
    text = "; ".join(part.strip() for part in text.split("\n  ")) if "\n  " in text else text
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


def wrapped(text: str, indent: int = 0, hang: int = 0) -> list[str]:
    """A sentence on lines of the terminal's width; all but the first are indented by `hang` more."""
    return _fill(line(text), " " * indent, indent + hang)


def labelled(rows: Iterable[Sequence[str]], *, indent: int = 0) -> list[str]:
    """Rows whose last cell is text that wraps under itself; the cells before it are labels, lined up.

    Args:
        rows: Of one length, a label at least and the text.
        indent: Blanks in front of every line.
    """
    every = [[*map(line, row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)][:-1]
    start, found = indent + sum(widths) + len(_GAP) * len(widths), []
    for *labels, text in every:
        label = " " * indent + _GAP.join(f"{cell:{w}}" for cell, w in zip(labels, widths, strict=True))
        head, hang = f"{label}{_GAP}"[:start] if start else "", start
        if start > width() - LEAST_TEXT:
            found.append(label.rstrip())
            head = " " * (hang := indent + 4)
        found += _fill(text, head, hang) or [head.rstrip()]
    return found


def _fill(text: str, head: str, hang: int) -> list[str]:
    return textwrap.wrap(
        text,
        width(),
        initial_indent=head,
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def notes(lines: Iterable[str], word: str = "Note") -> list[str]:
    """Notes behind a word, cut where they name very many."""
    return labelled([(word, cut(text)) for text in lines])


def cut(text: str, most: int = MOST) -> str:
    """Text for reading: where it is very long, its beginning, and how to see all of it."""
    if is_wide() or len(text) <= most:
        return text
    return f"{text[:most].rsplit(' ', 1)[0]} ...; --wide shows all"


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int = 1,
    names: int | None = None,
    indent: int = 0,
) -> list[str]:
    """Lines of a table.

    Args:
        header: The heads of the columns.
        rows: A cell a column.
        left: How many columns are aligned left; the others are aligned right.
        names: How many columns say what a row is; by default those on the left. They are shortened, and stand
            in every part of a table that is broken.
        indent: Blanks in front of every line.
    """
    every = [[*map(line, row)] for row in rows]
    room, names = width() - indent, left if names is None else names
    bodies = [max(map(len, column)) for column in zip(*every, strict=True)] or [0] * len(header)
    heads = [[head] for head in header]
    widths = [max(len(head), body) for head, body in zip(header, bodies, strict=True)]
    if _total(widths) > room:
        heads = [_stacked(head, body) for head, body in zip(header, bodies, strict=True)]
        widths = [max(body, *map(len, h)) for h, body in zip(heads, bodies, strict=True)]
    narrowed = _narrowed(widths, names, room)
    if _total(narrowed) <= room:
        parts = [range(names, len(widths))]
    else:
        narrowed = _narrowed(widths, names, room - len(_GAP) - max(widths[names:], default=0), only=True)
        beside = max(LEAST_NAME, room - _total(narrowed[:names]) - len(_GAP))
        narrowed[names:left] = [min(w, beside) for w in narrowed[names:left]]
        parts = _parts(narrowed, names, room)
    found: list[str] = []
    for part in parts:
        columns = [*range(names), *part]
        deep = max(len(heads[c]) for c in columns)
        raised = [[""] * (deep - len(heads[c])) + heads[c] for c in columns]
        found += [""] if found else []
        for row in [*zip(*raised, strict=True), *([row[c] for c in columns] for row in every)]:
            cells = zip(columns, row, strict=True)
            line_of = _GAP.join(_cell(text, narrowed[c], c < left) for c, text in cells)
            found.append((" " * indent + line_of).rstrip())
    return found


def _cell(text: str, columns: int, to_left: bool) -> str:
    return shorten(text, columns).ljust(columns) if to_left else text.rjust(columns)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _stacked(head: str, body: int) -> list[str]:
    """A head on lines no wider than the column's cells or its own longest word."""
    longest = max(map(len, head.split()), default=0)
    return textwrap.wrap(head, max(body, longest, 1), break_on_hyphens=False) or [""]


def _narrowed(widths: Sequence[int], names: int, room: int, *, only: bool = False) -> list[int]:
    """Widths with the names' made smaller, the widest first, until all (`only`: the names alone) fit."""
    found = list(widths)
    while _total(found[:names] if only else found) > room:
        widest = max(range(names), key=found.__getitem__, default=0)
        if names == 0 or found[widest] <= LEAST_NAME:
            break
        found[widest] -= 1
    return found


def _parts(widths: Sequence[int], names: int, room: int) -> list[range]:
    """The columns beside the names, as many at a time as there is room for."""
    parts, start = [], names
    for end in range(names + 1, len(widths) + 1):
        if end - start > 1 and _total([*widths[:names], *widths[start:end]]) > room:
            parts.append(range(start, end - 1))
            start = end - 1
    return [*parts, range(start, len(widths))]


def json_text(document: Any) -> str:
    """One strict JSON document; where what is printed is not UTF-8, as JSON should be, in ASCII."""
    import json

    stream = getattr(sys.stdout, "real_encoding", None) or getattr(sys.stdout, "encoding", None) or "utf-8"
    ascii_ = stream.lower().replace("-", "").replace("_", "") != "utf8"
    return json.dumps(document, indent=2, ensure_ascii=ascii_, allow_nan=False)
