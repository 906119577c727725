"""Receipts: on the disk before anything is sent, settled once, and what they forbid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx.errors import DataError, PolarisRxrxError, UsageError, without_secrets
from polaris_rxrx.submission import receipt as receipts
from polaris_rxrx.submission.receipt import (
    LOCK,
    Receipt,
    State,
    blocking,
    explain,
    finish,
    hash_values,
    lock,
    read_receipts,
    start,
)

TASK = "someone/small"
VALUES = hash_values(np.array([3.0, 1.0, 2.0]))
FIELDS: dict[str, Any] = {
    "name": "my-model",
    "owner": "some-lab",
    "hub": "https://polarishub.io/",
    "kind": "v1",
    "task": TASK,
    "task_sha256": "a" * 64,
    "predictions_sha256": "b" * 64,
    "values_sha256": VALUES,
    "payload_sha256": "c" * 64,
    "scores": {"ours": {"pr_auc": 0.5, "roc_auc": None}, "client": {"pr_auc": 0.5}},
    "versions": {"polaris-lib": "0.13.0"},
}


def begin(folder: Path, state: State = "pending", **fields: Any) -> Path:
    path, _ = start(folder, **{**FIELDS, **fields})
    if state != "pending":
        finish(path, state)
    return path


def test_a_receipt_is_pending_then_sent(tmp_path: Path) -> None:
    path, pending = start(tmp_path, **FIELDS)
    assert path.parent == tmp_path / "receipts"
    assert path.name.endswith("Z-bbbbbbbb.json")
    assert (pending.state, pending.url, pending.forced) == ("pending", None, False)
    assert pending.created == pending.updated and pending.created.endswith("+00:00")
    stored = json.loads(path.read_text())
    assert stored["schema_version"] == 1 and stored["state"] == "pending"
    assert stored["scores"] == FIELDS["scores"]
    done = finish(path, "sent", url="https://polarishub.io/r/1", message="stored")
    assert (done.state, done.url, done.message) == ("sent", "https://polarishub.io/r/1", "stored")
    assert done.created == pending.created < done.updated
    assert read_receipts(tmp_path) == [(path, done)]
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file is left


@pytest.mark.parametrize("end", ["sent", "refused", "unknown"])
@pytest.mark.parametrize("again", ["pending", "sent", "refused", "unknown"])
def test_a_settled_receipt_stays_settled(end: State, again: State, tmp_path: Path) -> None:
    path = begin(tmp_path, end)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=f"{end} already|not as 'pending'"):
        finish(path, again)
    assert path.read_bytes() == before


@pytest.mark.parametrize("state", ["pending", "lost", ""])
def test_states_that_are_no_end(state: Any, tmp_path: Path) -> None:
    path = begin(tmp_path)
    with pytest.raises(UsageError, match="ends as sent, refused or unknown"):
        finish(path, state)
    assert read_receipts(tmp_path)[0][1].state == "pending"


def test_finishing_what_is_gone_or_broken(tmp_path: Path) -> None:
    path = begin(tmp_path)
    path.write_text("{")
    with pytest.raises(DataError, match="is not a receipt"):
        finish(path, "sent")
    path.unlink()
    with pytest.raises(DataError, match="no such file"):
        finish(path, "sent")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"state": "sent"}, "a new receipt is pending; state cannot be given"),
        ({"url": "https://x.org", "created": "now"}, "created, url cannot be given"),
        ({"task_sha256": "short"}, "task_sha256: "),
        ({"kind": "v3"}, "kind: "),
        ({"token": "secret"}, "token: Extra inputs"),
        ({"scores": {"ours": {"pr_auc": float("nan")}}}, "scores.ours"),
    ],
)
def test_fields_that_cannot_be_right(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        start(tmp_path, **{**FIELDS, **fields})
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_field_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="values_sha256: Field required"):
        start(tmp_path, **{k: v for k, v in FIELDS.items() if k != "values_sha256"})


def test_file_and_folders_are_synced_before_start_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc here")
    path, _ = start(tmp_path, **FIELDS)
    assert synced[0].startswith(str(path.parent / f".{path.name}."))
    assert synced[1:3] == [str(path.parent), str(tmp_path)]
    (copy,) = synced[3:]  # the user's index
    assert "/submitted/receipts/." in copy


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("[]", "valid dictionary"),
        ("{}", "Field required"),
        ('{"schema_version": 2}', "schema_version"),
        ("\udce9", "utf-8"),
    ],
)
def test_a_broken_receipt_is_named(text: str, reason: str, tmp_path: Path) -> None:
    begin(tmp_path)
    broken = tmp_path / "receipts" / "20240101.json"
    broken.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError) as error:
        read_receipts(tmp_path)
    assert str(error.value).startswith(f"{broken} is not a receipt (")
    assert reason in str(error.value) and "Look at your results on the Hub" in str(error.value)


@pytest.mark.parametrize("time", ["2026-01-01T00:00:00", "2026-01-01T00:00:00+02:00", "yesterday"])
def test_times_are_utc(time: str, tmp_path: Path) -> None:
    path = begin(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "created": time}))
    with pytest.raises(DataError, match="created: "):
        read_receipts(tmp_path)


def test_newest_last_and_other_files_ignored(tmp_path: Path) -> None:
    assert read_receipts(tmp_path) == []
    paths = [begin(tmp_path, predictions_sha256=c * 64) for c in "fba"]
    (tmp_path / "receipts" / "notes.txt").write_text("mine")
    (tmp_path / "receipts" / ".x.json.abc.tmp").write_text("{")
    assert [p for p, _ in read_receipts(tmp_path)] == paths


def test_two_receipts_of_one_instant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "_now", lambda: "2026-01-01T00:00:00.000000+00:00")
    assert begin(tmp_path) != begin(tmp_path)
    assert len(read_receipts(tmp_path)) == 2


# What is the same, what forbids


def test_values_are_hashed_whatever_their_type_and_zero_has_no_sign() -> None:
    values = np.array([0.0, 1.0, 0.1])
    assert hash_values(values) == hash_values(np.array([-0.0, 1.0, 0.1], dtype=">f8"))
    assert hash_values(values) == hash_values(np.repeat(values, 2)[::2])
    assert hash_values(values) != hash_values(values[::-1])
    assert hash_values(values) != hash_values(np.nextafter(values, 2))
    # By hand: the bytes of 0.0 and 1.0.
    import hashlib

    raw = bytes(8) + bytes.fromhex("000000000000f03f")
    assert hash_values(np.array([0.0, 1.0])) == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize(
    ("state", "fields", "blocks"),
    [
        ("sent", {}, True),
        ("unknown", {}, True),
        ("pending", {}, True),
        ("refused", {}, False),
        ("sent", {"name": "My_Model"}, True),  # the same slug
        ("sent", {"name": "other-model"}, False),
        ("unknown", {"name": "other-model"}, True),
        ("pending", {"name": "other-model"}, True),
        ("sent", {"task": "someone/else"}, False),
        ("unknown", {"task": "someone/else"}, False),
        ("sent", {"values_sha256": "d" * 64}, False),
        ("unknown", {"values_sha256": "d" * 64}, False),
        ("sent", {"predictions_sha256": "d" * 64}, True),  # the same scores in another file
        ("sent", {"task_sha256": "d" * 64}, True),
        ("sent", {"forced": True}, True),
    ],
)
def test_what_forbids_sending(state: State, fields: dict[str, Any], blocks: bool, tmp_path: Path) -> None:
    path = begin(tmp_path, state, **fields)
    found = blocking(read_receipts(tmp_path), values_sha256=VALUES, task=TASK, name="my-model")
    assert (found is not None and found[0] == path) == blocks == (found is not None)


def test_the_newest_forbids_and_being_sent_settles_an_unknown(tmp_path: Path) -> None:
    def found(name: str) -> Path | None:
        result = blocking(read_receipts(tmp_path), values_sha256=VALUES, task=TASK, name=name)
        return result and result[0]

    unknown = begin(tmp_path, "unknown")
    begin(tmp_path, "refused")
    assert found("my-model") == found("other") == unknown
    sent = begin(tmp_path, "sent", forced=True)
    assert (found("my-model"), found("other")) == (sent, None)
    second = begin(tmp_path, "unknown", name="other")
    assert found("my-model") == found("third") == second


@pytest.mark.parametrize(
    ("hub", "blocks"),
    [
        (None, True),
        ("https://polarishub.io", True),
        ("https://me:pw@polarishub.io/?a=b", True),
        ("http://localhost:8080", False),
    ],
)
def test_another_hub_is_another_place(hub: str | None, blocks: bool, tmp_path: Path) -> None:
    begin(tmp_path, "sent")
    found = blocking(read_receipts(tmp_path), values_sha256=VALUES, task=TASK, name="my-model", hub=hub)
    assert (found is not None) == blocks


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            "sent",
            [
                "were sent as 'my-model' for someone/small on 20",
                ": https://polarishub.io/r/1",
                "twice. --force",
            ],
        ),
        ("refused", ["were not stored", "(status 422)", "can be sent again"]),
        (
            "unknown",
            [
                "It is not known whether these predictions are stored as 'my-model' for someone/small",
                "it was sent on 20",
                "(status 422)",
                "open https://polarishub.io/benchmarks/someone/small",
                "look for 'my-model' by some-lab",
                "If it is not, --force sends it",
            ],
        ),
        ("pending", ["was cut off before it was known how it ended", "--force sends it"]),
    ],
)
def test_explained_in_words(state: State, words: list[str], tmp_path: Path) -> None:
    path, receipt = start(tmp_path, **FIELDS)
    if state != "pending":
        url = "https://polarishub.io/r/1" if state == "sent" else None
        receipt = finish(path, state, url=url, message="status 422.")
    text = explain(path, receipt)
    assert all(w in text for w in words), text
    assert text.endswith(f"The receipt is {path}") and " UTC" in text


def test_sent_without_an_address_and_competitions_are_explained(tmp_path: Path) -> None:
    path = begin(tmp_path, "sent")
    assert "the Hub did not name the page" in explain(*read_receipts(tmp_path)[0])
    path = begin(tmp_path, "unknown", kind="competition")
    assert "https://polarishub.io/competitions/someone/small" in explain(path, read_receipts(tmp_path)[1][1])


# Secrets


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("401 for https://me:hunter2@hub.io/a?token=hunter2 .", "401 for https://hub.io/a ."),
        ("Authorization: Bearer abcdef.123456", "Authorization: ***"),
        ("sent Bearer abcdefgh123", "sent Bearer ***"),
        ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_x", "got ***"),
        ('{"access_token": "hunter2", "a": 1}', '{"access_token": "***", "a": 1}'),
        ("{'password': 'hunter2 x'}", "{'password': '***'}"),
        ("grant_type=password&password=hunter2&x=1", "grant_type=password&password=***&x=1"),
        ("The token expired; Bearer authentication", "The token expired; Bearer ***"),
        ("invalid_token: The access token expired", "invalid_token: The access token expired"),
        ("see https://polarishub.io/r/1", "see https://polarishub.io/r/1"),
    ],
)
def test_secrets_are_cut_out(text: str, clean: str) -> None:
    assert without_secrets(text) == clean
    assert without_secrets(clean) == clean


def test_no_secret_reaches_the_file(tmp_path: Path) -> None:
    path, _ = start(tmp_path, **{**FIELDS, "hub": "https://me:hunter2@hub.io/sub/?k=hunter2#hunter2"})
    done = finish(path, "sent", url="https://me:hunter2@hub.io/r/1?sig=hunter2", message="password=hunter2")
    assert "hunter2" not in path.read_text()
    assert (done.hub, done.url) == ("https://hub.io/sub/", "https://hub.io/r/1")


@pytest.mark.parametrize("url", ["/results/1", "https://[::1/x?a=b", "no url\ud800", "http://h/\x1b[31m"])
def test_whatever_the_hub_says_the_receipt_is_written(url: str, tmp_path: Path) -> None:
    path = begin(tmp_path)
    done = finish(path, "sent", url=url, message="<html>\ud800\x1b[31m" + "x" * 10_000)
    assert read_receipts(tmp_path) == [(path, done)]
    text = explain(path, done)
    assert "\x1b" not in text + done.message and len(done.message) < 2_100


# Death and company

CHILD = """
import json, os, signal, sys
from pathlib import Path
from polaris_rxrx.submission.receipt import finish, lock, start
folder, fields = Path(sys.argv[1]), json.loads(sys.argv[2])
with lock(folder):
    path, _ = start(folder, **fields)
    print(path, flush=True)
    if sys.argv[3] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def child(folder: Path, then: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), json.dumps(FIELDS), then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_process_leaves_a_receipt_that_forbids(tmp_path: Path) -> None:
    with child(tmp_path, "die") as process:
        path = Path(process.communicate(timeout=30)[0].strip())
    assert process.returncode == -signal.SIGKILL
    (found,) = read_receipts(tmp_path)
    assert found[0] == path and found[1].state == "pending"
    with lock(tmp_path):  # a dead process holds nothing
        blocked = blocking(read_receipts(tmp_path), values_sha256=VALUES, task=TASK, name="my-model")
        assert blocked == found
        assert "was cut off" in explain(*found)
        finish(path, "unknown")  # and the next run may settle it
    assert (tmp_path / LOCK).read_text() == ""


def test_a_live_process_keeps_others_out(tmp_path: Path) -> None:
    with child(tmp_path, "wait") as process:
        assert process.stdout is not None
        process.stdout.readline()
        began = time.monotonic()
        with pytest.raises(PolarisRxrxError) as error, lock(tmp_path):
            raise AssertionError("both hold the lock")
        assert time.monotonic() - began < 5
        assert f"{tmp_path} is being submitted by another process (pid {process.pid})" in str(error.value)
        process.communicate(timeout=30)
    with lock(tmp_path):
        pass


def test_the_lock_holds_within_a_process_and_ends_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock(tmp_path):
        assert (tmp_path / LOCK).read_text() == str(os.getpid())
        with pytest.raises(PolarisRxrxError, match=rf"process \(pid {os.getpid()}\)"), lock(tmp_path):
            raise AssertionError("both hold the lock")
        raise KeyError
    with lock(tmp_path):
        pass


@pytest.mark.parametrize("left", ["", "999999999", "not a number", "1"])
def test_a_stale_lock_is_taken_over(left: str, tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(left)
    with lock(tmp_path):
        assert (tmp_path / LOCK).read_text() == str(os.getpid())


def test_a_lock_nowhere(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the lock cannot be made"), lock(tmp_path / "no"):
        raise AssertionError


def test_only_one_of_many_gets_in(tmp_path: Path) -> None:
    """All are ready before any may try; who gets in stays in until the others have given up."""
    code = CHILD.replace(
        "with lock(folder):", "print('ready', flush=True)\nsys.stdin.readline()\nwith lock(folder):"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), json.dumps(FIELDS), "wait"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    until = time.monotonic() + 20
    while sum(p.poll() is not None for p in processes) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    ends = []
    for process in processes:
        _, err = process.communicate(timeout=30)
        ends.append((process.returncode, "is being submitted by another process" in err))
    assert sorted(ends) == [(0, False), (1, True), (1, True)]
    assert len(read_receipts(tmp_path)) == 1


def test_the_schema_holds_nothing_about_the_person(tmp_path: Path) -> None:
    path = begin(tmp_path, "sent")
    assert set(json.loads(path.read_text())) == set(Receipt.model_fields)
    assert not {"user", "host", "token", "password"} & set(Receipt.model_fields)
