"""What turns images into features: CellProfiler's measurements, OpenPhenom, a user's own function.

Conventions
    A featurizer is small and pickles: it says what to do, and loads what it needs (weights, libraries) where
    it works, once a process. It reads the wells itself, so that it can batch across them.
    `Features.table` has a row a well that gave any features, in the order asked for: `well_id`, then
    `Metadata_*` columns, then float columns with the features, the same in every call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from polaris_rxrx.images.sites import Fault, ImageSet


@dataclass(frozen=True, eq=False)
class Features:
    """What some wells gave: a table, what was wrong, and further tables by name (`objects`: a row a cell)."""

    table: pa.Table
    faults: tuple[Fault, ...] = ()
    more: dict[str, pa.Table] = field(default_factory=dict)


class Featurizer(Protocol):
    """Turns wells' images into rows of features."""

    @property
    def name(self) -> str: ...
    @property
    def wells_a_task(self) -> int:
        """How many wells make a task: a few minutes' work."""
        ...

    def protocol(self) -> dict[str, Any]:
        """Parameters, and versions of what computes: other values, other features."""
        ...

    def check(self, images: ImageSet) -> None:
        """Whether these images can be measured, before anything is begun.

        Raises:
            UsageError: Something has to be stated or installed first.
            DataError: The images are of another kind (channels, depth) than this featurizer takes.
        """
        ...

    def beside(self, images: ImageSet, wells: Sequence[str]) -> Sequence[str]:
        """Further wells whose images are looked at for these, as for a plate's illumination."""
        ...

    def features(
        self, images: ImageSet, wells: Sequence[str], step: Callable[[int], None] | None = None
    ) -> Features:
        """Measure; `step` is told the number of wells done so far."""
        ...
