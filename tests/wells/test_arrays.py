"""Arrays as tables: every container gives the same columns, and what cannot be read is named."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.wells import blocks
from polaris_rxrx.wells.arrays import open_array, read_ids, spread_lists
from polaris_rxrx.wells.table import OpenTable, open_table

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
IDS = [f"gene-001_1_A0{i}" for i in range(5)]


def opened(path: Path, **options: Any) -> OpenTable:
    table = open_array(path, path.read_bytes()[:16], **options)
    assert table is not None
    return table


def as_npz(folder: Path) -> OpenTable:
    np.savez(folder / "a.npz", embeddings=X, well_id=np.array(IDS), other=np.arange(9.0))
    return opened(folder / "a.npz")


def as_unnamed_npz(folder: Path) -> OpenTable:
    np.savez_compressed(folder / "a.npz", v=X, w=np.array(IDS))
    return opened(folder / "a.npz")


def as_npy(folder: Path) -> OpenTable:
    np.save(folder / "a.npy", X)
    (folder / "ids.csv").write_text("well_id\n" + "\n".join(IDS) + "\n")
    return opened(folder / "a.npy", ids=folder / "ids.csv")


def as_npy_twice(folder: Path) -> OpenTable:
    np.save(folder / "a.npy", X.astype(">f4"))
    np.save(folder / "ids.npy", np.array(IDS))
    return opened(folder / "a.npy", ids=folder / "ids.npy")


def as_hdf5(folder: Path) -> OpenTable:
    import h5py

    with h5py.File(folder / "a.h5", "w") as file:
        file["group/embeddings"] = X
        file["group/well_id"] = np.array(IDS, dtype="S")
    return opened(folder / "a.h5")


def as_hdf5_text(folder: Path) -> OpenTable:
    import h5py

    with h5py.File(folder / "a.h5", "w") as file:
        file["x"] = X
        file.create_dataset("ids", data=IDS, dtype=h5py.string_dtype())
    return opened(folder / "a.h5")


def as_h5ad(folder: Path) -> OpenTable:
    import anndata
    import pandas as pd

    names = pd.DataFrame(index=[f"feature_{i}" for i in range(3)])
    anndata.AnnData(X=X, obs=pd.DataFrame(index=IDS), var=names).write_h5ad(folder / "a.h5ad")
    return opened(folder / "a.h5ad")


def as_h5ad_layer(folder: Path) -> OpenTable:
    import anndata
    import pandas as pd

    obs = pd.DataFrame({"well_id": IDS}, index=[str(i) for i in range(5)])
    names = pd.DataFrame(index=[f"feature_{i}" for i in range(3)])
    anndata.AnnData(X=0 * X, obs=obs, var=names, layers={"raw": X}).write_h5ad(folder / "a.h5ad")
    return opened(folder / "a.h5ad", layer="raw")


def as_list_column(folder: Path) -> OpenTable:
    table = pa.table({"well_id": IDS, "embedding": pa.FixedSizeListArray.from_arrays(X.ravel(), 3)})
    return spread_lists(OpenTable(folder / "a", table.schema, table.select, is_csv=False))


def as_ragged_type(folder: Path) -> OpenTable:
    table = pa.table({"well_id": IDS, "embedding": pa.array(X.tolist(), pa.list_(pa.float32()))})
    return spread_lists(OpenTable(folder / "a", table.schema, table.select, is_csv=False))


def as_fortran_npz(folder: Path) -> OpenTable:
    np.savez(folder / "a.npz", embeddings=np.asfortranarray(X), well_id=np.array(IDS))
    return opened(folder / "a.npz")


def as_fortran_npy(folder: Path) -> OpenTable:
    np.save(folder / "a.npy", np.asfortranarray(X))
    (folder / "ids.txt").write_text("\n".join(IDS))
    return opened(folder / "a.npy", ids=folder / "ids.txt")


def as_sparse(kind: str, layer: str | None = None) -> Callable[[Path], OpenTable]:
    def make(folder: Path) -> OpenTable:
        import anndata
        import pandas as pd
        from scipy import sparse

        x = getattr(sparse, f"{kind}_matrix")(X)
        names = pd.DataFrame(index=[f"feature_{i}" for i in range(3)])
        made = anndata.AnnData(X=x if layer is None else None, obs=pd.DataFrame(index=IDS), var=names)
        if layer is not None:
            made.layers[layer] = x
        made.write_h5ad(folder / "a.h5ad")
        return opened(folder / "a.h5ad", layer=layer)

    return make


def as_chunked_hdf5(folder: Path) -> OpenTable:
    import h5py

    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("embeddings", data=X.astype(">f8"), chunks=(2, 3), compression="gzip")
        file["well_id"] = np.array(IDS, dtype="S")
    return opened(folder / "a.h5")


CONTAINERS = (
    as_fortran_npz,
    as_fortran_npy,
    as_sparse("csr"),
    as_sparse("csc"),
    as_sparse("csr", "raw"),
    as_chunked_hdf5,
    as_npz,
    as_unnamed_npz,
    as_npy,
    as_npy_twice,
    as_hdf5,
    as_hdf5_text,
    as_h5ad,
    as_h5ad_layer,
    as_list_column,
    as_ragged_type,
)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("at_once", [1, 1 << 24])
def test_every_container_is_the_same_table(
    tmp_path: Path, container: Callable[[Path], OpenTable], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "AT_ONCE", at_once)
    table = container(tmp_path)
    assert table.names == ["well_id", "feature_0", "feature_1", "feature_2"]
    read = table.read(["feature_2", "well_id", "feature_0"])
    assert read.column("well_id").to_pylist() == IDS
    np.testing.assert_array_equal(read.column("feature_0").to_numpy(), X[:, 0])
    np.testing.assert_array_equal(read.column("feature_2").to_numpy(), X[:, 2])
    found = [part.matrix(["feature_2", "feature_0"]) for part in table.parts if part.matrix is not None]
    assert len(found) == len(table.parts) >= (5 // 2 if at_once == 1 else 1)
    np.testing.assert_array_equal(np.concatenate(found), X[:, [2, 0]])


def test_sites_become_rows(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", embeddings=np.stack([X, X + 1], axis=1), well_id=np.array(IDS))
    read = opened(tmp_path / "a.npz").read(["well_id", "feature_1"])
    assert read.column(0).to_pylist() == [i for i in IDS for _ in range(2)]
    np.testing.assert_array_equal(read.column(1).to_numpy(), np.stack([X[:, 1], X[:, 1] + 1], 1).ravel())


def test_other_files_are_none_of_these(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("well_id,feature_0\n")
    assert open_array(path, path.read_bytes()) is None
    with pytest.raises(UsageError, match=r"is no \.npy file"):
        open_array(path, path.read_bytes(), ids=path)


def saved(**arrays: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        np.savez(folder / "a.npz", **arrays)
        return folder / "a.npz"

    return make


def pickled(folder: Path) -> Path:
    np.save(folder / "a.npy", np.array([{1: 2}], dtype=object), allow_pickle=True)
    return folder / "a.npy"


def cut(folder: Path) -> Path:
    np.save(folder / "a.npy", X)
    raw = (folder / "a.npy").read_bytes()
    (folder / "a.npy").write_bytes(raw[:-7])
    return folder / "a.npy"


class Bomb:
    def __reduce__(self) -> Any:
        return pytest.fail, ("something was unpickled",)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (saved(embeddings=X), "no array can be the ids of its rows; an array 'well_id'"),
        (
            saved(embeddings=X, well_id=np.array([Bomb()] * 5)),
            "'well_id' holds Python objects, which are never",
        ),
        (saved(embeddings=X, well_id=np.array(IDS[:4])), "no array can be the ids"),
        (saved(a=X, b=X, well_id=np.array(IDS)), "several arrays can be the embeddings"),
        (saved(well_id=np.array(IDS)), "no array can be the embeddings"),
        (
            saved(embeddings=X.view("V2").reshape(5, 6), well_id=np.array(IDS)),
            "which is what bfloat16 comes as",
        ),
        (saved(embeddings=X.astype(np.uint16), well_id=np.array(IDS)), "which is what bfloat16 comes as"),
        (pickled, "holds Python objects, which are never loaded"),
        (cut, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    path = make(tmp_path)
    (tmp_path / "ids.txt").write_text("\n".join(IDS))
    options = {"ids": tmp_path / "ids.txt"} if path.suffix == ".npy" else {}
    with pytest.raises(DataError, match=message) as found:
        opened(path, **options)
    assert path.name in str(found.value)


def test_ids_and_options_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    with pytest.raises(UsageError, match="--ids FILE says which well"):
        opened(tmp_path / "a.npy")
    (tmp_path / "ids.txt").write_text("\n".join(IDS[:2]))
    with pytest.raises(DataError, match="has 5 rows and there are 2 ids"):
        opened(tmp_path / "a.npy", ids=tmp_path / "ids.txt")
    (tmp_path / "ids.txt").write_text("well_id,x\na,1\n")
    with pytest.raises(DataError, match="has several columns"):
        read_ids(tmp_path / "ids.txt")
    (tmp_path / "ids.txt").write_bytes(pickle.dumps([1]) + b"\xff")
    with pytest.raises(DataError, match="not UTF-8"):
        read_ids(tmp_path / "ids.txt")
    np.savez(tmp_path / "a.npz", embeddings=X, well_id=np.array(IDS))
    with pytest.raises(UsageError, match=r"--layer raw: .* is no AnnData file"):
        opened(tmp_path / "a.npz", layer="raw")


def test_hdf5_that_is_refused(tmp_path: Path) -> None:
    import anndata
    import h5py
    import pandas as pd

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["embeddings"], file["well_id"] = X.astype(np.uint16), np.array(IDS, dtype="S")
    with pytest.raises(DataError, match=r"a\.h5: embeddings is <u2, which is what bfloat16 comes as"):
        opened(tmp_path / "a.h5")
    from scipy import sparse

    for x in (X.astype(np.uint16), sparse.csr_matrix(X.astype(np.uint16))):
        anndata.AnnData(X=x, obs=pd.DataFrame(index=IDS)).write_h5ad(tmp_path / "a.h5ad")
        with pytest.raises(DataError, match=r"a\.h5ad: X is <u2, which is what bfloat16 comes as"):
            opened(tmp_path / "a.h5ad")
    with pytest.raises(DataError, match=r"a\.h5ad has no layer 'raw'; it has none"):
        opened(tmp_path / "a.h5ad", layer="raw")
    anndata.AnnData(X=sparse.csr_matrix((5, 3)), obs=pd.DataFrame(index=IDS)).write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "a") as file:
        file["X"].attrs["shape"] = (5, 1 << 30)
    with pytest.raises(DataError, match=r"a\.h5ad: X claims .* bytes; at most 1,024 MiB are read of it"):
        opened(tmp_path / "a.h5ad")
    anndata.AnnData(obs=pd.DataFrame(index=IDS)).write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(DataError, match="has no X; --layer chooses one of no layers"):
        opened(tmp_path / "a.h5ad")


def test_an_array_that_is_shorter_than_it_says(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, array in (("embeddings", X), ("well_id", np.array(IDS))):
            held = io.BytesIO()
            np.save(held, array)
            archive.writestr(f"{name}.npy", held.getvalue()[: -4 if name == "embeddings" else None])
    with pytest.raises(DataError, match=r"not a whole \.npz file \(60 bytes of numbers .* there are 56"):
        opened(tmp_path / "a.npz")


def test_numbers_that_were_damaged_are_told_as_they_are_read(tmp_path: Path) -> None:
    x = np.tile(X, (1, 10_000))
    np.savez(tmp_path / "a.npz", embeddings=x, well_id=np.array(IDS))
    raw = bytearray((tmp_path / "a.npz").read_bytes())
    raw[bytes(raw).index(x.tobytes()) + x.nbytes - 1] ^= 1
    (tmp_path / "a.npz").write_bytes(raw)
    table = opened(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"a\.npz: not a whole \.npz file \(Bad CRC-32"):
        table.read(["feature_0"])


def test_lists_that_are_not_all_as_the_first(tmp_path: Path) -> None:
    """A file's lists are read from the first to the last, so the last may be what is wrong."""
    for last, message in (
        ([1.0, 2.0], "of '2', '3' numbers; one length"),
        (None, "column 'e' is empty in 1 rows"),
    ):
        pq.write_table(pa.table({"well_id": IDS, "e": [*X[:4].tolist(), last]}), tmp_path / "a.parquet")
        table = spread_lists(open_table(tmp_path / "a.parquet"))
        with pytest.raises(DataError, match=message):
            table.read(["feature_0"])
    pq.write_table(
        pa.table({"well_id": IDS, "e": pa.array(X.astype(np.uint16).tolist(), pa.list_(pa.uint16()))}),
        tmp_path / "a.parquet",
    )
    with pytest.raises(DataError, match="e is <u2, which is what bfloat16 comes as"):
        spread_lists(open_table(tmp_path / "a.parquet"))


def test_lists_of_several_lengths(tmp_path: Path) -> None:
    for lists, message in (
        ([[1.0], [1.0, 2.0]], "one length was expected"),
        ([[1.0], None], "is empty in 1 rows"),
    ):
        table = pa.table({"well_id": ["a", "b"], "e": lists})
        with pytest.raises(DataError, match=message):
            spread_lists(OpenTable(tmp_path, table.schema, table.select, is_csv=False))
