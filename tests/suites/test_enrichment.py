"""Enrichment against counting, and scipy."""

from __future__ import annotations

from math import comb
from pathlib import Path

import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.suites.enrichment import enrichment
from polaris_rxrx.suites.gene_sets import GeneSets

GENES = [f"G{i}" for i in range(30)]
SETS = GeneSets(
    Path("sets.gmt"),
    "0",
    {
        "first": ("G0", "G1", "G2", "G3", "FAR"),
        "second": ("G9", "G10"),
        "none": ("FAR",),
        "whole": tuple(GENES),
    },
)


def tail(k: int, n_all: int, n_set: int, n_list: int) -> float:
    """The chance of k or more, from the definition."""
    top = min(n_set, n_list)
    ways = [comb(n_set, i) * comb(n_all - n_set, n_list - i) for i in range(k, top + 1)]
    return sum(ways) / comb(n_all, n_list)


def test_it_is_counted() -> None:
    result = enrichment(["G0", "G1", "G2", "G20", "G0", "NOT"], SETS, GENES)
    rows = result.tables["sets"]
    assert result.summary["n_list"] == 4 and result.summary["n_sets"] == 3
    assert rows["set"] == ["first", "whole"] and rows["n_shared"] == [3, 4]
    assert rows["p_value"] == pytest.approx([tail(3, 30, 4, 4), 1.0])
    assert rows["p_bonferroni"] == pytest.approx([3 * tail(3, 30, 4, 4), 1.0])
    assert rows["genes"][0] == "G0 G1 G2" and rows["expected"][0] == pytest.approx(4 * 4 / 30)
    assert result.notes == ("1 of 5 genes are not in the map: 'NOT'",)


def test_nothing_to_test() -> None:
    with pytest.raises(DataError, match=r"none of the 1 genes \('NOT'\) is in the map"):
        enrichment(["NOT"], SETS, GENES)
    with pytest.raises(DataError, match=r"no set in sets.gmt has a gene of the map"):
        enrichment(["A"], SETS, ["A"])
