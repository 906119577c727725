"""Profiles of a public bucket: a local file system stands for it, and a loopback server that talks S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from polaris_rxrx.dataset.profiles import fetch_profiles, public_bucket
from polaris_rxrx.dataset.screens import load_screen
from polaris_rxrx.errors import DataError, UpstreamError, UsageError
from tests.servers.bucket import Bucket, Fault, serving

PATHS = [f"source_13/workspace/profiles/b{i}/p{i}/p{i}.parquet" for i in range(3)]


@pytest.fixture
def bucket(tmp_path: Path) -> tuple[Any, str]:
    root = tmp_path / "bucket"
    for i, name in enumerate(PATHS):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(bytes([i]) * (i + 1) * 1_500_000)
    return fs.LocalFileSystem(), str(root)


def test_files_come_to_their_own_paths_once(bucket: tuple[Any, str], tmp_path: Path) -> None:
    told: list[str] = []
    seen: list[tuple[str, int, int | None]] = []
    folder = tmp_path / "data"
    found = fetch_profiles(bucket, PATHS, folder, say=told.append, progress=lambda *a: seen.append(a))
    assert found == [folder / name for name in PATHS]
    assert all((folder / n).read_bytes() == (Path(bucket[1]) / n).read_bytes() for n in PATHS)
    assert told == [f"3 of 3 profiles are to be copied from {bucket[1]}: 9,000,000 bytes"]
    assert seen[-1] == (PATHS[2], 4_500_000, 4_500_000)
    (folder / PATHS[1]).write_bytes(b"torn")
    fetch_profiles(bucket, PATHS, folder, say=told.append)
    assert told[1].startswith("1 of 3 profiles are to be copied") and told[1].endswith(": 3,000,000 bytes")
    assert (folder / PATHS[1]).stat().st_size == 3_000_000


def test_a_profile_that_is_not_there_is_told_before_any_is_copied(
    bucket: tuple[Any, str], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"has no 'gone.parquet'; 4 profiles were asked for"):
        fetch_profiles(bucket, [*PATHS, "gone.parquet"], tmp_path / "data")
    assert not (tmp_path / "data").exists()


class Short:
    """A file system that says more than it sends."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return [fs.FileInfo(p, fs.FileType.File, size=10_000_000) for p in paths]

    def open_input_stream(self, path: str) -> Any:
        return self.inner.open_input_stream(path)


def test_a_file_that_is_cut_short_is_none(bucket: tuple[Any, str], tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match=r"1,500,000 bytes came where 10,000,000 were expected"):
        fetch_profiles((Short(bucket[0]), bucket[1]), PATHS[:1], tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.parquet"))


JUMP = load_screen("jump-crispr").profiles
NETWORK = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "aws_endpoint_url", "aws_endpoint_url_s3")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """JUMP's bucket on loopback with three profiles; credentials are set, and are none of its business."""
    for name in NETWORK:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with serving("cellpainting-gallery") as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        for i, path in enumerate(PATHS):
            bucket.objects[f"cpg0016-jump/{path}"] = bytes([i]) * (i + 1) * 1_500_000
        yield bucket


def test_profiles_come_from_s3_without_credentials(s3: Bucket, tmp_path: Path) -> None:
    assert JUMP is not None
    told: list[str] = []
    folder = tmp_path / "data"
    found = fetch_profiles(public_bucket(JUMP), PATHS, folder, say=told.append)
    assert found == [folder / name for name in PATHS]
    assert [path.read_bytes() for path in found] == list(s3.objects.values())
    assert told == [
        "3 of 3 profiles are to be copied from cellpainting-gallery/cpg0016-jump: 9,000,000 bytes"
    ]
    assert s3.signed == [] and f"GET /cellpainting-gallery/cpg0016-jump/{PATHS[0]}" in s3.requests
    s3.requests.clear()
    fetch_profiles(public_bucket(JUMP), PATHS, folder, say=told.append)
    assert told[1].startswith("0 of 3 profiles are to be copied")
    assert s3.requests and all(request.startswith("HEAD ") for request in s3.requests)


def test_a_server_refuses_what_is_signed(s3: Bucket) -> None:
    """So the test above would fail if credentials were sent."""
    system = fs.S3FileSystem(scheme="http", endpoint_override=s3.address.removeprefix("http://"))
    with pytest.raises(OSError, match=r"ACCESS_DENIED|INVALID_ACCESS_KEY"):
        system.get_file_info([f"cellpainting-gallery/cpg0016-jump/{PATHS[0]}"])
    assert s3.signed


def test_a_profile_that_the_bucket_has_not(s3: Bucket, tmp_path: Path) -> None:
    """A folder of that name is no file."""
    assert JUMP is not None
    absent = ["source_13/gone.parquet", "source_13/workspace"]
    with pytest.raises(
        DataError, match=r"cpg0016-jump has no 'source_13/gone.parquet', 'source_13/workspace'; 5 profiles"
    ):
        fetch_profiles(public_bucket(JUMP), [*PATHS, *absent], tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault("p1.parquet", "HEAD", status=403),
            r"cpg0016-jump: cannot be read \(.*ACCESS_DENIED.*\); check the network",
        ),
        (Fault("p1.parquet", status=403), r"p1.parquet: came no further than 0 of 3,000,000 bytes"),
        (Fault("p1.parquet", after=1000), r"p1.parquet: came no further than [\d,]+ of 3,000,000 bytes"),
    ],
)
def test_a_bucket_that_fails_leaves_whole_files_alone(
    s3: Bucket, tmp_path: Path, fault: Fault, said: str
) -> None:
    assert JUMP is not None
    s3.faults = [fault]
    with pytest.raises(UpstreamError, match=said):
        fetch_profiles(public_bucket(JUMP), PATHS, tmp_path / "data")
    there = {path.name: path.read_bytes() for path in (tmp_path / "data").rglob("*.parquet")}
    whole = {Path(key).name: content for key, content in s3.objects.items()}
    assert there == ({} if fault.method == "HEAD" else {"p0.parquet": whole["p0.parquet"]})
    s3.faults = []
    fetch_profiles(public_bucket(JUMP), PATHS, tmp_path / "data")
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").rglob("*.parquet")} == whole


def test_a_bucket_that_is_busy_for_a_moment_is_asked_again(s3: Bucket, tmp_path: Path) -> None:
    assert JUMP is not None
    s3.faults = [Fault("p0.parquet", status=503, times=1)]
    (found,) = fetch_profiles(public_bucket(JUMP), PATHS[:1], tmp_path)
    assert found.read_bytes() == s3.objects[f"cpg0016-jump/{PATHS[0]}"]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_the_way_goes_through_a_proxy(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """The name of the server can be looked up by nobody; what reaches the bucket came by its proxy."""
    assert JUMP is not None
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://mirror.invalid")
    monkeypatch.setenv(variable, s3.address)
    fetch_profiles(public_bucket(JUMP), PATHS[:1], tmp_path)
    assert s3.requests[0] == f"HEAD /cellpainting-gallery/cpg0016-jump/{PATHS[0]}"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_ENDPOINT_URL_S3", "mirror:9000", "AWS_ENDPOINT_URL_S3 is 'mirror:9000'; an address was"),
        ("AWS_ENDPOINT_URL", "ftp://mirror", "AWS_ENDPOINT_URL is 'ftp://mirror'; an address was expected"),
        ("AWS_ENDPOINT_URL", "http://mirror/folder", "AWS_ENDPOINT_URL is 'http://mirror/folder'; an addre"),
        ("AWS_ENDPOINT_URL", "http://mirror:port", "AWS_ENDPOINT_URL is 'http://mirror:port'; an address"),
        ("ALL_PROXY", "socks5://me:secret@hidden:1080", "ALL_PROXY is no http:// proxy, and profiles come"),
    ],
)
def test_an_environment_that_is_of_no_use(
    s3: Bucket, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    assert JUMP is not None
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError) as error:
        public_bucket(JUMP)
    assert str(error.value).startswith(said) and "secret" not in str(error.value)


def test_a_host_that_is_asked_directly(s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert JUMP is not None
    monkeypatch.setenv("ALL_PROXY", "socks5://localhost:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (found,) = fetch_profiles(public_bucket(JUMP), PATHS[:1], tmp_path)
    assert found.stat().st_size == 1_500_000


def test_the_bucket_of_jump_is_read_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NETWORK:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    profiles = JUMP
    assert profiles is not None
    system, root = public_bucket(profiles)
    assert isinstance(system, fs.S3FileSystem) and system.region == "us-east-1"
    assert root == "cellpainting-gallery/cpg0016-jump"


def test_a_card_without_a_bucket() -> None:
    profiles = load_screen("rxrx3").profiles
    assert profiles is not None
    with pytest.raises(UsageError, match="names no public bucket"):
        public_bucket(profiles)
