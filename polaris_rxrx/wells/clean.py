"""Feature tables of CellProfiler's kind, made fit for alignment.

In this order, every decision resting on control wells except the first two, which count what is absent (not
finite, or beyond `LARGEST`):
    1. a feature that is absent in more than `MAX_ABSENT` of the wells is dropped, where wells without a value
       in any feature, in which no cell was found, do not count: they say nothing of a feature;
    2. a well in which more than `MAX_ABSENT_IN_WELL` of the features left are absent is dropped;
    3. a feature that is constant over the control wells is dropped;
    4. what is still absent becomes the feature's median over the control wells;
    5. values beyond `TAIL` robust standard deviations (1.4826 MAD; where that is 0, the standard deviation)
       from that median are set to the bound: heavy tails would own the principal components;
    6. every feature is centered and scaled on all control wells (population standard deviation): areas stand
       beside correlations, and principal components, whose order is that of size, would see the areas alone.

What comes out has no unit: change a feature's, and nothing changes but the last bits. It is float64 for that
reason, whatever came in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from polaris_rxrx import limits
from polaris_rxrx.errors import DataError, some
from polaris_rxrx.types import Bools, Floats
from polaris_rxrx.wells.memory import Wells

MAX_ABSENT = 0.05
MAX_ABSENT_IN_WELL = 0.5
TAIL = 10.0
LARGEST = 1e300  # so that no difference or bound overflows
_COLUMNS_AT_ONCE = 64


@dataclass(frozen=True)
class Cleaning:
    """What `clean` did."""

    n_features: int
    mostly_missing: tuple[str, ...]
    constant: tuple[str, ...]
    n_wells_dropped: int
    n_wells_absent: int
    n_imputed: int
    n_clipped: int

    def to_dict(self) -> dict[str, Any]:
        rule = {
            "max_absent": MAX_ABSENT,
            "max_absent_in_well": MAX_ABSENT_IN_WELL,
            "tail": TAIL,
            "scaled_on": "all control wells",
        }
        return {**asdict(self), "rule": rule}

    def __str__(self) -> str:
        parts = [
            f"{self.n_features:,} features in",
            f"{len(self.mostly_missing):,} dropped as mostly missing"
            + (f" ({some(self.mostly_missing, 3)})" if self.mostly_missing else ""),
            f"{len(self.constant):,} dropped as constant"
            + (f" ({some(self.constant, 3)})" if self.constant else ""),
            f"{self.n_wells_dropped:,} wells dropped as mostly missing",
            f"{self.n_wells_absent:,} wells not in the table",
            f"{self.n_imputed:,} values imputed",
            f"{self.n_clipped:,} values clipped",
            "every feature centered and scaled on all control wells",
        ]
        return "; ".join(parts)


def clean(wells: Wells) -> tuple[Wells, Cleaning]:
    """Apply the steps above; the matrix of `wells` is left as it was.

    Raises:
        DataError: Nothing is left.

    >>> profiles = "data/CellProfiler_rxrx3_core_embeddings.parquet"
    >>> wells = pr.read_wells("data/metadata_rxrx3_core.csv", profiles, allow_nan=True, allow_missing=True)
    >>> cleaned, done = clean(wells)
    >>> cleaned.x.shape[1] == len(cleaned.features) < len(wells.features)
    True
    >>> bool(np.isfinite(cleaned.x).all())
    True
    """
    table = wells.sources.get("embeddings", "the table")
    absent = np.zeros(wells.x.shape, dtype=bool)
    for a in range(0, wells.x.shape[1], _COLUMNS_AT_ONCE):
        part = wells.x[:, a : a + _COLUMNS_AT_ONCE].astype(np.float64)
        absent[:, a : a + _COLUMNS_AT_ONCE] = ~(np.abs(part) <= LARGEST)
    empty = absent.all(axis=1)
    counted = np.count_nonzero(absent, axis=0) - np.count_nonzero(empty)
    full = (counted / max(np.count_nonzero(~empty), 1) <= MAX_ABSENT) & (not empty.all())
    mostly_missing = _names(wells, ~full)
    if not full.any():
        raise DataError(f"{table}: every feature is mostly missing")
    whole = absent[:, full].mean(axis=1) <= MAX_ABSENT_IN_WELL
    kept = np.flatnonzero(full)
    control = wells.control[whole]
    if not control.any():
        raise DataError(f"{table}: no control well is left after cleaning")

    # A few columns at a time, so the peak is one matrix in and one out.
    x = limits.empty((int(whole.sum()), len(kept)), np.float64, 0 if limits.is_on_disk(wells.x) else None)
    varies = np.empty(len(kept), dtype=bool)
    n_imputed = n_clipped = 0
    for a in range(0, len(kept), _COLUMNS_AT_ONCE):
        columns = kept[a : a + _COLUMNS_AT_ONCE]
        part = wells.x[np.ix_(np.flatnonzero(whole), columns)].astype(np.float64)
        part[~(np.abs(part) <= LARGEST)] = np.nan
        out, varying, imputed, clipped = _clean_columns(part, control)
        x[:, a : a + len(columns)], varies[a : a + len(columns)] = out, varying
        limits.release(x)
        limits.release(wells.x)
        n_imputed, n_clipped = n_imputed + imputed, n_clipped + clipped
    if not varies.any():
        raise DataError(f"{table}: every feature is constant in control wells")
    constant = tuple(wells.features[i] for i in kept[~varies])
    cleaned = replace(
        wells,
        x=x if varies.all() else np.ascontiguousarray(x[:, varies]),
        features=[wells.features[i] for i in kept[varies]],
        experiment=wells.experiment[whole],
        perturbation=wells.perturbation[whole],
        control=control,
        plate=None if wells.plate is None else wells.plate[whole],
        position=None if wells.position is None else wells.position[whole],
        labels=None if wells.labels is None else wells.labels.take(whole),
    )
    report = Cleaning(
        n_features=wells.x.shape[1],
        mostly_missing=mostly_missing,
        constant=constant,
        n_wells_dropped=int((~whole).sum()),
        n_wells_absent=wells.missing,
        n_imputed=n_imputed,
        n_clipped=n_clipped,
    )
    return cleaned, report


def _clean_columns(x: Floats, control: Bools) -> tuple[Floats, Bools, int, int]:
    """Steps 3 to 6 on some columns: values, which of them vary, how many imputed and clipped."""
    c = x[control]
    seen = ~np.isnan(c).all(axis=0)
    median, deviation = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    median[seen] = np.nanmedian(c[:, seen], axis=0)
    spread = np.zeros(x.shape[1])
    # In units of the largest distance from the median, whose square always fits.
    away = c[:, seen] - median[seen]
    reach = np.nanmax(np.abs(away), axis=0)
    reach[reach == 0] = 1.0
    spread[seen] = np.nanstd(away / reach, axis=0) * reach
    deviation[seen] = 1.4826 * np.nanmedian(np.abs(away), axis=0)
    # A spread this small beside the values is the rounding of float32, not variation.
    varies = seen & (spread > 1e-7 * np.abs(median))
    bound = TAIL * np.where(deviation > 0, deviation, spread)
    holes = np.isnan(x)
    x = np.where(holes, median, x)
    out = np.clip(x, median - bound, median + bound)
    clipped = int((out != x)[:, varies].sum())
    # In units of the bound first, so that no unit is too large or too small for a square.
    out = (out - median) / np.where(bound > 0, bound, 1.0)
    out -= out[control].mean(axis=0)
    scale = out[control].std(axis=0)
    out /= np.where(scale > 0, scale, 1.0)
    return out, varies, int(holes[:, varies].sum()), clipped


def _names(wells: Wells, which: Bools) -> tuple[str, ...]:
    return tuple(wells.features[i] for i in np.flatnonzero(which))
