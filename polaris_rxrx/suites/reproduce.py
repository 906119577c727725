"""Published figures beside computed ones, cell by cell, with the protocol of each.

Conventions
    A cell is one published figure and ours, if its model's files are at hand. `difference` is ours less
    theirs; where a spread was published, `in_spreads` is the difference in units of it, and the verdict is
    "within" (at most one of them) or "outside". Where none was, the verdict is "no published spread"; for a
    model that is not here "not here"; where we have no value "undefined"; where the published figure is not
    on record "not on record", and nothing is compared.
    A run follows the published protocol as far as it is known; `protocol` says what still differs, or "same".
    A deviation is named there by its number; `deviations` spells them out.
    The random rows are the random embeddings that the suites run beside a model; for gene-gene, seeded
    Gaussian embeddings of the same perturbations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from typing_extensions import TypedDict

from polaris_rxrx.dataset.affinities import Affinities
from polaris_rxrx.documents import Fields, Open, fields_of
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.maps.build import Map
from polaris_rxrx.parallel import Workers
from polaris_rxrx.suites import drug_target
from polaris_rxrx.suites.drug_target import evaluate_drug_target
from polaris_rxrx.suites.gene_gene import evaluate_gene_gene
from polaris_rxrx.suites.published import (
    NOT_ON_RECORD,
    Figure,
    Grade,
    Published,
    PublishedRow,
    Suite,
    Supervision,
)
from polaris_rxrx.suites.relations import Relations
from polaris_rxrx.suites.result import Result
from polaris_rxrx.suites.signal import evaluate_signal
from polaris_rxrx.types import Progress
from polaris_rxrx.wells.source import WellSource

RANDOM = "random"
Results = dict[tuple[str, str], Result]
"""(Model, suite) -> result; a random row's result may be a model's, which holds the random figures too."""


@dataclass(frozen=True)
class Cell:
    """One published figure and ours."""

    table: str
    model: str
    suite: str
    quantity: str
    at: str | None
    published: float | None
    published_spread: float | None
    spread: str | None
    computed: float | None
    computed_spread: float | None
    difference: float | None
    in_spreads: float | None
    verdict: str
    protocol: str | None


class TableDocument(TypedDict):
    """A published table and our figures beside it."""

    name: str
    title: str
    source: str
    grade: Grade
    second_hand: bool
    dataset: str
    about: dict[Suite, str]
    """What the numbers are, suite by suite."""
    supervision: dict[str, Supervision]
    """By model."""
    protocols: dict[str, Open]
    """As published, suite by suite, as far as they are known."""
    differences: dict[str, list[str | int]]
    """Known ones that no switch removes: words, or numbers of the suite's deviations."""
    computed_protocols: dict[str, Open]
    """Of our runs, by model and suite."""
    cells: list[Fields[Cell]]


class ReproductionDocument(TypedDict):
    """Computed figures beside published ones."""

    schema_version: Literal[1]
    made_up: bool
    """Whether embeddings are the demo's."""
    inputs: dict[str, Open]
    """By model: its card, what reading kept, hashes of its files."""
    tables: dict[str, TableDocument]
    needs: dict[str, str]
    """What it takes to compute the figures of models that are not here."""


@dataclass(frozen=True, eq=False)
class Data:
    """What a run needs beside a model; None where no table asked for needs it."""

    affinities: Affinities | None = None
    relations: Mapping[str, Relations] | None = None


def run(
    published: Published,
    model: str,
    map_: Map,
    wells: WellSource | None,
    data: Data,
    *,
    cache: dict[str, Result] | None = None,
    max_memory: int | None = None,
    who: Workers | None = None,
    progress: Progress | None = None,
) -> Results:
    """Run a published table's suites by its protocols, on a model and on random embeddings.

    Args:
        published: The table.
        model: The model's name in it.
        map_: The model's map, aligned as the protocols say.
        wells: Its wells, which signal needs.
        data: Annotations and relations.
        cache: Results on the same map by protocol, so that two tables of one protocol share a run.
        max_memory: Bytes that this process may take, for suites on wells.
        who: Who does what the suites spread over workers; this process.
        progress: Called with a word, how far, out of how many.

    Raises:
        DataError: Something that the table needs is not among `data`.
        UsageError: Too little is known of how the table was made.
    """
    if not all(published.protocols.get(suite) for suite in published.suites):
        raise UsageError(f"{published.name} can only be read: how it was made is not known")
    cache = {} if cache is None else cache
    out: Results = {}
    for suite in published.suites:
        runs = _RUNS[suite]
        protocol = published.protocols[suite]
        key = f"{suite} {protocol}"
        if key not in cache:
            cache[key] = runs(_Run(published, protocol, map_, wells, data, max_memory, who, progress))
        out[model, suite] = cache[key]
        if RANDOM not in published.models:
            continue
        out[RANDOM, suite] = cache[key]
        if suite == "gene-gene":
            if f"{RANDOM} {key}" not in cache:
                noise = _Run(published, protocol, random_map(map_), None, data, max_memory, who, progress)
                cache[f"{RANDOM} {key}"] = runs(noise)
            out[RANDOM, suite] = cache[f"{RANDOM} {key}"]
    return out


def random_map(map_: Map) -> Map:
    """Gaussian embeddings of the same perturbations, drawn with the seed 0."""
    x = np.random.default_rng(0).standard_normal(map_.x.shape)
    return replace(map_, x=x, protocol={**map_.protocol, "random_seed": 0})


def compare(published: Published, results: Results) -> list[Cell]:
    """A cell a published figure; models without a result are "not here"."""
    return [_cell(published, row, results.get((row.model, row.suite))) for row in published.rows()]


def to_dict(published: Published, results: Results) -> TableDocument:
    """The table, both protocols of every run and the cells, as plain JSON."""
    runs = {f"{model} {suite}": result.to_dict()["protocol"] for (model, suite), result in results.items()}
    return {
        "name": published.name,
        "title": published.title,
        "source": published.source,
        "grade": published.grade,
        "second_hand": published.second_hand,
        "dataset": published.dataset,
        "about": published.about,
        "supervision": published.supervision,
        "protocols": published.protocols,
        "differences": published.differences,
        "computed_protocols": runs,
        "cells": [fields_of(cell) for cell in compare(published, results)],
    }


def document(
    tables: Iterable[Published],
    results: Mapping[str, Results],
    *,
    inputs: Mapping[str, Open],
    needs: Mapping[str, str],
) -> ReproductionDocument:
    """Everything, as plain JSON: results by table, what is told of models' files, what others need."""
    return {
        "schema_version": 1,
        "made_up": any(given["made_up"] for given in inputs.values()),
        "inputs": dict(inputs),
        "tables": {t.name: to_dict(t, results[t.name]) for t in tables},
        "needs": dict(needs),
    }


def deviations(results: Iterable[Result]) -> list[str]:
    """Where the suites that ran differ from the public code, from the results' protocols: a line each."""
    lines = []
    for result in results:
        for d in result.protocol["deviations"]:
            name = f"{result.suite} {d['number']}{' (undone here)' if d['undone'] else ''}"
            why = "" if d["why_not"] is None else f" (not offered: {d['why_not']})"
            lines.append(f"{name}: {d['what']}{why}")
    return list(dict.fromkeys(lines))


@dataclass(frozen=True, eq=False)
class _Run:
    """A suite of a published table, to be run by its protocol."""

    published: Published
    protocol: Mapping[str, Any]
    map_: Map
    wells: WellSource | None
    data: Data
    max_memory: int | None
    who: Workers | None
    progress: Progress | None

    def drug_target(self) -> Result:
        if self.data.affinities is None:
            raise DataError(f"{self.published.name} needs the affinity table")
        p = self.protocol
        chosen = drug_target.Protocol(
            seeds=p["seeds"],
            active=p["active_nM"],
            inactive=p["inactive_nM"],
            min_negatives=p["min_negatives"],
            by=p["by"],
            similarity=p["similarity"],
            concentrations=tuple(p["concentrations"]),
            legacy=p["legacy"],
        )
        return evaluate_drug_target(
            self.map_, self.data.affinities, chosen, who=self.who, progress=self.progress
        )

    def gene_gene(self) -> Result:
        rows = self.published.rows()
        wanted = list(dict.fromkeys(row.at for row in rows if row.suite == "gene-gene" and row.at))
        given = self.data.relations or {}
        if absent := [name for name in wanted if name not in given]:
            raise DataError(
                f"{self.published.name} needs the relations of {some(absent)}; a file is named by its source"
            )
        chosen = {name: given[name] for name in wanted}
        return evaluate_gene_gene(self.map_, chosen, low=self.protocol["low"], high=self.protocol["high"])

    def signal(self) -> Result:
        if self.wells is None:
            raise DataError(f"{self.published.name} needs wells for signal")
        p = self.protocol
        return evaluate_signal(
            self.wells,
            align_by=p["align"],
            max_controls=p["max_controls"],
            min_wells=p["min_wells"],
            max_memory=self.max_memory,
            who=self.who,
        )


_RUNS = {"drug-target": _Run.drug_target, "gene-gene": _Run.gene_gene, "signal": _Run.signal}


def _cell(published: Published, row: PublishedRow, result: Result | None) -> Cell:
    value, spread = (None, None) if result is None else _ours(row, result)
    figure = row if isinstance(row, Figure) else None
    difference = in_spreads = None
    if value is not None and figure is not None:
        difference = value - figure.value
        in_spreads = difference / figure.spread if figure.spread is not None else None
    if result is None:
        verdict = "not here"
    elif value is None:
        verdict = "undefined"
    elif figure is None:
        verdict = NOT_ON_RECORD
    elif in_spreads is None:
        verdict = "no published spread"
    else:
        verdict = "within" if abs(in_spreads) <= 1 else "outside"
    return Cell(
        table=published.name,
        model=row.model,
        suite=row.suite,
        quantity=row.quantity,
        at=row.at,
        published=None if figure is None else figure.value,
        published_spread=None if figure is None else figure.spread,
        spread=None if figure is None else figure.spread_kind,
        computed=value,
        computed_spread=spread,
        difference=difference,
        in_spreads=in_spreads,
        verdict=verdict,
        protocol=None if result is None else _protocols(published, row.suite, result),
    )


def _ours(figure: PublishedRow, result: Result) -> tuple[float | None, float | None]:
    """Our value of a published row, and its spread."""
    random, quantity = figure.model == RANDOM, figure.quantity
    if random and quantity.endswith("_z"):
        return 0.0, None  # against itself
    if result.suite == "drug-target":
        row = result.summary["by_dose"].get(figure.at, {})
        name = f"{quantity}_random" if random else quantity
        return row.get(name), row.get(f"{name}_sd")
    if result.suite == "gene-gene":
        return result.summary["sources"].get(figure.at, {}).get("recall"), None
    if quantity == "energy_distance_z":
        return result.summary.get("z"), None
    before = "random_" if random else ""
    return result.summary.get(f"{before}mean"), result.summary.get(f"{before}mad")


def unlike(published: Published, suite: str, protocol: Mapping[str, Any]) -> list[str]:
    """Where the protocol of a result of a suite is not the published one's, as far as that is known."""
    ours = {"align": (protocol.get("map") or {}).get("align"), **protocol}
    return [
        f"{name} {value} there, {ours.get(name)} here"
        for name, value in published.protocols[suite].items()
        if ours.get(name) != value
    ]


def _protocols(published: Published, suite: str, result: Result) -> str:
    """What differs between the published protocol and ours, or "same"."""
    wrong = unlike(published, suite, result.protocol)
    known = [
        f"{suite} deviation {d}" if isinstance(d, int) else d for d in published.differences.get(suite, [])
    ]
    return "; ".join([*wrong, *known]) or "same"
