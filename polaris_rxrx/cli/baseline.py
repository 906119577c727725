"""`polaris-rxrx baseline NAME`."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli._alignment import alignment_options, with_recipe
from polaris_rxrx.cli._datasets import DEFAULT, dataset_option, features_of, provenance_of, wells_of
from polaris_rxrx.cli._inputs import card_embeddings
from polaris_rxrx.cli._source import OF_EFFORT, OF_WELLS, is_summary, refuse_given
from polaris_rxrx.cli.options import (
    FILE,
    TABLE,
    Bar,
    CardName,
    aggregate_option,
    arms_options,
    data_option,
    default_task,
    effort_options,
    features_option,
    fill_option,
    note,
    reading_options,
    seed_option,
    task_option,
)
from polaris_rxrx.cli.outputs import NEW_FILE, Command
from polaris_rxrx.errors import PolarisRxrxError
from polaris_rxrx.maps.names import ALIGNERS
from polaris_rxrx.suites.inputs import arms_reader

if TYPE_CHECKING:
    from polaris_rxrx.baselines import Prediction
    from polaris_rxrx.cards import Card
    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.parallel import Effort
    from polaris_rxrx.task import Task


def _named_out(ctx: click.Context, _: click.Parameter, value: Path | None) -> Path:
    """NAME.csv where --out was not given: the guard has to know."""
    if value is not None or ctx.resilient_parsing:  # as a word is completed
        return value or Path()
    from polaris_rxrx.cards import load_card

    name = ctx.params["name"]
    with contextlib.suppress(PolarisRxrxError):  # told when the command reads the card
        name = load_card(name).name
    return Path(f"{name}.csv")


@click.command(cls=Command, no_args_is_help=True)
@click.argument("name", type=CardName())
@task_option
@data_option
@click.option("--metadata", type=FILE, help="The well metadata.  [default: the one in --data]")
@dataset_option
@click.option(
    "--embeddings",
    type=TABLE,
    metavar="PATH|URL",
    help="The model's table: a file, a folder of files, a glob in quotes, a summary of one, or parquet at "
    "https://HOST/FILE or s3://BUCKET/PREFIX, of which only what is needed is read.  [default: "
    "the card's file in --data, or what --dataset has there, a file a plate]",
)
@features_option
@reading_options
@effort_options
@click.option(
    "--out",
    type=NEW_FILE,
    callback=_named_out,
    metavar="FILE",
    help="Where to write.  [default: NAME.csv]",
)
@seed_option("The seed of the scores that `random` draws.")
@click.option(
    "--align",
    type=click.Choice(ALIGNERS),
    help="How wells are aligned, instead of the card's way.",
)
@aggregate_option
@alignment_options
@arms_options
@click.option(
    "--dose",
    metavar="max|mean|UM",
    help="How a compound's concentrations make one score, instead of the card's way: their maximum, their "
    "mean, or the score at this concentration, in uM.",
)
@click.option("--save-map", type=NEW_FILE, metavar="FILE", help="Also write the map, as .parquet or .h5ad.")
@click.option(
    "--allow-missing-wells", is_flag=True, help="Build the map without wells that have no embedding."
)
@fill_option
@click.pass_context
def command(
    context: click.Context,
    /,
    name: str,
    task: Path,
    data: Path,
    metadata: Path | None,
    dataset: str,
    embeddings: Path | None,
    features: tuple[str, ...],
    reading: dict[str, Any],
    effort: Effort,
    out: Path,
    seed: int,
    align: str | None,
    aggregate: str | None,
    alignment: dict[str, Any],
    gene_arms: Path | None,
    arms_unexpressed: Path | None,
    dose: str | None,
    save_map: Path | None,
    allow_missing_wells: bool,
    fill: float | None,
) -> None:
    """Predict with a baseline: random, openphenom, phenom-1, phenom-2, cellprofiler.

    NAME may also be the path of your own model's card (a .toml file; see baselines/ for examples).
    """
    from polaris_rxrx.cards import load_card
    from polaris_rxrx.predictions import write_predictions
    from polaris_rxrx.task import load_task

    card = with_recipe(load_card(name), alignment, align=align, aggregate=aggregate, dose=_dose(dose))
    if save_map is not None and save_map.suffix not in (".parquet", ".h5ad"):
        raise click.UsageError(f"--save-map {save_map}: a map is saved as .parquet or .h5ad")
    corrected = arms_reader(gene_arms, arms_unexpressed, card.recipe.correct)
    given = (save_map, embeddings, metadata, features, reading["ids"], reading["layer"], gene_arms)
    chosen = reading["sites"] != "mean" or dataset != DEFAULT or any(alignment.values())
    if card.kind == "random" and (any(given) or chosen):
        raise click.UsageError(
            f"{card.name} looks at no wells: --save-map, --embeddings, --metadata, --features, --sites, "
            "--ids, --layer, --gene-arms, --dataset, --batch, --controls, --components, --correct mean "
            "nothing"
        )
    if embeddings is not None and is_summary(embeddings):
        refuse_given(context, [*OF_WELLS, *OF_EFFORT], "a summary (--embeddings)")
    loaded = load_task(task)
    if card.kind == "random":
        from polaris_rxrx.baselines import predict_random

        prediction = predict_random(loaded, seed)
    else:
        prediction = _predict(
            card,
            loaded,
            data,
            metadata,
            dataset,
            embeddings,
            save_map,
            {"allow_missing": allow_missing_wells, "features": features, "effort": effort, **reading},
            corrected,
        )
    write_predictions(out, loaded, prediction.complete(loaded, fill, note))
    click.echo(f"{out}: {len(loaded):,} predictions of {card.title}")
    there = "" if task == default_task() else f" --task {shlex.quote(str(task))}"
    note(f"Next: polaris-rxrx score {shlex.quote(str(out))}{there}")


def _dose(text: str | None) -> str | float | None:
    """What --dose asks for."""
    if text is None or text in ("max", "mean"):
        return text
    try:
        dose = float(text)
    except ValueError:
        dose = 0.0
    if not 0 < dose < float("inf"):
        raise click.UsageError(f"--dose {text}: expected max, mean or a concentration in uM")
    return dose


def _predict(
    card: Card,
    task: Task,
    data: Path,
    metadata: Path | None,
    dataset: str,
    embeddings: Path | None,
    save_map: Path | None,
    choices: dict[str, Any],
    corrected: Callable[[Map], Map],
) -> Prediction:
    from polaris_rxrx.baselines import predict_with

    embeddings = embeddings or features_of(dataset, data) or card_embeddings(card, data)
    with Bar(card.title) as bar:
        found = predict_with(
            card,
            task,
            Path() if is_summary(embeddings) else wells_of(dataset, metadata, data, card.recipe.design),
            embeddings,
            correct=corrected,
            provenance=provenance_of(dataset),
            progress=bar.step,
            **choices,
        )
    for line in found.notes:
        note(line)
    if save_map is not None and found.map_ is not None:
        from polaris_rxrx.maps.store import save_map as write_map

        write_map(found.map_, save_map)
        note(f"Wrote {save_map}: {len(found.map_):,} perturbations x {found.map_.x.shape[1]:,}")
    return found
