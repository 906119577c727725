"""Corrections against slow twins, and on an effect that was planted."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.baselines import corrected, map_of
from polaris_rxrx.cards import Recipe
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.align import ALIGNERS, Aligner
from polaris_rxrx.maps.build import Map, build_map
from polaris_rxrx.maps.correct import (
    ON_MAP,
    ON_WELLS,
    by_arm,
    by_position,
    position_means,
    position_sums,
    read_arms,
)
from polaris_rxrx.maps.names import CORRECTIONS
from polaris_rxrx.maps.similarity import cosine
from polaris_rxrx.suites.gene_gene import evaluate_gene_gene
from polaris_rxrx.suites.relations import Relations
from polaris_rxrx.wells.design import Design
from polaris_rxrx.wells.memory import Wells, read_wells
from polaris_rxrx.wells.metadata import Perturbations, read_metadata
from tests.conftest import ROOT
from tests.wells_factory import small, write


def made(effect: float = 0.0) -> tuple[Map, dict[str, str]]:
    """200 genes on five arms, a compound, and a gene that no arm is known of."""
    names = [*(f"G{i:03d}" for i in range(200)), "NOWHERE", "drug"]
    arms = {f"G{i:03d}": f"{i % 5}p" for i in range(200)}
    x = np.random.default_rng(2).normal(size=(202, 12))
    if effect:
        x[:200] += effect * np.random.default_rng(3).normal(size=(5, 12))[np.arange(200) % 5]
    kinds = ["CRISPR"] * 201 + ["COMPOUND"]
    doses = np.r_[np.full(201, np.nan), 1.0]
    return Map(Perturbations(kinds, names, doses), x, np.ones(202, dtype=np.int64), {"align": "none"}), arms


@pytest.mark.parametrize(("n_silent", "kind"), [(0, "all"), (100, "unexpressed"), (60, "all")])
def test_it_is_its_twin(n_silent: int, kind: str) -> None:
    map_, arms = made()
    silent = {f"G{i:03d}" for i in range(n_silent)}
    found = by_arm(map_, arms, silent)
    for i, name in enumerate(map_.perturbations.name):
        on = [
            j
            for j, other in enumerate(map_.perturbations.name)
            if name in arms and arms.get(other) == arms[name]
        ]
        by = [j for j in on if map_.perturbations.name[j] in silent]
        by = by if len(by) >= 20 else on
        expected = map_.x[i] - sum(map_.x[j] for j in by) / len(by) if on else map_.x[i]
        np.testing.assert_allclose(found.x[i], expected, atol=1e-12)
    done = found.protocol["corrections"][0]
    assert done[f"arms_by_{kind}"] == ["0p", "1p", "2p", "3p", "4p"] and done["n_genes_without_arm"] == 1
    assert found.protocol["align"] == "none" and "corrections" not in map_.protocol


def test_what_was_planted_is_gone() -> None:
    """Relations across arms that are drowned by the arms' own likeness are found again."""
    map_, arms = made(effect=2.0)
    first = np.arange(0, 100)
    second = first + 101  # never the same arm
    map_.x[second] += map_.x[first] - np.array(
        [map_.x[first][first % 5 == k].mean(axis=0) for k in first % 5]
    )
    known = Relations(Path("r"), "", ("a", "b"), map_.perturbations.name, first, second)
    before, after = (
        evaluate_gene_gene(m, {"r": known}).summary["sources"]["r"]["recall"]
        for m in (map_, by_arm(map_, arms))
    )
    assert before < 0.5 < 0.8 < after


def test_small_arms_stay() -> None:
    map_, arms = made()
    arms |= {"G000": "21p"}
    found = by_arm(map_, arms)
    np.testing.assert_array_equal(found.x[0], map_.x[0])
    assert found.protocol["corrections"][0]["arms_left"] == ["21p"]


def test_what_cannot_be_corrected() -> None:
    map_, arms = made()
    with pytest.raises(UsageError, match="least is 0"):
        by_arm(map_, arms, least=0)
    with pytest.raises(DataError, match="no gene of the map"):
        by_arm(map_, {"TP53": "17p"})
    with pytest.raises(DataError, match="no chromosome arm has 99 genes"):
        by_arm(map_, arms, least=99)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene,place\nTP53,17p\n", "no column 'arm'"),
        ("gene,arm\nTP53,\n", "line 2: gene 'TP53', arm ''"),
        ("gene,arm\nTP53,17p\nTP53,3p\n", "line 3: 'TP53' is on '3p' here and on '17p' above"),
        ("gene,arm\n", "holds no genes"),
    ],
)
def test_tables_of_arms(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "arms.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_arms(path)
    path.write_text("gene,arm\nTP53,17p\nTP53,17p\nNA,1q\n")
    assert read_arms(path) == {"TP53": "17p", "NA": "1q"}


# --- well position ------------------------------------------------------------------------------------------


def on_plates(folder: Path, **changes: object) -> tuple[Path, Path]:
    """The factory's wells at 16 addresses, written in several ways; all plates have all of them."""

    def placed(frame: pd.DataFrame) -> pd.DataFrame:
        k = frame.address.str[1:].astype(int)
        row = pd.Series(np.where(k % 3 == 0, "a", "A"), frame.index)
        column = k % 16 + 1
        digits = column.astype(str).where(k % 5 != 0, column.astype(str).str.zfill(2))
        return frame.assign(address=row + digits, **changes)

    return small(folder, dtype=np.float64, change_metadata=placed)


def less_the_mean(metadata: Path, embeddings: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Loops over wells and positions, as the recipe says: no mean is added back, and controls take part."""
    wells = pd.read_csv(metadata, keep_default_na=False, dtype=str).merge(
        pd.read_parquet(embeddings), on="well_id"
    )
    x = wells[[c for c in wells if c.startswith("feature_")]].to_numpy()
    address = [(a[0].upper(), int(a[1:])) for a in wells.address]
    out = x.copy()
    for place in sorted(set(address)):
        rows = [i for i, a in enumerate(address) if a == place]
        mean = [sum(x[i, j] for i in rows) / len(rows) for j in range(x.shape[1])]
        for i in rows:
            out[i] = x[i] - mean
    return wells, out


def test_corrected_wells_are_their_twin(tmp_path: Path) -> None:
    files = on_plates(tmp_path)
    wells = read_wells(*files, design=Design(positions=True))
    frame, expected = less_the_mean(*files)
    found = by_position(wells)
    blocks = list(found.blocks())
    rows = {tuple(row): i for i, row in enumerate(frame.filter(like="feature_").to_numpy().tolist())}
    order = [rows[tuple(row)] for row in wells.x.tolist()]
    np.testing.assert_allclose(np.concatenate([b.x for b in blocks]), expected[order], atol=1e-12)
    for before, after in zip(wells.blocks(), blocks, strict=True):
        assert before.experiment == after.experiment and np.array_equal(before.control, after.control)
        assert np.array_equal(before.perturbation, after.perturbation)
    counts = Counter((a[0].upper(), int(a[1:])) for a in frame.address)
    (done,) = found.provenance["corrections"]
    assert len(counts) == 16 and done["n_positions"] == 16 and done["least_wells"] == min(counts.values())
    assert done["n_positions_of_one_perturbation"] == done["n_perturbations_lost"] == 0
    assert found.told == f"Well positions corrected: 16, of {min(counts.values())} wells or more each"


@pytest.mark.parametrize("aligner", ALIGNERS)
def test_maps_of_corrected_wells_are_those_of_a_corrected_table(tmp_path: Path, aligner: Aligner) -> None:
    files = on_plates(tmp_path)
    frame, x = less_the_mean(*files)
    table = pd.DataFrame(x, columns=[f"feature_{i}" for i in range(6)]).assign(well_id=frame.well_id)
    (tmp_path / "other").mkdir()
    own = write(tmp_path / "other", pd.read_csv(files[0], keep_default_na=False, dtype=str), table)
    expected = build_map(read_wells(*own), aligner)
    recipe = Recipe(align=aligner, correct=("well-position",))
    wells = read_wells(*files, design=recipe.design)
    for found in (map_of(wells, recipe), map_of(corrected(wells, recipe), recipe)):  # never twice
        assert found.perturbations.name == expected.perturbations.name
        assert np.abs(cosine(found.x, found.x) - cosine(expected.x, expected.x)).max() < 1e-9
        assert [c["correction"] for c in found.protocol["corrections"]] == ["well-position"]
    before = build_map(wells, aligner)
    assert np.abs(cosine(before.x, before.x) - cosine(expected.x, expected.x)).max() > 0.01
    assert "corrections" not in before.protocol


def test_sums_by_position_and_by_batch_add_up(tmp_path: Path) -> None:
    """What a streaming pass would keep: of any batches, in any order, one look."""
    files = on_plates(tmp_path)
    means = [
        position_means(read_wells(*files, design=Design(batch, positions=True)))
        for batch in ("experiment", "plate")
    ]
    np.testing.assert_allclose(means[0].mean, means[1].mean, rtol=1e-12)
    assert np.array_equal(means[0].n_wells, means[1].n_wells)
    wells = read_wells(*files, design=Design(positions=True))
    parts = [position_sums(b) for b in wells.blocks()][::-1]
    sums, n = np.zeros_like(means[0].mean), np.zeros_like(means[0].n_wells)
    for part in parts:
        sums[part.position] += part.sums
        n[part.position] += part.n_wells
    np.testing.assert_allclose(sums / n[:, None], means[0].mean, rtol=1e-12)
    # A perturbation's corrected sum is its sum less its counts by position times the means.
    found = np.zeros((len(wells.perturbations), 6))
    for block in by_position(wells).blocks():
        np.add.at(found, block.perturbation, block.x)
    counts = np.zeros((len(found), len(n)))
    np.add.at(counts, (wells.perturbation, wells.position), 1)
    plain = np.zeros_like(found)
    np.add.at(plain, wells.perturbation, wells.x)
    np.testing.assert_allclose(found, plain - counts @ means[0].mean, atol=1e-9)


def small_layout(layout: list[tuple[str, int]]) -> Wells:
    """Two wells each of perturbations at positions."""
    layout = sorted(layout * 2)
    names = sorted({name for name, _ in layout})
    code = np.array([names.index(name) for name, _ in layout])
    x = np.random.default_rng(0).normal(size=(len(layout), 3)).astype(np.float32)
    p = Perturbations(["CRISPR"] * len(names), names, np.full(len(names), np.nan))
    control = np.array([name == "EMPTY_control" for name, _ in layout])
    at = np.array([place for _, place in layout])
    zero = np.zeros(len(layout), dtype=np.int64)
    return Wells(x, list("abc"), zero, ["e"], code, p, control, 0, {}, position=at)


def test_positions_of_one_perturbation_are_told() -> None:
    controls = [("EMPTY_control", 0), ("EMPTY_control", 7)]
    wells = small_layout([*controls, ("A", 1), ("A", 3), ("B", 2), ("C", 3), ("D", 4), ("EMPTY_control", 4)])
    found = by_position(wells)
    (done,) = found.provenance["corrections"]
    assert done["n_positions"] == 6 and done["least_wells"] == 2  # two of them of controls alone
    assert done["n_positions_of_one_perturbation"] == 2 and done["n_perturbations_lost"] == 1
    assert found.told.endswith(
        "; at 2 all wells have one perturbation and lose what is common to them, which is all that 1 "
        "perturbations have: 'B'"
    )
    x = np.concatenate([b.x for b in found.blocks()])
    assert x.dtype == np.float32
    np.testing.assert_allclose(x[wells.position == 2].sum(axis=0), 0, atol=1e-6)


def test_layouts_that_leave_nothing_are_refused() -> None:
    with pytest.raises(DataError, match=r"every perturbation .'A', 'B'. has positions to itself"):
        by_position(small_layout([("EMPTY_control", 0), ("A", 1), ("A", 3), ("B", 2)]))
    wells = small_layout([("EMPTY_control", 0), ("A", 0)])
    with pytest.raises(UsageError, match=r"read without their positions.*Design.positions=True"):
        by_position(replace(wells, position=None))


def test_a_well_without_an_address(tmp_path: Path) -> None:
    files = small(tmp_path, change_metadata=lambda f: f.assign(address=f.address.where(f.index != 3, " ")))
    with pytest.raises(
        DataError, match=r"line 5 .well .*: the address is ' '; well-position correction wants one"
    ):
        read_metadata(files[0], design=Design(positions=True))
    assert read_metadata(files[0]).position is None
    files = small(tmp_path, change_metadata=lambda f: f.drop(columns="address"))
    with pytest.raises(DataError, match="no column address or well or Metadata_Well, and well-position"):
        read_metadata(files[0], design=Design(positions=True))


def test_every_correction_that_can_be_named_is_of_wells_or_of_a_map() -> None:
    assert {*ON_WELLS} | {*ON_MAP} == {*CORRECTIONS} and not {*ON_WELLS} & {*ON_MAP}
    for function in (*ON_WELLS.values(), *ON_MAP.values()):
        assert "Source:" in (function.__doc__ or "")


def test_the_page_makes_a_table_of_arms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of docs/corrections.md, on locations as HGNC writes them."""
    locations = {
        "PLK1": "16p12.2",
        "TP53": "17p13.1",
        "MYC": "8q24.21",
        "SHOX": "Xp22.33 and Yp11.2",
        "KDM5D": "Yq11.223",
        "RPS17": "15q25.2",
        "DEFB4A": "8p23.1 alternate reference locus",
        "MT-ND1": "mitochondria",
        "UNKNOWN1": "not on reference assembly",
        "UNKNOWN2": "",
        "BAND": "19cen",
    }
    monkeypatch.chdir(tmp_path)
    rows = [f"HGNC:{i}\t{symbol}\t{at}" for i, (symbol, at) in enumerate(locations.items())]
    Path("hgnc_complete_set.txt").write_text("\n".join(["hgnc_id\tsymbol\tlocation", *rows, ""]), "utf-8")
    page = (ROOT / "docs" / "corrections.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    exec(compile(code, "docs/corrections.md", "exec"), {})
    assert read_arms(Path("arms.csv")) == {
        "PLK1": "16p",
        "TP53": "17p",
        "MYC": "8q",
        "SHOX": "Xp",
        "KDM5D": "Yq",
        "RPS17": "15q",
        "DEFB4A": "8p",
    }
