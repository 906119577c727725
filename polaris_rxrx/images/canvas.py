"""A dark canvas that tiles, outlines and words are put on, and a PNG of it.

Conventions
    Positions and sizes are (left, top) and (width, height) on the part below the title, canvas pixels. Colors
    are (red, green, blue), 0 to 1. The canvas grows at its end by what the footer takes. The letters are
    those of matplotlib's own font, so a picture is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from polaris_rxrx.types import Bools, Floats, Matrix

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Color = tuple[float, float, float]

MARGIN = 20
LARGE = 400  # a tile wider than this has wider lines and larger words
TITLE = 40
BACK: Color = (0.07, 0.07, 0.08)
INK: Color = (0.92, 0.92, 0.92)
FAINT: Color = (0.68, 0.68, 0.70)


@lru_cache
def _font(size: int, bold: bool = False) -> FreeTypeFont:
    from pathlib import Path

    import matplotlib
    from PIL import ImageFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf"), size)


def resized(plane: Matrix, size: tuple[int, int]) -> Floats:
    """A plane (height, width) at another size, (height, width): means where smaller, smooth where larger."""
    from PIL import Image

    smaller = size[0] < plane.shape[0] or size[1] < plane.shape[1]
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    kind = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
    return np.asarray(image.resize((size[1], size[0]), kind), dtype=np.float64)


def _bytes(color: Color) -> tuple[int, int, int]:
    red, green, blue = (round(255 * level) for level in color)
    return red, green, blue


class Canvas:
    """What is drawn on, below a title, `width` x `height`."""

    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        size = (width + 2 * MARGIN, height + 2 * MARGIN + TITLE)
        self._image = Image.new("RGB", size, _bytes(BACK))
        self._draw = ImageDraw.Draw(self._image)
        self._footer: list[str] = []

    def _at(self, at: tuple[int, int]) -> tuple[int, int]:
        return at[0] + MARGIN, at[1] + MARGIN + TITLE

    def title(self, text: str) -> None:
        """The words above everything."""
        font = _font(20, bold=True)
        fitted = self._fitted(text, font, self._image.width - 2 * MARGIN)
        self._draw.text((MARGIN, MARGIN), fitted, _bytes(INK), font)

    def _fitted(self, text: str, font: FreeTypeFont, width: int) -> str:
        """A text, or its beginning where it is too wide."""
        if font.getlength(text) <= width:
            return text
        while text and font.getlength(text + "...") > width:
            text = text[:-1]
        return text + "..."

    def paste(self, at: tuple[int, int], colors: Floats) -> None:
        """A tile: (height, width, 3), 0 to 1."""
        from PIL import Image

        tile = np.clip(np.round(np.round(255 * colors, 6)), 0, 255).astype(np.uint8)
        self._image.paste(Image.fromarray(tile), self._at(at))

    def fill(self, at: tuple[int, int], size: tuple[int, int], color: Color) -> None:
        """A tile of one color."""
        left, top = self._at(at)
        self._draw.rectangle((left, top, left + size[0] - 1, top + size[1] - 1), fill=_bytes(color))

    def cross(self, at: tuple[int, int], size: tuple[int, int], color: Color, text: str = "") -> None:
        """A tile crossed out, and why."""
        self.fill(at, size, tuple(level / 2 for level in color))  # type: ignore[arg-type]
        left, top = self._at(at)
        right, bottom = left + size[0] - 1, top + size[1] - 1
        for line in ((left, top, right, bottom), (left, bottom, right, top)):
            self._draw.line(line, fill=_bytes(color), width=1 if size[0] < 40 else 2)
        if text:
            font = _font(14)
            lines = self._wrapped(text, font, size[0] - 16)
            for i, words in enumerate(lines[:6]):
                self._draw.text((left + 8, top + 8 + 18 * i), words, _bytes(INK), font)

    def outline(self, at: tuple[int, int], size: tuple[int, int], labels: Matrix, color: Color) -> None:
        """The borders of labels, inside of them: one pixel wide, two where the tile is much enlarged."""
        from PIL import Image

        image = Image.fromarray(np.ascontiguousarray(labels, dtype=np.int32))
        large: Matrix = np.asarray(image.resize(size, Image.Resampling.NEAREST))
        mask = borders(large)
        if size[0] >= 2 * labels.shape[1]:
            mask |= borders(np.where(mask, 0, large))
        stamp = Image.fromarray((255 * mask).astype(np.uint8))
        self._image.paste(_bytes(color), self._at(at), stamp)

    def bar(self, at: tuple[int, int], size: tuple[int, int], length: int, text: str) -> None:
        """A scale bar in a tile's lower right corner."""
        left, top = self._at(at)
        right, bottom = left + size[0] - 12, top + size[1] - 12
        font = _font(16 if size[0] > LARGE else 13, bold=True)
        words = font.getlength(text)
        self._draw.rectangle((right - length, bottom - 4, right, bottom), fill=_bytes(INK), outline=(0, 0, 0))
        self._draw.text(
            (right - length / 2 - words / 2, bottom - 28 if size[0] > LARGE else bottom - 23),
            text,
            _bytes(INK),
            font,
            stroke_width=2,
            stroke_fill=(0, 0, 0),
        )

    def caption(self, at: tuple[int, int], words: Sequence[tuple[str, Color | None]]) -> None:
        """Words below a tile: those of a color behind a dot of it."""
        font = _font(14)
        left, top = self._at(at)
        for text, color in words:
            if color is not None:
                self._draw.ellipse((left + 1, top + 9, left + 11, top + 19), fill=_bytes(color))
                left += 18
            self._draw.text((left, top + 5), text, _bytes(INK) if color is not None else _bytes(FAINT), font)
            left += round(font.getlength(text)) + 12

    def label(self, at: tuple[int, int], box: tuple[int, int], text: str) -> None:
        """Words in the middle of a box; a negative width or height goes left, or up."""
        font = _font(13)
        left, top = self._at(at)
        middle = (left + box[0] / 2, top + box[1] / 2)
        self._draw.text(middle, text, _bytes(FAINT), font, anchor="mm")

    def footer(self, lines: Sequence[str]) -> None:
        """Words below everything."""
        self._footer += lines

    def _wrapped(self, text: str, font: FreeTypeFont, width: int) -> list[str]:
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and font.getlength(longer) > width:
                lines.append(self._fitted(word, font, width))
            else:
                lines[-1] = self._fitted(longer, font, width)
        return lines

    def png(self) -> bytes:
        """The picture; the same canvas gives the same bytes."""
        from PIL import Image, ImageDraw

        font = _font(13)
        width, height = self._image.size
        lines = [part for line in self._footer for part in self._wrapped(line, font, width - 2 * MARGIN)]
        whole = Image.new("RGB", (width, height + 20 * len(lines)), _bytes(BACK))
        whole.paste(self._image, (0, 0))
        draw = ImageDraw.Draw(whole)
        for i, line in enumerate(lines):
            draw.text((MARGIN, height - MARGIN + 8 + 20 * i), line, _bytes(FAINT), font)
        buffer = BytesIO()
        whole.save(buffer, format="PNG", compress_level=4)
        return buffer.getvalue()


def borders(labels: Matrix) -> Bools:
    """Which pixels (height, width) of a label touch another label, or none, above, below or beside them."""
    found = np.zeros(labels.shape, dtype=np.bool_)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= across
    found[:, :-1] |= across
    return np.asarray(found & (labels > 0))
