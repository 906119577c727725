"""What the metadata and a table of nuclei counts say of genes and compounds.

Conventions
    A gene's wells are the CRISPR wells of all its guides, a compound's the COMPOUND wells at all its
    concentrations. Tables are those of `shortcuts`: (G,), (T,) or (G, T), NaN where a name has no well.
    An address is a row of letters and a column number, `AB07`; edges are those of the rectangle that all
    addresses of the metadata span.
    A nuclei count is standardized by the mean and the population standard deviation of the EMPTY_control
    wells of its experiment; experiments with fewer than two of them, or without any spread, are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.audit.shortcuts import Pairs
from polaris_rxrx.errors import DataError, some
from polaris_rxrx.types import Bools, Floats, Ints
from polaris_rxrx.wells.features import NOT_FEATURES
from polaris_rxrx.wells.ids import as_ids
from polaris_rxrx.wells.metadata import Metadata, read_metadata, rows_in_metadata
from polaris_rxrx.wells.table import OpenTable, open_table

COUNT_NAMES = (
    "nuclei_count",
    "n_nuclei",
    "num_nuclei",
    "count_nuclei",
    "nuclei",
    "cell_count",
    "n_cells",
    "num_cells",
    "count_cells",
)
# More different addresses or plate numbers than this are something else.
_MOST_PLACES = 6144
_ADDRESS = re.compile(r"([A-Za-z]{1,2})0*([1-9][0-9]{0,2})")


@dataclass
class PlateFacts:
    """Tables by the names of the shortcuts they are for, why some are not there, and what to tell."""

    tables: dict[str, Floats] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_plate_facts(metadata: Path, pairs: Pairs, nuclei: Path | None = None) -> PlateFacts:
    """Read the metadata, and the nuclei counts from `nuclei` or, if it has such a column, from the metadata.

    Raises:
        DataError: Naming the file and what is wrong with it.
    """
    meta = read_metadata(metadata)
    gene, compound = _codes(meta, pairs)
    plates = PlateFacts(notes=list(meta.notes))
    g_wells = np.bincount(gene[gene >= 0], minlength=len(pairs.genes)).astype(np.float64)
    c_wells = np.bincount(compound[compound >= 0], minlength=len(pairs.compounds)).astype(np.float64)
    plates.tables["gene-wells"] = np.where(g_wells > 0, g_wells, np.nan)
    plates.tables["compound-wells"] = np.where(c_wells > 0, c_wells, np.nan)
    plates.tables["highest-dose"] = _highest(meta, pairs)
    more = open_table(metadata, text=True, only=("plate", "address", *COUNT_NAMES))
    for column, name in (("address", "shared-addresses"), ("plate", "shared-plates")):
        if column not in more.names:
            plates.reasons[name] = f"{metadata} has no column {column!r}"
            continue
        code, names = _encode(more, column, plates)
        if len(names) > _MOST_PLACES:
            plates.reasons[name] = f"{metadata}: {len(names):,} different values in {column!r} are no plates'"
            continue
        plates.tables[name] = alike(gene, compound, code, len(pairs.genes), len(pairs.compounds), len(names))
    _edges(plates, metadata, more, gene, len(pairs.genes))
    counts = _counts(meta, more, plates) if nuclei is None else _join(meta, nuclei, plates)
    if counts is not None:
        _nuclei(plates, meta, counts, gene, pairs)
    return plates


def _codes(meta: Metadata, pairs: Pairs) -> tuple[Ints, Ints]:
    """Of each well, the code of its gene and of its compound among the task's; -1 for none."""
    p = meta.perturbations
    found = []
    for type_, names in (("CRISPR", pairs.genes), ("COMPOUND", pairs.compounds)):
        at = {name: i for i, name in enumerate(names)}
        codes = [at.get(n, -1) if t == type_ else -1 for t, n in zip(p.type, p.name, strict=True)]
        found.append(np.array(codes, dtype=np.int64)[meta.perturbation])
    return found[0], found[1]


def _highest(meta: Metadata, pairs: Pairs) -> Floats:
    at = {name: i for i, name in enumerate(pairs.compounds)}
    table = np.full(len(pairs.compounds), np.nan)
    p = meta.perturbations
    for type_, name, dose in zip(p.type, p.name, p.concentration.tolist(), strict=True):
        if type_ == "COMPOUND" and name in at:
            table[at[name]] = np.fmax(table[at[name]], dose)
    return table


def _encode(table: OpenTable, column: str, plates: PlateFacts) -> tuple[Ints, list[str]]:
    """Codes and names of a column of ids; what was taken off them is noted once."""
    import pyarrow.compute as pc

    ids, stripped = as_ids(table.path, column, table.read([column]).column(0))
    plates.notes += [n for n in stripped if n not in plates.notes]
    encoded = pc.dictionary_encode(pc.fill_null(ids, ""))
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def alike(gene: Ints, compound: Ints, place: Ints, n_genes: int, n_compounds: int, n_places: int) -> Floats:
    """The cosine of the counts of wells at each place, (n_genes, n_compounds); NaN for a name without wells.

    `gene`, `compound` and `place` are of one length, -1 where a well has none.
    """
    unit = []
    for code, n in ((gene, n_genes), (compound, n_compounds)):
        keep = (code >= 0) & (place >= 0)
        counts = np.bincount(code[keep] * n_places + place[keep], minlength=n * n_places)
        counts = counts.reshape(n, n_places).astype(np.float64)
        norm = np.sqrt((counts * counts).sum(axis=1, keepdims=True))
        unit.append(np.divide(counts, norm, out=np.full(counts.shape, np.nan), where=norm > 0))
    # Cosines that differ by rounding alone are ties.
    cosine: Floats = np.round(unit[0] @ unit[1].T, 12)
    return cosine


def _edges(plates: PlateFacts, metadata: Path, more: OpenTable, gene: Ints, n_genes: int) -> None:
    if "address" not in more.names:
        plates.reasons["plate-edge"] = f"{metadata} has no column 'address'"
        return
    code, names = _encode(more, "address", plates)
    steps = steps_to_edge(names)
    odd = [n for n, s in zip(names, steps, strict=True) if np.isnan(s)]
    if len(odd) == len(names):
        plates.reasons["plate-edge"] = (
            f"{metadata}: the addresses ({some(odd, 2)}) are not a row and a column, as AB07 is"
        )
        return
    if odd:
        plates.notes.append(
            f"plate-edge: wells at {some(odd, 3)} are left out; AB07 is what an address looks like"
        )
    of = steps[code]
    keep = (gene >= 0) & ~np.isnan(of)
    n = np.bincount(gene[keep], minlength=n_genes)
    total = np.bincount(gene[keep], of[keep], minlength=n_genes)
    plates.tables["plate-edge"] = -np.divide(total, n, out=np.full(n_genes, np.nan), where=n > 0)


def steps_to_edge(addresses: list[str]) -> Floats:
    """Rows or columns from each address to the nearest edge of the rectangle they span; NaN if it is none."""
    at = np.full((len(addresses), 2), np.nan)
    for i, text in enumerate(addresses):
        if found := _ADDRESS.fullmatch(text):
            row = 0
            for letter in found[1].upper():
                row = 26 * row + ord(letter) - 64
            at[i] = row, int(found[2])
    if np.isnan(at).all():
        return at[:, 0]
    steps: Floats = np.minimum(at - np.nanmin(at, axis=0), np.nanmax(at, axis=0) - at).min(axis=1)
    return steps


# --- nuclei ------------------------------------------------------------------------------------------------


def _counts(meta: Metadata, more: OpenTable, plates: PlateFacts) -> Floats | None:
    """A count a well of the metadata, from its own column; None if it has none."""
    names = [n for n in more.names if n in COUNT_NAMES]
    if len(names) == 1:
        return _numbers(more, names[0], meta.well_id, empty=True)
    plates.reasons["nuclei-count"] = (
        f"{meta.path} has several columns of counts: {some(names)}"
        if names
        else f"{meta.path} has no column of nuclei counts ({', '.join(COUNT_NAMES[:2])}, ...), and no table "
        "of them was given"
    )
    return None


def _count_column(path: Path, names: list[str]) -> str:
    known = [n for n in names if n.lower() in COUNT_NAMES]
    others = known or [n for n in names if n not in NOT_FEATURES]
    if len(others) == 1:
        return others[0]
    what = f"several columns could be ({some(others)})" if others else f"no column is; it has {some(names)}"
    raise DataError(
        f"{path}: well_id and one column of nuclei counts ({', '.join(COUNT_NAMES[:2])}, ...) were expected; "
        f"{what}"
    )


def _join(meta: Metadata, path: Path, plates: PlateFacts) -> Floats:
    """A count a well of the metadata, from a table of its own; NaN where that has none."""
    names = open_table(path).names
    if "well_id" not in names:
        raise DataError(f"{path}: no column 'well_id'; it has {some(names)}")
    column = _count_column(path, names)
    table = open_table(path, text=True, only=("well_id", column))
    ids, stripped = as_ids(path, "well_id", table.read(["well_id"]).column(0))
    plates.notes += stripped
    row = rows_in_metadata(path, ids, meta)
    found = np.full(len(meta), np.nan)
    found[row] = _numbers(table, column, ids, empty=False)
    if absent := int(np.isnan(found).sum()):
        plates.notes.append(f"nuclei-count: {absent:,} of {len(meta):,} wells have no count and are left out")
    return found


def _numbers(table: OpenTable, column: str, ids: Any, *, empty: bool) -> Floats:
    """A column of counts; with `empty` a cell may be."""
    cells = table.read([column]).column(0).to_pylist()
    values = np.full(len(cells), np.nan)
    for i, cell in enumerate(cells):
        if cell in ("", None) and empty:
            continue
        try:
            values[i] = float(cell)
            if "_" in cell or not 0 <= values[i] < np.inf:
                raise ValueError
        except (TypeError, ValueError):
            what = "empty" if cell in ("", None) else repr(cell)
            raise DataError(
                f"{table.at(i)} (well {ids[i].as_py()!r}): {column} is {what}; a count of 0 or more was "
                "expected"
            ) from None
    return values


def standardize(values: Floats, experiment: Ints, control: Bools, n: int) -> Floats:
    """(value - mean) / sd of the experiment's control wells; NaN where fewer than two, or without spread."""
    use = control & ~np.isnan(values)
    e, v = experiment[use], values[use]
    count = np.bincount(e, minlength=n)
    mean = np.bincount(e, v, minlength=n) / np.maximum(count, 1)
    var = np.bincount(e, (v - mean[e]) ** 2, minlength=n) / np.maximum(count, 1)
    sd = np.where((count > 1) & (var > 1e-20 * np.maximum(mean**2, 1)), np.sqrt(var), np.nan)
    z: Floats = (values - mean[experiment]) / sd[experiment]
    return z


def _nuclei(plates: PlateFacts, meta: Metadata, counts: Floats, gene: Ints, pairs: Pairs) -> None:
    z = standardize(counts, meta.experiment, meta.control, len(meta.experiments))
    known = ~np.isnan(z)
    out = np.unique(meta.experiment[~np.isnan(counts) & ~known])
    if len(out):
        names = [meta.experiments[i] for i in out.tolist()]
        plates.notes.append(
            f"nuclei-count: {len(out):,} of {len(meta.experiments):,} experiments are left out (control "
            f"wells with a count: fewer than two, or all alike): {some(names, 3)}"
        )
    of_gene = _means(z[known], gene[known], len(pairs.genes))
    by_dose = _means(z[known], meta.perturbation[known], len(meta.perturbations))
    at = {name: i for i, name in enumerate(pairs.compounds)}
    strongest = np.full(len(pairs.compounds), np.nan)
    p = meta.perturbations
    for type_, name, effect in zip(p.type, p.name, by_dose.tolist(), strict=True):
        if type_ == "COMPOUND" and name in at and not np.isnan(effect):
            held = strongest[at[name]]
            if np.isnan(held) or abs(effect) > abs(held):
                strongest[at[name]] = effect
    plates.tables["nuclei-count"] = np.outer(of_gene, strongest)


def _means(values: Floats, code: Ints, n: int) -> Floats:
    keep = code >= 0
    count = np.bincount(code[keep], minlength=n)
    total = np.bincount(code[keep], values[keep], minlength=n)
    mean: Floats = np.divide(total, count, out=np.full(n, np.nan), where=count > 0)
    return mean
