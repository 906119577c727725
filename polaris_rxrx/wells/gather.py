"""Features of a table's rows, brought to where their wells are in a matrix.

Conventions
    Wells are rows of the matrix, in an order that is given. A well of several rows (sites, crops, cells) has
    their mean or their median, feature by feature, taken in float64 over its values in ascending order, so
    that the order of rows changes no bit. A value that is not finite makes the well's so, unless such values
    may be absent: then it is taken over the others.
    A table is read a few columns at a time; one of many parts (files, or blocks of rows of one) a part at a
    time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from polaris_rxrx import limits
from polaris_rxrx.errors import UsageError
from polaris_rxrx.types import Ints, Matrix, Progress
from polaris_rxrx.wells.table import OpenTable, Part

Sites = Literal["mean", "median"]
_COLUMNS_AT_ONCE = 32
_VALUES_AT_ONCE = 1 << 28  # of a table of cells, so that a few columns of it fit
_WAITING = 1 << 24  # values of parts whose wells may go on in the next part
_SORTED = 1 << 21  # values of wells with several rows that are sorted at once


def check_sites(sites: str) -> None:
    """Raise `UsageError` unless it is a way of making one row of several."""
    if sites not in get_args(Sites):
        raise UsageError(f"sites is {sites!r}; {' or '.join(get_args(Sites))} was expected")


@dataclass(frozen=True, eq=False)
class Places:
    """Where rows go: for each row of a table (n,) its well's row of the matrix, or -1, of `n_wells`."""

    place: Ints
    n_wells: int

    @cached_property
    def counts(self) -> Ints:
        """How many rows each well has."""
        return np.bincount(self.place[self.place >= 0], minlength=self.n_wells)

    @cached_property
    def single(self) -> bool:
        """Whether no well has several rows."""
        return bool((self.counts <= 1).all())

    @cached_property
    def order(self) -> Ints:
        """The table's rows that are kept, in the order of their wells."""
        kept = np.flatnonzero(self.place >= 0)
        if self.single:
            order = np.empty(self.n_wells, dtype=np.int64)
            order[self.place[kept]] = kept
            return order
        return kept[np.argsort(self.place[kept], kind="stable")]


def groups(place: Ints) -> list[tuple[Ints, Ints]]:
    """Rows by well: for each number c of rows a well may have, the wells (m,) and their rows (m, c)."""
    order = np.argsort(place, kind="stable")
    wells, start, count = np.unique(place[order], return_index=True, return_counts=True)
    found = []
    for c in np.unique(count).tolist():
        these = count == c
        found.append((wells[these], order[start[these, None] + np.arange(c)]))
    return found


def combine(values: Matrix, sites: Sites, *, absent: bool = False) -> Matrix:
    """The mean or the median along the last axis, in float64; with `absent` of the finite values alone."""
    if values.shape[-1] == 1:
        return values[..., 0]
    values = np.sort(values, axis=-1).astype(np.float64, copy=False)
    if absent and not (finite := np.isfinite(values)).all():
        values = np.where(finite, values, np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of no value at all: it stays absent
            whole: Matrix = np.nanmean(values, axis=-1) if sites == "mean" else np.nanmedian(values, axis=-1)
        return whole
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values are refused by name later
        found: Matrix = values.mean(axis=-1) if sites == "mean" else np.median(values, axis=-1)
    return found


def gather(
    table: OpenTable,
    names: Sequence[str],
    places: Places,
    *,
    sites: Sites = "mean",
    absent: bool = False,
    limit: int | None = None,
    progress: Progress | None = None,
    seen: Callable[[int, Matrix], None] | None = None,
) -> Matrix:
    """The features of a table's wells (n_wells, d).

    Args:
        table: The table.
        names: Its features.
        places: Where its rows go; every well has one.
        sites: How several rows make one.
        absent: Whether values that are not finite are left out of a mean or a median.
        limit: Bytes of the matrix beyond which it stands on disk.
        progress: Called with a word, how far, out of how many.
        seen: Called with the first feature's number and some features (k, n_wells) of all wells.
    """
    x = limits.empty((places.n_wells, len(names)), table.dtype(list(names)), limit)
    if table.parts:
        _by_parts(table, names, places, x, sites, absent, progress)
        if seen is not None:
            seen(0, x.T)
        return x
    step = _COLUMNS_AT_ONCE
    by_well = []
    if not places.single:
        step = max(1, min(step, _VALUES_AT_ONCE // max(len(places.place), 1)))
        by_well = groups(places.place[places.order])
    for start in range(0, len(names), step):
        here = list(names[start : start + step])
        block = np.empty((len(here), places.n_wells), dtype=x.dtype)
        columns = table.read(here)
        for i, name in enumerate(here):
            values = as_floats(columns.column(name))[places.order]
            if places.single:
                block[i] = values
                continue
            for wells, rows in by_well:
                block[i, wells] = combine(values[rows], sites, absent=absent)
        if seen is not None:
            seen(start, block)
        x[:, start : start + len(here)] = block.T
        limits.release(x)
        if progress is not None:
            progress("reading", start + len(here), len(names))
    return x


def _by_parts(
    table: OpenTable,
    names: Sequence[str],
    places: Places,
    x: Matrix,
    sites: Sites,
    absent: bool,
    progress: Progress | None,
) -> None:
    """Fill a matrix part by part; rows of a well that goes on in another part wait for the others."""
    left = places.counts.copy()
    first, n_waiting, least = 0, 0, max(1, _WAITING // len(names))
    limit = least
    waiting: list[tuple[Ints, Matrix]] = []
    for done, part in enumerate(table.parts, 1):
        place = places.place[first : first + part.n]
        first += part.n
        kept = np.flatnonzero(place >= 0)
        if kept.size:
            place = place[kept]
            block = block_of(part, names, kept, x.dtype)
            if places.single:
                x[place] = block
            else:
                waiting.append((place, block))
                n_waiting += len(place)
                left -= np.bincount(place, minlength=len(left))
        limits.release(x)
        if progress is not None:
            progress("reading", done, len(table.parts))
        if waiting and (done == len(table.parts) or n_waiting >= limit):
            place, block = (np.concatenate(w) for w in zip(*waiting, strict=True))
            waiting.clear()
            whole = left[place] == 0
            _combine_wells(x, place, block, np.flatnonzero(whole), sites, absent)
            waiting = [(place[~whole], block[~whole])] if not whole.all() else []
            n_waiting = int((~whole).sum())
            limit = max(least, 2 * n_waiting)


def _combine_wells(x: Matrix, place: Ints, block: Matrix, whole: Ints, sites: Sites, absent: bool) -> None:
    """Fill the rows of wells from some rows of a block, those of wells that are there as a whole."""
    for wells, rows in groups(place[whole]):
        step = max(1, _SORTED // max(1, rows.shape[1] * block.shape[1]))
        for a in range(0, len(wells), step):
            values = block[whole[rows[a : a + step]]]  # (m, c, d)
            turned = np.ascontiguousarray(np.swapaxes(values, 1, 2))
            x[wells[a : a + step]] = combine(turned, sites, absent=absent)


def block_of(part: Part, names: Sequence[str], rows: Ints, dtype: Any) -> Matrix:
    """Some rows of a part (n, d)."""
    if part.matrix is not None:
        found = part.matrix(list(names))
        found = found if len(rows) == part.n else found[rows]
        return found.astype(dtype, copy=False)
    block = np.empty((len(names), part.n), dtype=dtype)
    for values, column in zip(block, part.read(list(names)).select(list(names)).columns, strict=True):
        values[:] = as_floats(column)
    turned = block.T if len(rows) == part.n else block.T[rows]
    return np.ascontiguousarray(turned)  # so that a well is moved as a whole


def as_floats(column: Any) -> Matrix:
    """A column of numbers as numpy has them; null becomes NaN."""
    import pyarrow as pa

    if pa.types.is_decimal(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.float64())
    values: Matrix = column.to_numpy()
    return values
