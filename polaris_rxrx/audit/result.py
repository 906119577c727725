"""What an audit found: figures of every shortcut, and checks with their evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from typing_extensions import TypedDict

from polaris_rxrx.audit.shortcuts import Needs, Shortcut, Skipped
from polaris_rxrx.comparison import p_value_method
from polaris_rxrx.documents import Fields
from polaris_rxrx.quick import Check
from polaris_rxrx.scoring import Filled, Score
from polaris_rxrx.stats.intervals import Ends, Interval, plain
from polaris_rxrx.stats.resampling import Resampled, Resampling
from polaris_rxrx.stats.uncertainty import interval_method

SCHEMA_VERSION: Literal[1] = 1


class AuditFiguresDocument(TypedDict):
    """Scores of one set of predictions: means over treatments, and `pooled_` over all pairs at once."""

    pr_auc: float | None
    interval: Ends
    """Of the mean average precision."""
    roc_auc: float | None
    pooled_pr_auc: float | None
    pooled_roc_auc: float | None


class ShortcutDocument(AuditFiguresDocument):
    """Predictions that know one thing only, beside the submission."""

    name: str
    title: str
    knows: str
    direction: str
    needs: Needs
    ranks_within_treatments: bool
    filled: Filled
    difference: float | None
    """Submission less shortcut, in mean average precision."""
    difference_interval: Ends
    p_value: float | None
    """Not corrected for the number of shortcuts."""
    correlation: float | None
    """Spearman's, the mean over treatments."""
    n_correlated: int
    tied: float
    """The share of pairs whose score another pair of their treatment has, too."""
    slope: float | None
    left: float | None
    """Mean average precision of what is left without the shortcut's part."""
    explained: float | None
    """1 - (left - chance) / (submission - chance)."""


class NotComputed(TypedDict):
    """A shortcut that could not be computed, and why."""

    name: str
    title: str
    needs: Needs
    reason: str


class AuditMethod(TypedDict):
    """How the figures were made."""

    interval: str
    level: float
    resamples: int
    seed: int
    p_value: str
    chance: str
    explained: str


class AuditDocument(TypedDict):
    """An audit of one submission."""

    schema_version: Literal[1]
    task: str
    predictions: str
    predictions_sha256: str | None
    n_pairs: int
    n_treatments: int
    method: AuditMethod
    submission: AuditFiguresDocument
    chance: float | None
    """The mean average precision that random scores expect."""
    shortcuts: list[ShortcutDocument]
    """By average precision, the highest first."""
    not_computed: list[NotComputed]
    checks: list[Fields[Check]]
    failed: list[str]
    notes: list[str]


@dataclass(frozen=True)
class AuditFigures:
    """Scores of one set of predictions; NaN where undefined. `pooled_` ones are over all pairs at once."""

    pr_auc: float
    interval: Interval
    roc_auc: float
    pooled_pr_auc: float
    pooled_roc_auc: float

    def to_dict(self) -> AuditFiguresDocument:
        """For JSON."""
        return {
            "pr_auc": plain(self.pr_auc),
            "interval": self.interval.ends(),
            "roc_auc": plain(self.roc_auc),
            "pooled_pr_auc": plain(self.pooled_pr_auc),
            "pooled_roc_auc": plain(self.pooled_roc_auc),
        }


@dataclass(frozen=True, eq=False)
class ShortcutResult:
    """A shortcut beside the submission; NaN where undefined.

    `difference` is submission - shortcut in mean average precision, with its interval and the p-value of the
    sign-flip test (as `polaris_rxrx.comparison` has them). `correlation` is the mean over `n_correlated`
    treatments of Spearman's. `tied` is the share of pairs whose score another pair of their treatment has
    too. `slope`, `left` (the mean average precision of what is left) and `explained` are those of
    `polaris_rxrx.stats.explain`.
    """

    shortcut: Shortcut
    figures: AuditFigures
    difference: float
    difference_interval: Interval
    p_value: float
    correlation: float
    n_correlated: int
    tied: float
    slope: float | None
    left: float
    explained: float

    def to_dict(self) -> ShortcutDocument:
        """For JSON."""
        kind = self.shortcut.kind
        return {
            "name": kind.name,
            "title": kind.title,
            "knows": kind.knows,
            "direction": kind.direction,
            "needs": kind.needs,
            "ranks_within_treatments": kind.by != "compound",
            "filled": {"n_pairs": self.shortcut.filled, "score": self.shortcut.fill},
            **self.figures.to_dict(),
            "difference": plain(self.difference),
            "difference_interval": self.difference_interval.ends(),
            "p_value": plain(self.p_value),
            "correlation": plain(self.correlation),
            "n_correlated": self.n_correlated,
            "tied": self.tied,
            "slope": self.slope,
            "left": plain(self.left),
            "explained": plain(self.explained),
        }


@dataclass(frozen=True, eq=False)
class Audit(Resampled):
    """An audit of one submission. `shortcuts` are sorted by average precision, highest first."""

    score: Score
    figures: AuditFigures
    chance: float
    shortcuts: tuple[ShortcutResult, ...]
    skipped: tuple[Skipped, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    resampling: Resampling

    @property
    def failed(self) -> list[Check]:
        return [c for c in self.checks if c.verdict == "fail"]

    def check(self, name: str) -> Check:
        """A check by its name."""
        return next(c for c in self.checks if c.name == name)

    def to_dict(self) -> AuditDocument:
        """For JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "task": self.score.task.name,
            "predictions": self.score.predictions.source,
            "predictions_sha256": self.score.predictions.sha256,
            "n_pairs": self.score.n_pairs,
            "n_treatments": self.score.n_treatments,
            "method": {
                "interval": interval_method(self.clusters),
                "level": self.level,
                "resamples": self.resamples,
                "seed": self.seed,
                "p_value": f"{p_value_method(self.clusters)}, not corrected for their number",
                "chance": "what random scores without ties expect, exactly",
                "explained": "1 - (left - chance) / (submission - chance); left: the mean average precision "
                "after the shortcut's part of the within-treatment mid-ranks is removed (one least-squares "
                "slope, if positive)",
            },
            "submission": self.figures.to_dict(),
            "chance": plain(self.chance),
            "shortcuts": [s.to_dict() for s in self.shortcuts],
            "not_computed": [
                {"name": s.kind.name, "title": s.kind.title, "needs": s.kind.needs, "reason": s.reason}
                for s in self.skipped
            ],
            "checks": [c.to_dict() for c in self.checks],
            "failed": [c.name for c in self.failed],
            "notes": list(self.notes),
        }
