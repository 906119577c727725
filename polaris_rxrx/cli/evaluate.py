"""`polaris-rxrx evaluate SUITE`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli._inputs import (
    Source,
    card_embeddings,
    check_folder,
    read_all_relations,
    read_map,
    read_source,
    stamp_truth,
    write_folder,
)
from polaris_rxrx.cli._tables import as_text
from polaris_rxrx.cli.options import FILE, Bar, CardName, data_option, features_option, note, wide_option
from polaris_rxrx.cli.outputs import Command, NewFolder
from polaris_rxrx.present.terminal import json_text

if TYPE_CHECKING:
    from polaris_rxrx.cards import Card
    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.suites.result import Result

    Job = Callable[[Source, Bar], list[Result]]

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
@click.option("--model", type=CardName(), metavar="CARD", help="A card's name, or the path of your own.")
@click.option("--embeddings", type=FILE, help="The model's table.  [default: the card's file in --data]")
@features_option
@click.option("--map", "map_path", type=FILE, metavar="FILE", help="A saved map instead (not for signal).")
@click.option(
    "--metadata",
    type=FILE,
    help="The well metadata; beside --map it tells gene-gene which genes share an experiment.  [default: the "
    "one in --data; none beside --map]",
)
@click.option(
    "--align",
    type=click.Choice(["pca-cs", "tvn", "center-scale", "none"]),
    help="Another aligner than the card's.  [default: pca-cs]",
)
@click.option(
    "--allow-missing-wells", is_flag=True, help="Build the map without wells that have no embedding."
)
@click.option("--annotations", type=FILE, metavar="CSV", help="The affinities.  [default: those in --data]")
@click.option("--seeds", type=int, metavar="N", help="Draws of negatives, seeds 0..N-1.  [default: 100]")
@click.option("--active", type=float, metavar="NM", help="Active at or below.  [default: 1000]")
@click.option("--inactive", type=float, metavar="NM", help="Inactive beyond.  [default: 10000]")
@click.option("--min-negatives", type=int, metavar="N", help="Negatives at least.  [default: 20]")
@click.option("--legacy", is_flag=True, help="Draw negatives and take sds as the public code does.")
@click.option(
    "--relations",
    type=FILE,
    multiple=True,
    help="Two names a line, or a folder of such files; may be repeated.  [default: those in --data]",
)
@click.option("--low", type=float, metavar="Q", help="Opposite at or below this quantile.  [default: 0.05]")
@click.option("--high", type=float, metavar="Q", help="Alike at or above this quantile.  [default: 0.95]")
@click.option("--against", type=FILE, metavar="MAP", help="Another map: is its recall really different?")
@click.option("--unexpressed", type=FILE, help="Genes, one a line: signal's null, not reported.")
@click.option(
    "--by",
    metavar="WHAT",
    help="drug-target: compound or gene; signal: gene, guide, compound or compound-concentration.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of what is drawn beside negatives.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON and nothing else.")
@click.option(
    "--out",
    type=NewFolder("*.json", "*.csv"),
    metavar="DIR",
    help="Also write SUITE.json and a CSV file a table.",
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
    card = None if map_path is not None else _card(model, embeddings)
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
                align=align,
                allow_missing=allow_missing_wells,
                guides=by == "guide",
                features=features,
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
    wells = ["model", "embeddings", "features", "align", "allow_missing_wells"]
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
    from polaris_rxrx.suites import drug_target

    chosen = _given(options, "seeds", "active", "inactive", "min_negatives", "legacy")
    if by is not None:
        chosen["by"] = by
    protocol = drug_target.Protocol(**chosen, random_seed=options["seed"])
    affinities = read_affinities(options["annotations"] or locate("annotations", data))
    candidates(
        affinities, active=protocol.active, inactive=protocol.inactive, min_negatives=protocol.min_negatives
    )

    def run(source: Source, bar: Bar) -> list[Result]:
        result = drug_target.evaluate(_map(source), affinities, protocol, progress=bar.step)
        return [stamp_truth(result, "affinities", affinities.made_up)]

    return run


def _gene_gene(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.suites import gene_gene
    from polaris_rxrx.suites.layout import Layout
    from polaris_rxrx.wells.metadata import read_metadata

    chosen = _given(options, "low", "high", "seed")
    low, high = chosen.get("low", gene_gene.LOW), chosen.get("high", gene_gene.HIGH)
    if not 0 <= low < high <= 1:
        raise click.UsageError(f"--low {low:g}, --high {high:g}: 0 <= low < high <= 1 was expected")
    relations = read_all_relations(options["relations"], data)
    made_up = any(known.made_up for known in relations.values())
    other = None if options["against"] is None else read_map(options["against"]).map_
    table = None if options["layout_of"] is None else read_metadata(options["layout_of"])

    def run(source: Source, bar: Bar) -> list[Result]:
        wells = table if source.wells is None else source.wells
        layout = None
        if wells is not None:
            layout = Layout.of(wells.perturbations, wells.perturbation, wells.experiment)
        result = gene_gene.evaluate(_map(source), relations, layout=layout, against=other, **chosen)
        return [stamp_truth(result, "relations", made_up)]

    return run


def _signal(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.suites import signal
    from polaris_rxrx.suites.replicates import replicate_consistency
    from polaris_rxrx.suites.splits import held_out

    genes = None if options["unexpressed"] is None else _gene_list(options["unexpressed"])
    if by not in (None, "gene", "guide") and genes is not None:
        raise click.UsageError(f"--unexpressed names genes, which --by {by} is not about")
    shared: dict[str, Any] = {"by": by or "gene", "seed": options["seed"]}

    def run(source: Source, bar: Bar) -> list[Result]:
        assert source.wells is not None
        chosen = {**shared, "align_by": source.align}
        bar.step("signal", 0, 3)
        tested = None if genes else held_out(source.wells, **chosen)
        chosen |= {"null": genes or "controls", "tested": tested}
        bar.step("signal", 1, 3)
        energy = signal.evaluate(source.wells, **chosen)
        bar.step("signal", 2, 3)
        replicates = replicate_consistency(source.wells, **chosen)
        bar.step("signal", 3, 3)
        return [energy, replicates]

    return run


def _gene_list(path: Path) -> list[str]:
    """Names, one a line; lines that start with # are not."""
    from polaris_rxrx import bounded
    from polaris_rxrx.damage import refuse_dates, refuse_other_kind
    from polaris_rxrx.errors import DataError, short

    raw = bounded.read_file(path)
    refuse_other_kind(path, raw)
    try:
        names = raw.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text; one gene a line was expected") from None
    names = ["" if name.startswith("#") else name.strip() for name in names]
    lines = [i for i, name in enumerate(names, 1) if name]
    genes = [name for name in names if name]
    for line, name in zip(lines, genes, strict=True):
        if any(mark in name for mark in ",;\t\0"):
            raise DataError(
                f"{path}, line {line}: {short(name)}; one gene a line was expected, and nothing else"
            )
    refuse_dates(genes, "a gene", lambda i: f"{path}, line {lines[i]}")
    if not genes:
        raise DataError(f"{path} names no gene; one a line was expected")
    return genes


def _map(source: Source) -> Map:
    assert source.map_ is not None
    return source.map_


def _write(out: Path, results: dict[str, Result]) -> None:
    files = {}
    for suite, result in results.items():
        files[f"{suite}.json"] = result.to_json()
        files |= {f"{suite}_{table}.csv": result.csv(table) for table in result.tables}
    write_folder(out, files, [pattern for s in results for pattern in (f"{s}.json", f"{s}_*.csv")])
