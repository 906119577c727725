"""Mean average precision against a slow twin, scikit-learn and copairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from polaris_rxrx.maps.similarity import cosine
from polaris_rxrx.suites.retrieval import Retrieved, adjusted, average_precision, by_group, random_orders
from polaris_rxrx.types import Floats
from tests.conftest import copairs_map


def twin(positive: list[float], negative: list[float], positives_first: bool) -> float:
    """From the definition: the precision at each positive's rank, averaged."""
    pos, neg = ([v for v in values if v == v] for values in (positive, negative))
    if not pos:
        return float("nan")
    total = 0.0
    for i, s in enumerate(sorted(pos, reverse=True)):
        if positives_first:
            total += (i + 1) / (i + 1 + sum(v > s for v in neg))
        else:
            hits = sum(v >= s for v in pos)
            total += hits / (hits + sum(v >= s for v in neg))
    return total / len(pos)


VALUES = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0, float("nan")])


@given(st.lists(VALUES, min_size=1, max_size=40), st.lists(VALUES, max_size=12), st.booleans())
def test_one_query_is_its_twin(positive: list[float], negative: list[float], first: bool) -> None:
    found = average_precision(np.array([positive]), np.array([negative]), positives_first=first)
    np.testing.assert_allclose(found, [twin(positive, negative, first)], rtol=1e-12)


@pytest.mark.parametrize("n", [1, 5, 60])
def test_it_is_scikit_learns(n: int) -> None:
    rng = np.random.default_rng(n)
    positive, negative = np.round(rng.normal(0.5, size=(9, n)), 1), np.round(rng.normal(size=(9, 30)), 1)
    y = np.r_[np.ones(n), np.zeros(30)]
    expected = [average_precision_score(y, np.r_[p, q]) for p, q in zip(positive, negative, strict=True)]
    np.testing.assert_allclose(average_precision(positive, negative), expected, rtol=1e-12)


def test_groups_without_a_counted_query_have_no_value() -> None:
    found = Retrieved(np.array([1.0, np.nan, 0.5]), np.array([1, 0, 2]), np.array([4, 3, 2]))
    of = by_group(found, np.array([0, 0, 1]), 3, null_size=50)
    assert of.n_queries.tolist() == [1, 0, 0]
    assert of.mean[0] == 1 and np.isnan(of.mean[1:]).all() and np.isnan(of.p_value[1:]).all()
    assert np.isnan(adjusted(of.p_value)[1:]).all() and adjusted(of.p_value)[0] == of.p_value[0]


def test_random_orders_do_not_depend_on_how_many_are_shuffled_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = np.array([[1, 5], [3, 40]])
    whole = random_orders(counts, 200, 7)
    monkeypatch.setattr("polaris_rxrx.suites.retrieval._CELLS", 90)
    np.testing.assert_array_equal(random_orders(counts, 200, 7), whole)
    assert abs(whole[0].mean() - np.mean(1 / np.arange(1, 6))) < 0.06


def wells(ties: bool) -> tuple[Floats, np.ndarray]:
    """Three treatments and a control, (n, d), and the code of each row; 0 is the control."""
    rng = np.random.default_rng(3)
    code = np.repeat([0, 1, 2, 3], [30, 4, 7, 1])
    x = rng.normal(size=(len(code), 6)) + np.array([0, 1.5, 0.2, 0])[code, None]
    if ties:  # a few vectors, many times: to one row, equal rows are equally alike
        x = rng.normal(size=(7, 6))[(rng.integers(0, 7, len(code)) * (code != 1) + code) % 7]
    return x.astype(np.float32).astype(np.float64), code


@pytest.mark.parametrize("ties", [False, True])
def test_it_is_copairs(ties: bool, tmp_path: Path) -> None:
    copairs = copairs_map()
    import pandas as pd

    x, code = wells(ties)
    meta = pd.DataFrame({"treatment": code, "reference": np.where(code == 0, np.arange(len(code)), -1)})
    both = ["treatment", "reference"]
    theirs = copairs.average_precision(meta, x.astype(np.float32), both, [], [], both, progress_bar=False)
    grouped = copairs.mean_average_precision(
        theirs[theirs.treatment > 0],
        sameby=["treatment"],
        null_size=500,
        threshold=0.05,
        seed=11,
        cache_dir=tmp_path,
        progress_bar=False,
    )
    found, group = [], []
    for k in (1, 2, 3):
        own = np.flatnonzero(code == k)
        similar = cosine(x[own], x[own])
        np.fill_diagonal(similar, np.nan)
        similar, against = np.round(similar, 6), np.round(cosine(x[own], x[code == 0]), 6)
        ap = average_precision(similar, against, positives_first=True)
        found += list(zip(ap, [len(own) - 1] * len(own), strict=True))
        group += [k - 1] * len(own)
    ap, n = np.array([f[0] for f in found]), np.array([f[1] for f in found])
    ours = by_group(Retrieved(ap, n, n + 30), np.array(group), 3, null_size=500, seed=11)
    np.testing.assert_allclose(ours.mean[:2], grouped.mean_average_precision, rtol=1e-6)
    np.testing.assert_allclose(ours.normalized[:2], grouped.mean_normalized_average_precision, rtol=1e-6)
    np.testing.assert_array_equal(ours.p_value[:2], grouped.p_value)
    np.testing.assert_allclose(adjusted(ours.p_value)[:2], grouped.corrected_p_value)
    assert np.isnan(ours.mean[2])
