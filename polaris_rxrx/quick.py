"""Quick checks of predictions: what nobody means to send, told before it is sent.

Conventions
    Four checks that need the task and the scores alone, cost less than scoring, and are shared by `score`,
    `submit` and `audit`: scores that are the labels, scores that rank nothing (a constant, the untouched
    sample submission), scores the wrong way up, scores of two values. Where a task has labels, a check looks
    at labeled pairs only; a competition has none, so there only the second and the last are made, over all
    pairs. Verdicts: `fail` where an honest submission would hardly look like this, `warn` where it should be
    explained, `ok`, and `not checked` with the reason.
    `refused` names those that `submit` sends under no circumstances: whole labels, and what ranks nothing.
    Ways: a treatment of n pairs with m actives can be labeled in C(n, m) ways.

The wrong way up
    AUROC of a random order of n pairs, m active, has the variance (n + 1) / (12 m (n - m)) (Mann and Whitney,
    Ann. Math. Stat. 18 (1947) 50-60; ties only lower it). The mean over treatments is compared with 0.5 in
    units of the standard deviation that follows, times `SHARED`: compounds are scored against the same genes,
    and scores with an effect for each gene spread by so much more than independent treatments would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import lgamma
from typing import Any, Literal

import numpy as np

from polaris_rxrx.documents import Fields, Open, fields_of
from polaris_rxrx.errors import some
from polaris_rxrx.metrics import PR_AUC, GroupScores, group_scores
from polaris_rxrx.present.numbers import count
from polaris_rxrx.scoring import Score, ScoreReport
from polaris_rxrx.stats.uncertainty import Uncertainty, UncertaintyDocument
from polaris_rxrx.task import SAMPLE, Task
from polaris_rxrx.types import Bools, Floats, Ints

Verdict = Literal["fail", "warn", "ok", "not checked"]

SURE = 6.0  # decimal digits of odds against: one in a million
SHARED = 1.7  # spread of a mean over treatments that share genes, in that of independent ones
NAMED = 4  # names in a line; the evidence has all of them
REVERSED = -3.0  # standard deviations of mean AUROC from 0.5 that chance does not give


@dataclass(frozen=True)
class Check:
    """One question, the answer in words, and what it rests on: plain JSON values."""

    name: str
    title: str
    verdict: Verdict
    words: str
    evidence: Open = field(default_factory=dict)

    def to_dict(self) -> Fields[Check]:
        return fields_of(self)

    @property
    def told(self) -> bool:
        """Whether somebody should hear of it."""
        return self.verdict in ("fail", "warn")


class CheckedReport(ScoreReport):
    """The score report, with how sure it is and what is odd about the predictions."""

    uncertainty: UncertaintyDocument
    checks: list[Fields[Check]]


@dataclass(frozen=True, eq=False)
class Scored:
    """Pairs that count, arrays of (n_pairs,): `active` 1 or 0, `score`, `group` a code into `names`."""

    active: Floats
    score: Floats
    group: Ints
    names: Sequence[str]

    @property
    def n(self) -> Ints:
        return np.bincount(self.group, minlength=len(self.names))

    @property
    def m(self) -> Ints:
        return np.bincount(self.group[self.active == 1], minlength=len(self.names))

    def pick(self, which: Bools) -> list[str]:
        return [self.names[i] for i in np.flatnonzero(which).tolist()]


def check(task: Task, values: Floats) -> list[Check]:
    """All quick checks of scores in official order, shape (n,).

    The untouched sample submission ranks nothing:

    >>> task = pr.load_task("task")
    >>> {c.name: c.verdict for c in check(task, np.zeros(len(task)))}["constant"]
    'fail'
    """
    group, names = task.groups("treatment")
    values = np.asarray(values, dtype=np.float64)
    if task.active is None:
        x = Scored(np.zeros(len(values)), values, group, names)
        return [constant(x), two_values(x)]
    keep = ~np.isnan(task.active)
    x = Scored(task.active[keep], values[keep], group[keep], names)
    groups = group_scores(x.active, x.score, x.group, len(names))
    return [holds_labels(x), constant(x), direction(x, groups), two_values(x)]


def report(of: Score, certainty: Uncertainty, checks: Sequence[Check]) -> CheckedReport:
    """The score report with these."""
    return {
        **of.to_dict(),
        "uncertainty": certainty.to_dict(),
        "checks": [check.to_dict() for check in checks],
    }


def refused(checks: Sequence[Check], task: Task) -> list[Check]:
    """Those for which nothing may be sent.

    Scores that are constant in each treatment do rank pairs if a metric of the task is pooled, or over genes.

    >>> task = pr.load_task("task")
    >>> [c.name for c in refused(check(task, task.active), task)]  # whoever sends the labels learns nothing
    ['labels']
    """
    within = all(metric.group_by == "treatment" for metric in task.metrics)
    found = []
    for c in checks:
        labels = c.name == "labels" and (c.verdict == "fail" or bool(c.evidence.get("themselves")))
        nothing = c.name == "constant" and c.verdict == "fail" and (within or c.evidence["different"] == 1)
        if labels or nothing:
            found.append(c)
    return found


def lines(checks: Sequence[Check], *, brief: bool = False) -> list[str]:
    """What to tell of them, one line per check.

    With `brief` nothing that a score shows anyway: that it is below chance, or has some constant treatments.

    >>> task = pr.load_task("task")
    >>> [line.split(", as")[0] for line in lines(check(task, np.zeros(len(task))), brief=True)]
    ['Constant treatments: all 997 scores are 0: the submission ranks nothing']
    """
    told = [c for c in checks if c.told]
    if any(c.name == "labels" for c in told):  # they are of two values, and that is not what matters
        told = [c for c in told if c.name != "two-values"]
    if brief:
        told = [c for c in told if c.name != "direction" or c.evidence["reversed"]]
        told = [c for c in told if c.name != "constant" or c.verdict == "fail"]
    return [f"{c.title[0].upper()}{c.title[1:]}: {c.words}" for c in told]


def ends(x: Scored) -> tuple[Floats, Floats]:
    """Lowest and highest score of each treatment."""
    low, high = np.full(len(x.names), np.inf), np.full(len(x.names), -np.inf)
    np.minimum.at(low, x.group, x.score)
    np.maximum.at(high, x.group, x.score)
    return low, high


def holds_labels(x: Scored) -> Check:
    """Scores of two values that are the labels, whatever the two values are."""
    low, high = ends(x)
    both = (x.m > 0) & (x.m < x.n)
    at_high, at_low = x.score == high[x.group], x.score == low[x.group]
    two = both & (low < high) & (np.bincount(x.group, ~(at_high | at_low), minlength=len(x.names)) == 0)
    wrong = np.bincount(x.group, at_high != (x.active == 1), minlength=len(x.names))
    upright, upside_down = two & (wrong == 0), two & (wrong == x.n)
    match = upright | upside_down
    digits = float(((log_ways(x.n, x.m) - np.log(2)) / np.log(10))[match].clip(0).sum())
    evidence: dict[str, Any] = {
        "treatments_with_both_classes": int(both.sum()),
        "treatments_of_two_scores": int(two.sum()),
        "treatments_that_match": int(match.sum()),
        "treatments_upside_down": int(upside_down.sum()),
        "log10_ways": round(digits, 3),
        "names": x.pick(match),
        "themselves": bool(both.any()) and np.array_equal(x.score, x.active),
    }
    title = "scores that are the labels"
    if not match.any():
        return Check("labels", title, "ok", "in no treatment are the scores the labels", evidence)
    of = f"of {count(int(both.sum()), 'treatment')}"
    words = f"in {int(match.sum()):,} {of} the scores take two values, and those are the labels"
    if upside_down.any():
        words += f" ({int(upside_down.sum()):,} upside down)"
    whole = match[both].all()
    if whole:
        values = x.score[both[x.group]]
        exact = np.array_equal(values, x.active[both[x.group]])
        words += ": the labels themselves" if exact else ": the labels on another scale"
    words += f": {some(x.pick(match), NAMED)}"
    share = match.sum() / two.sum()
    if digits >= SURE and share >= 0.9:
        return Check("labels", title, "fail", f"{words}; by chance 1 in 10^{digits:.0f}", evidence)
    if whole or (digits >= SURE and share >= 0.5):
        return Check("labels", title, "warn", f"{words}; by chance 1 in 10^{digits:.0f}", evidence)
    return Check("labels", title, "ok", f"{words}; few enough for honest scores of two values", evidence)


def constant(x: Scored) -> Check:
    """Treatments whose pairs all have one score."""
    title = "constant treatments"
    low, high = ends(x)
    several = x.n > 1
    same = several & (low == high)
    different = len(np.unique(x.score))
    evidence: dict[str, Any] = {
        "treatments": int(several.sum()),
        "constant": int(same.sum()),
        "names": x.pick(same),
        "different": different,
        "sample_submission": different == 1 and not x.score.any(),
    }
    if len(x.score) > 1 and different == 1:
        words = f"all {len(x.score):,} scores are {x.score[0]:g}: the submission ranks nothing"
        if evidence["sample_submission"]:
            words += f", as the untouched {SAMPLE} does"
        return Check("constant", title, "fail", words, evidence)
    if not several.any():
        return Check("constant", title, "not checked", "no treatment has two labeled pairs", evidence)
    if not same.any():
        return Check("constant", title, "ok", "the scores vary within every treatment", evidence)
    words = (
        f"in {int(same.sum()):,} of {count(int(several.sum()), 'treatment')} all scores are equal; average "
        "precision is the share of actives there, below what random scores get"
    )
    if same[several].all():
        return Check("constant", title, "fail", f"{words}: the submission ranks nothing", evidence)
    return Check("constant", title, "warn", f"{words}: {some(x.pick(same), NAMED)}", evidence)


def direction(x: Scored, groups: GroupScores) -> Check:
    """Scores of which a low one means active, and scores that are no better than chance.

    Args:
        x: The labeled pairs.
        groups: Their scores by treatment.
    """
    title = "direction of the scores"
    defined = ~np.isnan(groups.auroc)
    if not defined.any():
        words = "no treatment has labeled pairs of both classes"
        return Check("direction", title, "not checked", words)
    ranked = ~np.isnan(groups.average_precision)
    over = group_scores(x.active, -x.score, x.group, len(x.names))
    n, m = groups.n_pairs[defined], groups.n_active[defined]
    auroc, ap = float(groups.auroc[defined].mean()), float(groups.average_precision[ranked].mean())
    chance = float(PR_AUC.chance(groups)[ranked].mean())
    ap_over = float(over.average_precision[ranked].mean())
    spread = SHARED * float(np.sqrt(((n + 1) / (12 * m * (n - m))).sum())) / len(n)
    far = (auroc - 0.5) / spread
    evidence: dict[str, Any] = {
        "roc_auc": auroc,
        "pr_auc": ap,
        "chance_pr_auc": chance,
        "roc_auc_reversed": 1 - auroc,
        "pr_auc_reversed": ap_over,
        "standard_deviations": round(far, 3),
        "reversed": far <= REVERSED,
    }
    if far <= REVERSED:
        words = (
            f"AUROC {auroc:.2f} is further below 0.5 than chance gives: 1 - AUROC would be {1 - auroc:.2f} "
            f"(average precision {ap_over:.3f}, where it is {ap:.3f}). Higher means more likely active: are "
            "these distances, ranks or p-values? Then send their negatives"
        )
        return Check("direction", title, "warn", words, evidence)
    below = [
        f"{name} {value:.4f} (chance {by_chance:.4f})"
        for name, value, by_chance in (("average precision", ap, chance), ("AUROC", auroc, 0.5))
        if value < by_chance - 1e-9
    ]
    if below:
        over_words = f"; 1 - AUROC would be {1 - auroc:.2f}" if auroc < 0.5 else ""
        words = f"below chance: {', '.join(below)}{over_words}"
        return Check("direction", title, "warn", words, evidence)
    return Check("direction", title, "ok", f"average precision {ap:.4f}, by chance {chance:.4f}", evidence)


def two_values(x: Scored) -> Check:
    """Scores that were turned into a yes or no: of two values, over all pairs or in each treatment."""
    title = "scores of two values"
    order = np.lexsort((x.score, x.group))
    s, g = x.score[order], x.group[order]
    new = np.r_[True, (s[1:] != s[:-1]) | (g[1:] != g[:-1])][: len(s)]
    each = np.bincount(g[new], minlength=len(x.names))
    values = np.unique(x.score)
    evidence: dict[str, Any] = {
        "different_scores": len(values),
        "most_in_a_treatment": int(each.max(initial=0)),
        "treatments_of_three_pairs": int((x.n > 2).sum()),
    }
    if not (x.n > 2).any():
        return Check("two-values", title, "not checked", "no treatment has three pairs", evidence)
    if len(values) == 1 or each.max() != 2:
        most = f"up to {count(int(each.max()), 'different score')} in a treatment"
        return Check("two-values", title, "ok", most, evidence)
    where = (
        f"all {len(x.score):,} scores are {values[0]:g} or {values[1]:g}"
        if len(values) == 2
        else "no treatment has more than two different scores"
    )
    words = (
        f"{where}: were they cut at a threshold? Average precision and AUROC need the order, so the scores "
        "before the cut are worth more"
    )
    return Check("two-values", title, "warn", words, evidence)


def log_ways(n: Ints, m: Ints) -> Floats:
    """log C(n, m), elementwise."""
    most = int(n.max(initial=0))
    factorial = np.array([lgamma(i + 1) for i in range(most + 1)])
    found: Floats = factorial[n] - factorial[m] - factorial[n - m]
    return found
