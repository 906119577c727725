"""`polaris-rxrx featurize HOW --images WHERE --out DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli._featurizers import (
    CELLPROFILER,
    OPENPHENOM,
    featurizer_options,
    kind_of,
    look,
    make,
    refuse_strangers,
)
from polaris_rxrx.cli._images import Images, image_options
from polaris_rxrx.cli.options import FILE, Bar, note, offering
from polaris_rxrx.cli.outputs import Command, NewFolder
from polaris_rxrx.errors import DataError, some

if TYPE_CHECKING:
    from polaris_rxrx.featurize.check import Trial
    from polaris_rxrx.featurize.engine import Report
    from polaris_rxrx.featurize.featurizer import Featurizer
    from polaris_rxrx.images.sites import ImageSet


@click.command(cls=Command, no_args_is_help=True)
@click.argument("how", metavar="HOW", shell_complete=offering(CELLPROFILER, OPENPHENOM))
@image_options
@click.option(
    "--out", type=NewFolder(), metavar="DIR", help="The folder to make, which --embeddings takes as it is."
)
@click.option(
    "--wells",
    type=FILE,
    metavar="FILE",
    help="Only these wells: a table with well_id, or one id on each line.  [default: all that have images]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many processes measure wells.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Let the workers of a Dask cluster do it: its scheduler's address, such as tcp://host:8786, or "
    "local for --workers of one's own (extra distributed).",
)
@click.option("--resume", is_flag=True, help="Go on where an earlier run of the same was stopped.")
@click.option(
    "--check",
    is_flag=True,
    help="Try it on a dozen wells, say what it gives, how long all would take and what is wrong, and stop.",
)
@click.option("--json", "as_json", is_flag=True, help="With --check, print JSON and nothing else.")
@featurizer_options
@click.pass_context
def command(
    context: click.Context,
    /,
    how: str,
    source: Images,
    out: Path | None,
    wells: Path | None,
    workers: int,
    scheduler: str | None,
    resume: bool,
    check: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Make features of images, one row a well, as --embeddings of other commands takes them.

    HOW is MODULE:FUNCTION, a function of your own: a batch of images (B, C, H, W) to floats (B, D), averaged
    over the sites of a well. Its module is looked for in the working directory, then among what is installed.
    Or it is openphenom: 384 features by Recursion's model, which is fetched once (extra openphenom).
    Or it is cellprofiler: nuclei, cells and cytoplasm are found and measured, and a well has the medians of
    its cells (extra images).
    """
    kind = kind_of(how)
    refuse_strangers(context, kind)
    if as_json and not check:
        raise click.UsageError("--json belongs to --check; features are written into --out")
    if out is None and not check:
        raise click.UsageError("Missing option '--out'; or --check, which writes nothing, was expected")
    if options["mended"] and not resume:
        raise click.UsageError("--mended belongs to --resume")
    from polaris_rxrx.featurize.engine import featurize
    from polaris_rxrx.parallel import Effort

    opened = source.open(wells)
    featurizer = make(how, options)
    look(featurizer, opened, options)
    if check:
        _try(how, opened, featurizer, workers, as_json)
        return
    assert out is not None
    with Bar(how) as bar, Effort(workers=workers, scheduler=scheduler).at_work() as who:
        if address := getattr(who, "dashboard", ""):
            note(f"Dask's dashboard: {address}")
        report = featurize(
            opened,
            featurizer,
            out,
            workers=who,
            resume=resume,
            mended=options["mended"],
            progress=bar.step,
        )
    _tell(out, report)


def _try(how: str, images: ImageSet, featurizer: Featurizer, workers: int, as_json: bool) -> None:
    """Try a featurizer on a few wells and say what it did.

    Raises:
        DataError: Something is wrong with it.
    """
    from polaris_rxrx.featurize.check import check
    from polaris_rxrx.present.terminal import json_text

    with Bar(how) as bar:
        found = check(images, featurizer, workers=workers, progress=bar.step)
    click.echo(json_text(found.to_dict()) if as_json else _as_text(found))
    if found.problems:
        n = len(found.problems)
        things = "1 thing looks" if n == 1 else f"{n} things look"
        raise DataError(f"{how}: {things} wrong; nothing was written")


def _as_text(found: Trial) -> str:
    from polaris_rxrx.limits import size_text
    from polaris_rxrx.present.terminal import labelled

    told = {"wells": f"{len(found.wells):,} of {found.n_wells:,}, from {found.wells[0]} to {found.wells[-1]}"}
    if found.n_rows is not None:
        told["gives"] = f"{found.n_rows:,} rows of {found.n_features:,} features ({found.kind})"
        told["no value"] = f"{found.n_absent:,} features in some of the wells"
        told["constant"] = f"{found.n_constant:,} features the same in all of the wells"
    if found.repeated is not None:
        told["twice"] = _apart(found.repeated)
    if found.alone is not None:
        told["by itself"] = f"{_apart(found.alone)} as among others"
    for channel, value in found.channels.items():
        told[f"without {channel}"] = (
            "nothing changes" if value == 0 else "other features" if value == float("inf") else
            f"features change by up to {value:.2g} of their scale"
        )  # fmt: skip
    if found.seconds is not None:
        told["loading"] = f"{found.loading:.1f} s"
        told["a well"] = f"{found.seconds:.3g} s"
        assert found.hours is not None
        told["all wells"] = f"{_duration(found.hours)}, with {found.workers:,} at work"
    if found.memory is not None:
        told["memory"] = size_text(found.memory)
    if found.gpu_memory is not None:
        told["memory of the GPU"] = size_text(found.gpu_memory)
    lines = labelled(told.items())
    if found.faults:
        lines += ["", "Images at fault:", *(f"- {fault}" for fault in found.faults)]
    if found.problems:
        return "\n".join([*lines, "", "Looks wrong:", *(f"- {problem}" for problem in found.problems)])
    return "\n".join([*lines, "", "Nothing looks wrong. Nothing was written."])


def _duration(hours: float) -> str:
    """Hours in the unit that suits them."""
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} seconds"
    return f"{hours * 60:.1f} minutes" if hours < 1 else f"{hours:,.1f} hours"


def _apart(value: float) -> str:
    if value == 0:
        return "the same bits"
    return "other rows" if value == float("inf") else f"differs by up to {value:.1g} of a feature's scale"


def _tell(out: Path, report: Report) -> None:
    """What was made, and what was wrong with it."""
    for line in report.notes:
        note(f"{out}: {line}")
    for table, names in report.dropped.items():
        note(
            f"{out}: features{f' of {table}' if table else ''} without a value in any well were left out, "
            f"{len(names):,}: {some(names)}"
        )
    if report.kinds:
        told = ", ".join(f"{kind} ({n:,})" for kind, n in report.kinds.items())
        note(f"{out}: wells with faulty images, which faults.csv lists, {report.n_faulty:,}: {told}")
    if report.without:
        note(f"{out}: wells without a row, {len(report.without):,}: {some(report.without)}")
    n = report.n_wells - len(report.without)
    click.echo(f"{out}: {n:,} wells, {report.n_features:,} features, in {report.n_parts:,} parts")
