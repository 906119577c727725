"""`polaris-rxrx submit [PREDS | submissions/NAME]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli.login import env_file_option
from polaris_rxrx.cli.options import FILE, note, task_option

if TYPE_CHECKING:
    from polaris_rxrx.submission.receipt import Receipt
    from polaris_rxrx.submission.submit import Ready


@click.command()
@click.argument("preds", type=FILE, required=False, metavar="[PREDS|submissions/NAME]")
@task_option
@click.option("--card", type=FILE, metavar="FILE", help="Take this submission card for a predictions file.")
@click.option("--owner", metavar="SLUG", help="Send it for this owner and not for the card's.")
@click.option("--init", metavar="NAME", help="Write submissions/NAME/submission.toml to fill in, and stop.")
@click.option(
    "--dry-run", is_flag=True, help="Do all but the upload, and print each request as it would be sent."
)
@click.option("--yes", is_flag=True, help="Send without asking first.")
@click.option(
    "--force", is_flag=True, help="Send even if these predictions were, or may have been, sent before."
)
@click.option("--bundle", "pack", is_flag=True, help="Pack the bundle as one archive (.tar.gz) too.")
@env_file_option
@click.option("--json", "as_json", is_flag=True, help="Print what happened as JSON, and nothing else.")
def command(
    preds: Path | None,
    task: Path,
    card: Path | None,
    owner: str | None,
    init: str | None,
    dry_run: bool,
    yes: bool,
    force: bool,
    pack: bool,
    env_file: Path | None,
    as_json: bool,
) -> None:
    """Validate, score and upload predictions, once.

    Give a folder with a submission.toml and its predictions, or a predictions file and --card. Without either
    it takes the one folder under submissions/ that has not been sent. What was sent, and how it ended, is
    kept in the folder's receipts/ and bundle/.
    """
    from polaris_rxrx.errors import PolarisRxrxError
    from polaris_rxrx.hub import upstream
    from polaris_rxrx.submission import choose, submit

    if init is not None:
        if preds is not None or card is not None:
            raise click.UsageError("--init writes a card; it takes no predictions and no other card")
        path = choose.init(init)
        click.echo(f"{path}: fill it in and put the predictions beside it")
        note(f"Next: polaris-rxrx submit {path.parent} --dry-run")
        return
    terminal = sys.stdin.isatty() and sys.stderr.isatty()
    if not (dry_run or yes or terminal):
        raise click.UsageError("there is no terminal to ask on; give --yes to send, or --dry-run to look")
    if dry_run and pack:
        raise click.UsageError("--bundle belongs to a submission that is sent, not to --dry-run")
    upstream.require()
    given = preds or choose.the_one(choose=_choose if terminal else None)
    ready = submit.make_ready(choose.locate(given, card), task, owner=owner, env_file=env_file, say=note)
    for line in submit.describe(ready):
        note(line)
    if dry_run:
        _show(ready, as_json)
        return
    sent = submit.send(
        ready,
        force=force,
        env_file=env_file,
        ask=lambda question: yes or click.confirm(question, err=True),
        say=note,
    )
    if sent is None:
        raise PolarisRxrxError("nothing was sent: the answer was no")
    _finish(ready, *sent, pack=pack, as_json=as_json)


def _choose(folders: list[Path]) -> Path:
    for number, folder in enumerate(folders, 1):
        note(f"{number:3}  {folder}")
    which: int = click.prompt("Which one", type=click.IntRange(1, len(folders)), err=True)
    return folders[which - 1]


def _show(ready: Ready, as_json: bool) -> None:
    """The requests, byte for byte."""
    from polaris_rxrx.present.terminal import json_text
    from polaris_rxrx.submission.submit import already, as_dry_run, closed

    told, shut = already(ready, note), closed(ready)
    if told is not None:
        note(f"{told}.\nWithout --force it would not be sent")
    if shut is not None:
        note(f"{shut}.\nIt would not be sent")
    if as_json:
        click.echo(json_text(as_dry_run(ready, blocked=bool(told or shut))))
        return
    for payload in ready.upload.payloads:
        click.echo(f"{payload.method} {ready.upload.hub}{payload.path}")
        click.echo(payload.body)
    note("Dry run: nothing was sent.")


def _finish(ready: Ready, path: Path, receipt: Receipt, *, pack: bool, as_json: bool) -> None:
    """Print the result first: whatever becomes of the bundle, it is on the Hub."""
    from polaris_rxrx.errors import PolarisRxrxError
    from polaris_rxrx.present.terminal import json_text
    from polaris_rxrx.submission.submit import as_sent, bundle

    if not as_json:
        click.echo(receipt.url or f"Sent to {ready.upload.hub}, which did not name the page of the result")
    written: Path | None = None
    problem: BaseException | None = None
    try:
        written = bundle(ready, path, pack=pack)
    except (PolarisRxrxError, OSError, KeyboardInterrupt) as error:
        problem = error
    if as_json:
        click.echo(json_text(as_sent(ready, path, receipt, written)))
    if problem is not None:
        note("It was sent; only the bundle could not be written:")
        raise problem
    note(f"Receipt  {path}\nBundle   {written}")
