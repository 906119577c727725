"""What a notebook shows of a map: the numbers of the suites, figures that hold them, names that stay text."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import polaris_rxrx as pr
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.store import load_map
from polaris_rxrx.suites.neighbors import neighbors as find_neighbors
from polaris_rxrx.suites.relations import Relations, read_relations
from polaris_rxrx.wells.memory import Wells
from polaris_rxrx.wells.metadata import Perturbations
from tests.wells_factory import small

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def wells(tmp_path_factory: pytest.TempPathFactory) -> Wells:
    folder = tmp_path_factory.mktemp("wells")
    small(folder)
    return pr.read_wells(folder / "metadata.csv", folder / "embeddings.parquet")


@pytest.fixture(scope="module")
def map_(wells: Wells) -> Map:
    return pr.build_map(wells)


@pytest.fixture
def known(tmp_path: Path) -> dict[str, Relations]:
    (tmp_path / "known.txt").write_text("a,b\nTP53,BRCA1\nNA,TP53\n")
    return {"ours": read_relations(tmp_path / "known.txt")}


def cosine(map_: Map, a: int, b: int) -> float:
    """By its definition."""
    x, y = map_.x[a], map_.x[b]
    return float(sum(x * y) / (sum(x * x) ** 0.5 * sum(y * y) ** 0.5))


def at(map_: Map, name: str, kind: str = "CRISPR", dose: float | None = None) -> int:
    p = map_.perturbations
    (row,) = (
        i
        for i in range(len(map_))
        if (p.name[i], p.type[i]) == (name, kind) and (dose is None or p.concentration[i] == dose)
    )
    return row


def test_neighbors_are_the_suites(map_: Map, known: dict[str, Relations]) -> None:
    view = pr.neighbors(map_, "TP53", known=known, top=3)
    both = {frozenset(("TP53", other)) for other in ("BRCA1", "NA")}
    expected = find_neighbors(map_, "TP53", top=3, known={"ours": frozenset(both)})
    np.testing.assert_equal(view.table, expected.tables["neighbors"])  # of genes the concentration is NaN
    assert {n for n, k in zip(view.table["name"], view.table["known"], strict=True) if k} <= {"BRCA1", "NA"}
    for kind, name, dose, value in list(zip(*list(view.table.values())[:4], strict=True)):
        row = at(map_, name, kind, None if np.isnan(dose) else dose)
        assert value == pytest.approx(cosine(map_, at(map_, "TP53"), row), abs=1e-12)
    widths = [bar.get_width() for ax in view.figure.axes for bar in ax.patches]
    assert widths == view.table["cosine"]
    assert view.to_frame().shape == (len(widths), 8)


def test_a_heat_map_holds_every_pair(map_: Map, known: dict[str, Relations]) -> None:
    names = ["TP53", "BRCA1", "NA", "aspirin", "ONCE"]
    view = pr.heatmap(map_, names, known=known)
    assert len(view.table["cosine"]) == 10
    dose = max(map_.perturbations.concentration[i] for i in map_.rows("COMPOUND")
               if map_.perturbations.name[i] == "aspirin")  # fmt: skip
    label = f"aspirin {dose:g} uM"
    rows = {**{n: at(map_, n) for n in names if n != "aspirin"}, label: at(map_, "aspirin", "COMPOUND", dose)}
    drawn = view.figure.axes[0].images[0].get_array()
    labels = [text.get_text() for text in view.figure.axes[0].get_yticklabels()]
    assert drawn is not None and sorted(labels) == sorted(rows)
    for a, b, value, sources in zip(*view.table.values(), strict=True):
        assert value == pytest.approx(cosine(map_, rows[a], rows[b]), abs=1e-12)
        assert drawn[labels.index(a), labels.index(b)] == value == drawn[labels.index(b), labels.index(a)]
        assert sources == ("ours" if {a, b} in ({"TP53", "BRCA1"}, {"TP53", "NA"}) else "")
    assert len(view.figure.axes[0].patches) == 4  # two pairs, on both sides of the diagonal
    every = pr.heatmap(map_, ["TP53", "aspirin"], doses=True)
    n_doses = sum(name == "aspirin" for name in map_.perturbations.name)
    assert n_doses > 1 and len(every.table["cosine"]) == n_doses * (n_doses + 1) // 2


def test_in_a_page_a_heat_map_is_drawn(map_: Map) -> None:
    """Its cells are a picture in the page, not a reference to one that is nowhere."""
    svg = ElementTree.fromstring(pr.heatmap(map_, ["TP53", "BRCA1", "NA"]).svg)
    pictures = [image.get("href", "") for image in svg.iter("{http://www.w3.org/2000/svg}image")]
    assert len(pictures) == 2  # the cells, and the scale of their colors
    for picture in pictures:
        kind, _, data = picture.partition(",")
        assert kind == "data:image/png;base64" and base64.b64decode(data, validate=True)[1:4] == b"PNG"


def test_the_like_stand_together() -> None:
    """Two directions, two perturbations each, given crosswise."""
    names = ["A", "B", "C", "D"]
    x = np.array([[1.0, 0.1], [0.1, 1.0], [1.0, 0.0], [0.0, 1.0]])
    map_ = Map(Perturbations(["CRISPR"] * 4, names, np.full(4, np.nan)), x, np.ones(4, dtype=np.int64))
    order = [text.get_text() for text in pr.heatmap(map_, names).figure.axes[0].get_yticklabels()]
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset("AC"), frozenset("BD")}


def test_a_dose_curve_and_its_wells(map_: Map, wells: Wells) -> None:
    view = pr.dose_curve(map_, "aspirin", ["BRCA1", "NA"], wells=wells)
    p = map_.perturbations
    doses = sorted(p.concentration[i] for i in map_.rows("COMPOUND") if p.name[i] == "aspirin")
    assert len(doses) > 1 and view.table["concentration"] == doses * 2
    for gene, dose, value, n in zip(*list(view.table.values())[:4], strict=True):
        row = at(map_, "aspirin", "COMPOUND", dose)
        assert value == pytest.approx(cosine(map_, row, at(map_, gene)), abs=1e-12)
        assert n == map_.n_wells[row]
    assert view.table["gene"] == ["BRCA1"] * len(doses) + ["NA"] * len(doses)
    line = view.figure.axes[0].lines[0]
    assert list(line.get_ydata()) == view.table["cosine"][: len(doses)]
    alone = pr.dose_curve(map_, "aspirin", "BRCA1")
    assert alone.table["cosine"] == view.table["cosine"][: len(doses)] and "q0.1" not in alone.table


def test_the_spread_is_of_single_wells(wells: Wells) -> None:
    """Unaligned, a well is what it was read as."""
    map_ = pr.build_map(wells, "none")
    view = pr.dose_curve(map_, "aspirin", "BRCA1", wells=wells)
    p = wells.perturbations
    gene = map_.x[at(map_, "BRCA1")]
    for dose, low, high in zip(*(view.table[k] for k in ("concentration", "q0.1", "q0.9")), strict=True):
        (code,) = (c for c in range(len(p)) if (p.name[c], p.concentration[c]) == ("aspirin", dose))
        own = wells.perturbation == code
        x = wells.x[own].astype(float)
        cosines = (x @ gene) / (np.linalg.norm(x, axis=1) * np.linalg.norm(gene))
        assert (low, high) == pytest.approx(tuple(np.quantile(cosines, (0.1, 0.9))), abs=1e-6)


def test_what_a_notebook_shows(map_: Map, tmp_path: Path) -> None:
    hostile = [HOSTILE if name == "BRCA1" else name for name in map_.perturbations.name]
    map_ = replace(map_, perturbations=replace(map_.perturbations, name=hostile))
    for view in (
        pr.neighbors(map_, "TP53"),
        pr.heatmap(map_, ["TP53", HOSTILE]),
        pr.dose_curve(map_, "aspirin", HOSTILE),
    ):
        page, svg = view._repr_html_(), view._repr_svg_()
        assert "<img" not in page and "&lt;img src=x onerror=alert(1)&gt;" in page
        assert "<script" not in page and not re.search(r"https?://(?!www.w3.org)", page)
        assert ElementTree.fromstring(svg).tag.endswith("svg") and svg in page
        view.save(tmp_path)
        assert "rows>" in repr(view)
    assert {p.name for p in tmp_path.iterdir()} == {
        f"{name}.{end}" for name in ("neighbors", "heatmap", "dose-curve") for end in ("png", "svg")
    }


def test_as_anndata_it_is_the_file(map_: Map, tmp_path: Path) -> None:
    data = pr.to_anndata(map_)
    assert data.shape == map_.x.shape and list(data.obs["perturbation"]) == map_.perturbations.name
    assert json.loads(data.uns["protocol"]) == map_.protocol
    data.write_h5ad(tmp_path / "map.h5ad")
    again = load_map(tmp_path / "map.h5ad")
    np.testing.assert_array_equal(again.x, map_.x)
    assert again.protocol == map_.protocol and again.perturbations.name == map_.perturbations.name


def test_what_cannot_be_shown(map_: Map, wells: Wells) -> None:
    with pytest.raises(DataError, match="the map has no 'tp53'; it has 'TP53'"):
        pr.neighbors(map_, "tp53")
    with pytest.raises(UsageError, match="two or more genes or compounds, in a list"):
        pr.heatmap(map_, "TP53")
    with pytest.raises(UsageError, match="'NA' stands twice in the names"):
        pr.heatmap(map_, ["NA", "TP53", "NA"])
    with pytest.raises(DataError, match="the map has no 'GONE'"):
        pr.heatmap(map_, ["NA", "GONE"])
    with pytest.raises(DataError, match="'TP53' is no compound with concentrations in this map"):
        pr.dose_curve(map_, "TP53", "NA")
    with pytest.raises(DataError, match="the map has no gene 'aspirin' with a vector"):
        pr.dose_curve(map_, "aspirin", "aspirin")
    with pytest.raises(UsageError, match="no gene was named"):
        pr.dose_curve(map_, "aspirin", [])
    with pytest.raises(UsageError, match="this map does not say how it was aligned"):
        pr.dose_curve(replace(map_, protocol={}), "aspirin", "NA", wells=wells)
    zero = replace(map_, x=np.where(np.arange(len(map_))[:, None] == at(map_, "NA"), 0.0, map_.x))
    with pytest.raises(DataError, match="the vector of 'NA' has no length"):
        pr.heatmap(zero, ["NA", "TP53"])
    big = Map(
        Perturbations(["CRISPR"] * 201, [f"G{i}" for i in range(201)], np.full(201, np.nan)),
        np.random.default_rng(0).normal(size=(201, 4)),
        np.ones(201, dtype=np.int64),
    )
    with pytest.raises(UsageError, match="these are 201 rows of the map; at most 200 have room"):
        pr.heatmap(big, big.perturbations.name)
