"""A loopback stand-in for Hugging Face and for raw.githubusercontent.com, with faults on request.

Conventions: one `Repository` on 127.0.0.1, at a free port, serves what huggingface_hub and `polaris_rxrx` ask
for: `GET /api/datasets/{repo}/revision/{revision}` (with `blobs=true` sizes and hashes; of a model
`/api/models/…`), `/datasets/{repo}/resolve/…` (of a model `/{repo}/resolve/…`; which redirects a file in LFS
to a signed address on another host name, as the real one does), and the raw GitHub paths. Every answer with
content is noted: its path, the first byte asked for, the bytes sent. A `Fault` is used up by the requests it
meets, so a retry finds the server well again.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

REPO = "recursionpharma/rxrx3-core"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = "recursionpharma/OpenPhenom"
SIGNATURE = "signed-by-the-storage"  # must never appear in a message


@dataclass
class Fault:
    """What goes wrong with the next `times` requests whose path ends with `path`.

    Attributes:
        status: Answer with this status.
        after: Close the connection after so many bytes of content.
        wrong: Send other bytes of the same length.
        no_range: Ignore a Range header.
        headers: Sent with `status`.
        stall: Seconds to wait before each block of content.
        html: Answer with a web page, as a captive portal does.
    """

    path: str
    times: int = 1_000_000
    status: int | None = None
    after: int | None = None
    wrong: bool = False
    no_range: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    stall: float = 0.0
    html: bool = False


@dataclass
class Sent:
    """One answer with content: what was asked for, and how much of it was sent."""

    path: str
    start: int
    length: int
    headers: dict[str, str]


class Repository:
    """What is served, what goes wrong, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}  # in the Hugging Face repository
        self.plain: set[str] = {"LICENSE"}  # of these, kept in git rather than in LFS
        self.raw: dict[str, bytes] = {}  # on GitHub, by path after the revision
        self.faults: list[Fault] = []
        self.requests: list[str] = []  # every request: "GET /path"
        self.sent: list[Sent] = []
        self.address = ""
        self.storage = ""

    def bytes_of(self, name: str) -> int:
        """Bytes of content sent of the files whose path ends with `name`."""
        return sum(sent.length for sent in self.sent if sent.path.endswith(name))

    def starts_of(self, name: str) -> list[int]:
        """The first byte asked for, request by request."""
        return [sent.start for sent in self.sent if sent.path.endswith(name)]

    def fault(self, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and path.endswith(fault.path):
                fault.times -= 1
                return fault
        return None

    def description(self, blobs: bool) -> dict[str, Any]:
        """What the API says of the repository."""
        return {
            "id": REPO,
            "sha": COMMIT,
            "private": False,
            "gated": False,
            "siblings": [self._sibling(name, blobs) for name in self.files],
        }

    def _sibling(self, name: str, blobs: bool) -> dict[str, Any]:
        said: dict[str, Any] = {"rfilename": name}
        if blobs:
            content = self.files[name]
            said |= {"size": len(content), "blobId": git_sha1(content)}
            if name not in self.plain:
                digest = hashlib.sha256(content).hexdigest()
                said["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
        return said


def git_sha1(content: bytes) -> str:
    """What git calls this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serving() -> Iterator[Repository]:
    """A server for as long as the block lasts."""
    repository = Repository()

    class Handler(_Handler):
        served = repository

    server = _Server(("127.0.0.1", 0), Handler)
    port = server.server_address[1]
    repository.address = f"http://127.0.0.1:{port}"
    repository.storage = f"http://localhost:{port}"  # another host name, so credentials must not follow
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield repository
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(
            sys.exc_info()[1], ConnectionError
        ):  # a client that has gone is what tests are about
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else head and body, written apart, wait for each other
    served: Repository

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        self.served.requests.append(f"{self.command} {path}")
        fault = self.served.fault(path)
        if fault is not None and fault.status is not None:
            self._send(fault.status, b"no", fault.headers)
        elif fault is not None and fault.html:
            self._send(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
        elif path == f"/api/datasets/{REPO}/revision/main":
            described = self.served.description("blobs" in parse_qs(url.query))
            self._send(200, json.dumps(described).encode(), {"Content-Type": "application/json"})
        elif path in (f"/api/models/{MODEL}/revision/{revision}" for revision in ("main", COMMIT)):
            described = self.served.description("blobs" in parse_qs(url.query)) | {"id": MODEL}
            self._send(200, json.dumps(described).encode(), {"Content-Type": "application/json"})
        elif found := re.fullmatch(rf"/(?:datasets/{REPO}|{MODEL})/resolve/(main|{COMMIT})/(.+)", path):
            self._resolve(found[2], fault)
        elif found := re.fullmatch(r"/storage/(.+)", path):
            self._content(path, self.served.files.get(found[1]), fault)
        elif found := re.fullmatch(
            r"/(?:recursionpharma/EFAAR_benchmarking|jump-cellpainting/datasets)/[0-9a-f]{40}/(.+)", path
        ):
            self._content(path, self.served.raw.get(found[1]), fault)
        else:
            self._send(404, b"")

    def _resolve(self, name: str, fault: Fault | None) -> None:
        if name not in self.served.files:
            self._send(404, b"Entry not found", {"X-Error-Code": "EntryNotFound"})
        elif name in self.served.plain:
            self._content(self.path, self.served.files[name], fault)
        else:
            content = self.served.files[name]
            headers = {
                "Location": f"{self.served.storage}/storage/{name}?Signature={SIGNATURE}",
                "X-Repo-Commit": COMMIT,
                "X-Linked-Size": str(len(content)),
                "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Xet-Hash": "0" * 64,
            }
            self._send(302, b"", headers)

    def _content(self, path: str, content: bytes | None, fault: Fault | None) -> None:
        if content is None:
            self._send(404, b"404: Not Found")
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and not (fault and fault.no_range) else 0
        if asked and start >= len(content):
            self._send(416, b"")
            return
        body = content[start:]
        self.send_response(206 if asked and not (fault and fault.no_range) else 200)
        if asked and start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{git_sha1(content)}"')
        self.end_headers()
        sent = Sent(path, start, 0, {name.lower(): value for name, value in self.headers.items()})
        self.served.sent.append(sent)
        if self.command != "HEAD":
            self._write(body, fault, sent)

    def _write(self, body: bytes, fault: Fault | None, sent: Sent) -> None:
        if fault is not None and fault.wrong:
            body = bytes(byte ^ 1 for byte in body)
        stop = len(body) if fault is None or fault.after is None else min(fault.after, len(body))
        for begin in range(0, stop, 16_384):
            if fault is not None and fault.stall:
                time.sleep(fault.stall)
            block = body[begin : min(begin + 16_384, stop)]
            try:
                self.wfile.write(block)
            except OSError:  # the client has gone
                self.close_connection = True
                return
            sent.length += len(block)
        if stop < len(body):
            self.close_connection = True

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
