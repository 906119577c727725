"""What completes a word, in every shell, and that nothing heavy is imported for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete, get_completion_class

from polaris_rxrx.cli import COMMANDS, cli
from polaris_rxrx.cli._featurizers import FUNCTION, NAMES
from polaris_rxrx.dataset.registry import KNOWN
from polaris_rxrx.files import card_names
from polaris_rxrx.maps.names import ALIGNERS
from polaris_rxrx.suites.run import PERTURBATIONS, SUITES
from tests.conftest import ROOT

DATASETS, MODELS = card_names("datasets"), card_names("baselines")
VARIABLE = "_POLARIS_RXRX_COMPLETE"

# A line whose last word is completed -> the words that are offered; a last one of `FILES` stands for files.
FILES = "<file>"
LINES: dict[str, list[str]] = {
    "": list(COMMANDS),
    "doc": ["doctor"],
    "evaluate ": [*SUITES, "all"],
    "evaluate c": ["clusters", "consistency"],
    "evaluate signal --by ": list(PERTURBATIONS),
    "evaluate drug-target --by c": ["compound"],
    "evaluate gene-gene --by ": [],
    "evaluate all --dataset ": [*DATASETS, FILES],
    "evaluate all --dataset jump-c": ["jump-compound", "jump-crispr", FILES],
    "evaluate all --model ph": ["phenom-1", "phenom-2", FILES],
    "evaluate all --align ": list(ALIGNERS),
    "evaluate all --batch p": ["plate"],
    "evaluate all --correct ": ["well-position", "chromosome-arm", "none"],
    "evaluate all --correct w": ["well-position"],
    "dataset ": ["check", "list"],
    "dataset check ": [*DATASETS, FILES],
    "dataset check rxrx3-": ["rxrx3-core", FILES],
    "fetch ": list(KNOWN),
    "fetch metadata p": ["phenom-1", "phenom-2"],
    "fetch --dataset jump-o": ["jump-orf", FILES],
    "featurize ": [name for name in NAMES if name != FUNCTION],
    "featurize c": ["cellprofiler"],
    "baseline ": [*MODELS, FILES],
    "reproduce ": ["table4", "table6", "notebook"],
    "export ": ["biomlbench", "mle-bench"],
    "completion ": ["bash", "zsh", "fish"],
    "compare a.csv b.csv --metric ": ["pr_auc", "roc_auc"],
    "score ": [FILES],
}


def split(line: str) -> tuple[list[str], str]:
    *before, last = line.split(" ")
    return before, last


@pytest.mark.parametrize("line", LINES)
def test_words_that_are_offered(line: str) -> None:
    found = ShellComplete(cli, {}, "polaris-rxrx", VARIABLE).get_completions(*split(line))
    assert [FILES if item.type == "file" else item.value for item in found] == LINES[line]


@pytest.mark.parametrize(("shell", "separator"), [("bash", ","), ("zsh", "\n"), ("fish", ",")])
@pytest.mark.parametrize("line", ["evaluate c", "dataset check rxrx3-", "evaluate all --dataset jump-o"])
def test_every_shell_is_told(shell: str, separator: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, last = split(line)
    number = len(before) + 1
    monkeypatch.setenv("COMP_WORDS", f"polaris-rxrx {line}")
    monkeypatch.setenv("COMP_CWORD", last if shell == "fish" else str(number))
    completer = get_completion_class(shell)
    assert completer is not None
    said = completer(cli, {}, "polaris-rxrx", VARIABLE).complete()
    for word in LINES.get(line, ["jump-orf"]):
        assert word == FILES or f"plain{separator}{word}" in said


QUIET = """
import os, sys
from click.shell_completion import ShellComplete
from polaris_rxrx.cli import cli
for line in sys.argv[1:]:
    *before, last = line.split(" ")
    assert ShellComplete(cli, {}, "polaris-rxrx", "X").get_completions(before, last), line
heavy = {"numpy", "pandas", "pyarrow", "pydantic", "httpx", "rich", "matplotlib", "polaris", "scipy"}
print(sorted(heavy & sys.modules.keys()))
"""


def test_nothing_heavy_is_imported() -> None:
    lines = [line for line, words in LINES.items() if words and "--metric" not in line]
    done = subprocess.run(
        [sys.executable, "-c", QUIET, *lines], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n", done.stdout + done.stderr
