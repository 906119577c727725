"""Neighbors: how many objects of its kind an object has beside it, how near, and at which angle.

Conventions
    As cp_measure's `measureobjectneighbors`, within a number of pixels or `Adjacent`. The numbers of the
    nearest objects are names and no measurements, and are left out. An object that is alone has no neighbor
    and nothing touches it (0, 0), and no distance or angle (NaN); with one other there is no second (NaN).
    cp_measure fails on the one and has 0 for the other.
"""

from __future__ import annotations

import numpy as np

from polaris_rxrx.featurize.families.objects import Columns, Objects

_SECOND = ("SecondClosestDistance", "AngleBetweenNeighbors")
_APART = ("FirstClosestDistance", *_SECOND)
FEATURES = ("NumberOfNeighbors", "PercentTouching", *_APART)


def neighbors(objects: Objects, distance: int | None) -> Columns:
    """Neighbors within `distance` pixels of expansion, or touching ones (None)."""
    from cp_measure.multimask import measureobjectneighbors as cp

    scale = "Adjacent" if distance is None else str(distance)
    found = {name: np.zeros(len(objects)) for name in FEATURES}
    for name in _APART if len(objects) == 1 else ():
        found[name][:] = np.nan
    if len(objects) > 1:
        method = cp.D_ADJACENT if distance is None else cp.D_WITHIN
        with np.errstate(divide="ignore", invalid="ignore"):  # two nuclei of one center
            measured = cp.measureobjectneighbors(objects.labels, objects.labels, method, distance or 1)
        for name in FEATURES:
            found[name] = np.asarray(measured[f"Neighbors_{name}_{scale}"], dtype=np.float64)
    for name in _SECOND if len(objects) == 2 else ():
        found[name] = np.full(2, np.nan)
    return {f"Neighbors_{name}_{scale}": values for name, values in found.items()}
