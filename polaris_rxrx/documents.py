"""JSON documents, and the types that say what stands in them.

Conventions
    What is written or printed as JSON is typed where it is made: as a TypedDict, or as a dataclass of which
    `fields_of` makes the document. mypy holds the making to the type, and `polaris_rxrx.schemas` publishes a
    JSON schema of the same type, so there is no second description. These types are closed: a key that is
    not named does not occur.
    The docstring of a type describes it; a text below a key describes the key.
    JSON has no NaN: a number that may be undefined is `float | None`, null in JSON.
    `Open` is a part that other programs or cards fill, of which no keys are promised.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, get_args

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

Open = dict[str, Any]


class Dataclass(Protocol):
    """What every dataclass is."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


T = TypeVar("T", bound=Dataclass)


class Fields(dict[str, Any], Generic[T]):
    """The fields of a dataclass `T` by their names."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """For a schema: that of the dataclass."""
        (of,) = get_args(source)
        return handler.generate_schema(of)


def fields_of(item: T) -> Fields[T]:
    """The document of a dataclass; what stands in it are JSON's own types, tuples, or dataclasses of such."""
    return Fields({field.name: _plain(getattr(item, field.name)) for field in fields(item)})


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return fields_of(value)
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return value
