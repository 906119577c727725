"""Pairs of the drug-target benchmark scored by random embeddings, a seed at a time, by whoever does the work.

Conventions
    A seed has an embedding of its own (`polaris_rxrx.suites.random_embedding`) and the pairs that the model
    is scored by in that seed: the same negatives, and no similarity where the model has none. Scores have
    the shape (n_rules, n_rows, n_seeds); a rule is a dose, the last is the largest over doses.
    Seeds do not depend on each other, so workers give the scores of one process. Where there are fewer than
    `FEW` cosines to draw, starting workers takes longer than drawing, and they are drawn here.
    Of two maps of the same perturbations and width the pairs are the same, and so are their scores: `Kept`
    spares whoever evaluates one checkpoint after another nearly all of the suite's work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from polaris_rxrx.parallel import Here, Workers
from polaris_rxrx.suites.random_embedding import pairs_by_compound, random_cosines
from polaris_rxrx.suites.result import Digest
from polaris_rxrx.suites.sampled import EqualDraws, Scores, ranked_values
from polaris_rxrx.types import Bools, Floats, Ints, Progress

T = TypeVar("T")
FEW = 50_000_000
RANDOM = 1  # in the seeds of random embeddings, so that none is the seed of a draw


@dataclass(frozen=True, eq=False)
class Seeds(Sequence["_Seed"]):
    """Every seed's pairs, put together when they are asked for.

    `unknown` (n_doses, n_rows, n_columns) says where there is no similarity; rows are compounds, or genes
    unless it goes `by_compound`; embeddings are `width` wide; `absolute` is whether signs count for nothing,
    `largest` whether there is a rule more than doses.
    """

    groups: Sequence[EqualDraws]
    unknown: Bools
    largest: bool
    n_seeds: int
    width: int
    by_compound: bool
    absolute: bool
    random_seed: int

    def __len__(self) -> int:
        return self.n_seeds

    def __getitem__(self, i: Any) -> Any:
        if i >= self.n_seeds:
            raise IndexError(i)
        column = np.concatenate([g.columns[:, i].reshape(-1) for g in self.groups])
        n_doses, n_rows, n_columns = self.unknown.shape
        return _Seed(
            row=self._row,
            column=column,
            unknown=self.unknown[:, self._row, column] if self._any_unknown else None,
            shapes=[(len(g.rows), g.columns.shape[2], g.a) for g in self.groups],
            pairs=self._pairs,
            n_genes=n_columns if self.by_compound else n_rows,
            n_doses=n_doses,
            width=self.width,
            absolute=self.absolute,
            largest=self.largest,
            seed=[self.random_seed, i, RANDOM],
        )

    @property
    def n_cosines(self) -> int:
        """How many are drawn in all."""
        return self.n_seeds * len(self.unknown) * len(self._row)

    @cached_property
    def _row(self) -> Ints:
        return np.concatenate([np.repeat(g.rows, g.columns.shape[2]) for g in self.groups])

    @cached_property
    def _any_unknown(self) -> bool:
        return bool(self.unknown.any())

    @cached_property
    def _pairs(self) -> list[Ints] | None:
        """Rows are the same in all seeds; by gene, compounds are not."""
        return pairs_by_compound(self._row) if self.by_compound else None


@dataclass(frozen=True, eq=False)
class _Seed:
    """The pairs (n_pairs,) of a seed, group after group: of each how many rows, pairs a row, and actives."""

    row: Ints
    column: Ints
    unknown: Bools | None
    shapes: list[tuple[int, int, int]]
    pairs: list[Ints] | None
    n_genes: int
    n_doses: int
    width: int
    absolute: bool
    largest: bool
    seed: list[int]


class Kept:
    """What maps of the same perturbations share: negatives as they were drawn, and random embeddings' scores.

    Of each what was asked for lately, a few megabytes.
    """

    MOST = 4

    def __init__(self) -> None:
        self._scores: dict[str, Scores] = {}
        self._draws: dict[str, Ints] = {}

    def score(self, seeds: Seeds, *, who: Workers | None = None, progress: Progress | None = None) -> Scores:
        """`score_random`, unless the very same pairs were scored before."""
        key = _digest(seeds)
        found = self._scores.pop(key, None)
        if found is None:
            found = score_random(seeds, who=who, progress=progress)
            for values in (found.average_precision, found.auroc):
                values.flags.writeable = False
        elif progress is not None:
            progress("random", len(seeds), len(seeds))
        self._keep(self._scores, key, found)
        return found

    def draw(self, key: str, draw: Callable[[], Ints]) -> Ints:
        """What was drawn for this key before, or what is drawn now."""
        found = self._draws.pop(key, None)
        if found is None:
            found = draw()
            found.flags.writeable = False
        self._keep(self._draws, key, found)
        return found

    def _keep(self, held: dict[str, T], key: str, value: T) -> None:
        """The last one used is the last to go."""
        held[key] = value
        while len(held) > self.MOST:
            del held[next(iter(held))]


def _digest(seeds: Seeds) -> str:
    """Of everything that the scores depend on."""
    numbers = [
        seeds.n_seeds,
        seeds.width,
        seeds.random_seed,
        seeds.largest,
        seeds.by_compound,
        seeds.absolute,
    ]
    digest = Digest().names(map(str, numbers)).array(seeds.unknown)
    for group in seeds.groups:
        digest.names([str(group.a)]).array(group.rows).array(group.columns)
    return digest.hex()


def score_random(seeds: Seeds, *, who: Workers | None = None, progress: Progress | None = None) -> Scores:
    """Average precision and AUROC of every seed's pairs by its own random embedding.

    Args:
        seeds: Their pairs.
        who: Who draws and scores, where that is much; this process.
        progress: Called with a word, how far, out of how many.
    """
    n_doses, n_rows, _ = seeds.unknown.shape
    ap = np.full((n_doses + seeds.largest, n_rows, len(seeds)), np.nan)
    auroc = np.full_like(ap, np.nan)
    rows = np.concatenate([g.rows for g in seeds.groups])
    doer = Here() if who is None or seeds.n_cosines < FEW else who
    for done, (i, found) in enumerate(doer.run(_score, seeds), 1):
        ap[:, rows, i], auroc[:, rows, i] = found
        if progress is not None:
            progress("random", done, len(seeds))
    return Scores(ap, auroc)


def _score(seed: _Seed) -> tuple[Floats, Floats]:
    """Of the groups' rows, one group after another, (n_rules, n_scored) each."""
    values = _cosines(seed)
    if seed.largest:
        values = np.concatenate([values, np.fmax.reduce(values, axis=0)[None]])
    found, at = list[tuple[Floats, Floats]](), 0
    for n, k, a in seed.shapes:
        part = values[:, at : at + n * k].reshape(len(values), n, k)
        at += n * k
        found.append(ranked_values(part, a))
    ap, auroc = (np.concatenate(of, axis=1) for of in zip(*found, strict=True))
    return ap, auroc


def _cosines(seed: _Seed) -> Floats:
    """Of the pairs (n_doses, n_pairs), NaN where there is no similarity."""
    by_compound = seed.pairs is not None
    compound, gene = (seed.row, seed.column) if by_compound else (seed.column, seed.row)
    rng = np.random.default_rng(seed.seed)
    found = random_cosines(compound, gene, seed.n_genes, seed.width, seed.n_doses, rng, pairs=seed.pairs)
    if seed.absolute:
        np.abs(found, out=found)
    if seed.unknown is not None:
        found[seed.unknown] = np.nan
    return found
