"""Numbers, intervals and names as text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_rxrx.present.numbers import count, number, p_value, percent, shorten, span, typeset
from polaris_rxrx.stats.intervals import Interval


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.27684, ".4f", "0.2768"),
        (-0.5, ".4f", "-0.5000"),
        (0.0, ".4f", "0.0000"),
        (-0.0, ".4f", "0.0000"),
        (1e-17, ".4f", "0.0000"),
        (-1e-17, "+.4f", "+0.0000"),
        (0.00003, ".4f", "0.00003"),
        (-0.0000004, ".4f", "-0.0000004"),
        (0.000000004, ".4f", "4e-09"),
        (0.1, "+.2f", "+0.10"),
        (0.994, ".0%", "99%"),
        (-0.001, ".0%", "0%"),
        (12345.678, ",.1f", "12,345.7"),
        (None, ".4f", "-"),
        (math.nan, ".4f", "-"),
        (math.inf, ".4f", "-"),
        (3, "d", "3"),
    ],
)
def test_a_number(value: float | None, form: str, text: str) -> None:
    assert number(value, form) == text


@given(st.floats(1e-8, 1e6), st.integers(1, 6))
def test_what_is_not_zero_is_never_shown_as_zero(value: float, digits: int) -> None:
    shown = number(value, f".{digits}f")
    assert float(shown) > 0
    assert float(shown) == pytest.approx(value, abs=10.0**-digits, rel=0.6)


def test_small_ones() -> None:
    assert span(Interval(0.25, 0.3)) == "0.2500 to 0.3000" and span(Interval(math.nan, math.nan)) == "-"
    assert typeset("-0.5 to -0.1") == "−0.5 to −0.1" and typeset("-") == "–"
    assert p_value(0.0321) == "0.032" and p_value(0.5) == "0.50"
    assert percent(0.95) == "95%" and percent(0.999) == "99.9%"
    assert count(1, "pair") == "1 pair" and count(1200, "pair") == "1,200 pairs"
    assert count(2, "entry", "entries") == "2 entries"


@given(st.text(max_size=80), st.integers(5, 40))
def test_a_name_is_cut_in_its_middle(name: str, most: int) -> None:
    cut = shorten(name, most)
    assert len(cut) <= most
    assert (cut == name) == (len(name) <= most)
    if cut != name:
        before, _, after = cut.partition("…")
        assert name.startswith(before[:1]) and name.endswith(after[-1:])
