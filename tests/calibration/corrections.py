"""Worlds for corrections: what a place on the plate, or on the genome, adds, and what recall is without it.

Conventions
    Complexes of four genes share a direction, and these are the relations. An experiment has some plates of
    one layout, so that a gene's wells in it all lie at one position; a gene is in two experiments, and the
    next experiment has another layout. Features are noise of standard deviation 1; effects are planted of so
    many standard deviations a feature: of a position on every well there, of a chromosome arm on every well
    of the genes on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.maps.correct import by_arm, by_position
from polaris_rxrx.suites.gene_gene import evaluate_gene_gene
from polaris_rxrx.suites.relations import Relations
from polaris_rxrx.wells.memory import Wells
from polaris_rxrx.wells.metadata import Perturbations

WAYS: tuple[tuple[str, ...], ...] = (
    (),
    ("well-position",),
    ("chromosome-arm",),
    ("well-position", "chromosome-arm"),
)


@dataclass(frozen=True)
class World:
    """A design, and what is planted in it."""

    experiments: int = 20
    plates: int = 4
    positions: int = 96
    controls: int = 16
    features: int = 32
    arms: int = 30
    effect: float = 1.0
    position: float = 0.0
    arm: float = 0.0

    @property
    def genes(self) -> int:
        """Each in two experiments."""
        return self.experiments * (self.positions - self.controls) // 2


PLAIN = World()
WORLDS = {
    "nothing": PLAIN,
    "positions": replace(PLAIN, position=1.5),
    "chromosome arms": replace(PLAIN, arm=1.5),
    "both": replace(PLAIN, position=1.5, arm=1.5),
}


def draw(world: World, seed: int) -> tuple[Wells, dict[str, str], Relations]:
    """Wells, the arm of each gene, and the relations that were planted."""
    w, rng = world, np.random.default_rng(seed)
    names = [f"G{i:04d}" for i in range(w.genes)]
    complexes = rng.permutation(w.genes).reshape(-1, 4)
    shared = np.empty((w.genes, w.features))
    shared[complexes] = rng.standard_normal((len(complexes), 1, w.features))
    arm = rng.integers(w.arms, size=w.genes)
    gene = w.effect * (shared + rng.standard_normal((w.genes, w.features))) / np.sqrt(2)
    gene += w.arm * rng.standard_normal((w.arms, w.features))[arm]
    gene = np.concatenate([gene, np.zeros((1, w.features))])  # the last: of a control
    place = w.position * rng.standard_normal((w.positions, w.features))
    twice = np.concatenate([rng.permutation(w.genes) for _ in range(2)]).reshape(w.experiments, -1)
    experiment, plate, position, of = [], [], [], []
    for e in range(w.experiments):
        layout = np.full(w.positions, w.genes)
        layout[rng.permutation(w.positions)[: twice.shape[1]]] = twice[e]
        for p in range(w.plates):
            order = np.argsort(layout, kind="stable")
            experiment.append(np.full(w.positions, e))
            plate.append(np.full(w.positions, p))
            position.append(order)
            of.append(layout[order])
    where, code = np.concatenate(position), np.concatenate(of)
    x = gene[code] + place[where] + rng.standard_normal((len(code), w.features))
    e = np.concatenate(experiment)
    order = np.lexsort((code, e))
    wells = Wells(
        x[order].astype(np.float32),
        [f"f{i}" for i in range(w.features)],
        e[order],
        [f"gene-{i:03d}" for i in range(w.experiments)],
        code[order],
        Perturbations(["CRISPR"] * (w.genes + 1), [*names, CONTROL], np.full(w.genes + 1, np.nan)),
        code[order] == w.genes,
        0,
        {},
        plate=np.concatenate(plate)[order],
        position=where[order],
    )
    pairs = np.array([(c[i], c[j]) for c in complexes for i in range(4) for j in range(i)])
    known = Relations(Path("planted.txt"), "", ("a", "b"), names, pairs[:, 0], pairs[:, 1])
    return wells, {name: f"{k}p" for name, k in zip(names, arm.tolist(), strict=True)}, known


def run(world: World, corrections: Sequence[str], seed: int) -> float:
    """Recall of the planted relations in a map with these corrections."""
    wells, arms, known = draw(world, seed)
    map_ = build_map(by_position(wells) if "well-position" in corrections else wells)
    if "chromosome-arm" in corrections:
        map_ = by_arm(map_, arms)
    return float(evaluate_gene_gene(map_, {"planted": known}).summary["sources"]["planted"]["recall"])
