"""The drug-target benchmark: does a compound's phenotype resemble its target's knock-out?

Conventions
    The score of a pair is the similarity of the compound, at a concentration, with the gene; beside the eight
    nominal concentrations the rule `max` takes the largest over those a compound has. Actives, grey pairs and
    negatives are those of `polaris_rxrx.dataset.affinities`, drawn anew for each seed 0..n-1; a row is a
    compound (or, by gene, a gene) and gets an average precision and an AUROC a seed and dose rule.
    Macro: the mean (median, quantiles) over rows, then mean and standard deviation over seeds. Micro: all
    pairs of a seed ranked together. Standard deviations are the population's (ddof 0).
    z against random: (m - b) / sqrt(s_m^2 + s_b^2), b and s_b those of Gaussian embeddings of the same
    perturbations, as wide as the map's, a new one for each seed, run with that seed's draws. So s_b holds the
    spread of embeddings and that of draws.

    Where no compound of the map has a concentration, each has one row, whose similarity is that of `max`; no
    other dose rule is run, and that is told.

Left out, counted and named
    Compounds without a row in the map and genes absent from it; at one concentration, compounds not tested
    there; zero rows of the map. Rows with fewer eligible negatives than wanted get all there are.

How sure the maximum over doses is
    `interval_max` is over compounds and genes, beside the paper's sd over seeds, which is that of other
    negatives alone; the table `spread` sets them side by side (`polaris_rxrx.suites.spread`).

Source
    arXiv 2503.20158 (Table 4, Table 7) and its public code, which takes scikit-learn's average precision, a
    tie being one threshold, as here; an older version broke ties by the order of sorting.

Deviations from the public code (`legacy` undoes 1 to 3)
    1. A seed has one generator for all compounds; there it is seeded anew for every compound, so compounds
       with as many eligible genes get the negatives of the same places.
    2. Negatives come from the annotated genes (by gene, compounds) that the map has; there from all that are
       annotated (351 genes).
    3. Standard deviations are the population's (ddof 0); there they are the sample's (ddof 1).
    4. A row with fewer eligible negatives than wanted gets all there are; there it is left out. Not offered:
       RxRx3-core's annotations have no such row, and of a small table none would be left.
    5. Negatives are drawn from sorted names; there in the order of a set. Not offered: that order differs
       from run to run.
    6. A well's gene is the metadata's; there it is what stands before the first underscore of its treatment,
       and so is a compound's name. Not offered: no gene or compound of RxRx3-core has an underscore.
    7. A zero row of the map has no similarity and is left out; there its cosines are 0 and count. Not
       offered: nothing is known of such a row.
    8. By gene, a label goes with the score of its pair; there labels in the order drawn go with scores in
       the order of the map, which gives an AUROC near .5. Not offered: labels of other pairs measure
       nothing.
    9. Random scores are the cosines of a new embedding each seed; there they are independent uniform numbers
       each seed, those of the rule max too. Not offered: their means are the same and their spreads nearly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from polaris_rxrx.dataset.affinities import (
    ACTIVE,
    INACTIVE,
    MIN_NEGATIVES,
    NEGATIVES_PER_ACTIVE,
    Affinities,
    Candidates,
    candidates,
    draw_negatives,
)
from polaris_rxrx.dataset.rxrx3 import NOMINAL
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.pairs import PairTables, pair_tables
from polaris_rxrx.maps.similarity import SIMILARITIES, Similarity
from polaris_rxrx.parallel import Workers
from polaris_rxrx.suites.deviations import listed
from polaris_rxrx.suites.documents import DoseFigures, DrugTargetProtocol, DrugTargetSummary
from polaris_rxrx.suites.random_scores import Kept, Seeds, score_random
from polaris_rxrx.suites.result import Digest, Result, versions
from polaris_rxrx.suites.sampled import (
    EqualDraws,
    Scores,
    draws_of,
    pooled_scores,
    score_draws,
)
from polaris_rxrx.suites.spread import Spread, spreads
from polaris_rxrx.types import Bools, Floats, Ints, Progress

ROUNDING = 1e-12  # a spread below this is that of sums in floating point
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
By = Literal["compound", "gene"]


@dataclass(frozen=True)
class Protocol:
    """The choices of one run; the defaults are the paper's, `legacy` those of its public code.

    >>> Protocol(seeds=10, concentrations=(0.25, 2.5)).rules
    ['0.25', '2.5', 'max']
    """

    seeds: int = 100
    active: float = ACTIVE
    inactive: float = INACTIVE
    min_negatives: int = MIN_NEGATIVES
    by: By = "compound"
    similarity: Similarity = "abs-cosine"
    concentrations: tuple[float, ...] = NOMINAL
    legacy: bool = False
    random_seed: int = 0

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise UsageError(f"seeds is {self.seeds}; 1 or more was expected")
        if not self.concentrations:
            raise UsageError("at least one concentration was expected")
        labels = self.rules[:-1]
        if not all(0 < c < np.inf for c in self.concentrations) or len(set(labels)) < len(labels):
            said = ", ".join(labels)
            raise UsageError(f"concentrations are {said}; different numbers above 0 were expected")
        for name, value, known in (
            ("by", self.by, get_args(By)),
            ("similarity", self.similarity, SIMILARITIES),
        ):
            if value not in known:
                raise UsageError(f"{name} is {value!r}; {' or '.join(known)} was expected")

    @property
    def rules(self) -> list[str]:
        """The dose rules, by name."""
        return [f"{c:g}" for c in self.concentrations] + ["max"]


class _WithoutDoses(Protocol):
    """The choices, checked already, where no compound has a concentration: `max` is its only row."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "concentrations", ())


def evaluate_drug_target(
    map_: Map,
    affinities: Affinities,
    protocol: Protocol | None = None,
    *,
    who: Workers | None = None,
    kept: Kept | None = None,
    progress: Progress | None = None,
) -> Result:
    """Run the benchmark on a map; many random embeddings are drawn by `who`, this process if nobody is named.

    Where many maps of the same perturbations are run, `kept` keeps what they share.

    Raises:
        UsageError: A choice that cannot mean anything.
        DataError: The map has NaN or a perturbation twice, or nothing in it can be scored.

    >>> from polaris_rxrx.dataset.affinities import read_affinities
    >>> affinities = read_affinities("data/compound_gene_interactions.csv")
    >>> found = evaluate_drug_target(pr.load_map("map.parquet"), affinities, Protocol(seeds=2))
    >>> found.summary["n_rows"], round(found.summary["max"]["average_precision"], 3)
    (44, 0.423)
    >>> found.tables["seeds"]["seed"][-1]
    1
    """
    p = protocol or Protocol()
    _check(map_)
    map_ = _annotated(map_, affinities)
    doses = map_.perturbations.concentration[map_.rows("COMPOUND")]
    if doses.size and np.isnan(doses).all():
        p = _WithoutDoses(**asdict(p))
    tables, names = _tables(map_, p)
    can = _candidates(affinities, names, p)
    negatives = (kept or Kept()).draw(
        Digest().names([str(p.seeds), str(p.legacy)]).array(can.eligible).array(can.n_negatives).hex(),
        lambda: np.stack([_draw(can, seed, legacy=p.legacy) for seed in range(p.seeds)]),
    )
    tables = _arrange(tables, names, can, p.by)
    groups = list(draws_of(can, negatives))
    scores = score_draws(tables, can, negatives, groups, progress)
    if np.isnan(scores.average_precision).all():
        n_genes = len(set(names.genes) & set(affinities.genes))
        raise DataError(
            f"nothing to score: no {p.by} has both an active and a negative among the map's "
            f"{len(names.compounds):,} annotated compounds and {n_genes:,} annotated genes"
        )
    seeds = _seeds(tables, groups, p, map_.x.shape[1])
    chance = (kept.score if kept is not None else score_random)(seeds, who=who, progress=progress)
    pooled = pooled_scores(tables, can, negatives)
    best = scores.average_precision[-1], scores.auroc[-1]
    of_max = spreads(tables[-1], can.active, negatives, can.n_negatives, best)
    notes = (*_about_doses(map_), *_notes(affinities, can, tables, scores, p, names))
    return _result(map_, affinities, can, scores, chance, pooled, of_max, p, notes)


def _tables(map_: Map, p: Protocol) -> tuple[Floats, PairTables]:
    """Similarity of every compound with every gene by dose rule, shape (n_rules, n_compounds, n_genes).

    The rules are the concentrations, then `max`. NaN where a compound was not tested at a concentration, or a
    row of the map is zero. The names of the last two axes are those of the pair tables.
    """
    found = pair_tables(map_, p.concentrations or (np.nan,), p.similarity)
    if not found.genes or not found.compounds:
        raise DataError(
            f"the map has {len(found.genes)} genes and {len(found.compounds)} of the compounds at the "
            "concentrations"
        )
    if not p.concentrations:
        return found.values, found
    return np.concatenate([found.values, found.largest()[None]]), found


def _check(map_: Map) -> None:
    if not np.isfinite(map_.x).all():
        row = int(np.argwhere(~np.isfinite(map_.x))[0, 0])
        raise DataError(f"row {row} of the map ({map_.perturbations.name[row]}) holds NaN or infinity")
    p = map_.perturbations
    count = Counter(zip(p.type, p.name, np.nan_to_num(p.concentration, nan=-1.0).tolist(), strict=True))
    twice = [name for (_, name, _), n in count.items() if n > 1]
    if twice:
        raise DataError(
            f"perturbation {twice[0]!r} stands in the map more than once; one row each was expected"
        )


def _annotated(map_: Map, affinities: Affinities) -> Map:
    """The genes, and the compounds of the table, sorted: from here on the order of the map's rows is gone."""
    p = map_.perturbations
    order = np.lexsort((np.nan_to_num(p.concentration, nan=-1.0), np.array(p.name), np.array(p.type)))
    wanted = [
        (kind == "CRISPR" or name in affinities.by_compound) and not name.endswith("_control")
        for kind, name in zip(p.type, p.name, strict=True)
    ]
    rows = order[np.array(wanted, dtype=bool)[order]]
    return Map(p.take(rows), map_.x[rows], map_.n_wells[rows], map_.protocol)


def _candidates(affinities: Affinities, names: PairTables, p: Protocol) -> Candidates:
    """Who may be drawn: what the map has; with legacy, all annotated columns."""
    return candidates(
        affinities,
        active=p.active,
        inactive=p.inactive,
        min_negatives=p.min_negatives,
        by=p.by,
        compounds=None if p.legacy and p.by == "gene" else set(names.compounds),
        genes=None if p.legacy else set(names.genes),
    )


def _draw(can: Candidates, seed: int, *, legacy: bool) -> Ints:
    """Negatives of a seed, (n_rows, most); a row's first `n_negatives` columns are its own."""
    if not legacy:
        return draw_negatives(can, seed)
    out = np.zeros((len(can.rows), int(can.n_negatives.max())), dtype=np.int64)
    for i, n in enumerate(can.n_negatives):
        rng = np.random.default_rng(seed)
        out[i, :n] = rng.choice(np.flatnonzero(can.eligible[i]), size=n, replace=False)
    return out


def _arrange(tables: Floats, names: PairTables, can: Candidates, by: By) -> Floats:
    """The tables with the rows and columns of the candidates: (n_rules, n_rows, n_columns)."""
    compounds, genes = (can.rows, can.columns) if by == "compound" else (can.columns, can.rows)
    cut = _taken(_taken(tables, names.compounds, compounds, 1), names.genes, genes, 2)
    return cut if by == "compound" else np.swapaxes(cut, 1, 2)


def _taken(tables: Floats, names: Sequence[str], wanted: Sequence[str], axis: int) -> Floats:
    """These names of an axis, NaN for those that it has not."""
    at = {name: i for i, name in enumerate(names)}
    found = np.array([at.get(name, -1) for name in wanted], dtype=np.int64)
    cut: Floats = tables.take(found, axis=axis)
    if (found < 0).any():
        cut[(slice(None),) * axis + (found < 0,)] = np.nan
    return cut


def _seeds(tables: Floats, groups: Sequence[EqualDraws], p: Protocol, width: int) -> Seeds:
    """The pairs that have a similarity in `tables`, for a random embedding of its own for each seed."""
    doses = tables[: max(1, len(tables) - 1)]  # without any, `max` is what there is
    return Seeds(
        groups,
        np.isnan(doses),
        largest=len(tables) > len(doses),
        n_seeds=p.seeds,
        width=width,
        by_compound=p.by == "compound",
        absolute=p.similarity == "abs-cosine",
        random_seed=p.random_seed,
    )


def _result(
    map_: Map,
    affinities: Affinities,
    can: Candidates,
    scores: Scores,
    chance: Scores,
    pooled: Floats,
    of_max: tuple[Spread, Spread],
    p: Protocol,
    notes: tuple[str, ...],
) -> Result:
    ddof = 1 if p.legacy else 0
    by_rule = {name: _summary(scores, chance, pooled[i], i, ddof) for i, name in enumerate(p.rules)}
    best = [
        [_mean_sd(v[~np.isnan(v)], ddof) for v in of[-1]] for of in (scores.average_precision, scores.auroc)
    ]
    rows: dict[str, list[Any]] = {
        p.by: list(can.rows),
        "n_active": can.active.sum(axis=1).tolist(),
        "n_eligible": can.eligible.sum(axis=1).tolist(),
        "n_negatives": can.n_negatives.tolist(),
        "average_precision_max": [mean for mean, _ in best[0]],
        "average_precision_max_sd": [sd for _, sd in best[0]],
        "auroc_max": [mean for mean, _ in best[1]],
    }
    figures = [dict(row) for row in by_rule.values()]
    doses: dict[str, list[Any]] = {"dose": list(by_rule)}
    doses |= {key: [row[key] for row in figures] for key in figures[0]}
    protocol: DrugTargetProtocol = {
        "seeds": p.seeds,
        "active_nM": p.active,
        "inactive_nM": p.inactive,
        "min_negatives": p.min_negatives,
        "negatives_per_active": NEGATIVES_PER_ACTIVE,
        "by": p.by,
        "similarity": p.similarity,
        "concentrations": list(p.concentrations),
        "legacy": p.legacy,
        "sd_ddof": ddof,
        "interval_max": f"95%, BCa over {p.by}s, stretched to the variance over both",
        "random": "a Gaussian embedding a seed",
        "random_seed": p.random_seed,
        "deviations": listed("drug-target", legacy=p.legacy),
        "annotations_sha256": affinities.sha256,
        "map": map_.protocol,
        "map_sha256": _digest(map_),
        "versions": versions(),
    }
    summary: DrugTargetSummary = {
        "n_rows": len(can.rows),
        "n_pairs_a_seed": int(can.active.sum() + can.n_negatives.sum()),
        "max": by_rule["max"],
        "by_dose": by_rule,
        "interval_max": {
            "average_precision": of_max[0].interval.ends(),
            "auroc": of_max[1].interval.ends(),
        },
    }
    rows_are, columns_are = ("compounds", "genes") if p.by == "compound" else ("genes", "compounds")
    moved: dict[str, list[Any]] = {
        "sd_of_the_mean": ["negatives", rows_are, columns_are, "compounds and genes"],
        **{
            name: [s.negatives, s.rows, s.columns, s.together] for name, s in zip(SCORED, of_max, strict=True)
        },
    }
    tables = {"doses": doses, "spread": moved, f"per_{p.by}": rows, "seeds": _by_seed(scores, p)}
    return Result("drug-target", protocol, summary, tables, notes)


SCORED = ("average_precision", "auroc")


def _by_seed(scores: Scores, p: Protocol) -> dict[str, list[Any]]:
    """Means over rows, one line a seed and dose rule; NaN where no row has a score."""
    seeds: dict[str, list[Any]] = {
        "seed": [seed for _ in p.rules for seed in range(p.seeds)],
        "dose": [rule for rule in p.rules for _ in range(p.seeds)],
    }
    for name, values in zip(SCORED, (scores.average_precision, scores.auroc), strict=True):
        n = (~np.isnan(values)).sum(axis=1)
        with np.errstate(invalid="ignore"):
            seeds[name] = (np.nansum(values, axis=1) / n).reshape(-1).tolist()
    return seeds


def _digest(map_: Map) -> str:
    p = map_.perturbations
    return Digest().names(p.type).names(p.name).array(p.concentration).array(map_.x).hex()


@dataclass(frozen=True)
class _Figures:
    """Of one metric at one dose rule; means and standard deviations over seeds, None where undefined."""

    mean: float | None
    sd: float | None
    random: float | None
    random_sd: float | None
    quantiles: list[float | None]
    micro: float | None
    micro_sd: float | None

    @classmethod
    def of(cls, own: Floats, other: Floats, pooled: Floats, scored: Bools, ddof: int) -> _Figures:
        """Of scores (n_rows, n_seeds), random ones, those of a seed's pairs together, and who is scored."""
        whole = own[~np.isnan(own).any(axis=1)]
        quantiles = [float(np.quantile(whole, q, axis=0).mean()) if len(whole) else None for q in QUANTILES]
        means = (*_mean_sd(_macro(own), ddof), *_mean_sd(_macro(other[scored]), ddof))
        return cls(*means, quantiles, *_mean_sd(pooled[~np.isnan(pooled)], ddof))

    @property
    def z(self) -> float | None:
        return _z(self.mean, self.sd, self.random, self.random_sd)


def _summary(scores: Scores, chance: Scores, pooled: Floats, rule: int, ddof: int) -> DoseFigures:
    """The headline numbers of one dose rule."""
    own = scores.average_precision[rule], scores.auroc[rule]
    other = chance.average_precision[rule], chance.auroc[rule]
    scored = ~np.isnan(own[0]).all(axis=1)
    ap, auroc = (
        _Figures.of(*each, scored=scored, ddof=ddof) for each in zip(own, other, pooled, strict=True)
    )
    return {
        "n_scored": int(scored.sum()),
        "average_precision": ap.mean,
        "average_precision_sd": ap.sd,
        "average_precision_random": ap.random,
        "average_precision_random_sd": ap.random_sd,
        "average_precision_z": ap.z,
        "average_precision_q0.05": ap.quantiles[0],
        "average_precision_q0.25": ap.quantiles[1],
        "average_precision_q0.5": ap.quantiles[2],
        "average_precision_q0.75": ap.quantiles[3],
        "average_precision_q0.95": ap.quantiles[4],
        "auroc": auroc.mean,
        "auroc_sd": auroc.sd,
        "auroc_random": auroc.random,
        "auroc_random_sd": auroc.random_sd,
        "auroc_z": auroc.z,
        "auroc_q0.05": auroc.quantiles[0],
        "auroc_q0.25": auroc.quantiles[1],
        "auroc_q0.5": auroc.quantiles[2],
        "auroc_q0.75": auroc.quantiles[3],
        "auroc_q0.95": auroc.quantiles[4],
        "average_precision_micro": ap.micro,
        "average_precision_micro_sd": ap.micro_sd,
        "auroc_micro": auroc.micro,
        "auroc_micro_sd": auroc.micro_sd,
    }


def _macro(values: Floats) -> Floats:
    """Mean over the rows that have a score (n_rows, n_seeds), of the seeds where any has."""
    some = values[:, ~np.isnan(values).all(axis=0)]
    means: Floats = np.nanmean(some, axis=0)
    return means


def _mean_sd(values: Floats, ddof: int) -> tuple[float | None, float | None]:
    """Mean and standard deviation (n,), None where there are too few values."""
    sd = float(values.std(ddof=ddof)) if values.size > ddof else None
    return float(values.mean()) if values.size else None, sd


def _z(m: float | None, s: float | None, b: float | None, s_b: float | None) -> float | None:
    """None where it is not defined: nothing scored; no spread, as with one seed or every negative drawn."""
    if m is None or s is None or b is None or s_b is None or np.hypot(s, s_b) < ROUNDING:
        return None
    return float((m - b) / np.hypot(s, s_b))


def _about_doses(map_: Map) -> list[str]:
    """What to tell of compounds without a concentration."""
    compounds = map_.rows("COMPOUND")
    none = compounds[np.isnan(map_.perturbations.concentration[compounds])]
    if not len(none):
        return []
    if len(none) == len(compounds):
        return [
            f"no compound has a concentration: each of the {len(none):,} annotated ones has one row of the "
            "map, which is its score, and the only dose rule is max"
        ]
    names = [map_.perturbations.name[i] for i in none.tolist()]
    return [f"{len(none):,} rows of compounds have no concentration and were left out: {', '.join(names)}"]


def _notes(
    affinities: Affinities, can: Candidates, tables: Floats, scores: Scores, p: Protocol, names: PairTables
) -> tuple[str, ...]:
    notes = []
    other = "genes" if p.by == "compound" else "compounds"
    wanted = [c for c, genes in affinities.by_compound.items() if min(genes.values()) <= p.active]
    lost = sorted(set(wanted) - set(names.compounds))
    if lost:
        notes.append(f"{len(lost):,} compounds with an active have no row in the map: {', '.join(lost)}")
    no_gene = sorted(set(affinities.genes) - set(names.genes))
    if no_gene:
        notes.append(f"{len(no_gene):,} annotated genes are not in the map: {', '.join(no_gene)}")
    if can.short:
        few = ", ".join(f"{name} ({n})" for name, n in can.short.items())
        notes.append(
            f"{len(can.short):,} {p.by}s have fewer eligible negatives than wanted and got all: {few}"
        )
    for rule, name in enumerate(p.rules):
        none = np.flatnonzero(np.isnan(scores.average_precision[rule]).all(axis=1))
        if none.size:
            listed = ", ".join(can.rows[i] for i in none)
            notes.append(f"dose {name}: {none.size:,} {p.by}s have no score there: {listed}")
        known = ~np.isnan(tables[rule])
        lost = [can.columns[j] for j in np.flatnonzero(~known.any(axis=0))]
        if lost and known.any():
            notes.append(f"dose {name}: {len(lost):,} {other} have no similarity there: {', '.join(lost)}")
    return tuple(notes)
