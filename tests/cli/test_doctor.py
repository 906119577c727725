"""`polaris-rxrx doctor`: what it prints, its exit code, and that nothing private is in its JSON."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from polaris_rxrx.cli import run
from polaris_rxrx.doctor import packages
from polaris_rxrx.hub import tokens


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is imported: what that does is `packages.bring`'s business."""

    def bring(names: Sequence[str]) -> dict[str, str | None]:
        return dict.fromkeys(names)

    monkeypatch.setattr(packages, "bring", bring)


@pytest.fixture
def words(demo: Path) -> list[str]:
    return ["doctor", "--offline", "--task", str(demo / "task"), "--data", str(demo / "data")]


def test_all_is_well(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines() if "/" not in line) <= 100
    assert run([*words, "--wide"]) == 0
    out = capsys.readouterr().out
    for part in ("Python  ", "memory  ", "packages  ", "data  ", "task  ", "Polaris Hub  ", "login  "):
        assert f"\n{part}" in out
    assert "synthetic data of a demo" in out and ": not logged in" in out


def test_a_broken_cache(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = shutil.copytree(demo / "data", tmp_path / "data")
    table = data / "OpenPhenom_rxrx3_core_embeddings.parquet"
    table.write_bytes(table.read_bytes()[:-100])
    words = ["doctor", "--offline", "--data", str(data), "--wide"]
    assert run(words) == 1
    out = capsys.readouterr().out
    told = (
        f"-  data: {table.name}: it is cut short: a parquet file ends with its footer\n   => fetch it again"
    )
    assert "In the way:\n" in out and told in out
    assert run([*words, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False and document["faults"][0]["about"] == f"data: {table.name}"


def test_who_is_logged_in_is_for_people_alone(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    token = {"access_token": "canary-token", "expires_at": int(time.time()) + 3600}
    held = tokens.Login(how="browser", name="ada@example.org", servers=[], token=token)
    tokens.put("https://polarishub.io", held)
    assert run([*words, "--wide"]) == 0
    out = capsys.readouterr().out
    assert "https://polarishub.io: logged in as ada@example.org (by browser), until " in out
    assert run([*words, "--json"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["login"]["logged_in"] is True
    assert "ada@" not in printed and "canary" not in out + printed


def test_the_home_folder_is_a_tilde(
    demo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(demo))
    monkeypatch.setenv("USERPROFILE", str(demo))
    assert run(["doctor", "--offline", "--data", str(demo / "data"), "--json"]) == 0
    printed = capsys.readouterr().out
    assert str(demo) not in printed and "~/data" in printed


def test_a_wrong_pyarrow_is_mended_by_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = packages.installed
    monkeypatch.setattr(packages, "installed", lambda name: "13.0.0" if name == "pyarrow" else found(name))
    assert run([*words, "--wide"]) == 1
    out = capsys.readouterr().out
    assert "-  pyarrow: 13.0.0 is installed; >=" in out and "   => pip install 'pyarrow>=" in out
