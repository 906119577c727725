"""Variances with treatments, genes and cells left out, against a twin that deletes rows and scores again."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from polaris_rxrx.metrics import group_scores
from polaris_rxrx.stats.resampling import Clusters
from polaris_rxrx.stats.two_way import Deleted, Means, Variance, leave_out

Rows = list[tuple[int, int, float, float]]  # treatment, gene, label, score


def chance(n: int, m: int) -> float:
    """The mean average precision of every order of n pairs, m of them active, by its definition."""
    if m == 0:
        return math.nan
    total = Fraction(0)
    for rank in range(1, n + 1):  # an active at `rank`, the other actives anywhere
        others = Fraction((m - 1) * (rank - 1), n - 1) if n > 1 else Fraction(0)
        total += (1 + others) / rank
    return float(total / n)


def twin_mean(rows: Rows, metric: str) -> float:
    """The mean over treatments of (metric - chance), from scikit-learn."""
    values = []
    for t in sorted({r[0] for r in rows}):
        y = [r[2] for r in rows if r[0] == t and not math.isnan(r[2])]
        s = [r[3] for r in rows if r[0] == t and not math.isnan(r[2])]
        m = int(sum(y))
        if metric == "pr_auc" and m:
            values.append(average_precision_score(y, s) - chance(len(y), m))
        if metric == "roc_auc" and 0 < m < len(y):
            values.append(roc_auc_score(y, s) - 0.5)
    return float(np.mean(values)) if values else math.nan


def twin(rows: Rows, metric: str) -> tuple[float, float, float]:
    """The three jackknives: rows are deleted and everything is scored again."""
    rows = [r for r in rows if not math.isnan(r[2])]

    def defined(t: int) -> bool:
        return not math.isnan(twin_mean([r for r in rows if r[0] == t], metric))

    rows = [r for r in rows if defined(r[0])]
    out = []
    for key in (lambda r: r[0], lambda r: r[1], lambda r: (r[0], r[1])):
        means = [twin_mean([r for r in rows if key(r) != k], metric) for k in sorted({key(r) for r in rows})]
        there = [v for v in means if not math.isnan(v)]
        k = len(there)
        out.append(0.0 if k < 2 else (k - 1) / k * sum((v - np.mean(there)) ** 2 for v in there))
    return out[0], out[1], out[2]


def ours(rows: Rows) -> Deleted:
    t, g, y, s = (np.array(c) for c in zip(*rows, strict=True))
    t, g = t.astype(np.int64), g.astype(np.int64)
    y, s = y.astype(float), s.astype(float)
    return leave_out(y, s, t, g, group_scores(y, s, t, int(t.max()) + 1))


def parts(v: Variance) -> tuple[float, float, float]:
    return v.treatment, v.gene, v.cell


LABELS = st.sampled_from([0.0, 0.0, 1.0, math.nan])
SCORES = st.one_of(st.integers(0, 3).map(float), st.floats(-5, 5))
ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), LABELS, SCORES), min_size=1, max_size=30)


@given(ROWS)
def test_deleting_and_scoring_again(rows: Rows) -> None:
    """Repeated pairs, ties, one-class treatments and pairs without a label among them."""
    found = ours(rows)
    for metric in ("pr_auc", "roc_auc"):
        assert parts(found[metric].variance()) == pytest.approx(twin(rows, metric), abs=1e-12)


@given(ROWS, st.randoms(use_true_random=False))
def test_order_and_names_do_not_matter(rows: Rows, random: Any) -> None:
    treatments, genes = list(range(5)), list(range(6))
    random.shuffle(treatments)
    random.shuffle(genes)
    other = [(treatments[t], genes[g], y, s) for t, g, y, s in rows]
    random.shuffle(other)
    for metric in ("pr_auc", "roc_auc"):
        a, b = ours(rows)[metric].variance(), ours(other)[metric].variance()
        assert parts(a) == pytest.approx(parts(b), abs=1e-14)


def test_many_repeated_pairs_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = [
        (int(t), int(g), float(rng.random() < 0.3), float(rng.normal()))
        for t in range(6)
        for g in range(5)
        for _ in range(3)
    ]
    whole = ours(rows)
    monkeypatch.setattr("polaris_rxrx.stats.two_way._PAIRS", 20)
    assert parts(ours(rows)["pr_auc"].variance()) == parts(whole["pr_auc"].variance())
    assert parts(whole["pr_auc"].variance()) == pytest.approx(twin(rows, "pr_auc"), abs=1e-12)


def test_the_difference_of_two() -> None:
    """Chance cancels: the variance of a difference is that of the differences of the means."""
    rng = np.random.default_rng(1)
    pairs = [(t, g, float(rng.random() < 0.4)) for t in range(5) for g in range(6)]
    a = [(*p, float(rng.normal())) for p in pairs]
    b = [(*p, float(rng.integers(3))) for p in pairs]
    apart = (ours(a)["pr_auc"] - ours(b)["pr_auc"]).variance()
    rows_a, rows_b = [(r[0], r[1], r[2], r[3]) for r in a], [(r[0], r[1], r[2], r[3]) for r in b]
    with_active = {t for t, _, y in pairs if y}
    rows_a = [r for r in rows_a if r[0] in with_active]
    rows_b = [r for r in rows_b if r[0] in with_active]
    for i, key in enumerate((lambda r: r[0], lambda r: r[1], lambda r: (r[0], r[1]))):
        keys = sorted({key(r) for r in rows_a})
        means = [
            twin_mean([r for r in rows_a if key(r) != k], "pr_auc")
            - twin_mean([r for r in rows_b if key(r) != k], "pr_auc")
            for k in keys
        ]
        assert parts(apart)[i] == pytest.approx(np.var(means) * (len(keys) - 1), abs=1e-12)


@pytest.mark.parametrize(
    "rows",
    [
        [(0, 0, 1.0, 0.5)],
        [(0, g, float(g == 0), float(g)) for g in range(4)],  # one treatment
        [(t, 0, 1.0, 0.0) for t in range(3)],  # one gene
        [(t, g, float(g < 2), 0.0) for t in range(3) for g in range(4)],  # all ties
        [(0, 0, 0.0, 1.0), (0, 1, math.nan, 2.0)],  # nothing to be scored
    ],
)
def test_it_is_defined_wherever_a_score_is(rows: Rows) -> None:
    for metric in ("pr_auc", "roc_auc"):
        v = ours(rows)[metric].variance()
        assert all(math.isfinite(p) and p >= 0 for p in parts(v))
        assert parts(v) == pytest.approx(twin(rows, metric), abs=1e-12)
        for clusters in ("both", "treatment", "gene"):
            assert math.isfinite(v.stretch(clusters)) and v.of(clusters) >= 0  # type: ignore[arg-type]


def test_without_names_of_genes_it_is_over_treatments() -> None:
    rng = np.random.default_rng(2)
    t = np.repeat(np.arange(5), 8)
    y, s = (rng.random(40) < 0.3).astype(float), rng.normal(size=40)
    groups = group_scores(y, s, t, 5)
    v = leave_out(y, s, t, None, groups)["pr_auc"].variance()
    assert (v.gene, v.cell, v.n_genes) == (0.0, 0.0, 0)
    assert v.of("both") == v.treatment > 0
    assert v.stretch("both") == 1.0
    # Each pair a gene of its own: what is one of a kind is shared by none.
    own = leave_out(y, s, t, np.full(40, -1), groups)["pr_auc"].variance()
    assert own.of("both") == pytest.approx(v.treatment)


@pytest.mark.parametrize(("clusters", "expected"), [("treatment", 2.0), ("gene", 3.0), ("both", 4.0)])
def test_which_parts_count(clusters: Clusters, expected: float) -> None:
    v = Variance(2.0, 3.0, 1.0, 10, 10)
    assert v.of(clusters) == expected
    assert v.stretch(clusters) == pytest.approx(math.sqrt(expected / 2))
    assert Variance(2.0, 1.0, 3.0, 10, 10).of("both") == 2.0  # never below that of the treatments


def test_means_of_nothing() -> None:
    nothing = np.full(3, np.nan)
    assert parts(Means(nothing, nothing, nothing, float("nan")).variance()) == (0.0, 0.0, 0.0)
