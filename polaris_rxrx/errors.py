"""What can go wrong, in four kinds. `polaris_rxrx.cli.main` alone turns them into exit codes.

A message names the file, the row, the value and what was expected, and where one exists the next step.
Rows are counted as an editor shows them: the header is line 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

QUOTES = "'\""


class PolarisRxrxError(Exception):
    """Base of every error this package raises on purpose (exit code 1)."""

    exit_code = 1


class DataError(PolarisRxrxError):
    """A file or table does not hold what it should."""


class MissingError(PolarisRxrxError):
    """Something needed is not there yet, and one command of ours makes it.

    Args:
        message: What is missing and where it was looked for.
        command: The words after `polaris-rxrx` that make it; offered on a terminal.
    """

    def __init__(self, message: str, command: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.command = tuple(command)


class UpstreamError(PolarisRxrxError):
    """A service or library we stand on (Polaris Hub, Hugging Face, polaris-lib) failed."""


class UsageError(PolarisRxrxError):
    """The command or function was called in a way that cannot mean anything (exit code 2)."""

    exit_code = 2


def short(value: object, most: int = 80) -> str:
    """A value quoted for a message: its `repr`, and of a long one only the beginning."""
    if isinstance(value, int) and value.bit_length() > 10_000:  # Python refuses to write so many digits
        return f"a whole number of {value.bit_length():,} bits"
    shown = repr(value[: most + 1] if isinstance(value, (str, bytes)) else value)
    return shown if len(shown) <= most + 2 else f"{shown[:most]}...{shown[0] if shown[0] in QUOTES else ''}"


def shortened(text: str, most: int = 1_500) -> str:
    """A message of which no line is too long to be read: the middle of such a line is left out."""
    half = most // 2
    return "\n".join(
        line if len(line) <= most else f"{line[:half]} [...] {line[-half:]}" for line in text.split("\n")
    )


class Interrupted(KeyboardInterrupt):
    """An interrupt that has something to say: what became of what was on its way."""


def one_line(error: BaseException) -> str:
    """An error's kind and first line, without the colour codes polaris puts in."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def some(names: Sequence[object], most: int = 5) -> str:
    """The first few of many names, for a message: `'A', 'B' and 3 more`."""
    shown = ", ".join(short(str(n)) for n in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


_SECRET = r"\w*token|password|client_secret|code_verifier"


def without_secrets(text: str) -> str:
    """`text` without what looks like a token, a password, or the user and query of a URL.

    A net below the callers, who know their secrets and should not pass them on at all.
    """
    text = re.sub(r"(https?://)[^/\s@]*@", r"\1", text)
    text = re.sub(r"(https?://[^\s?#'\"<>]*)[?#][^\s'\"<>]*", r"\1", text)
    text = re.sub(r"\bBearer\s+[\w.~+/-]{8,}=*", "Bearer ***", text, flags=re.I)
    text = re.sub(r"(Authorization[\"']?\s*[:=]\s*[\"']?)\w+\s+[^\s\"']+", r"\1***", text, flags=re.I)
    text = re.sub(r"\beyJ[\w-]{8,}(\.[\w-]+)*", "***", text)  # a JSON web token
    text = re.sub(rf"\b({_SECRET})=[^\s&\"']+", r"\1=***", text, flags=re.I)
    return re.sub(rf"([\"'](?:{_SECRET})[\"']\s*:\s*)([\"']).*?\2", r"\1\2***\2", text, flags=re.I)
