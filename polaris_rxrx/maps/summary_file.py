"""Summaries on disk: a parquet file from which maps are made without the wells.

Conventions
    Rows have a `kind`: `sum` (a perturbation's wells in a batch, added), `control` (a control well), or, in
    place of more than `ROWS` x d control wells of a batch, `mean` (one row) and `scatter` (d rows) of them.
    Other columns are `batch`, `perturbation_type`, `perturbation`, `concentration` (uM), `n_wells` (of a mean
    the number of control wells) and one float64 column a feature, `f0` ... A batch is a row group, so that a
    map is made with one batch in memory. JSON under the schema key `polaris_rxrx_summary` holds the features,
    their kind of number and the provenance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx import bounded
from polaris_rxrx._version import __version__
from polaris_rxrx.dataset.rxrx3 import TYPES
from polaris_rxrx.errors import DataError, short
from polaris_rxrx.files import new_file, open_binary, sha256
from polaris_rxrx.maps.align import Moments, moments
from polaris_rxrx.maps.collect import ROWS, Collected
from polaris_rxrx.maps.summary import BatchSummary, Controls, SummaryPlaces
from polaris_rxrx.types import Floats, Matrix, Progress
from polaris_rxrx.wells.metadata import Perturbations

KEY = b"polaris_rxrx_summary"
LEFT = ("kind", "batch", "perturbation_type", "perturbation", "concentration", "n_wells")


def save_summary(summary: Collected, path: Path, *, progress: Progress | None = None) -> None:
    """Write a summary, whole or not at all.

    Raises:
        DataError: An experiment's control wells have squares that float64 does not hold.

    >>> from polaris_rxrx.maps.collect import collect
    >>> from polaris_rxrx.wells.opened import open_wells
    >>> files = "data/metadata_rxrx3_core.csv", "data/OpenPhenom_rxrx3_core_embeddings.parquet"
    >>> save_summary(collect(open_wells(*files, features="feature_?")), Path("summary.parquet"))
    >>> pr.build_map(load_summary(Path("summary.parquet"))).x.shape
    (432, 10)
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    d = len(summary.features)
    kept = {
        "version": 1,
        "polaris_rxrx": __version__,
        "features": summary.features,
        "dtype": str(summary.control_rows.dtype),
        "provenance": summary.provenance,
        "notes": list(summary.notes),
        "sources": {name: Path(source).name for name, source in summary.sources.items()},
    }
    types = [pa.string()] * 4 + [pa.float64(), pa.int64()]
    fields = [*zip(LEFT, types, strict=True), *((f"f{i}", pa.float64()) for i in range(d))]
    schema = pa.schema(fields, {KEY: json.dumps(kept).encode()})
    total = len(np.unique(summary.group_batch))
    with new_file(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for done, batch in enumerate(summary.batches(), 1):
            left, x = _rows_of(batch, summary.perturbations, d)
            columns = [pa.array(left[n], t) for n, t in zip(LEFT, types, strict=True)]
            columns += [pa.array(column) for column in x.T]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=max(len(x), 1))
            if progress is not None:
                progress("writing", done, total)


def _rows_of(batch: BatchSummary, p: Perturbations, d: int) -> tuple[dict[str, list[Any]], Floats]:
    """A batch as rows: the left columns, and the features (n, d)."""
    controls = batch.controls
    if not isinstance(controls, Moments) and len(controls) > ROWS * d:
        controls = moments(controls)
        if not np.isfinite(controls.scatter).all():
            raise DataError(
                f"experiment {batch.batch!r}: the control wells' squares do not fit into float64; are values "
                "damaged?"
            )
    below: Floats
    if isinstance(controls, Moments):
        below = np.vstack([controls.mean, controls.scatter])
        kinds, counts = ["mean"] + ["scatter"] * d, [controls.n] + [None] * d
    else:
        below = controls.astype(np.float64)
        kinds, counts = ["control"] * len(controls), [1] * len(controls)
    at, none = batch.perturbation.tolist(), [None] * len(kinds)
    doses = [None if np.isnan(p.concentration[i]) else float(p.concentration[i]) for i in at]
    left: dict[str, list[Any]] = {
        "kind": ["sum"] * len(at) + kinds,
        "batch": [batch.batch] * (len(at) + len(kinds)),
        "perturbation_type": [p.type[i] for i in at] + none,
        "perturbation": [p.name[i] for i in at] + none,
        "concentration": doses + none,
        "n_wells": batch.n_wells.tolist() + counts,
    }
    return left, np.vstack([batch.sums, below])


def is_summary(path: Path) -> bool:
    """Whether a file is a summary, told by its content."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return False
    with open_binary(path) as handle:
        if handle.read(4) != b"PAR1":
            return False
    try:
        return KEY in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


@dataclass(frozen=True, eq=False)
class SavedSummary:
    """A summary in a file, read a batch at a time, as often as asked."""

    path: Path
    features: list[str]
    perturbations: Perturbations
    provenance: dict[str, Any]
    notes: tuple[str, ...]
    sources: dict[str, str]
    dtype: str

    @property
    def places(self) -> SummaryPlaces:
        import pyarrow.parquet as pq

        table = pq.read_table(self.path, columns=["kind", "batch", *LEFT[2:5]])
        rows = table.filter(_is(table, "sum"))
        code = np.array([self._code[key] for key in _keys(rows)], dtype=np.int64)
        batch = rows.column("batch").combine_chunks().dictionary_encode()
        return SummaryPlaces(self.perturbations, code, batch.indices.to_numpy().astype(np.int64))

    @cached_property
    def _code(self) -> dict[tuple[str, str, float], int]:
        p = self.perturbations
        dose = np.nan_to_num(p.concentration, nan=-1.0).tolist()
        return {key: i for i, key in enumerate(zip(p.type, p.name, dose, strict=True))}

    def controls(self) -> Iterator[tuple[str, Controls]]:
        for batch, controls, _ in self._groups(sums=False):
            yield batch, controls

    def batches(self) -> Iterator[BatchSummary]:
        for batch, controls, table in self._groups(sums=True):
            rows = table.filter(_is(table, "sum"))
            code = np.array([self._code[key] for key in _keys(rows)], dtype=np.int64)
            order = np.argsort(code)
            n_wells = rows.column("n_wells").to_numpy()[order]
            yield BatchSummary(batch, code[order], n_wells, _floats(rows, self.features)[order], controls)

    def _groups(self, *, sums: bool) -> Iterator[tuple[str, Controls, Any]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = pq.ParquetFile(self.path)
        d = len(self.features)
        for g in range(file.num_row_groups):
            try:
                table = file.read_row_group(g, use_threads=False)
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{self.path}: not a whole summary ({short(str(error))})") from None
            batch = table.column("batch")[0].as_py()
            rows, mean = table.filter(_is(table, "control")), table.filter(_is(table, "mean"))
            controls: Controls = _floats(rows, self.features).astype(self.dtype)
            if mean.num_rows:
                scatter = _floats(table.filter(_is(table, "scatter")), self.features)
                if mean.num_rows > 1 or len(scatter) != d:
                    raise DataError(f"{self.path}: not a whole summary (batch {batch!r} lacks moments)")
                controls = Moments(
                    mean.column("n_wells")[0].as_py(), _floats(mean, self.features)[0], scatter
                )
            yield batch, controls, table if sums else None


def load_summary(path: Path, *, hashed: bool = False) -> SavedSummary:
    """Open a summary that `save_summary` wrote; with `hashed`, its SHA-256 is in the provenance.

    Raises:
        DataError: Not there, broken, or none.

    >>> from polaris_rxrx.maps.collect import collect
    >>> from polaris_rxrx.wells.opened import open_wells
    >>> files = "data/metadata_rxrx3_core.csv", "data/OpenPhenom_rxrx3_core_embeddings.parquet"
    >>> save_summary(collect(open_wells(*files, features="feature_?")), Path("summary.parquet"))
    >>> load_summary(Path("summary.parquet")).features[:2]
    ['feature_0', 'feature_1']
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        bounded.check_parquet(file.metadata, path, path.stat().st_size)
        kept = bounded.json_loads((file.schema_arrow.metadata or {})[KEY])
        table = file.read(columns=["kind", "perturbation_type", "perturbation", "concentration"])
        found = sorted({*_keys(table.filter(_is(table, "sum")))})
        if not {t for t, _, _ in found} <= set(TYPES):
            raise ValueError(f"perturbation_type holds something other than {' and '.join(TYPES)}")
        dose = np.array([d for _, _, d in found])
        return SavedSummary(
            path=path,
            features=[str(n) for n in kept["features"]],
            perturbations=Perturbations(
                [t for t, _, _ in found], [n for _, n, _ in found], np.where(dose < 0, np.nan, dose)
            ),
            provenance={**kept["provenance"], **({"summary_sha256": sha256(path)} if hashed else {})},
            notes=tuple(map(str, kept["notes"])),
            sources=dict(kept["sources"]),
            dtype=str(np.dtype(kept["dtype"])),
        )
    except (pa.ArrowException, KeyError, OSError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a whole summary ({short(str(error))})") from None


def _is(table: Any, kind: str) -> Any:
    import pyarrow.compute as pc

    return pc.equal(table.column("kind"), kind)


def _keys(table: Any) -> list[tuple[str, str, float]]:
    import pyarrow.compute as pc

    columns = [table.column(n).to_pylist() for n in ("perturbation_type", "perturbation")]
    return list(zip(*columns, pc.fill_null(table.column("concentration"), -1.0).to_pylist(), strict=True))


def _floats(table: Any, features: Sequence[str]) -> Matrix:
    x = np.empty((table.num_rows, len(features)))
    for i in range(len(features)):
        x[:, i] = table.column(f"f{i}").to_numpy()
    return x
