"""The README and the guides are true: what they say is run is run, and gives what they say it gives.

The cells of the guides run when the documentation is built (`docs/conf.py`), and pages show what they print.
Here is what a build cannot know: that the lines of the README run, that plain blocks and prose are true, and
that the transcript of a submission is one, of the tests' own Hub.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from polaris_rxrx.cards import load_card
from polaris_rxrx.cli import COMMANDS, cli, run
from polaris_rxrx.hub import upstream
from polaris_rxrx.hub.benchmarks import DEFAULT_BENCHMARK
from polaris_rxrx.task import load_task
from tests.conftest import ROOT
from tests.servers.hub import HubServer, v1
from tests.servers.uploads import Uploads
from tests.test_packaging import PROJECT

README = (ROOT / "README.md").read_text("utf-8")
PAGES = {
    path.stem: path.read_text("utf-8")
    for path in (ROOT / "docs" / "start.md", *sorted((ROOT / "docs" / "guides").glob("*.md")))
}


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```", page, re.M | re.S)


def cells(page: str) -> list[str]:
    """What runs when the page is built, without the lines that say how it is shown."""
    return [re.sub(r"\A:.*\n", "", cell) for cell in blocks("{code-cell}", page)]


def here_documents(page: str) -> dict[str, str]:
    """The files that a page writes, `cat > FILE <<'END'`, by name."""
    return dict(re.findall(r"^cat > (\S+) <<'END'\n(.*?)^END$", page, re.M | re.S))


def command_lines(page: str) -> list[list[str]]:
    """The words of every command that a page runs or shows, without `polaris-rxrx`."""
    code = "\n".join(blocks("sh", page) + cells(page)).replace("\\\n", "")
    code = re.sub(r"<<'END'\n.*?^END$", "", code, flags=re.M | re.S)
    lines = (re.split(r" (?:>|\||&&) ?", line)[0] for line in code.splitlines())
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("polaris-rxrx ")]


def test_the_readme_is_two_screens() -> None:
    assert len(README.splitlines()) <= 90


def test_demo_prints_the_table(told_demo: tuple[Path, str]) -> None:
    _, printed = told_demo
    assert blocks("text")[0] in printed


def test_the_real_thing_is_four_commands_and_gives_the_demos_score(
    at_demo: Path, demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last two run on what the others would have left; `prepare` runs below, `fetch` in its own tests."""
    (at_demo / "openphenom.csv").unlink()
    four = command_lines(README)
    (shown,) = (block for block in blocks("sh", PAGES["start"]) if "fetch" in block)
    assert [shlex.split(line)[1:] for line in shown.splitlines()] == four
    assert [words[0] for words in four] == ["fetch", "prepare", "baseline", "score"]
    for words in four[2:]:
        assert run(words) == 0, capsys.readouterr().err
    (row,) = (line.split() for line in blocks("text")[0].splitlines() if line.startswith("openphenom"))
    printed = capsys.readouterr().out
    assert [f"{float(found):.4f}" for found in re.findall(r"^a\S.*?(0\.\d{6})", printed, re.M | re.I)] == row[
        1:
    ]
    assert (at_demo / "openphenom.csv").read_bytes() == (demo / "openphenom.csv").read_bytes()


def test_what_beats_openphenom_on_the_page_is_higher_and_tied(
    at_demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = PAGES["beat-openphenom"]
    assert "The first mean is far higher than OpenPhenom's, and yet the two are tied" in page
    (at_demo / "mine.toml").write_text(here_documents(page)["mine.toml"])
    baseline, compare = (words for words in command_lines(page) if words[0] in ("baseline", "compare"))
    assert run(baseline) == 0
    capsys.readouterr()
    assert run([*compare, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["comparisons"]
    assert [(c["first"], c["second"]) for c in told] == [
        ("mine.csv", "openphenom.csv"),
        ("mine.csv", "random.csv"),
    ]
    assert [c["verdict"] for c in told] == ["tie", "better"]
    assert told[0]["difference"] > 0.05 and told[0]["interval"][0] < 0 < told[0]["interval"][1]


def test_ones_own_screen_is_a_card_and_evaluated(at_demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = PAGES["your-screen"]
    (at_demo / "my-screen.toml").write_text(here_documents(page)["my-screen.toml"])
    check, evaluate = (words for words in command_lines(page) if "my-screen.toml" in words)
    assert check[:2] == ["dataset", "check"] and evaluate[:2] == ["evaluate", "gene-gene"]
    features = {"data/my_features.parquet": "data/OpenPhenom_rxrx3_core_embeddings.parquet"}
    assert run([features.get(word, word) for word in check]) == 0
    assert capsys.readouterr().out.endswith("\nNothing looks wrong.\n")
    assert run([*(features.get(word, word) for word in evaluate), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)["gene-gene"]
    assert result["protocol"]["inputs"]["dataset"] == "my-screen" and result["summary"]["n_genes"] == 80


def test_cellprofiler_and_openphenom_are_as_near_as_the_page_says() -> None:
    assert "In the paper CellProfiler and OpenPhenom are 0.001 apart" in PAGES["beat-openphenom"]
    theirs = [load_card(name).published[0].value for name in ("openphenom", "cellprofiler")]
    assert theirs[0] - theirs[1] == pytest.approx(0.001, abs=1e-9)


def test_the_submission_is_a_transcript(
    demo: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, task = PAGES["submit"], load_task(demo / "task")
    table = pd.DataFrame({**task.inputs, "active": task.active})
    lines = command_lines(page)
    monkeypatch.chdir(tmp_path)
    with HubServer() as hub:
        Uploads(hub, hub.accounts.who)
        for name, value in {**hub.accounts.environment(hub.url), **hub.accounts.credentials()}.items():
            monkeypatch.setenv(name, value)
        with upstream.session():
            name = hub.publish_v1(v1(table, list(range(len(table))), name=DEFAULT_BENCHMARK.split("/")[1]))
        assert name == DEFAULT_BENCHMARK
        (prepare,) = (words for words in command_lines(README) if words[0] == "prepare")
        login, init, dry, submit = lines[:4]
        assert login == ["login"] and "--init" in init and "--dry-run" in dry and submit == ["submit"]
        for words in (prepare, login, init):
            assert run(words) == 0
        folder = tmp_path / "submissions" / "my-model"
        ((card, text),) = here_documents(page).items()
        assert tmp_path / card == folder / "submission.toml"
        (tmp_path / card).write_text(text)
        (folder / "predictions.csv").write_bytes((demo / "openphenom.csv").read_bytes())
        (tmp_path / "my.csv").write_bytes((demo / "openphenom.csv").read_bytes())
        assert run(dry) == 0
        capfd.readouterr()
        assert run([*submit, "--yes"]) == 0
        printed = capfd.readouterr()
        (verify,) = (words for words in lines if words[0] == "verify")
        assert run(verify) == 0
    assert printed.out == f"{hub.url}/results/my-lab/my-model\n"
    said = printed.err.split("\n", 1)[1].replace(hub.url, "https://polarishub.io")
    (transcript,) = blocks("text", page)
    assert timeless(said) == timeless(transcript)


def timeless(text: str) -> str:
    """Without the time of sending and the hash, whose last digits differ between processors."""
    return re.sub(r"\d{8}T[\d.]+Z-[0-9a-f]{8}", "WHEN-HASH", re.sub(r"SHA-256 [0-9a-f]{12}", "HASH", text))


def test_python_gives_what_the_commands_give(at_demo: Path, demo: Path) -> None:
    """The page's first cells, up to the comparison; the others run with the page."""
    first, *code = cells(PAGES["from-python"])
    assert first == "%cd -q polaris-rxrx-demo\n"
    names: dict[str, object] = {}
    until = next(i for i, cell in enumerate(code) if "pr.compare(" in cell)
    for cell in code[: until + 1]:
        exec(compile(cell, "from-python.md", "exec"), names)
    assert (at_demo / "mine.csv").read_bytes() == (demo / "openphenom.csv").read_bytes()


def test_every_option_they_name_exists() -> None:
    context = cli.make_context("polaris-rxrx", ["--version"], resilient_parsing=True)
    known = {"--help"}
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        known |= {option for parameter in command.params for option in parameter.opts}
    named = {
        option
        for page in (README, *PAGES.values())
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)
    }
    assert len(named) > 20 and named <= known


def test_every_extra_they_name_exists() -> None:
    named = {extra for page in PAGES.values() for extra in re.findall(r"\(extra\s+`([^`]+)`\)", page)}
    assert named and named <= PROJECT["optional-dependencies"].keys()


def test_the_picture_of_a_map_is_small_and_its_words_say_what_it_is_of() -> None:
    for page, path in ((README, "docs/explore.png"), (PAGES["read-a-report"], "../explore.png")):
        assert page.count(f"]({path})") == 1 and "The picture is of the demo's synthetic data" in page
    assert 20_000 < (ROOT / "docs" / "explore.png").stat().st_size < 150_000


def test_the_files_it_links_to_are_there() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).is_file(), target
