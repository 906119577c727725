"""The page in a real browser: what a reader sees, clicks, types, prints and hears."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx.predictions import Predictions
from polaris_rxrx.report.figures import draw
from polaris_rxrx.report.material import Material, gather
from polaris_rxrx.report.page import write_page
from polaris_rxrx.scoring import score
from polaris_rxrx.task import Task
from tests.report.browser import CONTRAST, visit

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "{{7*7}}",
    "javascript:alert(1)",
    "two\nlines",
    "\u202eright to left\u202c אבג",
    "&lt;b&gt; \"quoted\" 'so'",
    "ends with \u2028 a separator",
    "a very long name " * 12 + "end",
    "W" * 180,
)
PLAIN = ("Abemaciclib", "dabrafenib", "Eugenol", "NA", "Zolpidem")
GENES = ("BRAF", "braf2", "<b>GENE</b>", "MARCH1", "EGFR", "TP53", "A,B", "MTOR")
OTHER = "<i>other</i>.csv"
NO_ACTIVE, ALL_ACTIVE = "No active", "Only actives"


@pytest.fixture(scope="module")
def material(make_task: Callable[..., Task], _plots: Path) -> Iterator[Material]:
    """Names at their worst, ties, a pair without a label, treatments without a metric."""
    rng = np.random.default_rng(7)
    pairs: list[tuple[str, str, float | None]] = []
    for i, name in enumerate((*HOSTILE, *PLAIN)):
        pairs += [(name, gene, float((j + i) % 3 == 0)) for j, gene in enumerate(GENES)]
    pairs += [(NO_ACTIVE, gene, 0.0) for gene in GENES[:3]]
    pairs += [(ALL_ACTIVE, gene, 1.0) for gene in GENES[:3]]
    pairs[0] = (*pairs[0][:2], None)
    task = make_task(pairs)
    truth = np.array([a or 0.0 for *_, a in pairs])
    scores = [
        score(task, Predictions(values, f"{name}.csv", "0" * 64))
        for name, values in (
            ("mine", np.round(truth * 0.4 + rng.random(len(pairs)), 1)),  # many ties
            ("other", rng.random(len(pairs))),
            ("third", np.round(rng.random(len(pairs)), 2)),
        )
    ]
    smiles = {
        "Abemaciclib": "CCO",
        HOSTILE[0]: "CC(=O)O",
        HOSTILE[1]: "not <a> SMILES",
        "Eugenol": "c1ccccc1",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", str(_plots))
        names = ["mine.csv", OTHER, "third.csv"]
        yield gather(task, scores[0], against=scores[1:], names=names, smiles=smiles, resamples=200, most=8)


@pytest.fixture(scope="module")
def report(material: Material, tmp_path_factory: pytest.TempPathFactory, _plots: Path) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", str(_plots))
        write_page(path, material, draw(material))
    return path


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    """The report, opened; at the end nothing may have been said or asked for."""
    with visit(browser, report) as here:
        yield here.page


NAMES = "rows => rows.filter(r => !r.classList.contains('detail') && r.checkVisibility()).map(r => r.cells[0]"
SHOWN = NAMES + ".querySelector('bdi').textContent)"


def open_all(page: Any) -> None:
    page.locator("#table .open").evaluate_all("buttons => buttons.forEach(button => button.click())")


def shown(page: Any) -> list[str]:
    names: list[str] = page.eval_on_selector_all("#table > tbody > tr", SHOWN)
    return names


def by_name(material: Material) -> list[str]:
    return sorted(material.score.treatments, key=lambda name: (name.casefold(), name))


def column(material: Material, place: int) -> dict[str, float]:
    """A numeric column of the table by treatment, from the scores themselves."""
    groups = material.score.groups
    chance = [
        material.score.columns()[c] for c in ("chance_average_precision", "normalised_average_precision")
    ]
    values: list[Any] = [
        groups.n_pairs,
        groups.n_active,
        groups.average_precision,
        *chance,
        groups.auroc,
        *(other.groups.average_precision for other in material.against),
    ]
    return dict(zip(material.score.treatments, map(float, values[place - 1]), strict=True))


def sorted_names(material: Material, place: int, *, falling: bool) -> list[str]:
    names = by_name(material)
    if place == 0:
        return names[::-1] if falling else names
    values = column(material, place)
    return sorted(
        names,
        key=lambda n: (math.isnan(values[n]), 0 if math.isnan(values[n]) else values[n] * (1 - 2 * falling)),
    )


def test_it_opens_quietly_and_alone(browser: Any, report: Path) -> None:
    with visit(browser, report) as here:
        assert here.asked[0] == here.url
        assert here.page.locator("h1").inner_text().startswith("mine.csv on")
        open_all(here.page)
        here.page.locator("#table .open[aria-expanded=true]").last.wait_for()


@pytest.mark.parametrize("key", ["click", "Enter", "Space"])
def test_every_column_sorts(page: Any, material: Material, key: str) -> None:
    heads = page.locator("#table > thead .sort")
    assert heads.count() == 7 + len(material.against)
    assert shown(page) == by_name(material)
    undefined = {n for n, v in column(material, 3).items() if math.isnan(v)}
    assert undefined == {NO_ACTIVE}
    # A key presses a button in any column alike: in the first, in one of numbers, in the last.
    for place in range(heads.count()) if key == "click" else (0, 3, heads.count() - 1):
        for falling in (True, False):  # names stand from A to Z at first, numbers begin with the highest
            if key == "click":
                heads.nth(place).click()
            else:
                heads.nth(place).focus()
                page.keyboard.press(key)
            assert shown(page) == sorted_names(material, place, falling=falling)
            said = page.eval_on_selector_all(
                "#table > thead th[aria-sort]", "t => t.map(e => [e.cellIndex, e.ariaSort])"
            )
            assert said == [[place, "descending" if falling else "ascending"]]
            if place == 3:
                assert shown(page)[-1] == NO_ACTIVE
    assert page.locator("#shown").inner_text().startswith("Sorted by AP of third")


def test_the_filter_narrows_and_says_how_many_are_left(page: Any, material: Material) -> None:
    every = by_name(material)
    box, status = page.get_by_label("Filter by compound or active gene"), page.locator("#shown")
    assert status.get_attribute("aria-live") == "polite"
    assert status.inner_text() == f"All {len(every)} treatments shown."
    box.fill("ABEMA")
    assert shown(page) == ["Abemaciclib"]
    assert status.inner_text() == f"1 of {len(every)} treatments shown."
    page.keyboard.press("Enter")  # asks nothing of anybody
    box.fill("egfr")
    active = {
        t
        for t, g, a in zip(material.task.treatment, material.task.gene_symbol, truth(material), strict=True)
        if g == "EGFR" and a == 1
    }
    assert 0 < len(active) < len(every)
    assert shown(page) == [n for n in every if n in active]
    box.fill("<script")
    assert shown(page) == [n for n in every if "<script" in n]
    page.locator("#table > thead .sort").nth(3).click()  # stays filtered
    assert sorted(shown(page)) == sorted(n for n in every if "<script" in n)
    box.fill("nothing is called so")
    assert shown(page) == []
    assert status.inner_text() == f"0 of {len(every)} treatments shown."
    box.fill("")
    assert len(shown(page)) == len(every)


def truth(material: Material) -> list[float]:
    assert material.task.active is not None
    labels: list[float] = material.task.active.tolist()
    return labels


def test_opening_a_treatment_shows_its_genes_and_its_curves(page: Any, material: Material) -> None:
    score_ = material.score
    values = score_.predictions.values
    precision, auroc = column(material, 3), column(material, 6)
    labels = {1.0: "active", 0.0: "not active"}
    first = page.locator("#table .open").first
    first.focus()
    page.keyboard.press("Enter")
    assert first.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Space")
    assert first.get_attribute("aria-expanded") == "false"
    assert not page.locator("#table .detail").first.is_visible()
    open_all(page)
    details = page.locator("#table .open").evaluate_all(
        """buttons => buttons.map(button => {
            const detail = document.getElementById(button.getAttribute('aria-controls'));
            const texts = (query) => [...detail.querySelectorAll(query)].map(e => e.textContent);
            const rows = [...detail.querySelectorAll('.genes tbody tr')];
            return {
                open: button.ariaExpanded === 'true' && detail.checkVisibility(),
                under: detail.previousElementSibling === button.closest('tr'),
                genes: rows.map(row => [...row.cells].map(cell => cell.textContent)),
                told: texts('figcaption'),
                lines: texts('svg path.line').length,
            };
        })"""
    )
    for name, detail in zip(by_name(material), details, strict=True):
        own = [i for i, t in enumerate(material.task.treatment) if t == name]
        own.sort(key=lambda i: (-values[i], material.task.gene_symbol[i]))
        seen = detail["genes"]
        assert detail["open"] and detail["under"]
        assert [row[1] for row in seen] == [material.task.gene_symbol[i] for i in own]
        assert [float(row[2]) for row in seen] == pytest.approx([values[i] for i in own], rel=1e-5)
        assert [row[3] for row in seen] == [labels.get(truth(material)[i], "no label") for i in own]
        for i, row in zip(own, seen, strict=True):
            higher = sum(values[j] > values[i] for j in own)
            equal = sum(values[j] == values[i] for j in own)
            assert row[0] == (f"{higher + 1}" if equal == 1 else f"{higher + 1}–{higher + equal}")
        expected = [f"AP {precision[name]:.3f}"] * (precision[name] == precision[name])
        expected += [f"AUROC {auroc[name]:.3f}"] * (auroc[name] == auroc[name])
        assert detail["told"] == expected and detail["lines"] == len(expected)


def test_the_curve_drawn_has_the_area_that_is_told(page: Any, material: Material) -> None:
    """The steps' area, from the very path on the screen."""
    page.get_by_role("button", name="dabrafenib").click()
    curves = page.locator(".detail path.line").evaluate_all("paths => paths.map(p => p.getAttribute('d'))")
    for path, place in zip(curves, (3, 6), strict=True):
        points = np.array([p.split() for p in path[1:].replace("M", "L").split("L")], dtype=float)
        x, y = (points[:, 0] - 34) / 130, 1 - (points[:, 1] - 8) / 130
        area = float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))
        assert area == pytest.approx(column(material, place)["dabrafenib"], abs=2e-3)


def test_hostile_names_stay_names(page: Any, material: Material) -> None:
    open_all(page)
    heads = page.locator("#table > tbody > tr > th bdi").all_inner_texts()
    content = page.locator("#table > tbody > tr > th bdi").evaluate_all("e => e.map(b => b.textContent)")
    assert content == by_name(material) and len(heads) == len(content)
    assert page.locator("[onerror], script:not([type]) ~ script, img[src=x]").count() == 0
    assert page.locator("script").count() == 2
    everything = page.evaluate("[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())")
    assert not [name for name in everything if name.startswith("on")]
    assert page.locator("a").evaluate_all("links => links.every(a => a.getAttribute('href').startsWith('#'))")
    text = page.locator("main").evaluate("e => e.textContent")
    for name in (*HOSTILE, *GENES, OTHER, "not <a> SMILES"):
        assert name in text
    assert "49" not in page.locator("#compounds").inner_text()  # {{7*7}}
    assert page.get_by_text("49", exact=True).count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colors_follow_the_system_and_can_be_read(browser: Any, report: Path, scheme: str) -> None:
    with visit(browser, report, color_scheme=scheme) as here:
        page = here.page
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
        page.locator("#table .open").first.click()
        texts = page.locator(
            "p, dt, dd, li, h1, h2, h3, h4, a, th, td, caption, figcaption, button, label, strong, code"
        )
        poor = texts.evaluate_all(
            f"all => all.filter(e => e.checkVisibility() && ({CONTRAST})(e) < 4.5).map(e => e.outerHTML)"
        )
        assert poor == []
        # The figures' text and lines take part.
        inks = page.locator("figure .plot svg text").evaluate_all(
            "all => all.map(e => getComputedStyle(e).fill)"
        )
        body = page.evaluate("getComputedStyle(document.body).color")
        assert body in inks and len(inks) > 20


def test_the_colors_can_be_changed(browser: Any, report: Path) -> None:
    with visit(browser, report, color_scheme="light") as here:
        ground = "getComputedStyle(document.body).backgroundColor"
        button = here.page.get_by_role("button", name="Dark colors")
        button.click()
        assert here.page.evaluate(ground) == "rgb(20, 23, 27)"
        here.page.get_by_role("button", name="Light colors").click()
        assert here.page.evaluate(ground) == "rgb(255, 255, 255)"
        here.page.emulate_media(color_scheme="dark")  # what was chosen stays
        assert here.page.evaluate(ground) == "rgb(255, 255, 255)"
        here.page.reload()  # and is forgotten
        assert here.page.evaluate(ground) == "rgb(20, 23, 27)"


def test_print_is_light_and_whole(browser: Any, report: Path, material: Material) -> None:
    with visit(browser, report, color_scheme="dark") as here:
        page = here.page
        page.locator("#table .open").nth(2).click()
        page.locator("#table .open").nth(2).click()
        page.locator("#table .open").nth(1).click()
        page.get_by_label("Filter by compound").fill("Abema")
        assert len(shown(page)) == 1
        page.emulate_media(media="print")
        assert len(shown(page)) == len(material.score.treatments)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert page.locator("#table .detail").evaluate_all("all => all.every(e => !e.checkVisibility())")
        for control in ("nav", "#theme", "#filter", "#shown", ".skip"):
            assert not page.locator(control).first.is_visible()
        boxes = page.locator(".scroll, .plot").evaluate_all(
            "all => all.map(e => getComputedStyle(e).overflowX)"
        )
        assert boxes and set(boxes) == {"visible"}
        assert (
            page.locator("#table > thead").evaluate("e => getComputedStyle(e).display")
            == "table-header-group"
        )
        # Chromium repeats a head on every page only if no button is in it.
        buttons = page.locator("#table > thead .sort").evaluate_all(
            "all => all.map(e => getComputedStyle(e).display)"
        )
        assert buttons and set(buttons) == {"contents"}
        assert page.pdf(format="A4").startswith(b"%PDF-")


@pytest.mark.parametrize("width", [360, 768])
def test_a_narrow_window_never_scrolls_sideways(browser: Any, report: Path, width: int) -> None:
    with visit(browser, report, viewport={"width": width, "height": 740}) as here:
        open_all(here.page)
        assert here.page.evaluate("document.documentElement.scrollWidth") <= width
        here.page.evaluate("window.scrollTo(500, 0)")
        assert here.page.evaluate("window.scrollX") == 0


def test_the_keyboard_reaches_everything(page: Any) -> None:
    page.locator("#table .open").first.click()
    page.evaluate("document.activeElement.blur()")
    wanted = page.evaluate(
        """() => {
            const found = [...document.querySelectorAll('a[href], button, input, summary, [tabindex="0"]')]
                .filter(e => e.checkVisibility());
            found.forEach((e, i) => { e.dataset.stop = i; });
            return found.length;
        }"""
    )
    page.evaluate("window.getSelection().removeAllRanges(); window.scrollTo(0, 0)")
    page.locator("body").evaluate("e => { e.tabIndex = -1; e.focus(); e.removeAttribute('tabindex'); }")
    page.evaluate(  # what a Tab reaches is noted there, and asked for once
        """() => {
            window.reached = [];
            document.addEventListener('focusin', (event) => window.reached.push(
                [event.target.dataset.stop, getComputedStyle(event.target).outlineStyle]));
        }"""
    )
    for _ in range(wanted):
        page.keyboard.press("Tab")
    reached = page.evaluate("window.reached")
    assert reached == [[str(stop), "solid"] for stop in range(wanted)] and wanted > 40


def test_the_skip_links_go_where_they_say(page: Any) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the answer"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "answer"


def test_the_document_is_well_formed_for_assistive_software(page: Any) -> None:
    open_all(page)
    found = page.evaluate(
        """() => {
            const all = (query) => [...document.querySelectorAll(query)];
            const ids = all('[id]').map(e => e.id);
            const names = ['aria-labelledby', 'aria-describedby', 'aria-controls'];
            return {
                lang: document.documentElement.lang,
                title: document.title,
                landmarks: ['header', 'nav', 'main', 'footer'].map(n => all(`body > ${n}`).length),
                headings: all('h1, h2, h3, h4').map(e => Number(e.tagName[1])),
                images: all('img').map(e => e.getAttribute('alt')),
                unlabelled: all('input').filter(e => e.labels.length === 0).length,
                nameless: all('button, a, summary').filter(e => !e.textContent.trim()).length,
                regions: all('[role=region]:not([aria-label]):not([aria-labelledby])').length,
                svgs: all('svg').filter(e => !e.closest('[role=img][aria-label]')).length,
                captions: all('main table').filter(e => !e.caption && !e.closest('.genes')).length,
                scopes: all('th:not([scope])').length,
                twice: ids.filter((id, i) => ids.indexOf(id) !== i),
                dangling: names.flatMap(n => all(`[${n}]`).flatMap(e => e.getAttribute(n).split(' ')))
                    .filter(id => !document.getElementById(id)),
                anchors: all('a').map(a => a.hash.slice(1)).filter(id => !document.getElementById(id)),
            };
        }"""
    )
    assert found["lang"] == "en" and found["title"]
    assert found["landmarks"] == [1, 1, 1, 1]
    assert found["headings"][0] == 1 and found["headings"].count(1) == 1
    steps = np.diff(found["headings"])
    assert steps.max() <= 1
    assert len(found["images"]) == 3 and all(found["images"])
    for nothing in ("unlabelled", "nameless", "regions", "svgs", "captions", "scopes"):
        assert found[nothing] == 0, nothing
    for nothing in ("twice", "dangling", "anchors"):
        assert found[nothing] == [], nothing


def test_pictures_are_drawn(page: Any) -> None:
    sizes = page.locator("img").evaluate_all("all => all.map(e => [e.complete, e.naturalWidth > 50])")
    assert sizes == [[True, True]] * 3


def test_without_javascript_everything_stands_there(browser: Any, report: Path, material: Material) -> None:
    with visit(browser, report, java_script_enabled=False) as here:
        page = here.page
        assert page.locator("#table > tbody > tr").count() == len(material.score.treatments)
        assert page.get_by_text("need JavaScript").is_visible()
        assert page.locator("button:visible, input:visible").count() == 0


def test_the_policy_stops_other_scripts_and_every_request(browser: Any, report: Path) -> None:
    context = browser.new_context()
    with socket.create_server(("127.0.0.1", 0)) as server, closing(context):
        server.settimeout(0.2)
        page = context.new_page()
        page.goto(report.as_uri())
        got = page.evaluate(
            """async (url) => {
                const script = document.createElement('script');
                script.textContent = 'window.bad = true';
                document.body.append(script);
                const holder = document.createElement('div');
                holder.innerHTML = `<img src="${url}x.png"><a onclick="window.bad = true">press</a>`;
                document.body.append(holder);
                holder.querySelector('a').click();
                const answer = await fetch(url).then(() => 'sent', () => 'stopped');
                return [Boolean(window.bad), answer];
            }""",
            f"http://127.0.0.1:{server.getsockname()[1]}/",
        )
        assert got == [False, "stopped"]
        with pytest.raises(TimeoutError):
            server.accept()


def test_motion_is_spared_on_request(browser: Any, report: Path) -> None:
    smooth = "getComputedStyle(document.documentElement).scrollBehavior"
    with visit(browser, report, reduced_motion="reduce") as here:
        assert here.page.evaluate(smooth) == "auto"
    with visit(browser, report, reduced_motion="no-preference") as here:
        assert here.page.evaluate(smooth) == "smooth"
