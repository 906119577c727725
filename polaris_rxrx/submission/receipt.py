"""Receipts: what was sent, when, and how it ended; so that nothing is sent twice by accident.

Conventions
    One JSON file an attempt, `receipts/<UTC time>-<start of the predictions' SHA-256>.json` in the
    submission's folder. It is written as `pending`, and is on the disk, before the first byte is sent;
    afterwards it becomes

        sent      the Hub's answer proves it; `url` is the result's page
        refused   nothing can have been stored: the Hub said no, or was never reached
        unknown   something was sent, and no answer proves that it is stored, or that it is not

    and never changes again. A receipt still `pending` belongs to a process that died in between: as unknown.
    What is the same is told by `values_sha256`, the hash of the scores in official order, so a reordered or
    reformatted file is recognised. Names are compared by their slug, as the Hub does.
    A copy of each goes to the user's state folder (`polaris_rxrx.submission.index`), so that what was sent is
    known in every folder.
    Times are UTC, ISO 8601. No receipt holds a password, a token or the query of a URL.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal
from urllib.parse import urlsplit, urlunsplit

import numpy as np
from pydantic import AfterValidator, Field, ValidationError

from polaris_rxrx.errors import DataError, PolarisRxrxError, UsageError, without_secrets
from polaris_rxrx.files import write_text
from polaris_rxrx.hub.artifact import Kind
from polaris_rxrx.hub.card import slug
from polaris_rxrx.submission import index
from polaris_rxrx.submission.index import Say
from polaris_rxrx.types import Floats
from polaris_rxrx.validation import Strict, read_json, told

State = Literal["pending", "sent", "refused", "unknown"]

RECEIPTS = "receipts"
LOCK = ".submit.lock"
_MOST_TEXT = 2_000
_PAGES = {"v1": "benchmarks", "v2": "benchmarks", "competition": "competitions"}


def hash_values(values: Floats) -> str:
    """The SHA-256 of scores in official order: little-endian float64, -0.0 as 0.0 (they rank alike).

    The hash of 16 bytes; -0.0 is 0.0, for they rank alike:

    >>> hash_values(np.array([0.0, -0.0])) == hash_values(np.zeros(2))
    True
    """
    aligned = np.asarray(values, dtype="<f8") + 0.0
    return hashlib.sha256(aligned.tobytes()).hexdigest()


def _bare_url(value: str) -> str:
    """A URL's scheme, host and path; of what is no URL, the text: a receipt must be written in any case."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return without_secrets(value)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _utc(value: str) -> str:
    offset = datetime.datetime.fromisoformat(value).utcoffset()
    if offset != datetime.timedelta(0):
        raise ValueError("a time in UTC was expected")
    return value


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Url = Annotated[str, AfterValidator(_bare_url)]
Utc = Annotated[str, AfterValidator(_utc)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Receipt(Strict):
    """One attempt to submit.

    `scores` holds what we and the client computed, by metric ({"ours": {...}, "client": {...}}); a
    competition has none. `payload_sha256` is of the JSON that was sent. `warnings` is what the checks before
    it had to say of the predictions.
    """

    schema_version: Literal[1] = 1
    state: State = "pending"
    created: Utc
    updated: Utc
    name: str
    owner: str
    hub: Url
    kind: Kind
    task: str
    task_sha256: Sha256
    predictions_sha256: Sha256
    values_sha256: Sha256
    payload_sha256: Sha256
    scores: dict[str, dict[str, Number | None] | Number | None] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    url: Url | None = None
    message: Annotated[str, AfterValidator(without_secrets)] = ""
    forced: bool = False


def start(folder: Path, *, say: Say = index.tell, **fields: Any) -> tuple[Path, Receipt]:
    """Write the pending receipt of an attempt; it is on the disk when this returns.

    Args:
        folder: The submission's folder.
        say: Told if the user's index cannot be written.
        fields: Those of `Receipt`, without `state`, `created`, `updated` and `url`.

    Raises:
        UsageError: A field is missing or cannot be right.
    """
    if early := {"state", "created", "updated", "url", "schema_version"} & set(fields):
        raise UsageError(f"a new receipt is pending; {', '.join(sorted(early))} cannot be given")
    now = _now()
    try:
        receipt = Receipt(created=now, updated=now, **fields)
    except ValidationError as error:
        raise UsageError(f"not a receipt: {told(error)}") from None
    path = folder / RECEIPTS / f"{_for_name(now)}-{receipt.predictions_sha256[:8]}.json"
    if path.exists():  # a clock without microseconds
        path = path.with_stem(f"{path.stem}-{os.getpid()}")
    _write(path, receipt)
    _sync(folder)  # the entry of receipts/, which may be new
    index.keep(path, receipt.model_dump(mode="json"), say)
    return path, receipt


def finish(
    path: Path, state: State, *, url: str | None = None, message: str = "", say: Say = index.tell
) -> Receipt:
    """Settle a pending receipt; `say` is told if the user's index cannot be written.

    Raises:
        UsageError: `state` is no end, or the receipt is settled already.
        DataError: The file is gone or broken.
    """
    if state not in {"sent", "refused", "unknown"}:
        raise UsageError(f"a receipt ends as sent, refused or unknown, not as {state!r}")
    receipt = read_receipt(path)
    if receipt.state != "pending":
        raise UsageError(f"{path} is {receipt.state} already; only a pending receipt can become {state}")
    said = {"state": state, "url": url and _printable(url), "message": _printable(message)}
    done = Receipt.model_validate({**receipt.model_dump(), **said, "updated": _now()})
    _write(path, done)
    index.keep(path, done.model_dump(mode="json"), say, again=True)
    return done


def read_receipt(path: Path) -> Receipt:
    """Read one receipt.

    Raises:
        DataError: Not there, or not what `start` and `finish` write.
    """
    try:
        return read_json(Receipt, path)
    except ValueError as error:
        raise DataError(
            f"{path} is not a receipt ({told(error)}), so it cannot be told whether these predictions were "
            "sent. Look at your results on the Hub; then mend it, or move it out of receipts/"
        ) from None


def read_receipts(folder: Path) -> list[tuple[Path, Receipt]]:
    """A submission's receipts, the newest last.

    Raises:
        DataError: Naming a file that is broken.
    """
    found = [(path, read_receipt(path)) for path in sorted((folder / RECEIPTS).glob("*.json"))]
    return sorted(found, key=lambda item: (item[1].created, item[0].name))


def read_everywhere(folder: Path, values_sha256: str, say: Say) -> list[tuple[Path, Receipt]]:
    """A submission's receipts, and those of the same scores sent from other folders; the newest last.

    An attempt stands once: as its folder's receipt has it, else as its original has it, should the copy
    not have been settled, else as the copy.

    Raises:
        DataError: Naming a file of this folder that is broken; of the user's index that is only said.
    """
    found = read_receipts(folder)
    known = {_attempt(receipt) for _, receipt in found}
    for entry in index.find(values_sha256, say):
        try:
            receipt, path = Receipt.model_validate(entry.receipt), entry.path
        except ValidationError as error:
            say(index.damaged(entry.path, DataError(told(error))))
            continue
        with suppress(DataError, OSError):
            original = read_receipt(entry.original)
            if _attempt(original) == _attempt(receipt):
                receipt, path = original, entry.original
        if _attempt(receipt) not in known:
            known.add(_attempt(receipt))
            found.append((path, receipt))
    return sorted(found, key=lambda item: (item[1].created, item[0].name))


def _attempt(receipt: Receipt) -> tuple[str, ...]:
    """What tells one attempt from another."""
    of = receipt
    return (of.created, of.hub, of.task, of.name, of.owner, of.values_sha256, of.payload_sha256)


def blocking(
    receipts: Sequence[tuple[Path, Receipt]],
    *,
    values_sha256: str,
    task: str,
    name: str,
    hub: str | None = None,
) -> tuple[Path, Receipt] | None:
    """The newest receipt that forbids sending these predictions again without `--force`.

    It is of the same predictions on the same task (and Hub, if given), and either sent under the same name,
    or unknown or pending under whatever name, because nobody can tell; unless a later attempt of that name
    was sent, which settles what became of the name.
    """
    settled: set[str] = set()
    for path, receipt in reversed(receipts):
        if (receipt.values_sha256, receipt.task) != (values_sha256, task):
            continue
        if hub is not None and receipt.hub.rstrip("/") != _bare_url(hub).rstrip("/"):
            continue
        theirs = slug(receipt.name)
        if receipt.state == "sent" and theirs == slug(name):
            return path, receipt
        if receipt.state in {"unknown", "pending"} and theirs not in settled:
            return path, receipt
        if receipt.state == "sent":
            settled.add(theirs)
    return None


def explain(path: Path, receipt: Receipt) -> str:
    """What is known of an attempt, how to find out the rest, and what `--force` would do."""
    when = receipt.created[:19].replace("T", " ") + " UTC"
    what = f"{receipt.name!r} for {receipt.task}"
    results = f"{receipt.hub.rstrip('/')}/{_PAGES[receipt.kind]}/{receipt.task}"
    look = (
        f"To find out, open {results}, or your own results there, and look for {receipt.name!r} "
        f"by {receipt.owner}"
    )
    said = f" ({receipt.message.rstrip('.')})" if receipt.message else ""
    if receipt.state == "sent":
        lines = [
            f"These predictions were sent as {what} on {when}"
            + (f": {receipt.url}" if receipt.url else "; the Hub did not name the page of the result"),
            "Sending them again would store them twice. --force does it all the same",
        ]
    elif receipt.state == "refused":
        lines = [f"These predictions were not stored as {what} on {when}{said}", "They can be sent again"]
    else:
        how = (
            f"the attempt on {when} was cut off before it was known how it ended{said}"
            if receipt.state == "pending"
            else f"it was sent on {when}, and no answer proves what became of it{said}"
        )
        lines = [
            f"It is not known whether these predictions are stored as {what}, and they may be stored: {how}",
            look,
            "If it is there, nothing is left to do. If it is not, --force sends it; were it there, it would "
            "then be there twice",
        ]
    return ".\n".join([*lines, f"The receipt is {path}"])


class Held(PolarisRxrxError):
    """Another process has the lock."""


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep every other process from submitting this folder while the block runs.

    The operating system holds the lock, not the file: it ends with its process, however that ends, so the
    file a dead process left means nothing.

    Raises:
        PolarisRxrxError: Another process holds it; its number is named. Or the file system knows no locks.
        UsageError: There is no such folder, or nothing may be written there.
    """
    with _locked(folder / LOCK, f"{folder} is"):
        yield


@contextmanager
def lock_scores(values_sha256: str) -> Iterator[None]:
    """Keep this user's other processes from submitting these scores, from whatever folder.

    Where the lock cannot be made, neither can the copy of the receipt, and that is said: `index.keep`.

    Raises:
        PolarisRxrxError: Another process holds it.
    """
    with ExitStack() as stack:
        try:
            path = index.make() / f".{values_sha256[:16]}.lock"
            stack.enter_context(_locked(path, "these predictions are"))
        except Held:
            raise
        except (PolarisRxrxError, OSError):
            pass
        yield


@contextmanager
def _locked(path: Path, what: str) -> Iterator[None]:
    try:
        handle = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    except OSError as error:
        raise UsageError(f"{path}: the lock cannot be made ({error.strerror})") from None
    with handle:
        try:
            _take(handle)
        except BlockingIOError:
            raise Held(
                f"{what} being submitted by another process{_holder(handle)}; wait for it to end"
            ) from None
        except OSError as error:
            raise PolarisRxrxError(f"{path}: the file system cannot lock it ({error.strerror})") from None
        handle.truncate(0)
        handle.write(str(os.getpid()).encode())
        handle.flush()
        try:
            yield
        finally:
            # Emptied, not removed: one process could hold the removed file and another a new one.
            with suppress(OSError):
                handle.truncate(0)


def _holder(handle: BinaryIO) -> str:
    handle.seek(0)
    text = handle.read(20).decode("ascii", "replace")
    return f" (pid {text})" if text.isdigit() else ""


if sys.platform == "win32":
    import msvcrt

    def _take(handle: BinaryIO) -> None:
        handle.seek(1 << 20)  # a byte beyond the number, which others may then read
        try:
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(*error.args) from None
        finally:
            handle.seek(0)

else:
    import fcntl

    def _take(handle: BinaryIO) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")


def _printable(text: str) -> str:
    """Text from elsewhere, without what a terminal or a file could stumble over, and not without end."""
    text = text.encode("utf-8", "replace").decode()
    text = "".join(" " if unicodedata.category(c) == "Cc" else c for c in text)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."


def _for_name(now: str) -> str:
    return re.sub(r"[-:]", "", now.removesuffix("+00:00")) + "Z"


def _write(path: Path, receipt: Receipt) -> None:
    """Whole and on the disk, or not at all."""
    text = json.dumps(receipt.model_dump(), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, f"{text}\n", sync=True)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Put a folder's entries on the disk, where a folder can be opened for that."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
