"""Tests mirror the package: every module has a test of its name, or a neighbour that is named here.

Conventions: the namesake of `polaris_rxrx/x/y.py` is `tests/x/test_y.py`; a leading underscore falls away. A
neighbour is no promise on paper: it imports the module, or one that stands right on it, or runs the command.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import HOME, ROOT
from tests.test_architecture import PACKAGE, imports, modules

# Modules without a namesake -> the test that covers them, both below their folders.
COVERED_BY = {
    "__main__": "cli/test_cli",
    "_version": "cli/test_cli",
    "documents": "test_schemas",
    "types": "test_metrics",  # names of types alone: mypy tests them
    "audit/order": "audit/test_leaks",
    "audit/result": "audit/test_leaks",
    "audit/structures": "audit/test_overlap",
    "cards": "test_baselines",
    "cli/_datasets": "cli/test_dataset",
    "cli/_downloads": "dataset/test_download",
    "cli/_featurizers": "cli/test_featurize",
    "cli/_images": "cli/test_view",
    "cli/_inputs": "cli/test_evaluate",
    "cli/_tables": "cli/test_evaluate",
    "cli/_source": "cli/test_evaluate",
    "cli/fetch": "dataset/test_download",
    "cli/logout": "cli/test_login",
    "cli/options": "cli/test_outputs",
    "cli/targets": "cli/test_evaluate",
    "cli/whoami": "cli/test_login",
    "cli/schema": "test_schemas",
    "dataset/registry": "dataset/test_download",
    "dataset/rxrx3": "maps/test_build",
    "dataset/sandbox_names": "dataset/test_sandbox",
    "dataset/sources": "dataset/test_download",
    "dataset/transfer": "dataset/test_download",
    "explore/activity": "explore/test_payload",
    "explore/guides": "explore/test_wells",
    "explore/known": "explore/test_payload",
    "explore/nulls": "explore/test_payload",
    "explore/plates": "explore/test_wells",
    "explore/spread": "explore/test_wells",
    "explore/structures": "explore/test_page",
    "export/description": "export/test_folder",
    "featurize/families/correlation": "featurize/test_measure",
    "featurize/families/granularity": "featurize/test_measure",
    "featurize/families/intensity": "featurize/test_measure",
    "featurize/families/neighbors": "featurize/test_measure",
    "featurize/families/objects": "featurize/test_measure",
    "featurize/families/radial": "featurize/test_measure",
    "featurize/families/shape": "featurize/test_measure",
    "featurize/families/texture": "featurize/test_measure",
    "featurize/featurizer": "featurize/test_engine",
    "featurize/output": "featurize/test_engine",
    "featurize/rows": "featurize/test_function",
    "featurize/outlines": "cli/test_view",
    "hub/answers": "hub/test_upload",
    "hub/competitions": "hub/test_benchmarks",
    "hub/failures": "hub/test_upload",
    "hub/files": "hub/test_benchmarks",
    "hub/payloads": "hub/test_upload",
    "hub/tokens": "hub/test_account",
    "hub/zarrs": "test_bounded",
    "images/found": "images/test_opened",
    "images/canvas": "images/test_picture",
    "images/sites": "images/test_indexed",
    "maps/names": "maps/test_align",
    "maps/partial": "maps/test_collect",
    "maps/summary": "maps/test_collect",
    "maps/summary_file": "maps/test_collect",
    "present/html": "report/test_page",
    "present/page": "report/test_page",
    "present/style": "report/test_figures",
    "present/svg": "report/test_figures",
    "cli/_models": "report/test_model",
    "cli/_running": "cli/test_evaluate",
    "report/findings": "report/test_page",
    "report/model_figures": "report/test_model",
    "report/model_page": "report/test_model",
    "report/model_paired": "report/test_model",
    "report/model_parts": "report/test_model",
    "report/model_sections": "report/test_model",
    "report/rows": "report/test_page",
    "report/structures": "report/test_page",
    "stats/deletions": "stats/test_two_way",
    "submission/choose": "cli/test_submit",
    "submission/submit": "cli/test_submit",
    "submission/unpack": "submission/test_bundle",
    "submission/verify": "submission/test_bundle",
    "suites/documents": "test_schemas",
    "suites/energy": "suites/test_signal",
    "suites/inputs": "suites/test_run",
    "suites/layout": "suites/test_gene_gene",
    "suites/replicates": "suites/test_signal",
    "suites/reproduce": "cli/test_reproduce",
    "suites/result": "suites/test_drug_target",
    "wells/join": "maps/test_collect",
    "wells/check": "cli/test_dataset",
    "wells/deepprofiler": "wells/test_trees",
    "wells/hdf5": "wells/test_arrays",
    "wells/metadata": "wells/test_memory",
    "wells/named": "wells/test_arrays",
    "wells/source": "maps/test_build",
    "wells/table": "wells/test_memory",
    "wells/parts": "featurize/test_engine",
    "wells/pieces": "maps/test_collect",
    "wells/opened": "maps/test_collect",
    "suites/relations": "suites/test_gene_gene",
    "suites/sampled": "suites/test_drug_target",
    "suites/stored": "report/test_model",
    "suites/study": "suites/test_signal",
}
# Tests of no module in particular, and what they are about.
WHOLE = {
    "calibration/test_calibration": "error bars, in worlds without knowledge",
    "cli/test_cli": "the command line as a whole",
    "cli/test_screens": "JUMP and RxRx3 from their own tables to figures",
    "cli/test_suites": "the suites beyond the paper's, from the command line",
    "cli/test_width": "how wide what is printed is",
    "cli/test_without_polaris": "what works where polaris-lib is not",
    "docs/test_commands": "the command lines on the pages",
    "docs/test_generated": "the pages that are written from the package",
    "docs/test_links": "the links between pages",
    "docs/test_spelling": "the spelling of the pages",
    "maps/test_scales": "features of any unit, from a table to scores",
    "explore/test_browser": "the page of a map in a browser",
    "report/test_browser": "the report's page in a browser",
    "test_architecture": "which module may import which",
    "test_changelog": "the changelog's format",
    "test_contributing": "the recipes of CONTRIBUTING.md",
    "test_doctests": "the examples of docstrings",
    "test_fuzz": "mutated files through the commands",
    "test_installs": "every way to install",
    "test_images_page": "the commands of docs/images.md, on small plates",
    "test_justfile": "the recipes of the justfile",
    "test_mirror": "this",
    "test_packaging": "what an installation needs",
    "test_readme": "the commands and prose of the README and the guides",
    "test_release": "what a release refuses, says and may do",
    "test_skips": "why tests may skip",
    "test_windows": "what docs/windows.md says holds, simulated where another system is at hand",
    "test_slurm": "the lines of docs/clusters.md, on a SLURM of one node",
}
KNOWN = modules(HOME)


def modules_below() -> list[str]:
    """`stats/chance` for every module, without the rooms' `__init__`, which hold names of others alone."""
    paths = [path.relative_to(HOME / PACKAGE).with_suffix("") for path in KNOWN.values()]
    return [path.as_posix() for path in paths if path.name != "__init__"]


def namesake(module: str) -> str:
    """`stats/test_chance` for `stats/chance`."""
    path = Path(module)
    return (path.parent / f"test_{path.name.strip('_')}").as_posix()


def below_tests() -> list[str]:
    folder = ROOT / "tests"
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("test_*.py"))


@cache
def standing_on() -> dict[str, set[str]]:
    """Dotted name -> the modules that import it."""
    found: dict[str, set[str]] = {}
    for other, path in KNOWN.items():
        for each in imports(other, path, HOME, KNOWN):
            found.setdefault(each.target, set()).add(other)
    return found


@cache
def texts_in(path: Path) -> set[object]:
    """The constants of a test's code."""
    return {n.value for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Constant)}


def exercises(test: str, module: str) -> bool:
    """Whether a test imports a module or one that stands right on it, or names the command that it is."""
    path = ROOT / "tests" / f"{test}.py"
    name = f"{PACKAGE}.{module.replace('/', '.')}"
    used = {found.target for found in imports("tests", path, ROOT, KNOWN)}
    if name in used:
        return True
    if module == "__main__" or module.startswith("cli/"):
        word = {"__main__": PACKAGE}.get(module, Path(module).name)
        if word in texts_in(path):
            return True
    standing = standing_on().get(name, set())
    if module.startswith("cli/_"):  # what commands share is exercised by running one of them
        return any(exercises(test, other.removeprefix(f"{PACKAGE}.").replace(".", "/")) for other in standing)
    return bool(used & standing)


def test_every_module_is_tested_by_its_name_or_by_a_neighbour() -> None:
    there = set(below_tests())
    for module in modules_below():
        if module in COVERED_BY:
            assert namesake(module) not in there, f"{module} has a namesake: take it out of COVERED_BY"
            assert COVERED_BY[module] in there, f"{module}: there is no tests/{COVERED_BY[module]}.py"
        else:
            assert namesake(module) in there, (
                f"{module}: write tests/{namesake(module)}.py, or name a neighbour"
            )
    gone = COVERED_BY.keys() - set(modules_below())
    assert not gone, f"COVERED_BY names modules that are gone: {sorted(gone)}"


@pytest.mark.parametrize("module", COVERED_BY)
def test_a_neighbour_knows_the_module(module: str) -> None:
    assert exercises(COVERED_BY[module], module), f"tests/{COVERED_BY[module]}.py has nothing of {module}"


def test_every_test_is_a_namesake_or_about_the_whole() -> None:
    names = {namesake(module) for module in modules_below()}
    for test in below_tests():
        assert (test in names) != (test in WHOLE), (
            f"tests/{test}.py: move it to a module's name, or into WHOLE"
        )
    assert set(below_tests()) >= WHOLE.keys()


def test_a_neighbour_that_knows_nothing_is_told() -> None:
    assert not exercises("test_changelog", "stats/two_way")
    assert not exercises("test_metrics", "cli/fetch")
    assert exercises("test_metrics", "metrics")


def test_the_page_about_the_tests_names_what_is_there(pytestconfig: pytest.Config) -> None:
    page = (ROOT / "tests" / "README.md").read_text("utf-8")
    paths = [
        p
        for p in re.findall(r"`([a-z_/]+(?:/|\.py))`", page)
        if not p.startswith(("tests/x", "polaris_rxrx"))
    ]
    assert len(paths) >= 10
    for path in paths:
        assert (ROOT / "tests" / path).exists(), path
    conftest = (ROOT / "tests" / "conftest.py").read_text("utf-8")
    fixtures = set(re.findall(r"@pytest\.fixture.*\ndef ([a-z]\w+)\(", conftest))
    (table,) = re.findall(r"^\| fixture .*?\n\n", page, re.M | re.S)
    told = {
        name for line in table.strip().splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert told == fixtures
    known = {line.partition(":")[0] for line in pytestconfig.getini("markers")} - {"xdist_group"}
    assert set(re.findall(r"^- `(\w+)`:", page.partition("## Markers")[2], re.M)) == {"slow", "fuzz"} <= known
