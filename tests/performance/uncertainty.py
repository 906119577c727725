"""Intervals and a permutation p-value: scipy and scikit-learn against `Score.uncertainty`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tests.performance.common import Row, Settings, Side, apart, best
from tests.performance.score_kernel import GENES, TREATMENTS, pairs

RESAMPLES = 10_000
TIMED = 2  # permutations of the public way: 10,000 would take an hour


def scored(treatments: int) -> Any:
    from polaris_rxrx.predictions import Predictions
    from polaris_rxrx.scoring import score
    from polaris_rxrx.task import MetricSpec, Task

    names, genes, active, scores = pairs(treatments)
    metrics = tuple(
        MetricSpec(name=n, label=n, group_by="treatment", on_error="ignore") for n in ("pr_auc", "roc_auc")
    )
    task = Task({"treatment": names, "gene_symbol": genes}, active, "pr_auc", metrics)
    return score(task, Predictions(scores, "speed"))


def public_bootstrap(treatments: int) -> Side:
    """Scipy's BCa of the treatments' average precision and AUROC."""
    from scipy.stats import bootstrap

    groups = scored(treatments).groups

    def work() -> list[list[float]]:
        found = [
            bootstrap((v,), np.mean, n_resamples=RESAMPLES, method="BCa", rng=np.random.default_rng(0))
            for v in (groups.average_precision, groups.auroc)
        ]
        return [list(f.confidence_interval) for f in found]

    return best(work, 1)


def public_permutation(treatments: int) -> Side:
    """A permuted scoring in the usual words: pandas groups and scikit-learn; the time is scaled up."""
    import pandas as pd
    from sklearn.metrics import average_precision_score, roc_auc_score

    warnings.simplefilter("ignore")
    names, _, active, scores = pairs(treatments)
    table = pd.DataFrame({"treatment": names, "active": active, "score": scores})
    rng = np.random.default_rng(0)

    def once() -> tuple[float, float]:
        ap, auroc = [], []
        for _, group in table.groupby("treatment"):
            labels = rng.permutation(group.active.to_numpy())
            ap.append(average_precision_score(labels, group.score))
            auroc.append(roc_auc_score(labels, group.score))
        return float(np.mean(ap)), float(np.mean(auroc))

    side = best(lambda: [once() for _ in range(TIMED)], 1)
    return Side(side.seconds * RESAMPLES / TIMED, side.value)


def ours(treatments: int) -> Side:
    score = scored(treatments)
    side = best(lambda: score.uncertainty(resamples=RESAMPLES), 3)
    found = side.value
    null = (found.pr_auc.p_value, found.roc_auc.p_value)
    return Side(
        side.seconds, [[[i.low, i.high] for i in (found.pr_auc.interval, found.roc_auc.interval)], null]
    )


def run(settings: Settings) -> list[Row]:
    treatments = TREATMENTS // 10 if settings.quick else TREATMENTS
    bootstrap = apart(public_bootstrap, treatments=treatments)
    permutation = apart(public_permutation, treatments=treatments)
    mine = apart(ours, treatments=treatments)
    theirs, intervals = np.array(bootstrap.value), np.array(mine.value[0])
    gap = float(np.abs(theirs - intervals).max() / np.ptp(theirs, axis=1).min())
    if not gap < 0.05:
        raise RuntimeError(f"the intervals differ: {theirs.tolist()}, {intervals.tolist()}")
    both = Side(bootstrap.seconds + permutation.seconds, None, max(bootstrap.peak, permutation.peak))
    note = (
        f"scipy's BCa ({bootstrap.seconds:.1f} s) and {TIMED} permutations with scikit-learn, scaled; ends "
        f"equal to {gap:.1%} of the width"
    )
    work = f"intervals and permutation p, {RESAMPLES:,} resamples, {treatments * GENES:,} pairs with ties"
    return [Row(work, both, mine, "under 2 s", note)]
