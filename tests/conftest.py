"""What all tests stand on: a clean environment, quick property tests, the data at hand, small tasks."""

from __future__ import annotations

import contextlib
import gc
import io
import itertools
import os
import signal
import socket
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

# Side by side, the threads of one process's BLAS wait for the other's, up to ten times as long as the work
# takes; a process reads this once, when it loads NumPy, so it stands above everything that imports it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import certifi
import numpy as np
from filelock import FileLock
from hypothesis import settings

from polaris_rxrx import _version
from polaris_rxrx.hub import tokens, upstream
from polaris_rxrx.task import MetricSpec, Task
from tests.skips import pytest_sessionfinish, pytest_terminal_summary  # noqa: F401  # as hooks
from tests.warm import Warm

ROOT = Path(__file__).resolve().parent.parent
# The folder that holds the package: `ROOT` in a checkout, site-packages where these tests are run on a wheel.
HOME = Path(_version.__file__).resolve().parent.parent

settings.register_profile("default", deadline=None, max_examples=30)
settings.register_profile("ci", deadline=None, max_examples=30, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=500)  # pytest --hypothesis-profile=thorough
settings.load_profile("ci" if os.environ.get("CI") else "default")

# Started by `nohup` or `&`, tests would hand ignored signals on to the commands that they stop with them.
for _number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler)

MakeTask = Callable[..., Task]

# The tests of the Hub's commands: folders, files and single tests. They skip where polaris-lib is not, as on
# Python 3.13, to which it does not go.
NEEDS_POLARIS = (
    "tests/hub/test_account.py",
    "tests/hub/test_artifact.py",
    "tests/hub/test_benchmarks.py",
    "tests/hub/test_upload.py",
    "tests/hub/test_upstream.py",
    "tests/cli/test_login.py",
    "tests/cli/test_submit.py",
    "tests/cli/test_prepare.py::test_a_saved_benchmark_gives_the_same_files",
    "tests/cli/test_prepare.py::test_interrupted_it_leaves_nothing",  # in the middle of importing the client
    "tests/cli/test_prepare.py::test_score_official_shows_both",
    "tests/cli/test_prepare.py::test_the_artifact_is_a_genuine_one_and_agrees_with_ours",
    "tests/cli/test_prepare.py::test_the_client_agrees_on_the_real_table",
    "tests/test_bounded.py::test_a_chunk_that_claims_more_texts_than_it_may",
    "tests/test_bounded.py::test_absurd_claims",
    "tests/test_bounded.py::test_cards_of_that_kind",
    "tests/test_bounded.py::test_every_codec_within_bounds_and_beyond",
    "tests/test_fuzz.py",
    "tests/test_network.py",
    "tests/test_readme.py::test_the_submission_is_a_transcript",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "fuzz" not in config.option.markexpr:  # they run where they are asked for by name, and only there
        left_out = [item for item in items if item.get_closest_marker("fuzz")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    if upstream.is_installed():
        return
    skip = pytest.mark.skip(reason="polaris-lib is not installed (it needs Python 3.10 to 3.12)")
    for item in items:
        if item.nodeid.partition("[")[0].startswith(NEEDS_POLARIS):
            item.add_marker(skip)


def _of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this run of the tests, the same in each of its workers."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def _plots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For Matplotlib's font cache, which takes seconds to build: Matplotlib locks it, so once is enough."""
    folder = _of_all_workers(tmp_path_factory) / "matplotlib"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def _certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One certificate: loopback needs none, and a client that loads all of certifi's takes 70 ms to build."""
    first, end, _ = Path(certifi.where()).read_text("utf-8").partition("-----END CERTIFICATE-----\n")
    path = tmp_path_factory.mktemp("certificates") / "one.pem"
    path.write_text(first + end, "utf-8")
    return path


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """New folders, one after the other; `mktemp` would look through all earlier ones for the next number."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch, _homes: Iterator[Path], _plots: Path, _certificate: Path
) -> None:
    """No token, cache, task or setting of the person who runs the tests, and none left behind."""
    monkeypatch.setenv("COLUMNS", "100")  # as where no terminal is; theirs may be of any width
    for name in list(os.environ):
        foreign = name.startswith(("POLARIS_", "HF_", "HUGGINGFACE_", "HUGGING_FACE_"))
        if foreign and name not in ("POLARIS_RXRX_SHARED", "POLARIS_RXRX_CHROMIUM"):
            monkeypatch.delenv(name)
    home = next(_homes)
    home.mkdir()
    for name, folder in {
        "HOME": "",
        "USERPROFILE": "",
        "XDG_DATA_HOME": "data",
        "XDG_CACHE_HOME": "cache",
        "XDG_CONFIG_HOME": "config",
        "XDG_STATE_HOME": "state",
        "HF_HOME": "huggingface",
        "POLARIS_CACHE_DIR": "polaris",
        "POLARIS_RXRX_STATE": "submitted",
    }.items():
        monkeypatch.setenv(name, str(home / folder))
    monkeypatch.setenv("MPLCONFIGDIR", str(_plots))
    monkeypatch.setenv("SSL_CERT_FILE", str(_certificate))
    monkeypatch.setattr(tokens, "COST", 2**4)  # what it costs to guess a password; each login pays it


def copairs_map() -> Any:
    """`copairs.map`, which there is for Python 3.10 to 3.12."""
    if sys.version_info >= (3, 13):
        pytest.skip("copairs is not installed (it needs Python 3.10 to 3.12)")
    import copairs.map

    return copairs.map


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that is not part of the repository; skips where it is not at hand."""
    path = Path(os.environ.get("POLARIS_RXRX_SHARED") or ROOT.parent / "shared" / "data")
    if not path.is_dir():
        pytest.skip(f"shared data not found: {path}")
    return path


def _make_task(
    pairs: Sequence[tuple[str, str, float | None]],
    *,
    metrics: Sequence[MetricSpec] | None = None,
    labels: bool = True,
    more: dict[str, list[str]] | None = None,
    **fields: Any,
) -> Task:
    if metrics is None:
        metrics = [MetricSpec(name=n, label=n, group_by="treatment", on_error="ignore") for n in PAIR_METRICS]
    active = np.array([np.nan if a is None else a for *_, a in pairs], dtype=np.float64)
    return Task(
        inputs={"treatment": [t for t, *_ in pairs], "gene_symbol": [g for _, g, _ in pairs], **(more or {})},
        active=active if labels else None,
        main_metric=metrics[0].name,
        metrics=tuple(metrics),
        **{"artifact_id": "someone/small", "source": "made up", **fields},
    )


PAIR_METRICS = ("pr_auc", "roc_auc")
PAIRS = (
    ("ABT-199", "BCL2", 1),
    ("ABT-199", "SEPT2", 0),
    ("ABT-199", "MARCH1", 0),
    ("Dactolisib (BEZ235", "BCL2", 0),
    ("Dactolisib (BEZ235", "MTOR", 1),
    ("Eugenol (no structure)", "MTOR", 0),
)


@pytest.fixture(scope="session")
def make_task() -> MakeTask:
    """Build a Task of (treatment, gene_symbol, active or None for no label)."""
    return _make_task


@pytest.fixture(scope="session")
def task() -> Task:
    """Six pairs of three treatments; the last treatment has no active."""
    return _make_task(PAIRS)


@pytest.fixture(scope="session")
def odd_task() -> Task:
    """Names as they come, and worse."""
    names = (
        "NA",
        "nan",
        "None",
        "a,b",
        'say "hi"',
        "two\nlines",
        "one\rtwo",
        "ends ",
        " starts",
        "β-乙",
        "1e5",
    )
    return _make_task([(t, g, float(t <= g)) for t in names for g in (*names, "", "True")])


@pytest.fixture(scope="session")
def told_demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What `polaris-rxrx demo` writes, and what it prints in 80 columns. All workers of the tests read it."""
    from polaris_rxrx.cli import run

    base = _of_all_workers(tmp_path_factory)
    folder, told = base / "made-up" / "demo", base / "made-up" / "told.txt"
    with FileLock(base / "made-up.lock"):  # whoever is first makes it
        if not told.exists():
            folder.parent.mkdir()
            with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
                patch.chdir(folder.parent)
                patch.setenv("COLUMNS", "80")
                assert run(["demo", folder.name]) == 0
            told.write_text(printed.getvalue(), "utf-8", newline="")
    return folder, told.read_text("utf-8")


@pytest.fixture(scope="session")
def demo(told_demo: tuple[Path, str]) -> Path:
    """What `polaris-rxrx demo` writes: task/, data/ and predictions of three baselines. For reading only."""
    folder, _ = told_demo
    return folder


@pytest.fixture
def at_demo(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a folder of one's own with links to the demo's files."""
    for path in demo.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", "data")
    return tmp_path


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Starts processes that have the client imported. For what is about them, not about their imports."""
    warm = Warm(tmp_path_factory.mktemp("warm"), client=True)
    yield warm
    warm.close()


@pytest.fixture(scope="session")
def lukewarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Starts processes that have NumPy and its like imported, but neither the client nor this package."""
    warm = Warm(tmp_path_factory.mktemp("lukewarm"), client=False)
    yield warm
    warm.close()


@pytest.fixture
def prepared(task: Task, tmp_path: Path) -> Path:
    """`task` as a prepared folder."""
    folder = tmp_path / "task"
    folder.mkdir()
    task.save(folder)
    return folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Chromium that runs; skips where there is none."""
    from tests.report.browser import started

    with started(tmp_path_factory.mktemp("browser")) as running:
        yield running


def _connections() -> weakref.WeakSet[socket.socket]:
    """The open sockets of this process on a network."""
    found = (thing for thing in gc.get_objects() if issubclass(type(thing), socket.socket))
    return weakref.WeakSet(s for s in found if s.fileno() != -1 and s.family == socket.AF_INET)


@pytest.fixture(scope="module")
def dask_goes() -> Iterator[None]:
    """Closes what Dask leaves open, which else warns in whatever test is next when it is collected."""
    before = _connections()
    yield
    for left in _connections():
        if left not in before:
            left.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's script: the one that `$POLARIS_RXRX_AXE` names, else that of `axe-playwright-python`."""
    import axe_playwright_python

    path = os.environ.get("POLARIS_RXRX_AXE") or Path(axe_playwright_python.__path__[0]) / "axe.min.js"
    return Path(path).read_text("utf-8")
