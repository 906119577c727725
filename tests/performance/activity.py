"""Activity: copairs' average precision of every well against ours, and ours where there are many wells.

With copairs the recipe is its usual one (`legacy`): all control wells are negatives, and positives come first
among equals; both find the same means and p-values. Ours alone is by held-out controls of a well's own
experiment.
"""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from typing import Any

import numpy as np

from tests.performance.common import Row, Settings, Side, apart, best

WELLS = 384  # of an experiment: 64 controls, 40 genes of 8 wells
NULL = 1000


def wells(n: int, seed: int = 0) -> Any:
    """About n wells of 384 features, with some effect."""
    from tests.calibration.wells import World, draw

    return draw(World(round(n / WELLS), controls=64, genes=40, wells=8, effect=6.0), seed)


def copairs(n: int) -> Side:
    """copairs on vectors that need no alignment, with an empty cache of nulls."""
    import pandas as pd
    from copairs import map as maps

    made = wells(n)
    name = np.array(made.perturbations.name)[made.perturbation]
    meta = pd.DataFrame({"gene": name, "reference": np.where(made.control, np.arange(len(name)), -1)})
    both = ["gene", "reference"]

    def work() -> list[float]:
        with tempfile.TemporaryDirectory() as cache:
            found = maps.average_precision(meta, made.x, both, [], [], both, progress_bar=False)
            grouped = maps.mean_average_precision(
                found[~made.control],
                ["gene"],
                null_size=NULL,
                threshold=0.05,
                seed=0,
                cache_dir=cache,
                progress_bar=False,
            ).sort_values("gene")
        return [float(v) for name in ("mean_average_precision", "p_value") for v in grouped[name]]

    return best(work, 1)


def ours(n: int, legacy: bool) -> Side:
    """`evaluate_activity` without alignment."""
    from polaris_rxrx.suites.activity import evaluate_activity

    made = wells(n)
    side = best(lambda: evaluate_activity(made, align_by="none", legacy=legacy, null_size=NULL), 1)
    rows = side.value.tables["perturbations"]
    order = np.argsort(rows["perturbation"])
    return Side(
        side.seconds,
        [float(rows[name][i]) for name in ("mean_average_precision", "p_value") for i in order],
    )


def run(settings: Settings) -> list[Row]:
    small, large = (960, 9_216) if settings.quick else (9_216, 100_000)
    rows = []
    if find_spec("copairs") is not None:
        theirs, mine = apart(copairs, n=small), apart(ours, n=small, legacy=True)
        gap = float(np.abs(np.subtract(theirs.value, mine.value)).max())
        if not gap < 1e-6:
            raise RuntimeError(f"means and p-values differ from copairs' by {gap}")
        note = f"copairs, its usual recipe; means and p-values equal to {gap:.0e}"
        rows.append(Row(f"activity of {small:,} wells, 384 features", theirs, mine, "", note))
    for n in (small, large):
        side = apart(ours, n=n, legacy=False)
        note = "no public counterpart, controls held out: both columns are ours"
        rows.append(Row(f"activity of {n:,} wells, 384 features", side, side, "2 GB", note))
    return rows
