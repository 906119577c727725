"""Cards of baselines: a TOML file says where a model's embeddings are and how they become predictions.

The package's own cards stand in `baselines/`, one file a model; a path to another card works the same. See
`Card` for the fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PositiveInt,
    ValidationError,
    model_validator,
)

from polaris_rxrx import bounded, files
from polaris_rxrx.dataset.rxrx3 import NOMINAL
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.align import WITH_COMPONENTS, AlignBy, Alignment
from polaris_rxrx.maps.correct import ON_WELLS
from polaris_rxrx.maps.names import Aggregate, Aligner, Correction
from polaris_rxrx.maps.similarity import Similarity
from polaris_rxrx.validation import Complaint, Listed, Strict, card_path, complaints, told_of
from polaris_rxrx.wells.design import EXPERIMENT, Design

FOLDER = "baselines"

Concentration = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Dose = Literal["max", "mean"] | Concentration
Share = Annotated[float, Field(gt=0, lt=1, strict=True)]
Components = Annotated[int, Field(ge=1, strict=True)] | Share


class _One:
    """In an annotation: a list of one thing stands for it; any other list is for the type to refuse."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return BeforeValidator(_one).__get_pydantic_core_schema__(source, handler)

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        it = handler(schema)
        return {"anyOf": [it, {"type": "array", "items": it, "minItems": 1, "maxItems": 1}]}


def _one(given: Any) -> Any:
    return given[0] if isinstance(given, (list, tuple)) and len(given) == 1 else given


def _once(given: tuple[Any, ...]) -> tuple[Any, ...]:
    if twice := [name for i, name in enumerate(given) if name in given[:i]]:
        raise ValueError(f"{twice[0]!r} stands twice")
    return given


Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], Listed(), AfterValidator(_once)]
Corrections = Annotated[tuple[Correction, ...], Listed(), AfterValidator(_once)]


class EmbeddingSource(Strict):
    """Where the embeddings come from: a file in the data folder, and the repository it is fetched from."""

    file: str | None = None
    repository: str | None = None
    width: PositiveInt | None = None


class Recipe(Strict):
    """From wells to scores.

    `align` names one aligner, as it is or in a list, `components` how many of its components are kept (a
    number, or a share of variance below 1), `correct` corrections (`polaris_rxrx.maps.correct`). `batch` is
    what wells are aligned in and `controls` on which, see `polaris_rxrx.wells.design`.

    >>> recipe = Recipe(align="tvn", components=128, similarity="cosine")
    >>> recipe.dose, recipe.aggregate
    ('max', 'mean')
    """

    align: Annotated[Aligner, _One()] = "pca-cs"
    components: Components | None = None
    batch: Name = EXPERIMENT
    controls: Names = ()
    correct: Corrections = ()
    aggregate: Aggregate = "mean"
    similarity: Similarity = "abs-cosine"
    dose: Dose = "max"
    concentrations: tuple[Concentration, ...] = Field(NOMINAL, min_length=1)

    @model_validator(mode="after")
    def _aligned(self) -> Recipe:
        try:
            self.alignment  # noqa: B018  # it refuses what cannot be
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def alignment(self) -> AlignBy:
        """What `build_map` and the suites take.

        Raises:
            UsageError: The aligner has no components.

        >>> Recipe().alignment, Recipe(align="tvn", components=0.99).alignment
        ('pca-cs', Alignment(aligner='tvn', components=0.99))
        """
        return self.align if self.components is None else Alignment(self.align, self.components)

    @property
    def design(self) -> Design:
        """How wells have to be read for it.

        Raises:
            UsageError: A control has no name, or stands twice.
        """
        return Design(self.batch, self.controls, any(name in ON_WELLS for name in self.correct))


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

    >>> card = pr.load_card("openphenom")
    >>> card.kind, card.source.width, card.recipe.align
    ('embedding', 384, 'pca-cs')
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
        """The card with another recipe, or itself; what is None stays.

        Components belong to an aligner: they go where another takes its place that has none.

        >>> pr.load_card("openphenom").with_recipe(align="center-scale", dose=None).recipe.align
        'center-scale'
        """
        changes = {name: value for name, value in changes.items() if value is not None}
        if changes.get("align", self.recipe.align) not in WITH_COMPONENTS and self.recipe.components:
            changes.setdefault("components", None)
        return self.model_copy(update={"recipe": self.recipe.model_copy(update=changes)}) if changes else self


def card_names() -> list[str]:
    """The names of the package's own cards.

    >>> card_names()
    ['cellprofiler', 'openphenom', 'phenom-1', 'phenom-2', 'random']
    """
    return files.card_names(FOLDER)


def load_card(name: str | Path) -> Card:
    """Read a card by its name, or by the path of a TOML file.

    Raises:
        UsageError: No such card.
        DataError: The file is not a card; the field, its value and what was expected are named.

    >>> pr.load_card("random").kind
    'random'
    """
    path = card_path(name, FOLDER, "baseline")
    try:
        return Card.model_validate(bounded.read_toml(path))
    except ValidationError as error:
        raise DataError(f"{path}: {_told(complaints(error)[0])}") from None


def _told(found: Complaint) -> str:
    """What is wrong with a card: the field, its value, what was expected."""
    if found.field.startswith("recipe.components"):
        return (
            f"recipe.components is {found.value!r}: expected a whole number from 1, or a share of variance "
            "between 0 and 1"
        )
    if found.field.startswith("recipe.dose"):  # pydantic tells only why it is not one of the words
        return f"recipe.dose is {found.value!r}: expected 'max', 'mean' or a concentration in uM"
    return told_of(found, "a card")
