"""The page's text: it holds its data and nothing that a name could do harm with."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from polaris_rxrx.explore.page import render, write_page
from polaris_rxrx.explore.payload import Choices, Knowledge, gather
from polaris_rxrx.explore.structures import draw
from polaris_rxrx.maps.build import Map
from polaris_rxrx.wells.metadata import Perturbations
from tests.explore.pages import held

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "{{7*7}}",
    "]]>",
    "two\nlines",
    "\u202eright to left\u2028",
    "half \ud800 a letter",
    "&lt;b&gt; \"quoted\" 'so'",
)


def a_map(names: tuple[str, ...]) -> Map:
    n = len(names)
    p = Perturbations(["CRISPR"] * n, list(names), np.full(n, np.nan))
    return Map(p, np.random.default_rng(0).standard_normal((n, 5)), np.ones(n, dtype=np.int64))


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(text)
    return parser.found


def test_names_stay_text() -> None:
    plain = elements(render(gather("t", a_map(tuple("abcdefghi")), Knowledge(), Choices(), provenance={})))
    smiles = dict.fromkeys(HOSTILE, "<script>alert(1)</script>")
    facts = Knowledge(smiles=smiles, aliases={HOSTILE[0]: HOSTILE[1]})
    made = gather(HOSTILE[1], a_map(HOSTILE), facts, Choices(), provenance={HOSTILE[0]: HOSTILE[1]})
    text = render(made)
    text.encode("utf-8")
    assert [tag for tag, _ in elements(text)] == [tag for tag, _ in plain]
    found = held(text)
    assert found.names == sorted(HOSTILE)
    assert found.document["title"] == HOSTILE[1]
    for name in HOSTILE[:3]:
        assert name not in text


def test_the_policy_lets_the_pages_own_script_alone(page_path: Path) -> None:
    text = page_path.read_text("utf-8")
    (policy,) = (
        attributes["content"]
        for tag, attributes in elements(text)
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None and policy.startswith("default-src 'none'; script-src 'sha256-")
    script = re.findall(r"<script>(.*?)</script>", text, re.S)[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert "connect-src" not in policy and "http" not in policy and "unsafe-eval" not in policy


def test_nothing_is_loaded_from_elsewhere(page_path: Path) -> None:
    for tag, attributes in elements(page_path.read_text("utf-8")):
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert not str(attributes.get("src", "data:")).startswith(("http", "//"))


def test_the_same_payload_gives_the_same_bytes(tmp_path: Path) -> None:
    made = gather("t", a_map(("A", "B", "C")), Knowledge(), Choices(), provenance={})
    sizes = [write_page(tmp_path / name, made) for name in ("one.html", "two.html")]
    one, two = ((tmp_path / name).read_bytes() for name in ("one.html", "two.html"))
    assert one == two and sizes == [len(one)] * 2


@pytest.mark.parametrize("smiles", ["C[C@H](N)C(=O)[O-]", "c1ccccc1S(=O)(=O)NC", "[2H]C(F)(Cl)Br.[Na+]", "C"])
def test_a_structure_is_drawn_in_few_letters(smiles: str) -> None:
    from xml.etree import ElementTree

    svg = draw(smiles)
    root = ElementTree.fromstring(svg)
    assert root.get("viewBox") == "0 0 1040 760"
    assert len(svg) < 1_200
    texts = [element for element in root.iter() if element.tag.endswith("text")]
    for element in texts:
        places = [element.get(axis, "").split() for axis in "xy"]
        assert len(places[0]) == len(places[1]) == len(element.text or "")
        assert all(-40 < int(x) < 1080 for x in places[0]) and all(-40 < int(y) < 800 for y in places[1])
    letters = "".join(element.text or "" for element in texts)
    assert {"O", "N", "Cl", "C"} & ({"C"} if smiles == "C" else set(re.findall("Cl|[A-Z]", letters)))


def test_what_cannot_be_parsed_has_no_picture() -> None:
    import datamol as dm

    with dm.without_rdkit_log():
        assert draw("no <b> SMILES") == ""
    assert draw("") == ""
