"""Predictions: read a table, check it against a Task, put it in official order.

Conventions
    Higher means more likely active. Rows are matched by `id`, by (`treatment`, `gene_symbol`), or by both,
    which must then agree; never by their order. `id` is the place of a pair in the official order (0 to
    n - 1), as in `test_features.csv` and `sample_submission.csv`. Every test pair stands exactly once, with a
    finite number. Other columns than the task's inputs and SMILES are refused.
    The one leniency, `fill`, gives absent pairs a stated score and is recorded.
    Each step looks at all rows at once and asks whether everything is right; only if not does it go from row
    to row, for the first that is wrong.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polaris_rxrx.damage import INDEX, date_hint, number_hint
from polaris_rxrx.errors import DataError, UsageError, short, some
from polaris_rxrx.files import new_file
from polaris_rxrx.tables import Table, fold, read_table, refuse_repeated, to_csv
from polaris_rxrx.task import KEYS, Task
from polaris_rxrx.types import Floats, Ints

if TYPE_CHECKING:
    import pandas as pd

SCORE = "active"


@dataclass(frozen=True, eq=False)
class Predictions:
    """One finite score a test pair, shape (n,), in the task's official order.

    >>> task = pr.load_task("task")
    >>> found = pr.read_predictions("openphenom.csv", task)
    >>> found.values.shape, found.source, found.filled
    ((997,), 'openphenom.csv', 0)
    """

    values: Floats
    source: str
    sha256: str | None = None
    filled: int = 0
    fill: float | None = None
    matched_by: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """Columns that hold a saved index, which says nothing."""

    @property
    def reading(self) -> str | None:
        """What to tell of how rows were matched: nothing, unless ids alone did it and no name can object."""
        if self.matched_by != ("id",):
            return None
        return (
            f"{self.source}: rows were matched by id alone, the place of a pair in test_features.csv "
            f"(0 to {len(self.values) - 1})"
        )


def read_predictions(
    source: Path | str | pd.DataFrame, task: Task, *, fill: float | None = None
) -> Predictions:
    """Read predictions and align them to `task`.

    Args:
        source: A CSV (also gzip) or parquet file, or a pandas DataFrame.
        task: The task they are for.
        fill: The score of pairs that are absent; None makes them an error.

    Raises:
        DataError: Naming file, line, key and value, and what was expected.

    Rows are matched by names, in any order:

    >>> import pandas as pd
    >>> task = pr.load_task("task")
    >>> frame = pd.DataFrame({"treatment": task.treatment, "gene_symbol": task.gene_symbol, "active": 0.0})
    >>> frame.loc[0, "active"] = 0.9  # the first pair's score; then the rows are turned around
    >>> found = pr.read_predictions(frame[::-1], task)
    >>> float(found.values[0]), found.matched_by
    (0.9, ('treatment', 'gene_symbol'))
    >>> pr.read_predictions(frame[:-1], task, fill=0.0).filled
    1
    """
    if fill is not None and not np.isfinite(fill):
        raise UsageError(f"fill is {fill}; a finite number was expected")
    if isinstance(source, (str, Path)):
        table, left_out = _without_index(read_table(Path(source), nameless_index=True))
    else:
        table, left_out = _from_frame(source), ()
    values = np.full(len(task), np.nan)
    ids = _match(table, task)
    values[ids] = _numbers(table)
    absent = np.flatnonzero(np.isnan(values))
    if absent.size and fill is None:
        shown = some([_pair(task, i) for i in absent.tolist()], 3)
        raise DataError(
            f"{table.path}: {absent.size:,} of {len(task):,} test pairs have no prediction: {shown}. "
            "Every pair of test_features.csv is expected once; --missing fill=0 scores the absent ones 0"
        )
    if absent.size:
        values[absent] = fill
    return Predictions(
        values,
        str(table.path),
        table.sha256,
        int(absent.size),
        fill if absent.size else None,
        matched_by=tuple(name for name in ("id", *KEYS) if name in table.columns),
        left_out=left_out,
    )


def write_predictions(path: Path | str, task: Task, values: Floats) -> None:
    """Write `id,treatment,gene_symbol,active` in official order.

    CSV, or gzip or parquet if `path` ends in .gz or .parquet.

    >>> task = pr.load_task("task")
    >>> pr.write_predictions("mine.csv", task, np.linspace(0, 1, len(task)))
    >>> pr.read_predictions("mine.csv", task).matched_by
    ('id', 'treatment', 'gene_symbol')
    """
    path = Path(path)
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(task),) or not np.isfinite(values).all():
        raise DataError(f"{len(task):,} finite scores were expected to write {path}")
    columns: dict[str, list[Any]] = {
        "id": list(range(len(task))),
        "treatment": task.treatment,
        "gene_symbol": task.gene_symbol,
        SCORE: values.tolist(),
    }
    with new_file(path) as temporary:
        if path.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.table(columns), temporary)
        elif path.suffix == ".gz":
            import gzip

            temporary.write_bytes(gzip.compress(to_csv(columns).encode(), mtime=0))
        else:
            temporary.write_bytes(to_csv(columns).encode())


def _without_index(table: Table) -> tuple[Table, tuple[str, ...]]:
    """The table without the columns that are a saved index, and these."""
    indices = tuple(n for n in table.columns if INDEX.fullmatch(n))
    if not indices:
        return table, ()
    return table.without(indices), indices


def _from_frame(frame: pd.DataFrame) -> Table:
    if not (hasattr(frame, "columns") and hasattr(frame, "iloc")):
        raise UsageError(f"a path or a pandas DataFrame was expected, not {type(frame).__name__}")
    path, names = Path("<DataFrame>"), [str(n) for n in frame.columns]
    refuse_repeated(path, names)
    cells = [frame.iloc[:, i].tolist() for i in range(len(names))]
    return Table(path, dict(zip(names, cells, strict=True)), range(1, len(frame) + 1), unit="row")


def _match(table: Table, task: Task) -> Ints:
    """The id of every row."""
    by_id, by_name = "id" in table.columns, all(k in table.columns for k in KEYS)
    expected = "id,active or treatment,gene_symbol,active or id,treatment,gene_symbol,active"
    if SCORE not in table.columns or not (by_id or by_name):
        raise DataError(
            f"{table.path}: the header is {short(','.join(table.columns), 200)[1:-1]}; expected {expected}"
        )
    unknown = [n for n in table.columns if n not in {"id", SCORE, "SMILES", *task.inputs}]
    if unknown:
        raise DataError(
            f"{table.path}: column {some(unknown)} is not part of a predictions file; expected {expected}"
        )
    ids = _by_id(table, task) if by_id else _by_name(table, task)
    _agree(table, task, ids)
    if np.bincount(ids, minlength=1).max() < 2:
        return ids
    first: dict[int, int] = {}
    for row, i in enumerate(ids.tolist()):
        if i in first:
            raise DataError(
                f"{table.at(row)}: a second prediction for {_pair(task, i)}; "
                f"the first is on {table.unit} {table.lines[first[i]]}. Every pair is expected once"
            )
        first[i] = row
    return ids


def _by_id(table: Table, task: Task) -> Ints:
    wholes = table.wholes("id")
    if wholes is not None and len(wholes) and wholes.min() >= 0 and wholes.max() < len(task):
        return wholes
    known = {str(i): i for i in range(len(task))}
    ids = np.empty(len(table), dtype=np.int64)
    for row, value in enumerate(table.columns["id"]):
        found = known.get(str(value))
        if found is None:
            raise DataError(
                f"{table.at(row)}: id is {short(str(value))}; a whole number from 0 to {len(task) - 1} was "
                "expected, as in test_features.csv"
            )
        ids[row] = found
    return ids


def _by_name(table: Table, task: Task) -> Ints:
    if (all_right := _places(table, task)) is not None:
        return all_right
    known = task.by_key
    if len(known) < len(task):
        raise DataError(f"{table.path}: some pairs of this task stand twice, so an id column is needed")
    ids = np.empty(len(table), dtype=np.int64)
    for row, key in enumerate(zip(*(table.columns[k] for k in KEYS), strict=True)):
        found = known.get(key) if all(isinstance(name, str) for name in key) else None
        if found is None:
            raise DataError(f"{table.at(row)}: {_unknown(key, task)}")
        ids[row] = found
    return ids


def _places(table: Table, task: Task) -> Ints | None:
    """`_by_name` of all rows at once; None unless every row is one of the pairs, and these stand once."""
    wanted, found = (np.zeros(n, dtype=np.int64) for n in (len(task), len(table)))
    for key in KEYS:
        codes, names = task.groups(key)
        code = {name: i for i, name in enumerate(names)}
        try:
            here = np.fromiter(map(code.__getitem__, table.columns[key]), np.int64, len(table))
        except (KeyError, TypeError):  # a name that is none of the task's, or no name at all
            return None
        wanted, found = wanted * len(names) + codes, found * len(names) + here
    order = np.argsort(wanted, kind="stable")
    ordered = wanted[order]
    if not len(ordered) or (ordered[1:] == ordered[:-1]).any():
        return None
    at = np.minimum(np.searchsorted(ordered, found), len(ordered) - 1)
    return order[at] if np.array_equal(ordered[at], found) else None


def _agree(table: Table, task: Task, ids: Ints) -> None:
    """Every input that stands in the table must be that of the pair its row was matched to."""
    for column in [c for c in task.inputs if c in table.columns]:
        cells, expected = table.columns[column], task.inputs[column]
        if set(map(type, cells)) <= {str} and cells == np.array(expected, dtype=object)[ids].tolist():
            continue
        for row, i in enumerate(ids.tolist()):
            if not isinstance(cells[row], str) or cells[row] != expected[i]:
                raise DataError(
                    f"{table.at(row)}: id {i} is {_pair(task, i)} with {column} {short(expected[i])}, but "
                    f"the row names {column} {short(cells[row])}; id and names must agree"
                    f"{_date_hint(column, cells[row])}"
                )


def _unknown(key: tuple[Any, Any], task: Task) -> str:
    """Why a (treatment, gene_symbol) is not one of the task's."""
    for column, value, names in zip(KEYS, key, (set(task.treatment), set(task.gene_symbol)), strict=True):
        if isinstance(value, str) and value in names:
            continue
        text = f"{column} {short(value)} is not in this task"
        if hint := _date_hint(column, value):
            return text + hint
        if near := [n for n in names if fold(n) == fold(str(value))]:
            return f"{text}; did you mean {min(near)!r}? They differ by blanks or case alone"
        close = difflib.get_close_matches(str(value)[:200], names, n=1, cutoff=0.75)
        return f"{text}; did you mean {close[0]!r}?" if close else text
    return f"the pair {short(key[0])}, {short(key[1])} is not one of the {len(task):,} test pairs"


def _date_hint(column: str, value: object) -> str:
    """What to add where a gene's name has become a date; nothing elsewhere."""
    return date_hint(value) if column == "gene_symbol" else ""


def _numbers(table: Table) -> Floats:
    if (numbers := table.numbers(SCORE)) is not None:
        return numbers
    text = table.unit == "line"
    values = np.empty(len(table))
    for row, cell in enumerate(table.columns[SCORE]):
        number = _number(cell, text=text)
        if number is None:
            shown = "empty" if cell is None or (isinstance(cell, str) and not cell) else short(cell)
            raise DataError(
                f"{table.at(row)}: {SCORE} is {shown}; a finite number was expected{number_hint(cell)}"
            )
        values[row] = number
    return values


def _number(cell: Any, *, text: bool) -> float | None:
    """A finite number, or None. `float` alone would take `1_0`, Arabic digits, bytes and booleans."""
    if text:
        if "_" in cell or not cell.isascii():
            return None
    elif isinstance(cell, bool) or not isinstance(cell, (int, float, Decimal, np.integer, np.floating)):
        return None
    try:
        number = float(cell)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _pair(task: Task, i: int) -> str:
    return f"{task.treatment[i]} / {task.gene_symbol[i]}"
