"""How much memory may be used, and arrays that stand on disk where they would not fit.

Conventions
    Sizes are bytes; as text `500MB`, `4GB`, `1.5GiB`, a number alone being bytes. MB is 10^6, MiB 2^20.
    What is free is what the system says it is, or what the control group (a container, a batch job) leaves,
    whichever is less.
    An array on disk is a file without a name in the folder for temporary files ($TMPDIR): it is gone when
    the process ends, however that is. Its blocks are taken when it is made, so a full disk is an error then
    and not a crash later. `release` gives the memory of the pages that were read or written back.
    NumPy is imported where arrays are made: how much is free can be told where it is broken.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polaris_rxrx.errors import DataError, UsageError

if TYPE_CHECKING:
    from polaris_rxrx.types import Matrix

_UNITS = {"": 1, "b": 1} | {
    f"{prefix}{unit}": base**power
    for power, prefix in enumerate("kmgt", 1)
    for unit, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_LEAST_FREE = 1 << 28  # of which half is taken where nothing says what is free
_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def parse_size(text: str) -> int:
    """Bytes of `4GB`, `500MB`, `1.5GiB` or `1000000`.

    Raises:
        UsageError: It is no size, or none above 0.

    >>> parse_size("1.5GB"), parse_size("2 MiB")
    (1500000000, 2097152)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    size = int(float(found[1]) * _UNITS.get(found[2], 0)) if found else 0
    if size < 1:
        raise UsageError(f"{text!r} is no size of memory; one such as 500MB or 4GB was expected")
    return size


def size_text(n: float) -> str:
    """`1.5 GB`, `340 MB`, `12 kB`.

    >>> size_text(1_500_000_000), size_text(12)
    ('1.5 GB', '12 bytes')
    """
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= one:
            return f"{n / one:.3g} {unit}"
    return f"{n:.0f} bytes"


def free_memory() -> int:
    """Bytes that may be taken without taking them from others."""
    found = [n for n in (_system(), *(_group(*paths) for paths in _GROUPS)) if n is not None]
    return max(min(found, default=_LEAST_FREE), 0)


def group_bound() -> int | None:
    """Bytes that the control group may take in all; None where there is none, or no bound."""
    found = [bound for most, _ in _GROUPS if (bound := _bound(most)) is not None]
    return min(found, default=None)


def default_limit() -> int:
    """Half of what is free."""
    return max(free_memory() // 2, 1)


def in_use() -> int:
    """Bytes of memory that this process takes; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * mmap.PAGESIZE


def _system() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text("ascii")
    except OSError:
        return _elsewhere()
    found = re.search(r"^MemAvailable:\s*(\d+) kB", text, re.M)
    return int(found[1]) * 1024 if found else None


def _elsewhere() -> int | None:
    """What Windows says; else half of the machine's memory, where nobody says how much of it is in use."""
    if sys.platform == "win32":
        return _windows()
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):
        return None


class _Status(ctypes.Structure):
    """Windows's MEMORYSTATUSEX."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        *((name, ctypes.c_uint64) for name in ("all", "free", "all_paged", "free_paged")),
        *((name, ctypes.c_uint64) for name in ("all_virtual", "free_virtual", "extended")),
    )


def _windows(ask: Any = None) -> int | None:
    """Bytes that are free on Windows; `ask` is its GlobalMemoryStatusEx."""
    if ask is None:
        ask = ctypes.windll.kernel32.GlobalMemoryStatusEx  # type: ignore[attr-defined]
    said = _Status(length=ctypes.sizeof(_Status))
    return int(said.free) if ask(ctypes.byref(said)) else None


def _group(most: str, used: str) -> int | None:
    """What a control group leaves, None where it has no bound."""
    bound = _bound(most)
    try:
        return None if bound is None else max(bound - int(Path(used).read_text("ascii")), 0)
    except (OSError, ValueError):
        return None


def _bound(most: str) -> int | None:
    try:
        limit = int(Path(most).read_text("ascii"))
    except (OSError, ValueError):  # no group, or `max`
        return None
    return limit if limit < 1 << 60 else None


def on_disk(shape: tuple[int, ...], dtype: Any) -> Matrix:
    """An array of zeros on disk.

    Raises:
        DataError: The disk is full.
    """
    import numpy as np

    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size == 0:
        return np.zeros(shape, dtype=dtype)
    folder = tempfile.gettempdir()
    with tempfile.TemporaryFile(dir=folder) as handle:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle.fileno(), 0, size)
            else:
                handle.truncate(size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise DataError(
                    f"{folder}: {size_text(size)} are needed there for a while, and there is no room "
                    f"({error.strerror}); set TMPDIR to a folder with room, or allow more --max-memory"
                ) from None
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            handle.truncate(size)  # a file system that takes no blocks ahead
        mapped = mmap.mmap(handle.fileno(), size)
    return np.frombuffer(mapped, dtype=dtype).reshape(shape)


def is_on_disk(array: Matrix) -> bool:
    """Whether an array is one of `on_disk`, or a part of one."""
    return _mapped(array) is not None


def release(array: Matrix) -> None:
    """Give back the memory of an array on disk, whose values stay; nothing happens to one in memory."""
    mapped = _mapped(array)
    if mapped is not None and sys.platform != "win32":
        mapped.madvise(mmap.MADV_DONTNEED)


def _mapped(array: Matrix) -> mmap.mmap | None:
    import numpy as np

    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    return base if isinstance(base, mmap.mmap) else None


def empty(shape: tuple[int, ...], dtype: Any, limit: int | None) -> Matrix:
    """An array in memory, or on disk where it takes more than `limit` bytes; what is in it is anything."""
    import numpy as np

    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    return np.empty(shape, dtype=dtype) if limit is None or size <= limit else on_disk(shape, dtype)
