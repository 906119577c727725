"""Paired tests against every pattern of signs, scipy and closed forms."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test, ttest_1samp

from polaris_rxrx.stats.paired import detectable, draws, holm, pairwise_p, sign_flip_p
from polaris_rxrx.stats.resampling import Resampling

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
    exact = sign_flip_p(d, Resampling(2**18))
    assert sign_flip_p(d, Resampling(100_000, 1)) == pytest.approx(exact, abs=0.006)
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
    assert sign_flip_p(d, Resampling(20_000)) == pytest.approx(theirs, abs=0.02)


def test_like_the_t_test_for_many_normal_differences() -> None:
    d = np.random.default_rng(6).normal(0.08, 1, 487)
    assert sign_flip_p(d) == pytest.approx(ttest_1samp(d, 0).pvalue, abs=0.015)


def test_p_values_are_uniform_under_the_null() -> None:
    """Two models that are equally good, with ties as in average precision (Kolmogorov-Smirnov at .001)."""
    rng = np.random.default_rng(12)
    found = []
    for seed in range(600):
        d = 1 / rng.integers(1, 22, 60) - 1 / rng.integers(1, 22, 60)
        found.append(sign_flip_p(d, Resampling(1_000, seed)))
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
    whole = sign_flip_p(d, Resampling(1_000, 3))
    monkeypatch.setattr("polaris_rxrx.stats.paired._CELLS", 640)
    assert sign_flip_p(d, Resampling(1_000, 3)) == pytest.approx(whole, abs=0.05)


@pytest.mark.parametrize("d", [[], [0.0, 0.0], [1e-14, -1e-14]])
def test_nothing_differs(d: list[float]) -> None:
    assert sign_flip_p(d) == 1


def test_p_is_never_zero() -> None:
    assert sign_flip_p(np.ones(400), Resampling(999)) == 1 / 1000
    assert sign_flip_p([1.0, 1.0, 1.0]) == 2 / 8


def test_the_detectable_difference_is_detected_as_often_as_said() -> None:
    """In simulated tasks with just that difference, four in five tests at .05 find it."""
    rng = np.random.default_rng(5)
    n, sd = 80, 0.3
    size = detectable(sd**2 / n)
    assert size == pytest.approx((1.959964 + 0.841621) * sd / np.sqrt(n), rel=0.01)
    hits = [sign_flip_p(rng.normal(size, sd, n), Resampling(500, i)) < 0.05 for i in range(600)]
    assert 0.75 <= np.mean(hits) <= 0.85


def test_the_detectable_difference_grows_with_level_and_power() -> None:
    assert detectable(0.01, level=0.99) > detectable(0.01) > detectable(0.01, power=0.5)
    assert detectable(0.04) == pytest.approx(2 * detectable(0.01))
    assert detectable(0.0) == 0


@pytest.mark.parametrize("n", [8, 40])  # every pattern of signs, and drawn ones
def test_a_stretched_test_asks_for_a_mean_as_much_further_from_zero(n: int) -> None:
    d = np.random.default_rng(4).normal(0.4, 1, n)
    signs = 1 - 2 * np.random.default_rng(9).integers(0, 2, (20_000, n))
    if n == 8:
        signs = np.array(list(product((1, -1), repeat=n)))
    flipped = np.abs(signs @ d)
    values = np.stack([d, np.zeros(n)], axis=1)
    for factor in (1.0, 1.3, 2.0):
        p = pairwise_p(values, [(0, 1)], Resampling(20_000), stretch=[factor])[0]
        assert p == pytest.approx(
            np.mean(flipped * factor >= abs(d.sum()) - 1e-9), abs=0.012 if n > 8 else 1e-12
        )


# --- many pairs at once ------------------------------------------------------------------------------------


def every(s: int) -> list[tuple[int, int]]:
    return list(combinations(range(s), 2))


@given(st.integers(2, 5), st.integers(1, 8), st.integers(0, 1000))
def test_few_treatments_of_many_columns_are_counted_exactly(s: int, n: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 4, (n, s)) / 4.0  # with ties
    found = pairwise_p(values, every(s), Resampling(max(100, 2**n)))
    assert found == pytest.approx([slow_p((values[:, a] - values[:, b]).tolist()) for a, b in every(s)])


def test_drawn_signs_against_the_obvious_twin() -> None:
    """The same signs, one pair and one draw at a time, without centring or shared sums."""
    n, s, resamples = 21, 4, 400
    rng = np.random.default_rng(3)
    values = rng.random((n, s)) + [0, 0.1, 0.2, 0.2]
    values[:, 3] = values[:, 2]  # the same in every treatment
    values[:15, 3] += 0.05  # but for a few: more than are counted exactly
    bits = np.random.default_rng(7).integers(0, 256, (resamples, 3), dtype=np.uint8)
    expected = []
    for a, b in every(s):
        d = values[:, a] - values[:, b]
        hits = 0
        for row in bits:
            signs = [-1 if bit == "1" else 1 for bit in "".join(f"{byte:08b}" for byte in row)[:n]]
            flipped = sum(sign * x for sign, x in zip(signs, d.tolist(), strict=True))
            hits += abs(flipped) >= abs(sum(d.tolist())) - 1e-9
        expected.append((hits + 1) / (resamples + 1))
    assert pairwise_p(values, every(s), Resampling(resamples, 7)) == expected


def test_drawn_p_values_are_those_of_the_paired_test_up_to_chance() -> None:
    rng = np.random.default_rng(1)
    values = rng.random((120, 5)) + np.arange(5) * 0.03
    p = pairwise_p(values, every(5), Resampling(40_000, 1))
    for (a, b), ours in zip(every(5), p, strict=True):
        other = sign_flip_p(values[:, a] - values[:, b], Resampling(40_000, 2))
        assert ours == pytest.approx(other, abs=5 * np.sqrt(2 * max(other, 1e-4) / 40_000))


def test_columns_in_parts_and_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few signs are drawn at once, every draw counts."""
    values = np.random.default_rng(0).random((40, 3)) + [0, 0, 1]
    whole = pairwise_p(values, every(3), Resampling(3000))
    told: list[tuple[str, int, int]] = []
    monkeypatch.setattr("polaris_rxrx.stats.paired._CELLS", 40 * 128)
    parts = pairwise_p(values, every(3), Resampling(3000), progress=lambda *of: told.append(of))
    assert told[-1] == ("comparing", 3000, 3000) and len(told) == 24
    assert parts[1:] == whole[1:] == [1 / 3001, 1 / 3001]
    assert parts[0] == pytest.approx(whole[0], abs=0.05)


def test_a_p_value_does_not_depend_on_what_else_is_compared() -> None:
    values = np.random.default_rng(2).random((90, 5)) + np.arange(5) * 0.02
    whole = dict(zip(every(5), pairwise_p(values, every(5), Resampling(2_000, 3)), strict=True))
    for pair in every(5):
        a, b = pair
        assert pairwise_p(values[:, [a, b]], [(0, 1)], Resampling(2_000, 3)) == [whole[pair]]
        assert pairwise_p(values, [(b, a)], Resampling(2_000, 3)) == [whole[pair]]


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
