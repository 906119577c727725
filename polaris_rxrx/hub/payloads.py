"""What a submission sends: polaris's own objects, and the exact requests they become.

Conventions
    What is sent is polaris's own object (`BenchmarkResultsV1`, `BenchmarkResultsV2`,
    `CompetitionPredictions`, `Model`), handed to the client's own method. A rehearsal with that client, which
    reaches no network and needs no login, yields each request byte for byte.
    The scores sent are ours; polaris-lib's `evaluate` must give the same to 1e-9, and all must be finite.

polaris is imported only when called, inside `upstream.session`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from typing_extensions import TypedDict

from polaris_rxrx.errors import DataError, one_line
from polaris_rxrx.hub import upstream
from polaris_rxrx.hub.artifact import Artifact, Kind
from polaris_rxrx.hub.card import SubmissionCard, attributes, check_for
from polaris_rxrx.types import Floats

AGREED = 1e-9  # scores nearer to each other than this are the same


class Request(TypedDict):
    """One request as it would be sent."""

    method: str
    path: str
    body_sha256: str
    body: Any
    """The JSON that it is; what stands there is the Hub's to say."""


@dataclass(frozen=True)
class Payload:
    """One request as it goes out."""

    method: str
    path: str
    body: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    def to_dict(self) -> Request:
        """For a report: its body as the JSON it is."""
        return {
            "method": self.method,
            "path": self.path,
            "body_sha256": self.sha256,
            "body": json.loads(self.body),
        }


@dataclass(frozen=True, eq=False)
class Upload:
    """A submission as polaris's objects, and the requests they become; a model to create goes first.

    `client` holds a benchmark's scores by the client's own `evaluate`, nothing for a competition.
    """

    kind: Kind
    name: str
    hub: str
    subject: Any
    competition: Any
    model: Any
    payloads: tuple[Payload, ...]
    polaris_lib: str
    client: dict[str, float | None]

    @property
    def host(self) -> str:
        return urlsplit(self.hub).hostname or self.hub

    @property
    def what(self) -> str:
        return f"the {'predictions' if self.kind == 'competition' else 'result'} {self.name!r}"


def official_scores(
    task: str, ours: Mapping[str, float | None], client: Mapping[str, float | None]
) -> dict[str, float]:
    """The scores to send: ours, each of which the client's `evaluate` must confirm.

    Raises:
        DataError: The two differ by more than `AGREED`, or a value is not finite.
    """
    scores = {}
    for name, theirs in client.items():
        value = theirs if ours.get(name) is None else ours[name]
        if theirs is None or not np.isfinite(theirs) or value is None or not np.isfinite(value):
            raise DataError(
                f"{task}: {name} is {_number(ours.get(name))} here and {_number(theirs)} by the client's "
                "`evaluate`; the Hub takes finite numbers only, so nothing can be sent. Where a treatment's "
                "pairs are of one class, the client gives nan with scikit-learn 1.6 or later and a number "
                "with 1.5"
            )
        if abs(value - theirs) > AGREED:
            raise DataError(
                f"{task}: {name} is {value!r} here and {theirs!r} by the client's `evaluate`; they must "
                f"agree to {AGREED:g}, so nothing is sent. Prepare the task again with --force; should it "
                "last, report it"
            )
        scores[name] = float(value)
    return scores


def _number(value: float | None) -> str:
    return "not defined" if value is None else repr(value)


def build(
    artifact: Artifact,
    card: SubmissionCard,
    values: Floats,
    ours: Mapping[str, float | None] | None,
    *,
    env_file: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Upload:
    """Check a submission, score it with the client where it has labels, and make what will be sent.

    Args:
        artifact: The benchmark or competition, as saved beside the task.
        card: The submission's card.
        values: The predictions (n,) in official order; sent to a competition only.
        ours: Our scores by metric, sent to a benchmark only; None for a competition.
        env_file: Where to look for settings that the environment lacks.
        say: Gets a line for people before the client scores, which takes seconds.

    Raises:
        DataError: The card lacks what this kind needs, the client's scores are others than ours, or
            polaris-lib does not take something.
        UsageError: POLARIS_HUB_URL cannot be sent to.
    """
    check_for(card, kind=artifact.kind)
    client: dict[str, float | None] = {}
    if ours is not None:
        say("Scoring with polaris-lib's own evaluate ...")
        client = artifact.client_scores(values)
    scores = official_scores(artifact.task.name, ours or {}, client)
    with upstream.session() as polaris:
        settings, _ = upstream.hub_settings(env_file)
        hub = upstream.origin(settings.hub_url)
        model = None
        try:
            if artifact.kind == "competition":
                subject = _predictions(artifact, card, values)
            else:
                model, result_model = _models(card)
                subject = _results(artifact, card, scores, result_model)
        except ValueError as error:  # pydantic's and polaris's
            raise DataError(f"{card.name}: polaris-lib does not take this card ({one_line(error)})") from None
        competition = artifact.specification if artifact.kind == "competition" else None
        payloads = _rehearse(settings, model, subject, competition)
    made = (subject, competition, model, payloads)
    return Upload(artifact.kind, card.name, hub, *made, polaris.__version__, client)


def _common(card: SubmissionCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "owner": card.owner,
        "description": card.description,
        "tags": list(card.tags),
        "user_attributes": attributes(card),
        "contributors": list(card.contributors),
    }


def _results(artifact: Artifact, card: SubmissionCard, scores: Mapping[str, float], model: Any) -> Any:
    from polaris.evaluate import BenchmarkResultsV1, BenchmarkResultsV2

    specification = artifact.specification
    (test_set,), (target,) = specification.test_set_labels, specification.target_cols
    record = {"test_set": test_set, "target_label": target, "scores": dict(scores)}
    fields = {**_common(card), "results": [record], "benchmark_artifact_id": specification.artifact_id}
    if artifact.kind == "v2":
        return BenchmarkResultsV2(**fields, model=model)
    return BenchmarkResultsV1(**fields, github_url=card.code_url, paper_url=card.paper_url)


def _models(card: SubmissionCard) -> tuple[Any, Any]:
    """The model to create, if one is, and the one the result names."""
    from polaris.model import Model

    said = card.model
    if said is None:
        return None, None
    if said.artifact is not None:
        owner, _, slug = said.artifact.partition("/")
        return None, Model(name=slug, slug=slug, owner=owner)
    model = Model(
        name=said.name,
        owner=card.owner,
        description=said.description,
        code_url=said.code_url,
        report_url=said.report_url,
        readme=said.readme,
        tags=list(said.tags),
    )
    return model, model


def _predictions(artifact: Artifact, card: SubmissionCard, values: Floats) -> Any:
    """As `CompetitionSpecification.submit_predictions` makes them."""
    from polaris.evaluate import CompetitionPredictions

    competition = artifact.specification
    return CompetitionPredictions(
        **_common(card),
        predictions=np.asarray(values, dtype=np.float64),
        report_url=card.report_url,
        github_url=card.code_url,
        target_labels=list(competition.target_cols),
        test_set_labels=competition.test_set_labels,
        test_set_sizes=competition.test_set_sizes,
    )


def _rehearse(settings: Any, model: Any, subject: Any, competition: Any) -> tuple[Payload, ...]:
    """What the client would send, by letting it send into the void."""
    import httpx
    from polaris.hub.client import PolarisHubClient

    from polaris_rxrx import network

    seen: list[Payload] = []

    class Rehearsal(PolarisHubClient):  # type: ignore[misc]
        def ensure_active_token(self, token: Any = None) -> bool:
            return True

        def request(self, method: str, url: Any, *_: Any, **kwargs: Any) -> Any:
            request = self.build_request(method, url, json=kwargs["json"])
            seen.append(Payload(method, request.url.path, request.read()))
            return httpx.Response(200, request=request, headers={"Content-Location": "/"})

    with Rehearsal(settings=settings, cache_auth_token=False, **network.offline()) as client:
        try:
            for call in calls(client, model, subject, competition):
                call()
        except ValueError as error:  # NaN and infinity are no JSON
            raise DataError(f"this cannot be sent as JSON ({one_line(error)})") from None
    return tuple(seen)


def calls(client: Any, model: Any, subject: Any, competition: Any) -> list[Callable[[], Any]]:
    calls = [] if model is None else [lambda: client.upload_model(model)]
    if competition is not None:
        return [lambda: client.submit_competition_predictions(competition, subject)]
    return [*calls, lambda: client.upload_results(subject)]
