"""Many small files: pyarrow or numpy reading each of them, against wells made of all.

RxRx3's tree has a parquet file a plate, 128 features; DeepProfiler's an .npz file a site, a row a cell. Ours
does more: it joins rows with metadata, looks through values, and takes the mean of a well's cells.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.performance.common import Row, Settings, Side, apart, best

HEAD = "well_id,experiment_name,plate,gene,treatment,concentration,perturbation_type\n"
WELLS, WIDTH = 1270, 128  # of a plate
CELLS, SITES, DEEP = 100, 4, 384


def _line(well: str, experiment: str, plate: int, i: int) -> str:
    gene = "EMPTY_control" if i % 10 == 0 else f"GENE{i % 700}"
    return f"{well},{experiment},{plate},{gene},{gene},,CRISPR\n"


def make_plates(folder: Path, n: int) -> None:
    """RxRx3's tree of n plates, and metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, lines = np.random.default_rng(0), [HEAD]
    for k in range(n):
        experiment, plate = f"gene-{k // 9 + 1:03d}", k % 9 + 1
        ids = [
            f"{experiment}_{plate}_{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[i // 50]}{i % 50 + 1:02d}"
            for i in range(WELLS)
        ]
        x = rng.normal(size=(WIDTH, WELLS)).astype(np.float32)
        path = folder / "plates" / experiment / f"Plate{plate}" / "embeddings.parquet"
        path.parent.mkdir(parents=True)
        table = {"well_id": ids, **{f"feature_{i}": values for i, values in enumerate(x)}}
        pq.write_table(pa.table(table), path)
        lines += [_line(well, experiment, plate, i) for i, well in enumerate(ids)]
    (folder / "plates.csv").write_text("".join(lines))


def make_sites(folder: Path, n: int) -> None:
    """DeepProfiler's tree of n sites, and metadata."""
    rng, lines = np.random.default_rng(0), [HEAD]
    (folder / "sites" / "gene-001_1").mkdir(parents=True)
    for i in range(n // SITES):
        well = f"{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[i // 50]}{i % 50 + 1:02d}"
        for site in range(SITES):
            x = rng.normal(size=(CELLS, DEEP)).astype(np.float32)
            np.savez_compressed(folder / "sites" / "gene-001_1" / f"{well}_{site}.npz", features=x)
        lines.append(_line(f"gene-001_1_{well}", "gene-001", 1, i))
    (folder / "sites.csv").write_text("".join(lines))


def pyarrow(folder: str) -> Side:
    import pyarrow.parquet as pq

    paths = sorted(Path(folder, "plates").rglob("*.parquet"))
    side = best(lambda: sum(pq.read_table(path).num_rows for path in paths), 1)
    return Side(side.seconds, side.value)


def numpy(folder: str) -> Side:
    def rows(path: Path) -> int:
        with np.load(path) as arrays:
            return len(arrays["features"])

    paths = sorted(Path(folder, "sites").rglob("*.npz"))
    side = best(lambda: sum(map(rows, paths)), 1)
    return Side(side.seconds, side.value)


def ours(folder: str, tree: str) -> Side:
    """`read_wells`; the value is how many rows it read."""
    import pandas  # noqa: F401  # pyarrow imports it at its first array

    from polaris_rxrx.wells.memory import read_wells

    side = best(lambda: read_wells(f"{folder}/{tree}.csv", f"{folder}/{tree}"), 1)
    rows = side.value.provenance["reading"].get("rows", {"n": len(side.value)})
    return Side(side.seconds, rows["n"])


def run(settings: Settings) -> list[Row]:
    plates, sites = (50, 200) if settings.quick else (500, 1000)
    make_plates(settings.scratch, plates)
    make_sites(settings.scratch, sites)
    rows = []
    for work, tree, function in (
        (f"{plates:,} parquet files of {WELLS:,} wells, {WIDTH} features", "plates", pyarrow),
        (f"{sites:,} .npz files of {CELLS} cells, {DEEP} features", "sites", numpy),
    ):
        theirs, mine = [], []
        for _ in range(settings.repeat):  # in turn, so that a busy machine hits both
            theirs.append(apart(function, folder=settings.scratch))
            mine.append(apart(ours, folder=settings.scratch, tree=tree))
        a, b = (min(sides, key=lambda side: side.seconds) for sides in (theirs, mine))
        if a.value != b.value:
            raise RuntimeError(f"{tree}: {a.value:,} rows and {b.value:,}")
        note = f"{function.__name__} reads each file, ours makes wells of them"
        rows.append(Row(work, a, b, "within twice that", note))
    return rows
