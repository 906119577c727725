"""Embeddings that are arrays: NumPy's files, HDF5, AnnData, and lists in one column of a table.

Conventions
    An array has one row a well, (N, D), or several, (N, S, D): sites or crops, which become N * S rows. There
    are N ids beside it. Columns are called feature_0 .. feature_{D-1}; AnnData names its own.
    Which array holds the embeddings, and which the ids, is said by the names `EMBEDDINGS` and `IDS`, else by
    there being just one that can.
    Numbers are float16, float32, float64 or whole. Nothing is ever unpickled: arrays of objects are refused.
    bfloat16 has no type of its own in NumPy: `|V2` and uint16 are refused, which is what it comes as.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx import bounded
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.files import open_binary
from polaris_rxrx.wells.features import families
from polaris_rxrx.wells.table import OpenTable

EMBEDDINGS = ("embeddings", "embedding", "features", "x")
IDS = ("well_id", "well_ids", "ids", "id", "names", "obs_names")
PROFILE = "features"
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
        return _table(path, path.name, _load(path), read_ids(ids))
    no_ids(path, ids)
    if start.startswith(b"PK") and _is_npz(path):
        no_layer(path, layer)
        return _of_npz(path)
    if start.startswith(_HDF5):
        return _of_hdf5(path, layer)
    return None


def read_ids(path: Path) -> Array:
    """Ids of the rows of an array: an .npy file of text, or text with one a line, a header first or none.

    Raises:
        DataError: The file is something else.
    """
    raw = bounded.read_file(path, bounded.TABLE)
    if raw.startswith(b"\x93NUMPY"):
        return _as_text(path, path.name, _load(path))
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
    import pyarrow as pa
    import pyarrow.types as t

    def is_list(kind: Any) -> bool:
        return bool(t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind))

    lists = [n for n in table.names if is_list(table.schema.field(n).type)]
    if len(lists) != 1 or families(table.numeric()):
        return table
    (name,) = lists
    inner = table.schema.field(name).type.value_type
    if is_list(inner) or not (t.is_floating(inner) or t.is_integer(inner)):
        return table
    column = table.read([name]).column(0)
    column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if column.null_count:
        raise DataError(f"{table.path}: column {name!r} is empty in {column.null_count:,} rows")
    import pyarrow.compute as pc

    widths = np.unique(pc.list_value_length(column).to_numpy(zero_copy_only=False))
    if len(widths) > 1:
        raise DataError(
            f"{table.path}: the lists in column {name!r} are of {some(widths.tolist(), 3)} numbers; "
            "one length was expected"
        )
    width = int(widths[0]) if len(widths) else 0
    values = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), width)
    others = [n for n in table.names if n != name]
    return _open(
        table.path, _numbers(table.path, name, values), {n: table.read([n]).column(0) for n in others}
    )


def _of_npz(path: Path) -> OpenTable:
    try:
        _check_claim(path)
        with np.load(path, allow_pickle=False) as arrays:
            shapes = {name: _head(arrays, name) for name in arrays.files}
            wanted, named = _choose(path, shapes)
            return _table(
                path, wanted, _read(path, arrays, wanted), _as_text(path, named, _read(path, arrays, named))
            )
    except (OSError, zipfile.BadZipFile, EOFError, KeyError, zlib.error) as error:
        raise DataError(f"{path}: not a whole .npz file ({error})") from None


def _head(arrays: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array in an .npz file, read from its header alone."""
    from numpy.lib import format as npy

    with arrays.zip.open(f"{name}.npy") as handle:
        version = npy.read_magic(handle)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, kind = read(handle)
    return shape, kind


def _read(path: Path, arrays: Any, name: str) -> Array:
    try:
        found: Array = arrays[name]
    except ValueError as error:
        raise DataError(f"{path}: {name!r} {_told(error)}") from None
    return found


def _of_hdf5(path: Path, layer: str | None) -> OpenTable:
    try:
        import h5py
    except ImportError:
        raise UsageError(f'{path} is HDF5, which needs h5py: pip install "polaris-rxrx[h5ad]"') from None
    try:
        bounded.check_hdf5(path)
        with h5py.File(path, "r") as file:
            if "obs" in file and "var" in file:
                return _of_anndata(path, layer)
            no_layer(path, layer)
            found: dict[str, Any] = {}
            file.visititems(
                lambda n, item: found.update({n: item}) if isinstance(item, h5py.Dataset) else None
            )
            wanted, named = _choose(path, {n: (d.shape, d.dtype) for n, d in found.items()})
            return _table(path, wanted, found[wanted][()], _as_text(path, named, found[named][()]))
    except (OSError, KeyError, RuntimeError) as error:
        raise DataError(f"{path}: not a whole HDF5 file ({str(error).splitlines()[0]})") from None


def _of_anndata(path: Path, layer: str | None) -> OpenTable:
    """Embeddings of an AnnData file: X or a layer; ids are a column well_id, else the names of its rows."""
    data = _read_anndata(path)
    x = _matrix(path, data, layer)
    if "well_id" in data.obs:
        ids = np.asarray(data.obs["well_id"].astype(str), dtype=object)
    else:
        ids = np.asarray(data.obs_names, dtype=object)
    return _open(path, x, {"well_id": ids}, [str(n) for n in data.var_names])


def open_rows(path: Path, columns: Sequence[str]) -> OpenTable:
    """An AnnData file's X, and those of some columns of its obs that are there, or what its rows are called.

    Args:
        path: The file.
        columns: Names of columns of obs; of its index, too, if that has such a name.

    Raises:
        DataError: It is no whole file.
    """
    import pyarrow as pa

    bounded.check_hdf5(path)
    data = _read_anndata(path)
    obs = data.obs if data.obs.index.name in data.obs else data.obs.reset_index()
    there: dict[str, Any] = {}
    for name in columns:
        if name not in obs:
            continue
        cells = obs[name]
        if cells.dtype.kind in "fiu":
            there[name] = pa.array(cells.to_numpy(dtype=np.float64))
        else:
            texts = cells.astype(object).where(cells.notna(), "")
            there[name] = pa.array([str(text) for text in texts], pa.string())
    return _open(path, _matrix(path, data, None), there, [str(n) for n in data.var_names])


def _read_anndata(path: Path) -> Any:
    try:
        import anndata
    except ImportError:
        raise UsageError('.h5ad needs AnnData: pip install "polaris-rxrx[h5ad]"') from None
    try:
        return anndata.read_h5ad(path)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path}: not a whole .h5ad file ({str(error).splitlines()[0]})") from None


def _matrix(path: Path, data: Any, layer: str | None) -> Array:
    """X or a layer of AnnData, as numbers."""
    if layer is not None and layer not in data.layers:
        raise DataError(f"{path} has no layer {layer!r}; it has {some(list(data.layers)) or 'none'}")
    x = data.X if layer is None else data.layers[layer]
    if x is None:
        raise DataError(f"{path} has no X; --layer chooses one of {some(list(data.layers)) or 'no layers'}")
    return _numbers(path, layer or "X", x.toarray() if hasattr(x, "toarray") else np.asarray(x))


def _choose(path: Path, arrays: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> tuple[str, str]:
    """Which array holds the embeddings, and which the ids."""

    def pick(what: str, known: tuple[str, ...], can: list[str]) -> str:
        named = [n for n in can if n.lower().rpartition("/")[2] in known]
        found = named if len(named) == 1 else can
        if len(found) != 1:
            held = ", ".join(f"{n} {shape} {kind}" for n, (shape, kind) in arrays.items()) or "nothing"
            can_be = "several arrays" if found else "no array"
            raise DataError(
                f"{path}: {can_be} can be {what}; an array {known[0]!r} was expected. It holds {held}"
            )
        return found[0]

    def is_text(kind: np.dtype[Any]) -> bool:  # HDF5's text comes as objects that say so
        return kind.kind in "US" or (kind.hasobject and kind.metadata is not None)

    objects = [n for n, (_, kind) in arrays.items() if kind.hasobject and not is_text(kind)]
    can = [n for n, (shape, kind) in arrays.items() if len(shape) in (2, 3) and kind.kind in "fiuV"]
    wanted = pick("the embeddings", EMBEDDINGS, can)
    n = arrays[wanted][0][0]
    texts = [m for m, (shape, kind) in arrays.items() if shape == (n,) and is_text(kind)]
    if not texts and objects:
        raise DataError(
            f"{path}: {some(objects)} holds Python objects, which are never loaded; save ids as text "
            "(numpy.array(ids, dtype=str))"
        )
    return wanted, pick("the ids of its rows", IDS, texts)


def _table(path: Path, name: str, x: Array, ids: Array) -> OpenTable:
    """Rows of (N, D) or (N, S, D) numbers with N ids."""
    x = _numbers(path, name, x)
    if x.ndim not in (2, 3):
        raise DataError(
            f"{path}: {name} has the shape {x.shape}; (wells, features) or (wells, sites, features) was "
            "expected"
        )
    if len(ids) != len(x):
        raise DataError(
            f"{path}: {name} has {len(x):,} rows and there are {len(ids):,} ids; one id a row was expected"
        )
    if x.ndim == 3:
        ids, x = np.repeat(ids, x.shape[1]), x.reshape(-1, x.shape[2])
    return _open(path, x, {"well_id": ids})


def _open(path: Path, x: Array, more: Mapping[str, Any], names: list[str] | None = None) -> OpenTable:
    """A table over the columns of `x` and `more`; a column of `x` is made when it is read."""
    import pyarrow as pa

    named = names if names is not None else [f"feature_{i}" for i in range(x.shape[1])]
    at = {name: i for i, name in enumerate(named)}
    others = {
        n: v if isinstance(v, (pa.Array, pa.ChunkedArray)) else pa.array(v, pa.string())
        for n, v in more.items()
    }
    kind = pa.from_numpy_dtype(x.dtype)
    schema = pa.schema([*((n, v.type) for n, v in others.items()), *((n, kind) for n in named)])

    def read(wanted: list[str]) -> Any:
        columns = [at[n] for n in wanted if n not in others]
        a, b = (columns[0], columns[-1] + 1) if columns else (0, 0)
        # Neighbors are turned together: one by one, each would fetch all of its rows from memory anew.
        block = np.ascontiguousarray(x[:, a:b].T) if columns == list(range(a, b)) else x.T[columns]
        made = iter(block)
        return pa.table({n: others[n] if n in others else pa.array(next(made)) for n in wanted})

    return OpenTable(path, schema, read, is_csv=False)


def _numbers(path: Path, name: str, x: Array) -> Array:
    """The array, if it holds numbers that are what they seem."""
    if x.dtype.kind == "V" or x.dtype == np.uint16:
        raise DataError(
            f"{path}: {name} is {x.dtype.str}, which is what bfloat16 comes as; save it as float32 "
            "(in PyTorch x.float().numpy())"
        )
    if x.dtype.kind not in "fiu":
        raise DataError(f"{path}: {name} is {x.dtype}; numbers were expected")
    return x.astype(x.dtype.newbyteorder("=")) if not x.dtype.isnative else x


def _as_text(path: Path, name: str, ids: Array) -> Array:
    """Ids as text; bytes are UTF-8."""
    if ids.ndim != 1 or ids.dtype.kind not in "USO":
        raise DataError(f"{path}: {name} is {ids.dtype} of the shape {ids.shape}; one id a row was expected")
    try:
        return np.array([v.decode() if isinstance(v, bytes) else str(v) for v in ids.tolist()], dtype=object)
    except UnicodeDecodeError:
        raise DataError(f"{path}: {name} holds ids that are not UTF-8 text") from None


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


# ---- DeepProfiler's files: `features`, a row a cell, beside a pickled `metadata` that stays where it is


def is_profile(path: Path) -> bool:
    """Whether a file is one of DeepProfiler's: an .npz with `features` and no ids that could be theirs."""
    if not path.is_file():
        return False
    with open_binary(path) as handle:
        if not handle.read(2).startswith(b"PK") or not zipfile.is_zipfile(path):
            return False
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if PROFILE not in arrays.files:
                return False
            others = [_head(arrays, n) for n in arrays.files if n != PROFILE]
            return not any(len(shape) == 1 and kind.kind in "US" for shape, kind in others)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError, AttributeError):
        return False


def profile_shape(path: Path) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Cells and features, and the type, of one of DeepProfiler's files, from its header alone.

    Raises:
        DataError: It is none.
    """
    if not is_profile(path):
        raise DataError(
            f"{path}: no {PROFILE!r} in it, or it is no .npz file; one of DeepProfiler's was expected"
        )
    _check_claim(path)
    with np.load(path, allow_pickle=False) as arrays:
        shape, kind = _head(arrays, PROFILE)
    if len(shape) != 2 or kind.kind not in "fiu":
        raise DataError(f"{path}: {PROFILE} is {shape} {kind}; (cells, features) of numbers were expected")
    return (shape[0], shape[1]), np.dtype(np.float32) if kind == np.float16 else kind.newbyteorder("=")


def read_profile(path: Path) -> OpenTable:
    """The features of one of DeepProfiler's files, a row a cell."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _open(path, _numbers(path, PROFILE, _read(path, arrays, PROFILE)), {})
    except (OSError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole .npz file ({error})") from None


def _check_claim(path: Path) -> None:
    """Raise `DataError` if an archive claims more than is believed of its size."""
    with zipfile.ZipFile(path) as archive:
        claimed = sum(entry.file_size for entry in archive.infolist())
    if claimed > (most := bounded.room(path.stat().st_size)):
        raise DataError(
            f"{path}: claims {claimed:,} bytes unpacked; at most {bounded.size(most)} are read of it"
        )
