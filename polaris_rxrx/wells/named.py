"""Which array of a file holds embeddings and which their ids, and whether they are what they seem.

Conventions
    It is said by the names `EMBEDDINGS` and `IDS`, else by there being just one that can.
    Numbers are float16, float32, float64 or whole. Nothing is ever unpickled: arrays of objects are refused.
    bfloat16 has no type of its own in NumPy: `|V2` and uint16 are refused, which is what it comes as.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.errors import DataError, some

EMBEDDINGS = ("embeddings", "embedding", "features", "x")
IDS = ("well_id", "well_ids", "ids", "id", "names", "obs_names")


def choose_arrays(path: Path, arrays: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> tuple[str, str]:
    """Which array holds the embeddings, and which the ids."""

    def pick(what: str, known: tuple[str, ...], can: list[str]) -> str:
        named = [n for n in can if n.lower().rpartition("/")[2] in known]
        found = named if len(named) == 1 else can
        if len(found) != 1:
            held = ", ".join(f"{n} {shape} {kind}" for n, (shape, kind) in arrays.items()) or "nothing"
            can_be = "several arrays" if found else "no array"
            raise DataError(
                f"{path}: {can_be} can be {what}; an array {known[0]!r} was expected. It holds {held}"
            )
        return found[0]

    def is_text(kind: np.dtype[Any]) -> bool:  # HDF5's text comes as objects that say so
        return kind.kind in "US" or (kind.hasobject and kind.metadata is not None)

    objects = [n for n, (_, kind) in arrays.items() if kind.hasobject and not is_text(kind)]
    can = [n for n, (shape, kind) in arrays.items() if len(shape) in (2, 3) and kind.kind in "fiuV"]
    wanted = pick("the embeddings", EMBEDDINGS, can)
    n = arrays[wanted][0][0]
    texts = [m for m, (shape, kind) in arrays.items() if shape == (n,) and is_text(kind)]
    if not texts and objects:
        raise DataError(
            f"{path}: {some(objects)} holds Python objects, which are never loaded; save ids as text "
            "(numpy.array(ids, dtype=str))"
        )
    return wanted, pick("the ids of its rows", IDS, texts)


def check_numbers(path: Path, name: str, kind: np.dtype[Any]) -> None:
    """Raise `DataError` unless an array of this type holds numbers that are what they seem."""
    if kind.kind == "V" or kind == np.uint16:
        raise DataError(
            f"{path}: {name} is {kind.str}, which is what bfloat16 comes as; save it as float32 "
            "(in PyTorch x.float().numpy())"
        )
    if kind.kind not in "fiu":
        raise DataError(f"{path}: {name} is {kind}; numbers were expected")


def as_text(path: Path, name: str, ids: NDArray[Any]) -> NDArray[Any]:
    """Ids as text; bytes are UTF-8."""
    if ids.ndim != 1 or ids.dtype.kind not in "USO":
        raise DataError(f"{path}: {name} is {ids.dtype} of the shape {ids.shape}; one id a row was expected")
    try:
        return np.array([v.decode() if isinstance(v, bytes) else str(v) for v in ids.tolist()], dtype=object)
    except UnicodeDecodeError:
        raise DataError(f"{path}: {name} holds ids that are not UTF-8 text") from None
