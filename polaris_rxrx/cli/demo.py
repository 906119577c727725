"""`polaris-rxrx demo [DIR]`: the main job on synthetic data."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from polaris_rxrx.cli.options import Bar, note, seed_option, wide_option
from polaris_rxrx.cli.outputs import Command, NewFolder
from polaris_rxrx.errors import UsageError

BASELINES = ("random", "cellprofiler", "openphenom")
# From images to a score, in the demo's folder.
ON_IMAGES = (
    ("view", "gene-007_1_AA24", "--images", "images/data", "--outlines", "--out", "well.png"),
    ("featurize", "cellprofiler", "--images", "images/data", "--out", "features"),
    ("prepare", "--annotations", "images/compound_gene_interactions.csv", "--out", "images-task"),
    ("baseline", "cellprofiler", "--embeddings", "features", "--data", "images", "--task", "images-task")
    + ("--out", "from-images.csv"),
    ("score", "from-images.csv", "--task", "images-task"),
)


@click.command(cls=Command)
@click.argument("folder", metavar="[DIR]", type=NewFolder("*.csv"), default=Path("polaris-rxrx-demo"))
@seed_option("Where random draws begin: a whole number; the same seed gives the same data.")
@click.option(
    "--images",
    is_flag=True,
    help="Also draw two plates with images, into DIR/images: for view and featurize (a minute, 3 MB).",
)
@click.option("--force", is_flag=True, help="Replace what an earlier demo left in DIR.")
@wide_option
def command(folder: Path, seed: int, images: bool, force: bool) -> None:
    """Run the main job on synthetic data: prepare, three baselines, their scores.

    Writes into DIR (default: polaris-rxrx-demo). Offline, in well under a minute. The names are real, the
    numbers mean nothing. With --images, an earlier demo in DIR gets images and keeps what it has; what to do
    with them is told in docs/images.md.
    """
    from polaris_rxrx.dataset.registry import is_made_up
    from polaris_rxrx.dataset.sandbox import write_sandbox
    from polaris_rxrx.files import new_folder

    data, task = folder / "data", folder / "task"
    old = [path for name in BASELINES if (path := folder / f"{name}.csv").exists()]
    if old and not force and images and is_made_up(data):
        _draw_plates(folder / "images", seed, force)
        _next(folder)
        return
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
    if images:
        click.echo()
        _draw_plates(folder / "images", seed, force)
        _next(folder)


def _draw_plates(folder: Path, seed: int, force: bool) -> None:
    """Two plates of wells with images, and what they are scored by."""
    from polaris_rxrx.dataset.sandbox_plates import write_plates
    from polaris_rxrx.files import new_folder

    with new_folder(folder, replace=force, marker="README.txt") as temporary, Bar("images") as bar:
        plates = write_plates(temporary, seed=seed, step=bar.step)
    click.echo(f"{folder}: {plates.wells:,} wells with images of six channels, synthetic, on two plates")


def _next(folder: Path) -> None:
    """The commands that the drawn plates are for."""
    click.echo(f"\nFrom images to a score (extra images), after cd {shlex.quote(str(folder))}:")
    for words in ON_IMAGES:
        click.echo(f"  polaris-rxrx {shlex.join(words)}")


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
