"""`polaris-rxrx view`: what it writes, says and refuses."""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

import polaris_rxrx as pr
from polaris_rxrx.cli import run
from polaris_rxrx.dataset.sandbox_images import Phenotype, draw, pictures, write_shards
from polaris_rxrx.featurize import segment

WELLS = ("gene-007_1_B03", "gene-007_1_B04", "gene-007_1_C03")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    few = Phenotype(count=6)
    write_shards(
        folder,
        (p for i, well in enumerate(WELLS) for p in pictures(well, draw(few, i, size=(128, 128)).pixels)),
    )
    return folder


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([WELLS[0]], "1 well"),
        ([WELLS[0], WELLS[2]], "2 wells"),
        (["--plate", "Plate1"], "plate Plate1"),
        (["--plate", "gene-007/Plate1", "--channel", "WGA"], "plate gene-007/Plate1"),
    ],
    ids=["one", "two", "plate", "channel"],
)
def test_it_writes_a_picture(
    words: list[str], told: str, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "picture.png"
    assert run(["view", *words, "--images", str(shards), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{out}: {told}\n"
    assert "0.65 um" in printed.err  # what was guessed
    with Image.open(out) as picture:
        assert picture.format == "PNG" and picture.width > 400


def test_it_is_what_a_notebook_shows(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "picture.png"
    assert run(["view", WELLS[1], "--images", str(shards), "--out", str(out)]) == 0
    shown = pr.view(pr.open_images(shards), WELLS[1])
    assert shown._repr_png_() == out.read_bytes()
    sheet = pr.view_plate(pr.open_images(shards), "Plate1")
    assert Image.open(BytesIO(sheet._repr_png_())).format == "PNG"


def test_outlines_are_those_of_the_featurizers_cells(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "picture.png"
    words = ["view", WELLS[1], "--images", str(shards), "--out", str(out)]
    assert run(words) == 0
    plain = out.read_bytes()
    assert run([*words, "--outlines"]) == 0
    assert f"{WELLS[1]}: 6 cells, 6 nuclei\n" in capsys.readouterr().err
    images = pr.open_images(shards)
    drawn = pr.view(images, WELLS[1], outlines=pr.outlines_of(images))
    assert drawn.png == out.read_bytes() != plain
    assert run([*words, "--outlines", "--nuclei", "Syto14", "--cells", "WGA"]) == 0
    assert drawn.png != out.read_bytes()
    assert run([*words, "--outlines", "--channels", "WGA"]) == 2
    assert "channel 'Hoechst' of the nuclei" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "give wells, or --plate"),
        ([WELLS[0], "--plate", "Plate1"], 2, "give wells, or --plate"),
        ([WELLS[0], "--channel", "WGA"], 2, "--channel belongs to --plate"),
        (["--plate", "Plate1", "--outlines"], 2, "--site and --outlines mean nothing for a contact sheet"),
        (["gene-007_1_B33"], 2, "no well 'gene-007_1_B33' has images; is it 'gene-007_1_B03'"),
        ([WELLS[0], "--nuclei", "WGA"], 2, "--nuclei and --cells belong to --outlines"),
        (["--plate", "Plate2"], 2, "no plate 'Plate2'"),
        ([WELLS[0], "--channels", "DNA,ER"], 2, "2 channels are stated, DNA, ER"),
        ([WELLS[0], "--channels", "WGA,WGA"], 2, "different names"),
        ([WELLS[0], "--scale", "4095"], 2, "images of 8 bits"),
    ],
)
def test_misuse_is_told_and_writes_nothing(
    words: list[str],
    code: int,
    told: str,
    shards: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "picture.png"
    assert run(["view", *words, "--images", str(shards), "--out", str(out)]) == code
    assert told in capsys.readouterr().err
    assert not out.exists()


def test_a_picture_is_a_png_and_never_an_input(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["view", WELLS[0], "--images", str(shards), "--out", "well.jpg"]) == 2
    assert "a picture is saved as .png" in capsys.readouterr().err
    (file,) = shards.iterdir()
    before = file.read_bytes()
    assert run(["view", WELLS[0], "--images", str(shards), "--out", str(file)]) == 2
    assert file.read_bytes() == before


@pytest.mark.parametrize("absent", ["skimage", "centrosome"])
def test_outlines_without_what_finds_cells(
    absent: str,
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(segment, "find_spec", lambda name: None if name == absent else find_spec(name))
    out = tmp_path / "picture.png"
    assert run(["view", WELLS[0], "--images", str(shards), "--out", str(out), "--outlines"]) == 2
    assert "pip install 'polaris-rxrx[images]'" in capsys.readouterr().err
    assert not out.exists()
