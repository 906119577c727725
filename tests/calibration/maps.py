"""Worlds for recall: maps of noise, whose true recall of any relations is that of chance.

Conventions
    Genes and relations are drawn as real sources have them: complexes, whose members are all related, so some
    genes have many relations and most a few. A world may give all genes one common direction, each so much of
    it (which real maps have: strength), or the batch of an experiment to the genes that have wells in it,
    where genes of a complex share an experiment more often than others. `of_files` takes relations and
    layout as they are in the published files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.maps.build import Map
from polaris_rxrx.suites.gene_gene import evaluate_gene_gene
from polaris_rxrx.suites.layout import Layout
from polaris_rxrx.suites.relations import Relations, read_relations
from polaris_rxrx.wells.metadata import Perturbations

WORLDS = ("noise", "one common direction", "the layout of the wells")
GENES, EXPERIMENTS, WIDTH = 400, 60, 48


@dataclass(frozen=True)
class Found:
    """Of one world: mean recalls, and how often intervals hold; `_before`: of independent relations."""

    world: str
    draws: int
    recall: float
    recall_apart: float
    covers_95: float
    covers_95_before: float


def relations(seed: int) -> Relations:
    """Complexes of 3 to 24 genes."""
    rng = np.random.default_rng([seed, 1])
    first, second = [], []
    for _ in range(60):
        members = rng.choice(GENES, int(3 + rng.geometric(0.15) % 22), replace=False)
        for i, a in enumerate(members):
            for b in members[i + 1 :]:
                first.append(int(a))
                second.append(int(b))
    names = [f"G{i:03d}" for i in range(GENES)]
    return Relations(Path("drawn.txt"), "", ("a", "b"), names, np.array(first), np.array(second))


def layout(known: Relations, seed: int) -> Layout:
    """One experiment a gene; one relation in twenty puts the second gene where the first is."""
    rng = np.random.default_rng([seed, 2])
    experiment = rng.integers(EXPERIMENTS, size=GENES)
    moved = rng.random(len(known.first)) < 0.02
    experiment[known.second[moved]] = experiment[known.first[moved]]
    p = Perturbations(["CRISPR"] * GENES, known.names, np.full(GENES, np.nan))
    return Layout.of(p, np.arange(GENES), experiment)


def of_files(path: Path, metadata: Path) -> tuple[Relations, Layout]:
    """A published source, and where the wells of each gene lie.

    Args:
        path: Two genes a line.
        metadata: Parquet with `experiment_name`, `gene` and `perturbation_type`.
    """
    import pandas as pd

    wells = pd.read_parquet(metadata, columns=["experiment_name", "gene", "perturbation_type"])
    wells = wells[(wells.perturbation_type == "CRISPR") & (wells.gene != CONTROL)]
    gene, experiment = wells.gene.astype("category"), wells.experiment_name.astype("category")
    names = gene.cat.categories.tolist()
    p = Perturbations(["CRISPR"] * len(names), names, np.full(len(names), np.nan))
    codes = gene.cat.codes.to_numpy(np.int64), experiment.cat.codes.to_numpy(np.int64)
    return read_relations(path), Layout.of(p, *codes)


def draw(world: str, where: Layout, rng: np.random.Generator) -> Map:
    genes, experiments = where.wells.shape
    x = rng.normal(size=(genes, WIDTH))
    if world == "one common direction":
        x[:, 0] += 3 * rng.normal(size=genes) ** 2
    if world == "the layout of the wells":
        share = where.wells / np.sqrt(where.wells.sum(axis=1, keepdims=True))
        x += 0.8 * (share @ rng.normal(size=(experiments, WIDTH)))
    p = Perturbations(["CRISPR"] * genes, list(where.row), np.full(genes, np.nan))
    return Map(p, x, np.ones(genes, dtype=np.int64), {})


def run(world: str, draws: int, seed: int = 0, of: tuple[Relations, Layout] | None = None) -> Found:
    """Draw maps and look for the relations in them."""
    rng = np.random.default_rng([seed, WORLDS.index(world), 3])
    if of is None:
        known = relations(seed)
        of = known, layout(known, seed)
    known, where = of
    rows = []
    for i in range(draws):
        found = evaluate_gene_gene(draw(world, where, rng), {"source": known}, layout=where, seed=i)
        s = found.summary["sources"]["source"]
        keys = ("recall", "recall_low_end", "recall_high_end", "independent_low_end", "independent_high_end")
        rows.append([s[k] for k in (*keys, "recall_apart")])
    x = np.array(rows, dtype=np.float64)
    truth = x[:, 0].mean()
    return Found(
        world if known.sha256 == "" else f"{world}: {known.path.stem}",
        draws,
        float(truth),
        float(x[:, 5].mean()),
        float(np.mean((x[:, 1] <= truth) & (truth <= x[:, 2]))),
        float(np.mean((x[:, 3] <= truth) & (truth <= x[:, 4]))),
    )
