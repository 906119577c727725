"""What signal and replicate consistency begin and end with: wells in groups, and a null to hold them against.

Conventions
    The null is control wells that the alignment has not seen (`polaris_rxrx.suites.splits`), or the values of
    genes said to be unexpressed (`polaris_rxrx.suites.unexpressed`), which are then not reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from polaris_rxrx.errors import UsageError
from polaris_rxrx.maps.align import AlignBy, as_alignment
from polaris_rxrx.parallel import Workers
from polaris_rxrx.suites import splits
from polaris_rxrx.suites.deviations import listed
from polaris_rxrx.suites.documents import Shares, StudyProtocol
from polaris_rxrx.suites.groups import By, WellGroups, check_choices, group_wells
from polaris_rxrx.suites.result import versions
from polaris_rxrx.suites.splits import Tested
from polaris_rxrx.suites.unexpressed import Side, null_groups
from polaris_rxrx.types import Bools, Floats
from polaris_rxrx.wells.source import WellSource

Null = Literal["controls"] | Sequence[str]


@dataclass(frozen=True, eq=False)
class Study:
    """The choices of a suite on wells, checked, and the groups of wells, looked through once.

    Raises:
        UsageError: A number or word that cannot be.
        DataError: No perturbation with enough wells, a value that is not finite, a gene of the null that is
            not there, nothing but genes of the null.
    """

    wells: WellSource
    by: By
    align_by: AlignBy
    min_wells: int
    seed: int
    null: Null
    n_random: int
    max_memory: int | None = None

    def __post_init__(self) -> None:
        check_choices(self.by, min_wells=self.min_wells, seed=self.seed, n_random=self.n_random)
        if isinstance(self.null, str) and self.null != "controls":
            raise UsageError(f"null is {self.null!r}; 'controls' or a list of genes was expected")

    @cached_property
    def groups(self) -> WellGroups:
        return group_wells(self.wells, self.by, self.min_wells)

    @cached_property
    def in_null(self) -> Bools | None:
        """Which groups are the null's, (n_groups,); None where held-out controls are."""
        return None if isinstance(self.null, str) else null_groups(self.groups, self.null)

    @property
    def reported(self) -> Bools:
        """Which groups are not the null's, (n_groups,)."""
        return np.ones(len(self.groups.name), dtype=bool) if self.in_null is None else ~self.in_null

    def held_out(self, tested: Tested | None, who: Workers | None = None) -> Tested:
        """The tests against held-out controls, made by `who` unless they are at hand."""
        if tested is not None:
            return tested
        return splits.hold(
            self.wells,
            self.align_by,
            self.groups,
            n_random=self.n_random,
            seed=self.seed,
            max_memory=self.max_memory,
            who=who,
        )

    def protocol(self, suite: str, width: int, side: Side) -> StudyProtocol:
        """What settles a result, whatever the suite: aligned wells have `width` columns, p is from `side`."""
        held_out = self.in_null is None
        how, tests = as_alignment(self.align_by), splits.protocol(held_out)
        found: StudyProtocol = {
            "by": self.by,
            "align": how.aligner,
            "min_wells": int(self.min_wells),
            "n_splits": tests["n_splits"],
            "max_group": tests["max_group"],
            "max_held": tests["max_held"],
            "seed": int(self.seed),
            "null": "held-out controls" if held_out else sorted(set(self.null)),
            "n_random": int(self.n_random) if held_out else None,
            "p_value": splits.P_VALUE if held_out else f"1 - searchsorted(null, value, {side}) / n",
            "deviations": listed(suite),
            "wells_sha256": self.groups.sha256,
            "versions": versions(),
        }
        if how.components is None:
            return {**found, "n_directions_dropped": len(self.wells.features) - width}
        # How many directions there are, nobody looked.
        return {**found, "components": how.components, "n_components": width}


def mad(values: Floats) -> float:
    """Median distance from the median."""
    return float(np.median(np.abs(values - np.median(values))))


def shares(p: Floats) -> Shares:
    """How many perturbations have a p-value, and the share of them at the usual levels."""
    p = p[~np.isnan(p)]
    return {"n_p_values": len(p), "share_p_0.05": share_to(p, 0.05), "share_p_0.01": share_to(p, 0.01)}


def share_to(p: Floats, level: float) -> float | None:
    """The share of p-values (n,) at or below a level; None of none."""
    return float((p <= level).mean()) if len(p) else None
