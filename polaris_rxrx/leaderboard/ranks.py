"""Which of many submissions are told apart from noise, and the ranks that follow.

Conventions
    `values` has one row a treatment and one column a submission, shape (n, s), no NaN; higher is better.
    Every two columns are compared by the sign-flip test of `polaris_rxrx.stats.paired`, two-sided. One set of
    drawn signs serves all comparisons: the sum of a difference's flipped values is the difference of two
    columns' flipped sums, so 40 submissions cost little more than two.
    A submission's rank is 1 + how many are better than it beyond noise. Being told apart is not transitive,
    so ranks need not rise in steps of one, nor strictly in the order of the means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polaris_rxrx.stats.paired import TIE, sign_flip_p

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int], None]

EXACT = 13  # up to this many differences that are not ties, all patterns of signs are counted
_CELLS = 4_000_000  # signs at once: bounds the memory


def pairwise_p(
    values: ArrayLike, *, resamples: int, seed: int = 0, progress: Progress | None = None
) -> list[float]:
    """The p-value of every two columns, in the order of `itertools.combinations`.

    Exact where at most `EXACT` treatments differ, else (b + 1) / (resamples + 1).

    Args:
        values: Shape (n, s).
        resamples: How many patterns of signs are drawn.
        seed: Of the signs.
        progress: Called with a word, how many are drawn, out of how many.
    """
    x = np.asarray(values, dtype=np.float64)
    s = x.shape[1]
    pairs = list(combinations(range(s), 2))
    p = np.full(len(pairs), np.nan)
    drawn = np.zeros(len(pairs), dtype=bool)
    reached = np.zeros(len(pairs))
    for i, (a, b) in enumerate(pairs):
        d = x[:, a] - x[:, b]
        if np.sum(np.abs(d) > TIE) <= EXACT:
            p[i] = sign_flip_p(d, resamples=2**EXACT)
        else:
            drawn[i] = True
            reached[i] = abs(float(d.sum())) - TIE * max(1.0, float(np.abs(d).sum()))
    if drawn.any():
        hits = _hits(x, np.where(drawn, reached, np.inf), resamples, seed, progress)
        p[drawn] = (hits[drawn] + 1) / (resamples + 1)
    return [float(v) for v in p]


def _hits(
    x: Floats, reached: Floats, resamples: int, seed: int, progress: Progress | None
) -> NDArray[np.int64]:
    """How often a pair's flipped sum is at least what it has to reach, in absolute value."""
    n, s = x.shape
    # The same for every column, so it changes no difference; sums of small numbers round less.
    x = x - x.mean(axis=1, keepdims=True)
    total = x.sum(axis=0)
    rng = np.random.default_rng(seed)
    hits = np.zeros(len(reached), dtype=np.int64)
    rows = max(1, _CELLS // max(n, s))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        bits = np.unpackbits(rng.integers(0, 256, (size, -(-n // 8)), dtype=np.uint8), axis=1)[:, :n]
        sums = (total - 2 * (bits.astype(np.float64) @ x)).T.copy()
        first = 0
        for a in range(s - 1):
            last = first + s - 1 - a
            apart = np.abs(sums[a] - sums[a + 1 :])
            hits[first:last] += np.sum(apart >= reached[first:last, None], axis=1)
            first = last
        if progress is not None:
            progress("comparing", start + size, resamples)
    return hits


def ranks(n: int, better: Sequence[tuple[int, int]]) -> list[int]:
    """1 + how many are better, of each of n; `better` holds (winner, loser), each once."""
    counts = [1] * n
    for _, loser in better:
        counts[loser] += 1
    return counts
