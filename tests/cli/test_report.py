"""`polaris-rxrx report` as a user meets it: what is written, what is said, what is refused.

What stands in the page is tested in `tests/report`.
"""

from __future__ import annotations

import contextlib
import csv
import html
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from polaris_rxrx import cli
from polaris_rxrx.cli import run
from polaris_rxrx.maps.build import Map
from polaris_rxrx.maps.store import save_map
from polaris_rxrx.report import figures
from polaris_rxrx.task import Task

Capture = pytest.CaptureFixture[str]
ACTIVE = "id,active\n0,3\n1,2\n2,1\n3,0\n4,0\n5,0\n"
OTHER = "id,active\n0,1\n1,2\n2,3\n3,1\n4,0\n5,0\n"


@pytest.fixture(autouse=True)
def a_known_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if "report" not in cli.COMMANDS:
        monkeypatch.setitem(cli.COMMANDS, "report", "Write a page about a score.")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without figures, which take a second to draw; for tests of what else is there."""
    monkeypatch.setattr(figures, "draw", lambda material: {})


@pytest.fixture
def preds(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(ACTIVE)
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.csv"
    path.write_text(OTHER)
    return path


def refused(capsys: Capture, *arguments: object, code: int = 1) -> str:
    """What a command that must fail says; nothing may stand on stdout."""
    assert run(["report", *map(str, arguments)]) == code
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    return err


def test_a_page_is_written_and_told(prepared: Path, preds: Path, other: Path, capsys: Capture) -> None:
    assert run(["report", str(preds), "--task", str(prepared), "--against", str(other)]) == 0
    out, err = capsys.readouterr()
    assert all(f"{path}: rows were matched by id alone" in err for path in (preds, other))
    assert out.startswith("report.html: average precision 0.7500 (95% interval 0.")
    assert out.endswith("), mean over 2 treatments\n") and out.count("\n") == 1
    assert "Note: no map" in err and "Note: no structures" in err
    page = Path("report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>") and page.endswith("</html>\n")
    assert "mine.csv on someone/small" in page and "Is it better than other.csv?" in page
    assert str(Path.cwd()) not in page


@pytest.mark.usefixtures("no_figures")
def test_an_earlier_page_is_replaced_and_a_failure_leaves_it(
    prepared: Path, preds: Path, capsys: Capture
) -> None:
    out = Path("deep/page.html")
    assert (
        run(["report", str(preds), "--task", str(prepared), "--out", str(out), "--title", "First <b>"]) == 0
    )
    assert html.escape("First <b>") in out.read_text("utf-8")
    assert run(["report", str(preds), "--task", str(prepared), "--out", str(out), "--title", "Second"]) == 0
    kept = out.read_bytes()
    assert b"Second" in kept and b"First" not in kept
    capsys.readouterr()
    preds.write_text(ACTIVE.replace("0,3", "0,nan"))
    assert "nan" in refused(capsys, preds, "--task", prepared, "--out", out)
    assert out.read_bytes() == kept and [p.name for p in out.parent.iterdir()] == ["page.html"]


@pytest.fixture(scope="module")
def twice(task: Task, tmp_path_factory: pytest.TempPathFactory, _plots: Path) -> Path:
    """One report of the same input at two places: in `a` its figures on their own, too, and what was told."""
    folder = tmp_path_factory.mktemp("twice")
    (folder / "task").mkdir()
    task.save(folder / "task")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", str(_plots))
        for name, more in (("a", ["--figures", str(folder / "a" / "figures")]), ("b", [])):
            preds = folder / name / "mine.csv"
            preds.parent.mkdir()
            preds.write_text(ACTIVE)
            words = ["--task", str(folder / "task"), "--out", str(folder / f"{name}.html"), *more]
            with contextlib.redirect_stderr(io.StringIO()) as said:
                assert run(["report", str(preds), *words]) == 0
            (folder / name / "said.txt").write_text(said.getvalue())
    return folder


def test_the_same_input_gives_the_same_page_wherever_it_is(twice: Path) -> None:
    assert (twice / "a.html").read_bytes() == (twice / "b.html").read_bytes()


def test_figures_on_their_own(twice: Path) -> None:
    folder = twice / "a" / "figures"
    assert f"figures into {folder}" in " ".join((twice / "a" / "said.txt").read_text().split())
    names = {path.name for path in folder.iterdir()}
    assert {"scale.svg", "treatments.svg", "precision-recall.svg", "roc.svg"} <= names


@pytest.mark.usefixtures("no_figures")
def test_files_of_one_name_are_told_apart_by_their_folders(prepared: Path, tmp_path: Path) -> None:
    for name, text in (("one", ACTIVE), ("two", OTHER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "preds.csv").write_text(text)
    paths = [str(tmp_path / name / "preds.csv") for name in ("one", "two")]
    assert run(["report", paths[0], "--task", str(prepared), "--against", paths[1]]) == 0
    page = Path("report.html").read_text("utf-8")
    assert "Is it better than two/preds.csv?" in page and str(tmp_path) not in page


def test_a_file_against_itself_is_refused(prepared: Path, preds: Path, capsys: Capture) -> None:
    said = refused(capsys, preds, "--task", prepared, "--against", preds, code=2)
    assert "mine.csv" in said and not Path("report.html").exists()


@pytest.mark.usefixtures("no_figures")
def test_structures_that_prepare_wrote_are_drawn(task: Task, preds: Path, tmp_path: Path) -> None:
    folder = tmp_path / "with-smiles"
    folder.mkdir()
    known = {"ABT-199": "CCO", "Dactolisib (BEZ235": "not <a> SMILES"}
    task.save(folder, smiles=[known.get(t, "") for t in task.treatment])
    assert run(["report", str(preds), "--task", str(folder)]) == 0
    page = Path("report.html").read_text("utf-8")
    assert page.count('<img src="data:image/svg+xml;base64,') == 1
    assert 'alt="Structure of ABT-199"' in page and "not &lt;a&gt; SMILES" in page


def metadata(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    lines = ["well_id,treatment,SMILES", "a,ABT-199,CCO", "b,Dactolisib (BEZ235,c1ccccc1"]
    (folder / "metadata_rxrx3_core.csv").write_text("\n".join(lines) + "\n")
    return folder


def annotations(path: Path, database: str = "ChEMBL") -> Path:
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["gene_symbol", "nM_value", "database", "treatment"])
        writer.writerow(["BCL2", 3, database, "ABT-199"])
        writer.writerow(["MTOR", 300, database, "Dactolisib (BEZ235"])
    return path


@pytest.mark.usefixtures("no_figures")
def test_the_data_folder_gives_structures_and_affinities(prepared: Path, preds: Path, tmp_path: Path) -> None:
    data = metadata(tmp_path / "data")
    annotations(data / "compound_gene_interactions.csv")
    assert run(["report", str(preds), "--task", str(prepared), "--data", str(data)]) == 0
    page = Path("report.html").read_text("utf-8")
    assert page.count("<img src=") == 2
    assert "By potency" in page and "at most 10 nM" in page and "Synthetic data" not in page


@pytest.mark.usefixtures("no_figures")
def test_a_data_folder_that_was_named_must_hold_what_is_asked_of_it(
    prepared: Path, preds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    data = metadata(tmp_path / "data")
    said = refused(capsys, preds, "--task", prepared, "--data", data)
    assert "compound_gene_interactions.csv is not in" in said
    assert f"Try: polaris-rxrx fetch annotations --data {data}" in said
    table = annotations(tmp_path / "table.csv")
    (data / "metadata_rxrx3_core.csv").unlink()
    said = refused(capsys, preds, "--task", prepared, "--data", data, "--annotations", table)
    assert "metadata_rxrx3_core.csv is not in" in said
    # One that stands there by default need not.
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(data))
    assert run(["report", str(preds), "--task", str(prepared)]) == 0


@pytest.mark.usefixtures("no_figures")
def test_resampling_as_in_score(prepared: Path, preds: Path, capsys: Capture) -> None:
    words = ["--resamples", "300", "--seed", "4", "--level", "0.8"]
    assert run(["report", str(preds), "--task", str(prepared), *words]) == 0
    assert "(80% interval" in capsys.readouterr().out
    assert (
        "80% BCa bootstrap over treatments, stretched to the variance over treatments and genes, 300 "
        in Path("report.html").read_text("utf-8")
    )
    assert run(["report", str(preds), "--task", str(prepared), "--level", "80"]) == 2
    assert "level is 80; from 0.5 to below 1" in capsys.readouterr().err


@pytest.mark.usefixtures("no_figures")
def test_classes_of_one_s_own(prepared: Path, preds: Path, tmp_path: Path, capsys: Capture) -> None:
    classes = tmp_path / "classes.csv"
    classes.write_text("gene_symbol,target_class\nBCL2,<i>apoptosis</i>\n")
    assert run(["report", str(preds), "--task", str(prepared), "--classes", str(classes)]) == 0
    page = Path("report.html").read_text("utf-8")
    assert "<bdi>&lt;i&gt;apoptosis&lt;/i&gt;</bdi>" in page and "<i>" not in page
    capsys.readouterr()
    classes.write_text("gene,target_class\nBCL2,other\n")
    assert "classes.csv: no column 'gene_symbol'" in refused(
        capsys, preds, "--task", prepared, "--classes", classes
    )


def test_what_is_wrong_is_named(prepared: Path, preds: Path, tmp_path: Path, capsys: Capture) -> None:
    assert "absent.csv: no such file" in refused(capsys, tmp_path / "absent.csv", "--task", prepared)
    assert "no prepared task" in refused(capsys, preds, "--task", tmp_path / "nowhere")
    assert "gone.csv: no such file" in refused(
        capsys, preds, "--task", prepared, "--against", tmp_path / "gone.csv"
    )
    again = ["--against", preds, "--task", prepared]
    assert f"{preds} was given twice" in refused(capsys, preds, *again, code=2)
    broken = tmp_path / "map.parquet"
    broken.write_text("no map")
    assert "not a whole map" in refused(capsys, preds, "--task", prepared, "--map", broken)
    assert "is a folder; a file name was expected" in refused(
        capsys, preds, "--task", prepared, "--out", tmp_path, code=2
    )
    assert not Path("report.html").exists()


@pytest.mark.usefixtures("no_figures")
def test_absent_pairs_can_be_filled(prepared: Path, preds: Path, capsys: Capture) -> None:
    preds.write_text(ACTIVE.replace("5,0\n", ""))
    assert "no prediction" in refused(capsys, preds, "--task", prepared)
    assert run(["report", str(preds), "--task", str(prepared), "--missing", "fill=0"]) == 0
    assert "1 absent pairs were scored 0" in Path("report.html").read_text("utf-8")


@pytest.mark.usefixtures("no_figures")
def test_made_up_affinities_and_maps_are_told_at_the_top(
    prepared: Path, preds: Path, tmp_path: Path, make_map: Callable[[bool], Path]
) -> None:
    banner = "Synthetic data."
    command = ["report", str(preds), "--task", str(prepared)]
    table = annotations(tmp_path / "table.csv", database="made up")
    assert run([*command, "--annotations", str(table)]) == 0
    assert banner in Path("report.html").read_text("utf-8")
    for drawn in (False, True):
        assert run([*command, "--map", str(make_map(drawn))]) == 0
        page = Path("report.html").read_text("utf-8")
        assert (banner in page) is drawn and "By concentration" in page


@pytest.fixture
def make_map(tmp_path: Path) -> Callable[[bool], Path]:
    """A map of the task's compounds and genes, said to be made up or not."""
    from polaris_rxrx.wells.metadata import Perturbations

    def make(drawn: bool) -> Path:
        compounds = [(name, dose) for name in ("ABT-199", "Dactolisib (BEZ235") for dose in (0.1, 1.0)]
        genes = ["BCL2", "SEPT2", "MARCH1", "MTOR"]
        perturbations = Perturbations(
            ["COMPOUND"] * len(compounds) + ["CRISPR"] * len(genes),
            [name for name, _ in compounds] + genes,
            np.array([dose for _, dose in compounds] + [np.nan] * len(genes)),
        )
        x = np.random.default_rng(0).normal(size=(len(perturbations), 5))
        path = tmp_path / "map.parquet"
        save_map(Map(perturbations, x, np.ones(len(x), dtype=np.int64), {"made_up": drawn}), path)
        return path

    return make
