"""Memory as people write it, as the system counts it, and arrays that stand on disk."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from polaris_rxrx import limits
from polaris_rxrx.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GB", 4_000_000_000),
        ("500MB", 500_000_000),
        ("1.5 GiB", 3 * 2**29),
        ("2g", 2_000_000_000),
        ("64KiB", 65_536),
        ("1000", 1000),
        ("7b", 7),
        ("1TB", 10**12),
    ],
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    assert limits.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0", "0MB", "4 GBs", "1e9", "four", "1,5GB", "nan"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="such as 500MB or 4GB was expected"):
        limits.parse_size(text)


def test_sizes_in_words() -> None:
    assert [limits.size_text(n) for n in (999, 12_345, 340e6, 1.5e9, 2e12)] == [
        "999 bytes",
        "12.3 kB",
        "340 MB",
        "1.5 GB",
        "2 TB",
    ]


def test_a_control_group_s_bound_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "max").write_text("3000000\n")
    (tmp_path / "now").write_text("1000000\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(limits, "_system", lambda: 10**12)
    monkeypatch.setattr(limits, "_GROUPS", ((str(tmp_path / "max"), str(tmp_path / "now")),))
    assert limits.free_memory() == 2_000_000 and limits.default_limit() == 1_000_000
    monkeypatch.setattr(limits, "_GROUPS", ((str(tmp_path / "none"), str(tmp_path / "now")),))
    assert limits.free_memory() == 10**12
    monkeypatch.setattr(limits, "_system", lambda: 500)
    monkeypatch.setattr(limits, "_GROUPS", ((str(tmp_path / "max"), str(tmp_path / "now")),))
    assert limits.free_memory() == 500


def test_what_is_in_use_grows_with_what_is_taken() -> None:
    before = limits.in_use()
    if not before:
        pytest.skip("the system does not say what a process takes")
    held = np.ones(8_000_000)
    assert limits.in_use() - before > held.nbytes // 2


def test_an_array_on_disk_holds_what_is_put_into_it() -> None:
    x = limits.on_disk((1000, 7), np.float32)
    assert x.shape == (1000, 7) and x.dtype == np.float32 and not x.any()
    y = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    x[:] = y
    limits.release(x[5:])
    assert np.array_equal(x, y)
    x[3] += 1
    limits.release(x)
    assert np.array_equal(x[3], y[3] + 1)
    assert limits.on_disk((0, 7), np.float64).shape == (0, 7)
    plain = np.arange(3)
    limits.release(plain)
    assert plain.tolist() == [0, 1, 2]


def test_it_takes_no_memory_once_released(tmp_path: Path) -> None:
    code = (
        "import numpy as np, resource\n"
        "from polaris_rxrx import limits\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "x = limits.on_disk((40, 1_000_000), np.float64)\n"
        "for row in x:\n"
        "    row[:] = 1\n"
        "    limits.release(x)\n"
        "assert x[7, 5] == 1\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    kilobytes = int(done.stdout)
    assert kilobytes < 60_000  # of 320,000
    assert not list(tmp_path.iterdir())  # and no file is left
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def test_only_what_is_too_large_goes_to_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, ...]] = []
    monkeypatch.setattr(limits, "on_disk", lambda shape, _: made.append(shape) or np.zeros(shape))
    assert limits.empty((10, 10), np.float64, None).shape == (10, 10)
    assert limits.empty((10, 10), np.float64, 800).shape == (10, 10)
    assert made == []
    limits.empty((10, 10), np.float64, 799)
    assert made == [(10, 10)]


def test_a_full_disk_is_told_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"80 bytes are needed there for a while, and there is no room"):
        limits.on_disk((10,), np.float64)


def test_a_file_system_that_takes_no_blocks_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "posix_fallocate", unable)
    x = limits.on_disk((10, 2), np.float64)
    x[3] = 5
    assert x.sum() == 10 and limits.is_on_disk(x)
