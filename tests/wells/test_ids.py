"""Ids as text: every shape that Arrow has for it, blanks at the ends taken off and told."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.wells.ids import as_ids, is_text

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
