"""What names say of images and wells, and the order of wells."""

from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from polaris_rxrx.images.names import FILE, KEY, NO_PLATE, Place, natural, order, place_of


def parts(name: str, pattern: str) -> tuple[str, ...] | None:
    found = pc.extract_regex(pa.array([name]), pattern)[0].as_py()
    return None if found is None else tuple(found.values())


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("compound-004/Plate1/AA04_s1_3", ("compound-004", "1", "AA04", "1", "3")),
        ("gene-176/Plate9/H29_s1_6", ("gene-176", "9", "H29", "1", "6")),
        ("my_screen/Plate48/AF48_s12_10", ("my_screen", "48", "AF48", "12", "10")),
        ("compound-004/Plate1/AA4_s1_3", None),
        ("compound-004/Plate1/AA04_s1_0", None),
        ("compound-004/Plate1/AA04_s1_w3", None),
        ("compound-004/Plate1/AA04_s1_3.jp2", None),
        ("data/compound-004/Plate1/AA04_s1_3", None),
        ("compound-004_1_AA04", None),
    ],
)
def test_keys(key: str, said: tuple[str, ...] | None) -> None:
    assert parts(key, KEY) == said


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("/x/rxrx3/images/gene-001/Plate1/AA02_s1_w3.png", ("gene-001", "1", "AA02", "1", "3")),
        ("HUVEC-1/Plate1/M23_s2_w3.png", ("HUVEC-1", "1", "M23", "2", "3")),
        ("x/compound-004/Plate1/AA04_s1_3.jp2", ("compound-004", "1", "AA04", "1", "3")),
        ("x/compound-004/Plate1/AA04_s1_w3.TIF", ("compound-004", "1", "AA04", "1", "3")),
        ("x/compound-004/Plate1/AA04_s1_w3.jpg", None),
        ("Plate1/AA04_s1_w3.png", None),
        ("x/compound-004/Plate1/thumbnails/AA04_s1_w3.png", None),
    ],
)
def test_files(file: str, said: tuple[str, ...] | None) -> None:
    assert parts(file, FILE) == said


@pytest.mark.parametrize(
    ("well", "place", "plate"),
    [
        ("compound-004_1_AA04", Place("compound-004", "1", "AA04"), "compound-004/Plate1"),
        ("my_screen_12_B02", Place("my_screen", "12", "B02"), "my_screen/Plate12"),
        ("my_screen_2_b2", Place("my_screen", "2", "b2"), "my_screen/Plate2"),
        ("BR00116991_A01", Place("", "BR00116991", "A01"), "BR00116991"),
        ("week1_plate2_a1", Place("", "week1_plate2", "a1"), "week1_plate2"),
        ("NA", Place(), NO_PLATE),
    ],
)
def test_places(well: str, place: Place, plate: str) -> None:
    assert place_of(well) == place
    assert place.plate_name == plate


def test_plates_with_an_experiment_of_their_own() -> None:
    assert Place("week-1", "BR00116991", "A01").plate_name == "week-1/BR00116991"
    assert Place("week-1", "", "A01").plate_name == "week-1"
    assert Place("week-1", "", "A01").to_dict() == {"experiment": "week-1", "address": "A01"}


def test_wells_are_in_the_order_of_a_walk() -> None:
    """Plates by their numbers, rows A to Z before AA, columns by their numbers; wells without one last."""
    walk = [
        *(
            f"compound-2_{plate}_{cell}"
            for plate in (1, 2, 10)
            for cell in ("A01", "A02", "A10", "B01", "AA01")
        ),
        *("compound-10_1_A01", "gene-1_1_Z48", "gene-1_1_AF48"),
        *("NA", "well 2", "well 10"),
    ]
    mixed = list(walk)
    random.Random(3).shuffle(mixed)
    assert [mixed[i] for i in order(mixed, [place_of(well) for well in mixed])] == walk


def test_numbers_in_names_are_numbers() -> None:
    names = ["1", "2", "10", "010", "a", "a1b", "a2", "a10", "b", "²"]
    mixed = list(names)
    random.Random(4).shuffle(mixed)
    in_order = sorted(mixed, key=natural)
    assert in_order.index("2") < in_order.index("10") < in_order.index("a") < in_order.index("a2")
    assert in_order.index("a2") < in_order.index("a10") < in_order.index("b")
    assert sorted(in_order) == sorted(names)
