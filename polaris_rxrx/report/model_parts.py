"""The parts of a model's report: text, tables, what figures are drawn from, published rows beside results.

Conventions
    A figure's data are of one model. A published row is `Beside` a result only where every word of its
    protocol is the result's own (`polaris_rxrx.suites.reproduce.unlike`); else `unlike` says what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from polaris_rxrx.cards import card_names, load_card
from polaris_rxrx.stats.intervals import Interval
from polaris_rxrx.suites import published
from polaris_rxrx.suites.deviations import DEVIATIONS
from polaris_rxrx.suites.reproduce import unlike
from polaris_rxrx.suites.result import Result
from polaris_rxrx.types import Floats


@dataclass(frozen=True)
class Grid:
    """A table as text: heads with what each means, and rows; the first `left` columns are names."""

    caption: str
    heads: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


@dataclass(frozen=True, eq=False)
class Doses:
    """Drug-target by dose rule of one model: metric -> arrays (n_rules,); by seed (n_rules, n_seeds)."""

    labels: tuple[str, ...]
    mean: dict[str, Floats]
    sd: dict[str, Floats]
    random: dict[str, Floats]
    random_sd: dict[str, Floats]
    by_seed: dict[str, Floats]
    interval_max: dict[str, Interval]


@dataclass(frozen=True, eq=False)
class Recall:
    """Recall by source of one model, arrays (n_sources,), and what chance expects."""

    sources: tuple[str, ...]
    recall: Floats
    low: Floats
    high: Floats
    chance: float


@dataclass(frozen=True, eq=False)
class Spread:
    """A value of each perturbation (n,), of control wells in its place (n,) or none, and whose p is small."""

    values: Floats
    null: Floats | None
    found: Floats
    random: float | None


@dataclass(frozen=True)
class Beside:
    """A published row: beside a result if `unlike` is empty, else what differs."""

    table: str
    source: str
    grade: str
    model: str
    suite: str
    quantity: str
    at: str | None
    value: float
    spread: float | None
    spread_kind: str | None
    unlike: tuple[str, ...]
    known: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Section:
    """One suite of the report: what is said, its figure (name, what it shows), tables, terms, protocol."""

    suite: str
    title: str
    lead: str
    figure: tuple[str, str] | None
    grids: tuple[Grid, ...]
    terms: tuple[tuple[str, str], ...]
    beside: tuple[Beside, ...]
    notes: tuple[str, ...]
    protocols: tuple[tuple[str, Mapping[str, Any]], ...]
    key: tuple[str, str, str]


@dataclass(frozen=True, eq=False)
class SectionFigures:
    """What figures are drawn from: for each model that has it, (name, data)."""

    doses: list[tuple[str, Doses]] = field(default_factory=list)
    recall: list[tuple[str, Recall]] = field(default_factory=list)
    spread: dict[str, Spread] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def inputs_of(result: Result) -> dict[str, Any]:
    """The files that a result was made of, as far as it says."""
    found = result.protocol.get("inputs")
    return found if isinstance(found, dict) else {}


def beside(result: Result) -> tuple[Beside, ...]:
    """Every published row of a result's suite, those of its own protocol first."""
    found = []
    own_dataset = inputs_of(result).get("dataset", "rxrx3-core")
    for table in map(published.load, published.ALL):
        if result.suite not in table.suites:
            continue
        if not table.protocols.get(result.suite):
            other = ["how it was made is not known"]
        else:
            other = unlike(table, result.suite, result.protocol)
        if table.dataset != own_dataset:
            other.append(f"dataset {table.dataset} there, {own_dataset} here")
        known = [
            DEVIATIONS[result.suite][d - 1].what if isinstance(d, int) else d
            for d in table.differences.get(result.suite, [])
        ]
        found += [
            Beside(
                table.name,
                table.source,
                table.grade,
                _title(f.model),
                f.suite,
                f.quantity,
                f.at,
                f.value,
                f.spread,
                f.spread_kind,
                tuple(other),
                tuple(known),
            )
            for f in table.figures()
            if f.suite == result.suite
        ]
    return tuple(sorted(found, key=lambda b: bool(b.unlike)))


def _title(model: str) -> str:
    return load_card(model).title if model in card_names() else model
