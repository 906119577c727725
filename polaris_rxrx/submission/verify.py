"""Whether a bundle is whole, and its scores are those of its predictions.

Conventions
    The hashes say that a bundle is whole; the task, which whoever checks has prepared himself, says that the
    scores are true. Scores agree if they differ by at most 1e-12 (ours) or 1e-9 (the client's).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from typing_extensions import TypedDict

from polaris_rxrx import bounded
from polaris_rxrx.documents import Fields, fields_of
from polaris_rxrx.errors import DataError, PolarisRxrxError, shortened
from polaris_rxrx.files import sha256
from polaris_rxrx.hub.card import CARD, ENVIRONMENT, RECEIPT, REPORT, SUMS, TASK, plain_name, read_card, slug
from polaris_rxrx.predictions import Predictions, read_predictions
from polaris_rxrx.scoring import score
from polaris_rxrx.submission.bundle import Proof, check_files, read_bytes
from polaris_rxrx.submission.receipt import hash_values, read_receipt
from polaris_rxrx.submission.unpack import unpacked
from polaris_rxrx.task import MANIFEST, Manifest, Task
from polaris_rxrx.validation import read_json, told

TOLERANCE = 1e-12
CLIENT_TOLERANCE = 1e-9
# Words that a later version may put otherwise, and where the file lay: no part of what is compared.
_NOT_COMPARED = {
    *("predictions", "predictions_sha256", "matched_by", "columns_left_out", "notes", "schema_version")
}


class VerificationDocument(TypedDict):
    """What was looked at in a bundle, and how it held."""

    schema_version: Literal[1]
    bundle: str
    ok: bool
    rescored: bool
    """Whether the scores were computed again and compared."""
    competition: bool
    checks: list[Fields[Proof]]


@dataclass(frozen=True)
class Verification:
    """What `verify` found. `rescored`: the scores were computed again and compared."""

    bundle: str
    checks: tuple[Proof, ...]
    rescored: bool
    competition: bool

    @property
    def failed(self) -> tuple[Proof, ...]:
        return tuple(c for c in self.checks if c.ok is False)

    @property
    def ok(self) -> bool:
        return not self.failed

    def to_dict(self) -> VerificationDocument:
        return {
            "schema_version": 1,
            "bundle": self.bundle,
            "ok": self.ok,
            "rescored": self.rescored,
            "competition": self.competition,
            "checks": [fields_of(check) for check in self.checks],
        }


def verify(bundle: Path, task: Task | None) -> Verification:
    r"""Check a bundle, a folder or an archive: its files, what they say of one another, its scores.

    Args:
        bundle: The bundle.
        task: The task, prepared by whoever checks; None checks all that can be checked without.

    Raises:
        DataError: It is no bundle, or an archive that cannot be unpacked safely.

    >>> from polaris_rxrx.submission.bundle import write_bundle
    >>> task = pr.load_task("task")
    >>> report = pr.score(task, pr.read_predictions("openphenom.csv", task)).to_dict()
    >>> card, predictions = Path("submission.toml"), Path("openphenom.csv")
    >>> _ = card.write_text("name = 'mine'\nowner = 'example-lab'\nsupervision = 'zero-shot'\n", "utf-8")
    >>> given = {"predictions": predictions, "card": card, "report": report, "receipt": None}
    >>> bundle = write_bundle(Path("mine"), task_folder=Path("task"), **given)
    >>> found = verify(bundle, task)
    >>> found.ok, found.rescored
    (True, True)
    """
    with unpacked(bundle) as folder:
        if not (folder / SUMS).is_file():
            raise DataError(f"{bundle} is no bundle (it holds no {SUMS})")
        checks = check_files(folder)
        contents = _Contents(folder)
        checks += contents.checks
        predictions = None
        if task is None:
            checks.append(Proof("task", None, "not compared: no prepared task at hand"))
        else:
            checks.append(_check_task(folder / TASK, task))
            predictions, check = _aligned(contents, task)
            checks.append(check)
        checks += _check_receipt(contents, predictions)
        scores = _check_scores(contents, task, predictions)
    competition = contents.competition if task is None else task.active is None
    rescored = any(c.name == "scores" and c.ok is not None for c in scores)
    return Verification(str(bundle), (*checks, *scores), rescored, competition)


class _Contents:
    """A bundle's files, read as far as they can be; `checks` says of each whether it could."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checks: list[Proof] = []
        self.card = self._read(CARD, read_card)
        self.manifest = self._read(TASK, lambda p: read_json(Manifest, p))
        self.report: dict[str, Any] = self._read(REPORT, _read_json) or {}
        self.receipt = self._read(RECEIPT, read_receipt) if self._there(RECEIPT) else None
        self._read(ENVIRONMENT, _read_json)
        self.predictions = self._predictions()

    @property
    def competition(self) -> bool:
        return self.manifest is not None and self.manifest.artifact_type == "competition"

    def _there(self, name: str) -> bool:
        path = self.folder / name
        return path.is_file() and not path.is_symlink()

    def _read(self, name: str, read: Callable[[Path], Any]) -> Any:
        if not self._there(name):
            return None  # told by `check_files`
        try:
            found = read(self.folder / name)
        except (PolarisRxrxError, ValueError) as error:
            # In an archive the path is that of a temporary folder, which means nothing to anybody.
            text = told(error).replace(str(self.folder / name), name)
            self.checks.append(Proof(f"reads {name}", False, shortened(text)))
            return None
        self.checks.append(Proof(f"reads {name}", True))
        return found

    def _predictions(self) -> Path | None:
        """The file the report names, if it is there and is the one that was scored."""
        if not self.report:
            return None
        name = self.report.get("predictions")
        try:
            if not isinstance(name, str) or not self._there(plain_name(name)):
                raise ValueError("the name of a file of the bundle")
        except ValueError as error:
            self.checks.append(Proof("predictions", False, f"{REPORT} names {name!r}; expected {error}"))
            return None
        path = self.folder / name
        same = self.report.get("predictions_sha256") == sha256(path)
        detail = (
            name if same else f"{name} is not the file that was scored: its SHA-256 is not that in {REPORT}"
        )
        self.checks.append(Proof("predictions", same, detail))
        return path


def _read_json(path: Path) -> dict[str, Any]:
    data = bounded.json_loads(read_bytes(path).decode("utf-8"))
    if not isinstance(data, dict):
        raise ValueError(f"{path}: not a JSON object")
    return data


def _check_task(path: Path, task: Task) -> Proof:
    """The bundle's task is the one at hand: the same file, or one that differs in versions alone."""
    if task.folder is None:
        return Proof("task", None, "the task at hand has no prepared folder to compare with")
    mine = task.folder / MANIFEST
    if not path.is_file() or not mine.is_file():
        return Proof("task", False, f"there is no {TASK} to compare")
    if sha256(path) == sha256(mine):
        return Proof("task", True, task.name)
    try:
        theirs, ours = (read_json(Manifest, p).model_dump() for p in (path, mine))
    except ValueError as error:
        return Proof("task", False, f"{TASK} cannot be compared ({told(error)})")
    differing = [k for k in theirs if theirs[k] != ours[k] and k not in {"versions", "source"}]
    if differing == ["files"]:
        names = sorted({*theirs["files"], *ours["files"]})
        differing = [n for n in names if theirs["files"].get(n) != ours["files"].get(n)]
    if differing:
        return Proof(
            "task", False, f"the bundle's task is not that of {task.folder}: {', '.join(differing)} differ"
        )
    return Proof("task", True, f"{task.name}, prepared another time from the same pairs, labels and metrics")


def _aligned(contents: _Contents, task: Task) -> tuple[Predictions | None, Proof]:
    """The predictions, one a pair of the task."""
    if contents.predictions is None:
        return None, Proof("pairs", False, "there are no predictions to align")
    filled = contents.report.get("filled")
    fill = filled.get("score") if isinstance(filled, dict) else None
    if fill is not None and (isinstance(fill, bool) or not isinstance(fill, (int, float))):
        return None, Proof(
            "pairs", False, f"{REPORT}: filled.score is {fill!r}; a number or null was expected"
        )
    try:
        found = read_predictions(contents.predictions, task, fill=fill)
    except PolarisRxrxError as error:
        return None, Proof("pairs", False, shortened(str(error).replace(f"{contents.folder}/", "")))
    note = f", {found.filled:,} of them filled with {found.fill:g}" if found.fill is not None else ""
    return found, Proof("pairs", True, f"{len(found.values):,}, each predicted once{note}")


def _check_receipt(contents: _Contents, predictions: Predictions | None) -> list[Proof]:
    """What the receipt says was sent is what is here."""
    receipt = contents.receipt
    if receipt is None:
        return []
    wrong = []
    for what, ours, name in (
        ("task_sha256", receipt.task_sha256, TASK),
        (
            "predictions_sha256",
            receipt.predictions_sha256,
            contents.predictions and contents.predictions.name,
        ),
    ):
        if name and (contents.folder / name).is_file() and sha256(contents.folder / name) != ours:
            wrong.append(f"{what} is not that of {name}")
    if predictions is not None and hash_values(predictions.values) != receipt.values_sha256:
        wrong.append("values_sha256 is not that of the predictions, aligned")
    if contents.card is not None and slug(contents.card.name) != slug(receipt.name):
        wrong.append(f"name is {receipt.name!r}, the card's is {contents.card.name!r}")
    if contents.manifest is not None and contents.manifest.artifact_id != receipt.task:
        wrong.append(f"task is {receipt.task!r}, the manifest's is {contents.manifest.artifact_id!r}")
    for who, limit in (("ours", TOLERANCE), ("client", CLIENT_TOLERANCE)):
        sent, official = receipt.scores.get(who), contents.report.get("official")
        if isinstance(sent, dict) and isinstance(official, dict):
            for metric in sorted(set(sent) & set(official)):
                if sent[metric] is not None and official[metric] is not None:
                    wrong += [
                        f"scores.{who}.{d}"
                        for d in _differences(sent[metric], official[metric], metric, limit)
                    ]
    detail = (
        "; ".join(wrong) or " ".join([receipt.state, receipt.updated[:19] + "Z", receipt.url or ""]).rstrip()
    )
    return [Proof("receipt", not wrong, detail)]


def _check_scores(contents: _Contents, task: Task | None, predictions: Predictions | None) -> list[Proof]:
    """Score again, and compare with the report."""
    if contents.competition if task is None else task.active is None:
        told = "a competition: its labels stay on the Hub, so it cannot be scored again here"
        return [Proof("scores", None, told)]
    if task is None:
        return [Proof("scores", None, "not scored again: no prepared task at hand")]
    if predictions is None:
        return [Proof("scores", False, "not scored again: there are no predictions that fit the task")]
    try:
        result = score(task, predictions)
    except PolarisRxrxError as error:
        return [Proof("scores", False, str(error))]
    ours = json.loads(json.dumps(result.to_dict()))
    wrong: list[str] = []
    for key in [k for k in ours if k not in _NOT_COMPARED]:
        if key not in contents.report:
            wrong.append(f"{key} is missing from {REPORT}")
        else:
            wrong += _differences(contents.report[key], ours[key], key, TOLERANCE)
    value = result.main_value
    found = f"{result.main_metric} = {'undefined' if value is None else f'{value:.6f}'}"
    checks = [Proof("scores", not wrong, _cut(wrong) or f"{found}, as reported")]
    client = contents.report.get("client")
    if isinstance(client, dict):
        wrong = []
        for metric in sorted(set(client) & set(ours["official"])):
            if client[metric] is not None and ours["official"][metric] is not None:
                wrong += _differences(client[metric], ours["official"][metric], metric, CLIENT_TOLERANCE)
        checks.append(Proof("client's scores", not wrong, _cut(wrong) or "as ours"))
    return checks


def _cut(wrong: list[str], most: int = 5) -> str:
    more = [f"and {len(wrong) - most:,} more"] if len(wrong) > most else []
    return "; ".join([*wrong[:most], *more])


def _differences(theirs: Any, ours: Any, place: str, limit: float) -> list[str]:
    """Where two pieces of JSON differ; numbers may by `limit`."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        keys = sorted(set(theirs) | set(ours))
        absent = [f"{place}.{k} is only in one of them" for k in keys if (k in theirs) != (k in ours)]
        both = [k for k in keys if k in theirs and k in ours]
        return absent + [d for k in both for d in _differences(theirs[k], ours[k], f"{place}.{k}", limit)]
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        pairs = enumerate(zip(theirs, ours, strict=True))
        return [d for i, (a, b) in pairs for d in _differences(a, b, f"{place}[{i}]", limit)]
    numbers = [isinstance(v, (int, float)) and not isinstance(v, bool) for v in (theirs, ours)]
    if all(numbers):
        same = math.isfinite(theirs) and abs(theirs - ours) <= limit
    else:
        same = type(theirs) is type(ours) and theirs == ours
    return [] if same else [f"{place} is {_short(theirs)} in the bundle and {_short(ours)} scored again"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
