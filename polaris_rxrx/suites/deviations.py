"""Where the suites differ from the public code, as data: what the docstrings of the suites say, for reports.

Conventions
    A deviation has its suite's number. `undone` says that `legacy` takes the public code's way instead; where
    it does not, `why` is the reason. The public code is recursionpharma/EFAAR_benchmarking.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Deviation:
    """What is done here, and what there; `why` no switch undoes it, or None where `legacy` does."""

    what: str
    why: str | None = None

    @property
    def undone(self) -> bool:
        return self.why is None


DEVIATIONS: dict[str, tuple[Deviation, ...]] = {
    "drug-target": (
        Deviation(
            "a seed has one generator for all compounds; there it is seeded anew for every compound, so "
            "compounds with as many eligible genes get the negatives of the same places"
        ),
        Deviation(
            "negatives come from the annotated genes (by gene, compounds) that the map has; there from all "
            "that are annotated (351 genes)"
        ),
        Deviation("a row with fewer eligible negatives than wanted gets all there are; there it is left out"),
        Deviation("standard deviations are the population's (ddof 0); there they are the sample's (ddof 1)"),
        Deviation(
            "negatives are drawn from sorted names; there in the order of a set",
            "that differs from run to run",
        ),
        Deviation(
            "a well's gene is the metadata's; there it is what stands before the first underscore of its "
            "treatment, and so is a compound's name",
            "no gene or compound of RxRx3-core has an underscore",
        ),
        Deviation(
            "a zero row of the map has no similarity and is left out; there its cosines are 0 and count",
            "nothing is known of such a row",
        ),
        Deviation(
            "by gene, a label goes with the score of its pair; there labels in the order drawn go with "
            "scores in the order of the map, which gives an AUROC near .5",
            "labels of other pairs measure nothing",
        ),
    ),
    "gene-gene": (
        Deviation(
            "EMPTY_control is no gene; there it is a 736th one, a zero vector up to rounding, whose 735 "
            "cosines are in the null (270,480 pairs, not 269,745)"
        ),
        Deviation("a gene with a zero vector is left out and named; there its cosines are 0 and count"),
        Deviation(
            "the null is of genes alone; an older version took it over all perturbations (14,090), compounds "
            "included, and reported far higher recall",
            "the public code takes genes alone today",
        ),
    ),
    "signal": (
        Deviation(
            "without a list of unexpressed genes, p-values are (1 + null values that reach it) / (1 + null "
            "values), the null being groups of at most 250 control wells; there p-values need the list",
            "there is nothing to go back to",
        ),
        Deviation(
            "control wells are a seeded choice from all of the side in the order of experiment and well; "
            "there the choice has no seed",
            "that differs from run to run",
        ),
    ),
    "replicate-consistency": (
        Deviation(
            "without a list of unexpressed genes, the null is groups of wells of other perturbations; there "
            "p-values need the list",
            "there is nothing to go back to",
        ),
        Deviation(
            "perturbations with fewer than 5 wells are left out, as for signal; there two wells will do",
            "both are told of the same perturbations",
        ),
        Deviation(
            "a well without length has no cosine and is left out; there its cosines are 0 and count",
            "nothing is known of such a well",
        ),
    ),
}


def listed(suite: str, undone: Collection[int] = ()) -> list[dict[str, Any]]:
    """A suite's deviations for a protocol: number, what, and whether this run undid it (`legacy`) or why not.

    Args:
        suite: A result's suite.
        undone: Numbers of those that a run undid.
    """
    return [
        {"number": number, "what": d.what, "undone": number in undone, "why_not": d.why}
        for number, d in enumerate(DEVIATIONS[suite], 1)
    ]


def by_legacy(suite: str) -> list[int]:
    """Numbers of the deviations that `legacy` undoes."""
    return [number for number, d in enumerate(DEVIATIONS[suite], 1) if d.undone]
