"""Small metadata and embedding files for tests: every kind of well, and ways to spoil them.

The plan of a table is a list of `Group`s; each makes some wells of one perturbation in one experiment. Rows
are shuffled, so neither file is in any order. Values are drawn: an offset and a scale of each experiment's
own, and something of each perturbation's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

CONTROL = "EMPTY_control"
COLUMNS = [
    "well_id",
    "experiment_name",
    "plate",
    "address",
    "gene",
    "treatment",
    "SMILES",
    "concentration",
    "perturbation_type",
    "cell_type",
]


@dataclass(frozen=True)
class Group:
    """`n` wells of a perturbation in an experiment; a concentration makes it a compound."""

    experiment: str
    name: str
    n: int
    concentration: str = ""
    compound: bool = False

    @property
    def is_compound(self) -> bool:
        return self.compound or self.concentration != ""


# A gene over three experiments, a gene of one well, a compound at several concentrations and in two
# experiments, a gene and a compound of one name, odd names, an off-nominal concentration.
PLAN = (
    *(Group(f"gene-00{e}", CONTROL, 24 + e) for e in (1, 2, 3)),
    *(Group(f"gene-00{e}", "TP53", 4) for e in (1, 2, 3)),
    Group("gene-001", "BRCA1", 3),
    Group("gene-002", "NA", 5),
    Group("gene-003", "ONCE", 1),
    Group("gene-003", "TWIN", 4),
    *(Group(f"compound-00{e}", CONTROL, 30, compound=True) for e in (1, 2)),
    *(Group(f"compound-00{e}", "CRISPR_control", 3, compound=True) for e in (1, 2)),
    *(Group("compound-001", "aspirin", 3, c) for c in ("0.0025", "0.25", "10.0")),
    Group("compound-002", "aspirin", 2, "10.0"),
    Group("compound-001", "aspirin", 6, "0.26"),
    Group("compound-002", "TWIN", 3, "1.0"),
    Group("compound-002", "Eugenol (no structure)", 2, "2.5"),
    Group("compound-001", "Dactolisib (BEZ235", 1, "0.1"),
    Group("compound-001", 'odd, "name" ä ', 2, "1.0"),
)


def make_metadata(plan: tuple[Group, ...] = PLAN, seed: int = 0) -> pd.DataFrame:
    """The published columns, all text, an empty cell where there is nothing."""
    rows = []
    for group in plan:
        for _ in range(group.n):
            place = len(rows)
            gene, treatment = ("", group.name) if group.is_compound else (group.name, f"{group.name}_guide_1")
            rows.append(
                {
                    "well_id": f"{group.experiment}_{place % 9 + 1}_{chr(65 + place % 26)}{place:03d}",
                    "experiment_name": group.experiment,
                    "plate": str(place % 9 + 1),
                    "address": f"{chr(65 + place % 26)}{place:03d}",
                    "gene": gene,
                    "treatment": CONTROL if group.name == CONTROL else treatment,
                    "SMILES": "CCO |c:1|" if group.concentration else "",
                    "concentration": group.concentration,
                    "perturbation_type": "COMPOUND" if group.is_compound else "CRISPR",
                    "cell_type": "HUVEC",
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS).sample(frac=1, random_state=seed).reset_index(drop=True)


def make_embeddings(
    metadata: pd.DataFrame, width: int = 6, *, seed: int = 0, dtype: Any = np.float32
) -> pd.DataFrame:
    """`well_id`, `feature_0` ...: one row a well, in an order of their own."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(width, width))
    what, names = pd.factorize(metadata.gene + "/" + metadata.treatment + "/" + metadata.concentration)
    where, experiments = pd.factorize(metadata.experiment_name)
    effect = rng.normal(size=(len(names), width))
    effect[[CONTROL in name for name in names]] = 0
    x = effect[what] + rng.normal(size=(len(metadata), width)) @ mix
    x = (
        x * rng.uniform(0.5, 2, size=(len(experiments), width))[where]
        + rng.normal(size=(len(experiments), width))[where]
    )
    frame = pd.DataFrame(x.astype(dtype), columns=[f"feature_{i}" for i in range(width)])
    frame.insert(0, "well_id", metadata.well_id.to_numpy())
    return frame.sample(frac=1, random_state=seed + 1).reset_index(drop=True)


def write(folder: Path, metadata: pd.DataFrame, embeddings: pd.DataFrame | pa.Table) -> tuple[Path, Path]:
    """`metadata.csv` and `embeddings.parquet`."""
    metadata.to_csv(folder / "metadata.csv", index=False)
    if isinstance(embeddings, pd.DataFrame):
        embeddings = pa.Table.from_pandas(embeddings, preserve_index=False)
    pq.write_table(embeddings, folder / "embeddings.parquet")
    return folder / "metadata.csv", folder / "embeddings.parquet"


def small(
    folder: Path,
    *,
    plan: tuple[Group, ...] = PLAN,
    width: int = 6,
    dtype: Any = np.float32,
    change_metadata: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    change_embeddings: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> tuple[Path, Path]:
    """The two files, spoiled as asked."""
    metadata = make_metadata(plan)
    embeddings = make_embeddings(metadata, width, dtype=dtype)
    if change_metadata is not None:
        metadata = change_metadata(metadata)
    if change_embeddings is not None:
        embeddings = change_embeddings(embeddings)
    return write(folder, metadata, embeddings)
