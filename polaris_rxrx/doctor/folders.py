"""The folders that commands use: where they are, what is in them and what is damaged, how much room is left.

Conventions
    Nothing is changed, and a file is read only as far as it takes to tell that it is whole: its size, the two
    ends of a parquet file and its footer, a table's first and last line. A hash that is known (upstream's, or
    that of the record of what was fetched) is compared where the file is small; `deep` does it of any size.
    A file may be anything: whatever the system says against reading one is told of that file.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from polaris_rxrx.dataset.registry import (
    DEFAULT,
    KNOWN,
    Known,
    Record,
    Remote,
    is_made_up,
    present,
    size_problem,
)
from polaris_rxrx.doctor.findings import Fault, File, Folder
from polaris_rxrx.errors import DataError, PolarisRxrxError, one_line
from polaris_rxrx.files import sha256

SMALL = 64_000_000  # bytes that are hashed without being asked to
MOST = 20_000  # files of a folder that are looked at
OLD = 3600.0  # seconds after which a temporary file is of no command that still runs
_LAST = 1 << 20  # bytes of a table's end in which its last line is looked for
_PARQUET = b"PAR1"


# ---- any folder


def _folder(what: str, path: Path, files: list[File] | None = None, **more: object) -> Folder:
    count = total = 0
    for size in islice(_sizes(path), MOST):
        count, total = count + 1, total + size
    return Folder(
        what,
        str(path),
        path.is_dir(),
        writable(path),
        count,
        total,
        _free(path),
        files or [],
        **more,  # type: ignore[arg-type]
    )


def _sizes(path: Path) -> Iterator[int]:
    for above, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                yield Path(above, name).lstat().st_size


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    path = path.absolute()
    return next((p for p in (path, *path.parents) if os.path.lexists(p)), path)


def writable(path: Path) -> bool:
    """Whether a file can be made in a folder, or the folder where it is not there; it is tried."""
    try:
        with tempfile.TemporaryFile(dir=_existing(path)):
            return True
    except OSError:
        return False


def _free(path: Path) -> int | None:
    try:
        return shutil.disk_usage(_existing(path)).free
    except OSError:
        return None


# ---- the data folder


def data(data: Path, *, deep: bool = False, arrow: bool = True) -> tuple[Folder, list[Fault]]:
    """The data folder, and what is wrong in it.

    Args:
        deep: Hash files of any size.
        arrow: pyarrow can be imported: it reads the footers of parquet files.
    """
    if os.path.lexists(data) and not data.is_dir():
        told = f"{data} is a file; a folder was expected"
        return _folder("data", data), [Fault("data", told, "move it away, or set POLARIS_RXRX_DATA", True)]
    if data.is_dir() and not os.access(data, os.R_OK | os.X_OK):
        told = f"{data} cannot be read"
        return _folder("data", data), [Fault("data", told, f"make it yours: {_own(data)}", True)]
    try:
        record, faults = Record.read(data), []
    except DataError as error:
        told, _, advice = str(error).partition("; ")
        record, faults = Record(), [Fault("data", told, advice, False)]
    files, missing, made_up = [], [], is_made_up(data)
    for known in KNOWN.values():
        try:
            here = present(known, data)
        except DataError:  # its record, which was told above
            continue
        for path, remote in here.items():
            files.append(_known_file(path, remote, data, record, deep, arrow, made_up))
        files += [
            File(path.relative_to(data).as_posix(), None, "it is no file; one was expected")
            for path in _in_the_way(known, data)
        ]
        if known.what in DEFAULT and len(here) < len(known.files):
            missing.append(known.what)
    seen = {file.name for file in files}
    files += [file for file in _others(data, arrow) if file.name not in seen]
    note = "synthetic data of a demo" if made_up else None
    folder = _folder("data", data, files, missing=missing, note=note)
    return folder, [*faults, *_about_files(data, files), *_about_room(folder)]


def _known_file(
    path: Path, remote: Remote, data: Path, record: Record, deep: bool, arrow: bool, made_up: bool
) -> File:
    name = path.relative_to(data).as_posix()
    entry = {} if made_up else record.files.get(name, {})
    expected = None if made_up else remote.size if remote.size is not None else entry.get("size")
    known = None if made_up else remote.sha256 or entry.get("sha256")
    size = _size(path)
    hashed = bool(known) and size is not None and (deep or size <= SMALL)

    problem = (
        _told(size_problem, path, expected)
        or _told(_broken, path, arrow)
        or (_told(_other_bytes, path, known) if hashed else None)
    )
    return File(name, size, problem, hashed if known else None)


def _other_bytes(path: Path, known: str) -> str | None:
    found = sha256(path)
    return None if found == known else f"its SHA-256 is {found} where {known} was expected"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _told(check: Callable[..., str | None], *given: object) -> str | None:
    """What a check says; an error of it is a problem, too."""
    try:
        return check(*given)
    except OSError as error:
        return f"it cannot be read ({error.strerror or one_line(error)})"
    except PolarisRxrxError as error:
        return str(error)


def _in_the_way(known: Known, data: Path) -> list[Path]:
    """What stands where a file is to be, and is none: a folder, a link to nothing."""
    names = [data / file.name for file in known.files if file.name]
    return [path for path in names if os.path.lexists(path) and not path.is_file()]


def _others(data: Path, arrow: bool) -> Iterator[File]:
    """Downloads and temporary files that were left, and other tables that are damaged."""
    for above, folders, names in os.walk(data):
        folders.sort()
        for name in sorted(names)[:MOST]:
            path = Path(above, name)
            told = path.relative_to(data).as_posix()
            size = _size(path)
            if name.startswith(".") and name.endswith(".part"):
                yield File(told, size, "an unfinished download")
            elif name.startswith(".") and name.endswith(".tmp"):
                with suppress(OSError):
                    if time.time() - path.stat().st_mtime > OLD:
                        yield File(told, size, "left by a command that was stopped")
            elif name.endswith((".parquet", ".csv", ".csv.gz")):
                problem = None if stat.S_ISFIFO(_mode(path)) else _told(_broken, path, arrow)
                if problem is not None:
                    yield File(told, size, problem)


def _broken(path: Path, arrow: bool) -> str | None:
    """What shows that a file does not hold what its name says; None if nothing does."""
    if (problem := size_problem(path, None)) is not None:
        return problem
    if path.suffix == ".parquet":
        return _broken_parquet(path, arrow)
    if path.suffix == ".csv":
        return _broken_csv(path)
    with path.open("rb") as handle:  # it may be read at all
        handle.read(1)
    return None


def _broken_parquet(path: Path, arrow: bool) -> str | None:
    with path.open("rb") as handle:
        start = handle.read(len(_PARQUET))
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(size - 8, 0))
        end = handle.read()
    if start != _PARQUET:
        return "it is no parquet file"
    footer = int.from_bytes(end[:4], "little")
    if size < 12 or end[4:] != _PARQUET or footer > size - 12:
        return "it is cut short: a parquet file ends with its footer"
    if not arrow:
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as handle:
            pq.read_metadata(handle)
    except (pa.ArrowException, OSError) as error:
        return f"its footer cannot be read ({one_line(error)})"
    return None


def _broken_csv(path: Path) -> str | None:
    with path.open("rb") as handle:
        first = handle.readline(_LAST)
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(size - _LAST, len(first)))
        rest = handle.read()
    if b"\0" in first:
        return "it is no table of text"
    try:
        header = next(csv.reader([first.decode("utf-8-sig")]))
        lines = rest.decode("utf-8", "replace" if size > _LAST else "strict").splitlines()
    except (UnicodeDecodeError, csv.Error, StopIteration):
        return "it is not CSV in UTF-8"
    if not lines:
        return "it holds no row below its header"
    with suppress(csv.Error, StopIteration):
        n = len(next(csv.reader([lines[-1]])))
        if 0 < n < len(header) and '"' not in lines[-1]:
            return f"it is cut short: its last line has {n} fields where {len(header)} were expected"
    return None


def _about_files(data: Path, files: list[File]) -> Iterator[Fault]:
    for file in files:
        if file.problem is None:
            continue
        what = _what(file.name)
        if file.problem == "an unfinished download":
            advice, stops = "polaris-rxrx fetch goes on from there; or remove it", False
        elif file.problem.startswith("left by"):
            advice, stops = "remove it", False
        elif "Permission" in file.problem:
            advice, stops = f"make it yours: {_own(data / file.name)}", what is not None
        elif what is not None:
            advice, stops = f"fetch it again: polaris-rxrx fetch {what} --force", True
            if file.bytes is None:
                advice = f"move it away, then: polaris-rxrx fetch {what}"
        else:
            advice, stops = "get it again, or remove it", False
        yield Fault(f"data: {file.name}", file.problem, advice, stops)


def _what(name: str) -> str | None:
    """The word of `fetch` for a file."""
    from polaris_rxrx.dataset.registry import looks_like

    for known in KNOWN.values():
        if any(file.name == name for file in known.files) or (known.width and looks_like(known, name)):
            return known.what
    return None


def _own(path: Path) -> str:
    return f'icacls "{path}" /reset' if os.name == "nt" else f"chmod u+rwX {path}"


def _about_room(folder: Folder) -> Iterator[Fault]:
    if not folder.writable:
        told = f"{folder.path} cannot be written to" if folder.there else f"{folder.path} cannot be made"
        advice = "choose another folder: --data, or POLARIS_RXRX_DATA"
        yield Fault("data", told, advice, bool(folder.missing))
    needed = sum(f.size or f.about for what in folder.missing for f in KNOWN[what].files)
    if folder.free is not None and folder.free < needed:
        from polaris_rxrx import limits

        told = f"{limits.size_text(folder.free)} are free; what is not fetched yet takes "
        advice = "make room, or choose another folder: --data, or POLARIS_RXRX_DATA"
        yield Fault("disk", f"{told}{limits.size_text(needed)}", advice, False)


# ---- the others


def task(task: Path, *, readable: bool = True) -> tuple[Folder | None, list[Fault]]:
    """The prepared folder, if there is one; it is read where what reads it can be imported."""
    if not os.path.lexists(task):
        return None, []
    folder = _folder("task", task)
    if not readable:
        return folder, []
    from polaris_rxrx.task import load_task

    try:
        load_task(task)
    except PolarisRxrxError as error:
        return folder, [Fault("task", str(error), "prepare it again: polaris-rxrx prepare --force", True)]
    except OSError as error:
        told = f"{error.filename or task}: it cannot be read ({error.strerror})"
        return folder, [Fault("task", told, f"make it yours: {_own(task)}", True)]
    return folder, []


def state() -> tuple[Folder, list[Fault]]:
    """Where copies of receipts are kept."""
    from polaris_rxrx.submission.index import place

    path = place()
    damaged = [
        File(file.name, _size(file), problem)
        for file in sorted(path.glob("*.json"))[:MOST]
        if (problem := _told(_broken_receipt, file)) is not None
    ]
    faults = [Fault(f"receipts: {f.name}", f.problem or "", "move it away", False) for f in damaged]
    folder = _folder("receipts", path, damaged)
    if not folder.writable:
        told = f"{path} cannot be {'written to' if folder.there else 'made'}: what is sent is not remembered"
        advice = "set POLARIS_RXRX_STATE to a folder of yours"
        faults.append(Fault("receipts", told, advice, False))
    return folder, faults


def _broken_receipt(path: Path) -> str | None:
    try:
        held = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return "it is no copy of a receipt"
    return None if isinstance(held, dict) and "receipt" in held else "it is no copy of a receipt"


def temporary() -> tuple[Folder | None, list[Fault]]:
    """Where temporary files go, and arrays that memory has no room for."""
    try:
        path = Path(tempfile.gettempdir())
    except OSError:
        told = "there is no folder for temporary files that can be written to"
        return None, [Fault("temporary files", told, "set TMPDIR to a folder of yours with room", True)]
    return Folder("temporary files", str(path), True, writable(path), 0, 0, _free(path)), []
