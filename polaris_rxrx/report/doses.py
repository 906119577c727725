"""How alike a compound and its genes are, concentration by concentration.

Conventions
    Similarities are a recipe's (|cosine| by default); concentrations are in uM. Actives and inactives are
    those of the task's pairs; pairs without a label and genes without a row in the map are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polaris_rxrx.cards import Recipe
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.pairs import pair_tables
from polaris_rxrx.task import Task
from polaris_rxrx.types import Floats

LOW, HIGH = 10, 90  # percentiles of the inactive genes


@dataclass(frozen=True, eq=False)
class DoseCurve:
    """One compound against its genes, by concentration; every array is as long as `concentrations`.

    `concentrations` ascend, in uM. `actives` maps each active gene to its similarity, NaN where untested;
    `inactive_low` and `inactive_high` are the 10th and 90th percentile of the inactive genes.
    """

    treatment: str
    concentrations: Floats
    actives: dict[str, Floats]
    inactive_mean: Floats
    inactive_low: Floats
    inactive_high: Floats


def dose_curves(
    task: Task, map_: Map, treatments: Sequence[str], recipe: Recipe | None = None
) -> tuple[DoseCurve, ...]:
    """The curves of these treatments, in their order.

    A treatment is left out if the map has none of its active genes, or the compound at none of the recipe's
    concentrations.
    """
    assert task.active is not None
    recipe = recipe or Recipe()
    concentrations = np.array(sorted(set(recipe.concentrations)))
    tables = pair_tables(map_, concentrations.tolist(), recipe.similarity, set(treatments))
    compound_at = {name: i for i, name in enumerate(tables.compounds)}
    gene_at = {name: i for i, name in enumerate(tables.genes)}
    genes: dict[str, tuple[list[str], list[str]]] = {t: ([], []) for t in treatments}
    for treatment, gene, active in zip(task.treatment, task.gene_symbol, task.active.tolist(), strict=True):
        if treatment in genes and gene in gene_at and active in (0.0, 1.0):
            genes[treatment][int(active)].append(gene)
    curves = []
    for treatment in treatments:
        inactive, active_genes = genes[treatment]
        if treatment not in compound_at or not active_genes:
            continue
        values = tables.values[:, compound_at[treatment]]
        others = values[:, [gene_at[gene] for gene in inactive]]
        curves.append(
            DoseCurve(
                treatment=treatment,
                concentrations=concentrations,
                actives={gene: values[:, gene_at[gene]] for gene in active_genes},
                inactive_mean=_over(others, np.mean),
                inactive_low=_over(others, np.percentile, LOW),
                inactive_high=_over(others, np.percentile, HIGH),
            )
        )
    return tuple(curves)


def _over(values: Floats, reduce: Callable[..., Any], *options: float) -> Floats:
    """Reduce the known values of each row; NaN where there is none."""
    known = [row[~np.isnan(row)] for row in values]
    return np.array([reduce(row, *options) if len(row) else np.nan for row in known], dtype=np.float64)
