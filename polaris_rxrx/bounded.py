"""Reads from outside, each with a bound that its error names.

Conventions
    Whatever comes from a file or a network that somebody else made is read up to a size, a depth, a number of
    digits, a time; beyond it is a clear error, before memory or patience runs out. Sizes are of unpacked
    bytes.
    `json_loads` and `toml_loads` raise a ValueError, so that a reader names its file as for any broken
    document; what opens files raises a `DataError` that names the file.
    A packed file may claim, or hold, far more than it is large: `room` is what is believed of one.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from polaris_rxrx.errors import DataError, short
from polaris_rxrx.files import open_binary

if TYPE_CHECKING:
    import httpx

MIB = 1 << 20
CARD = 1 * MIB  # a file somebody fills in by hand
DOCUMENT = 64 * MIB  # JSON
TABLE = 256 * MIB  # names and scores
OBJECT = 1024 * MIB  # a table or a chunk of an archive; also what a large table may always unpack to
ROWS = 5_000_000  # of a table of names
DEPTH = 100  # of lists and objects within one another
DIGITS = 100  # of a whole number
RATIO = 100  # how many times its own size a large packed file may unpack to
SECONDS = 600.0  # a whole answer, from its first byte to its last
SLOWEST, GRACE = 1024, 60.0  # bytes a second, after so many seconds, of a download of whatever size

_ASKED = "polaris_rxrx.bounded"


def size(n: int) -> str:
    """`64 MiB`, `300 bytes`."""
    return f"{n / MIB:,.0f} MiB" if n >= MIB else f"{n:,} bytes"


# ---- files


def read_file(path: Path, most: int = DOCUMENT) -> bytes:
    """A file's bytes; a device or a pipe without end is stopped at the bound, too.

    Raises:
        DataError: It cannot be read, or is larger than `most`.
    """
    with open_binary(path) as handle:
        return read_all(handle, path, most)


def read_all(handle: BinaryIO, where: object, most: int = DOCUMENT) -> bytes:
    """What is left of an open file."""
    try:
        raw = handle.read(most + 1)
    except OSError as error:
        raise DataError(f"{where}: cannot be read ({error.strerror or error})") from None
    if len(raw) > most:
        raise DataError(f"{where} is larger than {size(most)}, the most that is read of such a file")
    return raw


def gunzip(raw: bytes, where: object, most: int = TABLE) -> bytes:
    """What a gzip file holds.

    Raises:
        DataError: It is broken, or holds more than `most`.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw), mode="rb") as packed:
            plain = packed.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where}: broken gzip file ({error})") from None
    if len(plain) > most:
        raise DataError(
            f"{where}: unpacks to more than {size(most)}, the most that is read of such a file; it is "
            f"{size(len(raw))} packed"
        )
    return plain


def room(packed: int) -> int:
    """How many bytes a packed file of this size may unpack to."""
    return max(OBJECT, RATIO * packed)


def check_gzip(path: Path) -> None:
    """Raise `DataError` if a gzip file unpacks to more than there is `room` for; nothing is kept.

    That it is broken is for the reader to say.
    """
    most, seen = room(path.stat().st_size), 0
    try:
        with open_binary(path) as handle, gzip.GzipFile(fileobj=handle, mode="rb") as packed:
            while block := packed.read(MIB):
                seen += len(block)
                if seen > most:
                    raise DataError(
                        f"{path}: unpacks to more than {size(most)}, the most that is read of a file of "
                        f"{size(path.stat().st_size)}"
                    )
    except (OSError, EOFError, zlib.error):
        return


def check_parquet(metadata: Any, where: object, packed: int, most_rows: int | None = None) -> None:
    """Raise `DataError` if a parquet file's footer claims more than there is `room` for.

    Args:
        metadata: pyarrow's, of the file.
        where: The file, for the message.
        packed: Its size in bytes.
        most_rows: How many rows such a table may have.
    """
    if most_rows is not None and metadata.num_rows > most_rows:
        raise DataError(
            f"{where}: claims {metadata.num_rows:,} rows; at most {most_rows:,} are read of such a table"
        )
    claimed = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    # A run of equal values takes a few bytes in the file, and each its own in memory.
    claimed = max(claimed, 4 * metadata.num_rows * metadata.num_columns)
    if claimed > (most := room(packed)):
        raise DataError(
            f"{where}: claims {claimed:,} bytes unpacked; at most {size(most)} are read of a file of "
            f"{size(packed)}"
        )


def check_texts(source: Any, where: object, schema: Any, most: int = OBJECT, *, metadata: Any = None) -> None:
    """Raise `DataError` if a parquet file's texts, each as often as it stands there, are more than `most`.

    A footer counts a text that is repeated once. The columns are read as codes into different texts, unless
    even a text as long as all of a column, in every row, would not be more.

    Args:
        source: What pyarrow reads from; a buffer of its own, or a path.
        where: The file, for the message.
        schema: pyarrow's, of the file.
        most: Bytes of a column.
        metadata: pyarrow's, of the file, if it has been read already.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    t = pa.types
    kinds = set(schema.types)  # few, of many columns
    inner = {kind: kind.value_type if t.is_dictionary(kind) else kind for kind in kinds}
    texts = {kind for kind, value in inner.items() if t.is_string(value) or t.is_large_string(value)}
    names = [n for n, kind in zip(schema.names, schema.types, strict=True) if kind in texts]
    if metadata is not None and metadata.num_columns == len(schema):
        names = [name for name in names if _longest(metadata, schema.get_field_index(name)) > most]
        if not names:
            return
    file = pq.ParquetFile(source, read_dictionary=names, metadata=metadata)
    for name in names:
        total = 0
        for chunk in file.read([name]).column(0).chunks:
            if pa.types.is_dictionary(chunk.type) and len(chunk.dictionary):
                each = pc.binary_length(chunk.dictionary).cast("int64")
                total += pc.sum(each.take(chunk.indices)).as_py() or 0
        if total > most:
            raise DataError(
                f"{where}: column {short(name)} has {total:,} bytes of text; at most {size(most)} are read"
            )


def _longest(metadata: Any, column: int) -> int:
    """Bytes of a column of texts if every row had a text as long as all that stands in its row group."""
    groups = (metadata.row_group(g) for g in range(metadata.num_row_groups))
    return sum(group.num_rows * group.column(column).total_uncompressed_size for group in groups)


# ---- documents


def check_hdf5(path: Path) -> None:
    """Raise `DataError` if the arrays of an HDF5 file claim more than is believed of its size."""
    import h5py

    sizes: list[int] = []

    def add(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append(int(item.size or 0) * item.dtype.itemsize)

    with h5py.File(path, "r") as file:
        file.visititems(add)
    if (claimed := sum(sizes)) > (most := room(path.stat().st_size)):
        raise DataError(f"{path}: claims {claimed:,} bytes unpacked; at most {size(most)} are read of it")


def json_loads(raw: bytes | str, most: int = DOCUMENT) -> Any:
    """A JSON document.

    Raises:
        ValueError: It is none, or is too large, too deep, or has a number of too many digits.
    """
    if len(raw) > most:
        raise ValueError(f"larger than {size(most)}, the most that is read of a document")
    try:
        data = json.loads(raw, parse_int=_whole)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check(data)
    return data


def toml_loads(text: str) -> dict[str, Any]:
    """A TOML document.

    Raises:
        ValueError: As `json_loads`.
    """
    if sys.version_info >= (3, 11):  # here: `score` reads no TOML
        import tomllib
    else:
        import tomli as tomllib

    if len(text) > CARD:
        raise ValueError(f"larger than {size(CARD)}, the most that is read of such a file")
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # Python's own limit of digits
        raise ValueError(_TOO_LONG if "digits" in str(error) else str(error)) from None
    _check(data)
    return data


def read_toml(path: Path) -> dict[str, Any]:
    """A file in TOML.

    Raises:
        DataError: It is none, or beyond a bound.
    """
    try:
        return toml_loads(read_file(path, CARD).decode("utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not TOML ({error})") from None


_TOO_DEEP = f"nested too deeply: at most {DEPTH} levels are read"
_TOO_LONG = f"a whole number of too many digits: at most {DIGITS} are read"


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"{_TOO_LONG}, and one has {len(text):,}")
    return int(text)


def _check(data: Any) -> None:
    """Depth, and the digits of what no hook has seen; level by level, for no stack to overflow."""
    level, depth = [data], 0
    while level:
        depth += 1
        if depth > DEPTH + 1:
            raise ValueError(_TOO_DEEP)
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, int) and abs(value) >= 10**DIGITS:
                raise ValueError(_TOO_LONG)
        level = below


# ---- answers


def asking(most: int, seconds: float | None = None) -> dict[str, Any]:
    """`extensions` of an httpx request: the bounds of its answer, where they are not the usual ones."""
    return {_ASKED: (most, seconds)}


def hooks() -> dict[str, list[Any]]:
    """`event_hooks` of an httpx client, so that no answer is without a bound."""
    return {"request": [_ask], "response": [guard]}


def _ask(request: httpx.Request) -> None:
    """Ask for what can be unpacked piece by piece."""
    if request.headers.get("Accept-Encoding", "identity") != "identity":
        request.headers["Accept-Encoding"] = "gzip, deflate"


def overrun(error: BaseException) -> bool:
    """Whether an error of httpx is that an answer went beyond its bounds; its text tells what "it sent"."""
    return bool(getattr(error, _ASKED, False))


def guard(response: httpx.Response) -> None:
    """Bound the body of an answer before it is read; a response hook of httpx.

    What then breaks a bound is an error of httpx (`overrun`), raised where the body is read. It is none of
    its TransportErrors: asking again would bring the same.
    """
    most, seconds = response.request.extensions.get(_ASKED, (DOCUMENT, SECONDS))
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    unpack: Any = None
    if coding in ("gzip", "x-gzip"):
        unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
    elif coding == "deflate":
        unpack = zlib.decompressobj()
    elif coding not in ("", "identity"):
        response.close()
        raise _beyond("an answer that is packed in a way that is not read here")
    if "Content-Encoding" in response.headers:
        del response.headers["Content-Encoding"]
    response.stream = _stream(response.stream, most, seconds, unpack)


def _beyond(text: str) -> Exception:
    import httpx

    error = httpx.RequestError(text)
    setattr(error, _ASKED, True)
    return error


def _stream(inner: Any, most: int, seconds: float | None, unpack: Any) -> Any:
    import httpx

    class Bounded(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            began, came, seen = time.monotonic(), 0, 0
            for raw in inner:
                taken, came = time.monotonic() - began, came + len(raw)
                if seconds is not None and taken > seconds:
                    raise _beyond(
                        f"an answer that did not end within {seconds:,g} s, the longest that is waited"
                    )
                if seconds is None and taken > GRACE and came < SLOWEST * taken:
                    raise _beyond(
                        f"{came:,} bytes in {taken:,.0f} s; slower than {SLOWEST:,} bytes a second is not "
                        "waited for"
                    )
                for piece in self._plain(raw, most - seen):
                    seen += len(piece)
                    if seen > most:
                        raise _beyond(f"an answer larger than {size(most)}, the most that is read of one")
                    yield piece

        def _plain(self, raw: bytes, left: int) -> Iterator[bytes]:
            if unpack is None:
                yield raw
                return
            while raw and not unpack.eof and left >= 0:
                try:
                    piece = unpack.decompress(raw, min(MIB, left + 1))
                except zlib.error as error:
                    raise httpx.DecodingError(f"broken gzip ({error})") from None
                raw = unpack.unconsumed_tail
                left -= len(piece)
                if piece:
                    yield piece

        def close(self) -> None:
            inner.close()

    return Bounded()
