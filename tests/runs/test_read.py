"""What result folders hold: each file's figures, whose they are, and which protocols are one."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.runs.read import FIGURES, Reader, Row, files
from polaris_rxrx.suites.result import Result
from polaris_rxrx.suites.run import SUITES
from tests.runs.conftest import together

Results = dict[str, dict[str, Result]]


def read(*places: Path) -> dict[tuple[str, str], Row]:
    found = Reader().read(places)
    assert not found.damaged
    return {(Path(row.path).parent.as_posix(), row.suite): row for row in found.rows}


def test_every_suite_has_figures() -> None:
    assert set(FIGURES) == {*SUITES, "replicate-consistency"}


def test_the_figures_are_the_results(runs: Path, results: Results) -> None:
    rows = read(runs)
    assert len(rows) == sum(map(len, results.values())) == 10
    assert all(rows[f"out/epoch-{n}/x", "drug-target"].figures[0].low for n in (1, 2))
    for (folder, suite), row in rows.items():
        s = results[folder][suite].summary
        main = row.figures[0]
        expected: dict[str, Any] = {
            "drug-target": lambda s: (s["max"]["average_precision"], *s["interval_max"]["average_precision"]),
            "gene-gene": lambda s: tuple(
                s["sources"]["known"][f"recall{end}"] for end in ("", "_low_end", "_high_end")
            ),
            "signal": lambda s: (s["z"], None, None),
            "clusters": lambda s: (s["n_higher"] / s["n_complexes"], None, None),
        }
        of = expected.get(suite, lambda s: (s["mean"], None, None))
        assert (main.value, main.low, main.high) == of(s)
        raw = Path(row.path).read_bytes()
        assert row.sha256 == hashlib.sha256(raw).hexdigest() and row.run == folder
        assert row.model == ("embeddings" if folder == "out/wells" else "a map")


def test_protocols_are_what_does_not_belong_to_the_model(runs: Path) -> None:
    rows = read(runs)
    one, two = (rows[f"out/epoch-{n}/x", "drug-target"] for n in (1, 2))
    assert one.protocol == two.protocol and one.figures != two.figures
    assert rows["out/more seeds", "drug-target"].protocol != one.protocol
    path = Path(one.path)
    whole = json.loads(path.read_text("utf-8"))
    for part, name, value in (
        ("protocol", "active_nM", 900.0),
        ("protocol", "annotations_sha256", "0" * 64),
        ("protocol", "legacy", True),
        ("summary", "n_pairs_a_seed", 7),
    ):
        path.write_text(json.dumps({**whole, part: {**whole[part], name: value}}), "utf-8")
        assert read(path)[path.parent.as_posix(), "drug-target"].protocol != one.protocol, name
    for name in ("map", "map_sha256", "versions", "inputs"):
        path.write_text(json.dumps({**whole, "protocol": {**whole["protocol"], name: {}}}), "utf-8")
        assert read(path)[path.parent.as_posix(), "drug-target"].protocol == one.protocol, name


def test_several_results_in_a_file(runs: Path, results: Results) -> None:
    Path("all.json").write_text(together(results["out/epoch-1/x"]), "utf-8")
    (dt, gg), apart = Reader().read([Path("all.json")]).rows, read(runs)
    assert (dt.run, dt.suite, gg.suite) == ("all.json", "drug-target", "gene-gene")
    assert dt.figures == apart["out/epoch-1/x", "drug-target"].figures
    assert dt.protocol == apart["out/epoch-1/x", "drug-target"].protocol


def test_a_score_and_a_receipt(tmp_path: Path) -> None:
    score: dict[str, Any] = {
        "schema_version": 1,
        "task": "someone/task",
        "predictions": "mine/new.csv",
        "main_metric": "pr_auc",
    }
    score |= {"predictions_sha256": "a" * 64, "main_value": 0.25, "n_pairs": 1000, "n_treatments": 40}
    score |= {"official": {"pr_auc": 0.25, "roc_auc": 0.5}}
    score |= {"uncertainty": {"pr_auc": {"interval": [0.2, 0.3]}}}
    receipt = {"schema_version": 1, "state": "sent", "name": "new", "task": "t", "task_sha256": "b" * 64}
    receipt |= {"predictions_sha256": "a" * 64, "payload_sha256": "c" * 64}
    sent = {**receipt, "scores": {"ours": {"pr_auc": 0.25}, "client": {"pr_auc": 0.25}}}
    for name, document in (("score", score), ("sent", sent), ("competition", receipt)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    found = Reader().read([tmp_path])
    one, two = found.rows
    assert (one.suite, one.model, one.run) == ("score", "new", str(tmp_path / "score.json"))
    assert [(f.name, f.value, f.low, f.high) for f in one.figures] == [
        ("pr_auc", 0.25, 0.2, 0.3),
        ("roc_auc", 0.5, None, None),
    ]
    assert one.words == "someone/task; pr_auc, 1,000 pairs, 40 treatments"
    assert (two.suite, two.model, two.figures[0].value) == ("receipt", "new", 0.25)
    assert found.damaged == () and found.n_others == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"schema_version": 1, "suite": "dr', "not JSON ("),
        ("", "not JSON ("),
        (
            '{"suite": "drug-target", "protocol": {}, "summary": {}}',
            "it looks like a result, but is none: no",
        ),
        ('{"suite": "signal", "protocol": [], "summary": {}}', "it looks like a result, but is none: "),
        (
            '{"suite": "signal", "protocol": {"by": "gene", "align": "tvn", "seed": 0}, "summary": '
            '{"n_perturbations": 3, "z": "high"}}',
            "it looks like a result, but is none: z against random is 'high'; a number was expected",
        ),
    ],
)
def test_a_damaged_file_is_named_and_the_others_are_read(runs: Path, text: str, reason: str) -> None:
    (runs / "epoch-1" / "bad.json").write_text(text)
    found = Reader().read([runs])
    (bad,) = found.damaged
    assert bad.path == "out/epoch-1/bad.json" and bad.reason.startswith(reason)
    assert len(found.rows) == 10


def test_what_is_no_result_is_counted(runs: Path) -> None:
    for name in ("config.json", "list.json", "neighbors.json"):
        (runs / name).write_text({"list.json": "[1]"}.get(name, '{"learning_rate": 0.1, "inner": {}}'))
    (runs / ".hidden").mkdir()
    (runs / ".hidden" / "x.json").write_text("{")
    (runs / "polaris-rxrx-finished.json").write_text("{}")
    found = Reader().read([runs])
    assert (found.n_others, len(found.rows), found.damaged) == (3, 10, ())
    assert len(files([runs, runs / "epoch-1", runs / "config.json"])) == 13  # each once
    with pytest.raises(DataError, match="gone: no such folder or file"):
        files([Path("gone")])


def test_only_what_has_changed_is_read_again(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from polaris_rxrx.runs import read as module

    seen: list[Path] = []
    plain = module.read_file
    monkeypatch.setattr(module, "read_file", lambda path, at: seen.append(path) or plain(path, at))
    reader = Reader()
    first = reader.read([runs])
    assert len(seen) == 10 and reader.read([runs]) == first and len(seen) == 10
    path = Path(first.rows[3].path)
    os.utime(path, (0, 0))
    again = reader.read([runs])
    assert seen[10:] == [path] and again != first
    assert again.rows[3].time == "1970-01-01T00:00:00+00:00"
