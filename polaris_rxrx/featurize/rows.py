"""Rows of features as featurizers hand them on: whose they are, then what was measured.

Conventions
    `well_id`, then `Metadata_*`: what the images' own names and tables say of the well
    (`Metadata_Experiment`, `Metadata_Plate`, `Metadata_Address`), and `Metadata_Site_Count`, how many sites a
    row is of; then more of them, then features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polaris_rxrx.images.sites import ImageSet


def table_of(
    images: ImageSet,
    wells: Sequence[str],
    n_sites: Sequence[int],
    features: Mapping[str, Any],
    more: Mapping[str, Sequence[Any]] | None = None,
) -> Any:
    """A table of wells.

    Args:
        images: Which know the wells.
        wells: A row each.
        n_sites: Of each well, how many sites its row is of.
        features: Column -> values (wells,).
        more: Further `Metadata_*` columns.
    """
    import pyarrow as pa

    told = [images.metadata(well) for well in wells]
    names = dict.fromkeys(name for row in told for name in row if name != "well_id")
    columns: dict[str, Any] = {"well_id": pa.array(wells, pa.string())}
    for name in names:
        columns[metadata_name(name)] = pa.array([row.get(name) for row in told], pa.string())
    columns["Metadata_Site_Count"] = pa.array(n_sites, pa.int64())
    columns |= {name: pa.array(values) for name, values in (more or {}).items()}
    columns |= {name: pa.array(values) for name, values in features.items()}
    return pa.table(columns)


def metadata_name(name: str) -> str:
    """`experiment_name` -> `Metadata_Experiment_Name`, as CellProfiler writes names."""
    return "Metadata_" + "_".join(word[:1].upper() + word[1:] for word in name.split("_"))
