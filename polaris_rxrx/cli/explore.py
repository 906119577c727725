"""`polaris-rxrx explore MAP` and `polaris-rxrx explore --model CARD`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from polaris_rxrx.cli._inputs import (
    aliases_option,
    annotations_option,
    relations_option,
)
from polaris_rxrx.cli._source import Source, is_given, source_options
from polaris_rxrx.cli.options import FILE, Bar, note, seed_option
from polaris_rxrx.cli.outputs import NEW_FILE, Command
from polaris_rxrx.suites.inputs import Renamer, read_all_relations

if TYPE_CHECKING:
    from polaris_rxrx.dataset.affinities import Affinities
    from polaris_rxrx.explore.payload import Choices, Knowledge, Payload
    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.suites.gene_sets import GeneSets
    from polaris_rxrx.suites.inputs import ModelInput
    from polaris_rxrx.suites.relations import Relations


@click.command(cls=Command, no_args_is_help=True)
@click.argument("saved", metavar="[MAP]", type=FILE, required=False)
@source_options(
    metadata="The well metadata; beside MAP they are looked at for structures alone.  [default: the one in "
    "--data]"
)
@relations_option
@aliases_option
@annotations_option
@click.option(
    "--sets",
    type=FILE,
    metavar="FILE",
    help="Complexes or pathways: a GMT file, or one with a name, a tab and genes on each line.",
)
@click.option(
    "--neighbors",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep each row's N nearest and N farthest genes and compounds in place of its vector: a smaller "
    "page of a very wide map, without free heat maps and dose curves.",
)
@click.option(
    "--max-rows",
    type=click.IntRange(min=1),
    default=50_000,
    show_default=True,
    metavar="N",
    help="How many rows the page may have. Of a larger map it keeps genes before compounds, those with the "
    "most wells first, compounds with all their concentrations.",
)
@click.option(
    "--plate-features",
    metavar="NAME",
    multiple=True,
    help="A feature of the wells that plates are shown by, beside their scores; may be repeated, up to five "
    "times.",
)
@click.option(
    "--max-wells",
    type=click.IntRange(min=1),
    default=250_000,
    show_default=True,
    metavar="N",
    help="How many wells the page's plates may have. Of more it keeps the first plates of each batch.",
)
@click.option(
    "--points",
    type=click.Choice(["pca", "umap"]),
    default="pca",
    show_default=True,
    help="How the whole map is drawn as points: principal components, or UMAP (extra umap).",
)
@seed_option("The seed of every draw: nulls, halves of control wells, random orders, UMAP.")
@click.option("--title", help="The page's title.  [default: the model's, or the map's file]")
@click.option("--out", type=NEW_FILE, default=Path("map.html"), show_default=True, help="The page to write.")
@click.pass_context
def command(
    context: click.Context,
    /,
    saved: Path | None,
    source: Source,
    relations: tuple[Path, ...],
    aliases: Path | None,
    annotations: Path | None,
    sets: Path | None,
    title: str | None,
    out: Path,
    **choices: Any,
) -> None:
    """Write one HTML page in which a map can be explored, offline: search, neighbors, doses, plates.

    MAP is a saved map, or a table with one row a gene or compound. With --model in its place the page also
    has what needs single wells: activity, guides, spread and plates. Known relations and annotated targets
    are those in --data, if they are there; what is not at hand is left out, and the page says why.
    """
    from polaris_rxrx.explore.page import write_page
    from polaris_rxrx.explore.payload import Choices

    if saved is not None:
        if source.map_path is not None:
            raise click.UsageError(f"{saved} and --map {source.map_path} are two maps; one was expected")
        source = replace(source, map_path=saved)
    given_words = (n for n in ("plate_features", "max_wells") if is_given(context, n))
    source.check(context, wells=[f"--{n.replace('_', '-')}" for n in given_words], layout=True)
    chosen = Choices(**choices, effort=source.effort)
    files = _read(source.data, relations, annotations, sets, aliases)
    with Bar(source.title) as bar:
        given = source.read(bar, need_wells=source.has_wells, labels=source.has_wells)
        assert given.map_ is not None
        facts, told = _facts(files, source, given.map_)
        payload = _gather(title or source.title, given, facts, told, chosen, files.made_up, bar)
        size = write_page(out, payload)
    _tell(out, size, payload)


def _gather(
    title: str,
    given: ModelInput,
    facts: Knowledge,
    told: list[str],
    chosen: Choices,
    made_up: bool,
    bar: Bar,
) -> Payload:
    from polaris_rxrx.explore.payload import NO_WELLS, Single, gather
    from polaris_rxrx.maps.build import has_wells

    map_, wells, single = given.map_, given.wells, None
    assert map_ is not None
    why = NO_WELLS
    if wells is not None and given.recipe is not None:
        if has_wells(wells):
            single = Single(wells, given.recipe.alignment)
        else:
            why = "A summary holds only the sums of its wells; give the table itself"
    return gather(
        title,
        map_,
        facts,
        chosen,
        single=single,
        no_wells=why,
        provenance={"map": map_.protocol, "inputs": given.inputs},
        made_up=made_up or given.made_up,
        notes=[*map_.notes, *told],
        progress=bar.step,
    )


class Files(NamedTuple):
    """What is known beside the map, as it stands in the files named or in --data."""

    relations: dict[str, Relations]
    affinities: Affinities | None
    sets: GeneSets | None
    aliases: Path | None

    @property
    def made_up(self) -> bool:
        drawn = any(known.made_up for known in self.relations.values())
        return drawn or (self.affinities is not None and self.affinities.made_up)


def _read(
    data: Path, relations: tuple[Path, ...], annotations: Path | None, sets: Path | None, aliases: Path | None
) -> Files:
    """Read what was named; of the rest, what is in the data folder."""
    from polaris_rxrx.dataset.affinities import read_affinities
    from polaris_rxrx.dataset.registry import locate
    from polaris_rxrx.errors import MissingError
    from polaris_rxrx.suites.gene_sets import read_gene_sets

    held: dict[str, Relations] = {}
    affinities = None
    try:
        held = read_all_relations(relations, data)
    except MissingError:
        if relations:
            raise
    try:
        affinities = read_affinities(annotations or locate("annotations", data))
    except MissingError:
        if annotations is not None:
            raise
    return Files(held, affinities, None if sets is None else read_gene_sets(sets), aliases)


def _facts(files: Files, source: Source, map_: Map) -> tuple[Knowledge, list[str]]:
    """What is known, by the names that the map has; what was renamed."""
    from polaris_rxrx.explore.payload import Knowledge
    from polaris_rxrx.suites.aliases import read_aliases

    renamer = Renamer(files.aliases)
    genes = [] if files.affinities is None else list(files.affinities.genes)
    facts = Knowledge(
        relations={name: renamer.relations(name, known, map_) for name, known in files.relations.items()},
        affinities=files.affinities,
        gene_names=dict(zip(genes, renamer.names("affinities", genes, map_), strict=True)),
        sets=None if files.sets is None else renamer.sets(files.sets, map_),
        aliases=read_aliases(files.aliases),
        smiles=_smiles(source, map_),
    )
    return facts, renamer.told


def _smiles(source: Source, map_: Map) -> dict[str, str]:
    """SMILES of the map's compounds, where the well metadata have any."""
    from polaris_rxrx.dataset.registry import locate
    from polaris_rxrx.errors import DataError, MissingError
    from polaris_rxrx.wells.smiles import read_smiles

    try:
        path = source.metadata or locate("metadata", source.data)
        return read_smiles(path, {map_.perturbations.name[i] for i in map_.rows("COMPOUND")})
    except (MissingError, DataError):  # the page says that it has no structures
        if source.metadata is not None and source.map_path is not None:  # given for them alone
            raise
        return {}


def _tell(out: Path, size: int, payload: Payload) -> None:
    """What was written, and what is not in it."""
    from polaris_rxrx.limits import size_text

    rows = payload.document["rows"]
    click.echo(f"{out}: {rows['n']:,} rows of {rows['width']:,} features, {size_text(size)}")
    for line in payload.document["notes"]:
        note(f"Note: {line}")
    for view, why in payload.document["missing"].items():
        note(f"Without {view}: {why}")
