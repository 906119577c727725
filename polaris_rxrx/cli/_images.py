"""The images of wells, as several commands take them: their options, and how they are opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli.options import FILE, note, together

if TYPE_CHECKING:
    from polaris_rxrx.images.indexed import Indexed


def _names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = tuple(name.strip() for name in value.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise click.BadParameter(f"{value!r}: different names with commas between them were expected")
    return names


@dataclass(frozen=True)
class Images:
    """What the command line says of the images."""

    images: Path
    channels: Sequence[str] | None
    scale: float | None
    pixel_size: float | None

    def open(self, wells_file: Path | None = None) -> Indexed:
        """Index the images, and tell what was guessed."""
        from polaris_rxrx.images.opened import open_images

        opened = open_images(
            self.images,
            wells_file=wells_file,
            channels=self.channels,
            white=self.scale,
            pixel_size=self.pixel_size,
        )
        for line in opened.notes:
            note(line)
        return opened


_OPTIONS: list[Callable[[Any], Any]] = [
    click.option(
        "--images",
        type=FILE,
        required=True,
        metavar="WHERE",
        help="The images: a folder of RxRx3-core's shards or of RxRx3's plates, a glob in quotes, or a CSV "
        "with well_id, site, channel, path.",
    ),
    click.option(
        "--channels",
        callback=_names,
        metavar="A,B,..",
        help="Which channels, and in which order.  [default: all, as the images have them]",
    ),
    click.option(
        "--scale",
        type=click.FloatRange(min=0, min_open=True),
        metavar="WHITE",
        help="The value that stands for full intensity; images of 16 bits need it, as in 65535 or 4095.  "
        "[default: 255 for 8 bits]",
    ),
    click.option(
        "--pixel-size",
        type=click.FloatRange(min=0, min_open=True),
        metavar="UM",
        help="Micrometers a pixel.  [default: what is known of the layout, as 0.65 of RxRx3-core]",
    ),
]


# Where images are and what is said of them, which the command takes as `source`, an `Images`.
image_options = together("source", ("images", "channels", "scale", "pixel_size"), _OPTIONS, Images)
