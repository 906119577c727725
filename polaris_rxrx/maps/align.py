"""Alignment on control wells: take out what differs between experiments and is not biology.

Conventions
    Rows are wells, columns features; statistics are float64 and come from control wells alone. Standard
    deviations are the population's (ddof 0); a constant column is divided by 1, as scikit-learn does.
    Every aligner is affine within an experiment, x -> (x - center) @ linear. A perturbation's aligned mean is
    therefore the aligned mean of its wells, and no well need be transformed on its own.
    An experiment is a batch here: whatever wells come in one block (`polaris_rxrx.wells.design`).

Aligners
    pca-cs        PCA fitted on all control wells, all components kept; then center and scale in each
                  experiment on its control wells.
    center-scale  Center and scale in each experiment on its control wells.
    center-scale-all  Center and scale on all control wells, whatever their experiment.
    tvn           Center and scale on all control wells; PCA fitted on them, all components kept; center and
                  scale on all control wells again; then multiply each experiment by (C + I/2)^-1/2, C the
                  covariance (ddof 1) of its control wells. Nothing is centered in an experiment, so the mean
                  of its control wells is not zero.
    none          Nothing.

Components
    Of the directions that pca-cs and tvn take from all control wells, largest variance first, the first N may
    be kept, or the fewest that hold a share of the control wells' variance (tvn: of the features scaled).
    What is kept is aligned as ever, so this is affine, too. Without a choice all are kept, as published.

Source
    PCA-CS: arXiv 2503.20158. TVN: Ando, McLean, Berndl (2017), bioRxiv 161422, in the form of the public code
    (EFAAR_benchmarking, `tvn_on_controls`).

Deviation from the public code
    1. Directions in which all control wells together do not vary (a constant feature, fewer control wells
       than features) are dropped; scikit-learn keeps them and scaling makes features of rounding errors.
    2. For PCA-CS the correlations of the features tell which directions those are, not their sizes: a feature
       in another unit costs the others nothing. Where the variances of directions differ by more than
       `GRADED`, directions are computed by way of the correlations, too; the small ones among eigenvectors
       of the covariance, which the public code takes, are rounding errors there.
    3. A share is kept by the fewest directions that hold at least as much; scikit-learn's hold more than it,
       which differs where it is met exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import NotRequired, TypedDict

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.names import ALIGNERS as ALIGNERS
from polaris_rxrx.maps.names import Aligner as Aligner
from polaris_rxrx.types import Bools, Floats, Ints

MIN_CONTROLS = 2
GRADED = 1e8
_ROWS_AT_ONCE = 4096
WITH_MOMENTS: tuple[Aligner, ...] = ("pca-cs", "tvn", "center-scale")  # for which moments do in `fit_moments`
WITH_COMPONENTS: tuple[Aligner, ...] = ("pca-cs", "tvn")
FLAT = "the control wells do not vary: every feature is constant"


class AlignmentDocument(TypedDict):
    """How a protocol names an alignment."""

    align: Aligner
    components: NotRequired[float]


@dataclass(frozen=True)
class Alignment:
    """An aligner, and how many of its components are kept: a number, a share of variance, or all (None).

    Raises:
        UsageError: The aligner is unknown or has no components, or there cannot be so many.

    >>> Alignment("tvn", components=128).to_dict()
    {'align': 'tvn', 'components': 128}
    >>> embeddings = "data/OpenPhenom_rxrx3_core_embeddings.parquet"
    >>> wells = pr.read_wells("data/metadata_rxrx3_core.csv", embeddings, features="feature_?")
    >>> pr.build_map(wells, Alignment("pca-cs", components=4)).x.shape
    (432, 4)
    """

    aligner: Aligner
    components: int | float | None = None

    def __post_init__(self) -> None:
        if self.aligner not in ALIGNERS:
            raise UsageError(f"aligner {self.aligner!r} is not known; expected one of {', '.join(ALIGNERS)}")
        if self.components is None:
            return
        if self.aligner not in WITH_COMPONENTS:
            raise UsageError(
                f"components mean nothing for {self.aligner}; they are of {' and '.join(WITH_COMPONENTS)}"
            )
        c = self.components
        if isinstance(c, bool) or not (c >= 1 if isinstance(c, int) else 0 < c < 1):
            raise UsageError(
                f"components are {c!r}; a whole number from 1, or a share of variance between 0 and 1, was "
                "expected"
            )

    def to_dict(self) -> AlignmentDocument:
        """What a protocol keeps."""
        if self.components is None:
            return {"align": self.aligner}
        return {"align": self.aligner, "components": self.components}


AlignBy = Aligner | Alignment
"""What alignment is asked for by: an aligner's name, or more."""


def as_alignment(align_by: AlignBy) -> Alignment:
    """The same as an `Alignment`."""
    return align_by if isinstance(align_by, Alignment) else Alignment(align_by)


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean (d,) and scatter (d, d) of rows: sum of (x - mean) (x - mean)^T. Exact to merge."""

    n: int
    mean: Floats
    scatter: Floats

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets of rows together (Chan, Golub, LeVeque 1979)."""
        n = self.n + other.n
        gap = other.mean - self.mean
        mean = self.mean + gap * (other.n / n)
        return Moments(n, mean, self.scatter + other.scatter + np.outer(gap, gap) * (self.n * other.n / n))


@dataclass(frozen=True, eq=False)
class Affine:
    """x -> (x - center) @ linear, or (x - center) * scale where no feature is mixed with another."""

    center: Floats
    linear: Floats | None
    scale: Floats | None

    def rows(self, rows: NDArray[Any]) -> Floats:
        """Aligned rows (n, k), in float64, from rows (n, d) as they are."""
        moved: Floats = rows - self.center
        if self.linear is not None:
            moved = moved @ self.linear
        if self.scale is not None:
            moved *= self.scale
        return moved

    def sums(self, sums: Floats, counts: Ints) -> Floats:
        """Sums of aligned rows, from sums (k, d) and counts (k,) of rows as they are."""
        width = len(self.center) if self.linear is None else self.linear.shape[1]
        out = np.empty((len(sums), width))
        for a in range(0, len(sums), _ROWS_AT_ONCE):  # a large batch has a sum for each of its many doses
            part = slice(a, a + _ROWS_AT_ONCE)
            moved = sums[part] - counts[part, None] * self.center
            if self.linear is not None:
                moved = moved @ self.linear
            out[part] = moved if self.scale is None else moved * self.scale
        return out


@dataclass(frozen=True, eq=False)
class Basis:
    """What an aligner takes from all control wells: x -> (x - center) @ rotation, or (x - center) * scale.

    The lengths of the rotation's columns mean nothing: what comes out is scaled in each experiment.
    `n_directions` is in how many directions the control wells vary, where that was looked at, `kept` the
    share of their variance that the rotation keeps.
    """

    aligner: Aligner
    center: Floats
    rotation: Floats | None
    scale: Floats | None = None
    n_directions: int | None = None
    kept: float = 1.0

    @property
    def n_dropped(self) -> int:
        """In how many directions the control wells do not vary, where that was looked at."""
        return 0 if self.n_directions is None else len(self.center) - self.n_directions

    @property
    def width(self) -> int:
        """How many columns an aligned row has."""
        return len(self.center) if self.rotation is None else self.rotation.shape[1]


def moments(rows: NDArray[Any]) -> Moments:
    """Moments of rows (n, d), n >= 1, in float64.

    >>> found = moments(np.array([[1.0, 2.0], [3.0, 2.0]]))
    >>> found.n, found.mean.tolist(), found.scatter.tolist()
    (2, [2.0, 2.0], [[2.0, 0.0], [0.0, 0.0]])
    """
    x = rows.astype(np.float64)
    mean = x.mean(axis=0)
    x -= mean
    return Moments(len(x), mean, x.T @ x)


def needs_moments(align_by: AlignBy) -> bool:
    """Whether `basis` looks at all control wells together."""
    return as_alignment(align_by).aligner in ("pca-cs", "tvn", "center-scale-all")


def fits_experiments(align_by: AlignBy) -> bool:
    """Whether `fit` looks at an experiment's own control wells."""
    return as_alignment(align_by).aligner not in ("center-scale-all", "none")


def basis(align_by: AlignBy, controls: Moments | None, n_features: int) -> Basis:
    """Fit the part of an aligner that all experiments share.

    Raises:
        UsageError: The aligner's name is unknown, or the control wells have fewer components than are asked
            for.
        DataError: There are no control wells to fit on.

    Control wells that vary in two of three directions:

    >>> controls = np.array([[1.0, 0, 5], [-1, 0, 5], [0, 2, 5], [0, -2, 5]])
    >>> shared = basis("pca-cs", moments(controls), n_features=3)
    >>> shared.width, shared.n_dropped
    (2, 1)
    """
    alignment = as_alignment(align_by)
    aligner = alignment.aligner
    if not needs_moments(aligner):
        return Basis(aligner, np.zeros(n_features), None)
    if controls is None or controls.n < MIN_CONTROLS:
        raise DataError(f"{aligner} needs control wells, and there are none")
    covariance = controls.scatter / controls.n
    if not np.isfinite(covariance).all():
        raise DataError(f"{aligner}: the control wells' squares do not fit into float64; are values damaged?")
    if aligner == "center-scale-all":
        scale = 1 / _deviation(np.diag(covariance), controls.mean, controls.n)
        return Basis(aligner, controls.mean, None, scale)
    if aligner == "tvn":
        scale = 1 / _deviation(np.diag(covariance), controls.mean, controls.n)
        scaled = covariance * np.outer(scale, scale)
        directions = _directions(scaled, controls.n)
        # The scores of all control wells have mean 0, so centering them again does nothing.
        variance = np.einsum("ij,ij->j", directions, scaled @ directions)
        rotation = scale[:, None] * (directions / np.sqrt(variance))
    else:
        rotation, variance = _principal(covariance, controls.mean, controls.n)
    n_directions = rotation.shape[1]
    if alignment.components is None:
        return Basis(aligner, controls.mean, rotation, None, n_directions)
    k = _n_components(alignment.components, variance)
    kept = float(variance[:k].sum() / variance.sum())
    return Basis(aligner, controls.mean, np.ascontiguousarray(rotation[:, :k]), None, n_directions, kept)


def _n_components(components: int | float, variance: Floats) -> int:
    """How many directions are kept, of those with these variances (k,), largest first."""
    if isinstance(components, int):
        if components > len(variance):
            raise UsageError(
                f"components are {components:,}, and the control wells vary in {len(variance):,} directions; "
                "at most as many can be kept"
            )
        return components
    # At least the share, up to the rounding of the sum.
    share = np.cumsum(variance) / variance.sum()
    return int(np.searchsorted(share, components - 1e-12)) + 1


def fit(shared: Basis, controls: NDArray[Any]) -> Affine:
    """Fit the part that is an experiment's own on its control wells (n, d), n >= `MIN_CONTROLS`.

    Aligned by their own mean and standard deviation, the control wells have mean 0 and deviation 1:

    >>> controls = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> affine = fit(basis("center-scale", None, n_features=2), controls)
    >>> affine.rows(controls).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """
    if not fits_experiments(shared.aligner):
        return Affine(shared.center, None, shared.scale)
    z = controls.astype(np.float64) - shared.center
    if shared.rotation is not None:
        z = z @ shared.rotation
    mean = z.mean(axis=0)
    z -= mean
    if shared.aligner == "tvn" and shared.rotation is not None:
        whitening = _inverse_root(z.T @ z / (len(z) - 1) + 0.5 * np.eye(shared.width))
        return Affine(shared.center, shared.rotation @ whitening, None)
    scale = 1 / _deviation(np.mean(z * z, axis=0), mean, len(z))
    if shared.rotation is None:
        return Affine(mean, None, scale)
    # The experiment's mean in rotated space is that of its controls: center on them before rotating.
    return Affine(controls.mean(axis=0, dtype=np.float64), shared.rotation, scale)


def fit_moments(shared: Basis, own: Moments) -> Affine:
    """As `fit`, from the moments of an experiment's control wells, n >= `MIN_CONTROLS`."""
    if not fits_experiments(shared.aligner):
        return Affine(shared.center, None, shared.scale)
    if shared.aligner not in WITH_MOMENTS:
        raise UsageError(f"{shared.aligner} needs the control wells themselves, not their moments")
    if shared.rotation is None:
        return Affine(own.mean, None, 1 / _deviation(np.diag(own.scatter) / own.n, own.mean, own.n))
    turned = own.scatter @ shared.rotation
    if shared.aligner == "tvn":
        covariance = shared.rotation.T @ turned / (own.n - 1)
        whitening = _inverse_root((covariance + covariance.T) / 2 + 0.5 * np.eye(shared.width))
        return Affine(shared.center, shared.rotation @ whitening, None)
    variance = np.einsum("ij,ij->j", shared.rotation, turned) / own.n
    mean = (own.mean - shared.center) @ shared.rotation
    return Affine(own.mean, shared.rotation, 1 / _deviation(variance, mean, own.n))


def _deviation(variance: Floats, mean: Floats, n: int) -> Floats:
    """Standard deviations, 1 where a column is constant up to rounding."""
    return np.where(_constant(variance, mean, n), 1.0, np.sqrt(np.maximum(variance, 0)))


def _constant(variance: Floats, mean: Floats, n: int) -> Bools:
    """Which columns are constant up to rounding (scikit-learn's bound)."""
    eps = np.finfo(np.float64).eps
    constant: Bools = variance <= n * eps * variance + (n * mean * eps) ** 2
    return constant


def _principal(covariance: Floats, mean: Floats, n: int) -> tuple[Floats, Floats]:
    """Principal directions (d, k), largest first, of the rank that the correlations have (deviation 2).

    And the variance along each, (k,), whatever the lengths of the columns.
    """
    values, vectors = _eigen(covariance, n)
    by_size = _not_rounding(values, len(covariance))
    graded = values[by_size].min(initial=np.inf) * GRADED < values.max(initial=0)
    if by_size.sum() == len(covariance) and not graded:
        return np.ascontiguousarray(vectors[:, ::-1]), values[::-1]
    varies = ~_constant(np.diag(covariance), mean, n)
    if not varies.any():
        raise DataError(FLAT)
    size = np.sqrt(np.diag(covariance)[varies])
    share, mixed = _eigen(covariance[np.ix_(varies, varies)] / size / size[:, None], n)
    keep = _not_rounding(share, len(size))
    if keep.sum() == by_size.sum() and not graded:
        return np.ascontiguousarray(vectors[:, by_size][:, ::-1]), values[by_size][::-1]
    root, mixed = np.sqrt(share[keep]), mixed[:, keep]
    # The covariance is F F^T, F = size * mixed * root. In the white coordinates x / size @ (mixed / root)
    # a principal direction is a right singular vector of F, and no coordinate is larger than another.
    white = mixed / root
    rotation = np.zeros((len(covariance), white.shape[1]))
    factor = size[:, None] * mixed * root
    turned = _right_vectors(factor)
    rotation[varies] = (white @ turned) / size[:, None]
    return rotation, np.sum((factor @ turned) ** 2, axis=0)


def _right_vectors(rows: Floats) -> Floats:
    """Right singular vectors (k, k), largest first, of rows (d, k) of very different sizes, d >= k.

    Repeated QR decompositions draw the large apart from the small (Stewart 1999, the QLP decomposition), so
    that each group between gaps can be decomposed alone; a plain decomposition of all errs by the rounding of
    the largest.
    """
    order = np.argsort(-np.linalg.norm(rows, axis=1))
    found, upper = np.linalg.qr(rows[order].T)
    for _ in range(3):
        turn, upper = np.linalg.qr(_triangle(upper.T).T)
        found = found @ turn
    upper = _triangle(upper.T)
    diagonal = np.abs(np.diag(upper))
    least, largest = np.minimum.accumulate(diagonal), np.maximum.accumulate(diagonal[::-1])[::-1]
    cuts = [0, *(1 + np.flatnonzero(least[:-1] > 1e3 * largest[1:])).tolist(), len(diagonal)]
    for a, b in pairwise(cuts):
        found[:, a:b] = found[:, a:b] @ np.linalg.svd(upper[a:b, a:b])[2].T
    return found


def _triangle(matrix: Floats) -> Floats:
    """R of QR."""
    r: Floats = np.linalg.qr(matrix).R
    return r


def _directions(covariance: Floats, n: int) -> Floats:
    """Eigenvectors (d, k) of a covariance of n wells, largest first, without those of no variance."""
    values, vectors = _eigen(covariance, n)
    keep = _not_rounding(values, len(covariance))
    if not keep.any():
        raise DataError(FLAT)
    return np.ascontiguousarray(vectors[:, keep][:, ::-1])


def _not_rounding(values: Floats, d: int) -> Bools:
    """Which eigenvalues of a matrix (d, d), in ascending order, are more than the rounding of the largest."""
    keep: Bools = values > values.max(initial=0) * d * np.finfo(np.float64).eps * 10
    return keep


def _eigen(matrix: Floats, n: int) -> tuple[Floats, Floats]:
    """Eigenvalues, ascending, and vectors of a covariance (d, d) of n wells.

    Of few wells most of the d values are rounding; those that are not are found by way of a Cholesky factor
    (d, rank), which pivoting ends where only rounding is left: d rank^2 steps in place of d^3.
    """
    if 2 * n >= len(matrix):
        values, vectors = np.linalg.eigh(matrix)
        return values, vectors
    from scipy.linalg.lapack import dpstrf

    lower, order, rank, _ = dpstrf(matrix, lower=1)
    if rank == 0:
        return np.empty(0), np.empty((len(matrix), 0))
    factor = np.empty((len(matrix), rank))
    factor[order - 1] = np.tril(lower)[:, :rank]
    found, upper = np.linalg.qr(factor)
    turn, root, _ = np.linalg.svd(upper)
    return root[::-1] ** 2, (found @ turn)[:, ::-1]


def _inverse_root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    root: Floats = (vectors / np.sqrt(values)) @ vectors.T
    return root
