"""Images of any screen, opened: RxRx3-core's shards, RxRx3's folders, or whatever a CSV names.

Conventions
    - Shards: parquet files with `__key__` (`compound-004/Plate1/AA04_s1_3`) and `jp2`, bytes or a struct with
      `bytes`, as `datasets` writes images; RxRx3-core has 35, `data/train-*.parquet`, 1,335,606 images. Below
      a folder every file `train-*.parquet` has to be one, and any other with a `__key__` is.
    - Folders: EXPERIMENT/PlateN/ADDRESS_sSITE_wCHANNEL.png, see `images.names`. RxRx3 is published as a tar
      a plate, of 16-bit PNGs of 2,048 x 2,048 px; unpack each below its own EXPERIMENT/PlateN.
    - A table, CSV or parquet, with `well_id`, `site`, `channel`, `path` (below the table's folder, or
      absolute), for any screen; `experiment`, `plate`, `address` may stand beside them.
    Channels that are numbers are called by their numbers: 1 to 6 Hoechst, ConA, Phalloidin, Syto14,
    MitoTracker, WGA of shards, and of folders with six channels; else Channel1 and so on, unless names are
    stated. `channels` are names for the numbers 1 to n; where all of them are known already (as above, or
    from a table with names) they are a choice of these, in the order that is asked for.
    White is 255 of 8 bits, and has to be stated of 16: the largest values seen are told, as a hint.
"""

from __future__ import annotations

import glob
import gzip
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from polaris_rxrx import bounded
from polaris_rxrx.errors import DataError, UsageError, short, some
from polaris_rxrx.images import names
from polaris_rxrx.images.decode import decoders
from polaris_rxrx.images.found import COLUMNS, Found, below, in_folders, in_shards, in_table, ordered_sites
from polaris_rxrx.images.indexed import Indexed, Kind, look
from polaris_rxrx.images.stores import open_parquet
from polaris_rxrx.tables import read_table
from polaris_rxrx.types import Ints

PIXEL_SIZE = 0.65  # micrometers, of RxRx3-core
SIZE = (512, 512)  # pixels, of RxRx3-core
_IMAGES = {".png", ".jp2", ".j2k", ".tif", ".tiff"}


def open_images(
    where: str | Path,
    *,
    wells_file: str | Path | None = None,
    channels: Sequence[str] | None = None,
    white: float | None = None,
    pixel_size: float | None = None,
) -> Indexed:
    """Index the images of a screen; none is read yet, but for a few that say what the others are.

    Args:
        where: A folder, a glob, or a file: see above.
        wells_file: A CSV or parquet file with `well_id`, or an id a line: the wells that are wanted.
        channels: Names of the channels, in the order that pixels shall have.
        white: The value that stands for full intensity; has to be stated of images of 16 bits.
        pixel_size: Micrometers a pixel; 0.65 of shards, unknown of others.

    Returns:
        The set, an `ImageSet`; `notes` tells what was guessed or left out.

    Raises:
        DataError: No images, or not such as are described above.
        UsageError: A choice that the images do not fit.

    Here of one well with six cells, drawn:

    >>> from polaris_rxrx.dataset.sandbox_images import Phenotype, draw, pictures, write_shards
    >>> field = draw(Phenotype(count=6), seed=0, size=(96, 96))
    >>> _ = write_shards(Path("images"), pictures("compound-004_1_AA04", field.pixels))
    >>> images = pr.open_images("images", pixel_size=1.0)
    >>> images.wells, images.channels[:3], images.white
    (('compound-004_1_AA04',), ('Hoechst', 'ConA', 'Phalloidin'), 255.0)
    >>> (well,) = images.part(images.wells).read(images.wells)
    >>> well.sites[0].pixels.shape
    (6, 96, 96)
    """
    _check_choices(channels, white, pixel_size)
    found = _find(where)
    notes = list(found.notes)
    found, chosen = _choose_channels(found, channels, notes)
    wanted = None if wells_file is None else _wanted(Path(wells_file))
    index = _ordered(found, wanted, wells_file, notes)
    for channel, name in enumerate(chosen):
        if not np.any(index.channel == channel):
            raise DataError(f"{where}: no image of channel {channel + 1}, {name!r}, of {', '.join(chosen)}")
    kind, most, told = look(index.store)
    notes += told
    index.kind, index.channels = kind, chosen
    index.white = _white(white, kind, most, str(where), notes)
    index.pixel_size = pixel_size
    if pixel_size is None and found.layout == "shards":
        index.pixel_size = PIXEL_SIZE
        if kind.size != SIZE and not found.provenance.get("made_up"):  # images of somebody's own
            notes.append(
                f"a pixel is taken for {PIXEL_SIZE} um, as RxRx3-core's are; --pixel-size states another"
            )
    index.notes = tuple(notes)
    index.provenance = {
        **found.provenance,
        "images": len(index.site),
        "channels": list(chosen),
        "height": kind.size[0],
        "width": kind.size[1],
        "bits": kind.bits,
        "white": index.white,
        "pixel_size": index.pixel_size,
        "decoders": decoders(),
    }
    return index


def _check_choices(channels: Sequence[str] | None, white: float | None, pixel_size: float | None) -> None:
    if channels is not None:
        if isinstance(channels, str):
            raise UsageError(f"channels are {channels!r}; a list of names was expected")
        if not channels or any(not name.strip() for name in channels) or len(set(channels)) < len(channels):
            raise UsageError(
                f"channels are {', '.join(map(repr, channels))}; names, each once, were expected"
            )
    if white is not None and not (np.isfinite(white) and 1 <= white <= 65535):
        raise UsageError(f"the scale is {white:g}; the value that stands for white, 1 to 65535, was expected")
    if pixel_size is not None and not (np.isfinite(pixel_size) and 0 < pixel_size < 1000):
        raise UsageError(f"a pixel of {pixel_size:g} um; a positive number of micrometers was expected")


# ---- what there is


def _find(where: str | Path) -> Found:
    """Whichever layout stands there."""
    path = Path(where)
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        return _in_file(path)
    if not glob.has_magic(str(where)):
        raise DataError(f"{where}: no such file or folder; images were expected")
    paths = sorted(Path(p) for p in glob.glob(str(where), recursive=True) if Path(p).is_file())  # noqa: PTH207
    if not paths:
        raise DataError(f"{where}: nothing has such a name; images were expected")
    root = _above(where)
    ends = {path.suffix.lower() for path in paths}
    if ends == {".parquet"}:
        return in_shards(root, paths)
    if ends <= _IMAGES:
        return in_folders(root, [str(path) for path in paths])
    if len(paths) == 1:
        return _in_file(paths[0])
    raise DataError(
        f"{where}: files that end in {', '.join(sorted(ends))}; parquet shards alone, or images alone, "
        "were expected"
    )


def _above(where: str | Path) -> Path:
    """The folder that a glob begins with."""
    parts = Path(where).parts
    magic = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:magic])


def _in_file(path: Path) -> Found:
    if path.suffix.lower() == ".parquet":
        with open_parquet(path) as file:
            columns = file.schema_arrow.names
        return (
            in_table(path)
            if "path" in columns and "__key__" not in columns
            else in_shards(path.parent, [path])
        )
    if path.suffix.lower() in _IMAGES:
        return in_folders(path.parent, [str(path)])
    return in_table(path)


def _in_folder(root: Path) -> Found:
    """Shards anywhere below a folder, else image files."""
    files = _below(root)
    parquet = [Path(name) for name in files if name.endswith(".parquet")]
    by_name = [path for path in parquet if path.name.startswith("train-")]
    if shards := [path for path in parquet if path in by_name or _has_keys(path)]:
        found = in_shards(root, shards)
        found.notes.extend(_absent(by_name))
        if others := [below(root, path) for path in parquet if path not in shards]:
            found.notes.append(f"{some(others, 3)}: no __key__, so no shards of images; left out")
        return found
    if images := [name for name in files if os.path.splitext(name)[1].lower() in _IMAGES]:  # noqa: PTH122
        return in_folders(root, images)
    raise DataError(
        f"{root}: no shards (parquet files with __key__ and jp2) and no images (.png, .jp2, .tif) below it; "
        f"{_instead(files)}"
    )


def _below(root: Path) -> list[str]:
    """The paths of the files below a folder, sorted, without hidden ones; texts, as there may be millions."""
    found: list[str] = []
    seen: set[str] = set()
    for folder, folders, inside in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:  # a link may lead up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [os.path.join(folder, name) for name in inside if not name.startswith(".")]  # noqa: PTH118
    return sorted(found)


def _instead(files: Sequence[str]) -> str:
    """What to do where a folder has neither."""
    if tables := [name for name in files if name.endswith((".csv", ".csv.gz")) and _names_images(name)]:
        return f"is it {tables[0]} that names them?"
    if tars := [name for name in files if name.endswith(".tar")]:
        return f"unpack {os.path.basename(tars[0])} and its like, each below EXPERIMENT/PlateN"  # noqa: PTH119
    return f"a CSV with {', '.join(COLUMNS)} can name images elsewhere"


def _names_images(name: str) -> bool:
    """Whether a table's first line has the columns of one that names images."""
    try:
        with (gzip.open if name.endswith(".gz") else open)(name, "rb") as file:
            head = file.readline(4096).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error):
        return False
    return {"well_id", "path"} <= {word.strip(' "\r\n\ufeff') for word in head.split(",")}


def _has_keys(path: Path) -> bool:
    """Whether a parquet file has keys of images; of a broken one nobody knows."""
    with open_parquet(path) as file:
        return "__key__" in file.schema_arrow.names


def _absent(shards: Sequence[Path]) -> list[str]:
    """What the names of shards say of those that are not here: `train-00003-of-00035`."""
    numbers = [re.fullmatch(r"train-(\d+)-of-(\d+).*\.parquet", path.name) for path in shards]
    of = {int(match[2]) for match in numbers if match}
    if len(of) != 1 or not all(numbers) or len(numbers) >= max(of):
        return []
    return [f"{len(numbers)} of {max(of)} shards are here; wells of the others are not seen"]


# ---- which of it


def _choose_channels(
    found: Found, channels: Sequence[str] | None, notes: list[str]
) -> tuple[Found, tuple[str, ...]]:
    """The channels' names in order, and the images with codes of these; images of others are -1."""
    code = found.channel if found.named else found.channel - 1
    count = int(code.max()) + 1
    known = found.named
    six = len(names.STAINS)
    if (found.layout == "shards" and count <= six) or (found.layout == "folders" and count == six):
        known = names.STAINS
    if channels is None:
        if found.named:
            notes.append(f"channels are in the order in which they are named: {', '.join(known)}")
        return replace(found, channel=code), known or _numbered(count, notes)
    chosen = tuple(channels)
    strange = [name for name in chosen if name not in known]
    if not strange:
        at = np.full(len(known), -1, dtype=np.int64)
        at[[known.index(name) for name in chosen]] = np.arange(len(chosen))
        if left := [name for name in known[:count] if name not in chosen]:
            notes.append(f"channels {', '.join(left)} are left out")
        return replace(found, channel=at[code]), chosen
    if found.named:
        near = get_close_matches(strange[0], known, 1, 0.6)
        hint = f" (is it {near[0]!r}?)" if near else ""
        raise UsageError(f"no channel {strange[0]!r}{hint}; there are {', '.join(known)}")
    if count > len(chosen):
        choice = f", or a choice of {', '.join(known)}" if known else ""
        where = found.store.at(int(np.argmax(code)))
        raise UsageError(
            f"{where}: channel {count}, and {len(chosen)} channels are stated, "
            f"{', '.join(chosen)}; {count} names{choice} were expected"
        )
    if known:
        pairs = (f"{old} {new}" for old, new in zip(known, chosen, strict=False) if old != new)
        notes.append(f"channels are called otherwise than RxRx3's: {', '.join(pairs)}")
    return replace(found, channel=code), chosen


def _numbered(count: int, notes: list[str]) -> tuple[str, ...]:
    found = tuple(f"Channel{i + 1}" for i in range(count))
    notes.append(f"channels 1 to {count} have no names; they are called {found[0]} to {found[-1]}")
    return found


def _wanted(path: Path) -> list[str]:
    """The ids in a file: its column `well_id`, or its lines."""
    raw = bounded.read_file(path, bounded.TABLE)
    first = raw.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf-8", "replace").strip("\r ")
    if raw.startswith((b"PAR1", b"\x1f\x8b")) or "," in first or first == "well_id":
        table = read_table(path)
        table.need("well_id")
        ids = [str(cell).strip() if cell is not None else "" for cell in table.columns["well_id"]]
        if "" in ids:
            raise DataError(f"{table.at(ids.index(''))}: well_id is empty")
    else:
        try:
            ids = [line.strip() for line in raw.decode("utf-8-sig").splitlines()]
        except UnicodeDecodeError:
            raise DataError(
                f"{path}: not UTF-8 text; a CSV with well_id, or an id a line, was expected"
            ) from None
        ids = [line for line in ids if line]
    if not ids:
        raise DataError(f"{path}: no ids of wells; a column well_id, or an id a line, was expected")
    return ids


def _ordered(
    found: Found, wanted: list[str] | None, wells_file: str | Path | None, notes: list[str]
) -> Indexed:
    """Images in order of wells, sites and channels, without those that are not asked for."""
    keep = found.channel >= 0
    used = np.zeros(len(found.wells), dtype=np.bool_)
    used[found.well[keep]] = True
    if wanted is not None:
        used = _restricted(found, used, wanted, wells_file, notes)
        keep &= used[found.well]
    in_order = names.order(found.wells, found.places)
    in_order = in_order[used[in_order]]
    rank = np.full(len(found.wells), -1, dtype=np.int64)
    rank[in_order] = np.arange(len(in_order))
    images = np.flatnonzero(keep)
    well, site = rank[found.well[images]], ordered_sites(found.sites)[found.site[images]]
    channel = found.channel[images]
    by = np.lexsort((channel, site, well))
    images, well, site, channel = images[by], well[by], site[by], channel[by]
    same = (well[1:] == well[:-1]) & (site[1:] == site[:-1]) & (channel[1:] == channel[:-1])
    if same.any():
        _refuse_twice(found, images, int(np.flatnonzero(same)[0]), int(same.sum()))
    counts = np.bincount(well, minlength=len(in_order))
    sites = sorted(found.sites, key=names.natural)
    return Indexed(
        wells=tuple(found.wells[i] for i in in_order),
        places=tuple(found.places[i] for i in in_order),
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        sites=tuple(sites),
        site=site.astype(np.int32),
        channels=(),
        channel=channel.astype(np.int16),
        store=found.store.take(images),
        kind=Kind((0, 0), 8),
        white=0.0,
        pixel_size=None,
        provenance={},
    )


def _refuse_twice(found: Found, images: Ints, at: int, n: int) -> None:
    one, other = int(images[at]), int(images[at + 1])
    channel = found.named[found.channel[one]] if found.named else found.channel[one] + 1
    raise DataError(
        f"{found.store.at(other)}: well {short(found.wells[found.well[one]])}, site "
        f"{found.sites[found.site[one]]}, channel {channel} stands also in {found.store.at(one)}; "
        f"every image once was expected, and {n:,} {'is' if n == 1 else 'are'} there again"
    )


def _restricted(
    found: Found, used: np.ndarray, wanted: list[str], wells_file: str | Path | None, notes: list[str]
) -> np.ndarray:
    """Which wells are asked for and have images."""
    at = {well: i for i, well in enumerate(found.wells)}
    asked = dict.fromkeys(wanted)
    if (twice := len(wanted) - len(asked)) > 0:
        notes.append(f"{wells_file}: {twice:,} ids stand there more than once; each well is taken once")
    here = [at[well] for well in asked if well in at and used[at[well]]]
    absent = [well for well in asked if well not in at or not used[at[well]]]
    if not here:
        raise DataError(
            f"{wells_file}: none of {len(asked):,} wells has images, {some(list(asked), 3)}; images are of "
            f"{some(found.wells, 3)}"
        )
    if absent:
        notes.append(f"{wells_file}: {len(absent):,} of {len(asked):,} wells have no images: {some(absent)}")
    kept = np.zeros(len(used), dtype=np.bool_)
    kept[here] = True
    return kept


def _white(white: float | None, kind: Kind, most: int, where: str, notes: list[str]) -> float:
    """The value that stands for white."""
    if kind.bits == 8:
        if white is not None and white > 255:
            raise UsageError(f"{where}: images of 8 bits; a scale of {white:g} is beyond their 255")
        return 255.0 if white is None else float(white)
    if white is None:
        fits = next(bits for bits in (8, 10, 12, 14, 16) if most < 1 << bits)
        raise UsageError(
            f"{where}: images of 16 bits, and nothing says which value stands for white; state it by "
            f"--scale. The largest value seen in a few of them is {most:,}, which {fits} bits hold: --scale "
            f"{(1 << fits) - 1}"
        )
    if most > white:
        notes.append(f"a value of {most:,} was seen, above the scale of {white:g}; such images are faults")
    return float(white)
