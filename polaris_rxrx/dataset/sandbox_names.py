"""The names in the synthetic sandbox: genes, compounds, structures, and the genes a compound is known for.

Names and targets are textbook pharmacology, spelled as RxRx3-core spells them (`Dactolisib (BEZ235` and
`Lorlatinib?(PF-6463922)` are sic). They carry no measurement: every number in the sandbox is drawn.
`sandbox_compounds.tsv` has a compound on each line. A structure may end in a CXSMILES suffix, as in the
published metadata; an empty one is left empty there too.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Ligand(NamedTuple):
    """A compound by its name in RxRx3-core, its SMILES (or nothing), and the genes it is known for."""

    name: str
    smiles: str
    targets: tuple[str, ...]


# Genes of one family look partly alike in the sandbox, as they do under a microscope.
FAMILIES: tuple[tuple[str, ...], ...] = (
    ("ABL1", "SRC", "LCK", "LYN", "HCK", "DDR1"),
    ("AKT1", "AKT2", "AKT3", "MTOR"),
    ("PIK3CA", "PIK3CD", "PIK3CG", "PIK3C3", "ATR"),
    ("ALK", "ROS1", "MET", "AXL"),
    ("BRAF", "RAF1", "MAP2K1", "MAP2K2"),
    ("EGFR", "ERBB2"),
    ("KDR", "FLT1", "FLT3", "KIT", "PDGFRB", "CSF1R", "RET"),
    ("FGFR1", "FGFR2", "FGFR3"),
    ("BTK", "ITK", "JAK2", "JAK3"),
    ("CDK4", "CDK6"),
    ("BCL2", "BCL2L1"),
    ("BRD2", "BRD3", "BRD4"),
    ("HDAC1", "HDAC2", "HDAC3", "HDAC6"),
    ("PARP1", "PARP2"),
    ("PSMB1", "PSMB5", "PSMB8"),
    ("AR", "ESR1", "ESR2"),
    ("ACE", "AGTR1"),
    ("ACHE", "BCHE"),
    ("CA1", "CA2", "CA4", "CA9"),
    ("ADRB1", "ADRB2"),
    ("DRD2", "DRD3", "DRD4", "HTR2A", "HTR2C", "SIGMAR1"),
    ("HMGCR",),
    ("PDE5A",),
    ("PTGS2",),
    # In the experiments, and in no row of the affinity table: such genes are never scored.
    ("EIF3A", "POLR2A", "RPLP2"),
)

# Said to be unexpressed: of the brain and the gut, mostly.
UNEXPRESSED = ("BCHE", "DRD2", "DRD3", "DRD4", "HTR2A", "HTR2C")

COMPOUNDS: tuple[Ligand, ...] = tuple(
    Ligand(name, smiles, tuple(targets.split()))
    for name, smiles, targets in (
        line.split("\t")
        for line in (Path(__file__).parent / "sandbox_compounds.tsv").read_text("utf-8").splitlines()[1:]
    )
)
