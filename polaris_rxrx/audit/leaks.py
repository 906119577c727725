"""Traces of labels in scores: one function per check.

Conventions
    A check looks at labeled pairs only. Verdicts: `fail` where an honest submission would hardly look like
    this, `warn` where it should be explained, `ok`, and `not checked` with the reason. The thresholds are the
    constants below; each check's words give the figures that were compared with them. The quick ones, which
    `submit` makes too, are in `polaris_rxrx.quick`.

Perfect treatments
    Chance separates some, a good model more of them, so neither count alone accuses anybody. Two comparisons
    do. Near misses: where a treatment has several actives and several inactives, an honest model that
    separates it is about as likely to leave a pair or three in the wrong order; leaked labels never do.
    The rest: how many would be perfect if all treatments were like those that are not
    (`polaris_rxrx.audit.separation`). Too many by the first fail a submission, or somewhat too many by both;
    by the second alone it is only warned of: honest submissions differ in how strong and weak treatments mix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from polaris_rxrx.audit.result import AuditFigures
from polaris_rxrx.audit.separation import Separation, separation, tail
from polaris_rxrx.errors import some
from polaris_rxrx.quick import NAMED, Check, Scored, Verdict
from polaris_rxrx.suites import published
from polaris_rxrx.types import Floats, Ints

HARD = 3  # actives and inactives that a treatment needs for its near misses to tell
NEAR = 3.0  # wrongly ordered (active, inactive) pairs of a near miss, at most
P_FAIL, P_BOTH, P_WARN = 1e-5, 1e-3, 1e-2  # perfect treatments against near misses
P_REST, TIMES_REST = 1e-6, 3.0  # perfect treatments against what the rest foretells


@dataclass(frozen=True, eq=False)
class Labeled(Scored):
    """The labeled pairs of a submission, with codes of their genes; `place` is that of `explain.places`."""

    gene: Ints
    place: Floats


def separated(x: Labeled, inversions: Floats, *, seed: int) -> Check:
    """Perfectly separated treatments against chance, near misses, and the rest of the submission.

    Args:
        x: The labeled pairs.
        inversions: Of each treatment, how many (active, inactive) pairs are in the wrong order, a tie
            counting one half.
        seed: Of the order in which ties are taken.
    """
    title = "perfectly separated treatments"
    found = separation(x.active, x.score, x.group, len(x.names), seed=seed)
    hard = (x.m >= HARD) & (x.n - x.m >= HARD)
    perfect_hard = int((found.perfect & hard).sum())
    with np.errstate(invalid="ignore"):
        near = int((hard & ~found.perfect & (inversions <= NEAR)).sum())
    p_near = _half(perfect_hard, near)
    order = np.argsort(np.where(found.perfect, found.chance, np.inf), kind="stable")[: found.seen]
    evidence: dict[str, Any] = {
        "treatments_with_both_classes": found.n,
        "perfect": found.seen,
        "expected_by_chance": found.expected,
        "p_value_chance": found.p_value,
        "expected_from_the_rest": found.expected_rest,
        "p_value_rest": found.p_value_rest,
        "auroc_of_the_rest": found.auroc_rest,
        "hard_treatments": int(hard.sum()),
        "hard_perfect": perfect_hard,
        "hard_near_misses": near,
        "p_value_near_misses": p_near,
        "names": [x.names[i] for i in order.tolist()],
    }
    if not found.n:
        return Check(
            "separation", title, "not checked", "no treatment has labeled pairs of both classes", evidence
        )
    words = f"{found.seen:,} of {found.n:,}; {found.expected:.1f} expected by chance"
    if found.expected_rest is not None:
        words += f", {found.expected_rest:.1f} from how the others are ranked (p = {found.p_value_rest:.1g})"
    if hard.any():
        words += (
            f"; of those with {HARD} or more actives {perfect_hard:,} are perfect and {near:,} nearly so "
            f"(at most {NEAR:g} pairs in the wrong order)"
        )
    verdict = _separated(found, p_near)
    if verdict != "ok":
        words += (
            f". Labels give perfect treatments and no near misses, a good model gives both. Least likely: "
            f"{some([x.names[i] for i in order.tolist()], NAMED)}"
        )
    return Check("separation", title, verdict, words, evidence)


def _separated(found: Separation, p_near: float) -> Verdict:
    unlikely = found.p_value < P_REST
    rest, p_rest = found.expected_rest, found.p_value_rest
    if rest is None or p_rest is None:
        beyond = found.seen == found.n > 1
    else:
        beyond = unlikely and p_rest < P_REST and found.seen >= TIMES_REST * rest
    if unlikely and (p_near < P_FAIL or (beyond and p_near < P_BOTH) or found.seen >= 0.9 * found.n):
        return "fail"
    return "warn" if beyond or (unlikely and p_near < P_WARN) else "ok"


def _half(seen: int, others: int) -> float:
    """P(at least `seen` heads of seen + others throws of a coin)."""
    return tail(np.full(seen + others, 0.5), seen)


def above_published(figures: AuditFigures) -> Check:
    """The interval of mean average precision against the highest figure anybody published."""
    title = "above anything published"
    rows = [
        (figure.value, figure.model, table.source)
        for table in map(published.load, published.ALL)
        for figure in table.figures()
        if figure.suite == "drug-target" and figure.quantity == "average_precision"
    ]
    highest, model, source = max(rows)
    half_way = (1 + highest) / 2
    low = figures.interval.low
    evidence: dict[str, Any] = {
        "pr_auc": figures.pr_auc,
        "interval_low": None if np.isnan(low) else low,
        "highest_published": highest,
        "model": model,
        "source": source,
        "half_way_to_perfect": half_way,
    }
    best = f"the highest published figure ({highest:.3f}, {model}, {source}; its own pairs and protocol)"
    if np.isnan(low):
        return Check("published", title, "not checked", "the score has no interval to compare", evidence)
    if low <= highest:
        return Check("published", title, "ok", f"the interval reaches down to {low:.3f}; {best}", evidence)
    words = f"the whole interval, from {low:.3f} on, is above {best}"
    if low > half_way:
        return Check(
            "published", title, "fail",
            f"{words}, and above half way from there to perfect ({half_way:.3f}): were these labels, or the "
            "databases they are from, part of the training?", evidence,
        )  # fmt: skip
    return Check("published", title, "warn", f"{words}: be ready to explain it", evidence)
