"""How far a compound's single wells lie about its dose curves: their cosines with a few genes.

Conventions
    The genes of a compound are its annotated ones at or below `ACTIVE` nM, strongest first, at most
    `TARGETS`, and beside them the `NEAREST` that it is likest or most opposite to at any concentration (by
    |cosine|, as drug-target scores). For each of them, and each concentration, the quantiles `QUANTILES` of
    the cosines of the compound's aligned wells with the gene's row of the map.
    A mean of wells is nearer to anything than its wells are: the curve of the means runs outside of the
    spread where wells are noisy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polaris_rxrx.dataset.affinities import ACTIVE
from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.blocks import Part, as_i2
from polaris_rxrx.explore.rows import Rows
from polaris_rxrx.explore.wells import AlignedBlock, rows_of
from polaris_rxrx.maps.similarity import unit_rows
from polaris_rxrx.types import Floats, Ints
from polaris_rxrx.wells.metadata import Perturbations

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
TARGETS, NEAREST = 6, 4
_NONE = -128


class Spread:
    """Gathers the cosines of wells, batch after batch.

    Args:
        rows: Of the page.
        perturbations: Those of the wells.
        targets: Compound, gene and nM of annotated pairs, by compound, then nM.
        means: Keep the cosines of the compound's rows with these genes, too, for a page without vectors.
    """

    def __init__(
        self,
        rows: Rows,
        perturbations: Perturbations,
        targets: Sequence[tuple[str, str, float]],
        *,
        means: bool = False,
    ) -> None:
        self._rows, self._keeps_means = rows, means
        self._row = rows_of(rows, perturbations)
        self._compounds = dict(sorted(rows.named("COMPOUND").items()))
        self._genes = _chosen(rows, self._compounds, targets)
        self._of = {row: name for name, own in self._compounds.items() for row in own}
        self._found: dict[int, list[Floats]] = {}

    def see(self, aligned: AlignedBlock) -> None:
        """Take the cosines of a batch's wells."""
        block = aligned.block
        row = np.where(block.control, -1, self._row[block.perturbation])
        for one in np.unique(row[row >= 0]).tolist():
            genes = self._genes.get(self._of.get(one, ""), {})
            if genes:
                units = unit_rows(aligned.x[row == one])
                self._found.setdefault(one, []).append(units @ self._rows.units[list(genes)].T)

    def part(self) -> Part:
        """The quantiles."""
        pairs = [
            (compound, gene, target)
            for compound, genes in self._genes.items()
            for gene, target in genes.items()
        ]
        if not pairs:
            return Part(missing={"spread": "The map has no compounds beside genes"})
        made: dict[int, Floats] = {}
        for one, parts in self._found.items():
            cosine = np.concatenate(parts)
            cosine = cosine[~np.isnan(cosine).any(axis=1)]
            if len(cosine):
                made[one] = np.quantile(cosine, QUANTILES, axis=0)
        table = []
        for compound, genes in self._genes.items():
            none = np.full((len(QUANTILES), len(genes)), np.nan)
            own = np.array([made.get(row, none) for row in self._compounds[compound]])
            table.append(own.transpose(2, 0, 1).reshape(-1))  # gene, row, quantile
        name = self._rows.map_.perturbations.name
        kind = self._rows.name_dtype
        at = self._rows.name_at
        held = {
            "spread_compound": blocks.write(np.array([at[c] for c, *_ in pairs], dtype=kind), delta=True),
            "spread_gene": blocks.write(np.array([at[name[g]] for _, g, _ in pairs], dtype=kind)),
            "spread_target": blocks.write(np.array([t for *_, t in pairs], dtype=np.uint8)),
            "spread_cosine": blocks.write(_as_i1(np.concatenate(table))),
        }
        if self._keeps_means:
            held["spread_mean"] = blocks.write(as_i2(self._means()))
        document = {"quantiles": list(QUANTILES), "targets": TARGETS, "genes": NEAREST}
        return Part({"spread": document}, held)

    def _means(self) -> Floats:
        """Cosines of the compound's rows, for each pair."""
        units = self._rows.units
        own = [
            (units[self._compounds[compound]] @ units[list(genes)].T).T.reshape(-1)
            for compound, genes in self._genes.items()
        ]
        return np.concatenate(own)


def _chosen(
    rows: Rows, compounds: dict[str, list[int]], targets: Sequence[tuple[str, str, float]]
) -> dict[str, dict[int, bool]]:
    """Compound -> rows of its genes -> whether it is a target; compounds without any gene are left out."""
    there = set(rows.there.tolist())
    gene_at = {name: own[0] for name, own in rows.named("CRISPR").items() if own[0] in there}
    known: dict[str, list[int]] = {}
    for compound, gene, nM in targets:
        if nM <= ACTIVE and gene in gene_at and len(known.setdefault(compound, [])) < TARGETS:
            known[compound].append(gene_at[gene])
    genes = np.array(list(gene_at.values()), dtype=np.int64)
    chosen: dict[str, dict[int, bool]] = {}
    for compound, own in compounds.items():
        doses = [row for row in own if row in there]
        if not len(genes) or not doses:
            continue
        like = np.abs(rows.units[doses] @ rows.units[genes].T).max(axis=0)
        found = dict.fromkeys(known.get(compound, []), True)
        near = [g for g in genes[np.argsort(-like, kind="stable")].tolist() if g not in found]
        chosen[compound] = found | dict.fromkeys(near[:NEAREST], False)
    return chosen


def _as_i1(cosine: Floats) -> Ints:
    known = np.nan_to_num(np.clip(cosine, -1.0, 1.0))
    return np.where(np.isnan(cosine), _NONE, np.rint(known * 127)).astype(np.int8)
