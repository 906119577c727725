"""Measurements equal cp_measure's, called plainly; and what is undefined is said, not invented."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from polaris_rxrx.errors import UsageError
from polaris_rxrx.featurize.families import (
    correlation,
    granularity,
    intensity,
    neighbors,
    radial,
    shape,
    texture,
)
from polaris_rxrx.featurize.families.objects import Channel, Objects
from polaris_rxrx.featurize.measure import Options, measure, object_numbers
from polaris_rxrx.types import Floats, Matrix
from tests.featurize.plain import awkward, differences, field, plain

CHANNELS = ("DNA", "ER", "AGP")
EQUAL = 1e-10
BEYOND = re.compile(r"_(Neighbors_|Location_Center_[XY]$)")  # measured otherwise, or not at all, by `plain`


@pytest.fixture(scope="module")
def odd() -> tuple[Floats, dict[str, Matrix]]:
    return awkward()


@pytest.fixture(scope="module")
def measured(odd: tuple[Floats, dict[str, Matrix]]) -> dict[str, Floats]:
    return measure(*odd, CHANNELS, Options(costes=True))


@pytest.fixture(scope="module")
def plainly(odd: tuple[Floats, dict[str, Matrix]]) -> dict[str, Floats]:
    return plain(*odd, CHANNELS, costes=True)


def test_columns_are_those_of_cp_measure_by_cellprofilers_names(
    measured: dict[str, Floats], plainly: dict[str, Floats]
) -> None:
    assert {name for name in measured if not BEYOND.search(name)} == plainly.keys()
    for name in (
        "Nuclei_AreaShape_Zernike_9_9",
        "Cells_Intensity_MADIntensity_ER",
        "Cells_Intensity_StdIntensityEdge_ER",
        "Cells_Location_CenterMassIntensity_X_DNA",
        "Cytoplasm_RadialDistribution_MeanFrac_AGP_2of4",
        "Cells_RadialDistribution_ZernikePhase_DNA_5_3",
        "Cells_Texture_AngularSecondMoment_DNA_3_00_256",
        "Nuclei_Granularity_16_AGP",
        "Nuclei_Correlation_Correlation_DNA_ER",
        "Nuclei_Correlation_Manders_ER_DNA",
        "Cells_Neighbors_PercentTouching_Adjacent",
        "Nuclei_Neighbors_FirstClosestDistance_5",
    ):
        assert name in measured


def test_odd_objects_are_measured_as_by_cp_measure(
    odd: tuple[Floats, dict[str, Matrix]], measured: dict[str, Floats], plainly: dict[str, Floats]
) -> None:
    """Whatever an object is like, all columns are equal, but where a constant channel has no correlation."""
    numbers = object_numbers(odd[1])
    theirs = dict(plainly)
    flat = np.flatnonzero(np.isin(numbers, (5, 8, 9)))  # one pixel, constant, dark
    for name in theirs:
        if re.search("Correlation_(Correlation|Slope)_", name):
            theirs[name] = theirs[name].copy()
            theirs[name][flat] = np.nan
            assert np.isnan(measured[name][flat]).all()
    found = differences(measured, theirs)
    assert len(found) == len(plainly)
    assert {name: apart for name, apart in found.items() if apart > EQUAL} == {}


def test_rows_are_the_numbers_of_any_compartment(
    odd: tuple[Floats, dict[str, Matrix]], measured: dict[str, Floats]
) -> None:
    numbers = object_numbers(odd[1])
    assert numbers.tolist() == [1, 2, 3, 5, 6, 8, 9, 11, 14, 17, 19]
    assert {len(values) for values in measured.values()} == {len(numbers)}
    for compartment, image in odd[1].items():
        absent = ~np.isin(numbers, image)
        areas = measured[f"{compartment}_AreaShape_Area"]
        assert np.array_equal(areas[~absent], [np.sum(image == number) for number in numbers[~absent]])
        of_it = [values for name, values in measured.items() if name.startswith(f"{compartment}_")]
        assert np.isnan(np.stack(of_it)[:, absent]).all()
    assert np.isnan(measured["Nuclei_AreaShape_Area"][numbers == 19]).all()
    assert np.isnan(measured["Cytoplasm_AreaShape_Area"][numbers == 14]).all()


def test_a_field_of_other_depth_scales_and_levels_is_measured_as_by_cp_measure() -> None:
    """Pixels that are no eighths of a byte go another way through ranks and sorting."""
    pixels, labels = field(9, 0.7, size=120, channels=3)
    pixels = np.clip(pixels * np.linspace(0.93, 1.04, 120), 0, 1)
    scales = (1, 5)
    ours = measure(pixels, labels, CHANNELS, Options(texture_scales=scales))
    found = differences(ours, plain(pixels, labels, CHANNELS, scales))
    assert len(found) > 2_300
    assert {name: apart for name, apart in found.items() if apart > EQUAL} == {}


def test_fewer_gray_levels_are_those_of_cp_measure() -> None:
    from cp_measure.core.measuretexture import get_texture

    pixels, labels = field(4, 0.6, size=80, channels=1)
    ours = measure(pixels, labels, ["A"], Options(gray_levels=16))
    compared = 0
    for name, values in get_texture(labels["Cells"], pixels[0], 3, 16).items():
        feature, rest = name.split("_", 1)
        np.testing.assert_allclose(ours[f"Cells_Texture_{feature}_A_{rest}"], values, rtol=1e-10, atol=1e-12)
        compared += 1
    assert compared == 52


def test_haralick_of_many_levels_is_counted_in_several_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, labels = field(16, 0.8, size=96, channels=2)
    options = Options(granularity_steps=1)
    once = measure(pixels, labels, ["A", "B"], options)
    monkeypatch.setattr(texture, "_TABLE", 500)
    for name, values in measure(pixels, labels, ["A", "B"], options).items():
        assert np.array_equal(values, once[name], equal_nan=True), name


def test_independent_levels_share_nothing() -> None:
    """Four pairs of two levels, each as often: exactly 0, where the root of a rounding error would stand."""
    levels = np.array([[1, 1, 2, 2, 1], [1, 1, 2, 2, 1]])
    objects = Objects.among(np.ones((2, 5), np.int32))
    values = Channel.of(levels / 255).inside(objects)
    row = texture.texture(objects, [values], [levels.astype(np.uint8)], [1], 256)[0]
    assert row["Texture_InfoMeas2_{channel}_1_00_256"] == [0.0]
    assert row["Texture_Entropy_{channel}_1_00_256"] == [2.0]
    assert row["Texture_Contrast_{channel}_1_00_256"] == [0.5]


def test_columns_are_the_same_without_any_object() -> None:
    pixels, labels = field(4, 0.5, size=64, channels=2)
    full = measure(pixels, labels, ["A", "B"])
    none = measure(pixels, {name: np.zeros_like(image) for name, image in labels.items()}, ["A", "B"])
    assert list(none) == list(full)
    assert {values.shape for values in none.values()} == {(0,)}
    partly = measure(pixels, labels | {"Cytoplasm": np.zeros((64, 64), np.int32)}, ["A", "B"])
    assert list(partly) == list(full)
    assert np.isnan(partly["Cytoplasm_AreaShape_Area"]).all()
    assert np.array_equal(partly["Cells_AreaShape_Area"], full["Cells_AreaShape_Area"])


def test_objects_do_not_depend_on_each_other_or_on_their_numbers() -> None:
    pixels, labels = field(9, 0.6, size=96, channels=2)
    full = measure(pixels, labels, ["A", "B"])
    renamed = {name: np.where(image > 0, 2_000_000_000 - 7 * image, 0) for name, image in labels.items()}
    for name, values in measure(pixels, renamed, ["A", "B"]).items():
        np.testing.assert_allclose(values[::-1], full[name], rtol=1e-12, atol=1e-12, err_msg=name)
    alone = {name: np.where(image == 4, image, 0) for name, image in labels.items()}
    for name, values in measure(pixels, alone, ["A", "B"], Options(neighbors=())).items():
        if "Edge_" not in name:  # an edge is one toward any other label
            np.testing.assert_allclose(values, full[name][3:4], rtol=1e-12, atol=1e-12, err_msg=name)


def test_a_dark_image_and_a_full_one() -> None:
    """An object that is the whole image has no edge; one without light has no center of mass."""
    pixels = np.stack([np.zeros((40, 40)), np.full((40, 40), 0.5)])
    found = measure(pixels, {"Cells": np.ones((40, 40), np.int32)}, ["Dark", "Even"])
    assert found["Cells_Intensity_IntegratedIntensity_Even"] == [800.0]
    assert found["Cells_Intensity_IntegratedIntensityEdge_Even"] == [0.0]
    for name in (
        "Cells_Location_CenterMassIntensity_X_Dark",
        "Cells_Intensity_MassDisplacement_Dark",
        "Cells_Texture_Entropy_Dark_3_00_256",
        "Cells_Correlation_Correlation_Dark_Even",
        "Cells_Correlation_Manders_Dark_Even",
        "Cells_Correlation_K_Dark_Even",
    ):
        assert np.isnan(found[name]).all(), name
    assert found["Cells_Texture_Entropy_Even_3_00_256"] == [0.0]


def test_an_image_too_small_for_a_spectrum_has_none() -> None:
    pixels, labels = np.full((1, 7, 40), 0.25), {"Cells": np.ones((7, 40), np.int32)}
    found = measure(pixels, labels, ["A"])
    assert np.isnan([found[f"Cells_Granularity_{step}_A"] for step in range(1, 17)]).all()
    assert found["Cells_AreaShape_Area"] == [280.0]


def test_neighbors_are_counted_by_hand() -> None:
    """Three squares of 10 in a row: two touch, the third is 20 beyond; and two, and one alone."""
    labels = np.zeros((30, 70), np.int32)
    labels[10:20, 5:15], labels[10:20, 15:25], labels[10:20, 45:55] = 1, 2, 3
    objects = Objects.among(labels)
    found = neighbors.neighbors(objects, None)
    assert found["Neighbors_NumberOfNeighbors_Adjacent"].tolist() == [1, 1, 0]
    assert found["Neighbors_FirstClosestDistance_Adjacent"].tolist() == [10, 10, 30]
    assert found["Neighbors_SecondClosestDistance_Adjacent"].tolist() == [40, 30, 40]
    np.testing.assert_allclose(found["Neighbors_AngleBetweenNeighbors_Adjacent"], [0, 180, 0], atol=1e-5)
    touching = found["Neighbors_PercentTouching_Adjacent"]
    np.testing.assert_allclose(touching, [100 * 10 / 36, 100 * 10 / 36, 0])
    near = neighbors.neighbors(objects, 12)["Neighbors_NumberOfNeighbors_12"]
    assert near.tolist() == [1, 1, 0]
    two = neighbors.neighbors(Objects.among(np.where(labels == 3, 0, labels)), None)
    assert two["Neighbors_FirstClosestDistance_Adjacent"].tolist() == [10, 10]
    assert np.isnan(two["Neighbors_SecondClosestDistance_Adjacent"]).all()
    one = neighbors.neighbors(Objects.among(np.where(labels == 3, labels, 0)), 5)
    assert one["Neighbors_NumberOfNeighbors_5"].tolist() == [0]
    assert one["Neighbors_PercentTouching_5"].tolist() == [0]
    assert np.isnan(one["Neighbors_FirstClosestDistance_5"]).all()


def test_values_of_a_tiny_object_by_hand() -> None:
    """Four pixels in an L: sums, quartiles at n * q, ranks and shares that a pencil gives."""
    labels = np.array([[0, 0, 0, 0], [0, 7, 0, 0], [0, 7, 0, 0], [0, 7, 7, 0]], np.int32)
    first, second = np.zeros((2, 4, 4))
    first[labels > 0] = [0.2, 0.4, 0.6, 0.8]
    second[labels > 0] = [0.8, 0.8, 0.1, 0.2]
    found = measure(np.stack([first, second]), {"Cells": labels}, ["A", "B"])
    value = {name.removeprefix("Cells_"): values[0] for name, values in found.items()}
    expected = {
        "AreaShape_Area": 4,
        "AreaShape_Center_X": 1.25,
        "AreaShape_Center_Y": 2.25,
        "AreaShape_BoundingBoxArea": 6,
        "Intensity_IntegratedIntensity_A": 2,
        "Intensity_LowerQuartileIntensity_A": 0.4,
        "Intensity_MedianIntensity_A": 0.6,
        "Intensity_UpperQuartileIntensity_A": 0.8,
        "Intensity_MADIntensity_A": 0.2,
        "Location_CenterMassIntensity_X_A": 1.4,
        "Location_MaxIntensity_Y_B": 1,
        "Location_MaxIntensity_X_A": 2,
        # Above 0.15 of 0.8 = 0.12: all of A; of B all but 0.1.
        "Correlation_Manders_A_B": 1.4 / 2,
        "Correlation_Manders_B_A": 1,
        "Correlation_Overlap_A_B": 0.64 / np.sqrt(0.84 * 1.32),
        "Correlation_K_A_B": 0.64 / 0.84,
        "Correlation_K_B_A": 0.64 / 1.32,
        # Ranks 0, 1, 2, 3 and 2, 2, 0, 1; the weight is (4 - difference) / 4.
        "Correlation_RWC_A_B": (0.2 * 2 / 4 + 0.4 * 3 / 4 + 0.8 * 2 / 4) / 2,
        "Correlation_RWC_B_A": (0.8 * 2 / 4 + 0.8 * 3 / 4 + 0.2 * 2 / 4) / 1.8,
        "Correlation_Slope_A_B": -0.25 / 0.2,
    }
    for name, hand in expected.items():
        assert value[name] == pytest.approx(hand, rel=1e-12), name


def test_what_is_left_of_light_is_the_same_from_one_step_to_the_next() -> None:
    """Rebuilding under the last image gives what scikit-image rebuilds under the first."""
    from skimage.morphology import disk, erosion, reconstruction

    light = np.random.default_rng(3).random((37, 41, 2)).round(2)
    spectrum = granularity._spectrum(light, 6)
    for channel in range(2):
        image = light[..., channel]
        eroded = image
        for step in range(6):
            eroded = erosion(eroded, footprint=disk(1))
            assert np.array_equal(spectrum[step, channel], reconstruction(eroded, image, footprint=disk(1)))


def test_families_can_be_had_one_by_one(
    odd: tuple[Floats, dict[str, Matrix]], measured: dict[str, Floats]
) -> None:
    objects = Objects.among(odd[1]["Cells"])
    channels = [Channel.of(image).inside(objects) for image in odd[0]]
    families = (
        shape.shape(objects, radial.Rings(objects, 4).to_edge),
        intensity.intensity(channels[1], intensity.Edges(objects)),
        radial.Rings(objects, 4).measure(channels[1]),
        radial.zernikes(objects, channels, 9)[1][1],
        correlation.correlation(objects, channels, CHANNELS, 15),
    )
    for name, values in itertools.chain.from_iterable(family.items() for family in families):
        finite = np.where(np.isfinite(values), values, np.nan)
        assert np.array_equal(finite, measured["Cells_" + name.format(channel="ER")], equal_nan=True), name


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p, s, c: (p * 255, s, c), "expected 0 to 1"),
        (lambda p, s, c: (np.where(p > 0.2, np.nan, p), s, c), "expected 0 to 1"),
        (lambda p, s, c: (p, s, ["A"]), "one image for each of 1 different channels"),
        (lambda p, s, c: (p, s, ["A", "A"]), "2 different channels"),
        (lambda p, s, c: (p[:, 1:], s, c), r"labels of Nuclei are \(64, 64\), the images \(63, 64\)"),
        (lambda p, s, c: (p, {"Cells": s["Cells"] / 2}, c), "labels of Cells are float64"),
        (lambda p, s, c: (p, {"Cells": -s["Cells"]}, c), "labels of Cells .* whole numbers from 0 on"),
        (lambda p, s, c: (p, {}, c), "no labels were given"),
    ],
)
def test_what_cannot_be_measured_is_refused(spoil: object, words: str) -> None:
    assert callable(spoil)
    pixels, labels, channels = spoil(*field(4, 0.5, size=64, channels=2), ["A", "B"])
    with pytest.raises(UsageError, match=words):
        measure(pixels, labels, channels)


def test_options_are_named_in_a_protocol() -> None:
    """Options hash and compare: a protocol that differs is another table."""
    assert replace(Options(), rings=5) != Options()
    assert hash(Options()) == hash(Options(texture_scales=(3,)))
