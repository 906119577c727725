"""How figures look, and how text from data gets into them.

Conventions
    Figures are made without pyplot, so nothing of matplotlib's state is touched; drawing and saving happen
    within `drawing()`, which says how. Colors are those of Okabe and Ito, and no two things differ by color
    alone: the i-th submission has its own marker and dashes.
    Names are drawn as they are, on one line: never read as mathematics (`$`), and what cannot be drawn (a
    control character) becomes U+FFFD. Sizes are in points on a page 6.4 inches (640 px) wide.

Source
    Okabe and Ito, "Color Universal Design" (2008).
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from polaris_rxrx.present.numbers import shorten
from polaris_rxrx.stats.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 6.4  # inches
# The light values. The page gives the same names other ones in the dark (see `svg.inline_svg`).
INK, MUTED, GRID = "#1a1a1a", "#636363", "#d9d9d9"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
PALETTE = {
    "--ink": INK,
    "--muted": MUTED,
    "--grid": GRID,
    **{f"--c{i}": value for i, value in enumerate(COLORS)},
}
GOOD, BAD = COLORS[2], COLORS[1]
_MARKERS = "osD^vPX"
_DASHES: tuple[Any, ...] = (
    "solid",
    (0, (5, 1.5)),
    (0, (1, 1.2)),
    (0, (6, 1.5, 1, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (9, 3)),
    (0, (2, 3)),
)
_RC: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.borderaxespad": 0.2,
    "figure.titlesize": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "polaris_rxrx",
}


@dataclass(frozen=True)
class Look:
    """Of one submission."""

    color: str
    marker: str
    dashes: Any


def look(i: int) -> Look:
    """Of the i-th submission; 42 differ."""
    return Look(COLORS[i % len(COLORS)], _MARKERS[i % len(_MARKERS)], _DASHES[i % len(_DASHES)])


@contextmanager
def drawing() -> Iterator[None]:
    """Everything that makes or saves a figure happens within; settings of the user's are not looked at."""
    import matplotlib

    settings: dict[Any, Any] = {**matplotlib.rcParamsDefault, **_RC}
    settings.pop("backend", None)
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes in a PNG; an SVG keeps it as text.
        warnings.filterwarnings("ignore", "(Glyph .* missing from|Matplotlib currently does not support)")
        matplotlib.rcParams.update(settings)
        yield


def new_figure(name: str, title: str, height: float) -> Figure:
    """An empty figure of the common width; `name` is its file's and the prefix of its ids."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.set_label(name)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


def lay_out(figure: Figure) -> None:
    """Give everything its place, once: without an engine, saving neither does so again nor draws twice."""
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.execute(figure)
    figure.set_layout_engine(None)


def literal(text: str, most: int = 34) -> str:
    """A name as one line of at most `most` characters; cut in its middle, where names differ least."""
    line = " ".join(text.split())
    return shorten("".join(c if c.isprintable() else "\ufffd" for c in line), most)


def legend_below(figure: Figure, ax: Axes, first: int = 0) -> None:
    """The legend below the axes, clear of the data; the figure grows by it.

    The first `first` entries were drawn last first, so that the first lies on top, and are turned round.
    """
    handles, labels = ax.get_legend_handles_labels()
    order = [*reversed(range(first)), *range(first, len(labels))]
    columns = 1 if max(map(len, labels)) > 40 else 2
    figure.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="outside lower left",
        ncols=columns,
        handlelength=2.6,
        columnspacing=1.4,
        labelspacing=0.3,
    )
    figure.set_figheight(figure.get_figheight() + 0.17 * -(-len(labels) // columns))


def rows(ax: Axes, names: list[str]) -> None:
    """Rows from the top down, one per name, without lines across."""
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")


def bar(ax: Axes, interval: Interval, y: float, color: str, width: float = 1.6) -> None:
    """An interval, where there is one."""
    if not np.isnan(interval.low):
        ax.plot([interval.low, interval.high], [y, y], color=color, lw=width, solid_capstyle="butt")


def value_at_end(ax: Axes, y: float, text: str, **options: Any) -> None:
    """A figure at the right end of a row, where no line crosses it."""
    ax.text(1.015, y, text, transform=ax.get_yaxis_transform(), va="center", fontsize=8, **options)


def footnote(figure: Figure, lines: Sequence[str]) -> None:
    """What the marks mean, under everything else."""
    wrapped = [part for line in lines for part in textwrap.wrap(line, 100, subsequent_indent="     ")]
    figure.supxlabel("\n".join(wrapped), x=0.01, ha="left", fontsize=8, color=MUTED)
