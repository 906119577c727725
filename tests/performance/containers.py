"""The same table of wells in every container against parquet: the time to wells, and the memory.

Both columns are ours: `read_wells` of a parquet file, and of the same values in another container, in the
same run; what comes out is equal. "Four rows a well" has every well four times.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.performance.common import Row, Settings, Side, apart, best
from tests.performance.map import EMBEDDINGS, METADATA


def read(metadata: str, embeddings: str, ids: str | None = None) -> Side:
    """`read_wells`; the value tells whether two readings are equal."""
    import pandas  # noqa: F401  # pyarrow imports it at its first array

    from polaris_rxrx.wells.memory import read_wells

    side = best(lambda: read_wells(metadata, embeddings, ids=ids), 1)
    sample = side.value.x[::997, ::7].astype(np.float64)
    return Side(side.seconds, [float(sample.sum()), float(np.abs(sample).sum()), len(side.value)])


def _writers(table: Any, scratch: Path) -> Iterator[tuple[str, Callable[[], tuple[Path, Path | None]]]]:
    """What writes each container, and its ids where they stand apart; one is on the disk at a time."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.feather as feather
    import pyarrow.parquet as pq

    features = [n for n in table.column_names if n != "well_id"]
    ids = table.column("well_id").to_pylist()

    def matrix() -> Any:
        return np.stack([table.column(n).to_numpy() for n in features], axis=1)

    def text() -> tuple[Path, None]:
        pacsv.write_csv(table, scratch / "e.csv")
        return scratch / "e.csv", None

    def arrow(compression: str) -> tuple[Path, None]:
        feather.write_feather(table, scratch / "e.feather", compression=compression)
        return scratch / "e.feather", None

    def lists() -> tuple[Path, None]:
        vectors = pa.FixedSizeListArray.from_arrays(matrix().ravel(), len(features))
        pq.write_table(pa.table({"well_id": ids, "embedding": vectors}), scratch / "lists.parquet")
        return scratch / "lists.parquet", None

    def npz() -> tuple[Path, None]:
        np.savez(scratch / "e.npz", embeddings=matrix(), well_id=np.array(ids))
        return scratch / "e.npz", None

    def npy() -> tuple[Path, Path]:
        np.save(scratch / "e.npy", matrix())
        (scratch / "ids.txt").write_text("\n".join(ids))
        return scratch / "e.npy", scratch / "ids.txt"

    def hdf5() -> tuple[Path, None]:
        import h5py

        with h5py.File(scratch / "e.h5", "w") as file:
            file["embeddings"], file["well_id"] = matrix(), np.array(ids, dtype="S")
        return scratch / "e.h5", None

    def h5ad() -> tuple[Path, None]:
        import anndata

        made = anndata.AnnData(
            X=matrix(), obs=pd.DataFrame(index=ids), var=pd.DataFrame(index=[str(n) for n in features])
        )
        made.write_h5ad(scratch / "e.h5ad")
        return scratch / "e.h5ad", None

    def tree() -> tuple[Path, None]:
        experiment = np.array([i.split("_")[0] for i in ids])
        order = np.argsort(experiment, kind="stable")
        names, start = np.unique(experiment[order], return_index=True)
        in_order = table.take(order)
        for name, a, b in zip(names, start, [*start[1:], len(ids)], strict=True):
            folder = scratch / "tree" / name
            folder.mkdir(parents=True)
            pq.write_table(in_order.slice(a, b - a), folder / "embeddings.parquet")
        return scratch / "tree", None

    def rows_a_well() -> tuple[Path, None]:
        pq.write_table(pa.concat_tables([table] * 4), scratch / "rows.parquet")
        return scratch / "rows.parquet", None

    yield "CSV", text
    yield "Feather, lz4", lambda: arrow("lz4")
    yield "Feather, plain", lambda: arrow("uncompressed")
    yield "lists in a column", lists
    yield ".npz", npz
    yield ".npy with --ids", npy
    yield "HDF5", hdf5
    yield ".h5ad", h5ad
    yield "a file an experiment", tree
    yield "four rows a well, parquet", rows_a_well


def _remove(path: Path) -> None:
    import shutil

    shutil.rmtree(path) if path.is_dir() else path.unlink()


def run(settings: Settings) -> list[Row]:
    import pyarrow.parquet as pq

    metadata, parquet = settings.data / METADATA, settings.data / EMBEDDINGS
    table = pq.read_table(parquet)
    table = table.select([n for n in table.column_names if not n.startswith("__index_level_")])
    rows = []
    for name, write in _writers(table, settings.scratch):
        path, ids = write()
        theirs, ours = [], []
        for _ in range(settings.repeat):  # in turn, so that a busy machine hits both
            theirs.append(apart(read, metadata=metadata, embeddings=parquet))
            ours.append(apart(read, metadata=metadata, embeddings=path, ids=ids))
        a, b = (min(sides, key=lambda side: side.seconds) for sides in (theirs, ours))
        if not np.allclose(a.value, b.value, rtol=1e-5):
            raise RuntimeError(f"{name}: {b.value} is not {a.value}")
        print(f"  {name}: {a.seconds:.1f} s and {b.seconds:.1f} s", file=sys.stderr)
        note = f"both columns are ours; {settings.data_note}"
        rows.append(Row(f"wells of parquet, and of {name}", a, b, "", note))
        for made in (path, ids):
            if made is not None:
                _remove(made)
    return rows
