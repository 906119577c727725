"""Tables of names: what stands in a file is what is read, and a broken file is said to be so."""

from __future__ import annotations

import csv
import gzip
import io
import os
import threading
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_rxrx.errors import DataError
from polaris_rxrx.tables import read_table, to_csv

AWKWARD = (
    "NA",
    "nan",
    "None",
    "",
    " ",
    "a,b",
    '"',
    'say ""hi""',
    "two\nlines",
    "\r",
    "a\r\nb",
    "ends ",
    "\ufeff",
)
cells = st.one_of(
    st.sampled_from(AWKWARD), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)


def packed(raw: bytes) -> bytes:
    """The same bytes whenever they are made: they are in the names of tests."""
    return gzip.compress(raw, mtime=0)


PLAIN = b"a,b\n1,x\n2,y\n"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables") / "scratch"


@given(st.lists(st.tuples(cells, cells), max_size=8), st.booleans())
def test_csv_round_trip(scratch: Path, rows: list[tuple[str, str]], zipped: bool) -> None:
    columns = {"a": [a for a, _ in rows], "b": [b for _, b in rows]}
    raw = to_csv(columns).encode()
    scratch.write_bytes(packed(raw) if zipped else raw)
    assert read_table(scratch).columns == columns


@given(st.lists(cells, max_size=8))
def test_csv_round_trip_of_one_column(scratch: Path, column: list[str]) -> None:
    scratch.write_bytes(to_csv({"a": column}).encode())
    assert read_table(scratch).columns == {"a": column}


@given(st.lists(st.floats(), max_size=8), st.integers())
def test_numbers_are_written_to_the_last_bit(scratch: Path, numbers: list[float], whole: int) -> None:
    scratch.write_text(to_csv({"x": numbers, "n": [whole] * len(numbers)}))
    read = read_table(scratch).columns
    assert [float(x).hex() for x in read["x"]] == [x.hex() for x in numbers]
    assert [int(n) for n in read["n"]] == [whole] * len(numbers)


anything = st.one_of(
    cells, st.text('a,"\r\n', max_size=4), st.integers(), st.floats(), st.none(), st.booleans()
)


@given(st.integers(1, 3).flatmap(lambda width: st.lists(st.tuples(*[anything] * width), min_size=1)))
def test_csv_is_written_as_python_writes_it(rows: list[tuple[object, ...]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([v if isinstance(v, str) else repr(v) for v in row] for row in rows)
    names = [f"c{i}" for i in range(len(rows[0]))]
    text = to_csv(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        names,
        *csv.reader(io.StringIO(out.getvalue(), newline="")),
    ]
    if not any("\n" in cell for row in rows for cell in row if isinstance(cell, str)):
        assert text == ",".join(names) + "\n" + out.getvalue().replace("\r\n", "\n")


def test_csv_is_written_plainly() -> None:
    columns = {"id": [0, 1], "name, of it": ["x", 'a"b'], "score": [0.1, -0.0]}
    assert to_csv(columns) == 'id,"name, of it",score\n0,x,0.1\n1,"a""b",-0.0\n'
    with pytest.raises(ValueError):
        to_csv({"a": [1], "b": [1, 2]})


@pytest.mark.parametrize(
    "raw",
    [
        PLAIN,
        PLAIN.rstrip(),
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + PLAIN,
        b'"a","b"\n"1","x"\n"2","y"\n',
        packed(PLAIN),
        packed(PLAIN[:5]) + packed(PLAIN[5:]),
        packed(b"\xef\xbb\xbf" + PLAIN.replace(b"\n", b"\r\n")),
    ],
)
def test_the_same_table_in_many_spellings(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "no suffix"
    path.write_bytes(raw)
    table = read_table(path)
    assert table.columns == {"a": ["1", "2"], "b": ["x", "y"]}
    assert (list(table.lines), len(table), table.sha256) == ([2, 3], 2, sha256(raw).hexdigest())


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a,b\n1,x\n\n\n2,y\n", [2, 5]),
        ('a,b\n1,"two\nlines"\n2,y\n', [2, 4]),
        ('a,b\r\n1,"two\r\nlines"\r\n2,y\r\n', [2, 4]),
        ('"a\nc",b\n1,x\n2,y\n', [3, 4]),
        ("a,b\n1,\u2028\x0b\x0c\x85\n2,y\n", [2, 3]),
        ("a,b\n", []),
        ("a,b", []),
    ],
)
def test_lines_are_counted_as_an_editor_does(tmp_path: Path, text: str, lines: list[int]) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    table = read_table(path)
    assert list(table.lines) == lines
    assert [table.at(row) for row in range(len(table))] == [f"{path}, line {n}" for n in lines]


WHOLE = b"PAR1" + b"\0" * 40
BROKEN = {
    "empty": (b"", " is empty; a table with a header line was expected"),
    "blank": (b" \r\n\n", " is empty;"),
    "byte-order mark alone": (b"\xef\xbb\xbf", " is empty;"),
    "empty gzip": (packed(b""), " is empty;"),
    "first line blank": (b"\na,b\n", ", line 1: blank; the header was expected there"),
    "a mark and a blank line": (b"\xef\xbb\xbf\na,b\n", ", line 1: blank;"),
    "binary": (b"a,b\n\x00\x01\n", ", line 2: not UTF-8 text (a zero byte); a CSV or parquet file"),
    "spreadsheet": (b"PK\x03\x04\x14\x00", " is a zip archive or a spreadsheet (.xlsx); save"),
    "UTF-16": ("a,b\n".encode("utf-16"), " is UTF-16 text; save it as CSV UTF-8"),
    "Latin-1": ("a,b\n1,x\n2,né\n".encode("latin-1"), ", line 3: not UTF-8 text (invalid continuation byte)"),
    "gzip cut short": (packed(PLAIN)[:-6], ": broken gzip file (Compressed file ended"),
    "gzip with a wrong sum": (packed(PLAIN)[:-8] + b"\0" * 8, ": broken gzip file (CRC check failed"),
    "gzip with rubbish in it": (packed(PLAIN)[:10] + b"\xff" * 30, ": broken gzip file ("),
    "gzip with rubbish after": (packed(PLAIN) + b"rubbish", ": broken gzip file (Not a gzipped file"),
    "parquet cut short": (WHOLE, ": broken parquet file (Parquet magic bytes not found"),
    "parquet of four bytes": (b"PAR1", ": broken parquet file ("),
    "too many fields": (b"a,b\n1,x\n2,y,z\n", ", line 3: 3 fields where the header has 2 (a, b)"),
    "too few fields": (b"a,b\n\n1\n", ", line 3: 1 fields where the header has 2 (a, b)"),
    "a blank that is no blank line": (b"a,b\n \n", ", line 2: 1 fields"),
    "quote left open": (b'a,b\n1,x\n2,"y\n3,z\n', ", line 3: not a CSV row (unexpected end of data)"),
    "quote left open in the header": (b'a,"b\n1,x\n', ", line 1: not a CSV row (unexpected end of data)"),
    "quote left open, long file": (
        b'a,b\n1,"x\n' + b"2,y\n" * 40_000,
        ", line 2: not a CSV row (field larger than field limit",
    ),
    "text after a quote": (b'a,b\n1,"x"y\n', ", line 2: not a CSV row (',' expected after '\"')"),
    "semicolons": (b"a;b\n1;x\n", ": the header is separated by semicolons; commas were expected"),
    "semicolons and decimal commas": (b"a;b\n1;0,5\n", ": the header is separated by semicolons;"),
    "tabs": (b"a\tb\n1\tx, y\n", ": the header is separated by tabs; commas were expected"),
    "a column twice": (b"a,b,a\n1,2,3\n", ": column 'a' stands more than once in the header"),
    "a column without a name": (b",a\n0,1\n", ": column 1 has no name; if it is an index, write it wi"),
    "two of them": (b"a,,\n0,,\n", ": column 2 has no name"),
}


@pytest.mark.parametrize(("raw", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_files(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(raw)
    with pytest.raises(DataError) as raised:
        read_table(path)
    assert str(raised.value).startswith(f"{path}{message}")


def test_a_folder_and_nothing_at_all(tmp_path: Path) -> None:
    for path, message in ((tmp_path, "is a folder"), (tmp_path / "x", "no such file")):
        with pytest.raises(DataError, match=message):
            read_table(path)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(PLAIN)
    read_table(path).need("a", "b")
    with pytest.raises(DataError) as raised:
        read_table(path).need("a", "c", "d")
    assert str(raised.value) == f"{path}: no column 'c', 'd'; it has 'a', 'b' and a, c, d are expected"


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(PLAIN,), daemon=True)
    writer.start()
    table = read_table(path)
    writer.join()
    assert (len(table), table.sha256) == (2, sha256(PLAIN).hexdigest())


def test_parquet(tmp_path: Path) -> None:
    path = (
        tmp_path / "model=a" / "t.csv"
    )  # neither the suffix nor a folder that looks like a partition counts
    path.parent.mkdir()
    names = pa.array(["NA", None, "ends "]).dictionary_encode()
    columns = {"a": [1, 2, 3], "b": names, "__index_level_0__": [7, 8, 9]}
    pq.write_table(pa.table(columns), path)
    table = read_table(path)
    assert table.columns == {"a": [1, 2, 3], "b": ["NA", None, "ends "]}
    assert table.at(2) == f"{path}, row 3"
    assert table.sha256 == sha256(path.read_bytes()).hexdigest()


def test_parquet_that_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    whole = path.read_bytes()
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["id", "id"])
    pq.write_table(twice, path)
    for raw in (whole[: len(whole) // 2], whole[:-4], whole[:4] + whole[-8:], path.read_bytes()):
        path.write_bytes(raw)
        with pytest.raises(DataError, match=r"t\.parquet: broken parquet file \(.+\)$"):
            read_table(path)
