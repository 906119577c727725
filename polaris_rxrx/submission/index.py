"""What this user sent from any folder: copies of receipts in the user's state folder.

Conventions
    A receipt's own place is its submission's folder. A copy, with the path of the original, goes to
    `receipts/` in `$POLARIS_RXRX_STATE`, else in the user's state folder (on Linux under `$XDG_STATE_HOME`),
    so that a copied, moved or deleted folder does not make what was sent look new. One file an attempt, named
    by the hash of the scores, the receipt and its path: processes never write to one another's files, and
    each is written whole. Nothing is in it that is not in the receipt.
    It is a net below the folders: where it cannot be read or written a warning names the file, and nothing
    else stops.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polaris_rxrx import bounded
from polaris_rxrx.errors import PolarisRxrxError
from polaris_rxrx.files import write_text

Say = Callable[[str], None]

VERSION = 1
_MOST_BYTES = 1 << 20  # a copy has some kilobytes


@dataclass(frozen=True)
class Copy:
    """A copy in the index: where it lies, the path of the receipt it is of, and the receipt's fields."""

    path: Path
    original: Path
    receipt: dict[str, Any]


def place() -> Path:
    """The folder of the copies; it may not be there yet."""
    if given := os.environ.get("POLARIS_RXRX_STATE"):
        return Path(given) / "receipts"
    from platformdirs import user_state_path

    return user_state_path("polaris-rxrx", appauthor=False) / "receipts"


def make() -> Path:
    """The folder of the copies, made if need be, for this user alone; what goes wrong is an OSError."""
    folder = place()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def keep(original: Path, receipt: Mapping[str, Any], say: Say, *, again: bool = False) -> None:
    """Write or replace the copy of a receipt; say so if that cannot be done.

    With `again`, a copy that is not there could not be written before, which was said then.
    """
    original = original.absolute()
    mark = hashlib.sha256(os.fsencode(original)).hexdigest()[:8]
    path = place() / f"{_start(receipt['values_sha256'])}{original.stem}-{mark}.json"
    entry = {"schema_version": VERSION, "original": str(original), "receipt": dict(receipt)}
    try:
        make()
        # A path with bytes that are no UTF-8 is escaped.
        write_text(path, json.dumps(entry, indent=2, allow_nan=False) + "\n", sync=True)
    except (OSError, PolarisRxrxError) as error:
        if again and not path.exists():
            return
        reason = error.strerror if isinstance(error, OSError) else str(error)
        say(
            f"Warning: {path} could not be written ({reason}): sent from another folder, these predictions "
            "will not be recognized"
        )


def find(values_sha256: str, say: Say) -> list[Copy]:
    """The copies of receipts of these scores; one that cannot be read is said and left aside."""
    folder, start = place(), _start(values_sha256)
    try:
        names = sorted(p.name for p in folder.iterdir() if p.name.startswith(start) and p.suffix == ".json")
    except FileNotFoundError:
        return []
    except OSError as error:
        say(
            f"Warning: {folder} cannot be read ({error.strerror}), so it is not known what was sent from "
            "other folders"
        )
        return []
    found = []
    for name in names:
        try:
            found.append(_read(folder / name))
        except (OSError, ValueError, PolarisRxrxError) as error:
            say(damaged(folder / name, error))
    return found


def damaged(path: Path, error: BaseException) -> str:
    """What to say of a copy that tells nothing."""
    reason = " ".join(str(error).removeprefix(f"{path}: ").split())[:200] or type(error).__name__
    return (
        f"Warning: {path} is damaged ({reason}), so it is not known whether these predictions were sent from "
        "another folder; look at your results on the Hub, then remove the file"
    )


def _read(path: Path) -> Copy:
    data = bounded.json_loads(bounded.read_file(path, _MOST_BYTES).decode("utf-8"))
    if not isinstance(data, dict) or data.get("schema_version") != VERSION:
        raise ValueError("not written by this version of polaris-rxrx")
    if not (isinstance(data.get("original"), str) and isinstance(data.get("receipt"), dict)):
        raise ValueError("the path of a receipt and the receipt were expected")
    return Copy(path, Path(data["original"]), data["receipt"])


def _start(values_sha256: str) -> str:
    return f"{values_sha256[:16]}-"


def tell(text: str) -> None:
    """Where nobody said how to tell people."""
    print(text, file=sys.stderr)
