"""Wells: RxRx3-core's metadata joined with one model's embeddings.

Conventions
    A well is one row of the metadata, named by `well_id`. Its perturbation is the gene (CRISPR, all guides
    together, or on request the guide) or the compound at a concentration in uM (COMPOUND); names are text as
    it stands in the file. Blanks at the ends of a `well_id` or an `experiment_name` are taken off, and said.
    Concentrations that look like another unit all in all are refused (`polaris_rxrx.dataset.units`), unless a
    column `concentration_unit` says uM. Control wells are those whose gene or treatment is `EMPTY_control`.
    The matrix of `Wells` is C-ordered, one row a well, sorted by experiment, in it by perturbation, then by
    `well_id`: an experiment is a contiguous block, and the order of the files' rows changes no bit of a sum.
    Which columns are features, and in which order, `polaris_rxrx.dataset.features` says; which values are
    refused or told of, `polaris_rxrx.dataset.values`. Features are float32 unless the file holds something
    wider; decimals and whole numbers become float64.

Reading
    A parquet file is read a few columns at a time into the rows where they belong, so the peak is little more
    than the matrix itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from polaris_rxrx import damage
from polaris_rxrx.dataset import units
from polaris_rxrx.dataset.features import LEAST, Choice, choose
from polaris_rxrx.dataset.ids import as_ids
from polaris_rxrx.dataset.opening import NEEDED, OpenTable, open_table
from polaris_rxrx.dataset.values import Extremes, look
from polaris_rxrx.errors import DataError, short, some

CONTROL = "EMPTY_control"
# The nominal concentrations in uM; four others occur in a few wells and are no part of the protocol.
NOMINAL = (0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0)
TYPES = ("COMPOUND", "CRISPR")
_COLUMNS_AT_ONCE = 32
_LEAST_NUMBERED = 20  # rows; of fewer, whole numbers without a gap may be chance

Progress = Callable[[str, int, int], None]
Ints = NDArray[np.int64]
Matrix = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Perturbations:
    """What can be done to a well, sorted by type, name, concentration; each of length n.

    `concentration` is in uM, NaN for CRISPR and controls.
    """

    type: list[str]
    name: list[str]
    concentration: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True, eq=False)
class Metadata:
    """The wells of an experiment table, in the file's order; codes point into the two name lists."""

    path: Path
    well_id: Any  # pyarrow string array: joined on, never turned into Python objects
    experiment: Ints
    experiments: list[str]
    perturbation: Ints
    perturbations: Perturbations
    control: NDArray[np.bool_]
    columns: tuple[str, ...] = ()  # all that the file has
    notes: tuple[str, ...] = ()  # what reading it changed

    def __len__(self) -> int:
        return len(self.experiment)


@dataclass(frozen=True, eq=False)
class Block:
    """All wells of an experiment: features (n, d), perturbation codes ascending (n,), control or not (n,)."""

    experiment: str
    x: Matrix
    perturbation: Ints
    control: NDArray[np.bool_]


class WellSource(Protocol):
    """What a map is built from: whole experiments, one after the other, as often as asked."""

    @property
    def features(self) -> Sequence[str]: ...
    @property
    def perturbations(self) -> Perturbations: ...
    def blocks(self) -> Iterator[Block]: ...


@dataclass(frozen=True, eq=False)
class Wells:
    """Wells in memory. `missing` counts metadata wells without an embedding, `sources` says what was read.

    `notes` are what a user should be told of the reading, `reading` is the same for a protocol.
    """

    x: Matrix
    features: list[str]
    experiment: Ints
    experiments: list[str]
    perturbation: Ints
    perturbations: Perturbations
    control: NDArray[np.bool_]
    missing: int
    sources: dict[str, str]
    notes: tuple[str, ...] = ()
    reading: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def blocks(self) -> Iterator[Block]:
        """Experiments in the order of their names."""
        start = np.flatnonzero(np.r_[True, np.diff(self.experiment) != 0][: len(self)])
        for a, b in zip(start, np.r_[start[1:], len(self)][: len(start)], strict=True):
            yield Block(
                self.experiments[self.experiment[a]], self.x[a:b], self.perturbation[a:b], self.control[a:b]
            )


def read_wells(
    metadata: Path | str,
    embeddings: Path | str,
    *,
    width: int | None = None,
    allow_nan: bool = False,
    allow_missing: bool = False,
    guides: bool = False,
    features: str | Sequence[str] = (),
    progress: Progress | None = None,
) -> Wells:
    """Read the metadata and an embedding (or feature) table and join them on `well_id`.

    Args:
        metadata: CSV or parquet with at least the columns of `NEEDED`.
        embeddings: Parquet or CSV: `well_id` and one numeric column a feature.
        width: How many features are expected.
        allow_nan: Let NaN and infinite values through (a feature table to be cleaned).
        allow_missing: Let wells of the metadata be absent from the embeddings.
        guides: A CRISPR well's perturbation is its guide (`treatment`), not its gene.
        features: Patterns of the names of features, `*` and `?` as in a shell; without any, names decide.
        progress: Called with a word, how far, out of how many.

    Raises:
        DataError: Naming the file and what is wrong with it.
    """
    import pyarrow.compute as pc

    meta = read_metadata(Path(metadata), guides=guides)
    path = Path(embeddings)
    table = open_table(path)
    choice = _choose(table, meta, [features] if isinstance(features, str) else features)
    names = choice.names
    if width is not None and len(names) != width:
        raise DataError(
            f"{path} has {len(names):,} features; {width:,} were expected. Is it another model's file? Taken "
            f"are {choice.told(table.numeric())}"
        )
    ids, stripped = as_ids(path, "well_id", table.read(["well_id"]).column(0))
    row = rows_in_metadata(path, ids, meta, allow_missing=allow_missing)
    by_name = np.empty(len(row), dtype=np.int64)
    by_name[pc.sort_indices(ids).to_numpy()] = np.arange(len(row))
    order = np.lexsort((by_name, meta.perturbation[row], meta.experiment[row]))
    x = np.empty((len(row), len(names)), dtype=table.dtype(names))
    extremes = Extremes.of(len(names))
    for start in range(0, len(names), _COLUMNS_AT_ONCE):
        some_names = names[start : start + _COLUMNS_AT_ONCE]
        columns = table.read(some_names)
        block = np.empty((len(some_names), len(row)), dtype=x.dtype)
        for i, name in enumerate(some_names):
            block[i] = _as_floats(columns.column(name))[order]
        if not allow_nan and not extremes.add(start, block):
            _refuse_nan(path, some_names, block, ids.take(order))
        x[:, start : start + len(some_names)] = block.T
        if progress is not None:
            progress("reading", start + len(some_names), len(names))
    row = row[order]
    told = [*((meta.path, note) for note in meta.notes), *((path, note) for note in stripped)]
    seen = look(x, names, lambda i: str(ids[int(order[i])].as_py()), path, None if allow_nan else extremes)
    return Wells(
        x=x,
        features=names,
        experiment=meta.experiment[row],
        experiments=meta.experiments,
        perturbation=meta.perturbation[row],
        perturbations=meta.perturbations,
        control=meta.control[row],
        missing=len(meta) - len(row),
        sources={"metadata": str(meta.path), "embeddings": str(path)},
        notes=(choice.told(table.numeric()), *meta.notes, *stripped, *seen.notes),
        reading={
            "features": choice.to_dict(),
            "ids": [n.replace(f"{p}:", f"{p.name}:", 1) for p, n in told],  # a protocol says not where
            "values": seen.to_dict(),
        },
    )


def _choose(table: OpenTable, meta: Metadata, patterns: Sequence[str]) -> Choice:
    """The features of a table."""
    if "well_id" not in table.names:
        raise DataError(f"{table.path}: no column 'well_id'; it has {some(table.names)}")

    def counts_wells(name: str) -> bool:
        import pyarrow as pa

        kind = table.schema.field(name).type
        if not (pa.types.is_integer(kind) or (table.is_csv and pa.types.is_floating(kind))):
            return False
        values = table.read([name]).column(0)
        if values.null_count or len(values) < _LEAST_NUMBERED:
            return False
        found = np.sort(values.to_numpy())
        return float(found[0]).is_integer() and bool((np.diff(found) == 1).all())

    commas = table.with_decimal_commas()
    if len(commas) >= LEAST:
        raise DataError(f"{table.path}: column {some(commas)} has decimal commas; write decimal points")
    one_file = table.path.samefile(meta.path)
    return choose(
        table.path,
        {name: table.kind(name) for name in table.header},
        indices=table.indices,
        metadata=() if one_file else meta.columns,
        patterns=patterns,
        counts_wells=counts_wells,
    )


def _as_floats(column: Any) -> Matrix:
    """A column of numbers as numpy has them; null becomes NaN."""
    import pyarrow as pa

    if pa.types.is_decimal(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.float64())
    values: Matrix = column.to_numpy()
    return values


def read_metadata(path: Path, *, guides: bool = False) -> Metadata:
    """Read the well metadata; with `guides` the perturbation of a CRISPR well is its guide.

    Raises:
        DataError: A needed column is absent, a `well_id` stands twice, or a row is not a well.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = open_table(path, text=True, only=(*NEEDED, *units.CONCENTRATION_UNITS))
    absent = [n for n in NEEDED if n not in table.names]
    if absent:
        raise DataError(f"{path}: no column {some(absent)}; well metadata has {', '.join(NEEDED)}")
    columns = table.read(list(NEEDED))
    if columns.num_rows == 0:
        raise DataError(f"{path} holds no wells")
    well_id, notes = as_ids(path, "well_id", columns.column("well_id"))
    _refuse_duplicates(path, well_id)
    code, names = {}, {}
    for name in NEEDED[1:]:
        cells = columns.column(name)
        if name == "experiment_name":
            cells, stripped = as_ids(path, name, cells)
            notes += stripped
        cells = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
        encoded = pc.dictionary_encode(pc.fill_null(cells, ""))
        code[name] = encoded.indices.to_numpy().astype(np.int64)
        names[name] = encoded.dictionary.to_pylist()

    def where(row: int) -> str:
        return f"{table.at(row)} (well {well_id[row].as_py()!r})"

    kind = _kinds(where, code["perturbation_type"], names["perturbation_type"])
    crispr = kind == TYPES.index("CRISPR")
    used = np.unique(code["concentration"])  # by a compound well or not: one column has one unit
    stated = {
        n: table.read([n]).column(0).unique().to_pylist()
        for n in units.CONCENTRATION_UNITS
        if n in table.names
    }
    units.refuse_concentrations(path, [names["concentration"][i] for i in used.tolist()], stated, NOMINAL)
    concentration = _concentrations(where, code["concentration"], names["concentration"])
    if "" in names["experiment_name"]:
        row = _first(code["experiment_name"] == names["experiment_name"].index(""))
        raise DataError(f"{where(row)}: no experiment_name")

    damage.refuse_dates(names["gene"], "gene", lambda i: where(_first(code["gene"] == i)))
    for name in ("gene", "treatment"):
        _refuse_nearly_control(where, name, code[name], names[name])

    # One list of names for both sides; a gene and a compound of one name differ by type.
    every = sorted({*names["gene"], *names["treatment"]})
    at = {name: i for i, name in enumerate(every)}
    gene = np.array([at[n] for n in names["gene"]])[code["gene"]]
    treatment = np.array([at[n] for n in names["treatment"]])[code["treatment"]]
    name_code = np.where(crispr, treatment if guides else gene, treatment)
    control = (gene == at.get(CONTROL, -1)) | (treatment == at.get(CONTROL, -1))
    if guides and CONTROL in at:
        name_code[control] = at[CONTROL]
    _check_rows(where, every, name_code, crispr, concentration, "treatment" if guides else "gene")
    concentration = np.where(crispr, np.nan, concentration)
    doses, dose_code = np.unique(concentration, return_inverse=True)  # NaN comes last, once
    key = (kind * len(every) + name_code) * len(doses) + dose_code.reshape(-1)
    unique, perturbation = np.unique(key, return_inverse=True)
    experiments = sorted(names["experiment_name"])
    experiment_at = {name: i for i, name in enumerate(experiments)}
    return Metadata(
        path=path,
        well_id=well_id,
        experiment=np.array([experiment_at[n] for n in names["experiment_name"]])[code["experiment_name"]],
        experiments=experiments,
        perturbation=perturbation.reshape(-1).astype(np.int64),
        perturbations=Perturbations(
            type=[TYPES[i] for i in unique // (len(doses) * len(every))],
            name=[every[i] for i in unique // len(doses) % len(every)],
            concentration=doses[unique % len(doses)],
        ),
        control=control,
        columns=tuple(table.header),
        notes=tuple(notes),
    )


def _refuse_nearly_control(where: Callable[[int], str], column: str, code: Ints, names: list[str]) -> None:
    """A control whose name is misspelt would be a perturbation like any other."""
    for i, name in enumerate(names):
        if name != CONTROL and name.strip().casefold() == CONTROL.casefold():
            row = _first(code == i)
            raise DataError(f"{where(row)}: {column} is {name!r}; a control is called {CONTROL}")


def _kinds(where: Callable[[int], str], code: Ints, names: list[str]) -> Ints:
    known = {name: i for i, name in enumerate(TYPES)}
    for i, name in enumerate(names):
        if name not in known:
            raise DataError(
                f"{where(_first(code == i))}: perturbation_type is {name!r}; expected {' or '.join(TYPES)}"
            )
    return np.array([known[n] for n in names])[code]


def _concentrations(where: Callable[[int], str], code: Ints, names: list[str]) -> NDArray[np.float64]:
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
    crispr: NDArray[np.bool_],
    concentration: NDArray[np.float64],
    named_by: str,
) -> None:
    nameless = np.array([n == "" for n in every])[name]
    if nameless.any():
        row = _first(nameless)
        what = f"CRISPR well without a {named_by}" if crispr[row] else "COMPOUND well without a treatment"
        raise DataError(f"{where(row)}: a {what}")
    is_control = np.array([n.endswith("_control") for n in every])[name]
    doseless = ~crispr & ~is_control & np.isnan(concentration)
    if doseless.any():
        row = _first(doseless)
        raise DataError(f"{where(row)}: compound {every[name[row]]!r} has no concentration")


def _first(which: NDArray[np.bool_]) -> int:
    return int(np.flatnonzero(which)[0])


def rows_in_metadata(path: Path, ids: Any, meta: Metadata, *, allow_missing: bool) -> Ints:
    """For every row of a table of wells, its row in the metadata.

    Args:
        path: The table, for messages.
        ids: Its well_id, from `as_ids`.
        meta: The metadata.
        allow_missing: Let wells of the metadata be absent from the table.

    Raises:
        DataError: A well_id is empty, repeated or not in the metadata, or wells are absent.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(ids) == 0:
        raise DataError(f"{path} holds no wells")
    _refuse_duplicates(path, ids)
    row = pc.index_in(ids, value_set=meta.well_id)
    if row.null_count:
        unknown = ids.filter(pc.is_null(row)).to_pylist()
        raise DataError(
            f"{path}: {len(unknown):,} of {len(ids):,} wells are not in {meta.path}: {some(unknown, 3)}; "
            "do the two files belong together?"
        )
    absent = len(meta) - len(ids)
    if absent and not allow_missing:
        there = np.zeros(len(meta), dtype=bool)
        there[row.to_numpy()] = True
        names = meta.well_id.filter(pa.array(~there)).slice(0, 3).to_pylist()
        raise DataError(
            f"{path}: {absent:,} of the {len(meta):,} wells in {meta.path} have no embedding: {some(names)}"
            f"{' ...' if absent > 3 else ''}; --allow-missing-wells builds the map without them"
        )
    rows: Ints = row.to_numpy().astype(np.int64)
    return rows


def _refuse_duplicates(path: Path, ids: Any) -> None:
    import pyarrow.compute as pc

    if nameless := pc.sum(pc.equal(pc.fill_null(ids, ""), "")).as_py():
        raise DataError(f"{path}: {nameless:,} rows have no well_id")
    if pc.count_distinct(ids).as_py() < len(ids):
        twice = [c["values"] for c in pc.value_counts(ids).to_pylist() if c["counts"] > 1]
        raise DataError(
            f"{path}: {len(twice):,} wells stand more than once: {some(twice, 3)}; one row a well is expected"
        )


def _refuse_nan(path: Path, names: Sequence[str], block: Matrix, ids: Any) -> None:
    column, row = (int(i[0]) for i in np.nonzero(~np.isfinite(block)))
    n = int((~np.isfinite(block[column])).sum())
    well = ids[row].as_py()
    raise DataError(
        f"{path}: feature {names[column]!r} is {block[column, row]} in well {well!r} (not finite in {n:,} of "
        f'{block.shape[1]:,} wells); an embedding holds finite numbers. A card with kind = "profile" '
        "has its features cleaned"
    )
