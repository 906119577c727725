"""What metadata and nuclei counts say of genes and compounds, against loops over the wells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.audit.plates import alike, read_plate_facts, standardize, steps_to_edge
from polaris_rxrx.audit.shortcuts import Pairs
from polaris_rxrx.errors import DataError
from polaris_rxrx.task import Task
from tests.wells_factory import CONTROL, make_metadata

MakeTask = Callable[..., Task]
GENES = ["BRCA1", "NA", "ONCE", "TP53", "TWIN", "nowhere"]
COMPOUNDS = ["Dactolisib (BEZ235", "TWIN", "absent", "aspirin", 'odd, "name" ä ']


@pytest.fixture
def pairs(make_task: MakeTask) -> Pairs:
    return Pairs.of(make_task([(t, g, float(t < g)) for t in COMPOUNDS for g in GENES]))


@pytest.fixture
def metadata() -> pd.DataFrame:
    return make_metadata()


def save(frame: pd.DataFrame, tmp_path: Path, name: str = "metadata.csv") -> Path:
    path = tmp_path / name
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


def wells(metadata: pd.DataFrame, name: str, kind: str) -> pd.DataFrame:
    column = "gene" if kind == "CRISPR" else "treatment"
    return metadata[(metadata.perturbation_type == kind) & (metadata[column] == name)]


def test_blanks_at_the_ends_of_plates_and_addresses_are_said(
    metadata: pd.DataFrame, pairs: Pairs, tmp_path: Path
) -> None:
    before = read_plate_facts(save(metadata, tmp_path), pairs)
    blank = metadata.copy()
    blank.loc[3, ["plate", "address"]] += " "
    nuclei = pd.DataFrame({"well_id": metadata.well_id, "cell_count": np.arange(len(metadata)) % 50 + 3})
    plain = read_plate_facts(save(metadata, tmp_path), pairs, save(nuclei, tmp_path, "nuclei.csv"))
    nuclei.loc[2, "well_id"] += " "
    after = read_plate_facts(save(blank, tmp_path), pairs, save(nuclei, tmp_path, "nuclei.csv"))
    for name, table in before.tables.items():
        np.testing.assert_array_equal(after.tables[name], table)
    np.testing.assert_array_equal(after.tables["nuclei-count"], plain.tables["nuclei-count"])
    said = [n for n in after.notes if "blanks" in n]
    assert sorted(n.split(": ")[1].split(" had ")[0] for n in said) == ["1 address", "1 plate", "1 well_id"]
    assert not [n for n in before.notes if "blanks" in n]


def test_tables_are_those_of_a_loop(metadata: pd.DataFrame, pairs: Pairs, tmp_path: Path) -> None:
    tables = read_plate_facts(save(metadata, tmp_path), pairs).tables
    assert pairs.genes == GENES and pairs.compounds == COMPOUNDS
    rows = metadata.address.str.extract(r"([A-Z]+)0*(\d+)")
    row, column = rows[0].map(lambda s: ord(s) - 64), rows[1].astype(float)
    steps = pd.concat(
        [row - row.min(), row.max() - row, column - column.min(), column.max() - column], axis=1
    )
    for i, name in enumerate(GENES):
        own = wells(metadata, name, "CRISPR")
        if own.empty:
            assert np.isnan(tables["gene-wells"][i]) and np.isnan(tables["plate-edge"][i])
            continue
        assert tables["gene-wells"][i] == len(own)
        assert tables["plate-edge"][i] == pytest.approx(-steps.min(axis=1)[own.index].mean())
    for i, name in enumerate(COMPOUNDS):
        own = wells(metadata, name, "COMPOUND")
        if own.empty:
            assert np.isnan([tables[n][i] for n in ("compound-wells", "highest-dose")]).all()
            continue
        assert tables["compound-wells"][i] == len(own)
        assert tables["highest-dose"][i] == own.concentration.astype(float).max()
    for name, place in (("shared-addresses", "address"), ("shared-plates", "plate")):
        for i, gene in enumerate(GENES):
            for j, compound in enumerate(COMPOUNDS):
                a = wells(metadata, gene, "CRISPR")[place].value_counts()
                b = wells(metadata, compound, "COMPOUND")[place].value_counts()
                dot = a.mul(b, fill_value=0).sum()
                norm = np.sqrt((a**2).sum() * (b**2).sum())
                expected = dot / norm if norm else np.nan
                assert tables[name][i, j] == pytest.approx(expected, abs=1e-11, nan_ok=True)


def test_wells_without_a_place_count_nowhere() -> None:
    gene, compound = np.array([0, 0, -1, -1]), np.array([-1, -1, 0, 0])
    found = alike(gene, compound, np.array([0, -1, 0, 1]), 1, 1, 2)
    assert found == pytest.approx(1 / 2**0.5)


def test_edges_of_a_plate() -> None:
    names = [f"{r}{c:02d}" for r in ("A", "B", "Z", "AA", "AF") for c in (1, 2, 24, 48)]
    steps = dict(zip(names, steps_to_edge(names), strict=True))
    assert steps["A24"] == steps["AF48"] == steps["Z01"] == 0
    assert steps["B24"] == steps["B02"] == 1 and steps["AA24"] == 5 and steps["Z24"] == 6
    assert np.isnan(steps_to_edge(["", "7", "A0", "ABC1", "A 1", "A1\n"])).all()


@pytest.mark.parametrize("gone", ["plate", "address"])
def test_a_column_that_is_not_there_is_named(
    metadata: pd.DataFrame, pairs: Pairs, tmp_path: Path, gone: str
) -> None:
    plates = read_plate_facts(save(metadata.drop(columns=gone), tmp_path), pairs)
    lost = {"plate": {"shared-plates"}, "address": {"shared-addresses", "plate-edge"}}[gone]
    assert lost <= set(plates.reasons) and not lost & set(plates.tables)
    assert all(f"no column {gone!r}" in plates.reasons[n] for n in lost)


def test_neither_column(metadata: pd.DataFrame, pairs: Pairs, tmp_path: Path) -> None:
    plates = read_plate_facts(save(metadata.drop(columns=["plate", "address"]), tmp_path), pairs)
    assert {"shared-plates", "shared-addresses", "plate-edge", "nuclei-count"} == set(plates.reasons)


def test_addresses_that_are_none(metadata: pd.DataFrame, pairs: Pairs, tmp_path: Path) -> None:
    odd = metadata.assign(address="somewhere")
    assert "not a row and a column" in read_plate_facts(save(odd, tmp_path), pairs).reasons["plate-edge"]
    odd = metadata.assign(address=["<b>", *metadata.address[1:]])
    plates = read_plate_facts(save(odd, tmp_path), pairs)
    assert "plate-edge" in plates.tables and any("'<b>'" in n for n in plates.notes)


# --- nuclei ------------------------------------------------------------------------------------------------


def counted(metadata: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"well_id": metadata.well_id, "nuclei_count": rng.integers(50, 900, len(metadata))})


def nuclei_by_loop(metadata: pd.DataFrame, counts: pd.Series) -> np.ndarray:
    """Gene effect times the compound's strongest, well by well."""
    z = pd.Series(np.nan, index=metadata.index)
    control = (metadata.gene == CONTROL) | (metadata.treatment == CONTROL)
    for name in metadata.experiment_name.unique():
        of = metadata.experiment_name == name
        base = counts[of & control]
        z[of] = (counts[of] - base.mean()) / base.std(ddof=0)
    table = np.full((len(GENES), len(COMPOUNDS)), np.nan)
    for i, gene in enumerate(GENES):
        for j, compound in enumerate(COMPOUNDS):
            own = wells(metadata, compound, "COMPOUND")
            if len(own) and len(wells(metadata, gene, "CRISPR")):
                effects = [z[dose.index].mean() for _, dose in own.groupby("concentration")]
                table[i, j] = z[wells(metadata, gene, "CRISPR").index].mean() * max(effects, key=abs)
    return table


@pytest.mark.parametrize("name", ["counts.csv", "counts.parquet"])
def test_nuclei_counts_are_those_of_a_loop(
    metadata: pd.DataFrame, pairs: Pairs, tmp_path: Path, name: str
) -> None:
    table = counted(metadata)
    path = save(table.sample(frac=1, random_state=1), tmp_path, name)
    found = read_plate_facts(save(metadata, tmp_path), pairs, path).tables["nuclei-count"]
    expected = nuclei_by_loop(metadata, table.nuclei_count)
    np.testing.assert_allclose(found, expected)
    assert np.isfinite(found).sum() == 5 * 4


def test_a_column_of_the_metadata_will_do(metadata: pd.DataFrame, pairs: Pairs, tmp_path: Path) -> None:
    table = counted(metadata)
    whole = metadata.assign(cell_count=table.nuclei_count.astype(str))
    plates = read_plate_facts(save(whole, tmp_path), pairs)
    np.testing.assert_allclose(plates.tables["nuclei-count"], nuclei_by_loop(metadata, table.nuclei_count))
    twice = whole.assign(n_nuclei="3")
    assert "several columns" in read_plate_facts(save(twice, tmp_path), pairs).reasons["nuclei-count"]


def test_both_reducing_counts_for_a_pair(pairs: Pairs, metadata: pd.DataFrame, tmp_path: Path) -> None:
    table = counted(metadata)
    for name, kind in (("TP53", "CRISPR"), ("aspirin", "COMPOUND")):
        table.loc[wells(metadata, name, kind).index, "nuclei_count"] = 0
    found = read_plate_facts(save(metadata, tmp_path), pairs, save(table, tmp_path, "n.csv")).tables[
        "nuclei-count"
    ]
    assert np.nanargmax(found) == np.ravel_multi_index((3, 3), found.shape)


def test_wells_and_experiments_that_cannot_be_used_are_told(
    metadata: pd.DataFrame, pairs: Pairs, tmp_path: Path
) -> None:
    table = counted(metadata)
    table.loc[metadata.experiment_name == "gene-001", "nuclei_count"] = 100  # no spread
    table = table.drop(index=wells(metadata, "ONCE", "CRISPR").index)
    plates = read_plate_facts(save(metadata, tmp_path), pairs, save(table, tmp_path, "n.csv"))
    assert any("1 of" in n and "no count" in n for n in plates.notes)
    assert any("'gene-001'" in n and "1 of 5 experiments" in n for n in plates.notes)
    found = plates.tables["nuclei-count"]
    assert np.isnan(found[[0, 2]]).all() and np.isfinite(found[3, 3])  # BRCA1 and ONCE; TP53 has others


def spoil(column: str, row: int, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype({column: object})
        frame.loc[row, column] = value
        return frame

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns="well_id"), ["no column 'well_id'"]),
        (lambda f: f.drop(columns="nuclei_count"), ["one column of nuclei counts", "no column is"]),
        (
            lambda f: f.rename(columns={"nuclei_count": "x"}).assign(y=1),
            ["several columns could be", "'x', 'y'"],
        ),
        (lambda f: f.assign(n_cells=1), ["several columns could be", "'nuclei_count', 'n_cells'"]),
        (spoil("nuclei_count", 2, np.nan), ["line 4", "nuclei_count is empty", "0 or more"]),
        (spoil("nuclei_count", 2, "nan"), ["line 4", "'nan'"]),
        (spoil("nuclei_count", 0, "many"), ["line 2", "'many'", "0 or more"]),
        (spoil("nuclei_count", 0, -1), ["line 2", "'-1'"]),
        (spoil("nuclei_count", 0, "inf"), ["line 2", "'inf'"]),
        (spoil("well_id", 5, "<img src=x>"), ["1 of", "not in", "'<img src=x>'", "belong together"]),
        (lambda f: pd.concat([f, f.iloc[:2]]), ["2 wells stand more than once"]),
        (lambda f: f.iloc[:0].assign(nuclei_count=[]), ["holds no wells"]),
    ],
)
def test_a_bad_table_of_counts_is_refused(
    metadata: pd.DataFrame,
    pairs: Pairs,
    tmp_path: Path,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    said: list[str],
) -> None:
    path = save(change(counted(metadata)), tmp_path, "n.csv")
    where = save(metadata, tmp_path)
    with pytest.raises(DataError) as error:
        read_plate_facts(where, pairs, path)
    assert all(words in str(error.value) for words in [str(path), *said]), error.value


def test_any_name_of_a_single_column_will_do(metadata: pd.DataFrame, pairs: Pairs, tmp_path: Path) -> None:
    table = counted(metadata)
    where = save(metadata, tmp_path)
    one = read_plate_facts(where, pairs, save(table, tmp_path, "a.csv"))
    two = read_plate_facts(
        where, pairs, save(table.rename(columns={"nuclei_count": "Zellen"}), tmp_path, "b.csv")
    )
    np.testing.assert_array_equal(one.tables["nuclei-count"], two.tables["nuclei-count"])


def test_standardising_a_large_offset_loses_nothing() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    control, experiment = np.arange(40) < 20, np.arange(40) % 2
    z = standardize(x, experiment, control, 2)
    np.testing.assert_allclose(standardize(x + 1e7, experiment, control, 2), z, atol=1e-6)
    assert np.isnan(standardize(np.full(40, 1e7 / 3), experiment, control, 2)).all()
