"""Everything that is printed passes here: no name in a file can move the cursor or recolor a terminal.

Conventions: control characters but tab and line feed, characters that turn the direction of text, and what
the stream's encoding lacks are written as Python writes them (`\\x1b`). A line on stderr that is too long to
be read, because a value or a name in it is, loses its middle. Progress bars pass by.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from polaris_rxrx.errors import shortened
from polaris_rxrx.present.terminal import plain


@contextlib.contextmanager
def plain_output() -> Iterator[None]:
    """Within this, what goes to stdout and stderr is plain."""
    out, err = _Plain(sys.stdout, "standard output"), _Plain(sys.stderr, "standard error", bound=True)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


class _Plain:
    """A text stream that writes plain text to another, and names it should that fail."""

    def __init__(self, stream: Any, name: str, *, bound: bool = False) -> None:
        self._stream, self._name, self._bound = stream, name, bound
        self.rich_proxied_file = stream  # where rich draws

    @property
    def encoding(self) -> str:
        return "utf-8"  # click goes round a stream of another one; `write` does what is needed there

    @property
    def real_encoding(self) -> str:
        """What bytes text becomes in the end."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"text was expected, not {type(text).__name__}")
        shown = plain(text)
        if self._bound:
            shown = shortened(shown)
        encoding = self.real_encoding
        if encoding.lower().replace("-", "") != "utf8":
            shown = shown.encode(encoding, "backslashreplace").decode(encoding)
        with self._named():
            self._stream.write(shown)
        return len(text)

    def flush(self) -> None:
        with self._named():
            self._stream.flush()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), self._name) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
