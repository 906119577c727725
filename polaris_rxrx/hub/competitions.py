"""Polaris competitions: from the Hub or a saved JSON to a Task without labels, and to a saved artifact.

Conventions: a competition is an archive (V2) with a list of rows (V1) for a split, in one document. The
labels of its test pairs stay on the Hub; should the archive hold some, they are neither read nor kept. The
official order is that of the split's list. A saved one is competition.json and data.zarr; as with benchmarks,
what lies beside the JSON goes first. Its times are those it had when it was read; all are UTC.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.files import write_text
from polaris_rxrx.hub import files, upstream
from polaris_rxrx.hub.artifact import (
    ZARR,
    Artifact,
    Document,
    archive_reader,
    beside,
    over_archive,
    row_split,
    to_task,
)

COMPETITION = "competition.json"


@dataclass(frozen=True)
class Window:
    """When a competition takes predictions: from `opens`, until just before `closes`; both in UTC."""

    opens: datetime
    closes: datetime

    def __str__(self) -> str:
        return f"{_shown(self.opens)} to {_shown(self.closes)} UTC"

    def closed(self, now: datetime) -> str | None:
        """Why nothing can be sent at `now`; None while it is open."""
        if now < self.opens:
            return f"opens on {_shown(self.opens)} UTC, and it is {_shown(now)} UTC now"
        if now >= self.closes:
            return f"closed on {_shown(self.closes)} UTC, and it is {_shown(now)} UTC now"
        return None


def window(specification: Any) -> Window:
    """A competition's opening and closing times; those without a time zone are in UTC."""
    opens, closes = (
        time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time.astimezone(timezone.utc)
        for time in (specification.start_time, specification.end_time)
    )
    return Window(opens, closes)


def _shown(time: datetime) -> str:
    return time.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def from_hub(hub: files.PublicHub, reference: str) -> Artifact | None:
    """A competition of the Hub, None if it has none of this id."""
    data = hub.json(f"/v1/competition/{reference}", f"the competition {reference}")
    if data is None:
        return None
    said = Document(data, f"{reference} on {hub.host}")
    where = f"the archive of {said.where}"
    return _open(said, archive_reader(hub, said, where), where, "hub")


def from_file(path: Path, said: Document) -> Artifact:
    root = beside(path, said.need("zarr_root_path", str))
    return _open(said, files.folder_reader(root), str(root), f"file {path.name}")


def save(specification: object, folder: Path, final: Path) -> Path:
    """Write a competition's files into `folder`, with the paths they have once it is moved to `final`."""
    with upstream.session():
        # [29] and it would be another's
        data = upstream.dump(specification, without={"zarr_manifest_md5sum"})
        data["zarr_root_path"] = str(final / ZARR)
    shutil.copytree(specification.zarr_root_path, folder / ZARR)  # type: ignore[attr-defined]
    write_text(folder / COMPETITION, json.dumps(data))
    return Path(COMPETITION)


def _open(said: Document, read: files.Read, where: str, source: str) -> Artifact:
    target, inputs = said.target(), said.inputs()
    columns = files.zarr_columns(read, inputs, target, where)
    rows = len(columns[inputs[0]])
    training, test = row_split(said, rows)
    labels = np.full(rows, np.nan)
    if training:
        known = files.zarr_columns(read, (*inputs[:1], target), target, where)[target]
        labels = upstream.to_labels(known, training, where)
        labels[np.setdiff1d(np.arange(rows), training)] = np.nan
    columns[target] = labels
    with upstream.session():
        from polaris.competition import CompetitionSpecification

        def make(root: str) -> Any:
            fields = upstream.dataset_fields(said.data, set(columns))
            return CompetitionSpecification(**fields, zarr_root_path=root)

        specification = over_archive(columns, said, make)
        task = to_task(specification, said, columns, training, test, source)
    return Artifact(task, specification)
