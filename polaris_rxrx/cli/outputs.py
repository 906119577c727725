"""What commands write, and the one guard that no output stands for an input of the same command.

Conventions
    `NEW_FILE` and `NewFolder` are the types of what is written, `FILE` and `MaybeFile` of what is read. A
    command that writes is a `Command`: once its words are parsed, and before anything is read, each output is
    set beside each input. Files count as one when the system says so (`samefile`): by another spelling, a
    symbolic or a hard link.
    An input folder stands for the files in it that a command may read; `--task` and `--data` know theirs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import click

from polaris_rxrx.cli.options import F, MaybeFile, note


class NewFile(click.Path):
    """A file to be written."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)


class NewFolder(click.Path):
    """A folder to be written; with `names`, only files that look like one of these are written in it."""

    def __init__(self, *names: str) -> None:
        super().__init__(path_type=Path)
        self.names = names


NEW_FILE = NewFile()


def results_option(what: str) -> Callable[[F], F]:
    """`--out`: a folder of results, which `what` is written into."""
    return click.option(
        "--out",
        type=NewFolder("*.json", "*.csv"),
        metavar="DIR",
        help=f"Also write {what} as a CSV file, into this folder.",
    )


per_treatment_option = click.option(
    "--per-treatment",
    type=NEW_FILE,
    metavar="FILE",
    help="Also write one CSV row per treatment.",
)


def write_per_treatment(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write what was computed of every treatment; what is not defined is an empty cell."""
    from polaris_rxrx.files import write_text
    from polaris_rxrx.tables import to_csv

    write_text(
        path, to_csv({name: ["" if v != v else v for v in column] for name, column in columns.items()})
    )
    note(f"Wrote {path}")


class Named(NamedTuple):
    """A path and the word of the command line that gave it."""

    word: str
    path: Path


class Command(click.Command):
    """A command that never writes over what it reads."""

    def invoke(self, ctx: click.Context) -> Any:
        outputs = [
            (given, p.type)
            for p in self.params
            if isinstance(p.type, NewFile | NewFolder)
            for given in _given(p, ctx)
        ]
        if outputs:
            inputs = [
                file
                for p in self.params
                if _is_input(p)
                for given in _given(p, ctx)
                for file in _files(p, given)
            ]
            _refuse(outputs, [*inputs, *_of_card(self.params, ctx)])
        return super().invoke(ctx)


def _is_input(parameter: click.Parameter) -> bool:
    if isinstance(parameter.type, NewFile | NewFolder):
        return False
    return isinstance(parameter.type, click.Path | MaybeFile)


def _given(parameter: click.Parameter, ctx: click.Context) -> list[Named]:
    """What stands in a parameter, and how to call that."""
    value = ctx.params.get(parameter.name or "")
    values = value if isinstance(value, tuple) else () if value is None else (value,)
    word = parameter.opts[0] if isinstance(parameter, click.Option) else (parameter.name or "").upper()
    return [Named(word, Path(v)) for v in values]


def _files(parameter: click.Parameter, given: Named) -> Iterator[Named]:
    """The files that an input stands for."""
    if isinstance(parameter.type, MaybeFile) and not given.path.is_file():  # a name
        return
    if not given.path.is_dir():
        yield given
        return
    if parameter.name == "task":
        from polaris_rxrx.task import files_of
    elif parameter.name == "data":
        from polaris_rxrx.dataset.registry import files_of
    else:
        files_of = _all_in
    yield given
    for path in files_of(given.path):
        yield Named(given.word, path)


def _all_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]


def _of_card(parameters: Sequence[click.Parameter], ctx: click.Context) -> Iterator[Named]:
    """The tables in the data folder that cards name."""
    data = ctx.params.get("data")
    for p in parameters:
        if isinstance(p.type, MaybeFile) and p.type.name == "card" and data is not None:
            from polaris_rxrx.cards import load_card
            from polaris_rxrx.errors import PolarisRxrxError

            for word, path in _given(p, ctx):
                try:
                    file = load_card(str(path)).source.file
                except PolarisRxrxError:  # told when the command reads it
                    continue
                if file:
                    yield Named(f"the table of {word}", Path(data) / file)


def _refuse(outputs: Sequence[tuple[Named, Any]], inputs: Sequence[Named]) -> None:
    for i, (out, kind) in enumerate(outputs):
        for given in inputs:
            if _stands_for(out.path, kind, given.path):
                raise click.UsageError(
                    f"{out.word} {out.path} would be written over {given.path}, which {given.word} reads; "
                    "choose another name"
                )
        for other, _ in outputs[:i]:
            if _same(out.path, other.path):
                raise click.UsageError(
                    f"{other.word} and {out.word} are both {out.path}; two names were expected"
                )


def _stands_for(out: Path, kind: Any, given: Path) -> bool:
    """Whether writing `out` would replace `given`."""
    if isinstance(kind, NewFile):
        return not out.is_dir() and _same(out, given)
    if not out.is_dir():
        return False
    if not kind.names:  # the folder is replaced whole
        return given.exists() and given.resolve().is_relative_to(out.resolve())
    return any(
        _same(path, given)
        for path in out.iterdir()
        if any(fnmatchcase(path.name, name) for name in kind.names)
    )


def _same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:  # one is not there, or cannot be seen
        return os.path.normcase(os.path.realpath(a)) == os.path.normcase(os.path.realpath(b))
