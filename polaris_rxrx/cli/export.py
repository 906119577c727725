"""`polaris-rxrx export biomlbench|mle-bench --out DIR`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from polaris_rxrx.cli.options import note, task_option
from polaris_rxrx.cli.outputs import Command, NewFolder


@click.command(cls=Command, no_args_is_help=True)
@click.argument("framework", type=click.Choice(["biomlbench", "mle-bench"]))
@click.option("--out", type=NewFolder(), metavar="DIR", required=True, help="Write this folder.")
@click.option("--force", is_flag=True, help="Replace an export that is there already.")
@task_option
def command(framework: str, out: Path, force: bool, task: Path) -> None:
    """Write the task as a benchmark framework takes it.

    DIR gets prepared/public (train, test_features, sample_submission), prepared/private (the answers),
    description.md and a grade.py that needs numpy and pandas alone and gives what `polaris-rxrx score` gives.
    A file handed in there, `id,active`, is a predictions file for every command here.
    """
    from polaris_rxrx.export.folder import FRAMEWORKS, MARKER, write_export
    from polaris_rxrx.files import new_folder
    from polaris_rxrx.task import load_task

    loaded = load_task(task)
    with new_folder(out, replace=force, marker=MARKER) as folder:
        name = write_export(loaded, framework, folder)
    counts = loaded.counts()
    click.echo(
        f"{out}: {counts['pairs']:,} pairs of {counts['treatments']:,} treatments and "
        f"{counts['genes']:,} genes, {counts['train']:,} training rows; {framework} knows it as {name}"
    )
    if counts["unlabelled"]:
        note(f"{counts['unlabelled']:,} pairs have no label: they are asked for, and do not count")
    kept = FRAMEWORKS[framework]
    place = f"{kept.package}/{kept.tasks}/{name.rpartition('/')[2]}"
    then = f"then biomlbench prepare -t {name}"
    if framework == "mle-bench":  # its own prepare begins with a download from Kaggle
        then = f"and {shlex.quote(str(out / 'prepared'))} into {name}/ of MLE-bench's data folder"
    note(f"Next: cp -r {shlex.quote(str(out))} {place}, {then}")
