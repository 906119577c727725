"""Part of a table reduced to sums and control rows: what a worker does, wherever it is.

Conventions
    A job is some pieces of a table (`polaris_rxrx.wells.pieces`) and what their rows are; it pickles, and
    says all that a worker has to know. Each row is of a well, or of none (-1); a well of a group (a
    perturbation in a batch), perhaps a control with a number (slot, else -1), with so many rows in all.
    A well whose rows all stand in one piece is made one row there, as when wells are read into memory; rows
    of others (loose ones) are handed on.
    Partial sums are float64 and merge by adding; in which order is the caller's (`polaris_rxrx.maps.collect`
    keeps one), control rows and loose ones go where their wells are, in any.
    What is seen of the values on the way is what `polaris_rxrx.wells.values` looks at, as far as one pass
    can tell it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError
from polaris_rxrx.types import Floats, Ints, Matrix
from polaris_rxrx.wells.gather import Sites, combine, groups
from polaris_rxrx.wells.pieces import WHOLE, Piece

_BY_WELL = ("zero", "well", "key", "sampled", "sample")
_KEYS = 32  # features that tell nearly all wells apart


@dataclass(frozen=True, eq=False)
class Rows:
    """Of each row (n,): its well, -1 for none; that well's group, slot, and number of rows."""

    well: Ints
    group: Ints
    slot: Ints
    count: Ints

    def take(self, a: int, b: int) -> Rows:
        return Rows(self.well[a:b], self.group[a:b], self.slot[a:b], self.count[a:b])


@dataclass(frozen=True, eq=False)
class Job:
    """Pieces, their rows one after another, features and their kind; `sample` are wells to hand on whole."""

    pieces: tuple[Piece, ...]
    rows: Rows
    features: tuple[str, ...]
    dtype: str
    sites: Sites
    sample: Ints
    most: int = WHOLE

    @property
    def n_wells(self) -> int:
        """About how many wells it is, for a progress bar: rows, a share for each of a well's."""
        kept = self.rows.well >= 0
        return int(np.sum(1 / self.rows.count[kept])) if kept.any() else 0


@dataclass(frozen=True, eq=False)
class Seen:
    """Least and largest value of each feature (d,); wells of zeros alone; every well and its key (m,);
    the sampled wells (s,) and their values (s, d)."""

    low: Floats
    high: Floats
    zero: Ints
    well: Ints
    key: Any
    sampled: Ints
    sample: Matrix

    @classmethod
    def together(cls, parts: Sequence[Seen]) -> Seen:
        """All that was seen, of one part or more."""
        rows = {n: np.concatenate([getattr(p, n) for p in parts]) for n in _BY_WELL}
        return cls(np.fmin.reduce([p.low for p in parts]), np.fmax.reduce([p.high for p in parts]), **rows)


@dataclass(frozen=True, eq=False)
class PartialSums:
    """Groups ascending (k,) and their sums (k, d)."""

    group: Ints
    sums: Floats

    def merge(self, other: PartialSums) -> PartialSums:
        """Both together; which is first changes no bit."""
        group = np.union1d(self.group, other.group)
        sums = np.zeros((len(group), self.sums.shape[1]))
        sums[np.searchsorted(group, self.group)] = self.sums
        sums[np.searchsorted(group, other.group)] += other.sums
        return PartialSums(group, sums)


@dataclass(frozen=True, eq=False)
class Partial:
    """What a job gives: sums; control rows (m, d) and their slots; loose rows (l, d) and their wells."""

    sums: PartialSums
    slot: Ints
    controls: Matrix
    loose_well: Ints
    loose: Matrix
    seen: Seen

    def apart(self) -> tuple[Partial, PartialSums]:
        """All but the sums, and the sums."""
        none = PartialSums(self.sums.group[:0], np.zeros((0, self.sums.sums.shape[1])))
        return replace(self, sums=none), self.sums


def in_two(work: Callable[[Job], Partial], job: Job) -> tuple[Partial, PartialSums]:
    """What a job gives, its sums apart: they may stay where they are."""
    return work(job).apart()


def reduce_job(job: Job) -> Partial:
    """Read a job's pieces and reduce them.

    Raises:
        DataError: A file cannot be read, or a value is not finite.
    """
    d, dtype = len(job.features), np.dtype(job.dtype)
    kept = job.rows.group[job.rows.well >= 0]
    group = np.unique(kept)
    total = np.zeros((len(group), d))
    found: list[_OfPiece] = []
    first = 0
    for piece in job.pieces:
        rows = job.rows.take(first, first + piece.n)
        first += piece.n
        units = _Units.of(rows)
        if not len(units.kept):
            continue
        at = np.searchsorted(group, units.groups)
        mine = _OfPiece.empty(units, d, dtype, job.sample)
        for start, block in piece.blocks(job.features, dtype, most=job.most):
            if len(units.kept) < piece.n:
                block = block[:, units.kept]
            _refuse_nan(piece, job.features[start : start + len(block)], block, units.rows_of(rows))
            values = units.values(block, job.sites)
            total[at, start : start + len(block)] += units.sum(values)
            mine.take(start, block, values, units)
        found.append(mine)
    return _together(found, PartialSums(group, total), d, dtype)


@dataclass(frozen=True, eq=False)
class _Units:
    """A piece's rows as wells: rows that are kept (n,), whole wells (m,) and, of each, its rows."""

    kept: Ints
    well: Ints
    group: Ints
    slot: Ints
    single: bool
    by_count: list[tuple[Ints, Ints]]  # positions among the wells, rows among the kept (m', c)
    loose: Ints  # rows among the kept whose wells are not whole here
    loose_well: Ints

    @classmethod
    def of(cls, rows: Rows) -> _Units:
        kept = np.flatnonzero(rows.well >= 0)
        well, count = rows.well[kept], rows.count[kept]
        if (count == 1).all():
            none = np.zeros(0, dtype=np.int64)
            return cls(kept, well, rows.group[kept], rows.slot[kept], True, [], none, none)
        wells, first, here = np.unique(well, return_index=True, return_counts=True)
        whole = here == count[first]
        place = np.full(len(wells), -1, dtype=np.int64)
        place[whole] = np.arange(int(whole.sum()))
        of_row = place[np.searchsorted(wells, well)]
        inside = np.flatnonzero(of_row >= 0)
        by_count = [(w, inside[r]) for w, r in groups(of_row[inside])] if len(inside) else []
        loose = np.flatnonzero(of_row < 0)
        first = kept[first[whole]]
        return cls(
            kept, wells[whole], rows.group[first], rows.slot[first], False, by_count, loose, well[loose]
        )

    def rows_of(self, rows: Rows) -> Ints:
        """The wells of the kept rows."""
        return rows.well[self.kept]

    @cached_property
    def groups(self) -> Ints:
        return np.unique(self.group)

    @cached_property
    def _matrix(self) -> Any:
        from scipy.sparse import csr_matrix

        of = np.searchsorted(self.groups, self.group)
        ones = np.ones(len(of))
        return csr_matrix((ones, (of, np.arange(len(of)))), shape=(len(self.groups), len(of)))

    @cached_property
    def controls(self) -> Ints:
        """Positions of control wells among the wells."""
        return np.flatnonzero(self.slot >= 0)

    def values(self, block: Matrix, sites: Sites) -> Matrix:
        """Wells' values (c, m) from those of the kept rows (c, n)."""
        if self.single:
            return block
        found = np.empty((len(block), len(self.well)), dtype=block.dtype)
        for wells, rows in self.by_count:
            found[:, wells] = combine(block[:, rows], sites)
        return found

    def sum(self, values: Matrix) -> Floats:
        """Sums by group (k, c)."""
        total: Floats = self._matrix @ np.ascontiguousarray(values.T, dtype=np.float64)
        return total


@dataclass(eq=False)
class _OfPiece:
    """What is kept of a piece beside sums, filled some features at a time."""

    slot: Ints
    controls: Matrix
    loose_well: Ints
    loose: Matrix
    low: Floats
    high: Floats
    nonzero: Any
    key: Any
    well: Ints
    picked: Ints
    sample: Matrix

    @classmethod
    def empty(cls, units: _Units, d: int, dtype: Any, sample: Ints) -> _OfPiece:
        picked = np.flatnonzero(np.isin(units.well, sample))
        m = len(units.well)
        return cls(
            units.slot[units.controls],
            np.empty((len(units.controls), d), dtype),
            units.loose_well,
            np.empty((len(units.loose), d), dtype),
            np.full(d, np.nan),
            np.full(d, np.nan),
            np.zeros(m, dtype=bool),
            np.zeros(m, dtype=np.uint64),
            units.well,
            picked,
            np.empty((len(picked), d), dtype),
        )

    def take(self, start: int, block: Matrix, values: Matrix, units: _Units) -> None:
        """Features from `start` on: of the kept rows (c, n), and of the wells (c, m)."""
        here = slice(start, start + len(block))
        self.controls[:, here] = values[:, units.controls].T
        if len(units.loose):
            self.loose[:, here] = block[:, units.loose].T
        if not len(self.well):
            return
        self.low[here], self.high[here] = values.min(axis=1), values.max(axis=1)
        self.nonzero |= values.any(axis=0)
        self.key = keys(values, start, self.controls.shape[1], self.key)
        self.sample[:, here] = values[:, self.picked].T


def keys(values: Matrix, start: int, d: int, before: Any) -> Any:
    """A number for each well, of `_KEYS` of its d features: equal where they are equal.

    Args:
        values: Some features of wells (c, m).
        start: The number of the first.
        d: How many features there are.
        before: The numbers made of those before; overwritten.
    """
    chosen = np.unique(np.linspace(0, d - 1, _KEYS).astype(np.int64))
    for i in chosen[(chosen >= start) & (chosen < start + len(values))].tolist():
        bits = (values[i - start].astype(np.float64) + 0.0).view(np.uint64)  # -0.0 is 0.0
        before = (before ^ bits) * np.uint64(0x9E3779B97F4A7C15)
        before ^= before >> np.uint64(32)
    return before


def _refuse_nan(piece: Piece, names: Sequence[str], block: Matrix, well: Ints) -> None:
    # A sum that is finite has finite terms; one that is not may have overflowed.
    if np.isfinite(block.sum(dtype=np.float64)):
        return
    bad = ~np.isfinite(block)
    if bad.any():
        column, row = (int(i[0]) for i in np.nonzero(bad))
        value, n = float(block[column, row]), int(bad[column].sum())
        raise NotFinite(piece, names[column], value, int(well[row]), n)


class NotFinite(DataError):
    """A value that is not finite: `well` is its well's number, which whoever knows the wells can name."""

    def __init__(self, piece: Piece, feature: str, value: float, well: int, n: int) -> None:
        super().__init__(
            f"{piece.path}: feature {feature!r} is {value} (not finite in {n:,} rows of the file); an "
            "embedding holds finite numbers"
        )
        self.piece, self.feature, self.value, self.well, self.n = piece, feature, value, well, n

    def __reduce__(self) -> Any:
        return NotFinite, (self.piece, self.feature, self.value, self.well, self.n)


def _together(found: Sequence[_OfPiece], sums: PartialSums, d: int, dtype: Any) -> Partial:
    none = np.zeros(0, dtype=np.int64)

    def whole(name: str, default: Any) -> Any:
        return np.concatenate([getattr(f, name) for f in found]) if found else default

    low = np.full(d, np.nan)
    high = np.full(d, np.nan)
    for f in found:
        low, high = np.fmin(low, f.low), np.fmax(high, f.high)
    nonzero, well = whole("nonzero", none.astype(bool)), whole("well", none)
    sampled = np.concatenate([f.well[f.picked] for f in found]) if found else none
    matrix = np.empty((0, d), dtype)
    seen = Seen(
        low,
        high,
        well[~nonzero],
        well,
        whole("key", none.astype(np.uint64)),
        sampled,
        whole("sample", matrix),
    )
    return Partial(
        sums,
        whole("slot", none),
        whole("controls", matrix),
        whole("loose_well", none),
        whole("loose", matrix),
        seen,
    )
