"""Packages: what the installation wants, what is there and can be imported, what does not go together.

Conventions
    What is wanted stands in the installed distribution's metadata, its markers evaluated for this Python.
    Packages are imported in a process of their own: one that is broken may print pages, or end Python itself.
    Those of extras are imported only if asked for, for they take many seconds.
    A package that fails because one before it does is no fault of its own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from typing import Any

from polaris_rxrx._version import __version__
from polaris_rxrx.doctor.findings import Extra, Fault, Package
from polaris_rxrx.doctor.machine import pip_line
from polaris_rxrx.errors import shortened

OURS = "polaris-rxrx"
# What is imported of a package, where that is not its own name: what breaks first of it.
MODULES = {
    "matplotlib": ("matplotlib.ft2font",),
    "pillow": ("PIL.Image",),
    "polaris-lib": ("polaris.hub.client",),
    "pyarrow": ("pyarrow.parquet", "pyarrow.csv"),
    "rdkit": ("rdkit.Chem",),
    "scikit-image": ("skimage.measure",),
    "scikit-learn": ("sklearn.decomposition",),
    "scipy": ("scipy.stats",),
    "umap-learn": ("umap",),
}
# What an extra adds, and the package that is there where somebody asked for it: others have many uses.
ADDS = {
    "h5ad": ("AnnData files (.h5ad) and .h5", "anndata"),
    "distributed": ("--scheduler: the workers of a Dask cluster", "distributed"),
    "images": ("images of wells: view, featurize cellprofiler, outlines", "cp-measure"),
    "openphenom": ("featurize openphenom", "timm"),
    "umap": ("explore --points umap", "umap-learn"),
}
# Without it the Hub's commands do not work; from the files to a score nothing asks for it.
BESIDE = {"polaris-lib"}
SECONDS = 180.0  # that a process may take to import everything

# Imports what it is told and says so on what was stdout; `httpx2` is hidden as the Hub's commands hide it.
_CHILD = """
import importlib, json, os, sys, warnings
names, sys.path[:] = json.loads(sys.argv[1])
out, sys.stdout = sys.stdout, sys.stderr
warnings.simplefilter("ignore")
sys.modules["httpx2"] = None
bring = importlib.import_module
for name in names:
    print(json.dumps({"trying": name}), file=out, flush=True)
    error = None
    try:
        bring(name)
    except BaseException as found:
        error = type(found).__name__ + ": " + str(found)
    print(json.dumps({"name": name, "error": error}), file=out, flush=True)
os._exit(0)
"""
_ABI = ("compiled using NumPy 1.x", "_ARRAY_API not found", "numpy.dtype size changed", "multiarray failed")

Importer = Callable[[Sequence[str]], "dict[str, str | None]"]
"""Module names -> why each cannot be imported, None where it can."""


@dataclass(frozen=True)
class Wish:
    """A requirement of the installation: `requirement` is packaging's."""

    requirement: Any
    extra: str | None

    @property
    def name(self) -> str:
        return folded(self.requirement.name)


def folded(name: str) -> str:
    """The one way to write a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(name: str) -> str | None:
    """The version that is there; None where it is not, or where its metadata is of no use."""
    try:
        return metadata.version(name) or None
    except (metadata.PackageNotFoundError, TypeError, KeyError):
        return None


def examine(
    *, deep: bool = False, importer: Importer | None = None
) -> tuple[list[Package], list[Extra], list[Fault]]:
    """Every package that this installation wants, the extras, and what is wrong.

    Args:
        deep: Import the packages of extras, too.
        importer: Tells what can be imported; by default a process of its own.
    """
    try:
        wishes = wanted()
    except metadata.PackageNotFoundError:
        told = "it is not installed, only run from a folder: what it wants is not known"
        return [], [], [Fault(OURS, told, "install it: pip install --editable . in its folder", False)]
    except ImportError:
        told = "it cannot be imported, so no version can be compared"
        return [], [], [Fault("packaging", told, pip_line(["packaging"]), True)]
    faults = list(_own_version())
    packages = [_package(wish) for wish in wishes]
    extras = [
        _extra(name, [p for p in packages if p.extra == name])
        for name in dict.fromkeys(w.extra for w in wishes)
        if name is not None
    ]
    tried = [p for p in packages if p.installed is not None and (p.extra is None or deep)]
    packages = _imported(packages, {p.name for p in tried}, importer or bring)
    faults += [f for p in _told_once(packages) for f in _faults(p)]
    known = {f.about for f in faults}
    faults += _beyond(wishes, known)
    return packages, extras, [*faults, *_combinations()]


def wanted() -> list[Wish]:
    """What the installation wants, and what its extras do; those for developers are left out.

    Raises:
        PackageNotFoundError: It is not installed.
        ImportError: packaging is not there.
    """
    import packaging.requirements  # noqa: F401  once, so that its absence is told once

    lines = metadata.requires(OURS) or []
    found = [Wish(r, None) for r in _evaluated(lines)]
    core = {wish.name for wish in found}
    for extra in ADDS:
        found += [
            Wish(r, extra) for r in _of_extra(lines, extra) if r.specifier or folded(r.name) not in core
        ]
    return found


def _of_extra(lines: Sequence[str], extra: str) -> Iterator[Any]:
    """What an extra wants, and what the extras of ours that it names do."""
    for requirement in _evaluated(lines, extra):
        if folded(requirement.name) == OURS:
            for other in requirement.extras:
                yield from _of_extra(lines, other)
        else:
            yield requirement


def _evaluated(lines: Iterable[str], *extras: str) -> Iterator[Any]:
    """Requirements whose markers hold here; with extras, those alone that hold for them and not without."""
    for line in lines:
        if (found := _parsed(line)) is None:
            continue
        plain = found.marker is None or found.marker.evaluate({"extra": ""})
        if extras:
            holds = not plain and any(found.marker.evaluate({"extra": e}) for e in extras)
        else:
            holds = plain
        if holds:
            yield found


@cache
def _parsed(line: str) -> Any:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(line)
    except InvalidRequirement:
        return None


def _own_version() -> Iterator[Fault]:
    version = installed(OURS)
    if version != __version__:
        told = f"this is {__version__}; what is installed, and asked what it wants, is {version}"
        yield Fault(OURS, told, f"install it again: {pip_line(['--editable', '.'])} in its folder", False)


# ---- is it there, and in a version that is wanted


def _package(wish: Wish) -> Package:
    return Package(wish.name, _bounds(wish.requirement), installed(wish.name), wish.extra)


def _bounds(requirement: Any) -> str:
    """`>=14,<18`: from the least on, as people write it."""
    return ",".join(
        sorted(map(str, requirement.specifier), key=lambda one: (not one.startswith((">", "=")), one))
    )


def fits(version: str, specifier: str) -> bool:
    """Whether a version is one of those; early ones of the right series are."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _line(package: Package) -> str:
    return f"{package.name}{package.wanted}"


def _told_once(packages: Sequence[Package]) -> Iterator[Package]:
    """Packages that all need, then those of extras that somebody asked for; of the same twice, one."""
    seen = set()
    for p in packages:
        if (p.name, p.wanted) not in seen and (p.extra is None or installed(ADDS[p.extra][1])):
            seen.add((p.name, p.wanted))
            yield p


def _faults(package: Package) -> Iterator[Fault]:
    """What is wrong with a package."""
    stops = package.extra is None and package.name not in BESIDE
    whose = "" if package.extra is None else f", for the extra {package.extra}"
    expected = f"{package.wanted or 'any version'} was expected{whose}"
    if package.installed is None:
        yield Fault(package.name, f"it is not installed; {expected}", pip_line([_line(package)]), stops)
    elif not fits(package.installed, package.wanted):
        told = f"{package.installed} is installed; {expected}"
        yield Fault(package.name, told, pip_line([_line(package)]), stops)
    elif package.imported is False and not (package.error or "").startswith(_FOLLOWS):
        reason, again = package.error or "", ["--force-reinstall", _line(package)]
        if _of_numpy(reason):
            reason = "it was built for another numpy than the one installed"
            again = ["--upgrade", *again]
        told = f"{package.installed} is installed and cannot be imported: {reason}"
        yield Fault(package.name, told, pip_line(again), stops)


def _extra(name: str, packages: Sequence[Package]) -> Extra:
    missing = [p.name for p in packages if p.installed is None or not fits(p.installed, p.wanted)]
    return Extra(name, ADDS[name][0], not missing, missing, pip_line([f"{OURS}[{name}]"]))


# ---- can it be imported

_FOLLOWS = "as "


def _imported(packages: Sequence[Package], tried: set[str], importer: Importer) -> list[Package]:
    modules = {name: MODULES.get(name, (name.replace("-", "_"),)) for name in tried}
    # What others stand on goes first.
    order = sorted(tried, key=lambda n: (n not in ("numpy", "pandas", "pyarrow", "pydantic", "httpx"), n))
    errors = importer([module for name in order for module in modules[name]])
    failed: dict[str, str] = {p.name: "" for p in packages if p.installed is None and p.extra is None}
    told: dict[str, str | None] = {}
    for name in order:
        error = next((e for m in modules[name] if (e := errors.get(m)) is not None), None)
        if error is not None:
            first = next((n for n, why in failed.items() if _follows(error, n, why)), None)
            failed[name] = error
            error = error if first is None else f"{_FOLLOWS}{first} does: {error}"
        told[name] = error
    return [
        replace(p, imported=told[p.name] is None, error=told[p.name]) if p.name in told else p
        for p in packages
    ]


def _follows(error: str, name: str, why: str) -> bool:
    """Whether an error is that of a package before it: it names it, is the same, or both are of NumPy's."""
    named = re.search(rf"\b{re.escape(name.replace('-', '_'))}\b", error) is not None
    return named or error == why or (_of_numpy(error) and _of_numpy(why))


def _of_numpy(error: str) -> bool:
    return any(sign in error for sign in _ABI)


def bring(names: Sequence[str], seconds: float = SECONDS) -> dict[str, str | None]:
    """Import modules in a process of its own; after one that ends it, in another."""
    found: dict[str, str | None] = {}
    while left := [name for name in names if name not in found]:
        told, said, how = _child(left, seconds)
        found |= told
        trying = next((line for line in left if line in said and line not in told), None)
        if len(found) == len(names):
            break
        found[trying or left[0]] = how
    return found


def _child(names: Sequence[str], seconds: float) -> tuple[dict[str, str | None], list[str], str]:
    """What could be imported; what was begun; how the process ended."""
    words = [sys.executable, "-c", _CHILD, json.dumps([list(names), sys.path])]
    try:
        done = subprocess.run(words, capture_output=True, timeout=seconds, check=False)
        out, err, code = done.stdout, done.stderr, done.returncode
        how = f"Python ended as it was ({f'signal {-code}' if code < 0 else f'code {code}'})"
    except subprocess.TimeoutExpired as error:
        out, err, how = error.stdout or b"", error.stderr or b"", f"it took longer than {seconds:g} s"
    except OSError as error:
        return {}, [], f"Python could not be started ({error.strerror})"
    told: dict[str, str | None] = {}
    begun = []
    for line in out.decode("utf-8", "replace").splitlines():
        try:
            said = json.loads(line)
        except ValueError:  # the last line of a process that was ended
            continue
        if "trying" in said:
            begun.append(said["trying"])
        else:
            told[said["name"]] = _plain(said["error"], err.decode("utf-8", "replace"))
    return told, begun, how


def _plain(error: str | None, printed: str) -> str | None:
    """An error's first line; what NumPy printed about packages built for another one says more."""
    if error is None:
        return None
    if any(sign in error or (sign in printed and "numpy" in error.lower()) for sign in _ABI):
        return f"{error.splitlines()[0]} ({_ABI[0]})" if _ABI[0] in printed else error.splitlines()[0]
    return shortened((error.strip().splitlines() or ["no reason was given"])[0], 200)


# ---- what does not go together


def _beyond(wishes: Sequence[Wish], known: set[str]) -> Iterator[Fault]:
    """What the packages that are there want of one another, as `pip check` tells it, beside what is known."""
    seen: set[tuple[str, str]] = set()
    version_of = cache(installed)  # many want the same one, and each look parses a file
    todo = [(wish.name, tuple(sorted(wish.requirement.extras))) for wish in wishes]
    while todo:
        name, extras = todo.pop()
        for extra in ("", *extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                lines = metadata.requires(name) or []
            except (metadata.PackageNotFoundError, TypeError, KeyError):
                continue
            for requirement in _evaluated(lines, *([extra] if extra else [])):
                other = folded(requirement.name)
                version = version_of(other)
                fine = version is not None and fits(version, str(requirement.specifier))
                if not fine and other not in known and name not in known:
                    yield _unlike(name, requirement, version)
                todo.append((other, tuple(sorted(requirement.extras))))


def _unlike(name: str, requirement: Any, version: str | None) -> Fault:
    wanted = f"{requirement.name}{_bounds(requirement)}"
    told = f"{installed(name)} wants {wanted}, and {version or 'none'} is installed"
    return Fault(name, told, pip_line([wanted]), False)


def _combinations() -> Iterator[Fault]:
    """What is known not to go together, and stands in no metadata."""
    if installed("httpx2") and installed("authlib"):
        told = "authlib, under polaris-lib, builds on it and breaks; it is hidden while the Hub is asked"
        yield Fault("httpx2", told, "pip uninstall httpx2, if nothing else here needs it", False)
    torch, vision = installed("torch"), installed("torchvision")
    if torch and vision:
        builds = [version.partition("+")[2] for version in (torch, vision)]
        if builds[0] != builds[1] and "cpu" in builds:
            told = f"{vision} and torch {torch} are of different builds, and do not work together"
            advice = f"{pip_line(['--force-reinstall', 'torch', 'torchvision'])}, both from one place"
            yield Fault("torchvision", told, advice, False)
