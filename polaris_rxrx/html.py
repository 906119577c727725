"""Small pieces of HTML for notebooks: every text from data is escaped, nothing is loaded, no script runs.

Conventions
    A cell is text, which is escaped, or `Markup`, which is HTML already. Colours follow the notebook's own
    theme (`currentColor`), so light and dark both work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from polaris_rxrx.stats.intervals import Interval

_CELL = "padding:.2em .7em;text-align:{};font-variant-numeric:tabular-nums"


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> str:
    """Escaped, unless it is `Markup`."""
    return value if isinstance(value, Markup) else escape(str(value))


def number(value: float, form: str = ".4f") -> str:
    """A figure, or a dash where there is none."""
    return "–" if value != value else format(value, form)


def span(interval: Interval, form: str = ".4f") -> str:
    """An interval, or a dash where there is none."""
    if interval.low != interval.low:
        return "–"
    return f"{interval.low:{form}} to {interval.high:{form}}"


def element(tag: str, *inside: object, style: str = "") -> Markup:
    """One element around escaped text and markup."""
    attributes = f' style="{escape(style)}"' if style else ""
    return Markup(f"<{tag}{attributes}>{''.join(map(text, inside))}</{tag}>")


def table(header: Sequence[object], rows: Iterable[Sequence[object]], *, left: int = 1) -> Markup:
    """A table; the first `left` columns are aligned left, the others right."""

    def line(tag: str, cells: Sequence[object]) -> Markup:
        sides = ["left" if i < left else "right" for i in range(len(cells))]
        return element(
            "tr", *(element(tag, c, style=_CELL.format(s)) for c, s in zip(cells, sides, strict=True))
        )

    return element(
        "table",
        element("thead", line("th", header)),
        element("tbody", *(line("td", row) for row in rows)),
        style="border-collapse:collapse",
    )


def scale(value: float, interval: Interval, marks: Sequence[float], low: float, high: float) -> Markup:
    """An inline SVG: a value and its interval on a line from `low` to `high`, ticks at `marks`."""

    def x(at: float) -> str:
        return f"{4 + 152 * (min(max(at, low), high) - low) / (high - low or 1):.1f}"

    parts = ['<line x1="4" x2="156" y1="9" y2="9" stroke="currentColor" stroke-opacity=".25"/>']
    parts += [
        f'<line x1="{x(m)}" x2="{x(m)}" y1="2" y2="16" stroke="currentColor" stroke-dasharray="2 2"/>'
        for m in marks
        if m == m
    ]
    if interval.low == interval.low:
        parts.append(
            f'<line x1="{x(interval.low)}" x2="{x(interval.high)}" y1="9" y2="9" stroke="currentColor" '
            'stroke-width="3"/>'
        )
    if value == value:
        parts.append(f'<circle cx="{x(value)}" cy="9" r="4" fill="currentColor"/>')
    return Markup(f'<svg width="160" height="18" aria-hidden="true">{"".join(parts)}</svg>')


def details(summary: str, *inside: object) -> Markup:
    """What opens on demand."""
    return element("details", element("summary", summary), *inside)
