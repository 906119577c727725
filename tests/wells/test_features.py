"""What is a feature, by name and by pattern; no stray column, order, type or container moves a value."""

from __future__ import annotations

import decimal
import re
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
from polaris_rxrx.maps.similarity import cosine
from polaris_rxrx.wells.features import choose
from polaris_rxrx.wells.memory import read_wells
from tests.wells.test_memory import same
from tests.wells_factory import make_embeddings, make_metadata, small, write

HERE = Path("table.parquet")
FEATURES = [f"feature_{i}" for i in range(6)]
SIX = dict.fromkeys(FEATURES)


def taken(names: list[str], **options: Any) -> list[str]:
    """The features among numeric columns."""
    return choose(HERE, {"well_id": "text", **dict.fromkeys(names)}, **options).names


# --- by name -----------------------------------------------------------------------------------------------

STRAYS = [
    "Unnamed: 0", "Unnamed: 0.1", "", "index", "level_0", "__index_level_0__",
    "Metadata_Plate", "metadata_row", "METADATA_x", "Metadata_1",
    "row", "Row", "column", "col", "Plate", "plate_x", "well", "Well_Row", "site", "Site", "fov", "batch",
    "nuclei_count", "Cell Count", "n_cells", "Count_Nuclei", "Image_Count_Cells",
    "Cells_Number_Object_Number", "Nuclei_Parent_Cells", "ImageNumber", "concentration", "replicate",
    "active",
]  # fmt: skip


@pytest.mark.parametrize("stray", STRAYS)
def test_what_is_never_a_feature(stray: str) -> None:
    # Beside names of no family, so that it is the name alone that tells.
    own = ["area", "shape", "texture of DNA"]
    choice = choose(HERE, dict.fromkeys([own[0], stray, *own[1:]]))
    assert choice.names == own
    assert list(choice.left_out.values()) == [[stray]]
    assert repr(stray) in choice.told({stray})


@pytest.mark.parametrize(
    "names",
    [
        [f"feature_{i}" for i in range(384)],
        [f"emb_{i}" for i in range(1, 8)],
        [str(i) for i in range(384)],
        [f"{i}.0" for i in range(12)],
        [f"PC{i}" for i in range(1, 30)],
        [f"f{i:03d}" for i in range(30)],
        [f"('emb', {i})" for i in range(30)],
        [f"{i}_emb" for i in range(30)],
        [f"layer3_{i}" for i in range(30)],
        [f"ch{c}_{i}" for c in range(6) for i in range(64)],
    ],
)
def test_a_stem_and_numbers_are_features_and_strays_beside_them_are_not(names: list[str]) -> None:
    strays = ["age", "x", "score"]
    assert taken([*strays, *reversed(names)]) == names
    choice = choose(HERE, dict.fromkeys([*strays, *names]))
    assert choice.left_out == {f"not named like the other {len(names):,}": strays}
    assert "Left out: 'age', 'x', 'score' (not named like the other" in choice.told(set(strays))
    assert "--features PATTERN" in choice.told(set(strays))


def test_compartments_are_a_family() -> None:
    names = [f"{c}_{w}_{i}" for c in ("Cells", "Cytoplasm", "Nuclei", "Image") for w in "AB" for i in "xyz"]
    assert sorted(taken([*names, "other", "thing"])) == sorted(names)


def test_several_families_are_all_taken() -> None:
    both = [f"emb_{i}" for i in range(50)] + [f"Cells_{i}_mean" for i in range(70)]
    assert sorted(taken([*both, "stray"])) == sorted(both)
    told = str(choose(HERE, dict.fromkeys([*both, "stray"])))
    assert told == "120 features: Cells_0_mean .. Cells_69_mean (70), emb_0 .. emb_49 (50)"


def test_a_family_with_gaps_needs_nearly_all() -> None:
    gaps, others = [f"q{i}" for i in (3, 8, 90)], [f"name {c}" for c in "abcde"]
    assert taken(gaps + others) == sorted(gaps + others)
    assert taken(["q1", "q2", *others]) == sorted(["q1", "q2", *others])  # too few to be a family


def test_the_metadata_s_columns_are_no_features() -> None:
    assert taken(["b", "Seeding density", "a"], metadata=["seeding Density", "well_id"]) == ["a", "b"]
    with pytest.raises(DataError, match=r"no feature columns: it has 'a', 'b' \(in the metadata\)"):
        taken(["a", "b"], metadata=["a", "b"])


def test_natural_order() -> None:
    names = ["f10", "f9", "f2", "f02", "f1", "g", "f", f"f{'9' * 60}"]
    assert taken(names) == ["f", "f1", "f02", "f2", "f9", "f10", f"f{'9' * 60}", "g"]
    assert taken(names[::-1]) == taken(names)


# --- by pattern --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["feature_*"], FEATURES),
        (["feature_[02]"], ["feature_0", "feature_2"]),
        (["feature_1", "nuclei_count"], ["feature_1", "nuclei_count"]),
        (["*_?"], FEATURES),
        (["[[]x]"], ["[x]"]),
        (["[x]"], ["[x]"]),  # a name is a pattern for itself
    ],
)
def test_patterns_decide(patterns: list[str], names: list[str]) -> None:
    kinds = {"well_id": "text", **SIX, "nuclei_count": None, "[x]": None, "note": "text"}
    choice = choose(HERE, kinds, patterns=patterns)
    assert choice.names == names and choice.patterns == tuple(patterns)
    assert sorted([*choice.left_out["no pattern matches"], *names]) == sorted(set(kinds) - {"well_id"})
    assert choice.to_dict()["patterns"] == patterns


def test_bad_patterns() -> None:
    with pytest.raises(DataError, match=r"table.parquet: no column matches --features 'emb_\*'; it has"):
        choose(HERE, SIX, patterns=["feature_*", "emb_*"])
    with pytest.raises(DataError, match="no column matches --features 'FEATURE_1'"):
        choose(HERE, SIX, patterns=["FEATURE_1"])
    with pytest.raises(DataError, match=r"column 'note' is not numeric \(it holds text\)"):
        choose(HERE, {**SIX, "note": "text"}, patterns=["*"])
    with pytest.raises(DataError, match="no column matches"):
        choose(HERE, {"well_id": "text", **SIX}, patterns=["well_id"])


# --- kinds -------------------------------------------------------------------------------------------------


def test_what_is_no_number_is_left_out_beside_a_family_and_refused_within() -> None:
    kinds = {**SIX, "note": "text", "ok": "true and false"}
    assert choose(HERE, kinds).left_out == {"not numeric": ["note", "ok"]}
    assert choose(HERE, kinds).told(SIX) == "6 features: feature_0 .. feature_5"
    with pytest.raises(DataError, match="'feature_6' is not numeric"):
        choose(HERE, {**SIX, "feature_6": "text"})
    with pytest.raises(DataError, match="'note' is not numeric"):
        choose(HERE, {"area": None, "note": "text"})


# --- on files ----------------------------------------------------------------------------------------------


def strays(frame: pd.DataFrame) -> dict[str, Any]:
    """Columns of all kinds that people's tables carry along."""
    rng, n = np.random.default_rng(5), len(frame)
    return {
        "Unnamed: 0": rng.permutation(n),
        "index": rng.permutation(n) * 1.0,
        "Metadata_Row": rng.integers(1, 33, n),
        "metadata_density": rng.normal(size=n),
        "row": rng.integers(1, 33, n),
        "cell_count": rng.integers(0, 4000, n),
        "plate": rng.integers(1, 10, n),
        "address": ["A01"] * n,
        "confluence": rng.normal(size=n) * 1e6,
        "passed_qc": rng.random(n) < 0.5,
        "operator": ["me"] * n,
        "day": pd.Timestamp("2024-01-02"),
    }


@pytest.mark.parametrize("container", ["parquet", "csv", "csv.gz"])
@pytest.mark.parametrize("seed", range(3))
def test_stray_columns_and_their_order_change_no_bit(tmp_path: Path, container: str, seed: int) -> None:
    metadata, embeddings = small(tmp_path, dtype=np.float64)
    before = read_wells(metadata, embeddings)
    frame = pd.read_parquet(embeddings)
    frame = frame.assign(**strays(frame)).sample(frac=1, random_state=seed)
    frame = frame[np.random.default_rng(seed).permutation(frame.columns)]
    path = tmp_path / f"more.{container}"
    frame.to_parquet(path, index=False) if container == "parquet" else frame.to_csv(path, index=False)
    after = read_wells(metadata, path)
    assert same(before, after) and after.features == FEATURES
    assert np.array_equal(build_map(before).x, build_map(after).x)
    assert after.provenance["reading"]["features"]["n"] == 6
    (said,) = after.notes
    assert said.startswith("6 features: feature_0 .. feature_5. Left out: ")
    assert "'confluence' (not named like the other 6)" in said


INDICES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "a range": lambda f: f.set_index(pd.RangeIndex(5, 5 + len(f))),
    "a shuffled range": lambda f: f.sample(frac=1, random_state=3),
    "a named range": lambda f: f.rename_axis("number"),
    "named numbers": lambda f: f.set_index(pd.Index(np.arange(len(f)) * 7.5, name="stamp")),
    "two": lambda f: f.assign(a=1.5, b=range(len(f))).set_index(["a", "b"]),
    "the well_id": lambda f: f.set_index("well_id"),
}


@pytest.mark.parametrize("case", INDICES)
@pytest.mark.parametrize("container", ["parquet", "csv"])
def test_a_pandas_index_is_no_feature(tmp_path: Path, case: str, container: str) -> None:
    metadata, embeddings = small(tmp_path, dtype=np.float64)
    before = read_wells(metadata, embeddings)
    frame = INDICES[case](pd.read_parquet(embeddings))
    path = tmp_path / f"indexed.{container}"
    frame.to_parquet(path) if container == "parquet" else frame.to_csv(path)
    assert same(before, read_wells(metadata, path))


def test_a_named_index_is_told_from_the_file_where_no_stem_helps(tmp_path: Path) -> None:
    names = ["area", "shape", "texture", "edge", "depth", "hue"]
    metadata, embeddings = small(
        tmp_path, change_embeddings=lambda f: f.set_axis(["well_id", *names], axis=1)
    )
    before = read_wells(metadata, embeddings)
    assert before.features == sorted(names)
    frame = pd.read_parquet(embeddings)
    frame.set_index(pd.Index(np.random.default_rng(0).normal(size=len(frame)), name="when")).to_parquet(
        embeddings
    )
    after = read_wells(metadata, embeddings)
    assert same(before, after) and after.provenance["reading"]["features"]["left_out"] == {
        "an index": ["when"]
    }
    # Whole numbers that count the wells, in any order and whatever they are called; but not others.
    rng = np.random.default_rng(1)
    frame["rank"] = rng.permutation(len(frame)) + 1
    frame["spots"] = rng.integers(0, 9, len(frame))
    frame.to_parquet(embeddings)
    frame.to_csv(tmp_path / "embeddings.csv", index=False)
    for path in (embeddings, tmp_path / "embeddings.csv"):
        after = read_wells(metadata, path)
        assert after.features == sorted([*names, "spots"])
        assert after.provenance["reading"]["features"]["left_out"] == {"an index": ["rank"]}


def test_one_file_for_both(tmp_path: Path) -> None:
    metadata = make_metadata()
    both = metadata.merge(make_embeddings(metadata), on="well_id")
    both.to_parquet(tmp_path / "both.parquet", index=False)
    before = read_wells(*write(tmp_path, metadata, make_embeddings(metadata)))
    assert same(before, read_wells(tmp_path / "both.parquet", tmp_path / "both.parquet"))


def _decimals(frame: pd.DataFrame) -> pa.Table:
    exact = [decimal.Decimal(v) for v in frame.feature_0.tolist()]
    table = pa.Table.from_pandas(frame, preserve_index=False)
    column = pa.array(exact, pa.decimal128(30, 20))
    return table.set_column(table.column_names.index("feature_0"), "feature_0", column)


def _typed(kind: Any) -> Callable[[pd.DataFrame], pa.Table]:
    def change(frame: pd.DataFrame) -> pa.Table:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        return table.set_column(0, "well_id", table.column("well_id").cast(kind))

    return change


def _dictionary(frame: pd.DataFrame) -> pa.Table:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return table.set_column(0, "well_id", table.column("well_id").dictionary_encode())


CONTAINERS: dict[str, Callable[[pd.DataFrame], pd.DataFrame | pa.Table]] = {
    "float16": lambda f: f.astype(dict.fromkeys(FEATURES, np.float16)),
    "float32": lambda f: f.astype(dict.fromkeys(FEATURES, np.float32)),
    "float64": lambda f: f.astype(dict.fromkeys(FEATURES, np.float64)),
    "mixed": lambda f: f.astype({"feature_3": np.float64, "feature_4": np.float16}),
    "decimals": _decimals,
    "categories": lambda f: f.astype({"well_id": "category"}),
    "large text": _typed(pa.large_string()),
    "a dictionary": _dictionary,
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_types_and_containers_leave_the_map_alone(tmp_path: Path, container: str) -> None:
    # Values that a half holds exactly, so that every type holds the same numbers.
    metadata = make_metadata()
    frame = make_embeddings(metadata, dtype=np.float16).astype(dict.fromkeys(FEATURES, np.float32))
    before = build_map(read_wells(*write(tmp_path, metadata, frame)))
    after = build_map(read_wells(*write(tmp_path, metadata, CONTAINERS[container](frame))))
    assert np.abs(cosine(before.x, before.x) - cosine(after.x, after.x)).max() < 1e-12
    assert np.array_equal(before.x, after.x)


def test_whole_numbers_are_features(tmp_path: Path) -> None:
    metadata = make_metadata()
    frame = make_embeddings(metadata, dtype=np.float64)
    frame[FEATURES] = (frame[FEATURES] * 20).round()
    before = build_map(read_wells(*write(tmp_path, metadata, frame)))
    for kind in (np.int16, np.int64, np.float32):
        files = write(tmp_path, metadata, frame.astype(dict.fromkeys(FEATURES, kind)))
        assert np.array_equal(before.x, build_map(read_wells(*files)).x)


def test_several_columns_of_lists_are_refused_with_what_was_expected(tmp_path: Path) -> None:
    metadata = make_metadata()
    rows = make_embeddings(metadata)
    for kind in (pa.list_(pa.float32()), pa.list_(pa.float32(), 6), pa.large_list(pa.float64())):
        vectors = pa.array(rows[FEATURES].to_numpy().tolist(), kind)
        table = pa.table({"well_id": pa.array(rows.well_id), "embedding": vectors, "other": vectors})
        files = write(tmp_path, metadata, table)
        with pytest.raises(
            DataError, match=r"'embedding', 'other' is not numeric \(it holds lists .* of its own\)"
        ):
            read_wells(*files)


def test_categories_of_numbers_and_truth_values_are_labels(tmp_path: Path) -> None:
    metadata, embeddings = small(tmp_path)
    before = read_wells(metadata, embeddings)
    frame = pd.read_parquet(embeddings)
    frame["lot"] = pd.Categorical(np.arange(len(frame)) % 7)
    frame["good"] = True
    frame.to_parquet(embeddings, index=False)
    after = read_wells(metadata, embeddings)
    assert same(before, after)
    assert after.provenance["reading"]["features"]["left_out"] == {"not numeric": ["lot", "good"]}
    frame.rename(columns={"lot": "feature_6"}).to_parquet(embeddings, index=False)
    with pytest.raises(DataError, match=r"'feature_6' is not numeric \(it holds categories\)"):
        read_wells(metadata, embeddings)


def test_metadata_of_pandas_that_is_none(tmp_path: Path) -> None:
    metadata, embeddings = small(tmp_path)
    before, table = read_wells(metadata, embeddings), pq.read_table(embeddings)
    for said in (b"{", b"[]", b'{"index_columns": 3}', b'{"index_columns": [["a"], {}, "gone"]}', b"\xff"):
        pq.write_table(table.replace_schema_metadata({"pandas": said}), embeddings)
        assert same(before, read_wells(metadata, embeddings))


def test_features_of_read_wells(tmp_path: Path) -> None:
    files = small(tmp_path)
    assert read_wells(*files, features="feature_[135]").features == ["feature_1", "feature_3", "feature_5"]
    assert read_wells(*files, features=["feature_1", "feature_0"]).features == ["feature_0", "feature_1"]
    with pytest.raises(DataError, match=re.escape(f"{files[1]}: no column matches --features 'x*'")):
        read_wells(*files, features="x*")
    with pytest.raises(DataError, match=r"has 3 features; 6 were expected.* Taken are 3 features: feature_1"):
        read_wells(*files, width=6, features="feature_[135]")
