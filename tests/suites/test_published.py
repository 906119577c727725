"""The published figures: whole, consistent with each other, and compared as the module says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import pytest

import polaris_rxrx.suites.published as published
from polaris_rxrx.bounded import read_toml
from polaris_rxrx.cards import card_names, load_card
from polaris_rxrx.dataset.screens import DEFAULT, load_screen
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.hub import card
from polaris_rxrx.suites.published import (
    ALL,
    FOLDER,
    FURTHER,
    NAMES,
    NOT_ON_RECORD,
    Figure,
    Published,
    PublishedRow,
    load,
    load_whole,
    read,
)
from polaris_rxrx.suites.reproduce import compare, run, to_dict
from polaris_rxrx.suites.result import Result


def figures(name: str) -> dict[tuple[str, str, str | None], Figure]:
    return {(f.model, f.quantity, f.at): f for f in load(name).figures()}


def test_every_file_is_a_table_with_a_source_and_a_grade() -> None:
    there = [*ALL, *(name for further in FURTHER.values() for name in further)]
    assert sorted(path.name.removesuffix(".toml") for path in FOLDER.glob("*")) == sorted(there)
    for name in ALL:
        table = load(name)
        assert table.name == name and table.source and table.grade in ("author-reported", "transcribed")
        assert set(table.suites) == set(table.protocols) == set(table.about)
        assert set(table.models) == set(table.supervision)
        keys = [(f.model, f.suite, f.quantity, f.at) for f in table.figures()]
        assert len(set(keys)) == len(keys)
    assert [len(figures(name)) for name in ALL] == [20, 20, 18, 13, 1, 1]


def test_rows_without_a_figure_have_their_protocol_and_no_number() -> None:
    """Nobody transcribed what Table 6 says of RxRx3 and JUMP, so nothing may stand there."""
    assert [t.name for t in load_whole("table6")] == ["table6", "table6-rxrx3", "table6-jump-crispr"]
    assert [t.name for t in load_whole("table4")] == ["table4"]
    assert {load(name).dataset for name in ALL} == {DEFAULT}
    sources = ("CORUM", "HuMAP", "Reactome", "StringDB")
    for name, dataset, model in (
        ("table6-rxrx3", "rxrx3", "rxrx3-embeddings"),
        ("table6-jump-crispr", "jump-crispr", "cellprofiler"),
    ):
        table = load(name)
        assert (table.dataset, table.grade) == (dataset, NOT_ON_RECORD)
        assert load_screen(dataset).profiles is not None
        assert list(table.figures()) == []
        assert list(table.rows()) == [PublishedRow(model, "gene-gene", "recall", s) for s in sources]
        assert table.protocols["gene-gene"] | {"align": "pca-cs"} == load("table6").protocols["gene-gene"]
        assert "Not on record here: the figures" in table.about["gene-gene"]
        assert "revision " in table.source and table.source.startswith("arXiv 2503.20158, Table 6; ")
        assert {c.verdict for c in compare(table, {})} == {"not here"}
        recall = {s: {"recall": 0.5} for s in sources}
        result = Result("gene-gene", {}, {"sources": recall}, {}, ())
        cells = compare(table, {(model, "gene-gene"): result})
        assert {(c.published, c.computed, c.difference, c.verdict) for c in cells} == {
            (None, 0.5, None, NOT_ON_RECORD)
        }


def test_what_is_computed_again_has_cards_and_what_is_only_read_is_second_hand() -> None:
    assert ALL[: len(NAMES)] == NAMES
    for name in ALL:
        table = load(name)
        assert (name in NAMES) is not table.second_hand
        if name in NAMES:
            assert set(table.models) <= set(card_names()) and all(table.protocols.values())
        else:
            assert not any(table.protocols.values())
            assert all("Not known in detail" in told for told in table.about.values())


def test_supervision_is_said_in_the_words_of_a_card() -> None:
    assert set(get_args(published.Supervision)) == {*get_args(card.Supervision), "unknown"}
    told = {model: word for name in ALL for model, word in load(name).supervision.items()}
    others = {model: word for model, word in told.items() if word != "zero-shot"}
    assert others == {"CellCLIP": "perturbation-labels", "CWA-MSN": "perturbation-labels"}


def test_table_4_agrees_with_itself_and_with_the_cards() -> None:
    """Every z is (m - b) / sqrt(s_m^2 + s_b^2) of the printed means and spreads, up to their rounding."""
    held = figures("table4")
    for quantity, at in (("average_precision", "max"), ("energy_distance", None)):
        random = held["random", quantity, at]
        for model in load("table4").models:
            own, z = held[model, quantity, at], held[model, f"{quantity}_z", at]
            assert own.spread is not None and random.spread is not None
            expected = (own.value - random.value) / math.hypot(own.spread, random.spread)
            assert z.value == pytest.approx(expected, abs=0.07) and z.spread is None
            assert own.spread_kind == ("sd" if at else "MAD")
    for model in load("table4").models:
        (on_card,) = load_card(model).published
        own = held[model, "average_precision", "max"]
        assert (on_card.value, on_card.sd, on_card.grade) == (own.value, own.spread, load("table4").grade)


def test_some_figures_as_they_stand_in_print() -> None:
    table6, notebook = figures("table6"), figures("notebook")
    assert [table6["phenom-2", "recall", s].value for s in ("CORUM", "HuMAP", "Reactome", "StringDB")] == [
        0.486, 0.553, 0.197, 0.415,
    ]  # fmt: skip
    doses = ("0.0025", "0.01", "0.025", "0.1", "0.25", "1", "2.5", "10", "max")
    assert [notebook["openphenom", "average_precision", d].value for d in doses] == [
        0.239, 0.236, 0.252, 0.263, 0.257, 0.259, 0.275, 0.258, 0.266,
    ]  # fmt: skip
    assert [notebook["openphenom", "auroc", d].value for d in doses] == [
        0.517, 0.513, 0.543, 0.544, 0.528, 0.536, 0.540, 0.537, 0.541,
    ]  # fmt: skip
    assert load("notebook").protocols["drug-target"]["seeds"] == 10


def test_the_second_hand_figures() -> None:
    table = load("arxiv-2411.02572")
    assert {f.quantity for f in table.figures()} == {"average_precision", "average_precision_z"}
    values = {f.model: f.value for f in table.figures() if f.quantity == "average_precision"}
    z = {f.model: f.value for f in table.figures() if f.quantity == "average_precision_z"}
    assert {model: (values[model], z.get(model)) for model in values} == {
        "random": (0.222, None),
        "cellprofiler": (0.274, 2.55),
        "CA-MAE-S/16": (0.273, 2.90),
        "MAE-L/8 RPI-93M": (0.290, 3.77),
        "MAE-L/8 RPI-93M (trimmed)": (0.299, 4.49),
        "MAE-G/8 PP-16M": (0.302, 4.79),
        "MAE-G/8 PP-16M (trimmed)": (0.309, 5.38),
    }
    assert table.source == "arXiv 2411.02572, Table 3"
    for name, model, value in (("2506.06290", "CellCLIP", 0.354), ("2509.19896", "CWA-MSN", 0.386)):
        (figure,) = load(f"arxiv-{name}").figures()
        assert figure == Figure(model, "gene-gene", "recall", "CORUM", value, None, None)
        assert load(f"arxiv-{name}").source == f"arXiv {name}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('grade = "author-reported"', 'grade = "rumour"', "grade is 'rumour'"),
        ("value = 0.214", 'value = ".214"', "groups.0.figures.0.value is '.214'"),
        ("value = 0.214", "value = nan", "groups.0.figures.0.value is nan"),
        ("spread = 0.003", "spread = -0.003", "groups.0.figures.0.spread is -0.003"),
        ('suite = "drug-target"', 'suit = "drug-target"', "groups.0.suit"),
        ("name =", "name", "not TOML"),
        ('phenom-1 = "zero-shot"\n', "", "broken.toml: supervision says nothing of 'phenom-1'"),
        ('phenom-1 = "zero-shot"', 'phenom-1 = "none"', "supervision.phenom-1 is 'none'"),
        ("\nsignal =", "\ngene-gene =", "broken.toml: about says nothing of 'signal'"),
        ("value = 0.214, ", "", "a figure of 'random' has no value; the grade is author-reported"),
        (
            'grade = "author-reported"',
            'grade = "not on record"',
            "a figure of 'random' has a value; the grade",
        ),
        ("\n[about]", "second_hand = true\n[about]", "its grade is transcribed and not author-reported"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (FOLDER / "table4.toml").read_text("utf-8")
    assert old in text
    (tmp_path / "broken.toml").write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(DataError, match=r"broken\.toml: ") as raised:
        read(tmp_path / "broken.toml")
    assert message in str(raised.value)


def test_an_unknown_table() -> None:
    with pytest.raises(UsageError, match="no published table 'table5'; there are table4, table6, notebook"):
        load("table5")


def drug_target(**row: float | None) -> Result:
    protocol = {**load("table4").protocols["drug-target"], "map": {"align": "pca-cs"}}
    del protocol["align"]
    return Result("drug-target", protocol, {"by_dose": {"max": row}}, {}, ())


def small(**changes: Any) -> Published:
    """Table 4 without signal, and without differences."""
    raw = read_toml(FOLDER / "table4.toml")
    groups = [g for g in raw["groups"] if g["suite"] == "drug-target"]
    return Published.model_validate({**raw, "groups": groups, "differences": {}, **changes})


def test_cells() -> None:
    result = drug_target(
        average_precision=0.2929,
        average_precision_sd=0.01,
        average_precision_z=None,
        average_precision_random=0.2081,
        average_precision_random_sd=0.004,
    )
    results = {("openphenom", "drug-target"): result, ("random", "drug-target"): result}
    cells = {(c.model, c.quantity): c for c in compare(small(), results)}
    own = cells["openphenom", "average_precision"]
    assert (own.published, own.published_spread, own.spread) == (0.277, 0.016, "sd")
    assert (own.computed, own.computed_spread, own.verdict, own.protocol) == (0.2929, 0.01, "within", "same")
    assert own.difference == pytest.approx(0.0159) and own.in_spreads == pytest.approx(0.0159 / 0.016)
    random = cells["random", "average_precision"]
    assert (random.computed, random.computed_spread, random.verdict) == (0.2081, 0.004, "outside")
    assert random.in_spreads == pytest.approx(-0.0059 / 0.003)
    absent = cells["phenom-2", "average_precision"]
    assert (absent.computed, absent.difference, absent.protocol) == (None, None, None)
    assert absent.verdict == "not here"
    assert cells["openphenom", "average_precision_z"].verdict == "undefined"
    z = cells["random", "average_precision_z"]
    assert (z.computed, z.difference, z.in_spreads, z.verdict) == (0.0, 0.0, None, "no published spread")


def test_a_table_of_unknown_protocol_is_not_computed() -> None:
    with pytest.raises(UsageError, match="can only be read"):
        run(load("arxiv-2411.02572"), "cellprofiler", None, None, None)  # type: ignore[arg-type]


def test_a_deviation_is_told_by_its_number() -> None:
    result = drug_target(average_precision=0.3)
    table = small(differences={"drug-target": [5, "moon phase"]})
    (told,) = {c.protocol for c in compare(table, {("openphenom", "drug-target"): result})} - {None}
    assert told == "drug-target deviation 5; moon phase"
    with pytest.raises(ValueError, match="drug-target has no deviation 99"):
        small(differences={"drug-target": [99]})


def test_what_differs_between_protocols_is_told() -> None:
    result = drug_target(average_precision=0.3)
    result.protocol.update(seeds=10, map={"align": "tvn"})
    table = small(differences={"drug-target": ["moon phase"]})
    cells = compare(table, {("openphenom", "drug-target"): result})
    told = {c.protocol for c in cells if c.model == "openphenom"}
    assert told == {"align pca-cs there, tvn here; seeds 100 there, 10 here; moon phase"}
    document = to_dict(table, {("openphenom", "drug-target"): result})
    assert document["protocols"]["drug-target"]["seeds"] == 100
    assert document["computed_protocols"]["openphenom drug-target"]["seeds"] == 10
