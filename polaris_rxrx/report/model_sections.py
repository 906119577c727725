"""A section of a model's report for each suite: what its numbers are, said in a sentence, and the numbers.

Conventions
    A maker takes a model's name and result, adds to the figures' data and gives a section. What a result
    lacks raises KeyError or its like, which the report tells; a table that is not as it should be costs its
    figure alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from polaris_rxrx.present.html import fixed, span
from polaris_rxrx.present.numbers import count, percent
from polaris_rxrx.report.model_parts import Doses, Grid, Recall, Section, SectionFigures, Spread, beside
from polaris_rxrx.stats.intervals import Interval
from polaris_rxrx.suites.result import Result
from polaris_rxrx.suites.stored import numbers
from polaris_rxrx.types import Floats

METRICS = {"average_precision": "average precision", "auroc": "AUROC"}
TITLES = {
    "drug-target": "Drug and target",
    "gene-gene": "Known relations of genes",
    "signal": "Signal",
    "replicate-consistency": "Replicates",
    "activity": "Activity",
    "clusters": "Complexes",
    "consistency": "Consistency",
}
WRONG = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def _section(
    result: Result,
    lead: str,
    grids: Sequence[Grid],
    key: tuple[str, str, str],
    *,
    figure: tuple[str, str] | None = None,
    rows: bool = True,
    notes: Sequence[str] = (),
) -> Section:
    terms = {name: meaning for grid in grids for name, meaning in grid.heads if meaning}
    return Section(
        suite=result.suite,
        title=TITLES[result.suite],
        lead=lead,
        figure=figure,
        grids=tuple(grids),
        terms=tuple(terms.items()),
        beside=beside(result) if rows else (),
        notes=(*result.notes, *notes),
        protocols=((result.suite, result.protocol),),
        key=key,
    )


def _interval(ends: Any) -> Interval:
    low, high = ends
    return Interval(_float(low), _float(high))


def _float(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _drug_target(name: str, result: Result, figures: SectionFigures) -> Section:
    s, p = result.summary, result.protocol
    labels, rows = tuple(s["by_dose"]), list(s["by_dose"].values())
    arrays = {
        end: {m: np.array([_float(row[f"{m}{end}"]) for row in rows]) for m in METRICS}
        for end in ("", "_sd", "_random", "_random_sd")
    }
    doses = Doses(
        labels,
        arrays[""],
        arrays["_sd"],
        arrays["_random"],
        arrays["_random_sd"],
        _by_seed(figures, name, result, labels),
        {m: _interval(s["interval_max"][m]) for m in METRICS},
    )
    of, n_seeds = p["by"], int(p["seeds"])
    heads = [
        ("Dose", "Concentration in µM; max is the largest similarity over the concentrations"),
        (f"{of}s".capitalize(), "How many have a score there"),
    ]
    for short in ("AP", "AUROC"):
        word = {"AP": "average precision", "AUROC": "area under the ROC curve"}[short]
        heads += [
            (short, f"Mean over {of}s of {word}, averaged over {n_seeds:,} draws of negatives"),
            (f"{short} sd", "Standard deviation over those draws: of other negatives alone"),
            (f"{short} random", "The same of random embeddings as wide, a new one a draw"),
            (f"{short} z", "(mean - random) / the root of both variances over draws"),
        ]
    table = [
        (
            label,
            f"{int(row['n_scored']):,}",
            *(
                cell
                for m in METRICS
                for cell in (
                    fixed(_float(row[m])),
                    fixed(_float(row[f"{m}_sd"])),
                    fixed(_float(row[f"{m}_random"])),
                    fixed(_float(row[f"{m}_z"]), 2),
                )
            ),
        )
        for label, row in zip(labels, rows, strict=True)
    ]
    grids = [Grid("By concentration, and the maximum over them", tuple(heads), tuple(table))]
    grids += _moved(figures, name, result)
    best, random = (fixed(_float(s["max"][f"average_precision{end}"])) for end in ("", "_random"))
    ends = span(doses.interval_max["average_precision"])
    lead = (
        "Does a compound's phenotype resemble the knock-out of its target? For each of "
        f"{count(int(s['n_rows']), of)} the active pairs (at most {p['active_nM']:,g} nM) are ranked by "
        f"{p['similarity']} among drawn inactive ones (beyond {p['inactive_nM']:,g} nM), "
        f"{count(n_seeds, 'time', 'times')}. At the maximum over concentrations the mean average precision "
        f"is {best}; random embeddings reach {random}. Over other compounds and genes the 95% interval is "
        f"{ends}."
    )
    key = ("Drug and target, AP at max", best, f"95% interval {ends}; random {random}")
    figures.doses.append((name, doses))
    told = (
        "Mean average precision and AUROC by concentration and at the maximum over them. The band is "
        f"random embeddings, one standard deviation over {n_seeds:,} draws of negatives; boxes are these "
        "draws, their quartiles and the 5th to the 95th percentile; the thick bar at the maximum is the 95% "
        "interval over other compounds and genes. Diamonds, where there are any, are published rows of the "
        "same protocol"
    )
    return _section(result, lead, grids, key, figure=("doses", told))


def _moved(figures: SectionFigures, name: str, result: Result) -> list[Grid]:
    """How far the mean at the maximum would move; nothing without the table."""
    table = result.tables.get("spread")
    if table is None:
        return []
    try:
        cells = zip(table["sd_of_the_mean"], *(numbers(table, m) for m in METRICS), strict=True)
        rows = tuple((str(what), fixed(a), fixed(b)) for what, a, b in cells)
    except WRONG as error:
        figures.faults.append(_no_figure(name, result, "spread", error))
        return []
    heads = (
        ("From other", "What would be drawn anew"),
        ("sd of AP", "Standard deviation of the mean at max"),
        ("sd of AUROC", "Likewise"),
    )
    return [Grid("How far the mean at the maximum would move", heads, rows)]


def _by_seed(figures: SectionFigures, name: str, result: Result, labels: Sequence[str]) -> dict[str, Floats]:
    """Metric -> means (n_rules, n_seeds); empty without the table."""
    table = result.tables.get("seeds")
    if table is None:
        return {}
    try:
        dose = [str(d) for d in table["dose"]]
        rows = [np.array([d == label for d in dose]) for label in labels]
        return {m: np.stack([numbers(table, m)[row] for row in rows]) for m in METRICS}
    except WRONG as error:
        figures.faults.append(_no_figure(name, result, "seeds", error))
        return {}


def _gene_gene(name: str, result: Result, figures: SectionFigures) -> Section:
    s, p = result.summary, result.protocol
    each = s["sources"]
    sources = tuple(each)

    def column(key: str) -> Floats:
        return np.array([_float(row.get(key)) for row in each.values()])

    chance = _float(s["expected_by_chance"])
    found = Recall(sources, column("recall"), column("recall_low_end"), column("recall_high_end"), chance)
    heads = [
        ("Source", "Who says that two genes act together"),
        ("Relations", "Pairs of genes of the map that it names"),
        (
            "Recall",
            f"Share of them whose cosine is among the lowest {percent(p['low'])} or the "
            f"highest {percent(round(1 - p['high'], 12))} of all pairs'",
        ),
        ("95% interval", "Over relations, widened for the genes they share"),
        ("Opposite", "Recovered among the lowest"),
        ("Alike", "Recovered among the highest"),
    ]
    apart = s["share_of_pairs_together"] is not None
    if apart:
        heads += [
            ("Recall apart", "Recall of relations between genes that share no experiment, among such pairs"),
            ("95% interval apart", "Over these relations, widened likewise"),
        ]
    rows = []
    for source, row in each.items():
        ends = _interval((row["recall_low_end"], row["recall_high_end"]))
        cells = [source, f"{int(row['n_relations']):,}", fixed(_float(row["recall"])), span(ends)]
        cells += [f"{int(row['n_low']):,}", f"{int(row['n_high']):,}"]
        if apart:
            alone = _interval((row["recall_apart_low_end"], row["recall_apart_high_end"]))
            cells += [fixed(_float(row["recall_apart"])), span(alone)]
        rows.append(tuple(cells))
    lead = (
        "Do genes known to act together look alike, or opposite? Among "
        f"{count(int(s['n_pairs']), 'pair')} of {count(int(s['n_genes']), 'gene')} a relation is recovered "
        f"if its cosine is extreme; by chance {fixed(chance)} of them are."
    )
    known = found.recall[~np.isnan(found.recall)]
    reach = f"{fixed(float(known.min()))} to {fixed(float(known.max()))}, " if len(known) else ""
    key = (
        "Recall, median of sources",
        fixed(float(np.median(known))) if len(known) else fixed(None),
        f"{reach}{count(len(sources), 'source')}; chance {fixed(chance)}",
    )
    figures.recall.append((name, found))
    told = (
        "Recall of known relations by source with its 95% interval, and chance. Diamonds, where there are "
        "any, are published rows of the same protocol; the table says which is which"
    )
    return _section(
        result,
        lead,
        [Grid("Recall by source", tuple(heads), tuple(rows))],
        key,
        figure=("recall", told),
    )


def _histogram(
    figures: SectionFigures, name: str, result: Result, value: str, null: str | None, p: str
) -> bool:
    """Keep what a histogram of the first model is drawn from; whether there is one."""
    table = result.tables.get("perturbations")
    if table is None:
        return False
    random = result.summary.get("random_mean")
    try:
        found = Spread(
            numbers(table, value),
            numbers(table, null) if null in table else None,
            (numbers(table, p) <= 0.05).astype(np.float64),
            None if random is None else float(random),
        )
    except WRONG as error:
        figures.faults.append(_no_figure(name, result, "perturbations", error))
        return False
    figures.spread.setdefault(result.suite, found)
    return True


def _no_figure(name: str, result: Result, table: str, error: Exception) -> str:
    return (
        f"{name}: {result.suite}_{table}.csv is not as it should be ({type(error).__name__}: {error}); what "
        "is drawn from it is left out"
    )


_P = (
    ("p ≤ 0.05", "Share of perturbations that reach it; of noise alone 5%"),
    ("p ≤ 0.01", "Likewise; of noise 1%"),
)


def _shares(s: Mapping[str, Any]) -> tuple[str, str]:
    return _share(s["share_p_0.05"]), _share(s["share_p_0.01"])


def _share(value: Any) -> str:
    return "–" if value is None else f"{float(value):.1%}"


def _wells(result: Result) -> str:
    s, p = result.summary, result.protocol
    null = p["null"] if isinstance(p["null"], str) else count(len(p["null"]), "unexpressed gene")
    return (
        f"{count(int(s['n_perturbations']), p['by'])} with {p['min_wells']} wells or more; the null: {null}"
    )


def _signal(name: str, result: Result, figures: SectionFigures) -> Section:
    s = result.summary
    drawn = _histogram(figures, name, result, "energy_distance", "null_energy_distance", "p_value")
    heads = (
        ("Mean", "Energy distance of a perturbation's wells from control wells, mean over perturbations"),
        ("MAD", "Median distance from the median, over perturbations"),
        ("Median", "Of the same, over perturbations"),
        ("Null", "What control wells that the alignment has not seen have in a perturbation's place"),
        ("Random", "Mean of random embeddings of the same wells, aligned alike"),
        ("Random MAD", "Median distance from the median of the random embeddings' distances"),
        ("z", "(mean - random) / the root of both squared MADs"),
        *_P,
    )
    cells = [
        fixed(_float(s.get(k))) for k in ("mean", "mad", "median", "null_mean", "random_mean", "random_mad")
    ]
    row = (*cells, fixed(_float(s.get("z")), 2), *_shares(s))
    lead = (
        f"Can a perturbation's wells be told from control wells? {_wells(result)}. These were held out of "
        "the alignment and compared with what is left, so they have a scale of their own: p says whether a "
        "perturbation is beyond them, their mean beside the perturbations' does not."
    )
    key = (
        "Signal, p ≤ 0.05",
        _share(s["share_p_0.05"]),
        f"of {int(s['n_p_values']):,} perturbations; 5% by chance",
    )
    figure = (
        "signal",
        "Energy distance of every perturbation, and of held-out control wells on a scale of their own",
    )
    grid = Grid("Energy distance", heads, (row,), left=0)
    return _section(result, lead, [grid], key, figure=figure if drawn else None)


def _replicates(name: str, result: Result, figures: SectionFigures) -> Section:
    s = result.summary
    drawn = _histogram(figures, name, result, "mean_cosine", "null_mean_cosine", "p_value")
    heads = (
        ("Mean", "Mean cosine of the wells of a perturbation with each other, mean over perturbations"),
        ("MAD", "Median distance from the median, over perturbations"),
        ("Median", "Of the same, over perturbations"),
        ("Null", "The same of control wells that the alignment has not seen"),
        *_P,
    )
    row = (*(fixed(_float(s[k])) for k in ("mean", "mad", "median", "null_mean")), *_shares(s))
    lead = f"Do a perturbation's wells agree with each other? {_wells(result)}."
    share = _share(s["share_p_0.05"])
    key = ("Replicates, p ≤ 0.05", share, f"of {int(s['n_p_values']):,} perturbations; 5% by chance")
    figure = (
        "replicate-consistency",
        "Mean cosine of the wells of every perturbation, and of held-out control wells",
    )
    grid = Grid("Mean cosine of replicates", heads, (row,), left=0)
    return _section(result, lead, [grid], key, figure=figure if drawn else None, rows=False)


def _activity(name: str, result: Result, figures: SectionFigures) -> Section:
    s, p = result.summary, result.protocol
    drawn = _histogram(figures, name, result, "normalized", None, "p_adjusted")
    heads = (
        ("Mean AP", "Average precision of a well's replicates among control wells, mean over perturbations"),
        ("Normalized", "(AP - chance) / (1 - chance): 0 is chance, 1 perfect"),
        ("p ≤ 0.05", "Share of perturbations that reach it; of noise alone 5%"),
        ("q ≤ 0.05", "The same after Benjamini and Hochberg's correction: active perturbations"),
    )
    row = (
        fixed(_float(s["mean"])),
        fixed(_float(s["mean_normalized"])),
        _share(s["share_p_0.05"]),
        _share(s["share_active"]),
    )
    lead = (
        "Do a perturbation's wells find each other before control wells? "
        f"{count(int(s['n_perturbations']), p['by'])} with {p['min_wells']} wells or more; negatives are "
        f"{p['negatives']}; ties: {p['ties']}; {int(p['null_size']):,} random orders."
    )
    key = ("Active, q ≤ 0.05", _share(s["share_active"]), f"of {int(s['n_perturbations']):,} perturbations")
    figure = ("activity", "Normalized mean average precision of every perturbation, the active ones apart")
    grid = Grid("Mean average precision of replicates", heads, (row,), left=0)
    return _section(result, lead, [grid], key, figure=figure if drawn else None, rows=False)


def _clusters(name: str, result: Result, figures: SectionFigures) -> Section:
    s, p = result.summary, result.protocol
    heads = (
        ("Complexes", f"With {p['min_genes']} genes or more in the map"),
        ("More alike", "Their genes are more alike to each other than to others (q ≤ 0.05)"),
        ("Less alike", "The other way round"),
        ("Within", "Mean cosine of two genes of a complex"),
        ("Between", "Mean cosine of a gene of a complex with one outside"),
    )
    n = [f"{int(s[k]):,}" for k in ("n_complexes", "n_higher", "n_lower")]
    row = (*n, fixed(_float(s["mean_within"])), fixed(_float(s["mean_between"])))
    lead = f"Are the genes of a complex more alike than they are to all others? {p['test']}."
    key = ("Complexes more alike", f"{int(s['n_higher']):,}", f"of {int(s['n_complexes']):,}, q ≤ 0.05")
    return _section(result, lead, [Grid("Complexes", heads, (row,), left=0)], key, rows=False)


def _consistency(name: str, result: Result, figures: SectionFigures) -> Section:
    s, p = result.summary, result.protocol
    of = {"CRISPR": "genes", "COMPOUND": "compounds"}[p["of"]]
    heads = (
        (of.capitalize(), "How many have an annotation that another shares"),
        ("Annotations", "Sets or targets that they share"),
        ("Mean AP", "Average precision of those that share an annotation, mean over annotations"),
        ("Normalized", "(AP - chance) / (1 - chance)"),
        ("q ≤ 0.05", "Share of annotations whose members find each other"),
    )
    n = [f"{int(s[k]):,}" for k in ("n_perturbations", "n_annotations")]
    row = (*n, fixed(_float(s["mean"])), fixed(_float(s["mean_normalized"])), _share(s["share_p_0.05"]))
    lead = f"Do {of} that share an annotation find each other? {int(p['null_size']):,} random orders."
    key = ("Consistent annotations", _share(s["share_p_0.05"]), f"of {int(s['n_annotations']):,}, q ≤ 0.05")
    return _section(result, lead, [Grid("Consistency", heads, (row,), left=0)], key, rows=False)


SECTIONS: dict[str, Callable[[str, Result, SectionFigures], Section]] = {
    "drug-target": _drug_target,
    "gene-gene": _gene_gene,
    "signal": _signal,
    "replicate-consistency": _replicates,
    "activity": _activity,
    "clusters": _clusters,
    "consistency": _consistency,
}
