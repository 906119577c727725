"""Compounds' structures from the metadata, standardized.

Conventions
    A CXSMILES suffix (` |c:1,13|`) is cut off before parsing. What datamol cannot parse stays blank.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from polaris_rxrx.errors import DataError, some


@dataclass(frozen=True)
class Structures:
    """Standardized SMILES of each compound; which had none, and which could not be parsed."""

    smiles: dict[str, str]
    absent: list[str]
    unparsable: list[str]

    @property
    def notes(self) -> list[str]:
        """What was left blank, and why."""
        said = ((self.absent, "compounds have no SMILES"), (self.unparsable, "SMILES cannot be parsed"))
        return [f"{len(names):,} {what}; left blank: {some(names)}" for names, what in said if names]


def strip_extension(smiles: str) -> str:
    """`CCO |c:1|` -> `CCO`.

    >>> strip_extension("CCO |c:1|")
    'CCO'
    """
    return smiles.split(" |", 1)[0].strip()


def read_structures(metadata: Path, compounds: Iterable[str]) -> Structures:
    """Standardize the SMILES of these compounds with datamol, each once.

    Raises:
        DataError: The metadata has no SMILES column.
    """
    import datamol as dm

    wanted = sorted(set(compounds))
    raw = read_smiles(metadata, wanted)
    smiles: dict[str, str] = {}
    absent: list[str] = []
    unparsable: list[str] = []
    with dm.without_rdkit_log():
        for compound in wanted:
            text = strip_extension(raw.get(compound, ""))
            smiles[compound] = _standard(text) if text else ""
            if not text:
                absent.append(compound)
            elif not smiles[compound]:
                unparsable.append(compound)
    return Structures(smiles, absent, unparsable)


def _standard(text: str) -> str:
    import datamol as dm

    mol = dm.to_mol(text)
    if mol is None:
        return ""
    try:
        return dm.to_smiles(dm.standardize_mol(dm.fix_mol(mol))) or ""
    except (ValueError, RuntimeError):  # RDKit refuses some structures it has parsed
        return ""


def read_smiles(path: Path, compounds: Collection[str]) -> dict[str, str]:
    """The first SMILES that stands beside each of these treatments in the metadata, as it is written there.

    Raises:
        DataError: The metadata has no SMILES column.

    >>> read_smiles(Path("data/metadata_rxrx3_core.csv"), ["Celecoxib", "no such compound"])
    {'Celecoxib': 'Cc1ccc(cc1)-c1cc(nn1-c1ccc(cc1)S(N)(=O)=O)C(F)(F)F'}
    """
    from polaris_rxrx.wells.table import open_table

    table = open_table(path, text=True, only=("treatment", "SMILES"))
    if {"treatment", "SMILES"} - set(table.names):
        raise DataError(
            f"{path}: SMILES need the columns treatment and SMILES; it has {', '.join(table.names)}"
        )
    unique = (
        table.read(["treatment", "SMILES"]).group_by(["treatment", "SMILES"], use_threads=False).aggregate([])
    )
    wanted = set(compounds)
    found: dict[str, str] = {}
    for treatment, smiles in zip(
        *(unique.column(n).to_pylist() for n in ("treatment", "SMILES")), strict=True
    ):
        if treatment in wanted and smiles and smiles.strip():
            found.setdefault(treatment, smiles)
    return found
