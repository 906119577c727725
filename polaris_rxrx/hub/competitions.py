"""Polaris competitions: from the Hub or a saved JSON to a Task without labels, and to a saved artifact.

Conventions: a competition is an archive (V2) with a list of rows (V1) for a split, in one document. The
labels of its test pairs stay on the Hub; should the archive hold some, they are neither read nor kept. The
official order is that of the split's list. A saved one is competition.json and data.zarr; as with benchmarks,
what lies beside the JSON goes first. Its times are those it had when it was read; all are UTC.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from polaris_rxrx.errors import UsageError, short
from polaris_rxrx.files import write_text
from polaris_rxrx.hub import benchmarks, files, references, upstream
from polaris_rxrx.hub.benchmarks import ZARR, Artifact, _Said

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


def open_competition(reference: str) -> Artifact:
    """`benchmarks.open_competition`."""
    found_id = references.artifact_id(reference)
    if found_id is None:
        raise UsageError(f"{short(reference)} is no Hub id (owner/slug)")
    with upstream.session():
        settings, verify = upstream.hub_settings()
    with files.Hub(settings, verify) as hub:
        found = from_hub(hub, found_id)
        if found is None:
            raise benchmarks._absent(hub, "competition", found_id)
        return found


def from_hub(hub: files.Hub, reference: str) -> Artifact | None:
    """A competition of the Hub, None if it has none of this id."""
    data = hub.json(f"/v1/competition/{reference}", f"the competition {reference}")
    if data is None:
        return None
    said = _Said(data, f"{reference} on {hub.host}")
    root = str(said.need("root", str)).rstrip("/")
    where = f"the archive of {said.where}"
    return _open(said, lambda key: hub.get(f"{root}/{quote(key)}", where), where, "hub")


def from_file(path: Path, said: _Said) -> Artifact:
    root = benchmarks._beside(path, said.need("zarr_root_path", str))
    return _open(said, files.folder_reader(root), str(root), f"file {path.name}")


def save(specification: object, folder: Path, final: Path) -> Path:
    """Write a competition's files into `folder`, with the paths they have once it is moved to `final`."""
    with upstream.session():
        data = upstream.dump(
            specification, without={"zarr_manifest_md5sum"}
        )  # [29] and it would be another's
        data["zarr_root_path"] = str(final / ZARR)
    shutil.copytree(specification.zarr_root_path, folder / ZARR)  # type: ignore[attr-defined]
    write_text(folder / COMPETITION, json.dumps(data))
    return Path(COMPETITION)


def _open(said: _Said, read: files.Read, where: str, source: str) -> Artifact:
    target, inputs = said.target(), said.inputs()
    columns = files.zarr_columns(read, inputs, target, where)
    rows = len(columns[inputs[0]])
    training, test = benchmarks._v1_split(said, rows)
    labels = np.full(rows, np.nan)
    if training:
        known = files.zarr_columns(read, (*inputs[:1], target), target, where)[target]
        labels = upstream.to_labels(known, training, where)
        labels[np.setdiff1d(np.arange(rows), training)] = np.nan
    columns[target] = labels
    with upstream.session() as polaris:
        from polaris.competition import CompetitionSpecification

        root = Path(tempfile.mkdtemp(prefix="polaris_rxrx."))
        finalizer = None
        try:
            files.write_zarr(root / ZARR, columns)
            with benchmarks._accepted(said.where):
                fields = upstream.dataset_fields(said.data, set(columns))
                specification = CompetitionSpecification(**fields, zarr_root_path=str(root / ZARR))
            finalizer = weakref.finalize(specification, shutil.rmtree, root, ignore_errors=True)
        finally:
            if finalizer is None:
                shutil.rmtree(root, ignore_errors=True)
        task = benchmarks._to_task(
            specification,
            columns,
            inputs,
            target,
            training,
            test,
            source,
            polaris.__version__,
            labels=False,
        )
    return Artifact(task, specification)
