"""Shortcuts: scores of every test pair by something that needs no image.

Conventions
    `gene` and `compound` are codes of a pair, 0..G-1 and 0..T-1, into sorted lists of names. A table is of
    shape (G,), (T,) or (G, T), NaN where nothing is known; `spread` lays it over the pairs. Pairs of which
    nothing is known are filled with the mean of the others, and counted.
    Higher means more likely active. Each direction was fixed beforehand and stands in `KINDS` in words; none
    is turned round after seeing the labels.

Labels in shortcuts
    `gene-popularity` uses test labels, which no honest submission has: it bounds what knowing popular genes
    could give. A pair's own label is left out, with all labels of the same gene and compound. Leaving out has
    a known bias: what is left of a fixed total is low where the own label is high. Within a treatment the
    pairs ranked are of different genes, so it is mild where the genes' totals differ by more than chance (as
    in the real annotations, where they run from 0 to 30), and none at all if labels are independent. Where
    the totals hardly differ it takes over and turns the shortcut upside down; a result below random scores
    is a sign of that, and is said. In the pooled figures, which compare a gene's pairs with each other, it is
    there always, downwards.
    `compound-promiscuity` cannot leave a pair's own label out: the actives among a compound's other pairs are
    one fewer for an active than for an inactive, so within a treatment that would be the labels themselves,
    upside down. The share over all of a compound's pairs is constant within the treatment and tells nothing
    there; pooled over treatments it includes each pair's own label (one in n), so it flatters a little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from polaris_rxrx.maps.build import Map
from polaris_rxrx.stats.explain import elsewhere, place_elsewhere
from polaris_rxrx.task import Task
from polaris_rxrx.types import Floats, Ints

Needs = Literal["task", "submission", "metadata", "map", "nuclei counts"]
By = Literal["gene", "compound", "pair"]

PSEUDO_PAIRS = 1.0  # at the overall share of actives, added to a gene's pairs


@dataclass(frozen=True)
class Kind:
    """What a shortcut is. A shortcut by compound is constant within a treatment and cannot rank there."""

    name: str
    title: str
    knows: str
    direction: str
    needs: Needs
    by: By


KINDS = (
    Kind(
        "gene-popularity",
        "gene popularity",
        "the share of a gene's pairs with other compounds that are active (from the test labels)",
        "genes that are active more often first",
        "task",
        "gene",
    ),
    Kind(
        "compound-promiscuity",
        "compound promiscuity",
        "the share of a compound's pairs that are active (from the test labels)",
        "compounds with a larger share of actives first",
        "task",
        "compound",
    ),
    Kind(
        "compound-blind",
        "the submission, blind to the compound",
        "the mean place that the submission gives a gene in other treatments",
        "genes that the submission places higher elsewhere first",
        "submission",
        "gene",
    ),
    Kind("row-order", "row order", "the order of the task's rows", "earlier rows first", "task", "pair"),
    Kind(
        "gene-wells",
        "wells of the gene",
        "how many wells a gene has",
        "genes with more wells first",
        "metadata",
        "gene",
    ),
    Kind(
        "compound-wells",
        "wells of the compound",
        "how many wells a compound has",
        "compounds with more wells first",
        "metadata",
        "compound",
    ),
    Kind(
        "highest-dose",
        "dose",
        "the highest concentration of a compound",
        "compounds with a higher one first",
        "metadata",
        "compound",
    ),
    Kind(
        "plate-edge",
        "nearness to the plate's edge",
        "how many rows or columns a gene's wells are from the nearest edge, on average",
        "genes nearer to an edge first",
        "metadata",
        "gene",
    ),
    Kind(
        "shared-addresses",
        "shared addresses",
        "the cosine of the counts of wells at each address, of gene and compound",
        "pairs whose addresses are more alike first",
        "metadata",
        "pair",
    ),
    Kind(
        "shared-plates",
        "shared plate numbers",
        "the cosine of the counts of wells on plates of each number, of gene and compound",
        "pairs whose plate numbers are more alike first",
        "metadata",
        "pair",
    ),
    Kind(
        "gene-norm",
        "strength of the gene",
        "the norm of a gene's row in the map",
        "genes with a larger norm first",
        "map",
        "gene",
    ),
    Kind(
        "compound-norm",
        "strength of the compound",
        "the largest norm of a compound's rows in the map, over its concentrations",
        "compounds with a larger norm first",
        "map",
        "compound",
    ),
    Kind(
        "nuclei-count",
        "nuclei count",
        "the effects of gene and compound (at its strongest concentration) on the nuclei count, in standard "
        "deviations of each experiment's control wells",
        "pairs that change the count in the same direction, and more, first (the product)",
        "nuclei counts",
        "pair",
    ),
)


@dataclass(frozen=True, eq=False)
class Shortcut:
    """A finite score of every pair; `filled` of them are the mean (`fill`) of the others."""

    kind: Kind
    values: Floats
    filled: int
    fill: float | None


@dataclass(frozen=True)
class Skipped:
    """A shortcut that was not computed, and why."""

    kind: Kind
    reason: str


@dataclass(frozen=True, eq=False)
class Pairs:
    """The test pairs as codes."""

    active: Floats
    gene: Ints
    compound: Ints
    genes: list[str]
    compounds: list[str]

    @classmethod
    def of(cls, task: Task) -> Pairs:
        assert task.active is not None
        gene, genes = task.groups("gene_symbol")
        compound, compounds = task.groups("treatment")
        return cls(task.active, gene, compound, genes, compounds)


def compute(
    pairs: Pairs,
    submission: Floats,
    *,
    tables: Mapping[str, Floats],
    absent: Mapping[Needs, str],
    reasons: Mapping[str, str] = {},
) -> tuple[list[Shortcut], list[Skipped]]:
    """Every shortcut that can be computed, in the order of `KINDS`, and those that cannot.

    Args:
        pairs: The task's.
        submission: Its scores.
        tables: By a shortcut's name, what was read for it, NaN where nothing is known.
        absent: Why what is needed is not there.
        reasons: By a shortcut's name, why it alone is not there.
    """
    own = {
        "gene-popularity": gene_popularity(pairs),
        "compound-promiscuity": compound_promiscuity(pairs),
        "compound-blind": compound_blind(pairs, submission),
        "row-order": -np.arange(len(pairs.gene), dtype=np.float64),
    }
    found: list[Shortcut] = []
    skipped: list[Skipped] = []
    for kind in KINDS:
        if kind.name in own:
            values = own[kind.name]
        elif kind.name in tables:
            values = spread(tables[kind.name], kind.by, pairs)
        else:
            reason = reasons.get(kind.name) or absent.get(kind.needs) or f"no {kind.needs} given"
            skipped.append(Skipped(kind, reason))
            continue
        known = np.isfinite(values)
        if not known.any():
            skipped.append(Skipped(kind, _unknown(kind)))
            continue
        fill = float(values[known].mean())
        filled = int((~known).sum())
        found.append(Shortcut(kind, np.where(known, values, fill), filled, fill if filled else None))
    return found, skipped


def _unknown(kind: Kind) -> str:
    if kind.name == "compound-blind":
        return "no gene stands in two treatments"
    if kind.name == "gene-popularity":
        return "no gene has labeled pairs in two treatments"
    what = {"gene": "genes", "compound": "compounds", "pair": "pairs"}[kind.by]
    return f"none of the task's {what} is in the {'file' if kind.needs == 'nuclei counts' else kind.needs}"


def spread(table: Floats, by: By, pairs: Pairs) -> Floats:
    """A table laid over the pairs."""
    if by == "gene":
        return table[pairs.gene]
    if by == "compound":
        return table[pairs.compound]
    return table[pairs.gene, pairs.compound]


def gene_popularity(pairs: Pairs) -> Floats:
    """(actives + s p) / (pairs + s) over the gene's labeled pairs with other compounds; NaN without any.

    p is the share of all labeled pairs that are active and s is `PSEUDO_PAIRS`.
    """
    hits, n = elsewhere(pairs.active, pairs.gene, pairs.compound)
    overall = float(np.nanmean(pairs.active))
    return np.where(n > 0, (hits + PSEUDO_PAIRS * overall) / (n + PSEUDO_PAIRS), np.nan)


def compound_promiscuity(pairs: Pairs) -> Floats:
    """The share of the compound's labeled pairs that are active; NaN without any."""
    known = ~np.isnan(pairs.active)
    hits = np.bincount(pairs.compound[known], pairs.active[known], minlength=len(pairs.compounds))
    n = np.bincount(pairs.compound[known], minlength=len(pairs.compounds))
    share: Floats = np.divide(hits, n, out=np.full(len(n), np.nan), where=n > 0)
    return share[pairs.compound]


def compound_blind(pairs: Pairs, submission: Floats) -> Floats:
    """The mean place of the gene in other treatments; NaN where it stands in no other."""
    return place_elsewhere(submission, pairs.gene, pairs.compound, len(pairs.compounds))


def map_tables(map_: Map, pairs: Pairs) -> dict[str, Floats]:
    """Norms of genes and compounds in a map."""
    norm = np.sqrt(np.einsum("ij,ij->i", map_.x, map_.x))
    found = {}
    for name, type_, names in (
        ("gene-norm", "CRISPR", pairs.genes),
        ("compound-norm", "COMPOUND", pairs.compounds),
    ):
        at = {n: i for i, n in enumerate(names)}
        table = np.full(len(names), np.nan)
        for row in map_.rows(type_).tolist():
            place = at.get(map_.perturbations.name[row])
            if place is not None and np.isfinite(norm[row]):
                table[place] = np.fmax(table[place], norm[row])
        found[name] = table
    return found
