"""The affinity table, and the benchmark the paper draws from it.

Conventions
    An affinity is in nM; a column that looks like another unit all in all is refused (by the rules of
    `polaris_rxrx.dataset.units`), unless a column `units` says nM.
    A pair is active at or below `ACTIVE` nM, grey above that and up to `INACTIVE` nM (left out of the
    benchmark, and never a negative), inactive beyond. Should a pair stand in the table more than once, its
    strongest affinity counts.
    Each compound with an active gets max(2 x actives, 20) negatives, drawn without replacement from the
    table's genes that are neither active nor grey for it.

Source
    arXiv 2503.20158, drug-target benchmark. Its public code draws from a set, so its draws differ from run to
    run; here compounds and genes are taken in the order of their names from one generator a seed
    (`numpy.random.default_rng(seed)`), so a seed means the same draw everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from typing_extensions import NotRequired, TypedDict

from polaris_rxrx.damage import number_hint, refuse_dates
from polaris_rxrx.dataset import units
from polaris_rxrx.errors import DataError, UsageError, short
from polaris_rxrx.files import sha256
from polaris_rxrx.tables import Table, read_table
from polaris_rxrx.types import Bools, Floats, Ints

ACTIVE = 1_000.0
INACTIVE = 10_000.0
MIN_NEGATIVES = 20
NEGATIVES_PER_ACTIVE = 2
COLUMNS = ("gene_symbol", "nM_value", "treatment")
_CELLS = 1_000_000  # of compounds and genes that are drawn from at once: bounds the memory


@dataclass(frozen=True)
class Affinities:
    """Strongest affinity in nM of every annotated pair: compound -> gene -> nM; and all genes, sorted.

    `made_up`: `polaris-rxrx demo` drew the table, as its column `database` says.
    """

    by_compound: dict[str, dict[str, float]]
    genes: tuple[str, ...]
    path: Path
    sha256: str
    n_rows: int
    made_up: bool = False


class ActiveCompound(TypedDict):
    """A compound that is active on a target, and its strongest affinity."""

    treatment: str
    nM: float


class TargetCompounds(TypedDict):
    """A target's active compounds, the strongest first."""

    target: str
    compounds: list[ActiveCompound]


class TargetsDocument(TypedDict):
    """Annotated targets and their active compounds."""

    active_nM: float
    """Active at or below this affinity."""
    annotations_sha256: str
    made_up: NotRequired[bool]
    """There and true where `polaris-rxrx demo` drew the affinities."""
    targets: list[TargetCompounds]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Who is active and who may be drawn as a negative: rows are averaged over, columns drawn from.

    `active` and `eligible` have shape (n_rows, n_columns), `wanted` (n_rows,); names are sorted.
    """

    rows: list[str]
    columns: list[str]
    active: Bools
    eligible: Bools
    wanted: Ints

    @cached_property
    def n_eligible(self) -> Ints:
        """How many columns may be a negative of each row."""
        return np.asarray(np.count_nonzero(self.eligible, axis=1), dtype=np.int64)

    @cached_property
    def n_negatives(self) -> Ints:
        """How many negatives each row gets: as many as wanted, or all there are."""
        n: Ints = np.minimum(self.wanted, self.n_eligible)
        return n

    @property
    def short(self) -> dict[str, int]:
        """Rows with fewer eligible negatives than wanted, and how many they have."""
        few = np.flatnonzero(self.n_negatives < self.wanted)
        return {self.rows[i]: int(self.n_negatives[i]) for i in few}


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
        DataError: Naming the line and the value, or the unit that the whole column looks like.

    >>> found = read_affinities("data/compound_gene_interactions.csv")
    >>> found.by_compound["ABT-199"]  # nM
    {'BCL2': 200.0, 'SRC': 5000.0, 'ESR2': 20000.0, 'AKT1': 100000.0}
    """
    path = Path(path)
    table = read_table(path)
    _refuse_another_name(table)
    table.need(*COLUMNS)
    _refuse_another_unit(table)
    by_compound: dict[str, dict[str, float]] = {}
    genes, compounds = table.columns["gene_symbol"], table.columns["treatment"]
    for gene, affinity, compound in zip(genes, _affinities(table), compounds, strict=True):
        known = by_compound.setdefault(compound, {})
        known[gene] = min(affinity, known.get(gene, affinity))
    if not by_compound:
        raise DataError(f"{path} holds no affinities")
    refuse_dates(genes, "gene_symbol", table.at)
    all_genes = tuple(sorted(set(genes)))
    made_up = "made up" in table.columns.get("database", ())
    return Affinities(by_compound, all_genes, path, sha256(path), len(table), made_up)


def _affinities(table: Table) -> list[float]:
    """In nM, one a row; every row has been looked at, and names a gene and a compound."""
    numbers = table.numbers("nM_value")
    if (
        numbers is not None
        and not (numbers < 0).any()
        and not any("" in set(table.columns[name]) for name in ("gene_symbol", "treatment"))
    ):
        return list(numbers.tolist())
    found: list[float] = []
    cells = zip(*(table.columns[name] for name in COLUMNS), strict=True)
    for row, (gene, value, compound) in enumerate(cells):
        if not (isinstance(gene, str) and isinstance(compound, str) and gene and compound):
            raise DataError(f"{table.at(row)}: gene_symbol and treatment must not be empty")
        try:
            affinity = float("nan" if "_" in str(value) else value)
        except (TypeError, ValueError, OverflowError):
            affinity = float("nan")
        if not 0 <= affinity < float("inf"):
            raise DataError(
                f"{table.at(row)}: nM_value is {short(value)}; an affinity in nM was expected"
                f"{number_hint(value)}"
            )
        found.append(affinity)
    return found


def _refuse_another_name(table: Table) -> None:
    """Where `nM_value` is called otherwise, its name often tells the unit."""
    if "nM_value" in table.columns:
        return
    for name in table.columns:
        if name not in COLUMNS and (unit := units.of_name(name)):
            raise DataError(
                f"{table.path}: no column 'nM_value'; column {short(name)} looks like {unit} by its name. "
                f"nM was expected: {units.affinity_cure(unit, name[:40])}"
            )


def _refuse_another_unit(table: Table) -> None:
    """Decide on all rows: what says the unit (a column of units or types), else the values."""
    stated = False
    for name in table.columns:
        says_unit = name.casefold() in units.UNITS
        if not says_unit and name not in ("measurement_type", "standard_type"):
            continue
        for row, cell in enumerate(table.columns[name]):
            unit = units.of_name(cell) if isinstance(cell, str) else None
            stated = stated or (says_unit and unit == "nM")
            if unit in units.NO_AMOUNT or (says_unit and cell and unit != "nM"):
                looks, cure = (
                    (f" looks like {unit}", units.affinity_cure(unit, "nM_value")) if unit else ("", "")
                )
                raise DataError(
                    f"{table.at(row)}: {name} is {short(cell)}{f', so nM_value{looks}' if looks else ''}; "
                    f"nM was expected{f': {cure}' if cure else ''}"
                )
    if stated:
        return
    values = table.numbers("nM_value")
    if values is None:
        values = np.array([_value(cell) for cell in table.columns["nM_value"]], dtype=np.float64)
    unit = units.affinity_unit(values)
    if unit is None:
        return
    values = values[np.isfinite(values)]
    raise DataError(
        f"{table.path}: nM_value holds {len(values):,} numbers from {values.min():g} to {values.max():g} "
        f"(median {np.median(values):g}); all in all that looks like {unit}, and {_wrong(values)}. "
        f"nM was expected: {units.affinity_cure(unit, 'nM_value')}. "
        "If they are nM, say so in a column `units` that holds nM"
    )


def _wrong(values: Floats) -> str:
    if (values < 0).any():
        return "no affinity in nM is below 0"
    n = int((values <= ACTIVE).sum())
    return f"read as nM, {'every row' if n == len(values) else f'{n:,} rows'} would be active"


def _value(cell: object) -> float:
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def candidates(
    affinities: Affinities,
    *,
    active: float = ACTIVE,
    inactive: float = INACTIVE,
    min_negatives: int = MIN_NEGATIVES,
    by: Literal["compound", "gene"] = "compound",
    compounds: Collection[str] | None = None,
    genes: Collection[str] | None = None,
) -> Candidates:
    """What may be drawn: for each compound with an active gene, or each gene with an active compound.

    Args:
        active: Active at or below, in nM.
        inactive: Inactive beyond, in nM.
        min_negatives: How many negatives are drawn at least.
        by: What the benchmark averages over.
        compounds: Only these; by default all of the table.
        genes: Only these; by default all of the table.

    Raises:
        UsageError: The thresholds are the wrong way round.
        DataError: Nothing is active.

    >>> can = candidates(read_affinities("data/compound_gene_interactions.csv"))
    >>> can.active.shape, int(can.active.sum())
    ((44, 77), 117)
    >>> can.rows[0], int(can.wanted[0])  # one active, and 20 negatives at least
    ('ABT-199', 20)
    """
    if not 0 < active <= inactive:
        raise UsageError(f"active {active:g} nM, inactive {inactive:g} nM: expected 0 < active <= inactive")
    if min_negatives < 1:
        raise UsageError(f"min_negatives is {min_negatives}; 1 or more was expected")
    rows = sorted(c for c in affinities.by_compound if compounds is None or c in compounds)
    columns = [g for g in affinities.genes if genes is None or g in genes]
    at = {g: i for i, g in enumerate(columns)}
    affinity = np.full((len(rows), len(columns)), np.inf)
    for i, compound in enumerate(rows):
        for gene, value in affinities.by_compound[compound].items():
            if gene in at:
                affinity[i, at[gene]] = value
    searched = f"{len(rows):,} compounds and {len(columns):,} genes"
    if by == "gene":
        affinity, rows, columns = affinity.T, columns, rows
    is_active = affinity <= active
    keep = np.flatnonzero(is_active.any(axis=1))
    if not keep.size:
        raise DataError(
            f"{affinities.path}: no affinity is {active:,g} nM or less among the {searched}, "
            "so there is no active pair"
        )
    is_active, eligible = is_active[keep], affinity[keep] > inactive
    return Candidates(
        [rows[i] for i in keep], columns, is_active, eligible, _wanted(is_active, min_negatives)
    )


def _wanted(active: Bools, least: int) -> Ints:
    """How many negatives each row should get."""
    wanted: Ints = np.maximum(NEGATIVES_PER_ACTIVE * active.sum(axis=1), least)
    return wanted


def draw_negatives(candidates: Candidates, seed: int) -> Ints:
    """The negatives of one seed: columns (n_rows, most), of which a row's first `n_negatives` are its own.

    Every column gets a uniform number, and a row's negatives are its eligible columns with the smallest.

    >>> can = candidates(read_affinities("data/compound_gene_interactions.csv"))
    >>> drawn = draw_negatives(can, seed=0)
    >>> own = drawn[0][: can.n_negatives[0]]  # columns of the first compound's
    >>> len(own), bool(can.eligible[0][own].all())
    (20, True)
    """
    key = np.random.default_rng(seed).random(candidates.eligible.shape)
    key[~candidates.eligible] = np.inf
    most = int(candidates.n_negatives.max(initial=0))
    if most < key.shape[1]:
        first = np.argpartition(key, most, axis=1)[:, :most]
    else:
        first = np.broadcast_to(np.arange(key.shape[1]), key.shape)
    order = np.argsort(np.take_along_axis(key, first, axis=1), axis=1)
    return np.take_along_axis(first, order, axis=1)[:, :most]


def draw(affinities: Affinities, seed: int) -> Draw:
    """Draw the benchmark of one seed: what `candidates` and `draw_negatives` give, some compounds at a time.

    Raises:
        DataError: No compound has an active gene.

    >>> drawn = draw(read_affinities("data/compound_gene_interactions.csv"), seed=0)
    >>> len(drawn), sum(drawn.active)
    (997, 117)
    """
    rng, genes = np.random.default_rng(seed), np.array(affinities.genes, dtype=object)
    drawn = Draw([], [], [], seed, {})
    for can in _blocks(affinities):
        row, column = _chosen(can, rng)
        drawn.treatment.extend(np.array(can.rows, dtype=object)[row].tolist())
        drawn.gene_symbol.extend(genes[column].tolist())
        drawn.active.extend(can.active[row, column].astype(int).tolist())
        drawn.short.update(can.short)
    if not drawn.treatment:
        candidates(affinities)  # tells it
    return drawn


def _blocks(affinities: Affinities) -> Iterator[Candidates]:
    """`candidates` of the whole table, cut between rows: there may be more pairs than fit into memory."""
    genes = list(affinities.genes)
    at = {gene: i for i, gene in enumerate(genes)}
    rows = sorted(c for c, values in affinities.by_compound.items() if min(values.values()) <= ACTIVE)
    step = max(1, _CELLS // max(1, len(genes)))
    for start in range(0, len(rows), step):
        names = rows[start : start + step]
        each = [affinities.by_compound[name] for name in names]
        row = np.repeat(np.arange(len(names)), [len(values) for values in each])
        column = np.array([at[gene] for values in each for gene in values], dtype=np.int64)
        value = np.array([v for values in each for v in values.values()], dtype=np.float64)
        active, eligible = np.zeros((len(names), len(genes)), bool), np.ones((len(names), len(genes)), bool)
        active[row, column], eligible[row, column] = value <= ACTIVE, value > INACTIVE
        yield Candidates(names, genes, active, eligible, _wanted(active, MIN_NEGATIVES))


def _chosen(can: Candidates, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Rows and columns, in this order, of the actives and of the negatives that `draw_negatives` draws.

    A row's smallest numbers are looked for among those below a limit, which nearly always has enough.
    """
    n_rows, n_columns = can.eligible.shape
    key, wanted = rng.random((n_rows, n_columns)), can.n_negatives
    limit = (wanted + 6 * np.sqrt(wanted) + 10) / np.maximum(can.n_eligible, 1)
    near = key < limit[:, None]
    near &= can.eligible
    few = np.count_nonzero(near, axis=1) < wanted
    near[few] = can.eligible[few]
    at = np.flatnonzero(near)
    row = at // n_columns
    order = np.lexsort((key.ravel()[at], row))
    size = np.bincount(row, minlength=n_rows)
    place = np.arange(len(at)) - np.repeat(np.cumsum(size) - size, size)
    negatives = at[order[place < wanted[row]]]
    chosen = np.sort(np.concatenate([np.flatnonzero(can.active), negatives]))
    return chosen // n_columns, chosen % n_columns


def active_compounds(
    affinities: Affinities, active: float = ACTIVE, genes: Collection[str] = ()
) -> dict[str, list[tuple[float, str]]]:
    """Annotated genes with their active compounds as (nM, name), strongest first; genes sorted.

    Args:
        affinities: The table.
        active: Active at or below, in nM.
        genes: Only these; by default every gene with an active compound.

    Raises:
        DataError: A gene asked for is not in the table, or has no active compound.

    >>> active_compounds(read_affinities("data/compound_gene_interactions.csv"), genes=["BCL2"])
    {'BCL2': [(100.0, 'ABT-737'), (200.0, 'ABT-199')]}
    """
    known: dict[str, list[tuple[float, str]]] = {gene: [] for gene in affinities.genes}
    for compound, values in affinities.by_compound.items():
        for gene, value in values.items():
            known[gene].append((value, compound))
    for gene in sorted(genes):
        if gene not in known:
            near = get_close_matches(gene.upper(), affinities.genes, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise DataError(f"{affinities.path}: no gene {gene!r}{hint}")
        if (strongest := min(known[gene])[0]) > active:
            raise DataError(
                f"{affinities.path}: {gene} has no active compound; its strongest affinity is "
                f"{strongest:,g} nM"
            )
    found = {gene: sorted(pair for pair in pairs if pair[0] <= active) for gene, pairs in known.items()}
    return {gene: pairs for gene, pairs in found.items() if pairs and (not genes or gene in genes)}


def as_document(
    affinities: Affinities, active: float, listed: dict[str, list[tuple[float, str]]]
) -> TargetsDocument:
    """What `active_compounds` listed, for JSON."""
    found: TargetsDocument = {
        "active_nM": active,
        "annotations_sha256": affinities.sha256,
        "targets": [
            {"target": gene, "compounds": [{"treatment": name, "nM": value} for value, name in compounds]}
            for gene, compounds in listed.items()
        ],
    }
    return {**found, "made_up": True} if affinities.made_up else found
