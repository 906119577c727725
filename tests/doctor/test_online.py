"""Whether services answer, on loopback and not at all; whether somebody is logged in, without saying who."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from polaris_rxrx.doctor import online
from polaris_rxrx.doctor.findings import Host
from polaris_rxrx.hub import tokens

VARIABLES = [service.variable for service in online.SERVICES]
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class _Answers(BaseHTTPRequestHandler):
    status = 200

    def do_HEAD(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Stands for all three services."""
    running = HTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=running.serve_forever, args=[0.01], daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *map(str.lower, PROXIES)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def point(monkeypatch: pytest.MonkeyPatch) -> Any:
    def to(address: str) -> None:
        for name in VARIABLES:
            monkeypatch.setenv(name, address)

    return to


def test_all_answer(server: str, point: Any) -> None:
    point(server)
    hosts, faults = online.examine()
    assert faults == [] and all(h.reached and h.told.startswith("answered after 0.") for h in hosts)
    assert {h.host for h in hosts} == {server.removeprefix("http://")}


@pytest.mark.parametrize("status", [302, 404, 403])
def test_any_answer_says_that_the_way_is_open(
    status: int, server: str, point: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Answers, "status", status)
    point(server)
    assert online.examine()[1] == []


@pytest.mark.parametrize(
    ("status", "told"), [(503, "the answer was 503"), (407, "the proxy asks for a login")]
)
def test_an_answer_of_something_else(
    status: int, told: str, server: str, point: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Answers, "status", status)
    point(server)
    _, faults = online.examine()
    assert len(faults) == 3 and all(told in f.told and not f.stops for f in faults)


def test_a_closed_port(point: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = taken.getsockname()[1]
    point(f"http://127.0.0.1:{closed}")
    hosts, faults = online.examine()
    assert all(h.reached is False and "there is no connection" in h.told for h in hosts)
    assert faults[0].advice == "check the network, and HTTPS_PROXY and NO_PROXY"
    assert faults[0].told.endswith("; prepare, login and submit need it")


def test_a_name_that_nobody_knows(point: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    point("https://hub.example.org")
    hosts, _ = online.examine()
    assert all("Name or service not known" in h.told and h.host == "hub.example.org" for h in hosts)


def test_names_that_are_looked_up_for_ever(point: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(5) and [])
    point("https://hub.example.org")
    begun = time.monotonic()
    hosts, faults = online.examine(patience=0.3)
    assert time.monotonic() - begun < 3
    done.set()
    assert all(h.told == "there was no answer within 0.3 s" for h in hosts) and len(faults) == 3


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("ftp://bob:canary-pa55@proxy", "a proxy of the kind ftp:// is not supported"),
        ("http://bob:canary-pa55@127.0.0.1:1", "there is no connection"),
    ],
)
def test_a_bad_proxy_is_told_without_its_password(
    value: str, told: str, point: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    point("http://hub.example.org")
    monkeypatch.setenv("HTTP_PROXY", value)
    hosts, faults = online.examine()
    assert len(faults) == 3 and all(told in f.told for f in faults)
    assert "canary" not in repr((hosts, faults)) and "bob" not in repr((hosts, faults))


def test_certificates_that_are_none(point: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARIS_CA_BUNDLE", str(tmp_path / "absent.pem"))
    point("https://127.0.0.1:1")
    _, faults = online.examine()
    assert "POLARIS_CA_BUNDLE" in faults[0].told and "POLARIS_CA_BUNDLE" not in faults[1].told


def test_not_asked(monkeypatch: pytest.MonkeyPatch, point: Any) -> None:
    hosts, faults = online.examine(offline=True)
    assert faults == []
    assert hosts[0] == Host("Polaris Hub", "polarishub.io", None, "not asked (--offline)")
    point("http://127.0.0.1:1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hosts, faults = online.examine()
    assert [h.reached for h in hosts] == [False, None, False] and len(faults) == 2


@pytest.mark.parametrize("url", ["http://[::1", "no address", "https://"])
def test_an_address_that_is_none(url: str, point: Any) -> None:
    point(url)
    _, faults = online.examine()
    assert len(faults) == 3 and all("could not be made" in f.told for f in faults)


# ---- the login

TOKEN = {"access_token": "canary-token", "token_type": "Bearer", "expires_at": int(time.time()) + 3600}


def entry(**changed: Any) -> tokens.Login:
    fields = {"how": "browser", "name": "ada@example.org", "servers": [], "token": TOKEN}
    return tokens.Login(**{**fields, **changed})  # type: ignore[arg-type]


def test_nobody() -> None:
    found, faults = online.login()
    assert found is not None and not found.logged_in and faults == [] and online.account() is None
    assert found.hub == "https://polarishub.io"


def test_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARIS_HUB_URL", "https://bob:canary-pa55@hub.example.org:443/")
    tokens.put("https://hub.example.org", entry())
    found, faults = online.login()
    assert found is not None and (found.logged_in, found.how) == (True, "browser") and faults == []
    assert "canary" not in repr(found) and "ada" not in repr(found) and found.hub == "https://hub.example.org"
    assert online.account() == "ada@example.org"


def test_a_login_that_has_expired() -> None:
    tokens.put("https://polarishub.io", entry(token={**TOKEN, "expires_at": 1000}))
    found, (fault,) = online.login()
    assert found is not None and not found.logged_in and fault.told == "it has expired"
    tokens.put("https://polarishub.io", entry(token={**TOKEN, "expires_at": 1000}, external=TOKEN))
    found, faults = online.login()  # another is had with the external one
    assert found is not None and found.logged_in and faults == []


def test_a_password_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARIS_USERNAME", "ada@example.org")
    found, (fault,) = online.login()
    assert fault.told == "POLARIS_PASSWORD is not set, and the other is"
    monkeypatch.setenv("POLARIS_PASSWORD", "canary-pa55")
    found, faults = online.login()
    assert found is not None and (found.logged_in, found.how, faults) == (True, "settings", [])


def test_a_file_that_is_damaged_or_open_to_others() -> None:
    tokens.put("https://polarishub.io", entry())
    tokens.path().chmod(0o644)
    _, (fault,) = online.login()
    assert "is open to others (mode 644)" in fault.told
    assert tokens.path().stat().st_mode & 0o777 == 0o644  # nothing is changed
    tokens.path().chmod(0o600)
    tokens.path().write_text('{"canary-token"')
    _, (fault,) = online.login()
    assert "is damaged" in fault.told and "canary" not in fault.told


def test_a_file_that_is_none() -> None:
    tokens.path().mkdir(parents=True)
    found, (fault,) = online.login()
    assert found is not None and not found.logged_in and tokens.FILE_VARIABLE in fault.advice
    assert online.account() is None
