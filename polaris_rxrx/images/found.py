"""Images as their keys, names or tables give them: which well, site and channel each is, in no order yet.

Conventions
    Channels are numbers from 1, or codes (0 the first) of names that a table gives. Codes of wells and sites
    are positions in `wells` and `sites`. An image that stands twice, and a key that is none, are errors:
    nobody can say which of two is meant.
    Of keys and names, and of a table's cells, nothing is guessed: `NA` may be a well.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx import bounded
from polaris_rxrx.errors import DataError, short, some
from polaris_rxrx.images.names import FILE, KEY, Place, natural, place_of
from polaris_rxrx.images.stores import Files, Shard, Shards, Store, open_parquet
from polaris_rxrx.tables import Table, read_table
from polaris_rxrx.types import Ints

COLUMNS = ("well_id", "site", "channel", "path")
BESIDE = ("experiment", "plate", "address")
_SEPARATOR = os.sep
MADE_UP = b"polaris_rxrx"  # in the schema of shards that were drawn and not photographed
"""Columns that a table of images may have as well."""


@dataclass(frozen=True, eq=False)
class Found:
    """Images (n,) of wells and sites, unordered; `named` has the channels' names where these are given."""

    layout: str
    wells: list[str]
    places: list[Place]
    well: Ints
    sites: list[str]
    site: Ints
    named: tuple[str, ...]
    channel: Ints
    store: Store
    provenance: dict[str, Any]
    notes: list[str] = field(default_factory=list)


class _Codes:
    """Codes of texts, in the order in which they come."""

    def __init__(self) -> None:
        self.at: dict[Any, int] = {}

    def of(self, texts: Any) -> Ints:
        """Codes (n,) of a pyarrow array."""
        encoded = texts.dictionary_encode()
        here = [self.at.setdefault(text, len(self.at)) for text in encoded.dictionary.to_pylist()]
        codes: Ints = np.array(here, dtype=np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]
        return codes


def _parse(texts: Any, pattern: str, refuse: Callable[[Ints], DataError]) -> dict[str, Any]:
    """The parts of names, pyarrow's arrays by name; `refuse` makes an error of the positions of misfits."""
    import pyarrow.compute as pc

    parts = pc.extract_regex(texts, pattern)
    wrong = np.flatnonzero(parts.is_null().to_numpy(zero_copy_only=False))
    if len(wrong):
        raise refuse(wrong)
    return {parts.type.field(i).name: part for i, part in enumerate(parts.flatten())}


class _Gathered:
    """Codes of wells, sites and channels, gathered file by file."""

    def __init__(self) -> None:
        self.well_codes, self.site_codes = _Codes(), _Codes()
        self.places: list[Place] = []
        self.well: list[Ints] = []
        self.site: list[Ints] = []
        self.channel: list[Ints] = []

    def add(self, parts: dict[str, Any]) -> None:
        import pyarrow.compute as pc

        ids = pc.binary_join_element_wise(parts["experiment"], parts["plate"], parts["address"], "_")
        before = len(self.well_codes.at)
        self.well.append(self.well_codes.of(ids))
        self.places += [place_of(well) for well in list(self.well_codes.at)[before:]]
        self.site.append(self.site_codes.of(parts["site"]))
        self.channel.append(parts["channel"].cast("int64").to_numpy(zero_copy_only=False))

    def found(self, layout: str, store: Store, provenance: dict[str, Any], notes: list[str]) -> Found:
        return Found(
            layout,
            list(self.well_codes.at),
            self.places,
            _joined(self.well),
            list(self.site_codes.at),
            _joined(self.site),
            (),
            _joined(self.channel),
            store,
            provenance,
            notes,
        )


def _joined(arrays: Sequence[Ints]) -> Ints:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.int64)


# ---- shards


def in_shards(root: Path, paths: Sequence[Path]) -> Found:
    """The images of parquet shards.

    Args:
        root: The folder that their names are told below.
        paths: The shards.

    Raises:
        DataError: A shard is broken, has no `__key__` or no `jp2`, or keys that are none; or all are empty.
    """
    gathered = _Gathered()
    shards: list[Shard] = []
    shard: list[Ints] = []
    row: list[Ints] = []
    unknown: list[str] = []
    lost = 0
    made_up = False
    for path in paths:
        opened = open_parquet(path)
        with opened:
            made_up |= MADE_UP in (opened.schema_arrow.metadata or {})
            shards.append(_shard(root, path, opened))
            keys = _keys(path, opened)
        try:
            gathered.add(_parse(keys, KEY, lambda wrong: _Unknown(wrong)))
        except _Unknown as error:
            lost += len(error.wrong)
            unknown += [
                f"{path}, row {i + 1}: {short(keys[i].as_py())}"
                for i in error.wrong[: 10 - len(unknown)].tolist()
            ]
            continue
        shard.append(np.full(len(keys), len(shards) - 1, dtype=np.int32))
        row.append(np.arange(len(keys), dtype=np.int32))
    if lost:
        raise DataError(
            f"{lost:,} of {sum(int(s.starts[-1]) for s in shards):,} keys are not of the form "
            "EXPERIMENT/PlateN/ADDRESS_sSITE_CHANNEL (compound-004/Plate1/AA04_s1_3): "
            + "; ".join(unknown)
            + ("; ..." if lost > len(unknown) else "")
        )
    store = Shards(tuple(shards), _joined(shard), _joined(row))
    if not len(store):
        raise DataError(f"{root}: {len(shards):,} shards without a row; images were expected")
    files = [
        {"name": s.name, "bytes": s.bytes, "rows": int(s.starts[-1]), "footer_sha256": s.footer}
        for s in shards
    ]
    provenance: dict[str, Any] = {"layout": "shards", "files": files}
    notes = [f"{root}: synthetic images, which say nothing of cells"] if made_up else []
    return gathered.found("shards", store, provenance | ({"made_up": True} if made_up else {}), notes)


class _Unknown(DataError):
    def __init__(self, wrong: Ints) -> None:
        super().__init__("unknown keys")
        self.wrong = wrong


def _shard(root: Path, path: Path, file: Any) -> Shard:
    """A shard as its footer describes it; the bytes stand in `jp2`, or in its field of that name."""
    import pyarrow.types as t

    size = path.stat().st_size
    bounded.check_parquet(file.metadata, path, size)
    schema = file.schema_arrow
    for name in ("__key__", "jp2"):
        if name not in schema.names:
            raise DataError(
                f"{path}: no column {name!r}; it has {some(schema.names, 12)}, and a shard of images has "
                "__key__ and jp2"
            )
    kind, column = schema.field("jp2").type, "jp2"
    if t.is_struct(kind):
        inner = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
        if "bytes" in inner:
            kind, column = inner["bytes"], "jp2.bytes"
    if not (t.is_binary(kind) or t.is_large_binary(kind)):
        raise DataError(f"{path}: jp2 holds {kind}; the bytes of images were expected")
    rows = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    starts = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
    return Shard(path, below(root, path), size, column, starts, _footer(path, size))


def _footer(path: Path, size: int) -> str:
    """The SHA-256 of a parquet file's footer, which says where and how large everything in it is."""
    with path.open("rb") as handle:
        handle.seek(max(0, size - 8))
        length = int.from_bytes(handle.read(4), "little")
        handle.seek(max(0, size - 8 - length))
        return hashlib.sha256(handle.read(length)).hexdigest()


def _keys(path: Path, file: Any) -> Any:
    """The keys of a shard, as one pyarrow array of texts."""
    import pyarrow as pa

    from polaris_rxrx.images.stores import _broken, _first

    try:
        column = file.read(["__key__"], use_threads=False).column(0)
    except _broken() as error:
        raise DataError(f"{path}: broken parquet file ({_first(error)})") from None
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise DataError(f"{path}: __key__ holds {column.type}; texts were expected")
    if column.nbytes > bounded.OBJECT:
        raise DataError(f"{path}: __key__ has more than {bounded.size(bounded.OBJECT)} of text")
    return (
        pa.concat_arrays(column.chunks).cast(pa.string()) if column.num_chunks else pa.array([], pa.string())
    )


def below(root: Path, path: Path) -> str:
    """A file's path below a folder, where it is there; its whole path elsewhere."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


# ---- files by name


def _text(paths: list[str]) -> Any:
    """Paths as pyarrow's texts."""
    import pyarrow as pa

    try:
        return pa.array(paths, pa.string())
    except UnicodeEncodeError as error:
        raise DataError(
            f"{short(error.object)}: the name of the file is not UTF-8; text was expected"
        ) from None


def in_folders(root: Path, paths: Sequence[str]) -> Found:
    """The images of files EXPERIMENT/PlateN/ADDRESS_sSITE_wCHANNEL, as RxRx3's are once unpacked.

    Args:
        root: A folder above all of them.
        paths: Files that may be images by the ends of their names.

    Raises:
        DataError: None has such a name.
    """
    import pyarrow.compute as pc

    # On Windows they are written with its own separator.
    given = f"{os.fspath(root)}/".replace(_SEPARATOR, "/")
    paths = [path.replace(_SEPARATOR, "/") for path in paths] if _SEPARATOR != "/" else paths
    # The folders above say experiment and plate; a link keeps the name that it was given.
    root = root.resolve() if ".." in root.parts else root.absolute()
    names = _text([path.removeprefix(given) for path in paths])
    whole = pc.binary_join_element_wise(root.as_posix(), names, "/")
    fits = pc.match_substring_regex(whole, FILE)
    if not pc.any(fits).as_py():
        raise DataError(
            f"{root}: {len(paths):,} images, and none is called as RxRx3's are "
            f"(EXPERIMENT/PlateN/ADDRESS_sSITE_wCHANNEL.png); there are {some(names[:5].to_pylist(), 5)}. "
            f"Give a CSV with {', '.join(COLUMNS)} instead"
        )
    notes = []
    if n := len(paths) - pc.sum(fits).as_py():
        others = names.filter(pc.invert(fits))
        notes.append(
            f"{n:,} files are not called as images of wells are and were left out: "
            f"{some(others[:3].to_pylist() + [''] * max(0, n - 3), 3)}"
        )
    gathered = _Gathered()
    gathered.add(_parse(whole.filter(fits), FILE, lambda wrong: DataError(str(wrong))))
    names = names.filter(fits)
    listed = "\n".join(names.to_pylist()).encode("utf-8", "surrogateescape")
    provenance = {
        "layout": "folders",
        "files": len(names),
        "names_sha256": hashlib.sha256(listed).hexdigest(),
    }
    return gathered.found("folders", Files(root, names), provenance, notes)


# ---- a table


def in_table(path: Path) -> Found:
    """The images that a CSV or parquet file names: well_id, site, channel, path, which is below its folder.

    Raises:
        DataError: No such columns, no row, an empty cell, channels that are numbers in part.
    """
    import pyarrow as pa

    table = read_table(path)
    table.need(*COLUMNS)
    if not len(table):
        raise DataError(f"{path}: no rows below the header; images were expected")
    cells = {name: _texts(table, name) for name in (*COLUMNS, *(n for n in BESIDE if n in table.columns))}
    others = [name for name in table.columns if name not in cells]
    _refuse_alike(path, others)
    notes = [f"{path}: columns {some(others, 8)} are not used"] if others else []

    wells, sites = _Codes(), _Codes()
    well, site = wells.of(pa.array(cells["well_id"])), sites.of(pa.array(cells["site"]))
    places = _places(table, cells, list(wells.at), well)
    named, channel = _channels(table, cells["channel"])
    root = path.parent.absolute()
    said = f"{path}, {table.unit}"
    store = Files(root, pa.array(cells["path"]), said, np.array(table.lines, dtype=np.int64))
    provenance = {
        "layout": "table",
        "files": [{"name": path.name, "rows": len(table), "sha256": table.sha256}],
    }
    return Found(
        "table", list(wells.at), places, well, list(sites.at), site, named, channel, store, provenance, notes
    )


def _refuse_alike(path: Path, others: Iterable[str]) -> None:
    """Raise `DataError` if a column that is not used is called almost as one that would be."""
    for name in others:
        for known in (*COLUMNS, *BESIDE):
            if name.strip().casefold() == known:
                raise DataError(f"{path}: column {short(name)} differs from {known!r} by blanks or case")


def _texts(table: Table, name: str) -> list[str]:
    """A column's cells as text: whole numbers as they are written; empty ones only where one may be."""
    found: list[str] = []
    for i, cell in enumerate(table.columns[name]):
        if isinstance(cell, str):
            text = cell.strip() if name != "path" else cell
        elif isinstance(cell, int) and not isinstance(cell, bool):
            text = str(cell)
        elif cell is None:
            text = ""
        else:
            raise DataError(f"{table.at(i)}: {name} is {short(cell)}; a text or a whole number was expected")
        if not text and name in COLUMNS:
            raise DataError(f"{table.at(i)}: {name} is empty; every image has {', '.join(COLUMNS)}")
        found.append(text)
    return found


def _places(table: Table, cells: dict[str, list[str]], wells: list[str], well: Ints) -> list[Place]:
    """Where wells stand: by the table's own columns, else by what their ids say."""
    own = [name for name in BESIDE if name in cells]
    if not own:
        return [place_of(each) for each in wells]
    found: list[Place | None] = [None] * len(wells)
    for i, code in enumerate(well.tolist()):
        place = Place(**{name: cells[name][i] for name in own})
        if (before := found[code]) is None:
            found[code] = place
        elif before != place:
            raise DataError(
                f"{table.at(i)}: well {short(wells[code])} is at {place.to_dict()}, and at "
                f"{before.to_dict()} in an earlier row"
            )
    return [place or Place() for place in found]


def _channels(table: Table, cells: list[str]) -> tuple[tuple[str, ...], Ints]:
    """Channels as numbers from 1, or as codes of their names in the order in which these come."""
    numbers = [cell.isdecimal() and cell.isascii() and len(cell) < 4 and int(cell) > 0 for cell in cells]
    if all(numbers):
        return (), np.array([int(cell) for cell in cells], dtype=np.int64)
    if any(numbers):
        i, j = numbers.index(True), numbers.index(False)
        raise DataError(
            f"{table.at(i)}: channel is the number {cells[i]}, and {short(cells[j])} in {table.unit} "
            f"{table.lines[j]}; either numbers from 1 or names were expected"
        )
    at: dict[str, int] = {}
    codes = [at.setdefault(cell, len(at)) for cell in cells]
    return tuple(at), np.array(codes, dtype=np.int64)


def ordered_sites(names: Sequence[str]) -> Ints:
    """The rank (m,) of each site's name."""
    rank = np.empty(len(names), dtype=np.int64)
    rank[sorted(range(len(names)), key=lambda i: natural(names[i]))] = np.arange(len(names))
    return rank
