"""`polaris-rxrx evaluate SUITE`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli._inputs import (
    ModelInput,
    annotations_option,
    card_embeddings,
    check_folder,
    read_all_relations,
    read_map,
    read_source,
    relations_option,
    stamp_truth,
    write_folder,
)
from polaris_rxrx.cli._tables import as_text
from polaris_rxrx.cli.options import (
    FILE,
    AlignerName,
    Bar,
    CardName,
    data_option,
    features_option,
    note,
    reading_options,
    wide_option,
)
from polaris_rxrx.cli.outputs import Command, NewFolder
from polaris_rxrx.present.terminal import json_text

if TYPE_CHECKING:
    from polaris_rxrx.cards import Card
    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.suites.result import Result

    Job = Callable[[ModelInput, Bar], list[Result]]

SUITES = ("drug-target", "gene-gene", "signal")
BY = {
    "drug-target": ("compound", "gene"),
    "signal": ("gene", "guide", "compound", "compound-concentration"),
}
# Options that one suite alone understands; `all` takes those of every suite but --by, which two understand.
BELONGS = {
    "annotations": "drug-target",
    "seeds": "drug-target",
    "active": "drug-target",
    "inactive": "drug-target",
    "min_negatives": "drug-target",
    "legacy": "drug-target",
    "relations": "gene-gene",
    "low": "gene-gene",
    "high": "gene-gene",
    "against": "gene-gene",
    "unexpressed": "signal",
}


@click.command(cls=Command, no_args_is_help=True)
@click.argument("suite", type=click.Choice([*SUITES, "all"]))
@data_option
@click.option("--model", type=CardName(), metavar="CARD", help="A card's name, or the path of your own card.")
@click.option(
    "--embeddings",
    type=FILE,
    metavar="PATH",
    help="The model's table: a file, a folder of files, or a glob in quotes.  [default: the card's file in "
    "--data]",
)
@features_option
@reading_options
@click.option(
    "--map", "map_path", type=FILE, metavar="FILE", help="A saved map instead of a model (not for signal)."
)
@click.option(
    "--metadata",
    type=FILE,
    help="The well metadata; beside --map it tells gene-gene which genes share an experiment.  [default: the "
    "one in --data; none beside --map]",
)
@click.option(
    "--align",
    type=AlignerName(),
    help="How wells are aligned, instead of the card's way.  [default: pca-cs]",
)
@click.option(
    "--allow-missing-wells", is_flag=True, help="Build the map without wells that have no embedding."
)
@annotations_option
@click.option(
    "--seeds",
    type=int,
    metavar="N",
    help="How many times negatives are drawn for drug-target, with the seeds 0 to N-1.  [default: 100]",
)
@click.option(
    "--active",
    type=float,
    metavar="NM",
    help="A pair is active at or below this affinity, in nM.  [default: 1000]",
)
@click.option(
    "--inactive",
    type=float,
    metavar="NM",
    help="A pair may be drawn as a negative beyond this affinity, in nM.  [default: 10000]",
)
@click.option(
    "--min-negatives",
    type=int,
    metavar="N",
    help="The least number of negatives drawn for a compound, or for a gene.  [default: 20]",
)
@click.option(
    "--legacy",
    is_flag=True,
    help="Draw negatives and take standard deviations as the paper's public code does.",
)
@relations_option
@click.option(
    "--low",
    type=float,
    metavar="Q",
    help="Two genes are opposite if their cosine is at or below this quantile (0 to 1) of all pairs' cosines."
    "  [default: 0.05]",
)
@click.option(
    "--high",
    type=float,
    metavar="Q",
    help="Two genes are alike if their cosine is at or above this quantile (0 to 1) of all pairs' cosines."
    "  [default: 0.95]",
)
@click.option(
    "--against", type=FILE, metavar="MAP", help="Another saved map, to test whether its recall is different."
)
@click.option(
    "--unexpressed",
    type=FILE,
    help="A file of genes, one on each line, which are the null of signal and are not reported themselves.",
)
@click.option(
    "--by",
    metavar="WHAT",
    help="What is scored one by one: for drug-target each compound or gene; for signal each gene, guide, "
    "compound or compound-concentration.  [default: compound; gene]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The seed of every draw but that of negatives: bootstrap, controls, exchanges, random embeddings.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON and nothing else.")
@click.option(
    "--out",
    type=NewFolder("*.json", "*.csv"),
    metavar="DIR",
    help="Also write SUITE.json, and each table as a CSV file, into this folder.",
)
@wide_option
@click.pass_context
def command(
    context: click.Context,
    /,
    suite: str,
    data: Path,
    model: str | None,
    embeddings: Path | None,
    features: tuple[str, ...],
    reading: dict[str, Any],
    map_path: Path | None,
    metadata: Path | None,
    align: Any,
    allow_missing_wells: bool,
    as_json: bool,
    out: Path | None,
    by: str | None,
    **options: Any,
) -> None:
    """Run the paper's benchmarks (arXiv 2503.20158) on a model's embeddings or on a saved map.

    \b
    drug-target  does a compound look like its target's knock-out?
    gene-gene    do genes known to act together look alike?
    signal       can a perturbation be told from its controls? do its wells agree?
    all          the three, on wells read once
    """
    suites = SUITES if suite == "all" else (suite,)
    _refuse_strangers(context, suite, by)
    if map_path is not None:
        _refuse_wells(context, suites)
    elif model is None and embeddings is None:
        raise click.UsageError("give --model, --embeddings or --map")
    if out is not None:
        check_folder(out)
    card = None if map_path is not None else _card(model, embeddings).with_recipe(align=align)
    layout_of = metadata if map_path is not None else None
    jobs = _jobs(suites, data, by, {**options, "layout_of": layout_of})
    with Bar(card.title if card else str(map_path)) as bar:
        if card is None:
            assert map_path is not None
            source = read_map(map_path)
        else:
            from polaris_rxrx.dataset.registry import locate

            source = read_source(
                card,
                metadata or locate("metadata", data),
                embeddings or card_embeddings(card, data),
                bar,
                allow_missing=allow_missing_wells,
                guides=by == "guide",
                features=features,
                **reading,
            )
        if set(suites) != {"signal"}:
            source = source.with_map(bar)
        done = [source.stamp(result) for job in jobs for result in job(source, bar)]
    results = {result.suite: result for result in done}
    if out is not None:
        _write(out, results)
        note(f"Wrote {', '.join(results)} into {out}")
    if as_json:
        click.echo(json_text({name: result.to_dict() for name, result in results.items()}))
    else:
        click.echo("\n\n".join(as_text(result, source.title) for result in results.values()))


def _refuse_strangers(context: click.Context, suite: str, by: str | None) -> None:
    """Refuse options that the suite asked for would not look at."""
    for name, owner in BELONGS.items():
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and suite not in (owner, "all"):
            raise click.UsageError(
                f"--{name.replace('_', '-')} belongs to {owner}; {suite} has no use for it"
            )
    if by is None:
        return
    if suite not in BY:
        of = "drug-target and signal each understand one of their own" if suite == "all" else "it has one way"
        raise click.UsageError(f"--by means nothing for {suite}: {of}")
    if by not in BY[suite]:
        raise click.UsageError(f"--by {by}: {suite} goes by {', '.join(BY[suite])}")


def _refuse_wells(context: click.Context, suites: Sequence[str]) -> None:
    """Refuse, beside a map, what concerns wells."""
    wells = ["model", "embeddings", "features", "sites", "ids", "layer", "align", "allow_missing_wells"]
    if "gene-gene" not in suites:
        wells.append("metadata")
    for name in wells:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} means nothing for a saved map (--map)")
    if "signal" in suites:
        raise click.UsageError(
            "signal needs wells, and a map (--map) holds only their means; give --model or --embeddings"
        )


def _card(model: str | None, embeddings: Path | None) -> Card:
    from polaris_rxrx.cards import Card, load_card

    if model is None:
        return Card(name="embeddings", title=str(embeddings))
    card = load_card(model)
    if card.kind == "random":
        raise click.UsageError(
            f"{card.name} has no embeddings; every suite runs random ones of its own beside the model's"
        )
    return card


def _jobs(suites: Sequence[str], data: Path, by: str | None, options: dict[str, Any]) -> list[Job]:
    """What is to be run, with its files read and its choices checked before any wells are."""
    make = {"drug-target": _drug_target, "gene-gene": _gene_gene, "signal": _signal}
    return [make[suite](data, by, options) for suite in suites]


def _given(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if options[name] is not None}


def _drug_target(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.dataset.affinities import candidates, read_affinities
    from polaris_rxrx.dataset.registry import locate
    from polaris_rxrx.suites.drug_target import Protocol, evaluate_drug_target

    chosen = _given(options, "seeds", "active", "inactive", "min_negatives", "legacy")
    if by is not None:
        chosen["by"] = by
    protocol = Protocol(**chosen, random_seed=options["seed"])
    affinities = read_affinities(options["annotations"] or locate("annotations", data))
    candidates(
        affinities, active=protocol.active, inactive=protocol.inactive, min_negatives=protocol.min_negatives
    )

    def run(source: ModelInput, bar: Bar) -> list[Result]:
        result = evaluate_drug_target(_map(source), affinities, protocol, progress=bar.step)
        return [stamp_truth(result, "affinities", affinities.made_up)]

    return run


def _gene_gene(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.suites.gene_gene import HIGH, LOW, evaluate_gene_gene
    from polaris_rxrx.suites.layout import Layout
    from polaris_rxrx.wells.metadata import read_metadata

    chosen = _given(options, "low", "high", "seed")
    low, high = chosen.get("low", LOW), chosen.get("high", HIGH)
    if not 0 <= low < high <= 1:
        raise click.UsageError(f"--low {low:g}, --high {high:g}: 0 <= low < high <= 1 was expected")
    relations = read_all_relations(options["relations"], data)
    made_up = any(known.made_up for known in relations.values())
    other = None if options["against"] is None else read_map(options["against"]).map_
    table = None if options["layout_of"] is None else read_metadata(options["layout_of"])

    def run(source: ModelInput, bar: Bar) -> list[Result]:
        wells = table if source.wells is None else source.wells.places
        layout = None
        if wells is not None:
            layout = Layout.of(wells.perturbations, wells.perturbation, wells.experiment)
        result = evaluate_gene_gene(_map(source), relations, layout=layout, against=other, **chosen)
        return [stamp_truth(result, "relations", made_up)]

    return run


def _signal(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.suites.replicates import evaluate_wells
    from polaris_rxrx.suites.unexpressed import read_genes

    genes = None if options["unexpressed"] is None else read_genes(options["unexpressed"])
    if by not in (None, "gene", "guide") and genes is not None:
        raise click.UsageError(f"--unexpressed names genes, which --by {by} is not about")
    chosen: dict[str, Any] = {"by": by or "gene", "seed": options["seed"], "null": genes or "controls"}

    def run(source: ModelInput, bar: Bar) -> list[Result]:
        assert source.wells is not None and source.recipe is not None
        return evaluate_wells(source.wells, align_by=source.recipe.align, progress=bar.step, **chosen)

    return run


def _map(source: ModelInput) -> Map:
    assert source.map_ is not None
    return source.map_


def _write(out: Path, results: dict[str, Result]) -> None:
    files = {}
    for suite, result in results.items():
        files[f"{suite}.json"] = result.to_json()
        files |= {f"{suite}_{table}.csv": result.csv(table) for table in result.tables}
    write_folder(out, files, [pattern for s in results for pattern in (f"{s}.json", f"{s}_*.csv")])
