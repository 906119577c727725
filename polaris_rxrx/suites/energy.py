"""Energy distance between sets of rows.

Conventions
    2 E|x - y| - E|x - x'| - E|y - y'| with Euclidean distances and means over all pairs, a row with itself
    included (distance 0); float64. geomloss's energy loss is half of it, which the
    public code multiplies by 2: the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polaris_rxrx import limits
from polaris_rxrx.errors import DataError
from polaris_rxrx.types import Floats, Ints

_ROWS_AT_ONCE = 512
# Below this share of the squared lengths a squared distance from a matrix product has lost too many digits.
_CLOSE = 1e-6


def energy_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Energy distance of two sets of rows, (n, d) and (m, d).

    Raises:
        DataError: One is empty or not finite, or widths differ.

    Twice the mean distance between the sets, 1, less those within, which are 0:

    >>> energy_distance([[0.0, 0.0]], [[0.0, 1.0]])
    2.0
    """
    left, right = _checked(x, "x"), _checked(y, "y")
    if left.shape[1] != right.shape[1]:
        raise DataError(f"x has {left.shape[1]} columns and y has {right.shape[1]}; they must have as many")
    return float(energy_distances(left, np.zeros(1, dtype=np.int64), ReferenceWells.of(right))[0])


def energy_distances(x: Floats, start: Ints, reference: ReferenceWells) -> Floats:
    """Energy distances of groups of rows from one reference; group k, not empty, begins at x[start[k]]."""
    end = np.r_[start[1:], len(x)]
    cross = np.add.reduceat(reference.mean_distances(x), start) / (end - start)
    own = np.empty(len(start))
    for k, (a, b) in enumerate(zip(start, end, strict=True)):
        own[k] = mean_self_distance(x[a:b])
        limits.release(x)
    energy: Floats = 2 * cross - own - reference.own
    return energy


@dataclass(frozen=True, eq=False)
class ReferenceWells:
    """Rows (m, d) that many groups are compared with; what depends on them alone is worked out once."""

    center: Floats
    right: Floats
    own: float

    @classmethod
    def of(cls, rows: Floats) -> ReferenceWells:
        center = rows.mean(axis=0)
        return cls(center, right_factor(rows, center), mean_self_distance(rows))

    def mean_distances(self, x: Floats) -> Floats:
        """Mean distance (n,) of each row of `x` from the reference."""
        means = np.empty(len(x))
        for a in range(0, len(x), _ROWS_AT_ONCE):
            part = distances(left_factor(x[a : a + _ROWS_AT_ONCE], self.center), self.right)
            part.mean(axis=1, out=means[a : a + _ROWS_AT_ONCE])
            limits.release(x)
        return means


def mean_self_distance(x: Floats) -> float:
    """Mean distance of all n^2 pairs of rows, each row with itself included."""
    center = x.mean(axis=0)
    total = 0.0
    for a in range(0, len(x), _ROWS_AT_ONCE):
        left = left_factor(x[a : a + _ROWS_AT_ONCE], center)
        total += float(distances(left, right_factor(x[a : a + _ROWS_AT_ONCE], center), to_itself=True).sum())
        for b in range(a + _ROWS_AT_ONCE, len(x), _ROWS_AT_ONCE):  # the other half is the same
            total += 2 * float(distances(left, right_factor(x[b : b + _ROWS_AT_ONCE], center)).sum())
    return total / len(x) ** 2


# |x - y|^2 = |x|^2 + |y|^2 - 2 x.y as one matrix product: (x, |x|^2, 1) with (-2 y, 1, |y|^2).
def left_factor(x: Floats, center: Floats) -> Floats:
    left = np.empty((len(x), x.shape[1] + 2))
    moved = np.subtract(x, center, out=left[:, :-2])
    left[:, -2], left[:, -1] = np.einsum("ij,ij->i", moved, moved), 1
    return left


def right_factor(y: Floats, center: Floats) -> Floats:
    rows = left_factor(y, center)
    rows[:, :-2] *= -2
    rows[:, [-2, -1]] = rows[:, [-1, -2]]
    right: Floats = rows.T
    return right


def distances(left: Floats, right: Floats, *, to_itself: bool = False) -> Floats:
    """Distances (n, m); those too small for the product are taken from the difference."""
    square: Floats = left @ right
    if to_itself:
        np.fill_diagonal(square, np.inf)
    long = left[:, -2].max() + right[-1].max()
    if square.min() <= _CLOSE * long:
        close = np.nonzero(square <= _CLOSE * (left[:, -2, None] + right[-1]))
        for a in range(0, len(close[0]), 4096):
            i, j = close[0][a : a + 4096], close[1][a : a + 4096]
            gap = left[i, :-2] + 0.5 * right[:-2, j].T
            square[i, j] = np.einsum("ij,ij->i", gap, gap)
    if to_itself:
        np.fill_diagonal(square, 0)
    return np.sqrt(square, out=square)


def _checked(rows: ArrayLike, name: str) -> Floats:
    x = np.asarray(rows, dtype=np.float64)
    if x.ndim != 2 or not x.size:
        raise DataError(f"{name} has the shape {x.shape}; wells as rows, at least one, were expected")
    if not np.isfinite(x).all():
        row, column = (int(i[0]) for i in np.nonzero(~np.isfinite(x)))
        raise DataError(f"{name} holds {x[row, column]} in row {row}, column {column}; it must be finite")
    return x
