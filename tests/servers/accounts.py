"""The logins of the loopback Hub: its token endpoint, and the external OAuth2 server beside it.

Conventions: `Accounts` adds its routes to a server's. `users` holds passwords by user name; every token is
valid until it expires (`lifetime`, `external_lifetime`: seconds) or is revoked. `secrets` collects all that
must never be seen outside the token file. Another route asks `who(request)` for the user behind a request's
bearer token, and gives `refusal()` where that is None.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

if TYPE_CHECKING:
    from tests.servers.hub import Answer, Request

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TOKEN, AUTHORIZE, EXTERNAL, USER = "/api/auth/token", "/oauth/authorize", "/oauth/token", "/oauth/userinfo"


@dataclass
class _Grant:
    user: str
    expires: float


@dataclass
class Accounts:
    """Who may log in, and which tokens are good."""

    routes: dict[tuple[str, str], Callable[[Request], Answer]]
    users: dict[str, str] = field(default_factory=lambda: {"ada@example.org": "canary-pa55 +w%&=ö"})
    lifetime: int = 3600
    external_lifetime: int = 3600
    refreshable: bool = False
    tokens: dict[str, _Grant] = field(default_factory=dict)
    externals: dict[str, _Grant] = field(default_factory=dict)
    refreshers: dict[str, str] = field(default_factory=dict)
    codes: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # user, challenge, redirect
    secrets: set[str] = field(default_factory=set)
    grants: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.secrets |= set(self.users.values())
        self.routes[("POST", TOKEN)] = self._token
        self.routes[("GET", AUTHORIZE)] = self._authorize
        self.routes[("POST", EXTERNAL)] = self._external
        self.routes[("GET", USER)] = self._user

    @staticmethod
    def environment(url: str) -> dict[str, str]:
        """The variables that make the client use the server at `url` for everything."""
        return {
            "POLARIS_HUB_URL": url,
            "POLARIS_AUTHORIZE_URL": url + AUTHORIZE,
            "POLARIS_TOKEN_FETCH_URL": url + EXTERNAL,
            "POLARIS_USER_INFO_URL": url + USER,
        }

    def credentials(self) -> dict[str, str]:
        """The variables of a user who may log in."""
        name, password = next(iter(self.users.items()))
        return {"POLARIS_USERNAME": name, "POLARIS_PASSWORD": password}

    def revoke(self) -> None:
        """No Hub token is good any more; external ones are."""
        self.tokens.clear()

    def who(self, request: Request) -> str | None:
        """The user behind a request's bearer token of the Hub."""
        return _holder(self.tokens, request)

    def refusal(self) -> Answer:
        return _json(401, {"message": "Unauthorized"})

    # ---- endpoints

    def _token(self, request: Request) -> Answer:
        said = _form(request)
        kind = said.get("grant_type", "")
        self.grants.append(kind)
        if kind == "password":
            user = said.get("username", "")
            if not user or self.users.get(user) != said.get("password"):
                # As some servers do, it repeats what it was sent.
                return _json(401, {"error": "invalid_grant", "error_description": f"wrong: {said}"})
        elif kind == EXCHANGE:
            holder = self.externals.get(said.get("subject_token", ""))
            if holder is None or holder.expires < time.time():
                return _json(400, {"error": "invalid_grant", "error_description": f"wrong: {said}"})
            user = holder.user
        else:
            return _json(400, {"error": "unsupported_grant_type"})
        token = self._new("hub", self.tokens, user, self.lifetime)
        return _json(
            200,
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": self.lifetime,
                "issued_token_type": "urn:ietf:params:oauth:token-type:jwt",
            },
        )

    def _authorize(self, request: Request) -> Answer:
        """The page in the browser: the first user allows everything at once."""
        asked = {name: values[0] for name, values in parse_qs(request.query).items()}
        if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
            return _json(400, {"error": "invalid_request"})
        code = self._secret("code")
        self.codes[code] = (next(iter(self.users)), asked["code_challenge"], asked["redirect_uri"])
        back = urlencode({"code": code, "state": asked["state"]})
        return _json(302, {}, {"Location": f"{asked['redirect_uri']}?{back}"})

    def _external(self, request: Request) -> Answer:
        said = _form(request)
        self.grants.append(said.get("grant_type", ""))
        if said.get("grant_type") == "refresh_token":
            user = self.refreshers.pop(said.get("refresh_token", ""), None)
            if user is None:
                return _json(400, {"error": "invalid_grant"})
        else:
            user, challenge, redirect = self.codes.pop(said.get("code", ""), ("", "", ""))
            digest = hashlib.sha256(said.get("code_verifier", "").encode()).digest()
            proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if not user or proof != challenge or redirect != said.get("redirect_uri"):
                return _json(400, {"error": "invalid_grant", "error_description": f"wrong: {said}"})
        token = self._new("external", self.externals, user, self.external_lifetime)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.external_lifetime}
        if self.refreshable:
            answer["refresh_token"] = refresher = self._secret("refresher")
            self.refreshers[refresher] = user
        return _json(200, answer)

    def _user(self, request: Request) -> Answer:
        user = _holder(self.externals, request)
        return self.refusal() if user is None else _json(200, {"email": user, "user_id": "1"})

    def _new(self, kind: str, tokens: dict[str, _Grant], user: str, lifetime: int) -> str:
        token = self._secret(kind)
        tokens[token] = _Grant(user, time.time() + lifetime)
        return token

    def _secret(self, kind: str) -> str:
        made = f"{kind}-{secrets.token_hex(12)}"
        self.secrets.add(made)
        return made


def _holder(tokens: dict[str, _Grant], request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    grant = tokens.get(token)
    good = scheme.lower() == "bearer" and grant is not None and grant.expires > time.time()
    return grant.user if good and grant is not None else None


def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def _json(status: int, data: Any, headers: dict[str, str] | None = None) -> Answer:
    from tests.servers.hub import Answer

    return Answer(status, json.dumps(data).encode(), {"Content-Type": "application/json", **(headers or {})})
