"""Phenotypic activity: does a perturbation's well find its replicates before control wells?

Conventions
    Queries are the wells of a perturbation (`polaris_rxrx.suites.groups`), positives the other wells of it,
    negatives control wells. Average precision, means and p-values are those of
    `polaris_rxrx.suites.retrieval`, by perturbation; p-values are corrected by Benjamini and Hochberg.
    Everything is aligned on one half of every experiment's control wells; the negatives of a well are the
    other half of its own experiment's. Controls that the alignment has seen are no null: noise alone is then
    active (docs/noise.md). Where an experiment has too few controls for two halves, its wells have no
    negatives, and a perturbation without any such query has no value.
    `legacy` is copairs' usual recipe: aligned on all controls, all controls of the side are negatives, and
    positives come first among equal similarities.
    A well without length has no similarity and is left out. Similarities are rounded to `DECIMALS`, so that
    equal vectors tie however they were multiplied.

Source
    copairs (Kalinin et al., Nat. Commun. 16 (2025) 5181).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from polaris_rxrx import limits
from polaris_rxrx.errors import some
from polaris_rxrx.maps.align import AlignBy, as_alignment
from polaris_rxrx.suites.groups import (
    MIN_WELLS,
    By,
    WellGroups,
    aligned_wells,
    check_choices,
    group_wells,
    to_unit_length,
)
from polaris_rxrx.suites.result import Result, versions
from polaris_rxrx.suites.retrieval import NULL_SIZE, Retrieved, adjusted, average_precision, by_group
from polaris_rxrx.suites.splits import Half
from polaris_rxrx.types import Bools, Floats, Ints
from polaris_rxrx.wells.source import WellSource

DECIMALS = 12
_CELLS = 4_000_000  # similarities at once: bounds the memory


def evaluate_activity(
    wells: WellSource,
    *,
    by: By = "gene",
    align_by: AlignBy = "pca-cs",
    min_wells: int = MIN_WELLS,
    null_size: int = NULL_SIZE,
    seed: int = 0,
    legacy: bool = False,
    max_memory: int | None = None,
) -> Result:
    """Mean average precision of every perturbation's wells against control wells.

    Args:
        wells: From `read_wells`; with `guides=True` for `by="guide"`.
        by: What a perturbation is.
        align_by: See `polaris_rxrx.maps.align`.
        min_wells: 2 or more.
        null_size: Random orders for each pair of counts.
        seed: Of halves and random orders.
        legacy: As copairs is commonly used; see above.
        max_memory: As in `polaris_rxrx.suites.signal.evaluate_signal`.

    Raises:
        UsageError: A number or word that cannot be.
        DataError: No perturbation with enough wells, or a value that is not finite.
    """
    check_choices(by, min_wells=min_wells, seed=seed, n_random=null_size)
    groups = group_wells(wells, by, min_wells)
    if legacy:
        everyone = np.arange(groups.n_side_controls)
        x, negatives = aligned_wells(wells, align_by, groups, everyone, max_memory)
        experiment, held = np.zeros(len(x), dtype=np.int64), np.zeros(len(negatives), dtype=np.int64)
    else:
        half = Half.of(wells, align_by, groups, seed, 0, max_memory)
        x, negatives, experiment, held = half.x, half.held, half.experiment, half.held_experiment
    to_unit_length(x)
    to_unit_length(negatives)
    found, group = _retrieve(groups, x, experiment, negatives, held, legacy)
    grouped = by_group(found, group, len(groups.sizes), null_size=null_size, seed=seed)
    q = adjusted(grouped.p_value)
    tested = ~np.isnan(q)
    protocol: dict[str, Any] = {
        "by": by,
        **as_alignment(align_by).to_dict(),
        "min_wells": int(min_wells),
        "null_size": int(null_size),
        "seed": int(seed),
        "legacy": legacy,
        "negatives": "all control wells" if legacy else "held-out control wells of a well's own experiment",
        "ties": "positives first" if legacy else "by threshold",
        "wells_sha256": groups.sha256,
        "versions": versions(),
    }
    summary = {
        "n_perturbations": int(tested.sum()),
        "mean": float(grouped.mean[tested].mean()) if tested.any() else None,
        "mean_normalized": float(grouped.normalized[tested].mean()) if tested.any() else None,
        "share_p_0.05": float((grouped.p_value[tested] <= 0.05).mean()) if tested.any() else None,
        "share_active": float((q[tested] <= 0.05).mean()) if tested.any() else None,
    }
    table = {
        **groups.table(),
        "mean_average_precision": grouped.mean.tolist(),
        "normalized": grouped.normalized.tolist(),
        "n_queries": grouped.n_queries.tolist(),
        "p_value": grouped.p_value.tolist(),
        "p_adjusted": q.tolist(),
    }
    notes = (*groups.notes(min_wells), *_untested(groups, tested))
    return Result("activity", protocol, summary, {"perturbations": table}, notes)


def _untested(groups: WellGroups, tested: Bools) -> Iterator[str]:
    """What is told of perturbations without a value."""
    none = [name for name, there in zip(groups.name, tested, strict=True) if not there]
    if none:
        yield (
            f"{len(none):,} perturbations have no value, for no two of their wells have controls to be held "
            f"against: {some(none)}"
        )


def _retrieve(
    groups: WellGroups, own: Floats, experiment: Ints, controls: Floats, held: Ints, first: bool
) -> tuple[Retrieved, Ints]:
    """Every well as a query, among unit vectors of wells, group after group, and of controls.

    Experiments of wells and of controls are numbers (n,); the controls' are ascending, as blocks come.
    """
    ap, n_positive, n_negative = np.full(len(own), np.nan), np.zeros(len(own), int), np.zeros(len(own), int)
    there = np.flatnonzero(~np.isnan(controls[:, 0]))  # a row without length is NaN in every column
    if len(there) < len(controls):
        controls, held = controls[there], held[there]
    for start, size in zip(groups.start.tolist(), groups.sizes.tolist(), strict=True):
        rows = start + np.flatnonzero(~np.isnan(own[start : start + size]).any(axis=1))
        if len(rows) < 2:
            continue
        for e in np.unique(experiment[rows]).tolist():
            a, b = np.searchsorted(held, [e, e + 1])
            queries = rows[experiment[rows] == e]
            at_once = max(1, _CELLS // max(1, int(b - a) + len(rows)))
            for k in range(0, len(queries), at_once):
                some_rows = queries[k : k + at_once]
                positive = np.round(own[some_rows] @ own[rows].T, DECIMALS)
                positive[some_rows[:, None] == rows] = np.nan
                negative = np.round(own[some_rows] @ controls[a:b].T, DECIMALS)
                ap[some_rows] = average_precision(positive, negative, positives_first=first)
            n_positive[queries], n_negative[queries] = len(rows) - 1, b - a
        limits.release(own)
        limits.release(controls)
    group = np.repeat(np.arange(len(groups.sizes)), groups.sizes)
    return Retrieved(ap, n_positive, n_positive + n_negative), group
