"""What docs/windows.md says holds: read from the code, or simulated, for these tests run on any system."""

from __future__ import annotations

import ast
import ctypes
import io
import json
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polaris_rxrx import files, limits, parallel
from polaris_rxrx.cli._plain import plain_output
from polaris_rxrx.dataset.screens import _inside
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.files import move, new_file, new_folder, plain_name, write_text
from polaris_rxrx.images import found
from polaris_rxrx.present.terminal import json_text
from polaris_rxrx.submission.unpack import unpacked
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "windows.md").read_text("utf-8")
TEXT = re.compile(r"[rwax]t?\+?|\+?[rwax]t?")
MAY = re.compile(r"open\(|_text\(|\bsubprocess\b")


# ---- text, read from the code


def unsaid(text: str) -> Iterator[tuple[int, str]]:
    """Calls that read or write text and leave to the system in which encoding, or with which line ends."""
    for node in ast.walk(ast.parse(text)) if MAY.search(text) else ():  # to parse all would take seconds
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        named = {word.arg for word in node.keywords}
        first = node.args[int(name == "open" and isinstance(node.func, ast.Name)) :][:1]
        if name == "read_text" and not first and "encoding" not in named:
            yield node.lineno, "read_text without an encoding"
        if name == "write_text" and isinstance(node.func, ast.Attribute):
            if len(node.args) < 2 and "encoding" not in named:
                yield node.lineno, "write_text without an encoding"
            elif "newline" not in named:
                yield node.lineno, "write_text that translates line ends"
        if name in ("open", "fdopen"):
            mode = next((w.value for w in node.keywords if w.arg == "mode"), first[0] if first else None)
            if isinstance(mode, ast.Constant) and isinstance(mode.value, str) and TEXT.fullmatch(mode.value):
                if not {"encoding", "fileobj"} & named:
                    yield node.lineno, "open without an encoding"
                elif set(mode.value) & set("wax") and not {"newline", "fileobj"} & named:
                    yield node.lineno, "open that translates line ends"
        if {"text", "universal_newlines"} & named and name in ("run", "Popen", "check_output"):
            yield node.lineno, "a process whose text is in whatever encoding"


def test_text_says_its_encoding_and_keeps_its_line_ends() -> None:
    said = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in sorted((ROOT / "polaris_rxrx").rglob("*.py"))
        for line, what in unsaid(path.read_text("utf-8"))
    ]
    assert said == []


@pytest.mark.parametrize(
    "text",
    [
        "path.read_text()",
        "path.write_text('x')",
        "path.write_text('x', 'utf-8')",
        "path.open('w')",
        "path.open('w', encoding='utf-8')",
        "open(path, 'r')",
        "path.open(mode='a')",
        "subprocess.run(words, text=True)",
    ],
)
def test_what_does_not_is_seen(text: str) -> None:
    assert len(list(unsaid(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "path.read_text('utf-8')",
        "path.open('rb')",
        "path.open('w', encoding='utf-8', newline='')",
        "images.open()",
    ],
)
def test_what_does_is_let_through(text: str) -> None:
    assert list(unsaid(text)) == []


# ---- names, and moving files


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WINDOWS", True)


ODD = [
    "nul.csv",
    "CON",
    "com1.tar.gz",
    "Aux .csv",
    "a:b.csv",
    "a?.csv",
    "a.",
    "a ",
    'say "hi".csv',
    "a|b",
    "a\x01",
]


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize("name", ODD)
def test_a_name_that_windows_reads_otherwise(name: str, tmp_path: Path) -> None:
    assert not plain_name(name)
    with pytest.raises(UsageError, match="Windows takes no such name"):
        write_text(tmp_path / name, "x")
    with (
        pytest.raises(UsageError, match="Windows takes no such name"),
        new_folder(tmp_path / name, marker="m"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["phenom-1.csv", "console.csv", ".hidden", "β.csv", "com10", "a b.c"])
def test_other_names(name: str) -> None:
    assert plain_name(name)


def test_elsewhere_names_are_the_system_s_business(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WINDOWS", False)
    files.refuse_name(tmp_path / "a:b.csv")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A file that somebody has open the first so many times that it is to be replaced."""
    left = [3]
    replace = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        if left[0] > 0:
            left[0] -= 1
            raise PermissionError(13, "The process cannot access the file", str(target))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    return left


@pytest.mark.usefixtures("windows")
def test_a_file_that_is_open_for_a_moment(tmp_path: Path, held: list[int]) -> None:
    with new_file(tmp_path / "a.csv") as temporary:
        temporary.write_text("new", encoding="utf-8", newline="")
    assert (tmp_path / "a.csv").read_text("utf-8") == "new" and held == [0]


@pytest.mark.usefixtures("windows")
def test_a_file_that_stays_open(tmp_path: Path, held: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    held[0] = 10**6
    monkeypatch.setattr(files, "_PATIENCE", 0.1)
    (tmp_path / "a.csv").write_text("old", encoding="utf-8", newline="")
    with pytest.raises(PermissionError) as error, new_file(tmp_path / "a.csv") as temporary:
        temporary.write_text("new", encoding="utf-8", newline="")
    assert error.value.filename == str(tmp_path / "a.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text("utf-8") == "old"


def test_elsewhere_a_refusal_is_one(tmp_path: Path, held: list[int]) -> None:
    (tmp_path / "a").write_text("", encoding="utf-8", newline="")
    with pytest.raises(PermissionError):
        move(tmp_path / "a", tmp_path / "b")
    assert held == [2]


@pytest.mark.parametrize("name", ["con", "bundle.json.", "a:stream"])
def test_an_archive_with_such_a_name(name: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(f"bundle/{name}"), io.BytesIO())
    with pytest.raises(DataError, match="is not a"), unpacked(tmp_path / "b.tar.gz"):
        pass


@pytest.mark.parametrize("name", ["C:/wells.csv", "C:wells.csv", r"a\b.csv", "../a.csv"])
def test_a_dataset_s_file_is_in_the_data_folder(name: str) -> None:
    with pytest.raises(ValueError, match="a file inside the data folder was expected"):
        _inside(name)


def test_images_below_a_folder_with_backslashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"E-1/Plate1/A01_s1_w{channel}.png" for channel in range(1, 7)]
    slashes = found.in_folders(tmp_path, [f"{tmp_path}/{name}" for name in names])
    monkeypatch.setattr(found, "_SEPARATOR", "\\")
    written = [str(tmp_path) + "\\" + name.replace("/", "\\") for name in names]
    backslashes = found.in_folders(tmp_path, written)
    assert backslashes.wells == slashes.wells and len(slashes.wells) == 1
    assert backslashes.provenance == slashes.provenance and backslashes.provenance["files"] == 6


# ---- memory, processes, the console


def test_memory_that_windows_says_is_free() -> None:
    def ask(said: Any) -> int:
        status = said._obj
        assert status.length == ctypes.sizeof(status) == 64  # of MEMORYSTATUSEX
        status.free = 123_456
        return 1

    assert limits._windows(ask) == 123_456
    assert limits._windows(lambda _: 0) is None


def test_more_workers_than_windows_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel.os, "name", "nt")
    with pytest.raises(UsageError, match="workers is 62; Windows waits for 61 processes at most"):
        parallel.workers(62)
    assert parallel.workers(61).n == 61
    assert "61" in PAGE


@pytest.mark.parametrize(("encoding", "ascii_"), [("cp1252", True), ("cp437", True), ("utf-8", False)])
def test_json_can_be_read_whatever_the_code_page(
    encoding: str, ascii_: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    with plain_output():
        print(json_text({"name": "é β-乙"}))
        sys.stdout.flush()
    assert json.loads(raw.getvalue().decode("utf-8")) == {"name": "é β-乙"}
    assert raw.getvalue().isascii() == ascii_
