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

    >>> from polaris_rxrx.dataset.sandbox_images import Phenotype, draw, pictures, write_shards
    >>> field = draw(Phenotype(count=6), seed=0, size=(96, 96))
    >>> _ = write_shards(Path("images"), pictures("compound-004_1_AA04", field.pixels))
    >>> images = pr.open_images("images", pixel_size=1.0)
    >>> find = pr.outlines_of(images)
    >>> (well,) = images.part(images.wells).read(images.wells)
    >>> labels = find(well.sites[0])
    >>> labels["nuclei"].shape, int(labels["nuclei"].max())
    ((96, 96), 6)
    """
    chosen = how or Segmentation()
    chosen.check(images.channels)
    chosen.in_pixels(images.pixel_size)

    def found(site: Site) -> dict[str, LabelImage]:
        pixels = np.asarray(site.pixels, dtype=np.float64) / images.white
        labels = segment(pixels, images.channels, chosen, images.pixel_size)
        return {"cells": labels.cells, "nuclei": labels.nuclei}

    return found
