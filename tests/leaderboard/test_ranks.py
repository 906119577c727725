"""Many paired tests at once, and the ranks that follow, against obvious twins."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_rxrx.leaderboard.ranks import EXACT, pairwise_p, ranks
from polaris_rxrx.stats.paired import sign_flip_p


@given(st.integers(2, 6), st.integers(1, EXACT), st.integers(0, 1000))
def test_few_treatments_are_counted_exactly(s: int, n: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 4, (n, s)) / 4.0  # with ties
    p = pairwise_p(values, resamples=100)
    exact = [sign_flip_p(values[:, a] - values[:, b], resamples=2**n) for a, b in combinations(range(s), 2)]
    assert p == exact


def test_drawn_signs_against_the_obvious_twin() -> None:
    """The same signs, one pair and one draw at a time, without centring or shared sums."""
    n, s, resamples = 21, 4, 400
    rng = np.random.default_rng(3)
    values = rng.random((n, s)) + [0, 0.1, 0.2, 0.2]
    values[:, 3] = values[:, 2]  # the same in every treatment
    values[:15, 3] += 0.05  # but for a few: more than are counted exactly
    bits = np.random.default_rng(7).integers(0, 256, (resamples, 3), dtype=np.uint8)
    expected = []
    for a, b in combinations(range(s), 2):
        d = values[:, a] - values[:, b]
        hits = 0
        for row in bits:
            signs = [-1 if bit == "1" else 1 for bit in "".join(f"{byte:08b}" for byte in row)[:n]]
            flipped = sum(sign * x for sign, x in zip(signs, d.tolist(), strict=True))
            hits += abs(flipped) >= abs(sum(d.tolist())) - 1e-9
        expected.append((hits + 1) / (resamples + 1))
    assert pairwise_p(values, resamples=resamples, seed=7) == expected


def test_drawn_p_values_are_those_of_the_paired_test_up_to_chance() -> None:
    rng = np.random.default_rng(1)
    values = rng.random((120, 5)) + np.arange(5) * 0.03
    p = pairwise_p(values, resamples=40_000, seed=1)
    for (a, b), ours in zip(combinations(range(5), 2), p, strict=True):
        other = sign_flip_p(values[:, a] - values[:, b], resamples=40_000, seed=2)
        assert ours == pytest.approx(other, abs=5 * np.sqrt(2 * max(other, 1e-4) / 40_000))


def test_columns_in_parts_and_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few signs are drawn at once, every draw counts."""
    values = np.random.default_rng(0).random((40, 3)) + [0, 0, 1]
    whole = pairwise_p(values, resamples=3000)
    told: list[tuple[str, int, int]] = []
    monkeypatch.setattr("polaris_rxrx.leaderboard.ranks._CELLS", 40 * 128)
    parts = pairwise_p(values, resamples=3000, progress=lambda *of: told.append(of))
    assert told[-1] == ("comparing", 3000, 3000) and len(told) == 24
    assert parts[1:] == whole[1:] == [1 / 3001, 1 / 3001]
    assert parts[0] == pytest.approx(whole[0], abs=0.05)


@given(st.integers(1, 7), st.data())
def test_ranks_against_the_rule_read_aloud(n: int, data: st.DataObject) -> None:
    beats = {(a, b) for a, b in combinations(range(n), 2) if data.draw(st.booleans(), label=f"{a} beats {b}")}
    expected = []
    for row in range(n):
        better = 0
        for other in range(n):
            if (other, row) in beats:
                better += 1
        expected.append(1 + better)
    assert ranks(n, sorted(beats)) == expected
