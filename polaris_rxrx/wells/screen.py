"""Wells of any screen, as its card says: tables joined, columns read by what they mean.

Conventions
    What a card calls things becomes what RxRx3-core calls them, and is then read and checked as its metadata
    is: a negative control is `EMPTY_control`, doses are uM, a side without guides has its perturbations for
    guides. Every joined table has at most one row a key; the order of rows is that of the table of wells.
    Left out, and counted, are in this order: wells that `where` does not want, empty wells, wells without a
    row in a table that has to match.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.dataset import units
from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.dataset.screens import Join, Screen, Side, screen_names
from polaris_rxrx.errors import DataError, MissingError, some
from polaris_rxrx.types import Bools, Ints
from polaris_rxrx.wells.design import PLATE, Design, refuse_unknown
from polaris_rxrx.wells.metadata import Metadata, metadata_of
from polaris_rxrx.wells.table import OpenTable, open_table

_SEPARATOR = "\x1f"  # of the cells of a key; in no name
CHOSEN = "chosen_control"
"""What control wells are called that were asked for by name; the card's others stay `EMPTY_control`."""


@dataclass(frozen=True, eq=False)
class ScreenWells:
    """A screen's wells and what was made of its tables.

    `row` (n,) says which row of `cells`, the table as joined with all its wells, a well is. `left_out` says
    why how many wells were left out, `controls` how many wells each control has, by kind and name.
    """

    metadata: Metadata
    cells: Any
    row: Ints
    left_out: dict[str, int]
    controls: dict[str, dict[str, int]]
    n_blinded: int


def read_screen(
    screen: Screen,
    folder: Path,
    *,
    wells: Path | None = None,
    guides: bool = False,
    design: Design | None = None,
) -> ScreenWells:
    """Read the wells of a screen.

    Args:
        screen: From `polaris_rxrx.dataset.screens.load_screen`.
        folder: Where the files that the card names are.
        wells: The table with a row a well, if it is not the one in the folder.
        guides: The perturbation of a CRISPR well is its guide, where the card names one.
        design: Batches, controls and positions, where they are not the card's. A batch is a column as the
            tables call it; controls are names of perturbations, or cells of the card's columns of controls.

    Raises:
        MissingError: A file is not there; the error's command fetches it.
        DataError: A table lacks a column, a key stands twice, no well is left, or one is none; or there is no
            such batch, control or address as the design asks for.
    """
    design = design or Design()
    if guides and not any(side.guide is not None for side in screen.sides):
        raise DataError(f"the card {screen.name} names no column of guides, so nothing goes by guide")
    path = folder / screen.wells.file if wells is None else wells
    more = [] if design.column is None else [design.column]
    table = _open(path, screen, whole=more)
    cells, header, matched = _joined(screen, folder, table, more)
    absent = [n for n in screen.used() if n not in cells.column_names]
    if absent:
        raise DataError(
            f"{path}: no column {some(absent)}, which the card {screen.name} names; "
            f"there are {some(header, 12)}"
        )
    _refuse_design(screen, path, design, cells, header)
    ids = _together([cells.column(n) for n in screen.wells.id], "_")
    _refuse_nearly_controls(screen, cells, lambda i: f"{table.at(i)} (well {ids[i].as_py()!r})")
    kind = _control_kinds(screen, cells, design.controls)
    row, left_out = _kept(screen, path, cells, kind, matched)
    side, types = _sides(screen, cells)
    _refuse_no_side(screen, cells, row[side[row] < 0], lambda i: f"{table.at(i)} (well {ids[i].as_py()!r})")
    counts = _control_counts(screen, cells, design.controls)
    kept = cells.take(row)
    _refuse_controls(screen, path, design, kept)
    called = {CHOSEN if design.controls else CONTROL: kind[row] == 0}
    if design.controls:  # the card's own have no row in a map, either
        called[CONTROL] = (_control_kinds(screen, kept) == 0) & (kind[row] != 0)
    columns = _as_core(screen, kept, ids.take(row), side[row], types.take(row), called)
    stated = {
        n: kept.column(n).unique().to_pylist() for n in units.CONCENTRATION_UNITS if n in kept.column_names
    }
    trusted = {"unit": ["uM"]} if any(s.unit is not None for s in screen.sides) else {}
    notes = _notes(path, left_out, counts, next(iter(called)))
    metadata = metadata_of(
        path,
        columns,
        at=lambda i: table.at(int(row[i])),
        header=header,
        stated=trusted or stated,
        guides=guides,
        doses=any(s.dose is not None for s in screen.sides),
        notes=notes,
        design=replace(design, controls=(CHOSEN,) if design.controls else ()),  # as they are called by now
        batch=None if design.column is None else kept.column(design.column),
        address=_addresses(screen, kept, design),
    )
    of = metadata.well_id
    _refuse_unnamed_controls(
        screen, metadata, kind[row], lambda i: f"{table.at(int(row[i]))} (well {of[i].as_py()!r})"
    )
    joined = {join.file: folder / join.file for join in screen.joins}
    return ScreenWells(
        replace(metadata, joined=joined, design=design),
        cells,
        row,
        left_out,
        counts,
        _n_blinded(screen, metadata),
    )


def _addresses(screen: Screen, cells: Any, design: Design) -> Any:
    """The addresses of wells, where the design wants them and the card names their column."""
    if screen.wells.address is None or not (design.positions or design.labels):
        return None
    return cells.column(screen.wells.address)


def _open(path: Path, screen: Screen, *, whole: Sequence[str] = ()) -> OpenTable:
    if not path.is_file():
        url = next((file.url for file in screen.files if file.name == path.name), None)
        fetch = ["fetch", "--dataset", screen.name, "--data", str(path.parent)]
        known = url is not None and screen.name in screen_names()
        by_hand = f"; it is had by hand from {screen.page}" if screen.page and not url else ""
        raise MissingError(
            f"{screen.title}: {path.name} is not in {path.parent}{by_hand}", fetch if known else ()
        )
    wanted = (*screen.used(), *units.CONCENTRATION_UNITS, *whole)
    return open_table(path, text=True, only=tuple(dict.fromkeys(wanted)))


def _joined(
    screen: Screen, folder: Path, table: OpenTable, more: Sequence[str]
) -> tuple[Any, list[str], dict[str, Bools]]:
    """All wells with the columns joined to them, the headers, and which wells the tables `matched` have.

    Columns `more` are taken from the first table that has them, whatever the card takes.
    """
    cells, header, matched = table.read(table.names), list(table.header), dict[str, Bools]()
    for join in screen.joins:
        missing = [n for n in more if n not in cells.column_names]
        other = _open(folder / join.file, screen, whole=(*(join.columns or ()), *missing))
        taken, at = _join(join, other, cells, table.path, missing)
        cells = taken
        header += [n for n in other.header if n not in header]
        if join.keep == "matched":
            matched[join.file] = at >= 0
    return cells, header, matched


def _join(join: Join, other: OpenTable, cells: Any, path: Path, more: Sequence[str]) -> tuple[Any, Ints]:
    """The cells with another table's columns, and for each well the row there, or -1."""
    import pyarrow.compute as pc

    for where, names in ((other.path, other.names), (path, cells.column_names)):
        if absent := [n for n in join.on if n not in names]:
            raise DataError(f"{where}: no column {some(absent)}, by which {join.file} is joined")
    if absent := [n for n in join.columns or () if n not in other.names]:
        raise DataError(f"{other.path}: no column {some(absent)}, which the card takes from it")
    wanted = (*join.columns, *(n for n in more if n in other.names)) if join.columns else other.names
    taken = [n for n in dict.fromkeys(wanted) if n not in join.on]
    if twice := [n for n in taken if n in cells.column_names]:
        raise DataError(
            f"{other.path}: column {some(twice)} is in an earlier table, too; say in the card's `columns` "
            f"which of {join.file} are taken"
        )
    right = other.read(list(dict.fromkeys([*join.on, *taken])))
    keys = _together([right.column(n) for n in join.on], _SEPARATOR)
    if pc.count_distinct(keys).as_py() < pc.count(keys).as_py():
        counts = pc.value_counts(keys.drop_null()).to_pylist()
        double = [c["values"].replace(_SEPARATOR, " ") for c in counts if c["counts"] > 1]
        raise DataError(
            f"{other.path}: {some(double, 3)} stand more than once; one "
            f"row a {' and '.join(join.on)} was expected"
        )
    mine = _together([cells.column(n) for n in join.on], _SEPARATOR)
    at = pc.index_in(mine, value_set=keys, skip_nulls=True)
    for name in taken:
        cells = cells.append_column(name, right.column(name).take(at))
    found: Ints = pc.fill_null(at, -1).to_numpy().astype(np.int64)
    return cells, found


def _together(columns: Sequence[Any], separator: str) -> Any:
    """Cells of several columns as one text, null where one is null; of one column as they are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    flat = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
    if len(flat) == 1:
        return flat[0]
    return pc.binary_join_element_wise(*map(pc.utf8_trim_whitespace, flat), separator)


def _is_in(column: Any, values: Iterable[str]) -> Bools:
    import pyarrow as pa
    import pyarrow.compute as pc

    found: Bools = pc.is_in(column, value_set=pa.array(list(values), pa.string())).to_numpy().astype(bool)
    return found


_KINDS = ("negative", "positive", "empty")


def _named(screen: Screen, kind: str, chosen: Sequence[str]) -> tuple[Sequence[str], list[str]]:
    """The names of controls of a kind, and the columns that they stand in.

    Negative ones that were chosen may be names of perturbations, too; what is chosen is of no other kind.
    """
    columns, names = list(screen.controls.columns), getattr(screen.controls, kind)
    if not chosen:
        return names, columns
    if kind != "negative":
        return [n for n in names if n not in chosen], columns
    for side in screen.sides:
        columns += [n for n in (*side.name, side.guide) if n is not None and n not in columns]
    return chosen, columns


def _control_kinds(screen: Screen, cells: Any, chosen: Sequence[str] = ()) -> Ints:
    """For each well 0, 1, 2 for a negative, positive or empty control, or -1; the first that fits counts."""
    kind = np.full(cells.num_rows, -1, dtype=np.int64)
    for i, name in reversed(list(enumerate(_KINDS))):
        names, columns = _named(screen, name, chosen)
        for column in columns:
            kind[_is_in(cells.column(column), names)] = i
    return kind


def _refuse_design(screen: Screen, path: Path, design: Design, cells: Any, header: Sequence[str]) -> None:
    """Raise `DataError` if there is no such batch or address."""
    column, there = design.column, f"there are {some(header, 12)}"
    if column is not None and column not in cells.column_names:
        raise DataError(f"{path}: no column {column!r}, which --batch names; {there}")
    if design.batch == PLATE and screen.wells.plate is None:
        raise DataError(
            f"{path}: the card {screen.name} names no column of plates for --batch plate; {there}"
        )
    if design.positions and screen.wells.address is None:
        raise DataError(
            f"{path}: the card {screen.name} names no column of addresses, and well-position correction goes "
            f"by it; {there}"
        )


def _refuse_nearly_controls(screen: Screen, cells: Any, where: Callable[[int], str]) -> None:
    """A control whose name is misspelt would be a perturbation like any other."""
    known = {name.casefold(): name for name in screen.controls.negative}
    for column in screen.controls.columns:
        for name in cells.column(column).unique().to_pylist():
            control = known.get((name or "").strip().casefold())
            if control is not None and name not in screen.controls.negative:
                row = int(np.flatnonzero(_is_in(cells.column(column), [name]))[0])
                raise DataError(f"{where(row)}: {column} is {name!r}; a control is called {control}")


def _refuse_unnamed_controls(
    screen: Screen, metadata: Metadata, kind: Ints, where: Callable[[int], str]
) -> None:
    """A perturbation that is called as controls are here, and is none by the card, would be aligned on."""
    odd = np.flatnonzero(metadata.control & (kind != _KINDS.index("negative")))
    if odd.size:
        raise DataError(
            f"{where(int(odd[0]))}: {CONTROL} is the name of a negative control, but the card {screen.name} "
            f"says that those are {some(screen.controls.negative)}; {odd.size:,} wells are like that. Name "
            "it in controls.negative, or give the perturbation another name"
        )


def _refuse_controls(screen: Screen, path: Path, design: Design, cells: Any) -> None:
    """Raise `DataError` if a control that was asked for by name has no well."""
    if design.controls:
        _, columns = _named(screen, "negative", design.controls)
        names = {n for c in columns for n in cells.column(c).unique().to_pylist() if n}
        refuse_unknown(path, design.controls, names, " or ".join(columns))


def _control_counts(screen: Screen, cells: Any, chosen: Sequence[str] = ()) -> dict[str, dict[str, int]]:
    """How many wells there are with each of the names of controls, in any of their columns."""
    counts: dict[str, dict[str, int]] = {}
    for name in _KINDS:
        values, columns = _named(screen, name, chosen)
        for value in values:
            hit = np.any([_is_in(cells.column(c), [value]) for c in columns], axis=0)
            counts.setdefault(name, {})[value] = int(hit.sum())
    return counts


def _kept(
    screen: Screen, path: Path, cells: Any, kind: Ints, matched: dict[str, Bools]
) -> tuple[Ints, dict[str, int]]:
    """The rows that are wells of this screen, and how many are not, by the reason."""
    left_out: dict[str, int] = {}
    there = np.ones(cells.num_rows, dtype=bool)

    def drop(reason: str, rows: Bools) -> None:
        if n := int((there & rows).sum()):
            left_out[reason] = n
            there[rows] = False

    for column, values in screen.wells.where.items():
        drop(f"{column} is not {' or '.join(values)}", ~_is_in(cells.column(column), values))
    of_screen = int(there.sum())
    drop("empty wells", kind == _KINDS.index("empty"))
    for file, found in matched.items():
        drop(f"not in {file}", ~found)
    if not there.any():
        reasons = "; ".join(f"{n:,} wells: {reason}" for reason, n in left_out.items())
        for column in screen.wells.where:
            held = sorted(filter(None, cells.column(column).unique().to_pylist()))
            reasons += f"; {column} holds {some(held)}"
        raise DataError(f"{path}: no well of {screen.title} is left{f' ({reasons})' if reasons else ''}")
    absent = sum(n for reason, n in left_out.items() if reason.startswith("not in "))
    if absent * 2 > of_screen:
        raise DataError(
            f"{path}: {absent:,} of {of_screen:,} wells of {screen.title} are in no row of "
            f"{some(list(matched))}; do the files belong together?"
        )
    return np.flatnonzero(there), left_out


def _sides(screen: Screen, cells: Any) -> tuple[Ints, Any]:
    """The side of each well, or -1, and its type in words: of a well of no side what its cell says."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = screen.sides[0].column
    if column is None:
        only = screen.sides[0].type
        return np.zeros(cells.num_rows, dtype=np.int64), pa.array([only]).take(
            pa.array(np.zeros(cells.num_rows, dtype=np.int64))
        )
    side = np.full(cells.num_rows, -1, dtype=np.int64)
    types = pc.fill_null(cells.column(column), "").combine_chunks()
    for i, each in enumerate(screen.sides):
        hit = _is_in(cells.column(column), each.cells)
        side[hit] = i
        types = pc.if_else(pa.array(hit), each.type, types)
    return side, types


def _refuse_no_side(screen: Screen, cells: Any, rows: Ints, where: Callable[[int], str]) -> None:
    """Raise `DataError` if there are wells that no side of the card takes."""
    if not rows.size:
        return
    column = screen.sides[0].column
    taken = [cell for side in screen.sides for cell in side.cells]
    found = cells.column(column)[int(rows[0])].as_py()
    if column == "perturbation_type" and found not in ("CRISPR", "COMPOUND"):
        return  # told in the words for any metadata
    raise DataError(
        f"{where(int(rows[0]))}: {column} is {found!r}, which no side of the card {screen.name} takes "
        f"({some(taken)}); {len(rows):,} wells are like that. Give a side these values, or leave such wells "
        f"out: where = {{ {column} = {json.dumps(taken)} }}"
    )


def _as_core(
    screen: Screen, cells: Any, ids: Any, side: Ints, types: Any, called: Mapping[str, Bools]
) -> Any:
    """The wells in RxRx3-core's words: a table of text with the columns of its metadata.

    `called` says which wells (n,) are controls of which name.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    empty = pa.nulls(cells.num_rows, pa.string())
    gene = treatment = dose = empty
    for i, each in enumerate(screen.sides):
        mine = pa.array(side == i)
        name = _name(each, cells)
        if each.type == "CRISPR":
            gene = pc.if_else(mine, name, gene)
            name = name if each.guide is None else cells.column(each.guide).combine_chunks()
        treatment = pc.if_else(mine, name, treatment)
        dose = pc.if_else(mine, _dose(each, cells), dose)
    crispr = pa.array(np.isin(side, [i for i, s in enumerate(screen.sides) if s.type == "CRISPR"]))
    for control, wells in called.items():
        gene = pc.if_else(pc.and_(pa.array(wells), crispr), control, gene)
        treatment = pc.if_else(pa.array(wells), control, treatment)
    columns = {
        "well_id": ids,
        "experiment_name": _together([cells.column(n) for n in screen.wells.batch], "_"),
        "gene": gene,
        "treatment": treatment,
        "concentration": dose,
        "perturbation_type": types,
    }
    if screen.wells.plate is not None:
        columns["plate"] = cells.column(screen.wells.plate)
    return pa.table(columns)


def _name(side: Side, cells: Any) -> Any:
    """The first of the side's columns that is not empty, of each well."""
    import pyarrow.compute as pc

    names = [cells.column(n).combine_chunks() for n in side.name]
    found = names[-1]
    for column in names[-2::-1]:
        found = pc.if_else(pc.fill_null(pc.not_equal(column, ""), False), column, found)
    return found


def _dose(side: Side, cells: Any) -> Any:
    """The doses of a side's wells as text, in uM."""
    import pyarrow as pa

    n = cells.num_rows
    if not isinstance(side.dose, str):
        text = None if side.dose is None else repr(side.dose * side.to_uM)
        return pa.array([text], pa.string()).take(pa.array(np.zeros(n, dtype=np.int64)))
    column = cells.column(side.dose)
    if side.to_uM == 1:
        return column.combine_chunks()
    coded = column.combine_chunks().dictionary_encode()
    return pa.array([_scaled(t, side.to_uM) for t in coded.dictionary.to_pylist()], pa.string()).take(
        coded.indices
    )


def _scaled(text: str, factor: float) -> str:
    """A number in another unit; what is no number stays, for the checks to tell of."""
    try:
        return format(float(text) * factor, ".12g")
    except ValueError:
        return text


def _notes(
    path: Path, left_out: dict[str, int], counts: dict[str, dict[str, int]], control: str
) -> list[str]:
    notes = [f"{path}: {n:,} wells were left out: {reason}" for reason, n in left_out.items()]
    used = [name for name, n in counts["negative"].items() if n]
    if used != [control]:
        notes.append(f"{path}: {control} stands for the negative controls, {some(used)}")
    return notes


def _n_blinded(screen: Screen, metadata: Metadata) -> int:
    from fnmatch import fnmatchcase

    p = metadata.perturbations
    pattern = screen.blinded
    if pattern is None:
        return 0
    names = {n for n, t in zip(p.name, p.type, strict=True) if t == "CRISPR"}
    return sum(fnmatchcase(n, pattern) for n in names)
