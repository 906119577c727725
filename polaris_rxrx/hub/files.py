"""The files a Polaris benchmark is made of: the Hub's documents, parquet tables, Zarr columns.

Conventions
    A `Read` gives the content of a key of an archive, None where there is none. A cell becomes text as it is
    stored: numbers by `str`, bytes decoded, null as "". Requests are GET, without a login; a message names
    the host and what was asked for, never an address, whose query string may be a signature. Neither polaris
    nor its classes are known here.
"""

from __future__ import annotations

import io
import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx import bounded
from polaris_rxrx.errors import DataError, UpstreamError, one_line, some
from polaris_rxrx.hub import answers, zarrs

TRIES = 3
PATIENCE = 30.0  # the longest Retry-After that is waited for, in seconds

logger = logging.getLogger(__name__)
pause = time.sleep

Columns = dict[str, NDArray[Any]]
Read = Callable[[str], "bytes | None"]


# ---- the Hub


class PublicHub:
    """GET requests without a login, tried again where that can help; every failure is told in one way."""

    def __init__(self, settings: Any, verify: Any) -> None:
        import httpx

        from polaris_rxrx import network

        limits = settings.default_timeout
        self._api = str(settings.api_url).rstrip("/")
        self.host = httpx.URL(self._api).host
        self._client = network.client(
            verify=verify,
            timeout=httpx.Timeout(limits if isinstance(limits, tuple) else (10, 200)),
            follow_redirects=True,
        )

    def __enter__(self) -> PublicHub:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def json(self, path: str, what: str) -> dict[str, Any] | None:
        """A JSON document of the API; None if there is none."""
        raw = self.get(self._api + path, what, most=bounded.DOCUMENT)
        if raw is None:
            return None
        try:
            data = bounded.json_loads(raw)
        except ValueError:
            said = answers.words(raw[:20_000].decode(errors="replace"))
            self._fail(
                what, f'broken JSON came ("{said}")' if said else "an empty answer came", answers.NO_HUB
            )
        if not isinstance(data, dict):
            self._fail(what, "JSON of another kind came", "is POLARIS_HUB_URL a Polaris Hub?")
        return data

    def needed(self, url: Any, what: str) -> bytes:
        raw = self.get(url, what)
        if raw is None:
            self._fail(what, "it is not there (404)", "ask the benchmark's owner")
        return raw

    def get(self, url: Any, what: str, most: int = bounded.OBJECT) -> bytes | None:
        """The content at a web address, at most so many bytes; None if there is none (404)."""
        import httpx

        from polaris_rxrx import network

        address = re.match(r"https?://(?:[^/?#@]*@)?([^/?#:]+)", str(url))
        if address is None:
            self._fail(what, "it does not lie at a web address", "ask the benchmark's owner")
        if address[1] != self.host:
            what = f"{what} (stored at {address[1]})"
        for left in reversed(range(TRIES)):
            try:
                response = self._client.get(url, extensions=bounded.asking(most, bounded.SECONDS))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                none = network.no_answer(error)
                if none.kind != "broken":
                    self._fail(what, none.happened, answers.ADVICE[none.kind])
                if not left:
                    self._fail(what, f"{none.happened} {TRIES} times", answers.ADVICE[none.kind])
                pause(2.0 ** (TRIES - left - 2))
            else:
                wait = network.retry_after(response.headers.get("Retry-After"), 2.0 ** (TRIES - left - 2))
                if response.status_code not in {429, 502, 503, 504} or not left or wait > PATIENCE:
                    return self._content(response, what)
                pause(wait)
        raise AssertionError("unreachable")

    def _content(self, response: Any, what: str) -> bytes | None:
        if response.status_code == 404:
            return None
        status = answers.status(response)
        if response.status_code in {401, 403}:
            advice = "only public benchmarks can be read; is this one private?"
            self._fail(what, f"access was refused ({status})", advice)
        if not response.is_success:
            self._fail(what, f"the answer was {status}", "try again later")
        if answers.is_page(response):  # whoever follows a redirect may end at a login
            self._fail(what, f"a web page came instead ({answers.told(response)})", answers.NO_HUB)
        content: bytes = response.content
        return content

    def _fail(self, what: str, happened: str, advice: str) -> NoReturn:
        raise UpstreamError(f"{self.host}: asked for {what}, but {happened}; {advice}")


# ---- tables and archives


def read_parquet(raw: bytes, where: str) -> Any:
    import pandas as pd
    import pyarrow as pa

    try:
        import pyarrow.parquet as pq

        file = pq.ParquetFile(io.BytesIO(raw))
        bounded.check_parquet(file.metadata, where, len(raw))
        bounded.check_texts(io.BytesIO(raw), where, file.schema_arrow)
        return pd.read_parquet(io.BytesIO(raw))
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{where}: broken parquet file ({one_line(error)})") from None


def folder_reader(root: Path) -> Read:
    def read(key: str) -> bytes | None:
        path = root / key
        return bounded.read_file(path, bounded.OBJECT) if path.is_file() else None

    return read


def zarr_columns(read: Read, names: Sequence[str], target: str, where: str) -> Columns:
    """One-dimensional arrays of a consolidated archive, reading each chunk once.

    A chunk that is not there is its fill value to zarr: the client scores such labels, so they are taken and
    told; names are never left out on purpose, so there it is an error.
    """
    raw = read(".zmetadata")
    if raw is None:
        raise DataError(f"{where}: no .zmetadata; a consolidated Zarr archive was expected")
    try:
        metadata = dict(bounded.json_loads(raw)["metadata"])
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{where}: its .zmetadata is damaged") from None
    columns = {}
    for name in names:
        about = metadata.get(f"{name}/.zarray")
        if about is None:
            found = sorted({k.split("/")[0] for k in metadata if "/" in k})
            raise DataError(f"{where} has no array {name!r}; it has {some(found, 12)}")
        columns[name] = _zarr_column(read, name, about, where, may_lack=name == target)
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise DataError(f"{where}: its columns differ in length")
    return columns


def _zarr_column(read: Read, name: str, about: Any, where: str, *, may_lack: bool) -> NDArray[Any]:
    import zarr

    if '"pickle"' in json.dumps(about):
        raise DataError(f"{where}: {name} is pickled; unpickling can run any code, so it is not read")
    try:
        rows, size = zarrs.check_shape(about, f"{where}: {name}")
        keys = [str(i) for i in range(-(-rows // size))]
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{where}: {name} is not a column (one value a row)") from None
    with ThreadPoolExecutor(16) as pool:
        chunks = dict(zip(keys, pool.map(lambda key: read(f"{name}/{key}"), keys), strict=True))
    lacking = [key for key, chunk in chunks.items() if chunk is None]
    if lacking and not may_lack:
        raise DataError(f"{where}: {len(lacking):,} of {len(keys):,} chunks of {name} are missing")
    if lacking:
        fill = about.get("fill_value")
        logger.warning("%s: %d chunks of %s are missing and count as %r", where, len(lacking), name, fill)
    store: dict[str, bytes] = {".zarray": json.dumps({**about, "compressor": None}).encode()}
    try:
        for key, chunk in chunks.items():
            if chunk is not None:
                store[key] = zarrs.unpack(about, chunk, f"{where}: {name}")
        return np.asarray(zarr.open_array(store, mode="r")[:])
    except DataError:
        raise
    except Exception as error:  # whatever the codec raises on bytes it did not write
        raise DataError(f"{where}: {name} is damaged ({one_line(error)})") from None


def write_zarr(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """An archive with these columns, as polaris reads it: numbers as they are, the rest as text."""
    import numcodecs
    import zarr

    group = zarr.open_group(str(path), mode="w")
    for name, values in columns.items():
        if values.dtype.kind in "iufb":
            group.array(name, values)
        else:
            text = np.array([cell(v, name) for v in values.astype(object).tolist()], dtype=object)
            group.array(name, text, dtype=object, object_codec=numcodecs.VLenUTF8())
    zarr.consolidate_metadata(group.store)


# ---- cells


def cell(value: Any, column: str) -> str:
    """A cell as text, as it is stored."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise DataError(
                f"the column {column} holds bytes that are not UTF-8 text: {value[:20]!r}"
            ) from None
    if isinstance(value, (np.ndarray, list, dict)):
        raise DataError(f"the column {column} holds {type(value).__name__}s; text or numbers were expected")
    return "" if is_missing(value) else str(value)


def is_missing(value: Any) -> bool:
    """None, NaN, NaT and pandas's NA."""
    import pandas as pd

    return bool(pd.api.types.is_scalar(value) and pd.isna(value))
