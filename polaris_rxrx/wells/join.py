"""Where the rows of a table go: which well of the metadata each of them is.

Conventions
    Ids count as they stand. Only where some of a table's are not in the metadata, and some of the metadata's
    not in the table, both are read as RxRx3-core would write them (`polaris_rxrx.wells.ids.as_core_ids`), if
    more rows then find their well; that is told. A well stands in one way of writing, or it is an error.
    Rows of wells that the metadata has not are counted and left out: a table of a whole screen is read with
    the metadata of a part. Where under half of the table's wells and under half of the metadata's match, the
    two do not belong together, and that is an error.
    A well may have several rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, some
from polaris_rxrx.types import Ints
from polaris_rxrx.wells.ids import as_core_ids, refuse_two_ways
from polaris_rxrx.wells.metadata import Metadata

_NAMED = 3


@dataclass(frozen=True, eq=False)
class Join:
    """For each row of a table (n,) its row of the metadata, or -1, and what was made of its ids.

    `left_out` holds the ids of wells that the metadata has not.
    """

    row: Ints
    told: tuple[tuple[Path, str], ...] = ()
    left_out: tuple[str, ...] = ()
    n_left_out: int = 0


def join(path: Path, ids: Any, meta: Metadata, *, allow_missing: bool) -> Join:
    """Find the wells of a table's rows.

    Args:
        path: The table, for messages.
        ids: Its well_id, from `as_ids`.
        meta: The metadata.
        allow_missing: Let wells of the metadata be absent from the table.

    Raises:
        DataError: A row has no well_id, the two files do not belong together, one well is written in two
            ways, or wells of the metadata are absent.
    """
    import pyarrow.compute as pc

    if len(ids) == 0:
        raise DataError(f"{path} holds no wells")
    if nameless := pc.sum(pc.equal(pc.fill_null(ids, ""), "")).as_py():
        raise DataError(f"{path}: {nameless:,} rows have no well_id")
    row = pc.index_in(ids, value_set=meta.well_id)
    told: list[tuple[Path, str]] = []
    known = _n_known(row, len(meta))
    if row.null_count and known < len(meta):
        read = _as_core(path, ids, meta, row.null_count)
        if read is not None:
            row, ids, told = read
            known = _n_known(row, len(meta))
    foreign: list[str] = []
    n_foreign = 0
    if row.null_count:
        unknown = ids.filter(pc.is_null(row)).unique()
        n_foreign, foreign = len(unknown), unknown.slice(0, _NAMED).to_pylist()
        _refuse_strangers(path, unknown, known, meta)
    if known < len(meta) and not allow_missing:
        _refuse_missing(path, row, len(meta) - known, meta)
    rows: Ints = pc.fill_null(row, -1).to_numpy().astype(np.int64)
    return Join(rows, tuple(told), tuple(foreign), n_foreign)


def _n_known(row: Any, n: int) -> int:
    """How many of n wells some rows name."""
    import pyarrow.compute as pc

    there = np.zeros(n, dtype=bool)
    there[pc.drop_null(row).to_numpy()] = True
    return int(there.sum())


def _as_core(
    path: Path, ids: Any, meta: Metadata, unknown: int
) -> tuple[Any, Any, list[tuple[Path, str]]] | None:
    """Rows, ids and what to tell, both files' ids read as RxRx3-core's; None if that helps no row."""
    import pyarrow.compute as pc

    core, made = as_core_ids(path, ids)
    wells, of_wells = as_core_ids(meta.path, meta.well_id)
    if made.example is None and of_wells.example is None:
        return None
    row = pc.index_in(core, value_set=wells)
    if row.null_count >= unknown:
        return None
    refuse_two_ways(path, ids, core)
    if pc.count_distinct(wells).as_py() < len(wells):
        twice = next(c["values"].as_py() for c in pc.value_counts(wells) if c["counts"].as_py() > 1)
        one, other = meta.well_id.filter(pc.equal(wells, twice)).to_pylist()[:2]
        raise DataError(
            f"{meta.path}: {one!r} and {other!r} are both read as {twice!r}; one row per well was expected"
        )
    return (
        row,
        core,
        [*((path, t) for t in made.told(path)), *((meta.path, t) for t in of_wells.told(meta.path))],
    )


def _refuse_strangers(path: Path, unknown: Any, known: int, meta: Metadata) -> None:
    """Raise `DataError` where under half of both files' wells are in the other."""
    total = known + len(unknown)
    if 2 * known >= total or 2 * known >= len(meta):
        return
    raise DataError(
        f"{path}: {len(unknown):,} of {total:,} wells are not in {meta.path}: "
        f"{some(unknown.to_pylist(), _NAMED)}; "
        f"that has {len(meta):,} wells, such as {meta.well_id[0].as_py()!r}, of which {known:,} are in the "
        "table; do the two files belong together?"
    )


def _refuse_missing(path: Path, row: Any, absent: int, meta: Metadata) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    there = np.zeros(len(meta), dtype=bool)
    there[pc.drop_null(row).to_numpy()] = True
    names = meta.well_id.filter(pa.array(~there)).slice(0, 3).to_pylist()
    raise DataError(
        f"{path}: {absent:,} of the {len(meta):,} wells in {meta.path} have no embedding: {some(names)}"
        f"{' ...' if absent > 3 else ''}; --allow-missing-wells builds the map without them"
    )
