"""Chance against brute force: every order of the pairs, every placement of the labels."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from polaris_rxrx.metrics import expected_average_precision, group_scores
from polaris_rxrx.stats import chance
from polaris_rxrx.stats.chance import p_value, random_means
from polaris_rxrx.stats.resampling import Resampling

NAN = float("nan")


def slow_expectation(n: int, m: int) -> Fraction:
    """The mean over every set of ranks that m actives can take, in exact fractions."""
    orders = set(permutations([1] * m + [0] * (n - m)))
    total = Fraction(0)
    for order in orders:
        found = 0
        for rank, active in enumerate(order, 1):
            if active:
                found += 1
                total += Fraction(found, rank)
    return total / m / len(orders)


@pytest.mark.parametrize(("n", "m"), [(n, m) for n in range(1, 8) for m in range(1, n + 1)])
def test_expectation_is_the_mean_over_every_order(n: int, m: int) -> None:
    assert expected_average_precision([n], [m])[0] == pytest.approx(float(slow_expectation(n, m)), abs=1e-14)


def test_expectation_of_one_active_is_the_mean_reciprocal_rank() -> None:
    assert expected_average_precision([21], [1])[0] == pytest.approx(sum(1 / r for r in range(1, 22)) / 21)


def test_expectation_without_an_active_is_undefined() -> None:
    found = expected_average_precision([[5, 0], [0, 1]], [[0, 0], [0, 1]])
    assert np.array_equal(found, [[NAN, NAN], [NAN, 1]], equal_nan=True)
    assert expected_average_precision([], []).shape == (0,)


@pytest.mark.parametrize(("n", "m"), [([3], [4]), ([3], [-1]), ([3, 3], [1])])
def test_expectation_of_what_cannot_be(n: list[int], m: list[int]) -> None:
    with pytest.raises(ValueError, match="0 <= actives <= pairs"):
        expected_average_precision(n, m)


def test_expectation_agrees_with_random_scores_at_the_real_sizes() -> None:
    """Drawn scores without ties: the k-th active at rank r adds k / r. Within four standard errors."""
    rng = np.random.default_rng(3)
    for n, m in ((21, 1), (26, 6), (78, 26)):
        ranks = np.sort(rng.random((20_000, n)).argsort(axis=1)[:, :m] + 1, axis=1)
        drawn = (np.arange(1, m + 1) / ranks).mean(axis=1)
        labels = np.isin(np.arange(1, n + 1), ranks[0])
        assert drawn[0] == pytest.approx(average_precision_score(labels, -np.arange(n)), abs=1e-12)
        error = np.std(drawn) / np.sqrt(len(drawn))
        assert abs(np.mean(drawn) - expected_average_precision([n], [m])[0]) < 4 * error


# --- permutation -------------------------------------------------------------------------------------------


def placements(labels: np.ndarray, scores: np.ndarray) -> list[tuple[float, float]]:
    """Average precision and AUROC, by scikit-learn, of every order of the labels."""
    found = []
    for order in sorted(set(permutations(labels.tolist()))):
        ap = average_precision_score(order, scores)
        found.append((ap, roc_auc_score(order, scores) if 0 < sum(order) < len(order) else NAN))
    return found


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=7),
    st.integers(1, 7),
)
def test_the_listed_placements_are_all_of_them(scores: list[int], m: int) -> None:
    n = len(scores)
    m = min(m, n)
    s = -np.sort(-np.array(scores, dtype=float))
    ((_, _, end),) = chance._groups(np.r_[np.ones(m), np.zeros(n - m)], s, np.zeros(n), 1)
    listed = chance._score(chance._placements(n, m), n, end)
    slow = np.array(placements(np.r_[np.ones(m), np.zeros(n - m)], s)).T
    for ours, theirs in zip(listed, slow, strict=True):
        np.testing.assert_allclose(np.sort(ours), np.sort(theirs), atol=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_drawn_placements_have_the_same_distribution(ties: bool) -> None:
    """Rank by rank: the frequencies of the values are those of all placements (chi-squared)."""
    n, m, resamples = 6, 2, 30_000
    s = np.array([5, 5, 3, 2, 2, 2]) if ties else np.arange(6)[::-1]
    labels = np.r_[np.ones(m), np.zeros(n - m)]
    ((_, _, end),) = chance._groups(labels, s, np.zeros(n), 1)
    drawn = chance._draw(n, m, end, resamples, np.random.default_rng(1))
    for ours, every in zip(drawn, chance._score(chance._placements(n, m), n, end), strict=True):
        values, times = np.unique(every.round(9), return_counts=True)
        got, hits = np.unique(ours.round(9), return_counts=True)
        assert got.tolist() == values.tolist()
        expected = times / times.sum() * resamples
        statistic = ((hits - expected) ** 2 / expected).sum()
        assert statistic < len(values) + 5 * np.sqrt(2 * len(values))


def awkward() -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Treatments of every kind: one pair, all active, none, no labels, ties, a code that is unused."""
    group = np.repeat([0, 1, 2, 3, 4, 6], [1, 3, 3, 2, 12, 40])
    rng = np.random.default_rng(0)
    active = (rng.random(len(group)) < 0.3).astype(float)
    active[group == 0], active[group == 1], active[group == 2], active[group == 3] = 1, 1, 0, NAN
    active[group == 4] = [1, 0, 0, NAN] * 3
    score = np.where(group == 6, rng.random(len(group)), rng.integers(0, 3, len(group)))
    return active, score, group, 7


def test_means_are_those_of_permuted_labels() -> None:
    """Against the slow way: shuffle the labels of each treatment, score with the official kernel."""
    active, score, group, n_groups = awkward()
    rng = np.random.default_rng(5)
    slow = []
    for _ in range(2_000):
        shuffled = active.copy()
        for g in range(n_groups):
            at = np.flatnonzero((group == g) & ~np.isnan(active))
            shuffled[at] = rng.permutation(active[at])
        found = group_scores(shuffled, score, group, n_groups)
        slow.append((np.nanmean(found.average_precision), np.nanmean(found.auroc)))
    fast = random_means(active, score, group, n_groups, Resampling(20_000, 0))
    for ours, theirs in zip(fast, np.array(slow).T, strict=True):
        error = np.std(theirs) / np.sqrt(len(theirs))
        assert abs(ours.mean() - theirs.mean()) < 4.5 * error
        for q in (0.05, 0.5, 0.95):
            assert abs(np.mean(ours <= np.quantile(theirs, q)) - q) < 0.03


def test_order_of_rows_and_monotone_scores_do_not_matter() -> None:
    active, score, group, n_groups = awkward()
    first = random_means(active, score, group, n_groups, Resampling(500, 4))
    order = np.random.default_rng(9).permutation(len(group))
    again = random_means(active[order], np.exp(score[order]), group[order], n_groups, Resampling(500, 4))
    np.testing.assert_array_equal(first, again)
    other = random_means(active, score, group, n_groups, Resampling(500, 5))
    assert not np.array_equal(first, other)


def test_constant_scores_have_one_value() -> None:
    labels = np.r_[np.ones(8), np.zeros(22)]  # too many placements to list
    ap, auroc = random_means(labels, np.zeros(30), np.zeros(30), 1, Resampling(200, 0))
    np.testing.assert_allclose(ap, 8 / 30)
    np.testing.assert_allclose(auroc, 0.5)


def test_nothing_to_permute() -> None:
    for labels in ([], [0, 0], [NAN, NAN]):
        found = random_means(labels, np.zeros(len(labels)), np.zeros(len(labels)), 1, Resampling(100, 0))
        assert np.isnan(found).all()
    ap, auroc = random_means([1, 1], [2, 1], [0, 0], 1, Resampling(100, 0))
    assert (ap == 1).all() and np.isnan(auroc).all()


def test_p_values_are_uniform_under_the_null() -> None:
    """Random predictions of one small task: p is uniform (Kolmogorov-Smirnov at .001)."""
    rng = np.random.default_rng(11)
    group = np.repeat(np.arange(12), 21)
    active = np.tile(np.r_[1.0, np.zeros(20)], 12)
    found: list[list[float]] = [[], []]
    for _ in range(400):
        score = rng.random(len(group))
        groups = group_scores(active, score, group, 12)
        null = random_means(active, score, group, 12, Resampling(400, int(rng.integers(1 << 30))))
        for kept, values, drawn in zip(found, (groups.average_precision, groups.auroc), null, strict=True):
            kept.append(p_value(float(values.mean()), drawn))
    for kept in found:
        ordered = np.sort(kept)
        gap = np.abs(ordered - np.arange(1, len(ordered) + 1) / len(ordered)).max()
        assert gap < 1.95 / np.sqrt(len(ordered)) + 1 / 400


def test_p_value() -> None:
    null = np.array([0.1, 0.2, 0.3 - 1e-15, 0.3 + 1e-15])
    assert p_value(0.3, null) == 3 / 5
    assert p_value(0.9, null) == 1 / 5
    assert p_value(0.0, null) == 1
    assert np.isnan(p_value(NAN, null))
