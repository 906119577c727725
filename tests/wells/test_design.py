"""Batches, controls and positions against loops over the metadata's rows, and what there is none of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.wells.design import Design
from polaris_rxrx.wells.memory import read_wells
from polaris_rxrx.wells.metadata import Metadata, read_metadata
from tests.wells_factory import CONTROL, PLAN, Group, make_metadata, small

GUIDES = tuple(Group("gene-001", name, 5) for name in ("KRAS", "NRAS"))


def file(folder: Path, **columns: Any) -> tuple[Path, pd.DataFrame]:
    """A file of wells with two guides a gene, a column more, and its rows."""
    frame = make_metadata((*PLAN, *GUIDES))
    k = frame.address.str[1:].astype(int)
    guide = frame.treatment.str.replace("guide_1", "guide_2").where(k % 2 == 0, frame.treatment)
    frame = frame.assign(treatment=guide, day=(k % 3).map({0: "Mo", 1: "Tu", 2: "We"}), **columns)
    frame.to_csv(folder / "metadata.csv", index=False)
    return folder / "metadata.csv", frame


def names(meta: Metadata) -> list[str]:
    return [meta.perturbations.name[i] for i in meta.perturbation.tolist()]


@pytest.mark.parametrize("batch", ["experiment", "plate", "day", "experiment_name", "cell_type", "treatment"])
def test_batches_are_those_of_a_loop(tmp_path: Path, batch: str) -> None:
    path, frame = file(tmp_path)
    frame["treatment"] = frame.treatment.replace("", "none")
    meta = read_metadata(path, design=Design(batch))
    column = {"experiment": "experiment_name"}.get(batch, batch)
    expected = [
        f"{row.experiment_name}_{row.plate}" if batch == "plate" else getattr(row, column).strip()
        for row in frame.itertuples()
    ]
    assert [meta.experiments[i] for i in meta.experiment.tolist()] == expected
    assert meta.experiments == sorted(set(expected))
    plain = read_metadata(path)
    assert names(meta) == names(plain) and np.array_equal(meta.control, plain.control)
    # Plates of a batch are apart, also those of two experiments.
    assert meta.plate is not None
    plates = {(e, p): f"{row.experiment_name}/{row.plate}" for row, e, p in zip(
        frame.itertuples(), meta.experiment.tolist(), meta.plate.tolist(), strict=True
    )}  # fmt: skip
    for row, e, p in zip(frame.itertuples(), meta.experiment.tolist(), meta.plate.tolist(), strict=True):
        assert plates[e, p] == f"{row.experiment_name}/{row.plate}"


@pytest.mark.parametrize("guides", [False, True])
@pytest.mark.parametrize(
    "controls", [("KRAS",), ("KRAS", "aspirin"), (CONTROL, "CRISPR_control"), ("KRAS_guide_2", "NA")]
)
def test_controls_are_those_of_a_loop(tmp_path: Path, controls: tuple[str, ...], guides: bool) -> None:
    path, frame = file(tmp_path)
    meta = read_metadata(path, design=Design(controls=controls), guides=guides)
    for row, name, control in zip(frame.itertuples(), names(meta), meta.control.tolist(), strict=True):
        of = row.treatment if guides or row.perturbation_type == "COMPOUND" else row.gene
        chosen = [n for n in (row.gene, row.treatment) if n in controls]
        assert control == bool(chosen)
        assert name == (chosen[0] if chosen else of)
    assert meta.control.any()


def test_what_is_as_ever_is_in_no_protocol(tmp_path: Path) -> None:
    files = small(tmp_path)
    assert Design().to_dict() == {} and Design(positions=True).to_dict() == {}
    plain = read_wells(*files).provenance
    assert "batch" not in plain and "controls" not in plain
    other = read_wells(*files, design=Design("plate", ("TP53",))).provenance
    assert (other["batch"], other["controls"]) == ("plate", ["TP53"])


def test_a_control_needs_no_dose(tmp_path: Path) -> None:
    plan = (*PLAN, Group("compound-001", "vehicle", 4, compound=True))
    metadata, _ = small(tmp_path, plan=plan)
    with pytest.raises(DataError, match="compound 'vehicle' has no concentration"):
        read_metadata(metadata)
    meta = read_metadata(metadata, design=Design(controls=("vehicle",)))
    assert meta.control.sum() == 4


def test_addresses_are_one_however_they_are_written(tmp_path: Path) -> None:
    path, frame = file(tmp_path)
    ways = ["A1", "A01", "a1", " A01 ", "B01", "b1", "AA1", "aa01", "A10", "A010"]
    frame["address"] = [ways[i % len(ways)] for i in range(len(frame))]
    frame.to_csv(path, index=False)
    meta = read_metadata(path, design=Design(positions=True))
    assert meta.position is not None
    code = dict(zip(frame.address, meta.position.tolist(), strict=True))
    assert code == {
        "A1": 0,
        "A01": 0,
        "a1": 0,
        " A01 ": 0,
        "A10": 1,
        "A010": 1,
        "AA1": 2,
        "aa01": 2,
        "B01": 3,
        "b1": 3,
    }
    for name in ("well", "Metadata_Well"):
        frame.rename(columns={"address": name}).to_csv(path, index=False)
        again = read_metadata(path, design=Design(positions=True)).position
        assert again is not None and np.array_equal(again, meta.position)


@pytest.mark.parametrize(
    ("design", "columns", "message"),
    [
        (Design("weekday"), {}, "no column 'weekday', which --batch names; there are 'well_id', 'exp"),
        (Design("day"), {"day": ["Mo", *[""] * 999]}, r"line \d+ .well .*: day is empty, and --batch day"),
        (Design("plate"), {"plate": ["1", *[""] * 999]}, r"line \d+ .well .*: plate is empty"),
        (Design(controls=("KRSA",)), {}, "no well's gene or treatment is 'KRSA', which --controls names; "
         "there are 'CRISPR_control', 'EMPTY_control', .* more; is it 'KRAS'"),
        (Design(controls=("kras",)), {}, "no well's gene or treatment is 'kras'"),
    ],
)  # fmt: skip
def test_what_there_is_none_of(tmp_path: Path, design: Design, columns: dict[str, Any], message: str) -> None:
    path, frame = file(tmp_path)
    for name, cells in columns.items():
        frame[name] = cells[: len(frame)]
    frame.to_csv(path, index=False)
    with pytest.raises(DataError, match=message) as caught:
        read_metadata(path, design=design)
    assert str(path) in str(caught.value)


def test_a_table_without_plates(tmp_path: Path) -> None:
    path, frame = file(tmp_path)
    frame.drop(columns="plate").to_csv(path, index=False)
    with pytest.raises(DataError, match="no column 'plate', which --batch plate makes batches of; there are"):
        read_metadata(path, design=Design("plate"))


def test_two_plates_of_one_name(tmp_path: Path) -> None:
    path, frame = file(tmp_path)
    swap = frame.experiment_name.eq("gene-001")
    frame["experiment_name"] = frame.experiment_name.where(~swap, "gene").where(frame.index != 0, "gene_1")
    frame["plate"] = frame.plate.where(~swap, "1_2").where(frame.index != 0, "2")
    frame.to_csv(path, index=False)
    with pytest.raises(DataError, match="two plates of two experiments are both called 'gene_1_2'"):
        read_metadata(path, design=Design("plate"))


def test_a_control_whose_name_is_misspelt_in_some_wells(tmp_path: Path) -> None:
    path, frame = file(tmp_path)
    frame.loc[frame.index[frame.gene == "KRAS"][0], "gene"] = "Kras "
    frame.to_csv(path, index=False)
    assert "Kras " in read_metadata(path).perturbations.name
    with pytest.raises(DataError, match="gene is 'Kras '; a control is called KRAS"):
        read_metadata(path, design=Design(controls=("KRAS",)))


@pytest.mark.parametrize("controls", [("",), ("A", "A")])
def test_controls_that_cannot_be(controls: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="names, each once, were expected"):
        Design(controls=controls)
    with pytest.raises(UsageError, match="the batch has no name"):
        Design("")


def test_wells_that_were_read_keep_their_design(tmp_path: Path) -> None:
    metadata, embeddings = small(tmp_path)
    meta = read_metadata(metadata, design=Design("plate"))
    assert len(read_wells(meta, embeddings).experiments) == len(meta.experiments) > 20
    with pytest.raises(UsageError, match=r"read with Design.batch='plate'.*not Design.batch='experiment'"):
        read_wells(meta, embeddings, design=Design())


@pytest.mark.parametrize("columns", [("plate", "address"), ("plate",), ("address",)])
def test_labels_are_the_cells_of_each_well(tmp_path: Path, columns: tuple[str, ...]) -> None:
    """Names of plates, addresses and treatments follow the wells, through the join and its order."""
    metadata, embeddings = small(tmp_path)
    frame = pd.read_csv(metadata, dtype=str, keep_default_na=False)
    for name in columns:
        frame[name] = [f"{name} {i * 7 % 13}" for i in range(len(frame))]
    frame = frame.drop(columns=[n for n in ("plate", "address") if n not in columns and n in frame])
    frame.to_csv(metadata, index=False)
    wells = read_wells(metadata, embeddings, design=Design(labels=True))
    labels, plain = wells.labels, read_wells(metadata, embeddings)
    assert labels is not None and plain.labels is None
    assert np.array_equal(wells.x, plain.x) and wells.position is None
    assert (labels.plate is None, labels.address is None) == tuple(
        n not in columns for n in ("plate", "address")
    )
    ordered = frame.iloc[order_of(frame)]
    for name, own in (("plate", labels.plate), ("address", labels.address), ("treatment", labels.treatment)):
        if own is not None:
            assert [own.names[c] for c in own.code] == ordered[name].tolist()


def order_of(frame: pd.DataFrame) -> list[int]:
    """Rows by experiment, perturbation (compounds first, by name and dose), well_id."""

    def key(i: int) -> tuple[Any, ...]:
        row = frame.iloc[i]
        gene = row.perturbation_type == "CRISPR"
        dose = float(row.concentration) if row.concentration and not gene else np.inf
        side = sorted(set(frame.perturbation_type), key=("COMPOUND", "CRISPR").index)
        name = row.gene if gene else row.treatment
        return row.experiment_name, side.index(row.perturbation_type), name, dose, row.well_id

    return sorted(range(len(frame)), key=key)
