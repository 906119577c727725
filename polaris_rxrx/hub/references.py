"""What people give for a Hub id: the id, its page's address, or the id with underscores.

Conventions: an id is owner/slug, small letters, digits and dashes, as the Hub makes them of names
(`submission.card.slug`). What was understood otherwise than it stands is told once, as a warning.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from polaris_rxrx.errors import UsageError, short

HOST = "polarishub.io"
_ID = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+")
_PAGE = re.compile(r"(?:.*/)?(benchmark|competition|dataset|model|result)s?/(?:v\d+/)?([^/]+/[^/]+)(/.*)?")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """`id`: owner/slug. `kind`: what its address says it is (`benchmark`), "" if it says nothing."""

    id: str
    kind: str = ""


def understand(text: str) -> Reference | None:
    """The id that a text means; None if it means none.

    Raises:
        UsageError: It is an address of another Hub, or none of a benchmark or model.
    """
    bare = text.strip()
    kind = ""
    address = re.match(r"https?:/*|//", bare, re.I)
    known_host = re.match(r"(www\.)?polarishub\.io/", bare, re.I)
    if address or known_host:
        try:
            parts = urlsplit(f"https://{bare[address.end() if address else 0 :]}")
            host = (parts.hostname or "").removeprefix("www.")
        except ValueError:
            raise UsageError(f"{short(text)} is no address; a Hub id (owner/slug) was expected") from None
        if host != hub_host():
            raise UsageError(
                f"{short(text)} is an address of {host or 'no host'}, but the Hub here is {hub_host()}; "
                "POLARIS_HUB_URL names another"
            )
        bare = unquote(parts.path)
        page = _PAGE.fullmatch(bare)
        if page is None:
            raise UsageError(
                f"{short(text)} is not the page of a benchmark; https://{HOST}/benchmarks/owner/slug "
                "was expected"
            )
        kind, bare = page[1], page[2]
    elif page := re.fullmatch(r"/?(benchmark|competition|model)s/([^/]+/[^/]+)", bare.rstrip("/")):
        kind, bare = page[1], page[2]
    bare = bare.strip("/").removeprefix("@")
    if not _ID.fullmatch(bare):
        return None
    owner, name = (part.lower().replace("_", "-").strip("-") for part in bare.split("/"))
    return Reference(f"{owner}/{name}", kind) if owner and name else None


def artifact_id(text: str) -> str | None:
    """The id of a benchmark or competition that a text means; None if it means none.

    Raises:
        UsageError: It is the address of something else.
    """
    found = understand(text)
    if found is None:
        return None
    if found.kind in ("dataset", "model", "result"):
        raise UsageError(f"{short(text)} is the address of a {found.kind}; a benchmark's was expected")
    if found.id != text:
        logger.warning("%s is taken for the Hub's %s", short(text, 200), found.id)
    return found.id


def hub_host() -> str:
    """The Hub that is asked."""
    given = os.environ.get("POLARIS_HUB_URL") or f"https://{HOST}"
    try:
        return (urlsplit(given).hostname or HOST).removeprefix("www.")
    except ValueError:
        return HOST
