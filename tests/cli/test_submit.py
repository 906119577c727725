"""`polaris-rxrx submit`: whole ways, what is refused beforehand, every fault, a process killed at each step.

The client is the real one, the Hub a loopback server. Every test ends by looking for secrets in all that was
printed and written.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.cli import run
from polaris_rxrx.errors import PolarisRxrxError
from polaris_rxrx.hub import files as hub_files
from polaris_rxrx.hub import upstream
from polaris_rxrx.hub.artifact import Artifact
from polaris_rxrx.submission.receipt import read_receipts
from polaris_rxrx.task import load_task
from tests.conforming import conforming
from tests.servers.hub import Fault, HubServer, v1, v2
from tests.servers.uploads import MODELS, PREDICTION, RESULT, Uploads, competition
from tests.warm import Process, Warm

NAMES = ["NA", "Dactolisib (BEZ235", "Eugenol (no structure)", "µ-é", "a, b"]
GENES = ["TP53", "NA", "MARCH1", "x,y"]
KINDS = ("v1", "v2", "competition")
PATHS = {"v1": RESULT, "v2": RESULT, "competition": PREDICTION}
CARDS = {
    "v1": 'code_url = "https://example.org/code"\npaper_url = "https://example.org/paper?v=1"\n',
    "v2": '[model]\nname = "The_Model"\ncode_url = "https://example.org/code"\nreadme = "Ünïcode"\n',
    "competition": 'report_url = "https://example.org/report"\n',
}


def table() -> pd.DataFrame:
    """Every name with every gene; two of four are active."""
    rng = np.random.default_rng(0)
    rows = [
        (t, g, float(a)) for t in NAMES for g, a in zip(GENES, rng.permutation([0, 0, 1, 1]), strict=True)
    ]
    return pd.DataFrame(rows, columns=["treatment", "gene_symbol", "active"])


@dataclass
class World:
    """What is published, and the prepared folder of each kind."""

    documents: dict[str, Any]
    tasks: dict[str, Path]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("world")
    frame = table()
    columns = {name: frame[name].to_numpy() for name in frame}
    order = np.random.default_rng(1).permutation(len(frame)).tolist()
    test = np.random.default_rng(2).permutation(16).tolist()  # four treatments whole, the fifth for training
    with pytest.MonkeyPatch.context() as patch, HubServer() as server:
        patch.setenv("POLARIS_HUB_URL", server.url)
        uploads = Uploads(server, server.accounts.who)
        with upstream.session():
            names = {
                "v1": server.publish_v1(v1(frame, order)),
                "v2": server.publish_v2(
                    v2(root / "a.zarr", columns, test, [16, 17, 18, 19], name="Second_One")
                ),
                "competition": uploads.publish(competition(root / "c.zarr", columns, test, [16, 17, 18, 19])),
            }
        for kind, name in names.items():
            assert run(["prepare", name, "--out", str(root / kind)]) == 0
        yield World(server.documents, {kind: root / kind for kind in names})


@dataclass
class Hub:
    server: HubServer
    uploads: Uploads
    tasks: dict[str, Path]
    printed: list[str] = field(default_factory=list)

    def submit(self, *words: str | Path, kind: str = "v1", code: int = 0) -> str:
        """Run `submit`, check the exit code, return stdout; `printed[-1]` is stderr."""
        self.told()
        assert run(["submit", *map(str, words), "--task", str(self.tasks[kind])]) == code, self.told()
        out = self.told()
        if "--json" in words and out:
            conforming("submit", out)
        return out

    def told(self) -> str:
        out, err = self._capture.readouterr()
        self.printed += [out, err]
        return out

    _capture: Any = None
    warm: Warm | None = None


@pytest.fixture(scope="module")
def client_scores() -> Callable[[Artifact, Any], dict[str, float | None]]:
    """What the client itself says of the same predictions of the same task, which it is asked once."""
    said: dict[Any, dict[str, float | None]] = {}
    ask = Artifact.client_scores

    def scores(artifact: Artifact, values: Any) -> dict[str, float | None]:
        task = artifact.task
        assert task.active is not None
        pairs = tuple(map(tuple, task.inputs.values())), task.active.tobytes()
        asked = artifact.kind, task.metrics, pairs, np.asarray(values).tobytes(), upstream.evaluate
        if asked not in said:
            said[asked] = ask(artifact, values)
        return dict(said[asked])

    return scores


@pytest.fixture
def hub(
    world: World,
    client_scores: Any,
    warm: Warm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Hub]:
    """A new Hub where somebody may log in, in an empty working directory; at the end, no secret anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub_files, "pause", lambda seconds: None)
    monkeypatch.setattr(Artifact, "client_scores", client_scores)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HubServer() as server:
        server.documents.update(world.documents)
        settings = {**server.accounts.environment(server.url), **server.accounts.credentials()}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("POLARIS_DEFAULT_TIMEOUT", "[2, 1]")
        hub = Hub(server, Uploads(server, server.accounts.who), world.tasks)
        hub._capture, hub.warm = capfd, warm
        yield hub
    hub.told()
    written = [
        p.read_bytes().decode(errors="replace")
        for p in tmp_path.rglob("*")
        if p.is_file() and p.suffix != ".gz"
    ]
    for text in (*hub.printed, caplog.text, *written):
        assert "\x1b" not in text and "Traceback" not in text
        for secret in {*server.accounts.secrets, "canary"}:
            assert secret not in text


def prepare(kind: str = "v1", name: str = "my-model", hub: Hub | None = None, seed: int = 0) -> Path:
    """A submission's folder with a random prediction."""
    folder = Path("submissions") / name
    folder.mkdir(parents=True)
    common = (
        f'name = "{name}"\nowner = "ada-lab"\ndescription = "Made at random"\nsupervision = "zero-shot"\n'
    )
    (folder / "submission.toml").write_text(common + CARDS[kind], encoding="utf-8")
    assert hub is not None
    (folder / "predictions.csv").write_bytes(drawn(hub.tasks[kind], seed))
    return folder


@cache  # whoever asks sends the same file; only the first one has to be made
def drawn(task: Path, seed: int) -> bytes:
    """The random baseline's file."""
    path = Path("drawn.csv").absolute()
    assert run(["baseline", "random", "--task", str(task), "--seed", str(seed), "--out", str(path)]) == 0
    made = path.read_bytes()
    path.unlink()
    return made


def states(folder: Path) -> list[str]:
    return [receipt.state for _, receipt in read_receipts(folder)]


# ---- whole ways


@pytest.mark.parametrize("kind", KINDS)
def test_from_prepare_to_verify(kind: str, hub: Hub) -> None:
    folder = prepare(kind, hub=hub)
    task = str(hub.tasks[kind])
    scored = run(["score", str(folder / "predictions.csv"), "--task", task])
    assert scored == (1 if kind == "competition" else 0)
    if scored:
        hub.told()
        assert "its labels stay on the Hub" in hub.printed[-1]
    dry = hub.submit(folder, "--dry-run", kind=kind)
    assert hub.server.log == [] and not (folder / "receipts").exists()
    lines = dry.splitlines()[-4 if kind == "v2" else -2 :]
    requests = list(zip(lines[::2], lines[1::2], strict=True))
    report = json.loads(hub.submit(folder, "--dry-run", "--json", kind=kind))
    url = hub.submit(folder, "--yes", kind=kind).strip()
    assert [
        (f"{'PUT' if MODELS in p else 'POST'} {hub.server.url}{p}", b.decode()) for p, b in hub.uploads.stored
    ] == (requests)
    assert [json.loads(b) for _, b in hub.uploads.stored] == [r["body"] for r in report["requests"]]
    section = "predictions" if kind == "competition" else "results"
    assert url == f"{hub.server.url}/{section}/ada-lab/my-model"
    ((path, receipt),) = read_receipts(folder)
    assert (receipt.state, receipt.url, receipt.kind, receipt.hub) == ("sent", url, kind, hub.server.url)
    assert str(path) in hub.printed[-1]
    data = json.loads(hub.uploads.bodies(PATHS[kind])[0])
    if kind == "competition":
        values = pd.read_csv(folder / "predictions.csv", converters={"active": float})["active"].tolist()
        assert data["predictions"] == {"test": {"active": values}} and receipt.scores == {}
    else:
        ((record),) = data["results"]
        assert record["scores"] == receipt.scores["ours"]
        for name, value in receipt.scores["client"].items():
            assert abs(value - record["scores"][name]) < 1e-9
    assert data["userAttributes"] == {"supervision": "zero-shot"}
    assert run(["verify", str(folder / "bundle"), "--task", task]) == 0
    posts = hub.uploads.posts
    hub.submit(folder, "--yes", kind=kind, code=2)
    assert "were sent as 'my-model'" in hub.printed[-1] and "--force" in hub.printed[-1]
    assert hub.uploads.posts == posts
    hub.submit(folder, "--yes", "--force", kind=kind)
    assert len(hub.uploads.bodies(PATHS[kind])) == 2 and states(folder) == ["sent", "sent"]
    assert len([p for p, _ in hub.uploads.stored if MODELS in p]) == (1 if kind == "v2" else 0)


def test_a_model_the_hub_has(hub: Hub) -> None:
    folder = prepare("v2", hub=hub)
    hub.submit(folder, "--yes", kind="v2")
    text = (folder / "submission.toml").read_text()
    (folder / "submission.toml").write_text(
        text.partition("[model]")[0].replace("my-model", "another")
        + '[model]\nartifact = "ada-lab/the-model"\n'
    )
    report = json.loads(hub.submit(folder, "--yes", "--json", kind="v2"))
    assert report["state"] == "sent" and report["url"].endswith("/ada-lab/another")
    first, second = map(json.loads, hub.uploads.bodies(RESULT))
    assert first["modelArtifactId"] == second["modelArtifactId"] == "ada-lab/the-model"
    assert len(hub.uploads.stored) == 3


def test_json_archive_owner_and_a_file_with_a_card(hub: Hub, tmp_path: Path) -> None:
    folder = prepare(hub=hub)
    shutil.move(folder / "predictions.csv", "preds.csv")
    shutil.move(folder / "submission.toml", "card.toml")
    folder.rmdir()
    hub.submit("preds.csv", "--yes", code=2)
    assert "a card is needed: --card FILE" in hub.printed[-1]
    words = ["preds.csv", "--card", "card.toml", "--yes", "--json", "--bundle", "--owner", "other-lab"]
    report = json.loads(hub.submit(*words))
    assert report["owner"] == "other-lab" and report["state"] == "sent"
    assert json.loads(hub.uploads.stored[0][1])["owner"] == "other-lab"
    assert report["bundle"] == str(folder / "my-model.tar.gz") and Path(report["bundle"]).is_file()
    assert run(["verify", report["bundle"], "--task", str(hub.tasks["v1"])]) == 0
    hub.submit("preds.csv", "--card", "card.toml", "--yes", "--owner", "Other Lab", code=2)
    assert "--owner Other Lab: expected" in hub.printed[-1]


# ---- which one


def test_init(hub: Hub) -> None:
    path = Path("submissions/new-one/submission.toml")
    assert str(path) in hub.submit("--init", "new-one")
    before = path.read_bytes()
    hub.submit("--init", "new-one", code=2)
    assert "is there already" in hub.printed[-1] and path.read_bytes() == before
    hub.submit("--init", "a b", code=2)
    hub.submit("submissions/new-one", "--dry-run", code=1)
    assert "not filled in yet" in hub.printed[-1]


def test_without_an_argument(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.submit("--yes", code=2)
    assert "nothing under submissions/ is waiting" in hub.printed[-1]
    first, second = prepare(name="first", hub=hub), prepare(name="second", hub=hub, seed=1)
    hub.submit("--init", "unfilled")
    hub.submit("--yes", code=2)
    assert "submissions/first, submissions/second" in hub.printed[-1] and "unfilled" not in hub.printed[-1]
    hub.submit(first, "--yes")
    hub.submit("--yes")
    assert states(second) == ["sent"]
    hub.submit(first, code=2)
    assert "no terminal to ask on" in hub.printed[-1]
    hub.submit("submissions/absent", "--yes", code=1)
    assert "submit --init NAME" in hub.printed[-1]


def test_on_a_terminal_it_asks(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    import click

    from polaris_rxrx.cli import submit

    folder = prepare(hub=hub)
    prepare(name="another", hub=hub, seed=1)
    monkeypatch.setattr(submit.sys, "stdin", _Terminal())
    monkeypatch.setattr(submit.sys.stderr, "isatty", lambda: True, raising=False)
    asked = []
    monkeypatch.setattr(click, "prompt", lambda text, **_: asked.append(text) or 2)
    monkeypatch.setattr(click, "confirm", lambda text, **_: asked.append(text))
    hub.submit(code=1)
    assert asked == ["Which one", "Send this to 127.0.0.1?"]
    assert "nothing was sent" in hub.printed[-1] and hub.server.log == [] and states(folder) == []


class _Terminal:
    def isatty(self) -> bool:
        return True


# ---- refused beforehand


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", ["nan", "text", "reordered", "twice", "absent", "inf"])
def test_predictions_that_game_the_client(kind: str, bad: str, hub: Hub) -> None:
    folder = prepare(kind, hub=hub)
    frame = pd.read_csv(folder / "predictions.csv", keep_default_na=False, dtype=str)
    if bad in ("nan", "inf", "text"):
        frame.loc[3, "active"] = {"text": "0.5x"}.get(bad, bad)
    elif bad == "reordered":
        frame = frame.assign(id=frame["id"].to_numpy()[::-1])
    else:
        frame = frame.iloc[[0, *range(len(frame))] if bad == "twice" else range(1, len(frame))]
    frame.to_csv(folder / "predictions.csv", index=False)
    hub.submit(folder, "--yes", kind=kind, code=1)
    assert "predictions.csv" in hub.printed[-1]
    assert hub.server.log == [] and states(folder) == []


def test_what_nobody_means_to_send(hub: Hub) -> None:
    """Refused by every way of sending, and no way around; the sample as `prepare` wrote it, too."""
    for kind in KINDS:
        folder, task = prepare(kind, f"for-{kind}", hub), hub.tasks[kind]
        sample = (task / "sample_submission.csv").read_text()
        wrong = {
            "untouched sample_submission.csv": sample,
            "scores are 0.5: the submission ranks nothing": sample.replace("0.0", "0.5"),
        }
        if kind != "competition":
            wrong["the labels themselves"] = (task / "private" / "answers.csv").read_text()
        for told, text in wrong.items():
            (folder / "predictions.csv").write_text(text)
            for words in (["--yes"], ["--yes", "--force"], ["--dry-run"]):
                hub.submit(folder, *words, kind=kind, code=1)
                assert told in hub.printed[-1] and "with --force neither" in hub.printed[-1]
        assert hub.server.log == [] and states(folder) == []


def test_what_is_warned_of_is_kept(hub: Hub) -> None:
    folder, task = prepare(hub=hub), hub.tasks["v1"]
    answers = (task / "private" / "answers.csv").read_text().splitlines()[1:]
    flip = {"0": "1", "1": "0"}
    rows = [f"{i},{flip[a]}.{i}" for i, a in (line.split(",") for line in answers)]  # upside down, no ties
    (folder / "predictions.csv").write_text("\n".join(["id,active", *rows, ""]))
    report = json.loads(hub.submit(folder, "--yes", "--json"))
    ((_, receipt),) = read_receipts(folder)
    assert list(receipt.warnings) == report["warnings"] and "1 - AUROC would be 1.00" in report["warnings"][0]
    assert hub.printed[-1].count(f"Warning: {report['warnings'][0]}") == 1
    assert run(["verify", str(folder / "bundle"), "--task", str(task)]) == 0
    rows = [f"{i},{i % 2}" for i in range(len(answers))]
    (folder / "predictions.csv").write_text("\n".join(["id,active", *rows, ""]))
    assert "Scores of two values" in json.loads(hub.submit(folder, "--dry-run", "--json"))["warnings"][-1]


def test_scores_that_differ_or_are_none(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepare(hub=hub)
    real = upstream.evaluate
    for change, told in ((1e-6, "they must agree to 1e-09"), (None, "the Hub takes finite numbers only")):

        def evaluate(*args: Any, change: float | None = change) -> dict[str, float | None]:
            return {k: None if change is None else (v or 0) + change for k, v in real(*args).items()}

        monkeypatch.setattr(upstream, "evaluate", evaluate)
        hub.submit(folder, "--yes", code=1)
        assert told in hub.printed[-1]
    assert hub.server.log == [] and states(folder) == []


def test_an_artifact_made_here(hub: Hub, tmp_path: Path) -> None:
    folder = prepare(hub=hub)
    rows = [f"{t},{g},{nm}" for t in "ABC" for g, nm in (("x", 5), ("y", 50000), ("z", 50000))]
    Path("table.csv").write_text("\n".join(["treatment,gene_symbol,nM_value", *rows, ""]))
    assert run(["prepare", "--annotations", "table.csv", "--out", "made"]) == 0
    assert run(["submit", str(folder), "--task", "made", "--yes"]) == 2
    hub.told()
    assert "the Hub does not have it (its owner is `local`)" in hub.printed[-1] and hub.server.log == []


def test_another_artifact_than_the_tasks(hub: Hub, tmp_path: Path) -> None:
    folder = prepare(hub=hub)
    shutil.copytree(hub.tasks["v1"], "mixed")
    shutil.rmtree("mixed/polaris")
    shutil.copytree(hub.tasks["v2"] / "polaris", "mixed/polaris")
    assert run(["submit", str(folder), "--task", "mixed", "--yes"]) == 1
    hub.told()
    assert "is not that of task.json" in hub.printed[-1] and hub.server.log == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_for_another_kind(kind: str, hub: Hub) -> None:
    other = {"v1": "v2", "v2": "competition", "competition": "v1"}[kind]
    folder = prepare(kind, hub=hub)
    text = (folder / "submission.toml").read_text(encoding="utf-8").replace(CARDS[kind], CARDS[other])
    (folder / "submission.toml").write_text(text, encoding="utf-8")
    hub.submit(folder, "--yes", kind=kind, code=1)
    assert hub.server.log == []


def test_a_dry_run_needs_no_hub_and_no_login(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepare("v2", hub=hub)
    for name in ("POLARIS_USERNAME", "POLARIS_PASSWORD"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("POLARIS_HUB_URL", "https://nowhere.invalid")
    assert "PUT https://nowhere.invalid/api/v2/model/ada-lab/the-model" in hub.submit(
        folder, "--dry-run", kind="v2"
    )
    hub.submit(folder, "--dry-run", "--bundle", code=2)
    hub.submit(folder, "--yes", kind="v2", code=1)
    assert "polaris-rxrx login" in hub.printed[-1] and states(folder) == []


def test_a_file_of_ids_alone_is_the_same_request(hub: Hub) -> None:
    folder = prepare(hub=hub)
    path = folder / "predictions.csv"
    told = f"{path}: rows were matched by id alone, the place of a pair in test_features.csv"
    named = hub.submit(folder, "--dry-run")
    assert told not in hub.printed[-1]
    frame = pd.read_csv(path, keep_default_na=False, dtype=str).iloc[::-1]
    frame[["id", "active"]].to_csv(path, index=False)
    assert hub.submit(folder, "--dry-run") == named
    assert told in hub.printed[-1]


NOW = datetime(2030, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
WINDOWS = {  # start, end, at NOW
    "open": ("2030-01-01T00:00:00", "2030-12-31T00:00:00Z", None),
    "not yet": ("2030-05-06T07:08:10", "2031-01-01T00:00:00", "opens on 2030-05-06 07:08:10 UTC"),
    "first second": ("2030-05-06T07:08:09", "2031-01-01T00:00:00", None),
    "over": ("2020-01-01T00:00:00", "2030-05-06T07:08:09Z", "closed on 2030-05-06 07:08:09 UTC"),
    "last second": ("2020-01-01T00:00:00", "2030-05-06T07:08:10Z", None),
    "open, in another zone": ("2030-05-06T09:08:09+02:00", "2031-01-01T00:00:00+02:00", None),
    "not yet, in another zone": (
        "2030-05-06T07:08:09-01:00",
        "2031-01-01T00:00:00Z",
        "opens on 2030-05-06 08:08:09 UTC",
    ),
    "over, in another zone": (
        "2020-01-01T00:00:00Z",
        "2030-05-06T08:00:00+01:00",
        "closed on 2030-05-06 07:00:00 UTC",
    ),
}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is NOW, on a computer far from Greenwich."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return NOW if tz is not None else NOW.replace(tzinfo=None) + timedelta(hours=13)

    from polaris_rxrx.cli import prepare as prepare_command
    from polaris_rxrx.submission import submit

    monkeypatch.setattr(submit, "datetime", Clock)
    monkeypatch.setattr(prepare_command, "datetime", Clock)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("case", WINDOWS)
def test_when_a_competition_is_open(case: str, hub: Hub, tmp_path_factory: Any) -> None:
    start_time, end_time, told = WINDOWS[case]
    (path,) = (p for p in hub.server.documents if "/competition/" in p)
    document = {**hub.server.documents[path], "startTime": start_time, "endTime": end_time}
    hub.server.documents[path] = document
    task = tmp_path_factory.mktemp("competition") / "task"
    assert run(["prepare", "recursion/compound-gene-open", "--out", str(task)]) == 0
    hub.told()
    assert "The competition takes predictions from 20" in hub.printed[-1]
    assert ("submit will not send any" in hub.printed[-1]) == (told is not None)
    assert told is None or told in hub.printed[-1]
    hub.tasks = {**hub.tasks, "competition": task}
    folder = prepare("competition", hub=hub)
    asked = len(hub.server.log)
    report = json.loads(hub.submit(folder, "--dry-run", "--json", kind="competition"))
    assert report["blocked"] == (told is not None)
    assert "Open         20" in hub.printed[-1] and (told is None or told in hub.printed[-1])
    hub.submit(folder, "--yes", "--force", kind="competition", code=0 if told is None else 1)
    if told is None:
        assert states(folder) == ["sent"] and len(hub.uploads.stored) == 1
    else:
        assert f"the competition recursion/compound-gene-open {told}" in hub.printed[-1]
        assert "and it is 2030-05-06 07:08:09 UTC now" in hub.printed[-1]
        assert "Nothing was sent" in hub.printed[-1]
        assert len(hub.server.log) == asked and states(folder) == []


def test_a_competition_that_closes_while_it_asks(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from polaris_rxrx.submission import choose, submit

    folder = prepare("competition", hub=hub)
    ready = submit.make_ready(choose.locate(folder, None), hub.tasks["competition"], say=print)
    answers = iter([None, "the competition closed meanwhile"])
    monkeypatch.setattr(submit, "closed", lambda ready: next(answers))
    with pytest.raises(PolarisRxrxError, match="closed meanwhile"):
        submit.send(ready, force=False, env_file=None, ask=lambda question: True, say=print)
    assert hub.server.log == [] and states(folder) == []


# ---- every fault


@dataclass
class Case:
    """One fault of the upload's own request: what is said, how it ends, how often it was asked and stored."""

    faults: list[Fault]
    told: str
    state: str = "refused"
    posts: int = 1
    stored: int = 0
    code: int = 1


def fault(**fields: Any) -> Fault:
    return Fault(**{"path": RESULT, "method": "POST", **fields})


ECHO = b'{"message": "bad \\u001b[31mname\\u001b[0m", "password": "canary-pa55"}'
HTML, JSON = {"Content-Type": "text/html; charset=utf-8"}, {"Content-Type": "application/json"}
PAGE = {"Content-Location": "/results/ada-lab/my-model"}
PORTAL = (
    b"<!doctype html><html><head><title>Hotel WiFi</title><style>p { color: canary }</style><script>canary()"
    b"</script></head>\n<body><p title='canary'>Log in &amp; enjoy\x1b[31m</body></html>"
)
CASES = {
    "401 then good": Case([fault(times=1, status=401)], "logging in again", "sent", 2, 1, 0),
    "401": Case([fault(status=401)], "401 Unauthorized. Log in again: polaris-rxrx login", posts=2),
    "403": Case(
        [fault(status=403, body=b'{"message": "not yours"}')], "403 Forbidden: not yours. Is the owner"
    ),
    "404": Case([fault(status=404)], "404 Not Found. Does the Hub still have this benchmark"),
    "409": Case([fault(status=409)], "409 Conflict. Something of this name is there already"),
    "413": Case(
        [fault(status=413)], "413 Request Entity Too Large. It is too large|413 Content Too Large. It is"
    ),
    "422": Case([fault(status=422, body=ECHO)], '422 Unprocessable .*"bad name".*Correct the card'),
    "429 then good": Case(
        [fault(times=2, status=429, headers={"Retry-After": "7"})],
        r"429 Too Many Requests; trying again in 7 s \(3 of 3\)",
        "sent",
        3,
        1,
        0,
    ),
    "429": Case([fault(status=429)], "429 Too Many Requests. Submit again later", posts=3),
    "429 for long": Case([fault(status=429, headers={"Retry-After": "3600"})], r"Submit again in 3,600 s"),
    "500": Case([fault(status=500)], "may or may not be stored: the answer was 500", "unknown"),
    "500 after storing": Case(
        [fault(status=500, late=True)], "may or may not be stored", "unknown", stored=1
    ),
    "502": Case([fault(status=502, body=b"<html>canary")], "502 Bad Gateway: a web page. Look", "unknown"),
    "408": Case([fault(status=408)], "may or may not be stored: the answer was 408", "unknown"),
    "reset before storing": Case([fault(reset=True)], "the connection broke off", "unknown"),
    "reset after storing": Case(
        [fault(reset=True, late=True)], "the connection broke off", "unknown", stored=1
    ),
    "timeout": Case([fault(delay=1.6, late=True)], r"there was no answer within 1 s", "unknown", stored=1),
    "redirect": Case(
        [fault(status=308, headers={"Location": "https://elsewhere.example/api/v2/result?t=canary"})],
        "308 Permanent Redirect, which leads to elsewhere.example. Is POLARIS_HUB_URL",
    ),
    "see other": Case([fault(status=303, headers={"Location": "/x"})], "may or may not be stored", "unknown"),
    "cut refusal": Case([fault(status=422, body=b"x" * 99, short=9)], "nothing was stored.*422"),
    "cut JSON": Case(
        [fault(late=True, cut=3)],
        r'is not the Hub\'s: it was not JSON as the Hub sends it \(201 Created, application/json, "{"i"',
        "unknown",
        stored=1,
    ),
    "short answer": Case(
        [fault(late=True, short=3)],
        r"the answer broke off \(201 Created, application/json, cut off",
        "unknown",
        stored=1,
    ),
    "captive portal": Case(
        [fault(status=200, body=PORTAL, headers=HTML)],
        r'it was a web page \(200 OK, text/html, "Hotel WiFi Log in & enjoy"\)\. Is a proxy or a login',
        "unknown",
    ),
    "portal without a type": Case(
        [fault(status=200, body=PORTAL)], r"it was a web page \(200 OK, of no", "unknown"
    ),
    "portal that stored it": Case(
        [fault(status=200, body=PORTAL, headers={**HTML, **PAGE}, late=True)],
        "it was a web page",
        "unknown",
        stored=1,
    ),
    "empty 200": Case([fault(status=200)], r"it was empty \(200 OK, of no type, empty\)", "unknown"),
    "204": Case([fault(status=204)], r"it was empty \(204 No Content", "unknown"),
    "text": Case([fault(status=200, body=b"OK")], r'not JSON .*\(200 OK, of no type, "OK"\)', "unknown"),
    "a list": Case([fault(late=True, body=b"[1]")], r'not JSON .*, "\[1\]"\)', "unknown", stored=1),
    "no words": Case(
        [fault(late=True, body=b"{}")], "does not say that anything was stored", "unknown", stored=1
    ),
    "an error as 200": Case(
        [fault(status=200, body=ECHO.replace(b"message", b"error"), headers=PAGE)],
        r"does not say that anything was stored \(200 OK, of no type, ",
        "unknown",
    ),
    "no Content-Location": Case(
        [fault(late=True, status=201, body=b'{"id": 1}', headers=JSON)],
        r'names no page of the Hub \(Content-Location\) \(201 Created, application/json, "{"id": 1}"\)',
        "unknown",
        stored=1,
    ),
    "a page elsewhere": Case(
        [
            fault(
                status=200,
                body=b'{"id": 1}',
                headers={**JSON, "Content-Location": "https://portal.example/x"},
            )
        ],
        "names no page of this Hub",
        "unknown",
    ),
    "the front page": Case(
        [fault(status=200, body=b'{"id": 1}', headers={**JSON, "Content-Location": "/?next=canary"})],
        "names no page of this Hub",
        "unknown",
    ),
    "no UTF-8": Case([fault(status=200, body=b"\xff\xfe\x00\x1b[31m", headers=JSON)], "not JSON", "unknown"),
    "endless nesting": Case([fault(status=200, body=b"[" * 100_000, headers=JSON)], "not JSON", "unknown"),
}


@pytest.mark.parametrize("case", CASES)
def test_faults(case: str, hub: Hub) -> None:
    import re

    expected = CASES[case]
    folder = prepare(hub=hub)
    hub.server.faults += [Fault(**vars(f)) for f in expected.faults]
    out = hub.submit(folder, "--yes", code=expected.code)
    assert re.search(expected.told, out + hub.printed[-1], re.S)
    assert hub.uploads.posts == expected.posts and len(hub.uploads.stored) == expected.stored
    ((path, receipt),) = read_receipts(folder)
    assert receipt.state == expected.state
    if expected.code:
        assert out == ""
        for text in ("127.0.0.1: the result 'my-model': ", f"The receipt says {expected.state}: {path}"):
            assert text in hub.printed[-1]
        assert receipt.message and receipt.message in hub.printed[-1].replace("\n", " ").replace(
            "Error: ", ""
        )
    hub.server.faults.clear()
    again = hub.submit(folder, "--yes", code=0 if expected.state == "refused" else 2)
    if expected.state == "refused":
        assert again and len(hub.uploads.stored) == 1
    else:
        assert hub.uploads.posts == expected.posts and str(path) in hub.printed[-1]
        if expected.state == "unknown":
            assert "It is not known whether these predictions are stored" in hub.printed[-1]
            hub.submit(folder, "--yes", "--force")
            assert len(hub.uploads.stored) == expected.stored + 1


@pytest.mark.parametrize("status", [422, 500])
def test_an_answer_beyond_its_bound(status: int, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its body is left unread, its status counts; nothing of it is printed."""
    from polaris_rxrx import bounded

    folder = prepare(hub=hub)
    hub.submit(prepare(name="first", hub=hub, seed=1), "--yes")  # logged in
    monkeypatch.setattr(bounded, "DOCUMENT", 5_000)
    hub.server.faults.append(fault(status=status, body=b'{"message": "canary' + b"x" * 20_000 + b'"}'))
    hub.submit(folder, "--yes", code=1)
    assert f"the answer was {status}" in hub.printed[-1]
    assert states(folder) == ["refused" if status == 422 else "unknown"]


def test_a_login_beyond_its_bound(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from polaris_rxrx import bounded

    folder = prepare(hub=hub)
    monkeypatch.setattr(bounded, "DOCUMENT", 5_000)
    hub.server.faults.append(Fault(path="/api/auth/token", status=200, body=b"canary" * 5_000))
    hub.submit(folder, "--yes", code=1)
    assert "asked for a login, but it sent an answer larger than 5,000 bytes" in hub.printed[-1]
    assert states(folder) == [] and hub.uploads.posts == 0


@pytest.mark.parametrize("where", ["refused", "dns"])
def test_no_connection(where: str, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a login that still holds, so that it is the upload itself that finds nobody."""
    folder, other = prepare(hub=hub), prepare(name="other", hub=hub, seed=1)
    hub.submit(other, "--yes")
    if where == "refused":
        hub.server._server.socket.close()
    else:

        def unknown(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    hub.submit(folder, "--yes", code=1)
    said = "Connection refused" if where == "refused" else "Name or service not known"
    assert (
        "nothing was stored: there is no connection (ConnectError: " in hub.printed[-1]
        and said in hub.printed[-1]
    )
    assert "trying again in 1 s (2 of 3)" in hub.printed[-1]
    assert "trying again in 2 s (3 of 3)" in hub.printed[-1]
    assert states(folder) == ["refused"] and len(hub.uploads.stored) == 1


def test_a_hub_that_is_not_there(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a login for it, nothing comes to be sent, so there is no receipt."""
    folder = prepare(hub=hub)
    monkeypatch.setenv("POLARIS_HUB_URL", "http://no-such-hub.invalid")
    hub.submit(folder, "--yes", code=1)
    assert "no-such-hub.invalid: asked for a login, but there is no connection" in hub.printed[-1]
    assert states(folder) == [] and hub.server.log == []


def test_a_wrong_password(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepare(hub=hub)
    monkeypatch.setenv("POLARIS_PASSWORD", "canary-wrong")
    hub.submit(folder, "--yes", code=1)
    assert "refused the login" in hub.printed[-1]
    assert hub.uploads.posts == 0 and states(folder) == []


def test_a_hub_with_a_path(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepare(hub=hub)
    monkeypatch.setenv("POLARIS_HUB_URL", hub.server.url + "/hub")
    hub.submit(folder, "--yes", code=2)
    assert "POLARIS_HUB_URL has a path" in hub.printed[-1]
    assert hub.server.log == [] and states(folder) == []


@pytest.mark.parametrize("how", ["expired", "revoked", "corrupt"])
def test_a_login_of_before(
    how: str, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any
) -> None:
    tokens = tmp_path_factory.mktemp("tokens") / "token.json"
    monkeypatch.setenv("POLARIS_RXRX_TOKEN_FILE", str(tokens))
    if how == "expired":
        hub.server.accounts.lifetime = 1
    hub.submit(prepare(name="first", hub=hub, seed=1), "--yes")
    if how == "revoked":
        hub.server.accounts.revoke()
    if how == "corrupt":
        tokens.write_text('{"canary')
    hub.server.accounts.lifetime = 3600
    grants = len(hub.server.accounts.grants)
    folder = prepare(hub=hub)
    hub.submit(folder, "--yes")
    assert states(folder) == ["sent"] and len(hub.uploads.stored) == 2
    assert len(hub.server.accounts.grants) == grants + 1
    assert hub.uploads.posts == (3 if how == "revoked" else 2)


# ---- the model's step


@dataclass
class Step:
    """A fault of another request than the result's, of this kind: how often each was sent, how it ends."""

    kind: str
    fault: Fault
    told: str
    state: str
    posts: int
    stored: int = 0


MODEL = {"path": "the-model", "method": "PUT"}
LOOK = {"path": "the-model", "method": "GET"}
STEPS = {
    "PUT, portal": Step(
        "v2", Fault(**MODEL, status=200, body=PORTAL, headers=HTML), "may have been created; no", "refused", 1
    ),
    "PUT, empty": Step("v2", Fault(**MODEL, status=200), r"it was empty \(200 OK, of no", "refused", 1),
    "PUT, stored, but cut": Step(
        "v2", Fault(**MODEL, late=True, cut=4), "may have been created", "refused", 1, 1
    ),
    "PUT, no page": Step(
        "v2",
        Fault(**MODEL, status=200, body=b'{"id": 1}', headers=JSON),
        "names no page of the Hub .*may have been created",
        "refused",
        1,
    ),
    "GET, portal": Step(
        "v2",
        Fault(**LOOK, status=200, body=PORTAL, headers=HTML),
        'looking up the model ada-lab/the-model: .*"Hotel WiFi Log in.*was not created',
        "refused",
        0,
    ),
    "GET, empty": Step("v2", Fault(**LOOK, status=200), "it was empty .*was not created", "refused", 0),
    "GET, another model": Step(
        "v2",
        Fault(**LOOK, status=200, body=b'{"slug": "other", "owner": {"slug": "ada-lab"}}', headers=JSON),
        "it is about something else",
        "refused",
        0,
    ),
    "GET, 500": Step("v2", Fault(**LOOK, status=500), "was 500 .*submit again later", "refused", 0),
    "GET, reset": Step("v2", Fault(**LOOK, reset=True), "broke off.* submit again later", "refused", 0),
    "predictions, portal": Step(
        "competition",
        Fault(path=PREDICTION, status=200, body=PORTAL, headers=HTML),
        'may or may not be stored: .*"Hotel WiFi Log in',
        "unknown",
        1,
    ),
    "predictions, empty": Step(
        "competition", Fault(path=PREDICTION, status=200), "it was empty", "unknown", 1
    ),
    "predictions, stored, but cut": Step(
        "competition", Fault(path=PREDICTION, late=True, cut=4), "was not JSON", "unknown", 1, 1
    ),
    "predictions, no page": Step(
        "competition",
        Fault(path=PREDICTION, status=201, body=b'{"id": 1}', headers=JSON),
        "names no page of the Hub",
        "unknown",
        1,
    ),
}


@pytest.mark.parametrize("case", STEPS)
def test_faults_of_other_steps(case: str, hub: Hub) -> None:
    import re

    step = STEPS[case]
    folder = prepare(step.kind, hub=hub)
    hub.server.faults.append(Fault(**vars(step.fault)))
    assert hub.submit(folder, "--yes", kind=step.kind, code=1) == ""
    told = hub.printed[-1]
    assert re.search(step.told, told, re.S) and f"The receipt says {step.state}: " in told
    assert step.state == "unknown" or "may or may not be stored" not in told or "PUT" in case
    assert (hub.uploads.posts, len(hub.uploads.stored)) == (step.posts, step.stored)
    assert states(folder) == [step.state]
    hub.server.faults.clear()
    hub.submit(folder, "--yes", kind=step.kind, code=2 if step.state == "unknown" else 0)
    assert states(folder) == [step.state] if step.state == "unknown" else [step.state, "sent"]
    models = [path for path, _ in hub.uploads.stored if MODELS in path]
    assert len(models) == (1 if step.kind == "v2" else 0)


@pytest.mark.parametrize("late", [False, True])
def test_a_model_that_breaks_off(late: bool, hub: Hub) -> None:
    folder = prepare("v2", hub=hub)
    hub.server.faults.append(Fault(path="the-model", method="PUT", reset=True, late=late, times=1))
    hub.submit(folder, "--yes", kind="v2", code=1)
    assert "may have been created; no predictions were sent" in hub.printed[-1]
    ((_, receipt),) = read_receipts(folder)
    assert receipt.state == "refused" and "may have been created" in receipt.message
    hub.submit(folder, "--yes", kind="v2")
    assert [p.rpartition("/")[2] for p, _ in hub.uploads.stored] == ["the-model", "result"]
    ((_, done),) = read_receipts(folder)[1:]
    assert ("there already" if late else "was created") in done.message


@pytest.mark.parametrize(
    "broken", [{"reset": True}, {"reset": True, "late": True}, {"status": 500}, {"status": 403}]
)
def test_looking_for_a_model_stores_nothing(broken: dict[str, Any], hub: Hub) -> None:
    folder = prepare("v2", hub=hub)
    hub.server.faults.append(Fault(path="the-model", method="GET", **broken))
    hub.submit(folder, "--yes", kind="v2", code=1)
    said = hub.printed[-1]
    assert "looking up the model ada-lab/the-model" in said
    assert (
        "may or may not be stored" not in said and "may have been" not in said and "Look for it" not in said
    )
    ((_, receipt),) = read_receipts(folder)
    assert receipt.state == "refused" and hub.uploads.stored == []


def test_a_result_that_fails_after_its_model(hub: Hub) -> None:
    folder = prepare("v2", hub=hub)
    hub.server.faults.append(fault(times=1, status=422))
    hub.submit(folder, "--yes", kind="v2", code=1)
    assert "the model ada-lab/the-model was created" in hub.printed[-1]
    ((_, receipt),) = read_receipts(folder)
    assert receipt.state == "refused" and "the model ada-lab/the-model was created" in receipt.message
    hub.submit(folder, "--yes", kind="v2")
    assert len(hub.uploads.stored) == 2


# ---- from another folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ["sent", "unknown"])
def test_another_folder_is_no_new_submission(
    kind: str, state: str, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = prepare(kind, hub=hub).absolute()
    if state == "unknown":
        hub.server.faults.append(fault(path=PATHS[kind], status=500, late=True, times=1))
    hub.submit(folder, "--yes", kind=kind, code=1 if state == "unknown" else 0)
    posts = hub.uploads.posts
    told = "may be stored" if state == "unknown" else "were sent as 'my-model'"
    copies = {
        "copied": tmp_path / "copied",
        "elsewhere": tmp_path / "else where" / "submissions" / "my-model",
    }
    for name, copy in copies.items():
        shutil.copytree(folder, copy)
        if name == "elsewhere":
            shutil.rmtree(copy / "receipts")
            rows = (copy / "predictions.csv").read_text().splitlines()
            (copy / "predictions.csv").write_text("\n".join([rows[0], *rows[:0:-1], ""]))  # in another order
    for copy in copies.values():
        monkeypatch.chdir(copy.parent)
        hub.submit(copy.name, "--yes", kind=kind, code=2)
        assert told in hub.printed[-1] and "--force" in hub.printed[-1]
        assert json.loads(hub.submit(copy.name, "--dry-run", "--json", kind=kind))["blocked"] is True
    shutil.rmtree(folder)
    hub.submit(copy.name, "--yes", kind=kind, code=2)
    assert told in hub.printed[-1] and hub.uploads.posts == posts
    hub.submit(copy.name, "--yes", "--force", kind=kind)
    assert hub.uploads.posts == posts + 1


def test_a_damaged_index_is_told_and_stops_nothing(hub: Hub, tmp_path: Path) -> None:
    from polaris_rxrx.submission import index

    folder = prepare(hub=hub)
    hub.submit(folder, "--yes")
    (copy,) = index.place().glob("*.json")
    copy.write_text("{")
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    hub.submit(other, "--yes", code=2)  # its own receipts still count
    shutil.rmtree(other / "receipts")
    hub.submit(other, "--yes")
    assert f"Warning: {copy} is damaged" in hub.printed[-1] and len(hub.uploads.stored) == 2


# ---- killed


KILLED = r"""
import os, signal, sys
from polaris_rxrx.hub import upload
from polaris_rxrx.submission import receipt
step = sys.argv[1]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if step == "before the receipt":
    receipt.start = die
elif step == "before sending":
    upload.Sender.send = die
elif step == "before the end":
    receipt.finish = die
from polaris_rxrx.cli import main
del sys.argv[1]
main()
"""


def start(hub: Hub, step: str, folder: Path, kind: str = "v1", *, ignored: tuple[int, ...] = ()) -> Process:
    """`submit` in a process of its own, which kills itself at a step."""
    words = ["submit", str(folder), "--task", str(hub.tasks[kind]), "--yes"]
    return main(hub, words, step, ignored)


def main(hub: Hub, words: list[str], step: str = "", ignored: tuple[int, ...] = ()) -> Process:
    """The command in a process of its own."""
    assert hub.warm is not None
    return hub.warm.start(KILLED, [step, *words], ignored=ignored)


def wait_for(hub: Hub, process: Process) -> None:
    """Until something was stored, and its answer is on its way."""
    deadline = time.monotonic() + 60
    while not hub.uploads.stored and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("step", "state", "stored"),
    [
        ("before the receipt", [], 0),
        ("before sending", ["pending"], 0),
        ("during", ["pending"], 1),
        ("before the end", ["pending"], 1),
    ],
)
def test_killed(step: str, state: list[str], stored: int, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepare(hub=hub)
    monkeypatch.setenv("POLARIS_DEFAULT_TIMEOUT", "[5, 30]")
    if step == "during":
        hub.server.faults.append(fault(delay=30, late=True, times=1))
    process = start(hub, step, folder)
    if step == "during":
        wait_for(hub, process)
        process.kill()
    output, _ = process.communicate(timeout=60)
    hub.printed.append(output)
    assert process.returncode == -signal.SIGKILL, output
    assert states(folder) == state and len(hub.uploads.stored) == stored
    hub.submit(folder, "--yes", code=2 if state else 0)
    if state:
        assert "cut off before it was known how it ended" in hub.printed[-1]
        assert len(hub.uploads.stored) == stored
        hub.submit(folder, "--yes", "--force")
        assert states(folder) == ["pending", "sent"]
    else:
        assert len(hub.uploads.stored) == 1


def test_killed_while_the_model_is_created(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepare("v2", hub=hub)
    monkeypatch.setenv("POLARIS_DEFAULT_TIMEOUT", "[5, 30]")
    hub.server.faults.append(Fault(path="the-model", method="PUT", delay=30, late=True, times=1))
    process = start(hub, "", folder, "v2")
    wait_for(hub, process)
    process.kill()
    hub.printed.append(process.communicate(timeout=60)[0])
    assert states(folder) == [] and len(hub.uploads.stored) == 1
    hub.submit(folder, "--yes", kind="v2")
    assert "the model ada-lab/the-model is there already; it is used as it is" in hub.printed[-1]
    assert states(folder) == ["sent"] and len(hub.uploads.stored) == 2


def test_an_interrupt_settles_the_receipt(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from polaris_rxrx.hub import upload

    folder = prepare(hub=hub)

    def stop(self: Any, location: Any = None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hub_files, "pause", stop)
    hub.server.faults.append(fault(times=1, status=429))
    hub.submit(folder, "--yes", code=130)
    assert states(folder) == ["refused"]
    monkeypatch.setattr(hub_files, "pause", lambda seconds: None)
    monkeypatch.setattr(upload.Sender, "_once", lambda self, call: (call(), stop(self)))
    hub.submit(folder, "--yes", code=130)
    assert states(folder) == ["refused", "sent"] and len(hub.uploads.stored) == 1


SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


def stop(process: Process, *names: str) -> str:
    """Send signals at once; everything that was printed, after the process has ended."""
    for name in names:
        process.send_signal(getattr(signal, name))
    return process.communicate(timeout=20)[0]


def left_behind(*folders: Path) -> list[Path]:
    return [
        p for f in folders for p in f.rglob("*") if p.name.endswith((".tmp", ".part")) or "rxrx" in p.name
    ]


@pytest.fixture
def temporary(tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of a process started meanwhile."""
    folder: Path = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("POLARIS_DEFAULT_TIMEOUT", "[5, 30]")
    return folder


@pytest.mark.parametrize(  # each signal, each kind; one does not know of the other
    ("names", "kind"),
    [
        (("SIGINT",), "v1"),
        (("SIGTERM",), "v2"),
        (("SIGHUP",), "competition"),
        (("SIGHUP", "SIGTERM", "SIGINT"), "v1"),
        (("SIGHUP", "SIGTERM", "SIGINT"), "competition"),
    ],
)
def test_stopped_while_it_is_out(names: tuple[str, ...], kind: str, hub: Hub, temporary: Path) -> None:
    folder = prepare(kind, hub=hub)
    hub.server.faults.append(fault(path=PATHS[kind], delay=25, late=True, times=1))
    process = start(hub, "", folder, kind)
    deadline = time.monotonic() + 60
    while not hub.uploads.bodies(PATHS[kind]) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    told = stop(process, *names)
    hub.printed.append(told)
    assert process.returncode in {SIGNALS[name] for name in names}
    ((path, receipt),) = read_receipts(folder)
    assert receipt.state == "unknown" and receipt.message.startswith("interrupted")
    for text in (
        "Interrupted; no output was left half-written.",
        "'my-model': it was on its way, and may or may not be stored",
        f"The receipt says unknown: {path}",
        "The next submit of these predictions says how to find out",
    ):
        assert text in told
    assert left_behind(Path(), temporary) == [] and not (folder / "bundle").exists()
    hub.submit(folder, "--yes", kind=kind, code=2)
    assert "It is not known whether" in hub.printed[-1] and len(hub.uploads.bodies(PATHS[kind])) == 1


@pytest.mark.parametrize("name", SIGNALS)
def test_stopped_while_the_model_is_out(name: str, hub: Hub, temporary: Path) -> None:
    folder = prepare("v2", hub=hub)
    hub.server.faults.append(Fault(path="the-model", method="PUT", delay=25, late=True, times=1))
    process = start(hub, "", folder, "v2")
    wait_for(hub, process)
    told = stop(process, name)
    hub.printed.append(told)
    assert process.returncode == SIGNALS[name] and states(folder) == ["refused"]
    assert "'my-model': nothing was stored" in told
    assert "As for the model: the model ada-lab/the-model may have been created; no predictions were" in told
    assert left_behind(Path(), temporary) == []
    hub.submit(folder, "--yes", kind="v2")
    assert states(folder) == ["refused", "sent"]


@pytest.mark.parametrize("name", SIGNALS)
def test_stopped_while_it_prepares(name: str, hub: Hub, temporary: Path) -> None:
    hub.server.faults.append(Fault(path="compound-gene", method="GET", delay=25, times=1))
    words = ["prepare", "recursion/compound-gene", "--out", "out"]
    process = main(hub, words)
    deadline = time.monotonic() + 60
    while not hub.server.log and time.monotonic() < deadline:
        time.sleep(0.02)
    told = stop(process, name)
    assert process.returncode == SIGNALS[name], told
    assert told.splitlines()[-1] == "Interrupted; no output was left half-written."
    assert left_behind(Path(), temporary) == [] and not Path("out").exists()


def test_a_signal_that_is_ignored_stays_so(hub: Hub, temporary: Path) -> None:
    """As `nohup` has it; a terminal that closes must not stop what was to go on."""
    folder = prepare(hub=hub)
    hub.server.faults.append(fault(delay=0.5, late=True, times=1))
    process = start(hub, "", folder, ignored=(signal.SIGHUP,))
    wait_for(hub, process)
    hub.printed.append(stop(process, "SIGHUP"))
    assert process.returncode == 0 and states(folder) == ["sent"]


@pytest.mark.parametrize("as_json", [False, True])
def test_stopped_after_it_was_sent(as_json: bool, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from polaris_rxrx.submission import receipt, submit

    folder = prepare(hub=hub)
    real = receipt.finish

    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(submit, "bundle", stopped)
    out = hub.submit(folder, "--yes", *(["--json"] if as_json else []), code=130)
    assert "/results/ada-lab/my-model" in out and "It was sent; only the bundle" in hub.printed[-1]
    assert not as_json or json.loads(out)["bundle"] is None

    def settled_then_stopped(*words: Any, **more: Any) -> Any:
        real(*words, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(receipt, "finish", settled_then_stopped)
    hub.submit(folder, "--yes", "--force", code=130)
    assert "it was sent, and is stored: " in hub.printed[-1] and "The receipt says sent: " in hub.printed[-1]
    assert states(folder) == ["sent", "sent"]


def test_two_at_once(hub: Hub) -> None:
    from polaris_rxrx.submission.receipt import lock

    folder = prepare(hub=hub)
    with lock(folder):
        said, _ = start(hub, "", folder).communicate()
    assert "is being submitted by another process" in said and hub.server.log == []


def test_the_prepared_competition_holds_no_labels(hub: Hub) -> None:
    task = load_task(hub.tasks["competition"])
    assert task.active is None and len(task) == 16 and len(task.train["active"]) == 4
    import zarr

    labels = zarr.open(str(hub.tasks["competition"] / "polaris" / "data.zarr"))["active"][:]
    assert np.isnan(labels).sum() == 16
    assert not (hub.tasks["competition"] / "private").exists()
