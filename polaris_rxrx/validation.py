"""Documents that pydantic checks: strict ones, reading them, and what it has against one that does not fit.

Conventions: a place is written with dots, its items counted from 0 as pydantic does (`metrics.0.name`).
A complaint's text holds the rule and not the value, which may be long or a secret; a reader that knows better
shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
)

from polaris_rxrx import bounded
from polaris_rxrx.errors import UsageError, short
from polaris_rxrx.files import card_names, cards_folder

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """A document whose every field is known, and that stays as it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Listed:
    """In the annotation of a list: one text stands for a list of it, as in `id = "well"`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return BeforeValidator(_listed).__get_pydantic_core_schema__(source, handler)

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        several = handler(schema)
        return {"anyOf": [handler.resolve_ref_schema(several)["items"], several]}


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


@dataclass(frozen=True)
class Complaint:
    """One thing against a document. `kind` is pydantic's word for it, `rule` what was expected of `value`."""

    place: tuple[int | str, ...]
    kind: str
    value: Any
    rule: str

    @property
    def field(self) -> str:
        return ".".join(map(str, self.place))

    def __str__(self) -> str:
        return f"{self.field}: {self.rule}" if self.place else self.rule


def complaints(error: ValidationError) -> list[Complaint]:
    """All that pydantic found; a rule of our own checks comes in our own words."""
    return [
        Complaint(e["loc"], e["type"], e["input"], e["msg"].removeprefix("Value error, "))
        for e in error.errors()
    ]


def told(error: Exception) -> str:
    """The first complaint; of any other error its text."""
    return str(complaints(error)[0] if isinstance(error, ValidationError) else error)


def told_of(found: Complaint, document: str) -> str:
    """A complaint about `document` that somebody wrote by hand: the field, its value, what was expected."""
    if found.kind == "missing":
        return f"{found.field} is missing"
    if found.kind == "extra_forbidden":
        return f"{found.field} is not a field of {document}"
    if isinstance(found.value, dict):  # a rule about a whole table of the document
        return str(found)
    return f"{found.field} is {short(found.value)}: {found.rule}"


def read_json(model: type[M], path: Path) -> M:
    """A JSON file as such a document.

    Raises:
        DataError: It cannot be read, or is larger than any document.
        ValueError: It is no such document; `told` says why.
    """
    return model.model_validate(bounded.json_loads(bounded.read_file(path).decode("utf-8")))


def card_path(name: str | Path, folder: str, what: str) -> Path:
    """Where a card is: one of the package's own of a kind, by name, or the path of another.

    Raises:
        UsageError: There is none; `what` is what such cards are called.
    """
    names = card_names(folder)
    path = cards_folder(folder) / f"{name}.toml" if isinstance(name, str) and name in names else Path(name)
    if path.suffix != ".toml":
        raise UsageError(
            f"no {what} {str(name)!r}; there are {', '.join(names)}, or give the path of a .toml card"
        )
    if not path.is_file():
        raise UsageError(f"{path}: no such card")
    return path
