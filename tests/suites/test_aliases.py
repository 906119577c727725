"""Genes of two symbols: what is renamed, what is left alone, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.suites.aliases import (
    KNOWN,
    read_aliases,
    rename_relations,
    rename_sets,
    renaming,
    told,
)
from polaris_rxrx.suites.gene_sets import GeneSets
from polaris_rxrx.suites.relations import read_relations


def test_only_what_the_map_has_by_another_symbol_is_renamed() -> None:
    aliases = {"OLD": "NEW", "OLDER": "NEW", "MPP5": "PALS1"}
    assert renaming(["NEW", "PALS1", "TP53", "FAR"], ["OLD", "MPP5", "TP53"], aliases) == {
        "NEW": "OLD",
        "PALS1": "MPP5",
    }
    assert renaming(["OLD"], ["NEW"], aliases) == {"OLD": "NEW"}
    assert renaming(["OLDER"], ["OLD"], aliases) == {"OLDER": "OLD"}
    assert renaming(["NEW"], ["NEW", "OLD"], aliases) == {}  # the map has it
    assert renaming(["OLDER"], ["NEW", "OLD"], aliases) == {}  # which of the two?
    assert renaming(["TP53"], [], aliases) == {}


def test_the_known_ones() -> None:
    assert KNOWN == {"C7orf26": "INTS15", "MPP5": "PALS1"} == read_aliases(None)
    assert renaming(["INTS15"], ["C7orf26"], KNOWN) == {"INTS15": "C7orf26"}


def test_relations_and_sets(tmp_path: Path) -> None:
    path = tmp_path / "known.txt"
    path.write_text("a,b\nINTS15,TP53\nTP53,C7orf26\nKRAS,INTS15\n")
    known = read_relations(path)
    found = rename_relations(known, {"INTS15": "C7orf26"})
    at = {"C7orf26": 0, "TP53": 1, "KRAS": 2}
    assert found.pairs(found.places(at)).tolist() == [[0, 1], [0, 2]]  # the pair that stood twice is one
    sets = GeneSets(Path("s"), "0", {"a": ("INTS15", "C7orf26", "X"), "b": ("Y",)})
    assert rename_sets(sets, {"INTS15": "C7orf26"}).genes == {"a": ("C7orf26", "X"), "b": ("Y",)}
    assert told("s", {}) == []
    assert told("s", {"A": "B", "C": "D"}) == ["s: 2 genes have another symbol in the map: A is B, C is D"]


def test_a_table_of_them(tmp_path: Path) -> None:
    path = tmp_path / "aliases.csv"
    path.write_text("symbol,previous\nNEW,OLD\nNEW,OLDER\nNEW,OLD\n")
    assert read_aliases(path) == {**KNOWN, "OLD": "NEW", "OLDER": "NEW"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("previous,new\nA,B\n", "no column 'symbol'"),
        ("previous,symbol\nA,B\nC,\n", "aliases.csv, line 3: previous 'C', symbol ''"),
        ("previous,symbol\nA,B\nA,C\n", "aliases.csv, line 3: 'A' is 'C' here and 'B' above"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "aliases.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_aliases(tmp_path / "aliases.csv")
