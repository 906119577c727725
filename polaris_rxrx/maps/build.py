"""Wells to a map: one aligned mean a perturbation.

Two reductions over whole experiments, each a function of one experiment and a way to add two results up, so
that experiments may be streamed from disk or spread over machines:
    1. `control_moments` of each experiment, merged, give the basis all experiments share;
    2. `aligned_sums` of each experiment, added up by perturbation, give the map.

Conventions
    A map has one row a perturbation (type, name, concentration), a gene over all its guides. Controls
    (`*_control`) have no row: where experiments are centered, EMPTY_control is zero up to rounding and its
    cosines are noise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from polaris_rxrx._version import __version__
from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.maps import align
from polaris_rxrx.maps.align import Aligner, Basis, Moments
from polaris_rxrx.types import Floats, Ints, Progress
from polaris_rxrx.wells.metadata import Perturbations
from polaris_rxrx.wells.source import WellBlock, WellSource

if TYPE_CHECKING:
    import pandas as pd

Aggregate = Literal["mean"]


@dataclass(frozen=True, eq=False)
class Map:
    """Aligned means `x` (n, d) of n perturbations, how many wells each stands on, and how it was made."""

    perturbations: Perturbations
    x: Floats
    n_wells: Ints
    protocol: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.perturbations) == len(self.x) == len(self.n_wells):
            raise DataError("a map needs one row and one count of wells a perturbation")

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, type: str) -> Ints:
        """The rows of one perturbation type, CRISPR or COMPOUND."""
        return np.flatnonzero(np.array(self.perturbations.type) == type)

    def to_frame(self) -> pd.DataFrame:
        """perturbation_type, perturbation, concentration, n_wells and the columns 0..d-1."""
        import pandas as pd

        left = pd.DataFrame(
            {
                "perturbation_type": self.perturbations.type,
                "perturbation": self.perturbations.name,
                "concentration": self.perturbations.concentration,
                "n_wells": self.n_wells,
            }
        )
        return pd.concat([left, pd.DataFrame(self.x)], axis=1)


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of aligned wells: perturbation codes (k,), wells counted (k,), sums (k, d)."""

    perturbation: Ints
    n_wells: Ints
    sums: Floats


def control_moments(block: WellBlock) -> Moments:
    """First reduction: the moments of an experiment's control wells."""
    return align.moments(block.x[block.control])


def aligned_sums(block: WellBlock, basis: Basis) -> Sums:
    """Second reduction: an experiment's sums of aligned wells, by perturbation."""
    affine = align.fit(basis, block.x[block.control])
    start = np.flatnonzero(np.r_[True, block.perturbation[1:] != block.perturbation[:-1]])
    counts = np.diff(np.r_[start, len(block.x)])
    sums = np.empty((len(start), block.x.shape[1]))
    for i, (a, n) in enumerate(zip(start, counts, strict=True)):
        np.sum(block.x[a : a + n], axis=0, dtype=np.float64, out=sums[i])
    return Sums(block.perturbation[start], counts, affine.sums(sums, counts))


def build_map(
    wells: WellSource,
    align_by: Aligner = "pca-cs",
    *,
    aggregate: Aggregate = "mean",
    progress: Progress | None = None,
) -> Map:
    """Align on controls and average by perturbation.

    Args:
        wells: From `read_wells`, or anything that yields whole experiments.
        align_by: See `polaris_rxrx.maps.align`.
        aggregate: What a perturbation's row is of its aligned wells.
        progress: Called with a word, how far, out of how many.

    Raises:
        UsageError: The aligner or the aggregate is unknown.
        DataError: An experiment has fewer than two control wells.
    """
    if aggregate not in get_args(Aggregate):
        raise UsageError(f"aggregate is {aggregate!r}; expected one of {', '.join(get_args(Aggregate))}")
    controls, counts = pooled_controls(wells, align_by)
    basis = align.basis(align_by, controls, len(wells.features))
    n = len(wells.perturbations)
    sums, n_wells = np.zeros((n, basis.width)), np.zeros(n, dtype=np.int64)
    for done, block in enumerate(wells.blocks(), 1):
        part = aligned_sums(block, basis)
        sums[part.perturbation] += part.sums
        n_wells[part.perturbation] += part.n_wells
        if progress is not None:
            progress("aligning", done, len(counts))
    names = wells.perturbations.name
    keep = np.flatnonzero((n_wells > 0) & np.array([not name.endswith("_control") for name in names]))
    protocol = {
        "align": align_by,
        "aggregate": aggregate,
        "control": CONTROL,
        "n_features": len(wells.features),
        "n_components": basis.width,
        "n_directions_dropped": len(wells.features) - basis.width,
        "n_wells": int(n_wells.sum()),
        "n_controls": int(sum(counts.values())),
        "n_experiments": len(counts),
        "polaris_rxrx": __version__,
    }
    return Map(wells.perturbations.take(keep), sums[keep] / n_wells[keep, None], n_wells[keep], protocol)


def pooled_controls(wells: WellSource, aligner: Aligner) -> tuple[Moments | None, dict[str, int]]:
    """Moments of all control wells (None where the aligner needs none), and how many each experiment has."""
    pooled: Moments | None = None
    counts: dict[str, int] = {}
    for block in wells.blocks():
        counts[block.experiment] = int(block.control.sum())
        if align.needs_moments(aligner) and counts[block.experiment]:
            found = control_moments(block)
            pooled = found if pooled is None else pooled.merge(found)
    few = [name for name, n in counts.items() if n < align.MIN_CONTROLS]
    if few and aligner != "none":
        raise DataError(
            f"{len(few):,} of {len(counts):,} experiments have fewer than {align.MIN_CONTROLS} {CONTROL} "
            f"wells: {some(few)}; {aligner} fits on them in every experiment"
        )
    return pooled, counts
