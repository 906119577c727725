"""Published figures, as data: the files in `tables/`, one a table.

Conventions
    A figure is what a source printed for one model: a quantity, at a dose or for a source of relations, and
    where one was printed the spread (`sd` over samplings, or `MAD` over perturbations).
    `protocols` says suite by suite how the figures were made, in the words of a result's protocol (`align` is
    the map's); a word that is not there is not known. `differences` are known ones that no switch of ours
    removes: words, or the number of one of the suite's deviations (`polaris_rxrx.suites.deviations`).
    `about` says in words, suite by suite, what the numbers are and what is not known of them.
    `supervision` says of every model what it had seen, in the words of a submission's card, or "unknown".
    Rows of different protocols are never ranked together.
    `NAMES` are the tables that `reproduce` computes again; `ALL` has those that can only be read, too.
    `dataset` is the dataset card whose wells a table is of. `FURTHER` are rows of published tables whose
    figures are not on record here: nobody transcribed them, and none is made up. They have their protocol,
    are computed where their files are, and are compared with nothing.

Grades
    reproduced       computed again from the data, and equal.
    author-reported  printed by the authors.
    transcribed      copied by hand: from the output of public code or, where `second_hand` is true, from
                     somebody's transcription of a source that was not itself read here.
    not on record    no figure is at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from polaris_rxrx import bounded
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.suites.deviations import DEVIATIONS
from polaris_rxrx.validation import complaints

NAMES = ("table4", "table6", "notebook")
ALL = (*NAMES, "arxiv-2411.02572", "arxiv-2506.06290", "arxiv-2509.19896")
FURTHER = {"table6": ("table6-rxrx3", "table6-jump-crispr")}  # rows of other datasets, by their table
NOT_ON_RECORD = "not on record"
FOLDER = Path(__file__).parent / "tables"
Suite = Literal["drug-target", "gene-gene", "signal"]
Spread = Literal["sd", "MAD"]
Grade = Literal["reproduced", "author-reported", "transcribed", "not on record"]
Supervision = Literal["zero-shot", "perturbation-labels", "targets", "unknown"]


class _TablePart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Figure(_TablePart):
    model: str
    value: float | None = None
    spread: float | None = Field(None, gt=0)


class _Group(_TablePart):
    suite: Suite
    quantity: str
    at: str | None = None
    spread: Spread | None = None
    figures: list[_Figure]


class Published(_TablePart):
    """A published table.

    >>> table = load("table4")
    >>> table.suites, table.models
    (['drug-target', 'signal'], ['random', 'cellprofiler', 'openphenom', 'phenom-1', 'phenom-2'])
    """

    name: str
    title: str
    source: str
    grade: Grade
    second_hand: bool = False
    dataset: str = "rxrx3-core"
    about: dict[Suite, str]
    supervision: dict[str, Supervision]
    protocols: dict[str, dict[str, Any]]
    differences: dict[str, list[str | int]] = {}
    groups: list[_Group]

    @model_validator(mode="after")
    def _complete(self) -> Published:
        """Every suite is told about, every model has its supervision, and deviations are there."""
        for field, told, there in (
            ("about", set(self.about), self.suites),
            ("supervision", set(self.supervision), self.models),
        ):
            if absent := [name for name in there if name not in told]:
                raise ValueError(f"{field} says nothing of {some(absent)}")
        for suite, known in self.differences.items():
            for d in known:
                if isinstance(d, int) and not 1 <= d <= len(DEVIATIONS.get(suite, ())):
                    raise ValueError(f"{suite} has no deviation {d}")
        if self.second_hand and self.grade != "transcribed":
            raise ValueError(f"second_hand is true; its grade is transcribed and not {self.grade}")
        for figure in (f for g in self.groups for f in g.figures):
            if (figure.value is None) is not (self.grade == NOT_ON_RECORD):
                has = "no value" if figure.value is None else "a value"
                raise ValueError(f"a figure of {figure.model!r} has {has}; the grade is {self.grade}")
        return self

    @property
    def suites(self) -> list[Suite]:
        """The suites that its figures come from."""
        return list(dict.fromkeys(group.suite for group in self.groups))

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(row.model for row in self.rows()))

    def rows(self) -> Iterator[PublishedRow]:
        """Every row, in the order of the source's columns; one whose number is on record is a `Figure`."""
        for g in self.groups:
            for f in g.figures:
                if f.value is None:
                    yield PublishedRow(f.model, g.suite, g.quantity, g.at)
                    continue
                kind = g.spread if f.spread is not None else None
                yield Figure(f.model, g.suite, g.quantity, g.at, f.value, f.spread, kind)

    def figures(self) -> Iterator[Figure]:
        """Every figure that is on record."""
        return (row for row in self.rows() if isinstance(row, Figure))


@dataclass(frozen=True)
class PublishedRow:
    """What a published table tells of a model; `at` is a dose or a source of relations."""

    model: str
    suite: str
    quantity: str
    at: str | None


@dataclass(frozen=True)
class Figure(PublishedRow):
    """One published number."""

    value: float
    spread: float | None
    spread_kind: Spread | None


def load(name: str) -> Published:
    """Read a published table by its name, one of `ALL` or `FURTHER`.

    Raises:
        UsageError: There is none of this name.

    >>> load("table4").title
    'Drug-target average precision and perturbation signal, RxRx3-core'
    """
    if name not in ALL and not any(name in further for further in FURTHER.values()):
        raise UsageError(f"no published table {name!r}; there are {', '.join(ALL)}")
    return _kept(name)


@cache
def _kept(name: str) -> Published:
    """A table of ours, read once: an audit alone looks at each of them, and they do not change."""
    return read(FOLDER / f"{name}.toml")


def load_whole(name: str) -> list[Published]:
    """A published table, and its rows of other datasets."""
    return [load(n) for n in (name, *FURTHER.get(name, ()))]


def read(path: Path) -> Published:
    """Read a file of published figures.

    Raises:
        DataError: It is none; the field and its value are named.
    """
    try:
        return Published.model_validate(bounded.read_toml(path))
    except ValidationError as error:
        found = complaints(error)[0]
        if found.kind == "value_error":  # of the whole table
            raise DataError(f"{path}: {found.rule}") from None
        raise DataError(f"{path}: {found.field} is {found.value!r}: {found.rule}") from None
