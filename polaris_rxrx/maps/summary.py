"""What a map of means needs of wells: sums by perturbation and control wells, for each batch.

Every aligner is affine within a batch (`polaris_rxrx.maps.align`), so the aligned mean of a perturbation's
wells is that of their mean: a batch's wells may be summed before anything is known of the other batches, and
another aligner needs no well again. A median needs the wells themselves.

Conventions
    A summary has d features and comes in batches, each as often as asked and in the same order; perturbations
    are codes, ascending in a batch. Sums are float64. Control wells are rows, in the order of their wells, or
    their moments: rows fit an aligner as the wells do, to the bit; moments to about 1e-12 of a standard
    deviation, as long as no direction's variance is lost in the rounding of another's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from polaris_rxrx.maps import align
from polaris_rxrx.maps.align import Affine, Basis, Moments
from polaris_rxrx.types import Floats, Ints, Matrix
from polaris_rxrx.wells.metadata import Perturbations
from polaris_rxrx.wells.source import OverWells, WellBlock, WellPlaces

Controls = Matrix | Moments
"""Control wells of a batch: rows (n, d), or their moments."""


@dataclass(frozen=True, eq=False)
class BatchSummary:
    """A batch's perturbation codes ascending (k,), wells of each (k,), their sums (k, d), its controls."""

    batch: str
    perturbation: Ints
    n_wells: Ints
    sums: Floats
    controls: Controls


@dataclass(frozen=True, eq=False)
class SummaryPlaces:
    """Which perturbation has wells in which batch, as codes (k,), a pair once: `WellPlaces` of a summary."""

    perturbations: Perturbations
    perturbation: Ints
    experiment: Ints


class Summary(Protocol):
    """Batches, one after the other, as often as asked; `provenance` as of a `WellSource`."""

    @property
    def features(self) -> Sequence[str]: ...
    @property
    def perturbations(self) -> Perturbations: ...
    @property
    def provenance(self) -> Mapping[str, Any]: ...
    @property
    def places(self) -> WellPlaces: ...
    def controls(self) -> Iterator[tuple[str, Controls]]:
        """Name and control wells of each batch, without its sums."""
        ...

    def batches(self) -> Iterator[BatchSummary]: ...


@dataclass(frozen=True, eq=False)
class WellSummary(OverWells):
    """The summary of wells that are at hand, a batch at a time."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        return self.wells.provenance

    def controls(self) -> Iterator[tuple[str, Controls]]:
        for block in self.wells.blocks():
            yield block.experiment, block.x[block.control]

    def batches(self) -> Iterator[BatchSummary]:
        return map(summarize_block, self.wells.blocks())


def summarize_block(block: WellBlock) -> BatchSummary:
    """Sums and controls of a batch whose wells are at hand."""
    start = np.flatnonzero(np.r_[True, block.perturbation[1:] != block.perturbation[:-1]])
    counts = np.diff(np.r_[start, len(block.x)])
    sums = np.empty((len(start), block.x.shape[1]))
    for i, (a, n) in enumerate(zip(start, counts, strict=True)):
        np.sum(block.x[a : a + n], axis=0, dtype=np.float64, out=sums[i])
    controls = block.x[block.control]
    return BatchSummary(block.experiment, block.perturbation[start], counts, sums, controls)


def n_controls(controls: Controls) -> int:
    """How many control wells these are."""
    return controls.n if isinstance(controls, Moments) else len(controls)


def moments_of(controls: Controls) -> Moments:
    """Moments of one control well or more."""
    return controls if isinstance(controls, Moments) else align.moments(controls)


def fit(basis: Basis, controls: Controls) -> Affine:
    """Fit the part of an aligner that is a batch's own."""
    if isinstance(controls, Moments):
        return align.fit_moments(basis, controls)
    return align.fit(basis, controls)
