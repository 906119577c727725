"""What is known of a map's genes and compounds: relations, targets, complexes, other symbols.

Conventions
    Everything is by the map's own names (`polaris_rxrx.suites.aliases`), and what is not in the map is left
    out. Relations are pairs of genes, each once, whichever came first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from polaris_rxrx.dataset.affinities import ACTIVE, INACTIVE, Affinities
from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.blocks import Part
from polaris_rxrx.explore.rows import Rows
from polaris_rxrx.suites.gene_sets import GeneSets
from polaris_rxrx.suites.relations import Relations


def relations(rows: Rows, held: Mapping[str, Relations]) -> Part:
    """Related genes, by source."""
    genes = rows.named("CRISPR")
    at = {name: rows.name_at[name] for name in genes}
    sources: list[dict[str, Any]] = []
    pairs = []
    start = 0
    for name, known in held.items():
        place = known.places(at)
        own = known.pairs(place) if (place >= 0).any() else np.empty((0, 2), dtype=np.int64)
        sources.append({"name": name, "start": start, "end": start + len(own), "sha256": known.sha256})
        pairs.append(own)
        start += len(own)
    if not sources:
        return Part(missing={"relations": "No known relations are at hand (--relations, or --data)"})
    both = np.concatenate(pairs).astype(rows.name_dtype)
    held_blocks = {
        "relation_first": blocks.write(both[:, 0], delta=True),
        "relation_second": blocks.write(both[:, 1]),
    }
    return Part({"relations": {"sources": sources}}, held_blocks)


def targets(rows: Rows, affinities: Affinities | None, gene_names: Mapping[str, str]) -> Part:
    """Annotated pairs of a compound and a gene of the map.

    Args:
        rows: Of the page.
        affinities: The table, None where there is none.
        gene_names: Gene of the table -> the map's name of it.
    """
    if affinities is None:
        return Part(missing={"targets": "No affinities are at hand (--annotations, or --data)"})
    pairs = annotated(rows, affinities, gene_names)
    names = np.array([(rows.name_at[c], rows.name_at[g]) for c, g, _ in pairs], dtype=np.int64).reshape(-1, 2)
    document = {"active": ACTIVE, "inactive": INACTIVE, "sha256": affinities.sha256}
    held = {
        "target_compound": blocks.write(names[:, 0].astype(rows.name_dtype), delta=True),
        "target_gene": blocks.write(names[:, 1].astype(rows.name_dtype)),
        "target_nM": blocks.write(np.array([nM for *_, nM in pairs], dtype=np.float32)),
    }
    return Part({"targets": document}, held)


def annotated(
    rows: Rows, affinities: Affinities, gene_names: Mapping[str, str]
) -> list[tuple[str, str, float]]:
    """Compound, gene and nM of every annotated pair in the map, by compound, then nM; by gene's map name."""
    genes, compounds = rows.named("CRISPR"), rows.named("COMPOUND")
    found: dict[tuple[str, str], float] = {}
    for compound, values in affinities.by_compound.items():
        if compound not in compounds:
            continue
        for gene, nM in values.items():
            key = compound, gene_names.get(gene, gene)
            if key[1] in genes:
                found[key] = min(nM, found.get(key, nM))
    return sorted(((c, g, nM) for (c, g), nM in found.items()), key=lambda own: (own[0], own[2], own[1]))


def complexes(rows: Rows, sets: GeneSets | None) -> Part:
    """The sets that have a gene of the map, as `polaris_rxrx.suites.enrichment` tests them."""
    if sets is None:
        return Part(missing={"complexes": "No complexes or pathways were given (--sets FILE)"})
    p = rows.map_.perturbations
    own = set(rows.there.tolist()) & set(rows.map_.rows("CRISPR").tolist())
    genes = {p.name[i] for i in own if not p.name[i].endswith("_control")}
    within = sets.within(genes)
    listed = [[name, [rows.name_at[g] for g in members]] for name, members in within.items()]
    document = {"file": sets.path.name, "sha256": sets.sha256, "n": len(listed), "n_background": len(genes)}
    return Part({"complexes": document}, {"complexes": blocks.write_json(listed)})


def aliases(rows: Rows, known: Mapping[str, str]) -> Part:
    """Other symbols of the map's genes, for searching; one that the map has by itself is none.

    Args:
        rows: Of the page.
        known: Previous symbol -> symbol.
    """
    genes = rows.named("CRISPR")
    found = []
    for previous, symbol in sorted(known.items()):
        for other, own in ((previous, symbol), (symbol, previous)):
            if own in genes and other not in genes:
                found.append([other, rows.name_at[own]])
    return Part({"aliases": found})
