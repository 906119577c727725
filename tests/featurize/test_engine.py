"""Features are those of the pixels, whoever works, and however often a run is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.featurize import engine
from polaris_rxrx.featurize.engine import Report, featurize
from polaris_rxrx.images.sites import Fault
from polaris_rxrx.parallel import Here, Processes, workers
from polaris_rxrx.wells.memory import read_wells
from polaris_rxrx.wells.parts import MANIFEST, parts_of
from tests.conforming import conforming
from tests.conftest import ROOT
from tests.featurize.plates import Plates, Sums, screen, tree, wells


def table(folder: Path) -> pd.DataFrame:
    found = pd.concat([pd.read_parquet(p) for p in sorted(folder.glob("*.parquet"))])
    return found.set_index("well_id")


def metadata(path: Path, names: tuple[str, ...]) -> Path:
    """RxRx3-core's metadata of these wells: each plate's first is a control."""
    rows = [name.split("_") for name in names]
    pd.DataFrame(
        {
            "well_id": names,
            "experiment_name": [r[0] for r in rows],
            "plate": [r[1] for r in rows],
            "address": [r[2] for r in rows],
            "gene": ["EMPTY_control" if r[2] == "A01" else f"G{r[2]}" for r in rows],
            "treatment": ["EMPTY_control" if r[2] == "A01" else f"G{r[2]}_guide_1" for r in rows],
            "SMILES": None,
            "concentration": None,
            "perturbation_type": "CRISPR",
            "cell_type": "HUVEC",
        }
    ).to_csv(path, index=False)
    return path


def test_a_row_a_well(tmp_path: Path) -> None:
    images = screen(blank=frozenset({"gene-001_1_A03"}))
    seen: list[int] = []
    report = featurize(images, Sums(2.0), tmp_path / "out", progress=lambda what, done, of: seen.append(done))
    found = table(tmp_path / "out")
    assert list(found.index) == [w for w in wells() if w != "gene-001_1_A03"]
    for well, row in found.iterrows():
        for i, channel in enumerate(images.channels):
            assert row[f"Cells_Sum_{channel}"] == 2 * int(images.pixels(str(well))[:, i].sum(dtype=int))
    assert list(found.columns) == [
        *("Metadata_Experiment", "Metadata_Plate", "Metadata_Address", "Metadata_Site_Count"),
        *("Metadata_Object_Count", "Cells_Sum_DNA", "Cells_Sum_ER"),
    ]
    assert found.loc["gene-001_2_A05", "Metadata_Address"] == "A05"
    assert seen[-1] == 10 and seen == sorted(seen)
    assert report.without == ("gene-001_1_A03",) and report.kinds == {"truncated": 1}
    assert report.n_faulty == 1 and report.n_features == 2
    assert report.dropped == {"": ["Cells_Never", "Cells_Sometimes"]}
    faults = pd.read_csv(tmp_path / "out" / "faults.csv", dtype=str)
    assert faults.to_dict("records") == [
        {
            "well_id": "gene-001_1_A03",
            "site": "1",
            "channel": "ER",
            "file": "a.parquet",
            "problem": "truncated: 7 of 90 bytes",
        }
    ]


def test_the_manifest_says_what_was_done(tmp_path: Path) -> None:
    images = screen(blank=frozenset({"gene-001_1_A03"}))
    featurize(images, Sums(), tmp_path / "out")
    text = (tmp_path / "out" / "manifest.json").read_text()
    found = conforming("features-manifest", text)
    assert found["finished"] is True and found["run"]["protocol"] == {"factor": 1.0}
    assert found["run"]["channels"] == ["DNA", "ER"] and found["images"] == images.provenance
    assert [p["file"] for p in found["parts"]] == [
        f"gene-001_Plate{p}-{i:03d}.parquet" for p in (1, 2) for i in range(3)
    ]
    held = tree(tmp_path / "out")
    assert {p["file"]: p["sha256"] for p in found["parts"]} == {
        name: digest for name, digest in held.items() if name.endswith("parquet")
    }
    assert [w for p in found["parts"] for w in p["wells"]] == list(wells())
    assert found["wells"] == {"asked_for": 10, "without_features": ["gene-001_1_A03"]}
    assert found["features"]["wells"]["without_a_value"] == ["Cells_Never", "Cells_Sometimes"]
    assert found["faults"]["kinds"] == {"truncated": 1}
    assert found["faults"]["sha256"] == held["faults.csv"]
    assert str(tmp_path) not in text


def test_workers_make_the_same_bytes(tmp_path: Path) -> None:
    """And where one of them is killed in the middle of its work."""
    mark = tmp_path / "killed"
    featurize(screen(), Sums(more=True), tmp_path / "one", workers=Here())
    killed = Sums(more=True, killed=(mark, "gene-001_1_A03"))
    featurize(screen(), killed, tmp_path / "many", workers=Processes(2))
    assert mark.exists() and tree(tmp_path / "one") == tree(tmp_path / "many") != {}


def test_what_an_ended_worker_was_writing_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one is killed its pool ends the others, in the middle of a file perhaps."""
    out, left = tmp_path / "out", ".gene-001_Plate2-000.parquet.aa216b93.tmp"
    plain = engine._work

    def work(*args: Any) -> Any:
        (out / left).write_bytes(b"PAR1")
        return plain(*args)

    monkeypatch.setattr(engine, "_work", work)
    featurize(screen(), Sums(), out)
    assert tree(out) and left not in {path.name for path in out.iterdir()}


@pytest.mark.filterwarnings("ignore")  # of Dask's own clean-up
@pytest.mark.usefixtures("dask_goes")
def test_dask_makes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
    featurize(screen(), Sums(), tmp_path / "one")
    monkeypatch.setattr(engine, "MANY", 0)  # and take columns out of the parts
    found = workers(2, "local")
    try:
        mark = tmp_path / "killed"
        featurize(screen(), Sums(killed=(mark, "gene-001_2_A04")), tmp_path / "many", workers=found)
    finally:
        found.close()  # type: ignore[attr-defined]
    assert mark.exists() and tree(tmp_path / "one") == tree(tmp_path / "many")


RUN = """
import sys
from pathlib import Path
from polaris_rxrx.featurize.engine import featurize
from tests.featurize.plates import Sums, screen
featurize(screen(), Sums(slow=0.1, more=True, sometimes="gene-001_2_A05"), Path(sys.argv[1]))
"""


def test_killed_and_resumed_it_is_the_same(tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    featurizer = Sums(more=True, sometimes="gene-001_2_A05")
    featurize(screen(), featurizer, whole)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen([sys.executable, "-c", RUN, str(out)], env=environment, cwd=ROOT)
    deadline = time.monotonic() + 60
    while len(list(out.glob("*.parquet"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    started.send_signal(signal.SIGKILL)
    started.wait()
    n = len(list(out.glob("*.parquet")))
    assert 2 <= n < 6
    begun = conforming("features-manifest", (out / MANIFEST).read_text("utf-8"))
    assert begun["finished"] is False and "parts" not in begun
    # What a process that was killed in the middle of writing leaves.
    (out / ".gene-001_Plate2-002.parquet.0123abcd.tmp").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"are not finished; the same `polaris-rxrx featurize` with --resume"):
        read_wells(metadata(tmp_path / "metadata.csv", wells()), out)
    log = tmp_path / "log"
    report = featurize(screen(), Sums(more=True, sometimes="gene-001_2_A05", log=log), out, resume=True)
    assert report.notes == (f"kept {n} of 6 parts, which were finished",)
    assert len(log.read_text().splitlines()) == 6 - n
    assert tree(out) == tree(whole)
    # And stopped while columns without a value are taken out of the parts.
    (out / MANIFEST).write_text((out / MANIFEST).read_text().replace('"finished": true', '"finished": false'))
    report = featurize(screen(), featurizer, out, resume=True)
    assert report.notes == ("kept 6 of 6 parts, which were finished",)
    assert tree(out) == tree(whole)


def test_changed_images_are_measured_again(tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    featurize(screen(), Sums(), out)
    other = screen(seed={"gene-001_1_A04": 1})
    report = featurize(other, Sums(sometimes="gene-001_1_A04", log=log), out, resume=True)
    assert log.read_text().splitlines() == ["gene-001_1_A03 gene-001_1_A04"]
    assert (
        "made 1 parts again, whose images or wells have changed since: 'gene-001_Plate1-001'" in report.notes
    )
    # A column that had been left out everywhere is there again.
    assert table(out)["Cells_Sometimes"].notna().sum() == 1
    featurize(other, Sums(sometimes="gene-001_1_A04"), tmp_path / "anew")
    assert tree(out) == tree(tmp_path / "anew")


def test_wells_beside_others_count(tmp_path: Path) -> None:
    """A well that is looked at for others changes what they are."""
    out, log = tmp_path / "out", tmp_path / "log"
    featurize(screen(), Sums(neighbors=True), out)
    other = screen(seed={"gene-001_1_A01": 1})
    featurize(other, Sums(neighbors=True, log=log), out, resume=True)
    assert len(log.read_text().splitlines()) == 3  # all of its plate, none of the other


def test_fewer_wells_than_before(tmp_path: Path) -> None:
    out = tmp_path / "out"
    featurize(screen(), Sums(more=True), out)
    (out / "notes.txt").write_text("mine")
    few = screen().part(wells()[:4])
    report = featurize(few, Sums(more=True), out, resume=True)
    assert any(n.startswith("removed 4 parts of wells that are not asked for") for n in report.notes)
    (out / "notes.txt").unlink()
    featurize(few, Sums(more=True), tmp_path / "anew")
    assert tree(out) == tree(tmp_path / "anew")


def test_readers_take_the_folder_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "out"
    featurize(screen(), Sums(more=True), out)
    assert (out / "objects" / "gene-001_Plate1-000.parquet").is_file()
    (out / "notes.txt").write_text("mine")
    assert parts_of(out) == sorted(out.glob("*.parquet")) and parts_of(tmp_path) is None
    found = read_wells(metadata(tmp_path / "metadata.csv", wells()), out)
    assert found.features == ["Cells_Sum_DNA", "Cells_Sum_ER"]
    assert found.x.shape == (10, 2)
    part = out / "gene-001_Plate2-001.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(
        DataError, match=r"gene-001_Plate2-001.parquet has [\d,]+ bytes; a part of .* expected"
    ):
        read_wells(tmp_path / "metadata.csv", out)
    part.unlink()
    with pytest.raises(DataError, match=r"gene-001_Plate2-001.parquet is absent; a part of"):
        read_wells(tmp_path / "metadata.csv", out)
    report = featurize(screen(), Sums(more=True), out, resume=True)
    assert "kept 5 of 6 parts, which were finished" in report.notes
    assert len(read_wells(tmp_path / "metadata.csv", out)) == 10


def test_folders_that_are_not_taken(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"is not empty and holds no manifest.json of features \('mine.txt'"):
        featurize(screen(), Sums(), out, resume=True)
    assert tree(out).keys() == {"mine.txt"}
    with pytest.raises(UsageError, match=r"mine.txt is a file; a folder was expected"):
        featurize(screen(), Sums(), out / "mine.txt")
    done = tmp_path / "done"
    featurize(screen(), Sums(), done)
    before = tree(done)
    anew = featurize(screen(), Sums(), tmp_path / "anew", resume=True)
    assert anew.notes == ("there was nothing to go on with, so all was made anew",)
    assert tree(tmp_path / "anew") == before
    with pytest.raises(UsageError, match="holds features already; go on with --resume"):
        featurize(screen(), Sums(), done)
    with pytest.raises(UsageError, match=r"another run: protocol.factor there 1.0, here 2.0; choose"):
        featurize(screen(), Sums(2.0), done, resume=True)
    with pytest.raises(UsageError, match=r"run: channels there \['DNA', 'ER'\], here \['ER', 'DNA'\];"):
        featurize(screen(channels=("ER", "DNA")), Sums(), done, resume=True)
    assert tree(done) == before
    (out / "mine.txt").unlink()
    featurize(screen(), Sums(), out)  # an empty one is as good as none
    assert tree(out) == before


def test_an_error_keeps_what_is_finished(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError, match="no sum of gene-001_2_A03"):
        featurize(screen(), Sums(fails="gene-001_2_A03"), out)
    assert (out / "gene-001_Plate2-000.parquet").is_file()
    assert not (out / "gene-001_Plate2-001.parquet").exists()
    featurize(screen(), Sums(), out, resume=True)
    featurize(screen(), Sums(), tmp_path / "whole")
    assert tree(out) == tree(tmp_path / "whole")


def test_columns_of_every_part_are_the_same(tmp_path: Path) -> None:
    message = (
        r"gene-001_Plate1-001.parquet has 'Cells_Extra' besides: 5 features where .*Plate1-000.parquet has 4"
    )
    with pytest.raises(DataError, match=message):
        featurize(screen(), Sums(extra="gene-001_1_A03"), tmp_path / "out")


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    out, write, written = tmp_path / "out", pq.write_table, []

    def full(table: Any, where: Any, **how: Any) -> None:
        if len(written) == 2:
            Path(where).write_bytes(b"PAR1")
            raise OSError(28, "No space left on device")
        written.append(where)
        write(table, where, **how)

    monkeypatch.setattr(pq, "write_table", full)
    message = (
        r"out/gene-001_Plate1-002.parquet: cannot be written \(No space left on device\); finished parts "
        "stay. Make room, and go on with --resume"
    )
    with pytest.raises(DataError, match=message):
        featurize(screen(), Sums(), out)
    assert sorted(tree(out)) == [
        "gene-001_Plate1-000.parquet",
        "gene-001_Plate1-001.parquet",
        "manifest.json",
    ]
    monkeypatch.undo()
    featurize(screen(), Sums(), out, resume=True)
    featurize(screen(), Sums(), tmp_path / "whole")
    assert tree(out) == tree(tmp_path / "whole")


def test_no_well_with_features(tmp_path: Path) -> None:
    images = screen(blank=frozenset(wells()))
    with pytest.raises(DataError, match=r"no well of 10 gave any features; .*faults.csv says .* 10 of them"):
        featurize(images, Sums(), tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "faults.csv")) == 10
    with pytest.raises(DataError, match="there is no well to measure"):
        featurize(Plates(()), Sums(), tmp_path / "other")
    with pytest.raises(DataError, match="too many channels"):
        featurize(screen(channels=tuple("abcdef")), Sums(), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_part_without_rows(tmp_path: Path) -> None:
    """All wells of a task may be bad."""
    out = tmp_path / "out"
    report = featurize(screen(blank=frozenset(wells()[:2])), Sums(), out)
    assert len(report.without) == 2
    assert len(table(out)) == 8
    names = metadata(tmp_path / "metadata.csv", wells()[2:])
    assert len(read_wells(names, out)) == 8


def test_plates_of_awkward_names() -> None:
    found = engine._stems(["a/b", "A_b", "../../etc", "", "_x", "x" * 200])
    assert len(set(found)) == 6 and found[2] == "etc" and found[4] == "x"
    assert all(len(name) < 100 and name[0] not in "._" and "/" not in name for name in found)


def test_kinds_of_faults() -> None:
    told = {
        "truncated: 7 of 90 bytes": "truncated",
        "all black": "all black",
        "another size: 10 x 10 px; 8 x 8 px expected": "another size",
    }
    for problem, kind in told.items():
        assert engine.kind_of(Fault("w", "1", "ER", "f", problem)) == kind


def test_features_of_a_well_that_was_not_asked_for(tmp_path: Path) -> None:
    class Wrong(Sums):
        def features(self, images: Any, wells: Any, step: Any = None) -> Any:
            return super().features(images, list(wells)[::-1])

    with pytest.raises(DataError, match="sums gave rows of 'gene-001_1_A02', 'gene-001_1_A01' for the wells"):
        featurize(screen(), Wrong(), tmp_path / "out")


def test_a_report_counts(tmp_path: Path) -> None:
    report = featurize(screen(), Sums(), tmp_path / "out")
    assert isinstance(report, Report) and report.n_parts == 6 and np.isfinite(report.n_wells)
