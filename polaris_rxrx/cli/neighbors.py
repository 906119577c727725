"""`polaris-rxrx neighbors NAME`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli._inputs import (
    aliases_option,
    annotations_option,
    check_folder,
    relations_option,
    write_results,
)
from polaris_rxrx.cli._source import Source, source_options
from polaris_rxrx.cli._tables import as_text
from polaris_rxrx.cli.options import Bar, json_option, note, seed_option, wide_option
from polaris_rxrx.cli.outputs import Command, results_option
from polaris_rxrx.errors import MissingError
from polaris_rxrx.present.terminal import json_text
from polaris_rxrx.suites.inputs import Renamer, read_all_relations, stamp_truth

if TYPE_CHECKING:
    from polaris_rxrx.dataset.affinities import Affinities
    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.suites.relations import Relations

Known = dict[str, frozenset[frozenset[str]]]


@click.command(cls=Command, no_args_is_help=True)
@click.argument("name")
@source_options()
@click.option(
    "--with", "other", metavar="NAME", help="Show only this gene or compound, at all its concentrations."
)
@click.option(
    "--concentration",
    type=float,
    metavar="UM",
    help="The concentration of the compound NAME, in uM.  [default: its highest]",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="How many of the most similar, and of the most opposite, genes and compounds are shown.",
)
@relations_option
@aliases_option
@annotations_option
@seed_option("The seed of the null, where it is drawn from very many pairs.")
@json_option
@results_option("neighbors.json, and the table")
@wide_option
@click.pass_context
def command(
    context: click.Context,
    /,
    name: str,
    source: Source,
    other: str | None,
    concentration: float | None,
    top: int,
    relations: tuple[Path, ...],
    aliases: Path | None,
    annotations: Path | None,
    seed: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """Show what in a map is most like a gene or a compound, and most opposite.

    Each neighbor has its cosine, its rank among the genes or the compounds, and the share of pairs of these
    kinds whose cosine is as extreme. Known relations, and the annotated targets of compounds at 1000 nM or
    less ("target"), are marked.
    """
    from polaris_rxrx.suites.neighbors import as_document, neighbors

    source.check(context)
    if out is not None:
        check_folder(out)
    title = source.title
    held, affinities = _read(source.data, relations, annotations)
    renamer = Renamer(aliases)
    with Bar(title) as bar:
        given = source.read_map(bar)
    assert given.map_ is not None
    name = renamer.names("the gene asked for", [name], given.map_)[0]
    if other is not None:
        other = renamer.names("--with", [other], given.map_)[0]
    known, made_up = _known(name, held, affinities, renamer, given.map_)
    found = neighbors(
        given.map_, name, concentration=concentration, other=other, top=top, known=known, seed=seed
    )
    result = renamer.stamp(given.stamp(found))
    for what in made_up:
        result = stamp_truth(result, what, True)
    if out is not None:
        write_results(out, {result.suite: result})
        note(f"Wrote {result.suite} into {out}")
    if as_json:
        click.echo(json_text(as_document(result)))
    else:
        click.echo(as_text(result, title))


def _read(
    data: Path, relations: Sequence[Path], annotations: Path | None
) -> tuple[dict[str, Relations], Affinities | None]:
    """The relations and affinities given; of those that were not, what is in the data folder."""
    from polaris_rxrx.dataset.affinities import read_affinities
    from polaris_rxrx.dataset.registry import locate

    try:
        held = read_all_relations(relations, data)
    except MissingError:
        if relations:
            raise
        note("No known relations are marked: there are none in --data, and --relations names none")
        held = {}
    try:
        path = annotations or locate("annotations", data)
    except MissingError:
        return held, None
    return held, read_affinities(path)


def _known(
    name: str, held: dict[str, Relations], affinities: Affinities | None, renamer: Renamer, map_: Map
) -> tuple[Known, list[str]]:
    """Source -> related pairs that `name` is one of, by the map's symbols, and which are the demo's."""
    from polaris_rxrx.dataset.affinities import ACTIVE

    known: Known = {}
    made_up = []
    for source, every in held.items():
        of = renamer.relations(source, every, map_)
        pairs = zip(of.first.tolist(), of.second.tolist(), strict=True)
        named = ((of.names[a], of.names[b]) for a, b in pairs)
        known[source] = frozenset(frozenset(pair) for pair in named if name in pair)
    if any(of.made_up for of in held.values()):
        made_up.append("relations")
    if affinities is None:
        return known, made_up
    genes = dict(zip(affinities.genes, renamer.names("affinities", affinities.genes, map_), strict=True))
    active = (
        (compound, genes[gene])
        for compound, values in affinities.by_compound.items()
        for gene, value in values.items()
        if value <= ACTIVE
    )
    known["target"] = frozenset(frozenset(pair) for pair in active if name in pair)
    return known, [*made_up, *(["affinities"] if affinities.made_up else [])]
