"""What a Zarr archive's metadata and chunks claim, held against bounds before anything is made of them.

Conventions
    A column is one-dimensional. Its chunks are unpacked here, each up to the size that the metadata gives
    it, and handed on plain; of codecs beside the packing ones only those are taken that do not make more of
    their input than the metadata says. A claim beyond the bounds of `polaris_rxrx.bounded` is a `DataError`.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Any

import numpy as np

from polaris_rxrx.bounded import OBJECT, TABLE, size
from polaris_rxrx.errors import DataError

ROWS = 50_000_000
CHUNKS = 100_000
_NUMBERS = "biuf"
_TEXTS = ("vlen-utf8", "vlen-bytes", "json2", "msgpack2")


def check_shape(about: dict[str, Any], where: str) -> tuple[int, int]:
    """Rows and rows a chunk of a column, from its `.zarray`.

    Raises:
        KeyError, TypeError, ValueError: It is not one column.
        DataError: It claims more than is read.
    """
    (rows,), (chunk,) = about["shape"], about["chunks"]
    if (
        not all(isinstance(n, int) and not isinstance(n, bool) for n in (rows, chunk))
        or rows < 0
        or chunk < 1
    ):
        raise ValueError("not a column")
    if rows > ROWS or chunk > ROWS:
        raise DataError(f"{where} claims {max(rows, chunk):,} rows; at most {ROWS:,} are read of a column")
    if (chunks := -(-rows // chunk)) > CHUNKS:
        raise DataError(f"{where} claims {chunks:,} chunks; at most {CHUNKS:,} are read of a column")
    width = np.dtype(about["dtype"]).itemsize
    if (claimed := width * max(rows, chunk)) > OBJECT:
        raise DataError(f"{where} claims {claimed:,} bytes; at most {size(OBJECT)} are read of a column")
    for codec in about.get("filters") or ():
        kind = codec["id"]
        dtypes = [codec[k] for k in ("dtype", "astype") if codec.get(k) is not None]
        if kind not in (*_TEXTS, "shuffle", "delta") or any(np.dtype(d).kind not in _NUMBERS for d in dtypes):
            if kind in _TEXTS:
                continue
            raise DataError(f"{where} is encoded by {str(kind)[:40]!r}, which is not read here")
    return rows, chunk


def unpack(about: dict[str, Any], raw: bytes, where: str) -> bytes:
    """A chunk as it was before it was packed.

    Raises:
        DataError: It unpacks to more than its metadata says it holds.
    """
    dtype, chunk = np.dtype(about["dtype"]), about["chunks"][0]
    most = TABLE if dtype.kind == "O" else dtype.itemsize * chunk
    codec = about.get("compressor")
    plain = raw if codec is None else _unpacked(codec, raw, most)
    if plain is None or len(plain) > most:
        raise DataError(
            f"{where}: a chunk of {size(len(raw))} unpacks to more than {size(most)}, the most that its "
            "metadata leaves room for"
        )
    filters = [c["id"] for c in about.get("filters") or ()]
    if filters and filters[-1].startswith("vlen-") and int.from_bytes(plain[:4], "little") > chunk:
        raise DataError(f"{where}: a chunk claims more than the {chunk:,} values of its metadata")
    return plain


def _unpacked(codec: dict[str, Any], raw: bytes, most: int) -> bytes | None:
    """None if it would be more than `most` bytes; whatever a codec raises on bytes it did not write."""
    kind = codec["id"]
    if kind in ("zlib", "gzip"):
        return _stepwise(zlib.decompressobj(32 + zlib.MAX_WBITS), raw, most)
    if kind == "bz2":
        return _stepwise(bz2.BZ2Decompressor(), raw, most)
    if kind == "lzma" and codec.get("filters") is None:
        return _stepwise(lzma.LZMADecompressor(), raw, most)
    if kind == "blosc":
        said: int | None = int.from_bytes(raw[4:8], "little")
    elif kind == "lz4":
        said = int.from_bytes(raw[:4], "little")
    elif kind == "zstd":
        said = zstd_size(raw)
    else:
        raise ValueError(f"packed by {str(kind)[:40]!r}, which is not read here")
    if said is None or said > most:
        return None
    import numcodecs

    return bytes(numcodecs.get_codec(dict(codec)).decode(raw))


def _stepwise(machine: Any, raw: bytes, most: int) -> bytes | None:
    plain = machine.decompress(raw, most + 1)
    if len(plain) > most:
        return None
    if not machine.eof:
        raise ValueError("it is cut off")
    found: bytes = plain
    return found


def zstd_size(raw: bytes) -> int | None:
    """What a Zstandard frame says it unpacks to (RFC 8878, 3.1.1.1); None if it does not say."""
    if raw[:4] != b"\x28\xb5\x2f\xfd" or len(raw) < 6:
        raise ValueError("no Zstandard frame")
    about = raw[4]
    single = bool(about & 0x20)
    width = {0: 1 if single else 0, 1: 2, 2: 4, 3: 8}[about >> 6]
    if not width:
        return None
    start = 5 + (0 if single else 1) + (0, 1, 2, 4)[about & 3]
    return int.from_bytes(raw[start : start + width], "little") + (256 if width == 2 else 0)
