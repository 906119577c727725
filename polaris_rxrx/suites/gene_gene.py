"""Gene-gene relations: are genes known to act together alike, or opposite, in a map?

Conventions
    Genes are the CRISPR perturbations of a map with a vector; the null is the cosines of all n (n - 1) / 2
    pairs of them. A relation is an unordered pair of two different genes, once a source, both in the map.
    With L and R the shares of the null that are below, and at or below, a relation's cosine (`searchsorted`
    left and right on the sorted null), the relation is recovered if R <= low ("low": opposite) or L >= high
    ("high": alike); recall is the share recovered. A relation is itself in the null, so R > 0 and L < 1, and
    a tie across a threshold is not recovered. `percentile` is (L + R) / 2.
    By chance, without ties, low + 1 - high of the relations are recovered.
    The interval is the middle 95% of the recall of relations drawn with replacement. Such a recall is
    Binomial(n, recall) / n, and is drawn as that; each source has draws of its own, whatever else is asked.
    Relations share genes, so they are not independent: the draws are stretched about the recall to the
    variance over genes (`polaris_rxrx.stats.dyads`). `independent_low_end` and `independent_high_end` are
    without that.
    Genes whose wells share an experiment share what is left of its batch. With the layout known, `apart` is
    the recall of relations between genes that share no experiment, ranked among all such pairs, and
    `share_together` the share of relations that do share one.

Source
    arXiv 2503.20158, Table 6, and its public code (EFAAR_benchmarking): these are its ranks and comparisons.

Deviations from the public code
    1. EMPTY_control is no gene; there it is a 736th one, a zero vector up to rounding, whose 735 cosines are
       in the null (270,480 pairs, not 269,745). Not offered: our maps have no such row.
    2. A gene with a zero vector is left out and named; there its cosines are 0 and count. Not offered:
       nothing is known of such a gene.
    3. The null is of genes alone; an older version took it over all perturbations (14,090), compounds
       included, and reported far higher recall. Not offered: the public code takes genes alone today.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.similarity import unit_rows
from polaris_rxrx.stats import dyads
from polaris_rxrx.stats.intervals import Interval
from polaris_rxrx.suites.deviations import listed
from polaris_rxrx.suites.documents import (
    AgainstFigures,
    ApartFigures,
    GeneGeneProtocol,
    GeneGeneSummary,
    RecallFigures,
    SourceFigures,
    ThresholdFigures,
)
from polaris_rxrx.suites.layout import Layout
from polaris_rxrx.suites.relations import Relations
from polaris_rxrx.suites.result import Digest, Result, versions
from polaris_rxrx.types import Bools, Floats, Ints

COLUMNS = ("source", "gene1", "gene2", "cosine", "percentile", "recovered", "side")
LOW, HIGH = 0.05, 0.95
N_BOOTSTRAP = 1000
INTERVAL = 0.95
# Shorter than this beside the longest vector of a map, a vector is a zero with rounding errors.
ZERO = 1e-10


@dataclass(frozen=True, eq=False)
class Ranked:
    """Relations against a null: each array has one entry a relation."""

    cosine: Floats
    percentile: Floats
    low: Bools
    high: Bools

    @property
    def recovered(self) -> Bools:
        return self.low | self.high


def evaluate_gene_gene(
    map_: Map,
    relations: Mapping[str, Relations],
    *,
    low: float = LOW,
    high: float = HIGH,
    more: Sequence[tuple[float, float]] = (),
    seed: int = 0,
    n_bootstrap: int = N_BOOTSTRAP,
    layout: Layout | None = None,
    against: Map | None = None,
) -> Result:
    """Recall of known relations.

    Args:
        map_: Rows of other types than CRISPR are not looked at.
        relations: Source -> what `read_relations` read.
        low, high: Shares of the null, 0 <= low < high <= 1.
        more: Further pairs of them, whose recalls stand in the table `thresholds`.
        seed: Of the bootstrap.
        n_bootstrap: 0 for no interval.
        layout: In which experiments each gene has wells.
        against: Another map: the difference of recalls, relation by relation, of genes that both maps have.

    Raises:
        UsageError: Thresholds, seed or number of draws cannot be, or there is no source.
        DataError: The map has fewer than two genes, one of them twice, or NaN; no relation is of its genes.

    >>> from polaris_rxrx.suites.relations import read_relations
    >>> corum = read_relations("data/relations/CORUM.txt")
    >>> found = evaluate_gene_gene(pr.load_map("map.parquet"), {"CORUM": corum})
    >>> found.summary["n_pairs"]  # of 80 genes
    3160
    >>> of = found.summary["sources"]["CORUM"]
    >>> of["n_recovered"] / of["n_relations"] == of["recall"]
    True
    """
    asked = _Asked(float(low), float(high), int(seed), int(n_bootstrap))
    others = [replace(asked, low=float(a), high=float(b)) for a, b in more]
    if not relations:
        raise UsageError("no source of relations is given; at least one was expected")
    ours = _Genes.of(map_)
    other = None if against is None else _Genes.of(against)
    apart = None if layout is None else _Apart.of(ours, layout)
    found = _Found(ours, asked, others, apart, other)
    for name, known in relations.items():
        found.add(name, known)
    sources, table, thresholds = found.sources, found.table, found.thresholds
    if not table["source"]:
        raise DataError(_none_of(relations, ours.names))
    summary: GeneGeneSummary = {
        "n_genes": len(ours.names),
        "n_pairs": len(ours.null),
        "expected_by_chance": round(low + 1 - high, 12),
        "share_of_pairs_together": None if apart is None else apart.share,
        "sources": sources,
    }
    per_source = {"source": list(sources), **_columns(sources.values())}
    protocol = _protocol(asked, relations, ours, other, layout)
    tables = {"sources": per_source, "relations": table}
    if others:
        protocol["more"] = [[each.low, each.high] for each in others]
        tables["thresholds"] = _columns(thresholds)
        summary["thresholds"] = thresholds
    return Result("gene-gene", protocol, summary, tables, (*ours.notes, *found.notes))


def _columns(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows of like keys as columns."""
    each = list(rows)
    return {key: [row[key] for row in each] for key in each[0]}


def _none_of(relations: Mapping[str, Relations], genes: Sequence[str]) -> str:
    """What to say where no relation is between two genes of the map."""
    files = ", ".join(str(known.path) for known in relations.values())
    return (
        f"none of the relations in {files} is between two of the map's {len(genes):,} genes "
        f"({some(genes, 3)}); are both gene symbols?"
    )


def _protocol(
    asked: _Asked,
    relations: Mapping[str, Relations],
    ours: _Genes,
    other: _Genes | None,
    layout: Layout | None,
) -> GeneGeneProtocol:
    """What was asked, of which files and maps."""
    return {
        "low": asked.low,
        "high": asked.high,
        "seed": asked.seed,
        "n_bootstrap": asked.n_bootstrap,
        "interval": INTERVAL,
        "interval_of": "recall over relations, stretched to the variance over genes",
        "null": "all pairs of genes",
        "layout": None if layout is None else layout.sha256,
        "against": None if other is None else other.protocol,
        "map": ours.protocol,
        "map_sha256": ours.sha256,
        "relations_sha256": {name: known.sha256 for name, known in relations.items()},
        "deviations": listed("gene-gene"),
        "versions": versions(),
    }


@dataclass(frozen=True)
class _Asked:
    """Thresholds, and of the bootstrap the seed and the number of draws."""

    low: float
    high: float
    seed: int
    n_bootstrap: int

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise UsageError(
                f"the thresholds are low {self.low} and high {self.high}; 0 <= low < high <= 1 was expected"
            )
        for name, value in (("seed", self.seed), ("n_bootstrap", self.n_bootstrap)):
            if value < 0:
                raise UsageError(f"{name} is {value}; 0 or more was expected")


@dataclass(frozen=True, eq=False)
class _Genes:
    """The genes of a map: names, the place of each, their cosines (n, n) and all pairs' of them, sorted."""

    names: list[str]
    at: dict[str, int]
    cosines: Floats
    null: Floats
    notes: list[str]
    protocol: dict[str, Any]
    sha256: str

    @classmethod
    def of(cls, map_: Map) -> _Genes:
        names, x, notes = genes_of(map_)
        cosines = gene_cosines(x)
        null = np.sort(cosines[~np.tri(len(names), dtype=bool)])
        at, digest = {name: i for i, name in enumerate(names)}, Digest().names(names).array(x).hex()
        return cls(names, at, cosines, null, notes, map_.protocol, digest)

    def rank(self, pairs: Ints, asked: _Asked, null: Floats | None = None) -> Ranked:
        """Where pairs (k, 2) of places stand among all pairs, or in another null."""
        cosine = self.cosines[pairs[:, 0], pairs[:, 1]]
        return rank(cosine, self.null if null is None else null, asked.low, asked.high)


@dataclass(frozen=True, eq=False)
class _Apart:
    """Which genes share an experiment (n, n), the share of pairs that do, the others' cosines, sorted."""

    together: Bools
    share: float
    null: Floats

    @classmethod
    def of(cls, genes: _Genes, layout: Layout) -> _Apart:
        together = layout.together(genes.names)
        upper = ~np.tri(len(genes.names), dtype=bool)
        return cls(together, float(together[upper].mean()), np.sort(genes.cosines[upper & ~together]))

    def recall(self, name: str, genes: _Genes, pairs: Ints, asked: _Asked) -> ApartFigures:
        """Recall of relations between genes that share no experiment, among pairs that share none."""
        share = self.together[pairs[:, 0], pairs[:, 1]]
        pairs = pairs[~share]
        n = len(pairs)
        recall, ends = None, None
        if n:  # then the null holds them
            recovered = genes.rank(pairs, asked, self.null).recovered
            recall = float(recovered.mean())
            if asked.n_bootstrap:
                ends, _ = interval(recovered, pairs, asked.seed, name, asked.n_bootstrap)
        return {
            "n_relations_apart": n,
            "share_together": float(share.mean()) if len(share) else None,
            "recall_apart": recall,
            "recall_apart_low_end": ends.low if ends else None,
            "recall_apart_high_end": ends.high if ends else None,
        }


@dataclass(frozen=True, eq=False)
class _Found:
    """What is known of each source, one after another: their figures, their relations, at each threshold."""

    ours: _Genes
    asked: _Asked
    others: Sequence[_Asked]
    apart: _Apart | None
    other: _Genes | None
    sources: dict[str, SourceFigures] = field(default_factory=dict)
    table: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    thresholds: list[ThresholdFigures] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, known: Relations) -> None:
        """Rank a source's relations."""
        ours, asked = self.ours, self.asked
        _refuse_missing_header(known, ours.at)
        place = known.places(ours.at)
        pairs = known.pairs(place)
        ranked = ours.rank(pairs, asked)
        for each in [asked, *self.others] if self.others else []:
            recall = _summary(name, known, pairs, ours.rank(pairs, each), each)
            self.thresholds.append({"low": each.low, "high": each.high, "source": name, **recall})
        apart: ApartFigures = {}
        against: AgainstFigures = {}
        if self.apart is not None:
            apart = self.apart.recall(name, ours, pairs, asked)
        if self.other is not None:
            against = _difference(ours, self.other, pairs, ranked, asked)
        self.sources[name] = {**_summary(name, known, pairs, ranked, asked), **apart, **against}
        _add_rows(self.table, name, ours.names, pairs, ranked)
        self.notes.extend(_absences(name, known, place, len(pairs)))


def _difference(ours: _Genes, other: _Genes, pairs: Ints, ranked: Ranked, asked: _Asked) -> AgainstFigures:
    """The difference of recalls over relations of genes that both maps have, each in its own null."""
    place = np.array([other.at.get(gene, -1) for gene in ours.names], dtype=np.int64)[pairs]
    common = (place >= 0).all(axis=1)
    theirs = other.rank(place[common], asked).recovered
    own = ranked.recovered[common]
    values = own.astype(np.float64) - theirs
    ends, p = dyads.difference(values, pairs[common], INTERVAL)
    n = len(values)
    return {
        "n_relations_both": n,
        "recall_both": float(own.mean()) if n else None,
        "recall_against": float(theirs.mean()) if n else None,
        "difference": float(values.mean()) if n else None,
        "difference_low_end": ends.low,
        "difference_high_end": ends.high,
        "difference_p_value": p,
    }


def gene_cosines(x: Floats) -> Floats:
    """Cosines (n, n) of all rows of `x` with each other.

    >>> gene_cosines(np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])).tolist()
    [[1.0, 0.0, -1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 1.0]]
    """
    units = unit_rows(x)
    cosines: Floats = units @ units.T
    return np.clip(cosines, -1.0, 1.0, out=cosines)


def rank(cosine: Floats, null: Floats, low: float, high: float) -> Ranked:
    """Where cosines (k,) stand in a sorted null (n,)."""
    left = np.searchsorted(null, cosine, side="left") / len(null)
    right = np.searchsorted(null, cosine, side="right") / len(null)
    return Ranked(cosine, (left + right) / 2, right <= low, left >= high)


def bootstrap(recall: float, n: int, seed: int, source: str, n_bootstrap: int) -> Interval:
    """The interval of the recall of `n` relations, if they were independent."""
    rng = np.random.default_rng([seed, zlib.crc32(source.encode())])
    draws = rng.binomial(n, recall, size=n_bootstrap) / n
    ends = np.quantile(draws, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return Interval(float(ends[0]), float(ends[1]))


def interval(
    recovered: Bools, pairs: Ints, seed: int, source: str, n_bootstrap: int
) -> tuple[Interval, Interval]:
    """The interval of a recall, and what it would be if relations were independent."""
    n, recall = len(recovered), float(recovered.mean())
    independent = bootstrap(recall, n, seed, source, n_bootstrap)
    spread, alone = dyads.variance(recovered.astype(np.float64), pairs)
    factor = float(np.sqrt(spread / alone)) if alone > 0 else 1.0
    return independent.stretched(recall, factor, 0.0, 1.0), independent


def genes_of(map_: Map) -> tuple[list[str], Floats, list[str]]:
    """Genes sorted by name, their vectors, and what was left out."""
    p = map_.perturbations
    rows = [int(i) for i in map_.rows("CRISPR")]
    notes: list[str] = []
    if controls := sorted(p.name[i] for i in rows if p.name[i].endswith("_control")):
        notes.append(f"the map's rows {some(controls)} are controls and were left out")
    rows = sorted((i for i in rows if not p.name[i].endswith("_control")), key=lambda i: p.name[i])
    names = [p.name[i] for i in rows]
    if twice := sorted({a for a, b in pairwise(names) if a == b}):
        raise DataError(
            f"{len(twice):,} genes stand in the map more than once: {some(twice)}; expected one row per gene"
        )
    x = np.asarray(map_.x[rows], dtype=np.float64)
    _refuse_nan(names, x)
    largest = np.abs(x).max(initial=0.0)
    length = np.linalg.norm(x / (largest or 1.0), axis=1)
    zero = length <= ZERO * length.max(initial=0.0)
    if zero.any():
        absent = [name for name, no_vector in zip(names, zero, strict=True) if no_vector]
        notes.append(f"{len(absent):,} genes have a zero vector and were left out: {some(absent)}")
        names = [name for name, no_vector in zip(names, zero, strict=True) if not no_vector]
    if len(names) < 2:
        raise DataError(
            f"the map has {len(names)} CRISPR {'gene' if len(names) == 1 else 'genes'} with a vector"
            f"{f' ({names[0]!r})' if names else ''}; at least 2 make a pair"
        )
    return names, x[~zero] / largest, notes  # scaled, so that no square overflows


def _refuse_nan(names: list[str], x: Floats) -> None:
    bad = ~np.isfinite(x)
    if bad.any():
        row, column = (int(i[0]) for i in np.nonzero(bad))
        raise DataError(
            f"the map's row of gene {names[row]!r} holds {x[row, column]} in dimension {column} (not finite "
            f"in {int(bad.any(axis=1).sum()):,} of {len(x):,} genes); finite numbers were expected"
        )


def _refuse_missing_header(known: Relations, at: Mapping[str, int]) -> None:
    if all(name in at for name in known.header):
        raise DataError(
            f"{known.path}, line 1: {known.header[0]!r} and {known.header[1]!r} are genes of the map; a "
            "header such as entity1,entity2 was expected there"
        )


def _summary(name: str, known: Relations, pairs: Ints, ranked: Ranked, asked: _Asked) -> RecallFigures:
    n = len(ranked.cosine)
    recall = float(ranked.recovered.mean()) if n else None
    ends: Interval | None = None
    alone: Interval | None = None
    if recall is not None and asked.n_bootstrap:
        ends, alone = interval(ranked.recovered, pairs, asked.seed, name, asked.n_bootstrap)
    return {
        "n_relations": n,
        "n_rows": len(known),
        "recall": recall,
        "recall_low_end": ends.low if ends else None,
        "recall_high_end": ends.high if ends else None,
        "independent_low_end": alone.low if alone else None,
        "independent_high_end": alone.high if alone else None,
        "n_recovered": int(ranked.recovered.sum()),
        "n_low": int(ranked.low.sum()),
        "n_high": int(ranked.high.sum()),
    }


def _add_rows(
    table: dict[str, list[Any]], source: str, genes: list[str], pairs: Ints, ranked: Ranked
) -> None:
    side = np.where(ranked.low, "low", np.where(ranked.high, "high", ""))
    table["source"] += [source] * len(pairs)
    table["gene1"] += [genes[i] for i in pairs[:, 0].tolist()]
    table["gene2"] += [genes[i] for i in pairs[:, 1].tolist()]
    table["cosine"] += ranked.cosine.tolist()
    table["percentile"] += ranked.percentile.tolist()
    table["recovered"] += ranked.recovered.astype(int).tolist()
    table["side"] += side.tolist()


def _absences(name: str, known: Relations, place: Ints, n_pairs: int) -> list[str]:
    absent = [known.names[i] for i in np.flatnonzero(place < 0).tolist()]
    notes = []
    if absent:
        notes.append(
            f"{name}: {len(absent):,} of {len(known.names):,} genes are not in the map: "
            f"{some(sorted(absent))}"
        )
    if not n_pairs:
        notes.append(f"{name}: no relation is between two genes of the map, so it has no recall")
    return notes
