"""Known relations between genes: files of two names a row, and what they hold.

Conventions
    The first two columns name what is related, below a header (CSV, also gzip, or parquet); further columns
    are left alone. A source is named by its file: `CORUM.txt` is CORUM.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polaris_rxrx import bounded
from polaris_rxrx.arrow import read_options
from polaris_rxrx.damage import INDEX, NO_INDEX, START, refuse_dates, refuse_other_kind
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.files import open_binary
from polaris_rxrx.tables import read_table
from polaris_rxrx.types import Ints

KNOWN_SOURCES = ("CORUM", "HuMAP", "Reactome", "StringDB", "SIGNOR")


@dataclass(frozen=True, eq=False)
class Relations:
    """A file of relations as it stands: row k says that `names[first[k]]` and `names[second[k]]` are related.

    `names` are the distinct names, `sha256` is that of the file's bytes; `made_up`: `polaris-rxrx demo` drew
    the pairs, as the third column of the file says.

    >>> known = read_relations("data/relations/CORUM.txt")
    >>> len(known), known.header, known.names[known.first[0]], known.names[known.second[0]]
    (200, ('entity1', 'entity2'), 'HDAC1', 'RET')
    """

    path: Path
    sha256: str
    header: tuple[str, str]
    names: list[str]
    first: Ints
    second: Ints
    made_up: bool = False

    def __len__(self) -> int:
        return len(self.first)

    def places(self, at: Mapping[str, int]) -> Ints:
        """The place of every name, -1 where it has none.

        >>> known = read_relations("data/relations/CORUM.txt")
        >>> places = known.places({"HDAC1": 0, "RET": 1})
        >>> places.shape == (len(known.names),), sorted(set(places.tolist()))
        (True, [-1, 0, 1])
        """
        return np.array([at.get(name, -1) for name in self.names], dtype=np.int64)

    def pairs(self, place: Ints) -> Ints:
        """Relations (k, 2) between names that have a place, as places i < j, sorted, each once.

        >>> known = read_relations("data/relations/CORUM.txt")
        >>> known.pairs(known.places({"HDAC1": 0, "RET": 1})).tolist()
        [[0, 1]]
        """
        a, b = place[self.first], place[self.second]
        here = (a >= 0) & (b >= 0) & (a != b)
        a, b = a[here], b[here]
        n = int(place.max()) + 1
        key = np.unique(np.minimum(a, b) * n + np.maximum(a, b))
        return np.stack([key // n, key % n], axis=1)


def read_relations(path: Path | str) -> Relations:
    """Read a table with a header whose first two columns name what is related (CSV, also gzip, or parquet).

    Raises:
        DataError: Naming the file, the line and what is wrong with it.

    >>> read_relations("data/relations/SIGNOR.txt").names[:2]
    ['CA2', 'DRD4']
    """
    path = Path(path)
    with open_binary(path) as handle:
        raw = bounded.read_all(handle, path, bounded.OBJECT)
    refuse_other_kind(path, raw[:START])
    header, names, first, second = _quick_columns(raw) or _careful_columns(path)
    if not len(first):  # a header alone
        raise DataError(f"{path} holds no relations; two names on each line were expected below the header")
    refuse_dates(names, "a partner", lambda i: f"{path}, row {1 + _first_row(i, first, second)}")
    made_up = b"".join(raw.split(b"\n", 2)[1:2]).rstrip().endswith(b",made up")
    return Relations(path, hashlib.sha256(raw).hexdigest(), header, names, first, second, made_up)


def relation_files(paths: Sequence[Path]) -> list[Path]:
    """Files, and the .txt files in folders.

    Raises:
        DataError: A folder holds none.
    """
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.txt")) if path.is_dir() else [path]
        if not found:
            raise DataError(f"{path} holds no .txt file of relations")
        files += found
    return files


def read_sources(paths: Sequence[Path]) -> dict[str, Relations]:
    """Files of relations, or folders of .txt files, each source by its name: the known ones first.

    Raises:
        UsageError: Two files have one name.
        DataError: As `read_relations`, or a folder holds none.

    >>> list(read_sources([Path("data/relations")]))
    ['CORUM', 'HuMAP', 'Reactome', 'StringDB', 'SIGNOR']
    """
    files = relation_files(paths)
    names = [path.name.partition(".")[0] for path in files]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise UsageError(f"two relation files are named {twice[0]}; results are told apart by that name")
    order = [name for name in KNOWN_SOURCES if name in names]
    order += sorted(set(names) - set(order))
    return {name: read_relations(files[names.index(name)]) for name in order}


def _first_row(code: int, first: Ints, second: Ints) -> int:
    return int(np.flatnonzero((first == code) | (second == code))[0])


_Columns = tuple[tuple[str, str], list[str], Ints, Ints]


def _quick_columns(raw: bytes) -> _Columns | None:
    """Read plain CSV; None where anything is out of the ordinary, for `_careful_columns` to say what."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    if raw.startswith((b"PAR1", b"\x1f\x8b", b"#")) or b'"' in raw or b"\x00" in raw:
        return None
    try:
        header = raw[: raw.find(b"\n")].removesuffix(b"\r").decode("utf-8-sig").split(",")
        if len(header) < 2 or "" in header or len(set(header)) < len(header) or "\r" in "".join(header):
            return None
        if INDEX.fullmatch(header[0]) or header[0].startswith("#"):
            return None
        options = pacsv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            include_columns=header[:2],
            strings_can_be_null=False,
        )
        parse = pacsv.ParseOptions(quote_char=False)
        table = pacsv.read_csv(pa.BufferReader(raw), read_options(len(raw)), parse, options)
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    both = pa.chunked_array(table.column(0).chunks + table.column(1).chunks, type=pa.string())
    encoded = both.combine_chunks().dictionary_encode()
    names: list[str] = encoded.dictionary.to_numpy(zero_copy_only=False).tolist()
    if "" in names:
        return None
    codes = encoded.indices.to_numpy().astype(np.int64)
    n = table.num_rows
    return (header[0], header[1]), names, codes[:n], codes[n:]


def _careful_columns(path: Path) -> _Columns:
    table = read_table(path)
    header = list(table.columns)[:2]
    if header and INDEX.fullmatch(header[0]):
        raise DataError(
            f"{path}: column {header[0]!r} is an index, but the first two columns are partners; {NO_INDEX}"
        )
    if len(header) < 2:
        raise DataError(
            f"{path} has one column, {some(header)}; two were expected, one a partner (entity1,entity2)"
        )
    at: dict[str, int] = {}
    codes = []
    for column in header:
        for row, name in enumerate(table.columns[column]):
            if not isinstance(name, str) or not name:
                raise DataError(f"{table.at(row)}: {column} is {name!r}; a name was expected")
            codes.append(at.setdefault(name, len(at)))
    both = np.array(codes, dtype=np.int64)
    return (header[0], header[1]), list(at), both[: len(table)], both[len(table) :]
