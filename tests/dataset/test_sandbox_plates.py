"""The demo's plates with images: their shape, what is planted in them, and that they are the same again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.dataset import sandbox_plates as sp
from polaris_rxrx.dataset.registry import is_made_up
from polaris_rxrx.errors import UsageError
from polaris_rxrx.images.opened import open_images

GENES = {gene for family in sp.FAMILIES for gene in family}


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> sp.Plates:
    """Fields of a seventh of the area, of a seventh of the cells: what is tested here does not hang on it."""
    patch = pytest.MonkeyPatch()
    patch.setattr(sp, "SIZE", (96, 96))
    patch.setattr(sp, "ORDINARY", sp.replace(sp.ORDINARY, count=5))
    try:
        return sp.write_plates(tmp_path_factory.mktemp("plates"))
    finally:
        patch.undo()


@pytest.fixture(scope="module")
def metadata(plates: sp.Plates) -> pd.DataFrame:
    return pd.read_csv(plates.metadata, dtype=str, keep_default_na=False)


def test_every_well_has_its_images(plates: sp.Plates, metadata: pd.DataFrame) -> None:
    images = open_images(plates.images)
    assert sorted(images.wells) == sorted(metadata.well_id) and plates.wells == len(images.wells) == 100
    assert plates.shards == len(list(plates.images.iterdir())) == 3
    read = list(images.read(images.wells))
    assert all(len(well.sites) == 1 and not well.faults for well in read)
    assert {well.sites[0].pixels.shape for well in read} == {(6, 96, 96)}
    assert is_made_up(plates.folder)
    assert {images.metadata(w)["address"] for w in images.wells} == set(metadata.address)


def test_both_plates_have_controls_and_the_table_is_about_their_wells(
    plates: sp.Plates, metadata: pd.DataFrame
) -> None:
    controls = metadata[metadata.treatment == "EMPTY_control"].groupby("experiment_name").size()
    assert controls.to_dict() == {"compound-003": 14, "gene-007": 14}
    assert set(metadata.gene) == GENES | {"EMPTY_control", ""}
    table = pd.read_csv(plates.interactions)
    active = table[table.nM_value <= 1000]
    assert set(table.treatment) == sp.NAMES == set(metadata.treatment[metadata.concentration != ""])
    assert set(active.treatment) == sp.NAMES and set(table.gene_symbol) <= GENES
    assert {c.name: set(c.targets) for c in sp.known()} == active.groupby("treatment").gene_symbol.agg(
        set
    ).to_dict()
    assert not table.duplicated(["treatment", "gene_symbol"]).any()


def test_compounds_look_like_the_genes_that_they_are_known_for() -> None:
    """By the planted shifts: cosines of a compound's with its targets', and with all other genes'."""
    genes, compounds = sp._contents(np.random.default_rng(np.random.SeedSequence(0).spawn(3)[0]))
    shift = {c.gene: c.shift for c in genes if c.gene in GENES}
    targets = {c.name: c.targets for c in sp.known()}
    own, other = [], []
    for content in compounds:
        for gene in sorted(GENES) if content.treatment in targets else ():
            norm = np.linalg.norm(content.shift) * np.linalg.norm(shift[gene])
            (own if gene in targets[content.treatment] else other).append(
                float(content.shift @ shift[gene] / norm)
            )
    assert len(own) == 3 * sum(map(len, targets.values())) and len(other) > len(own)
    assert np.mean(own) > 0.7 and abs(np.mean(other)) < 0.15
    assert all(not c.shift.any() for c in (*genes, *compounds) if c.treatment == "EMPTY_control")


def test_wells_of_a_family_look_alike(plates: sp.Plates, metadata: pd.DataFrame) -> None:
    """A plain reading of the pixels: each channel's mean and standard deviation, less the controls'."""
    images = open_images(plates.images)
    wells = metadata[metadata.experiment_name == "gene-007"].set_index("well_id")
    pixels = {w.well: np.log(w.sites[0].pixels.reshape(6, -1) + 1.0) for w in images.read(list(wells.index))}
    x = pd.DataFrame({well: [*p.mean(axis=1), *p.std(axis=1)] for well, p in pixels.items()}).T
    control = x[wells.gene.loc[x.index] == "EMPTY_control"]
    x = (x - control.mean()) / control.std()
    family = {gene: i for i, family in enumerate(sp.FAMILIES) for gene in family}
    x = x[wells.gene.loc[x.index] != "EMPTY_control"]
    which = wells.gene.loc[x.index].map(family).to_numpy()
    unit = x.to_numpy() / np.linalg.norm(x.to_numpy(), axis=1, keepdims=True)
    cosines, same = unit @ unit.T, which[:, None] == which
    off = ~np.eye(len(unit), dtype=bool)
    assert cosines[same & off].mean() > cosines[~same].mean() + 0.3


def test_a_seed_draws_the_same_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a few wells, for it takes its time."""
    monkeypatch.setattr(sp, "SIZE", (96, 96))
    monkeypatch.setattr(sp, "ORDINARY", sp.replace(sp.ORDINARY, count=2))
    monkeypatch.setattr(sp, "ROWS", ("Y",))
    monkeypatch.setattr(
        sp, "_contents", lambda rng: ([sp._Content("A", "A_guide_1", "", "", rng.normal(size=12))] * 10,) * 2
    )
    steps: list[tuple[str, int, int]] = []
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        sp.write_plates(tmp_path / name, seed=seed, step=lambda *told: steps.append(told))
    one, again, other = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "again", "other")
    )
    assert len(one) == 4 and one == again
    assert one != other
    assert steps[:20] == [("wells", i, 20) for i in range(1, 21)]


def test_no_folder_and_no_seed_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        sp.write_plates(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="a seed is 0 or more"):
        sp.write_plates(tmp_path, seed=-1)
