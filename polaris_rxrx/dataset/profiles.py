"""A screen's features, a file a plate, copied from a public bucket into the data folder.

Conventions: the bucket is read without credentials, by pyarrow's own S3 file system. A file lands under the
same path below the data folder as below the card's root, whole or not at all; one that is there is not
copied again unless its size differs. `AWS_ENDPOINT_URL_S3`, or `AWS_ENDPOINT_URL`, names a server that stands
for AWS, such as a mirror; `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY` a proxy, which cannot be a SOCKS one
here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from polaris_rxrx.dataset.screens import Profiles
from polaris_rxrx.dataset.transfer import Progress
from polaris_rxrx.errors import DataError, UpstreamError, UsageError, one_line, some
from polaris_rxrx.files import new_file

_BLOCK = 1 << 20
_CONNECT = 10.0  # seconds for a connection; Amazon's own second is short behind a proxy
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def public_bucket(profiles: Profiles) -> tuple[Any, str]:
    """pyarrow's file system for a card's bucket, and where in it the files are.

    Raises:
        UsageError: The card names no bucket, or the environment an address that is none.
    """
    from pyarrow import fs

    if profiles.root is None:
        raise UsageError("the card names no public bucket (profiles.root); its profiles are had by hand")
    scheme, endpoint = _endpoint()
    system = fs.S3FileSystem(
        anonymous=True,
        region=profiles.region,
        scheme=scheme,
        endpoint_override=endpoint,
        proxy_options=_proxy(scheme, endpoint or f"s3.{profiles.region}.amazonaws.com"),
        connect_timeout=_CONNECT,
    )
    return system, profiles.root.removeprefix("s3://")


def _endpoint() -> tuple[str, str | None]:
    """How the bucket is asked, and the server that the environment names instead of AWS's own."""
    variable = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    if variable is None:
        return "https", None
    given = os.environ[variable]
    try:
        parts = urlsplit(given)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or parts.path.strip("/") or "@" in parts.netloc:
        raise UsageError(f"{variable} is {given!r}; an address was expected, as in http://127.0.0.1:9000")
    return parts.scheme, parts.netloc


def _proxy(scheme: str, host: str) -> str | None:
    """The proxy on the way to a host, as the environment has it; its address may hold a password."""
    found = getproxies()
    name = scheme if found.get(scheme) else "all"
    if not found.get(name) or proxy_bypass(host):
        return None
    proxy = found[name] if "://" in found[name] else f"http://{found[name]}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise UsageError(
            f"{name.upper()}_PROXY is no http:// proxy, and profiles come through no other; set "
            f"{scheme.upper()}_PROXY to one, or NO_PROXY to {host.partition(':')[0]}"
        )
    return proxy


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
