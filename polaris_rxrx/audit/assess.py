"""The audit: a submission beside its shortcuts, and the checks.

Conventions
    Shortcuts are scored exactly as a submission is. `chance` is the mean over treatments of what random
    scores without ties expect of average precision. Correlations and what a shortcut explains are taken over
    labeled pairs, the ones that are scored.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from polaris_rxrx import quick
from polaris_rxrx.audit import leaks, order, overlap
from polaris_rxrx.audit import structures as compounds
from polaris_rxrx.audit.leaks import Labeled
from polaris_rxrx.audit.plates import PlateFacts, read_plate_facts
from polaris_rxrx.audit.result import Audit, AuditFigures, ShortcutResult
from polaris_rxrx.audit.shortcuts import Needs, Pairs, Shortcut, Skipped, compute, map_tables
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map
from polaris_rxrx.metrics import PR_AUC, group_scores
from polaris_rxrx.predictions import Predictions
from polaris_rxrx.present.numbers import count
from polaris_rxrx.quick import Check
from polaris_rxrx.scoring import Score, score
from polaris_rxrx.stats.explain import explained, places, rank_correlations, remove
from polaris_rxrx.stats.intervals import Interval, bca_each, mean_of
from polaris_rxrx.stats.paired import pairwise_p
from polaris_rxrx.stats.resampling import LEVEL, RESAMPLES, Resampling
from polaris_rxrx.task import Task
from polaris_rxrx.types import Floats, Progress


def audit(
    task: Task,
    submission: Score | Predictions,
    *,
    metadata: Path | str | None = None,
    map_: Map | None = None,
    nuclei: Path | str | None = None,
    structures: Mapping[str, str] | None = None,
    absent: Mapping[Needs, str] | None = None,
    spare_metadata: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
    progress: Progress | None = None,
) -> Audit:
    """Audit a submission.

    Args:
        task: The task, with labels.
        submission: Its score, or its predictions.
        metadata: RxRx3-core's well metadata.
        map_: A map of genes and compounds.
        nuclei: A table of `well_id` and a nuclei count; needs the metadata.
        structures: SMILES by compound; by default those of the task or of the metadata.
        absent: Why the metadata or the map is not given, in words for the report.
        spare_metadata: Do without the metadata, and say why, should they not be what they should be.
        resamples: Of the intervals and the sign flips.
        seed: Of both.
        level: Of the intervals.
        progress: Called with a word, how far, out of how many.

    Raises:
        DataError: The task has no labels, no treatment has an active, or a file is not what it should be.
        UsageError: Nuclei counts without metadata, the score of another task, options out of range.

    >>> task = pr.load_task("task")
    >>> found = audit(task, pr.read_predictions("openphenom.csv", task), resamples=200)
    >>> found.check("labels").verdict, len(found.shortcuts) > 1
    ('ok', True)
    """
    how = Resampling(resamples, seed, level)
    if nuclei is not None and metadata is None:
        raise UsageError("nuclei counts are joined with the wells of the metadata, and no metadata was given")
    scored = submission if isinstance(submission, Score) else score(task, submission)
    if not scored.task.same_pairs(task):
        raise UsageError(f"the score is one on {scored.task.name}, not on {task.name}")
    if task.active is None:
        raise DataError(f"{task.name} is a competition: without labels there is nothing to audit")
    pairs = Pairs.of(task)
    plates, why = PlateFacts(), dict(absent or {})
    if metadata is not None:
        try:
            plates = read_plate_facts(Path(metadata), pairs, None if nuclei is None else Path(nuclei))
        except DataError as error:
            if not spare_metadata:
                raise
            metadata, why["metadata"] = None, str(error)
    why.setdefault("nuclei counts", why.get("metadata", "no metadata given"))
    tables = plates.tables if map_ is None else {**plates.tables, **map_tables(map_, pairs)}
    values = scored.predictions.values
    shortcuts, skipped = compute(pairs, values, tables=tables, absent=why, reasons=plates.reasons)

    judge = _Judge(scored, pairs, how)
    figures, results = judge.all(shortcuts, progress)
    return Audit(
        score=scored,
        figures=figures,
        chance=judge.chance,
        shortcuts=tuple(sorted(results, key=lambda r: (-r.figures.pr_auc, r.shortcut.kind.name))),
        skipped=tuple(skipped),
        checks=(*_score_checks(judge, figures, results), *_task_checks(task, structures, metadata)),
        notes=(*scored.notes, *_notes(results, skipped), *plates.notes),
        resampling=how,
    )


class _Judge:
    """Scores shortcuts beside one submission, whose own places are worked out once."""

    def __init__(self, scored: Score, pairs: Pairs, how: Resampling) -> None:
        self.scored, self.how = scored, how
        self.keep = ~np.isnan(pairs.active)
        self.group, self.n_groups = pairs.compound[self.keep], len(pairs.compounds)
        self.active, self.gene = pairs.active[self.keep], pairs.gene[self.keep]
        self.places = self.places_of(scored.predictions.values)
        self.chance = mean_of(PR_AUC.chance(scored.groups))

    def places_of(self, values: Floats) -> Floats:
        return places(values[self.keep], self.group, self.n_groups)

    def all(
        self, shortcuts: list[Shortcut], progress: Progress | None
    ) -> tuple[AuditFigures, list[ShortcutResult]]:
        """The submission's figures and every shortcut's; one bootstrap serves all intervals."""
        others = [score(self.scored.task, Predictions(s.values, s.kind.name)) for s in shortcuts]
        own = self.scored.groups.average_precision
        apart = [own - o.groups.average_precision for o in others]
        columns = [own, *(o.groups.average_precision for o in others), *apart]
        found = bca_each(columns, self.how)
        each = np.stack(columns[: 1 + len(others)], axis=1)
        each = each[~np.isnan(own)]  # undefined for all alike: the labels are the same
        versus = [(0, i) for i in range(1, each.shape[1])]
        every = [of.deleted[PR_AUC.key] for of in (self.scored, *others)]
        stretch = [m.variance().stretch("both") for m in every]
        stretch_apart = [(every[0] - m).variance().stretch("both") for m in every[1:]]
        p = pairwise_p(each, versus, self.how, stretch=stretch_apart)
        found = [
            interval.stretched(mean_of(column), factor, least, 1.0)
            for interval, column, factor, least in zip(
                found,
                columns,
                [*stretch, *stretch_apart],
                [0.0] * len(every) + [-1.0] * len(others),
                strict=True,
            )
        ]
        of_others, of_apart = found[1 : 1 + len(others)], found[1 + len(others) :]
        figures = self._figures(self.scored, found[0])
        results = []
        for i, shortcut in enumerate(shortcuts):
            of = self._figures(others[i], of_others[i])
            results.append(self._beside(figures, shortcut, of, apart[i], of_apart[i], p[i]))
            if progress is not None:
                progress("shortcuts", i + 1, len(shortcuts))
        return figures, results

    def _figures(self, scored: Score, interval: Interval) -> AuditFigures:
        values = scored.predictions.values[self.keep]
        pooled = group_scores(self.active, values, np.zeros_like(self.group), 1)
        return AuditFigures(
            pr_auc=scored.pr_auc,
            interval=interval,
            roc_auc=scored.roc_auc,
            pooled_pr_auc=float(pooled.average_precision[0]),
            pooled_roc_auc=float(pooled.auroc[0]),
        )

    def _beside(
        self,
        figures: AuditFigures,
        shortcut: Shortcut,
        of: AuditFigures,
        apart: Floats,
        interval: Interval,
        p_value: float,
    ) -> ShortcutResult:
        at = self.places_of(shortcut.values)
        each = rank_correlations(self.places, at, self.group, self.n_groups)
        remainder = remove(self.places, at)
        rest = group_scores(self.active, remainder.left, self.group, self.n_groups)
        left = mean_of(rest.average_precision)
        return ShortcutResult(
            shortcut=shortcut,
            figures=of,
            difference=mean_of(apart),
            difference_interval=interval,
            p_value=p_value,
            correlation=mean_of(each),
            n_correlated=int(np.sum(~np.isnan(each))),
            tied=order.tied_pairs(shortcut.values[self.keep], self.group) / len(self.group),
            slope=remainder.slope,
            left=left,
            explained=explained(figures.pr_auc, left, self.chance),
        )


def _score_checks(judge: _Judge, figures: AuditFigures, results: list[ShortcutResult]) -> list[Check]:
    by_name = {r.shortcut.kind.name: r for r in results}
    groups = judge.scored.groups
    x = Labeled(
        judge.active,
        judge.scored.predictions.values[judge.keep],
        judge.group,
        judge.scored.treatments,
        judge.gene,
        judge.places,
    )
    inversions = (1 - groups.auroc) * groups.n_active * (groups.n_pairs - groups.n_active)
    rows = judge.places_of(by_name["row-order"].shortcut.values)
    by_row = group_scores(judge.active, rows, judge.group, judge.n_groups).average_precision
    return [
        quick.holds_labels(x),
        leaks.separated(x, inversions, seed=judge.how.seed),
        leaks.above_published(figures),
        order.beats_shortcuts(figures, judge.chance, results, judge.how.level),
        order.ignores_compound(x, by_name.get("compound-blind")),
        order.row_order(x, rows, by_row),
        quick.direction(x, groups),
        quick.constant(x),
        quick.two_values(x),
        order.ties(x),
    ]


def _task_checks(task: Task, given: Mapping[str, str] | None, metadata: Path | str | None) -> list[Check]:
    if given is None:
        given, source = compounds.find(task, None if metadata is None else Path(metadata))
    else:
        wanted = {*task.treatment, *task.train.get("treatment", [])}
        given = {name: text for name, text in given.items() if name in wanted and text.strip()}
        source = (
            "the structures given" if given else "none of the structures given is of the task's compounds"
        )
    groups = compounds.group(given) if given else None
    return [overlap.train_pairs(task, groups), overlap.duplicates(task, groups, source)]


def _notes(results: list[ShortcutResult], skipped: list[Skipped]) -> list[str]:
    shortcuts = [r.shortcut for r in results]
    flat = [s.kind.title for s in shortcuts if s.kind.by == "compound"]
    notes = [
        f"{', '.join(flat)}: constant within a treatment, so no pairs are ranked there and the official "
        "metric gives the share of actives, which is below what random scores get; where it shows is in the "
        "pooled figures"
    ]
    tied = [
        r.shortcut.kind.title
        for r in results
        if r.shortcut.kind.by != "compound" and r.tied > order.MOSTLY_TIED
    ]
    if tied:
        notes.append(f"{', '.join(tied)}: many ties, which score below random scores without ties")
    notes += [
        f"{r.shortcut.kind.title}: below random scores: the totals of this task's genes hardly differ, and "
        "each pair's own label is left out of its gene's, so it tells nothing here"
        for r in results
        if r.shortcut.kind.name == "gene-popularity" and r.figures.roc_auc < 0.5
    ]
    notes += [
        f"{s.kind.title}: {count(s.filled, 'pair')} of which nothing is known got the mean of the others "
        f"({s.fill:.6g})"
        for s in shortcuts
        if s.filled
    ]
    reasons: dict[str, list[str]] = {}
    for s in skipped:
        reasons.setdefault(s.reason, []).append(s.kind.title)
    notes += [f"not computed: {', '.join(titles)} ({reason})" for reason, titles in reasons.items()]
    notes.append(
        "explained is how much of the score goes when a shortcut's part is taken out of the ranks; biology "
        "that goes with the shortcut is counted, too, so it is no proof of one"
    )
    return notes
