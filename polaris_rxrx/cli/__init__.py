"""The `polaris-rxrx` command: one module a subcommand, each thin (parse, call, print).

Conventions: results go to stdout, everything else to stderr; `--json` prints one JSON document and nothing
more on stdout. Nothing printed holds a control character, no line on stderr is endless (`_plain`). Exit codes:
0 done, 1 bad data or a failure elsewhere, 2 misuse, 130 interrupted. Command modules import what is heavy
inside the command, so `--help` stays quick.
"""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from polaris_rxrx import __version__
from polaris_rxrx.cli._plain import plain_output
from polaris_rxrx.errors import MissingError, PolarisRxrxError

# In the order a user meets them; the line is the command's own short help.
COMMANDS = {
    "demo": "Try everything on made-up data, offline.",
    "fetch": "Download RxRx3-core's tables and embeddings.",
    "prepare": "Write the benchmark's pairs as plain files.",
    "baseline": "Predict with a baseline or your own model's card.",
    "score": "Score predictions as the Polaris client would, with intervals.",
    "compare": "Tell whether one submission is really better than another.",
    "audit": "Look for shortcuts and leaked labels in predictions.",
    "report": "Write one HTML page, and figures, about a score.",
    "leaderboard": "Set submissions beside published figures, by protocol.",
    "login": "Log in to the Polaris Hub.",
    "logout": "Forget the login.",
    "whoami": "Say who is logged in.",
    "submit": "Validate, score and upload predictions.",
    "verify": "Re-score a bundle and check its hashes.",
    "evaluate": "Run the paper's benchmarks on embeddings or a map.",
    "reproduce": "Set computed figures beside the published ones.",
    "targets": "List annotated targets and their compounds.",
    "export": "Write the task for BioML-bench or MLE-bench.",
    "completion": "Print the shell completion script.",
}


class _Commands(click.Group):
    """A group that imports a subcommand's module only when that subcommand is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"polaris_rxrx.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `polaris-rxrx demo`. `polaris-rxrx COMMAND --help` explains a command.",
)
@click.version_option(__version__, prog_name="polaris-rxrx")
def cli() -> None:
    """Baselines, official scores and submissions for the RxRx3-core compound-gene activity benchmark."""


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every error of ours is told in one place."""
    with plain_output():
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    _stop.asked = False
    try:
        cli.main(args=arguments, prog_name="polaris-rxrx", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _interrupted()
    except (PolarisRxrxError, click.ClickException, OSError) as error:
        if _stop.asked:  # a library made another error of the interrupt
            return _interrupted()
        return _failed(error, arguments)
    return 0


def main() -> NoReturn:
    """The console script."""
    with contextlib.suppress(ValueError):  # not in the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop)
    raise SystemExit(run(sys.argv[1:]))


class _Stop:
    """A signal handler: unwinds as an interrupt does, so temporary files are removed, and remembers."""

    asked = False

    def __call__(self, *_: Any) -> NoReturn:
        self.asked = True
        raise KeyboardInterrupt


_stop = _Stop()


def _interrupted() -> int:
    click.echo("Interrupted; no output was left half-written.", err=True)
    return 130


def _failed(error: Exception, arguments: list[str]) -> int:
    """Tell of an error; where one of our commands would mend it, offer that on a terminal."""
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"Error: {place}{error.strerror or error}", err=True)
        return 1
    click.echo(f"Error: {error}", err=True)
    assert isinstance(error, PolarisRxrxError)
    if isinstance(error, MissingError) and error.command:
        words = shlex.join(error.command)
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            click.echo(f"Try: polaris-rxrx {words}", err=True)
        elif click.confirm(f"Run `polaris-rxrx {words}` now?", default=True, err=True):
            return run(list(error.command)) or run(arguments)
    return error.exit_code
