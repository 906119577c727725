"""The bundle: everything of a submission in one folder or archive, for anybody to check and score again.

A bundle is flat and holds
    the predictions    the file as it was, under its own name
    submission.toml    the card
    report.json        the score report; its `predictions` names the file above
    task.json          the manifest of the task: the pairs, labels and metrics by their SHA-256, no labels
    environment.json   Python, system and package versions; nothing about the person or the machine's name
    receipt.json       what was sent and how it ended (if it was)
    SHA256SUMS         of all of these, as `sha256sum -c` reads it

An archive (.tar.gz) holds one folder, `bundle/`; the same bundle gives the same bytes. `verify` checks a
bundle and scores it again, `unpack` reads archives that somebody else made, also .zip.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import platform
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from typing_extensions import TypedDict

from polaris_rxrx import bounded
from polaris_rxrx._version import __version__
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.files import new_file, new_folder, sha256
from polaris_rxrx.hub.card import CARD, ENVIRONMENT, RECEIPT, REPORT, SUMS, TASK, parse_card, plain_name
from polaris_rxrx.submission.receipt import read_receipt
from polaris_rxrx.task import MANIFEST

BUNDLE = "bundle"
PACKAGES = (
    "polaris-lib",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "pyarrow",
    "pydantic",
    "zarr",
    "httpx",
    "authlib",
)
MOST_BYTES = 256 << 20
MOST_FILES = 32
_NEEDED = (CARD, REPORT, TASK, ENVIRONMENT)
_SUM = re.compile(r"([0-9a-f]{64})  ([^/\\]+)")


@dataclass(frozen=True)
class Proof:
    """One thing that was looked at. `ok` is None where it could not be; `detail` says what or why."""

    name: str
    ok: bool | None
    detail: str = ""


class Environment(TypedDict):
    """`environment.json` of a bundle: what the scores were computed with, nothing of whose machine it was."""

    schema_version: Literal[1]
    python: str
    implementation: str
    system: str
    machine: str
    versions: dict[str, str]
    """By package."""


@functools.cache
def _versions() -> dict[str, str]:
    """By package; once a process, since the metadata of a package are long and are read whole."""
    versions = {"polaris-rxrx": __version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def environment() -> Environment:
    """What the scores were computed with."""
    return {
        "schema_version": 1,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "versions": dict(_versions()),
    }


def write_bundle(
    folder: Path,
    *,
    predictions: Path,
    card: Path,
    report: Mapping[str, Any],
    task_folder: Path,
    receipt: Path | None,
) -> Path:
    r"""Write `folder/bundle/`, replacing one that is there; whole or not at all.

    Args:
        folder: The submission's folder.
        predictions: The file that was scored.
        card: The submission card.
        report: `Score.to_dict()`, perhaps with more (`client`); of a competition, whatever is known.
        task_folder: The prepared folder it was scored on.
        receipt: The receipt of sending it, if it was sent.

    Raises:
        DataError: A file is missing or broken, or the predictions are not those of the report.
        UsageError: The predictions file has a name that cannot stand in a bundle.

    >>> task = pr.load_task("task")
    >>> report = pr.score(task, pr.read_predictions("openphenom.csv", task)).to_dict()
    >>> card, predictions = Path("submission.toml"), Path("openphenom.csv")
    >>> _ = card.write_text("name = 'mine'\nowner = 'example-lab'\nsupervision = 'zero-shot'\n", "utf-8")
    >>> given = {"predictions": predictions, "card": card, "report": report, "receipt": None}
    >>> bundle = write_bundle(Path("mine"), task_folder=Path("task"), **given)
    >>> sorted(path.name for path in bundle.iterdir())[:3]
    ['SHA256SUMS', 'environment.json', 'openphenom.csv']
    """
    try:
        plain_name(predictions.name)
    except ValueError as error:
        raise UsageError(f"{predictions}: to be bundled, the file needs {error}") from None
    read = {CARD: card, TASK: task_folder / MANIFEST, predictions.name: predictions}
    files = {name: read_bytes(path) for name, path in read.items()}
    parse_card(card, files[CARD])
    if receipt is not None:
        read_receipt(receipt)
        files[RECEIPT] = read_bytes(receipt)
    digest = hashlib.sha256(files[predictions.name]).hexdigest()
    if report.get("predictions_sha256") not in {None, digest}:
        raise DataError(
            f"{predictions} was changed after it was scored (its SHA-256 is not the one in the report); "
            "score it again"
        )
    told = {**report, "predictions": predictions.name, "predictions_sha256": digest}
    files[REPORT] = _json(told)
    files[ENVIRONMENT] = _json(environment())
    files[SUMS] = "".join(
        f"{hashlib.sha256(raw).hexdigest()}  {name}\n" for name, raw in sorted(files.items())
    ).encode()
    target = folder / BUNDLE
    with new_folder(target, replace=True, marker=SUMS) as temporary:
        for name, raw in files.items():
            (temporary / name).write_bytes(raw)
    return target


def read_bytes(path: Path) -> bytes:
    """A file of a bundle; none is larger than a whole bundle may be."""
    return bounded.read_file(path, MOST_BYTES)


def _json(data: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except ValueError:
        raise DataError("the score report holds a number that is not finite; JSON has none") from None


def check_files(folder: Path) -> list[Proof]:
    r"""Every file is what SHA256SUMS says; nothing is missing, nothing is there besides.

    >>> task = pr.load_task("task")
    >>> report = pr.score(task, pr.read_predictions("openphenom.csv", task)).to_dict()
    >>> card, predictions = Path("submission.toml"), Path("openphenom.csv")
    >>> _ = card.write_text("name = 'mine'\nowner = 'example-lab'\nsupervision = 'zero-shot'\n", "utf-8")
    >>> given = {"predictions": predictions, "card": card, "report": report, "receipt": None}
    >>> bundle = write_bundle(Path("mine"), task_folder=Path("task"), **given)
    >>> all(proof.ok for proof in check_files(bundle))
    True
    """
    if not (folder / SUMS).is_file():
        return [Proof("files", False, f"there is no {SUMS}")]
    sums: dict[str, str] = {}
    for number, line in enumerate(
        read_bytes(folder / SUMS).decode("utf-8", "replace").rstrip("\n").split("\n"), 1
    ):
        found = _SUM.fullmatch(line)
        if found is None or found[2] in sums or found[2] in {".", "..", SUMS}:
            return [Proof("files", False, f"{SUMS}, line {number}: {line[:90]!r} is no line of it")]
        sums[found[2]] = found[1]
    there = {p.name for p in folder.iterdir()} - {SUMS}
    odd = sorted(n for n in there if (folder / n).is_symlink() or not (folder / n).is_file())
    missing = sorted({*sums, *_NEEDED} - there)
    extra = sorted(there - set(sums))
    parts = [
        f"{what}: {some(names)}"
        for what, names in (("missing", missing), ("not listed", extra), ("not a plain file", odd))
        if names
    ]
    checks = [Proof("files", not parts, "; ".join(parts) or f"{len(there)} and {SUMS}")]
    for name, expected in sums.items():
        if name in missing or name in odd:
            continue
        got = sha256(folder / name)
        detail = "" if got == expected else f"its SHA-256 is {got}, {SUMS} says {expected}"
        checks.append(Proof(f"sha256 {name}", got == expected, detail))
    return checks


def archive(bundle: Path, out: Path) -> Path:
    r"""Pack a bundle's folder as .tar.gz; the same bundle gives the same bytes.

    Raises:
        UsageError: `out` lies in the bundle.
        DataError: The bundle does not hold (see `verify`), or is larger than what `verify` reads.

    >>> task = pr.load_task("task")
    >>> report = pr.score(task, pr.read_predictions("openphenom.csv", task)).to_dict()
    >>> card, predictions = Path("submission.toml"), Path("openphenom.csv")
    >>> _ = card.write_text("name = 'mine'\nowner = 'example-lab'\nsupervision = 'zero-shot'\n", "utf-8")
    >>> given = {"predictions": predictions, "card": card, "report": report, "receipt": None}
    >>> bundle = write_bundle(Path("mine"), task_folder=Path("task"), **given)
    >>> archive(bundle, Path("mine.tar.gz")).name
    'mine.tar.gz'
    """
    if out.resolve().is_relative_to(bundle.resolve()):
        raise UsageError(f"{out} lies in the bundle it is to hold; choose another place")
    if failed := [c for c in check_files(bundle) if not c.ok]:
        raise DataError(f"{bundle} is not whole: {failed[0].name}: {failed[0].detail}")
    files = {p.name: read_bytes(p) for p in sorted(bundle.iterdir())}
    if sum(map(len, files.values())) > MOST_BYTES:
        raise DataError(
            f"{bundle} is larger than {MOST_BYTES >> 20} MiB, which is the most an archive may hold"
        )
    # No name and no time in the gzip header, and no owner in the tar's: nothing that differs between runs.
    with (
        new_file(out) as temporary,
        temporary.open("wb") as handle,
        gzip.GzipFile(filename="", fileobj=handle, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, raw in files.items():
            entry = tarfile.TarInfo(f"{BUNDLE}/{name}")
            entry.size, entry.mode = len(raw), 0o644
            tar.addfile(entry, io.BytesIO(raw))
    return out
