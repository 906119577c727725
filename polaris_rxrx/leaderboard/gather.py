"""The submissions at hand: those that fit a task, scored, and those that do not, with the reason.

Conventions
    A submission is a folder with a `submission.toml`; its name here is the folder's, for that is unique. A
    plain predictions file is named by its stem, or by its path where that is taken; beside a card that names
    it, it is that card's submission.
    A folder that was found and does not fit is left out and told; one that was named is an error.
    `sent` is of these predictions on this task: "sent", "unknown" (nobody can tell), "not sent", or "others
    sent" (the folder's predictions have changed since); None for a plain file.
    Names and messages are text that can be written as UTF-8, whatever the file system holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path

from polaris_rxrx.errors import DataError, PolarisRxrxError
from polaris_rxrx.hub.card import CARD, SubmissionCard, read_card
from polaris_rxrx.predictions import read_predictions
from polaris_rxrx.scoring import Score, score
from polaris_rxrx.submission.receipt import hash_values, read_receipts
from polaris_rxrx.task import Task

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Entry:
    """One submission. `card` is the name its card gives; `url` the result's page, once it was sent."""

    name: str
    file: str
    sha256: str | None
    card: str | None
    supervision: str | None
    sent: str | None
    url: str | None


@dataclass(frozen=True)
class UnfitEntry:
    """A submission that does not fit, and why."""

    name: str
    file: str
    reason: str


def find(root: Path) -> list[Path]:
    """The folders with a card, sorted by name.

    Raises:
        DataError: `root` is a file.
    """
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; a folder with a folder a submission was expected")
    return sorted(path.parent for path in root.glob(f"*/{CARD}"))


def gather(
    task: Task, folders: Sequence[Path] = (), given: Sequence[Path] = (), progress: Progress | None = None
) -> tuple[list[tuple[Entry, Score]], list[UnfitEntry], list[str]]:
    """Read and score submissions.

    Args:
        task: What they are for.
        folders: Submissions that were found (see `find`).
        given: Predictions files or submissions that were named.
        progress: Called with a word, how far, out of how many.

    Returns:
        Those that fit, those that do not, and notes.

    Raises:
        DataError: The task cannot be scored here, or one of `given` does not fit it.
    """
    if task.active is None:
        raise DataError(
            f"{task.name} is a competition: its labels stay on the Hub, so nothing can be scored here"
        )
    fits: list[tuple[Entry, Score]] = []
    left_out: list[UnfitEntry] = []
    notes: list[str] = []
    seen: set[Path] = set()
    taken: set[str] = set()
    of = len(folders) + len(given)
    for done, folder in enumerate(folders):
        _tell(progress, done, of)
        file = folder / CARD
        try:
            card = read_card(file)
            file = folder / card.predictions
            found = _submission(folder, card, task, notes)
        except (PolarisRxrxError, OSError) as error:
            left_out.append(UnfitEntry(_text(folder.name), _text(file), _text(error)))
            continue
        seen.add(file.resolve())
        fits.append(_named(*found, _text(folder), taken))
    for done, path in enumerate(given, len(folders)):
        _tell(progress, done, of)
        found_card = _card_of(path)
        file = path / found_card.predictions if found_card is not None and path.is_dir() else path
        if file.resolve() in seen:  # named twice, or one of the folders
            continue
        seen.add(file.resolve())
        if found_card is not None:
            found = _submission(file.parent, found_card, task, notes)
        else:
            scored = score(task, read_predictions(file, task))
            found = Entry(_stem(file), _text(file), scored.predictions.sha256, None, None, None, None), scored
        fits.append(_named(*found, _text(path), taken))
    _tell(progress, of, of)
    return fits, left_out, notes


def _submission(folder: Path, card: SubmissionCard, task: Task, notes: list[str]) -> tuple[Entry, Score]:
    """A folder's predictions, scored, and whether they were sent."""
    file = folder / card.predictions
    scored = score(task, read_predictions(file, task))
    sent, url = "unknown", None
    try:
        sent, url = _sent(folder, scored, task)
    except DataError as error:
        notes.append(_text(error))
    name = _text(folder.absolute().name)
    return Entry(name, _text(file), scored.predictions.sha256, card.name, card.supervision, sent, url), scored


def _sent(folder: Path, scored: Score, task: Task) -> tuple[str, str | None]:
    """What the receipts say; the newest first."""
    own = hash_values(scored.predictions.values)
    receipts = [r for _, r in reversed(read_receipts(folder)) if r.task == task.name]
    same = [r for r in receipts if r.values_sha256 == own]
    for r in same:
        if r.state == "sent":
            return "sent", r.url
    if any(r.state in ("unknown", "pending") for r in same):
        return "unknown", None
    return ("others sent" if any(r.state == "sent" for r in receipts) else "not sent"), None


def _card_of(path: Path) -> SubmissionCard | None:
    """The card of a submission that was named, or of the one that a file is part of."""
    if path.is_dir():
        return read_card(path / CARD)
    beside = path.parent / CARD
    if not beside.is_file():
        return None
    try:
        card = read_card(beside)
    except DataError:  # then the file stands for itself
        return None
    return card if card.predictions == path.name else None


def _stem(path: Path) -> str:
    return _text(path.name.removesuffix(".gz").rpartition(".")[0] or path.name)


def _named(entry: Entry, scored: Score, path: str, taken: set[str]) -> tuple[Entry, Score]:
    """By a name that is not taken: its own, its path, or its path with a number."""
    candidates = chain((entry.name, path), (f"{path} ({i})" for i in count(2)))
    name = next(c for c in candidates if c not in taken)
    taken.add(name)
    return replace(entry, name=name), scored


def _text(value: object) -> str:
    """What can be written as UTF-8: a file's name may hold bytes that are not text."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def _tell(progress: Progress | None, done: int, of: int) -> None:
    if progress is not None:
        progress("scoring", done, of)
