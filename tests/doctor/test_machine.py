"""Python, terminal and memory: what is found, and what is said where it is not enough."""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import sys

import pytest

from polaris_rxrx import limits
from polaris_rxrx.doctor import machine


def test_this_python() -> None:
    found, faults = machine.python()
    assert found.version.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    assert found.supported and found.bits == 64 and not [f for f in faults if f.stops]


@pytest.mark.parametrize(
    ("version", "bits", "told", "stops"),
    [
        ((3, 9), 8, "3.10 or later is needed", True),
        ((3, 99), 8, "the latest that was tested", False),
        ((3, 12), 4, "a 32-bit one", True),
    ],
)
def test_another_python(
    version: tuple[int, int], bits: int, told: str, stops: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.sys, "version_info", (*version, 1))
    monkeypatch.setattr(machine.struct, "calcsize", lambda _: bits)
    found, (fault,) = machine.python()
    assert told in fault.told and fault.stops == stops
    assert found.supported == (version >= (3, 10)) and found.bits == 8 * bits


@pytest.mark.parametrize(("system", "how"), [("posix", "LC_ALL=C.UTF-8"), ("nt", "chcp 65001")])
def test_a_terminal_without_utf_8(system: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sys, "__stdout__", io.TextIOWrapper(io.BytesIO(), "cp1252"))
    monkeypatch.setattr(machine.os, "name", system)
    found, (fault,) = machine.system()
    assert found.output_encoding == "cp1252" and not found.terminal
    assert "leaves in cp1252" in fault.told and how in fault.advice and not fault.stops


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf_8"])
def test_a_terminal_with_it(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sys, "__stdout__", io.TextIOWrapper(io.BytesIO(), encoding))
    assert machine.system()[1] == []


def test_no_output_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sys, "__stdout__", None)  # pythonw
    found, faults = machine.system()
    assert (found.output_encoding, found.terminal, faults) == ("unknown", False, [])


def test_memory_and_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "free_memory", lambda: 8_000_000_000)
    monkeypatch.setattr(limits, "group_bound", lambda: 9_000_000_000)
    found, faults = machine.machine()
    assert (found.free, found.allowed) == (8_000_000_000, 4_000_000_000) and faults == []
    assert found.bound is not None and found.bound <= 9_000_000_000 and found.processors >= 1
    # A third of what is allowed, 4 bytes a value.
    assert set(found.wells.values()) == {4_000_000_000 // 3 // 1536, 4_000_000_000 // 3 // 6656}


def test_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "free_memory", lambda: 200_000_000)
    _, (fault,) = machine.machine()
    assert fault.told.startswith("200 MB are free; 600 MB are about") and not fault.stops


@pytest.mark.parametrize(
    ("system", "has_pip", "line"),
    [
        ("posix", True, "pip install 'pyarrow>=14,<18' numpy"),
        ("nt", True, 'pip install "pyarrow>=14,<18" numpy'),
        ("posix", False, "uv pip install 'pyarrow>=14,<18' numpy"),
    ],
)
def test_a_line_for_pip(system: str, has_pip: bool, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "name", system)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object() if has_pip else None)
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/uv")
    assert machine.pip_line(["pyarrow>=14,<18", "numpy"]) == line
