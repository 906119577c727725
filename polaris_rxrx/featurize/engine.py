"""Images to features, well by well, by whatever workers there are.

Conventions
    A task is some wells of one plate, `featurizer.wells_a_task` of them at most, in the order of the images.
    Whoever does it reads those wells alone, and writes its part (`polaris_rxrx.featurize.output`) itself,
    into a folder that all workers share. What comes back is small: what the part holds, and what was wrong.
    A part that is there with the same key is not made again. Its key is a hash of the stored images of its
    wells (and of those looked at beside them), of the featurizer's protocol, the channels, the scale and this
    package's version; which is why the images are read once more when a run goes on.
    Whatever the workers, their number and the order in which they finish: the folder is the same to the byte,
    where the featurizer's own numbers are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from polaris_rxrx._version import __version__
from polaris_rxrx.errors import DataError, some
from polaris_rxrx.featurize.featurizer import Features, Featurizer
from polaris_rxrx.featurize.output import (
    FAULTS,
    MAIN,
    Held,
    Written,
    begin,
    is_feature,
    place,
    read_part,
    remove_strangers,
    settle,
    sweep,
    write_document,
    write_faults,
    write_part,
)
from polaris_rxrx.files import sha256
from polaris_rxrx.images.sites import Fault, ImageSet
from polaris_rxrx.parallel import Here, Workers
from polaris_rxrx.types import Progress
from polaris_rxrx.wells.parts import KIND, FileDocument, FinishedDocument, PartDocument, RunDocument

MANY = 100  # tables of parts: of more, columns are left out by all workers


@dataclass(frozen=True, eq=False)
class Task:
    """Some wells of a plate, all that is needed to measure them, and where their part goes."""

    name: str
    wells: tuple[str, ...]
    beside: tuple[str, ...]
    images: ImageSet
    featurizer: Featurizer
    run: RunDocument
    out: Path
    mended: bool


@dataclass(frozen=True)
class Done:
    """A part, and whether it is new, was kept, or was made again because its images had changed."""

    part: Written
    how: str


@dataclass(frozen=True)
class Report:
    """What a run gave.

    `n_wells` were asked for, `without` are those of them that have no row, `dropped` the columns by table
    that have no value in any well, `kinds` how many faults there are of each kind, in `n_faulty` wells,
    `notes` sentences for the user.
    """

    out: Path
    n_wells: int
    n_features: int
    n_parts: int
    without: tuple[str, ...]
    dropped: dict[str, list[str]]
    kinds: dict[str, int]
    n_faulty: int
    notes: tuple[str, ...]


def featurize(
    images: ImageSet,
    featurizer: Featurizer,
    out: Path,
    *,
    workers: Workers | None = None,
    resume: bool = False,
    mended: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Make features of all wells of a set of images and write them into a folder.

    Args:
        images: The images, as `polaris_rxrx.images.opened.open_images` finds them.
        featurizer: What measures them.
        out: A folder that is new, empty, or to be gone on with. Workers elsewhere write into it, too.
        workers: Who does the work; this process, if nobody.
        resume: Go on with what an earlier run of the same has finished.
        mended: With `resume`, keep parts that a user's code made before it was changed.
        progress: Told how many wells are done.

    Raises:
        UsageError: The folder holds other things, or features of another run.
        DataError: The images cannot be measured, a model gives what it may not, or the disk is full; what is
            finished by then stays.

    A model of one's own is a function in a module of the working directory; here mean values of channels:

    >>> _ = Path("channel_means.py").write_text("def embed(sites): return sites.mean(axis=(2, 3))", "utf-8")
    >>> from polaris_rxrx.dataset.sandbox_images import Phenotype, draw, pictures, write_shards
    >>> field = draw(Phenotype(count=6), seed=0, size=(96, 96))
    >>> _ = write_shards(Path("images"), pictures("compound-004_1_AA04", field.pixels))
    >>> images = pr.open_images("images", pixel_size=1.0)
    >>> from polaris_rxrx.featurize.function import Function
    >>> report = featurize(images, Function.find("channel_means:embed"), Path("features"))
    >>> report.n_wells, report.n_features  # a feature for each of the six channels
    (1, 6)
    """
    featurizer.check(images)
    if not images.wells:
        raise DataError("there is no well to measure; do the --wells have images?")
    out = out.resolve()  # a worker may have been started elsewhere
    run = run_of(images, featurizer)
    again = begin(out, run, resume=resume, mended=mended)
    tasks = tasks_of(images, featurizer, run, out, mended=mended)
    done = _work(tasks, workers or Here(), progress, len(images.wells))
    report = _finish(images, run, out, tasks, done, workers or Here(), again)
    if resume and not again:
        told = "there was nothing to go on with, so all was made anew"
        return replace(report, notes=(told, *report.notes))
    return report


def run_of(images: ImageSet, featurizer: Featurizer) -> RunDocument:
    """What makes other features of the same images: a run that differs in it is another."""
    protocol = {**featurizer.protocol()}
    code = protocol.pop("code", {})
    found: RunDocument = {
        "polaris_rxrx": __version__,
        "featurizer": featurizer.name,
        "protocol": protocol,
        "channels": list(images.channels),
        "white": images.white,
        "pixel_size": images.pixel_size,
        "code": code,
    }
    if images.provenance.get("made_up"):
        found["made_up"] = True
    kept: RunDocument = json.loads(json.dumps(found))  # as it is read back
    return kept


def tasks_of(
    images: ImageSet, featurizer: Featurizer, run: RunDocument, out: Path, *, mended: bool = False
) -> list[Task]:
    """The work, plate by plate."""
    plates: dict[str, list[str]] = {}
    for well in images.wells:
        plates.setdefault(images.plate(well), []).append(well)
    tasks = []
    for stem, wells in zip(_stems(list(plates)), plates.values(), strict=True):
        n = max(1, featurizer.wells_a_task)
        for number, first in enumerate(range(0, len(wells), n)):
            own = tuple(wells[first : first + n])
            inside = set(own)
            beside = tuple(w for w in featurizer.beside(images, own) if w not in inside)
            part = images.part([*own, *beside])
            tasks.append(Task(f"{stem}-{number:03d}", own, beside, part, featurizer, run, out, mended))
    return tasks


def _stems(plates: Sequence[str]) -> list[str]:
    """Names of files for plates: what no file system or reader minds, and each its own."""
    plain = [re.sub(r"[^A-Za-z0-9.-]+", "_", plate).strip("._")[:80] or "plate" for plate in plates]
    seen = Counter(p.casefold() for p in plain)
    return [
        p if seen[p.casefold()] == 1 else f"{p}-{hashlib.sha256(plate.encode()).hexdigest()[:8]}"
        for p, plate in zip(plain, plates, strict=True)
    ]


def work(task: Task, step: Callable[[int], None] | None = None) -> Done:
    """Do a task, unless its part is there: what a worker does, wherever it is."""
    code = task.run["code"]
    held = read_part(task.out, task.name)
    if held is not None and held.key == _key(task) and (held.code == code or task.mended):
        return Done(held, "kept")
    found = task.featurizer.features(task.images, task.wells, step)
    check_rows(task.featurizer.name, task.wells, found)
    # Hashed after they were read: a set of images may have done so on the way.
    part = Written(task.name, _key(task), dict(code), task.wells, tuple(found.faults))
    synthetic = bool(task.run.get("made_up"))
    written = write_part(task.out, part, {MAIN: found.table, **found.more}, synthetic=synthetic)
    return Done(written, "new" if held is None else "changed")


def _key(task: Task) -> str:
    asked = {name: value for name, value in task.run.items() if name != "code"}
    images = [task.images.key(task.wells), task.images.key(task.beside) if task.beside else ""]
    told = json.dumps([asked, task.wells, task.beside, images], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def check_rows(name: str, wells: Sequence[str], found: Features) -> None:
    """Raise `DataError` unless a featurizer gave rows of the wells that it was asked for."""
    import pyarrow.types as t

    table = found.table
    rows = table.column("well_id").to_pylist() if "well_id" in table.column_names else []
    place_of = {well: i for i, well in enumerate(wells)}
    at = [place_of.get(well, -1) for well in rows]
    if "well_id" not in table.column_names or -1 in at or at != sorted(set(at)):
        raise DataError(
            f"{name} gave rows of {some(rows, 3)} for the wells {some(wells, 3)}; a row a well, in "
            "their order, was expected"
        )
    wrong = [f.name for f in table.schema if is_feature(f.name) and not t.is_floating(f.type)]
    if wrong:
        raise DataError(
            f"{name}: feature {some(wrong, 3)} is {table.schema.field(wrong[0]).type}; floating-point "
            "numbers were expected"
        )


def _work(
    tasks: Sequence[Task], workers: Workers, progress: Progress | None, n_wells: int
) -> dict[int, Done]:
    """Do all tasks; a part whose columns are not those of the others ends the work."""
    finished, first = 0, dict[str, Written]()

    def tell(more: int = 0) -> None:
        if progress is not None:
            progress("wells", min(finished + more, n_wells), n_wells)

    do: Callable[[Task], Done] = partial(work, step=tell) if isinstance(workers, Here) else work
    done: dict[int, Done] = {}
    for i, found in workers.run(do, tasks):
        part = found.part
        if not place(tasks[i].out, part.name).is_file():
            raise DataError(
                f"{place(tasks[i].out, part.name)}: a worker has written it, and it is not here; a folder "
                "that all workers and this machine share was expected"
            )
        for table, held in part.tables.items():
            if held.rows:
                other = first.setdefault(table, part)
                _same_columns(tasks[i].out, other, part, table)
                # Thousands of parts have thousands of columns: their names are kept once.
                part.tables[table] = replace(held, columns=other.tables[table].columns)
        done[i] = found
        finished += len(tasks[i].wells)
        tell()
    return done


def _same_columns(out: Path, first: Written, part: Written, table: str) -> None:
    """Raise `DataError` unless a part has the columns of the first one that came."""
    a, b = first.tables[table].columns, part.tables[table].columns
    if a == b:
        return
    there, here = dict(a), dict(b)
    absent = [c for c in there if c not in here]
    more = [c for c in here if c not in there]
    other = [c for c in there if c in here and there[c] != here[c]]
    told = [f"lacks {some(absent, 3)}"] if absent else []
    told += [f"has {some(more, 3)} besides"] if more else []
    told += [f"has {other[0]!r} as {here[other[0]]} in place of {there[other[0]]}"] if other else []
    raise DataError(
        f"{place(out, part.name, table)} {' and '.join(told) or 'has its columns in another order'}: "
        f"{_width(b):,} features where {place(out, first.name, table)} has {_width(a):,}; the same of every "
        "well were expected. Remove the part that is wrong, and go on with --resume"
    )


def _width(columns: Sequence[tuple[str, str]]) -> int:
    return sum(is_feature(name) for name, _ in columns)


def _finish(
    images: ImageSet,
    run: RunDocument,
    out: Path,
    tasks: Sequence[Task],
    done: Mapping[int, Done],
    workers: Workers,
    again: bool,
) -> Report:
    """Leave out what has no value anywhere, and write down what was done."""
    parts = [done[i].part for i in range(len(tasks))]
    faults = _faults(images, parts)
    write_faults(out, faults)
    columns, dropped = _columns(parts)
    if MAIN not in columns:
        raise DataError(
            f"no well of {len(images.wells):,} gave any features; {out / FAULTS} says what was wrong with "
            f"{len({f.well for f in faults}):,} of them"
        )
    sweep(out)  # a worker that was ended leaves what it was writing
    gone = remove_strangers(out, {part.name for part in parts})
    jobs = [
        (place(out, part.name, table), columns[table])
        for part in parts
        for table in sorted(part.tables)
        if table in columns
    ]
    # Processes take seconds to start, and of few parts it is done by then.
    settled = dict((workers if len(jobs) > MANY else Here()).run(_settle, jobs))
    of_path = {path: settled[i] for i, (path, _) in enumerate(jobs)}
    without = _without(images, out, parts)
    kinds = Counter(kind_of(f) for f in faults)
    names = {table: [n for n, _ in columns[table]] for table in columns}
    document: FinishedDocument = {
        "kind": KIND,
        "version": 1,
        "finished": True,
        "run": run,
        "images": images.provenance,
        "parts": [_told(out, part, of_path) for part in parts],
        "wells": {"asked_for": len(images.wells), "without_features": list(without)},
        "features": {
            table or "wells": {"n": sum(map(is_feature, names[table])), "without_a_value": dropped[table]}
            for table in sorted(columns)
        },
        "faults": {"file": FAULTS, "sha256": sha256(out / FAULTS), "kinds": dict(sorted(kinds.items()))},
    }
    write_document(out, document)
    return Report(
        out=out,
        n_wells=len(images.wells),
        n_features=sum(map(is_feature, names[MAIN])),
        n_parts=len(parts),
        without=without,
        dropped={table: names for table, names in dropped.items() if names},
        kinds=dict(kinds.most_common()),
        n_faulty=len({f.well for f in faults}),
        notes=(*_about_resuming(done, again), *_about_strangers(gone)),
    )


def _settle(job: tuple[Path, tuple[tuple[str, str], ...]]) -> tuple[str, int]:
    return settle(*job)


def _columns(
    parts: Sequence[Written],
) -> tuple[dict[str, tuple[tuple[str, str], ...]], dict[str, list[str]]]:
    """Of each table the columns that stay, and those that have no value in any part."""
    first: dict[str, Held] = {}
    empty: dict[str, set[str]] = {}
    for part in parts:
        for table, held in part.tables.items():
            if held.rows:
                first.setdefault(table, held)
                empty[table] = empty.get(table, set(held.empty)) & set(held.empty)
    stay = {t: tuple(c for c in held.columns if c[0] not in empty[t]) for t, held in first.items()}
    dropped = {t: [n for n, _ in held.columns if n in empty[t]] for t, held in first.items()}
    return stay, dropped


def _faults(images: ImageSet, parts: Sequence[Written]) -> list[Fault]:
    """All faults, in the order of the wells; a well looked at beside others is told of once."""
    order = {well: i for i, well in enumerate(images.wells)}
    found = dict.fromkeys(fault for part in parts for fault in part.faults)
    return sorted(found, key=lambda f: order.get(f.well, len(order)))


def _without(images: ImageSet, out: Path, parts: Sequence[Written]) -> tuple[str, ...]:
    """Wells that have no row."""
    import pyarrow.parquet as pq

    found = []
    for part in parts:
        if part.tables[MAIN].rows < len(part.wells):
            held = pq.read_table(place(out, part.name), columns=["well_id"]).column("well_id").to_pylist()
            there = set(held)
            found += [well for well in part.wells if well not in there]
    return tuple(found)


def _told(out: Path, part: Written, of_path: Mapping[Path, tuple[str, int]]) -> PartDocument:
    """What the manifest says of a part."""

    def one(table: str) -> FileDocument:
        path = place(out, part.name, table)
        digest, size = of_path[path]
        rows = part.tables[table].rows
        return {"file": path.relative_to(out).as_posix(), "rows": rows, "bytes": size, "sha256": digest}

    more = {
        table: one(table)
        for table in sorted(part.tables)
        if table and place(out, part.name, table) in of_path
    }
    wells = one(MAIN)
    told: PartDocument = {
        "file": wells["file"],
        "rows": wells["rows"],
        "bytes": wells["bytes"],
        "sha256": wells["sha256"],
        "key": part.key,
        "wells": list(part.wells),
    }
    if part.code:
        told["code"] = part.code
    if more:
        told["more"] = more
    return told


def kind_of(fault: Fault) -> str:
    """What kind of fault it is, without what is said of the one image."""
    return fault.problem.partition(":")[0]


def _about_resuming(done: Mapping[int, Done], again: bool) -> list[str]:
    if not again:
        return []
    how = Counter(d.how for d in done.values())
    notes = [f"kept {how['kept']:,} of {len(done):,} parts, which were finished"]
    if how["changed"]:
        names = [d.part.name for d in done.values() if d.how == "changed"]
        notes.append(
            f"made {how['changed']:,} parts again, whose images or wells have changed since: {some(names, 3)}"
        )
    return notes


def _about_strangers(gone: Sequence[str]) -> list[str]:
    if not gone:
        return []
    return [f"removed {len(gone):,} parts of wells that are not asked for any more: {some(gone, 3)}"]
