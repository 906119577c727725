"""Cards and predictions: every dose rule against loops, what is absent, what is said of bad cards."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polaris_rxrx.baselines import (
    Prediction,
    map_of,
    predict,
    predict_random,
    predict_with,
    read_map,
    read_model,
    refuse_absent,
)
from polaris_rxrx.cards import Card, Recipe, card_names, load_card
from polaris_rxrx.dataset.rxrx3 import NOMINAL
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps.build import Map, build_map
from polaris_rxrx.task import MetricSpec, Task
from polaris_rxrx.wells.memory import read_wells
from polaris_rxrx.wells.metadata import Perturbations
from tests.wells_factory import small

GENES = ["A", "B", "NA", "TWIN", "flat"]
# Compound: concentration -> is the row all zeros?
COMPOUNDS: dict[str, dict[float, bool]] = {
    "all": dict.fromkeys(NOMINAL, False),
    "two": {0.25: False, 1.0: False},
    "off": {0.26: False, 2.6: False},  # tested beside the nominal concentrations only
    "half off": {0.25: False, 0.26: False},
    "TWIN": {10.0: False},
    "half flat": {0.25: True, 1.0: False},
    "flat": {1.0: True},
    "odd, (name": {0.0025: False, 10.0: False},
}


def make_task(pairs: list[tuple[str, str]]) -> Task:
    return Task(
        inputs={"treatment": [c for c, _ in pairs], "gene_symbol": [g for _, g in pairs]},
        active=np.zeros(len(pairs)),
        main_metric="pr_auc",
        metrics=(MetricSpec(name="pr_auc", label="pr_auc", group_by="treatment"),),
        source="test",
    )


@pytest.fixture
def map_() -> Map:
    rng = np.random.default_rng(0)
    rows: list[tuple[str, str, float, bool]] = [("CRISPR", g, math.nan, g == "flat") for g in GENES]
    rows += [("COMPOUND", c, d, flat) for c, doses in COMPOUNDS.items() for d, flat in doses.items()]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    x = rng.normal(size=(len(rows), 5)) * ~np.array([flat for *_, flat in rows])[:, None]
    p = Perturbations([r[0] for r in rows], [r[1] for r in rows], np.array([r[2] for r in rows]))
    return Map(p, x, np.ones(len(rows), dtype=np.int64), {"align": "pca-cs"})


@pytest.fixture
def task() -> Task:
    pairs = [(c, g) for c in [*COMPOUNDS, "nowhere"] for g in [*GENES, "gone"]]
    return make_task([pairs[i] for i in np.random.default_rng(1).permutation(len(pairs))])


def twin(task: Task, map_: Map, recipe: Recipe) -> list[float]:
    """Loops over pairs and rows."""
    p = map_.perturbations
    out = []
    for compound, gene in zip(task.treatment, task.gene_symbol, strict=True):
        scores = []
        for i in range(len(p)):
            if (p.type[i], p.name[i]) != ("COMPOUND", compound):
                continue
            dose = float(p.concentration[i])
            wanted = [recipe.dose] if isinstance(recipe.dose, float) else recipe.concentrations
            if not any(math.isclose(dose, float(w), rel_tol=1e-6) for w in wanted):
                continue
            for j in range(len(p)):
                if (p.type[j], p.name[j]) != ("CRISPR", gene):
                    continue
                a, b = map_.x[i].tolist(), map_.x[j].tolist()
                lengths = math.hypot(*a) * math.hypot(*b)
                if lengths:
                    cosine = sum(u * v for u, v in zip(a, b, strict=True)) / lengths
                    scores.append(abs(cosine) if recipe.similarity == "abs-cosine" else cosine)
        if not scores:
            out.append(math.nan)
        else:
            out.append(sum(scores) / len(scores) if recipe.dose == "mean" else max(scores))
    return out


@pytest.mark.parametrize("similarity", ["abs-cosine", "cosine"])
@pytest.mark.parametrize("dose", ["max", "mean", *NOMINAL, 0.26, 5.0])
def test_predictions_equal_loops(task: Task, map_: Map, dose: Any, similarity: Any) -> None:
    recipe = Recipe(dose=dose, similarity=similarity)
    found = predict(task, map_, recipe)
    np.testing.assert_allclose(found.values, twin(task, map_, recipe), atol=1e-12)
    assert found.absent.tolist() == [i for i, v in enumerate(found.values) if math.isnan(v)]
    assert found.protocol["dose"] == dose and found.protocol["similarity"] == similarity


@pytest.mark.parametrize("dose", ["max", "mean"])
def test_other_concentrations_are_the_card_s_choice(task: Task, map_: Map, dose: Any) -> None:
    recipe = Recipe(dose=dose, concentrations=(0.26, 1.0))
    found = predict(task, map_, recipe).values
    np.testing.assert_allclose(found, twin(task, map_, recipe), atol=1e-12)
    assert not np.isnan(found[task.by_key["off", "A"]])


def test_off_nominal_concentrations_are_not_used(task: Task, map_: Map) -> None:
    for dose in ("max", "mean"):
        values = predict(task, map_, Recipe(dose=dose)).values
        assert np.isnan(values[task.by_key["off", "A"]])
        only = predict(task, map_, Recipe(dose=0.25)).values
        i = task.by_key["half off", "A"]
        assert values[i] == only[i]


def test_a_row_of_zeros_is_absent_not_zero(task: Task, map_: Map) -> None:
    values = predict(task, map_).values
    assert np.isnan(values[task.by_key["flat", "A"]])
    assert np.isnan(values[task.by_key["all", "flat"]])
    # One dose of two without length: the other one counts, and a mean is over one.
    i = task.by_key["half flat", "A"]
    one = predict(task, map_, Recipe(dose=1.0)).values[i]
    assert predict(task, map_, Recipe(dose="mean")).values[i] == one == values[i]


def test_a_gene_and_a_compound_of_one_name(task: Task, map_: Map) -> None:
    value = predict(task, map_).values[task.by_key["TWIN", "TWIN"]]
    assert 0 < value < 1  # with itself it would be 1


def test_nothing_is_known_of_a_map_without_one_side(task: Task, map_: Map) -> None:
    for side in ("CRISPR", "COMPOUND"):
        rows = map_.rows(side)
        p = map_.perturbations
        half = Map(
            Perturbations([side] * len(rows), [p.name[i] for i in rows], p.concentration[rows]),
            map_.x[rows],
            map_.n_wells[rows],
        )
        assert np.isnan(predict(task, half).values).all()


def test_absent_genes_and_compounds_are_named(task: Task, map_: Map) -> None:
    found = predict(task, map_)
    with pytest.raises(DataError) as caught:
        refuse_absent(found, task)
    n = int(np.isnan(found.values).sum())
    for part in (
        f"{n} of {len(task)} test pairs have no embedding",
        "compounds 'flat', 'nowhere', 'off'",
        "genes 'flat', 'gone'",
        "--missing fill=0 scores them 0",
    ):
        assert part in str(caught.value)


def test_absent_pairs_of_present_names_are_named_as_pairs(map_: Map) -> None:
    # Gene and compound both occur elsewhere: only the pair can be named.
    found = predict(make_task([("all", "A"), ("two", "B")]), map_)
    refuse_absent(found, make_task([("all", "A"), ("two", "B")]))
    task = make_task([("all", "A"), ("flat", "B"), ("flat", "A"), ("all", "B")])
    with pytest.raises(DataError, match=r"2 of 4 .*compounds 'flat'.*for example 'flat / B', 'flat / A'"):
        refuse_absent(predict(task, map_), task)


@pytest.mark.parametrize(
    ("theirs", "ours"), [("braf", "BRAF"), ("BRAF ", "BRAF"), (" Braf", "BRAF"), ("HLA  A", "hla a")]
)
@pytest.mark.parametrize("side", ["gene", "compound"])
def test_names_that_differ_by_case_or_blanks_are_told_as_that(theirs: str, ours: str, side: str) -> None:
    genes, compounds = ([theirs, "TP53"], ["aspirin"]) if side == "gene" else (["TP53"], [theirs, "aspirin"])
    types = ["CRISPR"] * len(genes) + ["COMPOUND"] * len(compounds)
    doses = np.array([np.nan] * len(genes) + [1.0] * len(compounds))
    x = np.random.default_rng(0).normal(size=(len(types), 4))
    map_ = Map(Perturbations(types, genes + compounds, doses), x, np.ones(len(types), dtype=np.int64))
    gene, compound = (ours, "aspirin") if side == "gene" else ("TP53", ours)
    task = make_task([(compound, gene), ("aspirin", "TP53")])
    found = predict(task, map_)
    assert found.near == {ours: theirs}
    with pytest.raises(DataError) as caught:
        refuse_absent(found, task)
    text = str(caught.value)
    assert f"the embedding has {theirs!r}, the task {ours!r}" in text and "blanks or case alone" in text
    assert "fill" not in text and "--missing" not in text


def test_names_of_the_other_side_are_not_near(map_: Map) -> None:
    task = make_task([("all", "twin"), ("twin", "A"), ("a", "A"), ("all", "ALL"), ("nowhere", "A")])
    assert dict(predict(task, map_).near) == {"twin": "TWIN"}  # 'a' is a gene there, 'ALL' a compound


def test_random_is_seeded_and_uniform() -> None:
    task = make_task([("c", str(i)) for i in range(20_000)])
    a, b, c = (predict_random(task, seed).values for seed in (3, 3, 4))
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    share, _ = np.histogram(a, bins=10, range=(0, 1))
    assert share.sum() == len(task)
    assert (abs(share - 2000) < 5 * math.sqrt(1800)).all()  # five standard deviations of a count
    assert predict_random(task).protocol == {"card": "random", "seed": 0}


# --- from files --------------------------------------------------------------------------------------------


def test_read_model_of_an_embedding_is_read_wells(tmp_path: Path) -> None:
    files = small(tmp_path)
    card = Card(name="mine", title="Mine")
    wells, plain = read_model(card, *files), read_wells(*files)
    assert (wells.notes, wells.provenance) == (plain.notes, plain.provenance)
    assert np.array_equal(map_of(wells, card.recipe).x, build_map(plain).x)


def test_a_profile_is_cleaned_and_may_lack_wells(tmp_path: Path) -> None:
    def spoil(frame: Any) -> Any:
        frame.loc[4, "feature_2"] = np.nan
        return frame.iloc[2:]

    files = small(tmp_path, change_embeddings=spoil)
    wells = read_model(Card(name="mine", title="Mine", kind="profile"), *files)
    assert "2 wells not in the table; 1 values imputed" in wells.notes[-1]
    assert wells.provenance["cleaning"]["n_imputed"] == 1 and np.isfinite(wells.x).all()
    with pytest.raises(DataError, match="have no embedding"):
        read_model(Card(name="mine", title="Mine"), *files)
    with pytest.raises(DataError, match='kind = "profile" has its features cleaned'):
        read_model(Card(name="mine", title="Mine"), *files, allow_missing=True)


def test_a_card_s_width_is_checked(tmp_path: Path) -> None:
    card = Card.model_validate({"name": "mine", "title": "Mine", "source": {"width": 7}})
    with pytest.raises(DataError, match="has 6 features; 7 were expected"):
        read_model(card, *small(tmp_path))


def test_a_model_s_way_is_its_steps_one_after_another(tmp_path: Path) -> None:
    """Wells, map, correction, scores; what is told of wells and map is told in that order."""

    def spoil(frame: Any) -> Any:
        return frame.assign(feature_5=frame.feature_1 * 2)

    def doubled(map_: Map) -> Map:
        return replace(
            map_, x=map_.x * [[2.0, *[1.0] * (map_.x.shape[1] - 1)]], notes=(*map_.notes, "doubled")
        )

    files, card = small(tmp_path, change_embeddings=spoil), Card(name="mine", title="Mine", kind="profile")
    wells = read_model(card, *files)
    map_ = doubled(map_of(wells, card.recipe))
    names = {
        type_: [map_.perturbations.name[i] for i in map_.rows(type_)] for type_ in ("CRISPR", "COMPOUND")
    }
    task = make_task([(c, g) for c in dict.fromkeys(names["COMPOUND"]) for g in names["CRISPR"]])
    expected = predict(task, map_)
    again, mapped = read_map(card, *files, correct=doubled)
    assert again.notes == wells.notes and np.array_equal(mapped.x, map_.x)
    found = predict_with(card, task, *files, correct=doubled, provenance={"dataset": "own"})
    assert np.array_equal(found.values, expected.values) and not np.isnan(found.values).any()
    assert found.map_ is not None and np.array_equal(found.map_.x, map_.x)
    dropped = "pca-cs: the {n_controls} control wells vary in {n_components} of {n_features} directions"
    told = dropped.format(**map_.protocol) + "; the other 1 were left out"
    assert found.notes == (*wells.notes, told, "doubled") and "Cleaned: " in found.notes[-3]
    for protocol in (found.protocol, found.map_.protocol):
        assert (protocol["card"], protocol["dataset"], protocol["sources"]) == ("mine", "own", wells.sources)
        assert protocol["cleaning"] == wells.provenance["cleaning"]


def test_absent_pairs_are_refused_or_filled_and_told(map_: Map) -> None:
    task, said = make_task([("all", "A"), ("all", "gone"), ("two", "b")]), list[str]()
    found = predict(task, map_)
    with pytest.raises(DataError, match="2 of 3 test pairs have no embedding"):
        found.complete(task, None, said.append)
    assert not said
    assert found.complete(task, -1.5, said.append).tolist() == [found.values[0], -1.5, -1.5]
    assert said == [
        "names differ by blanks or case alone: the embedding has 'B', the task 'b'",
        "2 pairs without an embedding were scored -1.5",
    ]
    whole = Prediction(np.array([0.1, 0.2, 0.3]), {})
    assert whole.complete(task, 0.0, said.append) is not None and len(said) == 2
    assert whole.complete(task, None, said.append).tolist() == [0.1, 0.2, 0.3]


# --- cards -------------------------------------------------------------------------------------------------


def test_the_packaged_cards() -> None:
    assert card_names() == ["cellprofiler", "openphenom", "phenom-1", "phenom-2", "random"]
    cards = {name: load_card(name) for name in card_names()}
    assert all(card.name == name and card.published for name, card in cards.items())
    assert {n: c.source.width for n, c in cards.items()} == {
        "cellprofiler": None, "openphenom": 384, "phenom-1": 1024, "phenom-2": 1664, "random": None
    }  # fmt: skip
    # Table 4 of the paper, drug-target, maximum over concentrations.
    assert {n: (c.published[0].value, c.published[0].sd) for n, c in cards.items()} == {
        "random": (0.214, 0.003),
        "cellprofiler": (0.276, 0.018),
        "openphenom": (0.277, 0.016),
        "phenom-1": (0.290, 0.017),
        "phenom-2": (0.307, 0.015),
    }
    assert {c.recipe for n, c in cards.items()} == {Recipe()}
    assert {n: c.kind for n, c in cards.items() if c.kind != "embedding"} == {
        "random": "random", "cellprofiler": "profile"
    }  # fmt: skip


GOOD = 'name = "mine"\ntitle = "Mine"\n'


def test_a_card_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'{GOOD}[recipe]\nalign = "tvn"\ndose = 1\nconcentrations = [1, 2.5]\n')
    for card in (load_card(path), load_card(str(path))):
        assert card.recipe == Recipe(align="tvn", dose=1.0, concentrations=(1.0, 2.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "Mine"\n', "name is missing"),
        (f"{GOOD}colour = 1\n", "colour is not a field of a card"),
        (f"{GOOD}[recipe]\nalgin = 'tvn'\n", "recipe.algin is not a field of a card"),
        (
            f"{GOOD}[recipe]\nalign = 'sphering'\n",
            "recipe.align is 'sphering': Input should be 'pca-cs', 'tvn'",
        ),
        (f"{GOOD}[recipe]\naggregate = 'mode'\n", "recipe.aggregate is 'mode': Input should be 'mean' or"),
        (f"{GOOD}[recipe]\nsimilarity = 'l2'\n", "recipe.similarity is 'l2': Input should be 'abs-cosine'"),
        *(
            (
                f"{GOOD}[recipe]\ndose = {written}\n",
                f"recipe.dose is {read}: expected 'max', 'mean' or a conc",
            )
            for written, read in (
                ("'median'", "'median'"),
                ("-1", "-1"),
                ("0", "0"),
                ("true", "True"),
                ("inf", "inf"),
            )
        ),
        (
            f"{GOOD}[recipe]\nconcentrations = []\n",
            "recipe.concentrations is []: Tuple should have at least 1",
        ),
        (
            f"{GOOD}[recipe]\nconcentrations = [1, -1]\n",
            "recipe.concentrations.1 is -1: Input should be greater",
        ),
        (f"{GOOD}[source]\nwidth = 0\n", "source.width is 0: Input should be greater than 0"),
        (f"{GOOD}kind = 'image'\n", "kind is 'image': Input should be 'embedding', 'profile' or 'random'"),
        ('name = "My Model"\ntitle = "Mine"\n', "name is 'My Model': String should match pattern"),
        ("name = \n", "not TOML"),
        ("\xff", "not TOML"),
    ],
)
def test_bad_cards_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DataError) as caught:
        load_card(path)
    assert str(caught.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "openphenum",
            "no baseline 'openphenum'; there are cellprofiler, openphenom, phenom-1, phenom-2, random",
        ),
        ("nowhere.toml", "nowhere.toml: no such card"),
        ("../baselines/openphenom", "or give the path of a .toml card"),
        ("", "no baseline ''"),
    ],
)
def test_unknown_cards_are_misuse(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_card(name)
    assert message in str(caught.value)
