"""Whether the Hub, Hugging Face and GitHub answer, and whether somebody is logged in.

Conventions
    One request of each, without a body and without a login, through the proxies and with the certificates
    that every command uses, all at once; an answer, whatever it is, says that a way is open. No address of a
    proxy and no token is told. The Hub is not asked whether a login is good: `whoami` does that.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from polaris_rxrx.doctor.findings import Fault, Host, Login
from polaris_rxrx.errors import PolarisRxrxError, one_line

if TYPE_CHECKING:
    from polaris_rxrx.hub.tokens import Login as Entry

SECONDS = 5.0  # for a connection, and for an answer
PATIENCE = 10.0  # for all, names looked up among them
HUB = "https://polarishub.io"
_CREDENTIALS = ("POLARIS_USERNAME", "POLARIS_PASSWORD")


class Service(NamedTuple):
    """What is asked, and what is not to be had without it."""

    what: str
    variable: str
    address: str
    without: str


SERVICES = (
    Service("Polaris Hub", "POLARIS_HUB_URL", HUB, "prepare, login and submit need it"),
    Service(
        "Hugging Face", "HF_ENDPOINT", "https://huggingface.co", "fetch needs it for wells and embeddings"
    ),
    Service(
        "GitHub",
        "POLARIS_RXRX_GITHUB_RAW",
        "https://raw.githubusercontent.com",
        "fetch needs it for affinities and relations",
    ),
)


def address(service: Service) -> str:
    """Where a service is: the environment may say."""
    return (os.environ.get(service.variable) or service.address).rstrip("/")


def host(url: str) -> str:
    """The host of an address, without a password before it."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def examine(*, offline: bool = False, patience: float = PATIENCE) -> tuple[list[Host], list[Fault]]:
    """Ask every service once."""
    if offline:
        return [Host(s.what, host(address(s)), None, "not asked (--offline)") for s in SERVICES], []
    answers: dict[str, tuple[bool | None, str, str]] = {}

    def ask(service: Service) -> None:
        answers[service.what] = _ask(service)

    asking = [threading.Thread(target=ask, args=[s], daemon=True) for s in SERVICES]
    for thread in asking:
        thread.start()
    until = time.monotonic() + patience
    for thread in asking:
        thread.join(max(until - time.monotonic(), 0))
    late = (False, f"there was no answer within {patience:g} s", _NETWORK)
    found, faults = [], []
    for s in SERVICES:
        reached, told, advice = answers.get(s.what, late)
        found.append(Host(s.what, host(address(s)), reached, told))
        if reached is False:
            faults.append(
                Fault(s.what, f"{host(address(s)) or s.variable}: {told}; {s.without}", advice, False)
            )
    return found, faults


_NETWORK = "check the network, and HTTPS_PROXY and NO_PROXY"


def _ask(service: Service) -> tuple[bool | None, str, str]:
    """Whether it was reached, what happened, what helps."""
    if service.variable == "HF_ENDPOINT" and os.environ.get("HF_HUB_OFFLINE", "").upper() in _TRUE:
        return None, "not asked (HF_HUB_OFFLINE is set)", ""
    try:
        from polaris_rxrx import bounded, network
    except ImportError as error:
        return None, f"not asked: httpx cannot be imported ({one_line(error)})", ""
    begun = time.monotonic()
    try:
        with network.client(verify=_verify(service), timeout=SECONDS, follow_redirects=False) as client:
            bounds = bounded.asking(bounded.CARD, SECONDS)
            status = client.head(address(service), extensions=bounds).status_code
    except PolarisRxrxError as error:  # a proxy or a certificate file, by its variable
        return False, str(error), f"set it right, or unset it: {str(error).split()[0].rstrip(':')}"
    except Exception as error:
        none = network.no_answer(error)
        return False, none.happened, _advice(none.kind, service)
    if status == 407:
        return False, "the proxy asks for a login (407)", "put user name and password into HTTPS_PROXY"
    if status >= 500:
        return False, f"the answer was {status}", "try again later; a proxy may answer in its place"
    return True, f"answered after {time.monotonic() - begun:.1f} s", ""


_TRUE = {"1", "ON", "YES", "TRUE"}  # as huggingface_hub reads it


def _verify(service: Service) -> Any:
    from polaris_rxrx import network

    bundle = os.environ.get("POLARIS_CA_BUNDLE") if service.variable == "POLARIS_HUB_URL" else None
    if not bundle or bundle.lower() in ("true", "1"):
        return True
    return False if bundle.lower() in ("false", "0") else network.certificates(bundle, "POLARIS_CA_BUNDLE")


def _advice(kind: str, service: Service) -> str:
    if kind == "certificate":
        return "name your network's certificates in SSL_CERT_FILE"
    if kind == "request":
        return f"check {service.variable} and the proxy's variables"
    return _NETWORK


# ---- the login


def login() -> tuple[Login | None, list[Fault]]:
    """Whether somebody is logged in at the environment's Hub, and what is wrong with the file of logins."""
    hub = _origin(address(SERVICES[0]))
    given = [bool(os.environ.get(name)) for name in _CREDENTIALS]
    faults = []
    if any(given) and not all(given):
        lacking = _CREDENTIALS[given.index(False)]
        told = f"{lacking} is not set, and the other is"
        faults.append(Fault("login", told, "set both or neither", False))
    try:
        from polaris_rxrx.hub import tokens
    except ImportError as error:
        told = f"the login cannot be read: {one_line(error)}"
        return None, [*faults, Fault("login", told, "see the packages above", False)]
    place = tokens.path()
    if (wide := _wide(place)) is not None:
        advice = "it is narrowed when it is next used; on a shared computer, log in again with --overwrite"
        faults.append(Fault("login", f"{place} is open to others (mode {wide:03o})", advice, False))
    try:
        entries = tokens.peek()
    except PolarisRxrxError as error:
        return Login(hub, all(given), "settings" if all(given) else None, None), [
            *faults,
            Fault(
                "login", str(error), f"make it yours, or set {tokens.FILE_VARIABLE} to another name", False
            ),
        ]
    if entries is None:
        told = f"{place} is damaged: it counts as empty"
        faults.append(Fault("login", told, "log in again: polaris-rxrx login", False))
    entry = (entries or {}).get(_key())
    if entry is None or entry.token is None:
        return Login(hub, all(given), "settings" if all(given) else None, None), faults
    over = entry.expires is not None and entry.expires < datetime.now(timezone.utc)
    renewed = over and (entry.external is not None or all(given))
    if over and not renewed:
        faults.append(Fault("login", "it has expired", "log in again: polaris-rxrx login", False))
    expires = entry.expires.isoformat() if entry.expires else None
    return Login(hub, not over or renewed, entry.how, expires), faults


def account() -> str | None:
    """Who is logged in: for a person to read, and for no document."""
    from polaris_rxrx.hub import tokens

    try:
        entry: Entry | None = (tokens.peek() or {}).get(_key())
    except PolarisRxrxError:
        return None
    return None if entry is None else entry.name


def _key() -> str:
    """Whose entry of the token file is this Hub's: that of its API."""
    return _origin(os.environ.get("POLARIS_API_URL") or address(SERVICES[0]))


def _origin(url: str) -> str:
    """Scheme, host and port, without a password before them, nor a port that goes without saying."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    name = host(url)
    usual = {"https": ":443", "http": ":80"}.get(parts.scheme, " ")
    return f"{parts.scheme}://{name.removesuffix(usual)}"


def _wide(place: Path) -> int | None:
    """A mode that lets others read the logins."""
    try:
        mode = place.stat().st_mode
    except OSError:
        return None
    return stat.S_IMODE(mode) if os.name == "posix" and mode & 0o077 and stat.S_ISREG(mode) else None
