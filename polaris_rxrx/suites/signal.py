"""Perturbation signal: can a perturbation's wells be told from control wells?

Conventions
    Wells and groups are those of `polaris_rxrx.suites.groups`.

Energy distance
    2 E|x - y| - E|x - x'| - E|y - y'| with Euclidean distances and means over all pairs, a well with itself
    included (distance 0), of a perturbation's wells x and at most `max_controls` control wells y: a seeded
    choice out of all of them in the order of experiment and well, so the order of rows does not matter. Over
    perturbations: mean, and MAD, the median distance from the median.
    With a list of unexpressed genes these are the null (`polaris_rxrx.suites.unexpressed`): p is the share of
    their energy distances above the perturbation's, and they stay out of the means and the random ones.
    Else p is against control wells that the alignment has not seen (`polaris_rxrx.suites.splits`). The values
    reported keep the alignment on all controls, under which noise alone has a distance;
    `null_energy_distance` is what held-out control wells have in the perturbation's place.
    z against random: (m - b) / sqrt(s_m^2 + s_b^2), m and s_m mean and MAD, b and s_b those of seeded
    Gaussian embeddings of the same wells, aligned alike (what an aligner takes from all control wells, from
    those of the side) and compared with the same control wells.

Source
    arXiv 2503.20158, Table 4, and its public code.

Deviations from the public code
    1. Without a list of unexpressed genes, p-values are against control wells held out of the alignment;
       there they need the list. Not offered: with the list, p is the public code's.
    2. Control wells are a seeded choice from all of the side in the order of experiment and well; there the
       choice has no seed. Not offered: it differs from run to run.
    3. Perturbations with fewer than 5 wells are left out, and one of the null is an error; there the null
       counts it as larger than everything. Not offered: nothing is known of so few wells.
    4. Values within rounding of each other are equal; there a p-value may hang on the order of sums. Not
       offered: that order differs from machine to machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps import align
from polaris_rxrx.maps.align import AlignBy
from polaris_rxrx.maps.build import control_names
from polaris_rxrx.parallel import Workers
from polaris_rxrx.suites.documents import AgainstRandom, EnergyFigures, SignalProtocol, SignalSummary
from polaris_rxrx.suites.energy import ReferenceWells, energy_distances
from polaris_rxrx.suites.groups import (
    CONTROLS,
    EMBEDDINGS,
    MIN_WELLS,
    N_RANDOM,
    By,
    WellGroups,
    aligned_wells,
)
from polaris_rxrx.suites.result import Result
from polaris_rxrx.suites.splits import Tested
from polaris_rxrx.suites.study import Null, Study, mad, shares
from polaris_rxrx.suites.unexpressed import p_values, rows_of
from polaris_rxrx.types import Floats, Ints
from polaris_rxrx.wells.source import OverWells, WellBlock, WellSource

MAX_CONTROLS = 1000


def evaluate_signal(
    wells: WellSource,
    *,
    by: By = "gene",
    align_by: AlignBy = "pca-cs",
    max_controls: int = MAX_CONTROLS,
    min_wells: int = MIN_WELLS,
    seed: int = 0,
    null: Null = "controls",
    n_random: int = N_RANDOM,
    baseline: bool = True,
    tested: Tested | None = None,
    max_memory: int | None = None,
    who: Workers | None = None,
) -> Result:
    """Energy distance of every perturbation from its controls.

    Args:
        wells: From `read_wells`; with `guides=True` for `by="guide"`.
        by: What a perturbation is.
        align_by: See `polaris_rxrx.maps.align`.
        max_controls: 2 or more.
        min_wells: 2 or more.
        seed: Of every draw.
        null: "controls", or names of unexpressed genes, which are then not reported but in the table "null".
        n_random: Exchanges with held-out control wells, over all splits.
        baseline: Run random embeddings too.
        tested: What `splits.held_out` made of these very wells and choices, if it is at hand.
        max_memory: Bytes that this process may take; aligned wells that take more than a third of what is
            left of them, or than half a GiB, stand on disk.
        who: Who holds wells against held-out controls; this process.

    Raises:
        UsageError: A number or word that cannot be.
        DataError: No perturbation with enough wells, too few controls, a value that is not finite, a gene of
            the null that is not there, nothing but genes of the null.

    Two genes among control wells, by ten of their features:

    >>> import pandas as pd
    >>> table = pd.read_csv("data/metadata_rxrx3_core.csv", dtype=str)
    >>> table[table["gene"].isin(["EMPTY_control", "BCL2", "MTOR"])].to_csv("some.csv", index=False)
    >>> embeddings = "data/OpenPhenom_rxrx3_core_embeddings.parquet"
    >>> wells = pr.read_wells("some.csv", embeddings, features="feature_?")
    >>> found = evaluate_signal(wells, n_random=100, baseline=False)
    >>> found.tables["perturbations"]["perturbation"], found.tables["perturbations"]["n_wells"]
    (['BCL2', 'MTOR'], [18, 18])
    >>> found.summary["mean"] > 0
    True
    """
    if max_controls < 2:
        raise UsageError(f"max_controls is {max_controls}; 2 or more was expected")
    study = Study(wells, by, align_by, min_wells, seed, null, n_random, max_memory)
    groups, reported = study.groups, study.reported
    if groups.n_side_controls < align.MIN_CONTROLS:
        raise DataError(
            f"the wells hold {groups.n_side_controls} {control_names(wells)} wells on the side of {by}; "
            f"at least {align.MIN_CONTROLS} were expected"
        )
    chosen = np.random.default_rng([seed, CONTROLS]).permutation(groups.n_side_controls)[:max_controls]
    energy, width = _energy(wells, study, chosen)
    columns = {**groups.table(), "energy_distance": energy.tolist()}
    tables, notes = {}, groups.notes(min_wells)
    null_energy = np.empty(0)
    if study.in_null is None:
        tested = study.held_out(tested, who)
        p, null_energy = tested.energy_p, tested.null_energy
        notes += tested.notes(groups)
        columns |= {"null_energy_distance": null_energy.tolist(), "n_tested": tested.n_wells.tolist()}
    else:
        p = p_values(energy, energy[study.in_null], "right")
        tables["null"] = rows_of(columns, study.in_null)
    known = null_energy[~np.isnan(null_energy)]
    against: AgainstRandom = {}
    if baseline:
        chance, _ = _energy(RandomWells(wells, groups, seed), study, chosen)
        against = _against_random(energy[reported], chance[reported])
    summary: SignalSummary = {**_summary(energy[reported], p[reported], known), **against}
    protocol: SignalProtocol = {
        **study.protocol("signal", width, "right"),
        "max_controls": int(max_controls),
        "n_controls": len(chosen),
        "baseline": "gaussian" if baseline else None,
    }
    tables = {"perturbations": rows_of({**columns, "p_value": p.tolist()}, reported), **tables}
    return Result("signal", protocol, summary, tables, tuple(notes))


def _energy(wells: WellSource, study: Study, chosen: Ints) -> tuple[Floats, int]:
    """Energy distance of each group from the chosen controls, and how many columns aligned wells have."""
    x, controls = aligned_wells(wells, study.align_by, study.groups, chosen, study.max_memory)
    return energy_distances(x, study.groups.start, ReferenceWells.of(controls)), x.shape[1]


@dataclass(frozen=True, eq=False)
class RandomWells(OverWells):
    """The experiments with wells or controls of the groups, and seeded Gaussian embeddings."""

    groups: WellGroups
    seed: int

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {"random_seed": self.seed}

    def blocks(self) -> Iterator[WellBlock]:
        for i, block in enumerate(self.wells.blocks()):
            if not (self.groups.side_control | (self.groups.of >= 0))[block.perturbation].any():
                continue
            rng = np.random.default_rng([self.seed, EMBEDDINGS, i])
            x = rng.standard_normal(block.x.shape, dtype=np.float32)
            yield WellBlock(block.experiment, x, block.perturbation, block.control)


def _against_random(energy: Floats, chance: Floats) -> AgainstRandom:
    spread = float(np.hypot(mad(energy), mad(chance)))
    z = float(energy.mean() - chance.mean()) / spread if spread > 0 else None
    return {"random_mean": float(chance.mean()), "random_mad": mad(chance), "z": z}


def _summary(energy: Floats, p: Floats, null: Floats) -> EnergyFigures:
    return {
        "n_perturbations": len(energy),
        "mean": float(energy.mean()),
        "mad": mad(energy),
        "median": float(np.median(energy)),
        **shares(p),
        "null_mean": float(null.mean()) if len(null) else None,
    }
