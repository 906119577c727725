"""`polaris-rxrx enrichment LIST`."""

from __future__ import annotations

from pathlib import Path

import click

from polaris_rxrx.cli._inputs import check_folder, write_results
from polaris_rxrx.cli._source import Source, source_options
from polaris_rxrx.cli._tables import as_rows, as_text
from polaris_rxrx.cli.options import FILE, Bar, note, wide_option
from polaris_rxrx.cli.outputs import Command, NewFolder
from polaris_rxrx.present.terminal import json_text


@click.command(cls=Command, no_args_is_help=True)
@click.argument("genes", metavar="LIST", type=FILE)
@click.option(
    "--sets",
    type=FILE,
    required=True,
    metavar="FILE",
    help="Complexes or pathways: a GMT file, or one with a name, a tab and genes on each line.",
)
@source_options()
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.option(
    "--out",
    type=NewFolder("*.json", "*.csv"),
    metavar="DIR",
    help="Also write enrichment.json, and the table as a CSV file, into this folder.",
)
@wide_option
@click.pass_context
def command(
    context: click.Context, /, genes: Path, sets: Path, source: Source, as_json: bool, out: Path | None
) -> None:
    """Tell in which known sets the genes of LIST, a file with one a line, stand more often than by chance.

    The background is the genes of the map: what was not screened could not be found. The test is
    hypergeometric; p-values are corrected by Bonferroni and by Benjamini and Hochberg (q).
    """
    from polaris_rxrx.suites.enrichment import enrichment
    from polaris_rxrx.suites.gene_gene import genes_of
    from polaris_rxrx.suites.gene_sets import read_gene_sets
    from polaris_rxrx.suites.unexpressed import read_genes

    source.check(context)
    if out is not None:
        check_folder(out)
    title = source.title
    wanted, known = read_genes(genes), read_gene_sets(sets)
    with Bar(title) as bar:
        given = source.read_map(bar)
    assert given.map_ is not None
    result = given.stamp(enrichment(wanted, known, genes_of(given.map_)[0]))
    if out is not None:
        write_results(out, {result.suite: result})
        note(f"Wrote {result.suite} into {out}")
    if as_json:
        click.echo(json_text({**result.to_dict(), "sets": as_rows(result.tables["sets"])}))
    else:
        click.echo(as_text(result, f"{genes} in {title}"))
