"""Replicate consistency: are a perturbation's wells like each other?

Conventions
    Wells and groups are those of `polaris_rxrx.suites.groups`.

Replicate consistency
    Mean cosine of all pairs of two different wells of a perturbation; the null is groups of as many wells of
    other perturbations, each of which lends `MAX_GROUP` wells at most (a seeded choice): the half dozen genes
    with thousands of wells would own it. A well without length has no cosine and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.dataset.wells import WellSource
from polaris_rxrx.maps.align import Aligner
from polaris_rxrx.maps.similarity import unit_rows
from polaris_rxrx.suites.groups import (
    MAX_GROUP,
    MIN_WELLS,
    N_RANDOM,
    REPLICATES,
    By,
    aligned_wells,
    check_choices,
    group_wells,
    smaller_nulls,
)
from polaris_rxrx.suites.result import Result, versions
from polaris_rxrx.suites.signal import TIE, mad, shares

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def replicate_consistency(
    wells: WellSource,
    *,
    by: By = "gene",
    align_by: Aligner = "pca-cs",
    min_wells: int = MIN_WELLS,
    seed: int = 0,
    n_random: int = N_RANDOM,
) -> Result:
    """Mean pairwise cosine among every perturbation's wells. Arguments and errors as in `evaluate`."""
    check_choices(by, min_wells=min_wells, seed=seed, n_random=n_random)
    groups = group_wells(wells, by, min_wells)
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
    null = _ReplicateNull.of(units, code, counts, cosine, n_random, seed)
    notes += smaller_nulls(groups, np.minimum(null.sizes, counts), counts)
    defined = cosine[~np.isnan(cosine)]
    summary = {
        "n_perturbations": len(cosine),
        "mean": float(defined.mean()) if len(defined) else None,
        "mad": mad(defined) if len(defined) else None,
        "median": float(np.median(defined)) if len(defined) else None,
        "null_mean": float(np.nanmean(null.mean)) if not np.isnan(null.mean).all() else None,
        **shares(null.p),
    }
    columns = {
        **groups.table(),
        "mean_cosine": cosine.tolist(),
        "null_mean_cosine": null.mean.tolist(),
        "p_value": null.p.tolist(),
    }
    protocol = {
        "by": by,
        "align": align_by,
        "n_directions_dropped": len(wells.features) - units.shape[1],
        "min_wells": int(min_wells),
        "max_group": MAX_GROUP,
        "seed": int(seed),
        "n_random": int(n_random),
        "wells_sha256": groups.sha256,
        "versions": versions(),
    }
    return Result("replicate-consistency", protocol, summary, {"perturbations": columns}, tuple(notes))


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


@dataclass(frozen=True, eq=False)
class _ReplicateNull:
    """p-values, the null's mean, and how many wells its groups have, each one a perturbation."""

    p: Floats
    mean: Floats
    sizes: Ints

    @classmethod
    def of(
        cls, units: Floats, code: Ints, counts: Ints, cosine: Floats, n_random: int, seed: int
    ) -> _ReplicateNull:
        """Hold cosines against groups of wells of other perturbations.

        Every draw is one shuffled list of wells; a perturbation's group is the list's first wells that are
        not its own. Few are, so sums of the list's beginning serve all, put right where a well is its own.
        """
        rng = np.random.default_rng([seed, REPLICATES])
        pool = _lent(counts, rng)
        code, lent = code[pool], np.minimum(counts, MAX_GROUP)
        sizes = np.minimum(lent, len(pool) - lent)
        sizes[sizes < 2] = 0  # no pair, no null
        longest = int(min(len(code), 2 * sizes.max(initial=0)))
        reach, drawn, total = (np.zeros(len(counts)) for _ in range(3))
        asked = np.flatnonzero(sizes)
        bound = cosine - TIE * np.maximum(np.abs(cosine), 1)
        for _ in range(n_random if len(asked) else 0):
            rows = rng.choice(len(code), longest, replace=False)
            values = _other_cosines(units[pool[rows]], code[rows], sizes)
            here = asked[~np.isnan(values[asked])]
            reach[here] += values[here] >= bound[here]
            drawn[here] += 1
            total[here] += values[here]
        none = drawn == 0
        safe = np.where(none, 1, drawn)
        p = np.where(none, np.nan, (1 + reach) / (1 + safe))
        return cls(p, np.where(none, np.nan, total / safe), sizes)


def _lent(counts: Ints, rng: np.random.Generator) -> Ints:
    """Wells that stand for others in the null: of each group all, or a choice of `MAX_GROUP`, ascending."""
    start = np.cumsum(counts) - counts
    parts = [
        np.arange(a, a + n) if n <= MAX_GROUP else a + np.sort(rng.choice(n, MAX_GROUP, replace=False))
        for a, n in zip(start.tolist(), counts.tolist(), strict=True)
    ]
    return np.concatenate(parts)


def _other_cosines(units: Floats, code: Ints, sizes: Ints) -> Floats:
    """For each group k, the mean pair cosine of the first `sizes[k]` of these rows that are not of k.

    NaN where there are not so many, or `sizes[k]` is below 2.
    """
    running = units.copy()
    for row, before in zip(running[1:], running[:-1], strict=True):  # ten times as fast as np.cumsum here
        row += before
    square = np.r_[0.0, np.einsum("ij,ij->i", running, running)]
    # A row of group k at place q, the o-th of its group, has q - o others before it: it stands in the way
    # while that is less than the group needs.
    place = np.argsort(code, kind="stable")
    of = code[place]
    first = np.flatnonzero(np.r_[True, of[1:] != of[:-1]])
    nth = np.arange(len(of)) - np.repeat(first, np.diff(np.r_[first, len(of)]))
    in_the_way = place - nth < sizes[of]
    place, of = place[in_the_way], of[in_the_way]
    skipped = np.bincount(of, minlength=len(sizes))
    end = sizes + skipped
    found = (end <= len(units)) & (sizes >= 2)
    length = square[np.minimum(end, len(units))]
    if len(of):
        begin = np.flatnonzero(np.r_[True, of[1:] != of[:-1]])
        own = np.add.reduceat(units[place], begin, axis=0)
        k = of[begin]
        rest = running[np.minimum(end[k], len(units)) - 1] - own
        length[k] = np.einsum("ij,ij->i", rest, rest)
    n = np.where(found, sizes, 2)
    return np.where(found, (length - n) / (n * (n - 1)), np.nan)
