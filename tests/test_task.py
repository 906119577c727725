"""The prepared folder: written and read back unchanged, and any change to it noticed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx import arrow
from polaris_rxrx.errors import DataError, MissingError, UsageError
from polaris_rxrx.files import sha256
from polaris_rxrx.tables import read_table
from polaris_rxrx.task import ANSWERS, FEATURES, MANIFEST, SAMPLE, TRAIN, MetricSpec, Task, load_task

MakeTask = Callable[..., Task]
FILES = (TRAIN, FEATURES, SAMPLE, ANSWERS)


def save(task: Task, folder: Path, **options: Any) -> Path:
    folder.mkdir(parents=True)
    task.save(folder, **options)
    return folder


def same(a: Task, b: Task) -> None:
    for name in ("inputs", "main_metric", "metrics", "artifact_id", "artifact_version", "source", "protocol"):
        assert getattr(a, name) == getattr(b, name), name
    if a.active is None or b.active is None:
        assert a.active is b.active
    else:
        np.testing.assert_array_equal(a.active, b.active)


# --- written and read back ---------------------------------------------------------------------------------


def test_round_trip(task: Task, tmp_path: Path) -> None:
    read = load_task(save(task, tmp_path / "t"))
    same(task, read)
    assert (len(read), read.name, read.folder) == (6, "someone/small", tmp_path / "t")
    assert read.train == {"treatment": [], "gene_symbol": [], "active": []}
    assert read.versions.keys() == {"polaris_rxrx"}


def test_round_trip_of_everything_odd(make_task: MakeTask, odd_task: Task, tmp_path: Path) -> None:
    pairs = list(
        zip(odd_task.treatment, odd_task.gene_symbol, [1.0, None, 0.0] * len(odd_task), strict=False)
    )
    more = {"concentration, uM": [str(i / 3) for i in range(len(pairs))]}
    odd = make_task(
        pairs,
        more=more,
        metrics=[
            MetricSpec(name="main", label="pr_auc", group_by="gene_symbol", aggregation="median"),
            MetricSpec(name="β", label="roc_auc", on_error="default", default=0.25, group_by="treatment"),
            MetricSpec(name="other", label="f1"),
        ],
        artifact_id=None,
        artifact_version=7,
        source='/a "path"/β.json',
        train={"treatment": ["x,\ny"], "gene_symbol": ["NA"], "concentration, uM": ["1"], "active": ["1"]},
        protocol={"seed": 3, "names": ["β", None]},
        versions={"polaris_lib": "0.13.0"},
    )
    smiles = ["C" * (i % 7) + '"N",' for i in range(len(odd))]
    folder = save(odd, tmp_path / "t", smiles=smiles)
    read = load_task(folder)
    same(odd, read)
    assert read.train == odd.train
    assert read.versions["polaris_lib"] == "0.13.0"
    features = read_table(folder / FEATURES).columns
    assert features["SMILES"] == smiles
    assert list(features) == ["id", "treatment", "gene_symbol", "concentration, uM", "SMILES"]


def test_a_large_folder_is_read_as_a_small_one(
    odd_task: Task, make_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow, "BIG", 0)
    plain = make_task([("A, B", "NA", 1), ('say "A"', "G", 0), ("C ", "β", None)])
    assert isinstance(read_table(save(plain, tmp_path / "plain") / FEATURES).columns, arrow.Columns)
    same(plain, load_task(tmp_path / "plain"))
    same(odd_task, load_task(save(odd_task, tmp_path / "odd")))


@pytest.mark.parametrize("size", [0, 1 << 60], ids=["by Arrow", "row by row"])
@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        (FEATURES, "\n1,", "\n01,", "the ids are not 0..1 in order"),
        (FEATURES, "\n1,", "\n2,", "the ids are not 0..1 in order"),
        (ANSWERS, "\n1,0", "\n1,0.0", "line 3: active is '0.0'; 1, 0 or nothing was expected"),
        (ANSWERS, "\n1,0", "\n1, ", "line 3: active is ' '; 1, 0 or nothing was expected"),
        (ANSWERS, "\n0,1", "\n,1", "the ids are not 0..1 in order"),
    ],
)
def test_what_prepare_does_not_write_is_told(
    make_task: MakeTask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    name: str,
    old: str,
    new: str,
    told: str,
) -> None:
    folder = save(make_task([("A", "G", 1), ("B", "G", 0)]), tmp_path / "t")
    before = sha256(folder / name)
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    manifest = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(manifest.replace(before, sha256(folder / name)))
    monkeypatch.setattr(arrow, "BIG", size)
    with pytest.raises(DataError, match=re.escape(told)):
        load_task(folder)


def test_what_the_files_hold(make_task: MakeTask, tmp_path: Path) -> None:
    folder = save(make_task([("A, B", "NA", 1), ("A, B", "G", 0), ("C", "G", None)]), tmp_path / "t")
    assert (folder / TRAIN).read_text() == "treatment,gene_symbol,active\n"
    assert (folder / FEATURES).read_text() == 'id,treatment,gene_symbol\n0,"A, B",NA\n1,"A, B",G\n2,C,G\n'
    assert (folder / SAMPLE).read_text() == "id,active\n0,0.0\n1,0.0\n2,0.0\n"
    assert (folder / ANSWERS).read_text() == "id,active\n0,1\n1,0\n2,\n"
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["files"] == {name: sha256(folder / name) for name in FILES}
    assert manifest["counts"] == {
        "pairs": 3,
        "treatments": 2,
        "genes": 2,
        "train": 0,
        "active": 1,
        "unlabelled": 1,
    }
    assert manifest["schema_version"] == 1 and manifest["artifact_type"] == "benchmark"


def test_saving_twice_gives_the_same_bytes(odd_task: Task, tmp_path: Path) -> None:
    smiles = ["C"] * len(odd_task)
    first, second = (save(odd_task, tmp_path / name, smiles=smiles) for name in "ab")
    again = save(load_task(first), tmp_path / "c", smiles=smiles)
    for name in (*FILES, MANIFEST):
        assert (first / name).read_bytes() == (second / name).read_bytes() == (again / name).read_bytes()


def test_a_competition_keeps_no_labels(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task([("A", "G", None), ("B", "G", None)], labels=False)
    folder = save(task, tmp_path / "t")
    assert not (folder / ANSWERS).exists()
    assert json.loads((folder / MANIFEST).read_text())["artifact_type"] == "competition"
    same(task, load_task(folder))


def test_lookups(make_task: MakeTask) -> None:
    task = make_task([("b", "G", 1), ("a", "G", 0), ("b", "H", 0), ("b", "G", 0)])
    codes, names = task.groups("treatment")
    assert (codes.tolist(), names) == ([1, 0, 1, 1], ["a", "b"])
    names.append("c")  # each caller's own
    again, same_names = task.groups("treatment")
    assert (again.tolist(), same_names) == ([1, 0, 1, 1], ["a", "b"])
    with pytest.raises(ValueError, match="read-only"):  # for all callers are the same
        codes[0] = 0
    assert task.by_key == {("b", "G"): 0, ("a", "G"): 1, ("b", "H"): 2}


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": {"treatment": ["A"]}}, "needs the inputs treatment and gene_symbol"),
        ({"inputs": {"treatment": ["A"], "gene_symbol": []}}, "differ in length"),
        ({"active": np.zeros(2)}, "differ in length"),
        ({"active": np.array([0.5])}, "labels of a task must be 1, 0 or NaN"),
        ({"active": np.array([np.inf])}, "labels of a task must be 1, 0 or NaN"),
        ({"main_metric": "f1"}, "main metric 'f1' is not one of"),
        ({"inputs": {"treatment": ["A"], "gene_symbol": ["G"], "id": ["9"]}}, "may not be called 'id'"),
        (
            {"inputs": {"treatment": ["A"], "gene_symbol": ["G"], "active": ["9"]}},
            "may not be called 'active'",
        ),
    ],
)
def test_a_task_that_makes_no_sense(changes: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {
        "inputs": {"treatment": ["A"], "gene_symbol": ["G"]},
        "active": np.array([1.0]),
        "main_metric": "pr_auc",
        "metrics": (MetricSpec(name="pr_auc", label="pr_auc"),),
    }
    Task(**fields)
    with pytest.raises(DataError, match=message):
        Task(**{**fields, **changes})


def test_smiles_do_not_replace_an_input(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task([("A", "G", 1)], more={"SMILES": ["C"]})
    with pytest.raises(UsageError, match="already; do without --smiles"):
        task.save(tmp_path, smiles=["N"])
    same(task, load_task(save(task, tmp_path / "t")))


@pytest.mark.parametrize("name", FILES)
def test_a_file_edited_after_prepare(prepared: Path, name: str) -> None:
    with (prepared / name).open("a") as handle:
        handle.write("\n")
    with pytest.raises(DataError) as raised:
        load_task(prepared)
    assert str(raised.value).startswith(f"{prepared / name} was changed after `prepare` (its SHA-256 is not")
    assert str(raised.value).endswith("Prepare it again with --force")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone(prepared: Path, name: str) -> None:
    (prepared / name).unlink()
    with pytest.raises(DataError) as raised:
        load_task(prepared)
    assert str(raised.value) == (
        f"{prepared / name} is missing from the prepared folder; prepare it again with --force"
    )


def without(*names: str) -> Callable[[dict[str, Any]], None]:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["files"] = {k: v for k, v in manifest["files"].items() if k not in names}

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda m: m.update(schema_version=2),
            "is not what `prepare` writes (schema_version: Input should be 1)",
        ),
        (lambda m: m.pop("metrics"), "is not what `prepare` writes (metrics: Field required)"),
        (lambda m: m["metrics"][0].update(aggregation="sum"), "(metrics.0.aggregation: Input should be"),
        (lambda m: m.update(main_metric="f1"), "the main metric 'f1' is not one of the task's metrics"),
        (lambda m: m.update(inputs=["treatment", "dose"]), "no column 'dose'; it has 'id', 'treatment'"),
        (without(ANSWERS), f"has no SHA-256 of {ANSWERS}; prepare the folder again with --force"),
        (without(*FILES), f"has no SHA-256 of {TRAIN}"),
    ],
)
def test_a_manifest_that_was_edited(
    prepared: Path, edit: Callable[[dict[str, Any]], None], message: str
) -> None:
    manifest = json.loads((prepared / MANIFEST).read_text())
    edit(manifest)
    (prepared / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(DataError) as raised:
        load_task(prepared)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"schema_version": 1', "Expecting ',' delimiter"),
        (b"[]", "Input should be a valid dictionary"),
        (b"\xff\xfe\x00", "codec can't decode"),
    ],
)
def test_a_manifest_that_is_broken(prepared: Path, raw: bytes, reason: str) -> None:
    (prepared / MANIFEST).write_bytes(raw)
    with pytest.raises(DataError) as raised:
        load_task(prepared)
    said = str(raised.value)
    assert said.startswith(f"{prepared / MANIFEST} is not what `prepare` writes (") and reason in said
    assert said.endswith("; prepare it again with --force")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (FEATURES, "id,treatment,gene_symbol\n1,A,G\n0,B,G\n", ": the ids are not 0..1 in order"),
        (ANSWERS, "id,active\n0,1\n1,0\n2,0.5\n", ", line 4: active is '0.5'; 1, 0 or nothing was expected"),
        (ANSWERS, "id,active\n0,1\n", "the columns of a task differ in length"),
    ],
)
def test_a_folder_with_hashes_that_fit_and_content_that_does_not(
    prepared: Path, name: str, text: str, message: str
) -> None:
    (prepared / name).write_text(text)
    manifest = json.loads((prepared / MANIFEST).read_text())
    manifest["files"][name] = sha256(prepared / name)
    (prepared / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(DataError) as raised:
        load_task(prepared)
    assert message in str(raised.value)


def test_no_task_names_the_command_that_makes_one(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for name in ("absent", "file"):
        with pytest.raises(MissingError, match="no prepared task in ") as raised:
            load_task(tmp_path / name)
        assert str(tmp_path / name / MANIFEST) in str(raised.value)
        assert raised.value.command == ("prepare", "--out", str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    assert len(load_task()) == 6
    shutil.rmtree(prepared)
    with pytest.raises(MissingError) as raised:
        load_task()
    assert raised.value.command == ("prepare",)
