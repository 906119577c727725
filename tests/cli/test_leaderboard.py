"""`polaris-rxrx leaderboard` as a user meets it: what stands where, and what is told when there is little."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx import cli
from polaris_rxrx.predictions import read_predictions, write_predictions
from polaris_rxrx.scoring import score
from polaris_rxrx.submission.choose import SUBMISSIONS
from polaris_rxrx.task import Task
from tests.conftest import PAIRS, MakeTask

Run = Callable[..., tuple[int, str, str]]
HOSTILE = "<img src=x onerror=alert(1)>"
CARD = 'name = "my-model"\nowner = "some-lab"\nsupervision = "{}"\n'


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """The command, in an empty working directory."""
    monkeypatch.setitem(cli.COMMANDS, "leaderboard", "Local submissions and published figures.")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli.run(["leaderboard", *map(str, arguments)])
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def large(make_task: MakeTask, tmp_path: Path) -> Task:
    """Sixty treatments of five pairs, prepared in `task/`."""
    task = make_task([(f"t{i:02}", g, float(g == "A")) for i in range(60) for g in "ABCDE"])
    (tmp_path / "task").mkdir()
    task.save(tmp_path / "task")
    return task


def add(
    task: Task, name: str, values: Any, supervision: str = "zero-shot", root: str = "submissions"
) -> Path:
    folder = Path(root) / name
    folder.mkdir(parents=True)
    (folder / "submission.toml").write_text(CARD.format(supervision), "utf-8")
    if values is not None:
        write_predictions(folder / "predictions.csv", task, np.asarray(values, dtype=float))
    return folder


def signal(task: Task, strength: float, seed: int = 0) -> Any:
    assert task.active is not None
    return task.active * strength + np.random.default_rng(seed).normal(0, 1, len(task))


def strict(text: str) -> Any:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=no_constant)


def fill(task: Task) -> None:
    """Two that are a tie, one at random, a copy, and three that do not fit."""
    best = signal(task, 2.5)
    add(task, "best", best)
    add(task, "copy", best, "targets")
    add(task, "nearly", best + signal(task, 0, 1) * 1e-3)
    add(task, HOSTILE, signal(task, 0, 2), "perturbation-labels")
    add(task, "two\nlines \x1b[31m", None)
    add(task, "wrong", None)
    Path("submissions/wrong/predictions.csv").write_text("id,active\n0,x\n", "utf-8")
    add(task, "unfilled", best, "TODO")


def test_text(run: Run, large: Task) -> None:
    fill(large)
    write_predictions("plain.csv", large, signal(large, 0, 3))
    code, out, err = run("plain.csv", "--wide")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == [
        "Local: someone/small (made up)",
        "average precision, mean over 60 treatments; 300 pairs; computed here",
    ]
    assert lines[3].split() == [
        "rank", "name", "supervision", "grade", "AP", "95%", "interval", "AUROC", "sent",
    ]  # fmt: skip
    rows = [re.split(r" {2,}", line) for line in lines[4:8]]
    assert [row[:4] for row in sorted(rows[:2], key=lambda row: row[1])] == [
        ["1", "best = copy", "zero-shot / targets", "computed here"],
        ["1", "nearly", "zero-shot", "computed here"],
    ]
    assert [row[:4] for row in sorted(rows[2:], key=lambda row: row[1])] == [
        ["3", HOSTILE, "perturbation-labels", "computed here"],
        ["3", "plain", "not stated", "computed here"],
    ]
    own = score(large, read_predictions(Path("submissions/best/predictions.csv"), large))
    ends = own.uncertainty().pr_auc.interval
    best = next(row for row in rows if row[1] == "best = copy")
    assert best[4:] == [
        f"{own.pr_auc:.4f}", f"{ends.low:.4f} to {ends.high:.4f}", f"{own.roc_auc:.4f}", "not sent",
    ]  # fmt: skip
    assert next(row for row in rows if row[1] == "plain")[-1] == "-"
    assert lines[8] == "" and lines[9].startswith("Rank  1 + how many rows are better by more than noise")
    assert "all 6 pairs of rows" in out and "Note  best = copy: the very same scores, so one row" in lines
    left = lines[lines.index("Left out of the local rows") :]
    assert left[1].startswith(r"  two\nlines \x1b[31m: submissions/two\nlines \x1b[31m/predictions.csv: no")
    assert any(
        line.startswith("  wrong: submissions/wrong/predictions.csv, line 2: active is") for line in left
    )
    assert any(line.startswith("  unfilled: submissions/unfilled/submission.toml: superv") for line in left)
    assert "\x1b" not in out
    heads = [line for line in lines if line.startswith(("Local: ", "Published: "))]
    assert [head.split(":")[1].strip() for head in heads] == [
        "someone/small (made up)",
        "arXiv 2503.20158, Table 4",
        "arXiv 2503.20158, Table 4",
        "arXiv 2503.20158, Table 6",
        "the public code's RxRx3-core notebook (recursionpharma/EFAAR_benchmarking), its printed output",
        "arXiv 2411.02572, Table 3",
        "arXiv 2506.06290",
        "arXiv 2509.19896",
    ]
    assert " ".join(lines[-2:]).endswith("rows of one block cannot be ranked against rows of another")


def test_published_figures_as_printed(run: Run) -> None:
    def line(words: str) -> bool:
        return re.search(f"^{words}$", out, re.M) is not None

    code, out, err = run("--published", "--wide")
    assert (code, err) == (0, "") and "Local" not in out and "rank " not in out
    assert line(r"average precision max +phenom-1 +zero-shot +author-reported +0\.290 +0\.017 sd +4\.35")
    assert line(r"energy distance +phenom-2 +zero-shot +author-reported +6\.636 +1\.330 MAD +4\.435")
    assert line(r"recall CORUM +CWA-MSN +perturbation-labels +transcribed, second-hand +0\.386")
    assert line(r"AUROC 0\.0025 +openphenom +zero-shot +transcribed +0\.517")
    mae = r"average precision +MAE-G/8 PP-16M \(trimmed\) +zero-shot +transcribed, second-hand"
    assert line(mae + r" +0\.309 +- +5\.38")


def test_json_holds_all_that_is_printed(run: Run, large: Task) -> None:
    fill(large)
    code, out, err = run("--json")
    document = strict(out)
    assert (code, err) == (0, "") and document["schema_version"] == 1
    text = run("--wide")[1].replace("\n", " ")
    rows = document["local"]["rows"]
    assert [row["rank"] for row in rows] == [1, 1, 3] and rows[2]["name"] == HOSTILE
    for row in rows:
        assert f"{row['value']:.4f}" in text and "{:.4f} to {:.4f}".format(*row["interval"]) in text
        assert f"{row['roc_auc']:.4f}" in text
    assert [left["name"] for left in document["left_out"]] == ["two\nlines \x1b[31m", "unfilled", "wrong"]
    assert {e["supervision"] for row in rows for e in row["entries"]} == {
        "zero-shot", "targets", "perturbation-labels",
    }  # fmt: skip
    assert {(c["first"], c["second"]) for c in document["local"]["comparisons"]} <= {
        (a["name"], b["name"]) for a in rows for b in rows
    }
    squeezed = re.sub(r"\s+", "", text)
    for block in document["published"]:
        assert re.sub(r"\s+", "", block["protocol"]) in squeezed and block["source"] in text
        assert not any("rank" in row for of in block["lists"] for row in of["rows"])
        for of in block["lists"]:
            assert all(f"{row['value']:.3f}" in text and row["supervision"] in text for row in of["rows"])
    assert re.sub(r"\s+", "", document["closing"]) in squeezed
    assert re.sub(r"\s+", "", document["local"]["rule"]) in squeezed


def test_the_other_metric_and_one_part(run: Run, large: Task) -> None:
    fill(large)
    document = strict(run("--json", "--metric", "roc_auc", "--local")[1])
    assert document["published"] == [] and document["local"]["metric"] == "roc_auc"
    rows = document["local"]["rows"]
    assert [row["value"] for row in rows] == [pytest.approx(row["roc_auc"]) for row in rows]
    out = run("--metric", "roc_auc", "--local", "--wide")[1]
    assert (
        "AUROC, mean over 60 treatments" in out and "Published" not in out and "cannot be ranked" not in out
    )
    assert re.search(r"grade +AUROC +95% interval +AP +sent$", out, re.M)


def test_without_local_rows_the_published_stand_alone(run: Run, large: Task, tmp_path: Path) -> None:
    nothing = "no local rows: submissions/ has no submission; polaris-rxrx submit --init NAME begins one"
    code, out, err = run()
    assert (code, err) == (0, "") and out.startswith("Published: ") and f"Note  {nothing}\n" in out
    assert strict(run("--json")[1])["notes"] == [nothing]
    Path("submissions").mkdir()
    assert strict(run("--json", "--submissions", "submissions")[1])["notes"] == [nothing]
    add(large, "empty", None)
    document = strict(run("--json")[1])
    assert document["notes"] == ["no local rows: none of 1 under submissions/ fits someone/small"]
    assert document["local"] is None and document["left_out"][0]["name"] == "empty"
    code, out, err = run("--local")
    assert (code, out) == (1, "")
    assert "fits someone/small:\n  empty: submissions/empty/predictions.csv: no such file\n" in err
    (tmp_path / "task" / "task.json").unlink()
    document = strict(run("--json")[1])
    assert document["notes"] == [
        "no local rows: no prepared task in task (there is no task/task.json); `polaris-rxrx prepare` writes "
        "it"
    ]


def test_submissions_are_where_submit_keeps_them(run: Run) -> None:
    found, out, _ = run("--help")
    assert found == 0 and re.search(rf"\[default:\s+{SUBMISSIONS}\]", out)


def test_one_row_and_a_named_task(run: Run, large: Task, tmp_path: Path) -> None:
    (tmp_path / "task").rename(tmp_path / "mine")
    add(large, "only", signal(large, 1), root="kept")
    code, out, _ = run("--task", "mine", "--submissions", "kept", "--local")
    assert code == 0 and re.search(r"^1 +only +zero-shot +computed here +0\.", out, re.M)
    assert out.endswith("\n\nNote  one row: rank 1 without a test\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--local"], 1, "no local rows: submissions/ has no submission; polaris-rxrx submit --init NAME"),
        (["--submissions", "gone"], 1, "gone: no such folder; polaris-rxrx submit --init NAME begins one"),
        (["--submissions", "file"], 1, "file is a file; a folder"),
        (["--task", "gone"], 1, "Try: polaris-rxrx prepare --out gone"),
        (["good.csv", "--task", "gone"], 1, "Try: polaris-rxrx prepare --out gone"),
        (["gone.csv"], 1, "gone.csv: no such file"),
        (["openphenom.csv"], 1, "Try: polaris-rxrx baseline openphenom"),
        (["file"], 1, "file: the header is "),
        (["folder"], 1, "folder/submission.toml: no such file"),
        (["--metric", "f1"], 2, "'f1' is not one of 'pr_auc', 'roc_auc'"),
        (["--local", "--published"], 2, "--local and --published exclude each other"),
        (["good.csv", "--published"], 2, "--published shows no local rows"),
    ],
)
def test_what_goes_wrong_is_told(
    run: Run, large: Task, arguments: list[str], code: int, message: str
) -> None:
    Path("file").write_text("no,predictions\n1,2\n", "utf-8")
    Path("folder").mkdir()
    write_predictions("good.csv", large, signal(large, 1))
    found, out, err = run(*arguments)
    assert (found, out) == (code, ""), err
    assert message in err and "Traceback" not in err


def test_a_missing_task_matters_once_it_was_asked_for(run: Run, task: Task) -> None:
    add(task, "mine", range(6))
    write_predictions("mine.csv", task, np.arange(6.0))
    assert run()[0] == 0
    for arguments in (["mine.csv"], ["--local"], ["--submissions", "submissions"]):
        code, out, err = run(*arguments)
        assert (code, out) == (1, "") and "Try: polaris-rxrx prepare" in err


def test_a_competition(run: Run, make_task: MakeTask) -> None:
    task = make_task(PAIRS, labels=False)
    Path("task").mkdir()
    task.save(Path("task"))
    add(task, "mine", range(6))
    code, out, _ = run()
    assert code == 0 and "Note  no local rows: someone/small is a competition, which only the Hub can" in out
    code, out, err = run("--local")
    assert (code, out) == (1, "") and "its labels stay on the Hub" in err
