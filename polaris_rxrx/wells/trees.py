"""Many files as one table: a file a plate, and DeepProfiler's trees, a file a site.

Conventions
    Files are read in the order of their paths; names that begin with a dot or an underscore are passed over,
    any other file has to be a table; of a folder of features (`polaris_rxrx.wells.parts`) its parts alone are
    read. All have the columns of the first, each of the same kind, in any order.
    An id stands in one file alone.

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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, some
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


def open_tree(path: Path, paths: Sequence[Path], open_one: Callable[[Path], OpenTable]) -> OpenTable:
    """Many tables as one.

    Args:
        path: What was given, for messages.
        paths: The files.
        open_one: Opens one of them.

    Raises:
        DataError: A file is none, has other columns than the first, or a well stands in two files.
    """
    import pyarrow as pa

    first: OpenTable | None = None
    parts, ids, told = list[Part](), list[Any](), list[str]()
    wide = set[str]()
    for one in paths:
        try:
            table = open_one(one)
        except DataError as error:
            others = f"a glob such as {_glob(path, paths)!r}"
            if isinstance(path, RemotePath):
                others = "a prefix of the table's own"
            raise DataError(
                f"{error}. All files of {path} are read as one table; {others} leaves others out"
            ) from None
        if first is None:
            first = table
            if "well_id" not in table.names:
                return table  # the caller names what it lacks
        _check_columns(path, first, table)
        if not table.schema.equals(first.schema):
            wide |= {n for n in first.names if table.schema.field(n).type != first.schema.field(n).type}
        column, stripped = as_ids(one, "well_id", table.read(["well_id"]).column(0))
        ids.append(column)
        told += [*table.told, *stripped] if len(told) < 3 else []
        parts += table.parts or [Part(table.path, len(column), table.again or _reader(one, open_one))]
    assert first is not None
    _refuse_twice(paths, ids)
    fields = [
        f.with_type(pa.float64()) if f.name in wide and f.name != "well_id" else f for f in first.schema
    ]
    return _tree(path, pa.schema(fields, first.schema.metadata), parts, pa.chunked_array(ids), told)


def _tree(path: Path, schema: Any, parts: Sequence[Part], ids: Any, told: Sequence[str]) -> OpenTable:
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


def _reader(path: Path, open_one: Callable[[Path], OpenTable]) -> Callable[[list[str]], Any]:
    return lambda names: open_one(path).read(names)


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
    return _tree(path, schema, parts, pa.chunked_array(ids, pa.string()), [told])


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
