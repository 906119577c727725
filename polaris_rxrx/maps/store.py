"""Maps on disk: parquet, or AnnData's .h5ad (obs = perturbations, X = map, uns = protocol).

Conventions
    Parquet columns are perturbation_type, perturbation, concentration (uM, null for CRISPR), n_wells and one
    float64 column a dimension, `0`, `1`, ...; the protocol is JSON under the schema key `polaris_rxrx`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx import bounded
from polaris_rxrx.dataset.rxrx3 import TYPES
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.files import new_file, open_binary
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.own import read_own
from polaris_rxrx.wells.metadata import Perturbations

KEY = b"polaris_rxrx"
TEXTS = (".csv", ".tsv", ".txt", ".tab")
"""How the names of maps in text end, also with .gz: text itself does not tell what it is."""
_ARROW = (b"ARRO", b"\xff\xff\xff\xff")
OBS = ("perturbation_type", "perturbation", "concentration", "n_wells")


def save_map(map_: Map, path: Path | str) -> None:
    """Write a map; the format follows the suffix, .parquet or .h5ad (extra `h5ad`).

    >>> map_ = pr.load_map("map.parquet")
    >>> pr.save_map(map_, "copy.parquet")
    >>> bool((pr.load_map("copy.parquet").x == map_.x).all())
    True
    """
    path = Path(path)
    if path.suffix == ".parquet":
        with new_file(path) as temporary:
            _write_parquet(map_, temporary)
    elif path.suffix == ".h5ad":
        with new_file(path) as temporary:
            _write_h5ad(map_, temporary)
    else:
        raise UsageError(f"{path}: a map is saved as .parquet or .h5ad")


def load_map(path: Path | str) -> Map:
    """Read a map that `save_map` wrote, or a table of one row a gene or compound (`polaris_rxrx.maps.own`).

    Raises:
        DataError: Not there, broken, or not a map.

    >>> map_ = pr.load_map("map.parquet")
    >>> len(map_), map_.x.shape, map_.protocol["aggregate"]
    (432, (432, 384), 'mean')
    """
    path = Path(path)
    with open_binary(path) as handle:
        start = handle.read(4)
    if start == b"PAR1":
        map_ = _read_parquet(path)
    elif start == b"\x89HDF":
        map_ = _read_h5ad(path)
    elif start in _ARROW or path.name.removesuffix(".gz").endswith(TEXTS):
        map_ = read_own(path)
    else:
        raise DataError(f"{path}: not a whole map (neither a parquet nor an .h5ad file, nor {some(TEXTS)})")
    if not set(map_.perturbations.type) <= set(TYPES):
        raise DataError(f"{path}: perturbation_type holds something other than {' and '.join(TYPES)}")
    return map_


def _write_parquet(map_: Map, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {
        "perturbation_type": pa.array(map_.perturbations.type),
        "perturbation": pa.array(map_.perturbations.name),
        "concentration": pa.array(map_.perturbations.concentration, from_pandas=True),
        "n_wells": pa.array(map_.n_wells),
    }
    columns.update({str(i): pa.array(column) for i, column in enumerate(map_.x.T)})
    table = pa.table(columns).replace_schema_metadata({KEY: json.dumps(map_.protocol).encode()})
    pq.write_table(table, path, compression="zstd")


def _read_parquet(path: Path) -> Map:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        bounded.check_parquet(file.metadata, path, path.stat().st_size)
        bounded.check_texts(path, path, file.schema_arrow)
        said = (file.schema_arrow.metadata or {}).get(KEY, b"null")
        # The demo's tables of wells have a word there that is no protocol.
        protocol = None if said == b"made up" else bounded.json_loads(said)
        if protocol is None:
            return read_own(path)
        table = pq.read_table(path)
        perturbations = Perturbations(
            table.column("perturbation_type").to_pylist(),
            table.column("perturbation").to_pylist(),
            table.column("concentration").to_numpy().astype(np.float64),
        )
        names = [n for n in table.column_names if n not in OBS]
        x = np.empty((table.num_rows, len(names)))
        for i, name in enumerate(names):
            x[:, i] = table.column(name).to_numpy()
        return Map(perturbations, x, table.column("n_wells").to_numpy().astype(np.int64), protocol)
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:
        raise DataError(f"{path}: not a whole map ({str(error).splitlines()[0]})") from None


def _anndata() -> Any:
    try:
        import anndata
    except ImportError:
        raise UsageError('.h5ad needs AnnData: pip install "polaris-rxrx[h5ad]"') from None
    return anndata


def _write_h5ad(map_: Map, path: Path) -> None:
    as_anndata(map_).write_h5ad(path, compression="gzip")


def as_anndata(map_: Map) -> Any:
    """The map as AnnData holds it; what `save_map` writes as .h5ad.

    Raises:
        UsageError: AnnData is not installed (extra `h5ad`).
    """
    anndata = _anndata()
    import pandas as pd

    p = map_.perturbations
    obs = pd.DataFrame(
        {
            "perturbation_type": pd.Series(p.type, dtype=object),
            "perturbation": pd.Series(p.name, dtype=object),
            "concentration": p.concentration,
            "n_wells": map_.n_wells,
        }
    )
    obs.index = obs.index.astype(str)
    # The protocol as one JSON text: HDF5 groups would turn None and empty lists into something else.
    return anndata.AnnData(X=map_.x, obs=obs, uns={"protocol": json.dumps(map_.protocol)})


def _read_h5ad(path: Path) -> Map:
    anndata = _anndata()
    try:
        bounded.check_hdf5(path)
        data = anndata.read_h5ad(path)
        if "protocol" not in data.uns:
            return read_own(path)
        perturbations = Perturbations(
            [str(v) for v in data.obs["perturbation_type"]],
            [str(v) for v in data.obs["perturbation"]],
            data.obs["concentration"].to_numpy(dtype=np.float64),
        )
        protocol = bounded.json_loads(data.uns["protocol"])
        x = np.asarray(data.X, dtype=np.float64)
        return Map(perturbations, x, data.obs["n_wells"].to_numpy(dtype=np.int64), protocol)
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a whole map ({str(error).splitlines()[0]})") from None
