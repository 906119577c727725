"""Outlines of nuclei and cells for pictures, as the CellProfiler featurizer finds them.

In a notebook: `pr.view(images, well, outlines=pr.outlines_of(images))`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from polaris_rxrx.featurize.segment import LabelImage, Segmentation, segment
from polaris_rxrx.images.sites import ImageSet, Site


def outlines_of(images: ImageSet, how: Segmentation | None = None) -> Callable[[Site], dict[str, LabelImage]]:
    """A function of a site that gives its labels, `cells` and `nuclei`, (height, width) each.

    Args:
        images: The set that the sites are of: its channels, white and pixel size.
        how: The parameters of the segmentation; by default the featurizer's.

    Raises:
        UsageError: The nuclear channel is not there, or no pixel size is known.
    """
    chosen = how or Segmentation()
    chosen.check(images.channels)
    chosen.in_pixels(images.pixel_size)

    def found(site: Site) -> dict[str, LabelImage]:
        pixels = np.asarray(site.pixels, dtype=np.float64) / images.white
        labels = segment(pixels, images.channels, chosen, images.pixel_size)
        return {"cells": labels.cells, "nuclei": labels.nuclei}

    return found
