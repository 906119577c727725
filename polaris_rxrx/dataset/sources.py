"""Where Hugging Face and GitHub keep the registry's files, as `transfer.Job`s.

Conventions: huggingface_hub knows the credentials and reads what Hugging Face says of a repository: its
files, at which commit, sizes, hashes. Every request is ours (`transfer`): proxies and certificates are looked
at in one place, whatever its version builds on; and `hf_hub_download` (1.x) writes to a name unique to the
process and deletes it on failure, so an interrupted 2 GB starts again from nothing, and with `force_download`
it deletes the old file first. The plain address serves files in Xet storage too.

Web addresses can be replaced, for mirrors: `HF_ENDPOINT` and `POLARIS_RXRX_GITHUB_RAW`, read at each fetch.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx

from polaris_rxrx import bounded
from polaris_rxrx._version import __version__
from polaris_rxrx.dataset.registry import HUGGING_FACE, KNOWN, Known, Remote, looks_like
from polaris_rxrx.dataset.transfer import AGAIN, NETWORK, Job, git_sha1, host_of, read
from polaris_rxrx.errors import UpstreamError, UsageError

PAGE = KNOWN["metadata"].files[0].page  # RxRx3-core's
Kind = Literal["datasets", "models"]


@dataclass(frozen=True)
class Origin:
    """A file of the registry, and where its bytes are."""

    known: Known
    file: Remote
    revision: str
    job: Job

    @property
    def size(self) -> int:
        """Bytes; roughly, where that is not known."""
        return self.job.size or self.file.about


_RAW = "https://raw.githubusercontent.com"


def mirrored(url: str) -> str:
    """An address at the mirror of GitHub's files that the environment names, if it is one of those."""
    return (
        _base("POLARIS_RXRX_GITHUB_RAW", _RAW) + url.removeprefix(_RAW) if url.startswith(f"{_RAW}/") else url
    )


def github_source(known: Known, file: Remote) -> Origin:
    base = _base("POLARIS_RXRX_GITHUB_RAW", _RAW)
    url = f"{base}/{file.repository}/{file.revision}/{file.path}"
    job = Job(file.name, url, file.size, file.sha256, columns=file.columns)
    return Origin(known, file, file.revision, job)


class HuggingFace:
    """A repository on Hugging Face, RxRx3-core's unless another is named, asked once and only when needed.

    Args:
        client: Which sends the requests.
        repository: `OWNER/NAME`.
        kind: Of data or of a model.
        revision: A branch, a tag or a commit.
    """

    def __init__(
        self,
        client: httpx.Client,
        repository: str = HUGGING_FACE,
        *,
        kind: Kind = "datasets",
        revision: str = "main",
    ) -> None:
        self.client, self.repository, self.kind, self.asked_for = client, repository, kind, revision
        self.endpoint = _base("HF_ENDPOINT", "https://huggingface.co")
        self.host = host_of(self.endpoint)

    @property
    def page(self) -> str:
        """The repository's web page."""
        return f"https://huggingface.co/{self._below}{self.repository}"

    @property
    def revision(self) -> str:
        """The commit that the revision is now."""
        return self._info.sha or self.asked_for

    def source(self, known: Known, file: Remote, data: Path) -> Origin:
        """Where `file` is. One whose name is not known is found by its width."""
        job = self._job(file.path or self._find(known, data), file.columns)
        return Origin(known, file, self.revision, job)

    def job(self, path: str) -> Job:
        """Where a file of the repository is."""
        return self._job(path)

    def read(self, path: str) -> bytes:
        """A small file."""
        job = self._job(path)
        content = read(job, self.client)
        if job.git_sha1 is not None and git_sha1(io.BytesIO(content), len(content)) != job.git_sha1:
            raise UpstreamError(
                f"{path}: {self.host} sent something else than the repository's file. {AGAIN}"
            )
        return content

    @property
    def sizes(self) -> dict[str, int | None]:
        """The size of every file of the repository."""
        return {name: held.size for name, held in self._files.items()}

    @cached_property
    def _asked(self) -> Any:
        """The repository's description, or the error: offline, one wait is enough."""
        from huggingface_hub import DatasetInfo, ModelInfo, constants

        if constants.HF_HUB_OFFLINE:
            return UpstreamError(
                f"{self.repository}: {self.host} was not asked, because HF_HUB_OFFLINE is set. "
                "Unset it to fetch."
            )
        revision = quote(self.asked_for, safe="")
        url = f"{self.endpoint}/api/{self.kind}/{self.repository}/revision/{revision}?blobs=True"
        job = Job(self.repository, url, headers=self._headers, if_refused=self._if_refused)
        try:
            said = read(job, self.client)
        except UpstreamError as error:
            return error
        try:
            described = bounded.json_loads(said)
            return ModelInfo(**described) if self.kind == "models" else DatasetInfo(**described)  # type: ignore[no-untyped-call]
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # a captive portal's page
            return UpstreamError(
                f"{self.repository}: {self.host} gave an answer that makes no sense "
                f"({type(error).__name__}). {NETWORK}"
            )

    @property
    def _headers(self) -> dict[str, str]:
        """With the token, if there is one. huggingface_hub's own headers cost a request of its own making."""
        from huggingface_hub import constants, get_token

        headers = {"User-Agent": f"polaris_rxrx/{__version__}"}
        token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers

    @property
    def _info(self) -> Any:
        if isinstance(self._asked, UpstreamError):
            raise self._asked
        return self._asked

    @property
    def _below(self) -> str:
        return "datasets/" if self.kind == "datasets" else ""

    @property
    def _if_refused(self) -> str:
        # Hugging Face says 401 to a stale token even where none is needed.
        return (
            f"Open {self.page} in a browser, accept its conditions if it has any, and log in with "
            "`hf auth login` or set HF_TOKEN; remove a token that no longer holds. A proxy may be the one "
            "that refuses."
        )

    @property
    def _files(self) -> dict[str, Any]:
        return {held.rfilename: held for held in self._info.siblings or ()}

    def _job(self, path: str, columns: tuple[str, ...] = ()) -> Job:
        held = self._files.get(path)
        if held is None or held.size is None:
            raise UpstreamError(
                f"{path}: the repository {self.repository} on {self.host} holds no such file. At its top "
                f"level it holds {', '.join(sorted(n for n in self._files if '/' not in n)) or 'nothing'}."
            )
        lfs, in_lfs = held.lfs, held.lfs is not None
        return Job(
            path,
            f"{self.endpoint}/{self._below}{self.repository}/resolve/{self.revision}/{quote(path)}",
            lfs.size if in_lfs else held.size,
            sha256=lfs.sha256 if in_lfs else None,
            git_sha1=None if in_lfs else held.blob_id,
            columns=columns,
            headers=self._headers,
            if_refused=self._if_refused,
        )

    def _find(self, known: Known, data: Path) -> str:
        """The repository's file with this embedding's width, those named like it tried first."""
        tables = [name for name in self._files if name.endswith(".parquet") and "/" not in name]
        names = [name for name in tables if "openphenom" not in name.lower()]
        found: dict[str, int | None] = {}
        for name in sorted(names, key=lambda n: (not looks_like(known, n), n)):
            found[name] = self._width(name)
            if found[name] == known.width:
                return name
        told = ", ".join(f"{n} ({_width_in_words(w)})" for n, w in found.items()) or "none but OpenPhenom's"
        raise UpstreamError(
            f"{known.what}: no embedding file {known.width:,} columns wide is in {self.repository} on "
            f"{self.host}. Its other top-level parquet files: {told}. Put the file into {data} by hand if "
            "you have it."
        )

    def _width(self, name: str) -> int | None:
        """Embedding columns of a parquet file, by its footer alone; None if it is no parquet file.

        A parquet file ends in its schema, the schema's length (4 bytes, little-endian) and `PAR1`.
        """
        import pyarrow
        import pyarrow.parquet

        job = self._job(name)
        if job.size is None or job.size < 12:
            return None
        end = read(job, self.client, job.size - 8)
        start = job.size - 8 - int.from_bytes(end[:4], "little")
        if end[4:] != b"PAR1" or start < 4:
            return None
        try:
            schema = pyarrow.parquet.read_schema(io.BytesIO(read(job, self.client, start)))
        except pyarrow.ArrowInvalid:
            return None
        return sum(bool(pyarrow.types.is_floating(column.type)) for column in schema)


def _width_in_words(width: int | None) -> str:
    return "not readable as parquet" if width is None else f"{width:,} wide"


def _base(variable: str, usual: str) -> str:
    base = os.environ.get(variable) or usual
    try:
        good = httpx.URL(base).scheme in ("http", "https") and bool(httpx.URL(base).host)
    except httpx.InvalidURL:
        good = False
    if not good:  # not repeated: it may hold a password
        raise UsageError(f"{variable} is not a web address; expected something like {usual}")
    return base.rstrip("/")
