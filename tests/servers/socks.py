"""A loopback SOCKS 5 proxy (RFC 1928, and 1929 for a user name and password).

Conventions: names are looked up here, in `hosts`, so a client that asks for `hub.test` proves that it went
through the proxy and left the looking up to it. Every CONNECT is noted as (host, port).
"""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Who may use it, what it knows, and what it was asked for.

    Attributes:
        login: The user name and password that are needed.
        hosts: Addresses by name.
        answer: Sent instead of any of the protocol.
        refuse: The reply to a CONNECT, where it is not 0 (done).
    """

    port: int = 0
    login: tuple[str, str] | None = None
    hosts: dict[str, str] = field(default_factory=dict)
    answer: bytes | None = None
    refuse: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Proxy]:
    """A proxy for as long as the block lasts."""
    proxy = Proxy()

    class Handler(_Handler):
        served = proxy

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


class _Handler(socketserver.BaseRequestHandler):
    served: Proxy
    request: socket.socket

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client has gone
            self._handle()

    def _handle(self) -> None:
        _, count = self._read(2)
        methods = self._read(count)
        if self.served.answer is not None:
            self.request.sendall(self.served.answer)
            return
        wanted = 0 if self.served.login is None else 2
        if wanted not in methods:
            self.request.sendall(b"\x05\xff")
            return
        self.request.sendall(bytes([5, wanted]))
        if wanted == 2:
            self._read(1)
            given = tuple(self._read(self._read(1)[0]).decode() for _ in range(2))
            self.request.sendall(bytes([1, given != self.served.login]))
            if given != self.served.login:
                return
        *_, kind = self._read(4)
        if kind == 3:
            host = self._read(self._read(1)[0]).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, self._read(size))
        (port,) = struct.unpack(">H", self._read(2))
        self.served.asked.append((host, port))
        if self.served.refuse or (kind == 3 and host not in self.served.hosts):
            self.request.sendall(bytes([5, self.served.refuse or 4, 0, 1]) + bytes(6))
            return
        with socket.create_connection((self.served.hosts.get(host, host), port)) as target:
            self.request.sendall(b"\x05\x00\x00\x01" + bytes(6))
            self._pass_on(target)

    def _pass_on(self, target: socket.socket) -> None:
        ways = {self.request: target, target: self.request}
        while True:
            for ready in select.select(list(ways), [], [])[0]:
                block = ready.recv(65_536)
                if not block:
                    return
                ways[ready].sendall(block)

    def _read(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            block = self.request.recv(count - len(content))
            if not block:
                raise ConnectionError
            content += block
        return content
