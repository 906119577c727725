"""Phenotypic consistency: do perturbations that share an annotation find each other in a map?

Conventions
    Queries are the rows of a map that have an annotation; a row may have several. For an annotation, the
    positives of a member are the other members, its negatives the annotated rows with which it shares no
    annotation at all. Average precision, means and p-values are those of `polaris_rxrx.suites.retrieval`,
    by annotation; p-values are corrected by Benjamini and Hochberg. Rows without length are left out.

Source
    copairs, `map.multilabel` (Kalinin et al., Nat. Commun. 16 (2025) 5181).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.similarity import unit_rows
from polaris_rxrx.suites.documents import ConsistencyProtocol, ConsistencySummary
from polaris_rxrx.suites.result import Digest, Result, versions
from polaris_rxrx.suites.retrieval import (
    NULL_SIZE,
    GroupPrecision,
    Retrieved,
    adjusted,
    average_precision,
    by_group,
)
from polaris_rxrx.types import Floats, Ints

MIN_MEMBERS = 2


def consistency(
    map_: Map,
    annotations: Mapping[str, Sequence[str]],
    *,
    of: str = "CRISPR",
    positives_first: bool = False,
    null_size: int = NULL_SIZE,
    seed: int = 0,
) -> Result:
    """Mean average precision of rows that share an annotation.

    Args:
        map_: The map.
        annotations: Annotation -> names of perturbations.
        of: The type of rows that are looked at. A compound stands at its highest concentration.
        positives_first: Rank positives before negatives of equal similarity, as copairs does.
        null_size: Random orders for each pair of counts.
        seed: Of the random orders.

    Raises:
        UsageError: `null_size` or `seed` cannot be.
        DataError: No annotation has two members in the map, or none has negatives.

    >>> families = {"AKT": ["AKT1", "AKT2", "AKT3"], "JAK": ["JAK2", "JAK3"]}
    >>> found = consistency(pr.load_map("map.parquet"), families)
    >>> found.summary["n_annotations"], found.summary["n_perturbations"]
    (2, 5)
    >>> found.tables["annotations"]["n_members"]
    [3, 2]
    """
    if null_size < 1 or seed < 0:
        raise UsageError(f"null_size is {null_size}, seed {seed}; at least 1 and 0 were expected")
    names, units = _rows(map_, of)
    members = _members(annotations, names)
    annotated = sorted({i for own in members.values() for i in own})
    place = {row: k for k, row in enumerate(annotated)}
    groups = [np.array([place[i] for i in own]) for own in members.values()]
    units = units[annotated]
    found, label = _retrieve(units, groups, positives_first)
    row = np.concatenate(groups)
    grouped = by_group(found, label, len(members), null_size=null_size, seed=seed)
    if not grouped.n_queries.any():
        raise DataError(
            "every annotated perturbation shares an annotation with every other; none is a negative"
        )
    q = adjusted(grouped.p_value)
    protocol: ConsistencyProtocol = {
        "of": of,
        "min_members": MIN_MEMBERS,
        "ties": "positives first" if positives_first else "by threshold",
        "null_size": int(null_size),
        "seed": int(seed),
        "map": map_.protocol,
        "map_sha256": Digest().names(names).array(units).hex(),
        "versions": versions(),
    }
    summary: ConsistencySummary = {
        "n_annotations": len(members),
        "n_perturbations": len(annotated),
        "mean": float(np.nanmean(grouped.mean)),
        "mean_normalized": float(np.nanmean(grouped.normalized)),
        "share_p_0.05": float(np.nanmean(q <= 0.05)),
    }
    labels = list(members)
    queries = {
        "annotation": [labels[k] for k in label],
        "perturbation": [names[annotated[r]] for r in row],
        "average_precision": found.average_precision.tolist(),
        "n_positive": found.n_positive.tolist(),
        "n_total": found.n_total.tolist(),
    }
    tables = {"annotations": _by_annotation(members, grouped, q), "queries": queries}
    return Result("consistency", protocol, summary, tables, _notes(annotations, members))


def _by_annotation(
    members: Mapping[str, Sequence[int]], grouped: GroupPrecision, q: Floats
) -> dict[str, Any]:
    return {
        "annotation": list(members),
        "n_members": [len(own) for own in members.values()],
        "mean_average_precision": grouped.mean.tolist(),
        "normalized": grouped.normalized.tolist(),
        "p_value": grouped.p_value.tolist(),
        "p_adjusted": q.tolist(),
    }


def _members(annotations: Mapping[str, Sequence[str]], names: Sequence[str]) -> dict[str, list[int]]:
    """The places among `names` that each annotation has, of those with `MIN_MEMBERS` of them."""
    at = {name: i for i, name in enumerate(names)}
    places = {label: sorted({at[n] for n in of_label if n in at}) for label, of_label in annotations.items()}
    members = {label: own for label, own in places.items() if len(own) >= MIN_MEMBERS}
    if not members:
        raise DataError(f"none of the {len(annotations):,} annotations has two perturbations in the map")
    return members


def _retrieve(units: Floats, groups: Sequence[Ints], positives_first: bool) -> tuple[Retrieved, Ints]:
    """Every member of every annotation as a query, and the annotation of each.

    Args:
        units: Unit vectors of the annotated rows, (n, d).
        groups: The rows of each annotation.
        positives_first: See `consistency`.
    """
    has = np.zeros((len(units), len(groups)), dtype=np.float32)
    for k, rows in enumerate(groups):
        has[rows, k] = 1
    ap, n_positive, n_total = [], [], []
    for rows in groups:
        similar = np.clip(units[rows] @ units.T, -1.0, 1.0)
        positive = similar[:, rows]
        np.fill_diagonal(positive, np.nan)
        apart = has[rows] @ has.T == 0
        negative = np.where(apart, similar, np.nan)
        ap.append(average_precision(positive, negative, positives_first=positives_first))
        n_positive.append(np.full(len(rows), len(rows) - 1))
        n_total.append(len(rows) - 1 + apart.sum(axis=1))
    found = Retrieved(np.concatenate(ap), np.concatenate(n_positive), np.concatenate(n_total))
    return found, np.repeat(np.arange(len(groups)), [len(rows) for rows in groups])


def _rows(map_: Map, of: str) -> tuple[list[str], Floats]:
    """Names and unit vectors of the rows of a type that have length; of several doses the highest."""
    p = map_.perturbations
    best: dict[str, int] = {}
    for i in map_.rows(of).tolist():
        before = best.get(p.name[i])
        if before is None or p.concentration[i] > p.concentration[before]:
            best[p.name[i]] = i
    names = sorted(best)
    units = unit_rows(map_.x[[best[n] for n in names]]) if names else np.empty((0, map_.x.shape[1]))
    there = np.flatnonzero(~np.isnan(units).any(axis=1))
    return [names[i] for i in there], units[there]


def _notes(annotations: Mapping[str, Sequence[str]], members: Mapping[str, Any]) -> tuple[str, ...]:
    left = len(annotations) - len(members)
    if not left:
        return ()
    return (f"{left:,} of {len(annotations):,} annotations have fewer than two perturbations in the map",)
