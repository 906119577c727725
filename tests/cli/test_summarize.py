"""A summary stands for its table: the same predictions and results, whatever made it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.cli import run
from polaris_rxrx.maps import collect as collecting

SUMMARY = "x.summary.parquet"
TABLE = "OpenPhenom_rxrx3_core_embeddings.parquet"


@pytest.fixture(scope="module")
def made(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's table as many files, `plates`, and their summary. For reading only."""
    folder = tmp_path_factory.mktemp("made")
    frame = pd.read_parquet(next(demo.rglob(TABLE)))
    (folder / "plates").mkdir()
    for i in range(12):
        frame.iloc[i::12].to_parquet(folder / "plates" / f"{i}.parquet", index=False)
    words = ["--data", str(demo / "data"), "--out", str(folder / SUMMARY)]
    assert run(["summarize", str(folder / "plates"), *words]) == 0
    return folder


@pytest.fixture
def folder(made: Path, at_demo: Path) -> Path:
    """A copy of `plates`, beside the demo's other files."""
    shutil.copytree(made / "plates", at_demo / "plates")
    return at_demo


def _scores(path: str) -> np.ndarray:
    return pd.read_csv(path).active.to_numpy()


def test_it_stands_for_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["baseline", "openphenom", "--out", "table.csv"]) == 0
    assert run(["summarize", "plates", "--out", "x.summary.parquet", "--workers", "2"]) == 0
    out, told = capsys.readouterr()
    assert "x.summary.parquet: " in out and "384 features" in out
    assert "12 files read as one table" in told
    assert not (folder / "x.summary.parquet.parts").exists()
    for aligner in ("pca-cs", "tvn", "center-scale"):
        for given, name in ((["--embeddings", "x.summary.parquet"], "summary.csv"), ([], "table.csv")):
            assert run(["baseline", "openphenom", "--align", aligner, *given, "--out", name]) == 0
        np.testing.assert_allclose(_scores("summary.csv"), _scores("table.csv"), atol=1e-8)
    capsys.readouterr()
    results = []
    for given in (["--embeddings", "x.summary.parquet"], ["--model", "openphenom"]):
        assert run(["evaluate", "gene-gene", *given, "--json"]) == 0
        results.append(json.loads(capsys.readouterr().out)["gene-gene"])
    assert results[0]["summary"] == results[1]["summary"]
    assert len(results[0]["protocol"]["inputs"]["summary_sha256"]) == 64
    assert results[0]["protocol"]["inputs"]["embeddings_sha256"]  # of the files it was made of
    assert run(["neighbors", "--embeddings", "x.summary.parquet", "--help"]) == 0


def test_what_does_not_fit_is_summarized(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from polaris_rxrx import limits

    assert run(["baseline", "openphenom", "--out", "table.csv"]) == 0
    assert (
        run(["baseline", "openphenom", "--out", "other.csv", "--workers", "2", "--embeddings", "plates"]) == 0
    )
    np.testing.assert_allclose(_scores("other.csv"), _scores("table.csv"), atol=1e-8)
    capsys.readouterr()
    assert run(["baseline", "openphenom", "--out", "no.csv", "--max-memory", "1MB"]) == 1
    assert "more --max-memory would do" in capsys.readouterr().err
    assert limits.in_use() > 0
    enough = str(limits.in_use() + 60_000_000)
    # What needs wells has them on disk.
    assert run(["evaluate", "signal", "--model", "openphenom", "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    assert run(["evaluate", "signal", "--model", "openphenom", "--json", "--max-memory", "1MB"]) == 0
    found, told = capsys.readouterr()
    assert "are kept on disk" in told
    assert {s: r["summary"] for s, r in json.loads(found).items()} == {
        s: r["summary"] for s, r in expected.items()
    }
    assert run(["baseline", "openphenom", "--out", "fits.csv", "--max-memory", enough]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metadata", "metadata.csv"], "--metadata means nothing for a summary"),
        (["--features", "f*"], "--features means nothing for a summary"),
        (["--workers", "2"], "--workers means nothing for a summary"),
        (["--sites", "median"], "--sites means nothing for a summary"),
        (["--aggregate", "median"], "a median needs the wells themselves"),
    ],
)
def test_options_that_a_summary_has_no_use_for(
    folder: Path, made: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "metadata.csv").write_text("well_id\n")
    shutil.copy(made / SUMMARY, SUMMARY)
    for command in (["baseline", "openphenom", "--out", "x.csv"], ["evaluate", "gene-gene"]):
        assert run([*command, "--embeddings", "x.summary.parquet", *words]) == 2
        assert message in capsys.readouterr().err


def test_what_needs_wells_says_so(folder: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(made / SUMMARY, SUMMARY)
    for suite in ("signal", "activity", "all"):
        assert run(["evaluate", suite, "--embeddings", "x.summary.parquet"]) == 2
        assert "needs wells, and x.summary.parquet is a summary" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plates", "--out", "x.csv"], "a summary is a parquet file"),
        (["plates", "--out", "x.parquet", "--max-memory", "lots"], "such as 500MB or 4GB was expected"),
        (["plates", "--out", "x.parquet", "--workers", "0"], "--workers"),
        (["plates", "--out", "plates/0.parquet"], "plates/0.parquet"),
    ],
)
def test_misuse(folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summarize", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(folder.glob("*.parts"))


def test_a_truncated_file_among_many(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "plates" / "7.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    assert run(["summarize", "plates", "--out", "x.summary.parquet"]) == 1
    assert "7.parquet" in capsys.readouterr().err
    assert not list(folder.glob("x.summary*"))


def test_a_killed_run_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys, time\n"
        "from polaris_rxrx.maps import collect, partial\n"
        "from polaris_rxrx.cli import run\n"
        "collect.JOB, slow = 1, partial.reduce_job\n"
        "collect.reduce_job = lambda job: (time.sleep(0.2), slow(job))[1]\n"
        "run(['summarize', 'plates', '--out', 'x.summary.parquet'])\n"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    parts = folder / "x.summary.parquet.parts"
    deadline = time.monotonic() + 60
    while len(list(parts.glob("*.npz"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    started.send_signal(signal.SIGKILL)
    started.wait()
    n = len(list(parts.glob("*.npz")))
    assert 3 <= n < 12 and not (folder / "x.summary.parquet").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collecting, "JOB", 1)
        assert run(["summarize", "plates", "--out", "x.summary.parquet", "--resume"]) == 0
    assert f"Going on with {n} finished parts" in capsys.readouterr().err
    assert not parts.exists()
    assert run(["baseline", "openphenom", "--out", "table.csv"]) == 0
    assert run(["baseline", "openphenom", "--out", "summary.csv", "--embeddings", "x.summary.parquet"]) == 0
    np.testing.assert_allclose(_scores("summary.csv"), _scores("table.csv"), atol=1e-8)


def test_parts_of_somebody_else_stay(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.parquet.parts").mkdir()
    (folder / "x.parquet.parts" / "mine").write_text("mine")
    assert run(["summarize", "plates", "--out", "x.parquet"]) == 2
    assert "holds no polaris-rxrx-parts.txt" in capsys.readouterr().err
    assert (folder / "x.parquet.parts" / "mine").read_text() == "mine"
    assert run(["summarize", "plates", "--out", "y.parquet", "--resume"]) == 0
    assert "nothing to go on with" in capsys.readouterr().err


@pytest.mark.usefixtures("dask_goes")
def test_a_scheduler_that_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from polaris_rxrx import cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "PATIENCE", 0.2)
        words = ["--scheduler", "tcp://127.0.0.1:1"]
        assert run(["summarize", "plates", "--out", "x.parquet", *words]) == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in capsys.readouterr().err
    assert not list(folder.glob("x.parquet*"))
