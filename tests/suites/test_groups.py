"""Aligned wells: where they stand changes no result, and in how many parts they are aligned neither."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from polaris_rxrx import limits
from polaris_rxrx.errors import DataError
from polaris_rxrx.maps.align import Affine
from polaris_rxrx.suites import groups
from polaris_rxrx.suites.activity import evaluate_activity
from polaris_rxrx.suites.groups import put, room, to_unit_length
from polaris_rxrx.suites.replicates import evaluate_replicates
from polaris_rxrx.suites.result import Result
from polaris_rxrx.suites.signal import evaluate_signal
from polaris_rxrx.wells.memory import Wells
from polaris_rxrx.wells.source import WellBlock
from tests.calibration.wells import World, draw

WORLD = World(experiments=3, controls=14, genes=3, wells=8, features=6, plates=2, effect=1.0)
SUITES: dict[str, Callable[..., Result]] = {
    "signal": lambda wells, **limit: evaluate_signal(wells, n_random=60, **limit),
    "signal against genes": lambda wells, **limit: evaluate_signal(wells, null=["G00000"], **limit),
    "replicates": lambda wells, **limit: evaluate_replicates(wells, n_random=60, **limit),
    "activity": lambda wells, **limit: evaluate_activity(wells, null_size=100, **limit),
    "activity, legacy": lambda wells, **limit: evaluate_activity(wells, null_size=100, legacy=True, **limit),
}


@pytest.fixture(scope="module")
def wells() -> Wells:
    return draw(WORLD, 4)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of every array for aligned wells that was made, whether it stands on disk."""
    seen: list[bool] = []
    plain = limits.empty

    def spy(*words: Any) -> Any:
        found = plain(*words)
        seen.append(limits.is_on_disk(found))
        return found

    monkeypatch.setattr(limits, "empty", spy)
    return seen


@pytest.mark.parametrize("suite", SUITES)
def test_wells_on_disk_give_the_same_result(suite: str, wells: Wells, made: list[bool]) -> None:
    """With no memory allowed at all every array but an empty one is on disk, and no bit is another."""
    expected = SUITES[suite](wells)
    assert made and not any(made)
    made.clear()
    found = SUITES[suite](wells, max_memory=1)
    assert any(made)
    assert found.to_dict() == expected.to_dict()
    assert {t: found.csv(t) for t in found.tables} == {t: expected.csv(t) for t in expected.tables}
    assert len(found.tables["perturbations"]["perturbation"]) >= 8


@pytest.mark.parametrize("suite", SUITES)
def test_wells_in_small_parts_give_the_same_result(
    suite: str, wells: Wells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products of other shapes may round otherwise, so not to the bit."""
    expected = SUITES[suite](wells)
    monkeypatch.setattr(groups, "_ROWS_AT_ONCE", 3)
    found = SUITES[suite](wells, max_memory=1)
    assert found.summary == pytest.approx(expected.summary, abs=1e-10, nan_ok=True)
    for name, column in expected.tables["perturbations"].items():
        own = found.tables["perturbations"][name]
        same = own == column if isinstance(column[0], str) else own == pytest.approx(column, abs=1e-10)
        assert same, name


def test_much_stands_on_disk_whatever_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST", 800)
    assert not limits.is_on_disk(room((10, 10), None))
    assert limits.is_on_disk(room((10, 11), None))
    assert limits.is_on_disk(room((10, 11), limits.in_use() + 10**9))


def test_a_third_of_what_is_left_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "in_use", lambda: 1000)
    assert not limits.is_on_disk(room((10, 10), 1000 + 3 * 800))
    assert limits.is_on_disk(room((10, 10), 1000 + 3 * 800 - 3))
    assert limits.is_on_disk(room((1, 1), 500))


def test_a_full_disk_is_an_error_only_where_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(groups, "MOST", 800)
    monkeypatch.setattr(os, "posix_fallocate", full)
    found = room((10, 11), None)
    assert found.shape == (10, 11) and not limits.is_on_disk(found)
    with pytest.raises(DataError, match=r"880 bytes are needed there .*--max-memory"):
        room((10, 11), limits.in_use() + 1000)


@pytest.mark.parametrize("make", [np.empty, lambda shape: limits.on_disk(shape, np.float64)])
def test_rows_are_aligned_where_they_belong(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "_ROWS_AT_ONCE", 2)
    x = np.arange(21, dtype=np.float32).reshape(7, 3)
    block = WellBlock("E", x, np.zeros(7, dtype=np.int64), np.zeros(7, dtype=bool))
    affine = Affine(np.array([1.0, 2.0, 3.0]), None, np.array([2.0, 0.5, 1.0]))
    out, rows = make((8, 3)), np.array([6, 0, 3, 2, 5])
    out[:] = -1
    put(out, np.array([7, 1, 2, 5, 0]), affine, block, rows)
    for i, row in ((7, 6), (1, 0), (2, 3), (5, 2), (0, 5)):
        a, b, c = x[row].tolist()
        assert out[i].tolist() == [(a - 1) * 2, (b - 2) * 0.5, c - 3]
    assert (out[[3, 4, 6]] == -1).all()


@pytest.mark.parametrize("make", [np.empty, lambda shape: limits.on_disk(shape, np.float64)])
def test_rows_get_length_one(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "_ROWS_AT_ONCE", 2)
    plain = np.random.default_rng(0).normal(size=(5, 4))
    plain[3] = 0
    x = make((5, 4))
    x[:] = plain
    to_unit_length(x)
    for i, row in enumerate(plain.tolist()):
        if i == 3:
            assert np.isnan(x[i]).all()
        else:
            assert x[i] == pytest.approx([v / math.hypot(*row) for v in row], abs=1e-15)
