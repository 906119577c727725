"""A model's report: what it takes from results, what it says of bad ones, and its page in a browser."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import recall_score

from polaris_rxrx.cli import _finished, run
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.report import model_figures
from polaris_rxrx.report.model import ModelMaterial, gather_model, named, read_model_results
from polaris_rxrx.report.model_page import render_model, write_model_page
from polaris_rxrx.report.model_paired import pair_up
from polaris_rxrx.report.model_parts import beside
from polaris_rxrx.suites import stored
from polaris_rxrx.suites.result import Result
from tests.report.browser import CONTRAST, visit

HOSTILE = "<img src=x onerror=alert(1)>"
Capture = pytest.CaptureFixture[str]


def result_of(suite: str, protocol: dict[str, Any], summary: dict[str, Any], **tables: Any) -> Result:
    inputs = {"card": "openphenom", "embeddings_sha256": "a" * 64, "metadata_sha256": "b" * 64}
    return Result(suite, {**protocol, "inputs": inputs}, summary, tables, ())


def drawn(seed: int, *, seeds: int = 5, sources: tuple[str, ...] = ("CORUM", HOSTILE)) -> dict[str, Result]:
    """Results of every section of a report, drawn at random, shaped as the suites shape them."""
    rng = np.random.default_rng(seed)
    doses, compounds = ("1", "10", "max"), [f"compound {i}" for i in range(12)]
    by_seed = {d: rng.random((2, seeds)) for d in doses}
    rows = {}
    for d in doses:
        ap, auroc = by_seed[d]
        rows[d] = {"n_scored": len(compounds)}
        for name, values in (("average_precision", ap), ("auroc", auroc)):
            rows[d] |= {name: values.mean(), f"{name}_sd": values.std(), f"{name}_random": 0.2}
            rows[d] |= {f"{name}_random_sd": 0.01, f"{name}_z": 1.5}
    drug = result_of(
        "drug-target",
        {
            "by": "compound",
            "seeds": seeds,
            "active_nM": 1000.0,
            "inactive_nM": 10000.0,
            "similarity": "abs-cosine",
            "map": {"align": "pca-cs", "n_wells": 4376, "control": HOSTILE},
        },
        {
            "n_rows": len(compounds),
            "by_dose": rows,
            "max": rows["max"],
            "interval_max": {"average_precision": [0.3, 0.5], "auroc": [None, None]},
        },
        per_compound={
            "compound": compounds,
            "n_active": [1] * 12,
            "n_eligible": [30] * 12,
            "n_negatives": [20] * 12,
            "average_precision_max": rng.random(12).tolist(),
            "auroc_max": rng.random(12).tolist(),
        },
        seeds={
            "seed": [s for _ in doses for s in range(seeds)],
            "dose": [d for d in doses for _ in range(seeds)],
            "average_precision": np.concatenate([by_seed[d][0] for d in doses]).tolist(),
            "auroc": np.concatenate([by_seed[d][1] for d in doses]).tolist(),
        },
    )
    recovered = {s: rng.integers(0, 2, 20) for s in sources}
    pairs = [(f"G{i}", f"G{i + 1 + i % 3}") for i in range(20)]
    genes = result_of(
        "gene-gene",
        {"low": 0.05, "high": 0.95, "null": "all pairs of genes", "map": {"align": "pca-cs"}},
        {
            "n_genes": 24,
            "n_pairs": 276,
            "expected_by_chance": 0.1,
            "share_of_pairs_together": None,
            "sources": {
                s: {
                    "n_relations": 20,
                    "recall": float(r.mean()),
                    "recall_low_end": 0.0,
                    "recall_high_end": 1.0,
                    "n_low": 0,
                    "n_high": int(r.sum()),
                }
                for s, r in recovered.items()
            },
        },
        relations={
            "source": [s for s in sources for _ in pairs],
            "gene1": [a for _ in sources for a, _ in pairs],
            "gene2": [b for _ in sources for _, b in pairs],
            "recovered": [int(v) for r in recovered.values() for v in r],
        },
    )
    p = rng.random(40)
    table = {"perturbation": [f"G{i}" for i in range(40)], "p_value": p.tolist()}
    shares = {f"share_p_{level}": float((p <= level).mean()) for level in (0.05, 0.01)}
    common = {
        "n_perturbations": 40,
        "n_p_values": 40,
        "mean": 2.0,
        "mad": 0.1,
        "median": 2.0,
        "null_mean": 1.9,
    }
    wells = {"by": "gene", "min_wells": 5, "null": "held-out controls", "align": "pca-cs"}
    signal = result_of(
        "signal",
        {**wells, "max_controls": 1000},
        {**common, **shares, "random_mean": 1.0, "random_mad": 0.1, "z": 3.0},
        perturbations={**table, "energy_distance": rng.random(40), "null_energy_distance": rng.random(40)},
    )
    replicates = result_of(
        "replicate-consistency",
        wells,
        {**common, **shares},
        perturbations={**table, "mean_cosine": rng.random(40), "null_mean_cosine": rng.random(40)},
    )
    activity = result_of(
        "activity",
        {"by": "gene", "min_wells": 5, "null_size": 100, "negatives": "held out", "ties": "by threshold"},
        {
            "n_perturbations": 40,
            "mean": 0.2,
            "mean_normalized": 0.1,
            "share_p_0.05": 0.1,
            "share_active": None,
        },
        perturbations={**table, "normalized": rng.random(40), "p_adjusted": p.tolist()},
    )
    found = (drug, genes, signal, replicates, activity)
    return {r.suite: r for r in found}


def write(folder: Path, results: dict[str, Result]) -> Path:
    folder.mkdir(parents=True)
    for suite, result in results.items():
        (folder / f"{suite}.json").write_text(result.to_json(), "utf-8")
        for table in result.tables:
            (folder / f"{suite}_{table}.csv").write_text(result.csv(table), "utf-8", newline="")
    return folder


def test_a_folder_gives_the_same_page_as_the_results_themselves(tmp_path: Path) -> None:
    results = drawn(0)
    read = read_model_results(write(tmp_path / "mine", results))
    assert read.faults == () and list(read.results) == list(results)
    pages = [render_model(gather_model(m), {}) for m in (read, named("mine", results))]
    assert pages[0] == pages[1] and "OpenPhenom-S/16 (mine)" in pages[0]


def test_figures_are_those_of_the_results() -> None:
    results = drawn(1)
    material = gather_model(named("mine", results))
    assert [s.suite for s in material.sections] == list(results)
    doses, recall = material.figures.doses[0][1], material.figures.recall[0][1]
    by_dose = results["drug-target"].summary["by_dose"]
    for i, label in enumerate(doses.labels):
        assert doses.mean["average_precision"][i] == by_dose[label]["average_precision"]
        assert doses.by_seed["auroc"][i].mean() == pytest.approx(by_dose[label]["auroc"], abs=1e-12)
    each = results["gene-gene"].summary["sources"]
    assert recall.recall.tolist() == [row["recall"] for row in each.values()]
    drug = material.sections[0].grids[0].rows
    assert [row[0] for row in drug] == ["1", "10", "max"]
    assert [row[2] for row in drug] == [f"{row['average_precision']:.3f}" for row in by_dose.values()]
    for section in material.sections:  # what each number means is said
        assert section.lead.endswith(".")
        assert all(meaning for grid in section.grids for _, meaning in grid.heads)
        assert section.protocols[0][1] is results[section.suite].protocol


def test_published_rows_stand_beside_their_own_protocol_alone() -> None:
    results = drawn(0)
    rows = beside(results["gene-gene"])
    same = [r for r in rows if not r.unlike]
    assert {r.table for r in same} == {"table6"} and len(same) == 20
    other = replace(results["gene-gene"], protocol={**results["gene-gene"].protocol, "low": 0.1})
    assert all("low 0.05 there, 0.1 here" in r.unlike for r in beside(other) if r.table == "table6")
    drug = beside(results["drug-target"])  # five draws, and not the paper's hundred
    assert drug and all(r.unlike for r in drug)
    assert any("seeds 100 there, 5 here" in r.unlike for r in drug)
    elsewhere = results["gene-gene"].protocol
    elsewhere = {**elsewhere, "inputs": {**elsewhere["inputs"], "dataset": "rxrx3"}}
    assert all(r.unlike for r in beside(replace(results["gene-gene"], protocol=elsewhere)))
    page = render_model(gather_model(named("mine", results)), {})
    assert "seeds 100 there, 5 here" in page and "Published, of the same protocol" in page


def test_two_models_are_paired_where_pairs_exist() -> None:
    a, b = drawn(0), drawn(1)
    other = b["activity"].tables["perturbations"]
    b["activity"] = replace(  # other rows, in another order
        b["activity"], tables={"perturbations": {k: list(v)[:0:-1] for k, v in other.items()}}
    )
    found = pair_up("a", a, "b", b)
    assert found.refused == ()
    by = {d.what: d for d in found.differences}
    mean = [np.mean(r["drug-target"].tables["per_compound"]["average_precision_max"]) for r in (a, b)]
    first = by["average precision at max"]
    assert (first.n, first.of) == (12, "compounds")
    assert first.mean == pytest.approx(mean[0] - mean[1], abs=1e-12)
    assert first.interval.low < first.mean < first.interval.high
    recall = by["recall, CORUM"]
    everything = np.ones(20)
    ours, theirs = (np.array(r["gene-gene"].tables["relations"]["recovered"][:20]) for r in (a, b))
    assert recall.ours == recall_score(everything, ours) and recall.theirs == recall_score(everything, theirs)
    assert by["normalized mean average precision"].n == 39
    p = sorted((d.p_value, d.p_corrected) for d in found.differences)
    assert p[0][1] == pytest.approx(min(1.0, len(p) * p[0][0]))
    apart = [np.array(r["drug-target"].tables["seeds"]["auroc"][-5:]) for r in (a, b)]
    assert found.by_dose[-1].dose == "max"
    assert found.by_dose[-1].auroc == pytest.approx(float(np.mean(apart[0] - apart[1])))
    assert found.by_dose[-1].auroc_sd == pytest.approx(float(np.std(apart[0] - apart[1])))


def test_other_protocols_and_other_draws_are_not_paired() -> None:
    a, b = drawn(0), drawn(1)
    b["activity"] = replace(b["activity"], protocol={**b["activity"].protocol, "null_size": 1000})
    per = b["drug-target"].tables["per_compound"]
    tables = {**b["drug-target"].tables, "per_compound": {**per, "n_eligible": [29] * 12}}
    b["drug-target"] = replace(b["drug-target"], tables=tables)
    found = pair_up("a", a, "b", b)
    assert {d.suite for d in found.differences} == {
        "drug-target",
        "gene-gene",
        "signal",
        "replicate-consistency",
    }
    assert found.by_dose == ()
    told = " ".join(found.refused)
    assert "null_size 100 and 1000" in told and "the draws are not the same" in told
    del b["signal"].tables["perturbations"]
    assert any("signal is not paired" in text for text in pair_up("a", a, "b", b).refused)


def test_a_damaged_file_is_named_and_the_rest_shown(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", drawn(0))
    (folder / "signal.json").write_text('{"suite": "signal"')
    (folder / "replicate-consistency.json").write_text('{"schema_version": 7, "suite": "x"}')
    (folder / "drug-target_seeds.csv").write_text("seed,dose\n1,2,3\n")
    read = json.loads((folder / "activity.json").read_text())
    del read["summary"]["mean"]
    (folder / "activity.json").write_text(json.dumps(read))
    (folder / "gene-gene_relations.csv").write_bytes(b"\xff\xfe\x00")
    material = gather_model(read_model_results(folder))
    assert [s.suite for s in material.sections] == ["drug-target", "gene-gene"]
    told = " ".join(material.warnings)
    for words in ("signal.json: damaged", "schema_version is 7; 1 was expected", "seeds.csv, line 2"):
        assert words in told
    assert str(tmp_path) not in told
    assert "activity of" in told and "KeyError: 'mean'" in told and "relations.csv" in told
    page = render_model(material, {})
    assert "Read this first." in page and "signal.json: damaged" in page
    for name in ("drug-target", "gene-gene", "activity"):
        (folder / f"{name}.json").write_text("[]")
    with pytest.raises(DataError, match=r"drug-target.json: damaged, a list where an object was expected"):
        read_model_results(folder)


def test_a_table_that_is_not_as_it_should_be_costs_its_figure_alone(tmp_path: Path) -> None:
    results = drawn(0)
    results["signal"].tables["perturbations"]["energy_distance"] = ["much"] * 40
    material = gather_model(named("mine", results))
    assert "signal" not in material.figures.spread and "activity" in material.figures.spread
    signal = next(s for s in material.sections if s.suite == "signal")
    assert signal.figure is None and signal.grids[0].rows[0][0] == "2.000"
    assert any("signal_perturbations.csv is not as it should be" in text for text in material.warnings)


def test_results_of_different_models_or_protocols_in_one_folder_are_told() -> None:
    results = drawn(0)
    other = results["signal"].protocol
    inputs = {**other["inputs"], "card": "cellprofiler", "embeddings_sha256": "c" * 64}
    results["signal"] = replace(results["signal"], protocol={**other, "inputs": inputs, "align": "tvn"})
    told = gather_model(named("mine", results)).warnings
    assert len(told) == 2
    assert told[0].startswith("these results are of different models (drug-target, gene-gene,")
    assert "signal: card cellprofiler, embeddings_sha256 cccccccccccc" in told[0]
    assert "different alignments" in told[1] and "signal: tvn" in told[1]


def test_what_is_no_folder_of_results_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "first", drawn(0))
    with pytest.raises(DataError, match=r"runs holds no results: .*there are results in 'first' within"):
        read_model_results(tmp_path / "runs")
    with pytest.raises(DataError, match="no such folder"):
        read_model_results(tmp_path / "nowhere")
    own = named("same", drawn(0))
    with pytest.raises(UsageError, match="two of the models go by one name"):
        gather_model(own, [own])


@pytest.fixture(scope="module")
def evaluated(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `evaluate` writes for the demo's data."""
    out = tmp_path_factory.mktemp("results") / "mine"
    options = ["--data", str(demo / "data"), "--out", str(out)]
    assert run(["evaluate", "drug-target", "--model", "openphenom", "--seeds", "3", *options]) == 0
    assert run(["evaluate", "gene-gene", "--model", "openphenom", *options]) == 0
    return out


def test_the_command_reads_what_evaluate_wrote(
    evaluated: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model_figures, "draw", lambda material: {})
    assert stored.FINISHED == _finished.FINISHED
    capsys.readouterr()
    assert run(["report", "--model", str(evaluated)]) == 0
    out, err = capsys.readouterr()
    best = json.loads((evaluated / "drug-target.json").read_text())["summary"]["max"]["average_precision"]
    assert out.startswith("report.html: OpenPhenom-S/16 (mine): Drug and target, AP at max")
    assert f"{best:.3f}" in out
    assert "no result of signal: run `polaris-rxrx evaluate signal --out`" in err
    page = Path("report.html").read_text("utf-8")
    assert "Synthetic data." in page and str(tmp_path) not in page
    other = tmp_path / "other"
    shutil.copytree(evaluated, other)
    with (other / "gene-gene_sources.csv").open("a") as handle:
        handle.write("\n")
    assert run(["report", "--model", str(evaluated), "--against", str(other)]) == 0
    assert "gene-gene_sources.csv is not as it was written" in capsys.readouterr().err
    assert "Against <bdi>OpenPhenom-S/16 (other)</bdi>" in Path("report.html").read_text("utf-8")
    for words, said in (
        (["--title", "mine"], "give either PREDS or --model"),
        (["a.csv", "--model", str(evaluated)], "give either PREDS or --model"),
        (["--model", str(evaluated), "--seed", "1"], "--seed means nothing for results"),
        (["--model", str(evaluated), "--level", "0.9"], "--level means nothing for a model"),
        (["--model", str(evaluated), "--out", str(evaluated / "gene-gene.json")], "is among the results"),
        (["a.csv", "--embeddings", "b.csv"], "--embeddings means nothing for predictions"),
    ):
        assert run(["report", *words]) == 2
        assert said in capsys.readouterr().err


def test_a_card_is_run(demo: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suites' jobs are those of `evaluate`; here they give what is drawn, for time's sake."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model_figures, "draw", lambda material: {})
    from polaris_rxrx.cli import _models

    asked: list[Any] = []

    def jobs(suites: Any, data: Path, by: None, options: dict[str, Any]) -> list[Any]:
        asked.append((suites, data, options["seed"], options["relations"]))
        made = drawn(len(asked))
        return [lambda given, step, s=s: [made[s]] for s in suites]

    monkeypatch.setattr(_models, "jobs", jobs)
    words = [
        "--model",
        "openphenom",
        "--against",
        "cellprofiler",
        "--data",
        str(demo / "data"),
        "--seed",
        "3",
    ]
    assert run(["report", *words]) == 0
    suites = ("drug-target", "gene-gene", "signal", "activity")
    assert asked == [(suites, demo / "data", 3, ())] * 2
    assert "Against <bdi>CellProfiler features</bdi>" in Path("report.html").read_text("utf-8")
    assert "OpenPhenom-S/16: Drug and target" in capsys.readouterr().out
    assert run(["report", "--model", "random", "--data", str(demo / "data")]) == 2


@pytest.fixture(scope="module")
def material() -> ModelMaterial:
    own = replace(named(HOSTILE, drawn(0)), faults=(f"{HOSTILE}.json: damaged",))
    return gather_model(own, [named("other", drawn(1))])


@pytest.fixture(scope="module")
def page(material: ModelMaterial, tmp_path_factory: pytest.TempPathFactory, _plots: Path) -> Path:
    path = tmp_path_factory.mktemp("model") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", str(_plots))
        figures = model_figures.draw(material)
        assert list(figures) == ["doses", "recall", "signal", "replicate-consistency", "activity"]
        write_model_page(path, material, figures)
    return path


def test_axe_finds_nothing(browser: Any, page: Path, axe: str) -> None:
    with visit(browser, page) as here:
        here.page.set_default_timeout(60_000)
        here.page.evaluate(axe)
        run = "axe.run(document, {resultTypes: ['violations']})"
        told = "r => [r.violations.map(v => [v.id, v.nodes[0].html]), r.passes.length]"
        violations, n_passed = here.page.evaluate(f"{run}.then({told})")
        assert violations == [] and n_passed > 10


def test_the_page_in_a_browser(browser: Any, page: Path, material: ModelMaterial) -> None:
    """Quiet and alone, names as text, drawers that open, colors that can be read, no wider than a phone."""
    for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light")):
        options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
        with visit(browser, page, **options) as here:
            sheet = here.page
            assert sheet.locator("h1").inner_text() == material.title and HOSTILE in material.title
            assert sheet.locator("img").count() == 0 and sheet.locator("figure svg").count() == 5
            assert sheet.evaluate("document.documentElement.scrollWidth") <= width
            drawers = sheet.locator("#protocols details")
            assert drawers.count() == len(material.sections)
            assert not drawers.first.locator("table").is_visible()
            drawers.first.locator("summary").click()
            assert drawers.first.locator("table").is_visible()
            assert "4,376" in sheet.locator("#map").inner_text()
            poor = sheet.locator(
                "p, dt, dd, li, h1, h2, h3, a, th, td, caption, summary, button"
            ).evaluate_all(
                f"all => all.filter(e => e.checkVisibility() && ({CONTRAST})(e) < 4.5).map(e => e.outerHTML)"
            )
            assert poor == []
            assert f"{HOSTILE}.json: damaged" in sheet.locator("header").inner_text()
            ids = sheet.eval_on_selector_all("[id]", "all => all.map(e => e.id)")
            assert len(set(ids)) == len(ids)
            links = sheet.eval_on_selector_all(
                "nav a", "all => all.map(e => e.getAttribute('href').slice(1))"
            )
            assert links and set(links) <= set(ids)
            if scheme == "light" and width > 400:
                sheet.get_by_role("button", name="Dark colors").click()
                assert sheet.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert not re.search(r"<img|https?://(?!arxiv\.org|www\.w3\.org)", page.read_text("utf-8"))
