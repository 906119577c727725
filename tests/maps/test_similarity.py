"""Cosines against loops, and their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polaris_rxrx.maps.similarity import SIMILARITIES, cosine, similarity, unit_rows

VALUES = st.floats(-1e3, 1e3).map(lambda v: round(v, 3))


@given(arrays(np.float64, (4, 3), elements=VALUES), arrays(np.float64, (2, 3), elements=VALUES))
def test_equals_loops(a: np.ndarray, b: np.ndarray) -> None:  # type: ignore[type-arg]
    found, absolute = similarity("cosine", a, b), similarity("abs-cosine", a, b)
    for i, x in enumerate(a.tolist()):
        for j, y in enumerate(b.tolist()):
            lengths = math.hypot(*x) * math.hypot(*y)
            product = sum(p * q for p, q in zip(x, y, strict=True))
            expected = product / lengths if lengths else math.nan
            assert found[i, j] == pytest.approx(expected, abs=1e-12, nan_ok=True)
            assert absolute[i, j] == pytest.approx(abs(expected), abs=1e-12, nan_ok=True)


def test_a_zero_row_is_unknown_not_zero() -> None:
    found = cosine(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(found, [[np.nan, np.nan], [1.0, np.nan]])


def test_parallel_rows_are_exactly_one() -> None:
    x = np.random.default_rng(0).normal(size=(300, 7))
    assert np.abs(cosine(x, 3 * x)).max() <= 1.0
    np.testing.assert_allclose(np.diag(cosine(x, -x)), -1)


def test_length_and_type_do_not_matter() -> None:
    x = np.arange(1, 13, dtype=np.float32).reshape(4, 3)
    assert cosine(x, x).dtype == np.float64
    np.testing.assert_allclose(cosine(x, x), cosine(x.astype(np.float64) * 1e-9, x * 64), rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(unit_rows(x), axis=1), 1)


def test_the_arguments_are_left_as_they_were() -> None:
    x = np.arange(6.0).reshape(2, 3)
    x.flags.writeable = False
    for kind in SIMILARITIES:
        similarity(kind, x, x)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
