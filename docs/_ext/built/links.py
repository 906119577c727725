"""Links between files, as on GitHub, become links between pages.

Conventions
    A page that is one `include` of a file outside of `docs/` stands for that file: links to the file lead to
    the page, and the file's own links are read from where the file stands. A link to another file of the
    repository leads to its address in the project's `Source` URL (`pyproject.toml`); while there is none, its
    text is left. What stands in a fenced block is no link.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polaris_rxrx import bounded

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_INCLUDE = re.compile(r"```\{include\} (\S+)\n```\n")
_FENCE = re.compile(r"(^(`{3,}|~{3,}).*?^\2[`~]*[ \t]*$)", re.M | re.S)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")


def standing_for(docs: Path) -> dict[Path, Path]:
    """File outside of `docs/` -> the page that includes it."""
    found = {}
    for page in sorted(docs.rglob("*.md")):
        match = _INCLUDE.fullmatch(page.read_text("utf-8"))
        if match:
            found[(page.parent / match[1]).resolve()] = page
    return found


def source_url(root: Path) -> str | None:
    """The project's address, without a slash at its end."""
    project = bounded.read_toml(root / "pyproject.toml")["project"]
    address = project.get("urls", {}).get("Source")
    return address.rstrip("/") if address else None


def outside_of_fences(text: str) -> list[tuple[bool, str]]:
    """The text in pieces: whether one is outside of fenced blocks, and the piece."""
    pieces, last = [], 0
    for match in _FENCE.finditer(text):
        pieces += [(True, text[last : match.start()]), (False, match[0])]
        last = match.end()
    return [*pieces, (True, text[last:])]


def link_targets(text: str) -> list[str]:
    """Where the links and images of a text lead, but for addresses."""
    texts = [piece for is_text, piece in outside_of_fences(text) if is_text]
    found = [match[3] for piece in texts for match in _LINK.finditer(piece)]
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def rewritten(text: str, file: Path, page: Path, docs: Path) -> str:
    """A file's text, its links being those of a page."""
    pages, url = standing_for(docs), source_url(docs.parent)

    def link(match: re.Match[str]) -> str:
        image, words, target = match.groups()
        path, hash_, anchor = target.partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match[0]
        there = (file.parent / path).resolve()
        if not there.exists():
            raise ValueError(f"{file}: {target} leads nowhere")
        there = pages.get(there, there)
        if there.is_relative_to(docs):
            relative = Path(os.path.relpath(there, page.parent)).as_posix()
            return f"{image}[{words}]({relative}{hash_}{anchor})"
        if url is None:
            return words
        return f"[{words}]({url}/blob/main/{there.relative_to(docs.parent).as_posix()}{hash_}{anchor})"

    return "".join(_LINK.sub(link, piece) if is_text else piece for is_text, piece in outside_of_fences(text))


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """A page's text: what it includes, and its links."""
    docs = Path(app.srcdir).resolve()
    page = file = docs / f"{docname}.md"
    text = source[0]
    if match := _INCLUDE.fullmatch(text):
        file = (page.parent / match[1]).resolve()
        app.env.note_dependency(str(file))
        text = file.read_text("utf-8")
    source[0] = rewritten(text, file, page, docs)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
