"""Sending a submission through polaris-lib's own client, and saying what became of it.

Conventions
    A request that differs from the one that was rehearsed (`payloads`) is stopped before it leaves.
    An attempt ends as sent, refused (nothing can have been stored) or unknown. Sent is what an answer proves
    (`answers`). Whatever breaks after the request has gone out is unknown, unless the Hub's status says
    otherwise: 4xx (but 408) and a redirect (but 303) are not stored; any other status may be either, 2xx on
    what is no answer of the Hub's among them.
    Tried again is only what cannot have been stored: no connection, 429, and once 401 after a new login.
    No message holds a token, a password, the query of an address or a control character.

polaris is imported only when called, inside `upstream.session`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from polaris_rxrx.errors import PolarisRxrxError
from polaris_rxrx.hub import answers, files
from polaris_rxrx.hub.failures import Failure, UploadError, Watch, classify
from polaris_rxrx.hub.payloads import Payload, Upload, calls

TRIES = 3
_LATER = f"{answers.IN_BETWEEN} Else submit again later"

Say = Callable[[str], None]


class Sender:
    """The Hub, logged in, with eyes on every request. `watch.out`: something may be stored.

    `create_model` comes first, where there is one to create, then `send`.
    """

    def __init__(self, upload: Upload, client: Any, watch: Watch, relogin: Callable[[Any], bool], say: Say):
        self.upload, self.client, self.watch, self._relogin, self._say = upload, client, watch, relogin, say
        hooks = client.event_hooks
        hooks["request"] = [*hooks["request"], watch.request]
        client.event_hooks = hooks

    def create_model(self) -> bool:
        """Create the card's model, unless the Hub has it already; whether it was created."""
        model = self.upload.model
        what = f"the model {model.artifact_id}"
        if self._has(model.artifact_id, what):
            self._say(f"{self.upload.host}: {what} is there already; it is used as it is")
            return False
        call, *_ = calls(self.client, model, None, None)
        self._deliver(call, self.upload.payloads[0], what)
        return True

    def send(self) -> str | None:
        """Send the result or the predictions; the address the Hub names, if it names one."""
        *_, call = calls(self.client, None, self.upload.subject, self.upload.competition)
        return self._deliver(call, self.upload.payloads[-1], self.upload.what)

    def _has(self, artifact_id: str, what: str) -> bool:
        payload = Payload("GET", self.upload.payloads[0].path, b"")
        try:
            self._deliver(
                lambda: self.client.get_model(artifact_id),
                payload,
                f"looking up {what}",
                answers.describes(artifact_id),
            )
        except UploadError as error:
            if error.status == 404:
                return False
            self.watch.out = False
            raise UploadError(
                str(error), "refused", happened=error.happened
            ) from None  # looking stores nothing
        return True

    def _deliver(
        self, call: Callable[[], Any], payload: Payload, what: str, proof: answers.Proof | None = None
    ) -> str | None:
        tried, renewed, watch = 1, False, self.watch
        proof = proof or answers.stored(self.upload.hub)
        while True:
            watch.expect(payload.method, payload.path, payload.body, proof)
            failure = self._once(call)
            if failure is None:
                return self.address()
            if payload.method == "GET" and failure.outcome == "unknown":  # looking stores nothing
                failure, watch.out = replace(failure, outcome="refused", advice=_LATER), False
            if failure.login and not renewed:
                renewed = True
                self._say(f"{self.upload.host}: {failure.happened}; logging in again")
                if self._relogin(self.client):
                    continue
            elif failure.wait is not None and tried < TRIES:
                self._wait(failure, tried)
                tried += 1
                continue
            # Not from within an `except`: polaris's errors quote what the Hub sent.
            raise UploadError(
                failure.told(self.upload.host, what, payload.method),
                failure.outcome,
                happened=failure.happened,
                status=failure.status,
            )

    def _once(self, call: Callable[[], Any]) -> Failure | None:
        problem: Exception | None = None
        try:
            call()
        except PolarisRxrxError:
            raise
        except Exception as error:
            problem = error
        if self.watch.accepted:
            return None
        failure = classify(problem or RuntimeError("the client got no answer"), self.watch, self.client)
        self.watch.out = failure.outcome == "unknown"
        return failure

    def _wait(self, failure: Failure, tried: int) -> None:
        seconds = failure.wait or 2.0 ** (tried - 1)
        self._say(
            f"{self.upload.host}: {failure.happened}; trying again in {seconds:g} s ({tried + 1} of {TRIES})"
        )
        files.pause(seconds)

    def address(self) -> str | None:
        """The page of what was stored."""
        return answers.address(self.upload.hub, self.watch.location)
