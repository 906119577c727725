"""The `polaris-rxrx` command: one module a subcommand, each thin (parse, call, print).

Conventions: results go to stdout, everything else to stderr; `--json` prints one JSON document and nothing
more on stdout. Nothing printed holds a control character, and no line on stderr is endless (`_plain`).
Exit codes: 0 done, 1 bad data or a failure elsewhere, 2 misuse, 128 and the signal's number where one stopped
it (130 Ctrl-C, 143 SIGTERM, 129 SIGHUP). Command modules import what is heavy inside the command, so `--help`
stays quick.
"""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import signal
import sys
import threading
import time
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

from polaris_rxrx._version import __version__
from polaris_rxrx.cli._plain import plain_output
from polaris_rxrx.errors import Interrupted, MissingError, PolarisRxrxError

# Windows has no SIGHUP, and alone SIGBREAK (Ctrl-Break, and a console that is closed).
_STOPS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, n)]

# In the order a user meets them; the line is the command's own short help.
COMMANDS = {
    "demo": "Try everything on synthetic data, offline.",
    "fetch": "Download RxRx3-core's tables and embeddings.",
    "dataset": "List dataset cards, or check one against its files.",
    "prepare": "Write the benchmark's pairs as plain files.",
    "view": "Show wells' images, or a plate's, as one PNG.",
    "featurize": "Make features of images, one row a well.",
    "summarize": "Reduce a table of any size to what maps are made of.",
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
    "neighbors": "Show what in a map is most like a gene or compound.",
    "runs": "Set results in folders side by side, by protocol.",
    "explore": "Write one page in which a map can be explored.",
    "enrichment": "Tell in which known sets a list of genes stands.",
    "reproduce": "Set computed figures beside the published ones.",
    "targets": "List annotated targets and their compounds.",
    "export": "Write the task for BioML-bench or MLE-bench.",
    "doctor": "Look for what is wrong with this installation.",
    "schema": "Print the JSON schema of a file, or of what --json prints.",
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

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """As click does it, but from the table: it would import every command's module for its help."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(n, help=line) for n, line in COMMANDS.items() if n.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

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
        try:
            return _run(arguments)
        finally:
            _stop.ended = True


def _run(arguments: list[str]) -> int:
    _stop.number, _stop.ended = None, False
    try:
        code = cli.main(args=arguments, prog_name="polaris-rxrx", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        return _interrupted(error.__cause__ if isinstance(error, click.Abort) else error)
    except (PolarisRxrxError, click.ClickException, OSError) as error:
        if _stop.number is not None:  # a library made another error of the interrupt
            return _interrupted(error)
        return _failed(error, arguments)
    except Exception as error:
        if _stop.number is None:
            raise
        return _interrupted(error)  # as above
    return code if isinstance(code, int) else 0  # that of a command's `exit`


def main() -> NoReturn:
    """The console script."""
    with contextlib.suppress(ValueError):  # not in the main thread
        for number in _STOPS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` and `&` have it
                signal.signal(number, _stop)
        _wake_main_thread()
    raise SystemExit(run(sys.argv[1:]))


class _Stop:
    """A signal handler: unwinds as an interrupt does, so temporary files are removed; keeps the first.

    Signals that follow at once (a closed terminal sends two) must not stop the cleaning up: they are dropped.
    One that comes where an exception would be lost, which is in the midst of some imports, is not taken: the
    thread that watches gives it again, until it is. So it does where one was lost after all: in a finalizer,
    or in an extension module that clears it and goes on.
    """

    number: int | None = None
    called = 0.0  # when
    watched = False
    ended = False  # the command has
    _since = 0.0

    def __call__(self, number: int, frame: FrameType | None = None) -> None:
        if self.watched and _would_lose(frame):
            return
        self.called = time.monotonic()
        if self.number is not None and self.called - self._since < _CLEANING:
            return
        self.number, self._since = self.number or number, self.called
        raise KeyboardInterrupt

    def was_lost(self) -> None:
        """What was raised did not arrive: nothing is being cleaned up, and the next one is taken."""
        self.called = self._since = -math.inf


def _would_lose(frame: FrameType | None) -> bool:
    """Whether an exception raised in this frame may never arrive.

    Python ignores it in a callback of importlib's, and an extension module that imports others while it is
    made may clear it.
    """
    if frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        return True
    while frame is not None:
        if type(frame.f_locals.get("self")).__name__ == "ExtensionFileLoader":
            return True
        frame = frame.f_back
    return False


_CLEANING = 2.0  # seconds
_stop = _Stop()


def _wake_main_thread() -> None:
    """Hand signals on to the main thread, where alone Python handles them.

    The system may give a signal to any thread, and libraries start threads of their own: then a main thread
    that waits for the network would go on waiting.
    """
    if not hasattr(signal, "pthread_kill"):
        return
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    main_thread = threading.main_thread().ident or 0

    def watch() -> None:
        while number := os.read(readable, 1):
            time.sleep(0.1)
            if number[0] not in _STOPS:
                continue
            if time.monotonic() - _stop.called < 0.2:  # it has been taken
                if not _is_forgotten(main_thread):
                    continue
                _stop.was_lost()
            signal.pthread_kill(main_thread, number[0])

    def ignored(what: sys.UnraisableHookArgs) -> None:
        if _stop.number is None or not isinstance(what.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(what)
            return
        _stop.was_lost()
        os.write(writable, bytes([_stop.number]))

    threading.Thread(target=watch, daemon=True).start()
    sys.unraisablehook = ignored
    _stop.watched = True


def _is_forgotten(main_thread: int) -> bool:
    """Whether the command goes on as if it had not been interrupted.

    While it cleans up, in `finally`, `except` or at the end of `with`, Python knows of the exception.
    """
    for _ in range(3):
        known = sys._current_exceptions().get(main_thread)
        if _stop.ended or (any(known) if isinstance(known, tuple) else known is not None):
            return False
        time.sleep(0.1)
    return True


def _interrupted(error: BaseException | None) -> int:
    with contextlib.suppress(OSError):  # the terminal may be what has gone
        click.echo("Interrupted; no output was left half-written.", err=True)
        if isinstance(error, (Interrupted, PolarisRxrxError)):
            click.echo(str(error), err=True)
    return 128 + (_stop.number or signal.SIGINT)


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
