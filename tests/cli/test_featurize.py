"""`featurize` from shards to a folder that other commands take as it is."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.cli import run
from polaris_rxrx.cli._featurizers import BELONGS, NAMES
from polaris_rxrx.dataset.sandbox_images import Picture, pictures, write_shards
from polaris_rxrx.wells.containers import open_embeddings
from tests.featurize.plates import tree

WELLS = [f"gene-001_{plate}_{row}{column:02d}" for plate in (1, 2) for row in "BC" for column in range(1, 9)]
MODEL = """
import numpy as np

def embed(x):
    flat = x.reshape(len(x), 6, -1).astype(np.float32)
    return np.concatenate([flat.mean(axis=2), flat.std(axis=2)], axis=1)
"""
_numbers = itertools.count()


def pixels(well: str) -> np.ndarray:
    return np.random.default_rng([*well.encode()]).integers(1, 255, (6, 16, 16)).astype(np.uint8)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shardings of the same wells, one of them cut so that a well's channels straddle."""
    root = tmp_path_factory.mktemp("shards")
    found: list[Picture] = [p for well in WELLS for p in pictures(well, pixels(well))]
    write_shards(root / "one", found, shard=50, row_group=7)
    write_shards(root / "other", found[::-1], shard=1000, row_group=100)
    return root


@pytest.fixture
def model(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module in the working directory, beside shards and their metadata."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("one", "other"):
        Path(name).symlink_to(shards / name)
    found = f"my_model_{next(_numbers)}"
    Path(f"{found}.py").write_text(MODEL)
    rows = [well.split("_") for well in WELLS]
    controls = [row[2][1:] in ("01", "02", "03") for row in rows]
    genes = ["EMPTY_control" if c else f"G{r[2]}" for r, c in zip(rows, controls, strict=True)]
    pd.DataFrame(
        {
            "well_id": WELLS,
            "experiment_name": [r[0] for r in rows],
            "plate": [r[1] for r in rows],
            "address": [r[2] for r in rows],
            "gene": genes,
            "treatment": [g if g == "EMPTY_control" else f"{g}_guide_1" for g in genes],
            "SMILES": None,
            "concentration": None,
            "perturbation_type": "CRISPR",
            "cell_type": "HUVEC",
        }
    ).to_csv("metadata_rxrx3_core.csv", index=False)
    yield found
    sys.modules.pop(found, None)


def test_from_shards_to_a_map(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["featurize", f"{model}:embed", "--images", "one", "--batch-size", "5"]
    assert run([*words, "--out", "features"]) == 0
    out, told = capsys.readouterr()
    assert out == "features: 32 wells, 12 features, in 2 parts\n"
    assert f"{model}:embed is that of {Path.cwd() / model}.py" in told
    found = pd.concat(map(pd.read_parquet, sorted(Path("features").glob("*.parquet")))).set_index("well_id")
    for well in WELLS:
        np.testing.assert_allclose(found.loc[well, "feature_3"], pixels(well)[3].mean(), rtol=1e-6)
    again = ["featurize", f"{model}:embed", "--images", "other", "--batch-size", "5", "--workers", "2"]
    assert run([*again, "--out", "same"]) == 0
    a, b = tree(Path("features")), tree(Path("same"))
    # All is the same but what the manifest says of the shards.
    assert {n: h for n, h in a.items() if n != "manifest.json"} == {
        n: h for n, h in b.items() if n != "manifest.json"
    }
    capsys.readouterr()
    made = ["summarize", "features", "--data", ".", "--out", "x.summary.parquet"]
    assert run(made) == 0
    out, told = capsys.readouterr()
    assert "x.summary.parquet: 32 wells" in out and "12 features" in out
    assert "2 files read as one table" in told


def test_what_is_wrong_is_told(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = [p for well in WELLS for p in pictures(well, pixels(well))]
    broken = [replace(p, data=p.data[:40]) if i == 8 else p for i, p in enumerate(found) if i != 100]
    write_shards(Path("bad"), broken)
    assert run(["featurize", f"{model}:embed", "--images", "bad", "--out", "features"]) == 0
    out, told = capsys.readouterr()
    assert out == "features: 30 wells, 12 features, in 2 parts\n"
    faults = pd.read_csv("features/faults.csv", dtype=str)
    assert list(faults.well_id) == [WELLS[1], WELLS[16]]
    assert (
        "features: wells with faulty images, which faults.csv lists, 2: " in told
        and "no such image (1)" in told
    )
    assert f"features: wells without a row, 2: {WELLS[1]!r}, {WELLS[16]!r}" in told


def test_features_of_synthetic_images_are_marked(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As the demo's tables are: whatever is computed of them says so."""
    found = [p for well in WELLS for p in pictures(well, pixels(well))]
    write_shards(Path("drawn"), found, note="drawn")
    for images, synthetic in (("drawn", True), ("one", False)):
        words = ["featurize", f"{model}:embed", "--images", images, "--out", f"of_{images}"]
        assert run(words) == 0
        assert ("synthetic images" in capsys.readouterr().err) == synthetic
        assert open_embeddings(f"of_{images}").synthetic == synthetic


def test_wells_and_channels_are_chosen(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("wells.txt").write_text("\n".join(WELLS[5:8]) + "\n")
    Path(f"{model}.py").write_text("def embed(x):\n    return x.mean((2, 3))\n")
    words = ["featurize", f"{model}:embed", "--images", "one", "--wells", "wells.txt"]
    assert run([*words, "--channels", "WGA, Hoechst", "--out", "features"]) == 0
    assert "3 wells, 2 features" in capsys.readouterr().out
    found = pd.read_parquet(next(Path("features").glob("*.parquet"))).set_index("well_id")
    expected = pixels(WELLS[6])[[5, 0]].mean(axis=(1, 2))
    np.testing.assert_allclose(found.loc[WELLS[6], ["feature_0", "feature_1"]].astype(float), expected)
    manifest = json.loads(Path("features/manifest.json").read_text())
    assert manifest["run"]["channels"] == ["WGA", "Hoechst"]
    # More wells later: what is there stays, if its wells are the same.
    Path("wells.txt").write_text("\n".join(WELLS[5:8] + WELLS[20:22]) + "\n")
    words += ["--channels", "WGA,Hoechst", "--out", "features", "--resume"]
    assert run(words) == 0
    out, told = capsys.readouterr()
    assert "5 wells" in out and "kept 1 of 2 parts" in told


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["cellprofile"], 2, "'cellprofile' is no featurizer: "),
        (["MODEL:embed", "--out", "x", "--json"], 2, "--json belongs to --check"),
        (["MODEL:embed"], 2, "Missing option '--out'; or --check"),
        (["MODEL:embed", "--out", "x", "--mended"], 2, "--mended belongs to --resume"),
        (["MODEL:other", "--out", "x"], 2, "has no 'other'"),
        (["nowhere_at_all:embed", "--out", "x"], 2, "there is no module 'nowhere_at_all'"),
        (["MODEL:embed", "--out", "x", "--channels", "WGA,WGA"], 2, "different names with commas"),
        (["MODEL:embed", "--out", "x", "--batch-size", "0"], 2, "--batch-size"),
        (["MODEL:embed", "--out", "one"], 2, "would be written over one"),
        (["MODEL:embed", "--out", "."], 2, "is not empty and holds no manifest.json"),
        (["MODEL:embed", "--out", "x", "--images", "nowhere"], 1, "nowhere"),
    ],
)
def test_misuse(
    model: str, words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [w.replace("MODEL", model) for w in words]
    images = [] if "--images" in words else ["--images", "one"]
    assert run(["featurize", *words, *images]) == code
    assert message in capsys.readouterr().err
    assert not Path("x").exists()


def test_every_option_belongs_to_somebody() -> None:
    assert {owner for owners in BELONGS.values() for owner in owners} <= set(NAMES)


def test_an_error_of_the_model_leaves_what_is_finished(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(f"{model}.py").write_text(
        MODEL.replace("    flat", f"    assert x[0, 0, 0, 0] != {pixels(WELLS[16])[0, 0, 0]}\n    flat")
    )
    words = ["featurize", f"{model}:embed", "--images", "one", "--out", "features"]
    assert run([*words, "--batch-size", "16"]) == 1
    err = capsys.readouterr().err
    assert f"Error: {model}:embed raised 'AssertionError' ({model}.py, line 5) on a batch of 16" in err
    assert "Traceback" not in err
    assert [p.name for p in Path("features").glob("*.parquet")] == ["gene-001_Plate1-000.parquet"]
    assert run(["summarize", "features", "--data", ".", "--out", "x.parquet"]) == 1
    assert "are not finished" in capsys.readouterr().err
    Path(f"{model}.py").write_text(MODEL)
    assert run([*words, "--batch-size", "16", "--resume", "--mended"]) == 0
    assert "kept 1 of 2 parts, which were finished" in capsys.readouterr().err


def test_a_model_is_tried_first(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["featurize", "--check", f"{model}:embed", "--images", "one", "--workers", "2"]
    before = sorted(p.name for p in Path().iterdir())
    assert run(words) == 0
    out = capsys.readouterr().out
    for told in (
        f"wells                12 of 32, from {WELLS[0]} to {WELLS[-1]}",
        "gives                12 rows of 12 features (float)",
        "twice                the same bits",
        "without Phalloidin   features change by up to",
        " seconds, with 2 at work",
        "Nothing looks wrong. Nothing was written.",
    ):
        assert told in out, out
    assert sorted(p.name for p in Path().iterdir() if p.name != "__pycache__") == before
    Path(f"{model}.py").write_text(MODEL + "print('loaded')\n")
    assert run([*words, "--json", "--out", "features"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["features"] == 12 and found["difference_repeated"] == 0 and not Path("features").exists()
    blind = MODEL.replace("reshape(len(x), 6, -1)", "reshape(len(x), 6, -1)[:, :5]")
    Path(f"{model}.py").write_text(blind)
    assert run(words) == 1
    out, err = capsys.readouterr()
    assert "- channel WGA changes nothing" in out and "without WGA          nothing changes" in out
    assert f"Error: {model}:embed: 1 thing looks wrong; nothing was written" in err
    Path(f"{model}.py").write_text(MODEL.replace("return", "return x.mean((2, 3)) * np.nan, "))
    assert run(words) == 1
    assert "- " + model in capsys.readouterr().out
