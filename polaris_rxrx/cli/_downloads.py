"""What commands that download share: how a licence is asked about, and bars for the files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli.options import note, on_terminal

if TYPE_CHECKING:
    from polaris_rxrx.dataset.download import Ask, Licence
    from polaris_rxrx.dataset.transfer import Progress


def can_ask() -> bool:
    """Whether there is somebody who can read a question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def asking(accept_licence: bool) -> Ask | None:
    """Who is asked about a licence: nobody if it is accepted already, None if nobody can be."""
    if accept_licence:
        return _accepted
    return _show_and_ask if can_ask() else None


def _accepted(licence: Licence) -> bool:
    note(f"Accepted by --accept-licence: {licence.of}'s licence, {licence.page}")
    return True


def _show_and_ask(licence: Licence) -> bool:
    if sys.stdout.isatty():
        click.echo_via_pager(licence.text)
    else:
        note(licence.text)
    return click.confirm(f"Do you accept {licence.of}'s licence ({licence.page})?", default=False, err=True)


@contextmanager
def bars() -> Iterator[Progress]:
    """A bar a file where someone is looking. Started with the first byte: before, there may be a question."""
    if not on_terminal():
        yield lambda name, done, total: None
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (
        "{task.description}",
        rich.BarColumn(),
        rich.DownloadColumn(),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
    )
    bars = rich.Progress(*columns, console=Console(stderr=True))
    tasks: dict[str, rich.TaskID] = {}
    with ExitStack() as stack:

        def show(name: str, done: int, total: int | None) -> None:
            if not tasks:
                stack.enter_context(bars)
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done)

        yield show
