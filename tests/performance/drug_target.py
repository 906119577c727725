"""The drug-target benchmark, 100 seeds x 9 dose rules: a loop over seeds and compounds with pandas and
scikit-learn, as public code does it, against `evaluate_drug_target`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.performance.common import ROOT, Row, Settings, Side, apart, best
from tests.performance.map import EMBEDDINGS, METADATA

SEEDS, SEEDS_TIMED = 100, 2
AFFINITIES = ROOT.parent / "shared" / "data" / "compound_gene_interactions.csv"
METRICS = ("average_precision", "auroc")


def _draws(path: str, map_: Any, seeds: int) -> list[Any]:
    """The pairs of each seed as tables, drawn as `evaluate_drug_target` draws them; not theirs."""
    import pandas as pd

    from polaris_rxrx.dataset.affinities import candidates, draw_negatives, read_affinities

    p = map_.perturbations
    compounds, genes = ({p.name[i] for i in map_.rows(type)} for type in ("COMPOUND", "CRISPR"))
    can = candidates(read_affinities(path), compounds=compounds, genes=genes)
    tables = []
    for seed in range(seeds):
        negatives, rows = draw_negatives(can, seed), []
        for i, compound in enumerate(can.rows):
            rows += [(compound, can.columns[j], 1) for j in np.flatnonzero(can.active[i])]
            rows += [(compound, can.columns[j], 0) for j in negatives[i, : can.n_negatives[i]]]
        tables.append(pd.DataFrame(rows, columns=["treatment", "gene_symbol", "active"]))
    return tables


def loops(map_path: str, affinities: str, seeds: int, scale: float) -> Side:
    """Per seed, per compound: select from tables, score each concentration and the maximum.

    The seconds of the seeds are multiplied by `scale`, those of the similarities are not.
    """
    import pandas as pd
    from sklearn.metrics import average_precision_score, roc_auc_score
    from sklearn.metrics.pairwise import cosine_similarity

    from polaris_rxrx.maps.store import load_map
    from polaris_rxrx.suites.drug_target import NOMINAL

    map_ = load_map(map_path)
    draws = _draws(affinities, map_, seeds)
    p = map_.perturbations

    def similarities() -> Any:
        genes, compounds = map_.rows("CRISPR"), map_.rows("COMPOUND")
        similar = pd.DataFrame(
            np.abs(cosine_similarity(map_.x[compounds], map_.x[genes])), columns=[p.name[i] for i in genes]
        )
        similar.insert(0, "treatment", [p.name[i] for i in compounds])
        similar.insert(1, "concentration", p.concentration[compounds])
        return similar[similar.concentration.isin(NOMINAL)]

    once = best(similarities, 1)
    similar = once.value

    def work() -> Any:
        rows = []
        for seed, pairs in enumerate(draws):
            for compound in pairs.treatment.unique():
                mine = pairs[pairs.treatment == compound]
                label = mine.active.to_numpy()
                doses = similar[similar.treatment == compound].set_index("concentration")
                values = doses[mine.gene_symbol.tolist()]
                scores = {f"{dose:g}": values.loc[dose].to_numpy() for dose in values.index}
                scores["max"] = values.max().to_numpy()
                for dose, score in scores.items():
                    ap = average_precision_score(label, score)
                    rows.append((seed, dose, ap, roc_auc_score(label, score)))
        found = pd.DataFrame(rows, columns=["seed", "dose", *METRICS])
        return found.groupby(["dose", "seed"]).mean().groupby("dose").mean()

    side = best(work, 1)
    values = dict(zip(side.value.index, side.value.to_numpy().tolist(), strict=True))
    return Side(once.seconds + scale * side.seconds, values)


def ours(map_path: str, affinities: str, seeds: int, check_seeds: int) -> Side:
    """All of `evaluate_drug_target`: random baseline, micro scores, quantiles, the table of compounds."""
    from polaris_rxrx.dataset.affinities import read_affinities
    from polaris_rxrx.maps.store import load_map
    from polaris_rxrx.suites.drug_target import Protocol, evaluate_drug_target

    map_, table = load_map(map_path), read_affinities(affinities)
    side = best(lambda: evaluate_drug_target(map_, table, Protocol(seeds=seeds)), 3)
    checked = evaluate_drug_target(map_, table, Protocol(seeds=check_seeds)).summary["by_dose"]
    return Side(side.seconds, {dose: [row[name] for name in METRICS] for dose, row in checked.items()})


def make_affinities(path: Path, map_: Any, seed: int = 0) -> None:
    """A table of the published one's size, of names of the map."""
    rng = np.random.default_rng(seed)
    names = map_.perturbations.name
    genes = sorted({names[i] for i in map_.rows("CRISPR")})
    compounds = sorted({names[i] for i in map_.rows("COMPOUND")})
    genes, compounds = list(rng.permutation(genes)[:351]), list(rng.permutation(compounds)[:779])
    pairs = rng.choice(len(genes) * len(compounds), size=2921, replace=False)
    nm = 10.0 ** rng.uniform(0, 6.3, size=len(pairs))  # about half at 1,000 nM or less
    lines = [
        f"{genes[i % len(genes)]},{v:.1f},{compounds[i // len(genes)]}\n"
        for i, v in zip(pairs, nm, strict=True)
    ]
    path.write_text("gene_symbol,nM_value,treatment\n" + "".join(lines))


def make_files(data: str, map_path: str, affinities: str) -> Side:
    """The map of the wells and, where the published table is not at hand, one of its shape; says which."""
    from polaris_rxrx.maps.build import build_map
    from polaris_rxrx.maps.store import save_map
    from polaris_rxrx.wells.memory import read_wells

    map_ = build_map(read_wells(f"{data}/{METADATA}", f"{data}/{EMBEDDINGS}"), "pca-cs")
    save_map(map_, map_path)
    published = AFFINITIES.is_file() and "BCL2" in map_.perturbations.name
    if not published:
        make_affinities(Path(affinities), map_)
    return Side(0, published)


def run(settings: Settings) -> list[Row]:
    map_path, made = settings.scratch / "drug_target_map.parquet", settings.scratch / "affinities.csv"
    # In a process of its own: a child's peak of memory begins with its parent's.
    published = apart(make_files, data=settings.data, map_path=map_path, affinities=made).value
    files = {"map_path": map_path, "affinities": AFFINITIES if published else made}
    seeds = SEEDS // 10 if settings.quick else SEEDS
    theirs = apart(loops, **files, seeds=SEEDS_TIMED, scale=seeds / SEEDS_TIMED)
    mine = apart(ours, **files, seeds=seeds, check_seeds=SEEDS_TIMED)
    if theirs.value.keys() != mine.value.keys():
        raise RuntimeError(f"the dose rules differ: {list(theirs.value)}, {list(mine.value)}")
    gap = max(float(np.abs(np.subtract(theirs.value[dose], mine.value[dose])).max()) for dose in mine.value)
    if not gap < 1e-10:
        raise RuntimeError(f"the scores differ by {gap}: {theirs.value}, {mine.value}")
    kind = "the published affinities" if published else "affinities drawn at random"
    note = (
        f"public way: {SEEDS_TIMED} seeds timed, scaled to {seeds}, without the random baseline that ours "
        f"runs beside it; equal to {gap:.0e}; {kind}, {settings.data_note}"
    )
    return [Row(f"drug-target, {seeds} seeds x 9 dose rules", theirs, mine, "500 times", note)]
