"""The official score in process: polaris-lib's `evaluate` against `polaris_rxrx.scoring.score`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tests.performance.common import Row, Settings, Side, apart, best

TREATMENTS, GENES = 500, 35  # 17,500 pairs


def pairs(treatments: int) -> tuple[list[str], list[str], Any, Any]:
    """Treatments, genes, labels (every treatment has both), scores with ties."""
    rng = np.random.default_rng(0)
    names = [f"compound {i:04d}" for i in range(treatments) for _ in range(GENES)]
    genes = [f"GENE{i:03d}" for _ in range(treatments) for i in rng.permutation(351)[:GENES]]
    active = (rng.random((treatments, GENES)) < 0.12).astype(np.float64)
    active[:, 0], active[:, 1] = 1, 0
    scores = np.round(rng.random(treatments * GENES) + 0.1 * active.ravel(), 2)
    return names, genes, active.ravel(), scores


def client_benchmark(treatments: int) -> Any:
    """The same pairs as a Polaris V1 benchmark."""
    import pandas as pd
    from polaris.benchmark import SingleTaskBenchmarkSpecification
    from polaris.dataset import DatasetV1
    from polaris.evaluate import Metric

    names, genes, active, _ = pairs(treatments)
    table = pd.DataFrame({"treatment": names, "gene_symbol": genes, "active": active})
    metrics = [
        Metric(label=label, config={"group_by": "treatment", "aggregation": "mean", "on_error": "ignore"})
        for label in ("pr_auc", "roc_auc")
    ]
    return SingleTaskBenchmarkSpecification(
        dataset=DatasetV1(table=table, name="speed-data", owner="local"),
        name="speed",
        owner="local",
        split=([], {"test": list(range(len(table)))}),
        input_cols=["treatment", "gene_symbol"],
        target_cols=["active"],
        target_types={"active": "classification"},
        metrics=metrics,
        main_metric=metrics[0],
    )


def client(treatments: int) -> Side:
    """What users run today, without the import and the building."""
    warnings.simplefilter("ignore")
    benchmark = client_benchmark(treatments)
    scores = pairs(treatments)[3]
    side = best(lambda: benchmark.evaluate(y_prob=scores), 1)
    return Side(side.seconds, sorted(side.value.results["Score"]))


def ours(treatments: int) -> Side:
    """`score` on the same arrays; a new Task each time, so that nothing is cached."""
    from polaris_rxrx.predictions import Predictions
    from polaris_rxrx.scoring import score
    from polaris_rxrx.task import MetricSpec, Task

    names, genes, active, scores = pairs(treatments)
    metrics = tuple(
        MetricSpec(name=n, label=n, group_by="treatment", on_error="ignore") for n in ("pr_auc", "roc_auc")
    )

    def work() -> Any:
        task = Task({"treatment": names, "gene_symbol": genes}, active, "pr_auc", metrics)
        return score(task, Predictions(scores, "speed")).official

    side = best(work, 50)
    return Side(side.seconds, sorted(side.value.values()))


def run(settings: Settings) -> list[Row]:
    treatments = TREATMENTS // 10 if settings.quick else TREATMENTS
    theirs, mine = apart(client, treatments=treatments), apart(ours, treatments=treatments)
    gap = float(np.abs(np.subtract(theirs.value, mine.value)).max())
    if not gap < 1e-12:
        raise RuntimeError(f"the scores differ by {gap}: {theirs.value}, {mine.value}")
    work = f"official score of {treatments * GENES:,} pairs, in process"
    return [Row(work, theirs, mine, "2,000 times", f"equal to {gap:.0e}")]
