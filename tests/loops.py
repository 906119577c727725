"""How often a statistical loop is run: as often as is written down, or the short form that fits into CI.

A test asks `times(4000, short=1000)` and derives its bounds from the number it gets, so that both forms
promise the same; what the short one cannot tell is a fault too small for it. Only where the variable `CI` is
set does the short one run.
"""

from __future__ import annotations

import os

SHORT = bool(os.environ.get("CI"))


def times(whole: int, *, short: int) -> int:
    """`whole`, or `short` in CI."""
    return short if SHORT else whole
