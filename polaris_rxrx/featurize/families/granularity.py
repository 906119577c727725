"""Granularity: how much light goes with each step of a growing opening, by object.

Conventions
    As cp_measure's `get_granularity`: images are sampled at a quarter, a background (opening by a disk at a
    quarter of that again) is taken off, then step by step bright spots are eroded by one pixel and what is
    left of the image is rebuilt; a step's value is the light lost in it, in percent of the object's mean in
    the image as it was. Images alone decide what is lost, so each channel is opened once for all
    compartments, all channels side by side.
    Rebuilding from an erosion under the last rebuilt image gives the same as under the first: a peak that
    the smaller seed reaches, the larger one has reached. So images shrink from step to step and rebuilding
    ends soon.
"""

from __future__ import annotations

import numpy as np

from polaris_rxrx.featurize.families.objects import Columns, Objects
from polaris_rxrx.types import Floats, Matrix


class Openings:
    """What is left of each channel after 1, 2, ... steps, (steps, channels, h, w) at the sampled size."""

    def __init__(self, pixels: Floats, *, sampled: float, background: float, radius: int, steps: int) -> None:
        self.shape = (pixels.shape[1], pixels.shape[2])
        self.steps = steps
        small = (int(self.shape[0] * sampled), int(self.shape[1] * sampled)) if sampled < 1 else self.shape
        # Interpolation needs two samples along each side: of a smaller image there is no spectrum.
        self.possible = min(small) >= 2
        if self.possible:
            light = np.stack(
                [_foreground(image, small, sampled, background, radius) for image in pixels], axis=-1
            )
            self.left: Floats = _spectrum(light, steps)

    def measure(self, objects: Objects, means: Floats) -> list[Columns]:
        """Granularity of every channel; `means` (channels, objects) are those of the images as they were."""
        lost = np.full((self.steps, len(means), len(objects)), np.nan)
        if self.possible:
            left = np.concatenate([means[np.newaxis], self._means(objects)])
            lost = (left[:-1] - left[1:]) * 100 / np.maximum(means, np.finfo(np.float64).eps)
        return [
            {f"Granularity_{step + 1}_{{channel}}": lost[step, channel] for step in range(self.steps)}
            for channel in range(len(means))
        ]

    def _means(self, objects: Objects) -> Floats:
        """Means by object of the images brought back to full size, (steps, channels, objects).

        Bringing back and averaging are linear, so they are one set of weights an object on the small images.
        """
        steps, channels, height, width = self.left.shape
        down, across = _bilinear(self.shape[0], height), _bilinear(self.shape[1], width)
        found = np.empty((steps, channels, len(objects)))
        for k, (rows, columns) in enumerate(objects.boxes):
            mask = (objects.labels[rows, columns] == k + 1).astype(np.float64)
            top, bottom = _span(down[rows])
            left, right = _span(across[columns])
            weights = down[rows, top:bottom].T @ mask @ across[columns, left:right]
            piece = self.left[:, :, top:bottom, left:right].reshape(steps * channels, -1)
            found[:, :, k] = (piece @ weights.ravel()).reshape(steps, channels) / objects.sizes[k]
        return found


def _foreground(
    image: Floats, small: tuple[int, int], sampled: float, background: float, radius: int
) -> Floats:
    """The sampled image without its background, nowhere below 0."""
    from scipy.ndimage import map_coordinates
    from skimage.morphology import dilation, disk, erosion

    light = image
    if sampled < 1:
        light = map_coordinates(image, np.mgrid[: small[0], : small[1]] / sampled, order=1)
    back, size = light, np.array(small, dtype=np.float64)
    if background < 1:
        size = np.array(small) * background  # not whole, as cp_measure has it
        back = map_coordinates(light, np.mgrid[0 : size[0], 0 : size[1]] / background, order=1)
    footprint = disk(radius, dtype=bool)
    back = dilation(erosion(back, footprint=footprint), footprint=footprint)
    if background < 1:
        stretch = (size - 1) / (np.array(small) - 1)
        at = np.mgrid[: small[0], : small[1]] * stretch[:, np.newaxis, np.newaxis]
        back = map_coordinates(back, at, order=1)
    foreground: Floats = np.maximum(light - back, 0)
    return foreground


def _spectrum(light: Floats, steps: int) -> Floats:
    """(h, w, channels) to (steps, channels, h, w): what is left after each step."""
    # Steps only choose among the values that are there: their ranks are small whole numbers.
    values, ranks = np.unique(light, return_inverse=True)
    left = ranks.reshape(light.shape).astype(np.uint16 if len(values) <= 2**16 else np.uint32)
    eroded = left
    found = np.empty((steps, light.shape[2], *light.shape[:2]))
    for step in range(steps):
        eroded = _eroded(eroded)
        left = _rebuilt(eroded, left)
        found[step] = np.moveaxis(values[left], -1, 0)
    return found


def _eroded(image: Matrix) -> Matrix:
    """The least of each pixel and its four neighbors; beyond the border is nothing."""
    least: Matrix = image.copy()
    np.minimum(least[1:], image[:-1], out=least[1:])
    np.minimum(least[:-1], image[1:], out=least[:-1])
    np.minimum(least[:, 1:], image[:, :-1], out=least[:, 1:])
    np.minimum(least[:, :-1], image[:, 1:], out=least[:, :-1])
    return least


def _rebuilt(seed: Matrix, ceiling: Matrix) -> Matrix:
    """Reconstruction by dilation: the seed grown along the four neighbors, never above the ceiling.

    Sweeps down, up, right and left carry light along whole columns and rows; it is done when none changes
    anything. Where sweeps end is the one least image that no step of growth changes, however it is reached.
    """
    grown: Matrix = seed.copy()
    across, roof = grown.swapaxes(0, 1), ceiling.swapaxes(0, 1)
    while True:
        before = grown.copy()
        for image, above in ((grown, ceiling), (across, roof)):
            last = len(image)
            for k in range(1, last):
                np.minimum(np.maximum(image[k], image[k - 1]), above[k], out=image[k])
            for k in range(last - 2, -1, -1):
                np.minimum(np.maximum(image[k], image[k + 1]), above[k], out=image[k])
        if np.array_equal(before, grown):
            return grown


def _bilinear(full: int, small: int) -> Floats:
    """Weights (full, small) that bring samples back to full size, as scipy's map_coordinates does.

    Where rounding puts the last place beyond the last sample, that function has 0 there, and so have we.
    """
    at = np.arange(full) * ((small - 1) / (full - 1)) if full > 1 else np.zeros(1)
    low = np.floor(at).astype(np.int64)
    weights = np.zeros((full, small))
    inside = np.flatnonzero(at <= small - 1)
    low = low[inside]
    weights[inside, low] += 1 - (at[inside] - low)
    weights[inside, np.minimum(low + 1, small - 1)] += at[inside] - low
    return weights


def _span(weights: Floats) -> tuple[int, int]:
    """The run of columns that are used at all."""
    used = np.flatnonzero(weights.any(axis=0))
    return (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
