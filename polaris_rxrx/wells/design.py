"""What a batch is, which wells are controls, and where on its plate a well lies.

Conventions
    A batch is what wells are aligned in: an experiment, a plate (of an experiment: plates of two experiments
    are two, whatever their names), or the wells that share a cell of any other column of the metadata.
    `EXPERIMENT` and `PLATE` are words, even where a column is called so.
    Controls are named as the metadata name them, by gene or by treatment. Their wells are a perturbation of
    that name, so that a guide that is a control takes nothing of its gene's other wells.
    A position is an address, `A01` or `a1` alike, whatever the plate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, short, some
from polaris_rxrx.types import Bools, Ints

EXPERIMENT, PLATE = "experiment", "plate"
ADDRESSES = ("address", "well", "Metadata_Well")
"""What the column with a well's address may be called; the first that is there counts."""


@dataclass(frozen=True)
class Design:
    """How wells are read: in which batches, with which controls, with or without their positions.

    Args:
        batch: `experiment`, `plate`, or a column of the metadata.
        controls: Names of the control wells; without any those that the metadata, or the dataset's card,
            say.
        positions: Whether every well has to have an address.
        labels: Whether the names of plates, of addresses (where there are any) and of treatments are kept,
            for whoever shows single wells.

    Raises:
        UsageError: An empty name, or one that stands twice.

    Wells in batches of plates, aligned on two kinds of control wells:

    >>> design = Design(batch="plate", controls=("EMPTY_control", "CRISPR_control"))
    >>> wells = pr.read_wells(
    ...     "data/metadata_rxrx3_core.csv",
    ...     "data/OpenPhenom_rxrx3_core_embeddings.parquet",
    ...     features="feature_?",
    ...     design=design,
    ... )
    >>> wells.provenance["batch"], len(wells.experiments) > 8
    ('plate', True)
    """

    batch: str = EXPERIMENT
    controls: tuple[str, ...] = ()
    positions: bool = False
    labels: bool = False

    def __post_init__(self) -> None:
        if not self.batch:
            raise UsageError("the batch has no name; experiment, plate or a column was expected")
        if "" in self.controls or len(set(self.controls)) < len(self.controls):
            raise UsageError(
                f"controls are {', '.join(map(repr, self.controls))}; names, each once, were expected"
            )

    @property
    def column(self) -> str | None:
        """The column that batches are made of, if it is neither the experiment nor the plate."""
        return None if self.batch in (EXPERIMENT, PLATE) else self.batch

    def to_dict(self) -> dict[str, Any]:
        """What a protocol keeps: nothing of what is as ever.

        >>> Design().to_dict(), Design(batch="plate").to_dict()
        ({}, {'batch': 'plate'})
        """
        kept: dict[str, Any] = {} if self.batch == EXPERIMENT else {"batch": self.batch}
        return {**kept, "controls": list(self.controls)} if self.controls else kept


@dataclass(frozen=True, eq=False)
class Groups:
    """Codes (n,), and the names that they stand for, sorted."""

    code: Ints
    names: list[str]


@dataclass(frozen=True, eq=False)
class Labels:
    """Where each well is and what was put into it, by name; None where the metadata do not say.

    A treatment is what stands in that column: a guide, a compound or a control, whatever the perturbation.
    """

    plate: Groups | None
    address: Groups | None
    treatment: Groups

    def take(self, rows: Ints | Bools) -> Labels:
        """Those of some wells, in this order."""
        plate, address, treatment = (
            None if of is None else Groups(of.code[rows], of.names)
            for of in (self.plate, self.address, self.treatment)
        )
        assert treatment is not None
        return Labels(plate, address, treatment)


def batches(
    where: Callable[[int], str],
    design: Design,
    experiment: Groups,
    plate: Groups | None,
    column: Groups | None,
) -> Groups:
    """The batch of each well.

    Args:
        where: Where a row stands, for messages.
        design: The choice.
        experiment: The experiment of each well.
        plate: The plate of each well; None without a column of plates.
        column: The cells of the design's column; None where it has none.

    Raises:
        DataError: A well has no plate or an empty cell, or two plates would go by one name.
    """
    if design.batch == EXPERIMENT:
        return experiment
    found = column
    if design.batch == PLATE:
        assert plate is not None
        found = plate
    assert found is not None
    if "" in found.names:
        row = int(np.flatnonzero(found.code == found.names.index(""))[0])
        raise DataError(
            f"{where(row)}: {design.batch} is empty, and --batch {design.batch} makes batches of it"
        )
    if design.batch != PLATE:
        return found
    key = experiment.code * len(found.names) + found.code
    unique, code = np.unique(key, return_inverse=True)
    names = [f"{experiment.names[k // len(found.names)]}_{found.names[k % len(found.names)]}" for k in unique]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{where(0)}: two plates of two experiments are both called {twice!r}")
    order = np.argsort(np.array(names, dtype=object), kind="stable")
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    return Groups(rank[code.reshape(-1)], [names[i] for i in order.tolist()])


def plates(plate: Groups, experiment: Groups, design: Design) -> Ints:
    """Codes of plates (n,) that tell those of a batch apart, also where it has plates of two experiments."""
    if design.batch == EXPERIMENT:
        return plate.code
    codes: Ints = experiment.code * len(plate.names) + plate.code
    return codes


def refuse_unknown(path: Path, controls: Sequence[str], names: Collection[str], what: str) -> None:
    """Raise `DataError` if a control has no well, telling which names there are.

    Args:
        path: The metadata, for the message.
        controls: The names asked for.
        names: All that there are.
        what: What these are names of.
    """
    for name in controls:
        if name in names:
            continue
        near = get_close_matches(name, sorted(names), 1, 0.75)
        alike = sorted(n for n in names if n.casefold().endswith("control"))
        others = sorted(set(names) - set(alike) - {""})
        hint = f"; is it {near[0]!r}?" if near else ""
        raise DataError(
            f"{path}: no well's {what} is {name!r}, which --controls names; there are "
            f"{some([*alike, *others], 8)}{hint}"
        )


def chosen_controls(
    controls: Sequence[str], gene: Ints, treatment: Ints, at: dict[str, int]
) -> tuple[Bools, Ints]:
    """Which wells (n,) are controls by name, and by which name, as a code; -1 where none.

    Args:
        controls: Names that there are.
        gene, treatment: Codes (n,).
        at: The code of a name.
    """
    codes = np.array([at[name] for name in controls], dtype=np.int64)
    by_gene, by_treatment = np.isin(gene, codes), np.isin(treatment, codes)
    named: Ints = np.where(by_gene, gene, np.where(by_treatment, treatment, -1))
    return by_gene | by_treatment, named


def positions(where: Callable[[int], str], cells: Any) -> Ints:
    """The position of each well (n,), as a code, from its address (a pyarrow array of strings).

    Raises:
        DataError: A well has no address.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    encoded = pc.dictionary_encode(pc.fill_null(cells, ""))
    texts = encoded.dictionary
    code: Ints = encoded.indices.to_numpy().astype(np.int64)
    plain = pc.replace_substring_regex(
        pc.utf8_upper(pc.utf8_trim_whitespace(texts)), r"^([A-Z]{1,2})0+(\d)", r"\1\2"
    ).to_pylist()
    if "" in plain:
        row = int(np.flatnonzero(code == plain.index(""))[0])
        raise DataError(
            f"{where(row)}: the address is {short(texts[plain.index('')].as_py())}; well-position correction "
            "wants one such as A01 for every well"
        )
    at = {name: i for i, name in enumerate(sorted(set(plain)))}
    return np.array([at[name] for name in plain], dtype=np.int64)[code]
