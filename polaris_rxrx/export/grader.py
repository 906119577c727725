"""`grade.py`: our score of the main metric as one file that needs numpy and pandas alone.

Conventions
    `grade(submission, answers)` takes the two tables as the frameworks read them (`pandas.read_csv` with
    `float_precision="round_trip"`) and returns a float. What is wrong with a submission is the framework's
    `InvalidSubmissionError` where the framework is there, which records it as not valid and goes on.
    The kernel is not written twice: the sources of `group_scores` and `blocks` of
    `polaris_rxrx.metrics` are put into the file.
    pandas takes names such as `NA` for nothing, so groups are read from a column of whole numbers, and names
    of pairs, if a submission has them, are only checked: they must be those of the answers.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from polaris_rxrx._version import __version__
from polaris_rxrx.metrics import Blocks, GroupScores, blocks, group_scores

_FILE = '''\
"""Grade a submission by the benchmark's main metric.

Written by polaris_rxrx <<VERSION>>; needs numpy and pandas alone. `grade` returns what `polaris-rxrx score`
prints as the main metric, to the last digit, for tables read with `float_precision="round_trip"` (what pandas
from 3 on does by itself).

    python grade.py submission.csv [answers.csv]
"""

from __future__ import annotations

import math
import sys
from collections import namedtuple
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

try:
    from <<PACKAGE>>.grade_helpers import InvalidSubmissionError
except ImportError:

    class InvalidSubmissionError(ValueError):
        """A submission that cannot be graded."""


GROUP = <<GROUP>>  # a column of the answers: codes 0, 1, ... of what is averaged over
INPUTS = <<INPUTS>>  # names of a pair; must agree with the answers where a submission has them
METRIC = <<METRIC>>
AGGREGATE = np.<<AGGREGATE>>
DEFAULT = <<DEFAULT>>  # what a group without a value counts as; None: it is left out
ANSWERS = Path(__file__).resolve().parent / "prepared" / "private" / "answers.csv"

Blocks = namedtuple("Blocks", <<BLOCKS>>)
GroupScores = namedtuple("GroupScores", <<FIELDS>>)


def grade(submission: pd.DataFrame, answers: pd.DataFrame) -> float:
    """The main metric of a submission; a higher one is better.

    Args:
        submission: `id` and `active` (finite; higher: more likely active), every id once, in any order.
        answers: `prepared/private/answers.csv`.

    Raises:
        InvalidSubmissionError: What is wrong with the submission, and what was expected.
        ValueError: These are not the answers.
    """
    known, labels, groups = _answers(answers)
    rows = _rows(submission, answers, known)
    scores = np.full(len(known), np.nan)
    scores[rows] = _scores(submission)
    values = getattr(group_scores(labels, scores, groups, int(groups.max()) + 1), METRIC)
    if DEFAULT is not None:
        values = np.where(np.isnan(values), DEFAULT, values)
    return float(AGGREGATE(values[~np.isnan(values)]))


<<KERNEL>>

def _answers(answers):
    """Row by id, labels and group codes."""
    expected = ["id", "active", *INPUTS, GROUP]
    if not isinstance(answers, pd.DataFrame) or not set(expected) <= set(map(str, answers.columns)):
        raise ValueError("the answers are not prepared/private/answers.csv: columns " + ", ".join(expected))
    known = {str(value): row for row, value in enumerate(answers["id"].tolist())}
    labels = pd.to_numeric(answers["active"]).to_numpy(dtype=np.float64)
    groups = pd.to_numeric(answers[GROUP]).to_numpy(dtype=np.int64)
    if len(known) < len(answers) or not len(answers):
        raise ValueError("the answers are not prepared/private/answers.csv: its ids stand once each")
    return known, labels, groups


def _rows(submission, answers, known):
    """The row of the answers that each row of the submission is about."""
    if not isinstance(submission, pd.DataFrame):
        raise InvalidSubmissionError(f"the submission is a {type(submission).__name__}; a table was expected")
    names = [str(name) for name in submission.columns]
    if missing := [name for name in ("id", "active") if name not in names]:
        raise InvalidSubmissionError(
            f"no column {_some(missing)}; the columns are {_some(names)}, and id and active were expected, "
            "as in sample_submission.csv"
        )
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidSubmissionError(f"column {_some(repeated)} stands more than once")
    allowed = {"id", "active", "SMILES", GROUP, *INPUTS}
    if unknown := [name for name in names if name not in allowed]:
        raise InvalidSubmissionError(
            f"column {_some(unknown)} was not expected; hand in id and active alone, as in "
            "sample_submission.csv (from pandas, write with index=False)"
        )
    ids = submission["id"].tolist()
    rows, first = np.empty(len(ids), dtype=np.int64), {}
    for row, value in enumerate(ids):
        if _absent(value):
            raise InvalidSubmissionError(f"row {row + 1}: id is empty; every id was expected once")
    # One broken id makes floats of all in pandas: that one is to be named.
    broken = [row for row, value in enumerate(ids) if isinstance(value, float) and not value.is_integer()]
    for row, value in enumerate(ids):
        found = None if isinstance(value, bool) else known.get(str(value))
        if found is None:
            row = broken[0] if broken else row
            raise InvalidSubmissionError(
                f"row {row + 1}: id is {_shown(ids[row])}; one of sample_submission.csv was expected, a "
                f"whole number from 0 to {len(known) - 1}"
            )
        if found in first:
            raise InvalidSubmissionError(
                f"row {row + 1}: a second prediction for id {value}; the first is in row {first[found] + 1}. "
                "Every id was expected once"
            )
        first[found] = row
        rows[row] = found
    if len(first) < len(known):
        missing = [name for name, row in known.items() if row not in first]
        raise InvalidSubmissionError(
            f"{len(missing):,} of {len(known):,} ids have no prediction: {_some(missing)}. Every id of "
            "sample_submission.csv was expected once"
        )
    for name in (name for name in names if name in (*INPUTS, GROUP)):
        theirs, ours = submission[name].tolist(), answers[name].tolist()
        for row, at in enumerate(rows.tolist()):
            if not _same(theirs[row], ours[at]):
                raise InvalidSubmissionError(
                    f"row {row + 1}: id {ids[row]} has {name} {_shown(ours[at])} in "
                    f"test_features.csv, and {_shown(theirs[row])} here; id and names must agree"
                )
    return rows


def _scores(submission):
    scores = np.empty(len(submission))
    for row, value in enumerate(submission["active"].tolist()):
        number = _number(value)
        if number is None:
            shown = "empty or not a number" if _absent(value) else _shown(value)
            raise InvalidSubmissionError(
                f"row {row + 1} (id {submission['id'].iloc[row]}): active is {shown}; "
                "a finite number was expected"
            )
        scores[row] = number
    return scores


def _number(value):
    """A finite number, or None; text as a table read as text has it."""
    if isinstance(value, str):
        if "_" in value or not value.isascii():
            return None
    elif isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, Decimal, np.integer, np.floating)
    ):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _absent(value):
    return value is None or value is pd.NA or value == "" or (isinstance(value, float) and math.isnan(value))


def _same(theirs, ours):
    """Whether two names are one; pandas reads `NA` as nothing, in both tables."""
    if _absent(theirs) or _absent(ours):
        return _absent(theirs) and _absent(ours)
    return str(theirs) == str(ours)


def _shown(value):
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def _some(names):
    shown = ", ".join(_shown(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5:,} more"


def _read(path):
    """Every cell as the text it is, so that a gene may be called NA."""
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot be read as a CSV ({error})") from None


def main(arguments):
    """Print the score of a file, all its digits."""
    if not 1 <= len(arguments) <= 2:
        print("usage: python grade.py submission.csv [answers.csv]", file=sys.stderr)
        return 2
    path = answers = arguments[1] if len(arguments) == 2 else ANSWERS
    try:
        known = _read(answers)
        path = arguments[0]
        print(repr(grade(_read(path), known)))
    except (ValueError, InvalidSubmissionError) as error:
        print(f"Error: {path}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
'''


def grader(
    *,
    package: str,
    group: str,
    inputs: Sequence[str],
    metric: str,
    aggregation: str,
    default: float | None,
) -> str:
    """The text of `grade.py`.

    Args:
        package: The framework's Python package.
        group: The answers' column of group codes.
        inputs: The names of a pair.
        metric: A field of `polaris_rxrx.metrics.GroupScores`.
        aggregation: `mean` or `median`, over groups.
        default: What a group without a value counts as; None: it is left out.
    """
    text = _FILE
    for mark, value in {
        "VERSION": __version__,
        "PACKAGE": package,
        "GROUP": repr(group),
        "INPUTS": repr(tuple(inputs)),
        "METRIC": repr(metric),
        "AGGREGATE": aggregation,
        "DEFAULT": repr(default),
        "FIELDS": repr(list(GroupScores.__dataclass_fields__)),
        "BLOCKS": repr(list(Blocks.__dataclass_fields__)),
        "KERNEL": f"{inspect.getsource(blocks)}\n\n{inspect.getsource(group_scores)}",
    }.items():
        text = text.replace(f"<<{mark}>>", value)
    return text
