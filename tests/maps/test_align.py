"""Maps against a slow float64 twin: pandas groupby, scikit-learn's PCA and StandardScaler."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from polaris_rxrx.dataset.rxrx3 import CONTROL
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps import align
from polaris_rxrx.maps.align import ALIGNERS, Aligner, Alignment
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.maps.similarity import cosine
from polaris_rxrx.wells.design import Design
from polaris_rxrx.wells.memory import Wells, read_wells
from polaris_rxrx.wells.source import WellSource
from tests.wells_factory import PLAN, Group, small

Floats = np.ndarray[Any, np.dtype[np.float64]]
FEATURES = 192


class Twin:
    """The wells as one data frame, and every aligner written the way a notebook would."""

    def __init__(
        self,
        metadata: Path,
        embeddings: Path,
        solver: str = "full",
        *,
        components: float | None = None,
        controls: Collection[str] = (CONTROL,),
        batch: Sequence[str] = ("experiment_name",),
    ) -> None:
        self.solver, self.components, self.controls = solver, components, controls
        left = pd.read_csv(metadata, keep_default_na=False, dtype=str)
        self.wells = left.merge(pd.read_parquet(embeddings), on="well_id")
        features = [c for c in self.wells if c.startswith("feature_")]
        self.x = self.wells[features].to_numpy(np.float64)
        self.control = (self.wells.gene.isin(controls) | self.wells.treatment.isin(controls)).to_numpy()
        self.batch = self.wells[list(batch)].agg(" ".join, axis=1)

    def map(self, aligner: str) -> pd.DataFrame:
        """One row a perturbation: the mean of its aligned wells."""
        w = self.wells
        crispr = w.perturbation_type == "CRISPR"
        keys = [
            w.perturbation_type.rename("type"),
            w.gene.where(crispr, w.treatment).rename("name"),
            pd.to_numeric(w.concentration).fillna(-1).where(~crispr, -1).rename("dose"),
        ]
        means = pd.DataFrame(getattr(self, aligner.replace("-", "_"))()).groupby(keys).mean()
        names = means.index.get_level_values("name")
        return means[~(names.str.endswith("_control") | names.isin(list(self.controls)))]

    def none(self) -> Floats:
        return self.x

    def center_scale(self) -> Floats:
        return self._by_experiment(self.x, self._scaled)

    def center_scale_all(self) -> Floats:
        return self._scaled(self.x, self.x[self.control])

    def pca_cs(self) -> Floats:
        return self._by_experiment(self._pca(self.x), self._scaled)

    def tvn(self) -> Floats:
        z = self._pca(self._scaled(self.x, self.x[self.control]))
        return self._by_experiment(self._scaled(z, z[self.control]), self._whitened)

    def _pca(self, x: Floats) -> Floats:
        # "full" is exact; "auto", which for many wells is quicker, loses digits where the mean is large.
        rotated: Floats = PCA(self.components, svd_solver=self.solver).fit(x[self.control]).transform(x)
        return rotated

    def _by_experiment(self, x: Floats, function: Callable[[Floats, Floats], Floats]) -> Floats:
        out = np.empty_like(x)
        for name in self.batch.unique():
            here = (self.batch == name).to_numpy()
            out[here] = function(x[here], x[here & self.control])
        return out

    @staticmethod
    def _scaled(x: Floats, control: Floats) -> Floats:
        scaled: Floats = StandardScaler().fit(control).transform(x)
        return scaled

    @staticmethod
    def _whitened(x: Floats, control: Floats) -> Floats:
        values, vectors = np.linalg.eigh(np.cov(control, rowvar=False, ddof=1) + 0.5 * np.eye(x.shape[1]))
        whitened: Floats = x @ vectors @ np.diag(values**-0.5) @ vectors.T
        return whitened


def check_against_twin(
    twin: Twin, wells: WellSource, aligner: Aligner, *, exact_values: float, components: Any = None
) -> None:
    """Same perturbations, cosines to 1e-8, and values to a bound where axes have no free sign."""
    ours, theirs = build_map(wells, Alignment(aligner, components)), twin.map(aligner)
    p = ours.perturbations
    keys = list(zip(p.type, p.name, np.nan_to_num(p.concentration, nan=-1.0).tolist(), strict=True))
    assert sorted(keys) == sorted(theirs.index.tolist())
    x = theirs.loc[keys].to_numpy()
    assert np.abs(cosine(ours.x, ours.x) - cosine(x, x)).max() < 1e-8
    assert ours.x.shape == x.shape
    if aligner in ("pca-cs", "tvn"):  # a component's sign is anybody's choice
        np.testing.assert_allclose(
            np.linalg.norm(ours.x, axis=1), np.linalg.norm(x, axis=1), rtol=exact_values
        )
    else:
        np.testing.assert_allclose(ours.x, x, rtol=exact_values, atol=exact_values)


@pytest.fixture(scope="session")
def standin(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """0.06 of RxRx3-core's experiments: real wells, synthetic embeddings of half of its features.

    That is still more features than an experiment has controls; the time of a twin grows with their cube.
    """
    maker = shared_data.parent / "tools" / "make_standin.py"
    if not maker.is_file():
        pytest.skip(f"no synthetic stand-in: {maker} is not there")
    folder = tmp_path_factory.mktemp("standin")
    words = ["--scale", "0.06", "--dim", str(FEATURES)]
    subprocess.run([sys.executable, str(maker), str(folder), *words], check=True, capture_output=True)
    return folder / "metadata_rxrx3_core.csv", folder / "OpenPhenom_rxrx3_core_embeddings.parquet"


@pytest.fixture(scope="session")
def part(standin: tuple[Path, Path]) -> tuple[Twin, Wells]:
    return Twin(*standin, solver="auto"), read_wells(*standin, width=FEATURES)


@pytest.mark.parametrize("aligner", ALIGNERS)
def test_equals_the_twin_on_a_part_of_rxrx3_core(part: tuple[Twin, Wells], aligner: Aligner) -> None:
    twin, wells = part
    assert len(wells) > 20_000 and len(wells.experiments) > 50
    check_against_twin(twin, wells, aligner, exact_values=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("aligner", ALIGNERS)
def test_equals_the_twin_on_small_wells(tmp_path: Path, aligner: Aligner, dtype: type) -> None:
    files = small(tmp_path, dtype=dtype)
    wells = read_wells(*files)
    assert wells.x.dtype == dtype
    check_against_twin(Twin(*files), wells, aligner, exact_values=1e-9)


@pytest.mark.parametrize("aligner", ALIGNERS)
def test_a_large_offset_costs_no_digits_that_matter(tmp_path: Path, aligner: Aligner) -> None:
    # Sums first, alignment later: the offset must not eat the signal (float64 features of 1e4 and more).
    def far(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(feature_0=frame.feature_0 + 1e5, feature_1=frame.feature_1 * 1e3)

    files = small(tmp_path, dtype=np.float64, change_embeddings=far)
    check_against_twin(Twin(*files), read_wells(*files), aligner, exact_values=1e-8)


@pytest.mark.parametrize("aligner", ["pca-cs", "tvn"])
@pytest.mark.parametrize("components", [1, 4, 6, 0.3, 0.8, 0.999999])
def test_components_are_scikit_learn_s(tmp_path: Path, aligner: Aligner, components: float) -> None:
    files = small(tmp_path, dtype=np.float64)
    twin, wells = Twin(*files, components=components), read_wells(*files)
    check_against_twin(twin, wells, aligner, exact_values=1e-9, components=components)
    protocol = build_map(wells, Alignment(aligner, components)).protocol
    assert protocol["components"] == components and protocol["n_directions_dropped"] == 0
    x = twin.x[twin.control] if aligner == "pca-cs" else StandardScaler().fit_transform(twin.x[twin.control])
    share = np.cumsum(PCA().fit(x).explained_variance_ratio_)
    np.testing.assert_allclose(protocol["variance_kept"], share[protocol["n_components"] - 1], rtol=1e-12)
    if components < 1:
        assert share[protocol["n_components"] - 1] >= components
        assert protocol["n_components"] == 1 or share[protocol["n_components"] - 2] < components


def test_a_share_that_is_met_exactly_is_enough() -> None:
    # Four directions of one size: half of the variance is two of them.
    controls = align.Moments(100, np.zeros(4), 100 * np.eye(4))
    assert align.basis(Alignment("pca-cs", 0.5), controls, 4).width == 2


def test_components_of_features_of_very_different_sizes() -> None:
    """Where directions are computed by way of the correlations, shares are of the variance all the same."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 5)) * np.array([1e7, 3e6, 1, 1e-3, 1e-4])
    moments = align.moments(x)
    variance = np.sort(np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2)[::-1]
    for k in (1, 2, 4):
        found = align.basis(Alignment("pca-cs", k), moments, 5)
        assert found.width == k and found.n_directions == 5
        np.testing.assert_allclose(found.kept, variance[:k].sum() / variance.sum(), rtol=1e-9)
    both = [align.basis(how, moments, 5).rotation for how in ("pca-cs", Alignment("pca-cs", 3))]
    assert both[0] is not None and both[1] is not None
    assert np.array_equal(both[0][:, :3], both[1])


def test_all_components_change_no_bit(tmp_path: Path) -> None:
    wells = read_wells(*small(tmp_path))
    for aligner in align.WITH_COMPONENTS:
        all_of_them = build_map(wells, Alignment(aligner, 6)).x
        assert np.array_equal(build_map(wells, aligner).x, all_of_them)


@pytest.mark.parametrize(
    ("aligner", "components", "message"),
    [
        ("pca-cs", 0, "components are 0; a whole number from 1, or a share"),
        ("pca-cs", 1.5, "components are 1.5; a whole number from 1"),
        ("tvn", True, "components are True"),
        ("center-scale", 3, "components mean nothing for center-scale; they are of pca-cs and tvn"),
        ("none", 0.5, "components mean nothing for none"),
        ("tvn", 7, "components are 7, and the control wells vary in 6 directions; at most"),
    ],
)
def test_components_that_cannot_be(tmp_path: Path, aligner: Aligner, components: float, message: str) -> None:
    wells = read_wells(*small(tmp_path))
    with pytest.raises(UsageError, match=message):
        build_map(wells, Alignment(aligner, components))


def test_centering_on_all_controls_wants_none_in_each_experiment(tmp_path: Path) -> None:
    plan = (*(g for g in PLAN if (g.experiment, g.name) != ("gene-002", CONTROL)),)
    files = small(tmp_path, plan=plan, dtype=np.float64)
    wells = read_wells(*files)
    check_against_twin(Twin(*files), wells, "center-scale-all", exact_values=1e-9)
    with pytest.raises(
        DataError, match="1 of 5 experiments have fewer than 2 EMPTY_control wells: 'gene-002"
    ):
        build_map(wells, "center-scale")


# --- other batches, other controls --------------------------------------------------------------------------

MORE = (*PLAN, *(Group(f"gene-00{e}", "ctrl", 20) for e in (1, 2, 3)), Group("gene-001", "safe, harbor", 9))
MORE = (*MORE, *(Group(f"compound-00{e}", "vehicle", 25, "0.1") for e in (1, 2)))


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Wells with four plates an experiment, and a column of three operators."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        k = frame.address.str[1:].astype(int)
        return frame.assign(plate=(k % 4 + 1).astype(str), operator=(k % 3).map({0: "Ann", 1: "Bo", 2: "Cy"}))

    folder = tmp_path_factory.mktemp("crossed")
    return small(folder, plan=MORE, dtype=np.float64, change_metadata=change)


@pytest.mark.parametrize("aligner", ALIGNERS)
@pytest.mark.parametrize(
    ("design", "columns"),
    [
        (Design("plate"), ("experiment_name", "plate")),
        (Design("operator"), ("operator",)),
        (Design(controls=("ctrl", "vehicle")), ("experiment_name",)),
        (Design("operator", ("ctrl", "safe, harbor")), ("operator",)),
    ],
)
def test_batches_and_controls_are_the_twin_s(
    crossed: tuple[Path, Path], aligner: Aligner, design: Design, columns: tuple[str, ...]
) -> None:
    twin = Twin(*crossed, controls=design.controls or (CONTROL,), batch=columns)
    wells = read_wells(*crossed, design=design)
    check_against_twin(twin, wells, aligner, exact_values=1e-9)
    protocol = build_map(wells, aligner).protocol
    assert protocol["n_experiments"] == twin.batch.nunique()
    assert protocol["n_controls"] == twin.control.sum()
    assert protocol.get("batch", "experiment") == design.batch
    assert protocol["control"] == (list(design.controls) or CONTROL)


def test_few_controls_of_a_batch_are_told_in_its_words(crossed: tuple[Path, Path]) -> None:
    for design, message in (
        (
            Design("plate", ("safe, harbor",)),
            "of 20 plates have fewer than 2 safe, harbor wells: 'compound-001_1",
        ),
        (
            Design("operator", ("ONCE",)),
            "3 of 3 batches have fewer than 2 ONCE wells: 'Ann', 'Bo', 'Cy'; tvn fits",
        ),
    ):
        with pytest.raises(DataError, match=message):
            build_map(read_wells(*crossed, design=design), "tvn")


# --- the parts ---------------------------------------------------------------------------------------------


def test_moments_merge_in_any_order() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(rng.normal(0, 50), 2, size=(n, 5)) for n in (1, 2, 30, 7, 400)]
    whole = np.concatenate(parts)
    expected_scatter = np.cov(whole, rowvar=False, ddof=0) * len(whole)
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(parts))
        found = reduce(lambda a, b: a.merge(b), [align.moments(parts[i]) for i in order])
        assert found.n == len(whole)
        np.testing.assert_allclose(found.mean, whole.mean(axis=0), rtol=1e-10)
        np.testing.assert_allclose(found.scatter, expected_scatter, rtol=1e-10)


def test_merging_as_a_tree_equals_merging_in_a_row() -> None:
    parts = [align.moments(np.random.default_rng(i).normal(i, 1, size=(9, 4))) for i in range(8)]
    row = reduce(lambda a, b: a.merge(b), parts)
    tree = parts
    while len(tree) > 1:
        tree = [a.merge(b) for a, b in zip(tree[::2], tree[1::2], strict=True)]
    np.testing.assert_allclose(row.scatter, tree[0].scatter, rtol=1e-12)
    np.testing.assert_allclose(row.mean, tree[0].mean, rtol=1e-12)


def test_controls_are_centred_and_scaled_in_every_experiment(tmp_path: Path) -> None:
    wells = read_wells(*small(tmp_path, dtype=np.float64))
    for aligner in ("pca-cs", "center-scale"):
        controls = [b.x[b.control] for b in wells.blocks()]
        pooled = reduce(lambda a, b: a.merge(b), map(align.moments, controls))
        basis = align.basis(aligner, pooled, wells.x.shape[1])
        for c in controls:
            z = align.fit(basis, c).sums(c, np.ones(len(c), dtype=np.int64))
            np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)
            np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-12)


def test_tvn_is_the_published_one(tmp_path: Path) -> None:
    """Well by well, from the definition alone: no PCA of a library, the matrix root by Newton's iteration."""
    wells = read_wells(*small(tmp_path, dtype=np.float64))
    blocks = list(wells.blocks())
    pooled = np.concatenate([b.x[b.control] for b in blocks])
    mean, sd = pooled.mean(axis=0), pooled.std(axis=0)
    axes = np.linalg.svd((pooled - mean) / sd, full_matrices=False)[2].T
    again = ((pooled - mean) / sd @ axes).std(axis=0)

    def root(matrix: Floats) -> Floats:  # Denman and Beavers: y -> the root, z -> its inverse
        y, z = matrix, np.eye(len(matrix))
        for _ in range(60):
            y, z = (y + np.linalg.inv(z)) / 2, (z + np.linalg.inv(y)) / 2
        return z

    basis = align.basis("tvn", align.moments(pooled), wells.x.shape[1])
    expected, found, controls = [], [], []
    for b in blocks:
        z = (b.x - mean) / sd @ axes / again
        whitening = root(np.cov(z[b.control].T, ddof=1) + np.eye(len(sd)) / 2)
        expected.append(z @ whitening)
        found.append(align.fit(basis, b.x[b.control]).rows(b.x))
        controls.append(found[-1][b.control].mean(axis=0))
        # In an experiment nothing is centred: a whitened mean, not zero.
        np.testing.assert_allclose(
            np.linalg.norm(controls[-1]),
            np.linalg.norm(z[b.control].mean(axis=0) @ whitening),
            rtol=1e-9,
        )
    assert min(np.linalg.norm(c) for c in controls) > 0.1
    x, y = np.concatenate(expected), np.concatenate(found)
    np.testing.assert_allclose(y @ y.T, x @ x.T, rtol=0, atol=1e-9 * np.abs(x @ x.T).max())


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_tvn_knows_no_unit(tmp_path: Path, factor: float) -> None:
    wells = read_wells(*small(tmp_path, dtype=np.float64))
    other = replace(wells, x=wells.x * np.where(np.arange(wells.x.shape[1]) == 2, factor, 1.0) + 7)
    a, b = build_map(wells, "tvn"), build_map(other, "tvn")
    np.testing.assert_allclose(b.x @ b.x.T, a.x @ a.x.T, atol=1e-9 * np.abs(a.x @ a.x.T).max())


def test_no_control_has_a_row_though_tvn_leaves_it_off_zero(tmp_path: Path) -> None:
    map_ = build_map(read_wells(*small(tmp_path)), "tvn")
    assert [name for name in map_.perturbations.name if name.endswith("_control")] == []
    assert len(map_) == len(build_map(read_wells(*small(tmp_path)), "pca-cs"))


# --- degenerate features -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_feature_adds_nothing(tmp_path: Path, value: float, dtype: type) -> None:
    files = small(tmp_path, dtype=dtype)
    wells = read_wells(*files)
    column = np.full((len(wells), 1), value, dtype=dtype)
    more = replace(wells, x=np.concatenate([wells.x, column], axis=1), features=[*wells.features, "constant"])
    for aligner in ("pca-cs", "tvn", "center-scale"):
        plain, padded = build_map(wells, aligner), build_map(more, aligner)
        assert np.isfinite(padded.x).all()
        assert np.abs(cosine(plain.x, plain.x) - cosine(padded.x, padded.x)).max() < 1e-8
        assert padded.protocol["n_components"] == padded.x.shape[1]
    assert build_map(more, "pca-cs").x.shape == build_map(wells, "pca-cs").x.shape


def test_fewer_controls_than_features_leave_fewer_components(tmp_path: Path) -> None:
    plan = (Group("gene-001", CONTROL, 5), Group("gene-002", CONTROL, 4), Group("gene-001", "TP53", 3))
    wells = read_wells(*small(tmp_path, plan=plan, width=20))
    for aligner in ("pca-cs", "tvn"):
        map_ = build_map(wells, aligner)
        assert map_.x.shape == (1, 8) and np.isfinite(map_.x).all()


@pytest.mark.parametrize("n", [3, 12, 29])
@pytest.mark.parametrize("units", [1.0, 1e3])
def test_few_controls_span_what_their_singular_vectors_do(n: int, units: float) -> None:
    """Of fewer wells than half of the features: directions and variances by a decomposition of the rows."""
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, 60)) * rng.permutation(np.geomspace(1, units, 60)) + rng.normal(size=60)
    x[:, 7] = 3.5  # constant
    x[:, 9] = x[:, 8]
    centered = x - x.mean(axis=0)
    _, root, vectors = np.linalg.svd(centered, full_matrices=False)
    rank = n - 1
    found = align.basis("pca-cs", align.moments(x), 60)
    assert found.rotation is not None and found.rotation.shape == (60, rank)
    # Largest first, each up to its sign.
    axes = np.abs(np.einsum("di,id->i", found.rotation, vectors[:rank]))
    np.testing.assert_allclose(axes, 1, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(centered @ found.rotation, axis=0), root[:rank], rtol=1e-9)
    scaled = centered / np.where(np.ptp(x, axis=0) > 0, x.std(axis=0), 1)
    _, _, vectors = np.linalg.svd(scaled, full_matrices=False)
    whitened = align.basis("tvn", align.moments(x), 60)
    assert whitened.rotation is not None
    z = centered @ whitened.rotation
    np.testing.assert_allclose(z.T @ z / n, np.eye(rank), atol=1e-9)  # as standard deviations of 1
    expected = scaled @ vectors[:rank].T
    np.testing.assert_allclose(np.abs(z), np.abs(expected / expected.std(axis=0)), atol=1e-8)


def test_constant_controls_are_an_error(tmp_path: Path) -> None:
    wells = read_wells(*small(tmp_path))
    flat = replace(wells, x=np.ones_like(wells.x))
    with pytest.raises(DataError, match="do not vary: every feature is constant"):
        build_map(flat, "pca-cs")


# --- controls that are not there ---------------------------------------------------------------------------


@pytest.mark.parametrize("left", [0, 1])
def test_an_experiment_without_controls_is_named(tmp_path: Path, left: int) -> None:
    plan = tuple(replace(g, n=left) if (g.experiment, g.name) == ("gene-002", CONTROL) else g for g in PLAN)
    wells = read_wells(*small(tmp_path, plan=plan))
    for aligner in ("pca-cs", "tvn", "center-scale"):
        with pytest.raises(DataError) as caught:
            build_map(wells, aligner)
        parts = (
            "1 of 5 experiments have fewer than 2 EMPTY_control wells: 'gene-002'",
            f"{aligner} fits on them in every experiment",
        )
        assert [p for p in parts if p not in str(caught.value)] == []
    assert len(build_map(wells, "none")) == len(build_map(read_wells(*small(tmp_path)), "none"))


def test_no_controls_at_all(tmp_path: Path) -> None:
    wells = read_wells(*small(tmp_path, plan=(Group("gene-001", "TP53", 3), Group("gene-001", "BRCA1", 3))))
    for aligner in ("pca-cs", "tvn", "center-scale"):
        with pytest.raises(DataError, match="fewer than 2 EMPTY_control"):
            build_map(wells, aligner)
    assert build_map(wells, "none").perturbations.name == ["BRCA1", "TP53"]


def test_an_unknown_aligner_is_misuse(tmp_path: Path) -> None:
    wells = read_wells(*small(tmp_path))
    with pytest.raises(UsageError, match=r"'sphering' is not known; expected one of pca-cs, "):
        build_map(wells, "sphering")  # type: ignore[arg-type]


@pytest.mark.parametrize("aligner", ALIGNERS)
def test_rows_add_up_to_sums(aligner: Aligner) -> None:
    rng = np.random.default_rng(0)
    controls, wells = (
        rng.normal(size=(40, 5)).astype(np.float32) + 3,
        rng.normal(size=(9, 5)).astype(np.float32),
    )
    before = wells.copy()
    affine = align.fit(align.basis(aligner, align.moments(controls), 5), controls[:20])
    rows = affine.rows(wells)
    assert rows.dtype == np.float64 and np.array_equal(wells, before)
    sums = affine.sums(wells.sum(axis=0, dtype=np.float64, keepdims=True), np.array([9]))
    np.testing.assert_allclose(rows.sum(axis=0, keepdims=True), sums, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("aligner", ALIGNERS)
def test_many_sums_are_aligned_some_at_a_time(aligner: Aligner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(align, "_ROWS_AT_ONCE", 3)
    rng = np.random.default_rng(1)
    controls, sums, counts = rng.normal(size=(40, 5)), rng.normal(size=(8, 5)), np.arange(1, 9)
    affine = align.fit(align.basis(aligner, align.moments(controls), 5), controls[:20])
    twin = [sum(affine.rows(row[None] / n)[0] for _ in range(n)) for row, n in zip(sums, counts, strict=True)]
    np.testing.assert_allclose(affine.sums(sums, counts), twin, rtol=1e-11, atol=1e-11)
