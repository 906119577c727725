"""The report as one HTML page that needs nothing beside it: no network, no other file.

Conventions
    Text from data is escaped by the template and set by the script as text; nothing of it is ever markup. The
    policy in the page's head allows its own script alone (by its hash), pictures within the page, and no
    connection. The same material and figures give the same bytes.
    Without JavaScript the page is whole but for sorting, filtering and the curves of single treatments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polaris_rxrx._version import __version__
from polaris_rxrx.files import write_text
from polaris_rxrx.metrics import PR_AUC
from polaris_rxrx.present import html
from polaris_rxrx.present.numbers import count, p_value, percent
from polaris_rxrx.present.page import as_file, colors, environment, policy
from polaris_rxrx.report import findings, structures
from polaris_rxrx.report import rows as table_rows
from polaris_rxrx.report.figures import inline_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from polaris_rxrx.report.material import Material

CITATION = (
    "Kraus, Comitani, Urbanik, Kenyon-Dean, Arumugam, Saberian, Wognum, Celik and Haque: RxRx3-core: "
    "Benchmarking drug-target interactions in High-Content Microscopy. arXiv 2503.20158 (2025), "
    "https://arxiv.org/abs/2503.20158"
)


@dataclass(frozen=True)
class CompoundCard:
    """A compound among the hardest or the easiest."""

    name: str
    picture: str
    smiles: str
    precision: str
    chance: str
    counts: str


def write_page(path: Path, material: Material, figures: Mapping[str, Figure]) -> None:
    """Write the page; a file that is there is replaced."""
    write_text(path, render(material, figures))


def render(material: Material, figures: Mapping[str, Figure]) -> str:
    """The page as text.

    Args:
        material: What it says.
        figures: What `polaris_rxrx.report.figures.draw` made of it.
    """
    return fill("page.html.j2", ("page.js", "theme.js"), _context(material), figures)


def fill(
    template: str, scripts: Sequence[str], context: Mapping[str, Any], figures: Mapping[str, Figure]
) -> str:
    """A template of this folder, filled: style, scripts and figures within it.

    Args:
        template: Its name.
        scripts: The names of its scripts, which run in this order.
        context: What the template names, but for what is added here.
        figures: By the names that the template has for them.
    """
    here = resources.files("polaris_rxrx.report") / "templates"
    templates = environment(here)
    templates.filters.update(
        fixed=html.fixed,
        signed=html.signed,
        span=html.span,
        p=p_value,
        spread=findings.spread_text,
        sentence=findings.sentence,
    )
    script = "\n".join((here / name).read_text("utf-8") for name in scripts)
    page = templates.get_template(template).render(
        context,
        version=__version__,
        figures={name: inline_svg(figure) for name, figure in figures.items()},
        style=colors() + (here / "page.css").read_text("utf-8"),
        script=script,
        policy=policy(script, "data:"),
    )
    return as_file(page)


def made_up(provenance: Mapping[str, Any]) -> bool:
    """Whether anything that went in was drawn by `polaris-rxrx demo`."""
    return any(
        (key == "made_up" and value is True) or (isinstance(value, Mapping) and made_up(value))
        for key, value in provenance.items()
    )


def _context(material: Material) -> dict[str, Any]:
    """Everything the template names, but for what `render` itself adds."""
    score, u = material.score, material.uncertainty
    made = table_rows.rows(material)
    pictures = structures.draw_structures(material.smiles, (*material.hardest, *material.easiest))
    compounds = {row.name: _compound(row, material, pictures) for row in made}
    return {
        "m": material,
        "title": material.title,
        "skip": "the answer",
        "made_up": made_up(material.provenance),
        "level": percent(u.level),
        "lead": f"Mean average precision {html.fixed(u.pr_auc.value)} ({percent(u.level)} interval "
        f"{html.span(u.pr_auc.interval)}) over {count(score.n_scored_pr_auc, 'treatment')}, where "
        f"chance is {html.fixed(u.pr_auc.chance)}.",
        "notes": [text for text in material.notes if text not in score.notes],
        "contents": _contents(material),
        "key_figures": findings.key_figures(material),
        "answers": findings.answers(material),
        "scale_alt": f"{html.fixed(u.pr_auc.value)} against chance at {html.fixed(u.pr_auc.chance)}"
        f"{_referred(material)}.",
        "above": _above(material),
        "pooled_ap": _pooled(material, "average_precision", "Average precision"),
        "pooled_auroc": _pooled(material, "auroc", "AUROC"),
        "protocols": list(dict.fromkeys((r.source, r.protocol) for r in material.references)),
        "columns": table_rows.columns(material),
        "rows": made,
        "count_shown": f"All {count(len(made), 'treatment')} shown.",
        "left_out_head": f"{count(len(score.left_out), 'treatment')} left out of a mean",
        "doses_alt": ", ".join(curve.treatment for curve in material.doses) + ".",
        "hardest": [compounds[name] for name in material.hardest],
        "easiest": [compounds[name] for name in material.easiest],
        "picture_size": structures.SIZE,
        "terms": findings.terms(material),
        "provenance": findings.flat(material.provenance),
        "citation": CITATION,
        "data": html.json_block(table_rows.embedded(material, made)),
    }


def _contents(material: Material) -> list[tuple[str, str]]:
    found = [
        ("answer", "The answer", True),
        ("scale", "Beside published scores", True),
        ("comparison", "Compared with others", material.comparison is not None),
        ("distribution", "Treatment by treatment", True),
        ("curves", "All pairs pooled", True),
        ("treatments", "All treatments", True),
        ("breakdown", "Which pairs are found", bool(material.target_classes or material.potency)),
        ("doses", "By concentration", bool(material.doses)),
        ("compounds", "Hardest and easiest", bool(material.hardest or material.easiest)),
        ("method", "How this was done", True),
        ("notes", "What is left out", bool(set(material.notes) - set(material.score.notes))),
    ]
    return [(place, text) for place, text, there in found if there]


def _compound(row: table_rows.TreatmentRow, material: Material, pictures: Mapping[str, str]) -> CompoundCard:
    pairs, active, precision, chance = row.cells[:4]
    return CompoundCard(
        row.name,
        pictures.get(row.name, ""),
        material.smiles.get(row.name, ""),
        precision,
        chance,
        f"{active} active of {count(int(pairs), 'pair')}",
    )


def _referred(material: Material) -> str:
    told = ", ".join(f"{r.model} {html.fixed(r.value)}" for r in material.references)
    return f"; published: {told}" if told else ""


def _above(material: Material) -> str:
    ap = material.score.groups.average_precision
    chance = PR_AUC.chance(material.score.groups)
    defined = ~np.isnan(ap)
    n = int(np.sum(ap[defined] > chance[defined] + 1e-12))
    of = count(int(defined.sum()), "treatment")
    return f"{n:,} of {of} {'is' if n == 1 else 'are'} above what chance expects."


def _pooled(material: Material, value: str, title: str) -> str:
    told = [
        f"{name} {html.fixed(getattr(curve, value))}"
        for name, curve in zip(material.names, material.curves, strict=True)
    ]
    return f"{title}: {', '.join(told)}."
