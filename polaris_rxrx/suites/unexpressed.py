"""A null of genes said to be unexpressed, for signal and replicate consistency.

Conventions
    The null is the values of the perturbations of those genes; they are not among the perturbations reported,
    so no mean holds them. A value's p is 1 - searchsorted(sorted null, value, side) / n, as in the public
    code: with side "left" the share of the null at or above it, with "right" the share above it. It can be 0.
    Values nearer than `TIE` are equal, or the order of summation would decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from polaris_rxrx import bounded
from polaris_rxrx.damage import refuse_dates, refuse_other_kind
from polaris_rxrx.errors import DataError, UsageError, short, some
from polaris_rxrx.suites.groups import WellGroups, gene_of
from polaris_rxrx.types import Bools, Floats

TIE = 1e-12

Side = Literal["left", "right"]


def null_groups(groups: WellGroups, genes: Sequence[str]) -> Bools:
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


def rows_of(columns: dict[str, list[Any]], which: Bools) -> dict[str, list[Any]]:
    """Some rows of a table, (n_rows,)."""
    at = np.flatnonzero(which).tolist()
    return {name: [cells[i] for i in at] for name, cells in columns.items()}


def read_genes(path: Path) -> list[str]:
    """Names of genes, one on each line; lines that start with # are none.

    Raises:
        DataError: Naming the line and what is wrong with it.
    """
    raw = bounded.read_file(path)
    refuse_other_kind(path, raw)
    try:
        lines = enumerate(raw.decode("utf-8-sig").split("\n"), 1)
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text; one gene on each line was expected") from None
    named = [(i, text.strip()) for i, text in lines if text.strip() and not text.startswith("#")]
    for line, name in named:
        if any(mark in name for mark in ",;\t\0"):
            raise DataError(
                f"{path}, line {line}: {short(name)}; one gene on each line was expected, and nothing else"
            )
    genes = [name for _, name in named]
    refuse_dates(genes, "a gene", lambda i: f"{path}, line {named[i][0]}")
    if not genes:
        raise DataError(f"{path} names no gene; one on each line was expected")
    return genes
