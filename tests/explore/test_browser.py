"""The page in a real browser: views opened, searched, linked and exported, with eyes, keys and axe-core."""

from __future__ import annotations

import csv
import io
import math
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from polaris_rxrx.explore.page import write_page
from polaris_rxrx.explore.payload import Choices, Knowledge, gather
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.similarity import cosine
from polaris_rxrx.suites.enrichment import enrichment
from polaris_rxrx.suites.gene_sets import read_gene_sets
from polaris_rxrx.suites.neighbors import neighbors
from polaris_rxrx.wells.metadata import Perturbations
from tests.explore.pages import Held, held
from tests.report.browser import CONTRAST, visit

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "{{7*7}}",
    "javascript:alert(1)",
    "a/b?c=d#e,f%20g",
    "two\nlines",
    "\u202eright to left\u202c",
    "half \ud800 a letter",
    "&lt;b&gt; \"quoted\" 'so'",
    "__proto__",
    "W" * 180,
)
LOST = 0.004  # of a cosine in 8 bits of 384 features, at most; a standard deviation is 0.0005
LIST = ("BRAF", "RAF1", "ABL1", "SRC", "MTOR", "Sorafenib")
VIEWS = {
    "map": "#map?color=complex&complex=alpha&at=BRAF",
    "gene": "#gene/BRAF",
    "compound": "#compound/Sorafenib?beside=compounds",
    "list": f"#list/{','.join(LIST)}",
    "plates": "#plates",
    "about": "#about",
}


@pytest.fixture
def shown(browser: Any, page_path: Path) -> Iterator[Any]:
    """The page of the demo's model, opened; at the end nothing may have been said or asked for."""
    with visit(browser, page_path) as here:
        ready(here.page)
        yield here.page


def ready(page: Any) -> None:
    page.wait_for_selector("main[aria-busy='false'] h2")


def go(page: Any, address: str) -> None:
    """Follow an address within the page, and wait for what it names."""
    page.evaluate(
        "(to) => { document.getElementById('main').setAttribute('aria-busy', 'true'); location.hash = to }",
        address,
    )
    ready(page)


def until(page: Any, expression: str) -> None:
    """Wait for something to be true; Playwright's own way needs `eval`, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"not true within 5 s: {expression}")


def taken(page: Any, button: Any) -> tuple[str, bytes]:
    """The name and the bytes of what a button saves."""
    with page.expect_download() as got:
        button.click()
    return got.value.suggested_filename, Path(got.value.path()).read_bytes()


def rows_of(raw: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(raw.decode("utf-8"), newline="")))


def table(page: Any, caption: str) -> list[dict[str, str]]:
    """The CSV of the table with this caption."""
    name, raw = taken(page, page.get_by_role("button", name=f"CSV of the table: {caption}"))
    assert name.endswith(".csv")
    return rows_of(raw)


def test_search_by_keyboard_opens_a_page(shown: Any) -> None:
    search = shown.get_by_role("combobox", name="Search genes and compounds")
    shown.keyboard.press("/")
    assert search.evaluate("e => e === document.activeElement")
    shown.keyboard.type("soraf")
    assert search.get_attribute("aria-expanded") == "true"
    chosen = shown.locator(f"#{search.get_attribute('aria-activedescendant')}")
    assert chosen.get_attribute("aria-selected") == "true" and "Sorafenib" in chosen.text_content()
    shown.keyboard.press("Enter")
    until(shown, "location.hash === '#compound/Sorafenib'")
    # The view before has a heading, too, until this one is drawn.
    until(
        shown, "document.activeElement.matches('h2') && /Sorafenib/.test(document.activeElement.textContent)"
    )
    ready(shown)
    assert shown.title().startswith("Sorafenib")
    search.fill("akt")
    names = shown.locator("[role=option]:visible bdi").all_text_contents()
    assert names == ["AKT1", "AKT2", "AKT3"]
    search.press("ArrowDown")
    search.press("ArrowUp")
    search.press("ArrowUp")
    search.press("Enter")
    until(shown, "location.hash === '#gene/AKT3'")
    search.fill("no such name")
    assert shown.locator("[role=option]:visible").count() == 0
    shown.go_back()
    until(shown, "document.title.startsWith('Sorafenib')")


@pytest.mark.parametrize(
    ("name", "kind", "beside"), [("BRAF", "gene", "CRISPR"), ("Sorafenib", "compound", "COMPOUND")]
)
def test_neighbors_are_those_of_the_suite(shown: Any, map_: Map, name: str, kind: str, beside: str) -> None:
    go(shown, f"#{kind}/{name}?beside={'genes' if beside == 'CRISPR' else 'compounds'}")
    suite = neighbors(map_, name, top=1_000).tables["neighbors"]
    expected = {
        (n, None if np.isnan(d) else d): (c, rank, beyond)
        for t, n, d, c, rank, beyond in zip(
            *(suite[key] for key in ("type", "name", "concentration", "cosine", "rank", "beyond")),
            strict=True,
        )
        if t == beside
    }
    _, raw = taken(shown, shown.get_by_role("button", name="CSV of all ranks"))
    rows = rows_of(raw)
    assert len(rows) == len(expected) and [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        dose = row.get("concentration_uM")
        exact, rank, beyond = expected[row["name"], float(dose) if dose else None]
        assert float(row["cosine"]) == pytest.approx(exact, abs=LOST)
        near = sum(abs(other - exact) < 2 * LOST for other, *_ in expected.values())  # 8 bits may swap these
        assert abs(int(row["rank"]) - rank) < max(2, near)
        if abs(exact) > LOST:  # below, what lies beyond may be on the other side
            assert float(row["beyond"]) == pytest.approx(beyond, abs=0.03)
    similar, opposite = (
        shown.locator(f"table:has(caption:text('Most {word}')) tbody th").all_text_contents()
        for word in ("similar", "opposite")
    )
    assert similar == [row["name"] for row in rows[:15]]
    assert opposite == [row["name"] for row in rows[:-16:-1]]


def test_activity_and_what_is_known_stand_beside_a_cosine(shown: Any, page: Held) -> None:
    go(shown, "#gene/BRAF")
    rows = {name: i for i, (_, name, dose) in enumerate(page.rows()) if dose is None}
    relations = page.document["relations"]["sources"]
    pairs = list(zip(page.blocks["relation_first"], page.blocks["relation_second"], strict=True))
    for row in table(shown, "Most similar"):
        assert float(row["activity_p"]) == pytest.approx(
            page.blocks["activity_p"][rows[row["name"]]], rel=1e-5
        )
        pair = {page.names.index("BRAF"), page.names.index(row["name"])}
        known = [
            source["name"]
            for source in relations
            if pair in [{a, b} for a, b in pairs[source["start"] : source["end"]]]
        ]
        assert row["known"].split() == known
    out = shown.get_by_role("list", name="Look this name up elsewhere").get_by_role("link")
    assert (
        "BRAF" in out.first.get_attribute("href") and out.first.get_attribute("rel") == "noreferrer noopener"
    )


def test_a_dose_curve_is_that_of_the_map(shown: Any, map_: Map, page: Held) -> None:
    go(shown, "#compound/Sorafenib?gene=BRAF")
    p = map_.perturbations
    rows = sorted((p.concentration[i], i) for i, name in enumerate(p.name) if name == "Sorafenib")
    (gene,) = (i for i, name in enumerate(p.name) if name == "BRAF")
    exact = cosine(map_.x[[i for _, i in rows]], map_.x[[gene]])[:, 0]
    curve = table(shown, "Sorafenib and BRAF by concentration")
    assert [float(row["concentration_uM"]) for row in curve] == [dose for dose, _ in rows]
    np.testing.assert_allclose([float(row["cosine"]) for row in curve], exact, atol=LOST)
    start = 0
    for compound, other in zip(page.blocks["spread_compound"], page.blocks["spread_gene"], strict=True):
        size = 5 * sum(name == page.names[compound] for _, name, _ in page.rows())
        if (page.names[compound], page.names[other]) == ("Sorafenib", "BRAF"):
            break
        start += size
    kept = page.blocks["spread_cosine"][start : start + size].reshape(-1, 5) / 127
    place = np.argsort([i for _, i in rows])
    told = np.array([[float(row[f"wells_q{q}"]) for q in (10, 25, 50, 75, 90)] for row in curve])[place]
    np.testing.assert_allclose(told, kept, atol=0.0006)
    image = shown.get_by_alt_text("Structure of Sorafenib")
    assert image.evaluate("e => e.complete && e.naturalWidth > 50")
    shown.get_by_role("button", name=re.compile("^Dose curve of RAF1")).click()
    until(shown, "location.hash.includes('gene=RAF1')")
    ready(shown)
    shown.get_by_label("Gene of the curve").fill("MTOR")
    shown.keyboard.press("Enter")
    until(shown, "location.hash.includes('gene=MTOR')")


def test_guides_agree_as_the_page_holds(shown: Any, page: Held) -> None:
    go(shown, "#gene/RAF1")
    own = np.flatnonzero(page.blocks["guide_gene"] == page.names.index("RAF1"))
    rows = table(shown, "Guides and their agreement")
    np.testing.assert_allclose(
        [float(r["cosine_others"]) for r in rows], page.blocks["guide_other"][own] / 32767, atol=1e-5
    )
    before = sum(n * (n - 1) // 2 for n in np.bincount(page.blocks["guide_gene"][: own[0]]).tolist())
    pairs = page.blocks["guide_cosine"][before : before + len(own) * (len(own) - 1) // 2] / 32767
    cells = (
        shown.get_by_role("img", name="Cosines among the guides of RAF1")
        .locator("text[text-anchor=middle]")
        .all_text_contents()
    )
    numbers = np.array(
        [float(c.replace("\u2212", "-")) for c in cells if re.fullmatch(r"\u2212?[01]\.\d\d", c)]
    )
    assert sorted(numbers) == sorted(np.round(np.tile(pairs, 2), 2))


def test_a_list_is_a_heat_map_and_its_complexes(shown: Any, map_: Map, page: Held, sets: Path) -> None:
    go(shown, "#list")
    shown.get_by_label("Genes or compounds").fill("braf, RAF1; ABL1\nSRC\tMTOR\nSorafenib NOT_THERE")
    shown.get_by_role("button", name="Show").click()
    until(shown, "document.title.startsWith('List of 6')")
    assert "NOT_THERE" in shown.locator("main .missing").first.text_content()
    rows = {name: i for i, (_, name, _) in enumerate(page.rows())}  # a compound's last: its highest dose
    place = {row: k for k, row in enumerate(page.blocks["order"].tolist())}
    drawn = (
        shown.get_by_role("img", name="Cosines of 6 rows")
        .locator("text[text-anchor=end]")
        .all_text_contents()
    )
    assert [text.split()[0] for text in drawn[:6]] == sorted(LIST, key=lambda name: place[rows[name]])
    units = map_.x / np.linalg.norm(map_.x, axis=1, keepdims=True)
    pairs = table(shown, "All pairs")
    assert len(pairs) == 15
    for pair in pairs:
        a, b = (rows[pair[key].split()[0]] for key in ("first", "second"))
        assert float(pair["cosine"]) == pytest.approx(units[a] @ units[b], abs=LOST)
    outlined = shown.locator("svg > rect[stroke='var(--ink)']:not([visibility])").count()
    assert outlined == 2 * sum(
        pair["known"].split(" ")[0] in {"CORUM", "HuMAP", "Reactome", "StringDB", "SIGNOR"} for pair in pairs
    )
    suite = enrichment(
        LIST[:5], read_gene_sets(sets), {map_.perturbations.name[i] for i in map_.rows("CRISPR")}
    )
    expected = suite.tables["sets"]
    found = table(shown, "Sets of")
    assert [row["set"] for row in found] == expected["set"]
    for key in ("n_shared", "n_set", "expected", "p_value", "p_bonferroni", "p_adjusted"):
        np.testing.assert_allclose([float(row[key]) for row in found], expected[key], rtol=1e-9)
    figure = shown.get_by_role("region", name="Cosines of 6 rows (figure)")
    figure.press("ArrowDown")
    figure.press("ArrowRight")
    assert re.match(r"\S.* and .*: cosine .\d\.\d{3}|", shown.locator("main .cursor").text_content())
    shown.get_by_role("radio", name="As given").click()
    until(shown, "location.hash.includes('order=given')")
    drawn = (
        shown.get_by_role("img", name="Cosines of 6 rows")
        .locator("text[text-anchor=end]")
        .all_text_contents()
    )
    assert [text.split()[0] for text in drawn[:6]] == list(LIST)


def test_points_are_selected_by_lasso_and_without(shown: Any, page: Held) -> None:
    x, y = (page.blocks["points"] / 32767).T
    box = (x >= -0.5) & (x <= 0.1) & (y >= -0.2) & (y <= 0.3)
    shown.get_by_text("Select by numbers", exact=True).click()
    for label, value in (("x from", "-0.5"), ("x to", "0.1"), ("y from", "-0.2"), ("y to", "0.3")):
        shown.get_by_label(label).fill(value)
    shown.get_by_role("button", name="Select the box").press("Enter")
    assert shown.get_by_role("heading", name=f"In the box: {box.sum()} rows").is_visible()
    chosen = table(shown, "Selected")
    names = [name for _, name, _ in page.rows()]
    assert sorted(row["name"] for row in chosen) == sorted(
        name for name, inside in zip(names, box, strict=True) if inside
    )
    shown.get_by_role("button", name="Clear").click()
    shown.get_by_role("button", name="Lasso").click()
    canvas = shown.locator("canvas").bounding_box()
    left, top = canvas["x"] + 3, canvas["y"] + 3
    right, bottom = left + canvas["width"] - 6, top + canvas["height"] - 6
    shown.mouse.move(left, top)
    shown.mouse.down()
    for corner in ((right, top), (right, bottom), (left, bottom)):
        shown.mouse.move(*corner, steps=3)
    shown.mouse.up()
    assert shown.get_by_role("heading", name=f"In the lasso: {len(names)} rows").is_visible()
    assert "#list/" in shown.get_by_role("link", name="Heat map of").get_attribute("href")
    shown.get_by_label("Mark on the map").fill("BRAF")
    shown.keyboard.press("Enter")
    until(shown, "location.hash.includes('at=BRAF')")
    ready(shown)
    shown.get_by_text("Select by numbers", exact=True).click()
    shown.get_by_label("Nearest").fill("7")
    shown.get_by_role("button", name="Nearest to BRAF").press("Enter")
    at = next(i for i, (_, name, _) in enumerate(page.rows()) if name == "BRAF")
    near = np.argsort((x - x[at]) ** 2 + (y - y[at]) ** 2, kind="stable")[:7]
    assert [row["name"] for row in table(shown, "Selected")] == [names[i] for i in near]


def test_a_point_is_clicked_zoomed_and_moved(shown: Any, page: Held) -> None:
    canvas = shown.locator("canvas")
    picture = "() => document.querySelector('canvas').toDataURL()"
    until(shown, f"({picture})().length > 5000")
    seen = [shown.evaluate(picture)]
    for key in ("ArrowLeft", "+", "0"):
        canvas.press(key)
        seen.append(shown.evaluate(picture))
    assert seen[0] == seen[3] and len(set(seen)) == 3
    x, y = (page.blocks["points"] / 32767).T
    far = np.abs(page.blocks["points"] / 32767).max()
    box = canvas.bounding_box()
    unit = min(box["width"], box["height"]) / 2 * 0.95 / far
    alone = int(np.argmax(np.hypot(x, y)))
    shown.mouse.move(
        box["x"] + box["width"] / 2 + x[alone] * unit, box["y"] + box["height"] / 2 - y[alone] * unit
    )
    name = page.rows()[alone][1]
    assert shown.locator(".tip").text_content().startswith(name)
    shown.mouse.down()
    shown.mouse.up()
    until(shown, f"document.title.startsWith({name!r})")


def test_plates_show_each_well(shown: Any, page: Held) -> None:
    plates = page.document["plates"]
    plate = plates["plates"][0]
    batch = plates["batches"][plate["batch"]]["name"]
    go(
        shown,
        f"#plates/{quote(batch, safe='')}/{quote(plate['name'], safe='')}?score={quote('feature feature_3')}",
    )
    wells = table(shown, "Wells")
    n = plate["n_wells"]
    places = page.blocks["plate_place"][:n]
    entry = page.blocks["plate_list"][page.blocks["plate_content"][:n]]
    rows = page.document["rows"]["n"]
    score = plates["scores"][2]
    value = score["low"] + (page.blocks["plate_score_2"][:n] - 1.0) * (score["high"] - score["low"]) / (
        plates["levels"] - 1
    )
    letters = [*(chr(65 + i) for i in range(26)), *(f"A{chr(65 + i)}" for i in range(26))]
    row, column = np.divmod(places.astype(int), plates["columns"])
    expected = [f"{letters[r]}{c + 1:02d}" for r, c in zip(row.tolist(), column.tolist(), strict=True)]
    assert [own["well"] for own in wells] == expected
    np.testing.assert_allclose([float(own["feature feature_3"]) for own in wells], value, atol=1e-4)
    control = [bool(e >= rows and plates["control"][e - rows]) for e in entry.tolist()]
    assert [own["control"] == "control" for own in wells] == control
    drawn = shown.get_by_role("img", name=re.compile("feature_3: "))
    assert drawn.locator("circle").count() == sum(control)
    shown.get_by_label("Score").select_option("Cosine with its replicates")
    until(shown, "location.hash.includes('score=own')")
    ready(shown)
    shown.get_by_label("Experiment").select_option("All: mean at each well")
    until(shown, "location.hash.startsWith('#plates?')")
    ready(shown)
    rings = table(shown, "By distance from the plate's edge")
    assert sum(int(own["wells"]) for own in rings) == int((page.blocks["plate_score_1"] > 0).sum())


def test_figures_are_saved_as_png_and_svg(shown: Any) -> None:
    from xml.etree import ElementTree

    for view, figures in {"map": 1, "gene": 2, "compound": 3, "list": 1, "plates": 1}.items():
        go(shown, VIEWS[view])
        kinds = {
            kind: shown.get_by_role("button", name=re.compile(f"^{kind} of the figure"))
            for kind in ("PNG", "SVG")
        }
        assert [buttons.count() for buttons in kinds.values()] == [figures] * 2
        name, raw = taken(shown, kinds["SVG"].first)
        root = ElementTree.fromstring(raw)
        assert (
            name.endswith(".svg")
            and root.tag.endswith("}svg")
            and b"var(" not in raw
            and len(list(root.iter())) > 5
        )
        name, raw = taken(shown, kinds["PNG"].first)
        assert name.endswith(".png") and raw.startswith(b"\x89PNG")
        assert int.from_bytes(raw[16:20], "big") == 2 * round(float(root.get("viewBox", "").split()[2]))


def hostile_page(path: Path, choices: Choices | None = None) -> Path:
    rng = np.random.default_rng(0)
    names = [*HOSTILE, *HOSTILE, "ZERO"]
    types = ["CRISPR"] * len(HOSTILE) + ["COMPOUND"] * len(HOSTILE) + ["CRISPR"]
    doses = np.r_[np.full(len(HOSTILE), np.nan), np.ones(len(HOSTILE)), np.nan]
    x = rng.standard_normal((len(names), 7))
    x[-1] = np.nan
    facts = Knowledge(aliases={"<b>other</b>": HOSTILE[0]}, smiles=dict.fromkeys(HOSTILE, "CCO"))
    map_ = Map(Perturbations(types, names, doses), x, np.ones(len(names), dtype=np.int64))
    write_page(
        path, gather(HOSTILE[0], map_, facts, choices or Choices(), provenance={HOSTILE[0]: HOSTILE[1]})
    )
    return path


def test_names_stay_text(browser: Any, tmp_path: Path) -> None:
    """Every name has a page under its own address, and is shown letter by letter."""
    path = hostile_page(tmp_path / "hostile.html")
    with visit(browser, path) as here:
        page = here.page
        ready(page)
        plain = {
            name: name.encode("utf-8", "replace").decode() if "\ud800" not in name else "half \ufffd a letter"
            for name in HOSTILE
        }
        for name in HOSTILE:
            for kind in ("gene", "compound"):
                go(page, f"#{kind}/{quote(plain[name], safe='')}")
                shown, n_foreign = page.evaluate(
                    """() => [[...document.querySelectorAll('h2 bdi')].map(e => e.textContent),
                        document.querySelectorAll('main img:not(.structure), main script, main b').length]"""
                )
                assert shown == [plain[name]] and n_foreign == 0
        go(page, "#list/" + ",".join(quote(name, safe="") for name in plain.values()))
        assert page.get_by_role("img", name=f"Cosines of {2 * len(HOSTILE)} rows").count() == 1
        go(page, "#gene/" + quote("<img src=x onerror=alert(2)>"))
        assert page.locator("h2").text_content() == "Not on this page"
        page.get_by_role("combobox", name="Search genes and compounds").fill("<b>")
        assert page.locator("[role=option]:visible bdi").first.text_content() == "<b>other</b>"
        go(page, "#gene/ZERO")
        assert page.get_by_text("no vector, and so no cosine").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_a_map_alone_lacks_is_said(browser: Any, tmp_path: Path) -> None:
    path = hostile_page(tmp_path / "alone.html")
    missing = held(path.read_text("utf-8")).document["missing"]
    with visit(browser, path) as here:
        ready(here.page)
        for address, view in (
            (f"#gene/{quote(HOSTILE[3])}", "guides"),
            ("#plates", "plates"),
            (f"#list/{quote(HOSTILE[3])}", "complexes"),
        ):
            go(here.page, address)
            assert missing[view] in here.page.locator("main .missing").last.text_content()
        go(here.page, "#about")
        told = here.page.locator("main").text_content()
        assert all(why in told for why in missing.values())


def test_nearest_and_farthest_stand_for_vectors(browser: Any, map_: Map, tmp_path: Path) -> None:
    path = tmp_path / "near.html"
    write_page(path, gather("near", map_, Knowledge(), Choices(neighbors=5), provenance={}))
    suite = neighbors(map_, "BRAF", top=5).tables["neighbors"]
    expected = [
        (n, r) for t, n, r in zip(suite["type"], suite["name"], suite["rank"], strict=True) if t == "CRISPR"
    ]
    with visit(browser, path) as here:
        ready(here.page)
        go(here.page, "#gene/BRAF")
        rows = table(here.page, "Most similar") + table(here.page, "Most opposite")[::-1]
        assert [(row["name"], int(row["rank"])) for row in rows] == expected
        go(here.page, "#compound/Sorafenib")
        go(here.page, "#list/BRAF,RAF1,ABL1")
        assert here.page.get_by_role("img", name="Cosines of 3 rows").count() == 1


def test_a_map_of_one_row_has_a_page(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "one.html"
    map_ = Map(
        Perturbations(["CRISPR"], ["ONLY"], np.array([math.nan])), np.ones((1, 4)), np.ones(1, dtype=np.int64)
    )
    write_page(path, gather("one", map_, Knowledge(), Choices(), provenance={}))
    with visit(browser, path) as here:
        ready(here.page)
        for address in ("#gene/ONLY", "#list/ONLY", "#map", "#plates", "#about", "#nowhere"):
            go(here.page, address)
        go(here.page, "#gene/ONLY")
        assert here.page.get_by_text("There is no gene with a vector to compare with.").is_visible()


@pytest.mark.slow
def test_axe_finds_nothing(browser: Any, page_path: Path, page: Held, axe: str) -> None:
    """All rules in the light; in the dark, where only colors differ, those of contrast."""
    plates = page.document["plates"]
    plate = plates["plates"][0]
    batch = plates["batches"][plate["batch"]]["name"]
    few = {name: f"{VIEWS[name]}{'&' if '?' in VIEWS[name] else '?'}top=2" for name in ("gene", "compound")}
    views = {**VIEWS, **few, "plates": f"#plates/{quote(batch, safe='')}/{quote(plate['name'], safe='')}"}
    failed = "resultTypes: ['violations']"  # what passed need not be told, which halves the time
    every = (
        ("light", f"{{{failed}}}", tuple(views)),
        ("dark", f"{{{failed}, runOnly: ['color-contrast']}}", ("map", "list")),
    )
    for scheme, rules, names in every:
        with visit(browser, page_path, color_scheme=scheme) as here:
            ready(here.page)
            here.page.set_default_timeout(60_000)
            here.page.evaluate(axe)
            for name in names:
                go(here.page, views[name])
                run = f"axe.run(document, {rules})"  # of thousands of nodes only those that failed are told
                found = here.page.evaluate(f"{run}.then(r => r.violations.map(v => [v.id, v.nodes[0].html]))")
                assert found == [], (scheme, name)


def test_colors_follow_the_system_and_the_switch(browser: Any, page_path: Path) -> None:
    ground = "() => getComputedStyle(document.body).backgroundColor"
    with visit(browser, page_path, color_scheme="dark") as here:
        ready(here.page)
        dark = here.page.evaluate(ground)
        go(here.page, VIEWS["list"])
        cell = "() => getComputedStyle(document.querySelector('.plot rect:nth-of-type(2)')).fill"
        before = here.page.evaluate(cell)
        here.page.get_by_role("button", name="Light colors").click()
        assert (dark, here.page.evaluate(ground)) == ("rgb(20, 23, 27)", "rgb(255, 255, 255)")
        assert here.page.evaluate(cell) != before
        assert here.page.locator(".lead, .small").first.evaluate(CONTRAST) >= 4.5


def test_a_phone_needs_no_sideways_scrolling(browser: Any, page_path: Path) -> None:
    with visit(browser, page_path, viewport={"width": 390, "height": 844}) as here:
        ready(here.page)
        for address in VIEWS.values():
            go(here.page, address)
            assert here.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address


def test_the_policy_stops_other_scripts_and_every_request(browser: Any, page_path: Path) -> None:
    context = browser.new_context()
    with socket.create_server(("127.0.0.1", 0)) as server, closing(context):
        server.settimeout(0.2)
        page = context.new_page()
        page.goto(page_path.as_uri())
        ready(page)
        got = page.evaluate(
            """async (url) => {
                const script = document.createElement('script');
                script.textContent = 'window.bad = true';
                document.body.append(script);
                const image = new Image();
                image.src = `${url}x.png`;
                const answer = await fetch(url).then(() => 'sent', () => 'stopped');
                return [Boolean(window.bad), answer];
            }""",
            f"http://127.0.0.1:{server.getsockname()[1]}/",
        )
        assert got == [False, "stopped"]
        with pytest.raises(TimeoutError):
            server.accept()
