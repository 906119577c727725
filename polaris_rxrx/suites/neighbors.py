"""Neighbors: what in a map is most like a perturbation, and most opposite?

Conventions
    Likeness is cosine. Ranks count from 1 for the highest cosine among all other rows of the same kind as the
    neighbor (a gene's rank among genes, a compound's among compounds at their concentrations); opposites have
    the last ranks. `beyond` is the share of a null of cosines that are as high (for a negative cosine: as
    low) or more so; the null is the cosines of all pairs of the two kinds, or of `NULL` drawn with a seed.
    A row without length has no cosine and no rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.similarity import cosine, unit_rows
from polaris_rxrx.stats.intervals import plain
from polaris_rxrx.suites.documents import (
    Neighbor,
    NeighborsDocument,
    NeighborsProtocol,
    NeighborsSummary,
)
from polaris_rxrx.suites.result import Result, versions
from polaris_rxrx.types import Floats, Ints

NULL = 1_000_000
AT_ONCE = 500  # pairs of vectors that stay in the processor's cache
TOP = 20
KINDS = ("CRISPR", "COMPOUND")
COLUMNS = ("type", "name", "concentration", "cosine", "rank", "of", "beyond", "known")


def neighbors(
    map_: Map,
    name: str,
    *,
    concentration: float | None = None,
    other: str | None = None,
    top: int = TOP,
    known: Mapping[str, frozenset[frozenset[str]]] | None = None,
    seed: int = 0,
) -> Result:
    """The most similar and most opposite rows of a map.

    Args:
        map_: The map.
        name: A gene or a compound; a compound without `concentration` is taken at its highest.
        concentration: In uM.
        other: Only rows of this name.
        top: So many of the most similar and of the most opposite, of each kind.
        known: Source -> related pairs of names, which are marked.
        seed: Of the null.

    Raises:
        UsageError: `top` is below 1.
        DataError: The map has no such row, or its vector has no length.

    C is nearer to B than to A:

    >>> from polaris_rxrx.maps.build import Map
    >>> from polaris_rxrx.wells.metadata import Perturbations
    >>> names = Perturbations(["CRISPR"] * 3, ["A", "B", "C"], np.full(3, np.nan))
    >>> map_ = Map(names, np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]]), np.array([9, 9, 9]))
    >>> found = neighbors(map_, "C", top=1)
    >>> found.tables["neighbors"]["name"], found.tables["neighbors"]["cosine"]
    (['B', 'A'], [0.8, 0.6])
    """
    if top < 1:
        raise UsageError(f"top is {top}; 1 or more was expected")
    row = row_of(map_, name, concentration)
    p = map_.perturbations
    own = cosine(map_.x[[row]], map_.x)[0]
    own[row] = np.nan
    own[[i for i in range(len(map_)) if p.name[i] == name and p.type[i] == p.type[row]]] = np.nan
    rows: dict[str, list[Any]] = {column: [] for column in COLUMNS}
    for kind in KINDS:
        ordered = map_.rows(kind)
        ordered = ordered[~np.isnan(own[ordered])]
        ordered = ordered[np.argsort(-own[ordered], kind="stable")]
        if other is not None:
            places = [k for k, r in enumerate(ordered) if p.name[r] == other]
        else:
            places = [k for k in range(len(ordered)) if k < top or k >= len(ordered) - top]
        null = np.sort(null_cosines(map_, p.type[row], kind, seed)) if places else np.empty(0)
        for k in places:
            r = ordered[k]
            sources = [s for s, pairs in (known or {}).items() if frozenset((name, p.name[r])) in pairs]
            cells: list[Any] = [kind, p.name[r], float(p.concentration[r]), float(own[r])]
            cells += [k + 1, len(ordered), beyond(null, own[r]), " ".join(sources)]
            for column, value in zip(rows.values(), cells, strict=True):
                column.append(value)
    if other is not None and not rows["name"]:
        raise DataError(f"the map has no {other!r} that could be compared with {name!r}")
    protocol: NeighborsProtocol = {
        "name": name,
        "concentration": _dose(p.concentration[row]),
        "seed": int(seed),
        "null_pairs": NULL,
        "map": map_.protocol,
        "versions": versions(),
    }
    summary: NeighborsSummary = {
        "type": p.type[row],
        "n_wells": int(map_.n_wells[row]) or None,
        "n_compared": int((~np.isnan(own)).sum()),
    }
    return Result("neighbors", protocol, summary, {"neighbors": rows}, ())


def as_document(result: Result) -> NeighborsDocument:
    """A result and its neighbors, for JSON; what is not defined is None."""
    rows: list[Neighbor] = [
        {
            "type": kind,
            "name": name,
            "concentration": _dose(dose),
            "cosine": alike,
            "rank": rank,
            "of": n,
            "beyond": plain(beyond_it),
            "known": known,
        }
        for kind, name, dose, alike, rank, n, beyond_it, known in zip(
            *result.tables["neighbors"].values(), strict=True
        )
    ]
    whole = result.to_dict()
    return {
        "schema_version": whole["schema_version"],
        "suite": "neighbors",
        "protocol": whole["protocol"],
        "summary": whole["summary"],
        "notes": whole["notes"],
        "neighbors": rows,
    }


def row_of(map_: Map, name: str, concentration: float | None = None) -> int:
    """The row of a gene, or of a compound at a concentration (its highest if none is given).

    Raises:
        DataError: There is none, or its vector has no length.
    """
    p = map_.perturbations
    named = [i for i in range(len(map_)) if p.name[i] == name]
    if not named:
        near = [n for n in dict.fromkeys(p.name) if n.casefold() == name.strip().casefold()]
        raise DataError(f"the map has no {name!r}" + (f"; it has {some(near)}" if near else ""))
    if concentration is not None:
        found = [i for i in named if np.isclose(p.concentration[i], concentration, rtol=1e-6)]
        if not found:
            doses = ", ".join(f"{p.concentration[i]:g}" for i in named)
            raise DataError(f"the map has {name!r} at {doses} uM, not at {concentration:g}")
        named = found
    row = max(named, key=lambda i: -np.inf if np.isnan(p.concentration[i]) else p.concentration[i])
    if np.isnan(unit_rows(map_.x[[row]])[0, 0]):
        raise DataError(f"the vector of {name!r} has no length; it is like nothing")
    return row


def null_cosines(map_: Map, kind: str, other: str, seed: int = 0) -> Floats:
    """Cosines of pairs of two different rows of two kinds (k,), in no order: all, or `NULL` random ones."""
    first, second = (_with_length(map_, k) for k in (kind, other))
    n = len(first) * len(second)
    if n <= NULL:
        a, b = (i.ravel() for i in np.meshgrid(first, second, indexing="ij"))
    else:
        rng = np.random.default_rng(seed)
        a, b = rng.choice(first, NULL), rng.choice(second, NULL)
    a, b = a[a != b], b[a != b]
    units = unit_rows(map_.x)
    found: Floats = np.concatenate(
        [
            np.einsum("ij,ij->i", units[a[k : k + AT_ONCE]], units[b[k : k + AT_ONCE]])
            for k in range(0, len(a), AT_ONCE)
        ]
        or [np.empty(0)]
    )
    return found


def _with_length(map_: Map, kind: str) -> Ints:
    rows = map_.rows(kind)
    return rows[~np.isnan(unit_rows(map_.x[rows])[:, 0])] if len(rows) else rows


def beyond(null: Floats, value: float) -> float:
    """The share of a sorted null that is as high as a value, or for a negative one as low; NaN of none."""
    if not len(null):
        return float("nan")
    at = (
        np.searchsorted(null, value - 1e-12)
        if value >= 0
        else np.searchsorted(null, value + 1e-12, side="right")
    )
    return float((len(null) - at if value >= 0 else at) / len(null))


def _dose(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
