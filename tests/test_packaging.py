"""What the project's files promise of an installation: every package that is imported is named there."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from polaris_rxrx import bounded
from tests.conftest import HOME, NEEDS_POLARIS, ROOT

PROJECT = bounded.toml_loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# Import names of which the distribution is called otherwise.
CALLED = {
    "dask": "distributed",
    "sklearn": "scikit-learn",
    "polaris": "polaris-lib",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "umap": "umap-learn",
}
# polaris-lib brings these; hub/ alone imports them, and only with it.
WITH_POLARIS = {"authlib", "numcodecs", "pydantic-settings", "zarr"}
MINORS = (10, 11, 12, 13, 14)


def imports(path: Path) -> Iterator[str]:
    """Top-level packages that a module imports, at its head or inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def named(minor: int) -> dict[str, str]:
    """Distribution -> requirement on Python 3.`minor`, the extras' included."""
    found = {}
    extras = PROJECT["optional-dependencies"]
    more = [
        line for extra in ("h5ad", "distributed", "images", "openphenom", "umap") for line in extras[extra]
    ]
    for line in PROJECT["dependencies"] + more:
        requirement, _, marker = line.partition(";")
        if marker:
            match = re.fullmatch(r" python_version (<|>=) '3\.(\d+)'", marker)
            assert match, marker
            operator, bound = match[1], int(match[2])
            if not (minor < bound if operator == "<" else minor >= bound):
                continue
        name = re.match(r"[A-Za-z0-9_-]+", requirement)
        assert name
        found[name[0].lower().replace("_", "-")] = requirement
    return found


def test_every_import_is_of_a_package_that_is_named() -> None:
    for path in sorted((HOME / "polaris_rxrx").rglob("*.py")):
        used = {CALLED.get(n, n.replace("_", "-")) for n in imports(path) if n not in sys.stdlib_module_names}
        used -= {"polaris-rxrx", "tomllib"}
        in_hub = path.parent.name == "hub"
        for minor in MINORS:
            absent = used - named(minor).keys()
            if minor > 10:
                absent -= {"tomli"}
            if in_hub:
                absent -= WITH_POLARIS | {"polaris-lib"}
            assert not absent, f"{path.relative_to(HOME)} on Python 3.{minor}: {absent}"


def test_polaris_goes_to_3_12() -> None:
    for minor in MINORS:
        found = named(minor)
        assert ("polaris-lib" in found) == (minor < 13)
        assert ("<18" in found["pyarrow"]) == (minor < 13)
        assert ("pandas<3" in found.values()) == (minor < 13)


def test_every_python_is_promised_and_tested() -> None:
    assert PROJECT["requires-python"] == ">=3.10"
    workflow = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    for minor in MINORS:
        assert f"Programming Language :: Python :: 3.{minor}" in PROJECT["classifiers"]
        assert f'"3.{minor}"' in workflow


def test_the_tests_of_the_hub_are_there() -> None:
    """An entry that names nothing would skip nothing."""
    for place in NEEDS_POLARIS:
        path, _, test = place.partition("::")
        assert (ROOT / path).exists(), place
        assert f"def {test}" in ((ROOT / path).read_text("utf-8") if test else "def "), place
