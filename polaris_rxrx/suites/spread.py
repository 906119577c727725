"""How far a drug-target mean would move: with other negatives, other compounds, other genes.

Conventions
    Of the mean over rows of (metric - its exact chance), averaged over draws of negatives. Rows are compounds
    and columns genes (by gene the other way round). Leaving out a row, a column from every row that has it,
    or one cell moves the mean of each draw (`polaris_rxrx.stats.two_way`); these moves are averaged over the
    first `DRAWS` draws before they are squared, so that what is left is the spread that other draws do not
    take away. The interval is the bootstrap's over rows, stretched to that variance.
    Standard deviations are of the mean: `negatives` over draws (the paper's, ddof 0), `rows` and `columns` as
    above, `together` of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polaris_rxrx.metrics import group_scores
from polaris_rxrx.stats.intervals import Interval, bca
from polaris_rxrx.stats.two_way import Means, leave_out
from polaris_rxrx.types import Bools, Floats, Ints

DRAWS = 20


@dataclass(frozen=True)
class Spread:
    """Of one metric; NaN where there is none."""

    interval: Interval
    negatives: float
    rows: float
    columns: float
    together: float


def spreads(
    table: Floats,
    active: Bools,
    negatives: Ints,
    n_negatives: Ints,
    scores: tuple[Floats, Floats],
) -> tuple[Spread, Spread]:
    """The spread of mean average precision and of mean AUROC for one dose rule.

    Args:
        table: Similarities (n_rows, n_columns), NaN without one.
        active: Whether a pair is active, the same shape.
        negatives: Columns of the negatives, (n_draws, n_rows, most).
        n_negatives: How many of them are a row's own, (n_rows,).
        scores: Average precisions and AUROCs, (n_rows, n_draws) each.
    """
    n_rows, n_columns = table.shape
    own = np.arange(negatives.shape[2]) < n_negatives[:, None]
    moves = [[np.zeros(n_rows), np.zeros(n_columns), np.zeros(n_rows * n_columns)] for _ in scores]
    asked = negatives[:DRAWS]
    for drawn in asked:
        row, column = np.nonzero(active)
        no_row = np.repeat(np.arange(n_rows), n_negatives)
        row, column = np.r_[row, no_row], np.r_[column, drawn[own]]
        label = np.r_[np.ones(int(active.sum())), np.zeros(len(no_row))]
        there = ~np.isnan(table[row, column])
        row, column, label = row[there], column[there], label[there]
        value = table[row, column]
        groups = group_scores(label, value, row, n_rows)
        both = (groups.n_active > 0) & (groups.n_active < groups.n_pairs)  # as the suite counts rows
        keep = both[row]
        row, column, label, value = row[keep], column[keep], label[keep], value[keep]
        found = leave_out(label, value, row, column, group_scores(label, value, row, n_rows))
        rows_there, columns_there = np.unique(row), np.unique(column)
        cells = np.unique(row * n_columns + column)
        for of, means in zip(moves, (found["pr_auc"], found["roc_auc"]), strict=True):
            for total, at, left in zip(
                of, (rows_there, columns_there, cells), (means.treatment, means.gene, means.cell), strict=True
            ):
                total[at] += np.where(np.isnan(left), 0.0, left - means.whole) / len(asked)
    return (
        _spread(moves[0], scores[0]),
        _spread(moves[1], scores[1]),
    )


def _spread(moves: list[Floats], scores: Floats) -> Spread:
    rows = ~np.isnan(scores).all(axis=1)
    nothing = float("nan")
    if rows.sum() < 2:
        return Spread(Interval(nothing, nothing), nothing, nothing, nothing, nothing)
    by_row, by_column, by_cell = moves
    v = Means(by_row[rows], by_column, by_cell, 0.0).variance()
    mean = np.nanmean(scores[rows], axis=1)
    over_draws = np.nanmean(scores[rows], axis=0)
    plain = bca(mean)
    return Spread(
        plain.stretched(float(mean.mean()), v.stretch("both"), 0.0, 1.0),
        float(over_draws.std()),
        float(np.sqrt(v.treatment)),
        float(np.sqrt(v.extra("both"))),
        float(np.sqrt(v.of("both"))),
    )
