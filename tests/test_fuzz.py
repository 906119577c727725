"""Whatever stands in a file, a command ends with a message: no traceback, nothing changed, nothing left.

Files of every kind that users hand in are valid at first, then mutated: cut, swapped, repeated, words put in
that are too large, too deep, of another type or encoding. A command line that reads the file must end with 0,
1 or 2, change none of the files it was given, leave no temporary ones, and print no control characters.

`pytest -m fuzz tests/test_fuzz.py` runs 20,000 examples (POLARIS_RXRX_FUZZ says another number); without the
marker a few are run.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from polaris_rxrx.cli import run
from polaris_rxrx.hub.benchmarks import make_benchmark, save_artifact
from polaris_rxrx.task import ARTIFACT, Task, load_task
from tests.submission.test_bundle import make as make_bundle
from tests.wells_factory import small

CARD = """\
name = "my-model"
owner = "some-lab"
description = "Made up"
supervision = "zero-shot"
code_url = "https://example.org/code"
tags = ["one", "two"]
contributors = ["ada_l"]
[user_attributes]
width = "384"
"""
MODEL = """\
name = "mine"
title = "My model"
[source]
file = "embeddings.csv"
width = 6
[recipe]
align = "pca-cs"
dose = "max"
"""
AFFINITIES = (
    "gene_symbol,nM_value,treatment\nTP53,5,aspirin\nBRCA1,1000,aspirin\nNA,5000,aspirin\nTWIN,20,TWIN\n"
)
RELATIONS = "entity1,entity2\nTP53,BRCA1\nBRCA1,TP53\nTWIN,ONCE\nNA,TP53\n"
PAIRS = [(t, g) for t in ("aspirin", "TWIN", "Dactolisib (BEZ235") for g in ("TP53", "BRCA1", "NA", "TWIN")]
LABELS = [1, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0]
PREDS = "id,treatment,gene_symbol,active\n" + "".join(
    f"{i},{t},{g},{(i * 7) % 12 / 4}\n" for i, (t, g) in enumerate(PAIRS)
)

DEEP = ("[" * 20_000 + "]" * 20_000, '{"a":' * 20_000 + "1" + "}" * 20_000)
WORDS = (
    *(
        "",
        "0",
        "-1",
        "1e400",
        "-0.0",
        "nan",
        "inf",
        "9" * 400,
        "1" + "0" * 5000,
        "0x10",
        "1_0",
        "0,5",
        "true",
        "null",
    ),
    *("\0", "\x1b[31m", "\r", "\n", "\t", ";", ",", '"', "'", "#", "\\", "\ufeff", "\u202e", "\x85", "\x9b"),
    *(
        "[",
        "]",
        "{",
        "}",
        "[]",
        "{}",
        "=",
        "'''",
        '"""',
        "[[",
        "]]",
        "../x",
        "/etc/passwd",
        "é",
        "𝄞",
        "\u2028",
    ),
    *("id", "active", "treatment", "44806", "1-Mar", "NaN", "Infinity", "x" * 10_000, "1979-05-27T07:32:00Z"),
    *DEEP,
)
WILD: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        1.5,
        1e308,
        float("nan"),
        10**400,
        "",
        "x",
        "\x1b[31m",
        "\0",
        "9" * 400,
        [],
        {},
        [[]],
    ),
    *([1, None, "x"], {"a": {"b": []}}, "../../x", "/dev/null", "\ud800", "x" * 100_000),
)


@dataclass(frozen=True)
class World:
    """Valid files; which of them is mutated, and the command lines that read it (`OUT` is where to write)."""

    files: dict[str, bytes]
    root: Path
    commands: dict[str, list[list[str]]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("fuzz")
    home = root / "in"
    home.mkdir()
    _, embeddings = small(home)
    import pyarrow.parquet as pq

    pq.read_table(embeddings).to_pandas().to_csv(home / "embeddings.csv", index=False)
    _task(home / "task")
    for name, text in (
        ("preds.csv", PREDS),
        ("good.csv", PREDS.replace(",1.", ",3.")),
        ("mine.toml", MODEL),
        ("affinities.csv", AFFINITIES),
        ("relations.txt", RELATIONS),
        ("genes.txt", "NA\n"),
        ("smiles.csv", "treatment,SMILES\naspirin,CCO\nTWIN,CCN\n"),
    ):
        (home / name).write_text(text, encoding="utf-8")
    made = make_bundle(home / "sub", home / "task", text=PREDS)
    shutil.move(made, home / "bundle")
    shutil.rmtree(home / "sub")
    (home / "sub").mkdir()
    (home / "sub" / "submission.toml").write_text(CARD)
    (home / "sub" / "predictions.csv").write_text(PREDS)
    files = {str(p.relative_to(home)): p.read_bytes() for p in sorted(home.rglob("*")) if p.is_file()}
    few, task = ["--resamples", "100"], ["--task", "task"]
    wells = ["--metadata", "metadata.csv", "--embeddings", "embeddings.csv"]
    scores = [
        ["score", "preds.csv", *task, *few],
        ["score", "preds.csv", *task, *few, "--json", "--missing", "fill=0"],
    ]
    dry = [["submit", "sub", "--dry-run", *task]]
    verify = [["verify", "bundle", *task], ["verify", "bundle", "--json", *task]]
    evaluate = [
        "evaluate",
        "drug-target",
        "--model",
        "mine.toml",
        *wells,
        "--annotations",
        "affinities.csv",
        "--seeds",
        "2",
    ]
    commands = {
        "preds.csv": [
            *scores,
            *scores,
            ["score", "preds.csv", *task, *few, "--per-treatment", "OUT/rows.csv"],
            ["compare", "preds.csv", "good.csv", *task, *few],
            ["leaderboard", "preds.csv", *task],
            ["report", "preds.csv", *task, "--out", "OUT/report.html"],
        ],
        "sub/predictions.csv": dry,
        "sub/submission.toml": dry,
        "task/task.json": [*scores, *dry, ["report", "preds.csv", *task, "--out", "OUT/report.html"]],
        "task/test_features.csv": scores,
        "task/private/answers.csv": scores,
        f"task/{ARTIFACT}/benchmark.json": dry,
        f"task/{ARTIFACT}/dataset.json": dry,
        "mine.toml": [["baseline", "mine.toml", *wells, *task, "--out", "OUT/p.csv"]],
        "metadata.csv": [["baseline", "mine.toml", *wells, *task, "--out", "OUT/p.csv"], evaluate],
        "embeddings.csv": [["baseline", "mine.toml", *wells, *task, "--out", "OUT/p.csv"]],
        "affinities.csv": [["targets", "--annotations", "affinities.csv"], evaluate],
        "relations.txt": [
            ["evaluate", "gene-gene", "--model", "mine.toml", *wells, "--relations", "relations.txt"]
        ],
        "genes.txt": [["evaluate", "signal", "--model", "mine.toml", *wells, "--unexpressed", "genes.txt"]],
        "smiles.csv": [["audit", "preds.csv", *task, "--smiles", "smiles.csv"]],
        **{f"bundle/{name}": verify for name in sorted(p.name for p in (home / "bundle").iterdir())},
    }
    temporary = root / "tmp"
    temporary.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(temporary)
    place = Path.cwd()
    os.chdir(home)
    yield World(files, root, commands)
    os.chdir(place)
    tempfile.tempdir = before


def _task(folder: Path) -> None:
    """A prepared folder with its artifact, as if it came from the Hub."""
    import numpy as np

    from polaris_rxrx.task import MetricSpec

    made = make_benchmark(
        Task(
            inputs={"treatment": [t for t, _ in PAIRS], "gene_symbol": [g for _, g in PAIRS]},
            active=np.array(LABELS, dtype=np.float64),
            main_metric="pr_auc",
            metrics=tuple(
                MetricSpec(name=n, label=n, group_by="treatment", on_error="ignore")
                for n in ("pr_auc", "roc_auc")
            ),
        ),
        name="made-up",
        description="",
    )
    (folder / ARTIFACT).mkdir(parents=True)
    made.task.save(folder)
    save_artifact(made, folder / ARTIFACT, folder / ARTIFACT)
    for path in (folder / "task.json", folder / ARTIFACT / "benchmark.json"):
        path.write_text(path.read_text().replace('"local/', '"some-lab/').replace('"local"', '"some-lab"'))
    assert load_task(folder).artifact_id == "some-lab/made-up"


# ---- mutations


@st.composite
def mutated(draw: st.DrawFn, raw: bytes) -> bytes:
    if raw[:1] in b"{[" and draw(st.booleans()):
        with contextlib.suppress(ValueError):
            return json.dumps(_replaced(draw, json.loads(raw))).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(1, 3))):
        raw = draw(st.sampled_from(MUTATIONS))(draw, raw)
    return raw


def _replaced(draw: st.DrawFn, data: Any) -> Any:
    """JSON with something in it put otherwise."""
    if isinstance(data, dict) and data and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(data)))
        what = draw(st.integers(0, 4))
        if what == 0:
            return {k: v for k, v in data.items() if k != key}
        if what == 1:
            return {**data, draw(st.sampled_from(("x", "\x1b", "", "schema_version"))): data[key]}
        return {**data, key: _replaced(draw, data[key])}
    if isinstance(data, list) and data and draw(st.integers(0, 3)):
        i = draw(st.integers(0, len(data) - 1))
        return [*data[:i], _replaced(draw, data[i]), *data[i + 1 :]]
    return draw(st.sampled_from(WILD))


def _place(draw: st.DrawFn, raw: bytes) -> int:
    return draw(st.integers(0, len(raw)))


def _cut(draw: st.DrawFn, raw: bytes) -> bytes:
    return raw[: _place(draw, raw)]


def _without(draw: st.DrawFn, raw: bytes) -> bytes:
    a, b = sorted((_place(draw, raw), _place(draw, raw)))
    return raw[:a] + raw[b:]


def _put_in(draw: st.DrawFn, raw: bytes) -> bytes:
    at = _place(draw, raw)
    return raw[:at] + draw(st.sampled_from(WORDS)).encode() + raw[at:]


def _other_word(draw: st.DrawFn, raw: bytes) -> bytes:
    """One cell, value or line put otherwise."""
    import re

    found = list(re.finditer(rb"[^,\n\"=:{}\[\] ]+", raw))
    if not found:
        return raw
    a, b = draw(st.sampled_from(found)).span()
    return raw[:a] + draw(st.sampled_from(WORDS)).encode() + raw[b:]


def _other_bytes(draw: st.DrawFn, raw: bytes) -> bytes:
    at = _place(draw, raw)
    return raw[:at] + draw(st.binary(min_size=1, max_size=8)) + raw[at + draw(st.integers(0, 8)) :]


def _swapped(draw: st.DrawFn, raw: bytes) -> bytes:
    a, b, c = sorted(_place(draw, raw) for _ in range(3))
    return raw[:a] + raw[b:c] + raw[a:b] + raw[c:]


def _lines(draw: st.DrawFn, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    i, j = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    if draw(st.booleans()):
        lines.insert(i, lines[j])
    else:
        lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


def _encoded(draw: st.DrawFn, raw: bytes) -> bytes:
    how = draw(
        st.sampled_from(("utf-16", "utf-8-sig", "cp037", "crlf", "cr", "gzip", "half", "semicolons", "tabs"))
    )
    if how in ("crlf", "cr"):
        return raw.replace(b"\n", b"\r\n" if how == "crlf" else b"\r")
    if how in ("gzip", "half"):
        packed = gzip.compress(raw, mtime=0)
        return packed if how == "gzip" else packed[: len(packed) // 2]
    if how in ("semicolons", "tabs"):
        return raw.replace(b",", b";" if how == "semicolons" else b"\t")
    return raw.decode("utf-8", "replace").encode(how, "replace")


def _anything(draw: st.DrawFn, raw: bytes) -> bytes:
    return draw(
        st.one_of(
            st.sampled_from([*(d.encode() for d in DEEP), b"", b"\0" * 9, b"PAR1"]), st.binary(max_size=99)
        )
    )


MUTATIONS = (
    _cut,
    _without,
    _put_in,
    _put_in,
    _other_word,
    _other_word,
    _other_word,
    _other_bytes,
    _swapped,
    _lines,
)
MUTATIONS = (*MUTATIONS, _encoded, _anything)


# ---- one example


@st.composite
def examples(draw: st.DrawFn, world: World) -> tuple[str, list[str], bytes]:
    name = draw(st.sampled_from(sorted(world.commands)))
    return name, draw(st.sampled_from(world.commands[name])), draw(mutated(world.files[name]))


def check(world: World, name: str, words: list[str], raw: bytes) -> int:
    home, out = world.root / "in", world.root / "out"
    out.mkdir()
    (home / name).write_bytes(raw)
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = run([w.replace("OUT", str(out)) for w in words])
        result, told = (stream.buffer.getvalue().decode() for stream in (stdout, stderr))  # type: ignore[attr-defined]
        printed = result + told
        assert code in (0, 1, 2)
        assert code == 0 or "Error: " in told
        assert all(c in "\n\t" or not (ord(c) < 32 or 127 <= ord(c) < 160) for c in printed)
        assert ".tmp" not in printed and str(world.root / "tmp") not in printed
        assert max(map(len, told.split("\n"))) < 1_600 and len(told) < 30_000
        if "--json" in words and code == 0:
            json.loads(result)
        left = {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file()}
        assert left == {**world.files, name: raw}
        assert not any(".tmp" in p.name for p in out.rglob("*"))
        assert [p.name for p in (world.root / "tmp").iterdir() if p.name.startswith(("polaris", "tmp"))] == []
        return code
    finally:
        (home / name).write_bytes(world.files[name])
        shutil.rmtree(out)


def fuzz(world: World, n: int) -> None:
    @settings(
        max_examples=n,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        report_multiple_bugs=True,
    )
    @given(examples(world))
    def one(example: tuple[str, list[str], bytes]) -> None:
        check(world, *example)

    one()


def test_valid_files_work(world: World) -> None:
    """Else the rest would be tried on what never worked."""
    for name, commands in world.commands.items():
        codes = {" ".join(words): check(world, name, words, world.files[name]) for words in commands}
        assert set(codes.values()) == {0}, codes


@pytest.mark.filterwarnings("default")
def test_a_few_mutated_files(world: World) -> None:
    fuzz(world, 50)


@pytest.mark.fuzz
@pytest.mark.filterwarnings("default")
def test_many_mutated_files(world: World) -> None:
    fuzz(world, int(os.environ.get("POLARIS_RXRX_FUZZ") or 20_000))
