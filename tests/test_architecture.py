"""The house stands: imports go down only, in no circle, and heavy or foreign packages stay in their rooms.

Conventions: `LAYERS` is the one place where the order is written down; CONTRIBUTING.md describes it.
A module's place is the first part of its name below the package (`stats` for `polaris_rxrx/stats/chance.py`).
Every import counts, also one inside a function or under `TYPE_CHECKING`: it binds two modules all the same.
The package's own `__init__` is exempt as an importer (a notebook's names, loaded when used) and closed to the
others. The checker itself is tested on small made trees, for a check that finds nothing may be blind.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import HOME

PACKAGE = "polaris_rxrx"
# Imports go to earlier rows, or leftward within a row. Places that are not built yet are kept free.
LAYERS = (
    (
        "_version",
        "errors",
        "types",
        "documents",
        "files",
        "bounded",
        "damage",
        "validation",
        "network",
        "arrow",
        "tables",
    )
    + ("limits", "cluster", "parallel"),
    ("metrics", "stats", "present"),
    ("task", "predictions", "scoring", "comparison", "quick"),
    ("dataset", "images", "wells", "maps", "cards", "baselines", "local_task"),
    ("suites", "featurize", "hub", "submission", "export"),
    ("audit", "leaderboard", "report", "explore", "runs", "doctor"),
    ("schemas",),
    ("cli",),
    ("__main__",),
)
# Of this row none imports another, leftward or not.
APART = {"audit", "leaderboard", "report", "explore", "runs", "doctor"}
# Numbers alone: nothing of the command line, of the client or of the network.
PURE = {"metrics", "stats", "maps", "suites"}
CONNECTED = {"aiohttp", "click", "httpx", "huggingface_hub", "polaris", "requests", "socket", "ssl", "urllib"}
LINES = 600  # of a module, at most
# Modules that name others by text: the package's face and the table of commands.
LAZY = {f"{PACKAGE}/__init__.py", f"{PACKAGE}/cli/__init__.py"}


@dataclass(frozen=True)
class Import:
    """`file` takes `target` (a module of the package, or a foreign one) in line `line`."""

    file: str
    line: int
    target: str
    in_function: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}"


def modules(root: Path) -> dict[str, Path]:
    """Dotted name -> path of every module of the package below `root`; a room's name is its `__init__`."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, root: Path, known: dict[str, Path]) -> Iterator[Import]:
    """Every import of a module; `from a import b` is one of `a.b` where that is a module, else of `a`."""
    file = path.relative_to(root).as_posix()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    for node, in_function in import_lines(path.read_text("utf-8")):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, in_function)
        else:
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                target = f"{source}.{alias.name}"
                yield Import(file, node.lineno, target if target in known else source, in_function)


@cache
def import_lines(text: str) -> list[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import in a module's text, and whether it stands in a function; the same text is parsed once."""
    found: list[tuple[ast.Import | ast.ImportFrom, bool]] = []

    def visit(node: ast.AST, in_function: bool) -> None:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.append((node, in_function))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            in_function = True
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):  # no expression holds one
                visit(child, in_function)

    visit(ast.parse(text), False)
    return found


def place(name: str) -> str:
    """The room or the module right below the package: `stats` for `polaris_rxrx.stats.chance`."""
    return [*name.split("."), ""][1]


def direction(source: str, target: str) -> str | None:
    """What is wrong with an arrow between two places, or None."""
    rows = {name: (row, column) for row, names in enumerate(LAYERS) for column, name in enumerate(names)}
    (row, column), (to_row, to_column) = rows[source], rows[target]
    if to_row > row:
        return f"an arrow up: {source} stands below {target}"
    if to_row == row and source != target and source in APART:
        return f"sideways: {source} and {target} stand apart"
    if to_row == row and to_column > column:
        return f"sideways: {target} stands to the right of {source}"
    return None


def foreign(found: Import, own: str) -> str | None:
    """What is wrong with taking a package that is not ours, or None."""
    top = found.target.partition(".")[0]
    if top == "polaris" and own != "hub":
        return "only hub knows the client"
    if top == "polaris" and not found.in_function:
        return "it costs seconds: import it in the function that needs it"
    if top == "click" and own != "cli":
        return "only cli knows the command line"
    if own in PURE and top in CONNECTED:
        return f"{own} knows no command line, no client and no network"
    return None


def problems(root: Path) -> list[str]:
    """Everything that is wrong with the package below `root`, a sentence each."""
    known, said, graph = modules(root), [], {}
    rows = {name for row in LAYERS for name in row}
    homeless = {place(name) for name in known} - rows - {""}
    said += [f"{PACKAGE}/{name} has no place in LAYERS" for name in sorted(homeless)]
    for name, path in known.items():
        file, own, text = path.relative_to(root).as_posix(), place(name), path.read_text("utf-8")
        graph[name] = set()
        if (lines := text.count("\n")) > LINES:
            said.append(f"{file} has {lines} lines, more than {LINES}")
        if file not in LAZY and ("import_module(" in text or "__import__(" in text):
            said.append(f"{file} imports by text, which hides an arrow")
        for found in imports(name, path, root, known):
            if found.target.partition(".")[0] != PACKAGE:
                wrong = foreign(found, own)
            elif name == PACKAGE or own in homeless or place(found.target) in homeless:
                continue
            elif found.target == PACKAGE:
                wrong = "the package's face is for its users, no module stands on it"
            elif found.target not in known:
                wrong = "there is no such module"
            else:
                graph[name].add(found.target)
                wrong = direction(own, place(found.target))
                if own in PURE and place(found.target) == "network":
                    wrong = f"{own} knows no command line, no client and no network"
            if wrong:
                said.append(f"{found}: {wrong}")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        said.append("a circle: " + " <- ".join(error.args[1]))
    return said


def test_the_house_stands() -> None:
    assert problems(HOME) == []


def test_no_place_is_named_twice() -> None:
    names = [name for row in LAYERS for name in row]
    assert len(names) == len(set(names))
    assert set(names) >= APART
    assert {place(name) for name in modules(HOME)} >= PURE


def build(root: Path, files: dict[str, str]) -> Path:
    """A package of these modules; every folder gets its `__init__`."""
    for name, text in {"__init__.py": "", **files}.items():
        path = root / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (path.parent / "__init__.py").exists():
            (path.parent / "__init__.py").write_text("")
        path.write_text(text)
    return root


def test_a_sound_tree_has_no_problems(tmp_path: Path) -> None:
    """All that is allowed: down, leftward, within a room, the client within the hub's functions."""
    files = {
        "__init__.py": "from polaris_rxrx.cli import run\n",
        "errors.py": "",
        "stats/one.py": "from polaris_rxrx.errors import A\nfrom polaris_rxrx.stats import two\n",
        "stats/two.py": "import polaris_rxrx.errors\nfrom .. import errors\n",
        "present/text.py": "from polaris_rxrx.stats.one import a\n",
        "hub/account.py": "def f():\n    from polaris.hub import client\n    import httpx\n",
        "cli/__init__.py": "import click\nfrom polaris_rxrx import hub\n",
    }
    assert problems(build(tmp_path, files)) == []


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        pytest.param(
            {"stats/a.py": "\nfrom polaris_rxrx.task import Task\n", "task.py": ""},
            "polaris_rxrx/stats/a.py:2 imports polaris_rxrx.task: an arrow up: stats stands below task",
            id="up",
        ),
        pytest.param(
            {"stats/a.py": "def f():\n    from polaris_rxrx import task\n", "task.py": ""},
            "polaris_rxrx/stats/a.py:2 imports polaris_rxrx.task: an arrow up: stats stands below task",
            id="up in a function",
        ),
        pytest.param(
            {
                "stats/a.py": "import typing\nif typing.TYPE_CHECKING:\n    from ..task import Task\n",
                "task.py": "",
            },
            "polaris_rxrx/stats/a.py:3 imports polaris_rxrx.task: an arrow up: stats stands below task",
            id="up for types alone, relative",
        ),
        pytest.param(
            {"stats/a.py": "import polaris_rxrx.task as t\n", "task.py": ""},
            "polaris_rxrx/stats/a.py:1 imports polaris_rxrx.task: an arrow up: stats stands below task",
            id="up by another name",
        ),
        pytest.param(
            {"task.py": "from polaris_rxrx.scoring import score\n", "scoring.py": ""},
            "polaris_rxrx/task.py:1 imports polaris_rxrx.scoring: sideways: scoring stands to the right",
            id="to the right",
        ),
        pytest.param(
            {"report/a.py": "from polaris_rxrx.audit.b import c\n", "audit/b.py": ""},
            "polaris_rxrx/report/a.py:1 imports polaris_rxrx.audit.b: sideways: report and audit stand apart",
            id="to the left where none imports another",
        ),
        pytest.param(
            {
                "hub/a.py": "from polaris_rxrx.hub.b import x\n",
                "hub/b.py": "from polaris_rxrx.hub.c import y\n",
                "hub/c.py": "def f():\n    from polaris_rxrx.hub.a import z\n",
            },
            "a circle: polaris_rxrx.hub.",
            id="a circle",
        ),
        pytest.param(
            {"task.py": "from polaris_rxrx import __version__\n"},
            "polaris_rxrx/task.py:1 imports polaris_rxrx: the package's face",
            id="the face",
        ),
        pytest.param(
            {"cli/a.py": "import polaris_rxrx\n"},
            "polaris_rxrx/cli/a.py:1 imports polaris_rxrx: the package's face",
            id="the face, whole",
        ),
        pytest.param(
            {"task.py": "from polaris_rxrx.nowhere import x\n"},
            "polaris_rxrx/task.py:1 imports polaris_rxrx.nowhere: there is no such module",
            id="nowhere",
        ),
        pytest.param(
            {"attic.py": ""},
            "polaris_rxrx/attic has no place in LAYERS",
            id="no place",
        ),
        pytest.param(
            {"task.py": "def f():\n    import polaris.hub\n"},
            "polaris_rxrx/task.py:2 imports polaris.hub: only hub knows the client",
            id="the client elsewhere",
        ),
        pytest.param(
            {"hub/a.py": "class A:\n    from polaris import load\n"},
            "polaris_rxrx/hub/a.py:2 imports polaris: it costs seconds",
            id="the client outside a function",
        ),
        pytest.param(
            {"maps/a.py": "def f():\n    import click\n"},
            "polaris_rxrx/maps/a.py:2 imports click: only cli knows the command line",
            id="click",
        ),
        *(
            pytest.param(
                {f"{room}.py": f"from {target} import x\n", "network.py": ""},
                f"polaris_rxrx/{room}.py:1 imports {target}: {room} knows no command line, no client and no",
                id=f"{target} in {room}",
            )
            for room, target in (
                ("metrics", "httpx"),
                ("stats", "urllib.request"),
                ("maps", "huggingface_hub"),
                ("suites", "polaris_rxrx.network"),
            )
        ),
        pytest.param(
            {"stats/a.py": "x = import_module('polaris_rxrx.task')\n"},
            "polaris_rxrx/stats/a.py imports by text",
            id="by text",
        ),
        pytest.param(
            {"task.py": "x = 1\n" * (LINES + 1)},
            f"polaris_rxrx/task.py has {LINES + 1} lines, more than {LINES}",
            id="long",
        ),
    ],
)
def test_each_fault_is_told_by_its_place(files: dict[str, str], sentence: str, tmp_path: Path) -> None:
    (said,) = problems(build(tmp_path, files))
    assert said.startswith(sentence)
