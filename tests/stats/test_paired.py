"""Paired tests against every pattern of signs, scipy and closed forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test, ttest_1samp

from polaris_rxrx.stats.paired import detectable, draws, holm, sign_flip_p

NAN = float("nan")


def slow_p(differences: list[float]) -> float:
    """Every pattern of signs, ties among the differences included."""
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(s >= observed - 1e-9 for s in sums) / len(sums)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_few_differences_are_counted_exactly(differences: list[int]) -> None:
    d = [x / 8 for x in differences]
    assert sign_flip_p(d) == pytest.approx(slow_p(d), abs=1e-12)


def test_drawn_signs_agree_with_all_of_them() -> None:
    d = np.random.default_rng(0).normal(0.25, 1, 18)
    exact = sign_flip_p(d, resamples=2**18)
    assert sign_flip_p(d, resamples=100_000, seed=1) == pytest.approx(exact, abs=0.006)
    assert exact == pytest.approx(slow_p(d.tolist()), abs=1e-12)


def test_equals_scipy() -> None:
    d = np.random.default_rng(4).normal(0.1, 1, 200)
    theirs = permutation_test(
        (d,),
        np.mean,
        permutation_type="samples",
        n_resamples=20_000,
        rng=np.random.default_rng(0),
        vectorized=False,
    ).pvalue
    assert sign_flip_p(d, resamples=20_000) == pytest.approx(theirs, abs=0.02)


def test_like_the_t_test_for_many_normal_differences() -> None:
    d = np.random.default_rng(6).normal(0.08, 1, 487)
    assert sign_flip_p(d) == pytest.approx(ttest_1samp(d, 0).pvalue, abs=0.015)


def test_p_values_are_uniform_under_the_null() -> None:
    """Two models that are equally good, with ties as in average precision (Kolmogorov-Smirnov at .001)."""
    rng = np.random.default_rng(12)
    found = []
    for seed in range(600):
        d = 1 / rng.integers(1, 22, 60) - 1 / rng.integers(1, 22, 60)
        found.append(sign_flip_p(d, resamples=1_000, seed=seed))
    ordered = np.sort(found)
    gap = np.abs(ordered - np.arange(1, len(ordered) + 1) / len(ordered)).max()
    assert gap < 1.95 / np.sqrt(len(ordered)) + 1 / 1_000


def test_sides_and_order_do_not_matter() -> None:
    d = np.random.default_rng(1).normal(0.2, 1, 300)
    p = sign_flip_p(d)
    assert p == sign_flip_p(-d)
    assert sign_flip_p(np.r_[d, np.zeros(50)]) == p  # ties carry no sign
    assert p == pytest.approx(sign_flip_p(d[::-1]), abs=0.02)


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    d = np.random.default_rng(1).normal(0.1, 1, 64)
    whole = sign_flip_p(d, resamples=1_000, seed=3)
    monkeypatch.setattr("polaris_rxrx.stats.paired._CELLS", 640)
    assert sign_flip_p(d, resamples=1_000, seed=3) == pytest.approx(whole, abs=0.05)


@pytest.mark.parametrize("d", [[], [0.0, 0.0], [1e-14, -1e-14]])
def test_nothing_differs(d: list[float]) -> None:
    assert sign_flip_p(d) == 1


def test_p_is_never_zero() -> None:
    assert sign_flip_p(np.ones(400), resamples=999) == 1 / 1000
    assert sign_flip_p([1.0, 1.0, 1.0]) == 2 / 8


def test_the_detectable_difference_is_detected_as_often_as_said() -> None:
    """In simulated tasks with just that difference, four in five tests at .05 find it."""
    rng = np.random.default_rng(5)
    n, sd = 80, 0.3
    size = detectable(rng.normal(0, sd, 200_000)) * np.sqrt(200_000 / n)
    assert size == pytest.approx((1.959964 + 0.841621) * sd / np.sqrt(n), rel=0.01)
    hits = [sign_flip_p(rng.normal(size, sd, n), resamples=500, seed=i) < 0.05 for i in range(600)]
    assert 0.75 <= np.mean(hits) <= 0.85


def test_the_detectable_difference_grows_with_level_and_power() -> None:
    d = np.random.default_rng(0).normal(size=50)
    assert detectable(d, level=0.99) > detectable(d) > detectable(d, power=0.5)
    assert np.isnan(detectable([0.3])) and np.isnan(detectable([]))
    assert detectable([0.3, 0.3]) == 0


# --- Holm --------------------------------------------------------------------------------------------------


def slow_holm(p: list[float]) -> list[float]:
    """By the definition: the smallest level at which the step-down procedure rejects."""
    k = len(p)
    order = sorted(range(k), key=lambda i: (p[i], i))
    found = [0.0] * k
    for rank, i in enumerate(order):
        found[i] = min(1.0, max(p[j] * (k - r) for r, j in enumerate(order[: rank + 1])))
    return found


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm(p: list[float]) -> None:
    assert holm(p) == pytest.approx(slow_holm(p), abs=1e-15)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_holm_keeps_the_error_of_the_family() -> None:
    rng = np.random.default_rng(3)
    errors = [min(holm(rng.random(8).tolist())) < 0.05 for _ in range(4_000)]
    assert np.mean(errors) < 0.065


@given(st.integers(1, 5000))
def test_so_many_draws_that_the_smallest_p_value_survives_holm(n: int) -> None:
    assert draws(n) >= 10_000
    assert max(holm([1 / (draws(n) + 1)] * n)) < 0.0101
