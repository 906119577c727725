"""Synthetic fields: what is planted is what stands in the pixels; shards as they are published."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from polaris_rxrx.dataset import sandbox_images as si
from polaris_rxrx.errors import UsageError

ORDINARY = si.Phenotype(count=30)


@pytest.fixture(scope="module")
def field() -> si.Field:
    return si.draw(ORDINARY, 7)


# --- fields ------------------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_bytes(field: si.Field) -> None:
    again, other = si.draw(ORDINARY, 7), si.draw(ORDINARY, 8)
    assert again.pixels.tobytes() == field.pixels.tobytes()
    assert again.nuclei.tobytes() == field.nuclei.tobytes()
    assert other.pixels.tobytes() != field.pixels.tobytes()
    assert field.pixels.shape == (6, 256, 256) and field.pixels.dtype == np.uint8


def test_nuclei_are_the_ellipses_that_were_planted(field: si.Field) -> None:
    assert sorted(np.unique(field.nuclei)) == list(range(31))
    np.testing.assert_allclose(field.areas(field.nuclei), field.ellipse_areas, rtol=0.05)
    for label, center in enumerate(field.centers, 1):
        centroid = np.argwhere(field.nuclei == label).mean(axis=0)
        assert np.linalg.norm(centroid - center) < 0.3
    # From the definition: a pixel is in an ellipse that it is within along both axes together.
    (row, column), (long, short), angle = field.centers[4], field.axes[4], field.angles[4]
    y, x = np.mgrid[:256, :256]
    along = (y - row) * np.cos(angle) + (x - column) * np.sin(angle)
    across = (x - column) * np.cos(angle) - (y - row) * np.sin(angle)
    np.testing.assert_array_equal(field.nuclei == 5, (along / long) ** 2 + (across / short) ** 2 <= 1)


def test_cells_hold_their_nuclei_and_reach_as_far_as_was_said(field: si.Field) -> None:
    inside = field.nuclei > 0
    assert (field.cells[inside] == field.nuclei[inside]).all()
    assert (field.areas(field.cells) > field.areas(field.nuclei)).all()
    crowded = si.draw(replace(ORDINARY, reach=3.5), 7)
    assert (crowded.cells > 0).mean() > (field.cells > 0).mean() + 0.05
    # Seen alone, a cell is its nucleus times reach squared, give or take its wobbling edge.
    alone = si.draw(si.Phenotype(count=1), 3)
    ratio = alone.areas(alone.cells)[0] / alone.areas(alone.nuclei)[0]
    assert ratio == pytest.approx(2.5**2, rel=0.15)


def test_means_are_those_of_the_light_before_the_camera(field: si.Field) -> None:
    means = field.means(field.cells)
    for label in (1, 17, 30):
        at = field.cells == label
        np.testing.assert_allclose(means[label - 1], [plane[at].mean() for plane in field.clean], rtol=1e-12)
        read = np.array([plane[at].mean() for plane in field.pixels])
        np.testing.assert_allclose(read, means[label - 1], atol=0.35)  # noise averages out
    nuclei = field.means(field.nuclei)[:, 0]
    assert (nuclei > 5 * field.clean[0][field.cells == 0].mean()).all()


def test_each_channel_follows_its_own_brightness(field: si.Field) -> None:
    for channel in range(6):
        levels = [1.0] * 6
        levels[channel] = 0.5
        dimmer = si.draw(replace(ORDINARY, brightness=tuple(levels)), 7)
        np.testing.assert_array_equal(dimmer.cells, field.cells)
        half, whole = (
            (f.clean[channel] - si.BACKGROUND[channel])[field.cells > 0].sum() for f in (dimmer, field)
        )
        assert half / whole == pytest.approx(0.5, rel=0.01)
        others = [c for c in range(6) if c != channel]
        np.testing.assert_array_equal(dimmer.pixels[others], field.pixels[others])


def test_textures_are_as_coarse_as_was_said() -> None:
    """The likeness of neighbors, pixel by pixel, within cells."""
    likeness = []
    for grain in (0.9, 1.8, 3.6):
        drawn = si.draw(si.Phenotype(count=30, grain=grain, contrast=0.5), 7)
        plane, inside = drawn.clean[1], (drawn.cells > 0) & (drawn.nuclei == 0)
        both = inside[:, 2:] & inside[:, :-2]
        likeness.append(np.corrcoef(plane[:, 2:][both], plane[:, :-2][both])[0, 1])
    assert likeness[0] < likeness[1] < likeness[2]


def test_an_empty_field_is_background() -> None:
    empty = si.draw(si.Phenotype(count=0), 1, size=(64, 96))
    assert empty.pixels.shape == (6, 64, 96) and not empty.cells.any() and not empty.nuclei.any()
    np.testing.assert_allclose(empty.pixels.mean(axis=(1, 2)), si.BACKGROUND, atol=0.5)
    assert empty.means(empty.nuclei).shape == (0, 6)


def test_what_cannot_be_drawn_is_said() -> None:
    with pytest.raises(UsageError, match=r"500 nuclei of about .* do not fit into 64x64 pixels"):
        si.draw(si.Phenotype(count=500), 0, size=(64, 64))
    with pytest.raises(UsageError, match="6 brightnesses"):
        si.draw(si.Phenotype(brightness=(1.0,)), 0)


# --- shards ------------------------------------------------------------------------------------------------


def test_a_key_is_the_published_one() -> None:
    assert si.key("compound-004_1_AA04", 1, 3) == "compound-004/Plate1/AA04_s1_3"
    assert si.key("gene-088_9_H29", 2, 6) == "gene-088/Plate9/H29_s2_6"


def test_shards_hold_the_pixels_in_the_order_given(field: si.Field, tmp_path: Path) -> None:
    images = si.pictures("compound-004_1_AA04", field.pixels) + si.pictures(
        "compound-004_1_AA05", field.pixels[::-1], site=2
    )
    paths = si.write_shards(tmp_path / "data", images, shard=5, row_group=2, note="synthetic")
    assert [p.name for p in paths] == [f"train-0000{i}-of-00003.parquet" for i in range(3)]
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == [p.name for p in paths]
    files = [pq.ParquetFile(path) for path in paths]
    assert files[0].schema_arrow.names == ["__key__", "jp2"]
    assert [f.metadata.num_row_groups for f in files] == [3, 3, 1]
    assert files[0].schema_arrow.metadata == {b"polaris_rxrx": b"synthetic"}
    rows = [row for f in files for row in f.read().to_pylist()]
    keys = [f"compound-004/Plate1/AA04_s1_{c}" for c in range(1, 7)]
    assert [row["__key__"] for row in rows] == keys + [
        f"compound-004/Plate1/AA05_s2_{c}" for c in range(1, 7)
    ]
    planes = [*field.pixels, *field.pixels[::-1]]
    for row, plane in zip(rows, planes, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(row["jp2"]))), plane)


def test_structs_are_what_datasets_writes(field: si.Field, tmp_path: Path) -> None:
    (path,) = si.write_shards(tmp_path, si.pictures("a_1_A01", field.pixels[:1]), structs=True)
    (row,) = pq.read_table(path).to_pylist()
    assert row == {"__key__": "a/Plate1/A01_s1_1", "jp2": {"bytes": si.encode(field.pixels[0]), "path": None}}


def test_without_imagecodecs_pillow_encodes(field: si.Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    plane = field.pixels[2]
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(si.encode(plane)))), plane)
    lossy = si.encode(plane, 44)
    assert len(lossy) < 0.5 * len(si.encode(plane))


def test_a_quality_is_the_noise_that_it_says(field: si.Field) -> None:
    plane = field.pixels[1]
    data = si.encode(plane, 44)
    error = np.asarray(Image.open(BytesIO(data))).astype(float) - plane
    decibels = 10 * np.log10(255**2 / (error**2).mean())
    assert decibels == pytest.approx(44, abs=1.5)
    assert len(data) < 0.5 * len(si.encode(plane))


def test_no_image_is_still_a_shard_and_sizes_are_checked(tmp_path: Path) -> None:
    (path,) = si.write_shards(tmp_path, [])
    assert path.name == "train-00000-of-00001.parquet" and pq.read_table(path).num_rows == 0
    with pytest.raises(UsageError, match="expected 1 or more"):
        si.write_shards(tmp_path, [], shard=0)
