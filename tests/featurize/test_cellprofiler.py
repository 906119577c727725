"""CellProfiler's features of wells: by hand, planted, of a real field, and with nothing to measure."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.cli import run
from polaris_rxrx.dataset.sandbox_images import CHANNELS, Field, Phenotype, draw, pictures, write_shards
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.featurize.cellprofiler import CellProfiler, is_place
from polaris_rxrx.featurize.check import check
from polaris_rxrx.featurize.segment import COMPARTMENTS, Segmentation
from polaris_rxrx.images.opened import open_images
from polaris_rxrx.images.sites import Fault
from tests.conftest import ROOT
from tests.featurize.fields import Fields, Pixels
from tests.featurize.plates import tree

# No smoothing and stated thresholds: what comes out can be worked out by hand.
PLAIN = Segmentation("DNA", "RNA", (2, 20), "px", 0.0, 0.5, "none", cell_threshold=0.25)


def square(*tops: tuple[int, int, int]) -> Pixels:
    """Nuclei of 3 x 3, of these (row, column, brightness), in cells of 5 x 5 with an RNA of 80."""
    pixels = np.zeros((2, 16, 30), np.uint8)
    for row, column, level in tops:
        pixels[0, row : row + 3, column : column + 3] = level
        pixels[1, row - 1 : row + 4, column - 1 : column + 4] = 80
        pixels[1, row + 1, column + 1] = 100
    return pixels


def measured(featurizer: CellProfiler, images: Any, wells: Any = None) -> tuple[Any, Any]:
    featurizer.check(images)
    found = featurizer.features(images, images.wells if wells is None else wells)
    return found, found.table.to_pandas().set_index("well_id") if found.table.num_rows else None


def test_two_wells_by_hand() -> None:
    """Medians over the cells of all sites, areas in pixels and square micrometers, counts."""
    images = Fields(
        {
            "e-1_2_A01": [square((2, 2, 200), (2, 10, 250), (8, 4, 150)), square()],
            "e-1_2_A02": [square((3, 3, 130), (3, 20, 140))],
        },
        ("DNA", "RNA"),
    )
    found, table = measured(CellProfiler(PLAIN), images)
    assert not found.faults
    assert not found.more
    first, second = table.loc["e-1_2_A01"], table.loc["e-1_2_A02"]
    told = [first[f"Metadata_{n}"] for n in ("Experiment", "Plate", "Address", "Site_Count", "Object_Count")]
    assert told == ["e-1", "2", "A01", 2, 3]
    assert (second["Metadata_Site_Count"], second["Metadata_Object_Count"]) == (1, 2)
    assert first["Nuclei_AreaShape_Area"] == 9
    assert first["Nuclei_AreaShape_AreaMicrometers2"] == 9 * 0.25  # 0.5 um a pixel
    assert first["Cells_AreaShape_Area"] == 25
    assert first["Cells_AreaShape_AreaMicrometers2"] == 25 * 0.25
    assert first["Cytoplasm_AreaShape_Area"] == 24  # without the one pixel inside the nucleus' outline
    assert first["Nuclei_Intensity_MeanIntensity_DNA"] == pytest.approx(200 / 255)  # of 150, 200, 250
    assert second["Nuclei_Intensity_MeanIntensity_DNA"] == pytest.approx(135 / 255)  # between 130 and 140
    assert first["Nuclei_Intensity_IntegratedIntensity_DNA"] == pytest.approx(9 * 200 / 255, rel=1e-6)
    assert first["Cells_Intensity_IntegratedIntensity_DNA"] == pytest.approx(9 * 200 / 255, rel=1e-6)
    assert first["Cells_Intensity_MaxIntensity_RNA"] == pytest.approx(100 / 255)
    assert first["Cytoplasm_Intensity_MaxIntensity_RNA"] == pytest.approx(80 / 255)
    assert first["Cells_Intensity_MeanIntensity_RNA"] == pytest.approx((24 * 80 + 100) / 25 / 255, rel=1e-6)
    features = [n for n in table.columns if not n.startswith("Metadata_")]
    assert len(features) > 1000
    assert not any(map(is_place, features))
    assert {n.split("_")[0] for n in features} == set(COMPARTMENTS)
    assert {str(table[n].dtype) for n in features} == {"float32"}


def test_a_table_of_cells() -> None:
    """A row a cell, numbered in each site, which stands where it was drawn; wells have its medians."""
    images = Fields(
        {
            "e-1_2_A01": [square((2, 2, 200), (2, 10, 250)), square((8, 4, 150))],
            "e-1_2_A02": [square()],
            "e-1_2_A03": [square((3, 3, 130))],
        },
        ("DNA", "RNA"),
    )
    found, table = measured(CellProfiler(PLAIN, objects=True), images)
    cells = found.more["objects"].to_pandas()
    assert cells["well_id"].tolist() == ["e-1_2_A01"] * 3 + ["e-1_2_A03"]
    assert cells["Metadata_Address"].tolist() == ["A01", "A01", "A01", "A03"]
    assert cells["Metadata_Site"].tolist() == ["s1", "s1", "s2", "s1"]
    assert cells["Metadata_ObjectNumber"].tolist() == [1, 2, 1, 1]
    assert cells["Nuclei_AreaShape_Center_X"].tolist() == [3, 11, 5, 4]
    assert cells["Nuclei_AreaShape_Center_Y"].tolist() == [3, 3, 9, 4]
    level = cells["Nuclei_Intensity_MeanIntensity_DNA"] * 255
    assert level.tolist() == pytest.approx([200, 250, 150, 130], rel=1e-6)
    features = [n for n in table.columns if not n.startswith("Metadata_")]
    assert set(features) < set(cells.columns)
    ours = table.loc["e-1_2_A01", features].to_numpy(float)
    medians = cells[cells["well_id"] == "e-1_2_A01"][features].median().to_numpy(float)
    np.testing.assert_allclose(ours, medians, rtol=1e-6, atol=1e-12)
    plain, _ = measured(CellProfiler(PLAIN), images)
    pd.testing.assert_frame_equal(plain.table.to_pandas(), found.table.to_pandas(), check_exact=True)


def test_wells_with_nothing_to_measure() -> None:
    """No cells: a row without values that counts 0, and a word; no good site: no row."""
    fault = Fault("e-1_2_A02", "s1", "DNA", "a.png", "undecodable")
    images = Fields(
        {"e-1_2_A01": [square(), square()], "e-1_2_A02": [], "e-1_2_A03": [square((3, 3, 130))]},
        ("DNA", "RNA"),
        faults={"e-1_2_A02": [fault]},
    )
    found, table = measured(CellProfiler(PLAIN, objects=True), images)
    assert table.index.tolist() == ["e-1_2_A01", "e-1_2_A03"]
    assert table["Metadata_Object_Count"].tolist() == [0, 1]
    assert table["Metadata_Site_Count"].tolist() == [2, 1]
    none = Fault("e-1_2_A01", "", "", "", "no cell: none was found in 2 sites")
    assert found.faults == (none, fault)
    features = [n for n in table.columns if not n.startswith("Metadata_")]
    assert table.loc["e-1_2_A01", features].isna().all()
    # The columns are the same where there is nothing else, and where the empty well comes last.
    for wells in (("e-1_2_A01",), ("e-1_2_A03", "e-1_2_A01")):
        other, _ = measured(CellProfiler(PLAIN, objects=True), images, wells)
        assert other.table.schema.equals(found.table.schema)
        assert other.more["objects"].schema.equals(found.more["objects"].schema)
    nothing, _ = measured(CellProfiler(PLAIN), images, ("e-1_2_A02",))
    assert nothing.table.num_rows == 0


def test_images_brighter_than_white() -> None:
    images = Fields(
        {"e-1_2_A01": [square((3, 3, 130)) * np.uint16(9), square((3, 3, 100))]},
        ("DNA", "RNA"),
        white=150.0,
    )
    found, table = measured(CellProfiler(PLAIN), images)
    said = "brighter than white: up to 1170, where 150 stands for full intensity"
    assert found.faults == (Fault("e-1_2_A01", "s1", "", "", said),)
    assert table["Metadata_Site_Count"].tolist() == [1]
    assert table["Nuclei_Intensity_MeanIntensity_DNA"].tolist() == [pytest.approx(100 / 150)]


def test_uneven_illumination_is_divided_out() -> None:
    """A cell is as bright at the right as at the left; whoever does which wells finds the same."""
    lamp = np.linspace(1, 1.8, 64)
    sites: dict[str, list[Pixels]] = {}
    for i in range(40):
        rng = np.random.default_rng(i)
        nuclei, cells = np.full((64, 64), 30.0), np.full((64, 64), 30.0)
        for row in (8, 28, 48):
            top, left = row + int(rng.integers(-4, 4)), int(rng.integers(3, 56))
            nuclei[top : top + 6, left : left + 6] = 130
            cells[top - 2 : top + 8, left - 2 : left + 8] = 100
        sites[f"e-1_2_A{i:02d}"] = [np.round(np.stack([nuclei, cells]) * lamp).astype(np.uint8)]
    images = Fields(sites, ("DNA", "RNA"))
    how = Segmentation("DNA", "RNA", (2, 20), "px", 0.0, 0.3, "none", cell_threshold=0.25)
    wells, slopes = images.wells[:4], {}
    for method in ("", "mean"):
        featurizer = CellProfiler(how, objects=True, illumination=method)
        found, _ = measured(featurizer, images, wells)
        cells_of = found.more["objects"].to_pandas()
        assert len(cells_of) == 12
        light, column = cells_of["Nuclei_Intensity_MeanIntensity_DNA"], cells_of["Nuclei_AreaShape_Center_X"]
        slopes[method] = np.polyfit(column, light / light.mean(), 1)[0] * 64
    assert slopes[""] > 0.5
    assert abs(slopes["mean"]) < 0.12
    for own in (wells[:2], wells[2:]):
        part = images.part([*own, *featurizer.beside(images, own)])
        rows = featurizer.features(part, own).table.to_pandas()
        whole = found.table.to_pandas()
        whole = whole[whole["well_id"].isin(own)].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, whole, check_exact=True)


def test_what_it_needs_to_know() -> None:
    images = Fields({"e-1_2_A01": [square()]}, ("DNA", "RNA"), pixel_size=None)
    with pytest.raises(
        UsageError, match="channel 'Hoechst' of the nuclei: the images' channels are DNA, RNA"
    ):
        CellProfiler().check(images)
    with pytest.raises(UsageError, match=r"size of a pixel is not known: state it \(--pixel-size\)"):
        CellProfiler(Segmentation("DNA")).check(images)
    with pytest.raises(UsageError, match="illumination 'mode': expected one of mean, median"):
        CellProfiler(illumination="mode")
    CellProfiler(PLAIN).check(images)
    unsized = Fields({"e-1_2_A01": [square((3, 3, 130))]}, ("DNA", "RNA"), pixel_size=None)
    _, table = measured(CellProfiler(PLAIN), unsized)
    assert not [n for n in table.columns if "Micrometers" in n]
    mixed = Fields({"e-1_2_A01": [square((3, 3, 130)), np.zeros((2, 20, 20), np.uint8)]}, ("DNA", "RNA"))
    with pytest.raises(DataError, match=r"well e-1_2_A01, site s2: .* one size was expected"):
        CellProfiler(PLAIN, illumination="mean").features(mixed, mixed.wells)


def test_a_protocol_has_all_that_makes_other_features() -> None:
    plain = CellProfiler().protocol()
    assert set(plain["versions"]) == {"centrosome", "cp_measure", "numpy", "scikit-image", "scipy"}
    others = [
        CellProfiler(Segmentation(split="intensity")),
        CellProfiler(costes=True),
        CellProfiler(objects=True),
        CellProfiler(illumination="mean"),
    ]
    told = [json.dumps(c.protocol(), sort_keys=True) for c in (CellProfiler(), *others)]
    assert len(set(told)) == len(told)


# --- planted truth -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fields() -> dict[str, Field]:
    other = Phenotype(count=12, radius=8.5, brightness=(0.8, 1.6, 1.0, 1.0, 0.6, 1.0))
    return {
        "gene-001_1_AA01": draw(Phenotype(count=16), 1, size=(160, 180)),
        "gene-001_1_AA02": draw(other, 2, size=(160, 180)),
    }


def test_planted_wells_are_recovered(fields: dict[str, Field]) -> None:
    """Number exact; median areas of nuclei within 6%, of cells within 15%; median intensities within 8%."""
    images = Fields({w: [f.pixels] for w, f in fields.items()}, CHANNELS, pixel_size=0.65)
    _, table = measured(CellProfiler(), images)
    for well, field in fields.items():
        row = table.loc[well]
        assert row["Metadata_Object_Count"] == len(field.centers)
        nuclei, cells = (np.median(field.areas(x)) for x in (field.nuclei, field.cells))
        assert row["Nuclei_AreaShape_Area"] == pytest.approx(nuclei, rel=0.06)
        assert row["Nuclei_AreaShape_AreaMicrometers2"] == pytest.approx(nuclei * 0.65**2, rel=0.06)
        assert row["Cells_AreaShape_Area"] == pytest.approx(cells, rel=0.15)
        for channel, light in zip(CHANNELS, np.median(field.means(field.nuclei), axis=0), strict=True):
            assert row[f"Nuclei_Intensity_MeanIntensity_{channel}"] * 255 == pytest.approx(light, rel=0.08)
        for channel, light in zip(CHANNELS, np.median(field.means(field.cells), axis=0), strict=True):
            assert row[f"Cells_Intensity_MeanIntensity_{channel}"] * 255 == pytest.approx(light, rel=0.08)
    brighter = table["Cytoplasm_Intensity_MeanIntensity_ConA"]
    assert brighter["gene-001_1_AA02"] > 1.3 * brighter["gene-001_1_AA01"]


# --- the command -------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, fields: dict[str, Field], capsys: pytest.CaptureFixture[str]) -> None:
    """Shards in; a folder out that is a table of wells, and a table of cells below it."""
    well = "gene-001_1_AA02"
    empty = draw(Phenotype(count=0), 5, size=(160, 180)).pixels
    shards = [*pictures(well, fields[well].pixels), *pictures("gene-001_1_AA03", empty)]
    write_shards(tmp_path / "shards", shards)
    out = tmp_path / "out"
    words = ["featurize", "cellprofiler", "--images", str(tmp_path / "shards"), "--out", str(out)]
    assert run([*words, "--objects", "--cells", "Syto14", "--diameter", "5,30", "--border"]) == 0
    said = capsys.readouterr()
    assert "2 wells" in said.out
    assert "no cell (1)" in said.err
    part = pq.read_table(next(out.glob("*.parquet"))).to_pandas()
    assert part["well_id"].tolist() == [well, "gene-001_1_AA03"]
    assert part["Metadata_Object_Count"].tolist() == [12, 0]
    cells = pq.read_table(next((out / "objects").glob("*.parquet"))).to_pandas()
    assert len(cells) == 12
    protocol = json.loads((out / "manifest.json").read_text("utf-8"))["run"]["protocol"]
    segmentation = protocol["segmentation"]
    assert (segmentation["cells"], segmentation["border"]) == ("Syto14", True)
    assert (segmentation["diameter"], segmentation["unit"]) == ([5.0, 30.0], "um")


@pytest.mark.slow
def test_the_same_bytes_however_it_is_run(tmp_path: Path) -> None:
    """Of other shards, by two workers, killed and gone on with: all but what is said of the shards."""
    wells = [f"gene-001_{plate}_AA01" for plate in range(1, 5)]  # a part each, two more than workers
    drawn = [draw(Phenotype(count=2 + i), i, size=(80, 80)).pixels for i in range(len(wells))]
    found = [p for well, pixels in zip(wells, drawn, strict=True) for p in pictures(well, pixels)]
    write_shards(tmp_path / "one", found, shard=10, row_group=4)  # channels of a well in several
    write_shards(tmp_path / "other", found[::-1], shard=1000)
    # Of two channels, for thousands of columns take long to write.
    words = ["featurize", "cellprofiler", "--objects", "--channels", "Hoechst,Syto14", "--images"]
    assert run([*words, str(tmp_path / "one"), "--out", str(tmp_path / "whole")]) == 0
    out = tmp_path / "out"
    again = [*words, str(tmp_path / "other"), "--out", str(out)]
    killed = [sys.executable, "-m", "polaris_rxrx", *again, "--workers", "2"]
    started = subprocess.Popen(killed, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path)
    while not list(out.glob("*.parquet")) and started.poll() is None:
        time.sleep(0.01)
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert 1 <= len(list(out.glob("*.parquet"))) < len(wells)
    assert run([*again, "--resume"]) == 0
    whole, gone_on = tree(tmp_path / "whole"), tree(out)
    assert len(whole) == 4 + 4 + 2  # parts, their cells, faults.csv and the manifest
    assert {n for n in whole | gone_on if whole.get(n) != gone_on.get(n)} == {"manifest.json"}
    told = [json.loads((f / "manifest.json").read_text("utf-8")) for f in (tmp_path / "whole", out)]
    assert told[0].pop("images") != told[1].pop("images")
    assert told[0] == told[1]


def test_trying_it_takes_an_empty_field_for_what_it_is() -> None:
    """A field without cells is told of, and no reason to stop; no cells anywhere is."""
    how = Segmentation("DNA", "", (2, 20), "px", 0.0, 0.5, "none", cell_threshold=0.5)
    sites = {"e-1_2_A01": [square((3, 3, 130), (3, 20, 200))[:1]], "e-1_2_A04": [square()[:1]]}
    images = Fields(sites, ("DNA",))
    found = check(images, CellProfiler(how))
    assert not [p for p in found.problems if "no value in any feature" in p]
    assert "no cell" in str(found.to_dict())
    nothing = check(images.part(["e-1_2_A04"]), CellProfiler(how))
    assert "1 of 1 wells have no value in any feature" in nothing.problems


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cellprofiler", "--diameter", "8"], "'8': two numbers were expected, as in 6,40 or 8,80px"),
        (["cellprofiler", "--diameter", "9,8px"], "diameters of nuclei from 9.0 to 8.0"),
        (["cellprofiler", "--threshold", "triangle"], "threshold 'triangle': expected one of otsu"),
        (["cellprofiler", "--cell-threshold", "20"], "cell_threshold 20.0: expected one of otsu"),
        (
            ["cellprofiler", "--nuclei", "DAPI"],
            "channel 'DAPI' of the nuclei: the images' channels are Hoechst",
        ),
        (["model:embed", "--objects"], "--objects belongs to cellprofiler"),
        (["model:embed", "--diameter", "8,80px"], "--diameter belongs to cellprofiler"),
        (["cellprofiler", "--batch-size", "4"], "--batch-size belongs to"),
    ],
)
def test_misuse_of_the_command(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shards(
        tmp_path / "shards", pictures("gene-001_1_AA03", np.zeros((6, 8, 8), np.uint8) + np.uint8(3))
    )
    images = ["--images", str(tmp_path / "shards"), "--out", str(tmp_path / "out")]
    assert run(["featurize", *words, *images]) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "out").exists()


# --- a real field ------------------------------------------------------------------------------------------

NAME = "AS_09125_050116030001_D03f00"
# The example pipeline's own; its threshold of cells is not in the table (see test_segment.py).
PIPELINE = Segmentation(
    "DNA", "cellbody", (8, 80), "px", 1.0, "cross-entropy", "intensity", cell_threshold=25 / 255
)


# Families of features that both have, and how far ours may be off, as a share of the feature's standard
# deviation over the cells: CellProfiler's intensities are single precision.
FAMILIES = {
    r"AreaShape_(?!Zernike)": (68, 1e-6),
    r"AreaShape_Zernike_": (90, 1e-6),
    r"Intensity_": (90, 1e-5),
    r"Location_(CenterMass|Max)": (36, 1e-6),
}
# What is defined otherwise, and how.
OTHERWISE = {
    "AreaShape_Orientation": "radians in the table, degrees here",
    "AreaShape_Solidity": "the hull has more of the pixels that its edge runs through",
    "AreaShape_EulerNumber": "a hole that meets the background at a corner is none in the table",
    "Location_MaxIntensity": "of several pixels that are equally bright, another one",
}


@pytest.fixture(scope="module")
def agreement(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """The field through the whole of it, from a table of plain files: cells of ours, and theirs.

    By compartment, those of the same area and center as in CellProfiler's table: 282 and more of 289.
    """
    folder = shared_data / "images"
    listed = tmp_path_factory.mktemp("field") / "images.csv"
    rows = [f"h_1_D03,1,{c},{folder / NAME}d{i}.tif" for i, c in enumerate(("DNA", "PH3", "cellbody"))]
    listed.write_text("well_id,site,channel,path\n" + "\n".join(rows) + "\n", "utf-8")
    found, table = measured(CellProfiler(PIPELINE, objects=True), open_images(listed))
    ours = found.more["objects"].to_pandas()
    theirs = pq.read_table(folder / f"{NAME}_cellprofiler.parquet").to_pandas()
    assert table["Metadata_Object_Count"].tolist() == [289]
    assert len(ours) == len(theirs) == 289
    alike: tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]] = ({}, {})
    for compartment in COMPARTMENTS:
        names = [f"{compartment}_AreaShape_{n}" for n in ("Area", "Center_X", "Center_Y")]
        same = np.all(np.abs(ours[names] - theirs[names]) < 1e-3, axis=1)  # cells come in the same order
        assert same.sum() >= 280
        for of, cells in zip(alike, (ours, theirs), strict=True):
            of[compartment] = cells[same].reset_index(drop=True)
    return alike


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_real_field_family_by_family(family: str, agreement: Any) -> None:
    """Whatever both have of a cell is the same, but for one cell's enclosing circle in Zernike's moments."""
    (ours, theirs), (many, tolerance), n = agreement, FAMILIES[family], 0
    for compartment, table in theirs.items():
        for name in filter(re.compile(f"{compartment}_{family}").match, table.columns):
            n += 1
            if any(other in name for other in OTHERWISE):
                continue
            a, b = (x[compartment][name].to_numpy(np.float64) for x in (ours, theirs))
            scale = b.std() or 1.0
            off = np.abs(a - b) / scale
            assert (off > tolerance).sum() <= ("Zernike" in name), (name, off.max())
    assert n == many


@pytest.mark.slow
def test_a_real_field_where_definitions_differ(shared_data: Path, agreement: Any) -> None:
    """What differs does so as `OTHERWISE` says."""
    import tifffile

    for compartment in COMPARTMENTS:
        a, b = (x[compartment].filter(like=f"{compartment}_") for x in agreement)
        a, b = (x.rename(columns=lambda n: n.partition("_")[2]) for x in (a, b))
        turned = a["AreaShape_Orientation"] - np.degrees(b["AreaShape_Orientation"])
        around = np.abs((turned + 90) % 180 - 90)  # an axis has no direction
        assert (around > 1e-4).sum() <= 1  # one nucleus is round
        hulls = [b["AreaShape_Area"] / x["AreaShape_Solidity"] for x in (a, b)]
        more = hulls[0] - hulls[1]
        assert more.min() > -0.01
        assert more.max() < 15.01  # of 100 to 1,700 pixels
        assert 2 <= round(more.median()) <= 3
        assert (a["AreaShape_EulerNumber"] != b["AreaShape_EulerNumber"]).sum() <= 2
        for channel, file in (("DNA", "d0"), ("PH3", "d1")):
            image = tifffile.imread(shared_data / "images" / f"{NAME}{file}.tif")
            at = [b[f"Location_MaxIntensity_{axis}_{channel}"].to_numpy(np.int64) for axis in "YX"]
            most = a[f"Intensity_MaxIntensity_{channel}"].to_numpy(np.float64) * 255
            assert np.abs(image[at[0], at[1]] - most).max() < 1e-3
            ours = [a[f"Location_MaxIntensity_{axis}_{channel}"].to_numpy(np.int64) for axis in "YX"]
            assert np.abs(image[ours[0], ours[1]] - most).max() < 1e-3
