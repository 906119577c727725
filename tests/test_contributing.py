"""CONTRIBUTING.md is true: its table is the one that is held, and its recipes work and touch what they name.

Each recipe is followed in a copy of the package, which is run as a user would run it: in a process of its
own (forked with the libraries imported, see `tests.warm`), on the demo's data. The copy keeps the house's
rules, too (`tests.test_architecture`).
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from polaris_rxrx.baselines import predict
from polaris_rxrx.maps.build import build_map
from polaris_rxrx.maps.store import load_map
from polaris_rxrx.predictions import read_predictions
from polaris_rxrx.task import load_task
from polaris_rxrx.wells.design import Design
from polaris_rxrx.wells.memory import read_wells
from tests.conftest import HOME, ROOT
from tests.test_architecture import APART, LAYERS, LINES, PACKAGE, modules, place, problems
from tests.warm import Warm

PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")

# `python -m polaris_rxrx` in the folder that the first word names.
MAIN = f"""
import runpy, sys
root = sys.path[0] = sys.argv.pop(1)
import {PACKAGE}
assert {PACKAGE}.__file__.startswith(root + "/")
runpy.run_module({PACKAGE!r}, run_name="__main__", alter_sys=True)
"""


class Copy:
    """The package in a folder of its own: what is done to it, and what it says then."""

    def __init__(self, root: Path, demo: Path, lukewarm: Warm, patch: pytest.MonkeyPatch) -> None:
        self.root, self.demo, self.lukewarm = root, demo, lukewarm
        self.touched: set[str] = set()
        shutil.copytree(
            HOME / PACKAGE, root / PACKAGE, ignore=shutil.ignore_patterns("_baselines", "_datasets")
        )
        for folder in ("baselines", "datasets"):  # a wheel has them inside of the package
            shutil.copytree(ROOT / folder, root / folder)
        patch.chdir(root)
        patch.setenv("POLARIS_RXRX_TASK", str(demo / "task"))
        patch.setenv("POLARIS_RXRX_DATA", str(demo / "data"))

    def add(self, name: str, text: str) -> None:
        """A file that was not there."""
        assert not (self.root / name).exists(), name
        (self.root / name).write_text(text, "utf-8")
        self.touched.add(name)

    def change(self, name: str, old: str, new: str) -> None:
        """One place of a file that was."""
        text = (self.root / name).read_text("utf-8")
        assert text.count(old) == 1, (
            f"{name} has {text.count(old)} times {old!r}: the recipe wants another place"
        )
        (self.root / name).write_text(text.replace(old, new), "utf-8")
        self.touched.add(name)

    def run(self, *words: str) -> str:
        """What `polaris-rxrx` of the copy prints, in its folder and on the demo's task and data."""
        process = self.lukewarm.start(MAIN, [str(self.root), *words], apart=True)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        return out

    def follows(self, recipe: str, name: str) -> None:
        """Nothing was touched but the files that the recipe lists, each of them was, and the house stands."""
        (section,) = re.findall(rf"^## To add {recipe}, touch\n(.*?)(?=^## |^`tests/|\Z)", PAGE, re.M | re.S)
        listed = [path.replace("NAME", name) for path in re.findall(r"^- `([^`]+)`:", section, re.M)]
        assert 1 <= len(listed) <= (4 if recipe == "a suite" else 3)  # a suite has a document, too
        assert self.touched == set(listed)
        assert problems(self.root) == []


@pytest.fixture
def copy(tmp_path: Path, demo: Path, lukewarm: Warm, monkeypatch: pytest.MonkeyPatch) -> Copy:
    return Copy(tmp_path, demo, lukewarm, monkeypatch)


def test_every_recipe_is_followed_here() -> None:
    recipes = re.findall(r"^## To add (.+), touch$", PAGE, re.M)
    assert recipes == ["a baseline", "a dataset", "an aligner", "a correction", "a suite", "a command"]
    text = Path(__file__).read_text("utf-8")
    assert all(f'copy.follows("{recipe}"' in text for recipe in recipes)


def test_a_baseline(copy: Copy) -> None:
    page = (ROOT / "baselines" / "README.md").read_text("utf-8")
    (card,) = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    copy.add("baselines/my-model.toml", card.replace("768", "384"))
    embeddings = next((copy.demo / "data").glob("OpenPhenom*"))
    done = copy.run("baseline", "my-model", "--embeddings", str(embeddings))
    assert "predictions of My model, epoch 40" in done
    # The card says of these embeddings what OpenPhenom's says, so the demo's predictions come out.
    assert (copy.root / "my-model.csv").read_bytes() == (copy.demo / "openphenom.csv").read_bytes()
    copy.follows("a baseline", "my-model")


def test_a_dataset(copy: Copy) -> None:
    """The page's card, and the three tables it joins and aligns."""
    page = (ROOT / "datasets" / "README.md").read_text("utf-8")
    (card,) = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    copy.add("datasets/my-screen.toml", card)
    rng = np.random.default_rng(0)
    kinds = {"R0": ("", "negcon"), "R1": ("PLK1", "poscon"), "R2": ("", "empty")}
    reagents = [(r, *kinds.get(r, (f"GENE{i}", "trt"))) for i, r in enumerate(f"R{i}" for i in range(12))]
    wells, rows = ["plate,well,run,reagent"], list[str]()
    for plate in range(1, 5):
        for i in range(96):
            place = f"{'ABCDEFGH'[i // 12]}{i % 12 + 1:02d}"
            wells.append(f"P{plate},{place},run{plate % 2},R{0 if i < 24 else i % 12}")
            rows.append(",".join([f"P{plate}_{place}", *(f"{v:.4f}" for v in rng.normal(size=6))]))
    data = copy.root / "mine"
    data.mkdir()
    (data / "wells.csv").write_text("\n".join([*wells, ""]))
    (data / "reagents.csv").write_text("\n".join(["reagent,symbol,kind", *map(",".join, reagents), ""]))
    header = ",".join(["well_id", *(f"feature_{i}" for i in range(6))])
    (data / "features.csv").write_text("\n".join([header, *rows, ""]))
    (copy.root / "pairs.txt").write_text("entity1,entity2\nGENE3,GENE4\nGENE5,PLK1\n")
    assert "my-screen  Our knock-outs, spring" in copy.run("dataset", "list")
    words = ["my-screen", "--data", "mine", "--embeddings", "mine/features.csv"]
    found = json.loads(copy.run("dataset", "check", *words, "--json"))
    assert (found["wells"], found["batches"], found["problems"]) == (384 - 24, 2, [])
    assert found["left_out"] == {"empty wells": 24} and found["perturbations"] == {"CRISPR": 10}
    evaluate = ["evaluate", "gene-gene", "--dataset", *words, "--relations", "pairs.txt", "--json"]
    result = json.loads(copy.run(*evaluate))["gene-gene"]
    assert result["protocol"]["inputs"]["dataset"] == "my-screen" and result["summary"]["n_genes"] == 10
    copy.follows("a dataset", "my-screen")


def test_an_aligner(copy: Copy) -> None:
    """Centre on the median, scale by the absolute deviation from it."""
    align = f"{PACKAGE}/maps/align.py"
    names = f"{PACKAGE}/maps/names.py"
    copy.change(names, '"center-scale-all", "none"]', '"center-scale-all", "median", "none"]')
    copy.change(
        align,
        "    mean = z.mean(axis=0)\n    z -= mean\n",
        '    if shared.aligner == "median":\n'
        "        median = np.median(z, axis=0)\n"
        "        return Affine(median, None, 1 / np.maximum(np.median(np.abs(z - median), axis=0), 1e-9))\n"
        "    mean = z.mean(axis=0)\n    z -= mean\n",
    )
    assert "pca-cs|tvn|center-scale|center-scale-all|median|none" in copy.run("baseline", "--help")
    copy.run("baseline", "openphenom", "--align", "median", "--save-map", "map.parquet")
    task = load_task(copy.demo / "task")
    median = read_predictions(copy.root / "openphenom.csv", task).values
    wells = read_wells(*(next((copy.demo / "data").glob(n)) for n in ("metadata*", "OpenPhenom*")))
    mean = predict(task, build_map(wells, "center-scale")).values
    assert 0.9 < np.corrcoef(median, mean)[0, 1] < 0.9999, "much like the one it was made from"
    assert load_map(copy.root / "map.parquet").protocol["align"] == "median"
    copy.follows("an aligner", "median")


SHRUNK = '''\
def by_shrunk_position(wells: WellSource) -> CorrectedWells:
    """The wells less the mean of their position, the less so the fewer wells it is of."""
    found = by_position(wells)
    means = found.means
    mean = means.mean * (means.n_wells / (means.n_wells + 10))[:, None]
    done = {**found.done, "correction": "shrunk-position"}
    return replace(found, means=replace(means, mean=mean), done=done)


'''


def test_a_correction(copy: Copy) -> None:
    """Well position, by means that are drawn to nothing where few wells lie."""
    copy.change(
        f"{PACKAGE}/maps/names.py", '"well-position", "chrom', '"well-position", "shrunk-position", "chrom'
    )
    correct = f"{PACKAGE}/maps/correct.py"
    copy.change(correct, "def _lost(", f"{SHRUNK}def _lost(")
    copy.change(
        correct,
        '{"well-position": by_position}',
        '{"well-position": by_position, "shrunk-position": by_shrunk_position}',
    )
    words = ["--align", "center-scale", "--correct", "shrunk-position", "--save-map", "map.parquet"]
    copy.run("baseline", "openphenom", *words)
    metadata, table = (next((copy.demo / "data").glob(n)) for n in ("metadata*", "OpenPhenom*"))
    wells = read_wells(metadata, table, design=Design(positions=True))
    x = wells.x.astype(np.float64)
    for address in np.unique(wells.position):
        here = wells.position == address
        x[here] -= wells.x[here].sum(axis=0, dtype=np.float64) / (here.sum() + 10)
    found = load_map(copy.root / "map.parquet")
    expected, plain = (build_map(w, "center-scale") for w in (replace(wells, x=x), wells))
    assert np.allclose(found.x, expected.x, atol=1e-5) and not np.allclose(found.x, plain.x, atol=0.1)
    assert [c["correction"] for c in found.protocol["corrections"]] == ["shrunk-position"]
    copy.follows("a correction", "shrunk-position")


SUITE = '''\
"""How long a map's rows are."""

from __future__ import annotations

import numpy as np

from polaris_rxrx.maps.build import Map
from polaris_rxrx.suites.documents import LengthsSummary
from polaris_rxrx.suites.result import Result, versions


def evaluate(map_: Map) -> Result:
    """Lengths (n,) of the rows of a map (n, d), and their mean."""
    lengths = np.linalg.norm(map_.x, axis=1)
    tables = {"lengths": {"perturbation": list(map_.perturbations.name), "length": lengths.tolist()}}
    summary: LengthsSummary = {"n": len(map_), "mean": float(lengths.mean())}
    return Result("lengths", {"versions": versions()}, summary, tables, ())
'''

LENGTHS = '''\
class LengthsSummary(TypedDict):
    """Of all rows of a map."""

    n: int
    mean: float


# ---- the documents


class LengthsDocument(TypedDict):
    """How long are a map's rows?"""

    schema_version: Literal[1]
    notes: list[str]
    suite: Literal["lengths"]
    protocol: Stamped
    summary: LengthsSummary
'''


def test_a_suite(copy: Copy) -> None:
    copy.add(f"{PACKAGE}/suites/lengths.py", SUITE)
    suites = f"{PACKAGE}/suites/run.py"
    copy.change(suites, 'SUITES = ("drug-target"', 'SUITES = ("lengths", "drug-target"')
    copy.change(suites, '    make = {"drug-target"', '    make = {"lengths": _lengths, "drug-target"')
    copy.change(
        suites,
        "def _drug_target(",
        "def _lengths(data: Path, by: str | None, options: dict[str, Any]) -> Job:\n"
        "    from polaris_rxrx.suites import lengths\n\n"
        "    return lambda source, progress: [lengths.evaluate(_map(source))]\n\n\n"
        "def _drug_target(",
    )
    copy.change(
        f"{PACKAGE}/cli/_tables.py",
        '    "drug-target": _drug_target,\n',
        '    "drug-target": _drug_target,\n'
        '    "lengths": lambda result: ("", table(["mean"], [[number(result.summary["mean"])]])),\n',
    )
    documents = f"{PACKAGE}/suites/documents.py"
    copy.change(documents, "# ---- the documents\n", LENGTHS)
    copy.change(
        documents,
        '    "Evaluation",\n    {\n',
        '    "Evaluation",\n    {\n        "lengths": LengthsDocument,\n',
    )
    done = copy.run("evaluate", "lengths", "--model", "openphenom", "--out", "results")
    document = json.loads((copy.root / "results" / "lengths.json").read_text("utf-8"))
    assert document["summary"]["mean"] > 0
    rows = (copy.root / "results" / "lengths_lengths.csv").read_text("utf-8").splitlines()
    assert len(rows) == document["summary"]["n"] + 1 > 100
    assert f"\n{document['summary']['mean']:.4f}\n" in done
    schema = Draft202012Validator(json.loads(copy.run("schema", "evaluate")))
    assert schema.is_valid({"lengths": document}) and not schema.is_valid({"lengths": {**document, "n": 1}})
    copy.follows("a suite", "lengths")


COMMAND = '''\
"""`polaris-rxrx genes`."""

from __future__ import annotations

from pathlib import Path

import click

from polaris_rxrx.cli.options import task_option


@click.command()
@task_option
def command(task: Path) -> None:
    """Say how many genes the task has."""
    from polaris_rxrx.task import load_task

    click.echo(f"{len(set(load_task(task).gene_symbol))} genes")
'''


def test_a_command(copy: Copy) -> None:
    copy.add(f"{PACKAGE}/cli/genes.py", COMMAND)
    copy.change(
        f"{PACKAGE}/cli/__init__.py", "COMMANDS = {\n", 'COMMANDS = {\n    "genes": "Count the genes.",\n'
    )
    assert re.search(r"^  genes +Count the genes\.$", copy.run("--help"), re.M)
    test_features = (copy.demo / "task" / "test_features.csv").read_text("utf-8").splitlines()
    genes = {line.rpartition(",")[2] for line in test_features[1:]}
    assert copy.run("genes") == f"{len(genes)} genes\n"
    copy.follows("a command", "genes")


def test_the_table_is_the_one_that_is_held() -> None:
    """Every place that is there, in the order that `tests.test_architecture` reads imports by."""
    there = {place(name) for name in modules(HOME)}
    held = [[name for name in row if name in there] for row in LAYERS]
    said = [re.findall(r"`(\w+)`", line) for line in re.findall(r"^\| (?!floor|---).*\|$", PAGE, re.M)]
    assert said == [row for row in held if row != ["__main__"]]
    (apart,) = (line for line in PAGE.splitlines() if line.startswith("| none imports another"))
    assert set(re.findall(r"`(\w+)`", apart)) == APART & there
    assert f"No module is longer than {LINES} lines" in PAGE


def test_the_files_it_links_to_are_there() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", PAGE)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target
