"""Documents that pydantic checks, and how what is wrong with one is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from polaris_rxrx.errors import DataError
from polaris_rxrx.validation import Strict, complaints, read_json, told


class Inner(Strict):
    name: str


class Outer(Strict):
    size: int
    items: tuple[Inner, ...] = ()


def wrong(document: object) -> ValidationError:
    with pytest.raises(ValidationError) as found:
        Outer.model_validate(document)
    return found.value


def test_places_are_dotted_and_values_stay_out() -> None:
    error = wrong({"size": "secret", "items": [{"name": "a"}, {"name": 3, "more": 1}]})
    places = [c.field for c in complaints(error)]
    assert places == ["size", "items.1.name", "items.1.more"]
    assert "secret" not in told(error) and told(error).startswith("size")


def test_reading_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"size": 3, "items": [{"name": "x"}]}')
    assert read_json(Outer, path) == Outer(size=3, items=(Inner(name="x"),))
    for text in ('{"size": "three"}', "{", "[]", '{"size": 3, "else": 1}'):
        path.write_text(text)
        with pytest.raises((DataError, ValidationError, ValueError)) as found:
            read_json(Outer, path)
        assert str(found.value)
