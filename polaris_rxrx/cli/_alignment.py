"""How a map is made, where it is not the card's way: `--batch`, `--controls`, `--components`, `--correct`.

Conventions: a command takes them as one dict, `alignment`: fields of `polaris_rxrx.cards.Recipe`, None where
nothing was asked for. Lists are written with commas; a name with a comma stands in double quotes.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli.options import F, offering, together
from polaris_rxrx.maps.names import CORRECTIONS

if TYPE_CHECKING:
    from polaris_rxrx.cards import Card

NAMES = ("batch", "controls", "components", "correct")
CORRECT_NOTHING = "none"


def with_recipe(card: Card, alignment: Mapping[str, Any], **changes: Any) -> Card:
    """The card with the recipe asked for.

    Raises:
        UsageError: It cannot be: components of an aligner that has none, a control without a name.
    """
    found = card.with_recipe(**alignment, **changes)
    found.recipe.alignment, found.recipe.design  # noqa: B018  # they refuse what cannot be
    return found


def _listed(text: str) -> list[str]:
    """The items of a list with commas, as a line of a CSV file has them."""
    return [item.strip() for item in next(csv.reader([text], skipinitialspace=True), [])]


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = next(csv.reader([value]), [])  # blanks may belong to a name
    if not names or "" in names:
        raise click.UsageError(f"--controls {value!r}: names with a comma between them were expected")
    return tuple(names)


def _components(ctx: click.Context, param: click.Parameter, value: str | None) -> int | float | None:
    if value is None:
        return None
    try:
        found: int | float = int(value) if value.isdecimal() else float(value)
    except ValueError:
        found = 0
    if not (found >= 1 if isinstance(found, int) else 0 < found < 1):
        raise click.UsageError(
            f"--components {value}: expected a whole number from 1, or a share of variance between 0 and 1"
        )
    return found


def _corrections(ctx: click.Context, param: click.Parameter, value: str | None) -> Sequence[str] | None:
    if value is None:
        return None
    if value == CORRECT_NOTHING:
        return ()
    names = _listed(value)
    for i, name in enumerate(names):
        if name not in CORRECTIONS or name in names[:i]:
            wrong = "there twice" if name in CORRECTIONS else "no correction"
            raise click.UsageError(
                f"--correct {value}: {name!r} is {wrong}; "
                f"there are {', '.join(CORRECTIONS)}, or {CORRECT_NOTHING} alone"
            )
    if not names:
        raise click.UsageError(f"--correct: expected some of {', '.join(CORRECTIONS)}, or {CORRECT_NOTHING}")
    return tuple(names)


_DESIGN = [
    click.option(
        "--batch",
        metavar="experiment|plate|COLUMN",
        shell_complete=offering("experiment", "plate"),
        help="What wells are aligned in, instead of the card's way: their experiment (of a dataset: its "
        "batch), their plate, or the wells with one cell in this column of the metadata.  [default: "
        "experiment]",
    ),
    click.option(
        "--controls",
        metavar="NAME[,NAME]",
        callback=_names,
        help="The perturbations whose wells are the control wells of the alignment; they have no row in "
        "the map.  [default: EMPTY_control, or the dataset's negative controls]",
    ),
]
_ALIGNED = [
    click.option(
        "--components",
        metavar="N|SHARE",
        callback=_components,
        help="How many principal components pca-cs and tvn keep: a number, or the share of the control "
        "wells' variance that is kept, such as 0.95.  [default: all]",
    ),
    click.option(
        "--correct",
        metavar="WHAT[,WHAT]",
        callback=_corrections,
        shell_complete=offering(*CORRECTIONS, CORRECT_NOTHING),
        help="Corrections, instead of the card's: well-position (from each well, before the alignment, "
        "the mean of all wells at its address, over all plates), chromosome-arm (of the map; wants "
        "--gene-arms, which alone asks for it, too), or none.",
    ),
]


def alignment_options(function: F) -> F:
    """Options that change a card's recipe; the command takes them as `alignment`."""
    return together("alignment", NAMES, [*_DESIGN, *_ALIGNED])(function)


def design_options(function: F) -> F:
    """`--batch` and `--controls` alone; the command takes them as `design`."""
    return together("design", NAMES[:2], _DESIGN)(function)
