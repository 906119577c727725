"""The page's text: what stands in it, that nothing from data is markup, its size, its words.

What a browser makes of it is tested in `tests/report/test_browser.py`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from polaris_rxrx.comparison import compare
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.present import html
from polaris_rxrx.present.numbers import count
from polaris_rxrx.report import findings
from polaris_rxrx.report.figures import draw
from polaris_rxrx.report.material import Material, gather
from polaris_rxrx.report.page import made_up, render, write_page
from polaris_rxrx.report.rows import columns, embedded, rows
from polaris_rxrx.report.structures import draw_structures, draw_svg
from polaris_rxrx.scoring import score
from polaris_rxrx.stats.intervals import Interval
from polaris_rxrx.task import Task

MakeTask = Callable[..., Task]
ODD = "</script><script>alert(1)</script><!--\u2028{{7*7}}\"'&amp;\n\u202e"


def pairs_of(n_treatments: int, n_genes: int, seed: int = 0) -> list[tuple[str, str, float | None]]:
    """Pairs with one to three actives a treatment."""
    rng = np.random.default_rng(seed)
    found: list[tuple[str, str, float | None]] = []
    for i in range(n_treatments):
        active = set(rng.choice(n_genes, 1 + i % 3, replace=False).tolist())
        found += [
            (f"compound {i:03}", f"GENE{(7 * i + j) % 400}", float(j in active)) for j in range(n_genes)
        ]
    return found


def made(make_task: MakeTask, pairs: Any, *others: int, digits: int = 16, **options: Any) -> Material:
    """Material of drawn scores on these pairs; `others` are the seeds of those to compare with."""
    task = make_task(pairs)
    scores = []
    for seed in (0, *others):
        values = np.round(np.random.default_rng(seed).random(len(task)), digits)
        scores.append(score(task, Predictions(values, f"{seed}.csv", f"{seed}" * 64)))
    return gather(task, scores[0], against=scores[1:], resamples=100, **options)


@pytest.fixture(scope="module")
def small(make_task: MakeTask) -> Material:
    pairs = [
        *pairs_of(6, 8),
        (ODD, "BRAF", 1.0),
        (ODD, ODD, 0.0),
        (ODD, "none", None),
        ("Without", "BRAF", 0.0),
    ]
    return made(make_task, pairs, 1, digits=1, title=f"All of it {ODD}", smiles={ODD: "CCO"})


class Reader(HTMLParser):
    """Every tag with its attributes, and all text; of scripts apart."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.inside = tag
            self.scripts += [""] * (tag == "script")

    def handle_endtag(self, tag: str) -> None:
        if tag == self.inside:
            self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif not self.inside:
            self.text += data

    def values(self, *names: str) -> list[str]:
        return [v or "" for _, attributes in self.tags for n, v in attributes.items() if n in names]


@pytest.fixture(scope="module")
def page(small: Material) -> str:
    return render(small, {})


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    return Reader(page)


def test_names_are_text_wherever_they_stand(read: Reader, small: Material) -> None:
    assert len(read.scripts) == 2
    assert ODD in read.text and f"Structure of {ODD}" in read.values("alt")
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    document = json.loads(read.scripts[0])
    assert ODD in document["genes"]
    assert [row["n"] for row in document["rows"]] == [row.name for row in rows(small)]
    assert "{{7*7}}" in read.text and read.text.count("49") == str(small.task.counts()).count("49")


def test_the_page_needs_nothing_beside_it(page: str, read: Reader) -> None:
    assert all(v.startswith(("#", "data:")) for v in read.values("src", "href", "srcset", "action", "data"))
    assert not {tag for tag, _ in read.tags} & {"link", "iframe", "object", "embed", "base", "audio", "video"}
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|fetch|import", read.scripts[1]
    )


def test_the_policy_is_strict_and_fits_the_script(read: Reader) -> None:
    policy = next(a["content"] for t, a in read.tags if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(read.scripts[1].encode()).digest()).decode()
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["script-src"] == f"'sha256-{digest}'"
    assert rules["img-src"] == "data:" and rules["base-uri"] == rules["form-action"] == "'none'"
    first = [t for t, _ in read.tags].index("meta")
    assert "Content-Security-Policy" in str(read.tags[: first + 2])  # before anything it should govern


def test_json_cannot_end_its_script() -> None:
    document = {"a": [ODD, "</SCRIPT>", "<!--", "]]>", "\u2029", "&lt;"], "b": 1.5, "c": None}
    text = html.json_block(document)
    assert json.loads(text) == document
    assert not set("<>&\u2028\u2029\n") & set(text)
    with pytest.raises(ValueError, match="JSON compliant"):
        html.json_block({"a": math.nan})


def test_data_draw_the_exact_curves(small: Material) -> None:
    """Average precision and AUROC from the embedded ranks alone, as the page's script does."""
    order = rows(small)
    document = embedded(small, order)
    assert any("b" in row for row in document["rows"])  # scores of one digit tie
    for row, known in zip(document["rows"], order, strict=True):
        sizes = row.get("b") or [1] * len(row["g"])
        assert sum(sizes) == len(row["g"]) == len(row["a"]) == len(row["s"])
        rank = np.repeat(np.arange(len(sizes)), sizes)
        kept = [i for i, label in enumerate(row["a"]) if label != "-"]
        labels, falling = [int(row["a"][i]) for i in kept], [-int(rank[i]) for i in kept]
        assert known.values[:2] == (len(labels), sum(labels))
        if 0 < sum(labels) < len(labels):
            assert average_precision_score(labels, falling) == pytest.approx(known.values[2], abs=1e-12)
            assert roc_auc_score(labels, falling) == pytest.approx(known.values[5], abs=1e-12)
        assert row["v"] == [None if v != v else pytest.approx(v, rel=1e-11) for v in known.values]


def test_equal_scores_are_told_from_those_that_only_look_equal(make_task: MakeTask) -> None:
    task = make_task([("A", "x", 1), ("A", "y", 0), ("A", "z", 0)])
    values = np.array([0.12345678, 0.12345677, 0.12345677])
    material = gather(task, score(task, Predictions(values, "p.csv")), resamples=100)
    row = embedded(material, rows(material))["rows"][0]
    assert row["s"] == [0.123457] * 3 and row["b"] == [1, 2]


def test_the_table_stands_in_the_page(read: Reader, small: Material) -> None:
    found = rows(small)
    assert [row.name for row in found] == sorted(small.score.treatments, key=lambda n: (n.casefold(), n))
    by_name = dict(zip(small.score.treatments, small.score.groups.average_precision.tolist(), strict=True))
    other = dict(
        zip(small.against[0].treatments, small.against[0].groups.average_precision.tolist(), strict=True)
    )
    assert [c.of for c in columns(small)] == [""] * 6 + ["1.csv"]
    for row in found:
        assert row.cells[2] == html.fixed(by_name[row.name]) and row.cells[6] == html.fixed(other[row.name])
        assert f"{row.name}{''.join(row.cells)}" in read.text
    assert next(row.cells for row in found if row.name == "Without")[2] == html.DASH


def test_what_there_is_no_material_for_has_no_section(make_task: MakeTask) -> None:
    alone = Reader(render(made(make_task, [("A", "x", 1), ("A", "y", 0)]), {}))
    ids = alone.values("id")
    assert {"answer", "scale", "distribution", "curves", "treatments", "compounds", "method", "notes"} <= set(
        ids
    )
    assert not {"comparison", "doses"} & set(ids)
    links = [v.removeprefix("#") for v in alone.values("href")]
    assert set(links) <= set(ids)
    assert "there is no interval" in alone.text and "give --annotations" in alone.text


def test_the_same_material_gives_the_same_bytes(small: Material, tmp_path: Path) -> None:
    for name in ("a", "b"):
        figures = draw(small)
        write_page(tmp_path / name, small, figures)
    text = (tmp_path / "a").read_bytes()
    assert text == (tmp_path / "b").read_bytes()
    assert str(tmp_path).encode() not in text and text.count(b"<svg") == len(figures) > 0


def test_a_full_size_page_stays_small(make_task: MakeTask) -> None:
    pairs = pairs_of(487, 36)
    assert len(pairs) > 17_500
    smiles = dict.fromkeys(
        {t for t, *_ in pairs}, "CC1(C)CCC(CN2CCN(c3ccc(C(=O)NS(=O)(=O)c4ccccc4)cc3)CC2)CC1"
    )
    material = made(make_task, pairs, 1, 2, smiles=smiles)
    size = len(render(material, draw(material)).encode())
    assert 300_000 < size < 1_500_000


def test_made_up_data_is_told_at_the_top(small: Material) -> None:
    assert not made_up(small.provenance) and not made_up({"predictions": {"made_up": {"sha256": None}}})
    page = Reader(render(replace(small, provenance={"map": {"made_up": True}}), {}))
    assert page.text.index("Synthetic data.") < page.text.index("The answer")


def test_a_path_that_is_no_text_can_be_written(small: Material, tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", replace(small, title="bad \udcff name"), {})
    assert "bad ? name" in (tmp_path / "page.html").read_text("utf-8")


# ---- structures --------------------------------------------------------------------------------


def test_structures_are_pictures_and_what_cannot_be_read_has_none() -> None:
    smiles = {"a": "CCO |c:1,2|", "b": "no <SMILES>", "c": "", "d": "c1ccccc1"}
    drawn = draw_structures(smiles, ["a", "b", "c", "e"])
    assert list(drawn) == ["a"]
    head, _, body = drawn["a"].partition(",")
    assert head == "data:image/svg+xml;base64"
    root = ElementTree.fromstring(base64.b64decode(body))
    assert root.tag.endswith("svg") and len(root.findall(".//{*}path")) >= 2
    assert draw_structures(smiles, []) == {}


def test_a_structure_s_svg_is_lean_and_the_same_every_time() -> None:
    svg = draw_svg("CC1(C)CCC(CN2CCN(c3ccc(C(=O)N)cc3)CC2)=C(c2ccc(Cl)cc2)C1")
    assert svg == draw_svg("CC1(C)CCC(CN2CCN(c3ccc(C(=O)N)cc3)CC2)=C(c2ccc(Cl)cc2)C1")
    assert len(svg) < 20_000 and "class=" not in svg and "stroke:#000000" in svg


# ---- words --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text", "difference"),
    [
        (0.27651, "0.277", "+0.277"),
        (-0.5, "−0.500", "−0.500"),
        (-0.0001, "−0.0001", "−0.0001"),
        (0.00004, "0.00004", "+0.00004"),
        (-1e-17, "0.000", "+0.000"),
        (math.nan, "–", "–"),
        (None, "–", "–"),
        (math.inf, "–", "–"),
    ],
)
def test_numbers(value: float | None, text: str, difference: str) -> None:
    assert html.fixed(value) == text
    assert html.signed(value) == difference


def test_small_words() -> None:
    assert html.span(Interval(0.25, 0.3)) == "0.250 to 0.300"
    assert html.span(Interval(math.nan, math.nan)) == "–"
    assert findings.p_text(1 / 10_001, 10_000) == "p ≤ 0.0001"
    assert findings.p_text(0.0321, 10_000) == "p = 0.032"
    assert findings.p_text(0.5, 100) == "p = 0.50"
    assert findings.p_text(math.nan, 100) == "p –"
    assert count(1, "pair") == "1 pair" and count(1200, "pair") == "1,200 pairs"
    assert findings.sentence("no map") == "No map." and findings.sentence("Done?") == "Done?"
    assert findings.sentence("pr_auc is 1") == "pr_auc is 1." and findings.sentence("") == "."
    assert findings.flat({"a": {"b": [1, 2.5], "c": {}}, "d": [{"e": True}, None]}) == [
        ("a › b", "1, 2.5"),
        ("a › c", "–"),
        ("d 1 › e", "yes"),
        ("d 2", "–"),
    ]


def answers_of(material: Material) -> dict[str, findings.Answer]:
    return {answer.question: answer for answer in findings.answers(material)}


def perfect(make_task: MakeTask, noise: float) -> tuple[Task, np.ndarray[Any, Any]]:
    pairs = pairs_of(30, 12)
    labels = np.array([a or 0.0 for *_, a in pairs])
    return make_task(pairs), labels + noise * np.random.default_rng(3).random(len(pairs))


def test_answers_say_yes_only_where_the_tests_do(make_task: MakeTask) -> None:
    task, good = perfect(make_task, 0.5)
    _, poor = perfect(make_task, 30.0)
    best, worst = (score(task, Predictions(v, n)) for v, n in ((good, "good"), (poor, "poor")))
    up, down = (
        answers_of(gather(task, a, against=[b], names=["a", "b"], resamples=200))
        for a, b in ((best, worst), (worst, best))
    )
    assert up["Is it better than chance?"].short == "Yes"
    assert "none of 200 did (p ≤ 0.005)" in up["Is it better than chance?"].text
    assert up["Is it better than b?"].short == "Yes"
    assert "better in 30 treatments" in up["Is it better than b?"].text or "worse in 0" in str(up)
    assert down["Is it better than b?"].short == "No, worse"
    assert down["Is it better than chance?"].short == "Not shown"
    assert "cannot be told from random" in down["Is it better than chance?"].text


def test_a_tie_is_not_called_equality(make_task: MakeTask) -> None:
    task, good = perfect(make_task, 3.0)
    other = good + 1e-3 * np.random.default_rng(5).random(len(good))
    scores = [score(task, Predictions(v, n)) for v, n in ((good, "a"), (other, "b"))]
    comparison = compare(*scores, names=["a", "b"], resamples=200)
    answer = findings.difference_answer(comparison.differences[0], comparison.names, comparison.level)
    assert answer.short == "Not shown" and "not the same as none" in answer.text
    assert html.fixed(comparison.differences[0].detectable) in answer.text
