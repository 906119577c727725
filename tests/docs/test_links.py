"""Every link within the repository leads to a file, and to a heading of it; no network is asked."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from built.generated import filled
from built.links import link_targets, outside_of_fences, rewritten, standing_for

from tests.conftest import ROOT
from tests.docs.test_commands import PAGES, told

DOCS = ROOT / "docs"
FILES = [*PAGES, ROOT / "CHANGELOG.md"]
HEADED = {*DOCS.rglob("*.md")} - {*(DOCS / "_build").rglob("*.md")}


@cache
def anchors(path: Path) -> set[str]:
    """What headings are called, as GitHub and MyST name them."""
    text = "".join(
        piece for is_text, piece in outside_of_fences(filled(path.read_text("utf-8"), ROOT)) if is_text
    )
    found = set[str]()
    for heading in re.findall(r"^#{1,6} (.+?)#*$", text, re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(slug if slug not in found else f"{slug}-1")
    return found


@pytest.mark.parametrize("file", FILES, ids=told)
def test_links(file: Path) -> None:
    for target in link_targets(file.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        there = (file.parent / path).resolve() if path else file
        assert there.exists() and there.is_relative_to(ROOT), f"{told(file)}: {target} leads nowhere"
        if anchor:
            assert there.suffix == ".md" and anchor in anchors(there), (
                f"{told(file)}: {target} has no such heading"
            )


def test_links_are_found() -> None:
    """A pattern that finds none would prove nothing."""
    found = [target for file in FILES for target in link_targets(file.read_text("utf-8"))]
    assert len(found) > 40 and any("#" in target for target in found)
    assert link_targets("[a](b.md) ![c](d.png)\n```sh\n[e](f.md)\n```\n[g](https://h) [i](#j)") == [
        "b.md",
        "d.png",
        "#j",
    ]


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = set[Path]()
    for page in HEADED:
        for body in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
            for entry in [line for line in body.splitlines() if line and line[0] != ":"]:
                matched = [*page.parent.glob(f"{entry}.md")]
                assert matched, f"{told(page)} lists {entry}, which is not there"
                listed |= set(matched)
    assert listed == HEADED - {DOCS / "index.md"}


def test_a_file_outside_is_read_as_its_page() -> None:
    """Links keep leading where they led: to pages, from wherever the text is shown."""
    pages = standing_for(DOCS)
    assert pages[ROOT / "CONTRIBUTING.md"] == DOCS / "project" / "house.md"
    text = "[tests](tests/README.md#servers) [noise](docs/noise.md)"
    house = rewritten(text, ROOT / "CONTRIBUTING.md", pages[ROOT / "CONTRIBUTING.md"], DOCS)
    assert house == "[tests](tests.md#servers) [noise](../noise.md)"
    with pytest.raises(ValueError, match=r"CONTRIBUTING\.md: nothing\.md leads nowhere"):
        rewritten("[x](nothing.md)", ROOT / "CONTRIBUTING.md", DOCS / "project" / "house.md", DOCS)
