"""Rows become wells: equal to a slow twin, to the bit whatever the order of rows and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from polaris_rxrx.wells import gather as room
from polaris_rxrx.wells.gather import Places, Sites, combine, gather, groups
from polaris_rxrx.wells.table import OpenTable, Part

RNG = np.random.default_rng(0)
N_WELLS, WIDTH = 40, 37
PLACE = np.concatenate([np.arange(N_WELLS), RNG.integers(-1, N_WELLS, 300)])
X = RNG.normal(size=(len(PLACE), WIDTH)).astype(np.float32)
NAMES = [f"f{i}" for i in range(WIDTH)]


def table(x: Any, cuts: tuple[int, ...] = ()) -> OpenTable:
    """A table of these rows; with cuts, one of several files."""

    def of(rows: Any) -> OpenTable:
        made = pa.table(dict(zip(NAMES, rows.T, strict=True)))
        return OpenTable(Path("x"), made.schema, made.select, is_csv=False)

    def reader(rows: Any) -> Callable[[list[str]], Any]:
        return lambda names: of(rows).read(names)

    whole = of(x)
    if cuts:
        whole.parts = [Part(Path("x"), len(part), reader(part)) for part in np.split(x, cuts)]
    return whole


def twin(x: Any, place: Any, sites: Sites) -> Any:
    middle = np.mean if sites == "mean" else np.median
    return np.array([middle(x[place == i].astype(np.float64), axis=0) for i in range(N_WELLS)])


@pytest.mark.parametrize("sites", ["mean", "median"])
@pytest.mark.parametrize("cuts", [(), (100, 101, 250), tuple(range(1, len(X)))])
def test_it_is_the_slow_twin_in_any_order(
    sites: Sites, cuts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_WAITING", 20)
    found = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(X))
        made = gather(table(X[order], cuts), NAMES, Places(PLACE[order], N_WELLS), sites=sites)
        assert made.dtype == np.float32 and made.flags.c_contiguous
        np.testing.assert_allclose(made, twin(X, PLACE, sites), atol=1e-6)
        found.append(made)
    assert all(np.array_equal(found[0], other) for other in found)


@pytest.mark.parametrize("cuts", [(), (7, 20)])
def test_a_row_a_well_is_moved_to_the_bit(cuts: tuple[int, ...]) -> None:
    order = RNG.permutation(50)
    place = np.full(50, -1)
    place[order[:N_WELLS]] = np.arange(N_WELLS)
    seen: list[tuple[int, Any]] = []
    made = gather(table(X[:50], cuts), NAMES, Places(place, N_WELLS), seen=lambda *block: seen.append(block))
    assert np.array_equal(made, X[order[:N_WELLS]])
    assert [start for start, _ in seen] == ([0] if cuts else [0, 32])
    assert np.array_equal(np.concatenate([block for _, block in seen]), made.T)


def test_groups_are_wells_by_how_many_rows_they_have() -> None:
    found = groups(np.array([3, 1, 3, 0, 5, 5, 3]))
    assert [(w.tolist(), r.tolist()) for w, r in found] == [
        ([0, 1], [[3], [1]]),
        ([5], [[4, 5]]),
        ([3], [[0, 2, 6]]),
    ]


@pytest.mark.parametrize("sites", ["mean", "median"])
def test_absent_values_are_left_out_where_they_may_be_absent(sites: Sites) -> None:
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.inf], [1.0, 2.0, 6.0]])
    kept = combine(values, sites, absent=True)
    assert kept[0] == 2 and np.isnan(kept[1]) and kept[2] == (3 if sites == "mean" else 2)
    assert not np.isfinite(combine(values, sites))[:2].any()
