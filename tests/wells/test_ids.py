"""Ids as people write them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.wells.ids import as_core_ids, as_ids

PATH = Path("table.parquet")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("compound-004_1_AA04", "compound-004_1_AA04"),
        ("compound-004/Plate1/AA04_s1_3", "compound-004_1_AA04"),
        ("compound-004/Plate12/AA04_s1", "compound-004_12_AA04"),
        ("gene-001_Plate1_A1", "gene-001_1_A01"),
        ("gene-001_plate_3_b7", "gene-001_3_B07"),
        ("gene-001_01_A01", "gene-001_1_A01"),
        ("gene_x_y_1_A1", "gene_x_y_1_A01"),
        ("gene-001_10_H29", "gene-001_10_H29"),
        ("not an id/at all", "not an id/at all"),
        ("", ""),
    ],
)
def test_one_id(written: str, read: str) -> None:
    found, reading = as_core_ids(PATH, pa.array([written]))
    assert found.to_pylist() == [read]
    assert reading.told(PATH) == [] if written == read else repr(read) in reading.told(PATH)[0]


def test_many_ids_are_counted() -> None:
    ids = pa.array(["gene-001_1_B11", "gene-001/Plate1/A1_s1", "gene-001/Plate1/A2_s1", None])
    found, reading = as_core_ids(PATH, ids)
    assert found.to_pylist() == ["gene-001_1_B11", "gene-001_1_A01", "gene-001_1_A02", None]
    assert reading.changed == {"folders": 2, "sites": 2, "Plate": 2, "columns without a zero": 2}
    (line,) = reading.told(PATH)
    assert "well_id read as 'gene-001_1_A01' of 'gene-001/Plate1/A1_s1'" in line and "2 with sites" in line


def test_two_ways_never_mix() -> None:
    with pytest.raises(DataError, match="'gene-001_1_A1' and 'gene-001_1_A02' write addresses in two ways"):
        as_core_ids(PATH, pa.array(["gene-001_1_A1", "gene-001_1_A02"]))


def test_blanks_at_the_ends_are_told() -> None:
    found, notes = as_ids(PATH, "well_id", pa.array(["a ", "b"]))
    assert found.to_pylist() == ["a", "b"] and "1 well_id had blanks" in notes[0]
    with pytest.raises(DataError, match="well_id holds int64"):
        as_ids(PATH, "well_id", pa.array([1]))
