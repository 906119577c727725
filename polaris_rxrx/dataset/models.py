"""A model's repository on Hugging Face, fetched: its code, its configuration, its weights and its licence.

Conventions
    A model is pinned by a commit: 40 hexadecimal digits. A branch or a tag is looked up once and the commit
    said, for what it names may be another model tomorrow. Every commit has a folder of its own,
    `DATA/models/OWNER--NAME/COMMIT`, whose `fetched.json` says what came; a model that is there costs no
    request. Only what loading needs comes: `config.json`, `model.safetensors`, the Python files at the top
    and the licence. Nothing is run here.
    The licence is shown and accepted before any other file is asked for (`download`'s `Ask`); a repository
    without a file for it is named, and its page takes the place of the text.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from polaris_rxrx.dataset.download import Ask, Licence, Say, check_room, human, one_at_a_time
from polaris_rxrx.dataset.registry import Record
from polaris_rxrx.dataset.sources import HuggingFace
from polaris_rxrx.dataset.transfer import Progress, new_client, receive
from polaris_rxrx.errors import DataError, PolarisRxrxError, UpstreamError, UsageError, short
from polaris_rxrx.files import sha256

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
LICENCE = re.compile(r"licen[cs]e(\.(txt|md))?", re.IGNORECASE)
# Models whose commit is known to be what this package was built for.
PINNED = {"recursionpharma/OpenPhenom": "2f824758db2414defc093c531a1b904f89bbf155"}
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_AT_THE_TOP = re.compile(r"[\w.-]+", re.ASCII)
_REVISION = re.compile(r"[\w][\w./-]*", re.ASCII)


def _silent(*_: object) -> None:
    return None


@dataclass(frozen=True)
class FetchedModel:
    """A model's folder, and which commit of which repository it is."""

    folder: Path
    repository: str
    revision: str


def is_repository(model: str) -> bool:
    """Whether a word names a repository (`OWNER/NAME`) rather than a path."""
    return _REPOSITORY.fullmatch(model) is not None


def fetch_model(
    repository: str,
    revision: str | None,
    data: Path,
    *,
    ask: Ask | None = None,
    say: Say = _silent,
    progress: Progress = _silent,
) -> FetchedModel:
    """Get a model that is not in `data` yet.

    Args:
        repository: `OWNER/NAME`.
        revision: A commit; a branch or tag is looked up. None: the commit of `PINNED`.
        data: The data folder.
        ask: Shows the licence and says whether it is accepted; None if nobody can be asked.
        say: Told what happens, a line at a time.
        progress: Told how far a file is.

    Raises:
        UsageError: No such name can be; no revision is known; nobody can be asked for the licence.
        UpstreamError: Hugging Face did not send a file, or another one.
        DataError: A file that is there is not of the size that was fetched, or there is no room.
    """
    if not is_repository(repository):
        raise UsageError(f"{short(repository)} is no repository of Hugging Face: OWNER/NAME was expected")
    revision = _revision(repository, revision, say)
    below = data / "models" / repository.replace("/", "--")
    with new_client() as client:
        if not _COMMIT.fullmatch(revision):
            found = HuggingFace(client, repository, kind="models", revision=revision).revision
            if not _COMMIT.fullmatch(found):
                raise UpstreamError(
                    f"{repository}: {short(revision)} is {short(found)} there; a commit was expected"
                )
            say(f"{repository}: {revision} is {found} now; --revision {found} keeps to it")
            revision = found
        folder = below / revision
        with one_at_a_time(folder, say):
            if _is_here(folder):
                say(f"{repository}: already there ({folder})")
                return FetchedModel(folder, repository, revision)
            hub = HuggingFace(client, repository, kind="models", revision=revision)
            _receive(hub, folder, ask, say, progress)
    return FetchedModel(folder, repository, revision)


def _revision(repository: str, revision: str | None, say: Say) -> str:
    if revision is None:
        if repository not in PINNED:
            raise UsageError(
                f"{repository} without a --revision; the commit was expected, of 40 hexadecimal digits, as "
                "the repository's list of commits has it: what is there now may be another model tomorrow"
            )
        say(f"{repository}: revision {PINNED[repository]}, which this package was built for")
        return PINNED[repository]
    if not _REVISION.fullmatch(revision):
        raise UsageError(f"--revision {short(revision)}: a commit of 40 hexadecimal digits was expected")
    return revision.lower() if _COMMIT.fullmatch(revision.lower()) else revision


def _is_here(folder: Path) -> bool:
    """Whether a model has been fetched whole.

    Raises:
        DataError: It has, and a file of it has gone or changed its size since.
    """
    files = Record.read(folder).files
    for name, entry in files.items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None  # an __init__.py may well be empty
        if size != entry["size"]:
            found = "it is gone" if size is None else f"{size:,} bytes where {entry['size']:,} came"
            raise DataError(
                f"{path} is not the file that was fetched: {found}. Remove the folder {folder}; the model is "
                "fetched again."
            )
    return bool(files)


def _receive(hub: HuggingFace, folder: Path, ask: Ask | None, say: Say, progress: Progress) -> None:
    """Fetch all that loading needs; the record is written last, when all is there."""
    there = [name for name in hub.sizes if _AT_THE_TOP.fullmatch(name)]
    licences = [name for name in there if LICENCE.fullmatch(name)]
    wanted = [name for name in sorted(there) if name.endswith(".py")] + [CONFIG, WEIGHTS]
    jobs = [hub.job(name) for name in (*licences, *wanted)]  # says which of them the repository lacks
    sized = [(job, job.size or 0) for job in jobs]
    listed = f"{len(jobs)} files, {human(sum(size for _, size in sized))}"
    say(f"To fetch into {folder}: {hub.repository} at {hub.revision}, {listed}.")
    check_room(sized, folder)
    accepted = _accept(hub, licences, ask)
    record = Record()
    for job in jobs:
        receive(job, client=hub.client, folder=folder, progress=progress)
        path = folder / job.name
        record.files[job.name] = {
            "what": "model",
            "size": path.stat().st_size,
            "sha256": job.sha256 or sha256(path),
            "repository": hub.repository,
            "revision": hub.revision,
            "date": _now(),
        }
    record.licence = {"date": _now(), "sha256": accepted, "repository": hub.repository}
    record.write(folder)
    say(f"{hub.repository}: fetched, {listed}")


def _accept(hub: HuggingFace, licences: list[str], ask: Ask | None) -> str:
    """The hash of the licence that was accepted."""
    page = f"{hub.page}/blob/{hub.revision}/{licences[0]}" if licences else hub.page
    if ask is None:
        raise UsageError(
            f"{hub.repository} comes under a licence of its own, and there is no terminal to ask on. Read "
            f"{page}; if you accept it, add --accept-licence."
        )
    text = "\n".join(hub.read(name).decode("utf-8", errors="replace") for name in licences)
    told = text or f"{hub.repository} has no file with its licence; its page says which it is: {page}\n"
    if not ask(Licence(page, told, hub.repository)):
        raise PolarisRxrxError("The licence was not accepted; nothing was downloaded.")
    return hashlib.sha256(text.encode()).hexdigest()


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
