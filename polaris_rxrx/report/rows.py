"""The table of treatments: its rows as text, and the data its script draws rankings and curves from.

Conventions
    Rows are sorted by name regardless of case. Columns are those of `columns`: counts, average precision,
    chance, normalized, AUROC, then the average precision of each submission the first is held against.
    In the data a treatment's pairs stand by falling score. `s` holds the scores to 6 significant digits, for
    reading; `b`, the sizes of the runs of equal scores, is taken from the exact ones, so that curves drawn
    from it are exact. It is absent where no two scores are equal. `a` has a letter a pair: 1 active, 0 not,
    - without a label (and not part of any curve). `n` is the treatment's name, `x` its SMILES where known,
    `v` the values of the columns, `g` the places of its genes in `genes`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from polaris_rxrx.metrics import PR_AUC
from polaris_rxrx.present.html import fixed
from polaris_rxrx.types import Floats

if TYPE_CHECKING:
    from polaris_rxrx.report.material import Material

_SORTED_BY = 12  # significant digits: far below any difference between two treatments' values


@dataclass(frozen=True)
class Column:
    """A numeric column: the name and title of its head, how many decimals its cells have, whose it is."""

    name: str
    title: str
    digits: int
    of: str = ""


@dataclass(frozen=True)
class TreatmentRow:
    """A treatment: its name, its code among the score's treatments, its values and how they are shown."""

    name: str
    code: int
    values: tuple[float, ...]
    cells: tuple[str, ...]


def columns(material: Material) -> list[Column]:
    """The numeric columns of the table."""
    return [
        Column("Pairs", "Genes with a label", 0),
        Column("Active", "Genes the compound acts on", 0),
        Column("AP", "Average precision", 3),
        Column("Chance", "Average precision that random scores expect", 3),
        Column("Normalized AP", "(AP − chance) / (1 − chance)", 3),
        Column("AUROC", "Area under the ROC curve; chance is 0.5", 3),
        *(Column("AP", f"Average precision of {name}", 3, name) for name in material.names[1:]),
    ]


def rows(material: Material) -> list[TreatmentRow]:
    """One row a treatment, sorted by name."""
    score = material.score
    ap, chance = score.groups.average_precision, PR_AUC.chance(score.groups)
    values = [
        score.groups.n_pairs,
        score.groups.n_active,
        ap,
        chance,
        PR_AUC.normalized(score.groups),
        score.groups.auroc,
        *(
            _of(other.treatments, other.groups.average_precision, score.treatments)
            for other in material.against
        ),
    ]
    digits = [column.digits for column in columns(material)]
    order = sorted(
        range(len(score.treatments)), key=lambda i: (score.treatments[i].casefold(), score.treatments[i])
    )
    made = []
    for i in order:
        own = tuple(float(column[i]) for column in values)
        cells = tuple(fixed(v, d) for v, d in zip(own, digits, strict=True))
        made.append(TreatmentRow(score.treatments[i], i, own, cells))
    return made


def _of(names: Sequence[str], values: Floats, wanted: Sequence[str]) -> Floats:
    at = {name: i for i, name in enumerate(names)}
    return np.array([values[at[name]] if name in at else np.nan for name in wanted])


def embedded(material: Material, made: Sequence[TreatmentRow]) -> dict[str, Any]:
    """What the page's script reads; `made` are the rows in the order of the table."""
    task, scores = material.task, material.score.predictions.values
    genes = sorted(set(task.gene_symbol))
    code = {gene: i for i, gene in enumerate(genes)}
    gene = np.array([code[g] for g in task.gene_symbol], dtype=np.int64)
    of, _ = task.groups("treatment")
    assert task.active is not None
    letters = np.where(np.isnan(task.active), "-", np.where(task.active == 1, "1", "0"))
    order = np.lexsort(
        (gene, -scores, of)
    )  # ties in the order of the genes' names: it says nothing of labels
    starts = np.searchsorted(of[order], np.arange(len(made) + 1))
    documents = []
    for row in made:
        own = order[starts[row.code] : starts[row.code + 1]]
        document: dict[str, Any] = {
            "n": row.name,
            "v": [_number(v, _SORTED_BY) for v in row.values],
            "g": gene[own].tolist(),
            "s": [_number(v, 6) for v in scores[own].tolist()],
            "a": "".join(letters[own].tolist()),
        }
        blocks = _blocks(scores[own])
        if len(blocks) < len(own):
            document["b"] = blocks
        if smiles := material.smiles.get(row.name):
            document["x"] = smiles
        documents.append(document)
    return {"genes": genes, "rows": documents}


def _blocks(falling: Floats) -> list[int]:
    """How many scores each run of equal ones has."""
    ends = np.flatnonzero(np.r_[falling[1:] != falling[:-1], True][: len(falling)]) + 1
    sizes: list[int] = np.diff(ends, prepend=0).tolist()
    return sizes


def _number(value: float, digits: int) -> float | int | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
