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
    from polaris_rxrx.hub.artifact import Artifact
    from polaris_rxrx.task import Manifest, Task


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
    from polaris_rxrx.task import ARTIFACT, MANIFEST

    with new_folder(out, replace=force, marker=MANIFEST) as folder:
        structures = (metadata or locate("metadata", data)) if smiles else None  # before any work
        artifact: Artifact | None
        if annotations is not None:
            task = _drawn(annotations, seed or 0)
            artifact = _as_artifact(task)
            task = artifact.task if artifact else task
        else:
            from polaris_rxrx.hub.benchmarks import DEFAULT_BENCHMARK, open_benchmark

            artifact = open_benchmark(benchmark or DEFAULT_BENCHMARK)
            task = artifact.task
        manifest = task.save(folder, smiles=_smiles(task, structures) if structures else None)
        if artifact is not None:
            from polaris_rxrx.hub.benchmarks import save_artifact

            (folder / ARTIFACT).mkdir()
            save_artifact(artifact, folder / ARTIFACT, out.resolve() / ARTIFACT)
    _tell(out, manifest)
    if artifact is not None and artifact.kind == "competition":
        from polaris_rxrx.hub.competitions import window

        times = window(artifact.specification)
        note(f"The competition takes predictions from {times}")
        if (closed := times.closed(datetime.now(timezone.utc))) is not None:
            note(f"It {closed}: submit will not send any")


def _drawn(path: Path, seed: int) -> Task:
    from polaris_rxrx.dataset.affinities import draw_task, read_affinities

    task = draw_task(read_affinities(path), seed)
    if short := task.protocol["too_few_negatives"]:
        note(
            f"{len(short)} compounds have too few eligible negatives and got all of them: {', '.join(short)}"
        )
    return task


def _as_artifact(task: Task) -> Artifact | None:
    """The task as a Polaris artifact, for `score --official`; None, and said, where polaris-lib is not."""
    from polaris_rxrx.hub import upstream

    if not upstream.is_installed():
        note("polaris-lib is not installed, so the folder gets no polaris/: all but `score --official` works")
        return None
    from polaris_rxrx.hub.benchmarks import make_benchmark

    assert task.artifact_id is not None
    return make_benchmark(
        task,
        name=task.artifact_id.partition("/")[2],
        description="Compound-gene activity pairs drawn from an affinity table as in arXiv 2503.20158",
    )


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
