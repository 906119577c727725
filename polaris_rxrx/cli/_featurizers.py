"""What `polaris-rxrx featurize` can make features with: names, whose option is whose, and how each is made.

To add one: a function in `_MAKE` that takes the options by their names and gives a featurizer
(`polaris_rxrx.featurize.featurizer`), its options in `featurizer_options`, and in `BELONGS` whose they are.
What it stands on is imported inside the function, for `--help` imports this module.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli.options import FILE, F, note

if TYPE_CHECKING:
    from polaris_rxrx.featurize.featurizer import Featurizer
    from polaris_rxrx.images.sites import ImageSet

FUNCTION = "MODULE:FUNCTION"
CELLPROFILER = "cellprofiler"
OPENPHENOM = "openphenom"
# Options that some featurizers alone understand.
BELONGS: dict[str, tuple[str, ...]] = {
    "accept_licence": (OPENPHENOM,),
    "batch_size": (FUNCTION, OPENPHENOM),
    "border": (CELLPROFILER,),
    "cell_threshold": (CELLPROFILER,),
    "cells": (CELLPROFILER,),
    "check_against": (OPENPHENOM,),
    "costes": (CELLPROFILER,),
    "device": (OPENPHENOM,),
    "diameter": (CELLPROFILER,),
    "illumination": (CELLPROFILER,),
    "mended": (FUNCTION,),
    "model": (OPENPHENOM,),
    "nuclei": (CELLPROFILER,),
    "objects": (CELLPROFILER,),
    "revision": (OPENPHENOM,),
    "split": (CELLPROFILER,),
    "threshold": (CELLPROFILER,),
    "trust_remote_code": (OPENPHENOM,),
}


def _function(how: str, options: dict[str, Any]) -> Featurizer:
    from polaris_rxrx.featurize.function import Function

    batch = options["batch_size"]
    found = Function.find(how, **({} if batch is None else {"batch_size": batch}))
    note(f"{how} is that of {found.where}")
    return found


def _cellprofiler(how: str, options: dict[str, Any]) -> Featurizer:
    from polaris_rxrx.featurize.cellprofiler import CellProfiler
    from polaris_rxrx.featurize.segment import Segmentation

    asked = ("nuclei", "cells", "threshold", "cell_threshold", "split", "border")
    told = {name: options[name] for name in asked if options[name] is not None}
    if options["diameter"] is not None:
        told["diameter"], told["unit"] = options["diameter"]
    return CellProfiler(
        Segmentation(**told),
        costes=options["costes"],
        objects=options["objects"],
        illumination=options["illumination"] or "",
    )


def _openphenom(_: str, options: dict[str, Any]) -> Featurizer:
    from polaris_rxrx.cli._openphenom import make

    return make(options)


_MAKE: dict[str, Callable[[str, dict[str, Any]], Featurizer]] = {
    CELLPROFILER: _cellprofiler,
    OPENPHENOM: _openphenom,
    FUNCTION: _function,
}
NAMES = tuple(_MAKE)


def kind_of(how: str) -> str:
    """The kind of featurizer that a word of the command line names.

    Raises:
        click.UsageError: There is none of that name.
    """
    if ":" in how:
        return FUNCTION
    if how in _MAKE:
        return how
    near = get_close_matches(how, [n for n in NAMES if n != FUNCTION], 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise click.UsageError(f"{how!r} is no featurizer: {' or '.join(NAMES)} was expected{hint}")


def refuse_strangers(context: click.Context, kind: str) -> None:
    """Refuse options that the featurizer asked for would not look at."""
    for name, owners in BELONGS.items():
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and kind not in owners:
            raise click.UsageError(
                f"--{name.replace('_', '-')} belongs to {' and '.join(owners)}; {kind} has no use for it"
            )


def make(how: str, options: dict[str, Any]) -> Featurizer:
    """The featurizer that a word of the command line names, with its options."""
    return _MAKE[kind_of(how)](how, options)


def look(featurizer: Featurizer, images: ImageSet, options: dict[str, Any]) -> None:
    """What a featurizer says of images, and tries on a few of them, before the work begins."""
    if featurizer.name == OPENPHENOM:
        from polaris_rxrx.cli._openphenom import look

        look(featurizer, images, options["check_against"])


def featurizer_options(function: F) -> F:
    """The options of all featurizers; the command takes them by their names, in `**options`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def _diameters(
    _: click.Context, __: click.Parameter, value: str | None
) -> tuple[tuple[float, float], str] | None:
    """`6,40` and `6,40um` are micrometers, `8,80px` pixels."""
    if value is None:
        return None
    text, unit = value.strip(), "um"
    for end in ("um", "px"):
        if text.endswith(end):
            text, unit = text.removesuffix(end), end
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r}: two numbers were expected, as in 6,40 or 8,80px") from None
    return (low, high), unit


def _threshold(_: click.Context, __: click.Parameter, value: str | None) -> str | float | None:
    """A number where it is one; what else there is, `Segmentation` knows."""
    try:
        return value if value is None else float(value)
    except ValueError:
        return value


_OPTIONS: list[Callable[[Any], Any]] = [
    click.option(
        "--nuclei",
        metavar="CHANNEL",
        help="cellprofiler: the channel that shows nuclei.  [default: Hoechst]",
    ),
    click.option(
        "--cells",
        metavar="CHANNEL",
        help="cellprofiler: the channel in which cells end.  [default: the mean of all but the nuclei's]",
    ),
    click.option(
        "--diameter",
        callback=_diameters,
        metavar="LEAST,GREATEST",
        help="cellprofiler: diameters of nuclei in micrometers, or in pixels, as in 8,80px.  [default: 6,40]",
    ),
    click.option(
        "--threshold",
        callback=_threshold,
        metavar="HOW",
        help="cellprofiler: where nuclei begin: otsu, cross-entropy, otsu-3, or a number from 0 to 1.  "
        "[default: otsu]",
    ),
    click.option(
        "--cell-threshold",
        callback=_threshold,
        metavar="HOW",
        help="cellprofiler: where cells begin, in the same words.  [default: otsu-3]",
    ),
    click.option(
        "--split",
        type=click.Choice(["shape", "intensity", "none"]),
        help="cellprofiler: what parts nuclei that touch.  [default: shape]",
    ),
    click.option(
        "--border", is_flag=True, default=None, help="cellprofiler: keep nuclei at a field's border, too."
    ),
    click.option(
        "--illumination",
        type=click.Choice(["mean", "median"]),
        help="cellprofiler: divide by each plate's uneven illumination, estimated so from up to 64 wells.  "
        "[default: do not]",
    ),
    click.option("--costes", is_flag=True, help="cellprofiler: Costes' correlations, too, which take long."),
    click.option(
        "--objects", is_flag=True, help="cellprofiler: a table of all cells, too, in the folder objects."
    ),
    click.option(
        "--batch-size",
        type=click.IntRange(min=1),
        metavar="N",
        help=f"How many sites {FUNCTION} is given at once, or crops of 256x256 pixels OpenPhenom is.  "
        "[default: 32; of OpenPhenom what the memory takes]",
    ),
    click.option(
        "--mended",
        is_flag=True,
        help=f"With --resume, keep the parts that {FUNCTION} made before its file was changed.",
    ),
    click.option(
        "--model",
        metavar="DIR|OWNER/NAME",
        help="openphenom: a folder with the model, or its repository on Hugging Face, fetched once.  "
        "[default: recursionpharma/OpenPhenom]",
    ),
    click.option(
        "--revision",
        metavar="COMMIT",
        help="openphenom: the commit of the repository, 40 digits.  [default: the one this was built for]",
    ),
    click.option(
        "--accept-licence", is_flag=True, help="openphenom: accept the model's licence without being asked."
    ),
    click.option(
        "--trust-remote-code",
        is_flag=True,
        help="openphenom: run the model's own Python files without being asked.",
    ),
    click.option(
        "--device",
        type=click.Choice(("auto", "cpu", "cuda")),
        default="auto",
        show_default=True,
        help="openphenom: where the model runs; auto is a GPU where there is one.",
    ),
    click.option(
        "--check-against",
        type=FILE,
        metavar="TABLE",
        help="openphenom: first compare a dozen wells with this table of published embeddings, and stop "
        "unless every cosine is above 0.99.",
    ),
]
