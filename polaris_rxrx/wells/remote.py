"""Parquet tables that are read where they are: at an https:// address, or in a bucket of S3.

Conventions
    A `RemotePath` is the place of a table as commands take it. It goes wherever a path goes, but no file
    system knows it; as text it is its address without user and query, which may hold a password or a
    signature.
    `https://` and `http://` name one file, `s3://BUCKET/KEY` a file or a prefix, below which every file
    is a part of the table but those whose names say they are hidden.
    Only parts of a file are asked for: its end, where parquet says what stands where, then what is read.
    What is there is known by its `Identity`: what its server calls this content, and how large it is, for
    nobody has all its bytes to hash. A path that was opened once has it, and a file whose identity is another
    when it is opened again has changed, which is an error.
    Over https proxies and certificates are those of `polaris_rxrx.network`. fsspec's own way, aiohttp, knows
    neither and is no dependency. S3 is pyarrow's, see `polaris_rxrx.dataset.profiles`: anonymous, unless the
    environment has `AWS_ACCESS_KEY_ID`; the region is that of `AWS_REGION` or `AWS_DEFAULT_REGION`, else the
    bucket's own.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from polaris_rxrx.errors import DataError, UpstreamError, UsageError, one_line

if TYPE_CHECKING:
    import httpx

if sys.platform == "win32":
    from pathlib import WindowsPath as _Path
else:
    from pathlib import PosixPath as _Path

_END = 1 << 16  # bytes of a file that are asked for first, as pyarrow does
_FOOTERS = 64  # what parquet files say stands where, kept in a process
_STEP = "Check the address, and the network (proxy, firewall)"


@dataclass(frozen=True)
class Identity:
    """What tells the content of a remote file from any other: ETag, or when it was written, and size."""

    size: int
    etag: str | None
    modified: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


class RemotePath(_Path):
    """The place of a remote table, and its identity once it was opened."""

    location: str
    identity: Identity | None

    def __new__(cls, location: str, identity: Identity | None = None) -> RemotePath:
        made = super().__new__(cls, location)
        made.location, made.identity = location, identity
        return made

    def __init__(self, location: str, identity: Identity | None = None) -> None:
        if sys.version_info >= (3, 12):
            super().__init__(location)

    def __str__(self) -> str:
        location = self.__dict__.get("location")
        if location is None:  # made of this one by pathlib, such as its parent
            return super().__str__()
        bare = re.sub(r"^(\w+://)[^/@]*@", r"\1", location)
        return bare if bare.startswith("s3://") else re.split(r"[?#]", bare)[0]

    @property
    def name(self) -> str:
        return PurePosixPath(str(self)).name

    def __reduce__(self) -> Any:
        return RemotePath, (self.location, self.identity)

    def __hash__(self) -> int:
        return hash(self.location)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self.location == other.location

    def absolute(self) -> RemotePath:
        return self

    def exists(self, **_: Any) -> bool:
        return False

    is_file = is_dir = exists

    @property
    def is_s3(self) -> bool:
        return self.location.startswith("s3://")

    @property
    def host(self) -> str:
        return urlsplit(self.location).netloc.rpartition("@")[2]


def remote(source: object) -> RemotePath | None:
    """The remote path that a text or a path is, None of any other.

    Raises:
        UsageError: It begins like one and is none.
    """
    if isinstance(source, RemotePath):
        return source
    if not isinstance(source, str) or not re.match(r"(https?|s3)://", source, re.I):
        return None
    scheme, _, rest = source.partition("://")
    if not rest.strip("/") or rest.startswith("/"):
        raise UsageError(f"{source}: an address was expected, as in https://HOST/FILE or s3://BUCKET/PREFIX")
    return RemotePath(f"{scheme.lower()}://{rest}")


def identity_of_many(paths: Sequence[RemotePath]) -> dict[str, Any]:
    """A file's identity; of many how many they are, their bytes, and the SHA-256 of the list of theirs."""
    found = [path.identity or opened(path)[1] for path in paths]
    if len(found) == 1:
        return found[0].to_dict()
    lines = [f"{i.etag or i.modified}  {i.size}  {p.location}\n" for i, p in zip(found, paths, strict=True)]
    listed = hashlib.sha256("".join(lines).encode()).hexdigest()
    return {"n_files": len(found), "size": sum(i.size for i in found), "list_sha256": listed}


def opened(path: RemotePath) -> tuple[Any, Identity]:
    """pyarrow's file of a remote path, open for reading anywhere in it, and its identity.

    Raises:
        DataError: It is not there, cannot be read in parts, or is another than it was.
        UpstreamError: It cannot be had.
    """
    import pyarrow as pa

    if path.is_s3:
        file, identity = _open_object(path)
    else:
        read = HttpFile(path)
        file, identity = pa.PythonFile(read, mode="r"), read.identity
    if path.identity not in (None, identity):
        raise DataError(f"{path} has changed since it was opened; run the same command again")
    return file, identity


def parquet_file(path: RemotePath) -> tuple[Any, RemotePath]:
    """pyarrow's `ParquetFile` of a remote path, and the path with the identity of what was opened.

    Neighboring columns are asked for together.

    Raises:
        DataError: As `opened`, or it is no parquet file.
        UpstreamError: It cannot be had.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file, identity = opened(path)
    held = _footers.get((path.location, identity))
    try:
        made = pq.ParquetFile(file, metadata=held, pre_buffer=True)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path}: not a whole parquet file, and of what is elsewhere nothing else is read "
            f"({str(error).splitlines()[0]})"
        ) from None
    if held is None:
        while len(_footers) >= _FOOTERS:
            _footers.pop(next(iter(_footers)), None)
        _footers[path.location, identity] = made.metadata
    return made, RemotePath(path.location, identity)


_footers: dict[tuple[str, Identity], Any] = {}


# ---- https


class HttpFile(io.RawIOBase):
    """A file at an address, read in parts; asked again after what may pass, from where it stopped."""

    def __init__(self, path: RemotePath) -> None:
        from polaris_rxrx.dataset.transfer import new_client

        super().__init__()
        self.path, self._at = path, 0
        self._client = new_client()
        self._end, self.identity = self._ask_end()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.identity.size}[whence]
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        last = self.identity.size if size < 0 else min(self._at + size, self.identity.size)
        first = self._at
        if last <= first:
            return b""
        held = self.identity.size - len(self._end)
        found = self._end[first - held : last - held] if first >= held else self._ask(first, last)
        self._at = last
        return found

    def close(self) -> None:
        if not self.closed and hasattr(self, "_client"):
            self._client.close()
        super().close()

    def _ask_end(self) -> tuple[bytes, Identity]:
        """The file's end, and what the server says of it."""
        from polaris_rxrx.dataset.transfer import Trouble, with_retries

        def attempt() -> tuple[bytes, Identity]:
            with self._answer(f"bytes=-{_END}", _END) as response:
                given = _content_range(response)
                if given is None:
                    raise Trouble("sent a part of the file without saying which", step=_STEP)
                first, last, size = given
                content = response.read()
                if last != size - 1 or len(content) != last + 1 - first:
                    raise Trouble(f"sent {len(content):,} bytes for {last + 1 - first:,}", passing=True)
                etag, modified = (response.headers.get(name) for name in ("ETag", "Last-Modified"))
                return content, Identity(size, etag, None if etag else modified)

        return with_retries(attempt, str(self.path), self.path.host)

    def _ask(self, first: int, last: int) -> bytes:
        """The bytes from `first` to before `last`."""
        from polaris_rxrx.dataset.transfer import Trouble, with_retries

        found = bytearray()

        def attempt() -> bytes:
            start = first + len(found)
            with self._answer(f"bytes={start}-{last - 1}", last - start) as response:
                given = _content_range(response)
                etag = response.headers.get("ETag")
                if given is None or given[2] != self.identity.size or etag != self.identity.etag:
                    raise DataError(f"{self.path} has changed while it was read; run the same command again")
                if given[0] != start:
                    raise Trouble("sent another part of the file than was asked for", step=_STEP)
                for block in response.iter_bytes():
                    found.extend(block)
            if len(found) != last - first:
                raise Trouble(f"sent {len(found):,} of {last - first:,} bytes", step=_STEP, passing=True)
            return bytes(found)

        return with_retries(attempt, str(self.path), self.path.host, lambda: len(found))

    @contextmanager
    def _answer(self, part: str, most: int) -> Iterator[httpx.Response]:
        """A good answer to a request for a part; anything else is raised."""
        import httpx

        from polaris_rxrx import bounded, network
        from polaris_rxrx.dataset.transfer import Trouble, status_trouble

        headers = {"Accept-Encoding": "identity", "Range": part}
        bounds = bounded.asking(most + bounded.MIB)
        try:
            with self._client.stream(
                "GET", self.path.location, headers=headers, extensions=bounds
            ) as response:
                if (status := response.status_code) in (404, 410):
                    raise DataError(f"{self.path}: no such file (HTTP {status} of {self.path.host})")
                if status == 200:
                    raise DataError(
                        f"{self.path}: {self.path.host} sends files only as a whole (it knows no range "
                        "requests), so a table cannot be read there; download it"
                    )
                if status == 416:
                    raise DataError(f"{self.path} is empty, or was cut (HTTP 416 of {self.path.host})")
                if status != 206:
                    raise status_trouble(status, response.headers, "It may need a signed address")
                yield response
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            none = network.no_answer(error)
            passing = none.kind not in ("bounds", "certificate", "request", "other")
            raise Trouble(f"did not send it: {none.happened}", step=_STEP, passing=passing) from None


def _content_range(response: httpx.Response) -> tuple[int, int, int] | None:
    """First byte, last byte and size of the file, as an answer says."""
    found = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", response.headers.get("Content-Range", ""))
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


# ---- S3


@lru_cache(maxsize=8)
def _system(bucket: str, pid: int) -> Any:
    """pyarrow's file system for a bucket, of this process."""
    from polaris_rxrx.dataset.profiles import bucket_system

    return bucket_system(bucket)


def _key(path: RemotePath) -> tuple[Any, str]:
    """A path's file system, and its place there."""
    place = path.location.removeprefix("s3://").rstrip("/")
    return _system(place.partition("/")[0], os.getpid()), place


def _open_object(path: RemotePath) -> tuple[Any, Identity]:
    system, place = _key(path)
    try:
        file = system.open_input_file(place)
        said = {name: value.decode("utf-8", "replace") for name, value in (file.metadata() or {}).items()}
        modified = None if "ETag" in said else said.get("Last-Modified")
        return file, Identity(file.size(), said.get("ETag"), modified)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file in the bucket") from None
    except OSError as error:
        raise UpstreamError(f"{path}: cannot be read ({one_line(error)}). {_STEP}") from None


def files_below(path: RemotePath) -> list[RemotePath] | None:
    """The files below a prefix, by their keys; None of a path that is one file.

    Raises:
        DataError: There is neither a file nor any below.
        UpstreamError: The bucket cannot be asked.
    """
    if not path.is_s3:
        return None
    from pyarrow import fs

    system, place = _key(path)
    try:
        if system.get_file_info(place).type == fs.FileType.File:
            return None
        found = system.get_file_info(fs.FileSelector(place, recursive=True, allow_not_found=True))
    except OSError as error:
        raise UpstreamError(f"{path}: cannot be read ({one_line(error)}). {_STEP}") from None
    files = sorted(info.path for info in found if info.type == fs.FileType.File)
    shown = [
        key
        for key in files
        if not any(part.startswith((".", "_")) for part in PurePosixPath(key).relative_to(place).parts)
    ]
    if not shown:
        raise DataError(f"{path}: the bucket has no such file, and none below it")
    return [RemotePath(f"s3://{key}") for key in shown]
