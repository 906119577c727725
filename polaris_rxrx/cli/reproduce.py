"""`polaris-rxrx reproduce [TABLE]`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli._datasets import DEFAULT, features_of, provenance_of, wells_of, without_blinded
from polaris_rxrx.cli._inputs import (
    aliases_option,
    annotations_option,
    card_embeddings,
    check_folder,
    read_source,
    relations_option,
    write_folder,
)
from polaris_rxrx.cli.options import (
    FILE,
    Bar,
    CardName,
    data_option,
    effort_options,
    features_option,
    json_option,
    note,
    reading_options,
    wide_option,
)
from polaris_rxrx.cli.outputs import Command, results_option
from polaris_rxrx.present.numbers import number
from polaris_rxrx.present.terminal import json_text, notes, table, wrapped
from polaris_rxrx.suites.inputs import MADE_UP, ModelInput, Renamer, read_all_relations

if TYPE_CHECKING:
    from polaris_rxrx.cards import Card
    from polaris_rxrx.errors import MissingError
    from polaris_rxrx.parallel import Effort
    from polaris_rxrx.suites.published import Published
    from polaris_rxrx.suites.reproduce import Cell, Data, ReproductionDocument, Results


@click.command(cls=Command)
@click.argument("name", type=click.Choice(["table4", "table6", "notebook"]), required=False)
@data_option
@click.option(
    "--model",
    "models",
    type=CardName(),
    metavar="CARD",
    multiple=True,
    help="Only this model; may be repeated.  [default: all whose files are in --data]",
)
@features_option
@reading_options
@effort_options
@click.option("--metadata", type=FILE, help="The well metadata.  [default: the one in --data]")
@annotations_option
@relations_option
@aliases_option
@json_option
@results_option("reproduce.json, and each table")
@wide_option
def command(
    name: str | None,
    data: Path,
    models: tuple[str, ...],
    features: tuple[str, ...],
    reading: dict[str, Any],
    effort: Effort,
    metadata: Path | None,
    annotations: Path | None,
    relations: tuple[Path, ...],
    aliases: Path | None,
    as_json: bool,
    out: Path | None,
) -> None:
    """Set computed figures beside the published ones, each with its protocol.

    Without a name, all three tables; table6 with its rows of RxRx3 and JUMP, whose published figures are not
    on record here. A cell is `within` if it is at most one published spread away from the published figure.
    The suites' deviations from the public code follow, numbered; then what it takes to compute the figures
    of models whose files are not in --data.
    """
    from polaris_rxrx.suites.published import NAMES, load_whole
    from polaris_rxrx.suites.reproduce import document

    tables = [table for n in ([name] if name else NAMES) for table in load_whole(n)]
    if out is not None:
        check_folder(out)
    runs, needs = _runs(tables, models, data)
    held = _data([t for run in runs for t in run.tables], data, annotations, relations)
    renamer = Renamer(aliases)
    results: dict[str, Results] = {t.name: {} for t in tables}
    inputs: dict[str, Any] = {}
    for run in runs:
        with Bar(run.card.title) as bar:
            source = run.read(data, metadata, bar, features=features, effort=effort, **reading)
            _run(run.tables, run.card.name, source, held, renamer, effort, bar, results)
        inputs[run.name] = source.inputs
        del source  # or two models' wells would be held while the next is read
    found = document(tables, results, inputs=inputs, needs=needs)
    if out is not None:
        _write(out, found)
        note(f"Wrote reproduce.json and {', '.join(f'{t.name}.csv' for t in tables)} into {out}")
    if as_json:
        click.echo(json_text(found))
        return
    parts = [_as_text(t, results[t.name]) for t in tables]
    parts += _deviations(results)
    if needs:
        told = [part for text in needs.values() for part in wrapped(text, hang=2)]
        parts.append("\n".join(["Models that are not here, and what they need", *told]))
    click.echo("\n\n".join(["\n".join(wrapped(f"{MADE_UP}.")), *parts] if found["made_up"] else parts))


@dataclass(frozen=True)
class _ModelRun:
    """A model on a dataset whose files are at hand, and the tables that it has rows in."""

    dataset: str
    card: Card
    embeddings: Path
    tables: tuple[Published, ...]

    @property
    def name(self) -> str:
        return _named(self.dataset, self.card.name)

    def read(self, data: Path, metadata: Path | None, bar: Bar, **choices: Any) -> ModelInput:
        """The wells, and the map as the tables' protocols have it, without genes that nobody is told."""
        (align,) = {p["align"] for t in self.tables for p in t.protocols.values() if "align" in p}
        card = self.card.with_recipe(align=align)
        own = metadata if self.dataset == DEFAULT else None
        wells = wells_of(self.dataset, own, data, card.recipe.design)
        need_wells = any("signal" in t.suites for t in self.tables)
        read = read_source(card, wells, self.embeddings, bar, need_wells=need_wells, **choices)
        source = without_blinded(read, self.dataset)
        return replace(source, inputs={**source.inputs, **provenance_of(self.dataset)})


def _named(dataset: str, model: str) -> str:
    return model if dataset == DEFAULT else f"{model} on {dataset}"


def _runs(
    tables: Sequence[Published], models: Sequence[str], data: Path
) -> tuple[list[_ModelRun], dict[str, str]]:
    """What is to be run, dataset by dataset; and what each of the other models needs.

    Raises:
        UsageError: A model asked for is in no table.
        MissingError: The files of a model asked for are not there, or no model's are.
    """
    from polaris_rxrx.dataset.registry import locate
    from polaris_rxrx.errors import MissingError, UsageError
    from polaris_rxrx.suites.reproduce import RANDOM

    known = list(dict.fromkeys(m for t in tables for m in t.models if m != RANDOM))
    for model in models:
        if model not in known:
            raise UsageError(f"no published figures of {model!r} there; there are some of {', '.join(known)}")
    found, missing = list[_ModelRun](), dict[tuple[str, str], MissingError]()
    for dataset in dict.fromkeys(t.dataset for t in tables):
        of = [t for t in tables if t.dataset == dataset]
        for model in (m for m in known if (not models or m in models) and any(m in t.models for t in of)):
            card = _card(model)
            try:
                embeddings = card_embeddings(card, data) if dataset == DEFAULT else _features(dataset, data)
            except MissingError as error:
                missing[dataset, model] = error
                continue
            found.append(_ModelRun(dataset, card, embeddings, tuple(t for t in of if model in t.models)))
    for model in models:
        if not any(run.card.name == model for run in found):
            raise next(error for (_, name), error in missing.items() if name == model)
    if not found:
        locate("openphenom", data)  # says what is missing, and the command that fetches it
    needs = {
        _named(dataset, model): f"{error}{_command(error)}"
        for (dataset, model), error in missing.items()
        if not models
    }
    return found, needs


def _command(error: MissingError) -> str:
    return f"; polaris-rxrx {shlex.join(error.command)}" if error.command else ""


def _card(model: str) -> Card:
    """A model's card; one without is a plain embedding."""
    from polaris_rxrx.cards import Card, card_names, load_card

    return load_card(model) if model in card_names() else Card(name=model, title=model)


def _features(dataset: str, data: Path) -> Path:
    """The features of a dataset, a file a plate; its tables are there, too."""
    from polaris_rxrx.dataset.screens import load_screen
    from polaris_rxrx.wells.check import refuse_absent

    refuse_absent(load_screen(dataset), data)
    found = features_of(dataset, data)
    assert found is not None
    return found


def _data(
    tables: Sequence[Published], data: Path, annotations: Path | None, relations: Sequence[Path]
) -> Data:
    """What the tables need, and nothing else."""
    from polaris_rxrx.dataset.affinities import read_affinities
    from polaris_rxrx.dataset.registry import locate
    from polaris_rxrx.suites.reproduce import Data

    suites = {suite for t in tables for suite in t.suites}
    affinities = related = None
    if "drug-target" in suites:
        affinities = read_affinities(annotations or locate("annotations", data))
    if "gene-gene" in suites:
        related = read_all_relations(relations, data)
    return Data(affinities, related)


def _run(
    tables: Sequence[Published],
    model: str,
    source: ModelInput,
    held: Data,
    renamer: Renamer,
    effort: Effort,
    bar: Bar,
    results: dict[str, Results],
) -> None:
    """Add a model's results; the random rows stay those run beside the first model."""
    from polaris_rxrx.maps.build import has_wells
    from polaris_rxrx.suites.reproduce import run

    assert source.map_ is not None
    wells = source.wells if source.wells is not None and has_wells(source.wells) else None
    cache: dict[str, Any] = {}
    if held.relations is not None:
        own = {n: renamer.relations(n, known, source.map_) for n, known in held.relations.items()}
        held = replace(held, relations=own)
        for line in renamer.told:
            note(f"{source.title}: {line}")
    with effort.at_work() as who:
        shared: dict[str, Any] = {"max_memory": effort.own_memory, "who": who, "progress": bar.step}
        for t in (t for t in tables if model in t.models):
            done = run(t, model, source.map_, wells, held, cache=cache, **shared)
            stamped = {at: renamer.stamp(r) if r.suite == "gene-gene" else r for at, r in done.items()}
            results[t.name] = stamped | results[t.name]


def _write(out: Path, document: ReproductionDocument) -> None:
    from polaris_rxrx.tables import to_csv

    files = {"reproduce.json": json_text(document) + "\n"}
    for name, held in document["tables"].items():
        cells = held["cells"]
        columns = {key: ["" if c[key] is None else c[key] for c in cells] for key in cells[0]}
        files[f"{name}.csv"] = to_csv({**columns, "made_up": [int(document["made_up"])] * len(cells)})
    write_folder(out, files, list(files))


def _deviations(results: dict[str, Results]) -> list[str]:
    from polaris_rxrx.suites.reproduce import deviations

    lines = deviations(result for of_table in results.values() for result in of_table.values())
    told = [part for text in lines for part in wrapped(text, hang=2)]
    return ["\n".join(["Deviations from the public code, by suite and number", *told])] if lines else []


NOT_ON_RECORD = "not on record here"


def _as_text(published: Published, results: Results) -> str:
    from polaris_rxrx.suites.reproduce import compare

    cells = compare(published, results)
    protocols = list(dict.fromkeys(c.protocol for c in cells if c.protocol not in (None, "same")))
    header = ["model", "figure", "published", "computed", "difference", "verdict", "protocol"]
    rows = [_row(cell, protocols) for cell in cells]
    lines = table(header, rows, left=2)
    told = [f"({i}) {text}" for i, text in enumerate(protocols, 1)]
    return "\n".join(
        [
            *wrapped(f"{published.name}: {published.title}"),
            *wrapped(f"Published in {published.source} ({published.grade})"),
            *(wrapped(f"Its protocol: {_protocol(published)}") if published.dataset != DEFAULT else []),
            "",
            *lines,
            *([""] if told else []),
            *notes(told, "Protocol"),
        ]
    )


def _protocol(published: Published) -> str:
    """How a table's figures are made, suite by suite; its rows say it of computed ones alone."""
    words = ((suite, ", ".join(f"{k} {v}" for k, v in p.items())) for suite, p in published.protocols.items())
    return "; ".join(f"{suite} by {told}" for suite, told in words)


def _row(cell: Cell, protocols: Sequence[str | None]) -> list[str]:
    def pair(value: float | None, spread: float | None) -> str:
        return number(value, ".3f") + ("" if spread is None else f" +- {spread:.3f}")

    difference = number(cell.difference, "+.3f")
    if cell.in_spreads is not None:
        difference += f" ({cell.in_spreads:+.1f} {cell.spread})"
    if cell.protocol is None:
        protocol = "-"
    else:
        protocol = "same" if cell.protocol == "same" else f"differs ({protocols.index(cell.protocol) + 1})"
    return [
        cell.model,
        cell.quantity.replace("_", " ") + (f" {cell.at}" if cell.at else ""),
        pair(cell.published, cell.published_spread) if cell.published is not None else NOT_ON_RECORD,
        pair(cell.computed, cell.computed_spread),
        difference,
        cell.verdict,
        protocol,
    ]
