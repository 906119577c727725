"""The folder that features are written into: parts, a manifest, faults.

Conventions
    A part is a parquet file of some wells of one plate, a row a well, and, of featurizers that give more
    tables (`objects`: a row a cell), a file of the same name in a folder of the table's name. Each is written
    beside its place and moved there when it is whole; the well's table comes last, so that where it stands
    its part is whole. What a part is of stands in its own schema, as JSON under `KEY`: `key`, a hash of the
    images and of all that was asked, `code`, hashes of a user's code, its wells and their faults, and of each
    table the number of rows and the columns that have no value in any of them, with their places.
    A column without a value in any part (`empty` in all) is left out of every part at the end.
    `manifest.json` (`polaris_rxrx.wells.parts`) is written when a run begins, unfinished, and when it ends.
    No file has a date, a path of this machine or the number of workers in it: the same run gives the same
    bytes, however often it was stopped.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, short, some
from polaris_rxrx.files import new_file, sha256, write_text
from polaris_rxrx.images.sites import Fault
from polaris_rxrx.wells.parts import (
    KIND,
    MANIFEST,
    BegunDocument,
    FinishedDocument,
    RunDocument,
    manifest_of,
)

KEY = b"polaris_rxrx_features"
SYNTHETIC = b"polaris_rxrx"  # in a schema: drawn, not measured (`wells.table`)
FAULTS = "faults.csv"
MAIN = ""  # the name of the table of wells among a part's tables
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


@dataclass(frozen=True)
class Held:
    """What a table of a part holds: columns with their types, those without a value, and how many rows."""

    columns: tuple[tuple[str, str], ...]
    empty: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class Written:
    """A part: its key, hashes of the user's code, its wells and their faults, its tables by name."""

    name: str
    key: str
    code: dict[str, str]
    wells: tuple[str, ...]
    faults: tuple[Fault, ...]
    tables: dict[str, Held] = field(default_factory=dict)


def place(out: Path, name: str, table: str = MAIN) -> Path:
    """Where a table of a part stands."""
    return (out / table if table else out) / f"{name}.parquet"


def write_part(out: Path, part: Written, tables: Mapping[str, Any], *, synthetic: bool = False) -> Written:
    """Write a part's tables, each whole or not at all; gives the part with what they hold.

    Of synthetic images they are marked, as all tables are that are drawn and not measured.

    Raises:
        DataError: It cannot be written, as on a full disk.
    """
    made = {name: _canonical(table) for name, table in tables.items()}
    held = {name: _held(table) for name, table in made.items()}
    part = Written(part.name, part.key, part.code, part.wells, part.faults, held)
    told = {**asdict(part), "tables": {name: _brief(h) for name, h in held.items()}}
    said = {KEY: json.dumps(told, ensure_ascii=False), **({SYNTHETIC: "synthetic"} if synthetic else {})}
    for name in sorted(made, reverse=True):  # that of wells, whose name is the least, comes last
        _write(place(out, part.name, name), made[name].replace_schema_metadata(said))
    return part


def read_part(out: Path, name: str) -> Written | None:
    """What stands in a folder of a part; None where it is absent or not whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        said = json.loads((pq.read_schema(place(out, name)).metadata or {})[KEY])
        schemas = {table: pq.read_schema(place(out, name, table)) for table in said["tables"]}
        if any(json.loads(s.metadata[KEY])["key"] != said["key"] for s in schemas.values()):
            return None
        tables = {table: _whole(schemas[table], brief) for table, brief in said["tables"].items()}
        found = Written(
            said["name"],
            said["key"],
            said["code"],
            tuple(said["wells"]),
            tuple(Fault(**f) for f in said["faults"]),
            tables,
        )
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        return None
    return found if found.name == name else None


def _brief(held: Held) -> dict[str, Any]:
    """What a part's schema does not say by itself, once empty columns are taken out."""
    empty = set(held.empty)
    places = [[i, name, kind] for i, (name, kind) in enumerate(held.columns) if name in empty]
    return {"rows": held.rows, "empty": places}


def _whole(schema: Any, brief: Mapping[str, Any]) -> Held:
    """What a table held before empty columns were taken out."""
    empty = {name: (i, kind) for i, name, kind in brief["empty"]}
    columns = [(f.name, str(f.type)) for f in schema if f.name not in empty]
    for name, (i, kind) in empty.items():  # in order of their places
        columns.insert(i, (name, kind))
    return Held(tuple(columns), tuple(empty), brief["rows"])


def settle(path: Path, columns: Sequence[tuple[str, str]]) -> tuple[str, int]:
    """Give a table of a part exactly these columns, and tell its hash and its size in bytes.

    A column that it lacks has no value in any row of it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if pq.read_schema(path).names != [name for name, _ in columns]:
        held = pq.read_table(path)
        at = {name: i for i, name in enumerate(held.column_names)}  # a table looks through all its names
        found = {}
        for name, kind in columns:
            of = pa.type_for_alias(kind)
            if name in at:
                found[name] = held.column(at[name])
            elif pa.types.is_floating(of):
                found[name] = pa.array(np.full(held.num_rows, np.nan), pa.float64()).cast(of)
            else:
                found[name] = pa.nulls(held.num_rows, of)
        _write(path, pa.table(found).replace_schema_metadata(held.schema.metadata))
    return sha256(path), path.stat().st_size


def _write(path: Path, table: Any) -> None:
    import pyarrow.parquet as pq

    with _told(path), new_file(path) as temporary:
        pq.write_table(table.combine_chunks(), temporary, compression="zstd", use_dictionary=False)


def _canonical(table: Any) -> Any:
    """The table with NaN for what floats have no value for, and without metadata of its own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_floating(column.type) and column.null_count:
            column = pc.fill_null(column, pa.scalar(float("nan"), column.type))
        columns[name] = column
    return pa.table(columns)


def is_feature(name: str) -> bool:
    return name != "well_id" and not name.startswith("Metadata_")


def _held(table: Any) -> Held:
    import pyarrow.types as t

    empty = []
    for f, column in zip(table.schema, table.columns, strict=True) if table.num_rows else ():
        if is_feature(f.name) and t.is_floating(f.type):
            values = column.to_numpy()
            if np.isnan(values).all():
                empty.append(f.name)
    return Held(tuple((f.name, str(f.type)) for f in table.schema), tuple(empty), table.num_rows)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the system says against writing, as an error of ours, with the way on."""
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL
        why = os.strerror(error.errno) if error.errno else str(error)
        raise DataError(
            f"{error.filename or path}: cannot be written ({why}); finished parts stay. "
            + ("Make room" if full else "Mend that")
            + ", and go on with --resume"
        ) from None


def write_document(out: Path, document: BegunDocument | FinishedDocument) -> None:
    """Write the manifest."""
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    with _told(out / MANIFEST):
        write_text(out / MANIFEST, text + "\n")


def write_faults(out: Path, faults: Sequence[Fault]) -> None:
    """Write all faults, a row each, in the order of the wells."""
    from polaris_rxrx.tables import to_csv

    names = {"well": "well_id", "site": "site", "channel": "channel", "file": "file", "problem": "problem"}
    with _told(out / FAULTS):
        write_text(out / FAULTS, to_csv({n: [getattr(f, a) for f in faults] for a, n in names.items()}))


def begin(out: Path, run: RunDocument, *, resume: bool, mended: bool) -> bool:
    """Make the folder, or see that it is one to go on with; whether it is.

    Args:
        out: The folder.
        run: Featurizer, parameters, versions, channels: of another run nothing is taken.
        resume: Whether to go on with what is there.
        mended: Whether parts that a user's code of before made are kept.

    Raises:
        UsageError: The folder holds other things, or features of another run, or is there and `resume` was
            not asked for.
        DataError: It cannot be written into.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; a folder was expected")
    there = [p.name for p in out.iterdir() if not _TEMPORARY.fullmatch(p.name)] if out.exists() else []
    manifest = manifest_of(out) if there else None
    if there and manifest is None:
        raise UsageError(
            f"{out} is not empty and holds no {MANIFEST} of features ({some(sorted(there), 3)} is there); "
            "choose another folder"
        )
    if manifest is not None:
        if not resume:
            raise UsageError(f"{out} holds features already; go on with --resume, or choose another folder")
        _same_run(out, manifest.get("run"), run, mended=mended)
        sweep(out)
    with _told(out):
        out.mkdir(parents=True, exist_ok=True)
    if manifest is None or manifest.get("finished") is not False or manifest.get("run") != run:
        write_document(out, {"kind": KIND, "version": 1, "finished": False, "run": run})
    return manifest is not None


def _same_run(out: Path, held: Any, run: Mapping[str, Any], *, mended: bool) -> None:
    there, here = _flat(held), _flat(run)
    names = [n for n in {**there, **here} if there.get(n) != here.get(n)]
    code = [n for n in names if n.startswith("code.")]
    if others := [n for n in names if n not in code]:
        n = others[0]
        more = f" ({len(others) - 1} more differ)" if len(others) > 1 else ""
        raise UsageError(
            f"{out} holds features of another run: {n} there {_shown(there, n)}, here {_shown(here, n)}"
            f"{more}; choose another folder"
        )
    if code and not mended:
        raise UsageError(
            f"{out}: {code[0].removeprefix('code.')} has changed since features were made there; --mended "
            "beside --resume keeps the finished parts all the same, else choose another folder"
        )


def _flat(value: Any, before: str = "") -> dict[str, Any]:
    """Nested documents as one: `protocol.batch_size` -> 16."""
    if not isinstance(value, Mapping):
        return {before: value}
    found: dict[str, Any] = {}
    for name, inner in value.items():
        found |= _flat(inner, f"{before}.{name}" if before else str(name))
    return found


def _shown(values: Mapping[str, Any], name: str) -> str:
    return short(values[name]) if name in values else "absent"


def sweep(out: Path) -> None:
    """Take away what a killed process left half-written."""
    for folder in (out, *(p for p in out.iterdir() if p.is_dir())):
        for path in folder.glob(".*.tmp"):
            if _TEMPORARY.fullmatch(path.name):
                path.unlink(missing_ok=True)


def remove_strangers(out: Path, names: set[str]) -> list[str]:
    """Take away parts of wells that are not asked for any more; gives their names.

    A file that is no part of ours stays.
    """
    gone = []
    for path in sorted(out.glob("*.parquet")):
        if path.stem not in names and (part := read_part(out, path.stem)) is not None:
            for table in sorted(part.tables):  # that of wells first: without it, nothing is a part
                place(out, path.stem, table).unlink(missing_ok=True)
            gone.append(path.stem)
    return gone
