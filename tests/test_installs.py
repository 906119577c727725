"""Every way to install asks for what pyproject.toml asks for: constraints, conda, the containers."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from polaris_rxrx._version import __version__
from tests.conftest import ROOT
from tests.test_packaging import MINORS, PROJECT

EXTRAS = PROJECT["optional-dependencies"]
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]
PLATFORMS = {
    "linux": {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": "x86_64",
    },
    "macos": {
        "sys_platform": "darwin",
        "platform_system": "Darwin",
        "os_name": "posix",
        "platform_machine": "arm64",
    },
    "windows": {
        "sys_platform": "win32",
        "platform_system": "Windows",
        "os_name": "nt",
        "platform_machine": "AMD64",
    },
}


def environment(minor: int, system: str) -> dict[str, str]:
    """What markers are read by on a CPython 3.`minor`."""
    return {
        **PLATFORMS[system],
        "python_version": f"3.{minor}",
        "python_full_version": f"3.{minor}.7",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }


def wanted() -> Iterator[Requirement]:
    """Every requirement of the package and of its extras, but those that are extras of itself."""
    for line in [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]:
        requirement = Requirement(line)
        if canonicalize_name(requirement.name) != PROJECT["name"]:
            yield requirement


def applies(requirement: Requirement, where: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(where)


def pin(name: str, where: dict[str, str]) -> Version:
    """The one version that the constraints leave for a package there."""
    found = [p for p in PINS if canonicalize_name(p.name) == canonicalize_name(name) and applies(p, where)]
    assert len(found) == 1, f"{name} has {len(found)} pins on {where}"
    (exact,) = found[0].specifier
    return Version(exact.version)


@pytest.mark.parametrize("system", PLATFORMS)
@pytest.mark.parametrize("minor", MINORS)
def test_every_requirement_is_pinned_once_and_within_its_bounds(minor: int, system: str) -> None:
    where, n = environment(minor, system), 0
    for requirement in wanted():
        if applies(requirement, where):
            version = pin(requirement.name, where)
            assert requirement.specifier.contains(version), f"{requirement}: pinned to {version}"
            n += 1
    assert n >= 40
    names = [canonicalize_name(p.name) for p in PINS if applies(p, where)]
    assert len(names) == len(set(names)), "a package has two pins"
    assert ("polaris-lib" in names) == (minor < 13)


def test_constraints_are_names_and_versions_alone() -> None:
    """No address, no option, no file: they hold wherever packages come from."""
    text = (ROOT / "constraints.txt").read_text("utf-8")
    assert "://" not in text and len(PINS) > 200
    for each in PINS:
        assert each.url is None and not each.extras
        (exact,) = each.specifier
        assert exact.operator == "==" and "*" not in exact.version
    (command,) = re.findall(r"^# +(uv pip compile .*)$", text, re.M)
    assert "--universal" in command and "--all-extras" in command and "--python-version 3.10" in command
    assert command.endswith("-o constraints.txt")


# What conda-forge calls otherwise. Of httpx's extra it has the package that this brings.
CONDA = {"matplotlib": "matplotlib-base", "polaris-lib": "polaris", "torch": "pytorch"}
# Not on conda-forge, or not asked for: torchvision goes with timm there.
NOT_ON_CONDA = {"cp-measure", "torchvision"}
RECIPE = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text("utf-8"))


def conda(entries: list[str]) -> dict[str, SpecifierSet]:
    """Package -> its bounds; the two write them alike."""
    pairs = (entry.partition(" ")[::2] for entry in entries)
    return {canonicalize_name(name): SpecifierSet(bounds) for name, bounds in pairs}


def by_conda(lines: list[str]) -> dict[str, SpecifierSet]:
    """Requirements on Python 3.12, and what 3.10 needs more, as the recipe has to have them."""
    found: dict[str, Any] = {}
    for minor in (10, 12):
        for requirement in map(Requirement, lines):
            name = canonicalize_name(requirement.name)
            if name not in NOT_ON_CONDA | {PROJECT["name"]} and applies(
                requirement, environment(minor, "linux")
            ):
                found[CONDA.get(name, name)] = requirement.specifier
    return found


def test_the_recipe_has_the_same_names_and_bounds() -> None:
    run = conda(RECIPE["requirements"]["run"])
    assert run.pop("python") == SpecifierSet(">=3.10,<3.13")
    assert run.pop("socksio") == SpecifierSet("==1.*")  # httpx[socks]
    assert run == by_conda(PROJECT["dependencies"])
    extras = [
        line for name in ("h5ad", "distributed", "images", "openphenom", "umap") for line in EXTRAS[name]
    ]
    bounds = conda(RECIPE["requirements"]["run_constraints"])
    expected = by_conda(extras)
    assert expected.pop("pandas") == SpecifierSet("<3")  # anndata asks for it itself
    assert bounds == expected
    hatchling = conda(RECIPE["requirements"]["host"])["hatchling"]
    assert f"hatchling{hatchling}" in (ROOT / "pyproject.toml").read_text("utf-8")


def test_the_recipe_is_of_this_version_and_tries_the_demo() -> None:
    assert RECIPE["context"]["version"] == __version__ and RECIPE["source"] == {"path": ".."}
    assert (ROOT / RECIPE["about"]["license_file"]).exists()
    assert (
        RECIPE["about"]["license"] == PROJECT["license"]
        and RECIPE["about"]["summary"] == PROJECT["description"]
    )
    (name,) = PROJECT["scripts"]
    assert RECIPE["build"]["python"]["entry_points"] == [f"{name} = {PROJECT['scripts'][name]}"]
    assert "polaris-rxrx demo demo" in RECIPE["tests"][1]["script"]


def docker() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, lines that go on put together."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.M)
    joined = re.sub(r"\\\n\s*", "", text)
    return [(w, rest) for w, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def apptainer() -> dict[str, str]:
    """The definition's sections."""
    text = (ROOT / "apptainer.def").read_text("utf-8")
    return dict(re.findall(r"^%(\w+)\n(.*?)(?=^%|\Z)", text, re.M | re.S))


def test_the_image_runs_as_nobody_special_with_the_locked_versions() -> None:
    steps = docker()
    last = len(steps) - 1 - [w for w, _ in reversed(steps)].index("FROM")
    assert {rest.split()[0] for w, rest in steps if w == "FROM"} == {"python:3.12-slim"}
    (user,) = (rest for w, rest in steps[last:] if w == "USER")
    assert user == "1000:1000"
    assert [w for w, _ in steps[-4:]] == ["USER", "WORKDIR", "ENTRYPOINT", "CMD"]
    assert dict(steps[-4:])["ENTRYPOINT"] == '["polaris-rxrx"]'
    (install,) = (rest for w, rest in steps if w == "RUN" and "pip install" in rest)
    assert "--constraint constraints.txt" in install and "ADD" not in {w for w, _ in steps}


def test_both_containers_are_made_alike() -> None:
    steps, sections = docker(), apptainer()
    ((_, extras),) = (rest.split("=") for w, rest in steps if w == "ARG")
    assert sections["arguments"].strip() == f"EXTRAS={shlex.split(extras)[0]}"
    assert set(shlex.split(extras)[0].split(",")) <= EXTRAS.keys()
    copied = {s for w, rest in steps if w == "COPY" and "--from" not in rest for s in shlex.split(rest)[:-1]}
    assert copied == {line.split()[0] for line in sections["files"].strip().splitlines()}
    assert all((ROOT / name).exists() for name in copied - {"polaris_rxrx"})
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.M)
    assert set(allowed) == copied and (ROOT / ".dockerignore").read_text("utf-8").splitlines()[1] == "*"
    build = ["constraints.txt", "pyproject.toml", "README.md", "LICENSE"]
    assert copied == {*build, "polaris_rxrx", "baselines", "datasets"}
    assert "--constraint constraints.txt" in sections["post"] and sections["post"].lstrip().startswith(
        "set -eu"
    )
    libraries = r"apt-get install --yes --no-install-recommends ([\w -]+?)(?: &&|\n|$)"
    (ours,) = re.findall(libraries, " ".join(rest for w, rest in steps if w == "RUN"))
    assert ours.split() == re.findall(libraries, sections["post"])[0].split()
    assert sections["runscript"].strip() == 'exec polaris-rxrx "$@"'


PAGE = (ROOT / "docs" / "install.md").read_text("utf-8")


def test_the_page_tells_what_every_extra_adds() -> None:
    assert (
        re.findall(r"^\| `(\w+)` \|", PAGE, re.M)
        and set(re.findall(r"^\| `(\w+)` \|", PAGE, re.M)) == EXTRAS.keys()
    )
    named = {
        e
        for words in re.findall(r"(?:polaris-rxrx|\.)\[([\w,]+)\]|EXTRAS=([\w,]+)", PAGE)
        for e in ",".join(words).split(",")
    }
    assert {"h5ad", "images"} < named - {""} <= EXTRAS.keys()


def test_the_page_names_files_that_are_there() -> None:
    lines = [
        line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()
    ]
    starts = {line.split()[0] for line in lines}
    assert starts >= {"uvx", "uv", "pipx", "pip", "conda", "docker", "apptainer"}
    used = {
        word
        for line in lines
        for word in shlex.split(line)
        if word in ("constraints.txt", "apptainer.def", "conda")
    }
    assert used == {"constraints.txt", "apptainer.def", "conda"} and all(
        (ROOT / name).exists() for name in used
    )


def test_the_sdist_holds_what_tests_read() -> None:
    """They are run on the wheel from it, when a version is released."""
    from polaris_rxrx import bounded

    tool = bounded.toml_loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    include = set(tool["hatch"]["build"]["targets"]["sdist"]["include"])
    read = set()
    for path in (ROOT / "tests").rglob("*.py"):
        read |= {m.partition("/")[0] for m in re.findall(r'\bROOT / "([^"]+)"', path.read_text("utf-8"))}
    assert {"CHANGELOG.md", "tools", ".github", "conda", "constraints.txt"} <= read
    assert read - include == {"pyproject.toml"}, "hatchling adds that one by itself"
