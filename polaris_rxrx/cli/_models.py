"""A model's results for its report: a folder that `evaluate --out` wrote, or a card, whose suites are run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli._running import run
from polaris_rxrx.cli._source import OF_EFFORT, OF_WELLS, Source, refuse_given
from polaris_rxrx.cli.options import note
from polaris_rxrx.suites.run import BELONGS, PAPER, WELLS, jobs

if TYPE_CHECKING:
    from polaris_rxrx.report.model import ModelResults

SUITES = (*PAPER, "activity")  # what is run of a card
OF_CARDS: tuple[str, ...] = ("embeddings", *OF_WELLS, *OF_EFFORT, "max_memory", "align", "aggregate")
OF_CARDS += ("components", "correct", "gene_arms", "arms_unexpressed", "annotations", "relations", "seed")


def folder_of(name: str) -> Path | None:
    """The folder of results that a name stands for; None if it is to be a card's."""
    from polaris_rxrx.cards import card_names
    from polaris_rxrx.suites.stored import holds_results

    path = Path(name)
    if holds_results(path) or (path.is_dir() and name not in card_names()):
        return path
    return None


def read_models(
    context: click.Context, source: Source, others: Iterable[Path], **options: Any
) -> list[ModelResults]:
    """The results of --model, then of each of `others`; those of cards are computed.

    Args:
        context: Of the command.
        source: With a model; other cards are read alike, from their own tables.
        others: Folders, or names or paths of cards.
        options: Of the suites; those left out are as `evaluate` has them.

    Raises:
        click.UsageError: An option that concerns no folder beside folders alone.
        PolarisRxrxError: A folder without results, no such card, its files, what is in them.
    """
    from polaris_rxrx.cards import card_names
    from polaris_rxrx.report.model import read_model_results

    assert source.model is not None
    names = [source.model, *map(str, others)]
    folders = [folder_of(name) for name in names]
    if all(folder is not None for folder in folders):
        refuse_given(context, OF_CARDS, "results, which are there already")
    found = []
    for i, (name, folder) in enumerate(zip(names, folders, strict=True)):
        if folder is None:
            own = source if i == 0 else replace(source, model=name, embeddings=None)
            found.append(_computed(context, own, options))
            continue
        if name in card_names():
            note(f"{name} is read as the folder of results that is here and not run as the card of this name")
        found.append(read_model_results(folder))
        for fault in found[-1].faults:
            note(f"Note: {folder}: {fault}")
    return found


def _computed(context: click.Context, source: Source, options: dict[str, Any]) -> ModelResults:
    """Run a card's suites."""
    from polaris_rxrx.report.model import named

    source.check(context, wells=[suite for suite in SUITES if suite in WELLS])
    every = {**dict.fromkeys(BELONGS), "low": (), "high": (), "legacy": False, "layout_of": None, "seed": 0}
    every |= {**options, "effort": source.effort}
    made = dict(zip(SUITES, jobs(SUITES, source.data, None, every), strict=True))
    done = run(made, source, None, None)
    assert source.card is not None
    return named(source.card.name, {n: r for results in done.values() for n, r in results.items()})
