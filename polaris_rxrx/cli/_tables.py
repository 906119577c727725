"""How the results of the suites are laid out for reading: one function per suite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from polaris_rxrx.present.numbers import number
from polaris_rxrx.present.terminal import notes, table, wrapped

if TYPE_CHECKING:
    from polaris_rxrx.suites.result import Result

P = ("p <= 0.05", "p <= 0.01")
SHOWN = 20  # rows of a long table, those with the least p; --out writes all


def as_text(result: Result, title: str) -> str:
    """A suite's result for reading."""
    head, lines = _LAYOUT[result.suite](result)
    told = [part for text in (f"{result.suite}: {title}", *head.split("\n")) for part in wrapped(text)]
    return "\n".join([*told, "", *lines, "", *notes(result.notes)]).rstrip()


def _drug_target(result: Result) -> tuple[str, list[str]]:
    s, p = result.summary, result.protocol
    head = (
        f"{s['n_rows']:,} {p['by']}s, {s['n_pairs_a_seed']:,} pairs per seed, seeds {p['seeds']:,}; active "
        f"at most {p['active_nM']:,g} nM, negatives beyond {p['inactive_nM']:,g} nM\n"
        f"sd over seeds, ddof {p['sd_ddof']}; random: a new embedding for each seed"
    )
    if p["legacy"]:
        undone = [str(d["number"]) for d in p["deviations"] if d["undone"]]
        head += f"; legacy: without deviations {', '.join(undone)}"
    header = ["dose", f"{p['by']}s"]
    for name in ("AP", "AUROC"):
        header += [name, "sd", "median", "random", "z"]
    rows = []
    for dose, row in s["by_dose"].items():
        cells = [dose, f"{row['n_scored']:,}"]
        for name in ("average_precision", "auroc"):
            cells += [number(row[f"{name}{end}"]) for end in ("", "_sd", "_q0.5", "_random")]
            cells.append(number(row[f"{name}_z"], ".2f"))
        rows.append(cells)
    return head, [*table(header, rows), "", *_spread(result)]


def _spread(result: Result) -> list[str]:
    """How far the best doses' means would move."""
    low, high = result.summary["interval_max"]["average_precision"]
    lines = wrapped(
        f"Maximum over doses, over other compounds and genes: AP {number(low)} to {number(high)} (95%)"
    )
    of = result.tables["spread"]
    rows = [
        [source, number(ap), number(auroc)]
        for source, ap, auroc in zip(of["sd_of_the_mean"], of["average_precision"], of["auroc"], strict=True)
    ]
    return [*lines, "", *table(["sd of the mean from other", "AP", "AUROC"], rows)]


def _gene_gene(result: Result) -> tuple[str, list[str]]:
    s, p = result.summary, result.protocol
    head = (
        f"{s['n_genes']:,} genes, {s['n_pairs']:,} pairs; recovered at or below quantile {p['low']:g} or "
        f"at or above {p['high']:g}: {s['expected_by_chance']:.3g} by chance"
    )
    recall = {"recall": "recall", "from": "recall_low_end", "to": "recall_high_end"}
    figures = {"relations": "n_relations", **recall, "opposite": "n_low", "alike": "n_high"}
    lines = _by_source("source", s["sources"].items(), figures)
    if s["share_of_pairs_together"] is not None:
        figures = {"relations": "n_relations_apart", "recall": "recall_apart"}
        figures |= {"from": "recall_apart_low_end", "to": "recall_apart_high_end"}
        figures |= {"share one": "share_together"}
        lines += ["", *_by_source("share no experiment", s["sources"].items(), figures), ""]
        lines.append(f"Of all pairs of genes {s['share_of_pairs_together']:.1%} share an experiment")
    if "thresholds" in s:
        each = [(r["source"], {**r, "by_chance": r["low"] + 1 - r["high"]}) for r in s["thresholds"]]
        figures = {
            "low": "low",
            "high": "high",
            "relations": "n_relations",
            **recall,
            "by chance": "by_chance",
        }
        lines += ["", *_by_source("source", each, figures)]
    if p["against"] is not None:
        both = {"relations": "n_relations_both", "recall": "recall_both", "theirs": "recall_against"}
        ends = {"difference": "difference", "from": "difference_low_end", "to": "difference_high_end"}
        figures = {**both, **ends, "p": "difference_p_value"}
        lines += ["", *_by_source("against", s["sources"].items(), figures)]
    return head, lines


# How a figure of a source is written, where it is not with four decimals.
_WRITTEN = {
    **dict.fromkeys(("n_relations", "n_low", "n_high", "n_relations_apart", "n_relations_both"), ","),
    **dict.fromkeys(("difference", "difference_low_end", "difference_high_end"), "+.4f"),
    "low": "g",
    "high": "g",
    "by_chance": ".3g",
    "share_together": ".1%",
}


def _by_source(
    first: str, rows: Iterable[tuple[str, Mapping[str, Any]]], figures: Mapping[str, str]
) -> list[str]:
    """A row a source; `figures` are the other heads and what stands below each."""
    cells = [
        [name, *(number(row[k], _WRITTEN.get(k, ".4f")) for k in figures.values())] for name, row in rows
    ]
    return table([first, *figures], cells)


def _signal(result: Result) -> tuple[str, list[str]]:
    s = result.summary
    keys = ("mean", "mad", "median", "null_mean", "random_mean", "random_mad")
    header = ["", "mean", "MAD", "median", "null", "random", "MAD", "z", *P]
    row = ["energy distance", *(number(s.get(key)) for key in keys), number(s.get("z"), ".2f"), *_shares(s)]
    return _wells(result, f", against {result.protocol['n_controls']:,} controls"), table(header, [row])


def _replicates(result: Result) -> tuple[str, list[str]]:
    s = result.summary
    cells = [number(s[key]) for key in ("mean", "mad", "median", "null_mean")]
    header = ["", "mean", "MAD", "median", "null", *P]
    return _wells(result), table(header, [["mean cosine of replicates", *cells, *_shares(s)]])


def _wells(result: Result, against: str = "") -> str:
    """What was measured, and beside what."""
    s, p = result.summary, result.protocol
    null = p["null"] if isinstance(p["null"], str) else f"{len(p['null']):,} genes"
    of = f"by {p['by']}, {s['n_perturbations']:,} perturbations of {p['min_wells']} wells or more"
    return f"{of}{against}; null: {null}"


def _shares(summary: Mapping[str, Any]) -> list[str]:
    return [number(summary[f"share_p_{level}"], ".1%") for level in ("0.05", "0.01")]


def _clusters(result: Result) -> tuple[str, list[str]]:
    s, p = result.summary, result.protocol
    head = (
        f"{s['n_genes']:,} genes, {s['n_complexes']:,} complexes with {p['min_genes']} of them or more; "
        f"their genes are more alike than to others in {s['n_higher']:,}, less alike in {s['n_lower']:,}"
    )
    header = ["complex", "genes", "within", "between", "KS", "p", "q"]
    keys = ("mean_within", "mean_between", "ks")
    return head, _least(result.tables["complexes"], "complexes", header, ("complex",), ("n_genes",), keys)


def _consistency(result: Result) -> tuple[str, list[str]]:
    s, p = result.summary, result.protocol
    of = {"CRISPR": "genes", "COMPOUND": "compounds"}[p["of"]]
    head = (
        f"{s['n_perturbations']:,} {of}, {s['n_annotations']:,} annotations; mean average precision "
        f"{number(s['mean'])}, normalized {number(s['mean_normalized'])}; {number(s['share_p_0.05'], '.1%')} "
        f"of the annotations have q <= 0.05\nTies {p['ties']}; {p['null_size']:,} random orders"
    )
    header = ["annotation", of, "mAP", "normalized", "p", "q"]
    keys = ("mean_average_precision", "normalized")
    table_ = result.tables["annotations"]
    return head, _least(table_, "annotations", header, ("annotation",), ("n_members",), keys)


def _activity(result: Result) -> tuple[str, list[str]]:
    s, p = result.summary, result.protocol
    head = (
        f"by {p['by']}, {s['n_perturbations']:,} perturbations of {p['min_wells']} wells or more; negatives: "
        f"{p['negatives']}; ties {p['ties']}; {p['null_size']:,} random orders"
    )
    header = ["", "mean", "normalized", "p <= 0.05", "q <= 0.05"]
    shares = (number(s[key], ".1%") for key in ("share_p_0.05", "share_active"))
    row = ["mean average precision", number(s["mean"]), number(s["mean_normalized"]), *shares]
    return head, table(header, [row])


def _neighbors(result: Result) -> tuple[str, list[str]]:
    s, p = result.summary, result.protocol
    dose = "" if p["concentration"] is None else f" at {p['concentration']:g} uM"
    wells = "" if s["n_wells"] is None else f", {s['n_wells']:,} wells"
    head = f"{p['name']}{dose} ({s['type']}{wells}) beside {s['n_compared']:,} others"
    of = result.tables["neighbors"]
    rows = [
        [kind, name, number(dose, "g"), number(alike), f"{rank:,}", f"{n:,}", number(beyond, ".2%"), known]
        for kind, name, dose, alike, rank, n, beyond, known in zip(*of.values(), strict=True)
    ]
    header = ["type", "name", "uM", "cosine", "rank", "of", "null beyond", "known"]
    return head, table(header, rows, left=2)


def _enrichment(result: Result) -> tuple[str, list[str]]:
    s, p = result.summary, result.protocol
    head = (
        f"{s['n_list']:,} genes of the list among {p['n_background']:,} of the map; {s['n_sets']:,} sets, "
        f"{s['n_enriched']:,} enriched (q <= 0.05)"
    )
    of = result.tables["sets"]
    header = ["set", "shared", "of", "expected", "p", "Bonferroni", "q"]
    rows = [
        [name, f"{k:,}", f"{n:,}", number(expected, ".2f"), *(number(v, ".2g") for v in ps)]
        for name, k, n, expected, *ps, _ in zip(*of.values(), strict=True)
    ]
    return head, [*table(header, rows[:SHOWN]), *_more(len(rows), "sets")]


def _least(
    columns: Mapping[str, list[Any]],
    what: str,
    header: list[str],
    names: tuple[str, ...],
    counts: tuple[str, ...],
    figures: tuple[str, ...],
) -> list[str]:
    """The rows with the least p-values; those without one come last."""
    p = columns["p_value"]
    order = sorted(range(len(p)), key=lambda i: (p[i] != p[i], p[i], i))
    rows = [
        [
            *(columns[key][i] for key in names),
            *(f"{columns[key][i]:,}" for key in counts),
            *(number(columns[key][i]) for key in figures),
            *(number(columns[key][i], ".2g") for key in ("p_value", "p_adjusted")),
        ]
        for i in order[:SHOWN]
    ]
    return [*table(header, rows), *_more(len(p), what)]


def _more(n: int, what: str) -> list[str]:
    return wrapped(f"The first {SHOWN} of {n:,} {what}; --out writes all") if n > SHOWN else []


_LAYOUT: Mapping[str, Callable[[Result], tuple[str, list[str]]]] = {
    "drug-target": _drug_target,
    "gene-gene": _gene_gene,
    "signal": _signal,
    "replicate-consistency": _replicates,
    "clusters": _clusters,
    "consistency": _consistency,
    "activity": _activity,
    "neighbors": _neighbors,
    "enrichment": _enrichment,
}
