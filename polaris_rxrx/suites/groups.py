"""Which wells belong together, and those wells, aligned one by one: what the suites on wells stand on.

Conventions
    Wells are aligned one by one, in float64, as `polaris_rxrx.maps` aligns means. They stand group after
    group; beyond a bound they do so on disk, and whoever goes through them gives back the memory of what it
    has seen. Control wells are the
    EMPTY_control wells of the same side: CRISPR for genes and guides, COMPOUND for compounds. `*_control` is
    no perturbation. Perturbations with fewer than `min_wells` wells are left out, counted and named.
    A guide is named GENE_guide_N and its gene is what stands before that suffix, underscores and all; guides
    need wells read with `read_wells(..., guides=True)`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from polaris_rxrx import limits
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.maps import align
from polaris_rxrx.maps.align import Affine, AlignBy
from polaris_rxrx.maps.build import pooled_controls
from polaris_rxrx.maps.similarity import unit_rows
from polaris_rxrx.suites.result import Digest
from polaris_rxrx.types import Bools, Floats, Ints
from polaris_rxrx.wells.metadata import Perturbations
from polaris_rxrx.wells.source import WellBlock, WellSource

By = Literal["gene", "guide", "compound", "compound-concentration"]
BYS: tuple[By, ...] = get_args(By)
MIN_WELLS = 5
N_RANDOM = 1000
MAX_GROUP = 250
MOST = 1 << 29  # bytes of aligned wells in memory, however much is allowed
_ROWS_AT_ONCE = 4096
# Streams of one seed.
CONTROLS, SPLIT, EMBEDDINGS = range(3)
_GUIDE = re.compile(r"_guide_\d+\Z")


@dataclass(frozen=True, eq=False)
class WellGroups:
    """Which wells belong together: perturbations of at least `min_wells` wells, sorted by name and dose.

    `of` (n perturbation codes,) is a code's group or -1, `side_control` whether it is a control of the side.
    """

    by: By
    name: list[str]
    concentration: list[float | None]
    sizes: Ints
    of: Ints
    side_control: Bools
    n_side_controls: int
    few: tuple[str, ...]
    sha256: str

    @property
    def start(self) -> Ints:
        return np.cumsum(self.sizes) - self.sizes

    def places(self, group: Ints, free: Ints) -> Ints:
        """Where wells (k,) of these groups, in ascending order, go; `free`, where each has room, moves on."""
        codes, first, n = np.unique(group, return_index=True, return_counts=True)
        places: Ints = np.arange(len(group)) + np.repeat(free[codes] - first, n)
        free[codes] += n
        return places

    @property
    def genes(self) -> list[str]:
        """The gene of each group of a CRISPR side."""
        return [gene_of(name) for name in self.name]

    def table(self) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {"perturbation": self.name}
        if self.by == "guide":
            columns["gene"] = self.genes
        if self.by == "compound-concentration":
            columns["concentration"] = self.concentration
        return {**columns, "n_wells": self.sizes.tolist()}

    def notes(self, min_wells: int) -> list[str]:
        if not self.few:
            return []
        return [f"{len(self.few):,} perturbations have fewer than {min_wells} wells: {some(self.few, 20)}"]


def gene_of(guide: str) -> str:
    """`HLA-A_guide_3` -> `HLA-A`; what has no such suffix is a gene already."""
    return _GUIDE.sub("", guide)


def check_choices(by: By, *, min_wells: int, seed: int, n_random: int) -> None:
    if by not in BYS:
        raise UsageError(f"by is {by!r}; expected one of {', '.join(BYS)}")
    for name, value, least in (("min_wells", min_wells, 2), ("seed", seed, 0), ("n_random", n_random, 1)):
        if value < least:
            raise UsageError(f"{name} is {value}; {least} or more was expected")


def group_wells(wells: WellSource, by: By, min_wells: int) -> WellGroups:
    """Look through the wells once: what is there, how often, and whether all of it is finite."""
    p = wells.perturbations
    side = "CRISPR" if by in ("gene", "guide") else "COMPOUND"
    on_side = np.array([t == side for t in p.type], dtype=bool)
    counts, n_controls = np.zeros(len(p), dtype=np.int64), np.zeros(len(p), dtype=np.int64)
    digest = Digest().names(p.type).names(p.name).array(p.concentration).names(wells.features)
    for block in wells.blocks():
        _refuse_nan(block, wells)
        counts += np.bincount(block.perturbation, minlength=len(p))
        n_controls += np.bincount(block.perturbation[block.control], minlength=len(p))
        digest.names([block.experiment]).array(block.x).array(block.perturbation)
    is_control = np.array([name.endswith("_control") for name in p.name], dtype=bool)
    side_control = on_side & (n_controls > 0)
    treated = counts - n_controls
    members = np.flatnonzero(on_side & ~is_control & (treated > 0))
    keys = [_key(p, int(i), by) for i in members]
    if by == "guide" and keys and not any(_GUIDE.search(name) for name, _ in keys):
        raise UsageError(
            f"no perturbation is named like a guide (GENE_guide_1), but {some([k[0] for k in keys], 3)}; "
            "read the wells with guides=True"
        )
    size: dict[tuple[str, float], int] = {}
    for i, key in zip(members, keys, strict=True):
        size[key] = size.get(key, 0) + int(treated[i])
    kept = sorted(key for key, n in size.items() if n >= min_wells)
    few = sorted(key for key, n in size.items() if n < min_wells)
    if not kept:
        raise DataError(
            f"none of the {len(size):,} perturbations by {by} has {min_wells} wells or more; "
            f"the largest has {max(size.values(), default=0)}"
        )
    at = {key: k for k, key in enumerate(kept)}
    of = np.full(len(p), -1, dtype=np.int64)
    of[members] = [at.get(key, -1) for key in keys]
    return WellGroups(
        by=by,
        name=[name for name, _ in kept],
        concentration=[dose if dose >= 0 else None for _, dose in kept],
        sizes=np.array([size[key] for key in kept], dtype=np.int64),
        of=of,
        side_control=side_control,
        n_side_controls=int(n_controls[on_side].sum()),
        few=tuple(name if dose < 0 else f"{name} at {dose:g} uM" for name, dose in few),
        sha256=digest.hex(),
    )


def _key(p: Perturbations, i: int, by: By) -> tuple[str, float]:
    """Name and dose of a perturbation's group; -1 where there is no dose."""
    if by == "gene":
        return gene_of(p.name[i]), -1.0
    dose = float(p.concentration[i])
    return p.name[i], dose if by == "compound-concentration" and dose >= 0 else -1.0


def _refuse_nan(block: WellBlock, wells: WellSource) -> None:
    bad = ~np.isfinite(block.x)
    if bad.any():
        row, column = (int(i[0]) for i in np.nonzero(bad))
        raise DataError(
            f"experiment {block.experiment!r}: feature {wells.features[column]!r} is {block.x[row, column]} "
            f"in a well of {wells.perturbations.name[block.perturbation[row]]!r} (not finite in "
            f"{int(bad.any(axis=1).sum()):,} wells); finite numbers were expected"
        )


def aligned_wells(
    wells: WellSource, align_by: AlignBy, groups: WellGroups, chosen: Ints, max_memory: int | None = None
) -> tuple[Floats, Floats]:
    """Aligned wells of the groups, group after group, and the chosen ones of the side's control wells.

    Where they stand, `room` says.
    """
    controls, _ = pooled_controls(wells, align_by)
    basis = align.basis(align_by, controls, len(wells.features))
    x = room((int(groups.sizes.sum()), basis.width), max_memory)
    picked = room((len(chosen), basis.width), max_memory)
    place = np.full(groups.n_side_controls, -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    free, seen = groups.start, 0
    for block in wells.blocks():
        control = np.flatnonzero(block.control & groups.side_control[block.perturbation])
        to = place[seen : seen + len(control)]
        seen += len(control)
        group = groups.of[block.perturbation]
        rows = np.flatnonzero((group >= 0) & ~block.control)
        if not len(rows) and not (to >= 0).any():
            continue
        affine = align.fit(basis, block.x[block.control])
        put(picked, to[to >= 0], affine, block, control[to >= 0])
        rows = rows[np.argsort(group[rows], kind="stable")]
        put(x, groups.places(group[rows], free), affine, block, rows)
    return x, picked


def room(shape: tuple[int, int], max_memory: int | None) -> Floats:
    """An array for aligned wells, in memory or on disk.

    In memory it takes at most `MOST` bytes, and a third of what is left of the bytes that the process may
    take, where there is such a bound. Without one, where the disk has no room, it is in memory after all.

    Raises:
        DataError: There is a bound, and the disk is full.
    """
    left = MOST if max_memory is None else max(max_memory - limits.in_use(), 0) // 3
    try:
        return limits.empty(shape, np.float64, min(MOST, left))
    except DataError:
        if max_memory is not None:
            raise
        return np.empty(shape)


def put(out: Floats, to: Ints, affine: Affine, block: WellBlock, rows: Ints) -> None:
    """Align these rows (k,) of a block and put them into the places `to` (k,), some at a time."""
    for a in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(a, a + _ROWS_AT_ONCE)
        out[to[part]] = affine.rows(block.x[rows[part]])
        limits.release(out)


def to_unit_length(x: Floats) -> None:
    """Divide rows (n, d) by their length where they are; a row without length becomes NaN."""
    for a in range(0, len(x), _ROWS_AT_ONCE):
        x[a : a + _ROWS_AT_ONCE] = unit_rows(x[a : a + _ROWS_AT_ONCE])
        limits.release(x)
