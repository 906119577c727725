"""Indexed images: what is a fault, the order of reading, and keys."""

from __future__ import annotations

import csv
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.images.indexed import Indexed
from polaris_rxrx.images.opened import open_images

SIZE = (8, 6)
CHANNELS = ("DNA", "RNA")


def draw(*seed: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(1, 256, SIZE).astype(np.uint8)


TRUTH = {
    (f"p_A{w:02d}", str(site), channel): draw(w, site, c)
    for w in range(1, 5)
    for site in (1, 2, 10)
    for c, channel in enumerate(CHANNELS)
}
Name = tuple[str, str, str]


def path_of(name: Name) -> str:
    return f"{'-'.join(name)}.png"


def write(folder: Path, names: Iterable[Name] = TRUTH) -> Path:
    table = folder / "images.csv"
    with table.open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["well_id", "site", "channel", "path"])
        rows.writerows((*name, path_of(name)) for name in names)
    for name in names:
        (folder / path_of(name)).write_bytes(imagecodecs.png_encode(TRUTH[name]))
    return table


@pytest.fixture
def images(tmp_path: Path) -> Indexed:
    """Sites in the wrong order; as they would be sorted as texts, too."""
    return open_images(write(tmp_path, sorted(TRUTH)), channels=CHANNELS)


def test_wells_are_read_in_the_order_asked_for(images: Indexed) -> None:
    asked = ["p_A03", "p_A01", "p_A03"]
    found = list(images.read(asked))
    assert [read.well for read in found] == asked
    for read in found:
        assert not read.faults and not read.damaged
        assert [site.name for site in read.sites] == ["1", "2", "10"]
        for site in read.sites:
            truth = np.stack([TRUTH[read.well, site.name, channel] for channel in CHANNELS])
            assert site.pixels.dtype == np.uint8
            assert np.array_equal(site.pixels, truth)


def black() -> bytes:
    return imagecodecs.png_encode(np.zeros(SIZE, np.uint8))


# What stands in place of an image, and what is said of it.
FAULTS: list[tuple[Callable[[], bytes | None], str]] = [
    (lambda: None, "no such file"),
    (lambda: b"", "empty: no bytes"),
    (lambda: imagecodecs.png_encode(draw(9))[:70], "truncated: the end of the PNG is missing"),
    (lambda: imagecodecs.jpeg2k_encode(draw(9), level=0)[:-9], "truncated: the end of the image is missing"),
    (lambda: imagecodecs.png_encode(draw(9)[:6]), "another size: 6 x 6 px; 8 x 6 px expected"),
    (lambda: imagecodecs.png_encode(draw(9).astype(np.uint16)), "another depth: 16 bits; 8 expected"),
    (lambda: imagecodecs.png_encode(np.dstack([draw(9)] * 3)), "several channels: RGB; one channel an image"),
    (lambda: b"<html>Not Found</html>", "unknown format: begins with b'<html>No'; "),
    (black, "all black"),
]


@pytest.mark.parametrize(("spoil", "words"), FAULTS)
def test_a_bad_image_costs_its_site_alone(
    images: Indexed, tmp_path: Path, spoil: Callable[[], bytes | None], words: str
) -> None:
    name: Name = ("p_A02", "2", "RNA")
    raw = spoil()
    if raw is None:
        (tmp_path / path_of(name)).unlink()
    else:
        (tmp_path / path_of(name)).write_bytes(raw)
    before, read, after = images.read(["p_A01", "p_A02", "p_A03"])
    assert not before.faults and not after.faults
    (fault,) = read.faults
    assert (fault.well, fault.site, fault.channel, fault.file) == (*name, path_of(name))
    assert fault.problem.startswith(words)
    assert [site.name for site in read.sites] == ["1", "10"]
    (damaged,) = read.damaged
    assert np.array_equal(damaged.pixels[0], TRUTH["p_A02", "2", "DNA"])
    assert not damaged.pixels[1].any()


def test_a_missing_channel(tmp_path: Path) -> None:
    names = [name for name in TRUTH if name != ("p_A01", "10", "DNA")]
    read, _ = open_images(write(tmp_path, names), channels=CHANNELS).read(["p_A01", "p_A02"])
    (fault,) = read.faults
    assert fault.problem == "no such image"
    assert (fault.well, fault.site, fault.channel, fault.file) == ("p_A01", "10", "DNA", "")
    assert [site.name for site in read.sites] == ["1", "2"]


def test_a_set_is_what_most_of_it_is(tmp_path: Path) -> None:
    """The first image of all has another size; the set has not, nor has a part of that well alone."""
    table = write(tmp_path)
    first: Name = ("p_A01", "1", "DNA")
    (tmp_path / path_of(first)).write_bytes(imagecodecs.png_encode(draw(9)[:4]))
    images = open_images(table)
    assert (images.provenance["height"], images.provenance["width"]) == SIZE
    assert "8 of 9 images that were looked at have 8 x 6 px of 8 bits" in " ".join(images.notes)
    for opened in (images, images.part(["p_A01"]), pickle.loads(pickle.dumps(images.part(["p_A01"])))):
        (read,) = opened.read(["p_A01"])
        assert [fault.problem for fault in read.faults] == ["another size: 4 x 6 px; 8 x 6 px expected"]


def test_values_above_the_scale(tmp_path: Path) -> None:
    table = write(tmp_path)
    for name, pixels in TRUTH.items():
        deep = pixels.astype(np.uint16) * 16
        deep[0, 0] = 5_000 if name == ("p_A02", "1", "RNA") else 4_095
        tifffile.imwrite(tmp_path / path_of(name), deep)
    images = open_images(table, white=4095)
    good, read = images.read(["p_A01", "p_A02"])
    assert images.white == 4095
    assert good.sites[0].pixels.dtype == np.uint16
    assert good.sites[0].pixels[:, 0, 0].tolist() == [4095, 4095]
    (fault,) = read.faults
    assert fault.problem == "above the scale: a value of 5,000, where 4,095 stands for white"


def test_none_can_be_read(tmp_path: Path) -> None:
    table = write(tmp_path)
    for name in TRUTH:
        (tmp_path / path_of(name)).write_bytes(imagecodecs.png_encode(np.dstack([draw(9)] * 3)))
    with pytest.raises(DataError) as caught:
        open_images(table)
    assert str(caught.value) == (
        f"none of 24 images that were looked at can be read; the first, {table}, line 2 (p_A01-1-DNA.png): "
        "several channels: RGB; one channel an image was expected"
    )


# ---- keys


def test_a_key_is_of_the_bytes(images: Indexed, tmp_path: Path) -> None:
    wells = ["p_A02", "p_A01"]
    key = images.key(wells)
    assert key == images.key(wells)
    assert key == images.part(wells).key(wells)
    assert key != images.key(wells[::-1])
    assert key != images.key(wells[:1])
    read_first = images.part(wells)
    list(read_first.read(wells))
    before = (tmp_path / path_of(("p_A01", "1", "DNA"))).read_bytes()
    (tmp_path / path_of(("p_A01", "1", "DNA"))).write_bytes(black())
    assert read_first.key(wells) == key  # of what was read
    assert images.part(wells).key(wells) != key
    assert images.part(["p_A03"]).key(["p_A03"]) == images.key(["p_A03"])
    (tmp_path / path_of(("p_A01", "1", "DNA"))).unlink()
    gone = images.part(wells).key(wells)
    assert gone == images.part(wells).key(wells) != key
    (tmp_path / path_of(("p_A01", "1", "DNA"))).write_bytes(before)
    assert images.part(wells).key(wells) == key


def test_a_key_is_of_how_images_are_read(images: Indexed, tmp_path: Path) -> None:
    table = tmp_path / "images.csv"
    one = images.key(["p_A01"])
    assert open_images(table, channels=CHANNELS).key(["p_A01"]) == one
    for other in (
        open_images(table, channels=CHANNELS[::-1]),
        open_images(table, channels=CHANNELS[:1]),
        open_images(table, channels=CHANNELS, pixel_size=0.5),
        open_images(table, channels=CHANNELS, white=250),
    ):
        assert other.key(["p_A01"]) != one


def test_an_image_is_read_once_for_features_and_key(images: Indexed, monkeypatch: pytest.MonkeyPatch) -> None:
    part = images.part(["p_A01", "p_A04"])
    list(part.read(["p_A04"]))
    store, asked = part.store, []
    fetch = store.fetch

    def noted(wells):  # type: ignore[no-untyped-def]
        asked.extend(len(images) for images in wells)
        return fetch(wells)

    monkeypatch.setattr(store, "fetch", noted)
    part.key(["p_A04"])
    assert asked == []
    part.key(["p_A01", "p_A04"])
    assert asked == [6]


# ---- parts


def test_a_part_is_in_order_and_small(images: Indexed) -> None:
    part = images.part(["p_A04", "p_A02"])
    assert part.wells == ("p_A02", "p_A04")
    assert len(part) == 2
    list(part.read(part.wells))
    raw = pickle.dumps(part)
    assert len(raw) < 3_000
    (read,) = pickle.loads(raw).read(["p_A04"])
    assert np.array_equal(read.sites[2].pixels[1], TRUTH["p_A04", "10", "RNA"])
    assert part.plate("p_A02") == "p"
    assert part.metadata("p_A02") == {"plate": "p", "address": "A02"}
    assert len(images.part([])) == 0


@pytest.mark.parametrize("call", ["plate", "metadata"])
def test_a_well_that_is_not_there(images: Indexed, call: str) -> None:
    with pytest.raises(UsageError, match="no images of well 'p_A09'; there are 4 wells, 'p_A01', 'p_A02'"):
        getattr(images, call)("p_A09")
    for wells_of in (images.part, images.key, images.read):
        with pytest.raises(UsageError, match="no images of well 'p_A09'"):
            wells_of(["p_A01", "p_A09"])
