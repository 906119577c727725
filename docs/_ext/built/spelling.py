"""A Sphinx extension: words of the pages that no dictionary has, and British spellings, are warnings.

Conventions
    Prose is what is left of README, CHANGELOG, CONTRIBUTING and the pages without code, addresses, formulas
    and markup. A word is letters and apostrophes; what has a capital inside (a name, an abbreviation) is no
    word. Words are those of pyspellchecker's English list, or of `docs/spelling.txt`, a lower-case word a
    line. American spelling is what codespell's list of British words says it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from built.links import outside_of_fences

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_NO_PROSE = re.compile(
    r"\A---\n.*?\n---\n"  # front matter
    r"|<!--.*?-->|</?[a-z][^>]*>"
    r"|`+[^`]*`+"
    r"|\$[^$\n]+\$"
    r"|\]\([^)]*\)|\bhttps?://\S+"
    r"|\{[a-z:-]+\}|^\([\w-]+\)=$|^:::+.*$",
    re.M | re.S,
)
_WORD = re.compile(r"(?<![\w/.@-])[A-Za-z][A-Za-z']*[A-Za-z](?![\w/@])|(?<=[a-z]-)[a-z]{2,}(?![\w/@])")


def files(root: Path) -> list[Path]:
    """What is looked through."""
    pages = [path for path in sorted((root / "docs").rglob("*.md")) if "_build" not in path.parts]
    return [root / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")] + pages


def prose(text: str) -> str:
    """The text with blanks for all that is no prose; lines stay where they are."""

    def blank(found: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", found[0])

    pieces = [p if is_text else re.sub(r"[^\n]", " ", p) for is_text, p in outside_of_fences(text)]
    return _NO_PROSE.sub(blank, "".join(pieces))


def words(text: str) -> Iterator[tuple[int, str]]:
    """Line number and word, lower case, without `'s`."""
    for number, line in enumerate(prose(text).splitlines(), 1):
        for found in _WORD.findall(line):
            if not re.search(r"[A-Z]", found[1:]):
                yield number, re.sub(r"'s?$", "", found.lower())


def own_words(root: Path) -> list[str]:
    """`docs/spelling.txt`."""
    return (root / "docs" / "spelling.txt").read_text("utf-8").split()


def british() -> dict[str, str]:
    """British word -> how it is spelled here."""
    import codespell_lib

    path = Path(codespell_lib.__file__).parent / "data" / "dictionary_en-GB_to_en-US.txt"
    pairs = (line.split("->") for line in path.read_text("utf-8").splitlines() if "->" in line)
    return {wrong: right.rstrip(",") for wrong, right in pairs}


def faults(root: Path, known: Collection[str], wrong: dict[str, str]) -> Iterator[tuple[Path, int, str]]:
    """File, line number, and what is wrong there."""
    own = set(own_words(root))
    for path in files(root):
        for number, word in words(path.read_text("utf-8")):
            if word in wrong and word not in own:
                yield path, number, f"{word} is spelled {wrong[word]} here"
            elif word not in own and word not in known:
                yield path, number, f"{word}: a slip, or a word for docs/spelling.txt?"


def check(app: Sphinx) -> None:
    from spellchecker import SpellChecker
    from sphinx.util import logging

    logger = logging.getLogger(__name__)
    known = SpellChecker(language="en", distance=1).word_frequency.dictionary
    for path, number, said in faults(Path(app.srcdir).resolve().parent, known, british()):
        logger.warning(said, location=f"{path}:{number}")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
