"""An image file's bytes to pixels: JPEG 2000, PNG and TIFF, one channel of 8 or 16 bits.

Conventions
    The kind of file is told by its first bytes, never by its name. What a header declares is held against
    what is expected before anything is unpacked, so that a small file cannot ask for much memory; no image
    may be larger than `MOST` pixels.
    JPEG 2000 and PNG are decoded by imagecodecs or, where it is not installed, by Pillow; TIFF by tifffile.
    `decode` raises `Bad` alone for whatever is wrong with the bytes. Its text begins with the kind of
    problem, one of `KINDS`, and a colon before what is more to say.
"""

from __future__ import annotations

import io
import logging
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np

from polaris_rxrx.errors import UsageError
from polaris_rxrx.types import Matrix

MOST = 1 << 26  # pixels: 8,192 x 8,192
KINDS = (
    "no such image",
    "no such file",
    "unreadable",
    "empty",
    "unknown format",
    "truncated",
    "undecodable",
    "several channels",
    "another depth",
    "another size",
    "too large",
    "above the scale",
    "all black",
)
_CODESTREAM = b"\xff\x4f\xff\x51"
_JP2 = b"\x00\x00\x00\x0cjP  "
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_ONE = "one channel an image was expected"
_COLORS = {2: "RGB", 3: "colors of a palette", 4: "gray with alpha", 6: "RGBA"}


class Bad(ValueError):
    """What is wrong with an image's bytes."""


def decode(raw: bytes, size: tuple[int, int] | None = None, bits: int | None = None) -> Matrix:
    """Pixels (height, width) of an image, uint8 or uint16.

    Args:
        raw: The file's bytes.
        size: The height and width that are expected, in pixels; any without.
        bits: The depth that is expected, 8 or 16; either without.

    Raises:
        Bad: They are no such image.
        UsageError: What decodes them is not installed.
    """
    if not raw:
        raise Bad("empty: no bytes")
    if raw.startswith(_PNG):
        pixels = _png(raw, size, bits)
    elif raw.startswith((_JP2, _CODESTREAM)):
        pixels = _jpeg2000(raw, size, bits)
    elif raw.startswith(_TIFF):
        pixels = _tiff(raw, size, bits)
    else:
        raise Bad(f"unknown format: begins with {raw[:8]!r}; JPEG 2000, PNG or TIFF was expected")
    if pixels.ndim != 2:
        raise Bad(f"several channels: pixels of shape {pixels.shape}; {_ONE}")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise Bad(f"another depth: {pixels.dtype} pixels; 8 or 16 bits, without a sign, were expected")
    _expect(pixels.shape[0], pixels.shape[1], pixels.dtype.itemsize * 8, size, bits)
    return pixels


def decoders() -> dict[str, str]:
    """What decodes here, and its version."""
    from importlib.metadata import version

    names = ("imagecodecs" if _have("imagecodecs") else "pillow", "tifffile")
    return {name: version(name) for name in names if _have({"pillow": "PIL"}.get(name, name))}


def _have(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _need(name: str) -> UsageError:
    return UsageError(f"{name} is not installed; pip install 'polaris-rxrx[images]' brings it")


def _expect(height: int, width: int, bits: int, size: tuple[int, int] | None, expected: int | None) -> None:
    """Raise `Bad` unless a header's claims are those that are expected, or at least bounded."""
    if height < 1 or width < 1:
        raise Bad(f"undecodable: {height} x {width} px")
    if size is not None and (height, width) != size:
        raise Bad(f"another size: {height} x {width} px; {size[0]} x {size[1]} px expected")
    if height * width > MOST:
        raise Bad(f"too large: {height:,} x {width:,} px; at most {MOST:,} px are read")
    if expected is not None and (8 if bits <= 8 else 16) != expected:
        raise Bad(f"another depth: {bits} bits; {expected} expected")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


# ---- PNG


def _png(raw: bytes, size: tuple[int, int] | None, bits: int | None) -> Matrix:
    if len(raw) < 33 or raw[12:16] != b"IHDR":
        raise Bad("truncated: a PNG without a header")
    width, height, depth, kind = struct.unpack(">IIBB", raw[16:26])
    if kind in _COLORS:
        raise Bad(f"several channels: {_COLORS[kind]}; {_ONE}")
    if depth not in (8, 16):
        raise Bad(f"another depth: {depth} bits; 8 or 16 were expected")
    _expect(height, width, depth, size, bits)
    _check_chunks(raw)
    return _plain(raw, "png_decode", depth)


def _check_chunks(raw: bytes) -> None:
    """Raise `Bad` unless every chunk of a PNG is whole; libpng would tell of a wrong one on stderr."""
    at = len(_PNG)
    while at + 12 <= len(raw):
        (length,) = struct.unpack(">I", raw[at : at + 4])
        kind, end = raw[at + 4 : at + 8], at + 8 + length
        if end + 4 > len(raw):
            break
        if zlib.crc32(memoryview(raw)[at + 4 : end]) != int.from_bytes(raw[end : end + 4], "big"):
            raise Bad(f"undecodable: a PNG whose {kind.decode('latin-1')} has another checksum than it says")
        if kind == b"IEND":
            return
        at = end + 4
    raise Bad("truncated: the end of the PNG is missing")


# ---- JPEG 2000


def _jpeg2000(raw: bytes, size: tuple[int, int] | None, bits: int | None) -> Matrix:
    at = raw.find(_CODESTREAM)
    if at < 0 or len(raw) < at + 43:
        raise Bad("truncated: JPEG 2000 without a codestream")
    right, below, left, above = struct.unpack(">IIII", raw[at + 8 : at + 24])
    channels, depth = struct.unpack(">HB", raw[at + 40 : at + 43])
    if channels != 1:
        raise Bad(f"several channels: {channels} in one image; {_ONE}")
    if depth & 0x80 or (depth & 0x7F) + 1 > 16:
        raise Bad(f"another depth: {(depth & 0x7F) + 1} bits{' with a sign' if depth & 0x80 else ''}")
    _expect(below - above, right - left, (depth & 0x7F) + 1, size, bits)
    if not _is_whole(raw, at):
        raise Bad("truncated: the end of the image is missing")
    return _plain(raw, "jpeg2k_decode", (depth & 0x7F) + 1)


def _is_whole(raw: bytes, codestream: int) -> bool:
    """Whether the codestream's box ends within the file, or with the marker of its end."""
    if codestream >= 8 and raw[codestream - 4 : codestream] == b"jp2c":
        (length,) = struct.unpack(">I", raw[codestream - 8 : codestream - 4])
        if length > 1:
            return bool(codestream - 8 + length <= len(raw))
    return raw[-2:] == b"\xff\xd9"


# ---- both


def _plain(raw: bytes, function: str, depth: int) -> Matrix:
    """PNG or JPEG 2000 of some bits, by imagecodecs, else by Pillow."""
    try:
        import imagecodecs
    except ImportError:
        return _pillow(raw, depth)
    options = {"numthreads": 1} if function == "jpeg2k_decode" else {}
    try:
        return np.asarray(getattr(imagecodecs, function)(raw, **options))
    except Exception as error:  # each codec has errors of its own
        raise Bad(f"undecodable: {_first_line(error)}") from None


def _pillow(raw: bytes, depth: int) -> Matrix:
    try:
        from PIL import Image
    except ImportError:
        raise _need("imagecodecs") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's word on bombs: the size is known and bounded
            with Image.open(io.BytesIO(raw)) as image:
                image.load()
                pixels = np.asarray(image)
    except Exception as error:
        raise Bad(f"undecodable: {_first_line(error)}") from None
    if pixels.dtype == np.int32 and pixels.ndim == 2:  # mode I: how older versions give 16 bits
        pixels = pixels.astype(np.uint16)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    # Pillow moves 12 bits up until they fill 16; stored values are what is wanted.
    shift = pixels.dtype.itemsize * 8 - depth
    return pixels >> shift if shift > 0 and pixels.dtype.kind == "u" else pixels


# ---- TIFF


def _tiff(raw: bytes, size: tuple[int, int] | None, bits: int | None) -> Matrix:
    try:
        import tifffile
    except ImportError:
        raise _need("tifffile") from None
    try:
        with _silent("tifffile"), tifffile.TiffFile(io.BytesIO(raw)) as file:
            page = _page(file, size, bits)
            ends = [a + n for a, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
            if not ends or max(ends) > len(raw) or min(page.databytecounts) == 0:
                raise Bad("truncated: the end of the TIFF is missing")
            pixels = page.asarray(maxworkers=1)
    except Bad:
        raise
    except Exception as error:
        # A directory of pages often stands behind the pixels.
        first = int.from_bytes(raw[4:8], "little" if raw[:1] == b"I" else "big")
        cut = raw[2:4] in (b"*\0", b"\0*") and first >= len(raw)
        raise Bad(f"{'truncated' if cut else 'undecodable'}: {_first_line(error)}") from None
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        raise Bad("undecodable: a TIFF in which 0 is white; 0 as black was expected")
    return np.asarray(pixels)


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Without a logger's words: what is wrong is told by the error."""
    logger = logging.getLogger(name)
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _page(file: Any, size: tuple[int, int] | None, bits: int | None) -> Any:
    """The one page of a TIFF, if what it declares can be taken."""
    page = file.pages[0]
    try:
        file.pages[1]
    except IndexError:
        pass
    else:
        raise Bad(f"several channels: a TIFF of several pages; {_ONE}")
    if page.samplesperpixel != 1 or len(page.shape) != 2:
        colors = {3: "RGB", 4: "RGBA"}.get(page.samplesperpixel, f"{page.samplesperpixel} samples a pixel")
        raise Bad(f"several channels: {colors}; {_ONE}")
    if page.colormap is not None:
        raise Bad(f"several channels: colors of a palette; {_ONE}")
    if page.dtype is None or page.dtype.kind != "u" or page.dtype.itemsize > 2 or page.bitspersample < 8:
        raise Bad(
            f"another depth: {page.bitspersample} bits a pixel ({page.dtype}); 8 or 16 bits, without a sign, "
            "were expected"
        )
    _expect(page.shape[0], page.shape[1], page.dtype.itemsize * 8, size, bits)
    if math.prod(page.chunks) > MOST:
        raise Bad(f"too large: tiles of {page.chunks} px; at most {MOST:,} px are read")
    return page
