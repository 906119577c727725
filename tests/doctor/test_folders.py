"""Damaged, unreadable, unfinished: each told of its file, with what helps; nothing is changed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.dataset.registry import KNOWN, Record
from polaris_rxrx.doctor import folders
from polaris_rxrx.doctor.findings import Fault, Folder
from polaris_rxrx.files import sha256

METADATA = "metadata_rxrx3_core.csv"
OPENPHENOM = "OpenPhenom_rxrx3_core_embeddings.parquet"
AFFINITIES = "compound_gene_interactions.csv"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with three sound files, recorded as `fetch` does."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / METADATA).write_text("well_id,gene\nA01,BCL2\nA02,MTOR\nA03,BCL2\nA04,MTOR\nA05,BCL2\n")
    (folder / AFFINITIES).write_text("gene_symbol,nM_value\nBCL2,1\n")
    pq.write_table(pa.table({"well_id": ["A01", "A02"], "x": np.zeros(2)}), folder / OPENPHENOM)
    record = Record({"sha256": "0"}, {})
    for what, name in (("metadata", METADATA), ("openphenom", OPENPHENOM)):
        path = folder / name
        record.files[name] = {"what": what, "size": path.stat().st_size, "sha256": sha256(path)}
    record.write(folder)
    return folder


def seen(folder: Path) -> set[tuple[str, int]]:
    return {(p.as_posix(), p.lstat().st_size) for p in folder.rglob("*")}


def look(data: Path, **options: Any) -> tuple[Folder, list[Fault]]:
    before = seen(data.parent)
    found = folders.data(data, **options)
    assert seen(data.parent) == before
    return found


def test_a_sound_folder(data: Path) -> None:
    found, faults = look(data)
    assert faults == [] and found.missing == ["relations"] and found.writable and found.there
    assert [(f.name, f.problem, f.hashed) for f in found.files] == [
        (METADATA, None, True),
        (OPENPHENOM, None, True),
        (AFFINITIES, None, None),
    ]
    assert found.count == 4 and found.bytes == sum(size for _, size in seen(data))


def test_the_demo_s_is_sound_too(demo: Path) -> None:
    found, faults = folders.data(demo / "data")
    assert faults == [] and found.missing == [] and found.note == "synthetic data of a demo"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-24])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def altered(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"BCL2", b"BCL3"))


def footer(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-60:-8] = bytes(52)
    path.write_bytes(raw)


def page(path: Path) -> None:
    path.write_bytes(b"<html>" + b" " * (path.stat().st_size - 6))


def long_footer(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8] + b"\xff\xff\xff\x7fPAR1")


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize(
    ("name", "how", "told"),
    [
        (METADATA, cut, "it is cut short: its last line has 1 fields where 2 were expected"),
        (METADATA, empty, "it is empty"),
        (METADATA, folder, "it is no file; one was expected"),
        (METADATA, link_to_nothing, "it is no file; one was expected"),
        (OPENPHENOM, cut, "it is cut short: a parquet file ends with its footer"),
        (OPENPHENOM, footer, "its footer cannot be read"),
        (OPENPHENOM, long_footer, "it is cut short: a parquet file ends with its footer"),
        (OPENPHENOM, empty, "it is empty"),
        (OPENPHENOM, page, "it is no parquet file"),
    ],
)
def test_damage(name: str, how: Callable[[Path], None], told: str, recorded: bool, data: Path) -> None:
    before = (data / name).stat().st_size
    if not recorded:
        (data / "fetched.json").unlink()
    how(data / name)
    _, (fault,) = look(data)
    assert fault.about == f"data: {name}" and fault.stops
    shorter = how is cut and recorded
    assert fault.told.startswith(f"it holds {before - 24:,} bytes where {before:,}" if shorter else told)
    what = "metadata" if name == METADATA else "openphenom"
    assert f"polaris-rxrx fetch {what}" in fault.advice


def test_bytes_unlike_the_recorded_ones(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    altered(data / METADATA)
    _, (fault,) = look(data)
    assert fault.told.startswith("its SHA-256 is ") and fault.stops
    monkeypatch.setattr(folders, "SMALL", 10)
    found, faults = look(data)
    assert faults == [] and found.files[0].hashed is False
    assert len(look(data, deep=True)[1]) == 1


def test_without_pyarrow_the_ends_of_a_parquet_file_are_seen(data: Path) -> None:
    footer(data / OPENPHENOM)
    (data / "fetched.json").unlink()
    assert look(data, arrow=False)[1] == []
    cut(data / OPENPHENOM)
    assert "cut short" in look(data, arrow=False)[1][0].told


def test_a_file_that_cannot_be_read(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "fetched.json").unlink()
    opened = Path.open

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.name == METADATA:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    _, (fault,) = look(data)
    assert fault.told == "it cannot be read (Permission denied)" and fault.stops
    assert fault.advice == f"make it yours: chmod u+rwX {data / METADATA}"


def test_what_was_left(data: Path) -> None:
    (data / f".{OPENPHENOM}.0123456789abcdef.part").write_bytes(b"x" * 100)
    (data / "relations").mkdir()
    for name, age in ((".x.csv.12345678.tmp", 7200), (".y.csv.12345678.tmp", 5)):
        path = data / "relations" / name
        path.write_text("half")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    (data / "mine.parquet").write_bytes(b"PAR1")
    _, faults = look(data)
    assert [(f.about.removeprefix("data: "), f.told, f.stops) for f in faults] == [
        (f".{OPENPHENOM}.0123456789abcdef.part", "an unfinished download", False),
        ("mine.parquet", "it is cut short: a parquet file ends with its footer", False),
        ("relations/.x.csv.12345678.tmp", "left by a command that was stopped", False),
    ]
    assert faults[0].advice.startswith("polaris-rxrx fetch goes on")


def test_a_pipe_is_not_waited_for(data: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no such device here")
    os.mkfifo(data / "pipe.csv")
    assert look(data)[1] == []


def test_a_broken_record(data: Path) -> None:
    (data / "fetched.json").write_text("{")
    found, (fault,) = look(data)
    assert "cannot be read" in fault.told and fault.advice.startswith("remove it") and not fault.stops
    assert len(found.files) == 3


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    found, (fault,) = folders.data(tmp_path / "data")
    assert "is a file; a folder was expected" in fault.told and fault.stops and not found.there


def test_a_home_that_cannot_be_written_to(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> Any:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    found, (fault,) = folders.data(tmp_path / "absent" / "data")
    assert fault.told == f"{tmp_path / 'absent' / 'data'} cannot be made" and fault.stops and not found.there
    assert "--data, or POLARIS_RXRX_DATA" in fault.advice
    monkeypatch.setattr(folders, "DEFAULT", ("metadata", "openphenom", "annotations"))
    _, (fault,) = folders.data(data)  # all that is needed is there
    assert fault.told == f"{data} cannot be written to" and not fault.stops
    _, (fault,) = folders.state()
    assert "what is sent is not remembered" in fault.told and not fault.stops

    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    nothing, (fault,) = folders.temporary()
    assert nothing is None and fault.stops and "TMPDIR" in fault.advice


def test_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    found, faults = look(tmp_path / "absent" / "data")
    assert faults == [] and not found.there and found.writable and len(found.missing) == 4


def test_a_full_disk(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))  # type: ignore[attr-defined]
    _, (fault,) = look(data)
    size = sum(f.size or 0 for f in KNOWN["relations"].files)
    assert (
        fault.told == f"1 kB are free; what is not fetched yet takes {size / 1e6:.3g} MB" and not fault.stops
    )


def test_the_task(demo: Path, tmp_path: Path) -> None:
    assert folders.task(tmp_path / "task") == (None, [])
    shutil.copytree(demo / "task", tmp_path / "task")
    assert folders.task(tmp_path / "task")[1] == []
    cut(tmp_path / "task" / "test_features.csv")
    assert folders.task(tmp_path / "task", readable=False)[1] == []
    _, (fault,) = folders.task(tmp_path / "task")
    assert "test_features.csv was changed after `prepare`" in fault.told and fault.stops


def test_receipts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARIS_RXRX_STATE", str(tmp_path))
    place = tmp_path / "receipts"
    place.mkdir()
    (place / "a.json").write_text(json.dumps({"receipt": {}}))
    (place / "b.json").write_text("{")
    (place / "c.json").write_text("[]")
    found, faults = folders.state()
    assert found.count == 3 and [f.about for f in faults] == ["receipts: b.json", "receipts: c.json"]
    assert not any(f.stops for f in faults)
