"""A map that was made elsewhere: a table of one row a gene or compound, and not a word of how it came about.

Conventions
    A column of `GENES` names genes, one of `COMPOUNDS` compounds, whose `concentration` is in uM (NaN without
    such a column); with both, a row is a gene where its cell is not empty. Or the columns are those of a
    saved map, `perturbation_type` and `perturbation`, whose protocol is lost. `n_wells` is 0 where it is not
    there. Which other columns are features, `polaris_rxrx.wells.features` says; a list in one column counts.
    Of AnnData's .h5ad the features are X, and the columns, or the index by its name, those of obs.
    Values are taken as they are: what was done to them nobody knows, so the protocol says "unknown" and holds
    the file's hash.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError
from polaris_rxrx.files import open_binary, sha256
from polaris_rxrx.maps.build import Map
from polaris_rxrx.types import Floats
from polaris_rxrx.wells.arrays import spread_lists
from polaris_rxrx.wells.features import choose
from polaris_rxrx.wells.hdf5 import open_rows
from polaris_rxrx.wells.metadata import Perturbations
from polaris_rxrx.wells.table import OpenTable, open_table

GENES = ("gene", "gene_symbol", "symbol", "Metadata_Symbol")
COMPOUNDS = ("compound", "treatment", "Metadata_pert_iname")
ROWS = ("perturbation_type", "perturbation", "concentration", "n_wells")
UNKNOWN = "unknown"


def read_own(path: Path) -> Map:
    """Read a table (parquet, Arrow, CSV or TSV, also gzip) or an .h5ad file as a map of unknown protocol.

    Raises:
        DataError: Naming the file and what is wrong with it.
        UsageError: An .h5ad file without AnnData being installed.
    """
    with open_binary(path) as handle:
        hdf5 = handle.read(4) == b"\x89HDF"
    table = (
        open_rows(path, ("well_id", *GENES, *COMPOUNDS, *ROWS)) if hdf5 else spread_lists(open_table(path))
    )
    names = _names(table)
    kinds = {n: table.kind(n) for n in table.names if n not in (*ROWS, *names)}
    choice = choose(path, kinds, indices=table.indices)
    types, rows = _rows(table, names)
    dose = _numbers(table, "concentration") if "concentration" in table.names else np.full(len(rows), np.nan)
    dose[np.array(types) == "CRISPR"] = np.nan
    counts = np.zeros(len(rows), dtype=np.int64)
    if "n_wells" in table.names:
        counts = np.nan_to_num(_numbers(table, "n_wells")).astype(np.int64)
    x = np.empty((len(rows), len(choice.names)))
    for i, name in enumerate(choice.names):
        x[:, i] = _numbers(table, name)
    protocol: dict[str, Any] = {
        "protocol": UNKNOWN,
        "file_sha256": sha256(path),
        "names": list(names),
        "n_features": len(choice.names),
        "left_out": choice.left_out,
    }
    if table.synthetic:
        protocol["made_up"] = True
    return Map(Perturbations(types, rows, dose), x, counts, protocol)


def _names(table: OpenTable) -> tuple[str, ...]:
    """The columns that name the rows."""
    there = [next((n for n in known if n in table.names), None) for known in (GENES, COMPOUNDS)]
    if set(ROWS[:2]) <= set(table.names):
        return ROWS[:2]
    found = tuple(name for name in there if name is not None)
    if not found or "well_id" in table.names:
        why = (
            "its rows are wells (well_id), which --embeddings takes"
            if "well_id" in table.names
            else (f"no column names genes ({', '.join(GENES)}) or compounds ({', '.join(COMPOUNDS)})")
        )
        raise DataError(
            f"{table.path} is not a map: it has no protocol, and {why}. `baseline --save-map` writes a map"
        )
    return found


def _rows(table: OpenTable, names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Type and name of every row."""
    held = {name: _texts(table, name) for name in names}
    if names == ROWS[:2]:
        types, rows = held[names[0]], held[names[1]]
    else:
        genes = held.get(next((n for n in names if n in GENES), ""))
        compounds = held.get(next((n for n in names if n in COMPOUNDS), ""))
        if genes is None:
            genes = [""] * len(compounds or [])
        if compounds is None:
            compounds = [""] * len(genes)
        types = ["CRISPR" if gene else "COMPOUND" for gene in genes]
        rows = [gene or compound for gene, compound in zip(genes, compounds, strict=True)]
    if not rows:
        raise DataError(f"{table.path} holds no rows; one a gene or compound was expected")
    if "" in rows:
        raise DataError(f"{table.at(rows.index(''))}: {' and '.join(names)} empty; a name was expected")
    return types, rows


def _texts(table: OpenTable, name: str) -> list[str]:
    if table.kind(name) not in ("text", "categories"):
        raise DataError(
            f"{table.path}: column {name!r} holds {table.kind(name) or 'numbers'}; names were expected"
        )
    return ["" if value is None else str(value) for value in table.read([name]).column(0).to_pylist()]


def _numbers(table: OpenTable, name: str) -> Floats:
    """A numeric column as float64; an absent value is NaN."""
    import pyarrow as pa

    if (kind := table.kind(name)) is not None:
        raise DataError(f"{table.path}: column {name!r} holds {kind}; numbers were expected")
    column = table.read([name]).column(0).cast(pa.float64())
    found: Floats = np.array(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    return found
