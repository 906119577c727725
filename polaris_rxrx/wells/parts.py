"""Features in parts: a folder that `polaris-rxrx featurize` wrote, and what its manifest says of it.

Conventions
    `MANIFEST` names the parquet parts that are a table of wells, a row a well. Whatever else stands in the
    folder (faults as a CSV file, tables of single cells, notes of yours) is no table of wells and is not
    read.
    A manifest that is not `finished` is that of a run that was stopped; each part has the size it had when
    it was written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from typing_extensions import NotRequired, TypedDict

from polaris_rxrx import bounded
from polaris_rxrx.documents import Open
from polaris_rxrx.errors import DataError, short
from polaris_rxrx.files import open_binary

MANIFEST = "manifest.json"
KIND: Literal["polaris_rxrx features"] = "polaris_rxrx features"


class FileDocument(TypedDict):
    """A table of a part: its file in the folder."""

    file: str
    rows: int
    bytes: int
    sha256: str


class PartDocument(FileDocument):
    """A part: its table of wells, a row a well, and what else there is of it."""

    key: str
    """A hash of the images and of all that was asked."""
    wells: list[str]
    code: NotRequired[dict[str, str]]
    """Hashes of a user's code, by module."""
    more: NotRequired[dict[str, FileDocument]]
    """Further tables, such as one with a row a cell, by name."""


class RunDocument(TypedDict):
    """What makes other features of the same images: a run that differs in it is another."""

    polaris_rxrx: str
    featurizer: str
    protocol: Open
    """The featurizer's own choices."""
    channels: list[str]
    white: float | None
    pixel_size: float | None
    """In micrometers."""
    code: dict[str, str]
    made_up: NotRequired[bool]


class WellsDocument(TypedDict):
    """How many wells were asked for, and those without features."""

    asked_for: int
    without_features: list[str]


class ColumnsDocument(TypedDict):
    """How many features a table has, and those that were left out, without a value in any row."""

    n: int
    without_a_value: list[str]


class FaultsDocument(TypedDict):
    """The file of faults, and how many there are of each kind."""

    file: str
    sha256: str
    kinds: dict[str, int]


class BegunDocument(TypedDict):
    """The manifest of features while they are made, or when that was stopped."""

    kind: Literal["polaris_rxrx features"]
    version: Literal[1]
    finished: Literal[False]
    run: RunDocument


class FinishedDocument(TypedDict):
    """The manifest of features."""

    kind: Literal["polaris_rxrx features"]
    version: Literal[1]
    finished: Literal[True]
    run: RunDocument
    images: Open
    """Where the images are from, and hashes of their tables."""
    parts: list[PartDocument]
    wells: WellsDocument
    features: dict[str, ColumnsDocument]
    """By table; that of wells is `wells`."""
    faults: FaultsDocument


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder of features; None where there is none, or another program's.

    Raises:
        DataError: It cannot be read, or is broken.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    with open_binary(path) as handle:
        text = handle.read()
    try:
        found = bounded.json_loads(text)
    except ValueError as error:
        if KIND.encode() not in text[:200]:
            return None
        raise DataError(f"{path}: not a whole manifest ({short(str(error))})") from None
    return found if isinstance(found, dict) and found.get("kind") == KIND else None


def parts_of(folder: Path) -> list[Path] | None:
    """The parts of a folder that are a table of wells; None where it is no folder of features.

    Raises:
        DataError: The run was stopped before its end, or a part is absent or has another size.
    """
    manifest = manifest_of(folder)
    if manifest is None:
        return None
    if manifest.get("finished") is not True:
        raise DataError(
            f"{folder} holds features that are not finished; the same `polaris-rxrx featurize` with --resume "
            "goes on with them"
        )
    try:
        parts = [(str(p["file"]), int(p["bytes"]), int(p["rows"])) for p in manifest["parts"]]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / MANIFEST}: not a whole manifest ({short(repr(error))})") from None
    found = []
    for name, size, rows in parts:
        path = folder / name
        if Path(name).name != name:
            raise DataError(f"{folder / MANIFEST}: part {short(name)} is no name of a file in this folder")
        held = path.stat().st_size if path.is_file() else None
        if held != size:
            told = "is absent" if held is None else f"has {held:,} bytes"
            raise DataError(
                f"{path} {told}; a part of {size:,} bytes was expected, as {MANIFEST} says. `polaris-rxrx "
                "featurize` with --resume makes it again"
            )
        if rows:
            found.append(path)
    return found
