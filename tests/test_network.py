"""Proxies and certificates: what is used, what is refused in one line, every command behind a SOCKS proxy."""

from __future__ import annotations

import re
import shutil
import socket
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
import httpx
import pytest

from polaris_rxrx import network
from polaris_rxrx.cli import run
from polaris_rxrx.dataset import transfer
from polaris_rxrx.hub import files as hub_files
from polaris_rxrx.hub import upstream
from polaris_rxrx.network import NetworkError
from tests.cli.test_submit import prepare, table
from tests.servers import huggingface, socks
from tests.servers.hub import HubServer, v1
from tests.servers.uploads import Uploads

PASSWORD = "canary-pa55"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *map(str.lower, VARIABLES), "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def proxy() -> Iterator[socks.Proxy]:
    with socks.serving() as running:
        yield running


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[HubServer, Uploads]]:
    with HubServer() as server:
        server.files["x"] = b"content"
        yield server, Uploads(server, server.accounts.who)


@pytest.fixture
def server(running: tuple[HubServer, Uploads]) -> HubServer:
    """Nothing was asked of it, nothing is stored."""
    server, uploads = running
    server.log.clear()
    uploads.stored.clear()
    return server


# ---- what is refused

BAD = {
    "socks4://bob:canary-pa55@host:1": "a proxy of the kind socks4:// is not supported",
    "ftp://host": "a proxy of the kind ftp:// is not supported",
    "canary-pa55 of mine://host": "a proxy of the kind is not supported",
    "http://": "is not the address of a proxy",
    "http://:3128": "is not the address of a proxy",
    "http://host:port": "is not the address of a proxy",
    "http://host:99999": "is not the address of a proxy",
    "http://bob:canary#pa55@host:80": "is not the address of a proxy",
    "bob:canary/pa55@host:80": "is not the address of a proxy",
    "http://[::1": "is not the address of a proxy",
    "http://ho\x1b[31mst": "is not the address of a proxy",
    "socks5://bob:canary-pa55@host:x": "is not the address of a proxy",
}


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("variable", VARIABLES[:3])
@pytest.mark.parametrize("value", BAD)
def test_what_is_no_proxy(value: str, variable: str, small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    name = variable.lower() if small else variable
    monkeypatch.setenv(name, value)
    with pytest.raises(NetworkError) as caught:
        network.client()
    told = str(caught.value)
    assert told.startswith(name) and BAD[value] in told
    assert "canary" not in told and "pa55" not in told and told.isprintable()
    monkeypatch.setenv("NO_PROXY", "a.example, *")
    network.client().close()  # it would not be used


def test_small_letters_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://good:1")
    monkeypatch.setenv("all_proxy", "bad://x")
    with pytest.raises(NetworkError, match=r"^all_proxy:"):
        network.client()
    monkeypatch.setenv("all_proxy", "http://good:1")
    monkeypatch.setenv("ALL_PROXY", "bad://x")
    network.client().close()
    monkeypatch.setenv("all_proxy", "")  # an empty one takes the other back
    network.client().close()


@pytest.mark.parametrize(
    ("entries", "bad"),
    [
        ("localhost,127.0.0.1,[::1],::1,.a.example,*.b.example,10.0.0.0/8,host:80,http://c.example", None),
        ("localhost 127.0.0.1  a.example", None),
        (" , ,", None),
        ("host:port", "host:port"),
        ("good, bad\x1b[1m", "bad?[1m"),
        ("[::1]:80:1", "[::1]:80:1"),
    ],
)
def test_no_proxy(entries: str, bad: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", entries)
    network.client().close()  # without a proxy it does not matter
    monkeypatch.setenv("HTTPS_PROXY", "http://host:1")
    if bad is None:
        network.client().close()
    else:
        with pytest.raises(NetworkError, match=f"^no_proxy: '{re.escape(bad)}' is no host") as caught:
            network.client()
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("direct", ["localhost", "127.0.0.1", "x, 127.0.0.1", "*", "127.0.0.1:{port}"])
def test_what_is_asked_directly(direct: str, server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    port = urlsplit(server.url).port
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setenv("NO_PROXY", direct.format(port=port))
    host = "localhost" if direct == "localhost" else "127.0.0.1"
    with network.client() as client:
        assert client.get(f"http://{host}:{port}/storage/x").content == b"content"
        monkeypatch.setenv("NO_PROXY", "elsewhere.example")
    with network.client() as client, pytest.raises(httpx.ConnectError):
        client.get(f"http://{host}:{port}/storage/x")


def test_names_with_a_star_and_with_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*.a.example,[::1]")
    with network.client() as client:
        direct = client._transport
        assert client._transport_for_url(httpx.URL("https://x.a.example/")) is direct
        assert client._transport_for_url(httpx.URL("http://[::1]:80/")) is direct
        assert client._transport_for_url(httpx.URL("https://b.example/")) is not direct


CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "POLARIS_CA_BUNDLE")


def test_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty, locked = tmp_path / "empty.pem", tmp_path / "folder"
    empty.write_text("no certificate")
    locked.mkdir()
    one = network._environment_certificates().get_ca_certs()  # of `clean_environment`, which CI is quick with
    monkeypatch.delenv("SSL_CERT_FILE")
    assert len(one) == 1 and one[0] in network._environment_certificates().get_ca_certs()  # certifi's
    for variable, value, told in (
        ("SSL_CERT_FILE", "no/such.pem", "is no file of certificates: no such file"),
        ("SSL_CERT_FILE", str(locked), "is no file of certificates: a folder"),
        ("SSL_CERT_FILE", str(empty), "is no file of certificates: no certificate in it can be read"),
        ("SSL_CERT_FILE", "a\x1b[1m", "is no file of certificates"),
        ("SSL_CERT_DIR", "no/such", "is no folder that can be read"),
        ("SSLKEYLOGFILE", "no/such/log", "cannot be written to: No such file or directory"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            with pytest.raises(NetworkError) as caught:
                network.client()
            assert re.match(rf"{variable} \(.*\) {re.escape(told)}", str(caught.value))
            assert str(caught.value).isprintable()
            network.client(verify=False).close()  # nothing is verified, so none is needed
    monkeypatch.setenv("SSL_CERT_DIR", f"no/such:{tmp_path}")
    network.client().close()
    monkeypatch.setenv("SSL_CERT_DIR", "no/such")
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())  # goes first
    network.client().close()


# ---- the commands


@pytest.fixture(scope="module")
def reference(running: tuple[HubServer, Uploads]) -> str:
    with upstream.session():
        return running[0].publish_v1(v1(table(), list(range(20))))


@pytest.fixture
def published(
    server: HubServer,
    running: tuple[HubServer, Uploads],
    reference: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[HubServer, Uploads, str]:
    """A Hub that its own computer knows by number alone; the name `hub.test` leads nowhere here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub_files, "pause", lambda seconds: None)
    for name, value in {
        **server.accounts.environment(server.url.replace("127.0.0.1", "hub.test")),
        **server.accounts.credentials(),
    }.items():
        monkeypatch.setenv(name, value)
    return server, running[1], reference


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
def test_the_main_job_behind_a_socks_proxy(
    scheme: str,
    published: tuple[HubServer, Uploads, str],
    proxy: socks.Proxy,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    server, uploads, reference = published
    proxy.hosts = {"hub.test": "127.0.0.1"}
    proxy.login = ("bob", PASSWORD)
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://bob:{PASSWORD}@127.0.0.1:{proxy.port}")
    assert run(["prepare", reference, "--out", "task"]) == 0
    assert run(["login"]) == 0
    assert run(["whoami"]) == 0
    folder = prepare(hub=_Tasks())
    assert run(["submit", str(folder), "--yes"]) == 0
    assert uploads.posts == 1 and len(uploads.stored) == 1
    port = urlsplit(server.url).port
    assert {host for host, _ in proxy.asked} >= {"hub.test"} and {p for _, p in proxy.asked} == {port}
    told = "".join(capfd.readouterr())
    assert "Logged in to http://hub.test" in told and PASSWORD not in told


class _Tasks:
    tasks = {"v1": Path("task")}  # noqa: RUF012


def test_fetch_behind_a_socks_proxy(
    proxy: socks.Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.hosts = {"hf.test": "127.0.0.1", "localhost": "127.0.0.1"}
    monkeypatch.setenv("all_proxy", f"socks5://127.0.0.1:{proxy.port}")
    with huggingface.serving() as repository:
        repository.files = {"LICENSE": b"Licence", "metadata_rxrx3_core.csv": b"well_id\n" * 9}
        monkeypatch.setenv("HF_ENDPOINT", repository.address.replace("127.0.0.1", "hf.test"))
        assert run(["fetch", "metadata", "--accept-licence", "--data", str(tmp_path)]) == 0
    assert (tmp_path / "metadata_rxrx3_core.csv").read_bytes() == b"well_id\n" * 9
    assert {host for host, _ in proxy.asked} == {"hf.test", "localhost"}


COMMANDS: dict[str, list[str]] = {
    "prepare": ["prepare", "recursion/compound-gene", "--out", "out"],
    "login": ["login"],
    "whoami": ["whoami"],
    "fetch": ["fetch", "metadata", "--accept-licence", "--data", "data"],
    "fetch from GitHub": ["fetch", "annotations", "--data", "data"],
    "submit": ["submit", "submissions/my-model", "--yes"],
}
TROUBLES = {
    "ALL_PROXY": f"bad://bob:{PASSWORD}@host",
    "http_proxy": f"http://bob:{PASSWORD}@host:x",
    "HTTPS_PROXY": f"socks4://bob:{PASSWORD}@host",
    "SSL_CERT_FILE": "no/such.pem",
    "SSL_CERT_DIR": "no/such",
    "SSLKEYLOGFILE": "no/such/log",
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves what `ready` makes."""
    return tmp_path_factory.mktemp("ready") / "kept"


@pytest.fixture
def ready(
    published: tuple[HubServer, Uploads, str],
    kept: Path,
    proxy: socks.Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], None]:
    """A prepared task and submission; what comes back tells that nothing was sent or left since."""
    server, _, reference = published
    proxy.hosts = {"hub.test": "127.0.0.1"}
    if not kept.exists():
        with monkeypatch.context() as patch:
            patch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.port}")
            assert run(["prepare", reference, "--out", "task"]) == 0
        prepare(hub=_Tasks())
        shutil.copytree(".", kept)
    shutil.copytree(kept, ".", dirs_exist_ok=True)
    for name in ("HF_ENDPOINT", "POLARIS_RXRX_GITHUB_RAW"):
        monkeypatch.setenv(name, server.url.replace("127.0.0.1", "hub.test"))
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    before = len(server.log)

    def untouched() -> None:
        assert len(server.log) == before
        left = [p for p in Path().rglob("*") if p.name.endswith(".tmp") or p.name in ("out", "receipts")]
        assert left == []

    return untouched


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("variable", TROUBLES)
def test_every_command_tells_it_in_one_line(
    variable: str,
    command: str,
    ready: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    capfd.readouterr()
    if variable == "SSL_CERT_DIR":
        monkeypatch.delenv("SSL_CERT_FILE")  # which goes first
    monkeypatch.setenv(variable, TROUBLES[variable])
    assert run(COMMANDS[command]) == 1
    out, err = capfd.readouterr()
    errors = [line for line in err.splitlines() if line.startswith("Error:")]
    assert out == "" and err.splitlines()[-1:] == errors and re.match(rf"Error: {variable}\b", errors[0])
    assert PASSWORD not in err and "Traceback" not in err
    ready()


def test_a_dry_run_does_not_care(
    ready: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for variable, value in TROUBLES.items():
        monkeypatch.setenv(variable, value)
    assert run(["submit", "submissions/my-model", "--dry-run"]) == 0
    assert "POST http://hub.test" in capfd.readouterr().out
    ready()


@pytest.fixture
def closing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """httpcore leaves the socket of a failed handshake to the garbage collector, which warns, in any test."""
    made: weakref.WeakSet[socket.socket] = weakref.WeakSet()
    connect = socket.create_connection

    def noted(*words: Any, **more: Any) -> socket.socket:
        one = connect(*words, **more)
        made.add(one)
        return one

    monkeypatch.setattr(socket, "create_connection", noted)
    yield
    for one in made:
        one.close()


@pytest.mark.usefixtures("closing")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("how", ["no SOCKS", "HTTP", "nobody", "unknown host", "wrong password", "closed"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_socks_proxy_that_does_not_work(
    how: str,
    command: str,
    ready: Callable[[], None],
    proxy: socks.Proxy,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    capfd.readouterr()
    monkeypatch.setattr(transfer, "RETRIES", 1)
    port = proxy.port
    if how == "no SOCKS":
        proxy.answer = b"SSH-2.0-OpenSSH_9.6\r\n"
    elif how == "HTTP":
        proxy.answer = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    elif how == "closed":
        proxy.answer = b""
    elif how == "unknown host":
        proxy.hosts = {}
    elif how == "wrong password":
        proxy.login = ("bob", "another")
    else:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
    monkeypatch.setenv("ALL_PROXY", f"socks5://bob:{PASSWORD}@127.0.0.1:{port}")
    assert run(COMMANDS[command]) == 1
    out, err = capfd.readouterr()
    assert out == "" and "Traceback" not in err and PASSWORD not in err
    assert "Error: " in err and re.search("proxy|connection", err)
    ready()
