"""`--batch`, `--controls`, `--components`, `--correct`, and the same in a card, against the library."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx import cli
from polaris_rxrx.cards import Recipe, load_card
from polaris_rxrx.errors import DataError
from polaris_rxrx.maps.align import AlignBy, Alignment
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.maps.correct import by_arm, by_position
from polaris_rxrx.maps.store import load_map, save_map
from polaris_rxrx.suites.activity import evaluate_activity
from polaris_rxrx.suites.gene_gene import evaluate_gene_gene
from polaris_rxrx.suites.relations import read_relations
from polaris_rxrx.suites.signal import evaluate_signal
from polaris_rxrx.task import MetricSpec, Task
from polaris_rxrx.wells.design import Design
from polaris_rxrx.wells.memory import read_wells
from tests.wells_factory import PLAN, Group, small

Run = Callable[..., tuple[int, str, str]]
FILES = ("metadata.csv", "embeddings.parquet")
WELLS = ["--embeddings", "embeddings.parquet", "--metadata", "metadata.csv"]
MORE = tuple(
    Group(f"gene-00{e}", name, n) for e in (1, 2) for name, n in (("KRAS", 6), ("NRAS", 6), ("ctrl", 60))
)
MORE = (*MORE, *(Group(f"compound-00{e}", "ctrl", 60, "0.1") for e in (1, 2)), Group("gene-003", "ctrl", 60))
ALL = [
    "--batch",
    "operator",
    "--controls",
    "ctrl,EMPTY_control",
    "--components",
    "4",
    "--correct",
    "well-position",
]
DESIGN = Design("operator", ("ctrl", "EMPTY_control"), positions=True)
CARD = """name = "mine"
title = "My model"
[recipe]
align = ["pca-cs"]
batch = "operator"
controls = ["ctrl", "EMPTY_control"]
components = 4
correct = ["well-position"]
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """A command in a folder with wells on four plates an experiment, of two operators, and a task."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        k = frame.address.str[1:].astype(int)
        return frame.assign(
            plate=(k % 4 + 1).astype(str),
            address="A" + (k % 12 + 1).astype(str),
            operator=(k % 2).map({0: "Ann", 1: "Bo"}),
        )

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(tmp_path))
    small(tmp_path, plan=(*PLAN, *MORE), change_metadata=change)
    Path("mine.toml").write_text(CARD)
    Path("known.txt").write_text("a,b\nTP53,BRCA1\nNA,TP53\nKRAS,NRAS\n")
    Path("task").mkdir()
    Task(
        inputs={"treatment": ["aspirin", "aspirin"], "gene_symbol": ["TP53", "KRAS"]},
        active=np.array([0.0, 1.0]),
        main_metric="pr_auc",
        metrics=(MetricSpec(name="pr_auc", label="pr_auc", group_by="treatment", on_error="ignore"),),
        source="test",
    ).save(Path("task"))

    def call(*words: str) -> tuple[int, str, str]:
        code = cli.run([*words])
        return code, *capfd.readouterr()

    return call


@pytest.mark.parametrize(
    ("words", "design", "align_by"),
    [
        (["--batch", "plate"], Design("plate"), "pca-cs"),
        (["--batch", "operator", "--align", "tvn"], Design("operator"), "tvn"),
        (["--controls", "ctrl"], Design(controls=("ctrl",)), "pca-cs"),
        (["--align", "center-scale-all"], Design(), "center-scale-all"),
        (["--components", "3"], Design(), Alignment("pca-cs", 3)),
        (["--align", "tvn", "--components", "0.8"], Design(), Alignment("tvn", 0.8)),
        (["--correct", "well-position"], Design(positions=True), "pca-cs"),
        (ALL, DESIGN, Alignment("pca-cs", 4)),
        (["--model", "mine.toml"], DESIGN, Alignment("pca-cs", 4)),
        (["--model", "mine.toml", "--align", "center-scale"], DESIGN, "center-scale"),
        (
            ["--model", "mine.toml", "--correct", "none"],
            Design("operator", DESIGN.controls),
            Alignment("pca-cs", 4),
        ),
    ],
)
def test_every_option_is_what_the_library_does(
    run: Run, words: list[str], design: Design, align_by: AlignBy
) -> None:
    wells = read_wells(*FILES, design=design)
    given = by_position(wells) if design.positions else wells
    map_ = build_map(given, align_by)
    code, out, err = run("evaluate", "gene-gene", *WELLS, "--relations", "known.txt", *words, "--json")
    assert code == 0, err
    found = json.loads(out)["gene-gene"]
    expected = evaluate_gene_gene(map_, {"known": read_relations("known.txt")})
    recalls = [s["sources"]["known"]["recall"] for s in (found["summary"], expected.summary)]
    assert recalls[0] == recalls[1]
    assert found["protocol"]["map"] == json.loads(json.dumps(map_.protocol))
    assert found["protocol"]["inputs"].get("batch", "experiment") == design.batch
    assert found["protocol"]["inputs"].get("controls", []) == list(design.controls)
    assert ("Well positions corrected: 12, of " in err) == design.positions
    assert ("components kept, which hold" in err) == isinstance(align_by, Alignment)

    name = ["mine.toml"] if "--model" in words else ["openphenom"]
    words = [w for w in words if w not in ("--model", "mine.toml")]
    if name == ["openphenom"]:
        Path("openphenom-6.toml").write_text('name = "six"\ntitle = "Six features"\n')
        name = ["openphenom-6.toml"]
    code, _, err = run("baseline", *name, *WELLS, "--save-map", "map.parquet", "--out", "p.csv", *words)
    assert code == 0, err
    saved = load_map("map.parquet")
    assert np.array_equal(saved.x, map_.x) and saved.perturbations.name == map_.perturbations.name
    assert json.loads(json.dumps(map_.protocol)).items() <= saved.protocol.items()


@pytest.mark.parametrize("suite", ["signal", "activity"])
def test_suites_on_wells_take_them_too(run: Run, suite: str) -> None:
    code, out, err = run("evaluate", suite, *WELLS, *ALL, "--json")
    assert code == 0, err
    found = json.loads(out)[suite]
    wells = by_position(read_wells(*FILES, design=DESIGN))
    how = Alignment("pca-cs", 4)
    if suite == "signal":
        expected = evaluate_signal(wells, align_by=how)
    else:
        expected = evaluate_activity(wells, align_by=how)
    inputs = found["protocol"].pop("inputs")
    assert found == expected.to_dict()
    assert found["protocol"]["align"] == "pca-cs" and found["protocol"]["components"] == 4
    assert inputs["corrections"][0]["correction"] == "well-position"
    plain = (
        evaluate_signal(read_wells(*FILES)) if suite == "signal" else evaluate_activity(read_wells(*FILES))
    )
    assert plain.summary != expected.summary


def test_both_corrections(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polaris_rxrx.maps.correct.by_arm.__kwdefaults__", {"least": 2})
    Path("arms.csv").write_text("gene,arm\nTP53,17p\nBRCA1,17q\nKRAS,17q\nNRAS,17q\n")
    arms = {"TP53": "17p", "BRCA1": "17q", "KRAS": "17q", "NRAS": "17q"}
    wells = by_position(read_wells(*FILES, design=Design(positions=True)))
    expected = by_arm(build_map(wells), arms)
    for correct in ("well-position,chromosome-arm", "chromosome-arm, well-position", "well-position"):
        words = ["--correct", correct, "--gene-arms", "arms.csv", "--relations", "known.txt", "--json"]
        code, out, err = run("evaluate", "gene-gene", *WELLS, *words)
        assert code == 0, err
        found = json.loads(out)["gene-gene"]
        assert [c["correction"] for c in found["protocol"]["map"]["corrections"]] == [
            "well-position",
            "chromosome-arm",
        ]
        own = evaluate_gene_gene(expected, {"known": read_relations("known.txt")})
        assert found["summary"]["sources"]["known"]["recall"] == own.summary["sources"]["known"]["recall"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--batch", "weekday"], 1, "no column 'weekday', which --batch names; there are 'well_id'"),
        (
            ["--controls", "ctlr"],
            1,
            "no well's gene or treatment is 'ctlr', which --controls names; there are",
        ),
        (["--controls", "ctrl,"], 2, "--controls 'ctrl,': names with a comma between them were expected"),
        (["--controls", "ctrl,ctrl"], 2, "names, each once, were expected"),
        (["--controls", "ONCE"], 1, "5 experiments have fewer than 2 ONCE wells"),
        (["--controls", 'BRCA1,"odd, ""name"" ä "'], 1, 'have fewer than 2 BRCA1, odd, "name" ä  wells'),
        (["--components", "0"], 2, "--components 0: expected a whole number from 1, or a share of variance"),
        (["--components", "1.5"], 2, "--components 1.5: expected a whole number from 1"),
        (["--components", "most"], 2, "--components most: expected a whole number from 1"),
        (["--components", "7"], 2, "components are 7, and the control wells vary in 6 directions"),
        (["--components", "2", "--align", "none"], 2, "components mean nothing for none"),
        (
            ["--correct", "plates"],
            2,
            "'plates' is no correction; there are well-position, chromosome-arm, or no",
        ),
        (["--correct", "well-position,well-position"], 2, "'well-position' is there twice"),
        (["--correct", "none,well-position"], 2, "'none' is no correction; there are"),
        (["--correct", ""], 2, "--correct: expected some of well-position, chromosome-arm, or none"),
        (["--correct", "chromosome-arm"], 2, "chromosome-arm correction needs --gene-arms"),
    ],
)
def test_what_cannot_be(run: Run, words: list[str], code: int, message: str) -> None:
    found, out, err = run("evaluate", "gene-gene", *WELLS, "--relations", "known.txt", *words)
    assert (found, out) == (code, "") and message in " ".join(err.split(" "))


def test_beside_a_map_they_mean_nothing(run: Run) -> None:
    save_map(build_map(read_wells(*FILES)), "map.parquet")
    for name, value in (("batch", "plate"), ("controls", "ctrl"), ("components", "3")):
        code, _, err = run("evaluate", "gene-gene", "--map", "map.parquet", f"--{name}", value)
        assert code == 2 and f"--{name} means nothing for a saved map (--map)" in err
    code, _, err = run("evaluate", "gene-gene", "--map", "map.parquet", "--correct", "well-position")
    assert (
        code == 2 and "--correct well-position needs wells, and a map (--map) holds only their means" in err
    )
    code, _, err = run("evaluate", "gene-gene", "--map", "map.parquet", "--correct", "chromosome-arm")
    assert code == 2 and "chromosome-arm correction needs --gene-arms" in err
    for word in ALL[::2]:
        code, _, err = run("baseline", "random", word, ALL[ALL.index(word) + 1])
        assert code == 2 and "looks at no wells" in err and word in err


def test_a_screen_by_its_card(run: Run) -> None:
    """What the card calls plate and address; its batch is the default."""
    Path("screen.toml").write_text(
        'name = "mine"\ntitle = "Mine"\nlicence = "ours"\n'
        '[wells]\nfile = "metadata.csv"\nid = "well_id"\nbatch = ["experiment_name", "operator"]\n'
        'plate = "plate"\naddress = "address"\n'
        '[[sides]]\ntype = "CRISPR"\ncolumn = "perturbation_type"\nname = "gene"\n'
        '[[sides]]\ntype = "COMPOUND"\ncolumn = "perturbation_type"\nname = "treatment"\n'
        'dose = "concentration"\n'
        '[controls]\ncolumns = ["gene", "treatment"]\nnegative = ["ctrl"]\n'
    )
    words = ["evaluate", "gene-gene", "--dataset", "screen.toml", "--embeddings", "embeddings.parquet"]
    words += ["--relations", "known.txt", "--json"]
    for extra, n in (([], 10), (["--batch", "operator"], 2), (["--batch", "plate", "--align", "none"], 20)):
        code, out, err = run(*words, *extra, "--correct", "well-position", "--controls", "EMPTY_control")
        assert code == 0, err
        protocol = json.loads(out)["gene-gene"]["protocol"]
        assert protocol["map"]["n_experiments"] == n and protocol["map"]["control"] == ["EMPTY_control"]
        assert protocol["inputs"]["dataset"] == "mine"
        assert protocol["map"]["corrections"][0]["n_positions"] == 12


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('align = ["pca-cs", "tvn"]', "recipe.align is ['pca-cs', 'tvn']"),
        ("align = []", "recipe.align is []"),
        ('align = "pca"', "recipe.align is 'pca'"),
        ("components = 0", "recipe.components is 0: expected a whole number from 1, or a share"),
        ('components = "all"', "recipe.components is 'all': expected a whole number"),
        ("components = 1.0", "recipe.components is 1.0: expected a whole number from 1"),
        ('align = "none"\ncomponents = 2', "recipe: components mean nothing for none"),
        ('batch = ""', "recipe.batch is ''"),
        ('controls = ["A", "A"]', "'A' stands twice"),
        ('correct = ["plates"]', "recipe.correct.0 is 'plates'"),
        ('correct = ["well-position", "well-position"]', "'well-position' stands twice"),
    ],
)
def test_cards_that_cannot_be(tmp_path: Path, lines: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "mine"\ntitle = "Mine"\n[recipe]\n{lines}\n')
    with pytest.raises(DataError) as caught:
        load_card(path)
    assert message in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("one", [{"align": "tvn", "correct": "well-position", "controls": "ctrl"}])
def test_a_list_of_one_and_the_one_are_the_same(one: dict[str, Any]) -> None:
    many = {name: [value] for name, value in one.items()}
    assert Recipe.model_validate(one) == Recipe.model_validate(many)
    assert Recipe.model_validate(one).design == Design("experiment", ("ctrl",), positions=True)
    assert Recipe().design == Design() and Recipe().alignment == "pca-cs"
