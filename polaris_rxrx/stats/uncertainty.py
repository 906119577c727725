"""What a score is worth: its interval, what chance gives, and how far it is above that.

Conventions
    Everything is about the two means over treatments, `pr_auc` and `roc_auc`, whatever else a benchmark's
    metrics are. A treatment without the metric is left out, as in the score.
    `chance` is what random scores without ties expect: exactly, of the numbers of pairs and actives alone
    (for AUROC .5). `normalised` is the mean over treatments of (value - chance) / (1 - chance): 0 is chance,
    1 perfect; a treatment of actives only has none.
    The interval is the bootstrap's over treatments (see `polaris_rxrx.stats.intervals`), made wider about the
    mean by sqrt(V / V_treatment): treatments are scored against the same genes, so they are not independent
    (see `polaris_rxrx.stats.two_way`, which has V). `interval_over_treatments` is the one without that.
    `p_value` is that of knowing nothing of the compound reaching the mean: labels are permuted within each
    treatment, the predictions' own ties kept, and these means are stretched about their own by the variance
    that shared genes add; at least 1 / (resamples + 1). `p_value_if_pairs_independent` is the one without
    that.
    With `clusters` "treatment" genes are taken for independent, with "gene" treatments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from polaris_rxrx.errors import UsageError
from polaris_rxrx.metrics import GroupScores
from polaris_rxrx.stats.chance import expected_average_precision, p_value, random_means
from polaris_rxrx.stats.intervals import METHOD, Interval, bca_each
from polaris_rxrx.stats.two_way import CLUSTERS, Clusters, Deleted, Variance, share
from polaris_rxrx.types import Floats, Ints

METRICS = ("pr_auc", "roc_auc")
RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Certainty:
    """Of one metric. Values are NaN where there is none (an interval of one treatment, say)."""

    value: float
    interval: Interval
    chance: float
    normalised: float
    normalised_interval: Interval
    p_value: float
    interval_over_treatments: Interval
    p_value_if_pairs_independent: float
    variance: Variance


@dataclass(frozen=True)
class Uncertainty:
    """Both metrics' certainty and how it was computed."""

    pr_auc: Certainty
    roc_auc: Certainty
    level: float
    resamples: int
    seed: int
    clusters: Clusters = "both"

    def __getitem__(self, metric: str) -> Certainty:
        return {"pr_auc": self.pr_auc, "roc_auc": self.roc_auc}[metric]

    def to_dict(self) -> dict[str, Any]:
        """For the JSON report; NaN as None."""
        return {
            "method": interval_method(self.clusters),
            "clusters": self.clusters,
            "level": self.level,
            "resamples": self.resamples,
            "seed": self.seed,
            "p_value_of": "random order within each treatment, one-sided"
            + ("" if self.clusters == "treatment" else ", spread as genes shared between treatments make it"),
            **{
                name: {
                    "interval": _ends(self[name].interval),
                    "chance": plain(self[name].chance),
                    "normalised": plain(self[name].normalised),
                    "normalised_interval": _ends(self[name].normalised_interval),
                    "p_value": plain(self[name].p_value),
                    "interval_over_treatments": _ends(self[name].interval_over_treatments),
                    "p_value_if_pairs_independent": plain(self[name].p_value_if_pairs_independent),
                    "variance": self[name].variance.to_dict(self.clusters),
                }
                for name in METRICS
            },
        }


def chance_of(groups: GroupScores) -> dict[str, Floats]:
    """What random scores expect of each group, by metric: exact, NaN where the metric is undefined."""
    return {
        "pr_auc": expected_average_precision(groups.n_pairs, groups.n_active),
        "roc_auc": np.where(np.isnan(groups.auroc), np.nan, 0.5),
    }


def values_of(groups: GroupScores) -> dict[str, Floats]:
    """The values of each group, by metric."""
    return {"pr_auc": groups.average_precision, "roc_auc": groups.auroc}


def normalise(values: Floats, chance: Floats) -> Floats:
    """(value - chance) / (1 - chance), elementwise: NaN where chance is 1, for nothing can be better."""
    return share(values - chance, 1 - chance)


def uncertainty(
    groups: GroupScores,
    active: Floats,
    scores: Floats,
    codes: Ints,
    *,
    deleted: Deleted,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
    clusters: Clusters = "both",
) -> Uncertainty:
    """How sure the means over groups are.

    Args:
        groups: What `group_scores` made of the next three.
        active: Labels, shape (n_pairs,).
        scores: Predictions, shape (n_pairs,).
        codes: Groups, shape (n_pairs,).
        deleted: What `leave_out` made of them.
        resamples: Of the bootstrap, and of the permutation.
        seed: Of both.
        level: Of the intervals.
        clusters: What is not independent: pairs of one treatment, of one gene, or both.

    Raises:
        UsageError: `resamples`, `seed`, `level` or `clusters` out of range.
    """
    check_options(resamples, seed, level, clusters)
    null = random_means(active, scores, codes, len(groups.n_pairs), resamples=resamples, seed=seed)
    values, chance = values_of(groups), chance_of(groups)
    normalised = {name: normalise(values[name], chance[name]) for name in METRICS}
    columns = [of[name] for name in METRICS for of in (values, normalised)]
    intervals = iter(bca_each(columns, level=level, resamples=resamples, seed=seed))
    found = {}
    for name, drawn in zip(METRICS, null, strict=True):
        mean, share_mean = mean_of(values[name]), mean_of(normalised[name])
        variance = deleted[name].variance()
        plain_interval, of_share = next(intervals), next(intervals)
        found[name] = Certainty(
            value=mean,
            interval=plain_interval.stretched(mean, variance.stretch(clusters), 0.0, 1.0),
            chance=mean_of(np.where(np.isnan(values[name]), np.nan, chance[name])),
            normalised=share_mean,
            normalised_interval=of_share.stretched(
                share_mean, deleted.normalised(name).variance().stretch(clusters), most=1.0
            ),
            p_value=p_value(mean, drawn, extra=variance.extra(clusters)),
            interval_over_treatments=plain_interval,
            p_value_if_pairs_independent=p_value(mean, drawn),
            variance=variance,
        )
    return Uncertainty(found["pr_auc"], found["roc_auc"], level, resamples, seed, clusters)


def interval_method(clusters: Clusters) -> str:
    """How intervals are made, in words."""
    if clusters == "treatment":
        return METHOD
    return f"{METHOD}, stretched to the variance over {CLUSTERS[clusters]}"


def check_options(resamples: int, seed: int, level: float, clusters: str = "both") -> None:
    """Raise `UsageError` for what no resampling can be done with."""
    if clusters not in CLUSTERS:
        raise UsageError(f"clusters is {clusters!r}; expected {', '.join(CLUSTERS)}")
    if resamples < 100:
        raise UsageError(f"resamples is {resamples}; at least 100 were expected")
    if seed < 0:
        raise UsageError(f"seed is {seed}; 0 or more was expected")
    if not 0.5 <= level < 1:
        raise UsageError(f"level is {level:g}; from 0.5 to below 1 was expected, as in 0.95")


def mean_of(values: Floats) -> float:
    """The mean of what is not NaN; NaN if nothing is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def plain(value: float) -> float | None:
    """For JSON: NaN as None."""
    return None if np.isnan(value) else value


def _ends(interval: Interval) -> list[float | None]:
    return [plain(interval.low), plain(interval.high)]
