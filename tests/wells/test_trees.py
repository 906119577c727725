"""Many files as one table: what makes a tree, and what is said of one with a stranger in it."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.errors import DataError
from polaris_rxrx.parallel import Processes
from polaris_rxrx.wells import trees
from polaris_rxrx.wells.containers import open_embeddings
from polaris_rxrx.wells.reading import Choices, read
from polaris_rxrx.wells.trees import files_below
from tests.wells_factory import make_embeddings, make_metadata

FRAME = make_embeddings(make_metadata())
HALVES = {"a/Plate1/e.parquet": FRAME[:90], "b/Plate1/e.parquet": FRAME[90:]}


def tree(folder: Path, files: dict[str, Any] | None = None) -> Path:
    for name, frame in (HALVES if files is None else files).items():
        path = folder / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(path, index=False)
    return folder / "tree"


def test_files_are_found_in_order_and_links_end(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (root / "a" / "up").symlink_to(root, target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    FRAME.to_parquet(tmp_path / "elsewhere" / "z.parquet")
    (root / "c").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / ".hidden").mkdir()
    (root / ".hidden" / "x.csv").write_text("")
    (root / "_metadata").write_text("")
    found = [p.relative_to(root).as_posix() for p in files_below([root])]
    assert found == ["a/Plate1/e.parquet", "b/Plate1/e.parquet", "c/z.parquet"]


def test_a_tree_is_hashed_by_its_files(tmp_path: Path) -> None:
    root = tree(tmp_path)
    make_metadata().to_csv(tmp_path / "metadata.csv", index=False)
    wells = read(tmp_path / "metadata.csv", root, hashed=True)
    assert any(note == f"{root}: 2 files read as one table" for note in wells.notes)
    before = wells.provenance["embeddings_sha256"]
    moved = shutil.copytree(root, tmp_path / "copy")
    assert read(tmp_path / "metadata.csv", moved, hashed=True).provenance["embeddings_sha256"] == before
    FRAME[90:].to_parquet(root / "b/Plate1/e.parquet", index=False, compression="none")
    assert read(tmp_path / "metadata.csv", root, hashed=True).provenance["embeddings_sha256"] != before
    in_memory = read(tmp_path / "metadata.csv", FRAME, hashed=True).provenance
    assert "metadata_sha256" in in_memory and "embeddings_sha256" not in in_memory


def test_types_may_differ_in_width(tmp_path: Path) -> None:
    wide = FRAME[90:].assign(feature_2=FRAME.feature_2[90:].astype(float))
    table = open_embeddings(tree(tmp_path, {"a.parquet": FRAME[:90], "b.parquet": wide}))
    assert table.dtype(["feature_1"]) == np.float32 and table.dtype(["feature_2"]) == np.float64
    read_again = table.read(["feature_2", "well_id"]).to_pandas()
    np.testing.assert_array_equal(read_again.feature_2, FRAME.feature_2)
    assert read_again.well_id.tolist() == FRAME.well_id.tolist()


STRANGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a note": (
        lambda p: (p / "b" / "notes.txt").write_text("Plate 3 was dropped, twice\nsaid Ann\n"),
        r"b/notes\.txt: .* read as one table; a glob such as '.*/tree/\*\*/\*\.parquet' leaves others out",
    ),
    "another table": (
        lambda p: FRAME.rename(columns={"feature_0": "area"}).to_parquet(p / "c.parquet"),
        r"c\.parquet lacks column 'feature_0' and has column 'area' besides; the columns of .*a/Plate1/e",
    ),
    "one column more": (
        lambda p: FRAME.assign(feature_6=0.5).to_parquet(p / "c.parquet"),
        r"c\.parquet has column 'feature_6' besides; the columns of .* were expected",
    ),
    "text": (
        lambda p: FRAME.assign(feature_3="x").to_parquet(p / "c.parquet"),
        r"c\.parquet: column 'feature_3' holds text in .*c\.parquet and numbers in .*a/Plate1/e\.parquet",
    ),
    "an empty file": (lambda p: (p / "c.parquet").write_bytes(b""), r"c\.parquet is empty\. All files of"),
    "the same wells": (
        lambda p: FRAME[:2].to_parquet(p / "c.parquet", index=False),
        r"c\.parquet: 2 wells stand in another file, too: '.*' in .*a/Plate1/e\.parquet; a well",
    ),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_strange_file_is_named(tmp_path: Path, case: str) -> None:
    root = tree(tmp_path)
    change, message = STRANGE[case]
    change(root)
    with pytest.raises(DataError, match=message) as caught:
        open_embeddings(root)
    assert str(caught.value).startswith(str(root))


# ---- DeepProfiler


def profile(path: Path, n: int = 3, width: int = 4, **more: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    features = np.arange(n * width, dtype=np.float32).reshape(n, width)
    np.savez(path, features=features, metadata=np.array({"a": 1}, dtype=object), **more)


@pytest.mark.parametrize(
    ("name", "well_id"),
    [
        ("Week1_22123/B02_s1", "Week1_22123_B02"),
        ("Week1_22123/B02-1", "Week1_22123_B02"),
        ("gene-001/Plate1/AA04/3", "gene-001_Plate1_AA04"),
        ("Week1_22123_B02_s1", "Week1_22123_B02"),
        ("results/P1_B02_1", "P1_B02"),
        ("P_A01_B02_s1", "P_A01_B02"),
    ],
)
def test_ids_by_paths(tmp_path: Path, name: str, well_id: str) -> None:
    profile(tmp_path / f"{name}.npz")
    profile(tmp_path / f"{name}0.npz", n=0)  # a site without a cell
    table = open_embeddings(tmp_path)
    assert table.read(["well_id"]).column(0).to_pylist() == [well_id] * 3
    assert table.read(["feature_3"]).column(0).to_pylist() == [3, 7, 11]


def test_a_real_file(tmp_path: Path, shared_data: Path) -> None:
    source = shared_data / "deepprofiler" / "Week1_22123_B02_s1.npz"
    features = np.load(source, allow_pickle=False)["features"]
    for given in (source, f"{source.parent}/*.npz"):
        table = open_embeddings(given)
        assert table.read(["well_id"]).column(0).to_pylist() == ["Week1_22123_B02"] * 206
        assert len(table.names) == 1 + 50
        np.testing.assert_array_equal(table.read(["feature_49"]).column(0).to_numpy(), features[:, 49])
    # Beside a second well, as one has them: the wells are the means of their cells.
    shutil.copy(source, tmp_path / source.name)
    np.savez(tmp_path / "Week1_22123_B03_s1.npz", features=2 * features)
    head = "well_id,experiment_name,plate,gene,treatment,concentration,perturbation_type\n"
    rows = (
        "Week1_22123_B02,Week1,22123,,EMPTY_control,,COMPOUND\nWeek1_22123_B03,Week1,22123,,drug,1,COMPOUND\n"
    )
    (tmp_path / "metadata.csv").write_text(head + rows)
    wells = read(tmp_path / "metadata.csv", f"{tmp_path}/*.npz")
    mean = features.astype(np.float64).mean(axis=0)
    control = int(np.flatnonzero(wells.control)[0])
    np.testing.assert_allclose(wells.x[control], mean, rtol=1e-6)
    np.testing.assert_allclose(wells.x[1 - control], 2 * mean, rtol=1e-6)
    assert any("412 rows of 2 wells, 206 a well" in note for note in wells.notes)


def test_ids_by_an_index(tmp_path: Path, shared_data: Path) -> None:
    index = shared_data / "deepprofiler" / "index_first_rows.csv"
    for site in (1, 2):
        profile(tmp_path / "out" / "SQ00014812" / "A01" / f"{site}.npz")
    table = open_embeddings(tmp_path / "out", ids=index)
    assert table.read(["well_id"]).column(0).unique().to_pylist() == ["SQ00014812_A01"]
    profile(tmp_path / "out" / "SQ00014812" / "Z99" / "1.npz")
    with pytest.raises(DataError, match=r"Z99/1\.npz: not in the index"):
        open_embeddings(tmp_path / "out", ids=index)
    (tmp_path / "index.csv").write_text("Plate,Well\n1,A01\n")
    with pytest.raises(DataError, match=r"index\.csv: no column 'Metadata_Plate', 'Metadata_Well'"):
        open_embeddings(tmp_path / "out", ids=tmp_path / "index.csv")


PROFILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "another width": (lambda p: profile(p / "P/A02_s1.npz", width=5), "has 5 features; the 4 of"),
    "another layout": (
        lambda p: profile(p / "P_A02_s1.npz"),
        r"A01_s1\.npz is PLATE/WELL_SITE\.npz and .*P_A02_s1\.npz is PLATE_WELL_SITE\.npz; one layout",
    ),
    "no well": (lambda p: profile(p / "P/first.npz"), r"P/first\.npz: its path below .* says no well"),
    "a table": (
        lambda p: pd.DataFrame({"x": [1]}).to_csv(p / "P/index.csv"),
        r"P/index\.csv: no 'features' in it",
    ),
    "no features": (lambda p: np.savez(p / "P/A02_s1.npz", other=1), r"A02_s1\.npz: no 'features' in it"),
    "objects": (
        lambda p: np.savez(p / "P/A02_s1.npz", features=np.array([None, {}], dtype=object)),
        r"A02_s1\.npz: features is .*object; \(cells, features\) of numbers",
    ),
}


@pytest.mark.parametrize("case", PROFILES)
def test_what_is_no_tree_of_deepprofiler(tmp_path: Path, case: str) -> None:
    profile(tmp_path / "P" / "A01_s1.npz")
    change, message = PROFILES[case]
    change(tmp_path)
    with pytest.raises(DataError, match=message):
        open_embeddings(tmp_path)


def test_features_with_ids_beside_them_are_a_table(tmp_path: Path) -> None:
    profile(tmp_path / "e.npz", well_id=np.array(["a", "b", "c"]))
    assert open_embeddings(tmp_path / "e.npz").read(["well_id"]).column(0).to_pylist() == ["a", "b", "c"]


def test_choices_reach_the_reader(tmp_path: Path) -> None:
    make_metadata().to_csv(tmp_path / "metadata.csv", index=False)
    np.save(tmp_path / "e.npy", FRAME.iloc[:, 1:].to_numpy())
    (tmp_path / "ids.txt").write_text("\n".join(FRAME.well_id))
    wells = read(
        tmp_path / "metadata.csv", tmp_path / "e.npy", Choices(ids=tmp_path / "ids.txt"), hashed=True
    )
    assert {"metadata_sha256", "embeddings_sha256", "ids_sha256"} <= set(wells.provenance)


class NotHere:
    """Workers with another working folder, the last first; what they are given and give is pickled."""

    n = 2

    def run(self, function: Any, items: Any) -> Iterator[tuple[int, Any]]:
        home = Path.cwd()
        for i in reversed(range(len(items))):
            os.chdir("/")
            try:
                given, item = pickle.loads(pickle.dumps((function, items[i])))
                found = pickle.loads(pickle.dumps(given(item)))
            finally:
                os.chdir(home)
            yield i, found


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A relative path of 12 files, some with wider numbers and ids in another way of writing."""
    monkeypatch.setattr(trees, "MANY", 3)
    monkeypatch.chdir(tmp_path)
    for i in range(12):
        frame = FRAME[i::12]
        if i == 7:
            frame = frame.assign(feature_2=frame.feature_2.astype(float))
        if i == 9:
            frame = frame.assign(well_id=frame.well_id.str.replace(r"_(\d+)_", r"_Plate\1_", regex=True))
        tree(tmp_path, {f"p{i:02d}/e.parquet": frame})
    return Path("tree")


@pytest.mark.parametrize("who", [Processes(2), NotHere()])
def test_workers_open_the_same_table(many: Path, who: Any) -> None:
    one, other = open_embeddings(many), open_embeddings(many, who=who)
    assert one.path == other.path and one.told == other.told and one.files == other.files
    assert one.schema.equals(other.schema, check_metadata=True) and one.header == other.header
    assert [(p.path, p.n) for p in one.parts] == [(p.path, p.n) for p in other.parts]
    assert one.read(["well_id"]).equals(other.read(["well_id"]))
    names = ["feature_2", "feature_0"]
    assert one.read(names).equals(other.read(names)) and one.dtype(names) == np.float64
    assert other.parts[5].read(["feature_1"]).equals(one.parts[5].read(["feature_1"]))


def test_workers_name_the_first_strange_file(many: Path) -> None:
    """In the words of one process, whoever finds one first, and whatever is wrong with it."""
    pd.DataFrame({"well_id": ["a"], "other": [1.0]}).to_parquet(many / "p10" / "e.parquet")
    (many / "p05" / "e.parquet").write_bytes(b"PAR1 and no more")
    (many / "p03" / "notes.txt").write_text("Plate 3 was dropped, twice\nsaid Ann\n")
    who: Any = NotHere()
    for left in ("p03/notes.txt", "p05/e.parquet", "p10/e.parquet"):
        with pytest.raises(DataError) as expected:
            open_embeddings(many)
        with pytest.raises(DataError) as found:
            open_embeddings(many, who=who)
        assert str(found.value) == str(expected.value) and f"tree/{left}" in str(expected.value)
        (many / left).unlink()
    assert len(open_embeddings(many, who=who).parts) == 10


def test_what_workers_cannot_see_is_told_in_their_words(many: Path) -> None:
    class Blind(NotHere):
        def run(self, function: Any, items: Any) -> Iterator[tuple[int, Any]]:
            for i in range(len(items)):
                yield i, (None, DataError("worker 3 has no such folder"))

    with pytest.raises(DataError, match=r"^worker 3 has no such folder$"):
        open_embeddings(many, who=Blind())


def test_files_of_arrays_and_of_text_are_opened_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrays by this process, for what is open of them does not pickle; text and lists by workers."""
    monkeypatch.setattr(trees, "MANY", 2)
    names = [n for n in FRAME.columns if n != "well_id"]
    for kind in ("npz", "csv"):
        (tmp_path / kind).mkdir()
        for i in range(6):
            frame = FRAME[i::6]
            if kind == "csv":
                frame.to_csv(tmp_path / kind / f"{i}.csv", index=False)
            else:
                ids, x = frame.well_id.to_numpy(dtype=str), frame[names].to_numpy()
                np.savez(tmp_path / kind / f"{i}.npz", well_id=ids, embeddings=x)
        one, other = (open_embeddings(tmp_path / kind, who=who) for who in (None, NotHere()))
        assert one.read(["well_id"]).equals(other.read(["well_id"])) and len(other.parts) == 6
        assert one.read(one.names[1:]).equals(other.read(one.names[1:]))
        assert [p.matrix is None for p in one.parts] == [p.matrix is None for p in other.parts]


def test_few_files_are_opened_here(tmp_path: Path) -> None:
    class Nobody(NotHere):
        def run(self, function: Any, items: Any) -> Iterator[tuple[int, Any]]:
            raise AssertionError("nobody was to be asked")

    assert len(open_embeddings(tree(tmp_path), who=Nobody()).parts) == 2
