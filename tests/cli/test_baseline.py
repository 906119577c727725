"""`polaris-rxrx baseline`: files in, predictions and maps out, and nothing half-written."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx import cli
from polaris_rxrx.baselines import predict
from polaris_rxrx.cards import Recipe
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.maps.correct import by_arm
from polaris_rxrx.maps.store import load_map
from polaris_rxrx.predictions import read_predictions
from polaris_rxrx.task import MetricSpec, Task, load_task
from polaris_rxrx.wells.memory import read_wells
from tests.warm import Warm
from tests.wells_factory import make_embeddings, make_metadata, small

pytestmark = pytest.mark.filterwarnings("ignore:anndata will no longer support zarr v2")

COMPOUNDS = ["aspirin", "TWIN", "Eugenol (no structure)", "Dactolisib (BEZ235", 'odd, "name" ä ']
GENES = ["TP53", "BRCA1", "NA", "ONCE", "TWIN"]
CARD = 'name = "mine"\ntitle = "My model"\n[source]\nfile = "embeddings.parquet"\nwidth = 6\n'

Run = Callable[..., tuple[int, str, str]]


def save_task(folder: Path, compounds: list[str] = COMPOUNDS, genes: list[str] = GENES) -> Task:
    folder.mkdir()
    task = Task(
        inputs={
            "treatment": [c for c in compounds for _ in genes],
            "gene_symbol": [g for _ in compounds for g in genes],
        },
        active=np.arange(len(compounds) * len(genes)) % 3 % 2.0,
        main_metric="pr_auc",
        metrics=(MetricSpec(name="pr_auc", label="pr_auc", group_by="treatment", on_error="ignore"),),
        source="test",
    )
    task.save(folder)
    return task


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in a folder that holds a task, a card, the metadata and an embedding table."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POLARIS_RXRX_TASK", raising=False)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(tmp_path))
    save_task(tmp_path / "task")
    small(tmp_path)
    (tmp_path / "metadata.csv").rename(tmp_path / "metadata_rxrx3_core.csv")
    (tmp_path / "mine.toml").write_text(CARD)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["baseline", *arguments])
        return code, *capfd.readouterr()

    return call


def made(folder: Path) -> set[str]:
    """What stands in the folder beyond what the fixture put there."""
    given = {"task", "mine.toml", "metadata_rxrx3_core.csv", "embeddings.parquet"}
    return {p.name for p in folder.iterdir()} - given


def expected(folder: Path, **recipe: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    wells = read_wells(folder / "metadata_rxrx3_core.csv", folder / "embeddings.parquet")
    whole = Recipe.model_validate(recipe)
    return predict(
        load_task(folder / "task"), build_map(wells, whole.align, aggregate=whole.aggregate), whole
    ).values


def test_random_by_its_defaults(run: Run, tmp_path: Path) -> None:
    code, out, err = run("random")
    assert (code, out) == (0, "random.csv: 25 predictions of Random scores\n")
    assert err == "Next: polaris-rxrx score random.csv\n"
    values = read_predictions(tmp_path / "random.csv", load_task(tmp_path / "task")).values
    assert np.array_equal(values, np.random.default_rng(0).random(25))
    assert made(tmp_path) == {"random.csv"}
    assert run("random", "--seed", "7", "--out", "seven.csv.gz")[0] == 0
    values = read_predictions(tmp_path / "seven.csv.gz", load_task(tmp_path / "task")).values
    assert np.array_equal(values, np.random.default_rng(7).random(25))


@pytest.mark.parametrize(
    ("options", "recipe"),
    [
        ([], {}),
        (["--align", "tvn"], {"align": "tvn"}),
        (["--align", "none", "--dose", "mean"], {"align": "none", "dose": "mean"}),
        (["--aggregate", "median"], {"aggregate": "median"}),
    ],
)
def test_a_card_of_one_s_own(run: Run, tmp_path: Path, options: list[str], recipe: dict[str, object]) -> None:
    code, out, err = run("mine.toml", *options)
    assert (code, out) == (0, "mine.csv: 25 predictions of My model\n"), err
    table = pd.read_csv(tmp_path / "mine.csv", keep_default_na=False, converters={"active": float})
    assert table.columns.tolist() == ["id", "treatment", "gene_symbol", "active"]
    assert table.treatment.tolist() == [c for c in COMPOUNDS for _ in GENES]
    assert table.gene_symbol.tolist() == GENES * len(COMPOUNDS)
    assert np.array_equal(table.active, expected(tmp_path, **recipe))
    assert cli.run(["score", "mine.csv"]) == 0


def test_other_places(run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("metadata_rxrx3_core.csv", "embeddings.parquet", "task"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    code, out, err = run(
        "mine.toml", "--task", "elsewhere/task", "--metadata", "elsewhere/metadata_rxrx3_core.csv",
        "--embeddings", "elsewhere/embeddings.parquet", "--out", "new/folder/p.csv",
    )  # fmt: skip
    assert code == 0 and out.startswith("new/folder/p.csv: 25 predictions")
    assert err.splitlines() == [
        "6 features: feature_0 .. feature_5",
        "Next: polaris-rxrx score new/folder/p.csv --task elsewhere/task",
    ]


def test_arrays_with_sites(run: Run, tmp_path: Path) -> None:
    assert run("mine.toml")[0] == 0
    frame = pd.read_parquet("embeddings.parquet")
    x = frame.iloc[:, 1:].to_numpy(dtype=np.float64)
    np.save("e.npy", np.stack([x - 1, x, x + 3], axis=1))
    Path("ids.txt").write_text("\n".join(frame.well_id))
    code, _, err = run(
        "mine.toml", "--embeddings", "e.npy", "--ids", "ids.txt", "--sites", "median", "--out", "median.csv"
    )
    assert code == 0
    assert "e.npy: 582 rows of 194 wells, 3 a well; the median was taken of the 194 wells" in err
    first, second = (pd.read_csv(f"{name}.csv", keep_default_na=False) for name in ("mine", "median"))
    np.testing.assert_allclose(second.active, first.active, atol=1e-6)


@pytest.mark.parametrize("name", ["map.parquet", "map.h5ad"])
def test_the_map_is_kept(run: Run, tmp_path: Path, name: str) -> None:
    code, _, err = run("mine.toml", "--save-map", name, "--align", "center-scale")
    assert code == 0 and f"Wrote {name}: 13 perturbations x 6" in err
    map_ = load_map(tmp_path / name)
    wells = read_wells(tmp_path / "metadata_rxrx3_core.csv", tmp_path / "embeddings.parquet")
    assert np.array_equal(map_.x, build_map(wells, "center-scale").x)
    assert set(COMPOUNDS + GENES) <= set(map_.perturbations.name)
    assert map_.protocol["align"] == "center-scale" and map_.protocol["card"] == "mine"
    assert map_.protocol["sources"]["embeddings"] == str(tmp_path / "embeddings.parquet")
    assert map_.protocol["n_wells_missing"] == 0
    assert made(tmp_path) == {"mine.csv", name}


def test_absent_pairs_stop_it_or_are_filled(run: Run, tmp_path: Path) -> None:
    save_task(tmp_path / "more", [*COMPOUNDS, "nowhere"], [*GENES, "GONE"])
    code, out, err = run("mine.toml", "--task", "more")
    assert (code, out) == (1, "")
    assert "11 of 36 test pairs have no embedding (compounds 'nowhere'; genes 'GONE')" in err
    assert "--missing fill=0" in err and made(tmp_path) == {"more"}
    code, out, err = run("mine.toml", "--task", "more", "--missing", "fill=-0.5")
    assert code == 0 and "11 pairs without an embedding were scored -0.5" in err
    table = pd.read_csv(tmp_path / "mine.csv", keep_default_na=False, converters={"active": float})
    absent = (table.treatment == "nowhere") | (table.gene_symbol == "GONE")
    assert (table.active[absent] == -0.5).all() and (table.active[~absent] >= 0).all()


def test_names_in_another_case_are_told_and_not_filled(run: Run, tmp_path: Path) -> None:
    save_task(tmp_path / "more", COMPOUNDS, ["tp53", "BRCA1 "])
    code, _, err = run("mine.toml", "--task", "more")
    assert code == 1 and "the embedding has 'BRCA1', the task 'BRCA1 '" in err and "'TP53'" in err
    assert "--missing" not in err and made(tmp_path) == {"more"}
    code, _, err = run("mine.toml", "--task", "more", "--missing", "fill=0")  # asked for, so done, and said
    assert code == 0 and "the embedding has 'BRCA1', the task 'BRCA1 '" in err


def test_features_are_said_chosen_and_kept(run: Run, tmp_path: Path) -> None:
    table = pd.read_parquet(tmp_path / "embeddings.parquet")
    before = expected(tmp_path)
    table.assign(**{"Unnamed: 0": range(len(table)), "confluence": 1.5 * np.arange(len(table))}).to_parquet(
        tmp_path / "embeddings.parquet"
    )
    code, out, err = run("mine.toml", "--save-map", "map.parquet")
    assert code == 0 and out == "mine.csv: 25 predictions of My model\n"
    told = (
        "6 features: feature_0 .. feature_5. Left out: 'Unnamed: 0' (an index), 'confluence' (not named like"
    )
    assert err.count(told) == 1
    values = read_predictions(tmp_path / "mine.csv", load_task(tmp_path / "task")).values
    assert np.array_equal(values, before)
    kept = load_map(tmp_path / "map.parquet").protocol["reading"]["features"]
    assert (kept["n"], kept["taken"], kept["patterns"]) == (6, "feature_0 .. feature_5", [])
    assert kept["left_out"] == {"an index": ["Unnamed: 0"], "not named like the other 6": ["confluence"]}
    (tmp_path / "mine.toml").write_text(CARD.replace("width = 6\n", ""))
    code, _, err = run("mine.toml", "--features", "feature_[0-3]", "--features", "confluence")
    assert code == 0 and "5 features: feature_0 .. feature_3 (4), 'confluence'" in err
    chosen = read_predictions(tmp_path / "mine.csv", load_task(tmp_path / "task")).values
    assert np.abs(chosen - before).max() > 1e-3


def test_odd_rows_are_said_once(run: Run, tmp_path: Path) -> None:
    table = pd.read_parquet(tmp_path / "embeddings.parquet")
    features = [f"feature_{i}" for i in range(6)]
    table.loc[3, features] = table.loc[8, features]
    table.to_parquet(tmp_path / "embeddings.parquet")
    code, _, err = run("mine.toml", "--save-map", "map.parquet")
    assert code == 0 and err.count("2 wells share their vector with another") == 1
    values = load_map(tmp_path / "map.parquet").protocol["reading"]["values"]
    assert set(values["identical"][0]) == {table.well_id[3], table.well_id[8]}


def test_directions_without_variation_are_counted(run: Run, tmp_path: Path) -> None:
    table = pd.read_parquet(tmp_path / "embeddings.parquet")
    table.assign(feature_5=table.feature_1 * 2).to_parquet(tmp_path / "embeddings.parquet")
    code, _, err = run("mine.toml", "--save-map", "map.parquet")
    assert code == 0
    assert "pca-cs: the 138 control wells vary in 5 of 6 directions; the other 1 were left out" in err
    protocol = load_map(tmp_path / "map.parquet").protocol
    assert (protocol["n_components"], protocol["n_directions_dropped"]) == (5, 1)


def test_a_dose_that_few_were_tested_at(run: Run) -> None:
    code, _, err = run("mine.toml", "--dose", "0.25")
    assert code == 1 and "20 of 25 test pairs have no embedding (compounds 'Dactolisib (BEZ235'" in err


def test_missing_wells(run: Run, tmp_path: Path) -> None:
    table = pd.read_parquet(tmp_path / "embeddings.parquet")
    table.iloc[1:].to_parquet(tmp_path / "embeddings.parquet")
    code, _, err = run("mine.toml")
    assert code == 1 and "1 of the" in err and "--allow-missing-wells" in err
    code, _, err = run("mine.toml", "--allow-missing-wells", "--missing", "fill=0")
    assert code == 0 and "1 wells of the metadata have no embedding and were left out" in err


def test_a_profile_says_how_it_was_cleaned(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(CARD.replace("[source]", 'kind = "profile"\n[source]', 1))
    table = make_embeddings(make_metadata())
    table.loc[3, "feature_1"] = np.nan
    table.to_parquet(tmp_path / "embeddings.parquet")
    code, _, err = run("mine.toml", "--save-map", "map.parquet", "--missing", "fill=0")
    assert code == 0 and "Cleaned: 6 features in; 0 dropped as mostly missing" in err
    assert "1 values imputed" in err
    assert load_map(tmp_path / "map.parquet").protocol["cleaning"]["n_imputed"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["openphenum"], 2, "no baseline 'openphenum'; there are cellprofiler"),
        (["gone.toml"], 2, "gone.toml: no such card"),
        (["mine.toml", "--align", "sphering"], 2, "'sphering' is not one of"),
        *(
            (["mine.toml", "--dose", d], 2, f"--dose {d}: expected max, mean or")
            for d in ("median", "0", "nan")
        ),
        (["mine.toml", "--missing", "0"], 2, "expected fill= and a finite number"),
        (["mine.toml", "--save-map", "map.csv"], 2, "a map is saved as .parquet or .h5ad"),
        (["random", "--save-map", "map.parquet"], 2, "random looks at no wells"),
        (["random", "--features", "*"], 2, "random looks at no wells"),
        (["random", "--gene-arms", "task/test_features.csv"], 1, "no column 'gene', 'arm'"),
        (["mine.toml", "--arms-unexpressed", "a.txt"], 2, "--arms-unexpressed belongs to --gene-arms"),
        (["random", "--sites", "median"], 2, "random looks at no wells"),
        (["random", "--dataset", "rxrx3"], 2, "random looks at no wells"),
        (["mine.toml", "--sites", "max"], 2, "'max' is not one of 'mean', 'median'"),
        (["mine.toml", "--layer", "raw"], 2, "--layer raw: "),
        (["mine.toml", "--ids", "ids.txt"], 2, "--ids ids.txt: "),
        (
            ["mine.toml", "--features", "emb_*"],
            1,
            "embeddings.parquet: no column matches --features 'emb_*'",
        ),
        (["mine.toml", "--features", "feature_[01]"], 1, "has 2 features; 6 were expected"),
        (["random", "--seed", "-1"], 2, "Invalid value for '--seed'"),
        (["random", "--task", "gone"], 1, "no prepared task in gone"),
        (["random", "--out", "task"], 2, "task is a folder; a file name was expected"),
        (["mine.toml", "--embeddings", "gone.parquet"], 1, "gone.parquet: no such file"),
        (["mine.toml", "--embeddings", "task"], 1, "task/private/answers.csv: no column 'well_id'"),
        (["mine.toml", "--metadata", "mine.toml"], 1, "mine.toml: "),
        (["openphenom", "--embeddings", "embeddings.parquet"], 1, "has 6 features; 384 were expected"),
        (
            ["cellprofiler"],
            1,
            "CellProfiler features has no table (CellProfiler_rxrx3_core_embeddings.parquet)",
        ),
    ],
)
def test_what_goes_wrong_is_told(
    run: Run, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    found, out, err = run(*arguments)
    assert (found, out) == (code, ""), err
    assert message in err and "Traceback" not in err
    assert made(tmp_path) == set()


# The signal comes from within, so that it always comes at the same place.
HOOKED = """
import os, sys
from pathlib import Path
from polaris_rxrx import baselines, cli
number, place = int(sys.argv.pop(1)), sys.argv.pop(1)
def signalled(function):
    def hooked(*args, **kwargs):
        os.kill(os.getpid(), number)
        return function(*args, **kwargs)
    return hooked
if place == "building":
    baselines.map_of = signalled(baselines.map_of)
elif place == "reading":
    baselines.read = signalled(baselines.read)
else:
    Path.replace = signalled(Path.replace)
cli.main()
"""


@pytest.mark.parametrize(
    ("place", "number", "before"),
    [
        ("reading", signal.SIGTERM, None),
        ("building", signal.SIGINT, "an older file"),
        ("writing", signal.SIGINT, None),
        ("writing", signal.SIGTERM, "an older file"),
    ],
)
def test_an_interrupted_run_leaves_nothing_half_written(
    run: Run,
    lukewarm: Warm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    number: signal.Signals,
    before: str | None,
) -> None:
    if before is not None:
        (tmp_path / "mine.csv").write_text(before)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(tmp_path))
    process = lukewarm.start(HOOKED, [str(int(number)), place, "baseline", "mine.toml"], apart=True)
    out, err = process.communicate()
    assert process.returncode == 128 + number and out == "", err
    assert err.splitlines()[-1] == "Interrupted; no output was left half-written."
    assert "Traceback" not in err
    if before is None:
        assert made(tmp_path) == set()
    else:
        assert made(tmp_path) == {"mine.csv"}
        assert (tmp_path / "mine.csv").read_text() == before


def test_labels_are_not_looked_at(run: Run, tmp_path: Path) -> None:
    task = load_task(tmp_path / "task")
    assert task.active is not None
    (tmp_path / "turned").mkdir()
    replace(task, active=1 - task.active).save(tmp_path / "turned")
    assert run("mine.toml")[0] == run("mine.toml", "--task", "turned", "--out", "turned.csv")[0] == 0
    assert (tmp_path / "mine.csv").read_bytes() == (tmp_path / "turned.csv").read_bytes()


def test_chromosome_arms(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polaris_rxrx.maps.correct.by_arm.__kwdefaults__", {"least": 3})
    Path("arms.csv").write_text("gene,arm\n" + "".join(f"{gene},7q\n" for gene in GENES[:4]))
    code, _, err = run("mine.toml", "--gene-arms", "arms.csv", "--save-map", "map.parquet")
    assert code == 0 and "Chromosome arms corrected: 0 by their unexpressed genes, 1 by all of theirs" in err
    wells = read_wells(tmp_path / "metadata_rxrx3_core.csv", tmp_path / "embeddings.parquet")
    corrected = by_arm(build_map(wells), dict.fromkeys(GENES[:4], "7q"), least=3)
    found = load_map("map.parquet")
    np.testing.assert_array_equal(found.x, corrected.x)
    assert found.protocol["corrections"][0]["arms_by_all"] == ["7q"]
    task = load_task(tmp_path / "task")
    assert np.array_equal(read_predictions(Path("mine.csv"), task).values, predict(task, corrected).values)
