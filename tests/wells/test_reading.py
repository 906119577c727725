"""Wells read in one place: what is told, what a protocol keeps, and that a source needs no more than that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from polaris_rxrx.files import sha256
from polaris_rxrx.wells.memory import read_wells
from polaris_rxrx.wells.reading import Choices, read
from polaris_rxrx.wells.source import WellSource
from tests.wells_factory import small


def test_without_choices_it_is_read_wells(tmp_path: Path) -> None:
    files = small(tmp_path)
    wells, plain = read(*files), read_wells(*files)
    assert np.array_equal(wells.x, plain.x)
    assert (wells.notes, wells.provenance) == (plain.notes, plain.provenance)
    assert list(wells.provenance) == ["n_wells_missing", "reading", "made_up"]


def test_the_provenance_is_json_and_says_no_path(tmp_path: Path) -> None:
    steps: list[tuple[Any, ...]] = []
    files = small(tmp_path, change_embeddings=lambda frame: frame.iloc[3:])
    wells = read(*files, Choices(profile=True), hashed=True, progress=lambda *step: steps.append(step))
    found = wells.provenance
    assert found["n_wells_missing"] == 3 and found["cleaning"]["n_wells_absent"] == 3
    assert (found["metadata_sha256"], found["embeddings_sha256"]) == tuple(map(sha256, files))
    assert str(tmp_path) not in json.dumps(found)
    assert wells.notes[-1].startswith("Cleaned: 6 features in;")
    assert steps[-2:] == [("hashing", 1, 2), ("hashing", 2, 2)]


def test_missing_wells_are_told(tmp_path: Path) -> None:
    files = small(tmp_path, change_embeddings=lambda frame: frame.iloc[3:])
    wells = read(*files, Choices(allow_missing=True))
    assert wells.notes[-1] == "3 wells of the metadata have no embedding and were left out"


def test_a_synthetic_table_is_known(tmp_path: Path) -> None:
    metadata, embeddings = small(tmp_path)
    assert read(metadata, embeddings).provenance["made_up"] is False
    marked = pq.read_table(embeddings).replace_schema_metadata({"polaris_rxrx": "made up"})
    pq.write_table(marked, embeddings)
    assert read(metadata, embeddings).provenance["made_up"] is True


def test_places_are_those_of_the_blocks(tmp_path: Path) -> None:
    wells: WellSource = read(*small(tmp_path))
    blocks = list(wells.blocks())
    assert np.array_equal(np.concatenate([b.perturbation for b in blocks]), wells.places.perturbation)
    assert len(np.unique(wells.places.experiment)) == len(blocks)
