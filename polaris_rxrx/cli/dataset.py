"""`polaris-rxrx dataset list|check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli._datasets import ScreenName
from polaris_rxrx.cli.options import FILE, data_option, json_option, wide_option
from polaris_rxrx.errors import DataError

if TYPE_CHECKING:
    from polaris_rxrx.wells.check import Understood

SHOWN = 10  # problems


@click.group(no_args_is_help=True)
def command() -> None:
    """List dataset cards, or say what a card makes of the files at hand."""


@command.command("list", short_help="List the dataset cards that come along.")
@json_option
@wide_option
def list_(as_json: bool) -> None:
    """List the dataset cards that come along: their files, sizes and licences."""
    from polaris_rxrx.dataset.download import told_size
    from polaris_rxrx.dataset.screens import Screens, load_screen, screen_names
    from polaris_rxrx.present.terminal import json_text, wrapped

    screens = [load_screen(name) for name in screen_names()]
    if as_json:
        click.echo(json_text(Screens(datasets=tuple(screens)).model_dump(mode="json")))
        return
    lines = []
    for screen in screens:
        lines += ["", f"{screen.name}  {screen.title}"]
        for file in screen.files:
            lines.append(f"  {file.name}  {told_size(file)}")
        lines += [f"  {line}" for line in wrapped(f"{screen.licence} ({screen.page})", indent=2)]
    click.echo("\n".join(lines[1:]))


@command.command(short_help="Say what a card makes of the files at hand.")
@click.argument("card", type=ScreenName(), metavar="NAME|FILE.toml")
@data_option
@click.option(
    "--metadata", type=FILE, help="The table with a row a well.  [default: the card's file in --data]"
)
@click.option(
    "--embeddings",
    type=FILE,
    help="A table of features, as a sample.  [default: the first of the card's profiles in --data, if any]",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, with all that looks wrong, and nothing else."
)
def check(card: str, data: Path, metadata: Path | None, embeddings: Path | None, as_json: bool) -> None:
    """Read a dataset's tables, and a sample of its features, as its card says, and tell what was understood.

    The first ten things that look wrong are shown. Where the wells cannot be read at all, the exit code is 1.
    """
    from polaris_rxrx.dataset.screens import load_screen
    from polaris_rxrx.present.terminal import json_text
    from polaris_rxrx.wells.check import check_screen

    found = check_screen(load_screen(card), data, wells=metadata, embeddings=embeddings)
    click.echo(json_text(found.to_dict()) if as_json else _as_text(found))
    if not found.could_read:
        raise DataError(f"{found.dataset}: its wells cannot be read")


def _as_text(found: Understood) -> str:
    lines = []
    if found.could_read:
        understood = _understood(found)
        width = max(map(len, understood))
        lines = [f"{what:{width}}  {told}" for what, told in understood.items()]
    if found.problems:
        lines += ["", "Looks wrong:", *(f"- {problem}" for problem in found.problems[:SHOWN])]
        if more := len(found.problems) - SHOWN:
            lines += [f"- and {more:,} more (--json shows all)"] if more > 0 else []
    elif found.could_read:
        lines += ["", "Nothing looks wrong."]
    return "\n".join(lines if lines[0] else lines[1:])


def _understood(found: Understood) -> dict[str, str]:
    out = "; ".join(f"{n:,}: {reason}" for reason, n in found.left_out.items())
    assert found.controls_a_batch is not None
    least, middle, most = found.controls_a_batch
    told = {
        "wells": f"{found.wells:,}{f' (left out: {out})' if out else ''}",
        "batches": f"{found.batches:,}{'' if found.plates is None else f', {found.plates:,} plates'}",
        "a batch": f"{least:,.0f} to {most:,.0f} negative controls, median {middle:,.0f}",
    }
    for kind, counts in found.controls.items():
        told[f"{kind} controls"] = ", ".join(f"{name} ({n:,} wells)" for name, n in counts.items())
    for side, n in found.perturbations.items():
        told[side] = f"{n:,} {'genes' if side == 'CRISPR' else 'compounds'}"
    if found.blinded:
        told["CRISPR"] += f", {found.blinded:,} of them blinded"
    if found.doses:
        told["doses"] = f"{', '.join(f'{d:g}' for d in found.doses[:12])} uM"
    if (f := found.features) is not None:
        told["features"] = (
            f"{f['features']:,} in {f['file']}: {f['rows']:,} rows, {f['rows_of_wells']:,} of wells"
        )
    return told
