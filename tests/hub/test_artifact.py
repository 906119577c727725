"""Pasted addresses, underscores, blanks: understood and said, or refused by name."""

from __future__ import annotations

import logging

import pytest

from polaris_rxrx.errors import UsageError
from polaris_rxrx.hub import artifact, benchmarks
from tests.hub.test_benchmarks import frame, publish_v1, server  # noqa: F401  # a fixture
from tests.servers.hub import HubServer

ID = "recursion/rxrx-compound-gene-activity-benchmark"


@pytest.mark.parametrize(
    "text",
    [
        f"https://polarishub.io/benchmarks/{ID}",
        f"https://polarishub.io/benchmarks/{ID}/",
        f"https://polarishub.io/benchmarks/{ID}?tab=leaderboard&x=1#top",
        f"http://www.polarishub.io/benchmarks/{ID}/leaderboard",
        f"HTTPS://polarishub.io/competitions/{ID}",
        f"polarishub.io/benchmarks/{ID}",
        f"//polarishub.io/benchmarks/{ID}",
        f"https://polarishub.io/api/v1/benchmark/{ID}",
        f"benchmarks/{ID}/",
        f" {ID}\n",
        f"{ID}/",
        f"/{ID}",
        f"@{ID}",
        "recursion/rxrx_compound_gene_activity_benchmark",
        "Recursion/RxRx_compound-gene-activity-benchmark",
        "https://polarishub.io/benchmarks/recursion/rxrx_compound_gene_activity_benchmark",
    ],
)
def test_what_is_understood_is_said(text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert artifact.artifact_id(text) == ID
    assert [r.getMessage() for r in caplog.records] == [f"{text!r} is taken for the Hub's {ID}"]


def test_an_id_is_taken_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    assert artifact.artifact_id(ID) == ID and not caplog.records


@pytest.mark.parametrize(
    "text", ["", "/", "a", "a/b/c", "a b/c", "../x.json", "task/polaris/benchmark.json", "_/-"]
)
def test_what_is_no_id(text: str) -> None:
    assert artifact.artifact_id(text) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "https://example.org/benchmarks/a/b",
            "is an address of example.org, but the Hub here is polarishub.io",
        ),
        (
            f"https://polarishub.io.evil.example/benchmarks/{ID}",
            "is an address of polarishub.io.evil.example",
        ),
        (f"https://polarishub.io@evil.example/benchmarks/{ID}", "is an address of evil.example"),
        ("https://polarishub.io/", "is not the page of a benchmark"),
        ("https://polarishub.io/benchmarks", "is not the page of a benchmark"),
        ("https://[::1/benchmarks/a/b", "is no address"),
        ("https://polarishub.io/datasets/a/b", "is the address of a dataset; a benchmark's was expected"),
        ("models/a/b", "is the address of a model; a benchmark's was expected"),
    ],
)
def test_addresses_of_something_else(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        artifact.artifact_id(text)
    assert told in str(caught.value)


def test_another_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARIS_HUB_URL", "https://hub.example:8443")
    assert artifact.artifact_id("https://hub.example/benchmarks/a/b") == "a/b"
    with pytest.raises(UsageError, match=r"an address of polarishub\.io, but the Hub here is hub\.example"):
        artifact.artifact_id("https://polarishub.io/benchmarks/a/b")


def test_a_pasted_address_opens(server: HubServer, caplog: pytest.LogCaptureFixture) -> None:  # noqa: F811
    reference = publish_v1(server, frame(), list(range(6)))
    for text in (f"{server.url}/benchmarks/{reference}?x=1", reference.replace("-", "_")):
        assert benchmarks.open_benchmark(text).task.artifact_id == reference
        assert f"is taken for the Hub's {reference}" in caplog.text
