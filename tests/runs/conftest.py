"""Result folders of three runs: two of one protocol, one of another, one by another way of writing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polaris_rxrx as pr
from polaris_rxrx.maps.build import Map
from polaris_rxrx.suites.result import Result
from tests.wells_factory import PLAN, Group, small

SETS = "a complex\tTP53 BRCA1 KRAS\nanother\tNA ONCE NRAS\n"
_PAIRS = {
    "aspirin": {"TP53": 5, "NA": 9, "NRAS": 30_000, "BRCA1": 20_000},
    "TWIN": {"KRAS": 1, "NA": 50_000, "TP53": 40_000, "TWIN": 90_000},
    "Eugenol (no structure)": {"NRAS": 1, "NA": 50_000, "TP53": 40_000, "KRAS": 90_000},
}
AFFINITIES = "gene_symbol,nM_value,treatment\n"
AFFINITIES += "".join(f"{g},{v},{c}\n" for c, of in _PAIRS.items() for g, v in of.items())
GUIDES = tuple(Group(f"gene-00{e}", name, 6) for e in (1, 2) for name in ("KRAS", "NRAS"))


def write(folder: Path, results: dict[str, Result]) -> None:
    folder.mkdir(parents=True)
    for name, result in results.items():
        (folder / f"{name}.json").write_text(result.to_json(), "utf-8")


@pytest.fixture(scope="session")
def runs_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Result]]]:
    root = tmp_path_factory.mktemp("runs")
    data = root / "data"
    data.mkdir()
    small(data, plan=(*PLAN, *GUIDES))
    for name, text in (
        ("sets.tsv", SETS),
        ("nM.csv", AFFINITIES),
        ("known.txt", "a,b\nTP53,BRCA1\nKRAS,NA\n"),
    ):
        (data / name).write_text(text, "utf-8")
    wells = pr.read_wells(data / "metadata.csv", data / "embeddings.parquet")
    map_ = pr.build_map(wells)
    files: dict[str, Any] = {"annotations": data / "nM.csv", "relations": data / "known.txt", "seeds": 3}
    files |= {"min_negatives": 2}
    held = {"out/epoch-1/x": pr.evaluate(map_, **files)}
    rng = np.random.default_rng(1)
    other = Map(map_.perturbations, map_.x + rng.normal(size=map_.x.shape), map_.n_wells, map_.protocol)
    held["out/epoch-2/x"] = pr.evaluate(other, **files)
    held["out/more seeds"] = pr.evaluate(map_, "drug-target", **{**files, "seeds": 4, "relations": None})
    some = {"sets": data / "sets.tsv", "null_size": 20, "min_genes": 3}
    some_suites = ("signal", "activity", "clusters", "consistency")
    held["out/wells"] = pr.evaluate(wells, some_suites, **some)
    for place, results in held.items():
        write(root / place, results)
    return root, held


@pytest.fixture
def results(runs_once: tuple[Path, dict[str, dict[str, Result]]]) -> dict[str, dict[str, Result]]:
    return runs_once[1]


@pytest.fixture
def runs(runs_once: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`out/` in the working directory, to be spoiled."""
    shutil.copytree(runs_once[0] / "out", tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    return Path("out")


def together(results: dict[str, Result]) -> str:
    """What `evaluate --json` prints."""
    return json.dumps({name: result.to_dict() for name, result in results.items()})
