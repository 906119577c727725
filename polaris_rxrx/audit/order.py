"""What a submission's order follows: nothing, the gene alone, the rows, a shortcut; one function per check.

Conventions are those of `polaris_rxrx.audit.leaks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from polaris_rxrx.audit.leaks import Labeled
from polaris_rxrx.audit.result import AuditFigures, ShortcutResult
from polaris_rxrx.metrics import expected_average_precision
from polaris_rxrx.present.numbers import count
from polaris_rxrx.quick import Check, Verdict, ends
from polaris_rxrx.stats.explain import rank_correlations
from polaris_rxrx.stats.paired import sign_flip_p
from polaris_rxrx.types import Floats, Ints

MOSTLY_TIED = 0.25  # share of pairs tied with another of their treatment
MOSTLY_GENES = 0.75  # of the score above chance gone without the genes' places in other treatments
SAME_ORDER = 0.7  # rank correlation with the submission, blind to the compound
REPEATED = 20  # pairs of genes ranked again, for one order in all treatments to mean anything
ROW_WARN, ROW_FAIL = 0.3, 0.9  # rank correlation with the order of rows
TELLING_ROWS, P_ROWS = 0.05, 1e-3  # average precision of the row order, from chance, and its p-value
HALF = 0.5  # explained by one shortcut


def ties(x: Labeled) -> Check:
    """Pairs that share their score with another pair of their treatment; constant treatments aside."""
    title = "ties"
    low, high = ends(x)
    keep = (low < high)[x.group]
    n = int(keep.sum())
    tied = tied_pairs(x.score[keep], x.group[keep])
    different = len(np.unique(x.score))
    evidence: dict[str, Any] = {
        "pairs": n,
        "tied": tied,
        "different_scores": different,
    }
    if not n:
        return Check("ties", title, "not checked", "no treatment has different scores", evidence)
    words = (
        f"{tied:,} of {n:,} pairs ({tied / n:.1%}) share their score with another of their "
        f"treatment; {count(different, 'different score')} in all"
    )
    if tied > MOSTLY_TIED * n:
        return Check(
            "ties", title, "warn", f"{words}. Ties cost average precision: a finer score ranks more", evidence
        )
    return Check("ties", title, "ok", words, evidence)


def tied_pairs(score: Floats, group: Ints) -> int:
    """How many pairs share their score with another of their group."""
    order = np.lexsort((score, group))
    s, g = score[order], group[order]
    same = (s[1:] == s[:-1]) & (g[1:] == g[:-1])
    return int((np.r_[same, False] | np.r_[False, same])[: len(s)].sum())


def ignores_compound(x: Labeled, blind: ShortcutResult | None) -> Check:
    """One order of the genes in all treatments, exactly or nearly."""
    title = "dependence on the compound"
    name = "compound-blind"
    repeated = repeated_pairs(x.gene, x.group, len(x.names))
    correlation = float("nan") if blind is None else blind.correlation
    evidence: dict[str, Any] = {
        "gene_pairs_ranked_again": repeated,
        "correlation": None if np.isnan(correlation) else correlation,
        "one_order": None,
    }
    if repeated < REPEATED or np.isnan(correlation):
        words = f"{count(repeated, 'pair')} of genes ranked in more than one treatment; {REPEATED} are needed"
        if repeated >= REPEATED:
            words = "the scores do not vary, or the genes do not"
        return Check(name, title, "not checked", words, evidence)
    evidence["one_order"] = one_order(x.gene, x.score, x.group)
    rank = f"rank correlation {correlation:.2f} with the submission's own order of genes in other treatments"
    explained = float("nan") if blind is None else blind.explained
    if not np.isnan(explained):
        evidence["explained"] = explained
        rank += f"; {1 - explained:.0%} of the score above chance is left without that order"
    verdict: Verdict = "ok"
    words = rank
    if evidence["one_order"]:
        verdict, words = "fail", f"one order of genes fits every treatment: no compound counts; {rank}"
    elif correlation >= SAME_ORDER:
        verdict, words = "warn", f"nearly the same order of genes in every treatment: {rank}"
    elif explained >= MOSTLY_GENES:
        verdict, words = "warn", f"little of the score is about the compound: {rank}"
    return Check(name, title, verdict, words, evidence)


def repeated_pairs(gene: Ints, group: Ints, n_groups: int, most: int = 2_000_000) -> int:
    """How often two genes stand together in a treatment after the first time; counts no more than `most`."""
    order = np.argsort(group, kind="stable")
    start = np.searchsorted(group[order], np.arange(n_groups + 1))
    width = int(gene.max(initial=0)) + 1
    codes: list[Ints] = []
    pairs: dict[int, tuple[Ints, Ints]] = {}  # by the number of genes, which many treatments share
    total = 0
    for a, b in zip(start[:-1].tolist(), start[1:].tolist(), strict=True):
        own = np.unique(gene[order[a:b]])
        if len(own) not in pairs:
            pairs[len(own)] = np.triu_indices(len(own), 1)
        i, j = pairs[len(own)]
        codes.append(own[i] * width + own[j])
        total += len(i)
        if total > most:
            break
    return total - len(np.unique(np.concatenate(codes))) if codes else 0


def one_order(gene: Ints, score: Floats, group: Ints) -> bool:
    """Whether some order of all genes agrees with every treatment; equal scores agree with any.

    Higher before lower is an edge of a graph; such an order exists if the graph has no cycle. A node between
    two blocks of equal scores spares an edge for every two genes.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    order = np.lexsort((-score, group))
    s, g, node = score[order], group[order], gene[order]
    later = g[1:] == g[:-1]  # than another of its group
    starts = ~later | (s[1:] != s[:-1])
    block = np.r_[0, np.cumsum(starts)][: len(s)]
    opens = np.flatnonzero(np.r_[True, starts][: len(s)])
    below_another = np.r_[False, later][opens][block]  # by pair: its block is not the first of its group
    closing = int(node.max(initial=-1)) + 1 + block  # the node below a block; the one above is that before it
    high = np.r_[node, closing[below_another] - 1]
    low = np.r_[closing, node[below_another]]
    n = int(low.max(initial=-1)) + 1
    graph = coo_array((np.ones(len(high), dtype=np.int8), (high, low)), shape=(n, n))
    # On a cycle, nodes reach each other; no edge leads from a node to itself.
    return n == 0 or int(connected_components(graph, connection="strong", return_labels=False)) == n


def row_order(x: Labeled, row: Floats, values: Floats) -> Check:
    """Scores that follow the order of rows, and labels that do.

    Args:
        x: The labeled pairs.
        row: The `places` of the row order, earlier rows higher.
        values: The average precision of the row order in each treatment.
    """
    title = "order of the rows"
    each = rank_correlations(x.place, row, x.group, len(x.names))
    known = ~np.isnan(each)
    if not known.any():
        return Check("row-order", title, "not checked", "no treatment has different scores")
    mean = float(each[known].mean())
    error = float(np.sqrt((1 / (x.n[known] - 1)).sum()) / known.sum())
    gain = values - expected_average_precision(x.n, x.m)
    gain = gain[~np.isnan(gain)]
    p = sign_flip_p(gain) if len(gain) > 1 else 1.0
    evidence = {
        "correlation": mean,
        "expected_spread": error,
        "treatments": int(known.sum()),
        "row_order_above_chance": float(gain.mean()) if len(gain) else None,
        "row_order_p_value": p,
    }
    words = (
        f"rank correlation {mean:+.3f} of scores and rows (earlier rows higher), by chance 0 +- {error:.3f}"
    )
    verdict: Verdict = "ok"
    if abs(mean) > 4 * error and abs(mean) >= ROW_WARN:
        verdict = "fail" if abs(mean) >= ROW_FAIL else "warn"
        words += ": were the scores sorted, or laid beside the rows in another order?"
    if len(gain) and p < P_ROWS:
        words += f". The order of the task's rows itself scores {gain.mean():+.3f} from chance"
        if abs(gain.mean()) > TELLING_ROWS:
            verdict = "warn" if verdict == "ok" else verdict
            words += ": it tells the labels"
    return Check("row-order", title, verdict, words, evidence)


def beats_shortcuts(
    figures: AuditFigures, chance: float, shortcuts: Sequence[ShortcutResult], level: float
) -> Check:
    """Whether the submission is better than every shortcut, and none explains half of it."""
    title = "better than every shortcut"
    alpha = 1 - level
    beaten = [s.difference > 0 and s.p_value < alpha for s in shortcuts]
    unbeaten = [s for s, b in zip(shortcuts, beaten, strict=True) if not b]
    half = [s for s in shortcuts if s.explained >= HALF]
    evidence = {
        "not_beaten": [s.shortcut.kind.name for s in unbeaten],
        "explain_half": {s.shortcut.kind.name: s.explained for s in half},
        "above_chance": figures.pr_auc > chance,
    }
    words = []
    if not figures.pr_auc > chance:
        words.append(f"the submission ({figures.pr_auc:.4f}) is not above chance ({chance:.4f})")
    if unbeaten:
        words.append(
            f"not better than {', '.join(s.shortcut.kind.title for s in unbeaten)} (p < {alpha:.2g} asked)"
        )
    words += [f"{s.shortcut.kind.title} explains {s.explained:.0%} of it" for s in half]
    if words:
        return Check("shortcuts", title, "warn", "; ".join(words), evidence)
    most = max(shortcuts, key=lambda s: -np.inf if np.isnan(s.explained) else s.explained)
    return Check(
        "shortcuts", title, "ok",
        f"better than each of {count(len(shortcuts), 'shortcut')}; the one that explains most of it is "
        f"{most.shortcut.kind.title} ({most.explained:.0%})", evidence,
    )  # fmt: skip
