"""Bundles out of archives that somebody else made.

Of an archive only plain files of its one folder are read, each once, up to `MOST_FILES` and `MOST_BYTES` in
all, into a temporary folder; anything else in it is an error, and nothing of it is used.
"""

from __future__ import annotations

import gzip
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from polaris_rxrx.errors import DataError
from polaris_rxrx.files import open_binary, plain_name
from polaris_rxrx.submission.bundle import BUNDLE, MOST_BYTES, MOST_FILES


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A bundle's folder, out of an archive if it is one."""
    if path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="polaris-rxrx-") as place, open_binary(path) as handle:
        target = Path(place) / BUNDLE
        target.mkdir()
        if path.stat().st_size > MOST_BYTES:  # a zip's own list of names, too, is read at once
            raise DataError(f"{path} is larger than the {MOST_BYTES >> 20} MiB a bundle may hold")
        start = handle.read(4)
        handle.seek(0)
        try:
            if start[:2] == b"\x1f\x8b":
                _unpack_tar(path, handle, target)
            elif start[:2] == b"PK":
                _unpack_zip(path, handle, target)
            else:
                raise DataError(f"{path} is no bundle: a folder, a .tar.gz or a .zip was expected")
        except (
            OSError,
            EOFError,
            ValueError,  # among them an encoding that is none
            RuntimeError,  # encrypted, or packed by a method that is not known here
            tarfile.TarError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise DataError(f"{path}: the archive cannot be read ({error})") from None
        yield target


class _Room:
    """Where the files of an archive may go: plain names in one folder, each once, up to a size."""

    def __init__(self, archive: Path, target: Path) -> None:
        self.archive, self.target = archive, target
        self.left, self.seen, self.top = MOST_BYTES, set[str](), ""

    def refuse(self, name: str, why: str) -> DataError:
        return DataError(f"{self.archive}: the entry {name!r} is {why}; nothing of the archive was used")

    def folder(self, name: str) -> None:
        """An entry that is a folder: nothing is made of it, but its name must be one a bundle has."""
        if len(self._parts(name.removesuffix("/"))) != 1:
            raise self.refuse(name, "a folder within the one folder a bundle is")

    def _parts(self, name: str) -> list[str]:
        parts = name.split("/")
        if "\\" in name or ":" in name or "\0" in name or "" in parts or {".", ".."} & set(parts):
            raise self.refuse(name, "not a plain path within the archive")
        return parts

    def place(self, name: str) -> Path:
        """Where an entry goes."""
        parts = self._parts(name)
        if len(parts) != 2 or parts[0] != (self.top or parts[0]):
            raise self.refuse(name, "not a file of the one folder a bundle is")
        self.top = parts[0]
        if not plain_name(parts[1]):
            raise self.refuse(name, "not a name that a file may have everywhere")
        if parts[1].casefold() in self.seen:
            raise self.refuse(name, "there twice")
        self.seen.add(parts[1].casefold())
        if len(self.seen) > MOST_FILES:
            raise self.refuse(name, f"one of more than {MOST_FILES}, too many for a bundle")
        return self.target / parts[1]

    def copy(self, name: str, source: Any) -> None:
        """What really comes out is counted; a header may say anything."""
        with self.place(name).open("xb") as out:
            while block := source.read(1 << 20):
                self.left -= len(block)
                if self.left < 0:
                    raise self.refuse(name, f"beyond the {MOST_BYTES >> 20} MiB a bundle may hold")
                out.write(block)


def _unpack_tar(path: Path, handle: BinaryIO, target: Path) -> None:
    room = _Room(path, target)
    with tempfile.TemporaryFile() as plain:
        # Unpacked first, up to the limit: the headers of a tar could be as large as its files.
        with gzip.GzipFile(fileobj=handle, mode="rb") as packed:
            size = 0
            while block := packed.read(1 << 20):
                size += len(block)
                if size > MOST_BYTES + (1 << 20):
                    raise DataError(f"{path} holds more than the {MOST_BYTES >> 20} MiB a bundle may hold")
                plain.write(block)
        plain.seek(0)
        with tarfile.open(fileobj=plain, mode="r:") as tar:
            for entry in tar:
                if entry.isdir():
                    room.folder(entry.name)
                    continue
                source = tar.extractfile(entry) if entry.isreg() else None
                if source is None:
                    raise room.refuse(entry.name, "a link or a device and not a file")
                with source:
                    room.copy(entry.name, source)


def _unpack_zip(path: Path, handle: BinaryIO, target: Path) -> None:
    room = _Room(path, target)
    with zipfile.ZipFile(handle) as packed:
        for entry in packed.infolist():
            if entry.is_dir():
                room.folder(entry.orig_filename)
                continue
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in {0, stat.S_IFREG}:
                raise room.refuse(entry.filename, "a link or a device and not a file")
            if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                # Others are unpacked without a bound on what comes out at once.
                raise room.refuse(entry.filename, "packed by another method than stored or deflated")
            # `filename` is cleaned by zipfile; what stands in the archive is judged.
            with packed.open(entry) as source:
                room.copy(entry.orig_filename, source)
