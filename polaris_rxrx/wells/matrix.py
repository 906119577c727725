"""A matrix of wells whose ids are always the same, as a model gives one at every checkpoint.

Conventions
    The ids are joined with the metadata once; then a matrix (n, d), a row an id in their order, becomes what
    `read_wells` makes of a table with these ids and values. Of the values it is only asked whether they are
    finite; zero rows, equal rows and outliers are not looked for, and the provenance says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, some
from polaris_rxrx.types import Ints
from polaris_rxrx.wells.memory import Wells, read_wells
from polaris_rxrx.wells.metadata import Metadata

_AT_ONCE = 10_000


@dataclass(frozen=True, eq=False)
class WellOrder:
    """Where the rows of a matrix go: `order` (n wells,) of `wells`, which have no values yet.

    >>> import pandas as pd
    >>> ids = pd.read_csv("data/metadata_rxrx3_core.csv")["well_id"].tolist()
    >>> order = pr.WellOrder.of("data/metadata_rxrx3_core.csv", ids)  # once
    >>> wells = order.wells(np.random.default_rng(0).normal(size=(4376, 16)))  # at every checkpoint
    >>> wells.x.shape
    (4376, 16)
    """

    ids: Sequence[str]
    order: Ints
    places: Wells

    @classmethod
    def of(cls, metadata: Path | str | Metadata, well_ids: Sequence[str], **choices: Any) -> WellOrder:
        """Join ids with the metadata.

        Args:
            metadata: As for `read_wells`.
            well_ids: Of the rows of every matrix to come, each once.
            choices: `allow_missing`, `guides` and `design` of `read_wells`.

        Raises:
            UsageError: An id stands twice.
            DataError: As of `read_wells`.

        >>> import pandas as pd
        >>> ids = pd.read_csv("data/metadata_rxrx3_core.csv")["well_id"].tolist()
        >>> order = pr.WellOrder.of("data/metadata_rxrx3_core.csv", ids)
        >>> order.order.shape, sorted(order.order) == list(range(4376))
        ((4376,), True)
        """
        import pyarrow as pa

        ids = [str(one) for one in well_ids]
        if len(set(ids)) < len(ids):
            seen: set[str] = set()
            twice = [one for one in ids if one in seen or seen.add(one)]  # type: ignore[func-returns-value]
            raise UsageError(f"well ids {some(twice)} stand twice; `read_wells` takes means of such rows")
        number = pa.array(np.arange(len(ids), dtype=np.float64))
        found = read_wells(metadata, pa.table({"well_id": ids, "feature_0": number}), **choices)
        return cls(ids, found.x[:, 0].astype(np.int64), found)

    def wells(self, x: Any) -> Wells:
        """The wells of a matrix (n ids, d): float32, or what is wider.

        Raises:
            DataError: It has another number of rows, no column, or a value that is not finite.

        >>> import pandas as pd
        >>> ids = pd.read_csv("data/metadata_rxrx3_core.csv")["well_id"].tolist()
        >>> order = pr.WellOrder.of("data/metadata_rxrx3_core.csv", ids)
        >>> rows = np.arange(4376)[:, None]
        >>> bool((order.wells(rows).x[:, 0] == order.order).all())
        True
        """
        x = np.asarray(x)
        if x.ndim != 2 or len(x) != len(self.ids) or not x.shape[1]:
            raise DataError(
                f"a matrix of the shape {x.shape} was given; {len(self.ids):,} rows, one a well id, and a "
                "column a feature were expected"
            )
        if x.dtype != np.float64:
            x = x.astype(np.float32, copy=False)
        made = x[self.order]
        for start in range(0, len(made), _AT_ONCE):
            finite = np.isfinite(made[start : start + _AT_ONCE])
            if not finite.all():
                row, column = np.argwhere(~finite)[0].tolist()
                at = self.order[start + row]
                value = made[start + row, column]
                raise DataError(
                    f"feature {column} of well {self.ids[at]!r} (row {at}) is {value}; an embedding holds "
                    "finite numbers"
                )
        reading = {"features": int(x.shape[1]), "values": "a matrix, whose values are finite"}
        return replace(
            self.places,
            x=made,
            features=[f"feature_{i}" for i in range(x.shape[1])],
            notes=(),
            provenance={**self.places.provenance, "reading": reading},
        )
