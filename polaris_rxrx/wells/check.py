"""What a dataset card makes of the files at hand, and what looks wrong with it.

Conventions: the tables of wells are read whole, of features one table as a sample. What looks wrong is a
sentence each, the gravest first; nothing is raised but for a card that is none. A control is a negative one.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import TypedDict

from polaris_rxrx.dataset.screens import Screen, screen_names
from polaris_rxrx.documents import Fields, fields_of
from polaris_rxrx.errors import MissingError, PolarisRxrxError, some
from polaris_rxrx.wells.containers import open_embeddings
from polaris_rxrx.wells.metadata import Metadata
from polaris_rxrx.wells.screen import ScreenWells, read_screen

MIN_CONTROLS = 2  # of a batch: with fewer no aligner fits


class SampleDocument(TypedDict):
    """A table of features that was looked at."""

    file: str
    rows: int
    rows_of_wells: int
    features: int


@dataclass(frozen=True)
class Understood:
    """What was understood of a screen. `could_read` is False where its wells cannot be used at all.

    `batches` and `perturbations` count; `controls_a_batch` is the least, the median and the most; `features`
    describes the sample. `problems` are sentences, `notes` what reading changed.
    """

    dataset: str
    could_read: bool
    wells: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    plates: int | None = None
    controls: dict[str, dict[str, int]] = field(default_factory=dict)
    controls_a_batch: tuple[float, float, float] | None = None
    perturbations: dict[str, int] = field(default_factory=dict)
    doses: tuple[float, ...] = ()
    blinded: int = 0
    features: SampleDocument | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> Fields[Understood]:
        """JSON's own types."""
        return fields_of(self)


def check_screen(
    screen: Screen, folder: Path, *, wells: Path | None = None, embeddings: Path | None = None
) -> Understood:
    """Read a screen's files and say what was understood.

    Args:
        screen: The card.
        folder: Where its files are.
        wells: The table with a row a well, if it is not the one in the folder.
        embeddings: A table of features; without one, the first of the card's profiles in the folder.
    """
    try:
        found = read_screen(screen, folder, wells=wells)
    except PolarisRxrxError as error:
        return Understood(screen.name, False, problems=(str(error),))
    meta = found.metadata
    per_batch = np.bincount(meta.experiment[meta.control], minlength=len(meta.experiments))
    features, wrong = _features(screen, found, folder, embeddings)
    p = meta.perturbations
    names = {t: {n for n, of in zip(p.name, p.type, strict=True) if of == t} for t in set(p.type)}
    doses = np.unique(p.concentration[~np.isnan(p.concentration)])
    return Understood(
        dataset=screen.name,
        could_read=True,
        wells=len(meta),
        left_out=found.left_out,
        batches=len(meta.experiments),
        plates=None if meta.plate is None else len(np.unique(np.c_[meta.experiment, meta.plate], axis=0)),
        controls=found.controls,
        controls_a_batch=(float(per_batch.min()), float(np.median(per_batch)), float(per_batch.max())),
        perturbations={t: sum(not n.endswith("_control") for n in of) for t, of in sorted(names.items())},
        doses=tuple(doses.tolist()),
        blinded=found.n_blinded,
        features=features,
        problems=(*_few_controls(meta, per_batch), *_never_seen(screen, found), *_left_out(found), *wrong),
        notes=meta.notes,
    )


def _few_controls(meta: Metadata, per_batch: Any) -> list[str]:
    few = [meta.experiments[i] for i in np.flatnonzero(per_batch < MIN_CONTROLS)]
    if not few:
        return []
    return [
        f"{len(few):,} of {len(per_batch):,} batches have fewer than {MIN_CONTROLS} negative controls: "
        f"{some(few)}; no aligner fits there"
    ]


def _never_seen(screen: Screen, found: ScreenWells) -> list[str]:
    """Names that the card gives and no well has."""
    said = [
        f"no well is the {kind} control {name!r} ({' or '.join(screen.controls.columns)})"
        for kind, counts in found.controls.items()
        for name, n in counts.items()
        if not n
    ]
    there = set(found.metadata.perturbations.type)
    said += [
        f"no well is of the side {side.type} ({side.column} is {' or '.join(side.cells)})"
        for side in screen.sides
        if side.type not in there
    ]
    if screen.blinded is not None and not found.n_blinded:
        said.append(f"no gene has a name like {screen.blinded}")
    return said


def _left_out(found: ScreenWells) -> list[str]:
    return [
        f"{n:,} wells are {reason}: is it the table that belongs to them?"
        for reason, n in found.left_out.items()
        if reason.startswith("not in ")
    ]


def _features(
    screen: Screen, found: ScreenWells, folder: Path, given: Path | None
) -> tuple[SampleDocument | None, list[str]]:
    """What a table of features holds, and what looks wrong with it; None without a table."""
    import pyarrow as pa
    import pyarrow.compute as pc

    path = given or _first_profile(screen, found, folder)
    if path is None:
        return None, []
    try:
        table = open_embeddings(path)
        of_wells = {"well_id", *found.metadata.columns}
        numbers = [n for n in table.names if table.kind(n) is None and n not in of_wells]
        if "well_id" not in table.names:
            return None, [f"{path}: no column says whose features these are; well_id was expected"]
        ids = table.read(["well_id"]).column(0).cast(pa.string())
    except PolarisRxrxError as error:
        return None, [str(error)]
    known = int(pc.sum(pc.is_in(ids, value_set=found.metadata.well_id)).as_py() or 0)
    wrong = []
    if not numbers:
        wrong.append(f"{path}: no column of numbers is a feature")
    if known * 2 < len(ids):
        example = repr(ids[0].as_py()) if len(ids) else "none"
        wrong.append(
            f"{path}: {len(ids) - known:,} of {len(ids):,} rows are of no well ({example} beside "
            f"{found.metadata.well_id[0].as_py()!r}); do ids mean the same?"
        )
    return {"file": str(path), "rows": len(ids), "rows_of_wells": known, "features": len(numbers)}, wrong


def profiles_there(screen: Screen, folder: Path) -> str | None:
    """The files of features that a card names and that are in the folder, as a glob; None if none is."""
    if screen.profiles is None:
        return None
    pattern = screen.profiles.pattern.format_map(dict.fromkeys(screen.profiles.fields, "*"))
    there = str(Path(glob.escape(str(folder)), pattern))
    return there if next(glob.iglob(there), None) is not None else None  # noqa: PTH207  # its folder is a path


def refuse_absent(screen: Screen, folder: Path) -> None:
    """Raise `MissingError`, with how it is had, unless a card's tables and features are in the folder."""
    absent = [name for name in screen.tables if not (folder / name).is_file()]
    features = [] if screen.profiles is None or profiles_there(screen, folder) else [screen.profiles.pattern]
    if not absent and not features:
        return
    urls = {file.name: file.url for file in screen.files}
    fetched = all(urls.get(name) for name in absent) and (
        not features or (screen.profiles is not None and screen.profiles.root is not None)
    )
    by_hand = f"; had by hand from {screen.page}" if screen.page and not fetched else ""
    command = ["fetch", "--dataset", screen.name, *(["--profiles"] if features else [])]
    raise MissingError(
        f"{screen.title} needs {', '.join([*absent, *features])} in {folder}{by_hand}",
        [*command, "--data", str(folder)] if fetched and screen.name in screen_names() else (),
    )


def _first_profile(screen: Screen, found: ScreenWells, folder: Path) -> Path | None:
    """The first of the card's files of features that is in the folder."""
    return next((folder / p for p in profile_paths(screen, found) if (folder / p).is_file()), None)


def profile_paths(screen: Screen, found: ScreenWells) -> list[str]:
    """The card's files of features for the wells that were read, each once, in the order of the wells."""
    if screen.profiles is None:
        return []
    fields = screen.profiles.fields
    rows = found.cells.select(fields).take(found.row).group_by(fields, use_threads=False).aggregate([])
    return [screen.profiles.pattern.format(**row) for row in rows.to_pylist() if all(row.values())]
