"""From files to wells: read, joined, features chosen, cleaned where asked, and where they came from.

Conventions
    Commands, baselines and suites get their wells here and nowhere else. `Wells.notes` are what a user should
    be told, `Wells.provenance` is what a protocol keeps: how many wells of the metadata were missing, how the
    files were read, whether they are synthetic, and, where asked, what cleaning did and the files' hashes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from polaris_rxrx.files import sha256
from polaris_rxrx.parallel import Workers
from polaris_rxrx.types import Progress
from polaris_rxrx.wells.containers import files_of
from polaris_rxrx.wells.design import Design
from polaris_rxrx.wells.gather import Sites
from polaris_rxrx.wells.memory import Wells, wells_of
from polaris_rxrx.wells.metadata import Metadata
from polaris_rxrx.wells.opened import OpenWells, open_wells
from polaris_rxrx.wells.remote import RemotePath, identity_of_many


@dataclass(frozen=True)
class Choices:
    """How a table of wells is read; a `profile` has units, so it is cleaned and may lack wells.

    The others are as in `polaris_rxrx.wells.memory.read_wells`.
    """

    width: int | None = None
    profile: bool = False
    allow_missing: bool = False
    guides: bool = False
    features: str | Sequence[str] = ()
    sites: Sites = "mean"
    ids: Path | str | None = None
    layer: str | None = None
    design: Design | None = None


def open_(
    metadata: Path | str | Metadata, embeddings: Any, choices: Choices, who: Workers | None = None
) -> OpenWells:
    """Open a table as the choices say, many files by `who`, and read no feature of it."""
    return open_wells(
        metadata,
        embeddings,
        width=choices.width,
        allow_nan=choices.profile,
        allow_missing=choices.allow_missing or choices.profile,
        guides=choices.guides,
        features=choices.features,
        sites=choices.sites,
        ids=choices.ids,
        layer=choices.layer,
        design=choices.design,
        who=who,
    )


def read(
    metadata: Path | str | Metadata,
    embeddings: Any,
    choices: Choices | None = None,
    *,
    hashed: bool = False,
    max_memory: int | None = None,
    who: Workers | None = None,
    progress: Progress | None = None,
) -> Wells:
    """Read wells as the choices say; with `hashed`, the SHA-256 of the files is in the provenance.

    Many files are opened by `who`, this process unless others are named.

    Raises:
        DataError: Naming the file and what is wrong with it, or nothing is left after cleaning.
    """
    choices = choices or Choices()
    opened = open_(metadata, embeddings, choices, who)
    return of_open(opened, choices, hashed=hashed, max_memory=max_memory, progress=progress)


def of_open(
    opened: OpenWells,
    choices: Choices,
    *,
    hashed: bool = False,
    max_memory: int | None = None,
    progress: Progress | None = None,
) -> Wells:
    """Read the wells of a table that was opened; see `read`."""
    wells = wells_of(opened, max_memory=max_memory, progress=progress)
    if choices.profile:
        from polaris_rxrx.wells.clean import clean

        wells, cleaning = clean(wells)
        told, added = [*wells.notes, f"Cleaned: {cleaning}"], {"cleaning": cleaning.to_dict()}
        wells = replace(wells, notes=tuple(told), provenance={**wells.provenance, **added})
    return finished(wells, choices, hashed=hashed, progress=progress)


class Read(Protocol):
    """What was read: wells, or a summary of them."""

    notes: tuple[str, ...]
    provenance: dict[str, Any]
    sources: dict[str, str]
    files: dict[str, tuple[Path, ...]]
    joined: Mapping[str, Path]
    missing: int


R = TypeVar("R", bound=Any)  # a dataclass with the fields of `Read`


def finished(found: R, choices: Choices, *, hashed: bool, progress: Progress | None) -> R:
    """What was read, with what is to be told of all of it and the hashes of its files."""
    told, added = list(found.notes), dict[str, Any]()
    if found.missing and not choices.profile:
        told.append(f"{found.missing:,} wells of the metadata have no embedding and were left out")
    if hashed:
        added |= _hashes(found, choices, progress)
    made: R = replace(found, notes=tuple(told), provenance={**found.provenance, **added})
    return made


def _hashes(wells: Read, choices: Choices, progress: Progress | None) -> dict[str, Any]:
    """The SHA-256 of each source; of many files that of their list, a line with hash and path a file.

    A table in memory has none, and one elsewhere its server's word instead (`identity_of_many`).
    Of the tables joined to the metadata each has its own.
    """
    found = dict[str, Any]()
    sources = {**wells.sources} if choices.ids is None else {**wells.sources, "ids": str(choices.ids)}
    for done, (name, source) in enumerate(sources.items(), 1):
        files = wells.files.get(name, (Path(source),))
        if elsewhere := [path for path in files if isinstance(path, RemotePath)]:
            found[f"{name}_remote"] = identity_of_many(elsewhere)
        elif files == (Path(source),):
            found[f"{name}_sha256"] = sha256(files[0])
        elif files:
            found[f"{name}_sha256"] = sha256_of_many(files)
        if progress is not None:
            progress("hashing", done, len(sources))
    if wells.joined:
        found["joined_sha256"] = {name: sha256(path) for name, path in wells.joined.items()}
    return found


def sha256_of_many(files: Sequence[Path]) -> str:
    """The SHA-256 of a list of files: a line with hash and path for each."""
    root = Path(os.path.commonpath([path.parent for path in files]))
    lines = (f"{sha256(path)}  {path.relative_to(root).as_posix()}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fingerprint(embeddings: Path) -> Any:
    """What tells a table's bytes from any other's: its SHA-256, of many files that of their list.

    Of a table elsewhere it is what its server calls them.

    Raises:
        DataError: A file is not there, or cannot be read.
    """
    found = files_of(embeddings)
    if isinstance(embeddings, RemotePath):
        files = [embeddings] if found is None else [p for p in found[0] if isinstance(p, RemotePath)]
        return identity_of_many(files)
    if found is None or not found[0]:
        return sha256(embeddings)
    return sha256_of_many(found[0])
