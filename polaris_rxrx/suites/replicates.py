"""Replicate consistency: are a perturbation's wells like each other?

Conventions
    Wells and groups are those of `polaris_rxrx.suites.groups`.

Replicate consistency
    Mean cosine of all pairs of two different wells of a perturbation. A well without length has no cosine and
    is left out. Over perturbations: mean, median, and MAD, the median distance from the median.
    With a list of unexpressed genes these are the null (`polaris_rxrx.suites.unexpressed`): p is the share of
    their mean cosines at or above the perturbation's, and they stay out of the means.
    Else p is (1 + how many null values reach the perturbation's) / (1 + how many there are), and the null is
    `n_random` groups of as many wells of other perturbations, each of which lends `MAX_GROUP` wells at most
    (a seeded choice): the half dozen genes with thousands of wells would own it.

Source
    arXiv 2503.20158 and its public code.

Deviations from the public code
    1. Without a list of unexpressed genes, p-values are against groups of wells of other perturbations;
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
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.dataset.wells import WellSource
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.maps.align import Aligner
from polaris_rxrx.maps.similarity import unit_rows
from polaris_rxrx.suites.deviations import listed
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
from polaris_rxrx.suites.signal import mad, shares
from polaris_rxrx.suites.unexpressed import TIE, null_groups, p_values, split

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Null = Literal["others"] | Sequence[str]


def replicate_consistency(
    wells: WellSource,
    *,
    by: By = "gene",
    align_by: Aligner = "pca-cs",
    min_wells: int = MIN_WELLS,
    seed: int = 0,
    null: Null = "others",
    n_random: int = N_RANDOM,
) -> Result:
    """Mean pairwise cosine among every perturbation's wells.

    Args:
        wells, by, align_by, min_wells, seed: As in `polaris_rxrx.suites.signal.evaluate`.
        null: "others", or names of unexpressed genes, which are then not reported but in the table "null".
        n_random: Groups of wells of others that a null stands on.

    Raises:
        UsageError: A number or word that cannot be.
        DataError: No perturbation with enough wells, a value that is not finite, a gene of the null that is
            not there or whose wells have no cosine, nothing but genes of the null.
    """
    check_choices(by, min_wells=min_wells, seed=seed, n_random=n_random)
    if isinstance(null, str) and null != "others":
        raise UsageError(f"null is {null!r}; 'others' or a list of genes was expected")
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
        drawn = _ReplicateNull.of(units, code, counts, cosine, n_random, seed)
        notes += smaller_nulls(groups, np.minimum(drawn.sizes, counts), counts)
        p, null_mean = drawn.p, drawn.mean
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
    columns |= {"null_mean_cosine": null_mean.tolist(), "p_value": p.tolist()}
    protocol = {
        "by": by,
        "align": align_by,
        "n_directions_dropped": len(wells.features) - units.shape[1],
        "min_wells": int(min_wells),
        "max_group": MAX_GROUP,
        "seed": int(seed),
        "null": "others" if in_null is None else sorted(set(null)),
        "n_random": int(n_random) if in_null is None else None,
        "p_value": "(1 + reach) / (1 + n)" if in_null is None else "1 - searchsorted(null, value, left) / n",
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
