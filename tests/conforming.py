"""Whether a document is of its published schema, which is made once a process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from polaris_rxrx.schemas import schema_of


@cache
def validator(name: str) -> Draft202012Validator:
    """What holds documents to a schema, itself held to the draft's."""
    schema = schema_of(name)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def conforming(name: str, text: str) -> Any:
    """A strict JSON document (no NaN) that the schema of this name accepts."""
    document = json.loads(text, parse_constant=lambda constant: refuse(constant))
    if (wrong := best_match(validator(name).iter_errors(document))) is not None:
        raise AssertionError(f"{name}: {wrong.json_path}: {wrong.message[:500]}")
    return document


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def parts(name: str, document: Any) -> Iterator[tuple[Draft202012Validator, dict[str, Any], Any]]:
    """The objects and arrays of a document for which the schema names something: what checks each, the
    schema that it is of, and the part itself; of like items of an array the first."""
    root = validator(name)

    def walk(schema: dict[str, Any], part: Any) -> Iterator[tuple[Draft202012Validator, dict[str, Any], Any]]:
        while "$ref" in schema:
            schema = root.schema["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        for one in schema.get("anyOf", ()):
            if root.evolve(schema=one).is_valid(part):
                yield from walk(one, part)
                return
        if isinstance(part, dict):
            yield root.evolve(schema=schema), schema, part
            named, others = schema.get("properties", {}), schema.get("additionalProperties")
            for key, value in part.items():
                of = named.get(key, others)
                if isinstance(of, dict):
                    yield from walk(of, value)
        elif isinstance(part, list) and part and isinstance(schema.get("items"), dict):
            yield from walk(schema["items"], part[0])

    yield from walk(dict(root.schema), document)
