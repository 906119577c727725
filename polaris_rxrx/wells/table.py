"""Large tables opened, so that some of their columns can be read: CSV (plain or gzip) and parquet.

Conventions
    A file's kind is told by its first bytes. Text stays text (`NA` is a name); a parquet file is read a few
    columns at a time; a CSV is read whole. What is damaged is told with its cure (`polaris_rxrx.damage`), and
    what would unpack to more than is believed of it is refused (`polaris_rxrx.bounded`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx import bounded, damage
from polaris_rxrx.dataset.rxrx3 import NEEDED
from polaris_rxrx.errors import DataError, some
from polaris_rxrx.files import open_binary
from polaris_rxrx.wells.ids import is_text


class OpenTable:
    """A CSV or parquet file of which columns can be read.

    `header` holds all its columns, `names` those that can be read and are not pandas' nameless index,
    `indices` those that the file itself calls an index.
    """

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
            twice = sorted({n for n in self.names if self.names.count(n) > 1})
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
    """Open a parquet or CSV file (plain or gzip), told apart by their first bytes.

    With `text` just the columns of `only` are read, and every cell is text.
    """
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    with open_binary(path) as handle:
        start = handle.read(damage.START)
    if not start:
        raise DataError(f"{path} is empty")
    if not start.startswith(b"PAR1"):
        damage.refuse_other_kind(path, start)
        damage.refuse_other_csv(path, damage.start_of(path, start))
    try:
        if start.startswith(b"PAR1"):
            file = pq.ParquetFile(path)
            bounded.check_parquet(file.metadata, path, path.stat().st_size)
            bounded.check_texts(path, path, file.schema_arrow)
            if text:
                whole = file.read([n for n in only if n in file.schema_arrow.names])
                whole = pa.table({n: _as_text(whole.column(n)) for n in whole.column_names})
                header = file.schema_arrow.names
                return OpenTable(path, whole.schema, whole.select, is_csv=False, header=header)
            return OpenTable(path, file.schema_arrow, lambda names: file.read(columns=names), is_csv=False)
        compression = "gzip" if start[:2] == b"\x1f\x8b" else None
        if compression:
            bounded.check_gzip(path)
        with pa.input_stream(str(path), compression=compression) as stream:
            guessed = pacsv.open_csv(stream).schema  # from the first block: 0, 0, 0 may go on with 0.5
        header = guessed.names
        whole_numbers = [f.name for f in guessed if pa.types.is_integer(f.type)]
        types = {
            **dict.fromkeys(whole_numbers, pa.float64()),
            **dict.fromkeys(header if text else ["well_id"], pa.string()),
        }
        options = pacsv.ConvertOptions(
            column_types=types,
            strings_can_be_null=False,
            include_columns=[n for n in header if not text or n in only],
        )
        parse = pacsv.ParseOptions(newlines_in_values=True)
        with pa.input_stream(str(path), compression=compression) as stream:
            whole = pacsv.read_csv(stream, convert_options=options, parse_options=parse)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: neither a whole parquet nor a CSV file ({_first_line(error)})") from None
    return OpenTable(path, whole.schema, whole.select, is_csv=True, header=header)


def _as_text(column: Any) -> Any:
    """Cells of a parquet column as text, null where they are null or NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column.cast(pa.string())


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
