"""Large tables opened, so that some of their columns can be read: text, parquet, Arrow.

Conventions
    A file's kind is told by its first bytes: parquet, Arrow's file (Feather) and stream, else text, plain or
    gzip, in columns that commas separate, or tabs where the header has more of them. Text stays text (`NA` is
    a name); parquet and Arrow files are read a few columns at a time, text is read whole. What is damaged is
    told with its cure (`polaris_rxrx.damage`), and what would unpack to more than is believed of it is
    refused (`polaris_rxrx.bounded`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx import bounded, damage
from polaris_rxrx.arrow import read_options
from polaris_rxrx.dataset.rxrx3 import NEEDED
from polaris_rxrx.errors import DataError, some
from polaris_rxrx.files import open_binary
from polaris_rxrx.types import Matrix
from polaris_rxrx.wells.ids import TOGETHER, is_text
from polaris_rxrx.wells.remote import RemotePath, opened, parquet_file

_PARTS = {name for names in TOGETHER for name in names}
_ROWS_AT_ONCE, _BUFFER = 1 << 10, 1 << 20  # of a column that is read from its first row to its last
_ARROW_FILE, _ARROW_STREAM = b"ARROW1", b"\xff\xff\xff\xff"


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a table: one file of many, or a block of one file.

    `n` is how many rows it has, `read` reads columns of it. `matrix`, where it is there, reads the same as
    numbers (n, columns), in the order of the names asked for, and is quicker.
    """

    path: Path
    n: int
    read: Callable[[list[str]], Any]
    matrix: Callable[[list[str]], Matrix] | None = None


class OpenTable:
    """A table of which columns can be read.

    `header` holds all its columns, `names` those that can be read and are not pandas' nameless index,
    `indices` those that the file itself calls an index. `told` says what was made of it when it was opened,
    `files` what it was read from, where that is not `path`, and `parts` the files or blocks whose rows, in
    this order, are its own, where it is read so. `again` reads columns of a file that has been closed since,
    `batches` a column from its first row to its last, pyarrow's arrays of some rows each.
    """

    told: tuple[str, ...] = ()
    parts: Sequence[Part] = ()
    again: Callable[[list[str]], Any] | None = None
    batches: Callable[[str], Iterator[Any]] | None = None
    files: tuple[Path, ...] | None = None

    def __init__(
        self,
        path: Path,
        schema: Any,
        read: Callable[[list[str]], Any],
        *,
        is_csv: bool,
        header: Sequence[str] | None = None,
    ) -> None:
        self.path, self.schema, self._read, self.is_csv = path, schema, read, is_csv
        self.header: list[str] = list(schema.names if header is None else header)
        self.names: list[str] = [n for n in schema.names if not n.startswith("__index_level_")]
        self.indices, self._categories = _of_pandas(schema)
        if len(set(self.names)) < len(self.names):
            twice = sorted(n for n, k in Counter(self.names).items() if k > 1)
            raise DataError(f"{path}: column {some(twice)} stands more than once")

    def read(self, names: list[str]) -> Any:
        import pyarrow as pa

        try:
            return self._read(names)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.path}: cannot be read to its end ({_first_line(error)})") from None

    def at(self, row: int) -> str:
        """`meta.csv, line 17`: where a row stands, for a message."""
        return f"{self.path}, line {row + 2}" if self.is_csv else f"{self.path}, row {row + 1}"

    @property
    def synthetic(self) -> bool:
        """Whether `polaris-rxrx demo` drew the table, as a parquet file's schema says."""
        return b"polaris_rxrx" in (self.schema.metadata or {})

    def kind(self, name: str) -> str | None:
        """None if a column holds numbers, else what it holds, in words."""
        import pyarrow.types as t

        kind = self.schema.field(name).type
        if name in self._categories and not is_text(kind):
            return "categories"
        if t.is_floating(kind) or t.is_integer(kind) or t.is_decimal(kind) or t.is_null(kind):
            return None
        if is_text(kind):
            return "text"
        if t.is_dictionary(kind):
            return "categories"
        if t.is_boolean(kind):
            return "true and false"
        if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
            return f"lists ({kind}); write each number into a column of its own"
        if str(kind) == "fixed_size_binary[2]":
            return f"{kind}, which is what bfloat16 comes as; save it as float32"
        return str(kind)

    def with_decimal_commas(self) -> list[str]:
        """The columns of a CSV whose first cell is a number with a decimal comma."""
        texts = [n for n in self.names if self.is_csv and self.kind(n) == "text" and n != "well_id"]
        first = self.read(texts).slice(0, 1).to_pylist() if texts else []
        return [n for row in first for n in texts if damage.number_hint(row[n])]

    def numeric(self) -> set[str]:
        """The columns that hold numbers."""
        return {n for n in self.header if self.kind(n) is None}

    def dtype(self, names: list[str]) -> Any:
        import pyarrow.types as t

        kinds = {self.schema.field(n).type for n in names}
        narrow = all(t.is_float32(k) or t.is_float16(k) for k in kinds)
        return np.dtype(np.float32 if narrow else np.float64)


def _of_pandas(schema: Any) -> tuple[set[str], set[str]]:
    """The columns that pandas wrote as its index, and those that were categories, which parquet forgets."""
    try:
        said = bounded.json_loads((schema.metadata or {}).get(b"pandas", b"{}"))
        indices = {n for n in said.get("index_columns", ()) if isinstance(n, str)}
        columns = [c for c in said.get("columns", ()) if isinstance(c, dict)]
        categories = {str(c.get("name")) for c in columns if c.get("pandas_type") == "categorical"}
        return indices & set(schema.names), categories & set(schema.names)
    except (ValueError, AttributeError, TypeError):  # not pandas' own: nothing is known
        return set(), set()


def open_table(path: Path, *, text: bool = False, only: Sequence[str] = NEEDED) -> OpenTable:
    """Open a parquet, Arrow or text file (plain or gzip), told apart by their first bytes.

    With `text` just the columns of `only` are read, and every cell is text.
    """
    import pyarrow as pa

    with open_binary(path) as handle:
        start = handle.read(damage.START)
    if not start:
        raise DataError(f"{path} is empty")
    binary = start.startswith((b"PAR1", _ARROW_FILE, _ARROW_STREAM))
    mark = ","
    if not binary:
        damage.refuse_other_kind(path, start)
        head = damage.start_of(path, start)
        mark = _separator(head)
        if mark == ",":
            damage.refuse_other_csv(path, head)
    try:
        if not binary:
            return _open_text(path, start, mark, only if text else None)
        table = _open_parquet(path) if start.startswith(b"PAR1") else _open_arrow(path, start)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: neither a whole parquet nor a CSV file ({_first_line(error)})") from None
    return _all_text(table, only) if text else table


def _open_parquet(path: Path) -> OpenTable:
    import pyarrow.parquet as pq

    file = local_parquet(path)
    schema = file.schema_arrow  # made anew at each call
    bounded.check_parquet(file.metadata, path, path.stat().st_size)
    bounded.check_texts(path, path, schema, metadata=file.metadata)
    table = OpenTable(path, schema, lambda names: file.read(columns=names), is_csv=False)
    table.again = partial(read_parquet, path)

    def batches(name: str) -> Iterator[Any]:
        again = pq.ParquetFile(path, metadata=file.metadata, buffer_size=_BUFFER, pre_buffer=False)
        for batch in again.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[name], use_threads=False):
            yield batch.column(0)

    table.batches = batches
    return table


def local_parquet(path: Path, **options: Any) -> Any:
    """pyarrow's `ParquetFile` of a local path; the footer of the last file is kept for who opens it again.

    pyarrow keeps some 800 bytes for each column of each row group: half a gigabyte, and two seconds, for
    a file of two million wells in small row groups.

    Raises:
        OSError: It is not there, or cannot be read.
        pyarrow.ArrowException: It is no parquet file.
    """
    import pyarrow.parquet as pq

    held = path.stat()
    key = (path.absolute(), held.st_mtime_ns, held.st_size)
    file = pq.ParquetFile(path, metadata=_last_footer.get(key), **options)
    if key not in _last_footer:
        _last_footer.clear()
        _last_footer[key] = file.metadata
    return file


_last_footer: dict[tuple[Path, int, int], Any] = {}


def read_parquet(path: Path, names: list[str]) -> Any:
    """Columns of a parquet file that was opened before, and found in order."""
    file = parquet_file(path)[0] if isinstance(path, RemotePath) else local_parquet(path)
    return file.read(columns=names)


def open_remote(path: RemotePath) -> OpenTable:
    """Open a parquet file elsewhere; the table's path has its identity.

    Raises:
        DataError: It is not there, or not a parquet file that can be read in parts.
        UpstreamError: It cannot be had.
    """
    file, path = parquet_file(path)
    assert path.identity is not None
    schema = file.schema_arrow
    bounded.check_parquet(file.metadata, path, path.identity.size)
    bounded.check_texts(opened(path)[0], path, schema, metadata=file.metadata)
    table = OpenTable(path, schema, lambda names: file.read(columns=names), is_csv=False)
    table.again = partial(read_parquet, path)
    table.files = (path,)
    return table


def _open_arrow(path: Path, start: bytes) -> OpenTable:
    """Arrow's own formats; of a file (Feather), which is mapped into memory, a few columns can be read."""
    import pyarrow as pa

    source = pa.memory_map(str(path))
    most = bounded.room(path.stat().st_size)

    def whole(batches: Any, schema: Any) -> Any:
        kept, seen = [], 0
        for batch in batches:
            kept.append(batch)
            seen += batch.nbytes
            if seen > most:
                raise DataError(
                    f"{path}: unpacks to more than {bounded.size(most)}, the most that is read of it"
                )
        return pa.Table.from_batches(kept, schema)

    if start.startswith(_ARROW_STREAM):
        with pa.ipc.open_stream(source) as stream:
            table = whole(stream, stream.schema)
        return OpenTable(path, table.schema, table.select, is_csv=False)
    schema = pa.ipc.open_file(source).schema

    def read(names: list[str]) -> Any:
        fields = [schema.get_field_index(n) for n in names]
        file = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=sorted(fields)))
        batches = (file.get_batch(i) for i in range(file.num_record_batches))
        return whole(batches, file.schema).select(names)

    def column(name: str) -> Iterator[Any]:
        only = pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index(name)])
        file = pa.ipc.open_file(source, options=only)
        return (file.get_batch(i).column(0) for i in range(file.num_record_batches))

    table = OpenTable(path, schema, read, is_csv=False)
    table.batches = column
    return table


def _open_text(path: Path, start: bytes, mark: str, only: Sequence[str] | None) -> OpenTable:
    """A CSV, or a table with tabs; with `only`, those of its columns, all of them as text."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    compression = "gzip" if start[:2] == b"\x1f\x8b" else None
    if compression:
        bounded.check_gzip(path)
    split, by = pacsv.ParseOptions(delimiter=mark), read_options(path.stat().st_size)
    with pa.input_stream(str(path), compression=compression) as stream:
        guessed = pacsv.open_csv(stream, by, split).schema  # of a block: 0, 0 may go on with 0.5
    header = guessed.names
    whole_numbers = [f.name for f in guessed if pa.types.is_integer(f.type)]
    ids = ["well_id"] if "well_id" in header else [n for n in header if n.casefold() in _PARTS]
    types = {
        **dict.fromkeys(whole_numbers, pa.float64()),
        **dict.fromkeys(ids if only is None else header, pa.string()),
    }
    options = pacsv.ConvertOptions(
        column_types=types,
        strings_can_be_null=False,
        include_columns=[n for n in header if only is None or n in only],
    )
    parse = pacsv.ParseOptions(delimiter=mark, newlines_in_values=True)
    with pa.input_stream(str(path), compression=compression) as stream:
        whole = pacsv.read_csv(stream, by, parse, options)
    return OpenTable(path, whole.schema, whole.select, is_csv=True, header=header)


def _separator(head: str) -> str:
    """A tab where the header has more of them than of other marks, else a comma."""
    bare = re.sub('"[^"]*"', "", (head.splitlines() or [""])[0])
    tabs = bare.count("\t")
    return "\t" if tabs > max(bare.count(mark) for mark in ",;|") and not bare.startswith("#") else ","


def _all_text(table: OpenTable, only: Sequence[str]) -> OpenTable:
    """Some columns of a table as text."""
    import pyarrow as pa

    whole = table.read([n for n in only if n in table.schema.names])
    whole = pa.table({n: _as_text(whole.column(n)) for n in whole.column_names})
    return OpenTable(table.path, whole.schema, whole.select, is_csv=False, header=table.header)


def _as_text(column: Any) -> Any:
    """Cells of a parquet column as text, null where they are null or NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column.cast(pa.string())


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
