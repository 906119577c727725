"""Many files as one table: a file a plate, and DeepProfiler's trees, a file a site.

Conventions
    Files are read in the order of their paths; names that begin with a dot or an underscore are passed over,
    any other file has to be a table; of a folder of features (`polaris_rxrx.wells.parts`) its parts alone are
    read. All have the columns of the first, each of the same kind, in any order.
    An id stands in one file alone.
    Workers open a share of the files each, where there are `MANY`; files of arrays are opened here.

DeepProfiler
    A file is an .npz with `features`, (cells, features), and no ids beside them: its `metadata` is a pickled
    array and is never loaded. Which well it is says its path below the folder that was given, in one of three
    layouts, PLATE/WELL_SITE.npz, PLATE/WELL/SITE.npz, PLATE_WELL_SITE.npz, where PLATE may have underscores
    and be several folders (`gene-001/Plate1`); or an index of `Metadata_Plate`, `Metadata_Well`,
    `Metadata_Site`, by the same three. A tree has one layout. An id is PLATE_WELL; a row is a cell.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, PolarisRxrxError, some
from polaris_rxrx.parallel import Here, Processes, Workers, in_order
from polaris_rxrx.wells.deepprofiler import profile_part, profile_shape
from polaris_rxrx.wells.ids import as_ids, put_together
from polaris_rxrx.wells.parts import MANIFEST, parts_of
from polaris_rxrx.wells.remote import RemotePath
from polaris_rxrx.wells.table import OpenTable, Part, open_table

_WELL = r"[A-Za-z]{1,2}\d{1,2}"
_LAYOUTS = (
    ("PLATE/WELL_SITE.npz", re.compile(rf"(?P<plate>.+)/(?P<well>{_WELL})[_-](?P<site>[^/_]+)")),
    ("PLATE/WELL/SITE.npz", re.compile(rf"(?P<plate>.+)/(?P<well>{_WELL})/(?P<site>[^/]+)")),
    ("PLATE_WELL_SITE.npz", re.compile(rf"(.*/)?(?P<plate>[^/]+)_(?P<well>{_WELL})_(?P<site>[^/_]+)")),
)
MANY = 200  # files; fewer are open before workers have started
_AT_ONCE = 32  # that a worker opens, and tells of
_INDEX = ("Metadata_Plate", "Metadata_Well", "Metadata_Site")


def files_below(paths: Sequence[Path]) -> list[Path]:
    """Files, and those in folders and theirs, by path; without those whose names say they are hidden."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        seen: set[str] = set()
        for folder, folders, names in os.walk(path, followlinks=True):
            if (real := os.path.realpath(folder)) in seen:  # a link may lead up
                folders.clear()
                continue
            seen.add(real)
            if MANIFEST in names and (parts := parts_of(Path(folder))) is not None:
                folders.clear()
                found += parts
                continue
            folders[:] = [n for n in folders if not n.startswith((".", "_"))]
            found += [Path(folder) / n for n in names if not n.startswith((".", "_"))]
    return sorted(set(found))


def open_tree(
    path: Path,
    paths: Sequence[Path],
    open_one: Callable[[Path], OpenTable],
    who: Workers | None = None,
) -> OpenTable:
    """Many tables as one.

    Args:
        path: What was given, for messages.
        paths: The files.
        open_one: Opens one of them; it pickles.
        who: Who opens them, where they are many; this process.

    Raises:
        DataError: A file is none, has other columns than the first, or a well stands in two files; of several
            the first in the order of paths is named.
    """
    import pyarrow as pa

    others = f"a glob such as {_glob(path, paths)!r}"
    if isinstance(path, RemotePath):
        others = "a prefix of the table's own"
    tree = _Tree(path, others, open_one)
    first = tree.open(paths[0])
    if "well_id" not in first.names:
        return first  # the caller names what it lacks
    tree = replace(tree, first=_Shown.of(first))
    files = [tree.file(paths[0], first)]
    files += _shared(tree, paths[1:], who) if who is not None else map(tree.look, paths[1:])
    _refuse_twice(paths, [file.ids for file in files])
    wide = set[str]().union(*(file.wide for file in files))
    fields = [
        f.with_type(pa.float64()) if f.name in wide and f.name != "well_id" else f for f in first.schema
    ]
    told = list[str]()
    for file in files:
        told += file.told if len(told) < 3 else ()
    parts = [part for file in files for part in file.parts]
    ids = pa.chunked_array([file.ids for file in files])
    return _table(path, pa.schema(fields, first.schema.metadata), parts, ids, told)


@dataclass(frozen=True, eq=False)
class _Shown:
    """The first file of a tree, whose columns all others have; it pickles, an open table does not."""

    path: Path
    schema: Any
    is_csv: bool
    header: list[str]

    @classmethod
    def of(cls, table: OpenTable) -> _Shown:
        return cls(table.path, table.schema, table.is_csv, table.header)

    def table(self) -> OpenTable:
        """It again, to compare with; nothing is read of it."""
        return OpenTable(self.path, self.schema, lambda _: None, is_csv=self.is_csv, header=self.header)


@dataclass(frozen=True, eq=False)
class _File:
    """What is known of a file when it has been opened: ids (n,), what is told, parts, columns that are wider.

    Files of arrays have parts that do not pickle: `here` says that they are to be opened by who asks.
    """

    ids: Any
    told: tuple[str, ...]
    parts: tuple[Part, ...]
    wide: frozenset[str]
    here: bool = False


@dataclass(frozen=True, eq=False)
class _Tree:
    """What it takes to open files of a tree: what was given, how to leave files out, how one is opened."""

    path: Path
    others: str
    open_one: Callable[[Path], OpenTable]
    first: _Shown | None = None

    @cached_property
    def _compared(self) -> OpenTable:
        assert self.first is not None
        return self.first.table()

    def open(self, one: Path) -> OpenTable:
        try:
            return self.open_one(one)
        except DataError as error:
            raise DataError(
                f"{error}. All files of {self.path} are read as one table; {self.others} leaves others out"
            ) from None

    def look(self, one: Path) -> _File:
        return self.file(one, self.open(one))

    def file(self, one: Path, table: OpenTable) -> _File:
        first = self._compared
        _check_columns(self.path, first, table)
        wide = set[str]()
        if not table.schema.equals(first.schema):
            wide = {n for n in first.names if table.schema.field(n).type != first.schema.field(n).type}
        ids, stripped = as_ids(one, "well_id", table.read(["well_id"]).column(0))
        again = table.again or partial(_read_one, one, self.open_one)
        parts = tuple(table.parts) or (Part(table.path, len(ids), again),)
        return _File(ids, (*table.told, *stripped), parts, frozenset(wide))


def _read_one(path: Path, open_one: Callable[[Path], OpenTable], names: list[str]) -> Any:
    return open_one(path).read(names)


def _shared(tree: _Tree, paths: Sequence[Path], who: Workers) -> Iterator[_File]:
    """Files opened by workers, some at a time, in the order of paths."""
    if len(paths) < MANY or isinstance(who, Here):
        yield from map(tree.look, paths)
        return
    n = max(1, min(_AT_ONCE, len(paths) // (4 * who.n)))
    shares = [paths[a : a + n] for a in range(0, len(paths), n)]
    # The working folder of processes elsewhere may be another.
    given = shares if isinstance(who, Processes) else [[one.absolute() for one in s] for s in shares]
    fresh = replace(tree)  # without the table that `_compared` has made, which does not pickle
    found = in_order(who, partial(_look_at_some, fresh), given)
    for share in shares:
        try:
            files = next(found)
        except PolarisRxrxError:
            yield from map(tree.look, share)  # which raises it in the words of this process
            raise
        for one, file in zip(share, files, strict=True):
            yield tree.look(one) if file.here else _as_here(file, one)


def _look_at_some(tree: _Tree, paths: Sequence[Path]) -> list[_File]:
    files = []
    for one in paths:
        file = tree.look(one)
        sent = len(file.parts) == 1 and isinstance(file.parts[0].read, partial)
        files.append(file if sent else replace(file, ids=None, parts=(), here=True))
    return files


def _as_here(file: _File, one: Path) -> _File:
    """A file that was opened elsewhere, under the path that it has here."""
    (part,) = file.parts
    if isinstance(one, RemotePath) or part.path == one:
        return file
    assert isinstance(part.read, partial)
    read = partial(part.read.func, one, *part.read.args[1:])
    told = tuple(line.replace(f"{part.path}:", f"{one}:", 1) for line in file.told)
    return replace(file, parts=(replace(part, path=one, read=read),), told=told)


def _table(path: Path, schema: Any, parts: Sequence[Part], ids: Any, told: Sequence[str]) -> OpenTable:
    """The table of these parts, whose ids are known."""
    import pyarrow as pa

    def read(names: list[str]) -> Any:
        if names == ["well_id"]:
            return pa.table({"well_id": ids})
        of = pa.schema([schema.field(n) for n in names])
        return pa.concat_tables([part.read(names).select(names).cast(of) for part in parts])

    table = OpenTable(path, schema, read, is_csv=False)
    table.parts = tuple(parts)
    table.files = tuple(part.path for part in parts)
    table.told = (f"{path}: {len(parts):,} files read as one table", *told)
    return table


def _glob(path: Path, paths: Sequence[Path]) -> str:
    folder = path if path.is_dir() else path.parent
    return f"{folder}/**/*{paths[0].suffix}"


def _check_columns(path: Path, first: OpenTable, table: OpenTable) -> None:
    """Raise `DataError` unless a file has the columns of the first, each of its kind."""
    if table.schema.equals(first.schema):  # of its types and order, too
        return
    here, there = set(table.names), set(first.names)
    absent = [n for n in first.names if n not in here]
    more = [n for n in table.names if n not in there]
    if absent or more:
        parts = [f"lacks column {some(absent, 3)}"] if absent else []
        parts += [f"has column {some(more, 3)} besides"] if more else []
        raise DataError(f"{table.path} {' and '.join(parts)}; the columns of {first.path} were expected")
    for name in first.names:
        if (table.kind(name) is None) != (first.kind(name) is None):
            held = [f"{t.kind(name) or 'numbers'} in {t.path}" for t in (table, first)]
            raise DataError(
                f"{table.path}: column {name!r} holds {' and '.join(held)}; one kind was expected"
            )


def _refuse_twice(paths: Sequence[Path], ids: Sequence[Any]) -> None:
    """Raise `DataError` if an id stands in two files."""
    import pyarrow as pa
    import pyarrow.compute as pc

    every = pa.chunked_array(ids)
    if pc.count_distinct(every).as_py() == len(every):
        return
    each = [column.unique() for column in ids]  # a well may have several rows in a file
    every = pa.chunked_array(each)
    if pc.count_distinct(every).as_py() == len(every):
        return
    counts = pc.value_counts(every)
    twice = counts.field(0).filter(pc.greater(counts.field(1), 1))
    well = twice[0]
    one, other = [p for p, column in zip(paths, each, strict=True) if pc.index(column, well).as_py() >= 0][:2]
    raise DataError(
        f"{other}: {len(twice):,} wells stand in another file, too: {well.as_py()!r} in {one}; a well stands "
        "in one file"
    )


def open_profiles(path: Path, paths: Sequence[Path], root: Path, index: Path | None) -> OpenTable:
    """DeepProfiler's files as one table, a row a cell.

    Args:
        path: What was given, for messages.
        paths: The files.
        root: The folder below which paths say which well a file is.
        index: A table of plates, wells and sites; without one, the paths are taken apart.

    Raises:
        DataError: A file is none of DeepProfiler's, has another number of features than the first, or its
            path says no well.
    """
    import pyarrow as pa

    shapes = [profile_shape(one) for one in paths]
    wells = _by_layout(path, paths, root) if index is None else _by_index(paths, root, index)
    parts, ids = list[Part](), list[Any]()
    width, kind = -1, np.dtype(np.float32)
    at: dict[str, int] = {}
    for one, well, ((n, d), held) in zip(paths, wells, shapes, strict=True):
        if width < 0:
            width, kind = d, held
            at = {f"feature_{i}": i for i in range(d)}
        if d != width:
            raise DataError(f"{one} has {d:,} features; the {width:,} of {paths[0]} were expected")
        kind = np.promote_types(kind, held)
        ids.append(pa.array([well], pa.string()).take(pa.array(np.zeros(n, dtype=np.int64))))
        parts.append(profile_part(one, n, at))
    types = [(name, pa.from_numpy_dtype(kind)) for name in at]
    schema = pa.schema([("well_id", pa.string()), *types])
    told = (
        f"{path}: a row a cell; well_id from {'the paths' if index is None else index}, such as {wells[0]!r}"
    )
    return _table(path, schema, parts, pa.chunked_array(ids, pa.string()), [told])


def _below(path: Path, root: Path) -> str:
    """A path below a folder, without its suffix."""
    return path.relative_to(root).with_suffix("").as_posix()


def _by_layout(path: Path, paths: Sequence[Path], root: Path) -> list[str]:
    """Ids of files by their paths."""
    wells: list[str] = []
    seen: dict[str, Path] = {}
    for one in paths:
        below = _below(one, root)
        fitting = ((name, pattern.fullmatch(below)) for name, pattern in _LAYOUTS)
        name, found = next((fit for fit in fitting if fit[1]), ("", None))
        if found is None:
            raise DataError(
                f"{one}: its path below {root} says no well; {', '.join(n for n, _ in _LAYOUTS)} was "
                "expected, or --ids FILE with an index of plates, wells and sites"
            )
        seen.setdefault(name, one)
        if len(seen) > 1:
            (a, b), (of_a, of_b) = seen, seen.values()
            raise DataError(f"{path}: {of_a} is {a} and {of_b} is {b}; one layout was expected")
        wells.append("_".join([*found["plate"].split("/"), found["well"]]))
    return wells


def _by_index(paths: Sequence[Path], root: Path, index: Path) -> list[str]:
    """Ids of files by an index of plates, wells and sites."""
    table = open_table(index, text=True, only=_INDEX)
    if absent := [n for n in _INDEX if n not in table.names]:
        raise DataError(f"{index}: no column {some(absent)}; an index has {', '.join(_INDEX)}")
    columns = table.read(list(_INDEX))
    ids = put_together([columns.column(n) for n in _INDEX[:2]]).to_pylist()
    at: dict[str, str] = {}
    for well_id, plate, well, site in zip(ids, *(columns.column(n).to_pylist() for n in _INDEX), strict=True):
        for name in (
            f"{plate}/{well}_{site}",
            f"{plate}/{well}-{site}",
            f"{plate}/{well}/{site}",
            f"{plate}_{well}_{site}",
        ):
            at[name] = well_id
    wells = []
    for one in paths:
        below = _below(one, root).split("/")
        tails = ("/".join(below[i:]) for i in range(len(below)))
        found = next((at[tail] for tail in tails if at.get(tail) is not None), None)
        if found is None:
            raise DataError(f"{one}: not in the index {index}")
        wells.append(found)
    return wells
