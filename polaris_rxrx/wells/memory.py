"""Wells in memory: metadata joined with one model's embeddings.

Conventions
    The matrix of `Wells` is C-ordered, one row a well, sorted by experiment, in it by perturbation, then by
    `well_id`: an experiment is a contiguous block, and the order of the files' rows changes no bit of a sum.
    Which columns are features, and in which order, `polaris_rxrx.wells.features` says; which values are
    refused or told of, `polaris_rxrx.wells.values`. Features are float32 unless the file holds something
    wider; decimals and whole numbers become float64.

Reading
    A parquet file is read a few columns at a time into the rows where they belong, so the peak is little more
    than the matrix itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, some
from polaris_rxrx.types import Bools, Ints, Matrix, Progress
from polaris_rxrx.wells.features import LEAST, Choice, choose
from polaris_rxrx.wells.ids import as_ids
from polaris_rxrx.wells.metadata import Metadata, Perturbations, read_metadata, rows_in_metadata
from polaris_rxrx.wells.source import WellBlock
from polaris_rxrx.wells.table import OpenTable, open_table
from polaris_rxrx.wells.values import Extremes, look

_COLUMNS_AT_ONCE = 32
_LEAST_NUMBERED = 20  # rows; of fewer, whole numbers without a gap may be chance


@dataclass(frozen=True, eq=False)
class Wells:
    """Wells in memory. `missing` counts metadata wells without an embedding, `sources` says what was read.

    `notes` are what a user should be told of the reading, `provenance` is what a protocol keeps of it.
    """

    x: Matrix
    features: list[str]
    experiment: Ints
    experiments: list[str]
    perturbation: Ints
    perturbations: Perturbations
    control: Bools
    missing: int
    sources: dict[str, str]
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    plate: Ints | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def places(self) -> Wells:
        return self

    def blocks(self) -> Iterator[WellBlock]:
        """Experiments in the order of their names."""
        start = np.flatnonzero(np.r_[True, np.diff(self.experiment) != 0][: len(self)])
        for a, b in zip(start, np.r_[start[1:], len(self)][: len(start)], strict=True):
            yield WellBlock(
                self.experiments[self.experiment[a]],
                self.x[a:b],
                self.perturbation[a:b],
                self.control[a:b],
                None if self.plate is None else self.plate[a:b],
            )


def read_wells(
    metadata: Path | str | Metadata,
    embeddings: Path | str,
    *,
    width: int | None = None,
    allow_nan: bool = False,
    allow_missing: bool = False,
    guides: bool = False,
    features: str | Sequence[str] = (),
    progress: Progress | None = None,
) -> Wells:
    """Read the metadata and an embedding (or feature) table and join them on `well_id`.

    Args:
        metadata: CSV or parquet with at least the columns of `NEEDED`; or wells that were read.
        embeddings: Parquet or CSV: `well_id` and one numeric column a feature.
        width: How many features are expected.
        allow_nan: Let NaN and infinite values through (a feature table to be cleaned).
        allow_missing: Let wells of the metadata be absent from the embeddings.
        guides: A CRISPR well's perturbation is its guide (`treatment`), not its gene.
        features: Patterns of the names of features, `*` and `?` as in a shell; without any, names decide.
        progress: Called with a word, how far, out of how many.

    Raises:
        DataError: Naming the file and what is wrong with it.
    """
    import pyarrow.compute as pc

    meta = metadata if isinstance(metadata, Metadata) else read_metadata(Path(metadata), guides=guides)
    path = Path(embeddings)
    table = open_table(path)
    choice = _choose(table, meta, [features] if isinstance(features, str) else features)
    names = choice.names
    if width is not None and len(names) != width:
        raise DataError(
            f"{path} has {len(names):,} features; {width:,} were expected. Is it another model's file? Taken "
            f"are {choice.told(table.numeric())}"
        )
    ids, stripped = as_ids(path, "well_id", table.read(["well_id"]).column(0))
    row = rows_in_metadata(path, ids, meta, allow_missing=allow_missing)
    by_name = np.empty(len(row), dtype=np.int64)
    by_name[pc.sort_indices(ids).to_numpy()] = np.arange(len(row))
    order = np.lexsort((by_name, meta.perturbation[row], meta.experiment[row]))
    extremes = None if allow_nan else Extremes.of(len(names))
    x = _matrix(table, names, ids.take(order), order, extremes, progress)
    row = row[order]
    told = [*((meta.path, note) for note in meta.notes), *((path, note) for note in stripped)]
    seen = look(x, names, lambda i: str(ids[int(order[i])].as_py()), path, extremes)
    return Wells(
        x=x,
        features=names,
        experiment=meta.experiment[row],
        experiments=meta.experiments,
        perturbation=meta.perturbation[row],
        perturbations=meta.perturbations,
        control=meta.control[row],
        missing=len(meta) - len(row),
        sources={"metadata": str(meta.path), "embeddings": str(path)},
        notes=(choice.told(table.numeric()), *meta.notes, *stripped, *seen.notes),
        provenance={
            "n_wells_missing": len(meta) - len(row),
            "reading": {
                "features": choice.to_dict(),
                "ids": [n.replace(f"{p}:", f"{p.name}:", 1) for p, n in told],  # a protocol says not where
                "values": seen.to_dict(),
            },
            "made_up": table.synthetic,
        },
        plate=None if meta.plate is None else meta.plate[row],
    )


def _matrix(
    table: OpenTable,
    names: list[str],
    ids: Any,
    order: Ints,
    extremes: Extremes | None,
    progress: Progress | None,
) -> Matrix:
    """The features of the table's rows in this order, named by `ids`; finite where there are `extremes`."""
    x = np.empty((len(order), len(names)), dtype=table.dtype(names))
    for start in range(0, len(names), _COLUMNS_AT_ONCE):
        some_names = names[start : start + _COLUMNS_AT_ONCE]
        columns = table.read(some_names)
        block = np.empty((len(some_names), len(order)), dtype=x.dtype)
        for i, name in enumerate(some_names):
            block[i] = _as_floats(columns.column(name))[order]
        if extremes is not None and not extremes.add(start, block):
            _refuse_nan(table.path, some_names, block, ids)
        x[:, start : start + len(some_names)] = block.T
        if progress is not None:
            progress("reading", start + len(some_names), len(names))
    return x


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
    one_file = table.path.samefile(meta.path)
    return choose(
        table.path,
        {name: table.kind(name) for name in table.header},
        indices=table.indices,
        metadata=() if one_file else meta.columns,
        patterns=patterns,
        counts_wells=counts_wells,
    )


def _as_floats(column: Any) -> Matrix:
    """A column of numbers as numpy has them; null becomes NaN."""
    import pyarrow as pa

    if pa.types.is_decimal(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.float64())
    values: Matrix = column.to_numpy()
    return values


def _refuse_nan(path: Path, names: Sequence[str], block: Matrix, ids: Any) -> None:
    column, row = (int(i[0]) for i in np.nonzero(~np.isfinite(block)))
    n = int((~np.isfinite(block[column])).sum())
    well = ids[row].as_py()
    raise DataError(
        f"{path}: feature {names[column]!r} is {block[column, row]} in well {well!r} (not finite in {n:,} of "
        f'{block.shape[1]:,} wells); an embedding holds finite numbers. A card with kind = "profile" '
        "has its features cleaned"
    )
