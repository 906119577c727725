"""`polaris-rxrx verify` as a user meets it: what is printed, where, with which exit code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from polaris_rxrx.cli import run
from polaris_rxrx.predictions import read_predictions
from polaris_rxrx.scoring import score
from polaris_rxrx.submission.bundle import archive, write_bundle
from polaris_rxrx.task import Task, load_task

Capture = pytest.CaptureFixture[str]
PREDS = "id,active\n0,3\n1,2\n2,1\n3,0\n4,0\n5,0\n"


@pytest.fixture
def bundle(tmp_path: Path, prepared: Path) -> Path:
    return write(tmp_path / "my-model", prepared)


def write(folder: Path, prepared: Path) -> Path:
    folder.mkdir()
    (folder / "submission.toml").write_text(
        'name = "my-model"\nowner = "some-lab"\nsupervision = "zero-shot"\n'
    )
    (folder / "p.csv").write_text(PREDS)
    task = load_task(prepared)
    predictions = read_predictions(folder / "p.csv", task)
    report = score(task, predictions).to_dict() if task.active is not None else {"task": task.name}
    return write_bundle(
        folder,
        predictions=folder / "p.csv",
        card=folder / "submission.toml",
        report=report,
        task_folder=prepared,
        receipt=None,
    )


EXPECTED = """\
{bundle}

ok      files                    5 and SHA256SUMS
ok      sha256 environment.json
ok      sha256 p.csv
ok      sha256 report.json
ok      sha256 submission.toml
ok      sha256 task.json
ok      reads submission.toml
ok      reads task.json
ok      reads report.json
ok      reads environment.json
ok      predictions              p.csv
ok      task                     someone/small
ok      pairs                    6, each predicted once
ok      scores                   pr_auc = 0.750000, as reported
"""


def test_text(bundle: Path, prepared: Path, capsys: Capture) -> None:
    assert run(["verify", str(bundle), "--task", str(prepared)]) == 0
    out, err = capsys.readouterr()
    assert err == "" and out == EXPECTED.format(bundle=bundle)


@pytest.mark.parametrize("name", ["b.zip", "b.tar.gz"])
def test_an_archive(name: str, bundle: Path, prepared: Path, tmp_path: Path, capsys: Capture) -> None:
    out = archive(bundle, tmp_path / name)
    assert run(["verify", str(out), "--task", str(prepared)]) == 0
    assert capsys.readouterr().out == EXPECTED.format(bundle=out)


def test_what_fails_is_told_and_is_exit_code_1(bundle: Path, prepared: Path, capsys: Capture) -> None:
    (bundle / "p.csv").write_text(PREDS.replace("0,3", "0,-3"))
    assert run(["verify", str(bundle), "--task", str(prepared), "--wide"]) == 1
    out, err = capsys.readouterr()
    assert err == f"Error: {bundle}: 3 of 14 checks FAILED: sha256 p.csv, predictions, scores\n"
    failed = [line for line in out.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 3
    sums = [hashlib.sha256(text.encode()).hexdigest() for text in (PREDS.replace("0,3", "0,-3"), PREDS)]
    assert (
        failed[0] == f"FAILED  sha256 p.csv             its SHA-256 is {sums[0]}, SHA256SUMS says {sums[1]}"
    )
    assert "pr_auc is 0.75 in the bundle and 0.41666666666666663 scored again" in failed[2]


@pytest.mark.parametrize("broken", [False, True])
def test_json_is_alone_on_stdout(broken: bool, bundle: Path, prepared: Path, capsys: Capture) -> None:
    if broken:
        (bundle / "extra").touch()
    assert run(["verify", str(bundle), "--task", str(prepared), "--json"]) == broken
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["ok"], found["rescored"], found["schema_version"]) == (not broken, True, 1)
    assert found["checks"][0] == {
        "name": "files",
        "ok": not broken,
        "detail": "not listed: 'extra'" if broken else "5 and SHA256SUMS",
    }
    assert bool(err) == broken


def test_without_a_task_the_hashes_are_checked_and_prepare_is_named(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(["verify", str(bundle)]) == 1
    out, err = capsys.readouterr()
    assert "ok      sha256 p.csv\n" in out
    assert out.endswith("-       scores                   not scored again: no prepared task at hand\n")
    assert err == (
        f"Error: {bundle} was not scored again: no prepared task in task (there is no task/task.json)\n"
        "Try: polaris-rxrx prepare\n"
    )
    assert run(["verify", str(bundle), "--task", "nowhere"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "no prepared task in nowhere" in err


def test_the_task_may_lie_where_it_usually_does(
    bundle: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(prepared.parent)
    assert run(["verify", str(bundle)]) == 0
    monkeypatch.chdir(bundle)
    monkeypatch.setenv("POLARIS_RXRX_TASK", str(prepared))
    assert run(["verify", "."]) == 0
    assert capsys.readouterr().err == ""


def test_a_competition_says_that_it_cannot_be_scored_again(
    task: Task, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "task"
    folder.mkdir()
    hidden = Task(
        inputs=task.inputs,
        active=None,
        main_metric=task.main_metric,
        metrics=task.metrics,
        artifact_id="someone/competition",
    )
    hidden.save(folder)
    bundle = write(tmp_path / "my-model", folder)
    assert np.isfinite(read_predictions(bundle / "p.csv", hidden).values).all()
    assert run(["verify", str(bundle), "--task", str(folder)]) == 0
    assert "-       scores                   a competition: its labels stay on" in capsys.readouterr().out
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(["verify", str(bundle)]) == 0  # nothing that a prepared task would add is asked for
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "message"), [("none", "no such file"), ("task", "is no bundle (it holds no SHA256SUMS)")]
)
def test_what_is_no_bundle(name: str, message: str, prepared: Path, capsys: Capture) -> None:
    assert run(["verify", str(prepared.parent / name), "--task", str(prepared)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and message in err and "Traceback" not in err


def test_misuse(capsys: Capture) -> None:
    assert run(["verify", "a", "b"]) == 2
    assert "unexpected extra argument" in capsys.readouterr().err
