"""`polaris-rxrx export` as a user meets it, and what comes back from a framework scored by every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from polaris_rxrx.cli import run
from polaris_rxrx.task import Task
from tests.warm import Warm

Capture = pytest.CaptureFixture[str]
MakeTask = Callable[..., Task]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(capsys: Capture, *words: object, code: int) -> str:
    assert run(["export", *map(str, words)]) == code
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    return err


@pytest.mark.parametrize(
    ("framework", "name", "place"),
    [
        ("biomlbench", "manual/someone-small", "biomlbench/tasks/manual/someone-small"),
        ("mle-bench", "someone-small", "mlebench/competitions/someone-small"),
    ],
)
def test_what_is_told(
    framework: str, name: str, place: str, prepared: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "new" / "export"
    before = files(prepared)
    assert run(["export", framework, "--task", str(prepared), "--out", str(out)]) == 0
    told, err = capsys.readouterr()
    counts = "6 pairs of 3 treatments and 4 genes, 0 training rows"
    assert told == f"{out}: {counts}; {framework} knows it as {name}\n"
    assert err.startswith(f"Next: cp -r {out} {place}, ") and err.count("\n") == 1
    assert files(prepared) == before
    assert [p.name for p in out.parent.iterdir()] == ["export"]


def test_pairs_without_a_label_are_told(make_task: MakeTask, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "task").mkdir()
    make_task([("A", "X", 1), ("A", "Y", None)]).save(tmp_path / "task")
    words = ["--task", str(tmp_path / "task"), "--out", str(tmp_path / "export")]
    assert run(["export", "mle-bench", *words]) == 0
    assert capsys.readouterr().err.startswith("1 pairs have no label: they are asked for, and do not count\n")


def test_only_an_export_is_replaced_and_only_with_force(
    prepared: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "export"
    words = ["--task", prepared, "--out", out]
    assert run(["export", "mle-bench", *map(str, words)]) == 0
    (out / "grade.py").write_text("mine")
    capsys.readouterr()
    assert "is there already; choose another folder or replace it with --force" in refused(
        capsys, "biomlbench", *words, code=2
    )
    assert (out / "grade.py").read_text() == "mine"
    assert run(["export", "biomlbench", *map(str, words), "--force"]) == 0
    assert "biomlbench" in (out / "grade.py").read_text()
    capsys.readouterr()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    err = refused(capsys, "mle-bench", "--task", prepared, "--out", other, "--force", code=2)
    assert "is not empty and holds no export.json" in err
    assert files(other) == {"thesis.txt": b"years of work"}
    err = refused(capsys, "mle-bench", "--task", prepared, "--out", other / "thesis.txt", code=2)
    assert "is a file; a folder was expected" in err


def test_the_prepared_folder_stays(prepared: Path, tmp_path: Path, capsys: Capture) -> None:
    """Even in an export that may be replaced, and by another name."""
    (tmp_path / "export.json").write_text("{}")
    (tmp_path / "link").symlink_to(prepared)
    before = files(tmp_path)
    for task, out in ((prepared, prepared), (prepared, tmp_path), (tmp_path / "link", prepared)):
        err = refused(capsys, "mle-bench", "--task", task, "--out", out, "--force", code=2)
        assert "would be written over" in err and f"{task}" in err
    assert files(tmp_path) == before


def test_what_goes_wrong_leaves_nothing(make_task: MakeTask, tmp_path: Path, capsys: Capture) -> None:
    task, out = tmp_path / "task", tmp_path / "export"
    err = refused(capsys, "mle-bench", "--task", task, "--out", out, code=1)
    assert f"Try: polaris-rxrx prepare --out {task}\n" in err
    task.mkdir()
    make_task([("A", "X", None)], labels=False).save(task)
    err = refused(capsys, "mle-bench", "--task", task, "--out", out, code=1)
    assert err == (
        "Error: someone/small is a competition: its labels stay on the Hub, so there are no answers to "
        "grade with\n"
    )
    assert "'kaggle' is not one of" in refused(capsys, "kaggle", "--task", task, "--out", out, code=2)
    assert "Missing option '--out'" in refused(capsys, "mle-bench", "--task", task, code=2)
    assert [p.name for p in tmp_path.iterdir()] == ["task"]


# The script that is the first word, as Python runs it; the libraries are imported already.
SCRIPT = "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"


def test_what_a_framework_hands_in_scores_as_it_does_there(
    demo: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, lukewarm: Warm
) -> None:
    """grade.py in a process of its own, and `score`, on the same files: one number, every digit of it."""
    task, out = str(demo / "task"), tmp_path / "export"
    assert run(["export", "biomlbench", "--task", task, "--out", str(out)]) == 0
    official = demo / "openphenom.csv"
    table = pd.read_csv(official, dtype=str, keep_default_na=False)
    handed_in = tmp_path / "submission.csv"
    table[["id", "active"]].to_csv(handed_in, index=False)
    shuffled = tmp_path / "shuffled.csv"
    table[["active", "id"]].sample(frac=1, random_state=1).to_csv(shuffled, index=False)
    sample = out / "prepared" / "public" / "sample_submission.csv"
    found = {}
    monkeypatch.chdir(tmp_path)
    for path in (official, handed_in, shuffled, sample):
        capsys.readouterr()
        assert run(["score", str(path), "--task", task, "--json", "--resamples", "100"]) == 0
        told, err = capsys.readouterr()
        found[path] = json.loads(told)["main_value"]
        assert ("matched by id alone" in err) == (path != official)
        process = lukewarm.start(SCRIPT, [str(out / "grade.py"), str(path)], apart=True)
        printed, astray = process.communicate()
        assert process.returncode == 0, astray
        assert printed == f"{found[path]!r}\n"
    assert found[official] == found[handed_in] == found[shuffled] != found[sample]
    compared = []
    for path in (official, shuffled):
        words = ["compare", str(path), str(demo / "random.csv"), "--task", task, "--resamples", "100"]
        assert run([*words, "--json"]) == 0
        (comparison,) = json.loads(capsys.readouterr().out)["comparisons"]
        compared.append({k: v for k, v in comparison.items() if k != "first"})
    assert compared[0] == compared[1]
