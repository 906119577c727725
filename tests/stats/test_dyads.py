"""The variance of a mean over pairs with shared members, against leaving out and against the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_rxrx.stats.dyads import difference, variance

PAIRS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from([-1.0, 0.0, 1.0])).filter(
        lambda p: p[0] != p[1]
    ),
    min_size=2,
    max_size=25,
)


@given(PAIRS)
def test_leaving_out_and_averaging_again(pairs: list[tuple[int, int, float]]) -> None:
    values = np.array([v for *_, v in pairs])
    members = np.array([p[:2] for p in pairs])

    def jackknife(means: list[float]) -> float:
        k = len(means)
        return (k - 1) / k * sum((m - sum(means) / k) ** 2 for m in means) if k > 1 else 0.0

    by_member = []
    for g in sorted({g for a, b, _ in pairs for g in (a, b)}):
        rest = [v for a, b, v in pairs if g not in (a, b)]
        by_member += [sum(rest) / len(rest)] if rest else []
    by_pair = [(values.sum() - v) / (len(values) - 1) for v in values]
    independent = values.var() / len(values)
    found, alone = variance(values, members)
    assert alone == pytest.approx(independent, abs=1e-15)
    assert found == pytest.approx(max(independent, jackknife(by_member) - jackknife(by_pair)), abs=1e-12)


def test_members_of_their_own_are_independent() -> None:
    rng = np.random.default_rng(0)
    values, members = rng.random(200).round(), np.arange(400).reshape(200, 2)
    found, alone = variance(values, members)
    assert found == pytest.approx(alone, rel=0.02)


def test_it_is_the_variance_that_shared_members_give() -> None:
    """Values with an effect for each member: the spread over draws is what one draw says it is."""
    rng = np.random.default_rng(1)
    members = np.array([(i, j) for i in range(40) for j in range(i + 1, 40) if rng.random() < 0.3])
    means, said = [], []
    for _ in range(400):
        effect = rng.normal(size=40)
        values = effect[members].sum(axis=1) + rng.normal(size=len(members))
        means.append(values.mean())
        said.append(variance(values, members)[0])
    assert np.mean(said) == pytest.approx(np.var(means), rel=0.2)


def test_a_difference() -> None:
    members = np.arange(40).reshape(20, 2)
    ends, p = difference(np.ones(20), members, 0.95)
    assert (ends.low, ends.high, p) == (1, 1, 0)
    ends, p = difference(np.zeros(20), members, 0.95)
    assert (ends.low, ends.high, p) == (0, 0, 1)
    ends, p = difference(np.tile([1.0, -1.0], 10), members, 0.95)
    assert p == 1 and ends.low == -ends.high < 0
    assert all(np.isnan([(e := difference(np.ones(1), members[:1], 0.95))[0].low, e[0].high, e[1]]))
