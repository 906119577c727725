"""Energy distances and all of `signal`: plain ways of getting all distances against the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.performance.common import Row, Settings, Side, apart, best
from tests.performance.map import EMBEDDINGS, METADATA

WELLS, CONTROLS, WIDTH = 108, 1000, 384
GROUPS = 20


def data(groups: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(groups * WELLS, WIDTH)) + 0.1, rng.normal(size=(CONTROLS, WIDTH))


def _each(distance: Callable[[Any, Any], Any], groups: int) -> Side:
    """Seconds a perturbation; a plain way works out the controls' own distances once as well."""
    x, y = data(groups)
    own = float(distance(y, y).mean())

    def work() -> list[float]:
        parts = np.split(x, groups)
        return [float(2 * distance(p, y).mean() - distance(p, p).mean() - own) for p in parts]

    side = best(work, 1)
    return Side(side.seconds / groups, side.value)


def cdist(groups: int) -> Side:
    """scipy's cdist, one core."""
    from scipy.spatial.distance import cdist as distance

    return _each(distance, groups)


def broadcasting(groups: int) -> Side:
    """numpy, a row against all others at once."""
    return _each(lambda a, b: np.stack([np.sqrt(((row - b) ** 2).sum(axis=1)) for row in a]), groups)


def sklearn(groups: int) -> Side:
    """scikit-learn's euclidean_distances, a matrix product as here."""
    from sklearn.metrics.pairwise import euclidean_distances

    return _each(euclidean_distances, groups)


def ours(groups: int) -> Side:
    from polaris_rxrx.suites.energy import ReferenceWells, energy_distances

    x, y = data(groups)
    reference = ReferenceWells.of(y)
    start = np.arange(groups) * WELLS
    side = best(lambda: energy_distances(x, start, reference), 7)
    return Side(side.seconds / groups, side.value.tolist())


def whole(folder: str) -> Side:
    """Signal by gene, with its nulls and random embeddings, and replicate consistency; reading not timed."""
    from polaris_rxrx.suites.replicates import evaluate_replicates
    from polaris_rxrx.suites.signal import evaluate_signal
    from polaris_rxrx.wells.memory import read_wells

    wells = read_wells(f"{folder}/{METADATA}", f"{folder}/{EMBEDDINGS}")
    return best(
        lambda: [evaluate_signal(wells).summary["mean"], evaluate_replicates(wells).summary["mean"]], 1
    )


def run(settings: Settings) -> list[Row]:
    groups = GROUPS // 4 if settings.quick else GROUPS
    mine = apart(ours, groups=groups)
    rows = []
    for function, note in (
        (cdist, "scipy cdist"),
        (broadcasting, "numpy, row by row"),
        (sklearn, "scikit-learn"),
    ):
        theirs = apart(function, groups=groups)
        gap = float(np.abs(np.subtract(theirs.value, mine.value)).max())
        if not gap < 1e-10:
            raise RuntimeError(f"the energy distances differ by {gap}")
        aim = "20 times" if function is cdist else ""
        rows.append(Row(f"energy distance, {WELLS} wells, {CONTROLS:,} controls", theirs, mine, aim, note))
    if (settings.data / METADATA).is_file():
        side = apart(whole, folder=settings.data)
        note = f"no public counterpart: both columns are ours; {settings.data_note}"
        rows.append(Row("signal by gene and replicate consistency", side, side, "20 s, 3 GB", note))
    return rows
