"""Wells to a map: one aligned mean, or median, a perturbation.

A map of means is made of a summary (`polaris_rxrx.maps.summary`), that of wells at hand or one collected
before, in two reductions over its batches (experiments), each a function of one batch and a way to add two
results up:
    1. the moments of each batch's controls, merged, give the basis all batches share;
    2. `aligned_sums` of each batch, added up by perturbation, give the map.
A median needs the aligned wells themselves: the experiments are gone through again for as many perturbations
at a time as fit into the memory that is allowed for it.

Conventions
    A map has one row a perturbation (type, name, concentration), a gene over all its guides. Controls
    (`*_control`, and those that were asked for by name) have no row: where experiments are centered,
    EMPTY_control is zero up to rounding and its cosines are noise.
    An experiment is a batch: whatever wells come in one block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import numpy as np

from polaris_rxrx._version import __version__
from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.maps import align
from polaris_rxrx.maps.align import AlignBy, Basis, Moments, as_alignment
from polaris_rxrx.maps.names import AGGREGATES, Aggregate
from polaris_rxrx.maps.summary import (
    BatchSummary,
    Summary,
    WellSummary,
    fit,
    moments_of,
    n_controls,
    summarize_block,
)
from polaris_rxrx.types import Floats, Ints, Progress
from polaris_rxrx.wells.metadata import Perturbations
from polaris_rxrx.wells.source import WellBlock, WellSource

if TYPE_CHECKING:
    import pandas as pd

_CELLS = 2**26  # of aligned wells held at once for medians: half a GB


@dataclass(frozen=True, eq=False)
class Map:
    """Aligned means or medians `x` (n, d) of n perturbations, the wells each stands on, how it was made.

    `notes` are what a user should be told of its making; they are not saved with it.

    >>> from polaris_rxrx.wells.metadata import Perturbations
    >>> names = Perturbations(["CRISPR"] * 3, ["A", "B", "C"], np.full(3, np.nan))
    >>> map_ = Map(names, np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]]), np.array([9, 9, 9]))
    >>> len(map_), map_.x.shape
    (3, (3, 2))
    """

    perturbations: Perturbations
    x: Floats
    n_wells: Ints
    protocol: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.perturbations) == len(self.x) == len(self.n_wells):
            raise DataError("a map needs one row and one count of wells a perturbation")

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, type: str) -> Ints:
        """The rows of one perturbation type, CRISPR or COMPOUND.

        >>> map_ = pr.load_map("map.parquet")
        >>> len(map_.rows("CRISPR")), len(map_.rows("COMPOUND")), len(map_)
        (80, 352, 432)
        """
        return np.flatnonzero(np.array(self.perturbations.type) == type)

    def to_frame(self) -> pd.DataFrame:
        """perturbation_type, perturbation, concentration, n_wells and the columns 0..d-1.

        >>> table = pr.load_map("map.parquet").to_frame()
        >>> table.shape, table.columns[:4].tolist()
        ((432, 388), ['perturbation_type', 'perturbation', 'concentration', 'n_wells'])
        """
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
    return moments_of(block.x[block.control])


def aligned_sums(batch: BatchSummary | WellBlock, basis: Basis) -> Sums:
    """Second reduction: a batch's sums of aligned wells, by perturbation."""
    if isinstance(batch, WellBlock):
        batch = summarize_block(batch)
    sums = fit(basis, batch.controls).sums(batch.sums, batch.n_wells)
    return Sums(batch.perturbation, batch.n_wells, sums)


def build_map(
    wells: WellSource | Summary,
    align_by: AlignBy = "pca-cs",
    *,
    aggregate: Aggregate = "mean",
    progress: Progress | None = None,
) -> Map:
    """Align on controls and take the mean, or the median of every dimension, by perturbation.

    Args:
        wells: From `read_wells`, or anything that yields whole experiments; or a summary of wells.
        align_by: See `polaris_rxrx.maps.align`; an `Alignment` where not all components are kept.
        aggregate: What a perturbation's row is of its aligned wells.
        progress: Called with a word, how far, out of how many.

    Raises:
        UsageError: The aligner or the aggregate is unknown, there are not so many components, or a median is
            asked of a summary.
        DataError: An experiment has fewer than two control wells.

    >>> wells = pr.read_wells("data/metadata_rxrx3_core.csv", "data/OpenPhenom_rxrx3_core_embeddings.parquet")
    >>> map_ = pr.build_map(wells)
    >>> map_.x.shape, map_.protocol["align"], map_.protocol["n_controls"]
    ((432, 384), 'pca-cs', 1800)
    >>> pr.build_map(wells, "center-scale").protocol["align"]
    'center-scale'
    """
    if aggregate not in AGGREGATES:
        raise UsageError(f"aggregate is {aggregate!r}; expected one of {', '.join(AGGREGATES)}")
    if aggregate == "median" and not has_wells(wells):
        raise UsageError("a median needs the wells themselves, and a summary holds their sums")
    summary = _summary_of(wells)
    controls, counts = pooled_controls(summary, align_by)
    basis = align.basis(align_by, controls, len(wells.features))
    n = len(wells.perturbations)
    sums, n_wells = np.zeros((n, basis.width)), np.zeros(n, dtype=np.int64)
    for done, batch in enumerate(summary.batches(), 1):
        part = aligned_sums(batch, basis)
        sums[part.perturbation] += part.sums
        n_wells[part.perturbation] += part.n_wells
        if progress is not None:
            progress("aligning", done, len(counts))
    names = wells.perturbations.name
    chosen = set(wells.provenance.get("controls", ()))
    left_out = np.array([name.endswith("_control") or name in chosen for name in names], dtype=bool)
    keep = np.flatnonzero((n_wells > 0) & ~left_out)
    protocol = {
        **as_alignment(align_by).to_dict(),
        "aggregate": aggregate,
        "control": wells.provenance.get("controls", CONTROL),
        "n_features": len(wells.features),
        "n_components": basis.width,
        "n_directions_dropped": basis.n_dropped,
        "n_wells": int(n_wells.sum()),
        "n_controls": int(sum(counts.values())),
        "n_experiments": len(counts),
        "polaris_rxrx": __version__,
        **{name: wells.provenance[name] for name in ("batch", "corrections") if name in wells.provenance},
    }
    if "components" in protocol:
        protocol["variance_kept"] = basis.kept
    if aggregate == "median" and has_wells(wells):
        x = _medians(wells, basis, keep, n_wells, progress)
    else:
        x = sums[keep]
        del sums
        x /= n_wells[keep, None]
    return Map(wells.perturbations.take(keep), x, n_wells[keep], protocol, _dropped(protocol))


def _dropped(protocol: Mapping[str, Any]) -> tuple[str, ...]:
    """Words for how many directions the aligner left out, if any, and how many were kept by choice."""
    p, told = protocol, []
    if n := p["n_directions_dropped"]:
        told.append(
            f"{p['align']}: the {p['n_controls']:,} control wells vary in {p['n_features'] - n:,} of "
            f"{p['n_features']:,} directions; the other {n:,} were left out"
        )
    if "components" in p:
        told.append(
            f"{p['align']}: {p['n_components']:,} components kept, which hold {p['variance_kept']:.1%} of "
            "the control wells' variance"
        )
    return tuple(told)


def _medians(wells: WellSource, basis: Basis, keep: Ints, n_wells: Ints, progress: Progress | None) -> Floats:
    """Medians of the aligned wells of perturbations `keep` (k,), in every dimension: (k, d)."""
    found = np.empty((len(keep), basis.width))
    for first, last in _batches(n_wells[keep], max(1, _CELLS // max(1, basis.width))):
        codes = keep[first:last]
        start = np.r_[0, np.cumsum(n_wells[codes])]
        free = np.full(len(n_wells), -1, dtype=np.int64)
        free[codes] = start[:-1]
        rows = np.empty((int(start[-1]), basis.width))
        for block in wells.blocks():
            own = np.flatnonzero(free[block.perturbation] >= 0)
            if not len(own):
                continue
            code, n = np.unique(block.perturbation[own], return_counts=True)
            own = own[np.argsort(block.perturbation[own], kind="stable")]
            to = np.arange(len(own)) + np.repeat(free[code] - (np.cumsum(n) - n), n)
            rows[to] = align.fit(basis, block.x[block.control]).rows(block.x[own])
            free[code] += n
        for k, (a, b) in enumerate(zip(start[:-1].tolist(), start[1:].tolist(), strict=True), first):
            found[k] = np.median(rows[a:b], axis=0)
        if progress is not None:
            progress("medians", last, len(keep))
    return found


def _batches(sizes: Ints, most: int) -> Iterator[tuple[int, int]]:
    """Slices of neighbors with at most so many wells together, or one perturbation."""
    first = total = 0
    for k, n in enumerate(sizes.tolist()):
        if total and total + n > most:
            yield first, k
            first, total = k, 0
        total += n
    if len(sizes):
        yield first, len(sizes)


def control_names(wells: WellSource | Summary) -> str:
    """What the control wells are called, for messages."""
    return ", ".join(wells.provenance.get("controls", [CONTROL]))


def pooled_controls(wells: WellSource | Summary, align_by: AlignBy) -> tuple[Moments | None, dict[str, int]]:
    """Moments of all control wells (None where the aligner needs none), and how many each batch has."""
    pooled: Moments | None = None
    counts: dict[str, int] = {}
    for batch, controls in _summary_of(wells).controls():
        counts[batch] = n_controls(controls)
        if align.needs_moments(align_by) and counts[batch]:
            found = moments_of(controls)
            pooled = found if pooled is None else pooled.merge(found)
    few = [name for name, n in counts.items() if n < align.MIN_CONTROLS]
    if few and align.fits_experiments(align_by):
        batch = wells.provenance.get("batch", "experiment")
        what = batch if batch in ("experiment", "plate") else "batch"
        raise DataError(
            f"{len(few):,} of {len(counts):,} {'batches' if what == 'batch' else what + 's'} have fewer than "
            f"{align.MIN_CONTROLS} {control_names(wells)} wells: {some(few)}; "
            f"{as_alignment(align_by).aligner} fits on them in every {what}"
        )
    return pooled, counts


def has_wells(source: WellSource | Summary) -> TypeGuard[WellSource]:
    """Whether these are wells, and not a summary of them."""
    return hasattr(source, "blocks")


def _summary_of(source: WellSource | Summary) -> Summary:
    return WellSummary(source) if has_wells(source) else cast(Summary, source)
