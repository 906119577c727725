"""How far a drug-target mean moves, against deleting and scoring again, draw by draw."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from polaris_rxrx.metrics import expected_average_precision
from polaris_rxrx.suites.spread import spreads

Floats = NDArray[np.float64]
ROWS, COLUMNS, DRAWS, MOST = 7, 12, 4, 5


def world(seed: int) -> tuple[Floats, NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    table = np.abs(rng.normal(size=(ROWS, COLUMNS)) + rng.normal(size=COLUMNS))
    table[1, 3] = np.nan
    table[2] = np.nan  # a row without any score
    active = rng.random((ROWS, COLUMNS)) < 0.25
    active[0] = False  # nothing to find
    active[3:, 0] = True
    n_negatives = rng.integers(3, MOST + 1, ROWS)
    negatives = np.zeros((DRAWS, ROWS, MOST), dtype=np.int64)
    for d in range(DRAWS):
        for r in range(ROWS):
            negatives[d, r, : n_negatives[r]] = rng.choice(np.flatnonzero(~active[r]), n_negatives[r], False)
    return table, active, negatives, n_negatives


Pair = tuple[int, int, int, float]  # row, column, label, value


@cache
def above_chance(row: tuple[Pair, ...], metric: int) -> float | None:
    """Metric minus chance of one row's pairs, None where not defined; most deletions leave most rows."""
    y, s = [p[2] for p in row], [p[3] for p in row]
    if metric == 0:
        return (
            average_precision_score(y, s) - float(expected_average_precision(len(y), sum(y)))
            if sum(y)
            else None
        )
    return roc_auc_score(y, s) - 0.5 if 0 < sum(y) < len(y) else None


def mean(pairs: list[Pair], metric: int) -> float:
    """Mean over rows of (metric - chance)."""
    rows = (tuple(p for p in pairs if p[0] == r) for r in sorted({p[0] for p in pairs}))
    found = [value for row in rows if (value := above_chance(row, metric)) is not None]
    return float(np.mean(found)) if found else float("nan")


def pairs(world: Any, d: int) -> list[Pair]:
    table, active, negatives, n = world
    out = []
    for r in range(ROWS):
        columns = [(int(c), 1) for c in np.flatnonzero(active[r])]
        columns += [(int(c), 0) for c in negatives[d, r, : n[r]]]
        own = [(r, c, y, float(table[r, c])) for c, y in columns if not np.isnan(table[r, c])]
        if 0 < sum(p[2] for p in own) < len(own):
            out += own
    return out


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_deleting_and_scoring_again(seed: int) -> None:
    w = world(seed)
    scores = np.full((2, ROWS, DRAWS), np.nan)
    for d in range(DRAWS):
        drawn = pairs(w, d)
        for r in {p[0] for p in drawn}:
            y, s = [p[2] for p in drawn if p[0] == r], [p[3] for p in drawn if p[0] == r]
            scores[:, r, d] = average_precision_score(y, s), roc_auc_score(y, s)
    found = spreads(*w, scores=(scores[0], scores[1]))
    counted = np.flatnonzero(~np.isnan(scores[0]).all(axis=1))
    for metric, of in enumerate(found):
        parts = []
        for keys in (
            [(int(r), None) for r in counted],
            [(None, c) for c in range(COLUMNS)],
            [(r, c) for r in range(ROWS) for c in range(COLUMNS)],
        ):
            moves = []
            for r, c in keys:
                total = 0.0
                for d in range(DRAWS):
                    drawn = pairs(w, d)
                    left = [p for p in drawn if not (r in (None, p[0]) and c in (None, p[1]))]
                    value = mean(left, metric)
                    total += 0.0 if np.isnan(value) else value - mean(drawn, metric)
                moves.append(total / DRAWS)
            parts.append(np.var(moves) * (len(moves) - 1))
        v_rows, v_columns, v_cells = parts
        assert of.rows == pytest.approx(v_rows**0.5, abs=1e-10)
        assert of.columns == pytest.approx(max(0.0, v_columns - v_cells) ** 0.5, abs=1e-10)
        assert of.together == pytest.approx((v_rows + max(0.0, v_columns - v_cells)) ** 0.5, abs=1e-10)
        assert of.negatives == pytest.approx(np.nanmean(scores[metric][counted], axis=0).std())
        middle = np.nanmean(scores[metric][counted])
        assert of.interval.low <= middle <= of.interval.high


def test_one_row_has_no_spread() -> None:
    w = world(0)
    scores = np.full((ROWS, DRAWS), np.nan)
    scores[4] = 0.5
    for of in spreads(*w, scores=(scores, scores)):
        assert np.isnan([of.interval.low, of.rows, of.columns, of.together, of.negatives]).all()
