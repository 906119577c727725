"""Compounds that are one compound: found by InChIKey.

Conventions
    A CXSMILES suffix is cut off before parsing. Compounds are identical if the InChIKeys of their structures,
    as drawn, are. They are alike if the first blocks of the keys of their largest fragments are: that is the
    connectivity, with salts, added or lost protons, isotopes and stereochemistry aside. Identical ones are
    not listed as alike again, unless a third name is.
    A compound without a structure, or with one that cannot be parsed, is in no group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from polaris_rxrx.errors import DataError
from polaris_rxrx.tables import read_table
from polaris_rxrx.task import Task
from polaris_rxrx.wells.smiles import read_smiles, strip_extension


@dataclass(frozen=True)
class SameCompounds:
    """Groups of two or more names each, sorted; the names looked at, and those that could not be parsed."""

    identical: list[list[str]]
    alike: list[list[str]]
    names: list[str]
    unread: list[str]

    @property
    def read(self) -> int:
        return len(self.names)


def find(task: Task, metadata: Path | None) -> tuple[dict[str, str], str]:
    """SMILES by compound, and where they are from; none, and why.

    From the task itself (see `Task.smiles`) and its training set, else from the metadata.
    """
    train = zip(task.train.get("treatment", []), task.train.get("SMILES", []), strict=False)
    found = {**{name: s for name, s in train if s.strip()}, **task.smiles()}
    if found:
        return found, "the task's SMILES"
    if metadata is None:
        return {}, "no structures: the task has no SMILES and there is no metadata"
    try:
        found = read_smiles(metadata, {*task.treatment, *task.train.get("treatment", [])})
    except DataError as error:  # no such column
        return {}, f"no structures: {error}"
    if not found:
        return {}, f"no structures: {metadata} has no SMILES of the task's compounds"
    return found, str(metadata)


def read_table_of_smiles(path: Path) -> dict[str, str]:
    """SMILES by compound from a table of `treatment` and `SMILES`, CSV or parquet.

    Raises:
        DataError: Not such a table, or a compound stands twice with different SMILES.
    """
    table = read_table(path)
    table.need("treatment", "SMILES")
    found: dict[str, str] = {}
    for row, (name, smiles) in enumerate(
        zip(table.columns["treatment"], table.columns["SMILES"], strict=True)
    ):
        if not isinstance(name, str) or not (smiles is None or isinstance(smiles, str)):
            raise DataError(f"{table.at(row)}: {name!r}, {smiles!r}; a compound and its SMILES were expected")
        if found.setdefault(name, smiles or "") != (smiles or ""):
            raise DataError(
                f"{table.at(row)}: SMILES of {name!r} is {smiles!r}, and {found[name]!r} further up; one was "
                "expected"
            )
    return found


def group(smiles: Mapping[str, str]) -> SameCompounds:
    """Group compounds by structure; `smiles` is by name."""
    identical: dict[str, list[str]] = {}
    alike: dict[str, list[str]] = {}
    unread: list[str] = []
    import datamol as dm

    texts = {name: strip_extension(smiles[name]) for name in sorted(smiles)}
    with dm.without_rdkit_log():
        keys = {text: _keys(text) for text in set(texts.values())}
    for name, text in texts.items():
        found = keys[text]
        if found is None:
            unread.append(name)
            continue
        identical.setdefault(found[0], []).append(name)
        alike.setdefault(found[1], []).append(name)
    same = sorted(names for names in identical.values() if len(names) > 1)
    others = sorted(names for names in alike.values() if len(names) > 1 and names not in same)
    return SameCompounds(same, others, sorted(n for names in identical.values() for n in names), unread)


def _keys(smiles: str) -> tuple[str, str] | None:
    """The InChIKey, and the first block of the parent's; None if there is none."""
    import datamol as dm

    try:
        mol = dm.to_mol(smiles) if smiles else None
        whole = dm.to_inchikey(mol) if mol is not None else None
        if not whole:
            return None
        parent = dm.to_inchikey(dm.keep_largest_fragment(mol))
        return whole, (parent or whole).partition("-")[0]
    except (ValueError, RuntimeError):  # RDKit refuses some structures it has parsed
        return None
