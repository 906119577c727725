"""Shortcuts, each against a loop over the pairs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import rankdata

from polaris_rxrx.audit.shortcuts import (
    KINDS,
    PSEUDO_PAIRS,
    Pairs,
    compound_blind,
    compound_promiscuity,
    compute,
    gene_popularity,
    map_tables,
)
from polaris_rxrx.maps.build import Map
from polaris_rxrx.task import Task
from polaris_rxrx.wells.metadata import Perturbations

MakeTask = Callable[..., Task]


def random_task(make_task: MakeTask, seed: int, *, repeats: bool = False) -> Task:
    rng = np.random.default_rng(seed)
    pairs = [
        (f"c{t}", f"g{g}", rng.choice([0, 0, 1, None]))
        for t in range(12)
        for g in rng.choice(9, rng.integers(1, 8), replace=repeats)
    ]
    pairs += [("c0", "g0", 1), ("only", "alone", 1)]
    return make_task([pairs[i] for i in rng.permutation(len(pairs))])


@pytest.mark.parametrize("seed", range(6))
def test_popularity_counts_the_genes_other_compounds(make_task: MakeTask, seed: int) -> None:
    task = random_task(make_task, seed, repeats=seed % 2 == 1)
    rows = list(zip(task.treatment, task.gene_symbol, task.active.tolist(), strict=True))  # type: ignore[union-attr]
    overall = np.mean([a for *_, a in rows if a == a])
    found = gene_popularity(Pairs.of(task))
    for i, (t, g, _) in enumerate(rows):
        others = [a for u, h, a in rows if h == g and u != t and a == a]
        if not others:
            assert np.isnan(found[i])
        else:
            expected = (sum(others) + PSEUDO_PAIRS * overall) / (len(others) + PSEUDO_PAIRS)
            assert found[i] == pytest.approx(expected)


def test_popularity_does_not_see_its_own_label(make_task: MakeTask) -> None:
    pairs = [(f"c{t}", f"g{g}", (t + g) % 3 == 0) for t in range(6) for g in range(6)]
    before = gene_popularity(Pairs.of(make_task([(t, g, float(a)) for t, g, a in pairs])))
    for i in (0, 7, 35):
        # Another pair of the same label changes the other way, so that the overall share stays.
        j = next(j for j, p in enumerate(pairs) if p[2] != pairs[i][2] and p[1] != pairs[i][1])
        flipped = [(t, g, float(a ^ (k in (i, j)))) for k, (t, g, a) in enumerate(pairs)]
        assert gene_popularity(Pairs.of(make_task(flipped)))[i] == pytest.approx(before[i])


def test_promiscuity_is_constant_within_a_treatment(make_task: MakeTask) -> None:
    task = random_task(make_task, 1)
    found = compound_promiscuity(Pairs.of(task))
    for i, name in enumerate(task.treatment):
        own = [a for t, a in zip(task.treatment, task.active.tolist(), strict=True) if t == name and a == a]  # type: ignore[union-attr]
        assert found[i] == pytest.approx(np.mean(own)) if own else np.isnan(found[i])


@pytest.mark.parametrize("seed", range(4))
def test_blind_is_the_mean_place_elsewhere(make_task: MakeTask, seed: int) -> None:
    task = random_task(make_task, seed)
    score = np.random.default_rng(seed).integers(0, 6, len(task)).astype(float)
    names = np.array(task.treatment, dtype=object)
    place = np.empty(len(task))
    for name in set(task.treatment):
        own = score[names == name]
        place[names == name] = (rankdata(own) - (len(own) + 1) / 2) / len(own)
    found = compound_blind(Pairs.of(task), score)
    for i, (t, g) in enumerate(zip(task.treatment, task.gene_symbol, strict=True)):
        others = [
            place[j]
            for j, (u, h) in enumerate(zip(task.treatment, task.gene_symbol, strict=True))
            if h == g and u != t
        ]
        assert found[i] == pytest.approx(np.mean(others), abs=1e-11) if others else np.isnan(found[i])


def test_blind_ties_what_is_equal(make_task: MakeTask) -> None:
    """Means that are equal as fractions are equal as floats, whatever the order they were summed in."""
    rng = np.random.default_rng(0)
    task = make_task(
        [(f"c{t}", f"g{g}", 1) for t in range(40) for g in rng.permutation(30)[: rng.choice([3, 7])]]
    )
    score = rng.normal(size=len(task))
    names = np.array(task.treatment, dtype=object)
    place = [
        Fraction(
            2 * int((score[names == t] < s).sum()) + 1 - int((names == t).sum()), 2 * int((names == t).sum())
        )
        for t, s in zip(task.treatment, score, strict=True)
    ]
    rows = list(zip(task.treatment, task.gene_symbol, place, strict=True))
    exact: dict[Fraction, set[float]] = {}
    for (t, g, _), value in zip(rows, compound_blind(Pairs.of(task), score).tolist(), strict=True):
        others = [p for u, h, p in rows if h == g and u != t]
        if others:
            exact.setdefault(sum(others, Fraction(0)) / len(others), set()).add(value)
    assert len(exact) < len(task) and all(len(values) == 1 for values in exact.values())


def test_blind_knows_no_scale(make_task: MakeTask) -> None:
    task = random_task(make_task, 2)
    pairs = Pairs.of(task)
    score = np.random.default_rng(0).normal(size=len(task))
    stretched = np.exp(score) * (1 + pairs.compound) * 1e300  # overflows if it is summed
    np.testing.assert_array_equal(compound_blind(pairs, score), compound_blind(pairs, stretched))


def test_what_is_unknown_is_filled_and_counted(make_task: MakeTask) -> None:
    task = make_task([("A", "g", 1), ("A", "h", 0), ("B", "g", 0), ("B", "<img>", 1)])
    tables = {"gene-wells": np.array([np.nan, 4.0, 8.0]), "highest-dose": np.full(2, np.nan)}
    found, skipped = compute(
        Pairs.of(task),
        np.arange(4.0),
        tables=tables,
        absent={"map": "no map given"},
        reasons={"shared-plates": "no column 'plate'"},
    )
    wells = next(s for s in found if s.kind.name == "gene-wells")
    assert wells.values.tolist() == [4, 8, 4, 16 / 3]
    assert (wells.filled, wells.fill) == (1, 16 / 3)
    assert next(s for s in found if s.kind.name == "row-order").values.tolist() == [0, -1, -2, -3]
    reasons = {s.kind.name: s.reason for s in skipped}
    assert reasons["gene-norm"] == "no map given"
    assert reasons["shared-plates"] == "no column 'plate'"
    assert reasons["highest-dose"] == "none of the task's compounds is in the metadata"
    assert len(found) + len(skipped) == len(KINDS)
    assert all(np.isfinite(s.values).all() for s in found)


def test_one_treatment_has_no_elsewhere(make_task: MakeTask) -> None:
    task = make_task([("A", "g", 1), ("A", "h", 0)])
    _, skipped = compute(Pairs.of(task), np.arange(2.0), tables={}, absent={})
    reasons = {s.kind.name: s.reason for s in skipped}
    assert reasons["compound-blind"] == "no gene stands in two treatments"
    assert reasons["gene-popularity"] == "no gene has labeled pairs in two treatments"


def test_norms_of_a_map(make_task: MakeTask) -> None:
    task = make_task([("A", "A", 1), ("A", "h", 0), ("B", "A", 0)])
    p = Perturbations(
        ["COMPOUND"] * 2 + ["CRISPR"] * 2, ["A", "A", "A", "z"], np.array([1, 10, np.nan, np.nan])
    )
    x = np.array([[3.0, 4.0], [0.0, 1.0], [1.0, 1.0], [9.0, 9.0]])
    found = map_tables(Map(p, x, np.ones(4, dtype=np.int64)), Pairs.of(task))
    np.testing.assert_allclose(found["compound-norm"], [5, np.nan])  # the largest of its concentrations
    np.testing.assert_allclose(found["gene-norm"], [2**0.5, np.nan])
