"""CellProfiler's measurements of a site: pixels and labels in, a column a feature and compartment out.

Conventions
    `pixels` are (channels, height, width) floats of 0 to 1; `labels` (height, width) whole numbers, one
    image a compartment, the same number for the same cell in all. A row belongs to a number that is in any
    compartment, in ascending order (`object_numbers`); a compartment that lacks it has NaN in that row, and
    columns are the same whatever is in the images: of no objects they have length 0.
    Names are CellProfiler's, `Compartment_Category_Feature_Channel`. Values are those of cp_measure 0.3
    (`legacy=True`, CellProfiler's quartiles), held to it by the tests within 1e-10 of each feature's scale;
    where a module of `families` deviates it says so. What is shared is worked out once: outlines once for
    all channels, channels once for all compartments, ranks and sorted values once for all measurements and
    pairs.
    What is not finite is NaN: the form factor of a single pixel, whose perimeter is 0, is undefined here.
    Lengths are in pixels of these images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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
from polaris_rxrx.featurize.families.objects import Channel, Columns, Objects
from polaris_rxrx.types import Floats, Ints, Matrix


@dataclass(frozen=True)
class Options:
    """What is measured; the values are cp_measure's and CellProfiler's own.

    Lengths are in pixels. `neighbors` has pairs of compartment and distance; None stands for touching
    objects. `white` is how many steps the camera's scale has, for Costes' search alone.
    """

    texture_scales: tuple[int, ...] = (3,)
    gray_levels: int = 256
    rings: int = 4
    zernike_degree: int = 9
    granularity_sampling: float = 0.25
    background_sampling: float = 0.25
    background_radius: int = 10
    granularity_steps: int = 16
    threshold: float = 15.0
    costes: bool = False
    white: int = 255
    neighbors: tuple[tuple[str, int | None], ...] = (("Nuclei", 5), ("Cells", None))


def object_numbers(labels: Mapping[str, Matrix]) -> Ints:
    """The numbers that are in any compartment, ascending: what the rows of `measure` are."""
    found = [np.unique(image[image > 0]) for image in labels.values()]
    return np.unique(np.concatenate(found)).astype(np.int64)


def measure(
    pixels: Floats, labels: Mapping[str, Matrix], channels: Sequence[str], options: Options | None = None
) -> dict[str, Floats]:
    """Column -> (objects,) float64, in the order of `object_numbers`.

    Args:
        pixels: (channels, height, width), 0 to 1.
        labels: Compartment -> (height, width) whole numbers, 0 for background.
        channels: Names of the channels, as they stand in columns.

    Raises:
        UsageError: Shapes, names or kinds of numbers do not fit, or a pixel is not within 0 and 1.
    """
    options = options or Options()
    _check(pixels, labels, channels)
    numbers = object_numbers(labels)
    images = [Channel.of(image) for image in pixels]
    levels = [texture.quantized(image, options.gray_levels) for image in pixels]
    openings = granularity.Openings(
        pixels,
        sampled=options.granularity_sampling,
        background=options.background_sampling,
        radius=options.background_radius,
        steps=options.granularity_steps,
    )
    table: dict[str, Floats] = {}
    for compartment, image in labels.items():
        objects = Objects.among(image)
        absent = not len(objects)
        if absent:  # names are those of any object
            objects = Objects.among(_one_object(image))
        columns = _compartment(compartment, objects, images, levels, openings, channels, options)
        rows = np.searchsorted(numbers, objects.numbers)
        for name, values in columns.items():
            column = np.full(len(numbers), np.nan)
            if not absent:
                column[rows] = np.where(np.isfinite(values), values, np.nan)
            table[f"{compartment}_{name}"] = column
    return table


def _compartment(
    compartment: str,
    objects: Objects,
    images: Sequence[Channel],
    levels: Sequence[Matrix],
    openings: granularity.Openings,
    names: Sequence[str],
    options: Options,
) -> Columns:
    """All columns of one compartment, without its name."""
    channels = [image.inside(objects) for image in images]
    outlines, lights = radial.zernikes(objects, channels, options.zernike_degree)
    rings, edges = radial.Rings(objects, options.rings), intensity.Edges(objects)
    means = np.stack([objects.total(channel.values) / objects.sizes for channel in channels])
    columns = shape.shape(objects, rings.to_edge) | outlines
    for of_compartment, distance in options.neighbors:
        if of_compartment == compartment:
            columns |= neighbors.neighbors(objects, distance)
    families = [
        [intensity.intensity(channel, edges) for channel in channels],
        [rings.measure(channel) for channel in channels],
        lights,
        texture.texture(objects, channels, levels, options.texture_scales, options.gray_levels),
        openings.measure(objects, means),
    ]
    for family in families:
        for name, of_channel in zip(names, family, strict=True):
            columns |= {column.format(channel=name): values for column, values in of_channel.items()}
    columns |= correlation.correlation(objects, channels, names, options.threshold)
    if options.costes:
        columns |= correlation.costes(objects, channels, names, options.white)
    return columns


def _one_object(image: Matrix) -> Matrix:
    """One pixel that stands for an object."""
    one = np.zeros(image.shape, dtype=np.int32)
    one[image.shape[0] // 2, image.shape[1] // 2] = 1
    return one


def _check(pixels: Floats, labels: Mapping[str, Matrix], channels: Sequence[str]) -> None:
    if pixels.ndim != 3 or len(pixels) != len(channels) or len(set(channels)) != len(channels):
        shape_of = " x ".join(map(str, pixels.shape))
        raise UsageError(
            f"pixels are {shape_of}; expected one image for each of {len(channels)} different channels"
        )
    if not labels:
        raise UsageError("no labels were given; expected an image of whole numbers for each compartment")
    for compartment, image in labels.items():
        if image.shape != pixels.shape[1:]:
            raise UsageError(f"labels of {compartment} are {image.shape}, the images {pixels.shape[1:]}")
        if image.dtype.kind not in "iu" or image.min(initial=0) < 0:
            raise UsageError(f"labels of {compartment} are {image.dtype}; expected whole numbers from 0 on")
    if not (pixels.min(initial=0) >= 0 and pixels.max(initial=0) <= 1):  # NaN fails, too
        low, high = np.nanmin(pixels), np.nanmax(pixels)
        raise UsageError(f"pixels reach from {low:g} to {high:g} or are not numbers; expected 0 to 1")
