"""Submissions against each other: which differences are more than noise.

Conventions
    Submissions are paired by treatment: the difference of two is taken in every treatment for which the
    metric is defined (the same ones, for the labels are the same) and averaged. If it is positive, the first
    has the higher value, which is the better one unless the metric's `direction` says otherwise.
    The first submission is compared with each of the others, or every two of them (`all_pairs`); Holm's
    correction is over the comparisons made.
    Treatments are scored against the same genes, so their differences are not independent: intervals,
    p-values and `detectable` have the variance over treatments and genes (`polaris_rxrx.stats.two_way`);
    `p_value_if_treatments_independent` has not.
    `verdict` is better or worse if the corrected p-value is below 1 - level, else tie: no difference was
    seen, which is not the same as none. `detectable` says how large a true one would have to be to be found
    in four of five such tasks, at the spread of these differences and with the correction.

Source
    The kernels and their papers are in `polaris_rxrx.stats`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from typing_extensions import TypedDict

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.metrics import METRICS, Metric, metric_of
from polaris_rxrx.present import html
from polaris_rxrx.present.numbers import count, percent
from polaris_rxrx.scoring import Score
from polaris_rxrx.stats.intervals import Ends, Interval, bca_each, mean_of
from polaris_rxrx.stats.paired import TIE, detectable, draws, holm, pairwise_p
from polaris_rxrx.stats.resampling import CLUSTERS, LEVEL, RESAMPLES, Clusters, Resampled, Resampling
from polaris_rxrx.stats.two_way import Variance, VarianceDocument
from polaris_rxrx.stats.uncertainty import interval_method
from polaris_rxrx.task import Task
from polaris_rxrx.types import Floats, Progress

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["better", "worse", "tie"]

SCHEMA_VERSION: Literal[1] = 1
POWER = 0.8


class ComparisonMethod(TypedDict):
    """How differences were tested."""

    interval: str
    clusters: Clusters
    """What is not independent: pairs of one treatment, of one gene, or both."""
    level: float
    p_value: str
    correction: str
    n_comparisons: int
    power: float
    """With which a difference as large as `detectable` is found."""
    resamples: int
    sign_flips: int
    seed: int


class Compared(TypedDict):
    """One of the submissions that were compared."""

    name: str
    sha256: str | None
    value: float


class Apart(TypedDict):
    """A treatment, and what the two have in it."""

    treatment: str
    first: float
    second: float


class TestedDifference(TypedDict):
    """The difference of two submissions, first less second, and its test."""

    first: str
    second: str
    difference: float
    interval: Ends
    p_value: float
    p_corrected: float
    """By Holm, over all comparisons."""
    p_value_if_treatments_independent: float
    variance: VarianceDocument
    wins: int
    """In how many treatments the first is the better one."""
    ties: int
    losses: int
    detectable: float
    """How large a true difference has to be to be found."""
    verdict: Verdict
    """What the first is."""


class DifferenceDocument(TestedDifference):
    """The difference of two submissions, first less second, its test, and where they differ most."""

    apart: list[Apart]


class ComparisonDocument(TypedDict):
    """Submissions on one task against each other."""

    schema_version: Literal[1]
    task: str
    metric: str
    n_treatments: int
    method: ComparisonMethod
    submissions: list[Compared]
    comparisons: list[DifferenceDocument]


@dataclass(frozen=True, eq=False)
class Difference:
    """Two submissions. `first` and `second` are places in `Comparison.names`; `values` one a treatment."""

    first: int
    second: int
    mean: float
    interval: Interval
    p_value: float
    p_corrected: float
    p_value_if_treatments_independent: float
    variance: Variance
    wins: int
    ties: int
    losses: int
    detectable: float
    verdict: Verdict
    values: Floats

    def to_dict(self, names: Sequence[str], clusters: Clusters) -> TestedDifference:
        """For JSON."""
        return {
            "first": names[self.first],
            "second": names[self.second],
            "difference": self.mean,
            "interval": self.interval.ends(),
            "p_value": self.p_value,
            "p_corrected": self.p_corrected,
            "p_value_if_treatments_independent": self.p_value_if_treatments_independent,
            "variance": self.variance.to_dict(clusters),
            "wins": self.wins,
            "ties": self.ties,
            "losses": self.losses,
            "detectable": self.detectable,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, eq=False)
class Comparison(Resampled):
    """Submissions on one task.

    `metric` is the key of one of `METRICS`; `treatments` are those it is defined for; `values` has one row
    each and one column a submission.

    >>> task = pr.load_task("task")
    >>> names = ("openphenom", "random")
    >>> scores = [pr.score(task, pr.read_predictions(f"{name}.csv", task)) for name in names]
    >>> found = pr.compare(*scores, resamples=1000)
    >>> found.names, found.values.shape
    (('openphenom.csv', 'random.csv'), (44, 2))
    >>> [(d.first, d.second, d.verdict) for d in found.differences]
    [(0, 1, 'better')]
    """

    task: Task
    metric: str
    names: tuple[str, ...]
    scores: tuple[Score, ...]
    treatments: tuple[str, ...]
    values: Floats
    differences: tuple[Difference, ...]
    resampling: Resampling

    @property
    def means(self) -> list[float]:
        """The metric of each submission.

        >>> task = pr.load_task("task")
        >>> names = ("openphenom", "random")
        >>> scores = [pr.score(task, pr.read_predictions(f"{name}.csv", task)) for name in names]
        >>> [round(mean, 4) for mean in pr.compare(*scores, resamples=1000).means]
        [0.4253, 0.2416]
        """
        return [float(v) for v in self.values.mean(axis=0)]

    def apart(self, difference: Difference, most: int = 5) -> list[tuple[str, float, float]]:
        """Where two differ most, largest gap first: treatment, value of the first, of the second.

        >>> task = pr.load_task("task")
        >>> names = ("openphenom", "random")
        >>> scores = [pr.score(task, pr.read_predictions(f"{name}.csv", task)) for name in names]
        >>> found = pr.compare(*scores, resamples=1000)
        >>> treatment, first, second = found.apart(found.differences[0], most=1)[0]
        >>> row = found.treatments.index(treatment)
        >>> found.values[row].tolist() == [first, second]
        True
        """
        order = np.argsort(-np.abs(difference.values), kind="stable")[:most]
        pair = self.values[:, [difference.first, difference.second]]
        return [
            (self.treatments[i], float(pair[i, 0]), float(pair[i, 1]))
            for i in order.tolist()
            if abs(difference.values[i]) > TIE
        ]

    def to_dict(self, most: int = 10) -> ComparisonDocument:
        """For JSON; of each comparison the `most` treatments that differ most.

        >>> task = pr.load_task("task")
        >>> names = ("openphenom", "random")
        >>> scores = [pr.score(task, pr.read_predictions(f"{name}.csv", task)) for name in names]
        >>> report = pr.compare(*scores, resamples=1000).to_dict()
        >>> report["metric"], report["comparisons"][0]["verdict"]
        ('pr_auc', 'better')
        """
        return {
            "schema_version": SCHEMA_VERSION,
            "task": self.task.name,
            "metric": self.metric,
            "n_treatments": len(self.treatments),
            "method": self.method,
            "submissions": [
                {"name": name, "sha256": s.predictions.sha256, "value": mean}
                for name, s, mean in zip(self.names, self.scores, self.means, strict=True)
            ],
            "comparisons": [
                {
                    **d.to_dict(self.names, self.clusters),
                    "apart": [{"treatment": t, "first": a, "second": b} for t, a, b in self.apart(d, most)],
                }
                for d in self.differences
            ],
        }

    @property
    def method(self) -> ComparisonMethod:
        """How differences were tested, for JSON."""
        return {
            "interval": interval_method(self.clusters),
            "clusters": self.clusters,
            "level": self.level,
            "p_value": p_value_method(self.clusters),
            "correction": "Holm",
            "n_comparisons": len(self.differences),
            "power": POWER,
            "resamples": self.resamples,
            "sign_flips": draws(len(self.differences), self.resamples),
            "seed": self.seed,
        }

    def columns(self) -> dict[str, list[Any]]:
        """The metric of every submission in every treatment: one row a treatment."""
        each = {name: column.tolist() for name, column in zip(self.names, self.values.T, strict=True)}
        return {"treatment": list(self.treatments), **each}

    def per_treatment(self) -> pd.DataFrame:
        """The same as a DataFrame, with the treatments as its index.

        >>> task = pr.load_task("task")
        >>> names = ("openphenom", "random")
        >>> scores = [pr.score(task, pr.read_predictions(f"{name}.csv", task)) for name in names]
        >>> pr.compare(*scores, resamples=1000).per_treatment().shape
        (44, 2)
        """
        import pandas as pd

        return pd.DataFrame(
            self.values, columns=list(self.names), index=pd.Index(self.treatments, name="treatment")
        )

    def __repr__(self) -> str:
        found = ", ".join(f"{self.names[d.second]!r} {d.mean:+.4f} ({d.verdict})" for d in self.differences)
        return f"<Comparison of {self.names[0]!r} on {self.task.name!r}: {found}>"

    def _repr_html_(self) -> str:
        """For notebooks."""
        ends = [abs(v) for d in self.differences for v in (d.interval.low, d.interval.high, d.mean)]
        wide = max(ends) or 1.0
        rows = []
        for d in self.differences:
            cells: list[object] = [self.names[d.first], self.names[d.second], html.signed(d.mean, 4)]
            cells += [html.span(d.interval, 4), html.scale(d.mean, d.interval, [0], -wide, wide)]
            cells += [html.fixed(d.p_corrected, 4), f"{d.wins:,} / {d.ties:,} / {d.losses:,}"]
            rows.append([*cells, html.fixed(d.detectable, 4), html.element("b", d.verdict)])
        header = ["first", "second", "difference", f"{percent(self.level)} interval", "0 dashed"]
        header += ["p (Holm)", "wins / ties / losses", "minimum detectable difference", "first is"]
        most = [
            html.details(
                f"Where {self.names[d.first]} and {self.names[d.second]} differ most",
                html.table(
                    ["treatment", "first", "second"],
                    [[t, html.fixed(a, 4), html.fixed(b, 4)] for t, a, b in self.apart(d)],
                ),
            )
            for d in self.differences
        ]
        treatments = count(len(self.treatments), "treatment")
        title = f"{METRICS[self.metric].title} on {self.task.name}, {treatments}"
        return html.element("div", html.element("p", title), html.table(header, rows, left=2), *most)


def compare(
    *scores: Score,
    names: Sequence[str] | None = None,
    metric: str = "pr_auc",
    all_pairs: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
    clusters: Clusters = "both",
    progress: Progress | None = None,
) -> Comparison:
    """Compare the first score with each of the others.

    Args:
        scores: Two or more, of one task.
        names: What to call them; by default the files they came from.
        metric: Which mean over treatments: a key of `polaris_rxrx.metrics.METRICS`.
        all_pairs: Compare every two.
        resamples: Of the intervals and, if there are many comparisons at least, of the sign flips.
        seed: Of both.
        level: Of the intervals; the verdicts' error is 1 - level over all comparisons.
        clusters: What is not independent: pairs of one treatment, of one gene, or both.
        progress: Called with a word, how far, out of how many.

    Raises:
        UsageError: Fewer than two scores, names that do not tell them apart, options out of range.
        DataError: The scores are of different tasks, two hold the very same predictions, or fewer than two
            treatments can be compared.

    >>> task = pr.load_task("task")
    >>> names = ("openphenom", "cellprofiler", "random")
    >>> scores = [pr.score(task, pr.read_predictions(f"{name}.csv", task)) for name in names]
    >>> found = pr.compare(*scores, names=names, all_pairs=True, resamples=1000)
    >>> len(found.differences), found.differences[0].p_corrected < 0.05
    (3, True)
    """
    how = Resampling(resamples, seed, level, clusters)
    of = metric_of(metric)
    names = _names(scores, names)
    _check(scores, names)
    each = np.stack([of.values(s.groups) for s in scores], axis=1)
    defined = ~np.isnan(each[:, 0])
    treatments = tuple(t for t, there in zip(scores[0].treatments, defined, strict=True) if there)
    if len(treatments) < 2:
        raise DataError(
            f"{scores[0].task.name}: {of.title} is defined for {len(treatments)} of its treatments; at "
            "least 2 are needed to tell a difference from noise"
        )
    each = each[defined]
    return Comparison(
        task=scores[0].task,
        metric=metric,
        names=tuple(names),
        scores=tuple(scores),
        treatments=treatments,
        values=each,
        differences=tuple(_differences(scores, of, each, all_pairs, how, progress)),
        resampling=how,
    )


def _differences(
    scores: Sequence[Score],
    metric: Metric,
    each: Floats,
    all_pairs: bool,
    how: Resampling,
    progress: Progress | None,
) -> list[Difference]:
    """What `compare` finds of each two; `each` holds a row a treatment, without NaN, a column a score."""
    pairs = [(a, b) for a, b in combinations(range(len(scores)), 2) if all_pairs or a == 0]
    apart = [each[:, a] - each[:, b] for a, b in pairs]
    deleted = [score.deleted[metric.key] for score in scores]
    variances = [(deleted[a] - deleted[b]).variance() for a, b in pairs]
    stretch = [v.stretch(how.clusters) for v in variances]
    signs = replace(how, resamples=draws(len(pairs), how.resamples))
    # The same signs serve both: what is stretched, and what takes treatments for independent.
    both = pairwise_p(each, pairs * 2, signs, stretch=stretch + [1.0] * len(pairs), progress=progress)
    p, alone = both[: len(pairs)], both[len(pairs) :]
    intervals = bca_each(apart, how)
    # At Holm's first step, the hardest: what is as large is found whatever the others are.
    hardest = 1 - (1 - how.level) / len(pairs)
    return [
        Difference(
            first=a,
            second=b,
            mean=mean_of(d),
            interval=interval.stretched(mean_of(d), variance.stretch(how.clusters), -1.0, 1.0),
            p_value=raw,
            p_corrected=corrected,
            p_value_if_treatments_independent=independent,
            variance=variance,
            wins=int(np.sum(metric.direction * d > TIE)),
            ties=int(np.sum(np.abs(d) <= TIE)),
            losses=int(np.sum(metric.direction * d < -TIE)),
            detectable=detectable(variance.of(how.clusters), level=hardest, power=POWER),
            verdict=_verdict(metric.direction * mean_of(d), corrected, how.level),
            values=d,
        )
        for (a, b), d, interval, variance, raw, corrected, independent in zip(
            pairs, apart, intervals, variances, p, holm(p), alone, strict=True
        )
    ]


def p_value_method(clusters: Clusters) -> str:
    """How p-values are made, in words."""
    plain = "sign-flip permutation over treatments, two-sided"
    if clusters == "treatment":
        return plain
    return f"{plain}, stretched to the variance over {CLUSTERS[clusters]}"


def _names(scores: Sequence[Score], names: Sequence[str] | None) -> list[str]:
    if len(scores) < 2:
        raise UsageError(f"{len(scores)} given; two or more submissions were expected to compare")
    if names is None:
        names = [s.predictions.source for s in scores]
        if len(set(names)) < len(names):  # data frames have no names of their own
            names = [f"{n} {i}" for i, n in enumerate(names, 1)]
    if len(names) != len(scores) or len(set(names)) < len(names):
        raise UsageError(f"{len(scores)} different names were expected, got {list(names)}")
    return list(names)


def _check(scores: Sequence[Score], names: Sequence[str]) -> None:
    for score, name in zip(scores[1:], names[1:], strict=True):
        if not scores[0].task.same_pairs(score.task):
            raise DataError(
                f"{names[0]} was scored on {scores[0].task.name} and {name} on {score.task.name}: the "
                "pairs or their labels differ, so the two cannot be compared"
            )
    for (i, a), (j, b) in combinations(enumerate(scores), 2):
        if np.array_equal(a.predictions.values, b.predictions.values):
            raise DataError(f"{names[i]} and {names[j]} hold the same scores: there is nothing to compare")


def _verdict(ahead: float, p: float, level: float) -> Verdict:
    if p >= 1 - level:
        return "tie"
    return "better" if ahead > 0 else "worse"
