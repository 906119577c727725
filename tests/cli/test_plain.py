"""What is printed, whatever stands in files and names; and what the system says against files."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_rxrx.cli import run
from polaris_rxrx.errors import DataError
from polaris_rxrx.files import new_file, new_folder, open_binary, write_text
from polaris_rxrx.present.terminal import plain
from polaris_rxrx.task import Task

EVIL = "\x1b[31mred\x1b]0;title\x07\x08\x7f\x9b1m\u202etxt\ufeff\r"


@given(st.text())
def test_plain_text_has_no_control_characters(text: str) -> None:
    shown = plain(text)
    assert all(c in "\n\t" or (c.isprintable() or c.isspace() or ord(c) > 0x9F) for c in shown)
    assert "\x1b" not in shown and "\r" not in shown
    shown.encode()
    if text.isascii() and text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    "text",
    [
        f"treatment,gene_symbol,active\n{EVIL},BCL2,0\n".replace("\r", ""),
        f'treatment,gene_symbol,active\n"{EVIL}",BCL2,0\n',
        f"{EVIL.strip()},gene_symbol,active\nx,BCL2,0\n",
        f"id,active\n0,{EVIL.strip()}\n",
        f"id,active\n{EVIL.strip()},0\n",
    ],
)
def test_names_in_files(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / f"p{EVIL}.csv"
    path.write_text(text)
    assert run(["score", str(path), "--task", str(prepared)]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("Error: ") and out == ""
    assert all(c == "\n" or c.isprintable() for c in err) and "\\x1b[31mred" in err


def test_names_in_a_task_and_on_stdout(make_task, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    made: Task = make_task([(EVIL, "A", 1.0), (EVIL, "B", 0.0), ("x\x1b", "A", 0.0)], artifact_id="a/b")
    (tmp_path / "task").mkdir()
    made.save(tmp_path / "task")
    path = tmp_path / "p\x1b[1m.csv"
    path.write_text("id,active\n0,1\n1,0\n2,0\n")
    assert run(["score", str(path), "--task", str(tmp_path / "task")]) == 0
    out, _ = capsys.readouterr()
    assert all(c == "\n" or c.isprintable() for c in out) and "csv on a/b" in out and "x\\x1b" in out


def test_usage_errors_and_undecodable_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", "--no\x1b[1msuch"]) == 2
    assert (
        run(["score", os.fsdecode(os.fsencode(tmp_path / "x") + b"\xff\xfe.csv"), "--task", str(tmp_path)])
        == 1
    )
    _, err = capsys.readouterr()
    assert "\x1b" not in err and all(c == "\n" or c.isprintable() for c in err)


def test_a_stream_of_another_encoding(prepared: Path, tmp_path: Path) -> None:
    path = tmp_path / "β.csv"
    path.write_text("id,active\n" + "".join(f"{i},{i}\n" for i in range(6)))
    done = subprocess.run(
        [sys.executable, "-m", "polaris_rxrx", "score", str(path), "--task", str(prepared)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        check=False,
    )
    assert done.returncode == 0 and b"\\u03b2.csv on" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_stdout(prepared: Path, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,active\n" + "".join(f"{i},{i}\n" for i in range(6)))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "polaris_rxrx", "score", str(path), "--task", str(prepared)],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode != 0 and b"Error: standard output: No space left on device\n" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_file_that_cannot_grow_is_named(demo: Path, tmp_path: Path) -> None:
    """As on a full disk: writing fails half-way, with no name in what the system says."""
    out = tmp_path / "out.csv"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "polaris_rxrx",
            "baseline",
            "random",
            "--task",
            str(demo / "task"),
            "--out",
            str(out),
        ],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        check=False,
    )
    assert done.returncode == 1 and done.stderr.endswith(f"Error: {out}: File too large\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("filename", [None, "itself", "another"])
def test_temporary_names_are_in_no_message(tmp_path: Path, filename: str | None) -> None:
    def fail(temporary: Path) -> None:
        name = {"itself": str(temporary), "another": "/some/input"}.get(filename or "")
        raise OSError(28, "No space left on device", name) if name else OSError(28, "No space left on device")

    expected = "/some/input" if filename == "another" else str(tmp_path / "out")
    with pytest.raises(OSError, match="No space") as caught, new_file(tmp_path / "out") as temporary:
        fail(temporary)
    assert caught.value.filename == expected
    with (
        pytest.raises(OSError, match="No space") as caught,
        new_folder(tmp_path / "out", marker="m") as folder,
    ):
        fail(folder / "in.csv" if filename == "itself" else folder)
    assert caught.value.filename == (str(tmp_path / "out" / "in.csv") if filename == "itself" else expected)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("folder", "folder is a folder; a file was expected"),
        ("file/p.csv", "file/p.csv: no such file"),
        ("loop", "loop: cannot be read (Too many levels of symbolic links)"),
        ("n" * 300, "nnn: File name too long"),
    ],
)
def test_inputs_that_are_no_files(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    Path("loop").symlink_to("loop")
    assert run(["score", name, "--task", str(prepared)]) == 1
    said = capsys.readouterr().err
    assert told in said or (name == "loop" and "Error: loop: " in said)


@pytest.mark.parametrize("out", ["file/x.csv", "missing/" + "n" * 300])
def test_outputs_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(Exception, match=r"file|n{50}") as caught:
        write_text(Path(out), "text")
    assert ".tmp" not in str(caught.value)


def test_a_read_that_fails_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(Exception, match="a: cannot be read") as caught, open_binary(tmp_path / "a"):
        raise OSError(5, "Input/output error")
    assert str(caught.value) == f"{tmp_path / 'a'}: cannot be read (Input/output error)"


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_names_that_no_file_has(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="is no name of a file"), open_binary(tmp_path / name):
        pass


def test_a_page_about_a_file_whose_name_is_not_utf_8(prepared: Path, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/p\xff.csv"))
    path.write_text("id,active\n" + "".join(f"{i},{i}\n" for i in range(6)))
    out = tmp_path / "r.html"
    assert run(["report", str(path), "--task", str(prepared), "--out", str(out)]) == 0
    assert "<html" in out.read_text("utf-8")


def test_no_line_is_endless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = tmp_path / "card.toml"
    card.write_text("x" * 100_000 + " = 1\n")
    (tmp_path / "p.csv").write_text("id,active\n0,1\n")
    assert run(["submit", str(tmp_path / "p.csv"), "--card", str(card), "--dry-run"]) == 1
    assert run(["score", "--" + "x" * 100_000]) == 2
    assert run(["score", "x" * 100_000]) == 1
    said = capsys.readouterr().err
    assert max(map(len, said.split("\n"))) < 1_600 and " [...] " in said
