"""Arrays on the disk: blocks of whatever size are the array, and no container is in memory twice."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.wells import blocks
from polaris_rxrx.wells import table as room
from polaris_rxrx.wells.blocks import Stored, columns_of, in_batches, in_stream, table_over
from polaris_rxrx.wells.containers import open_embeddings
from polaris_rxrx.wells.gather import Places, gather

X = np.random.default_rng(0).normal(size=(29, 3, 5)).astype(np.float32)


def stored_ways() -> dict[str, Stored]:
    raw = b"head" + X.tobytes()
    cuts = np.split(X, [0, 4, 5, 21])
    return {
        "memory": Stored.of(X),
        "a stream": in_stream(lambda: io.BytesIO(raw), 4, X.shape, X.dtype),
        "batches": in_batches(lambda: iter(cuts), X.shape, X.dtype),
    }


@pytest.mark.parametrize("at_once", [1, 200, 10_000])
@pytest.mark.parametrize("way", stored_ways())
def test_blocks_are_the_array(way: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "AT_ONCE", at_once)
    stored = stored_ways()[way]
    assert (stored.sites, stored.width) == (3, 5)
    for _ in range(2):  # from its beginning again
        found = [stored.block(a, b) for a, b in stored.spans()]
        assert len(found) == {1: 29, 200: 10, 10_000: 1}[at_once]
        np.testing.assert_array_equal(np.concatenate(found), X.reshape(-1, 5))


@pytest.mark.parametrize("way", stored_ways())
def test_blocks_in_any_order(way: str) -> None:
    stored = stored_ways()[way]
    for a, b in ((20, 25), (3, 4), (4, 29), (0, 1), (10, 10)):
        np.testing.assert_array_equal(stored.block(a, b), X[a:b].reshape(-1, 5))


def test_whole_chunks_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "AT_ONCE", 1000)  # 16 rows
    assert Stored(X.shape, X.dtype, lambda a, b: X[a:b], chunk=7).spans() == [(0, 21), (21, 29)]
    assert Stored(X.shape, X.dtype, lambda a, b: X[a:b], chunk=100).spans() == [(0, 29)]


def test_what_ends_too_early_is_named() -> None:
    short = in_stream(lambda: io.BytesIO(X.tobytes()[:-1]), 0, X.shape, X.dtype).guarded(
        Path("e.npz"), ".npz"
    )
    assert len(short.block(0, 28)) == 84
    with pytest.raises(DataError, match=r"e\.npz: not a whole \.npz file \(it ends before its last row\)"):
        short.block(28, 29)
    few = in_batches(lambda: iter([X[:4]]), X.shape, X.dtype).guarded(Path("e.parquet"), "parquet")
    with pytest.raises(DataError, match="ends before its last row"):
        few.block(0, 29)


def test_bytes_of_another_machine() -> None:
    foreign = Stored.of(X.astype(">f4")).block(0, 29)
    assert foreign.dtype.isnative and np.array_equal(foreign, X.reshape(-1, 5))


def test_columns_in_the_order_asked_for() -> None:
    x = np.arange(12).reshape(3, 4)
    for columns in ([0, 1, 2, 3], [1, 2], [3, 0], [2], []):
        np.testing.assert_array_equal(columns_of(x, columns), x[:, columns])


def test_a_column_in_memory_may_be_read_as_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "AT_ONCE", 200)
    n = X.shape[0] * X.shape[1]
    table = table_over(Path("e"), Stored.of(X), {"well_id": ["a"] * n, "size": pa.array(np.arange(n))})
    assert len(table.parts) == 10
    parts = [part.matrix(["feature_4", "size"]) for part in table.parts if part.matrix is not None]
    expected = np.column_stack([X.reshape(-1, 5)[:, 4], np.arange(n)])
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    np.testing.assert_array_equal(table.read(["size"]).column(0).to_numpy(), np.arange(n))


# ---- memory: the peak is the matrix and a block, whatever the wells come in

N, WIDTH = 8_000, 512  # 16 MB


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    folder = tmp_path_factory.mktemp("large")
    ids = np.array([f"gene-{i % 9 + 1:03d}_{i // 1000 + 1}_W{i}" for i in range(N)])
    x = np.random.default_rng(0).normal(size=(N, WIDTH)).astype(np.float32)
    return folder, ids, x


def _npz(path: Path, ids: Any, x: Any) -> None:
    with path.open("wb") as file:
        np.savez(file, embeddings=x, well_id=ids)


def _packed(path: Path, ids: Any, x: Any) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, embeddings=x, well_id=ids)


def _hdf5(path: Path, ids: Any, x: Any) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["embeddings"], file["well_id"] = x, ids.astype("S")


def _h5ad(path: Path, ids: Any, x: Any) -> None:
    import anndata

    anndata.AnnData(X=x, obs=pd.DataFrame(index=ids)).write_h5ad(path)


def _csr(path: Path, ids: Any, x: Any) -> None:
    from scipy import sparse

    _h5ad(path, ids, sparse.csr_matrix(x))


def _lists(path: Path, ids: Any, x: Any) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(x.ravel(), WIDTH)
    pq.write_table(pa.table({"well_id": ids, "embedding": vectors}), path)


LARGE: dict[str, Callable[[Path, Any, Any], None]] = {
    "npz": _npz,
    "npz, packed": _packed,
    "HDF5": _hdf5,
    "AnnData": _h5ad,
    "AnnData, CSR": _csr,
    "lists": _lists,
}


@pytest.mark.parametrize("container", LARGE)
def test_no_container_is_in_memory_twice(
    large: tuple[Path, Any, Any], container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What numpy and Arrow hold at most; an interpreter's whole size would be that of its imports."""
    folder, ids, x = large
    path = folder / "e"
    LARGE[container](path, ids, x)
    monkeypatch.setattr(blocks, "AT_ONCE", 1 << 20)
    monkeypatch.setattr(room, "_ROWS_AT_ONCE", 512)
    features = (
        [f"feature_{i}" for i in range(WIDTH)] if container[:7] != "AnnData" else list(map(str, range(WIDTH)))
    )
    places = Places(np.random.default_rng(1).permutation(N), N)
    open_embeddings(path).read(["well_id"])  # what is imported at first
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        made = gather(open_embeddings(path), features, places)
        peak = tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)
    path.unlink()
    assert np.array_equal(made[places.place], x) and pool.max_memory() > 0
    assert peak < 1.6 * x.nbytes, f"{peak / 1e6:.0f} MB for a matrix of {x.nbytes / 1e6:.0f} MB"
