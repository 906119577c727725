"""What the images of a screen are, however they are stored.

Conventions
    A well has sites (fields of view), a site one image a channel, all of one height and width. `pixels` is
    (channels, height, width) in the order of `ImageSet.channels`, values as read: uint8 or uint16. `white` is
    the value that stands for full intensity (255; of 16 bits what the user states), `pixel_size` micrometers.
    A site with anything wrong in it is a fault and not a site: nobody measures half of one.
    Sets are read in parts: a part pickles, is small, and holds what is needed to read its own wells only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from polaris_rxrx.types import Matrix


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a well's images, or with what a featurizer made of them.

    `site` is empty where the whole well is meant, `channel` where all channels are. `problem` begins with its
    kind, before a colon where there is more to say (`another size: 10 x 10 px; 512 x 512 px expected`).
    """

    well: str
    site: str
    channel: str
    file: str
    problem: str


@dataclass(frozen=True, eq=False)
class Site:
    """A complete site: `pixels` (channels, height, width), as read."""

    well: str
    name: str
    pixels: Matrix


@dataclass(frozen=True)
class WellImages:
    """The good sites of a well, in order of their names, and the faults of the others.

    `damaged` are sites with faults, their bad channels black: to be looked at, never measured.
    """

    well: str
    sites: tuple[Site, ...]
    faults: tuple[Fault, ...] = ()
    damaged: tuple[Site, ...] = ()


class ImageSet(Protocol):
    """Images of wells, indexed but not read."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, in the order of `Site.pixels`."""
        ...

    @property
    def wells(self) -> tuple[str, ...]:
        """Ids of the wells, plate by plate, in order of their addresses."""
        ...

    @property
    def white(self) -> float: ...
    @property
    def pixel_size(self) -> float | None: ...
    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user: what was guessed of the images, and what was left out."""
        ...

    @property
    def provenance(self) -> dict[str, Any]:
        """What a manifest keeps: layout, files with size and hash, channels, scale."""
        ...

    def plate(self, well: str) -> str:
        """The plate a well stands on, across experiments (`compound-004/Plate1`)."""
        ...

    def metadata(self, well: str) -> dict[str, str]:
        """What the images' own names and tables say of a well: experiment, plate, address, ..."""
        ...

    def key(self, wells: Sequence[str]) -> str:
        """A hash of the stored images of these wells: other bytes, other key; other shards, the same."""
        ...

    def part(self, wells: Sequence[str]) -> ImageSet:
        """The same set with these wells alone."""
        ...

    def read(self, wells: Sequence[str]) -> Iterator[WellImages]:
        """The images of some wells, one well at a time, in the order asked for."""
        ...
