"""`polaris-rxrx verify BUNDLE`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli.options import FILE, default_task, wide_option
from polaris_rxrx.errors import DataError, MissingError

if TYPE_CHECKING:
    from polaris_rxrx.submission.verify import Verification
    from polaris_rxrx.task import Task


@click.command(no_args_is_help=True)
@click.argument("bundle", type=FILE)
@click.option(
    "--task",
    type=FILE,
    show_default="$POLARIS_RXRX_TASK, else task/",
    help="Score it again on this prepared folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print every check as JSON and nothing else.")
@wide_option
def command(bundle: Path, task: Path | None, as_json: bool) -> None:
    """Re-score a bundle and check its hashes.

    BUNDLE is a folder that `submit` wrote, or an archive of one (.tar.gz, .zip). The task is your own:
    prepare it, do not take it from whoever sent the bundle.
    """
    from polaris_rxrx.submission.verify import verify

    loaded, missing = _load(task)
    found = verify(bundle, loaded)
    click.echo(json.dumps(found.to_dict(), indent=2) if as_json else _as_text(found))
    if found.failed:
        raise DataError(
            f"{bundle}: {len(found.failed)} of {len(found.checks)} checks FAILED: "
            f"{', '.join(c.name for c in found.failed)}"
        )
    if missing is not None and not found.competition:
        raise MissingError(f"{bundle} was not scored again: {missing}", missing.command)


def _load(task: Path | None) -> tuple[Task | None, MissingError | None]:
    """The task; without one where it usually is, the hashes can be checked still."""
    from polaris_rxrx.task import load_task

    try:
        return load_task(task or default_task()), None
    except MissingError as error:
        if task is not None:
            raise
        return None, error


def _as_text(found: Verification) -> str:
    from polaris_rxrx.present.terminal import labelled, wrapped

    words = {True: "ok    ", False: "FAILED", None: "-"}
    lines = labelled([(words[c.ok], c.name, c.detail) for c in found.checks])
    return "\n".join([*wrapped(found.bundle), "", *lines])
