"""Predictions are matched by key, never by order; what is wrong is named: file, line, value, expected.

Every table of `WRONG` goes through `read_predictions` and through `polaris-rxrx score`.
"""

from __future__ import annotations

import datetime
import gzip
from collections.abc import Callable
from csv import QUOTE_ALL
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_rxrx import arrow
from polaris_rxrx.cli import run
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.predictions import read_predictions, write_predictions
from polaris_rxrx.scoring import score
from polaris_rxrx.tables import to_csv
from polaris_rxrx.task import Task

MakeTask = Callable[..., Task]

SCORES = [0.75, 0.5, -1.0, 0.25, 1e-3, 0.0]
BY_ID = ["id,active", "0,.75", "1,.5", "2,-1", "3,.25", "4,1e-3", "5,0"]
NAMES = [
    "ABT-199,BCL2",
    "ABT-199,SEPT2",
    "ABT-199,MARCH1",
    "Dactolisib (BEZ235,BCL2",
    "Dactolisib (BEZ235,MTOR",
    "Eugenol (no structure),MTOR",
]
BY_NAME = ["treatment,gene_symbol,active", *(f"{n},{s}" for n, s in zip(NAMES, SCORES, strict=True))]
BY_BOTH = ["id,treatment,gene_symbol,active", *(f"{i},{row}" for i, row in enumerate(BY_NAME[1:]))]
HEADERS = "; expected id,active or treatment,gene_symbol,active or id,treatment,gene_symbol,active"


def csv(rows: list[str], changes: dict[int, str | None] | None = None, *more: str) -> str:
    """The rows as a file; `changes` replaces lines (counted from 1), None takes one out."""
    changed = [(changes or {}).get(line, row) for line, row in enumerate(rows, start=1)]
    return "\n".join([*(r for r in changed if r is not None), *more]) + "\n"


def value(text: str, shown: str | None = None) -> tuple[str, str]:
    """A file with `text` as the score on line 4, and what is said of it."""
    return (
        csv(BY_ID, {4: f"2,{text}"}),
        f", line 4: active is {shown or repr(text)}; a finite number was expected",
    )


def bad_id(text: str) -> tuple[str, str]:
    expected = "a whole number from 0 to 5 was expected, as in test_features.csv"
    shown = repr(text) if len(text) <= 60 else f"{text[:60]!r}... ({len(text):,} characters)"
    return csv(BY_ID, {4: f"{text},1"}), f", line 4: id is {shown}; {expected}"


def gene(name: str) -> tuple[str, str]:
    said = f", line 3: gene_symbol {name!r} is not in this task; it looks like a gene name that a spreadsheet"
    return csv(BY_NAME, {3: f"ABT-199,{name},1"}), f"{said} turned into a date"


WRONG: dict[str, tuple[str | bytes, str]] = {
    # pairs
    "missing": (
        csv(BY_ID, {4: None}),
        ": 1 of 6 test pairs have no prediction: 'ABT-199 / MARCH1'. Every pair of test_features.csv is "
        "expected once; --missing fill=0 scores the absent ones 0",
    ),
    "many missing": (
        csv(BY_NAME[:2]),
        ": 5 of 6 test pairs have no prediction: 'ABT-199 / SEPT2', 'ABT-199 / MARCH1', "
        "'Dactolisib (BEZ235 / BCL2' and 2 more",
    ),
    "header alone": ("id,active\n", ": 6 of 6 test pairs have no prediction"),
    "duplicate id": (
        csv(BY_ID, {6: "2,1"}),
        ", line 6: a second prediction for ABT-199 / MARCH1; the first is on line 4. "
        "Every pair is expected once",
    ),
    "duplicate name": (csv(BY_NAME, {}, BY_NAME[1]), ", line 8: a second prediction for ABT-199 / BCL2;"),
    "extra id": (
        csv(BY_ID, {}, "6,1"),
        ", line 8: id is '6'; a whole number from 0 to 5 was expected, as in test_features.csv",
    ),
    "extra pair": (
        csv(BY_NAME, {}, "Eugenol (no structure),BCL2,1"),
        ", line 8: the pair 'Eugenol (no structure)', 'BCL2' is not one of the 6 test pairs",
    ),
    "unknown treatment": (
        csv(BY_NAME, {3: "aspirin,SEPT2,1"}),
        ", line 3: treatment 'aspirin' is not in this task",
    ),
    "nearly a treatment": (
        csv(BY_NAME, {5: "Dactolisib (BEZ235),BCL2,1"}),
        ", line 5: treatment 'Dactolisib (BEZ235)' is not in this task; did you mean 'Dactolisib (BEZ235'?",
    ),
    "a trailing blank": (
        csv(BY_NAME, {2: "ABT-199 ,BCL2,1"}),
        ", line 2: treatment 'ABT-199 ' is not in this task; did you mean 'ABT-199'?",
    ),
    "nearly a gene": (
        csv(BY_NAME, {3: "ABT-199,SEPT-2,1"}),
        ", line 3: gene_symbol 'SEPT-2' is not in this task; did you mean 'SEPT2'?",
    ),
    **{f"date {name}": gene(name) for name in ("2-Sep", "02-Sep-24", "Mar-01", "2024-09-02", "9/2/2024")},
    "a date beside an id": (
        csv(BY_BOTH, {3: "1,ABT-199,2-Sep,1"}),
        ", line 3: id 1 is ABT-199 / SEPT2 with gene_symbol 'SEPT2', but the row names gene_symbol '2-Sep'; "
        "id and names must agree; it looks like a gene name that a spreadsheet turned into a date",
    ),
    "id and names disagree": (
        csv(BY_BOTH, {3: "2,ABT-199,SEPT2,1", 4: "1,ABT-199,MARCH1,1"}),
        ", line 3: id 2 is ABT-199 / MARCH1 with gene_symbol 'MARCH1', but the row names gene_symbol "
        "'SEPT2'; id and names must agree",
    ),
    "id and the one name there disagree": (
        csv(["id,treatment,active", *(f"{i},ABT-199,1" for i in range(6))]),
        ", line 5: id 3 is Dactolisib (BEZ235 / BCL2 with treatment 'Dactolisib (BEZ235', but the row names",
    ),
    # ids
    **{
        f"id {text or 'empty'}": bad_id(text)
        for text in (
            "",
            "-1",
            "1.0",
            "01",
            "+1",
            " 1",
            "1e0",
            "٣",
            "3٣",
            "6",
            "9" * 20,
            "9" * 50,
            "x",
            "1_0",
        )
    },
    # scores
    "empty": value("", "empty"),
    **{
        f"score {text}": value(text)
        for text in (
            *("nan", "NaN", "inf", "-Infinity", "1e999", "high", "None", "NA", "True", "False", "1_0", "٣"),
            *("0x10", "1 2", "\xa01", " ", "5%", "1/2", "\u22121"),
        )
    },
    "score with a decimal comma, quoted": value('"0,5"', "'0,5'"),
    "score with a decimal comma": (
        csv(BY_ID, {4: "2,0,5"}),
        ", line 4: 3 fields where the header has 2 (id, ",
    ),
    # headers
    "no header": (csv(BY_ID[1:]), f": the header is 0,.75{HEADERS}"),
    "another header": (csv(BY_ID, {1: "id,score"}), f": the header is id,score{HEADERS}"),
    "capitals": (csv(BY_ID, {1: "ID,Active"}), f": the header is ID,Active{HEADERS}"),
    "one key of two": (csv(["gene_symbol,active", "BCL2,1"]), f": the header is gene_symbol,active{HEADERS}"),
    "a column too many": (
        csv(["id,active,rank", "0,1,1"]),
        f": column 'rank' is not part of a predictions file{HEADERS}",
    ),
    "semicolons": (
        csv(BY_ID).replace(",", ";"),
        ": the header is separated by semicolons; commas were expected",
    ),
    "semicolons and decimal commas": (
        csv(BY_ID).replace(",", ";").replace(".", ","),
        ": the header is separated by semicolons; commas were expected",
    ),
    "tabs": (csv(BY_ID).replace(",", "\t"), ": the header is separated by tabs; commas were expected"),
    # files
    "nothing": ("", " is empty; a table with a header line was expected"),
    "binary": (
        b"\x7fELF\x00\x01",
        ", line 1: not UTF-8 text (a zero byte); a CSV or parquet file was expected",
    ),
    "broken gzip": (gzip.compress(csv(BY_ID).encode())[:-9], ": broken gzip file ("),
    "truncated parquet": (b"PAR1\x15\x04\x15\x10", ": broken parquet file ("),
    "a field too few": (csv(BY_NAME, {3: "ABT-199,SEPT2"}), ", line 3: 2 fields where the header has 3"),
    "an unquoted comma": (
        csv(BY_NAME, {3: "ABT-199, tablets,SEPT2,1"}),
        ", line 3: 4 fields where the header has 3 (treatment, gene_symbol, active); "
        "is a comma in a name unquoted?",
    ),
}


def check_refused(
    path: Path, task: Task, prepared: Path, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused with this message by the function; by the command too, with exit code 1 and no output."""
    with pytest.raises(DataError) as raised:
        read_predictions(path, task)
    assert str(raised.value).startswith(f"{path}{message}")
    assert run(["score", str(path), "--task", str(prepared), "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"Error: {raised.value}\n"


@pytest.fixture(params=["row by row", "by Arrow"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of reading a CSV; by its size a small one would go row by row."""
    if request.param == "by Arrow":
        monkeypatch.setattr(arrow, "BIG", 0)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_what_is_refused(
    task: Task,
    prepared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str | bytes,
    message: str,
) -> None:
    path = tmp_path / "preds.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    check_refused(path, task, prepared, message, capsys)


def columns(**changes: Any) -> dict[str, Any]:
    return {"id": list(range(6)), "active": SCORES, **changes}


def names(**changes: Any) -> dict[str, Any]:
    treatment, gene_symbol = zip(*(n.split(",") for n in NAMES), strict=True)
    return {"treatment": treatment, "gene_symbol": gene_symbol, "active": SCORES, **changes}


FINITE = "; a finite number was expected"
WRONG_PARQUET = {
    "NaN": (columns(active=[1.0, np.nan, *SCORES[2:]]), f", row 2: active is nan{FINITE}"),
    "inf": (columns(active=[*SCORES[:5], -np.inf]), f", row 6: active is -inf{FINITE}"),
    "null": (columns(active=[None, *SCORES[1:]]), f", row 1: active is empty{FINITE}"),
    "text": (columns(active=[str(s) for s in SCORES]), f", row 1: active is '0.75'{FINITE}"),
    "bytes": (columns(active=[b"1"] * 6), f", row 1: active is b'1'{FINITE}"),
    "booleans": (columns(active=[True, False] * 3), f", row 1: active is True{FINITE}"),
    "lists": (columns(active=[[1.0]] * 6), f", row 1: active is [1.0]{FINITE}"),
    "dates": (
        columns(active=[datetime.date(2024, 9, 2)] * 6),
        ", row 1: active is datetime.date(2024, 9, 2)",
    ),
    "id null": (columns(id=[0, None, 2, 3, 4, 5]), ", row 2: id is 'None'; a whole number from 0 to 5"),
    "id float": (columns(id=[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), ", row 1: id is '0.0'; a whole number"),
    "id boolean": (columns(id=[False, True] * 3), ", row 1: id is 'False'; a whole number from 0 to 5"),
    "id twice": (
        columns(id=[0, 1, 2, 3, 4, 4]),
        ", row 6: a second prediction for Dactolisib (BEZ235 / MTOR; the first is on row 5",
    ),
    "name null": (
        names(gene_symbol=["BCL2", None, "x", "x", "x", "x"]),
        ", row 2: gene_symbol None is not in this task",
    ),
    "name a date": (
        names(gene_symbol=[datetime.date(2024, 9, 2)] * 6),
        ", row 1: gene_symbol datetime.date(2024, 9, 2) is not in this task; it looks like a gene name",
    ),
    "name a list": (names(treatment=[["ABT-199"]] * 6), ", row 1: treatment ['ABT-199'] is not in this task"),
    "another header": ({"id": [0], "score": [1.0]}, f": the header is id,score{HEADERS}"),
}


@pytest.mark.parametrize(("table", "message"), WRONG_PARQUET.values(), ids=WRONG_PARQUET)
def test_what_is_refused_in_parquet(
    task: Task,
    prepared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    table: dict[str, Any],
    message: str,
) -> None:
    path = tmp_path / "preds.parquet"
    pq.write_table(pa.table(table), path)
    check_refused(path, task, prepared, message, capsys)


def test_a_folder_and_nothing_at_all(
    task: Task, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refused(tmp_path, task, prepared, " is a folder; a file was expected", capsys)
    check_refused(tmp_path / "absent.csv", task, prepared, ": no such file", capsys)


# --- what is right -----------------------------------------------------------------------------------------

RIGHT = {
    "by id": csv(BY_ID),
    "by name": csv(BY_NAME),
    "by both": csv(BY_BOTH),
    "no line end at the end": csv(BY_ID).rstrip(),
    "CRLF": csv(BY_ID).replace("\n", "\r\n"),
    "byte-order mark": "\ufeff" + csv(BY_ID),
    "all quoted": csv([",".join(f'"{c}"' for c in row.split(",")) for row in BY_BOTH]),
    "blank lines": csv(BY_ID).replace("\n", "\n\n"),
    "columns in another order": csv([",".join(reversed(row.split(","))) for row in BY_BOTH]),
    "with SMILES": csv([BY_ID[0] + ",SMILES", *(row + ",C" for row in BY_ID[1:])]),
    "id and one name": csv([",".join(row.split(",")[:2] + row.split(",")[3:]) for row in BY_BOTH]),
    "blanks around a score": csv(BY_ID, {3: "1, 0.5 "}),
    "signs and powers": csv(BY_ID, {2: "0,+7.5E-1"}),
}


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
def test_the_same_predictions_in_many_spellings(task: Task, tmp_path: Path, text: str, zipped: bool) -> None:
    path = tmp_path / "preds"
    raw = gzip.compress(text.encode()) if zipped else text.encode()
    path.write_bytes(raw)
    read = read_predictions(path, task)
    assert read.values.tolist() == SCORES
    assert (read.source, read.sha256, read.filled, read.fill) == (
        str(path),
        sha256(raw).hexdigest(),
        0,
        None,
    )


@pytest.mark.parametrize(
    "table",
    [
        columns(),
        names(),
        {**columns(), **names()},
        columns(id=[str(i) for i in range(6)]),
        columns(active=[Decimal(str(s)) for s in SCORES]),
        columns(active=pa.array(SCORES, pa.float32())),
        names(treatment=pa.array(names()["treatment"]).dictionary_encode()),
    ],
)
def test_parquet_and_data_frames(task: Task, tmp_path: Path, table: dict[str, Any]) -> None:
    path = tmp_path / "preds.parquet"
    pq.write_table(pa.table(table), path)
    expected = pa.array(table["active"]).to_pylist()
    assert read_predictions(path, task).values.tolist() == [float(s) for s in expected]
    frame = pa.table(table).to_pandas().sample(frac=1, random_state=3)
    read = read_predictions(frame, task)
    assert read.values.tolist() == [float(s) for s in expected]
    assert (read.source, read.sha256) == ("<DataFrame>", None)
    assert read_predictions(str(path), task).sha256 == sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (pd.DataFrame(columns(active=[np.bool_(True), *SCORES[1:]])), "<DataFrame>, row 1: active is"),
        (pd.DataFrame(columns(active=pd.array([1, None] * 3, "Int64"))), "row 2: active is <NA>"),
        (
            pd.DataFrame(names(gene_symbol=pd.array([None] * 6, "string"))),
            "row 1: gene_symbol <NA> is not in",
        ),
        (pd.DataFrame({**columns(), **names(treatment=[pd.NA] * 6)}), "row 1: id 0 is ABT-199 / BCL2"),
        (pd.DataFrame([[0, 1, 2]], columns=["id", "id", "active"]), "column 'id' stands more than once"),
        (pd.DataFrame(columns()).set_index("id"), "the header is active; expected id,active"),
    ],
)
def test_what_is_refused_in_data_frames(task: Task, source: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError) as raised:
        read_predictions(source, task)
    assert message in str(raised.value)


@pytest.mark.parametrize("source", [np.zeros(6), [0.5] * 6, {"id": [0]}, pd.Series([0.5] * 6)])
def test_what_is_no_table(task: Task, source: Any) -> None:
    with pytest.raises(UsageError, match="a path or a pandas DataFrame was expected, not"):
        read_predictions(source, task)


@given(st.permutations(range(1, 7)), st.sampled_from([BY_ID, BY_NAME, BY_BOTH]))
def test_the_order_of_rows_does_not_matter(
    task: Task, tmp_path_factory: pytest.TempPathFactory, order: list[int], rows: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "shuffled.csv"
    path.write_text(csv([rows[0], *(rows[i] for i in order)]))
    read = read_predictions(path, task)
    assert read.values.tolist() == SCORES
    in_order = score(task, read_predictions(pd.DataFrame(columns()), task))
    assert score(task, read).official == in_order.official  # to the last bit


@pytest.mark.parametrize(
    ("rows", "keys"),
    [(BY_ID, ["id"]), (BY_NAME, ["treatment", "gene_symbol"]), (BY_BOTH, ["id", "treatment", "gene_symbol"])],
)
def test_it_is_told_where_ids_alone_say_which_pair_a_row_is(
    task: Task, tmp_path: Path, rows: list[str], keys: list[str]
) -> None:
    path = tmp_path / "preds.csv"
    path.write_text(csv(rows))
    read = read_predictions(path, task)
    assert read.matched_by == tuple(keys) and score(task, read).to_dict()["matched_by"] == keys
    told = f"{path}: rows were matched by id alone, the place of a pair in test_features.csv (0 to 5)"
    assert read.reading == (told if keys == ["id"] else None)


@pytest.mark.usefixtures("reader")
def test_odd_names(odd_task: Task, tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(size=len(odd_task))
    table = {"treatment": odd_task.treatment, "gene_symbol": odd_task.gene_symbol, "active": scores.tolist()}
    path = tmp_path / "preds.csv"
    path.write_bytes(to_csv(table).encode())
    assert read_predictions(path, odd_task).values.tobytes() == scores.tobytes()
    pd.DataFrame(table).sample(frac=1, random_state=0).to_csv(path, index=False, quoting=QUOTE_ALL)
    assert read_predictions(path, odd_task).values.tobytes() == scores.tobytes()
    pd.DataFrame(table).to_parquet(path, index=False)
    assert read_predictions(path, odd_task).values.tobytes() == scores.tobytes()


def test_the_real_names(make_task: MakeTask, shared_data: Path, tmp_path: Path) -> None:
    table = pd.read_csv(shared_data / "compound_gene_interactions.csv", keep_default_na=False)
    pairs = sorted(set(zip(table.treatment, table.gene_symbol, strict=True)))
    active = set(
        table[table.nM_value <= 1000][["treatment", "gene_symbol"]].itertuples(index=False, name=None)
    )
    task = make_task([(t, g, float((t, g) in active)) for t, g in pairs])
    scores = np.random.default_rng(0).normal(size=len(task))
    write_predictions(tmp_path / "p.csv.gz", task, scores)
    assert read_predictions(tmp_path / "p.csv.gz", task).values.tobytes() == scores.tobytes()
    for keys in (["id"], ["treatment", "gene_symbol"]):
        frame = pd.read_csv(tmp_path / "p.csv.gz", dtype=str, keep_default_na=False)[[*keys, "active"]]
        frame.sample(frac=1, random_state=1).to_csv(tmp_path / "p.csv", index=False)
        assert read_predictions(tmp_path / "p.csv", task).values.tobytes() == scores.tobytes()


ODD = [
    "",
    "NA",
    "0",
    "00",
    "-1",
    "6",
    "1.5",
    " 1",
    "nan",
    "1_0",
    "BCL2",
    "bcl2",
    "ABT-199",
    "SEPT2",
    "2-Sep",
    "C",
]


def by_hand(rows: list[list[str]], task: Task) -> list[float] | None:
    """The scores in official order, by the rules one after another; None if one of them is broken."""
    header, *rest = rows
    pairs = list(zip(task.treatment, task.gene_symbol, strict=True))
    found: dict[int, float] = {}
    for cells in rest:
        row = dict(zip(header, cells, strict=True))
        ids = [i for i in range(len(task)) if row.get("id", str(i)) == str(i)]
        ids = [i for i in ids if row.get("treatment", pairs[i][0]) == pairs[i][0]]
        ids = [i for i in ids if row.get("gene_symbol", pairs[i][1]) == pairs[i][1]]
        try:
            number = float(row["active"].replace("_", "x"))
        except ValueError:
            return None
        if len(ids) != 1 or ids[0] in found or not np.isfinite(number):
            return None
        found[ids[0]] = number
    return [found[i] for i in range(len(task))] if len(found) == len(task) else None


@given(
    st.sampled_from([BY_ID, BY_NAME, BY_BOTH]),
    st.permutations(range(1, 7)),
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3), st.sampled_from(ODD)), max_size=2),
    st.sampled_from([None, None, "twice", "absent"]),
)
def test_what_is_done_to_a_file_is_noticed_both_ways(
    task: Task,
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[str],
    order: list[int],
    changes: list[tuple[int, int, str]],
    more: str | None,
) -> None:
    rows = [lines[i].split(",") for i in (0, *order)]
    for line, place, text in changes:
        rows[line][place % len(rows[0])] = text
    rows = {"twice": [*rows, rows[2]], "absent": rows[:-1]}.get(more or "", rows)
    path = tmp_path_factory.getbasetemp() / "changed.csv"
    path.write_text(csv([",".join(row) for row in rows]))
    told = []
    for size in (0, 1 << 60):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(arrow, "BIG", size)
            try:
                told.append(read_predictions(path, task).values.tolist())
            except DataError as error:
                told.append(str(error))
    assert told[0] == told[1]
    assert (None if isinstance(told[0], str) else told[0]) == by_hand(rows, task)


def test_a_pair_that_stands_twice_needs_its_id(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task([("A", "G", 1), ("A", "G", 0)])
    (tmp_path / "n").write_text("treatment,gene_symbol,active\nA,G,1\nA,G,2\n")
    with pytest.raises(DataError, match="some pairs of this task stand twice, so an id column is needed"):
        read_predictions(tmp_path / "n", task)
    (tmp_path / "i").write_text("id,treatment,gene_symbol,active\n1,A,G,1\n0,A,G,2\n")
    assert read_predictions(tmp_path / "i", task).values.tolist() == [2, 1]


def test_another_input_must_agree_too(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task([("A", "G", 1), ("B", "G", 0)], more={"dose": ["1", "10"]})
    path = tmp_path / "p"
    path.write_text("treatment,gene_symbol,dose,active\nB,G,10,1\nA,G,1,2\n")
    assert read_predictions(path, task).values.tolist() == [2, 1]
    path.write_text("treatment,gene_symbol,dose,active\nB,G,1,1\nA,G,1,2\n")
    with pytest.raises(DataError, match="line 2: id 1 is B / G with dose '10', but the row names dose '1'"):
        read_predictions(path, task)


# --- filling -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", [0, -2.5])
def test_absent_pairs_are_filled_on_request(task: Task, tmp_path: Path, fill: float) -> None:
    path = tmp_path / "preds.csv"
    path.write_text(csv(BY_ID, {4: None, 7: None}))
    read = read_predictions(path, task, fill=fill)
    assert read.values.tolist() == [0.75, 0.5, fill, 0.25, 1e-3, fill]
    assert (read.filled, read.fill) == (2, fill)
    path.write_text(csv(BY_ID))
    assert (read_predictions(path, task, fill=fill).filled, read_predictions(path, task, fill=fill).fill) == (
        0,
        None,
    )


def test_filling_excuses_nothing_else(task: Task, tmp_path: Path) -> None:
    path = tmp_path / "preds.csv"
    for text in (
        csv(BY_ID, {4: "2,nan"}),
        csv(BY_ID, {4: "2,"}),
        csv(BY_ID, {4: "1,1"}),
        csv(BY_ID, {4: "7,1"}),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match="line 4"):
            read_predictions(path, task, fill=0)


@pytest.mark.parametrize("fill", [float("nan"), float("inf")])
def test_the_filling_must_be_finite(task: Task, fill: float) -> None:
    with pytest.raises(UsageError, match=f"fill is {fill}; a finite number was expected"):
        read_predictions(pd.DataFrame(columns()), task, fill=fill)


# --- writing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.parquet"])
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=6, max_size=6))
def test_files_round_trip(
    task: Task, tmp_path_factory: pytest.TempPathFactory, name: str, scores: list[float]
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    values = np.array(scores)
    write_predictions(path, task, values)
    assert read_predictions(path, task).values.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("name", "start"), [("p.csv", b"id,treatment,"), ("p.csv.gz", b"\x1f\x8b"), ("p.parquet", b"PAR1")]
)
def test_files_are_what_their_name_says_and_always_the_same(
    odd_task: Task, tmp_path: Path, name: str, start: bytes
) -> None:
    values = np.arange(len(odd_task), dtype=np.float32) / 3
    written = []
    for folder in ("a", "b"):
        write_predictions(str(tmp_path / folder / name), odd_task, values)
        written.append((tmp_path / folder / name).read_bytes())
        assert read_predictions(tmp_path / folder / name, odd_task).values.tolist() == values.tolist()
    assert written[0] == written[1] and written[0].startswith(start)


@pytest.mark.parametrize(
    "values", [[1.0] * 5, [1.0] * 7, [[1.0] * 6], [np.nan, *SCORES[1:]], [np.inf, *SCORES[1:]]]
)
def test_only_finite_scores_of_every_pair_are_written(task: Task, tmp_path: Path, values: list[Any]) -> None:
    with pytest.raises(DataError, match="6 finite scores were expected"):
        write_predictions(tmp_path / "p.csv", task, np.array(values))
    assert list(tmp_path.iterdir()) == []
