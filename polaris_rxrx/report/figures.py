"""The report's figures, one function each; `draw` makes those there is material for.

Conventions
    Figures are `matplotlib.figure.Figure` objects of one width, made without pyplot and without a display;
    see `polaris_rxrx.present.style` for how they look, `polaris_rxrx.present.svg` for how they are written.
    Bars are the intervals of the material; where there is none (one treatment) no bar is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polaris_rxrx.metrics import PR_AUC
from polaris_rxrx.present.html import fixed, signed, span
from polaris_rxrx.present.numbers import count, p_value, percent
from polaris_rxrx.present.style import (
    BAD,
    COLORS,
    GOOD,
    GRID,
    INK,
    MUTED,
    bar,
    drawing,
    footnote,
    lay_out,
    legend_below,
    literal,
    look,
    new_figure,
    rows,
    value_at_end,
)
from polaris_rxrx.present.svg import inline_svg, write
from polaris_rxrx.report.breakdown import Breakdown
from polaris_rxrx.report.doses import DoseCurve
from polaris_rxrx.report.material import Material
from polaris_rxrx.stats.intervals import Interval
from polaris_rxrx.types import Floats, Ints

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "inline_svg", "write"]


FEW = 30  # treatments that are shown one by one
MOST_PARTS = 30
NAMED_GENES = 4
VERDICTS = {"better": ("^", GOOD), "worse": ("v", BAD), "tie": ("o", MUTED)}


def draw(material: Material) -> dict[str, Figure]:
    """Every figure there is material for, by name, in the order of a report."""
    makers: dict[str, Callable[[Material], Figure | None]] = {
        "scale": _scale,
        "treatments": _treatments,
        "precision-recall": _precision_recall,
        "roc": _roc,
        "comparison": _comparison,
        "classes": lambda m: _parts("classes", m.target_classes, m),
        "potency": lambda m: _parts("potency", m.potency, m),
        "doses": _doses,
    }
    with drawing():
        made = {name: make(material) for name, make in makers.items()}
        figures = {name: figure for name, figure in made.items() if figure is not None}
        for figure in figures.values():
            lay_out(figure)
    return figures


def _scale(material: Material) -> Figure:
    """The score beside chance and published scores."""
    sure = material.uncertainty.pr_auc
    sources = list(dict.fromkeys(r.source for r in material.references))
    labels = [literal(material.names[0]), "chance on this task"]
    labels += [f"{literal(r.model)} [{sources.index(r.source) + 1}]" for r in material.references]
    title = "The score beside chance"
    if material.references:
        title += " and published scores\n(open: other protocols, for orientation only, not to rank against)"
    figure = new_figure("scale", title, 1.5 + 0.27 * len(labels) + 0.16 * len(sources))
    ax = figure.add_subplot()
    bar(ax, sure.interval, 0, COLORS[0], 3)
    ax.plot(sure.value, 0, "o", color=COLORS[0], ms=9)
    ends = [sure.value, sure.chance, *([] if np.isnan(sure.interval.high) else [sure.interval.high])]
    value_at_end(ax, 0, _told(sure.value, sure.interval), weight="bold")
    ax.axvline(sure.chance, color=INK, ls=(0, (4, 2)), lw=1)
    ax.plot(sure.chance, 1, "|", color=INK, ms=10, mew=2)
    value_at_end(ax, 1, fixed(sure.chance))
    for y, r in enumerate(material.references, 2):
        spread = r.spread or 0.0
        if spread:
            ax.plot([r.value - spread, r.value + spread], [y, y], color=MUTED, lw=1)
        ax.plot(r.value, y, "D", mfc="none", mec=MUTED, ms=5, mew=1)
        value_at_end(ax, y, fixed(r.value) + (f" ± {fixed(r.spread)}" if r.spread else ""))
        ends.append(r.value + spread)
    rows(ax, labels)
    ax.set_xlim(0, min(1.02, max(ends) + 0.05))
    ax.set_xlabel("average precision, mean over treatments")
    told = [f"point and bar: the score and its {percent(material.uncertainty.level)} interval"]
    for i, source in enumerate(sources, 1):
        kinds = {r.spread_kind for r in material.references if r.source == source and r.spread}
        spreads = f"; bars: {' or '.join(sorted(str(k) for k in kinds))} over samplings" if kinds else ""
        told.append(f"[{i}] {literal(source, 110)}{spreads}")
    footnote(figure, told)
    return figure


def _told(value: float, interval: Interval) -> str:
    return fixed(value) + ("" if np.isnan(interval.low) else f" ({span(interval)})")


def _treatments(material: Material) -> Figure:
    """Average precision by treatment: one by one if they are few, else how they are distributed."""
    values = [s.groups.average_precision for s in (material.score, *material.against)]
    known = np.flatnonzero(~np.isnan(values[0]))
    few = len(known) <= FEW
    height = 0.9 + max(0.5, 0.21 * len(known)) if few else 3.3
    figure = new_figure("treatments", "Average precision of each treatment", height)
    ax = figure.add_subplot()
    chance = PR_AUC.chance(material.score.groups)
    (_strip if few else _histogram)(ax, material, [v[known] for v in values], chance[known], known)
    own, of = values[0][known], " of the first" if material.against else ""
    ax.axvline(float(own.mean()), color=COLORS[0], lw=1.4, label=f"mean{of}")
    ax.axvline(float(np.median(own)), color=COLORS[0], lw=1.4, ls=(0, (1, 1.2)), label=f"median{of}")
    ax.axvline(
        float(chance[known].mean()), color=INK, lw=1, ls=(0, (4, 2)), label="chance, mean over treatments"
    )
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel("average precision")
    legend_below(figure, ax, len(values))
    return figure


def _histogram(ax: Axes, material: Material, values: Sequence[Floats], chance: Floats, known: Ints) -> None:
    bins = np.linspace(0, 1, 26)
    for i in reversed(range(len(values))):
        style, name = look(i), literal(material.names[i])
        counts, _ = np.histogram(values[i], bins)
        if i == 0:
            ax.stairs(counts, bins, fill=True, color=style.color, alpha=0.45, lw=0, label=name)
        else:
            ax.stairs(counts, bins, color=style.color, ls=style.dashes, lw=1.3, label=name)
    ax.set_ylabel(f"treatments ({len(known):,})")


def _strip(ax: Axes, material: Material, values: Sequence[Floats], chance: Floats, known: Ints) -> None:
    order = np.argsort(-values[0], kind="stable")
    at = np.arange(len(order))
    for i in reversed(range(len(values))):
        style = look(i)
        ax.plot(
            values[i][order],
            at,
            style.marker,
            color=style.color,
            mfc=style.color if i == 0 else "none",
            ms=7 if i == 0 else 5,
            label=literal(material.names[i]),
        )
    ax.plot(chance[order], at, "|", color=MUTED, ms=10, mew=1.5, label="chance of the treatment")
    rows(ax, [literal(material.score.treatments[known[i]]) for i in order])
    ax.grid(visible=True, axis="y")


def _precision_recall(material: Material) -> Figure:
    figure = new_figure("precision-recall", "Precision and recall, all pairs pooled", 3.8)
    ax = figure.add_subplot()
    for i in reversed(range(len(material.names))):
        curve, style = material.curves[i], look(i)
        # Where recall stands still precision only falls; the step down to the next threshold shows it.
        gains = np.r_[True, np.diff(curve.recall) > 0]
        ax.plot(
            curve.recall[gains],
            curve.precision[gains],
            drawstyle="steps-pre",
            color=style.color,
            ls=style.dashes,
            lw=1.8 if i == 0 else 1.3,
            label=f"{literal(material.names[i])}: AP {fixed(curve.average_precision)}",
        )
    labels = material.task.active
    assert labels is not None
    prevalence = float(np.nanmean(labels))
    ax.axhline(prevalence, color=MUTED, ls=(0, (4, 2)), lw=1, label=f"share of actives: {fixed(prevalence)}")
    ax.set(xlim=(-0.01, 1.01), ylim=(0, 1.03), xlabel="recall", ylabel="precision")
    legend_below(figure, ax, len(material.names))
    return figure


def _roc(material: Material) -> Figure | None:
    if np.isnan(material.curves[0].auroc):  # the labels are of one class
        return None
    figure = new_figure("roc", "ROC curve, all pairs pooled", 3.8)
    ax = figure.add_subplot()
    for i in reversed(range(len(material.names))):
        curve, style = material.curves[i], look(i)
        ax.plot(
            curve.fpr,
            curve.tpr,
            color=style.color,
            ls=style.dashes,
            lw=1.8 if i == 0 else 1.3,
            label=f"{literal(material.names[i])}: AUROC {fixed(curve.auroc)}",
        )
    ax.plot([0, 1], [0, 1], color=MUTED, ls=(0, (4, 2)), lw=1, label="chance: 0.500")
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.03))
    ax.set(xlabel="false positive rate (share of inactives)", ylabel="true positive rate (share of actives)")
    legend_below(figure, ax, len(material.names))
    return figure


def _comparison(material: Material) -> Figure | None:
    """Differences with intervals, and treatment by treatment against the first."""
    found = material.comparison
    if found is None:
        return None
    n = len(found.differences)
    heights = [0.6 + 0.42 * n, 3.9]
    own = literal(found.names[0])
    title = f"Difference in mean average precision\n{own} − the other"
    figure = new_figure("comparison", title, sum(heights) + 0.5)
    halves: Any = figure.subfigures(2, 1, height_ratios=heights)
    above, below = halves
    forest, scatter = above.subplots(), below.subplots()
    labels = []
    for y, d in enumerate(found.differences):
        marker, color = VERDICTS[d.verdict]
        bar(forest, d.interval, y, color)
        forest.plot(d.mean, y, marker, color=color, ms=8, mfc="none" if d.verdict == "tie" else color)
        ends = f"{signed(d.interval.low)} to {signed(d.interval.high)}"
        value_at_end(forest, y, f"{signed(d.mean)} ({ends})")
        p = f"p = {p_value(d.p_corrected)}" if d.p_corrected >= 1e-4 else "p < 0.0001"
        labels.append(f"{literal(found.names[d.second], 28)}\n{d.verdict}, {p}")
    rows(forest, labels)
    forest.axvline(0, color=INK, lw=1, ls=(0, (4, 2)))
    forest.margins(x=0.2)
    corrected = "; p (Holm)" if n > 1 else ""
    forest.set_xlabel(f"difference, {percent(found.level)} interval{corrected}")
    first = found.differences[0]
    x, y_values = found.values[:, first.second], found.values[:, first.first]
    scatter.plot([0, 1], [0, 1], color=INK, lw=1, ls=(0, (4, 2)))
    scatter.plot(x, y_values, "o", color=COLORS[0], ms=3.5, alpha=0.5, mew=0)
    scatter.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", anchor="W")
    scatter.set_title(
        f"One point per treatment: above the line in {first.wins:,}, on it in {first.ties:,}, "
        f"below in {first.losses:,}"
    )
    scatter.set_xlabel(f"average precision, {literal(found.names[first.second])}")
    scatter.set_ylabel(f"average precision,\n{own}")
    return figure


def _parts(name: str, breakdown: Breakdown | None, material: Material) -> Figure | None:
    """One row per part: average precision and AUROC with their intervals, and chance."""
    if breakdown is None or not breakdown.parts:
        return None
    parts = breakdown.parts[:MOST_PARTS]
    title = f"Score {literal(breakdown.title, 60)}"
    figure = new_figure(name, title, 1.35 + 0.4 * len(parts))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.15, 1])
    for y, part in enumerate(parts):
        for ax, value, interval, chance in (
            (left, part.precision, part.precision_interval, part.chance),
            (right, part.auroc, part.auroc_interval, 0.5),
        ):
            ax.plot(chance, y, "|", color=INK, ms=12, mew=1.6, label="chance" if y == 0 else None)
            bar(ax, interval, y, COLORS[0])
            ax.plot(value, y, "o", color=COLORS[0], ms=6)
    of = [f"{count(p.n_active, 'active')}, {count(p.n_treatments, 'treatment')}" for p in parts]
    rows(left, [f"{literal(p.name, 26)}\n{counted}" for p, counted in zip(parts, of, strict=True)])
    right.tick_params(axis="y", length=0)
    right.grid(visible=False, axis="y")
    left.set(xlim=(-0.02, 1.02), xlabel="average precision")
    right.set(xlim=(-0.02, 1.02), xlabel="AUROC")
    told = [
        f"dot and bar: mean over treatments, {percent(material.uncertainty.level)} interval; tick: chance"
    ]
    if len(breakdown.parts) > len(parts):
        told.append(f"the {len(parts)} first of {len(breakdown.parts):,} parts")
    footnote(figure, told)
    return figure


def _doses(material: Material) -> Figure | None:
    """Similarity by concentration, one panel per treatment."""
    if not material.doses:
        return None
    columns = min(3, len(material.doses))
    n_rows = -(-len(material.doses) // columns)
    figure = new_figure("doses", "Similarity of compound and gene by concentration", 0.9 + 1.85 * n_rows)
    panels = figure.subplots(n_rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax, curve in zip(panels.flat, material.doses, strict=False):
        kind = "hardest" if curve.treatment in material.hardest else "easiest"
        _dose_panel(ax, curve)
        ax.set_title(f"{literal(curve.treatment, 24)}\n{kind}", fontsize=8)
    for ax in panels.flat[len(material.doses) :]:
        ax.set_visible(False)
    for column in range(columns):
        lowest = panels[(len(material.doses) - 1 - column) // columns, column]
        lowest.tick_params(labelbottom=True)
    concentrations = material.doses[0].concentrations
    panels[0, 0].set_xscale("log")
    panels[0, 0].minorticks_off()
    ticks = _decades(concentrations)
    panels[0, 0].set_xticks(ticks, [f"{t:g}" for t in ticks])
    panels[0, 0].set_xlim(concentrations[0] / 1.6, concentrations[-1] * 1.6)
    drawn = [v for c in material.doses for v in (c.inactive_high, *c.actives.values())]
    highest = max(map(_top, drawn))
    if np.isfinite(highest):  # room for the names
        panels[0, 0].set_ylim(top=1.25 * highest)
    figure.supylabel("similarity", fontsize=9)
    told = (
        "horizontal: concentration in µM. Lines with markers: active genes; grey: the mean of the inactive "
        "genes (dashed) and their 10th to 90th percentile"
    )
    footnote(figure, [told])
    return figure


def _decades(concentrations: Floats) -> list[float]:
    """The powers of ten within; of a single concentration, itself."""
    first, last = np.ceil(np.log10(concentrations[0])), np.floor(np.log10(concentrations[-1]))
    return [float(f"1e{int(e)}") for e in np.arange(first, last + 1)] or [float(concentrations[0])]


def _dose_panel(ax: Axes, curve: DoseCurve) -> None:
    x = curve.concentrations
    ax.fill_between(x, curve.inactive_low, curve.inactive_high, color=GRID, alpha=0.8, lw=0)
    ax.plot(x, curve.inactive_mean, color=MUTED, lw=1, ls=(0, (4, 2)))
    order = sorted(curve.actives, key=lambda gene: (-_top(curve.actives[gene]), gene))
    for i, gene in enumerate(order):
        values = curve.actives[gene]
        tested = ~np.isnan(values)
        if i < NAMED_GENES:
            style = look(i)
            ax.plot(
                x[tested],
                values[tested],
                color=style.color,
                marker=style.marker,
                ms=3.5,
                lw=1.2,
                label=literal(gene, 14),
            )
        else:
            rest = f"{len(order) - NAMED_GENES} more" if i == NAMED_GENES else None
            ax.plot(x[tested], values[tested], color=MUTED, lw=0.6, label=rest)
    ax.legend(loc="upper left", fontsize=7.5, handlelength=1.4, labelspacing=0.15, borderaxespad=0.1)


def _top(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else -np.inf
