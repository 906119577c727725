"""Reading wells: what comes out, that no order matters, and what is said of bad files."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.errors import DataError
from polaris_rxrx.wells.memory import Wells, read_wells
from polaris_rxrx.wells.metadata import read_metadata
from tests.wells_factory import PLAN, Group, make_embeddings, make_metadata, small, write

Frame = pd.DataFrame
Change = Callable[[Frame], Frame]


def same(a: Wells, b: Wells) -> bool:
    """Whether two readings agree in every bit of what a map is built from."""
    return (
        a.x.dtype == b.x.dtype
        and np.array_equal(a.x, b.x)
        and np.array_equal(a.experiment, b.experiment)
        and np.array_equal(a.perturbation, b.perturbation)
        and np.array_equal(a.control, b.control)
        and (a.experiments, a.features) == (b.experiments, b.features)
        and (a.perturbations.type, a.perturbations.name) == (b.perturbations.type, b.perturbations.name)
        and np.array_equal(a.perturbations.concentration, b.perturbations.concentration, equal_nan=True)
    )


def at(column: str, row: int, value: object) -> Change:
    """Set one cell."""

    def change(frame: Frame) -> Frame:
        frame = frame.copy()
        frame[column] = frame[column].astype(object) if isinstance(value, str) else frame[column]
        frame.loc[row, column] = value
        return frame

    return change


# --- what comes out ----------------------------------------------------------------------------------------


def test_every_well_keeps_its_own_values_and_perturbation(tmp_path: Path) -> None:
    metadata = make_metadata()
    embeddings = make_embeddings(metadata)
    wells = read_wells(*write(tmp_path, metadata, embeddings))
    assert wells.features == [f"feature_{i}" for i in range(6)]
    assert wells.x.dtype == np.float32 and wells.x.flags.c_contiguous and wells.missing == 0
    found = sorted(
        (
            wells.experiments[wells.experiment[i]],
            wells.perturbations.type[p],
            wells.perturbations.name[p],
            str(wells.perturbations.concentration[p]),
            bool(wells.control[i]),
            tuple(wells.x[i].tolist()),
        )
        for i, p in enumerate(wells.perturbation.tolist())
    )
    by_id = embeddings.set_index("well_id")
    expected = []
    for row in metadata.to_dict("records"):
        compound = row["perturbation_type"] == "COMPOUND"
        expected.append(
            (
                row["experiment_name"],
                row["perturbation_type"],
                row["treatment"] if compound else row["gene"],
                str(float(row["concentration"] or "nan")),
                CONTROL in (row["gene"], row["treatment"]),
                tuple(by_id.loc[row["well_id"]].tolist()),
            )
        )
    assert found == sorted(expected)


def test_a_gene_and_a_compound_of_one_name_are_two(tmp_path: Path) -> None:
    p = read_wells(*small(tmp_path)).perturbations
    twins = [(t, c) for t, n, c in zip(p.type, p.name, p.concentration.tolist(), strict=True) if n == "TWIN"]
    assert [t for t, _ in twins] == ["COMPOUND", "CRISPR"]
    assert twins[0][1] == 1.0 and np.isnan(twins[1][1])


def test_perturbations_are_sorted_by_type_name_and_concentration(tmp_path: Path) -> None:
    p = read_wells(*small(tmp_path)).perturbations
    keys = list(zip(p.type, p.name, np.nan_to_num(p.concentration, nan=-1).tolist(), strict=True))
    assert keys == sorted(set(keys)) and len(keys) > 15


def test_blocks_are_whole_experiments_in_order(tmp_path: Path) -> None:
    wells = read_wells(*small(tmp_path))
    blocks = list(wells.blocks())
    assert [b.experiment for b in blocks] == sorted({g.experiment for g in PLAN})
    assert np.array_equal(np.concatenate([b.x for b in blocks]), wells.x)
    for block in blocks:
        assert len(block.x) == sum(g.n for g in PLAN if g.experiment == block.experiment)
        assert (np.diff(block.perturbation) >= 0).all()


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({}, np.float32),
        ({"feature_0": np.float16}, np.float32),
        ({"feature_0": np.float64}, np.float64),
        ({"feature_0": np.int64}, np.float64),
    ],
)
def test_features_stay_float32_unless_one_is_wider(
    tmp_path: Path, kinds: dict[str, type], expected: type
) -> None:
    files = small(tmp_path, change_embeddings=lambda f: f.astype(kinds))
    assert read_wells(*files).x.dtype == expected


def test_progress_reaches_its_end(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    read_wells(*small(tmp_path, width=70), progress=lambda *step: seen.append(step))
    assert [done for _, done, _ in seen] == [32, 64, 70]
    assert {(word, of) for word, _, of in seen} == {("reading", 70)}


# --- neither order nor format matters ----------------------------------------------------------------------


@pytest.mark.parametrize("row_group_size", [1, 7, 50, 10_000])
@pytest.mark.parametrize("seed", [1, 2])
def test_row_order_and_row_groups_change_no_bit(tmp_path: Path, seed: int, row_group_size: int) -> None:
    metadata, embeddings = make_metadata(), make_embeddings(make_metadata())
    before = read_wells(*write(tmp_path, metadata, embeddings))
    metadata.sample(frac=1, random_state=seed).to_csv(tmp_path / "metadata.csv", index=False)
    shuffled = pa.Table.from_pandas(embeddings.sample(frac=1, random_state=seed + 9), preserve_index=False)
    pq.write_table(shuffled, tmp_path / "embeddings.parquet", row_group_size=row_group_size)
    assert same(before, read_wells(tmp_path / "metadata.csv", tmp_path / "embeddings.parquet"))


def _quoted(frame: Frame, path: Path) -> None:
    frame.to_csv(path, index=False, quoting=1)


def _bom_and_crlf(frame: Frame, path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + frame.to_csv(index=False, lineterminator="\r\n").encode())


def _gzip(frame: Frame, path: Path) -> None:
    path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))


def _no_last_line_end(frame: Frame, path: Path) -> None:
    path.write_bytes(frame.to_csv(index=False).rstrip("\n").encode())


def _parquet(frame: Frame, path: Path) -> None:
    frame.to_parquet(path, index=False)


def _parquet_of_numbers(frame: Frame, path: Path) -> None:
    # As polars or R would write it: a float column with NaN, nulls for empty cells, categories.
    table = pa.Table.from_pandas(frame.replace("", None), preserve_index=False)
    doses = pa.array(pd.to_numeric(frame.concentration).to_numpy(), from_pandas=False)
    table = table.set_column(table.column_names.index("concentration"), "concentration", doses)
    kind = table.column("perturbation_type").dictionary_encode()
    pq.write_table(
        table.set_column(table.column_names.index("perturbation_type"), "perturbation_type", kind), path
    )


def _with_index(frame: Frame, path: Path) -> None:
    frame.set_index(np.arange(len(frame)) * 3).to_parquet(path)


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.csv.gz", "metadata.any"])
@pytest.mark.parametrize(
    "writer",
    [_quoted, _bom_and_crlf, _gzip, _no_last_line_end, _parquet, _parquet_of_numbers, _with_index],
)
def test_metadata_is_told_by_its_bytes_not_its_name(
    tmp_path: Path, writer: Callable[[Frame, Path], None], name: str
) -> None:
    plain, embeddings = small(tmp_path)
    (tmp_path / "other").mkdir()
    writer(make_metadata(), tmp_path / "other" / name)
    assert same(read_wells(plain, embeddings), read_wells(tmp_path / "other" / name, embeddings))


@pytest.mark.parametrize("writer", [_quoted, _bom_and_crlf, _gzip, _with_index])
def test_embeddings_may_be_csv(tmp_path: Path, writer: Callable[[Frame, Path], None]) -> None:
    metadata, parquet = small(tmp_path, dtype=np.float64)
    writer(pd.read_parquet(parquet), tmp_path / "embeddings.csv")
    assert same(read_wells(metadata, parquet), read_wells(metadata, tmp_path / "embeddings.csv"))


@pytest.mark.parametrize("name", ["NA", "nan", "None", "null", "N/A", "1", "1e5", "TRUE", "12345678"])
@pytest.mark.parametrize("as_parquet", [False, True])
def test_names_are_text(tmp_path: Path, name: str, as_parquet: bool) -> None:
    plan = (
        Group("gene-001", CONTROL, 3),
        Group("gene-001", name, 2),
        Group("compound-001", CONTROL, 3, compound=True),
        Group("compound-001", name, 2, "1.0"),
    )
    path, _ = small(tmp_path, plan=plan)
    if as_parquet:
        path = tmp_path / "metadata.parquet"
        make_metadata(plan).to_parquet(path, index=False)
    p = read_metadata(path).perturbations
    assert sorted(zip(p.name, p.type, strict=True)) == sorted(
        [(CONTROL, "COMPOUND"), (CONTROL, "CRISPR"), (name, "COMPOUND"), (name, "CRISPR")]
    )


def test_other_columns_are_not_features(tmp_path: Path) -> None:
    metadata = make_metadata()
    embeddings = make_embeddings(metadata).merge(metadata, on="well_id")
    wells = read_wells(*write(tmp_path, metadata, embeddings))
    assert wells.features == [f"feature_{i}" for i in range(6)]


# --- missing wells -----------------------------------------------------------------------------------------


def test_missing_wells_are_an_error_or_left_out(tmp_path: Path) -> None:
    metadata, embeddings = small(tmp_path, change_embeddings=lambda f: f.iloc[5:])
    lost = make_embeddings(make_metadata()).well_id[:5]
    with pytest.raises(DataError) as caught:
        read_wells(metadata, embeddings)
    text = str(caught.value)
    assert f"{embeddings}: 5 of the" in text and str(metadata) in text and "--allow-missing-wells" in text
    assert any(repr(name) in text for name in lost)
    wells = read_wells(metadata, embeddings, allow_missing=True)
    assert wells.missing == 5 and len(wells) == len(make_metadata()) - 5


# --- bad embeddings ----------------------------------------------------------------------------------------

FIRST = make_embeddings(make_metadata()).well_id[0]


def _unknown(frame: Frame) -> Frame:
    return frame.assign(well_id=[f"x_{n}" if i % 5 < 3 else n for i, n in enumerate(frame.well_id)])


def _all_null(frame: Frame) -> Frame:
    return frame.assign(feature_2=pd.Series([None] * len(frame), dtype=object))


BAD_EMBEDDINGS: dict[str, tuple[Change, list[str]]] = {
    "unknown wells": (
        _unknown,
        [
            "117 of 194 wells are not in",
            "metadata.csv",
            f"'x_{FIRST}'",
            "belong together?",
            "of which 77 are",
        ],
    ),
    "too narrow": (lambda f: f.drop(columns="feature_5"), ["has 5 features; 6 were expected"]),
    "too wide": (lambda f: f.assign(feature_6=1.0), ["has 7 features; 6 were expected"]),
    "NaN": (at("feature_3", 0, np.nan), ["'feature_3' is nan", f"in well {FIRST!r}", "in 1 of ", "profile"]),
    "infinite": (at("feature_4", 0, -np.inf), ["'feature_4' is -inf", f"in well {FIRST!r}", "in 1 of "]),
    "NaN column": (lambda f: f.assign(feature_1=np.float32("nan")), ["'feature_1' is nan", "not finite in"]),
    "null column": (_all_null, ["'feature_2' is nan", "not finite in"]),
    "text column": (lambda f: f.assign(feature_2="a"), ["column 'feature_2' is not numeric", "one number"]),
    "bool column": (lambda f: f.assign(feature_2=True), ["column 'feature_2' is not numeric"]),
    "no well_id": (
        lambda f: f.rename(columns={"well_id": "id"}),
        ["no column 'well_id'", "'id', 'feature_0'"],
    ),
    "null well_id": (at("well_id", 0, None), ["1 rows have no well_id"]),
    "empty well_id": (at("well_id", 0, ""), ["1 rows have no well_id"]),
    "integer well_id": (lambda f: f.assign(well_id=range(len(f))), ["well_id holds int64", "gene-001_1_A01"]),
    "no features": (lambda f: f[["well_id"]], ["no feature columns"]),
    "no rows": (lambda f: f.iloc[:0].astype({"well_id": "str"}), ["embeddings.parquet"]),
}


@pytest.mark.parametrize("case", BAD_EMBEDDINGS)
def test_bad_embeddings_are_named(tmp_path: Path, case: str) -> None:
    change, parts = BAD_EMBEDDINGS[case]
    metadata, embeddings = small(tmp_path, change_embeddings=change)
    with pytest.raises(DataError) as caught:
        read_wells(metadata, embeddings, width=6)
    assert str(caught.value).startswith(str(embeddings))
    assert [part for part in parts if part not in str(caught.value)] == []


def test_bad_embeddings_in_csv_are_named_as_well(tmp_path: Path) -> None:
    metadata, _ = small(tmp_path)
    table = make_embeddings(make_metadata())
    path = tmp_path / "embeddings.csv"
    for change, part in (
        (at("feature_3", 0, "x"), "column 'feature_3' is not numeric"),
        (at("feature_3", 0, ""), f"'feature_3' is nan in well {FIRST!r}"),
        (at("well_id", 0, ""), "1 rows have no well_id"),
        (lambda f: f.assign(well_id=range(len(f))), "wells are not in"),
        (lambda f: f.drop(columns="well_id"), "no column 'well_id'"),
        (lambda f: f.rename(columns={"feature_1": "feature_0"}), "'feature_0' stands more than once"),
        (lambda f: f.iloc[:0], "holds no wells"),
    ):
        change(table).to_csv(path, index=False)
        with pytest.raises(DataError, match=re.escape(part)) as caught:
            read_wells(metadata, path)
        assert str(caught.value).startswith(str(path))


# --- bad metadata ------------------------------------------------------------------------------------------

SHUFFLED = make_metadata()
GENE = int(np.flatnonzero(SHUFFLED.gene == "TP53")[0])
COMPOUND = int(np.flatnonzero(SHUFFLED.treatment == "aspirin")[0])


def line(row: int) -> str:
    return f"line {row + 2} (well {SHUFFLED.well_id[row]!r})"


BAD_METADATA: dict[str, tuple[Change, list[str]]] = {
    "no concentration column": (
        lambda f: f.drop(columns=["concentration", "gene"]),
        ["no column 'gene', 'concentration'", "well_id, experiment_name"],
    ),
    "unknown type": (
        at("perturbation_type", GENE, "crispr"),
        [line(GENE), "perturbation_type is 'crispr'", "expected COMPOUND or CRISPR"],
    ),
    "no type": (at("perturbation_type", GENE, ""), [line(GENE), "perturbation_type is ''"]),
    "gene without a name": (at("gene", GENE, ""), [line(GENE), "a CRISPR well without a gene"]),
    "compound without a name": (
        at("treatment", COMPOUND, ""),
        [line(COMPOUND), "a COMPOUND well without a treatment"],
    ),
    "compound without concentration": (
        at("concentration", COMPOUND, ""),
        [line(COMPOUND), "compound 'aspirin' has no concentration"],
    ),
    **{
        f"concentration {value}": (
            at("concentration", COMPOUND, value),
            [line(COMPOUND), f"concentration is {value!r}", "a number of uM or nothing"],
        )
        for value in ("ten", "0", "-1", "inf", "nan", "1,5", "1_0", "10 uM")
    },
    "no experiment": (at("experiment_name", GENE, ""), [line(GENE), "no experiment_name"]),
    "duplicate wells": (
        lambda f: pd.concat([f, f.iloc[[GENE]]]),
        ["1 wells stand more than once", repr(SHUFFLED.well_id[GENE])],
    ),
    "no well_id": (at("well_id", GENE, ""), ["1 rows have no well_id"]),
    "no wells": (lambda f: f.iloc[:0], ["holds no wells"]),
    "another table": (lambda f: f.rename(columns=str.upper), ["no column 'well_id'", "and 1 more"]),
}


@pytest.mark.parametrize("case", BAD_METADATA)
def test_bad_metadata_is_named(tmp_path: Path, case: str) -> None:
    change, parts = BAD_METADATA[case]
    metadata, embeddings = small(tmp_path, change_metadata=change)
    with pytest.raises(DataError) as caught:
        read_wells(metadata, embeddings)
    assert str(caught.value).startswith(str(metadata))
    assert [part for part in parts if part not in str(caught.value)] == []


def test_a_row_of_parquet_is_counted_from_1(tmp_path: Path) -> None:
    path = tmp_path / "metadata.parquet"
    at("gene", GENE, "")(SHUFFLED).to_parquet(path, index=False)
    with pytest.raises(DataError, match=rf"metadata.parquet, row {GENE + 1} \(well"):
        read_metadata(path)


# --- files that are no table -------------------------------------------------------------------------------


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def _hole_in_the_middle(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[60:1200] = b"\xff" * 1140
    path.write_bytes(raw)


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (_truncated, "neither a whole parquet nor a CSV"),
    "damaged": (_hole_in_the_middle, "be read|whole parquet"),
    "junk": (lambda p: void(p.write_bytes(bytes(range(256)) * 40)), "neither a whole parquet|no column"),
    "half a gzip": (
        lambda p: void(p.write_bytes(gzip.compress(SHUFFLED.to_csv().encode())[:900])),
        "neither a whole parquet nor a CSV",
    ),
    "a folder": (lambda p: void(p.unlink(), p.mkdir()), "is a folder; a file was expected"),
    "empty": (lambda p: void(p.write_bytes(b"")), "is empty"),
    "not there": (lambda p: p.unlink(), "no such file"),
    "blank": (lambda p: void(p.write_bytes(b"\n\n\n")), "neither a whole parquet nor a CSV|no column"),
    "ragged": (lambda p: void(p.write_text("well_id,gene\na,b\nc\n")), "neither a whole parquet nor a CSV"),
    "not UTF-8": (
        lambda p: void(p.write_bytes(SHUFFLED.to_csv(index=False).encode("utf-16"))),
        "is UTF-16 text; save it as CSV UTF-8",
    ),
}


def void(*_: object) -> None:
    """For lambdas whose value nobody wants."""


@pytest.mark.parametrize("which", ["metadata", "embeddings"])
@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_named(tmp_path: Path, which: str, case: str) -> None:
    spoil, message = BROKEN[case]
    _, embeddings = small(tmp_path)
    SHUFFLED.to_parquet(tmp_path / "metadata.parquet", index=False)
    files = {"metadata": tmp_path / "metadata.parquet", "embeddings": embeddings}
    read_wells(*files.values())
    spoil(files[which])
    with pytest.raises(DataError, match=message) as caught:
        read_wells(*files.values())
    assert str(caught.value).startswith(str(files[which]))


def test_a_blank_line_is_no_well(tmp_path: Path) -> None:
    metadata, embeddings = small(tmp_path)
    before = read_wells(metadata, embeddings)
    metadata.write_bytes(metadata.read_bytes().replace(b"\n", b"\n\n", 3))
    assert same(before, read_wells(metadata, embeddings))


def test_a_table_larger_than_one_block_of_the_reader(tmp_path: Path) -> None:
    # The CSV reader infers types from its first block; a column that turns to text later must still be told.
    plan = (Group("gene-001", CONTROL, 300), Group("gene-001", "TP53", 300))
    metadata, embeddings = small(tmp_path, plan=plan, width=400, dtype=np.float64)
    table = pd.read_parquet(embeddings)
    path = tmp_path / "embeddings.csv"
    table.to_csv(path, index=False)
    assert path.stat().st_size > 2 * pacsv.ReadOptions().block_size
    assert same(read_wells(metadata, embeddings), read_wells(metadata, path))
    # Whole numbers in the first block are no promise.
    half = table.assign(feature_3=[0] * (len(table) - 1) + [0.5])
    half.to_parquet(embeddings, index=False)
    half.assign(feature_3=["0"] * (len(table) - 1) + ["0.5"]).to_csv(path, index=False)
    assert path.read_text().split("\n")[1].split(",")[4] == "0"
    assert same(read_wells(metadata, embeddings), read_wells(metadata, path))
    at("feature_7", len(table) - 1, "oops")(table).to_csv(path, index=False)
    with pytest.raises(DataError, match=r"feature_7|CSV conversion"):
        read_wells(metadata, path)


def test_wells_by_guide(tmp_path: Path) -> None:
    def name_guides(frame: Frame) -> Frame:
        frame.loc[frame.gene == "TP53", "treatment"] = "TP53_guide_3"
        frame.loc[frame.index[frame.gene == "TP53"][0], "treatment"] = "TP53_guide_12"
        return frame

    files = small(tmp_path, change_metadata=name_guides)
    by_gene, by_guide = read_wells(*files), read_wells(*files, guides=True)
    names = np.array(by_guide.perturbations.name)[by_guide.perturbation]
    assert np.sum(names == "TP53_guide_3") == 11 and np.sum(names == "TP53_guide_12") == 1
    assert "TP53" not in names and {"aspirin", "BRCA1_guide_1", CONTROL} <= set(names)
    assert np.array_equal(by_gene.control.sum(), by_guide.control.sum())
    assert by_guide.control.tolist() == (names == CONTROL).tolist()


def test_a_guide_needs_a_name(tmp_path: Path) -> None:
    def nameless(frame: Frame) -> Frame:
        frame.loc[frame.index[frame.gene == "BRCA1"][0], "treatment"] = ""
        return frame

    files = small(tmp_path, change_metadata=nameless)
    read_wells(*files)
    with pytest.raises(DataError, match=r"metadata.csv, line \d+ .*: a CRISPR well without a treatment"):
        read_wells(*files, guides=True)


# --- blanks at the ends of ids, and names that nearly are ---------------------------------------------------


BLANKS = [" ", "  ", "\t", "\u00a0", "\u2003"]


@pytest.mark.parametrize("blank", BLANKS)
@pytest.mark.parametrize("as_parquet", [False, True])
def test_blanks_at_the_ends_of_ids_are_taken_off_and_said(
    tmp_path: Path, blank: str, as_parquet: bool
) -> None:
    before = read_wells(*small(tmp_path))
    metadata, frame = make_metadata(), make_embeddings(make_metadata())
    metadata.loc[3, "well_id"] = blank + metadata.well_id[3]
    metadata.loc[[4, 9], "experiment_name"] += blank
    frame.loc[7, "well_id"] += blank
    files = write(tmp_path, metadata, frame)
    if as_parquet:
        metadata.to_parquet(tmp_path / "metadata.parquet", index=False)
        files = (tmp_path / "metadata.parquet", files[1])
    after = read_wells(*files)
    assert same(before, after)
    said = [
        f"{files[0]}: 1 well_id had blanks at their ends, which were taken off: {metadata.well_id[3]!r}",
        f"{files[0]}: 2 experiment_name had blanks at their ends, which were taken off: "
        f"{metadata.experiment_name[4]!r}",
        f"{files[1]}: 1 well_id had blanks at their ends, which were taken off: {frame.well_id[7]!r}",
    ]
    assert list(after.notes[1:]) == said
    # The protocol says the same of the files, and not where they are.
    assert [str(tmp_path) in n for n in after.provenance["reading"]["ids"]] == [False] * 3
    assert [n.split(": ", 1)[1] for n in after.provenance["reading"]["ids"]] == [
        n.split(": ", 1)[1] for n in said
    ]


def test_blanks_within_ids_stay(tmp_path: Path) -> None:
    def change(frame: Frame) -> Frame:
        return frame.assign(well_id="plate 1 " + frame.well_id)

    wells = read_wells(*small(tmp_path, change_metadata=change, change_embeddings=change))
    assert len(wells.notes) == 1


def test_wells_of_the_metadata_that_are_one_without_blanks_are_duplicates(tmp_path: Path) -> None:
    def change(frame: Frame) -> Frame:
        frame.loc[3, "well_id"] = frame.well_id[5] + " "
        return frame

    metadata, embeddings = small(tmp_path, change_metadata=change)
    with pytest.raises(DataError, match="1 wells stand more than once") as caught:
        read_wells(metadata, embeddings)
    assert str(caught.value).startswith(str(metadata))


@pytest.mark.parametrize("name", ["EMPTY_control ", " EMPTY_control", "empty_control", "Empty_Control"])
def test_a_misspelt_control_is_no_perturbation(tmp_path: Path, name: str) -> None:
    row = int(np.flatnonzero(SHUFFLED.gene == CONTROL)[0])
    for column, wells in (("gene", row), ("treatment", row)):
        metadata, embeddings = small(tmp_path, change_metadata=at(column, wells, name))
        with pytest.raises(DataError) as caught:
            read_wells(metadata, embeddings)
        assert f"{line(row)}: {column} is {name!r}; a control is called EMPTY_control" in str(caught.value)


def test_names_of_genes_and_compounds_keep_their_blanks(tmp_path: Path) -> None:
    names = read_wells(*small(tmp_path)).perturbations.name
    assert 'odd, "name" ä ' in names
