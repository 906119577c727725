"""Wells of any screen: RxRx3-core as ever, JUMP's tables joined, and one's own card."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.dataset.screens import Screen, load_screen
from polaris_rxrx.errors import DataError, MissingError
from polaris_rxrx.wells.design import Design
from polaris_rxrx.wells.metadata import Metadata, read_metadata
from polaris_rxrx.wells.screen import CHOSEN, read_screen
from tests.wells_factory import make_metadata

CORE = "metadata_rxrx3_core.csv"


def same(a: Metadata, b: Metadata) -> bool:
    """Whether two readings agree in every bit."""
    assert a.plate is not None and b.plate is not None
    arrays = [
        (a.experiment, b.experiment),
        (a.perturbation, b.perturbation),
        (a.control, b.control),
        (a.plate, b.plate),
    ]
    doses = a.perturbations.concentration, b.perturbations.concentration
    return (
        all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in arrays)
        and np.array_equal(*doses, equal_nan=True)
        and a.well_id.equals(b.well_id)
        and (a.path, a.experiments, a.columns, a.notes) == (b.path, b.experiments, b.columns, b.notes)
        and (a.perturbations.type, a.perturbations.name) == (b.perturbations.type, b.perturbations.name)
    )


@pytest.mark.parametrize("guides", [False, True])
@pytest.mark.parametrize("card", ["rxrx3-core", "rxrx3"])
def test_the_cards_of_rxrx3_read_the_demo_to_the_bit(card: str, guides: bool, demo: Path) -> None:
    path = demo / "data" / CORE
    found = read_screen(load_screen(card), demo / "data", wells=path, guides=guides)
    assert same(found.metadata, read_metadata(path, guides=guides))
    assert found.left_out == {} and len(found.row) == len(found.metadata)
    n_controls = found.metadata.control.sum()
    assert n_controls > 100 and found.controls["negative"] == {CONTROL: n_controls}


def test_the_card_of_core_reads_whatever_stands_in_a_table_to_the_bit(tmp_path: Path) -> None:
    table = make_metadata()
    table.loc[3, "well_id"] += " "
    table.loc[5, "experiment_name"] = f" {table.experiment_name[5]}"
    table.to_csv(tmp_path / CORE, index=False)
    found = read_screen(load_screen("rxrx3-core"), tmp_path).metadata
    assert same(found, read_metadata(tmp_path / CORE)) and len(found.notes) == 2


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("perturbation_type", "ORF"),
        ("gene", "empty_control"),
        ("concentration", "much"),
        ("experiment_name", ""),
        ("well_id", ""),
    ],
)
def test_the_card_of_core_refuses_in_the_same_words(column: str, value: str, tmp_path: Path) -> None:
    table = make_metadata()
    table.loc[7, column] = value
    table.to_csv(tmp_path / CORE, index=False)
    with pytest.raises(DataError) as expected:
        read_metadata(tmp_path / CORE)
    with pytest.raises(DataError) as found:
        read_screen(load_screen("rxrx3-core"), tmp_path)
    assert str(found.value) == str(expected.value)


# --- JUMP: real plates, reagents and controls; which well has which reagent is drawn ------------------------

PLATES = 20
ROWS = "ABCDEFGHIJKLMNOP"


def jump_wells(data: Path, plate_type: str, reagents: list[str], *, seed: int = 0) -> pd.DataFrame:
    """`well.csv.gz` for plates of a type, 384 wells each: reagents, and what else stands on JUMP's plates."""
    rng = np.random.default_rng(seed)
    plates = pd.read_csv(data / "plate.csv.gz", dtype=str, keep_default_na=False)
    chosen = plates[plates.Metadata_PlateType == plate_type].iloc[:PLATES]
    other = plates[plates.Metadata_PlateType == "TARGET2"].iloc[:1]  # of another kind: to be left out
    rows = []
    for plate in pd.concat([chosen, other]).itertuples():
        drawn = rng.choice(reagents, size=384)
        drawn[:16] = ["JCP2022_800001", "JCP2022_800002"] * 8  # negative controls of the CRISPR side
        drawn[16:20] = "JCP2022_805264"  # PLK1, a positive one
        drawn[20:26] = "JCP2022_999999"  # nothing in the well
        drawn[26:28] = "JCP2022_033924"  # DMSO, a control of another side
        drawn[28] = "JCP2022_UNKNOWN"
        for i, jcp in enumerate(drawn):
            well = f"{ROWS[i // 24]}{i % 24 + 1:02d}"
            rows.append((plate.Metadata_Source, plate.Metadata_Plate, well, jcp))
    return pd.DataFrame(
        rows, columns=["Metadata_Source", "Metadata_Plate", "Metadata_Well", "Metadata_JCP2022"]
    )


@pytest.fixture(scope="module")
def jump(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of the CRISPR side."""
    folder = tmp_path_factory.mktemp("jump")
    for name in ("plate.csv.gz", "crispr.csv.gz", "perturbation_control.csv"):
        shutil.copy(shared_data / "jump" / name, folder / name)
    reagents = pd.read_csv(folder / "crispr.csv.gz", dtype=str, keep_default_na=False)
    genes = reagents.Metadata_JCP2022[2:120].tolist()
    jump_wells(folder, "CRISPR", genes).to_csv(folder / "well.csv.gz", index=False)
    return folder


def joined_slowly(folder: Path) -> pd.DataFrame:
    """The wells of the CRISPR side by pandas."""
    tables = {
        name: pd.read_csv(folder / name, dtype=str, keep_default_na=False)
        for name in ("well.csv.gz", "plate.csv.gz", "crispr.csv.gz", "perturbation_control.csv")
    }
    wells = tables["well.csv.gz"].merge(tables["plate.csv.gz"], on=["Metadata_Source", "Metadata_Plate"])
    wells = wells.merge(tables["crispr.csv.gz"], on="Metadata_JCP2022")
    wells = wells.merge(tables["perturbation_control.csv"], on="Metadata_JCP2022", how="left")
    return wells[wells.Metadata_PlateType == "CRISPR"]


def test_jump_is_joined_from_four_tables(jump: Path) -> None:
    found = read_screen(load_screen("jump-crispr"), jump)
    meta, slow = found.metadata, joined_slowly(jump)
    assert len(meta) == len(slow) == PLATES * (384 - 6 - 2 - 1)
    by_id = {
        f"{w.Metadata_Plate}_{w.Metadata_Well}": (
            w.Metadata_Batch,
            CONTROL if w.Metadata_pert_type == "negcon" else w.Metadata_Symbol,
            w.Metadata_pert_type == "negcon",
        )
        for w in slow.itertuples()
    }
    names = [meta.perturbations.name[i] for i in meta.perturbation.tolist()]
    batches = [meta.experiments[i] for i in meta.experiment.tolist()]
    assert by_id == dict(
        zip(
            meta.well_id.to_pylist(),
            zip(batches, names, map(bool, meta.control), strict=True),
            strict=True,
        )
    )
    assert set(meta.perturbations.type) == {"CRISPR"} and np.isnan(meta.perturbations.concentration).all()
    assert meta.plate is not None and len(set(meta.plate.tolist())) == PLATES
    assert "Metadata_Symbol" in meta.columns and "Metadata_PlateType" in meta.columns
    assert "PLK1" in meta.perturbations.name


def test_what_was_left_out_of_jump_is_told(jump: Path) -> None:
    found = read_screen(load_screen("jump-crispr"), jump)
    assert found.left_out == {
        "Metadata_PlateType is not CRISPR": 384,
        "empty wells": PLATES * 6,
        "not in crispr.csv.gz": PLATES * 3,
    }
    path = jump / "well.csv.gz"
    assert found.metadata.notes == (
        f"{path}: 384 wells were left out: Metadata_PlateType is not CRISPR",
        f"{path}: 120 wells were left out: empty wells",
        f"{path}: 60 wells were left out: not in crispr.csv.gz",
        f"{path}: EMPTY_control stands for the negative controls, 'negcon'",
    )


def test_the_order_of_rows_changes_nothing(jump: Path, tmp_path: Path) -> None:
    screen = load_screen("jump-crispr")
    shutil.copytree(jump, tmp_path, dirs_exist_ok=True)
    for name in ("well.csv.gz", "plate.csv.gz", "crispr.csv.gz", "perturbation_control.csv"):
        table = pd.read_csv(tmp_path / name, dtype=str, keep_default_na=False)
        table.sample(frac=1, random_state=1).to_csv(tmp_path / name, index=False)
    a, b = read_screen(screen, jump).metadata, read_screen(screen, tmp_path).metadata
    at = {well: i for i, well in enumerate(a.well_id.to_pylist())}
    order = [at[well] for well in b.well_id.to_pylist()]
    assert np.array_equal(a.perturbation[order], b.perturbation)
    assert np.array_equal(a.experiment[order], b.experiment)
    assert np.array_equal(a.control[order], b.control)
    assert a.perturbations.name == b.perturbations.name


def test_guides_of_jump_are_its_reagents(jump: Path) -> None:
    meta = read_screen(load_screen("jump-crispr"), jump, guides=True).metadata
    assert {n for n in meta.perturbations.name if n != CONTROL} == set(
        joined_slowly(jump).query("Metadata_pert_type != 'negcon'").Metadata_JCP2022
    )


@pytest.mark.parametrize("card", ["jump-orf", "jump-compound"])
def test_the_other_sides_of_jump(card: str, shared_data: Path, tmp_path: Path) -> None:
    screen = load_screen(card)
    orf = card == "jump-orf"
    for name in ("plate.csv.gz", "perturbation_control.csv"):
        shutil.copy(shared_data / "jump" / name, tmp_path / name)
    controls = ["JCP2022_915128", "JCP2022_915131"] if orf else ["JCP2022_033924"]
    reagents = [f"JCP2022_90000{i}" for i in range(2, 8)]
    table = {"Metadata_JCP2022": [*reagents, *controls]}
    if orf:  # two clones of every gene
        symbols = [f"GENE{i // 2}" for i in range(6)]
        table |= {"Metadata_Symbol": [*symbols, "BFP", "LacZ"], "Metadata_pert_type": ["trt"] * 8}
    else:
        table |= {"Metadata_InChIKey": ["K"] * 7, "Metadata_SMILES": ["CCO"] * 7}
    pd.DataFrame(table).to_csv(tmp_path / screen.joins[1].file, index=False)
    wells = jump_wells(shared_data / "jump", "ORF" if orf else "COMPOUND", [*reagents, *controls])
    wells.to_csv(tmp_path / "well.csv.gz", index=False)
    meta = read_screen(screen, tmp_path).metadata
    names = {"GENE0", "GENE1", "GENE2"} if orf else set(reagents)
    assert set(meta.perturbations.name) == {*names, CONTROL}
    assert set(meta.perturbations.type) == {"CRISPR" if orf else "COMPOUND"}
    assert np.isnan(meta.perturbations.concentration).all() and meta.control.sum() > 100
    assert all(name.startswith("source_") for name in meta.experiments) is not orf


# --- one's own screen --------------------------------------------------------------------------------------

WELLS = """plate,well,drug,alias,dose,batch
P1,A01,DMSO,,,1
P1,A02,DMSO,,,1
P1,A03,aspirin,,2500,1
P1,A04,x17,ibuprofen,10,1
P2,A01,DMSO,,,2
P2,A02,none,,,2
P2,A03,aspirin,,25,2
"""


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., tuple[Screen, Path]]:
    """A card and its table, each changed as asked."""

    def make(text: str = WELLS, **changes: object) -> tuple[Screen, Path]:
        (tmp_path / "wells.csv").write_text(text)
        document = {
            "name": "mine",
            "title": "My screen",
            "licence": "ours",
            "wells": {"file": "wells.csv", "id": ["plate", "well"], "batch": "batch", "plate": "plate"},
            "sides": [{"type": "COMPOUND", "name": ["alias", "drug"], "dose": "dose", "unit": "nM"}],
            "controls": {"columns": "drug", "negative": ["DMSO"], "empty": ["none"]},
            **changes,
        }
        return Screen.model_validate(document), tmp_path

    return make


def test_doses_become_uM_and_names_the_first_there_is(own: Callable[..., tuple[Screen, Path]]) -> None:
    meta = read_screen(*own()).metadata
    p = meta.perturbations
    assert list(zip(p.name, np.nan_to_num(p.concentration).tolist(), strict=True)) == [
        (CONTROL, 0.0),
        ("aspirin", 0.025),
        ("aspirin", 2.5),
        ("ibuprofen", 0.01),
    ]
    assert meta.well_id.to_pylist() == ["P1_A01", "P1_A02", "P1_A03", "P1_A04", "P2_A01", "P2_A03"]
    assert meta.experiments == ["1", "2"] and meta.control.tolist() == [True, True, False, False, True, False]


def test_a_dose_may_be_one_number(own: Callable[..., tuple[Screen, Path]]) -> None:
    side = {"type": "COMPOUND", "name": ["drug"], "dose": 10.0, "unit": "uM"}
    p = read_screen(*own(sides=[side])).metadata.perturbations
    assert dict(zip(p.name, p.concentration.tolist(), strict=True))["aspirin"] == 10.0


def test_a_dose_without_a_unit_is_uM_or_refused(own: Callable[..., tuple[Screen, Path]]) -> None:
    wells = WELLS.replace(",10,", ",2500,").replace(",25,", ",10000,")
    with pytest.raises(DataError, match="all in all that looks like nM"):
        read_screen(*own(wells, sides=[{"type": "COMPOUND", "name": "drug", "dose": "dose"}]))


JOIN = {"file": "more.csv", "on": "drug", "keep": "matched"}


@pytest.mark.parametrize(
    ("changes", "more", "said"),
    [
        (
            {"controls": {"columns": "kind", "negative": ["DMSO"]}},
            "",
            "no column 'kind', which the card",
        ),
        ({"wells": {"file": "gone.csv", "id": "well", "batch": "batch"}}, "", "gone.csv is not in"),
        (
            {"wells": {"file": "wells.csv", "id": "well", "batch": "batch"}},
            "",
            "2 wells stand more than once",
        ),
        (
            {"wells": {"file": "wells.csv", "id": "well", "batch": "batch", "where": {"plate": ["P9"]}}},
            "",
            r"no well of My screen is left \(7 wells: plate is not P9; plate holds 'P1', 'P2'\)",
        ),
        ({"joins": [JOIN]}, "drug,a\nDMSO,1\nDMSO,2\n", "'DMSO' stand more than once; one row a drug was"),
        ({"joins": [JOIN]}, "drog,a\nDMSO,1\n", "more.csv: no column 'drug', by which more.csv is joined"),
        ({"joins": [JOIN]}, "drug,dose\nDMSO,1\n", "more.csv: column 'dose' is in an earlier table, too"),
        ({"joins": [{**JOIN, "columns": "b"}]}, "drug,a\nDMSO,1\n", "no column 'b', which the card takes"),
        ({"joins": [JOIN]}, "drug,a\nx17,1\n", "5 of 7 wells of My screen are in no row of 'more.csv'"),
        ({}, "", None),
    ],
)
def test_what_is_said_of_tables(
    changes: dict[str, object], more: str, said: str | None, own: Callable[..., tuple[Screen, Path]]
) -> None:
    screen, folder = own(**changes)
    (folder / "more.csv").write_text(more)
    if said is None:
        assert len(read_screen(screen, folder).metadata) == 6
        return
    with pytest.raises((DataError, MissingError), match=said):
        read_screen(screen, folder)


def test_nothing_goes_by_guide_where_there_are_none(own: Callable[..., tuple[Screen, Path]]) -> None:
    with pytest.raises(DataError, match="the card mine names no column of guides"):
        read_screen(*own(), guides=True)


# --- other batches, controls and positions ------------------------------------------------------------------


def test_a_batch_of_jump_is_its_plate_or_any_column(jump: Path) -> None:
    screen, slow = load_screen("jump-crispr"), joined_slowly(jump)
    by_id = {f"{w.Metadata_Plate}_{w.Metadata_Well}": w for w in slow.itertuples()}
    for batch, of in {
        "plate": lambda w: f"{w.Metadata_Batch}_{w.Metadata_Plate}",
        "Metadata_Source": lambda w: w.Metadata_Source,
    }.items():
        meta = read_screen(screen, jump, design=Design(batch, positions=True)).metadata
        assert [meta.experiments[i] for i in meta.experiment.tolist()] == [
            of(by_id[well]) for well in meta.well_id.to_pylist()
        ]
        places = sorted({(w.Metadata_Well[0], int(w.Metadata_Well[1:])) for w in by_id.values()})
        assert meta.position is not None and len(set(meta.position.tolist())) == len(places)
        of_place: dict[int, set[str]] = {}
        for well, code in zip(meta.well_id.to_pylist(), meta.position.tolist(), strict=True):
            of_place.setdefault(code, set()).add(by_id[well].Metadata_Well)
        assert all(len(wells) == 1 for wells in of_place.values())
    # A column of a joined table that the card does not take is found, too; controls have no gene there.
    with pytest.raises(DataError, match="Metadata_NCBI_Gene_ID is empty, and --batch"):
        read_screen(screen, jump, design=Design("Metadata_NCBI_Gene_ID"))


def test_controls_of_jump_by_their_names(jump: Path) -> None:
    """Of two negative controls one, by its symbol or by its reagent; or the positive ones. Those that were
    not asked for have no row in a map, either: they keep a control's name."""
    screen, slow = load_screen("jump-crispr"), joined_slowly(jump)
    symbols = sorted(set(slow.Metadata_Symbol[slow.Metadata_pert_type == "negcon"]))
    assert len(symbols) == 2
    reagent = slow.Metadata_JCP2022[slow.Metadata_Symbol == symbols[0]].iloc[0]
    for chosen, column in (
        (symbols[0], "Metadata_Symbol"),
        (reagent, "Metadata_JCP2022"),
        ("poscon", "Metadata_pert_type"),
    ):
        found = read_screen(screen, jump, design=Design(controls=(chosen,)))
        meta = found.metadata
        expected = {
            f"{w.Metadata_Plate}_{w.Metadata_Well}" for w in slow[slow[column] == chosen].itertuples()
        }
        assert (
            {w for w, c in zip(meta.well_id.to_pylist(), meta.control, strict=True) if c} == expected != set()
        )
        names = {meta.perturbations.name[i] for i in meta.perturbation[meta.control].tolist()}
        assert names == {CHOSEN} and set(found.controls["negative"]) == {chosen}
        assert found.controls["negative"][chosen] >= len(expected)  # also those that were left out
        others = {meta.perturbations.name[i] for i in meta.perturbation[~meta.control].tolist()}
        assert CONTROL in others and CHOSEN not in others and not others & set(symbols)
        assert any(
            note.endswith(f"{CHOSEN} stands for the negative controls, {chosen!r}") for note in meta.notes
        )


def test_the_card_of_core_and_its_file_have_the_same_other_controls(tmp_path: Path) -> None:
    table = make_metadata()
    table.to_csv(tmp_path / CORE, index=False)
    design = Design("plate", ("CRISPR_control", "TP53"), positions=True)
    found = read_screen(load_screen("rxrx3-core"), tmp_path, design=design).metadata
    same_file = read_metadata(tmp_path / CORE, design=design)
    assert found.design == same_file.design == design
    for a, b in ((found.experiment, same_file.experiment), (found.control, same_file.control)):
        assert np.array_equal(a, b)
    assert found.position is not None and np.array_equal(found.position, same_file.position)
    assert found.experiments == same_file.experiments
    wells = [[m.perturbations.name[i] for i in m.perturbation.tolist()] for m in (found, same_file)]
    assert [CHOSEN if c else n for n, c in zip(wells[1], same_file.control, strict=True)] == wells[0]


def test_a_card_may_make_batches_of_plates_itself(own: Callable[..., tuple[Screen, Path]]) -> None:
    wells = {"file": "wells.csv", "id": ["plate", "well"], "batch": ["batch", "plate"], "address": "well"}
    by_card = read_screen(*own(wells=wells), design=Design(positions=True)).metadata
    by_option = read_screen(*own(), design=Design("plate")).metadata
    assert by_card.experiments == by_option.experiments == ["1_P1", "2_P2"]
    assert np.array_equal(by_card.experiment, by_option.experiment)
    assert by_card.position is not None and by_card.position.tolist() == [0, 1, 2, 3, 0, 2]


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (Design("operator"), "no column 'operator', which --batch names; there are 'plate', 'well', 'drug'"),
        (Design(positions=True), "the card mine names no column of addresses"),
        (
            Design(controls=("DMS0",)),
            "no well's drug or alias is 'DMS0', which --controls names; there are .*'DMSO'",
        ),
        (Design(controls=("none",)), None),
    ],
)
def test_what_a_screen_has_none_of(
    design: Design, message: str | None, own: Callable[..., tuple[Screen, Path]]
) -> None:
    if message is None:  # an empty well that is asked for as a control is one
        assert read_screen(*own(), design=design).metadata.control.sum() == 1
        return
    with pytest.raises(DataError, match=message):
        read_screen(*own(), design=design)
