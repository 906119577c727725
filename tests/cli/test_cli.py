"""The command line as a whole: help, versions, exit codes, what is offered on a terminal."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from polaris_rxrx._version import __version__
from polaris_rxrx.cli import COMMANDS, _Stop, cli, run
from tests.conftest import MakeTask
from tests.warm import Warm

POLARIS_RXRX = [sys.executable, "-m", "polaris_rxrx"]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"polaris-rxrx, version {__version__}\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([flag]) == 0
    out = capsys.readouterr().out
    assert all(re.search(rf"^  {name} ", out, re.M) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_explains_itself(name: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, flag]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: polaris-rxrx {name}")
    assert "Options:" in out


def test_every_option_has_help() -> None:
    context = cli.make_context("polaris-rxrx", ["--version"], resilient_parsing=True)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert getattr(parameter, "help", None), f"{name} {parameter.opts[0]} has no help"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["score", "a.csv", "--nonsense"], "No such option"),
        (["prepare", "a/b", "--annotations", "x.csv"], "not both"),
        (["prepare", "--seed", "1"], "--seed belongs to --annotations"),
        (["prepare", "--metadata", "m.csv"], "--metadata belongs to --smiles"),
        (["baseline", "random", "--dose", "lots"], "expected max, mean or a concentration"),
        (["baseline", "random", "--save-map", "map.pickle"], ".parquet or .h5ad"),
        (["baseline", "openphenon"], "no baseline 'openphenon'; there are cellprofiler, openphenom"),
        (["completion", "tcsh"], "tcsh"),
    ],
)
def test_misuse_is_exit_code_2(
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["score", "preds.csv"], ["baseline", "openphenom"]])
def test_without_a_task_the_command_that_makes_it_is_named(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(words) == 1
    assert capsys.readouterr().err == (
        "Error: no prepared task in task (there is no task/task.json)\nTry: polaris-rxrx prepare\n"
    )


def test_the_task_may_come_from_the_environment(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLARIS_RXRX_TASK", str(tmp_path / "elsewhere"))
    assert run(["baseline", "random"]) == 1
    assert f"Try: polaris-rxrx prepare --out {tmp_path / 'elsewhere'}" in capsys.readouterr().err


def test_a_baselines_file_that_is_not_there_is_one_command_away(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_task: MakeTask
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task").mkdir()
    make_task([("a", "G", 1.0), ("a", "H", 0.0)]).save(tmp_path / "task")
    assert run(["score", "random.csv"]) == 1
    assert "Try: polaris-rxrx baseline random\n" in capsys.readouterr().err
    assert run(["score", "mine.csv"]) == 1
    assert capsys.readouterr().err == "Error: mine.csv: no such file\n"


def test_on_a_terminal_the_missing_step_is_offered(tmp_path: Path) -> None:
    """A pseudo-terminal answers no: the offer is made, nothing is run, exit code 1."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [*POLARIS_RXRX, "baseline", "random"], stdin=terminal, stdout=terminal, stderr=terminal, cwd=tmp_path
    )
    os.close(terminal)
    os.write(main, b"n\n")
    seen = b""
    while True:
        try:
            block = os.read(main, 4096)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        seen += block
    os.close(main)
    assert process.wait(timeout=30) == 1
    assert b"Run `polaris-rxrx prepare` now? [Y/n]" in seen
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete -o nosort"), ("zsh", "#compdef"), ("fish", "complete")]
)
def test_completion(shell: str, mark: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert mark in out
    assert "_POLARIS_RXRX_COMPLETE" in out


def test_completion_knows_the_baselines() -> None:
    words = {
        "COMP_WORDS": "polaris-rxrx baseline open",
        "COMP_CWORD": "2",
        "_POLARIS_RXRX_COMPLETE": "bash_complete",
    }
    code = "from polaris_rxrx.cli import cli; cli(prog_name='polaris-rxrx')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **words}, capture_output=True, text=True
    )
    assert "plain,openphenom" in done.stdout.split()


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = " ".join(POLARIS_RXRX) + " completion bash | true; exit ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode in (0, 1)  # 0 if it had written all before the reader went
    assert done.stderr == ""


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run([*POLARIS_RXRX, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"polaris-rxrx, version {__version__}\n"


class ExtensionFileLoader:
    """Called as importlib's own, which makes modules of C: these may clear errors of what they call."""

    def exec_module(self, then: Callable[[], None]) -> None:
        then()


def test_a_signal_waits_where_its_exception_would_be_lost() -> None:
    """In about one of a hundred interrupts of an import the command went on, and was done, with code 0."""
    stop = _Stop()

    def arrives() -> None:
        stop(signal.SIGINT, sys._getframe())

    callback = compile("stop(number, sys._getframe())", "<frozen importlib._bootstrap>", "exec")
    stop.watched = True
    ExtensionFileLoader().exec_module(arrives)
    exec(callback, {"stop": stop, "number": signal.SIGINT, "sys": sys})
    assert stop.number is None
    with pytest.raises(KeyboardInterrupt):
        arrives()
    assert stop.number == signal.SIGINT
    alone = _Stop()  # nobody would give it again
    with pytest.raises(KeyboardInterrupt):
        ExtensionFileLoader().exec_module(lambda: alone(signal.SIGINT, sys._getframe()))


# The word is what becomes of the interrupt that comes in the command's midst.
MEANWHILE = """
import contextlib, signal, sys, time
from polaris_rxrx import cli

class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
        time.sleep(0)

def command(**_):
    what = sys.argv.pop()
    if what == "lost":
        Finalized()
        time.sleep(30)
    elif what == "cleared":
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
            time.sleep(0)
        time.sleep(30)
    elif what == "cleaned up":
        try:
            signal.raise_signal(signal.SIGINT)
            time.sleep(30)
        finally:
            time.sleep(1)
            print("cleaned")
    elif what == "made another error":
        try:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0)
        except KeyboardInterrupt:
            raise ValueError("does not match") from None
    elif what == "none came":
        raise ValueError("does not match")
    print("went on")

cli.cli.main = command
cli.main()
"""


@pytest.mark.parametrize("what", ["lost", "cleared", "cleaned up", "made another error"])
def test_an_interrupt_that_a_library_swallows_ends_the_command(what: str, lukewarm: Warm) -> None:
    """pydantic did both, in one of twenty interrupts while the client was imported."""
    process = lukewarm.start(MEANWHILE, [what], apart=True)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "cleaned\n" if what == "cleaned up" else "")
    assert err == "Interrupted; no output was left half-written.\n"


def test_an_error_that_nobody_expects_is_shown_whole(lukewarm: Warm) -> None:
    process = lukewarm.start(MEANWHILE, ["none came"], apart=True)
    _, err = process.communicate()
    assert process.returncode == 1 and err.startswith("Traceback") and "does not match" in err
