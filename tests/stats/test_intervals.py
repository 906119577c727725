"""Intervals against scipy, and whether they cover what they should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from polaris_rxrx.metrics import group_scores
from polaris_rxrx.stats.intervals import Interval, bca, bca_each, bootstrap_means
from polaris_rxrx.stats.resampling import Resampling
from tests.loops import times

NAN = float("nan")


def skewed(n: int, seed: int = 0) -> np.ndarray:
    """Values as average precisions are: many small, some 1."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < 0.2, 1.0, 1 / rng.integers(1, 22, n))


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [8, 60, 400])
def test_equals_scipy(n: int, level: float) -> None:
    """Scipy's BCa of the same values; both are drawn, so their ends differ by the noise of the draws."""
    values = skewed(n)
    theirs = bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=20_000,
        method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval
    ours = bca(values, Resampling(20_000, 2, level))
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.04 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.04 * width)


def test_coverage() -> None:
    """Of 95 % intervals, 93 to 97 % hold the mean of the population that the treatments were drawn from."""
    population = skewed(5_000, seed=7)
    rng = np.random.default_rng(8)
    n = times(1_500, short=500)
    hits = [population.mean() in bca(rng.choice(population, 30), Resampling(1_000, i)) for i in range(n)]
    assert abs(np.mean(hits) - 0.95) <= 0.02 * np.sqrt(1_500 / n)


def test_coverage_of_scores() -> None:
    """The same of average precision itself: 1 to 3 actives a treatment, a model that is partly right."""
    rng = np.random.default_rng(2)

    def draw(n_treatments: int) -> np.ndarray:
        m = rng.integers(1, 4, n_treatments)
        group = np.repeat(np.arange(n_treatments), 20 + m)
        place = np.arange(len(group)) - np.repeat(np.cumsum(20 + m) - (20 + m), 20 + m)
        active = (place < m[group]).astype(float)  # m ones and 20 zeros a treatment
        score = rng.normal(size=len(group)) + active * rng.gamma(1.0, 1.5, n_treatments)[group]
        return group_scores(active, score, group, n_treatments).average_precision

    truth, n = draw(60_000).mean(), times(1_000, short=400)
    hits = [truth in bca(draw(80), Resampling(1_000, i)) for i in range(n)]
    assert abs(np.mean(hits) - 0.95) <= 0.02 * np.sqrt(1_000 / n)


def test_means_are_of_resampled_rows() -> None:
    """Against numpy's own drawing, row by row; all columns of a row go together."""
    values = np.stack([skewed(50), 10 - 3 * skewed(50)], axis=1)
    means = bootstrap_means(values, Resampling(4_000, 0))
    assert means.shape == (4_000, 2)
    np.testing.assert_allclose(means[:, 1], 10 - 3 * means[:, 0])
    rng = np.random.default_rng(1)
    slow = np.array([values[rng.integers(0, 50, 50), 0].mean() for _ in range(4_000)])
    assert means[:, 0].mean() == pytest.approx(slow.mean(), abs=4 * slow.std() / np.sqrt(4_000))
    assert means[:, 0].std() == pytest.approx(slow.std(), rel=0.06)


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    values = skewed(40)[:, None]
    whole = bootstrap_means(values, Resampling(1_000, 3))
    monkeypatch.setattr("polaris_rxrx.stats.intervals._CELLS", 400)
    np.testing.assert_allclose(bootstrap_means(values, Resampling(1_000, 3)), whole)


def test_a_seed_means_the_same_interval() -> None:
    one, again, other = (bca(skewed(30), Resampling(seed=seed)) for seed in (1, 1, 2))
    assert one == again != other


def test_it_moves_with_the_values() -> None:
    values = skewed(40)
    first, moved = bca(values), bca(2 + 3 * values)
    assert (moved.low, moved.high) == pytest.approx((2 + 3 * first.low, 2 + 3 * first.high))
    assert first.low < values.mean() < first.high
    wide = bca(values, Resampling(level=0.99))
    assert wide.low < first.low < first.high < wide.high


def test_columns_share_the_draws() -> None:
    values = skewed(30)
    holes = np.where(np.arange(30) % 7 == 0, NAN, values)
    both = bca_each([values, 1 - values, holes, [NAN] * 30])
    assert (both[0].low, both[0].high) == pytest.approx((bca(values).low, bca(values).high))
    assert both[1].low < 1 - values.mean() < both[1].high
    assert (both[2].low, both[2].high) == pytest.approx(
        (bca(holes[~np.isnan(holes)]).low, bca(holes[~np.isnan(holes)]).high)
    )
    assert np.isnan(both[3].low)


@pytest.mark.parametrize("values", [[], [0.4], [NAN, 0.4], [NAN, NAN]])
def test_too_few_values_have_none(values: list[float]) -> None:
    found = bca(values)
    assert np.isnan(found.low) and np.isnan(found.high)
    assert 0.4 not in found


def test_equal_values() -> None:
    assert bca([0.25] * 9) == Interval(0.25, 0.25)


@pytest.mark.parametrize("values", [[0, 0, 0, 0, 1], [0, 1], [1, 1, 1, 0.999]])
def test_few_values_stay_in_their_range(values: list[float]) -> None:
    found = bca(values)
    assert min(values) <= found.low <= found.high <= max(values)
