"""AreaShape: sizes, outlines, moments and Feret diameters of all objects at once; Location_Center.

Conventions
    As cp_measure's `get_sizeshape` and `get_feret`, in pixels. Moments are cp_measure's own. Of a pixel it
    matters which of its eight neighbors belong to the same object: from that follow the perimeter (of edge
    pixels, those with another pixel at one of four sides: steps of 1, of the square root of 2 or half of
    each, by how many of its neighbors are edge pixels, too), Crofton's perimeter (crossings of lines in four
    directions) and Euler's number (corners less sides plus pixels, so that diagonal neighbors are one piece).
    Radii are distances to the edge; the image's border is an edge here. Names are CellProfiler's;
    `FilledArea` and `PerimeterCrofton` are cp_measure's beyond CellProfiler 4.
"""

from __future__ import annotations

import numpy as np

from polaris_rxrx.featurize.families.objects import Columns, Objects
from polaris_rxrx.types import Bools, Floats, Ints, Matrix

_SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))
_DIAGONALS = ((-1, -1), (-1, 1), (1, -1), (1, 1))


def shape(objects: Objects, to_edge: Floats) -> Columns:
    """AreaShape and Location_Center of every object, without the Zernike moments.

    Args:
        to_edge: Of each pixel, in the order of the objects' pixels, its distance to the nearest one that is
            not of its object; the image's border counts for nothing.
    """
    from centrosome.cpmorphology import feret_diameter

    area = objects.sizes.astype(np.float64)
    found = _boxes(objects, area) | _outlines(objects, area) | _moments(objects) | _radii(objects, to_edge)
    corners, counts = objects.hulls
    least, most = feret_diameter(corners, counts, np.arange(1, len(objects) + 1))
    found["MinFeretDiameter"], found["MaxFeretDiameter"] = least, most
    columns = {f"AreaShape_{name}": np.asarray(values, dtype=np.float64) for name, values in found.items()}
    for axis in "XY":
        columns[f"Location_Center_{axis}"] = columns[f"AreaShape_Center_{axis}"]
    return columns


def _boxes(objects: Objects, area: Floats) -> Columns:
    """Where an object is, how large, and how much of its box and hull it fills."""
    from skimage.morphology import convex_hull_image

    boxes = np.array(
        [[rows.start, rows.stop, columns.start, columns.stop] for rows, columns in objects.boxes]
    )
    top, bottom, left, right = boxes.T.astype(np.float64)
    of_box = (bottom - top) * (right - left)
    hull = np.array([convex_hull_image(mask).sum() for mask in objects.masks()], dtype=np.float64)
    return {
        "Area": area,
        "BoundingBoxArea": of_box,
        "ConvexArea": hull,
        "EquivalentDiameter": np.sqrt(4 * area / np.pi),
        "Center_X": objects.total(objects.x) / area,
        "Center_Y": objects.total(objects.y) / area,
        "BoundingBoxMinimum_X": left,
        "BoundingBoxMaximum_X": right,
        "BoundingBoxMinimum_Y": top,
        "BoundingBoxMaximum_Y": bottom,
        "Extent": area / of_box,
        "Solidity": area / hull,
    }


def _outlines(objects: Objects, area: Floats) -> Columns:
    """Perimeters, and what follows from how the pixels of an object hang together."""
    same = _same(objects, objects.labels)
    up, down, left, right = (same[side] for side in _SIDES)
    up_left, up_right, down_left, _ = (same[diagonal] for diagonal in _DIAGONALS)

    def count(flags: Bools) -> Ints:
        return np.asarray(np.add.reduceat(flags.astype(np.int64), objects.starts))

    # A corner of pixels counts at the first of the object's up to four pixels around it.
    corners = objects.sizes + count(~left) + count(~up & ~up_right) + count(~up_left & ~up & ~left)
    pairs, blocks = count(left) + count(up), count(left & up & up_left)
    crossings = count(~up) + count(~right) + (count(~up_left) + count(~down_left)) / np.sqrt(2)
    perimeter = _perimeter(objects, ~(up & down & left & right))
    # By pieces that hang together at their sides, less the holes in them.
    holes = _pieces(objects) - (objects.sizes - pairs + blocks).astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        form = 4 * np.pi * area / perimeter**2  # a single pixel has no perimeter
    return {
        "Perimeter": perimeter,
        "FormFactor": form,
        "Compactness": perimeter**2 / (4 * np.pi * area),
        "PerimeterCrofton": np.pi / 4 * crossings,
        "EulerNumber": (corners - 3 * objects.sizes + pairs).astype(np.float64),
        "FilledArea": _filled(objects, area, holes),
    }


def _same(objects: Objects, image: Matrix) -> dict[tuple[int, int], Bools]:
    """Step -> whether the neighbor there has the pixel's own label in an image; beyond the border none."""
    width = objects.shape[1] + 2
    padded = np.pad(image, 1).ravel()
    at = (objects.order // (width - 2) + 1) * width + objects.order % (width - 2) + 1
    own = objects.of + 1
    return {(dy, dx): padded[at + dy * width + dx] == own for dy, dx in (*_SIDES, *_DIAGONALS)}


def _perimeter(objects: Objects, edge: Bools) -> Floats:
    """Lengths of the outlines: each edge pixel stands for a step of the kind its neighbors there tell."""
    image = np.zeros(objects.labels.size, dtype=np.int64)
    image[objects.order] = np.where(edge, objects.of + 1, 0)
    along = _same(objects, image.reshape(objects.shape))
    beside = sum(along[side].astype(np.int64) for side in _SIDES)
    across = sum(along[diagonal].astype(np.int64) for diagonal in _DIAGONALS)
    straight, oblique = 1.0, np.sqrt(2)
    step = np.zeros((5, 5))
    step[2:4, :3] = straight
    step[0, 2] = step[1, 3] = oblique
    step[1, 1:3] = (straight + oblique) / 2
    return objects.total(np.where(edge, step[beside, across], 0.0))


def _pieces(objects: Objects) -> Ints:
    """How many pieces an object has, pixels hanging together at their sides."""
    from skimage.measure import label

    pieces = label(objects.labels, background=0, connectivity=1).ravel()[objects.order]
    _, first = np.unique(pieces, return_index=True)
    return np.bincount(objects.of[first], minlength=len(objects))


def _filled(objects: Objects, area: Floats, holes: Matrix) -> Floats:
    """Areas with the holes filled that are closed on all eight sides; only objects with one are looked at."""
    from scipy.ndimage import binary_fill_holes

    filled: Floats = area.copy()
    having = set(np.flatnonzero(holes).tolist())
    for k, mask in enumerate(objects.masks()) if having else ():
        if k in having:
            filled[k] = binary_fill_holes(mask, np.ones((3, 3))).sum()
    return filled


def _moments(objects: Objects) -> Columns:
    from cp_measure.primitives._moments import (
        axes_eccentricity_orientation,
        inertia_2d,
        moment_feature_dict,
        spatial_moments_2d,
    )

    raw, central, normalized, invariant = spatial_moments_2d(objects.labels)
    inertia = inertia_2d(central)
    major, minor, eccentricity, orientation = axes_eccentricity_orientation(inertia)
    found: Columns = moment_feature_dict(raw, central, normalized, invariant, inertia)
    return found | {
        "MajorAxisLength": major,
        "MinorAxisLength": minor,
        "Eccentricity": eccentricity,
        "Orientation": np.degrees(orientation),
    }


def _radii(objects: Objects, to_edge: Floats) -> Columns:
    """The largest, mean and median distance of an object's pixels to its edge."""
    from scipy.ndimage import distance_transform_edt

    height, width = objects.shape
    distance = to_edge.copy()
    pieces = list(objects.slices())
    masks = objects.masks()
    for own, (rows, columns), mask in zip(pieces, objects.boxes, masks, strict=True):
        if min(rows.start, columns.start) == 0 or rows.stop == height or columns.stop == width:
            distance[own] = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1][mask]
    return {
        "MaximumRadius": np.maximum.reduceat(distance, objects.starts),
        "MeanRadius": objects.total(distance) / objects.sizes,
        "MedianRadius": np.array([np.median(distance[own]) for own in pieces]),
    }
