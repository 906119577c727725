"""What suites are run on, and what is told of it: a model's wells, a map, relations by a map's symbols.

Conventions
    `ModelInput.inputs` stands in the protocol of every result as `inputs`: the card, what reading kept, and
    the hashes of the files. What is synthetic, the embeddings or the truth, is the first note of a result.
    Nothing heavy is imported before it is used: the command line stands on this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polaris_rxrx.errors import UsageError

if TYPE_CHECKING:
    from polaris_rxrx.cards import Recipe
    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.maps.summary import Summary
    from polaris_rxrx.suites.gene_sets import GeneSets
    from polaris_rxrx.suites.relations import Relations
    from polaris_rxrx.suites.result import Result
    from polaris_rxrx.wells.source import WellSource

_MADE_UP = "The {} are synthetic (polaris-rxrx demo): these figures say nothing about any model"
MADE_UP = _MADE_UP.format("embeddings")


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


def stamp_truth(result: Result, what: str, made_up: bool) -> Result:
    """The result of affinities or relations; where they are the demo's, that is told and in the protocol."""
    if not made_up:
        return result
    return replace(
        result,
        protocol={**result.protocol, f"{what}_made_up": True},
        notes=(_MADE_UP.format(what), *result.notes),
    )


def of_file(path: Path) -> ModelInput:
    """Read and hash a saved map.

    Raises:
        DataError: Not there, broken, or not a map.
    """
    from polaris_rxrx.files import sha256
    from polaris_rxrx.maps.store import load_map

    map_ = load_map(path)
    inputs = {"map_sha256": sha256(path), **_told_of(map_)}
    return ModelInput(str(path), inputs, map_=map_)


def of_map(map_: Map, title: str = "a map") -> ModelInput:
    """A map at hand, of which no file is known."""
    return ModelInput(title, _told_of(map_), map_=map_)


def _told_of(map_: Map) -> dict[str, Any]:
    found: dict[str, Any] = {"made_up": bool(map_.protocol.get("made_up"))}
    if map_.protocol.get("protocol") == "unknown":
        found["protocol"] = "unknown"
    return found


def read_all_relations(paths: Sequence[Path], data: Path) -> dict[str, Relations]:
    """The relation files given, or those of the data folder."""
    from polaris_rxrx.dataset.registry import locate
    from polaris_rxrx.suites.relations import read_sources

    return read_sources(paths or [locate("relations", data)])


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
