"""A loopback Polaris Hub, with faults on request.

Conventions: a `HubServer` listens on 127.0.0.1 at a free port for as long as its `with` block lasts.
`publish_v1` and `publish_v2` take polaris's own objects and serve what the real client asks for: camelCase
documents under `/api/v{1,2}/{benchmark,dataset}/{owner}/{slug}` and files under `/storage/`, signed in the
query string as real storage does. `documents` and `files` may be changed before a request. Every request is
noted. A `Fault` is used up by the requests it meets, so a retry finds the server well again.
"""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.servers.accounts import Accounts

SIGNATURE = "signed-by-the-storage"  # must never appear in a message


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose path ends with `path`.

    Attributes:
        method: Only requests with this method.
        late: Do what is asked first; then reset, wait or answer otherwise.
        status: Answer with this status, and `headers`.
        body: Answer with this content instead of the right one.
        cut: Answer with only so many bytes, saying that this is all.
        short: Close the connection after so many bytes of what was announced.
        reset: Reset the connection without an answer.
        delay: Seconds to wait before answering.
    """

    path: str
    times: int = 1_000_000
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut: int | None = None
    short: int | None = None
    reset: bool = False
    delay: float = 0.0
    method: str | None = None
    late: bool = False


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    query: str = ""


@dataclass(frozen=True)
class Answer:
    """One answer to be sent."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class HubServer:
    """What is served, what goes wrong, and what was asked for.

    `routes` maps `(method, path)` to a function from a `Request` to an `Answer`, for what is not a file; a
    path that ends in `/*` stands for all with two more parts.
    """

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}  # by path below /api
        self.files: dict[str, bytes] = {}  # by path below /storage
        self.routes: dict[tuple[str, str], Callable[[Request], Answer]] = {}
        self.accounts = Accounts(self.routes)
        self.faults: list[Fault] = []
        self.log: list[Request] = []

        class Handler(_Handler):
            served = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(request.path for request in self.log)

    def fault(self, request: Request) -> Fault | None:
        for fault in self.faults:
            met = request.path.endswith(fault.path) and fault.method in (None, request.method)
            if fault.times > 0 and met:
                fault.times -= 1
                return fault
        return None

    # ---- publishing

    def publish_v1(self, benchmark: Any, table: bytes | None = None) -> str:
        """Serve a V1 benchmark and its dataset; returns its id. `table` replaces the parquet file."""
        dataset = benchmark.dataset
        described = self._describe(dataset, exclude={"table", "zarr_md5sum_manifest"})
        described["root"] = self._sign(f"{described['artifactId']}/table.parquet")
        if table is None:
            buffer = io.BytesIO()
            dataset.table.to_parquet(buffer)
            table = buffer.getvalue()
        self.files[f"{described['artifactId']}/table.parquet"] = table
        self.documents[f"/v1/dataset/{dataset.owner}/{dataset.name}"] = described
        return self._publish(
            "v1", benchmark, self._describe(benchmark, exclude={"n_test_datapoints"}), described
        )

    def publish_v2(self, benchmark: Any, *, training: bytes | None = None) -> str:
        """Serve a V2 benchmark, its dataset and its archive; returns its id.

        `training` replaces the bitmap of the training rows: polaris cannot make a benchmark without any.
        """
        dataset, split = benchmark.dataset, benchmark.split
        described = self._describe(dataset, exclude={"zarr_manifest_md5sum"})
        name = described["artifactId"]
        described["root"] = f"{self.url}/storage/{name}/data.zarr"  # an archive's address is not signed
        root = Path(dataset.zarr_root_path)
        for path in root.rglob("*"):
            if path.is_file():
                self.files[f"{name}/data.zarr/{path.relative_to(root).as_posix()}"] = path.read_bytes()
        self.documents[f"/v2/dataset/{name}"] = described
        document = self._describe(benchmark, exclude=set())
        document["split"] = {}
        bitmaps = {
            "training": split.training.serialize() if training is None else training,
            "test": split.test.serialize(),
        }
        for label, content in bitmaps.items():
            key = f"{document['artifactId']}/{label}.roaring"
            self.files[key] = content
            document["split"][label] = self._sign(key)
        return self._publish("v2", benchmark, document, described)

    def _publish(
        self, version: str, benchmark: Any, document: dict[str, Any], dataset: dict[str, Any]
    ) -> str:
        document["dataset"] = {
            "artifactId": dataset["artifactId"],
            "name": benchmark.dataset.name,
            "owner": dataset["owner"],
        }
        reference = str(document["artifactId"])
        self.documents[f"/{version}/benchmark/{reference}"] = document
        return reference

    def _describe(self, artifact: Any, exclude: set[str]) -> dict[str, Any]:
        document: dict[str, Any] = artifact.model_dump(mode="json", by_alias=True, exclude=exclude)
        document["owner"] = {"slug": str(artifact.owner), "externalId": "org_1", "type": "organization"}
        return document

    def _sign(self, key: str) -> str:
        return f"{self.url}/storage/{key}?X-Signature={SIGNATURE}"

    # ---- answering

    def answer(self, request: Request) -> Answer:
        route = self.routes.get((request.method, request.path))
        route = route or self.routes.get((request.method, f"{request.path.rsplit('/', 2)[0]}/*"))
        if route is not None:
            return route(request)
        if request.method == "GET" and request.path.startswith("/api/"):
            document = self.documents.get(request.path.removeprefix("/api"))
            if document is not None:
                return Answer(200, json.dumps(document).encode(), {"Content-Type": "application/json"})
        if request.method == "GET" and request.path.startswith("/storage/"):
            content = self.files.get(request.path.removeprefix("/storage/"))
            if content is not None:
                return Answer(200, content, {"Content-Type": "application/octet-stream"})
        return Answer(404, b'{"message": "Not found"}', {"Content-Type": "application/json"})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else head and body, written apart, wait for each other
    served: HubServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        parts = urlsplit(self.path)
        request = Request(self.command, unquote(parts.path), headers, body, parts.query)
        self.served.log.append(request)
        fault = self.served.fault(request)
        if fault is None:
            self._send(self.served.answer(request))
            return
        done = self.served.answer(request) if fault.late else None
        time.sleep(fault.delay)
        if fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif fault.status is not None:
            self._send(Answer(fault.status, fault.body or b"", fault.headers))
        else:
            answer = done or self.served.answer(request)
            body = answer.body if fault.body is None else fault.body
            self._send(
                Answer(answer.status, body[: fault.cut], {**answer.headers, **fault.headers}), fault.short
            )

    do_GET = do_POST = do_PUT = do_HEAD = _handle

    def _send(self, answer: Answer, short: int | None = None) -> None:
        try:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body[:short])
        except OSError:  # the client has gone
            self.close_connection = True
        if short is not None:
            self.close_connection = True


# ---- artifacts to publish


def grouped(label: str, **config: Any) -> Any:
    """A metric over treatments, as the real benchmark has it."""
    from polaris.evaluate import Metric
    from polaris.evaluate._metric import GroupedMetricConfig

    config = {"group_by": "treatment", "on_error": "ignore", **config}
    return Metric(label=label, config=GroupedMetricConfig(**config))


def _common(fields: dict[str, Any]) -> dict[str, Any]:
    common: dict[str, Any] = {
        "name": "Compound_Gene",
        "owner": "recursion",
        "input_cols": ["gene_symbol", "treatment"],
        "target_cols": ["active"],
        "metrics": [grouped("roc_auc"), grouped("pr_auc")],
        "main_metric": "pr_auc_grouped",
    }
    return {**common, **fields}


def v1(table: Any, test: Any, training: list[int] | None = None, **fields: Any) -> Any:
    """A V1 benchmark over a DataFrame."""
    from polaris.benchmark import SingleTaskBenchmarkSpecification
    from polaris.dataset import DatasetV1

    dataset = DatasetV1(table=table, name="Some_Data", owner="recursion")
    return SingleTaskBenchmarkSpecification(dataset=dataset, split=(training or [], test), **_common(fields))


def v2(root: Path, columns: dict[str, Any], test: list[int], training: list[int], **fields: Any) -> Any:
    """A V2 benchmark over an archive written at `root`; text may be of any length, chunks hold 7 rows."""
    import numcodecs
    import numpy as np
    import zarr
    from polaris.benchmark import BenchmarkV2Specification
    from polaris.dataset import DatasetV2

    group = zarr.open_group(str(root), mode="w")
    for name, values in columns.items():
        array = np.asarray(values)
        if array.dtype.kind in "UO":
            text = np.array(list(values), dtype=object)
            group.array(name, text, dtype=object, object_codec=numcodecs.VLenUTF8(), chunks=7)
        else:
            group.array(name, array, chunks=7)
    zarr.consolidate_metadata(group.store)
    dataset = DatasetV2(zarr_root_path=str(root), name="Some_Archive", owner="recursion")
    split = {"training": {"indices": training}, "test": {"indices": test}}
    return BenchmarkV2Specification(dataset=dataset, split=split, **_common(fields))
