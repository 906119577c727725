"""`polaris-rxrx doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polaris_rxrx.cli.options import FILE, json_option, note, on_terminal, task_option, wide_option

if TYPE_CHECKING:
    from polaris_rxrx.doctor.findings import Diagnosis, Folder, Login


@click.command()
@task_option
@click.option(
    "--data",
    type=FILE,
    show_default="$POLARIS_RXRX_DATA, else the user's data folder",
    help="The folder with RxRx3-core's files.",
)
@click.option("--offline", is_flag=True, help="Ask no server.")
@click.option(
    "--deep",
    is_flag=True,
    help="Also hash large files (about a second for 500 MB), and import the packages of extras.",
)
@json_option
@wide_option
def command(task: Path, data: Path | None, offline: bool, deep: bool, as_json: bool) -> None:
    """Look for what is wrong with this installation, and say what helps.

    Python and its packages, memory, the data folder and its files, the Hub and the login. Nothing is changed.
    The JSON holds nothing private: no token, no account, the home folder as ~. The exit code is 1 if
    something is in the way of scoring on this machine.
    """
    from polaris_rxrx.doctor.report import examine

    if on_terminal():
        note("Importing packages and looking at files; this takes some seconds.")
    found = examine(data, task, offline=offline, deep=deep)
    if as_json:
        from polaris_rxrx.present.terminal import json_text

        click.echo(json_text(found.to_dict()))
    else:
        click.echo("\n".join(_as_text(found)))
    if not found.ok:
        click.get_current_context().exit(1)


def _as_text(found: Diagnosis) -> list[str]:
    from polaris_rxrx.present.terminal import labelled

    lines = [f"polaris-rxrx {found.version}", "", *labelled(_rows(found)), ""]
    if not found.faults:
        return [*lines, "Nothing is wrong."]
    for heading, stops in (("In the way:", True), ("Worth a look:", False)):
        chosen = [fault for fault in found.faults if fault.stops == stops]
        lines += [heading] if chosen else []
        for fault in chosen:
            lines += labelled([("-", f"{fault.about}: {fault.told}"), ("", f"=> {fault.advice}")])
        lines += [""] if chosen else []
    return lines[:-1]


def _rows(found: Diagnosis) -> Iterator[tuple[str, str]]:
    """What a part is called, and what is to be said of it."""
    if (p := found.python) is not None:
        yield "Python", f"{p.version} ({p.implementation}, {p.bits} bit, {p.kind}): {p.executable}"
    if (s := found.system) is not None:
        yield "system", f"{s.name} {s.release}, {s.machine}; what is printed is {s.output_encoding}"
    yield from _memory(found)
    if found.packages:
        core = [p for p in found.packages if p.extra is None]
        good = sum(bool(p.imported) for p in core)
        yield "packages", f"{good} of {len(core)} that are wanted are there and can be imported"
    for extra in found.extras:
        there = "there" if extra.complete else f"not there ({', '.join(extra.missing)}): {extra.install}"
        yield f"[{extra.name}]", f"{extra.adds}; {there}"
    for folder in found.folders:
        yield folder.what, _folder(folder)
    for host in found.hosts:
        yield host.what, f"{host.host}: {host.told}"
    if (login := found.login) is not None:
        yield "login", _login(login)


def _memory(found: Diagnosis) -> Iterator[tuple[str, str]]:
    from polaris_rxrx.limits import size_text

    if (m := found.machine) is None or m.free is None or m.allowed is None:
        return
    bound = "" if m.bound is None else f" of the {size_text(m.bound)} that are allowed"
    wells = " or ".join(f"{n:,} wells of {int(width):,} features" for width, n in m.wells.items())
    yield (
        "memory",
        f"{size_text(m.free)} free{bound}; commands take {size_text(m.allowed)} of it if --max-memory says "
        f"nothing, and hold {wells} in it; larger tables are summed as they are read, or stand on disk",
    )
    yield "processors", str(m.processors)


def _folder(folder: Folder) -> str:
    from polaris_rxrx.limits import size_text

    parts = [folder.path]
    if not folder.there:
        parts.append("not there yet")
    elif folder.count:
        damaged = sum(file.problem is not None for file in folder.files)
        said = f" ({damaged} to be looked at)" if damaged else ""
        parts.append(f"{folder.count:,} files, {size_text(folder.bytes)}{said}")
    parts += [folder.note] if folder.note else []
    if folder.missing:
        parts.append(f"not fetched: {', '.join(folder.missing)} (polaris-rxrx fetch)")
    if unhashed := [file for file in folder.files if file.hashed is False and file.problem is None]:
        size = sum(file.bytes or 0 for file in unhashed)
        parts.append(f"{size_text(size)} not hashed: --deep takes about {size / 500e6:.0f} s for it")
    parts += [] if folder.writable else ["not writable"]
    parts += [f"{size_text(folder.free)} free"] if folder.free is not None else []
    return "; ".join(parts)


def _login(login: Login) -> str:
    from polaris_rxrx.doctor.online import account

    if not login.logged_in:
        return f"{login.hub}: not logged in (only prepare's saved benchmark and submit need it)"
    name = account()
    until = "" if login.expires is None else f", until {login.expires}"
    return f"{login.hub}: logged in{f' as {name}' if name else ''} (by {login.how}){until}"
