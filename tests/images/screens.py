"""Screens of plain files: a CSV with `well_id, site, channel, path` and a TIFF an image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from polaris_rxrx.images.opened import open_images
from polaris_rxrx.images.sites import ImageSet


def write_screen(
    folder: Path, sites: Mapping[tuple[str, str], npt.NDArray[Any]], *, white: float | None = None
) -> ImageSet:
    """Write sites, (well, site) -> pixels (C, H, W), and open them; channels are called 1, 2, ..."""
    import tifffile

    folder.mkdir(parents=True)
    lines = ["well_id,site,channel,path"]
    for (well, site), pixels in sites.items():
        for channel, image in enumerate(pixels, 1):
            name = f"{well}_s{site}_c{channel}.tif"
            tifffile.imwrite(folder / name, image)
            lines.append(f"{well},{site},{channel},{name}")
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    return open_images(folder / "images.csv", white=white)
