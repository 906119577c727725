"""Two synthetic plates with images: real names, RxRx3-core's metadata and shards, planted biology.

For `polaris-rxrx demo --images`, `docs/images.md` and tests. Nothing in them is a measurement.

How a well comes about. A gene's knock-out shifts the traits of its cells (`TRAITS`: how many there are, size
and shape of nuclei, how far cells reach, how coarse and strong textures are; and each stain's brightness) in
a direction that is partly its family's. A compound shifts them in the mean direction of its known targets
and, less, in one of its own; at a quarter of the dose by a part. Control wells have ordinary cells. Each well
is stained a little differently, and each experiment more so, which alignment has to take out.

One plate holds knock-outs and controls, the other compounds and controls: blocks of 5 rows and 10 columns.
Reproducible: of a seed, each well has a generator of its own; pixels are the same to the byte, and so are the
files where the library that encodes them is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from polaris_rxrx.dataset.registry import MADE_UP_README
from polaris_rxrx.dataset.rxrx3 import COLUMNS, CONTROL
from polaris_rxrx.dataset.sandbox import INTERACTION_COLUMNS, MADE_UP, Well, write_csv
from polaris_rxrx.dataset.sandbox_images import CHANNELS, Phenotype, Picture, draw, pictures, write_shards
from polaris_rxrx.dataset.sandbox_names import COMPOUNDS, Ligand
from polaris_rxrx.errors import UsageError
from polaris_rxrx.types import Floats

# Genes that look partly alike, and compounds known for them.
FAMILIES = (
    ("AKT1", "AKT2", "AKT3"),
    ("BRD2", "BRD3", "BRD4"),
    ("HDAC1", "HDAC2", "HDAC3"),
    ("PSMB1", "PSMB5", "PSMB8"),
    ("EGFR", "ERBB2"),
    ("MAP2K1", "MAP2K2"),
    ("CDK4", "CDK6"),
)
NAMES = {"Ipatasertib (GDC-0068)", "MK-2206", "I-BET-762", "Vorinostat", "Bortezomib", "Carfilzomib"}
NAMES |= {"Lapatinib", "Erlotinib", "AZD9291", "Cobimetinib", "Trametinib", "Palbociclib"}
GENE_PLATE, COMPOUND_PLATE = ("gene-007", "1"), ("compound-003", "1")  # no plates of the demo's other data
ROWS, FIRST_COLUMN, COLUMNS_A_ROW = ("Y", "Z", "AA", "AB", "AC"), 20, 10
GUIDES, CONTROLS = 2, 14
DOSES = ((2.5, 0.6), (10.0, 1.0), (10.0, 1.0))  # uM, and how much of the effect shows
SIZE = (256, 256)
QUALITY = 46  # decibels: some 6 KB an image, as coarse as the published ones
ORDINARY = Phenotype(count=36, radius=6.5, reach=2.4)
# How far a unit of effect moves each trait, on a logarithmic scale.
TRAITS = {"count": 0.20, "radius": 0.12, "longness": 0.08, "reach": 0.12, "grain": 0.30, "contrast": 0.35}
BRIGHTNESS = 0.28  # of each channel
EFFECT = 3.0  # length of a knock-out's shift
STAINING = (0.10, 0.03)  # by experiment, and by well
SEEDING = 0.06  # of the number of cells, by well
SHARD, ROW_GROUP = 250, 64  # images: some wells' channels straddle


@dataclass(frozen=True)
class Plates:
    """What `write_plates` wrote."""

    folder: Path
    metadata: Path
    interactions: Path
    images: Path
    wells: int
    shards: int


class _Content(NamedTuple):
    """What goes into a well, and how it shifts the cells: (traits,)."""

    gene: str
    treatment: str
    smiles: str
    concentration: str
    shift: Floats


def write_plates(
    folder: Path, *, seed: int = 0, step: Callable[[str, int, int], None] | None = None
) -> Plates:
    """Draw the two plates into `folder`, which must exist.

    Args:
        folder: Gets metadata, affinities, a README, and shards in `data`.
        seed: The same seed draws the same wells and pixels.
        step: Told what is done, how many wells are, and of how many.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; make it first")
    if seed < 0:
        raise UsageError(f"seed {seed}: a seed is 0 or more")
    biology, layout, table = np.random.SeedSequence(seed).spawn(3)
    genes, compounds = _contents(np.random.default_rng(biology))
    rng = np.random.default_rng(layout)
    wells = [*_place(GENE_PLATE, genes, "CRISPR", rng), *_place(COMPOUND_PLATE, compounds, "COMPOUND", rng)]
    staining = {
        name: STAINING[0] * rng.standard_normal(len(CHANNELS)) for name in (GENE_PLATE[0], COMPOUND_PLATE[0])
    }

    def images() -> Iterator[Picture]:
        for number, (well, content) in enumerate(wells):
            own = np.random.default_rng([seed, number, 1])
            stained = staining[well.experiment_name] + STAINING[1] * own.standard_normal(len(CHANNELS))
            cells = _phenotype(content.shift, stained)
            cells = replace(cells, count=round(cells.count * np.exp(SEEDING * own.standard_normal())))
            field = draw(cells, [seed, number], size=SIZE)
            yield from pictures(well.well_id, field.pixels, quality=QUALITY)
            if step is not None:
                step("wells", number + 1, len(wells))

    shards = write_shards(folder / "data", images(), shard=SHARD, row_group=ROW_GROUP, note=MADE_UP)
    plates = Plates(
        folder=folder,
        metadata=folder / "metadata_rxrx3_core.csv",
        interactions=folder / "compound_gene_interactions.csv",
        images=folder / "data",
        wells=len(wells),
        shards=len(shards),
    )
    write_csv(plates.metadata, COLUMNS, [well for well, _ in wells])
    write_csv(plates.interactions, INTERACTION_COLUMNS, _affinities(np.random.default_rng(table)))
    (folder / MADE_UP_README).write_text(_readme(plates, seed), encoding="utf-8", newline="")
    return plates


def known() -> list[Ligand]:
    """The compounds, each with those of its targets that stand on the plate."""
    there = {gene for family in FAMILIES for gene in family}
    return [
        c._replace(targets=tuple(gene for gene in c.targets if gene in there))
        for c in COMPOUNDS
        if c.name in NAMES
    ]


def _contents(rng: np.random.Generator) -> tuple[list[_Content], list[_Content]]:
    """What stands on the plate of genes, and on that of compounds."""
    width = len(TRAITS) + len(CHANNELS)
    none = np.zeros(width)

    def unit() -> Floats:
        x = rng.standard_normal(width)
        return np.asarray(x / np.linalg.norm(x))

    directions: dict[str, Floats] = {}
    for family in FAMILIES:
        shared = unit()
        for gene in family:
            x = shared + 0.5 * unit()
            directions[gene] = x / np.linalg.norm(x)
    genes = [
        _Content(gene, f"{gene}_guide_{guide}", "", "", EFFECT * rng.uniform(0.8, 1.1) * direction)
        for gene, direction in directions.items()
        for guide in range(1, GUIDES + 1)
    ]
    genes += [_Content(CONTROL, CONTROL, "", "", none)] * CONTROLS
    compounds = []
    for c in known():
        x = sum((directions[gene] for gene in c.targets), none) / len(c.targets) + 0.5 * unit()
        effect = EFFECT * x / np.linalg.norm(x)
        compounds += [_Content("", c.name, c.smiles, repr(dose), part * effect) for dose, part in DOSES]
    compounds += [_Content("", CONTROL, "", "", none)] * CONTROLS
    return genes, compounds


def _place(
    plate: tuple[str, str], contents: Sequence[_Content], kind: str, rng: np.random.Generator
) -> list[tuple[Well, _Content]]:
    """Give every content a place in the block, at random, and list the wells in order of their places."""
    spots = [f"{row}{FIRST_COLUMN + column}" for row in ROWS for column in range(COLUMNS_A_ROW)]
    experiment, number = plate
    chosen = [contents[i] for i in rng.permutation(len(contents))]
    return [
        (
            Well(
                f"{experiment}_{number}_{spot}",
                experiment,
                number,
                spot,
                content.gene,
                content.treatment,
                content.smiles,
                content.concentration,
                kind,
                "HUVEC",
            ),
            content,
        )
        for spot, content in zip(spots[: len(chosen)], chosen, strict=True)
    ]


def _phenotype(shift: Floats, staining: Floats) -> Phenotype:
    """Cells whose traits are shifted, under stains of their own strength (6,), logarithms."""
    traits = {
        name: getattr(ORDINARY, name) * float(np.exp(scale * x))
        for (name, scale), x in zip(TRAITS.items(), shift, strict=False)
    }
    levels = np.exp(BRIGHTNESS * shift[len(TRAITS) :] + staining)
    return replace(
        ORDINARY,
        **{**traits, "count": round(traits["count"]), "longness": max(traits["longness"], 1.0)},
        brightness=tuple(levels.tolist()),
    )


def _affinities(rng: np.random.Generator) -> list[tuple[str, int, str, str, str]]:
    """The affinity table: known targets as actives, and of each compound one gene that is inactive."""
    every = [gene for family in FAMILIES for gene in family]
    rows = []
    for c in known():
        others = [gene for gene in every if gene not in c.targets]
        inactive = others[int(rng.integers(len(others)))]
        rows += [
            (gene, int(rng.choice([5, 20, 50, 200, 500])), "ic50", "made up", c.name) for gene in c.targets
        ]
        rows.append((inactive, 50_000, "ic50", "made up", c.name))
    return rows


def _readme(plates: Plates, seed: int) -> str:
    return f"""THIS DATA IS MADE UP.

polaris-rxrx drew it (seed {seed}) so that its commands for images can be tried without a download. Gene and
compound names, structures and targets are real; no image shows a cell, and no score reached on this folder
says anything about a model.

data/
    {plates.shards} shards of {plates.wells} wells' images, six channels each, as RxRx3-core has them but for
    their size: {SIZE[0]} x {SIZE[1]} pixels, 0.65 um each
{plates.metadata.name}
    {plates.wells} wells on two plates: {sum(map(len, FAMILIES))} genes, {len(NAMES)} compounds, and controls
{plates.interactions.name}
    synthetic affinities of these compounds and genes

The real data: https://huggingface.co/datasets/recursionpharma/rxrx3-core
"""
