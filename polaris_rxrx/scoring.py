"""The official score of predictions, without importing the client.

Conventions
    The official value of a metric is what polaris-lib's `evaluate` returns for the benchmark's own
    specification (grouped by a column or pooled; mean or median over groups; what happens to a group the
    metric is undefined for). `pr_auc` and `roc_auc` are always the means over treatments, as is any other of
    `polaris_rxrx.metrics.METRICS` in `means`.
    A treatment is left out of a mean where the metric is undefined: average precision without an active,
    AUROC without both classes. Each is counted and named.

Source
    polaris-lib 0.13, `polaris/evaluate/_metric.py`; scikit-learn. Deviations are numbered in
    `polaris_rxrx.metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from typing_extensions import NotRequired, TypedDict

from polaris_rxrx.documents import Fields, fields_of
from polaris_rxrx.errors import DataError
from polaris_rxrx.metrics import METRICS, PR_AUC, GroupScores, group_scores
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.present import html
from polaris_rxrx.present.numbers import percent
from polaris_rxrx.stats.chance import random_means
from polaris_rxrx.stats.explain import without_gene
from polaris_rxrx.stats.intervals import mean_of, median_of, plain
from polaris_rxrx.stats.resampling import LEVEL, RESAMPLES, Clusters, Resampling
from polaris_rxrx.stats.two_way import Deleted, leave_out
from polaris_rxrx.stats.uncertainty import Uncertainty, uncertainty
from polaris_rxrx.task import MetricSpec, Task
from polaris_rxrx.types import Floats, Ints

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION: Literal[1] = 1


@dataclass(frozen=True)
class LeftOut:
    """A treatment that does not count towards a metric, and why."""

    treatment: str
    metrics: tuple[str, ...]
    n_pairs: int
    n_active: int
    reason: str


class Filled(TypedDict):
    """How many pairs were absent, and the score that they were given."""

    n_pairs: int
    score: float | None


class ScoreReport(TypedDict):
    """The score of one set of predictions on one task."""

    schema_version: Literal[1]
    task: str
    predictions: str
    """The file, or what it was called."""
    predictions_sha256: str | None
    matched_by: list[str]
    """The columns that predictions were matched to pairs by."""
    columns_left_out: list[str]
    filled: Filled
    main_metric: str
    main_value: float | None
    official: dict[str, float | None]
    """Each metric of the benchmark, as the Polaris client computes it."""
    pr_auc: float | None
    """Mean over treatments of average precision."""
    roc_auc: float | None
    pr_auc_median: float | None
    roc_auc_median: float | None
    pr_auc_above_chance: float | None
    """The mean less what random scores expect of it."""
    pr_auc_about_compound: float | None
    """What is left of that once each gene's places in other treatments are taken off."""
    n_pairs: int
    n_treatments: int
    n_scored_pr_auc: int
    """How many treatments the metric is defined for."""
    n_scored_roc_auc: int
    left_out: list[Fields[LeftOut]]
    notes: list[str]
    client: NotRequired[dict[str, float | None]]
    """Each metric by the client's own `evaluate`, where it was run."""


@dataclass(frozen=True, eq=False)
class Score:
    """Scores of one set of predictions on one task.

    `official` maps each of the benchmark's metrics to its value, None where the client gives none; `means`,
    `medians` and `n_scored` are over treatments, by the key of each of `polaris_rxrx.metrics.METRICS`;
    `notes` says in words what a reader should know.

    >>> task = pr.load_task("task")
    >>> scored = pr.score(task, pr.read_predictions("openphenom.csv", task))
    >>> round(scored.pr_auc, 4), scored.n_treatments, scored.n_scored
    (0.4253, 44, {'pr_auc': 44, 'roc_auc': 44})
    """

    task: Task
    predictions: Predictions
    treatments: tuple[str, ...]
    groups: GroupScores
    official: dict[str, float | None]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    @cached_property
    def means(self) -> dict[str, float]:
        return {key: mean_of(metric.values(self.groups)) for key, metric in METRICS.items()}

    @cached_property
    def medians(self) -> dict[str, float]:
        return {key: median_of(metric.values(self.groups)) for key, metric in METRICS.items()}

    @cached_property
    def n_scored(self) -> dict[str, int]:
        """How many treatments each metric is defined for."""
        return {key: int((~np.isnan(m.values(self.groups))).sum()) for key, m in METRICS.items()}

    @property
    def pr_auc(self) -> float:
        return self.means["pr_auc"]

    @property
    def roc_auc(self) -> float:
        return self.means["roc_auc"]

    @property
    def pr_auc_median(self) -> float:
        return self.medians["pr_auc"]

    @property
    def roc_auc_median(self) -> float:
        return self.medians["roc_auc"]

    @property
    def n_scored_pr_auc(self) -> int:
        return self.n_scored["pr_auc"]

    @property
    def n_scored_roc_auc(self) -> int:
        return self.n_scored["roc_auc"]

    @property
    def n_pairs(self) -> int:
        return len(self.task)

    @property
    def n_treatments(self) -> int:
        return len(self.treatments)

    @property
    def main_metric(self) -> str:
        return self.task.main_metric

    @property
    def main_value(self) -> float | None:
        return self.official[self.main_metric]

    def to_dict(self) -> ScoreReport:
        """The JSON score report.

        >>> task = pr.load_task("task")
        >>> report = pr.score(task, pr.read_predictions("random.csv", task)).to_dict()
        >>> report["main_metric"], round(report["main_value"], 4), report["n_pairs"]
        ('pr_auc', 0.2416, 997)
        """
        means, medians, n_scored = self.means, self.medians, self.n_scored
        return {
            "schema_version": SCHEMA_VERSION,
            "task": self.task.name,
            "predictions": self.predictions.source,
            "predictions_sha256": self.predictions.sha256,
            "matched_by": list(self.predictions.matched_by),
            "columns_left_out": list(self.predictions.left_out),
            "filled": {"n_pairs": self.predictions.filled, "score": self.predictions.fill},
            "main_metric": self.main_metric,
            "main_value": self.main_value,
            "official": self.official,
            "pr_auc": plain(means["pr_auc"]),
            "roc_auc": plain(means["roc_auc"]),
            "pr_auc_median": plain(medians["pr_auc"]),
            "roc_auc_median": plain(medians["roc_auc"]),
            "pr_auc_above_chance": plain(self.above_chance),
            "pr_auc_about_compound": plain(self.about_compound),
            "n_pairs": self.n_pairs,
            "n_treatments": self.n_treatments,
            "n_scored_pr_auc": n_scored["pr_auc"],
            "n_scored_roc_auc": n_scored["roc_auc"],
            "left_out": [fields_of(left) for left in self.left_out],
            "notes": list(self.notes),
        }

    def columns(self) -> dict[str, list[Any]]:
        """One row a treatment, sorted by name; NaN where undefined.

        Counts, average precision, AUROC, the average precision that random scores expect (exact), and the
        share of the way from there to 1.

        >>> task = pr.load_task("task")
        >>> columns = pr.score(task, pr.read_predictions("openphenom.csv", task)).columns()
        >>> columns["treatment"][0], columns["n_pairs"][0], len(columns["auroc"])
        ('ABT-199', 21, 44)
        """
        return {
            "treatment": list(self.treatments),
            "n_pairs": self.groups.n_pairs.tolist(),
            "n_active": self.groups.n_active.tolist(),
            "average_precision": self.groups.average_precision.tolist(),
            "auroc": self.groups.auroc.tolist(),
            "chance_average_precision": PR_AUC.chance(self.groups).tolist(),
            "normalised_average_precision": PR_AUC.normalized(self.groups).tolist(),
        }

    def per_treatment(self) -> pd.DataFrame:
        """`columns` as a DataFrame.

        >>> task = pr.load_task("task")
        >>> table = pr.score(task, pr.read_predictions("openphenom.csv", task)).per_treatment()
        >>> table.shape, round(float(table["average_precision"].mean()), 4)
        ((44, 7), 0.4253)
        """
        import pandas as pd

        return pd.DataFrame(self.columns())

    @cached_property
    def deleted(self) -> Deleted:
        """The means above chance with one treatment, gene or pair left out."""
        assert self.task.active is not None
        codes, _ = self.task.groups("treatment")
        return leave_out(
            self.task.active, self.predictions.values, codes, self.task.gene_codes(), self.groups
        )

    @cached_property
    def _by_chance(self) -> dict[tuple[int, int], tuple[Floats, Floats]]:
        """Means of random orders, by their number and seed; the last ones that were asked for."""
        return {}

    @property
    def above_chance(self) -> float:
        """Mean average precision less what random scores expect of it.

        >>> task = pr.load_task("task")
        >>> scored = pr.score(task, pr.read_predictions("openphenom.csv", task))
        >>> chance = np.mean(scored.columns()["chance_average_precision"])
        >>> bool(np.isclose(scored.above_chance, scored.pr_auc - chance))
        True
        """
        return self.pr_auc - mean_of(PR_AUC.chance(self.groups))

    @cached_property
    def about_compound(self) -> float:
        """How much of `above_chance` stays once each gene's places in other treatments are taken off.

        A gene that is high or low whatever the compound adds nothing to it (`polaris_rxrx.stats.explain`; the
        audit's shortcut "blind to the compound"). NaN if no gene stands in two treatments.

        >>> task = pr.load_task("task")
        >>> scored = pr.score(task, pr.read_predictions("openphenom.csv", task))
        >>> 0 < scored.about_compound < scored.above_chance
        True
        """
        assert self.task.active is not None
        codes, names = self.task.groups("treatment")
        genes, _ = self.task.groups("gene_symbol")
        counted = ~np.isnan(self.task.active)
        left = without_gene(self.predictions.values, genes, codes, len(names), counted)
        if left is None:
            return float("nan")
        rest = group_scores(self.task.active[counted], left, codes[counted], len(names))
        return mean_of(rest.average_precision) - mean_of(PR_AUC.chance(self.groups))

    def uncertainty(
        self,
        *,
        resamples: int = RESAMPLES,
        seed: int = 0,
        level: float = LEVEL,
        clusters: Clusters = "both",
    ) -> Uncertainty:
        """Intervals, chance and p-values of the means; see `polaris_rxrx.stats.uncertainty`.

        Raises:
            UsageError: An option is out of range (see `polaris_rxrx.stats.resampling.Resampling`).

        >>> task = pr.load_task("task")
        >>> sure = pr.score(task, pr.read_predictions("openphenom.csv", task)).uncertainty(resamples=1000)
        >>> sure.pr_auc.interval.low < sure.pr_auc.value < sure.pr_auc.interval.high
        True
        >>> sure.resamples, sure.level, sure.clusters
        (1000, 0.95, 'both')
        """
        how = Resampling(resamples, seed, level, clusters)
        assert self.task.active is not None
        codes, _ = self.task.groups("treatment")
        labels, scores = self.task.active, self.predictions.values
        by_chance = self._by_chance.get((resamples, seed))
        if by_chance is None:  # most of the time goes there, and of another level it is the same
            by_chance = random_means(labels, scores, codes, len(self.groups.n_pairs), how)
            self._by_chance.clear()
            self._by_chance[resamples, seed] = by_chance
        return uncertainty(
            self.groups, labels, scores, codes, deleted=self.deleted, how=how, by_chance=by_chance
        )

    def __repr__(self) -> str:
        return (
            f"<Score of {self.predictions.source!r} on {self.task.name!r}: average precision "
            f"{self.pr_auc:.4f}, AUROC {self.roc_auc:.4f}>"
        )

    def _repr_html_(self) -> str:
        """For notebooks."""
        certainty = self.uncertainty()
        rows = [
            [
                METRICS[key].title,
                html.fixed(of.value, 4),
                html.span(of.interval, 4),
                html.scale(of.value, of.interval, [of.chance], 0, 1),
                *(html.fixed(v, 4) for v in (of.chance, of.normalised, of.p_value)),
                f"{self.n_scored[key]:,}",
            ]
            for key, of in certainty.metrics.items()
        ]
        header = [
            "",
            "mean",
            f"{percent(certainty.level)} interval",
            "0 to 1, chance dashed",
            "chance",
            "normalized",
        ]
        notes = [html.element("p", note) for note in self.notes]
        if self.left_out:
            left = [f"{g.treatment}: {g.reason} ({', '.join(g.metrics)})" for g in self.left_out]
            notes.append(html.details(f"{len(left):,} left out", *(html.element("p", n) for n in left)))
        title = html.element("p", html.element("b", self.predictions.source), " on ", self.task.name)
        table = html.table([*header, "p", "treatments"], rows)
        return html.element("div", title, table, *notes)


def score(task: Task, predictions: Predictions) -> Score:
    """Score aligned predictions (see `read_predictions`) on a task.

    Raises:
        DataError: The task has no local labels, or nothing in it can be scored.

    >>> task = pr.load_task("task")
    >>> scored = pr.score(task, pr.read_predictions("openphenom.csv", task))
    >>> round(scored.pr_auc, 4), round(scored.roc_auc, 4)
    (0.4253, 0.6986)
    """
    if task.active is None:
        raise DataError(
            f"{task.name} is a competition: its labels stay on the Hub, so nothing can be scored here"
        )
    codes, treatments = task.groups("treatment")
    groups = group_scores(task.active, predictions.values, codes, len(treatments))
    if not (groups.n_active > 0).any():
        raise DataError(f"{task.name}: no treatment has an active pair, so nothing can be scored")
    official = {}
    notes = []
    for spec in task.metrics:
        official[spec.name], note = _official(spec, task, predictions, codes, groups)
        notes += note
    if not any(name.strip() for name in task.gene_symbol):
        notes.append("no pair has the name of a gene: intervals and p-values take treatments for independent")
    if predictions.filled:
        notes.append(f"{predictions.filled:,} absent pairs were scored {predictions.fill:g}")
    return Score(
        task=task,
        predictions=predictions,
        treatments=tuple(treatments),
        groups=groups,
        official=official,
        left_out=_left_out(groups, treatments),
        notes=tuple(notes),
    )


def _left_out(groups: GroupScores, treatments: list[str]) -> tuple[LeftOut, ...]:
    undefined = {key: np.isnan(metric.values(groups)) for key, metric in METRICS.items()}
    rows = []
    for i in np.flatnonzero(np.logical_or.reduce(list(undefined.values()))):
        pairs, active = int(groups.n_pairs[i]), int(groups.n_active[i])
        if pairs == 0:
            reason = "no pair has a label"
        else:
            reason = "no active pair" if active == 0 else "every pair is active"
        metrics = tuple(key for key, missing in undefined.items() if missing[i])
        rows.append(LeftOut(treatments[i], metrics, pairs, active, reason))
    return tuple(rows)


def _official(
    spec: MetricSpec,
    task: Task,
    predictions: Predictions,
    codes: Ints,
    by_treatment: GroupScores,
) -> tuple[float | None, list[str]]:
    """One metric as the benchmark specifies it, and what to say about it."""
    if spec.label not in METRICS or spec.group_by not in {None, *task.inputs}:
        return None, [f"{spec.name} is not computed here; `score --official` asks the client for it"]
    assert task.active is not None
    if spec.group_by is None:
        groups = group_scores(task.active, predictions.values, np.zeros_like(codes), 1)
    elif spec.group_by == "treatment":
        groups = by_treatment
    else:
        other, names = task.groups(spec.group_by)
        groups = group_scores(task.active, predictions.values, other, len(names))
    values = METRICS[spec.label].values(groups)
    undefined = np.isnan(values)
    notes: list[str] = []
    if undefined.any():
        notes.append(_undefined(spec, int(undefined.sum()), bool((undefined & (groups.n_pairs > 0)).any())))
        if spec.on_error == "default" and spec.default is not None:
            values = np.where(np.isnan(values), spec.default, values)
    return plain((mean_of if spec.aggregation == "mean" else median_of)(values)), notes


def _undefined(spec: MetricSpec, n: int, one_class: bool) -> str:
    """What to say of `n` groups without a value, some of them with labels but of one class."""
    if spec.group_by is None:
        return f"{spec.name} is undefined: the labels are of one class"
    what = f"{spec.name} is undefined for {n:,} of the groups by {spec.group_by}"
    if spec.label == "roc_auc" and one_class:
        ours = f"each counts as {spec.default}" if spec.on_error == "default" else "they are left out"
        return (
            f"{what}; {ours} here. The client prints nan with scikit-learn 1.6 or later, and "
            f"follows on_error={spec.on_error} with 1.5"
        )
    return {
        "ignore": f"{what}; the client leaves them out, and so does this",
        "raise": f"{what}; they are left out here, the client stops with an error",
        "default": f"{what}; each counts as {spec.default}, as in the client",
    }[spec.on_error]
