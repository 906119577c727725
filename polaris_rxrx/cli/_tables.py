"""How the results of the suites are laid out for reading: one function per suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from polaris_rxrx.present.numbers import number
from polaris_rxrx.present.terminal import notes, table, wrapped

if TYPE_CHECKING:
    from polaris_rxrx.suites.result import Result

P = ("p <= 0.05", "p <= 0.01")


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
    header = ["source", "relations", "recall", "from", "to", "opposite", "alike"]
    rows = [
        [
            name,
            f"{row['n_relations']:,}",
            *(number(row[key]) for key in ("recall", "recall_low_end", "recall_high_end")),
            f"{row['n_low']:,}",
            f"{row['n_high']:,}",
        ]
        for name, row in s["sources"].items()
    ]
    lines = table(header, rows)
    if s["share_of_pairs_together"] is not None:
        keys = ("recall_apart", "recall_apart_low_end", "recall_apart_high_end")
        header = ["share no experiment", "relations", "recall", "from", "to", "share one"]
        rows = [
            [
                name,
                f"{r['n_relations_apart']:,}",
                *map(number, (r[k] for k in keys)),
                number(r["share_together"], ".1%"),
            ]
            for name, r in s["sources"].items()
        ]
        lines += ["", *table(header, rows), ""]
        lines.append(f"Of all pairs of genes {s['share_of_pairs_together']:.1%} share an experiment")
    if p["against"] is not None:
        header = ["against", "relations", "recall", "theirs", "difference", "from", "to", "p"]
        both = ("recall_both", "recall_against")
        ends = ("difference", "difference_low_end", "difference_high_end")
        rows = [
            [
                name,
                f"{r['n_relations_both']:,}",
                *(number(r[k]) for k in both),
                *(number(r[k], "+.4f") for k in ends),
                number(r["difference_p_value"]),
            ]
            for name, r in s["sources"].items()
        ]
        lines += ["", *table(header, rows)]
    return head, lines


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


_LAYOUT: Mapping[str, Callable[[Result], tuple[str, list[str]]]] = {
    "drug-target": _drug_target,
    "gene-gene": _gene_gene,
    "signal": _signal,
    "replicate-consistency": _replicates,
}
