"""OpenPhenom's crops, batches and means, held against the definition; what it refuses; the stub run."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.featurize import openphenom
from polaris_rxrx.featurize.checkpoint import Checkpoint
from polaris_rxrx.featurize.engine import featurize
from polaris_rxrx.featurize.featurizer import Features
from polaris_rxrx.featurize.openphenom import OpenPhenom, Running, crops, eight_bits, found_device
from polaris_rxrx.images.sites import Fault, ImageSet
from tests.featurize.stub_model import MODEL, WIDTH, expected, tensors, write_checkpoint, write_files
from tests.images.screens import write_screen

Array = npt.NDArray[Any]
WELLS = ("compound-004_1_AA04", "compound-004_1_B02", "gene-002_10_H29")


class TooMuch(Exception):
    """As torch's `OutOfMemoryError`."""


def by_hand(cut: Array) -> Array:
    """A model whose features are known: of each channel the mean, and the first pixel of the first."""
    return np.column_stack([cut.mean(axis=(2, 3)), cut[:, 0, 0, 0]]).astype(np.float32)


def running(batch: int = 8, predict: Callable[[Array], Any] = by_hand, width: int = 7) -> Running:
    return Running("a model", predict, batch, TooMuch, width)


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenPhenom:
    """A featurizer in which `by_hand` stands for the model, so that torch need not be there."""
    monkeypatch.setattr(openphenom, "_running", lambda _: running())
    monkeypatch.setattr(openphenom, "require", dict)
    return OpenPhenom(Checkpoint.of(write_files(tmp_path / "model")))


def draw(seed: int, size: tuple[int, int] = (512, 512), most: int = 256, channels: int = 6) -> Array:
    drawn = np.random.default_rng(seed).integers(0, most, (channels, *size))
    return drawn.astype(np.uint8 if most <= 256 else np.uint16)


Pair = tuple[ImageSet, dict[str, Array]]


@pytest.fixture(scope="module")
def three_wells(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Wells of one site each, and its pixels."""
    pixels = {well: draw(seed) for seed, well in enumerate(WELLS)}
    folder = tmp_path_factory.mktemp("screen") / "screen"
    return write_screen(folder, {(well, "1"): image for well, image in pixels.items()}), pixels


def rows(found: Features) -> dict[str, Array]:
    names = [name for name in found.table.column_names if name.startswith("feature_")]
    assert names == [f"feature_{i}" for i in range(len(names))]
    matrix = np.array([found.table.column(name).to_numpy() for name in names]).T
    return dict(zip(found.table.column("well_id").to_pylist(), matrix, strict=True))


# ---- crops, bits, batches


def test_crops_are_the_four_quarters_row_by_row() -> None:
    pixels = draw(0)
    cut = crops(pixels)
    assert cut.shape == (4, 6, 256, 256)
    for number, (top, left) in enumerate([(0, 0), (0, 256), (256, 0), (256, 256)]):
        assert np.array_equal(cut[number], pixels[:, top : top + 256, left : left + 256])
    assert np.array_equal(crops(pixels[:, :256, :256])[0], pixels[:, :256, :256])
    assert crops(draw(1, (256, 768))).shape == (3, 6, 256, 256)


def test_eight_bits_by_white() -> None:
    pixels = np.array([[[0, 16, 2048, 4095, 5000, 65535]]], np.uint16)
    assert eight_bits(pixels, 4095).tolist() == [[[0, 1, 128, 255, 255, 255]]]
    assert eight_bits(pixels, 65535).tolist() == [[[0, 0, 8, 16, 19, 255]]]
    same = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert eight_bits(same, 255) is same
    assert eight_bits(same, 127.5).ravel()[[0, 1, 64, 127, 128, 255]].tolist() == [0, 2, 128, 254, 255, 255]


@pytest.mark.parametrize(("batch", "most", "left"), [(8, 100, 8), (8, 3, 2), (5, 1, 1), (64, 7, 5)])
def test_a_batch_that_is_too_much_is_halved_for_good(batch: int, most: int, left: int) -> None:
    cut, asked = draw(2, (256, 256), channels=10).reshape(10, 1, 256, 256), list[int]()

    def predict(piece: Array) -> Array:
        asked.append(len(piece))
        if len(piece) > most:
            raise TooMuch("CUDA out of memory")
        return by_hand(piece)

    found = running(batch, predict, 2)
    assert np.array_equal(found.embed(cut), by_hand(cut).astype(float))
    assert found.batch == left
    tried = len(asked)
    found.embed(cut)
    assert max(asked[tried:]) <= most


def test_what_a_model_may_not_give() -> None:
    cut = np.zeros((2, 6, 256, 256), np.uint8)

    def never(_: Array) -> Array:
        raise TooMuch("CUDA out of memory")

    with pytest.raises(DataError, match=r"no memory for one crop .TooMuch: CUDA"):
        running(8, never).embed(cut)
    with pytest.raises(
        DataError, match=r"a model gave an array of shape \(2, 5\) for a batch; \(2, 7\) was expected"
    ):
        running(8, lambda piece: np.zeros((len(piece), 5))).embed(cut)
    with pytest.raises(DataError, match=r"shape \(1, 7\) for a batch; \(2, 7\)"):
        running(8, lambda piece: np.zeros((1, 7))).embed(cut)
    with pytest.raises(DataError, match=r"its predict.. raised ZeroDivisionError"):
        running(8, lambda piece: 1 / 0).embed(cut)


# ---- wells


def test_a_well_is_the_mean_of_its_sites_and_these_of_their_crops(tmp_path: Path, known: OpenPhenom) -> None:
    sites = {("A01", "1"): draw(1), ("A01", "2"): draw(2), ("B02", "1"): draw(3)}
    images = write_screen(tmp_path / "screen", sites)
    assert images.wells == ("A01", "B02")
    steps = list[int]()
    found = known.features(images, images.wells, steps.append)

    def of(pixels: Array) -> Array:  # equal crops, so means of pixels; first pixels of the four quarters
        corners = [float(pixels[0, y, x]) for y in (0, 256) for x in (0, 256)]
        return np.array([*pixels.mean(axis=(1, 2)), np.mean(corners)])

    given = rows(found)
    assert np.allclose(given["A01"], (of(sites["A01", "1"]) + of(sites["A01", "2"])) / 2, rtol=1e-6)
    assert np.allclose(given["B02"], of(sites["B02", "1"]), rtol=1e-6)
    assert found.table.column("Metadata_Site_Count").to_pylist() == [2, 1]
    assert found.table.schema.field("feature_0").type == "float"
    assert (found.faults, steps) == ((), [1, 2])


@pytest.mark.parametrize("batch", [1, 3, 4, 7, 100])
def test_batches_run_across_wells(
    monkeypatch: pytest.MonkeyPatch, batch: int, known: OpenPhenom, three_wells: Pair
) -> None:
    asked = list[int]()

    def predict(cut: Array) -> Array:
        asked.append(len(cut))
        return by_hand(cut)

    monkeypatch.setattr(openphenom, "_running", lambda _: running(batch, predict))
    images, pixels = three_wells
    given = rows(known.features(images, WELLS))
    for well in WELLS:
        assert np.allclose(given[well][:6], pixels[well].mean(axis=(1, 2)), rtol=1e-6)
    assert sum(asked) == 12
    assert set(asked[:-1]) <= {batch}


def test_a_site_that_gives_no_whole_crops_and_a_model_without_numbers(
    tmp_path: Path, known: OpenPhenom, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = write_screen(tmp_path / "a", {("A01", "1"): draw(1), ("B02", "1"): draw(2)})
    odd = write_screen(tmp_path / "b", {("A01", "1"): draw(1, (300, 512))})
    found = known.features(odd, odd.wells)
    assert len(found.table) == 0
    assert [name for name in found.table.column_names if name.startswith("feature_")] == [
        f"feature_{i}" for i in range(7)
    ]
    assert found.faults == (
        Fault("A01", "1", "", "", "no whole crops: 300 x 512 px; multiples of 256 both ways expected"),
    )
    with pytest.raises(DataError, match="A01: its images have 300 x 512 pixels; multiples of 256 both ways"):
        known.check(odd)

    def predict(cut: Array) -> Array:
        given = by_hand(cut)
        given[cut[:, 0, 0, 0] == draw(2)[0, 256, 0], 3] = np.nan  # one of four crops
        return given

    monkeypatch.setattr(openphenom, "_running", lambda _: running(8, predict))
    found = known.features(images, images.wells)
    assert list(rows(found)) == ["A01"]
    assert found.faults == (Fault("B02", "", "", "", "the model gave no finite numbers"),)


def test_what_it_does_not_take(tmp_path: Path, known: OpenPhenom) -> None:
    three = write_screen(tmp_path / "three", {("A01", "1"): draw(1, channels=3)})
    with pytest.raises(
        DataError, match=r"the images have 3 channels \(.*\); OpenPhenom was trained and published with 6"
    ):
        known.check(three)
    with pytest.raises(
        UsageError, match=r"made by its own Python files .3 there., which run as you do.*--trust-remote"
    ):
        OpenPhenom.of(known.checkpoint.folder)
    with pytest.raises(UsageError, match="a batch of 0 crops"):
        OpenPhenom.of(known.checkpoint.folder, trust_remote_code=True, batch_size=0)
    with pytest.raises(UsageError, match="device 'tpu': auto, cpu, cuda was expected"):
        found_device("tpu")


def test_sixteen_bits_are_said(tmp_path: Path, known: OpenPhenom) -> None:
    images = write_screen(tmp_path / "deep", {("A01", "1"): draw(1, most=4096)}, white=4095)
    known.check(images)
    assert known.notes(images)[1:] == (
        "images of 16 bits become 8 bits for the model: 4095 and above is 255",
    )
    plain = write_screen(tmp_path / "plain", {("A01", "1"): draw(1)})
    assert known.notes(plain) == ("model: on cpu, in float32",)


def test_the_protocol_says_which_model_it_was(known: OpenPhenom) -> None:
    told = known.protocol()
    assert told["files"] == dict(known.checkpoint.files)
    assert told["precision"] == "float32"
    assert OpenPhenom(known.checkpoint, "cuda").protocol()["precision"] == "bfloat16"
    assert "code" not in told  # other code is another run, also to --mended
    assert pickle.loads(pickle.dumps(known)) == known


# ---- the stub, run for real


@pytest.fixture
def torch() -> Any:
    pytest.importorskip("transformers", reason="extra openphenom: transformers is not installed")
    return pytest.importorskip("torch", reason="extra openphenom: torch is not installed")


def test_the_stub_gives_what_its_definition_says(tmp_path: Path, torch: Any, three_wells: Pair) -> None:
    images, pixels = three_wells
    weights = tensors(seed=5)
    model = OpenPhenom.of(write_checkpoint(tmp_path / "op", weights), trust_remote_code=True, device="cpu")
    given = rows(model.features(images, images.wells))
    assert list(given) == list(images.wells)
    for well, row in given.items():
        quarters = [pixels[well][:, y : y + 256, x : x + 256] for y in (0, 256) for x in (0, 256)]
        wanted = np.mean([expected(quarter, weights) for quarter in quarters], axis=0)
        assert wanted.shape == (WIDTH,)
        assert np.allclose(row, wanted, rtol=2e-5, atol=1e-6)


def test_memory_that_runs_out_is_torchs_own(tmp_path: Path, torch: Any, three_wells: Pair) -> None:
    """The stub's `predict` raises what torch raises on a GPU: no batch of more than two crops fits."""
    small = MODEL.replace(
        "x = self.input_norm(imgs)",
        "if len(imgs) > 2:\n            raise torch.OutOfMemoryError('CUDA out of memory')\n"
        "        x = self.input_norm(imgs)",
    )
    assert small != MODEL
    images, _ = three_wells
    plain = OpenPhenom.of(write_checkpoint(tmp_path / "a"), trust_remote_code=True, device="cpu")
    tight = OpenPhenom.of(write_checkpoint(tmp_path / "b", model=small), trust_remote_code=True, device="cpu")
    a, b = (rows(model.features(images, images.wells)) for model in (plain, tight))
    assert openphenom._running(tight).batch == 2
    for well in a:
        assert np.allclose(a[well], b[well], rtol=1e-5, atol=1e-7)


def test_code_that_was_changed_since_is_not_run(tmp_path: Path, torch: Any, three_wells: Pair) -> None:
    images, _ = three_wells
    model = OpenPhenom.of(write_checkpoint(tmp_path / "op"), trust_remote_code=True)
    (tmp_path / "op" / "normalizer.py").write_text("raise SystemExit('was run')\n")
    with pytest.raises(DataError, match=r"'normalizer.py' is not what it was when the model was accepted"):
        model.features(images, images.wells)


def test_no_gpu_is_said(torch: Any) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert found_device("auto") == "cpu"
    with pytest.raises(UsageError, match=r"--device cuda: torch .* finds no GPU here"):
        found_device("cuda")


def test_a_folder_of_parts(tmp_path: Path, torch: Any, three_wells: Pair) -> None:
    """Through the engine: what --embeddings takes."""
    images, _ = three_wells
    model = OpenPhenom.of(write_checkpoint(tmp_path / "op"), trust_remote_code=True)
    report = featurize(images, model, tmp_path / "out")
    assert (report.n_wells, report.n_features, report.kinds) == (3, WIDTH, {})
    parts = sorted((tmp_path / "out").rglob("*.parquet"))
    wells = [well for part in parts for well in pq.read_table(part).column("well_id").to_pylist()]
    assert sorted(wells) == sorted(images.wells)
