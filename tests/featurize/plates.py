"""Small images in memory, and a featurizer whose features are sums that one can do by hand."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from polaris_rxrx.errors import DataError
from polaris_rxrx.featurize.featurizer import Features
from polaris_rxrx.featurize.rows import table_of
from polaris_rxrx.images.sites import Fault, ImageSet, Site, WellImages

CHANNELS = ("DNA", "ER")


@dataclass(frozen=True)
class Plates:
    """Wells of two sites of noise; `blank` ones have no good site, `seed` makes other images of some."""

    wells: tuple[str, ...]
    channels: tuple[str, ...] = CHANNELS
    blank: frozenset[str] = frozenset()
    seed: dict[str, int] = field(default_factory=dict)
    white: float = 255.0
    pixel_size: float | None = 0.65
    size: int = 8
    n_sites: int = 2

    @property
    def provenance(self) -> dict[str, Any]:
        return {"layout": "in memory", "channels": list(self.channels)}

    def plate(self, well: str) -> str:
        experiment, plate, _ = well.split("_")
        return f"{experiment}/Plate{plate}"

    def metadata(self, well: str) -> dict[str, str]:
        experiment, plate, address = well.split("_")
        return {"experiment": experiment, "plate": plate, "address": address}

    def key(self, wells: Sequence[str]) -> str:
        told = [[well, hashlib.sha256(self.pixels(well).tobytes()).hexdigest()] for well in wells]
        return hashlib.sha256(repr([told, [w in self.blank for w in wells]]).encode()).hexdigest()

    def part(self, wells: Sequence[str]) -> Plates:
        assert set(wells) <= set(self.wells)
        return replace(self, wells=tuple(wells))

    def pixels(self, well: str) -> Any:
        """(sites, channels, height, width)."""
        rng = np.random.default_rng([self.seed.get(well, 0), *well.encode()])
        shape = (self.n_sites, len(self.channels), self.size, self.size)
        return rng.integers(1, 256, shape, dtype=np.uint8)

    def read(self, wells: Sequence[str]) -> Iterator[WellImages]:
        for well in wells:
            assert well in self.wells, well  # a part has its own wells alone
            if well in self.blank:
                fault = Fault(well, "1", "ER", "a.parquet", "truncated: 7 of 90 bytes")
                yield WellImages(well, (), (fault,))
                continue
            sites = (Site(well, str(i + 1), x) for i, x in enumerate(self.pixels(well)))
            yield WellImages(well, tuple(sites))


def wells(n_plates: int = 2, n: int = 5) -> tuple[str, ...]:
    return tuple(f"gene-001_{p}_A{w:02d}" for p in range(1, n_plates + 1) for w in range(1, n + 1))


def screen(**given: Any) -> Plates:
    return Plates(wells(), **given)


@dataclass(frozen=True)
class Sums:
    """Features anyone can add up: `Cells_Sum_*` of each channel, and `Cells_Never`, which has no value.

    Attributes:
        sometimes: This well has a value of `Cells_Sometimes`, no other has.
        more: Also gives a row a site.
        stop: A marker and a well: at that well it ends its own process, once, or waits in it.
        fails: At this well it gives up.
        extra: At this well it gives a column more.
        slow: Seconds for a well.
    """

    factor: float = 1.0
    wells_a_task: int = 2
    sometimes: str = ""
    more: bool = False
    killed: tuple[Path, str] | None = None
    fails: str = ""
    extra: str = ""
    slow: float = 0.0
    neighbors: bool = False
    log: Path | None = None
    name: str = "sums"

    def protocol(self) -> dict[str, Any]:
        return {"factor": self.factor}

    def check(self, images: ImageSet) -> None:
        if len(images.channels) > 5:
            raise DataError("too many channels")

    def beside(self, images: ImageSet, wells: Sequence[str]) -> Sequence[str]:
        """The first well of the plate."""
        if not self.neighbors:
            return ()
        return [next(w for w in images.wells if images.plate(w) == images.plate(wells[0]))]

    def features(
        self, images: ImageSet, wells: Sequence[str], step: Callable[[int], None] | None = None
    ) -> Features:
        faults, rows = list[Fault](), dict[str, Any]()
        if self.log is not None:
            with self.log.open("a") as handle:
                handle.write(f"{' '.join(wells)}\n")
        base = 0.0
        if self.neighbors:
            first = next(w for w in images.wells if w.endswith("A01"))
            base = sum(float(s.pixels.sum()) for found in images.read([first]) for s in found.sites)
        for found in images.read(wells):
            time.sleep(self.slow)
            faults += found.faults
            if found.well == self.fails:
                raise DataError(f"no sum of {found.well}")
            if self.killed is not None and self.killed[1] == found.well and not self.killed[0].exists():
                self.killed[0].touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if found.sites:
                x = np.stack([s.pixels for s in found.sites]).astype(float)
                rows[found.well] = (self.factor * x.sum(axis=(0, 2, 3)) - base, len(x))
            if step is not None:
                step(len(rows))
        kept = list(rows)
        columns: dict[str, Any] = {
            f"Cells_Sum_{c}": np.array([rows[w][0][i] for w in kept]) for i, c in enumerate(images.channels)
        }
        columns["Cells_Never"] = np.full(len(kept), np.nan)
        columns["Cells_Sometimes"] = np.array([1.0 if w == self.sometimes else np.nan for w in kept])
        if self.extra in wells:
            columns["Cells_Extra"] = np.zeros(len(kept))
        count = {"Metadata_Object_Count": [7] * len(kept)}
        table = table_of(images, kept, [rows[w][1] for w in kept], columns, count)
        objects = pa.table({"well_id": [w for w in kept for _ in "ab"], "Cells_X": [0.5, 1.5] * len(kept)})
        return Features(table, tuple(faults), {"objects": objects} if self.more else {})


def tree(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, with the hash of its bytes."""
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
