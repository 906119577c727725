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
    Workers get wells group by group, with the controls that these are held against, and all see the same;
    where a share of the work takes more than `_SENT` bytes (very many controls with `legacy`), it is done
    here.

Source
    copairs (Kalinin et al., Nat. Commun. 16 (2025) 5181).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polaris_rxrx import limits
from polaris_rxrx.errors import some
from polaris_rxrx.maps.align import AlignBy, as_alignment
from polaris_rxrx.parallel import Here, Workers
from polaris_rxrx.suites.documents import ActivityProtocol, ActivitySummary
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
_SHARE = 1 << 24  # bytes of wells that are given to a worker at once, about
_SENT = 1 << 27  # bytes beyond which sending a share takes longer than doing it


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
    who: Workers | None = None,
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
        who: Who looks for replicates and draws random orders; this process.

    Raises:
        UsageError: A number or word that cannot be.
        DataError: No perturbation with enough wells, or a value that is not finite.

    Two genes among control wells, by ten of their features:

    >>> import pandas as pd
    >>> table = pd.read_csv("data/metadata_rxrx3_core.csv", dtype=str)
    >>> table[table["gene"].isin(["EMPTY_control", "BCL2", "MTOR"])].to_csv("some.csv", index=False)
    >>> embeddings = "data/OpenPhenom_rxrx3_core_embeddings.parquet"
    >>> wells = pr.read_wells("some.csv", embeddings, features="feature_?")
    >>> found = evaluate_activity(wells, null_size=100)
    >>> found.tables["perturbations"]["perturbation"], 0 < found.summary["mean"] < 1
    (['BCL2', 'MTOR'], True)
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
    found, group = _retrieve(groups, x, experiment, negatives, held, legacy, who)
    grouped = by_group(found, group, len(groups.sizes), null_size=null_size, seed=seed, who=who)
    q = adjusted(grouped.p_value)
    tested = ~np.isnan(q)
    how = as_alignment(align_by)
    protocol: ActivityProtocol = {
        "by": by,
        "align": how.aligner,
        "min_wells": int(min_wells),
        "null_size": int(null_size),
        "seed": int(seed),
        "legacy": legacy,
        "negatives": "all control wells" if legacy else "held-out control wells of a well's own experiment",
        "ties": "positives first" if legacy else "by threshold",
        "wells_sha256": groups.sha256,
        "versions": versions(),
    }
    if how.components is not None:
        protocol["components"] = how.components
    summary: ActivitySummary = {
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
    groups: WellGroups,
    own: Floats,
    experiment: Ints,
    controls: Floats,
    held: Ints,
    first: bool,
    who: Workers | None,
) -> tuple[Retrieved, Ints]:
    """Every well as a query, among unit vectors of wells, group after group, and of controls.

    Experiments of wells and of controls are numbers (n,); the controls' are ascending, as blocks come.
    """
    there = np.flatnonzero(~np.isnan(controls[:, 0]))  # a row without length is NaN in every column
    if len(there) < len(controls):
        controls, held = controls[there], held[there]
    shares = _Shares.of(groups, own, experiment, controls, held, first)
    ap, n_positive, n_negative = np.full(len(own), np.nan), np.zeros(len(own), int), np.zeros(len(own), int)
    doer = Here() if who is None or shares.largest > _SENT else who
    for i, found in doer.run(_precisions, shares):
        rows = shares.rows(i)
        ap[rows], n_positive[rows], n_negative[rows] = found
    group = np.repeat(np.arange(len(groups.sizes)), groups.sizes)
    return Retrieved(ap, n_positive, n_positive + n_negative), group


@dataclass(frozen=True, eq=False)
class _Share:
    """Wells (n, d) of some groups, these of `sizes`, and all controls (m, d) that they are held against.

    Of each its experiment; `first` is whether positives come first among equal similarities.
    """

    own: Floats
    sizes: Ints
    experiment: Ints
    controls: Floats
    held: Ints
    first: bool


@dataclass(frozen=True, eq=False)
class _Shares(Sequence[_Share]):
    """All groups, in shares of neighbors; the controls of a share are brought together when it is asked for.

    `first_group` (n + 1,) says with which group each begins, and the last one ends. `largest` is how many
    bytes the largest has, wells and controls.
    """

    groups: WellGroups
    own: Floats
    experiment: Ints
    controls: Floats
    held: Ints
    first: bool
    first_group: list[int]
    largest: int

    @classmethod
    def of(
        cls, groups: WellGroups, own: Floats, experiment: Ints, controls: Floats, held: Ints, first: bool
    ) -> _Shares:
        """Groups are together while their wells are few, or fewer than the controls that go with them."""
        n_experiments = int(max(experiment.max(initial=0), held.max(initial=0))) + 1
        n_controls = np.bincount(held, minlength=n_experiments)
        row = own.shape[1] * 8
        begins, wells, largest = [0], 0, 0
        there = np.zeros(n_experiments, dtype=bool)
        for k, (start, size) in enumerate(zip(groups.start.tolist(), groups.sizes.tolist(), strict=True), 1):
            there[experiment[start : start + size]] = True
            wells += size
            beside = int(n_controls[there].sum())
            if k == len(groups.sizes) or wells * row >= min(max(_SHARE, beside * row), _SENT // 2):
                begins.append(k)
                largest = max(largest, (wells + beside) * row)
                wells = 0
                there[:] = False
        return cls(groups, own, experiment, controls, held, first, begins, largest)

    def __len__(self) -> int:
        return len(self.first_group) - 1

    def rows(self, i: int) -> slice:
        """The rows of a share's wells."""
        a, b = self.first_group[i : i + 2]
        start = np.r_[self.groups.start, len(self.own)]
        return slice(int(start[a]), int(start[b]))

    def __getitem__(self, i: Any) -> Any:
        if i >= len(self):
            raise IndexError(i)
        rows, a, b = self.rows(i), self.first_group[i], self.first_group[i + 1]
        with_them = np.isin(self.held, self.experiment[rows])
        controls = self.controls if with_them.all() else self.controls[with_them]
        limits.release(self.controls)
        sizes = self.groups.sizes[a:b]
        return _Share(
            self.own[rows], sizes, self.experiment[rows], controls, self.held[with_them], self.first
        )


def _precisions(share: _Share) -> tuple[Floats, Ints, Ints]:
    """Of each well as a query: average precision, how many positives it has, and how many negatives."""
    own, experiment, controls, held = share.own, share.experiment, share.controls, share.held
    ap, n_positive, n_negative = np.full(len(own), np.nan), np.zeros(len(own), int), np.zeros(len(own), int)
    for start, size in zip(
        (np.cumsum(share.sizes) - share.sizes).tolist(), share.sizes.tolist(), strict=True
    ):
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
                ap[some_rows] = average_precision(positive, negative, positives_first=share.first)
            n_positive[queries], n_negative[queries] = len(rows) - 1, b - a
        limits.release(own)
        limits.release(controls)
    return ap, n_positive, n_negative
