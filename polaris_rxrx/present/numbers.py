"""Numbers, intervals, counts and names as text: every one that is printed, drawn or set passes here.

Conventions
    What is not defined (None, NaN, infinite) is a dash; what is not zero is never shown as 0.0000, and what
    is zero but for rounding is. Text is plain ASCII; a page sets it with `typeset`: real minus signs, dashes.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polaris_rxrx.stats.intervals import Interval

DASH = "–"
MINUS = "−"
FINER = 3  # more decimals at most, until a digit shows that is not 0
ROUNDING = 1e-9  # below this a figure is zero but for rounding


def number(value: float | None, form: str = ".4f") -> str:
    """A figure: `0.2768`, `-` where there is none, `0.00003` where four decimals would show nothing."""
    if value is None or not isfinite(value):
        return "-"
    text = format(value, form)
    if any(digit in text for digit in "123456789"):
        return text
    if not form.endswith("f") or abs(value) < ROUNDING:
        return format(abs(0 * value), form)
    lead, _, digits = form[:-1].partition(".")
    finer = (format(value, f"{lead}.{int(digits) + n}f") for n in range(1, FINER + 1))
    return next((t for t in finer if float(t)), format(value, f"{lead}.1g"))


def span(interval: Interval, form: str = ".4f") -> str:
    """`0.3652 to 0.4880`, or a dash where there is none."""
    if not isfinite(interval.low):
        return "-"
    return f"{number(interval.low, form)} to {number(interval.high, form)}"


def typeset(text: str) -> str:
    """A figure's text for a page."""
    return DASH if text == "-" else text.replace("-", MINUS)


def p_value(p: float) -> str:
    """0.032, 0.50."""
    return f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def percent(level: float) -> str:
    """`95%`, of a level or a quantile."""
    return f"{100 * level:g}%"


def count(n: int, one: str, many: str | None = None) -> str:
    """`1 treatment`, `2,000 treatments`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def shorten(name: str, most: int) -> str:
    """A name of at most `most` characters: cut in its middle, where names differ least."""
    if len(name) <= most:
        return name
    tail = most // 3
    return f"{name[: most - tail - 1].rstrip()}…{name[-tail:].lstrip()}"
