"""Which submission is meant: a folder with a card, or a predictions file and a card.

Conventions: a submission lives in `submissions/NAME/`; its receipts and bundle go there, also those of a
predictions file that lies elsewhere (NAME is then the card's).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.files import write_text
from polaris_rxrx.hub.card import CARD, SubmissionCard, read_card, template
from polaris_rxrx.submission import receipt as receipts
from polaris_rxrx.submission.bundle import BUNDLE

SUBMISSIONS = Path("submissions")


@dataclass(frozen=True)
class Place:
    """Where a submission's parts lie, and its card; `folder` takes its receipts and may not be there yet."""

    folder: Path
    card_file: Path
    card: SubmissionCard
    predictions: Path | None = None


def init(name: str) -> Path:
    """Write a card to fill in, `submissions/NAME/submission.toml`."""
    text = template(name)
    path = SUBMISSIONS / name / CARD
    if path.exists():
        raise UsageError(f"{path} is there already; edit it, or choose another name")
    write_text(path, text)
    return path


def locate(given: Path, card: Path | None) -> Place:
    """The submission that a path means: a folder with a card, or a predictions file and `card`.

    Raises:
        UsageError: What was given does not go together.
        DataError: There is no such file, or the card is not right.
    """
    if given.is_dir():
        if card is not None:
            raise UsageError(f"--card belongs to a predictions file; {given} is a folder and has its own")
        return Place(given, given / CARD, read_card(given / CARD))
    if not given.exists() and (not given.suffix or given.parent == SUBMISSIONS):
        raise DataError(
            f"{given}: there is no such file or folder; polaris-rxrx submit --init NAME makes a "
            "submission's folder"
        )
    if card is None:
        raise UsageError(
            f"{given} is a predictions file, so a card is needed: --card FILE, or put both into a folder "
            f"under {SUBMISSIONS}/ (polaris-rxrx submit --init NAME writes the card)"
        )
    read = read_card(card)
    folder = SUBMISSIONS / read.name
    for path in (given, card):
        if path.resolve().is_relative_to((folder / BUNDLE).resolve()):
            raise UsageError(
                f"{path} lies in {folder / BUNDLE}, which is written anew; give the file it was copied from"
            )
    return Place(folder, card, read, given)


def unsent() -> list[Path]:
    """The folders with a card and its predictions of which none was sent yet."""
    found = []
    for path in sorted(SUBMISSIONS.glob(f"*/{CARD}")):
        folder = path.parent
        try:
            there = (folder / read_card(path).predictions).is_file()
        except DataError:  # told once it is chosen
            there = (folder / "predictions.csv").is_file()
        if there and not any(r.state == "sent" for _, r in receipts.read_receipts(folder)):
            found.append(folder)
    return found


def the_one(choose: Callable[[list[Path]], Path] | None = None) -> Path:
    """The one submission that has not been sent; of several, the one that is chosen."""
    found = unsent()
    if not found:
        raise UsageError(
            f"nothing under {SUBMISSIONS}/ is waiting to be sent: no folder has a card, its predictions and "
            "no receipt of being sent. Name one, or begin with polaris-rxrx submit --init NAME"
        )
    if len(found) == 1:
        return found[0]
    if choose is None:
        raise UsageError(f"several submissions have not been sent; name one: {', '.join(map(str, found))}")
    return choose(found)
