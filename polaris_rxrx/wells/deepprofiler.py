"""DeepProfiler's files: `features`, a row a cell, beside a pickled `metadata` that stays where it is."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError
from polaris_rxrx.files import open_binary
from polaris_rxrx.types import Matrix
from polaris_rxrx.wells.arrays import check_members, head, member_of
from polaris_rxrx.wells.blocks import columns_of, part_of
from polaris_rxrx.wells.table import Part

PROFILE = "features"


def is_profile(path: Path) -> bool:
    """Whether a file is one of DeepProfiler's: an .npz with `features` and no ids that could be theirs."""
    if not path.is_file():
        return False
    with open_binary(path) as handle:
        if not handle.read(2).startswith(b"PK") or not zipfile.is_zipfile(path):
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            return _is_profile(archive)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError, AttributeError):
        return False


def _is_profile(archive: zipfile.ZipFile) -> bool:
    names = archive.namelist()
    if f"{PROFILE}.npy" not in names:
        return False
    others = (head(archive, n)[:2] for n in names if n != f"{PROFILE}.npy")
    return not any(len(shape) == 1 and kind.kind in "US" for shape, kind in others)


def profile_shape(path: Path) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Cells and features, and the type, of one of DeepProfiler's files, from its header alone.

    Raises:
        DataError: It is none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = _is_profile(archive)
            if found:
                check_members(path, archive)
                shape, kind, *_ = head(archive, f"{PROFILE}.npy")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError, AttributeError):
        found = False
    if not found:
        raise DataError(
            f"{path}: no {PROFILE!r} in it, or it is no .npz file; one of DeepProfiler's was expected"
        )
    if len(shape) != 2 or kind.kind not in "fiu":
        raise DataError(f"{path}: {PROFILE} is {shape} {kind}; (cells, features) of numbers were expected")
    return (shape[0], shape[1]), np.dtype(np.float32) if kind == np.float16 else kind.newbyteorder("=")


def profile_part(path: Path, n: int, at: Mapping[str, int]) -> Part:
    """The features of one of DeepProfiler's files, a row a cell, as a part of a table.

    Args:
        path: The file.
        n: How many cells it has, from `profile_shape`.
        at: Which feature a column is, by its name.
    """

    def matrix(names: list[str]) -> Matrix:
        try:
            with zipfile.ZipFile(path) as archive:
                stored = member_of(path, archive, f"{PROFILE}.npy", PROFILE)
                x = stored.block(0, stored.shape[0])
        except (OSError, zipfile.BadZipFile, EOFError, ValueError, zlib.error) as error:
            raise DataError(f"{path}: not a whole .npz file ({error})") from None
        return columns_of(x, [at[name] for name in names])

    return part_of(path, n, matrix)
