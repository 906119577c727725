"""What stands in the result of each suite: its protocol and its summary, as JSON has them.

Conventions
    A suite's module makes its `...Protocol` and `...Summary`; `Result.to_dict` puts the two together with the
    suite's name and the notes, and tells null where a number is NaN. `Evaluation` is what `polaris-rxrx
    evaluate --json` prints: every result by its name, which is also that of the file that `--out` writes.
    `map`, `against` and `inputs` tell how a map was made and of what; what stands there depends on the files.
    Means, MAD (the median distance from the median) and shares are over perturbations, unless said otherwise.
"""

from __future__ import annotations

from typing import Literal

from typing_extensions import NotRequired, TypedDict

from polaris_rxrx.documents import Open
from polaris_rxrx.maps.align import AlignmentDocument
from polaris_rxrx.maps.similarity import Similarity
from polaris_rxrx.stats.intervals import Ends
from polaris_rxrx.suites.deviations import DeviationDocument
from polaris_rxrx.suites.groups import By
from polaris_rxrx.suites.result import Versions
from polaris_rxrx.suites.splits import SplitsProtocol


class Stamped(TypedDict):
    """What is told of files, whatever the suite."""

    versions: Versions
    inputs: NotRequired[Open]
    """The model's card, what reading kept, and the hashes of its files."""
    affinities_made_up: NotRequired[bool]
    """There and true where `polaris-rxrx demo` drew them."""
    relations_made_up: NotRequired[bool]
    aliases_sha256: NotRequired[str]
    renamed: NotRequired[dict[str, dict[str, str]]]
    """File -> what stands there -> what the map calls it."""


class OfMap(Stamped):
    """What is told of a map."""

    map: Open
    map_sha256: str


# ---- drug-target

DoseFigures = TypedDict(
    "DoseFigures",
    {
        "n_scored": int,
        "average_precision": float | None,
        "average_precision_sd": float | None,
        "average_precision_random": float | None,
        "average_precision_random_sd": float | None,
        "average_precision_z": float | None,
        "average_precision_q0.05": float | None,
        "average_precision_q0.25": float | None,
        "average_precision_q0.5": float | None,
        "average_precision_q0.75": float | None,
        "average_precision_q0.95": float | None,
        "average_precision_micro": float | None,
        "average_precision_micro_sd": float | None,
        "auroc": float | None,
        "auroc_sd": float | None,
        "auroc_random": float | None,
        "auroc_random_sd": float | None,
        "auroc_z": float | None,
        "auroc_q0.05": float | None,
        "auroc_q0.25": float | None,
        "auroc_q0.5": float | None,
        "auroc_q0.75": float | None,
        "auroc_q0.95": float | None,
        "auroc_micro": float | None,
        "auroc_micro_sd": float | None,
    },
)


class DrugTargetProtocol(OfMap):
    """The choices of a run of drug-target."""

    seeds: int
    active_nM: float
    inactive_nM: float
    min_negatives: int
    negatives_per_active: int
    by: Literal["compound", "gene"]
    similarity: Similarity
    concentrations: list[float]
    """In uM."""
    legacy: bool
    sd_ddof: int
    interval_max: str
    random: str
    random_seed: int
    annotations_sha256: str
    deviations: list[DeviationDocument]


class BestDose(TypedDict):
    """Intervals of the means of the maximum over doses."""

    average_precision: Ends
    auroc: Ends


class DrugTargetSummary(TypedDict):
    """Means over compounds (or genes), by dose rule."""

    n_rows: int
    n_pairs_a_seed: int
    max: DoseFigures
    by_dose: dict[str, DoseFigures]
    interval_max: BestDose


# ---- gene-gene


class GeneGeneProtocol(OfMap):
    """The choices of a run of gene-gene."""

    low: float
    high: float
    seed: int
    n_bootstrap: int
    interval: float
    """Its level."""
    interval_of: str
    null: str
    layout: str | None
    """SHA-256 of which genes share an experiment."""
    against: Open | None
    relations_sha256: dict[str, str]
    deviations: list[DeviationDocument]
    more: NotRequired[list[list[float]]]
    """Further thresholds: low and high of each."""


class RecallFigures(TypedDict):
    """Recall of a source's relations; null where it has none between genes of the map."""

    n_relations: int
    n_rows: int
    recall: float | None
    recall_low_end: float | None
    recall_high_end: float | None
    independent_low_end: float | None
    """The interval if relations were independent."""
    independent_high_end: float | None
    n_recovered: int
    n_low: int
    n_high: int


class ApartFigures(TypedDict, total=False):
    """Recall of relations between genes that share no experiment."""

    n_relations_apart: int
    share_together: float | None
    recall_apart: float | None
    recall_apart_low_end: float | None
    recall_apart_high_end: float | None


class AgainstFigures(TypedDict, total=False):
    """The difference of recalls from another map's, over relations of genes that both have."""

    n_relations_both: int
    recall_both: float | None
    recall_against: float | None
    difference: float | None
    difference_low_end: float | None
    difference_high_end: float | None
    difference_p_value: float | None


class SourceFigures(RecallFigures, ApartFigures, AgainstFigures):
    """Recall of a source's relations; with a layout or another map more of it."""


class ThresholdFigures(RecallFigures):
    """Recall of a source's relations at one pair of thresholds."""

    low: float
    high: float
    source: str


class GeneGeneSummary(TypedDict):
    """Recall by source of relations."""

    n_genes: int
    n_pairs: int
    expected_by_chance: float
    share_of_pairs_together: float | None
    sources: dict[str, SourceFigures]
    thresholds: NotRequired[list[ThresholdFigures]]


# ---- signal and replicate-consistency

Shares = TypedDict("Shares", {"n_p_values": int, "share_p_0.05": float | None, "share_p_0.01": float | None})


class StudyProtocol(Stamped, SplitsProtocol, AlignmentDocument):
    """The choices of a run on wells, aligned one by one."""

    by: By
    n_components: NotRequired[int]
    n_directions_dropped: NotRequired[int]
    """Where components were not chosen."""
    min_wells: int
    seed: int
    null: str | list[str]
    """Held-out controls, or the genes of the null."""
    n_random: int | None
    p_value: str
    deviations: list[DeviationDocument]
    wells_sha256: str


class SignalProtocol(StudyProtocol):
    """The choices of a run of signal."""

    max_controls: int
    n_controls: int
    baseline: str | None


class AgainstRandom(TypedDict, total=False):
    """Energy distances of random embeddings of the same wells, and how far from them the model's are."""

    random_mean: float
    random_mad: float
    z: float | None


class EnergyFigures(Shares):
    """Energy distances of perturbations from their controls."""

    n_perturbations: int
    mean: float
    mad: float
    median: float
    null_mean: float | None
    """Of held-out control wells in a perturbation's place."""


class SignalSummary(EnergyFigures, AgainstRandom):
    """Energy distances of perturbations from their controls, with those of random embeddings."""


class ReplicatesSummary(Shares):
    """Mean cosines of a perturbation's wells."""

    n_perturbations: int
    mean: float | None
    mad: float | None
    median: float | None
    null_mean: float | None


# ---- clusters, consistency, activity


class ClustersProtocol(OfMap):
    """The choices of a run of clusters."""

    min_genes: int
    test: str
    sets_sha256: str


class ClustersSummary(TypedDict):
    """Cosines within complexes and between their genes and all others."""

    n_genes: int
    n_complexes: int
    n_higher: int
    """Of complexes whose genes are more alike than to others, at q <= 0.05."""
    n_lower: int
    mean_within: float
    mean_between: float | None


class ConsistencyProtocol(OfMap):
    """The choices of a run of consistency."""

    of: str
    min_members: int
    ties: str
    null_size: int
    seed: int
    sets_sha256: NotRequired[str]
    annotations_sha256: NotRequired[str]
    active_nM: NotRequired[float]


ConsistencySummary = TypedDict(
    "ConsistencySummary",
    {
        "n_annotations": int,
        "n_perturbations": int,
        "mean": float | None,
        "mean_normalized": float | None,
        "share_p_0.05": float | None,
    },
)


class ActivityProtocol(Stamped, AlignmentDocument):
    """The choices of a run of activity."""

    by: By
    min_wells: int
    null_size: int
    seed: int
    legacy: bool
    negatives: str
    ties: str
    wells_sha256: str


ActivitySummary = TypedDict(
    "ActivitySummary",
    {
        "n_perturbations": int,
        "mean": float | None,
        "mean_normalized": float | None,
        "share_p_0.05": float | None,
        "share_active": float | None,
    },
)


# ---- neighbors and enrichment


class NeighborsProtocol(Stamped):
    """What was asked of a map."""

    name: str
    concentration: float | None
    """In uM."""
    seed: int
    null_pairs: int
    map: Open


class NeighborsSummary(TypedDict):
    """The row that others are compared with."""

    type: str
    n_wells: int | None
    n_compared: int


class Neighbor(TypedDict):
    """A gene or compound beside the one that was asked for."""

    type: str
    name: str
    concentration: float | None
    """In uM."""
    cosine: float
    rank: int
    of: int
    beyond: float | None
    """The share of a null of cosines that are as extreme."""
    known: str
    """The sources of known relations between the two, with blanks between."""


class EnrichmentProtocol(Stamped):
    """How sets were tested."""

    test: str
    n_background: int
    background_sha256: str
    sets_sha256: str


class EnrichmentSummary(TypedDict):
    """Genes of the list in the map, sets, and those that are enriched at q <= 0.05."""

    n_list: int
    n_sets: int
    n_enriched: int


class EnrichedSet(TypedDict):
    """A set that has genes of the list."""

    set: str
    n_shared: int
    n_set: int
    expected: float
    p_value: float
    p_bonferroni: float
    p_adjusted: float
    """By Benjamini and Hochberg."""
    genes: str
    """Those of the list, with blanks between."""


# ---- the documents


class _Document(TypedDict):
    schema_version: Literal[1]
    notes: list[str]


class DrugTargetDocument(_Document):
    """Does a compound look like its target's knock-out?"""

    suite: Literal["drug-target"]
    protocol: DrugTargetProtocol
    summary: DrugTargetSummary


class GeneGeneDocument(_Document):
    """Do genes known to act together look alike?"""

    suite: Literal["gene-gene"]
    protocol: GeneGeneProtocol
    summary: GeneGeneSummary


class SignalDocument(_Document):
    """Can a perturbation be told from its controls?"""

    suite: Literal["signal"]
    protocol: SignalProtocol
    summary: SignalSummary


class ReplicatesDocument(_Document):
    """Are a perturbation's wells like each other?"""

    suite: Literal["replicate-consistency"]
    protocol: StudyProtocol
    summary: ReplicatesSummary


class ClustersDocument(_Document):
    """Are the genes of a complex more alike than they are to all others?"""

    suite: Literal["clusters"]
    protocol: ClustersProtocol
    summary: ClustersSummary


class ConsistencyDocument(_Document):
    """Do genes of a set, or compounds of a target, find each other?"""

    suite: Literal["consistency"]
    protocol: ConsistencyProtocol
    summary: ConsistencySummary


class ActivityDocument(_Document):
    """Do a perturbation's wells find each other before control wells?"""

    suite: Literal["activity"]
    protocol: ActivityProtocol
    summary: ActivitySummary


class NeighborsDocument(_Document):
    """What in a map is most like a gene or a compound, and most opposite?"""

    suite: Literal["neighbors"]
    protocol: NeighborsProtocol
    summary: NeighborsSummary
    neighbors: NotRequired[list[Neighbor]]
    """Of each kind the most similar first; in the file that `--out` writes they are a table of their own."""


class EnrichmentDocument(_Document):
    """In which known sets do genes of a list stand more often than by chance?"""

    suite: Literal["enrichment"]
    protocol: EnrichmentProtocol
    summary: EnrichmentSummary
    sets: NotRequired[list[EnrichedSet]]
    """The least p first; in the file that `--out` writes they are a table of their own."""


Evaluation = TypedDict(
    "Evaluation",
    {
        "drug-target": DrugTargetDocument,
        "gene-gene": GeneGeneDocument,
        "signal": SignalDocument,
        "replicate-consistency": ReplicatesDocument,
        "clusters": ClustersDocument,
        "consistency": ConsistencyDocument,
        "activity": ActivityDocument,
    },
    total=False,
)
