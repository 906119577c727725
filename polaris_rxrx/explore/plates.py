"""Plates by well: scores and features where they were measured, so that effects of edges are seen.

Conventions
    Scores, each of an aligned well:
        length: its distance from the mean of its batch's control wells, over the median such distance of
            these (a control well is at about 1);
        own: its cosine with the mean of its perturbation's other wells; controls have none.
    Features are as they were read. A score is kept in `LEVELS` steps from its 0.5% to its 99.5% quantile over
    all wells; what lies outside is at the ends.
    Addresses are letters and a number, `A01` or `AF48`. A page has at most `MAX_WELLS` wells unless more are
    asked for: of more, the first plate of each batch, then the second, until the next would not fit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, short, some
from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.blocks import Part
from polaris_rxrx.explore.rows import Rows
from polaris_rxrx.explore.wells import AlignedBlock, labels_of, rows_of
from polaris_rxrx.maps.build import Map
from polaris_rxrx.types import Bools, Floats, Ints
from polaris_rxrx.wells.design import Groups
from polaris_rxrx.wells.source import WellSource

LEVELS = 63
MAX_WELLS = 250_000
MAX_FEATURES = 5
ENDS = (0.005, 0.995)
_ADDRESS = re.compile(r"\s*([A-Za-z]{1,2})0*(\d{1,3})\s*")
SCORES = (
    (
        "length",
        "Distance from controls",
        "How far an aligned well lies from its batch's control wells, in units of how far these lie",
    ),
    (
        "own",
        "Cosine with its replicates",
        "Cosine of an aligned well with the mean of its perturbation's other wells",
    ),
)


def places_of(addresses: Groups) -> tuple[Ints, Ints]:
    """Row and column, from 0, of each address that there is.

    Raises:
        DataError: An address is not letters and a number.
    """
    row, column = [], []
    for text in addresses.names:
        found = _ADDRESS.fullmatch(text)
        if found is None or int(found[2]) == 0:
            raise DataError(f"the address {short(text)} is not one such as A01")
        letters = found[1].upper()
        row.append(ord(letters[-1]) - 65 + (26 * (ord(letters[0]) - 64) if len(letters) == 2 else 0))
        column.append(int(found[2]) - 1)
    return np.array(row, dtype=np.int64), np.array(column, dtype=np.int64)


def features_at(features: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """The columns of the features asked for.

    Raises:
        UsageError: More than `MAX_FEATURES`, or one that there is not.
    """
    if len(wanted) > MAX_FEATURES:
        raise UsageError(f"{len(wanted)} features for plates; at most {MAX_FEATURES} were expected")
    at = {name: i for i, name in enumerate(features)}
    if unknown := [name for name in wanted if name not in at]:
        raise UsageError(
            f"there is no feature {some(unknown)} for plates; there are {some(list(features), 3)}"
        )
    return [at[name] for name in wanted]


class Plates:
    """Gathers the scores of wells, batch after batch.

    Args:
        rows: Of the page.
        wells: Read with their labels.
        means: The map of these wells' means.
        features: Columns of features that are shown as they are.
        max_wells: At most so many wells.
    """

    def __init__(
        self,
        rows: Rows,
        wells: WellSource,
        means: Map,
        features: Sequence[int] = (),
        max_wells: int = MAX_WELLS,
    ) -> None:
        self._rows, self._wells = rows, wells
        self._row = rows_of(rows, wells.perturbations)
        self._mean = rows_of(Rows(means, len(means)), wells.perturbations)
        self._means, self._features, self._max_wells = means, list(features), max_wells
        n = len(wells.places.perturbation)
        self._scores = np.full((len(SCORES) + len(self._features), n), np.nan, dtype=np.float32)
        self._control = np.zeros(n, dtype=bool)
        self._batch = np.zeros(n, dtype=np.int64)
        self._batches: list[str] = []

    def see(self, aligned: AlignedBlock) -> None:
        """Take the scores of a batch's wells."""
        block, x, at = aligned.block, aligned.x, aligned.rows
        self._control[at] = block.control
        self._batch[at] = len(self._batches)
        self._batches.append(block.experiment)
        if block.control.any():
            away = np.linalg.norm(x - x[block.control].mean(axis=0), axis=1)
            usual = float(np.median(away[block.control]))
            self._scores[0, at] = away / usual if usual > 0 else np.nan
        self._scores[1, at] = self._own(x, np.where(block.control, -1, self._mean[block.perturbation]))
        for k, column in enumerate(self._features, len(SCORES)):
            self._scores[k, at] = block.x[:, column]

    def _own(self, x: Floats, row: Ints) -> Floats:
        """Cosines of wells (n, d) with the means of the other wells of their rows, -1 being none."""
        found = np.full(len(x), np.nan)
        n = self._means.n_wells[row]
        there = np.flatnonzero((row >= 0) & (n > 1))
        own = x[there]
        others = self._means.x[row[there]] * n[there, None] - own
        length = np.linalg.norm(own, axis=1) * np.linalg.norm(others, axis=1)
        dot = np.einsum("ij,ij->i", own, others)
        found[there] = np.divide(dot, length, out=np.full_like(dot, np.nan), where=length > 0)
        return found

    def part(self) -> Part:
        """The plates; nothing, and why, where the metadata do not say where wells are."""
        labels = labels_of(self._wells)
        assert labels is not None
        if labels.plate is None or labels.address is None:
            what = "plates" if labels.plate is None else "addresses"
            return Part(missing={"plates": f"The well metadata have no column of {what}"})
        try:
            row, column = places_of(labels.address)
        except DataError as error:
            return Part(missing={"plates": f"Wells cannot be placed: {error}"})
        shape = int(row.max()) + 1, int(column.max()) + 1
        place = (row * shape[1] + column)[labels.address.code]
        key = self._batch * len(labels.plate.names) + labels.plate.code
        order = np.lexsort((place, key))
        plates, n_wells = np.unique(key, return_counts=True)
        kept = _kept(plates // len(labels.plate.names), n_wells, self._max_wells)
        order = order[np.repeat(kept, n_wells)]
        batch, plate = np.divmod(plates[kept], len(labels.plate.names))
        document: dict[str, Any] = {"rows": shape[0], "columns": shape[1], "n_wells": len(order)}
        document["plates"] = [
            {"batch": b, "name": labels.plate.names[p], "n_wells": n}
            for b, p, n in zip(batch.tolist(), plate.tolist(), n_wells[kept].tolist(), strict=True)
        ]
        more, held = self._contents(order)
        scores, levels = self._levels(order)
        document |= {**more, "levels": LEVELS, "scores": scores}
        held |= {"plate_place": blocks.write(place[order].astype(np.uint16), delta=True), **levels}
        notes = []
        if not kept.all():
            notes.append(
                f"The page has {int(kept.sum()):,} of {len(kept):,} plates, of each batch the first ones; "
                "--max-wells N keeps more"
            )
        return Part({"plates": document}, held, tuple(notes))

    def _contents(self, order: Ints) -> tuple[dict[str, Any], dict[str, Any]]:
        """What was put into the wells, as indices into a list for each batch."""
        code = self._wells.places.perturbation[order]
        names = self._wells.perturbations.name
        row = np.where(self._control[order], -1, self._row[code])
        other = np.flatnonzero(row < 0)
        what = [
            (names[c], bool(self._control[i]) or names[c].endswith("_control"))
            for c, i in zip(code[other].tolist(), order[other].tolist(), strict=True)
        ]
        labels = sorted(set(what))
        at = {label: len(self._rows) + k for k, label in enumerate(labels)}
        row[other] = [at[label] for label in what]
        content, lists, batches = np.zeros(len(order), dtype=np.int64), [], []
        batch = self._batch[order]
        for number, name in enumerate(self._batches):
            own = np.flatnonzero(batch == number)
            unique, index = np.unique(row[own], return_inverse=True)
            content[own] = index.reshape(-1)
            lists.append(unique)
            batches.append({"name": name, "n_content": len(unique)})
        most = max((len(own) for own in lists), default=0)
        document = {
            "batches": batches,
            "labels": [name for name, _ in labels],
            "control": [control for _, control in labels],
        }
        kind = blocks.index_type(len(self._rows) + len(labels))
        held = {
            "plate_content": blocks.write(content.astype(blocks.index_type(most))),
            "plate_list": blocks.write(np.concatenate(lists).astype(kind), delta=True),
        }
        return document, held

    def _levels(self, order: Ints) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Each score in steps."""
        names = [self._wells.features[i] for i in self._features]
        about = [
            *SCORES,
            *((f"feature {name}", name, "A feature of the well, as it was read") for name in names),
        ]
        scores, held = [], {}
        for k, (key, title, told) in enumerate(about):
            values = self._scores[k, order]
            known = np.isfinite(values)
            low, high = np.quantile(values[known], ENDS).tolist() if known.any() else (0.0, 0.0)
            step = (high - low) / (LEVELS - 1) or 1.0
            level = np.clip(np.rint((np.where(known, values, low) - low) / step), 0, LEVELS - 1) + 1
            held[f"plate_score_{k}"] = blocks.write(np.where(known, level, 0).astype(np.uint8))
            feature = k >= len(SCORES)
            scores.append(
                {"key": key, "title": title, "about": told, "low": low, "high": high, "feature": feature}
            )
        return scores, held


def _kept(batch: Ints, n_wells: Ints, most: int) -> Bools:
    """Which plates are kept: of each batch in turn, while there is room."""
    first = np.searchsorted(batch, batch)  # plates come batch after batch
    turn = np.lexsort((batch, np.arange(len(batch)) - first))
    kept = np.zeros(len(batch), dtype=bool)
    kept[turn[np.cumsum(n_wells[turn]) <= most]] = True
    return kept
