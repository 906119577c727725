"""What a map or a suite asks of wells, wherever they are: the protocol `WellSource`.

Conventions
    Wells come in blocks, an experiment (batch) a block, as often as asked and each time in the same order.
    What a batch is, `polaris_rxrx.wells.design` says; where it is no experiment, read "batch" below.
    A block holds all wells of its experiment; codes of perturbations are ascending in it.
    `places` says which wells there are without reading a feature; so does the metadata alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from polaris_rxrx.types import Bools, Ints, Matrix
from polaris_rxrx.wells.metadata import Perturbations


@dataclass(frozen=True, eq=False)
class WellBlock:
    """All wells of an experiment: features (n, d), perturbation codes ascending (n,), control or not (n,).

    `plate` (n,) tells the plates of the experiment apart, where they are known; `position` (n,) the places on
    a plate, by codes that mean the same in every block, where they were asked for.
    """

    experiment: str
    x: Matrix
    perturbation: Ints
    control: Bools
    plate: Ints | None = None
    position: Ints | None = None


class WellPlaces(Protocol):
    """Where wells are, without their features: the perturbation and the experiment of each, as codes (n,)."""

    @property
    def perturbations(self) -> Perturbations: ...
    @property
    def perturbation(self) -> Ints: ...
    @property
    def experiment(self) -> Ints: ...


class WellSource(Protocol):
    """Whole experiments, one after the other, as often as asked, and where they came from.

    `provenance` is what a protocol keeps of the reading: JSON's own types, and no path. Where batches
    or controls are others than as ever, it has `batch` and `controls`; where wells are corrected,
    `corrections`.
    """

    @property
    def features(self) -> Sequence[str]: ...
    @property
    def perturbations(self) -> Perturbations: ...
    @property
    def places(self) -> WellPlaces: ...
    @property
    def provenance(self) -> Mapping[str, Any]: ...
    def blocks(self) -> Iterator[WellBlock]: ...


@dataclass(frozen=True, eq=False)
class OverWells:
    """What is made of other wells, and has their features, perturbations and places."""

    wells: WellSource

    @property
    def features(self) -> Sequence[str]:
        return self.wells.features

    @property
    def perturbations(self) -> Perturbations:
        return self.wells.perturbations

    @property
    def places(self) -> WellPlaces:
        return self.wells.places
