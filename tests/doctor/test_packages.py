"""What an installation wants and what is there, in worlds of metadata of their own; what can be imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import pytest

from polaris_rxrx import bounded
from polaris_rxrx._version import __version__
from polaris_rxrx.doctor import packages
from polaris_rxrx.doctor.findings import Fault, Package
from tests.conftest import ROOT

World = Callable[..., None]
PROJECT = bounded.toml_loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CORE = [
    "numpy>=1.26,<3",
    "pyarrow>=14,<18; python_version < '3.13'",
    "pyarrow>=14,<18; python_version >= '3.13'",
]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A machine on which these versions are installed, and these want the others; nothing else is."""

    def build(versions: dict[str, str], wants: dict[str, list[str]]) -> None:
        there = {"polaris-rxrx": __version__, **versions}

        def version(name: str) -> str:
            if name not in there:
                raise metadata.PackageNotFoundError(name)
            return there[name]

        def requires(name: str) -> list[str]:
            version(name)
            return wants.get(name, [])

        monkeypatch.setattr(packages.metadata, "version", version)
        monkeypatch.setattr(packages.metadata, "requires", requires)

    return build


def importer(**errors: str) -> packages.Importer:
    """Imports everything but what is named here."""

    def bring(names: Sequence[str]) -> dict[str, str | None]:
        return {name: errors.get(name.partition(".")[0]) for name in names}

    return bring


def faults(**errors: str) -> list[Fault]:
    return packages.examine(importer=importer(**errors))[2]


def test_all_is_well(world: World) -> None:
    world({"numpy": "2.1.0", "pyarrow": "17.0.0"}, {"polaris-rxrx": CORE})
    found, extras, told = packages.examine(importer=importer())
    assert found == [
        Package("numpy", ">=1.26,<3", "2.1.0", None, True),
        Package("pyarrow", ">=14,<18", "17.0.0", None, True),
    ]
    assert extras == [] and told == []


@pytest.mark.parametrize("version", ["13.0.0", "18.0.0", "19.0.0rc1"])
def test_a_wrong_pyarrow(version: str, world: World) -> None:
    world({"numpy": "2.1.0", "pyarrow": version}, {"polaris-rxrx": CORE})
    (fault,) = faults(pyarrow="ImportError: numpy.core.multiarray failed to import")
    assert fault.told == f"{version} is installed; >=14,<18 was expected"
    assert fault.advice == "pip install 'pyarrow>=14,<18'" and fault.stops


def test_no_pyarrow(world: World) -> None:
    world({"numpy": "2.1.0", "polaris-lib": "0.13.0"}, {"polaris-rxrx": [*CORE, "polaris-lib==0.13.*"]})
    (fault,) = faults(polaris="ModuleNotFoundError: No module named 'pyarrow'")  # no fault of its own
    assert fault.told == "it is not installed; >=14,<18 was expected" and fault.stops
    assert fault.advice == "pip install 'pyarrow>=14,<18'"


def test_a_broken_pyarrow(world: World) -> None:
    world({"numpy": "2.1.0", "pyarrow": "17.0.0"}, {"polaris-rxrx": CORE})
    (fault,) = faults(pyarrow="ImportError: libarrow.so.1700: no such file")
    assert fault.told.startswith("17.0.0 is installed and cannot be imported: ImportError: libarrow.so.1700")
    assert fault.advice == "pip install --force-reinstall 'pyarrow>=14,<18'" and fault.stops


def test_one_that_was_built_for_another_numpy(world: World) -> None:
    world({"numpy": "2.1.0", "pyarrow": "17.0.0"}, {"polaris-rxrx": CORE})
    (fault,) = faults(pyarrow="ValueError: numpy.dtype size changed, may indicate binary incompatibility")
    assert "it was built for another numpy" in fault.told
    assert fault.advice == "pip install --upgrade --force-reinstall 'pyarrow>=14,<18'"


def test_what_fails_with_another_is_told_once(world: World) -> None:
    world({"numpy": "2.1.0", "pyarrow": "17.0.0"}, {"polaris-rxrx": CORE})
    (fault,) = faults(numpy="ImportError: no libopenblas", pyarrow="ImportError: no module numpy.core")
    assert fault.about == "numpy"
    found, _, _ = packages.examine(importer=importer(numpy="ImportError: x", pyarrow="ImportError: x"))
    assert [p.error for p in found] == ["ImportError: x", "as numpy does: ImportError: x"]


def test_without_polaris_lib_the_main_job_is_done(world: World) -> None:
    world({}, {"polaris-rxrx": ["polaris-lib==0.13.*"]})
    (fault,) = faults()
    assert not fault.stops and fault.advice == "pip install 'polaris-lib==0.13.*'"


EXTRAS = ["anndata<0.13; extra == 'h5ad'", "pandas<3; extra == 'h5ad'"]


def test_an_extra_that_nobody_asked_for(world: World) -> None:
    world({"pandas": "3.0.0"}, {"polaris-rxrx": ["pandas>=2.2", *EXTRAS]})
    _, (extra,), told = packages.examine(importer=importer())
    assert told == []
    assert (extra.name, extra.complete, extra.missing) == ("h5ad", False, ["anndata", "pandas"])
    assert extra.install == "pip install 'polaris-rxrx[h5ad]'" and ".h5ad" in extra.adds


def test_an_extra_that_is_there_in_part(world: World) -> None:
    world({"pandas": "3.0.0", "anndata": "0.12.0"}, {"polaris-rxrx": ["pandas>=2.2", *EXTRAS]})
    (fault,) = faults()
    assert fault.told == "3.0.0 is installed; <3 was expected, for the extra h5ad" and not fault.stops


def test_an_extra_that_names_another(world: World) -> None:
    wants = ["tifffile>=2; extra == 'images'", "polaris-rxrx[images]; extra == 'openphenom'"]
    world({}, {"polaris-rxrx": [*wants, "timm>=1; extra == 'openphenom'"]})
    _, extras, _ = packages.examine(importer=importer())
    assert {e.name: e.missing for e in extras} == {"images": ["tifffile"], "openphenom": ["tifffile", "timm"]}


def test_packages_of_extras_are_imported_on_request(world: World) -> None:
    asked: list[str] = []

    def bring(names: Sequence[str]) -> dict[str, str | None]:
        asked.extend(names)
        return dict.fromkeys(names)

    world(
        {"numpy": "2.0", "umap-learn": "0.5.7"},
        {"polaris-rxrx": ["numpy", "umap-learn>=0.5; extra == 'umap'"]},
    )
    packages.examine(importer=bring)
    assert asked == ["numpy"]
    packages.examine(importer=bring, deep=True)
    assert asked[1:] == ["numpy", "umap"]


def test_what_packages_want_of_one_another(world: World) -> None:
    world(
        {
            "transformers": "4.50.0",
            "huggingface-hub": "1.3.0",
            "torch": "2.6.0",
            "torchvision": "0.20.0",
            "timm": "1.0.9",
        },
        {
            "polaris-rxrx": ["huggingface_hub>=0.30,<2", "timm; extra == 'openphenom'"],
            "timm": ["torch", "torchvision", "transformers"],
            "transformers": ["huggingface-hub<1.0,>=0.30", "pytest; extra == 'dev'", "!! no requirement"],
            "torchvision": ["torch==2.5.0"],
        },
    )
    told = {f.about: (f.told, f.advice) for f in faults()}
    assert (
        told
        == {
            "transformers": (
                "4.50.0 wants huggingface-hub>=0.30,<1.0, and 1.3.0 is installed",
                "pip install 'huggingface-hub>=0.30,<1.0'",
            ),
            "torchvision": ("0.20.0 wants torch==2.5.0, and 2.6.0 is installed", "pip install torch==2.5.0"),
        }
        or told["torchvision"][1] == "pip install 'torch==2.5.0'"
    )


def test_known_not_to_go_together(world: World) -> None:
    world(
        {"httpx2": "2.0", "authlib": "1.6", "torch": "2.6.0+cpu", "torchvision": "0.21.0"},
        {"polaris-rxrx": []},
    )
    first, second = faults()
    assert first.about == "httpx2" and first.advice.startswith("pip uninstall httpx2")
    assert second.about == "torchvision" and "of different builds" in second.told
    world({"torch": "2.6.0+cpu", "torchvision": "0.21.0+cpu"}, {"polaris-rxrx": []})
    assert faults() == []


def test_not_installed_or_another_version(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    world({"polaris-rxrx": "0.0.9"}, {"polaris-rxrx": []})
    (fault,) = faults()
    assert f"this is {__version__}; what is installed, and asked what it wants, is 0.0.9" == fault.told

    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packages.metadata, "requires", requires)
    assert "only run from a folder" in faults()[0].told


def test_without_packaging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    (fault,) = faults()
    assert (fault.about, fault.advice, fault.stops) == ("packaging", "pip install packaging", True)


def test_every_extra_that_is_not_for_developers_is_described() -> None:
    assert PROJECT["optional-dependencies"].keys() - {"test", "dev", "docs"} == packages.ADDS.keys()
    for extra, (_, sign) in packages.ADDS.items():
        lines = PROJECT["optional-dependencies"][extra]
        assert any(packages.folded(line).startswith(sign) for line in lines)


def test_modules_are_imported_in_a_process_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_up_good.py").write_text("print('a page of warnings')")
    (tmp_path / "made_up_bad.py").write_text("raise ImportError('first line\\nsecond line')")
    (tmp_path / "made_up_end.py").write_text("import os; os._exit(7)")
    (tmp_path / "made_up_leave.py").write_text("raise SystemExit(0)")
    monkeypatch.syspath_prepend(tmp_path)
    names = ["made_up_good", "made_up_bad", "made_up_end", "made_up_leave", "made_up_absent"]
    assert packages.bring(names) == {
        "made_up_good": None,
        "made_up_bad": "ImportError: first line",
        "made_up_end": "Python ended as it was (code 7)",
        "made_up_leave": "SystemExit: 0",
        "made_up_absent": "ModuleNotFoundError: No module named 'made_up_absent'",
    }
    assert not [name for name in names if name in sys.modules]


def test_a_module_that_takes_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_up_slow.py").write_text("import time; time.sleep(60)")
    monkeypatch.syspath_prepend(tmp_path)
    assert packages.bring(["made_up_slow"], seconds=1) == {"made_up_slow": "it took longer than 1 s"}


def test_a_python_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.sys, "executable", "/nowhere/python")
    assert packages.bring(["json"]) == {"json": "Python could not be started (No such file or directory)"}
