"""`polaris-rxrx summarize TABLE --out FILE`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli._alignment import design_options
from polaris_rxrx.cli._datasets import dataset_option, provenance_of, wells_of
from polaris_rxrx.cli._source import METADATA
from polaris_rxrx.cli.options import (
    FILE,
    TABLE,
    Bar,
    data_option,
    effort_options,
    features_option,
    note,
    reading_options,
)
from polaris_rxrx.cli.outputs import NEW_FILE, Command
from polaris_rxrx.errors import UsageError

if TYPE_CHECKING:
    from polaris_rxrx.parallel import Effort

MARKER = "polaris-rxrx-parts.txt"


@click.command(cls=Command, no_args_is_help=True)
@click.argument("table", type=TABLE, metavar="TABLE")
@click.option(
    "--out", type=NEW_FILE, required=True, metavar="FILE", help="Where to write, as NAME.summary.parquet."
)
@data_option
@click.option("--metadata", type=FILE, help=METADATA)
@dataset_option
@features_option
@reading_options
@design_options
@effort_options
@click.option("--allow-missing-wells", is_flag=True, help="Summarize without wells that have no embedding.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on where an earlier run of the same was stopped: what it had finished is in FILE.parts.",
)
def command(
    table: Path,
    out: Path,
    data: Path,
    metadata: Path | None,
    dataset: str,
    features: tuple[str, ...],
    reading: dict[str, Any],
    design: dict[str, Any],
    effort: Effort,
    allow_missing_wells: bool,
    resume: bool,
) -> None:
    """Reduce a table of any size to what maps are made of, in one pass and bounded memory.

    TABLE is what --embeddings takes: a file, a folder of files, a glob in quotes, or parquet at
    https://HOST/FILE or s3://BUCKET/PREFIX. What is written, sums by
    perturbation and control wells of each experiment, is far smaller than the table, and stands for it as
    --embeddings of `baseline`, `evaluate`, `neighbors` and `enrichment`, with any aligner.
    """
    from dataclasses import replace

    from polaris_rxrx.cards import Recipe
    from polaris_rxrx.maps.collect import collect
    from polaris_rxrx.maps.summary_file import save_summary
    from polaris_rxrx.wells.reading import Choices, finished, open_

    if out.suffix != ".parquet":
        raise UsageError(
            f"--out {out}: a summary is a parquet file; a name such as x.summary.parquet was expected"
        )
    wanted = Recipe(**{name: value for name, value in design.items() if value is not None})
    choices = Choices(design=wanted.design, allow_missing=allow_missing_wells, features=features, **reading)
    parts = parts_folder(out, resume=resume)
    try:
        with Bar(str(table)) as bar, effort.at_work() as who:
            if address := getattr(who, "dashboard", ""):
                note(f"Dask's dashboard: {address}")
            opened = open_(wells_of(dataset, metadata, data, wanted.design), table, choices, who)
            collected = collect(
                opened,
                max_memory=effort.max_memory,
                workers=who,
                parts=parts,
                layer=choices.layer,
                ids=None if choices.ids is None else Path(choices.ids),
                progress=bar.step,
            )
            found = finished(collected, choices, hashed=True, progress=bar.step)
            found = replace(found, provenance={**found.provenance, **provenance_of(dataset)})
            save_summary(found, out, progress=bar.step)
    except BaseException:
        if not any(parts.glob("*.npz")):
            shutil.rmtree(parts)
        raise
    shutil.rmtree(parts)
    for line in found.notes:
        note(line)
    click.echo(
        f"{out}: {int(found.group_wells.sum()):,} wells of {len(set(found.group_batch.tolist())):,} "
        f"experiments, {len(found.features):,} features"
    )


def parts_folder(out: Path, *, resume: bool) -> Path:
    """Where a run keeps what it has finished, with that of an earlier one only if it goes on with it.

    Raises:
        UsageError: The folder is there and not of this command's making.
    """
    folder = out.with_name(f"{out.name}.parts")
    if folder.exists():
        if not (folder / MARKER).is_file():
            raise UsageError(f"{folder} is there and holds no {MARKER}; move it away")
        if not resume:
            shutil.rmtree(folder)
        else:
            note(f"Going on with {sum(1 for _ in folder.glob('*.npz')):,} finished parts in {folder}")
    elif resume:
        note(f"{folder} is not there: nothing to go on with, so this begins anew")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(
        "Finished parts of a summary; `polaris-rxrx summarize` removes them when it is whole.\n",
        encoding="utf-8",
        newline="",
    )
    return folder
