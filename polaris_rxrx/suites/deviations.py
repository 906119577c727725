"""Where the suites differ from the public code, numbered, as data.

Conventions
    A deviation has its suite's number. The docstring of the suite's module says the same in the same words (a
    test holds it); every result's protocol keeps them, and `polaris-rxrx reproduce` prints them. `legacy`
    undoes those without a `why`. The public code is recursionpharma/EFAAR_benchmarking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Deviation:
    """What is done here, and what there; `why` no switch undoes it, or None where `legacy` does."""

    what: str
    why: str | None = None


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
        Deviation("standard deviations are the population's (ddof 0); there they are the sample's (ddof 1)"),
        Deviation(
            "a row with fewer eligible negatives than wanted gets all there are; there it is left out",
            "RxRx3-core's annotations have no such row, and of a small table none would be left",
        ),
        Deviation(
            "negatives are drawn from sorted names; there in the order of a set",
            "that order differs from run to run",
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
        Deviation(
            "random scores are the cosines of a new embedding each seed; there they are independent uniform "
            "numbers each seed, those of the rule max too",
            "their means are the same and their spreads nearly",
        ),
    ),
    "gene-gene": (
        Deviation(
            "EMPTY_control is no gene; there it is a 736th one, a zero vector up to rounding, whose 735 "
            "cosines are in the null (270,480 pairs, not 269,745)",
            "our maps have no such row",
        ),
        Deviation(
            "a gene with a zero vector is left out and named; there its cosines are 0 and count",
            "nothing is known of such a gene",
        ),
        Deviation(
            "the null is of genes alone; an older version took it over all perturbations (14,090), compounds "
            "included, and reported far higher recall",
            "the public code takes genes alone today",
        ),
    ),
    "signal": (
        Deviation(
            "without a list of unexpressed genes, p-values are against control wells held out of the "
            "alignment; there they need the list",
            "with the list, p is the public code's",
        ),
        Deviation(
            "control wells are a seeded choice from all of the side in the order of experiment and well; "
            "there the choice has no seed",
            "it differs from run to run",
        ),
        Deviation(
            "perturbations with fewer than 5 wells are left out, and one of the null is an error; there the "
            "null counts it as larger than everything",
            "nothing is known of so few wells",
        ),
        Deviation(
            "values within rounding of each other are equal; there a p-value may hang on the order of sums",
            "that order differs from machine to machine",
        ),
    ),
    "replicate-consistency": (
        Deviation(
            "without a list of unexpressed genes, p-values are against control wells held out of the "
            "alignment; there they need the list",
            "with the list, p is the public code's",
        ),
        Deviation(
            "perturbations with fewer than 5 wells are left out, as for signal; there two wells will do",
            "`min_wells` is a choice of the library",
        ),
        Deviation(
            "a well without length has no cosine and is left out; there its cosines are 0 and count",
            "nothing is known of such a well",
        ),
        Deviation(
            "values within rounding of each other are equal; there a p-value may hang on the order of sums",
            "that order differs from machine to machine",
        ),
    ),
}


def listed(suite: str, *, legacy: bool = False) -> list[dict[str, Any]]:
    """A suite's deviations for a protocol: number, what, whether this run undid it, and why it cannot be.

    Args:
        suite: A result's suite.
        legacy: Whether the run takes the public code's way where it can.
    """
    return [
        {"number": number, "what": d.what, "undone": legacy and d.why is None, "why_not": d.why}
        for number, d in enumerate(DEVIATIONS[suite], 1)
    ]
