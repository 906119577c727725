"""A large table in pieces, each of which is read on its own, wherever that is.

Conventions
    A piece is a file, or some row groups of a parquet file; it says how to open the file again and pickles
    small. Its features are read in blocks, features first (c, n): all of its rows at once where they fit,
    else a few columns at a time. A row group larger than `WHOLE` is read by columns: as rows it would have
    to be unpacked in full.
    Pieces of a table follow one another in the order of its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError
from polaris_rxrx.files import open_binary
from polaris_rxrx.types import Matrix
from polaris_rxrx.wells.arrays import is_profile, read_profile
from polaris_rxrx.wells.containers import open_embeddings
from polaris_rxrx.wells.gather import as_floats
from polaris_rxrx.wells.table import OpenTable

WHOLE = 1 << 26  # bytes of a piece, unpacked, that are read at once
_LARGEST = 8  # bytes of a value
_COLUMNS = 8  # at once, at least: every call costs the same for one


@dataclass(frozen=True)
class Piece:
    """The `n` rows of the file at `path`, or of some `row_groups` of a parquet file (all of them if none)."""

    path: Path
    n: int
    row_groups: tuple[int, ...] | None = None
    is_parquet: bool = False
    layer: str | None = None
    ids: Path | None = None

    def columns_at_once(self, d: int, most: int = WHOLE) -> int:
        """How many of d features of the piece are read at once, so that they stay below so many bytes."""
        return max(min(d, _COLUMNS), min(d, most // (8 * max(self.n, 1))))

    def blocks(self, names: Sequence[str], dtype: Any, *, most: int = WHOLE) -> Iterator[tuple[int, Matrix]]:
        """The first feature's number and some features (c, n) of the piece's rows, one block after another.

        Raises:
            DataError: The file cannot be read, or has not the rows or columns it had.
        """
        read = _reader(self)
        step = self.columns_at_once(len(names), most)
        for start in range(0, len(names), step):
            here = list(names[start : start + step])
            columns = read(here)
            if columns.num_rows != self.n:
                raise DataError(
                    f"{self.path} has {columns.num_rows:,} rows where it had {self.n:,}; has it changed?"
                )
            block = np.empty((len(here), self.n), dtype=dtype)
            for i, column in enumerate(columns.select(here).columns):
                block[i] = as_floats(column)
            yield start, block


def pieces_of(
    table: OpenTable, names: Sequence[str], *, layer: str | None = None, ids: Path | None = None
) -> list[Piece]:
    """The pieces of a table of files, in the order of its rows.

    Args:
        table: From `open_embeddings`.
        names: Its features.
        layer: As it was opened with.
        ids: As it was opened with.

    Raises:
        DataError: The table is one in memory.
    """
    if table.files == ():
        raise DataError(f"{table.path} is in memory already; a file was expected")
    if table.parts:
        files = [(part.path, part.n) for part in table.parts]
    else:
        files = [(table.path, table.read(["well_id"]).num_rows)]
    in_columns: bool | None = None  # of a tree, whose files have the same columns
    found = list[Piece]()
    for path, n in files:
        with open_binary(path) as handle:
            is_parquet = handle.read(4) == b"PAR1"
        if is_parquet and in_columns is None:
            held = _metadata(path)
            in_columns = set(names) <= {held.schema.column(i).path for i in range(held.num_columns)}
        if not is_parquet or not in_columns:
            found.append(Piece(path, n, layer=layer, ids=ids))
        elif n * len(names) * _LARGEST <= WHOLE:
            found.append(Piece(path, n, is_parquet=True))
        else:
            found += _of_row_groups(path, n)
    return found


def _of_row_groups(path: Path, n: int) -> list[Piece]:
    """A parquet file's pieces: neighboring row groups together, up to `WHOLE`."""
    held = _metadata(path)
    if held.num_rows != n:
        raise DataError(f"{path} has {held.num_rows:,} rows where it had {n:,}; has it changed?")
    found: list[Piece] = []
    groups, rows, size = list[int](), 0, 0
    for g in range(held.num_row_groups):
        group = held.row_group(g)
        if groups and size + group.total_byte_size > WHOLE:
            found.append(Piece(path, rows, tuple(groups), True))
            groups, rows, size = [], 0, 0
        groups.append(g)
        rows, size = rows + group.num_rows, size + group.total_byte_size
    return [*found, Piece(path, rows, tuple(groups), True)] if groups else found


def _metadata(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None


def _reader(piece: Piece) -> Callable[[list[str]], Any]:
    """What reads columns of a piece's rows, its file opened anew."""
    if not piece.is_parquet:
        table = read_profile(piece.path) if is_profile(piece.path) else None
        return (table or open_embeddings(piece.path, ids=piece.ids, layer=piece.layer)).read
    import pyarrow as pa
    import pyarrow.parquet as pq

    groups = piece.row_groups

    def read(names: list[str]) -> Any:
        try:
            if groups is None:
                return file.read(columns=names, use_threads=False)
            return file.read_row_groups(list(groups), columns=names, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{piece.path}: cannot be read to its end ({str(error).splitlines()[0]})"
            ) from None

    try:
        file = pq.ParquetFile(piece.path, pre_buffer=False, memory_map=True)
    except FileNotFoundError:
        raise DataError(f"{piece.path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{piece.path}: cannot be read ({str(error).splitlines()[0]})") from None
    return read
