"""CSV as Arrow reads it, where nothing about a file is in question.

Conventions
    The quick way to a large table. It decides one thing alone, whether a text is plainly a table: as many
    fields in every row, quotes only around whole fields, no blank line, no line end within a field, nothing
    that is told of a damaged table. If so, its cells are those that `polaris_rxrx.tables` reads, to the
    letter; if not, or in any doubt, it gives None and the careful reader reads, or says what is wrong.
    The same holds of a column: `wholes` and `numbers` give an array only if every cell is what is asked for.
    Below `BIG` bytes importing pyarrow would cost more than it saves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polaris_rxrx.types import Floats, Ints

BIG = 2_000_000  # bytes of text; a table of 17,500 pairs has half of them
_LONGEST = 100_000  # bytes of a cell; `csv` refuses more than 131,072 characters
_COMMA, _QUOTE, _CR, _LF = b',"\r\n'


def read_options(n_bytes: int) -> Any:
    """How pyarrow is to read a CSV of this size: by one thread where more would gain nothing.

    A process that ends while pyarrow's threads are still starting is aborted ("terminate called without an
    active exception"): one of eight, where all it did was to read a short table, or to find an error in it.
    """
    import pyarrow.csv as pacsv

    return pacsv.ReadOptions(use_threads=n_bytes >= BIG)


class Columns(Mapping[str, list[str]]):
    """Columns of text, each of which becomes a list when it is first asked for.

    Equal texts of a column are one object, so that a name which stands there a thousand times is kept once.
    """

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._arrays = dict(arrays)
        self._lists: dict[str, list[str]] = {}

    def __getitem__(self, name: str) -> list[str]:
        if name not in self._lists:
            self._lists[name] = _texts(self._arrays[name])
        return self._lists[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def without(self, names: Iterable[str]) -> Columns:
        """The other columns."""
        gone = set(names)
        return Columns({name: array for name, array in self._arrays.items() if name not in gone})

    def wholes(self, name: str) -> Ints | None:
        """Numbers, shape (n,), if every cell is a whole number as `str` writes it; else None."""
        import pyarrow as pa

        texts = self._arrays[name]
        try:
            numbers = texts.cast(pa.int64())
        except pa.ArrowInvalid:
            return None
        return _values(numbers, "int64") if numbers.cast(pa.string()).equals(texts) else None

    def numbers(self, name: str) -> Floats | None:
        """Numbers, shape (n,), if every cell is plainly a finite one; else None."""
        import numpy as np
        import pyarrow as pa

        try:
            found = _values(self._arrays[name].cast(pa.float64()), "float64")
        except pa.ArrowInvalid:
            return None
        return found if np.isfinite(found).all() else None


def read(raw: bytes, header: Sequence[str], start: int, most: int) -> tuple[Columns, int] | None:
    """The columns of a CSV and how many rows it has; None unless it is plainly right.

    Args:
        raw: The file's bytes, unpacked.
        header: The names in its first line; looked at and found right.
        start: Where the second line begins.
        most: How many rows there may be.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    body = memoryview(raw)[start:]
    if not len(body) or not _plain_lines(raw, start) or not _plain_quotes(body):
        return None
    try:
        table = csv.read_csv(
            pa.BufferReader(pa.py_buffer(body)),
            read_options=csv.ReadOptions(column_names=list(header)),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types={name: pa.string() for name in header},
                null_values=[],
                strings_can_be_null=False,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowException:  # a row of another width, bytes that are no UTF-8, a row beyond a block
        return None
    lines = raw.count(b"\n", start) + (not raw.endswith(b"\n"))
    if table.num_rows != lines or lines > most:  # a line end within a field
        return None
    arrays = {name: _one(table.column(i)) for i, name in enumerate(header)}
    if any((pc.max(pc.binary_length(array)).as_py() or 0) > _LONGEST for array in arrays.values()):
        return None
    return Columns(arrays), lines


def _plain_lines(raw: bytes, start: int) -> bool:
    """No blank line, no zero byte, and every `\\r` stands before a `\\n`."""
    if raw.startswith((b"\n", b"\r"), start) or b"\n\n" in raw or b"\n\r" in raw or b"\x00" in raw:
        return False
    return raw.count(b"\r") == raw.count(b"\r\n")


def _plain_quotes(body: memoryview) -> bool:
    """Every quote opens a field, closes one, or is one of two within a quoted field."""
    import numpy as np

    text = np.frombuffer(body, dtype=np.uint8)
    at = np.flatnonzero(text == _QUOTE)
    if len(at) % 2:
        return False
    opens, closes = at[::2], at[1::2]
    before, after = text[opens - 1], text[(closes + 1) % len(text)]
    begins = (opens == 0) | (before == _COMMA) | (before == _LF)
    ends = (closes + 1 == len(text)) | (after == _COMMA) | (after == _LF) | (after == _CR)
    doubled = closes[:-1] + 1 == opens[1:]
    begins[1:] |= doubled
    ends[:-1] |= doubled
    return bool(begins.all() and ends.all())


def _one(column: Any) -> Any:
    """The one array of a chunked column."""
    import pyarrow as pa

    chunks = column.chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)


def _texts(array: Any) -> list[str]:
    import numpy as np

    coded = array.dictionary_encode()
    names = np.array(coded.dictionary.to_pylist(), dtype=object)
    found: list[str] = names[_values(coded.indices, "int32")].tolist()
    return found


def _values(array: Any, kind: str) -> Any:
    """What a numeric array without nulls holds; pyarrow's own way imports pandas."""
    import numpy as np

    return np.frombuffer(
        array.buffers()[1], dtype=kind, count=len(array), offset=array.offset * np.dtype(kind).itemsize
    )
