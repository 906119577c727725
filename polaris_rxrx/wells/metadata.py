"""Well metadata: which perturbation, experiment and plate each well has.

Conventions
    A well is one row of the metadata, named by `well_id`. Its perturbation is the gene (CRISPR, all guides
    together, or on request the guide) or the compound at a concentration in uM (COMPOUND); names are text as
    it stands in the file. Blanks at the ends of a `well_id` or an `experiment_name` are taken off, and said.
    Concentrations that look like another unit all in all are refused (`polaris_rxrx.dataset.units`), unless a
    column `concentration_unit` says uM. Control wells are those whose gene or treatment is `EMPTY_control`,
    or one of the names that are asked for; batches are experiments, or what is asked for
    (`polaris_rxrx.wells.design`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx import damage
from polaris_rxrx.dataset import units
from polaris_rxrx.dataset.rxrx3 import CONTROL, NEEDED, NOMINAL, TYPES
from polaris_rxrx.errors import DataError, short, some
from polaris_rxrx.types import Bools, Floats, Ints
from polaris_rxrx.wells import design as designs
from polaris_rxrx.wells.design import ADDRESSES, PLATE, Design, Groups, Labels
from polaris_rxrx.wells.ids import as_ids
from polaris_rxrx.wells.table import open_table


@dataclass(frozen=True, eq=False)
class Perturbations:
    """What can be done to a well, sorted by type, name, concentration; each of length n.

    `concentration` is in uM, NaN for CRISPR and controls.

    A gene, and a compound at two concentrations:

    >>> doses = np.array([0.25, 2.5, np.nan])
    >>> found = Perturbations(["COMPOUND", "COMPOUND", "CRISPR"], ["Imatinib", "Imatinib", "ABL1"], doses)
    >>> len(found)
    3
    """

    type: list[str]
    name: list[str]
    concentration: Floats

    def __len__(self) -> int:
        return len(self.name)

    def take(self, rows: Ints) -> Perturbations:
        """Some of them, in this order.

        >>> doses = np.array([0.25, 2.5, np.nan])
        >>> found = Perturbations(["COMPOUND", "COMPOUND", "CRISPR"], ["Imatinib", "Imatinib", "ABL1"], doses)
        >>> found.take(np.array([2, 0])).name
        ['ABL1', 'Imatinib']
        """
        at = rows.tolist()
        return Perturbations([self.type[i] for i in at], [self.name[i] for i in at], self.concentration[rows])


@dataclass(frozen=True, eq=False)
class Metadata:
    """The wells of an experiment table, in the file's order; codes point into the two name lists.

    `experiment` is the batch that wells are aligned in, whatever the design makes one of; `position` is read
    where the design asks for it.
    """

    path: Path
    well_id: Any  # pyarrow string array: joined on, never turned into Python objects
    experiment: Ints
    experiments: list[str]
    perturbation: Ints
    perturbations: Perturbations
    control: Bools
    plate: Ints | None = None  # codes; None without a column of that name
    columns: tuple[str, ...] = ()  # all that the file has
    notes: tuple[str, ...] = ()  # what reading it changed
    joined: Mapping[str, Path] = field(default_factory=dict)  # tables that were joined to it, by name
    design: Design = field(default_factory=Design)
    position: Ints | None = None  # codes of addresses
    labels: Labels | None = None  # where the design asks for them

    def __len__(self) -> int:
        return len(self.experiment)


def read_metadata(path: Path, *, guides: bool = False, design: Design | None = None) -> Metadata:
    """Read the well metadata; with `guides` the perturbation of a CRISPR well is its guide.

    Raises:
        DataError: A needed column is absent, a `well_id` stands twice, a row is not a well, or there is no
            such batch, control or address as the design asks for.

    >>> found = read_metadata(Path("data/metadata_rxrx3_core.csv"))
    >>> len(found), len(found.experiments), int(found.control.sum())
    (4376, 8, 1800)
    """
    design = design or Design()
    wanted = (*NEEDED, "plate", *units.CONCENTRATION_UNITS)
    addresses = ADDRESSES if design.positions or design.labels else ()
    more = [n for n in (design.column, *addresses) if n is not None]
    table = open_table(path, text=True, only=(*wanted, *(n for n in more if n not in wanted)))
    absent = [n for n in NEEDED if n not in table.names]
    if absent:
        raise DataError(f"{path}: no column {some(absent)}; well metadata has {', '.join(NEEDED)}")
    batch, address = design_columns(path, design, table.names, table.header)
    columns = table.read([*NEEDED, *(["plate"] if "plate" in table.names else [])])
    stated = {
        n: table.read([n]).column(0).unique().to_pylist()
        for n in units.CONCENTRATION_UNITS
        if n in table.names
    }
    return metadata_of(
        path,
        columns,
        at=table.at,
        header=table.header,
        stated=stated,
        guides=guides,
        design=design,
        batch=None if batch is None else table.read([batch]).column(0),
        address=None if address is None else table.read([address]).column(0),
    )


def design_columns(
    path: Path, design: Design, names: Sequence[str], header: Sequence[str]
) -> tuple[str | None, str | None]:
    """The columns with the batch, if it has one of its own, and with the address, if that is asked for.

    Args:
        path: For messages.
        design: What is asked for.
        names: The columns that can be read.
        header: All columns that there are.

    Raises:
        DataError: There is none.
    """
    there = f"there are {some([n for n in header if n], 12)}"
    if design.column is not None and design.column not in names:
        raise DataError(f"{path}: no column {design.column!r}, which --batch names; {there}")
    if design.batch == PLATE and "plate" not in names:
        raise DataError(f"{path}: no column 'plate', which --batch plate makes batches of; {there}")
    wanted = design.positions or design.labels
    address = next((n for n in ADDRESSES if n in names), None) if wanted else None
    if design.positions and address is None:
        raise DataError(
            f"{path}: no column {' or '.join(ADDRESSES)}, and well-position correction goes by it; {there}"
        )
    return design.column, address


def metadata_of(
    path: Path,
    columns: Any,
    *,
    at: Callable[[int], str],
    header: Sequence[str],
    stated: Mapping[str, Sequence[str | None]],
    guides: bool = False,
    doses: bool = True,
    notes: Sequence[str] = (),
    design: Design | None = None,
    batch: Any = None,
    address: Any = None,
) -> Metadata:
    """Wells from a table of text.

    Args:
        path: Where the wells are from, for messages.
        columns: A pyarrow table of strings with the columns of `NEEDED`, and perhaps `plate`.
        at: Where a row stands, for messages.
        header: The columns that the files have, which are no features.
        stated: Columns of units and their cells; see `polaris_rxrx.dataset.units`.
        guides: The perturbation of a CRISPR well is its guide.
        doses: Whether every compound has to have a concentration.
        notes: What is to be told of how the table came about.
        design: Which batches and controls are asked for.
        batch: The cells of the design's column, if it names one.
        address: The addresses of the wells, if the design wants positions or labels.

    Raises:
        DataError: A `well_id` stands twice, a row is not a well, or it lacks what the design asks for.
    """
    design = design or Design()
    if columns.num_rows == 0:
        raise DataError(f"{path} holds no wells")
    well_id, told = as_ids(path, "well_id", columns.column("well_id"))
    refuse_duplicates(path, well_id)
    code, names = {}, {}
    for name in NEEDED[1:]:
        cells = columns.column(name)
        if name == "experiment_name":
            cells, stripped = as_ids(path, name, cells)
            told += stripped
        code[name], names[name] = _coded(cells)

    def where(row: int) -> str:
        return f"{at(row)} (well {well_id[row].as_py()!r})"

    kind = _kinds(where, code["perturbation_type"], names["perturbation_type"])
    used = np.unique(code["concentration"])  # by a compound well or not: one column has one unit
    units.refuse_concentrations(path, [names["concentration"][i] for i in used.tolist()], stated, NOMINAL)
    concentration = _concentrations(where, code["concentration"], names["concentration"])
    if "" in names["experiment_name"]:
        row = _first(code["experiment_name"] == names["experiment_name"].index(""))
        raise DataError(f"{where(row)}: no experiment_name")
    designs.refuse_unknown(path, design.controls, {*names["gene"], *names["treatment"]}, "gene or treatment")
    perturbation, perturbations, control = _treated(
        where, code, names, kind, concentration, design.controls, guides=guides, doses=doses
    )
    experiment = Groups(*_by_name(code["experiment_name"], names["experiment_name"]))
    plates = columns.column("plate") if "plate" in columns.column_names else None
    treatment = Groups(*_by_name(code["treatment"], names["treatment"]))
    labels = Labels(_groups(plates), _groups(address), treatment) if design.labels else None
    found, plate, stripped = _batches(path, where, design, experiment, plates, batch)
    told += stripped
    return Metadata(
        path=path,
        well_id=well_id,
        experiment=found.code,
        experiments=found.names,
        perturbation=perturbation,
        perturbations=perturbations,
        control=control,
        plate=plate,
        columns=tuple(header),
        notes=(*notes, *told),
        design=design,
        position=designs.positions(where, address) if design.positions else None,
        labels=labels,
    )


def _batches(
    path: Path, where: Callable[[int], str], design: Design, experiment: Groups, plates: Any, batch: Any
) -> tuple[Groups, Ints | None, list[str]]:
    """The batch and the plate, as a code, of each well, and what to tell of their names.

    `plates` and `batch` are cells of the column of plates and of the design's, None where there is none.
    """
    told: list[str] = []
    plate = column = None
    if plates is not None:
        plates, stripped = as_ids(path, "plate", plates)
        told += stripped
        plate = Groups(*_by_name(*_coded(plates)))
    if batch is not None:
        batch, stripped = as_ids(path, design.batch, batch)
        told += stripped
        column = Groups(*_by_name(*_coded(batch)))
    found = designs.batches(where, design, experiment, plate, column)
    return found, None if plate is None else designs.plates(plate, experiment, design), told


def _treated(
    where: Callable[[int], str],
    code: Mapping[str, Ints],
    names: Mapping[str, list[str]],
    kind: Ints,
    concentration: Floats,
    controls: Sequence[str],
    *,
    guides: bool,
    doses: bool,
) -> tuple[Ints, Perturbations, Bools]:
    """What was done to each well (n,): a code, what the codes stand for, and which wells are controls."""
    crispr = kind == TYPES.index("CRISPR")
    damage.refuse_dates(names["gene"], "gene", lambda i: where(_first(code["gene"] == i)))
    for name in ("gene", "treatment"):
        for known in (CONTROL, *controls):
            _refuse_nearly_control(where, name, code[name], names[name], known)

    # One list of names for both sides; a gene and a compound of one name differ by type.
    every = sorted({*names["gene"], *names["treatment"]})
    at = {name: i for i, name in enumerate(every)}
    gene = np.array([at[n] for n in names["gene"]])[code["gene"]]
    treatment = np.array([at[n] for n in names["treatment"]])[code["treatment"]]
    name_code = np.where(crispr, treatment if guides else gene, treatment)
    named_by = "treatment" if guides else "gene"
    if controls:
        control, named = designs.chosen_controls(controls, gene, treatment, at)
        name_code = np.where(control, named, name_code)
    else:
        control = (gene == at.get(CONTROL, -1)) | (treatment == at.get(CONTROL, -1))
        if guides and CONTROL in at:
            name_code[control] = at[CONTROL]
    needs_dose = ~crispr & doses & ~control if controls else ~crispr & doses
    _check_rows(where, every, name_code, crispr, needs_dose & np.isnan(concentration), named_by)
    dose = np.where(crispr, np.nan, concentration)
    return *_perturbations(kind, name_code, every, dose), control


def _coded(cells: Any) -> tuple[Ints, list[str]]:
    """Cells as codes and the texts that these stand for, in the order of rows; an absent one is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    encoded = pc.dictionary_encode(pc.fill_null(cells, ""))
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def _by_name(code: Ints, names: list[str]) -> tuple[Ints, list[str]]:
    """The same with names sorted, whatever the order of rows."""
    every = sorted(names)
    at = {name: i for i, name in enumerate(every)}
    return np.array([at[name] for name in names], dtype=np.int64)[code], every


def _groups(cells: Any) -> Groups | None:
    return None if cells is None else Groups(*_by_name(*_coded(cells)))


def _perturbations(
    kind: Ints, name: Ints, every: list[str], concentration: Floats
) -> tuple[Ints, Perturbations]:
    """The perturbation of each well (n,), as a code, and what the codes stand for."""
    doses, dose = np.unique(concentration, return_inverse=True)  # NaN comes last, once
    key = (kind * len(every) + name) * len(doses) + dose.reshape(-1)
    unique, code = np.unique(key, return_inverse=True)
    return code.reshape(-1).astype(np.int64), Perturbations(
        type=[TYPES[i] for i in unique // (len(doses) * len(every))],
        name=[every[i] for i in unique // len(doses) % len(every)],
        concentration=doses[unique % len(doses)],
    )


def _refuse_nearly_control(
    where: Callable[[int], str], column: str, code: Ints, names: list[str], control: str
) -> None:
    """A control whose name is misspelt would be a perturbation like any other."""
    for i, name in enumerate(names):
        if name != control and name.strip().casefold() == control.strip().casefold():
            row = _first(code == i)
            raise DataError(f"{where(row)}: {column} is {name!r}; a control is called {control}")


def _kinds(where: Callable[[int], str], code: Ints, names: list[str]) -> Ints:
    known = {name: i for i, name in enumerate(TYPES)}
    for i, name in enumerate(names):
        if name not in known:
            raise DataError(
                f"{where(_first(code == i))}: perturbation_type is {name!r}; expected {' or '.join(TYPES)}"
            )
    return np.array([known[n] for n in names])[code]


def _concentrations(where: Callable[[int], str], code: Ints, names: list[str]) -> Floats:
    values = np.full(len(names), np.nan)
    for i, text in enumerate(names):
        try:
            values[i] = float(text) if text else np.nan
            if text and ("_" in text or not 0 < values[i] < np.inf):
                raise ValueError
        except ValueError:
            place = where(_first(code == i))
            raise DataError(
                f"{place}: concentration is {short(text)}; a number of uM or nothing was expected"
                f"{damage.number_hint(text)}"
            ) from None
    return values[code]


def _check_rows(
    where: Callable[[int], str],
    every: list[str],
    name: Ints,
    crispr: Bools,
    doseless: Bools,
    named_by: str,
) -> None:
    nameless = np.array([n == "" for n in every])[name]
    if nameless.any():
        row = _first(nameless)
        what = f"CRISPR well without a {named_by}" if crispr[row] else "COMPOUND well without a treatment"
        raise DataError(f"{where(row)}: a {what}")
    is_control = np.array([n.endswith("_control") for n in every])[name]
    doseless = doseless & ~is_control
    if doseless.any():
        row = _first(doseless)
        raise DataError(f"{where(row)}: compound {every[name[row]]!r} has no concentration")


def _first(which: Bools) -> int:
    return int(np.flatnonzero(which)[0])


def rows_in_metadata(path: Path, ids: Any, meta: Metadata) -> Ints:
    """For every row of a table of wells, its row in the metadata.

    Args:
        path: The table, for messages.
        ids: Its well_id, from `as_ids`.
        meta: The metadata, of which the table may lack wells.

    Raises:
        DataError: A well_id is empty, repeated or not in the metadata.
    """
    import pyarrow.compute as pc

    if len(ids) == 0:
        raise DataError(f"{path} holds no wells")
    refuse_duplicates(path, ids)
    row = pc.index_in(ids, value_set=meta.well_id)
    if row.null_count:
        unknown = ids.filter(pc.is_null(row)).to_pylist()
        raise DataError(
            f"{path}: {len(unknown):,} of {len(ids):,} wells are not in {meta.path}: {some(unknown, 3)}; "
            "do the two files belong together?"
        )
    rows: Ints = row.to_numpy().astype(np.int64)
    return rows


def refuse_duplicates(path: Path, ids: Any) -> None:
    import pyarrow.compute as pc

    if nameless := pc.sum(pc.equal(pc.fill_null(ids, ""), "")).as_py():
        raise DataError(f"{path}: {nameless:,} rows have no well_id")
    if pc.count_distinct(ids).as_py() < len(ids):
        twice = [c["values"] for c in pc.value_counts(ids).to_pylist() if c["counts"] > 1]
        raise DataError(
            f"{path}: {len(twice):,} wells stand more than once: {some(twice, 3)}; expected one row per well"
        )
