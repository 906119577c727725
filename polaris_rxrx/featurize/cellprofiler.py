"""CellProfiler's features of wells: cells are found, measured, and a well has their median.

Conventions
    Pixels are divided by the images' `white`, so that measurements are of floats from 0 to 1. Cells are found
    by `polaris_rxrx.featurize.segment` and measured by `polaris_rxrx.featurize.measure`, in three
    compartments; columns are `Compartment_Category_Feature_Channel`, lengths in pixels, intensities 0 to 1.
    A well has the median of each feature over all cells of all its sites, NaN left out, as float32.
    Of it are told `Metadata_Site_Count`, the sites that were measured, and `Metadata_Object_Count`, the cells
    in them; a site without cells counts 0. A well whose sites have no cell at all has a row, with
    `Metadata_Object_Count` 0 and NaN in every feature, and is told of among the faults (`no cell`); one
    without a good site has no row.
    Where the size of a pixel is known, `Compartment_AreaShape_AreaMicrometers2` stands beside the area.
    Where a cell stands in its field (`Location_*`, `AreaShape_Center_*`, `AreaShape_BoundingBoxMinimum_*` and
    `...Maximum_*`) is no property of a well, and is left out of wells; the table of cells has it.

    With `objects`, there is a table of cells beside the wells': `well_id`, the well's `Metadata_*`,
    `Metadata_Site`, `Metadata_ObjectNumber` (from 1 in each site), and every feature of that cell.

Against CellProfiler's own table of a real field, of 289 objects (CellProfiler/examples, ExampleHuman):
    By default (Otsu, distance) 290 nuclei are found, 94% of the centers lie within 2 pixels, and areas and
    mean intensities of these correlate by 0.981 and 0.990. With the parameters of the pipeline that made the
    table (cross-entropy, intensity) there are 289, all within 2 pixels; 98.6% of the nuclei, 98.3% of the
    cells and 99.0% of the cytoplasms have the same area, and 97.6% and more the same center, too. Of these
    the features that both have are, as a share of their standard deviations, off by at most
        AreaShape            1e-6, but for what is below
        AreaShape_Zernike    1e-6, but for one object a compartment, whose enclosing circle is another
        Intensity            1e-5: the table's pixels are of single precision
        Location             1e-6, but for what is below
    Defined otherwise: `Orientation` is in degrees here, in radians there; `Solidity`'s convex hull has more
    of the pixels that its edge runs through, 2 or 3 of 100 to 1,700; `EulerNumber` counts a hole that meets
    the background at a corner (2 cells); `Location_MaxIntensity` is another one of equally bright pixels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, short
from polaris_rxrx.featurize import illumination
from polaris_rxrx.featurize.featurizer import Features
from polaris_rxrx.featurize.measure import Options, measure
from polaris_rxrx.featurize.rows import metadata_name, table_of
from polaris_rxrx.featurize.segment import COMPARTMENTS, Segmentation, segment
from polaris_rxrx.images.sites import Fault, ImageSet, Site, WellImages
from polaris_rxrx.types import Floats, Matrix

WELLS_A_TASK = 48
STANDS_ON = ("centrosome", "cp_measure", "numpy", "scikit-image", "scipy")  # whose versions a protocol has
_PLACE = re.compile(r"^[A-Za-z]+_(Location_|AreaShape_(Center|BoundingBoxMinimum|BoundingBoxMaximum)_)")

Columns = dict[str, Floats]


@dataclass(frozen=True)
class CellProfiler:
    """CellProfiler's features, a row a well.

    Args:
        segmentation: How cells are found.
        costes: Whether Costes' thresholds are sought, which takes long.
        objects: Whether there is a table of cells, too.
        illumination: `mean` or `median`: the plate's uneven illumination is estimated by it, and divided out;
            empty for images as they are.
        wells_a_task: How many wells a part has.
    """

    segmentation: Segmentation = field(default_factory=Segmentation)
    costes: bool = False
    objects: bool = False
    illumination: str = ""
    wells_a_task: int = WELLS_A_TASK

    name = "cellprofiler"

    def __post_init__(self) -> None:
        if self.illumination and self.illumination not in illumination.METHODS:
            raise UsageError(
                f"illumination {short(self.illumination)}: expected one of {', '.join(illumination.METHODS)}"
            )

    def protocol(self) -> dict[str, Any]:
        from importlib.metadata import version

        return {
            "segmentation": self.segmentation.as_dict(),
            "costes": self.costes,
            "objects": self.objects,
            "illumination": self.illumination or None,
            "of_cells": "median",
            "wells_a_task": self.wells_a_task,
            "versions": {name: version(name) for name in STANDS_ON},
        }

    def check(self, images: ImageSet) -> None:
        """See that the libraries are there, the channels, and a size of pixels if it is needed.

        Raises:
            UsageError: They are not.
        """
        from importlib.util import find_spec

        if find_spec("cp_measure") is None:
            raise UsageError("cellprofiler needs cp_measure: pip install 'polaris-rxrx[images]'")
        self.segmentation.check(images.channels)
        self.segmentation.in_pixels(images.pixel_size)

    def beside(self, images: ImageSet, wells: Sequence[str]) -> Sequence[str]:
        return illumination.beside(images, wells) if self.illumination else ()

    def features(
        self, images: ImageSet, wells: Sequence[str], step: Callable[[int], None] | None = None
    ) -> Features:
        """Measure the cells of some wells."""
        faults = list[Fault]()
        light = dict[str, Floats]()
        if self.illumination:
            for plate in dict.fromkeys(map(images.plate, wells)):
                light[plate], found = illumination.of_plate(images, plate, self.illumination)
                faults += found
        rows, names = list[_Well](), list[str]()
        for number, read in enumerate(images.read(wells), 1):
            faults += read.faults
            rows += self._well(images, read, light.get(images.plate(read.well)), names, faults)
            if step is not None:
                step(number)
        more = {"objects": _cells(images, rows, names)} if self.objects else {}
        return Features(_wells(images, rows, names), tuple(faults), more)

    def _well(
        self, images: ImageSet, read: WellImages, light: Floats | None, names: list[str], faults: list[Fault]
    ) -> list[_Well]:
        """A well's features, if a site of it can be measured; `names` gets those of the columns, once."""
        of_sites, sites = list[Matrix](), list[tuple[str, int]]()
        for site in read.sites:
            high = site.pixels.max(initial=0)
            if high > images.white:
                said = f"brighter than white: up to {high}, where {images.white:g} stands for full intensity"
                faults.append(Fault(read.well, site.name, "", "", said))
                continue
            cells = self._site(images, site, light, names)
            of_sites.append(cells)
            sites.append((site.name, len(cells)))
        if not sites:
            return []
        cells = np.concatenate(of_sites)
        if not len(cells):
            faults.append(Fault(read.well, "", "", "", f"no cell: none was found in {len(sites)} sites"))
        median = _median(cells)
        return [_Well(read.well, tuple(sites), median, cells.astype(np.float32) if self.objects else None)]

    def _site(self, images: ImageSet, site: Site, light: Floats | None, names: list[str]) -> Floats:
        """A site's cells, (cells, features)."""
        pixels = site.pixels / float(images.white)
        if light is not None:
            if light.shape != pixels.shape:
                raise DataError(
                    f"well {site.well}, site {site.name}: {pixels.shape[1:]} pixels, and those that the "
                    f"plate's illumination is estimated from have {light.shape[1:]}; one size was expected"
                )
            pixels /= light
        labels = segment(pixels, images.channels, self.segmentation, images.pixel_size)
        if names and not labels.count:
            return np.empty((0, len(names)))
        options = Options(costes=self.costes, white=round(images.white))
        columns = measure(pixels, labels.by_name(), images.channels, options)
        if images.pixel_size is not None:
            for compartment in COMPARTMENTS:
                area = columns[f"{compartment}_AreaShape_Area"]
                columns[f"{compartment}_AreaShape_AreaMicrometers2"] = area * images.pixel_size**2
        if not names:
            names += columns
        return np.stack([columns[name] for name in names], axis=1)


@dataclass(frozen=True, eq=False)
class _Well:
    """A well's sites with their numbers of cells, the median cell, (features,), and the cells, if wanted."""

    well: str
    sites: tuple[tuple[str, int], ...]
    median: Floats
    cells: Matrix | None


def is_place(name: str) -> bool:
    """Whether a column says where in its field a cell stands."""
    return _PLACE.match(name) is not None


def _median(cells: Floats) -> Floats:
    """The median of each column, NaN left out; NaN of a column without a number."""
    found = np.full(cells.shape[1], np.nan)
    some = ~np.isnan(cells).all(axis=0) if len(cells) else np.zeros(cells.shape[1], bool)
    found[some] = np.nanmedian(cells[:, some], axis=0)
    return found


def _wells(images: ImageSet, rows: Sequence[_Well], names: Sequence[str]) -> Any:
    """The table of wells."""
    kept = [i for i, name in enumerate(names) if not is_place(name)]
    values = np.stack([row.median for row in rows]).astype(np.float32) if rows else np.empty((0, len(names)))
    return table_of(
        images,
        [row.well for row in rows],
        [len(row.sites) for row in rows],
        {names[i]: values[:, i] for i in kept},
        {"Metadata_Object_Count": [sum(n for _, n in row.sites) for row in rows]},
    )


def _cells(images: ImageSet, rows: Sequence[_Well], names: Sequence[str]) -> Any:
    """The table of cells: the wells' one without counts, a row a cell."""
    import pyarrow as pa

    of = [row for row in rows for _, n in row.sites for _ in range(n)]
    told = {row.well: images.metadata(row.well) for row in rows}
    columns: dict[str, Any] = {"well_id": pa.array([row.well for row in of], pa.string())}
    for name in dict.fromkeys(name for one in told.values() for name in one if name != "well_id"):
        columns[metadata_name(name)] = pa.array([told[row.well].get(name) for row in of], pa.string())
    sites = [(name, i) for row in rows for name, n in row.sites for i in range(1, n + 1)]
    columns["Metadata_Site"] = pa.array([name for name, _ in sites], pa.string())
    columns["Metadata_ObjectNumber"] = pa.array([i for _, i in sites], pa.int64())
    parts = [row.cells for row in rows if row.cells is not None]
    values = np.concatenate(parts) if parts else np.empty((0, len(names)), np.float32)
    columns |= {name: pa.array(values[:, i]) for i, name in enumerate(names)}
    return pa.table(columns)
