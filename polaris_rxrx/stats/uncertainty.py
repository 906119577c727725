"""What a score is worth: its interval, what chance gives, and how far it is above that.

Conventions
    Everything is about the means over treatments of `polaris_rxrx.metrics.METRICS`, whatever else a
    benchmark's metrics are. A treatment without the metric is left out, as in the score.
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

from typing_extensions import TypedDict

from polaris_rxrx.metrics import METRICS, GroupScores
from polaris_rxrx.stats.chance import p_value, random_means
from polaris_rxrx.stats.intervals import METHOD, Ends, Interval, bca_each, mean_of, plain
from polaris_rxrx.stats.resampling import CLUSTERS, Clusters, Resampled, Resampling
from polaris_rxrx.stats.two_way import Deleted, Variance, VarianceDocument
from polaris_rxrx.types import Floats, Ints


class CertaintyDocument(TypedDict):
    """How sure a mean over treatments is; null where there is none (an interval of one treatment, say)."""

    interval: Ends
    chance: float | None
    """What random scores expect, exactly."""
    normalised: float | None
    """0 is chance, 1 is perfect."""
    normalised_interval: Ends
    p_value: float | None
    """Of a random order within each treatment doing as well."""
    interval_over_treatments: Ends
    """The interval if treatments were independent."""
    p_value_if_pairs_independent: float | None
    variance: VarianceDocument


class UncertaintyDocument(TypedDict):
    """The certainty of each metric, by its key, and how it was computed."""

    method: str
    clusters: Clusters
    """What is not independent: pairs of one treatment, of one gene, or both."""
    level: float
    resamples: int
    seed: int
    p_value_of: str
    pr_auc: CertaintyDocument
    roc_auc: CertaintyDocument


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

    def to_dict(self, clusters: Clusters) -> CertaintyDocument:
        """For JSON; NaN as None."""
        return {
            "interval": self.interval.ends(),
            "chance": plain(self.chance),
            "normalised": plain(self.normalised),
            "normalised_interval": self.normalised_interval.ends(),
            "p_value": plain(self.p_value),
            "interval_over_treatments": self.interval_over_treatments.ends(),
            "p_value_if_pairs_independent": plain(self.p_value_if_pairs_independent),
            "variance": self.variance.to_dict(clusters),
        }


@dataclass(frozen=True)
class Uncertainty(Resampled):
    """The certainty of each of `METRICS`, by its key, and how it was computed."""

    metrics: dict[str, Certainty]
    resampling: Resampling

    def __getitem__(self, metric: str) -> Certainty:
        return self.metrics[metric]

    @property
    def pr_auc(self) -> Certainty:
        return self["pr_auc"]

    @property
    def roc_auc(self) -> Certainty:
        return self["roc_auc"]

    def to_dict(self) -> UncertaintyDocument:
        """For the JSON report; NaN as None."""
        return {
            "method": interval_method(self.clusters),
            "clusters": self.clusters,
            "level": self.level,
            "resamples": self.resamples,
            "seed": self.seed,
            "p_value_of": "random order within each treatment, one-sided"
            + ("" if self.clusters == "treatment" else ", spread as genes shared between treatments make it"),
            "pr_auc": self.pr_auc.to_dict(self.clusters),
            "roc_auc": self.roc_auc.to_dict(self.clusters),
        }


def uncertainty(
    groups: GroupScores,
    active: Floats,
    scores: Floats,
    codes: Ints,
    *,
    deleted: Deleted,
    how: Resampling,
    by_chance: tuple[Floats, Floats] | None = None,
) -> Uncertainty:
    """How sure the means over groups are.

    Args:
        groups: What `group_scores` made of the next three.
        active: Labels, shape (n_pairs,).
        scores: Predictions, shape (n_pairs,).
        codes: Groups, shape (n_pairs,).
        deleted: What `leave_out` made of them.
        how: The draws, their seed, the level of the intervals, and what is not independent.
        by_chance: What `random_means` made of the first four with as many draws of the seed; drawn if absent.

    What `Score.uncertainty` calls:

    >>> task = pr.load_task("task")
    >>> found = pr.score(task, pr.read_predictions("openphenom.csv", task)).uncertainty(resamples=1000)
    >>> found.pr_auc.value in found.pr_auc.interval, found.pr_auc.p_value < 0.01
    (True, True)
    """
    if by_chance is None:
        by_chance = random_means(active, scores, codes, len(groups.n_pairs), how)
    columns = [of(groups) for metric in METRICS.values() for of in (metric.values, metric.normalized)]
    drawn = zip(columns, bca_each(columns, how), strict=True)
    found = {}
    for (key, metric), means in zip(METRICS.items(), by_chance, strict=True):
        (values, interval), (shares, of_shares) = next(drawn), next(drawn)
        value, share = mean_of(values), mean_of(shares)
        variance = deleted.above[key].variance()
        stretch = deleted.normalized[key].variance().stretch(how.clusters)
        ahead, null = metric.direction * value, metric.direction * means
        found[key] = Certainty(
            value=value,
            interval=interval.stretched(value, variance.stretch(how.clusters), 0.0, 1.0),
            chance=mean_of(metric.chance(groups)),
            normalised=share,
            normalised_interval=of_shares.stretched(share, stretch, most=1.0),
            p_value=p_value(ahead, null, extra=variance.extra(how.clusters)),
            interval_over_treatments=interval,
            p_value_if_pairs_independent=p_value(ahead, null),
            variance=variance,
        )
    return Uncertainty(found, how)


def interval_method(clusters: Clusters) -> str:
    """How intervals are made, in words."""
    if clusters == "treatment":
        return METHOD
    return f"{METHOD}, stretched to the variance over {CLUSTERS[clusters]}"
