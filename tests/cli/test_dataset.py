"""`polaris-rxrx dataset`, and `--dataset` of other commands: what a card makes of files, and a map of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyarrow import fs

from polaris_rxrx import cli
from polaris_rxrx.dataset import profiles
from polaris_rxrx.dataset.screens import load_screen, screen_names
from polaris_rxrx.maps.store import load_map
from polaris_rxrx.wells.check import profile_paths
from polaris_rxrx.wells.screen import read_screen
from tests.wells_factory import PLAN, Group, make_embeddings, make_metadata

Run = Callable[..., tuple[int, str, str]]

CARD = """name = "mine"
title = "My screen"
licence = "ours"
[wells]
file = "wells.csv"
id = ["plate", "well"]
batch = "batch"
plate = "plate"
[[sides]]
type = "CRISPR"
name = "symbol"
blinded = "X-*"
[controls]
columns = "symbol"
negative = ["NTC"]
positive = ["PLK1"]
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(tmp_path))

    def run(*words: object) -> tuple[int, str, str]:
        code = cli.run([str(word) for word in words])
        told = capfd.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def screen(tmp_path: Path) -> Path:
    """One's own screen: two batches of 96 wells, ten genes of which one is blinded, and its features."""
    rng = np.random.default_rng(0)
    genes = [f"GENE{i}" for i in range(9)] + ["X-1"]
    effect = dict(zip(genes, rng.normal(size=(10, 8)), strict=True)) | {"NTC": np.zeros(8)}
    rows = [
        (f"P{b}", f"{'ABCDEFGH'[i // 12]}{i % 12 + 1:02d}", f"b{b}", "NTC" if i < 16 else genes[i % 10])
        for b in (1, 2)
        for i in range(96)
    ]
    wells = pd.DataFrame(rows, columns=["plate", "well", "batch", "symbol"])
    wells.to_csv(tmp_path / "wells.csv", index=False)
    x = np.stack([effect[s] for s in wells.symbol]) + rng.normal(size=(len(wells), 8))
    features = pd.DataFrame(x, columns=[f"feature_{i}" for i in range(8)])
    features.insert(0, "well_id", wells.plate + "_" + wells.well)
    features.to_parquet(tmp_path / "features.parquet")
    path = tmp_path / "mine.toml"
    path.write_text(CARD)
    return path


def test_the_list_shows_files_sizes_and_licences(run: Run) -> None:
    code, out, _ = run("dataset", "list")
    assert code == 0
    for name in screen_names():
        card = load_screen(name)
        assert f"{name}  {card.title}\n" in out
        assert all(f"  {file.name}  " in out for file in card.files)
    assert "  plate.csv.gz  9,690 bytes" in out and "about 1.8 GB" in out
    assert "CC0 1.0" in out and "End User License Agreement" in " ".join(out.split())
    code, out, _ = run("dataset", "list", "--json")
    assert [each["name"] for each in json.loads(out)["datasets"]] == screen_names()


def test_a_check_says_what_was_understood(run: Run, screen: Path) -> None:
    code, out, _ = run("dataset", "check", screen, "--embeddings", "features.parquet")
    assert code == 0
    told = {what: rest.strip() for what, _, rest in (line.partition("  ") for line in out.split("\n"))}
    assert told["wells"] == "192" and told["batches"] == "2, 2 plates"
    assert told["a batch"] == "16 to 16 negative controls, median 16"
    assert told["negative controls"] == "NTC (32 wells)"
    assert told["CRISPR"] == "10 genes, 1 of them blinded"
    assert told["features"] == "8 in features.parquet: 192 rows, 192 of wells"
    assert "Looks wrong:\n- no well is the positive control 'PLK1' (symbol)\n" in out


def test_json_holds_the_same(run: Run, screen: Path) -> None:
    code, out, _ = run("dataset", "check", screen, "--json")
    found: dict[str, Any] = json.loads(out)
    assert code == 0 and found["could_read"] and found["wells"] == 192 and found["features"] is None
    assert found["controls_a_batch"] == [16, 16, 16] and found["perturbations"] == {"CRISPR": 10}
    assert found["controls"] == {"negative": {"NTC": 32}, "positive": {"PLK1": 0}}


def test_what_looks_wrong(run: Run, screen: Path, tmp_path: Path) -> None:
    wells = pd.read_csv("wells.csv")
    wells.loc[(wells.batch == "b2") & (wells.symbol == "NTC"), "symbol"] = "GENE0"
    wells[wells.symbol != "X-1"].to_csv("wells.csv", index=False)
    features = pd.read_parquet("features.parquet")
    features.assign(well_id="other_" + features.well_id).to_csv("features.csv", index=False)
    code, out, _ = run("dataset", "check", screen, "--embeddings", "features.csv")
    assert code == 0
    said = out.partition("Looks wrong:\n")[2]
    assert "1 of 2 batches have fewer than 2 negative controls: 'b2'; no aligner fits there" in said
    assert "no gene has a name like X-*" in said
    assert "192 of 192 rows are of no well ('other_P1_A01' beside 'P1_A01'); do ids mean the same?" in said


def test_ten_problems_are_shown(run: Run, screen: Path) -> None:
    names = ", ".join(f'"absent {i}"' for i in range(14))
    screen.write_text(CARD.replace('["PLK1"]', f"[{names}]"))
    code, out, _ = run("dataset", "check", screen)
    assert code == 0 and out.count("- no well is the positive control") == 10
    assert out.endswith("- and 4 more (--json shows all)\n")


def test_wells_that_cannot_be_read(run: Run, screen: Path) -> None:
    Path("wells.csv").write_text("plate,well\nP1,A01\n")
    code, out, err = run("dataset", "check", screen)
    assert code == 1 and "no column 'batch', 'symbol', which the card mine names" in out
    assert "mine: its wells cannot be read" in err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('id = ["plate", "well"]', 'id = "well"', "wells.csv: 96 wells stand more than once: 'A01', 'A02', "),
        (
            'batch = "batch"',
            'batch = "run"',
            "no column 'run', which the card mine names; there are 'plate', 'well', 'batch', 'symbol'",
        ),
        (
            'plate = "plate"',
            'plate = "plate"\nwhere = { batch = "B1" }',
            "no well of My screen is left (192 wells: batch is not B1; batch holds 'b1', 'b2')",
        ),
        (
            'name = "symbol"',
            'name = "symbol"\ncolumn = "batch"\nvalues = ["b1"]',
            "line 98 (well 'P2_A01'): batch is 'b2', which no side of the card mine takes ('b1'); 96 wells "
            'are like that. Give a side these values, or leave such wells out: where = { batch = ["b1"] }',
        ),
        ('["NTC"]', '["ntc"]', "line 2 (well 'P1_A01'): symbol is 'NTC'; a control is called ntc"),
    ],
)
def test_a_card_that_does_not_fit_its_tables(run: Run, screen: Path, old: str, new: str, said: str) -> None:
    assert CARD.count(old) == 1
    screen.write_text(CARD.replace(old, new))
    code, out, err = run("dataset", "check", screen)
    assert code == 1 and said in out and "mine: its wells cannot be read" in err


def test_a_control_that_the_card_does_not_name_is_none_in_silence(run: Run, screen: Path) -> None:
    """What RxRx3 calls a control is one to every aligner, so a card that means others may not have it."""
    wells = pd.read_csv("wells.csv")
    wells.loc[wells.symbol == "GENE3", "symbol"] = "EMPTY_control"
    wells.to_csv("wells.csv", index=False)
    n = int((wells.symbol == "EMPTY_control").sum())
    code, out, _ = run("dataset", "check", screen)
    assert (
        code == 1 and f"the card mine says that those are 'NTC'; {n} wells are like that. Name it in" in out
    )
    screen.write_text(CARD.replace('["NTC"]', '["NTC", "EMPTY_control"]'))
    code, out, _ = run("dataset", "check", screen, "--json")
    assert code == 0 and json.loads(out)["controls"]["negative"] == {"NTC": 32, "EMPTY_control": n}


def test_the_demo_by_its_card(run: Run, demo: Path) -> None:
    code, out, _ = run("dataset", "check", "rxrx3-core", "--data", demo / "data")
    assert code == 0 and "EMPTY_control (" in out and "uM" in out and "Nothing looks wrong." in out


def test_a_map_of_ones_own_screen(run: Run, screen: Path) -> None:
    relations = Path("relations.txt")
    relations.write_text("entity1,entity2\nGENE0,GENE1\nGENE2,GENE3\nX-1,GENE4\n")
    code, out, err = run(
        "evaluate",
        "gene-gene",
        "--embeddings",
        "features.parquet",
        "--dataset",
        screen,
        "--relations",
        relations,
        "--out",
        "results",
        "--json",
    )
    assert code == 0, err
    assert json.loads(out)["gene-gene"]["protocol"]["inputs"]["dataset"] == "mine"
    assert "1 genes are blinded (named like X-*) and were left out of the map" in err
    assert "EMPTY_control stands for the negative controls, 'NTC'" in err
    pairs = "".join(path.read_text() for path in Path("results").glob("*.csv"))
    assert "GENE0" in pairs and "X-1" not in pairs


def test_core_by_its_card_predicts_the_same(run: Run, demo: Path, tmp_path: Path) -> None:
    """The default reads the file as ever; another name for the same columns gives the same map."""
    common = ["--data", demo / "data", "--task", demo / "task"]
    assert run("baseline", "openphenom", *common, "--out", "a.csv", "--save-map", "a.parquet")[0] == 0
    metadata = demo / "data" / "metadata_rxrx3_core.csv"
    more = ["--dataset", "rxrx3", "--metadata", metadata, "--out", "b.csv", "--save-map", "b.parquet"]
    assert run("baseline", "openphenom", *common, *more)[0] == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    a, b = load_map(Path("a.parquet")), load_map(Path("b.parquet"))
    assert np.array_equal(a.x, b.x) and (b.protocol["dataset"], "dataset" in a.protocol) == ("rxrx3", False)


def test_a_dataset_beside_a_map_means_nothing(run: Run) -> None:
    code, _, err = run("evaluate", "gene-gene", "--map", "m.parquet", "--dataset", "rxrx3")
    assert code == 2 and "--dataset means nothing for a saved map" in err


def test_profiles_are_found_by_their_pattern(tmp_path: Path, run: Run) -> None:
    """RxRx3's own tree: a file a plate, 128 columns."""
    plan = tuple(g for g in PLAN if not g.is_compound) + (Group("gene-001", "RXRX3-1234", 4),)
    metadata = make_metadata(plan)
    metadata.to_csv(tmp_path / "metadata_rxrx3.csv", index=False)
    features = make_embeddings(metadata, 128).set_index("well_id")
    plates = metadata.groupby(["experiment_name", "plate"]).well_id
    for (experiment, plate), ids in plates:
        folder = tmp_path / experiment / f"Plate{plate}"
        folder.mkdir(parents=True)
        features.loc[ids].reset_index().to_parquet(folder / "embeddings.parquet")
    screen = load_screen("rxrx3")
    paths = profile_paths(screen, read_screen(screen, tmp_path))
    assert sorted(paths) == sorted(f"{e}/Plate{p}/embeddings.parquet" for (e, p), _ in plates)
    code, out, _ = run("dataset", "check", "rxrx3")
    assert code == 0 and "128 in" in out and "1 of them blinded" in out
    assert "no well is of the side COMPOUND (perturbation_type is COMPOUND)" in out


def jump_tables(shared_data: Path, tmp_path: Path) -> pd.DataFrame:
    """JUMP's real plates, CRISPR reagents and controls; a table of wells is drawn. Gives 20 plates."""
    for name in ("plate.csv.gz", "crispr.csv.gz", "perturbation_control.csv"):
        shutil.copy(shared_data / "jump" / name, tmp_path / name)
    plates = pd.read_csv(tmp_path / "plate.csv.gz", dtype=str).query("Metadata_PlateType == 'CRISPR'")[:20]
    reagents = pd.read_csv(tmp_path / "crispr.csv.gz", dtype=str).Metadata_JCP2022[:40]
    wells = plates[["Metadata_Source", "Metadata_Plate"]].merge(reagents.to_frame(), how="cross")
    place = wells.groupby("Metadata_Plate").cumcount()
    wells["Metadata_Well"] = [f"{'ABCDEFGHIJKLMNOP'[i // 24]}{i % 24 + 1:02d}" for i in place]
    wells.to_csv(tmp_path / "well.csv.gz", index=False)
    return plates


def test_jump_by_its_card(run: Run, shared_data: Path, tmp_path: Path) -> None:
    plates = jump_tables(shared_data, tmp_path)
    code, out, _ = run("dataset", "check", "jump-crispr", "--json")
    found = json.loads(out)
    assert code == 0 and found["wells"] == 800 and found["plates"] == 20
    assert found["batches"] == plates.Metadata_Batch.nunique()
    assert found["perturbations"] == {"CRISPR": 38} and found["controls"]["negative"] == {"negcon": 40}
    screen = load_screen("jump-crispr")
    first = profile_paths(screen, read_screen(screen, tmp_path))[0]
    p = plates.iloc[0]
    assert first == (
        f"{p.Metadata_Source}/workspace/profiles/{p.Metadata_Batch}/{p.Metadata_Plate}/{p.Metadata_Plate}.parquet"
    )


def test_profiles_of_jump_are_fetched_to_where_a_check_finds_them(
    run: Run, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket is a folder here; features have CellProfiler's names, and ids stand in two columns."""
    jump_tables(shared_data, tmp_path)
    screen = load_screen("jump-crispr")
    found = read_screen(screen, tmp_path)
    cells = found.cells.take(found.row).to_pandas()
    bucket, rng = tmp_path / "bucket", np.random.default_rng(0)
    for path in profile_paths(screen, found):
        plate = cells[cells.Metadata_Plate == Path(path).stem]
        table = plate[["Metadata_Source", "Metadata_Plate", "Metadata_Well"]]
        drawn = rng.normal(size=(len(table), 5))
        table = table.assign(**{f"Cells_AreaShape_Zernike_{i}_0": drawn[:, i] for i in range(5)})
        (bucket / path).parent.mkdir(parents=True)
        table.to_parquet(bucket / path, index=False)
    monkeypatch.setattr(profiles, "public_bucket", lambda _: (fs.LocalFileSystem(), str(bucket)))
    code, out, err = run("fetch", "--dataset", "jump-crispr", "--profiles")
    assert code == 0, err
    assert len(out.split()) == 4 + 20 and "20 of 20 profiles are to be copied" in err
    code, out, _ = run("dataset", "check", "jump-crispr", "--json")
    features = json.loads(out)["features"]
    assert (features["rows"], features["rows_of_wells"], features["features"]) == (40, 40, 5)
    code, out, _ = run("dataset", "check", "jump-crispr", "--embeddings", "source_13", "--json")
    assert code == 0 and json.loads(out)["features"]["rows_of_wells"] == 800
    Path("relations.txt").write_text("entity1,entity2\nA2M,A4GALT\n")
    words = ["--embeddings", "source_13", "--dataset", "jump-crispr", "--relations", "relations.txt"]
    code, out, err = run("evaluate", "gene-gene", *words, "--json")
    assert code == 0, err
    assert json.loads(out)["gene-gene"]["protocol"]["inputs"]["dataset"] == "jump-crispr"


def test_profiles_belong_to_a_dataset(run: Run) -> None:
    code, _, err = run("fetch", "--profiles")
    assert code == 2 and "--profiles belongs to a --dataset" in err
