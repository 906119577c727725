"""A featurizer tried on a few wells before a day is spent on all of them; nothing is written.

Conventions
    `WELLS` wells, spread evenly over all, are measured in one go, after one of them by itself (which also
    loads what there is to load, and is not timed). Then some of them again: once more as they were, each by
    itself, and with one channel at a time black.
    Differences between two runs are relative to a feature's scale, its largest absolute value over wells; one
    absent value where the other is there differs by infinity. The same bits differ by 0. Up to `LAST_BITS`
    a difference is told and not held against a featurizer; of a well by itself up to `ALONE`, since libraries
    add in another order where a batch has another length, and bfloat16 has 8 bits.
    A channel is seen if without it any feature changes by more than twice what two equal runs differ by.
    Hours are seconds a well times all wells, by the number of workers. Memory is the most that this process
    had, and torch on its GPU, where torch is in use.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from typing_extensions import TypedDict

from polaris_rxrx.errors import DataError, some
from polaris_rxrx.featurize.engine import check_rows
from polaris_rxrx.featurize.featurizer import Features, Featurizer
from polaris_rxrx.featurize.output import is_feature
from polaris_rxrx.images.sites import ImageSet, WellImages
from polaris_rxrx.types import Floats, Matrix, Progress

WELLS = 12
FEW = 3  # wells of the runs beside the first, where all would take too long
PATIENCE = 60.0  # seconds for those runs, about
LAST_BITS = 1e-4
ALONE = 1e-2


class TrialDocument(TypedDict):
    """What a featurizer did with a few wells; null is what was not measured.

    Differences are relative to a feature's scale, null where they are infinite, which the problems then say.
    """

    featurizer: str
    wells: list[str]
    rows: int | None
    features: int | None
    type: str | None
    features_absent_somewhere: int | None
    features_constant: int | None
    difference_repeated: float | None
    difference_alone: float | None
    difference_without_channel: dict[str, float | None]
    """By channel."""
    seconds_loading: float | None
    seconds_a_well: float | None
    all_wells: int
    workers: int
    hours_for_all: float | None
    peak_memory: int | None
    """Bytes."""
    peak_gpu_memory: int | None
    """Bytes."""
    faults: list[str]
    problems: list[str]


@dataclass(frozen=True)
class Trial:
    """What a featurizer did with a few wells; `problems` are sentences, and without one all is well.

    `n_features` of `wells`, of which `n_absent` have no value in some of them and `n_constant` the same in
    all; `repeated` and `alone` are the largest differences, `channels` those without each channel; seconds
    to load, a well, and hours for `n_wells` by `workers`; bytes of memory. None is what was not measured.
    """

    featurizer: str
    wells: tuple[str, ...]
    n_wells: int
    workers: int
    n_rows: int | None = None
    n_features: int | None = None
    kind: str | None = None
    n_absent: int | None = None
    n_constant: int | None = None
    repeated: float | None = None
    alone: float | None = None
    channels: dict[str, float] = field(default_factory=dict)
    loading: float | None = None
    seconds: float | None = None
    memory: int | None = None
    gpu_memory: int | None = None
    faults: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def hours(self) -> float | None:
        return None if self.seconds is None else self.seconds * self.n_wells / self.workers / 3600

    def to_dict(self) -> TrialDocument:
        """A document of JSON; a difference that is infinite is null and says so in the problems."""

        def finite(value: float | None) -> float | None:
            return None if value is None or not np.isfinite(value) else value

        return {
            "featurizer": self.featurizer,
            "wells": list(self.wells),
            "rows": self.n_rows,
            "features": self.n_features,
            "type": self.kind,
            "features_absent_somewhere": self.n_absent,
            "features_constant": self.n_constant,
            "difference_repeated": finite(self.repeated),
            "difference_alone": finite(self.alone),
            "difference_without_channel": {n: finite(d) for n, d in self.channels.items()},
            "seconds_loading": self.loading,
            "seconds_a_well": self.seconds,
            "all_wells": self.n_wells,
            "workers": self.workers,
            "hours_for_all": self.hours,
            "peak_memory": self.memory,
            "peak_gpu_memory": self.gpu_memory,
            "faults": list(self.faults),
            "problems": list(self.problems),
        }


def check(
    images: ImageSet,
    featurizer: Featurizer,
    *,
    n: int = WELLS,
    workers: int = 1,
    progress: Progress | None = None,
) -> Trial:
    """Try a featurizer on a few wells.

    Args:
        images: All wells that it is meant for.
        featurizer: What is tried.
        n: How many wells it is tried on.
        workers: How many would do the work, for the hours.
        progress: Told how many of the runs are done.

    Raises:
        DataError: There are no wells, or images of another kind than it takes.
    """
    featurizer.check(images)
    if not images.wells:
        raise DataError("there is no well to measure; do the --wells have images?")
    at = np.unique(np.linspace(0, len(images.wells) - 1, min(n, len(images.wells))).round().astype(int))
    wells = tuple(images.wells[i] for i in at.tolist())
    trial = Trial(featurizer.name, wells, len(images.wells), workers)
    runs = _Runs(images, featurizer, progress, 4 + len(images.channels))
    try:
        trial = _measured(trial, runs)
    except DataError as error:
        trial = replace(trial, problems=(*trial.problems, str(error)))
    memory, gpu = _peaks()
    return replace(trial, memory=memory, gpu_memory=gpu)


class _Runs:
    """Runs of a featurizer over some wells, counted and timed."""

    def __init__(
        self, images: ImageSet, featurizer: Featurizer, progress: Progress | None, total: int
    ) -> None:
        self.images, self.featurizer = images, featurizer
        self._progress, self._done, self._total = progress, 0, total

    def __call__(self, wells: Sequence[str], black: int | None = None) -> tuple[Features, float]:
        beside = [w for w in self.featurizer.beside(self.images, wells) if w not in set(wells)]
        part = self.images.part([*wells, *beside])
        given: Any = part if black is None else _Black(part, black)
        started = time.perf_counter()
        found = self.featurizer.features(given, wells)
        seconds = time.perf_counter() - started
        check_rows(self.featurizer.name, wells, found)
        return found, seconds

    def done(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress("trying", min(self._done, self._total), self._total)


class _Black:
    """Images of which one channel is black; all else is as it was."""

    def __init__(self, images: ImageSet, channel: int) -> None:
        self._images, self._channel = images, channel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._images, name)

    def read(self, wells: Sequence[str]) -> Iterator[WellImages]:
        for found in self._images.read(wells):
            for site in found.sites:
                site.pixels[self._channel] = 0
            yield found


def _measured(trial: Trial, run: _Runs) -> Trial:
    """Everything, as far as the featurizer goes along."""
    first, loading = run(trial.wells[:1])
    run.done()
    whole, took = run(trial.wells)
    run.done()
    seconds = took / len(trial.wells)
    x = _matrix(whole)
    trial = replace(
        trial,
        loading=max(loading - seconds, 0.0),
        seconds=seconds,
        n_rows=len(x),
        n_features=x.shape[1],
        kind=_kind(whole),
        n_absent=int(np.isnan(x).any(axis=0).sum()),
        n_constant=int((x == x[:1]).all(axis=0).sum()) if len(x) > 1 else 0,
        faults=tuple(f"{f.well}: {f.problem}" for f in whole.faults),
    )
    if not len(x):
        return replace(trial, problems=("no well gave any features",))
    problems = _about_values(trial, whole, x)
    kept = tuple(whole.table.column("well_id").to_pylist())
    few = kept if took * (2 + len(run.images.channels)) < PATIENCE else kept[:FEW]
    base = whole if few == trial.wells else run(few)[0]
    again = run(few)[0]
    run.done()
    repeated = difference(base, again)
    scale = scale_of(x)
    alone = difference(_rows(whole, trial.wells[:1]), first, scale)
    for well in [w for w in kept if w != trial.wells[0]][: FEW - 1]:
        alone = max(alone, difference(_rows(whole, [well]), run([well])[0], scale))
    run.done()
    trial = replace(trial, repeated=repeated, alone=alone)
    problems += _about_runs(trial)
    channels: dict[str, float] = {}
    for i, channel in enumerate(run.images.channels):
        try:
            channels[channel] = difference(base, run(few, black=i)[0])
        except DataError:  # it sees it well enough
            channels[channel] = float("inf")
        run.done()
        if not channels[channel] > 2 * min(repeated, 1.0):
            problems.append(
                f"channel {channel} changes nothing: with it black, the features are the same; --channels "
                "leaves it out"
            )
    return replace(trial, channels=channels, problems=tuple(problems))


def _about_values(trial: Trial, whole: Features, x: Matrix) -> list[str]:
    problems = []
    names = _names(whole)
    if empty := [n for n, column in zip(names, x.T, strict=True) if np.isinf(column).any()]:
        problems.append(f"{len(empty):,} features are infinite in some wells: {some(empty)}")
    empty_wells = np.isnan(x).all(axis=1)
    if "Metadata_Object_Count" in whole.table.column_names and not empty_wells.all():
        # A field may be empty; the faults tell of it.
        empty_wells &= whole.table.column("Metadata_Object_Count").to_numpy() > 0
    if n := int(empty_wells.sum()):
        problems.append(f"{n:,} of {len(x):,} wells have no value in any feature")
    if len(x) > 1 and trial.n_constant == trial.n_features:
        problems.append(f"all features are the same in all {len(x):,} wells")
    return problems


def _about_runs(trial: Trial) -> list[str]:
    problems = []
    if trial.repeated is not None and trial.repeated > LAST_BITS:
        problems.append(
            f"twice the same wells gave other features: they differ by {trial.repeated:.1g} of a feature's "
            "scale. Is something drawn at random, such as dropout?"
        )
    elif trial.alone is not None and trial.alone > ALONE:
        problems.append(
            f"a well by itself has other features than among others: they differ by {trial.alone:.1g} of a "
            "feature's scale. Is it normalized over the batch, as in a model that is still in training mode?"
        )
    return problems


def difference(a: Features, b: Features, scale: Floats | None = None) -> float:
    """The largest difference between two runs of the same wells, relative to each feature's scale (d,).

    Without a scale, it is that of the two.
    """
    rows = a.table.column("well_id").to_pylist()
    if rows != b.table.column("well_id").to_pylist():
        return float("inf")
    if not rows:
        return 0.0
    if _names(a) != _names(b):
        return float("inf")
    x, y = _matrix(a), _matrix(b)
    if not np.array_equal(np.isnan(x), np.isnan(y)):
        return float("inf")
    with np.errstate(invalid="ignore"):
        apart = np.where(x == y, 0.0, np.abs(x - y))
    scale = scale_of(np.vstack([x, y])) if scale is None else scale
    return float((np.nan_to_num(apart, nan=0.0, posinf=np.inf) / scale).max())


def scale_of(x: Matrix) -> Floats:
    """The largest absolute value of each feature (d,) over wells (n, d); 1 where it is 0 or none."""
    found = np.fmax.reduce(np.abs(x), axis=0)
    return np.where(np.isfinite(found) & (found > 0), found, 1.0)


def _names(found: Features) -> list[str]:
    return [name for name in found.table.column_names if is_feature(name)]


def _kind(found: Features) -> str:
    kinds = {str(found.table.schema.field(name).type) for name in _names(found)}
    return ", ".join(sorted(kinds))


def _matrix(found: Features) -> Matrix:
    """Features (wells, d), in float64."""
    columns = [found.table.column(name).to_numpy() for name in _names(found)]
    values: Matrix = np.array(columns, dtype=np.float64)
    return np.ascontiguousarray(values.reshape(len(columns), found.table.num_rows).T)


def _rows(found: Features, wells: Sequence[str]) -> Features:
    """Those of some wells that are there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return Features(found.table.filter(pc.is_in(found.table.column("well_id"), pa.array(wells))))


def _peaks() -> tuple[int | None, int | None]:
    """The most memory that this process had, and torch on its GPU, in bytes."""
    memory = None
    try:
        import resource
    except ImportError:  # Windows
        pass
    else:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        memory = most if sys.platform == "darwin" else most * 1024
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not cuda.is_available():
        return memory, None
    return memory, int(cuda.max_memory_allocated())
