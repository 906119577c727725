"""Processes that have their imports done when they start: `Warm.start` instead of `subprocess.Popen`.

`import polaris` costs about 5 seconds of processor time, the libraries of the other commands about 1. Here
one process imports them once and forks: what a test starts is a process of its own (its own pid, signals,
files and environment, ended as Python ends a program) that begins after the imports. A test about the imports
themselves starts a whole one by subprocess. Without the client nothing of this package is imported either, so
that a test can change it, or run a copy of it.

The forking process has one thread. It reads what to start, a line of JSON each, answers with the pid, and
leaves in a file how the process ended.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 0.02  # seconds between looks


class Process:
    """A forked process, as `subprocess.Popen` shows one; what it prints is in one file or in two."""

    def __init__(self, pid: int, output: Path, errors: Path | None) -> None:
        self.pid, self.returncode = pid, None
        self._output, self._errors, self._status = output, errors, output.with_suffix(".status")
        self.returncode: int | None

    def poll(self) -> int | None:
        if self.returncode is None and self._status.exists():
            self.returncode = os.waitstatus_to_exitcode(int(self._status.read_text()))
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 60) -> tuple[str, str]:
        """All that was printed, once it has ended: on stdout, on stderr; or both in one, and nothing.

        Raises:
            subprocess.TimeoutExpired: It has not ended; it is killed then.
        """
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.kill()
                raise subprocess.TimeoutExpired(str(self._output), timeout)
            time.sleep(PATIENCE)
        errors = "" if self._errors is None else self._errors.read_text("utf-8")
        return self._output.read_text("utf-8"), errors


class Warm:
    """The process that forks, with the client or without; `folder` is for what the others print."""

    def __init__(self, folder: Path, *, client: bool) -> None:
        self._folder, self._n = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", *(["client"] if client else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            # A hash seed of its own, so that a process can be asked what hangs on it.
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "random"},
        )

    def start(
        self, code: str, words: Sequence[str] = (), *, ignored: Sequence[int] = (), apart: bool = False
    ) -> Process:
        """`python -c code words` in the caller's folder and environment.

        Args:
            code: The program.
            words: Its arguments.
            ignored: Signals that it ignores from the start.
            apart: What it prints on stderr is kept apart from what it prints on stdout.
        """
        self._n += 1
        output = self._folder / f"{self._n}.out"
        errors = output.with_suffix(".err") if apart else None
        wanted = {
            "code": code,
            "words": list(words),
            "ignored": list(ignored),
            "folder": str(Path.cwd()),
            "environment": {**os.environ, "PYTHONPATH": str(ROOT)},
            "output": str(output),
            "errors": str(errors or output),
        }
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(wanted), file=self._process.stdin, flush=True)
        return Process(int(self._process.stdout.readline()), output, errors)

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


def _serve() -> dict[str, Any] | None:
    """Fork for every line of stdin, until its end. Returns in the forked processes: what to run there."""
    outputs: dict[int, str] = {}
    rest, at_end = b"", False
    while outputs or not at_end:
        if not at_end and select.select([0], [], [], PATIENCE)[0]:
            block = os.read(0, 1 << 16)
            at_end = not block
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                wanted: dict[str, Any] = json.loads(line)
                pid = os.fork()
                if not pid:
                    return wanted
                outputs[pid] = wanted["output"]
                os.write(1, f"{pid}\n".encode())
        elif at_end:
            time.sleep(PATIENCE)
        for pid in list(outputs):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                path = Path(outputs.pop(pid)).with_suffix(".status")
                path.with_suffix(".new").write_text(str(status))
                path.with_suffix(".new").rename(path)
    return None


def _become(wanted: dict[str, Any]) -> None:
    """Make a forked process one that was started alone: its files, folder, environment, signals and words."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for name, number in (("output", 1), ("errors", 2)):
        os.dup2(os.open(wanted[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    tempfile.tempdir = None  # kept from before; $TMPDIR may be another now
    for number in wanted["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    sys.argv = ["-c", *wanted["words"]]


def _import_client() -> None:
    import httpcore  # noqa: F401  # these three come with the first request, or the first table
    import pyarrow.dataset  # noqa: F401
    import socksio  # noqa: F401

    import polaris_rxrx.cli.prepare
    import polaris_rxrx.cli.submit
    import polaris_rxrx.submission.submit  # noqa: F401  # what stands on the client, too
    from polaris_rxrx.hub import tokens, upstream

    tokens.COST = 2**4  # as in `clean_environment`

    with upstream.session():
        import polaris.competition
        import polaris.evaluate
        import polaris.hub.client
        import polaris.model  # noqa: F401


def _import_libraries() -> None:
    """What the commands that are started so import, nothing of this package."""
    import click  # noqa: F401
    import httpcore  # noqa: F401
    import huggingface_hub  # noqa: F401
    import numpy  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.csv
    import pyarrow.dataset
    import pyarrow.parquet  # noqa: F401
    import pydantic  # noqa: F401
    import rich.progress  # noqa: F401
    import scipy.stats  # noqa: F401


if __name__ == "__main__":
    _import_client() if sys.argv[1:] == ["client"] else _import_libraries()
    gc.freeze()  # else a forked process copies what is here when it looks for garbage
    started = _serve()
    if started is not None:
        _become(started)
        exec(compile(started["code"], "<test>", "exec"), {"__name__": "__main__"})
