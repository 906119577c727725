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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps import align
from polaris_rxrx.maps.align import Aligner
from polaris_rxrx.suites import splits
from polaris_rxrx.suites.deviations import listed
from polaris_rxrx.suites.energy import Reference, energy_distances
from polaris_rxrx.suites.groups import (
    CONTROLS,
    EMBEDDINGS,
    MIN_WELLS,
    N_RANDOM,
    By,
    Groups,
    aligned_wells,
    check_choices,
    group_wells,
)
from polaris_rxrx.suites.result import Result, versions
from polaris_rxrx.suites.splits import Tested
from polaris_rxrx.suites.unexpressed import null_groups, p_values, split
from polaris_rxrx.types import Bools, Floats, Ints
from polaris_rxrx.wells.metadata import Perturbations
from polaris_rxrx.wells.source import Block, WellSource

MAX_CONTROLS = 1000

Null = Literal["controls"] | Sequence[str]


def mad(values: Floats) -> float:
    """Median distance from the median."""
    return float(np.median(np.abs(values - np.median(values))))


def evaluate(
    wells: WellSource,
    *,
    by: By = "gene",
    align_by: Aligner = "pca-cs",
    max_controls: int = MAX_CONTROLS,
    min_wells: int = MIN_WELLS,
    seed: int = 0,
    null: Null = "controls",
    n_random: int = N_RANDOM,
    baseline: bool = True,
    tested: Tested | None = None,
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

    Raises:
        UsageError: A number or word that cannot be.
        DataError: No perturbation with enough wells, too few controls, a value that is not finite, a gene of
            the null that is not there, nothing but genes of the null.
    """
    check_choices(by, min_wells=min_wells, seed=seed, n_random=n_random)
    if max_controls < 2:
        raise UsageError(f"max_controls is {max_controls}; 2 or more was expected")
    if isinstance(null, str) and null != "controls":
        raise UsageError(f"null is {null!r}; 'controls' or a list of genes was expected")
    groups = group_wells(wells, by, min_wells)
    if groups.n_side_controls < align.MIN_CONTROLS:
        raise DataError(
            f"the wells hold {groups.n_side_controls} {CONTROL} wells on the side of {by}; at least "
            f"{align.MIN_CONTROLS} were expected"
        )
    in_null = None if isinstance(null, str) else null_groups(groups, null)
    order = np.random.default_rng([seed, CONTROLS]).permutation(groups.n_side_controls)
    reference_wells = order[:max_controls]

    x, controls = aligned_wells(wells, align_by, groups, reference_wells)
    energy = energy_distances(x, groups.start, Reference.of(controls))
    del x
    tables: dict[str, dict[str, list[Any]]] = {}
    notes = groups.notes(min_wells)
    null_energy = None
    if in_null is None:
        reported = np.ones(len(energy), dtype=bool)
        if tested is None:
            tested = splits.hold(wells, align_by, groups, n_random=n_random, seed=seed)
        p, null_energy = tested.energy_p, tested.null_energy
        notes += tested.notes(groups)
    else:
        reported = ~in_null
        p = p_values(energy, energy[in_null], "right")
    summary = _summary(energy[reported], p[reported])
    known = np.empty(0) if null_energy is None else null_energy[~np.isnan(null_energy)]
    summary["null_mean"] = float(known.mean()) if len(known) else None
    if baseline:
        summary |= _against_random(wells, align_by, groups, reference_wells, energy, reported, seed)
    columns = {**groups.table(), "energy_distance": energy.tolist()}
    if in_null is not None:
        _, tables["null"] = split(columns, in_null)
    else:
        assert tested is not None
        columns |= {"null_energy_distance": tested.null_energy.tolist(), "n_tested": tested.n_wells.tolist()}
    columns, _ = split({**columns, "p_value": p.tolist()}, ~reported)
    protocol = {
        "by": by,
        "align": align_by,
        "n_directions_dropped": len(wells.features) - controls.shape[1],
        "max_controls": int(max_controls),
        "n_controls": len(reference_wells),
        "min_wells": int(min_wells),
        **splits.protocol(in_null is None),
        "seed": int(seed),
        "null": "held-out controls" if in_null is None else sorted(set(null)),
        "n_random": int(n_random) if in_null is None else None,
        "p_value": splits.P_VALUE if in_null is None else "1 - searchsorted(null, value, right) / n",
        "baseline": "gaussian" if baseline else None,
        "deviations": listed("signal"),
        "wells_sha256": groups.sha256,
        "versions": versions(),
    }
    return Result("signal", protocol, summary, {"perturbations": columns, **tables}, tuple(notes))


@dataclass(frozen=True, eq=False)
class RandomWells:
    """The experiments with wells or controls of the groups, and seeded Gaussian embeddings."""

    wells: WellSource
    groups: Groups
    seed: int

    @property
    def features(self) -> Sequence[str]:
        return self.wells.features

    @property
    def perturbations(self) -> Perturbations:
        return self.wells.perturbations

    def blocks(self) -> Iterator[Block]:
        for i, block in enumerate(self.wells.blocks()):
            if not (self.groups.side_control | (self.groups.of >= 0))[block.perturbation].any():
                continue
            rng = np.random.default_rng([self.seed, EMBEDDINGS, i])
            x = rng.standard_normal(block.x.shape, dtype=np.float32)
            yield Block(block.experiment, x, block.perturbation, block.control)


def _against_random(
    wells: WellSource,
    align_by: Aligner,
    groups: Groups,
    reference_wells: Ints,
    energy: Floats,
    reported: Bools,
    seed: int,
) -> dict[str, Any]:
    x, controls = aligned_wells(RandomWells(wells, groups, seed), align_by, groups, reference_wells)
    chance = energy_distances(x, groups.start, Reference.of(controls))[reported]
    energy = energy[reported]
    spread = float(np.hypot(mad(energy), mad(chance)))
    z = float(energy.mean() - chance.mean()) / spread if spread > 0 else None
    return {"random_mean": float(chance.mean()), "random_mad": mad(chance), "z": z}


def _summary(energy: Floats, p: Floats) -> dict[str, Any]:
    return {
        "n_perturbations": len(energy),
        "mean": float(energy.mean()),
        "mad": mad(energy),
        "median": float(np.median(energy)),
        **shares(p),
    }


def shares(p: Floats) -> dict[str, Any]:
    """How many perturbations have a p-value, and the share of them at the usual levels."""
    p = p[~np.isnan(p)]
    share = {f"share_p_{level:g}": float((p <= level).mean()) if len(p) else None for level in (0.05, 0.01)}
    return {"n_p_values": len(p), **share}
