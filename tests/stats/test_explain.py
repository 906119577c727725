"""The rank kernels against scipy and a loop, and what `explained` means at its ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from polaris_rxrx.audit.order import tied_pairs
from polaris_rxrx.stats.explain import explained, mid_ranks, places, rank_correlations, remove

Floats = NDArray[np.float64]
N_GROUPS = 5  # the last has no pair


def drawn(seed: int, levels: int = 4, n: int = 60) -> tuple[Floats, Floats, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return (
        rng.integers(0, levels, n).astype(float),
        rng.normal(size=n).round(1),
        rng.integers(0, N_GROUPS - 1, n),
    )


@given(seed=st.integers(0, 10_000), levels=st.integers(1, 30))
def test_mid_ranks_are_scipys(seed: int, levels: int) -> None:
    score, _, group = drawn(seed, levels)
    found, at = mid_ranks(score, group, N_GROUPS), places(score, group, N_GROUPS)
    for g in range(N_GROUPS - 1):
        own = score[group == g]
        np.testing.assert_array_equal(found[group == g], rankdata(own))
        np.testing.assert_allclose(at[group == g], (rankdata(own) - (len(own) + 1) / 2) / max(len(own), 1))


@given(seed=st.integers(0, 10_000))
def test_correlations_are_scipys(seed: int) -> None:
    a, b, group = drawn(seed)
    a[group == 1] = 7.0  # never varies there
    found = rank_correlations(*(places(x, group, N_GROUPS) for x in (a, b)), group, N_GROUPS)
    assert np.isnan(found[[1, N_GROUPS - 1]]).all()
    for g in (0, 2, 3):
        if np.ptp(a[group == g]) and np.ptp(b[group == g]):
            assert found[g] == pytest.approx(spearmanr(a[group == g], b[group == g]).statistic, abs=1e-12)


@given(seed=st.integers(0, 10_000))
def test_tied_pairs_are_counted_one_by_one(seed: int) -> None:
    score, _, group = drawn(seed, 12)
    alike = (score[:, None] == score) & (group[:, None] == group)
    assert tied_pairs(score, group) == int((alike.sum(axis=1) > 1).sum())


def test_what_is_removed_is_the_least_squares_fit() -> None:
    a, b, group = drawn(3)
    s, x = (places(v, group, N_GROUPS) for v in (a + b, b))
    found = remove(s, x)
    slope = np.linalg.lstsq(x[:, None], s, rcond=None)[0][0]
    assert found.slope == pytest.approx(slope) and slope > 0
    np.testing.assert_allclose(found.left, s - slope * x, atol=1e-9)
    assert abs(found.left @ x) < 1e-6  # nothing of it is left


def test_the_shortcut_itself_leaves_nothing_but_ties() -> None:
    a, _, group = drawn(4)
    at = places(a, group, N_GROUPS)
    same = remove(at, places(np.exp(a), group, N_GROUPS))  # the same order on another scale
    assert same.slope == 1 and (same.left == 0).all()


def test_what_differs_by_rounding_alone_is_tied() -> None:
    x = np.array([-0.5, -0.1, 0.2, 0.4])
    assert (remove(0.3 * x, x).left == 0).all()


def test_of_a_negative_slope_nothing_is_removed_but_it_is_told() -> None:
    _, b, group = drawn(5)
    at = places(b, group, N_GROUPS)
    against = remove(at, -at)
    assert against.slope == -1
    np.testing.assert_array_equal(against.left, at)


def test_a_constant_shortcut_has_no_slope() -> None:
    _, b, group = drawn(6)
    at = places(b, group, N_GROUPS)
    found = remove(at, places(group.astype(float), group, N_GROUPS))
    assert found.slope is None
    np.testing.assert_array_equal(found.left, at)


@pytest.mark.parametrize(
    ("submission", "left", "share"),
    [(0.5, 0.5, 0.0), (0.5, 0.2, 1.0), (0.5, 0.35, 0.5), (0.5, 0.1, 4 / 3), (0.5, 0.6, -1 / 3)],
)
def test_explained_is_not_clipped(submission: float, left: float, share: float) -> None:
    assert explained(submission, left, 0.2) == pytest.approx(share)


@pytest.mark.parametrize("submission", [0.2, 0.1, float("nan")])
def test_nothing_explains_what_is_not_above_chance(submission: float) -> None:
    value: Any = explained(submission, 0.15, 0.2)
    assert np.isnan(value)
