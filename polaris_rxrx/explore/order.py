"""Rows in the order of a tree, so that heat maps of any list of them have their like together.

Conventions
    Average linkage by cosine: the likeness of two clusters is the mean cosine of their rows, and the two that
    are likest become one (by chains of nearest neighbors, which gives the same tree). Of two clusters the
    one with the lower row comes first. The tree takes four bytes a pair of rows. Of more than `LINKED` rows
    (fewer, where a bound on memory wants it, which is told) it is of those with the most wells, then in the
    map's order; each other row comes right after the one of them that it is likest. Rows without a vector
    come last.

Source
    Murtagh, Comput. J. 26 (1983) 354, for the chains.
"""

from __future__ import annotations

from math import isqrt

import numpy as np

from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.blocks import Part
from polaris_rxrx.explore.rows import Rows
from polaris_rxrx.limits import in_use
from polaris_rxrx.types import Floats, Ints

LINKED = 20_000
_AT_ONCE = 2_000


def order(rows: Rows, max_memory: int | None = None) -> Part:
    """All rows in the tree's order.

    Args:
        rows: Of the page.
        max_memory: Bytes that this process may take.
    """
    there = rows.there
    chosen = there
    room = len(there) if max_memory is None else isqrt(max(max_memory - in_use(), 0) // 6)
    most = max(min(LINKED, room), 1)
    if len(there) > most:
        chosen = np.sort(there[np.argsort(-rows.map_.n_wells[there], kind="stable")[:most]])
    found = chosen[linkage_order(rows.units[chosen])]
    if len(there) > len(chosen):
        found = _inserted(rows.units, found, np.setdiff1d(there, chosen))
    without = np.setdiff1d(np.arange(len(rows)), there)
    whole = np.r_[found, without]
    told = f"The tree behind the order of heat maps is of {most:,} rows, for more need more --max-memory"
    notes = (told,) if room < min(LINKED, len(there)) else ()
    return Part({}, {"order": blocks.write(whole.astype(rows.index_dtype))}, notes)


def linkage_order(units: Floats) -> Ints:
    """The leaves' order of an average linkage by cosine of vectors of length 1 (n, d): row numbers (n,)."""
    n = len(units)
    if n == 0:
        return np.arange(0)
    x = units.astype(np.float32)
    like = np.empty((n, n), dtype=np.float32)
    for a in range(0, n, _AT_ONCE):
        like[a : a + _AT_ONCE] = x[a : a + _AT_ONCE] @ x.T
    np.fill_diagonal(like, -np.inf)
    sizes = np.ones(n, dtype=np.float32)
    after, last, first = np.full(n, -1), np.arange(n), np.arange(n)
    chain: list[int] = []
    start = 0
    for _ in range(n - 1):
        while True:
            if not chain:
                while sizes[start] == 0:
                    start += 1
                chain.append(start)
            own = like[chain[-1]]
            near = int(own.argmax())
            # A tie goes back along the chain, so that it ends.
            if len(chain) > 1 and own[chain[-2]] >= own[near]:
                break
            chain.append(near)
        b, a = chain.pop(), chain.pop()
        if first[b] < first[a]:
            a, b = b, a
        joined = (sizes[a] * like[a] + sizes[b] * like[b]) / (sizes[a] + sizes[b])
        joined[a] = joined[b] = -np.inf
        like[a], like[:, a] = joined, joined
        like[:, b] = -np.inf
        sizes[a] += sizes[b]
        sizes[b] = 0
        after[last[a]] = first[b]
        last[a] = last[b]
    found = np.empty(n, dtype=np.int64)
    row = 0  # the lowest row comes first in whatever it is part of
    for k in range(n):
        found[k], row = row, after[row]
    return found


def _inserted(units: Floats, found: Ints, others: Ints) -> Ints:
    """The order with each of the others after the row in it that it is likest."""
    x = units[found].astype(np.float32)
    place = np.concatenate(
        [
            (units[others[a : a + _AT_ONCE]].astype(np.float32) @ x.T).argmax(axis=1)
            for a in range(0, len(others), _AT_ONCE)
        ]
    )
    key = np.r_[np.arange(len(found)), place]
    whole: Ints = np.r_[found, others][np.argsort(key, kind="stable")]
    return whole
