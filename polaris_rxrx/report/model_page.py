"""A model's report as one HTML page; frame, style, policy and colors are those of `polaris_rxrx.report.page`.

Conventions
    Every number has a sentence that says what it means, below its table. Every protocol is in a drawer (an
    element that opens), so is what is published under other protocols.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polaris_rxrx.files import write_text
from polaris_rxrx.present.html import fixed, signed, span
from polaris_rxrx.present.numbers import count, p_value
from polaris_rxrx.report import findings
from polaris_rxrx.report.model import ModelMaterial
from polaris_rxrx.report.model_paired import Paired
from polaris_rxrx.report.model_parts import Beside, Grid
from polaris_rxrx.report.page import CITATION, fill

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_PUBLISHED = (("Model", ""), ("Figure", ""), ("Source", ""), ("Value", ""), ("Spread", ""))
OF_DIFFERENCES = (
    ("Measure", "What is paired; each model's own value over the pairs that both have stands beside"),
    ("Pairs", "Compounds, relations or perturbations that both models have"),
    ("Here", "The mean of the model that this page is about"),
    ("There", "The mean of the other"),
    ("Difference", "Here less there, mean over pairs"),
    (
        "95% interval",
        "Over pairs: of relations with the genes that they share, of others as if they were independent",
    ),
    ("p", "Two-sided; of relations normal, of others by flipping signs"),
    ("p (Holm)", "Corrected over all rows of the table"),
    ("Verdict", "Higher or lower where p (Holm) is below 0.05; else a difference was not shown"),
)


def write_model_page(path: Path, material: ModelMaterial, figures: Mapping[str, Figure]) -> None:
    """Write the page; a file that is there is replaced."""
    write_text(path, render_model(material, figures))


def render_model(material: ModelMaterial, figures: Mapping[str, Figure]) -> str:
    """The page as text.

    Args:
        material: What it says.
        figures: What `polaris_rxrx.report.model_figures.draw` made of it.
    """
    return fill("model.html.j2", ("theme.js",), _context(material), figures)


def _context(material: ModelMaterial) -> dict[str, Any]:
    """Everything the template names, but for what `fill` itself adds."""
    drawers = [(name, findings.flat(protocol)) for s in material.sections for name, protocol in s.protocols]
    return {
        "m": material,
        "title": material.title,
        "skip": "the main figures",
        "made_up": material.made_up,
        "contents": _contents(material),
        "lead": f"What {count(len(material.sections), 'suite')} of benchmarks say about {material.names[0]}.",
        "beside": {s.suite: _published(s.beside) for s in material.sections},
        "apart": {s.suite: _apart(s.beside) for s in material.sections},
        "known": {
            s.suite: list(dict.fromkeys(k for row in s.beside if not row.unlike for k in row.known))
            for s in material.sections
        },
        "paired": [(p, _grids(p)) for p in material.paired],
        "drawers": drawers,
        "citation": CITATION,
    }


def _contents(material: ModelMaterial) -> list[tuple[str, str]]:
    found = [("key", "Main figures")]
    found += [(s.suite, s.title) for s in material.sections]
    found += [("map", "The map")] * bool(material.map_rows)
    found += [("paired", "Against other models")] * bool(material.paired)
    found += [("protocols", "Protocols"), ("notes", "What is left out")]
    return found


def _published(rows: Sequence[Beside]) -> Grid | None:
    """The published rows of the result's own protocol."""
    found = [r for r in rows if not r.unlike]
    cells = tuple(_row(r) for r in found)
    return Grid("Published, of the same protocol", OF_PUBLISHED, cells, left=3) if cells else None


def _apart(rows: Sequence[Beside]) -> list[tuple[str, list[str], Grid]]:
    """Those of other protocols, a table a source: its name, what differs, its rows."""
    found: dict[str, list[Beside]] = {}
    for row in rows:
        if row.unlike:
            found.setdefault(row.table, []).append(row)
    return [
        (
            of[0].source,
            list(of[0].unlike),
            Grid(of[0].source, OF_PUBLISHED, tuple(_row(r) for r in of), left=3),
        )
        for of in found.values()
    ]


def _row(row: Beside) -> tuple[str, ...]:
    figure = row.quantity.replace("_", " ") + (f", {row.at}" if row.at else "")
    spread = "–" if row.spread is None else f"± {fixed(row.spread)} ({row.spread_kind})"
    return row.model, figure, f"{row.source} ({row.grade})", fixed(row.value), spread


def _grids(paired: Paired) -> list[Grid]:
    """The differences, and those by concentration."""
    found = []
    if paired.differences:
        rows = tuple(
            (
                d.what,
                f"{count(d.n, d.of.removesuffix('s'))}",
                fixed(d.ours),
                fixed(d.theirs),
                signed(d.mean),
                span(d.interval),
                _p(d.p_value),
                _p(d.p_corrected),
                d.verdict,
            )
            for d in paired.differences
        )
        found.append(Grid(f"{paired.name} against {paired.other}", OF_DIFFERENCES, rows))
    if paired.by_dose:
        heads = (
            ("Dose", "Concentration in µM; max is the largest similarity over the concentrations"),
            ("Draws", "Draws of negatives, the same for both"),
            ("AP, difference", "Here less there, mean over draws"),
            ("sd", "Over draws: of other negatives alone, not of other compounds"),
            ("AUROC, difference", "Likewise"),
            ("AUROC sd", "Likewise"),
        )
        by_dose = tuple(
            (
                d.dose,
                f"{d.n_draws:,}",
                signed(d.average_precision),
                fixed(d.average_precision_sd),
                signed(d.auroc),
                fixed(d.auroc_sd),
            )
            for d in paired.by_dose
        )
        found.append(Grid("By concentration, on the same draws", heads, by_dose))
    return found


def _p(p: float) -> str:
    return "–" if p != p else p_value(p)
