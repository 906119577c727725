"""Complexes against scipy's own test, pair by pair."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.suites.clusters import clusters
from polaris_rxrx.suites.gene_sets import GeneSets
from polaris_rxrx.types import Floats
from polaris_rxrx.wells.metadata import Perturbations

SETS = GeneSets(
    Path("sets.tsv"),
    "0",
    {
        "together": tuple(f"G{i}" for i in range(12)),
        "apart": tuple(f"G{i}" for i in range(20, 32)),
        "small": ("G1", "G2", "ELSEWHERE"),
    },
)


def made(n: int = 40) -> Map:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 8))
    x[:12] += 1.5
    names = [f"G{i}" for i in range(n)]
    return Map(Perturbations(["CRISPR"] * n, names, np.full(n, np.nan)), x, np.ones(n, dtype=np.int64), {})


def alike(a: Floats, b: Floats) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_it_is_scipys_test_of_the_pairs() -> None:
    map_ = made()
    result = clusters(map_, SETS)
    rows = result.tables["complexes"]
    assert rows["complex"] == ["together", "apart"] and rows["n_genes"] == [12, 12]
    assert any("1 of 3 complexes" in note for note in result.notes)
    for k, members in enumerate((range(12), range(20, 32))):
        within = [alike(map_.x[i], map_.x[j]) for i, j in combinations(members, 2)]
        between = [
            alike(map_.x[i], map_.x[j]) for i, j in product(members, sorted({*range(40)} - {*members}))
        ]
        expected = ks_2samp(within, between)
        assert rows["ks"][k] == pytest.approx(expected.statistic, abs=1e-12)
        assert rows["p_value"][k] == pytest.approx(expected.pvalue, rel=1e-9)
        assert rows["mean_within"][k] == pytest.approx(np.mean(within))
    p = sorted(rows["p_value"])
    assert sorted(rows["p_adjusted"]) == pytest.approx([min(2 * p[0], p[1]), p[1]])
    assert result.summary["n_higher"] == 1 and rows["higher"][0]


def test_what_cannot_be_tested() -> None:
    with pytest.raises(UsageError, match="min_genes is 1"):
        clusters(made(), SETS, min_genes=1)
    with pytest.raises(DataError, match=r"none of the 3 complexes in sets\.tsv has 13 genes"):
        clusters(made(), SETS, min_genes=13)
    whole = clusters(made(12), SETS)  # nothing is left for between
    assert np.isnan(whole.tables["complexes"]["p_value"][0])
    assert '"p_value"' not in whole.to_json() and whole.csv("complexes")
