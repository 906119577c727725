"""The page of a map: what takes longest there, the tree of all rows, against scipy's; and the whole page.

Vectors are drawn, with some structure. scipy's tree and ours are the same where each of scipy's clusters, cut
at `CUT` of them, stands together in our order. There is no public way to such a page: beside the whole page
stands scipy's tree alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.performance.common import Row, Settings, Side, apart, best

ROWS, WIDTH, CUT = 14_093, 384, 200


def drawn(n: int) -> Any:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, WIDTH)) + 0.7 * rng.standard_normal((60, WIDTH))[rng.integers(0, 60, n)]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def scipy_tree(n: int) -> Side:
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    x = drawn(n)
    side = best(lambda: linkage(pdist(x, "cosine"), "average"), 1)
    return Side(side.seconds, fcluster(side.value, CUT, "maxclust").tolist())


def our_tree(n: int) -> Side:
    from polaris_rxrx.explore.order import linkage_order

    x = drawn(n)
    side = best(lambda: linkage_order(x), 1)
    return Side(side.seconds, side.value.tolist())


def our_page(n: int) -> Side:
    from polaris_rxrx.explore.page import render
    from polaris_rxrx.explore.payload import Choices, Knowledge, gather
    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.wells.metadata import Perturbations

    p = Perturbations(["CRISPR"] * n, [f"G{i}" for i in range(n)], np.full(n, np.nan))
    map_ = Map(p, drawn(n), np.full(n, 100))
    side = best(lambda: render(gather("m", map_, Knowledge(), Choices(), provenance={})), 1)
    return Side(side.seconds, len(side.value))


def run(settings: Settings) -> list[Row]:
    n = ROWS // 10 if settings.quick else ROWS
    theirs, ours, page = (apart(side, n=n) for side in (scipy_tree, our_tree, our_page))
    runs = 1 + int((np.diff(np.array(theirs.value)[ours.value]) != 0).sum())
    if runs != len(set(theirs.value)):
        raise RuntimeError(f"{runs} runs of {len(set(theirs.value))} clusters: the trees differ")
    what = f"of {n:,} rows of {WIDTH} features"
    return [
        Row(f"average linkage {what}", theirs, ours, "", f"scipy; {CUT} clusters equal"),
        Row(f"page of a map {what}", theirs, page, "", f"scipy's tree alone; {page.value / 1e6:.1f} MB"),
    ]
