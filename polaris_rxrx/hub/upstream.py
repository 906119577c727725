"""Every workaround for polaris-lib 0.13, in one place; only this package imports it.

Conventions
    polaris is imported inside functions (it costs seconds) and used inside `session()`. Nothing is left
    patched when a `session` ends. Each number below has a test of the same number in
    `tests/hub/test_upstream.py` that fails once polaris-lib mends it; then the code marked `[n]` can go.

Workarounds
    [1]  authlib, under polaris, builds on `httpx2` where that is installed; every request breaks: `session`.
    [2]  Logs and progress go to stdout, whatever it is when they are written: `session`.
    [3]  Every dataset object makes an empty folder in the user's cache, for good: `session`.
    [4]  `.env` in the working directory is read as settings: `hub_settings`.
    [5]  POLARIS_CA_BUNDLE is passed on as a client certificate, so a CA bundle stops every request:
         `hub_settings` gives what to verify with.
    [6]  A nullable target does not load, a text one cannot be scored: `to_labels`, `plain_table`.
    [7]  The dtype noted in a column's annotation must be numpy's, or the saved dataset does not load; it is
         inferred again anyway: `dataset_fields`.
    [8]  A V2 benchmark without training rows does not load: `v2_split`.
    [9]  A V2 benchmark decodes a chunk (from the Hub: asks for one) for every cell, unless `load_to_memory`
         ran, which fails if it runs twice: `evaluate`.
    [10] `evaluate` without `y_pred` stops at the first metric that needs it: `evaluate`.
    [11] A V1 benchmark whose one test set is not called "test" can be neither dumped nor split: `dump`.
    [12] A dump lists metrics and columns in the order of a set, another in each process: `dump`.
    [13] `as_dataframe` grows `input_cols` at every call, and cells are read one by one: `benchmarks` reads
         columns.
    [14] A missing V1 dataset is told as a missing benchmark; a token cache is opened even for a public
         benchmark; no request is tried again: `benchmarks` asks for the same addresses itself.
    [15] A V1 benchmark's own checksum is never compared: `benchmark_checksum`.
    [16] A saved benchmark holds absolute paths: `benchmarks` looks beside the JSON.
    [17] A saved V2 benchmark lacks its split: `benchmarks` keeps the bitmaps beside the JSON.
    [18] A POLARIS_HUB_URL that is no address ends in a KeyError: `hub_settings`.
    [19] The token cache is readable by all, is sent to whatever Hub is set, outlives changed credentials, and
         is a JSONDecodeError once damaged: `account` keeps the logins in `tokens`.
    [20] Without that cache every request with a token breaks: `tokens_in_memory`, where a token also goes to
         the Hub alone, whatever address is asked for.
    [21] Where authlib was imported on `httpx2` before, [1] comes too late: `session` says so.
    [22] A refusal without an `error` in its JSON is kept as the token: `account` looks at each answer.
    [23] `interactive_login` logs the address to visit, and asks on stdout: `account` does both its own way.
    [24] The settings' repr shows the password: `hub_settings`.
    [25] A path in POLARIS_HUB_URL is dropped without a word: `hub_settings`.
    [26] Closing the client leaves its external client open: `account` closes both.
    [27] A user name or password that is not ASCII cannot be sent, and is in the error: `encode_form`.
    [28] An upload returns nothing, names the result's page only in a header, and breaks off with httpx's own
         errors; a status is only in the cause of polaris's: `failures.Watch` looks on.
    [29] A competition's dump computes the checksum of its archive, into the cache: `dump` can do without.
    [30] V2 documents as polaris-lib's main branch has them, with more about each file of a split and without
         metrics, do not load: `split_files`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import re
import shlex
import ssl
import sys
import tempfile
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx.errors import DataError, UpstreamError, UsageError, one_line, some
from polaris_rxrx.hub.files import is_missing
from polaris_rxrx.types import Floats
from polaris_rxrx.validation import complaints

logger = logging.getLogger(__name__)

PYTHON = sys.version_info[:2]
NO_POLARIS_FROM = (3, 13)  # polaris-lib 0.13 wants an earlier Python


# ---- importing and being quiet


@contextlib.contextmanager
def session() -> Iterator[Any]:
    """polaris, imported so that it works, silent on stdout, leaving nothing behind in the user's cache.

    Warnings of its logger go to stderr.
    """
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(sys.stderr),  # [2] also whatever else prints
        tempfile.TemporaryDirectory(prefix="polaris_rxrx.") as cache,
    ):
        with contextlib.suppress(ImportError):
            import authlib.deprecate  # noqa: F401  it asks for its warnings to be shown; what is said last holds
        # On classes polaris still serves, and on httpx, which it stands on.
        warnings.simplefilter("ignore", DeprecationWarning)
        polaris = _import_polaris()
        with _quiet_logs(), _quiet_progress(), _cache_folder(cache):
            yield polaris


def is_installed() -> bool:
    """Whether polaris-lib is here; it cannot be installed on Python 3.13 or later. Imports nothing."""
    if "polaris" in sys.modules:
        return sys.modules["polaris"] is not None
    found = importlib.util.find_spec("polaris")
    # A mere folder is found too, as a namespace: that of a prepared task, where one works inside it.
    return found is not None and found.origin is not None


def require() -> None:
    """Stop early, where a command would ask or compute much before it comes to `session`.

    Raises:
        UpstreamError: polaris-lib is not here, and what to do.
    """
    if is_installed():
        return
    if PYTHON >= NO_POLARIS_FROM:
        here = ".".join(map(str, PYTHON))
        raise UpstreamError(
            f"this needs polaris-lib, which needs Python 3.10 to 3.12, and this is {here}; install "
            f"with one of those (python3.12 -m venv hub && hub/bin/pip install {_own_source()}), then run "
            "hub/bin/polaris-rxrx with the same words"
        )
    raise UpstreamError("polaris-lib is not installed; install it: pip install 'polaris-lib==0.13.*'")


def _own_source() -> str:
    """What pip installed this package from, as pip takes it."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, metadata.PackageNotFoundError):
        said = metadata.distribution("polaris-rxrx").read_text("direct_url.json")
        path = Path(url2pathname(urlsplit(json.loads(said or "")["url"]).path))
        if (path / "pyproject.toml").is_file():
            return shlex.quote(str(path))
    return "'<your clone of polaris_rxrx>'"


def _import_polaris() -> Any:
    require()
    try:
        with _without_httpx2():
            import polaris
            import polaris.hub.client
    except Exception as error:
        raise UpstreamError(
            f"polaris-lib cannot be imported ({one_line(error)}); install it again: "
            "pip install 'polaris-lib==0.13.*'"
        ) from error
    _refuse_httpx2()
    return polaris


def _refuse_httpx2() -> None:
    """[21] Nothing helps once authlib stands on httpx2: its classes are not those polaris hands it."""
    from authlib.integrations.httpx_client import _compat

    if _compat.httpx2.__name__ != "httpx":
        raise UpstreamError(
            "authlib was imported before, on httpx2, with which polaris-lib does not work; import "
            "polaris_rxrx.hub first, or remove it: pip uninstall httpx2"
        )


@contextlib.contextmanager
def _without_httpx2() -> Iterator[None]:
    """[1] Hide `httpx2` while authlib chooses what to build on; polaris hands it objects of `httpx`."""
    if "authlib.integrations.httpx_client" in sys.modules:
        yield
        return
    absent = object()
    before: Any = sys.modules.get("httpx2", absent)
    sys.modules["httpx2"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is absent:
            del sys.modules["httpx2"]
        else:
            sys.modules["httpx2"] = before


@contextlib.contextmanager
def _quiet_logs() -> Iterator[None]:
    """[2] In place of polaris's handler, one for warnings on stderr."""
    log = logging.getLogger("polaris")
    before = log.handlers
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("polaris: %(message)s"))
    log.handlers = [handler]
    try:
        yield
    finally:
        log.handlers = before


@contextlib.contextmanager
def _quiet_progress() -> Iterator[None]:
    """[2] In place of polaris's progress bar, one that shows nothing."""
    from polaris.utils.context import progress_instance
    from rich.console import Console
    from rich.progress import Progress

    console = Console(quiet=True)
    console.log = lambda *_, **__: None  # type: ignore[method-assign]  # else it lays out what it does not show
    token = progress_instance.set(Progress(console=console, disable=True))
    try:
        yield
    finally:
        progress_instance.reset(token)


@contextlib.contextmanager
def _cache_folder(folder: str) -> Iterator[None]:
    """[3] Datasets made meanwhile put their folder here."""
    from polaris.dataset import _base

    before = _base.DEFAULT_CACHE_DIR
    _base.DEFAULT_CACHE_DIR = folder
    try:
        yield
    finally:
        _base.DEFAULT_CACHE_DIR = before


# ---- settings


def hub_settings(env_file: Path | None = None) -> tuple[Any, ssl.SSLContext | bool]:
    """polaris's settings, from the environment alone [4], and what to verify certificates with [5].

    Args:
        env_file: Where to look for what the environment lacks.
    """
    from polaris.hub.settings import PolarisHubSettings
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    if env_file is not None and not env_file.is_file():
        raise UsageError(f"{env_file}: no such file")
    try:
        settings = _with_password(PolarisHubSettings)(_env_file=env_file)
    except (UnicodeDecodeError, OSError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise UsageError(f"{env_file}: cannot be read ({reason})") from None
    except ValidationError as error:
        raise _bad_settings(str(found.place[0]) for found in complaints(error)) from None
    except KeyError:  # [18] addresses are built on the Hub's even if it is none
        raise _bad_settings(["hub_url"]) from None
    except SettingsError as error:  # not JSON, where JSON is expected; it quotes the field
        raise _bad_settings(re.findall(r'"(\w+)"', str(error))[:1]) from None
    _refuse_path(settings)
    bundle = settings.ca_bundle
    settings = settings.model_copy(update={"ca_bundle": None})
    if bundle is None or bundle is True:
        return settings, True
    if bundle is False or str(bundle).lower() in {"false", "0"}:
        return settings, False
    from polaris_rxrx import network

    return settings, network.certificates(str(bundle), "POLARIS_CA_BUNDLE")


@cache
def _with_password(theirs: Any) -> Any:
    """Their settings with the password of [24]; pydantic takes long to make a class."""
    from pydantic import Field

    class Settings(theirs):  # type: ignore[misc]
        password: str | None = Field(default=None, repr=False)

        @classmethod
        def settings_customise_sources(cls, settings_cls: Any, **sources: Any) -> tuple[Any, ...]:
            """Theirs, in their order; a file that is not given is not gone through for every field."""
            if sources["dotenv_settings"].env_file is None:
                del sources["dotenv_settings"]
            return tuple(sources.values())

    return Settings


def _refuse_path(settings: Any) -> None:
    """[25] Unless it is said where the API and its tokens are, they are looked for without the path."""
    import httpx

    address = httpx.URL(str(settings.hub_url))
    if {"api_url", "hub_token_url"} <= settings.model_fields_set:
        return
    if address.path.strip("/") or address.query:
        raise UsageError(
            "POLARIS_HUB_URL has a path, which polaris-lib drops, so it would ask another address; nothing "
            f"was sent. Set it to {origin(address)}, or set POLARIS_API_URL and POLARIS_HUB_TOKEN_URL too"
        )


def origin(address: Any) -> str:
    """Scheme, host and port of an address; a port that goes without saying is left out."""
    import httpx

    url = httpx.URL(str(address))
    return f"{url.scheme}://{url.netloc.decode()}"


@contextlib.contextmanager
def tokens_in_memory() -> Iterator[None]:
    """[20] Clients made meanwhile with `cache_auth_token=False` hold their tokens, and write none."""
    from authlib.integrations.httpx_client import OAuth2Auth
    from polaris.hub import client, external_client

    class HubAuth(OAuth2Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Any:
            if origin(request.url) == origin(self.client.base_url):
                yield from super().auth_flow(request)
            else:
                yield request

    modules = (client, external_client)
    before = [module.TokenAuth for module in modules]
    for module in modules:
        module.TokenAuth = HubAuth
    try:
        yield
    finally:
        for module, auth in zip(modules, before, strict=True):
            module.TokenAuth = auth


def encode_form(client: Any, method: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
    """[27] authlib's way to authenticate by nothing but the form, given text: it cannot read UTF-8 bytes."""
    from authlib.oauth2.auth import encode_none

    text = body.decode() if isinstance(body, bytes) else body
    encoded: tuple[str, Any, Any] = encode_none(client, method, uri, headers, text)
    return encoded


def _bad_settings(fields: Iterable[str]) -> UsageError:
    """Names only: a value may hold a password."""
    names = ", ".join(sorted({f"POLARIS_{field}".upper() for field in fields}))
    return UsageError(f"the environment variable {names} is not what polaris-lib expects")


# ---- data


def to_labels(values: NDArray[Any], used: Collection[int], where: str) -> Floats:
    """1, 0 or NaN for every value [6]; rows not in `used` may hold anything and become NaN.

    Raises:
        DataError: A row of `used` holds something else.
    """
    labels = np.full(len(values), np.nan)
    needed = set(used)
    for row, value in enumerate(values.astype(object).tolist()):
        label = _label(value)
        if label is not None:
            labels[row] = label
        elif row in needed:
            raise DataError(f"{where}, row {row + 1}: the label is {value!r}; 1, 0 or nothing was expected")
    return labels


def _label(value: Any) -> float | None:
    if is_missing(value) or value == "":
        return np.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number in (0.0, 1.0) else None


def plain_table(table: Any, target: str, labels: Floats) -> Any:
    """The table as a V1 dataset can hold, save, load and score it: a numeric target, an index 0..n-1 [6]."""
    table = table.reset_index(drop=True)
    dtype = table[target].dtype
    if not (isinstance(dtype, np.dtype) and np.issubdtype(dtype, np.number)):
        table[target] = labels
    for name in table.columns:
        if not isinstance(table[name].dtype, np.dtype) and str(table[name].dtype) != "str":
            values = table[name].astype(object)
            table[name] = values.where(values.notna(), None)
    return table


def dataset_fields(data: Mapping[str, Any], columns: Collection[str]) -> dict[str, Any]:
    """What a dataset's JSON says, for these columns, less where its data lie and the noted dtypes [7]."""
    places = ("root", "extension", "table", "zarrRootPath", "zarr_root_path")
    gone = (*places, "defaultAdapters", "default_adapters")
    fields = {k: v for k, v in data.items() if k not in gone}
    adapters = data.get("default_adapters") or data.get("defaultAdapters") or {}
    fields["default_adapters"] = {c: a for c, a in adapters.items() if c in columns}
    fields["annotations"] = {
        column: {k: v for k, v in said.items() if k not in {"dtype", "is_pointer", "isPointer"}}
        for column, said in (data.get("annotations") or {}).items()
        if column in columns
    }
    return fields


def split_files(split: Mapping[str, Any], where: str, *, metrics: bool) -> dict[str, Any]:
    """Where the bitmaps of a V2 document's split are: `training`, and a test set by its name.

    Those of polaris-lib's main branch have `{label: {"training": {"filePath": ...}, "test": {...}}}` [30].

    Raises:
        DataError: It is such a document, and has several splits, or no metrics.
    """
    newer = [parts for parts in split.values() if isinstance(parts, dict)]
    if not newer:
        return dict(split)
    if len(split) != 1 or set(newer[0]) != {"training", "test"}:
        named = some(sorted(map(str, split)))
        raise DataError(f"{newer_form(where)}, with the splits {named}; one of training and test is read")
    if not metrics:
        raise DataError(f"{newer_form(where)}, and names no metrics: the Hub alone can score it")
    return {name: part.get("filePath") if isinstance(part, dict) else part for name, part in newer[0].items()}


def newer_form(where: str) -> str:
    return f"{where} is a V2 benchmark in the form of polaris-lib after 0.13"


def v2_split(training: bytes, test: bytes) -> Any:
    """A V2 split from serialized bitmaps; the training set may be empty [8]."""
    from polaris.benchmark._split_v2 import IndexSet, SplitV2

    class ZeroShotSplit(SplitV2):  # type: ignore[misc]
        @property
        def max_index(self) -> int:
            return max(int(s.indices.max()) for s in (self.training, self.test) if s.datapoints)

    sets = [IndexSet.deserialize(raw) if raw else IndexSet() for raw in (training, test)]
    return ZeroShotSplit(training=sets[0], test=sets[1])


def benchmark_checksum(specification: Any, dataset_md5: str) -> str:
    """The MD5 of a V1 benchmark, given its dataset's as stated [15].

    It covers the dataset, the columns, the metrics and the split, but not the order of the test rows.
    Measured: it is the same with pandas 2.3 and 3.1, and in every process.
    """
    dataset = specification.dataset
    before = dataset._md5sum
    dataset.md5sum = dataset_md5
    try:
        return str(specification._compute_checksum())
    finally:
        dataset._md5sum = before


def table_checksum(table: Any) -> str:
    """The MD5 polaris gives a V1 dataset with this table."""
    from polaris.dataset import DatasetV1

    try:
        return str(DatasetV1(table=table)._compute_checksum())
    except (TypeError, ValueError) as error:
        raise DataError(f"the table is not what a Polaris dataset can hold ({one_line(error)})") from None


# ---- using a benchmark


def dump(specification: Any, without: Collection[str] = ()) -> dict[str, Any]:
    """What `to_json` would write, in an order of its own [12], whatever the test set is called [11].

    Args:
        without: Fields to leave out [29].
    """
    data: dict[str, Any] = specification.model_dump(mode="json", exclude={"n_test_datapoints", *without})
    data["n_test_datapoints"] = specification.test_set_sizes
    data["metrics"].sort(key=lambda m: m["name"])
    for name in ("input_cols", "target_cols"):
        data[name].sort()
    return data


def evaluate(specification: Any, values: Floats) -> dict[str, float | None]:
    """The client's `evaluate(y_prob=values)`, the main metric first.

    A metric is None if it is NaN or needs `y_pred`.
    """
    if specification.version == 2 and specification.dataset._zarr_data is None:
        specification.dataset.load_to_memory()  # [9]
    scored = {m for m in specification.metrics if m.y_type != "y_pred"}
    result: dict[str, float | None] = {}
    for metric in specification.metrics - scored:  # [10]
        logger.warning(
            "%s needs classes, not scores: the client's `evaluate` is not asked for it", metric.name
        )
        result[metric.name] = None
    if not scored:
        return result
    with warnings.catch_warnings():
        # With "error" in force a warning of scikit-learn would count as an undefined group.
        warnings.simplefilter("ignore")
        try:
            table = specification.model_copy(update={"metrics": scored}).evaluate(y_prob=values).results
        except Exception as error:
            raise UpstreamError(
                f"the client's `evaluate` failed ({one_line(error)}); without --official `score` does not "
                "need it"
            ) from error
    for name, score in zip(table["Metric"], table["Score"], strict=True):
        result[str(name)] = None if np.isnan(score) else float(score)
    main = specification.main_metric.name
    return dict(sorted(result.items(), key=lambda item: (item[0] != main, item[0])))
