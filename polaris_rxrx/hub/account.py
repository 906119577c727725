"""Logging in to the Polaris Hub, and the client that is logged in.

Conventions
    The real client and its external client do the talking, by their own grant logic: with POLARIS_USERNAME
    and POLARIS_PASSWORD the password grant; else a browser, whose token is exchanged for the Hub's and renews
    it while it lasts. Ours is where tokens are kept (`tokens`), to whom they are sent, and what is said.
    Settings come from the environment; a `.env` file is read only where `env_file` names one, and then the
    environment goes first. Credentials in the environment go before a login that was got otherwise.
    A token goes to the one address it was got for, and redirects are not followed. No message, log or
    exception chain holds a password, a token, or a text that a token server made up.
    The Hub has no address that says whose token it is: to check a login is to get a new token with it.

polaris is imported only when called, inside `upstream.session`.
"""

from __future__ import annotations

import contextlib
import logging
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from typing_extensions import TypedDict

from polaris_rxrx import bounded
from polaris_rxrx.errors import MissingError, PolarisRxrxError, UpstreamError, UsageError
from polaris_rxrx.hub import answers, tokens, upstream

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

VARIABLES = "POLARIS_USERNAME and POLARIS_PASSWORD"
# What RFC 6749 lets a token server say; any other text of its may repeat what it was sent.
_KNOWN_ERRORS = {
    "access_denied",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """Who is logged in where, how, and until when (None: the Hub did not say)."""

    hub: str
    name: str | None
    how: Literal["password", "browser"]
    expires: datetime | None


class AccountDocument(TypedDict):
    """Who is logged in; all is null where nobody is."""

    hub: str
    logged_in: bool
    name: str | None
    how: Literal["password", "browser"] | None
    expires: str | None
    """ISO 8601; null where the Hub did not say."""


def as_document(account: Account | None, hub: str) -> AccountDocument:
    """For JSON: who is logged in at a Hub."""
    return {
        "hub": hub,
        "logged_in": account is not None,
        "name": account.name if account else None,
        "how": account.how if account else None,
        "expires": account.expires.isoformat() if account and account.expires else None,
    }


class RefusedError(UpstreamError):
    """A token server does not accept what it was sent: password, code or token."""


# ---- for everybody


@contextmanager
def client(
    *,
    env_file: Path | None = None,
    on_response: Callable[[httpx.Response], None] | None = None,
    need_login: bool = True,
) -> Iterator[Any]:
    """The real `PolarisHubClient`, inside `upstream.session()`, with the login of the token file.

    Args:
        env_file: Where to look for settings that the environment lacks.
        on_response: Called with every answer of the Hub, those of its token endpoint too, before its body is
            read.
        need_login: Make sure that there is a token that has not expired; False takes one that is there.

    Raises:
        MissingError: Nobody is logged in, and a person has to.
        UpstreamError: The Hub cannot be reached, or refuses the password (`RefusedError`).
        UsageError: The settings or the token file are of no use.
    """
    with _opened(env_file, on_response) as made:
        if need_login and not made.ensure_active_token():
            expired = "the login has expired" if made.kept.entry else "not logged in"
            raise MissingError(
                f"{made.kept.hub}: {expired}, and {VARIABLES} are not set",
                command=["login", *(["--env-file", str(env_file)] if env_file else [])],
            )
        made.kept.tell_unkept()
        yield made


def relogin(client: Any) -> bool:
    """After a 401: forget the token and get another, if that needs no person.

    Returns:
        False if a person has to log in.

    Raises:
        UpstreamError: The Hub cannot be reached, or refuses the password (`RefusedError`).
    """
    client.kept.drop_token()
    return _renewed(client)


def login(
    *,
    env_file: Path | None = None,
    overwrite: bool = False,
    open_browser: bool = True,
    ask: Callable[[str], str] | None,
) -> Account:
    """Log in with the password of the settings, else with a browser.

    Args:
        env_file: Where to look for settings that the environment lacks.
        overwrite: Log in by browser even if a login is there and works.
        open_browser: Open the page; its address is shown in any case.
        ask: Shows a text and returns the code that is typed; None where nobody can be asked.

    Raises:
        MissingError: There is no password, and nobody can be asked.
        UpstreamError: A server cannot be reached, or refuses (`RefusedError`).
        UsageError: The settings are of no use, or the login cannot be kept.
    """
    with _opened(env_file) as made:
        if made.has_user_password:
            _renewed(made)
        elif overwrite or not _works(made):
            _by_browser(made, open_browser, ask)
        made.kept.refuse_unkept()
        kept: _Kept = made.kept
    account = kept.account()
    assert account is not None  # there is an entry once a token has come
    return account


def logout(*, every: bool = False) -> bool:
    """Forget the login at this Hub, or every login.

    Returns:
        Whether there was one.
    """
    return tokens.drop(None if every else _Kept(_settings(None)).key)


def whoami(*, env_file: Path | None = None, check: bool = True) -> Account | None:
    """Who is logged in at this Hub; None if nobody is.

    Args:
        env_file: Where to look for settings that the environment lacks.
        check: Get a new token with the login, which proves it; False reads the token file alone.

    Raises:
        UpstreamError: The Hub cannot be reached, or refuses the password (`RefusedError`).
    """
    with _opened(env_file) as made:
        if check:
            there = _works(made)
        else:
            there = bool(made.token) and not made.token.is_expired(leeway=made.leeway)
        made.kept.tell_unkept()
        return made.kept.account() if there else None


def hub_address(env_file: Path | None = None) -> str:
    """The Hub the settings name: scheme, host and port."""
    return upstream.origin(_settings(env_file).hub_url)


# ---- the client


@contextmanager
def _opened(
    env_file: Path | None, on_response: Callable[[httpx.Response], None] | None = None
) -> Iterator[Any]:
    from polaris_rxrx import network

    with upstream.session():
        settings, verify = upstream.hub_settings(env_file)
        _refuse_half(settings)
        kept = _Kept(settings)
        kept.load()
        with upstream.tokens_in_memory():
            made = _client_class()(settings=settings, cache_auth_token=False, **network.options(verify))
        try:
            made.kept = kept
            if kept.entry is not None:
                made.token, made.external_client.token = kept.entry.token, kept.entry.external
            for one in (made, made.external_client):
                one.register_client_auth_method(("none", upstream.encode_form))
                for hook in ("access_token_response", "refresh_token_response"):
                    one.register_compliance_hook(hook, _checked(one is made, made))
            hooks = bounded.hooks()
            made.event_hooks = {**hooks, "response": [*hooks["response"], *filter(None, [on_response])]}
            made.external_client.event_hooks = bounded.hooks()
            yield made
        finally:
            made.external_client.close()  # [26]
            made.close()


def _client_class() -> Any:
    from polaris.hub.client import PolarisHubClient

    class Client(PolarisHubClient):  # type: ignore[misc]
        """The real one; what goes wrong with a login is told in our words, and new tokens are kept."""

        kept: _Kept

        def fetch_token(self, **kwargs: Any) -> Any:
            fetch = super().fetch_token
            try:
                return _told(lambda: fetch(**kwargs))
            finally:
                self.kept.keep(self)

        def ensure_active_token(self, token: Any = None) -> bool:
            ensure = super().ensure_active_token
            try:
                return bool(_told(lambda: ensure(token)))
            except RefusedError:
                if self.has_user_password:
                    raise
                self.kept.drop()
                self.token = self.external_client.token = None
                return False
            finally:
                self.kept.keep(self)

    return Client


def _renewed(made: Any) -> bool:
    """Get a new token with the password or the external token, whatever there was."""
    made.token = None
    return bool(made.ensure_active_token())


def _works(made: Any) -> bool:
    """Whether the login is good for a new token, or, if it cannot get one, has not expired."""
    external = made.external_client
    try:
        can_renew = made.has_user_password or _told(external.ensure_active_token)
    except RefusedError:
        external.token, can_renew = None, False
    return _renewed(made) if can_renew else bool(made.ensure_active_token())


def _by_browser(made: Any, open_browser: bool, ask: Callable[[str], str] | None) -> None:
    """What polaris's `interactive_login` does, with our own words and `ask` [23]."""
    if ask is None:
        raise MissingError(
            f"{made.kept.hub}: not logged in, and there is no terminal to ask on; set {VARIABLES}, or log in "
            "on a terminal"
        )
    external = made.external_client
    made.token = external.token = None
    address, _ = external.create_authorization_url()
    if open_browser:
        with contextlib.suppress(webbrowser.Error, OSError):
            webbrowser.open_new_tab(address)
    code = ask(f"Allow access in your browser, at\n\n  {address}\n\nThe code shown there").strip()
    if not (code.isascii() and code.isprintable() and code):
        raise UsageError("that is no code; log in again and paste the code that the page shows")
    _told(lambda: external.fetch_token(code=code, grant_type="authorization_code"))
    made.kept.name = _name(external)
    made.token = made.fetch_token()


def _name(external: Any) -> str | None:
    """What the external server calls this person; it is only shown, so a failure does not matter."""
    try:
        about = external.user_info
        name = about.get("email") or about.get("name")
    except Exception:
        return None
    return name if isinstance(name, str) and name.isprintable() else None


# ---- settings, and the login they stand for


def _settings(env_file: Path | None) -> Any:
    with upstream.session():
        return upstream.hub_settings(env_file)[0]


def _refuse_half(settings: Any) -> None:
    if bool(settings.username) != bool(settings.password):
        lacking = "POLARIS_PASSWORD" if settings.username else "POLARIS_USERNAME"
        raise UsageError(f"{lacking} is not set; {VARIABLES} go together: set both or neither")
    for name in ("username", "password"):
        value = getattr(settings, name) or ""
        if any("\ud800" <= letter <= "\udfff" for letter in value):  # bytes of another encoding
            raise UsageError(f"POLARIS_{name.upper()} is not UTF-8 text")


class _Kept:
    """This Hub's entry in the token file: `key` is where its token goes, `hub` what to call it."""

    def __init__(self, settings: Any) -> None:
        self.hub, self.key = upstream.origin(settings.hub_url), upstream.origin(settings.api_url)
        self._servers = [
            upstream.origin(url)
            for url in (settings.hub_token_url, settings.token_fetch_url, settings.user_info_url)
        ]
        self._username, self._password = settings.username, settings.password
        self._unkept: UsageError | None = None
        self.entry: tokens.Login | None = None
        self.name: str | None = None

    def load(self) -> None:
        """Take the entry, unless other servers or other credentials took part in it."""
        entry = tokens.read().get(self.key)
        if entry is None or entry.servers != self._servers:
            return
        if self._username and not entry.made_with(self._username, self._password):
            return
        self.entry, self.name = entry, entry.name

    def keep(self, made: Any) -> None:
        """Write the client's tokens if they are new; that of the Hub stays while another is asked for."""
        before = (self.entry.token, self.entry.external) if self.entry else (None, None)
        token, external = made.token or before[0], made.external_client.token
        if (token, external) in (before, (None, None)):
            return
        if self._username:
            how, name = "password", self._username
            known = tokens.recognisable(self._username, self._password)
        else:
            how, name, known = "browser", self.name, {}
        self.entry = tokens.Login(
            how=how, name=name, servers=self._servers, token=token, external=external, **known
        )
        self._write(self.entry)

    def _write(self, entry: tokens.Login) -> None:
        try:
            tokens.put(self.key, entry)
        except UsageError as error:
            self._unkept = error

    def drop(self) -> None:
        self.entry = None
        tokens.drop(self.key)

    def drop_token(self) -> None:
        """Forget the Hub's token; the external one may be good for another."""
        if self.entry is None or self.entry.external is None:
            self.drop()
            return
        self.entry = self.entry.model_copy(update={"token": None})
        self._write(self.entry)

    def account(self) -> Account | None:
        entry = self.entry
        if entry is None:
            return None
        return Account(hub=self.hub, name=entry.name, how=entry.how, expires=entry.expires)

    def tell_unkept(self) -> None:
        if self._unkept is not None:
            logger.warning("%s", self._unkept)

    def refuse_unkept(self) -> None:
        if self._unkept is not None:
            raise self._unkept


# ---- what goes wrong


def _checked(at_hub: bool, made: Any) -> Callable[[Any], Any]:
    """A check of a token server's answers, before authlib makes a token of them [22]."""

    def check(response: Any) -> Any:
        if not at_hub:
            advice = "log in again with a fresh code: polaris-rxrx login --overwrite"
        elif made.has_user_password:
            advice = f"check {VARIABLES}"
        else:
            advice = "log in again: polaris-rxrx login --overwrite"
        _check(response, advice)
        return response

    return check


def _check(response: Any, advice: str) -> None:
    status, host = response.status_code, response.url.host
    shown = f"{status} {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else str(status)
    if 300 <= status < 400:
        raise _failure(
            host, f"it answered with a redirect ({shown})", "it is not followed; check POLARIS_HUB_URL"
        )
    if status == 429:
        raise _failure(host, f"it was asked too often ({shown})", "wait a few minutes")
    if status >= 500:
        raise _failure(host, f"the answer was {shown}", "try again later")
    if status in (404, 405):
        raise _failure(host, f"there is no such address ({shown})", "is POLARIS_HUB_URL a Polaris Hub?")
    try:
        said = response.json()
    except ValueError:
        said = None
    if not isinstance(said, dict):
        page = response.text.lstrip()[:1] == "<"
        raise _failure(
            host,
            f"{'a web page' if page else 'something else'} came instead of JSON ({shown})",
            answers.NO_HUB,
        )
    error = said.get("error")
    if status >= 400 or error:
        known = f": {error}" if isinstance(error, str) and error in _KNOWN_ERRORS else ""
        raise RefusedError(f"{host} refused the login ({shown}{known}); {advice}")
    if not tokens.usable(said):
        raise _failure(host, "no usable token came", "is POLARIS_HUB_URL a Polaris Hub?")


def _told(call: Callable[[], T]) -> T:
    """The result of `call`; what the network did to it becomes an `UpstreamError`, without a chain."""
    import httpx
    from authlib.common.errors import AuthlibBaseError
    from polaris.utils.errors import PolarisHubError

    from polaris_rxrx import network

    try:
        return call()
    except PolarisRxrxError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL, PolarisHubError, AuthlibBaseError, ValueError) as error:
        none = network.no_answer(error)
    raise _failure(none.host or "the Hub", none.happened, answers.ADVICE[none.kind])


def _failure(host: str, happened: str, advice: str) -> UpstreamError:
    return UpstreamError(f"{host}: asked for a login, but {happened}; {advice}")
