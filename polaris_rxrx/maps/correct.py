"""Corrections: what a place on the plate adds to every well there, and a place in the genome to every gene.

Well position
    Edges dry out, pipettes have rows: wells at one address look alike on every plate, whatever is in them.
    From each well the mean of all wells at its address is subtracted, over all plates of the source, controls
    among them: they take part and are corrected, too. The mean of all wells is not added back, as in the
    public recipe; every aligner but `none` takes it out anyway. It comes before alignment, in the features as
    they are read (a profile: as they are cleaned).
    Where all wells of an address have one perturbation, what is subtracted is its own effect; such
    addresses are counted and told of, and it is an error if they are all that any perturbation has.

Chromosome arms
    A cut by Cas9 can cost a cell the rest of the chromosome's arm, so knock-outs of neighbors look alike
    whatever they do. From each gene's vector the mean of the unexpressed genes on its arm is subtracted,
    whose own knock-out should do nothing; where an arm has fewer than `LEAST` of them, the mean of all genes
    on it, if these are as many; else nothing. Genes without an arm, compounds and all else stay as they are.

Conventions
    Corrections of wells take wells and give wells, those of the map a map; each writes what it did under
    `corrections`, in the provenance of the wells or the protocol of the map. `ON_WELLS` and `ON_MAP` are what
    a card or a command can name.
    A corrected well is x - mean[position]: affine within a position, but not within a batch. The sum of a
    perturbation's corrected wells is its sum less its counts by position times the means, so that sums and
    counts by (perturbation, position) are enough for means; scatters of control wells want their sums by
    position. Medians want the wells.
    Tables of arms have the columns `gene` and `arm` (such as 3p). To make one, join gene symbols with the
    cytogenetic bands of a genome assembly: the band 3p21.31 lies on the arm 3p.

Source
    Well position: Arevalo et al., Nat. Commun. 15 (2024) 6516, and the JUMP profiling recipe
    (`subtract_well_mean`). Chromosome arms: Lazar et al., Nat. Genet. 56 (2024) 1482-1493.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.names import Correction
from polaris_rxrx.maps.summary import Summary
from polaris_rxrx.tables import read_table
from polaris_rxrx.types import Bools, Floats, Ints
from polaris_rxrx.wells.source import OverWells, WellBlock, WellSource

LEAST = 20
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class PositionSums:
    """Of some wells: positions (k,) ascending, how many wells (k,) and their sums (k, d); exact to add up."""

    position: Ints
    n_wells: Ints
    sums: Floats


@dataclass(frozen=True, eq=False)
class PositionMeans:
    """Means of wells (p, d), and how many each is of (p,), by position; 0 where there is none.

    `together` (p, n perturbations) is whether any well of a position has a perturbation.
    """

    mean: Floats
    n_wells: Ints
    together: Bools


@dataclass(frozen=True, eq=False)
class CorrectedWells(OverWells):
    """Wells less the mean of their position, block by block as they are asked for: a `WellSource`.

    `told` is what a user should be told.
    """

    means: PositionMeans
    done: Mapping[str, Any]
    told: str

    @property
    def provenance(self) -> Mapping[str, Any]:
        before = self.wells.provenance
        return {**before, "corrections": [*before.get("corrections", ()), dict(self.done)]}

    def blocks(self) -> Iterator[WellBlock]:
        for block in self.wells.blocks():
            at = _positions(block)
            x = np.empty(block.x.shape, dtype=np.result_type(block.x.dtype, np.float32))
            for a in range(0, len(x), _ROWS_AT_ONCE):  # in float64, and no second block of it
                rows = slice(a, a + _ROWS_AT_ONCE)
                x[rows] = block.x[rows] - self.means.mean[at[rows]]
            yield replace(block, x=x)


def told_of(wells: WellSource | Summary) -> tuple[str, ...]:
    """What a user should be told of the corrections that wells have."""
    return (wells.told,) if isinstance(wells, CorrectedWells) else ()


def _positions(block: WellBlock) -> Ints:
    if block.position is None:
        raise UsageError(
            "the wells were read without their positions, which well-position correction goes by; read them "
            "with Design(positions=True)"
        )
    return block.position


def position_sums(block: WellBlock) -> PositionSums:
    """The sums of a block's wells, by position."""
    at = _positions(block)
    order = np.argsort(at, kind="stable")
    position, start, n_wells = np.unique(at[order], return_index=True, return_counts=True)
    sums = np.empty((len(position), block.x.shape[1]))
    for i, (a, n) in enumerate(zip(start.tolist(), n_wells.tolist(), strict=True)):
        np.sum(block.x[order[a : a + n]], axis=0, dtype=np.float64, out=sums[i])
    return PositionSums(position, n_wells, sums)


def position_means(wells: WellSource) -> PositionMeans:
    """The mean of all wells at each position, from one look at the wells."""
    width, n = len(wells.features), len(wells.perturbations)
    sums, n_wells, together = np.zeros((0, width)), np.zeros(0, dtype=np.int64), np.zeros((0, n), dtype=bool)
    for block in wells.blocks():
        part = position_sums(block)
        if (more := int(part.position[-1]) + 1 - len(sums)) > 0:
            sums = np.concatenate([sums, np.zeros((more, width))])
            n_wells = np.concatenate([n_wells, np.zeros(more, dtype=np.int64)])
            together = np.concatenate([together, np.zeros((more, n), dtype=bool)])
        sums[part.position] += part.sums
        n_wells[part.position] += part.n_wells
        together[_positions(block), block.perturbation] = True
    return PositionMeans(sums / np.maximum(n_wells, 1)[:, None], n_wells, together)


def by_position(wells: WellSource) -> CorrectedWells:
    """The wells less the mean of their position over all plates.

    Args:
        wells: Read with their positions. They are gone through once; corrected wells come as they are asked
            for.

    Raises:
        UsageError: The wells were read without positions.
        DataError: No perturbation stands at a position with another.

    Source:
        Arevalo et al., Nat. Commun. 15 (2024) 6516; the JUMP profiling recipe, `subtract_well_mean`.

    >>> from polaris_rxrx.wells.design import Design
    >>> wells = pr.read_wells(
    ...     "data/metadata_rxrx3_core.csv",
    ...     "data/OpenPhenom_rxrx3_core_embeddings.parquet",
    ...     features="feature_?",
    ...     design=Design(positions=True),
    ... )
    >>> corrected = by_position(wells)
    >>> corrected.provenance["corrections"][0]["correction"], pr.build_map(corrected).x.shape
    ('well-position', (432, 10))
    """
    means = position_means(wells)
    there = means.n_wells > 0
    alone, lost, n_seen = _lost(wells, means)
    if lost and len(lost) == n_seen:
        raise DataError(
            f"every perturbation ({some(lost, 3)}) has positions to itself, so well-position correction "
            "would take away all that it does; the layout has to differ between plates"
        )
    done: dict[str, Any] = {
        "correction": "well-position",
        "n_positions": int(there.sum()),
        "least_wells": min(means.n_wells[there].tolist(), default=0),
        "n_positions_of_one_perturbation": alone,
        "n_perturbations_lost": len(lost),
    }
    told = f"Well positions corrected: {int(there.sum()):,}, of {done['least_wells']:,} wells or more each"
    if alone:
        told += f"; at {alone:,} all wells have one perturbation and lose what is common to them"
    if lost:
        told += f", which is all that {len(lost):,} perturbations have: {some(lost)}"
    return CorrectedWells(wells, means, done, told)


def _lost(wells: WellSource, means: PositionMeans) -> tuple[int, list[str], int]:
    """How many positions have one perturbation alone, the perturbations with no others, and how many of all.

    Positions of controls alone are none of these: what is subtracted there is no effect.
    """
    p = wells.perturbations
    # A compound at all its doses, or a gene, is one perturbation here.
    keys = sorted({*zip(p.type, p.name, strict=True)})
    row = {key: i for i, key in enumerate(keys)}
    of = np.array([row[key] for key in zip(p.type, p.name, strict=True)], dtype=np.int64)
    chosen = set(wells.provenance.get("controls", ()))
    treated = np.array([not (n.endswith("_control") or n in chosen) for _, n in keys], dtype=bool)
    at = np.zeros((len(means.n_wells), len(keys)), dtype=bool)
    for code, i in enumerate(of.tolist()):
        at[:, i] |= means.together[:, code]
    alone = (at.sum(axis=1) == 1) & at[:, treated].any(axis=1)
    seen = at.any(axis=0) & treated
    lost = seen & ~at[~alone].any(axis=0)
    return int(alone.sum()), [keys[i][1] for i in np.flatnonzero(lost)], int(seen.sum())


def read_arms(path: Path | str) -> dict[str, str]:
    """Gene -> arm, from a CSV with the columns gene and arm.

    Raises:
        DataError: A column is absent, a cell is empty, or a gene is on two arms.

    >>> import pandas as pd
    >>> pd.DataFrame({"gene": ["MTOR", "BCL2"], "arm": ["1p", "18q"]}).to_csv("arms.csv", index=False)
    >>> read_arms("arms.csv")
    {'MTOR': '1p', 'BCL2': '18q'}
    """
    table = read_table(Path(path))
    table.need("gene", "arm")
    arms: dict[str, str] = {}
    for row, (gene, arm) in enumerate(zip(table.columns["gene"], table.columns["arm"], strict=True)):
        if not gene or not arm:
            raise DataError(
                f"{table.at(row)}: gene {gene!r}, arm {arm!r}; a gene and an arm such as 3p were expected"
            )
        if arms.setdefault(gene, arm) != arm:
            raise DataError(f"{table.at(row)}: {gene!r} is on {arm!r} here and on {arms[gene]!r} above")
    if not arms:
        raise DataError(f"{path} holds no genes")
    return arms


def by_arm(
    map_: Map, arms: Mapping[str, str], unexpressed: Collection[str] = (), *, least: int = LEAST
) -> Map:
    """The map with each arm's common vector subtracted; its protocol and notes say what was done.

    Args:
        map_: Rows of other types than CRISPR stay.
        arms: Gene -> arm.
        unexpressed: Genes whose knock-out should do nothing.
        least: As many genes an arm's mean rests on, at least; 1 or more.

    Raises:
        UsageError: `least` is below 1.
        DataError: No gene of the map has an arm, or none has enough genes.

    Source:
        Lazar et al., Nat. Genet. 56 (2024) 1482-1493.

    Two genes are on one arm, whose mean is taken off; of the third no arm is known:

    >>> from polaris_rxrx.maps.build import Map
    >>> from polaris_rxrx.wells.metadata import Perturbations
    >>> names = Perturbations(["CRISPR"] * 3, ["A", "B", "C"], np.full(3, np.nan))
    >>> map_ = Map(names, np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]]), np.array([9, 9, 9]))
    >>> by_arm(map_, {"A": "1p", "B": "1p"}, least=2).x.tolist()
    [[0.5, -1.0], [-0.5, 1.0], [3.0, 4.0]]
    """
    if least < 1:
        raise UsageError(f"least is {least}; 1 or more was expected")
    names = map_.perturbations.name
    genes = map_.rows("CRISPR")
    arm = np.array([arms.get(names[i], "") for i in genes])
    silent = np.isin([names[i] for i in genes], sorted(unexpressed))
    if not (arm != "").any():
        raise DataError(
            f"no gene of the map ({some([names[i] for i in genes], 3)}) has an arm; "
            f"the table has {some(list(arms), 3)}"
        )
    x = map_.x.copy()
    of: dict[str, list[str]] = {"unexpressed": [], "all": [], "none": []}
    for name in sorted({*arm.tolist()} - {""}):
        on = arm == name
        kind = "unexpressed" if (on & silent).sum() >= least else "all" if on.sum() >= least else "none"
        of[kind].append(name)
        if kind != "none":
            own = on & silent if kind == "unexpressed" else on
            x[genes[on]] -= map_.x[genes[own]].mean(axis=0)
    if not of["unexpressed"] and not of["all"]:
        raise DataError(f"no chromosome arm has {least} genes of the map, so there is nothing to correct by")
    done = {
        "correction": "chromosome-arm",
        "least": int(least),
        "arms_by_unexpressed": of["unexpressed"],
        "arms_by_all": of["all"],
        "arms_left": of["none"],
        "n_genes_without_arm": int((arm == "").sum()),
    }
    protocol = {**map_.protocol, "corrections": [*map_.protocol.get("corrections", []), done]}
    told = (
        f"Chromosome arms corrected: {len(of['unexpressed']):,} by their unexpressed genes, "
        f"{len(of['all']):,} by all of theirs; {len(of['none']):,} have too few genes. "
        f"{done['n_genes_without_arm']:,} genes have no arm"
    )
    return replace(map_, x=x, protocol=protocol, notes=(*map_.notes, told))


ON_WELLS: Mapping[Correction, Callable[[WellSource], CorrectedWells]] = {"well-position": by_position}
"""Corrections of wells, before they are aligned."""
ON_MAP: Mapping[Correction, Callable[..., Map]] = {"chromosome-arm": by_arm}
"""Corrections of a map; what else they take, their commands read."""
