"""How alike rows of a map are.

Conventions
    Cosines are float64 and lie in [-1, 1]; those of a zero row are NaN, not 0: nothing is known of it.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.types import Floats

Similarity = Literal["abs-cosine", "cosine"]
SIMILARITIES: tuple[Similarity, ...] = get_args(Similarity)


def unit_rows(x: NDArray[Any]) -> Floats:
    """Rows (n, d) divided by their length; a row without length becomes NaN.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [nan, nan]]
    """
    x = np.asarray(x, dtype=np.float64)
    length = np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]
    units: Floats = np.divide(x, length, out=np.full_like(x, np.nan), where=length > 0)
    return units


def cosine(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Cosines of every row of `a` (n, d) with every row of `b` (m, d), shape (n, m).

    >>> cosine(np.array([[1, 0]]), np.array([[2, 0], [0, 1], [-1, 0]])).tolist()
    [[1.0, 0.0, -1.0]]
    """
    cosines: Floats = np.clip(unit_rows(a) @ unit_rows(b).T, -1.0, 1.0)
    return cosines


def similarity(kind: Similarity, a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """`cosine`, or its absolute value: a knock-out and an inhibitor may pull in opposite directions.

    >>> similarity("abs-cosine", np.array([[1, 0]]), np.array([[-1, 0]])).tolist()
    [[1.0]]
    """
    value = cosine(a, b)
    return np.abs(value) if kind == "abs-cosine" else value
