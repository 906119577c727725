"""Corrections of a map: what a position in the genome adds to every gene there.

Chromosome arms
    A cut by Cas9 can cost a cell the rest of the chromosome's arm, so knock-outs of neighbors look alike
    whatever they do. From each gene's vector the mean of the unexpressed genes on its arm is subtracted,
    whose own knock-out should do nothing; where an arm has fewer than `LEAST` of them, the mean of all genes
    on it, if these are as many; else nothing. Genes without an arm, compounds and all else stay as they are.

Conventions
    Tables of arms have the columns `gene` and `arm` (such as 3p). To make one, join gene symbols with the
    cytogenetic bands of a genome assembly: the band 3p21.31 lies on the arm 3p.

Source
    Lazar et al., Nat. Genet. 56 (2024) 1482-1493.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.maps.build import Map
from polaris_rxrx.tables import read_table

LEAST = 20


def read_arms(path: Path | str) -> dict[str, str]:
    """Gene -> arm, from a CSV with the columns gene and arm.

    Raises:
        DataError: A column is absent, a cell is empty, or a gene is on two arms.
    """
    table = read_table(Path(path))
    table.need("gene", "arm")
    arms: dict[str, str] = {}
    for row, (gene, arm) in enumerate(zip(table.columns["gene"], table.columns["arm"], strict=True)):
        if not gene or not arm:
            raise DataError(
                f"{table.at(row)}: gene {gene!r}, arm {arm!r}; a gene and an arm such as 3p were expected"
            )
        if arms.setdefault(gene, arm) != arm:
            raise DataError(f"{table.at(row)}: {gene!r} is on {arm!r} here and on {arms[gene]!r} above")
    if not arms:
        raise DataError(f"{path} holds no genes")
    return arms


def by_arm(
    map_: Map, arms: Mapping[str, str], unexpressed: Collection[str] = (), *, least: int = LEAST
) -> Map:
    """The map with each arm's common vector subtracted; its protocol and notes say what was done.

    Args:
        map_: Rows of other types than CRISPR stay.
        arms: Gene -> arm.
        unexpressed: Genes whose knock-out should do nothing.
        least: As many genes an arm's mean rests on, at least; 1 or more.

    Raises:
        UsageError: `least` is below 1.
        DataError: No gene of the map has an arm, or none has enough genes.
    """
    if least < 1:
        raise UsageError(f"least is {least}; 1 or more was expected")
    names = map_.perturbations.name
    genes = map_.rows("CRISPR")
    arm = np.array([arms.get(names[i], "") for i in genes])
    silent = np.isin([names[i] for i in genes], sorted(unexpressed))
    if not (arm != "").any():
        raise DataError(
            f"no gene of the map ({some([names[i] for i in genes], 3)}) has an arm; "
            f"the table has {some(list(arms), 3)}"
        )
    x = map_.x.copy()
    of: dict[str, list[str]] = {"unexpressed": [], "all": [], "none": []}
    for name in sorted({*arm.tolist()} - {""}):
        on = arm == name
        kind = "unexpressed" if (on & silent).sum() >= least else "all" if on.sum() >= least else "none"
        of[kind].append(name)
        if kind != "none":
            own = on & silent if kind == "unexpressed" else on
            x[genes[on]] -= map_.x[genes[own]].mean(axis=0)
    if not of["unexpressed"] and not of["all"]:
        raise DataError(f"no chromosome arm has {least} genes of the map, so there is nothing to correct by")
    done = {
        "correction": "chromosome-arm",
        "least": int(least),
        "arms_by_unexpressed": of["unexpressed"],
        "arms_by_all": of["all"],
        "arms_left": of["none"],
        "n_genes_without_arm": int((arm == "").sum()),
    }
    protocol = {**map_.protocol, "corrections": [*map_.protocol.get("corrections", []), done]}
    told = (
        f"Chromosome arms corrected: {len(of['unexpressed']):,} by their unexpressed genes, "
        f"{len(of['all']):,} by all of theirs; {len(of['none']):,} have too few genes. "
        f"{done['n_genes_without_arm']:,} genes have no arm"
    )
    return replace(map_, x=x, protocol=protocol, notes=(*map_.notes, told))
