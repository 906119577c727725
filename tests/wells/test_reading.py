"""Wells read in one place: what is told, what a protocol keeps, and that a source needs no more than that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from polaris_rxrx.dataset.screens import load_screen
from polaris_rxrx.files import sha256
from polaris_rxrx.wells.memory import read_wells
from polaris_rxrx.wells.reading import Choices, read
from polaris_rxrx.wells.screen import read_screen
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


def test_tables_joined_to_the_wells_are_hashed_each(tmp_path: Path) -> None:
    metadata, embeddings = small(tmp_path)
    table = pd.read_csv(metadata, dtype=str, keep_default_na=False)
    genes = table[["gene"]].drop_duplicates()[lambda t: t.gene != ""].rename(columns={"gene": "symbol"})
    genes = genes.assign(gene=[f"g{i}" for i in range(len(genes))])
    codes = dict(zip(genes.symbol, genes.gene, strict=True))
    table[table.gene != ""].assign(gene=lambda t: t.gene.map(codes)).to_csv(
        tmp_path / "wells.csv", index=False
    )
    genes.to_csv(tmp_path / "genes.csv", index=False)
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\ntitle = "Mine"\nlicence = "mine"\n[wells]\nfile = "wells.csv"\nid = ["well_id"]\n'
        'batch = ["experiment_name"]\n[[joins]]\nfile = "genes.csv"\non = ["gene"]\n'
        '[controls]\ncolumns = ["symbol"]\nnegative = ["EMPTY_control"]\n'
        '[[sides]]\ntype = "CRISPR"\nname = ["symbol"]\n'
    )
    found = read_screen(load_screen(str(tmp_path / "mine.toml")), tmp_path).metadata
    wells = read(found, embeddings, hashed=True)
    assert wells.provenance["joined_sha256"] == {"genes.csv": sha256(tmp_path / "genes.csv")}
    assert wells.provenance["metadata_sha256"] == sha256(tmp_path / "wells.csv")
    assert "joined_sha256" not in read(metadata, embeddings, hashed=True).provenance


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
