"""What tests have workers do, of a pool or of Dask: each imports this module, so it imports little."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polaris_rxrx.errors import DataError

if TYPE_CHECKING:
    from polaris_rxrx.maps.partial import Job

ELEMENT = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")


def environment(names: tuple[str, ...]) -> list[str | None]:
    return [os.environ.get(name) for name in names]


def fail(_: int) -> int:
    raise DataError("row 3 is wrong")


def pair(x: int) -> tuple[int, Any]:
    if x < 0:
        raise DataError("row 3 is wrong")
    return x * x, (x, os.getpid())


def join(one: Any, other: Any) -> Any:
    """A tree's nodes as text, and every process that was in it."""
    return f"({one[0]} {other[0]})", {*as_set(one[1]), *as_set(other[1]), os.getpid()}


def as_set(of: Any) -> set[int]:
    return of if isinstance(of, set) else {of}


def kill_once(job: Job) -> Any:
    """The first to come is killed in the middle of its work."""
    from polaris_rxrx.maps.partial import reduce_job

    mark = Path(os.environ["KILLED_ONCE"])
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return reduce_job(job)
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    raise AssertionError


def element(_: int) -> str:
    """This worker's job, as `scancel` takes it."""
    time.sleep(0.1)
    return "_".join(os.environ[name] for name in ELEMENT)


def hold_once(mark: str, job: Job) -> Any:
    """The first to come says where it is, and waits for its end."""
    from polaris_rxrx.maps.partial import reduce_job

    try:
        with Path(mark).open("x") as handle:
            handle.write(element(0) + "\n")
    except FileExistsError:
        return reduce_job(job)
    time.sleep(60)
    raise AssertionError("its job was not cancelled")
