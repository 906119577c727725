"""`polaris-rxrx score` as a user meets it: what is printed, where, with which exit code, at what cost.

That every broken predictions file is refused here too is tested in `tests/test_predictions.py`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx.cli import COMMANDS, run
from polaris_rxrx.predictions import write_predictions
from polaris_rxrx.task import ANSWERS, FEATURES, MANIFEST, SAMPLE, TRAIN, MetricSpec, Task

Capture = pytest.CaptureFixture[str]
GOOD = "id,active\n0,3\n1,2\n2,1\n3,0\n4,0\n5,0\n"


def by_id(path: Path, last: int = 5) -> str:
    """What is told of a file that names no pair."""
    return f"{path}: rows were matched by id alone, the place of a pair in test_features.csv (0 to {last})\n"


@pytest.fixture
def preds(tmp_path: Path) -> Path:
    path = tmp_path / "preds.csv"
    path.write_text(GOOD)
    return path


def refused(capsys: Capture, *arguments: object, code: int = 1) -> str:
    """What a command that must fail says; nothing may stand on stdout."""
    assert run([str(a) for a in arguments]) == code
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    return err


def test_text(prepared: Path, preds: Path, capsys: Capture) -> None:
    assert run(["score", str(preds), "--task", str(prepared)]) == 0
    out, err = capsys.readouterr()
    assert err == by_id(preds)
    assert (
        out
        == f"""\
{preds} on someone/small

                       mean      95% interval    median  chance  normalized       p  treatments
average precision  0.750000  0.5000 to 1.0000  0.750000  0.6806      0.0000  0.3331           2
AUROC              0.750000  0.5000 to 1.0000  0.750000  0.5000      0.5000  0.3331           2

Main metric   pr_auc = 0.750000
Above chance  0.0694, of which 0.0694 is left without each gene's places in other treatments: about
              the compound
Scored        6 pairs of 3 treatments
Interval      BCa bootstrap over treatments, stretched to the variance over treatments and genes,
              10,000 resamples, seed 0
Chance        what random scores expect (exact); normalized: 0 is chance, 1 is perfect
p             of a random order within each treatment doing as well, genes shared between treatments
              allowed for
Left out      1 treatment:
              Eugenol (no structure): no active pair (pr_auc, roc_auc)
Note          pr_auc is undefined for 1 of the groups by treatment; the client leaves them out, and
              so does this
Note          roc_auc is undefined for 1 of the groups by treatment; they are left out here. The
              client prints nan with scikit-learn 1.6 or later, and follows on_error=ignore with 1.5
"""
    )


def test_where_names_are_given_nothing_is_told(
    prepared: Path, task: Task, preds: Path, capsys: Capture
) -> None:
    write_predictions(preds, task, np.arange(6.0))
    assert run(["score", str(preds), "--task", str(prepared), "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and json.loads(out)["matched_by"] == ["id", "treatment", "gene_symbol"]


def test_json_is_strict_and_alone_on_stdout(prepared: Path, preds: Path, capsys: Capture) -> None:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    assert run(["score", str(preds), "--task", str(prepared), "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out, parse_constant=no_constant)
    assert err == by_id(preds)
    assert report["schema_version"] == 1 and report["matched_by"] == ["id"]
    assert report["predictions_sha256"] == hashlib.sha256(GOOD.encode()).hexdigest()
    assert (report["pr_auc"], report["n_scored_pr_auc"], report["n_pairs"]) == (0.75, 2, 6)
    assert [g["treatment"] for g in report["left_out"]] == ["Eugenol (no structure)"]


def test_long_lists_are_cut_in_text_and_whole_in_json(
    make_task: Callable[..., Task], tmp_path: Path, capsys: Capture
) -> None:
    task = make_task([("A", "G", 1), ("A", "H", 0), *((f"none {i:02}", "G", 0) for i in range(13))])
    task.save(tmp_path)
    preds = tmp_path / "preds.csv"
    preds.write_text("id,active\n" + "".join(f"{i},{-i}\n" for i in range(15)))
    arguments = ["score", str(preds), "--task", str(tmp_path)]
    assert run(arguments) == 0
    out = capsys.readouterr().out
    assert "Left out      13 treatments:" in out and "none 09" in out and "none 10" not in out
    assert "              and 3 more; --wide shows all\n" in out
    assert run([*arguments, "--wide"]) == 0
    assert "none 12" in capsys.readouterr().out
    assert run([*arguments, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["left_out"]) == 13


def test_an_undefined_main_metric(make_task: Callable[..., Task], tmp_path: Path, capsys: Capture) -> None:
    make_task([("A", "G", 1)], metrics=[MetricSpec(name="mine", label="f1")]).save(tmp_path)
    (tmp_path / "p.csv").write_text("id,active\n0,1\n")
    arguments = ["score", str(tmp_path / "p.csv"), "--task", str(tmp_path)]
    assert run(arguments) == 0
    out = capsys.readouterr().out
    assert "Main metric  mine = undefined\n" in out
    assert "Note         mine is not computed here; `score --official` asks the client for it" in out
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["main_value"] is None


# --- options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "score", "shown"), [("fill=0", 0.0, "0"), ("fill=-1.5e3", -1500.0, "-1500")]
)
def test_filling_is_printed_and_recorded(
    prepared: Path, preds: Path, capsys: Capture, option: str, score: float, shown: str
) -> None:
    preds.write_text("id,active\n0,3\n4,1\n")
    arguments = ["score", str(preds), "--task", str(prepared), "--missing", option]
    assert run(arguments) == 0
    assert f"Note          4 absent pairs were scored {shown}\n" in capsys.readouterr().out
    assert run([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["filled"] == {"n_pairs": 4, "score": score}
    assert f"4 absent pairs were scored {shown}" in report["notes"]


def test_nothing_is_said_of_filling_where_nothing_is_absent(
    prepared: Path, preds: Path, capsys: Capture
) -> None:
    assert run(["score", str(preds), "--task", str(prepared), "--missing", "fill=0", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["filled"] == {"n_pairs": 0, "score": None}
    assert not any("absent" in note for note in report["notes"])


@pytest.mark.parametrize("option", ["0", "fill", "fill=", "fill=nan", "fill=inf", "fill=x", "skip", "fill 0"])
def test_filling_must_be_spelled_out(prepared: Path, preds: Path, capsys: Capture, option: str) -> None:
    err = refused(capsys, "score", preds, "--task", prepared, "--json", "--missing", option, code=2)
    assert f"{option!r}: expected fill= and a finite number, as in fill=0" in err


def test_per_treatment(prepared: Path, preds: Path, tmp_path: Path, capsys: Capture) -> None:
    out_file = tmp_path / "sub" / "each.csv"
    arguments = ["score", str(preds), "--task", str(prepared), "--json", "--per-treatment", str(out_file)]
    for _ in range(2):  # written over the second time
        assert run(arguments) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["pr_auc"] == 0.75
        assert err == by_id(preds) + f"Wrote {out_file}\n"
        with out_file.open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        assert rows == [
            dict(zip(rows[0], values, strict=True))
            for values in (
                ("ABT-199", "3", "1", "1.0", "1.0", "0.611111111111111", "1.0"),
                ("Dactolisib (BEZ235", "2", "1", "0.5", "0.5", "0.75", "-1.0"),
                ("Eugenol (no structure)", "1", "0", "", "", "", ""),
            )
        ]
        assert list(rows[0]) == [
            *("treatment", "n_pairs", "n_active", "average_precision", "auroc"),
            *("chance_average_precision", "normalised_average_precision"),
        ]
    assert list(out_file.parent.iterdir()) == [out_file]


def test_per_treatment_onto_a_folder(prepared: Path, preds: Path, tmp_path: Path, capsys: Capture) -> None:
    err = refused(capsys, "score", preds, "--task", prepared, "--per-treatment", tmp_path, code=2)
    assert err == by_id(preds) + f"Error: {tmp_path} is a folder; a file name was expected\n"


@pytest.mark.parametrize(
    "arguments", [["score"], ["score", "a", "b"], ["score", "a", "--no-such"], ["score", "a", "--missing"]]
)
def test_misuse(capsys: Capture, arguments: list[str]) -> None:
    assert refused(capsys, *arguments, code=2) != ""


# --- the task ----------------------------------------------------------------------------------------------


def test_the_task_is_found_where_it_is_said_to_be(
    prepared: Path, preds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["score", "preds.csv"]) == 0  # task/ in the working directory
    monkeypatch.chdir("/")
    monkeypatch.setenv("POLARIS_RXRX_TASK", str(prepared))
    assert run(["score", str(preds)]) == 0
    capsys.readouterr()
    monkeypatch.setenv("POLARIS_RXRX_TASK", str(tmp_path / "absent"))
    assert "no prepared task in" in refused(capsys, "score", preds, "--json")
    assert run(["score", str(preds), "--task", str(prepared)]) == 0


def test_no_task_names_prepare(
    preds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, "score", preds, "--json") == (
        "Error: no prepared task in task (there is no task/task.json)\nTry: polaris-rxrx prepare\n"
    )
    assert refused(capsys, "score", preds, "--json", "--task", "my task").endswith(
        "Try: polaris-rxrx prepare --out 'my task'\n"
    )


@pytest.mark.parametrize("name", [TRAIN, FEATURES, SAMPLE, ANSWERS])
def test_a_task_edited_after_prepare(prepared: Path, preds: Path, capsys: Capture, name: str) -> None:
    path = prepared / name
    path.write_text(path.read_text().replace("0", "1") + "\n")
    err = refused(capsys, "score", preds, "--task", prepared, "--json")
    assert err.startswith(f"Error: {path} was changed after `prepare`") and "SHA-256" in err
    path.unlink()
    err = refused(capsys, "score", preds, "--task", prepared, "--json")
    assert err.startswith(f"Error: {path} is missing from the prepared folder")


def test_a_broken_manifest(prepared: Path, preds: Path, capsys: Capture) -> None:
    path = prepared / MANIFEST
    newer = path.read_text().replace('"schema_version": 1', '"schema_version": 99')
    for text, reason in (("{", "Expecting property name"), (newer, "schema_version: Input should be 1")):
        path.write_text(text)
        err = refused(capsys, "score", preds, "--task", prepared, "--json")
        assert err.startswith(f"Error: {path} is not what `prepare` writes ({reason}")


def test_a_competition(make_task: Callable[..., Task], tmp_path: Path, capsys: Capture) -> None:
    make_task([("A", "G", None)], labels=False).save(tmp_path)
    preds = tmp_path / "preds.csv"
    preds.write_text("id,active\n0,1\n")
    err = refused(capsys, "score", preds, "--task", tmp_path, "--json")
    assert err == by_id(preds, 0) + (
        "Error: someone/small is a competition: its labels stay on the Hub, so nothing can be scored here\n"
    )


# --- what it costs -----------------------------------------------------------------------------------------

HEAVY = ("polaris", "pandas", "sklearn", "scipy", "pyarrow", "rich", "huggingface_hub", "anndata", "datamol")


def imported(arguments: list[Any], names: tuple[str, ...]) -> tuple[int, list[str]]:
    """The exit code of a command in a fresh process, and which of these modules it imported."""
    program = (
        "import sys, json, io, contextlib\n"
        "from polaris_rxrx.cli import run\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    code = run(sys.argv[2:])\n"
        "print(json.dumps([code, [n for n in sys.argv[1].split(',') if n in sys.modules]]))\n"
    )
    command = [sys.executable, "-c", program, ",".join(names), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, found = json.loads(done.stdout)
    return code, found


def test_scoring_a_csv_file_imports_nothing_heavy(prepared: Path, preds: Path, tmp_path: Path) -> None:
    per_treatment = tmp_path / "each.csv"
    arguments = ["score", preds, "--task", prepared, "--json", "--per-treatment", per_treatment]
    assert imported(arguments, (*HEAVY, "numpy")) == (0, ["numpy"])
    assert per_treatment.exists()


@pytest.mark.parametrize("arguments", [["--help"], ["score", "--help"], ["--version"]])
def test_help_is_quick(arguments: list[str]) -> None:
    assert imported(arguments, (*HEAVY, "numpy", "pydantic", "click")) == (0, ["click"])


def test_the_help_of_every_command_is_quick() -> None:
    """One process asks for all of it and says after which command something heavy had come in."""
    program = (
        "import sys, json, io, contextlib\n"
        "from polaris_rxrx.cli import COMMANDS, run\n"
        "heavy, told = set(sys.argv[1].split(',')), {}\n"
        "for name in COMMANDS:\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as shown:\n"
        "        code = run([name, '--help'])\n"
        "    came = sorted(heavy & set(sys.modules))\n"
        "    heavy -= set(came)\n"
        "    told[name] = [code, shown.getvalue().partition(' [')[0], came]\n"
        "print(json.dumps(told))\n"
    )
    heavy = ",".join((*HEAVY, "numpy", "pydantic", "httpx"))
    done = subprocess.run([sys.executable, "-c", program, heavy], capture_output=True, text=True, check=True)
    expected = {name: [0, f"Usage: polaris-rxrx {name}", []] for name in COMMANDS}
    assert json.loads(done.stdout) == expected


# --- hints -------------------------------------------------------------------------------------------------


def test_hints_stand_on_stderr_once_and_in_json(demo: Path, tmp_path: Path, capsys: Capture) -> None:
    with (demo / "openphenom.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    cut = sorted(float(r["active"]) for r in rows)[len(rows) * 3 // 4]
    made = {
        "as-they-are": lambda v: v,
        "reversed": lambda v: -v,
        "binarized": lambda v: float(v > cut),
    }
    for name, change in made.items():
        path = tmp_path / f"{name}.csv"
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows({**r, "active": repr(change(float(r["active"])))} for r in rows)
        assert run(["score", str(path), "--task", str(demo / "task"), "--json", "--resamples", "100"]) == 0
        out, err = capsys.readouterr()
        report = json.loads(out)
        verdicts = {c["name"]: c["verdict"] for c in report["checks"]}
        assert verdicts["labels"] == verdicts["constant"] == "ok"
        if name == "as-they-are":
            assert err == "" and set(verdicts.values()) == {"ok"}
        elif name == "reversed":
            assert err.count("\n") == 1 and f"1 - AUROC would be {1 - report['roc_auc']:.2f}" in err
        else:
            assert err.startswith("Scores of two values: all ") and verdicts["two-values"] == "warn"
