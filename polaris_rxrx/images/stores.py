"""Where images' bytes stand, and how they are got: rows of parquet shards, or files of their own.

Conventions
    An image is a number, its position in a store. `fetch` is asked for the images of one well after another
    and gives their bytes in that order; what cannot be read is a `Bad` in place of the bytes. A store that
    changed since it was indexed is an error: its numbers would mean other images.
    Of shards only the row groups that hold a wanted image are read, each once, whatever the order of rows:
    what a row group holds for later wells is kept until they come. Were more than `HELD` bytes kept so, those
    wanted last are let go, and their row groups read again.
    Stores pickle, and one of few images is small (`take`).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from polaris_rxrx.errors import DataError
from polaris_rxrx.images.decode import Bad
from polaris_rxrx.types import Ints

HELD = 256 << 20  # bytes of images kept for wells to come
_OPEN = 4  # shards
_ROWS = 64  # read at once
LARGEST = 1 << 30  # bytes of a file that is one image

Fetched = dict[int, "bytes | Bad"]


class Store(Protocol):
    """Images' bytes by number."""

    def __len__(self) -> int: ...

    def file(self, image: int) -> str:
        """The file that an image stands in, for a table."""
        ...

    def at(self, image: int) -> str:
        """Where an image stands, for a message: file and row."""
        ...

    def take(self, images: Ints) -> Store:
        """A store with these images alone, in this order."""
        ...

    def fetch(self, wells: Sequence[Ints]) -> Iterator[Fetched]:
        """The bytes of each well's images."""
        ...


@dataclass(frozen=True, eq=False)
class Shard:
    """A parquet file of images.

    `name` is below the folder that was given, `column` what holds the bytes, `starts` (row groups + 1,) the
    first row of each row group, and the number of rows.
    """

    path: Path
    name: str
    bytes: int
    column: str
    starts: Ints
    footer: str


@dataclass(eq=False)
class Shards:
    """Images in rows of shards: which shard (n,), and which row there (n,), counted from 0."""

    shards: tuple[Shard, ...]
    shard: Ints
    row: Ints
    held: int = HELD
    row_groups_read: int = 0
    _open: OrderedDict[int, Any] = field(default_factory=OrderedDict, repr=False)

    def __len__(self) -> int:
        return len(self.row)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}

    def file(self, image: int) -> str:
        return self.shards[int(self.shard[image])].name

    def at(self, image: int) -> str:
        return f"{self.shards[int(self.shard[image])].path}, row {self.row[image] + 1}"

    def take(self, images: Ints) -> Shards:
        used, shard = np.unique(self.shard[images], return_inverse=True)
        kept = tuple(self.shards[i] for i in used)
        return Shards(kept, shard.reshape(-1).astype(self.shard.dtype), self.row[images], self.held)

    def fetch(self, wells: Sequence[Ints]) -> Iterator[Fetched]:
        last = {int(image): turn for turn, images in enumerate(wells) for image in images}
        groups: dict[tuple[int, int], list[int]] = {}
        for image in last:
            groups.setdefault(self._group(image), []).append(image)
        held: Fetched = {}
        size = 0
        for turn, images in enumerate(wells):
            found: Fetched = {}
            for image in map(int, images):
                if image not in held:
                    for other, raw in self._read(self._group(image), groups, held, last, turn):
                        held[other] = raw
                        size += len(raw) if isinstance(raw, bytes) else 0
                found[image] = held.pop(image)
                size -= _size(found[image])
                if size > self.held:
                    size -= _let_go(held, last, turn, size - self.held // 2)
            yield found

    def _group(self, image: int) -> tuple[int, int]:
        shard = int(self.shard[image])
        return shard, int(np.searchsorted(self.shards[shard].starts, self.row[image], side="right")) - 1

    def _read(
        self,
        group: tuple[int, int],
        groups: dict[tuple[int, int], list[int]],
        held: Fetched,
        last: dict[int, int],
        turn: int,
    ) -> Iterator[tuple[int, bytes | Bad]]:
        """What a row group holds for this well and later ones, without what is kept of it already."""
        shard = self.shards[group[0]]
        first = int(shard.starts[group[1]])
        wanted = {
            int(self.row[image]) - first: image
            for image in groups[group]
            if last[image] >= turn and image not in held
        }
        file = self._file(group[0])
        self.row_groups_read += 1
        try:
            for row, raw in _rows(file, shard, group[1], sorted(wanted)):
                yield wanted.pop(row), raw
        except _broken() as error:
            problem = Bad(f"unreadable: row group {group[1] + 1} of the shard is broken ({_first(error)})")
            for image in wanted.values():
                yield image, problem

    def _file(self, number: int) -> Any:
        """A shard, open; of the last few."""
        if (file := self._open.get(number)) is not None:
            self._open.move_to_end(number)
            return file
        shard = self.shards[number]
        file = open_parquet(shard.path)
        if file.metadata.num_rows != shard.starts[-1] or _bytes(shard.path) != shard.bytes:
            raise DataError(f"{shard.path} has changed since it was indexed; begin again")
        self._open[number] = file
        while len(self._open) > _OPEN:
            self._open.popitem(last=False)[1].close()
        return file


def _size(raw: bytes | Bad) -> int:
    return len(raw) if isinstance(raw, bytes) else 0


def _let_go(held: Fetched, last: dict[int, int], turn: int, excess: int) -> int:
    """Forget images of the wells that come last, until `excess` bytes are free; how many were."""
    freed = 0
    for image in sorted((i for i in held if last[i] > turn), key=lambda i: -last[i]):
        if freed >= excess:
            break
        freed += _size(held.pop(image))
    return freed


def _rows(file: Any, shard: Shard, group: int, wanted: list[int]) -> Iterator[tuple[int, bytes | Bad]]:
    """The bytes of some rows of a row group, which is read piece by piece."""
    start = at = 0
    column = shard.column
    for batch in file.iter_batches(_ROWS, row_groups=[group], columns=[column], use_threads=False):
        values = batch.column(0)
        for part in column.split(".")[1:]:
            values = values.field(part) if values.null_count == 0 else values.flatten()[0]
        while at < len(wanted) and wanted[at] < start + len(batch):
            raw = values[wanted[at] - start].as_py()
            yield wanted[at], Bad("empty: no bytes in the shard") if raw is None else raw
            at += 1
        if at == len(wanted):
            return
        start += len(batch)


def open_parquet(path: Path) -> Any:
    """A parquet file, open for reading piece by piece.

    Raises:
        DataError: There is none, or it is broken.
    """
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(str(path), buffer_size=1 << 20, pre_buffer=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except _broken() as error:
        raise DataError(f"{path}: broken parquet file ({_first(error)})") from None


def _broken() -> tuple[type[BaseException], ...]:
    import pyarrow as pa

    return (pa.ArrowException, OSError)


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


@dataclass(eq=False)
class Files:
    """Images in files of their own: names (n,), text of pyarrow's, below a folder; and where each is said."""

    root: Path
    names: Any
    said: str = ""  # the table that names them
    line: Ints | None = None  # and its lines (n,)

    def __len__(self) -> int:
        return len(self.names)

    def file(self, image: int) -> str:
        name: str = self.names[image].as_py()
        return name

    def at(self, image: int) -> str:
        if self.line is not None:
            return f"{self.said} {self.line[image]}"
        return str(self.root / self.file(image))

    def take(self, images: Ints) -> Files:
        line = None if self.line is None else self.line[images]
        return Files(self.root, self.names.take(images), self.said, line)

    def fetch(self, wells: Sequence[Ints]) -> Iterator[Fetched]:
        for images in wells:
            yield {int(image): self._read(int(image)) for image in images}

    def _read(self, image: int) -> bytes | Bad:
        path = self.root / self.file(image)
        try:
            with path.open("rb") as handle:
                if (size := os.fstat(handle.fileno()).st_size) > LARGEST:
                    return Bad(f"too large: a file of {size:,} bytes; at most {LARGEST:,} are read")
                return handle.read(LARGEST)
        except FileNotFoundError:
            return Bad("no such file")
        except (OSError, ValueError) as error:
            return Bad(f"unreadable: {getattr(error, 'strerror', None) or error}")
