"""Writing whole files and folders: what is left when something goes wrong."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polaris_rxrx import files
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.files import new_file, new_folder, open_binary, sha256, write_text

FAILURES = (RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit)
MARKER = "ours.json"


def tree(folder: Path) -> dict[str, str | None]:
    """Everything below a folder: the text of files, None for folders."""
    return {
        str(p.relative_to(folder)): p.read_text() if p.is_file() else None for p in sorted(folder.rglob("*"))
    }


def ours(folder: Path, text: str = "old") -> Path:
    folder.mkdir(parents=True)
    (folder / MARKER).write_text(text)
    return folder


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


# --- files -------------------------------------------------------------------------------------------------


def test_a_file_appears_whole_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    with new_file(path) as temporary:
        assert temporary.parent == path.parent and temporary.name.startswith(".b.txt.")
        temporary.write_text("new")
        assert not path.exists()
    assert tree(tmp_path) == {"a": None, "a/b.txt": "new"}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("before", [{}, {"f": "old"}])
def test_a_failure_leaves_the_old_file_or_none(
    tmp_path: Path, failure: type[BaseException], before: dict[str, str]
) -> None:
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(failure), new_file(tmp_path / "f") as temporary:
        temporary.write_text("half")
        raise failure
    assert tree(tmp_path) == before


def test_write_text_keeps_line_ends_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for text in ("first, longer\n", "β\r\nx\r"):
        write_text(path, text)
        assert path.read_bytes() == text.encode()
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_follow_the_umask(tmp_path: Path, umask: None) -> None:
    write_text(tmp_path / "f", "")
    with new_folder(tmp_path / "d", marker=MARKER):
        pass
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o750


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "f").write_text("old")
    (tmp_path / "link").symlink_to("there/f")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "f").read_text() == "new"


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in ((tmp_path, "is a folder"), (tmp_path / "pipe", "a device or a pipe")):
        with pytest.raises(UsageError, match=message):
            write_text(path, "x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be made"):
        write_text(tmp_path / "file" / "below", "x")


# --- folders -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [False, True], ids=["absent", "empty"])
def test_a_folder_appears_whole(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "a" / "d"
    if there:
        path.mkdir(parents=True)
    with new_folder(path, marker=MARKER) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "f").write_text("new")
        assert not (path / "sub").exists()
    assert tree(tmp_path) == {"a": None, "a/d": None, "a/d/sub": None, "a/d/sub/f": "new"}


def test_only_our_own_folder_is_replaced_and_only_on_request(tmp_path: Path) -> None:
    ours(tmp_path / "d")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.tex").write_text("years of work")
    (tmp_path / "f").write_text("x")
    before = tree(tmp_path)
    for name, replace, message in (
        ("d", False, "is there already; choose another folder or replace it with --force"),
        ("theirs", False, f"is not empty and holds no {MARKER}"),
        ("theirs", True, f"is not empty and holds no {MARKER}"),
        ("f", True, "is a file; a folder was expected"),
    ):
        with (
            pytest.raises(UsageError, match=message),
            new_folder(tmp_path / name, replace=replace, marker=MARKER),
        ):
            pytest.fail("the block must not be entered")
        assert tree(tmp_path) == before

    with new_folder(tmp_path / "d", replace=True, marker=MARKER) as temporary:
        (temporary / "g").write_text("new")
    assert tree(tmp_path / "d") == {"g": "new"}
    assert {p.name for p in tmp_path.iterdir()} == {"d", "theirs", "f"}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_the_old_folder_or_none(
    tmp_path: Path, failure: type[BaseException], there: bool
) -> None:
    if there:
        ours(tmp_path / "d")
    before = tree(tmp_path)
    with (
        pytest.raises(failure),
        new_folder(tmp_path / "d", replace=True, marker=MARKER) as temporary,
    ):
        (temporary / "half").write_text("half")
        raise failure
    assert tree(tmp_path) == before


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", [0, 1])
def test_a_failure_while_folders_change_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, nth: int
) -> None:
    """The old folder is moved aside, then the new one in: stopped anywhere, one of them is there, whole."""
    ours(tmp_path / "d")
    rename, calls = Path.rename, []

    def interrupted(self: Path, target: Path) -> Path:
        calls.append(self)
        if len(calls) - 1 != nth:
            return rename(self, target)
        if when == "after":
            rename(self, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "d", replace=True, marker=MARKER) as new:
        (new / MARKER).write_text("new")
    finished = (when, nth) == ("after", 1)
    assert tree(tmp_path) == {"d": None, f"d/{MARKER}": "new" if finished else "old"}


@pytest.mark.parametrize("name", [".", "..", "../here", "{tmp}/link"])
@pytest.mark.parametrize("empty", [True, False])
def test_the_working_directory_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, empty: bool
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / MARKER).write_text("old")
    if not empty:
        (here / MARKER).write_text("old")
    (tmp_path / "link").symlink_to("here")
    monkeypatch.chdir(here)
    before = tree(tmp_path)
    with (
        pytest.raises(UsageError, match="working directory"),
        new_folder(Path(name.format(tmp=tmp_path)), replace=True, marker=MARKER),
    ):
        pytest.fail("the block must not be entered")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("there", [False, True], ids=["dangling", "to our folder"])
def test_a_link_to_a_folder_stays_a_link(tmp_path: Path, there: bool) -> None:
    if there:
        ours(tmp_path / "scratch" / "d")
    (tmp_path / "link").symlink_to("scratch/d")
    with new_folder(tmp_path / "link", replace=True, marker=MARKER) as temporary:
        (temporary / "f").write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert tree(tmp_path / "scratch") == {"d": None, "d/f": "new"}
    assert {p.name for p in tmp_path.iterdir()} == {"link", "scratch"}


# --- reading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 3, (1 << 20) + 1])
def test_sha256(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "f").write_bytes(content[:size])
    assert sha256(tmp_path / "f") == hashlib.sha256(content[:size]).hexdigest()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "absent: no such file"),
        ("", "is a folder; a file was expected"),
        ("f/below", "below: cannot be read (Not a directory)"),
        ("x" * 300, "x: cannot be read (File name too long)"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(DataError) as raised, open_binary(tmp_path / name):
        pytest.fail("the block must not be entered")
    assert str(raised.value).startswith(str(tmp_path)) and message in str(raised.value)


def test_a_hash_is_remembered_only_of_a_file_that_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One just written is read again, as it may change within a tick of the clock; an old one is not."""
    path = tmp_path / "file"
    path.write_bytes(b"first")
    first, second = (hashlib.sha256(word).hexdigest() for word in (b"first", b"other"))
    assert files.sha256(path) == first
    state = path.stat()
    path.write_bytes(b"other")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert files.sha256(path) == second
    later = max(path.stat().st_mtime_ns, path.stat().st_ctime_ns) + 3_000_000_000
    monkeypatch.setattr(files.time, "time_ns", lambda: later)
    assert files.sha256(path) == second
    reads: list[int] = []
    real = hashlib.sha256

    def counted() -> Any:
        reads.append(1)
        return real()

    monkeypatch.setattr(files.hashlib, "sha256", counted)
    assert files.sha256(path) == second and reads == []
    path.write_bytes(b"longer")  # of another size
    assert files.sha256(path) == real(b"longer").hexdigest() and reads == [1]
