"""The affinity table, and the benchmark the paper draws from it.

Conventions
    An affinity is in nM. A pair is active at or below `ACTIVE` nM, grey above that and up to `INACTIVE` nM
    (left out of the benchmark, and never a negative), inactive beyond. Should a pair stand in the table more
    than once, its strongest affinity counts.
    Each compound with an active gets max(2 x actives, 20) negatives, drawn without replacement from the
    table's genes that are neither active nor grey for it.

Source
    arXiv 2503.20158, drug-target benchmark. Its public code draws from a set, so its draws differ from run to
    run; here compounds and genes are taken in the order of their names from one generator a seed
    (`numpy.random.default_rng(seed)`), so a seed means the same draw everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polaris_rxrx.errors import DataError
from polaris_rxrx.files import sha256
from polaris_rxrx.tables import read_table

ACTIVE = 1_000.0
INACTIVE = 10_000.0
MIN_NEGATIVES = 20
NEGATIVES_PER_ACTIVE = 2
COLUMNS = ("gene_symbol", "nM_value", "treatment")


@dataclass(frozen=True)
class Affinities:
    """Strongest affinity in nM of every annotated pair: compound -> gene -> nM; and all genes, sorted."""

    by_compound: dict[str, dict[str, float]]
    genes: tuple[str, ...]
    path: Path
    sha256: str
    n_rows: int


@dataclass(frozen=True)
class Draw:
    """Pairs sorted by compound and gene, so that their order says nothing of their labels."""

    treatment: list[str]
    gene_symbol: list[str]
    active: list[int]
    seed: int
    short: dict[str, int]
    """Compounds with fewer eligible negatives than asked for, and how many they got."""

    def __len__(self) -> int:
        return len(self.active)


def read_affinities(path: Path | str) -> Affinities:
    """Read `gene_symbol,nM_value,treatment` (further columns are allowed).

    Raises:
        DataError: Naming the line and the value.
    """
    path = Path(path)
    table = read_table(path)
    table.need(*COLUMNS)
    by_compound: dict[str, dict[str, float]] = {}
    cells = zip(*(table.columns[name] for name in COLUMNS), strict=True)
    for row, (gene, value, compound) in enumerate(cells):
        if not gene or not compound:
            raise DataError(f"{table.at(row)}: gene_symbol and treatment must not be empty")
        try:
            affinity = float("nan" if "_" in str(value) else value)
        except (TypeError, ValueError):
            affinity = float("nan")
        if not 0 <= affinity < float("inf"):
            raise DataError(f"{table.at(row)}: nM_value is {value!r}; an affinity in nM was expected")
        genes = by_compound.setdefault(compound, {})
        genes[gene] = min(affinity, genes.get(gene, affinity))
    if not by_compound:
        raise DataError(f"{path} holds no affinities")
    all_genes = tuple(sorted({gene for genes in by_compound.values() for gene in genes}))
    return Affinities(by_compound, all_genes, path, sha256(path), len(table))


def draw(affinities: Affinities, seed: int) -> Draw:
    """Draw the benchmark of one seed.

    Raises:
        DataError: No compound has an active gene.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[str, str, int]] = []
    short: dict[str, int] = {}
    for compound in sorted(affinities.by_compound):
        known = affinities.by_compound[compound]
        actives = sorted(g for g, affinity in known.items() if affinity <= ACTIVE)
        if not actives:
            continue
        eligible = [g for g in affinities.genes if known.get(g, np.inf) > INACTIVE]
        wanted = max(NEGATIVES_PER_ACTIVE * len(actives), MIN_NEGATIVES)
        if len(eligible) < wanted:
            short[compound] = len(eligible)
        chosen = rng.choice(len(eligible), size=min(wanted, len(eligible)), replace=False)
        pairs = [(g, 1) for g in actives] + [(eligible[i], 0) for i in chosen]
        rows += [(compound, gene, label) for gene, label in sorted(pairs)]
    if not rows:
        raise DataError(
            f"{affinities.path}: no affinity is {ACTIVE:,.0f} nM or less, so there is no active pair"
        )
    treatment, gene_symbol, active = (list(column) for column in zip(*rows, strict=True))
    return Draw(treatment, gene_symbol, active, seed, short)
