"""What an export holds: names as they are, no label where it may be seen, all that a framework asks for."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.export.folder import FRAMEWORKS, MARKER, slug, write_export
from polaris_rxrx.tables import read_table
from polaris_rxrx.task import FEATURES, SAMPLE, TRAIN, MetricSpec, Task, load_task

MakeTask = Callable[..., Task]
PUBLIC, PRIVATE = "prepared/public", "prepared/private"


def export(task: Task, folder: Path, framework: str = "mle-bench") -> Path:
    folder.mkdir()
    write_export(task, framework, folder)
    return folder


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_file_and_its_hash(framework: str, prepared: Path, tmp_path: Path) -> None:
    folder = export(load_task(prepared), tmp_path / "export", framework)
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert names == {
        *(f"{PUBLIC}/{name}" for name in (TRAIN, FEATURES, SAMPLE, "description.md")),
        *(f"{PRIVATE}/answers.csv", "description.md", "grade.py", "prepare.py"),
        *("config.yaml", "leaderboard.csv", MARKER),
    }
    document = json.loads((folder / MARKER).read_text("utf-8"))
    assert document["files"] == {n: sha256((folder / n).read_bytes()).hexdigest() for n in names - {MARKER}}
    assert (document["framework"], document["task"]) == (framework, "someone/small")
    for name in (TRAIN, FEATURES, SAMPLE):
        assert (folder / PUBLIC / name).read_bytes() == (prepared / name).read_bytes()


def test_names_survive_and_labels_stay_private(odd_task: Task, tmp_path: Path) -> None:
    folder = export(odd_task, tmp_path / "export")
    answers = read_table(folder / PRIVATE / "answers.csv").columns
    for columns in (read_table(folder / PUBLIC / FEATURES).columns, answers):
        assert {name: columns[name] for name in odd_task.inputs} == odd_task.inputs
    assert list(read_table(folder / PUBLIC / FEATURES).columns) == ["id", "treatment", "gene_symbol"]
    assert odd_task.active is not None
    assert [float(a) for a in answers["active"]] == odd_task.active.tolist()
    assert answers["id"] == [str(i) for i in range(len(odd_task))]
    codes = dict(zip(answers["treatment"], answers["group"], strict=True))
    assert len(set(codes.values())) == len(codes) == len(set(odd_task.treatment))
    assert set(read_table(folder / PUBLIC / SAMPLE).columns["active"]) == {"0.0"}


def test_no_label_is_an_empty_cell(make_task: MakeTask, tmp_path: Path) -> None:
    folder = export(make_task([("A", "X", 1), ("A", "Y", None), ("A", "Z", 0)]), tmp_path / "export")
    assert read_table(folder / PRIVATE / "answers.csv").columns["active"] == ["1", "", "0"]


def test_training_pairs_are_there_if_there_are_any(task: Task, tmp_path: Path) -> None:
    none = export(task, tmp_path / "none")
    assert (none / PUBLIC / TRAIN).read_text() == "treatment,gene_symbol,active\n"
    assert "the header alone: the benchmark is zero-shot" in (none / "description.md").read_text("utf-8")
    train = {"treatment": ["a,b", "NA"], "gene_symbol": ["X", 'say "hi"'], "active": ["1", "0"]}
    some = export(replace(task, train=train), tmp_path / "some")
    assert read_table(some / PUBLIC / TRAIN).columns == train
    assert "`train.csv`: 2 labelled pairs." in (some / "description.md").read_text("utf-8")


def test_structures_go_along(task: Task, tmp_path: Path) -> None:
    folder = tmp_path / "task"
    folder.mkdir()
    task.save(folder, smiles=["C", "C", "C", "", "", "CC,C"])
    made = export(load_task(folder), tmp_path / "export")
    assert (made / PUBLIC / FEATURES).read_bytes() == (folder / FEATURES).read_bytes()
    assert "SMILES" in read_table(made / PUBLIC / FEATURES).columns


def test_an_input_called_group(make_task: MakeTask, tmp_path: Path) -> None:
    made = make_task([("A", "X", 1), ("A", "Y", 0)], more={"group": ["p", "q"]})
    folder = export(made, tmp_path / "export")
    columns = read_table(folder / PRIVATE / "answers.csv").columns
    assert columns["group"] == ["p", "q"] and columns["group_"] == ["0", "0"]
    assert "GROUP = 'group_'" in (folder / "grade.py").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "recursion/rxrx-compound-gene-activity-benchmark",
            "recursion-rxrx-compound-gene-activity-benchmark",
        ),
        ("Some One/v1.2: #β", "some-one-v1-2"),
        ("../..", "compound-gene-activity"),
        ("", "compound-gene-activity"),
    ],
)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_configuration(framework: str, name: str, expected: str, task: Task, tmp_path: Path) -> None:
    named = replace(task, artifact_id=name, source=name)
    assert slug(named) == expected
    folder = export(named, tmp_path / "export", framework)
    config: Any = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    manual = "manual/" if framework == "biomlbench" else ""
    tasks = "biomlbench.tasks.manual" if framework == "biomlbench" else "mlebench.competitions"
    assert config["id"] == manual + expected and config["name"] == name
    assert config["dataset"]["answers"] == f"{manual}{expected}/{PRIVATE}/answers.csv"
    assert config["dataset"]["sample_submission"] == f"{manual}{expected}/{PUBLIC}/{SAMPLE}"
    assert config["grader"]["grade_fn"] == f"{tasks}.{expected}.grade:grade"
    assert config["preparer"] == f"{tasks}.{expected}.prepare:prepare"
    assert config["description"] == f"{tasks.replace('.', '/')}/{expected}/description.md"


def test_prepare_puts_the_files_where_it_is_told(task: Task, tmp_path: Path) -> None:
    folder = export(task, tmp_path / "export")
    spec = importlib.util.spec_from_file_location("prepare", folder / "prepare.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.prepare(raw=tmp_path / "raw", public=tmp_path / "a" / "public", private=tmp_path / "a" / "private")
    copied = {str(p.relative_to(tmp_path / "a")): p.read_bytes() for p in (tmp_path / "a").rglob("*.*")}
    made = folder / "prepared"
    assert copied == {str(p.relative_to(made)): p.read_bytes() for p in made.rglob("*.*")}


def test_the_leaderboard_is_what_perfect_and_constant_predictions_score(task: Task, tmp_path: Path) -> None:
    folder = export(task, tmp_path / "export")
    with (folder / "leaderboard.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [float(r["score"]) for r in rows] == [1.0, pytest.approx((1 / 3 + 1 / 2) / 2)]


def test_the_description_tells_what_counts(make_task: MakeTask, tmp_path: Path) -> None:
    pooled = MetricSpec(name="auc", label="roc_auc")
    default = MetricSpec(name="ap", label="pr_auc", group_by="treatment", on_error="default", default=0.5)
    rows = [("A", "X", 1), ("A", "Y", 0), ("B", "X", 0)]
    texts = []
    for i, (spec, protocol) in enumerate([(pooled, {}), (default, {"made_up": True})]):
        made = make_task(rows, metrics=[spec], protocol=protocol)
        folder = export(made, tmp_path / str(i))
        texts.append((folder / "description.md").read_text("utf-8"))
        assert (folder / PUBLIC / "description.md").read_text("utf-8") == texts[-1]
    assert "\nAUROC, over all pairs; higher is better." in texts[0] and "synthetic" not in texts[0]
    assert "\nAverage precision, mean over treatment;" in texts[1]
    assert (
        "\nA treatment without a value counts as 0.5.\n" in texts[1]
        and "The labels are synthetic" in texts[1]
    )


def test_what_cannot_be_graded(make_task: MakeTask, task: Task, tmp_path: Path) -> None:
    rows = [("A", "X", 1), ("A", "Y", 1)]
    for made, message in (
        (
            make_task(rows, labels=False),
            "someone/small is a competition: its labels stay on the Hub, so there",
        ),
        (make_task(rows, metrics=[MetricSpec(name="mine", label="f1")]), "its main metric mine has no value"),
        (
            make_task(rows, metrics=[MetricSpec(name="roc_auc", label="roc_auc")]),
            "its main metric roc_auc has",
        ),
        (make_task([("A", "X", 0)]), "no treatment has an active pair"),
        (make_task([("A", "X", None)]), "no treatment has an active pair"),
    ):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        with pytest.raises(DataError) as caught:
            export(made, folder)
        assert message in str(caught.value)
        assert list(folder.iterdir()) == []
    with pytest.raises(UsageError, match="biomlbench or mle-bench was expected"):
        export(task, tmp_path / "other", "kaggle")
