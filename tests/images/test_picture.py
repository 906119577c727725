"""Pictures: every gray level and color is the one its definition gives, and what cannot be shown is said."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from polaris_rxrx.dataset.sandbox_images import CHANNELS, Picture, pictures, write_shards
from polaris_rxrx.errors import UsageError
from polaris_rxrx.images.indexed import Indexed
from polaris_rxrx.images.opened import open_images
from polaris_rxrx.images.picture import ABSENT, MOST_WELLS, color_of, view, view_plate

Pixels = npt.NDArray[np.uint8]
# Of the canvas: the margin, and the title above the first tile; the captions above rows.
MARGIN, TITLE, CAPTION = 20, 40, 26
WELLS = ("gene-007_1_Z20", "gene-007_1_Z22", "gene-007_1_AB21")


def noise(seed: int, size: int, most: int = 255) -> Pixels:
    """In blocks of four pixels by four, which a PNG packs in less time."""
    coarse = np.random.default_rng(seed).integers(1, most, (6, size // 4, size // 4))
    return coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)


def opened(folder: Path, wells: dict[str, Pixels], more: tuple[Picture, ...] = ()) -> Indexed:
    write_shards(folder, [*(p for well, pixels in wells.items() for p in pictures(well, pixels)), *more])
    return open_images(folder)


@pytest.fixture(scope="module")
def truth() -> dict[str, Pixels]:
    return {well: noise(i, 256, 120 + 60 * i) for i, well in enumerate(WELLS)}


@pytest.fixture(scope="module")
def images(truth: dict[str, Pixels], tmp_path_factory: pytest.TempPathFactory) -> Indexed:
    return opened(tmp_path_factory.mktemp("shards"), truth)


def shown(png: bytes) -> npt.NDArray[np.int64]:
    image = Image.open(BytesIO(png))
    assert image.format == "PNG" and image.mode == "RGB"
    return np.asarray(image).astype(np.int64)


def scaled(pixels: list[Pixels], channel: int, which: int) -> npt.NDArray[np.float64]:
    """From the definition: 0 at the lower, 1 at the upper percentile of all that is shown."""
    low, high = np.percentile([p[channel] for p in pixels], [0.5, 99.8])
    return np.clip((pixels[which][channel] - low) / (high - low), 0, 1)


# --- wells -------------------------------------------------------------------------------------------------


def test_wells_shown_together_have_the_same_contrast(images: Indexed, truth: dict[str, Pixels]) -> None:
    found = shown(view(images, WELLS[:2])._repr_png_())
    both = [truth[well] for well in WELLS[:2]]
    for which in (0, 1):
        top = MARGIN + TITLE + CAPTION + which * (256 + CAPTION + 8)
        colors = np.zeros((256, 256, 3))
        for channel, name in enumerate(CHANNELS):
            plane = scaled(both, channel, which)
            left = MARGIN + (1 + channel) * (256 + 8)
            tile = found[top : top + 256, left : left + 256]
            assert abs(tile - np.round(255 * plane)[:, :, None]).max() <= 1
            colors += plane[:, :, None] * color_of(CHANNELS, name)
        composite = found[top : top + 220, MARGIN : MARGIN + 256]  # above the scale bar
        assert abs(composite - np.round(255 * np.clip(0.8 * colors, 0, 1))[:220]).max() <= 1


def test_one_well_is_shown_large(tmp_path: Path) -> None:
    pixels = noise(3, 300)
    picture = view(opened(tmp_path, {"a_1_B03": pixels}), "a_1_B03")
    found = shown(picture.png)
    assert found.shape[1] == 2 * MARGIN + 610 + 3 * 310
    left, top = MARGIN + 610 + 10 + 310, MARGIN + TITLE + 300 + CAPTION + 10  # the second row's second
    tile = found[top : top + 300, left : left + 300]
    assert abs(tile - np.round(255 * scaled([pixels], 4, 0))[:, :, None]).max() <= 1
    assert picture.notes == ()


def test_the_same_wells_give_the_same_bytes(images: Indexed, tmp_path: Path) -> None:
    picture = view(images, WELLS[0])
    assert picture.png == view(images, [WELLS[0], WELLS[0]]).png
    picture.save(tmp_path / "well.png")
    assert (tmp_path / "well.png").read_bytes() == picture.png


def test_the_scale_bar_is_as_long_as_it_says(tmp_path: Path) -> None:
    """Of 256 pixels of 0.65 um, a fifth is 33 um: 20 um is the round length below, and 30.8 pixels."""
    flat = np.full((6, 256, 256), 9, np.uint8)
    folder = tmp_path / "shards"
    wells = {"a_1_B03": flat, "a_1_B04": flat}
    found = shown(view(opened(folder, wells), list(wells)).png)
    row = found[MARGIN + TITLE + CAPTION + 256 - 14, MARGIN : MARGIN + 256]
    assert (row.min(axis=1) > 200).sum() in (30, 31, 32)
    bare = view(_without_size(folder, tmp_path), "a_1_B03")
    assert bare.notes == ("no scale bar: the size of a pixel is not known",)


def _without_size(folder: Path, tmp_path: Path) -> Indexed:
    images = open_images(folder)
    images.pixel_size = None
    return images


def test_outlines_are_the_borders_of_labels(images: Indexed) -> None:
    labels = np.zeros((256, 256), np.int32)
    labels[100:120, 50:60], labels[100:120, 60:75] = 1, 2
    left, top = MARGIN + 256 + 8, MARGIN + TITLE + CAPTION
    plain, drawn = (
        shown(view(images, WELLS[:2], outlines=how).png)[top : top + 256, left : left + 256]
        for how in (None, lambda _: {"nuclei": labels})
    )
    changed = (plain != drawn).any(axis=2)
    expected = np.zeros((256, 256), bool)
    expected[[100, 119], 50:75] = expected[100:120, [50, 59, 60, 74]] = True
    np.testing.assert_array_equal(changed, expected)
    assert view(images, WELLS[0], outlines=lambda _: {"nuclei": labels}).notes == (f"{WELLS[0]}: 2 nuclei",)


def test_a_bad_image_leaves_the_good_ones(tmp_path: Path) -> None:
    pixels = noise(5, 256)
    stored = pictures("a_1_B03", pixels)
    stored[2] = Picture(stored[2].key, stored[2].data[:200])
    write_shards(tmp_path, [*stored, *pictures("a_1_B04", pixels)])
    images = open_images(tmp_path)
    picture = view(images, ["a_1_B03", "a_1_B04"])
    assert len(picture.notes) == 1
    assert picture.notes[0].startswith("a_1_B03, site 1, Phalloidin: truncated")
    found, top = shown(picture.png), MARGIN + TITLE + CAPTION
    bad, good = (found[top : top + 256, MARGIN + i * 264 : MARGIN + i * 264 + 256] for i in (3, 4))
    assert (bad[:, :, 0] >= bad[:, :, 1]).all() and bad[200:, 140:, 0].max() > 50  # red
    assert abs(good - np.round(255 * scaled([pixels], 3, 0))[:, :, None]).max() <= 1
    one = view_plate(images, "Plate1", channel="Syto14").notes[0]
    assert one == "Wells shown: 2"
    crossed = view_plate(images, "Plate1", channel="Phalloidin").notes
    assert crossed[0] == "Wells shown: 1; wells with bad images, crossed out: 1"
    assert crossed[-1] == "bad images: 'a_1_B03'"


def test_a_well_without_any_good_image_is_said(tmp_path: Path) -> None:
    bad = tuple(Picture(p.key, b"") for p in pictures("a_1_B03", noise(1, 64)))
    images = opened(tmp_path, {"a_1_B04": noise(2, 64)}, bad)
    picture = view(images, "a_1_B03")
    assert len(picture.notes) == 6 and all("empty" in note for note in picture.notes)


def test_of_several_sites_the_first_is_shown_or_the_one_asked_for(tmp_path: Path) -> None:
    first, second = noise(1, 256), noise(2, 256)
    images = opened(tmp_path, {"a_1_B03": first}, tuple(pictures("a_1_B03", second, site=2)))
    picture = view(images, "a_1_B03")
    assert picture.notes == ("a_1_B03: 2 sites, '1', '2'; 1 is shown",)
    alone = opened(tmp_path / "alone", {"a_1_B03": second})
    top, bottom = MARGIN + TITLE, MARGIN + TITLE + 600
    np.testing.assert_array_equal(
        shown(view(images, "a_1_B03", site="2").png)[top:bottom],
        shown(view(alone, "a_1_B03").png)[top:bottom],
    )
    with pytest.raises(UsageError, match="a_1_B03: no site '3'; its sites: '1', '2'"):
        view(images, "a_1_B03", site="3")


def test_unknown_wells_and_too_many_are_refused(images: Indexed) -> None:
    with pytest.raises(
        UsageError, match="no well 'gene-007_1_Z02' has images; is it 'gene-007_1_Z22' or 'gene-007_1_Z20'"
    ):
        view(images, "gene-007_1_Z02")
    with pytest.raises(
        UsageError, match="no well 'x' has images; there are 'gene-007_1_Z20', 'gene-007_1_Z22'"
    ):
        view(images, "x")
    with pytest.raises(UsageError, match=f"17 wells; a picture holds 1 to {MOST_WELLS}"):
        view(images, [f"w{i}" for i in range(17)])


# --- plates ------------------------------------------------------------------------------------------------


def test_a_plate_has_its_wells_at_their_addresses(tmp_path: Path) -> None:
    """Flat wells, so that a tile is one gray: of 10 to 210, 10 is black, 90 two fifths, 210 white."""
    levels = {"a_1_Y20": 10, "a_1_Y22": 90, "a_1_AA21": 210, "b_1_C01": 77}
    images = opened(tmp_path, {well: np.full((6, 64, 64), level, np.uint8) for well, level in levels.items()})
    steps: list[tuple[str, int, int]] = []
    picture = view_plate(images, "a/Plate1", channel="ConA", step=lambda *told: steps.append(told))
    found = shown(picture.png)
    assert steps == [("wells", 1, 3), ("wells", 2, 3), ("wells", 3, 3)]

    def middle(row: int, column: int) -> list[int]:
        """A tile is 160 pixels, three from the next, behind the labels."""
        left, top = MARGIN + 44 + 163 * column, MARGIN + TITLE + 26 + 163 * row
        tile = found[top : top + 160, left : left + 160].reshape(-1, 3)
        assert (tile == tile[0]).all()
        color: list[int] = tile[0].tolist()
        return color

    assert [middle(0, 0), middle(0, 2), middle(2, 1)] == [[0] * 3, [255 * 80 // 200] * 3, [255] * 3]
    absent = [round(255 * level) for level in ABSENT]
    assert [middle(0, 1), middle(1, 1), middle(2, 2)] == [absent] * 3
    assert picture.notes[0] == "Wells shown: 3; places without images: 6"
    assert "ConA 10 to 210" in picture.notes[1]


def test_a_whole_plate_stays_within_bounds(tmp_path: Path) -> None:
    """The corners of 1,536 wells; tiles shrink, so that a sheet is no wider than a few thousand pixels."""
    images = opened(tmp_path, {well: noise(1, 16) for well in ("a_1_A01", "a_1_AF48")})
    found = shown(view_plate(images, "Plate1").png)
    assert 3000 < found.shape[1] < 3500 and 2000 < found.shape[0] < 2500


def test_what_no_contact_sheet_can_show_is_refused(images: Indexed, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no plate 'gene-007/Plate2'; is it 'gene-007/Plate1'"):
        view_plate(images, "gene-007/Plate2")
    with pytest.raises(UsageError, match="no channel 'ConB'; is it 'ConA'"):
        view_plate(images, "Plate1", channel="ConB")
    Image.fromarray(noise(1, 16)[0]).save(tmp_path / "x.png")
    (tmp_path / "images.csv").write_text("well_id,site,channel,path\nmine,1,DNA,x.png\n")
    own = open_images(tmp_path / "images.csv")
    with pytest.raises(
        UsageError, match="well mine: its address is ''; a contact sheet needs one such as B03"
    ):
        view_plate(own, own.plate("mine"))
