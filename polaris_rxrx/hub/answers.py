"""What an answer is, in a few words, and whether it proves anything: the one place that looks at answers.

Conventions
    Networks put pages of their own in the Hub's place, with a status of success: a hotel's login, a company's
    proxy. So a status proves nothing. Stored is proven by all of: a 2xx; a body that came whole; JSON, an
    object with something in it and without an error; and a `Content-Location` that names a page of this Hub.
    A model that the Hub says it has is proven by its own document.
    Texts of an answer are shown as one line: a web page by its words, all bounded, without control characters
    and without what is, or looks like, a secret.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from polaris_rxrx.errors import without_secrets

if TYPE_CHECKING:
    from polaris_rxrx.network import Kind

IN_BETWEEN = "Is a proxy or a login page in between?"
NO_HUB = "is a proxy or a login page in between, or is POLARIS_HUB_URL no Polaris Hub?"
# What helps where no answer came.
ADVICE: dict[Kind, str] = {
    "certificate": "set POLARIS_CA_BUNDLE to your network's file of certificates",
    "connection": "check the network, the proxy and POLARIS_HUB_URL",
    "request": "check the proxy and POLARIS_HUB_URL",
    "time": "try again later",
    "broken": "try again later",
    "bounds": "is POLARIS_HUB_URL a Polaris Hub? If so, try again later",
    "other": "check the proxy and POLARIS_HUB_URL",
}
_LOOKED_AT = 20_000  # characters of a body
_MOST_WORDS = 100

Proof = Callable[[Any], "str | None"]  # what an answer of success lacks; None if nothing


def nothing(response: Any) -> str | None:
    """No answer proves anything."""
    return "nothing was asked for"


def stored(hub: str) -> Proof:
    """Whether an answer proves that this Hub stored what it was sent."""

    def lacks(response: Any) -> str | None:
        return _no_object(response) or _no_page(response, hub)

    return lacks


def describes(artifact_id: str) -> Proof:
    """Whether an answer is the document of this artifact."""

    def lacks(response: Any) -> str | None:
        data = document(response)
        if data is None:
            return _no_object(response)
        owner = data.get("owner")
        owner = owner.get("slug") if isinstance(owner, dict) else owner
        ids = (data.get("artifactId"), f"{owner}/{data.get('slug')}")
        return None if artifact_id in ids else "it is about something else"

    return lacks


def address(hub: str, location: str | None) -> str | None:
    """What the Hub named, as an absolute address without its query, where signatures are kept."""
    if not location:
        return None
    try:
        parts = urlsplit(urljoin(hub, location))
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or not location.isprintable():
        return None
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _no_object(response: Any) -> str | None:
    """Why the body is not what the Hub sends; the reasons never quote it."""
    text = body(response)
    if text is None:
        return "the answer broke off"
    if not text.strip():
        return "it was empty"
    if is_page(response):
        return "it was a web page"
    data = document(response)
    if data is None:
        return "it was not JSON as the Hub sends it"
    if not data or "error" in data or "errors" in data:
        return "it does not say that anything was stored"
    return None


def _no_page(response: Any, hub: str) -> str | None:
    location = response.headers.get("Content-Location")
    if not location:
        return "it names no page of the Hub (Content-Location)"
    found, own = urlsplit(address(hub, location) or ""), urlsplit(hub).hostname or ""
    host = found.hostname or ""
    same = host == own or host.endswith(f".{own}") or own.endswith(f".{host}")
    return None if host and same and found.path.strip("/") else "it names no page of this Hub"


# ---- what came


def body(response: Any) -> str | None:
    """An answer's text; None if it did not come whole."""
    import httpx

    try:
        return str(response.text)
    except (httpx.ResponseNotRead, httpx.StreamError, LookupError):
        return None


def document(response: Any) -> dict[str, Any] | None:
    """The JSON object an answer holds."""
    try:
        data = json.loads(body(response) or "")
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def is_page(response: Any) -> bool:
    """Whether a web page came."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    start = response.content[:200].removeprefix(b"\xef\xbb\xbf")
    page = re.match(rb"\s*(<!doctype\s+html|<html)\b", start, re.I)
    return kind in ("text/html", "application/xhtml+xml") or page is not None


def status(response: Any) -> str:
    """`404 Not Found`, with the server's own phrase."""
    return printable(f"{response.status_code} {response.reason_phrase}")[:60]


def told(response: Any, secrets: Iterable[str] = ()) -> str:
    """An answer in a few words: status, type, length, and what it begins with."""
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    text = body(response)
    said = words(text or "", secrets)
    parts = [
        status(response),
        printable(kind)[:60] or "of no type",
        "cut off" if text is None else "empty" if not text.strip() else f'"{said}"' if said else "",
    ]
    return ", ".join(filter(None, parts))


def words(text: str, secrets: Iterable[str] = ()) -> str:
    """The first words of a text or of a web page; "" if it has none."""
    text = text[:_LOOKED_AT]
    if re.match(r"\s*<", text):
        text = re.sub(r"(?is)<(script|style)\b.*?(</\1\s*>|$)|<!--.*?(-->|$)|<[^>]*(>|$)", " ", text)
        text = html.unescape(text)
    return clean(text, secrets, _MOST_WORDS)


def clean(text: str, secrets: Iterable[str] = (), most: int = 400) -> str:
    """One line without colours, control characters and whatever is secret, not too long."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = without_secrets(printable(text))
    return text if len(text) <= most else f"{text[:most]}..."


def printable(text: str) -> str:
    """One line, without colours and control characters."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
