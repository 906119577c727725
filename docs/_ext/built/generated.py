"""A Sphinx extension: pages that are written from the package as they are read.

Conventions: a page has a title and some words, and a block

    ```{generated} NAME WORDS
    ```

in whose place the Markdown comes that `PAGES[NAME]` gives for the repository's root and the words, if any.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from built import commands, deviations, reference, schemas

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PAGES: dict[str, Callable[[Path, str], str]] = {
    "api": reference.page,
    "commands": commands.page,
    "deviations": deviations.page,
    "schemas": schemas.page,
}
_BLOCK = re.compile(r"^```\{generated\} (\S+) ?(.*)\n```$", re.M)


def filled(text: str, root: Path) -> str:
    """A page with its blocks replaced."""
    return _BLOCK.sub(lambda found: PAGES[found[1]](root, found[2]), text)


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    source[0] = filled(source[0], Path(app.srcdir).resolve().parent)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", read, priority=400)  # links are read after
    return {"parallel_read_safe": True, "parallel_write_safe": True}
