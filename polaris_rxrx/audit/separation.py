"""How many treatments should be separated perfectly: every active above every inactive.

A submission that knows the labels of some treatments separates those perfectly, and no others. Chance does so
with probability 1 / C(n, m), n pairs of which m are active. A good, honest model does so more often, but it
also nearly does so elsewhere: how often is foretold from the treatments that it does not separate.

Conventions
    A treatment counts if it has both classes. Ties of an active with an inactive are no separation.
    `order` lists a treatment's pairs from the highest score down.

The model of an honest submission
    Of the pairs not yet listed, an active is drawn as the next one theta times as readily as an inactive
    (Plackett and Luce; equally: scores are exponential waiting times, actives' rate theta, and AUROC is
    theta / (1 + theta)). Then P(perfect) = prod_{j=1..m} j theta / (j theta + n - m), which is 1 / C(n, m) at
    theta = 1. Treatments differ: log theta is normal over them. Mean and spread are those most likely given
    the orders of the treatments that are not perfect, each likelihood conditional on not being perfect, so
    that treatments with leaked labels do not count towards the model that is to foretell them.
    The number of perfect treatments is then a sum of independent yes-or-no draws; its tail is exact.

Source
    Plackett, J. R. Stat. Soc. C 24 (1975) 193-202; Hanley and McNeil, Radiology 143 (1982) 29-36.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from polaris_rxrx.quick import log_ways
from polaris_rxrx.types import Bools, Floats, Ints

# log theta: from actives drawn at e^-3 of the readiness of inactives, to e^9 times it.
_GRID = np.linspace(-3, 9, 97)
_MEANS = np.linspace(-1, 5, 61)
_SPREADS = np.array(
    [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0]
)
MIN_MODEL = 20  # treatments that are not perfect, for a model of them to mean anything


@dataclass(frozen=True, eq=False)
class Separation:
    """Perfectly separated treatments, seen and expected.

    `perfect` (n_groups,) marks them. `n` is how many have both classes. The `_rest` figures are foretold from
    the other treatments; None where there are too few.
    """

    perfect: Bools
    n: int
    seen: int
    expected: float
    p_value: float
    expected_rest: float | None
    p_value_rest: float | None
    auroc_rest: float | None
    chance: Floats


def separation(active: Floats, score: Floats, group: Ints, n_groups: int, *, seed: int = 0) -> Separation:
    """Count, and say how many chance and the rest of the submission would give.

    Args:
        active: Labels 1 or 0.
        score: Finite scores.
        group: Codes 0..n_groups-1.
        n_groups: How many groups there are.
        seed: Of the order in which equal scores are taken by the model.
    """
    n = np.bincount(group, minlength=n_groups)
    m = np.bincount(group[active == 1], minlength=n_groups)
    both = (m > 0) & (m < n)
    lowest_active = np.full(n_groups, np.inf)
    np.minimum.at(lowest_active, group[active == 1], score[active == 1])
    highest_inactive = np.full(n_groups, -np.inf)
    np.maximum.at(highest_inactive, group[active == 0], score[active == 0])
    perfect = both & (lowest_active > highest_inactive)
    seen = int(perfect.sum())
    chance = np.where(both, np.exp(-log_ways(n, m)), np.nan)
    rest_of, p_rest, auroc = None, None, None
    others = both & ~perfect
    if others.sum() >= MIN_MODEL:
        foretold, auroc = _foretell(active, score, group, n, m, both, others, seed)
        rest_of = float(foretold.sum())
        p_rest = tail(foretold, seen)
    return Separation(
        perfect, int(both.sum()), seen, float(chance[both].sum()), tail(chance[both], seen),
        rest_of, p_rest, auroc, chance,
    )  # fmt: skip


def tail(p: Floats, at_least: int) -> float:
    """P(at least so many of independent events with these probabilities): exact."""
    if at_least <= 0:
        return 1.0
    if at_least > len(p):
        return 0.0
    # Counts 0..at_least-1 one by one, and everything from at_least on in the last cell: no difference of
    # near-equal numbers is ever taken, so a tiny tail keeps its digits.
    share = np.zeros(at_least + 1)
    share[0] = 1.0
    for each in p.tolist():
        moved = share[:-1] * each
        share[:-1] -= moved
        share[1:] += moved
    return float(min(1.0, share[-1]))


def log_perfect(n: Ints, m: Ints, log_theta: Floats) -> Floats:
    """log P(perfect) of each group (rows) at each log theta (columns)."""
    found = np.zeros((len(n), len(log_theta)))
    theta = np.exp(log_theta)
    sums = np.zeros((0, 0))
    for rest in np.unique(n - m).tolist():
        of = np.flatnonzero(n - m == rest)
        j = np.arange(1, int(m[of].max(initial=0)) + 1)[:, None]
        sums = np.vstack([np.zeros(len(theta)), -np.cumsum(np.log1p(rest / (j * theta)), axis=0)])
        found[of] = sums[m[of]]
    return found


def log_likelihood(active: Floats, group: Ints, n_groups: int, log_theta: Floats) -> Floats:
    """Of each group's order (rows) at each log theta (columns), up to a constant of the group.

    Pairs must stand group by group, within a group from the highest score down.
    """
    n = np.bincount(group, minlength=n_groups)
    m = np.bincount(group, active, minlength=n_groups)
    first = (np.cumsum(n) - n)[group]
    above = np.cumsum(active) - active
    actives_left = m[group] - (above - above[first])
    all_left = n[group] - (np.arange(len(group)) - first)
    terms = np.log(np.outer(actives_left, np.exp(log_theta)) + (all_left - actives_left)[:, None])
    running = np.vstack([np.zeros(len(log_theta)), np.cumsum(terms, axis=0)])
    ends = np.cumsum(n)
    found: Floats = np.outer(m, log_theta) - (running[ends] - running[ends - n])
    return found


@cache
def _weights() -> Floats:
    """How the models (columns) spread over the grid of log theta (rows); read-only, as audits share it."""
    models = [(mean, spread) for mean in _MEANS for spread in _SPREADS]
    density = np.exp([-0.5 * ((_GRID - mean) / spread) ** 2 for mean, spread in models])
    weights: Floats = (density / density.sum(axis=1, keepdims=True)).T
    weights.flags.writeable = False
    return weights


def _foretell(
    active: Floats,
    score: Floats,
    group: Ints,
    n: Ints,
    m: Ints,
    both: Bools,
    others: Bools,
    seed: int,
) -> tuple[Floats, float]:
    """P(perfect) of every treatment with both classes, and the typical AUROC of the model."""
    keep = others[group]
    code = np.cumsum(others) - 1
    y, s, g = active[keep], score[keep], code[group[keep]]
    order = np.lexsort((np.random.default_rng(seed).random(len(s)), -s, g))
    likelihood = log_likelihood(y[order], g[order], int(others.sum()), _GRID)
    likelihood = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    weights = _weights()
    imperfect = -np.expm1(log_perfect(n[others], m[others], _GRID))
    fit = np.log(likelihood @ weights) - np.log(imperfect @ weights)
    best = int(np.argmax(fit.sum(axis=0)))
    foretold: Floats = np.exp(log_perfect(n[both], m[both], _GRID)) @ weights[:, best]
    return foretold, float(1 / (1 + np.exp(-_GRID)) @ weights[:, best])
