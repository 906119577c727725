"""The variance of a mean over treatments that are scored against the same genes.

Conventions
    The statistic is the mean over treatments of (metric - its exact chance). Leaving a treatment out, or a
    gene from every treatment that has it, or one cell (a treatment and a gene: mostly one pair) gives three
    sets of means, and each a delete-one jackknife, (k - 1) / k * sum((mean_i - their mean)^2):
        V = V_treatment + V_gene - V_cell, never below V_treatment.
    Chance is subtracted because leaving a pair out changes it: without that, a gene that is often active
    would seem to carry the score.
    A treatment of which nothing can be scored once a pair is gone leaves the mean; a deletion that leaves no
    treatment is left out of its jackknife. Of fewer than two deletions a part is 0, so a task with one gene,
    or without names of genes, has V = V_treatment.
    For the difference of two submissions subtract their `Means`; chance, equal for both, cancels.

How much that matters
    Every embedding rates some genes high or low whatever the compound. Where it does, the spread of a mean
    over treatments is up to twice what independent treatments would have (docs/noise.md).

Source
    Cameron, Gelbach and Miller, J. Bus. Econ. Stat. 29 (2011) 238-249; Owen, Ann. Appl. Stat. 1 (2007)
    386-411.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from polaris_rxrx.metrics import METRICS, GroupScores, group_scores
from polaris_rxrx.stats.deletions import without_each
from polaris_rxrx.stats.resampling import Clusters
from polaris_rxrx.types import Floats, Ints

_PAIRS = 2_000_000  # rescored at once: bounds the memory


class VarianceDocument(TypedDict):
    """The variance of a mean over treatments and genes: its three parts, and the one that was used."""

    treatment: float
    gene: float
    cell: float
    n_treatments: int
    n_genes: int
    used: float


@dataclass(frozen=True)
class Variance:
    """The three parts, and of how many treatments and genes."""

    treatment: float
    gene: float
    cell: float
    n_treatments: int
    n_genes: int

    def of(self, clusters: Clusters) -> float:
        """The variance of the mean; with `both` never below that of the treatments alone.

        >>> Variance(treatment=4.0, gene=3.0, cell=1.0, n_treatments=10, n_genes=5).of("both")  # 4 + 3 - 1
        6.0
        """
        if clusters == "treatment":
            return self.treatment
        if clusters == "gene":
            return self.gene
        return self.treatment + max(0.0, self.gene - self.cell)

    def to_dict(self, clusters: Clusters) -> VarianceDocument:
        """For JSON, with the one that was used."""
        return {
            "treatment": self.treatment,
            "gene": self.gene,
            "cell": self.cell,
            "n_treatments": self.n_treatments,
            "n_genes": self.n_genes,
            "used": self.of(clusters),
        }

    def stretch(self, clusters: Clusters) -> float:
        """How much wider than over treatments alone an interval has to be; 1 where treatments do not vary.

        >>> Variance(treatment=4.0, gene=6.0, cell=1.0, n_treatments=10, n_genes=5).stretch("both")
        1.5
        """
        if clusters == "treatment" or not self.treatment > 0:
            return 1.0
        return float(np.sqrt(self.of(clusters) / self.treatment))

    def extra(self, clusters: Clusters) -> float:
        """What has to be added to a variance in which every pair is independent of the others."""
        return 0.0 if clusters == "treatment" else max(0.0, self.gene - self.cell)


@dataclass(frozen=True, eq=False)
class Means:
    """Means with one treatment, gene or cell left out, and the `whole` one; NaN where nothing is left.

    In the order of the codes of those that are there.
    """

    treatment: Floats
    gene: Floats
    cell: Floats
    whole: float

    def __sub__(self, other: Means) -> Means:
        return Means(
            self.treatment - other.treatment,
            self.gene - other.gene,
            self.cell - other.cell,
            self.whole - other.whole,
        )

    def variance(self) -> Variance:
        return Variance(
            jackknife(self.treatment),
            jackknife(self.gene),
            jackknife(self.cell),
            int(np.sum(~np.isnan(self.treatment))),
            int(np.sum(~np.isnan(self.gene))),
        )


@dataclass(frozen=True, eq=False)
class Deleted:
    """`Means` of each metric by its key: above chance, and normalized (see `polaris_rxrx.metrics`)."""

    above: dict[str, Means]
    normalized: dict[str, Means]

    def __getitem__(self, metric: str) -> Means:
        return self.above[metric]


def leave_out(
    active: Floats, score: Floats, treatment: Ints, gene: Ints | None, groups: GroupScores
) -> Deleted:
    """Means over treatments without each treatment, each gene and each cell.

    Args:
        active: Labels 1, 0 or NaN, shape (n_pairs,).
        score: Finite scores, shape (n_pairs,).
        treatment: Codes, shape (n_pairs,).
        gene: Codes, shape (n_pairs,), -1 where a pair has no name of a gene; None if none has.
        groups: What `group_scores` made of the first three.

    Two treatments, each with a pair of two genes; the first ranks its active first, the second does not:

    >>> active, score = np.array([1.0, 0, 1, 0]), np.array([0.9, 0.1, 0.2, 0.8])
    >>> treatment, gene = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    >>> from polaris_rxrx.metrics import group_scores
    >>> groups = group_scores(active, score, treatment, n_groups=2)
    >>> means = leave_out(active, score, treatment, gene, groups)["pr_auc"]
    >>> means.whole, means.treatment.tolist()  # 1 and 0.5, by chance 0.75
    (0.0, [-0.25, 0.25])
    """
    there = ~np.isnan(active)
    y, s, t = active[there], score[there], treatment[there]
    first, cells = _cells(t, None if gene is None else gene[there])
    changed = without_each(y, s, t, len(groups.n_pairs))
    left = GroupScores(*(getattr(changed, name)[first] for name in _FIELDS))
    _rescore(y, s, t, cells, np.flatnonzero(np.bincount(cells.of_pair) > 1), left)
    named = gene is not None
    return Deleted(
        {key: _means(m.above(groups), m.above(left), cells, named) for key, m in METRICS.items()},
        {key: _means(m.normalized(groups), m.normalized(left), cells, named) for key, m in METRICS.items()},
    )


def leave_out_of_means(values: Floats, treatment: Ints, gene: Ints | None) -> Means:
    """The same for the mean over treatments of the mean of each one's values.

    Args:
        values: Less what is expected of each by chance, shape (n,), no NaN.
        treatment: Codes, shape (n,).
        gene: Codes, shape (n,), -1 where there is no name of a gene; None if there is none at all.

    Treatments with the means 1 and 4; without a gene each is its other value, or the only one left:

    >>> means = leave_out_of_means(np.array([0.0, 2.0, 4.0]), np.array([0, 0, 1]), np.array([0, 1, 0]))
    >>> means.whole, means.treatment.tolist(), means.gene.tolist()
    (2.5, [4.0, 1.0], [2.0, 2.0])
    """
    _, cells = _cells(treatment, gene)
    of_cell, size = np.bincount(cells.of_pair, values), np.bincount(cells.of_pair)
    total, count = np.bincount(treatment, values), np.bincount(treatment)
    at = cells.treatment
    left = _divide(total[at] - of_cell, count[at] - size)
    return _means(_divide(total, count), left, cells, gene is not None)


_FIELDS = [field.name for field in fields(GroupScores)]


@dataclass(frozen=True, eq=False)
class _Cells:
    """Treatments and genes of the cells, (n_cells,), and the cell of each pair, (n_pairs,)."""

    treatment: Ints
    gene: Ints
    of_pair: Ints


def _cells(t: Ints, gene: Ints | None) -> tuple[Ints, _Cells]:
    """The first pair of each cell, and the cells."""
    g = np.full(len(t), -1, dtype=np.int64) if gene is None else gene
    # A pair without a gene stands for itself.
    g = np.where(g < 0, g.max(initial=-1) + 1 + np.arange(len(g)), g)
    width = int(g.max(initial=0)) + 1
    code, first, of_pair = np.unique(t * width + g, return_index=True, return_inverse=True)
    return first, _Cells(code // width, code % width, of_pair)


def _rescore(y: Floats, s: Floats, t: Ints, cells: _Cells, repeated: Ints, left: GroupScores) -> None:
    """Write into `left` what a treatment scores without all the pairs of a cell that has several."""
    order = np.argsort(t, kind="stable")
    counts = np.bincount(t)
    start = np.cumsum(counts) - counts
    while len(repeated):
        sizes = counts[cells.treatment[repeated]]
        k = max(1, int(np.searchsorted(np.cumsum(sizes), _PAIRS)))
        some, sizes = repeated[:k], sizes[:k]
        group = np.repeat(np.arange(k), sizes)[: sizes.sum()]
        within = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        pair = order[start[cells.treatment[some]][group] + within]
        keep = cells.of_pair[pair] != some[group]
        pair, group = pair[keep], group[keep]
        found = group_scores(y[pair], s[pair], group, len(some))
        for name in _FIELDS:
            getattr(left, name)[some] = getattr(found, name)
        repeated = repeated[k:]


def _means(above: Floats, without: Floats, cells: _Cells, named: bool) -> Means:
    """The three sets of means of one metric above chance: `above` one a treatment, `without` one a cell."""
    counted = ~np.isnan(above)
    n, total = int(counted.sum()), float(above[counted].sum())
    by_treatment = _divide(total - above[counted], np.full(n, n - 1))
    whole = total / n if n else float("nan")
    if not named:
        return Means(by_treatment, np.zeros(0), np.zeros(0), whole)
    inside = counted[cells.treatment]
    gene, without = cells.gene[inside], without[inside]
    gone = np.isnan(without)
    change = np.where(gone, 0.0, without) - above[cells.treatment[inside]]
    of_gene = _divide(total + np.bincount(gene, change), n - np.bincount(gene, gone))
    return Means(by_treatment, of_gene[np.bincount(gene) > 0], _divide(total + change, n - gone), whole)


def _divide(sums: NDArray[Any], n: NDArray[Any]) -> Floats:
    means: Floats = np.divide(sums, n, out=np.full(len(sums), np.nan), where=np.asarray(n) > 0)
    return means


def jackknife(means: Floats) -> float:
    """The delete-one jackknife's variance, NaN left out; 0 of fewer than two means.

    >>> jackknife(np.array([1.0, 3.0, np.nan]))  # 1/2 of (1 + 1)
    1.0
    """
    there = means[~np.isnan(means)]
    k = len(there)
    return 0.0 if k < 2 else float((k - 1) / k * np.sum((there - there.mean()) ** 2))
