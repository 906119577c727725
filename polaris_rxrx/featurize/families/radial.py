"""RadialDistribution: how light lies between an object's center and its edge, and in Zernike moments.

Conventions
    As cp_measure's `get_radial_distribution` (scaled, four rings) and `get_radial_zernikes` (degree 9), and
    its `get_zernike` of outlines. The center is the pixel farthest from the object's edge, the first in
    reading order; distance from it is the shortest way inside the object by steps of 1 and, along a
    diagonal, of the square root of 2. Pieces that no such way reaches are in no ring. What depends on the
    outline alone (rings, wedges, polynomials) is worked out once for all channels.
    Phases are angles in radians, arctan2(real, imaginary) as CellProfiler has them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polaris_rxrx.featurize.families.objects import Columns, Objects, Values
from polaris_rxrx.types import Floats, Ints, Matrix

WEDGES = 8
_PIXELS_AT_ONCE = 16_384


class Rings:
    """Ring and wedge of every pixel that has one; `places` are positions among the objects' pixels.

    `to_edge` (pixels,) is each pixel's distance to its object's edge; the image's border is none.
    """

    def __init__(self, objects: Objects, count: int) -> None:
        self.count = count
        self.objects = objects
        self.to_edge, from_center, center = _distances(objects)
        reached = np.isfinite(from_center)
        self.places: Ints = np.flatnonzero(reached)
        self.of: Ints = objects.of[self.places]
        distance, edge = from_center[self.places], self.to_edge[self.places]
        # cp_measure's thousandth keeps the very edge within the last ring.
        self.ring: Ints = np.minimum((distance / (distance + edge + 0.001) * count).astype(np.int64), count)
        dy = objects.y[self.places] - objects.y[center][self.of]
        dx = objects.x[self.places] - objects.x[center][self.of]
        wedge = (dy > 0).astype(np.int64) + 2 * (dx > 0) + 4 * (np.abs(dy) > np.abs(dx))
        self.cell: Ints = (self.of * (count + 1) + self.ring) * WEDGES + wedge
        self.shape = (len(objects), count + 1, WEDGES)
        self.pixels: Floats = self._sum(None)

    def _sum(self, weights: Floats | None) -> Floats:
        found = np.bincount(self.cell, weights, minlength=int(np.prod(self.shape)))
        return np.asarray(found, dtype=np.float64).reshape(self.shape)

    def measure(self, channel: Values) -> Columns:
        """FracAtD, MeanFrac and RadialCV of one channel."""
        light = self._sum(channel.values[self.places])
        in_ring, pixels_in_ring = light.sum(axis=2), self.pixels.sum(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            fraction = in_ring / in_ring.sum(axis=1, keepdims=True)
            of_pixels = pixels_in_ring / pixels_in_ring.sum(axis=1, keepdims=True)
            means = light / self.pixels
        mean_fraction = fraction / (of_pixels + np.finfo(np.float64).eps)
        spread = self._spread(means)
        columns = {}
        for ring in range(self.count):
            at = f"{{channel}}_{ring + 1}of{self.count}"
            columns[f"RadialDistribution_FracAtD_{at}"] = fraction[:, ring]
            columns[f"RadialDistribution_MeanFrac_{at}"] = mean_fraction[:, ring]
            columns[f"RadialDistribution_RadialCV_{at}"] = spread[:, ring]
        return columns

    def _spread(self, means: Floats) -> Floats:
        """Standard deviation over mean of a ring's wedges, of those with pixels; 0 in the dark."""
        there = self.pixels > 0
        wedges = np.maximum(there.sum(axis=2), 1)
        means = np.where(there, means, 0.0)
        center = means.sum(axis=2) / wedges
        apart = np.where(there, means - center[:, :, np.newaxis], 0.0)
        deviation = np.sqrt((apart * apart).sum(axis=2) / wedges)
        spread: Floats = np.divide(deviation, center, out=np.zeros_like(center), where=center != 0)
        return spread


def _distances(objects: Objects) -> tuple[Floats, Floats, Ints]:
    """Of every pixel the distances to its object's edge and from its center; of every object that pixel."""
    from centrosome.cpmorphology import color_labels
    from scipy import ndimage
    from skimage.graph import MCP_Geometric

    colors = color_labels(objects.labels)  # no two that touch have one color
    color = colors.ravel()[objects.order]
    to_edge = np.empty(len(objects.order))
    from_center = np.empty(len(objects.order))
    groups = [(colors == k, np.flatnonzero(color == k)) for k in range(1, int(colors.max()) + 1)]
    for mask, own in groups:
        to_edge[own] = ndimage.distance_transform_edt(mask).ravel()[objects.order[own]]
    farthest = np.maximum.reduceat(to_edge, objects.starts)
    candidates = np.flatnonzero(to_edge == farthest[objects.of])
    center = candidates[np.searchsorted(objects.of[candidates], np.arange(len(objects)))]
    for mask, own in groups:
        start = objects.order[center[color[center] == color[own[0]]]]
        ways = MCP_Geometric(np.where(mask, 1.0, -1.0), fully_connected=True)  # below 0: no way
        reached, _ = ways.find_costs(np.column_stack(np.unravel_index(start, objects.shape)))
        from_center[own] = reached.ravel()[objects.order[own]]
    return to_edge, from_center, center


def zernikes(objects: Objects, channels: Sequence[Values], degree: int) -> tuple[Columns, list[Columns]]:
    """Zernike moments of the outlines, and of each channel's light within them.

    The polynomials are those of centrosome, on the smallest circle around an object, 0 beyond it. The circle
    of a single pixel is a point: NaN.
    """
    from centrosome.zernike import get_zernike_indexes

    indexes = get_zernike_indexes(degree + 1)
    _, radii = objects.circles
    real, imaginary = _moments(objects, channels, indexes)
    with np.errstate(divide="ignore", invalid="ignore"):
        shapes = np.hypot(real[0], imaginary[0]) / (np.pi * radii * radii)[:, np.newaxis]
    outlines = {f"AreaShape_Zernike_{n}_{m}": shapes[:, k] for k, (n, m) in enumerate(indexes)}
    lights = []
    for re, im in zip(real[1:], imaginary[1:], strict=True):
        magnitude, phase = np.sqrt(re * re + im * im) / objects.sizes[:, np.newaxis], np.arctan2(re, im)
        columns = {}
        for k, (n, m) in enumerate(indexes):
            columns[f"RadialDistribution_ZernikeMagnitude_{{channel}}_{n}_{m}"] = magnitude[:, k]
            columns[f"RadialDistribution_ZernikePhase_{{channel}}_{n}_{m}"] = phase[:, k]
        lights.append(columns)
    return outlines, lights


def _moments(objects: Objects, channels: Sequence[Values], indexes: Matrix) -> tuple[Floats, Floats]:
    """Sums of polynomial times weight, (1 + channels, objects, polynomials); the first weight is 1."""
    from centrosome.zernike import construct_zernike_lookuptable

    coefficients = construct_zernike_lookuptable(indexes)
    centers, radii = objects.circles
    real = np.zeros((1 + len(channels), len(objects), len(indexes)))
    imaginary = np.zeros_like(real)
    for first, last in objects.batches(_PIXELS_AT_ONCE):
        start, end = objects.starts[first], objects.starts[last - 1] + objects.sizes[last - 1]
        own = slice(int(start), int(end))
        of = objects.of[own]
        with np.errstate(divide="ignore", invalid="ignore"):
            y = (objects.y[own] - centers[of, 0]) / radii[of]
            x = (objects.x[own] - centers[of, 1]) / radii[of]
        weights = np.stack([np.ones(len(of)), *(channel.values[own] for channel in channels)])
        re, im = _polynomials(x, y, indexes, coefficients)
        for k in range(first, last):
            piece = slice(int(objects.starts[k] - start), int(objects.starts[k] - start + objects.sizes[k]))
            real[:, k] = weights[:, piece] @ re[:, piece].T
            imaginary[:, k] = weights[:, piece] @ im[:, piece].T
    return real, imaginary


def _polynomials(x: Floats, y: Floats, indexes: Matrix, coefficients: Matrix) -> tuple[Floats, Floats]:
    """Real and imaginary parts (polynomials, pixels) at points of the unit circle; 0 outside it."""
    square = x * x + y * y
    outside = square > 1
    powers = [np.ones(len(x), dtype=np.complex128)]
    for _ in range(int(indexes[:, 1].max())):
        powers.append(powers[-1] * (y + 1j * x))
    real, imaginary = np.empty((len(indexes), len(x))), np.zeros((len(indexes), len(x)))
    for k, (n, m) in enumerate(indexes):
        radius = np.zeros(len(x))
        for factor in coefficients[k, : (n - m) // 2 + 1]:
            radius *= square
            radius += factor
        radius[outside] = 0
        if m:
            np.multiply(radius, powers[m].real, out=real[k])
            np.multiply(radius, powers[m].imag, out=imaginary[k])
        else:
            real[k] = radius
    return real, imaginary
