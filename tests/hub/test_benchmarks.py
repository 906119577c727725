"""Benchmarks from a loopback Hub and from saved files: order, names, labels, faults, scores.

What is compared with is polaris-lib itself: its own objects are published, its `evaluate` gives the scores.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.errors import DataError, PolarisRxrxError, UpstreamError, UsageError
from polaris_rxrx.hub import benchmarks as hub
from polaris_rxrx.hub import files as hub_files
from polaris_rxrx.hub import upstream
from polaris_rxrx.network import NetworkError
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.scoring import score
from polaris_rxrx.task import ARTIFACT, MetricSpec, Task, load_task
from tests.servers.hub import SIGNATURE, Fault, HubServer, grouped, v1, v2

NAMES = ["NA", "nan", "None", "a, b", 'q"x"', "µ-é", "end  ", " front", "Dactolisib (BEZ235", "-", "z", "1e5"]
GENES = ["TP53", "NA", "MARCH1", "Ω", "x,y", "b "]
N = len(NAMES) * len(GENES)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub_files, "pause", lambda seconds: None)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HubServer() as running:
        monkeypatch.setenv("POLARIS_HUB_URL", running.url)
        monkeypatch.setenv("POLARIS_DEFAULT_TIMEOUT", "[2, 1]")
        yield running


def frame(seed: int = 0) -> pd.DataFrame:
    """Every name with every gene in a random order, some labels missing, one treatment without an active."""
    rng = np.random.default_rng(seed)
    pairs = [(t, g) for t in NAMES for g in GENES]
    pairs = [pairs[i] for i in rng.permutation(N)]
    active = rng.integers(0, 2, N).astype(float)
    active[rng.permutation(N)[:7]] = np.nan
    table = pd.DataFrame({"treatment": [p[0] for p in pairs], "gene_symbol": [p[1] for p in pairs]})
    table["dose"] = rng.choice([0.25, 2.5, 10.0], N)
    table["active"] = np.where(table["treatment"] == "z", 0.0, active)
    return table


def shuffled(n: int, seed: int = 1) -> list[int]:
    return np.random.default_rng(seed).permutation(n).tolist()


def publish_v1(server: HubServer, table: pd.DataFrame, test: Any, training: Any = None, **fields: Any) -> str:
    with upstream.session():
        return server.publish_v1(v1(table, test, training, **fields))


def saved(artifact: hub.Artifact, folder: Path) -> Path:
    """A prepared folder."""
    (folder / ARTIFACT).mkdir(parents=True)
    artifact.task.save(folder)
    assert hub.save_artifact(artifact, folder / ARTIFACT, folder / ARTIFACT) == Path("benchmark.json")
    return folder


def check_scores(task: Task, client: dict[str, float | None], values: np.ndarray) -> None:
    """Ours equal the client's to 1e-12, where it gives a value."""
    ours = score(task, Predictions(values, "test")).official
    assert set(client) == set(ours) and client[task.main_metric] is not None
    for name, value in client.items():
        if value is not None:
            assert ours[name] == pytest.approx(value, abs=1e-12), name


# ---- what is read


def test_v1_from_the_hub(server: HubServer, capfd: pytest.CaptureFixture[str]) -> None:
    table, test = frame(), shuffled(N)
    with upstream.session():
        reference = server.publish_v1(v1(table, test))
    artifact = hub.open_benchmark(reference)
    task = artifact.task
    assert task.treatment == table["treatment"].iloc[test].tolist()
    assert task.gene_symbol == table["gene_symbol"].iloc[test].tolist()
    assert list(task.inputs) == ["treatment", "gene_symbol"] and task.train == {}
    np.testing.assert_array_equal(task.active, table["active"].to_numpy()[test])
    assert [m.name for m in task.metrics] == ["pr_auc_grouped", "roc_auc_grouped"]
    assert task.metrics[0] == MetricSpec(
        name="pr_auc_grouped", label="pr_auc", group_by="treatment", on_error="ignore"
    )
    assert (task.main_metric, task.source) == ("pr_auc_grouped", "hub")
    assert task.artifact_id == reference == "recursion/compound-gene"
    assert task.versions["polaris_lib"].startswith("0.13")
    assert set(server.requests.values()) == {1} and len(server.requests) == 3
    assert capfd.readouterr().out == ""


def test_training_rows_other_inputs_and_a_group_column(server: HubServer) -> None:
    table, order = frame(), shuffled(N)
    test, training = order[:50], order[50:]
    metrics = [grouped("pr_auc", group_by="dose", aggregation="median"), "roc_auc"]
    reference = publish_v1(
        server, table, test, training, metrics=metrics, main_metric="roc_auc", artifact_version=3
    )
    task = hub.open_benchmark(reference).task
    assert list(task.inputs) == ["treatment", "gene_symbol", "dose"]
    assert task.inputs["dose"] == [repr(d) for d in table["dose"].iloc[test].tolist()]
    assert list(task.train) == ["treatment", "gene_symbol", "dose", "active"]
    assert task.train["treatment"] == table["treatment"].iloc[training].tolist()
    labels = table["active"].iloc[training]
    assert task.train["active"] == ["" if np.isnan(a) else str(int(a)) for a in labels]
    assert [m.name for m in task.metrics] == ["roc_auc", "pr_auc_grouped"] and task.artifact_version == 3


@pytest.mark.parametrize("zero_shot", [True, False])
def test_v2_from_the_hub(server: HubServer, tmp_path: Path, zero_shot: bool) -> None:
    table, order = frame(), shuffled(N)
    test, training = order[:50], order[50:]
    columns = {name: table[name].to_numpy() for name in table}
    columns["treatment"] = table["treatment"].to_numpy(dtype=str)  # fixed-width text as well
    with upstream.session():
        benchmark = v2(tmp_path / "a.zarr", columns, test, training)
        reference = server.publish_v2(benchmark, training=b"" if zero_shot else None)
    if zero_shot:
        from pyroaring import BitMap

        key = next(k for k in server.files if k.endswith("training.roaring"))
        server.files[key] = BitMap().serialize()
    artifact = hub.open_benchmark(reference)
    task, test, training = artifact.task, sorted(test), sorted(training)
    assert task.treatment == table["treatment"].iloc[test].tolist()
    assert task.gene_symbol == table["gene_symbol"].iloc[test].tolist()
    np.testing.assert_array_equal(task.active, table["active"].to_numpy()[test])
    assert task.train.get("gene_symbol", []) == (
        [] if zero_shot else table["gene_symbol"].iloc[training].tolist()
    )
    assert max(server.requests.values()) == 1 and not any("/dose" in path for path in server.requests)
    values = np.random.default_rng(2).random(len(task))
    seen = len(server.log)
    folder = saved(artifact, tmp_path / "task")
    for reading in (hub.evaluate_saved(folder, values), hub.evaluate_saved(folder, values)):
        check_scores(load_task(folder), reading, values)
    again = hub.open_benchmark(str(folder / ARTIFACT / "benchmark.json"))
    assert again.task.inputs == task.inputs and again.task.source == "file benchmark.json"
    assert len(server.log) == seen
    archive = Path(artifact.specification.dataset.zarr_root_path)
    assert archive.is_dir()
    del artifact
    assert not archive.exists()


def test_a_v2_document_as_the_main_branch_of_polaris_writes_it(server: HubServer, tmp_path: Path) -> None:
    table = frame()
    columns = {name: table[name].to_numpy() for name in table}
    with upstream.session():
        reference = server.publish_v2(v2(tmp_path / "a.zarr", columns, list(range(50)), [60]))
    document = server.documents[f"/v2/benchmark/{reference}"]
    expected = hub.open_benchmark(reference).task
    urls = dict(document["split"])

    def parts() -> dict[str, Any]:
        return {k: {"filePath": url, "datapoints": 1, "md5Checksum": "0" * 32} for k, url in urls.items()}

    document["split"] = {"scaffold": parts()}
    document["nTestSets"] = 1
    found = hub.open_benchmark(reference)
    assert found.kind == "v2" and found.task.inputs == expected.inputs and found.task.train == expected.train
    np.testing.assert_array_equal(found.task.active, expected.active)
    folder = saved(found, tmp_path / "kept")
    assert hub.open_saved(folder).task.inputs == expected.inputs

    document["split"] = {"scaffold": parts(), "random": parts()}
    with pytest.raises(DataError, match=r"after 0\.13, with the splits 'random', 'scaffold'; one of"):
        hub.open_benchmark(reference)
    document["split"] = {"scaffold": {"training": parts()["training"]}}
    with pytest.raises(DataError, match=r"with the splits 'scaffold'; one of training and test"):
        hub.open_benchmark(reference)
    document["split"] = {"scaffold": {**parts(), "test": {"path": 1}}}
    with pytest.raises(UpstreamError, match=r"the test split of .* it does not lie at a web address"):
        hub.open_benchmark(reference)
    document["split"] = {"scaffold": parts()}
    for name in ("metrics", "mainMetric"):
        del document[name]
    before = len(server.log)
    with pytest.raises(DataError) as caught:
        hub.open_benchmark(reference)
    told = f"{reference} on 127.0.0.1 is a V2 benchmark in the form of polaris-lib after 0.13"
    assert str(caught.value) == f"{told}, and names no metrics: the Hub alone can score it"
    assert len(server.log) == before + 2  # nothing but the two documents was asked for
    path = folder / ARTIFACT / "benchmark.json"
    kept = json.loads(path.read_text())
    kept["splits"] = {"scaffold": kept.pop("split")}
    path.write_text(json.dumps(kept))
    with pytest.raises(DataError, match=r"benchmark.json is a V2 benchmark in the form of .*by its id"):
        hub.open_saved(folder)


def test_what_we_read_is_what_the_real_client_reads(server: HubServer, tmp_path: Path) -> None:
    table, order = frame(), shuffled(N)
    columns = {name: table[name].to_numpy() for name in table}
    with upstream.session():
        from polaris.hub.client import PolarisHubClient

        references = [
            server.publish_v1(v1(table, order[:50], order[50:])),
            server.publish_v2(v2(tmp_path / "a.zarr", columns, order[:9], order[9:13], name="Second_One")),
        ]
        with PolarisHubClient(cache_auth_token=False) as client:
            theirs = [client.get_benchmark(*reference.split("/")) for reference in references]
            for benchmark, reference in zip(theirs, references, strict=True):
                training, test = benchmark.get_train_test_split()
                test = test["test"] if isinstance(test, dict) else test
                task = hub.open_benchmark(reference).task
                for name in task.inputs:
                    assert task.inputs[name] == test.inputs[name].tolist()
                    assert task.train[name] == training.inputs[name].tolist()
                np.testing.assert_array_equal(
                    [float(a or "nan") for a in task.train["active"]], training.targets
                )


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(lambda a: a.map({0.0: "0", 1.0: "1"}), id="text"),
        pytest.param(lambda a: a.astype("Int64"), id="Int64"),
        pytest.param(lambda a: a.astype("Int64").astype("boolean"), id="boolean"),
        pytest.param(lambda a: a.fillna(0).astype(bool), id="bool"),
        pytest.param(lambda a: a.fillna(1).astype("int8"), id="int8"),
        pytest.param(lambda a: a.map({0.0: "0.0", 1.0: "1.0"}).astype("category"), id="category"),
    ],
)
def test_targets_the_client_cannot_use(server: HubServer, tmp_path: Path, target: Any) -> None:
    table = frame()
    reference = publish_v1(server, table, shuffled(N))
    table["active"] = converted = target(table["active"])
    key = next(k for k in server.files if k.endswith("table.parquet"))
    table.astype({"treatment": "string"}).to_parquet(tmp_path / "t.parquet")
    server.files[key] = (tmp_path / "t.parquet").read_bytes()
    with upstream.session():
        dataset = next(d for p, d in server.documents.items() if "/dataset/" in p)
        dataset["md5Sum"] = upstream.table_checksum(pd.read_parquet(tmp_path / "t.parquet"))
        dataset["annotations"]["active"]["dtype"] = str(converted.dtype)
    next(d for p, d in server.documents.items() if "/benchmark/" in p)["md5Sum"] = None
    artifact = hub.open_benchmark(reference)
    expected = (
        converted.astype(object).map(lambda v: np.nan if pd.isna(v) else float(v)).to_numpy(dtype=float)
    )
    np.testing.assert_array_equal(artifact.task.active, expected[shuffled(N)])
    values = np.random.default_rng(3).random(N)
    check_scores(artifact.task, hub.evaluate_saved(saved(artifact, tmp_path / "task"), values), values)


@pytest.mark.parametrize("bad", [2.0, -1.0, 0.5, "yes", "True"])
def test_a_label_that_is_none(server: HubServer, bad: Any) -> None:
    table = frame()
    if isinstance(bad, str):
        table["active"] = table["active"].map({0.0: "0", 1.0: "1"}).astype(object)
    table.loc[11, "active"] = bad
    reference = publish_v1(server, table, shuffled(N))
    with pytest.raises(DataError, match=r"row 12: the label is .*1, 0 or nothing"):
        hub.open_benchmark(reference)


def test_nulls_numbers_and_bytes_as_text(
    server: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gene = np.array([b"A", "µ".encode(), b"C ", b"", b"E", b"F"], dtype="S4")
    columns = {
        "treatment": ["a", "a", "a", "b", "b", "b"],
        "gene_symbol": gene,
        "active": np.array([0, 1, 0, 1, 1, 0], dtype="int8"),
    }
    with upstream.session():
        reference = server.publish_v2(v2(tmp_path / "a.zarr", columns, [0, 1, 2, 3, 4], [5]))
    assert hub.open_benchmark(reference).task.gene_symbol == ["A", "µ", "C ", "", "E"]
    table = pd.DataFrame({"treatment": [1, 2, 2], "gene_symbol": ["x", None, ""], "active": [1, 0, 1]})
    task = hub.open_benchmark(publish_v1(server, table, [2, 1, 0])).task
    assert task.inputs == {"treatment": ["2", "2", "1"], "gene_symbol": ["", "", "x"]}
    assert "no value" not in caplog.text
    table["treatment"] = ["a", None, "a"]
    assert hub.open_benchmark(publish_v1(server, table, [2, 1, 0])).task.treatment == ["a", "", "a"]
    assert "treatment has no value in some test pairs" in caplog.text


# ---- what is not supported


@pytest.mark.parametrize("label", ["test", "holdout"])
def test_one_test_set_of_any_name(server: HubServer, tmp_path: Path, label: str) -> None:
    artifact = hub.open_benchmark(publish_v1(server, frame(), {label: shuffled(N)}))
    values = np.random.default_rng(4).random(N)
    folder = saved(artifact, tmp_path / "task")
    check_scores(artifact.task, hub.evaluate_saved(folder, values), values)


def test_shapes_that_are_not_supported(server: HubServer) -> None:
    two = publish_v1(server, frame(), {"a": [0, 1], "b": [2, 3]})
    with pytest.raises(DataError, match="2 test sets \\('a', 'b'\\); exactly one"):
        hub.open_benchmark(two)
    inputs = publish_v1(server, frame(), [0, 1], input_cols=["treatment", "dose"], name="No_Genes")
    with pytest.raises(DataError, match="gene_symbol are expected; it has 'dose', 'treatment'"):
        hub.open_benchmark(inputs)
    document = next(d for p, d in server.documents.items() if p.endswith("/benchmark/recursion/no-genes"))
    document["targetCols"] = ["active", "dose"]
    with pytest.raises(DataError, match="several targets"):
        hub.open_benchmark(inputs)


def test_a_table_that_points_into_an_archive(server: HubServer, tmp_path: Path) -> None:
    reference = publish_v1(server, frame(), shuffled(N))
    dataset = next(d for p, d in server.documents.items() if "/dataset/" in p)
    dataset["extension"] = f"{server.url}/storage/never-asked-for.zarr"
    dataset["annotations"]["dose"]["isPointer"] = True
    artifact = hub.open_benchmark(reference)
    values = np.random.default_rng(7).random(N)
    check_scores(artifact.task, hub.evaluate_saved(saved(artifact, tmp_path / "task"), values), values)
    dataset["annotations"]["treatment"]["isPointer"] = True
    with pytest.raises(DataError, match="'treatment' points into an archive; that is not supported"):
        hub.open_benchmark(reference)


# ---- files


@pytest.fixture
def made(tmp_path: Path) -> tuple[hub.Artifact, Path]:
    table = frame()
    task = Task(
        inputs={name: table[name].tolist() for name in ("treatment", "gene_symbol")},
        active=table["active"].to_numpy(),
        main_metric="pr_auc",
        metrics=(
            MetricSpec(name="pr_auc", label="pr_auc", group_by="treatment", on_error="ignore"),
            MetricSpec(
                name="middle", label="pr_auc", group_by="treatment", aggregation="median", on_error="ignore"
            ),
            MetricSpec(name="pooled", label="roc_auc"),
        ),
        source="made",
    )
    artifact = hub.make_benchmark(task, name="seed-0_test", description="Made")
    return artifact, saved(artifact, tmp_path / "task")


def test_a_made_benchmark_is_a_polaris_one(made: tuple[hub.Artifact, Path]) -> None:
    artifact, folder = made
    assert artifact.task.artifact_id == "local/seed-0-test" and artifact.task.source == "made"
    values = np.random.default_rng(5).random(N)
    ours = hub.evaluate_saved(folder, values)
    assert list(ours) == ["pr_auc", "middle", "pooled"] and None not in ours.values()
    check_scores(load_task(folder), ours, values)
    with upstream.session() as polaris:
        benchmark = polaris.load_benchmark(str(folder / ARTIFACT / "benchmark.json"))
        results = benchmark.evaluate(y_prob=values).results
    assert dict(zip(results["Metric"], results["Score"], strict=True)) == pytest.approx(ours, abs=1e-12)
    opened = hub.open_benchmark(str(folder / ARTIFACT / "benchmark.json")).task
    assert opened.inputs == artifact.task.inputs and opened.metrics[0] == artifact.task.metrics[0]
    assert {m.name: m for m in opened.metrics} == {m.name: m for m in artifact.task.metrics}


def test_what_is_saved_for_another_place_is_valid_there(
    made: tuple[hub.Artifact, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "out.tmp"
    folder.mkdir()
    hub.save_artifact(made[0], folder, tmp_path / "out")
    folder.rename(tmp_path / "out")
    with upstream.session() as polaris:
        benchmark = polaris.load_benchmark(str(tmp_path / "out" / "benchmark.json"))
    assert benchmark.artifact_id == "local/seed-0-test"
    assert not re.search(r"\.tmp", (tmp_path / "out" / "benchmark.json").read_text())


def test_a_moved_or_copied_folder_uses_its_own_files(made: tuple[hub.Artifact, Path], tmp_path: Path) -> None:
    _, folder = made
    values = np.random.default_rng(6).random(N)
    expected = hub.evaluate_saved(folder, values)
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    (folder / ARTIFACT / "table.parquet").write_bytes(b"another")
    assert hub.evaluate_saved(copied, values) == expected
    shutil.rmtree(folder)
    assert hub.evaluate_saved(copied, values) == expected


def test_files_that_are_damaged(made: tuple[hub.Artifact, Path], tmp_path: Path) -> None:
    _, folder = made
    path = folder / ARTIFACT / "benchmark.json"
    table, dataset = path.with_name("table.parquet"), path.with_name("dataset.json")
    good = {p: p.read_bytes() for p in (path, table, dataset)}

    def told(match: str) -> None:
        with pytest.raises(DataError, match=match):
            hub.open_benchmark(str(path))
        for file, content in good.items():
            file.write_bytes(content)

    table.write_bytes(good[table][:-100])
    told("broken parquet file")
    pd.read_parquet(table).assign(active=1.0).to_parquet(table)
    told("its checksum is .* was stated; it is damaged or changed")
    table.unlink()
    told(r"table\.parquet: no such file")
    dataset.write_text("{")
    told(r"dataset\.json: not JSON")
    path.write_text('["a"]')
    told("not a saved Polaris benchmark")
    path.write_text("{}")
    told("not a saved Polaris benchmark")
    said = json.loads(good[path])
    path.write_text(json.dumps({**said, "split": [[], {"test": list(range(5))}]}))
    told("the benchmark's checksum is .*split were changed or damaged")
    path.write_text(json.dumps({**said, "split": [[], {"test": [0, N]}]}))
    told(f"the split names row {N} of a dataset of {N} rows")
    path.write_text(json.dumps({**said, "version": 3}))
    told("version 3 .* is not known")
    path.write_text(json.dumps({**said, "main_metric": "nothing"}))
    told("polaris-lib does not accept it")
    path.write_text(json.dumps({**said, "version": 2}))
    told("saves a V2 benchmark without its split")
    with pytest.raises(DataError, match="5 predictions for the 72 test pairs"):
        hub.evaluate_saved(folder, np.zeros(5))
    path.unlink()
    with pytest.raises(DataError, match="prepare it again with --force"):
        hub.evaluate_saved(folder, np.zeros(N))


def test_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.d").mkdir()
    for reference, match in {
        "no/such.json": "no/such.json: no such file",
        "name": "neither a Hub id",
        "a/b/c": "no such file",
        "../x?y/z": "no such file",
        "folder.d": "is a folder",
    }.items():
        with pytest.raises(DataError, match=match.replace("?", "\\?")):
            hub.open_benchmark(reference)


def test_names_polaris_does_not_take(made: tuple[hub.Artifact, Path]) -> None:
    task = made[0].task
    for name in ("abc", "a" * 65, "with space", "----", "µµµµ"):
        with pytest.raises(UsageError, match="no Polaris name"):
            hub.make_benchmark(task, name=name, description="")
    with pytest.raises(DataError, match="no local labels"):
        hub.make_benchmark(replace(task, active=None), name="good-name", description="")


# ---- faults


def test_missing_artifacts_are_called_by_their_name(server: HubServer) -> None:
    with pytest.raises(UpstreamError, match=r"127\.0\.0\.1: there is no benchmark no/such \(404\)"):
        hub.open_benchmark("no/such")
    reference = publish_v1(server, frame(), shuffled(N))
    for path in [p for p in server.documents if "/dataset/" in p]:
        del server.documents[path]
    with pytest.raises(
        UpstreamError, match=r"compound-gene is there, but not its dataset 'recursion/Some_Data'"
    ):
        hub.open_benchmark(reference)


FAULTS: dict[str, tuple[Fault, str]] = {
    "refused": (Fault("compound-gene", status=401), r"access was refused \(401 Unauthorized\); only public"),
    "forbidden table": (Fault("parquet", status=403), r"the table of .* refused \(403 Forbidden\)"),
    "server error": (
        Fault("compound-gene", status=500),
        "the answer was 500 Internal Server Error; try again",
    ),
    "unavailable": (Fault("compound-gene", status=503), "the answer was 503"),
    "busy for long": (Fault("compound-gene", status=429, headers={"Retry-After": "3600"}), "was 429"),
    "web page": (
        Fault("compound-gene", body=b"<!doctype html><p>Log in"),
        r'a web page came instead \(200 OK, application/json, "Log in"\); is a proxy',
    ),
    "cut JSON": (Fault("Some_Data", cut=40), r'Some_Data .*broken JSON came \("{"'),
    "empty": (Fault("compound-gene", body=b""), "an empty answer came; is a proxy"),
    "another object": (
        Fault("compound-gene", body=b'{"message": "hi"}'),
        "is not a Polaris artifact: no usable",
    ),
    "a page for the table": (
        Fault("table.parquet", body=b"<!DOCTYPE HTML><title>Guest\x1b[1m wifi</title><script>x</script>"),
        r'the table of .*a web page came instead \(200 OK, application/octet-stream, "Guest wifi"\)',
    ),
    "a page of another kind": (
        Fault("table.parquet", body=b"Sign in", headers={"Content-Type": "text/html; charset=utf-8"}),
        r'a web page came instead \(200 OK, .*"Sign in"\)',
    ),
    "other JSON": (Fault("compound-gene", body=b"[1]"), "JSON of another kind"),
    "reset": (Fault("compound-gene", reset=True), "the connection broke off 3 times"),
    "short": (Fault("parquet", short=100), "the connection broke off 3 times"),
    "slow": (Fault("compound-gene", delay=3.0), "no answer within 1 s; try again later"),
    "cut parquet": (Fault("parquet", cut=500), "the table of .*broken parquet file"),
    "no table": (Fault("parquet", status=404), r"is not there \(404\)"),
    "no artifact": (Fault("compound-gene", body=b"{}"), "is not a Polaris artifact"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults(server: HubServer, case: str, capfd: pytest.CaptureFixture[str]) -> None:
    reference = publish_v1(server, frame(), shuffled(N))
    fault, match = FAULTS[case]
    server.faults.append(fault)
    with pytest.raises(PolarisRxrxError, match=match) as caught:
        hub.open_benchmark(reference)
    message = str(caught.value)
    assert "127.0.0.1" in message and SIGNATURE not in message and "\x1b" not in message
    assert len(message) < 300 and "\n" not in message
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    "fault",
    [
        Fault("compound-gene", times=2, reset=True),
        Fault("parquet", times=1, short=10),
        Fault("Some_Data", times=2, status=502),
        Fault("Some_Data", times=1, status=429, headers={"Retry-After": "1"}),
        Fault("Some_Data", times=1, status=503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    ],
    ids=lambda fault: f"{fault.path}-{fault.status}",
)
def test_a_passing_fault_is_ridden_out(server: HubServer, fault: Fault) -> None:
    reference = publish_v1(server, frame(), shuffled(N))
    server.faults.append(fault)
    assert len(hub.open_benchmark(reference).task) == N


def test_nothing_listens(monkeypatch: pytest.MonkeyPatch, server: HubServer) -> None:
    with HubServer() as other:
        closed = other.url
    monkeypatch.setenv("POLARIS_HUB_URL", closed.replace("//", "//user:pa55word@"))
    with pytest.raises(UpstreamError, match=r"no connection .*check the network, the proxy") as caught:
        hub.open_benchmark("recursion/x")
    assert "pa55word" not in str(caught.value)
    monkeypatch.setenv("POLARIS_HUB_URL", "pa55word")
    with pytest.raises(UsageError, match="variable POLARIS_HUB_URL is not what") as misuse:
        hub.open_benchmark("recursion/x")
    assert "pa55word" not in str(misuse.value)
    monkeypatch.setenv("POLARIS_HUB_URL", closed)
    monkeypatch.setenv("POLARIS_DEFAULT_TIMEOUT", "soon")
    with pytest.raises(UsageError, match="variable POLARIS_DEFAULT_TIMEOUT is not what"):
        hub.open_benchmark("recursion/x")
    monkeypatch.setenv("POLARIS_DEFAULT_TIMEOUT", "[1, 1]")
    monkeypatch.setenv("POLARIS_CA_BUNDLE", "no/such.pem")
    with pytest.raises(
        NetworkError, match=r"POLARIS_CA_BUNDLE \(no/such.pem\) is no file of certificates: no such"
    ):
        hub.open_benchmark("recursion/x")


def test_wrong_checksums(server: HubServer, caplog: pytest.LogCaptureFixture) -> None:
    reference = publish_v1(server, frame(), shuffled(N))
    benchmark = next(d for p, d in server.documents.items() if "/benchmark/" in p)
    dataset = next(d for p, d in server.documents.items() if "/dataset/" in p)
    good, benchmark["md5Sum"] = benchmark["md5Sum"], "0" * 32
    with pytest.raises(DataError, match="the benchmark's checksum is"):
        hub.open_benchmark(reference)
    benchmark["polarisVersion"] = "0.9.1"
    hub.open_benchmark(reference)
    assert "made with polaris-lib 0.9.1, which may compute it otherwise" in caplog.text
    benchmark["md5Sum"], dataset["md5Sum"] = good, "0" * 32
    with pytest.raises(DataError, match=f"but {'0' * 32} was stated; it is damaged or changed"):
        hub.open_benchmark(reference)


def test_faults_of_an_archive(server: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = frame()
    columns = {name: table[name].to_numpy() for name in table}
    with upstream.session():
        reference = server.publish_v2(v2(tmp_path / "a.zarr", columns, list(range(50)), [60]))
    good = dict(server.files)
    prefix = "recursion/some-archive/data.zarr/"

    def told(match: str) -> None:
        with pytest.raises(DataError, match=match):
            hub.open_benchmark(reference)
        server.files = dict(good)

    del server.files[f"{prefix}.zmetadata"]
    told("no .zmetadata; a consolidated Zarr archive")
    server.files[f"{prefix}.zmetadata"] = b"{garbage"
    told("its .zmetadata is damaged")
    del server.files[f"{prefix}gene_symbol/3"]
    told("1 of 11 chunks of gene_symbol are missing")
    server.files[f"{prefix}gene_symbol/3"] = b"garbage"
    told("gene_symbol is damaged")
    server.files["recursion/compound-gene/test.roaring"] = b"garbage"
    told("polaris-lib does not accept it")
    metadata = json.loads(good[f"{prefix}.zmetadata"])
    metadata["metadata"]["treatment/.zarray"]["filters"] = [{"id": "pickle", "protocol": 5}]
    server.files[f"{prefix}.zmetadata"] = json.dumps(metadata).encode()
    told("treatment is pickled; unpickling can run any code")
    del metadata["metadata"]["treatment/.zarray"]
    server.files[f"{prefix}.zmetadata"] = json.dumps(metadata).encode()
    told("has no array 'treatment'; it has 'active', 'dose', 'gene_symbol'")
    del server.files[f"{prefix}active/0"]
    task = hub.open_benchmark(reference).task
    assert "1 chunks of active are missing and count as 0.0" in caplog.text
    assert task.active is not None and (task.active[:7] == 0).all()


def test_no_login_no_env_file_no_token(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = publish_v1(server, frame(), shuffled(N))
    (tmp_path / ".env").write_text("POLARIS_API_URL=http://127.0.0.1:9/api\nPOLARIS_PASSWORD=pa55word\n")
    monkeypatch.setenv("POLARIS_USERNAME", "someone")
    monkeypatch.setenv("POLARIS_PASSWORD", "pa55word")
    hub.open_benchmark(reference)
    for request in server.log:
        assert "authorization" not in request.headers and "pa55word" not in str(request)


def test_importing_costs_no_polaris() -> None:
    heavy = "('polaris', 'httpx', 'zarr')"
    code = f"import sys, polaris_rxrx.hub.benchmarks; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
