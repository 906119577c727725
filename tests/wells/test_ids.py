"""Ids as text: every shape that Arrow has for it, blanks at the ends taken off and told."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.wells.ids import as_core_ids, as_ids, is_text

HERE = Path("wells.parquet")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
@pytest.mark.parametrize("chunked", [False, True])
def test_every_kind_of_text(kind: pa.DataType, chunked: bool) -> None:
    column = pa.array(["b", "a", "b"]).cast(kind)
    ids, told = as_ids(HERE, "well_id", pa.chunked_array([column, column]) if chunked else column)
    assert ids.type == pa.string() and ids.to_pylist() == ["b", "a", "b"] * (1 + chunked)
    assert told == []


def test_blanks_are_taken_off_and_told() -> None:
    ids, told = as_ids(HERE, "plates", pa.array(["1", " 1", "1\t", None]))
    assert ids.to_pylist() == ["1", "1", "1", None]
    assert told == ["wells.parquet: 2 plates had blanks at their ends, which were taken off: ' 1'"]


def test_what_is_no_text_is_refused() -> None:
    assert not is_text(pa.int64()) and not is_text(pa.dictionary(pa.int32(), pa.int64()))
    with pytest.raises(DataError, match="well_id holds int64; names like gene-001_1_A01 were expected"):
        as_ids(HERE, "well_id", pa.array([1, 2]))


def test_an_empty_column_is_no_error() -> None:
    ids, told = as_ids(HERE, "well_id", pa.array([], pa.null()))
    assert ids.to_pylist() == [] and told == []


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("compound-004_1_AA04", "compound-004_1_AA04"),
        ("compound-004/Plate1/AA04_s1_3", "compound-004_1_AA04"),
        ("compound-004/Plate12/AA04_s1", "compound-004_12_AA04"),
        ("gene-001_Plate1_A1", "gene-001_1_A01"),
        ("gene-001_plate_3_b7", "gene-001_3_B07"),
        ("gene-001_01_A01", "gene-001_1_A01"),
        ("gene-001_1_s07", "gene-001_1_S07"),
        ("gene-001_1_s07_s2_6", "gene-001_1_S07"),
        ("BR00116991_A1", "BR00116991_A01"),
        ("gene_x_y_1_A1", "gene_x_y_1_A01"),
        ("gene-001_10_H29", "gene-001_10_H29"),
        ("not an id/at all", "not an id/at all"),
        ("", ""),
    ],
)
def test_one_id(written: str, read: str) -> None:
    found, reading = as_core_ids(HERE, pa.array([written]))
    assert found.to_pylist() == [read]
    assert reading.told(HERE) == [] if written == read else repr(read) in reading.told(HERE)[0]


def test_many_ids_are_counted() -> None:
    ids = pa.array(["gene-001_1_B11", "gene-001/Plate1/A1_s1", "gene-001/Plate1/A2_s1", None])
    found, reading = as_core_ids(HERE, ids)
    assert found.to_pylist() == ["gene-001_1_B11", "gene-001_1_A01", "gene-001_1_A02", None]
    assert reading.changed == {"folders": 2, "sites": 2, "Plate": 2, "columns without a zero": 2}
    (line,) = reading.told(HERE)
    assert "well_id read as 'gene-001_1_A01' of 'gene-001/Plate1/A1_s1'" in line and "2 with sites" in line


def test_two_ways_never_mix() -> None:
    with pytest.raises(DataError, match="'gene-001_1_A1' and 'gene-001_1_A02' write addresses in two ways"):
        as_core_ids(HERE, pa.array(["gene-001_1_A1", "gene-001_1_A02"]))
