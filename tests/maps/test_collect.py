"""One pass over a table of any shape gives the map that its wells in memory give."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polaris_rxrx import limits
from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.maps import collect as collecting
from polaris_rxrx.maps import partial, summary_file
from polaris_rxrx.maps.align import ALIGNERS, Aligner
from polaris_rxrx.maps.build import Map, build_map
from polaris_rxrx.maps.collect import Collected, collect, plan
from polaris_rxrx.maps.partial import Job, reduce_job
from polaris_rxrx.parallel import Here, Processes, Tree
from polaris_rxrx.wells import pieces
from polaris_rxrx.wells.memory import read_wells
from polaris_rxrx.wells.opened import open_wells
from tests.wells_factory import PLAN, make_embeddings, make_metadata, write
from tests.work import kill_once

METADATA = make_metadata()
FRAME = make_embeddings(METADATA)
FEATURES = [n for n in FRAME.columns if n != "well_id"]


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    METADATA.to_csv(tmp_path / "metadata.csv", index=False)
    return tmp_path / "metadata.csv"


def in_memory(
    tmp_path: Path, frame: pd.DataFrame = FRAME, aligner: Aligner = "pca-cs", **choices: Any
) -> Map:
    (tmp_path / "whole").mkdir(exist_ok=True)
    return build_map(read_wells(*write(tmp_path / "whole", METADATA, frame), **choices), aligner)


def files(folder: Path, frame: pd.DataFrame, n: int) -> Path:
    """The table in `n` files, its rows in turn: every experiment is in all of them."""
    folder.mkdir()
    for i in range(n):
        frame.iloc[i::n].to_parquet(folder / f"plate_{i}.parquet", index=False)
    return folder


def same(one: Map, other: Map) -> None:
    assert one.perturbations.name == other.perturbations.name
    assert one.perturbations.type == other.perturbations.type
    assert np.array_equal(one.n_wells, other.n_wells)
    np.testing.assert_allclose(one.x, other.x, rtol=0, atol=1e-8)


@pytest.mark.parametrize("aligner", ALIGNERS)
@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_map_is_that_of_wells_in_memory(tmp_path: Path, metadata: Path, aligner: Aligner, n: int) -> None:
    collected = collect(open_wells(metadata, files(tmp_path / "plates", FRAME, n)))
    found, expected = build_map(collected, aligner), in_memory(tmp_path, aligner=aligner)
    same(found, expected)
    assert found.protocol == expected.protocol


@pytest.mark.parametrize("seed", [1, 2])
def test_in_any_order_of_rows(tmp_path: Path, metadata: Path, seed: int) -> None:
    frame = FRAME.sample(frac=1, random_state=seed)
    collected = collect(open_wells(metadata, files(tmp_path / "plates", frame, 3)))
    same(build_map(collected), in_memory(tmp_path))


def test_in_pieces_of_a_few_columns_and_row_groups(
    tmp_path: Path, metadata: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.Table.from_pandas(FRAME), tmp_path / "one.parquet", row_group_size=20)
    wells = open_wells(metadata, tmp_path / "one.parquet")
    for whole, columns, job in ((1, 1, 1), (1500, 2, 10_000), (1 << 26, 8, 1 << 26)):
        monkeypatch.setattr(pieces, "WHOLE", whole)
        monkeypatch.setattr(pieces, "_COLUMNS", columns)
        monkeypatch.setattr(collecting, "JOB", job)
        same(build_map(collect(wells)), in_memory(tmp_path))
    monkeypatch.setattr(pieces, "WHOLE", 1500)
    found = pieces.pieces_of(wells.table, FEATURES)
    assert sum(p.n for p in found) == len(FRAME) and len(found) > 2
    assert sorted(g for p in found for g in p.row_groups or ()) == list(range(-(-len(FRAME) // 20)))


def test_a_file_s_footer_is_read_once(
    tmp_path: Path, metadata: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two million wells in small row groups it takes half a gigabyte, and seconds for every reading."""
    path = tmp_path / "one.parquet"
    pq.write_table(pa.Table.from_pandas(FRAME), path, row_group_size=20)
    opened, plain = list[tuple[Path, bool]](), pq.ParquetFile

    def parquet_file(source: Path, *, metadata: Any = None, **options: Any) -> Any:
        opened.append((source, metadata is None))
        return plain(source, metadata=metadata, **options)

    monkeypatch.setattr(pq, "ParquetFile", parquet_file)
    monkeypatch.setattr(pieces, "WHOLE", 1)
    monkeypatch.setattr(collecting, "JOB", 1)
    wells = open_wells(metadata, path)
    assert len(pieces.pieces_of(wells.table, wells.features)) > 5
    found = build_map(collect(wells))
    assert opened.count((path, False)) > 5
    assert opened.count((path, True)) == 1
    same(found, in_memory(tmp_path))
    # Another file under the same name is not taken for it.
    pq.write_table(pa.Table.from_pandas(FRAME.iloc[::-1]), path, row_group_size=30)
    same(build_map(collect(open_wells(metadata, path))), in_memory(tmp_path))
    assert opened.count((path, True)) == 2


def test_what_does_not_fit_is_on_disk(
    tmp_path: Path, metadata: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "in_use", lambda: 0)
    wells = open_wells(metadata, files(tmp_path / "plates", FRAME, 4))
    collected = collect(wells, max_memory=collecting._COPIES * collecting._LEAST + 1000)
    told = [line for line in collected.notes if "on disk" in line]
    assert [line.partition("(")[0] for line in told] == ["The sums ", "The control wells "]
    same(build_map(collected), in_memory(tmp_path))


@pytest.mark.parametrize("sites", ["mean", "median"])
@pytest.mark.parametrize("apart", [False, True])
def test_several_rows_a_well(tmp_path: Path, metadata: Path, sites: Any, apart: bool) -> None:
    rng = np.random.default_rng(0)
    rows = FRAME.loc[FRAME.index.repeat(rng.integers(1, 4, len(FRAME)))].reset_index(drop=True)
    rows[FEATURES] += rng.normal(size=rows[FEATURES].shape).astype(np.float32)
    pq.write_table(pa.Table.from_pandas(rows), tmp_path / "in.parquet", row_group_size=30 if apart else 10**6)
    wells = open_wells(metadata, tmp_path / "in.parquet", sites=sites)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "WHOLE", 1 if apart else 1 << 26)
        found = build_map(collect(wells))
    same(found, in_memory(tmp_path, rows, sites=sites))


def test_text_is_read_as_well(tmp_path: Path, metadata: Path) -> None:
    FRAME.to_csv(tmp_path / "table.csv", index=False)
    FRAME.iloc[::-1].to_csv(tmp_path / "table.tsv.gz", index=False, sep="\t")
    for name in ("table.csv", "table.tsv.gz"):
        found = build_map(collect(open_wells(metadata, tmp_path / name)))
        same(found, build_map(read_wells(metadata, tmp_path / name)))


def test_lists_and_arrays(tmp_path: Path, metadata: Path) -> None:
    ids, x = FRAME.well_id.to_numpy(dtype=str), FRAME[FEATURES].to_numpy()
    np.savez(tmp_path / "arrays.npz", well_id=ids, embeddings=x)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "ids.npy", ids)
    lists = pa.table(
        {"well_id": ids, "embedding": pa.FixedSizeListArray.from_arrays(x.ravel(), len(FEATURES))}
    )
    pq.write_table(lists, tmp_path / "lists.parquet", row_group_size=40)
    for name, more in (
        ("arrays.npz", {}),
        ("x.npy", {"ids": tmp_path / "ids.npy"}),
        ("lists.parquet", {}),
    ):
        same(build_map(collect(open_wells(metadata, tmp_path / name, **more), **more)), in_memory(tmp_path))


def test_two_processes_give_the_same_bits_as_one(
    tmp_path: Path, metadata: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "JOB", 3000)
    wells = open_wells(metadata, files(tmp_path / "plates", FRAME, 9))
    one, two = collect(wells), collect(wells, workers=Processes(2))
    assert np.array_equal(one.sums, two.sums) and np.array_equal(one.control_rows, two.control_rows)
    assert one.notes == two.notes and one.provenance == two.provenance


def test_the_tree_is_one_whatever_comes_first(tmp_path: Path, metadata: Path) -> None:
    class Backward:
        n = 1

        def run(self, function: Any, items: Any) -> Iterator[tuple[int, Any]]:
            for i in reversed(range(len(items))):
                yield i, function(items[i])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collecting, "JOB", 3000)
        wells = open_wells(metadata, files(tmp_path / "plates", FRAME, 11))
        one, other = collect(wells), collect(wells, workers=Backward())
    assert np.array_equal(one.sums, other.sums) and np.array_equal(one.control_rows, other.control_rows)


def test_partial_sums_merge_as_one() -> None:
    rng = np.random.default_rng(1)
    parts = [
        partial.PartialSums(np.sort(rng.choice(20, k, replace=False)), rng.normal(size=(k, 3)))
        for k in (5, 0, 9, 20, 1, 7, 3)
    ]
    expected = np.zeros((20, 3))
    for part in parts:
        for g, row in zip(part.group, part.sums, strict=True):
            expected[g] += row
    tree = Tree(partial.PartialSums.merge)
    for part in parts:
        tree.add(part)
    whole = tree.whole()
    assert whole is not None
    np.testing.assert_allclose(whole.sums, expected[whole.group], atol=1e-12)
    assert whole.group.tolist() == sorted({g for p in parts for g in p.group.tolist()})


# ---- what is told


def test_what_is_seen_is_what_is_seen_in_memory(tmp_path: Path, metadata: Path) -> None:
    frame = FRAME.copy()
    frame.loc[[3, 9], FEATURES] = 0.0
    frame.loc[20, FEATURES] = frame.loc[31, FEATURES].to_numpy()
    frame.loc[40, FEATURES[2]] = 4000.0
    collected = collect(open_wells(metadata, files(tmp_path / "plates", frame, 3)))
    (tmp_path / "whole").mkdir()
    wells = read_wells(*write(tmp_path / "whole", METADATA, frame))
    expected, found = wells.provenance["reading"]["values"], collected.provenance["reading"]["values"]
    for name in ("n_zero", "zero", "n_identical", "identical", "wide_features"):
        assert found[name] == expected[name]
    assert found["n_zero"] == 2 and found["n_identical"] == 2
    assert found["far_features"] == [FEATURES[2]]
    assert any("reach over 100" in line for line in collected.notes)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_none_is_named(tmp_path: Path, metadata: Path, value: float) -> None:
    frame = FRAME.copy()
    frame.loc[17, "feature_3"] = value
    folder = files(tmp_path / "plates", frame, 2)
    with pytest.raises(
        DataError, match=rf"plate_1.parquet: feature 'feature_3' is {value} in well '{frame.well_id[17]}'"
    ):
        collect(open_wells(metadata, folder))


def test_a_value_that_swamps_all_others_is_refused(tmp_path: Path, metadata: Path) -> None:
    frame = FRAME.astype(dict.fromkeys(FEATURES, np.float64))
    frame.loc[17, "feature_3"] = -1e30
    with pytest.raises(DataError, match=r"feature 'feature_3' is -1e\+30; the others spread over about"):
        collect(open_wells(metadata, files(tmp_path / "plates", frame, 2)))


def test_a_file_of_another_width(tmp_path: Path, metadata: Path) -> None:
    folder = files(tmp_path / "plates", FRAME, 3)
    pd.read_parquet(folder / "plate_2.parquet").drop(columns="feature_4").to_parquet(
        folder / "plate_2.parquet"
    )
    with pytest.raises(DataError, match=r"plate_2.parquet lacks column 'feature_4'"):
        collect(open_wells(metadata, folder))


def test_a_file_cut_short_after_it_was_opened(tmp_path: Path, metadata: Path) -> None:
    folder = files(tmp_path / "plates", FRAME, 3)
    wells = open_wells(metadata, folder)
    path = folder / "plate_1.parquet"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"plate_1.parquet"):
        collect(wells)


def test_a_file_that_changed_after_it_was_opened(tmp_path: Path, metadata: Path) -> None:
    folder = files(tmp_path / "plates", FRAME, 3)
    wells = open_wells(metadata, folder)
    pd.read_parquet(folder / "plate_1.parquet").iloc[1:].to_parquet(folder / "plate_1.parquet", index=False)
    with pytest.raises(DataError, match=r"plate_1.parquet has \d+ rows where it had \d+; has it changed"):
        collect(wells)


def test_one_well_in_two_files(tmp_path: Path, metadata: Path) -> None:
    folder = files(tmp_path / "plates", FRAME, 2)
    FRAME.iloc[:1].to_parquet(folder / "plate_9.parquet", index=False)
    with pytest.raises(DataError, match=r"1 wells stand in another file"):
        collect(open_wells(metadata, folder))


def test_a_batch_without_controls(tmp_path: Path) -> None:
    plan_ = tuple(g for g in PLAN if (g.experiment, g.name) != ("gene-002", "EMPTY_control"))
    table = make_metadata(plan_)
    paths = write(tmp_path, table, make_embeddings(table))
    with pytest.raises(DataError, match="have fewer than 2 EMPTY_control wells: 'gene-002'"):
        build_map(collect(open_wells(*paths)))


def test_a_megabyte_is_too_little(tmp_path: Path, metadata: Path) -> None:
    wells = open_wells(metadata, files(tmp_path / "plates", FRAME, 2))
    with pytest.raises(DataError, match=r"0 bytes of memory are left .* takes 4\.19 MB at least"):
        collect(wells, max_memory=1_000_000)


def test_a_full_disk(tmp_path: Path, metadata: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(limits, "in_use", lambda: 0)
    wells = open_wells(metadata, files(tmp_path / "plates", FRAME, 2))
    with pytest.raises(DataError, match=r"are needed there for a while, and there is no room .*set TMPDIR"):
        collect(wells, max_memory=collecting._COPIES * collecting._LEAST + 1000)


def test_a_plan_says_fewer_workers() -> None:
    with pytest.raises(DataError, match="or fewer --workers would do"):
        plan(10, 10, 384, 4, 1000, 200_000_000, 2)
    found = plan(1000, 1000, 384, 4, 1000, 10**9, 2)
    assert not found.sums_on_disk and not found.controls_on_disk and found.told() == []
    assert plan(10**6, 10**5, 384, 4, 1000, 10**9, 1).sums_on_disk


# ---- going on where it was


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    return tmp_path / "parts"


def test_finished_jobs_are_not_done_again(
    tmp_path: Path, metadata: Path, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "JOB", 3000)
    folder = files(tmp_path / "plates", FRAME, 6)
    done: list[Path] = []

    def counted(job: Job) -> Any:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.extend(p.path for p in job.pieces)
        return reduce_job(job)

    monkeypatch.setattr(collecting, "reduce_job", counted)
    with pytest.raises(KeyboardInterrupt):
        collect(open_wells(metadata, folder), parts=parts)
    first, before = list(done), sorted(parts.iterdir())
    assert len(first) == len(before) == 3 and all(p.suffix == ".npz" for p in before)
    done.clear()
    monkeypatch.setattr(
        collecting, "reduce_job", lambda job: (done.extend(p.path for p in job.pieces), reduce_job(job))[1]
    )
    collected = collect(open_wells(metadata, folder), parts=parts)
    assert set(done) == {*folder.iterdir()} - set(first)
    same(build_map(collected), in_memory(tmp_path))
    # Another file in one's place is noticed, and done again.
    done.clear()
    changed = pd.read_parquet(first[0])
    changed[FEATURES] *= 2
    changed.to_parquet(first[0], index=False)
    collect(open_wells(metadata, folder), parts=parts)
    assert done == [first[0]]


def test_a_damaged_part_is_done_again(tmp_path: Path, metadata: Path, parts: Path) -> None:
    folder = files(tmp_path / "plates", FRAME, 2)
    collect(open_wells(metadata, folder), parts=parts)
    for path in parts.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    same(build_map(collect(open_wells(metadata, folder), parts=parts)), in_memory(tmp_path))


def _kill_always(job: Job) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    raise AssertionError


def test_a_killed_worker_costs_its_piece_alone(
    tmp_path: Path, metadata: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILLED_ONCE", str(tmp_path / "mark"))
    monkeypatch.setattr(collecting, "JOB", 3000)
    monkeypatch.setattr(collecting, "reduce_job", kill_once)
    collected = collect(open_wells(metadata, files(tmp_path / "plates", FRAME, 5)), workers=Processes(2))
    assert (tmp_path / "mark").exists()
    same(build_map(collected), in_memory(tmp_path))


def test_all_killed_is_an_error(tmp_path: Path, metadata: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "reduce_job", _kill_always)
    with pytest.raises(DataError, match="were ended from outside 3 times"):
        collect(open_wells(metadata, files(tmp_path / "plates", FRAME, 2)), workers=Processes(1))


# ---- kept in a file


@pytest.mark.parametrize("aligner", ALIGNERS)
@pytest.mark.parametrize("rows", [0, 100])
def test_a_summary_comes_back_from_its_file(
    tmp_path: Path, metadata: Path, aligner: Aligner, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary_file, "ROWS", rows)  # 0: moments of every batch
    collected = collect(open_wells(metadata, files(tmp_path / "plates", FRAME, 3)))
    summary_file.save_summary(collected, tmp_path / "x.summary.parquet")
    assert summary_file.is_summary(tmp_path / "x.summary.parquet")
    loaded = summary_file.load_summary(tmp_path / "x.summary.parquet")
    same(build_map(loaded, aligner), build_map(collected, aligner))
    assert loaded.features == collected.features and loaded.provenance == collected.provenance
    if rows:
        assert np.array_equal(build_map(loaded, aligner).x, build_map(collected, aligner).x)


def test_a_median_needs_wells(tmp_path: Path, metadata: Path) -> None:
    collected = collect(open_wells(metadata, files(tmp_path / "plates", FRAME, 1)))
    with pytest.raises(UsageError, match="a median needs the wells themselves"):
        build_map(collected, aggregate="median")


def test_what_is_no_summary(tmp_path: Path, metadata: Path) -> None:
    collected: Collected = collect(open_wells(metadata, files(tmp_path / "plates", FRAME, 1)))
    path = tmp_path / "x.summary.parquet"
    summary_file.save_summary(collected, path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="not a whole summary"):
        summary_file.load_summary(path)
    assert not summary_file.is_summary(tmp_path / "plates" / "plate_0.parquet")
    assert not summary_file.is_summary(tmp_path / "none.parquet")
    with pytest.raises(DataError, match="not a whole summary"):
        summary_file.load_summary(tmp_path / "plates" / "plate_0.parquet")


def test_this_process_alone_is_the_default(tmp_path: Path, metadata: Path) -> None:
    wells = open_wells(metadata, files(tmp_path / "plates", FRAME, 2))
    seen: list[tuple[str, int, int]] = []
    collect(wells, workers=Here(), progress=lambda *step: seen.append(step))
    assert seen[-1] == ("wells", len(FRAME), len(FRAME))
