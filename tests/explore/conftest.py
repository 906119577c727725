"""The demo's OpenPhenom as a page, made once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from polaris_rxrx import baselines
from polaris_rxrx.cards import load_card
from polaris_rxrx.maps.build import Map
from polaris_rxrx.wells.memory import Wells
from tests.explore.pages import Held, held

SETS = "alpha\tABL1 SRC BRAF RAF1\nbeta\tMTOR PIK3CA AKT1 NOT_THERE\nnone\tNOWHERE\n"


@pytest.fixture(scope="package")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sets of genes, of which the demo has none of one."""
    path = tmp_path_factory.mktemp("sets") / "sets.gmt"
    path.write_text(SETS)
    return path


@pytest.fixture(scope="package")
def wells(demo: Path) -> Wells:
    """The demo's wells with their labels."""
    card = load_card("openphenom")
    design = replace(card.recipe.design, labels=True)
    data = demo / "data"
    table = data / "OpenPhenom_rxrx3_core_embeddings.parquet"
    return baselines.read_model(card, data / "metadata_rxrx3_core.csv", table, design=design)


@pytest.fixture(scope="package")
def map_(wells: Wells) -> Map:
    return baselines.map_of(wells, load_card("openphenom").recipe)


@pytest.fixture(scope="package")
def page_path(demo: Path, sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the command writes of the demo's OpenPhenom, with two features of plates."""
    from polaris_rxrx.cli import run

    path = tmp_path_factory.mktemp("explore") / "map.html"
    words = ["explore", "--model", "openphenom", "--data", str(demo / "data"), "--sets", str(sets)]
    words += ["--plate-features", "feature_3", "--plate-features", "feature_380", "--out", str(path)]
    assert run(words) == 0
    yield path


@pytest.fixture(scope="package")
def page(page_path: Path) -> Held:
    return held(page_path.read_text("utf-8"))
