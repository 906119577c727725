"""What went wrong with a request to the Hub, in words: what happened, whether it was stored, what to do.

Conventions: see `upload`. polaris-lib tells a status only in the cause of its error, resets and timeouts as
httpx's own errors; a `Watch` on the client's hooks knows whether the request itself went out at all.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from polaris_rxrx import bounded
from polaris_rxrx.errors import UpstreamError, one_line
from polaris_rxrx.hub import answers, files

Outcome = Literal["refused", "unknown"]

_LOOK = "Look for it on the Hub before you send it again"
_ADVICE = {
    401: "Log in again: polaris-rxrx login",
    403: "Is the owner in the card your user name or your organization's? If you joined it lately, log in "
    "again: polaris-rxrx login",
    404: "Does the Hub still have this benchmark, and may your account see it?",
    409: "Something of this name is there already: look at it on the Hub, or choose another name in the card",
    413: "It is too large for this Hub; shorten the card's texts, or ask the Hub's people",
    422: "Correct the card, then submit again",
    429: "Submit again later",
}


class UploadError(UpstreamError):
    """An upload that did not end well.

    `outcome`: nothing was stored ("refused"), or nobody knows ("unknown"). `happened`: in a few words.
    `status`: the Hub's, if it answered.
    """

    def __init__(
        self, message: str, outcome: Outcome, *, happened: str = "", status: int | None = None
    ) -> None:
        super().__init__(message)
        self.outcome: Outcome = outcome
        self.happened = happened or message
        self.status = status


@dataclass(frozen=True)
class Failure:
    """One failed attempt. `wait`: it may be tried again after so many seconds (0: as the caller likes)."""

    happened: str
    outcome: Outcome
    advice: str
    wait: float | None = None
    login: bool = False
    status: int | None = None

    def told(self, host: str, what: str, method: str = "POST") -> str:
        if method == "GET":  # which stores nothing, whatever became of it
            advice = "Nothing was sent; try again later" if self.outcome == "unknown" else self.advice
            return f"{host}: {what}: {self.happened}. {advice}"
        if self.outcome == "refused":
            return f"{host}: {what}: nothing was stored: {self.happened}. {self.advice}"
        return f"{host}: {what}: it may or may not be stored: {self.happened}. {self.advice}"


class Watch:
    """Hooks on a client that note what became of one expected request.

    `out`: it has gone out. `accepted`: an answer came that proves its success (`answers`); one of a status of
    success that does not `lacks` something. `location`: what the answer names.
    """

    def __init__(self) -> None:
        self.expect("", "", b"")

    def expect(self, method: str, path: str, body: bytes, proof: answers.Proof = answers.nothing) -> None:
        self._expected, self._body, self._proof = (method, path), body, proof
        self.out, self.location = False, None
        self.answer: Any = None

    @property
    def accepted(self) -> bool:
        return self.answer is not None and bool(self.answer.is_success) and self.lacks is None

    @property
    def lacks(self) -> str | None:
        return self._proof(self.answer)

    def request(self, request: Any) -> None:
        if (request.method, request.url.path) != self._expected:
            return  # for a token
        if request.read() != self._body:
            raise UploadError(
                "what polaris-lib was about to send is not what was shown, so it was stopped; nothing was "
                "stored. Please report it",
                "refused",
            )
        self.out = True

    def response(self, response: Any) -> None:
        if (response.request.method, response.request.url.path) == self._expected:
            self.answer = response
            self.location = response.headers.get("Content-Location")


def classify(error: BaseException, watch: Watch, client: Any) -> Failure:
    """What an error of the client's, or an answer that proves nothing, means."""
    from polaris_rxrx import network

    if watch.answer is not None:
        came = _unproven(watch, client) if watch.answer.is_success else _status(watch.answer, client)
        return replace(came, status=int(watch.answer.status_code))
    none = network.no_answer(error)
    said = _clean(none.happened, client)
    if none.kind in ("certificate", "connection", "request"):
        advice = answers.ADVICE[none.kind]
        wait = 0 if none.kind == "connection" else None
        return Failure(said, "refused", f"{advice[0].upper()}{advice[1:]}", wait=wait)
    if none.kind == "other":
        said = _clean(one_line(error), client)
    if watch.out:
        return Failure(said, "unknown", _LOOK)
    # It failed on the way to a token.
    from polaris.utils.errors import PolarisUnauthorizedError

    if isinstance(error, PolarisUnauthorizedError):
        return Failure("you are not logged in", "refused", _ADVICE[401], login=True)
    return Failure(f"the login failed ({said})", "refused", _ADVICE[401])


def _unproven(watch: Watch, client: Any) -> Failure:
    """A status of success on what is not the Hub's answer."""
    came = answers.told(watch.answer, _secrets(client))
    said = f"the answer is not the Hub's: {watch.lacks} ({came})"
    return Failure(said, "unknown", f"{answers.IN_BETWEEN} {_LOOK}")


def _status(response: Any, client: Any) -> Failure:
    from polaris_rxrx.network import retry_after

    code = int(response.status_code)
    said = f"the answer was {answers.status(response)}"
    if 300 <= code < 400:
        target = re.match(r"https?://(?:[^/?#@]*@)?([^/?#]+)", response.headers.get("Location", ""))
        where = f", which leads to {_clean(target[1], client)}" if target else ""
        if code == 303:
            return Failure(f"{said}{where}", "unknown", _LOOK)
        return Failure(
            f"{said}{where}", "refused", "Is POLARIS_HUB_URL the Hub's own address, with https://?"
        )
    if text := _text(response, client):
        said = f"{said}: {text}"
    if not 400 <= code < 500 or code == 408:
        return Failure(said, "unknown", _LOOK)
    advice = _ADVICE.get(code, "Correct what it names, then submit again")
    wait = None
    if code == 429:
        wait = retry_after(response.headers.get("Retry-After"), 0.0)
        if wait > files.PATIENCE:
            advice, wait = f"Submit again in {wait:,.0f} s", None
    return Failure(said, "refused", advice, wait=wait, login=code == 401)


def _text(response: Any, client: Any) -> str:
    """What an answer says, in a line."""
    text = answers.body(response) or ""
    if text.lstrip()[:1] == "<":
        return "a web page"
    try:
        data = bounded.json_loads(text)
    except ValueError:
        return _clean(text, client)
    if isinstance(data, dict) and len(data) == 1:
        (data,) = data.values()
    return _clean(data if isinstance(data, str) else json.dumps(_plain(data), ensure_ascii=False), client)


def _plain(data: Any) -> Any:
    """JSON with its texts made printable; dumped, a control character would become a word."""
    if isinstance(data, dict):
        return {answers.printable(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    return answers.printable(data) if isinstance(data, str) else data


def _secrets(client: Any) -> list[str]:
    token = getattr(client, "token", None) or {}
    known = [client.settings.password, *(token.get(k) for k in ("access_token", "refresh_token"))]
    return [str(secret) for secret in known if secret]


def _clean(text: str, client: Any) -> str:
    """One line without colours, control characters and whatever is secret, not too long."""
    return answers.clean(text, _secrets(client))
