"""A small, synthetic RxRx3-core: real names, published columns and file names, drawn numbers.

For `polaris-rxrx demo` and for tests: everything that reads the real files reads these. Nothing in them is a
measurement, and every file says so.

How a well comes about. A gene has a direction in a small latent space, partly its family's; a compound is
the sum of its known targets' directions and of something of its own, and shows more of it the higher the
dose. All models see the same latent wells. Each writes them as
    (strength x latent @ basis + noise) x the experiment's scale + the experiment's offset
with a strength of its own, so that the baselines order as published: CellProfiler, OpenPhenom, Phenom-1.
The noise is a few shared factors and a part of each feature's own, so its covariance is far from a ball.

Guides of a gene share its direction and differ in strength; EMPTY_control is the zero vector; CRISPR_control,
in compound experiments only, is a faint one. Shapes: latent (wells, LATENT), embeddings (wells, width).

Reproducible: one seed, a generator of its own for each part, nothing in the order of a hash. Values are
rounded before they are stored, so the last bits of a matrix product, which differ between machines, stay out
of the files.

The relations are the pairs of genes with the likest (or most opposite) directions, each moved by a draw, so
that recall is above chance. Nothing in them is taken from the sources whose names the files bear. The genes
said to be unexpressed have effects here as any others: there is a list so that what takes one can be tried.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from polaris_rxrx.dataset.registry import KNOWN, MADE_UP_README
from polaris_rxrx.dataset.rxrx3 import COLUMNS, NOMINAL
from polaris_rxrx.dataset.sandbox_names import COMPOUNDS, FAMILIES, UNEXPRESSED
from polaris_rxrx.errors import UsageError
from polaris_rxrx.types import Floats

MADE_UP = "made up: the names are real, every number is drawn at random and means nothing"
INTERACTION_COLUMNS = ("gene_symbol", "nM_value", "measurement_type", "database", "treatment")
RELATION_COLUMNS = ("entity1", "entity2", "database")

GENE_EXPERIMENTS, COMPOUND_EXPERIMENTS = 6, 2
GENE_PLATES, COMPOUND_PLATES = 9, 48
GUIDES, WELLS_PER_GUIDE, WELLS_PER_DOSE = 6, 3, 3
# Together more controls than Phenom-1 has features, so a PCA over them has full rank.
GENE_EMPTY, COMPOUND_EMPTY, COMPOUND_CRISPR = 210, 270, 40
PLATE_ROWS, PLATE_COLUMNS = 32, 48  # a 1,536-well plate

LATENT = 24
FACTORS = 12
STRENGTH = {"CellProfiler": 3.3, "OpenPhenom": 4.8, "Phenom1": 7.4}  # tuned by the test's slow scorer
WIDTH = {"OpenPhenom": 384, "Phenom1": 1024}  # CellProfiler's is the number of its feature names
UNREAD_WELLS = 9  # wells that CellProfiler's table lacks, as where segmentation found no cell

ACTIVE_NM = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # <= 1,000 nM is active
GREY_NM = (1500, 2000, 5000, 10000)  # (1,000, 10,000] is left out
INACTIVE_NM = (20000, 50000, 100000)

# Source of relations -> how many, and how little they have to do with the genes' likeness.
RELATIONS = {
    "CORUM": (160, 0.20),
    "HuMAP": (140, 0.15),
    "Reactome": (120, 0.60),
    "SIGNOR": (80, 0.50),
    "StringDB": (180, 0.25),
}
BOTH_WAYS = 0.2  # as in the published files, of which some name each pair twice


@dataclass(frozen=True)
class Sandbox:
    """What `write_sandbox` wrote: where the files are and how much is in them."""

    folder: Path
    metadata: Path
    openphenom: Path
    phenom1: Path
    cellprofiler: Path
    interactions: Path
    relations: Path
    unexpressed: Path
    readme: Path
    wells: int
    control_wells: int
    experiments: int
    genes: int
    compounds: int
    affinities: int
    actives: int
    related: int


class Well(NamedTuple):
    """One metadata row, in `COLUMNS`' order, as text."""

    well_id: str
    experiment_name: str
    plate: str
    address: str
    gene: str
    treatment: str
    smiles: str
    concentration: str
    perturbation_type: str
    cell_type: str

    @property
    def is_empty_control(self) -> bool:
        return self.treatment == "EMPTY_control"


class _Content(NamedTuple):
    """What goes into one well, before it has a place: gene, treatment, SMILES, concentration."""

    gene: str
    treatment: str
    smiles: str = ""
    concentration: str = ""


def write_sandbox(folder: Path, *, seed: int = 0) -> Sandbox:
    """Write the synthetic data set into `folder`, which must exist; files already there are overwritten.

    Args:
        folder: Where the files go.
        seed: The same seed writes the same CSV bytes and the same arrays.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; make it first")
    if seed < 0:
        raise UsageError(f"seed {seed}: a seed is 0 or more")
    layout, biology, table, *models, known = np.random.SeedSequence(seed).spawn(7)
    wells = _wells(np.random.default_rng(layout))
    affinities = _affinities(np.random.default_rng(table))
    latent = _latent(wells, np.random.default_rng(biology))
    relations = _relations(np.random.default_rng(biology), np.random.default_rng(known))

    sandbox = Sandbox(
        folder=folder,
        metadata=folder / "metadata_rxrx3_core.csv",
        openphenom=folder / "OpenPhenom_rxrx3_core_embeddings.parquet",
        phenom1=folder / "Phenom1_rxrx3_core_embeddings.parquet",
        cellprofiler=folder / "CellProfiler_rxrx3_core_embeddings.parquet",
        interactions=folder / "compound_gene_interactions.csv",
        relations=folder / KNOWN["relations"].folder,
        unexpressed=folder / "unexpressed_genes.txt",
        readme=folder / MADE_UP_README,
        wells=len(wells),
        control_wells=sum(w.is_empty_control for w in wells),
        experiments=GENE_EXPERIMENTS + COMPOUND_EXPERIMENTS,
        genes=sum(map(len, FAMILIES)),
        compounds=len(COMPOUNDS),
        affinities=len(affinities),
        actives=sum(len(c.targets) for c in COMPOUNDS),
        related=sum(map(len, relations.values())),
    )
    write_csv(sandbox.metadata, COLUMNS, wells)
    write_csv(sandbox.interactions, INTERACTION_COLUMNS, affinities)
    sandbox.relations.mkdir(exist_ok=True)
    for source, pairs in relations.items():
        write_csv(sandbox.relations / f"{source}.txt", RELATION_COLUMNS, pairs)
    lines = (f"# {MADE_UP}", *UNEXPRESSED)
    sandbox.unexpressed.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")

    order = np.array(sorted(range(len(wells)), key=lambda i: wells[i].well_id))
    wells, latent = [wells[i] for i in order], latent[order]
    ids = [w.well_id for w in wells]
    for model, path, source in zip(WIDTH, (sandbox.openphenom, sandbox.phenom1), models, strict=False):
        x = _embeddings(wells, latent, WIDTH[model], STRENGTH[model], np.random.default_rng(source))
        _write_parquet(path, ids, [f"feature_{i}" for i in range(WIDTH[model])], x)
    rng = np.random.default_rng(models[-1])
    names = cellprofiler_features()
    x = _embeddings(wells, latent, len(names), STRENGTH["CellProfiler"], rng)
    present, x = _as_cellprofiler(wells, x, rng)
    _write_parquet(sandbox.cellprofiler, [ids[i] for i in present], names, x)

    sandbox.readme.write_text(_readme(sandbox, seed), encoding="utf-8", newline="")
    return sandbox


def cellprofiler_features() -> list[str]:
    """Feature names as CellProfiler spells them: compartments x feature groups x channels."""
    channels = ("DNA", "ER", "Actin", "RNA", "Mito", "Golgi")
    shape: tuple[str, ...] = ("Area", "Compactness", "Eccentricity", "EulerNumber", "Extent", "FormFactor")
    shape += ("MajorAxisLength", "MinorAxisLength", "Orientation", "Perimeter", "Solidity", "Zernike_2_0")
    intensity = ("IntegratedIntensity", "MeanIntensity", "StdIntensity", "MADIntensity")
    texture = ("Contrast", "Correlation", "Entropy", "Variance")
    names = []
    for compartment in ("Cells", "Cytoplasm", "Nuclei"):
        names += [f"{compartment}_AreaShape_{s}" for s in shape]
        names += [f"{compartment}_Intensity_{i}_{c}" for i in intensity for c in channels]
        names += [f"{compartment}_Texture_{t}_{c}_3_01_256" for t in texture for c in channels]
    pairs = [(a, b) for k, a in enumerate(channels) for b in channels[k + 1 :]]
    return names + [f"Cells_Correlation_Correlation_{a}_{b}" for a, b in pairs]


# --- the wells ---------------------------------------------------------------------------------------------


def _wells(rng: np.random.Generator) -> list[Well]:
    """Every metadata row, shuffled: the published file is in no useful order either."""
    crispr: list[list[_Content]] = [[] for _ in range(GENE_EXPERIMENTS)]
    for number, gene in enumerate(g for family in FAMILIES for g in family):
        # Each gene is in two experiments, as most are in the published data.
        step = 1 + number // GENE_EXPERIMENTS % (GENE_EXPERIMENTS - 1)
        homes = (number % GENE_EXPERIMENTS, (number + step) % GENE_EXPERIMENTS)
        for guide in range(1, GUIDES + 1):
            for replicate in range(WELLS_PER_GUIDE):
                crispr[homes[(guide + replicate) % 2]].append(_Content(gene, f"{gene}_guide_{guide}"))
    compound: list[list[_Content]] = [[] for _ in range(COMPOUND_EXPERIMENTS)]
    for number, c in enumerate(COMPOUNDS):
        doses = NOMINAL[2:] if number % 11 == 5 else NOMINAL  # not every compound has all eight
        for dose in doses:
            content = _Content("", c.name, c.smiles, repr(dose))
            compound[number % COMPOUND_EXPERIMENTS] += [content] * WELLS_PER_DOSE

    wells = []
    for number, contents in enumerate(crispr, 1):
        contents += [_Content("EMPTY_control", "EMPTY_control")] * GENE_EMPTY
        wells += _place(f"gene-{number:03d}", GENE_PLATES, contents, "CRISPR", rng)
    for number, contents in enumerate(compound, 1):
        contents += [_Content("", "EMPTY_control")] * COMPOUND_EMPTY
        contents += [_Content("", "CRISPR_control")] * COMPOUND_CRISPR
        wells += _place(f"compound-{number:03d}", COMPOUND_PLATES, contents, "COMPOUND", rng)
    return [wells[i] for i in rng.permutation(len(wells))]


def _place(
    experiment: str, plates: int, contents: Sequence[_Content], kind: str, rng: np.random.Generator
) -> list[Well]:
    """Give every well of an experiment a plate and an address of its own (`A01` .. `AF48`)."""
    letters = [chr(65 + r) if r < 26 else "A" + chr(65 + r - 26) for r in range(PLATE_ROWS)]
    spots = rng.choice(plates * PLATE_ROWS * PLATE_COLUMNS, size=len(contents), replace=False)
    wells = []
    for content, spot in zip(contents, spots.tolist(), strict=True):
        plate, rest = divmod(spot, PLATE_ROWS * PLATE_COLUMNS)
        row, column = divmod(rest, PLATE_COLUMNS)
        plate, address = plate + 1, f"{letters[row]}{column + 1:02d}"
        well_id = f"{experiment}_{plate}_{address}"
        wells.append(Well(well_id, experiment, str(plate), address, *content, kind, "HUVEC"))
    return wells


def _affinities(rng: np.random.Generator) -> list[tuple[str, int, str, str, str]]:
    """The affinity table: the known targets as actives, and a few other genes as grey or inactive."""
    annotated = sorted({g for c in COMPOUNDS for g in c.targets})
    rows = []
    for c in COMPOUNDS:
        others = [g for g in annotated if g not in c.targets]
        grey, inactive = int(rng.integers(0, 3)), int(rng.integers(1, 3))
        picked = [others[i] for i in rng.choice(len(others), size=grey + inactive, replace=False)]
        for genes, values in (
            (c.targets, ACTIVE_NM),
            (picked[:grey], GREY_NM),
            (picked[grey:], INACTIVE_NM),
        ):
            rows += [
                (gene, values[int(rng.integers(len(values)))], "ic50", "made up", c.name) for gene in genes
            ]
    return rows


# --- the biology -------------------------------------------------------------------------------------------


def _latent(wells: Sequence[Well], rng: np.random.Generator) -> Floats:
    """What a perfect microscope would see of each well. Shape (wells, LATENT)."""
    genes = {"EMPTY_control": np.zeros(LATENT), **_gene_effects(rng)}
    guides = {f"{gene}_guide_{i}": rng.uniform(0.4, 1.2) for gene in genes for i in range(1, GUIDES + 1)}
    compounds: dict[str, tuple[Floats, float]] = {}
    for c in COMPOUNDS:
        known = sum((rng.uniform(0.3, 1.0) * genes[g] for g in c.targets), np.zeros(LATENT))
        sign = -1 if rng.random() < 0.2 else 1  # an activator looks the other way; |cosine| does not mind
        compounds[c.name] = (sign * known + rng.uniform(0.4, 1.0) * _unit(rng), rng.uniform(-1.5, 0.5))
    faint = 0.1 * _unit(rng)

    z = np.zeros((len(wells), LATENT))
    for row, well in enumerate(wells):
        if well.is_empty_control:
            continue
        if well.treatment == "CRISPR_control":
            z[row] = faint
        elif well.perturbation_type == "CRISPR":
            z[row] = guides[well.treatment] * genes[well.gene]
        else:
            effect, log_ec50 = compounds[well.treatment]
            z[row] = effect / (1 + np.exp(-1.5 * (np.log10(float(well.concentration)) - log_ec50)))
    return z


def _gene_effects(rng: np.random.Generator) -> dict[str, Floats]:
    """Gene -> its direction, (LATENT,), as long as its effect is large."""
    genes = {}
    for family in FAMILIES:
        shared = _unit(rng)
        for gene in family:
            direction = 0.6 * shared + _unit(rng)
            genes[gene] = direction / np.linalg.norm(direction) * rng.uniform(0.35, 1.0)
    return genes


def _relations(
    biology: np.random.Generator, rng: np.random.Generator
) -> dict[str, list[tuple[str, str, str]]]:
    """Source -> pairs of genes; `biology` stands where `_latent` began."""
    effects = _gene_effects(biology)
    genes = sorted(effects)
    units = np.array([effects[gene] / np.linalg.norm(effects[gene]) for gene in genes])
    first, second = np.triu_indices(len(genes), k=1)
    likeness = np.round(np.abs((units[first] * units[second]).sum(axis=1)), 6)
    found = {}
    for source, (count, blur) in RELATIONS.items():
        order = np.argsort(-(likeness + blur * rng.standard_normal(len(likeness))), kind="stable")[:count]
        pairs = [(genes[first[i]], genes[second[i]]) for i in order]
        pairs += [(b, a) for a, b in pairs if rng.random() < BOTH_WAYS]
        found[source] = [(*pairs[i], "made up") for i in rng.permutation(len(pairs))]
    return found


def _unit(rng: np.random.Generator) -> Floats:
    x = rng.standard_normal(LATENT)
    return np.asarray(x / np.linalg.norm(x))


def _embeddings(
    wells: Sequence[Well], latent: Floats, width: int, strength: float, rng: np.random.Generator
) -> Floats:
    """One model's view of the wells. Shape (wells, width)."""
    basis = rng.standard_normal((LATENT, width))
    loadings = rng.standard_normal((FACTORS, width)) * np.linspace(1.5, 0.3, FACTORS)[:, None]
    own = rng.uniform(0.4, 1.0, size=width)
    factors = rng.standard_normal((len(wells), FACTORS))
    x = strength * latent @ basis * own / np.sqrt(width) + factors @ loadings
    x += rng.standard_normal((len(wells), width)) * own
    experiments = sorted({w.experiment_name for w in wells})
    names = np.array([w.experiment_name for w in wells])
    for experiment in experiments:
        rows = names == experiment
        x[rows] = x[rows] * rng.uniform(0.7, 1.4, size=width) + rng.normal(0, 0.6, size=width)
    rounded: Floats = np.round(x, 3)
    return rounded


def _as_cellprofiler(
    wells: Sequence[Well], x: Floats, rng: np.random.Generator
) -> tuple[npt.NDArray[np.intp], Floats]:
    """Make a clean matrix look like a CellProfiler table: units, tails, gaps, constants, missing wells.

    Returns the positions of the wells that are present, and their features.
    """
    names = cellprofiler_features()
    x = x.copy()
    heavy = [names.index(n) for n in names if n.startswith("Nuclei_Intensity_IntegratedIntensity")][:4]
    x[:, heavy] = np.round(np.exp(np.clip(0.7 * x[:, heavy], -9, 9)), 3)  # tails up to thousands
    ordinary = np.array([i for i in range(len(names)) if i not in heavy])
    x[:, ordinary] = x[:, ordinary] * np.repeat([1.0, 10.0, 100.0], -(-len(ordinary) // 3))[: len(ordinary)]
    gaps = rng.choice(ordinary, size=20, replace=False)
    x[:, gaps] = np.where(rng.random((len(wells), len(gaps))) < 0.01, np.nan, x[:, gaps])
    mostly = names.index("Cells_AreaShape_Zernike_2_0")
    x[rng.random(len(wells)) < 0.9, mostly] = np.nan
    x[:, names.index("Nuclei_AreaShape_EulerNumber")] = 1.0
    x[:, names.index("Cytoplasm_AreaShape_Orientation")] = 0.0
    gene_wells = [i for i, w in enumerate(wells) if w.perturbation_type == "CRISPR"]
    absent = rng.choice(gene_wells, size=UNREAD_WELLS, replace=False)
    present = np.setdiff1d(np.arange(len(wells)), absent)
    return present, x[present]


# --- the files ---------------------------------------------------------------------------------------------


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _write_parquet(path: Path, ids: Sequence[str], names: Sequence[str], x: Floats) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = np.ascontiguousarray(x.T, dtype=np.float32)
    table = pa.table([pa.array(ids, pa.string()), *map(pa.array, columns)], names=["well_id", *names])
    pq.write_table(
        table.replace_schema_metadata({"polaris_rxrx": MADE_UP}),
        path,
        compression="zstd",
        use_dictionary=False,
    )


def _readme(sandbox: Sandbox, seed: int) -> str:
    return f"""THIS DATA IS MADE UP.

polaris-rxrx drew it (seed {seed}) so that its commands can be tried without a download. Gene and compound
names, structures and targets are real; every number in every file is random. No embedding comes from an
image, no nM_value was measured, and no score reached on this folder says anything about a model: the models'
names are borrowed only because the files have the shape of theirs. A grey or inactive pair in the affinity
table is no statement about that compound.

{sandbox.metadata.name}
    {sandbox.wells:,} wells ({sandbox.control_wells:,} EMPTY_control) in {sandbox.experiments} experiments: \
{sandbox.genes} genes, {sandbox.compounds} compounds
{sandbox.openphenom.name}
{sandbox.phenom1.name}
{sandbox.cellprofiler.name}
    synthetic embeddings keyed by well_id; CellProfiler's has gaps, constants and missing wells on purpose
{sandbox.interactions.name}
    {sandbox.affinities} synthetic affinities, {sandbox.actives} of them active (at most 1,000 nM)
{sandbox.relations.name}/
    {sandbox.related} synthetic relations in {", ".join(f"{source}.txt" for source in RELATIONS)}:
    genes drawn to look alike, nothing from the sources of those names; no statement about any gene
{sandbox.unexpressed.name}
    {len(UNEXPRESSED)} genes, for `evaluate signal --unexpressed`; no statement about any cell

The real data: https://huggingface.co/datasets/recursionpharma/rxrx3-core
"""
