"""The README is true: its commands run and its output is what they print."""

from __future__ import annotations

import json
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


def test_demo_prints_the_table(told_demo: tuple[Path, str]) -> None:
    _, printed = told_demo
    assert blocks("text")[0] in printed


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
        for words in (
            line for line in command_lines() if line[0] in ("prepare", "login") or "--init" in line
        ):
            assert run(words) == 0
        folder = tmp_path / "submissions" / "my-model"
        (folder / "submission.toml").write_text(CARD)
        (folder / "predictions.csv").write_bytes((demo / "openphenom.csv").read_bytes())
        (tmp_path / "my.csv").write_bytes((demo / "openphenom.csv").read_bytes())
        assert ["submit"] in command_lines()
        (dry,) = (words for words in command_lines() if "--dry-run" in words)
        assert run(dry) == 0
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


def here_documents() -> dict[str, str]:
    """The files that blocks write, `cat > FILE <<'END'`, by name."""
    found = [m for b in blocks("sh") for m in re.findall(r"^cat > (\S+) <<'END'\n(.*?)^END$", b, re.M | re.S)]
    return dict(found)


def test_ones_own_screen_is_ten_lines_and_read_as_it_says(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = (block for block in blocks("sh") if "<<'END'" in block)
    assert len(block.splitlines()) == 10
    (tmp_path / "data").symlink_to(demo / "data")
    (tmp_path / "my-screen.toml").write_text(here_documents()["my-screen.toml"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", "data")
    check, evaluate = (shlex.split(line)[1:] for line in block.splitlines()[-2:])
    assert run(check) == 0
    assert capsys.readouterr().out == blocks("text")[4]
    assert run([*evaluate, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)["gene-gene"]
    assert result["protocol"]["inputs"]["dataset"] == "my-screen" and result["summary"]["n_genes"] == 80


ONLINE = ("fetch", "prepare", "login", "submit")  # run against servers of the tests' own; see there


def command_lines() -> list[list[str]]:
    """The words of every command in a block, without `polaris-rxrx`."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("polaris-rxrx ")]


def test_every_command_runs_on_the_demos_data(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the README's order, with what it says is the reader's own."""
    (tmp_path / "task").symlink_to(demo / "task")
    (tmp_path / "data").mkdir()
    for path in (demo / "data").iterdir():
        if not path.name.startswith(("CellProfiler", "Phenom1")):  # not among what `fetch` gets unasked
            (tmp_path / "data" / path.name).symlink_to(path)
    for name, theirs in (("openphenom", "openphenom"), ("random", "random"), ("mine", "cellprofiler")):
        (tmp_path / f"{name}.csv").write_bytes((demo / f"{theirs}.csv").read_bytes())
    (tmp_path / "my_embeddings.parquet").symlink_to(next((demo / "data").glob("OpenPhenom*")))
    cards = (Path(__file__).parent.parent / "baselines" / "README.md").read_text("utf-8")
    (card,) = re.findall(r"^```toml\n(.*?)^```", cards, re.M | re.S)
    (tmp_path / "my-model.toml").write_text(card.replace("768", "384"), "utf-8")
    for name, text in here_documents().items():
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", "data")
    lines = [words for words in command_lines() if words[0] not in ONLINE]
    assert {words[0] for words in lines} >= {"baseline", "score", "compare", "audit", "leaderboard", "report"}
    assert {words[0] for words in lines} >= {"evaluate", "reproduce", "targets", "dataset", "summarize"}
    assert ["explore", "--model", "openphenom", "--out", "map.html"] in lines
    for words in lines:
        assert run(words) == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        if words[0] in ("evaluate", "reproduce", "targets"):
            assert "synthetic" in printed.out
    for name in ("report.html", "map.html", "my_map.parquet", "my-model.csv"):
        assert (tmp_path / name).stat().st_size > 1000


def test_every_command_line_is_one_the_program_takes() -> None:
    """Each is parsed by the program itself; what they do is tested where they are."""
    context = cli.make_context("polaris-rxrx", ["--version"], resilient_parsing=True)
    lines = command_lines()
    assert len(lines) >= 5
    for name, *words in lines:
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


def test_the_picture_of_a_map_is_small_and_its_words_say_what_it_is_of() -> None:
    assert (
        README.count("](docs/explore.png)") == 1 and "The picture is of the demo's synthetic data" in README
    )
    assert 20_000 < (Path(__file__).parent.parent / "docs" / "explore.png").stat().st_size < 150_000


def test_the_files_it_links_to_are_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parent.parent / target).is_file(), target
