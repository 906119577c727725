"""Compounds against genes, against loops."""

from __future__ import annotations

import numpy as np
import pytest

from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.pairs import pair_tables
from polaris_rxrx.maps.similarity import Similarity
from polaris_rxrx.wells.metadata import Perturbations

ROWS = [
    ("CRISPR", "B", np.nan),
    ("CRISPR", "A", np.nan),
    ("COMPOUND", "y", 0.1),
    ("COMPOUND", "x", 10.0),
    ("COMPOUND", "x", 0.1),
    ("COMPOUND", "A", 0.1),  # a compound named as a gene is
    ("COMPOUND", "off", 0.26),
    ("COMPOUND", "zero", 0.1),
]
DOSES = (0.1, 1.0, 10.0)


@pytest.fixture
def map_() -> Map:
    x = np.random.default_rng(0).standard_normal((len(ROWS), 4))
    x[-1] = 0
    kinds, names, doses = (list(column) for column in zip(*ROWS, strict=True))
    return Map(Perturbations(kinds, names, np.array(doses)), x, np.ones(len(ROWS), dtype=np.int64))


def by_hand(map_: Map, compound: str, dose: float, gene: str, kind: str) -> float:
    if ("COMPOUND", compound, dose) not in ROWS:
        return np.nan
    a, b = map_.x[ROWS.index(("COMPOUND", compound, dose))], map_.x[0 if gene == "B" else 1]
    length = np.sqrt(sum(a * a) * sum(b * b))
    value = sum(a * b) / length if length > 0 else np.nan
    return abs(value) if kind == "abs-cosine" else value


@pytest.mark.parametrize("kind", ["cosine", "abs-cosine"])
def test_equals_loops(map_: Map, kind: Similarity) -> None:
    found = pair_tables(map_, DOSES, kind)
    assert (found.compounds, found.genes) == (["A", "x", "y", "zero"], ["A", "B"])
    assert found.values.shape == (3, 4, 2)
    for i, dose in enumerate(DOSES):
        for j, compound in enumerate(found.compounds):
            for k, gene in enumerate(found.genes):
                expected = by_hand(map_, compound, dose, gene, kind)
                assert found.values[i, j, k] == pytest.approx(expected, abs=1e-12, nan_ok=True)
    x = found.compounds.index("x")
    assert np.array_equal(found.largest()[x], np.maximum(found.values[0, x], found.values[2, x]))
    assert found.mean()[x] == pytest.approx((found.values[0, x] + found.values[2, x]) / 2, abs=1e-15)
    assert np.isnan(found.largest()[3]).all() and np.isnan(found.mean()[3]).all()


def test_only_some_compounds(map_: Map) -> None:
    assert pair_tables(map_, DOSES, "cosine", {"x", "nowhere"}).compounds == ["x"]


def test_nothing_in_common_is_an_empty_table(map_: Map) -> None:
    found = pair_tables(map_, DOSES, "cosine", {"nowhere"})
    assert found.compounds == [] and found.largest().shape == found.mean().shape == (0, 2)
