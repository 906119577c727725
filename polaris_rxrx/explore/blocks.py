"""Arrays as text within a page, and back.

Conventions
    An array is written in these steps, and read in the reverse order:
        delta: each value of the flattened array but the first is replaced by its difference from the one
            before, wrapping around in the type's own range (whole numbers without sign only);
        bytes: little-endian, C order; with `planes` all lowest bytes first, then all second bytes, and so on;
        deflate: raw DEFLATE (`DecompressionStream("deflate-raw")`), where that is shorter;
        text: base 85, five letters for four bytes, the last group padded with zeros and cut; the alphabet is
            `ALPHABET`, which holds no letter that HTML gives a meaning. A quarter longer than the bytes,
            where base 64 is a third.
    dtype is i1, u1, i2, u2, u4 or f4; of `json` the bytes are JSON in UTF-8, and there is no shape.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%,()*+-;:=.?@^_[{|}~"
_PYTHONS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_OURS = bytes.maketrans(_PYTHONS, ALPHABET.encode("ascii"))
_THEIRS = bytes.maketrans(ALPHABET.encode("ascii"), _PYTHONS)
_DELTA = ("u1", "u2", "u4")


@dataclass(frozen=True)
class Block:
    """An array as text, and what `read` has to know: an entry of the document's `blocks`."""

    text: str
    entry: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """What one view adds to the page: entries of the document, blocks by name, sentences, what is missing."""

    document: dict[str, Any] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)


def index_type(n: int) -> str:
    """The dtype of an index of `n` things, which leaves the highest value for none."""
    return "u2" if n < 2**16 - 1 else "u4"


def as_i2(cosine: NDArray[Any]) -> NDArray[np.int16]:
    """Cosines as whole numbers of 16 bits; none where there is none."""
    known = np.nan_to_num(np.clip(cosine, -1.0, 1.0))
    whole = np.where(np.isnan(cosine), -32768, np.rint(known * 32767))
    return whole.astype(np.int16)


def write(values: NDArray[Any], *, delta: bool = False) -> Block:
    """An array of one of the dtypes; planes are made where a value has several bytes.

    Raises:
        TypeError: The dtype is none of them, or `delta` is asked of one with a sign.
    """
    kind = values.dtype.str[1:]
    if kind not in ("i1", "i2", "f4", *_DELTA) or (delta and kind not in _DELTA):
        raise TypeError(f"a block cannot hold {values.dtype}{' as differences' if delta else ''}")
    flat = np.ascontiguousarray(values).reshape(-1)
    if delta:
        flat = np.diff(flat, prepend=flat.dtype.type(0))
    size = flat.dtype.itemsize
    raw = flat.astype(flat.dtype.newbyteorder("<"), copy=False).view(np.uint8).reshape(-1, size)
    text, packed = _text(np.ascontiguousarray(raw.T).tobytes() if size > 1 else raw.tobytes())
    entry = {
        "dtype": kind,
        "shape": list(values.shape),
        "planes": size > 1,
        "delta": delta,
        "deflate": packed,
    }
    return Block(text, entry)


def write_json(value: Any) -> Block:
    """JSON as a block."""
    plain = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text, packed = _text(plain.encode("utf-8", "replace"))
    return Block(text, {"dtype": "json", "deflate": packed})


def read(text: str, entry: Mapping[str, Any]) -> Any:
    """The array (or the JSON value) that a block holds; what the page's script does, in Python."""
    raw = base64.b85decode(text.encode("ascii").translate(_THEIRS))
    if entry["deflate"]:
        raw = zlib.decompress(raw, -zlib.MAX_WBITS)
    if entry["dtype"] == "json":
        return json.loads(raw)
    kind = np.dtype(f"<{entry['dtype']}")
    planes = np.frombuffer(raw, np.uint8)
    if entry["planes"]:
        planes = np.ascontiguousarray(planes.reshape(kind.itemsize, -1).T).reshape(-1)
    flat = planes.view(kind)
    if entry["delta"]:
        flat = np.cumsum(flat, dtype=kind)
    return flat.reshape(entry["shape"])


def _text(raw: bytes) -> tuple[str, bool]:
    """Bytes as letters, and whether they were packed before."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    packed = packer.compress(raw) + packer.flush()
    shorter = len(packed) < len(raw)
    return base64.b85encode(packed if shorter else raw).translate(_OURS).decode("ascii"), shorter
