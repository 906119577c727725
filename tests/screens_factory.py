"""Whole screens, JUMP's CRISPR plates and RxRx3's tree: published tables, drawn features.

Conventions
    What is published as a table is the real one, from the folder of shared data: JUMP's plates, reagents and
    controls, CORUM's complexes, RxRx3's wells. Drawn are the features, and what those tables do not hold:
    which reagent stands in which well of JUMP, and the plates and addresses of RxRx3.
    Planted: genes of a CORUM complex share a direction, so that they are alike; some genes do nothing; every
    batch has an offset and a scale of its own in every feature, every plate a small offset; and, as far as is
    asked for, every place on a plate has an offset, the same on all plates.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

JUMP_TABLES = ("plate.csv.gz", "crispr.csv.gz", "perturbation_control.csv")
LAYOUTS = 4  # of genes on plates; every batch has each once
STRENGTH = 12.0  # of a gene, beside a noise of 1 in each of 32 directions and in each feature
CHANNELS = ("AGP", "DNA", "ER", "Mito", "RNA")
_AREA_SHAPE = [
    "Area",
    "BoundingBoxArea",
    "BoundingBoxMaximum_X",
    "BoundingBoxMaximum_Y",
    "BoundingBoxMinimum_X",
    "BoundingBoxMinimum_Y",
    "Center_X",
    "Center_Y",
    "Compactness",
    "ConvexArea",
    "Eccentricity",
    "EquivalentDiameter",
    "EulerNumber",
    "Extent",
    "FormFactor",
    "MajorAxisLength",
    "MaxFeretDiameter",
    "MaximumRadius",
    "MeanRadius",
    "MedianRadius",
    "MinFeretDiameter",
    "MinorAxisLength",
    "Orientation",
    "Perimeter",
    "Solidity",
]
_INTENSITY = [
    "IntegratedIntensityEdge",
    "IntegratedIntensity",
    "LowerQuartileIntensity",
    "MADIntensity",
    "MassDisplacement",
    "MaxIntensityEdge",
    "MaxIntensity",
    "MeanIntensityEdge",
    "MeanIntensity",
    "MedianIntensity",
    "MinIntensityEdge",
    "MinIntensity",
    "StdIntensityEdge",
    "StdIntensity",
    "UpperQuartileIntensity",
]
_TEXTURE = [
    "AngularSecondMoment",
    "Contrast",
    "Correlation",
    "DifferenceEntropy",
    "DifferenceVariance",
    "Entropy",
    "InfoMeas1",
    "InfoMeas2",
    "InverseDifferenceMoment",
    "SumAverage",
    "SumEntropy",
    "SumVariance",
    "Variance",
]


def cellprofiler_names() -> list[str]:
    """Names of features as CellProfiler gives them to five channels in three compartments, some 4,500."""
    zernike = [f"{n}_{m}" for n in range(10) for m in range(n % 2, n + 1, 2)]
    moments = [
        *(f"CentralMoment_{i}_{j}" for i in range(3) for j in range(4)),
        *(f"HuMoment_{i}" for i in range(7)),
        *(f"InertiaTensor_{i}_{j}" for i in range(2) for j in range(2)),
        *(f"NormalizedMoment_{i}_{j}" for i in range(4) for j in range(4)),
        *(f"SpatialMoment_{i}_{j}" for i in range(3) for j in range(4)),
    ]
    shape = [*_AREA_SHAPE, *(f"Zernike_{z}" for z in zernike), *moments]
    names = []
    for place in ("Cells", "Cytoplasm", "Nuclei"):
        names += [f"{place}_AreaShape_{name}" for name in shape]
        for a, b in combinations(CHANNELS, 2):
            names += [f"{place}_Correlation_{kind}_{a}_{b}" for kind in ("Correlation", "Overlap")]
            for kind in ("Costes", "K", "Manders", "RWC"):
                names += [f"{place}_Correlation_{kind}_{a}_{b}", f"{place}_Correlation_{kind}_{b}_{a}"]
        for channel in CHANNELS:
            names += [f"{place}_Granularity_{i}_{channel}" for i in range(1, 17)]
            names += [f"{place}_Intensity_{name}_{channel}" for name in _INTENSITY]
            for kind in ("FracAtD", "MeanFrac", "RadialCV"):
                names += [f"{place}_RadialDistribution_{kind}_{channel}_{i}of4" for i in range(1, 5)]
            for kind in ("ZernikeMagnitude", "ZernikePhase"):
                names += [f"{place}_RadialDistribution_{kind}_{channel}_{z}" for z in zernike]
            for scale in (3, 5, 10):
                names += [
                    f"{place}_Texture_{name}_{channel}_{scale}_{angle:02d}_256"
                    for name in _TEXTURE
                    for angle in range(4)
                ]
    return names


@dataclass(frozen=True)
class Jump:
    """What was drawn: `wells` with `symbol` and `place`, the complexes planted, the genes that do nothing."""

    wells: pd.DataFrame
    complexes: tuple[tuple[str, ...], ...]
    silent: frozenset[str]
    names: tuple[str, ...]

    @property
    def genes(self) -> set[str]:
        controls = {"no-guide", "non-targeting", "PLK1"}
        return set(self.wells.symbol.dropna()) - controls

    def relations(self, path: Path) -> Path:
        """A file of the pairs within complexes that were planted."""
        pairs = [",".join(pair) for members in self.complexes for pair in combinations(members, 2)]
        path.write_text("\n".join(["entity1,entity2", *pairs, ""]), "utf-8")
        return path


def make_jump(
    folder: Path, shared: Path, *, plates: int = 20, every: int = 1, place: float = 0.0, seed: int = 0
) -> Jump:
    """JUMP's CRISPR plates in a folder, as `datasets/jump-crispr.toml` has them.

    Args:
        folder: Gets the four tables and `{source}/workspace/profiles/{batch}/{plate}/{plate}.parquet`.
        shared: The folder of shared data.
        plates: A multiple of `LAYOUTS`.
        every: One of so many of CellProfiler's features is drawn; 1 is all of them.
        place: How large the offsets of places on a plate are; the noise of a well is 1.
        seed: Of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    for name in JUMP_TABLES:
        shutil.copy(shared / "jump" / name, folder / name)
    table = pd.read_csv(folder / "plate.csv.gz", dtype=str).query("Metadata_PlateType == 'CRISPR'")
    whole = table.groupby("Metadata_Batch").head(LAYOUTS)  # of a batch's plates the first ones
    whole = whole[whole.groupby("Metadata_Batch").Metadata_Plate.transform("size") == LAYOUTS][:plates]
    assert len(whole) == plates, "a multiple of LAYOUTS, of the batches that have as many plates"
    reagents = pd.read_csv(folder / "crispr.csv.gz", dtype=str).set_index("Metadata_Symbol").Metadata_JCP2022
    complexes = _complexes(shared, set(reagents.index))
    wells = _jump_wells(whole, complexes, reagents, rng)
    keys = ["Metadata_Source", "Metadata_Plate", "Metadata_Well", "Metadata_JCP2022"]
    wells[keys].to_csv(folder / "well.csv.gz", index=False)
    effect, silent = _effects(sorted(set(wells.symbol.dropna())), complexes, rng)
    names = cellprofiler_names()[::every]
    x = _features(wells, effect, len(names), place, rng)
    x[rng.random(len(x)) < 0.2, 5] = np.nan  # mostly there, but not enough
    x[7, 6] = np.inf
    x[:, 7] = 1.0
    for (source, batch, plate), rows in wells.groupby(
        ["Metadata_Source", "Metadata_Batch", "Metadata_Plate"]
    ).indices.items():
        path = folder / source / "workspace" / "profiles" / batch / plate / f"{plate}.parquet"
        path.parent.mkdir(parents=True)
        columns: dict[str, Any] = {n: wells[n].to_numpy()[rows] for n in keys[:3]}
        columns["Nuclei_Number_Object_Number"] = rng.integers(50, 350, size=len(rows)).astype(float)
        columns |= {n: np.ascontiguousarray(x[rows, i]) for i, n in enumerate(names)}
        pq.write_table(pa.table(columns), path, compression="none", use_dictionary=False)
    return Jump(wells, tuple(map(tuple, complexes)), frozenset(silent), tuple(names))


def _complexes(shared: Path, known: set[str], most: int = 800) -> list[list[str]]:
    """CORUM's complexes of three to thirty genes that have a reagent, until there are enough genes."""
    found, genes = [], set[str]()
    for line in (shared / "clusters" / "CORUM_clusters.tsv").read_text("utf-8").splitlines():
        members = [gene for gene in line.split("\t")[1].split() if gene in known]
        if 3 <= len(members) <= 30 and not genes & set(members) and len(genes) < most:
            found.append(members)
            genes |= set(members)
    return found


def _jump_wells(
    plates: pd.DataFrame, complexes: list[list[str]], reagents: pd.Series, rng: np.random.Generator
) -> pd.DataFrame:
    """384 wells a plate: 320 genes, 8 of PLK1, 40 negative controls, 16 empty wells, shuffled by layout."""
    named = [gene for members in complexes for gene in members]
    others = [g for g in reagents.index if g not in {*named, "no-guide", "non-targeting", "PLK1"}]
    genes = [*named, *rng.permutation(others)][: 320 * LAYOUTS]
    order = rng.permutation(len(genes))
    address = [f"{row}{column:02d}" for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25)]
    rows = []
    layouts = []
    for layout in range(LAYOUTS):
        symbols = [genes[i] for i in order[320 * layout : 320 * (layout + 1)]]
        symbols += ["PLK1"] * 8 + ["non-targeting"] * 32 + ["no-guide"] * 8 + [""] * 16
        layouts.append(rng.permutation(np.array(symbols, dtype=object)))
    for i, plate in enumerate(plates.itertuples()):
        for place, symbol in enumerate(layouts[i % LAYOUTS]):
            rows.append((plate.Metadata_Source, plate.Metadata_Batch, plate.Metadata_Plate, place, symbol))
    columns = ["Metadata_Source", "Metadata_Batch", "Metadata_Plate", "place", "symbol"]
    wells = pd.DataFrame(rows, columns=columns)
    wells["Metadata_Well"] = [address[i] for i in wells.place]
    wells["Metadata_JCP2022"] = [reagents[s] if s else "JCP2022_999999" for s in wells.symbol]
    wells["symbol"] = wells.symbol.replace("", None)
    return wells


def _effects(
    genes: list[str], complexes: list[list[str]], rng: np.random.Generator, d: int = 32
) -> tuple[dict[str, Any], set[str]]:
    """A direction of length `STRENGTH` for each gene, near its complex's; half of the others do nothing."""
    effect: dict[str, Any] = {}
    for members in complexes:
        shared = rng.normal(size=d)
        for gene in members:
            own = shared / np.linalg.norm(shared) + 0.5 * rng.normal(size=d) / np.sqrt(d)
            effect[gene] = STRENGTH * own / np.linalg.norm(own)
    silent = {"no-guide", "non-targeting"}
    for gene in genes:
        if gene in effect or gene in silent:
            continue
        if rng.random() < 0.5 and gene != "PLK1":
            silent.add(gene)
            continue
        own = rng.normal(size=d)
        effect[gene] = STRENGTH * own / np.linalg.norm(own)
    return {gene: effect.get(gene, np.zeros(d)) for gene in genes}, silent & set(genes)


def _features(
    wells: pd.DataFrame, effect: dict[str, Any], width: int, place: float, rng: np.random.Generator
) -> Any:
    """Features (n, width) of wells, float32, in units of their own."""
    d = len(next(iter(effect.values())))
    n_places = int(wells.place.max()) + 1
    z = np.stack([effect[s] if s is not None else np.zeros(d) for s in wells.symbol])
    z = z + rng.normal(size=z.shape) + place * rng.normal(size=(n_places, d))[wells.place]
    mix = rng.normal(size=(d, width)).astype(np.float32)
    x = z.astype(np.float32) @ mix
    x += rng.normal(size=x.shape).astype(np.float32)
    batch, batches = pd.factorize(wells.Metadata_Batch)
    x *= rng.uniform(0.7, 1.4, size=(len(batches), width)).astype(np.float32)[batch]
    x += rng.normal(scale=3, size=(len(batches), width)).astype(np.float32)[batch]
    plate, plates = pd.factorize(wells.Metadata_Plate)
    x += rng.normal(scale=0.3, size=(len(plates), width)).astype(np.float32)[plate]
    x *= np.exp(rng.normal(size=width)).astype(np.float32)
    x += rng.normal(scale=10, size=width).astype(np.float32)
    return x


def make_rxrx3(
    folder: Path, shared: Path, *, share: float = 1.0, width: int = 128, seed: int = 0
) -> pd.DataFrame:
    """RxRx3's tree in a folder, as `datasets/rxrx3.toml` has it; gives the metadata.

    Experiments, genes, guides, compounds and doses are those of the published metadata; plates (9 of an
    experiment of genes, 48 of one of compounds) and addresses are drawn, and one of eight guides is of a
    blinded gene.

    Args:
        folder: Gets `metadata_rxrx3.csv` and `{experiment_name}/Plate{plate}/embeddings.parquet`.
        shared: The folder of shared data.
        share: Of the experiments of genes; below 1, four plates of compounds come along.
        width: Features of a well.
        seed: Of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    wells = pd.read_parquet(shared / "metadata_rxrx3_trimmed.parquet")
    wells = wells.astype({"perturbation_type": str, "cell_type": str})
    experiments = sorted(e for e in set(wells.experiment_name) if e.startswith("gene-"))
    kept = [*experiments[: max(2, round(share * len(experiments)))], "compound-001"]
    if share == 1:
        kept = sorted(set(wells.experiment_name))
    wells = wells[wells.experiment_name.isin(kept)].sort_values("experiment_name", kind="stable")
    wells = wells.reset_index(drop=True)
    place = wells.groupby("experiment_name").cumcount().to_numpy()
    n_plates = np.where(wells.perturbation_type == "CRISPR", 9, 48)
    wells["plate"] = place % n_plates + 1
    spot = place // n_plates
    if share < 1:
        few = (wells.perturbation_type == "CRISPR") | (wells.plate <= 4)
        wells, spot = wells[few].reset_index(drop=True), spot[few.to_numpy()]
    rows = np.array([*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AB", "AC", "AD", "AE", "AF"], dtype=object)
    wells["address"] = [f"{rows[i // 48]}{i % 48 + 1:02d}" for i in spot.tolist()]
    wells["well_id"] = wells.experiment_name + "_" + wells.plate.astype(str) + "_" + wells.address.astype(str)
    genes = sorted(set(wells.gene.dropna()) - {"EMPTY_control"})
    hidden = {gene: f"RXRX3-{i:04d}" for i, gene in enumerate(genes) if i % 8 == 0}
    for gene, name in hidden.items():
        here = wells.gene == gene
        wells.loc[here, "treatment"] = wells.treatment[here].str.replace(f"{gene}_", f"{name}_", regex=False)
        wells.loc[here, "gene"] = name
    columns = ["well_id", "experiment_name", "plate", "address", "gene", "treatment", "SMILES"]
    wells = wells[[*columns, "concentration", "perturbation_type", "cell_type"]]
    wells.to_csv(folder / "metadata_rxrx3.csv", index=False)
    what, names = pd.factorize(wells.gene.fillna(wells.treatment))
    effect = rng.normal(size=(len(names), width)).astype(np.float32)
    effect[[name == "EMPTY_control" for name in names]] = 0
    groups = wells.groupby(["experiment_name", "plate"], sort=False).indices
    for (experiment, plate), here in groups.items():
        x = effect[what[here]] + rng.normal(size=(len(here), width)).astype(np.float32)
        path = folder / experiment / f"Plate{plate}" / "embeddings.parquet"
        path.parent.mkdir(parents=True)
        features: dict[str, Any] = {"well_id": wells.well_id.to_numpy()[here]}
        features |= {f"feature_{i}": np.ascontiguousarray(x[:, i]) for i in range(width)}
        pq.write_table(pa.table(features), path)
    return wells
