"""Profiles of a public bucket: a local file system stands for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from polaris_rxrx.dataset.profiles import fetch_profiles, public_bucket
from polaris_rxrx.dataset.screens import load_screen
from polaris_rxrx.errors import DataError, UpstreamError, UsageError

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


def test_the_bucket_of_jump_is_read_without_credentials() -> None:
    profiles = load_screen("jump-crispr").profiles
    assert profiles is not None
    system, root = public_bucket(profiles)
    assert isinstance(system, fs.S3FileSystem) and system.region == "us-east-1"
    assert root == "cellpainting-gallery/cpg0016-jump"


def test_a_card_without_a_bucket() -> None:
    profiles = load_screen("rxrx3").profiles
    assert profiles is not None
    with pytest.raises(UsageError, match="names no public bucket"):
        public_bucket(profiles)
