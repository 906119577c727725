"""The justfile: the recipes that CONTRIBUTING.md names are there, and what they run exists."""

from __future__ import annotations

import importlib.util
import re
import shlex

import pytest

from tests.conftest import ROOT
from tests.test_packaging import PROJECT

TEXT = (ROOT / "justfile").read_text("utf-8")
# A recipe: its comment, its name and parameters, its lines.
RECIPES = {
    found["name"]: found
    for found in re.finditer(
        r"^# (?P<comment>.+)\n(?P<name>[a-z-]+)(?P<parameters>[^:\n]*):\n(?P<lines>(?: {4}.+\n)+)", TEXT, re.M
    )
}
# Programs of the extras, by the requirement that brings each.
BROUGHT = {
    "pytest": "pytest",
    "ruff": "ruff",
    "mypy": "mypy",
    "pre-commit": "pre-commit",
    "sphinx-build": "sphinx",
}
WRITTEN = ("docs/_build/html",)  # what a recipe makes


def lines(name: str) -> list[list[str]]:
    """The words of a recipe's lines, with the parameters as they are without being given."""
    given = dict(re.findall(r"\*(\w+)='([^']*)'", RECIPES[name]["parameters"]))
    out = []
    for line in RECIPES[name]["lines"].splitlines():
        filled = re.sub(r"\{\{(\w+)\}\}", lambda m: {"bin": ".venv/bin", **given}.get(m[1], ""), line)
        out.append(shlex.split(filled.strip().removeprefix("@")))
    return out


def test_every_recipe_is_read() -> None:
    """Nothing in the file escapes the pattern above."""
    assert re.findall(r"^([a-z-]+)\b[^:\n]*:(?!=)", TEXT, re.M) == list(RECIPES)
    assert {"setup", "test", "lint", "bench", "docs"} <= RECIPES.keys()
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert set(re.findall(r"\bjust ([a-z-]+)", page)) <= RECIPES.keys()


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_recipe_names_is_there(name: str) -> None:
    needed = " ".join(
        line for extra in ("dev", "test", "docs") for line in PROJECT["optional-dependencies"][extra]
    )
    for program, *words in lines(name):
        assert "{{" not in " ".join(words)
        if program == "just":
            continue
        tool = program.removeprefix(".venv/bin/")
        assert tool in BROUGHT or tool in ("python", "python3", "pip"), program
        assert tool not in BROUGHT or re.search(rf"\b{BROUGHT[tool]}\b", needed), f"no extra brings {tool}"
        if "-n" in words:
            assert "pytest-xdist" in needed
        for module in (
            words[words.index("-m") + 1 :][:1] if tool.startswith("python") and "-m" in words else []
        ):
            assert importlib.util.find_spec(module) is not None, module
        for word in words:
            if word.startswith(("tests/", "polaris_rxrx/", "docs/")) and word not in WRITTEN:
                assert (ROOT / word).exists(), word


def test_the_markers_it_names_are_known(pytestconfig: pytest.Config) -> None:
    known = {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    for expression in re.findall(r"-m '([a-z ]+)'", TEXT):
        assert set(expression.split()) - {"not", "and", "or"} <= known, expression
