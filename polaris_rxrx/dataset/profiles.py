"""A screen's features, a file a plate, copied from a public bucket into the data folder.

Conventions: the bucket is read without credentials, by pyarrow's own S3 file system. A file lands under the
same path below the data folder as below the card's root, whole or not at all; one that is there is not
copied again unless its size differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from polaris_rxrx.dataset.screens import Profiles
from polaris_rxrx.dataset.transfer import Progress
from polaris_rxrx.errors import DataError, UpstreamError, UsageError, one_line, some
from polaris_rxrx.files import new_file

_BLOCK = 1 << 20


def public_bucket(profiles: Profiles) -> tuple[Any, str]:
    """pyarrow's file system for a card's bucket, and where in it the files are.

    Raises:
        UsageError: The card names no bucket.
    """
    from pyarrow import fs

    if profiles.root is None:
        raise UsageError("the card names no public bucket (profiles.root); its profiles are had by hand")
    return fs.S3FileSystem(anonymous=True, region=profiles.region), profiles.root.removeprefix("s3://")


def fetch_profiles(
    source: tuple[Any, str],
    paths: Sequence[str],
    folder: Path,
    *,
    say: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda *_: None,
) -> list[Path]:
    """Copy the files that are not in the folder yet; how many and how large they are is said first.

    Args:
        source: From `public_bucket`: any file system of pyarrow's, and a place in it.
        paths: Below that place, and below the folder.

    Raises:
        DataError: The source has not all of them.
        UpstreamError: It cannot be read.
    """
    from pyarrow import fs

    system, root = source
    try:
        found = system.get_file_info([f"{root}/{path}" for path in paths])
    except OSError as error:
        raise UpstreamError(f"{root}: cannot be read ({one_line(error)}); check the network") from None
    if absent := [p for p, info in zip(paths, found, strict=True) if info.type != fs.FileType.File]:
        raise DataError(f"{root} has no {some(absent)}; {len(paths):,} profiles were asked for")
    sizes = dict(zip(paths, (int(info.size) for info in found), strict=True))
    wanted = [p for p in paths if not _is_there(folder / p, sizes[p])]
    n_bytes = sum(sizes[p] for p in wanted)
    say(f"{len(wanted):,} of {len(paths):,} profiles are to be copied from {root}: {n_bytes:,} bytes")
    for path in wanted:
        _copy(
            system, f"{root}/{path}", folder / path, sizes[path], partial(_step, progress, path, sizes[path])
        )
    return [folder / path for path in paths]


def _step(progress: Progress, path: str, size: int, done: int) -> None:
    progress(path, done, size)


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _copy(system: Any, path: str, target: Path, size: int, step: Callable[[int], None]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with new_file(target) as temporary, temporary.open("wb") as handle:
        done = 0
        try:
            with system.open_input_stream(path) as stream:
                while block := stream.read(_BLOCK):
                    done += handle.write(block)
                    step(done)
        except OSError as error:
            raise UpstreamError(
                f"{path}: came no further than {done:,} of {size:,} bytes ({one_line(error)}). Run the same "
                "command again: what is whole stays"
            ) from None
        if done != size:
            raise UpstreamError(f"{path}: {done:,} bytes came where {size:,} were expected; run it again")
