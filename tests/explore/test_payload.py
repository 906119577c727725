"""What the page says is what the suites say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from polaris_rxrx.cards import load_card
from polaris_rxrx.dataset.affinities import read_affinities
from polaris_rxrx.explore.nulls import LEVELS
from polaris_rxrx.explore.payload import Choices, Knowledge, gather
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.similarity import cosine
from polaris_rxrx.suites.activity import evaluate_activity
from polaris_rxrx.suites.enrichment import enrichment
from polaris_rxrx.suites.gene_gene import genes_of
from polaris_rxrx.suites.gene_sets import read_gene_sets
from polaris_rxrx.suites.neighbors import neighbors
from polaris_rxrx.suites.relations import read_sources
from polaris_rxrx.wells.memory import Wells
from tests.explore.pages import Held


def test_rows_are_those_of_the_map(page: Held, map_: Map) -> None:
    p = map_.perturbations
    doses = [None if np.isnan(d) else float(d) for d in p.concentration]
    assert page.rows() == list(zip(p.type, p.name, doses, strict=True))
    assert page.blocks["row_wells"].tolist() == map_.n_wells.tolist()
    assert page.document["rows"]["width"] == map_.x.shape[1]
    assert page.document["made_up"] is True
    assert page.document["missing"] == {}


def test_cosines_are_those_of_float64(page: Held, map_: Map) -> None:
    error = (page.cosines() - cosine(map_.x, map_.x))[np.triu_indices(len(map_), k=1)]
    assert error.std() < 0.0007
    assert np.abs(error).max() < 0.004


@pytest.mark.parametrize(("name", "place"), [("BRAF", 0), ("Sorafenib", -1)])
def test_neighbors_and_their_place_in_the_null(page: Held, map_: Map, name: str, place: int) -> None:
    """By the page's own cosines and quantiles: the suite's cosine, rank and share, within their steps."""
    keys = page.rows()
    row = [i for i, (_, own, _) in enumerate(keys) if own == name][place]
    like = page.cosines()[row]
    table = neighbors(map_, name, top=6).tables["neighbors"]
    assert len(table["name"]) == 24
    at = {key: i for i, key in enumerate(keys)}
    for kind, other, dose, value, rank, of, beyond in zip(
        *(table[c] for c in ("type", "name", "concentration", "cosine", "rank", "of", "beyond")), strict=True
    ):
        i = at[kind, other, None if np.isnan(dose) else dose]
        assert like[i] == pytest.approx(value, abs=0.003)
        rivals = np.array([k == kind and (k, n) != keys[row][:2] for k, n, _ in keys])
        assert rivals.sum() == of
        assert (like[rivals] > like[i]).sum() + 1 == pytest.approx(rank, abs=3)
        (k,) = (
            k
            for k, pair in enumerate(page.document["nulls"]["pairs"])
            if (pair["of"], pair["with"]) == (keys[row][0], kind)
        )
        below = np.interp(value, page.blocks["null_cosine"][k], page.document["nulls"]["levels"])
        assert (1 - below if value >= 0 else below) == pytest.approx(beyond, abs=0.001)


def test_levels_are_fine_at_the_ends() -> None:
    assert LEVELS[0] == 0 and LEVELS[-1] == 1
    assert np.diff(LEVELS).min() > 0 and np.diff(LEVELS).max() < 0.00101
    assert LEVELS[1] == pytest.approx(1e-6)


@pytest.mark.parametrize(("kind", "by"), [("CRISPR", "gene"), ("COMPOUND", "compound-concentration")])
def test_activity_is_the_suites(page: Held, wells: Wells, kind: str, by: str) -> None:
    found = evaluate_activity(wells, by=by, align_by="pca-cs", min_wells=3)  # type: ignore[arg-type]
    table = found.tables["perturbations"]
    doses = table.get("concentration", [None] * len(table["perturbation"]))
    row = {key: i for i, key in enumerate(page.rows())}
    at = [row[kind, n, d] for n, d in zip(table["perturbation"], doses, strict=True)]
    assert len(at) > 70
    for block, column in (("map", "mean_average_precision"), ("p", "p_value"), ("q", "p_adjusted")):
        values = page.blocks[f"activity_{block}"][at]
        assert values == pytest.approx(np.array(table[column], dtype=np.float32), nan_ok=True)
    (side,) = (s for s in page.document["activity"]["sides"] if s["type"] == kind)
    assert side["share_active"] == found.summary["share_active"]
    assert side["n_tested"] == found.summary["n_perturbations"]
    assert side["protocol"]["wells_sha256"] == found.protocol["wells_sha256"]


def test_relations_are_those_of_the_files(page: Held, demo: Path, map_: Map) -> None:
    genes = {
        n for t, n in zip(map_.perturbations.type, map_.perturbations.name, strict=True) if t == "CRISPR"
    }
    held = read_sources([demo / "data" / "relations"])
    assert len(held) == 5
    for source, known in zip(page.document["relations"]["sources"], held.values(), strict=True):
        lines = known.path.read_text().splitlines()[1:]
        wanted = {frozenset(line.split(",")[:2]) for line in lines}
        wanted = {pair for pair in wanted if len(pair) == 2 and pair <= genes}
        part = slice(source["start"], source["end"])
        first, second = page.blocks["relation_first"][part], page.blocks["relation_second"][part]
        assert (first < second).all()
        found = [frozenset((page.names[a], page.names[b])) for a, b in zip(first, second, strict=True)]
        assert len(found) == len(set(found)) and set(found) == wanted
        assert source["sha256"] == known.sha256


def test_targets_are_the_strongest_affinities(page: Held, demo: Path) -> None:
    known = read_affinities(demo / "data" / "compound_gene_interactions.csv")
    wanted = {(c, g): v for c, genes in known.by_compound.items() for g, v in genes.items()}
    columns = (page.blocks[f"target_{n}"].tolist() for n in ("compound", "gene", "nM"))
    found = [(page.names[c], page.names[g], v) for c, g, v in zip(*columns, strict=True)]
    genes = {name for kind, name, _ in page.rows() if kind == "CRISPR"}
    assert {(c, g): v for c, g, v in found} == {k: v for k, v in wanted.items() if k[1] in genes}
    assert found == sorted(found, key=lambda own: (own[0], own[2], own[1]))
    assert (page.document["targets"]["active"], page.document["targets"]["inactive"]) == (1000, 10000)


def test_complexes_are_those_that_enrichment_tests(page: Held, map_: Map, sets: Path) -> None:
    genes = genes_of(map_)[0]
    result = enrichment(["ABL1", "SRC", "BRAF", "MTOR"], read_gene_sets(sets), genes)
    assert page.document["complexes"]["n_background"] == result.protocol["n_background"]
    assert page.document["complexes"]["n"] == result.summary["n_sets"]
    found = {name: [page.names[i] for i in own] for name, own in page.blocks["complexes"]}
    sizes = dict(zip(result.tables["sets"]["set"], result.tables["sets"]["n_set"], strict=True))
    assert sizes and {name: len(found[name]) for name in sizes} == sizes
    assert set(found["alpha"]) <= {"ABL1", "SRC", "BRAF", "RAF1"}


def test_order_and_points_are_of_all_rows(page: Held) -> None:
    n = page.document["rows"]["n"]
    assert sorted(page.blocks["order"].tolist()) == list(range(n))
    assert page.blocks["points"].shape == (n, 2) and page.document["points"]["method"] == "PCA"


def test_structures_are_one_a_compound(page: Held) -> None:
    found = {page.names[i]: svg for i, svg in page.blocks["structures"]}
    compounds = {name for kind, name, _ in page.rows() if kind == "COMPOUND"}
    assert set(found) < compounds and len(found) == 40 == page.document["structures"]["n"]
    assert all(svg.startswith("<svg ") and svg.endswith("</svg>") for svg in found.values())
    (note,) = page.document["notes"]
    assert note.startswith("5 compounds have no structure that can be drawn: '")
    assert all(name in note for name in compounds - set(found))


@pytest.fixture(scope="module")
def few(map_: Map) -> Map:
    """Some rows of the demo's map, genes and compounds."""
    keep = np.r_[0:20, len(map_) - 80 : len(map_)]
    return Map(map_.perturbations.take(keep), map_.x[keep], map_.n_wells[keep], map_.protocol)


def test_other_symbols_lead_to_the_maps(few: Map) -> None:
    facts = Knowledge(aliases={"OLD": "BRAF", "SRC": "ABL1", "MTOR": "NEW"})
    made = gather("m", few, facts, Choices(), provenance={})
    names = made.document["rows"]["names"]
    assert [(other, names[i]) for other, i in made.document["aliases"]] == [("NEW", "MTOR"), ("OLD", "BRAF")]


def test_a_map_alone_says_what_is_missing(few: Map) -> None:
    made = gather("m", few, Knowledge(), Choices(), provenance={"align": "pca-cs"}, notes=["so"])
    missing = made.document["missing"]
    views = ["activity", "complexes", "guides", "plates", "relations", "spread", "structures", "targets"]
    assert sorted(missing) == views
    assert all("explore --model CARD" in missing[view] for view in ("activity", "guides", "plates", "spread"))
    assert made.document["notes"] == ["so"] and made.document["made_up"] is False
    assert json.dumps(made.document, allow_nan=False)
    assert set(made.document["blocks"]) == set(made.blocks)


def test_the_same_map_gives_the_same_page(few: Map) -> None:
    one, two = (gather("m", few, Knowledge(), Choices(seed=3), provenance={}) for _ in range(2))
    assert one.document == two.document
    assert {n: b.text for n, b in one.blocks.items()} == {n: b.text for n, b in two.blocks.items()}


def test_the_protocol_is_in_the_page(page: Held, map_: Map) -> None:
    assert page.document["provenance"]["map"] == json.loads(json.dumps(map_.protocol))
    assert page.document["provenance"]["inputs"]["card"] == load_card("openphenom").name
