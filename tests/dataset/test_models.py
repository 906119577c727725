"""A model fetched from the loopback Hugging Face: pinned, its licence accepted, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from polaris_rxrx.dataset import models, transfer
from polaris_rxrx.dataset.download import Licence
from polaris_rxrx.dataset.models import fetch_model
from polaris_rxrx.errors import DataError, PolarisRxrxError, UpstreamError, UsageError
from tests.servers.huggingface import COMMIT, MODEL, SIGNATURE, Fault, Repository, serving

TOKEN = "hf_NeverToBeShownAnywhere"
WEIGHTS = bytes(range(256)) * 400
CODE = b"class MAEModel: ...\n"
FILES = {
    "LICENSE": b"You may not sell it.\n",
    "README.md": b"# OpenPhenom\n",
    "__init__.py": b"",
    "config.json": b"{}",
    "huggingface_mae.py": CODE,
    "model.safetensors": WEIGHTS,
    "sample/AA41_s1_1.jp2": b"image",
    "tests/test_mae.py": b"",
}


@pytest.fixture(scope="module", autouse=True)
def closed_session() -> Iterator[None]:
    yield
    huggingface_hub.close_session()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    with serving() as repository:
        repository.files = dict(FILES)
        repository.plain = {name for name in FILES if name != "model.safetensors"}
        monkeypatch.setenv("HF_ENDPOINT", repository.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.setattr(transfer, "PAUSE", 0.0)
        yield repository


def yes(_: Licence) -> bool:
    return True


def test_what_loading_needs_comes_and_no_more(server: Repository, tmp_path: Path) -> None:
    asked, said = list[Licence](), list[str]()

    def ask(licence: Licence) -> bool:
        asked.append(licence)
        assert not any(sent.path.endswith((".py", ".safetensors")) for sent in server.sent)
        return True

    found = fetch_model(MODEL, COMMIT, tmp_path, ask=ask, say=said.append)
    assert found.folder == tmp_path / "models" / "recursionpharma--OpenPhenom" / COMMIT
    assert (found.repository, found.revision) == (MODEL, COMMIT)
    there = {path.name: path.read_bytes() for path in found.folder.iterdir() if path.name != "fetched.json"}
    needed = ("LICENSE", "__init__.py", "config.json", "huggingface_mae.py", "model.safetensors")
    assert there == {name: FILES[name] for name in needed}
    assert [(licence.of, licence.text) for licence in asked] == [(MODEL, "You may not sell it.\n")]
    assert asked[0].page == f"https://huggingface.co/{MODEL}/blob/{COMMIT}/LICENSE"
    held = json.loads((found.folder / "fetched.json").read_text())
    assert held["files"]["model.safetensors"]["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert held["files"]["huggingface_mae.py"]["revision"] == COMMIT
    assert held["licence"]["sha256"] == hashlib.sha256(FILES["LICENSE"]).hexdigest()
    assert any("5 files, 102 kB" in line for line in said)
    assert not any(secret in line for line in said for secret in (TOKEN, SIGNATURE))
    # The token goes to Hugging Face and to no other host.
    assert {"authorization" in sent.headers for sent in server.sent if "/storage/" in sent.path} == {False}

    before = len(server.requests)
    assert fetch_model(MODEL, COMMIT, tmp_path, say=said.append) == found
    assert len(server.requests) == before
    assert said[-1] == f"{MODEL}: already there ({found.folder})"


def test_a_branch_is_looked_up_and_its_commit_said(server: Repository, tmp_path: Path) -> None:
    said = list[str]()
    assert fetch_model(MODEL, "main", tmp_path, ask=yes, say=said.append).revision == COMMIT
    assert said[0] == f"{MODEL}: main is {COMMIT} now; --revision {COMMIT} keeps to it"


def test_a_revision_has_to_be_known(
    server: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="the commit was expected, of 40 hexadecimal digits"):
        fetch_model("somebody/else", None, tmp_path, ask=yes)
    with pytest.raises(UsageError, match="--revision 'a b': a commit"):
        fetch_model(MODEL, "a b", tmp_path, ask=yes)
    with pytest.raises(UsageError, match=r"'../up' is no repository"):
        fetch_model("../up", COMMIT, tmp_path, ask=yes)
    with pytest.raises(UpstreamError, match="has no such file \\(HTTP 404\\)"):
        fetch_model(MODEL, "f" * 40, tmp_path, ask=yes)
    assert server.sent == []
    monkeypatch.setitem(models.PINNED, MODEL, COMMIT)
    said = list[str]()
    assert fetch_model(MODEL, None, tmp_path, ask=yes, say=said.append).revision == COMMIT
    assert said[0] == f"{MODEL}: revision {COMMIT}, which this package was built for"


def test_the_pinned_commit_is_one() -> None:
    assert [len(commit) for commit in models.PINNED.values()] == [40]


def test_the_licence_is_accepted_or_nothing_comes(server: Repository, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=rf"Read https://huggingface.co/{MODEL}/blob/{COMMIT}/LICENSE; if you"
    ):
        fetch_model(MODEL, COMMIT, tmp_path)
    with pytest.raises(PolarisRxrxError, match="not accepted; nothing was downloaded"):
        fetch_model(MODEL, COMMIT, tmp_path, ask=lambda licence: False)
    assert [sent.path for sent in server.sent] == [f"/{MODEL}/resolve/{COMMIT}/LICENSE"]
    assert list(tmp_path.rglob("*.py")) == []


def test_a_repository_without_a_licence_is_named(server: Repository, tmp_path: Path) -> None:
    del server.files["LICENSE"]
    told = list[str]()
    fetch_model(MODEL, COMMIT, tmp_path, ask=lambda licence: bool(told.append(licence.text)) or True)
    assert told == [
        f"{MODEL} has no file with its licence; its page says which it is: https://huggingface.co/{MODEL}\n"
    ]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_repository_that_is_no_model(server: Repository, tmp_path: Path, name: str) -> None:
    del server.files[name]
    with pytest.raises(UpstreamError, match=rf"^{name}: the repository {MODEL} on .* holds no such file"):
        fetch_model(MODEL, COMMIT, tmp_path, ask=yes)


def test_what_was_cut_off_goes_on(server: Repository, tmp_path: Path) -> None:
    server.faults = [Fault("/storage/model.safetensors", after=50_000, times=1)]
    found = fetch_model(MODEL, COMMIT, tmp_path, ask=yes)
    assert (found.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert server.starts_of("/storage/model.safetensors") == [0, 50_000]


def test_other_weights_are_no_model(server: Repository, tmp_path: Path) -> None:
    server.faults = [Fault("/storage/model.safetensors", wrong=True)]
    with pytest.raises(UpstreamError, match=r"model.safetensors: what .* sent is not the published file"):
        fetch_model(MODEL, COMMIT, tmp_path, ask=yes)
    assert list(tmp_path.rglob("fetched.json")) == []


@pytest.mark.parametrize(("change", "told"), [("cut", "3 bytes where 102,400 came"), ("gone", "it is gone")])
def test_a_fetched_file_that_has_changed(server: Repository, tmp_path: Path, change: str, told: str) -> None:
    path = fetch_model(MODEL, COMMIT, tmp_path, ask=yes).folder / "model.safetensors"
    path.unlink()
    if change == "cut":
        path.write_bytes(b"cut")
    with pytest.raises(DataError, match=rf"model.safetensors is not the file that was fetched: {told}"):
        fetch_model(MODEL, COMMIT, tmp_path, ask=yes)
