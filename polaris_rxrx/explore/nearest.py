"""Each row's nearest and farthest alone, for maps so wide that their vectors would make too large a page.

Conventions
    Rows of a type are ordered as `polaris_rxrx.suites.neighbors` orders them: by falling cosine, then in the
    map's order, without those of the row's own name and type. Cosines are float64 before they are rounded.
"""

from __future__ import annotations

import numpy as np

from polaris_rxrx.errors import UsageError
from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.blocks import Part
from polaris_rxrx.explore.rows import KINDS, Rows

_AT_ONCE = 500


def nearest(rows: Rows, most: int) -> Part:
    """The `most` nearest and as many farthest rows of each type.

    Raises:
        UsageError: `most` is below 1.
    """
    if most < 1:
        raise UsageError(f"neighbors is {most}; 1 or more was expected")
    none = np.iinfo(np.dtype(rows.index_dtype)).max
    shape = (len(rows), len(KINDS), 2 * most)
    near = np.full(shape, none, dtype=rows.index_dtype)
    cosine = np.full(shape, -32768, dtype=np.int16)
    compared = np.zeros(shape[:2], dtype=rows.index_dtype)
    units, there = rows.units, rows.there
    for place, kind in enumerate(range(len(KINDS))):
        of_kind = there[rows.kind[there] == kind]
        for start in range(0, len(there), _AT_ONCE):
            own = there[start : start + _AT_ONCE]
            like = np.clip(units[own] @ units[of_kind].T, -1.0, 1.0)
            same = (rows.name[own][:, None] == rows.name[of_kind]) & (rows.kind[own] == kind)[:, None]
            like[same] = -np.inf
            ordered = np.argsort(-like, axis=1, kind="stable")
            n = (~same).sum(axis=1)
            compared[own, place] = n
            for i, row in enumerate(own.tolist()):
                last = ordered[i, : n[i]]
                kept = last if len(last) <= 2 * most else np.r_[last[:most], last[-most:]]
                near[row, place, : len(kept)] = of_kind[kept]
                cosine[row, place, : len(kept)] = np.rint(like[i, kept] * 32767)
    scale = np.zeros(len(rows), dtype=np.float32)
    scale[there] = 1.0
    told = (
        f"each row's {most:,} nearest and {most:,} farthest genes and compounds stand for its vector "
        "(--neighbors): heat maps and dose curves have only those cosines"
    )
    held = {
        "row_scale": blocks.write(scale),
        "near_row": blocks.write(near),
        "near_cosine": blocks.write(cosine),
        "near_of": blocks.write(compared),
    }
    return Part({"neighbors": most}, held, missing={"vectors": told[0].upper() + told[1:]})
