"""A large table in pieces, each of which is read on its own, wherever that is.

Conventions
    A piece is a file, or some row groups of a parquet file; it says how to open the file again and pickles
    small. Its features are read in blocks, features first (c, n): all of its rows at once where they fit,
    else a few columns at a time. A row group larger than `WHOLE` is read by columns: as rows it would have
    to be unpacked in full.
    Pieces of a table follow one another in the order of its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
_COLUMNS = 8  # at once, at least: every call costs the same for one


@dataclass(frozen=True)
class Piece:
    """The `n` rows of the file at `path`, or of some `row_groups` of a parquet file."""

    path: Path
    n: int
    row_groups: tuple[int, ...] | None = None
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
        table = _reopen(self)
        step = self.columns_at_once(len(names), most)
        for start in range(0, len(names), step):
            here = list(names[start : start + step])
            columns = table.read(here)
            if columns.num_rows != self.n:
                raise DataError(
                    f"{self.path} has {columns.num_rows:,} rows where it had {self.n:,}; has it changed?"
                )
            block = np.empty((len(here), self.n), dtype=dtype)
            for i, name in enumerate(here):
                block[i] = as_floats(columns.column(name))
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
        return [p for part in table.parts for p in _pieces(part.path, part.n, names, layer, ids)]
    return _pieces(table.path, table.read(["well_id"]).num_rows, names, layer, ids)


def _pieces(path: Path, n: int, names: Sequence[str], layer: str | None, ids: Path | None) -> list[Piece]:
    """A file's pieces: neighboring row groups together, up to `WHOLE`; any other file is one piece."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_binary(path) as handle:
        is_parquet = handle.read(4) == b"PAR1"
    if not is_parquet:
        return [Piece(path, n, None, layer, ids)]
    try:
        held = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None
    if held.num_rows != n:
        raise DataError(f"{path} has {held.num_rows:,} rows where it had {n:,}; has it changed?")
    if not set(names) <= {held.schema.column(i).path for i in range(held.num_columns)}:
        return [Piece(path, n)]  # lists in one column
    found: list[Piece] = []
    groups, rows, size = list[int](), 0, 0
    for g in range(held.num_row_groups):
        group = held.row_group(g)
        if groups and size + group.total_byte_size > WHOLE:
            found.append(Piece(path, rows, tuple(groups)))
            groups, rows, size = [], 0, 0
        groups.append(g)
        rows, size = rows + group.num_rows, size + group.total_byte_size
    return [*found, Piece(path, rows, tuple(groups))] if groups else found


def _reopen(piece: Piece) -> OpenTable:
    """The file of a piece, opened anew so that its rows alone are read."""
    if piece.row_groups is None:
        if is_profile(piece.path):
            return read_profile(piece.path)
        return open_embeddings(piece.path, ids=piece.ids, layer=piece.layer)
    import pyarrow as pa
    import pyarrow.parquet as pq

    groups = list(piece.row_groups)
    try:
        file = pq.ParquetFile(piece.path, pre_buffer=False)
        schema = file.schema_arrow
    except FileNotFoundError:
        raise DataError(f"{piece.path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{piece.path}: cannot be read ({str(error).splitlines()[0]})") from None
    return OpenTable(
        piece.path,
        schema,
        lambda names: file.read_row_groups(groups, columns=names, use_threads=False),
        is_csv=False,
    )
