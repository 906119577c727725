"""The figures of a model's report; `draw` makes those there is material for.

Conventions
    As those of `polaris_rxrx.report.figures`: one width, no display, no two things differ by color alone.
    By concentration a model is its mean over draws of negatives with a box of these draws (quartiles, and
    whiskers from the 5th to the 95th percentile) or, without them, one standard deviation; the random
    embeddings are a band of one. The maximum has the interval over compounds and genes, too.
    Published rows are open diamonds, and only those beside the result (`model_parts.Beside`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polaris_rxrx.present.html import fixed
from polaris_rxrx.present.style import (
    COLORS,
    INK,
    MUTED,
    bar,
    drawing,
    lay_out,
    legend_below,
    literal,
    look,
    new_figure,
    rows,
)
from polaris_rxrx.report.model import ModelMaterial
from polaris_rxrx.report.model_parts import Beside, Spread
from polaris_rxrx.stats.intervals import Interval
from polaris_rxrx.types import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 6  # models in one figure
_WIDTH = 0.7  # of a dose rule's place, that its models share


def draw(material: ModelMaterial) -> dict[str, Figure]:
    """Every figure there is material for, by name."""
    found = material.figures
    with drawing():
        figures: dict[str, Figure] = {}
        if found.doses:
            figures["doses"] = _doses(material)
        if found.recall:
            figures["recall"] = _recall(material)
        for suite, spread in found.spread.items():
            figures[suite] = _spread(suite, spread)
        for figure in figures.values():
            lay_out(figure)
    return figures


def _beside(material: ModelMaterial, suite: str) -> list[Beside]:
    """The published rows that stand beside a suite's result."""
    of = [s for s in material.sections if s.suite == suite]
    return [row for section in of for row in section.beside if not row.unlike]


def _doses(material: ModelMaterial) -> Figure:
    """Average precision above, AUROC below, by concentration and at the maximum over them."""
    models = material.figures.doses[:MOST]
    labels = models[0][1].labels
    figure = new_figure("doses", "Compound and target by concentration", 5.4)
    axes: Any = figure.subplots(2, 1, sharex=True)
    published = _beside(material, "drug-target")
    words = {"average_precision": "average precision", "auroc": "AUROC"}
    for ax, (metric, word) in zip(axes, words.items(), strict=True):
        first = models[0][1]
        x = np.arange(len(labels), dtype=np.float64)
        low, high = (first.random[metric] + sign * first.random_sd[metric] for sign in (-1, 1))
        ax.fill_between(x, low, high, color=MUTED, alpha=0.18, lw=0)
        ax.plot(x, first.random[metric], color=MUTED, lw=1, ls=(0, (4, 2)), label="random embeddings")
        for i in reversed(range(len(models))):
            name, doses = models[i]
            at = x[: len(doses.labels)] if doses.labels == labels else _places(doses.labels, labels)
            offset = _WIDTH * ((i + 0.5) / len(models) - 0.5)
            _model(ax, at + offset, doses, metric, i, _WIDTH / len(models) * 0.8, literal(name))
        _published(ax, [r for r in published if r.quantity == metric], labels)
        ax.set_ylabel(word)
    axes[-1].set_xticks(range(len(labels)), list(labels))
    axes[-1].set_xlabel("concentration in µM, and the maximum over concentrations")
    axes[0].set_xlim(-0.6, len(labels) - (0.4 if not published else -1.2))
    legend_below(figure, axes[0], 0)
    return figure


def _places(own: Sequence[str], labels: Sequence[str]) -> Floats:
    """Where another model's dose rules stand; NaN for one that the first has not."""
    at = {label: float(i) for i, label in enumerate(labels)}
    return np.array([at.get(label, np.nan) for label in own])


def _model(ax: Axes, x: Floats, doses: Any, metric: str, i: int, width: float, label: str) -> None:
    style = look(i)
    mean, by_seed = doses.mean[metric], doses.by_seed.get(metric)
    if by_seed is None:
        ax.errorbar(x, mean, doses.sd[metric], fmt="none", ecolor=style.color, lw=1)
    else:
        for place, values in zip(x, by_seed, strict=True):
            known = values[~np.isnan(values)]
            if not len(known) or np.isnan(place):
                continue
            ends = np.quantile(known, (0.05, 0.25, 0.75, 0.95))
            ax.plot([place, place], ends[[0, 3]], color=style.color, lw=0.8)
            ax.fill_between(
                [place - width / 2, place + width / 2], *ends[1:3], color=style.color, alpha=0.3, lw=0
            )
    interval = doses.interval_max[metric]
    if doses.labels[-1] == "max" and not np.isnan(interval.low):
        at = [x[-1] + width / 2 + 0.06] * 2
        ax.plot(at, [interval.low, interval.high], color=style.color, lw=2.4, solid_capstyle="butt")
    ax.plot(x, mean, color=style.color, ls=style.dashes, lw=1.1, marker=style.marker, ms=4.5, label=label)


def _published(ax: Axes, found: Sequence[Beside], labels: Sequence[str]) -> None:
    """Diamonds right of their dose rule; at the last one with their names, pushed apart."""
    at = {label: i for i, label in enumerate(labels)}
    here = [row for row in found if row.at in at]
    last = sorted((r for r in here if at[str(r.at)] == len(labels) - 1), key=lambda r: r.value)
    for row in here:
        x = at[str(row.at)] + 0.48
        if row.spread:
            ax.plot([x, x], [row.value - row.spread, row.value + row.spread], color=MUTED, lw=0.8)
        ax.plot(x, row.value, "D", mfc="none", mec=INK, ms=4.5, mew=0.9)
    low, high = ax.get_ylim()
    step, before = 0.065 * (high - low), -np.inf
    for row in last:
        before = max(row.value, before + step)
        ax.text(len(labels) - 0.38, before, literal(row.model, 24), va="center", fontsize=7, color=MUTED)


def _recall(material: ModelMaterial) -> Figure:
    """Recall by source, a row a source."""
    models = material.figures.recall[:MOST]
    published = [r for r in _beside(material, "gene-gene") if r.quantity == "recall"]
    sources = list(models[0][1].sources)
    lanes = len(models) + bool(published)
    height = 1.5 + len(sources) * (0.2 + 0.17 * lanes) + 0.17 * len(models)
    figure = new_figure("recall", "Recall of known relations", height)
    ax = figure.add_subplot()
    ax.axvline(models[0][1].chance, color=INK, lw=1, ls=(0, (4, 2)), label="chance")
    ends = [models[0][1].chance]
    for i, (name, found) in enumerate(models):
        style, of = look(i), {s: k for k, s in enumerate(found.sources)}
        lane = _WIDTH * ((i + 0.5) / lanes - 0.5)
        label: str | None = literal(name)
        for y, source in enumerate(sources):
            if source not in of or np.isnan(found.recall[of[source]]):
                continue
            k = of[source]
            bar(ax, Interval(float(found.low[k]), float(found.high[k])), y + lane, style.color)
            ax.plot(found.recall[k], y + lane, style.marker, color=style.color, ms=5.5, label=label)
            ends += [float(v) for v in (found.recall[k], found.high[k]) if not np.isnan(v)]
            label = None
    lane = _WIDTH * ((lanes - 0.5) / lanes - 0.5)
    for row in published:
        if row.at in sources:
            ax.plot(row.value, sources.index(row.at) + lane, "D", mfc="none", mec=MUTED, ms=4.5, mew=0.9)
            ends.append(row.value)
    rows(ax, [literal(s) for s in sources])
    ax.set_xlim(0, min(1.02, 1.08 * max(ends)))
    ax.set_xlabel("recall, 95% interval")
    legend_below(figure, ax, 0)
    return figure


_SPREADS = {  # suite -> title, what is on the axis, what is filled
    "signal": ("Signal of every perturbation", "energy distance from control wells", "p ≤ 0.05"),
    "replicate-consistency": ("Replicates of every perturbation", "mean cosine of its wells", "p ≤ 0.05"),
    "activity": ("Activity of every perturbation", "normalized mean average precision", "q ≤ 0.05"),
}


def _spread(suite: str, found: Spread) -> Figure:
    """How many perturbations have which value; held-out control wells in their place as an outline."""
    title, axis, small = _SPREADS[suite]
    figure = new_figure(suite, title, 2.7)
    ax = figure.add_subplot()
    known = ~np.isnan(found.values)
    drawn = [found.values[known]]
    if found.null is not None:
        drawn.append(found.null[~np.isnan(found.null)])
    every = np.concatenate(drawn)
    if len(every):
        low, high = float(every.min()), float(every.max())
        bins = np.linspace(low, high if high > low else low + 1.0, 41)
        reached = known & (found.found == 1)
        counts = [np.histogram(found.values[rows_], bins)[0] for rows_ in (reached, known & ~reached)]
        ax.stairs(
            counts[0], bins, fill=True, color=COLORS[0], alpha=0.75, lw=0, label=f"perturbations, {small}"
        )
        ax.stairs(
            counts[0] + counts[1],
            bins,
            baseline=counts[0],
            fill=True,
            color=COLORS[5],
            alpha=0.45,
            lw=0,
            label="perturbations, others",
        )
        if found.null is not None:
            ax.stairs(
                np.histogram(drawn[1], bins)[0],
                bins,
                color=COLORS[1],
                lw=1.4,
                label="held-out control wells in their place",
            )
        if found.random is not None:
            ax.axvline(
                found.random,
                color=INK,
                lw=1,
                ls=(0, (4, 2)),
                label=f"random embeddings, mean {fixed(found.random)}",
            )
        legend_below(figure, ax, 0)
    ax.set_xlabel(axis)
    ax.set_ylabel("perturbations")
    return figure
