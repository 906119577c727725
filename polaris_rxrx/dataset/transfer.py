"""One file over HTTP, so that it is there whole or not at all.

Conventions: bytes go to a hidden `.NAME.….part` beside the target, are checked, and only then take its place.
A part stays after an interruption and is continued by the next run. The content's hash is in the part's name,
so a part of other content is never continued; where no hash is known, the file starts afresh.

What a host did wrong is a `Trouble`, worded to follow the host's name. `with_retries` asks again after one
that may pass, and turns the last one into an `UpstreamError`. Messages name a host but never a whole address:
a redirected one carries a signature.
"""

from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import httpx

from polaris_rxrx import bounded, network
from polaris_rxrx.errors import DataError, UpstreamError
from polaris_rxrx.files import move, sha256

T = TypeVar("T")
Progress = Callable[[str, int, "int | None"], None]  # file, bytes so far, bytes in all

TIMEOUT = 30.0  # seconds without a byte
RETRIES = 3  # in a row without progress
PAUSE = 0.5  # seconds before the first retry; doubles
LONGEST_PAUSE = 30.0
AGAIN = "Run the same command again: it goes on from where it stopped."
NETWORK = f"Check the network (proxy, firewall). {AGAIN}"


@dataclass(frozen=True)
class Job:
    """A file to get: where from, where to, and how to know it for the right one.

    Attributes:
        name: Where it is put, relative to the data folder.
        git_sha1: What git calls the content (its blob id).
        columns: The header it must have if it is a CSV that no hash can vouch for.
        headers: Sent with the request to `url`; may hold a token.
        if_refused: What to do when access is refused.
    """

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None
    columns: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    if_refused: str = f"A proxy may be the one that refuses. {AGAIN}"

    @property
    def host(self) -> str:
        return host_of(self.url)

    @property
    def resumable(self) -> bool:
        return bool(self.sha256 or self.git_sha1)

    def part(self, folder: Path) -> Path:
        """Where the bytes are until all have come."""
        target = folder / self.name
        content = self.sha256 or self.git_sha1 or "unknown"
        return target.with_name(f".{target.name}.{content[:16]}.part")

    def so_far(self, folder: Path) -> int:
        """How many bytes have come."""
        part = self.part(folder)
        return part.stat().st_size if part.is_file() else 0


def host_of(url: str) -> str:
    """The host of an address, without the password that may stand before it."""
    return urlsplit(url).netloc.rpartition("@")[2]


def new_client() -> httpx.Client:
    return network.client(follow_redirects=True, timeout=TIMEOUT)


# --- the bytes ---------------------------------------------------------------------------------------------


def receive(job: Job, client: httpx.Client, folder: Path, progress: Progress) -> None:
    """Get a file into `folder`, going on from what an earlier run left of it."""
    target, part = folder / job.name, job.part(folder)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for old in target.parent.glob(f".{target.name}.*.part"):
            if old != part or not job.resumable:
                old.unlink()
    except OSError as error:
        raise DataError(f"{target.parent}: cannot be written to ({error.strerror})") from None
    if job.size is None or not part.is_file() or job.so_far(folder) < job.size:
        with_retries(
            lambda: _append(job, client, folder, progress), job.name, job.host, lambda: job.so_far(folder)
        )
    _verify(job, part)
    move(part, target)


def read(job: Job, client: httpx.Client, start: int = 0) -> bytes:
    """A small file, or the end of a large one from byte `start` on."""

    def attempt() -> bytes:
        with _answer(job, client, start, bounded.asking(bounded.DOCUMENT, bounded.SECONDS)) as response:
            if start and response.status_code != 206:
                raise Trouble("cannot send part of a file, so its width is unknown")
            return response.read()

    return with_retries(attempt, job.name, job.host)


def _append(job: Job, client: httpx.Client, folder: Path, progress: Progress) -> None:
    """Ask for the rest of a file and add it to what is there."""
    part, have = job.part(folder), job.so_far(folder) if job.resumable else 0
    # However large it is said to be; of one that nobody knows the size of, no more than of any object.
    most = bounded.OBJECT if job.size is None else job.size + bounded.MIB
    with _answer(job, client, have, bounded.asking(most)) as response:
        have = have if response.status_code == 206 else 0  # 200: the server sends the whole file
        progress(job.name, have, job.size)
        try:
            with part.open("ab" if have else "wb") as handle:
                for block in response.iter_bytes():
                    handle.write(block)
                    have += len(block)
                    progress(job.name, have, job.size)
        except OSError as error:  # the disk's; the network's are httpx's own
            raise DataError(
                f"{part}: cannot be written ({error.strerror}). Make room, or choose another folder with "
                f"--data. {AGAIN}"
            ) from None
    if job.size is not None and have < job.size:
        raise Trouble(f"sent {have:,} of {job.size:,} bytes", passing=True)


@contextmanager
def _answer(job: Job, client: httpx.Client, start: int, bounds: dict[str, Any]) -> Iterator[httpx.Response]:
    """A good answer to a request for a file from byte `start` on; anything else is raised."""
    headers = {"Accept-Encoding": "identity", **job.headers}  # a compressed answer cannot be continued
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with client.stream("GET", job.url, headers=headers, extensions=bounds) as response:
            status = response.status_code
            if status not in (200, 206):
                raise status_trouble(status, response.headers, job.if_refused)
            if status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise Trouble("sent another part of the file than was asked for")
            yield response
    except httpx.LocalProtocolError:  # its text quotes the header: that may be the token
        words = "was not asked: a header cannot be sent (is HF_TOKEN well-formed?)"
        raise Trouble(words, passing=True) from None
    except httpx.HTTPError as error:
        none = network.no_answer(error)
        if none.kind == "other":  # endless redirects, an undecodable body
            raise Trouble(f"gave an answer that makes no sense ({error})") from None
        passing = none.kind != "bounds"
        raise Trouble(f"did not send it: {none.happened}", passing=passing) from None


# --- whether it is the right content -----------------------------------------------------------------------


def content_problem(
    path: Path, sha256_: str | None = None, git_sha1_: str | None = None, columns: Sequence[str] = ()
) -> str | None:
    """What shows that a file does not hold what was published; None if nothing does."""
    if sha256_ is not None and (found := sha256(path)) != sha256_:
        return f"its SHA-256 is {found} where {sha256_} was expected"
    if git_sha1_ is not None:
        with path.open("rb") as handle:
            found = git_sha1(handle, path.stat().st_size)
        if found != git_sha1_:
            return f"its git hash is {found} where {git_sha1_} was expected"
    return _table_problem(path, columns) if columns else None


def git_sha1(handle: BinaryIO, size: int) -> str:
    """What git calls this content."""
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    while block := handle.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _table_problem(path: Path, columns: Sequence[str]) -> str | None:
    """What keeps a CSV from being the table with these columns, or None."""
    header = ",".join(columns)
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = csv.reader(handle, strict=True)
            first = next(rows, [])
            if first != list(columns):
                return f"line 1 is {','.join(first)[:80]!r} where {header!r} was expected"
            count = 0
            for count, row in enumerate(rows, 1):
                if len(row) != len(columns):
                    return f"row {count + 1} has {len(row)} fields where {len(columns)} were expected"
    except (UnicodeDecodeError, csv.Error) as error:
        return f"it is not CSV in UTF-8 ({error})"
    return None if count > 0 else "it holds no row below its header"


def _verify(job: Job, part: Path) -> None:
    """Check a complete part; one that fails is removed, since going on from it could never succeed."""
    size = part.stat().st_size
    if job.size is not None and size != job.size:
        problem: str | None = f"{size:,} bytes came where {job.size:,} were expected"
    else:
        problem = content_problem(part, job.sha256, job.git_sha1, job.columns)
    if problem is not None:
        part.unlink()
        raise UpstreamError(
            f"{job.name}: what {job.host} sent is not the published file: {problem}. It was removed; run "
            "the same command again, and if that ends the same, the server or something before it alters the "
            "file."
        )


# --- what can go wrong on the way --------------------------------------------------------------------------


class Trouble(Exception):
    """What a host did, to be told after its name, and what helps.

    Args:
        passing: It may not happen again.
        pause: Seconds after which the host says to ask again.
    """

    def __init__(
        self, happened: str, step: str = NETWORK, *, passing: bool = False, pause: float | None = None
    ) -> None:
        super().__init__(happened)
        self.step, self.passing, self.pause = step, passing, pause


def with_retries(attempt: Callable[[], T], name: str, host: str, reached: Callable[[], int] = lambda: 0) -> T:
    """`attempt()`, again after what may pass; only tries in a row that bring nothing count."""
    best, failures = reached(), 0
    while True:
        try:
            return attempt()
        except Trouble as trouble:
            if reached() > best:
                best, failures = reached(), 0
            if not trouble.passing or failures == RETRIES:
                raise UpstreamError(f"{name}: {host} {trouble}. {trouble.step}") from None
            time.sleep(PAUSE * 2**failures if trouble.pause is None else trouble.pause)
            failures += 1


def status_trouble(status: int, headers: Mapping[str, str], if_refused: str) -> Trouble:
    """What an answer with a status other than success means."""
    if status in (408, 429) or status >= 500:
        wait = network.retry_after(headers.get("Retry-After"), -1)
        pause = min(wait, LONGEST_PAUSE) if wait >= 0 else None
        return Trouble(f"is overloaded or out of order (HTTP {status})", passing=True, pause=pause)
    if status in (401, 403):
        return Trouble(f"refused access (HTTP {status})", if_refused)
    if status == 404:
        step = "Check HF_ENDPOINT and POLARIS_RXRX_GITHUB_RAW if you set them; else it has moved: report it."
        return Trouble("has no such file (HTTP 404)", step)
    return Trouble(f"answered HTTP {status}")
