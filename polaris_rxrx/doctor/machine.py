"""Python, the operating system, the terminal, memory and processors."""

from __future__ import annotations

import codecs
import importlib.util
import locale
import os
import platform
import shutil
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress

from polaris_rxrx.doctor.findings import Fault, Machine, Python, System

OLDEST = (3, 10)
NEWEST = (3, 14)  # that tests run on
LITTLE = (
    600_000_000  # bytes: RxRx3-core's OpenPhenom table to a map takes 300 MB, and Python and its packages
)
WIDTHS = (384, 1664)  # features of OpenPhenom and of Phenom-2
_VALUE = 4  # bytes of a feature
_SHARE = 3  # a table in memory takes a third of what is allowed at most


def pip_line(requirements: Sequence[str]) -> str:
    """The line that installs them, as this system's shell takes it; without pip, uv's."""
    mark = '"' if os.name == "nt" else "'"
    words = [f"{mark}{r}{mark}" if set(r) & set("<>=!~[]*,; ") else r for r in requirements]
    uv = importlib.util.find_spec("pip") is None and shutil.which("uv") is not None
    return " ".join(["uv pip install" if uv else "pip install", *words])


def python() -> tuple[Python, list[Fault]]:
    """The interpreter, and what is wrong with it."""
    here, bits = sys.version_info[:2], 8 * struct.calcsize("P")
    if sys.prefix != sys.base_prefix:
        kind = "venv"
    else:
        kind = "conda" if os.environ.get("CONDA_PREFIX") == sys.prefix else "system"
    found = Python(
        version=platform.python_version(),
        implementation=platform.python_implementation(),
        bits=bits,
        executable=sys.executable,
        kind=kind,  # type: ignore[arg-type]
        supported=here >= OLDEST,
    )
    faults = []
    oldest, newest = (".".join(map(str, version)) for version in (OLDEST, NEWEST))
    if here < OLDEST:
        faults.append(
            Fault(
                "Python",
                f"it is {found.version}; {oldest} or later is needed",
                "make an environment with a later one",
                True,
            )
        )
    if here > NEWEST:
        faults.append(
            Fault(
                "Python",
                f"it is {found.version}; {newest} is the latest that was tested",
                f"where something fails, use {newest}",
                False,
            )
        )
    if bits < 64:
        faults.append(
            Fault(
                "Python",
                "it is a 32-bit one, for which pyarrow is not built",
                "install a 64-bit Python",
                True,
            )
        )
    return found, faults


def system() -> tuple[System, list[Fault]]:
    """The operating system and its text, and what is wrong with them."""
    out = sys.__stdout__  # what stands in its place while a command runs says UTF-8 of itself
    output = getattr(out, "encoding", None) or "unknown"
    found = System(
        name=platform.system() or sys.platform,
        release=platform.release(),
        machine=platform.machine(),
        terminal=bool(out is not None and not out.closed and out.isatty()),
        output_encoding=output,
        files_encoding=locale.getpreferredencoding(False),
    )
    if output == "unknown" or _is_utf8(output):
        return found, []
    how = "set PYTHONUTF8=1, and chcp 65001" if os.name == "nt" else "set LC_ALL=C.UTF-8, or PYTHONUTF8=1"
    told = f"what is printed leaves in {output}: what that lacks is shown as \\x and \\u"
    return found, [Fault("terminal", told, f"{how}; files are written as UTF-8 all the same", False)]


def _is_utf8(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False


def machine() -> tuple[Machine, list[Fault]]:
    """Memory and processors, and where there is too little of them."""
    from polaris_rxrx import limits

    free, bound = limits.free_memory(), min(filter(None, (limits.group_bound(), _own_bound())), default=None)
    allowed = limits.default_limit()
    wells = {str(width): allowed // _SHARE // (_VALUE * width) for width in WIDTHS}
    found = Machine(free, bound, allowed, wells, _processors())
    if free >= LITTLE:
        return found, []
    told = f"{limits.size_text(free)} are free; {limits.size_text(LITTLE)} are about what the main job takes"
    advice = "close other programs, or ask for more (a container's --memory, a batch job's --mem)"
    return found, [Fault("memory", told, advice, False)]


def _own_bound() -> int | None:
    """What `ulimit -v` allows."""
    with suppress(ImportError, OSError, ValueError):  # Windows has no such module
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        return None if soft == resource.RLIM_INFINITY else soft
    return None


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
