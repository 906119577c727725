"""Wells found: metadata joined with one model's table, its features chosen, none of them read yet.

Conventions
    Wells are in order of experiment, in it of perturbation, then of `well_id`, whatever the order of the
    files' rows. What a table may come in is said by `polaris_rxrx.wells.containers`, which columns are
    features by `polaris_rxrx.wells.features`, which row is which well by `polaris_rxrx.wells.join`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.parallel import Workers
from polaris_rxrx.types import Ints
from polaris_rxrx.wells.containers import open_embeddings
from polaris_rxrx.wells.design import Design
from polaris_rxrx.wells.features import LEAST, Choice, choose
from polaris_rxrx.wells.gather import Places, Sites, check_sites
from polaris_rxrx.wells.ids import as_ids
from polaris_rxrx.wells.join import Join, join
from polaris_rxrx.wells.metadata import Metadata, read_metadata
from polaris_rxrx.wells.table import OpenTable

_LEAST_NUMBERED = 20  # rows; of fewer, whole numbers without a gap may be chance


@dataclass(frozen=True, eq=False)
class OpenWells:
    """A table, its wells and features.

    `row` (n,) is each well's row of the metadata, in order, `places` where the table's rows go, `well_id`
    the wells' ids, `absent` whether values may be no numbers.
    """

    table: OpenTable
    choice: Choice
    meta: Metadata
    joined: Join
    row: Ints
    places: Places
    well_id: Any
    sites: Sites
    absent: bool
    told: list[tuple[Path, str]]

    @property
    def features(self) -> list[str]:
        return self.choice.names

    @property
    def missing(self) -> int:
        """How many wells of the metadata are not in the table."""
        return len(self.meta) - len(self.row)

    @property
    def sources(self) -> dict[str, str]:
        return {"metadata": str(self.meta.path), "embeddings": str(self.table.path)}

    @property
    def files(self) -> dict[str, tuple[Path, ...]]:
        """The files of a source that is not one file."""
        return {} if self.table.files is None else {"embeddings": self.table.files}

    def name(self, i: int) -> str:
        """The id of the i-th well."""
        return str(self.well_id[i].as_py())

    def notes(self, seen: Sequence[str]) -> tuple[str, ...]:
        """What a user should be told of the reading, and of what was seen in the values."""
        rows_told, _ = _about_rows(self.table.path, self.joined, self.places, self.sites, self.meta)
        chosen = self.choice.told(self.table.numeric())
        return (chosen, *(note for _, note in self.told), *rows_told, *seen)

    def provenance(self, values: Any) -> dict[str, Any]:
        """What a protocol keeps of the reading; `values` is what was seen in them."""
        _, rows = _about_rows(self.table.path, self.joined, self.places, self.sites, self.meta)
        return {
            "n_wells_missing": self.missing,
            "reading": {
                "features": self.choice.to_dict(),
                # A protocol says not where.
                "ids": [n.replace(f"{p}:", f"{p.name}:", 1) for p, n in self.told],
                "values": values,
                **rows,
            },
            "made_up": self.table.synthetic,
            **self.meta.design.to_dict(),
        }


def open_wells(
    metadata: Path | str | Metadata,
    embeddings: Any,
    *,
    width: int | None = None,
    allow_nan: bool = False,
    allow_missing: bool = False,
    guides: bool = False,
    features: str | Sequence[str] = (),
    sites: Sites = "mean",
    ids: Path | str | None = None,
    layer: str | None = None,
    design: Design | None = None,
    who: Workers | None = None,
) -> OpenWells:
    """Open the metadata and a table and join them; arguments and errors are those of `read_wells`.

    `who` opens many files, this process unless others are named.
    """
    check_sites(sites)
    if isinstance(metadata, Metadata):
        meta = metadata
        if design is not None and design != meta.design:
            raise UsageError(f"{meta.path}: the wells were read with {meta.design}, not {design}")
    else:
        meta = read_metadata(Path(metadata), guides=guides, design=design)
    table = open_embeddings(embeddings, ids=None if ids is None else Path(ids), layer=layer, who=who)
    path = table.path
    choice = _choose(table, meta, [features] if isinstance(features, str) else features)
    if width is not None and len(choice.names) != width:
        raise DataError(
            f"{path} has {len(choice.names):,} features; {width:,} were expected. Is it another model's "
            f"file? Taken are {choice.told(table.numeric())}"
        )
    well_id, stripped = as_ids(path, "well_id", table.read(["well_id"]).column(0))
    joined = join(path, well_id, meta, allow_missing=allow_missing)
    row, places = _in_order(joined, meta)
    return OpenWells(
        table=table,
        choice=choice,
        meta=meta,
        joined=joined,
        row=row,
        places=places,
        well_id=meta.well_id.take(row),
        sites=sites,
        absent=allow_nan,
        told=[
            *((meta.path, note) for note in meta.notes),
            *((path, note) for note in (*table.told, *stripped)),
            *joined.told,
        ],
    )


def _in_order(joined: Join, meta: Metadata) -> tuple[Ints, Places]:
    """The metadata's rows that have wells, in the order of `Wells`, and where the table's rows go."""
    import pyarrow.compute as pc

    there = np.zeros(len(meta), dtype=bool)
    there[joined.row[joined.row >= 0]] = True
    row = np.flatnonzero(there)
    by_name = np.empty(len(row), dtype=np.int64)
    by_name[pc.sort_indices(meta.well_id.take(row)).to_numpy()] = np.arange(len(row))
    row = row[np.lexsort((by_name, meta.perturbation[row], meta.experiment[row]))]
    at = np.full(len(meta) + 1, -1, dtype=np.int64)  # the last one is that of a row without a well
    at[row] = np.arange(len(row))
    return row, Places(at[joined.row], len(row))


def _about_rows(
    path: Path, joined: Join, places: Places, sites: Sites, meta: Metadata
) -> tuple[list[str], dict[str, Any]]:
    """What to tell, and what a protocol keeps, of rows that were left out or made one."""
    notes, kept = list[str](), dict[str, Any]()
    if joined.n_left_out:
        n_rows = int((joined.row < 0).sum())
        more = " ..." if joined.n_left_out > len(joined.left_out) else ""
        notes.append(
            f"{path}: {joined.n_left_out:,} wells ({n_rows:,} rows) are not in {meta.path} and were left "
            f"out: {', '.join(map(repr, joined.left_out))}{more}"
        )
        kept["left_out"] = {"n_wells": joined.n_left_out, "n_rows": n_rows, "wells": list(joined.left_out)}
    if not places.single:
        several, rows = int((places.counts > 1).sum()), int(places.counts.sum())
        least, most = int(places.counts.min()), int(places.counts.max())
        span = f"{most:,}" if least == most else f"{least:,} to {most:,}"
        notes.append(
            f"{path}: {rows:,} rows of {places.n_wells:,} wells, {span} a well; the {sites} was taken of the "
            f"{several:,} wells that have several"
        )
        kept["rows"] = {
            "n": rows,
            "n_wells": places.n_wells,
            "n_wells_with_several": several,
            "least": least,
            "most": most,
            "sites": sites,
        }
    return notes, kept


def _choose(table: OpenTable, meta: Metadata, patterns: Sequence[str]) -> Choice:
    """The features of a table."""
    if "well_id" not in table.names:
        raise DataError(f"{table.path}: no column 'well_id'; it has {some(table.names)}")

    def counts_wells(name: str) -> bool:
        import pyarrow as pa

        kind = table.schema.field(name).type
        if not (pa.types.is_integer(kind) or (table.is_csv and pa.types.is_floating(kind))):
            return False
        values = table.read([name]).column(0)
        if values.null_count or len(values) < _LEAST_NUMBERED:
            return False
        found = np.sort(values.to_numpy())
        return float(found[0]).is_integer() and bool((np.diff(found) == 1).all())

    commas = table.with_decimal_commas()
    if len(commas) >= LEAST:
        raise DataError(f"{table.path}: column {some(commas)} has decimal commas; write decimal points")
    one_file = table.path.exists() and table.path.samefile(meta.path)
    found = choose(
        table.path,
        {name: table.kind(name) for name in table.header},
        indices=table.indices,
        metadata=() if one_file else meta.columns,
        patterns=patterns,
        counts_wells=counts_wells,
    )
    if all(str(table.schema.field(name).type) == "uint16" for name in found.names):
        raise DataError(
            f"{table.path}: every feature is uint16, which is what bfloat16 comes as; save them as float32"
        )
    return found
