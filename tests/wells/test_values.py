"""Repeated rows, zeros, outliers and what swamps a table: against loops, and named."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.wells.memory import Wells, read_wells
from polaris_rxrx.wells.values import FAR, Extremes, Seen, look
from tests.wells_factory import make_embeddings, make_metadata, small, write

Change = Callable[[pd.DataFrame], pd.DataFrame]
FEATURES = [f"feature_{i}" for i in range(6)]
HERE = Path("table.parquet")


def seen(x: np.ndarray[Any, Any]) -> Seen:
    extremes = Extremes.of(x.shape[1])
    assert extremes.add(0, np.ascontiguousarray(x.T))
    return look(x, [f"f{i}" for i in range(x.shape[1])], lambda i: f"w{i}", HERE, extremes)


# --- told of, against loops --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(10))
def test_equal_and_zero_rows_equal_loops(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    # Few values and many zeros, so that rows agree in some columns and not in others.
    x = (rng.integers(-1, 2, size=(60, 3 + seed)) * (rng.random((60, 1)) < 0.8)).astype(dtype)
    x[rng.random(x.shape) < 0.1] *= -0.0
    zero = [i for i in range(60) if all(v == 0 for v in x[i])]
    groups: dict[tuple[float, ...], list[int]] = {}
    for i in range(60):
        if i not in zero:
            groups.setdefault(tuple(float(v) for v in x[i]), []).append(i)
    equal = [g for g in groups.values() if len(g) > 1]
    found = seen(x)
    assert (found.n_zero, found.n_identical) == (len(zero), sum(map(len, equal)))
    assert found.zero == tuple(f"w{i}" for i in zero[:3])
    assert found.identical == tuple(tuple(f"w{i}" for i in g[:3]) for g in equal[:3])


@pytest.mark.parametrize("seed", range(10))
def test_outliers_equal_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, 5)) * [1, 10, 0.1, 1, 1] + [0, 100, 0, 0, 3]
    x[:, 3] = 0  # no spread, no outlier
    x[7, 3] = 1e5
    x[rng.integers(200, size=4), rng.integers(5, size=4)] *= 1e4
    rows, n = set(), 0
    for j in range(5):
        values = [float(v) for v in x[:, j]]
        middle = statistics.median(values)
        spread = 1.4826 * statistics.median(abs(v - middle) for v in values)
        for i, v in enumerate(values):
            if spread > 0 and abs(v - middle) > FAR * spread:
                rows.add(i)
                n += 1
    found = seen(x)
    assert (found.n_outliers, found.n_wells_with_outliers) == (n, len(rows))
    assert found.outliers == tuple(f"w{i}" for i in sorted(rows)[:3])


def test_ordinary_tables_are_silent() -> None:
    found = seen(np.random.default_rng(0).normal(size=(500, 20)).astype(np.float32))
    assert found == Seen() and found.notes == []


def test_rows_that_agree_in_most_columns_are_not_equal() -> None:
    x = np.random.default_rng(0).normal(size=(50, 384))
    for j in range(384):
        x[1] = x[0]
        x[1, j] += 1e-9
        assert seen(x).n_identical == 0
    x[1] = x[0]
    assert seen(x).identical == (("w0", "w1"),)


# --- in files ----------------------------------------------------------------------------------------------


def spoil(*changes: tuple[int, str | None, float | int]) -> Change:
    """Set cells; without a feature, the whole row to that of another (an int) or to a value."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        for row, feature, value in changes:
            if feature is not None:
                frame.loc[row, feature] = value
            elif isinstance(value, int):
                frame.loc[row, FEATURES] = frame.loc[value, FEATURES]
            else:
                frame.loc[row, FEATURES] = value
        return frame

    return change


def test_odd_rows_are_counted_and_named_and_kept(tmp_path: Path) -> None:
    ids = make_embeddings(make_metadata()).well_id
    change = spoil((3, None, 2), (9, None, 0.0), (11, None, 0.0), (20, "feature_4", 5e5))
    files = small(tmp_path, change_embeddings=change, dtype=np.float64)
    wells = read_wells(*files)
    assert len(wells) == len(ids) and np.isfinite(build_map(wells).x).all()
    said = "\n".join(wells.notes)
    assert "2 wells are zero in every feature: " in said and "; kept" in said
    assert all(repr(ids[i]) in said for i in (3, 2, 9, 11, 20))
    assert f"2 wells share their vector with another: {' = '.join(map(repr, wells_of(wells)))}; kept" in said
    assert f"1 value is over 100 robust standard deviations off, in wells {ids[20]!r}; kept" in said
    values = wells.provenance["reading"]["values"]
    assert (values["n_zero"], values["n_identical"], values["n_outliers"]) == (2, 2, 1)
    assert values["outliers"] == [ids[20]] and set(values["zero"]) == {ids[9], ids[11]}
    assert set(values["identical"][0]) == {ids[2], ids[3]}


def wells_of(wells: Wells) -> list[str]:
    return list(wells.provenance["reading"]["values"]["identical"][0])


def test_row_order_does_not_change_what_is_said(tmp_path: Path) -> None:
    change = spoil((3, None, 2), (9, None, 0.0), (20, "feature_4", 5e5), (22, "feature_1", -5e5))
    metadata, embeddings = small(tmp_path, change_embeddings=change, dtype=np.float64)
    before, frame = read_wells(metadata, embeddings), pd.read_parquet(embeddings)
    for seed in range(5):
        frame.sample(frac=1, random_state=seed).to_parquet(embeddings, index=False)
        after = read_wells(metadata, embeddings)
        assert (after.notes, after.provenance["reading"]) == (before.notes, before.provenance["reading"])


def scaled(feature: str, by: float) -> Change:
    return lambda frame: frame.assign(**{feature: frame[feature] * by})


SWAMPING: dict[str, tuple[Change, str]] = {
    "one value": (spoil((5, "feature_2", 1e160)), "feature_2"),
    "one value, large as float32 holds": (spoil((5, "feature_2", -3e38)), "feature_2"),
    "a feature times 1e30": (scaled("feature_3", 1e30), "feature_3"),
    "a feature times 1e160": (scaled("feature_3", 1e160), "feature_3"),
    "a constant": (lambda f: f.assign(feature_1=1e300), "feature_1"),
    "a whole constant": (lambda f: f.assign(feature_1=10**18), "feature_1"),
    "all of them": (lambda f: f.assign(**{n: f[n] * 1e200 for n in FEATURES}), "feature_"),
}


@pytest.mark.parametrize("case", SWAMPING)
def test_what_swamps_a_table_is_refused(tmp_path: Path, case: str) -> None:
    change, feature = SWAMPING[case]
    metadata, embeddings = small(tmp_path, change_embeddings=change, dtype=np.float64)
    with pytest.raises(DataError) as caught:
        read_wells(metadata, embeddings)
    text = str(caught.value)
    assert text.startswith(f"{embeddings}: feature '{feature}") and "in well '" in text and "profile" in text
    # The value and the well it names are in the file.
    frame = pd.read_parquet(embeddings).set_index("well_id")
    named = next(n for n in FEATURES if repr(n) in text)
    value = float(text.split(" is ")[1].split(" in well ")[0])
    assert frame[named].loc[text.split("in well '")[1].split("'")[0]] == pytest.approx(value, rel=1e-5)
    # Features with units are another matter: they are cleaned.
    assert len(read_wells(metadata, embeddings, allow_nan=True)) == len(frame)


def test_the_bound_is_that_of_the_definition() -> None:
    # Its square, added to those of all others at the median spread, leaves no digit of them.
    x = np.random.default_rng(0).normal(size=(100, 7))
    spreads = [
        1.4826 * statistics.median(abs(v - statistics.median(x[:, j].tolist())) for v in x[:, j].tolist())
        for j in range(7)
    ]
    rest = 700 * statistics.median(spreads) ** 2
    for factor, refused in ((0.9, False), (1.1, True)):
        value = factor * math.sqrt(rest / np.finfo(np.float64).eps)
        y = x.copy()
        y[3, 2] = value
        if refused:
            with pytest.raises(DataError, match=r"feature 'f2' is .* in well 'w3'"):
                seen(y)
        else:
            assert seen(y).n_outliers == 1


def test_values_too_small_for_squares_are_refused(tmp_path: Path) -> None:
    def shrink(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{n: frame[n] * 1e-200 for n in FEATURES})

    with pytest.raises(DataError, match=r"no value is larger than .*e-\d+ \(feature 'feature_"):
        read_wells(*small(tmp_path, change_embeddings=shrink, dtype=np.float64))
    wells = read_wells(*small(tmp_path, change_embeddings=lambda f: f.assign(**dict.fromkeys(FEATURES, 0.0))))
    assert wells.provenance["reading"]["values"]["n_zero"] == len(wells)


def test_a_feature_in_another_unit_is_told(tmp_path: Path) -> None:
    wells = read_wells(*small(tmp_path, change_embeddings=scaled("feature_3", 1e8), dtype=np.float64))
    assert wells.provenance["reading"]["values"]["wide_features"] == ["feature_3"]
    assert "'feature_3' spread over more than 1e+06 times as much as most features" in wells.notes[-1]


def test_the_released_table_s_pair_is_named(tmp_path: Path) -> None:
    metadata = make_metadata()
    metadata["well_id"] = metadata.well_id.replace(
        {metadata.well_id[0]: "gene-134_2_L39", metadata.well_id[1]: "gene-134_2_N26"}
    )
    frame = make_embeddings(metadata, width=384)
    features = list(frame.columns[1:])
    both = frame.index[frame.well_id.isin(["gene-134_2_L39", "gene-134_2_N26"])]
    frame.loc[both[1], features] = frame.loc[both[0], features]
    (_, said) = read_wells(*write(tmp_path, metadata, frame)).notes
    assert said.startswith("2 wells share their vector with another: 'gene-134_2_") and said.count(" = ") == 1


def test_many_rows_of_few_values(tmp_path: Path) -> None:
    # Nothing tells rows apart by a few columns here; it must still be right, and quick.
    x = np.zeros((30_000, 40), dtype=np.float32)
    x[:, 39] = 1
    x[:, 1:16] = (np.arange(30_000)[:, None] >> np.arange(15)) & 1
    assert seen(x).n_identical == 0
    x[7] = x[29_000]
    assert seen(x).identical == (("w7", "w29000"),)


def test_a_profile_s_rows_are_told_but_not_its_sizes(tmp_path: Path) -> None:
    change = spoil((3, None, 2), (9, None, 0.0), (20, "feature_4", 5e30))
    wells = read_wells(*small(tmp_path, change_embeddings=change, dtype=np.float64), allow_nan=True)
    values = wells.provenance["reading"]["values"]
    assert (values["n_zero"], values["n_identical"], values["n_outliers"]) == (1, 2, 0)


def test_no_column_is_too_wide(tmp_path: Path) -> None:
    # One feature, one well a group: nothing to take a spread of.
    metadata = make_metadata()
    table = pa.table({"well_id": pa.array(metadata.well_id), "feature_0": pa.array(np.ones(len(metadata)))})
    write(tmp_path, metadata, table)
    pq.write_table(table, tmp_path / "embeddings.parquet")
    wells = read_wells(tmp_path / "metadata.csv", tmp_path / "embeddings.parquet")
    assert wells.provenance["reading"]["values"]["n_identical"] == len(wells)
    assert wells.notes[0] == "1 feature: 'feature_0'"
