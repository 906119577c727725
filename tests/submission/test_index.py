"""What is known of receipts in other folders: the copies, damaged ones, places that cannot be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx.submission import index
from polaris_rxrx.submission.receipt import (
    Held,
    Receipt,
    blocking,
    explain,
    finish,
    hash_values,
    lock_scores,
    read_everywhere,
    start,
)

VALUES = hash_values(np.arange(3.0))
FIELDS: dict[str, Any] = {
    "name": "my-model",
    "owner": "ada-lab",
    "hub": "https://polarishub.io",
    "kind": "v1",
    "task": "someone/small",
    "task_sha256": "0" * 64,
    "predictions_sha256": "1" * 64,
    "values_sha256": VALUES,
    "payload_sha256": "2" * 64,
}


def send(folder: Path, state: str | None = "sent", **fields: Any) -> Path:
    folder.mkdir(exist_ok=True)
    path, _ = start(folder, **{**FIELDS, **fields})
    if state:
        finish(path, state)  # type: ignore[arg-type]
    return path


def everywhere(folder: Path, values: str = VALUES) -> tuple[list[tuple[Path, Receipt]], list[str]]:
    said: list[str] = []
    return read_everywhere(folder, values, said.append), said


def blocked(folder: Path, **fields: Any) -> str | None:
    found, said = everywhere(folder)
    assert said == []
    told = blocking(found, **{k: {**FIELDS, **fields}[k] for k in ("values_sha256", "task", "name", "hub")})
    return explain(*told) if told else None


def copies() -> list[Path]:
    return sorted(index.place().glob("*.json")) if index.place().exists() else []


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert index.place().is_relative_to(os.environ["HOME"])  # tests write nowhere else
    monkeypatch.setenv("POLARIS_RXRX_STATE", str(tmp_path / "here"))
    assert index.place() == tmp_path / "here" / "receipts"
    monkeypatch.delenv("POLARIS_RXRX_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    if sys.platform == "linux":
        assert index.place() == tmp_path / "state" / "polaris-rxrx" / "receipts"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("sent", "These predictions were sent as"),
        ("unknown", "they may be stored: it was sent on .*, and no answer proves what became of it"),
        (None, "they may be stored: the attempt on .* was cut off"),
        ("refused", None),
    ],
)
def test_every_state_is_known_in_another_folder(tmp_path: Path, state: str | None, told: str | None) -> None:
    import re

    path = send(tmp_path / "a", state)
    assert everywhere(tmp_path / "b")[0] == everywhere(tmp_path / "a")[0]  # and once in its own
    found = blocked(tmp_path / "b")
    assert found is None if told is None else re.search(told, found or "")
    assert told is None or str(path) in (found or "")


def test_what_is_another_thing_does_not_block(tmp_path: Path) -> None:
    send(tmp_path / "a")
    for other in ({"task": "someone/else"}, {"name": "another"}, {"hub": "https://elsewhere.example"}):
        assert blocked(tmp_path / "b", **other) is None
    assert everywhere(tmp_path / "b", hash_values(np.arange(4.0))) == ([], [])


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    path = send(tmp_path / "a")
    path.unlink()
    ((known, _),) = everywhere(tmp_path / "b")[0]
    assert known == copies()[0] and str(known) in (blocked(tmp_path / "b") or "")


def test_a_copy_that_was_not_settled(tmp_path: Path) -> None:
    """The original says how it ended; without it, nobody knows."""
    path = send(tmp_path / "a", None)
    pending = copies()[0].read_text()
    finish(path, "refused")
    copies()[0].write_text(pending)
    assert blocked(tmp_path / "b") is None
    path.unlink()
    assert "may be stored" in (blocked(tmp_path / "b") or "")


def test_copies_are_the_receipts_and_nothing_else(tmp_path: Path) -> None:
    path = send(tmp_path / "a")
    (copy,) = copies()
    data = json.loads(copy.read_text())
    assert data["receipt"] == json.loads(path.read_text())
    assert {**data, "receipt": None} == {"schema_version": 1, "original": str(path), "receipt": None}
    if os.name == "posix":
        assert index.place().stat().st_mode & 0o077 == 0


DAMAGED = {
    "empty": "",
    "no JSON": "{",
    "not ours": '{"a": 1}',
    "a list": "[1, 2]",
    "deep": "[" * 20_000,
    "digits": f'{{"schema_version": {"9" * 5000}}}',
    "no receipt": '{"schema_version": 1, "original": "x", "receipt": {"state": "sent"}}',
    "nul in the path": '{"schema_version": 1, "original": "\\u0000", "receipt": {}}',
    "large": " " * (2 << 20),
    "no text": "\udcff",
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_copy_is_a_warning(tmp_path: Path, what: str) -> None:
    send(tmp_path / "a")
    good = copies()[0]
    bad = good.with_name(f"{VALUES[:16]}-bad.json")
    bad.write_bytes(DAMAGED[what].encode("utf-8", "surrogateescape"))
    found, said = everywhere(tmp_path / "b")
    assert [receipt.state for _, receipt in found] == ["sent"]  # the others still count
    assert len(said) == 1 and said[0].startswith(f"Warning: {bad} is damaged (") and len(said[0]) < 900


def test_a_copy_that_is_a_folder(tmp_path: Path) -> None:
    (index.make() / f"{VALUES[:16]}-x.json").mkdir()
    found, said = everywhere(tmp_path)
    assert found == [] and "is damaged" in said[0]


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index.place().parent.mkdir(parents=True)
    index.place().write_text("a file")
    path = send(tmp_path / "a")
    err = capsys.readouterr().err
    assert err.count("Warning: ") == 1 and str(index.place()) in err and path.exists()
    found, said = everywhere(tmp_path / "a")
    assert len(found) == 1 and len(said) == 1 and str(index.place()) in said[0]
    with lock_scores(VALUES):
        pass


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_place_without_permission(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index.make().chmod(0o500)
    send(tmp_path / "a")
    index.place().chmod(0o700)
    assert "Warning: " in capsys.readouterr().err and copies() == []


def test_many_processes_at_once(tmp_path: Path) -> None:
    """Each leaves its whole copy."""
    code = (
        "import sys, json, pathlib\n"
        "from polaris_rxrx.submission.receipt import finish, start\n"
        "folder = pathlib.Path(sys.argv[1]); folder.mkdir()\n"
        "for _ in range(5): finish(start(folder, **json.loads(sys.argv[2]))[0], 'sent')\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / str(i)), json.dumps(FIELDS)])
        for i in range(3)
    ]
    assert [p.wait(60) for p in processes] == [0, 0, 0]
    found, said = everywhere(tmp_path / "b")
    assert len(copies()) == 15 and said == [] and {r.state for _, r in found} == {"sent"}
    assert len(found) == len({r.created for _, r in found})  # attempts of one moment are one
    assert not list(index.place().glob("*.tmp")) and not list(index.place().glob(".*.tmp"))


def test_the_same_scores_are_sent_by_one_process_at_a_time() -> None:
    with lock_scores(VALUES):
        with (
            pytest.raises(Held, match="these predictions are being submitted by another"),
            lock_scores(VALUES),
        ):
            pass
        with lock_scores("f" * 64):
            pass
