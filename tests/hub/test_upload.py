"""Competitions, what is sent, and how its fate is told; the whole way is in `tests/cli/test_submit.py`.

What is compared with is polaris-lib itself: its client reads the same competition, its `submit_predictions`
makes the same object.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.hub import account, answers, payloads, upstream
from polaris_rxrx.hub import benchmarks as hub
from polaris_rxrx.hub.card import SubmissionCard
from polaris_rxrx.hub.failures import UploadError, Watch, classify
from polaris_rxrx.hub.upload import Sender
from polaris_rxrx.task import ARTIFACT, load_task
from tests.servers.hub import HubServer, v1
from tests.servers.uploads import Uploads, competition

PAIRS = [(t, g, float(i % 2)) for t in ("NA", "b ", "µ") for i, g in enumerate(("x,y", "NA", "TP53", "q"))]
TABLE = pd.DataFrame(PAIRS, columns=["treatment", "gene_symbol", "active"])
COLUMNS = {name: TABLE[name].to_numpy() for name in TABLE}
TEST, TRAINING = [7, 1, 0, 5, 2, 3, 6, 4], [9, 8]
CARD = SubmissionCard(
    name="My_Model",
    owner="ada-lab",
    description="Über",
    supervision="zero-shot",
    compute="none",
    contributors=("ada_l",),
    tags=("one",),
    user_attributes={"width": "384"},
    code_url="https://example.org/code",
    report_url="https://example.org/report",
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with HubServer() as running:
        settings = {**running.accounts.environment(running.url), **running.accounts.credentials()}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def uploads(server: HubServer) -> Uploads:
    return Uploads(server, server.accounts.who)


@pytest.fixture
def reference(uploads: Uploads, tmp_path: Path) -> str:
    with upstream.session():
        return uploads.publish(competition(tmp_path / "c.zarr", COLUMNS, TEST, TRAINING))


# ---- competitions


def test_a_competition_is_read_as_the_client_reads_it(server: HubServer, reference: str) -> None:
    artifact = hub.open_benchmark(reference)
    task = artifact.task
    assert artifact.kind == "competition" and task.active is None and task.artifact_id == reference
    assert task.treatment == TABLE["treatment"].iloc[TEST].tolist()  # as the split has it, not sorted
    assert task.train["active"] == ["1", "0"] and task.main_metric == "pr_auc_grouped"
    with upstream.session():
        from polaris.hub.client import PolarisHubClient

        with PolarisHubClient(cache_auth_token=False) as client:
            theirs = client.get_competition(reference)
            training, test = theirs.get_train_test_split()
            for name in task.inputs:
                assert task.inputs[name] == list(test.inputs[name])
                assert task.train[name] == list(training.inputs[name])
        assert theirs.test_set_sizes == artifact.specification.test_set_sizes
        assert theirs.artifact_id == artifact.specification.artifact_id


def test_a_saved_competition_opens_and_keeps_no_test_labels(
    server: HubServer, reference: str, tmp_path: Path
) -> None:
    import zarr

    artifact = hub.open_benchmark(reference)
    folder = tmp_path / "task"
    (folder / ARTIFACT).mkdir(parents=True)
    artifact.task.save(folder)
    assert hub.save_artifact(artifact, folder / ARTIFACT, folder / ARTIFACT) == Path("competition.json")
    asked = len(server.log)
    again = hub.open_saved(folder)
    assert again.kind == "competition" and again.task.inputs == artifact.task.inputs
    assert again.task.train == artifact.task.train and load_task(folder).active is None
    assert len(server.log) == asked
    labels = zarr.open(str(folder / ARTIFACT / "data.zarr"))["active"][:]
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(labels)), sorted(TRAINING))


def test_its_predictions_are_those_submit_predictions_makes(
    reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact, values, seen = hub.open_benchmark(reference), np.linspace(0, 1, 8), []
    made = payloads.build(artifact, CARD, values, None)
    with upstream.session():
        from polaris.hub.client import PolarisHubClient

        def note(self: Any, competition: Any, competition_predictions: Any) -> None:
            seen.append(competition_predictions)

        monkeypatch.setattr(PolarisHubClient, "submit_competition_predictions", note)
        artifact.specification.submit_predictions(
            predictions=values,
            prediction_name=CARD.name,
            prediction_owner=CARD.owner,
            report_url=CARD.report_url,
            contributors=list(CARD.contributors),
            github_url=CARD.code_url,
            description=CARD.description,
            tags=list(CARD.tags),
            user_attributes={"width": "384", "supervision": "zero-shot", "compute": "none"},
        )
        (theirs,) = seen
        assert theirs.model_dump(by_alias=True) == made.subject.model_dump(by_alias=True)
    (payload,) = made.payloads
    assert (payload.method, payload.path) == ("POST", "/api/v1/competition-prediction")
    assert "Über".encode() in payload.body and b'"reportUrl":"https://example.org/report"' in payload.body


# ---- scores


def test_what_the_client_lets_pass(server: HubServer) -> None:
    """One NaN on the worst treatment raises the client's score; `read_predictions` refuses it before."""
    with upstream.session():
        reference = server.publish_v1(v1(TABLE, list(range(12))))
    artifact = hub.open_benchmark(reference)
    values = TABLE["active"].to_numpy() * 1.0
    values[:4] = 1 - values[:4]
    honest = artifact.client_scores(values)["pr_auc_grouped"]
    values[0] = np.nan
    gamed = artifact.client_scores(values)["pr_auc_grouped"]
    assert honest is not None and gamed is not None and gamed > honest + 0.1
    frame = pd.DataFrame({"id": range(12), "active": values})
    from polaris_rxrx.predictions import read_predictions

    with pytest.raises(DataError, match="active is nan"):
        read_predictions(frame, artifact.task)


@pytest.mark.parametrize(
    ("ours", "client", "told"),
    [
        (0.5, 0.5 + 5e-10, None),
        (None, 0.5, None),
        (0.5, 0.5 + 2e-9, "must agree to 1e-09"),
        (0.5, None, "finite numbers only"),
        (0.5, float("nan"), "finite numbers only"),
        (float("inf"), float("inf"), "finite numbers only"),
    ],
)
def test_which_scores_may_be_sent(ours: float | None, client: float | None, told: str | None) -> None:
    if told is None:
        value = payloads.official_scores("a/b", {"m": ours}, {"m": client})["m"]
        assert value == (client if ours is None else ours)
    else:
        with pytest.raises(DataError, match=told):
            payloads.official_scores("a/b", {"m": ours}, {"m": client})


# ---- sending


def sender(made: payloads.Upload, client: Any, watch: Watch) -> Sender:
    return Sender(made, client, watch, account.relogin, lambda text: None)


def test_what_was_not_shown_is_not_sent(reference: str, uploads: Uploads) -> None:
    made = payloads.build(hub.open_benchmark(reference), CARD, np.linspace(0, 1, 8), None)
    watch = Watch()
    with account.client(on_response=watch.response) as client:
        sending = sender(made, client, watch)
        made.subject.description = "changed meanwhile"
        with pytest.raises(UploadError, match="is not what was shown") as caught:
            sending.send()
        assert caught.value.outcome == "refused" and not watch.out and uploads.posts == 0
        made.subject.description = CARD.description
        assert sending.send() and uploads.bodies(made.payloads[0].path) == [made.payloads[0].body]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/results/a/b", "https://hub.example/results/a/b"),
        ("results/a?X-Signature=s#f", "https://hub.example/results/a"),
        ("https://user:pass@other.example/x", "https://other.example/x"),
        ("javascript:alert(1)", None),
        ("", None),
        (None, None),
    ],
)
def test_the_address_of_the_result(location: str | None, expected: str | None) -> None:
    made = SimpleNamespace(hub="https://hub.example")
    client = SimpleNamespace(event_hooks={"request": [], "response": []})
    watch = Watch()
    watch.location = location
    assert sender(made, client, watch).address() == expected  # type: ignore[arg-type]


REQUEST = httpx.Request("POST", "https://hub.example/api/v2/result", content=b"{}")
ERRORS = {
    "refused": (httpx.ConnectError("[Errno 111] Connection refused"), "refused", 0),
    "dns": (httpx.ConnectError("[Errno -2] Name or service not known"), "refused", 0),
    "certificate": (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] no"), "refused", None),
    "slow to connect": (httpx.ConnectTimeout("t"), "refused", 0),
    "proxy": (httpx.ProxyError("403"), "refused", None),
    "reading": (httpx.ReadTimeout("t"), "unknown", None),
    "writing": (httpx.WriteTimeout("t"), "unknown", None),
    "reset": (httpx.ReadError("r"), "unknown", None),
    "cut writing": (httpx.WriteError("r"), "unknown", None),
    "server gone": (httpx.RemoteProtocolError("r"), "unknown", None),
    "anything": (RuntimeError("\x1b[1mwhatever\x1b[0m"), "unknown", None),
}
CLIENT = SimpleNamespace(
    token={"access_token": "canary-token"}, settings=SimpleNamespace(password="canary-pa55")
)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("case", ERRORS)
def test_errors_without_an_answer(case: str, wrapped: bool) -> None:
    error, outcome, wait = ERRORS[case]
    if wrapped:  # as the client does with some
        outer = RuntimeError("\x1b[1mThe request to the Polaris Hub has failed.\x1b[0m")
        outer.__cause__ = error
        error = outer
    watch = Watch()
    watch.expect("POST", REQUEST.url.path, b"{}")
    watch.request(REQUEST)
    failure = classify(error, watch, CLIENT)
    assert (failure.outcome, failure.wait) == (outcome, wait)
    assert "\x1b" not in failure.told("h", "w")
    with upstream.session():  # before the request itself went out, nothing can have been stored
        watch.out = False
        assert classify(error, watch, CLIENT).outcome == "refused"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((s, "refused") for s in (301, 302, 307, 308, 400, 401, 403, 404, 409, 413, 422, 429)),
        *((s, "unknown") for s in (303, 408, 500, 502, 503, 504)),
    ],
)
def test_answers(status: int, outcome: str) -> None:
    text = '{"errors": [{"m": "a\\u001b[31mb\\nc"}], "was": "Bearer canary-token", "x": "canary-pa55"}'
    headers = {"Location": "https://u:canary@o.example/?canary"}
    response = httpx.Response(status, text=text, request=REQUEST, headers=headers)
    watch = Watch()
    watch.expect("POST", REQUEST.url.path, b"{}")
    watch.request(REQUEST)
    watch.response(response)
    failure = classify(RuntimeError(), watch, CLIENT)
    told = failure.told("hub.example", "the result 'x'")
    assert failure.outcome == outcome and failure.status == status and failure.login == (status == 401)
    assert "canary" not in told and "\x1b" not in told and "\n" not in told and "u001b" not in told
    assert f"the answer was {status}" in told
    if 300 < status < 400:
        assert "leads to o.example" in told
    else:
        assert '"ab c"' in told


def test_long_texts_are_cut() -> None:
    assert len(answers.clean("x" * 5000)) < 450
