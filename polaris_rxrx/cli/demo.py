"""`polaris-rxrx demo [DIR]`: the main job on synthetic data."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from polaris_rxrx.cli.options import note, seed_option, wide_option
from polaris_rxrx.cli.outputs import Command, NewFolder
from polaris_rxrx.errors import UsageError

BASELINES = ("random", "cellprofiler", "openphenom")


@click.command(cls=Command)
@click.argument("folder", metavar="[DIR]", type=NewFolder("*.csv"), default=Path("polaris-rxrx-demo"))
@seed_option("Where random draws begin: a whole number; the same seed gives the same data.")
@click.option("--force", is_flag=True, help="Replace what an earlier demo left in DIR.")
@wide_option
def command(folder: Path, seed: int, force: bool) -> None:
    """Run the main job on synthetic data: prepare, three baselines, their scores.

    Writes into DIR (default: polaris-rxrx-demo). Offline, in well under a minute. The names are real, the
    numbers mean nothing.
    """
    from polaris_rxrx.dataset.sandbox import write_sandbox
    from polaris_rxrx.files import new_folder

    data, task = folder / "data", folder / "task"
    old = [path for name in BASELINES if (path := folder / f"{name}.csv").exists()]
    if old and not force:
        raise UsageError(f"{old[0]} is there already; choose another folder or replace it with --force")
    note("Synthetic data: real names, drawn numbers. Scores below say nothing about any model.")
    with new_folder(data, replace=force, marker="README.txt") as temporary:
        write_sandbox(temporary, seed=seed)
    interactions = data / "compound_gene_interactions.csv"
    _run("prepare", "--annotations", str(interactions), "--out", str(task), *(["--force"] if force else []))
    for name in BASELINES:
        out = str(folder / f"{name}.csv")
        _run("baseline", name, "--task", str(task), "--data", str(data), "--out", out)
    _run("score", str(folder / "openphenom.csv"), "--task", str(task))
    _run("compare", *(str(folder / f"{name}.csv") for name in reversed(BASELINES)), "--task", str(task))
    _table(folder, task)


def _run(*words: str) -> None:
    """Show a command as a user would type it, then run it."""
    from polaris_rxrx.cli import cli

    click.echo(f"\n$ polaris-rxrx {shlex.join(words)}")
    cli.main(args=list(words), prog_name="polaris-rxrx", standalone_mode=False)


def _table(folder: Path, task: Path) -> None:
    from polaris_rxrx.predictions import read_predictions
    from polaris_rxrx.present.terminal import wrapped
    from polaris_rxrx.scoring import score
    from polaris_rxrx.task import load_task

    loaded = load_task(task)
    click.echo(f"\n{'baseline (synthetic data)':26}{'average precision':>18}{'AUROC':>10}")
    for name in BASELINES:
        result = score(loaded, read_predictions(folder / f"{name}.csv", loaded))
        click.echo(f"{name:26}{result.pr_auc:>18.4f}{result.roc_auc:>10.4f}")
    click.echo(f"\nYour own predictions: fill in {task / 'sample_submission.csv'}, then")
    click.echo(f"  polaris-rxrx score YOURS.csv --task {shlex.quote(str(task))}")
    more = "Every other command runs on this data, too (evaluate, reproduce, report, audit, ...), after"
    click.echo("\n".join(["", *wrapped(more)]))
    click.echo(f"  cd {shlex.quote(str(folder))} && export POLARIS_RXRX_DATA=data")
