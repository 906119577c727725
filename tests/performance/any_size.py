"""A map of millions of wells: one pass over per-plate files against reading them with pyarrow alone.

Not among the benchmarks of every run, for its data take minutes to draw and gigabytes of disk:
`python -m tests.performance.any_size FOLDER [--plates 20 160 1750] [--width 384] [--one-file]
[--batch plate] [--public]`.
The table shows growth; its ratio is ours over reading alone (pyarrow, one thread, every column). Processor
time, that of workers too, is told beside: on a machine with other work it is what can be compared.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from tests.performance.common import Side, apart

WELLS = 1250  # of a plate
PLATES = 10  # of an experiment
GENES = 17_063


def make_plates(folder: Path, plates: int, width: int, seed: int = 0) -> None:
    """Per-plate files below `folder`, and `metadata.csv`: a fifth are controls, the others of many genes."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(WELLS, width)).astype(np.float32)
    address = [
        f"{chr(65 + i // 48) if i // 48 < 26 else 'A' + chr(39 + i // 48)}{i % 48 + 1:02d}"
        for i in range(WELLS)
    ]
    left = []
    for plate in range(plates):
        experiment, number = f"gene-{plate // PLATES + 1:03d}", plate % PLATES + 1
        # An experiment has its own genes, six guides each over its plates, as RxRx3's have.
        first = plate // PLATES * 97
        gene = np.array([f"GENE{(first + i) % GENES}" for i in rng.integers(0, 110, WELLS)], dtype=object)
        gene[rng.random(WELLS) < 0.2] = "EMPTY_control"
        ids = [f"{experiment}_{number}_{a}" for a in address]
        left.append(
            pd.DataFrame({"well_id": ids, "experiment_name": experiment, "plate": number, "gene": gene})
        )
        x = noise[rng.permutation(WELLS)] * (1 + rng.random(width, dtype=np.float32))
        path = folder / "plates" / experiment / f"Plate{number}" / "embeddings.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {"well_id": pa.array(ids), **{f"feature_{i}": x[:, i] for i in range(width)}}
        pq.write_table(pa.table(columns), path)
    table = pd.concat(left, ignore_index=True)
    table["treatment"] = table.gene + "_guide_1"
    table.loc[table.gene == "EMPTY_control", "treatment"] = "EMPTY_control"
    table["concentration"], table["perturbation_type"] = "", "CRISPR"
    table.to_csv(folder / "metadata.csv", index=False)


def one_file(folder: Path) -> None:
    """All plates as one file, a row group each ten plates."""
    import pyarrow.parquet as pq

    paths = sorted((folder / "plates").rglob("*.parquet"))
    with pq.ParquetWriter(folder / "one.parquet", pq.read_schema(paths[0])) as writer:
        for path in paths:
            writer.write_table(pq.read_table(path))


def reading(source: str) -> Side:
    """Every column of every file, and nothing done with it."""
    import pyarrow.parquet as pq

    path = Path(source)
    start, began, n = time.perf_counter(), processor_time(), 0
    for one in sorted(path.rglob("*.parquet")) if path.is_dir() else [path]:
        file = pq.ParquetFile(one)
        for group in range(file.num_row_groups):
            n += file.read_row_group(group, use_threads=False).num_rows
    return Side(time.perf_counter() - start, [n, round(processor_time() - began, 1)])


def processor_time() -> float:
    """Seconds that this process and its children that have ended took of all processors."""
    return sum(os.times()[:4])


def ours(source: str, metadata: str, limit: int, workers: int, batch: str) -> Side:
    """From files to the map."""
    from polaris_rxrx.maps.build import build_map
    from polaris_rxrx.maps.collect import collect
    from polaris_rxrx.parallel import workers as who
    from polaris_rxrx.wells.design import Design
    from polaris_rxrx.wells.opened import open_wells

    start, began = time.perf_counter(), processor_time()
    wells = open_wells(metadata, source, design=Design(batch=batch), who=who(workers))
    opened = time.perf_counter()
    collected = collect(wells, max_memory=limit, workers=who(workers))
    done = time.perf_counter()
    map_ = build_map(collected)
    end = time.perf_counter()
    parts = {"open": opened - start, "collect": done - opened, "map": end - done}
    parts["processors"] = processor_time() - began
    return Side(end - start, [len(map_), {k: round(v, 1) for k, v in parts.items()}])


def public(source: str, metadata: str) -> Side:
    """The public code's steps: pandas and scikit-learn, everything at once."""
    import pandas as pd
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    start = time.perf_counter()
    table = pd.read_csv(metadata)
    frames = [pd.read_parquet(path) for path in sorted(Path(source).rglob("*.parquet"))]
    wells = table.merge(pd.concat(frames, ignore_index=True), on="well_id")
    features = [c for c in wells.columns if c.startswith("feature_")]
    control = (wells.gene == "EMPTY_control").to_numpy()
    x = wells[features].to_numpy(dtype=np.float64)
    x = PCA().fit(x[control]).transform(x)
    for rows in wells.groupby("experiment_name").indices.values():
        x[rows] = StandardScaler().fit(x[rows][control[rows]]).transform(x[rows])
    means = pd.DataFrame(x).groupby(wells.gene.to_numpy()).mean()
    return Side(time.perf_counter() - start, len(means) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plates", type=int, nargs="+", default=[16, 160, 1760])
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--max-memory", type=int, default=2_000_000_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    parser.add_argument("--batch", default="experiment", help="what a batch is: experiment, or plate")
    parser.add_argument("--one-file", action="store_true", help="also as one file")
    parser.add_argument("--public", action="store_true", help="also the public code's steps")
    asked = parser.parse_args()
    print("| wells | features | how | reading | ours | ratio | peak | of it |\n" + "|---" * 8 + "|")
    for plates in asked.plates:
        folder = asked.folder / f"{plates}x{asked.width}"
        if not (folder / "metadata.csv").exists():
            make_plates(folder, plates, asked.width)
        sources = [folder / "plates"]
        if asked.one_file:
            if not (folder / "one.parquet").exists():
                one_file(folder)
            sources.append(folder / "one.parquet")
        for source in sources:
            for n in asked.workers:
                alone = apart(reading, source=source)
                chosen = {"limit": asked.max_memory, "workers": n, "batch": asked.batch}
                found = apart(ours, source=source, metadata=folder / "metadata.csv", **chosen)
                row = [f"{alone.value[0]:,}", asked.width, f"{source.name}, {n} worker{'s' * (n > 1)}"]
                row += [f"{alone.seconds:.1f} s ({alone.value[1]} s)", f"{found.seconds:.1f} s"]
                row += [f"{found.seconds / alone.seconds:.2f}", f"{found.peak / 1e6:,.0f} MB", found.value]
                print("| " + " | ".join(map(str, row)) + " |", flush=True)
        if asked.public:
            found = apart(public, source=folder / "plates", metadata=folder / "metadata.csv")
            print(
                f"public code: {found.seconds:.1f} s, {found.peak / 1e6:,.0f} MB, {found.value} rows",
                flush=True,
            )


if __name__ == "__main__":
    from tests.performance.any_size import main as under_its_name  # where the sides' processes find them

    under_its_name()
