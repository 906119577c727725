"""Wells in memory: metadata joined with one model's embeddings.

Conventions
    The matrix of `Wells` is C-ordered, one row a well, sorted by experiment, in it by perturbation, then by
    `well_id`: an experiment is a contiguous block, and the order of the files' rows changes no bit of a sum.
    Which columns are features, and in which order, `polaris_rxrx.wells.features` says; which values are
    refused or told of, `polaris_rxrx.wells.values`. Features are float32 unless the file holds something
    wider; decimals and whole numbers become float64. What a table may come in is said by
    `polaris_rxrx.wells.containers`, which row is which well by `polaris_rxrx.wells.join`, and what becomes of
    a well's several rows by `polaris_rxrx.wells.gather`.

Reading
    A parquet file is read a few columns at a time into the rows where they belong, so the peak is little more
    than the matrix itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx import limits
from polaris_rxrx.errors import DataError
from polaris_rxrx.types import Bools, Ints, Matrix, Progress
from polaris_rxrx.wells.design import Design, Labels
from polaris_rxrx.wells.gather import Sites, gather
from polaris_rxrx.wells.metadata import Metadata, Perturbations
from polaris_rxrx.wells.opened import OpenWells, open_wells
from polaris_rxrx.wells.source import WellBlock
from polaris_rxrx.wells.values import Extremes, look


@dataclass(frozen=True, eq=False)
class Wells:
    """Wells in memory. `missing` counts metadata wells without an embedding, `sources` says what was read.

    `files` are those of a source that is not one file: of a folder many, of a table in memory none. `joined`
    are the tables that a dataset card joined to the metadata, by name.
    `notes` are what a user should be told of the reading, `provenance` is what a protocol keeps of it.

    >>> embeddings = "data/OpenPhenom_rxrx3_core_embeddings.parquet"
    >>> wells = pr.read_wells("data/metadata_rxrx3_core.csv", embeddings, features="feature_?")
    >>> wells.x.shape, wells.x.dtype.name, wells.features[:2]
    ((4376, 10), 'float32', ['feature_0', 'feature_1'])
    >>> int(wells.control.sum()), len(wells.experiments)
    (1800, 8)
    """

    x: Matrix
    features: list[str]
    experiment: Ints
    experiments: list[str]
    perturbation: Ints
    perturbations: Perturbations
    control: Bools
    missing: int
    sources: dict[str, str]
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    plate: Ints | None = None
    files: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    joined: Mapping[str, Path] = field(default_factory=dict)
    position: Ints | None = None
    labels: Labels | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def places(self) -> Wells:
        return self

    def blocks(self) -> Iterator[WellBlock]:
        """Experiments in the order of their names.

        >>> embeddings = "data/OpenPhenom_rxrx3_core_embeddings.parquet"
        >>> wells = pr.read_wells("data/metadata_rxrx3_core.csv", embeddings, features="feature_?")
        >>> [(block.experiment, len(block.x)) for block in wells.blocks()][:2]
        [('compound-001', 850), ('compound-002', 826)]
        """
        start = np.flatnonzero(np.r_[True, np.diff(self.experiment) != 0][: len(self)])
        for a, b in zip(start, np.r_[start[1:], len(self)][: len(start)], strict=True):
            yield WellBlock(
                self.experiments[self.experiment[a]],
                self.x[a:b],
                self.perturbation[a:b],
                self.control[a:b],
                None if self.plate is None else self.plate[a:b],
                None if self.position is None else self.position[a:b],
            )
            limits.release(self.x)


def read_wells(
    metadata: Path | str | Metadata,
    embeddings: Any,
    *,
    width: int | None = None,
    allow_nan: bool = False,
    allow_missing: bool = False,
    guides: bool = False,
    features: str | Sequence[str] = (),
    sites: Sites = "mean",
    ids: Path | str | None = None,
    layer: str | None = None,
    max_memory: int | None = None,
    design: Design | None = None,
    progress: Progress | None = None,
) -> Wells:
    """Read the metadata and an embedding (or feature) table and join them on `well_id`.

    Args:
        metadata: A table with at least the columns of `NEEDED`; or wells that were read.
        embeddings: A file, a folder of files, or a glob of them: parquet, CSV or TSV, Feather, HDF5, AnnData,
            .npz, .npy; ids and one numeric column a feature, or arrays. Or a table in memory: pandas',
            polars' or pyarrow's.
        width: How many features are expected.
        allow_nan: Let NaN and infinite values through (a feature table to be cleaned).
        allow_missing: Let wells of the metadata be absent from the embeddings.
        guides: A CRISPR well's perturbation is its guide (`treatment`), not its gene.
        features: Patterns of the names of features, `*` and `?` as in a shell; without any, names decide.
        sites: What several rows of a well become: their `mean` or their `median`.
        ids: The ids of the rows of an .npy file, or the index of a folder of DeepProfiler's files.
        layer: A layer of an AnnData file, in place of X.
        max_memory: Bytes that this process may take; a matrix of more than a third of what is left of them
            stands on disk. Without a number it is in memory.
        design: Batches, controls and positions; of wells that were read, those that they were read with.
        progress: Called with a word, how far, out of how many.

    Raises:
        DataError: Naming the file and what is wrong with it.
        UsageError: `ids` or `layer` mean nothing for such a file, `sites` is something else, or the wells
            were read with another design.

    Of a file:

    >>> wells = pr.read_wells("data/metadata_rxrx3_core.csv", "data/OpenPhenom_rxrx3_core_embeddings.parquet")
    >>> wells.x.shape, wells.missing
    ((4376, 384), 0)

    Of a table in memory, with two features of all wells but one:

    >>> import pandas as pd
    >>> ids = pd.read_csv("data/metadata_rxrx3_core.csv")["well_id"][1:]
    >>> frame = pd.DataFrame({"well_id": ids, "a": np.arange(4375.0), "b": 1.5})
    >>> wells = pr.read_wells("data/metadata_rxrx3_core.csv", frame, allow_missing=True)
    >>> wells.x.shape, wells.missing
    ((4375, 2), 1)
    """
    found = open_wells(
        metadata,
        embeddings,
        width=width,
        allow_nan=allow_nan,
        allow_missing=allow_missing,
        guides=guides,
        features=features,
        sites=sites,
        ids=ids,
        layer=layer,
        design=design,
    )
    return wells_of(found, max_memory=max_memory, progress=progress)


def wells_of(found: OpenWells, *, max_memory: int | None = None, progress: Progress | None = None) -> Wells:
    """The wells of an open table, read; arguments and errors are those of `read_wells`."""
    path, names, meta, row = found.table.path, found.features, found.meta, found.row
    extremes = None if found.absent else Extremes.of(len(names))

    def seen_block(start: int, block: Matrix) -> None:
        if extremes is not None and not extremes.add(start, block):
            refuse_nan(path, names[start : start + len(block)], block, found.name)

    x = gather(
        found.table,
        names,
        found.places,
        sites=found.sites,
        absent=found.absent,
        limit=None if max_memory is None else max(max_memory - limits.in_use(), 0) // 3,
        progress=progress,
        seen=seen_block,
    )
    seen = look(x, names, found.name, path, extremes)
    limits.release(x)
    notes = found.notes(seen.notes)
    if limits.is_on_disk(x):
        notes = (
            *notes,
            f"The wells ({limits.size_text(x.nbytes)}) are kept on disk: they do not fit into memory",
        )
    return Wells(
        x=x,
        features=names,
        experiment=meta.experiment[row],
        experiments=meta.experiments,
        perturbation=meta.perturbation[row],
        perturbations=meta.perturbations,
        control=meta.control[row],
        missing=found.missing,
        sources=found.sources,
        notes=notes,
        provenance=found.provenance(seen.to_dict()),
        plate=None if meta.plate is None else meta.plate[row],
        position=None if meta.position is None else meta.position[row],
        labels=None if meta.labels is None else meta.labels.take(row),
        files=found.files,
        joined=meta.joined,
    )


def refuse_nan(path: Path, names: Sequence[str], block: Matrix, name: Callable[[int], str]) -> None:
    """Raise `DataError` naming the first value that is not finite, of features (k, n) of all wells."""
    column = next(i for i, values in enumerate(block) if not np.isfinite(values).all())
    row = int(np.flatnonzero(~np.isfinite(block[column]))[0])
    n = int((~np.isfinite(block[column])).sum())
    well = name(row)
    raise DataError(
        f"{path}: feature {names[column]!r} is {block[column, row]} in well {well!r} (not finite in {n:,} of "
        f'{block.shape[1]:,} wells); an embedding holds finite numbers. A card with kind = "profile" '
        "has its features cleaned"
    )
