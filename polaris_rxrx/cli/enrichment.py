"""`polaris-rxrx enrichment LIST`."""

from __future__ import annotations

from pathlib import Path

import click

from polaris_rxrx.cli._inputs import aliases_option, check_folder, write_results
from polaris_rxrx.cli._source import Source, source_options
from polaris_rxrx.cli._tables import as_text
from polaris_rxrx.cli.options import FILE, Bar, json_option, note, wide_option
from polaris_rxrx.cli.outputs import Command, results_option
from polaris_rxrx.present.terminal import json_text
from polaris_rxrx.suites.inputs import Renamer


@click.command(cls=Command, no_args_is_help=True)
@click.argument("genes", metavar="LIST", type=FILE)
@click.option(
    "--sets",
    type=FILE,
    required=True,
    metavar="FILE",
    help="Complexes or pathways: a GMT file, or one with a name, a tab and genes on each line.",
)
@aliases_option
@source_options()
@json_option
@results_option("enrichment.json, and the table")
@wide_option
@click.pass_context
def command(
    context: click.Context,
    /,
    genes: Path,
    sets: Path,
    aliases: Path | None,
    source: Source,
    as_json: bool,
    out: Path | None,
) -> None:
    """Tell in which known sets the genes of LIST, a file with one a line, stand more often than by chance.

    The background is the genes of the map: what was not screened could not be found. The test is
    hypergeometric; p-values are corrected by Bonferroni and by Benjamini and Hochberg (q).
    """
    from polaris_rxrx.suites.enrichment import as_document, enrichment
    from polaris_rxrx.suites.gene_gene import genes_of
    from polaris_rxrx.suites.gene_sets import read_gene_sets
    from polaris_rxrx.suites.unexpressed import read_genes

    source.check(context)
    if out is not None:
        check_folder(out)
    title = source.title
    wanted, known, renamer = read_genes(genes), read_gene_sets(sets), Renamer(aliases)
    with Bar(title) as bar:
        given = source.read_map(bar)
    assert given.map_ is not None
    wanted = renamer.names(str(genes), wanted, given.map_)
    found = enrichment(wanted, renamer.sets(known, given.map_), genes_of(given.map_)[0])
    result = given.stamp(renamer.stamp(found))
    if out is not None:
        write_results(out, {result.suite: result})
        note(f"Wrote {result.suite} into {out}")
    if as_json:
        click.echo(json_text(as_document(result)))
    else:
        click.echo(as_text(result, f"{genes} in {title}"))
