"""Cards of screens: a TOML file says which tables hold a screen's wells and what their columns mean.

The package's own cards stand in `datasets/`, one file a screen; a path to another card works the same. See
`Screen` for the fields, and `polaris_rxrx.wells.screen` for how wells are read with one.

Conventions
    Names of columns are as the tables have them. Where several columns make one thing (`id`, `batch`), their
    cells stand in this order with `_` between.
    A side is what a map knows perturbations by: CRISPR holds genes, whatever was done to them, and COMPOUND
    compounds; `modality` says what was done.
    Sizes are bytes; `about` is a round figure where the upstream bytes are not known. Nothing here goes
    online.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from polaris_rxrx import bounded, files
from polaris_rxrx.dataset.units import TO_NM
from polaris_rxrx.errors import DataError
from polaris_rxrx.validation import Complaint, Listed, Strict, card_path, complaints, told_of

DEFAULT = "rxrx3-core"
FOLDER = "datasets"


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    odd = "\\" in name or ":" in name  # a folder, a drive or a stream, on Windows
    if not path.parts or path.is_absolute() or ".." in path.parts or odd:
        raise ValueError("a file inside the data folder was expected, as in metadata/well.csv.gz")
    return name


def _of_columns(pattern: str) -> str:
    """A pattern of paths as it is; what stands in braces is a column's name and nothing more."""
    for _, field, form, conversion in Formatter().parse(_inside(pattern)):
        if field is not None and (not field.isidentifier() or form or conversion):
            raise ValueError("names of columns in braces were expected, as in {Metadata_Plate}.parquet")
    return pattern


Text = Annotated[str, Field(min_length=1)]
Columns = Annotated[tuple[Text, ...], Field(min_length=1), Listed()]
FileName = Annotated[str, AfterValidator(_inside)]
Cells = Annotated[tuple[Text, ...], Listed()]
Where = dict[Text, Annotated[tuple[str, ...], Field(min_length=1), Listed()]]
Unit = Literal["pM", "nM", "uM", "mM", "M"]


class ScreenFile(Strict):
    """A file of the screen: its name in the data folder, where it is from, how large it is."""

    name: FileName
    url: str | None = Field(None, pattern=r"^https://\S+$")
    size: PositiveInt | None = None
    about: PositiveInt | None = None
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")


class WellTable(Strict):
    """The table with a row a well, and which of its columns, or of those joined to it, say where a well is.

    `where` keeps the wells whose cell of a column is one of these.
    """

    file: FileName
    id: Columns
    batch: Columns
    plate: Text | None = None
    address: Text | None = None
    where: Where = Field(default_factory=dict)


class Join(Strict):
    """A table whose columns are joined to the wells by equal cells of the columns `on`, one row a key.

    `columns` are those taken (all without it); with `keep = "matched"` wells without a row are left out.
    """

    file: FileName
    on: Columns
    columns: Columns | None = None
    keep: Literal["all", "matched"] = "all"


class Side(Strict):
    """One side of the screen's map: its wells, what names their perturbation, and at which dose.

    The wells are those whose cell of `column` is one of `values`, or all of them without a column. The name
    is the first of the columns `name` that is not empty. A dose is a column or a number, in `unit`; without
    a unit it is uM, and refused where it does not look like that. Names like `blinded` are no known genes.
    """

    type: Literal["CRISPR", "COMPOUND"]
    column: Text | None = None
    values: tuple[str, ...] = ()
    name: Columns
    guide: Text | None = None
    dose: Text | PositiveFloat | None = None
    unit: Unit | None = None
    smiles: Text | None = None
    modality: str = ""
    blinded: Text | None = None

    @model_validator(mode="after")
    def _whole(self) -> Side:
        if self.values and self.column is None:
            raise ValueError("values without a column: the column that holds them was expected")
        if self.unit is not None and self.dose is None:
            raise ValueError("a unit without a dose: the column of doses, or one number, was expected")
        if self.type == "CRISPR" and self.dose is not None:
            raise ValueError("a dose of genes: only the side COMPOUND has doses")
        if self.type == "COMPOUND" and self.guide is not None:
            raise ValueError("a guide of compounds: only the side CRISPR has guides")
        return self

    @property
    def cells(self) -> tuple[str, ...]:
        """What the column holds in this side's wells."""
        return self.values or (self.type,)

    @property
    def to_uM(self) -> float:
        """How many uM one of the unit is."""
        return TO_NM[self.unit or "uM"] / TO_NM["uM"]


class Controls(Strict):
    """Which wells are controls: those with one of these cells in any of the columns.

    On the negative ones wells are aligned, and they are in no map; the positive ones are perturbations like
    others; the empty ones are left out.
    """

    columns: Columns
    negative: Columns
    positive: Cells = ()
    empty: Cells = ()

    @model_validator(mode="after")
    def _once(self) -> Controls:
        every = [*self.negative, *self.positive, *self.empty]
        if twice := sorted({n for n in every if every.count(n) > 1}):
            raise ValueError(f"{twice[0]!r} stands twice: a name is negative, positive or empty")
        return self


class Profiles(Strict):
    """Features in a file a plate: a pattern with columns in braces, below `root` or in the data folder.

    `root` is a folder of a public bucket (`s3://...`) in `region`, which is read without credentials.
    """

    pattern: Annotated[str, AfterValidator(_of_columns)]
    root: str | None = Field(None, pattern=r"^s3://[a-z0-9.-]+(/\S+)?$")
    region: str = Field("us-east-1", pattern=r"^[a-z0-9-]+$")

    @property
    def fields(self) -> list[str]:
        """The columns that the pattern names, each once."""
        return list(dict.fromkeys(f for _, f, _, _ in Formatter().parse(self.pattern) if f is not None))


class Screen(Strict):
    """A card of a screen."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    title: Text
    licence: Text
    page: str = ""
    citation: str = ""
    about_wells: PositiveInt | None = None
    files: tuple[ScreenFile, ...] = ()
    wells: WellTable
    joins: tuple[Join, ...] = ()
    sides: Annotated[tuple[Side, ...], Field(min_length=1)]
    controls: Controls
    profiles: Profiles | None = None

    @model_validator(mode="after")
    def _apart(self) -> Screen:
        types = [side.type for side in self.sides]
        if len(set(types)) < len(types):
            raise ValueError(f"two sides are {types[0]}: one side a type was expected")
        if len(types) > 1 and any(side.column is None for side in self.sides):
            raise ValueError("sides without a column: the column that tells the two apart was expected")
        if len({side.column for side in self.sides}) > 1:
            raise ValueError("sides go by different columns: one column was expected to tell them apart")
        return self

    def used(self) -> list[str]:
        """All columns that the card names, joined or not, each once."""
        w, c = self.wells, self.controls
        names = [*w.id, *w.batch, w.plate, w.address, *w.where, *c.columns]
        for side in self.sides:
            names += [side.column, *side.name, side.guide, side.smiles]
            names += [side.dose] if isinstance(side.dose, str) else []
        names += [name for join in self.joins for name in join.on]
        names += self.profiles.fields if self.profiles is not None else []
        return list(dict.fromkeys(n for n in names if n is not None))

    @property
    def tables(self) -> list[str]:
        """The files that are read for the wells, the one with a row a well first."""
        return [self.wells.file, *(join.file for join in self.joins)]

    @property
    def blinded(self) -> str | None:
        """The pattern of names of genes that nobody is told."""
        return next((side.blinded for side in self.sides if side.type == "CRISPR"), None)


class Screens(Strict):
    """Cards of screens."""

    datasets: tuple[Screen, ...]


def screen_names() -> list[str]:
    """The names of the package's own dataset cards.

    >>> screen_names()
    ['jump-compound', 'jump-crispr', 'jump-orf', 'rxrx3', 'rxrx3-core']
    """
    return files.card_names(FOLDER)


def load_screen(name: str | Path) -> Screen:
    """Read a card by its name, or by the path of a TOML file.

    Raises:
        UsageError: No such card.
        DataError: The file is not a card; the field, its value and what was expected are named.

    >>> screen = load_screen("jump-crispr")
    >>> screen.wells.file, [side.type for side in screen.sides]
    ('well.csv.gz', ['CRISPR'])
    """
    path = card_path(name, FOLDER, "dataset")
    try:
        return Screen.model_validate(bounded.read_toml(path))
    except ValidationError as error:
        raise DataError(f"{path}: {_told(complaints(error))}") from None


# What pydantic says that nobody who writes a card would understand.
_PLAIN = {
    "Input should be a valid tuple": "a list was expected, as in [[sides]] or [...]",
    "Tuple should have at least 1 item after validation, not 0": "at least one was expected",
    "String should match pattern '^[a-z0-9][a-z0-9._-]*$'": "small letters, digits and . _ - were expected",
}


def _told(found: list[Complaint]) -> str:
    """The first complaint; of a field that is missing also which is there instead, as if misspelt."""
    first = found[0]
    told = told_of(replace(first, rule=_PLAIN.get(first.rule, first.rule)), "a dataset card")
    strangers = [c for c in found[1:] if c.kind == "extra_forbidden"]
    if first.kind == "missing" and strangers:
        told += f"; {told_of(strangers[0], 'a dataset card')}"
    return told
