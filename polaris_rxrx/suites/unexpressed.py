"""A null of genes said to be unexpressed, for signal and replicate consistency.

Conventions
    The null is the values of the perturbations of those genes; they are not among the perturbations reported,
    so no mean holds them. A value's p is 1 - searchsorted(sorted null, value, side) / n, as in the public
    code: with side "left" the share of the null at or above it, with "right" the share above it. It can be 0.
    Values nearer than `TIE` are equal, or the order of summation would decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.suites.groups import Groups, gene_of
from polaris_rxrx.types import Bools, Floats

TIE = 1e-12

Side = Literal["left", "right"]


def null_groups(groups: Groups, genes: Sequence[str]) -> Bools:
    """Which groups are of the null's genes, (n_groups,).

    Raises:
        UsageError: The list is empty, or the groups are not of genes.
        DataError: A gene is not among the groups, or no other gene is.
    """
    if groups.by not in ("gene", "guide"):
        raise UsageError(f"a null of genes goes with by='gene' or 'guide', not {groups.by!r}")
    wanted = set(genes)
    if not wanted:
        raise UsageError("the null names no gene; at least one was expected")
    there = set(groups.genes)
    if unknown := sorted(wanted - there):
        few = {gene_of(name) for name in groups.few}
        small = [name for name in unknown if name in few]
        why = f"; {some(small)} {'has' if len(small) == 1 else 'have'} too few wells" if small else ""
        raise DataError(
            f"{len(unknown):,} of the null's {len(wanted):,} genes are not among the perturbations: "
            f"{some(unknown)}{why}"
        )
    if wanted >= there:
        raise DataError(
            f"all {len(there):,} genes with enough wells are in the null; at least one other was expected"
        )
    return np.array([gene in wanted for gene in groups.genes], dtype=bool)


def p_values(values: Floats, null: Floats, side: Side) -> Floats:
    """p of values (n,) against null values (m,), m >= 1; NaN where a value is NaN."""
    null = np.sort(null)
    gap = TIE * np.maximum(np.abs(values), 1)
    below = np.searchsorted(null, values - gap if side == "left" else values + gap, side=side)
    p: Floats = np.where(np.isnan(values), np.nan, 1 - below / len(null))
    return p


def split(columns: dict[str, list[Any]], in_null: Bools) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """A table's rows of the perturbations that are reported, and of those in the null."""

    def rows(keep: Bools) -> dict[str, list[Any]]:
        at = np.flatnonzero(keep).tolist()
        return {name: [cells[i] for i in at] for name, cells in columns.items()}

    return rows(~in_null), rows(in_null)
