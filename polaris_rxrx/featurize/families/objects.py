"""The objects of one compartment, laid out so that every measurement shares one pass over the labels.

Conventions
    Labels may have gaps; here objects are counted 0, 1, ... in order of their numbers, and `numbers` says
    which is which. Pixels of objects are sorted by object, within one in reading order (row by row):
    `order` holds their places in the flat image, `of` their object, and object k owns [starts[k], starts[k]
    + sizes[k]). Every object has at least one pixel. Coordinates are in pixels, y down, x to the right,
    from 0. Sums by object are exact to rounding: segments are added up on their own, never as differences
    of running totals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.types import Bools, Floats, Ints, Matrix

Labels = NDArray[np.int32]
Columns = dict[str, Floats]
"""Feature -> a value an object; `{channel}` stands where the channel's name goes."""


_HIGHEST = 2**20


@dataclass(frozen=True, eq=False)
class Objects:
    """`labels` (H, W) are contiguous, 1 for object 0; `numbers` (n,) are those of the labels given."""

    labels: Labels
    numbers: Ints
    order: Ints
    of: Ints
    starts: Ints
    sizes: Ints

    @classmethod
    def among(cls, labels: Matrix) -> Objects:
        """Lay out the objects of (H, W) whole numbers, 0 for background."""
        flat = labels.ravel()
        numbers, of_pixel = _numbers(flat)
        inside = np.flatnonzero(of_pixel >= 0)
        # Numpy sorts 16 bits by counting.
        narrow = of_pixel[inside].astype(np.uint16 if len(numbers) < 2**16 else np.int64)
        order = inside[np.argsort(narrow, kind="stable")]
        of = of_pixel[order]
        sizes = np.bincount(of, minlength=len(numbers)).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64) if len(sizes) else sizes
        contiguous = (of_pixel + 1).astype(np.int32).reshape(labels.shape)
        return cls(contiguous, numbers, order, of, starts, sizes)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.labels.shape
        return int(height), int(width)

    @cached_property
    def y(self) -> Floats:
        return np.asarray(self.order // self.shape[1], dtype=np.float64)

    @cached_property
    def x(self) -> Floats:
        return np.asarray(self.order % self.shape[1], dtype=np.float64)

    @cached_property
    def boxes(self) -> list[tuple[slice, slice]]:
        """The smallest box around each object, in the image."""
        from scipy import ndimage

        found: list[tuple[slice, slice]] = ndimage.find_objects(self.labels)
        return found

    @cached_property
    def hulls(self) -> tuple[Matrix, Matrix]:
        """Corners of the convex hulls (object's label, y, x), and how many each object has."""
        from centrosome.cpmorphology import convex_hull_ijv

        rows = np.column_stack([self.order // self.shape[1], self.order % self.shape[1], self.of + 1])
        corners, counts = convex_hull_ijv(rows, np.arange(1, len(self) + 1))
        return corners, counts

    @cached_property
    def circles(self) -> tuple[Matrix, Matrix]:
        """Centers (n, 2) as y and x, and radii (n,), of the smallest circles around the objects' pixels."""
        from centrosome.cpmorphology import minimum_enclosing_circle

        indices = np.arange(1, len(self) + 1)
        centers, radii = minimum_enclosing_circle(self.labels, indices, hull_and_point_count=self.hulls)
        return centers, np.asarray(radii, dtype=np.float64)

    def masks(self) -> Iterator[Bools]:
        """Each object within its box."""
        for k, box in enumerate(self.boxes):
            yield np.asarray(self.labels[box] == k + 1)

    def slices(self) -> Iterator[slice]:
        """Each object's own piece of what is sorted as `order` is."""
        for start, size in zip(self.starts.tolist(), self.sizes.tolist(), strict=True):
            yield slice(start, start + size)

    def total(self, values: Matrix) -> Floats:
        """Sums by object of values (pixels,), sorted as `order` is."""
        return np.asarray(np.add.reduceat(values, self.starts), dtype=np.float64)

    def batches(self, pixels: int) -> Iterator[tuple[int, int]]:
        """Runs [first, last) of objects with about so many pixels together, to stay within the caches."""
        first = 0
        ends = self.starts + self.sizes
        while first < len(self):
            last = int(np.searchsorted(ends, self.starts[first] + pixels, side="right"))
            last = max(last, first + 1)
            yield first, last
            first = last


def _numbers(flat: Matrix) -> tuple[Ints, Ints]:
    """The numbers that occur, and each pixel's object (-1 for background)."""
    highest = int(flat.max(initial=0))
    if highest > _HIGHEST:  # a table of all numbers up to it would fill the memory
        found, place = np.unique(flat, return_inverse=True)
        background = int(found[0] == 0)
        return found[background:].astype(np.int64), place - background
    present = np.zeros(highest + 1, dtype=bool)
    present[flat] = True
    present[0] = False
    numbers = np.flatnonzero(present).astype(np.int64)
    where = np.full(highest + 1, -1, dtype=np.int64)
    where[numbers] = np.arange(len(numbers))
    return numbers, where[flat]


@dataclass(frozen=True, eq=False)
class Values:
    """One channel's pixels of a compartment, sorted as its objects are.

    `values` (pixels,) are 0 to 1; `codes` order them: equal where values are equal, below `levels`, and
    `level` gives a code's value.
    """

    objects: Objects
    values: Floats
    codes: Ints
    level: Floats

    @cached_property
    def keys(self) -> Ints:
        """Object first, then value: whole numbers that sort as both together do."""
        return self.objects.of * len(self.level) + self.codes

    @cached_property
    def sorted_keys(self) -> Ints:
        return np.sort(self.keys)

    @cached_property
    def sorted(self) -> Floats:
        """Values in ascending order within each object."""
        return np.asarray(self.level[self.sorted_keys - self.objects.of * len(self.level)])

    @cached_property
    def greatest(self) -> Floats:
        return np.asarray(np.maximum.reduceat(self.values, self.objects.starts))

    @cached_property
    def ranks(self) -> Ints:
        """Rank of each pixel's value among the different values of its object, from 0."""
        keys = self.sorted_keys
        is_new = np.ones(len(keys), dtype=bool)
        is_new[1:] = keys[1:] != keys[:-1]
        running = np.cumsum(is_new)
        ranks = running - running[self.objects.starts][self.objects.of]
        span = len(self.objects) * len(self.level)
        if span <= 8 * len(keys):
            table = np.zeros(span, dtype=np.int64)
            table[keys] = ranks
            return np.asarray(table[self.keys])
        return np.asarray(ranks[np.searchsorted(keys, self.keys)])


@dataclass(frozen=True, eq=False)
class Channel:
    """A channel's image as numbers that order its values: `level[codes]` is the image, flat."""

    image: Floats
    codes: Ints
    level: Floats

    @classmethod
    def of(cls, image: Floats) -> Channel:
        """Codes of an image (H, W) of 0 to 1; those of 8 bits need no sorting."""
        scaled = np.rint(image * 255)
        level: Floats = np.arange(256) / 255
        codes: Any = scaled.astype(np.int64).ravel()
        if not np.array_equal(level[codes], image.ravel()):
            level, codes = np.unique(image.ravel(), return_inverse=True)
        return cls(image, codes, level)

    def inside(self, objects: Objects) -> Values:
        return Values(objects, self.image.ravel()[objects.order], self.codes[objects.order], self.level)
