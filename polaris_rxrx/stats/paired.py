"""Two submissions on the same treatments: is the mean difference more than noise?

Conventions
    `differences` holds one value a treatment, first minus second, shape (n,). Under the null a difference is
    as likely to have the other sign, independently of the other treatments (sign-flip test, two-sided).
    Differences within 1e-12 of zero are ties: rounding, not rank.

Source
    Fisher's randomisation test for paired data; p = (b + 1) / (R + 1) for drawn signs (Phipson and Smyth,
    Stat. Appl. Genet. Mol. Biol. 9 (2010) 39). Holm, Scand. J. Statist. 6 (1979) 65-70.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

TIE = 1e-12
_CELLS = 4_000_000  # signs at once: bounds the memory


def sign_flip_p(differences: ArrayLike, *, resamples: int = 10_000, seed: int = 0) -> float:
    """The two-sided p-value of a mean difference of zero.

    All 2^k patterns of signs of the k differences that are not ties are counted where that is no more work
    than `resamples` draws; the p-value is then exact. 1 if all are ties.
    """
    d = np.asarray(differences, dtype=np.float64)
    d = d[np.abs(d) > TIE]
    if not len(d):
        return 1.0
    observed = abs(float(d.sum()))
    reached = observed - TIE * max(1.0, float(np.abs(d).sum()))
    if len(d) < 63 and 2 ** len(d) <= resamples:
        patterns = np.arange(2 ** len(d))[:, None] >> np.arange(len(d)) & 1
        return float(np.mean(np.abs((1 - 2 * patterns) @ d) >= reached))
    rng = np.random.default_rng(seed)
    hits = 0
    rows = max(1, _CELLS // len(d))
    total = float(d.sum())
    for start in range(0, resamples, rows):
        n = min(rows, resamples - start)
        bits = np.unpackbits(rng.integers(0, 256, (n, -(-len(d) // 8)), dtype=np.uint8), axis=1)
        hits += int(np.sum(np.abs(total - 2 * (bits[:, : len(d)] @ d)) >= reached))
    return (hits + 1) / (resamples + 1)


def draws(n_comparisons: int, least: int = 10_000) -> int:
    """How many signs to draw for several comparisons.

    Holm's correction multiplies the smallest p-value by their number, and none of R draws is below
    1 / (R + 1): with this many, the draws alone never keep a corrected p-value above .01.
    """
    return max(least, 100 * n_comparisons)


def detectable(differences: ArrayLike, *, level: float = 0.95, power: float = 0.8) -> float:
    """The smallest true mean difference that a two-sided test would find with this power.

    (z_{(1 + level) / 2} + z_power) * sd / sqrt(n), at the spread of these differences. NaN for fewer
    than two.
    """
    d = np.asarray(differences, dtype=np.float64)
    if len(d) < 2:
        return float("nan")
    normal = NormalDist()
    factor = normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)
    return float(factor * d.std(ddof=1) / np.sqrt(len(d)))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, float(p[i]) * (len(p) - rank)))
        adjusted[i] = highest
    return [float(p) for p in adjusted]
