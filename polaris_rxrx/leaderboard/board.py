"""The leaderboard: submissions scored here on one task, then published figures, one block per protocol.

Conventions
    `Local` has ranks: its rows were scored on the same pairs, and `polaris_rxrx.comparison` tells noise.
    Submissions with the very same scores are one row. Rows stand in the order of their value.
    A published block is one table's figures of one suite: one protocol. It has no ranks, for what is printed
    does not say which models can be told apart, and its lists (a quantity at a dose or for a source of
    relations) are sorted by value each. Blocks stand in the order of `published.ALL`, whatever they hold:
    nothing can be ranked from one block to another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from typing_extensions import TypedDict

from polaris_rxrx.comparison import (
    Comparison,
    ComparisonMethod,
    Difference,
    TestedDifference,
    compare,
    p_value_method,
)
from polaris_rxrx.documents import Fields, Open, fields_of
from polaris_rxrx.errors import DataError, MissingError, UsageError
from polaris_rxrx.leaderboard.gather import Entrant, Misfit, find, gather
from polaris_rxrx.metrics import METRICS, metric_of
from polaris_rxrx.present.numbers import count
from polaris_rxrx.scoring import Score
from polaris_rxrx.stats.intervals import Ends, bca_each, plain
from polaris_rxrx.stats.resampling import Resampled, Resampling
from polaris_rxrx.stats.uncertainty import interval_method
from polaris_rxrx.suites import published
from polaris_rxrx.suites.published import Figure, Published
from polaris_rxrx.task import Task, load_task
from polaris_rxrx.types import Floats, Progress

SCHEMA_VERSION: Literal[1] = 1
GRADE = "computed here"
NEXT = "polaris-rxrx submit --init NAME begins one"
CLOSING = (
    "Every block has a protocol of its own (pairs, negatives, draws, metric): rows of one block cannot be "
    "ranked against rows of another"
)


class LocalRowDocument(TypedDict):
    """Submissions of the same scores, mostly one."""

    name: str
    rank: int | None
    """1 + how many rows are better by more than noise; null where noise cannot be told."""
    entries: list[Fields[Entrant]]
    value: float | None
    interval: Ends | None
    pr_auc: float | None
    roc_auc: float | None
    grade: str


class IntervalMethod(TypedDict):
    """How intervals were made."""

    method: str
    level: float
    resamples: int
    seed: int


class LocalDocument(TypedDict):
    """The submissions at hand on one task, which have ranks."""

    task: str
    source: str
    metric: str
    protocol: str
    n_pairs: int
    n_treatments: int
    grade: str
    rule: str | None
    """How ranks are made, in words."""
    interval: IntervalMethod
    rows: list[LocalRowDocument]
    method: ComparisonMethod | None
    comparisons: list[TestedDifference]
    notes: list[str]


@dataclass(frozen=True)
class LocalRow:
    """Submissions of the same scores, mostly one. `rank` is None where noise cannot be told.

    `means` are the submissions' of each of `METRICS`, by its key.
    """

    rank: int | None
    entries: tuple[Entrant, ...]
    value: float | None
    interval: tuple[float, float] | None
    means: dict[str, float | None]
    grade: str = GRADE

    @property
    def name(self) -> str:
        return _joined(self.entries)

    def of(self, field: str) -> list[str | None]:
        """What its entries say of themselves, each word once."""
        return list(dict.fromkeys(getattr(e, field) for e in self.entries))

    def to_dict(self) -> LocalRowDocument:
        """For JSON."""
        return {
            "name": self.name,
            "rank": self.rank,
            "entries": [fields_of(entry) for entry in self.entries],
            "value": self.value,
            "interval": None if self.interval is None else list(self.interval),
            "pr_auc": self.means["pr_auc"],
            "roc_auc": self.means["roc_auc"],
            "grade": self.grade,
        }


@dataclass(frozen=True, eq=False)
class Local(Resampled):
    """The submissions at hand on one task; `comparison` is of every two rows, None where there are no two."""

    task: Task
    metric: str
    n_treatments: int
    rows: tuple[LocalRow, ...]
    comparison: Comparison | None
    resampling: Resampling
    notes: tuple[str, ...]

    @property
    def protocol(self) -> str:
        """What the number is, in words."""
        title = METRICS[self.metric].title
        return f"{title}, mean over {self.n_treatments:,} treatments; {len(self.task):,} pairs"

    @property
    def rule(self) -> str | None:
        """How ranks are made, in words; None where none are."""
        if self.comparison is None:
            return None
        n = len(self.comparison.differences)
        return (
            "1 + how many rows are better by more than noise: "
            f"{p_value_method(self.comparison.clusters)}, Holm over all {count(n, 'pair')} of rows, "
            f"p (Holm) below {1 - self.level:.3g}. Any other difference is a tie, whatever the order of "
            "the values"
        )

    def to_dict(self) -> LocalDocument:
        """For JSON."""
        found = self.comparison
        return {
            "task": self.task.name,
            "source": self.task.source,
            "metric": self.metric,
            "protocol": self.protocol,
            "n_pairs": len(self.task),
            "n_treatments": self.n_treatments,
            "grade": GRADE,
            "rule": self.rule,
            "interval": {
                "method": interval_method(self.clusters),
                "level": self.level,
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "rows": [row.to_dict() for row in self.rows],
            "method": None if found is None else found.method,
            "comparisons": []
            if found is None
            else [d.to_dict(found.names, found.clusters) for d in found.differences],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class PublishedRow:
    """One model's figure as it was printed; `z` is against random, `spread_kind` sd or MAD."""

    model: str
    supervision: str
    value: float
    spread: float | None
    spread_kind: str | None
    z: float | None
    grade: str


@dataclass(frozen=True)
class PublishedList:
    """A quantity at a dose or for a source of relations, the highest first."""

    quantity: str
    at: str | None
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True)
class PublishedBlock:
    """A published table's figures of one suite. `known` is its protocol in a result's words."""

    table: str
    suite: str
    title: str
    source: str
    grade: str
    protocol: str
    known: Open
    lists: tuple[PublishedList, ...]


class BoardDocument(TypedDict):
    """Submissions beside published figures, in blocks of one protocol each."""

    schema_version: Literal[1]
    local: LocalDocument | None
    """Null where there are no local rows; the notes say why."""
    left_out: list[Fields[Misfit]]
    published: list[Fields[PublishedBlock]]
    closing: str
    notes: list[str]


@dataclass(frozen=True)
class Board:
    """Everything that is printed."""

    local: Local | None
    left_out: tuple[Misfit, ...]
    published: tuple[PublishedBlock, ...]
    notes: tuple[str, ...]
    closing: str = CLOSING

    def to_dict(self) -> BoardDocument:
        """Plain JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "local": None if self.local is None else self.local.to_dict(),
            "left_out": [fields_of(left) for left in self.left_out],
            "published": [fields_of(block) for block in self.published],
            "closing": self.closing,
            "notes": list(self.notes),
        }


def assemble(
    folder: Path,
    submissions: Path,
    given: Sequence[Path] = (),
    metric: str = "pr_auc",
    *,
    named: Collection[str] = (),
    alone: bool = False,
    absent: Callable[[Path, Task], object],
    progress: Progress | None = None,
) -> Board:
    """The board of a prepared task and the submissions at hand, and the published figures.

    Without local rows `Board.local` is None and the notes say why.

    Args:
        folder: The prepared task.
        submissions: Where submissions are, a folder each.
        given: Predictions files or submissions that were named.
        metric: What ranks them.
        named: Which of `task` and `submissions` the user named: these must be there.
        alone: Whether the local rows alone are wanted, and so must be there.
        absent: Called with each of `given` that is not there, and the task; raises what helps.
        progress: Called with a word, how far, out of how many.

    Raises:
        DataError: What was named is not there, or does not fit.
        MissingError: There is no prepared task, and something of it was asked for.
    """
    shown = () if alone else blocks()
    if "submissions" in named and not submissions.exists():
        raise DataError(f"{submissions}: no such folder; {NEXT} under submissions/")
    folders = find(submissions)
    if not folders and not given:
        if "task" in named:
            load_task(folder)  # says what is wrong with it
        return Board(None, (), shown, (f"no local rows: {submissions}/ has no submission; {NEXT}",))
    asked = bool(given or named or alone)
    try:
        task = load_task(folder)
    except MissingError as error:
        if asked:
            raise
        words = " ".join(("polaris-rxrx", *error.command))
        return Board(None, (), shown, (f"no local rows: {error}; `{words}` writes it",))
    if task.active is None and not asked:
        told = f"no local rows: {task.name} is a competition, which only the Hub can score"
        return Board(None, (), shown, (told,))
    for path in given:
        if not path.exists():
            absent(path, task)
    scored, left_out, notes = gather(task, folders, given, progress)
    if not scored:
        none = f"no local rows: none of {len(folders):,} under {submissions}/ fits {task.name}"
        return Board(None, tuple(left_out), shown, (none, *notes))
    return Board(local(task, scored, metric, progress=progress), tuple(left_out), shown, tuple(notes))


def local(
    task: Task,
    scored: Sequence[tuple[Entrant, Score]],
    metric: str = "pr_auc",
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Local:
    """Rank submissions on a task.

    Args:
        task: The task they were scored on.
        scored: One or more (see `gather`), their names all different.
        metric: Which mean over treatments: a key of `polaris_rxrx.metrics.METRICS`.
        seed: Of the intervals and of the tests.
        progress: Called with a word, how far, out of how many.

    Raises:
        UsageError: None were given, or no such metric.
    """
    of, how = metric_of(metric), Resampling(seed=seed)
    if not scored:
        raise UsageError("no submissions were given; one or more were expected")
    folded = _fold(scored)
    each = np.stack([of.values(s.groups) for _, s in folded], axis=1)
    each = each[~np.isnan(each[:, 0])]  # the same treatments for all: the labels are the same
    n, s = each.shape
    # By value, then by name: nothing of the order they came in.
    means = each.mean(axis=0) if n else np.full(s, np.nan)
    order = sorted(
        range(s), key=lambda i: (-of.direction * means[i] if n else 0.0, [e.name for e in folded[i][0]])
    )
    folded, each = [folded[i] for i in order], each[:, order]
    comparison = None
    if n >= 2 and s >= 2:
        comparison = compare(
            *(score for _, score in folded),
            names=[_joined(entries) for entries, _ in folded],
            metric=metric,
            all_pairs=True,
            seed=seed,
            progress=progress,
        )
    found: list[int | None] = [None] * s
    if n and (comparison or s == 1):
        found = [*ranks(s, comparison.differences if comparison else ())]
    rows = _rows(folded, means[order], each, found, metric, how)
    return Local(
        task=task,
        metric=metric,
        n_treatments=n,
        rows=tuple(rows),
        comparison=comparison,
        resampling=how,
        notes=tuple(_notes(metric, n, how.level, rows, comparison)),
    )


def _rows(
    folded: Sequence[tuple[tuple[Entrant, ...], Score]],
    means: Floats,
    each: Floats,
    ranks: Sequence[int | None],
    metric: str,
    how: Resampling,
) -> list[LocalRow]:
    """A row of each, with its interval; `each` holds a row a treatment, a column a submission."""
    rows = []
    intervals = bca_each(list(each.T), how)
    for (entries, score), mean, rank, alone in zip(folded, means.tolist(), ranks, intervals, strict=True):
        stretch = score.deleted[metric].variance().stretch(how.clusters)
        ends = alone.stretched(mean, stretch, 0.0, 1.0)
        rows.append(
            LocalRow(
                rank=rank,
                entries=entries,
                value=plain(mean),
                interval=None if np.isnan(ends.low) else (ends.low, ends.high),
                means={key: plain(value) for key, value in score.means.items()},
            )
        )
    return rows


def _joined(entries: Sequence[Entrant]) -> str:
    """One name for submissions of the very same scores."""
    return " = ".join(e.name for e in entries)


def _fold(
    scored: Sequence[tuple[Entrant, Score]],
) -> list[tuple[tuple[Entrant, ...], Score]]:
    """Submissions of the very same scores together; -0.0 is 0.0, they rank alike."""
    held: dict[bytes, tuple[list[Entrant], Score]] = {}
    for entry, of in scored:
        held.setdefault((of.predictions.values + 0.0).tobytes(), ([], of))[0].append(entry)
    return [(tuple(sorted(entries, key=lambda e: e.name)), of) for entries, of in held.values()]


def ranks(n: int, differences: Sequence[Difference]) -> list[int]:
    """1 + how many are better beyond noise, of each of n.

    Being told apart is not transitive, so ranks need not rise in steps of one, nor in the order of the means.
    """
    counts = [1] * n
    for d in differences:
        if d.verdict != "tie":
            counts[d.second if d.verdict == "better" else d.first] += 1
    return counts


def _notes(
    metric: str, n: int, level: float, rows: Sequence[LocalRow], comparison: Comparison | None
) -> list[str]:
    """What a reader of the ranks should know."""
    out = []
    if n < 2 and (len(rows) > 1 or n == 0):
        out.append(
            f"no ranks: {METRICS[metric].title} is defined for {n} of the treatments; at least 2 are needed "
            "to tell a difference from noise"
        )
    elif len(rows) == 1:
        out.append("one row: rank 1 without a test")
    elif comparison and (k := len(comparison.differences)) * 2.0 ** (1 - n) >= 1 - level:
        out.append(f"{n} treatments are too few to tell any of {k:,} differences from noise")
    out += [f"{row.name}: the very same scores, so one row" for row in rows if len(row.entries) > 1]
    return out


def blocks(tables: Sequence[Published] | None = None) -> tuple[PublishedBlock, ...]:
    """The published figures, one block per table and suite, in the order given; by default all."""
    tables = [published.load(name) for name in published.ALL] if tables is None else tables
    return tuple(_block(table, suite) for table in tables for suite in table.suites)


def _block(table: Published, suite: published.Suite) -> PublishedBlock:
    grade = f"{table.grade}, second-hand" if table.second_hand else table.grade
    z: dict[tuple[str, str, str | None], float] = {}
    held: dict[tuple[str, str | None], list[Figure]] = {}
    figures = [f for f in table.figures() if f.suite == suite]
    for f in figures:
        if f.quantity.endswith("_z"):
            z[f.model, f.quantity.removesuffix("_z"), f.at] = f.value
        else:
            held.setdefault((f.quantity, f.at), []).append(f)
    return PublishedBlock(
        table=table.name,
        suite=suite,
        title=table.title,
        source=table.source,
        grade=grade,
        protocol=table.about[suite],
        known=dict(table.protocols.get(suite, {})),
        lists=tuple(
            PublishedList(
                quantity,
                at,
                tuple(
                    PublishedRow(
                        model=f.model,
                        supervision=table.supervision[f.model],
                        value=f.value,
                        spread=f.spread,
                        spread_kind=f.spread_kind,
                        z=z.get((f.model, quantity, at)),
                        grade=grade,
                    )
                    for f in sorted(of, key=lambda f: -f.value)
                ),
            )
            for (quantity, at), of in held.items()
        ),
    )
