"""Where we differ from public code, gathered from the docstrings of the modules.

Conventions: a section of a module's docstring whose heading says "Deviation", "deviates" or "Workarounds" has
them, numbered; so has a paragraph "Deviations from X: [1] ...". A module that has the word in a heading and
no number is an error.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from built.docstrings import escaped, items, sections

PACKAGE = "polaris_rxrx"
_HEADING = re.compile(r"\bDeviations?\b|\bdeviates\b|^Workarounds$")
_INLINE = re.compile(r"(Deviations? from [^:]+): (\[1\] .+)", re.S)


@dataclass(frozen=True)
class Told:
    """The deviations that one module lists."""

    module: str  # dotted
    about: str  # the first line of the module's docstring
    heading: str
    items: list[str]


def gathered(root: Path) -> list[Told]:
    """All modules that list deviations, those of scores first."""
    found = []
    for path in sorted((root / PACKAGE).rglob("*.py")):
        text = path.read_text("utf-8")
        if not text.startswith('"""'):
            continue
        doc = ast.literal_eval(text[: text.index('"""', 3) + 3])
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        for heading, listed in _listed(doc):
            if not listed:
                raise ValueError(f"{module}: '{heading}' has no numbered deviation")
            found.append(Told(module, doc.partition("\n")[0], heading, listed))
    rooms = ["metrics", "suites", "maps", "featurize", "network", "hub"]
    return sorted(found, key=lambda told: (rooms.index(told.module.split(".")[1]), told.module))


def _listed(doc: str) -> Iterator[tuple[str, list[str]]]:
    for heading, text in sections(doc):
        if _HEADING.search(heading):
            yield heading, items(text)
        for line in re.split(r"\n\s*\n|\n(?=Deviations? from )", text):
            if match := _INLINE.match(line):
                yield (
                    match[1],
                    [w.strip() for w in re.split(r"\[\d+\]", " ".join(match[2].split())) if w.strip()],
                )


def page(root: Path, words: str = "") -> str:
    """A section a module, without a title."""
    parts = []
    for told in gathered(root):
        listed = "\n".join(f"{number}. {escaped(item)}" for number, item in enumerate(told.items, 1))
        heading = told.heading.replace("Where it deviates", "Deviations")
        title = re.split(r"[:;]|\.$", told.about)[0]
        parts.append(f"## {title}\n\n`{told.module}`: {escaped(heading)}.\n\n{listed}")
    return "\n\n".join(parts)
