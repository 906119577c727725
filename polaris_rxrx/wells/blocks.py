"""Arrays on a disk, read a block of rows at a time, and tables over them.

Conventions
    A `Stored` array has n rows of the file, (n, width), or (n, sites, width) where a row has several sites,
    which become n * sites rows of a table. Blocks are asked for in order, so that what can only be read from
    its beginning is read once; asked for out of order it is read anew.
    A block has about `AT_ONCE` bytes, but whole chunks where the file has them: the peak is then the matrix
    that is filled and a block.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.errors import DataError
from polaris_rxrx.types import Matrix
from polaris_rxrx.wells.gather import as_floats
from polaris_rxrx.wells.table import OpenTable, Part

AT_ONCE = 1 << 24

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Stored:
    """Rows of numbers that are not in memory yet: `rows` reads those from a to before b, as they are stored.

    `chunk` is how many rows are cheapest to read at once, or a multiple of it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    rows: Callable[[int, int], Array]
    chunk: int = 1

    @classmethod
    def of(cls, x: Array) -> Stored:
        """An array in memory."""
        return cls(x.shape, x.dtype, lambda a, b: x[a:b])

    @property
    def sites(self) -> int:
        """Rows of the table for each of the file."""
        return self.shape[1] if len(self.shape) == 3 else 1

    @property
    def width(self) -> int:
        return self.shape[-1]

    def spans(self) -> list[tuple[int, int]]:
        """From which row to before which each block goes."""
        size = max(1, self.sites * self.width * self.dtype.itemsize)
        step = max(1, AT_ONCE // size)
        step = -(-step // self.chunk) * self.chunk
        return [(a, min(a + step, self.shape[0])) for a in range(0, self.shape[0], step)]

    def block(self, a: int, b: int) -> Array:
        """Rows of the table (m, width) from these rows, in the machine's byte order."""
        found = self.rows(a, b).reshape((b - a) * self.sites, self.width)
        return found if found.dtype.isnative else found.astype(found.dtype.newbyteorder("="))

    def guarded(self, path: Path, kind: str) -> Stored:
        """The same, whose errors of reading are a `DataError` that names the file and its kind."""

        def rows(a: int, b: int) -> Array:
            try:
                return self.rows(a, b)
            except (OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
                raise DataError(f"{path}: not a whole {kind} file ({str(error).splitlines()[0]})") from None

        return replace(self, rows=rows)


class InOrder:
    """Rows of what can only be gone through from its beginning.

    Args:
        start: Begins anew, at row 0.
        take: Takes so many rows from there on.
        skip: Passes over so many.
        n: How many rows there are; then the source is closed.
    """

    def __init__(
        self,
        start: Callable[[], Any],
        take: Callable[[Any, int], Array],
        skip: Callable[[Any, int], object],
        n: int,
    ) -> None:
        self._start, self._take, self._skip, self._n = start, take, skip, n
        self._at, self._source = 0, None

    def __call__(self, a: int, b: int) -> Array:
        if self._source is None or a < self._at:
            self._close()
            self._source = self._start()
        if a > self._at:
            self._skip(self._source, a - self._at)
        found = self._take(self._source, b - a)
        self._at = b
        if b == self._n:
            self._close()
        return found

    def _close(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source, self._at = None, 0


def in_stream(
    start: Callable[[], BinaryIO], offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Stored:
    """An array of C order in a stream of bytes, such as a file or a member of an archive.

    Args:
        start: Opens the stream.
        offset: Where the array's first byte is.
        shape: Of the array.
        dtype: Of the array.

    Raises:
        EOFError: As it is read, where the stream ends too early.
    """
    size = int(np.prod(shape[1:])) * dtype.itemsize

    def begin() -> BinaryIO:
        stream = start()
        _pass(stream, offset)
        return stream

    def take(stream: BinaryIO, n: int) -> Array:
        found = np.empty((n, *shape[1:]), dtype)
        into = found.reshape(-1).view(np.uint8)
        at = 0
        while at < len(into):
            raw = stream.read(min(len(into) - at, 1 << 20))
            if not raw:
                raise EOFError("it ends before its last row")
            into[at : at + len(raw)] = np.frombuffer(raw, np.uint8)
            at += len(raw)
        return found

    return Stored(shape, dtype, InOrder(begin, take, lambda stream, n: _pass(stream, n * size), shape[0]))


def _pass(stream: BinaryIO, n: int) -> None:
    """Pass over bytes; a stream that is packed has no shorter way than reading them."""
    while n > 0:
        raw = stream.read(min(n, 1 << 20))
        if not raw:
            raise EOFError("it ends before its last row")
        n -= len(raw)


def in_batches(
    batches: Callable[[], Iterator[Array]], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Stored:
    """Rows that come in batches of whatever length, one after the other.

    Raises:
        EOFError: As it is read, where there are too few.
    """

    return Stored(
        shape,
        dtype,
        InOrder(lambda: _Batches(batches(), shape, dtype), _Batches.take, _Batches.take, shape[0]),
    )


class _Batches:
    """What is left of an iterator of batches."""

    def __init__(self, batches: Iterator[Array], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._batches, self._shape, self._dtype = batches, shape[1:], dtype
        self._left = np.empty((0, *self._shape), dtype)

    def take(self, n: int) -> Array:
        found = np.empty((n, *self._shape), self._dtype)
        at = 0
        while at < n:
            if not len(self._left):
                batch = next(self._batches, None)
                if batch is None:
                    raise EOFError("it ends before its last row")
                self._left = batch
            here = self._left[: n - at]
            found[at : at + len(here)] = here
            self._left = self._left[len(here) :]
            at += len(here)
        return found

    def close(self) -> None:
        self._batches = iter(())


def table_over(
    path: Path, stored: Stored, others: Mapping[str, Any], names: Sequence[str] | None = None
) -> OpenTable:
    """A table over columns in memory and those of an array, which is read when they are.

    Args:
        path: The file.
        stored: Its numbers.
        others: Columns beside them, pyarrow's or text, as many cells as the table has rows.
        names: Of the array's columns.  [default: feature_0, feature_1, ...]
    """
    import pyarrow as pa

    named = [f"feature_{i}" for i in range(stored.width)] if names is None else list(names)
    kept = {
        n: v if isinstance(v, (pa.Array, pa.ChunkedArray)) else pa.array(v, pa.string())
        for n, v in others.items()
    }
    kind = pa.from_numpy_dtype(stored.dtype.newbyteorder("="))
    schema = pa.schema([*((n, v.type) for n, v in kept.items()), *((n, kind) for n in named)])
    at = {name: i for i, name in enumerate(named)}
    parts = [_part(path, stored, at, kept, a, b) for a, b in stored.spans()]

    def read(wanted: list[str]) -> Any:
        numbers = [n for n in wanted if n not in kept]
        found: dict[str, Any] = {n: pa.array([], kind) for n in numbers}
        if numbers and parts:
            blocks = pa.concat_tables([part.read(numbers) for part in parts])
            found = {n: blocks.column(n) for n in numbers}
        return pa.table({n: kept[n] if n in kept else found[n] for n in wanted})

    table = OpenTable(path, schema, read, is_csv=False)
    table.parts = tuple(parts)
    return table


def _part(path: Path, stored: Stored, at: Mapping[str, int], kept: Mapping[str, Any], a: int, b: int) -> Part:
    """A block of rows; a column in memory may be a feature, too, where a user says so."""
    first, n = a * stored.sites, (b - a) * stored.sites

    def matrix(names: list[str]) -> Matrix:
        if not kept.keys() & set(names):
            return columns_of(stored.block(a, b), [at[name] for name in names])
        x = stored.block(a, b)
        return np.column_stack(
            [x[:, at[m]] if m in at else as_floats(kept[m].slice(first, n)) for m in names]
        )

    return part_of(path, n, matrix)


def part_of(path: Path, n: int, matrix: Callable[[list[str]], Matrix]) -> Part:
    """Rows of numbers (n, columns) as a part of a table."""
    import pyarrow as pa

    def read(names: list[str]) -> Any:
        turned = np.ascontiguousarray(matrix(names).T)
        return pa.table({m: pa.array(values) for m, values in zip(names, turned, strict=True)})

    return Part(path, n, read, matrix)


def columns_of(x: Array, columns: Sequence[int]) -> Array:
    """Some columns of an array (n, d), in this order; itself where they are all."""
    n = len(columns)
    if n and list(columns) == list(range(columns[0], columns[0] + n)):
        return x[:, columns[0] : columns[0] + n]
    return x[:, list(columns)]
