"""JUMP and RxRx3 from their own tables to figures: card, map, recall, activity, predictions.

Tables are the published ones, features drawn with what has to be found (`tests.screens_factory`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx import cli
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.maps.store import load_map
from polaris_rxrx.wells.memory import read_wells
from tests.loops import times
from tests.screens_factory import LAYOUTS, cellprofiler_names, make_jump, make_rxrx3

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in a folder that holds the screen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(tmp_path))

    def run(*words: object) -> tuple[int, str, str]:
        code = cli.run([str(word) for word in words])
        told = capfd.readouterr()
        return code, told.out, told.err

    return run


def test_names_of_cellprofiler() -> None:
    names = cellprofiler_names()
    assert len(set(names)) == len(names) > 4_500
    assert {name.split("_")[0] for name in names} == {"Cells", "Cytoplasm", "Nuclei"}
    assert "Nuclei_AreaShape_Zernike_9_9" in names and "Cells_Texture_Contrast_ER_10_03_256" in names


# JUMP_FEATURES=all has all 4,503 features, which takes a minute.
EVERY = 1 if os.environ.get("JUMP_FEATURES") == "all" else times(4, short=8)


@pytest.mark.parametrize("every", [16, pytest.param(EVERY, marks=pytest.mark.slow)])
def test_jump_from_its_tables_to_recall_and_activity(
    run: Run, shared_data: Path, tmp_path: Path, every: int
) -> None:
    """20 plates: planted complexes are found again, and the genes that do nothing are not."""
    jump = make_jump(tmp_path, shared_data, every=every)
    code, out, err = run("dataset", "check", "jump-crispr", "--json")
    found: dict[str, Any] = json.loads(out)
    assert code == 0 and found["problems"] == [], err
    assert (found["wells"], found["plates"], found["batches"]) == (20 * 368, 20, 20 // LAYOUTS)
    assert found["left_out"] == {"empty wells": 20 * 16} and found["controls_a_batch"] == [160, 160, 160]
    assert found["perturbations"] == {"CRISPR": len(jump.genes) + 1}  # and PLK1
    assert found["features"]["rows_of_wells"] == 368

    words = ["--dataset", "jump-crispr", "--model", "cellprofiler", "--align", "center-scale"]
    files = [shared_data / "relations" / "CORUM.txt", jump.relations(tmp_path / "planted.txt")]
    relations = [word for path in files for word in ("--relations", path)]
    code, out, err = run("evaluate", "gene-gene", *words, *relations, "--json")
    assert code == 0, err
    result = json.loads(out)["gene-gene"]
    assert f"{len(jump.names):,} features in; 1 dropped as mostly missing" in err
    assert "1 dropped as constant" in err and "1 values imputed" in err
    assert "'Nuclei_Number_Object_Number' (about the well)" in err
    assert result["protocol"]["inputs"]["dataset"] == "jump-crispr"
    recall = {name: source["recall"] for name, source in result["summary"]["sources"].items()}
    assert recall["planted"] > 0.95 and 0.4 < recall["CORUM"] < 0.7

    code, out, err = run("evaluate", "activity", *words, "--out", "results")
    assert code == 0, err
    table = pd.read_csv("results/activity_perturbations.csv", keep_default_na=False).set_index("perturbation")
    assert set(table.index) == jump.genes | {"PLK1"}
    active = table.p_adjusted.astype(float) <= 0.05
    silent = table.index.isin(list(jump.silent))
    assert silent.sum() > 200 and active[~silent].mean() > 0.98 and active[silent].mean() < 0.05


def test_an_effect_of_places_on_plates_is_corrected(run: Run, shared_data: Path, tmp_path: Path) -> None:
    """Genes stand at one place in all replicates, so what a place does looks like what they do."""
    jump = make_jump(tmp_path, shared_data, every=16, place=2.5)
    words = ["--dataset", "jump-crispr", "--model", "cellprofiler", "--align", "center-scale", "--json"]
    words += ["--relations", jump.relations(tmp_path / "planted.txt")]
    recall = []
    for more in ([], ["--correct", "well-position"]):
        code, out, err = run("evaluate", "gene-gene", *words, *more)
        assert code == 0, err
        recall.append(json.loads(out)["gene-gene"]["summary"]["sources"]["planted"]["recall"])
    assert recall[0] < 0.7 and recall[1] > 0.95


def test_rxrx3_from_its_tree_to_recall_and_predictions(
    run: Run, shared_data: Path, prepared: Path, tmp_path: Path
) -> None:
    """A file a plate, found by the card alone; the map is that of the same wells in one table."""
    metadata = make_rxrx3(tmp_path, shared_data, share=0.02)
    plates = metadata[["experiment_name", "plate"]].drop_duplicates()
    tree = "*/Plate*/embeddings.parquet"
    assert len(plates) == len(list(tmp_path.glob(tree))) > 35
    code, out, _ = run("dataset", "check", "rxrx3", "--json")
    found = json.loads(out)
    assert code == 0 and (found["wells"], found["plates"]) == (len(metadata), len(plates))
    assert found["features"]["features"] == 128 and found["blinded"] >= 3

    common = ["--dataset", "rxrx3"]
    genes = sorted(set(metadata.gene.dropna()) - {"EMPTY_control"})
    Path("relations.txt").write_text(f"entity1,entity2\n{genes[0]},{genes[1]}\n{genes[-1]},{genes[-2]}\n")
    named = [gene for gene in genes if not gene.startswith("RXRX3-")]
    code, out, err = run("evaluate", "gene-gene", *common, "--relations", "relations.txt", "--json")
    assert code == 0, err
    assert f"{len(plates):,} files read as one table" in err
    assert f"{found['blinded']:,} genes are blinded (named like RXRX3-*)" in err
    summary = json.loads(out)["gene-gene"]["summary"]
    assert summary["n_genes"] == len(named)

    Path("mine.toml").write_text('name = "mine"\ntitle = "Mine"\n[source]\nwidth = 128\n')
    words = ["--task", prepared, "--missing", "fill=0", "--save-map", "map.parquet"]
    code, out, err = run("baseline", "mine.toml", *common, *words)
    assert code == 0, err
    one = pd.concat([pd.read_parquet(path) for path in sorted(tmp_path.glob(tree))])
    one.to_parquet("one.parquet", index=False)
    expected, map_ = build_map(read_wells("metadata_rxrx3.csv", "one.parquet")), load_map(Path("map.parquet"))
    assert np.array_equal(map_.x, expected.x) and map_.protocol["dataset"] == "rxrx3"
    assert map_.perturbations.name == expected.perturbations.name
