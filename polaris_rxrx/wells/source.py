"""What a map or a suite asks of wells, wherever they are: the protocol `WellSource`.

Conventions
    Wells come in blocks, an experiment (batch) a block, as often as asked and each time in the same order.
    A block holds all wells of its experiment; codes of perturbations are ascending in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from polaris_rxrx.types import Bools, Ints, Matrix
from polaris_rxrx.wells.metadata import Perturbations


@dataclass(frozen=True, eq=False)
class Block:
    """All wells of an experiment: features (n, d), perturbation codes ascending (n,), control or not (n,).

    `plate` (n,) tells the plates of the experiment apart, where they are known.
    """

    experiment: str
    x: Matrix
    perturbation: Ints
    control: Bools
    plate: Ints | None = None


class WellSource(Protocol):
    """What a map is built from: whole experiments, one after the other, as often as asked."""

    @property
    def features(self) -> Sequence[str]: ...
    @property
    def perturbations(self) -> Perturbations: ...
    def blocks(self) -> Iterator[Block]: ...
