"""What a report of a model says: its results suite by suite, as sections of text, tables and figures' data.

Conventions
    Everything is taken from results; nothing is computed again but what sets two models side by side. The
    same results give the same material, whether they come from a folder or were made just now.
    Published rows stand beside a result only where every word of their protocol is the result's own
    (`polaris_rxrx.suites.reproduce.unlike`); others are listed with what differs.
    A section of a result that is not as it should be is left out and told, and the others stay.
    Figures' data are in `SectionFigures`, in the order of `names`: the model reported first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polaris_rxrx.cards import card_names, load_card
from polaris_rxrx.errors import UsageError
from polaris_rxrx.report.model_paired import Paired, pair_up
from polaris_rxrx.report.model_parts import Section, SectionFigures, inputs_of
from polaris_rxrx.report.model_sections import SECTIONS, WRONG
from polaris_rxrx.suites.result import Result
from polaris_rxrx.suites.stored import read_results

COMMANDS = {  # what makes a result that is not there
    "drug-target": "evaluate drug-target",
    "gene-gene": "evaluate gene-gene",
    "signal": "evaluate signal",
    "replicate-consistency": "evaluate signal",
    "activity": "evaluate activity",
}
_WRONG = "is not as a result should be ({}); left out"


@dataclass(frozen=True, eq=False)
class ModelResults:
    """A model's results by suite, what to call it, and what is wrong with its files."""

    name: str
    results: dict[str, Result]
    faults: tuple[str, ...] = ()

    @property
    def made_up(self) -> bool:
        """Whether anything that went in was drawn by `polaris-rxrx demo`."""
        return any(
            r.protocol.get(key) is True or inputs_of(r).get("made_up") is True
            for r in self.results.values()
            for key in ("affinities_made_up", "relations_made_up")
        )


@dataclass(frozen=True, eq=False)
class ModelMaterial:
    """What a model's report is made of.

    Attributes:
        title: Of the report.
        names: What to call the models, the one reported first.
        sections: A section a suite that there is a result of.
        figures: What they are drawn from.
        map_rows: The map and its making, (what, value).
        paired: The model against each other one.
        warnings: What a reader must know first: results of different models or protocols, damaged files.
        notes: What is missing and how to get it.
        made_up: Whether any input is synthetic.
    """

    title: str
    names: tuple[str, ...]
    sections: tuple[Section, ...]
    figures: SectionFigures
    map_rows: tuple[tuple[str, str], ...]
    paired: tuple[Paired, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    made_up: bool


def read_model_results(folder: Path) -> ModelResults:
    """What `evaluate --out` wrote into a folder; faults name its files without the folder.

    Raises:
        DataError: There is nothing that can be read; see `polaris_rxrx.suites.stored.read_results`.
    """
    found = read_results(folder)
    # Where the folder stands is no part of a page, which is the same elsewhere.
    faults = [text.replace(f"{folder}{os.sep}", "") for text in found.faults]
    return named(folder.absolute().name, found.results, faults)


def named(name: str, results: Mapping[str, Result], faults: Sequence[str] = ()) -> ModelResults:
    """Results under their card's title, if they have one and it says more than `name` does."""
    cards = {str(inputs_of(r).get("card")) for r in results.values()}
    if len(cards) == 1 and (card := cards.pop()) in card_names():
        title = load_card(card).title
        name = title if name == card else f"{title} ({name})"
    return ModelResults(name, dict(results), tuple(faults))


def gather_model(
    own: ModelResults, against: Sequence[ModelResults] = (), *, title: str | None = None
) -> ModelMaterial:
    """Everything about a model.

    Args:
        own: Its results.
        against: Those of other models.
        title: Of the report; by default the model's name.

    Raises:
        UsageError: Two models have one name.
    """
    names = (own.name, *(other.name for other in against))
    if len(set(names)) < len(names):
        raise UsageError(
            f"two of the models go by one name: {', '.join(names)}; different ones were expected"
        )
    figures = SectionFigures()
    warnings = [*_mixed(own), *own.faults]
    for other in against:
        warnings += [f"{other.name}: {text}" for text in (*_mixed(other), *other.faults)]
    sections = []
    for suite, make in SECTIONS.items():
        if (result := own.results.get(suite)) is None:
            continue
        try:
            sections.append(make(own.name, result, figures))
        except WRONG as error:
            warnings.append(f"{suite} of {own.name} {_WRONG.format(_told(error))}")
            continue
        for other in against:
            if (theirs := other.results.get(suite)) is not None:
                try:
                    make(other.name, theirs, figures)
                except WRONG as error:
                    warnings.append(f"{suite} of {other.name} {_WRONG.format(_told(error))}")
    paired = []
    for other in against:
        try:
            paired.append(pair_up(own.name, own.results, other.name, other.results))
        except WRONG as error:
            warnings.append(f"{other.name} could not be set beside {own.name} ({_told(error)})")
    return ModelMaterial(
        title=title if title is not None else own.name,
        names=names,
        sections=tuple(sections),
        figures=figures,
        map_rows=tuple(_map_rows(own.results)),
        paired=tuple(paired),
        warnings=tuple(dict.fromkeys([*warnings, *figures.faults])),
        notes=tuple(_missing(own, against)),
        made_up=any(m.made_up for m in (own, *against)),
    )


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _align(result: Result) -> Any:
    of_map = result.protocol.get("map")
    return of_map.get("align") if isinstance(of_map, dict) else result.protocol.get("align")


def _mixed(model: ModelResults) -> Iterator[str]:
    """What tells that the results of a folder are not of one model and one protocol."""
    told: dict[str, Callable[[Result], Any]] = {
        "models": lambda r: {k: inputs_of(r).get(k) for k in ("card", "embeddings_sha256", "map_sha256")},
        "wells": lambda r: inputs_of(r).get("metadata_sha256"),
        "alignments": _align,
        "versions": lambda r: r.protocol.get("versions"),
    }
    for what, of in told.items():
        groups: dict[str, list[str]] = {}
        for suite, result in model.results.items():
            groups.setdefault(json.dumps(of(result), sort_keys=True, default=str), []).append(suite)
        # A suite that knows nothing of it, such as the wells of a map alone, differs from none.
        groups.pop("null", None)
        if len(groups) > 1:
            each = "; ".join(f"{', '.join(suites)}: {_short(value)}" for value, suites in groups.items())
            yield f"these results are of different {what} ({each})"


def _short(value: str) -> str:
    read = json.loads(value)
    if isinstance(read, dict):
        there = {k: str(v)[:12] if k.endswith("sha256") else v for k, v in read.items() if v is not None}
        return ", ".join(f"{k} {v}" for k, v in there.items()) or "unknown"
    return str(read)[:40]


def _missing(own: ModelResults, against: Sequence[ModelResults]) -> Iterator[str]:
    """What the report has not, and how to get it."""
    for suite, command in COMMANDS.items():
        if suite not in own.results:
            yield f"no result of {suite}: run `polaris-rxrx {command} --out` into the same folder"
    if not against:
        yield "nothing to compare with: give another model's results with --against"
    for suite in (s for s in COMMANDS if s in own.results):
        for other in against:
            if suite not in other.results:
                yield f"{other.name} has no result of {suite} to compare with"


def _map_rows(results: Mapping[str, Result]) -> Iterator[tuple[str, str]]:
    """The map, from the first result that knows of one."""
    maps = [r.protocol["map"] for r in results.values() if isinstance(r.protocol.get("map"), dict)]
    words = {
        "align": "Alignment",
        "aggregate": "A perturbation's row is of its wells the",
        "control": "Control wells",
        "n_wells": "Wells",
        "n_controls": "Control wells, number",
        "n_experiments": "Experiments",
        "n_features": "Features of the model",
        "n_components": "Columns of the map",
        "n_directions_dropped": "Directions without variance, dropped",
    }
    for key, word in words.items():
        if maps and maps[0].get(key) is not None:
            value = maps[0][key]
            yield word, f"{value:,}" if isinstance(value, int) else str(value)
    genes = results["gene-gene"].summary if "gene-gene" in results else {}
    for key, word in (("n_genes", "Genes"), ("n_pairs", "Pairs of genes")):
        if isinstance(genes.get(key), int):
            yield word, f"{genes[key]:,}"
    if isinstance(share := genes.get("share_of_pairs_together"), float):
        yield "Pairs of genes that share an experiment", f"{share:.1%}"
