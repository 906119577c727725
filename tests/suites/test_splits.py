"""Tests against held-out controls: against all exchanges, with plates, with few controls, and calibrated."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from polaris_rxrx.maps import align
from polaris_rxrx.parallel import Here, Processes
from polaris_rxrx.suites import splits
from polaris_rxrx.suites.groups import SPLIT, group_wells
from polaris_rxrx.suites.splits import combined, exchanges, held_out
from polaris_rxrx.wells.memory import Wells
from tests.calibration.wells import World, draw

Floats = NDArray[np.float64]
SMALL = World(experiments=2, controls=12, genes=2, wells=6, features=3, plates=2)


def mean_distance(x: Floats, y: Floats) -> float:
    return sum(math.dist(a, b) for a in x.tolist() for b in y.tolist()) / (len(x) * len(y))


def energy(x: Floats, y: Floats) -> float:
    return 2 * mean_distance(x, y) - mean_distance(x, x) - mean_distance(y, y)


def cosine(x: Floats) -> float:
    u = [np.array(row) / math.hypot(*row) for row in x.tolist()]
    return float(np.mean([a @ b for a, b in combinations(u, 2)]))


def twin(wells: Wells, gene: str, split: int, seed: int = 0) -> tuple[float, float, list[float], list[float]]:
    """One split by hand: fitted on one half, every exchange of a gene's wells with the other half.

    Wells of a small world are in one experiment; its plates have enough held-out controls each.
    """
    name = np.array(wells.perturbations.name)[wells.perturbation]
    blocks = list(wells.blocks())
    halves = []
    for b, block in enumerate(blocks):
        rows = np.random.default_rng([seed, SPLIT, split, 0, b]).permutation(np.flatnonzero(block.control))
        assert block.plate is not None
        rows = np.array(sorted(rows, key=lambda r: block.plate[r]))  # type: ignore[index]  # stable
        halves.append((np.sort(rows[::2]), np.sort(rows[1::2])))
    fit_rows = np.concatenate([b.x[h[0]] for b, h in zip(blocks, halves, strict=True)])
    basis = align.basis("pca-cs", align.moments(fit_rows), wells.x.shape[1])
    (at,) = {int(e) for e in wells.experiment[name == gene]}
    affine = [align.fit(basis, b.x[h[0]]) for b, h in zip(blocks, halves, strict=True)]
    reference = np.concatenate([a.rows(b.x[h[0]]) for a, b, h in zip(affine, blocks, halves, strict=True)])
    block, held = blocks[at], halves[at][1]
    mine = np.flatnonzero(np.array(wells.perturbations.name)[block.perturbation] == gene)
    assert block.plate is not None
    own, out = affine[at].rows(block.x[mine]), affine[at].rows(block.x[held])
    ways = []
    for plate in sorted(set(block.plate[mine].tolist())):
        a = own[block.plate[mine] == plate]
        pool = np.concatenate([a, out[block.plate[held] == plate]])
        ways.append([pool[list(c)] for c in combinations(range(len(pool)), len(a))])
    every = [np.concatenate(parts) for parts in product(*ways)]
    return (
        energy(own, reference),
        cosine(own),
        [energy(g, reference) for g in every],
        [cosine(g) for g in every],
    )


@pytest.mark.parametrize("gene", ["G00000", "G00003"])
def test_every_exchange_by_hand(gene: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn exchanges give the p-value that all of them give; the observed statistics are exact."""
    wells = draw(replace(SMALL, effect=1.5), 3)
    seen: list[tuple[int, list[float]]] = []
    plain = splits._statistics

    def spy(pool: Any, reference: Any, n_random: int, seed: list[int]) -> list[float]:
        found = plain(pool, reference, n_random, seed)
        seen.append((seed[2], found))
        return found

    monkeypatch.setattr(splits, "_statistics", spy)
    held_out(wells, n_random=60_000)
    k = group_wells(wells, "gene", 2).name.index(gene)
    for split in range(splits.SPLITS):
        found = [f for s, f in seen if s == split][k]
        e, c, energies, cosines = twin(wells, gene, split)
        assert len(energies) > 100
        assert found[0] == pytest.approx(np.mean([v >= e - 1e-9 for v in energies]), abs=0.015)
        assert found[1] == pytest.approx(np.mean([v >= c - 1e-9 for v in cosines]), abs=0.015)


def test_exchanges_keep_every_stratum() -> None:
    chosen = exchanges((2, 1, 3), (5, 1, 9), 500, (0, 1))
    assert chosen.shape == (501, 15)
    assert chosen[0].tolist() == [1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert (chosen[:, :5].sum(axis=1) == 2).all() and (chosen[:, 5] == 1).all()
    assert (chosen[:, 6:].sum(axis=1) == 3).all()
    assert chosen[1:, 0].mean() == pytest.approx(2 / 5, abs=0.08)
    assert chosen[1:, 14].mean() == pytest.approx(3 / 9, abs=0.08)


def test_splits_that_agree_are_believed() -> None:
    p = np.array([[0.01, 0.2, 1.0], [0.01, 0.2, 1.0], [0.01, 0.2, 1.0]])
    assert combined(p) == pytest.approx([0.01, 0.2, 0.99])
    mixed = combined(np.array([[0.001], [0.5], [0.5]]))[0]
    assert 0.001 < mixed < 0.5
    assert mixed == pytest.approx(0.003, abs=2e-4)  # three looks, corrected


def test_noise_rejects_as_often_as_said() -> None:
    """100% of these genes had p < .05 against control wells that the alignment had seen."""
    found = held_out(draw(World(experiments=12, genes=10, features=24), 0), n_random=200)
    for p in (found.energy_p, found.cosine_p):
        assert 0 <= np.mean(p <= 0.05) <= 0.13  # 120 genes, which share an experiment's controls by tens
        assert 0.3 < np.mean(p) < 0.7
    assert np.mean(found.null_cosine) == pytest.approx(1 / 73, abs=0.008)  # 72 controls in the fit


def test_replicates_on_one_plate_are_held_against_that_plate() -> None:
    world = World(experiments=12, genes=10, wells=10, features=24, plate_effect=0.5, one_plate=True)
    known = held_out(draw(world, 1), n_random=200)
    unknown = held_out(draw(replace(world, knows_plates=False), 1), n_random=200)
    for name in ("energy_p", "cosine_p"):
        assert np.mean(getattr(known, name) <= 0.05) <= 0.13
        assert np.mean(getattr(unknown, name) <= 0.05) > 0.4  # so the plate is what matters


def test_an_effect_is_found() -> None:
    found = held_out(draw(World(experiments=4, genes=5, wells=10, features=24, effect=4.0), 2), n_random=200)
    assert np.mean(found.energy_p <= 0.05) > 0.9 and np.mean(found.cosine_p <= 0.05) > 0.9


def test_too_few_controls_are_named() -> None:
    wells = draw(replace(SMALL, controls=3), 0)
    found = held_out(wells, n_random=50)
    assert np.isnan(found.energy_p).all() and np.isnan(found.cosine_p).all()
    assert found.n_wells.tolist() == [0] * 4
    (note,) = found.notes(group_wells(wells, "gene", 2))
    assert note.startswith(
        "4 perturbations have no p-value, for their experiments have too few held-out controls"
    )
    enough = held_out(draw(replace(SMALL, controls=8), 0), n_random=50)
    assert np.isfinite(enough.energy_p).all() and not enough.notes(group_wells(wells, "gene", 2))


def test_the_order_of_rows_and_the_seed() -> None:
    wells = draw(SMALL, 5)
    again = held_out(wells, n_random=60)
    assert held_out(wells, n_random=60).energy_p.tolist() == again.energy_p.tolist()
    assert held_out(wells, n_random=60, seed=1).energy_p.tolist() != again.energy_p.tolist()


def test_processes_find_the_same() -> None:
    """To the bit, with the aligned wells on disk, too."""
    wells = draw(replace(SMALL, genes=3, effect=1.0), 5)
    expected = held_out(wells, n_random=90)
    found = held_out(wells, n_random=90, who=Processes(2), max_memory=1)
    assert (expected.n_wells > 0).sum() >= 4
    for name in ("energy_p", "cosine_p", "null_energy", "null_cosine", "n_wells"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def test_tests_are_given_to_whoever_does_them() -> None:
    """Every group once a split, and again if it is asked for again: a worker may die."""
    seen: list[int] = []

    class Twice(Here):
        def run(self, function: Any, items: Any) -> Any:
            seen.append(len(items))
            for i in reversed(range(len(items))):
                first = function(items[i])
                assert function(items[i]) == first
                yield i, first

    wells = draw(SMALL, 6)
    found, expected = held_out(wells, n_random=90, who=Twice()), held_out(wells, n_random=90)
    assert seen == [4] * splits.SPLITS
    np.testing.assert_array_equal(found.energy_p, expected.energy_p)
