"""Recall of gene-gene relations, four sources, reading them included: plain pandas against `gene_gene`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.performance.common import ROOT, Row, Settings, Side, apart, best

SOURCES = ("CORUM", "HuMAP", "Reactome", "StringDB")
RELATIONS = ROOT.parent / "shared" / "data" / "relations"
WELLS = RELATIONS.parent / "metadata_rxrx3_trimmed.parquet"
N_GENES = 735


def plain(folder: str, map_file: str, by_row: bool) -> Side:
    """pandas and scikit-learn, a relation at a time; imports and the map's reading are not timed.

    With `by_row` the pairs of a file are put in order by a function of a row, as is often seen.
    """
    import pandas as pd
    from sklearn.metrics.pairwise import cosine_similarity

    from polaris_rxrx.maps.store import load_map

    map_ = load_map(map_file)
    rows = map_.rows("CRISPR")
    genes, x = [map_.perturbations.name[i] for i in rows], map_.x[rows]

    def pairs_of(table: pd.DataFrame) -> set[tuple[str, str]]:
        if by_row:
            pairs = set(table.apply(lambda row: tuple(sorted((row.entity1, row.entity2))), axis=1))
            return {(a, b) for a, b in pairs if a != b and a in cosines.index and b in cosines.index}
        table = table[table.entity1.isin(genes) & table.entity2.isin(genes)]
        return {(min(a, b), max(a, b)) for a, b in table.itertuples(index=False) if a != b}

    cosines = pd.DataFrame()

    def work() -> dict[str, float]:
        nonlocal cosines
        cosines = pd.DataFrame(cosine_similarity(x), index=genes, columns=genes)
        null = np.sort(cosines.to_numpy()[np.triu_indices(len(genes), 1)])
        recalls = {}
        for source in SOURCES:
            pairs = pairs_of(pd.read_csv(Path(folder) / f"{source}.txt", keep_default_na=False))
            hits = 0
            for a, b in pairs:
                value = cosines.loc[a, b]
                left = np.searchsorted(null, value, side="left") / len(null)
                right = np.searchsorted(null, value, side="right") / len(null)
                hits += bool(right <= 0.05 or left >= 0.95)
            recalls[source] = hits / len(pairs)
        return recalls

    return best(work, 1)


def ours(folder: str, map_file: str) -> Side:
    """`read_relations` and `evaluate_gene_gene`: the bootstrap and the table of relations are in the time."""
    import pandas  # noqa: F401  # pyarrow imports it at its first array
    import pyarrow.csv  # noqa: F401

    from polaris_rxrx.maps.store import load_map
    from polaris_rxrx.suites.gene_gene import evaluate_gene_gene
    from polaris_rxrx.suites.relations import read_relations

    map_ = load_map(map_file)

    def work() -> Any:
        known = {source: read_relations(Path(folder) / f"{source}.txt") for source in SOURCES}
        return evaluate_gene_gene(map_, known)

    side = best(work, 9)
    return Side(side.seconds, {s: v["recall"] for s, v in side.value.summary["sources"].items()})


def make_files(folder: Path, seed: int = 0) -> None:
    """Files of the real ones' length, drawn; for where those are not at hand."""
    rng = np.random.default_rng(seed)
    for source, rows in zip(SOURCES, (75_298, 117_076, 22_865, 116_118), strict=True):
        pairs = rng.integers(7000, size=(rows, 2))
        lines = [f"GENE{a:04d},GENE{b:04d}\n" for a, b in pairs.tolist()]
        (folder / f"{source}.txt").write_text("entity1,entity2\n" + "".join(lines), encoding="utf-8")


def make_map(path: Path, folder: Path) -> None:
    """A random map of RxRx3-core's genes; of as many from the files where their names are not at hand."""
    import pandas as pd

    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.maps.store import save_map
    from polaris_rxrx.wells.metadata import Perturbations

    if WELLS.is_file():
        genes = sorted(set(pd.read_parquet(WELLS, columns=["gene"]).gene.dropna()) - {"EMPTY_control"})
    else:
        tables = [pd.read_csv(folder / f"{s}.txt", keep_default_na=False) for s in SOURCES]
        genes = sorted(set(pd.concat(tables).entity1))[:N_GENES]
    n = len(genes)
    x = np.random.default_rng(0).normal(size=(n, 384))
    save_map(Map(Perturbations(["CRISPR"] * n, genes, np.full(n, np.nan)), x, np.full(n, 100)), path)


def run(settings: Settings) -> list[Row]:
    folder, note = RELATIONS, "the real files"
    if not folder.is_dir():
        folder, note = settings.scratch / "relations", "files drawn at random"
        folder.mkdir()
        make_files(folder)
    map_file = settings.scratch / "genes.parquet"
    make_map(map_file, folder)
    mine = apart(ours, folder=folder, map_file=map_file)
    rows = []
    for by_row, how in (
        (True, "pandas, keys by `apply` on rows"),
        (False, "pandas, keys of the filtered rows alone"),
    ):
        theirs = apart(plain, folder=folder, map_file=map_file, by_row=by_row)
        gap = max(abs(theirs.value[s] - mine.value[s]) for s in SOURCES)
        if not gap < 1e-10:
            raise RuntimeError(f"the recalls differ by {gap}: {theirs.value}, {mine.value}")
        aim = "100 times" if by_row else ""
        rows.append(
            Row("gene-gene recall, 4 sources read", theirs, mine, aim, f"{how}; {note}; recalls equal")
        )
    return rows
