"""The suites that `polaris-rxrx evaluate` runs: their names, whose option is whose, and how each is run.

A job is made before any wells are read: its files are read and its choices checked. Then it is run on a
model's wells or a map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polaris_rxrx.cli._inputs import ModelInput, Renamer, read_all_relations, read_map, stamp_truth
from polaris_rxrx.cli.options import Bar

if TYPE_CHECKING:
    from polaris_rxrx.maps.build import Map
    from polaris_rxrx.suites.result import Result
    from polaris_rxrx.wells.source import WellSource

    Job = Callable[[ModelInput, Bar], list[Result]]

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


def refuse_strangers(context: click.Context, suite: str, by: str | None) -> None:
    """Refuse options that the suite asked for would not look at."""
    for name, owners in BELONGS.items():
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        asked = PAPER if suite == "all" else (suite,)
        if given and not set(asked) & set(owners):
            of = " and ".join([", ".join(owners[:-1]), owners[-1]] if len(owners) > 1 else owners)
            raise click.UsageError(f"--{name.replace('_', '-')} belongs to {of}; {suite} has no use for it")
    if by is None:
        return
    if suite not in BY:
        of = "drug-target and signal each understand one of their own" if suite == "all" else "it has one way"
        raise click.UsageError(f"--by means nothing for {suite}: {of}")
    if by not in BY[suite]:
        raise click.UsageError(f"--by {by}: {suite} goes by {', '.join(BY[suite])}")


def jobs(suites: Sequence[str], data: Path, by: str | None, options: dict[str, Any]) -> list[Job]:
    """What is to be run, with its files read and its choices checked before any wells are."""
    make = {"drug-target": _drug_target, "gene-gene": _gene_gene, "signal": _signal}
    make |= {"clusters": _clusters, "consistency": _consistency, "activity": _activity}
    return [make[suite](data, by, options) for suite in suites]


def _given(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if options[name] is not None}


def _drug_target(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.dataset.affinities import candidates, read_affinities
    from polaris_rxrx.dataset.registry import locate
    from polaris_rxrx.suites.drug_target import Protocol, evaluate_drug_target

    chosen = _given(options, "seeds", "active", "inactive", "min_negatives", "legacy")
    if by is not None:
        chosen["by"] = by
    protocol = Protocol(**chosen, random_seed=options["seed"])
    affinities = read_affinities(options["annotations"] or locate("annotations", data))
    candidates(
        affinities, active=protocol.active, inactive=protocol.inactive, min_negatives=protocol.min_negatives
    )

    def run(source: ModelInput, bar: Bar) -> list[Result]:
        with options["effort"].at_work() as who:
            result = evaluate_drug_target(_map(source), affinities, protocol, who=who, progress=bar.step)
        return [stamp_truth(result, "affinities", affinities.made_up)]

    return run


def _gene_gene(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.suites.gene_gene import evaluate_gene_gene
    from polaris_rxrx.suites.layout import Layout
    from polaris_rxrx.wells.metadata import read_metadata

    (low, high), *more = _thresholds(options["low"], options["high"])
    relations = read_all_relations(options["relations"], data)
    made_up = any(known.made_up for known in relations.values())
    other = None if options["against"] is None else read_map(options["against"]).map_
    table = None if options["layout_of"] is None else read_metadata(options["layout_of"])
    aliases = Renamer(options["aliases"])

    def run(source: ModelInput, bar: Bar) -> list[Result]:
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


def _thresholds(lows: Sequence[float], highs: Sequence[float]) -> list[tuple[float, float]]:
    """Pairs of --low and --high in the order given; the usual one where an option is absent."""
    from polaris_rxrx.suites.gene_gene import HIGH, LOW

    n = max(len(lows), len(highs), 1)
    if n > 1 and len(lows) != len(highs):
        raise click.UsageError(
            f"--low was given {len(lows)} times and --high {len(highs)} times; as many of each were expected"
        )
    pairs = list(zip(lows or [LOW], highs or [HIGH], strict=True))
    for low, high in pairs:
        if not 0 <= low < high <= 1:
            raise click.UsageError(f"--low {low:g}, --high {high:g}: 0 <= low < high <= 1 was expected")
    if len(set(pairs)) < len(pairs):
        raise click.UsageError("one pair of --low and --high was given twice; different pairs were expected")
    return pairs


def _signal(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.suites.replicates import evaluate_wells
    from polaris_rxrx.suites.unexpressed import read_genes

    genes = None if options["unexpressed"] is None else read_genes(options["unexpressed"])
    if by not in (None, "gene", "guide") and genes is not None:
        raise click.UsageError(f"--unexpressed names genes, which --by {by} is not about")
    chosen: dict[str, Any] = {"by": by or "gene", "seed": options["seed"], "null": genes or "controls"}
    effort = options["effort"]

    def run(source: ModelInput, bar: Bar) -> list[Result]:
        assert source.recipe is not None
        how = {"align_by": source.recipe.alignment, "max_memory": effort.own_memory, **chosen}
        with effort.at_work() as who:
            return evaluate_wells(_wells(source), progress=bar.step, who=who, **how)

    return run


def _clusters(data: Path, by: str | None, options: dict[str, Any]) -> Job:
    from polaris_rxrx.suites.clusters import clusters
    from polaris_rxrx.suites.gene_sets import read_gene_sets

    if options["sets"] is None:
        raise click.UsageError("clusters needs --sets, a file of complexes")
    sets = read_gene_sets(options["sets"])
    chosen = _given(options, "min_genes")
    aliases = Renamer(options["aliases"])

    def run(source: ModelInput, bar: Bar) -> list[Result]:
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
            raise click.UsageError("consistency of genes needs --sets, a file of complexes or pathways")
        if refused := [n for n in ("annotations", "active") if options[n] is not None]:
            raise click.UsageError(f"--{refused[0]} is about compounds; --of compound was expected beside it")
        sets = read_gene_sets(options["sets"])
        groups, told = {}, {"sets_sha256": sets.sha256}
    else:
        from polaris_rxrx.dataset.affinities import ACTIVE, active_compounds, read_affinities
        from polaris_rxrx.dataset.registry import locate

        if refused := [n for n in ("sets", "aliases") if options[n] is not None]:
            raise click.UsageError(
                f"--{refused[0]} is about genes; compounds share the targets of --annotations"
            )
        active = ACTIVE if options["active"] is None else options["active"]
        if not 0 < active < float("inf"):
            raise click.UsageError(f"--active {active:g}: expected an affinity in nM, more than 0")
        affinities = read_affinities(options["annotations"] or locate("annotations", data))
        found = active_compounds(affinities, active)
        groups = {gene: [name for _, name in pairs] for gene, pairs in found.items()}
        told, made_up = {"annotations_sha256": affinities.sha256, "active_nM": active}, affinities.made_up
    chosen = {**_given(options, "null_size"), "seed": options["seed"]}
    kind = {"gene": "CRISPR", "compound": "COMPOUND"}[of]

    def run(source: ModelInput, bar: Bar) -> list[Result]:
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

    def run(source: ModelInput, bar: Bar) -> list[Result]:
        assert source.recipe is not None
        how = {"align_by": source.recipe.alignment, "max_memory": effort.own_memory, **chosen}
        with effort.at_work() as who:
            return [evaluate_activity(_wells(source), who=who, **how)]

    return run


def _map(source: ModelInput) -> Map:
    assert source.map_ is not None
    return source.map_


def _wells(source: ModelInput) -> WellSource:
    """Wells one by one; `Source.check` refuses what has none."""
    from polaris_rxrx.maps.build import has_wells

    assert source.wells is not None and has_wells(source.wells)
    return source.wells
