"""Single wells, aligned as a map's are, for what a page shows of them.

Conventions
    Wells are gone through a batch at a time, in the order of `Wells`, and aligned in float64. What was put
    into a well is a row of the page, or it is none: a control, or a row that the page has not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from polaris_rxrx.explore.rows import Rows
from polaris_rxrx.maps import align
from polaris_rxrx.maps.align import AlignBy
from polaris_rxrx.maps.build import pooled_controls
from polaris_rxrx.types import Floats, Ints, Progress
from polaris_rxrx.wells.design import Labels
from polaris_rxrx.wells.metadata import Perturbations
from polaris_rxrx.wells.source import OverWells, WellBlock, WellSource


@dataclass(frozen=True, eq=False)
class AlignedBlock:
    """A batch: its wells as they were read, aligned (n, width), and the number of the first among all."""

    block: WellBlock
    x: Floats
    start: int

    @property
    def rows(self) -> Ints:
        """The numbers of its wells among all, (n,)."""
        return np.arange(self.start, self.start + len(self.x))


def aligned_blocks(
    wells: WellSource, align_by: AlignBy, progress: Progress | None = None
) -> Iterator[AlignedBlock]:
    """Every batch, aligned on its control wells."""
    controls, counts = pooled_controls(wells, align_by)
    basis = align.basis(align_by, controls, len(wells.features))
    start = 0
    for done, block in enumerate(wells.blocks(), 1):
        x = align.fit(basis, block.x[block.control]).rows(block.x)
        yield AlignedBlock(block, x, start)
        start += len(x)
        if progress is not None:
            progress("wells", done, len(counts))


def labels_of(wells: WellSource) -> Labels | None:
    """The names of plates, addresses and treatments, of wells that were read with them."""
    source: Any = wells
    while isinstance(source, OverWells):
        source = source.wells
    found: Labels | None = getattr(source, "labels", None)
    return found


def rows_of(rows: Rows, perturbations: Perturbations) -> Ints:
    """The page's row of each perturbation of wells, (n perturbations,); -1 where it has none."""

    def keys(p: Perturbations) -> list[tuple[str, str, float]]:
        doses = np.nan_to_num(p.concentration, nan=-1.0).tolist()
        return list(zip(p.type, p.name, doses, strict=True))

    at = {key: i for i, key in enumerate(keys(rows.map_.perturbations))}
    return np.array([at.get(key, -1) for key in keys(perturbations)], dtype=np.int64)
