"""Embeddings in HDF5: an array with ids beside it, or AnnData, dense or sparse, read by slices of rows.

Conventions
    An AnnData file is one with `obs` and `var`. Its rows are wells: X, or a layer. Their ids are a column
    `well_id` of obs; else, where the names of its rows are plain numbers, they are put together of the
    columns that say experiment, plate and address (`polaris_rxrx.wells.ids.TOGETHER`), if there are such;
    else they are the names of its rows.
    What is sparse is read by ranges of rows, and each range is made dense; in columns' order (CSC) its
    numbers are brought into that of rows first, still sparse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx import bounded
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.wells.blocks import Stored, table_over
from polaris_rxrx.wells.ids import together
from polaris_rxrx.wells.named import as_text, check_numbers, choose_arrays
from polaris_rxrx.wells.table import OpenTable

_NUMBERED = re.compile(r"\d+(\.0+)?(-\d+)*")  # AnnData appends -0, -1 where it puts tables together


def open_hdf5(path: Path, layer: str | None) -> OpenTable | tuple[str, Stored, NDArray[Any]]:
    """An AnnData file as a table; of any other file its embeddings' name, themselves, and their ids.

    Raises:
        DataError: The file is not whole, or holds no embeddings.
        UsageError: What reads it is not installed.
    """
    with _opened(path) as file:
        import h5py

        if "obs" in file and "var" in file:
            stored, obs, var = _anndata(path, file, layer)
            return table_over(path, stored, _ids(obs), [str(n) for n in var.index])
        found: dict[str, Any] = {}
        file.visititems(lambda n, item: found.update({n: item}) if isinstance(item, h5py.Dataset) else None)
        wanted, named = choose_arrays(path, {n: (d.shape, d.dtype) for n, d in found.items()})
        return wanted, _dense(path, found[wanted], wanted), as_text(path, named, found[named][()])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An HDF5 file that claims no more than is believed of it; what is wrong with it is a `DataError`."""
    try:
        import h5py
    except ImportError:
        raise UsageError(f'{path} is HDF5, which needs h5py: pip install "polaris-rxrx[h5ad]"') from None
    try:
        bounded.check_hdf5(path)
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise DataError(f"{path}: not a whole HDF5 file ({str(error).splitlines()[0]})") from None


def _dense(path: Path, dataset: Any, name: str) -> Stored:
    """A dataset of an HDF5 file."""
    import h5py

    check_numbers(path, name, dataset.dtype)
    place = dataset.name

    def rows(a: int, b: int) -> NDArray[Any]:
        with h5py.File(path, "r") as file:
            found: NDArray[Any] = file[place][a:b]
            return found

    chunk = dataset.chunks[0] if dataset.chunks else 1
    return Stored(dataset.shape, dataset.dtype, rows, chunk).guarded(path, "HDF5")


def _sparse(path: Path, group: Any, name: str, element: Any) -> Stored:
    """A sparse matrix of an AnnData file."""
    import h5py
    from scipy import sparse

    kind = group["data"].dtype
    check_numbers(path, name, kind)
    shape = tuple(int(n) for n in group.attrs["shape"])
    claimed, most = shape[0] * shape[1] * kind.itemsize, bounded.room(path.stat().st_size)
    if claimed > most:
        raise DataError(
            f"{path}: {name} claims {claimed:,} bytes; at most {bounded.size(most)} are read of it"
        )
    if group.attrs["encoding-type"] != "csr_matrix":
        whole = sparse.csr_matrix(element(group))
        return Stored(shape, kind, lambda a, b: whole[a:b].toarray())
    place, starts = group.name, group["indptr"][()]

    def rows(a: int, b: int) -> NDArray[Any]:
        first, last = int(starts[a]), int(starts[b])
        with h5py.File(path, "r") as file:
            held = file[place]
            parts = held["data"][first:last], held["indices"][first:last], starts[a : b + 1] - first
        found: NDArray[Any] = sparse.csr_matrix(parts, shape=(b - a, shape[1])).toarray()
        return found

    return Stored(shape, kind, rows).guarded(path, "HDF5")


def open_rows(path: Path, columns: Sequence[str]) -> OpenTable:
    """An AnnData file's X, and those of some columns of its obs that are there, or what its rows are called.

    Args:
        path: The file.
        columns: Names of columns of obs; of its index, too, if that has such a name.

    Raises:
        DataError: It is no whole AnnData file.
        UsageError: What reads it is not installed.
    """
    import pyarrow as pa

    with _opened(path) as file:
        if not ("obs" in file and "var" in file):
            raise DataError(f"{path}: not a whole .h5ad file (it lacks obs or var)")
        stored, obs, var = _anndata(path, file, None)
    obs = obs if obs.index.name in obs else obs.reset_index()
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
    return table_over(path, stored, there, [str(n) for n in var.index])


def _anndata(path: Path, file: Any, layer: str | None) -> tuple[Stored, Any, Any]:
    """X or a layer of an AnnData file, its obs and its var."""
    import h5py

    element = _reader()
    layers = list(file["layers"]) if "layers" in file else []
    if layer is not None and layer not in layers:
        raise DataError(f"{path} has no layer {layer!r}; it has {some(layers) or 'none'}")
    x = file.get("X" if layer is None else f"layers/{layer}")
    if x is None or x.attrs.get("encoding-type") == "null":
        raise DataError(f"{path} has no X; --layer chooses one of {some(layers) or 'no layers'}")
    name = layer or "X"
    try:
        obs, var = element(file["obs"]), element(file["var"])
        stored = _dense(path, x, name) if isinstance(x, h5py.Dataset) else _sparse(path, x, name, element)
        if stored.shape != (len(obs), len(var)):
            raise DataError(
                f"{path}: {name} has the shape {stored.shape}; {len(obs):,} wells and {len(var):,} features "
                "were expected, as obs and var have them"
            )
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a whole .h5ad file ({str(error).splitlines()[0]})") from None
    return stored, obs, var


def _reader() -> Any:
    """AnnData's reader of one element of a file."""
    try:
        import anndata  # noqa: F401
    except ImportError:
        raise UsageError('.h5ad needs AnnData: pip install "polaris-rxrx[h5ad]"') from None
    try:
        from anndata.io import read_elem
    except ImportError:  # before 0.11
        from anndata.experimental import read_elem
    return read_elem


def _ids(obs: Any) -> dict[str, Any]:
    """The ids of the rows of a table, or the columns that make them."""
    import pyarrow as pa

    if "well_id" in obs:
        return {"well_id": np.asarray(obs["well_id"].astype(str), dtype=object)}
    names = [str(n) for n in obs.index]
    parts = together([str(n) for n in obs.columns])
    if not parts or not all(_NUMBERED.fullmatch(n) for n in names):
        return {"well_id": np.array(names, dtype=object)}
    columns = {n: pa.Array.from_pandas(obs[n].astype(object).infer_objects()) for n in parts}
    return {n: c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for n, c in columns.items()}
