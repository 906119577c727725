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

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from polaris_rxrx.comparison import TITLES, Comparison, Difference, Metric, compare, p_value_method
from polaris_rxrx.errors import UsageError
from polaris_rxrx.leaderboard.gather import Entry, UnfitEntry
from polaris_rxrx.present.numbers import count
from polaris_rxrx.scoring import Score
from polaris_rxrx.stats.intervals import bca_each
from polaris_rxrx.stats.paired import Progress
from polaris_rxrx.stats.uncertainty import LEVEL, RESAMPLES, interval_method, plain, values_of
from polaris_rxrx.suites import published
from polaris_rxrx.suites.published import Figure, Published
from polaris_rxrx.task import Task

SCHEMA_VERSION = 1
GRADE = "computed here"
CLOSING = (
    "Every block has a protocol of its own (pairs, negatives, draws, metric): rows of one block cannot be "
    "ranked against rows of another"
)


@dataclass(frozen=True)
class Row:
    """Submissions of the same scores, mostly one. `rank` is None where noise cannot be told."""

    rank: int | None
    entries: tuple[Entry, ...]
    value: float | None
    interval: tuple[float, float] | None
    pr_auc: float | None
    roc_auc: float | None
    grade: str = GRADE

    @property
    def name(self) -> str:
        return _joined(self.entries)

    def of(self, field: str) -> list[str | None]:
        """What its entries say of themselves, each word once."""
        return list(dict.fromkeys(getattr(e, field) for e in self.entries))


@dataclass(frozen=True, eq=False)
class Local:
    """The submissions at hand on one task; `comparison` is of every two rows, None where there are no two."""

    task: str
    source: str
    metric: Metric
    n_pairs: int
    n_treatments: int
    rows: tuple[Row, ...]
    comparison: Comparison | None
    level: float
    resamples: int
    seed: int
    notes: tuple[str, ...]

    @property
    def protocol(self) -> str:
        """What the number is, in words."""
        return f"{TITLES[self.metric]}, mean over {self.n_treatments:,} treatments; {self.n_pairs:,} pairs"

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

    def to_dict(self) -> dict[str, Any]:
        compared = None if self.comparison is None else self.comparison.to_dict(most=0)
        return {
            "task": self.task,
            "source": self.source,
            "metric": self.metric,
            "protocol": self.protocol,
            "n_pairs": self.n_pairs,
            "n_treatments": self.n_treatments,
            "grade": GRADE,
            "rule": self.rule,
            "interval": {
                "method": interval_method("both"),
                "level": self.level,
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "rows": [{"name": row.name, **asdict(row)} for row in self.rows],
            "method": compared and compared["method"],
            "comparisons": [
                {key: value for key, value in c.items() if key != "apart"}
                for c in (compared["comparisons"] if compared else ())
            ],
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
class Figures:
    """A quantity at a dose or for a source of relations, the highest first."""

    quantity: str
    at: str | None
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True)
class Block:
    """A published table's figures of one suite. `known` is its protocol in a result's words."""

    table: str
    suite: str
    title: str
    source: str
    grade: str
    protocol: str
    known: dict[str, Any]
    lists: tuple[Figures, ...]


@dataclass(frozen=True)
class Board:
    """Everything that is printed."""

    local: Local | None
    left_out: tuple[UnfitEntry, ...]
    published: tuple[Block, ...]
    notes: tuple[str, ...]
    closing: str = CLOSING

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "local": None if self.local is None else self.local.to_dict(),
            "left_out": [asdict(left) for left in self.left_out],
            "published": [asdict(block) for block in self.published],
            "closing": self.closing,
            "notes": list(self.notes),
        }


def local(
    task: Task,
    scored: Sequence[tuple[Entry, Score]],
    metric: Metric = "pr_auc",
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Local:
    """Rank submissions on a task.

    Args:
        task: The task they were scored on.
        scored: One or more (see `gather`), their names all different.
        metric: Which mean over treatments.
        seed: Of the intervals and of the tests.
        progress: Called with a word, how far, out of how many.

    Raises:
        UsageError: None were given, or no such metric.
    """
    if metric not in TITLES:
        raise UsageError(f"metric is {metric!r}; expected {' or '.join(TITLES)}")
    if not scored:
        raise UsageError("no submissions were given; one or more were expected")
    folded = _fold(scored)
    each = np.stack([values_of(s.groups)[metric] for _, s in folded], axis=1)
    each = each[~np.isnan(each[:, 0])]  # the same treatments for all: the labels are the same
    n, s = each.shape
    # By value, then by name: nothing of the order they came in.
    means = each.mean(axis=0) if n else np.full(s, np.nan)
    order = sorted(range(s), key=lambda i: (-means[i] if n else 0.0, [e.name for e in folded[i][0]]))
    folded, each, means = [folded[i] for i in order], each[:, order], means[order]
    comparison = None
    if n >= 2 and s >= 2:
        comparison = compare(
            *(of for _, of in folded),
            names=[_joined(entries) for entries, _ in folded],
            metric=metric,
            all_pairs=True,
            seed=seed,
            progress=progress,
        )
    found: list[int | None] = [None] * s
    if n and (comparison or s == 1):
        found = [*ranks(s, comparison.differences if comparison else ())]
    rows = []
    intervals = bca_each(list(each.T), level=LEVEL, resamples=RESAMPLES, seed=seed)
    for i, ((entries, of), independent) in enumerate(zip(folded, intervals, strict=True)):
        stretch = of.deleted[metric].variance().stretch("both")
        ends = independent.stretched(float(means[i]), stretch, 0.0, 1.0)
        rows.append(
            Row(
                rank=found[i],
                entries=entries,
                value=plain(float(means[i])),
                interval=None if np.isnan(ends.low) else (ends.low, ends.high),
                pr_auc=plain(of.pr_auc),
                roc_auc=plain(of.roc_auc),
            )
        )
    return Local(
        task=task.name,
        source=task.source,
        metric=metric,
        n_pairs=len(task),
        n_treatments=n,
        rows=tuple(rows),
        comparison=comparison,
        level=LEVEL,
        resamples=RESAMPLES,
        seed=seed,
        notes=tuple(_notes(metric, n, rows, comparison)),
    )


def _joined(entries: Sequence[Entry]) -> str:
    """One name for submissions of the very same scores."""
    return " = ".join(e.name for e in entries)


def _fold(scored: Sequence[tuple[Entry, Score]]) -> list[tuple[tuple[Entry, ...], Score]]:
    """Submissions of the very same scores together; -0.0 is 0.0, they rank alike."""
    held: dict[bytes, tuple[list[Entry], Score]] = {}
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


def _notes(metric: Metric, n: int, rows: Sequence[Row], comparison: Comparison | None) -> list[str]:
    """What a reader of the ranks should know."""
    out = []
    if n < 2 and (len(rows) > 1 or n == 0):
        out.append(
            f"no ranks: {TITLES[metric]} is defined for {n} of the treatments; at least 2 are needed to tell "
            "a difference from noise"
        )
    elif len(rows) == 1:
        out.append("one row: rank 1 without a test")
    elif comparison and (k := len(comparison.differences)) * 2.0 ** (1 - n) >= 1 - LEVEL:
        out.append(f"{n} treatments are too few to tell any of {k:,} differences from noise")
    out += [f"{row.name}: the very same scores, so one row" for row in rows if len(row.entries) > 1]
    return out


def blocks(tables: Sequence[Published] | None = None) -> tuple[Block, ...]:
    """The published figures, one block per table and suite, in the order given; by default all."""
    tables = [published.load(name) for name in published.ALL] if tables is None else tables
    return tuple(_block(table, suite) for table in tables for suite in table.suites)


def _block(table: Published, suite: published.Suite) -> Block:
    grade = f"{table.grade}, second-hand" if table.second_hand else table.grade
    z: dict[tuple[str, str, str | None], float] = {}
    held: dict[tuple[str, str | None], list[Figure]] = {}
    figures = [f for f in table.figures() if f.suite == suite]
    for f in figures:
        if f.quantity.endswith("_z"):
            z[f.model, f.quantity.removesuffix("_z"), f.at] = f.value
        else:
            held.setdefault((f.quantity, f.at), []).append(f)
    return Block(
        table=table.name,
        suite=suite,
        title=table.title,
        source=table.source,
        grade=grade,
        protocol=table.about[suite],
        known=dict(table.protocols.get(suite, {})),
        lists=tuple(
            Figures(
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
