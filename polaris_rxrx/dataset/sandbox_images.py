"""Synthetic fields of stained cells with known truth, and RxRx3-core's shards of images.

For `polaris-rxrx demo --images` and for tests. Nothing in them is a photograph of a cell.

How a field comes about. Nuclei are ellipses that keep apart and lie whole in the field. A cell is what is
nearest to a nucleus, measured in the nucleus' own axes, and no farther than `reach` of them; so cells never
overlap, and touch where they are crowded. Each of the six channels is a background, and what its stain marks:
    Hoechst the nuclei; ConA the cytoplasm, most at the nucleus; Phalloidin the rim and fibers; Syto14
    nucleoli and cytoplasm; MitoTracker a net in the cytoplasm; WGA a spot beside the nucleus and the rim.
Textures are smoothed noise of the width `grain`. A lens blurs all of it (`LENS`), and the camera adds noise.

Conventions
    Positions are (row, column) in pixels, a pixel's center at its whole numbers; radii are pixels, brightness
    is gray levels of 255. `Field.clean` is what a camera without noise would read, so means over it are the
    truth that measurements are held against. Label 0 is background, label i the i-th cell, in order of their
    centers. Shards have the published schema, `__key__` (`compound-004/Plate1/AA04_s1_3`) and `jp2`, an image
    a row. Pixels are rounded before they become whole numbers, so that the last bits of a sum, which differ
    between machines, stay out of them. Unless a quality is asked for, images are encoded without loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from polaris_rxrx.errors import UsageError
from polaris_rxrx.types import Floats

CHANNELS = ("Hoechst", "ConA", "Phalloidin", "Syto14", "MitoTracker", "WGA")
BRIGHTNESS = (120.0, 70.0, 75.0, 85.0, 90.0, 80.0)  # gray levels of an ordinary cell, above the background
BACKGROUND = (8.0, 14.0, 11.0, 12.0, 10.0, 12.0)
LENS = 0.8  # pixels: sigma of the blur
NOISE = 0.08  # of the root of a gray level, and as much of a level again: light and camera
EDGE = 0.5  # pixels over which a nucleus fades out

Labels = npt.NDArray[np.int32]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Phenotype:
    """What the cells of a field are like.

    Attributes:
        count: Cells in the field.
        radius: Mean radius of a nucleus, pixels.
        spread: Standard deviation of the radii, as a share of `radius`.
        longness: Mean ratio of a nucleus' long to its short axis.
        reach: How far a cell reaches, in radii of its nucleus; large, and cells fill the field.
        brightness: Of each channel, times that of an ordinary cell.
        grain: Width of the textures, pixels.
        contrast: Strength of the textures: 0 is none.
    """

    count: int = 40
    radius: float = 7.0
    spread: float = 0.1
    longness: float = 1.25
    reach: float = 2.5
    brightness: tuple[float, ...] = (1.0,) * len(CHANNELS)
    grain: float = 1.8
    contrast: float = 0.3


@dataclass(frozen=True, eq=False)
class Field:
    """A field of cells and its truth.

    Attributes:
        pixels: (6, height, width), what the camera stores.
        clean: The same without noise and rounding, gray levels.
        nuclei: (height, width), the label of each pixel's nucleus: its center lies in the ellipse.
        cells: (height, width), the label of each pixel's cell; a nucleus is part of its cell.
        centers: (cells, 2), of the ellipses.
        axes: (cells, 2), long and short half axes of the ellipses.
        angles: (cells,), of the long axes against the direction of rows, radians.
    """

    pixels: Pixels
    clean: Floats
    nuclei: Labels
    cells: Labels
    centers: Floats
    axes: Floats
    angles: Floats

    @property
    def ellipse_areas(self) -> Floats:
        """(cells,), areas of the ellipses themselves, square pixels."""
        return np.asarray(np.pi * self.axes[:, 0] * self.axes[:, 1])

    def areas(self, labels: Labels) -> Floats:
        """(cells,), pixels of each label."""
        return np.bincount(labels.ravel(), minlength=len(self.centers) + 1)[1:].astype(np.float64)

    def means(self, labels: Labels) -> Floats:
        """(cells, 6), mean gray level of each label in each channel, without noise."""
        sums = [
            np.bincount(labels.ravel(), weights=c.ravel(), minlength=len(self.centers) + 1)[1:]
            for c in self.clean
        ]
        return np.asarray(np.array(sums).T / self.areas(labels)[:, None])


def draw(phenotype: Phenotype, seed: int | Sequence[int], *, size: tuple[int, int] = (256, 256)) -> Field:
    """Draw a field; the same seed draws the same bytes.

    Raises:
        UsageError: So many nuclei do not fit, or a phenotype makes no sense.

    >>> field = draw(Phenotype(count=5), seed=0, size=(64, 64))
    >>> field.pixels.shape, field.pixels.dtype.name, int(field.nuclei.max())
    ((6, 64, 64), 'uint8', 5)
    """
    if phenotype.count < 0 or phenotype.radius <= 1 or len(phenotype.brightness) != len(CHANNELS):
        raise UsageError(f"{phenotype}: expected count >= 0, radius > 1 and {len(CHANNELS)} brightnesses")
    rng = np.random.default_rng(seed)
    radii = phenotype.radius * np.exp(phenotype.spread * np.clip(rng.standard_normal(phenotype.count), -2, 2))
    ratio = 1 + (phenotype.longness - 1) * rng.uniform(0.5, 1.5, phenotype.count)
    axes = np.stack([radii * np.sqrt(ratio), radii / np.sqrt(ratio)], axis=1)
    centers = _places(axes[:, 0], size, rng)
    order = np.lexsort((centers[:, 1], centers[:, 0]))
    centers, axes = centers[order], axes[order]
    angles = rng.uniform(0, np.pi, phenotype.count)
    nuclei, cells, rho, owner = _labels(centers, axes, angles, phenotype.reach, size, rng)
    clean = _light(phenotype, nuclei, cells, rho, owner, centers, axes, angles, rng)
    noise = rng.standard_normal(clean.shape) * NOISE * (1 + np.sqrt(clean))
    pixels = np.clip(np.round(np.round(clean + noise, 6)), 0, 255).astype(np.uint8)
    return Field(pixels, clean, nuclei, cells, centers, axes, angles)


def _places(radii: Floats, size: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Centers, (cells, 2): nuclei two pixels apart or more, and as far from the edge."""
    centers = np.zeros((len(radii), 2))
    for i, radius in enumerate(radii):
        low, high = radius + 2, np.array(size) - 1 - radius - 2
        for _ in range(200):
            tries = rng.uniform(low, np.maximum(high, low), size=(32, 2))
            gaps = np.linalg.norm(tries[:, None] - centers[None, :i], axis=2) - radii[:i] - radius
            free = (gaps >= 2).all(axis=1) & (tries <= high).all(axis=1)
            if free.any():
                centers[i] = tries[np.argmax(free)]
                break
        else:
            raise UsageError(
                f"{len(radii)} nuclei of about {radii.mean():.1f} pixels' radius do not fit into "
                f"{size[0]}x{size[1]} pixels; {i} did"
            )
    return centers


def _labels(
    centers: Floats,
    axes: Floats,
    angles: Floats,
    reach: float,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[Labels, Labels, Floats, npt.NDArray[np.intp]]:
    """Nuclei, cells, and of each pixel its distance to the nearest nucleus (1: its edge), and which it is."""
    rho, owner = np.full(size, np.inf), np.zeros(size, np.intp)
    for i, ((row, column), (long, short), angle) in enumerate(zip(centers, axes, angles, strict=True)):
        far = int(1.3 * max(reach, 1.15) * long) + 2  # beyond, no pixel is this cell's
        top, left = max(round(row) - far, 0), max(round(column) - far, 0)
        window = np.s_[top : round(row) + far + 1, left : round(column) + far + 1]
        rows, columns = np.ogrid[top : top + rho[window].shape[0], left : left + rho[window].shape[1]]
        along = (rows - row) * np.cos(angle) + (columns - column) * np.sin(angle)
        across = (columns - column) * np.cos(angle) - (rows - row) * np.sin(angle)
        distance = np.hypot(along / long, across / short)
        nearer = distance < rho[window]
        rho[window][nearer], owner[window][nearer] = distance[nearer], i
    wobble = 1 + 0.12 * np.clip(_smooth(size, 6.0, rng), -2, 2)  # cells are no ellipses
    nuclei = np.where(rho <= 1, owner + 1, 0).astype(np.int32)
    cells = np.where(rho <= np.maximum(reach * wobble, 1.15), owner + 1, 0).astype(np.int32)
    return nuclei, cells, rho, owner


def _light(
    phenotype: Phenotype,
    nuclei: Labels,
    cells: Labels,
    rho: Floats,
    owner: npt.NDArray[np.intp],
    centers: Floats,
    axes: Floats,
    angles: Floats,
    rng: np.random.Generator,
) -> Floats:
    """What the camera reads without noise: (6, height, width), gray levels."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter, maximum_filter, minimum_filter

    size, count = nuclei.shape, len(centers)
    inside = cells > 0
    # Pixels to the edge of the cell: also where it touches another.
    border = (maximum_filter(cells, 3) != cells) | (minimum_filter(cells, 3) != cells) | ~inside
    depth = distance_transform_edt(~border)
    radius = np.sqrt(axes.prod(axis=1))[owner] if count else np.ones(size)
    nucleus = 1 / (1 + np.exp(np.clip((rho - 1) * radius / EDGE, -50, 50)))
    soft = gaussian_filter(inside.astype(np.float64), 1.0)
    cytoplasm = soft * (1 - nucleus)
    near = np.exp(-np.maximum(np.where(np.isfinite(rho), rho, 99.0) - 1, 0) / 0.8)
    rim = np.exp(-((depth / 1.5) ** 2)) * inside

    def grain(width: float, strength: float) -> Floats:
        wave = np.clip(_smooth(size, max(width * phenotype.grain / 1.8, 0.3), rng), -2.5, 2.5)
        return np.asarray(np.maximum(1 + strength * phenotype.contrast * wave, 0))

    spots = _spots(rho, centers, axes, angles, rng)
    layers = (
        nucleus * grain(1.8, 0.5),
        cytoplasm * (0.35 + 0.65 * near) * grain(1.5, 0.8),
        (0.25 * soft * grain(1.2, 1.8) + 0.9 * rim) * grain(3.0, 0.4),
        cytoplasm * 0.5 * grain(1.8, 0.6) + nucleus * (0.35 + 0.9 * spots[0]),
        cytoplasm * near**0.5 * np.maximum(grain(1.1, 3.0) - 0.3, 0.05),
        0.7 * spots[1] * soft + 0.5 * rim + 0.2 * cytoplasm * grain(1.5, 1.0),
    )
    own = np.exp(0.08 * rng.standard_normal((len(CHANNELS), max(count, 1))))  # no two cells are alike
    clean = np.stack(
        [
            BACKGROUND[c] + BRIGHTNESS[c] * phenotype.brightness[c] * own[c][owner] * layer
            for c, layer in enumerate(layers)
        ]
    )
    return np.asarray(np.clip([gaussian_filter(plane, LENS) for plane in clean], 0, 255))


def _spots(
    rho: Floats, centers: Floats, axes: Floats, angles: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Two or three nucleoli in each nucleus, and a Golgi apparatus beside it: 0 to 1, (height, width)."""
    nucleoli, golgi = np.zeros(rho.shape), np.zeros(rho.shape)

    def stamp(onto: Floats, row: float, column: float, width: float) -> None:
        far = int(4 * width) + 1
        top, left = max(round(row) - far, 0), max(round(column) - far, 0)
        part = onto[top : round(row) + far + 1, left : round(column) + far + 1]
        rows, columns = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]]
        part[:] = np.maximum(part, np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2)))

    for (row, column), (long, short), angle in zip(centers, axes, angles, strict=True):
        for _ in range(int(rng.integers(2, 4))):
            turn, out = rng.uniform(0, 2 * np.pi), 0.6 * np.sqrt(rng.uniform())
            stamp(
                nucleoli, row + out * short * np.cos(turn), column + out * short * np.sin(turn), 0.16 * short
            )
        side = np.pi / 2 * (1 if rng.random() < 0.5 else -1)
        turn, out = angle + side, 1.25 * short
        stamp(golgi, row + out * np.cos(turn), column + out * np.sin(turn), 0.3 * long)
    return nucleoli, golgi


def _smooth(size: tuple[int, ...], width: float, rng: np.random.Generator) -> Floats:
    """Noise of mean 0 and variance 1 whose neighbors within `width` pixels are alike."""
    from scipy.ndimage import gaussian_filter

    wave = gaussian_filter(rng.standard_normal(size), width, mode="wrap")
    deviation = wave.std()
    return np.asarray(wave / deviation if deviation else wave)


# --- shards ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Picture:
    """One stored image: whose it is, and its bytes as they stand in the file."""

    key: str
    data: bytes


def key(well: str, site: int, channel: int) -> str:
    """RxRx3-core's name of an image: `compound-004_1_AA04`, 1, 3 -> `compound-004/Plate1/AA04_s1_3`."""
    experiment, plate, address = well.rsplit("_", 2)
    return f"{experiment}/Plate{plate}/{address}_s{site}_{channel}"


def encode(pixels: Pixels, quality: int = 0) -> bytes:
    """A JPEG 2000 file of one channel, (height, width), by imagecodecs, else by Pillow.

    `quality` is the ratio of signal to noise in decibels; 0 is without loss.
    """
    try:
        import imagecodecs
    except ImportError:
        from io import BytesIO

        from PIL import Image

        buffer = BytesIO()
        layers: dict[str, Any] = {"quality_mode": "dB", "quality_layers": [quality]} if quality else {}
        Image.fromarray(pixels).save(buffer, format="JPEG2000", irreversible=bool(quality), **layers)
        return buffer.getvalue()
    return bytes(imagecodecs.jpeg2k_encode(pixels, level=quality, codecformat="jp2", reversible=not quality))


def pictures(well: str, pixels: Pixels, *, site: int = 1, quality: int = 0) -> list[Picture]:
    """A site's images as they are stored, of `pixels` (channels, height, width); channels count from 1.

    >>> images = pictures("compound-004_1_AA04", draw(Phenotype(count=5), seed=0, size=(64, 64)).pixels)
    >>> len(images), images[0].key
    (6, 'compound-004/Plate1/AA04_s1_1')
    """
    return [Picture(key(well, site, c), encode(plane, quality)) for c, plane in enumerate(pixels, 1)]


def write_shards(
    folder: Path,
    images: Iterable[Picture],
    *,
    shard: int = 1000,
    row_group: int = 100,
    note: str = "",
    structs: bool = False,
) -> list[Path]:
    """Write `train-00000-of-00002.parquet`, ... into `folder`, in the order of the images.

    Args:
        folder: Made where it is not there.
        images: What is written; a shard at a time is held in memory.
        shard: Images a shard.
        row_group: Images a row group.
        note: Kept in each file, to tell synthetic images from real ones.
        structs: Write `jp2` as structs of `bytes` and `path`, as the library `datasets` writes images.

    >>> field = draw(Phenotype(count=5), seed=0, size=(64, 64))
    >>> [path.name for path in write_shards(Path("images"), pictures("compound-004_1_AA04", field.pixels))]
    ['train-00000-of-00001.parquet']
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if shard < 1 or row_group < 1:
        raise UsageError(f"{shard} images a shard, {row_group} a row group: expected 1 or more")
    folder.mkdir(parents=True, exist_ok=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())]) if structs else pa.binary()
    schema = pa.schema([("__key__", pa.string()), ("jp2", kind)])
    if note:
        schema = schema.with_metadata({"polaris_rxrx": note})

    def write(held: Sequence[Picture]) -> Path:
        path = folder / f"train-{len(written):05d}.parquet.tmp"
        data: list[Any] = [{"bytes": i.data, "path": None} if structs else i.data for i in held]
        table = pa.table([pa.array([i.key for i in held]), pa.array(data, kind)], schema=schema)
        # The images are packed already.
        pq.write_table(table, path, row_group_size=row_group, compression="none", use_dictionary=False)
        return path

    written: list[Path] = []
    held: list[Picture] = []
    for image in images:
        held.append(image)
        if len(held) == shard:
            written.append(write(held))
            held = []
    if held or not written:
        written.append(write(held))
    named = [folder / f"train-{i:05d}-of-{len(written):05d}.parquet" for i in range(len(written))]
    return [old.replace(new) for old, new in zip(written, named, strict=True)]
