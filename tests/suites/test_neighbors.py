"""Neighbors against sorting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.suites import neighbors as module
from polaris_rxrx.suites.neighbors import neighbors
from polaris_rxrx.wells.metadata import Perturbations


def made() -> Map:
    rng = np.random.default_rng(1)
    kinds = ["COMPOUND"] * 4 + ["CRISPR"] * 9
    names = ["drug", "drug", "other", "other", *"ABCDEFGHZ"]
    doses = np.r_[0.1, 1.0, 0.1, 1.0, np.full(9, np.nan)]
    x = rng.normal(size=(13, 5))
    x[-1] = 0
    return Map(Perturbations(kinds, names, doses), x, np.arange(1, 14), {"align": "none"})


def test_order_rank_and_null() -> None:
    map_ = made()
    units = map_.x[:12] / np.linalg.norm(map_.x[:12], axis=1)[:, None]
    cosines = units @ units.T
    known = {"S": frozenset({frozenset(("A", "B"))})}
    rows = neighbors(map_, "A", top=50, known=known).tables["neighbors"]
    genes = [k for k, kind in enumerate(rows["type"]) if kind == "CRISPR"]
    expected = sorted(range(5, 12), key=lambda i: -cosines[4, i])
    assert [rows["name"][k] for k in genes] == [map_.perturbations.name[i] for i in expected]
    assert [rows["rank"][k] for k in genes] == list(range(1, 8)) and {rows["of"][k] for k in genes} == {7}
    null = [cosines[i, j] for i in range(4, 12) for j in range(4, 12) if i != j]
    for k, i in zip(genes, expected, strict=True):
        c = cosines[4, i]
        share = np.mean([v >= c - 1e-9 if c >= 0 else v <= c + 1e-9 for v in null])
        assert rows["cosine"][k] == pytest.approx(c) and rows["beyond"][k] == pytest.approx(share)
        assert rows["known"][k] == ("S" if map_.perturbations.name[i] == "B" else "")


def test_few_of_many_one_of_all_and_doses() -> None:
    map_ = made()
    few = neighbors(map_, "drug", top=1).tables["neighbors"]
    assert few["type"].count("CRISPR") == 2 and "drug" not in few["name"]  # not its own doses
    first, last = (few["cosine"][k] for k, kind in enumerate(few["type"]) if kind == "CRISPR")
    assert first > last
    one = neighbors(map_, "A", other="other").tables["neighbors"]
    assert one["name"] == ["other", "other"] and sorted(one["concentration"]) == [0.1, 1.0]
    assert neighbors(map_, "drug").protocol["concentration"] == 1.0
    assert neighbors(map_, "drug", concentration=0.1).protocol["concentration"] == 0.1


def test_a_drawn_null_is_near_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = neighbors(made(), "A", top=50).tables["neighbors"]["beyond"]
    monkeypatch.setattr(module, "NULL", 50)
    drawn = neighbors(made(), "A", top=50).tables["neighbors"]["beyond"]
    assert drawn != whole and np.abs(np.array(drawn) - whole).max() < 0.3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Q", {}, "the map has no 'Q'"),
        ("a", {}, "it has 'A'"),
        ("Z", {}, "the vector of 'Z' has no length"),
        ("drug", {"concentration": 3.0}, "'drug' at 0.1, 1 uM, not at 3"),
        ("A", {"other": "Z"}, "no 'Z' that could be compared"),
    ],
)
def test_what_is_not_there_is_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        neighbors(made(), name, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="top is 0"):
        neighbors(made(), "A", top=0)
