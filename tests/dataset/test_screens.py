"""Cards of screens: those there are, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from polaris_rxrx.dataset.registry import KNOWN
from polaris_rxrx.dataset.screens import DEFAULT, Screen, load_screen, screen_names
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.files import cards_folder

MINE = """name = "mine"
title = "My screen"
licence = "ours"
[wells]
file = "wells.csv"
id = ["plate", "well"]
batch = "plate"
plate = "plate"
[[sides]]
type = "COMPOUND"
name = "drug"
dose = "dose"
unit = "nM"
[controls]
columns = "drug"
negative = ["DMSO"]
empty = ["none"]
"""


def test_the_cards_that_come_along() -> None:
    assert screen_names() == ["jump-compound", "jump-crispr", "jump-orf", "rxrx3", "rxrx3-core"]
    for name in screen_names():
        screen = load_screen(name)
        assert screen.name == name and len(screen.licence) > 20 and screen.page.startswith("https://")
        assert set(screen.tables) <= {file.name for file in screen.files}
    assert load_screen(DEFAULT).wells.file == KNOWN["metadata"].files[0].name


def test_blinded_genes_and_public_profiles_are_told() -> None:
    rxrx3, jump = load_screen("rxrx3"), load_screen("jump-crispr")
    assert (rxrx3.blinded, jump.blinded, load_screen(DEFAULT).blinded) == ("RXRX3-*", None, None)
    assert jump.profiles is not None and jump.profiles.root == "s3://cellpainting-gallery/cpg0016-jump"
    assert jump.profiles.fields == ["Metadata_Source", "Metadata_Batch", "Metadata_Plate"]
    assert rxrx3.profiles is not None and rxrx3.profiles.fields == ["experiment_name", "plate"]


def test_one_column_or_cell_may_stand_as_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        MINE.replace('["DMSO"]', '"DMSO"').replace("[wells]", '[wells]\nwhere = { kind = "trt" }')
    )
    assert load_screen(path).controls.negative == ("DMSO",)
    assert load_screen(path).wells.where == {"kind": ("trt",)}
    path.write_text(MINE)
    screen = load_screen(path)
    assert screen.wells.batch == ("plate",) and screen.controls.columns == ("drug",)
    assert screen.sides[0].to_uM == pytest.approx(1e-3)
    assert screen.used() == ["plate", "well", "drug", "dose"]


SECOND = '[[sides]]\ntype = "COMPOUND"\nname = "x"\n[controls]'
GENES = '[[sides]]\ntype = "CRISPR"\nname = "x"\n[controls]'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "My screen"\n', "", "title is missing"),
        ('licence = "ours"', 'license = "ours"', "licence is missing"),
        ("[wells]", "[wells]\ncolour = 1", "wells.colour is not a field of a dataset card"),
        (
            'file = "wells.csv"',
            'file = "../wells.csv"',
            "wells.file is '../wells.csv': a file inside the data",
        ),
        ('file = "wells.csv"', 'file = "/etc/passwd"', "wells.file is '/etc/passwd': a file inside the data"),
        ('id = ["plate", "well"]', "id = []", "wells.id is []: at least one was expected"),
        (
            'type = "COMPOUND"',
            'type = "ORF"',
            "sides.0.type is 'ORF': Input should be 'CRISPR' or 'COMPOUND'",
        ),
        ('unit = "nM"', 'unit = "nm"', "sides.0.unit is 'nm': Input should be 'pM', 'nM', 'uM', 'mM' or 'M'"),
        ('dose = "dose"\n', "", "sides.0: a unit without a dose: the column of doses"),
        ('type = "COMPOUND"', 'type = "CRISPR"', "sides.0: a dose of genes"),
        ('name = "drug"', 'name = "drug"\nguide = "g"', "sides.0: a guide of compounds"),
        ('name = "drug"', 'name = "drug"\nvalues = ["g"]', "sides.0: values without a column"),
        ('empty = ["none"]', 'empty = ["DMSO"]', "controls: 'DMSO' stands twice"),
        (
            'negative = ["DMSO"]',
            "negative = []",
            "controls.negative is []: at least one was expected",
        ),
        ("[controls]", SECOND, "two sides are COMPOUND: one side a type was expected"),
        ("[controls]", GENES, "sides without a column: the column that tells the two apart was expected"),
        (
            "[wells]",
            '[profiles]\npattern = "{a.b}.parquet"\n[wells]',
            "profiles.pattern is '{a.b}.parquet': names of columns in braces were expected",
        ),
        (
            "[wells]",
            '[profiles]\nroot = "http://x"\npattern = "{a}"\n[wells]',
            "profiles.root is 'http://x': String should match pattern",
        ),
        (
            "[wells]",
            '[[files]]\nname = "a"\nurl = "ftp://x"\n[wells]',
            "files.0.url is 'ftp://x': String should match pattern",
        ),
        ('name = "mine"', "name = mine", "not TOML"),
        ('name = "mine"', 'name = "My Screen"', "name is 'My Screen': small letters, digits and . _ - were"),
        (
            'columns = "drug"',
            'column = "drug"',
            "controls.columns is missing; controls.column is not a field",
        ),
        ("[[sides]]", "[sides]", "sides: a list was expected, as in [[sides]]"),
    ],
)
def test_what_is_said_of_a_bad_card(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert MINE.count(old) == 1
    path = tmp_path / "mine.toml"
    path.write_text(MINE.replace(old, new))
    with pytest.raises(DataError) as error:
        load_screen(path)
    assert str(error.value).startswith(f"{path}: ") and said in str(error.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "rxrx4",
            "no dataset 'rxrx4'; there are jump-compound, jump-crispr, jump-orf, rxrx3, rxrx3-core, or",
        ),
        ("gone.toml", "gone.toml: no such card"),
    ],
)
def test_a_card_that_is_not_there(name: str, said: str) -> None:
    with pytest.raises(UsageError, match="^" + said):
        load_screen(name)


def test_two_sides_go_by_one_column(tmp_path: Path) -> None:
    document: dict[str, Any] = load_screen(DEFAULT).model_dump()
    document["sides"][0]["column"] = "other"
    with pytest.raises(ValueError, match="sides go by different columns"):
        Screen.model_validate(document)


def test_the_card_of_the_page_is_one(tmp_path: Path) -> None:
    page = (cards_folder("datasets") / "README.md").read_text("utf-8")
    path = tmp_path / "my-screen.toml"
    path.write_text(page.partition("```toml\n")[2].partition("```")[0])
    screen = load_screen(path)
    assert screen.used() == ["plate", "well", "run", "kind", "symbol", "reagent"]
    assert screen.joins[0].keep == "matched" and screen.controls.empty == ("empty",)
