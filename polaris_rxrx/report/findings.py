"""The report in plain words and set numbers: what a reader who is no statistician should take away.

Conventions
    Every sentence follows from the material's figures alone. A figure that is not defined is a dash. Shares
    are of the way from chance to perfect. "Better" and "worse" are said only where the test behind them says
    so; what was not seen is never called absent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polaris_rxrx.comparison import POWER, Difference, p_value_method
from polaris_rxrx.present.html import DASH, fixed, signed, span
from polaris_rxrx.present.numbers import count, p_value, percent
from polaris_rxrx.stats.intervals import Interval
from polaris_rxrx.stats.uncertainty import Uncertainty, interval_method

if TYPE_CHECKING:
    from polaris_rxrx.report.material import Material, Reference


@dataclass(frozen=True)
class KeyFigure:
    """One of the figures at the top: what it is, its value, and a line beneath."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Answer:
    """A question a reader has; the short answer, and a sentence or two."""

    question: str
    short: str
    text: str


def share(value: float, digits: int = 1) -> str:
    """6.9%, or a dash."""
    text = fixed(100 * value, digits)
    return text if text == DASH else f"{text}%"


def p_text(p: float, resamples: int) -> str:
    """p = 0.03; p ≤ 0.0001 where no smaller one can be told from so many draws."""
    if not math.isfinite(p):
        return f"p {DASH}"
    return f"p {'≤' if p <= 1.0000001 / (resamples + 1) else '='} {p_value(p)}"


def key_figures(material: Material) -> list[KeyFigure]:
    """What stands at the top."""
    u = material.uncertainty
    ap, auroc, level = u.pr_auc, u.roc_auc, percent(u.level)
    return [
        KeyFigure("Average precision", fixed(ap.value), f"{level} interval {span(ap.interval)}"),
        KeyFigure("Chance", fixed(ap.chance), "what random scores expect, exactly"),
        KeyFigure(
            "Share above chance",
            share(ap.normalised),
            f"of the way to perfect; {level} interval {_share_span(ap.normalised_interval)}",
        ),
        KeyFigure("AUROC", fixed(auroc.value), f"{level} interval {span(auroc.interval)}; chance is 0.5"),
        KeyFigure(
            "Against chance",
            p_text(ap.p_value, u.resamples),
            f"{count(u.resamples, 'random order')}, one-sided",
        ),
    ]


def answers(material: Material) -> list[Answer]:
    """The questions in the order a reader asks them."""
    found = [_how_good(material), _how_sure(material), _better_than_chance(material)]
    found.append(_about_compound(material))
    if material.comparison is not None:
        found += [
            difference_answer(d, material.comparison.names, material.comparison.level)
            for d in material.comparison.differences
        ]
    return found


def _share_span(interval: Interval) -> str:
    if not math.isfinite(interval.low):
        return DASH
    return f"{share(interval.low)} to {share(interval.high)}"


def _how_good(material: Material) -> Answer:
    ap, score = material.uncertainty.pr_auc, material.score
    return Answer(
        "How good is it?",
        fixed(ap.value),
        f"For each of {count(score.n_scored_pr_auc, 'treatment')} the genes are ranked by their predicted "
        "score. Average precision is high when the genes the compound acts on come first: 1 is a perfect "
        f"ranking, and a random one would reach {fixed(ap.chance)} on these very pairs. The mean over "
        f"treatments is {fixed(ap.value)}; averaged over treatments, that is {share(ap.normalised)} of the "
        "way from chance to perfect.",
    )


def _how_sure(material: Material) -> Answer:
    u = material.uncertainty
    if not math.isfinite(u.pr_auc.interval.low):
        text = "With fewer than two treatments there is no interval: how the mean would vary is not known."
    else:
        text = (
            f"The {percent(u.level)} interval says how far the mean would move with other compounds of the "
            f"same kind{' and other genes' if u.clusters != 'treatment' else ''}: it comes from drawing the "
            "treatments anew"
            f"{_widened(u.pr_auc.variance.stretch(u.clusters))}. It knows nothing of other choices of "
            "negatives or other runs of the model."
        )
    return Answer("How sure is that?", span(u.pr_auc.interval), text)


def _widened(factor: float) -> str:
    """What was made of the genes that treatments share."""
    if factor < 1.005:
        return ""
    return f", and is {factor:.2f} times as wide as that gives because the treatments share genes"


def _about_compound(material: Material) -> Answer:
    score = material.score
    stays = score.about_compound
    if not math.isfinite(stays):
        return Answer(
            "Is it about the compound?", "Not known", "No gene is scored in more than one treatment."
        )
    return Answer(
        "Is it about the compound?",
        f"{fixed(stays)} of {fixed(score.above_chance)}",
        "Some genes are placed high or low whatever the compound. Of the "
        f"{fixed(score.above_chance)} that the score is above chance, {fixed(stays)} is left once each "
        "gene's places in the other treatments are taken off.",
    )


def _better_than_chance(material: Material) -> Answer:
    u = material.uncertainty
    p = u.pr_auc.p_value
    told = p_text(p, u.resamples)
    if not math.isfinite(p):
        return Answer("Is it better than chance?", "Not known", "There is nothing to test.")
    if p < 1 - u.level:
        drawn = (
            f"none of {u.resamples:,} did"
            if p <= 1.0000001 / (u.resamples + 1)
            else f"{share(p, 2)} of {u.resamples:,} do"
        )
        text = (
            f"Random orders of every treatment's genes{_spread(u)} hardly ever reach this mean: "
            f"{drawn} ({told})."
        )
        return Answer("Is it better than chance?", "Yes", text)
    text = (
        f"Random orders of every treatment's genes{_spread(u)} reach this mean in {share(p, 0)} of "
        f"{u.resamples:,} draws ({told}): these predictions cannot be told from random "
        "ones. That does not prove that they are."
    )
    return Answer("Is it better than chance?", "Not shown", text)


def _spread(u: Uncertainty) -> str:
    """What was made of the genes that treatments share, of a p-value."""
    return "" if u.clusters == "treatment" else ", spread as far as the genes they share spread a score,"


def difference_answer(d: Difference, names: tuple[str, ...], level: float) -> Answer:
    """Is the first of two better?"""
    other = names[d.second]
    wins = (
        f"It is better in {count(d.wins, 'treatment')}, worse in {d.losses:,}"
        f"{f', equal in {d.ties:,}' if d.ties else ''}."
    )
    ends = (
        f"The mean difference is {signed(d.mean)} ({percent(level)} interval {signed(d.interval.low)} to "
        f"{signed(d.interval.high)}; p = {p_value(d.p_corrected)} after Holm's correction)."
    )
    if d.verdict == "tie":
        text = (
            f"{ends} {wins} No difference was seen, which is not the same as none: a true one of "
            f"{fixed(d.detectable)} or more would have been found {POWER:.0%} of the time."
        )
        return Answer(f"Is it better than {other}?", "Not shown", text)
    short = "Yes" if d.verdict == "better" else "No, worse"
    return Answer(f"Is it better than {other}?", short, f"{ends} {wins}")


def terms(material: Material) -> list[tuple[str, str]]:
    """What each figure of the page is."""
    u = material.uncertainty
    found = [
        (
            "Average precision (AP)",
            "The sum over thresholds of (gain in recall) x (precision there), treatment by treatment, as "
            "scikit-learn's average_precision_score; genes of equal score are one threshold. The score is "
            "the mean over treatments with an active pair.",
        ),
        (
            "AUROC",
            "The share of (active, inactive) pairs of a treatment in the right order, a tie counting one "
            "half; the mean is over treatments with both.",
        ),
        (
            "Chance",
            "The exact expectation of average precision under random scores, of the numbers of pairs and "
            "actives alone; for AUROC 0.5.",
        ),
        (
            "Share above chance (normalized AP)",
            "The mean over treatments of (AP - chance) / (1 - chance): 0 is chance, 1 perfect.",
        ),
        (
            "Interval",
            f"{percent(u.level)} {interval_method(u.clusters)}, {u.resamples:,} resamples, seed {u.seed}.",
        ),
        (
            "p against chance",
            f"The share of {u.resamples:,} random orders within every treatment, ties of the predictions "
            "kept, whose mean reaches the score; one-sided, itself counted, so never 0."
            + (
                ""
                if u.clusters == "treatment"
                else " These means are spread as far as genes shared between treatments spread the score."
            ),
        ),
    ]
    if material.comparison is not None:
        found += [
            (
                "p and p (Holm)",
                f"Of the mean difference: {p_value_method(material.comparison.clusters)}; Holm's "
                f"correction over {count(len(material.comparison.differences), 'comparison')}.",
            ),
            (
                "Verdict",
                f"Better or worse where p (Holm) is below {1 - material.comparison.level:.2g}; elsewhere "
                "a difference was not shown (a tie, in figures and files).",
            ),
            (
                "Minimum detectable difference",
                "The smallest true mean difference that such a test would find four times in five, at the "
                "spread of these differences and with the correction.",
            ),
        ]
    return found


def sentence(text: str) -> str:
    """A note as a sentence: a full stop, and a capital letter unless it begins with such as pr_auc."""
    if text.partition(" ")[0].isalpha():
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."


def spread_text(reference: Reference) -> str:
    """± 0.016 (sd), or a dash."""
    if reference.spread is None:
        return DASH
    kind = f" ({reference.spread_kind})" if reference.spread_kind else ""
    return f"± {fixed(reference.spread)}{kind}"


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested plain values as (name, text) rows; a list on one line, an empty one as a dash."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix} › {key}" if prefix else str(key)
        if isinstance(value, dict) and value:
            rows += flat(value, name)
        elif isinstance(value, (list, tuple)) and any(isinstance(v, dict) for v in value):
            for i, item in enumerate(value, 1):
                rows += (
                    flat(item, f"{name} {i}") if isinstance(item, dict) else [(f"{name} {i}", _plain(item))]
                )
        else:
            rows.append((name, _plain(value)))
    return rows


def _plain(value: Any) -> str:
    if value is None or value in ({}, [], (), ""):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    return format(value, ".12g") if isinstance(value, float) else str(value)
