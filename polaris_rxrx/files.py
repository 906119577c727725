"""Writing so that a reader never sees half a file, and naming what was read.

Every file is written beside its place under a temporary name and moved there when it is whole, so an
interrupted command leaves the old file or none. Temporary names start with a dot and end in `.tmp`; no
message shows one: whatever the system says against writing is said of the file that was to be.

On Windows a name that is a device's, or that the system would read as another, is refused (`refuse_name`),
and a move waits a moment for who still has the file open (`move`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from polaris_rxrx.errors import DataError, UsageError, short

WINDOWS = os.name == "nt"
_DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{p}{n}" for p in ("com", "lpt") for n in "123456789"
}
_PATIENCE = 2.0  # seconds for a scanner, an indexer or a reader to close a file
_RESTED = 2_000_000_000  # nanoseconds, more than any file system's clock is coarse
_hashed: dict[tuple[int, ...], str] = {}


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error.

    A symbolic link stays, what it points to is replaced; a device or pipe (`/dev/null`) is refused.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; a file name was expected")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is a device or a pipe; the name of a regular file was expected")
    refuse_name(path)
    told, path = path, path.resolve()
    _make_parent(path)
    temporary = _beside(path)
    try:
        with _named(told, temporary):
            os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            move(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def new_folder(path: Path, *, replace: bool = False, marker: str) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its place when the block ends without an error.

    With `replace` a folder already there is moved aside first and removed last, so one of the two is whole
    at every moment; but only one that holds the file `marker`, so a slip never costs somebody else's folder.
    A symbolic link stays, what it points to is replaced.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file; a folder was expected")
    if path.is_dir() and any(path.iterdir()):
        if not (path / marker).is_file():
            raise UsageError(f"{path} is not empty and holds no {marker}; choose another folder")
        if not replace:
            raise UsageError(f"{path} is there already; choose another folder or replace it with --force")
    refuse_name(path)
    told, path = path, path.resolve()
    if Path.cwd().is_relative_to(path):  # moving it would leave the user's shell in a deleted folder
        raise UsageError(f"{path} is the working directory or holds it; choose a folder inside")
    _make_parent(path)
    temporary = _beside(path)
    old = temporary.with_suffix(".old.tmp")
    try:
        with _named(told, temporary):
            temporary.mkdir(mode=0o700)
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            if path.exists():
                _patiently(path.rename, old)
            _patiently(temporary.rename, path)
    finally:
        if old.exists() and not path.exists():  # stopped between the two
            old.rename(path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def refuse_name(path: Path) -> None:
    """On Windows, refuse a name that would be a device, a stream of another file, or another name.

    Raises:
        UsageError: It is such a name.
    """
    if WINDOWS and not plain_name(path.name):
        raise UsageError(
            f'{path}: Windows takes no such name of a file; one without <>:"|?* was expected, that does not '
            "end with a dot or a blank, and is not one of its devices' (con, nul, com1)"
        )


def plain_name(name: str) -> bool:
    """Whether a file may be called so everywhere, and is found again under that name.

    >>> plain_name("phenom-1.csv"), plain_name("nul.csv"), plain_name("a:b"), plain_name("a.")
    (True, False, False, False)
    """
    odd = any(letter in '<>:"|?*\\/' or letter < " " for letter in name)
    return not odd and name[-1:] not in (".", " ") and name.partition(".")[0].rstrip().lower() not in _DEVICES


def move(source: Path, target: Path) -> None:
    """Move a file to its place, over one that is there."""
    _patiently(source.replace, target)


def _patiently(change: Callable[[Path], object], target: Path) -> None:
    """Windows refuses while somebody has a file open, which a scanner may for a moment: it is tried again."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            change(target)
            return
        except PermissionError:
            if not WINDOWS or time.monotonic() > until:
                raise
            time.sleep(0.05)


def write_text(path: Path, text: str, *, sync: bool = False) -> None:
    """Write `text` as UTF-8, whole or not at all; with `sync` it is on the disk when this returns.

    Half characters, which stand for the bytes of a file name that are not UTF-8, are written as `\\udcff`.
    """
    with new_file(path) as temporary, temporary.open("wb") as handle:
        handle.write(text.encode("utf-8", "backslashreplace"))
        if sync:
            handle.flush()
            os.fsync(handle.fileno())


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex; one that was hashed and has rested since is not read again."""
    with open_binary(path) as handle:
        state = os.fstat(handle.fileno())
        key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        if (known := _hashed.get(key)) is not None:
            return known
        digest = hashlib.sha256()
        while block := handle.read(1 << 20):
            digest.update(block)
        # A file that is written to right now may change once more without its times saying so.
        if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) > _RESTED:
            _hashed[key] = digest.hexdigest()
    return digest.hexdigest()


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; what the system says against it becomes a `DataError`."""
    try:
        handle = path.open("rb")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; a file was expected") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # a zero byte, or half a character, in a name that a document gave
        raise DataError(f"{short(str(path))} is no name of a file ({error})") from None
    with handle:
        try:
            yield handle
        except OSError as error:
            if error.filename is not None or error.errno is None:
                raise
            raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


@contextmanager
def _named(told: Path, temporary: Path) -> Iterator[None]:
    """An `OSError` that names no file, or a temporary one, names the one that is being written."""
    try:
        yield
    except OSError as error:
        name = error.filename
        if isinstance(name, (str, bytes, os.PathLike)):
            found = Path(os.fsdecode(name))
            if not found.is_relative_to(temporary):
                raise
            inside = found.relative_to(temporary)
            if not inside.name.endswith(".tmp"):
                told = told / inside
        raise OSError(error.errno, error.strerror or _first_line(error), str(told)) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _beside(path: Path) -> Path:
    """A name of its own: known before anything is made, so that no interrupt comes in between."""
    return path.with_name(f".{path.name[:100]}.{os.urandom(4).hex()}.tmp")


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path.parent}: the folder cannot be made ({error.strerror})") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def default_data() -> Path:
    """Where RxRx3-core's files are by default: `$POLARIS_RXRX_DATA`, else this user's data folder."""
    if given := os.environ.get("POLARIS_RXRX_DATA"):
        return Path(given)
    from platformdirs import user_data_path

    return user_data_path("polaris-rxrx", appauthor=False)


def cards_folder(folder: str) -> Path:
    """Where the package's own cards of a kind are: in the wheel, or in the checkout it is run from."""
    package = Path(__file__).parent
    packaged = package / f"_{folder}"
    return packaged if packaged.is_dir() else package.parent / folder


def card_names(folder: str) -> list[str]:
    """The names of the package's own cards of a kind, sorted."""
    return sorted(path.stem for path in cards_folder(folder).glob("*.toml"))
