"""The whole examination, each part of it guarded: a doctor does not fall ill of what it looks at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from polaris_rxrx._version import __version__
from polaris_rxrx.doctor import machine, online, packages
from polaris_rxrx.doctor.findings import SCHEMA, Diagnosis, Fault, Folder, private
from polaris_rxrx.errors import one_line

T = TypeVar("T")


def examine(
    data: Path | None,
    task: Path,
    *,
    offline: bool = False,
    deep: bool = False,
    importer: packages.Importer | None = None,
) -> Diagnosis:
    """Look at everything.

    Args:
        data: The data folder; None for this user's.
        task: The prepared folder; it need not be there.
        offline: Ask nobody.
        deep: Also hash large files, and import the packages of extras.
        importer: Tells what can be imported (`packages.bring`).
    """
    faults: list[Fault] = []

    def part(about: str, look: Callable[[], tuple[Any, ...]], otherwise: tuple[Any, ...]) -> tuple[Any, ...]:
        try:
            *found, told = look()
        except Exception as error:  # of a package that is broken, or ours
            advice = "see the packages above; else report it, with polaris-rxrx doctor --json"
            faults.append(Fault(about, f"could not be looked at: {one_line(error)}", advice, False))
            return otherwise
        faults.extend(told)
        return tuple(found)

    (python,) = part("Python", machine.python, (None,))
    (system,) = part("system", machine.system, (None,))
    (memory,) = part("memory", machine.machine, (None,))
    wanted, extras = part("packages", lambda: packages.examine(deep=deep, importer=importer), ([], []))
    good = {p.name for p in wanted if p.imported}
    tasks, arrow = {"numpy", "pyarrow", "pydantic"} <= good, "pyarrow" in good

    def places() -> list[Folder | None]:
        from polaris_rxrx.doctor import folders
        from polaris_rxrx.files import default_data

        looks: dict[str, Callable[[], tuple[Any, ...]]] = {
            "data": lambda: folders.data(data or default_data(), deep=deep, arrow=arrow),
            "task": lambda: folders.task(task, readable=tasks),
            "receipts": folders.state,
            "temporary files": folders.temporary,
        }
        return [part(about, look, (None,))[0] for about, look in looks.items()]

    found = [folder for folder in places() if folder is not None]
    (hosts,) = part("network", lambda: online.examine(offline=offline), ([],))
    (who,) = part("login", online.login, (None,))
    ok = not any(fault.stops for fault in faults)
    faults.sort(key=lambda fault: not fault.stops)
    return private(
        Diagnosis(SCHEMA, __version__, ok, faults, python, system, memory, wanted, extras, found, hosts, who)
    )
