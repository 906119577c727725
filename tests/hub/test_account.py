"""Logging in with the real client, against a loopback Hub: `hub.account` and `hub.tokens`."""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from polaris_rxrx.errors import MissingError, PolarisRxrxError, UpstreamError, UsageError
from polaris_rxrx.hub import account, tokens
from tests.servers.accounts import EXCHANGE, TOKEN, USER, Accounts
from tests.servers.hub import Answer, Fault, HubServer, Request

UPLOAD = "/api/v2/result"
REFUSED = account.RefusedError


def start() -> HubServer:
    """A Hub that takes whatever somebody who is logged in uploads."""
    server = HubServer()

    def upload(request: Request) -> Answer:
        who = server.accounts.who(request)
        return server.accounts.refusal() if who is None else Answer(201, b"{}")

    server.routes["POST", UPLOAD] = upload
    return server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with start() as running:
        for name, value in Accounts.environment(running.url).items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def password(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.accounts.credentials().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def file() -> Path:
    return tokens.path()


@pytest.fixture(autouse=True)
def nothing_leaks(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Iterator[None]:
    """Whatever a test does: no secret on stdout, stderr, in a log, or in a file but the token file."""
    caplog.set_level(logging.DEBUG)
    yield
    server = request.node.funcargs.get("server")
    if server is None:
        return
    captured = capfd.readouterr()
    shown = captured.out + captured.err + caplog.text
    home = Path(os.environ["HOME"])
    for path in [*home.rglob("*"), *Path(request.node.funcargs.get("tmp_path", home)).rglob("*")]:
        if path.is_file() and path != tokens.path() and path.name != "given.env":
            shown += path.read_bytes().decode(errors="replace")
    for secret in server.accounts.secrets:
        assert secret not in shown


def upload(client: Any) -> int:
    """What every upload goes through."""
    from polaris.utils.errors import PolarisUnauthorizedError

    try:
        response = client._base_request_to_hub(url="/v2/result", method="POST", withhold_token=False, json={})
    except PolarisUnauthorizedError:
        return 401
    return int(response.status_code)


def refused(server: HubServer, kind: type[PolarisRxrxError], call: Callable[[], Any]) -> str:
    """The message of a failure, whose whole chain holds no secret, and hangs on no other error."""
    with pytest.raises(kind) as caught:
        call()
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        told += f"{error!r} {error} {error.args!r}"
        assert error.__cause__ is None
        error = error.__context__
    assert not [secret for secret in server.accounts.secrets if secret in told]
    return str(caught.value)


def approve(text: str) -> str:
    """A person who opens the page, allows access and copies the code."""
    found = re.search(r"http\S+", text)
    assert found is not None
    location = httpx.get(found[0]).headers["Location"]
    return f" {httpx.URL(location).params['code']}\n"


def logged_in() -> account.Account:
    return account.login(ask=approve, open_browser=False)


def authorizations(server: HubServer) -> list[str]:
    return [r.headers["authorization"] for r in server.log if "authorization" in r.headers]


def spoil(file: Path, **fields: Any) -> None:
    """Change the one entry's Hub token."""
    content = json.loads(file.read_text())
    (entry,) = content["hubs"].values()
    entry["token"].update(fields)
    file.write_text(json.dumps(content))


# ---- by password


@pytest.mark.usefixtures("password")
def test_a_password_logs_in_without_asking(server: HubServer, file: Path) -> None:
    with account.client() as client:
        assert upload(client) == 201
        assert "canary" not in repr(client.settings) + str(client.settings) + repr(client)
    with account.client() as client:
        assert upload(client) == 201
    assert server.accounts.grants == ["password"]  # the second used what was kept
    entry = tokens.read()[server.url]
    assert entry.how == "password" and entry.name == "ada@example.org"
    assert "canary" not in file.read_text() and "canary" not in repr(entry)
    assert entry.token["access_token"] not in repr(entry)


@pytest.mark.usefixtures("password")
def test_the_file_is_for_its_owner_alone(
    server: HubServer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    real = os.open  # what `tempfile` makes files with

    def watched(path: Any, flags: int, mode: int = 0o777, **kwargs: Any) -> int:
        handle = real(path, flags, mode, **kwargs)
        if str(path).endswith(".tmp"):
            modes.append(stat.S_IMODE(os.fstat(handle).st_mode))
        return handle

    monkeypatch.setattr(os, "open", watched)
    before = os.umask(0)
    try:
        account.login(ask=None)
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.usefixtures("password")
def test_a_wider_mode_is_told_and_narrowed(
    server: HubServer, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    account.login(ask=None)
    file.chmod(0o644)
    assert account.whoami(check=False) is not None
    assert "was open to others (mode 644)" in caplog.text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.usefixtures("password")
def test_polaris_own_cache_is_left_alone(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from polaris.utils.constants import DEFAULT_CACHE_DIR

    cache = Path(DEFAULT_CACHE_DIR)
    before = sorted(cache.rglob("*auth_token.json")) if cache.exists() else []
    with account.client() as client:
        assert type(client.token_auth).__name__ == "HubAuth"
        assert not hasattr(client.token_auth, "token_cache_path")
        assert not hasattr(client.external_client.token_auth, "token_cache_path")
        assert upload(client) == 201
    assert (sorted(cache.rglob("*auth_token.json")) if cache.exists() else []) == before


@pytest.mark.usefixtures("password")
def test_a_token_goes_to_no_other_hub(server: HubServer, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account.login(ask=None)
    monkeypatch.delenv("POLARIS_USERNAME")
    monkeypatch.delenv("POLARIS_PASSWORD")
    with start() as other:
        monkeypatch.setenv("POLARIS_HUB_URL", other.url)
        message = refused(server, MissingError, lambda: account.client().__enter__())
        assert message.startswith(f"{other.url}: not logged in")
        assert account.whoami() is None
        with account.client(need_login=False) as client:
            assert upload(client) == 401
        assert authorizations(other) == [] and not other.accounts.grants
        other.accounts.users["grace"] = "canary-2"
        monkeypatch.setenv("POLARIS_USERNAME", "grace")
        monkeypatch.setenv("POLARIS_PASSWORD", "canary-2")
        account.login(ask=None)
        assert sorted(tokens.read()) == sorted([server.url, other.url])  # one file, two Hubs
        assert account.logout() and sorted(tokens.read()) == [server.url]
    monkeypatch.delenv("POLARIS_USERNAME")
    monkeypatch.delenv("POLARIS_PASSWORD")
    monkeypatch.setenv("POLARIS_HUB_URL", server.url)
    with account.client() as client:
        assert upload(client) == 201


@pytest.mark.usefixtures("password")
def test_a_token_goes_to_no_other_address(server: HubServer) -> None:
    with HubServer() as other, account.client() as client:
        client.post(f"{other.url}/elsewhere")
        server.routes["POST", UPLOAD] = lambda _: Answer(307, b"", {"Location": f"{other.url}/elsewhere"})
        with pytest.raises(Exception, match=r"307|Redirect|failed"):
            upload(client)
        client.post(UPLOAD.removeprefix("/api"), follow_redirects=True)
        assert len(other.log) == 2 and authorizations(other) == []
        client.post("/other")  # the Hub itself
    assert len(authorizations(server)) == 3


def test_another_api_makes_it_another_login(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    logged_in()
    with start() as other:
        monkeypatch.setenv("POLARIS_API_URL", f"{other.url}/api")  # the rest stays
        assert account.whoami() is None
        with account.client(need_login=False) as client:
            assert upload(client) == 401
        assert not other.log


def test_another_token_server_makes_it_another_login(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in()
    with HubServer() as other:
        monkeypatch.setenv("POLARIS_TOKEN_FETCH_URL", f"{other.url}/oauth/token")
        assert account.whoami() is None and not other.log


@pytest.mark.usefixtures("password")
def test_changed_credentials_replace_the_login(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    account.login(ask=None)
    first = tokens.read()[server.url].token
    server.accounts.users["grace"] = "canary-other"
    server.accounts.secrets.add("canary-other")
    monkeypatch.setenv("POLARIS_USERNAME", "grace")
    monkeypatch.setenv("POLARIS_PASSWORD", "canary-other")
    with account.client() as client:
        assert upload(client) == 201
    entry = tokens.read()[server.url]
    assert entry.name == "grace" and entry.token != first
    assert server.accounts.grants == ["password"] * 2
    monkeypatch.setenv("POLARIS_PASSWORD", "canary-wrong")  # the password alone
    message = refused(server, account.RefusedError, lambda: account.client().__enter__())
    assert "POLARIS_PASSWORD" in message and len(authorizations(server)) == 1


@pytest.mark.usefixtures("password")
def test_an_expired_token_is_renewed(server: HubServer, file: Path) -> None:
    account.login(ask=None)
    spoil(file, expires_at=int(time.time()) - 5)
    with account.client() as client:
        assert upload(client) == 201
    assert server.accounts.grants == ["password"] * 2
    assert tokens.read()[server.url].token["expires_at"] > time.time()


def test_an_expired_token_without_a_password_is_said(
    server: HubServer, file: Path, password: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.login(ask=None)
    monkeypatch.delenv("POLARIS_USERNAME")
    monkeypatch.delenv("POLARIS_PASSWORD")
    spoil(file, expires_at=5)
    assert account.whoami() is None and account.whoami(check=False) is None
    with pytest.raises(MissingError, match="the login has expired") as caught:
        account.client().__enter__()
    assert caught.value.command == ("login",)
    assert authorizations(server) == []


@pytest.mark.usefixtures("password")
def test_a_revoked_token_is_dropped_and_replaced(server: HubServer) -> None:
    account.login(ask=None)
    server.accounts.revoke()
    with account.client() as client:
        assert upload(client) == 401
        assert account.relogin(client)
        assert upload(client) == 201
    assert server.requests[UPLOAD] == 2
    with account.client() as client:
        assert upload(client) == 201


def test_a_revoked_token_nobody_can_replace_is_dropped(
    server: HubServer, file: Path, password: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.login(ask=None)
    monkeypatch.delenv("POLARIS_USERNAME")
    monkeypatch.delenv("POLARIS_PASSWORD")
    server.accounts.revoke()
    with account.client() as client:
        assert upload(client) == 401
        assert not account.relogin(client)
        assert upload(client) == 401  # nothing is sent without a token
    assert server.requests[UPLOAD] == 1
    assert not file.exists()


@pytest.mark.usefixtures("password")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"hubs": {"x": 1}}',
        b'{"version": 2, "hubs": {}}',
        b'{"access_token": "canary"}',
        b'{"hubs": {"x": {"how": "browser", "servers": [], "token": {"access_token": "a\\nb"}}}}',
        b'{"hubs": {"x": {"how": "browser", "servers": [], "token": {"expires_at": 1}}}}',
    ],
)
def test_a_damaged_file_is_told_and_replaced(
    content: bytes, server: HubServer, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.mkdir(parents=True, mode=0o700)
    file.touch(mode=0o600)
    file.write_bytes(content)
    with account.client() as client:
        assert upload(client) == 201
    assert caplog.text.count(f"{file} is damaged") == 1
    assert "canary" not in caplog.text
    assert list(tokens.read()) == [server.url]
    file.write_bytes(content)
    assert account.logout() and not file.exists()


@pytest.mark.usefixtures("password")
def test_a_file_that_cannot_be_kept(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POLARIS_RXRX_TOKEN_FILE", str(tmp_path))
    assert "regular file" in refused(server, UsageError, lambda: account.login(ask=None))
    monkeypatch.setenv("POLARIS_RXRX_TOKEN_FILE", os.devnull)
    assert "regular file" in refused(server, UsageError, lambda: account.login(ask=None))
    monkeypatch.setattr(tokens.os, "fsync", broken)
    monkeypatch.setenv("POLARIS_RXRX_TOKEN_FILE", str(tmp_path / "new.json"))
    assert "cannot be kept there (No space" in refused(server, UsageError, lambda: account.login(ask=None))
    with account.client() as client:  # told, but no reason to stop an upload
        assert upload(client) == 201
    assert "cannot be kept there" in caplog.text


def broken(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


# ---- what goes wrong


@pytest.mark.usefixtures("password")
@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, b'{"error": "invalid_grant"}', REFUSED, "401 Unauthorized: invalid_grant"),
        (400, b'{"error": "canary"}', REFUSED, r"\(400 Bad Request\)"),
        (401, b'{"message": "no"}', REFUSED, "check POLARIS_USERNAME and POLARIS_PASSWORD"),
        (200, b'{"error": "access_denied"}', REFUSED, "access_denied"),
        (403, b"<html>", UpstreamError, r"a web page came .*403 Forbidden.* proxy"),
        (404, b"<html>", UpstreamError, "no such address"),
        (429, b"slow", UpstreamError, "429 Too Many Requests.*wait"),
        (500, b"{}", UpstreamError, "500 Internal Server Error; try again later"),
        (502, b"<html>", UpstreamError, "502 Bad Gateway; try again later"),
        (799, b"<html>", UpstreamError, "799"),
        (302, b"", UpstreamError, r"a redirect \(302 Found\); it is not followed"),
        (200, b"<html>", UpstreamError, "a web page came instead of JSON"),
        (200, b"[1]", UpstreamError, "something else came instead of JSON"),
        (200, b"\xff", UpstreamError, "something else came instead of JSON"),
        (200, b"{}", UpstreamError, "no usable token"),
        (200, b'{"access_token": "a\\nb"}', UpstreamError, "no usable token"),
        (200, b'{"access_token": "a", "token_type": "mac"}', UpstreamError, "no usable token"),
        (200, b'{"access_token": "a", "expires_in": "x"}', UpstreamError, "no usable token"),
        (200, b'{"access_token": "a", "expires_in": 1e99}', UpstreamError, "no usable token"),
    ],
)
def test_a_token_endpoint_in_trouble(
    status: int, body: bytes, kind: type[UpstreamError], words: str, server: HubServer, file: Path
) -> None:
    server.faults.append(Fault(TOKEN, status=status, body=body, headers={"Location": "/elsewhere"}))
    for call in (account.client().__enter__, lambda: account.login(ask=None), account.whoami):
        message = refused(server, kind, call)
        assert message.startswith("127.0.0.1") and re.search(words, message), message
        assert "canary" not in message
    assert not file.exists()
    assert server.requests == {TOKEN: 3}


@pytest.mark.usefixtures("password")
@pytest.mark.parametrize("fault", [Fault(TOKEN, times=1, reset=True), Fault(TOKEN, times=1, short=5)])
def test_a_connection_that_breaks_off(fault: Fault, server: HubServer) -> None:
    server.faults.append(fault)
    message = refused(server, UpstreamError, lambda: account.login(ask=None))
    assert message == "127.0.0.1: asked for a login, but the connection broke off; try again later"


@pytest.mark.usefixtures("password")
def test_no_answer_in_time(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARIS_DEFAULT_TIMEOUT", "[1, 1]")
    server.faults.append(Fault(TOKEN, delay=1.3))
    assert "there was no answer within 1 s" in refused(server, UpstreamError, lambda: account.login(ask=None))


@pytest.mark.usefixtures("password")
def test_nothing_listens(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubServer() as closed:
        pass
    monkeypatch.setenv("POLARIS_HUB_URL", closed.url)
    message = refused(server, UpstreamError, lambda: account.login(ask=None))
    assert re.fullmatch(r"127.0.0.1: asked for a login, but there is no connection .*refused.*", message)


@pytest.mark.usefixtures("password")
def test_a_wrong_password(server: HubServer, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    for wrong in ("canary-wrong", "invalid_grant", "é%2"):
        monkeypatch.setenv("POLARIS_PASSWORD", wrong)
        server.accounts.secrets |= {wrong} - {"invalid_grant"}
        message = refused(server, account.RefusedError, lambda: account.login(ask=None))
        assert message == (
            "127.0.0.1 refused the login (401 Unauthorized: invalid_grant); check POLARIS_USERNAME and "
            "POLARIS_PASSWORD"
        )
    assert not file.exists()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("POLARIS_HUB_URL", "no address", "POLARIS_HUB_URL is not what"),
        ("POLARIS_HUB_URL", "http://127.0.0.1:1/some/path", "POLARIS_HUB_URL has a path"),
        ("POLARIS_HUB_URL", "http://user:canary@127.0.0.1:1/some/path", "POLARIS_HUB_URL has a path"),
        ("POLARIS_USERNAME", "", "POLARIS_USERNAME is not set"),
        ("POLARIS_PASSWORD", "", "POLARIS_PASSWORD is not set"),
        ("POLARIS_PASSWORD", "canary\udcff", "POLARIS_PASSWORD is not UTF-8"),
    ],
)
def test_settings_of_no_use(
    name: str, value: str, words: str, server: HubServer, password: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.accounts.secrets.add("canary")
    monkeypatch.setenv(name, value)
    assert words in refused(server, UsageError, account.client().__enter__)
    assert not server.log


@pytest.mark.usefixtures("password")
@pytest.mark.parametrize("more", ['"expires_in": "3600"', '"expires_at": "2099-01-01"', '"expires_at": null'])
def test_other_ways_to_say_when_it_ends(more: str, server: HubServer) -> None:
    server.faults.append(Fault(TOKEN, status=200, body=f'{{"access_token": "a", {more}}}'.encode()))
    made = account.login(ask=None)
    assert (made.expires is not None) == ("3600" in more)
    assert account.whoami(check=False) == made


# ---- by browser


def test_the_browser_flow(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr("webbrowser.open_new_tab", opened.append)
    made = account.login(ask=approve)
    assert (made.hub, made.name, made.how) == (server.url, "ada@example.org", "browser")
    assert made.expires is not None and 3500 < made.expires.timestamp() - time.time() <= 3600
    assert len(opened) == 1 and opened[0].startswith(f"{server.url}/oauth/authorize?")
    with account.client() as client:
        assert upload(client) == 201
    assert server.accounts.grants == ["authorization_code", EXCHANGE]
    assert account.whoami() is not None  # proved by another exchange
    assert server.accounts.grants[2:] == [EXCHANGE]


def test_a_login_that_works_is_not_asked_for_again(server: HubServer) -> None:
    first = logged_in()
    assert account.login(ask=None).name == first.name
    account.login(ask=approve, overwrite=True, open_browser=False)
    assert server.accounts.grants.count("authorization_code") == 2


def test_an_expired_hub_token_is_exchanged_anew(server: HubServer, file: Path) -> None:
    logged_in()
    spoil(file, expires_at=5)
    with account.client() as client:
        assert upload(client) == 201
        server.accounts.revoke()
        assert upload(client) == 401
        assert account.relogin(client) and upload(client) == 201
    assert server.accounts.grants == ["authorization_code", EXCHANGE, EXCHANGE, EXCHANGE]


def test_an_expired_external_token_is_refreshed(server: HubServer, file: Path) -> None:
    server.accounts.refreshable, server.accounts.external_lifetime = True, 30  # expired from the first
    logged_in()
    spoil(file, expires_at=5)
    with account.client() as client:
        assert upload(client) == 201
    assert server.accounts.grants.count("refresh_token") >= 1
    for _ in range(2):  # the new refresh token was kept: the old one is good once
        spoil(file, expires_at=5)
        assert account.whoami() is not None


def test_a_failure_on_the_way_costs_no_login(server: HubServer, file: Path) -> None:
    logged_in()
    down = Fault(TOKEN, status=503)
    server.faults.append(down)
    refused(server, UpstreamError, account.whoami)
    with account.client() as client:  # the Hub's token is still there
        server.accounts.revoke()
        assert upload(client) == 401
        refused(server, UpstreamError, lambda: account.relogin(client))
    assert tokens.read()[server.url].token is None and account.whoami(check=False) is None
    server.faults.remove(down)
    with account.client() as client:  # the external one too
        assert upload(client) == 201
    account.logout()
    server.faults.append(down)
    refused(server, UpstreamError, logged_in)
    server.faults.remove(down)
    assert account.login(ask=None).name == "ada@example.org"  # without another code
    assert server.accounts.grants.count("authorization_code") == 2


@pytest.mark.parametrize("refreshable", [True, False])
def test_an_external_login_that_ended(refreshable: bool, server: HubServer, file: Path) -> None:
    server.accounts.refreshable, server.accounts.external_lifetime = refreshable, 70
    logged_in()
    server.accounts.externals.clear()
    server.accounts.refreshers.clear()
    spoil(file, expires_at=5)
    message = refused(server, MissingError, account.client().__enter__)
    assert message.endswith("not set") and "log" in message
    assert not file.exists()
    assert account.whoami() is None
    assert logged_in().name == "ada@example.org"


def test_nobody_to_ask(server: HubServer) -> None:
    message = refused(server, MissingError, lambda: account.login(ask=None))
    assert "POLARIS_USERNAME and POLARIS_PASSWORD" in message and not server.log


@pytest.mark.parametrize(
    ("typed", "kind", "words"),
    [
        ("canary-wrong", account.RefusedError, "400 Bad Request: invalid_grant.; log in again"),
        ("", UsageError, "that is no code"),
        ("a\x1bb", UsageError, "that is no code"),
        ("code\udcff", UsageError, "that is no code"),
    ],
)
def test_a_wrong_code(
    typed: str, kind: type[PolarisRxrxError], words: str, server: HubServer, file: Path
) -> None:
    server.accounts.secrets.add("canary-wrong")
    message = refused(server, kind, lambda: account.login(ask=lambda _: typed, open_browser=False))
    assert re.search(words, message), message
    assert not file.exists()


def test_the_external_server_is_away(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.faults.append(Fault("/oauth/token", times=1, status=503))
    assert "503 Service Unavailable" in refused(server, UpstreamError, logged_in)
    server.faults.append(Fault("/oauth/token", times=1, reset=True))
    assert "broke off" in refused(server, UpstreamError, logged_in)
    server.faults.append(Fault(USER, status=500))  # no more than a name
    made = logged_in()
    assert made.name is None and account.whoami() is not None


def test_a_browser_login_gives_way_to_a_password(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    logged_in()
    for name, value in server.accounts.credentials().items():
        monkeypatch.setenv(name, value)
    made = account.whoami()
    assert made is not None and made.how == "password"
    assert tokens.read()[server.url].external is None


# ---- settings from a file


def test_an_env_file_is_read_only_where_asked(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = "".join(f"{name}='{value}'\n" for name, value in server.accounts.credentials().items())
    Path(".env").write_text(f"{lines}POLARIS_HUB_URL=http://127.0.0.1:1\n")
    Path(".env").rename("given.env")
    Path(".env").symlink_to("given.env")
    with pytest.raises(MissingError) as caught:
        account.client().__enter__()
    assert caught.value.command == ("login",) and account.whoami() is None and not server.log
    Path(".env").unlink()
    given = Path("given.env")
    with account.client(env_file=given) as client:  # the environment's POLARIS_HUB_URL goes first
        assert upload(client) == 201
    made = account.whoami(env_file=given)
    assert made is not None and made.name == "ada@example.org"
    assert "no such file" in refused(server, UsageError, account.client(env_file=Path("absent")).__enter__)
    (tmp_path / "binary").write_bytes(b"POLARIS_PASSWORD=canary\xff\n")
    assert "not UTF-8" in refused(server, UsageError, account.client(env_file=Path("binary")).__enter__)


# ---- the rest


@pytest.mark.usefixtures("password")
def test_every_answer_of_the_hub_is_shown(server: HubServer) -> None:
    seen: list[tuple[str, int]] = []
    with account.client(on_response=lambda r: seen.append((r.url.path, r.status_code))) as client:
        assert upload(client) == 201
    assert seen == [(TOKEN, 200), (UPLOAD, 201)]


def test_a_client_without_a_login(server: HubServer) -> None:
    with account.client(need_login=False) as client:
        assert client.request("GET", "/v1/nothing", withhold_token=True).status_code == 404
    assert authorizations(server) == []


@pytest.mark.usefixtures("password")
def test_logout(server: HubServer, file: Path) -> None:
    assert not account.logout() and not account.logout(every=True)
    account.login(ask=None)
    assert account.logout() and not file.exists()
    account.login(ask=None)
    assert account.logout(every=True) and not file.exists()
    assert account.hub_address() == server.url


def test_many_hubs_in_one_file(file: Path) -> None:
    entry = tokens.Login(how="browser", servers=[], token={"access_token": "a"})
    tokens.put("http://a", entry)
    tokens.put("http://b", entry)
    assert tokens.drop("http://a") and not tokens.drop("http://c")
    assert list(tokens.read()) == ["http://b"] and entry.expires is None
    assert tokens.drop(None) and not file.exists()


def test_a_password_is_dear_to_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the tests, see `clean_environment`: by the hash in the file, 2**14 rounds of scrypt each."""
    monkeypatch.undo()
    login = tokens.Login(how="password", servers=[], **tokens.recognisable("ada", "secret"))
    assert tokens.COST == 2**14 and login.made_with("ada", "secret") and not login.made_with("ada", "other")
    monkeypatch.setattr(tokens, "COST", 2**4)
    assert not login.made_with("ada", "secret")
