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
from typing import Any, Literal

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.maps.align import Aligner
from polaris_rxrx.maps.similarity import unit_rows
from polaris_rxrx.suites import splits
from polaris_rxrx.suites.deviations import listed
from polaris_rxrx.suites.groups import MIN_WELLS, N_RANDOM, By, aligned_wells, check_choices, group_wells
from polaris_rxrx.suites.result import Result, versions
from polaris_rxrx.suites.signal import mad, shares
from polaris_rxrx.suites.splits import Tested
from polaris_rxrx.suites.unexpressed import null_groups, p_values, split
from polaris_rxrx.types import Floats, Ints
from polaris_rxrx.wells.source import WellSource

Null = Literal["controls"] | Sequence[str]


def replicate_consistency(
    wells: WellSource,
    *,
    by: By = "gene",
    align_by: Aligner = "pca-cs",
    min_wells: int = MIN_WELLS,
    seed: int = 0,
    null: Null = "controls",
    n_random: int = N_RANDOM,
    tested: Tested | None = None,
) -> Result:
    """Mean pairwise cosine among every perturbation's wells.

    Args:
        wells, by, align_by, min_wells, seed: As in `polaris_rxrx.suites.signal.evaluate`.
        null: "controls", or names of unexpressed genes, which are then not reported but in the table "null".
        n_random: Exchanges with held-out control wells, over all splits.
        tested: What `splits.held_out` made of these very wells and choices, if it is at hand.

    Raises:
        UsageError: A number or word that cannot be.
        DataError: No perturbation with enough wells, a value that is not finite, a gene of the null that is
            not there or whose wells have no cosine, nothing but genes of the null.
    """
    check_choices(by, min_wells=min_wells, seed=seed, n_random=n_random)
    if isinstance(null, str) and null != "controls":
        raise UsageError(f"null is {null!r}; 'controls' or a list of genes was expected")
    groups = group_wells(wells, by, min_wells)
    in_null = None if isinstance(null, str) else null_groups(groups, null)
    x, _ = aligned_wells(wells, align_by, groups, np.empty(0, dtype=np.int64))
    code = np.repeat(np.arange(len(groups.sizes)), groups.sizes)
    units = unit_rows(x)
    del x
    there = ~np.isnan(units[:, 0])
    notes = groups.notes(min_wells)
    if not there.all():
        notes.append(f"{int((~there).sum()):,} wells have no length, hence no cosines, and were left out")
        units, code = units[there], code[there]
    counts = np.bincount(code, minlength=len(groups.sizes))
    cosine = mean_pair_cosines(units, code, counts)
    tables: dict[str, dict[str, list[Any]]] = {}
    if in_null is None:
        reported = np.ones(len(cosine), dtype=bool)
        if tested is None:
            tested = splits.hold(wells, align_by, groups, n_random=n_random, seed=seed)
        p, null_mean = tested.cosine_p, tested.null_cosine
        notes += tested.notes(groups)
    else:
        reported = ~in_null
        values = cosine[in_null & ~np.isnan(cosine)]
        if len(values) < in_null.sum():
            lost = [groups.name[k] for k in np.flatnonzero(in_null & np.isnan(cosine))]
            raise DataError(f"the null's {some(lost)} has no two wells with a length, so no mean cosine")
        p, null_mean = p_values(cosine, values, "left"), np.full(len(cosine), values.mean())
    defined = cosine[reported & ~np.isnan(cosine)]
    p, null_mean = p[reported], null_mean[reported]
    summary = {
        "n_perturbations": int(reported.sum()),
        "mean": float(defined.mean()) if len(defined) else None,
        "mad": mad(defined) if len(defined) else None,
        "median": float(np.median(defined)) if len(defined) else None,
        "null_mean": float(np.nanmean(null_mean)) if not np.isnan(null_mean).all() else None,
        **shares(p),
    }
    columns = {**groups.table(), "mean_cosine": cosine.tolist()}
    if in_null is not None:
        _, tables["null"] = split(columns, in_null)
    columns, _ = split(columns, ~reported)
    if tested is not None and in_null is None:
        columns["n_tested"] = tested.n_wells.tolist()
    columns |= {"null_mean_cosine": null_mean.tolist(), "p_value": p.tolist()}
    protocol = {
        "by": by,
        "align": align_by,
        "n_directions_dropped": len(wells.features) - units.shape[1],
        "min_wells": int(min_wells),
        **splits.protocol(in_null is None),
        "seed": int(seed),
        "null": "held-out controls" if in_null is None else sorted(set(null)),
        "n_random": int(n_random) if in_null is None else None,
        "p_value": splits.P_VALUE if in_null is None else "1 - searchsorted(null, value, left) / n",
        "deviations": listed("replicate-consistency"),
        "wells_sha256": groups.sha256,
        "versions": versions(),
    }
    tables = {"perturbations": columns, **tables}
    return Result("replicate-consistency", protocol, summary, tables, tuple(notes))


def mean_pair_cosines(units: Floats, code: Ints, counts: Ints) -> Floats:
    """Mean cosine of all pairs of two rows of a group, NaN without one; length-1 rows, `code` ascending.

    |sum of the n units|^2 = n + 2 times the sum of their pairs' cosines.
    """
    cosine = np.full(len(counts), np.nan)
    some_pair = counts >= 2
    at = np.searchsorted(code, np.flatnonzero(some_pair))
    for k, a in zip(np.flatnonzero(some_pair), at, strict=True):
        total = units[a : a + counts[k]].sum(axis=0)
        cosine[k] = (total @ total - counts[k]) / (counts[k] * (counts[k] - 1))
    return cosine
