"""What commands run on: the files named or found, read, hashed, and results kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polaris_rxrx.cli.options import Bar, default_task, note
from polaris_rxrx.errors import DataError, UsageError

if TYPE_CHECKING:
    from polaris_rxrx.cards import Card
    from polaris_rxrx.maps.align import Aligner
    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.predictions import Predictions
    from polaris_rxrx.suites.gene_gene import Relations
    from polaris_rxrx.suites.result import Result
    from polaris_rxrx.task import Task
    from polaris_rxrx.wells.memory import Wells

MARKER = "polaris-rxrx-results.txt"
_MADE_UP = "The {} are synthetic (polaris-rxrx demo): these figures say nothing about any model"
MADE_UP = _MADE_UP.format("embeddings")


@dataclass(frozen=True, eq=False)
class Source:
    """A model's map, or its wells, or both, and what tells its files apart from others."""

    title: str
    align: Aligner | None
    inputs: dict[str, Any]
    wells: Wells | None = None
    map_: Map | None = None

    @property
    def made_up(self) -> bool:
        return bool(self.inputs.get("made_up"))

    def with_map(self, bar: Bar) -> Source:
        """The same with the map built, unless it is there."""
        if self.map_ is not None:
            return self
        from polaris_rxrx.maps.build import build_map

        assert self.wells is not None and self.align is not None
        built = build_map(self.wells, self.align, progress=bar.step)
        tell_dropped(built)
        return replace(self, map_=built)

    def stamp(self, result: Result) -> Result:
        """The result with the inputs in its protocol; synthetic data is told first."""
        notes = (MADE_UP, *result.notes) if self.made_up else result.notes
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
    if card.source.file and (data / card.source.file).is_file():
        return data / card.source.file
    named = f" ({card.source.file})" if card.source.file else ""
    raise MissingError(
        f"{card.title} has no table{named} in {data}, and none is published with RxRx3-core; "
        "give it with --embeddings"
    )


def read_source(
    card: Card,
    metadata: Path,
    embeddings: Path,
    bar: Bar,
    *,
    align: Aligner | None = None,
    allow_missing: bool = False,
    guides: bool = False,
    features: Sequence[str] = (),
) -> Source:
    """Read and hash a card's wells; with `guides` a perturbation is a guide, not a gene."""
    from polaris_rxrx.baselines import read_model
    from polaris_rxrx.files import sha256

    wells, cleaning, report = read_model(
        card,
        metadata,
        embeddings,
        allow_missing=allow_missing,
        guides=guides,
        features=features,
        progress=bar.step,
    )
    inputs: dict[str, Any] = {
        "card": card.name,
        "n_wells_missing": wells.missing,
        "reading": wells.reading,
        **report,
    }
    for done, (name, path) in enumerate((("metadata", metadata), ("embeddings", embeddings))):
        bar.step("hashing", done, 2)
        inputs[f"{name}_sha256"] = sha256(path)
    bar.step("hashing", 2, 2)
    inputs["made_up"] = is_made_up(embeddings)
    tell_wells(wells, f"{card.title}: ")
    if cleaning:
        note(f"{card.title}: cleaned: {cleaning}")
    elif wells.missing:
        note(f"{wells.missing:,} wells of the metadata have no embedding and were left out")
    return Source(card.title, align or card.recipe.align, inputs, wells)


def tell_wells(wells: Wells, before: str = "") -> None:
    """Say what was taken of a table of wells, and what is odd about it."""
    for line in wells.notes:
        note(before + line)


def tell_dropped(map_: Map) -> None:
    """Say how many directions an aligner left out."""
    p = map_.protocol
    if n := p["n_directions_dropped"]:
        note(
            f"{p['align']}: the {p['n_controls']:,} control wells vary in {p['n_components']:,} of "
            f"{p['n_features']:,} directions; the other {n:,} were left out"
        )


def read_map(path: Path) -> Source:
    """Read and hash a saved map."""
    from polaris_rxrx.files import sha256
    from polaris_rxrx.maps.store import load_map

    map_ = load_map(path)
    made_up = bool(map_.protocol.get("made_up"))
    return Source(str(path), None, {"map_sha256": sha256(path), "made_up": made_up}, map_=map_)


def is_made_up(embeddings: Path) -> bool:
    """Whether `polaris-rxrx demo` drew this table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return b"polaris_rxrx" in (pq.read_schema(embeddings).metadata or {})
    except pa.ArrowException:  # a CSV
        return False


def read_all_relations(paths: Sequence[Path], data: Path) -> dict[str, Relations]:
    """The relation files given, or those of the data folder; a source is named by its file."""
    from polaris_rxrx.dataset.registry import locate
    from polaris_rxrx.suites.gene_gene import KNOWN_SOURCES, read_relations

    files: list[Path] = []
    for path in paths or [locate("relations", data)]:
        found = sorted(path.glob("*.txt")) if path.is_dir() else [path]
        if not found:
            raise DataError(f"{path} holds no .txt file of relations")
        files += found
    names = [path.name.partition(".")[0] for path in files]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise UsageError(f"two relation files are named {twice[0]}; results are told apart by that name")
    order = {name: i for i, name in enumerate(KNOWN_SOURCES)}
    return {
        name: read_relations(path)
        for name, path in sorted(
            zip(names, files, strict=True), key=lambda held: (order.get(held[0], len(order)), held[0])
        )
    }


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
