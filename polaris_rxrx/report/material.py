"""Everything a report says, gathered once: the page, the figures and the tables only draw it.

Conventions
    Submissions are in the order of `names`: the one reported first, then those it is held against; `curves`
    and `comparison` have the same order.
    Everything follows from the inputs, options and seed: no time, no path, no machine.
    What could not be had is None or empty, and `notes` says what is missing and how to get it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx._version import __version__
from polaris_rxrx.cards import Recipe, card_names, load_card
from polaris_rxrx.comparison import Comparison, compare
from polaris_rxrx.dataset.affinities import Affinities
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.maps.build import Map
from polaris_rxrx.metrics import PR_AUC
from polaris_rxrx.report.breakdown import Breakdown, Part, by_potency, by_target_class
from polaris_rxrx.report.curves import Curve, pooled_curve
from polaris_rxrx.report.doses import DoseCurve, dose_curves
from polaris_rxrx.scoring import Score
from polaris_rxrx.stats.resampling import LEVEL, RESAMPLES, Clusters, Resampling
from polaris_rxrx.stats.uncertainty import Uncertainty
from polaris_rxrx.suites import published
from polaris_rxrx.suites.result import Digest
from polaris_rxrx.task import Task, read_manifest
from polaris_rxrx.types import Floats

__all__ = ["Breakdown", "Curve", "DoseCurve", "Material", "Part", "Reference", "gather"]


@dataclass(frozen=True)
class Reference:
    """A published score for orientation, never ranked against ours.

    `value` is a mean average precision; `spread` is what `spread_kind` says (sd over samplings), or None.
    """

    model: str
    value: float
    spread: float | None
    spread_kind: str | None
    source: str
    grade: str
    protocol: str


@dataclass(frozen=True, eq=False)
class Material:
    """What a report is made of.

    Attributes:
        title: Of the report.
        task: What was asked.
        score: Of the submission.
        uncertainty: Of that score.
        against: Scores of other submissions on the same task.
        names: What to call them: the submission first, then `against`.
        comparison: The submission against each of `against`; None where there is nothing to compare.
        references: Published scores, for orientation.
        curves: Pooled curves, one per name.
        target_classes: Broken down by the class of the active gene.
        potency: Broken down by the affinity of the active pair.
        doses: Of the `hardest`, then the `easiest` treatments, where a map has them.
        smiles: Of the treatments whose structure is known.
        hardest: Treatments of the lowest normalized average precision, lowest first, ties by name.
        easiest: Those of the highest, highest first; none of them is among `hardest`.
        provenance: Task, versions, hashes, seeds and protocol; plain values, ready for JSON.
        notes: What is missing and how to get it.
    """

    title: str
    task: Task
    score: Score
    uncertainty: Uncertainty
    against: tuple[Score, ...]
    names: tuple[str, ...]
    comparison: Comparison | None
    references: tuple[Reference, ...]
    curves: tuple[Curve, ...]
    target_classes: Breakdown | None
    potency: Breakdown | None
    doses: tuple[DoseCurve, ...]
    smiles: dict[str, str]
    hardest: tuple[str, ...]
    easiest: tuple[str, ...]
    provenance: dict[str, Any]
    notes: tuple[str, ...]


def gather(
    task: Task,
    score: Score,
    *,
    against: Sequence[Score] = (),
    names: Sequence[str] | None = None,
    map_: Map | None = None,
    recipe: Recipe | None = None,
    affinities: Affinities | None = None,
    classes: Mapping[str, str] | None = None,
    smiles: Mapping[str, str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
    clusters: Clusters = "both",
    most: int = 6,
    title: str | None = None,
) -> Material:
    """Everything about a submission.

    Args:
        task: What was asked.
        score: Of the submission, on that task.
        against: Scores to hold it against, on the same pairs and labels.
        names: What to call the submission and these; by default their files' names.
        map_: The embeddings' map, for similarity by concentration.
        recipe: How the map was read; by default the paper's.
        affinities: For the breakdown by potency.
        classes: Gene -> class of target; by default the package's own.
        smiles: Treatment -> SMILES, as far as known; by default the task's own.
        resamples, seed: Of every bootstrap and permutation.
        level: Of the intervals.
        clusters: What is not independent (see `polaris_rxrx.stats.uncertainty`).
        most: How many of the hardest and of the easiest treatments are shown.
        title: Of the report.

    Raises:
        UsageError: Names that do not tell the submissions apart, options out of range.
        DataError: A score is of another task, or two hold the very same predictions.
    """
    options = asdict(how := Resampling(resamples, seed, level, clusters))
    _refuse_another(task, score)
    scores = (score, *against)
    names = _names(scores, names)
    several = score.n_scored_pr_auc > 1  # of one, nobody can tell a difference from noise
    hardest, easiest = extremes(score, most)
    known = _structures(task, smiles)
    shown = (*hardest, *easiest)
    doses = dose_curves(task, map_, shown, recipe) if map_ is not None else ()
    missing = _missing(against, several, map_, doses, affinities, known, len(shown))
    return Material(
        title=title if title is not None else f"{names[0]} on {task.name}",
        task=task,
        score=score,
        uncertainty=score.uncertainty(**options),
        against=tuple(against),
        names=names,
        comparison=compare(*scores, names=names, **options) if against and several else None,
        references=references(),
        curves=tuple(pooled_curve(_labels(task), s.predictions.values) for s in scores),
        target_classes=by_target_class(score, classes, how=how),
        potency=by_potency(score, affinities, how=how) if affinities is not None else None,
        doses=doses,
        smiles=known,
        hardest=hardest,
        easiest=easiest,
        provenance=_provenance(task, scores, names, map_, recipe, affinities, classes, options),
        notes=(*score.notes, *missing),
    )


def _refuse_another(task: Task, score: Score) -> None:
    if not task.same_pairs(score.task):
        raise DataError(
            f"{score.predictions.source} was scored on {score.task.name}, whose pairs or labels are "
            f"not those of {task.name}"
        )


def _structures(task: Task, smiles: Mapping[str, str] | None) -> dict[str, str]:
    """The known SMILES of the task's treatments, the task's own if no others are given."""
    smiles = task.smiles() if smiles is None else smiles
    return {t: smiles[t] for t in sorted(set(task.treatment)) if smiles.get(t)}


def extremes(score: Score, most: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The treatments of the lowest and of the highest normalized average precision, at most `most` each.

    No treatment is among both; those without a value (every pair is active, none is) are among neither.

    Raises:
        UsageError: `most` is below 1.
    """
    if most < 1:
        raise UsageError(f"most is {most}; 1 or more was expected")
    values = PR_AUC.normalized(score.groups)
    # Rounded, so that sums in another order do not part what is equal.
    known = [(round(v, 12), t) for v, t in zip(values.tolist(), score.treatments, strict=True) if v == v]
    lowest = [t for _, t in sorted(known)[: min(most, (len(known) + 1) // 2)]]
    rest = [(-v, t) for v, t in known if t not in lowest]
    return tuple(lowest), tuple(t for _, t in sorted(rest)[: min(most, len(known) // 2)])


def references() -> tuple[Reference, ...]:
    """Published average precisions of the drug-target benchmark, maximum over concentrations."""
    titles = {name: load_card(name).title for name in card_names()}
    return tuple(
        Reference(
            model=titles.get(figure.model, figure.model),
            value=figure.value,
            spread=figure.spread,
            spread_kind=figure.spread_kind,
            source=table.source,
            grade=table.grade,
            protocol=table.about["drug-target"],
        )
        for table in map(published.load, ("table4", "notebook"))
        for figure in table.figures()
        if (figure.suite, figure.quantity, figure.at) == ("drug-target", "average_precision", "max")
    )


def _labels(task: Task) -> Floats:
    assert task.active is not None  # a score was made of them
    return task.active


def _names(scores: Sequence[Score], names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        names = [Path(s.predictions.source).name for s in scores]
        if len(set(names)) < len(names):
            names = [f"{n} ({i})" for i, n in enumerate(names, 1)]
    if len(names) != len(scores) or len(set(names)) < len(names):
        raise UsageError(f"{len(scores)} different names were expected, got {some(names)}")
    return tuple(names)


def _provenance(
    task: Task,
    scores: Sequence[Score],
    names: Sequence[str],
    map_: Map | None,
    recipe: Recipe | None,
    affinities: Affinities | None,
    classes: Mapping[str, str] | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Where every number comes from, without a time or a path."""
    found: dict[str, Any] = {
        "task": {
            "name": task.name,
            "version": task.artifact_version,
            "source": task.source,
            "main_metric": task.main_metric,
            "counts": task.counts(),
            "files": _hashes(task),
            "protocol": task.protocol,
            "prepared_with": task.versions,
        },
        "predictions": {
            name: {
                "file": Path(s.predictions.source).name,
                "sha256": s.predictions.sha256,
                "filled": s.predictions.filled,
            }
            for name, s in zip(names, scores, strict=True)
        },
        "statistics": dict(options),
        "versions": {"polaris_rxrx": __version__, "numpy": np.__version__},
    }
    if map_ is not None:
        found["map"] = map_.protocol
        found["recipe"] = (recipe or Recipe()).model_dump(mode="json")
    if affinities is not None:
        found["affinities"] = {"file": affinities.path.name, "sha256": affinities.sha256}
        if affinities.made_up:
            found["affinities"]["made_up"] = True
    if classes is not None:
        rows = [cell for row in sorted(classes.items()) for cell in row]
        found["target_classes"] = {"n_genes": len(classes), "sha256": Digest().names(rows).hex()}
    return found


def _hashes(task: Task) -> dict[str, str]:
    """The SHA-256 of the prepared folder's files, which `load_task` has checked."""
    if task.folder is None:
        return {}
    return read_manifest(task.folder).files


def _missing(
    against: Sequence[Score],
    several: bool,
    map_: Map | None,
    doses: Sequence[DoseCurve],
    affinities: Affinities | None,
    smiles: Mapping[str, str],
    n_shown: int,
) -> Iterator[str]:
    """What the report has not, and how to get it."""
    if not several:
        yield "one treatment alone can be scored: intervals and comparisons need at least two"
    elif not against:
        yield "nothing to compare with; give other predictions with --against FILE"
    if affinities is None:
        yield "no affinities: the breakdown by potency is left out; give --annotations CSV"
    if map_ is None:
        yield "no map: similarity by concentration is left out; give --map FILE (from baseline --save-map)"
    elif len(doses) < n_shown:
        yield (
            f"{n_shown - len(doses):,} of the {n_shown:,} treatments shown are left out of similarity by "
            "concentration: they, or all of their active genes, have no row in the map"
        )
    if not smiles:
        yield "no structures: `prepare --smiles` writes them, or put the metadata into --data"
