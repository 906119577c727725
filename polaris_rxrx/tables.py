"""Tables of names: read as text, with no guessing.

Conventions
    A cell is the text that stands in the file: `NA`, `nan` and `None` are names, blanks at the ends are kept,
    an empty cell is the empty string. CSV is comma-separated UTF-8 (a byte-order mark, CRLF and gzip are
    understood, gzip by its first bytes and not by the name). What other programs did to a table is told by
    `polaris_rxrx.damage`; nothing is repaired. Lines are counted as an editor does, the header
    being line 1; rows of a parquet file are counted from 1.
    A large CSV that is plainly right is read by Arrow (`polaris_rxrx.arrow`); any other by `csv`, row by row,
    which knows what to say of it. Both give the same cells.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polaris_rxrx import arrow, bounded, damage
from polaris_rxrx.errors import DataError, short, some
from polaris_rxrx.files import open_binary

if TYPE_CHECKING:
    from polaris_rxrx.types import Floats, Ints

_ROWS = 1 << 16  # how many are written at once
_QUOTE = '"'
_SPECIAL = re.compile('[",\r\n]').search  # what makes `csv.writer` quote a cell


@dataclass(frozen=True)
class Table:
    """Columns of equal length, read from `path`; `sha256` is that of the bytes they were read from.

    A column holds `str` if it came from CSV; from parquet, what the file holds (`None` where it is null).
    """

    path: Path
    columns: Mapping[str, list[Any]]
    lines: Sequence[int]
    unit: str = "line"
    sha256: str | None = None

    def __len__(self) -> int:
        return len(self.lines)

    def at(self, row: int) -> str:
        """`preds.csv, line 17`: where a row stands, for a message."""
        return f"{self.path}, {self.unit} {self.lines[row]}"

    def without(self, names: Sequence[str]) -> Table:
        """The table without some of its columns."""
        if isinstance(self.columns, arrow.Columns):
            return replace(self, columns=self.columns.without(names))
        return replace(self, columns={n: cells for n, cells in self.columns.items() if n not in names})

    def wholes(self, name: str) -> Ints | None:
        """Whole numbers (n,) of a large CSV's column, if each cell is one as `str` writes it; else None."""
        return self.columns.wholes(name) if isinstance(self.columns, arrow.Columns) else None

    def numbers(self, name: str) -> Floats | None:
        """Numbers (n,) of a large CSV's column, if each cell is plainly a finite one; else None."""
        return self.columns.numbers(name) if isinstance(self.columns, arrow.Columns) else None

    def need(self, *names: str) -> None:
        """Raise `DataError` unless these columns are there."""
        missing = [n for n in names if n not in self.columns]
        if missing:
            near = [c for c in self.columns if fold(c) == fold(missing[0])]
            hint = f" ({short(near[0])} differs by blanks or case)" if near else ""
            raise DataError(
                f"{self.path}: no column {some(missing)}{hint}; it has {some(list(self.columns), 12)} "
                f"and {', '.join(names)} {'is' if len(names) == 1 else 'are'} expected"
            )


def read_table(path: Path, *, nameless_index: bool = False) -> Table:
    """Read a CSV (plain or gzip) or parquet file; a first column without a name is let through on request.

    Raises:
        DataError: Not there, a folder, empty, not text, not a table, a row of another width than the header.
    """
    with open_binary(path) as handle:
        # Once, so that a pipe will do and the hash is that of what was read.
        raw = bounded.read_all(handle, path, bounded.TABLE)
    digest = hashlib.sha256(raw).hexdigest()
    if raw.startswith(b"PAR1"):
        return _read_parquet(path, raw, digest)
    return _read_csv(path, raw, digest, nameless_index)


def fold(name: str) -> str:
    """A name without what people write in two ways: case, blanks at the ends, how many of them within."""
    return " ".join(name.split()).casefold()


def _read_csv(path: Path, raw: bytes, digest: str, nameless_index: bool) -> Table:
    if raw.startswith(b"\x1f\x8b"):
        raw = bounded.gunzip(raw, path)
    damage.refuse_other_kind(path, raw[: damage.START])
    if len(raw) >= arrow.BIG and (found := _plainly_right(path, raw, digest, nameless_index)):
        return found
    try:
        if b"\x00" in raw:
            raise UnicodeDecodeError("utf-8", raw, raw.index(b"\x00"), 0, "a zero byte")
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8 text ({error.reason}); a CSV or parquet file was expected"
        ) from None
    if not text.strip():
        raise DataError(f"{path} is empty; a table with a header line was expected")
    damage.refuse_other_csv(path, text)

    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    next_line = 1
    try:
        header = next(reader)
        _check_header(path, header, nameless_index)
        width = len(header)
        next_line = reader.line_num + 1
        for row in reader:
            if len(row) == width:
                rows.append(row)
                lines.append(next_line)
                if len(rows) > bounded.ROWS:
                    raise DataError(
                        f"{path}: more than {bounded.ROWS:,} rows, the most that are read of a table"
                    )
            elif row:  # a blank line is no row
                raise DataError(
                    f"{path}, line {next_line}: {len(row):,} fields where the header has {width:,} "
                    f"({short(', '.join(header), 200)[1:-1]}){damage.width_hint(header, row, next_line)}"
                )
            next_line = reader.line_num + 1
    except csv.Error as error:
        # Where the row begins: a quote that is never closed runs on to the end of the file.
        raise DataError(f"{path}, line {next_line}: not a CSV row ({error})") from None
    cells = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in header]
    return Table(path, dict(zip(header, cells, strict=True)), lines, sha256=digest)


def _plainly_right(path: Path, raw: bytes, digest: str, nameless_index: bool) -> Table | None:
    """The table as Arrow reads it; None where anything is, or may be, for the careful reader to tell."""
    end = raw.find(b"\n") + 1
    beginning = raw[: 4 * damage.START].decode("utf-8-sig", errors="ignore")  # up to four bytes a character
    try:
        damage.refuse_other_csv(path, beginning)
        line = raw[:end].decode("utf-8-sig")
        header = next(csv.reader([line], strict=True))
        _check_header(path, header, nameless_index)
    except (DataError, UnicodeDecodeError, StopIteration, csv.Error):
        return None
    if not end or line.count('"') % 2 or "\r" in line.removesuffix("\r\n"):
        return None
    read = arrow.read(raw, header, end, bounded.ROWS)
    if read is None:
        return None
    columns, rows = read
    return Table(path, columns, range(2, rows + 2), sha256=digest)


def _check_header(path: Path, header: list[str], nameless_index: bool) -> None:
    if not header:
        raise DataError(f"{path}, line 1: blank; the header was expected there")
    if "" in header[1:] or (header[0] == "" and not (nameless_index and len(header) > 1)):
        raise DataError(
            f"{path}: column {header.index('') + 1} has no name; if it is an index, {damage.NO_INDEX}"
        )
    refuse_repeated(path, header)


def refuse_repeated(path: Path, header: list[str]) -> None:
    """Raise `DataError` if a column's name stands twice."""
    if repeated := sorted(name for name, times in Counter(header).items() if times > 1):
        raise DataError(f"{path}: column {some(repeated)} stands more than once in the header")


def _read_parquet(path: Path, raw: bytes, digest: str) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # From the bytes: given a path, pyarrow takes a folder named `a=b` above it for a column.
        file = pq.ParquetFile(pa.BufferReader(raw))
        bounded.check_parquet(file.metadata, path, len(raw), bounded.ROWS)
        bounded.check_texts(pa.BufferReader(raw), path, file.schema_arrow, bounded.TABLE)
        table = pq.read_table(pa.BufferReader(raw))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: broken parquet file ({_first_line(error)})") from None
    names = [n for n in table.column_names if not n.startswith("__index_level_")]
    columns = {n: table.column(n).to_pylist() for n in names}
    return Table(path, columns, range(1, table.num_rows + 1), unit="row", sha256=digest)


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n")[0].rstrip(".")
    return text.removeprefix("Could not open Parquet input source '<Buffer>': ")


def to_csv(columns: Mapping[str, Sequence[object]]) -> str:
    """CSV text of columns of equal length, `\\n` line ends; what is not a `str` is written by `repr`.

    `repr` of a float is the shortest text that reads back as the same number.

    Raises:
        ValueError: The columns differ in length.
    """
    out = _Rows()
    writer = csv.writer(out)
    writer.writerow(columns)
    if len(columns) < 2:  # an empty cell that is alone in its row is quoted
        cells = ([_text(v) for v in column] for column in columns.values())
        writer.writerows(zip(*cells, strict=True))
        return "".join(out)
    rows = map(",".join, zip(*map(_cells, columns.values()), strict=True))
    while some_rows := list(islice(rows, _ROWS)):
        out.append("\n".join(some_rows) + "\n")
    return "".join(out)


def _cells(column: Sequence[object]) -> Iterable[str]:
    """What `csv.writer` makes of the cells of a column; of equal texts it is made once."""
    kinds = set(map(type, column))
    if kinds <= {int, float}:  # in whose `repr` nothing is quoted
        return map(repr, column)
    texts: Sequence[Any] = column if kinds <= {str} else [_text(v) for v in column]
    quoted = {text: f'"{text.replace(_QUOTE, _QUOTE * 2)}"' for text in set(texts) if _SPECIAL(text)}
    return [quoted.get(text, text) for text in texts] if quoted else texts


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


class _Rows(list[str]):
    """Rows of a `csv.writer`, ended by `\\n`; asked for that end, it would leave a `\\r` in a cell bare."""

    def write(self, row: str) -> None:
        self.append(row[:-2] + "\n")
