"""Maps do not depend on how the wells came: their order, one block or many, from memory or streamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from polaris_rxrx._version import __version__
from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.errors import DataError
from polaris_rxrx.maps import align
from polaris_rxrx.maps.align import ALIGNERS, Aligner
from polaris_rxrx.maps.build import Map, aligned_sums, build_map, control_moments
from polaris_rxrx.maps.similarity import cosine
from polaris_rxrx.wells.memory import Wells, read_wells
from polaris_rxrx.wells.metadata import Perturbations, read_metadata
from polaris_rxrx.wells.source import WellBlock, WellPlaces
from tests.wells_factory import PLAN, Group, make_embeddings, make_metadata, small, write


@pytest.mark.parametrize("aligner", ALIGNERS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_rows_changes_no_bit(tmp_path: Path, aligner: Aligner, seed: int) -> None:
    metadata, embeddings = make_metadata(), make_embeddings(make_metadata())
    before = build_map(read_wells(*write(tmp_path, metadata, embeddings)), aligner)
    files = write(
        tmp_path,
        metadata.sample(frac=1, random_state=seed),
        embeddings.sample(frac=1, random_state=seed + 1),
    )
    after = build_map(read_wells(*files), aligner)
    assert np.array_equal(before.x, after.x) and np.array_equal(before.n_wells, after.n_wells)
    assert before.perturbations.name == after.perturbations.name
    assert before.protocol == after.protocol


@dataclass(frozen=True)
class Streamed:
    """Wells read from disk again for every block: a `WellSource` of one's own."""

    metadata: Path
    embeddings: Path
    order: Sequence[int]

    @property
    def features(self) -> Sequence[str]:
        return [n for n in pq.read_schema(self.embeddings).names if n != "well_id"]

    @property
    def perturbations(self) -> Perturbations:
        return read_metadata(self.metadata).perturbations

    @property
    def places(self) -> WellPlaces:
        return read_metadata(self.metadata)

    @property
    def provenance(self) -> dict[str, str]:
        return {}

    def blocks(self) -> Iterator[WellBlock]:
        meta = read_metadata(self.metadata)
        row = {name: i for i, name in enumerate(meta.well_id.to_pylist())}
        for e in self.order:
            names = [name for name, i in row.items() if meta.experiment[i] == e]
            table = pq.read_table(self.embeddings, filters=[("well_id", "in", names)]).to_pandas()
            rows = np.array([row[name] for name in table.well_id])
            by = np.argsort(meta.perturbation[rows], kind="stable")
            x = table[list(self.features)].to_numpy()[by]
            rows = rows[by]
            yield WellBlock(meta.experiments[e], x, meta.perturbation[rows], meta.control[rows])


@pytest.mark.parametrize("aligner", ALIGNERS)
@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 2, 0, 3, 1)])
def test_a_source_that_streams_gives_the_same_map(
    tmp_path: Path, aligner: Aligner, order: tuple[int, ...]
) -> None:
    files = small(tmp_path)
    in_memory, streamed = build_map(read_wells(*files), aligner), build_map(Streamed(*files, order), aligner)
    assert streamed.perturbations.name == in_memory.perturbations.name
    assert np.array_equal(streamed.n_wells, in_memory.n_wells)
    assert np.abs(cosine(streamed.x, streamed.x) - cosine(in_memory.x, in_memory.x)).max() < 1e-10
    assert streamed.protocol == in_memory.protocol


@pytest.mark.parametrize("aligner", ["pca-cs", "tvn", "center-scale"])
def test_the_two_reductions_are_all_there_is(tmp_path: Path, aligner: Aligner) -> None:
    # What a cluster would do: map over experiments, add up in any order.
    wells = read_wells(*small(tmp_path))
    blocks = list(wells.blocks())[::-1]
    pooled = reduce(lambda a, b: a.merge(b), map(control_moments, blocks))
    basis = align.basis(aligner, pooled, len(wells.features))
    sums = np.zeros((len(wells.perturbations), basis.width))
    counts = np.zeros(len(wells.perturbations), dtype=int)
    for part in (aligned_sums(block, basis) for block in blocks):
        np.add.at(sums, part.perturbation, part.sums)
        np.add.at(counts, part.perturbation, part.n_wells)
    map_ = build_map(wells, aligner)
    kept = [i for i, name in enumerate(wells.perturbations.name) if not name.endswith("_control")]
    means = sums[kept] / counts[kept, None]
    assert np.abs(cosine(means, means) - cosine(map_.x, map_.x)).max() < 1e-10


def test_experiments_are_independent_given_the_basis(tmp_path: Path) -> None:
    # Centre-scale shares nothing: a map of one experiment's wells equals its rows of the whole map.
    wells = read_wells(*small(tmp_path))
    only = wells.experiments.index("compound-001")
    here = wells.experiment == only
    alone = replace(
        wells,
        x=wells.x[here],
        experiment=wells.experiment[here],
        perturbation=wells.perturbation[here],
        control=wells.control[here],
    )
    whole, part = build_map(wells, "center-scale"), build_map(alone, "center-scale")
    key = dict(
        zip(
            zip(whole.perturbations.name, whole.perturbations.concentration.tolist(), strict=True),
            whole.x,
            strict=True,
        )
    )
    shared = [g for g in PLAN if g.experiment == "compound-001" and not g.name.endswith("_control")]
    assert len(part) == len(shared) > 4
    for name, dose, x in zip(
        part.perturbations.name, part.perturbations.concentration.tolist(), part.x, strict=True
    ):
        if (name, dose) != ("aspirin", 10.0):  # also in compound-002
            assert np.array_equal(x, key[name, dose])


def test_what_a_map_holds(tmp_path: Path) -> None:
    map_ = build_map(read_wells(*small(tmp_path)))
    wells: dict[tuple[str, str, str], int] = {}
    for g in PLAN:
        if not g.name.endswith("_control"):
            key = ("COMPOUND" if g.is_compound else "CRISPR", g.name, str(float(g.concentration or "nan")))
            wells[key] = wells.get(key, 0) + g.n
    p = map_.perturbations
    found = zip(p.type, p.name, map(str, p.concentration.tolist()), strict=True)
    assert dict(zip(found, map_.n_wells.tolist(), strict=True)) == wells
    assert map_.protocol == {
        "align": "pca-cs",
        "aggregate": "mean",
        "control": CONTROL,
        "n_features": 6,
        "n_components": 6,
        "n_directions_dropped": 0,
        "n_wells": sum(g.n for g in PLAN),
        "n_controls": sum(g.n for g in PLAN if g.name == CONTROL),
        "n_experiments": 5,
        "polaris_rxrx": __version__,
    }
    frame = map_.to_frame()
    assert frame.columns.tolist() == [
        "perturbation_type", "perturbation", "concentration", "n_wells", *range(6)
    ]  # fmt: skip
    assert np.array_equal(frame[list(range(6))].to_numpy(), map_.x)
    assert [p.name[i] for i in map_.rows("CRISPR")] == ["BRCA1", "NA", "ONCE", "TP53", "TWIN"]


def test_perturbations_whose_wells_are_missing_have_no_row(tmp_path: Path) -> None:
    lost = set(make_metadata().query("gene == 'ONCE'").well_id)
    files = small(tmp_path, change_embeddings=lambda f: f[~f.well_id.isin(lost)])
    map_ = build_map(read_wells(*files, allow_missing=True))
    assert "ONCE" not in map_.perturbations.name and np.isfinite(map_.x).all()


def test_an_experiment_that_is_missing_altogether(tmp_path: Path) -> None:
    lost = set(make_metadata().query("experiment_name == 'gene-002'").well_id)
    files = small(tmp_path, change_embeddings=lambda f: f[~f.well_id.isin(lost)])
    map_ = build_map(read_wells(*files, allow_missing=True))
    assert map_.protocol["n_experiments"] == 4 and "NA" not in map_.perturbations.name


@pytest.mark.parametrize("aligner", ["pca-cs", "center-scale"])
def test_a_feature_s_units_do_not_matter_to_center_scale(tmp_path: Path, aligner: Aligner) -> None:
    # A power of two is exact, so centre-scale gives the same bits; PCA does care about units.
    wells = read_wells(*small(tmp_path, dtype=np.float64))
    scaled = replace(wells, x=wells.x * np.array([1, 4, 1, 0.25, 1, 1]))
    same = np.allclose(build_map(wells, aligner).x, build_map(scaled, aligner).x, rtol=1e-12)
    assert same == (aligner == "center-scale")


def test_progress_counts_experiments(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    build_map(read_wells(*small(tmp_path)), progress=lambda *step: seen.append(step))
    assert seen == [("aligning", i, 5) for i in range(1, 6)]


def test_the_wells_are_left_as_they_were(tmp_path: Path) -> None:
    wells = read_wells(*small(tmp_path))
    before = wells.x.copy()
    wells.x.flags.writeable = False
    for aligner in ALIGNERS:
        build_map(wells, aligner)
    assert np.array_equal(wells.x, before)


def test_a_map_of_unequal_lengths_is_refused() -> None:
    with pytest.raises(DataError, match="one row and one count"):
        Map(Perturbations(["CRISPR"], ["TP53"], np.array([np.nan])), np.zeros((2, 3)), np.array([1]))


def test_genes_average_wells_not_experiments(tmp_path: Path) -> None:
    # 1 well at one place and 3 at another: the mean is over the 4 wells.
    plan = (
        *(Group(e, CONTROL, 20) for e in ("gene-001", "gene-002")),
        Group("gene-001", "TP53", 1),
        Group("gene-002", "TP53", 3),
    )
    wells: Wells = read_wells(*small(tmp_path, plan=plan, dtype=np.float64))
    map_ = build_map(wells, "none")
    here = wells.perturbation == wells.perturbations.name.index("TP53")
    np.testing.assert_allclose(map_.x[0], pd.DataFrame(wells.x[here]).mean().to_numpy(), rtol=1e-14)


@pytest.mark.parametrize("aligner", ["pca-cs", "none"])
def test_medians_are_of_all_aligned_wells(
    tmp_path: Path, aligner: Aligner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Well by well; and however few perturbations are held at a time."""
    wells = read_wells(*small(tmp_path))
    pooled = reduce(lambda a, b: a.merge(b), (control_moments(b) for b in wells.blocks()))
    basis = align.basis(aligner, pooled, len(wells.features))
    of: dict[int, list[np.ndarray]] = {}
    for block in wells.blocks():
        affine = align.fit(basis, block.x[block.control])
        for code, row in zip(block.perturbation.tolist(), affine.rows(block.x), strict=True):
            of.setdefault(code, []).append(row)
    map_ = build_map(wells, aligner, aggregate="median")
    kept = [i for i, name in enumerate(wells.perturbations.name) if not name.endswith("_control")]
    for row, code in zip(map_.x, kept, strict=True):
        expected = [sorted(values) for values in zip(*of[code], strict=True)]
        middle = [(v[(len(v) - 1) // 2] + v[len(v) // 2]) / 2 for v in expected]
        np.testing.assert_allclose(row, middle, rtol=1e-12, atol=1e-12)
    assert map_.protocol["aggregate"] == "median"
    assert not np.allclose(map_.x, build_map(wells, aligner).x)
    for cells in (1, 40, 70):
        monkeypatch.setattr("polaris_rxrx.maps.build._CELLS", cells)
        again = build_map(wells, aligner, aggregate="median")
        np.testing.assert_allclose(again.x, map_.x, rtol=1e-12, atol=1e-14)


def test_an_outlier_moves_a_mean_and_no_median(tmp_path: Path) -> None:
    wells = read_wells(*small(tmp_path))
    code = wells.perturbations.name.index("TP53")
    moved = replace(wells, x=wells.x.copy())
    at = np.flatnonzero(wells.perturbation == code)[0]
    moved.x[at] = moved.x[at] + 1e4 * np.where(
        moved.x[at] > wells.x[wells.perturbation == code].mean(0), 1, -1
    )
    row = next(i for i, name in enumerate(build_map(wells).perturbations.name) if name == "TP53")
    mean, median = (
        np.abs(build_map(moved, "none", aggregate=how).x - build_map(wells, "none", aggregate=how).x)[
            row
        ].max()
        for how in ("mean", "median")
    )
    assert mean > 500 and median < 5
