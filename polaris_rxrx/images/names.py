"""What names say: keys of RxRx3-core's shards, RxRx3's files, ids of wells; and the order of wells.

Conventions
    A key of RxRx3-core is EXPERIMENT/PlateN/ADDRESS_sSITE_CHANNEL (`compound-004/Plate1/AA04_s1_3`), of the
    well `compound-004_1_AA04`, as its metadata call it. RxRx3's own pages give a tar a plate, with files
    ADDRESS_sSITE_wCHANNEL.png (`AA02_s1_w3.png`; of RxRx1 and RxRx19 the path reads
    `HUVEC-1/Plate1/M23_s2_w3.png`); unpacked, they stand below EXPERIMENT/PlateN. A file may as well be
    called as a key is. Addresses go from A01 to AF48 on 1,536 wells; a larger plate would be read alike.
    Wells are in order of their plates' names, numbers within as numbers, then by row (A to Z, AA to AF) and
    column; a well without an address comes by its id. Sites are ordered as plates are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polaris_rxrx.types import Ints

STAINS = ("Hoechst", "ConA", "Phalloidin", "Syto14", "MitoTracker", "WGA")
"""Channels 1 to 6 of RxRx3 and RxRx3-core."""

_ADDRESS = r"(?P<address>[A-Z]{1,2}[0-9]{2})"
_WELL = rf"(?P<experiment>[^/]+)/Plate(?P<plate>[0-9]+)/{_ADDRESS}_s(?P<site>[0-9]+)"
KEY = rf"^{_WELL}_(?P<channel>[1-9][0-9]?)$"
FILE = rf"(?:^|/){_WELL}_w?(?P<channel>[1-9][0-9]?)\.(?i:png|jp2|j2k|tiff?)$"
_CORE = re.compile(r"(?P<experiment>.+)_(?P<plate>[0-9]+)_(?P<address>[A-Za-z]{1,2}[0-9]{1,2})")
_OTHER = re.compile(r"(?P<plate>.+)_(?P<address>[A-Za-z]{1,2}[0-9]{1,2})")
_CELL = re.compile(r"([A-Za-z]{1,2})0*([0-9]{1,4})")
NO_PLATE = "wells"
"""The plate of wells whose ids name none and that have none beside them."""


@dataclass(frozen=True, order=True)
class Place:
    """Where a well stands, as far as it is said; empty text for what is not."""

    experiment: str = ""
    plate: str = ""
    address: str = ""

    @property
    def plate_name(self) -> str:
        """`compound-004/Plate1`; of a plate without an experiment its own name."""
        if not self.plate:
            return self.experiment or NO_PLATE
        if not self.experiment:
            return self.plate
        return f"{self.experiment}/{'Plate' if self.plate.isdecimal() else ''}{self.plate}"

    def to_dict(self) -> dict[str, str]:
        """What is said, by name."""
        said = {"experiment": self.experiment, "plate": self.plate, "address": self.address}
        return {name: text for name, text in said.items() if text}


def place_of(well: str) -> Place:
    """What an id says: `compound-004_1_AA04` all three, `BR00116991_A01` a plate and an address."""
    if match := _CORE.fullmatch(well):
        return Place(**match.groupdict())
    if match := _OTHER.fullmatch(well):
        return Place(**match.groupdict())
    return Place()


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key for sorting in which numbers count as numbers: Plate2 before Plate10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return (*((0, int(p), p) if p[0] in "0123456789" else (1, 0, p) for p in parts), (-1, 0, text))


def order(wells: Sequence[str], places: Sequence[Place]) -> Ints:
    """Positions (n,) of wells plate by plate, by address."""

    def ranks(values: list[Any], key: Any) -> Ints:
        at = {value: rank for rank, value in enumerate(sorted(set(values), key=key))}
        return np.array([at[value] for value in values], dtype=np.int64)

    def cell(address: str) -> tuple[int, str, int, str]:
        match = _CELL.fullmatch(address)
        return (len(match[1]), match[1].upper(), int(match[2]), address) if match else (9, "", 0, address)

    plates = ranks([place.plate_name for place in places], natural)
    addresses = ranks([place.address for place in places], cell)
    bare = [well if not place.address else "" for well, place in zip(wells, places, strict=True)]
    found: Ints = np.lexsort((ranks(list(wells), None), ranks(bare, natural), addresses, plates))
    return found
