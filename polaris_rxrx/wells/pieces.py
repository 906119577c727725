"""A large table in pieces, each of which is read on its own, wherever that is.

Conventions
    A piece is a file, some row groups of a parquet file, or some blocks of rows of an array; it says how to
    open the file again and pickles small. Its features are read in blocks, features first (c, n): all of its
    rows at once where they fit, else a few columns at a time. A row group larger than `WHOLE` is read by
    columns: as rows it would have to be unpacked in full.
    Pieces of a table follow one another in the order of its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError
from polaris_rxrx.files import open_binary, sha256
from polaris_rxrx.types import Matrix
from polaris_rxrx.wells.containers import open_embeddings
from polaris_rxrx.wells.deepprofiler import is_profile, profile_part, profile_shape
from polaris_rxrx.wells.gather import as_floats, block_of
from polaris_rxrx.wells.remote import RemotePath, identity_of_many, parquet_file
from polaris_rxrx.wells.table import OpenTable, Part, local_parquet

WHOLE = 1 << 26  # bytes of a piece, unpacked, that are read at once
_LARGEST = 8  # bytes of a value
_COLUMNS = 8  # at once, at least: every call costs the same for one


@dataclass(frozen=True)
class Piece:
    """`n` rows of the file at `path`: all of them, some `row_groups` of parquet, or some `parts` of an array.

    Parts count from the first to before the last.
    """

    path: Path
    n: int
    row_groups: tuple[int, ...] | None = None
    is_parquet: bool = False
    parts: tuple[int, int] | None = None
    layer: str | None = None
    ids: Path | None = None

    def anywhere(self) -> Piece:
        """The same, whatever the working folder is."""
        ids = None if self.ids is None else self.ids.absolute()
        return replace(self, path=self.path.absolute(), ids=ids)

    def columns_at_once(self, d: int, most: int = WHOLE) -> int:
        """How many of d features of the piece are read at once, so that they stay below so many bytes."""
        return max(min(d, _COLUMNS), min(d, most // (8 * max(self.n, 1))))

    def blocks(self, names: Sequence[str], dtype: Any, *, most: int = WHOLE) -> Iterator[tuple[int, Matrix]]:
        """The first feature's number and some features (c, n) of the piece's rows, one block after another.

        Raises:
            DataError: The file cannot be read, or has not the rows or columns it had.
        """
        if self.parts is not None:
            yield 0, self._of_parts(names, dtype)
            return
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

    def _of_parts(self, names: Sequence[str], dtype: Any) -> Matrix:
        """All features (d, n) of an array's parts."""
        assert self.parts is not None
        a, b = self.parts
        found = _parts(self.path, self.layer, self.ids, self.path.stat().st_mtime_ns)[a:b]
        if sum(part.n for part in found) != self.n:
            raise DataError(f"{self.path} has other rows than it had; has it changed?")
        rows = [block_of(part, names, np.arange(part.n), dtype) for part in found]
        return np.ascontiguousarray(np.concatenate(rows).T)


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
    parts = table.parts or [Part(table.path, table.read(["well_id"]).num_rows, table.read)]
    in_columns: bool | None = None  # of a tree, whose files have the same columns
    found = list[Piece]()
    for path, of_file in ((p, list(group)) for p, group in groupby(parts, lambda part: part.path)):
        n = sum(part.n for part in of_file)
        is_parquet = _is_parquet(path)
        if is_parquet and in_columns is None:
            held = _metadata(path)
            in_columns = set(names) <= {held.schema.column(i).path for i in range(held.num_columns)}
        if is_parquet and in_columns:
            small = n * len(names) * _LARGEST <= WHOLE
            found += [Piece(path, n, is_parquet=True)] if small else _of_row_groups(path, n)
        elif table.parts and of_file[0].matrix is not None:
            found += _of_array(path, of_file, len(names), layer, ids)
        else:
            found.append(Piece(path, n, layer=layer, ids=ids))
    return found


def _of_array(path: Path, parts: Sequence[Part], d: int, layer: str | None, ids: Path | None) -> list[Piece]:
    """An array's pieces: neighboring blocks of rows together, up to `WHOLE`."""
    found, a = list[Piece](), 0
    while a < len(parts):
        b, n = a + 1, parts[a].n
        while b < len(parts) and (n + parts[b].n) * d * _LARGEST <= WHOLE:
            n += parts[b].n
            b += 1
        found.append(Piece(path, n, layer=layer, ids=ids, parts=(a, b)))
        a = b
    return found


@lru_cache(maxsize=1)  # pieces of one file follow one another, and some arrays are read from their beginning
def _parts(path: Path, layer: str | None, ids: Path | None, changed: int) -> Sequence[Part]:
    if is_profile(path):
        (n, d), _ = profile_shape(path)
        return [profile_part(path, n, {f"feature_{i}": i for i in range(d)})]
    return open_embeddings(path, ids=ids, layer=layer).parts


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


def content_key(path: Path) -> str:
    """What tells a piece's file from any other: the SHA-256 of its bytes, elsewhere its server's word."""
    return str(identity_of_many([path])) if isinstance(path, RemotePath) else sha256(path)


def _is_parquet(path: Path) -> bool:
    if isinstance(path, RemotePath):  # nothing else is read there
        return True
    with open_binary(path) as handle:
        return handle.read(4) == b"PAR1"


def _metadata(path: Path) -> Any:
    import pyarrow as pa

    if isinstance(path, RemotePath):
        return parquet_file(path)[0].metadata
    try:
        return local_parquet(path).metadata
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None


def _reader(piece: Piece) -> Callable[[list[str]], Any]:
    """What reads columns of a piece's rows, its file opened anew."""
    if not piece.is_parquet:
        return open_embeddings(piece.path, ids=piece.ids, layer=piece.layer).read
    import pyarrow as pa

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

    if isinstance(piece.path, RemotePath):
        file = parquet_file(piece.path)[0]
        return read
    try:
        file = local_parquet(piece.path, pre_buffer=False, memory_map=True)
    except FileNotFoundError:
        raise DataError(f"{piece.path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{piece.path}: cannot be read ({str(error).splitlines()[0]})") from None
    return read
