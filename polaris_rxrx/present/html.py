"""Small pieces of HTML for notebooks and pages: nothing is loaded, no script runs.

Conventions
    Figures are those of `polaris_rxrx.present.numbers`, with real minus signs and dashes.
    What is not `Markup` is text, and is escaped. Colors follow the notebook's own theme (`currentColor`), so
    light and dark both work.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup, escape

from polaris_rxrx.present.numbers import DASH, number, typeset
from polaris_rxrx.present.numbers import span as plain_span
from polaris_rxrx.stats.intervals import Interval

__all__ = ["DASH", "Markup", "details", "element", "fixed", "json_block", "scale", "signed", "span", "table"]

_CELL = "padding:.2em .7em;text-align:{};font-variant-numeric:tabular-nums"


def fixed(value: float | None, digits: int = 3) -> str:
    """0.277, a real minus sign, or a dash where there is no value; 0.0003 and not 0.000."""
    return typeset(number(value, f".{digits}f"))


def signed(value: float | None, digits: int = 3) -> str:
    """The same with its sign, for a difference."""
    return typeset(number(value, f"+.{digits}f"))


def span(interval: Interval, digits: int = 3) -> str:
    """0.261 to 0.294, or a dash."""
    return typeset(plain_span(interval, f".{digits}f"))


def element(tag: str, *inside: object, style: str = "") -> Markup:
    """One element around escaped text and markup."""
    attributes = Markup(' style="{}"').format(style) if style else Markup("")
    return Markup("<{0}{1}>{2}</{0}>").format(tag, attributes, Markup("").join(map(escape, inside)))


def table(header: Sequence[object], rows: Iterable[Sequence[object]], *, left: int = 1) -> Markup:
    """A table; the first `left` columns are aligned left, the others right."""

    def line(tag: str, cells: Sequence[object]) -> Markup:
        sides = ["left" if i < left else "right;white-space:nowrap" for i in range(len(cells))]
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


def json_block(document: dict[str, Any]) -> str:
    """JSON that can stand within `<script>`: none of <, >, & and no line separator is in it as itself."""
    text = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text
