"""What a score is worth: its interval, what chance gives, and how far it is above that.

Conventions
    Everything is about the two means over treatments, `pr_auc` and `roc_auc`, whatever else a benchmark's
    metrics are. A treatment without the metric is left out, as in the score.
    `chance` is what random scores without ties expect: exactly, of the numbers of pairs and actives alone
    (for AUROC .5). `normalised` is the mean over treatments of (value - chance) / (1 - chance): 0 is chance,
    1 perfect; a treatment of actives only has none.
    `p_value` is that of a random order within each treatment reaching the mean, the predictions' own ties
    kept; at least 1 / (resamples + 1).
    The interval is over treatments (see `polaris_rxrx.stats.intervals`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.errors import UsageError
from polaris_rxrx.metrics import GroupScores
from polaris_rxrx.stats.chance import expected_average_precision, p_value, random_means
from polaris_rxrx.stats.intervals import METHOD, Interval, bca_each

Floats = NDArray[np.float64]

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


@dataclass(frozen=True)
class Uncertainty:
    """Both metrics' certainty and how it was computed."""

    pr_auc: Certainty
    roc_auc: Certainty
    level: float
    resamples: int
    seed: int

    def __getitem__(self, metric: str) -> Certainty:
        return {"pr_auc": self.pr_auc, "roc_auc": self.roc_auc}[metric]

    def to_dict(self) -> dict[str, Any]:
        """For the JSON report; NaN as None."""
        return {
            "method": METHOD,
            "level": self.level,
            "resamples": self.resamples,
            "seed": self.seed,
            "p_value_of": "random order within each treatment, one-sided",
            **{
                name: {
                    "interval": _ends(self[name].interval),
                    "chance": plain(self[name].chance),
                    "normalised": plain(self[name].normalised),
                    "normalised_interval": _ends(self[name].normalised_interval),
                    "p_value": plain(self[name].p_value),
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
    room = 1 - chance
    share: Floats = np.divide(values - chance, room, out=np.full(values.shape, np.nan), where=room > 1e-12)
    return share


def uncertainty(
    groups: GroupScores,
    active: Floats,
    scores: Floats,
    codes: NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Uncertainty:
    """How sure the means over groups are.

    Args:
        groups: What `group_scores` made of the next three.
        active: Labels, shape (n_pairs,).
        scores: Predictions, shape (n_pairs,).
        codes: Groups, shape (n_pairs,).
        resamples: Of the bootstrap, and of the permutation.
        seed: Of both.
        level: Of the intervals.

    Raises:
        UsageError: `resamples`, `seed` or `level` out of range.
    """
    check_options(resamples, seed, level)
    null = random_means(active, scores, codes, len(groups.n_pairs), resamples=resamples, seed=seed)
    values, chance = values_of(groups), chance_of(groups)
    normalised = {name: normalise(values[name], chance[name]) for name in METRICS}
    columns = [of[name] for name in METRICS for of in (values, normalised)]
    intervals = iter(bca_each(columns, level=level, resamples=resamples, seed=seed))
    found = {}
    for name, drawn in zip(METRICS, null, strict=True):
        mean = mean_of(values[name])
        found[name] = Certainty(
            value=mean,
            interval=next(intervals),
            chance=mean_of(np.where(np.isnan(values[name]), np.nan, chance[name])),
            normalised=mean_of(normalised[name]),
            normalised_interval=next(intervals),
            p_value=p_value(mean, drawn),
        )
    return Uncertainty(found["pr_auc"], found["roc_auc"], level, resamples, seed)


def check_options(resamples: int, seed: int, level: float) -> None:
    """Raise `UsageError` for what no resampling can be done with."""
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
