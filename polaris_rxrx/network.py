"""The one place that builds HTTP clients, and says why a request got no answer.

Conventions
    Proxies are those of `HTTP_PROXY`, `HTTPS_PROXY` and `ALL_PROXY` (small letters go before capitals; on a
    Mac and on Windows the system's, where none is set), SOCKS 5 among them; `NO_PROXY` names hosts that are
    asked directly, separated by commas or blanks, `*` for all. Certificates are those of `SSL_CERT_FILE`,
    else of `SSL_CERT_DIR`, else certifi's. This is what httpx does; but httpx raises whatever it meets on its
    way, so its own reading of the environment is switched off.
    A variable that is of no use ends in a `NetworkError` of one line that names it. A proxy's address appears
    in no message: it may hold a password.
    Why a request got no answer is told in one way, `no_answer`; what that means, and what helps, its caller
    knows.
    Deviations from httpx: [1] `socks://`, which desktops set, is taken for `socks5://`. [2] `[::1]` and
    `*.example.org` are understood in `NO_PROXY`, as curl does; httpx raises on the one and never matches the
    other. [3] A variable that no request would use, such as `NO_PROXY` without a proxy, is not looked at.
"""

from __future__ import annotations

import email.utils
import ipaddress
import os
import re
import ssl
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.request import getproxies

import httpx

from polaris_rxrx import bounded
from polaris_rxrx.errors import PolarisRxrxError, one_line

PROXIES = ("http", "https", "all")
_SCHEMES = {"http": "http", "https": "https", "socks5": "socks5", "socks5h": "socks5", "socks": "socks5"}
_EXPECTED = "http://HOST:PORT or socks5://HOST:PORT"


class NetworkError(PolarisRxrxError):
    """The environment says something about the network that cannot be; the message names the variable."""


def client(*, verify: ssl.SSLContext | bool = True, **more: Any) -> httpx.Client:
    """An HTTP client whose answers are bounded.

    Args:
        verify: What to verify certificates with; True: what the environment says.
        more: Of `httpx.Client`.

    Raises:
        NetworkError: A proxy or a file of certificates is of no use.
    """
    return httpx.Client(**options(verify), **{"event_hooks": bounded.hooks(), **more})


def options(verify: ssl.SSLContext | bool = True) -> dict[str, Any]:
    """What any client on httpx, also another package's, is to be built with. As `client`."""
    context = _environment_certificates() if verify is True else verify
    return {"verify": context, "mounts": _mounts(context), "trust_env": False}


def offline() -> dict[str, Any]:
    """What a client that will send nothing is to be built with: the environment does not matter."""
    return {"verify": False, "trust_env": False}


# ---- requests without an answer

Kind = Literal["certificate", "connection", "request", "time", "broken", "bounds", "other"]


@dataclass(frozen=True)
class NoAnswer:
    """Why a request got no answer that could be read.

    Attributes:
        kind: It did not leave, for the host's "certificate", without a "connection", or because the "request"
            could not be made; no answer came in "time"; the connection was "broken"; the answer went beyond
            its "bounds" (`polaris_rxrx.bounded`); or something "other".
        happened: The same in words, to follow "but"; without an address and in one line.
        host: Who was asked, where the error knows.
    """

    kind: Kind
    happened: str
    host: str | None = None


def no_answer(error: BaseException) -> NoAnswer:
    """What an error of httpx means, or one of another package that was raised from it."""
    cause = error.__cause__
    found = cause if isinstance(cause, (httpx.HTTPError, httpx.InvalidURL)) else error
    try:
        request: httpx.Request | None = getattr(found, "request", None)
    except RuntimeError:  # httpx's, of an error that knows none
        request = None
    return NoAnswer(*_happened(found, request), host=request.url.host if request is not None else None)


def _happened(error: BaseException, request: httpx.Request | None) -> tuple[Kind, str]:
    if isinstance(error, httpx.ConnectTimeout):
        return "connection", f"there was no connection {_within(request, 'connect')}"
    if isinstance(error, httpx.ConnectError):
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return "certificate", "its certificate cannot be verified"
        return "connection", f"there is no connection ({printable(one_line(error))})"
    if isinstance(error, httpx.ProxyError):
        return "request", f"the request could not be made ({printable(one_line(error))})"
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL)):
        # Its text may quote a header or an address.
        return "request", f"the request could not be made ({type(error).__name__})"
    if isinstance(error, httpx.TimeoutException):
        return "time", f"there was no answer {_within(request, 'read')}"
    if isinstance(error, httpx.TransportError):
        return "broken", "the connection broke off"
    if bounded.overrun(error):
        return "bounds", f"it sent {error}"
    return "other", f"the request failed ({type(error).__name__})"


def _within(request: httpx.Request | None, what: str) -> str:
    seconds = request.extensions.get("timeout", {}).get(what) if request is not None else None
    return "in time" if seconds is None else f"within {seconds:g} s"


def retry_after(header: str | None, default: float) -> float:
    """Seconds to wait, from a `Retry-After` that holds seconds or a date."""
    if not header:
        return default
    if header.isdigit():
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return default


# ---- certificates


def certificates(path: str, variable: str) -> ssl.SSLContext:
    """The certificates in a file, which `variable` names.

    Raises:
        NetworkError: It cannot be read, or holds none.
    """
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        if not Path(path).is_file():
            reason = "a folder" if Path(path).is_dir() else "no such file"
        elif isinstance(error, ssl.SSLError):
            reason = "no certificate in it can be read"
        else:
            reason = getattr(error, "strerror", None) or type(error).__name__
        _refuse_key_log(error)
        raise NetworkError(f"{variable} ({printable(path)}) is no file of certificates: {reason}") from None


def _environment_certificates() -> ssl.SSLContext:
    if path := os.environ.get("SSL_CERT_FILE"):
        return certificates(path, "SSL_CERT_FILE")
    try:
        if folders := os.environ.get("SSL_CERT_DIR"):
            if not any(os.access(folder, os.R_OK | os.X_OK) for folder in folders.split(os.pathsep)):
                raise NetworkError(
                    f"SSL_CERT_DIR ({printable(folders)}) is no folder that can be read; a folder of "
                    "certificates was expected"
                )
            return ssl.create_default_context(capath=folders)
        import certifi

        return ssl.create_default_context(cafile=certifi.where())
    except OSError as error:
        _refuse_key_log(error)
        raise NetworkError(f"certifi's certificates cannot be read ({error.strerror})") from None


def _refuse_key_log(error: Exception) -> None:
    """Every context opens the file that `SSLKEYLOGFILE` names."""
    path = os.environ.get("SSLKEYLOGFILE")
    if path and isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        try:
            with Path(path).open("ab"):
                return
        except OSError as problem:
            raise NetworkError(
                f"SSLKEYLOGFILE ({printable(path)}) cannot be written to: {problem.strerror}"
            ) from None


# ---- proxies


class _Proxied(httpx.HTTPTransport):
    """The way through a proxy. What is no SOCKS proxy is a `ProxyError` too; httpcore does not see to it."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return super().handle_request(request)
        except Exception as error:
            if not (isinstance(error, AssertionError) or type(error).__module__.startswith("socksio")):
                raise
        raise httpx.ProxyError("the proxy does not answer as a SOCKS 5 proxy does", request=request)


def _mounts(context: ssl.SSLContext | bool) -> dict[str, httpx.BaseTransport | None]:
    """Which way requests go, by httpx's patterns: through a proxy, or None for directly."""
    found = getproxies()
    used = {scheme: found[scheme] for scheme in PROXIES if found.get(scheme)}
    direct = [entry for entry in re.split(r"[,\s]+", found.get("no", "")) if entry]
    if not used or "*" in direct:
        return {}
    mounts: dict[str, httpx.BaseTransport | None] = {}
    for scheme, value in used.items():
        mounts[f"{scheme}://"] = _transport(_variable(scheme), value, context)
    return {**mounts, **{_pattern(entry): None for entry in direct}}


def _transport(variable: str, value: str, context: ssl.SSLContext | bool) -> httpx.HTTPTransport:
    scheme, separator, rest = value.strip().partition("://")
    if not separator:
        scheme, rest = "http", value.strip()
    if scheme.lower() not in _SCHEMES:
        named = f" {scheme}://" if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,15}", scheme) else ""
        raise NetworkError(
            f"{variable}: a proxy of the kind{named} is not supported; {_EXPECTED} was expected"
        )
    try:
        proxy = httpx.Proxy(f"{_SCHEMES[scheme.lower()]}://{rest}")
        good = bool(proxy.url.host) and 0 < (proxy.url.port or 1) < 2**16
    except (httpx.InvalidURL, ValueError):
        good = False
    if not good:
        raise NetworkError(
            f"{variable} is not the address of a proxy; {_EXPECTED} was expected (in a user name or "
            "password, write @ as %40, : as %3A, / as %2F, # as %23)"
        )
    try:
        return _Proxied(verify=context, proxy=proxy)
    except ImportError:
        raise NetworkError(
            f"{variable}: a SOCKS proxy needs the package socksio: pip install 'httpx[socks]'"
        ) from None


def _pattern(entry: str) -> str:
    """An entry of `NO_PROXY` as httpx's pattern."""
    bare = entry.removeprefix("[").removesuffix("]")
    try:
        version = ipaddress.ip_interface(bare).version
        pattern = f"all://[{bare.partition('/')[0]}]" if version == 6 else f"all://{bare.partition('/')[0]}"
    except ValueError:
        if "://" in entry or entry.lower() == "localhost":
            pattern = entry if "://" in entry else "all://localhost"
        else:
            pattern = f"all://*{entry.removeprefix('*')}"
    try:
        httpx.URL(pattern)
    except (httpx.InvalidURL, ValueError):
        raise NetworkError(
            f"{_variable('no')}: {printable(entry)!r} is no host; names and addresses were expected, "
            "separated by commas, such as localhost,127.0.0.1,.example.org"
        ) from None
    return pattern


def _variable(scheme: str) -> str:
    """The variable that says so: small letters go first."""
    names = [name for name in os.environ if name.lower() == f"{scheme}_proxy" and os.environ[name]]
    if not names:
        return f"the {scheme} proxy of the system's settings"
    return min(names, key=lambda name: name != name.lower()) if sys.platform != "win32" else names[0].upper()


def printable(text: str, most: int = 200) -> str:
    """Text from elsewhere for a message: one line without control characters, not too long."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= most else f"{text[:most]}..."
