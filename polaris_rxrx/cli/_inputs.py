"""What commands run on: the files named or found, read, hashed, and results kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli.options import FILE, Bar, default_task, note
from polaris_rxrx.errors import UsageError
from polaris_rxrx.suites.inputs import ModelInput, of_file

if TYPE_CHECKING:
    from polaris_rxrx.cards import Card
    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.predictions import Predictions
    from polaris_rxrx.suites.result import Result
    from polaris_rxrx.task import Task
    from polaris_rxrx.wells.metadata import Metadata

MARKER = "polaris-rxrx-results.txt"

annotations_option = click.option(
    "--annotations",
    type=FILE,
    metavar="CSV",
    help="The affinities, in nM.  [default: those in --data]",
)

relations_option = click.option(
    "--relations",
    type=FILE,
    multiple=True,
    help="Known relations: a file with two names on each line, or a folder of such files; may be "
    "repeated.  [default: those in --data]",
)

aliases_option = click.option(
    "--aliases",
    type=FILE,
    metavar="CSV",
    help="Genes that go by two symbols: a table with the columns previous and symbol, beside the few "
    "known of RxRx3. Relations and sets are read by the symbols that the map has.",
)


def read_given(preds: Path, task: Task, folder: Path, *, fill: float | None = None) -> Predictions:
    """Read predictions for the task in `folder`, telling if ids alone say which row is which pair.

    A baseline's file that is not there yet is one command away.

    Raises:
        MissingError: No such file.
        DataError: What is in it does not fit the task.
    """
    from polaris_rxrx.predictions import read_predictions

    if preds.exists():
        found = read_predictions(preds, task, fill=fill)
        if found.left_out:
            names = ", ".join(repr(n) if n else "a column without a name" for n in found.left_out)
            note(f"{preds}: {names} was taken for a saved index and left out")
        if found.reading:
            note(found.reading)
        return found
    from polaris_rxrx.cards import card_names
    from polaris_rxrx.errors import MissingError

    command = []
    if preds.name == f"{preds.stem}.csv" and preds.stem in card_names():
        command = ["baseline", preds.stem]
        command += [] if folder == default_task() else ["--task", str(folder)]
        command += [] if preds.parent == Path() else ["--out", str(preds)]
    raise MissingError(f"{preds}: no such file", command)


def refuse_twice(paths: Sequence[Path]) -> None:
    """Raise `UsageError` if a file that is to be compared stands twice among them."""
    if twice := [p for i, p in enumerate(paths) if p in paths[:i]]:
        raise UsageError(f"{twice[0]} was given twice; different files were expected")


def card_embeddings(card: Card, data: Path) -> Path:
    """A card's table in the data folder."""
    from polaris_rxrx.dataset.registry import KNOWN, locate
    from polaris_rxrx.errors import MissingError

    if card.name in KNOWN:
        return locate(card.name, data)
    if card.source.file and (data / card.source.file).exists():
        return data / card.source.file
    named = f" ({card.source.file})" if card.source.file else ""
    raise MissingError(
        f"{card.title} has no table{named} in {data}, and none is published with RxRx3-core; "
        "give it with --embeddings"
    )


def read_source(
    card: Card,
    metadata: Path | Metadata,
    embeddings: Path,
    bar: Bar,
    *,
    mapped: bool = True,
    need_wells: bool = False,
    correct: Callable[[Map], Map] = lambda map_: map_,
    **choices: Any,
) -> ModelInput:
    """Read and hash a card's wells and, unless they are to stay unmapped, build and correct their map.

    A map alone may be made of a summary, unless the wells are needed. Wells have the corrections of wells
    that the card asks for; `choices` are those of `polaris_rxrx.baselines.read_model`.
    """
    from polaris_rxrx import baselines
    from polaris_rxrx.maps.correct import told_of

    reader = baselines.read_means if mapped and not need_wells else baselines.read_model
    read = reader(card, metadata, embeddings, hashed=True, progress=bar.step, **choices)
    wells = baselines.corrected(read, card.recipe)
    map_: Map | None = None
    if mapped:
        map_ = correct(baselines.map_of(wells, card.recipe, progress=bar.step))
    for line in read.notes:
        note(f"{card.title}: {line}")
    for line in told_of(wells) if map_ is None else map_.notes:
        note(line)
    return ModelInput(card.title, {"card": card.name, **wells.provenance}, wells, card.recipe, map_)


def read_map(path: Path, correct: Callable[[Map], Map] = lambda map_: map_) -> ModelInput:
    """Read, hash and correct a saved map."""
    given = of_file(path)
    assert given.map_ is not None
    if given.inputs.get("protocol") == "unknown":
        note(
            f"{path}: protocol unknown; a table of {len(given.map_):,} rows and "
            f"{given.map_.x.shape[1]:,} features is taken as it is"
        )
    map_ = correct(given.map_)
    for line in map_.notes:
        note(line)
    return replace(given, map_=map_)


def check_folder(out: Path) -> None:
    """Refuse, before any work is done, a folder that is not ours to write into."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; a folder was expected")
    if Path.cwd().is_relative_to(out.resolve()):
        raise UsageError(f"{out} is the working directory or holds it; choose a folder inside")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise UsageError(f"{out} is not empty and holds no {MARKER}; choose another folder")


def write_folder(out: Path, files: Mapping[str, str], replaced: Iterable[str]) -> None:
    """Write files into a folder of results; whole or not at all, and other results in it stay.

    Args:
        out: A folder that is new, empty, or of this function's making.
        files: Name -> text.
        replaced: Patterns of earlier files that these stand for.
    """
    from polaris_rxrx.files import new_folder

    with new_folder(out, replace=True, marker=MARKER) as folder:
        if out.is_dir():
            shutil.copytree(out, folder, symlinks=True, dirs_exist_ok=True)
            for pattern in replaced:
                for path in folder.glob(pattern):
                    path.unlink()
        (folder / MARKER).write_text(
            "Results written by polaris-rxrx; it replaces them when it runs again with --out.\n",
            encoding="utf-8",
            newline="",
        )
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")


def write_results(out: Path, results: Mapping[str, Result]) -> None:
    """Write SUITE.json and SUITE_TABLE.csv of every result into a folder of results."""
    write_folder(out, *result_files(results))


def result_files(results: Mapping[str, Result]) -> tuple[dict[str, str], list[str]]:
    """SUITE.json and SUITE_TABLE.csv of every result, and the patterns of what they replace."""
    files = {}
    for suite, result in results.items():
        files[f"{suite}.json"] = result.to_json()
        files |= {f"{suite}_{table}.csv": result.csv(table) for table in result.tables}
    return files, [pattern for s in results for pattern in (f"{s}.json", f"{s}_*.csv")]
