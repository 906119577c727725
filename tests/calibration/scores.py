"""Worlds for the score: what `score` and `compare` say of predictions whose truth is known.

Conventions
    A design is a task: which genes each treatment is scored against, and which are active. It is that of the
    paper's annotations where they are at hand, else one drawn like it (487 treatments, 351 genes, some
    of them the targets of many). 40 treatments are a sample of the 487.
    A world draws scores anew, the design stays. The truth is the mean over all draws of a world, so coverage
    is of that; in a world without knowledge it is chance, up to ties.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.comparison import compare
from polaris_rxrx.metrics import METRICS
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.scoring import Score, score
from polaris_rxrx.task import MetricSpec, Task

Floats = NDArray[np.float64]

IGNORANT = ("independent", "gene effects", "genes and pairs", "genes alone", "ties", "binarized")
WORLDS = (*IGNORANT, "planted")
RESAMPLES = 400
METRIC = (
    MetricSpec(name="pr_auc", label="pr_auc", group_by="treatment"),
    MetricSpec(name="roc_auc", label="roc_auc", group_by="treatment"),
)


def design(n_treatments: int = 487, annotations: Path | None = None, seed: int = 0) -> Task:
    """The task of the annotations, or one drawn like it; a sample of its treatments."""
    if annotations is not None:
        from polaris_rxrx.dataset import affinities

        drawn = affinities.draw(affinities.read_affinities(annotations), 0)
        treatment, gene = list(drawn.treatment), list(drawn.gene_symbol)
        active = np.array(drawn.active, dtype=np.float64)
    else:
        treatment, gene, active = _drawn(seed)
    names = sorted(set(treatment))
    chosen = set(np.random.default_rng(seed).permutation(names)[:n_treatments].tolist())
    keep = [i for i, name in enumerate(treatment) if name in chosen]
    return Task(
        inputs={"treatment": [treatment[i] for i in keep], "gene_symbol": [gene[i] for i in keep]},
        active=active[keep],
        main_metric="pr_auc",
        metrics=METRIC,
        source="calibration",
    )


def _drawn(seed: int) -> tuple[list[str], list[str], Floats]:
    """487 treatments, 1 to 12 actives each and six negatives an active or 20.

    As in the annotations, few genes are the targets of many compounds, and negatives are any.
    """
    rng = np.random.default_rng([seed, 1])
    popular = rng.permutation(1 / np.arange(1, 352) ** 0.7)
    popular /= popular.sum()
    treatment, gene, active = [], [], []
    for t in range(487):
        m = min(12, 1 + rng.geometric(0.35))
        n = m + max(20, 6 * m)
        actives = rng.choice(351, m, replace=False, p=popular)
        others = rng.permutation(np.setdiff1d(np.arange(351), actives))[: n - m]
        genes = np.r_[actives, others]
        treatment += [f"T{t:03}"] * n
        gene += [f"G{g:03}" for g in genes]
        active += [1.0] * m + [0.0] * (n - m)
    return treatment, gene, np.array(active)


def draw(world: str, task: Task, rng: np.random.Generator) -> Floats:
    """Scores in a world, shape (n_pairs,)."""
    codes, names = task.groups("gene_symbol")
    of_gene = rng.normal(size=len(names))[codes]
    of_pair = rng.normal(size=len(codes))
    assert task.active is not None
    return {
        "independent": of_pair,
        "gene effects": of_gene + 0.3 * of_pair,
        "genes and pairs": of_gene + of_pair,
        "genes alone": of_gene,
        "ties": np.round(of_gene + of_pair),
        "binarized": (of_gene + of_pair > 1).astype(np.float64),
        "planted": of_gene + of_pair + 0.5 * task.active,
    }[world]


@dataclass(frozen=True)
class Found:
    """Of one world, metric and number of treatments; shares of the draws, `_before` those without genes."""

    world: str
    metric: str
    n_treatments: int
    draws: int
    spread: float
    covers_95: float
    covers_95_before: float
    covers_90: float
    covers_90_before: float
    rejects_5: float
    rejects_5_before: float
    rejects_1: float
    differ_5: float
    differ_5_before: float


def run(task: Task, world: str, draws: int, seed: int = 0) -> Iterator[Found]:
    """Draw, score and compare; one result a metric."""
    rng = np.random.default_rng([seed, WORLDS.index(world)])
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in METRICS}
    before: Score | None = None
    for i in range(draws):
        one = score(task, Predictions(draw(world, task, rng), f"{i}"))
        wide = one.uncertainty(resamples=RESAMPLES, seed=i)
        narrow = one.uncertainty(resamples=RESAMPLES, seed=i, level=0.9)
        for name in METRICS:
            p = p_before = 1.0
            if before is not None and not np.array_equal(one.predictions.values, before.predictions.values):
                (apart,) = compare(
                    one, before, names=("a", "b"), metric=name, resamples=RESAMPLES, seed=i
                ).differences
                p, p_before = apart.p_value, apart.p_value_if_treatments_independent
            of, of_90 = wide[name], narrow[name]
            ends = (of.interval, of.interval_over_treatments, of_90.interval, of_90.interval_over_treatments)
            found[name].append(
                (
                    of.value,
                    *(v for end in ends for v in (end.low, end.high)),
                    *(of.p_value, of.p_value_if_pairs_independent, p, p_before),
                )
            )
        before = one
    for name in METRICS:
        x = np.array(found[name])
        truth = float(x[:, 0].mean())
        inside = [(x[:, k] <= truth) & (truth <= x[:, k + 1]) for k in (1, 3, 5, 7)]
        yield Found(
            world,
            name,
            len(set(task.treatment)),
            draws,
            float(x[:, 0].std()),
            *(float(c.mean()) for c in inside),
            float(np.mean(x[:, 9] < 0.05)),
            float(np.mean(x[:, 10] < 0.05)),
            float(np.mean(x[:, 9] < 0.01)),
            float(np.mean(x[1:, 11] < 0.05)),
            float(np.mean(x[1:, 12] < 0.05)),
        )
