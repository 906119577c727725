"""The short form of the calibration: what can be told from few draws, wide of what would be a fault.

With `CALIBRATION_DRAWS=1000` it is the long one. Bounds are binomial, so a true 5% fails once in 100,000.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import pytest

from polaris_rxrx.suites.splits import SPLITS
from tests.calibration import corrections, maps, scores, wells
from tests.calibration.scores import Found

LONG = "CALIBRATION_DRAWS" in os.environ
DRAWS = int(os.environ.get("CALIBRATION_DRAWS") or 30)
REACH = NormalDist().inv_cdf(1 - 1e-5)

pytestmark = pytest.mark.slow


def near(share: float, low: float, high: float, n: int) -> bool:
    """Whether a share of n draws can be that of a true one between low and high."""
    least = low - REACH * (low * (1 - low) / n) ** 0.5
    most = high + REACH * (high * (1 - high) / n) ** 0.5
    return least - 0.5 / n <= share <= most + 0.5 / n


@lru_cache
def found(world: str, n_treatments: int) -> dict[str, Found]:
    task = scores.design(n_treatments)
    return {f.metric: f for f in scores.run(task, world, DRAWS, seed=1)}


@pytest.mark.parametrize(
    ("world", "n_treatments"),
    [(world, n) for world in scores.WORLDS for n in (40, 487)]
    if LONG
    else [("independent", 40), ("gene effects", 40), ("gene effects", 487), ("planted", 40)],
)
def test_intervals_cover_and_tests_reject_as_often_as_they_say(world: str, n_treatments: int) -> None:
    for of in found(world, n_treatments).values():
        assert near(of.covers_95, 0.92, 0.98, DRAWS), of
        assert near(of.covers_90, 0.86, 0.94, DRAWS), of
        assert near(of.differ_5, 0.02, 0.07, DRAWS - 1), of
        if world in scores.IGNORANT:
            assert near(of.rejects_5, 0.01, 0.07, DRAWS), of
        else:
            assert of.rejects_5 > 0.5, of


def test_without_genes_they_would_not() -> None:
    """So the worlds are hard enough to tell."""
    of = found("gene effects", 487)["pr_auc"]
    assert of.covers_95_before < 0.85 < of.covers_95
    assert of.rejects_5_before > of.rejects_5


@pytest.mark.parametrize("name", wells.WORLDS)
def test_held_out_controls(name: str) -> None:
    world = replace(wells.WORLDS[name], experiments=6, features=16)
    repeats = max(1, DRAWS // 30)
    p = [wells.run(world, seed, n_random=100) for seed in range(repeats)]
    for each in (np.concatenate([t.energy_p for t in p]), np.concatenate([t.cosine_p for t in p])):
        n = len(each) / SPLITS  # the genes of an experiment share its controls
        if world.effect:
            assert np.mean(each <= 0.05) > 0.4
        else:
            assert near(float(np.mean(each <= 0.05)), 0.0, 0.07, int(n)), name


@pytest.mark.parametrize("name", maps.WORLDS)
def test_recall(name: str) -> None:
    of = maps.run(name, DRAWS, seed=1)
    assert near(of.covers_95, 0.92, 0.99, DRAWS), of
    if name == "one common direction":
        assert of.covers_95_before < 0.85, of
    if name == "the layout of the wells":
        assert of.recall > 0.105 and abs(of.recall_apart - 0.1) < 0.012, of


@lru_cache
def recall(world: str, *ways: str) -> float:
    """Mean recall of the planted relations over three worlds of a kind."""
    return float(np.mean([corrections.run(corrections.WORLDS[world], ways, seed) for seed in range(3)]))


POSITION, ARM = "well-position", "chromosome-arm"


@pytest.mark.parametrize(
    ("world", "cures"), [("positions", (POSITION,)), ("chromosome arms", (ARM,)), ("both", (POSITION, ARM))]
)
def test_corrections_give_back_what_was_planted_over(world: str, cures: tuple[str, ...]) -> None:
    """Recall falls by half or nearly, its own correction gives most of it back, and others do not."""
    plain = recall("nothing")
    assert plain > 0.75
    assert recall(world) < 0.55 * plain
    assert recall(world, *cures) > 0.85 * plain
    for way in corrections.WAYS:
        if not set(cures) <= set(way):
            assert recall(world, *way) < 0.55 * plain, way


def test_corrections_cost_little_where_nothing_was_planted() -> None:
    """A mean over twenty layouts, or over the genes of an arm, holds a little of each gene's own effect."""
    plain = recall("nothing")
    for way in corrections.WAYS[1:]:
        assert 0.9 * plain < recall("nothing", *way) < plain + 0.02, way
