"""A model's wells or a map, as several commands take them: their options, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli._alignment import alignment_options, with_recipe
from polaris_rxrx.cli._datasets import dataset_card, dataset_option, features_of, provenance_of, wells_of
from polaris_rxrx.cli._inputs import card_embeddings, read_map, read_source
from polaris_rxrx.cli.options import (
    FILE,
    TABLE,
    Bar,
    CardName,
    F,
    aggregate_option,
    arms_options,
    data_option,
    effort_options,
    features_option,
    reading_options,
    together,
)
from polaris_rxrx.maps.names import ALIGNERS
from polaris_rxrx.suites.inputs import ModelInput, arms_reader

if TYPE_CHECKING:
    from polaris_rxrx.cards import Card
    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.parallel import Effort
    from polaris_rxrx.wells.design import Design
    from polaris_rxrx.wells.metadata import Metadata

# Options about a table of wells and its reading, which mean nothing where there are none.
OF_WELLS = (
    "features",
    "sites",
    "ids",
    "layer",
    "metadata",
    "dataset",
    "batch",
    "controls",
    "allow_missing_wells",
)
OF_EFFORT = ("workers", "scheduler")
MODEL = "A card's name, or the path of your own card."
SAVED = (
    "A saved map instead of a model, or a table with one row a gene or compound (parquet, Feather, CSV, TSV, "
    ".h5ad); what looks at single wells needs a model."
)
METADATA = "The well metadata.  [default: the one in --data]"


def refuse_given(context: click.Context, names: Sequence[str], what: str) -> None:
    """Raise `click.UsageError` for an option of these that was given beside something it does not concern."""
    for name in names:
        if is_given(context, name):
            raise click.UsageError(f"--{name.replace('_', '-')} means nothing for {what}")


def is_given(context: click.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def is_summary(path: Path) -> bool:
    """Whether a table is a saved summary; anything that is no file is none."""
    if not path.is_file():
        return False
    from polaris_rxrx.maps.summary_file import is_summary

    return is_summary(path)


@dataclass(frozen=True, eq=False)
class Source:
    """What `source_options` were given; a model or a map."""

    data: Path
    model: str | None
    embeddings: Path | None
    features: tuple[str, ...]
    reading: dict[str, Any]
    effort: Effort
    map_path: Path | None
    metadata: Path | None
    dataset: str
    align: Any
    aggregate: Any
    alignment: dict[str, Any]
    allow_missing_wells: bool
    gene_arms: Path | None
    arms_unexpressed: Path | None

    def check(self, context: click.Context, *, wells: Sequence[str] = (), layout: bool = False) -> None:
        """Refuse what does not go together.

        Args:
            context: Of the command.
            wells: What it is asked for that needs wells.
            layout: Whether metadata means something beside a map.

        Raises:
            click.UsageError: Neither a model nor a map; or, beside a map, something that concerns wells.
        """
        self._corrected  # noqa: B018  # its files are read before any wells are
        if self.map_path is not None:
            what, holds = "a saved map (--map)", "a map (--map) holds only their means"
            refused = ["model", "embeddings", *OF_WELLS, *OF_EFFORT, "max_memory", "align", "aggregate"]
            refused += ["components"]
            refused = [n for n in refused if n != "metadata" or not layout]
        elif self.model is None and self._table is None:
            raise click.UsageError("give --model, --embeddings or --map")
        elif self.embeddings is not None and is_summary(self.embeddings):
            what, refused = "a summary (--embeddings)", [*OF_WELLS, *OF_EFFORT]
            holds = f"{self.embeddings} is a summary, which holds only their sums"
        else:
            return
        refuse_given(context, refused, what)
        if "well-position" in (self.alignment["correct"] or ()):
            wells = ["--correct well-position"]
        if wells:
            instead = "--model or --embeddings" if self.map_path is not None else "the table"
            raise click.UsageError(f"{wells[0]} needs wells, and {holds}; give {instead}")

    @cached_property
    def card(self) -> Card | None:
        """The model's card with the recipe asked for, None for a map."""
        from polaris_rxrx.cards import Card, load_card

        if self.map_path is not None:
            return None
        if self.model is None:
            card = Card(name="embeddings", title=str(self._table))
        else:
            card = load_card(self.model)
        if card.kind == "random":
            raise click.UsageError(
                f"{card.name} has no embeddings; every suite runs random ones of its own beside the model's"
            )
        return with_recipe(card, self.alignment, align=self.align, aggregate=self.aggregate)

    @cached_property
    def _table(self) -> Path | None:
        """The table given, or the features of the dataset's own that are in --data."""
        return self.embeddings or features_of(self.dataset, self.data)

    @property
    def _summarized(self) -> bool:
        return self._table is not None and is_summary(self._table)

    @property
    def _embeddings(self) -> Path:
        assert self.card is not None
        return self._table or card_embeddings(self.card, self.data)

    @property
    def has_wells(self) -> bool:
        """Whether single wells are at hand: there is a model, and its table is no summary."""
        return self.map_path is None and not self._summarized

    @property
    def title(self) -> str:
        return str(self.map_path) if self.card is None else self.card.title

    def read(
        self,
        bar: Bar,
        *,
        mapped: bool = True,
        need_wells: bool = False,
        guides: bool = False,
        labels: bool = False,
    ) -> ModelInput:
        """The map, or the model's wells and, where it is `mapped`, their map; corrected.

        Unless wells are needed one by one, a summary may stand for them. With `labels` they keep the names
        of their plates, addresses and treatments.
        """
        if self.map_path is not None:
            return read_map(self.map_path, self._corrected)
        assert self.card is not None
        design = replace(self.card.recipe.design, labels=labels)
        wells = Path() if self._summarized else self._wells(guides, design)
        found = read_source(
            self.card,
            wells,
            self._embeddings,
            bar,
            mapped=mapped,
            need_wells=need_wells,
            effort=self.effort,
            correct=self._corrected,
            allow_missing=self.allow_missing_wells,
            guides=guides,
            design=design,
            features=self.features,
            **self.reading,
        )
        return replace(found, inputs={**found.inputs, **provenance_of(self.dataset)})

    def fingerprint(self) -> dict[str, Any]:
        """What tells a model or a map from any other: its files' hashes and its cards with all their fields.

        Raises:
            PolarisRxrxError: A file is not there.
        """
        from polaris_rxrx.files import sha256

        if self.map_path is not None:
            found: dict[str, Any] = {"map": sha256(self.map_path)}
            return found if self.metadata is None else {**found, "metadata": sha256(self.metadata)}
        from polaris_rxrx.wells.reading import fingerprint

        assert self.card is not None
        found = {"card": self.card.model_dump(mode="json"), "embeddings": fingerprint(self._embeddings)}
        if self._summarized:
            return found
        wells = self._wells(False, self.card.recipe.design)
        files = {"metadata": wells} if isinstance(wells, Path) else {"metadata": wells.path, **wells.joined}
        return {
            **found,
            **{f"table {name}": sha256(path) for name, path in files.items()},
            **dataset_card(self.dataset),
        }

    def _wells(self, guides: bool, design: Design) -> Path | Metadata:
        return wells_of(self.dataset, self.metadata, self.data, design, guides=guides)

    @cached_property
    def _corrected(self) -> Callable[[Map], Map]:
        correct = (self.alignment["correct"] or ()) if self.card is None else self.card.recipe.correct
        return arms_reader(self.gene_arms, self.arms_unexpressed, correct)

    def read_map(self, bar: Bar) -> ModelInput:
        """The map, built if it has to be; without the wells, which nobody needs then."""
        return replace(self.read(bar), wells=None)


def source_options(*, metadata: str = METADATA, model: str = MODEL, saved: str = SAVED) -> Callable[[F], F]:
    """Options that name a model or a map; the command takes them as one `Source`, `source`.

    Args:
        metadata: The help of --metadata.
        model: The help of --model.
        saved: The help of --map.
    """
    options: list[Callable[[F], F]] = [
        data_option,
        click.option("--model", type=CardName(), metavar="CARD", help=model),
        click.option(
            "--embeddings",
            type=TABLE,
            metavar="PATH|URL",
            help="The model's table: a file, a folder of files, a glob in quotes, a summary of one, or "
            "parquet at https://HOST/FILE or s3://BUCKET/PREFIX, of which only what is needed is read.  "
            "[default: the card's file in --data, or what --dataset has there, a file a plate]",
        ),
        features_option,
        reading_options,
        effort_options,
        click.option(
            "--map",
            "map_path",
            type=FILE,
            metavar="FILE",
            help=saved,
        ),
        click.option("--metadata", type=FILE, help=metadata),
        dataset_option,
        click.option(
            "--align",
            type=click.Choice(ALIGNERS),
            help="How wells are aligned, instead of the card's way.  [default: pca-cs]",
        ),
        aggregate_option,
        alignment_options,
        click.option(
            "--allow-missing-wells", is_flag=True, help="Build the map without wells that have no embedding."
        ),
        arms_options,
    ]
    return together("source", [field.name for field in fields(Source)], options, Source)
