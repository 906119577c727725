"""Activity beside each row: `polaris_rxrx.suites.activity` by gene, and by compound at each concentration.

Conventions
    Genes and compounds are tested among themselves, and corrected so. Rows with fewer than `MIN_WELLS` wells,
    or whose wells have no controls to be held against, are not tested (NaN).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError
from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.blocks import Part
from polaris_rxrx.explore.rows import Rows
from polaris_rxrx.maps.align import AlignBy
from polaris_rxrx.parallel import Effort
from polaris_rxrx.suites.activity import evaluate_activity
from polaris_rxrx.suites.groups import By
from polaris_rxrx.suites.result import Result
from polaris_rxrx.wells.source import WellSource

MIN_WELLS = 3
SIDES: dict[str, By] = {"CRISPR": "gene", "COMPOUND": "compound-concentration"}
_COLUMNS = {
    "activity_map": "mean_average_precision",
    "activity_p": "p_value",
    "activity_q": "p_adjusted",
}


def activity(
    rows: Rows, wells: WellSource, align_by: AlignBy, *, seed: int = 0, effort: Effort | None = None
) -> Part:
    """The suite's figures for every row that it tests; a side that it refuses is told of."""
    effort = effort or Effort()
    held = {name: np.full(len(rows), np.nan, dtype=np.float32) for name in _COLUMNS}
    sides: list[dict[str, Any]] = []
    notes = []
    for kind, by in SIDES.items():
        if not len(rows.map_.rows(kind)):
            continue
        try:
            with effort.at_work() as who:
                found = evaluate_activity(
                    wells,
                    by=by,
                    align_by=align_by,
                    min_wells=MIN_WELLS,
                    seed=seed,
                    max_memory=effort.own_memory,
                    who=who,
                )
        except DataError as error:
            notes.append(f"No activity by {by}: {error}")
            continue
        _fill(held, rows, kind, found)
        summary = {name: found.summary[name] for name in ("mean", "share_active")}
        sides.append(
            {
                "type": kind,
                "by": by,
                "min_wells": MIN_WELLS,
                "n_tested": found.summary["n_perturbations"],
                **summary,
                "protocol": found.to_dict()["protocol"],
            }
        )
    if not sides:
        return Part(missing={"activity": "; ".join(notes)})
    written = {name: blocks.write(values) for name, values in held.items()}
    return Part({"activity": {"sides": sides}}, written, tuple(notes))


def _fill(held: dict[str, Any], rows: Rows, kind: str, found: Result) -> None:
    p = rows.map_.perturbations
    table = found.tables["perturbations"]
    doses = table.get("concentration", [None] * len(table["perturbation"]))
    at = {
        (name, None if dose is None else float(dose)): i
        for i, (name, dose) in enumerate(zip(table["perturbation"], doses, strict=True))
    }
    for row in rows.map_.rows(kind).tolist():
        dose = float(p.concentration[row])
        i = at.get((p.name[row], None if np.isnan(dose) else dose))
        if i is not None:
            for name, column in _COLUMNS.items():
                held[name][row] = table[column][i]
