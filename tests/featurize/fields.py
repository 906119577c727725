"""Fields in memory as a set of images: what a test of a featurizer of images needs, and no more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from polaris_rxrx.images.sites import Fault, Site, WellImages

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Fields:
    """`experiment_plate_address` -> its sites' pixels, (channels, height, width) each."""

    sites: Mapping[str, Sequence[Pixels]]
    channels: tuple[str, ...]
    white: float = 255.0
    pixel_size: float | None = 0.5
    faults: Mapping[str, Sequence[Fault]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def wells(self) -> tuple[str, ...]:
        return tuple(self.sites)

    @property
    def provenance(self) -> dict[str, Any]:
        return {"layout": "in memory", "channels": list(self.channels)}

    def plate(self, well: str) -> str:
        return well.rpartition("_")[0]

    def metadata(self, well: str) -> dict[str, str]:
        return dict(zip(("experiment", "plate", "address"), well.split("_"), strict=True))

    def key(self, wells: Sequence[str]) -> str:
        return hashlib.sha256(b"".join(np.stack(self.sites[w]).tobytes() for w in wells)).hexdigest()

    def part(self, wells: Sequence[str]) -> Fields:
        return replace(self, sites={w: self.sites[w] for w in self.sites if w in set(wells)})

    def read(self, wells: Sequence[str]) -> Iterator[WellImages]:
        for well in wells:
            sites = tuple(Site(well, f"s{i}", pixels) for i, pixels in enumerate(self.sites[well], 1))
            yield WellImages(well, sites, tuple(self.faults.get(well, ())))
