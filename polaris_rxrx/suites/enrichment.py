"""Enrichment: do the genes of a list stand together in known sets more often than chance has it?

Conventions
    The background is the genes of a map, not those of the genome: what was not screened could not be found.
    Of N genes in the map, K in a set and n in the list, p is the hypergeometric chance of at least the k
    that both share. Sets with fewer than `MIN_SHARED` shared genes are counted among the tests and not shown.
    Corrected by Bonferroni (as the public code has it) and by Benjamini and Hochberg.

Source
    EFAAR_benchmarking, for the test and the correction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, some
from polaris_rxrx.suites.documents import (
    EnrichedSet,
    EnrichmentDocument,
    EnrichmentProtocol,
    EnrichmentSummary,
)
from polaris_rxrx.suites.gene_sets import GeneSets
from polaris_rxrx.suites.result import Digest, Result, versions
from polaris_rxrx.suites.retrieval import adjusted

MIN_SHARED = 1


def enrichment(genes: Sequence[str], sets: GeneSets, background: Collection[str]) -> Result:
    """Hypergeometric enrichment of a list of genes.

    Args:
        genes: The list; those that are not in the background are counted and left out.
        sets: From `read_gene_sets`.
        background: All genes that could have been in the list.

    Raises:
        DataError: No gene of the list, or none of the sets, is in the background.

    Both genes of the list are in a set of two, of four genes in all: one of the six pairs there are.

    >>> from polaris_rxrx.suites.gene_sets import GeneSets
    >>> sets = GeneSets(Path("mine.gmt"), "0" * 64, {"one": ("A", "B"), "two": ("C",)})
    >>> found = enrichment(["A", "B"], sets, background=["A", "B", "C", "D"])
    >>> found.tables["sets"]["set"], round(found.tables["sets"]["p_value"][0], 6)
    (['one'], 0.166667)
    """
    from scipy.stats import hypergeom

    whole = sorted(set(background))
    wanted = list(dict.fromkeys(genes))
    own = [g for g in wanted if g in set(whole)]
    if not own:
        raise DataError(f"none of the {len(wanted):,} genes ({some(wanted, 3)}) is in the map")
    tested = sets.within(whole)
    if not tested:
        raise DataError(f"no set in {sets.path} has a gene of the map")
    chosen = set(own)
    shared = {name: [g for g in members if g in chosen] for name, members in tested.items()}
    k = np.array([len(s) for s in shared.values()])
    size = np.array([len(s) for s in tested.values()])
    p = np.asarray(hypergeom.sf(k - 1, len(whole), size, len(own)), dtype=np.float64)
    q = adjusted(p)
    order = [i for i in np.lexsort((np.arange(len(p)), p)).tolist() if k[i] >= MIN_SHARED]
    names = list(tested)
    rows: dict[str, list[Any]] = {
        "set": [names[i] for i in order],
        "n_shared": k[order].tolist(),
        "n_set": size[order].tolist(),
        "expected": (size[order] * len(own) / len(whole)).tolist(),
        "p_value": p[order].tolist(),
        "p_bonferroni": np.minimum(1.0, p[order] * len(p)).tolist(),
        "p_adjusted": q[order].tolist(),
        "genes": [" ".join(shared[names[i]]) for i in order],
    }
    notes = []
    if absent := [g for g in wanted if g not in chosen]:
        notes.append(f"{len(absent):,} of {len(wanted):,} genes are not in the map: {some(absent)}")
    protocol: EnrichmentProtocol = {
        "test": "hypergeometric, upper tail",
        "n_background": len(whole),
        "background_sha256": Digest().names(whole).hex(),
        "sets_sha256": sets.sha256,
        "versions": versions(),
    }
    summary: EnrichmentSummary = {
        "n_list": len(own),
        "n_sets": len(tested),
        "n_enriched": int((q <= 0.05).sum()),
    }
    return Result("enrichment", protocol, summary, {"sets": rows}, tuple(notes))


def as_document(result: Result) -> EnrichmentDocument:
    """A result and its sets, for JSON."""
    rows: list[EnrichedSet] = [
        {
            "set": name,
            "n_shared": shared,
            "n_set": size,
            "expected": expected,
            "p_value": p,
            "p_bonferroni": bonferroni,
            "p_adjusted": q,
            "genes": genes,
        }
        for name, shared, size, expected, p, bonferroni, q, genes in zip(
            *result.tables["sets"].values(), strict=True
        )
    ]
    whole = result.to_dict()
    return {
        "schema_version": whole["schema_version"],
        "suite": "enrichment",
        "protocol": whole["protocol"],
        "summary": whole["summary"],
        "notes": whole["notes"],
        "sets": rows,
    }
