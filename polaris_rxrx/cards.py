"""Cards of baselines: a TOML file says where a model's embeddings are and how they become predictions.

The package's own cards stand in `baselines/`, one file a model; a path to another card works the same. See
`Card` for the fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, ValidationError

from polaris_rxrx import bounded, validation
from polaris_rxrx.dataset.rxrx3 import NOMINAL
from polaris_rxrx.errors import DataError
from polaris_rxrx.maps.names import Aggregate, Aligner
from polaris_rxrx.maps.similarity import Similarity
from polaris_rxrx.validation import Complaint, Strict, card_path, complaints, told_of

FOLDER = "baselines"

Concentration = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Dose = Literal["max", "mean"] | Concentration


class EmbeddingSource(Strict):
    """Where the embeddings come from: a file in the data folder, and the repository it is fetched from."""

    file: str | None = None
    repository: str | None = None
    width: PositiveInt | None = None


class Recipe(Strict):
    """From wells to scores."""

    align: Aligner = "pca-cs"
    aggregate: Aggregate = "mean"
    similarity: Similarity = "abs-cosine"
    dose: Dose = "max"
    concentrations: tuple[Concentration, ...] = Field(NOMINAL, min_length=1)


class PublishedScore(Strict):
    """A published score, for reading beside ours; never ranked across protocols."""

    protocol: str
    metric: str
    value: float
    sd: float | None = None
    source: str
    grade: Literal["reproduced", "author-reported", "transcribed"] = "author-reported"


class Card(Strict):
    """A baseline card.

    `kind` is `embedding` (finite numbers of like size, as they are), `profile` (features with units, cleaned
    and standardized first, see `polaris_rxrx.wells.clean`) or `random` (uniform scores; no data).
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    title: str
    kind: Literal["embedding", "profile", "random"] = "embedding"
    source: EmbeddingSource = EmbeddingSource()
    recipe: Recipe = Recipe()
    citation: str = ""
    licence: str = ""
    published: tuple[PublishedScore, ...] = ()

    def with_recipe(self, **changes: Any) -> Card:
        """The card with another recipe, or itself; what is None stays."""
        changes = {name: value for name, value in changes.items() if value is not None}
        return self.model_copy(update={"recipe": self.recipe.model_copy(update=changes)}) if changes else self


def card_names() -> list[str]:
    return validation.card_names(FOLDER)


def load_card(name: str | Path) -> Card:
    """Read a card by its name, or by the path of a TOML file.

    Raises:
        UsageError: No such card.
        DataError: The file is not a card; the field, its value and what was expected are named.
    """
    path = card_path(name, FOLDER, "baseline")
    try:
        return Card.model_validate(bounded.read_toml(path))
    except ValidationError as error:
        raise DataError(f"{path}: {_told(complaints(error)[0])}") from None


def _told(found: Complaint) -> str:
    """What is wrong with a card: the field, its value, what was expected."""
    if found.field.startswith("recipe.dose"):  # pydantic tells only why it is not one of the words
        return f"recipe.dose is {found.value!r}: expected 'max', 'mean' or a concentration in uM"
    return told_of(found, "a card")
