"""Tables at an address and in a bucket: the same wells as of the file, of parts of it, and plain errors."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.cli import run
from polaris_rxrx.dataset import transfer
from polaris_rxrx.errors import DataError, UpstreamError, UsageError
from polaris_rxrx.maps.collect import collect
from polaris_rxrx.parallel import Processes
from polaris_rxrx.wells import pieces
from polaris_rxrx.wells.containers import open_embeddings
from polaris_rxrx.wells.memory import read_wells
from polaris_rxrx.wells.opened import open_wells
from polaris_rxrx.wells.reading import Choices, read
from polaris_rxrx.wells.remote import HttpFile, RemotePath, remote
from tests.servers import bucket as buckets
from tests.servers.ranges import Fault, Host, serving
from tests.wells_factory import small

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "aws_endpoint_url", "aws_endpoint_url_s3")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSE", 0.001)
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def host(folder: Path) -> Iterator[Host]:
    """The folder's table on a web server."""
    with serving() as host:
        host.files["sub/embeddings.parquet"] = (folder / "embeddings.parquet").read_bytes()
        yield host


@pytest.fixture
def s3(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[buckets.Bucket]:
    """The folder's table as three files below a prefix, and what does not belong to it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    frame = pd.read_parquet("embeddings.parquet")
    with buckets.serving() as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        for i in range(3):
            held = io.BytesIO()
            frame.iloc[i::3].to_parquet(held, index=False)
            bucket.objects[f"screen/p{i}/plate {i}.parquet"] = held.getvalue()
        bucket.objects["screen/_SUCCESS"] = b""
        bucket.objects["screening/other.parquet"] = b"of another table"
        yield bucket


def location(host: Host) -> str:
    return f"{host.address}/sub/embeddings.parquet"


def same_wells(found: object, name: str = "embeddings.parquet") -> None:
    wells, expected = read_wells("metadata.csv", found), read_wells("metadata.csv", name)
    np.testing.assert_array_equal(wells.x, expected.x)
    np.testing.assert_array_equal(wells.perturbation, expected.perturbation)
    np.testing.assert_array_equal(wells.experiment, expected.experiment)


def test_what_is_an_address() -> None:
    path = remote("HTTPS://user:secret@host.example/a//b.parquet?Signature=abc")
    assert path is not None and path.location == "https://user:secret@host.example/a//b.parquet?Signature=abc"
    assert str(path) == "https://host.example/a//b.parquet" and path.host == "host.example"
    assert path.name == "b.parquet" and path.suffix == ".parquet"
    assert str(remote("s3://bucket/a b/")) == "s3://bucket/a b/"
    again = pickle.loads(pickle.dumps(path))
    assert again == path and again.location == path.location and path.absolute() is path
    assert not path.exists() and not path.is_dir() and not path.is_file()
    assert remote("plates/https.parquet") is None and remote(Path("https:/host/a")) is None
    with pytest.raises(UsageError, match=r"https:///a: an address was expected, as in https://HOST/FILE"):
        remote("https:///a")


def test_a_file_is_read_like_any(host: Host, folder: Path) -> None:
    same_wells(location(host))
    same_wells(RemotePath(location(host)))
    assert host.requests and all(method == "GET" and asked for method, _, asked in host.requests)


def test_only_what_is_needed_is_asked_for(folder: Path) -> None:
    """A table of 16 MB, of which the ids and two features are read."""
    rng = np.random.default_rng(0)
    n, d = 40_000, 100
    table = pa.table(
        {"well_id": [f"w{i}" for i in range(n)]}
        | {f"feature_{i}": rng.normal(size=n).astype(np.float32) for i in range(d)}
    )
    held = io.BytesIO()
    pq.write_table(table, held, row_group_size=10_000)
    with serving() as host:
        host.files["large.parquet"] = held.getvalue()
        opened = open_embeddings(f"{host.address}/large.parquet")
        found = opened.read(["feature_3", "feature_97"])
        assert found.equals(table.select(["feature_3", "feature_97"]))
        ids = opened.read(["well_id"]).column(0)
        assert ids.equals(table.column("well_id"))
        assert 0 < host.sent < 0.15 * len(held.getvalue())


def test_row_groups_are_pieces_of_their_own(
    host: Host, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reads its bytes alone, in a process of its own; together they are the file's summary."""
    frame = pd.read_parquet("embeddings.parquet")
    held = io.BytesIO()
    frame.to_parquet(held, index=False, row_group_size=5)
    host.files["groups.parquet"] = held.getvalue()
    monkeypatch.setattr(pieces, "WHOLE", 1)
    expected = collect(open_wells("metadata.csv", "embeddings.parquet"))
    opened = open_wells("metadata.csv", f"{host.address}/groups.parquet")
    parts = pieces.pieces_of(opened.table, opened.features)
    assert len(parts) == -(-len(frame) // 5) and all(p.row_groups == (i,) for i, p in enumerate(parts))
    host.sent = 0
    ((_, block),) = parts[0].blocks(opened.features[:2], np.float64, most=1 << 20)
    np.testing.assert_array_equal(block.T, frame[opened.features[:2]].to_numpy(np.float64)[:5])
    for found in (collect(opened), collect(opened, workers=Processes(2))):
        np.testing.assert_allclose(found.sums, expected.sums, rtol=1e-12)
        np.testing.assert_array_equal(found.control_rows, expected.control_rows)


def test_what_a_server_calls_it_is_in_the_protocol(host: Host, s3: buckets.Bucket) -> None:
    content = host.files["sub/embeddings.parquet"]
    found = read("metadata.csv", location(host), Choices(), hashed=True).provenance
    answer = f'"{hashlib.md5(content).hexdigest()}"'
    assert found["embeddings_remote"] == {"size": len(content), "etag": answer}
    assert "embeddings_sha256" not in found and len(found["metadata_sha256"]) == 64
    many = read("metadata.csv", "s3://public/screen", Choices(), hashed=True).provenance["embeddings_remote"]
    plates = [content for key, content in s3.objects.items() if key.endswith(".parquet") and "/p" in key]
    assert many["n_files"] == 3 and many["size"] == sum(map(len, plates)) and len(many["list_sha256"]) == 64


def test_a_prefix_is_one_table_and_is_read_without_credentials(s3: buckets.Bucket) -> None:
    same_wells("s3://public/screen")
    same_wells("s3://public/screen/")
    assert s3.signed == [] and not any("other" in request for request in s3.requests)
    one = open_embeddings("s3://public/screen/p1/plate 1.parquet")
    assert str(one.path) == "s3://public/screen/p1/plate 1.parquet" and not one.parts
    opened = open_wells("metadata.csv", "s3://public/screen")
    expected = collect(open_wells("metadata.csv", "embeddings.parquet"))
    found = collect(opened, workers=Processes(2))
    np.testing.assert_allclose(found.sums, expected.sums, rtol=1e-12)


def test_credentials_of_the_environment_are_used(s3: buckets.Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in refuses whoever signs, so that a signature shows."""
    from polaris_rxrx.wells import remote as module

    module._system.cache_clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    try:
        with pytest.raises(UpstreamError, match=r"s3://public/screen: cannot be read .*Check the address"):
            open_embeddings("s3://public/screen")
    finally:
        module._system.cache_clear()
    assert s3.signed


@pytest.mark.parametrize(
    ("faults", "error", "message"),
    [
        ([Fault(status=404)], DataError, r"/sub/embeddings.parquet: no such file \(HTTP 404 of 127.0.0.1"),
        ([Fault(whole=True)], DataError, r"sends files only as a whole \(it knows no range requests\)"),
        ([Fault(status=403)], UpstreamError, r"refused access \(HTTP 403\). It may need a signed address"),
        ([Fault(status=503)], UpstreamError, r"is overloaded or out of order \(HTTP 503\)"),
        ([Fault(after=10)], UpstreamError, r"did not send it: the connection broke off"),
        ([Fault(status=416)], DataError, r"is empty, or was cut"),
    ],
)
def test_what_goes_wrong_is_told(
    host: Host, faults: list[Fault], error: type[Exception], message: str
) -> None:
    host.faults = faults
    with pytest.raises(error, match=message):
        open_embeddings(location(host))
    assert len(host.requests) == (
        1 + transfer.RETRIES if error is UpstreamError and "403" not in message else 1
    )


def test_a_broken_transfer_goes_on_where_it_stopped(host: Host) -> None:
    content = bytes(range(256)) * 2_000
    host.files["sub/embeddings.parquet"] = content
    host.faults = [Fault(times=1, status=503), Fault(times=2, skip=1, after=100_000)]
    file = HttpFile(RemotePath(location(host)))
    file.seek(1_000)
    assert file.read(300_000) == content[1_000:301_000]
    asked = [part for _, _, part in host.requests]
    assert asked == [
        "bytes=-65536",
        "bytes=-65536",
        "bytes=1000-300999",
        "bytes=101000-300999",
        "bytes=201000-300999",
    ]
    assert file.tell() == 301_000 and file.seek(-5, io.SEEK_END) == len(content) - 5
    assert file.read() == content[-5:] and file.read(10) == b""
    file.close()


def test_a_transfer_that_stays_broken_is_told_in_the_middle_of_a_piece(folder: Path) -> None:
    """Also where pyarrow asks for several columns beside each other, in threads of its own."""
    rng = np.random.default_rng(0)
    table = pa.table(
        {"well_id": [f"w{i}" for i in range(9_000)]} | {f"f_{i}": rng.normal(size=9_000) for i in "ab"}
    )
    held = io.BytesIO()
    pq.write_table(table, held)
    with serving() as host:
        host.files["t.parquet"] = held.getvalue()
        opened = open_embeddings(f"{host.address}/t.parquet")
        (piece,) = pieces.pieces_of(opened, ["f_a", "f_b"])
        ((_, block),) = piece.blocks(["f_a", "f_b"], np.float64)
        np.testing.assert_array_equal(block, [table.column("f_a"), table.column("f_b")])
        host.faults = [Fault(skip=1, after=0)]
        with pytest.raises(UpstreamError, match=r"t.parquet: 127.0.0.1:\d+ did not send it: the"):
            list(piece.blocks(["f_a", "f_b"], np.float64))


def test_the_proxy_of_the_environment_is_the_way(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in answers as a proxy, too, which is asked for whole addresses."""
    monkeypatch.setenv("HTTP_PROXY", host.address)
    same_wells("http://tables.example/sub/embeddings.parquet")
    assert {name for _, name, _ in host.requests} == {"sub/embeddings.parquet"}


def test_a_file_that_changes_is_not_mixed(host: Host, folder: Path) -> None:
    table = open_embeddings(location(host))
    (piece,) = pieces.pieces_of(table, ["feature_0"])
    held = io.BytesIO()
    frame = pd.read_parquet("embeddings.parquet")
    frame.assign(feature_0=0.5).to_parquet(held, index=False)
    host.files["sub/embeddings.parquet"] = held.getvalue()
    with pytest.raises(DataError, match=r"has changed since it was opened; run the same command again"):
        list(piece.blocks(["feature_0"], np.float64))


def test_what_is_no_parquet_and_what_is_nowhere(host: Host, s3: buckets.Bucket) -> None:
    host.files["a.csv"] = b"well_id,feature_0\nw,1\n" * 1_000
    with pytest.raises(DataError, match=r"a.csv: not a whole parquet file, and of what is elsewhere nothing"):
        open_embeddings(f"{host.address}/a.csv")
    with pytest.raises(DataError, match=r"s3://public/gone: the bucket has no such file, and none below it"):
        open_embeddings("s3://public/gone")
    with pytest.raises(UpstreamError, match=r"http://127.0.0.1:1/x.parquet: 127.0.0.1:1 did not send it"):
        open_embeddings("http://127.0.0.1:1/x.parquet")
    with pytest.raises(UsageError, match=r"--ids a.txt: http://.* is no .npy file"):
        open_embeddings(location(host), ids=Path("a.txt"))


def test_commands_take_addresses(host: Host, s3: buckets.Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--metadata", "metadata.csv"]
    for table, name in (
        (location(host), "web"),
        ("s3://public/screen", "s3"),
        ("embeddings.parquet", "here"),
    ):
        assert run(["summarize", table, *words, "--out", f"{name}.summary.parquet"]) == 0
        assert not Path(f"{name}.summary.parquet.parts").exists()
    capsys.readouterr()
    first, second, third = (
        pq.read_table(f"{name}.summary.parquet").to_pandas() for name in ("web", "s3", "here")
    )
    pd.testing.assert_frame_equal(first, third)
    pd.testing.assert_frame_equal(second, third)
    Path("r.txt").write_text("a,b\nTP53,BRCA1\nTWIN,ONCE\n")
    relations = ["--relations", "r.txt", "--out", "res", "--resume"]
    assert run(["evaluate", "gene-gene", "--embeddings", location(host), *words, *relations]) == 0
    capsys.readouterr()
    assert run(["evaluate", "gene-gene", "--embeddings", location(host), *words, *relations]) == 0
    assert "kept" in capsys.readouterr().err
    host.files["sub/embeddings.parquet"] = s3.objects["screen/p0/plate 0.parquet"]
    again = [*words, *relations, "--allow-missing-wells"]
    assert run(["evaluate", "gene-gene", "--embeddings", location(host), *again]) == 0
    assert "gene-gene runs: " in capsys.readouterr().err
    assert run(["summarize", f"{host.address}/gone.parquet", *words, "--out", "gone.parquet"]) == 1
    assert "gone.parquet: no such file (HTTP 404" in capsys.readouterr().err
