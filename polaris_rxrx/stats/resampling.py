"""How intervals and p-values are drawn: one record, checked once, for whatever is resampled.

Conventions
    Public functions take its fields as keywords and make the record at once; below them it is passed on as
    it is. Without numpy, so that a command's options may have its defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from polaris_rxrx.errors import UsageError

Clusters = Literal["both", "treatment", "gene"]

CLUSTERS: dict[Clusters, str] = {
    "both": "treatments and genes",
    "treatment": "treatments",
    "gene": "genes",
}
RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Resampling:
    """Draws of the bootstrap and of the permutations, their seed, the level of intervals, what is related.

    Args:
        resamples: Of the bootstrap and of the permutations, 100 or more.
        seed: Of both, 0 or more.
        level: Of the intervals, from 0.5 to below 1.
        clusters: What is not independent: pairs of one treatment, of one gene, or both.

    Raises:
        UsageError: One of them is out of range.

    >>> Resampling(resamples=2000, seed=1)
    Resampling(resamples=2000, seed=1, level=0.95, clusters='both')
    """

    resamples: int = RESAMPLES
    seed: int = 0
    level: float = LEVEL
    clusters: Clusters = "both"

    def __post_init__(self) -> None:
        if self.clusters not in CLUSTERS:
            raise UsageError(f"clusters is {self.clusters!r}; expected {', '.join(CLUSTERS)}")
        if self.resamples < 100:
            raise UsageError(f"resamples is {self.resamples}; at least 100 were expected")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}; 0 or more was expected")
        if not 0.5 <= self.level < 1:
            raise UsageError(f"level is {self.level:g}; from 0.5 to below 1 was expected, as in 0.95")


DEFAULT = Resampling()


class Resampled:
    """A result that says how it was drawn: it has a `resampling`, and its fields as its own."""

    resampling: Resampling

    @property
    def resamples(self) -> int:
        return self.resampling.resamples

    @property
    def seed(self) -> int:
        return self.resampling.seed

    @property
    def level(self) -> float:
        return self.resampling.level

    @property
    def clusters(self) -> Clusters:
        return self.resampling.clusters
