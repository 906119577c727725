"""Figures: those there is material for, literal text, colors of the page, the same bytes each time."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from polaris_rxrx.cards import Recipe
from polaris_rxrx.dataset.affinities import Affinities
from polaris_rxrx.maps.build import Map
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.present.style import COLORS, PALETTE, drawing, literal, look
from polaris_rxrx.report.figures import draw, inline_svg, write
from polaris_rxrx.report.material import Material, gather
from polaris_rxrx.scoring import score
from polaris_rxrx.wells.metadata import Perturbations
from tests.conftest import _make_task

EVERY = ["scale", "treatments", "precision-recall", "roc", "comparison", "classes", "potency", "doses"]
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    r"$\frac{",
    r"$\frac{1}{2}$",
    "]]>",
    "--> & \"'",
    "#1a1a1a",
    "two\nlines",
    "NA",
    "乙 β",
    "bell\x07",
    "url(#a)",
    "_long_" * 20,
)
SETTINGS = {"font.size": 30, "svg.hashsalt": "other", "lines.linewidth": 9}  # of a user
GENES = ["BRAF", "$G$", "<b>", *(f"G{i}" for i in range(7))]


@functools.cache
def made(n_treatments: int, n_against: int, everything: bool = True) -> Material:
    """Treatments with hostile names first; the submission finds more than the others do."""
    rng = np.random.default_rng(0)
    names = [*HOSTILE, *(f"T{i}" for i in range(n_treatments))][:n_treatments]
    pairs = [(t, g, float(j <= i % 3)) for i, t in enumerate(names) for j, g in enumerate(GENES)]
    task = _make_task(pairs)
    active = task.active
    assert active is not None
    scores = [
        score(
            task,
            Predictions(
                rng.random(len(pairs)) + 0.5 * active * (i == 0),
                f"{HOSTILE[i]} and long enough to be cut {i}",
            ),
        )
        for i in range(n_against + 1)
    ]
    if not everything:
        return gather(task, scores[0], resamples=100)
    rows = [("CRISPR", g, np.nan) for g in GENES] + [
        ("COMPOUND", t, c) for t in names for c in (0.1, 1.0, 10.0)
    ]
    map_ = Map(
        Perturbations([r[0] for r in rows], [r[1] for r in rows], np.array([r[2] for r in rows])),
        rng.normal(size=(len(rows), 4)),
        np.ones(len(rows), dtype=np.int64),
    )
    affinities = Affinities({t: {"BRAF": 10.0**i} for i, t in enumerate(names[:4])}, (), Path("a.csv"), "", 4)
    return gather(
        task,
        scores[0],
        against=scores[1:],
        names=[s.predictions.source for s in scores],
        map_=map_,
        recipe=Recipe(concentrations=(0.1, 1.0, 10.0)),
        affinities=affinities,
        classes={"BRAF": "<script>", "$G$": "$x$"},
        resamples=100,
    )


@functools.cache
def drawn(n_treatments: int, n_against: int, everything: bool = True) -> Any:
    return draw(made(n_treatments, n_against, everything))


@functools.cache
def drawn_again() -> Any:
    """`drawn(5, 0, everything=False)` once more, where the user's settings are other ones."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        settings = dict(matplotlib.rcParams)
        figures = draw(made(5, 0, everything=False))
        assert dict(matplotlib.rcParams) == settings
    return figures


@functools.cache
def inlined(n_treatments: int = 13, n_against: int = 2) -> dict[str, str]:
    return {name: inline_svg(figure) for name, figure in drawn(n_treatments, n_against).items()}


def texts(svg: str) -> list[str]:
    return ["".join(e.itertext()) for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("text")]


def test_every_figure_in_the_order_of_a_report() -> None:
    assert list(drawn(13, 2)) == EVERY


def test_what_there_is_no_material_for_is_left_out() -> None:
    assert list(drawn(5, 0, everything=False)) == [
        "scale",
        "treatments",
        "precision-recall",
        "roc",
        "classes",
    ]


@pytest.mark.parametrize(("n_treatments", "n_against"), [(1, 1), (13, 2), (40, 7)])
def test_nothing_written_reaches_beyond_the_figure(n_treatments: int, n_against: int) -> None:
    from matplotlib.text import Text

    for name, figure in drawn(n_treatments, n_against).items():
        width, height = figure.bbox.size
        with drawing():
            figure.draw_without_rendering()  # ticks and titles get their places as they are drawn
            unseen = {id(t) for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) for t in beyond(axis)}
            for text in figure.findobj(Text):
                if text.get_visible() and text.get_text() and id(text) not in unseen:
                    box = text.get_window_extent()
                    inside = box.x0 >= -2 and box.x1 <= width + 2 and box.y0 >= -2 and box.y1 <= height + 2
                    assert inside, (name, text.get_text(), box)


def test_without_an_inactive_there_is_no_roc_curve() -> None:
    task = _make_task([("A", "x", 1.0), ("A", "y", 1.0), ("B", "x", 1.0)])
    figures = draw(gather(task, score(task, Predictions(np.arange(3.0), "x.csv")), resamples=100))
    assert list(figures) == ["scale", "treatments", "precision-recall", "classes"]


def beyond(axis: Any) -> list[Any]:
    """The labels of ticks that matplotlib keeps but does not draw: off the axis, or of a hidden panel."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [
        label
        for tick in ticks
        for label in (tick.label1, tick.label2)
        if not low <= tick.get_loc() <= high or not axis.axes.get_visible()
    ]


def test_names_are_drawn_as_they_are() -> None:
    rows = [t for t in texts(inlined()["treatments"]) if t]
    for name in HOSTILE:
        assert literal(name) in rows
    assert "two lines" in rows
    assert "bell\ufffd" in rows
    genes = texts(inlined()["doses"])
    assert "$G$" in genes and "<b>" in genes
    classes = texts(inlined()["classes"])
    assert "<script>" in classes and "$x$" in classes


def test_svg_is_xml_without_scripts_images_or_links() -> None:
    for name, svg in inlined().items():
        assert svg.startswith("<svg ")
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        assert root[0].tag.endswith("title") and root[0].text
        tags = {e.tag.removeprefix("{http://www.w3.org/2000/svg}") for e in root.iter()}
        assert tags <= {"svg", "title", "g", "defs", "path", "use", "text", "tspan", "clipPath", "rect"}, name
        assert "<script>" not in svg and "<img" not in svg
        for element in root.iter():
            assert not [a for a in element.attrib if a.lower().startswith("on")]
            assert element.get("href", "#").startswith("#")


def test_colors_are_the_pages_and_text_is_not_touched() -> None:
    for name, svg in inlined().items():
        styles = " ".join(e.get("style") or "" for e in ElementTree.fromstring(svg).iter())
        bare = re.sub(r"var\(--[a-z0-9]+, #[0-9a-f]{6}\)", "", styles)
        assert not re.findall(r"#[0-9a-f]{3,8}\b(?!\))", bare.replace("url(#", "")), name
        used = set(re.findall(r"var\((--[a-z0-9]+), (#[0-9a-f]{6})\)", styles))
        assert used <= set(PALETTE.items())
        assert {n for n, _ in used} >= {"--ink", "--muted", "--c0"}
        assert "font-family: inherit" in styles and "DejaVu" not in styles
    assert "#1a1a1a" in texts(inlined()["treatments"])  # a compound's name, not a color


def test_ids_of_two_figures_never_clash() -> None:
    seen: set[str] = set()
    for name, svg in inlined().items():
        root = ElementTree.fromstring(svg)
        ids = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
        assert len(ids) == len(set(ids))
        assert all(i.startswith(f"{name}-") for i in ids)
        assert not seen & set(ids)
        seen |= set(ids)
        referred = {
            v for e in root.iter() for a in e.attrib.values() for v in re.findall(r"url\(#([^)]+)\)", a)
        }
        referred |= {e.attrib["href"][1:] for e in root.iter() if "href" in e.attrib}
        assert referred == set(ids)


def test_no_color_alone_tells_submissions_apart() -> None:
    looks = [look(i) for i in range(42)]
    assert len({(x.color, x.marker) for x in looks}) == len({(x.color, str(x.dashes)) for x in looks}) == 42
    first = looks[: len(COLORS)]
    assert len({x.marker for x in first}) == len({str(x.dashes) for x in first}) == len(COLORS)


def test_verdicts_differ_by_shape() -> None:
    found = made(40, 7).comparison
    assert found is not None
    (forest, *_) = [ax for ax in drawn(40, 7)["comparison"].axes if "difference" in ax.get_xlabel()]
    shapes = {}
    points = [line for line in forest.lines if line.get_marker() != "None"]
    for d, point in zip(found.differences, points, strict=True):
        assert point.get_xdata()[0] == d.mean
        shapes[d.verdict] = point.get_marker()
    assert shapes["better"] == "^"


def test_the_scale_shows_the_score_its_interval_and_chance() -> None:
    material = made(13, 2)
    sure = material.uncertainty.pr_auc
    (ax,) = drawn(13, 2)["scale"].axes
    xs = [tuple(np.atleast_1d(line.get_xdata())) for line in ax.lines]
    assert (sure.value,) in xs
    assert (sure.interval.low, sure.interval.high) in xs
    assert (sure.chance, sure.chance) in xs
    for r in material.references:
        assert (r.value,) in xs
    assert "other protocols" in drawn(13, 2)["scale"].get_suptitle()


def test_one_treatment_is_drawn_without_intervals() -> None:
    (ax,) = drawn(1, 1)["scale"].axes
    assert all(np.isfinite(np.asarray(line.get_xdata(), dtype=float)).all() for line in ax.lines)
    assert "comparison" not in drawn(1, 1)


def test_many_treatments_are_a_histogram_of_all_of_them() -> None:
    (ax,) = drawn(40, 7)["treatments"].axes
    counts = [patch.get_data().values.sum() for patch in ax.patches]
    assert counts == [40] * 8


def test_the_users_settings_are_neither_used_nor_changed() -> None:
    import matplotlib

    before = inline_svg(drawn(5, 0, everything=False)["roc"])
    with matplotlib.rc_context(SETTINGS):
        settings = dict(matplotlib.rcParams)
        assert inline_svg(drawn_again()["roc"]) == before
        assert dict(matplotlib.rcParams) == settings


def test_a_figure_is_drawn_once_when_it_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was laid out when it was made; an engine that is left has it drawn twice, first for nothing."""
    figure = drawn(5, 0, everything=False)["roc"]
    draw_it, times = type(figure).draw, []
    monkeypatch.setattr(
        type(figure), "draw", lambda self, renderer: (times.append(1), draw_it(self, renderer))
    )
    inline_svg(figure)
    assert times == [1]


def test_writing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    write(drawn(5, 0, everything=False), tmp_path / "deep" / "one")
    write(drawn_again(), tmp_path / "deep" / "two")
    one, two = (
        {p.name: p.read_bytes() for p in (tmp_path / "deep" / name).iterdir()} for name in ("one", "two")
    )
    assert one == two
    assert set(one) == {
        f"{n}.{suffix}"
        for n in ("scale", "treatments", "precision-recall", "roc", "classes")
        for suffix in ("png", "svg")
    }
    for name, data in one.items():
        if name.endswith("png"):
            assert data.startswith(b"\x89PNG") and b"Software" not in data
            assert int.from_bytes(data[16:20], "big") == 1280  # 6.4 inches at 200 dpi
        else:
            ElementTree.fromstring(data)
            assert b"dc:date" not in data


def test_the_real_size_stays_small() -> None:
    rng = np.random.default_rng(0)
    task = _make_task([(f"T{t}", f"G{g}", float(g < 3)) for t in range(480) for g in range(24)])
    each = [score(task, Predictions(rng.random(len(task)), f"{i}.csv")) for i in range(6)]
    figures = draw(gather(task, each[0], against=each[1:], resamples=100))
    for name, figure in figures.items():
        assert len(inline_svg(figure).encode()) < 150_000, name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a  b\r\nc\td", "a b c d"),
        ("x" * 34, "x" * 34),
        ("begins " + "x" * 40 + " ends v2.csv", "begins xxxxxxxxxxxxxxx…ends v2.csv"),
        ("\u202egnp.exe\x00\ud800", "\ufffdgnp.exe\ufffd\ufffd"),
        ("", ""),
    ],
)
def test_literal_is_one_line_of_a_bounded_length(text: str, shown: str) -> None:
    assert literal(text) == shown
    assert len(literal(text)) <= 34
