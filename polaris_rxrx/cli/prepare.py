"""`polaris-rxrx prepare [BENCHMARK]`."""

from __future__ import annotations

import shlex
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli.options import FILE, MaybeFile, data_option, default_task, note
from polaris_rxrx.cli.outputs import Command, NewFolder

if TYPE_CHECKING:
    from polaris_rxrx.task import Manifest, Task

WITHOUT_CLIENT = (
    "polaris-lib is not installed, so the folder gets no polaris/: all but `score --official` works"
)


@click.command(cls=Command)
@click.argument("benchmark", type=MaybeFile(), required=False, metavar="[BENCHMARK]")
@click.option(
    "--out",
    type=NewFolder(),
    default=default_task,
    show_default="$POLARIS_RXRX_TASK, else task/",
    help="The folder to write.",
)
@click.option(
    "--annotations",
    type=FILE,
    metavar="CSV",
    help="Draw the benchmark from this affinity table (in nM) instead.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="The seed of the negatives that --annotations draws.  [default: 0]",
)
@click.option("--smiles", is_flag=True, help="Add standardized SMILES from the metadata.")
@click.option("--metadata", type=FILE, help="The metadata for --smiles.  [default: the one in --data]")
@click.option("--force", is_flag=True, help="Replace a folder that is already there.")
@data_option
def command(
    benchmark: str | None,
    out: Path,
    annotations: Path | None,
    seed: int | None,
    smiles: bool,
    metadata: Path | None,
    force: bool,
    data: Path,
) -> None:
    """Write the benchmark's pairs as plain files.

    BENCHMARK is a Polaris Hub id or address (default: recursion/rxrx-compound-gene-activity-benchmark) or
    the path of a saved Polaris benchmark JSON. With --annotations it is drawn from an affinity table by the
    paper's rules.
    """
    if annotations is not None and benchmark is not None:
        raise click.UsageError("give BENCHMARK or --annotations, not both")
    if annotations is None and seed is not None:
        raise click.UsageError("--seed belongs to --annotations; a benchmark from the Hub is fixed")
    if metadata is not None and not smiles:
        raise click.UsageError("--metadata belongs to --smiles")
    from polaris_rxrx.dataset.registry import locate
    from polaris_rxrx.files import new_folder
    from polaris_rxrx.hub import benchmarks
    from polaris_rxrx.task import ARTIFACT, MANIFEST

    with new_folder(out, replace=force, marker=MANIFEST) as folder:
        structures = (metadata or locate("metadata", data)) if smiles else None  # before any work
        if annotations is not None:
            drawn = _drawn(annotations, seed or 0)
            artifact = benchmarks.local_benchmark(drawn)
            task = artifact.task if artifact else drawn
            if artifact is None:
                note(WITHOUT_CLIENT)
        else:
            artifact = benchmarks.open_benchmark(benchmark or benchmarks.DEFAULT_BENCHMARK)
            task = artifact.task
        manifest = task.save(folder, smiles=_smiles(task, structures) if structures else None)
        if artifact is not None:
            (folder / ARTIFACT).mkdir()
            benchmarks.save_artifact(artifact, folder / ARTIFACT, out.resolve() / ARTIFACT)
    _tell(out, manifest)
    if artifact is not None and artifact.kind == "competition":
        from polaris_rxrx.hub.competitions import window

        times = window(artifact.specification)
        note(f"The competition takes predictions from {times}")
        if (closed := times.closed(datetime.now(timezone.utc))) is not None:
            note(f"It {closed}: submit will not send any")


def _drawn(path: Path, seed: int) -> Task:
    from polaris_rxrx.dataset.affinities import read_affinities
    from polaris_rxrx.local_task import draw_task

    task = draw_task(read_affinities(path), seed)
    if short := task.protocol["too_few_negatives"]:
        note(
            f"{len(short)} compounds have too few eligible negatives and got all of them: {', '.join(short)}"
        )
    return task


def _smiles(task: Task, metadata: Path) -> list[str]:
    from polaris_rxrx.wells.smiles import read_structures

    found = read_structures(metadata, task.treatment)
    for line in found.notes:
        note(line)
    return [found.smiles[compound] for compound in task.treatment]


def _tell(out: Path, manifest: Manifest) -> None:
    counts = manifest.counts
    labels = f", {counts['active']:,} active" if "active" in counts else ", labels kept on the Hub"
    click.echo(
        f"{out}: {counts['pairs']:,} pairs of {counts['treatments']:,} treatments and "
        f"{counts['genes']:,} genes{labels}; {counts['train']:,} training rows"
    )
    there = "" if out == default_task() else f" --task {shlex.quote(str(out))}"
    note(f"Next: fill in {out / 'sample_submission.csv'}, or polaris-rxrx baseline openphenom{there}")
