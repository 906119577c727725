"""Perfect treatments: every formula against counting, and the model of the rest against simulation."""

from __future__ import annotations

from itertools import combinations, permutations
from math import comb, exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_rxrx.audit.separation import MIN_MODEL, log_likelihood, log_perfect, separation, tail
from polaris_rxrx.quick import log_ways


@given(st.lists(st.floats(0, 1), max_size=8), st.integers(0, 9))
def test_the_tail_is_the_sum_over_all_outcomes(p: list[float], at_least: int) -> None:
    total = 0.0
    for k in range(at_least, len(p) + 1):
        for chosen in combinations(range(len(p)), k):
            total += float(np.prod([q if i in chosen else 1 - q for i, q in enumerate(p)]))
    assert tail(np.array(p), at_least) == pytest.approx(total, abs=1e-12)


def test_a_tiny_tail_keeps_its_digits() -> None:
    assert tail(np.full(30, 1e-3), 30) == pytest.approx(1e-90, rel=1e-9)


def test_ways() -> None:
    n, m = np.array([21, 5, 3, 0, 400]), np.array([2, 5, 0, 0, 200])
    found = log_ways(n, m)
    np.testing.assert_allclose(found, [log(comb(a, b)) for a, b in zip(n, m, strict=True)], atol=1e-9)


def order_probability(labels: tuple[int, ...], theta: float) -> float:
    """Plackett and Luce's, draw by draw."""
    p, actives, inactives = 1.0, labels.count(1), labels.count(0)
    for label in labels:
        of_all = theta * actives + inactives
        p *= theta / of_all if label else 1 / of_all  # this very pair, not one of its kind
        actives, inactives = actives - label, inactives - (1 - label)
    return p


@pytest.mark.parametrize("theta", [0.3, 1.0, 4.0])
def test_perfect_and_likelihood_are_those_of_all_orders(theta: float) -> None:
    orders = sorted(set(permutations([1, 1, 0, 0, 0])))
    each = {o: order_probability(o, theta) * 2 * 6 for o in orders}  # 2! 3! pairs behind each pattern
    assert sum(each.values()) == pytest.approx(1)
    at = np.array([log(theta)])
    perfect = exp(log_perfect(np.array([5]), np.array([2]), at)[0, 0])
    assert perfect == pytest.approx(each[1, 1, 0, 0, 0])
    active = np.array(orders, dtype=float).reshape(-1)
    group = np.repeat(np.arange(len(orders)), 5)
    found = np.exp(log_likelihood(active, group, len(orders), at)[:, 0])
    np.testing.assert_allclose(found * 12, list(each.values()))


def test_chance_is_one_over_the_ways() -> None:
    n, m = np.array([21, 30, 4]), np.array([1, 10, 3])
    np.testing.assert_allclose(log_perfect(n, m, np.zeros(1))[:, 0], -log_ways(n, m))


def made(seed: int, theta: float, treatments: int = 300, leaked: float = 0.0):  # type: ignore[no-untyped-def]
    """Exponential waiting times: actives theta times as fast; a share of treatments has leaked labels."""
    rng = np.random.default_rng(seed)
    m = rng.integers(1, 5, treatments)
    group = np.repeat(np.arange(treatments), m + 12)
    active = np.concatenate([np.r_[np.ones(k), np.zeros(12)] for k in m])
    score = -rng.exponential(size=len(group)) / np.where(active == 1, theta, 1)
    known = (rng.random(treatments) < leaked)[group]
    return active, np.where(known, active * 100 + score, score), group, treatments


def test_count_and_expectation_by_hand() -> None:
    active = np.array([1, 0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 0])
    score = np.array([3, 2, 1, 5, 4, 4, 1, 1, 0, 7, 7, 7], dtype=float)
    group = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 5])
    found = separation(active, score, group, 7)
    assert found.perfect.tolist() == [True, *[False] * 6]  # a tie does not separate; one class cannot
    assert (found.n, found.seen) == (3, 1)
    assert found.expected == pytest.approx(1 / 3 + 1 / 3 + 1 / 2)
    assert found.p_value == pytest.approx(1 - 2 / 3 * 2 / 3 / 2)
    assert found.expected_rest is None and found.p_value_rest is None


@pytest.mark.parametrize("theta", [1.0, 3.0, 8.0])
def test_the_rest_foretells_an_honest_submission(theta: float) -> None:
    p = []
    for seed in range(8):
        found = separation(*made(seed, theta))
        assert found.expected_rest is not None and found.p_value_rest is not None
        assert found.seen == pytest.approx(found.expected_rest, rel=0.6, abs=12)
        assert found.auroc_rest == pytest.approx(theta / (1 + theta), abs=0.06)
        p.append(found.p_value_rest)
    assert min(p) > 1e-4


def test_the_rest_foretells_without_bias() -> None:
    """The treatments it was fitted to are those that are not perfect, and it knows."""
    found = [separation(*made(seed, 8.0)) for seed in range(20)]
    assert sum(f.seen for f in found) == pytest.approx(sum(f.expected_rest or 0 for f in found), rel=0.08)


@pytest.mark.parametrize("theta", [1.0, 3.0])
def test_the_rest_does_not_foretell_a_leak(theta: float) -> None:
    for seed in range(4):
        found = separation(*made(seed, theta, leaked=0.25))
        assert found.p_value_rest is not None and found.p_value_rest < 1e-8


def test_the_order_of_pairs_does_not_matter() -> None:
    active, score, group, n = made(0, 3.0)
    order = np.random.default_rng(1).permutation(len(score))
    one, two = separation(active, score, group, n), separation(active[order], score[order], group[order], n)
    assert one.seen == two.seen and one.p_value_rest == pytest.approx(two.p_value_rest)


def test_no_model_of_too_few() -> None:
    assert separation(*made(0, 1.0, treatments=MIN_MODEL - 1)).expected_rest is None
