"""A benchmark of one's own: the task that one seed draws from the affinities, as the Hub's was drawn."""

from __future__ import annotations

import numpy as np

from polaris_rxrx.dataset.affinities import (
    ACTIVE,
    INACTIVE,
    MIN_NEGATIVES,
    NEGATIVES_PER_ACTIVE,
    Affinities,
    draw,
)
from polaris_rxrx.metrics import METRICS
from polaris_rxrx.task import MetricSpec, Task


def draw_task(affinities: Affinities, seed: int) -> Task:
    """The benchmark of one seed as a task, whose owner is `local`.

    >>> from polaris_rxrx.dataset.affinities import read_affinities
    >>> task = draw_task(read_affinities("data/compound_gene_interactions.csv"), seed=0)
    >>> len(task), task.same_pairs(pr.load_task("task"))
    (997, True)
    """
    drawn = draw(affinities, seed)
    return Task(
        artifact_id=f"local/compound-gene-activity-seed-{seed}",
        inputs={"treatment": drawn.treatment, "gene_symbol": drawn.gene_symbol},
        active=np.array(drawn.active, dtype=np.float64),
        main_metric="pr_auc",
        metrics=tuple(
            MetricSpec(name=name, label=name, group_by="treatment", aggregation="mean", on_error="ignore")
            for name in METRICS
        ),
        source="annotations",
        protocol={
            "annotations_sha256": affinities.sha256,
            "seed": seed,
            "active_nM": ACTIVE,
            "inactive_nM": INACTIVE,
            "min_negatives": MIN_NEGATIVES,
            "negatives_per_active": NEGATIVES_PER_ACTIVE,
            "too_few_negatives": drawn.short,
            **({"made_up": True} if affinities.made_up else {}),
        },
    )
