"""The file that holds the logins: one entry a Hub, readable by its owner alone.

Conventions
    `POLARIS_RXRX_TOKEN_FILE` names it, else it is `token.json` in this user's configuration folder. It is
    made with mode 0600 under a temporary name, never widened, and moved to its place when it is whole.
    A key is the address the token is sent to (scheme, host, port); an entry says which other servers took
    part, so it is of use only to settings that name the same ones. The password is never kept: a salted
    scrypt hash of user name and password tells whether they changed.
    What is in the file appears in no message; polaris-lib's own cache is neither read nor written.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import os
import secrets
import stat
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from polaris_rxrx import bounded
from polaris_rxrx.errors import UsageError
from polaris_rxrx.files import move

FILE_VARIABLE = "POLARIS_RXRX_TOKEN_FILE"
MODE = 0o600
COST = 2**14  # of the hash by which a password is recognized: scrypt's n, some 80 ms
_LATEST = 2**36  # of the times a calendar knows

logger = logging.getLogger(__name__)


class Login(BaseModel):
    """A login at one Hub: its token, and the external server's, which is good for others."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    how: Literal["password", "browser"]
    name: str | None = None
    servers: list[str]
    token: dict[str, Any] | None = Field(default=None, repr=False)  # None: refused, to be had anew
    external: dict[str, Any] | None = Field(default=None, repr=False)
    salt: str | None = Field(default=None, repr=False)
    credentials: str | None = Field(default=None, repr=False)

    @field_validator("token", "external")
    @classmethod
    def _usable(cls, token: dict[str, Any] | None) -> dict[str, Any] | None:
        if token is not None and not usable(token):
            raise ValueError("no token")
        return token

    @property
    def expires(self) -> datetime | None:
        """When the Hub's token ends; None if it did not say."""
        at = (self.token or {}).get("expires_at")
        return datetime.fromtimestamp(at, timezone.utc) if isinstance(at, int) else None

    def made_with(self, username: str, password: str) -> bool:
        """Whether this login was got with these credentials."""
        if self.salt is None or self.credentials is None:
            return False
        return hmac.compare_digest(self.credentials, _hashed(self.salt, username, password))


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    version: Literal[1] = 1
    hubs: dict[str, Login] = {}


def usable(token: dict[str, Any]) -> bool:
    """Whether authlib and httpx can work with it; they would quote it in their errors."""
    secret = token.get("access_token")
    if not (isinstance(secret, str) and secret and secret.isascii() and secret.isprintable()):
        return False
    if str(token.get("token_type", "bearer")).lower() != "bearer":
        return False
    at, seconds = token.get("expires_at") or 0, token.get("expires_in") or 0
    try:  # authlib takes a date in words for no date
        at = 0 if isinstance(at, str) and not at.isdecimal() else int(at)
        return 0 <= at < _LATEST and 0 <= int(seconds) < _LATEST
    except (TypeError, ValueError, OverflowError):
        return False


def recognisable(username: str, password: str) -> dict[str, str]:
    """The fields of a `Login` that tell these credentials from others."""
    salt = secrets.token_hex(16)
    return {"salt": salt, "credentials": _hashed(salt, username, password)}


def _hashed(salt: str, username: str, password: str) -> str:
    words = json.dumps([username, password]).encode()
    return hashlib.scrypt(words, salt=salt.encode(), n=COST, r=8, p=1).hex()


def path() -> Path:
    """Where the logins are kept."""
    if given := os.environ.get(FILE_VARIABLE):
        return Path(given)
    from platformdirs import user_config_path

    return user_config_path("polaris-rxrx", appauthor=False) / "token.json"


def read() -> dict[str, Login]:
    """Every login by its Hub. A file that holds something else is reported and counts as empty.

    Raises:
        UsageError: The file cannot be read.
    """
    place = path()
    raw = _content(place)
    if raw is None:
        return {}
    entries = _parsed(raw)
    if entries is None:
        logger.warning("%s is damaged: it counts as empty and is replaced at the next login", place)
        return {}
    return entries


def peek() -> dict[str, Login] | None:
    """Every login as `read` has it, for a look: nothing is mended or logged; None if the file is damaged.

    Raises:
        UsageError: The file cannot be read.
    """
    raw = _content(path(), mend=False)
    return {} if raw is None else _parsed(raw)


def put(hub: str, entry: Login) -> None:
    """Keep a login; those at other Hubs stay.

    Raises:
        UsageError: The file cannot be written.
    """
    place = path()
    entries = _parsed(_content(place) or b"") or {}
    _write(place, {**entries, hub: entry})


def drop(hub: str | None) -> bool:
    """Forget the login at a Hub, or all of them; a damaged file goes as a whole.

    Returns:
        Whether there was anything to forget.
    """
    place = path()
    raw = _content(place)
    if raw is None:
        return False
    entries = _parsed(raw)
    if entries is not None and hub is not None:
        if hub not in entries:
            return False
        left = {key: entry for key, entry in entries.items() if key != hub}
        if left:
            _write(place, left)
            return True
    try:
        place.unlink()
    except OSError as error:
        raise UsageError(f"{place}: cannot be removed ({error.strerror})") from None
    return True


def _content(place: Path, *, mend: bool = True) -> bytes | None:
    """The file's bytes, None if there is none. To `mend`, a mode wider than 0600 is reported and narrowed."""
    try:
        handle = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe must not wait
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{place}: cannot be read ({error.strerror})") from None
    try:
        _guard(place, handle, mend)
        with os.fdopen(handle, "rb", closefd=False) as file:
            return bounded.read_all(file, place, bounded.CARD)
    except OSError as error:
        raise UsageError(f"{place}: cannot be read ({error.strerror})") from None
    finally:
        os.close(handle)


def _guard(place: Path, handle: int, mend: bool) -> None:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{place} is no regular file; set {FILE_VARIABLE} to another name")
    if not mend or os.name != "posix" or not status.st_mode & 0o077:
        return
    os.fchmod(handle, MODE)
    logger.warning(
        "%s was open to others (mode %03o); now it is for you alone. On a shared computer, log in again with "
        "--overwrite",
        place,
        stat.S_IMODE(status.st_mode),
    )


def _parsed(raw: bytes) -> dict[str, Login] | None:
    try:
        return _File.model_validate_json(raw).hubs
    except ValidationError:
        return None


def _write(place: Path, entries: dict[str, Login]) -> None:
    content = _File(hubs=entries).model_dump_json(indent=2).encode()
    place = place.resolve()  # a link stays, what it points to is replaced
    temporary: str | None = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = str(place.with_name(f".{place.name}.{os.urandom(4).hex()}.tmp"))
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        move(Path(temporary), place)
        temporary = None
    except OSError as error:
        raise UsageError(f"{place}: the login cannot be kept there ({error.strerror})") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
