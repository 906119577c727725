"""The names in the made-up sandbox: genes, compounds, structures, and which compound is known for which gene.

Names and targets are textbook pharmacology, spelled as RxRx3-core spells them (`Dactolisib (BEZ235` and
`Lorlatinib?(PF-6463922)` are sic). They carry no measurement: every number in the sandbox is drawn.
A structure may end in a CXSMILES suffix, as in the published metadata; an empty one is left empty there too.
"""

from __future__ import annotations

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

COMPOUNDS: tuple[Ligand, ...] = (
    Ligand("ABT-199", "", ("BCL2",)),
    Ligand(
        "ABT-737",
        "CN(C)CC[C@H](CSc1ccccc1)Nc1ccc(cc1[N+]([O-])=O)S(=O)(=O)NC(=O)c1ccc(cc1)N1CCN(Cc2ccccc2-c2ccc(Cl)cc2)CC1",
        ("BCL2", "BCL2L1"),
    ),
    Ligand(
        "AZD4547", "COc1cc(CCc2cc(NC(=O)c3ccc(cc3)N3CC(C)NC(C)C3)n[nH]2)cc(OC)c1", ("FGFR1", "FGFR2", "FGFR3")
    ),
    Ligand("AZD9291", "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc1nccc(n1)-c1cn(C)c2ccccc12", ("EGFR", "ERBB2")),
    Ligand("Acetazolamide", "CC(=O)Nc1nnc(s1)S(N)(=O)=O |c:5,7|", ("CA1", "CA2", "CA4", "CA9")),
    Ligand("BYL719", "Cc1nc(NC(=O)N2CCC[C@H]2C(N)=O)sc1-c1ccnc(c1)C(C)(C)C(F)(F)F", ("PIK3CA",)),
    Ligand("Baricitinib", "CCS(=O)(=O)N1CC(CC#N)(C1)n1cc(cn1)-c1ncnc2[nH]ccc12", ("JAK2", "JAK3")),
    Ligand("Benazepril", "CCOC(=O)[C@H](CCc1ccccc1)N[C@H]1CCc2ccccc2N(CC(O)=O)C1=O", ("ACE",)),
    Ligand(
        "Bortezomib",
        "CC(C)C[C@H](NC(=O)[C@H](Cc1ccccc1)NC(=O)c1cnccn1)B(O)O",
        ("PSMB1", "PSMB5", "PSMB8"),
    ),
    Ligand(
        "Bosutinib",
        "COc1cc(Nc2c(cnc3cc(OCCCN4CCN(C)CC4)c(OC)cc23)C#N)c(Cl)cc1Cl",
        ("ABL1", "SRC", "LCK", "LYN", "HCK"),
    ),
    Ligand("CAL-101", "CC[C@H](Nc1ncnc2[nH]cnc12)c1nc2cccc(F)c2c(=O)n1-c1ccccc1", ("PIK3CD", "PIK3CG")),
    Ligand(
        "Cabozantinib",
        "COc1cc2nccc(Oc3ccc(NC(=O)C4(CC4)C(=O)Nc4ccc(F)cc4)cc3)c2cc1OC",
        ("MET", "AXL", "KDR", "RET", "FLT3"),
    ),
    Ligand("Carfilzomib", "", ("PSMB5", "PSMB8")),
    Ligand("Celecoxib", "Cc1ccc(cc1)-c1cc(nn1-c1ccc(cc1)S(N)(=O)=O)C(F)(F)F", ("PTGS2", "CA2", "CA9")),
    Ligand(
        "Clozapine",
        "CN1CCN(CC1)C1=Nc2cc(Cl)ccc2Nc2ccccc12 |c:7|",
        ("DRD2", "DRD4", "HTR2A", "HTR2C"),
    ),
    Ligand(
        "Cobimetinib",
        "C1CCN[C@@H](C1)C2(CN(C2)C(=O)C3=C(C(=C(C=C3)F)F)NC4=C(C=C(C=C4)I)F)O",
        ("MAP2K1", "MAP2K2"),
    ),
    Ligand(
        "Crizotinib",
        "C[C@@H](Oc1cc(cnc1N)-c1cnn(c1)C1CCNCC1)c1c(Cl)ccc(F)c1Cl",
        ("ALK", "MET", "ROS1", "AXL"),
    ),
    Ligand(
        "Dabrafenib",
        "CC(C)(C)c1nc(c(s1)-c1ccnc(N)n1)-c1cccc(NS(=O)(=O)c2c(F)cccc2F)c1F",
        ("BRAF", "RAF1"),
    ),
    Ligand(
        "Dactolisib (BEZ235",
        "CN1C(=O)N(c2ccc(cc2)C(C)(C)C#N)c2c1cnc1ccc(cc21)-c1cnc2ccccc2c1",
        ("PIK3CA", "PIK3CD", "PIK3CG", "MTOR", "ATR"),
    ),
    Ligand(
        "Dasatinib",
        "Cc1nc(Nc2ncc(s2)C(=O)Nc2c(C)cccc2Cl)cc(n1)N1CCN(CCO)CC1 |c:1,13|",
        ("ABL1", "SRC", "LCK", "LYN", "KIT"),
    ),
    Ligand(
        "Dihydrotestosterone(DHT)",
        "C[C@]12CC[C@H]3[C@H]([C@@H]1CC[C@@H]2O)CC[C@@H]4[C@@]3(CCC(=O)C4)C",
        ("AR",),
    ),
    Ligand(
        "Enzalutamide",
        "CNC(=O)c1ccc(cc1F)N1C(=S)N(C(=O)C1(C)C)c1ccc(C#N)c(c1)C(F)(F)F",
        ("AR",),
    ),
    Ligand("Erlotinib", "COCCOc1cc2ncnc(Nc3cccc(c3)C#C)c2cc1OCCOC", ("EGFR",)),
    Ligand("Eugenol (no structure)", "", ()),  # no gene: a compound that no score counts
    Ligand(
        "Haloperidol",
        "OC1(CCN(CCCC(=O)c2ccc(F)cc2)CC1)c1ccc(Cl)cc1 |c:12,15,t:10|",
        ("DRD2", "DRD3", "DRD4", "HTR2A", "SIGMAR1"),
    ),
    Ligand(
        "I-BET-762", "CCNC(=O)C[C@@H]1N=C(c2ccc(Cl)cc2)c2cc(OC)ccc2-n2c(C)nnc12", ("BRD2", "BRD3", "BRD4")
    ),
    Ligand(
        "Ibrutinib", "C=CC(=O)N1CCC[C@H](C1)n1nc(-c2ccc(Oc3ccccc3)cc2)c2c(N)ncnc12", ("BTK", "ITK", "JAK3")
    ),
    Ligand(
        "Imatinib",
        "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(n1)-c1cccnc1",
        ("ABL1", "KIT", "PDGFRB", "CSF1R", "DDR1"),
    ),
    Ligand("Ipatasertib (GDC-0068)", "", ("AKT1", "AKT2", "AKT3")),
    Ligand(
        "Lapatinib",
        "CS(=O)(=O)CCNCc1ccc(o1)-c1ccc2ncnc(Nc3ccc(OCc4cccc(F)c4)c(Cl)c3)c2c1",
        ("EGFR", "ERBB2"),
    ),
    Ligand("Lorlatinib?(PF-6463922)", "", ("ALK", "ROS1")),
    Ligand("Losartan", "CCCCc1nc(Cl)c(CO)n1Cc1ccc(cc1)-c1ccccc1-c1nnn[nH]1", ("AGTR1",)),
    Ligand("MK-2206", "NC1(CCC1)c1ccc(cc1)-c1nc2ccn3c(=O)[nH]nc3c2cc1-c1ccccc1", ("AKT1", "AKT2", "AKT3")),
    Ligand(
        "Nilotinib",
        "Cc1cn(cn1)-c1cc(NC(=O)c2ccc(C)c(Nc3nccc(n3)-c3cccnc3)c2)cc(c1)C(F)(F)F",
        ("ABL1", "KIT", "PDGFRB", "DDR1"),
    ),
    Ligand("Olaparib", "Fc1ccc(CC2=NNC(=O)c3ccccc23)cc1C(=O)N1CCN(CC1)C(=O)C1CC1", ("PARP1", "PARP2")),
    Ligand(
        "Palbociclib",
        "CC(=O)C1=C(C)c2cnc(Nc3ccc(cn3)N3CCNCC3)nc2N(C2CCCC2)C1=O",
        ("CDK4", "CDK6"),
    ),
    Ligand("Raloxifene", "Oc1ccc(cc1)-c1sc2cc(O)ccc2c1C(=O)c1ccc(OCCN2CCCCC2)cc1", ("ESR1", "ESR2")),
    Ligand("Sildenafil", "CCCc1nn(C)c2c1nc([nH]c2=O)-c1cc(ccc1OCC)S(=O)(=O)N1CCN(C)CC1", ("PDE5A",)),
    Ligand(
        "Sorafenib",
        "CNC(=O)c1cc(Oc2ccc(NC(=O)Nc3ccc(Cl)c(c3)C(F)(F)F)cc2)ccn1",
        ("BRAF", "RAF1", "KDR", "FLT1", "FLT3"),
    ),
    Ligand("Tacrine", "Nc1c2CCCCc2nc2ccccc12 |c:1,10,t:12|", ("ACHE", "BCHE")),
    Ligand(
        "Torin 1",
        "CCC(=O)N1CCN(CC1)c1ccc(cc1C(F)(F)F)N1C(=O)C=Cc2cnc3ccc(cc3c12)-c1cnc2ccccc2c1",
        ("MTOR", "PIK3C3"),
    ),
    Ligand(
        "Trametinib",
        "CC1=C2C(=C(N(C1=O)C)NC3=C(C=C(C=C3)I)F)C(=O)N(C(=O)N2C4=CC=CC(=C4)NC(=O)C)C5CC5",
        ("MAP2K1", "MAP2K2"),
    ),
    Ligand("Vorinostat", "ONC(=O)CCCCCCC(=O)Nc1ccccc1", ("HDAC1", "HDAC2", "HDAC3", "HDAC6")),
    Ligand("propranolol", "CC(C)NCC(O)COc1cccc2ccccc12", ("ADRB1", "ADRB2")),
    Ligand(
        "simvastatin",
        "CCC(C)(C)C(=O)O[C@H]1C[C@@H](C)C=C2C=C[C@H](C)[C@H](CC[C@@H]3C[C@@H](O)CC(=O)O3)[C@@H]12 |r|",
        ("HMGCR",),
    ),
)
