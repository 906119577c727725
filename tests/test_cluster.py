"""A Dask cluster does what one process does; a scheduler that is not there is told as that."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polaris_rxrx import cluster
from polaris_rxrx.cluster import Cluster
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps import collect as collecting
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.maps.collect import collect
from polaris_rxrx.parallel import Here, merged, workers
from polaris_rxrx.wells import pieces
from polaris_rxrx.wells.memory import read_wells
from polaris_rxrx.wells.opened import open_wells
from tests.servers import bucket as buckets
from tests.servers import ranges
from tests.wells_factory import make_embeddings, make_metadata, write
from tests.work import as_set, environment, fail, join, kill_once, pair

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of Dask's own clean-up
    pytest.mark.usefixtures("dask_goes"),
]


@pytest.fixture(scope="module")
def mark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mark") / "killed"


@pytest.fixture(scope="module")
def bucket() -> Iterator[buckets.Bucket]:
    """Of a name of its own: a process knows a bucket by its name, wherever others had theirs."""
    with buckets.serving("of-a-cluster") as bucket:
        yield bucket


@pytest.fixture(scope="module")
def local(mark: Path, bucket: buckets.Bucket) -> Iterator[Cluster]:
    """The environment lasts as long as it does, for a worker in place of one that was killed has it, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KILLED_ONCE", str(mark))
        for name, value in bucket.environment.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
        found = workers(2, "local")
        assert isinstance(found, Cluster)
        yield found
        found.close()


def test_the_cluster_s_map_is_that_of_one_process(
    tmp_path: Path, local: Cluster, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert local.n == 2
    assert local.dashboard in ("", str(local.client.dashboard_link))  # which bokeh serves, if it is there
    metadata = make_metadata()
    frame = make_embeddings(metadata)
    paths = write(tmp_path, metadata, frame)
    (tmp_path / "plates").mkdir()
    for i in range(6):
        frame.iloc[i::6].to_parquet(tmp_path / "plates" / f"{i}.parquet", index=False)
    monkeypatch.setattr(collecting, "JOB", 2000)
    wells = open_wells(paths[0], tmp_path / "plates")
    one, many = collect(wells), collect(wells, workers=local)
    assert np.array_equal(one.sums, many.sums)
    np.testing.assert_allclose(build_map(many).x, build_map(read_wells(*paths)).x, atol=1e-8)
    # And the same where a worker is killed in the middle of its work.
    monkeypatch.setattr(collecting, "reduce_job", kill_once)
    after = collect(wells, workers=local)
    assert mark.exists() and np.array_equal(one.sums, after.sums)


def test_workers_of_our_own_have_one_thread_and_keep_freed_memory(local: Cluster) -> None:
    """glibc's own way with freed memory: Dask's setting makes arithmetic on images four times as slow."""
    import dask

    wanted = ("MALLOC_TRIM_THRESHOLD_", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    found = local.client.run(environment, wanted)
    assert found and all(held == [None, "1", "1"] for held in found.values())
    held = dask.config.get("distributed.nanny.pre-spawn-environ")
    assert str(held["MALLOC_TRIM_THRESHOLD_"]) == "65536"  # for others, what they had


def test_tables_elsewhere_are_read_by_the_workers(
    tmp_path: Path, local: Cluster, bucket: buckets.Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a bucket's prefix and from a web server; each worker asks for what it needs itself."""
    metadata = make_metadata()
    frame = make_embeddings(metadata)
    paths = write(tmp_path, metadata, frame)
    for i in range(4):
        bucket.objects[f"plates/{i}.parquet"] = frame.iloc[i::4].to_parquet(index=False)
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "groups.parquet", row_group_size=20)
    monkeypatch.setattr(collecting, "JOB", 2000)
    expected = build_map(read_wells(*paths)).x
    with ranges.serving() as host:
        host.files["sub/embeddings.parquet"] = (tmp_path / "groups.parquet").read_bytes()
        monkeypatch.setattr(pieces, "WHOLE", 1500)
        for address in (f"s3://{bucket.name}/plates", f"{host.address}/sub/embeddings.parquet"):
            wells = open_wells(paths[0], address)
            one, many = collect(wells), collect(wells, workers=local)
            assert np.array_equal(one.sums, many.sums)
            assert np.array_equal(one.control_rows, many.control_rows)
            np.testing.assert_allclose(build_map(many).x, expected, atol=1e-8)
            assert one.provenance == many.provenance
            # What is no longer what was opened is told by whoever reads it.
            bucket.objects["plates/2.parquet"] = frame.iloc[1::4].to_parquet(index=False)
            host.files["sub/embeddings.parquet"] = (tmp_path / "embeddings.parquet").read_bytes()
            with pytest.raises(DataError, match="has changed"):
                collect(wells, workers=local)
            bucket.objects["plates/2.parquet"] = frame.iloc[2::4].to_parquet(index=False)
            host.files["sub/embeddings.parquet"] = (tmp_path / "groups.parquet").read_bytes()


@pytest.mark.parametrize("n", [1, 2, 7])
def test_parts_are_merged_where_they_are(local: Cluster, n: int) -> None:
    """In the tree that one process has, and by workers alone."""
    *kept, (last, (tree, processes)) = merged(local, pair, range(n), join)
    assert sorted(kept) == [(i, i * i) for i in range(n)] and last == n
    *_, (_, (expected, here)) = merged(Here(), pair, range(n), join)
    assert str(tree) == str(expected) == {1: "0", 2: "(0 1)", 7: "(((0 1) (2 3)) ((4 5) 6))"}[n]
    assert os.getpid() in as_set(here) and os.getpid() not in as_set(processes)
    assert list(merged(local, pair, [], join)) == [(0, None)]


def test_an_error_among_what_is_merged_comes_home(local: Cluster) -> None:
    with pytest.raises(DataError, match="row 3 is wrong"):
        list(merged(local, pair, [1, -1, 2], join))


def test_an_error_comes_home(local: Cluster) -> None:
    with pytest.raises(DataError, match="row 3 is wrong"):
        list(local.run(fail, [1, 2]))


def test_workers_of_another_version_are_refused(local: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    held = cluster.versions()
    theirs = {"tcp://127.0.0.1:1": {**held, "numpy": "0.1"}}
    monkeypatch.setattr(local.client, "run", lambda _: theirs)
    with pytest.raises(DataError, match=r"worker tcp://127.0.0.1:1 has numpy 0.1, and here it is"):
        local._check_versions()
    monkeypatch.setattr(local.client, "run", lambda _: {})
    with pytest.raises(DataError, match="has no workers"):
        local._check_versions()


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)  # nobody listens there; the client asks again until then
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(DataError, match=rf"no Dask scheduler answers at tcp://127.0.0.1:{port} within"):
        workers(scheduler=f"tcp://127.0.0.1:{port}")


def test_an_address_that_is_none() -> None:
    with pytest.raises(UsageError, match=r"--scheduler nonsense://x.*an address such as tcp://host:8786"):
        workers(scheduler="nonsense://x")


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r'pip install "polaris-rxrx\[distributed\]"'):
        workers(scheduler="local")
