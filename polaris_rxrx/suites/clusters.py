"""Complexes: are the genes of a complex more alike than they are to all others?

Conventions
    Genes are the CRISPR perturbations of a map with a vector. For a complex with at least `MIN_GENES` of
    them: the cosines of its pairs (within) against those of its genes with all other genes (between), by
    the two-sided two-sample Kolmogorov-Smirnov test. `higher` says that within is the higher one on average:
    a complex whose genes differ more than usual is different, too. p-values are corrected by Benjamini and
    Hochberg over the complexes tested. Pairs share genes, so a p-value says less than it seems to.

Source
    arXiv 2503.20158 and its public code (EFAAR_benchmarking), which corrects nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.suites.documents import ClustersProtocol, ClustersSummary
from polaris_rxrx.suites.gene_gene import gene_cosines, genes_of
from polaris_rxrx.suites.gene_sets import GeneSets
from polaris_rxrx.suites.result import Digest, Result, versions
from polaris_rxrx.suites.retrieval import adjusted

MIN_GENES = 10


def clusters(map_: Map, sets: GeneSets, *, min_genes: int = MIN_GENES) -> Result:
    """Within against between cosines of every complex.

    Args:
        map_: Rows of other types than CRISPR are not looked at.
        sets: From `read_gene_sets`.
        min_genes: Complexes with fewer genes in the map are left out; at least 2.

    Raises:
        UsageError: `min_genes` is below 2.
        DataError: The map has no genes, or no complex has enough of them.

    A and B are one complex, and point the same way; C does not:

    >>> from polaris_rxrx.maps.build import Map
    >>> from polaris_rxrx.wells.metadata import Perturbations
    >>> names = Perturbations(["CRISPR"] * 3, ["A", "B", "C"], np.full(3, np.nan))
    >>> map_ = Map(names, np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]), np.array([9, 9, 9]))
    >>> from polaris_rxrx.suites.gene_sets import GeneSets
    >>> found = clusters(map_, GeneSets(Path("mine.gmt"), "0" * 64, {"one": ("A", "B")}), min_genes=2)
    >>> found.summary["mean_within"], found.summary["mean_between"]
    (1.0, 0.0)
    """
    from scipy.stats import ks_2samp

    if min_genes < 2:
        raise UsageError(f"min_genes is {min_genes}; 2 or more was expected")
    genes, x, notes = genes_of(map_)
    tested = sets.within(genes, min_genes)
    if not tested:
        raise DataError(
            f"none of the {len(sets.genes):,} complexes in {sets.path} has {min_genes} genes in the map"
        )
    cosines = gene_cosines(x)
    at = {gene: i for i, gene in enumerate(genes)}
    rows: dict[str, list[Any]] = {
        name: [] for name in ("complex", "n_genes", "mean_within", "mean_between", "ks", "p_value")
    }
    for name, members in tested.items():
        own = np.array([at[g] for g in members])
        others = np.setdiff1d(np.arange(len(genes)), own)
        first, second = np.triu_indices(len(own), 1)
        within, between = cosines[own[first], own[second]], cosines[np.ix_(own, others)].ravel()
        if not len(between):  # the complex is the whole map
            statistic = p = float("nan")
        else:
            statistic, p = ks_2samp(within, between)
        values = (name, len(own), float(within.mean()), _mean(between), float(statistic), float(p))
        for column, value in zip(rows.values(), values, strict=True):
            column.append(value)
    q = adjusted(np.array(rows["p_value"]))
    higher = np.array(rows["mean_within"]) > np.array(rows["mean_between"])
    rows |= {"p_adjusted": q.tolist(), "higher": higher.tolist()}
    left_out = len(sets.genes) - len(tested)
    if left_out:
        notes.append(
            f"{left_out:,} of {len(sets.genes):,} complexes have fewer than {min_genes} genes in the map"
        )
    protocol: ClustersProtocol = {
        "min_genes": int(min_genes),
        "test": "two-sided two-sample Kolmogorov-Smirnov, Benjamini-Hochberg",
        "map": map_.protocol,
        "map_sha256": Digest().names(genes).array(x).hex(),
        "sets_sha256": sets.sha256,
        "versions": versions(),
    }
    summary: ClustersSummary = {
        "n_genes": len(genes),
        "n_complexes": len(tested),
        "n_higher": int(((q <= 0.05) & higher).sum()),
        "n_lower": int(((q <= 0.05) & ~higher).sum()),
        "mean_within": float(np.mean(rows["mean_within"])),
        "mean_between": float(np.nanmean(rows["mean_between"])) if not np.isnan(q).all() else None,
    }
    return Result("clusters", protocol, summary, {"complexes": rows}, tuple(notes))


def _mean(values: Any) -> float:
    return float(values.mean()) if len(values) else float("nan")
