"""p-values of signal and replicate consistency against held-out control wells.

Why
    Aligning on an experiment's finite control wells gives all its other wells a common offset and a larger
    spread, which the controls themselves, being in the fit, have not: held against them noise is always
    different. So every experiment's controls are split, the aligner is fitted on one half, and a perturbation
    is held against the other half: wells that the fit has seen as little as the perturbation's own.

Conventions
    A stratum is a plate of an experiment, where the metadata has a column `plate` and every plate of the
    perturbation has `PLATE_LEAST` held-out controls; else an experiment. Wells in a stratum without held-out
    controls are left out of the test.
    Under the null, given the fit, own wells and held-out ones of a stratum can change places. In each split
    they do so `n_random` / `SPLITS` times, at random in each stratum, and p = (1 + how often the statistic
    reaches that of the own wells) / (1 + how often they changed): exact for whatever is common to a stratum.
    The statistic is the energy distance from (at most `MAX_REFERENCE`) controls of the fit, or the mean
    cosine of all pairs of wells.
    Of a large perturbation `MAX_GROUP` wells are taken, and of a stratum's controls at most
    max(`HELD` times its wells, `HELD_LEAST`).
    `SPLITS` splits give p-values that depend on each other. They are combined by Cauchy's: p = 1/2 -
    atan(mean of tan((1/2 - p_s) pi)) / pi, p_s at most `CLIP`: it is p itself if all agree, and keeps the
    level near what it says whatever the dependence, as tests/calibration shows for these. (Twice the median,
    which never errs to the other side, rejects 1% at 5% here.)
    A perturbation of which fewer than two wells can be tested, or whose wells can change places in fewer than
    20 ways, has none (NaN), in all splits.
    `null_mean_*` are the statistics' expectations for held-out wells in the perturbation's place: what noise
    gives with half of the controls; with all of them, as the reported values have, about half as much.

Source
    Exchange within strata: Fisher's randomization. Combination: Liu and Xie, J. Am. Stat. Assoc. 115 (2020)
    393-402; Meinshausen, Meier and Buhlmann, J. Am. Stat. Assoc. 104 (2009) 1671-1681 on splits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb, prod
from typing import Any

import numpy as np
from typing_extensions import TypedDict

from polaris_rxrx import limits
from polaris_rxrx.errors import some
from polaris_rxrx.maps import align
from polaris_rxrx.maps.align import AlignBy, Moments
from polaris_rxrx.maps.similarity import unit_rows
from polaris_rxrx.parallel import Here, Workers
from polaris_rxrx.suites.energy import ReferenceWells, distances, left_factor, right_factor
from polaris_rxrx.suites.groups import (
    MAX_GROUP,
    MIN_WELLS,
    N_RANDOM,
    SPLIT,
    By,
    WellGroups,
    check_choices,
    group_wells,
    put,
    room,
)
from polaris_rxrx.suites.unexpressed import TIE
from polaris_rxrx.types import Bools, Floats, Ints
from polaris_rxrx.wells.source import WellBlock, WellSource

SPLITS = 3
MAX_REFERENCE = 250
HELD, HELD_LEAST = 2, 4
PLATE_LEAST = 2
WAYS = 20  # fewer give no p-value of .05

CLIP = 0.99  # above it, one split alone would outweigh the others
P_VALUE = "(1 + reach) / (1 + n) exchanges with held-out controls, splits combined by Cauchy's"


@dataclass(frozen=True, eq=False)
class Tested:
    """Of each group: p-values, expectations under noise, and how many wells were tested; NaN without any."""

    energy_p: Floats
    cosine_p: Floats
    null_energy: Floats
    null_cosine: Floats
    n_wells: Ints

    def notes(self, groups: WellGroups) -> list[str]:
        none = [name for name, p in zip(groups.name, self.energy_p, strict=True) if np.isnan(p)]
        if not none:
            return []
        return [
            f"{len(none):,} perturbations have no p-value, for their experiments have too few held-out "
            f"controls: {some(none)}"
        ]


def held_out(
    wells: WellSource,
    *,
    by: By = "gene",
    align_by: AlignBy = "pca-cs",
    min_wells: int = MIN_WELLS,
    seed: int = 0,
    n_random: int = N_RANDOM,
    max_memory: int | None = None,
    who: Workers | None = None,
) -> Tested:
    """The tests of both suites at once, for their `tested`; arguments are theirs."""
    check_choices(by, min_wells=min_wells, seed=seed, n_random=n_random)
    groups = group_wells(wells, by, min_wells)
    return hold(wells, align_by, groups, n_random=n_random, seed=seed, max_memory=max_memory, who=who)


def hold(
    wells: WellSource,
    align_by: AlignBy,
    groups: WellGroups,
    *,
    n_random: int,
    seed: int,
    max_memory: int | None = None,
    who: Workers | None = None,
) -> Tested:
    """Hold every group against held-out controls, by both statistics.

    Args:
        wells: All of them, experiments whole.
        align_by: See `polaris_rxrx.maps.align`.
        groups: From `group_wells`.
        n_random: Exchanges, over all splits.
        seed: Of splits and exchanges.
        max_memory: Bytes that this process may take; see `polaris_rxrx.suites.groups.room`.
        who: Who does the tests, this process unless another is named; wells are aligned here, and those of a
            test go with it.
    """
    n = len(groups.sizes)
    found = np.full((4, SPLITS, n), np.nan)
    used = np.zeros((SPLITS, n), dtype=np.int64)
    for s in range(SPLITS):
        half = Half.of(wells, align_by, groups, seed, s, max_memory)
        tests = half.tests(groups, -(-n_random // SPLITS), seed, s)
        for i, values in (who or Here()).run(_judge, tests):
            choice = tests.choices[i]
            found[:, s, choice.group], used[s, choice.group] = values, len(choice.own)
        del half, tests  # before the next ones are made
    whole = ~np.isnan(found[0]).any(axis=0)
    with np.errstate(invalid="ignore"):
        p = np.where(whole, combined(found[:2]), np.nan)
        null = np.where(whole, found[2:].mean(axis=1), np.nan)
    return Tested(p[0], p[1], null[0], null[1], np.where(whole, used.min(axis=0), 0))


def combined(p: Floats) -> Floats:
    """One p-value of those of several splits, (..., SPLITS, n) -> (..., n)."""
    turned = np.tan((0.5 - np.minimum(p, CLIP)) * np.pi).mean(axis=-2)
    found: Floats = 0.5 - np.arctan(turned) / np.pi
    return found


class SplitsProtocol(TypedDict):
    """How tests against held-out controls are made; null where there are none."""

    n_splits: int | None
    max_group: int | None
    max_held: list[float] | None


def protocol(used: bool) -> SplitsProtocol:
    """How tests are made, for a protocol."""
    if not used:
        return {"n_splits": None, "max_group": None, "max_held": None}
    return {"n_splits": SPLITS, "max_group": MAX_GROUP, "max_held": [HELD, HELD_LEAST]}


@dataclass(frozen=True, eq=False)
class _Pool:
    """Aligned wells (m, d), the perturbation's `own` ones first, and the stratum of each, (m,)."""

    x: Floats
    stratum: Ints
    own: int


@dataclass(frozen=True, eq=False)
class _Choice:
    """Which wells (m,) are held against which held-out controls (k,), and the stratum of each, (m + k,)."""

    group: int
    own: Ints
    held: Ints
    stratum: Ints


@dataclass(frozen=True, eq=False)
class _Test:
    """All that a group's test takes, wherever it is done."""

    pool: _Pool
    reference: ReferenceWells
    n_random: int
    seed: list[int]


@dataclass(frozen=True, eq=False)
class _Tests(Sequence[_Test]):
    """The tests of groups that can be tested; the wells of one are brought together when it is asked for."""

    half: Half
    choices: list[_Choice]
    n_random: int
    seed: list[int]

    def __len__(self) -> int:
        return len(self.choices)

    def __getitem__(self, i: Any) -> Any:
        choice, half = self.choices[i], self.half
        x = np.concatenate([half.x[choice.own], half.held[choice.held]])
        limits.release(half.x)
        limits.release(half.held)
        return _Test(_Pool(x, choice.stratum, len(choice.own)), half.reference, self.n_random, self.seed)


def _judge(test: _Test) -> list[float]:
    return _statistics(test.pool, test.reference, test.n_random, test.seed)


@dataclass(frozen=True, eq=False)
class Half:
    """Everything aligned on one half of the controls: wells group by group, held-out controls, a reference.

    `plate` and `held_plate` are strata by plate, None where no plates are known.
    """

    x: Floats
    experiment: Ints
    plate: Ints | None
    held: Floats
    held_experiment: Ints
    held_plate: Ints | None
    reference: ReferenceWells

    @classmethod
    def of(
        cls,
        wells: WellSource,
        align_by: AlignBy,
        groups: WellGroups,
        seed: int,
        split: int,
        max_memory: int | None = None,
    ) -> Half:
        moments, n_fit, n_held = _controls(wells, align_by, groups, seed, split)
        basis = align.basis(align_by, moments, len(wells.features))
        x = room((int(groups.sizes.sum()), basis.width), max_memory)
        held = room((n_held, basis.width), max_memory)
        where, held_at = np.empty((len(x), 2), dtype=np.int64), np.empty((n_held, 2), dtype=np.int64)
        chosen = np.random.default_rng([seed, SPLIT, split, 1]).permutation(n_fit)[:MAX_REFERENCE]
        reference = np.empty((len(chosen), basis.width))
        place = np.full(n_fit, -1, dtype=np.int64)
        place[chosen] = np.arange(len(chosen))
        plates = True
        free, fitted, seen = groups.start, 0, 0
        for b, block in enumerate(wells.blocks()):
            of = groups.of[block.perturbation]
            rows = np.flatnonzero((of >= 0) & ~block.control)
            side = groups.side_control[block.perturbation]
            if not len(rows) and not (side & block.control).any():
                continue
            fit, out = _halves(block, seed, split, b)
            affine = align.fit(basis, block.x[fit])
            plates &= block.plate is not None
            plate = block.plate if block.plate is not None else np.zeros(len(block.x), dtype=np.int64)
            rows = rows[np.argsort(of[rows], kind="stable")]
            to = groups.places(of[rows], free)
            put(x, to, affine, block, rows)
            where[to, 0], where[to, 1] = b, plate[rows]
            out, fit = out[side[out]], fit[side[fit]]
            to = np.arange(seen, seen + len(out))
            put(held, to, affine, block, out)
            held_at[to, 0], held_at[to, 1] = b, plate[out]
            to = place[fitted : fitted + len(fit)]
            put(reference, to[to >= 0], affine, block, fit[to >= 0])
            seen, fitted = seen + len(out), fitted + len(fit)
        width = int(max(where[:, 1].max(initial=0), held_at[:, 1].max(initial=0))) + 1
        return cls(
            x,
            where[:, 0],
            where[:, 0] * width + where[:, 1] if plates else None,
            held,
            held_at[:, 0],
            held_at[:, 0] * width + held_at[:, 1] if plates else None,
            ReferenceWells.of(reference),
        )

    def tests(self, groups: WellGroups, n_random: int, seed: int, split: int) -> _Tests:
        """A test of every group whose wells can change places with held-out controls."""
        found = [c for c in self._choices(groups, seed, split) if c is not None]
        return _Tests(self, found, n_random, [seed, SPLIT, split])

    def _choices(self, groups: WellGroups, seed: int, split: int) -> Iterator[_Choice | None]:
        by_experiment = _places(self.held_experiment)
        by_plate = None if self.held_plate is None else _places(self.held_plate)
        rng = np.random.default_rng([seed, SPLIT, split, 2])
        for k, (start, n) in enumerate(zip(groups.start.tolist(), groups.sizes.tolist(), strict=True)):
            rows = np.arange(start, start + n)
            if n > MAX_GROUP:
                rows = start + np.sort(rng.choice(n, MAX_GROUP, replace=False))
            own, places = self.experiment[rows], by_experiment
            if by_plate is not None and self.plate is not None:
                there = [len(by_plate.get(int(c), ())) for c in np.unique(self.plate[rows])]
                if min(there) >= PLATE_LEAST:
                    own, places = self.plate[rows], by_plate
            yield _choice(k, rows, own, places, rng)


def _choice(
    group: int, rows: Ints, own: Ints, places: dict[int, Ints], rng: np.random.Generator
) -> _Choice | None:
    """Of wells `rows` in strata `own` those with held-out controls, and these; None where they are few."""
    codes, counts = np.unique(own, return_counts=True)
    chosen, strata, ways = [], [], []
    for code, n in zip(codes.tolist(), counts.tolist(), strict=True):
        there = places.get(code)
        if there is None:
            continue
        k = min(len(there), max(HELD * n, HELD_LEAST))
        chosen.append(rng.permutation(there)[:k])
        strata.append(np.full(k, code))
        ways.append(comb(n + k, n))
    if not chosen:
        return None
    keep = np.isin(own, [s[0] for s in strata])
    if keep.sum() < 2 or prod(ways) < WAYS:
        return None
    stratum = np.unique(np.concatenate([own[keep], *strata]), return_inverse=True)[1].reshape(-1)
    return _Choice(group, rows[keep], np.concatenate(chosen), stratum)


def _places(codes: Ints) -> dict[int, Ints]:
    """Code -> where it stands."""
    if not len(codes):
        return {}
    order = np.argsort(codes, kind="stable")
    found, first = np.unique(codes[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, first[1:]), strict=True))


def _controls(
    wells: WellSource, align_by: AlignBy, groups: WellGroups, seed: int, split: int
) -> tuple[Moments | None, int, int]:
    """Moments of the controls that are fitted on, where the aligner needs any.

    And how many of the side are fitted on, and held out.
    """
    pooled: Moments | None = None
    n_fit = n_held = 0
    for b, block in enumerate(wells.blocks()):
        fit, out = _halves(block, seed, split, b)
        side = groups.side_control[block.perturbation]
        n_fit, n_held = n_fit + int(side[fit].sum()), n_held + int(side[out].sum())
        if len(fit) and align.needs_moments(align_by):
            found = align.moments(block.x[fit])
            pooled = found if pooled is None else pooled.merge(found)
    return pooled, n_fit, n_held


def _halves(block: WellBlock, seed: int, split: int, number: int) -> tuple[Ints, Ints]:
    """An experiment's control wells to fit on, and those held out; half of every plate each, by turns.

    Where there are too few for both, all are fitted on.
    """
    rows = np.flatnonzero(block.control)
    if len(rows) < 2 * align.MIN_CONTROLS:
        return rows, rows[:0]
    rows = np.random.default_rng([seed, SPLIT, split, 0, number]).permutation(rows)
    if block.plate is not None:
        rows = rows[np.argsort(block.plate[rows], kind="stable")]
    return np.sort(rows[::2]), np.sort(rows[1::2])


def _statistics(pool: _Pool, reference: ReferenceWells, n_random: int, seed: list[int]) -> list[float]:
    """p by energy distance and by cosine, and what both are expected to be of held-out wells."""
    n, m = pool.own, len(pool.x)
    counts = np.bincount(pool.stratum)
    own = np.bincount(pool.stratum[:n], minlength=len(counts))
    order = np.argsort(pool.stratum, kind="stable")  # own wells first in each stratum
    x = pool.x[order]
    chosen = exchanges(tuple(own.tolist()), tuple(counts.tolist()), n_random, tuple(seed))
    distance = distances(left_factor(x, reference.center), right_factor(x, reference.center), to_itself=True)
    to_reference = reference.mean_distances(x)
    energy = 2 * (chosen @ to_reference) / n - np.einsum("ij,ij->i", chosen @ distance, chosen) / n**2
    units = unit_rows(x)
    there = ~np.isnan(units[:, 0])
    units = np.where(there[:, None], units, 0.0)
    cosines = units @ units.T
    k = chosen @ there
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (np.einsum("ij,ij->i", chosen @ cosines, chosen) - k) / (k * (k - 1))
    held = np.ones(m, dtype=bool)
    held[chosen[0] == 1] = False
    stratum = pool.stratum[order]
    pairs = _expected(distance, held, stratum, own)
    per_well = np.bincount(stratum[held], to_reference[held]) / np.bincount(stratum[held])
    return [
        _p(energy),
        _p(cosine),
        float(2 * (own @ per_well) / n - pairs * (n - 1) / n - reference.own),
        _expected(cosines, held & there, stratum, own),
    ]


def _expected(values: Floats, held: Bools, stratum: Ints, own: Ints) -> float:
    """The mean over pairs of two held-out wells, strata weighed as the own wells' pairs are."""
    turn = np.zeros((len(own), len(held)))
    turn[stratum[held], np.flatnonzero(held)] = 1
    size = turn.sum(axis=1)
    sums = turn @ values @ turn.T
    pairs = np.outer(size, size)
    np.fill_diagonal(sums, np.diag(sums) - turn @ np.diag(values))
    np.fill_diagonal(pairs, size * (size - 1))
    weight = np.outer(own, own).astype(np.float64)
    np.fill_diagonal(weight, own * (own - 1))
    known = (pairs > 0) & (weight > 0)
    if not known.any():
        return float("nan")
    return float((weight[known] * sums[known] / pairs[known]).sum() / weight[known].sum())


def _p(values: Floats) -> float:
    """How often drawn values reach the first."""
    if np.isnan(values[0]):
        return float("nan")
    reach = values[1:] >= values[0] - TIE * max(1.0, abs(values[0]))
    return float((1 + reach.sum()) / len(values))


@lru_cache(maxsize=8)
def exchanges(own: tuple[int, ...], counts: tuple[int, ...], n_random: int, seed: tuple[int, ...]) -> Floats:
    """Which wells stand for the perturbation, (1 + n_random, m), 1 or 0: first its own, then drawn ones.

    Strata lie one after another, each with its own wells first; as many are drawn in each as it has.
    """
    rng = np.random.default_rng([*seed, 3])
    chosen = np.zeros((1 + n_random, sum(counts)))
    start = 0
    for n, m in zip(own, counts, strict=True):
        chosen[0, start : start + n] = 1
        drawn = np.argpartition(rng.random((n_random, m)), n - 1, axis=1)[:, :n]
        np.put_along_axis(chosen[1:, start : start + m], drawn, 1.0, axis=1)
        start += m
    return chosen
