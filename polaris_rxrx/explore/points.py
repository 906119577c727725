"""A map as points of two dimensions: a picture, and no measure.

Conventions
    Of vectors of length 1, by their first two principal components, or by UMAP with the cosine (extra
    `umap`). Coordinates are centered and divided by the largest of both axes. Signs are such that the
    component's largest weight is positive; UMAP is seeded.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from polaris_rxrx.errors import UsageError
from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.blocks import Part
from polaris_rxrx.explore.rows import Rows
from polaris_rxrx.types import Floats

Points = Literal["pca", "umap"]
POINTS: tuple[Points, ...] = get_args(Points)
_NONE = -32768
_NEIGHBORS = 15  # UMAP's own choice


def check(method: str) -> None:
    """Refuse a method that cannot be, before any work is done.

    Raises:
        UsageError: The method is unknown, or UMAP is not installed.
    """
    if method not in POINTS:
        raise UsageError(f"points are {method!r}; expected one of {', '.join(POINTS)}")
    if method == "umap":
        _umap()


def points(rows: Rows, method: str = "pca", seed: int = 0) -> Part:
    """The points of all rows that have a vector.

    Raises:
        UsageError: As `check`.
    """
    check(method)
    units = rows.units[rows.there]
    if len(units) < 3:
        return Part(missing={"points": "The map has fewer than three rows with a vector"})
    kept: list[float] | None = None
    protocol: dict[str, Any] = {}
    if method == "pca":
        found, kept = _pca(units)
    else:
        found, protocol = _mapped(units, seed)
    found = found - (found.max(axis=0) + found.min(axis=0)) / 2
    found = found / (np.abs(found).max() or 1.0)
    whole = np.full((len(rows), 2), _NONE, dtype=np.int16)
    whole[rows.there] = np.rint(found * 32767).astype(np.int16)
    document = {"method": method.upper(), "kept": kept, "seed": seed, "protocol": protocol}
    return Part({"points": document}, {"points": blocks.write(whole)})


def _pca(units: Floats) -> tuple[Floats, list[float]]:
    """The first two components' scores (n, 2), and the shares of the variance that they hold."""
    centered = units - units.mean(axis=0)
    variance, axes = np.linalg.eigh(centered.T @ centered)
    if len(variance) < 2:
        return np.c_[centered, np.zeros(len(units))], [1.0, 0.0]
    axes = axes[:, [-1, -2]]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    total = float(variance.sum()) or 1.0
    return centered @ axes, [float(variance[-1]) / total, float(variance[-2]) / total]


def _umap() -> Any:
    try:
        import umap
    except ImportError:
        raise UsageError('--points umap needs umap-learn: pip install "polaris-rxrx[umap]"') from None
    return umap


def _mapped(units: Floats, seed: int) -> tuple[Floats, dict[str, Any]]:
    """UMAP's points (n, 2), and how they came about."""
    umap = _umap()
    n_neighbors = min(_NEIGHBORS, len(units) - 1)
    # A spectral start wants more rows than there may be.
    start = "spectral" if len(units) > 2 * _NEIGHBORS else "random"
    made = umap.UMAP(
        metric="cosine", n_neighbors=n_neighbors, init=start, random_state=seed, n_jobs=1
    ).fit_transform(units)
    how = {"metric": "cosine", "n_neighbors": n_neighbors, "init": start, "umap": str(umap.__version__)}
    return np.asarray(made, dtype=np.float64), how
