"""Baselines: predictions from a model's embeddings, as its card says.

Conventions
    The score of a pair is the similarity of the compound, at a concentration, with the gene; the dose rule
    makes one score of the concentrations a compound was tested at (`max`, `mean`, or one of them in uM).
    Zero-shot: no label is looked at.

Source
    arXiv 2503.20158, section on compound-gene activity; |cosine|, the maximum over the eight nominal
    concentrations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from polaris_rxrx.cards import Card, Recipe
from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.limits import default_limit, in_use
from polaris_rxrx.maps.build import Map, build_map, has_wells
from polaris_rxrx.maps.collect import Collected, collect
from polaris_rxrx.maps.correct import ON_WELLS, told_of
from polaris_rxrx.maps.pairs import pair_tables
from polaris_rxrx.maps.summary import Summary
from polaris_rxrx.maps.summary_file import SavedSummary, is_summary, load_summary
from polaris_rxrx.parallel import Effort
from polaris_rxrx.tables import fold
from polaris_rxrx.task import Task
from polaris_rxrx.types import Floats, Ints, Progress
from polaris_rxrx.wells.memory import Wells
from polaris_rxrx.wells.metadata import Metadata
from polaris_rxrx.wells.reading import Choices, finished, of_open, open_, read
from polaris_rxrx.wells.source import WellSource

W = TypeVar("W", bound=WellSource | Summary)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Scores (n,) in official order, NaN for pairs without an embedding, and how they were made.

    `near` holds names of the task that the map has not, and the map's that differ by blanks or case alone;
    `map_` is the map they were made from, if one was; `notes` are what a user should be told of the wells and
    the map.

    >>> made = Prediction(np.array([0.5, np.nan, 0.25]), {"card": "mine"})
    >>> made.absent.tolist()
    [1]
    """

    values: Floats
    protocol: dict[str, Any]
    near: Mapping[str, str] = field(default_factory=dict)
    map_: Map | None = None
    notes: tuple[str, ...] = ()

    @property
    def absent(self) -> Ints:
        return np.flatnonzero(np.isnan(self.values))

    def complete(self, task: Task, fill: float | None, say: Callable[[str], None]) -> Floats:
        """The scores (n,) with `fill` for absent pairs, which is said.

        Raises:
            DataError: There are absent pairs and nothing to fill them with.

        >>> task = pr.load_task("task")
        >>> made = predict_random(task)
        >>> made.values[0] = np.nan
        >>> float(made.complete(task, 0.0, print)[0])
        1 pairs without an embedding were scored 0
        0.0
        """
        absent = self.absent
        if fill is None:
            refuse_absent(self, task)
            return self.values
        if absent.size:
            if self.near:
                say(_told_near(self.near))
            say(f"{absent.size:,} pairs without an embedding were scored {fill:g}")
        return np.where(np.isnan(self.values), fill, self.values)


def read_model(
    card: Card,
    metadata: Path | str | Metadata,
    embeddings: Path | str,
    *,
    hashed: bool = False,
    effort: Effort | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Wells:
    """A card's wells, a profile cleaned, in its recipe's batches and with its controls.

    `choices` are the others of `polaris_rxrx.wells.reading.Choices`. Nothing is corrected yet: see
    `corrected`. With an `effort`, wells that do not fit into its memory stand on disk.
    """
    chosen = _choices(card, choices)
    # What is read stays while workers do what the suites give them, so theirs is left out.
    limit = None if effort is None else effort.own_memory or _limit(effort)
    with (effort or Effort()).at_work() as who:
        given: dict[str, Any] = {"hashed": hashed, "max_memory": limit, "who": who, "progress": progress}
        return read(metadata, embeddings, chosen, **given)


def read_means(
    card: Card,
    metadata: Path | str | Metadata,
    embeddings: Path | str,
    *,
    hashed: bool = False,
    effort: Effort | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Wells | Collected | SavedSummary:
    """What a card's map is made of: a saved summary; or wells; or, where they do not fit, a summary of them.

    Arguments are those of `read_model`; several workers always summarize. Medians, profiles, which are
    cleaned, and corrections of wells need the wells themselves.
    """
    if isinstance(embeddings, (str, Path)) and is_summary(Path(embeddings)):
        return load_summary(Path(embeddings), hashed=hashed)
    effort, chosen = effort or Effort(), _choices(card, choices)
    limit = _limit(effort)
    with effort.at_work() as who:
        opened = open_(metadata, embeddings, chosen, who)
        sums = card.recipe.aggregate == "mean" and not ON_WELLS.keys() & set(card.recipe.correct)
        if sums and not chosen.profile and opened.table.files != ():
            size = len(opened.row) * len(opened.features) * opened.table.dtype(opened.features).itemsize
            if not effort.alone or size * _BESIDE + in_use() > limit:
                layer, ids = chosen.layer, None if chosen.ids is None else Path(chosen.ids)
                collected = collect(
                    opened, max_memory=limit, workers=who, layer=layer, ids=ids, progress=progress
                )
                return finished(collected, chosen, hashed=hashed, progress=progress)
    return of_open(opened, chosen, hashed=hashed, max_memory=limit, progress=progress)


_BESIDE = 1.5  # times the wells: what reading and aligning takes in all


def _limit(effort: Effort) -> int:
    return in_use() + default_limit() if effort.max_memory is None else effort.max_memory


def _choices(card: Card, choices: Mapping[str, Any]) -> Choices:
    own = {"width": card.source.width, "profile": card.kind == "profile", "design": card.recipe.design}
    return Choices(**{**own, **choices})


def corrected(wells: W, recipe: Recipe) -> W:
    """The wells with the corrections of wells that a recipe asks for, unless they have them.

    Raises:
        UsageError: It asks for one, and this is a summary.
    """
    done = {each["correction"] for each in wells.provenance.get("corrections", ())}
    for name in recipe.correct:
        if name in ON_WELLS and name not in done:
            if not has_wells(wells):
                raise UsageError(f"{name} correction needs the wells themselves; a summary holds their sums")
            wells = cast(W, ON_WELLS[name](wells))
    return wells


def map_of(wells: WellSource | Summary, recipe: Recipe, *, progress: Progress | None = None) -> Map:
    """The map that a recipe asks for, of corrected wells.

    Corrections of maps are not in it: they rest on tables, see `polaris_rxrx.maps.correct.by_arm`.

    >>> embeddings = "data/OpenPhenom_rxrx3_core_embeddings.parquet"
    >>> wells = pr.read_wells("data/metadata_rxrx3_core.csv", embeddings, features="feature_?")
    >>> map_of(wells, pr.load_card("openphenom").recipe).x.shape
    (432, 10)
    """
    wells = corrected(wells, recipe)
    map_ = build_map(wells, recipe.alignment, aggregate=recipe.aggregate, progress=progress)
    return replace(map_, notes=(*told_of(wells), *map_.notes))


def read_map(
    card: Card,
    metadata: Path | str | Metadata,
    embeddings: Path | str,
    *,
    correct: Callable[[Map], Map] = lambda map_: map_,
    need_wells: bool = False,
    progress: Progress | None = None,
    **choices: Any,
) -> tuple[Wells | Collected | SavedSummary, Map]:
    """The map of a card's recipe, corrected by `correct`, and what it is made of.

    That is what `read_means` gives, or with `need_wells` the wells that `read_model` does.
    """
    reader = read_model if need_wells else read_means
    wells = reader(card, metadata, embeddings, progress=progress, **choices)
    return wells, correct(map_of(wells, card.recipe, progress=progress))


def predict_with(
    card: Card,
    task: Task,
    metadata: Path | str | Metadata,
    embeddings: Path | str,
    *,
    provenance: Mapping[str, Any] | None = None,
    **choices: Any,
) -> Prediction:
    """Score every test pair with a card's model, from its files on.

    Args:
        card: Of an embedding or a profile.
        task: The pairs.
        metadata: As for `read_model`, like `embeddings`.
        embeddings: The model's table.
        provenance: What the protocol shall say beside where the wells come from.
        choices: As for `read_map`.

    Raises:
        DataError: A file is not what was expected; it, the place and what is wrong are named.

    >>> task = pr.load_task("task")
    >>> embeddings = "data/OpenPhenom_rxrx3_core_embeddings.parquet"
    >>> made = predict_with(pr.load_card("openphenom"), task, "data/metadata_rxrx3_core.csv", embeddings)
    >>> before = pr.read_predictions("openphenom.csv", task)
    >>> made.protocol["card"], bool(np.allclose(made.values, before.values))
    ('openphenom', True)
    """
    wells, map_ = read_map(card, metadata, embeddings, **choices)
    map_.protocol.update(wells.provenance, **(provenance or {}), card=card.name, sources=wells.sources)
    return replace(predict(task, map_, card.recipe), map_=map_, notes=(*wells.notes, *map_.notes))


def predict_random(task: Task, seed: int = 0) -> Prediction:
    """Uniform scores: what knowing nothing gives.

    >>> made = predict_random(pr.load_task("task"), seed=1)
    >>> made.values.shape, made.protocol
    ((997,), {'card': 'random', 'seed': 1})
    """
    values = np.random.default_rng(seed).random(len(task))
    return Prediction(values, {"card": "random", "seed": seed})


def predict(task: Task, map_: Map, recipe: Recipe | None = None) -> Prediction:
    """Score every test pair from a map.

    A pair is absent (NaN) if its gene or its compound, at the concentrations asked for, has no row or only a
    row of zeros.

    >>> task = pr.load_task("task")
    >>> made = pr.predict(task, pr.load_map("map.parquet"))
    >>> made.values.shape, made.absent.size
    ((997,), 0)
    >>> pr.write_predictions("mine.csv", task, made.values)
    >>> round(pr.score(task, pr.read_predictions("mine.csv", task)).pr_auc, 4)
    0.4253
    """
    recipe = recipe or Recipe()
    doses = (recipe.dose,) if isinstance(recipe.dose, float) else recipe.concentrations
    tables = pair_tables(map_, doses, recipe.similarity, set(task.treatment))
    by_compound = tables.mean() if recipe.dose == "mean" else tables.largest()  # of one dose: itself
    compound_at = {name: i for i, name in enumerate(tables.compounds)}
    gene_at = {name: i for i, name in enumerate(tables.genes)}
    values = np.full(len(task), np.nan)
    for i, (c, g) in enumerate(zip(task.treatment, task.gene_symbol, strict=True)):
        if c in compound_at and g in gene_at:
            values[i] = by_compound[compound_at[c], gene_at[g]]
    # How the map was made it knows itself.
    made = {"align", "components", "batch", "controls", "correct"}
    own = recipe.model_dump(mode="json", exclude=made)
    protocol = {**map_.protocol, **own, "align": map_.protocol.get("align")}
    return Prediction(values, protocol, _near(task, map_))


def _near(task: Task, map_: Map) -> dict[str, str]:
    """Names of the task that the map has with other blanks or another case: task's -> map's."""
    found = {}
    for type_, names in (("COMPOUND", task.treatment), ("CRISPR", task.gene_symbol)):
        there = sorted({map_.perturbations.name[i] for i in map_.rows(type_)})
        folded = {fold(n): n for n in there}
        for name in sorted(set(names) - set(there)):
            if (other := folded.get(fold(name))) is not None:
                found[name] = other
    return found


def _told_near(near: Mapping[str, str]) -> str:
    """`the embedding has 'braf', the task 'BRAF'`, for a few of such names."""
    pairs = [f"the embedding has {theirs!r}, the task {name!r}" for name, theirs in list(near.items())[:3]]
    more = f" and {len(near) - 3:,} more" if len(near) > 3 else ""
    return f"names differ by blanks or case alone: {'; '.join(pairs)}{more}"


def refuse_absent(prediction: Prediction, task: Task) -> None:
    """Raise `DataError` naming the genes and compounds of pairs without an embedding."""
    absent = prediction.absent
    if not absent.size:
        return
    there = np.ones(len(task), dtype=bool)
    there[absent] = False
    parts = []
    for what, column in (("compounds", task.treatment), ("genes", task.gene_symbol)):
        seen = {column[i] for i in np.flatnonzero(there)}
        lost = sorted({column[i] for i in absent} - seen)
        if lost:
            parts.append(f"{what} {some(lost)}")
    pairs = [f"{task.treatment[i]} / {task.gene_symbol[i]}" for i in absent[:3].tolist()]
    if prediction.near:  # filling would hide that these are there
        raise DataError(
            f"{absent.size:,} of {len(task):,} test pairs have no embedding ({'; '.join(parts)}); "
            f"{_told_near(prediction.near)}. Write names in the metadata as the task has them"
        )
    raise DataError(
        f"{absent.size:,} of {len(task):,} test pairs have no embedding"
        f" ({'; '.join(parts) or some(pairs, 3)}), for example {some(pairs, 3)}. "
        "--missing fill=0 scores them 0"
    )
