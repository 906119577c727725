"""No test skips for a reason that nobody wrote down."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import conftest, skips
from tests.conftest import ROOT
from tests.skips import MAY_SKIP, strangers

SKIPS = """
import pytest

def test_known():
    pytest.skip("no browser: none is there")

def test_unknown():
    pytest.importorskip("a_package_that_nobody_has")
"""


def test_only_reasons_that_are_known_may_skip() -> None:
    known = [("tests/test_a.py::test_b", f"Skipped: {reason}: more of it") for reason in MAY_SKIP]
    assert strangers(known) == []
    (line,) = strangers([*known, ("tests/test_a.py::test_c", "Skipped: could not import 'h5py'")])
    assert line.startswith("tests/test_a.py::test_c skipped") and "'h5py'" in line


HOOKS = ("pytest_sessionfinish", "pytest_terminal_summary")


def test_the_suite_has_these_hooks() -> None:
    assert [getattr(conftest, name) for name in HOOKS] == [getattr(skips, name) for name in HOOKS]


@pytest.mark.parametrize("words", [[], ["-p", "xdist.plugin", "-n", "1"]])
def test_a_run_with_another_reason_fails(tmp_path: Path, words: list[str]) -> None:
    """In one process and in workers: the hooks are the suite's own, without the rest that it imports."""
    (tmp_path / "conftest.py").write_text(f"from tests.skips import {', '.join(HOOKS)}\n")
    for name, kept in (("test_one.py", "test_known"), ("test_both.py", "")):
        (tmp_path / name).write_text(SKIPS if not kept else SKIPS.partition("def test_unknown")[0])
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--assert=plain"]
    run += [f"--rootdir={tmp_path}", *words]
    for name, code in (("test_one.py", 0), ("test_both.py", 1)):
        done = subprocess.run([*run, name], cwd=tmp_path, capture_output=True, text=True, env=_paths())
        assert done.returncode == code, done.stdout + done.stderr
        assert ("a_package_that_nobody_has" in done.stdout) == (code == 1)


def _paths() -> dict[str, str]:
    """Where modules are; plugins that are installed are not asked for, for each run would import them all."""
    paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def test_every_reason_is_one_that_a_test_gives() -> None:
    """What no test says any more leaves the list."""
    files = (ROOT / "tests").rglob("*.py")
    text = "\n".join(p.read_text("utf-8") for p in files if p.name not in ("skips.py", "test_skips.py"))
    for reason in MAY_SKIP:
        imported = re.fullmatch(r"could not import '(\w+)'", reason)
        assert (f'importorskip("{imported[1]}")' if imported else reason) in text, reason
