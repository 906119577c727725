"""`polaris-rxrx audit` as a user meets it: what is printed, where, with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx import cli
from polaris_rxrx.cli import run
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.store import save_map
from polaris_rxrx.predictions import write_predictions
from polaris_rxrx.task import Task
from polaris_rxrx.wells.metadata import Perturbations
from tests.wells_factory import make_metadata

Capture = pytest.CaptureFixture[str]
MakeTask = Callable[..., Task]
GENES = ["BRCA1", "NA", "TP53", "TWIN", "<img src=x onerror=alert(1)>", "two\nlines"]
COMPOUNDS = ["aspirin", "TWIN", "Eugenol (no structure)", 'odd, "name" ä ', "Dactolisib (BEZ235"]


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.COMMANDS, "audit", "Look for shortcuts and leaked labels in predictions.")


@pytest.fixture
def made(make_task: MakeTask) -> Task:
    rng = np.random.default_rng(0)
    return make_task([(t, g, float(rng.random() < 0.4 or g == "NA")) for t in COMPOUNDS for g in GENES])


@pytest.fixture
def folder(made: Task, tmp_path: Path) -> Path:
    (tmp_path / "task").mkdir()
    made.save(tmp_path / "task")
    write_predictions(tmp_path / "p.csv", made, np.random.default_rng(1).normal(size=len(made)))
    return tmp_path


@pytest.fixture
def data(folder: Path) -> Path:
    (folder / "data").mkdir()
    make_metadata().to_csv(folder / "data" / "metadata_rxrx3_core.csv", index=False)
    return folder / "data"


def audit(folder: Path, *more: object, preds: str = "p.csv") -> int:
    arguments = ["audit", str(folder / preds), "--task", str(folder / "task"), "--resamples", "200"]
    return run([*arguments, *map(str, more)])


def test_text(folder: Path, data: Path, capsys: Capture) -> None:
    assert audit(folder, "--data", data) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines, flat = out.splitlines(), " ".join(out.split())
    assert lines[0] == f"{folder / 'p.csv'} on someone/small"
    assert lines[3].split()[:3] == ["AP", "95%", "interval"] and lines[4].startswith("this submission ")
    aps = [float(line[len("the submission, blind to the compound") :].split()[0]) for line in lines[5:15]]
    assert aps == sorted(aps, reverse=True) and len(aps) == 10
    assert "Chance (random scores): AP 0." in out
    assert "constant within a treatment" in flat and "below what random scores get" in flat
    assert "not computed: strength of the gene, strength of the compound (no --map given)" in flat
    for verdict in ("OK  ", "WARN  ", "NOT CHECKED  "):
        assert any(line.startswith(verdict) for line in lines)
    assert all(c.isprintable() or c == "\n" for c in out)


def test_json_is_strict_alone_and_holds_what_is_printed(folder: Path, data: Path, capsys: Capture) -> None:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    assert audit(folder, "--data", data, "--json") == 0
    out, err = capsys.readouterr()
    document = json.loads(out, parse_constant=no_constant)
    assert err == "" and document["schema_version"] == 1
    assert audit(folder, "--data", data, "--wide") == 0
    text = capsys.readouterr().out
    for s in document["shortcuts"]:
        row = next(line for line in text.splitlines() if line.startswith(f"{s['title']}  "))
        assert f"{s['pr_auc']:.4f}" in row and f"{s['difference']:+.4f}" in row
        assert s["knows"] in text and s["direction"] in text
    for c in document["checks"]:
        assert c["verdict"].upper() in text and c["words"].splitlines()[0][:100] in text
    assert {"gene-wells", "highest-dose", "shared-addresses"} <= {s["name"] for s in document["shortcuts"]}


def test_the_default_folder_may_be_empty_or_broken(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(folder / "nowhere"))
    assert audit(folder) == 0
    out, err = capsys.readouterr()
    assert (
        err == "" and "metadata_rxrx3_core.csv is not in" in out and "not computed: wells of the gene" in out
    )
    (folder / "nowhere").mkdir()
    (folder / "nowhere" / "metadata_rxrx3_core.csv").write_text("well_id,gene\n1,2\n")
    assert audit(folder, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    reasons = {s["name"]: s["reason"] for s in document["not_computed"]}
    assert "no column 'experiment_name'" in reasons["gene-wells"]


def test_a_folder_that_was_given_may_not(folder: Path, data: Path, capsys: Capture) -> None:
    assert audit(folder, "--data", folder / "nowhere") == 1
    out, err = capsys.readouterr()
    assert out == "" and "polaris-rxrx fetch metadata --data" in err
    assert audit(folder, "--nuclei", folder / "n.csv") == 1
    assert "--nuclei needs the wells" in capsys.readouterr().err
    (data / "metadata_rxrx3_core.csv").write_text("well_id,gene\n1,2\n")
    assert audit(folder, "--data", data) == 1
    out, err = capsys.readouterr()
    assert out == "" and "no column" in err and "Traceback" not in err


def test_map_nuclei_and_smiles(folder: Path, data: Path, capsys: Capture) -> None:
    rng = np.random.default_rng(0)
    names = [*COMPOUNDS[:2], *GENES[:4]]
    p = Perturbations(["COMPOUND"] * 2 + ["CRISPR"] * 4, names, np.r_[1.0, 1.0, [np.nan] * 4])
    save_map(
        Map(p, rng.normal(size=(6, 3)), np.ones(6, dtype=np.int64), {"align": "none"}), folder / "m.parquet"
    )
    wells = make_metadata()[["well_id"]]
    wells.assign(cells=1, n_cells=rng.integers(1, 99, len(wells))).to_csv(folder / "n.csv", index=False)
    (folder / "s.csv").write_text("treatment,SMILES\naspirin,CCO\nTWIN,OCC |c:1|\n")
    more = ["--data", data, "--map", folder / "m.parquet", "--nuclei", folder / "n.csv"]
    assert audit(folder, *more, "--smiles", folder / "s.csv", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["not_computed"] == []
    norm = next(s for s in document["shortcuts"] if s["name"] == "compound-norm")
    assert norm["filled"]["n_pairs"] == 3 * len(GENES)
    duplicates = next(c for c in document["checks"] if c["name"] == "duplicates")
    assert duplicates["evidence"]["identical"][0]["names"] == ["TWIN", "aspirin"]
    (folder / "n.csv").write_text("well_id,count\ngene-009_1_A01,7\n")
    assert audit(folder, *more) == 1
    assert "are not in" in capsys.readouterr().err


def test_strict_exits_with_1_after_the_result(folder: Path, made: Task, capsys: Capture) -> None:
    assert audit(folder, "--strict") == 0
    capsys.readouterr()
    write_predictions(folder / "flat.csv", made, np.zeros(len(made)))
    assert audit(folder, preds="flat.csv") == 0
    assert "FAIL " in capsys.readouterr().out
    assert audit(folder, "--strict", "--json", preds="flat.csv") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["failed"] == ["constant"]
    assert "flat.csv: 1 of 12 checks FAILED: constant" in err


def test_bad_input(folder: Path, make_task: MakeTask, capsys: Capture) -> None:
    assert audit(folder, preds="absent.csv") == 1
    assert "absent.csv: no such file" in capsys.readouterr().err
    assert audit(folder, "--level", "2") == 2
    assert audit(folder, "--map", folder / "p.csv") == 1
    assert "p.csv has no feature columns" in capsys.readouterr().err
    (folder / "some.csv").write_text("id,active\n0,1\n")
    assert audit(folder, preds="some.csv") == 1
    assert audit(folder, "--missing", "fill=0", preds="some.csv") == 0
    assert "29 absent pairs were scored 0" in capsys.readouterr().out
    (folder / "competition").mkdir()
    make_task([("A", "g", 1)], labels=False).save(folder / "competition")
    (folder / "one.csv").write_text("id,active\n0,1\n")
    assert run(["audit", str(folder / "one.csv"), "--task", str(folder / "competition")]) == 1
    assert "is a competition" in capsys.readouterr().err


def test_help_is_quick() -> None:
    code = (
        "import sys; from polaris_rxrx import cli; cli.COMMANDS['audit'] = ''; cli.run(['audit', '--help']); "
        "print(sorted({'numpy', 'pandas', 'pyarrow', 'rdkit', 'datamol'} & set(sys.modules)))"
    )
    done: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]" and "--nuclei FILE" in done.stdout
