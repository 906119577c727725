"""A table of any size summarized in one pass: for each batch, sums by perturbation and control wells.

Conventions
    The table is read in pieces, in whatever order its rows stand; a batch may stand in many files. Pieces of
    up to `JOB` bytes are a job (`polaris_rxrx.maps.partial`), done here, by processes or on a cluster. Their
    sums are merged in one fixed tree over the jobs, however they come in, so that the same jobs give the same
    bits; other rows, files or limits give the same but for rounding. Control rows stand where their wells do.
    Within `max_memory`, which is meant for all of the processes together, sums and control rows are in
    memory, else on disk; sums on disk are added job by job instead of in a tree.
    A summary has one batch an experiment of the metadata.

Resuming
    With a folder for parts, each job's result is kept there when it is done, named by a hash of its files'
    bytes and of all that was asked; a run that finds it does not do the job again. Parts of other bytes or
    other questions have other names, and are not found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from polaris_rxrx import limits
from polaris_rxrx.errors import DataError
from polaris_rxrx.files import new_file
from polaris_rxrx.limits import size_text
from polaris_rxrx.maps.align import Moments, moments
from polaris_rxrx.maps.partial import (
    Job,
    NotFinite,
    Partial,
    PartialSums,
    Rows,
    Seen,
    in_two,
    reduce_job,
)
from polaris_rxrx.maps.summary import BatchSummary, Controls, SummaryPlaces
from polaris_rxrx.parallel import PROCESS, Here, Processes, Workers, merged
from polaris_rxrx.types import Bools, Floats, Ints, Matrix, Progress
from polaris_rxrx.wells.gather import combine, groups
from polaris_rxrx.wells.metadata import Perturbations
from polaris_rxrx.wells.opened import OpenWells
from polaris_rxrx.wells.pieces import WHOLE, Piece, content_key, pieces_of
from polaris_rxrx.wells.values import SAMPLE, look_once

JOB = 1 << 26
ROWS = 2  # times d control wells of a batch; of more, moments say the same in less
_LEAST = 1 << 20  # bytes of a piece that are read at once, at least
_COPIES = 4  # of a block while it is reduced


@dataclass(frozen=True, eq=False)
class Collected:
    """A summary in memory or on disk: groups in order of batch, in it of perturbation.

    `group_batch`, `group_perturbation`, `group_wells` (g,), `sums` (g, d); `control_batch` (c,) ascending,
    `control_rows` (c, d). `notes` are what a user should be told, `provenance` what a protocol keeps.
    """

    features: list[str]
    perturbations: Perturbations
    names: list[str]
    group_batch: Ints
    group_perturbation: Ints
    group_wells: Ints
    sums: Floats
    control_batch: Ints
    control_rows: Matrix
    notes: tuple[str, ...]
    provenance: dict[str, Any]
    sources: dict[str, str]
    files: dict[str, tuple[Path, ...]]
    missing: int = 0
    joined: Mapping[str, Path] = field(default_factory=dict)
    free: int = 0
    _moments: dict[int, Moments] = field(default_factory=dict)

    @property
    def places(self) -> SummaryPlaces:
        return SummaryPlaces(self.perturbations, self.group_perturbation, self.group_batch)

    def controls(self) -> Iterator[tuple[str, Controls]]:
        for batch in np.unique(self.group_batch).tolist():
            yield self.names[batch], self._controls(batch)
            limits.release(self.control_rows)

    def _controls(self, batch: int) -> Controls:
        """Rows; or, where they are many and memory is there, moments, which are then kept."""
        if batch in self._moments:
            return self._moments[batch]
        a, b = np.searchsorted(self.control_batch, [batch, batch + 1])
        rows, d = self.control_rows[a:b], len(self.features)
        if len(rows) <= ROWS * d or (len(self._moments) + 1) * d * d * 8 > self.free // 2:
            return rows
        found = moments(rows)
        if not np.isfinite(found.scatter).all():
            return rows
        self._moments[batch] = found
        return found

    def batches(self) -> Iterator[BatchSummary]:
        for (name, controls), batch in zip(self.controls(), np.unique(self.group_batch), strict=True):
            here = slice(*np.searchsorted(self.group_batch, [batch, batch + 1]))
            yield BatchSummary(
                name, self.group_perturbation[here], self.group_wells[here], self.sums[here], controls
            )
            limits.release(self.sums)


@dataclass(frozen=True)
class Plan:
    """What a pass takes: bytes of sums and of control rows, whether on disk, bytes read at once.

    `free` bytes are left once the table is read.
    """

    sums: int
    controls: int
    sums_on_disk: bool
    controls_on_disk: bool
    most: int
    free: int

    def told(self) -> list[str]:
        told = []
        for what, size, on_disk in (
            ("sums", self.sums, self.sums_on_disk),
            ("control wells", self.controls, self.controls_on_disk),
        ):
            if on_disk:
                told.append(
                    f"The {what} ({size_text(size)}) are kept on disk, for they do not fit into memory"
                )
        return told


def plan(n_groups: int, n_controls: int, d: int, itemsize: int, rows: int, room: int, n_workers: int) -> Plan:
    """Divide `room` bytes.

    Args:
        n_groups: Perturbations, counted in each batch.
        n_controls: Control wells.
        d: Features.
        itemsize: Bytes of a value.
        rows: Of the largest piece.
        room: Bytes that this process and its workers may take from here on.
        n_workers: Processes beside this one; 0 for none.

    Raises:
        DataError: That is too little for anything.
    """
    sums, controls = n_groups * d * 8, n_controls * d * itemsize
    least = n_workers * PROCESS + max(n_workers, 1) * _COPIES * max(_LEAST, 8 * min(d, 8) * rows)
    if room < least:
        fewer = " or fewer --workers" if n_workers else ""
        raise DataError(
            f"{size_text(max(room, 0))} of memory are left beside what is in use, and reading this table "
            f"takes {size_text(least)} at least; more --max-memory{fewer} would do"
        )
    free = room - least
    controls_on_disk = controls > free / 2
    free -= 0 if controls_on_disk else controls
    sums_on_disk = 2 * sums > free  # halves of a tree beside the whole
    free -= 0 if sums_on_disk else 2 * sums
    most = min(WHOLE, max(_LEAST, free // (_COPIES * max(n_workers, 1))))
    left = max(room - (0 if controls_on_disk else controls) - (0 if sums_on_disk else sums), 0)
    return Plan(sums, controls, sums_on_disk, controls_on_disk, int(most), left)


def collect(
    wells: OpenWells,
    *,
    max_memory: int | None = None,
    workers: Workers | None = None,
    parts: Path | None = None,
    layer: str | None = None,
    ids: Path | None = None,
    progress: Progress | None = None,
) -> Collected:
    """Summarize the wells of an open table.

    Args:
        wells: From `open_wells`, without values that are no numbers.
        max_memory: Bytes that all processes may take, with what is in use already; half of what is free.
        workers: Who does it; this process.
        parts: A folder where finished jobs are kept and found.
        layer: As the table was opened with.
        ids: As the table was opened with.
        progress: Called with a word, wells done, out of how many.

    Raises:
        DataError: Naming the file and what is wrong with it; or memory or disk are too small.

    The map of a summary is that of the wells, up to rounding:

    >>> from polaris_rxrx.wells.opened import open_wells
    >>> files = "data/metadata_rxrx3_core.csv", "data/OpenPhenom_rxrx3_core_embeddings.parquet"
    >>> summary = collect(open_wells(*files, features="feature_?"))
    >>> whole = pr.build_map(pr.read_wells(*files, features="feature_?"))
    >>> np.allclose(pr.build_map(summary).x, whole.x)
    True
    """
    who = workers or Here()
    meta, row, d = wells.meta, wells.row, len(wells.features)
    dtype = wells.table.dtype(wells.features)
    experiment, perturbation = meta.experiment[row], meta.perturbation[row]
    new = np.r_[True, (np.diff(experiment) != 0) | (np.diff(perturbation) != 0)]
    group = np.cumsum(new) - 1
    control = meta.control[row]
    pieces = pieces_of(wells.table, wells.features, layer=layer, ids=ids)
    chosen = plan(
        int(new.sum()),
        int(control.sum()),
        d,
        dtype.itemsize,
        max((p.n for p in pieces), default=0),
        limits.default_limit() if max_memory is None else max_memory - limits.in_use(),
        0 if isinstance(who, Here) else who.n,
    )
    jobs = _jobs(wells, pieces, group, control, str(dtype), chosen.most)
    found = _Arrays.empty(int(new.sum()), int(control.sum()), d, dtype, chosen)
    seen, loose = _run(who, jobs, found, wells, parts, progress)
    _take_loose(found, loose, wells, group, control)
    values = look_once(
        seen.low,
        seen.high,
        seen.sample,
        seen.zero,
        seen.well,
        seen.key,
        wells.features,
        wells.name,
        wells.table.path,
        len(row),
    )
    start = np.flatnonzero(new)
    return Collected(
        features=wells.features,
        perturbations=meta.perturbations,
        names=meta.experiments,
        group_batch=experiment[start],
        group_perturbation=perturbation[start],
        group_wells=np.diff(np.r_[start, len(row)]),
        sums=found.sums,
        control_batch=experiment[control],
        control_rows=found.controls,
        notes=(*wells.notes(values.notes), *chosen.told()),
        provenance=wells.provenance(values.to_dict()),
        sources=wells.sources,
        files=wells.files,
        missing=wells.missing,
        joined=meta.joined,
        free=chosen.free,
    )


def _jobs(
    wells: OpenWells,
    pieces: Sequence[Piece],
    group: Ints,
    control: np.ndarray[Any, Any],
    dtype: str,
    most: int,
) -> list[Job]:
    """Neighboring pieces together, up to `JOB` bytes."""
    d = len(wells.features)
    place, counts = wells.places.place, wells.places.counts
    slot = np.where(control, np.cumsum(control) - 1, -1)
    sample = np.arange(len(group))[:: -(-len(group) // SAMPLE)] if len(group) else np.zeros(0, dtype=np.int64)
    found, first, at = list[Job](), 0, 0
    while at < len(pieces):
        end, n = at, 0
        while end < len(pieces) and (end == at or (n + pieces[end].n) * d * 8 <= JOB):
            n += pieces[end].n
            end += 1
        well = place[first : first + n]
        there = np.maximum(well, 0)
        rows = Rows(well, group[there], slot[there], counts[there])
        within = sample[np.isin(sample, well)]
        found.append(
            Job(tuple(pieces[at:end]), rows, tuple(wells.features), dtype, wells.sites, within, most)
        )
        first, at = first + n, end
    return found


@dataclass(eq=False)
class _Arrays:
    """Sums (g, d) and control rows (c, d) as they fill."""

    sums: Floats
    controls: Matrix
    in_tree: bool

    @classmethod
    def empty(cls, n_groups: int, n_controls: int, d: int, dtype: Any, chosen: Plan) -> _Arrays:
        def array(n: int, kind: Any, on_disk: bool) -> Matrix:
            return limits.on_disk((n, d), kind) if on_disk else np.zeros((n, d), dtype=kind)

        return cls(
            array(n_groups, np.float64, chosen.sums_on_disk),
            array(n_controls, dtype, chosen.controls_on_disk),
            not chosen.sums_on_disk,
        )


def _run(
    who: Workers,
    jobs: Sequence[Job],
    found: _Arrays,
    wells: OpenWells,
    parts: Path | None,
    progress: Progress | None,
) -> tuple[Seen, list[tuple[Ints, Matrix]]]:
    """Do the jobs and fill the arrays; what was seen of the values, and loose rows by their wells."""
    work: Callable[[Job], Partial] = reduce_job
    if parts is not None:
        work = partial(reduce_and_keep, folder=str(parts.absolute()))
    if not isinstance(who, (Here, Processes)):  # whose working folder may be another
        jobs = [replace(job, pieces=tuple(p.anywhere() for p in job.pieces)) for job in jobs]
    done = 0
    seen: dict[int, Seen] = {}
    loose: dict[int, tuple[Ints, Matrix]] = {}
    total = sum(job.n_wells for job in jobs)
    try:
        for i, part in _summed(who, work, jobs, found):
            found.controls[part.slot] = part.controls
            limits.release(found.controls)
            seen[i] = part.seen
            if len(part.loose_well):
                loose[i] = (part.loose_well, part.loose)
            done += jobs[i].n_wells
            if progress is not None:
                progress("wells", min(done, total), total)
    except NotFinite as error:
        raise DataError(
            f"{error.piece.path}: feature {error.feature!r} is {error.value} in well "
            f"{wells.name(error.well)!r} (not finite in {error.n:,} rows of the file); an embedding holds "
            'finite numbers. A card with kind = "profile" has its features cleaned'
        ) from None
    # In the jobs' order: what is told does not depend on who was first.
    return Seen.together([seen[i] for i in range(len(jobs))]), [loose[i] for i in sorted(loose)]


def _summed(
    who: Workers, work: Callable[[Job], Partial], jobs: Sequence[Job], found: _Arrays
) -> Iterator[tuple[int, Partial]]:
    """What the jobs give, as they are done; at the end, their sums are in place."""
    if found.in_tree:
        for i, part in merged(who, partial(in_two, work), jobs, PartialSums.merge):
            if i < len(jobs):
                yield i, part
            elif part is not None:
                found.sums[part.group] = part.sums
        return
    waiting, turn = dict[int, PartialSums](), 0
    for i, part in who.run(work, jobs):
        waiting[i] = part.sums
        while turn in waiting:  # in the jobs' order, whoever is first
            sums = waiting.pop(turn)
            turn += 1
            found.sums[sums.group] += sums.sums
            limits.release(found.sums)
        yield i, part


def _take_loose(
    found: _Arrays, loose: Sequence[tuple[Ints, Matrix]], wells: OpenWells, group: Ints, control: Bools
) -> None:
    """Wells whose rows stand in several pieces: made one row now, and added."""
    if not loose:
        return
    well = np.concatenate([w for w, _ in loose])
    rows = np.concatenate([r for _, r in loose])
    slot = np.cumsum(control) - 1
    for wells_, at in groups(well):
        values = combine(np.ascontiguousarray(rows[at].transpose(0, 2, 1)), wells.sites).astype(rows.dtype)
        np.add.at(found.sums, group[wells_], values.astype(np.float64))
        those = control[wells_]
        found.controls[slot[wells_[those]]] = values[those]


def reduce_and_keep(job: Job, folder: str) -> Partial:
    """`reduce_job`, its result taken from the folder, or left there."""
    path = Path(folder) / f"{_key(job)}.npz"
    if path.exists():
        try:
            return _load_part(path)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            pass  # damaged: done again
    part = reduce_job(job)
    with new_file(path) as temporary, temporary.open("wb") as handle:
        arrays: dict[str, Any] = _flat(part)
        np.savez(handle, **arrays)
    return part


def _key(job: Job) -> str:
    """What a job's result depends on: its files' bytes and what was asked."""
    from polaris_rxrx._version import __version__

    digest = hashlib.sha256(repr((__version__, job.features, job.dtype, job.sites, job.most)).encode())
    for piece in job.pieces:
        read = (content_key(piece.path), piece.n, piece.row_groups, piece.parts, piece.layer)
        digest.update(repr(read).encode())
    for array in (job.rows.well, job.rows.group, job.rows.slot, job.rows.count, job.sample):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


_SEEN = ("low", "high", "zero", "well", "key", "sampled", "sample")
_ROWS = ("slot", "controls", "loose_well", "loose")


def _flat(part: Partial) -> dict[str, Matrix]:
    return {
        "group": part.sums.group,
        "sums": part.sums.sums,
        **{n: getattr(part, n) for n in _ROWS},
        **{f"seen_{n}": getattr(part.seen, n) for n in _SEEN},
    }


def _load_part(path: Path) -> Partial:
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as held:
        seen = Seen(**{n: held[f"seen_{n}"] for n in _SEEN})
        return Partial(PartialSums(held["group"], held["sums"]), **{n: held[n] for n in _ROWS}, seen=seen)
