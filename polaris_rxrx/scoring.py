"""The official score of predictions, without importing the client.

Conventions
    The official value of a metric is what polaris-lib's `evaluate` returns for the benchmark's own
    specification (grouped by a column or pooled; mean or median over groups; what happens to a group the
    metric is undefined for). `pr_auc` and `roc_auc` are always the means over treatments.
    A treatment is left out of a mean where the metric is undefined: average precision without an active,
    AUROC without both classes. Each is counted and named.

Source
    polaris-lib 0.13, `polaris/evaluate/_metric.py`; scikit-learn. Deviations are numbered in
    `polaris_rxrx.metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from polaris_rxrx.errors import DataError
from polaris_rxrx.metrics import GroupScores, group_scores
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.present import html
from polaris_rxrx.present.numbers import percent
from polaris_rxrx.stats.explain import without_gene
from polaris_rxrx.stats.two_way import Clusters, Deleted, leave_out
from polaris_rxrx.stats.uncertainty import LEVEL, RESAMPLES, Uncertainty, chance_of, normalise, uncertainty
from polaris_rxrx.task import MetricSpec, Task
from polaris_rxrx.types import Floats, Ints

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
LABELS = {"pr_auc": "average_precision", "roc_auc": "auroc"}


@dataclass(frozen=True)
class LeftOut:
    """A treatment that does not count towards a metric, and why."""

    treatment: str
    metrics: tuple[str, ...]
    n_pairs: int
    n_active: int
    reason: str


@dataclass(frozen=True, eq=False)
class Score:
    """Scores of one set of predictions on one task.

    `official` maps each of the benchmark's metrics to its value, None where the client gives none;
    `notes` says in words what a reader should know.
    """

    task: str
    main_metric: str
    official: dict[str, float | None]
    pr_auc: float
    roc_auc: float
    pr_auc_median: float
    roc_auc_median: float
    n_pairs: int
    n_treatments: int
    n_scored_pr_auc: int
    n_scored_roc_auc: int
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    treatments: tuple[str, ...]
    groups: GroupScores
    predictions: Predictions
    truth: Task

    @property
    def main_value(self) -> float | None:
        return self.official[self.main_metric]

    def to_dict(self) -> dict[str, Any]:
        """The JSON score report."""
        return {
            "schema_version": SCHEMA_VERSION,
            "task": self.task,
            "predictions": self.predictions.source,
            "predictions_sha256": self.predictions.sha256,
            "matched_by": list(self.predictions.matched_by),
            "columns_left_out": list(self.predictions.left_out),
            "filled": {"n_pairs": self.predictions.filled, "score": self.predictions.fill},
            "main_metric": self.main_metric,
            "main_value": self.main_value,
            "official": self.official,
            "pr_auc": _json(self.pr_auc),
            "roc_auc": _json(self.roc_auc),
            "pr_auc_median": _json(self.pr_auc_median),
            "roc_auc_median": _json(self.roc_auc_median),
            "pr_auc_above_chance": _json(self.above_chance),
            "pr_auc_about_compound": _json(self.about_compound),
            "n_pairs": self.n_pairs,
            "n_treatments": self.n_treatments,
            "n_scored_pr_auc": self.n_scored_pr_auc,
            "n_scored_roc_auc": self.n_scored_roc_auc,
            "left_out": [
                {
                    "treatment": g.treatment,
                    "metrics": list(g.metrics),
                    "n_pairs": g.n_pairs,
                    "n_active": g.n_active,
                    "reason": g.reason,
                }
                for g in self.left_out
            ],
            "notes": list(self.notes),
        }

    def columns(self) -> dict[str, list[Any]]:
        """One row a treatment, sorted by name; NaN where undefined.

        Counts, average precision, AUROC, the average precision that random scores expect (exact), and the
        share of the way from there to 1.
        """
        ap, chance = self.groups.average_precision, chance_of(self.groups)["pr_auc"]
        return {
            "treatment": list(self.treatments),
            "n_pairs": self.groups.n_pairs.tolist(),
            "n_active": self.groups.n_active.tolist(),
            "average_precision": ap.tolist(),
            "auroc": self.groups.auroc.tolist(),
            "chance_average_precision": chance.tolist(),
            "normalised_average_precision": normalise(ap, chance).tolist(),
        }

    def per_treatment(self) -> pd.DataFrame:
        """`columns` as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.columns())

    @cached_property
    def deleted(self) -> Deleted:
        """The two means above chance with one treatment, gene or pair left out."""
        assert self.truth.active is not None
        codes, _ = self.truth.groups("treatment")
        return leave_out(
            self.truth.active, self.predictions.values, codes, self.truth.gene_codes(), self.groups
        )

    @property
    def above_chance(self) -> float:
        """Mean average precision less what random scores expect of it."""
        return self.pr_auc - self._chance

    @property
    def _chance(self) -> float:
        return _over(chance_of(self.groups)["pr_auc"], np.mean)

    @cached_property
    def about_compound(self) -> float:
        """How much of `above_chance` stays once each gene's places in other treatments are taken off.

        A gene that is high or low whatever the compound adds nothing to it (`polaris_rxrx.stats.explain`; the
        audit's shortcut "blind to the compound"). NaN if no gene stands in two treatments.
        """
        assert self.truth.active is not None
        codes, names = self.truth.groups("treatment")
        genes, _ = self.truth.groups("gene_symbol")
        counted = ~np.isnan(self.truth.active)
        left = without_gene(self.predictions.values, genes, codes, len(names), counted)
        if left is None:
            return float("nan")
        rest = group_scores(self.truth.active[counted], left, codes[counted], len(names))
        return _over(rest.average_precision, np.mean) - self._chance

    def uncertainty(
        self,
        *,
        resamples: int = RESAMPLES,
        seed: int = 0,
        level: float = LEVEL,
        clusters: Clusters = "both",
    ) -> Uncertainty:
        """Intervals, chance and p-values of the two means; see `polaris_rxrx.stats.uncertainty`."""
        assert self.truth.active is not None
        codes, _ = self.truth.groups("treatment")
        return uncertainty(
            self.groups,
            self.truth.active,
            self.predictions.values,
            codes,
            deleted=self.deleted,
            resamples=resamples,
            seed=seed,
            level=level,
            clusters=clusters,
        )

    def __repr__(self) -> str:
        return (
            f"<Score of {self.predictions.source!r} on {self.task!r}: average precision {self.pr_auc:.4f}, "
            f"AUROC {self.roc_auc:.4f}>"
        )

    def _repr_html_(self) -> str:
        """For notebooks."""
        certainty = self.uncertainty()
        rows = []
        for title, name, n in (
            ("average precision", "pr_auc", self.n_scored_pr_auc),
            ("AUROC", "roc_auc", self.n_scored_roc_auc),
        ):
            of = certainty[name]
            rows.append(
                [
                    title,
                    html.fixed(of.value, 4),
                    html.span(of.interval, 4),
                    html.scale(of.value, of.interval, [of.chance], 0, 1),
                    *(html.fixed(v, 4) for v in (of.chance, of.normalised, of.p_value)),
                    f"{n:,}",
                ]
            )
        header = [
            "",
            "mean",
            f"{percent(certainty.level)} interval",
            "0 to 1, chance dashed",
            "chance",
            "normalized",
        ]
        notes = [f"{g.treatment}: {g.reason} ({', '.join(g.metrics)})" for g in self.left_out]
        return html.element(
            "div",
            html.element("p", html.element("b", self.predictions.source), " on ", self.task),
            html.table([*header, "p", "treatments"], rows),
            *(html.element("p", note) for note in self.notes),
            *(
                [html.details(f"{len(notes):,} left out", *(html.element("p", n) for n in notes))]
                if notes
                else []
            ),
        )


def score(task: Task, predictions: Predictions) -> Score:
    """Score aligned predictions (see `read_predictions`) on a task.

    Raises:
        DataError: The task has no local labels, or nothing in it can be scored.
    """
    if task.active is None:
        raise DataError(
            f"{task.name} is a competition: its labels stay on the Hub, so nothing can be scored here"
        )
    codes, treatments = task.groups("treatment")
    groups = group_scores(task.active, predictions.values, codes, len(treatments))
    if not (groups.n_active > 0).any():
        raise DataError(f"{task.name}: no treatment has an active pair, so nothing can be scored")
    left_out = _left_out(groups, treatments)
    official = {}
    notes = []
    for spec in task.metrics:
        official[spec.name], note = _official(spec, task, predictions, codes, groups)
        notes += note
    if not any(name.strip() for name in task.gene_symbol):
        notes.append("no pair has the name of a gene: intervals and p-values take treatments for independent")
    if predictions.filled:
        notes.append(f"{predictions.filled:,} absent pairs were scored {predictions.fill:g}")
    ap, auroc = groups.average_precision, groups.auroc
    return Score(
        task=task.name,
        main_metric=task.main_metric,
        official=official,
        pr_auc=_over(ap, np.mean),
        roc_auc=_over(auroc, np.mean),
        pr_auc_median=_over(ap, np.median),
        roc_auc_median=_over(auroc, np.median),
        n_pairs=len(task),
        n_treatments=len(treatments),
        n_scored_pr_auc=int(np.sum(~np.isnan(ap))),
        n_scored_roc_auc=int(np.sum(~np.isnan(auroc))),
        left_out=left_out,
        notes=tuple(notes),
        treatments=tuple(treatments),
        groups=groups,
        predictions=predictions,
        truth=task,
    )


def _left_out(groups: GroupScores, treatments: list[str]) -> tuple[LeftOut, ...]:
    rows = []
    for i in np.flatnonzero(np.isnan(groups.auroc)):
        pairs, active = int(groups.n_pairs[i]), int(groups.n_active[i])
        if pairs == 0:
            reason = "no pair has a label"
        else:
            reason = "no active pair" if active == 0 else "every pair is active"
        metrics = ("roc_auc",) if active else ("pr_auc", "roc_auc")
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
    if spec.label not in LABELS or spec.group_by not in {None, *task.inputs}:
        return None, [f"{spec.name} is not computed here; `score --official` asks the client for it"]
    assert task.active is not None
    if spec.group_by is None:
        groups = group_scores(task.active, predictions.values, np.zeros_like(codes), 1)
    elif spec.group_by == "treatment":
        groups = by_treatment
    else:
        other, names = task.groups(spec.group_by)
        groups = group_scores(task.active, predictions.values, other, len(names))
    values: Floats = getattr(groups, LABELS[spec.label])
    undefined = np.isnan(values)
    notes: list[str] = []
    if undefined.any():
        notes.append(_undefined(spec, int(undefined.sum()), bool((undefined & (groups.n_pairs > 0)).any())))
        if spec.on_error == "default" and spec.default is not None:
            values = np.where(np.isnan(values), spec.default, values)
    return _json(_over(values, np.mean if spec.aggregation == "mean" else np.median)), notes


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


def _over(values: Floats, aggregate: Any) -> float:
    """Aggregate what is defined; NaN if nothing is."""
    some = values[~np.isnan(values)]
    return float(aggregate(some)) if some.size else float("nan")


def _json(value: float) -> float | None:
    return None if np.isnan(value) else value
