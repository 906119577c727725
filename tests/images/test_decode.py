"""Bytes to pixels: formats, and what is wrong with images."""

from __future__ import annotations

import io
import logging
import struct
import sys
import tracemalloc
import zlib
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from polaris_rxrx.errors import UsageError
from polaris_rxrx.images.decode import KINDS, Bad, decode, decoders

SIZE = (64, 48)
RNG = np.random.default_rng(0)
EIGHT = RNG.integers(1, 255, SIZE).astype(np.uint8)
SIXTEEN = RNG.integers(1, 65535, SIZE).astype(np.uint16)
TWELVE = RNG.integers(1, 4095, SIZE).astype(np.uint16)
RGB = RNG.integers(1, 255, (*SIZE, 3)).astype(np.uint8)


def tiff(pixels: npt.NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def pillow(pixels: npt.NDArray[Any], kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


WHOLE = {
    "png 8": (imagecodecs.png_encode(EIGHT), EIGHT),
    "png 16": (imagecodecs.png_encode(SIXTEEN), SIXTEEN),
    "png of Pillow": (pillow(SIXTEEN, "PNG"), SIXTEEN),
    "jp2 8": (imagecodecs.jpeg2k_encode(EIGHT, level=0, codecformat="jp2"), EIGHT),
    "jp2 16": (imagecodecs.jpeg2k_encode(SIXTEEN, level=0), SIXTEEN),
    "jp2 12": (imagecodecs.jpeg2k_encode(TWELVE, level=0, bitspersample=12), TWELVE),
    "j2k": (imagecodecs.jpeg2k_encode(EIGHT, level=0, codecformat="j2k"), EIGHT),
    "jp2 of Pillow": (pillow(EIGHT, "JPEG2000"), EIGHT),
    "tiff 8": (tiff(EIGHT), EIGHT),
    "tiff 16": (tiff(SIXTEEN), SIXTEEN),
    "tiff, Motorola": (tiff(SIXTEEN, byteorder=">"), SIXTEEN),
    "tiff, zlib in strips": (tiff(SIXTEEN, compression="zlib", rowsperstrip=8), SIXTEEN),
    "tiff, LZW in tiles": (tiff(SIXTEEN, compression="lzw", tile=(16, 16)), SIXTEEN),
    "tiff of Pillow": (pillow(EIGHT, "TIFF", compression="tiff_lzw"), EIGHT),
    "BigTIFF": (tiff(SIXTEEN, bigtiff=True), SIXTEEN),
}


@pytest.mark.parametrize("name", WHOLE)
def test_pixels_are_those_that_were_stored(name: str) -> None:
    raw, truth = WHOLE[name]
    pixels = decode(raw, SIZE, truth.dtype.itemsize * 8)
    assert pixels.dtype == truth.dtype and pixels.dtype.isnative
    assert np.array_equal(pixels, truth)


@pytest.mark.parametrize("name", [name for name in WHOLE if "tiff" not in name.lower()])
def test_pillow_gives_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    raw, truth = WHOLE[name]
    pixels = decode(raw, SIZE)
    assert pixels.dtype == truth.dtype and pixels.dtype.isnative
    assert np.array_equal(pixels, truth)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("name", WHOLE)
def test_half_an_image_is_none(
    name: str, hidden: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Wherever it was cut; and no library tells of it past us."""
    if hidden:
        monkeypatch.setitem(sys.modules, "imagecodecs", None)
    raw, _ = WHOLE[name]
    for end in (0, 3, 9, 20, 40, 90, 150, len(raw) // 2, len(raw) - 40, len(raw) - 9):
        with pytest.raises(Bad) as caught:
            decode(raw[:end], SIZE)
        assert str(caught.value).partition(":")[0] in (
            ("truncated", "undecodable", "unknown format", "empty")
            if end < 200
            else ("truncated", "undecodable")
        )
    assert capfd.readouterr() == ("", "")
    assert not logging.getLogger("tifffile").disabled


def test_broken_bytes_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever is overwritten, it is pixels or a `Bad` of a known kind, and nothing else."""
    rng = np.random.default_rng(5)
    seen = set()
    for raw, _ in WHOLE.values():
        for _ in range(12):
            broken = bytearray(raw)
            for at in rng.integers(0, min(len(raw), 400), 4):
                broken[at] = rng.integers(0, 256)
            try:
                assert decode(bytes(broken)).ndim == 2
                seen.add("pixels")
            except Bad as problem:
                seen.add(str(problem).partition(":")[0])
    assert {"pixels", "undecodable", "unknown format"} < seen
    assert seen - {"pixels"} <= set(KINDS)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty: no bytes"),
        (b"GIF89a..", "unknown format: begins with b'GIF89a..'; JPEG 2000, PNG or TIFF was expected"),
        (imagecodecs.png_encode(RGB), "several channels: RGB; one channel an image was expected"),
        (pillow(np.dstack([RGB, EIGHT]), "PNG"), "several channels: RGBA; one channel"),
        (pillow(np.dstack([EIGHT, EIGHT]), "PNG"), "several channels: gray with alpha; one channel"),
        (imagecodecs.jpeg2k_encode(RGB, level=0), "several channels: 3 in one image; one channel"),
        (tiff(RGB, photometric="rgb"), "several channels: RGB; one channel"),
        (tiff(np.stack([EIGHT, EIGHT])), "several channels: a TIFF of several pages; one channel"),
        (pillow(EIGHT > 9, "PNG"), "another depth: 1 bits; 8 or 16 were expected"),
        (tiff(EIGHT.astype(np.float32)), "another depth: 32 bits a pixel (float32); 8 or 16 bits"),
        (tiff(EIGHT.astype(np.int16)), "another depth: 16 bits a pixel (int16); 8 or 16 bits"),
        (tiff(EIGHT.astype(np.uint32)), "another depth: 32 bits a pixel (uint32); 8 or 16 bits"),
        (tiff(EIGHT, photometric="miniswhite"), "undecodable: a TIFF in which 0 is white"),
    ],
)
def test_what_is_no_channel(raw: bytes, words: str) -> None:
    with pytest.raises(Bad) as caught:
        decode(raw)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("name", ["png 8", "jp2 8", "tiff 8"])
def test_another_size_or_depth(name: str) -> None:
    raw, _ = WHOLE[name]
    with pytest.raises(Bad, match=r"^another size: 64 x 48 px; 64 x 64 px expected$"):
        decode(raw, (64, 64))
    with pytest.raises(Bad, match=r"^another depth: 8 bits; 16 expected$"):
        decode(raw, SIZE, 16)


def png_bomb() -> bytes:
    raw = bytearray(WHOLE["png 8"][0])
    raw[16:24] = struct.pack(">II", 100_000, 100_000)
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    return bytes(raw)


def jp2_bomb() -> bytes:
    raw = bytearray(WHOLE["jp2 8"][0])
    at = raw.find(b"\xff\x4f\xff\x51")
    raw[at + 8 : at + 16] = struct.pack(">II", 100_000, 100_000)
    return bytes(raw)


def tiff_of(tags: dict[int, int], raw: bytes) -> bytes:
    """A TIFF whose directory says otherwise."""
    changed = bytearray(raw)
    with tifffile.TiffFile(io.BytesIO(raw)) as file:
        for code, value in tags.items():
            tag = file.pages[0].tags[code]
            at, kind = tag.valueoffset, {3: "<H", 4: "<I"}[int(tag.dtype)]
            changed[at : at + struct.calcsize(kind)] = struct.pack(kind, value)
    return bytes(changed)


def tiff_bomb() -> bytes:
    return tiff_of({256: 65_535, 257: 65_535}, tiff(EIGHT))


def tile_bomb() -> bytes:
    return tiff_of({322: 65_520, 323: 65_520}, tiff(SIXTEEN, compression="zlib", tile=(16, 16)))


@pytest.mark.parametrize("bomb", [png_bomb, jp2_bomb, tiff_bomb, tile_bomb])
def test_a_small_file_cannot_ask_for_much_memory(bomb: Any) -> None:
    raw = bomb()
    tracemalloc.start()
    try:
        with pytest.raises(Bad, match=r"^(too large|truncated): "):
            decode(raw)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_decodes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decoders() == {"imagecodecs": imagecodecs.__version__, "tifffile": tifffile.__version__}
    for name in ("imagecodecs", "tifffile", "PIL"):
        monkeypatch.setitem(sys.modules, name, None)
    assert decoders() == {}
    for name in ("png 8", "jp2 8", "tiff 8"):
        with pytest.raises(
            UsageError, match=r"is not installed; pip install 'polaris-rxrx\[images\]' brings it"
        ):
            decode(WHOLE[name][0])
