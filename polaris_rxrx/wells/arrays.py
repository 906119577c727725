"""Embeddings that are arrays: NumPy's files, HDF5, AnnData, and lists in one column of a table.

Conventions
    An array has one row a well, (N, D), or several, (N, S, D): sites or crops, which become N * S rows. There
    are N ids beside it. Columns are called feature_0 .. feature_{D-1}; AnnData names its own.
    Which array is which, and what is refused, `polaris_rxrx.wells.named` says. Numbers stay on the disk until
    a block of rows is wanted (`polaris_rxrx.wells.blocks`), so that no container is in memory twice; only an
    array in Fortran's order is read whole.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx import bounded
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.files import open_binary
from polaris_rxrx.wells.blocks import Stored, in_batches, in_stream, table_over
from polaris_rxrx.wells.features import families
from polaris_rxrx.wells.hdf5 import open_hdf5
from polaris_rxrx.wells.named import IDS, as_text, check_numbers, choose_arrays
from polaris_rxrx.wells.table import OpenTable

_HDF5 = b"\x89HDF\r\n\x1a\n"

Array = NDArray[Any]


def open_array(
    path: Path, start: bytes, *, ids: Path | None = None, layer: str | None = None
) -> OpenTable | None:
    """Open a file of arrays, told by its first bytes; None if it is none.

    Args:
        path: The file.
        start: Its first bytes, at least 8.
        ids: For an .npy file, the file of its ids: .npy of text, or one id a line.
        layer: For AnnData, a layer in place of X.

    Raises:
        DataError: The file holds no embeddings that can be read, named with what it holds.
        UsageError: An .npy file without `ids`, or an option that the file has no use for.
    """
    if start.startswith(b"\x93NUMPY"):
        no_layer(path, layer)
        if ids is None:
            raise UsageError(f"{path} holds numbers alone; --ids FILE says which well each row is")
        return _table(path, path.name, _of_npy(path), read_ids(ids))
    no_ids(path, ids)
    if start.startswith(b"PK") and _is_npz(path):
        no_layer(path, layer)
        return _of_npz(path)
    if start.startswith(_HDF5):
        found = open_hdf5(path, layer)
        if isinstance(found, OpenTable):
            return found
        no_layer(path, layer)
        return _table(path, *found)
    return None


def read_ids(path: Path) -> Array:
    """Ids of the rows of an array: an .npy file of text, or text with one a line, a header first or none.

    Raises:
        DataError: The file is something else.
    """
    raw = bounded.read_file(path, bounded.TABLE)
    if raw.startswith(b"\x93NUMPY"):
        return as_text(path, path.name, _load(path))
    try:
        lines = raw.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text; one well_id a line was expected") from None
    found = [line.rstrip("\r") for line in lines]
    while found and not found[-1]:
        found.pop()
    if found and found[0].strip().strip('"').lower() in IDS:
        found = found[1:]
    if any("," in line or "\t" in line for line in found):
        raise DataError(f"{path}: has several columns; one well_id a line was expected")
    return np.array([line.strip('"') for line in found], dtype=object)


def spread_lists(table: OpenTable) -> OpenTable:
    """A table whose embeddings are lists in one column, with a column for each number instead.

    A table with features in columns of their own, or with several columns of lists, stays as it is.
    """
    import pyarrow.types as t

    kinds = {kind for kind in set(table.schema.types) if _is_list(kind)}  # few, of many columns
    if not kinds:
        return table
    lists = [f.name for f in table.schema if f.type in kinds and f.name in table.names]
    if len(lists) != 1 or families(table.numeric()):
        return table
    (name,) = lists
    inner = table.schema.field(name).type.value_type
    if _is_list(inner) or not (t.is_floating(inner) or t.is_integer(inner)):
        return table
    kind = np.dtype(inner.to_pandas_dtype())
    check_numbers(table.path, name, kind)
    others = {n: table.read([n]).column(0) for n in table.names if n != name}

    def batches() -> Iterator[Any]:
        return table.batches(name) if table.batches is not None else iter(table.read([name]).column(0).chunks)

    width = next((n for batch in batches() for n in _lengths(batch) if n is not None), 0)
    if table.batches is None:
        _refuse_lengths(table.path, name, batches())
    n = sum(len(batch) for batch in batches()) if not others else len(next(iter(others.values())))

    def arrays() -> Iterator[Array]:
        for batch in batches():
            if _lengths(batch) != [width]:
                _refuse_lengths(table.path, name, batches())
            yield batch.flatten().to_numpy(zero_copy_only=False).reshape(len(batch), width)

    # An absent number in a list is NaN, which no whole number is.
    stored = in_batches(arrays, (n, width), kind if kind.kind == "f" else np.dtype(np.float64))
    made = table_over(table.path, stored.guarded(table.path, "Arrow or parquet"), others)
    made.told = table.told
    return made


def _is_list(kind: Any) -> bool:
    import pyarrow.types as t

    return bool(t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind))


def _lengths(batch: Any) -> list[int | None]:
    """The lengths that lists have, each once, None for that of an absent one."""
    import pyarrow.compute as pc

    found: list[int | None] = pc.list_value_length(batch).unique().to_pylist()
    return found


def _refuse_lengths(path: Path, name: str, batches: Iterator[Any]) -> None:
    """Raise `DataError` if lists are absent or of several lengths."""
    absent, found = 0, set[int]()
    for batch in batches:
        absent += batch.null_count
        found |= {n for n in _lengths(batch) if n is not None}
    if absent:
        raise DataError(f"{path}: column {name!r} is empty in {absent:,} rows")
    if len(found) > 1:
        raise DataError(
            f"{path}: the lists in column {name!r} are of {some(sorted(found), 3)} numbers; "
            "one length was expected"
        )


def _of_npz(path: Path) -> OpenTable:
    try:
        check_claim(path)
        with zipfile.ZipFile(path) as archive:
            found = {n.removesuffix(".npy"): n for n in archive.namelist() if n.endswith(".npy")}
            shapes = {name: head(archive, member)[:2] for name, member in found.items()}
            wanted, named = choose_arrays(path, shapes)
            stored = member_of(path, archive, found[wanted], wanted)
        with np.load(path, allow_pickle=False) as arrays:
            ids = as_text(path, named, arrays[named])
    except (OSError, zipfile.BadZipFile, EOFError, KeyError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: not a whole .npz file ({error})") from None
    return _table(path, wanted, stored, ids)


def head(archive: zipfile.ZipFile, member: str) -> tuple[tuple[int, ...], np.dtype[Any], bool, int]:
    """Of an array in an archive: shape, type, whether in Fortran's order, and where its numbers begin."""
    with archive.open(member) as handle:
        return _head(handle)


def _head(handle: Any) -> tuple[tuple[int, ...], np.dtype[Any], bool, int]:
    from numpy.lib import format as npy

    version = npy.read_magic(handle)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, kind = read(handle)
    return shape, kind, fortran, handle.tell()


def member_of(path: Path, archive: zipfile.ZipFile, member: str, name: str) -> Stored:
    """An array of an .npz file, on the disk.

    Raises:
        DataError: It holds no numbers.
        EOFError: It is shorter than it says.
    """
    shape, kind, fortran, offset = head(archive, member)
    check_numbers(path, name, kind)
    if fortran and len(shape) > 1:
        with archive.open(member) as handle:
            return Stored.of(np.lib.format.read_array(handle, allow_pickle=False))
    _check_length(archive.getinfo(member).file_size, offset, shape, kind)

    def start() -> BinaryIO:
        with zipfile.ZipFile(path) as again:
            return again.open(member)  # type: ignore[return-value]  # which keeps the file open for itself

    return in_stream(start, offset, shape, kind).guarded(path, ".npz")


def _of_npy(path: Path) -> Stored:
    try:
        with open_binary(path) as handle:
            shape, kind, fortran, offset = _head(handle)
        if kind.hasobject:
            raise DataError(f"{path}: holds Python objects, which are never loaded")
        check_numbers(path, path.name, kind)
        if fortran and len(shape) > 1:
            return Stored.of(_load(path))
        _check_length(path.stat().st_size, offset, shape, kind)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: {_told(error)}") from None
    return in_stream(lambda: path.open("rb"), offset, shape, kind).guarded(path, ".npy")


def _check_length(held: int, offset: int, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
    claimed = int(np.prod(shape, dtype=object)) * kind.itemsize
    if held < offset + claimed:
        raise EOFError(f"{claimed:,} bytes of numbers were expected, and there are {held - offset:,}")


def _table(path: Path, name: str, x: Stored, ids: Array) -> OpenTable:
    """Rows of (N, D) or (N, S, D) numbers with N ids."""
    if len(x.shape) not in (2, 3):
        raise DataError(
            f"{path}: {name} has the shape {x.shape}; (wells, features) or (wells, sites, features) was "
            "expected"
        )
    if len(ids) != x.shape[0]:
        raise DataError(
            f"{path}: {name} has {x.shape[0]:,} rows and there are {len(ids):,} ids; one id a row was "
            "expected"
        )
    return table_over(path, x, {"well_id": np.repeat(ids, x.sites)})


def _load(path: Path) -> Array:
    try:
        found: Array = np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: {_told(error)}") from None
    return found


def _told(error: Exception) -> str:
    if "allow_pickle" in str(error) or "Object arrays" in str(error) or "objects" in str(error):
        return "holds Python objects, which are never loaded"
    return f"cannot be read ({str(error).splitlines()[0]})"


def no_layer(path: Path, layer: str | None) -> None:
    """Raise `UsageError` where a layer was asked of what has none."""
    if layer is not None:
        raise UsageError(f"--layer {layer}: {path} is no AnnData file")


def no_ids(path: Path, ids: Path | None) -> None:
    """Raise `UsageError` where ids were given for what holds its own."""
    if ids is not None:
        raise UsageError(f"--ids {ids}: {path} is no .npy file, so its ids stand in it")


def _is_npz(path: Path) -> bool:
    """Whether a zip archive holds NumPy's arrays; a spreadsheet is a zip archive, too."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        return path.suffix == ".npz"  # told when it is read


def check_claim(path: Path) -> None:
    """Raise `DataError` if an archive claims more than is believed of its size."""
    with zipfile.ZipFile(path) as archive:
        check_members(path, archive)


def check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """The same of an archive that is open."""
    claimed = sum(entry.file_size for entry in archive.infolist())
    if claimed > (most := bounded.room(path.stat().st_size)):
        raise DataError(
            f"{path}: claims {claimed:,} bytes unpacked; at most {bounded.size(most)} are read of it"
        )
