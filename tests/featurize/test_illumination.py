"""A plate's uneven illumination: recovered, of the same wells whatever the tasks, and divided out."""

from __future__ import annotations

import numpy as np
import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.featurize import illumination
from polaris_rxrx.featurize.illumination import MOST, beside, estimate, of_plate, standing_for
from polaris_rxrx.images.sites import Fault
from tests.featurize.fields import Fields, Pixels

SIZE = (40, 48)


def lamp() -> Pixels:
    """Twice as bright at the right end as at the left; 1 is the least."""
    return np.broadcast_to(np.linspace(1, 2, SIZE[1]), SIZE)


def plate(n: int, *, sites: int = 1, name: str = "gene-001_1") -> dict[str, list[Pixels]]:
    """Wells of noise about 60, seen in that light; the second channel is evenly lit."""
    found: dict[str, list[Pixels]] = {}
    for i in range(n):
        rng = np.random.default_rng(i)
        even = rng.normal(60, 6, (sites, 2, *SIZE))
        found[f"{name}_A{i:02d}"] = list(np.round(even * np.stack([lamp(), np.ones(SIZE)])).astype(np.uint8))
    return found


@pytest.mark.parametrize("method", illumination.METHODS)
def test_a_planted_slope_is_found(method: str) -> None:
    light, faults = of_plate(Fields(plate(20), ("DNA", "RNA")), "gene-001_1", method)
    assert not faults
    assert light.min(axis=(1, 2)).tolist() == [1, 1]
    # The smoothing bends it at the sides; in between it is the lamp's, up to one factor, within 5%.
    ratio = light[0, :, 6:-6] / lamp()[:, 6:-6]
    assert np.abs(ratio / np.median(ratio) - 1).max() < 0.05
    assert light[1].max() < 1.05


def test_by_hand() -> None:
    """Of fields that are even, the mean and the median are, whatever their levels."""
    fields = [np.full((1, 8, 8), level, np.uint8) for level in (10, 20, 90)]
    for method in illumination.METHODS:
        assert np.allclose(estimate(fields, method), 1, atol=1e-12)
    half = np.ones((1, 64, 64))
    half[:, :, 32:] = 3
    found = estimate([half], "mean")[0]
    # A step of 1 to 3, smoothed by a Gaussian of 8 pixels: half-way it is 2, far from it 1 and 3.
    assert found[0, 0] == pytest.approx(1, abs=1e-3)
    assert found[0, 31:33].mean() == pytest.approx(2, abs=1e-3)
    assert found[0, -1] == pytest.approx(3, abs=2e-3)
    assert (estimate([np.zeros((2, 8, 8), np.uint8)], "median") == 1).all()  # black: nothing to divide by


def test_the_same_wells_stand_for_a_plate_in_every_part() -> None:
    images = Fields(plate(MOST + 30) | plate(5, name="gene-001_2"), ("DNA", "RNA"))
    chosen = standing_for(images, "gene-001_1")
    assert len(chosen) == MOST
    assert len(set(standing_for(images, "gene-001_2"))) == 5
    wells = images.wells[: MOST + 30]
    assert chosen != list(wells[:MOST])  # spread over the plate, not its first rows
    for a in range(0, len(wells), 13):
        own = wells[a : a + 13]
        more = beside(images, own)
        assert set(more) == set(chosen)
        part = images.part([*own, *more])
        assert standing_for(part, "gene-001_1") == chosen
    both = beside(images, [wells[0], images.wells[-1]])
    assert set(both) == set(chosen) | set(standing_for(images, "gene-001_2"))


def test_fields_that_cannot_be_used() -> None:
    sites = plate(3)
    sites["gene-001_1_A01"] = []
    fault = Fault("gene-001_1_A01", "s1", "DNA", "a.png", "undecodable")
    images = Fields(sites, ("DNA", "RNA"), faults={fault.well: [fault]})
    light, faults = of_plate(images, "gene-001_1", "mean")
    assert faults == (fault,)
    rest = Fields({w: s for w, s in sites.items() if s}, ("DNA", "RNA"))
    assert (light == of_plate(rest, "gene-001_1", "mean")[0]).all()
    with pytest.raises(DataError, match="plate gene-001_1: illumination: none of the fields"):
        of_plate(Fields({w: [] for w in sites}, ("DNA", "RNA")), "gene-001_1", "mean")
    for method in illumination.METHODS:
        with pytest.raises(DataError, match="fields of 8 x 8 and of 9 x 8 pixels on one plate"):
            estimate([np.zeros((1, 8, 8)), np.zeros((1, 9, 8))], method)
