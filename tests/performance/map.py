"""Load, PCA-CS and aggregate: pandas and scikit-learn as the public notebook does it, against ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.performance.common import Row, Settings, Side, apart, best

METADATA, EMBEDDINGS = "metadata_rxrx3_core.csv", "OpenPhenom_rxrx3_core_embeddings.parquet"


def notebook(data: str, out: str) -> Side:
    """The public notebook's steps; imports are not timed."""
    import pandas as pd
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    def work() -> pd.DataFrame:
        metadata = pd.read_csv(f"{data}/{METADATA}")
        embeddings = pd.read_parquet(f"{data}/{EMBEDDINGS}").groupby("well_id").mean().reset_index()
        wells = metadata.merge(embeddings, on="well_id")
        features = [c for c in wells.columns if c.startswith("feature_")]
        wells[features] = wells[features].astype(float)
        control = (wells.gene == "EMPTY_control") | (wells.treatment == "EMPTY_control")
        pca = PCA().fit(wells.loc[control, features].to_numpy())
        aligned = pca.transform(wells[features].to_numpy())
        parts = []
        for _, rows in wells.groupby("experiment_name"):
            here = aligned[rows.index]
            scaler = StandardScaler().fit(here[control[rows.index]])
            parts.append(pd.DataFrame(scaler.transform(here), index=rows.index))
        aligned = pd.concat(parts).sort_index()
        crispr = wells.perturbation_type == "CRISPR"
        keys = [
            wells.perturbation_type,
            wells.gene.where(crispr, wells.treatment).rename("perturbation"),
            wells.concentration.where(~crispr),
        ]
        return aligned.groupby(keys, dropna=False).mean()

    side = best(work, 1)
    means = side.value[~side.value.index.get_level_values(1).str.endswith("_control")]
    keys = means.index.to_frame().fillna({"concentration": -1.0})
    order = np.lexsort((keys.concentration, keys.perturbation, keys.perturbation_type))
    np.save(out, means.to_numpy()[order])
    return Side(side.seconds)


def ours(data: str, out: str) -> Side:
    """`read_wells` and `build_map`."""
    import pandas  # noqa: F401  # pyarrow imports it at its first array; the other side's is not timed either

    from polaris_rxrx.maps.build import build_map
    from polaris_rxrx.wells.memory import read_wells

    side = best(lambda: build_map(read_wells(f"{data}/{METADATA}", f"{data}/{EMBEDDINGS}"), "pca-cs"), 1)
    p = side.value.perturbations
    np.save(out, side.value.x[np.lexsort((np.nan_to_num(p.concentration, nan=-1.0), p.name, p.type))])
    return Side(side.seconds)


def make_data(folder: Path, wells: int = 222_601, width: int = 384, seed: int = 0) -> None:
    """Wells of RxRx3-core's number and shape, drawn; for where no better stand-in is at hand."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    n_gene = int(wells * 0.57)
    crispr = np.arange(wells) < n_gene
    experiments = np.where(crispr, np.arange(wells) % 176 + 1, np.arange(wells) % 4 + 1)
    control = rng.random(wells) < np.where(crispr, 0.2, 0.05)
    gene = np.where(control, "EMPTY_control", np.char.add("GENE", rng.integers(735, size=wells).astype(str)))
    drug = np.where(
        control, "EMPTY_control", np.char.add("drug ", rng.integers(1674, size=wells).astype(str))
    )
    dose = rng.choice([0.0025, 0.01, 0.025, 0.1, 0.25, 1, 2.5, 10], size=wells)
    table = pd.DataFrame(
        {
            "well_id": [
                f"{'gene' if g else 'compound'}-{e:03d}_{i}"
                for i, (g, e) in enumerate(zip(crispr, experiments, strict=True))
            ],
            "experiment_name": [
                f"{'gene' if g else 'compound'}-{e:03d}" for g, e in zip(crispr, experiments, strict=True)
            ],
            "plate": 1,
            "address": "A01",
            "gene": np.where(crispr, gene, ""),
            "treatment": np.where(crispr, gene, drug),
            "SMILES": "",
            "concentration": np.where(crispr | control, np.nan, dose),
            "perturbation_type": np.where(crispr, "CRISPR", "COMPOUND"),
            "cell_type": "HUVEC",
        }
    )
    table.to_csv(folder / METADATA, index=False)
    mix = rng.normal(size=(width, width)).astype(np.float32)
    x = rng.normal(size=(wells, width)).astype(np.float32) @ mix
    frame = pd.DataFrame(x, columns=[f"feature_{i}" for i in range(width)])
    frame.insert(0, "well_id", table.well_id)
    frame.sort_values("well_id").to_parquet(folder / EMBEDDINGS, index=False)


def run(settings: Settings) -> list[Row]:
    places = {side: settings.scratch / f"{side}.npy" for side in ("theirs", "ours")}
    for name in (METADATA, EMBEDDINGS):  # both sides find the files cached
        (settings.data / name).read_bytes()
    sides: dict[str, list[Side]] = {"theirs": [], "ours": []}
    for _ in range(settings.repeat):  # in turn, so that a busy machine hits both
        for name, function in (("theirs", notebook), ("ours", ours)):
            sides[name].append(apart(function, data=settings.data, out=places[name]))
    theirs, mine = (min(runs, key=lambda side: side.seconds) for runs in sides.values())
    a, b = (np.load(place)[::7] for place in places.values())
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    gap = float(np.abs(a @ a.T - b @ b.T).max())
    if not gap < 1e-8:
        raise RuntimeError(f"the maps' cosines differ by {gap}")
    note = f"cosines equal to {gap:.0e}; {settings.data_note}"
    return [Row("load, PCA-CS, aggregate", theirs, mine, "5 times, 40% of the memory", note)]
