"""From files to wells: read, joined, features chosen, cleaned where asked, and where they came from.

Conventions
    Commands, baselines and suites get their wells here and nowhere else. `Wells.notes` are what a user should
    be told, `Wells.provenance` is what a protocol keeps: how many wells of the metadata were missing, how the
    files were read, whether they are synthetic, and, where asked, what cleaning did and the files' hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polaris_rxrx.files import sha256
from polaris_rxrx.types import Progress
from polaris_rxrx.wells.memory import Wells, read_wells
from polaris_rxrx.wells.metadata import Metadata


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


def read(
    metadata: Path | str | Metadata,
    embeddings: Path | str,
    choices: Choices | None = None,
    *,
    hashed: bool = False,
    progress: Progress | None = None,
) -> Wells:
    """Read wells as the choices say; with `hashed`, the SHA-256 of both files is in the provenance.

    Raises:
        DataError: Naming the file and what is wrong with it, or nothing is left after cleaning.
    """
    choices = choices or Choices()
    wells = read_wells(
        metadata,
        embeddings,
        width=choices.width,
        allow_nan=choices.profile,
        allow_missing=choices.allow_missing or choices.profile,
        guides=choices.guides,
        features=choices.features,
        progress=progress,
    )
    told, added = list(wells.notes), dict[str, Any]()
    if choices.profile:
        from polaris_rxrx.wells.clean import clean

        wells, cleaning = clean(wells)
        told.append(f"Cleaned: {cleaning}")
        added["cleaning"] = cleaning.to_dict()
    elif wells.missing:
        told.append(f"{wells.missing:,} wells of the metadata have no embedding and were left out")
    for done, (name, path) in enumerate(wells.sources.items() if hashed else (), 1):
        added[f"{name}_sha256"] = sha256(Path(path))
        if progress is not None:
            progress("hashing", done, len(wells.sources))
    return replace(wells, notes=tuple(told), provenance={**wells.provenance, **added})
