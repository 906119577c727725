"""That polaris-lib still needs each workaround of `polaris_rxrx.hub.upstream`, under the same number.

A test here fails when polaris-lib has mended what it is about: then the workaround, its number in
`upstream.py` and the test can go. That ours works is tested in `test_benchmarks.py`, or here if it is short.
"""

from __future__ import annotations

import gc
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.errors import UsageError
from polaris_rxrx.hub import upstream
from tests.servers.hub import Fault, HubServer, v1, v2
from tests.warm import Warm

# A client whose making failed raises again when it is collected; `collected` sees that it is in time.
UNFINISHED = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
# httpx under another name, as httpx2 is: its classes are not httpx's.
HTTPX2 = """
import importlib.util, sys, httpx
spec = importlib.util.spec_from_file_location(
    "httpx2", httpx.__file__, submodule_search_locations=list(httpx.__path__))
sys.modules["httpx2"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""
# Words: where httpx2 is, and whose way it goes. Where all was imported, it imports polaris, authlib
# and this package anew, which choose what they build on; all else, seconds of it, knows of neither.
ASK = """
import sys, warnings
for name in list(sys.modules):
    if name.partition(".")[0] in ("polaris", "authlib", "polaris_rxrx"):
        del sys.modules[name]
assert "httpx2" not in sys.modules
sys.path.insert(0, sys.argv[1])
warnings.simplefilter("ignore")
from polaris_rxrx.errors import UpstreamError
from polaris_rxrx.hub import upstream
if sys.argv[2] == "ours":
    with upstream.session():
        pass
    assert "httpx2" not in sys.modules
try:
    from polaris.hub.client import PolarisHubClient
    with PolarisHubClient(cache_auth_token=False) as client:
        print(client.get_benchmark("recursion", "compound-gene").artifact_id, file=sys.stderr)
    import httpx2
finally:
    if sys.argv[2] == "theirs":
        assert "httpx2" in sys.modules
        try:
            with upstream.session():
                pass
        except UpstreamError as error:
            print(error)
"""
TABLE = {
    "treatment": ["a", "a", "a", "b", "b", "b"],
    "gene_symbol": ["x", "y", "z", "x", "y", "z"],
    "active": [0, 1, 0, 1, 0, 1],
}


@pytest.fixture(scope="module", autouse=True)
def _no_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """polaris, imported as `session` does it, keeping its hands off the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with upstream.session():
        pass
    from polaris.dataset import _base

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_base, "DEFAULT_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with HubServer() as running:
        monkeypatch.setenv("POLARIS_HUB_URL", running.url)
        yield running


@pytest.fixture
def collected() -> Iterator[None]:
    yield
    gc.collect()


def mended(number: int) -> str:
    return f"polaris-lib has mended [{number}]: that workaround in polaris_rxrx/upstream.py can go"


@contextmanager
def still_fails(number: int, kind: type[BaseException], match: str) -> Iterator[None]:
    try:
        yield
    except kind as error:
        if not re.search(match, f"{error!r} {error}", re.S):
            raise
    else:
        pytest.fail(mended(number))


def table(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({**TABLE, **columns})


def client(**settings: Any) -> Any:
    from polaris.hub.client import PolarisHubClient
    from polaris.hub.settings import PolarisHubSettings

    return PolarisHubClient(settings=PolarisHubSettings(_env_file=None, **settings), cache_auth_token=False)


def test_0_the_release_these_are_for() -> None:
    import polaris

    assert polaris.__version__.startswith("0.13."), "go through every number again, then pin the new release"


@dataclass
class Completed:
    """A process that has ended."""

    returncode: int | None
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def on_httpx2(
    tmp_path_factory: pytest.TempPathFactory, _no_cache: Path, warm: Warm
) -> Callable[[str], Completed]:
    """A process where httpx2 can be imported, which asks for a benchmark with "ours" or with "theirs" alone.

    Where the latter fails, it goes on to what `session` says to an authlib that has taken httpx2 already.
    """
    folder = tmp_path_factory.mktemp("httpx2")
    (folder / "httpx2.py").write_text(HTTPX2)

    def run(whose: str) -> Completed:
        with HubServer() as server, pytest.MonkeyPatch.context() as patch:
            server.publish_v1(v1(table(), [0, 1, 2, 3]))
            patch.chdir(folder)
            patch.setenv("NO_PROXY", "127.0.0.1")
            patch.setenv("POLARIS_HUB_URL", server.url)
            process = warm.start(ASK, [str(folder), whose], apart=True)
            out, err = process.communicate()
            return Completed(process.returncode, out, err)

    return cache(run)


def test_1_httpx2_breaks_every_request(on_httpx2: Callable[[str], Completed]) -> None:
    ours = on_httpx2("ours")
    assert ours.returncode == 0 and "recursion/compound-gene" in ours.stderr, ours.stderr
    assert on_httpx2("theirs").returncode != 0, mended(1)


def test_2_logs_and_progress_go_to_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    from polaris.utils.context import track_progress

    handlers = logging.getLogger("polaris").handlers
    with upstream.session():
        with track_progress("quiet"):
            logging.getLogger("polaris.x").warning("to be seen")
        print("stray")
    told = capfd.readouterr()
    assert told.out == "" and "polaris: to be seen" in told.err and "quiet" not in told.err
    assert logging.getLogger("polaris").handlers == handlers
    logging.getLogger("polaris.x").warning("a log")
    with track_progress("a bar"):
        pass
    out = capfd.readouterr().out
    assert "a log" in out and "a bar" in out, mended(2)


def test_3_every_dataset_makes_a_folder(_no_cache: Path) -> None:
    def count() -> int:
        return sum(1 for _ in _no_cache.rglob("*"))

    before = count()
    with upstream.session():
        v1(table(), [0, 1])
    assert count() == before
    v1(table(), [0, 1])
    assert count() > before, mended(3)


def test_4_an_env_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from polaris.hub.settings import PolarisHubSettings

    monkeypatch.delenv("POLARIS_HUB_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("POLARIS_HUB_URL=https://elsewhere.example\n")
    assert upstream.hub_settings()[0].hub_url == "https://polarishub.io/"
    assert PolarisHubSettings().hub_url == "https://elsewhere.example", mended(4)


@UNFINISHED
@pytest.mark.filterwarnings("ignore:`cert=...` is deprecated")
def test_5_a_ca_bundle_is_taken_for_a_client_certificate(
    monkeypatch: pytest.MonkeyPatch, collected: None
) -> None:
    import ssl

    import certifi

    monkeypatch.setenv("POLARIS_CA_BUNDLE", certifi.where())
    settings, verify = upstream.hub_settings()
    assert isinstance(verify, ssl.SSLContext) and settings.ca_bundle is None
    with still_fails(5, ssl.SSLError, ""):
        client(ca_bundle=certifi.where()).close()


def test_6_targets_that_are_not_plain_numbers() -> None:
    nullable = pd.array([0, 1, None, 1, 0, 1], dtype="Int64")
    with still_fails(6, TypeError, "Int64"):
        v1(table(active=nullable), [0, 1, 2, 3, 4, 5])
    text = ["0", "1", "0", "1", "0", "1"]
    with still_fails(6, Exception, ""):
        result = v1(table(active=text), [0, 1, 2, 3, 4, 5]).evaluate(y_prob=np.arange(6.0)).results
        if result["Score"].isna().any():
            raise ValueError("no score")


def test_7_a_noted_dtype_must_be_numpys() -> None:
    from polaris.dataset import DatasetV1

    described = v1(table(), [0, 1]).dataset.model_dump(mode="json", exclude={"table"})
    described["annotations"]["active"]["dtype"] = "Int64"
    assert "dtype" not in upstream.dataset_fields(described, {"active"})["annotations"]["active"]
    with still_fails(7, TypeError, "Int64"):
        DatasetV1(table=table(), **described)


def test_8_a_v2_benchmark_without_training_rows(tmp_path: Path) -> None:
    with still_fails(8, ValueError, "[Ee]mpty"):
        v2(tmp_path / "a.zarr", TABLE, [0, 1, 2], [])


def test_9_a_request_for_every_cell(server: HubServer, tmp_path: Path) -> None:
    reference = server.publish_v2(v2(tmp_path / "a.zarr", TABLE, [0, 1, 2, 3, 4], [5]))
    with client() as hub:
        benchmark = hub.get_benchmark(*reference.split("/"))
    server.log.clear()
    benchmark.evaluate(y_prob=np.arange(5.0))
    chunk = "/storage/recursion/some-archive/data.zarr/active/0"
    assert server.requests[chunk] >= 5, mended(9)
    benchmark.dataset.load_to_memory()
    server.log.clear()
    upstream.evaluate(benchmark, np.arange(5.0))
    assert not server.log
    with still_fails(9, TypeError, "twice"):
        benchmark.dataset.load_to_memory()


def test_10_a_metric_that_needs_classes_stops_them_all(caplog: pytest.LogCaptureFixture) -> None:
    benchmark = v1(table(), [0, 1, 2, 3], metrics=["roc_auc", "accuracy"], main_metric="roc_auc")
    values = np.array([0.1, 0.2, 0.3, 0.4])
    assert upstream.evaluate(benchmark, values) == {"roc_auc": 0.75, "accuracy": None}
    assert "accuracy needs classes" in caplog.text
    with still_fails(10, ValueError, "y_pred"):
        benchmark.evaluate(y_prob=values)


def test_11_one_test_set_of_another_name() -> None:
    benchmark = v1(table(), {"holdout": [0, 1, 2]})
    assert upstream.dump(benchmark)["n_test_datapoints"] == {"holdout": 3}
    with still_fails(11, KeyError, "test"):
        benchmark.get_train_test_split()
    with still_fails(11, Exception, "test"):
        benchmark.model_dump()


def test_12_columns_and_metrics_are_sets() -> None:
    benchmark = v1(table(), [0, 1])
    assert isinstance(benchmark.input_cols, set) and isinstance(benchmark.metrics, set), mended(12)
    assert upstream.dump(benchmark)["input_cols"] == ["gene_symbol", "treatment"]


def test_13_as_dataframe_grows_its_inputs() -> None:
    training, _ = v1(table(), [0, 1], [2, 3]).get_train_test_split()
    training.as_dataframe()
    assert "active" in training.input_cols, mended(13)


@UNFINISHED
def test_14_missing_datasets_tokens_and_single_tries(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collected: None
) -> None:
    from polaris.hub import oauth
    from polaris.hub.client import PolarisHubClient
    from polaris.utils.errors import PolarisHubError

    reference = server.publish_v1(v1(table(), [0, 1, 2, 3]))
    dataset = next(path for path in server.documents if "/dataset/" in path)
    described = server.documents.pop(dataset)
    with client() as hub, still_fails(14, PolarisHubError, ""):
        hub.get_benchmark(*reference.split("/"))
    assert server.requests[f"/api/v2/benchmark/{reference}"] == 1, mended(14)

    server.documents[dataset] = described
    server.faults.append(Fault("Some_Data", times=1, status=503))
    with client() as hub, still_fails(14, PolarisHubError, ""):
        hub.get_benchmark(*reference.split("/"))

    (tmp_path / "hub_auth_token.json").write_text("{")
    defaults = list(oauth.CachedTokenAuth.__init__.__defaults__ or ())
    defaults[-2] = str(tmp_path)
    monkeypatch.setattr(oauth.CachedTokenAuth.__init__, "__defaults__", tuple(defaults))
    with still_fails(14, json.JSONDecodeError, ""):
        PolarisHubClient()


def test_15_a_benchmarks_checksum_is_not_compared(server: HubServer) -> None:
    reference = server.publish_v1(v1(table(), [0, 1, 2, 3]))
    server.documents[f"/v1/benchmark/{reference}"]["md5Sum"] = "0" * 32
    with client() as hub:
        try:
            hub.get_benchmark(*reference.split("/"))
        except ValueError:
            pytest.fail(mended(15))


def test_16_a_moved_artifact_does_not_open(tmp_path: Path) -> None:
    import polaris

    v1(table(), [0, 1]).to_json(str(tmp_path / "a"))
    shutil.move(tmp_path / "a", tmp_path / "b")
    with still_fails(16, OSError, "No such file"):
        polaris.load_benchmark(str(tmp_path / "b" / "benchmark.json"))


def test_17_a_saved_v2_benchmark_lacks_its_split(tmp_path: Path) -> None:
    import polaris

    path = v2(tmp_path / "a.zarr", TABLE, [0, 1, 2], [3]).to_json(str(tmp_path / "saved"))
    with still_fails(17, ValueError, ""):
        assert len(polaris.load_benchmark(path).split.test.indices) == 3


def test_18_a_wrong_address_is_a_key_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from polaris.hub.settings import PolarisHubSettings

    with still_fails(18, KeyError, "hub_url"):
        PolarisHubSettings(_env_file=None, hub_url="no address")


@UNFINISHED
def test_19_the_token_cache(tmp_path: Path, collected: None) -> None:
    from polaris.hub.oauth import CachedTokenAuth

    file = tmp_path / "hub_auth_token.json"
    CachedTokenAuth(cache_dir=str(tmp_path)).set_token({"access_token": "a"})
    assert file.stat().st_mode & 0o044, mended(19)
    assert CachedTokenAuth(cache_dir=str(tmp_path)).token["access_token"] == "a", mended(19)  # whatever Hub
    file.write_text("{")
    with still_fails(19, json.JSONDecodeError, ""):
        CachedTokenAuth(cache_dir=str(tmp_path))


def test_20_without_the_cache_no_token_can_be_sent(server: HubServer) -> None:
    with client() as hub:
        hub.token = {"access_token": "a"}
        with still_fails(20, TypeError, "auth"):
            hub.post("/v2/result")
    with upstream.tokens_in_memory():
        made = client()
    with made as hub, HubServer() as other:
        hub.token = {"access_token": "a"}
        hub.post("/v2/result")
        hub.post(f"{other.url}/v2/result")
        assert "authorization" not in other.log[0].headers
    assert [r.headers.get("authorization") for r in server.log] == ["Bearer a"]
    from authlib.oauth2 import TokenAuth
    from polaris.hub import client as module

    assert module.TokenAuth is TokenAuth  # nothing is left patched


def test_21_authlib_on_httpx2(on_httpx2: Callable[[str], Completed]) -> None:
    told = on_httpx2("theirs")
    assert "pip uninstall httpx2" in told.stdout, told.stderr


def test_22_a_refusal_is_kept_as_the_token(server: HubServer) -> None:
    server.faults.append(Fault("/token", status=401, body=b'{"message": "Unauthorized"}'))
    with upstream.tokens_in_memory():
        made = client(username="u", password="p")
    with made as hub:
        assert hub.fetch_token() == {"message": "Unauthorized"}, mended(22)


def test_23_a_browser_login_asks_on_stdout(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(prompt: str) -> str:
        raise EOFError(prompt)

    monkeypatch.setattr("builtins.input", asked)
    with client() as hub, still_fails(23, EOFError, "enter the authorization token"):
        hub.login(auto_open_browser=False)


def test_24_the_settings_show_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    from polaris.hub.settings import PolarisHubSettings

    monkeypatch.setenv("POLARIS_PASSWORD", "canary")
    settings, _ = upstream.hub_settings()
    assert settings.password == "canary" and "canary" not in f"{settings!r} {settings}"
    assert "canary" in repr(PolarisHubSettings(_env_file=None)), mended(24)


def test_25_a_path_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    from polaris.hub.settings import PolarisHubSettings

    monkeypatch.setenv("POLARIS_HUB_URL", "http://u:canary@hub.example:80/some/path")
    with pytest.raises(UsageError, match=r"has a path.* Set it to http://hub\.example, or") as caught:
        upstream.hub_settings()
    assert "canary" not in str(caught.value)
    assert str(PolarisHubSettings(_env_file=None).api_url).endswith("hub.example:80/api"), mended(25)
    monkeypatch.setenv("POLARIS_API_URL", "http://hub.example/some/path/api")
    monkeypatch.setenv("POLARIS_HUB_TOKEN_URL", "http://hub.example/some/path/token")
    assert str(upstream.hub_settings()[0].api_url) == "http://hub.example/some/path/api"


def test_26_the_external_client_stays_open() -> None:
    with client() as hub:
        pass
    assert hub.is_closed
    assert not hub.external_client.is_closed, mended(26)
    hub.external_client.close()


def test_27_a_password_that_is_not_ascii(server: HubServer) -> None:
    server.faults.append(Fault("/token", body=b'{"access_token": "a"}', status=200))
    with client(username="u", password="canary-ö") as hub:
        with still_fails(27, UnicodeEncodeError, "ascii"):
            hub.fetch_token()
        hub.register_client_auth_method(("none", upstream.encode_form))
        hub.fetch_token()
    assert b"canary-%C3%B6" in server.log[-1].body


def test_28_an_upload_says_nothing_of_its_fate(server: HubServer) -> None:
    import httpx
    from polaris.evaluate import BenchmarkResultsV1
    from polaris.utils.errors import PolarisHubError

    scores = [{"test_set": "test", "target_label": "active", "scores": {"pr_auc": 0.5}}]
    results = BenchmarkResultsV1(results=scores, name="some-name", owner="some-one")
    with upstream.tokens_in_memory():
        hub = client()
    with hub:
        hub.token = {"access_token": "x", "token_type": "Bearer"}
        server.faults.append(
            Fault("/result", times=1, status=201, headers={"Content-Location": "/results/a"})
        )
        if hub.upload_results(results) is not None:
            pytest.fail(mended(28))
        server.faults.append(Fault("/result", times=1, reset=True))
        with still_fails(28, httpx.TransportError, ""):
            hub.upload_results(results)
        server.faults.append(Fault("/result", times=1, status=409))
        with pytest.raises(PolarisHubError) as caught:
            hub.upload_results(results)
        assert "409" not in str(caught.value) and caught.value.__cause__.response.status_code == 409, mended(
            28
        )


def test_29_a_competitions_dump_writes_into_the_cache(tmp_path: Path) -> None:
    from tests.servers.uploads import competition

    made = competition(tmp_path / "c.zarr", TABLE, [0, 1], [2])
    upstream.dump(made, without={"zarr_manifest_md5sum"})
    assert not made.has_zarr_manifest_md5sum
    upstream.dump(made)
    assert made.has_zarr_manifest_md5sum, mended(29)


def test_30_documents_of_the_main_branch(server: HubServer, tmp_path: Path) -> None:
    columns = {name: list(values) for name, values in TABLE.items()}
    reference = server.publish_v2(v2(tmp_path / "a.zarr", columns, [0, 1, 2, 3], [4]))
    document = server.documents[f"/v2/benchmark/{reference}"]
    document["split"] = {"random": {k: {"filePath": u} for k, u in document["split"].items()}}
    with client() as hub, still_fails(30, Exception, ""):
        hub.get_benchmark(*reference.split("/"))


def test_the_checksum_does_not_hang_on_pandas_or_the_process() -> None:
    # Computed with pandas 2.3; pandas 3.1 and any hash seed give the same.
    benchmark = v1(table(), [3, 1, 2])
    assert benchmark.dataset.md5sum == "c3cee28ed1794d510efc42ba91cba6bd"
    assert (
        upstream.benchmark_checksum(benchmark, benchmark.dataset.md5sum) == "0e1b165a1d5fad01564afb7789a7a0a7"
    )
