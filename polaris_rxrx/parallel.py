"""Work spread over processes of this machine, or over the workers of a Dask cluster.

Conventions
    A function of one argument is called for each item of a list; both pickle, and results come as they are
    ready, with the item's number. At most two items a worker are on their way. An error of the function ends
    the work and is raised here. A process that dies (killed, out of memory) loses its item alone, which is
    done again; when `TRIES` times in a row nothing was finished before another died, that is an error. An
    interrupt ends processes in the middle of their items, an error waits for those that are under way.
    Every process has one BLAS thread: several that each use all cores wait for one another.
    On Linux the processes are forked from one that has imported what they need and nothing else, so that
    imports cost once and not for each of them; elsewhere each is started anew.
    What is merged is so in a tree over the items, neighbors first, whoever is ready first. On a cluster that
    is done where the parts are. Processes of one machine hand their parts to the one that asked, which
    merges: to send two parts back and fetch one would take longer than to merge them.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from typing import Any, Protocol

from polaris_rxrx.errors import DataError, PolarisRxrxError, UsageError

TRIES = 3
MOST_ON_WINDOWS = 61  # processes of a pool
PROCESS = 120_000_000  # bytes that a process takes with Python, NumPy and pyarrow
# Of these, what this process has imported its workers have imported, too; none starts a thread by that.
_SHARED = (
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "pyarrow.dataset",
    "scipy.stats",
    "skimage.measure",
    "centrosome",
)
_LONGEST = 60  # characters of a folder for temporary files: a socket's address has 108 at most
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Workers(Protocol):
    """Whoever does the work: `n` at once."""

    @property
    def n(self) -> int: ...
    def run(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Number and result of each item, in any order."""
        ...


@dataclass(frozen=True)
class Here:
    """This process, one item after another."""

    n: int = 1

    def run(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for i, item in enumerate(items):
            yield i, function(item)


@dataclass(frozen=True)
class Processes:
    """`n` processes of this machine."""

    n: int

    def run(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        left = list(range(len(items)))
        fruitless = 0
        while left:
            before = len(left)
            try:
                for i, result in self._pool(function, items, left):
                    left.remove(i)
                    yield i, result
            except BrokenProcessPool:
                fruitless = 0 if len(left) < before else fruitless + 1
                if fruitless == TRIES:
                    raise DataError(
                        f"the {self.n} worker processes were ended from outside {TRIES} times before any had "
                        "finished a piece; is there too little memory? Fewer --workers need less of it"
                    ) from None

    def _pool(
        self, function: Callable[[Any], Any], items: Sequence[Any], left: Sequence[int]
    ) -> Iterator[tuple[int, Any]]:
        rest = list(left)[::-1]
        with (
            _one_thread(),
            ProcessPoolExecutor(self.n, _context(function), _belong, (dict(os.environ),)) as pool,
        ):
            running: dict[Future[Any], int] = {}
            try:
                while rest or running:
                    while rest and len(running) < 2 * self.n:
                        i = rest.pop()
                        running[pool.submit(function, items[i])] = i
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield running.pop(future), future.result()
            except (KeyboardInterrupt, GeneratorExit):
                _end(pool)
                raise
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _context(function: Callable[[Any], Any]) -> BaseContext:
    """How processes are started that call `function`."""
    if sys.platform != "linux" or len(tempfile.gettempdir()) > _LONGEST:
        return get_context("spawn")
    while isinstance(function, partial):
        function = function.args[0] if function.func is _caught else function.func
    context = get_context("forkserver")
    # It is read when the one that forks is started, with the first of all processes.
    context.set_forkserver_preload([*(name for name in _SHARED if name in sys.modules), function.__module__])
    return context


def _end(pool: ProcessPoolExecutor) -> None:
    """End the processes in the middle of their items, which may take minutes that nobody wants to wait."""
    for process in list((pool._processes or {}).values()):
        process.terminate()


def in_order(who: Workers, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Each item's result, in the items' order; an error ends it where one process would have met it."""
    waiting, turn = dict[int, Any](), 0
    for i, found in who.run(partial(_caught, function), items):
        waiting[i] = found
        while turn in waiting:
            result, error = waiting.pop(turn)
            turn += 1
            if error is not None:
                raise error
            yield result


def _caught(function: Callable[[Any], Any], item: Any) -> tuple[Any, PolarisRxrxError | None]:
    try:
        return function(item), None
    except PolarisRxrxError as error:
        return None, error


class Tree:
    """Parts merged pairwise, neighbors first, as they are added in order: log2 of them wait at most."""

    def __init__(self, merge: Callable[[Any, Any], Any]) -> None:
        self._merge = merge
        self._waiting: list[tuple[int, Any]] = []

    def add(self, part: Any) -> None:
        level = 0
        while self._waiting and self._waiting[-1][0] == level:
            part = self._merge(self._waiting.pop()[1], part)
            level += 1
        self._waiting.append((level, part))

    def whole(self) -> Any:
        """All of them merged, None without any."""
        found = self._waiting.pop()[1] if self._waiting else None
        while self._waiting:
            found = self._merge(self._waiting.pop()[1], found)
        return found


def merged(
    who: Workers,
    function: Callable[[Any], tuple[Any, Any]],
    items: Sequence[Any],
    merge: Callable[[Any, Any], Any],
) -> Iterator[tuple[int, Any]]:
    """Work of two results: the first of each item as it is ready, at last the others merged into one.

    Args:
        who: Who does it. A cluster merges, too (`run_merged`).
        function: Gives the pair.
        items: What it is called for.
        merge: Makes one of two.

    Returns:
        Number and first result of each item, in any order; then how many items there are, and what their
        second results make together, None without any.
    """
    if hasattr(who, "run_merged"):
        yield from who.run_merged(function, items, merge, Tree)
        return
    tree, waiting, turn = Tree(merge), dict[int, Any](), 0
    for i, (kept, part) in who.run(function, items):
        waiting[i] = part
        while turn in waiting:  # in the items' order, whoever is first
            tree.add(waiting.pop(turn))
            turn += 1
        yield i, kept
    yield len(items), tree.whole()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that are started within use one BLAS thread each."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _belong(environment: dict[str, str]) -> None:
    """A worker leaves Ctrl-C to the process that started it, and ends when that one was killed.

    By itself it would wait for work forever: the pipe it comes through stays open at its own end.
    `environment` is that of the process that started it; the one that it was forked from may have another.
    """
    import signal
    from multiprocessing import parent_process
    from threading import Thread

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()


@dataclass(frozen=True)
class Effort:
    """What may be used: bytes of memory for all processes (half of what is free), workers, a scheduler."""

    max_memory: int | None = None
    workers: int = 1
    scheduler: str | None = None

    @property
    def alone(self) -> bool:
        """Whether this process does everything."""
        return self.workers == 1 and self.scheduler is None

    @property
    def own_memory(self) -> int | None:
        """Bytes that this process may take beside workers on this machine; None where nothing is said."""
        if self.max_memory is None:
            return None
        here = not self.alone and self.scheduler in (None, "local")
        return max(self.max_memory - self.workers * PROCESS * here, 1)

    @contextmanager
    def at_work(self) -> Iterator[Workers]:
        """Who does the work; a cluster is left at the end."""
        who = workers(self.workers, self.scheduler)
        try:
            yield who
        finally:
            if hasattr(who, "close"):
                who.close()


def workers(n: int = 1, scheduler: str | None = None) -> Workers:
    """Who does the work.

    Args:
        n: Processes of this machine; 1 is this process. Beside `scheduler="local"`, its workers.
        scheduler: The address of a Dask scheduler (`tcp://host:8786`), or `local` for one of our own.

    Raises:
        UsageError: `n` is below 1, or more than Windows can wait for; Dask is not installed.
        DataError: The scheduler cannot be reached.
    """
    if n < 1:
        raise UsageError(f"workers is {n}; 1 or more was expected")
    if n > MOST_ON_WINDOWS and os.name == "nt" and scheduler is None:
        raise UsageError(f"workers is {n}; Windows waits for {MOST_ON_WINDOWS} processes at most")
    if scheduler is None:
        return Here() if n == 1 else Processes(n)
    from polaris_rxrx.cluster import Cluster

    return Cluster.connect(scheduler, n)
