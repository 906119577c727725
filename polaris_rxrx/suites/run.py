"""Suites by name: what there are, whose option is whose, and how each is run; `evaluate` runs some.

Conventions
    `evaluate` gives what `polaris-rxrx evaluate` gives: both make their jobs here, and options are named
    alike (`--min-negatives` is `min_negatives`). A job is made before any wells are looked at: its files are
    read and its choices checked. Then it is run on a model's wells or a map. An option that none of the
    suites asked for understands is refused.
    What is at hand may stand for its file: affinities, relations by source, a map.
    Nothing heavy is imported before it is used: the command line stands on this module.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polaris_rxrx.errors import UsageError, some
from polaris_rxrx.suites.inputs import (
    ModelInput,
    Renamer,
    arms_reader,
    of_file,
    of_map,
    read_all_relations,
    stamp_truth,
)

if TYPE_CHECKING:
    from polaris_rxrx.cards import Card
    from polaris_rxrx.dataset.affinities import Affinities
    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.maps.summary import Summary
    from polaris_rxrx.suites.random_scores import Kept
    from polaris_rxrx.suites.relations import Relations
    from polaris_rxrx.suites.result import Result
    from polaris_rxrx.types import Progress
    from polaris_rxrx.wells.source import WellSource

    Job = Callable[[ModelInput, Progress | None], list[Result]]

SUITES = ("drug-target", "gene-gene", "signal", "clusters", "consistency", "activity")
PAPER = ("drug-target", "gene-gene", "signal")  # what `all` runs
WELLS = ("signal", "activity")  # those that a map is not enough for
PERTURBATIONS = ("gene", "guide", "compound", "compound-concentration")
BY = {"drug-target": ("compound", "gene"), "signal": PERTURBATIONS, "activity": PERTURBATIONS}
# Options that some suites alone understand; `all` takes those of the paper's but --by, which two understand.
BELONGS: dict[str, tuple[str, ...]] = {
    "annotations": ("drug-target", "consistency"),
    "seeds": ("drug-target",),
    "active": ("drug-target", "consistency"),
    "inactive": ("drug-target",),
    "min_negatives": ("drug-target",),
    "legacy": ("drug-target", "consistency", "activity"),
    "relations": ("gene-gene",),
    "low": ("gene-gene",),
    "high": ("gene-gene",),
    "against": ("gene-gene",),
    "unexpressed": ("signal",),
    "sets": ("clusters", "consistency"),
    "min_genes": ("clusters",),
    "of": ("consistency",),
    "aliases": ("gene-gene", "clusters", "consistency"),
    "null_size": ("consistency", "activity"),
}


def refuse_strangers(given: Collection[str], suites: Sequence[str], by: str | None = None) -> None:
    """Refuse options that none of the suites asked for would look at.

    Args:
        given: Names of options that were given.
        suites: What is asked for.
        by: What is scored one by one, if that was said.

    Raises:
        UsageError: One belongs to other suites.
    """
    asked = "all" if tuple(suites) == PAPER else " and ".join(suites)
    for name, owners in BELONGS.items():
        if name in given and not set(suites) & set(owners):
            of = " and ".join([", ".join(owners[:-1]), owners[-1]] if len(owners) > 1 else owners)
            raise UsageError(f"--{name.replace('_', '-')} belongs to {of}; {asked} has no use for it")
    if by is None:
        return
    own = [suite for suite in suites if suite in BY]
    if len(own) > 1:
        raise UsageError(
            f"--by means nothing for {asked}: {' and '.join(own)} each understand one of their own"
        )
    if not own:
        raise UsageError(f"--by means nothing for {asked}: it has one way")
    if by not in BY[own[0]]:
        raise UsageError(f"--by {by}: {own[0]} goes by {', '.join(BY[own[0]])}")


def jobs(suites: Sequence[str], data: Path, by: str | None, options: dict[str, Any]) -> list[Job]:
    """What is to be run, with its files read and its choices checked before any wells are.

    Args:
        suites: Some of `SUITES`.
        data: Where files are that were not given.
        by: What is scored one by one, None for each suite's own.
        options: A value for each option of `BELONGS`, None where it was not given, `seed` and `effort`.
            `layout_of` is the metadata beside a map, `kept` a `polaris_rxrx.suites.random_scores.Kept`.
    """
    make = {"drug-target": _drug_target, "gene-gene": _gene_gene, "signal": _signal}
    make |= {"clusters": _clusters, "consistency": _consistency, "activity": _activity}
    return [make[suite](data, by, options) for suite in suites]


def _given(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if options[name] is not None}


def _drug_target(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.dataset.affinities import candidates
    from polaris_rxrx.suites.drug_target import Protocol, evaluate_drug_target

    chosen = _given(options, "seeds", "active", "inactive", "min_negatives", "legacy")
    if by is not None:
        chosen["by"] = by
    protocol = Protocol(**chosen, random_seed=options["seed"])
    affinities = _affinities(options["annotations"], data)
    candidates(
        affinities, active=protocol.active, inactive=protocol.inactive, min_negatives=protocol.min_negatives
    )

    def run(source: ModelInput, progress: Progress | None) -> list[Result]:
        with options["effort"].at_work() as who:
            how = {"who": who, "kept": options.get("kept"), "progress": progress}
            result = evaluate_drug_target(_map(source), affinities, protocol, **how)
        return [stamp_truth(result, "affinities", affinities.made_up)]

    return run


def _gene_gene(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.suites.gene_gene import evaluate_gene_gene
    from polaris_rxrx.suites.layout import Layout
    from polaris_rxrx.wells.metadata import read_metadata

    (low, high), *more = _thresholds(options["low"], options["high"])
    relations: Mapping[str, Relations] = options["relations"]
    if not isinstance(relations, Mapping):
        relations = read_all_relations(relations, data)
    made_up = any(known.made_up for known in relations.values())
    other = options["against"]
    if isinstance(other, Path):
        other = of_file(other).map_
    table = None if options["layout_of"] is None else read_metadata(options["layout_of"])
    aliases = Renamer(options["aliases"])

    def run(source: ModelInput, progress: Progress | None) -> list[Result]:
        wells = table if source.wells is None else source.wells.places
        layout = None
        if wells is not None:
            layout = Layout.of(wells.perturbations, wells.perturbation, wells.experiment)
        own = {n: aliases.relations(n, known, _map(source)) for n, known in relations.items()}
        result = evaluate_gene_gene(
            _map(source),
            own,
            low=low,
            high=high,
            more=more,
            seed=options["seed"],
            layout=layout,
            against=other,
        )
        return [stamp_truth(aliases.stamp(result), "relations", made_up)]

    return run


def _affinities(given: Affinities | Path | None, data: Path) -> Affinities:
    """Those at hand, those of a file, or those of the data folder."""
    from polaris_rxrx.dataset.affinities import Affinities, read_affinities
    from polaris_rxrx.dataset.registry import locate

    return given if isinstance(given, Affinities) else read_affinities(given or locate("annotations", data))


def _thresholds(lows: Sequence[float], highs: Sequence[float]) -> list[tuple[float, float]]:
    """Pairs of --low and --high in the order given; the usual one where an option is absent."""
    from polaris_rxrx.suites.gene_gene import HIGH, LOW

    n = max(len(lows), len(highs), 1)
    if n > 1 and len(lows) != len(highs):
        raise UsageError(
            f"--low was given {len(lows)} times and --high {len(highs)} times; as many of each were expected"
        )
    pairs = list(zip(lows or [LOW], highs or [HIGH], strict=True))
    for low, high in pairs:
        if not 0 <= low < high <= 1:
            raise UsageError(f"--low {low:g}, --high {high:g}: 0 <= low < high <= 1 was expected")
    if len(set(pairs)) < len(pairs):
        raise UsageError("one pair of --low and --high was given twice; different pairs were expected")
    return pairs


def _signal(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.suites.replicates import evaluate_wells
    from polaris_rxrx.suites.unexpressed import read_genes

    genes = None if options["unexpressed"] is None else read_genes(options["unexpressed"])
    if by not in (None, "gene", "guide") and genes is not None:
        raise UsageError(f"--unexpressed names genes, which --by {by} is not about")
    chosen: dict[str, Any] = {"by": by or "gene", "seed": options["seed"], "null": genes or "controls"}
    effort = options["effort"]

    def run(source: ModelInput, progress: Progress | None) -> list[Result]:
        assert source.recipe is not None
        how = {"align_by": source.recipe.alignment, "max_memory": effort.own_memory, **chosen}
        with effort.at_work() as who:
            return evaluate_wells(_wells(source), progress=progress or _unseen, who=who, **how)

    return run


def _clusters(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.suites.clusters import clusters
    from polaris_rxrx.suites.gene_sets import read_gene_sets

    if options["sets"] is None:
        raise UsageError("clusters needs --sets, a file of complexes")
    sets = read_gene_sets(options["sets"])
    chosen = _given(options, "min_genes")
    aliases = Renamer(options["aliases"])

    def run(source: ModelInput, progress: Progress | None) -> list[Result]:
        return [aliases.stamp(clusters(_map(source), aliases.sets(sets, _map(source)), **chosen))]

    return run


def _consistency(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    """Genes of a set, or compounds of a target, look alike?"""
    from polaris_rxrx.suites.consistency import consistency
    from polaris_rxrx.suites.gene_sets import read_gene_sets

    of, made_up = options["of"] or "gene", False
    aliases = Renamer(options["aliases"])
    groups: dict[str, Sequence[str]]
    told: dict[str, Any]
    sets = None
    if of == "gene":
        if options["sets"] is None:
            raise UsageError("consistency of genes needs --sets, a file of complexes or pathways")
        if refused := [n for n in ("annotations", "active") if options[n] is not None]:
            raise UsageError(f"--{refused[0]} is about compounds; --of compound was expected beside it")
        sets = read_gene_sets(options["sets"])
        groups, told = {}, {"sets_sha256": sets.sha256}
    else:
        from polaris_rxrx.dataset.affinities import ACTIVE, active_compounds

        if refused := [n for n in ("sets", "aliases") if options[n] is not None]:
            raise UsageError(f"--{refused[0]} is about genes; compounds share the targets of --annotations")
        active = ACTIVE if options["active"] is None else options["active"]
        if not 0 < active < float("inf"):
            raise UsageError(f"--active {active:g}: expected an affinity in nM, more than 0")
        affinities = _affinities(options["annotations"], data)
        found = active_compounds(affinities, active)
        groups = {gene: [name for _, name in pairs] for gene, pairs in found.items()}
        told, made_up = {"annotations_sha256": affinities.sha256, "active_nM": active}, affinities.made_up
    chosen = {**_given(options, "null_size"), "seed": options["seed"]}
    kind = {"gene": "CRISPR", "compound": "COMPOUND"}[of]

    def run(source: ModelInput, progress: Progress | None) -> list[Result]:
        legacy = bool(options["legacy"])
        own = groups if sets is None else aliases.sets(sets, _map(source)).genes
        result = consistency(_map(source), own, of=kind, positives_first=legacy, **chosen)
        result = replace(result, protocol={**result.protocol, **told})
        return [stamp_truth(aliases.stamp(result), "affinities", made_up)]

    return run


def _activity(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.suites.activity import evaluate_activity

    chosen = {**_given(options, "null_size", "legacy"), "by": by or "gene", "seed": options["seed"]}
    effort = options["effort"]

    def run(source: ModelInput, progress: Progress | None) -> list[Result]:
        assert source.recipe is not None
        how = {"align_by": source.recipe.alignment, "max_memory": effort.own_memory, **chosen}
        with effort.at_work() as who:
            return [evaluate_activity(_wells(source), who=who, **how)]

    return run


def _unseen(what: str, done: int, of: int) -> None:
    """Progress that nobody looks at."""


def _map(source: ModelInput) -> Map:
    assert source.map_ is not None
    return source.map_


def _wells(source: ModelInput) -> WellSource:
    """Wells one by one; `Source.check` refuses what has none."""
    from polaris_rxrx.maps.build import has_wells

    assert source.wells is not None and has_wells(source.wells)
    return source.wells


_FILES = ("annotations", "against", "unexpressed", "sets", "aliases")
_EFFORT = ("workers", "scheduler", "max_memory")


def evaluate(
    wells_or_map: WellSource | Summary | Map | Path | str,
    suites: str | Sequence[str] | None = None,
    *,
    card: Card | Path | str | None = None,
    align: str | None = None,
    aggregate: str | None = None,
    components: float | None = None,
    data: Path | str | None = None,
    metadata: Path | str | None = None,
    gene_arms: Path | str | None = None,
    arms_unexpressed: Path | str | None = None,
    by: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Result]:
    """Run suites on a model's wells or on a map: what `polaris-rxrx evaluate` computes.

    Args:
        wells_or_map: Wells (`read_wells`) or a summary of them, a map (`build_map`, `load_map`), or the path
            of a saved map.
        suites: Names, or one: drug-target, gene-gene, signal, clusters, consistency, activity; `all` are the
            paper's first three, and the default, of a map alone those that need no wells.
        card: A baseline card, its name or its path: how wells become a map. By default as `Recipe` has it.
        align: Of wells: how they are aligned, instead of the card's way.
        aggregate: Of wells: what a perturbation's row is of its wells, instead of the card's way.
        components: Of wells: how many of the aligner's components are kept, or a share of variance below 1.
        data: The folder with RxRx3-core's files, for those not given; by default `$POLARIS_RXRX_DATA`, else
            this user's data folder.
        metadata: Beside a map: it tells gene-gene which genes share an experiment.
        gene_arms: A table of genes and their chromosome arms, by which the map is corrected.
        arms_unexpressed: Beside it: a list of genes that are not expressed, whose rows tell an arm's effect.
        by: What is scored one by one, see `polaris-rxrx evaluate`.
        seed: Of every draw but that of negatives.
        progress: Called with a word, how far, out of how many.
        options: Those of the suites by the command's names, such as `seeds`, `low` and `high` (a number or
            several), `sets`, `annotations` (a file or `Affinities`), `relations` (files, or source ->
            `Relations`), `against` (a file or a map); and `workers`, `scheduler`, `max_memory` in bytes.

    Returns:
        Name -> result, in the order of the suites; `signal` gives `replicate-consistency`, too. Each equals
        the command's to the byte where the same was read the same way: of a map or wells at hand, hashes of
        their files are in `protocol["inputs"]` only where reading took them.

    Raises:
        UsageError: A name, an option or a choice that cannot mean anything.
        DataError: A file or the data is not what was expected; it, the place and what is wrong are named.

    >>> results = pr.evaluate("map.parquet", data="data", seeds=2)
    >>> sorted(results)
    ['drug-target', 'gene-gene']
    >>> round(results["drug-target"].summary["max"]["average_precision"], 3)
    0.423
    >>> sorted(results["gene-gene"].summary["sources"])
    ['CORUM', 'HuMAP', 'Reactome', 'SIGNOR', 'StringDB']
    """
    from polaris_rxrx.files import default_data

    wanted = _named(suites, wells_or_map)
    try:
        refuse_strangers([name for name, value in options.items() if value is not None], wanted, by)
        given = _input(wells_or_map, card, align=align, aggregate=aggregate, components=components)
        _refuse_unfit(given, wanted, metadata)
        correct = _by_arms(given, wanted, gene_arms, arms_unexpressed)
        every = {**_checked(options), "seed": seed, "layout_of": None if metadata is None else Path(metadata)}
        every["kept"] = _kept()
        made = jobs(wanted, default_data() if data is None else Path(data), by, every)
    except UsageError as error:  # an option is called in Python's way
        words = re.sub(r"--([a-z-]+)", lambda found: found[1].replace("-", "_"), str(error))
        raise UsageError(words) from None
    if set(wanted) - set(WELLS):
        given = _mapped(given, correct, progress)
    results = [result for job in made for result in job(given, progress)]
    return {result.suite: given.stamp(result) for result in results}


@cache
def _kept() -> Kept:
    """What random embeddings gave in this process: the next checkpoint's pairs are the same."""
    from polaris_rxrx.suites.random_scores import Kept

    return Kept()


def _named(suites: str | Sequence[str] | None, given: Any) -> tuple[str, ...]:
    """The suites asked for, each once."""
    from polaris_rxrx.maps.build import has_wells

    if suites is None:
        return PAPER if has_wells(given) else tuple(suite for suite in PAPER if suite not in WELLS)
    names = PAPER if suites == "all" else (suites,) if isinstance(suites, str) else tuple(suites)
    for i, name in enumerate(names):
        if name not in SUITES or name in names[:i]:
            wrong = "there twice" if name in SUITES else "no suite"
            raise UsageError(f"suites: {name!r} is {wrong}; there are {', '.join(SUITES)}, or all by itself")
    if not names:
        raise UsageError(f"no suite was named; there are {', '.join(SUITES)}")
    return names


def _input(given: Any, card: Card | Path | str | None, **recipe: Any) -> ModelInput:
    """What suites are run on; wells are not mapped yet."""
    from polaris_rxrx.baselines import corrected
    from polaris_rxrx.cards import Card, load_card
    from polaris_rxrx.maps.build import Map, has_wells

    if isinstance(given, (Map, str, Path)):
        for name, value in (("card", card), *recipe.items()):
            if value is not None:
                raise UsageError(f"--{name} means nothing for a map, which is made already")
        return of_map(given) if isinstance(given, Map) else of_file(Path(given))
    if not has_wells(given) and not hasattr(given, "batches"):
        raise UsageError(f"{type(given).__name__} was given; wells, a map or the path of one was expected")
    if card is None:
        card = Card(name="embeddings", title="embeddings")
    elif not isinstance(card, Card):
        card = load_card(card)
    card = card.with_recipe(**recipe)
    card.recipe.alignment  # noqa: B018  # it refuses what cannot be
    inputs = {"card": card.name, **given.provenance}
    return ModelInput(card.title, inputs, corrected(given, card.recipe), card.recipe)


def _by_arms(
    given: ModelInput, suites: Sequence[str], arms: Path | str | None, unexpressed: Path | str | None
) -> Callable[[Map], Map]:
    """What is done to the map by chromosome arm."""
    if arms is not None and not set(suites) - set(WELLS):
        raise UsageError(f"--gene-arms corrects a map; {suites[0]} looks at wells")
    silent = None if unexpressed is None else Path(unexpressed)
    correct = () if given.recipe is None or not set(suites) - set(WELLS) else given.recipe.correct
    return arms_reader(None if arms is None else Path(arms), silent, correct)


def _mapped(given: ModelInput, correct: Callable[[Map], Map], progress: Progress | None) -> ModelInput:
    """With the map of its wells, corrected; what there is to tell of its making is warned of."""
    from polaris_rxrx.baselines import map_of

    held, told = given.map_, frozenset[str]()
    if held is None:
        assert given.wells is not None and given.recipe is not None
        held = map_of(given.wells, given.recipe, progress=progress)
    else:
        told = frozenset(held.notes)
    map_ = correct(held)
    for line in map_.notes:
        if line not in told:
            warnings.warn(f"{given.title}: {line}", stacklevel=3)
    return replace(given, map_=map_)


def _refuse_unfit(given: ModelInput, suites: Sequence[str], metadata: Path | str | None) -> None:
    """Refuse suites that need wells where there are none, and metadata that would not be looked at."""
    from polaris_rxrx.maps.build import has_wells

    needed = [suite for suite in suites if suite in WELLS]
    if needed and (given.wells is None or not has_wells(given.wells)):
        holds = "a map holds only their means" if given.wells is None else "a summary holds only their sums"
        raise UsageError(f"{needed[0]} needs wells, and {holds}")
    if metadata is not None and (given.wells is not None or "gene-gene" not in suites):
        raise UsageError("metadata means something beside a map alone, for gene-gene")


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """A value for every option; paths as paths, what may be several as several."""
    from polaris_rxrx.parallel import Effort

    if unknown := [name for name in options if name not in BELONGS and name not in _EFFORT]:
        known = ", ".join([*BELONGS, *_EFFORT])
        raise UsageError(f"there is no option {some(unknown)}; the suites' are {known}")
    found: dict[str, Any] = {**dict.fromkeys(BELONGS), **options}
    for name in _FILES:
        if isinstance(found[name], str):
            found[name] = Path(found[name])
    for name in ("low", "high"):
        value = found[name]
        found[name] = () if value is None else (value,) if isinstance(value, (int, float)) else tuple(value)
    relations = found["relations"]
    if not isinstance(relations, Mapping):
        one = isinstance(relations, (str, Path))
        found["relations"] = [Path(path) for path in ([relations] if one else relations or ())]
    found["effort"] = Effort(**{name: found.pop(name) for name in _EFFORT if options.get(name) is not None})
    return found
