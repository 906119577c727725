"""The whole: each part guarded, what stops first, and nothing heavy needed to run it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from polaris_rxrx.doctor import machine, online, packages
from polaris_rxrx.doctor.findings import Fault
from polaris_rxrx.doctor.report import examine
from tests.conftest import ROOT


def bring(names: Sequence[str]) -> dict[str, str | None]:
    return dict.fromkeys(names)


def test_all_of_it(demo: Path) -> None:
    found = examine(demo / "data", demo / "task", offline=True, importer=bring)
    assert found.ok and [f.what for f in found.folders] == ["data", "task", "receipts", "temporary files"]
    assert json.loads(json.dumps(found.to_dict()))["schema_version"] == 1


def test_a_part_that_fails_is_told(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise RuntimeError("canary")

    for module, name in ((machine, "python"), (machine, "machine"), (online, "login")):
        monkeypatch.setattr(module, name, fail)
    monkeypatch.setattr(packages, "examine", lambda **_: ([], [], [Fault("numpy", "gone", "get it", True)]))
    found = examine(demo / "data", demo / "task", offline=True)
    assert (found.python, found.machine, found.login) == (None, None, None) and found.system is not None
    assert [f.about for f in found.faults] == ["numpy", "Python", "memory", "login"] and not found.ok
    assert found.faults[1].told == "could not be looked at: RuntimeError: canary"


BROKEN = """
import sys
for name in ("numpy", "pandas", "pyarrow", "pydantic", "httpx", "platformdirs", "scipy", "rdkit", "sklearn"):
    sys.modules[name] = None
from pathlib import Path
from polaris_rxrx.doctor import packages
from polaris_rxrx.doctor.report import examine
data = Path(sys.argv[1])
errors = lambda names: {n: f"ImportError: {i}" for i, n in enumerate(names)}
found = examine(data, data.parent / "task", importer=errors)
assert found.machine is not None and found.machine.free and found.login is None
assert not found.ok and {"numpy", "pyarrow"} <= {f.about for f in found.faults}
assert [f.what for f in found.folders] == ["data", "task", "receipts", "temporary files"]
assert len(found.folders[0].files) > 5 and not any(f.problem for f in found.folders[0].files)
assert {h.told.partition(":")[0] for h in found.hosts} == {"not asked"}
"""


def test_with_nothing_but_python(demo: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, str(demo / "data")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
