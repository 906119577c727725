"""Compounds against genes: the similarity of every compound, at each concentration, with every gene of a map.

Conventions
    Tables have shape (n_concentrations, n_compounds, n_genes), names sorted. NaN where a compound was not
    tested at a concentration, or a row of the map is zero. Concentrations are in uM and equal if they differ
    by at most a millionth; NaN stands for compounds that have none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.similarity import Similarity, similarity
from polaris_rxrx.types import Floats


@dataclass(frozen=True, eq=False)
class PairTables:
    """Similarities `values` and what their last two axes are."""

    values: Floats
    compounds: list[str]
    genes: list[str]

    def largest(self) -> Floats:
        """The largest over the concentrations a compound has, (n_compounds, n_genes).

        >>> values = np.array([[[0.25, np.nan]], [[0.75, np.nan]]])
        >>> tables = PairTables(values, ["Imatinib"], ["ABL1", "BCL2"])
        >>> tables.largest().tolist()
        [[0.75, nan]]
        """
        largest: Floats = np.fmax.reduce(self.values, axis=0)
        return largest

    def mean(self) -> Floats:
        """The mean over the concentrations a compound has, (n_compounds, n_genes).

        >>> values = np.array([[[0.25, np.nan]], [[0.75, np.nan]]])
        >>> tables = PairTables(values, ["Imatinib"], ["ABL1", "BCL2"])
        >>> tables.mean().tolist()
        [[0.5, nan]]
        """
        known = ~np.isnan(self.values)
        n = known.sum(axis=0)
        total = np.where(known, self.values, 0.0).sum(axis=0)
        mean: Floats = np.divide(total, n, out=np.full(total.shape, np.nan), where=n > 0)
        return mean


def pair_tables(
    map_: Map, concentrations: Sequence[float], kind: Similarity, compounds: Collection[str] | None = None
) -> PairTables:
    """The tables of these compounds (by default all) that have a row at any of these concentrations.

    >>> tables = pair_tables(pr.load_map("map.parquet"), [0.25, 2.5], "abs-cosine", {"Imatinib"})
    >>> tables.values.shape, tables.compounds
    ((2, 1, 80), ['Imatinib'])
    """
    p, wanted = map_.perturbations, np.array(concentrations, dtype=np.float64)
    gene_at = {p.name[i]: i for i in map_.rows("CRISPR").tolist()}
    near = np.isclose(p.concentration[:, None], wanted, rtol=1e-6, atol=0, equal_nan=True)
    near &= np.isin(np.arange(len(map_)), map_.rows("COMPOUND"))[:, None]  # a gene has none, either
    row_at = {
        (p.name[i], c): i
        for i, c in np.argwhere(near).tolist()
        if compounds is None or p.name[i] in compounds
    }
    genes, names = sorted(gene_at), sorted({name for name, _ in row_at})
    values = np.full((len(wanted), len(names), len(genes)), np.nan)
    if genes and names:
        keys, at = sorted(row_at), {name: i for i, name in enumerate(names)}
        found = similarity(kind, map_.x[[row_at[k] for k in keys]], map_.x[[gene_at[g] for g in genes]])
        values[[c for _, c in keys], [at[name] for name, _ in keys]] = found
    return PairTables(values, names, genes)
