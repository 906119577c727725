"""Two models' results side by side, paired where pairs exist.

Conventions
    A difference is the first less the second, over what both have: a compound, a relation, a perturbation.
    Results are paired if their protocols are alike in all but what is the model's own (`OWN`): its files, its
    map, its alignment, versions. Else that is told, and nothing is paired.
    Intervals are of 95%: over compounds and perturbations BCa with a sign-flip test, each taken for
    independent; over relations normal, with the variance over the genes that they share. p-values are
    corrected by Holm over all differences of a pair of models.
    By concentration, draws are paired: the same negatives, if both models' compounds have the same actives,
    candidates and numbers of negatives. The sd there is over draws, of other negatives alone.

Source
    `polaris_rxrx.stats.paired` and `polaris_rxrx.stats.dyads`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from polaris_rxrx.stats import dyads
from polaris_rxrx.stats.intervals import Interval, bca
from polaris_rxrx.stats.paired import holm, sign_flip_p
from polaris_rxrx.suites.result import Result
from polaris_rxrx.suites.stored import numbers
from polaris_rxrx.types import Floats

LEVEL = 0.95
# What two models may differ in and still be paired.
OWN = {"inputs", "map", "map_sha256", "wells_sha256", "versions", "layout", "against", "deviations"}
OWN |= {"align", "components", "batch", "controls", "correct", "n_components", "n_directions_dropped"}
OWN |= {"n_controls", "max_held", "renamed"}


@dataclass(frozen=True)
class ModelDifference:
    """The mean difference of one measure over the `n` pairs of `of` that both models have."""

    suite: str
    what: str
    of: str
    n: int
    ours: float
    theirs: float
    mean: float
    interval: Interval
    p_value: float
    p_corrected: float = float("nan")

    @property
    def verdict(self) -> str:
        """higher, lower or not shown."""
        if not self.p_corrected < 1 - LEVEL:
            return "not shown"
        return "higher" if self.mean > 0 else "lower"


@dataclass(frozen=True)
class DoseDifference:
    """The mean difference over draws at one dose rule, and its standard deviation over them (ddof 0)."""

    dose: str
    n_draws: int
    average_precision: float
    average_precision_sd: float
    auroc: float
    auroc_sd: float


@dataclass(frozen=True)
class Paired:
    """One model against another; `refused` says what could not be paired and why."""

    name: str
    other: str
    differences: tuple[ModelDifference, ...]
    by_dose: tuple[DoseDifference, ...]
    refused: tuple[str, ...]


def pair_up(name: str, own: Mapping[str, Result], other: str, theirs: Mapping[str, Result]) -> Paired:
    """Every measure that two models' results have pairs of."""
    differences: list[ModelDifference] = []
    by_dose: tuple[DoseDifference, ...] = ()
    refused: list[str] = []
    for suite in (s for s in own if s in theirs and s in _MEASURES):
        a, b = own[suite], theirs[suite]
        if unlike := _unlike(a.protocol, b.protocol):
            refused.append(f"{suite} is not paired, for the protocols differ: {'; '.join(unlike)}")
            continue
        try:
            found = list(_MEASURES[suite](a, b))
            if not found:
                refused.append(f"{suite} is not paired: the two have nothing in common")
            differences += found
            if suite == "drug-target":
                by_dose = tuple(_by_dose(a, b))
                if not by_dose:
                    refused.append("drug-target by concentration is not paired: the draws are not the same")
        except KeyError as error:
            refused.append(f"{suite} is not paired: a table or column {error} is missing")
    corrected = holm([d.p_value if d.p_value == d.p_value else 1.0 for d in differences])
    return Paired(
        name,
        other,
        tuple(replace(d, p_corrected=p) for d, p in zip(differences, corrected, strict=True)),
        by_dose,
        tuple(refused),
    )


def _unlike(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Where two protocols differ in what is not the model's own."""
    keys = sorted({*a, *b} - OWN)
    return [f"{key} {_word(a.get(key))} and {_word(b.get(key))}" for key in keys if a.get(key) != b.get(key)]


def _word(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _difference(suite: str, what: str, of: str, ours: Floats, theirs: Floats) -> Iterator[ModelDifference]:
    """Of values that are paired, NaN where one has none."""
    both = ~(np.isnan(ours) | np.isnan(theirs))
    ours, theirs = ours[both], theirs[both]
    if not len(ours):
        return
    d = ours - theirs
    nothing = float("nan")
    ends = bca(d) if len(d) > 1 else Interval(nothing, nothing)
    p = sign_flip_p(d) if len(d) > 1 else nothing
    yield ModelDifference(
        suite, what, of, len(d), float(ours.mean()), float(theirs.mean()), float(d.mean()), ends, p
    )


def _matched(a: Result, b: Result, table: str, key: str) -> tuple[list[int], list[int]]:
    """The rows of a table that both results have, by name."""
    first, second = a.tables[table][key], b.tables[table][key]
    at = {name: i for i, name in enumerate(second)}
    rows = [(i, at[name]) for i, name in enumerate(first) if name in at]
    return [i for i, _ in rows], [j for _, j in rows]


def _drug_target(a: Result, b: Result) -> Iterator[ModelDifference]:
    by = str(a.protocol["by"])
    table = f"per_{by}"
    i, j = _matched(a, b, table, by)
    for column, what in (
        ("average_precision_max", "average precision at max"),
        ("auroc_max", "AUROC at max"),
    ):
        ours, theirs = numbers(a.tables[table], column)[i], numbers(b.tables[table], column)[j]
        yield from _difference("drug-target", what, f"{by}s", ours, theirs)


def _by_dose(a: Result, b: Result) -> Iterator[DoseDifference]:
    """Draw by draw, if the draws are the same."""
    table = f"per_{a.protocol['by']}"
    first, second = a.tables[table], b.tables[table]
    alike = (str(a.protocol["by"]), "n_active", "n_eligible", "n_negatives")
    if any(list(map(str, first[c])) != list(map(str, second[c])) for c in alike):
        return
    seeds = [t.tables["seeds"] for t in (a, b)]
    if any([str(v) for v in seeds[0][c]] != [str(v) for v in seeds[1][c]] for c in ("seed", "dose")):
        return
    dose = [str(d) for d in seeds[0]["dose"]]
    apart = {c: numbers(seeds[0], c) - numbers(seeds[1], c) for c in ("average_precision", "auroc")}
    for label in dict.fromkeys(dose):
        rows = np.array([d == label for d in dose])
        ap, auroc = (apart[c][rows] for c in ("average_precision", "auroc"))
        figures = (float(f) for d in (ap, auroc) for f in (d.mean(), d.std()))
        yield DoseDifference(label, int(rows.sum()), *figures)


def _gene_gene(a: Result, b: Result) -> Iterator[ModelDifference]:
    """Relation by relation, source by source."""

    def keys(table: Mapping[str, list[Any]]) -> list[tuple[str, ...]]:
        return [
            (s, *sorted((g, h)))
            for s, g, h in zip(table["source"], table["gene1"], table["gene2"], strict=True)
        ]

    first, second = a.tables["relations"], b.tables["relations"]
    at = {key: i for i, key in enumerate(keys(second))}
    both = [(i, at[key], key) for i, key in enumerate(keys(first)) if key in at]
    ours, theirs = numbers(first, "recovered"), numbers(second, "recovered")
    for source in dict.fromkeys(key[0] for _, _, key in both):
        rows = [(i, j, key) for i, j, key in both if key[0] == source]
        x, y = ours[[i for i, _, _ in rows]], theirs[[j for _, j, _ in rows]]
        genes = sorted({gene for *_, key in rows for gene in key[1:]})
        code = {gene: k for k, gene in enumerate(genes)}
        members = np.array([[code[g] for g in key[1:]] for *_, key in rows], dtype=np.int64)
        ends, p = dyads.difference(x - y, members, LEVEL)
        yield ModelDifference(
            "gene-gene",
            f"recall, {source}",
            "relations",
            len(rows),
            float(x.mean()),
            float(y.mean()),
            float((x - y).mean()),
            ends,
            p,
        )


def _perturbations(suite: str, measures: Mapping[str, str]) -> Any:
    """A suite on wells: perturbation by perturbation; a p-value counts as reached at 0.05 or not."""

    def found(a: Result, b: Result) -> Iterator[ModelDifference]:
        i, j = _matched(a, b, "perturbations", "perturbation")
        for column, what in measures.items():
            x = numbers(a.tables["perturbations"], column)[i]
            y = numbers(b.tables["perturbations"], column)[j]
            if column.startswith("p_"):
                x, y = (np.where(np.isnan(v), v, v <= 0.05) for v in (x, y))
            yield from _difference(suite, what, "perturbations", x, y)

    return found


_MEASURES: dict[str, Any] = {
    "drug-target": _drug_target,
    "gene-gene": _gene_gene,
    "signal": _perturbations("signal", {"p_value": "share with p ≤ 0.05, signal"}),
    "replicate-consistency": _perturbations(
        "replicate-consistency", {"p_value": "share with p ≤ 0.05, replicates"}
    ),
    "activity": _perturbations(
        "activity",
        {"normalized": "normalized mean average precision", "p_adjusted": "share active (q ≤ 0.05)"},
    ),
}
