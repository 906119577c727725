"""`polaris-rxrx compare` as a user meets it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from polaris_rxrx.baselines import map_of, predict
from polaris_rxrx.cards import load_card
from polaris_rxrx.cli import run
from polaris_rxrx.predictions import read_predictions, write_predictions
from polaris_rxrx.present.numbers import number
from polaris_rxrx.task import Task, load_task
from polaris_rxrx.wells.memory import read_wells

Capture = pytest.CaptureFixture[str]


def refused(capsys: Capture, *arguments: object, code: int = 1) -> str:
    assert run(["compare", *map(str, arguments)]) == code
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    return err


@pytest.fixture
def at_demo(demo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(demo)
    return demo


def test_text(prepared: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("id,active\n0,3\n1,2\n2,1\n3,0\n4,1\n5,0\n")
    Path("b.csv").write_text("id,active\n0,1\n1,2\n2,3\n3,0\n4,1\n5,0\n")
    assert run(["compare", "a.csv", "b.csv", "--task", str(prepared)]) == 0
    out, err = capsys.readouterr()
    assert err == "".join(
        f"{name}: rows were matched by id alone, the place of a pair in test_features.csv (0 to 5)\n"
        for name in ("a.csv", "b.csv")
    )
    assert (
        out
        == """\
average precision on someone/small, 2 treatments

         mean
a.csv  1.0000
b.csv  0.6667

                                                                                    minimum
                                                          p                      detectable  first
first  second  difference      95% interval       p  (Holm)  wins  ties  losses  difference     is
a.csv  b.csv      +0.3333  0.0000 to 0.6667  1.0000  1.0000     1     1       0      0.9339   tied

Where a.csv and b.csv differ most
  treatment   first  second
  ABT-199    1.0000  0.3333

Interval  BCa bootstrap over treatments, stretched to the variance over treatments and genes, 10,000
          resamples, seed 0
p         sign-flip permutation over treatments, two-sided, stretched to the variance over
          treatments and genes
p (Holm)  the same, corrected for 1 comparison
Note      the minimum detectable difference is the true one that would be found in 80% of such
          tasks, correction included
Tied      no difference beyond noise was seen, which does not prove that there is none
"""
    )


def test_openphenom_against_random_and_against_itself_with_a_little_noise(
    at_demo: Path, tmp_path: Path, capsys: Capture
) -> None:
    """The embeddings themselves get the noise: a thousandth of their spread is a tie, random is not."""
    card = load_card("openphenom")
    data = at_demo / "data"
    wells = read_wells(data / "metadata_rxrx3_core.csv", data / "OpenPhenom_rxrx3_core_embeddings.parquet")
    wells.x[:] += np.random.default_rng(0).normal(0, 1e-3 * wells.x.std(), wells.x.shape)
    task = load_task(at_demo / "task")
    noisy = tmp_path / "noisy.csv"
    write_predictions(noisy, task, predict(task, map_of(wells, card.recipe), card.recipe).values)
    assert run(["compare", "openphenom.csv", str(noisy), "random.csv", "--json"]) == 0
    tie, better = json.loads(capsys.readouterr().out)["comparisons"]
    assert tie["verdict"] == "tie" and tie["ties"] >= 30 and tie["detectable"] < 0.02
    assert better["verdict"] == "better" and better["p_corrected"] < 0.01 and better["interval"][0] > 0.05


def test_small_numbers_are_not_shown_as_nothing() -> None:
    assert [number(v) for v in (0.00003, -0.00003, 0.0, -1e-17, 0.5)] == [
        *("0.00003", "-0.00003", "0.0000", "0.0000", "0.5000")
    ]
    assert [number(v, ".1%") for v in (0.0, 0.00001, 0.25)] == ["0.0%", "0.0%", "25.0%"]
    assert number(-0.001, ".0%") == "0%" and number(3e-9) == "3e-09" and number(-1e-17, "+.3f") == "+0.000"
    assert number(None) == number(float("nan")) == "-" and number(1234, ",d") == "1,234"


def test_json_is_strict_and_alone_on_stdout(at_demo: Path, capsys: Capture) -> None:
    assert run(["compare", "openphenom.csv", "cellprofiler.csv", "random.csv", "--all-pairs", "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert err == "" and document["schema_version"] == 1
    assert [s["name"] for s in document["submissions"]] == [
        "openphenom.csv",
        "cellprofiler.csv",
        "random.csv",
    ]
    assert len(document["comparisons"]) == document["method"]["n_comparisons"] == 3


def test_options_are_followed_and_recorded(at_demo: Path, capsys: Capture) -> None:
    words = ["--metric", "roc_auc", "--seed", "7", "--resamples", "500", "--level", "0.9", "--json"]
    assert run(["compare", "openphenom.csv", "random.csv", *words]) == 0
    document = json.loads(capsys.readouterr().out)
    method = document["method"]
    assert (method["seed"], method["resamples"], method["level"]) == (7, 500, 0.9)
    assert document["metric"] == "roc_auc"
    assert document["submissions"][0]["value"] == pytest.approx(0.698617, abs=1e-6)


def test_per_treatment(at_demo: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "new" / "each.csv"
    assert run(["compare", "openphenom.csv", "random.csv", "--per-treatment", str(out)]) == 0
    assert capsys.readouterr().err == f"Wrote {out}\n"
    with out.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 44 and list(rows[0]) == ["treatment", "openphenom.csv", "random.csv"]
    assert np.mean([float(r["openphenom.csv"]) for r in rows]) == pytest.approx(0.425329, abs=1e-6)


def test_names_that_would_move_the_cursor(
    make_task: Callable[..., Task], tmp_path: Path, capsys: Capture
) -> None:
    bad = "two\nlines \x1b[31mred" + "x" * 80
    make_task([(t, g, int(g == "G0")) for t in ("A", bad) for g in ("G0", "G1")]).save(tmp_path)
    for name, scores in (("a.csv", "2121"), ("b.csv", "1212")):
        (tmp_path / name).write_text("id,active\n" + "".join(f"{i},{s}\n" for i, s in enumerate(scores)))
    assert run(["compare", f"{tmp_path}/a.csv", f"{tmp_path}/b.csv", "--task", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and r"  two\nlines \x1b[31mredxxxx" in out


# --- misuse and bad data -----------------------------------------------------------------------------------


def test_one_file(capsys: Capture, prepared: Path) -> None:
    assert "two or more predictions files" in refused(capsys, "a.csv", "--task", prepared, code=2)


def test_one_file_twice(capsys: Capture, prepared: Path) -> None:
    err = refused(capsys, "a.csv", "b.csv", "a.csv", "--task", prepared, code=2)
    assert "a.csv was given twice; different files were expected" in err


def test_identical_files(at_demo: Path, tmp_path: Path, capsys: Capture) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_bytes((at_demo / "openphenom.csv").read_bytes())
    err = refused(capsys, "openphenom.csv", copy)
    assert f"openphenom.csv and {copy} hold the same scores: there is nothing to compare" in err


def test_the_same_scores_in_another_order(at_demo: Path, tmp_path: Path, capsys: Capture) -> None:
    task = load_task("task")
    values = read_predictions("openphenom.csv", task).values
    rows = [f"{i},{v!r}\n" for i, v in enumerate(values.tolist())]
    (tmp_path / "turned.csv").write_text("id,active\n" + "".join(reversed(rows)))
    assert "hold the same scores" in refused(capsys, "openphenom.csv", tmp_path / "turned.csv")


def test_predictions_of_another_task(at_demo: Path, tmp_path: Path, capsys: Capture) -> None:
    other = tmp_path / "other.csv"
    other.write_text("treatment,gene_symbol,active\nNot there,MTOR,1\n")
    err = refused(capsys, "openphenom.csv", other)
    assert str(other) in err and "Not there" in err and "compared on the task in task" in err


def test_one_treatment(make_task: Callable[..., Task], tmp_path: Path, capsys: Capture) -> None:
    make_task([("A", "G0", 1), ("A", "G1", 0), ("B", "G0", 0)]).save(tmp_path)
    for name, scores in (("a.csv", "210"), ("b.csv", "120")):
        (tmp_path / name).write_text("id,active\n" + "".join(f"{i},{s}\n" for i, s in enumerate(scores)))
    err = refused(capsys, tmp_path / "a.csv", tmp_path / "b.csv", "--task", tmp_path)
    assert "defined for 1 of its treatments; at least 2 are needed" in err


def test_a_baseline_that_was_not_run(at_demo: Path, capsys: Capture) -> None:
    err = refused(capsys, "openphenom.csv", "phenom-1.csv")
    assert "phenom-1.csv: no such file" in err and "Try: polaris-rxrx baseline phenom-1" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--level", "95"], "level is 95; from 0.5 to below 1 was expected, as in 0.95"),
        (["--resamples", "0"], "resamples is 0; at least 100"),
        (["--seed", "-3"], "seed is -3"),
        (["--metric", "f1"], "'f1' is not one of"),
    ],
)
def test_options_out_of_range(at_demo: Path, capsys: Capture, words: list[str], told: str) -> None:
    assert told in refused(capsys, "openphenom.csv", "random.csv", *words, code=2)


def test_the_help_names_the_metrics_there_are() -> None:
    """It does so without importing them, so that it answers at once."""
    from polaris_rxrx.cli.compare import command
    from polaris_rxrx.metrics import METRICS

    (option,) = (p for p in command.params if p.name == "metric")
    assert option.metavar == "|".join(METRICS)
