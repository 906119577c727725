"""Nearest and farthest rows in place of vectors: those of the suite."""

from __future__ import annotations

import numpy as np
import pytest

from polaris_rxrx.errors import UsageError
from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.nearest import nearest
from polaris_rxrx.explore.rows import KINDS, choose
from polaris_rxrx.maps.build import Map
from polaris_rxrx.suites.neighbors import neighbors


def test_they_are_those_of_the_suite(map_: Map) -> None:
    rows = choose(map_)
    part = nearest(rows, 4)
    found = {name: blocks.read(b.text, b.entry) for name, b in part.blocks.items()}
    assert part.document == {"neighbors": 4} and "vectors" in part.missing
    assert found["near_row"].shape == (len(map_), 2, 8)
    p = map_.perturbations
    for row in (0, len(map_) - 1):
        dose = float(p.concentration[row])
        result = neighbors(map_, p.name[row], concentration=None if np.isnan(dose) else dose, top=4)
        table = result.tables["neighbors"]
        for k, kind in enumerate(KINDS):
            own = [i for i, t in enumerate(table["type"]) if t == kind]
            assert len(own) == 8
            at = found["near_row"][row, k].tolist()
            assert [p.name[i] for i in at] == [table["name"][i] for i in own]
            cosine = found["near_cosine"][row, k] / 32767
            assert cosine == pytest.approx([table["cosine"][i] for i in own], abs=2e-5)
            assert found["near_of"][row, k] == table["of"][own[0]]


def test_few_rows_are_all_there(map_: Map) -> None:
    few = np.r_[0:3, len(map_) - 1]
    small = Map(map_.perturbations.take(few), map_.x[few], map_.n_wells[few])
    small.x[1] = 0
    part = nearest(choose(small), 2)
    found = {name: blocks.read(b.text, b.entry) for name, b in part.blocks.items()}
    none = 65535
    kind = KINDS.index(small.perturbations.type[0])
    assert found["near_of"][1].tolist() == [0, 0]
    assert (found["near_row"][1] == none).all() and (found["near_cosine"][1] == -32768).all()
    assert found["row_scale"].tolist() == [1, 0, 1, 1]
    assert (found["near_row"][0, kind] != none).sum() == found["near_of"][0, kind]
    with pytest.raises(UsageError, match="neighbors is 0"):
        nearest(choose(small), 0)
