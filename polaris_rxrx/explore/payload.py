"""What the page of a map holds: one JSON document for names and small things, and blocks of numbers.

The page gets the document in `<script type="application/json" id="data">`, and each block in
`<script type="text/plain" id="block-NAME">`; `polaris_rxrx.explore.blocks` says how bytes become text.
What is not there (no wells, no annotations) has no key and no block, and `missing` says why, by view. Indices
count from 0. A cosine as i1 or i2 is the value divided by 127 or 32767, the type's lowest value (-128,
-32768) standing for none. An index of rows or names is u2 where there are fewer than 65,535 of them, else u4.

The document
    schema: 1. version: that of this package. title: text. made_up: whether anything is the demo's.
    notes: sentences that a reader should be told. provenance: nested dicts of plain values, for a drawer.
    missing: view -> sentence; views are vectors, activity, guides, spread, plates, structures, relations,
        targets, complexes, and points.
    blocks: NAME -> {dtype, shape, planes, delta, deflate}, see `blocks`.
    rows: {n, width, types: ["CRISPR", "COMPOUND"], names: [text], doses: [uM, ascending], n_left_out: rows
        of the map that the page has not}. Row i of the map has type `row_type`, name `row_name`, dose
        `row_dose`. A name may be that of a gene and of a compound.
    aliases: [[other symbol, index of the map's name]], for searching.
    nulls: {levels: [L shares, ascending, from 0 to 1], pairs: [{of, with, n_pairs, drawn}]}; `pairs[k]` is
        of queries of type `of` and neighbors of type `with`; its quantiles at the levels are row k of
        `null_cosine`. The share of the null as extreme as a cosine (`beyond` of
        `polaris_rxrx.suites.neighbors`) is that at or above it for one of 0 or more, that at or below it
        for a negative one.
    relations: {sources: [{name, start, end, sha256}]}; pairs start..end of the blocks are that source's.
    targets: {active: nM, inactive: nM, sha256}: active at or below the first, inactive above the second.
    activity: {sides: [{type, by, min_wells, n_tested, mean, share_active, protocol}]}.
    guides: {suffixes: [text]}: a guide's name is its gene's and a suffix.
    spread: {quantiles: [5 shares], targets: how many at most, genes: how many nearest genes beside them}.
    structures: {width, height, n}.
    complexes: {file, sha256, n, n_background}: the sets tested, and the genes of the map.
    points: {method: "PCA" or "UMAP", kept: [share of the variance, of both axes] or null, seed, protocol}.
    neighbors: N, only where each row's nearest and farthest stand for vectors.
    plates: {rows, columns, n_wells, batches: [{name, n_content}], plates: [{batch, name, n_wells}], labels:
        [text], control: [whether that label is of control wells], levels: highest code of a score, scores:
        [{key, title, about, low, high, feature: bool}]}.

The blocks of rows (n of them)
    row_type u1, row_name, row_dose u1 or u2 (index + 1; 0: none), row_wells u2 or u4 (0: not known),
    row_scale f4 (0: the row has no vector and no cosine with anything).
    vectors i1 (n, width): the cosine of rows a and b is row_scale[a] * row_scale[b] * sum(vectors[a] *
        vectors[b]).
    order (k,): rows in the order of leaves of an average linkage by cosine, those without a vector last.
    points i2 (n, 2): x and y over 32767, both axes in one scale; -32768: none.
    activity_map f4 (n): mean average precision; activity_p f4 (n), activity_q f4 (n): corrected (Benjamini
        and Hochberg, genes and compounds each among themselves); NaN: not tested.
    near_row (n, types, 2N) and near_cosine i2, the same shape: for --neighbors N, of the rows of each type
        but those of the row's own name and type, by falling cosine, the first N and the last N; where there
        are fewer than 2N, all of them first. The highest index that the type holds stands for none.
    near_of u2 or u4 (n, types): how many rows of each type were compared, so that the last N have their
        ranks.

The other blocks
    null_cosine f4 (pairs, L).
    relation_first, relation_second (pairs,): indices of names of genes, first < second.
    target_compound, target_gene (pairs,): indices of names; target_nM f4. Sorted by compound, then nM.
    guide_gene (guides,): index of the name, ascending; guide_suffix: index of suffixes; guide_wells;
        guide_other i2: cosine of the guide's mean with the mean of its gene's other guides.
    guide_cosine i2: of each gene with g guides g * (g - 1) / 2 cosines of guides i < j, by i, then j; gene
        after gene as they come in guide_gene.
    spread_compound, spread_gene (pairs,): indices of names, sorted by compound; spread_target u1: whether
        the gene is an annotated target. spread_cosine i1: for each pair, for each row of the compound in
        the order of rows, the quantiles of its wells' cosines with the gene's row.
    spread_mean i2: with `neighbors` alone; for each pair, for each row of the compound, its cosine with the
        gene's row.
    structures json: [[index of a name, SVG]]; the SVG is for an <img>, on a light ground.
    complexes json: [[name, [indices of names of genes]]].
    plate_place u2 (wells,): row * columns + column on the plate, plate after plate, ascending within one.
    plate_content (wells,): index into the list of its batch. plate_list u2 or u4: the lists, batch after
        batch, n_content each; an entry below rows.n is a row, any other the label of entry - rows.n.
    plate_score_K u1 (wells,): score K as 0 (none) or 1..levels, evenly from low to high, clipped to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from polaris_rxrx._version import __version__
from polaris_rxrx.dataset.affinities import Affinities
from polaris_rxrx.explore import known
from polaris_rxrx.explore.activity import activity
from polaris_rxrx.explore.blocks import Block, Part
from polaris_rxrx.explore.guides import guides
from polaris_rxrx.explore.nearest import nearest
from polaris_rxrx.explore.nulls import nulls
from polaris_rxrx.explore.order import order
from polaris_rxrx.explore.plates import MAX_WELLS, Plates, features_at
from polaris_rxrx.explore.points import check, points
from polaris_rxrx.explore.rows import MAX_ROWS, Rows, choose, vectors
from polaris_rxrx.explore.spread import Spread
from polaris_rxrx.explore.structures import structures
from polaris_rxrx.explore.wells import aligned_blocks
from polaris_rxrx.maps.align import AlignBy
from polaris_rxrx.maps.build import Map, build_map
from polaris_rxrx.parallel import Effort
from polaris_rxrx.suites.gene_sets import GeneSets
from polaris_rxrx.suites.relations import Relations
from polaris_rxrx.suites.result import Result
from polaris_rxrx.types import Progress
from polaris_rxrx.wells.source import WellSource

SCHEMA = 1
NO_WELLS = "A map holds only the means of its wells; `explore --model CARD` shows this, too"


@dataclass(frozen=True, eq=False)
class Payload:
    """The document and the blocks of a page; what it says of itself is above."""

    document: dict[str, Any]
    blocks: dict[str, Block]


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What is known of genes and compounds, by the map's own names where it has others.

    Attributes:
        relations: Source -> related genes.
        affinities: Annotated targets.
        gene_names: Gene of the affinities -> the map's name of it.
        sets: Complexes or pathways.
        aliases: Previous symbol -> symbol.
        smiles: Compound -> SMILES, as it stands in the metadata.
    """

    relations: Mapping[str, Relations] = field(default_factory=dict)
    affinities: Affinities | None = None
    gene_names: Mapping[str, str] = field(default_factory=dict)
    sets: GeneSets | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    smiles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Single:
    """A model's wells, read with their labels, and how its map aligns them."""

    wells: WellSource
    align_by: AlignBy


@dataclass(frozen=True)
class Choices:
    """What a page has of a map.

    Attributes:
        points: How the map becomes a picture, see `polaris_rxrx.explore.points`.
        neighbors: Keep so many of each row's nearest and farthest in place of vectors; None: vectors.
        max_rows: See `polaris_rxrx.explore.rows`.
        seed: Of every draw.
        plate_features: Features of wells that plates are shown by.
        max_wells: See `polaris_rxrx.explore.plates`.
        effort: Memory, and who tests for activity.

    Raises:
        UsageError: A number or word that cannot be.
    """

    points: str = "pca"
    neighbors: int | None = None
    max_rows: int = MAX_ROWS
    seed: int = 0
    plate_features: tuple[str, ...] = ()
    max_wells: int = MAX_WELLS
    effort: Effort = field(default_factory=Effort)

    def __post_init__(self) -> None:
        check(self.points)


def gather(
    title: str,
    map_: Map,
    facts: Knowledge,
    choices: Choices,
    *,
    single: Single | None = None,
    no_wells: str = NO_WELLS,
    provenance: Mapping[str, Any],
    made_up: bool = False,
    notes: Iterable[str] = (),
    progress: Progress | None = None,
) -> Payload:
    """Everything that the page of a map has.

    Args:
        title: Of the page.
        map_: Its rows are chosen here.
        facts: Beside the map.
        choices: What is kept.
        single: The wells that the map was made of, where they are at hand.
        no_wells: Why there are none, where there are none.
        provenance: How the map was made: JSON's own types.
        made_up: Whether anything is the demo's.
        notes: What a reader should be told beside what is told here.
        progress: Called with a word, how far, out of how many.

    Raises:
        UsageError: A choice that cannot be.
        DataError: Something in the wells or the map that a suite refuses.
    """
    rows = choose(map_, choices.max_rows)
    say: Progress = progress or (lambda what, done, of: None)
    steps: list[Callable[[], Part]] = [
        rows.part,
        lambda: vectors(rows) if choices.neighbors is None else nearest(rows, choices.neighbors),
        lambda: nulls(rows, choices.seed),
        lambda: order(rows, choices.effort.max_memory),
        lambda: points(rows, choices.points, choices.seed),
        lambda: known.relations(rows, facts.relations),
        lambda: known.targets(rows, facts.affinities, facts.gene_names),
        lambda: known.complexes(rows, facts.sets),
        lambda: known.aliases(rows, facts.aliases),
        lambda: structures(rows, facts.smiles),
        lambda: of_wells(rows, single, facts, choices, say) if single else without_wells(rows, no_wells),
    ]
    parts = []
    for done, step in enumerate(steps):
        say("page", done, len(steps))
        parts.append(step())
    said = [*notes, *rows.notes, *(note for part in parts for note in part.notes)]
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "version": __version__,
        "title": title,
        "made_up": made_up,
        "notes": said,
        "provenance": Result("explore", dict(provenance), {}, {}, ()).to_dict()["protocol"],
        "missing": merged(part.missing for part in parts),
    }
    document |= merged(part.document for part in parts)
    blocks = merged(part.blocks for part in parts)
    document["blocks"] = {name: block.entry for name, block in blocks.items()}
    return Payload(document, blocks)


def of_wells(rows: Rows, single: Single, facts: Knowledge, choices: Choices, say: Progress) -> Part:
    """What needs single wells."""
    wells, align_by = single.wells, single.align_by
    features = features_at(wells.features, choices.plate_features)
    pairs = []
    if facts.affinities is not None:
        pairs = known.annotated(rows, facts.affinities, facts.gene_names)
    spread = Spread(rows, wells.perturbations, pairs, means=choices.neighbors is not None)
    plates = Plates(rows, wells, build_map(wells, align_by), features, choices.max_wells)
    for block in aligned_blocks(wells, align_by, say):
        spread.see(block)
        plates.see(block)
    parts = [
        spread.part(),
        plates.part(),
        guides(rows, wells, align_by),
        activity(rows, wells, align_by, seed=choices.seed, effort=choices.effort),
    ]
    return Part(
        merged(part.document for part in parts),
        merged(part.blocks for part in parts),
        tuple(note for part in parts for note in part.notes),
        merged(part.missing for part in parts),
    )


def without_wells(rows: Rows, why: str) -> Part:
    """The views that are missing for want of wells."""
    return Part(missing=dict.fromkeys(("activity", "guides", "spread", "plates"), why))


def merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Mappings of different keys as one."""
    return {key: value for part in parts for key, value in part.items()}
