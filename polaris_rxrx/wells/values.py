"""What stands in the rows of an embedding: what is told of, and what no arithmetic survives.

Conventions
    Rows are wells, columns features. A feature's middle is its median, its spread 1.4826 MAD, both over at
    most `SAMPLE` wells, evenly spaced in the wells' order; a feature of spread 0 has no outliers.

Told of, counted and named, and kept
    Wells of zeros alone; wells with the same vector; outliers, beyond `FAR` spreads from the middle of their
    feature; features whose spread is more than `WIDE` times the median one (are they in another unit?).

Refused
    A value that swamps the table: its square added to the squares of all the other values, taken as large as
    the median spread, leaves no digit of them. In float64 that is |value| > sqrt(n d / eps) spreads, n wells
    and d features: 6e11 for RxRx3-core and OpenPhenom. It may be one value, a feature in another unit, or a
    constant. So are values whose squares float64 does not hold (beyond `LARGEST`, or all below `SMALLEST`).
    Where features have units (a profile, to be cleaned) nothing is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, some
from polaris_rxrx.types import Floats, Ints, Matrix

SAMPLE = 1024
FAR, WIDE = 100.0, 1e6
LARGEST, SMALLEST = 1e140, 1e-140
_KEYS = 8  # columns that tell nearly all rows apart
_NAMED = 3


@dataclass(frozen=True, eq=False)
class Extremes:
    """The least and the largest value of each feature."""

    low: Floats
    high: Floats

    @classmethod
    def of(cls, n: int) -> Extremes:
        return cls(np.full(n, np.nan), np.full(n, np.nan))

    def add(self, start: int, block: Matrix) -> bool:
        """Take in features (k, n) from `start` on; whether all of their values are finite."""
        here = slice(start, start + len(block))
        self.low[here], self.high[here] = block.min(axis=1), block.max(axis=1)  # NaN stays NaN
        return bool(np.isfinite(self.low[here]).all() and np.isfinite(self.high[here]).all())

    def size(self) -> Floats:
        """The largest absolute value of each feature."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


@dataclass(frozen=True)
class Seen:
    """What `look` found; names are the first few."""

    n_zero: int = 0
    zero: tuple[str, ...] = ()
    n_identical: int = 0
    identical: tuple[tuple[str, ...], ...] = ()
    n_outliers: int = 0
    n_wells_with_outliers: int = 0
    outliers: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()
    far: tuple[str, ...] = ()  # features that have outliers, where nobody counted them

    @property
    def notes(self) -> list[str]:
        """A sentence for each thing found."""
        notes = []
        if self.n_zero:
            notes.append(f"{_wells(self.n_zero)} zero in every feature: {_few(self.zero, self.n_zero)}; kept")
        if self.n_identical:
            pairs = " and ".join(" = ".join(map(repr, group)) for group in self.identical)
            more = self.n_identical - sum(map(len, self.identical))
            notes.append(
                f"{self.n_identical:,} wells share their vector with another: {pairs}"
                f"{f' and {more:,} more wells' if more else ''}; kept"
            )
        if self.n_outliers:
            what = "value is" if self.n_outliers == 1 else "values are"
            notes.append(
                f"{self.n_outliers:,} {what} over {FAR:g} robust standard deviations off, in wells "
                f"{_few(self.outliers, self.n_wells_with_outliers)}; kept"
            )
        if self.far:
            notes.append(f"{some(self.far, _NAMED)} reach over {FAR:g} robust standard deviations off; kept")
        if self.wide:
            notes.append(
                f"{some(self.wide, _NAMED)} spread over more than {WIDE:g} times as much as most features; "
                'where features have units, a card with kind = "profile" standardizes them first'
            )
        return notes

    def to_dict(self) -> dict[str, Any]:
        return {
            "n_zero": self.n_zero,
            "zero": list(self.zero),
            "n_identical": self.n_identical,
            "identical": [list(group) for group in self.identical],
            "n_outliers": self.n_outliers,
            "n_wells_with_outliers": self.n_wells_with_outliers,
            "outliers": list(self.outliers),
            "wide_features": list(self.wide),
            **({"far_features": list(self.far)} if self.far else {}),
        }


def look(
    x: Matrix, features: Sequence[str], name: Callable[[int], str], path: Path, extremes: Extremes | None
) -> Seen:
    """Look through a matrix of wells (n, d), n >= 1.

    Args:
        x: The values; NaN only where `extremes` is None.
        features: Names of the columns.
        name: The well_id of a row.
        path: The table, for messages.
        extremes: Of each feature; None for features with units, whose sizes say nothing.

    Raises:
        DataError: A value swamps all others.
    """
    zero, groups = _repeated(x)
    outliers: tuple[int, Ints] = (0, np.zeros(0, dtype=np.int64))
    wide: list[str] = []
    if extremes is not None:
        middle, spread, typical, wide = _spreads(x[:: -(-len(x) // SAMPLE)], features)

        def largest(j: int) -> str:
            row = int(np.argmax(np.abs(x[:, j])))
            return f"{float(x[row, j]):.6g} in well {name(row)!r}"

        _refuse_size(x.size, features, path, extremes.size(), typical, largest)
        outliers = _outliers(x, extremes, middle, spread)
    return Seen(
        n_zero=len(zero),
        zero=tuple(name(i) for i in zero[:_NAMED]),
        n_identical=sum(map(len, groups)),
        identical=tuple(tuple(name(i) for i in group[:_NAMED]) for group in groups[:_NAMED]),
        n_outliers=outliers[0],
        n_wells_with_outliers=len(outliers[1]),
        outliers=tuple(name(i) for i in outliers[1][:_NAMED].tolist()),
        wide=tuple(wide),
    )


def look_once(
    low: Floats,
    high: Floats,
    sample: Matrix,
    zero: Ints,
    well: Ints,
    key: Any,
    features: Sequence[str],
    name: Callable[[int], str],
    path: Path,
    n: int,
) -> Seen:
    """What can be said of n wells after one pass in which none was kept.

    Args:
        low: The least value of each feature (d,).
        high: The largest.
        sample: Values of some wells (s, d).
        zero: Wells that are zero in every feature.
        well: All wells, in any order.
        key: A number for each of them, equal where the values are.
        features: Their names.
        name: The well_id of a well.
        path: The table, for messages.
        n: How many wells there are.

    Raises:
        DataError: A value swamps all others.
    """
    middle, spread, typical, wide = _spreads(sample, features)
    size = np.maximum(np.abs(low), np.abs(high))
    _refuse_size(n * len(features), features, path, size, typical, lambda j: f"{_largest(low, high, j):.6g}")
    far = (spread > 0) & ((low < middle - FAR * spread) | (high > middle + FAR * spread))
    zero = np.sort(zero)
    groups = _equal(well, key, zero)
    return Seen(
        n_zero=len(zero),
        zero=tuple(name(int(i)) for i in zero[:_NAMED]),
        n_identical=sum(map(len, groups)),
        identical=tuple(tuple(name(i) for i in group[:_NAMED]) for group in groups[:_NAMED]),
        wide=tuple(wide),
        far=tuple(features[i] for i in np.flatnonzero(far).tolist()),
    )


def _largest(low: Floats, high: Floats, j: int) -> float:
    return float(low[j] if abs(low[j]) > abs(high[j]) else high[j])


def _equal(well: Ints, key: Any, zero: Ints) -> list[list[int]]:
    """Groups of wells with one key, each by its first well; without those of zeros alone."""
    keep = ~np.isin(well, zero)
    well, key = well[keep], key[keep]
    order = np.lexsort((well, key))
    well, key = well[order], key[order]
    start = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, dtype=np.int64)
    n = np.diff(np.r_[start, len(key)])
    found = [well[a : a + k].tolist() for a, k in zip(start[n > 1].tolist(), n[n > 1].tolist(), strict=True)]
    return sorted(found)


def _spreads(sample: Matrix, features: Sequence[str]) -> tuple[Floats, Floats, float, list[str]]:
    """Middle and spread of each feature over some wells, the typical spread, features of a far wider one."""
    # Halved, as the difference of two finite numbers need not be finite.
    half = sample.astype(np.float64) / 2
    middle = np.median(half, axis=0)
    spread = 1.4826 * np.median(np.abs(half - middle), axis=0) * 2
    typical = float(np.median(spread[spread > 0])) if (spread > 0).any() else 0.0
    wide = [features[i] for i in np.flatnonzero(spread / WIDE > typical).tolist()] if typical else []
    return middle * 2, spread, typical, wide


def _repeated(x: Matrix) -> tuple[list[int], list[list[int]]]:
    """Rows of zeros, and groups of equal rows that are not, each by its first row."""
    columns = np.unique(np.linspace(0, x.shape[1] - 1, _KEYS).astype(np.int64))
    bits = (x[:, columns].astype(np.float64) + 0.0).view(np.uint64)  # -0.0 is 0.0
    key = np.zeros(len(x), dtype=np.uint64)
    for column in bits.T:
        key = (key ^ column) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(32)
    order = np.argsort(key, kind="stable")
    same = key[order[1:]] == key[order[:-1]]
    candidates = np.zeros(len(x), dtype=bool)
    candidates[order[1:][same]] = candidates[order[:-1][same]] = True
    candidates |= ~bits.any(axis=1)
    found: dict[bytes, list[int]] = {}
    zero = []
    for i in np.flatnonzero(candidates).tolist():
        row = x[i] + x.dtype.type(0)
        if not row.any():
            zero.append(i)
        else:
            found.setdefault(blake2b(row.tobytes(), digest_size=16).digest(), []).append(i)
    return zero, [group for group in found.values() if len(group) > 1]


def _outliers(x: Matrix, extremes: Extremes, middle: Floats, spread: Floats) -> tuple[int, Ints]:
    """How many values are far off, and the rows they stand in."""
    low, high = middle - FAR * spread, middle + FAR * spread
    n, rows = 0, np.zeros(len(x), dtype=bool)
    for j in np.flatnonzero((spread > 0) & ((extremes.low < low) | (extremes.high > high))):
        off = (x[:, j] < low[j]) | (x[:, j] > high[j])
        n += int(off.sum())
        rows |= off
    return n, np.flatnonzero(rows)


def _refuse_size(
    n_values: int,
    features: Sequence[str],
    path: Path,
    size: Floats,
    typical: float,
    largest: Callable[[int], str],
) -> None:
    """Raise `DataError` if a value swamps all others, or none has a square.

    Args:
        n_values: Of the whole table.
        features: Their names.
        path: The table, for messages.
        size: The largest absolute value of each feature.
        typical: The median spread, 0 if no feature has any.
        largest: That value of a feature, and perhaps its well, in words.
    """
    often = np.sqrt(n_values / np.finfo(np.float64).eps)
    worst = int(np.argmax(size))
    if size[worst] > LARGEST or (typical > 0 and size[worst] / often > typical):
        n = int((size > (min(LARGEST, typical * often) if typical > 0 else LARGEST)).sum())
        others = f" ({n:,} features have such values)" if n > 1 else ""
        beside = f"; the others spread over about {typical:.3g}" if typical > 0 else ""
        raise DataError(
            f"{path}: feature {features[worst]!r} is {largest(worst)}{beside}"
            f"{others}. Beside it nothing is left of the others in a sum. An embedding holds numbers of like "
            'size; a card with kind = "profile" brings features to one unit, and --features PATTERN leaves '
            "some out"
        )
    if 0 < size[worst] < SMALLEST:
        raise DataError(
            f"{path}: no value is larger than {size[worst]:.3g} (feature {features[worst]!r}); squares of "
            "such numbers are 0 in float64. Are the values damaged?"
        )


def _wells(n: int) -> str:
    return "1 well is" if n == 1 else f"{n:,} wells are"


def _few(names: Sequence[str], n: int) -> str:
    shown = ", ".join(map(repr, names))
    return shown if len(names) == n else f"{shown} and {n - len(names):,} more"
