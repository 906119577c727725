"""`polaris-rxrx runs [DIR...]`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli.options import FILE, json_option, note, wide_option
from polaris_rxrx.errors import DataError

if TYPE_CHECKING:
    from polaris_rxrx.runs.board import Board

CLEAR = "\x1b[2J\x1b[H"


@click.command()
@click.argument("places", type=FILE, nargs=-1, metavar="[DIR]...")
@click.option("--suite", "suites", multiple=True, metavar="NAME", help="Only this suite; may be repeated.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="PATTERN",
    help="Only models or folders named like 'run-*'; may be repeated.",
)
@click.option(
    "--sort",
    type=click.Choice(["value", "name", "time"]),
    default="value",
    show_default=True,
    help="The order of rows within a block: the main figure, the highest first; the model's name; or the "
    "file's time, the newest first.",
)
@click.option("--csv", "form", flag_value="csv", help="Print CSV, one line a figure.")
@click.option("--markdown", "form", flag_value="markdown", help="Print Markdown.")
@click.option("--html", "form", flag_value="html", help="Print one HTML page.")
@click.option("--watch", is_flag=True, help="Show the table again whenever a file changes, until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch looks.",
)
@json_option
@wide_option
def command(
    places: tuple[Path, ...],
    suites: tuple[str, ...],
    models: tuple[str, ...],
    sort: str,
    form: str | None,
    watch: bool,
    every: float,
    as_json: bool,
) -> None:
    """Set results in folders of any depth side by side, one block per protocol.

    DIR is a folder or a file, by default the working directory: what `evaluate --out`, `evaluate --json` and
    `score --json` wrote, and receipts of submissions. Rows of different protocols are never in one order. A
    damaged file is named, the others are shown, and the exit code is 1.
    """
    if form is not None and as_json:
        raise click.UsageError(f"--{form} and --json exclude each other")
    form = "json" if as_json else form
    if watch and form is not None:
        raise click.UsageError(f"--watch shows a table on the terminal; --{form} was given, too")
    from polaris_rxrx.runs.read import FIGURES, Reader

    known = (*FIGURES, "score", "receipt")
    if strange := [name for name in suites if name not in known]:
        raise click.UsageError(f"--suite {strange[0]}: expected one of {', '.join(known)}")
    chosen: dict[str, Any] = {"suites": suites, "models": models, "sort": sort}
    reader, where = Reader(), places or (Path(),)
    if watch:
        try:
            _watch(reader, where, every, chosen)
        except KeyboardInterrupt:  # the way that this ends
            return
    from polaris_rxrx.runs.board import assemble

    board = assemble(reader.read(where), **chosen)
    click.echo(_formed(board, form), nl=form not in ("csv", "markdown", "html"))
    for each in board.damaged:
        note(f"Damaged: {each.path}: {each.reason}")
    if board.damaged:
        n = len(board.damaged)
        raise DataError(f"{n:,} {'file is' if n == 1 else 'files are'} damaged; the others are shown")


def _watch(reader: Any, places: tuple[Path, ...], every: float, chosen: dict[str, Any]) -> None:
    """Show the table whenever it is another one."""
    import sys

    from polaris_rxrx.runs.board import assemble

    shown = None
    while True:
        found = reader.read(places)
        if found != shown:
            text = _as_text(assemble(found, **chosen))
            click.echo(f"{CLEAR if sys.stdout.isatty() else ''}{text}\n")
            sys.stdout.flush()
            shown = found
        time.sleep(every)


def _formed(board: Board, form: str | None) -> str:
    from polaris_rxrx.present.terminal import json_text
    from polaris_rxrx.runs import board as as_

    if form == "json":
        return json_text(as_.to_dict(board))
    if form is None:
        return _as_text(board, damaged=False)  # they are told on stderr
    return {"csv": as_.as_csv, "markdown": as_.as_markdown, "html": as_.as_html}[form](board)


def _as_text(board: Board, *, damaged: bool = True) -> str:
    from polaris_rxrx.present.terminal import notes, table, wrapped
    from polaris_rxrx.runs.board import cells

    parts = []
    for block in board.blocks:
        header, rows = cells(block)
        parts.append("\n".join([*wrapped(block.title), "", *table(header, rows, left=2)]))
    end = notes(f"{each.path}: {each.reason}" for each in board.damaged) if damaged else []
    end += notes(board.notes) if board.notes else []
    return "\n\n".join([*parts, *(["\n".join(end)] if end else [])]).rstrip()
