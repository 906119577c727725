"""Rows in the order of a tree: scipy's average linkage on cosines, held together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist

from polaris_rxrx.explore import blocks, order
from polaris_rxrx.explore.order import linkage_order
from polaris_rxrx.explore.rows import choose
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.similarity import unit_rows
from polaris_rxrx.wells.metadata import Perturbations


def clusters(x: np.ndarray) -> list[set[int]]:
    """The leaves of every cluster of scipy's tree."""
    found = [{i} for i in range(len(x))]
    for a, b, *_ in linkage(pdist(x, "cosine"), "average"):
        found.append(found[int(a)] | found[int(b)])
    return found[len(x) :]


@pytest.mark.parametrize("n", [2, 3, 60, 300])
def test_every_cluster_of_scipys_tree_stands_together(n: int) -> None:
    rng = np.random.default_rng(n)
    x = rng.standard_normal((n, 12)) + 2 * rng.standard_normal((5, 12))[rng.integers(0, 5, n)]
    found = linkage_order(unit_rows(x))
    assert sorted(found.tolist()) == list(range(n))
    place = np.empty(n, dtype=int)
    place[found] = np.arange(n)
    for members in clusters(x):
        own = sorted(place[i] for i in members)
        assert own[-1] - own[0] == len(own) - 1


def test_the_lowest_row_comes_first_and_equal_rows_stand_together() -> None:
    x = np.eye(4)[[0, 1, 2, 0, 1, 3, 0]]
    found = linkage_order(x).tolist()
    assert found[0] == 0
    assert sorted(found[:3]) == [0, 3, 6]
    assert linkage_order(np.empty((0, 4))).tolist() == []
    assert linkage_order(np.eye(4)[:1]).tolist() == [0]


def test_a_bound_on_memory_makes_a_smaller_tree_and_is_told() -> None:
    x = np.random.default_rng(0).standard_normal((40, 5))
    p = Perturbations(["CRISPR"] * 40, [f"G{i}" for i in range(40)], np.full(40, np.nan))
    rows = choose(Map(p, x, np.arange(40)))
    assert order.order(rows, 1 << 40).notes == ()
    part = order.order(rows, 1)
    assert "is of 1 rows" in part.notes[0] and "--max-memory" in part.notes[0]
    block = part.blocks["order"]
    assert sorted(blocks.read(block.text, block.entry).tolist()) == list(range(40))


def test_rows_beyond_the_tree_stand_beside_their_likest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "LINKED", 3)
    x = np.array([[1, 0, 0], [0, 1, 0], [0.9, 0.1, 0], [0, 0, 1], [0, 0.1, 1], [0, 0, 0.0]])
    p = Perturbations(["CRISPR"] * 6, list("abcdef"), np.full(6, np.nan))
    rows = choose(Map(p, x, np.array([5, 5, 1, 5, 1, 9])))
    block = order.order(rows).blocks["order"]
    found = blocks.read(block.text, block.entry).tolist()
    assert sorted(found) == list(range(6))
    assert found[-1] == 5  # no vector
    assert found[found.index(0) + 1] == 2
    assert found[found.index(3) + 1] == 4
