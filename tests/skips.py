"""Why a test may skip; a skip for any other reason fails the run, and all are listed at its end (`-rs`).

What the extra `test` brings is not among them: tests import it, and fail where it is not. So a package that
is no longer installed is seen, and does not quietly take its tests along.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest

# How a reason begins -> where that is in order.
MAY_SKIP = {
    "polaris-lib is not installed": "Python 3.13 and later, for which there is none",
    "copairs is not installed": "Python 3.13 and later, for which there is none",
    "shared data not found": "away from the published tables",
    "no synthetic stand-in": "away from the published tables",
    "no browser": "without a Chromium",
    "no SLURM": "without SLURM, or the right to start it",
    "could not import 'dask_jobqueue'": "without it: it is for SLURM alone",
    "extra openphenom": "without torch and transformers, which take gigabytes",
    "umap-learn is not installed": "without the extra umap",
    "there is a GPU here": "with one",
    "no such device here": "on Windows",
    "no /dev/full here": "other than on Linux",
    "no /proc here": "other than on Linux",
    "names that are not text": "on Windows",
    "the file system takes no such name": "on macOS",
    "the system does not say what a process takes": "on Windows",
    "the superuser may write anywhere": "as root, as in containers",
    "tables of wells may have tabs": "a kind of damage that does not apply to a kind of file",
    "this folder's files have other names": "an input that does not apply to a command",
}


def strangers(skipped: Iterable[tuple[str, str]]) -> list[str]:
    """Of tests and the reasons for which they were skipped, those that may not be, a line each."""
    found = []
    for test, told in skipped:
        reason = re.sub(r"^Skipped: ", "", told)
        if not reason.startswith(tuple(MAY_SKIP)):
            found.append(f"{test} skipped, and tests/skips.py does not know why: {reason}")
    return found


def _strangers(config: pytest.Config) -> list[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    return strangers((report.nodeid, report.longrepr[2]) for report in skipped)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that skips for a reason nobody knows fails the run."""
    if session.exitstatus == 0 and _strangers(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for line in _strangers(config):
        terminalreporter.write_line(f"FAILED {line}", red=True)
