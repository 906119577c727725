"""`polaris-rxrx targets`."""

from __future__ import annotations

from pathlib import Path

import click

from polaris_rxrx.cli._inputs import annotations_option
from polaris_rxrx.cli.options import data_option, json_option, wide_option


@click.command()
@click.option("--target", "targets", metavar="GENE", multiple=True, help="Only this gene; may be repeated.")
@data_option
@annotations_option
@click.option(
    "--active",
    type=float,
    default=1000,
    show_default=True,
    metavar="NM",
    help="Active at or below this affinity, in nM.",
)
@json_option
@wide_option
def command(
    targets: tuple[str, ...], data: Path, annotations: Path | None, active: float, as_json: bool
) -> None:
    """List annotated targets and their active compounds, strongest first (the paper's Table 7)."""
    from polaris_rxrx.dataset.affinities import active_compounds, as_document, read_affinities
    from polaris_rxrx.dataset.registry import locate

    if not 0 < active < float("inf"):
        raise click.UsageError(f"--active {active:g}: expected an affinity in nM, more than 0")
    affinities = read_affinities(annotations or locate("annotations", data))
    listed = active_compounds(affinities, active, targets)
    if as_json:
        from polaris_rxrx.present.terminal import json_text

        click.echo(json_text(as_document(affinities, active, listed)))
        return
    click.echo(_as_text(listed, active))
    if affinities.made_up:
        from polaris_rxrx.present.terminal import notes

        told = "The affinities are synthetic (polaris-rxrx demo): they say nothing about any compound"
        click.echo("\n".join(["", *notes([told])]))


def _as_text(listed: dict[str, list[tuple[float, str]]], active: float) -> str:
    from polaris_rxrx.present.terminal import labelled, wrapped

    rows = [("target", "active", "compounds (nM)")]
    for gene, compounds in listed.items():
        names = ", ".join(f"{name} ({value:,g})" for value, name in compounds)
        rows.append((gene, f"{len(compounds):{len('active')},}", names))
    n_compounds = len({name for compounds in listed.values() for _, name in compounds})
    n_pairs = sum(map(len, listed.values()))
    summary = f"{len(listed):,} targets, {n_compounds:,} compounds, {n_pairs:,} pairs at most {active:,g} nM"
    return "\n".join([*labelled(rows), "", *wrapped(summary)])
