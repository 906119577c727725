"""The rows of a map that a page has: which, what they are called, and their vectors.

Conventions
    A page holds at most `MAX_ROWS` rows unless more are asked for. Of a larger map it keeps whole
    perturbations, a compound with all its concentrations: genes before compounds, in each those with the
    most wells first, then by name, until the next would not fit. Rows stay in the map's order.
    A row of zeros, or with a value that is not finite, is a row without a vector.
    Vectors are those of length 1 as int8: the largest value of a row becomes 127, the others are rounded to
    whole numbers in that scale. The scale that is kept is 1 over the length of the rounded vector, so that
    the cosine of a row with itself is 1. A cosine of two rows differs from that in float64 by about 0.0005
    (standard deviation, 384 features).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.errors import UsageError
from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.blocks import Part
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.similarity import unit_rows
from polaris_rxrx.present.numbers import count
from polaris_rxrx.types import Bools, Floats, Ints

MAX_ROWS = 50_000
KINDS = ("CRISPR", "COMPOUND")


@dataclass(frozen=True, eq=False)
class Rows:
    """A map (or what is kept of it) whose rows are the page's, and how many it had before."""

    map_: Map
    n_of: int

    def __len__(self) -> int:
        return len(self.map_)

    @cached_property
    def names(self) -> list[str]:
        """All names, sorted; indices of names point here."""
        return sorted(set(self.map_.perturbations.name))

    @cached_property
    def name_at(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def name(self) -> Ints:
        """The name of each row, as an index (n,)."""
        return np.array([self.name_at[name] for name in self.map_.perturbations.name], dtype=np.int64)

    @cached_property
    def kind(self) -> Ints:
        """The type of each row, as an index into `KINDS` (n,)."""
        return np.array([KINDS.index(t) for t in self.map_.perturbations.type], dtype=np.int64)

    @cached_property
    def units(self) -> Floats:
        """Rows of length 1 (n, d); NaN in every column of a row without a vector."""
        x = np.asarray(self.map_.x, dtype=np.float64)
        finite: Bools = np.asarray(np.isfinite(x).all(axis=1, keepdims=True))
        return unit_rows(np.where(finite, x, 0.0))

    @cached_property
    def there(self) -> Ints:
        """The rows that have a vector, ascending."""
        return np.flatnonzero(~np.isnan(self.units[:, 0])) if self.units.shape[1] else np.arange(0)

    def named(self, kind: str) -> dict[str, list[int]]:
        """Name -> rows of a type, in the map's order, names in the order of their first rows."""
        found: dict[str, list[int]] = {}
        for i in self.map_.rows(kind).tolist():
            found.setdefault(self.map_.perturbations.name[i], []).append(i)
        return found

    @property
    def index_dtype(self) -> str:
        return blocks.index_type(len(self))

    @property
    def name_dtype(self) -> str:
        return blocks.index_type(len(self.names))

    def part(self) -> Part:
        """The document's `rows`, and the blocks that say what each row is."""
        p = self.map_.perturbations
        known = np.isfinite(p.concentration)
        doses = np.unique(p.concentration[known])
        dose = np.where(known, np.searchsorted(doses, p.concentration) + 1, 0)
        wells = np.maximum(self.map_.n_wells, 0)
        document = {
            "n": len(self),
            "width": int(self.map_.x.shape[1]),
            "types": list(KINDS),
            "names": self.names,
            "doses": doses.tolist(),
            "n_left_out": self.n_of - len(self),
        }
        held = {
            "row_type": blocks.write(self.kind.astype("u1")),
            "row_name": blocks.write(self.name.astype(self.name_dtype), delta=True),
            "row_dose": blocks.write(dose.astype("u1" if len(doses) < 255 else "u2")),
            "row_wells": blocks.write(wells.astype("u2" if wells.max(initial=0) < 2**16 else "u4")),
        }
        return Part({"rows": document}, held)

    @property
    def notes(self) -> list[str]:
        """What a reader should be told of the rows."""
        told = []
        if self.n_of > len(self):
            told.append(
                f"The page has {len(self):,} of the map's {self.n_of:,} rows: genes before compounds, those "
                "with the most wells first, compounds with all their concentrations; --max-rows N keeps more"
            )
        if n := len(self) - len(self.there):
            told.append(
                f"{count(n, 'row has', 'rows have')} no vector (zeros, or values that are not finite) and so "
                "no cosine with anything"
            )
        return told


def choose(map_: Map, max_rows: int = MAX_ROWS) -> Rows:
    """The rows of a map that its page has.

    Args:
        map_: The map.
        max_rows: At most so many of them.

    Raises:
        UsageError: `max_rows` is below 1.
    """
    if max_rows < 1:
        raise UsageError(f"max_rows is {max_rows}; 1 or more was expected")
    whole = Rows(map_, len(map_))
    if len(map_) <= max_rows:
        return whole
    kept: list[int] = []
    for kind in KINDS:
        named = whole.named(kind)
        wells = {name: int(map_.n_wells[rows].sum()) for name, rows in named.items()}
        for name in sorted(named, key=lambda n: (-wells[n], n)):
            if len(kept) + len(named[name]) > max_rows:
                break
            kept += named[name]
    keep = np.array(sorted(kept), dtype=np.int64)
    taken = replace(
        map_, perturbations=map_.perturbations.take(keep), x=map_.x[keep], n_wells=map_.n_wells[keep]
    )
    return Rows(taken, len(map_))


def quantize(units: Floats) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Vectors of length 1 (n, d), or NaN, as int8 (n, d), and scales (n,), 0 for a row without a vector."""
    known = np.nan_to_num(units)
    largest = np.abs(known).max(axis=1, initial=0.0, keepdims=True)
    stretch = np.divide(127.0, largest, out=np.zeros_like(largest), where=largest > 0)
    whole = np.rint(known * stretch)
    length = np.sqrt(np.einsum("ij,ij->i", whole, whole))
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    return whole.astype(np.int8), scale.astype(np.float32)


def vectors(rows: Rows) -> Part:
    """The vectors of all rows."""
    whole, scale = quantize(rows.units)
    return Part({}, {"vectors": blocks.write(whole), "row_scale": blocks.write(scale)})
