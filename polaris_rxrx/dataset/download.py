"""Getting RxRx3-core's files and the benchmark's tables: what is absent, the licence, the plan, the lock.

Conventions: a file already there costs no download, but one that is there and not as it should be is an
error: it may be the user's own. The licence is accepted before the first byte of a file under it is asked
for. One run at a time works on a data folder. Where the files are is `sources`' business, the bytes are
`transfer`'s.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from polaris_rxrx.dataset.registry import (
    DEFAULT,
    HUGGING_FACE,
    KNOWN,
    LICENCE_COPY,
    LICENCE_FILE,
    Known,
    Record,
    Remote,
    expected_size,
    is_made_up,
    locate,
    present,
    size_problem,
)
from polaris_rxrx.dataset.screens import Screen, ScreenFile
from polaris_rxrx.dataset.sources import PAGE, HuggingFace, Origin, github_source, mirrored
from polaris_rxrx.dataset.transfer import Job, Progress, content_problem, new_client, receive
from polaris_rxrx.errors import DataError, MissingError, PolarisRxrxError, UpstreamError, UsageError, some
from polaris_rxrx.files import new_file, sha256

_LICENCE_PAGE = f"{PAGE}/blob/main/{LICENCE_FILE}"


@dataclass(frozen=True)
class Licence:
    """A licence, RxRx3-core's unless another is named, as the repository holds it now."""

    page: str
    text: str
    of: str = "RxRx3-core"


Ask = Callable[[Licence], bool]
Say = Callable[[str], None]


def _silent(*_: object) -> None:
    return None


def fetch(
    whats: Sequence[str] = DEFAULT,
    data: Path = Path(),
    *,
    ask: Ask | None = None,
    force: bool = False,
    say: Say = _silent,
    progress: Progress = _silent,
) -> list[Path]:
    """Get what is not in `data` yet, and say where each thing is.

    Args:
        whats: Words of `registry.KNOWN`.
        ask: Shows RxRx3-core's licence and says whether it is accepted; None if nobody can be asked.
        force: Fetch again what is there. The old file stays until the new one is whole.
        say: Told what happens, a line at a time.
        progress: Told how far a file is.
    """
    wanted = [_known(what) for what in dict.fromkeys(whats)]
    if is_made_up(data):
        raise UsageError(f"{data} holds the synthetic data of a demo; the real data goes into another folder")
    with one_at_a_time(data, say), new_client() as client:
        hub = HuggingFace(client)
        absent = [(k, f) for k in wanted for f in _absent(k, data, force, hub, say)]
        if absent:
            gated = any(known.gated for known, _ in absent)
            if gated and ask is None and not Record.read(data).licence:  # known before going online
                raise _nobody_to_ask()
            sources = [
                hub.source(k, f, data) if f.on_hugging_face else github_source(k, f) for k, f in absent
            ]
            _say_plan(sources, data, say)
            check_room([(source.job, source.size) for source in sources], data)
            if gated:
                _accept_licence(hub, data, ask, say)
            for source in sources:
                receive(source.job, client, data, progress)
                size = _remember(source, data)
                say(f"{source.job.name}: fetched, {human(size)}")
        return [locate(known.what, data) for known in wanted]


def fetch_screen(
    screen: Screen,
    data: Path,
    *,
    force: bool = False,
    say: Say = _silent,
    progress: Progress = _silent,
) -> list[Path]:
    """Get a dataset card's tables that are not in `data` yet; their licence and sizes are said first.

    Args:
        screen: Any card but RxRx3-core's, whose licence has to be accepted: that one is `fetch`'s.
        force, say, progress: As of `fetch`.

    Raises:
        UsageError: `data` holds the synthetic data of a demo.
        DataError: A file that is there is not of the size that the card gives.
        MissingError: A file is had by hand alone, and is not there.
        UpstreamError: A host did not send a file, or another one.
    """
    if is_made_up(data):
        raise UsageError(f"{data} holds the synthetic data of a demo; the real data goes into another folder")
    say(f"{screen.title}: {screen.licence}")
    for file in screen.files:
        say(f"{file.name}: {told_size(file)}{'' if file.url else ', by hand'}")
    absent = [f for f in screen.files if force or not (data / f.name).is_file()]
    for file in screen.files:
        if file not in absent and (problem := size_problem(data / file.name, file.size)):
            raise DataError(f"{data / file.name}: {problem}; fetch it again with --force")
    with one_at_a_time(data, say), new_client() as client:
        for file in absent:
            if file.url is not None:
                receive(Job(file.name, mirrored(file.url), file.size, file.sha256), client, data, progress)
                say(f"{file.name}: fetched, {human((data / file.name).stat().st_size)}")
    if by_hand := [f.name for f in screen.files if not f.url and not (data / f.name).is_file()]:
        where = f" from {screen.page}" if screen.page else ""
        raise MissingError(f"{some(by_hand)}: to be had by hand{where}, and put into {data}")
    return [data / file.name for file in screen.files]


def told_size(file: ScreenFile) -> str:
    """How large a card's file is, for people."""
    if file.size is not None:
        return f"{file.size:,} bytes"
    return "size not known" if file.about is None else f"about {human(file.about)}"


def human(size: int) -> str:
    """A size as people say it, in powers of 1,000: `532 MB`."""
    number, units = float(size), ["bytes", "kB", "MB", "GB"]
    while number >= 999.5 and len(units) > 1:
        number, units = number / 1000, units[1:]
    digits = 1 if number < 9.95 and units[0] != "bytes" else 0
    return f"{number:.{digits}f} {units[0]}"


def _known(what: str) -> Known:
    if what not in KNOWN:
        raise UsageError(f"{what!r} is not something to fetch; known are {', '.join(KNOWN)}")
    return KNOWN[what]


@contextmanager
def one_at_a_time(data: Path, say: Say) -> Iterator[None]:
    """Two runs adding to one part would spoil it: the second waits, then finds the file there.

    The folder itself is locked, so nothing is left behind. Where folders cannot be locked (Windows, some
    network file systems) the hashes are the only guard.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{data}: the folder cannot be made ({error.strerror})") from None
    try:
        import fcntl

        handle = os.open(data, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another fetch into {data} is running; waiting for it to end.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass
        yield
    finally:
        os.close(handle)


# --- what is there already ---------------------------------------------------------------------------------


def _absent(known: Known, data: Path, force: bool, hub: HuggingFace, say: Say) -> list[Remote]:
    """The files to get."""
    if force:
        return list(known.files)
    here = present(known, data)
    for path, file in here.items():
        _check_present(path, file, data, hub, say)
    if len(here) >= len(known.files):
        names = data / known.folder if known.folder else ", ".join(str(path) for path in here)
        say(f"{known.what}: already there ({names})")
    return [file for file in known.files if file not in here.values()]


def _check_present(path: Path, file: Remote, data: Path, hub: HuggingFace, say: Say) -> None:
    name, record = path.relative_to(data).as_posix(), Record.read(data)
    problem = size_problem(path, expected_size(name, file, record))
    if problem is None:  # files with a known hash or header are small: this is quick
        problem = content_problem(path, file.sha256, columns=file.columns)
    if problem is None and file.on_hugging_face and name not in record.files:
        # Put there by hand, it may be half a file, so its size is compared once more, if that is possible.
        try:
            problem = size_problem(path, hub.sizes.get(name))
        except UpstreamError as error:
            say(f"{path}: its size could not be checked ({error})")
    if problem is not None:
        raise DataError(
            f"{path} is not the published file: {problem}. Move it away, or replace it with --force."
        )


# --- before a file is sent ---------------------------------------------------------------------------------


def _say_plan(sources: Sequence[Origin], data: Path, say: Say) -> None:
    listed = ", ".join(f"{source.job.name} ({human(source.size)})" for source in sources)
    say(f"To fetch into {data}: {listed}; {human(sum(source.size for source in sources))} in all.")


def check_room(jobs: Sequence[tuple[Job, int]], data: Path) -> None:
    """Raise `DataError` unless there is room for files of these sizes, or for what is left of them."""
    needed = sum(max(size - job.so_far(data), 0) for job, size in jobs)
    free = shutil.disk_usage(data).free
    if needed > free:
        raise DataError(
            f"{data}: {human(needed)} are needed and {human(free)} are free. Make room, or choose another "
            "folder with --data."
        )


def _accept_licence(hub: HuggingFace, data: Path, ask: Ask | None, say: Say) -> None:
    content = hub.read(LICENCE_FILE)
    digest, record = hashlib.sha256(content).hexdigest(), Record.read(data)
    if record.licence.get("sha256") == digest:
        return
    if ask is None:
        raise _nobody_to_ask(", which has changed since it was accepted")
    if not ask(Licence(_LICENCE_PAGE, content.decode("utf-8", errors="replace"))):
        raise PolarisRxrxError("The licence was not accepted; nothing was downloaded.")
    with new_file(data / LICENCE_COPY) as temporary:
        temporary.write_bytes(content)
    record.licence = {"date": _now(), "sha256": digest, "repository": HUGGING_FACE}
    record.write(data)
    say(f"Licence accepted; a copy is in {data / LICENCE_COPY}.")


def _nobody_to_ask(again: str = "") -> UsageError:
    return UsageError(
        f"RxRx3-core comes under Recursion's own licence (EULA){again}, and there is no terminal to ask on. "
        f"Read {_LICENCE_PAGE}; if you accept it, add --accept-licence."
    )


# --- after it has come -------------------------------------------------------------------------------------


def _remember(source: Origin, data: Path) -> int:
    """Write down what came; its size."""
    target = data / source.job.name
    size, record = target.stat().st_size, Record.read(data)
    record.files[source.job.name] = {
        "what": source.known.what,
        "size": size,
        "sha256": source.job.sha256 or sha256(target),
        "repository": source.file.repository,
        "revision": source.revision,
        "date": _now(),
    }
    record.write(data)
    return size


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
