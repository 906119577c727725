"""The README is true: its commands run and its output is what they print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from polaris_rxrx.cli import COMMANDS, cli, run
from polaris_rxrx.hub import upstream
from polaris_rxrx.hub.benchmarks import DEFAULT_BENCHMARK
from polaris_rxrx.task import load_task
from tests.servers.hub import HubServer, v1
from tests.servers.uploads import Uploads

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def test_demo_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", str(tmp_path / "demo")]) == 0
    assert blocks("text")[0] in capsys.readouterr().out


def test_score_prints_the_report(
    demo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo)
    assert run(["score", "openphenom.csv"]) == 0
    assert capsys.readouterr().out == blocks("text")[1]


def test_compare_prints_the_differences(
    demo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo)
    assert run(["compare", "openphenom.csv", "cellprofiler.csv", "random.csv"]) == 0
    assert blocks("text")[2] in capsys.readouterr().out


CARD = """
name = "my-model"
owner = "my-lab"
description = "OpenPhenom, zero-shot"
supervision = "zero-shot"
code_url = "https://example.org/code"
paper_url = "https://example.org/paper"
"""


def test_the_submission_is_a_transcript(
    demo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = load_task(demo / "task")
    table = pd.DataFrame({**task.inputs, "active": task.active})
    monkeypatch.chdir(tmp_path)
    with HubServer() as hub:
        Uploads(hub, hub.accounts.who)
        for name, value in {**hub.accounts.environment(hub.url), **hub.accounts.credentials()}.items():
            monkeypatch.setenv(name, value)
        with upstream.session():
            name = hub.publish_v1(v1(table, list(range(len(table))), name=DEFAULT_BENCHMARK.split("/")[1]))
        assert name == DEFAULT_BENCHMARK
        assert run(["prepare"]) == 0
        assert run(["submit", "--init", "my-model"]) == 0
        folder = tmp_path / "submissions" / "my-model"
        (folder / "submission.toml").write_text(CARD)
        (folder / "predictions.csv").write_bytes((demo / "openphenom.csv").read_bytes())
        capfd.readouterr()
        assert run(["submit", "--yes"]) == 0
        printed = capfd.readouterr()
        assert run(["verify", "submissions/my-model/bundle"]) == 0
    assert printed.out == f"{hub.url}/results/my-lab/my-model\n"
    said = printed.err.split("\n", 1)[1].replace(hub.url, "https://polarishub.io")
    assert timeless(said) == timeless(blocks("text")[3])


def timeless(text: str) -> str:
    """Without the time of sending and the hash, whose last digits differ between processors."""
    return re.sub(r"\d{8}T[\d.]+Z-[0-9a-f]{8}", "WHEN-HASH", re.sub(r"SHA-256 [0-9a-f]{12}", "HASH", text))


def test_the_notebook_example_runs(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("task", "data", "openphenom.csv", "random.csv"):
        (tmp_path / name).symlink_to(demo / name)
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert (tmp_path / "mine.csv").read_bytes() == (demo / "openphenom.csv").read_bytes()


def test_every_command_line_is_one_the_program_takes() -> None:
    """Each is parsed by the program itself; what they do is tested where they are."""
    context = cli.make_context("polaris-rxrx", ["--version"], resilient_parsing=True)
    lines = [
        line for block in blocks("sh") for line in block.splitlines() if line.startswith("polaris-rxrx ")
    ]
    assert len(lines) >= 5
    for line in lines:
        _, name, *words = shlex.split(line, comments=True)
        assert name in COMMANDS
        command = cli.get_command(context, name)
        assert command is not None
        command.make_context(name, list(words), parent=context)


def test_every_option_it_names_exists() -> None:
    context = cli.make_context("polaris-rxrx", ["--version"], resilient_parsing=True)
    known = {"--all-files", "--quick"}  # of pre-commit and of the benchmarks
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        known |= {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= known


def test_the_files_it_links_to_are_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parent.parent / target).is_file(), target
