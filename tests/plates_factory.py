"""The demo's plates with images, made small: 25 wells of a few cells, measured in seconds."""

from __future__ import annotations

import pytest

from polaris_rxrx.dataset import sandbox_plates as sp


def small_plates(patch: pytest.MonkeyPatch) -> None:
    """Have `write_plates` draw 9 knock-outs, 4 compounds, and 6 control wells on each of the two plates.

    Fields have a tenth of the area, and effects twice the size, for so few cells tell little; rows stand
    where docs/images.md looks.
    """
    patch.setattr(sp, "SIZE", (80, 80))
    patch.setattr(sp, "ORDINARY", sp.replace(sp.ORDINARY, count=5))
    patch.setattr(sp, "FAMILIES", sp.FAMILIES[:3])
    there = {gene for family in sp.FAMILIES for gene in family}
    patch.setattr(sp, "NAMES", {c.name for c in sp.COMPOUNDS if c.name in sp.NAMES and there & {*c.targets}})
    patch.setattr(sp, "EFFECT", 2 * sp.EFFECT)
    patch.setattr(sp, "GUIDES", 1)
    patch.setattr(sp, "DOSES", sp.DOSES[-1:])
    patch.setattr(sp, "CONTROLS", 6)
    patch.setattr(sp, "ROWS", ("Z", "AA"))
