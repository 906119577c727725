"""In which unit a column of affinities or concentrations stands, told from the whole column.

Conventions
    An affinity is expected in nM, the concentration of a well in uM. A number says nothing of its unit, a
    column does. What follows decides; every rule names a unit only where the column would be hard to explain
    in the expected one, so a table of a few plausible numbers passes. In this order, v being the values:

    Affinities (`affinity_unit`), of at least `FEW` of them:
    1. half of v is below 0 and all of |v| is at most 20: logarithms; of `SEVERAL`, one below 0 will do;
    2. all of v is below .01 (nobody measures 10 pM throughout): mM or M, whichever puts the median nearer to
       `TYPICAL`;
    of at least `SEVERAL`, `DIFFERENT` of them different:
    3. nine in ten of v in 2 to 14, all in 0 to 20: pActivity, -log10 of M;
    4. one in five of v (and four) above 0 and below 1: uM, mM or M, as in 2. Of the published 2,921
       affinities 2.3% are below 1 nM, of those that are active 4.9%;
    5. more than half of v above 100,000 (where assays end): pM;
    of at least `MANY`:
    6. all of v in 0 to 10: logarithms;
    7. all of v in 0 to 100, half of it over 25 or one in twenty of it 0: percent.
    Where a column of units stands beside them (`UNITS`), or one of types (`pIC50`), that decides instead.

    Concentrations (`concentration_unit`), d being the different ones:
    1. all of d below 0, and none below -20: logarithms;
    2. all of d below .001 (1 nM, as uM): mM or M;
    3. some of d is 1,000 or more (1 mM, as uM), and more of d are nominal in nM than in uM, or half of d is
       1,000 or more, or four of d and twice as many are nominal in nM: nM, or pM likewise;
    4. more of d are nominal in mM than in uM, and at least two: mM.
    A column of units (`CONCENTRATION_UNITS`) decides instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from polaris_rxrx.errors import DataError, short, some
from polaris_rxrx.types import Floats

FEW, SEVERAL, DIFFERENT, MANY = 3, 10, 5, 20
TYPICAL = 2.5  # log10 of nM: the published table's median is 1,600 nM, that of its actives 50 nM
UNITS = ("units", "unit", "standard_units", "standard_unit", "affinity_unit", "affinity_units")
CONCENTRATION_UNITS = ("concentration_unit", "concentration_units")
PACTIVITY, LOG, PERCENT = "pActivity (-log10 of M)", "logarithms", "percent"
NO_AMOUNT = (PACTIVITY, LOG, PERCENT)

# Unit -> how many of the expected one it is.
TO_NM = {"pM": 1e-3, "nM": 1.0, "uM": 1e3, "mM": 1e6, "M": 1e9}
_WORDS = {
    "picomolar": "pM",
    "nanomolar": "nM",
    "micromolar": "uM",
    "millimolar": "mM",
    "molar": "M",
    "mol/l": "M",
    "nmol/l": "nM",
    "umol/l": "uM",
    "mmol/l": "mM",
    "pmol/l": "pM",
}
_P = re.compile(
    r"(.*[^a-z])?p(ic|ec|xc|ac|gi|cc)?_?(50|ki|kd|act(ivity)?|aff(inity)?|chembl)(_?values?)?", re.I
)
_P_KNOWN = re.compile(r"(.*[^a-z])?(pchembl|pactivity|paffinity|ppotency)(_?values?)?", re.I)


def of_name(name: str) -> str | None:
    """The unit that a column's name, or a cell of a column of units or types, tells of; None if none."""
    text = name.strip().replace("µ", "u").replace("μ", "u")
    if re.search(r"%|percent|inhibition", text, re.I):
        return PERCENT
    if _P.fullmatch(text) or _P_KNOWN.fullmatch(text):
        return PACTIVITY
    if re.match(r"(neg_?|-)?([Ll]og|LOG)(10)?(?![a-z])", text):
        return LOG
    for word in re.split(r"[\s_()\[\],.:-]+", text)[::-1]:
        if word in TO_NM:
            return word
        if (lower := word.lower()) in _WORDS:
            return _WORDS[lower]
        if lower in ("um", "nm", "pm"):
            return f"{lower[0]}M"
    return None


def affinity_unit(values: Sequence[float] | Floats) -> str | None:
    """What affinities look like if not like nM; None if they may well be nM.

    Args:
        values: Finite or not, of any sign; shape (n,).
    """
    v = np.asarray(values, dtype=np.float64)
    v = v[np.isfinite(v)]
    if len(v) < FEW:
        return None
    if np.mean(v < 0) >= 0.5:
        return LOG if np.abs(v).max() <= 20 else None
    if (v < 0).any():
        if len(v) >= SEVERAL and np.abs(v).max() <= 20:
            return LOG
        return PERCENT if _percent(v, low=-100.0, high=150.0) else None
    if 0 < v.max() < 0.01:
        return _larger(v, ("mM", "M"))
    if len(v) < SEVERAL or len(np.unique(v)) < DIFFERENT:
        return None
    if np.mean((v >= 2) & (v <= 14)) >= 0.9 and v.max() <= 20:
        return PACTIVITY
    if np.sum((v > 0) & (v < 1)) >= max(4, 0.2 * len(v)):
        return _larger(v, ("uM", "mM", "M"))
    if np.median(v) > 1e5:
        return "pM"
    if len(v) >= MANY and v.max() <= 10:
        return LOG
    return PERCENT if _percent(v, low=0.0, high=100.0) else None


def _percent(v: Floats, *, low: float, high: float) -> bool:
    if len(v) < MANY or v.min() < low or v.max() > high:
        return False
    return bool(np.mean(v > 25) >= 0.5 or np.mean(v <= 0) >= 0.05)


def _larger(v: Floats, units: Iterable[str]) -> str:
    middle = float(np.log10(np.median(v[v > 0])))
    return min(units, key=lambda unit: abs(middle + np.log10(TO_NM[unit]) - TYPICAL))


def concentration_unit(values: Iterable[float], nominal: Collection[float]) -> str | None:
    """What concentrations of wells look like if not like uM; None if they may well be uM.

    Args:
        values: Those that occur; what is not finite is passed over.
        nominal: The nominal ones of RxRx3-core, in uM.
    """
    d = np.unique([v for v in values if np.isfinite(v)])
    if not len(d):
        return None
    if d.max() < 0:
        return LOG if d.min() >= -20 else None
    if d.min() <= 0:
        return None

    def known(factor: float) -> int:
        return sum(bool(np.isclose(d / factor, n, rtol=1e-6, atol=0).any()) for n in nominal)

    as_uM = known(1.0)
    if d.max() < 1e-3:
        return "mM" if known(1e-3) > known(1e-6) or (not known(1e-6) and d.max() > 1e-4) else "M"
    smaller = max(known(1e3), known(1e6))
    large = d.max() >= 1e3 and (smaller > as_uM or np.mean(d >= 1e3) >= 0.5)
    if large or smaller >= max(4, 2 * as_uM + 1):
        return "pM" if known(1e6) > known(1e3) or (not known(1e3) and d.max() > 1e7) else "nM"
    return "mM" if known(1e-3) > max(as_uM, 1) else None


def affinity_cure(unit: str, name: str) -> str:
    """How to make nM of a column in another unit."""
    if unit == PACTIVITY:
        return f"nM_value = 10 ** (9 - {name})"
    if unit == LOG:
        return f"nM_value = 10 ** ({name} + 9) for log10 of M, 10 ** {name} for log10 of nM"
    if unit == PERCENT:
        return "it can't be made of a percentage at one dose"
    if unit == "nM":
        return f"nM_value = {name}"
    factor = TO_NM[unit]
    return f"nM_value = {name} * {factor:,.0f}" if factor > 1 else f"nM_value = {name} / {1 / factor:,.0f}"


def refuse_concentrations(
    path: Path, cells: Iterable[str], stated: Mapping[str, Iterable[str | None]], nominal: Collection[float]
) -> None:
    """Raise `DataError` where the concentrations of wells are not in uM, all in all.

    Args:
        path: Their file, for messages.
        cells: Those that occur, as text.
        stated: The cells of columns of units.
        nominal: As of `concentration_unit`.
    """
    said = {cell: of_name(cell) for column in stated.values() for cell in column if cell}
    for cell, unit in said.items():
        if unit not in (None, "uM"):
            raise DataError(
                f"{path}: {some(list(stated))} says {short(cell)}; concentrations in uM were expected"
            )
    if said and all(said.values()):
        return
    values = []
    for text in cells:
        with suppress(ValueError):
            values.append(float(text))
    found = concentration_unit(values, nominal)
    if found is None:
        return
    values = [v for v in values if np.isfinite(v)]
    raise DataError(
        f"{path}: the concentrations are {min(values):g} to {max(values):g}; all in all that looks like "
        f"{found}. uM was expected: {concentration_cure(found)}. If they are uM, say so in a column "
        "`concentration_unit` that holds uM"
    )


def concentration_cure(unit: str) -> str:
    """How to make uM of concentrations in another unit."""
    if unit == LOG:
        return "10 ** (concentration + 6) for log10 of M, 10 ** concentration for log10 of uM"
    factor = TO_NM[unit] / TO_NM["uM"]
    return f"concentration * {factor:,.0f}" if factor > 1 else f"concentration / {1 / factor:,.0f}"
