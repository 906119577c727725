"""What commands run on: the files named or found, read, hashed, and results kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli.options import FILE, Bar, default_task, note
from polaris_rxrx.errors import UsageError

if TYPE_CHECKING:
    from polaris_rxrx.cards import Card, Recipe
    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.maps.summary import Summary
    from polaris_rxrx.predictions import Predictions
    from polaris_rxrx.suites.gene_sets import GeneSets
    from polaris_rxrx.suites.relations import Relations
    from polaris_rxrx.suites.result import Result
    from polaris_rxrx.task import Task
    from polaris_rxrx.wells.metadata import Metadata
    from polaris_rxrx.wells.source import WellSource

MARKER = "polaris-rxrx-results.txt"
_MADE_UP = "The {} are synthetic (polaris-rxrx demo): these figures say nothing about any model"
MADE_UP = _MADE_UP.format("embeddings")


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


@dataclass(frozen=True, eq=False)
class ModelInput:
    """A model's wells (or a summary), its map, or both, its recipe, and what tells its files apart."""

    title: str
    inputs: dict[str, Any]
    wells: WellSource | Summary | None = None
    recipe: Recipe | None = None
    map_: Map | None = None

    @property
    def made_up(self) -> bool:
        return bool(self.inputs.get("made_up"))

    def stamp(self, result: Result) -> Result:
        """The result with the inputs in its protocol; synthetic data is told first."""
        notes = (MADE_UP, *result.notes) if self.made_up else result.notes
        if self.inputs.get("protocol") == "unknown":
            notes = (f"{self.title}: protocol unknown, nothing is known of how this map was made", *notes)
        return replace(result, protocol={**result.protocol, "inputs": self.inputs}, notes=notes)


def stamp_truth(result: Result, what: str, made_up: bool) -> Result:
    """The result of affinities or relations; where they are the demo's, that is told and in the protocol."""
    if not made_up:
        return result
    return replace(
        result,
        protocol={**result.protocol, f"{what}_made_up": True},
        notes=(_MADE_UP.format(what), *result.notes),
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


def arms_reader(
    arms: Path | None, unexpressed: Path | None, correct: Sequence[str] = ()
) -> Callable[[Map], Map]:
    """What --gene-arms and --arms-unexpressed do to a map; their files are read now.

    Raises:
        UsageError: Unexpressed genes, or a correction by chromosome arm among `correct`, without arms.
    """
    if arms is None:
        if "chromosome-arm" in correct:
            raise UsageError("chromosome-arm correction needs --gene-arms, a table of genes and their arms")
        if unexpressed is not None:
            raise UsageError("--arms-unexpressed belongs to --gene-arms, which was not given")
        return lambda map_: map_
    from polaris_rxrx.files import sha256
    from polaris_rxrx.maps.correct import by_arm, read_arms
    from polaris_rxrx.suites.unexpressed import read_genes

    known = read_arms(arms)
    silent = [] if unexpressed is None else read_genes(unexpressed)
    files = {"arms_sha256": sha256(arms), "unexpressed_sha256": unexpressed and sha256(unexpressed)}

    def corrected(map_: Map) -> Map:
        found = by_arm(map_, known, silent)
        *before, done = found.protocol["corrections"]
        return replace(found, protocol={**found.protocol, "corrections": [*before, {**done, **files}]})

    return corrected


def read_map(path: Path, correct: Callable[[Map], Map] = lambda map_: map_) -> ModelInput:
    """Read, hash and correct a saved map."""
    from polaris_rxrx.files import sha256
    from polaris_rxrx.maps.store import load_map

    map_ = load_map(path)
    inputs = {"map_sha256": sha256(path), "made_up": bool(map_.protocol.get("made_up"))}
    if map_.protocol.get("protocol") == "unknown":
        inputs["protocol"] = "unknown"
        note(
            f"{path}: protocol unknown; a table of {len(map_):,} rows and {map_.x.shape[1]:,} features is "
            "taken as it is"
        )
    map_ = correct(map_)
    for line in map_.notes:
        note(line)
    return ModelInput(str(path), inputs, map_=map_)


def read_all_relations(paths: Sequence[Path], data: Path) -> dict[str, Relations]:
    """The relation files given, or those of the data folder."""
    from polaris_rxrx.dataset.registry import locate
    from polaris_rxrx.suites.relations import read_sources

    return read_sources(paths or [locate("relations", data)])


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
            "Results written by polaris-rxrx; it replaces them when it runs again with --out.\n", "utf-8"
        )
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")


def write_results(out: Path, results: Mapping[str, Result]) -> None:
    """Write SUITE.json and SUITE_TABLE.csv of every result into a folder of results."""
    files = {}
    for suite, result in results.items():
        files[f"{suite}.json"] = result.to_json()
        files |= {f"{suite}_{table}.csv": result.csv(table) for table in result.tables}
    write_folder(out, files, [pattern for s in results for pattern in (f"{s}.json", f"{s}_*.csv")])


class Renamer:
    """Relations and sets by the symbols that a map has, and what was renamed of them."""

    def __init__(self, path: Path | None) -> None:
        from polaris_rxrx.files import sha256
        from polaris_rxrx.suites.aliases import read_aliases

        self._aliases = read_aliases(path)
        self._sha256 = None if path is None else sha256(path)
        self._renamed: dict[str, dict[str, str]] = {}

    def relations(self, source: str, known: Relations, map_: Map) -> Relations:
        from polaris_rxrx.suites.aliases import rename_relations

        return rename_relations(known, self._find(source, known.names, map_))

    def sets(self, sets: GeneSets, map_: Map) -> GeneSets:
        from polaris_rxrx.suites.aliases import rename_sets

        names = dict.fromkeys(gene for genes in sets.genes.values() for gene in genes)
        return rename_sets(sets, self._find(sets.path.name, names, map_))

    def names(self, source: str, names: Sequence[str], map_: Map) -> list[str]:
        found = self._find(source, names, map_)
        return [found.get(name, name) for name in names]

    def _find(self, source: str, names: Iterable[str], map_: Map) -> dict[str, str]:
        from polaris_rxrx.suites.aliases import renaming

        genes = {map_.perturbations.name[i] for i in map_.rows("CRISPR")}
        self._renamed[source] = renaming(names, genes, self._aliases)
        return self._renamed[source]

    @property
    def told(self) -> list[str]:
        """What was renamed, a line for each source."""
        from polaris_rxrx.suites.aliases import told

        return [line for source, found in self._renamed.items() for line in told(source, found)]

    def stamp(self, result: Result) -> Result:
        """The result with what was renamed in its protocol and notes."""
        renamed = {source: found for source, found in self._renamed.items() if found}
        protocol = dict(result.protocol)
        if self._sha256 is not None:
            protocol["aliases_sha256"] = self._sha256
        if renamed:
            protocol["renamed"] = renamed
        return replace(result, protocol=protocol, notes=(*result.notes, *self.told))
