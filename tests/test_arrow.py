"""The quick reading of large tables against the careful one: the same cells, or the same words.

Every test sets the size from which tables are read by Arrow, so that small ones stand for large ones.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polaris_rxrx import arrow
from polaris_rxrx.errors import DataError
from polaris_rxrx.suites.relations import read_relations
from polaris_rxrx.tables import Table, read_table, to_csv
from polaris_rxrx.wells.table import open_table

NEVER = 1 << 60


@contextmanager
def from_size(size: int) -> Iterator[None]:
    """Tables from this many bytes on are given to Arrow."""
    before = arrow.BIG
    arrow.BIG = size
    try:
        yield
    finally:
        arrow.BIG = before


def told(path: Path, size: int, **how: Any) -> Any:
    """What comes of reading a file: cells, lines and hash, or the error."""
    with from_size(size):
        try:
            table = read_table(path, **how)
        except DataError as error:
            return str(error)
    return {name: list(cells) for name, cells in table.columns.items()}, list(table.lines), table.sha256


def quickly(path: Path) -> Table | None:
    """The table if Arrow was trusted with it."""
    with from_size(0):
        table = read_table(path)
    return table if isinstance(table.columns, arrow.Columns) else None


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arrow") / "scratch"


# What tells parsers apart: quotes in and around fields, ends of lines, nothing at all, what is no text.
PIECES = [
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r\n",
    b"\r",
    b"a",
    b"1",
    b"0.5",
    b"NA",
    b" ",
    b"\xc3\xa9",
    b"\xff",
    b"\0",
    b"#",
]
raws = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
HEADERS = [
    b"a,b\n",
    b"a\n",
    b'"a,c",b\r\n',
    b"\xef\xbb\xbfa,b\n",
    b",b\n",
    b"a,a\n",
    b"a;b\n",
    b'"a\nc",b\n',
    b"",
]


@given(st.sampled_from(HEADERS), raws, st.booleans(), st.booleans())
@example(b"a,b\n", b'x,"y\n', False, False)
@example(b"a,b\n", b'"x"y,z\n', False, False)
@example(b"a,b\n", b'x"y",z\n', False, False)
@example(b"a,b\n", b'1,2\n"3,4"\n', False, False)
@example(b"a,b\n", b'"""",""\n', False, False)
def test_any_bytes_give_the_same_table_or_the_same_words(
    scratch: Path, header: bytes, body: bytes, zipped: bool, nameless: bool
) -> None:
    raw = header + body
    scratch.write_bytes(gzip.compress(raw, mtime=0) if zipped else raw)
    assert told(scratch, 0, nameless_index=nameless) == told(scratch, NEVER, nameless_index=nameless)


fields = st.one_of(
    st.sampled_from(
        [b"", b"NA", b"nan", b"None", b" x ", b'"a,b"', b'"say ""hi"""', b'""', b"\xc3\xa9", b"1e5"]
    ),
    st.binary(max_size=3),
)


@given(st.lists(st.tuples(fields, fields, fields), min_size=1, max_size=6), st.sampled_from([b"\n", b"\r\n"]))
def test_rows_of_one_width_give_the_same_table_or_the_same_words(
    scratch: Path, rows: list[tuple[bytes, ...]], end: bytes
) -> None:
    scratch.write_bytes(end.join([b"a,b,c", *map(b",".join, rows)]) + end)
    assert told(scratch, 0) == told(scratch, NEVER)


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1, max_size=6)


@given(st.lists(st.tuples(names, names), min_size=1, max_size=8), st.sampled_from(["", "\ufeff"]))
@example([("NA", "nan"), ('say "hi"', "a,b"), (" ", "ends ")], "\ufeff")
def test_what_is_plainly_right_is_read_by_arrow(
    scratch: Path, rows: list[tuple[str, str]], mark: str
) -> None:
    """Whatever the names are: else the tests above would compare the careful reader with itself."""
    columns = {"first": [a for a, _ in rows], "second": [b for _, b in rows]}
    scratch.write_bytes((mark + to_csv(columns)).encode())
    table = quickly(scratch)
    assert table is not None
    assert dict(table.columns) == columns
    assert list(table.lines) == list(range(2, len(rows) + 2))


DOUBTFUL = {
    "a blank line": b"a,b\n1,x\n\n2,y\n",
    "a blank line first": b"a,b\n\n1,x\n",
    "a line end in a field": b'a,b\n1,"x\ny"\n',
    "a line end in the header": b'"a\nc",b\n1,x\n',
    "a bare carriage return": b"a,b\n1,x\r2,y\n",
    "a short row": b"a,b\n1,x\n2\n",
    "a quote that is never closed": b'a,b\n1,"x\n',
    "text after a quoted field": b'a,b\n1,"x"y\n',
    "no UTF-8": b"a,b\n1,\xff\n",
    "a zero byte": b"a,b\n1,\0\n",
    "the header alone": b"a,b\n",
    "a long cell": b"a,b\n1," + b"x" * 140_000 + b"\n",
    "semicolons": b"a;b\n1;x\n",
    "a name that stands twice": b"a,a\n1,x\n",
}


@pytest.mark.parametrize("raw", DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_is_in_doubt_is_left_to_the_careful_reader(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(raw)
    with from_size(NEVER):
        expected = told(path, NEVER)
    assert told(path, 0) == expected
    end = raw.index(b"\n") + 1
    if raw[:end] == b"a,b\n":  # a header of which nothing is told before
        assert arrow.read(raw, ["a", "b"], end, 100) is None


def test_small_tables_are_read_without_arrow(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n")
    assert isinstance(read_table(path).columns, dict)
    with from_size(len("a,b\n1,x\n")):
        assert isinstance(read_table(path).columns, arrow.Columns)


def test_more_rows_than_may_be(tmp_path: Path) -> None:
    raw = b"a\n1\n2\n3\n"
    assert arrow.read(raw, ["a"], 2, 2) is None
    found = arrow.read(raw, ["a"], 2, 3)
    assert found is not None
    assert found[1] == 3


NUMBERLIKE = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.text("0123456789+-.eE_ nai\t٣", max_size=8),
    st.sampled_from(
        ["", "1e400", "1e-400", "0x10", "1_0", "+1", "007", "-0", " 1 ", "1.", ".5", "infinity", "1,5"]
    ),
)


def columns_of(*texts: str) -> arrow.Columns:
    return arrow.Columns({"x": pa.array(list(texts), type=pa.string())})


@given(NUMBERLIKE)
def test_a_number_is_the_one_that_python_reads(text: str) -> None:
    found = columns_of("0.25", text).numbers("x")
    if found is not None:
        assert text.isascii()
        assert "_" not in text
        assert math.isfinite(float(text))
        assert found[1].hex() == float(text).hex()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_as_we_write_them_are_read_to_the_last_bit(values: list[float]) -> None:
    found = columns_of(*map(repr, values)).numbers("x")
    assert found is not None
    assert [v.hex() for v in found.tolist()] == [v.hex() for v in values]


@given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1).map(str), NUMBERLIKE), min_size=1, max_size=4))
def test_whole_numbers_are_those_that_are_written_so(texts: list[str]) -> None:
    def is_whole(text: str) -> bool:
        try:
            return str(int(text)) == text and -(2**63) <= int(text) < 2**63
        except ValueError:
            return False

    found = columns_of(*texts).wholes("x")
    assert (found is not None) == all(map(is_whole, texts))
    if found is not None:
        assert found.tolist() == [int(text) for text in texts]


def test_a_part_of_an_array_is_read_from_where_it_begins() -> None:
    column = arrow.Columns({"x": pa.array(["5", "7", "7", "9"])[1:3]})
    wholes = column.wholes("x")
    assert wholes is not None
    assert wholes.tolist() == [7, 7]
    assert column["x"] == ["7", "7"]


def test_equal_names_are_one_object(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(to_csv({"name": ["some compound"] * 5, "n": list(range(5))}))
    table = quickly(path)
    assert table is not None
    assert len({id(name) for name in table.columns["name"]}) == 1
    rest = table.without(["name"])
    assert list(rest.columns) == ["n"]
    assert np.array_equal(rest.wholes("n"), np.arange(5))  # type: ignore[arg-type]


def test_a_table_of_several_blocks_is_read_as_it_was_written(tmp_path: Path) -> None:
    """At the size that is set: Arrow reads a megabyte at a time, and fields stand across its ends."""
    odd = ["NA", "", 'say "hi"', "Dactolisib (BEZ235, sic)", "β-lapachone ", "x" * 300]
    n = 40_000
    columns: dict[str, list[Any]] = {
        "id": list(range(n)),
        "name": [odd[i % len(odd)] for i in range(n)],
        "active": np.random.default_rng(0).random(n).tolist(),
    }
    path = tmp_path / "t.csv"
    path.write_text(to_csv(columns))
    assert path.stat().st_size > arrow.BIG
    table = read_table(path)
    assert isinstance(table.columns, arrow.Columns)
    assert table.columns["name"] == columns["name"]
    ids, scores = table.wholes("id"), table.numbers("active")
    assert ids is not None
    assert scores is not None
    assert (ids.tolist(), scores.tolist()) == (columns["id"], columns["active"])
    assert table.at(n - 1) == f"{path}, line {n + 1}"


def test_short_tables_are_read_by_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends while pyarrow's threads are starting is aborted, with code 134."""
    import pyarrow.csv as pacsv

    by: list[bool] = []
    for name in ("read_csv", "open_csv"):
        plain = getattr(pacsv, name)

        def seen(source: Any, options: Any, *more: Any, plain: Any = plain) -> Any:
            by.append(options.use_threads)
            return plain(source, options, *more)

        monkeypatch.setattr(pacsv, name, seen)
    (tmp_path / "relations.csv").write_text("entity1,entity2\nTP53,MDM2\n")
    (tmp_path / "wells.csv").write_text("well_id,a\nx,1\n")
    read_relations(tmp_path / "relations.csv")
    open_table(tmp_path / "wells.csv")
    assert by == [False] * 3
    monkeypatch.setattr(arrow, "BIG", 10)
    read_relations(tmp_path / "relations.csv")
    assert by[3:] == [True]
