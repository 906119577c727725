"""Bytes of images from shards and files: which row groups are read, how often, and what cannot be read."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.images.decode import Bad
from polaris_rxrx.images.found import in_shards
from polaris_rxrx.images.stores import Files, Shards

KEYS = [f"gene-001/Plate1/{row}{column:02d}_s1_1" for row in "ABCD" for column in range(1, 26)]
BYTES = [f"image {i}".encode() * (i + 1) for i in range(len(KEYS))]


def shards(folder: Path, order: npt.NDArray[Any], *, shard: int, row_group: int) -> Shards:
    """A store in which image i is `BYTES[i]`, of shards whose rows are in this order."""
    for number, rows in enumerate(np.split(order, range(shard, len(order), shard))):
        table = pa.table({"__key__": [KEYS[i] for i in rows], "jp2": [BYTES[i] for i in rows]})
        path = folder / f"{number}.parquet"
        pq.write_table(table, path, row_group_size=row_group, compression="none", use_dictionary=False)
    found = in_shards(folder, sorted(folder.glob("*.parquet")))
    store = found.store.take(np.argsort(order))
    assert isinstance(store, Shards)
    return store


def wells(*numbers: list[int]) -> list[npt.NDArray[np.int64]]:
    return [np.array(images, dtype=np.int64) for images in numbers]


@pytest.mark.parametrize("mixed", [False, True])
def test_each_row_group_is_read_once_and_no_other(tmp_path: Path, mixed: bool) -> None:
    order = np.random.default_rng(1).permutation(100) if mixed else np.arange(100)
    store = shards(tmp_path, order, shard=40, row_group=10)  # row groups of 10, four, four and two
    asked = wells([17, 18, 19, 20, 21], [43, 12], [18, 99], [5])
    wanted = np.concatenate(asked)
    groups = {int(np.flatnonzero(order == i)[0]) // 10 for i in wanted}
    found = list(store.fetch(asked))
    assert found == [{int(i): BYTES[i] for i in images} for images in asked]
    assert store.row_groups_read == len(groups) + 1  # 18 is asked for again after it was given away
    assert len(groups) < 10 or mixed


def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    """With less room the same bytes, and more reading."""
    store = shards(tmp_path, np.random.default_rng(2).permutation(100), shard=50, row_group=50)
    asked = wells(*([i] for i in range(100)))
    truth = [{i: BYTES[i]} for i in range(100)]
    assert list(store.fetch(asked)) == truth
    assert store.row_groups_read == 2
    store.held, store.row_groups_read = 4_000, 0  # of 45,000 bytes
    assert list(store.fetch(asked)) == truth
    assert 2 < store.row_groups_read <= 100


def test_a_part_is_small_and_whole(tmp_path: Path) -> None:
    store = shards(tmp_path, np.arange(100), shard=25, row_group=5)
    list(store.fetch(wells([3])))  # what is open does not travel
    part = store.take(np.array([99, 30]))
    assert [shard.name for shard in part.shards] == ["1.parquet", "3.parquet"]
    back = pickle.loads(pickle.dumps(part))
    assert list(back.fetch(wells([0, 1]))) == [{0: BYTES[99], 1: BYTES[30]}]
    assert back.at(0) == f"{tmp_path / '3.parquet'}, row 25"
    assert back.file(1) == "1.parquet"
    assert len(pickle.dumps(part)) < 2_000


def test_a_broken_row_group_costs_its_own_images_alone(tmp_path: Path) -> None:
    store = shards(tmp_path, np.arange(100), shard=100, row_group=20)
    path = tmp_path / "0.parquet"
    column = pq.ParquetFile(path).metadata.row_group(2).column(1)
    raw = bytearray(path.read_bytes())
    raw[column.data_page_offset : column.data_page_offset + 30] = b"\xff" * 30
    path.write_bytes(raw)
    (found,) = store.fetch(wells([0, 39, 40, 59, 60, 99]))
    assert {i for i, raw in found.items() if isinstance(raw, bytes)} == {0, 39, 60, 99}
    assert str(found[40]).startswith("unreadable: row group 3 of the shard is broken (")


def test_an_image_without_bytes(tmp_path: Path) -> None:
    for kind in (pa.binary(), pa.struct([("bytes", pa.binary()), ("path", pa.string())])):
        cells = [b"x", None, b"z"]
        data = cells if pa.types.is_binary(kind) else [{"bytes": c, "path": "p"} for c in cells[:2]] + [None]
        table = pa.table({"__key__": KEYS[:3], "jp2": pa.array(data, kind)})
        pq.write_table(table, tmp_path / "0.parquet")
        store = in_shards(tmp_path, [tmp_path / "0.parquet"]).store
        (found,) = store.fetch(wells([0, 1, 2]))
        assert found[0] == b"x"
        assert str(found[1]) == "empty: no bytes in the shard"
        assert found[2] == b"z" or str(found[2]) == "empty: no bytes in the shard"
        assert isinstance(found[2], Bad) == pa.types.is_struct(kind)


def test_a_shard_that_changed_since(tmp_path: Path) -> None:
    store = shards(tmp_path, np.arange(100), shard=50, row_group=10)
    shards(tmp_path, np.arange(100), shard=51, row_group=10)
    with pytest.raises(DataError, match=r"1.parquet has changed since it was indexed; begin again"):
        list(store.fetch(wells([60])))
    (tmp_path / "0.parquet").unlink()
    with pytest.raises(DataError, match=r"0.parquet: no such file"):
        list(store.fetch(wells([0])))


def test_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "folder").mkdir()
    names = ["a.png", "b.png", "folder", str(tmp_path / "a.png"), "a\0b"]
    store = Files(tmp_path, pa.array(names), "wells.csv, line", np.array([2, 3, 4, 5, 6]))
    (found,) = store.fetch(wells([0, 1, 2, 3, 4]))
    assert found[0] == found[3] == b"a"
    assert str(found[1]) == "no such file"
    assert str(found[2]) == "unreadable: Is a directory"
    assert str(found[4]).startswith("unreadable: ")
    part = pickle.loads(pickle.dumps(store.take(np.array([3, 1]))))
    assert (part.file(1), part.at(1), len(part)) == ("b.png", "wells.csv, line 3", 2)
    assert Files(tmp_path, pa.array(names)).at(1) == str(tmp_path / "b.png")


def test_a_file_that_is_no_image_for_its_size(tmp_path: Path) -> None:
    with (tmp_path / "a.tif").open("wb") as handle:
        os.truncate(handle.fileno(), 3 << 30)
    (found,) = Files(tmp_path, pa.array(["a.tif"])).fetch(wells([0]))
    assert str(found[0]).startswith("too large: a file of 3,221,225,472 bytes; at most")
