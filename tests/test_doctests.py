"""The examples of docstrings run, and what is public has one.

What is public stands in docs/reference/public.toml, of which the API reference is made. An example has numpy
as `np`, the package as `pr`, `Path` and the names of its own module; it runs in a copy of the demo's folder.
"""

from __future__ import annotations

import doctest
import inspect
import os
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polaris_rxrx as pr
from polaris_rxrx import bounded
from polaris_rxrx.cli import run
from tests.conftest import HOME, ROOT
from tests.test_architecture import modules

PUBLIC: dict[str, list[str]] = {
    module: names
    for room in bounded.read_toml(ROOT / "docs" / "reference" / "public.toml")["room"]
    for module, names in room["modules"].items()
}
# The line that both pages tell.
MAP = "baseline openphenom --task task --data data --out again.csv --save-map map.parquet"
SHOWN = sorted(name for name, path in modules(HOME).items() if ">>> " in path.read_text("utf-8"))


def lend(folder: Path, to: Path) -> None:
    """The files of a folder, in another: the same ones, by a further name, as every system has it."""
    shutil.copytree(folder, to, copy_function=os.link, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def folder(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `polaris-rxrx demo .` writes, and the map of one of its models; for all examples, in any order."""
    folder = tmp_path_factory.mktemp("examples")
    lend(demo, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run([*MAP.split()]) == 0
    return folder


def examples(module: str) -> list[doctest.DocTest]:
    """Of a module, each docstring that has examples."""
    return [t for t in doctest.DocTestFinder(exclude_empty=True).find(import_module(module)) if t.examples]


def names_of(module: str) -> dict[str, Any]:
    """What an example may use without importing it."""
    own = import_module(module)
    there = {n: v for n, v in vars(own).items() if getattr(v, "__module__", None) == module and n[0] != "_"}
    return {"np": np, "pr": pr, "Path": Path, **there}


@pytest.mark.parametrize("module", SHOWN)
def test_examples_give_what_they_say(
    module: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lend(folder, tmp_path)
    found = examples(module)
    assert found
    runner = doctest.DocTestRunner(verbose=False)
    told: list[str] = []
    before = set(sys.modules)
    for each in found:
        each.globs = names_of(module)
        runner.run(each, out=told.append)
    for name in set(sys.modules) - before:  # an example's own module is nothing to another test
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    assert not told, "".join(told)


@pytest.mark.parametrize("module", PUBLIC)
def test_what_is_public_has_an_example(module: str) -> None:
    own = import_module(module)
    for name in PUBLIC[module]:
        found: Any = own
        for part in name.split("."):
            found = inspect.getattr_static(found, part)
        found = getattr(found, "__func__", getattr(found, "fget", getattr(found, "func", found)))
        assert found.__module__ == module, f"{module}.{name} is at home in {found.__module__}"
        assert ">>> " in (found.__doc__ or ""), f"{module}.{name} is public and has no example"


@pytest.mark.parametrize("page", ["public.toml", "api.md"])
def test_the_pages_say_where_examples_run(page: str) -> None:
    assert f"polaris-rxrx {MAP}\n" in (ROOT / "docs" / "reference" / page).read_text("utf-8")


def test_everything_for_notebooks_is_public() -> None:
    for name in set(pr.__all__) - {"__version__"}:
        found = getattr(pr, name)
        assert name in PUBLIC[found.__module__], name
