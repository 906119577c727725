"""The workers of a Dask cluster, as `polaris_rxrx.parallel` has those of one machine.

Conventions
    `tcp://host:8786` is a scheduler that runs; `local` starts one here, with processes of one thread each.
    Workers need this package, of this version, and Python and NumPy of versions that agree: that is checked
    before any work, and again when others join. What they read stands where all of them can read it. A task
    whose worker dies is done again elsewhere, `RETRIES` times.
    Workers of our own do without `MALLOC_TRIM_THRESHOLD_`, which Dask sets to 65536: whatever its value,
    glibc no longer adapts to the sizes that are asked for, and hands every array of 128 KB or more back to
    the system when it is freed, to get it zeroed a moment later. Arithmetic on images of 512 x 512 takes
    four times as long then.
    Dask is in the extra `distributed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from typing import Any

from polaris_rxrx._version import __version__
from polaris_rxrx.errors import DataError, UsageError

RETRIES = 3
PATIENCE = 10  # seconds until a scheduler that says nothing is not there
_TRIM, _OF_DASK = "MALLOC_TRIM_THRESHOLD_", "65536"
_AGREE = ("python", "numpy", "pyarrow", "polaris_rxrx")


@dataclass(frozen=True, eq=False)
class Cluster:
    """A client of a scheduler; `dashboard` is where to look at it."""

    client: Any
    dashboard: str

    @classmethod
    def connect(cls, address: str, n: int = 1) -> Cluster:
        """Find a scheduler, or start one with `n` workers (`local`).

        Raises:
            UsageError: Dask is not installed, or the address is none.
            DataError: Nobody answers there, there are no workers, or they have other versions.
        """
        try:
            distributed = _distributed()
        except ImportError:
            raise UsageError('a scheduler needs Dask: pip install "polaris-rxrx[distributed]"') from None
        if address == "local":
            with _without_trimming():
                cluster = distributed.LocalCluster(
                    n_workers=n,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    worker_dashboard_address="127.0.0.1:0",
                )
            client = distributed.Client(cluster)
        else:
            try:
                client = distributed.Client(address, timeout=PATIENCE)
            except ValueError as error:
                raise UsageError(
                    f"--scheduler {address}: {str(error).splitlines()[0]}; an address such as "
                    "tcp://host:8786, or local, was expected"
                ) from None
            except OSError:
                raise DataError(
                    f"no Dask scheduler answers at {address} within {PATIENCE} seconds; is it running, and "
                    "can this machine reach it?"
                ) from None
        # Without bokeh nobody serves the dashboard.
        found = cls(client, str(client.dashboard_link) if find_spec("bokeh") else "")
        try:
            found._check_versions()
        except BaseException:
            found.close()
            raise
        return found

    @property
    def n(self) -> int:
        return max(1, int(sum(self.client.nthreads().values())))

    def run(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Number and result of each item, as they are ready."""
        return self._results(lambda item: self._submit(function, item), items)

    def run_merged(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        merge: Callable[[Any, Any], Any],
        tree_of: Callable[[Callable[[Any, Any], Any]], Any],
    ) -> Iterator[tuple[int, Any]]:
        """Number and first result of each item; at last how many there are, and the second ones merged.

        Workers merge them, pair by pair, by the tree that `tree_of` makes of what merges two; a part that a
        worker had when it died is made again.
        """

        def start(item: Any) -> Any:
            both = self._submit(function, item)
            tree.add(self._submit(_second, both, priority=1))
            return self._submit(_first, both, priority=1)

        # Before new items are begun, so that few parts wait.
        tree = tree_of(lambda one, other: self._submit(merge, one, other, priority=1))
        yield from self._results(start, items)
        whole = tree.whole()
        yield len(items), None if whole is None else self._result(whole)

    def _submit(self, function: Callable[..., Any], *given: Any, priority: int = 0) -> Any:
        # With the task, not scattered: an item on a worker that dies would be lost.
        return self.client.submit(function, *given, pure=False, retries=RETRIES, priority=priority)

    def _results(self, submit: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Number and result of what is submitted for each item, as they are ready."""
        distributed = _distributed()
        left = iter(enumerate(items))
        running: dict[Any, int] = {}
        known = set(self.client.nthreads())

        def start() -> list[Any]:
            """As much more as the workers that are there now have room for."""
            nonlocal known
            if not set(self.client.nthreads()) <= known:  # others have joined
                self._check_versions()
                known = set(self.client.nthreads())
            begun = []
            for i, item in islice(left, max(2 * self.n - len(running), 0)):
                future = submit(item)
                running[future] = i
                begun.append(future)
            return begun

        ready = distributed.as_completed(start())
        try:
            for future in ready:
                result = self._result(future)
                yield running.pop(future), result
                ready.update(start())
        finally:
            self.client.cancel(list(running))

    @staticmethod
    def _result(future: Any) -> Any:
        try:
            return future.result()
        except _distributed().KilledWorker as error:
            raise DataError(
                f"a worker died each of {error.allowed_failures + 1} times that it was given a piece "
                "of the work; has it too little memory?"
            ) from None

    def close(self) -> None:
        """Leave the scheduler; one of our own ends."""
        cluster = self.client.cluster if self.client.cluster is not None else None
        self.client.close()
        if cluster is not None:
            cluster.close()

    def _check_versions(self) -> None:
        mine = versions()
        try:
            theirs = self.client.run(versions)
        except ImportError as error:
            raise DataError(f"a worker lacks a package that it needs ({error})") from None
        if not theirs:
            raise DataError("the Dask scheduler has no workers; start some (dask worker ADDRESS)")
        for worker, held in theirs.items():
            for name in _AGREE:
                if held.get(name) != mine[name]:
                    raise DataError(
                        f"worker {worker} has {name} {held.get(name)}, and here it is {mine[name]}; the same "
                        "was expected"
                    )


@contextmanager
def _without_trimming() -> Iterator[None]:
    """Workers started within leave freed memory to glibc, unless somebody has set Dask otherwise."""
    import dask
    import distributed  # noqa: F401  # whose settings are there once it is imported

    name = "distributed.nanny.pre-spawn-environ"
    asked = dict(dask.config.get(name, {}))
    if str(asked.get(_TRIM)) == _OF_DASK:
        del asked[_TRIM]
    # As a whole: what is set below a name is added to what is there.
    with dask.config.set({name: None}), dask.config.set({name: asked}):
        yield


def _first(both: tuple[Any, Any]) -> Any:
    return both[0]


def _second(both: tuple[Any, Any]) -> Any:
    return both[1]


def _distributed() -> Any:
    import distributed

    return distributed


def versions() -> dict[str, str]:
    """What has to agree between whoever asks and whoever works: Python without its last number."""
    import sys

    import numpy as np
    import pyarrow as pa

    python = ".".join(map(str, sys.version_info[:2]))
    return {"python": python, "numpy": np.__version__, "pyarrow": pa.__version__, "polaris_rxrx": __version__}
