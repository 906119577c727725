"""A model tried on a few wells: what is measured of it, and what is found to be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.featurize import check as checking
from polaris_rxrx.featurize.check import check, difference
from polaris_rxrx.featurize.featurizer import Features
from polaris_rxrx.featurize.rows import table_of
from tests.featurize.plates import Plates, Sums, screen, wells


@dataclass
class Model:
    """Means of channels, spoiled in one way."""

    how: str = ""
    wells_a_task: int = 4
    name: str = "model"
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def protocol(self) -> dict[str, Any]:
        return {}

    def check(self, images: Any) -> None:
        pass

    def beside(self, images: Any, wells: Any) -> tuple[str, ...]:
        return ()

    def features(self, images: Any, wells: Any, step: Any = None) -> Features:
        self.calls.append(tuple(wells))
        found = list(images.read(wells))
        faults = tuple(fault for f in found for fault in f.faults)
        found = [f for f in found if f.sites]
        x = np.array([np.stack([s.pixels for s in f.sites]).mean(axis=(0, 2, 3)) for f in found])
        if self.how == "batch":
            x = x - x.mean(axis=0)
        elif self.how == "random":
            x = x + np.random.default_rng(len(self.calls)).normal(size=x.shape)
        elif self.how == "last bits":
            x = x * (1 + 1e-7 * len(self.calls))
        elif self.how == "blind":
            x = x[:, :1].repeat(2, axis=1)
        elif self.how == "same":
            x = x * 0 + 1
        elif self.how == "raises" and len(wells) > 1:
            raise DataError("model raised 'ValueError: odd'")
        elif self.how == "needs DNA" and not x[:, 0].all():
            raise DataError("no nuclei")
        elif self.how == "nan":
            x[1:2] = np.nan
        columns = {f"feature_{i}": c for i, c in enumerate(x.T)}
        return Features(table_of(images, [f.well for f in found], [2] * len(found), columns), faults)


def test_all_is_well() -> None:
    images = Plates(wells(4, 10))
    found = check(images, Model(), workers=2)
    assert found.problems == ()
    assert (
        len(found.wells) == 12 and found.wells[0] == images.wells[0] and found.wells[-1] == images.wells[-1]
    )
    assert (found.n_rows, found.n_features, found.kind) == (12, 2, "double")
    assert (found.repeated, found.alone, found.n_absent, found.n_constant) == (0, 0, 0, 0)
    assert list(found.channels) == ["DNA", "ER"] and all(v == 1 for v in found.channels.values())
    assert found.seconds is not None and found.seconds > 0
    assert found.hours == pytest.approx(found.seconds * 40 / 2 / 3600)
    assert found.memory is not None and found.memory > 1 << 20
    document = found.to_dict()
    assert document["features"] == 2 and document["problems"] == [] and document["all_wells"] == 40


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("random", "twice the same wells gave other features: they differ by"),
        ("batch", "a well by itself has other features than among others"),
        ("blind", "channel ER changes nothing"),
        ("same", "all features are the same in all 10 wells"),
        ("raises", "model raised 'ValueError: odd'"),
        ("nan", "1 of 10 wells have no value in any feature"),
    ],
)
def test_what_looks_wrong(how: str, problem: str) -> None:
    found = check(screen(), Model(how))
    assert any(problem in told for told in found.problems), found.problems


def test_the_last_bits_are_not_held_against_it() -> None:
    found = check(screen(), Model("last bits"))
    assert found.repeated is not None and 0 < found.repeated < 1e-5 and found.problems == ()


def test_what_raises_without_a_channel_sees_it() -> None:
    found = check(screen(), Model("needs DNA"))
    assert found.channels["DNA"] == float("inf") and found.problems == ()
    assert found.to_dict()["difference_without_channel"]["DNA"] is None


def test_faults_and_absent_values_are_told() -> None:
    found = check(screen(blank=frozenset({"gene-001_1_A01", "gene-001_2_A02"})), Sums())
    assert found.problems == () and found.n_rows == 8
    assert found.n_absent == 2 and found.n_features == 4
    assert [f.partition(":")[0] for f in found.faults] == ["gene-001_1_A01", "gene-001_2_A02"]
    all_blank = check(screen(blank=frozenset(wells())), Sums())
    assert all_blank.problems == ("no well gave any features",)


def test_slow_ones_are_tried_on_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "PATIENCE", 0.0)
    model = Model()
    assert check(screen(), model).problems == ()
    assert sorted(map(len, model.calls)) == [1, 1, 1, 3, 3, 3, 3, 10]


def test_differences_are_relative_to_a_feature_s_scale() -> None:
    def features(x: list[list[float]], names: tuple[str, ...] = wells()) -> Features:
        columns = {f"feature_{i}": np.array(c) for i, c in enumerate(zip(*x, strict=True))}
        return Features(table_of(screen(), names[: len(x)], [1] * len(x), columns))

    a = features([[1000.0, 0.0], [2000.0, 1.0]])
    assert difference(a, a) == 0
    assert difference(a, features([[1000.0, 0.0], [2001.0, 1.0]])) == pytest.approx(1 / 2001)
    assert difference(a, features([[1000.0, 0.0], [2000.0, 1.5]])) == pytest.approx(1 / 3)
    assert difference(a, features([[1000.0, 0.0]])) == float("inf")
    assert difference(a, features([[1000.0, 0.0], [2000.0, float("nan")]])) == float("inf")
    assert difference(a, features([[1000.0, 0.0], [2000.0, 1.0]], wells()[2:])) == float("inf")


def test_no_wells() -> None:
    with pytest.raises(DataError, match="there is no well to measure"):
        check(Plates(()), Model())
