"""Scores by kind of active pair: which targets a model finds, and how strong a binder it takes.

Conventions
    Both metrics are means over a treatment's actives: average precision of the precision at the threshold of
    each active, AUROC of the share of the treatment's inactives that score lower (a tie is half). So a part
    of the actives has its own value: within a treatment the mean over its actives of that part, then the mean
    over the treatments that have any. Of one part that holds every active, that is the official score.
    The other pairs of a treatment stay what they are, whatever the part; so `chance` is the exact expectation
    of the treatment's average precision, averaged over the same treatments.
    Intervals are over treatments and genes, as the score's; a gene left out is no longer one of the actives
    that a part's mean is over. A part with fewer than two treatments has none (NaN).

Target classes
    `target_classes.csv` gives each gene of the public affinity table one coarse class. The assignment is
    ours, by gene family (as HGNC and the IUPHAR guide group them): a subunit goes with its complex (MLST8
    with the kinase MTOR, PSMA3 with the proteasome's proteases), lipid kinases are kinases, ion pumps are
    transporters, CFTR is an ion channel, and `epigenetic` are readers, writers and erasers of chromatin.
    `read_classes` reads a table of one's own instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from polaris_rxrx.damage import refuse_dates
from polaris_rxrx.dataset.affinities import Affinities
from polaris_rxrx.errors import DataError
from polaris_rxrx.metrics import PR_AUC, blocks
from polaris_rxrx.scoring import Score
from polaris_rxrx.stats.intervals import Interval, bca_each, mean_of
from polaris_rxrx.stats.resampling import DEFAULT, Clusters, Resampling
from polaris_rxrx.stats.two_way import leave_out_of_means
from polaris_rxrx.tables import read_table
from polaris_rxrx.types import Bools, Floats, Ints

CLASSES = Path(__file__).parent / "target_classes.csv"
COLUMNS = ("gene_symbol", "target_class")
UNCLASSIFIED = "unclassified"
UNKNOWN = "unknown"
BINS = ((10.0, "at most 10 nM"), (100.0, "10 to 100 nM"), (1_000.0, "100 to 1,000 nM"))
BEYOND = "above 1,000 nM"


@dataclass(frozen=True)
class Part:
    """One row of a breakdown; intervals are NaN where there is none."""

    name: str
    n_active: int
    n_treatments: int
    precision: float
    precision_interval: Interval
    chance: float
    auroc: float
    auroc_interval: Interval


@dataclass(frozen=True)
class Breakdown:
    """The score taken apart by something its actives have."""

    title: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...]


def per_active(active: ArrayLike, score: ArrayLike, group: ArrayLike) -> tuple[Floats, Floats]:
    """What each active pair adds to its group's two metrics.

    Arguments are those of `polaris_rxrx.metrics.group_scores`, which also says what is refused.

    Returns:
        Precision at the pair's threshold, and the share of the group's inactives that score lower, a tie
        counting half; both (n_pairs,) and NaN for pairs that are not active, the second also in a group
        without an inactive.
    """
    y, g = np.asarray(active, dtype=np.float64), np.asarray(group, dtype=np.int64)
    b = blocks(y, score, g, int(g.max(initial=-1)) + 1)
    n_inactive = (b.n_pairs - b.n_active)[b.group]
    with np.errstate(invalid="ignore"):  # no inactive: NaN, as said above
        share = (n_inactive - b.fp + 0.5 * b.inactive) / n_inactive
    precision, wins = np.full(len(y), np.nan), np.full(len(y), np.nan)
    is_active = y[b.order] == 1
    precision[b.order[is_active]] = b.by_pair(b.tp / (b.tp + b.fp))[is_active]
    wins[b.order[is_active]] = b.by_pair(share)[is_active]
    return precision, wins


def break_down(
    title: str,
    score: Score,
    kinds: Sequence[str],
    order: Sequence[str],
    *,
    how: Resampling = DEFAULT,
    notes: Sequence[str] = (),
) -> Breakdown:
    """A score by the kind of its active pairs.

    Args:
        title: What the kinds are.
        score: The score.
        kinds: The kind of every pair, in official order; that of a pair that is not active does not matter.
        order: Kinds in the order wanted; those without an active are left out.
        how: How intervals are drawn.
        notes: What else a reader should know.
    """
    assert score.task.active is not None
    codes, _ = score.task.groups("treatment")
    genes = score.task.gene_codes()
    precision, wins = per_active(score.task.active, score.predictions.values, codes)
    chance = PR_AUC.chance(score.groups)
    n = len(chance)
    of = np.array([order.index(kind) if a == 1 else -1 for kind, a in _active_kinds(kinds, score)])
    parts = []
    for i, name in enumerate(order):
        chosen = of == i
        if not chosen.any():
            continue
        by_treatment = _means(precision[chosen], codes[chosen], n)
        wins_by_treatment = _means(wins[chosen], codes[chosen], n)
        there = ~np.isnan(by_treatment)
        intervals = bca_each([by_treatment, wins_by_treatment], how)
        above = ((precision - chance[codes], by_treatment), (wins - 0.5, wins_by_treatment))
        ends = [
            interval.stretched(mean_of(of), _stretch(values, chosen, codes, genes, how.clusters), 0.0, 1.0)
            for interval, (values, of) in zip(intervals, above, strict=True)
        ]
        parts.append(
            Part(
                name=name,
                n_active=int(chosen.sum()),
                n_treatments=int(there.sum()),
                precision=mean_of(by_treatment),
                precision_interval=ends[0],
                chance=mean_of(chance[there]),
                auroc=mean_of(wins_by_treatment),
                auroc_interval=ends[1],
            )
        )
    return Breakdown(title, tuple(parts), tuple(notes))


def _stretch(
    values: Floats,
    chosen: Bools,
    codes: Ints,
    genes: Ints | None,
    clusters: Clusters,
) -> float:
    """How much the genes that treatments share widen the interval of a part's mean."""
    chosen = chosen & ~np.isnan(values)
    means = leave_out_of_means(values[chosen], codes[chosen], None if genes is None else genes[chosen])
    return means.variance().stretch(clusters)


def _active_kinds(kinds: Sequence[str], score: Score) -> list[tuple[str, float]]:
    assert score.task.active is not None
    return list(zip(kinds, score.task.active.tolist(), strict=True))


def _means(values: Floats, codes: Ints, n: int) -> Floats:
    """The mean of each group's values; NaN where it has none."""
    with np.errstate(invalid="ignore"):
        means: Floats = np.bincount(codes, values, minlength=n) / np.bincount(codes, minlength=n)
    return means


def by_target_class(
    score: Score,
    classes: Mapping[str, str] | None = None,
    *,
    how: Resampling = DEFAULT,
) -> Breakdown:
    """By the class of the active gene, most actives first; genes without one come last.

    Args:
        score: The score.
        classes: Gene -> class; by default the package's own (see `read_classes`).
        how: How intervals are drawn.
    """
    own = classes is None
    classes = read_classes() if classes is None else classes
    assert score.task.active is not None
    kinds = [classes.get(gene, UNCLASSIFIED) for gene in score.task.gene_symbol]
    counts: dict[str, int] = {}
    for kind, active in _active_kinds(kinds, score):
        if active == 1:
            counts[kind] = counts.get(kind, 0) + 1
    order = sorted(counts, key=lambda kind: (kind == UNCLASSIFIED, -counts[kind], kind))
    notes = []
    if own:
        notes.append("classes are coarse and ours, by gene family")
    if UNCLASSIFIED in counts:
        notes.append(f"{counts[UNCLASSIFIED]:,} active pairs have a gene without a class")
    return break_down(
        "by target class",
        score,
        kinds,
        order,
        how=how,
        notes=notes,
    )


def by_potency(
    score: Score,
    affinities: Affinities,
    *,
    how: Resampling = DEFAULT,
) -> Breakdown:
    """By the strongest affinity of the active pair in the table; a pair that is not in it is `unknown`."""
    kinds = [
        potency(affinities.by_compound.get(treatment, {}).get(gene))
        for treatment, gene in zip(score.task.treatment, score.task.gene_symbol, strict=True)
    ]
    found = break_down(
        "by potency of the active pair",
        score,
        kinds,
        [*(name for _, name in BINS), BEYOND, UNKNOWN],
        how=how,
    )
    absent = sum(part.n_active for part in found.parts if part.name == UNKNOWN)
    if not absent:
        return found
    note = f"{absent:,} active pairs are not in {affinities.path.name}"
    return Breakdown(found.title, found.parts, (note,))


def potency(affinity: float | None) -> str:
    """The bin of an affinity in nM; an upper end belongs to its bin."""
    if affinity is None:
        return UNKNOWN
    return next((name for most, name in BINS if affinity <= most), BEYOND)


def read_classes(path: Path | str = CLASSES) -> dict[str, str]:
    """Read `gene_symbol,target_class`, one row a gene (further columns are allowed).

    Raises:
        DataError: Naming the line and the value.
    """
    table = read_table(Path(path))
    table.need(*COLUMNS)
    classes: dict[str, str] = {}
    row_of: dict[str, int] = {}
    for row, (gene, kind) in enumerate(zip(*(table.columns[name] for name in COLUMNS), strict=True)):
        for name, cell in zip(COLUMNS, (gene, kind), strict=True):
            if not isinstance(cell, str) or not cell.strip():
                shown = repr(cell) if cell not in ("", None) else "empty"
                raise DataError(f"{table.at(row)}: {name} is {shown}; a name was expected")
        if gene in classes:
            raise DataError(
                f"{table.at(row)}: {gene!r} stands a second time ({kind!r}); it is {classes[gene]!r} on "
                f"{table.unit} {table.lines[row_of[gene]]}. One row a gene is expected"
            )
        classes[gene], row_of[gene] = kind.strip(), row
    refuse_dates(list(classes), COLUMNS[0], lambda i: table.at(list(row_of.values())[i]))
    if not classes:
        raise DataError(f"{path} holds no target classes")
    return classes
