"""Two submissions on the same treatments: is the mean difference more than noise?

Conventions
    `differences` holds one value a treatment, first minus second, shape (n,). Under the null a difference is
    as likely to have the other sign, independently of the other treatments (sign-flip test, two-sided).
    Differences within 1e-12 of zero are ties: rounding, not rank.
    Treatments that share genes are not independent; `stretch` says by how much the mean's standard deviation
    exceeds that of independent ones (`polaris_rxrx.stats.two_way`), and flipped means are stretched by it.

Source
    Fisher's randomization test for paired data; p = (b + 1) / (R + 1) for drawn signs (Phipson and Smyth,
    Stat. Appl. Genet. Mol. Biol. 9 (2010) 39). Holm, Scand. J. Statist. 6 (1979) 65-70.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from polaris_rxrx.stats.resampling import DEFAULT, Resampling
from polaris_rxrx.types import Floats, Ints, Progress

TIE = 1e-12
_CELLS = 4_000_000  # signs, or flipped sums, at once: bounds the memory


def sign_flip_p(differences: ArrayLike, how: Resampling = DEFAULT) -> float:
    """The two-sided p-value of a mean difference of zero; 1 if all are ties, which carry no sign.

    Three differences of one sign: of the eight patterns of signs two reach their sum, 3, in size.

    >>> sign_flip_p([1.0, 1.0, 1.0])
    0.25
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[np.abs(d) > TIE]
    return pairwise_p(np.stack([d, np.zeros_like(d)], axis=1), [(0, 1)], how)[0]


def pairwise_p(
    values: ArrayLike,
    pairs: Sequence[tuple[int, int]],
    how: Resampling,
    *,
    stretch: Sequence[float] | None = None,
    progress: Progress | None = None,
) -> list[float]:
    """The two-sided p-value of no mean difference, for pairs of columns.

    One set of drawn signs serves all pairs: the sum of a difference's flipped values is the difference of two
    columns' flipped sums, so 40 submissions cost little more than two, and the p-value of a pair does not
    depend on what else is compared. All 2^k patterns of signs of the k differences that are not ties are
    counted where that is no more work than `resamples` draws; the p-value is then exact.

    Args:
        values: Shape (n, s), no NaN: a row a treatment, a column a submission.
        pairs: Pairs of columns.
        how: How many patterns of signs are drawn, and from which seed.
        stretch: One factor a pair, at least 1; by default 1.
        progress: Called with a word, how many are drawn, out of how many.

    Three submissions on three treatments: the first against the second, and against the third, which is the
    same.

    >>> values = [[1.0, 0.0, 1.0], [2.0, 1.0, 2.0], [3.0, 2.0, 3.0]]
    >>> from polaris_rxrx.stats.resampling import Resampling
    >>> pairwise_p(values, [(0, 1), (0, 2)], Resampling())
    [0.25, 1.0]
    """
    x = np.asarray(values, dtype=np.float64)
    p = np.full(len(pairs), np.nan)
    reached = np.full(len(pairs), np.inf)
    factors = [1.0] * len(pairs) if stretch is None else stretch
    for i, ((a, b), factor) in enumerate(zip(pairs, factors, strict=True)):
        d = x[:, a] - x[:, b]
        k = int(np.sum(np.abs(d) > TIE))
        if k < 63 and 2**k <= how.resamples:
            p[i] = _exact(d[np.abs(d) > TIE], factor)
        else:
            reached[i] = _reached(d, factor)
    drawn = np.isnan(p)
    if drawn.any():
        hits = _hits(x, pairs, reached, how, progress)
        p[drawn] = (hits[drawn] + 1) / (how.resamples + 1)
    return [float(v) for v in p]


def _reached(d: Floats, stretch: float) -> float:
    """What a flipped sum has to reach to count, rounding allowed for."""
    return abs(float(d.sum())) / stretch - TIE * max(1.0, float(np.abs(d).sum()))


def _exact(d: Floats, stretch: float) -> float:
    """The share of all patterns of signs that reach it; 1 of no differences."""
    patterns = np.arange(2 ** len(d))[:, None] >> np.arange(len(d)) & 1
    return float(np.mean(np.abs((1 - 2 * patterns) @ d) >= _reached(d, stretch)))


def _hits(
    x: Floats,
    pairs: Sequence[tuple[int, int]],
    reached: Floats,
    how: Resampling,
    progress: Progress | None,
) -> Ints:
    """How often a pair's flipped sum reaches what it has to, in absolute value."""
    n, s = x.shape
    # The same for every column, so it changes no difference; sums of small numbers round less.
    x = x - x.mean(axis=1, keepdims=True)
    total = x.sum(axis=0)
    of: dict[int, list[int]] = {}
    for i, (a, _) in enumerate(pairs):
        of.setdefault(a, []).append(i)
    rng = np.random.default_rng(how.seed)
    hits = np.zeros(len(pairs), dtype=np.int64)
    rows = max(1, _CELLS // max(n, s))
    for start in range(0, how.resamples, rows):
        size = min(rows, how.resamples - start)
        bits = np.unpackbits(rng.integers(0, 256, (size, -(-n // 8)), dtype=np.uint8), axis=1)[:, :n]
        sums = (total - 2 * (bits.astype(np.float64) @ x)).T.copy()
        for a, places in of.items():
            apart = np.abs(sums[a] - sums[[pairs[i][1] for i in places]])
            hits[places] += np.sum(apart >= reached[places, None], axis=1)
        if progress is not None:
            progress("comparing", start + size, how.resamples)
    return hits


def draws(n_comparisons: int, least: int = 10_000) -> int:
    """How many signs to draw for several comparisons.

    Holm's correction multiplies the smallest p-value by their number, and none of R draws is below
    1 / (R + 1): with this many, the draws alone never keep a corrected p-value above .01.

    >>> draws(3), draws(780)  # 780: every two of 40 submissions
    (10000, 78000)
    """
    return max(least, 100 * n_comparisons)


def detectable(variance: float, *, level: float = 0.95, power: float = 0.8) -> float:
    """The smallest true mean difference that a two-sided test would find with this power.

    (z_{(1 + level) / 2} + z_power) * sqrt(variance), the variance being that of the mean difference.

    The quantiles of 0.975 and 0.8 are 1.960 and 0.842; the standard deviation is 0.01:

    >>> round(detectable(0.01**2), 4)
    0.028
    """
    normal = NormalDist()
    return float((normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)) * np.sqrt(variance))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given.

    The smallest is multiplied by 3, the next by 2; none is below one before it:

    >>> holm([0.25, 0.0625, 0.5])
    [0.5, 0.1875, 0.5]
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, float(p[i]) * (len(p) - rank)))
        adjusted[i] = highest
    return [float(p) for p in adjusted]
