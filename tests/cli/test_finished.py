"""`evaluate --out DIR --resume`: what is finished stays, what would differ runs anew; runs are counted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx import cli
from polaris_rxrx.cli import _finished, _source
from polaris_rxrx.suites import drug_target, gene_gene, replicates
from tests.cli.test_evaluate import small_data

ALL = ["drug-target", "gene-gene", "signal"]
WORDS = ["evaluate", "all", "--model", "mine.toml", "--seeds", "3", "--out", "res"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", ".")  # one word for every test: results are told apart by it
    small_data(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(list(arguments))
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is run, in order: the reading of wells or a map, and the suites."""
    seen: list[str] = []

    def counted(module: Any, name: str, what: str) -> None:
        inner = getattr(module, name)

        def outer(*args: Any, **kwargs: Any) -> Any:
            seen.append(what)
            return inner(*args, **kwargs)

        monkeypatch.setattr(module, name, outer)

    counted(_source.Source, "read", "read")
    counted(drug_target, "evaluate_drug_target", "drug-target")
    counted(gene_gene, "evaluate_gene_gene", "gene-gene")
    counted(replicates, "evaluate_wells", "signal")
    return seen


@pytest.fixture(scope="module")
def _finished_once() -> dict[str, bytes]:
    """What `WORDS` writes, once a test has run it."""
    return {}


@pytest.fixture
def finished(run: Run, ran: list[str], _finished_once: dict[str, bytes]) -> None:
    """`WORDS` was run here: `res` is there. It is run once, and the same again for the next test."""
    if not _finished_once:
        assert run(*WORDS)[0] == 0
        _finished_once.update(contents())
        ran.clear()
        return
    Path("res").mkdir()
    for name, content in _finished_once.items():
        Path("res", name).write_bytes(content)


def contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path("res").iterdir())}


def test_nothing_runs_twice(run: Run, ran: list[str]) -> None:
    code, first, err = run(*WORDS, "--json")
    assert code == 0 and ran == ["read", *ALL], err
    before = contents()
    ran.clear()
    code, out, err = run(*WORDS, "--resume", "--json")
    assert (code, ran, out) == (0, [], first)
    assert err.splitlines() == [
        f"{suite}: finished in res with the same files, options and versions; kept" for suite in ALL
    ]
    assert contents() == before
    code, out, err = run(*WORDS, "--resume")
    assert (code, ran, out) == (0, [], "")
    code, _, err = run(*WORDS)
    assert (code, ran) == (0, ["read", *ALL]) and "kept" not in err
    assert contents() == before


def test_resume_without_anything_finished(run: Run, ran: list[str]) -> None:
    code, _, err = run(*WORDS, "--resume")
    assert code == 0 and ran == ["read", *ALL]
    assert [line for line in err.splitlines() if "runs:" in line] == [
        f"{suite} runs: it is not finished there" for suite in ALL
    ]


def test_resume_wants_a_folder(run: Run, ran: list[str]) -> None:
    code, out, err = run("evaluate", "all", "--model", "mine.toml", "--resume")
    assert (code, out, ran) == (2, "", [])
    assert "--resume keeps what is finished in --out, which was not given" in err


def edit_embeddings() -> None:
    table = pd.read_parquet("embeddings.parquet")
    table.iloc[0, table.columns.get_loc("feature_0")] += np.float32(0.25)
    table.to_parquet("embeddings.parquet", index=False)


def append(path: str, text: str) -> Callable[[], None]:
    def change() -> None:
        Path(path).write_text(Path(path).read_text("utf-8") + text, "utf-8")

    return change


def forge() -> None:
    """A result that somebody has edited, to the same length."""
    path = Path("res/gene-gene_sources.csv")
    path.write_bytes(path.read_bytes()[:-2] + b"9\n")


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize(
    ("change", "more", "again", "why"),
    [
        (edit_embeddings, [], ALL, "the embeddings is another"),
        (append("metadata_rxrx3_core.csv", "\n"), [], ALL, "the table metadata is another"),
        (append("mine.toml", '[recipe]\nalign = "tvn"\n'), [], ALL, "the card is another"),
        (
            append("relations/CORUM.txt", "KRAS,NRAS\n"),
            [],
            ["gene-gene"],
            "the file of relations CORUM.txt is",
        ),
        (
            append("compound_gene_interactions.csv", "TP53,7,ONCE\n"),
            [],
            ["drug-target"],
            "the file of annota",
        ),
        (None, ["--seeds", "4"], ["drug-target"], "--seeds is another"),
        (None, ["--min-negatives", "3"], ["drug-target"], "--min-negatives is another"),
        (None, ["--low", "0.1"], ["gene-gene"], "--low is another"),
        (None, ["--seed", "1"], ALL, "--seed is another"),
        (None, ["--align", "tvn"], ALL, "--align is another"),
        (None, ["--max-memory", "8GB"], [], ""),
        (forge, [], ["gene-gene"], "gene-gene_sources.csv is not as it was written"),
        (lambda: Path("res/signal.json").unlink(), [], ["signal"], "signal.json is not as it was written"),
        (lambda: Path("res", _finished.FINISHED).write_text("{"), [], ALL, "it is not finished there"),
    ],
)
def test_what_would_differ_runs_anew(
    run: Run, ran: list[str], change: Callable[[], None] | None, more: list[str], again: list[str], why: str
) -> None:
    if change is not None:
        change()
    code, _, err = run(*WORDS, *more, "--resume")
    assert code == 0 and ran == (["read", *again] if again else []), err
    told = [line.partition(" runs: ") for line in err.splitlines() if " runs: " in line]
    assert [suite for suite, _, _ in told] == again and all(text.startswith(why) for _, _, text in told)
    assert [suite for suite in ALL if f"{suite}: finished in res" in err] == [
        suite for suite in ALL if suite not in again
    ]
    ran.clear()
    assert run(*WORDS, *more, "--resume")[0] == 0 and ran == []


@pytest.mark.usefixtures("finished")
def test_another_version_keeps_nothing(run: Run, ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_finished, "__version__", "99.0")
    code, _, err = run(*WORDS, "--resume")
    assert code == 0 and ran == ["read", *ALL]
    assert err.count("the version of polaris_rxrx is another") == 3


def test_an_interrupted_run_keeps_what_was_done(
    run: Run, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(*WORDS, "--json")[1]
    expected = contents()
    for path in Path("res").iterdir():
        path.unlink()
    ran.clear()
    with monkeypatch.context() as patch:

        def stop(*args: Any, **kwargs: Any) -> Any:
            raise KeyboardInterrupt

        patch.setattr(replicates, "evaluate_wells", stop)
        assert run(*WORDS)[0] == 130
    assert ran == ["read", "drug-target", "gene-gene"]
    there = contents()
    assert "signal.json" not in there and there["gene-gene.json"] == expected["gene-gene.json"]
    ran.clear()
    code, out, _ = run(*WORDS, "--resume", "--json")
    assert (code, ran, out) == (0, ["read", "signal"], whole)
    assert contents() == expected


def test_one_suite_alone_is_the_same_as_among_all(run: Run, ran: list[str]) -> None:
    assert run("evaluate", "gene-gene", "--model", "mine.toml", "--out", "res")[0] == 0
    ran.clear()
    code, _, _ = run(*WORDS, "--resume")
    assert code == 0 and ran == ["read", "drug-target", "signal"]


def test_a_map_and_a_file_that_rests(run: Run, ran: list[str]) -> None:
    """A file's hash is remembered once it has rested; one that is written again is hashed again."""
    words = ["evaluate", "gene-gene", "--map", "own.csv", "--out", "res"]
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(4, 3)), columns=["a", "b", "c"])
    table.insert(0, "gene", ["TP53", "BRCA1", "TWIN", "ONCE"])
    table.to_csv("own.csv", index=False)
    os.utime("own.csv", (1, 1))
    assert run(*words)[0] == 0 and ran == ["read", "gene-gene"]
    ran.clear()
    assert run(*words, "--resume")[0] == 0 and ran == []
    table["a"] = table["a"].to_numpy()[::-1]
    table.to_csv("own.csv", index=False)
    os.utime("own.csv", (1, 1))
    code, _, err = run(*words, "--resume")
    assert code == 0 and ran == ["read", "gene-gene"] and "the map is another" in err


def test_the_record_is_plain_json(run: Run) -> None:
    assert run(*WORDS)[0] == 0
    record = json.loads(Path("res", _finished.FINISHED).read_text("utf-8"))
    assert list(record["suites"]) == ALL
    asked = record["suites"]["signal"]
    assert asked["results"] == ["signal", "replicate-consistency"]
    assert "seeds" not in asked["asked"]["options"] and asked["asked"]["files"] == {}
