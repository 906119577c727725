"""Maps to disk and back: every bit, every name; broken files are named."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map, build_map
from polaris_rxrx.maps.store import load_map, save_map
from polaris_rxrx.wells.memory import read_wells
from polaris_rxrx.wells.metadata import Perturbations
from tests.wells_factory import small

# Said at its first import, beside the zarr 2 that polaris-lib wants.
pytestmark = pytest.mark.filterwarnings("ignore:anndata will no longer support zarr v2")
SUFFIXES = (".parquet", ".h5ad")
ODD = [
    "NA",
    "nan",
    "None",
    "",
    " ",
    "a,b",
    'a "quoted" name',
    "ä β 細",
    "a\nb",
    "1",
    "1.0",
    "TRUE",
    "2-Sep",
    "x" * 300,
]


@pytest.fixture
def odd() -> Map:
    n = len(ODD)
    doses = np.array([0.0025, 1 / 3, 10.0] * n)[:n]
    p = Perturbations(["COMPOUND"] * n + ["CRISPR"], [*ODD, "NA"], np.r_[doses, np.nan])
    x = np.random.default_rng(0).normal(size=(n + 1, 4))
    x[0] = [0.1, -0.0, 5e-324, 1.7e308]
    protocol = {"align": "tvn", "nothing": None, "empty": [], "nested": {"ä": [1, 2.5, "x"]}, "yes": True}
    return Map(p, x, np.arange(1, n + 2), protocol)


def check_same(a: Map, b: Map) -> None:
    assert (a.perturbations.type, a.perturbations.name) == (b.perturbations.type, b.perturbations.name)
    assert np.array_equal(a.perturbations.concentration, b.perturbations.concentration, equal_nan=True)
    assert a.x.tobytes() == b.x.tobytes() and a.x.dtype == b.x.dtype
    assert np.array_equal(a.n_wells, b.n_wells) and b.n_wells.dtype == np.int64
    assert a.protocol == b.protocol


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip_of_odd_names(tmp_path: Path, suffix: str, odd: Map) -> None:
    save_map(odd, tmp_path / f"map{suffix}")
    check_same(odd, load_map(tmp_path / f"map{suffix}"))
    assert [p.name for p in tmp_path.iterdir()] == [f"map{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip_of_a_built_map(tmp_path: Path, suffix: str) -> None:
    map_ = build_map(read_wells(*small(tmp_path)))
    save_map(map_, str(tmp_path / f"map{suffix}"))
    check_same(map_, load_map(str(tmp_path / f"map{suffix}")))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_map_of_genes_alone(tmp_path: Path, suffix: str) -> None:
    map_ = Map(
        Perturbations(["CRISPR"], ["TP53"], np.array([np.nan])), np.ones((1, 2)), np.array([3]), {"a": 1}
    )
    save_map(map_, tmp_path / f"map{suffix}")
    check_same(map_, load_map(tmp_path / f"map{suffix}"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_told_by_its_bytes(tmp_path: Path, suffix: str, odd: Map) -> None:
    save_map(odd, tmp_path / f"map{suffix}")
    (tmp_path / f"map{suffix}").rename(tmp_path / "map.bin")
    check_same(odd, load_map(tmp_path / "map.bin"))


def test_what_others_read(tmp_path: Path, odd: Map) -> None:
    save_map(odd, tmp_path / "map.parquet")
    frame = pd.read_parquet(tmp_path / "map.parquet")
    assert frame.columns.tolist() == [
        "perturbation_type", "perturbation", "concentration", "n_wells", "0", "1", "2", "3"
    ]  # fmt: skip
    assert frame.perturbation.tolist() == [*ODD, "NA"]
    save_map(odd, tmp_path / "map.h5ad")
    import anndata

    data = anndata.read_h5ad(tmp_path / "map.h5ad")
    assert data.obs.perturbation.astype(str).tolist() == [*ODD, "NA"]
    assert np.array_equal(data.X, odd.x)


@pytest.mark.parametrize("name", ["map.csv", "map", "map.h5"])
def test_other_formats_are_misuse(tmp_path: Path, odd: Map, name: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"{name}: a map is saved as .parquet or .h5ad")):
        save_map(odd, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_map(tmp_path: Path, odd: Map) -> None:
    path = tmp_path / "map.parquet"
    save_map(odd, path)
    before = path.read_bytes()
    unwritable = Map(odd.perturbations, odd.x, odd.n_wells, {"a": object()})
    with pytest.raises(TypeError):
        save_map(unwritable, path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["map.parquet"]


def _other_table(path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), path)


def _no_perturbation(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["perturbation"]), path)


def _other_type(path: Path) -> None:
    table = pq.read_table(path)
    types = pa.array(["siRNA"] * table.num_rows)
    pq.write_table(table.set_column(0, "perturbation_type", types), path)


def _text_in_a_dimension(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.append_column("note", pa.array(["x"] * table.num_rows)), path)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _junk(path: Path) -> None:
    path.write_bytes(b"\x00\x01junk" * 100)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "suffix", "message"),
    [
        (_other_table, ".parquet", "is not a map: it has no protocol"),
        (_no_perturbation, ".parquet", "not a whole map"),
        (_other_type, ".parquet", "something other than COMPOUND and CRISPR"),
        (_text_in_a_dimension, ".parquet", "not a whole map"),
        *((spoil, suffix, "not a whole map") for spoil in (_truncate, _junk, _empty) for suffix in SUFFIXES),
        (Path.unlink, ".parquet", "no such file"),
    ],
)
def test_what_is_not_a_map_is_named(
    tmp_path: Path, odd: Map, spoil: object, suffix: str, message: str
) -> None:
    path = tmp_path / f"map{suffix}"
    save_map(odd, path)
    assert callable(spoil)
    spoil(path)
    with pytest.raises(DataError, match=message) as caught:
        load_map(path)
    assert str(caught.value).startswith(str(path))
