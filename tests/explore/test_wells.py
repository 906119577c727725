"""What the page shows of single wells: guides, spread and plates, each written again from its definition."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.explore import blocks
from polaris_rxrx.explore.guides import guides
from polaris_rxrx.explore.plates import Plates, features_at, places_of
from polaris_rxrx.explore.rows import choose
from polaris_rxrx.explore.spread import QUANTILES, Spread
from polaris_rxrx.explore.wells import aligned_blocks, labels_of, rows_of
from polaris_rxrx.maps import align
from polaris_rxrx.maps.build import Map, pooled_controls
from polaris_rxrx.maps.correct import by_position
from polaris_rxrx.wells.design import Groups, Labels
from polaris_rxrx.wells.memory import Wells
from tests.explore.pages import Held


@pytest.fixture(scope="module")
def aligned(wells: Wells) -> np.ndarray:
    """All wells, each aligned on its experiment's controls, (n, d)."""
    controls, _ = pooled_controls(wells, "pca-cs")
    basis = align.basis("pca-cs", controls, len(wells.features))
    out = np.empty((len(wells), basis.width))
    for e in range(len(wells.experiments)):
        own = wells.experiment == e
        out[own] = align.fit(basis, wells.x[own & wells.control]).rows(wells.x[own])
    return out


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_guides_agree_as_far_as_their_means_do(page: Held, wells: Wells, aligned: np.ndarray) -> None:
    assert wells.labels is not None
    text = np.array(wells.labels.treatment.names)[wells.labels.treatment.code]
    found = page.blocks
    suffixes = page.document["guides"]["suffixes"]
    names = [
        page.names[g] + suffixes[s] for g, s in zip(found["guide_gene"], found["guide_suffix"], strict=True)
    ]
    assert len(names) == 480 == len(set(names))
    start = {}
    seen = 0
    for k, gene in enumerate(found["guide_gene"].tolist()):
        if gene not in start:
            n = int((found["guide_gene"] == gene).sum())
            start[gene] = (k, n, seen)
            seen += n * (n - 1) // 2
    assert seen == len(found["guide_cosine"])
    for name in ("BRAF", "MTOR"):
        first, n, at = start[page.names.index(name)]
        assert n == 6
        own = [f"{name}_guide_{k}" for k in range(1, 7)]
        assert names[first : first + n] == own
        means = {guide: aligned[text == guide].mean(axis=0) for guide in own}
        pairs = [(a, b) for i, a in enumerate(own) for b in own[i + 1 :]]
        wanted = [cosine(means[a], means[b]) for a, b in pairs]
        assert found["guide_cosine"][at : at + 15] / 32767 == pytest.approx(wanted, abs=1e-4)
        for k, guide in enumerate(own, first):
            rest = aligned[np.isin(text, own) & (text != guide)].mean(axis=0)
            assert found["guide_other"][k] / 32767 == pytest.approx(cosine(means[guide], rest), abs=1e-4)
            assert found["guide_wells"][k] == (text == guide).sum()


def test_genes_of_one_treatment_have_no_guides(wells: Wells, map_: Map) -> None:
    assert wells.labels is not None
    one = Groups(np.zeros(len(wells), dtype=np.int64), ["any"])
    plain = replace(wells, labels=replace(wells.labels, treatment=one))
    part = guides(choose(map_), plain, "pca-cs")
    assert part.blocks == {} and "more than one treatment" in part.missing["guides"]


def test_spread_is_that_of_the_wells_cosines(
    page: Held, map_: Map, wells: Wells, aligned: np.ndarray
) -> None:
    """For each compound: its targets, and its four likest genes; for each dose the wells' quantiles."""
    keys = page.rows()
    row = {key: i for i, key in enumerate(keys)}
    doses = {name: [i for i, (_, n, _) in enumerate(keys) if n == name] for name in page.names}
    p = wells.perturbations
    code = {(t, n, c): i for i, (t, n, c) in enumerate(zip(p.type, p.name, p.concentration, strict=True))}
    blocks_ = page.blocks
    whole = zip(*(blocks_[f"spread_{n}"].tolist() for n in ("compound", "gene", "target")), strict=True)
    at, checked, targets = 0, 0, {}
    for compound, gene, target in ((page.names[c], page.names[g], t) for c, g, t in whole):
        if target:
            targets.setdefault(compound, []).append(gene)
        for i in doses[compound]:
            own = blocks_["spread_cosine"][at : at + 5]
            at += 5
            if compound in ("Sorafenib", "Trametinib"):
                vector = map_.x[row["CRISPR", gene, None]]
                which = wells.perturbation == code["COMPOUND", compound, keys[i][2]]
                assert which.sum() == 3
                wanted = np.quantile([cosine(x, vector) for x in aligned[which]], QUANTILES)
                assert own / 127 == pytest.approx(wanted, abs=0.0041)
                checked += 1
    assert at == len(blocks_["spread_cosine"]) and checked > 30
    assert {"BRAF", "KDR"} <= set(targets["Sorafenib"])
    near = [
        page.names[g]
        for c, g, t in zip(*(blocks_[f"spread_{n}"] for n in ("compound", "gene", "target")), strict=True)
        if page.names[c] == "Sorafenib" and not t
    ]
    genes = map_.rows("CRISPR")
    like = np.abs(
        [[cosine(map_.x[i], map_.x[g]) for g in genes] for i in doses["Sorafenib"]]
    ).max(axis=0)  # fmt: skip
    ranked = [map_.perturbations.name[genes[k]] for k in np.argsort(-like)]
    assert near == [name for name in ranked if name not in targets["Sorafenib"]][:4]


def decoded(page: Held) -> list[tuple[str, str, int, str, list[float | None]]]:
    """Every well of the page's plates: batch, plate, place, what is in it, its scores."""
    plates, found = page.document["plates"], page.blocks
    start = np.cumsum([0, *(b["n_content"] for b in plates["batches"])])
    out, at = [], 0
    for plate in plates["plates"]:
        for k in range(at, at + plate["n_wells"]):
            value = int(found["plate_list"][start[plate["batch"]] + found["plate_content"][k]])
            n = page.document["rows"]["n"]
            what = plates["labels"][value - n] if value >= n else f"{page.rows()[value][1]}"
            scores: list[float | None] = []
            for s, score in enumerate(plates["scores"]):
                level = int(found[f"plate_score_{s}"][k])
                step = (score["high"] - score["low"]) / (plates["levels"] - 1)
                scores.append(None if level == 0 else score["low"] + (level - 1) * step)
            name = plates["batches"][plate["batch"]]["name"]
            out.append((name, plate["name"], int(found["plate_place"][k]), what, scores))
        at += plate["n_wells"]
    assert at == plates["n_wells"] == len(found["plate_place"])
    return out


def test_plates_hold_every_well_where_it_was(page: Held, wells: Wells, aligned: np.ndarray) -> None:
    labels = wells.labels
    assert labels is not None and labels.plate is not None and labels.address is not None
    plates = page.document["plates"]
    assert (plates["rows"], plates["columns"]) == (32, 48)
    assert [s["feature"] for s in plates["scores"]] == [False, False, True, True]
    found = {(b, p, at): (what, scores) for b, p, at, what, scores in decoded(page)}
    assert len(found) == len(wells)
    letters = [chr(65 + r) if r < 26 else "A" + chr(65 + r - 26) for r in range(32)]
    names = wells.perturbations.name
    usual = {}
    for e in range(len(wells.experiments)):
        own = wells.experiment == e
        center = aligned[own & wells.control].mean(axis=0)
        usual[e] = center, np.median(np.linalg.norm(aligned[own & wells.control] - center, axis=1))
    ends = [(s["low"], s["high"]) for s in plates["scores"]]
    for i in range(0, len(wells), 9):
        address = labels.address.names[labels.address.code[i]]
        letter, number = re.fullmatch("([A-Z]+)([0-9]+)", address).groups()  # type: ignore[union-attr]
        place = letters.index(letter) * 48 + int(number) - 1
        e = int(wells.experiment[i])
        plate = labels.plate.names[labels.plate.code[i]]
        what, scores = found[wells.experiments[e], plate, place]
        assert what == names[wells.perturbation[i]]
        same = (wells.perturbation == wells.perturbation[i]) & (np.arange(len(wells)) != i)
        center, median = usual[e]
        wanted = [np.linalg.norm(aligned[i] - center) / median]
        wanted += [None if wells.control[i] else cosine(aligned[i], aligned[same].mean(axis=0))]
        wanted += [wells.x[i, 3], wells.x[i, 380]]
        for score, value, (low, high) in zip(scores, wanted, ends, strict=True):
            if value is None or what == "CRISPR_control":
                continue
            step = (high - low) / (plates["levels"] - 1)
            assert score == pytest.approx(np.clip(value, low, high), abs=0.51 * step)
        assert (scores[1] is None) == what.endswith("_control")
    controls = dict(zip(plates["labels"], plates["control"], strict=True))
    assert controls == {"CRISPR_control": True, "EMPTY_control": True}


def seen(wells: Wells, map_: Map, **options: int) -> Plates:
    plates = Plates(choose(map_), wells, map_, **options)  # type: ignore[arg-type]
    for block in aligned_blocks(wells, "pca-cs"):
        plates.see(block)
    return plates


def test_of_too_many_wells_each_batch_has_its_first_plates(wells: Wells, map_: Map) -> None:
    part = seen(wells, map_, max_wells=600).part()
    plates = part.document["plates"]["plates"]
    assert 500 < part.document["plates"]["n_wells"] == sum(p["n_wells"] for p in plates) <= 600
    assert {p["batch"] for p in plates} == set(range(8))
    counts = np.bincount([p["batch"] for p in plates])
    assert np.ptp(counts) <= 1
    assert "--max-wells" in part.notes[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"plate": None}, "no column of plates"),
        ({"address": None}, "no column of addresses"),
        ({"address": "1A"}, "the address '1A' is not one such as A01"),
        ({"address": ""}, "the address '' is not one"),
    ],
)
def test_without_plates_or_addresses_the_page_says_so(
    wells: Wells, map_: Map, change: dict[str, str | None], why: str
) -> None:
    given = {
        name: None if text is None else Groups(np.zeros(len(wells), dtype=np.int64), [text])
        for name, text in change.items()
    }
    assert wells.labels is not None
    plain = replace(wells, labels=replace(wells.labels, **given))
    part = Plates(choose(map_), plain, map_).part()
    assert part.blocks == {} and why in part.missing["plates"]


def test_addresses_are_letters_and_a_number() -> None:
    names = ["A01", "a1", "H12", "Z9", "AA48", "AF48"]
    row, column = places_of(Groups(np.arange(6), names))
    assert row.tolist() == [0, 0, 7, 25, 26, 31]
    assert column.tolist() == [0, 0, 11, 8, 47, 47]
    with pytest.raises(DataError, match="'A0' is not one"):
        places_of(Groups(np.arange(1), ["A0"]))


def test_features_of_plates_are_five_at_most() -> None:
    assert features_at(["a", "b"], ["b"]) == [1]
    with pytest.raises(UsageError, match="no feature 'c' for plates; there are 'a', 'b'"):
        features_at(["a", "b"], ["c"])
    with pytest.raises(UsageError, match="6 features for plates; at most 5"):
        features_at(list("abcdef"), list("abcdef"))


def test_labels_are_found_below_corrections(wells: Wells) -> None:
    assert labels_of(wells) is wells.labels
    placed = replace(wells, position=np.zeros(len(wells), dtype=np.int64))
    assert labels_of(by_position(placed)) is wells.labels
    assert isinstance(wells.labels, Labels)


def test_perturbations_of_wells_have_their_rows(wells: Wells, map_: Map) -> None:
    row = rows_of(choose(map_), wells.perturbations)
    assert sorted(row[row >= 0].tolist()) == list(range(len(map_)))
    missing = [wells.perturbations.name[i] for i in np.flatnonzero(row < 0)]
    assert set(missing) == {"EMPTY_control", "CRISPR_control"}


def test_blocks_of_wells_can_be_read_again(page: Held) -> None:
    assert page.document["blocks"]["plate_place"]["delta"] is True
    assert blocks.index_type(page.document["rows"]["n"]) == page.document["blocks"]["order"]["dtype"]


def test_without_vectors_the_curves_of_a_compounds_genes_are_there(map_: Map, wells: Wells) -> None:
    rows = choose(map_)
    spread = Spread(rows, wells.perturbations, [("Sorafenib", "BRAF", 10.0)], means=True)
    for block in aligned_blocks(wells, "pca-cs"):
        spread.see(block)
    held = {name: blocks.read(b.text, b.entry) for name, b in spread.part().blocks.items()}
    named, at = rows.named("COMPOUND"), 0
    for c, g, target in zip(*(held[f"spread_{n}"] for n in ("compound", "gene", "target")), strict=True):
        own = named[rows.names[c]]
        part = held["spread_mean"][at : at + len(own)] / 32767
        at += len(own)
        if rows.names[c] == "Sorafenib":
            (gene,) = rows.named("CRISPR")[rows.names[g]]
            assert part == pytest.approx([cosine(map_.x[i], map_.x[gene]) for i in own], abs=2e-5)
            assert bool(target) == (rows.names[g] == "BRAF")
    assert at == len(held["spread_mean"])
