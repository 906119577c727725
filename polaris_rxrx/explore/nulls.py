"""Where a cosine stands among those of all pairs: the null of `polaris_rxrx.suites.neighbors`, as quantiles.

Conventions
    There is a null for each pair of types, of queries and of neighbors, drawn as the suite draws it. Its
    quantiles are kept at `LEVELS`: every thousandth, and within the outer thousandths twenty a decade down
    to a millionth. A share read between two levels is off by less than half their distance.
"""

from __future__ import annotations

import numpy as np

from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.blocks import Part
from polaris_rxrx.explore.rows import KINDS, Rows
from polaris_rxrx.suites.neighbors import NULL, null_cosines

_TAIL = np.logspace(-6, -3, 61)[:-1]
LEVELS = np.unique(np.r_[np.linspace(0, 1, 1_001), _TAIL, 1 - _TAIL])


def nulls(rows: Rows, seed: int = 0) -> Part:
    """The nulls of a map that has two rows with a vector; nothing of one that has not."""
    pairs, table = [], []
    for kind in KINDS:
        for other in KINDS:
            null = null_cosines(rows.map_, kind, other, seed)
            null = null[~np.isnan(null)]
            if not len(null):
                continue
            drawn = len(rows.map_.rows(kind)) * len(rows.map_.rows(other)) > NULL
            pairs.append({"of": kind, "with": other, "n_pairs": len(null), "drawn": drawn})
            table.append(np.quantile(null, LEVELS))
    if not pairs:
        return Part()
    document = {"nulls": {"levels": LEVELS.tolist(), "pairs": pairs}}
    return Part(document, {"null_cosine": blocks.write(np.array(table, dtype=np.float32))})
