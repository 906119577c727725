"""Wells to look at: channels and a composite as one PNG, and a plate as a contact sheet.

Conventions
    Channels are shown in gray, the composite in colors: each channel's gray levels, 0 to 1 between its
    limits, times its color (by its stain's name in `COLORS`, of others by position in `OTHERS`), added up,
    times `DIMMED`, for where channels overlap, and cut off at white.
    A channel's limits are the `CONTRAST` percentiles of the pixels of all that is shown together, so what is
    brighter in the picture is brighter in the well; they are written into it. Of a plate they are those of
    its tiles, a pixel of which is a mean of the well's.
    A site of which some images are bad shows its good ones, and says what is wrong with the others.
    Colors are (red, green, blue), 0 to 1, of arrays (height, width, 3); positions on the canvas are (left,
    top), its own pixels. Labels are (height, width), 0 where nothing is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polaris_rxrx.errors import UsageError, some
from polaris_rxrx.images.canvas import Canvas, resized
from polaris_rxrx.images.sites import Fault, ImageSet, Site, WellImages
from polaris_rxrx.types import Floats, Matrix

if TYPE_CHECKING:
    Outlines = Callable[[Site], Mapping[str, Matrix]]

COLORS = {
    "hoechst": (0.20, 0.35, 1.0),
    "cona": (0.05, 0.65, 0.15),
    "phalloidin": (0.95, 0.20, 0.10),
    "syto14": (0.0, 0.45, 0.50),
    "mitotracker": (0.65, 0.05, 0.65),
    "wga": (0.80, 0.65, 0.05),
}
OTHERS = (*COLORS.values(), (0.55, 0.55, 0.55), (0.55, 0.30, 0.10))
OUTLINES = {"nuclei": (1.0, 0.85, 0.1), "cells": (0.2, 0.95, 1.0)}
OUTLINE = (1.0, 1.0, 1.0)  # of other labels
DIMMED = 0.8
CONTRAST = (0.5, 99.8)
MOST_WELLS = 16  # in one picture
MOST_SIDE = 3200  # of a plate's tiles together, canvas pixels
LEAST_TILE, MOST_TILE = 12, 160
BAD = (0.45, 0.12, 0.12)
ABSENT = (0.16, 0.16, 0.17)


@dataclass(frozen=True, eq=False)
class View:
    """A picture, which shows itself in a notebook; `notes` say what it does not."""

    png: bytes
    notes: tuple[str, ...] = ()

    def _repr_png_(self) -> bytes:
        return self.png

    def save(self, path: str | Path) -> None:
        """Write the PNG.

        >>> View(bytes([137]) + b"PNG").save("well.png")
        >>> Path("well.png").stat().st_size
        4
        """
        from polaris_rxrx.files import new_file

        with new_file(Path(path)) as temporary:
            temporary.write_bytes(self.png)


@dataclass(frozen=True, eq=False)
class _Tiles:
    """What is shown of a well: a site, and what is wrong with it (channel, or "" for all -> problem)."""

    well: str
    site: Site | None
    wrong: Mapping[str, str]


def view(
    images: ImageSet,
    wells: str | Sequence[str],
    *,
    site: str | None = None,
    outlines: Outlines | None = None,
) -> View:
    """Channels and composite of a well, or of several, a row each.

    Args:
        images: Where they are.
        wells: Ids, `MOST_WELLS` at most.
        site: Which site of each.  By default the first that is good.
        outlines: Labels to be outlined, by what they are (`nuclei`, `cells`), of a site.

    Raises:
        UsageError: A well or a site that is not there, or too many wells.

    >>> from polaris_rxrx.dataset.sandbox_images import Phenotype, draw, pictures, write_shards
    >>> field = draw(Phenotype(count=6), seed=0, size=(96, 96))
    >>> _ = write_shards(Path("images"), pictures("compound-004_1_AA04", field.pixels))
    >>> images = pr.open_images("images", pixel_size=1.0)
    >>> picture = pr.view(images, "compound-004_1_AA04")
    >>> picture.save("well.png")
    >>> picture.png[1:4]
    b'PNG'
    """
    names = [wells] if isinstance(wells, str) else list(dict.fromkeys(wells))
    if not 0 < len(names) <= MOST_WELLS:
        raise UsageError(f"{len(names)} wells; a picture holds 1 to {MOST_WELLS}, a contact sheet a plate")
    for name in names:
        _known(name, images.wells, "well", "images")
    shown, notes = [], []
    for found in images.part(names).read(names):
        tiles, told = _chosen(found, site)
        shown.append(tiles)
        notes += told
    limits = _limits(images.channels, [(t.site.pixels, t.wrong) for t in shown if t.site is not None])
    labels = [{} if outlines is None or t.site is None or t.wrong else outlines(t.site) for t in shown]
    counts = [f"{t.well}: {_counted(found)}" for t, found in zip(shown, labels, strict=True) if found]
    painted = [_painted(images.channels, t, limits, found) for t, found in zip(shown, labels, strict=True)]
    draw = _large if len(shown) == 1 else _rows
    png, more = draw(images, shown, painted, limits, bool(counts))
    return View(png, (*notes, *counts, *more))


def view_plate(
    images: ImageSet,
    plate: str,
    *,
    channel: str | None = None,
    step: Callable[[str, int, int], None] | None = None,
) -> View:
    """A plate's wells at their addresses, each the first good site: a channel in gray, or the composite.

    Args:
        images: Where they are.
        plate: Its name across experiments (`compound-004/Plate1`), or its end, where one plate has it.
        channel: Which; all, as a composite, by default.
        step: Told what is done, how many wells are, and of how many.

    Raises:
        UsageError: No such plate or channel.
        DataError: A well of the plate has no address to stand at.

    >>> from polaris_rxrx.dataset.sandbox_images import Phenotype, draw, pictures, write_shards
    >>> field = draw(Phenotype(count=6), seed=0, size=(96, 96))
    >>> _ = write_shards(Path("images"), pictures("compound-004_1_AA04", field.pixels))
    >>> images = pr.open_images("images", pixel_size=1.0)
    >>> picture = pr.view_plate(images, "compound-004/Plate1", channel="Hoechst")
    >>> picture.notes[0]
    'Wells shown: 1'
    """
    wells: dict[str, list[str]] = {}
    for well in images.wells:
        wells.setdefault(images.plate(well), []).append(well)
    ends = [name for name in wells if name.endswith(f"/{plate}")]
    if plate not in wells and len(ends) == 1:
        plate = ends[0]
    _known(plate, list(wells), "plate", "images")
    if channel is not None:
        _known(channel, images.channels, "channel", "such images")
    at = {well: _address(images, well) for well in wells[plate]}
    top, left = (min(place[k] for place in at.values()) for k in (0, 1))
    rows, columns = (max(place[k] for place in at.values()) + 1 - first for k, first in ((0, top), (1, left)))
    size = int(np.clip(MOST_SIDE // max(rows, columns), LEAST_TILE, MOST_TILE))
    numbers = range(len(images.channels)) if channel is None else [images.channels.index(channel)]
    channels = tuple(images.channels[i] for i in numbers)
    tiles: dict[str, Floats] = {}
    faulty: list[str] = []
    for done, found in enumerate(images.part(wells[plate]).read(wells[plate]), 1):
        bad = {fault.channel for fault in found.faults} & {"", *channels}
        if shown := found.sites or (() if bad else found.damaged):
            pixels = shown[0].pixels[list(numbers)]
            tiles[found.well] = np.stack([resized(plane, (size, size)) for plane in pixels])
        else:
            faulty.append(found.well)
        if step is not None:
            step("wells", done, len(at))
    limits = _limits(channels, [(tile, {}) for tile in tiles.values()])
    sheet = _Sheet(plate, channel or "composite", top, left, rows, columns, size)
    canvas = sheet.start()
    for well, place in at.items():
        if well in tiles:
            scaled = _scaled(tiles[well], [limits[name] for name in channels])
            canvas.paste(
                sheet.at(place),
                _gray(scaled[0]) if channel else _composite(images.channels, channels, scaled),
            )
        else:
            canvas.cross(sheet.at(place), (size, size), BAD)
    absent = rows * columns - len(at)
    said = f"Wells shown: {len(tiles):,}"
    said += f"; places without images: {absent:,}" if absent else ""
    said += f"; wells with bad images, crossed out: {len(faulty):,}" if faulty else ""
    canvas.footer([said, _told(limits)])
    notes = (said, _told(limits), *([f"bad images: {some(faulty, 5)}"] if faulty else []))
    return View(canvas.png(), notes)


# ---- what is shown


def _known(name: str, names: Sequence[str], what: str, of: str) -> None:
    if name in names:
        return
    near = get_close_matches(name, names, 3, 0.75)
    hint = f"; is it {' or '.join(map(repr, near))}?" if near else f"; there are {some(names, 3)}"
    raise UsageError(f"no {what} {name!r} has {of}{hint}" if what == "well" else f"no {what} {name!r}{hint}")


def _chosen(found: WellImages, site: str | None) -> tuple[_Tiles, list[str]]:
    """The site that is shown of a well, and what else to tell."""
    every = {s.name: s for s in (*found.sites, *found.damaged)}
    faults = _by_site(found.faults)
    there = list(dict.fromkeys([*every, *(name for name in faults if name)]))
    if site is not None and site not in there:
        raise UsageError(f"{found.well}: no site {site!r}; its sites: {some(there, 8)}")
    name = site if site is not None else there[0] if there else ""
    wrong = {**faults.get("", {}), **faults.get(name, {})}
    told = [
        f"{found.well}: {len(there)} sites, {some(there, 8)}; {name} is shown"
        for _ in range(site is None and len(there) > 1)
    ]
    told += [
        f"{found.well}{f', site {one}' if one else ''}{f', {channel}' if channel else ''}: {problem}"
        for one, problems in faults.items()
        for channel, problem in problems.items()
    ]
    return _Tiles(found.well, every.get(name), wrong), told


def _by_site(faults: Sequence[Fault]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for fault in faults:
        found.setdefault(fault.site, {}).setdefault(fault.channel, fault.problem)
    return found


def _counted(labels: Mapping[str, Matrix]) -> str:
    return ", ".join(f"{len(np.unique(found[found > 0])):,} {what}" for what, found in labels.items())


def _limits(
    channels: Sequence[str], shown: Sequence[tuple[Matrix, Mapping[str, str]]]
) -> dict[str, tuple[float, float]]:
    """The gray levels that are black and white in each channel, over all that are shown together."""
    limits = {}
    for i, name in enumerate(channels):
        planes = [pixels[i].ravel() for pixels, wrong in shown if not {name, ""} & wrong.keys()]
        if not planes:
            continue
        low, high = np.percentile(np.concatenate(planes), CONTRAST)
        limits[name] = (float(low), float(max(high, low + 1)))
    return limits


def _scaled(pixels: Matrix, limits: Sequence[tuple[float, float]]) -> Floats:
    """(channels, height, width), 0 at the lower limit and 1 at the upper."""
    low, high = (np.array([pair[k] for pair in limits], dtype=np.float64)[:, None, None] for k in (0, 1))
    return np.asarray(np.clip((pixels - low) / (high - low), 0, 1))


def color_of(channels: Sequence[str], channel: str) -> tuple[float, float, float]:
    """A channel's color in the composite: by its stain, else by its position."""
    return COLORS.get(channel.casefold(), OTHERS[list(channels).index(channel) % len(OTHERS)])


def _composite(channels: Sequence[str], names: Sequence[str], scaled: Floats) -> Floats:
    """The colors (height, width, 3) of some of the channels, `scaled` (names, height, width)."""
    colors = np.array([color_of(channels, name) for name in names])
    return np.asarray(np.clip(DIMMED * np.einsum("chw,ck->hwk", scaled, colors), 0, 1))


def _gray(scaled: Floats) -> Floats:
    return np.repeat(scaled[:, :, None], 3, axis=2)


@dataclass(frozen=True, eq=False)
class _Painted:
    """A well's tiles before they have a size: channel, or "composite" -> colors, or None where it is bad."""

    tiles: Mapping[str, Floats | None]
    labels: Mapping[str, Matrix]


def _painted(
    channels: Sequence[str],
    shown: _Tiles,
    limits: Mapping[str, tuple[float, float]],
    labels: Mapping[str, Matrix],
) -> _Painted:
    good = [
        i for i, name in enumerate(channels) if shown.site is not None and not {name, ""} & shown.wrong.keys()
    ]
    tiles: dict[str, Floats | None] = {"composite": None, **dict.fromkeys(channels)}
    if shown.site is not None and good:
        names = [channels[i] for i in good]
        scaled = _scaled(shown.site.pixels[good], [limits[name] for name in names])
        tiles["composite"] = _composite(channels, names, scaled)
        tiles.update({name: _gray(plane) for name, plane in zip(names, scaled, strict=True)})
    return _Painted(tiles, labels)


# ---- the canvas


def _aspect(shown: Sequence[_Tiles]) -> float:
    sizes = [t.site.pixels.shape[1:] for t in shown if t.site is not None]
    return sizes[0][0] / sizes[0][1] if sizes else 1.0


def _large(
    images: ImageSet,
    shown: Sequence[_Tiles],
    painted: Sequence[_Painted],
    limits: Mapping[str, tuple[float, float]],
    outlined: bool,
) -> tuple[bytes, list[str]]:
    """One well: its composite, and beside it the channels at half the size, in two rows."""
    (tiles,), (colors,) = shown, painted
    channels = images.channels
    aspect, columns, gap, caption = _aspect(shown), -(-len(channels) // 2), 10, 26
    width = 300
    height = round(width * aspect)
    big = (2 * width + gap, 2 * height + gap + caption)
    canvas = Canvas(big[0] + columns * (width + gap), big[1] + caption)
    canvas.title(_title(images, tiles))
    _tile(canvas, (0, 0), (big[0], round(big[0] * aspect)), "composite", tiles, colors)
    canvas.caption((0, round(big[0] * aspect)), [("composite of all channels", None)])
    for i, name in enumerate(channels):
        left, top = big[0] + gap + i % columns * (width + gap), i // columns * (height + caption + gap)
        _tile(canvas, (left, top), (width, height), name, tiles, colors)
        canvas.caption((left, top + height), _caption(channels, name, limits))
    notes = _scale_bar(canvas, images, tiles, (0, 0), (big[0], round(big[0] * aspect)))
    canvas.footer(_legend(limits, outlined))
    return canvas.png(), notes


def _rows(
    images: ImageSet,
    shown: Sequence[_Tiles],
    painted: Sequence[_Painted],
    limits: Mapping[str, tuple[float, float]],
    outlined: bool,
) -> tuple[bytes, list[str]]:
    """Several wells: a row each, a column a channel."""
    channels = images.channels
    aspect, gap, caption, width = _aspect(shown), 8, 26, 256
    height = round(width * aspect)
    columns = ("composite", *channels)
    line = height + caption + gap
    canvas = Canvas(len(columns) * (width + gap) - gap, caption + len(shown) * line - gap)
    canvas.title(f"{len(shown)} wells, each channel at the same contrast in all")
    for i, name in enumerate(columns):
        words: list[tuple[str, tuple[float, float, float] | None]] = [(name, None)]
        canvas.caption((i * (width + gap), 0), words if i == 0 else _caption(channels, name, limits))
    notes: list[str] = []
    for row, (tiles, colors) in enumerate(zip(shown, painted, strict=True)):
        top = caption + row * line
        for i, name in enumerate(columns):
            _tile(canvas, (i * (width + gap), top), (width, height), name, tiles, colors)
        canvas.caption((0, top + height), [(_title(images, tiles), None)])
        notes += _scale_bar(canvas, images, tiles, (0, top), (width, height))
    canvas.footer(_legend(limits, outlined))
    return canvas.png(), list(dict.fromkeys(notes))


def _title(images: ImageSet, tiles: _Tiles) -> str:
    known = images.metadata(tiles.well)
    words = [known[name] for name in ("gene", "treatment") if known.get(name)]
    site = f"site {tiles.site.name}" if tiles.site is not None else "no good site"
    return "   ".join([tiles.well, *words, site])


def _caption(
    channels: Sequence[str], name: str, limits: Mapping[str, tuple[float, float]]
) -> list[tuple[str, tuple[float, float, float] | None]]:
    """A channel's name beside its color, and its limits."""
    words: list[tuple[str, tuple[float, float, float] | None]] = [(name, color_of(channels, name))]
    if name in limits:
        low, high = limits[name]
        words.append((f"{low:,.0f} to {high:,.0f}", None))
    return words


def _tile(
    canvas: Canvas, at: tuple[int, int], size: tuple[int, int], name: str, tiles: _Tiles, colors: _Painted
) -> None:
    painted = colors.tiles[name]
    if painted is None:
        problem = tiles.wrong.get(name) or tiles.wrong.get("") or "no good image"
        canvas.cross(at, size, BAD, problem)
        return
    canvas.paste(at, np.stack([resized(painted[:, :, k], (size[1], size[0])) for k in range(3)], axis=2))
    for what, labels in colors.labels.items():
        canvas.outline(at, size, labels, OUTLINES.get(what, OUTLINE))


def _scale_bar(
    canvas: Canvas, images: ImageSet, tiles: _Tiles, at: tuple[int, int], size: tuple[int, int]
) -> list[str]:
    """Draw a bar of a round length, about a fifth of a tile; what to tell where that cannot be."""
    if images.pixel_size is None:
        return ["no scale bar: the size of a pixel is not known"]
    if tiles.site is not None:
        whole = images.pixel_size * tiles.site.pixels.shape[2]
        length = _round(whole / 5)
        canvas.bar(at, size, round(size[0] * length / whole), f"{length:g} um")
    return []


def _round(length: float) -> float:
    """The largest of 1, 2, 5, 10, ... that is no longer."""
    power = float(10.0 ** np.floor(np.log10(length)))
    return next(k * power for k in (5, 2, 1) if k * power <= length * (1 + 1e-9))


def _told(limits: Mapping[str, tuple[float, float]]) -> str:
    each = ", ".join(f"{name} {low:,.0f} to {high:,.0f}" for name, (low, high) in limits.items())
    return (
        f"Contrast: black to white are the {CONTRAST[0]:g} and {CONTRAST[1]:g} percentiles of all shown"
        f"{': ' if each else ''}{each}"
    )


def _legend(limits: Mapping[str, tuple[float, float]], outlined: bool) -> list[str]:
    lines = [_told({}) + ", channel by channel (beside each name)"] if limits else []
    return lines + (["Outlines: nuclei yellow, cells cyan"] if outlined else [])


# ---- a plate


@dataclass(frozen=True)
class _Sheet:
    """Where the tiles of a contact sheet stand: the rectangle of rows and columns that have wells."""

    plate: str
    what: str
    top: int
    left: int
    rows: int
    columns: int
    size: int

    @property
    def margin(self) -> tuple[int, int]:
        return 44, 26

    @property
    def gap(self) -> int:
        return 1 if self.size < 40 else 3

    def at(self, place: tuple[int, int]) -> tuple[int, int]:
        across, down = place[1] - self.left, place[0] - self.top
        return (
            self.margin[0] + across * (self.size + self.gap),
            self.margin[1] + down * (self.size + self.gap),
        )

    def start(self) -> Canvas:
        """A canvas with labels, and every place empty."""
        width, height = self.at((self.top + self.rows, self.left + self.columns))
        canvas = Canvas(width, height)
        canvas.title(f"{self.plate}   {self.what}")
        every = max(1, -(-26 // (self.size + self.gap)))  # labels must not run into each other
        for column in range(self.left, self.left + self.columns):
            if (column - self.left) % every == 0:
                canvas.label(self.at((self.top, column)), (self.size, -self.margin[1]), str(column + 1))
        for row in range(self.top, self.top + self.rows):
            if (row - self.top) % max(1, -(-16 // (self.size + self.gap))) == 0:
                canvas.label(self.at((row, self.left)), (-self.margin[0], self.size), _letters(row))
            for column in range(self.left, self.left + self.columns):
                canvas.fill(self.at((row, column)), (self.size, self.size), ABSENT)
        return canvas


def _letters(row: int) -> str:
    return chr(65 + row) if row < 26 else chr(64 + row // 26) + chr(65 + row % 26)


def _address(images: ImageSet, well: str) -> tuple[int, int]:
    """Row and column, from 0, of a well: `B03` is (1, 2), `AA01` (26, 0)."""
    address = images.metadata(well).get("address", "")
    match = re.fullmatch(r"([A-Za-z]{1,2})0*([1-9]\d{0,3})", address)
    if match is None:
        raise UsageError(
            f"well {well}: its address is {address!r}; a contact sheet needs one such as B03 of every well"
        )
    row = 0
    for letter in match[1].upper():
        row = row * 26 + ord(letter) - 64
    return row - 1, int(match[2]) - 1
