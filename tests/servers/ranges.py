"""A loopback web server that sends files whole or in parts, as any host of large files does.

Conventions: one `Host` on 127.0.0.1, at a free port, answers GET and HEAD of `/NAME`, with one Range if asked
(`bytes=A-B`, `bytes=A-`, `bytes=-N`), an ETag of the content and its length. Every request is noted as
(method, name, range or None), every byte of content that is sent is counted. A `Fault` is used up by the
requests it meets.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that ask for a part, after `skip` of them went well.

    Attributes:
        status: Answer with this status.
        after: Close the connection after so many bytes of content.
        whole: Send all of the file, as a host without ranges does.
    """

    times: int = 1_000_000
    skip: int = 0
    status: int | None = None
    after: int | None = None
    whole: bool = False


@dataclass
class Host:
    """What is served, by name; what goes wrong; what was asked for, and how much was sent."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    sent: int = 0
    address: str = ""

    def fault(self) -> Fault:
        for fault in self.faults:
            if fault.skip > 0:
                fault.skip -= 1
            elif fault.times > 0:
                fault.times -= 1
                return fault
        return Fault()


@contextmanager
def serving() -> Iterator[Host]:
    """A host for as long as the block lasts."""
    host = Host()

    class Handler(_Handler):
        served = host

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    served: Host
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the tests' stderr."""

    def do_GET(self) -> None:
        name, asked = unquote(urlsplit(self.path).path).lstrip("/"), self.headers.get("Range")
        self.served.requests.append((self.command, name, asked))
        fault = self.served.fault()
        if name not in self.served.files or fault.status is not None:
            self.send_response(fault.status or 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = self.served.files[name]
        first, last = 0, len(content) - 1
        if asked is not None and not fault.whole:
            low, _, high = asked.removeprefix("bytes=").partition("-")
            if low:
                first, last = int(low), min(int(high), last) if high else last
            else:
                first = max(0, len(content) - int(high))
        else:
            asked = None
        part = content[first : last + 1]
        self.send_response(200 if asked is None else 206)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
        if asked is not None:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.after is not None:
            part = part[: fault.after]
            self.close_connection = True
        self.served.sent += len(part)
        self.wfile.write(part)

    do_HEAD = do_GET
