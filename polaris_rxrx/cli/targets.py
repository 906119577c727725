"""`polaris-rxrx targets`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli.options import FILE, data_option, wide_option

if TYPE_CHECKING:
    from polaris_rxrx.dataset.affinities import Affinities


@click.command()
@click.option("--target", "targets", metavar="GENE", multiple=True, help="Only this gene; may be repeated.")
@data_option
@click.option("--annotations", type=FILE, metavar="CSV", help="The affinities.  [default: those in --data]")
@click.option(
    "--active",
    type=float,
    default=1000,
    show_default=True,
    metavar="NM",
    help="Active at or below this affinity, in nM.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@wide_option
def command(
    targets: tuple[str, ...], data: Path, annotations: Path | None, active: float, as_json: bool
) -> None:
    """List annotated targets and their active compounds, strongest first (the paper's Table 7)."""
    from polaris_rxrx.dataset.affinities import read_affinities
    from polaris_rxrx.dataset.registry import locate

    if not 0 < active < float("inf"):
        raise click.UsageError(f"--active {active:g}: expected an affinity in nM, more than 0")
    affinities = read_affinities(annotations or locate("annotations", data))
    listed = active_compounds(affinities, active)
    if targets:
        listed = {gene: listed[gene] for gene in sorted(set(targets)) if _known(gene, affinities, listed)}
    if as_json:
        from polaris_rxrx.present.terminal import json_text

        click.echo(
            json_text(
                {
                    "active_nM": active,
                    "annotations_sha256": affinities.sha256,
                    **({"made_up": True} if affinities.made_up else {}),
                    "targets": [
                        {"target": gene, "compounds": [{"treatment": c, "nM": v} for v, c in compounds]}
                        for gene, compounds in listed.items()
                    ],
                }
            )
        )
        return
    click.echo(_as_text(listed, active))
    if affinities.made_up:
        from polaris_rxrx.present.terminal import notes

        told = "The affinities are synthetic (polaris-rxrx demo): they say nothing about any compound"
        click.echo("\n".join(["", *notes([told])]))


def active_compounds(affinities: Affinities, active: float) -> dict[str, list[tuple[float, str]]]:
    """Every annotated gene with its active compounds as (nM, name), strongest first; genes sorted."""
    out: dict[str, list[tuple[float, str]]] = {gene: [] for gene in affinities.genes}
    for compound, genes in affinities.by_compound.items():
        for gene, value in genes.items():
            if value <= active:
                out[gene].append((value, compound))
    return {gene: sorted(compounds) for gene, compounds in out.items() if compounds}


def _known(gene: str, affinities: Affinities, listed: dict[str, list[tuple[float, str]]]) -> bool:
    from difflib import get_close_matches

    from polaris_rxrx.errors import DataError

    if gene not in affinities.genes:
        near = get_close_matches(gene.upper(), affinities.genes, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise DataError(f"{affinities.path}: no gene {gene!r}{hint}")
    if gene not in listed:
        values = [genes[gene] for genes in affinities.by_compound.values() if gene in genes]
        raise DataError(
            f"{affinities.path}: {gene} has no active compound; its strongest affinity is {min(values):,g} nM"
        )
    return True


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
