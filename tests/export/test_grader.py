"""`grade.py` is one file, stands alone, gives our score to the last bit and refuses what we refuse."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from polaris_rxrx.errors import DataError
from polaris_rxrx.export.folder import FRAMEWORKS, write_export
from polaris_rxrx.predictions import Predictions, read_predictions
from polaris_rxrx.scoring import score
from polaris_rxrx.tables import to_csv
from polaris_rxrx.task import MetricSpec, Task, load_task

MakeTask = Callable[..., Task]

# What a framework does, in a process where nothing of ours and no scikit-learn can be imported.
ALONE = """
import importlib.util, json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("polaris_rxrx", "polaris", "sklearn", "scipy"):
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
import pandas as pd

spec = importlib.util.spec_from_file_location("grade", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
exact = {"float_precision": "round_trip"} if pd.__version__ < "3" else {}  # what pandas 3 does by itself
read = lambda path: pd.read_csv(path, **exact)
print(json.dumps([module.grade(read(path), read(sys.argv[2])) for path in sys.argv[3:]]))
"""


def export(task: Task, folder: Path, framework: str = "mle-bench") -> Path:
    folder.mkdir()
    write_export(task, framework, folder)
    return folder


def load(folder: Path) -> ModuleType:
    """`grade.py` as a module, which is not put into `sys.modules`."""
    spec = importlib.util.spec_from_file_location("grade", folder / "grade.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(source: Any) -> pd.DataFrame:
    """As both frameworks read submissions and answers."""
    exact: dict[str, Any] = {"float_precision": "round_trip"} if pd.__version__ < "3" else {}
    return pd.read_csv(source, **exact)  # pandas 3 does so by itself


def answers(folder: Path) -> pd.DataFrame:
    return read(folder / "prepared" / "private" / "answers.csv")


def ours(task: Task, values: np.ndarray) -> float:
    value = score(task, Predictions(np.asarray(values, dtype=np.float64), "test")).main_value
    assert value is not None
    return value


def kinds(n: int, active: np.ndarray | None = None) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "random": rng.normal(size=n),
        "tied": np.round(rng.random(n), 1),
        "constant": np.zeros(n),
        "two values": (rng.random(n) < 0.2).astype(float),
        "a last digit apart": 1 + rng.integers(0, 9, n) * 2.0**-52,
        "huge and tiny": rng.choice([1e300, -1e300, 5e-324, 0.0], n),
        "whole numbers": rng.integers(-3, 3, n).astype(float),
    }


def submissions(task: Task, folder: Path) -> list[tuple[str, Path, float]]:
    """Files of all kinds, in official order, shuffled, with names; and our score of each."""
    found = []
    for name, values in kinds(len(task)).items():
        order = np.random.default_rng(1).permutation(len(task)).tolist()
        table = {"id": list(range(len(task))), "active": values.tolist()}
        for how, columns in (
            ("in order", table),
            ("shuffled", {k: [v[i] for i in order] for k, v in table.items()}),
            ("with names", {**table, **task.inputs}),
        ):
            path = folder / f"{name}, {how}.csv"
            path.write_bytes(to_csv(columns).encode())
            found.append((f"{name}, {how}", path, ours(task, values)))
    return found


def test_on_its_own_it_gives_our_score(demo: Path, tmp_path: Path) -> None:
    task = load_task(demo / "task")
    folder = export(task, tmp_path / "export")
    cases = submissions(task, tmp_path)
    sample = folder / "prepared" / "public" / "sample_submission.csv"
    cases.append(("sample", sample, ours(task, np.zeros(len(task)))))
    cases.append(("openphenom", demo / "openphenom.csv", 0.4253294878161915))
    words = [folder / "grade.py", folder / "prepared/private/answers.csv", *(path for _, path, _ in cases)]
    # In an empty folder, isolated: what is installed may be imported, what is refused may not.
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, *map(str, words)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert dict(zip([n for n, *_ in cases], found, strict=True)) == {n: value for n, _, value in cases}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_it_is_text_that_python_3_10_reads_and_imports_numpy_and_pandas_alone(
    framework: str, task: Task, tmp_path: Path
) -> None:
    folder = export(task, tmp_path / "export", framework)
    for name in ("grade.py", "prepare.py"):
        tree = ast.parse((folder / name).read_text("utf-8"), feature_version=(3, 10))
        compile(tree, name, "exec")
        names = {n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names}
        names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        standard = {n for n in names if n.partition(".")[0] in sys.stdlib_module_names}
        package = f"{FRAMEWORKS[framework].package}.grade_helpers"
        assert names - standard == ({"numpy", "pandas", package} if name == "grade.py" else set())
        assert "<<" not in (folder / name).read_text("utf-8")


@pytest.mark.parametrize("odd", [False, True])
def test_names_as_they_come(
    odd: bool, make_task: MakeTask, odd_task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names that pandas reads as nothing, as numbers or over two lines; pairs without a label."""
    task = odd_task
    labels = (1, 0, None)
    if not odd:
        rows = [
            (t, g, a) for t in ("NA", "nan", "1e5", "100000", "") for g, a in zip("abc", labels, strict=True)
        ]
        task = make_task([*rows, ("none", "a", None), ("all", "a", 1), ("no", "a", 0)])
    folder = export(task, tmp_path / "export")
    module = load(folder)
    for name, path, value in submissions(task, tmp_path):
        assert module.grade(read(path), answers(folder)) == value, name
        assert module.main([str(path)]) == 0 and capsys.readouterr().out == f"{value!r}\n", name


def test_a_name_that_was_lost_on_the_way(
    make_task: MakeTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written by pandas as it read them, `NA` is an empty cell; grade.py refuses it, as `score` does."""
    task = make_task([("NA", "X", 1), ("NA", "None", 0), ("b", "X", 1)])
    folder = export(task, tmp_path / "export")
    module, path = load(folder), tmp_path / "mine.csv"
    table = read(folder / "prepared" / "public" / "test_features.csv").assign(active=0.5)
    table.to_csv(path, index=False)
    assert module.grade(read(path), answers(folder)) == ours(task, np.full(len(task), 0.5))
    assert module.main([str(path)]) == 1
    assert "row 1: id 0 has treatment 'NA' in test_features.csv, and '' here" in capsys.readouterr().err
    with pytest.raises(DataError, match="but the row names treatment ''"):
        read_predictions(path, task)


def test_the_command_line(
    demo: Path, odd_task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = export(odd_task, tmp_path / "export")
    module = load(folder)
    values = np.random.default_rng(2).random(len(odd_task))
    path = tmp_path / "mine.csv"
    path.write_bytes(to_csv({"id": list(range(len(odd_task))), "active": values.tolist()}).encode())
    moved = tmp_path / "answers.csv"
    moved.write_bytes((folder / "prepared/private/answers.csv").read_bytes())
    for words in ([str(path)], [str(path), str(moved)]):
        assert module.main(words) == 0
        assert float(capsys.readouterr().out) == ours(odd_task, values)
    for words, code, told in (
        ([], 2, "usage: "),
        ([str(tmp_path / "none.csv")], 1, f"Error: {tmp_path / 'none.csv'}: cannot be read"),
        ([str(path), str(tmp_path / "none.csv")], 1, f"Error: {tmp_path / 'none.csv'}: cannot be read"),
        ([str(moved), str(path)], 1, "are not prepared/private/answers.csv"),
    ):
        assert module.main(words) == code
        out, err = capsys.readouterr()
        assert out == "" and told in err and err.count("\n") == 1


METRICS = [
    MetricSpec(name="mine", label=label, group_by=group_by, aggregation=how, on_error=error, default=default)  # type: ignore[arg-type]
    for label in ("pr_auc", "roc_auc")
    for group_by in ("treatment", "gene_symbol", None)
    for how in ("mean", "median")
    for error, default in (("ignore", None), ("default", 0.25))
]
PAIRS = [
    (t, g, a)
    for t, labels in zip("ABCD", ((1, 0, 1), (0, 1, None), (0, 0, 0), (1, 1, 1)), strict=True)
    for g, a in zip("XYZ", labels, strict=True)
]


@pytest.mark.parametrize("spec", METRICS, ids=lambda s: f"{s.label} {s.group_by} {s.aggregation} {s.default}")
def test_any_main_metric_that_we_compute(spec: MetricSpec, make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(PAIRS, metrics=[spec])
    folder = export(task, tmp_path / "export")
    module = load(folder)
    for values in kinds(len(task)).values():
        table = pd.DataFrame({"id": range(len(task)), "active": values})
        assert module.grade(table, answers(folder)) == ours(task, values)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from([0, 1, None]), st.sampled_from([-1, 0, 0.5, 2])),
        min_size=1,
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
def test_equals_scikit_learn_treatment_by_treatment(
    make_task: MakeTask, tmp_path_factory: pytest.TempPathFactory, rows: list[Any], shuffle: Any
) -> None:
    rows.append(("a", 1, 0.5))
    task = make_task([(t, f"G{i}", a) for i, (t, a, _) in enumerate(rows)])
    folder = export(task, tmp_path_factory.mktemp("any") / "export")
    table = [(i, s) for i, (*_, s) in enumerate(rows)]
    shuffle.shuffle(table)
    found = load(folder).grade(pd.DataFrame(table, columns=["id", "active"]), answers(folder))
    each = []
    for treatment in sorted({t for t, *_ in rows}):
        labels = [(a, s) for t, a, s in rows if t == treatment and a is not None]
        if any(a for a, _ in labels):
            each.append(average_precision_score([a for a, _ in labels], [s for _, s in labels]))
    assert found == pytest.approx(np.mean(each), abs=1e-12)
    assert found == ours(task, np.array([s for *_, s in rows]))


# ---- what is refused

GOOD = ["id,active", "0,3", "1,2", "2,1", "3,0", "4,0", "5,0"]
WHOLE = "one of sample_submission.csv was expected, a whole number from 0 to 5"


def csv(changes: dict[int, str] | None = None, *more: str) -> str:
    return "\n".join([*((changes or {}).get(i, row) for i, row in enumerate(GOOD)), *more]) + "\n"


WRONG: dict[str, tuple[str, str]] = {
    "other columns": (
        "pair,score\n0,1\n",
        "no column 'id', 'active'; the columns are 'pair', 'score', and id and",
    ),
    "no id": ("active\n" + "1\n" * 6, "no column 'id'; the columns are 'active'"),
    "capitals": (csv({0: "ID,Active"}), "no column 'id', 'active'"),
    "an index": (
        csv({0: "Unnamed: 0,active,id"}).replace(",3", ",3,0"),
        "column 'Unnamed: 0' was not expected",
    ),
    "one more column": (
        csv({0: "id,active,rank", 1: "0,1,1"}),
        "column 'rank' was not expected; hand in id and",
    ),
    "missing": (
        "\n".join(GOOD[:-1]),
        "1 of 6 ids have no prediction: '5'. Every id of sample_submission.csv",
    ),
    "nothing": ("id,active\n", "6 of 6 ids have no prediction: '0', '1', '2', '3', '4' and 1 more"),
    "twice": (csv({6: "0,7"}), "row 6: a second prediction for id 0; the first is in row 1. Every id"),
    "one more": (csv({}, "6,1"), f"row 7: id is 6; {WHOLE}"),
    "from 1": (csv({i: f"{i},0" for i in range(1, 7)}), f"row 6: id is 6; {WHOLE}"),
    "a negative id": (csv({3: "-1,1"}), f"row 3: id is -1; {WHOLE}"),
    "a broken id": (csv({3: "2.0,1"}), f"row 1: id is 0.0; {WHOLE}"),  # pandas makes them all floats
    "half an id": (csv({3: "2.5,1"}), f"row 3: id is 2.5; {WHOLE}"),
    "a name for an id": (csv({3: "BCL2,1"}), f"row 3: id is 'BCL2'; {WHOLE}"),
    "an empty id": (csv({3: ",1"}), "row 3: id is empty; every id was expected once"),
    "empty": (csv({3: "2,"}), "row 3 (id 2): active is empty or not a number; a finite number was expected"),
    "NaN": (csv({3: "2,nan"}), "row 3 (id 2): active is empty or not a number"),
    "infinite": (csv({3: "2,inf"}), "row 3 (id 2): active is inf; a finite number was expected"),
    "text": (csv({3: "2,high"}), "row 3 (id 2): active is 'high'; a finite number was expected"),
    "an underscore": (csv({3: "2,1_0"}), "row 3 (id 2): active is '1_0'; a finite number was expected"),
    "other digits": (csv({3: "2,٣"}), "row 3 (id 2): active is '٣'; a finite number was expected"),
    "booleans": ("id,active\n" + "".join(f"{i},True\n" for i in range(6)), "row 1 (id 0): active is True;"),
    "another treatment": (
        "id,treatment,active\n" + "".join(f"{i},ABT-199,1\n" for i in range(6)),
        "row 4: id 3 has treatment 'Dactolisib (BEZ235' in test_features.csv, and 'ABT-199' here; id",
    ),
    "a gene turned into a date": (
        "id,gene_symbol,active\n0,BCL2,1\n1,2-Sep,1\n2,MARCH1,1\n3,BCL2,1\n4,MTOR,1\n5,MTOR,1\n",
        "row 2: id 1 has gene_symbol 'SEPT2' in test_features.csv, and '2-Sep' here",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused_here_and_by_score(case: str, task: Task, tmp_path: Path) -> None:
    folder = export(task, tmp_path / "export")
    module, (text, message) = load(folder), WRONG[case]
    with pytest.raises(module.InvalidSubmissionError) as caught:
        module.grade(read(io.StringIO(text)), answers(folder))
    assert message in str(caught.value) and "\n" not in str(caught.value)
    path = tmp_path / "mine.csv"
    path.write_text(text)
    assert module.main([str(path)]) == 1
    with pytest.raises(DataError):
        read_predictions(path, task)


@pytest.mark.parametrize("what", [None, [1, 2], "mine.csv"])
def test_what_is_no_table(what: Any, task: Task, tmp_path: Path) -> None:
    folder = export(task, tmp_path / "export")
    module = load(folder)
    with pytest.raises(module.InvalidSubmissionError, match="a table was expected"):
        module.grade(what, answers(folder))
    table = pd.DataFrame({"id": range(6), "active": 0.0})
    for wrong in (what, table, answers(folder).iloc[:0], pd.concat([answers(folder)] * 2)):
        with pytest.raises(ValueError, match=r"are not prepared/private/answers\.csv"):
            module.grade(table, wrong)
    twice = pd.DataFrame(np.zeros((6, 3)), columns=["id", "active", "active"])
    with pytest.raises(module.InvalidSubmissionError, match="column 'active' stands more than once"):
        module.grade(twice, answers(folder))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_refusal_is_the_frameworks_own(
    framework: str, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both take `InvalidSubmissionError` for a bad submission, and anything else for a broken task."""
    package = tmp_path / "path" / FRAMEWORKS[framework].package
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "grade_helpers.py").write_text("class InvalidSubmissionError(Exception):\n    pass\n")
    monkeypatch.syspath_prepend(str(package.parent))
    folder = export(task, tmp_path / "export", framework)
    module = load(folder)
    for name in (package.name, f"{package.name}.grade_helpers"):
        monkeypatch.delitem(sys.modules, name)
    assert module.InvalidSubmissionError.__module__ == f"{package.name}.grade_helpers"
    with pytest.raises(module.InvalidSubmissionError):
        module.grade(read(io.StringIO("id,active\n0,1\n")), answers(folder))
    bad = tmp_path / "bad.csv"
    bad.write_text("id,active\n0,1\n")
    assert module.main([str(bad)]) == 1


def test_the_answers_handed_in_are_perfect(task: Task, tmp_path: Path) -> None:
    """Both frameworks take the answers for the gold submission."""
    folder = export(task, tmp_path / "export")
    assert load(folder).grade(answers(folder), answers(folder)) == 1.0
