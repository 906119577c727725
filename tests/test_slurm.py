"""What `docs/clusters.md` says of SLURM, typed on a SLURM of one node: summaries are those of one process."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx.cli import run
from polaris_rxrx.cluster import Cluster
from polaris_rxrx.dataset.sandbox_images import pictures, write_shards
from polaris_rxrx.maps import collect as collecting
from polaris_rxrx.maps.collect import collect
from polaris_rxrx.parallel import workers
from polaris_rxrx.wells.opened import OpenWells, open_wells
from tests.featurize.plates import tree
from tests.servers import slurm as servers
from tests.servers.slurm import Slurm
from tests.wells_factory import make_embeddings, make_metadata, write
from tests.work import element, environment, hold_once

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of Dask's own clean-up
    pytest.mark.usefixtures("dask_goes"),
]
PAGE = (Path(__file__).parent.parent / "docs" / "clusters.md").read_text("utf-8")
FILES = dict(re.findall(r"^`(\w+\.\w+)`: [^`]*(?:`\w+`[^`]*)*\n\n```\w+\n(.*?)^```", PAGE, re.M | re.S))
LINES = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)


def lines(words: str) -> str:
    """The block to type that has these words."""
    (found,) = (block for block in LINES if words in block)
    return found


def wait_for(what: Callable[[], Any], seconds: float = 40) -> Any:
    """What it returns once that is something."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"nothing within {seconds} seconds"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    with ExitStack() as stack:
        try:
            slurm = stack.enter_context(servers.serving())
        except servers.CannotStart as error:
            pytest.skip(f"no SLURM: {error}")
        yield slurm
    assert not slurm.folder.exists() and not servers.started_by(slurm.folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's files beside a table of six files."""
    folder = tmp_path_factory.mktemp("shared")
    assert FILES.keys() == {"scheduler.sbatch", "worker.sbatch", "address.py", "summarize.py"}
    for name, content in FILES.items():
        (folder / name).write_text(content, "utf-8")
    metadata = make_metadata()
    frame = make_embeddings(metadata)
    write(folder, metadata, frame)
    (folder / "plates").mkdir()
    for i in range(6):
        frame.iloc[i::6].to_parquet(folder / "plates" / f"{i}.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def typed(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], str]:
    """Types lines into a shell in which this Python's environment is active, and gives what was printed."""
    home = tmp_path_factory.mktemp("home")
    for name, words in (("python", ()), ("dask", ("-m", "dask")), ("polaris-rxrx", ("-m", "polaris_rxrx"))):
        program = home / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join((sys.executable, *words))} "$@"\n')
        program.chmod(0o755)
    environment = {
        **{name: value for name, value in slurm.with_mine().items() if not name.startswith("DASK_")},
        "HOME": str(home),
        "TMPDIR": str(home),
        "PATH": os.pathsep.join((str(home), slurm.environment["PATH"])),
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        # As a site would set them: the loopback interface, and no fixed port.
        "DASK_JOBQUEUE__SLURM__INTERFACE": "lo",
        "DASK_JOBQUEUE__SLURM__SCHEDULER_OPTIONS": "{'dashboard_address': '127.0.0.1:0'}",
        "DASK_JOBQUEUE__SLURM__WORKER_EXTRA_ARGS": "['--dashboard-address', '127.0.0.1:0']",
    }

    def type_(text: str, folder: Path) -> str:
        done = subprocess.run(
            ("bash", "-euc", text), cwd=folder, env=environment, capture_output=True, text=True, timeout=60
        )
        logs = "".join(path.read_text() for path in sorted(folder.glob("slurm-*.out")))
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}\n{logs}"
        return done.stdout

    return type_


@pytest.fixture(scope="module")
def wells(folder: Path) -> OpenWells:
    return open_wells(folder / "metadata.csv", folder / "plates")


@pytest.fixture(scope="module")
def started(slurm: Slurm, typed: Callable[[str, Path], str], folder: Path) -> Iterator[Cluster]:
    """A client of the page's scheduler, with its two workers; the page's lines end them."""
    typed(lines("sbatch scheduler.sbatch"), folder)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        patch.chdir(folder)
        wait_for(Path("scheduler.json").exists)
        runpy.run_path("address.py")  # the page's lines type it; here it need be no process of its own
    address = printed.getvalue().strip()
    assert re.fullmatch(rf"tcp://{slurm.address}:\d+", address)
    cluster = workers(scheduler=address)
    assert isinstance(cluster, Cluster)
    yield cluster
    cluster.close()
    typed(lines("scancel"), folder)
    wait_for(lambda: not slurm.jobs("pending,running,completing"))


def test_the_workers_of_slurm_s_jobs_do_what_one_process_does(
    started: Cluster, slurm: Slurm, wells: OpenWells, monkeypatch: pytest.MonkeyPatch
) -> None:
    started.client.wait_for_workers(2, timeout=40)
    where = {job for _, job in started.run(element, range(8))}
    running = {job for job, state in slurm.jobs().items() if state == "RUNNING"}
    assert len(where) == 2 and where < running
    monkeypatch.setattr(collecting, "JOB", 2000)
    assert np.array_equal(collect(wells).sums, collect(wells, workers=started).sums)
    ports = slurm.ports()
    assert len(ports) >= 5  # slurmctld, slurmd, the scheduler, and each worker
    assert {host for host, _ in ports} == {slurm.address}


def test_a_cancelled_job_s_work_is_done_by_the_others(
    started: Cluster,
    slurm: Slurm,
    typed: Callable[[str, Path], str],
    folder: Path,
    wells: OpenWells,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark = tmp_path / "mark"

    def cancel() -> str:
        job: str = wait_for(lambda: mark.exists() and mark.read_text().strip())
        slurm.run("scancel", job)
        return job

    monkeypatch.setattr(collecting, "JOB", 2000)
    one = collect(wells)
    monkeypatch.setattr(collecting, "reduce_job", partial(hold_once, str(mark)))
    with ThreadPoolExecutor(1) as beside:
        cancelled = beside.submit(cancel)
        many = collect(wells, workers=started)
    assert np.array_equal(one.sums, many.sums)
    job = cancelled.result()
    wait_for(lambda: slurm.jobs()[job] == "CANCELLED")
    left = {job for _, job in started.run(element, range(4))}
    assert left and job not in left
    typed("sbatch --array=3 worker.sbatch", folder)  # for the other tests, which wait for it


def test_the_page_s_scripts_write_the_summary_of_one_process(
    started: Cluster,
    typed: Callable[[str, Path], str],
    folder: Path,
    wells: OpenWells,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    printed = typed(lines("summarize plates"), folder)
    assert printed == f"plates.summary.parquet: {len(wells.row):,} wells of 5 experiments, 6 features\n"
    assert_same(folder, monkeypatch)


def test_dask_jobqueue_writes_the_summary_of_one_process(
    slurm: Slurm,
    typed: Callable[[str, Path], str],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("dask_jobqueue")
    here = tmp_path / "shared"
    here.mkdir()
    for name in ("metadata.csv", "plates", "summarize.py"):
        (here / name).symlink_to(folder / name)
    before = slurm.jobs()
    typed("python summarize.py", here)
    jobs = slurm.jobs().keys() - before.keys()
    assert len(jobs) == 2
    wait_for(lambda: {slurm.jobs()[job] for job in jobs} <= {"CANCELLED", "COMPLETED"})
    assert_same(here, monkeypatch)


def assert_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The summary kept there is the file that one process keeps, to the bit: sums, controls, provenance."""
    monkeypatch.chdir(folder)
    assert run(["summarize", "plates", "--metadata", "metadata.csv", "--out", "one.summary.parquet"]) == 0
    one = Path("one.summary.parquet").read_bytes()
    assert len(one) > 10_000 and one == Path("plates.summary.parquet").read_bytes()


def test_where_there_is_no_slurm_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(servers, "SYSTEM", ())
    missing = r"munged, slurmctld, slurmd, .* not found: Debian has them in slurm-wlm and munge"
    with pytest.raises(servers.CannotStart, match=missing), servers.serving():
        pass


def test_the_page_s_links_and_files_are_there() -> None:
    for target in re.findall(r"`(tests/\S+\.py)`", PAGE):
        assert (Path(__file__).parent.parent / target).is_file(), target
    assert "test_slurm" in PAGE


def test_features_of_images_are_those_of_one_process(
    started: Cluster, typed: Callable[[str, Path], str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wells = [f"gene-001_{plate}_B{column:02d}" for plate in (1, 2) for column in range(1, 5)]
    rng = np.random.default_rng(0)
    drawn = {well: rng.integers(1, 255, (6, 16, 16)).astype(np.uint8) for well in wells}
    write_shards(folder / "images", [p for well, pixels in drawn.items() for p in pictures(well, pixels)])
    (folder / "mymodel.py").write_text("def embed(x):\n    return x.mean(axis=(2, 3))\n")
    printed = typed(lines("featurize mymodel:embed"), folder)
    assert "features: 8 wells, 6 features, in 2 parts" in printed
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mymodel", raising=False)  # another page's
    assert run(["featurize", "mymodel:embed", "--images", "images", "--out", "here"]) == 0
    assert tree(folder / "here") == tree(folder / "features")
    trimmed = started.client.run(environment, ("MALLOC_TRIM_THRESHOLD_",))
    assert trimmed and all(held == ["268435456"] for held in trimmed.values())
