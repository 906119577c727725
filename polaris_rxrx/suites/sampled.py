"""Scores of drawn negatives, many draws at once: average precision and AUROC of the rows of a table.

Conventions
    A table has a similarity for every row (a compound, or by gene a gene) and column, NaN where there is
    none; negatives are columns, (n_seeds, n_rows, most), of which a row's first `n_negatives` are its own.
    Rows are ranked once, and a draw then only sorts small integers; where a row has a tie, the general kernel
    (`polaris_rxrx.metrics`) takes it, a tie being one threshold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.dataset.affinities import Candidates
from polaris_rxrx.metrics import group_scores
from polaris_rxrx.types import Bools, Floats, Ints, Progress


@dataclass(frozen=True, eq=False)
class Scores:
    """Average precision and AUROC, shape (n_rules, n_rows, n_seeds), NaN where a row has no score."""

    average_precision: Floats
    auroc: Floats


@dataclass(frozen=True, eq=False)
class EqualDraws:
    """Rows with as many actives `a` and negatives; `columns` (n_rows, n_seeds, k) has the actives first."""

    rows: Ints
    a: int
    columns: Ints


def draws_of(can: Candidates, negatives: Ints) -> Iterator[EqualDraws]:
    """The rows that have negatives, by how many they and their actives are."""
    n_active, n_negatives = can.active.sum(axis=1), can.n_negatives
    for a, n in sorted({(int(x), int(y)) for x, y in zip(n_active, n_negatives, strict=True)}):
        rows = np.flatnonzero((n_active == a) & (n_negatives == n))
        if n:
            actives = np.nonzero(can.active[rows])[1].reshape(len(rows), 1, a)
            drawn = negatives[:, rows, :n].transpose(1, 0, 2)
            both = [np.broadcast_to(actives, (*drawn.shape[:2], a)), drawn]
            yield EqualDraws(rows, a, np.concatenate(both, axis=2))


def score_draws(
    tables: Floats, can: Candidates, negatives: Ints, groups: Sequence[EqualDraws], progress: Progress | None
) -> Scores:
    n_rules, n_rows, _ = tables.shape
    ap = np.full((n_rules, n_rows, len(negatives)), np.nan)
    auroc = np.full_like(ap, np.nan)
    for rule, table in enumerate(tables):
        score_rule(table, can, negatives, groups, ap[rule], auroc[rule])
        if progress is not None:
            progress("scoring", rule + 1, n_rules)
    return Scores(ap, auroc)


def score_rule(
    table: Floats, can: Candidates, negatives: Ints, groups: Sequence[EqualDraws], ap: Floats, auroc: Floats
) -> None:
    """Fill `ap` and `auroc` (n_rows, n_seeds) for one dose rule.

    A row's columns are ranked once; a draw then only sorts small integers. Rows with a tie take the general
    way.
    """
    place, tied = _places(table)
    for group in groups:
        here = ~tied[group.rows]
        rows, columns = group.rows[here], group.columns[here]
        if rows.size:
            ap[rows], auroc[rows] = _ranked(
                np.take_along_axis(place[rows][:, None], columns, axis=2), group.a
            )
    for row in np.flatnonzero(tied):
        _tied_row(table[row], can, negatives, int(row), ap[row], auroc[row])


def _places(table: Floats) -> tuple[NDArray[Any], Bools]:
    """Each column's place in its row, best first, -1 without a score; and rows with a tie."""
    order = np.argsort(-table, axis=1)  # NaN last
    small = np.int16 if table.shape[1] < 2**14 else np.int32  # small integers sort quickest
    place: NDArray[Any] = np.empty(table.shape, dtype=small)
    np.put_along_axis(place, order, np.arange(table.shape[1], dtype=small)[None], axis=1)
    place[np.isnan(table)] = -1
    tied: Bools = (np.diff(np.take_along_axis(table, order, axis=1), axis=1) == 0).any(axis=1)
    return place, tied


def _ranked(place: NDArray[Any], a: int) -> tuple[Floats, Floats]:
    """Average precision and AUROC from places (..., k) without ties, the first `a` being the actives'.

    Places below 0 are left out; NaN without both classes.
    """
    return _sorted_scores(place * place.dtype.type(2), place < 0, a)


def ranked_values(values: Floats, a: int) -> tuple[Floats, Floats]:
    """The same from drawn similarities, NaN where there is none; equal ones do not occur among them."""
    # Bits of numbers above 0 are in the order of the numbers.
    return _sorted_scores((2.0 - values).view(np.int64) & ~1, np.isnan(values), a)


def _sorted_scores(key: NDArray[Any], absent: Bools, a: int) -> tuple[Floats, Floats]:
    """Scores from even integers, the smallest the best; `key` is overwritten."""
    k = key.shape[-1]
    n_active: Any = a
    n_negative: Any = k - a
    key[..., a:] |= 1  # the lowest bit says that it is a negative
    if absent.any():
        key[absent] = np.iinfo(key.dtype).max  # behind everything, and no active
        n_active = a - absent[..., :a].sum(axis=-1)
        n_negative = k - a - absent[..., a:].sum(axis=-1)
    key.sort(axis=-1)
    is_active = (key & 1) == 0
    found = np.cumsum(is_active, axis=-1, dtype=np.float64)
    found *= is_active
    # Sums along short rows are quickest as products; those of ranks are whole numbers, so exact.
    rank = np.arange(1.0, k + 1)
    precision = (found / rank) @ np.ones(k)
    # An active has beaten the negatives but for those in front of it.
    lost = is_active.astype(np.float64) @ rank - n_active * (n_active + 1) / 2
    both = np.asarray(n_active * n_negative, dtype=np.float64)
    both[both == 0] = np.nan
    return precision / np.where(np.isnan(both), np.nan, n_active), 1 - lost / both


def _tied_row(values: Floats, can: Candidates, negatives: Ints, row: int, ap: Floats, auroc: Floats) -> None:
    """One row through the general kernel; columns without a score are left out, NaN without both classes."""
    actives, n = np.flatnonzero(can.active[row]), int(can.n_negatives[row])
    n_seeds = len(negatives)
    columns = np.hstack([np.broadcast_to(actives, (n_seeds, len(actives))), negatives[:, row, :n]])
    label = np.r_[np.ones(len(actives)), np.zeros(n)]
    score = values[columns]
    there = ~np.isnan(score)
    seed = np.broadcast_to(np.arange(n_seeds)[:, None], score.shape)
    groups = group_scores(np.broadcast_to(label, score.shape)[there], score[there], seed[there], n_seeds)
    both = (groups.n_active > 0) & (groups.n_active < groups.n_pairs)
    ap[both], auroc[both] = groups.average_precision[both], groups.auroc[both]


def pooled_scores(tables: Floats, can: Candidates, negatives: Ints) -> Floats:
    """Micro average precision and AUROC of each seed, shape (n_rules, 2, n_seeds)."""
    own = np.arange(negatives.shape[2]) < can.n_negatives[:, None]
    begin = np.broadcast_to(np.arange(len(can.rows))[:, None] * len(can.columns), own.shape)[own]
    actives = np.flatnonzero(can.active.reshape(-1))
    flat = tables.reshape(len(tables), -1)
    place = np.empty(flat.shape, dtype=np.int32)
    tied = np.zeros(len(flat), dtype=bool)
    for rule, values in enumerate(flat):
        order = np.argsort(-values)  # NaN last
        place[rule, order] = np.arange(len(values), dtype=np.int32)
        place[rule, np.isnan(values)] = -1
        tied[rule] = (np.diff(values[order]) == 0).any()
    out = np.full((len(flat), 2, len(negatives)), np.nan)
    place = place[~tied]
    for i, drawn in enumerate(negatives):
        pairs: Ints = np.r_[actives, begin + drawn[own]]
        if len(place):
            out[~tied, 0, i], out[~tied, 1, i] = _ranked(place[:, pairs], len(actives))
        for t in np.flatnonzero(tied):
            there = ~np.isnan(flat[t, pairs])
            label = (np.arange(len(pairs)) < len(actives))[there].astype(np.float64)
            if 0 < label.sum() < len(label):
                score, seed = flat[t, pairs[there]], np.zeros(len(label), dtype=np.int64)
                one = group_scores(label, score, seed, 1)
                out[t, :, i] = one.average_precision[0], one.auroc[0]
    return out
