"""Nuclei, cells and cytoplasm: by hand, planted, and of a real field against CellProfiler's table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.dataset.sandbox_images import CHANNELS, Phenotype, draw
from polaris_rxrx.errors import UsageError
from polaris_rxrx.featurize.segment import (
    Labels,
    Segmentation,
    cytoplasm_of,
    find_nuclei,
    segment,
    threshold_of,
)

Floats = npt.NDArray[np.float64]

# No smoothing and a stated threshold: what comes out can be counted by hand.
PLAIN = Segmentation("DNA", "RNA", (2, 20), "px", 0.0, 0.5, "none", cell_threshold=0.5)


def disk(size: tuple[int, int], row: float, column: float, radius: float) -> npt.NDArray[np.bool_]:
    rows, columns = np.ogrid[: size[0], : size[1]]
    return np.asarray((rows - row) ** 2 + (columns - column) ** 2 <= radius**2)


def areas(labels: npt.NDArray[np.int32], count: int) -> list[int]:
    return np.bincount(labels.ravel(), minlength=count + 1)[1:].tolist()


def two_squares() -> Floats:
    """Nuclei of 3 x 3 at (2, 2) and (2, 9), in cells of 5 x 5 and 5 x 6, which do not touch."""
    pixels = np.zeros((2, 8, 14))
    pixels[0, 2:5, 2:5] = pixels[0, 2:5, 9:12] = 0.9
    pixels[1, 1:6, 1:6] = pixels[1, 1:6, 7:13] = 0.8
    return pixels


def test_two_squares_by_hand() -> None:
    found = segment(two_squares(), ("DNA", "RNA"), PLAIN)
    assert found.count == 2
    assert areas(found.nuclei, 2) == [9, 9]
    assert areas(found.cells, 2) == [25, 30]
    # A nucleus of 9 pixels has an outline of 8, which CellProfiler counts to the cytoplasm.
    assert areas(found.cytoplasm, 2) == [25 - 1, 30 - 1]
    assert found.nuclei[3, 3] == found.cells[1, 1] == 1
    assert found.nuclei[3, 10] == found.cells[5, 12] == 2
    apart = segment(two_squares(), ("DNA", "RNA"), Segmentation(**{**vars(PLAIN), "outline": False}))
    assert areas(apart.cytoplasm, 2) == [25 - 9, 30 - 9]
    assert not (apart.cytoplasm * apart.nuclei).any()
    assert all(image.dtype == np.int32 for image in apart.by_name().values())


def test_a_cell_that_is_all_nucleus_keeps_its_number() -> None:
    pixels = two_squares()
    pixels[1, :, :7] = 0  # the first nucleus has no cell around it
    found = segment(pixels, ("DNA", "RNA"), PLAIN)
    assert areas(found.cells, 2) == [9, 30]
    assert areas(found.cytoplasm, 2) == [8, 29]
    assert areas(cytoplasm_of(found.nuclei, found.cells, outline=False), 2) == [0, 21]
    assert found.count == 2


@pytest.mark.parametrize("split", ["shape", "intensity"])
def test_nuclei_that_touch_are_parted(split: Any) -> None:
    size = (40, 60)
    left, right = disk(size, 20, 22, 8), disk(size, 20, 36, 8)
    image = np.zeros(size)
    for row, column in ((20, 22), (20, 36)):  # brightest in the middle, as nuclei are
        rows, columns = np.ogrid[: size[0], : size[1]]
        hill = 0.9 - 0.04 * np.hypot(rows - row, columns - column)
        image = np.maximum(image, np.where(left | right, np.maximum(hill, 0.55), 0))
    how = Segmentation("DNA", "", (10, 30), "px", threshold=0.5, split=split)
    nuclei, _ = find_nuclei(image, how, (10, 30))
    assert nuclei.max() == 2
    first, second = nuclei[20, 22], nuclei[20, 36]
    assert first != second
    # The waist is in the middle between the two; every pixel well to the left of it is the left one's.
    assert set(nuclei[disk(size, 20, 22, 7) & (np.arange(60) < 28)]) == {first}
    assert abs(int((nuclei == first).sum()) - int((nuclei == second).sum())) < 20
    unsplit = Segmentation("DNA", "", (10, 30), "px", threshold=0.5, split="none")
    whole, _ = find_nuclei(image, unsplit, (10, 30))
    assert whole.max() == 1


def test_the_border_and_the_sizes() -> None:
    size = (60, 60)
    pixels = np.zeros((2, *size))
    at_border, small, good = disk(size, 1, 30, 6), disk(size, 50, 50, 2), disk(size, 12, 30, 5)
    large = disk(size, 42, 20, 13)
    pixels[0][at_border | small | good | large] = 0.9
    pixels[0][6:8] = 0  # a gap between the one at the border and the good one
    pixels[1][:20, 20:40] = 0.8
    how = Segmentation("DNA", "RNA", (6, 20), "px", 0.0, 0.5, "none", cell_threshold=0.5)
    found = segment(pixels, ("DNA", "RNA"), how)
    assert found.count == 1
    assert areas(found.nuclei, 1) == [int(good[8:].sum())]
    # What the nucleus at the border takes is nobody's: the good one gets about the lower part.
    assert not found.cells[0].any()
    assert 200 < areas(found.cells, 1)[0] < 300
    with_border = segment(pixels, ("DNA", "RNA"), Segmentation(**{**vars(how), "border": True}))
    assert with_border.count == 2
    assert with_border.cells[:20, 20:40].all()


def test_an_empty_field_has_no_cells() -> None:
    """Otsu's threshold parts any noise in two; that is no nucleus."""
    rng = np.random.default_rng(5)
    noise = rng.normal(0.05, 0.01, (2, 200, 200))
    slope = np.linspace(0.02, 0.4, 200)[None, None, :] + 0.1 * noise
    sparse = rng.poisson(0.05, (2, 200, 200)) / 255
    for pixels in (noise, slope, sparse, np.zeros((2, 50, 50)), np.full((2, 50, 50), 0.3)):
        for threshold in ("otsu", "cross-entropy", "otsu-3"):
            how = Segmentation("DNA", "RNA", (6, 40), "px", threshold=threshold)
            found = segment(np.clip(pixels, 0, 1), ("DNA", "RNA"), how)
            assert found.count == 0
            assert not any(image.any() for image in found.by_name().values())
    nothing = Segmentation("DNA", "RNA", (6, 40), "px", contrast=0)
    assert segment(noise, ("DNA", "RNA"), nothing).count > 0  # what `contrast` keeps away


def test_holes_are_filled() -> None:
    size = (30, 30)
    image = np.where(disk(size, 15, 15, 9) & ~disk(size, 15, 15, 2), 0.9, 0.0)
    nuclei, _ = find_nuclei(image, PLAIN, (2, 20))
    assert areas(nuclei, 1) == [int(disk(size, 15, 15, 9).sum())]


def test_thresholds_by_hand() -> None:
    image = np.array([[0.1] * 8, [0.1] * 8, [0.7, 0.7, 0.7, 0.7, 0.9, 0.9, 0.9, 0.9]])
    assert 0.1 <= threshold_of(image, "otsu") < 0.7
    assert 0.1 <= threshold_of(image, "otsu-3") < 0.7
    assert 0.1 <= threshold_of(image, "cross-entropy") < 0.7
    assert threshold_of(image, 0.25) == 0.25
    assert threshold_of(np.full((3, 3), 0.2), "otsu") == np.inf
    assert threshold_of(np.array([[0.2, 0.4]]), "otsu-3") == 0.4


@pytest.mark.parametrize(
    ("count", "radius", "reach", "size"),
    [(40, 7.0, 2.5, 256), (30, 9.0, 1.6, 256), (16, 13.0, 2.5, 256), (60, 8.0, 4.0, 256), (1, 7.0, 2.5, 256)],
)
def test_planted_cells_are_found(count: int, radius: float, reach: float, size: int) -> None:
    """Every nucleus, with its brightness within 10%; areas: half of the nuclei 8%, of the cells 20%."""
    field = draw(Phenotype(count=count, radius=radius, reach=reach), 3, size=(size, size))
    found = segment(field.pixels / 255.0, CHANNELS, Segmentation(), 0.65)
    assert found.count == count
    # Each ellipse's center is in one nucleus, and no two in the same.
    whose = found.nuclei[tuple(np.round(field.centers).astype(int).T)]
    assert sorted(whose) == list(range(1, count + 1))
    mine = np.array(areas(found.nuclei, count))[whose - 1]
    assert np.median(np.abs(mine / field.areas(field.nuclei) - 1)) < 0.08
    means = np.bincount(found.nuclei.ravel(), weights=field.pixels[0].ravel())[1:][whose - 1] / mine
    assert np.abs(means / field.means(field.nuclei)[:, 0] - 1).max() < 0.10
    bodies = np.array(areas(found.cells, count))[whose - 1]
    assert np.median(np.abs(bodies / field.areas(field.cells) - 1)) < 0.20
    assert set(np.unique(found.cells)) == set(range(count + 1))
    assert ((found.nuclei == 0) | (found.nuclei == found.cells)).all()
    assert ((found.cytoplasm == 0) | (found.cytoplasm == found.cells)).all()


def test_what_cannot_be_segmented() -> None:
    images = np.zeros((2, 9, 9))
    with pytest.raises(UsageError, match=r"channel 'Hoechst' of the nuclei: the images' channels are DNA"):
        segment(images, ("DNA", "RNA"), Segmentation(), 0.65)
    with pytest.raises(UsageError, match=r"channel 'ER' of the cells"):
        segment(images, ("DNA", "RNA"), Segmentation("DNA", "ER"), 0.65)
    with pytest.raises(UsageError, match=r"nuclei of 6 to 40 um, but the size of a pixel is not known"):
        segment(images, ("DNA", "RNA"), Segmentation("DNA"))
    for wrong, said in (
        ({"diameter": (9.0, 4.0)}, "from 9.0 to 4.0: expected two numbers above 0"),
        ({"unit": "mm"}, "'mm': expected um or px"),
        ({"split": "size"}, "'size': expected one of shape, intensity, none"),
        ({"threshold": "triangle"}, "'triangle': expected one of otsu, cross-entropy, otsu-3, or a number"),
        ({"cell_threshold": 7.0}, "cell_threshold 7.0: expected one of"),
        ({"smoothing": -1.0}, "smoothing -1.0: expected a number from 0 on"),
    ):
        with pytest.raises(UsageError, match=said.replace("(", r"\(")):
            Segmentation(**wrong)  # type: ignore[arg-type]


# --- a real field ------------------------------------------------------------------------------------------

FIELD = "AS_09125_050116030001_D03f00"
STAINS = ("DNA", "PH3", "cellbody")


@pytest.fixture(scope="module")
def real(shared_data: Path) -> tuple[Floats, dict[str, Floats]]:
    """The field's pixels, 0 to 1, and CellProfiler's table of it, by columns."""
    import tifffile

    folder = shared_data / "images"
    planes = [tifffile.imread(folder / f"{FIELD}d{channel}.tif") for channel in range(3)]
    table = pq.read_table(folder / f"{FIELD}_cellprofiler.parquet")
    columns = {n: table[n].to_numpy() for n in table.column_names if not n.startswith("Image_")}
    return np.stack(planes) / 255.0, columns


def matched(found: Labels, theirs: dict[str, Floats]) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Of each of CellProfiler's nuclei: pixels to the nearest of ours, and which that is, from 0."""
    numbers = np.arange(1, found.count + 1)
    rows, columns = np.indices(found.nuclei.shape)
    size = np.array(areas(found.nuclei, found.count))
    centers = [np.bincount(found.nuclei.ravel(), weights=w.ravel())[numbers] / size for w in (columns, rows)]
    wanted = (theirs["Nuclei_AreaShape_Center_X"], theirs["Nuclei_AreaShape_Center_Y"])
    away = np.hypot(*(w[:, None] - c[None] for w, c in zip(wanted, centers, strict=True)))
    return away.min(axis=1), away.argmin(axis=1)


def test_a_real_field_by_default(real: tuple[Floats, dict[str, Floats]]) -> None:
    """Otsu and the distance, where CellProfiler's table was made by cross-entropy and intensity."""
    pixels, theirs = real
    found = segment(pixels, STAINS, Segmentation("DNA", "cellbody", (8, 80), "px"))
    assert len(theirs["Nuclei_AreaShape_Area"]) == 289
    assert abs(found.count - 289) <= 0.02 * 289  # measured: 290
    away, mine = matched(found, theirs)
    near = away <= 2
    assert near.mean() >= 0.92  # measured: 0.938
    size = np.array(areas(found.nuclei, found.count))[mine[near]]
    light = np.bincount(found.nuclei.ravel(), weights=pixels[0].ravel())[1:][mine[near]] / size
    for ours, name in ((size, "AreaShape_Area"), (light, "Intensity_MeanIntensity_DNA")):
        assert np.corrcoef(ours, theirs[f"Nuclei_{name}"][near])[0, 1] > 0.97  # measured: 0.981 and 0.990


def test_a_real_field_as_the_pipeline_has_it(real: tuple[Floats, dict[str, Floats]]) -> None:
    """With the parameters of CellProfiler's example pipeline, nearly every object is theirs to the pixel.

    The threshold of cells is not in the table: all numbers above 23 and up to 26 of 255 give the same cells.
    """
    pixels, theirs = real
    how = Segmentation(
        "DNA", "cellbody", (8, 80), "px", 1.0, "cross-entropy", "intensity", cell_threshold=25 / 255
    )
    found = segment(pixels, STAINS, how)
    assert found.count == 289
    away, mine = matched(found, theirs)
    assert away.max() < 2
    assert sorted(mine) == list(range(289))
    for name, image in found.by_name().items():
        same = np.array(areas(image, 289))[mine] == theirs[f"{name}_AreaShape_Area"]
        assert same.mean() > 0.98, name  # measured: 0.986, 0.983, 0.990
