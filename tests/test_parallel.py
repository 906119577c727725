"""Work done by several processes is the work of one, and their errors come home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.parallel import PROCESS, Effort, Here, Processes, workers
from tests.conftest import ROOT


def _square(x: int) -> tuple[int, str | None]:
    return x * x, os.environ.get("OPENBLAS_NUM_THREADS")


def _fail(x: int) -> int:
    if x == 3:
        raise DataError("row 3 is wrong")
    return x


@pytest.mark.parametrize("who", [Here(), Processes(1), Processes(2)])
def test_every_item_is_done_once(who: Any) -> None:
    found = dict(who.run(_square, range(7)))
    assert {i: r[0] for i, r in found.items()} == {i: i * i for i in range(7)}
    if isinstance(who, Processes):
        assert {r[1] for r in found.values()} == {"1"}


def test_processes_leave_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    assert len(list(Processes(1).run(_square, [1]))) == 1
    assert os.environ["OMP_NUM_THREADS"] == "7" and "MKL_NUM_THREADS" not in os.environ


@pytest.mark.parametrize("who", [Here(), Processes(2)])
def test_an_error_is_raised_here(who: Any) -> None:
    with pytest.raises(DataError, match="row 3 is wrong"):
        list(who.run(_fail, range(6)))


def _sleep(_: int) -> None:
    time.sleep(300)


def test_an_interrupt_waits_for_nobody() -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    started = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 3)
        with pytest.raises(KeyboardInterrupt):
            list(Processes(2).run(_sleep, range(4)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < 120


def _write_and_sleep(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(300)


KILLED = """
import sys
from polaris_rxrx.parallel import Processes
from tests.test_parallel import _write_and_sleep
if __name__ == "__main__":
    list(Processes(2).run(_write_and_sleep, sys.argv[1:]))
"""


def test_workers_end_with_a_process_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    told = [tmp_path / "a", tmp_path / "b"]
    words = [sys.executable, "killed.py", *map(str, told)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
    while not all(p.is_file() and p.read_text() for p in told) and started.poll() is None:
        time.sleep(0.01)
    started.kill()
    # Its workers have its standard output, too: it is closed when the last of them is gone.
    assert started.communicate(timeout=100)[0] == b""


def test_nothing_to_do() -> None:
    assert list(Processes(2).run(_square, [])) == [] == list(Here().run(_square, []))


def test_who_is_asked() -> None:
    assert workers() == Here() and workers(3) == Processes(3)
    with pytest.raises(UsageError, match="workers is 0; 1 or more was expected"):
        workers(0)


def test_what_workers_of_this_machine_take_is_counted() -> None:
    """Elsewhere they have memory of their own; without a bound nothing is counted."""
    gb = 10**9
    assert Effort(gb).own_memory == gb == Effort(gb, 4, "tcp://host:8786").own_memory
    assert Effort(gb, 2).own_memory == gb - 2 * PROCESS == Effort(gb, 2, "local").own_memory
    assert Effort(gb, 1, "local").own_memory == gb - PROCESS
    assert Effort(None, 2).own_memory is None
    assert Effort(1, 2).own_memory == 1  # everything is on disk then
