"""Which rows a page has, and what int8 costs them."""

from __future__ import annotations

import numpy as np
import pytest

from polaris_rxrx.errors import UsageError
from polaris_rxrx.explore.rows import choose, quantize
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.similarity import cosine, unit_rows
from polaris_rxrx.wells.metadata import Perturbations


def a_map(rows: list[tuple[str, str, float, int]], width: int = 3) -> Map:
    """Of type, name, concentration and wells, with drawn vectors."""
    types, names, doses, wells = zip(*rows, strict=True)
    x = np.random.default_rng(0).standard_normal((len(rows), width))
    return Map(Perturbations(list(types), list(names), np.array(doses)), x, np.array(wells))


ROWS = [
    ("CRISPR", "A", np.nan, 3),
    ("CRISPR", "B", np.nan, 9),
    ("COMPOUND", "x", 1.0, 5),
    ("COMPOUND", "x", 10.0, 1),
    ("COMPOUND", "y", 1.0, 7),
    ("COMPOUND", "z", 1.0, 2),
]


@pytest.mark.parametrize(
    ("most", "kept"),
    [
        (6, [0, 1, 2, 3, 4, 5]),
        (5, [0, 1, 2, 3, 4]),  # y (7 wells), x with both of its concentrations (6)
        (4, [0, 1, 4]),  # x would not fit as a whole, and z does not overtake it
        (1, [1]),
    ],
)
def test_a_cap_keeps_genes_first_and_compounds_whole(most: int, kept: list[int]) -> None:
    rows = choose(a_map(ROWS), most)
    names = [f"{ROWS[i][1]}" for i in kept]
    assert rows.map_.perturbations.name == names
    assert rows.map_.n_wells.tolist() == [ROWS[i][3] for i in kept]
    assert rows.n_of == 6
    assert ("--max-rows" in "".join(rows.notes)) == (len(kept) < 6)


def test_a_cap_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="max_rows is 0"):
        choose(a_map(ROWS), 0)


def test_a_cosine_of_int8_differs_by_half_a_thousandth() -> None:
    """Measured at RxRx3-core's width; a row with a few large values costs more, for they set its scale."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((400, 384)) + 0.5 * rng.standard_normal((400, 4)) @ rng.standard_normal((4, 384))
    x[::7, :3] *= 3
    whole, scale = quantize(unit_rows(x))
    assert whole.dtype == np.int8 and scale.dtype == np.float32
    found = (whole.astype(np.int64) @ whole.T.astype(np.int64)) * scale.astype(np.float64)[:, None] * scale
    error = (found - cosine(x, x))[np.triu_indices(400, k=1)]
    assert 0.0003 < error.std() < 0.0007
    assert np.abs(error).max() < 0.004
    assert np.abs(np.diag(found) - 1).max() < 1e-6


def test_rows_without_a_vector_have_no_scale() -> None:
    whole, scale = quantize(np.array([[0.6, -0.8], [np.nan, np.nan]]))
    assert whole.tolist() == [[95, -127], [0, 0]]
    assert scale.tolist() == [pytest.approx(1 / np.hypot(95, 127)), 0.0]


def test_zeros_and_what_is_not_finite_are_rows_without_a_vector() -> None:
    map_ = a_map(ROWS)
    map_.x[1] = 0
    map_.x[2, 1] = np.nan
    map_.x[4, 0] = np.inf
    rows = choose(map_)
    assert rows.there.tolist() == [0, 3, 5]
    assert "3 rows have no vector" in rows.notes[0]
    assert rows.part().blocks.keys() == {"row_type", "row_name", "row_dose", "row_wells"}
