"""A loopback stand-in for a public bucket of S3, asked without credentials.

Conventions: one `Bucket` on 127.0.0.1, at a free port, answers as S3 does with addresses in path style
(`/BUCKET/KEY`): HEAD and GET of an object, with a Range if asked, and GET `?list-type=2` (ListObjectsV2: the
keys below a prefix, up to a delimiter). What is absent is a 404 with S3's XML; a request that carries
credentials is refused with 403, as a bucket's owner would notice. Every request is noted as "GET /path". A
`Fault` is used up by the requests it meets.

`Bucket.environment` points whatever uses AWS's own names at it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_DATE = "Thu, 01 Jun 2023 12:00:00 GMT"


@dataclass
class Fault:
    """What goes wrong with the next `times` requests of `method` whose path ends with `path`.

    Attributes:
        status: Answer with this status.
        after: Close the connection after so many bytes of content.
    """

    path: str
    method: str = "GET"
    times: int = 1_000_000
    status: int | None = None
    after: int | None = None


@dataclass
class Bucket:
    """What is served, by key; what goes wrong; and what was asked for."""

    name: str = "public"
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    signed: list[str] = field(default_factory=list)  # requests that carried credentials
    address: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a client of S3 asks here instead of at AWS."""
        return {"AWS_ENDPOINT_URL_S3": self.address}

    def fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and method == fault.method and path.endswith(fault.path):
                fault.times -= 1
                return fault
        return None


@contextmanager
def serving(name: str = "public") -> Iterator[Bucket]:
    """A bucket for as long as the block lasts."""
    bucket = Bucket(name)

    class Handler(_Handler):
        served = bucket

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    bucket.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    served: Bucket
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the tests' stderr."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query, keep_blank_values=True)
        self.served.requests.append(f"{self.command} {path}")
        if "Authorization" in self.headers or "X-Amz-Signature" in query:
            self.served.signed.append(path)
            self._error(403, "InvalidAccessKeyId", path)
            return
        fault = self.served.fault(self.command, path)
        if fault is not None and fault.status is not None:
            self._error(fault.status, "SlowDown" if fault.status == 503 else "AccessDenied", path)
            return
        name, _, key = path.lstrip("/").partition("/")
        if name != self.served.name:
            self._error(404, "NoSuchBucket", path)
        elif not key:
            self._list(query)
        elif key not in self.served.objects:
            self._error(404, "NoSuchKey", path)
        else:
            self._object(self.served.objects[key], fault)

    def _object(self, content: bytes, fault: Fault | None) -> None:
        first, last = 0, len(content) - 1
        asked = self.headers.get("Range")
        if asked is not None:
            low, _, high = asked.removeprefix("bytes=").partition("-")
            first = int(low)
            last = min(int(high), last) if high else last
        sent = content[first : last + 1]
        self.send_response(200 if asked is None else 206)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(sent)))
        self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
        self.send_header("Last-Modified", _DATE)
        self.send_header("Accept-Ranges", "bytes")
        if asked is not None:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault is not None and fault.after is not None:
            self.wfile.write(sent[: fault.after])
            self.close_connection = True
            return
        self.wfile.write(sent)

    def _list(self, query: dict[str, list[str]]) -> None:
        """One page; the tests' buckets hold no thousand keys."""
        prefix, delimiter = (query.get(name, [""])[0] for name in ("prefix", "delimiter"))
        most = int(query.get("max-keys", ["1000"])[0])
        keys, folders = list[str](), dict[str, None]()
        for key in sorted(k for k in self.served.objects if k.startswith(prefix)):
            below, mark, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if mark:
                folders[prefix + below + mark] = None
            else:
                keys.append(key)
        keys = keys[:most]
        lines = [
            _XML + '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
            f"<Name>{self.served.name}</Name><Prefix>{escape(prefix)}</Prefix>",
            f"<KeyCount>{len(keys) + len(folders)}</KeyCount><MaxKeys>{most}</MaxKeys>",
            "<IsTruncated>false</IsTruncated>",
        ]
        for key in keys:
            size = len(self.served.objects[key])
            lines.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2023-06-01T12:00:00.000Z</LastModified>"
                f"<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
        lines += [f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in folders]
        self._xml(200, "".join([*lines, "</ListBucketResult>"]))

    def _error(self, status: int, code: str, path: str) -> None:
        self._xml(
            status,
            f"{_XML}<Error><Code>{code}</Code><Message>{code}</Message><Resource>{escape(path)}</Resource>"
            "<RequestId>0</RequestId></Error>",
        )

    def _xml(self, status: int, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
