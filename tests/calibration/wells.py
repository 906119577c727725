"""Worlds for signal and replicate consistency: wells without any effect, or with one that is known.

Conventions
    As RxRx3-core: experiments with 144 control wells each, genes with 54 wells in one experiment, so `genes`
    of them an experiment. A world may add plate effects (nine plates an experiment; replicates on one plate
    or spread over all), have few controls, or plant an effect of so many standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.suites.splits import Tested, held_out
from polaris_rxrx.wells.memory import Wells
from polaris_rxrx.wells.metadata import Perturbations


@dataclass(frozen=True)
class World:
    """A design; `effect` is the length of a gene's shift beside the noise's standard deviation of 1."""

    experiments: int = 40
    controls: int = 144
    genes: int = 10
    wells: int = 54
    features: int = 384
    plates: int = 9
    plate_effect: float = 0.0
    one_plate: bool = False
    knows_plates: bool = True
    effect: float = 0.0


NOISE = World()
WORLDS = {
    "noise": NOISE,
    "plate effects, replicates on one plate": replace(NOISE, plate_effect=0.3, one_plate=True, wells=10),
    "plate effects, replicates on all plates": replace(NOISE, plate_effect=0.3),
    "plate effects that nobody wrote down": replace(NOISE, plate_effect=0.3, knows_plates=False),
    "few controls": replace(NOISE, controls=16, wells=6),
    "planted": replace(NOISE, effect=2.0, wells=10),
}


def draw(world: World, seed: int) -> Wells:
    """Wells of a world; genes are named by experiment."""
    rng = np.random.default_rng(seed)
    w = world
    per = w.controls + w.genes * w.wells
    n = w.experiments * per
    x = rng.standard_normal((n, w.features), dtype=np.float32)
    kind = np.r_[np.zeros(w.controls, dtype=np.int64), np.repeat(np.arange(1, w.genes + 1), w.wells)]
    plate = np.empty(n, dtype=np.int64)
    perturbation = np.empty(n, dtype=np.int64)
    for e in range(w.experiments):
        at = slice(e * per, (e + 1) * per)
        own = np.r_[np.arange(w.controls) % w.plates, np.tile(np.arange(w.wells) % w.plates, w.genes)]
        if w.one_plate:
            own[w.controls :] = np.repeat(rng.integers(w.plates, size=w.genes), w.wells)
        shift = w.plate_effect * rng.standard_normal((w.plates, w.features))
        x[at] += shift[own]
        if w.effect:
            direction = rng.standard_normal((w.genes + 1, w.features))
            direction *= w.effect / np.linalg.norm(direction, axis=1, keepdims=True)
            direction[0] = 0
            x[at] += direction[kind]
        plate[at] = own
        perturbation[at] = np.where(kind == 0, 0, kind + e * w.genes)
    names = [CONTROL, *(f"G{i:05d}" for i in range(w.experiments * w.genes))]
    return Wells(
        x,
        [f"f{i}" for i in range(w.features)],
        np.repeat(np.arange(w.experiments), per),
        [f"gene-{e:03d}" for e in range(w.experiments)],
        perturbation,
        Perturbations(["CRISPR"] * len(names), names, np.full(len(names), np.nan)),
        perturbation == 0,
        0,
        {},
        plate=plate if w.knows_plates else None,
    )


def run(world: World, seed: int, n_random: int = 200) -> Tested:
    """The tests of both suites on wells of a world."""
    return held_out(draw(world, seed), n_random=n_random, seed=seed)
