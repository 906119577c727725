"""`polaris-rxrx prepare`: from an affinity table and from a saved benchmark (the Hub: tests/hub)."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.cli import run
from polaris_rxrx.dataset.sandbox import write_sandbox
from polaris_rxrx.predictions import read_predictions
from polaris_rxrx.scoring import score
from polaris_rxrx.task import load_task
from tests.warm import Warm

FILES = ["train.csv", "test_features.csv", "sample_submission.csv", "private/answers.csv", "task.json"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_sandbox(folder)
    return folder


@pytest.fixture(scope="module")
def table(data: Path) -> str:
    return str(data / "compound_gene_interactions.csv")


@pytest.fixture(scope="module")
def prepared(table: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "task"
    assert run(["prepare", "--annotations", table, "--seed", "0", "--out", str(out)]) == 0
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_the_folder_holds_the_contract(prepared: Path) -> None:
    assert all((prepared / name).is_file() for name in FILES)
    features, answers = rows(prepared / "test_features.csv"), rows(prepared / "private/answers.csv")
    sample = rows(prepared / "sample_submission.csv")
    assert list(features[0]) == ["id", "treatment", "gene_symbol"]
    assert list(sample[0]) == list(answers[0]) == ["id", "active"]
    ids = [str(i) for i in range(len(features))]
    assert [r["id"] for r in features] == [r["id"] for r in sample] == [r["id"] for r in answers] == ids
    assert {r["active"] for r in answers} == {"0", "1"}
    assert (prepared / "train.csv").read_text() == "treatment,gene_symbol,active\n"
    assert not list(prepared.parent.glob(".*tmp"))


def test_no_label_outside_private(prepared: Path) -> None:
    assert {r["active"] for r in rows(prepared / "sample_submission.csv")} == {"0.0"}
    text = (prepared / "task.json").read_text() + (prepared / "test_features.csv").read_text()
    assert '"answers"' not in text
    assert "active" not in (prepared / "test_features.csv").read_text().splitlines()[0]


def test_the_order_of_rows_says_nothing_of_labels(prepared: Path) -> None:
    keys = [(r["treatment"], r["gene_symbol"]) for r in rows(prepared / "test_features.csv")]
    assert keys == sorted(keys)


def test_the_artifact_is_a_genuine_one_and_agrees_with_ours(prepared: Path) -> None:
    """The client's own loader opens it; its evaluate, scikit-learn's loop and ours give the same score."""
    import polaris
    from sklearn.metrics import average_precision_score, roc_auc_score

    task = load_task(prepared)
    values = np.random.default_rng(0).integers(0, 50, len(task)) / 50  # with ties
    benchmark = polaris.load_benchmark(str(prepared / "polaris" / "benchmark.json"))
    client = {r["Metric"]: r["Score"] for _, r in benchmark.evaluate(y_prob=values).results.iterrows()}
    ours = score(task, read_predictions(_frame(values), task))
    by_hand: dict[str, list[float]] = {"pr_auc": [], "roc_auc": []}
    assert task.active is not None
    for name in sorted(set(task.treatment)):
        here = np.array([t == name for t in task.treatment])
        by_hand["pr_auc"].append(average_precision_score(task.active[here], values[here]))
        by_hand["roc_auc"].append(roc_auc_score(task.active[here], values[here]))
    assert set(client) == {"pr_auc", "roc_auc"}
    for name, value in (("pr_auc", ours.pr_auc), ("roc_auc", ours.roc_auc)):
        assert abs(value - client[name]) < 1e-12
        assert abs(value - np.mean(by_hand[name])) < 1e-12


def _frame(values: np.ndarray) -> object:
    import pandas as pd

    return pd.DataFrame({"id": np.arange(len(values)), "active": values})


def test_score_official_shows_both(
    prepared: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    preds = str(tmp_path / "random.csv")
    assert run(["baseline", "random", "--task", str(prepared), "--out", preds]) == 0
    capsys.readouterr()
    assert run(["score", preds, "--task", str(prepared), "--official", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["client"].keys() == {"pr_auc", "roc_auc"}
    for name in report["client"]:
        assert abs(report["client"][name] - report[name]) < 1e-12


def test_a_saved_benchmark_gives_the_same_files(prepared: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert run(["prepare", str(prepared / "polaris" / "benchmark.json"), "--out", str(again)]) == 0
    for name in FILES[:-1]:
        assert (again / name).read_bytes() == (prepared / name).read_bytes()


def test_the_same_seed_gives_the_same_bytes_elsewhere(
    prepared: Path, table: str, tmp_path: Path, warm: Warm
) -> None:
    """In a process whose hash seed is not this one's."""
    out = tmp_path / "task"
    code = "print(hash('polaris'), flush=True); from polaris_rxrx.cli import main; main()"
    process = warm.start(code, ["prepare", "--annotations", table, "--out", str(out)], apart=True)
    told, err = process.communicate()
    assert process.returncode == 0, err
    assert int(told.splitlines()[0]) != hash("polaris")
    theirs, ours = files(out), files(prepared)
    assert theirs.keys() == ours.keys()
    assert [n for n in FILES if theirs[n] != ours[n]] == []


def test_another_seed_draws_other_negatives(prepared: Path, table: str, tmp_path: Path) -> None:
    out = tmp_path / "task"
    assert run(["prepare", "--annotations", table, "--seed", "1", "--out", str(out)]) == 0

    def split(folder: Path) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
        task = load_task(folder)
        assert task.active is not None
        pairs = list(zip(task.treatment, task.gene_symbol, strict=True))
        return (
            {p for p, a in zip(pairs, task.active, strict=True) if a == 1},
            {p for p, a in zip(pairs, task.active, strict=True) if a == 0},
        )

    (active_0, inactive_0), (active_1, inactive_1) = split(prepared), split(out)
    assert active_0 == active_1
    assert inactive_0 != inactive_1


def test_smiles_are_standardised_and_what_is_blank_is_counted(
    data: Path, table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import datamol as dm

    out = tmp_path / "task"
    words = ["prepare", "--annotations", table, "--out", str(out), "--smiles", "--data", str(data)]
    assert run(words) == 0
    found = {r["treatment"]: r["SMILES"] for r in rows(out / "test_features.csv")}
    blank = {name for name, smiles in found.items() if not smiles}
    assert blank and len(blank) < len(found) / 2
    assert f"{len(blank)} compounds have no SMILES" in capsys.readouterr().err
    for smiles in filter(None, found.values()):
        assert "|" not in smiles
        assert dm.to_smiles(dm.standardize_mol(dm.to_mol(smiles))) == smiles
    load_task(out)


def test_smiles_without_metadata_name_the_command(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    words = [
        "prepare",
        "--annotations",
        table,
        "--out",
        str(tmp_path / "t"),
        "--smiles",
        "--data",
        str(empty),
    ]
    assert run(words) == 1
    assert "polaris-rxrx fetch metadata" in capsys.readouterr().err
    assert not (tmp_path / "t").exists()


def test_a_prepared_folder_is_replaced_only_with_force(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "task"
    assert run(["prepare", "--annotations", table, "--out", str(out)]) == 0
    before = files(out)
    assert run(["prepare", "--annotations", table, "--seed", "3", "--out", str(out)]) == 2
    assert "--force" in capsys.readouterr().err
    assert files(out) == before
    assert run(["prepare", "--annotations", table, "--seed", "3", "--out", str(out), "--force"]) == 0
    assert files(out)["private/answers.csv"] != before["private/answers.csv"]
    assert [p.name for p in tmp_path.iterdir()] == ["task"]


def test_force_does_not_replace_a_folder_of_someone_elses(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert run(["prepare", "--annotations", table, "--out", str(tmp_path), "--force"]) == 2
    assert "holds no task.json" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene_symbol,treatment\nA,B\n", "no column 'nM_value'"),
        ("gene_symbol,nM_value,treatment\nA,much,B\n", "line 2: nM_value is 'much'"),
        ("gene_symbol,nM_value,treatment\nA,-1,B\n", "line 2: nM_value is '-1'"),
        ("gene_symbol,nM_value,treatment\nA,nan,B\n", "line 2: nM_value is 'nan'"),
        ("gene_symbol,nM_value,treatment\n,5,B\n", "line 2: gene_symbol and treatment must not be empty"),
        ("gene_symbol,nM_value,treatment\n", "holds no affinities"),
        ("gene_symbol,nM_value,treatment\nA,5000,B\n", "no affinity is 1,000 nM or less"),
        ("", "is empty"),
    ],
)
def test_bad_tables(text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "table.csv").write_text(text)
    words = ["prepare", "--annotations", str(tmp_path / "table.csv"), "--out", str(tmp_path / "task")]
    assert run(words) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert str(tmp_path / "table.csv") in captured.err
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_leaves_nothing(table: str, tmp_path: Path, signal_: signal.Signals) -> None:
    out = tmp_path / "task"
    command = [sys.executable, "-m", "polaris_rxrx", "prepare", "--annotations", table, "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".task.*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)  # in the middle of importing the client
    process.send_signal(signal_)
    _, err = process.communicate(timeout=30)
    # So, or as by an interrupt: CPython ends so if an extension module was being imported.
    assert process.returncode in (128 + signal_, -signal.SIGINT)
    assert "Interrupted" in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_the_real_table_gives_the_papers_size(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "task"
    annotations = str(shared_data / "compound_gene_interactions.csv")
    assert run(["prepare", "--annotations", annotations, "--seed", "0", "--out", str(out)]) == 0
    assert "11,300 pairs of 487 treatments" in capsys.readouterr().out
    preds = str(tmp_path / "random.csv")
    assert run(["baseline", "random", "--task", str(out), "--out", preds]) == 0
    capsys.readouterr()
    assert run(["score", preds, "--task", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n_treatments"] == 487 and report["n_pairs"] == 11_300
    assert report["left_out"] == []


@pytest.mark.slow
def test_the_client_agrees_on_the_real_table(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On every fourth of its compounds: the client's time grows with the square of the rows.

    `CLIENT_ROWS=all` asks for the whole table.
    """
    out, preds = tmp_path / "task", str(tmp_path / "random.csv")
    table = pd.read_csv(shared_data / "compound_gene_interactions.csv", dtype=str, keep_default_na=False)
    compounds = sorted(set(table["treatment"]))
    kept = compounds if os.environ.get("CLIENT_ROWS") == "all" else compounds[::4]
    assert len(kept) > 100
    annotations = str(tmp_path / "annotations.csv")
    table[table["treatment"].isin(kept)].to_csv(annotations, index=False)
    assert run(["prepare", "--annotations", annotations, "--out", str(out)]) == 0
    assert run(["baseline", "random", "--task", str(out), "--out", preds]) == 0
    capsys.readouterr()
    assert run(["score", preds, "--task", str(out), "--official", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    for name in ("pr_auc", "roc_auc"):
        assert abs(report["client"][name] - report[name]) < 1e-12
