"""Replicate consistency: are a perturbation's wells like each other?

Conventions
    Wells and groups are those of `polaris_rxrx.suites.groups`.

Replicate consistency
    Mean cosine of all pairs of two different wells of a perturbation. A well without length has no cosine and
    is left out. Over perturbations: mean, median, and MAD, the median distance from the median.
    With a list of unexpressed genes these are the null (`polaris_rxrx.suites.unexpressed`): p is the share of
    their mean cosines at or above the perturbation's, and they stay out of the means.
    Else p is against control wells that the alignment has not seen (`polaris_rxrx.suites.splits`). The values
    reported keep the alignment on all controls, under which noise alone is alike (a mean cosine of about
    1 / (controls of an experiment) where wells share one); `null_mean_cosine` is what held-out control wells
    have in the perturbation's place.

Source
    arXiv 2503.20158 and its public code.

Deviations from the public code
    1. Without a list of unexpressed genes, p-values are against control wells held out of the alignment;
       there they need the list. Not offered: with the list, p is the public code's.
    2. Perturbations with fewer than 5 wells are left out, as for signal; there two wells will do. Not
       offered: `min_wells` is a choice of the library.
    3. A well without length has no cosine and is left out; there its cosines are 0 and count. Not offered:
       nothing is known of such a well.
    4. Values within rounding of each other are equal; there a p-value may hang on the order of sums. Not
       offered: that order differs from machine to machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from polaris_rxrx import limits
from polaris_rxrx.errors import DataError, some
from polaris_rxrx.maps.align import AlignBy
from polaris_rxrx.maps.similarity import unit_rows
from polaris_rxrx.parallel import Workers
from polaris_rxrx.suites.documents import ReplicatesSummary
from polaris_rxrx.suites.groups import MIN_WELLS, N_RANDOM, By, aligned_wells
from polaris_rxrx.suites.result import Result
from polaris_rxrx.suites.signal import evaluate_signal
from polaris_rxrx.suites.splits import Tested, held_out
from polaris_rxrx.suites.study import Null, Study, mad, shares
from polaris_rxrx.suites.unexpressed import p_values, rows_of
from polaris_rxrx.types import Bools, Floats, Progress
from polaris_rxrx.wells.source import WellSource


def evaluate_replicates(
    wells: WellSource,
    *,
    by: By = "gene",
    align_by: AlignBy = "pca-cs",
    min_wells: int = MIN_WELLS,
    seed: int = 0,
    null: Null = "controls",
    n_random: int = N_RANDOM,
    tested: Tested | None = None,
    max_memory: int | None = None,
) -> Result:
    """Mean pairwise cosine among every perturbation's wells.

    Args:
        wells, by, align_by, min_wells, seed: As in `polaris_rxrx.suites.signal.evaluate_signal`.
        null: "controls", or names of unexpressed genes, which are then not reported but in the table "null".
        n_random: Exchanges with held-out control wells, over all splits.
        tested: What `splits.held_out` made of these very wells and choices, if it is at hand.
        max_memory: As in `polaris_rxrx.suites.signal.evaluate_signal`.

    Raises:
        UsageError: A number or word that cannot be.
        DataError: No perturbation with enough wells, a value that is not finite, a gene of the null that is
            not there or whose wells have no cosine, nothing but genes of the null.

    Two genes among control wells, by ten of their features:

    >>> import pandas as pd
    >>> table = pd.read_csv("data/metadata_rxrx3_core.csv", dtype=str)
    >>> table[table["gene"].isin(["EMPTY_control", "BCL2", "MTOR"])].to_csv("some.csv", index=False)
    >>> embeddings = "data/OpenPhenom_rxrx3_core_embeddings.parquet"
    >>> wells = pr.read_wells("some.csv", embeddings, features="feature_?")
    >>> found = evaluate_replicates(wells, n_random=100)
    >>> found.tables["perturbations"]["perturbation"], -1 < found.summary["mean"] < 1
    (['BCL2', 'MTOR'], True)
    """
    study = Study(wells, by, align_by, min_wells, seed, null, n_random, max_memory)
    groups, reported = study.groups, study.reported
    cosine, width, n_without = _cosines(study)
    columns = {**groups.table(), "mean_cosine": cosine.tolist()}
    tables, notes = {}, groups.notes(min_wells)
    if n_without:
        notes.append(f"{n_without:,} wells have no length, hence no cosines, and were left out")
    if study.in_null is None:
        tested = study.held_out(tested)
        p, null_mean = tested.cosine_p, tested.null_cosine
        notes += tested.notes(groups)
        columns["n_tested"] = tested.n_wells.tolist()
    else:
        values = _null_values(cosine, study.in_null, groups.name)
        p, null_mean = p_values(cosine, values, "left"), np.full(len(cosine), values.mean())
        tables["null"] = rows_of(columns, study.in_null)
    columns |= {"null_mean_cosine": null_mean.tolist(), "p_value": p.tolist()}
    defined, null_mean = cosine[reported & ~np.isnan(cosine)], null_mean[reported]
    summary: ReplicatesSummary = {
        "n_perturbations": int(reported.sum()),
        "mean": float(defined.mean()) if len(defined) else None,
        "mad": mad(defined) if len(defined) else None,
        "median": float(np.median(defined)) if len(defined) else None,
        "null_mean": float(np.nanmean(null_mean)) if not np.isnan(null_mean).all() else None,
        **shares(p[reported]),
    }
    protocol = study.protocol("replicate-consistency", width, "left")
    tables = {"perturbations": rows_of(columns, reported), **tables}
    return Result("replicate-consistency", protocol, summary, tables, tuple(notes))


def evaluate_wells(
    wells: WellSource,
    *,
    by: By,
    align_by: AlignBy,
    seed: int,
    null: Null,
    progress: Progress,
    max_memory: int | None = None,
    who: Workers | None = None,
) -> list[Result]:
    """Signal and replicate consistency of the same wells, tested against held-out controls once, by `who`."""
    progress("signal", 0, 3)
    chosen: dict[str, Any] = {"by": by, "align_by": align_by, "seed": seed, "max_memory": max_memory}
    tested = held_out(wells, who=who, **chosen) if isinstance(null, str) else None
    progress("signal", 1, 3)
    energy = evaluate_signal(wells, null=null, tested=tested, **chosen)
    progress("signal", 2, 3)
    cosines = evaluate_replicates(wells, null=null, tested=tested, **chosen)
    progress("signal", 3, 3)
    return [energy, cosines]


def _cosines(study: Study) -> tuple[Floats, int, int]:
    """Mean cosine of each group, columns of aligned wells, and how many wells have no length."""
    groups = study.groups
    none = np.empty(0, dtype=np.int64)
    x, _ = aligned_wells(study.wells, study.align_by, groups, none, study.max_memory)
    cosine, n_without = np.empty(len(groups.sizes)), 0
    for k, (a, n) in enumerate(zip(groups.start.tolist(), groups.sizes.tolist(), strict=True)):
        units = unit_rows(x[a : a + n])
        there = ~np.isnan(units[:, 0])
        cosine[k] = mean_pair_cosine(units[there])
        n_without += n - int(there.sum())
        limits.release(x)
    return cosine, x.shape[1], n_without


def _null_values(cosine: Floats, in_null: Bools, names: Sequence[str]) -> Floats:
    """The mean cosines of the null's genes, which all must have one."""
    if lost := [names[k] for k in np.flatnonzero(in_null & np.isnan(cosine)).tolist()]:
        raise DataError(f"the null's {some(lost)} has no two wells with a length, so no mean cosine")
    return cosine[in_null]


def mean_pair_cosine(units: Floats) -> float:
    """Mean cosine of all pairs of two rows of length 1, NaN without a pair.

    |sum of the n units|^2 = n + 2 times the sum of their pairs' cosines.

    >>> mean_pair_cosine(np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]))  # 1, -1 and -1
    -0.3333333333333333
    """
    n = len(units)
    if n < 2:
        return float("nan")
    total = units.sum(axis=0)
    return float((total @ total - n) / (n * (n - 1)))
