"""Every command line on a page is run: by the build, by a test, or it is on the list of `not_run.py`."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from polaris_rxrx.cli import COMMANDS, cli, run
from tests.conftest import ROOT
from tests.docs.not_run import NOT_RUN, RUN_BY

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
    *sorted(ROOT.glob("*/README.md")),
    ROOT / "tests" / "performance" / "README.md",
]
_BLOCK = re.compile(r"^ *(`{3,})(\{code-cell\}|sh|bash|shell|console)[^\n]*\n(.*?)^ *\1$", re.M | re.S)


def lines_of(code: str) -> list[str]:
    """The lines that are typed: continued ones in one, without documents, comments and a cell's options."""
    code = re.sub(r"<<'?(\w+)'?\n.*?^\1$", "", code, flags=re.M | re.S).replace("\\\n", " ")
    return [line.strip() for line in code.splitlines() if line.strip() and line.strip()[0] not in "#:"]


def typed(page: Path) -> tuple[list[str], list[str]]:
    """The lines that are cells of the shell, and those that are shown alone."""
    text = page.read_text("utf-8")
    front = text.partition("\n---\n")[0] if text.startswith("---\n") else ""
    cells, shown = list[str](), list[str]()
    for _, language, code in _BLOCK.findall(text):
        if language != "{code-cell}":
            # A file of one's own (a batch script) is no line that is typed.
            shown += [] if code.startswith("#!") else lines_of(code)
        elif "name: shell" in front:
            cells += lines_of(code)
    assert not cells or "file_format: mystnb" in front, f"{page}: nothing runs its cells"
    return cells, shown


def told(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def why_not(line: str) -> str | None:
    return next((begins for begins in NOT_RUN if line.startswith(begins)), None)


def test_every_line_is_run_or_listed() -> None:
    without = [
        f"{told(page)}: {line}"
        for page in PAGES
        if told(page) not in RUN_BY
        for line in typed(page)[1]
        if why_not(line) is None
    ]
    assert without == [], "run it in a cell or a test, or name it in tests/docs/not_run.py"


def test_the_lists_hold_nothing_that_is_gone() -> None:
    listed = {why_not(line) for page in PAGES for line in typed(page)[1]}
    assert NOT_RUN.keys() <= listed
    for page, test in RUN_BY.items():
        assert typed(ROOT / page)[1], f"{page} shows no line"
        text = (ROOT / test).read_text("utf-8")
        assert Path(page).stem in text and "\ndef test_" in text, f"{test} does not speak of {page}"


def test_most_lines_are_cells() -> None:
    """Should cells no longer be read, everything above would hold of nothing."""
    cells = [line for page in PAGES for line in typed(page)[0] if line.startswith("polaris-rxrx ")]
    assert len(cells) > 20


@pytest.mark.parametrize("page", [page for page in PAGES if any(typed(page))], ids=told)
def test_every_line_is_one_that_the_program_takes(page: Path) -> None:
    context = cli.make_context("polaris-rxrx", ["--version"], resilient_parsing=True)
    for line in [line for lines in typed(page) for line in lines]:
        if not line.startswith("polaris-rxrx "):
            continue
        name, *words = shlex.split(re.split(r" (?:2?>|\||&&) ?", line)[0], comments=True)[1:]
        assert name in COMMANDS, line
        command = cli.get_command(context, name)
        assert command is not None
        command.make_context(name, words, parent=context)


def run_lines(page: str) -> None:
    lines = [line for line in typed(ROOT / "docs" / page)[1] if line.startswith("polaris-rxrx ")]
    assert len(lines) == 2
    for line in lines:
        assert run(shlex.split(line, comments=True)[1:]) == 0, line


def test_any_size(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of docs/any-size.md, on the demo's one file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(demo / "data"))
    Path("plates").mkdir()
    shutil.copy(demo / "data" / "OpenPhenom_rxrx3_core_embeddings.parquet", "plates/first.parquet")
    Path("metadata.csv").symlink_to(demo / "data" / "metadata_rxrx3_core.csv")
    run_lines("any-size.md")


def test_corrections(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of docs/corrections.md; genes on two arms stand for HGNC's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(demo / "data"))
    genes = pd.read_csv(demo / "data" / "metadata_rxrx3_core.csv", usecols=["gene"])["gene"]
    names = sorted({gene for gene in genes.dropna() if not gene.endswith("control")})
    arms = [f"{name},{1 + i % 2}p" for i, name in enumerate(names)]
    Path("arms.csv").write_text("\n".join(["gene,arm", *arms, ""]), "utf-8")
    run_lines("corrections.md")
