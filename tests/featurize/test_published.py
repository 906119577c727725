"""Features held against a published table: cosines of a few wells, the worst ones named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.featurize.featurizer import Features
from polaris_rxrx.featurize.published import LEAST, agreement
from polaris_rxrx.featurize.rows import table_of
from polaris_rxrx.images.sites import ImageSet
from tests.featurize.plates import Plates

Array = npt.NDArray[Any]
IMAGES = Plates(tuple(f"gene-001_1_A{i:02d}" for i in range(1, 31)))


def features(wells: Sequence[str]) -> dict[str, Array]:
    """Columns of features, five of a well, drawn from its name."""
    drawn = np.array([np.random.default_rng([*well.encode()]).normal(size=5) for well in wells]).reshape(
        -1, 5
    )
    return {f"feature_{i}": column for i, column in enumerate(drawn.T)}


@dataclass(frozen=True)
class Drawn:
    """A featurizer of these features, for wells with good images."""

    shared: float = 0.0
    name: str = "drawn"
    wells_a_task: int = 4

    def protocol(self) -> dict[str, Any]:
        return {}

    def check(self, images: ImageSet) -> None:
        pass

    def beside(self, images: ImageSet, wells: Sequence[str]) -> Sequence[str]:
        return ()

    def features(
        self, images: ImageSet, wells: Sequence[str], step: Callable[[int], None] | None = None
    ) -> Features:
        kept = [found.well for found in images.read(wells) if found.sites]
        columns = {name: values + self.shared for name, values in features(kept).items()}
        return Features(table_of(images, kept, [1] * len(kept), columns))


def write(path: Path, wells: Sequence[str], columns: dict[str, Array]) -> Path:
    pq.write_table(pa.table({"well_id": list(wells), **columns}), path)
    return path


def test_the_same_features_agree_whatever_their_scale_and_order(tmp_path: Path) -> None:
    order = list(reversed(IMAGES.wells))
    columns = {name: values * 3 for name, values in features(order).items()}
    found = agreement(Drawn(), IMAGES, write(tmp_path / "t.parquet", order, columns))
    assert len(found.cosines) == 12
    assert list(found.cosines)[::11] == [IMAGES.wells[0], IMAGES.wells[-1]]
    assert min(found.cosines.values()) == pytest.approx(1)
    assert found.told == (
        f"12 wells compared with {tmp_path / 't.parquet'}: the lowest cosine is 1.0000, above {LEAST}; 12 of "
        "12 nearest to their own row"
    )


def test_other_features_stop_it_and_the_worst_wells_are_named(tmp_path: Path) -> None:
    wells = IMAGES.wells[:4]
    columns = features(wells)
    a = np.array(list(columns.values()))
    turned = np.random.default_rng(0).normal(size=a[:, 1].shape)
    turned -= a[:, 1] * (turned @ a[:, 1]) / (a[:, 1] @ a[:, 1])  # at a right angle
    a[:, 1] = turned
    a[:, 3] = 0  # no direction at all: no cosine
    path = write(tmp_path / "t.parquet", wells, dict(zip(columns, a, strict=True)))
    with pytest.raises(DataError) as told:
        agreement(Drawn(), IMAGES, path)
    words = str(told.value)
    assert words.startswith(
        f"2 of 4 wells are not as in {path}: cosines above 0.99 were expected, and the worst are "
    )
    assert wells[3] in words
    assert f"{wells[1]} (0.0000)" in words.replace("-0.0000", "0.0000")
    assert wells[0] not in words


def test_wells_that_are_all_alike_have_to_be_told_apart(
    tmp_path: Path,
) -> None:
    """Beside something large that all share every cosine is high, also of rows that were mixed up."""
    wells = IMAGES.wells[:6]
    alike = {name: values + 100 for name, values in features(wells).items()}
    right = agreement(Drawn(shared=100), IMAGES, write(tmp_path / "right.parquet", wells, alike))
    assert right.n_own == 6
    mixed = write(tmp_path / "mixed.parquet", [*wells[1:], wells[0]], alike)
    with pytest.raises(
        DataError, match=r"of 6 wells are nearer to another well's row of .* than to their own"
    ):
        agreement(Drawn(shared=100), IMAGES, mixed)


def test_tables_of_something_else(tmp_path: Path) -> None:
    columns = features(IMAGES.wells)
    other = write(tmp_path / "a.parquet", [f"other_{i}" for i in range(30)], columns)
    with pytest.raises(
        UsageError, match="no well in common: it has 'other_0', 'other_1' and 28 more, they 'gene"
    ):
        agreement(Drawn(), IMAGES, other)
    columns.pop(next(iter(columns)))
    with pytest.raises(DataError, match=r"it lacks .* of .* features of drawn; a table of the same model"):
        agreement(Drawn(), IMAGES, write(tmp_path / "b.parquet", IMAGES.wells, columns))
    blank = Plates(IMAGES.wells[:2], blank=frozenset(IMAGES.wells[:2]))
    with pytest.raises(DataError, match=r"none of .* has good images"):
        agreement(Drawn(), blank, write(tmp_path / "c.parquet", IMAGES.wells, features(IMAGES.wells)))
