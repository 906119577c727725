"""Who is a row of the leaderboard, who is not and why, and what is said of being sent."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.leaderboard.board import local
from polaris_rxrx.leaderboard.gather import find, gather
from polaris_rxrx.predictions import read_predictions, write_predictions
from polaris_rxrx.scoring import score
from polaris_rxrx.submission.receipt import finish, hash_values, start
from polaris_rxrx.task import Task
from tests.conftest import PAIRS, MakeTask

HOSTILE = "<img src=x onerror=alert(1)>"
CARD = 'name = "my-model"\nowner = "some-lab"\nsupervision = "{}"\n'


def add(
    root: Path, name: str, task: Task, values: Sequence[float] | None, supervision: str = "zero-shot"
) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "submission.toml").write_text(CARD.format(supervision), "utf-8")
    if values is not None:
        write_predictions(folder / "predictions.csv", task, np.array(values, dtype=float))
    return folder


def test_folders_and_files(task: Task, tmp_path: Path) -> None:
    root = tmp_path / "submissions"
    add(root, HOSTILE, task, range(6))
    add(root, "mine", task, [5, 4, 3, 2, 1, 0], "targets")
    (root / "notes").mkdir()  # no card: not a submission
    plain = tmp_path / "mine.csv.gz"
    write_predictions(plain, task, np.zeros(6))
    beside = add(tmp_path / "elsewhere", "other", task, np.ones(6).tolist(), "perturbation-labels")
    (beside / "more.csv").write_bytes((beside / "predictions.csv").read_bytes())
    named = [
        plain,
        root / "mine" / "predictions.csv",  # there already
        plain,  # twice
        beside / "predictions.csv",
        beside,  # the same
        beside / "more.csv",  # not what the card names
    ]
    told: list[tuple[str, int, int]] = []
    fits, left_out, notes = gather(task, find(root), named, progress=lambda *of: told.append(of))
    assert (left_out, notes) == ([], [])
    assert told[0] == ("scoring", 0, 8) and told[-1] == ("scoring", 8, 8)
    assert [(e.name, e.supervision, e.sent) for e, _ in fits] == [
        (HOSTILE, "zero-shot", "not sent"),
        ("mine", "targets", "not sent"),
        (str(plain), None, None),  # mine is taken
        ("other", "perturbation-labels", "not sent"),
        ("more", None, None),
    ]
    assert fits[0][0].card == "my-model"
    for e, s in fits:
        again = score(task, read_predictions(Path(e.file), task))
        assert (s.pr_auc, e.sha256) == (again.pr_auc, again.predictions.sha256)


def test_names_that_are_taken(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(("a/p.csv", "b/p.csv", "p.csv")):
        Path(name).parent.mkdir(exist_ok=True)
        write_predictions(name, task, np.arange(6.0) + i)
    add(Path("submissions"), "p", task, range(6))
    add(Path("submissions"), "p.csv", task, range(6))
    names = [Path(n) for n in ("p.csv", "a/p.csv", "b/p.csv")]
    fits, _, _ = gather(task, find(Path("submissions")), names)
    assert [e.name for e, _ in fits] == ["p", "p.csv", "p.csv (2)", "a/p.csv", "b/p.csv"]


def test_what_does_not_fit_is_told_with_its_reason(task: Task, odd_task: Task, tmp_path: Path) -> None:
    root = tmp_path / "submissions"
    add(root, "fits", task, range(6))
    add(root, "empty", task, None)
    add(root, "other-task", odd_task, np.zeros(len(odd_task)).tolist())
    add(root, "unfilled", task, range(6), "TODO")
    (root / "folder" / "submission.toml").mkdir(parents=True)
    add(root, "nan", task, None)
    (root / "nan" / "predictions.csv").write_text("id,active\n0,nan\n", "utf-8")
    fits, left_out, _ = gather(task, find(root))
    assert [e.name for e, _ in fits] == ["fits"]
    reasons = {left.name: left.reason for left in left_out}
    assert list(reasons) == ["empty", "folder", "nan", "other-task", "unfilled"]
    assert reasons["empty"] == f"{root / 'empty' / 'predictions.csv'}: no such file"
    assert "submission.toml is a folder" in reasons["folder"]
    assert "line 2: active is 'nan'; a finite number was expected" in reasons["nan"]
    assert str(root / "other-task" / "predictions.csv") in reasons["other-task"]
    assert "supervision is 'TODO': not filled in yet" in reasons["unfilled"]
    assert all(str(root / left.name) in left.reason for left in left_out)
    for name in reasons:  # named, it is an error
        with pytest.raises(DataError):
            gather(task, (), [root / name])


def test_a_root_that_is_a_file_and_a_competition(task: Task, make_task: MakeTask, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file is a file; a folder"):
        find(tmp_path / "file")
    assert find(tmp_path / "nowhere") == []
    with pytest.raises(DataError, match="someone/small is a competition"):
        gather(make_task(PAIRS, labels=False))
    assert gather(task) == ([], [], [])


@pytest.fixture
def receipts(task: Task, tmp_path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    folder = add(tmp_path / "submissions", "mine", task, range(6))
    yield (
        folder,
        {
            "name": "my-model",
            "owner": "some-lab",
            "hub": "https://polarishub.io/",
            "kind": "v1",
            "task": task.name,
            "task_sha256": "a" * 64,
            "predictions_sha256": "b" * 64,
            "values_sha256": hash_values(np.arange(6.0)),
            "payload_sha256": "c" * 64,
        },
    )


def test_whether_it_was_sent(task: Task, receipts: tuple[Path, dict[str, Any]]) -> None:
    folder, fields = receipts

    def told() -> tuple[str | None, str | None]:
        ((found, _),), _, _ = gather(task, [folder])
        return found.sent, found.url

    def attempt(state: Any, url: str | None = None, **more: Any) -> None:
        finish(start(folder, **{**fields, **more})[0], state, url=url)

    assert told() == ("not sent", None)
    attempt("refused")
    attempt("sent", task="someone/else")
    assert told() == ("not sent", None)
    attempt("sent", values_sha256="d" * 64)
    assert told() == ("others sent", None)
    start(folder, **fields)  # pending
    assert told() == ("unknown", None)
    attempt("sent", "https://polarishub.io/benchmarks/x")
    attempt("refused")
    assert told() == ("sent", "https://polarishub.io/benchmarks/x")


def test_a_broken_receipt_is_a_note_and_the_row_stays(
    task: Task, receipts: tuple[Path, dict[str, Any]]
) -> None:
    folder, _ = receipts
    (folder / "receipts").mkdir()
    (folder / "receipts" / "x.json").write_text("{}")
    ((found, _),), left_out, notes = gather(task, [folder])
    assert (found.sent, left_out) == ("unknown", []) and "x.json is not a receipt" in notes[0]


@pytest.mark.skipif(os.name != "posix", reason="names that are not text")
def test_names_that_are_not_text(task: Task, tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff.csv"
    path = Path(os.fsdecode(raw))
    try:
        write_predictions(path, task, np.arange(6.0))
    except OSError:
        pytest.skip("the file system takes no such name")
    fits, _, _ = gather(task, (), [path])
    assert fits[0][0].name == "\\udcff"
    json.dumps(local(task, fits).to_dict(), ensure_ascii=False).encode()
