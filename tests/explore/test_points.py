"""The map as a picture."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.decomposition import PCA

from polaris_rxrx.errors import UsageError
from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.points import check, points
from polaris_rxrx.explore.rows import choose
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.similarity import unit_rows
from polaris_rxrx.wells.metadata import Perturbations


def a_map(x: np.ndarray) -> Map:
    n = len(x)
    p = Perturbations(["CRISPR"] * n, [f"G{i}" for i in range(n)], np.full(n, np.nan))
    return Map(p, x, np.ones(n, dtype=np.int64))


@pytest.fixture
def drawn() -> Map:
    rng = np.random.default_rng(1)
    return a_map(rng.standard_normal((50, 8)) * np.linspace(3, 0.3, 8) + 0.5)


def test_points_are_scikit_learns_components_of_unit_rows(drawn: Map) -> None:
    drawn.x[7] = 0
    part = points(choose(drawn))
    block = part.blocks["points"]
    found = blocks.read(block.text, block.entry).astype(float)
    assert found[7].tolist() == [-32768, -32768]
    there = np.arange(50) != 7
    model = PCA(2).fit(unit_rows(drawn.x[there]))
    wanted = model.transform(unit_rows(drawn.x[there]))
    for axis in (0, 1):
        r = np.corrcoef(found[there, axis], wanted[:, axis])[0, 1]
        assert abs(r) > 0.9999
    spans = np.ptp(found[there], axis=0)
    assert spans.max() == 2 * 32767
    assert spans[1] / spans[0] == pytest.approx(np.ptp(wanted[:, 1]) / np.ptp(wanted[:, 0]), abs=1e-4)
    assert part.document["points"]["kept"] == pytest.approx(model.explained_variance_ratio_.tolist())


def test_two_rows_make_no_picture() -> None:
    part = points(choose(a_map(np.eye(3)[:2])))
    assert part.blocks == {}
    assert "fewer than three rows" in part.missing["points"]


def test_one_feature_makes_a_line() -> None:
    block = points(choose(a_map(np.array([[1.0], [-2.0], [3.0]])))).blocks["points"]
    assert blocks.read(block.text, block.entry)[:, 1].tolist() == [0, 0, 0]


def test_umap_asks_for_its_extra(drawn: Map, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(UsageError, match=r"--points umap needs umap-learn.*polaris-rxrx\[umap\]"):
        points(choose(drawn), "umap")
    with pytest.raises(UsageError, match="points are 'tsne'; expected one of pca, umap"):
        check("tsne")


@pytest.mark.slow
def test_umap_gives_the_same_points_again(drawn: Map) -> None:
    if find_spec("umap") is None:
        pytest.skip("umap-learn is not installed")
    one, two = (points(choose(drawn), "umap", seed=4) for _ in range(2))
    assert one.blocks["points"].text == two.blocks["points"].text
    assert one.document["points"]["method"] == "UMAP"
