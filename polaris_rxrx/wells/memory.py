"""Wells in memory: metadata joined with one model's embeddings.

Conventions
    The matrix of `Wells` is C-ordered, one row a well, sorted by experiment, in it by perturbation, then by
    `well_id`: an experiment is a contiguous block, and the order of the files' rows changes no bit of a sum.
    Which columns are features, and in which order, `polaris_rxrx.wells.features` says; which values are
    refused or told of, `polaris_rxrx.wells.values`. Features are float32 unless the file holds something
    wider; decimals and whole numbers become float64. What a table may come in is said by
    `polaris_rxrx.wells.containers`, which row is which well by `polaris_rxrx.wells.join`, and what becomes of
    a well's several rows by `polaris_rxrx.wells.gather`.

Reading
    A parquet file is read a few columns at a time into the rows where they belong, so the peak is little more
    than the matrix itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.types import Bools, Ints, Matrix, Progress
from polaris_rxrx.wells.containers import open_embeddings
from polaris_rxrx.wells.design import Design
from polaris_rxrx.wells.features import LEAST, Choice, choose
from polaris_rxrx.wells.gather import Places, Sites, check_sites, gather
from polaris_rxrx.wells.ids import as_ids
from polaris_rxrx.wells.join import Join, join
from polaris_rxrx.wells.metadata import Metadata, Perturbations, read_metadata
from polaris_rxrx.wells.source import WellBlock
from polaris_rxrx.wells.table import OpenTable
from polaris_rxrx.wells.values import Extremes, look

_LEAST_NUMBERED = 20  # rows; of fewer, whole numbers without a gap may be chance


@dataclass(frozen=True, eq=False)
class Wells:
    """Wells in memory. `missing` counts metadata wells without an embedding, `sources` says what was read.

    `files` are those of a source that is not one file: of a folder many, of a table in memory none. `joined`
    are the tables that a dataset card joined to the metadata, by name.
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
    files: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    joined: Mapping[str, Path] = field(default_factory=dict)
    position: Ints | None = None

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
                None if self.position is None else self.position[a:b],
            )


def read_wells(
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
    progress: Progress | None = None,
) -> Wells:
    """Read the metadata and an embedding (or feature) table and join them on `well_id`.

    Args:
        metadata: A table with at least the columns of `NEEDED`; or wells that were read.
        embeddings: A file, a folder of files, or a glob of them: parquet, CSV or TSV, Feather, HDF5, AnnData,
            .npz, .npy; ids and one numeric column a feature, or arrays. Or a table in memory: pandas',
            polars' or pyarrow's.
        width: How many features are expected.
        allow_nan: Let NaN and infinite values through (a feature table to be cleaned).
        allow_missing: Let wells of the metadata be absent from the embeddings.
        guides: A CRISPR well's perturbation is its guide (`treatment`), not its gene.
        features: Patterns of the names of features, `*` and `?` as in a shell; without any, names decide.
        sites: What several rows of a well become: their `mean` or their `median`.
        ids: The ids of the rows of an .npy file, or the index of a folder of DeepProfiler's files.
        layer: A layer of an AnnData file, in place of X.
        design: Batches, controls and positions; of wells that were read, those that they were read with.
        progress: Called with a word, how far, out of how many.

    Raises:
        DataError: Naming the file and what is wrong with it.
        UsageError: `ids` or `layer` mean nothing for such a file, `sites` is something else, or the wells
            were read with another design.
    """
    check_sites(sites)
    if isinstance(metadata, Metadata):
        meta = metadata
        if design is not None and design != meta.design:
            raise UsageError(f"{meta.path}: the wells were read with {meta.design}, not {design}")
    else:
        meta = read_metadata(Path(metadata), guides=guides, design=design)
    table = open_embeddings(embeddings, ids=None if ids is None else Path(ids), layer=layer)
    path = table.path
    choice = _choose(table, meta, [features] if isinstance(features, str) else features)
    names = choice.names
    if width is not None and len(names) != width:
        raise DataError(
            f"{path} has {len(names):,} features; {width:,} were expected. Is it another model's file? Taken "
            f"are {choice.told(table.numeric())}"
        )
    well_id, stripped = as_ids(path, "well_id", table.read(["well_id"]).column(0))
    joined = join(path, well_id, meta, allow_missing=allow_missing)
    row, places = _in_order(joined, meta)
    well_id = meta.well_id.take(row)
    extremes = None if allow_nan else Extremes.of(len(names))

    def seen_block(start: int, block: Matrix) -> None:
        if extremes is not None and not extremes.add(start, block):
            _refuse_nan(path, names[start : start + len(block)], block, well_id)

    x = gather(table, names, places, sites=sites, absent=allow_nan, progress=progress, seen=seen_block)
    seen = look(x, names, lambda i: str(well_id[i].as_py()), path, extremes)
    told = [
        *((meta.path, note) for note in meta.notes),
        *((path, note) for note in (*table.told, *stripped)),
        *joined.told,
    ]
    rows_told, rows = _about_rows(path, joined, places, sites, meta)
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
        notes=(choice.told(table.numeric()), *(note for _, note in told), *rows_told, *seen.notes),
        provenance={
            "n_wells_missing": len(meta) - len(row),
            "reading": {
                "features": choice.to_dict(),
                "ids": [n.replace(f"{p}:", f"{p.name}:", 1) for p, n in told],  # a protocol says not where
                "values": seen.to_dict(),
                **rows,
            },
            "made_up": table.synthetic,
            **meta.design.to_dict(),
        },
        plate=None if meta.plate is None else meta.plate[row],
        position=None if meta.position is None else meta.position[row],
        files={} if table.files is None else {"embeddings": table.files},
        joined=meta.joined,
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


def _refuse_nan(path: Path, names: Sequence[str], block: Matrix, ids: Any) -> None:
    column = next(i for i, values in enumerate(block) if not np.isfinite(values).all())
    row = int(np.flatnonzero(~np.isfinite(block[column]))[0])
    n = int((~np.isfinite(block[column])).sum())
    well = ids[row].as_py()
    raise DataError(
        f"{path}: feature {names[column]!r} is {block[column, row]} in well {well!r} (not finite in {n:,} of "
        f'{block.shape[1]:,} wells); an embedding holds finite numbers. A card with kind = "profile" '
        "has its features cleaned"
    )
