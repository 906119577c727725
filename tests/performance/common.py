"""Measuring: each side in a process of its own, so that peaks of memory are its own.

A side is a function of a `tests.performance` module that takes JSON arguments and returns a `Side`. It times
what it wants timed (imports stay outside unless they are the point) and hands back a value to compare.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
ANSWER = "side: "


@dataclass(frozen=True)
class Side:
    """Seconds of one run, the value computed, and the process's peak memory in bytes."""

    seconds: float
    value: Any = None
    peak: int = 0


@dataclass(frozen=True)
class Row:
    """One line of the table: our way against the public one, measured in one run."""

    work: str
    theirs: Side
    ours: Side
    aim: str
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.theirs.seconds / self.ours.seconds


@dataclass(frozen=True)
class Settings:
    """What `python -m tests.performance` was asked for; `data` holds RxRx3-core's two files."""

    quick: bool
    data: Path
    data_note: str
    scratch: Path
    repeat: int = field(default=3)


def best(work: Callable[[], Any], repeat: int) -> Side:
    """The quickest of some runs."""
    seconds, value = [], None
    for _ in range(repeat):
        start = time.perf_counter()
        value = work()
        seconds.append(time.perf_counter() - start)
    return Side(min(seconds), value)


def apart(function: Callable[..., Side], **arguments: Any) -> Side:
    """Run a side in its own process."""
    command = [sys.executable, "-m", "tests.performance.common", function.__module__, function.__name__]
    done = subprocess.run(
        [*command, json.dumps(arguments, default=str)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(ANSWER)]
    if done.returncode or not lines:
        raise RuntimeError(f"{function.__module__}.{function.__name__} failed:\n{done.stdout}{done.stderr}")
    return Side(**json.loads(lines[-1][len(ANSWER) :]))


def process(command: list[str], repeat: int, cwd: Path) -> Side:
    """A whole process, from start to end; the quickest of some, the largest peak."""
    seconds, peak, said = [], 0, ""
    for _ in range(repeat):
        start = time.perf_counter()
        with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
            assert running.stdout is not None
            said = running.stdout.read().decode()
            _, status, usage = os.wait4(running.pid, 0)
            seconds.append(time.perf_counter() - start)
            running.returncode = status
        if status:
            raise RuntimeError(f"{' '.join(command)} ended with {status}: {said}")
        peak = max(peak, _bytes(usage.ru_maxrss))
    return Side(min(seconds), said, peak)


def table(rows: list[Row]) -> str:
    """Markdown, for people and for the README."""
    head = ["work", "public way", "ours", "times faster", "peak memory", "aim", "note"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        memory = f"{_mb(row.theirs.peak)} -> {_mb(row.ours.peak)} ({row.ours.peak / row.theirs.peak:.0%})"
        ratio = f"{row.ratio:,.0f}" if row.ratio >= 100 else f"{row.ratio:.1f}"
        lines.append(
            [row.work, _time(row.theirs.seconds), _time(row.ours.seconds), ratio, memory, row.aim, row.note]
        )
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _bytes(maxrss: int) -> int:
    return maxrss if sys.platform == "darwin" else maxrss * 1024


def _peak() -> int:
    """The most memory this process has had; getrusage's would be that of whom it was forked from, if more."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.is_file() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return _bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _main() -> None:
    module, name, arguments = sys.argv[1:]
    side = getattr(import_module(module), name)(**json.loads(arguments))
    peak = _peak()
    print(ANSWER + json.dumps({**asdict(side), "peak": peak}))


if __name__ == "__main__":
    _main()
