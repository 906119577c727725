"""A matrix whose ids are known gives the wells that a table of these values gives."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import polaris_rxrx as pr
from polaris_rxrx.errors import DataError, UsageError
from tests.wells_factory import small


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The embeddings in an order of their own."""
    monkeypatch.chdir(tmp_path)
    small(tmp_path)
    return pd.read_parquet("embeddings.parquet").sample(frac=1, random_state=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_it_is_what_the_table_gives(table: pd.DataFrame, dtype: type) -> None:
    features = [name for name in table.columns if name != "well_id"]
    x = table[features].to_numpy().astype(dtype)
    order = pr.WellOrder.of("metadata.csv", table["well_id"])
    for values in (x, -2 * x):  # one checkpoint after another
        held = values if dtype is not np.float16 else values.astype(np.float32)
        whole = pd.DataFrame(held, columns=features).assign(well_id=table["well_id"].to_numpy())
        expected, found = pr.read_wells("metadata.csv", whole), order.wells(values)
        np.testing.assert_array_equal(found.x, expected.x)
        assert found.x.dtype == expected.x.dtype and len(found.features) == len(features)
        for name in ("experiment", "perturbation", "control"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        np.testing.assert_array_equal(pr.build_map(found).x, pr.build_map(expected).x)


def test_what_is_wrong_is_named(table: pd.DataFrame) -> None:
    ids = list(table["well_id"])
    with pytest.raises(UsageError, match=re.escape(f"well ids {ids[3]!r} stand twice")):
        pr.WellOrder.of("metadata.csv", [*ids, ids[3]])
    with pytest.raises(DataError, match="well"):
        pr.WellOrder.of("metadata.csv", ids[1:])
    order = pr.WellOrder.of("metadata.csv", ids[1:], allow_missing=True)
    assert len(order.wells(np.zeros((len(ids) - 1, 2)))) == len(ids) - 1
    x = np.ones((len(ids) - 1, 3), dtype=np.float32)
    with pytest.raises(DataError, match=rf"shape \({len(ids) - 2}, 3\) was given; {len(ids) - 1} rows"):
        order.wells(x[1:])
    x[4, 2] = np.nan
    with pytest.raises(DataError, match=re.escape(f"feature 2 of well {ids[5]!r} (row 4) is nan")):
        order.wells(x)
