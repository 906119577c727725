"""Every `--json` prints what its schema says, and a schema refuses what is not so.

`LINES` has a command line for each command with `--json`, found in the commands themselves, and more for the
forms that differ: what is undefined, what is empty, what was not asked for. The data are a few wells, and the
demo's. Longer outputs are held to their schemas where they are tested (`tests.conforming`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from polaris_rxrx import cli, schemas
from polaris_rxrx.bounded import read_toml
from polaris_rxrx.cards import Card
from polaris_rxrx.cli.schema import SchemaName
from polaris_rxrx.cli.schema import command as schema_command
from polaris_rxrx.dataset.registry import KNOWN
from polaris_rxrx.dataset.sandbox_images import pictures, write_shards
from polaris_rxrx.dataset.screens import Screen
from polaris_rxrx.doctor import packages
from polaris_rxrx.documents import fields_of
from polaris_rxrx.errors import UsageError
from polaris_rxrx.hub import account, upstream
from polaris_rxrx.hub.account import Account
from polaris_rxrx.hub.card import SubmissionCard
from polaris_rxrx.hub.payloads import Payload
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.maps.store import save_map
from polaris_rxrx.metrics import METRICS
from polaris_rxrx.predictions import read_predictions
from polaris_rxrx.scoring import score
from polaris_rxrx.submission import receipt, submit
from polaris_rxrx.submission.bundle import write_bundle
from polaris_rxrx.submission.choose import Place
from polaris_rxrx.submission.submit import Ready
from polaris_rxrx.suites.drug_target import SCORED
from polaris_rxrx.suites.run import SUITES
from polaris_rxrx.task import Manifest, load_task
from polaris_rxrx.wells.memory import read_wells
from tests.conforming import conforming, parts, validator
from tests.conftest import ROOT, _make_task
from tests.runs.conftest import AFFINITIES, GUIDES, SETS
from tests.wells_factory import COLUMNS, PLAN, small

Run = Callable[..., tuple[int, str, str]]

WELLS = ("--embeddings", "embeddings.parquet", "--metadata", "metadata.csv")
MAP = ("--map", "map.parquet")
FEW = ("--resamples", "100")
TRUTH = ("--annotations", "nM.csv", "--seeds", "2", "--min-negatives", "2")
RELATED = ("--relations", "known.txt")
THRESHOLDS = ("--low", "0.1", "--high", "0.9", "--low", "0", "--high", "1")
CARD = 'name = "my-model"\nowner = "some-lab"\nsupervision = "zero-shot"\n'
SHARED = "gene_symbol,nM_value,treatment\nTP53,5,aspirin\nTP53,8,TWIN\nKRAS,1,Eugenol (no structure)\n"
SHARED += "KRAS,2,aspirin\n"
MODEL = "def embed(x):\n    return x.reshape(len(x), 6, -1)[:, :, :3].mean(axis=2)\n"

# The words before `--json`, and the exit code where it is not 0.
LINES: dict[str, list[tuple[tuple[str, ...], int]]] = {
    "audit": [(("audit", "mine.csv", *FEW), 0), (("audit", "odd.csv", "--task", "odd", *FEW), 0)],
    "compare": [(("compare", "mine.csv", "theirs.csv", *FEW), 0)],
    "dataset-check": [
        (("dataset", "check", "rxrx3-core", "--metadata", "metadata.csv", *WELLS[:2]), 0),
        (("dataset", "check", "rxrx3"), 1),
    ],
    "dataset-list": [(("dataset", "list"), 0)],
    "doctor": [(("doctor", "--offline", "--data", "wide"), 1)],
    "enrichment": [(("enrichment", "genes.txt", "--sets", "sets.tsv", *MAP), 0)],
    "evaluate": [
        (("evaluate", "drug-target", *MAP, *TRUTH), 0),
        (("evaluate", "drug-target", *MAP, *TRUTH, "--by", "gene", "--legacy"), 0),
        (("evaluate", "gene-gene", *WELLS, *RELATED, "--against", "map.parquet"), 0),
        (("evaluate", "gene-gene", *MAP, *RELATED, *THRESHOLDS), 0),
        (("evaluate", "signal", *WELLS), 0),
        (("evaluate", "signal", *WELLS, "--unexpressed", "null.txt", "--components", "3"), 0),
        (("evaluate", "clusters", *MAP, "--sets", "sets.tsv", "--min-genes", "2"), 0),
        (("evaluate", "consistency", *MAP, "--sets", "sets.tsv", "--null-size", "20"), 0),
        (
            (
                "evaluate",
                "consistency",
                *MAP,
                "--of",
                "compound",
                "--annotations",
                "shared.csv",
                "--null-size",
                "20",
            ),
            0,
        ),
        (("evaluate", "activity", *WELLS, "--null-size", "20"), 0),
    ],
    "featurize": [(("featurize", "--check", "my_model_of_schemas:embed", "--images", "images"), 0)],
    "fetch": [(("fetch", "--list"), 0), (("fetch", "--list", "--data", "nothing"), 0)],
    "leaderboard": [
        (("leaderboard", "mine.csv", "theirs.csv"), 0),
        (("leaderboard", "--submissions", "nothing"), 0),
    ],
    "neighbors": [(("neighbors", "TP53", *MAP, *RELATED, *TRUTH[:2]), 0)],
    "reproduce": [(("reproduce", "notebook", "--data", "wide"), 0)],
    "runs": [(("runs", "results"), 0), (("runs", "nothing"), 0), (("runs", "damaged"), 1)],
    "score": [(("score", "mine.csv", *FEW), 0), (("score", "odd.csv", "--task", "odd", *FEW), 0)],
    "submit": [(("submit", "mine", "--dry-run"), 0), (("submit", "mine", "--yes"), 0)],
    "targets": [(("targets", *TRUTH[:2]), 0), (("targets", *TRUTH[:2], "--active", "0.5"), 0)],
    "verify": [(("verify", "mine/bundle"), 0), (("verify", "mine/bundle", "--task", "odd"), 1)],
    "whoami": [(("whoami",), 0), (("whoami", "--offline"), 1)],
}
CASES = [
    pytest.param(name, words, code, id=" ".join(words))
    for name, lines in LINES.items()
    for words, code in lines
]


def with_json() -> set[str]:
    """The commands that have `--json`, their words joined by a dash."""

    def walk(words: tuple[str, ...], command: click.Command) -> Iterator[str]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield from walk((*words, name), inner)
        elif any("--json" in parameter.opts for parameter in command.params):
            yield "-".join(words)

    return set(walk((), cli.cli))


def test_every_command_with_json_has_a_schema_and_a_line() -> None:
    found = with_json()
    assert len(found) >= 17
    assert found == set(schemas.COMMANDS) == set(LINES)
    assert not set(schemas.COMMANDS) & set(schemas.DOCUMENTS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, demo: Path) -> Path:
    """A folder with all that the lines name."""
    root = tmp_path_factory.mktemp("lines")
    small(root, plan=(*PLAN, *GUIDES))
    for name, text in (
        ("sets.tsv", SETS),
        ("nM.csv", AFFINITIES),
        ("shared.csv", SHARED),
        ("known.txt", "a,b\nTP53,BRCA1\nKRAS,NA\n"),
        ("genes.txt", "TP53\nBRCA1\nABSENT\n"),
        ("null.txt", "KRAS\nNRAS\n"),
        ("my_model_of_schemas.py", MODEL),
    ):
        (root / name).write_text(text, "utf-8")
    saved = build_map(read_wells(root / "metadata.csv", root / "embeddings.parquet"))
    save_map(saved, root / "map.parquet")
    _wide(root / "wide")
    for name in ("nothing", "damaged", "results"):
        (root / name).mkdir()
    (root / "damaged" / "signal.json").write_text('{"schema_version": 1, "suite": ')
    shutil.copytree(demo / "task", root / "task")
    shutil.copy(demo / "openphenom.csv", root / "mine.csv")
    shutil.copy(demo / "random.csv", root / "theirs.csv")
    # Of two treatments, one without an active and one of actives alone; no gene stands in both.
    _make_task([("A", "a", 1), ("A", "b", 1), ("B", "c", 0), ("B", "d", 0)]).save(root / "odd")
    (root / "odd.csv").write_text("id,active\n0,1\n1,2\n2,3\n3,4\n")
    _submission(root / "mine", root)
    shutil.copy(root / "mine" / "bundle" / "report.json", root / "results")
    _images(root)
    return root


def _wide(folder: Path) -> None:
    """A few wells as wide as OpenPhenom's, and the truth that the published tables need."""
    folder.mkdir()
    small(folder, plan=(*PLAN, *GUIDES), width=384)
    (folder / "metadata.csv").rename(folder / "metadata_rxrx3_core.csv")
    (folder / "embeddings.parquet").rename(folder / "OpenPhenom_rxrx3_core_embeddings.parquet")
    (folder / "compound_gene_interactions.csv").write_text(AFFINITIES, "utf-8")
    (folder / "relations").mkdir()
    for file in KNOWN["relations"].files:
        (folder / file.name).write_text("a,b\nTP53,BRCA1\nKRAS,NA\n")


def _images(root: Path) -> None:
    """Images of four wells, and what is known of them."""
    wells = [f"gene-001_1_B{column:02d}" for column in range(1, 5)]
    pixels = np.random.default_rng(0).integers(1, 255, (4, 6, 8, 8)).astype(np.uint8)
    every = [p for well, of in zip(wells, pixels, strict=True) for p in pictures(well, of)]
    write_shards(root / "images", every)
    rows = [f"{w},gene-001,1,{w[-3:]},G{i},G{i}_guide_1,,,CRISPR,HUVEC\n" for i, w in enumerate(wells)]
    (root / "metadata_rxrx3_core.csv").write_text(",".join(COLUMNS) + "\n" + "".join(rows))


def _submission(folder: Path, root: Path) -> None:
    """A submission that was sent and bundled."""
    folder.mkdir()
    shutil.copy(root / "mine.csv", folder / "predictions.csv")
    (folder / "submission.toml").write_text(CARD)
    task = load_task(root / "task")
    predictions = read_predictions(folder / "predictions.csv", task)
    write_bundle(
        folder,
        predictions=folder / "predictions.csv",
        card=folder / "submission.toml",
        report=score(task, predictions).to_dict(),
        task_folder=root / "task",
        receipt=None,
    )


@pytest.fixture
def run(made: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in the folder; the Hub and its client are not asked."""
    monkeypatch.chdir(made)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(made))
    until = datetime(2030, 1, 1, tzinfo=timezone.utc)
    monkeypatch.setattr(account, "hub_address", lambda *_: "https://hub.example")
    monkeypatch.setattr(
        account,
        "whoami",
        lambda check, **_: Account("https://hub.example", "someone", "browser", until) if check else None,
    )
    monkeypatch.setattr(upstream, "require", lambda: None)
    monkeypatch.setattr(packages, "bring", lambda names: dict.fromkeys(names))
    monkeypatch.setattr(submit, "make_ready", lambda place, folder, **_: _ready(place, folder))
    monkeypatch.setattr(submit, "send", lambda ready, **_: _sent(ready))

    def call(*words: str) -> tuple[int, str, str]:
        return cli.run([*words]), *capfd.readouterr()

    return call


def _ready(place: Place, folder: Path) -> Ready:
    task = load_task(folder)
    predictions = read_predictions(place.folder / "predictions.csv", task)
    report = score(task, predictions).to_dict()
    payload = Payload("PUT", "/api/x", b'{"name": "my-model", "scores": [1, null]}')
    upload: Any = SimpleNamespace(
        kind="v2", hub="https://hub.example", payloads=(payload,), polaris_lib="0.13", model=None
    )
    scores = {"ours": report["official"], "client": report["official"]}
    return Ready(place, place.card, task, predictions, report, scores, upload, ("a warning",))


def _sent(ready: Ready) -> tuple[Path, receipt.Receipt]:
    path, _ = receipt.start(ready.place.folder, **submit._fields(ready))
    return path, receipt.finish(path, "sent", url="https://hub.example/x")


@pytest.mark.parametrize(("name", "words", "code"), CASES)
def test_what_is_printed_is_of_its_schema(name: str, words: tuple[str, ...], code: int, run: Run) -> None:
    found, out, err = run(*words, "--json")
    assert found == code, err
    document = conforming(name, out)
    n = sum(_refuses_what_is_not_so(*part) for part in parts(name, document))
    assert n > 0 or document == {}


def _refuses_what_is_not_so(checks: Any, schema: dict[str, Any], part: dict[str, Any]) -> int:
    """Without a key that is always there, with one more, or with another type: each is refused."""
    assert checks.is_valid(part)
    wrong = [{k: v for k, v in part.items() if k != key} for key in schema.get("required", ())]
    if schema.get("additionalProperties") is False:
        wrong.append({**part, "a key that nobody names": None})
        known = schema.get("properties", {})
        typed = [key for key in part if known[key].keys() & {"type", "anyOf", "$ref", "enum", "const"}]
        wrong += [{**part, key: [[["no such thing"]]]} for key in typed]
    for document in wrong:
        assert not checks.is_valid(document), document
    return len(wrong)


SMALL_CARD = {"name": "x", "title": "X"}
SCREEN: dict[str, Any] = {
    "name": "mine",
    "title": "Ours",
    "licence": "none",
    "wells": {"file": "wells.csv", "id": ["plate", "well"], "batch": "run"},
    "sides": [{"type": "CRISPR", "name": "symbol"}],
    "controls": {"columns": "kind", "negative": ["negcon"]},
}
SUBMISSION = {"name": "my-model", "owner": "some-lab", "supervision": "zero-shot"}
METRIC = {"name": "pr_auc", "label": "pr_auc"}
TASK = {
    "artifact_id": None,
    "artifact_version": 1,
    "source": "here",
    "inputs": ["treatment"],
    "main_metric": "pr_auc",
    "metrics": [METRIC],
    "counts": {"test": 1},
    "versions": {},
}
SHA256 = "0" * 64
RECEIPT = {
    "created": "2026-01-01T00:00:00+00:00",
    "updated": "2026-01-01T00:00:00+00:00",
    **dict.fromkeys(("name", "owner", "hub", "task"), "x"),
    "kind": "v2",
    **{f"{key}_sha256": SHA256 for key in ("task", "predictions", "values", "payload")},
}
# Model, what it needs, changes that are right, changes that are wrong; None takes the key away.
READ: dict[str, tuple[type[BaseModel], dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]] = {
    "baseline-card": (
        Card,
        SMALL_CARD,
        [
            {"recipe": {"align": ["tvn"], "components": 0.9, "controls": "A"}},
            {"recipe": {"align": "tvn", "correct": ["well-position"], "dose": 2.5}},
            {"source": {"width": 384}, "kind": "profile"},
            {"published": [{"protocol": "p", "metric": "m", "value": 0.5, "source": "s"}]},
        ],
        [
            {"title": None},
            {"colour": "red"},
            {"name": "Bad Name"},
            {"kind": "picture"},
            {"recipe": {"align": ["tvn", "none"]}},
            {"recipe": {"align": "best"}},
            {"recipe": {"components": 0}},
            {"recipe": {"dose": "least"}},
            {"recipe": {"controls": [""]}},
            {"source": {"width": 0}},
            {"published": [{"protocol": "p", "metric": "m", "source": "s"}]},
        ],
    ),
    "dataset-card": (
        Screen,
        SCREEN,
        [
            {"files": [{"name": "wells.csv", "sha256": SHA256, "url": "https://x.example/a"}]},
            {"wells": {"file": "w.csv", "id": "well", "batch": ["run"], "where": {"pass": "yes"}}},
            {"joins": [{"file": "b.csv", "on": "reagent", "keep": "matched"}]},
        ],
        [
            {"wells": None},
            {"sides": []},
            {"sides": [{"type": "RNA", "name": "symbol"}]},
            {"sides": [{"type": "CRISPR", "name": []}]},
            {"wells": {"file": "wells.csv", "id": 1, "batch": "run"}},
            {"controls": {"columns": "kind", "negative": []}},
            {"files": [{"name": "wells.csv", "url": "http://x.example/a"}]},
            {"files": [{"name": "wells.csv", "sha256": "0"}]},
            {"profiles": {"pattern": "a.parquet", "root": "https://x.example"}},
        ],
    ),
    "submission-card": (
        SubmissionCard,
        SUBMISSION,
        [
            {"user_attributes": {"aligner": "tvn"}, "tags": ["one"], "model": {"name": "The_Model"}},
            {"code_url": "https://x.example/a", "compute": "a laptop"},
        ],
        [
            {"owner": None},
            {"owner": "Some Lab"},
            {"name": "abc"},
            {"supervision": "some"},
            {"user_attributes": {"seed": 1}},
            {"compute": "x" * 501},
            {"contributors": ["a b c d"]},
            {"colour": "red"},
        ],
    ),
    "task": (
        Manifest,
        TASK,
        [
            {"artifact_type": "competition"},
            {"protocol": {"any": ["thing"]}},
            {"written by": "another version"},
        ],
        [
            {"source": None},
            {"schema_version": 2},
            {"metrics": [{**METRIC, "aggregation": "sum"}]},
            {"metrics": [{"name": "pr_auc"}]},
            {"counts": {"test": "many"}},
            {"inputs": "treatment"},
        ],
    ),
    "receipt": (
        receipt.Receipt,
        RECEIPT,
        [{"state": "sent", "scores": {"ours": {"pr_auc": None}}}, {"url": "https://x.example/a"}],
        [
            {"hub": None},
            {"state": "lost"},
            {"kind": "v3"},
            {"task_sha256": "0"},
            {"scores": {"ours": {"pr_auc": "high"}}},
            {"token": "secret"},
        ],
    ),
}


@pytest.mark.parametrize("name", READ)
def test_a_model_and_its_schema_take_and_refuse_the_same(name: str) -> None:
    model, least, right, wrong = READ[name]
    checks = validator(name)
    for change in ({}, *right):
        model.model_validate({**least, **change})
        assert checks.is_valid({**least, **change}), change
    for change in wrong:
        document = {k: v for k, v in {**least, **change}.items() if change.get(k, v is None) is not None}
        with pytest.raises(ValidationError):
            model.model_validate(document)
        assert not checks.is_valid(document), change


@pytest.mark.parametrize(("name", "pattern"), [("baseline-card", "baselines"), ("dataset-card", "datasets")])
def test_the_cards_that_come_along_are_of_their_schema(name: str, pattern: str) -> None:
    cards = sorted((ROOT / pattern).glob("*.toml"))
    assert len(cards) >= 4
    for path in cards:
        conforming(name, json.dumps(read_toml(path)))


def test_what_is_written_is_of_its_schema(made: Path, tmp_path: Path) -> None:
    """The files of a prepared folder and of a bundle, and a receipt as it begins."""
    bundle = made / "mine" / "bundle"
    for name, path in (
        ("task", made / "task" / "task.json"),
        ("task", bundle / "task.json"),
        ("report", bundle / "report.json"),
        ("environment", bundle / "environment.json"),
    ):
        conforming(name, path.read_text("utf-8"))
    fields = {k: v for k, v in RECEIPT.items() if k not in ("created", "updated")}
    path, _ = receipt.start(tmp_path, **fields, scores={"ours": {"pr_auc": None}}, say=lambda _: None)
    conforming("receipt", path.read_text("utf-8"))
    conforming("submission-card", json.dumps(read_toml(bundle / "submission.toml")))
    competition = replace(load_task(made / "task"), active=None)
    predictions = read_predictions(made / "mine.csv", competition)
    conforming("report", json.dumps(submit._unscored(competition, predictions)))


def test_results_of_every_suite_have_a_schema() -> None:
    named = set(schemas.schema_of("evaluate")["properties"])
    assert named == {*SUITES, "replicate-consistency"}
    held = schemas.schema_of("result")
    suites = [
        held["$defs"][one["$ref"].removeprefix("#/$defs/")]["properties"]["suite"] for one in held["anyOf"]
    ]
    assert {of["const"] for of in suites} == {*named, "neighbors", "enrichment"}


def test_every_metric_is_in_the_reports() -> None:
    for key in METRICS:
        wanted = {key, f"{key}_median", f"n_scored_{key}"}
        assert wanted <= set(schemas.schema_of("score")["required"])
        for name, of in (("score", "UncertaintyDocument"), ("leaderboard", "LocalRowDocument")):
            assert key in schemas.schema_of(name)["$defs"][of]["required"]
    assert set(SCORED) <= set(schemas.schema_of("evaluate")["$defs"]["DoseFigures"]["required"])


def test_schemas_say_what_they_are_of() -> None:
    """Each has an id of its own, and a description of itself and of what is not plain."""
    ids = set()
    for name, told in schemas.names().items():
        schema = schemas.schema_of(name)
        ids.add(schema["$id"])
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["description"] and told.endswith(".")
    assert len(ids) == len(schemas.names()) and "urn:polaris-rxrx:schema:task:1" in ids
    rows = schemas.schema_of("runs")["$defs"]["Row"]
    assert rows["properties"]["time"]["description"] == "Of the file, ISO 8601 in UTC."
    assert "default" not in rows["properties"]["synthetic"] and "synthetic" in rows["required"]
    trial = schemas.schema_of("featurize")
    assert trial["properties"]["peak_memory"]["description"] == "Bytes."
    assert trial["description"].startswith(
        "What a featurizer did with a few wells; null is what was not measured."
    )
    study = schemas.schema_of("evaluate")["$defs"]["SignalProtocol"]["properties"]
    assert study["renamed"]["description"].startswith("File -> what stands there"), (
        "of a type that it stands on"
    )


def test_a_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["schema", "task"]) == 0
    assert json.loads(capsys.readouterr().out) == schemas.schema_of("task")
    assert cli.run(["schema"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in schemas.names())
    assert cli.run(["schema", "tasks"]) == 2
    assert "no schema 'tasks'; there are baseline-card, dataset-card," in capsys.readouterr().err
    with pytest.raises(UsageError, match="no schema 'tasks'"):
        schemas.schema_of("tasks")
    context, parameter = click.Context(schema_command), schema_command.params[0]
    found = SchemaName().shell_complete(context, parameter, "data")
    assert [item.value for item in found] == ["dataset-card", "dataset-check", "dataset-list"]


@dataclass(frozen=True)
class Inner:
    names: tuple[str, ...]


@dataclass(frozen=True)
class Outer:
    inner: Inner
    several: tuple[Inner, ...]
    by_name: dict[str, tuple[int, int]]


def test_the_document_of_a_dataclass_holds_json_s_own_types() -> None:
    found = fields_of(Outer(Inner(("a",)), (Inner(()),), {"x": (1, 2)}))
    assert found == {"inner": {"names": ["a"]}, "several": [{"names": []}], "by_name": {"x": [1, 2]}}
    assert json.loads(json.dumps(found)) == found
