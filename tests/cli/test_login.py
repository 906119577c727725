"""`polaris-rxrx login`, `whoami` and `logout`, against a loopback Hub."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from polaris_rxrx.cli import run
from polaris_rxrx.hub import tokens
from tests.servers.accounts import Accounts
from tests.servers.hub import HubServer
from tests.warm import Warm


@pytest.fixture
def server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[HubServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    with HubServer() as running:
        for name, value in Accounts.environment(running.url).items():
            monkeypatch.setenv(name, value)
        yield running


def credentials(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.accounts.credentials().items():
        monkeypatch.setenv(name, value)


def said(
    server: HubServer, capsys: pytest.CaptureFixture[str], words: list[str], code: int = 0
) -> tuple[str, str]:
    """stdout and stderr of a command, which hold no secret."""
    assert run(words) == code
    captured = capsys.readouterr()
    assert not [secret for secret in server.accounts.secrets if secret in captured.out + captured.err]
    return captured.out, captured.err


def test_in_and_out(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    credentials(server, monkeypatch)
    line = rf"Logged in to {server.url} as ada@example\.org \(by password\), until \d{{4}}-\S+ \S+ UTC\n"
    out, err = said(server, capsys, ["login"])
    assert re.fullmatch(line, out) and err == ""
    out, err = said(server, capsys, ["whoami"])
    assert re.fullmatch(line, out) and err == ""
    assert len(server.log) == 2
    out, _ = said(server, capsys, ["whoami", "--offline", "--json"])
    about = json.loads(out)
    assert (about["hub"], about["logged_in"]) == (server.url, True)
    assert (about["name"], about["how"]) == ("ada@example.org", "password") and about["expires"]
    assert len(server.log) == 2
    out, err = said(server, capsys, ["logout"])
    assert out == f"Logged out of {server.url}\n" and "are still set" in err
    monkeypatch.delenv("POLARIS_PASSWORD")
    monkeypatch.delenv("POLARIS_USERNAME")
    assert said(server, capsys, ["logout"]) == (f"There was no login at {server.url}\n", "")
    assert said(server, capsys, ["logout", "--all"]) == ("There was no login at any Hub\n", "")
    assert not tokens.path().exists()


def test_nobody(server: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    error = f"Error: {server.url}: not logged in\nTry: polaris-rxrx login\n"
    assert said(server, capsys, ["whoami"], 1) == ("", error)
    out, err = said(server, capsys, ["whoami", "--json"], 1)
    assert json.loads(out) == {
        "hub": server.url,
        "logged_in": False,
        "name": None,
        "how": None,
        "expires": None,
    }
    assert err == error


def test_no_terminal(server: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = said(server, capsys, ["login"], 1)
    assert out == "" and "set POLARIS_USERNAME and POLARIS_PASSWORD, or log in on a terminal" in err
    assert not server.log


def test_a_wrong_password(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    credentials(server, monkeypatch)
    monkeypatch.setenv("POLARIS_PASSWORD", "canary-wrong")
    server.accounts.secrets.add("canary-wrong")
    for words in (["login"], ["whoami"]):
        out, err = said(server, capsys, words, 1)
        assert out == "" and err.startswith("Error: 127.0.0.1 refused the login (401 Unauthorized")
        assert err.endswith("check POLARIS_USERNAME and POLARIS_PASSWORD\n")


def test_misuse(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POLARIS_HUB_URL", f"{server.url}/some/path")
    for words in (["login"], ["whoami"], ["logout"]):
        assert "POLARIS_HUB_URL has a path" in said(server, capsys, words, 2)[1]
    assert "no such file" in said(server, capsys, ["login", "--env-file", "absent"], 2)[1]


def test_an_env_file(server: HubServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = [f"{name}='{value}'\n" for name, value in server.accounts.credentials().items()]
    (tmp_path / ".env").write_text("".join(lines))
    assert "not logged in" in said(server, capsys, ["login"], 1)[1]
    _, err = said(server, capsys, ["whoami", "--offline", "--env-file", ".env"], 1)
    assert err.endswith("Try: polaris-rxrx login --env-file .env\n")
    assert "ada@example.org" in said(server, capsys, ["login", "--env-file", ".env"])[0]
    assert "ada@example.org" in said(server, capsys, ["whoami"])[0]


# The word is a terminal, on which it reads and tells; its stdout is a file.
ON_TERMINAL = """
import os, sys
terminal = os.open(sys.argv.pop(1), os.O_RDWR | os.O_NOCTTY)
os.dup2(terminal, 0)
os.dup2(terminal, 2)
os.close(terminal)
from polaris_rxrx.cli import main
main()
"""


def test_a_browser_login_on_a_terminal(server: HubServer, warm: Warm) -> None:
    """The address is shown on stderr, the code is typed, and stdout has the one line of the result."""
    tokens.path().parent.mkdir(parents=True)
    tokens.path().write_text("damaged")
    main, terminal = pty.openpty()
    process = warm.start(ON_TERMINAL, [os.ttyname(terminal), "login", "--no-browser"], apart=True)
    shown, deadline = b"", time.monotonic() + 60
    while b"The code shown there:" not in shown and time.monotonic() < deadline:
        if select.select([main], [], [], 0.2)[0]:
            shown += os.read(main, 4096)
    assert shown.startswith(str(tokens.path()).encode()) and b" is damaged" in shown
    assert b"was open to others" in shown
    address = re.search(rb"http\S+", shown)
    assert address is not None, shown
    code = httpx.URL(httpx.get(address[0].decode()).headers["Location"]).params["code"]
    os.write(main, f"{code}\n".encode())
    told, astray = process.communicate()
    assert process.returncode == 0 and astray == ""
    os.close(terminal)
    os.close(main)
    assert told.startswith(f"Logged in to {server.url} as ada@example.org (by browser), until")
    assert code not in told and told.count("\n") == 1
