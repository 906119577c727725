"""`polaris-rxrx fetch` on a loopback server: what comes, what is asked for, what is said when it fails.

Counts of bytes are the server's: they tell a resumed download from a repeated one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polaris_rxrx import cli
from polaris_rxrx.dataset import download, screens, transfer
from polaris_rxrx.dataset.registry import DEFAULT, KNOWN, LICENCE_COPY, Record, locate
from polaris_rxrx.errors import DataError, MissingError
from tests.servers.huggingface import COMMIT, SIGNATURE, Fault, Repository, serving
from tests.warm import Warm

METADATA = "metadata_rxrx3_core.csv"
OPENPHENOM = "OpenPhenom_rxrx3_core_embeddings.parquet"
AFFINITIES = "compound_gene_interactions.csv"
LICENCE = b"The RxRx3-core licence\nYou may not redistribute.\n"
WELLS = b"well_id,experiment_name\n" + b"".join(b"gene-001_1_A%06d,gene-001\n" % i for i in range(8000))
TABLE = b'gene_symbol,nM_value,measurement_type,database,treatment\nBCL2,4.4,"ec50, ic50",ChEMBL,ABT-199\n'
TOKEN = "hf_NeverToBeShownAnywhere"
MAIN = "from polaris_rxrx.cli import main; main()"

Fetch = Callable[..., "tuple[int, str, str]"]


@pytest.fixture(scope="module", autouse=True)
def closed_session() -> Iterator[None]:
    """huggingface_hub keeps one session open; making one a test would take a third of the time."""
    yield
    huggingface_hub.close_session()


@pytest.fixture
def server() -> Iterator[Repository]:
    with serving() as repository:
        repository.files = {
            "LICENSE": LICENCE,
            METADATA: WELLS,
            OPENPHENOM: embeddings(384),
            "data/train-00000-of-00035.parquet": embeddings(1024),
        }
        folder = "efaar_benchmarking/benchmark_annotations"
        repository.raw = {f"{folder}/{AFFINITIES}": TABLE}
        for name in ("CORUM", "HuMAP", "Reactome", "SIGNOR", "StringDB"):
            repository.raw[f"{folder}/{name}.txt"] = f"entity1,entity2\n{name},A\n".encode() * 300
        yield repository


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def fetch(
    server: Repository, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Fetch:
    """Runs `polaris-rxrx fetch …` on the loopback server: exit code, stdout, stderr."""
    for name, value in environment(server, data).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    relations = KNOWN["relations"]
    files = tuple(
        replace(f, size=len(server.raw[f.path]), sha256=hashlib.sha256(server.raw[f.path]).hexdigest())
        for f in relations.files
    )
    monkeypatch.setitem(KNOWN, "relations", replace(relations, files=files))

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.run(["fetch", *words, "--data", str(data)])
        told = capsys.readouterr()
        for secret in (TOKEN, SIGNATURE, "Traceback"):
            assert secret not in told.out + told.err
        return code, told.out, told.err

    return run


def environment(server: Repository, data: Path) -> dict[str, str]:
    return {
        "HF_ENDPOINT": server.address,
        "POLARIS_RXRX_GITHUB_RAW": server.address + "/",
        "HF_TOKEN": TOKEN,
        "NO_PROXY": "*",
    }


@cache  # each test has a server of its own, and all serve the same; to write it would be half of their time
def embeddings(width: int, rows: int = 3) -> bytes:
    columns = {"well_id": [f"w{i}" for i in range(rows)]}
    columns |= {f"feature_{i}": pa.array([0.5] * rows, pa.float32()) for i in range(width)}
    held = io.BytesIO()
    pq.write_table(pa.table({**columns, "__index_level_0__": list(range(rows))}), held)
    return held.getvalue()


def parts(data: Path) -> list[Path]:
    return sorted(data.rglob("*.part"))


def tree(data: Path) -> list[str]:
    return sorted(p.relative_to(data).as_posix() for p in data.rglob("*") if p.is_file())


# --- what comes ---------------------------------------------------------------------------------------------


def test_the_default_set_comes_whole_and_a_second_run_asks_for_nothing(
    fetch: Fetch, server: Repository, data: Path
) -> None:
    code, out, err = fetch("--accept-licence")
    assert code == 0
    assert (data / METADATA).read_bytes() == WELLS
    assert (data / OPENPHENOM).read_bytes() == server.files[OPENPHENOM]
    assert (data / AFFINITIES).read_bytes() == TABLE
    assert (data / "relations/HuMAP.txt").read_bytes().startswith(b"entity1,entity2\nHuMAP,A\n")
    relations = [f"relations/{n}.txt" for n in ("CORUM", "HuMAP", "Reactome", "SIGNOR", "StringDB")]
    assert tree(data) == sorted([METADATA, OPENPHENOM, AFFINITIES, LICENCE_COPY, "fetched.json", *relations])
    assert out.splitlines() == [str(data / name) for name in (METADATA, OPENPHENOM, AFFINITIES, "relations")]
    plan = next(line for line in err.splitlines() if line.startswith("To fetch into"))
    assert f"{METADATA} (224 kB)" in plan and plan.endswith("kB in all.")
    assert f"{METADATA}: fetched, 224 kB" in err

    server.requests.clear()
    code, again, err = fetch()
    assert (code, again, server.requests) == (0, out, [])
    assert [line.split(" (")[0] for line in err.splitlines()] == [f"{w}: already there" for w in DEFAULT]


def test_only_what_is_lacking_is_fetched(fetch: Fetch, server: Repository, data: Path) -> None:
    assert fetch("relations")[0] == 0
    (data / "relations/SIGNOR.txt").unlink()
    server.requests.clear()
    assert fetch("relations")[0] == 0
    assert [r.rsplit("/", 1)[1] for r in server.requests] == ["SIGNOR.txt"]
    assert fetch("relations")[2] == f"relations: already there ({data / 'relations'})\n"


def test_an_unknown_name_is_misuse_and_the_known_ones_are_listed(fetch: Fetch, server: Repository) -> None:
    code, out, err = fetch("openphenon")
    assert (code, out, server.requests) == (2, "", [])
    assert "Invalid value for '[WHAT]...': 'openphenon' is not one of" in err
    for what in KNOWN:
        assert f"'{what}'" in err


def test_credentials_go_to_the_hub_and_not_to_the_storage_it_redirects_to(
    fetch: Fetch, server: Repository
) -> None:
    assert fetch("metadata", "annotations", "--accept-licence")[0] == 0
    carried = {sent.path.rsplit("/", 1)[1]: sent.headers.get("authorization") for sent in server.sent}
    assert carried == {"LICENSE": f"Bearer {TOKEN}", METADATA: None, AFFINITIES: None}


def test_what_was_fetched_is_recorded(fetch: Fetch, data: Path) -> None:
    assert fetch("metadata", "--accept-licence")[0] == 0
    entry = Record.read(data).files[METADATA]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", entry.pop("date"))
    assert entry == {
        "what": "metadata",
        "size": len(WELLS),
        "sha256": hashlib.sha256(WELLS).hexdigest(),
        "repository": "recursionpharma/rxrx3-core",
        "revision": COMMIT,
    }


def test_a_file_that_is_not_in_lfs_is_checked_by_its_git_hash(
    fetch: Fetch, server: Repository, data: Path
) -> None:
    server.plain.add(METADATA)
    server.faults = [Fault(METADATA, wrong=True, times=1)]
    code, _, err = fetch("metadata", "--accept-licence")
    assert code == 1 and "its git hash is" in err and not (data / METADATA).exists()
    assert fetch("metadata")[0] == 0
    assert (data / METADATA).read_bytes() == WELLS


# --- the licence --------------------------------------------------------------------------------------------


def test_without_a_terminal_and_without_acceptance_it_is_misuse_before_going_online(
    fetch: Fetch, server: Repository, data: Path
) -> None:
    code, out, err = fetch("metadata", "annotations")
    assert (code, out, server.requests, tree(data)) == (2, "", [], [])
    assert "add --accept-licence" in err
    assert "https://huggingface.co/datasets/recursionpharma/rxrx3-core/blob/main/LICENSE" in err


def test_acceptance_is_recorded_and_holds_until_the_licence_changes(
    fetch: Fetch, server: Repository, data: Path
) -> None:
    code, _, err = fetch("metadata", "--accept-licence")
    assert code == 0 and "Accepted by --accept-licence" in err
    accepted = json.loads((data / "fetched.json").read_text())["licence"]
    assert re.match(r"\d{4}-\d\d-\d\dT", accepted.pop("date"))
    assert accepted == {
        "sha256": hashlib.sha256(LICENCE).hexdigest(),
        "repository": "recursionpharma/rxrx3-core",
    }
    assert (data / LICENCE_COPY).read_bytes() == LICENCE

    code, _, err = fetch("openphenom")
    assert code == 0 and "icence" not in err

    server.files["LICENSE"] = LICENCE + b"One more condition.\n"
    (data / METADATA).unlink()
    code, _, err = fetch("metadata")
    assert code == 2 and "which has changed since it was accepted" in err and not (data / METADATA).exists()
    assert fetch("metadata", "--accept-licence")[0] == 0
    assert (data / LICENCE_COPY).read_bytes().endswith(b"One more condition.\n")


def test_tables_without_that_licence_need_no_acceptance(fetch: Fetch, server: Repository, data: Path) -> None:
    assert fetch("annotations", "relations")[0] == 0
    assert not any("LICENSE" in request or "/api/" in request for request in server.requests)
    assert Record.read(data).licence == {}


def on_terminal(server: Repository, data: Path, answer: str) -> tuple[int, str]:
    """`fetch metadata` on a terminal of its own, with `answer` typed at the question."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "polaris_rxrx", "fetch", "metadata", "--data", str(data)],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=os.environ | environment(server, data) | {"PAGER": "cat", "COLUMNS": "100"},
    )
    os.close(follower)
    shown, typed, deadline = b"", False, time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                shown += os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
        if not typed and b"[y/N]" in shown:
            os.write(leader, answer.encode())
            typed = True
    os.close(leader)
    return process.wait(timeout=10), shown.decode()


def test_on_a_terminal_the_licence_is_shown_and_accepted_by_yes(server: Repository, data: Path) -> None:
    code, shown = on_terminal(server, data, "y\n")
    assert code == 0, shown
    assert shown.index("You may not redistribute.") < shown.index("Do you accept")
    assert METADATA in shown[shown.index("Do you accept") :] and "100%" not in shown.split("Do you accept")[0]
    assert "━━" in shown  # the bar
    assert (data / METADATA).read_bytes() == WELLS


def test_on_a_terminal_anything_but_yes_downloads_nothing(server: Repository, data: Path) -> None:
    code, shown = on_terminal(server, data, "\n")
    assert code == 1
    assert "The licence was not accepted; nothing was downloaded." in shown
    assert tree(data) == [] and server.bytes_of(METADATA) == 0


# --- interruption and resuming ------------------------------------------------------------------------------


def test_a_dropped_connection_is_continued_in_the_same_run(
    fetch: Fetch, server: Repository, data: Path
) -> None:
    server.faults = [Fault(f"storage/{METADATA}", after=100_000, times=1)]
    assert fetch("metadata", "--accept-licence")[0] == 0
    assert server.starts_of(METADATA) == [0, 100_000]
    assert server.bytes_of(METADATA) == len(WELLS)
    assert (data / METADATA).read_bytes() == WELLS


def test_a_line_that_drops_again_and_again_gets_there_as_long_as_it_brings_something(
    fetch: Fetch, server: Repository, data: Path
) -> None:
    drops = len(WELLS) // 30_000
    assert drops > transfer.RETRIES + 1
    server.faults = [Fault(f"storage/{METADATA}", after=30_000)]
    assert fetch("metadata", "--accept-licence")[0] == 0
    assert server.starts_of(METADATA) == [30_000 * i for i in range(drops + 1)]
    assert (data / METADATA).read_bytes() == WELLS


def test_the_next_run_continues_a_partial_file(fetch: Fetch, server: Repository, data: Path) -> None:
    server.faults = [
        Fault(f"storage/{METADATA}", after=70_000, times=1),
        Fault(f"storage/{METADATA}", status=503),
    ]
    code, _, err = fetch("metadata", "--accept-licence")
    assert (
        code == 1
        and f"{METADATA}: " in err
        and "(HTTP 503)" in err
        and "goes on from where it stopped" in err
    )
    assert not (data / METADATA).exists()
    assert [p.stat().st_size for p in parts(data)] == [70_000]
    server.faults = []
    assert fetch("metadata")[0] == 0
    assert server.starts_of(METADATA) == [0, 70_000]
    assert server.bytes_of(METADATA) == len(WELLS)
    assert (data / METADATA).read_bytes() == WELLS and parts(data) == []


def test_a_pinned_github_file_is_continued_too(fetch: Fetch, server: Repository, data: Path) -> None:
    server.faults = [Fault("CORUM.txt", after=1_000, times=1), Fault("CORUM.txt", status=500)]
    assert fetch("relations")[0] == 1
    server.faults = []
    assert fetch("relations")[0] == 0
    assert server.starts_of("CORUM.txt") == [0, 1_000]


def test_a_file_without_a_known_hash_starts_afresh(fetch: Fetch, server: Repository, data: Path) -> None:
    server.faults = [Fault(AFFINITIES, after=20, times=1)]
    assert fetch("annotations")[0] == 0
    assert server.starts_of(AFFINITIES) == [0, 0]
    assert (data / AFFINITIES).read_bytes() == TABLE


def test_a_part_of_other_content_is_dropped(fetch: Fetch, server: Repository, data: Path) -> None:
    server.faults = [
        Fault(f"storage/{METADATA}", after=70_000, times=1),
        Fault(f"storage/{METADATA}", status=503),
    ]
    fetch("metadata", "--accept-licence")
    assert len(parts(data)) == 1
    server.faults, server.files[METADATA] = [], WELLS.replace(b"gene-001", b"gene-002")
    assert fetch("metadata")[0] == 0
    assert server.starts_of(METADATA)[-1] == 0 and parts(data) == []
    assert (data / METADATA).read_bytes() == server.files[METADATA]


def test_a_server_that_ignores_ranges_costs_bytes_but_not_the_file(
    fetch: Fetch, server: Repository, data: Path
) -> None:
    server.faults = [
        Fault(f"storage/{METADATA}", after=100_000, times=1),
        Fault(f"storage/{METADATA}", no_range=True, times=1),
    ]
    assert fetch("metadata", "--accept-licence")[0] == 0
    assert server.bytes_of(METADATA) == len(WELLS) + 100_000
    assert (data / METADATA).read_bytes() == WELLS


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_killed_run_leaves_no_final_file_and_the_next_continues(
    which: signal.Signals, fetch: Fetch, lukewarm: Warm, server: Repository, data: Path
) -> None:
    server.faults = [Fault(f"storage/{METADATA}", stall=0.1, times=1)]
    process = lukewarm.start(MAIN, ["fetch", "metadata", "--accept-licence", "--data", str(data)], apart=True)
    deadline = time.monotonic() + 20
    while not any(p.stat().st_size > 30_000 for p in parts(data)) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(which)
    out, err = process.communicate(timeout=20)
    if which is not signal.SIGKILL:
        assert (process.returncode, out) == (128 + which, "")
        assert "Interrupted" in err and "Traceback" not in err
    assert not (data / METADATA).exists()
    (part,) = parts(data)
    kept = part.stat().st_size
    assert 30_000 < kept < len(WELLS)
    assert fetch("metadata")[0] == 0
    assert server.starts_of(METADATA) == [0, kept]
    assert (data / METADATA).read_bytes() == WELLS


def test_of_two_runs_at_once_one_waits_and_finds_the_file(
    fetch: Fetch, lukewarm: Warm, server: Repository, data: Path
) -> None:
    server.faults = [Fault(f"storage/{METADATA}", stall=0.08, times=1)]
    first = lukewarm.start(MAIN, ["fetch", "metadata", "--accept-licence", "--data", str(data)])
    while not parts(data) and first.poll() is None:
        time.sleep(0.02)
    code, _, err = fetch("metadata", "--accept-licence")
    first.communicate(timeout=20)
    assert (code, first.returncode) == (0, 0)
    assert "Another fetch into" in err and "metadata: already there" in err
    assert server.bytes_of(METADATA) == len(WELLS)


# --- what is there already ----------------------------------------------------------------------------------


def test_a_fetched_file_of_another_size_is_an_error_and_force_replaces_it(
    fetch: Fetch, server: Repository, data: Path
) -> None:
    assert fetch("metadata", "--accept-licence")[0] == 0
    (data / METADATA).write_bytes(WELLS[:-1])
    server.requests.clear()
    code, _, err = fetch("metadata")
    assert (code, server.requests) == (1, [])
    assert f"{data / METADATA} is not the published file: it holds {len(WELLS) - 1:,} bytes" in err
    assert f"where {len(WELLS):,} were expected" in err and "--force" in err
    assert fetch("metadata", "--force")[0] == 0
    assert (data / METADATA).read_bytes() == WELLS


def test_force_keeps_the_old_file_until_the_new_one_is_whole(
    fetch: Fetch, server: Repository, data: Path
) -> None:
    assert fetch("metadata", "--accept-licence")[0] == 0
    server.files[METADATA] = WELLS.replace(b"gene-001", b"gene-002")
    server.faults = [
        Fault(f"storage/{METADATA}", after=10, times=1),
        Fault(f"storage/{METADATA}", status=503),
    ]
    assert fetch("metadata", "--force")[0] == 1
    assert (data / METADATA).read_bytes() == WELLS
    server.faults = []
    assert fetch("metadata", "--force")[0] == 0
    assert (data / METADATA).read_bytes() == server.files[METADATA]
    assert server.starts_of(METADATA)[-1] == 10
    assert fetch("metadata")[0] == 0  # the record has moved on with the file


def test_a_pinned_file_of_another_content_is_an_error(fetch: Fetch, data: Path) -> None:
    assert fetch("relations")[0] == 0
    corum = data / "relations/CORUM.txt"
    corum.write_bytes(corum.read_bytes().replace(b"A", b"B"))
    code, _, err = fetch("relations")
    assert code == 1 and f"{corum} is not the published file: its SHA-256 is" in err and "--force" in err
    assert fetch("relations", "--force")[0] == 0
    assert b"B" not in corum.read_bytes()


def test_half_a_file_put_there_by_hand_is_found_out_by_its_size(
    fetch: Fetch, server: Repository, data: Path
) -> None:
    data.mkdir()
    (data / METADATA).write_bytes(WELLS[:1000])
    code, _, err = fetch("metadata")
    assert code == 1 and f"it holds 1,000 bytes where {len(WELLS):,} were expected" in err
    (data / METADATA).write_bytes(WELLS)
    assert fetch("metadata")[0] == 0
    assert server.bytes_of(METADATA) == 0


def test_offline_a_file_put_there_by_hand_is_taken_as_it_is(
    fetch: Fetch, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.mkdir()
    (data / METADATA).write_bytes(WELLS)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    code, out, err = fetch("metadata")
    assert (code, out) == (0, f"{data / METADATA}\n")
    assert "its size could not be checked" in err and "Connection refused" in err


def test_an_empty_file_is_never_the_published_one(fetch: Fetch, server: Repository, data: Path) -> None:
    data.mkdir()
    (data / METADATA).touch()
    code, _, err = fetch("metadata")
    assert (code, server.requests) == (1, []) and "it is empty" in err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (TABLE.replace(b"nM_value", b"nM"), "line 1 is 'gene_symbol,nM,measurement_type,database,treatment'"),
        (TABLE.splitlines(keepends=True)[0], "it holds no row below its header"),
        (TABLE + b"BCL2,1\n", "row 3 has 2 fields where 5 were expected"),
        (b"\xff\xfe" + TABLE, "it is not CSV in UTF-8"),
    ],
)
def test_an_annotation_table_that_is_none_is_refused(
    content: bytes, problem: str, fetch: Fetch, server: Repository, data: Path
) -> None:
    (path,) = (p for p in server.raw if p.endswith(AFFINITIES))
    server.raw[path] = content
    code, _, err = fetch("annotations")
    assert code == 1 and f"what {server.address[7:]} sent is not the published file: {problem}" in err
    assert tree(data) == []
    (data / AFFINITIES).write_bytes(content)
    code, _, err = fetch("annotations")
    assert code == 1 and f"{data / AFFINITIES} is not the published file: {problem}" in err


# --- Phenom-1 and Phenom-2 ----------------------------------------------------------------------------------


def test_phenom_files_are_told_apart_by_width_where_names_say_nothing(
    fetch: Fetch, server: Repository, data: Path
) -> None:
    server.files |= {"a_embeddings.parquet": embeddings(1664), "b_embeddings.parquet": embeddings(1024)}
    code, out, _ = fetch("phenom-1", "phenom-2", "--accept-licence")
    assert code == 0
    assert out.splitlines() == [str(data / "b_embeddings.parquet"), str(data / "a_embeddings.parquet")]
    assert (data / "b_embeddings.parquet").read_bytes() == server.files["b_embeddings.parquet"]
    assert locate("phenom-1", data) == data / "b_embeddings.parquet"  # by the record: its name tells nothing
    server.requests.clear()
    assert fetch("phenom-1", "phenom-2")[0] == 0 and server.requests == []


def test_the_name_is_tried_first_and_only_the_footer_is_read(fetch: Fetch, server: Repository) -> None:
    server.files |= {
        "A.parquet": embeddings(1024),
        "Phenom1_rxrx3_core_embeddings.parquet": embeddings(1024, rows=5000),
    }
    assert fetch("phenom-1", "--accept-licence")[0] == 0
    assert server.bytes_of("A.parquet") == 0
    name = "Phenom1_rxrx3_core_embeddings.parquet"
    size = len(server.files[name])
    tail, footer, whole = server.starts_of(name)
    assert (tail, whole) == (size - 8, 0) and 0 < footer < size - 8
    assert server.bytes_of(name) == 8 + (size - footer) + size


def test_a_name_that_lies_is_passed_over(fetch: Fetch, server: Repository, data: Path) -> None:
    server.files |= {
        "Phenom-1.parquet": embeddings(1280),
        "phenom_1_note.parquet": b"this is no parquet file at all",
        "new.parquet": embeddings(1024),
    }
    assert fetch("phenom-1", "--accept-licence")[1] == f"{data / 'new.parquet'}\n"


def test_a_width_nobody_has_is_told_with_what_was_found(fetch: Fetch, server: Repository, data: Path) -> None:
    server.files |= {"Phenom-1.parquet": embeddings(1024), "junk.parquet": b"0123456789 no parquet PAR2"}
    code, _, err = fetch("phenom-2", "--accept-licence")
    assert code == 1
    assert "phenom-2: no embedding file 1,664 columns wide is in recursionpharma/rxrx3-core" in err
    assert "Phenom-1.parquet (1,024 wide), junk.parquet (not readable as parquet)" in err
    assert OPENPHENOM not in err and "train-00000" not in err and tree(data) == []


@pytest.mark.parametrize(
    "name",
    ["Phenom1_rxrx3_core_embeddings.parquet", "phenom-1.parquet", "my_PHENOM_1_wells.parquet"],
)
def test_locate_knows_a_phenom_file_by_its_name(name: str, tmp_path: Path) -> None:
    for other in (
        "OpenPhenom1.parquet",
        "phenom-16.parquet",
        "phenom2.parquet",
        ".phenom1.parquet",
        "phenom1.csv",
    ):
        (tmp_path / other).write_bytes(b"x")
    with pytest.raises(MissingError, match="a parquet file named like phenom-1 is not in"):
        locate("phenom-1", tmp_path)
    (tmp_path / name).write_bytes(b"x")
    assert locate("phenom-1", tmp_path) == tmp_path / name


# --- locate -------------------------------------------------------------------------------------------------


def test_locate_names_the_command_that_fetches(tmp_path: Path) -> None:
    with pytest.raises(MissingError) as caught:
        locate("openphenom", tmp_path)
    assert OPENPHENOM in str(caught.value) and str(tmp_path) in str(caught.value)
    assert caught.value.command == ("fetch", "openphenom", "--data", str(tmp_path))


def test_locate_wants_all_relations_and_gives_their_folder(tmp_path: Path) -> None:
    (tmp_path / "relations").mkdir()
    for name in ("CORUM", "HuMAP", "Reactome", "StringDB"):
        (tmp_path / f"relations/{name}.txt").write_text("entity1,entity2\n")
    with pytest.raises(MissingError, match=r"\(relations/SIGNOR.txt missing\)"):
        locate("relations", tmp_path)
    (tmp_path / "relations/SIGNOR.txt").write_text("entity1,entity2\n")
    assert locate("relations", tmp_path) == tmp_path / "relations"


def test_locate_does_not_choose_between_two(tmp_path: Path) -> None:
    for name in ("phenom1_a.parquet", "phenom1_b.parquet"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"phenom1_a\.parquet, phenom1_b\.parquet\. Keep one"):
        locate("phenom-1", tmp_path)


@pytest.mark.parametrize("held", ["{", "[]", '{"files": {"a": 1}, "licence": {}}'])
def test_a_spoilt_record_is_an_error_that_says_what_to_do(held: str, fetch: Fetch, data: Path) -> None:
    data.mkdir()
    (data / "fetched.json").write_text(held)
    code, _, err = fetch("--list")
    assert code == 1 and str(data / "fetched.json") in err and "remove it" in err


# --- the list -----------------------------------------------------------------------------------------------


def test_the_list_is_offline_and_says_what_is_where(fetch: Fetch, server: Repository, data: Path) -> None:
    assert fetch("metadata", "relations", "--accept-licence")[0] == 0
    server.requests.clear()
    code, out, err = fetch("--list", "--wide")
    assert (code, err, server.requests) == (0, "", [])
    lines = out.splitlines()
    assert lines[0].split() == ["what", "file", "where", "size", "source", "licence"]
    assert len(lines) == 1 + 5 + 5
    by_what = {re.split(r"\s{2,}", line)[0]: re.split(r"\s{2,}", line) for line in lines[1:]}
    assert by_what["metadata"][1:4] == [METADATA, str(data / METADATA), "224 kB"]
    assert by_what["openphenom"][2:5] == [
        "not fetched",
        "about 532 MB",
        "https://huggingface.co/datasets/recursionpharma/rxrx3-core",
    ]
    assert by_what["phenom-2"][1:4] == ["(found when fetched)", "not fetched", "about 2.3 GB"]
    assert by_what["relations"][1] == "relations/StringDB.txt" and by_what["relations"][5] == "CC BY 4.0"
    assert "no redistribution" in by_what["metadata"][5]
    assert by_what["annotations"][5].startswith("not stated for this file (derived from ChEMBL")


def test_the_list_says_what_is_wrong(fetch: Fetch, data: Path) -> None:
    assert fetch("metadata", "--accept-licence")[0] == 0
    (data / METADATA).write_bytes(WELLS[:5])
    code, out, _ = fetch("--list", "--wide", "metadata")
    assert code == 0 and f"(it holds 5 bytes where {len(WELLS):,} were expected; fetch it again" in out
    assert len(out.splitlines()) == 2


def test_the_list_as_json_is_only_json(fetch: Fetch, server: Repository, data: Path) -> None:
    code, out, err = fetch("--list", "--json")
    rows = json.loads(out)
    assert (code, err, server.requests, data.exists()) == (0, "", [], False)
    assert [row["what"] for row in rows][:5] == [
        "metadata",
        "openphenom",
        "phenom-1",
        "phenom-2",
        "annotations",
    ]
    assert all(row["path"] is None and row["bytes"] is None for row in rows)
    assert rows[0]["about_bytes"] == 20_000_000 and rows[0]["expected_bytes"] is None


def test_fetching_with_json_prints_the_rows_of_what_was_fetched(fetch: Fetch, data: Path) -> None:
    code, out, _ = fetch("annotations", "--json")
    (row,) = json.loads(out)
    assert code == 0
    assert (row["what"], row["path"], row["bytes"]) == ("annotations", str(data / AFFINITIES), len(TABLE))


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (999_499, "999 kB"), (999_500, "1.0 MB")]
    + [(1_452_420, "1.5 MB"), (9_960_000, "10 MB"), (532_000_000, "532 MB"), (2_300_000_000, "2.3 GB")],
)
def test_sizes_are_said_as_people_say_them(size: int, said: str) -> None:
    assert download.human(size) == said


def test_list_with_force_is_misuse(fetch: Fetch) -> None:
    code, _, err = fetch("--list", "--force")
    assert code == 2 and "--list fetches nothing" in err


# --- what goes wrong ----------------------------------------------------------------------------------------


def test_wrong_bytes_are_refused_and_not_kept(fetch: Fetch, server: Repository, data: Path) -> None:
    server.faults = [Fault(f"storage/{METADATA}", wrong=True, times=1)]
    code, _, err = fetch("metadata", "--accept-licence")
    assert code == 1 and f"{METADATA}: what {server.address[7:]} sent is not the published file" in err
    assert hashlib.sha256(WELLS).hexdigest() in err
    assert not (data / METADATA).exists() and parts(data) == []
    assert fetch("metadata")[0] == 0


def test_more_bytes_than_published_are_refused(fetch: Fetch, server: Repository, data: Path) -> None:
    (path,) = (p for p in server.raw if p.endswith("SIGNOR.txt"))
    server.raw[path] += b"X,Y\n"
    code, _, err = fetch("relations")
    expected = len(server.raw[path]) - 4
    assert code == 1 and f"{expected + 4:,} bytes came where {expected:,} were expected" in err
    assert not (data / "relations/SIGNOR.txt").exists() and parts(data) == []


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_that_recovers_is_no_error(status: int, fetch: Fetch, server: Repository) -> None:
    faults = ["revision/main", "LICENSE", f"storage/{METADATA}", AFFINITIES]
    server.faults = [Fault(path, status=status, times=2) for path in faults]
    assert fetch("metadata", "annotations", "--accept-licence")[0] == 0
    for path in faults:
        assert len([r for r in server.requests if r.endswith(path)]) == 3


def test_retries_end(fetch: Fetch, server: Repository) -> None:
    server.faults = [Fault(AFFINITIES, status=502)]
    code, _, err = fetch("annotations")
    assert code == 1 and f"{server.address[7:]} is overloaded or out of order (HTTP 502)" in err
    assert len(server.requests) == 1 + transfer.RETRIES


def test_the_server_says_how_long_to_wait(
    fetch: Fetch, server: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", slept.append)
    server.faults = [
        Fault(AFFINITIES, status=429, headers={"Retry-After": "7"}, times=1),
        Fault(AFFINITIES, status=429, headers={"Retry-After": "99999"}, times=1),
    ]
    assert fetch("annotations")[0] == 0
    assert slept == [7.0, transfer.LONGEST_PAUSE]


@pytest.mark.parametrize("where", ["revision/main", f"resolve/{COMMIT}/{METADATA}", f"storage/{METADATA}"])
@pytest.mark.parametrize(("status", "said"), [(403, "refused access (HTTP 403)"), (404, "(HTTP 404)")])
def test_a_refusal_is_told_and_not_repeated(
    where: str, status: int, said: str, fetch: Fetch, server: Repository, data: Path
) -> None:
    server.faults = [Fault(where, status=status)]
    code, _, err = fetch("metadata", "--accept-licence")
    assert code == 1 and said in err and server.address[7:] in err
    assert ("hf auth login" if status == 403 else "HF_ENDPOINT") in err
    assert len([r for r in server.requests if r.endswith(where)]) == 1
    assert not (data / METADATA).exists()


def test_a_refusal_by_github_does_not_send_to_hugging_face(fetch: Fetch, server: Repository) -> None:
    server.faults = [Fault(AFFINITIES, status=403)]
    code, _, err = fetch("annotations")
    assert code == 1 and "refused access (HTTP 403)" in err
    assert "A proxy may be the one" in err and "HF_TOKEN" not in err


def test_a_gated_repository_is_told(fetch: Fetch, server: Repository) -> None:
    server.faults = [Fault("LICENSE", status=401, headers={"X-Error-Code": "GatedRepo"})]
    code, _, err = fetch("metadata", "--accept-licence")
    assert code == 1 and "LICENSE: " in err and "refused access (HTTP 401)" in err and "HF_TOKEN" in err


def test_a_file_the_repository_lost_is_told_with_what_it_holds(fetch: Fetch, server: Repository) -> None:
    del server.files[METADATA]
    code, _, err = fetch("metadata", "--accept-licence")
    assert code == 1 and f"{METADATA}: the repository recursionpharma/rxrx3-core" in err
    assert f"it holds LICENSE, {OPENPHENOM}." in err


@pytest.mark.parametrize("what", ["metadata", "annotations"])
def test_offline_is_told(what: str, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("POLARIS_RXRX_GITHUB_RAW", "http://127.0.0.1:1")
    code, out, err = fetch(what, "--accept-licence")
    assert (code, out) == (1, "")
    assert (
        "127.0.0.1:1 did not send it: there is no connection (ConnectError: " in err
        and "Connection refused" in err
    )
    assert "Check the network (proxy, firewall)" in err and tree(data) == []


def test_an_unknown_host_is_told(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://nowhere.invalid")
    code, _, err = fetch("metadata", "--accept-licence")
    assert code == 1 and "nowhere.invalid did not send it: there is no connection" in err


def test_hugging_face_s_offline_switch_is_told(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    code, _, err = fetch("metadata", "--accept-licence")
    assert code == 1 and "HF_HUB_OFFLINE is set" in err


def test_silence_ends_in_a_timeout(fetch: Fetch, server: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "TIMEOUT", 0.1)
    monkeypatch.setattr(transfer, "RETRIES", 1)
    server.faults = [Fault(AFFINITIES, stall=1.0)]
    code, _, err = fetch("annotations")
    assert (
        code == 1 and "did not send it: there was no answer within 0.1 s" in err and len(server.requests) == 2
    )


def test_a_captive_portal_is_told(fetch: Fetch, server: Repository) -> None:
    server.faults = [Fault("revision/main", html=True)]
    code, _, err = fetch("metadata", "--accept-licence")
    assert code == 1 and f"{server.address[7:]} gave an answer that makes no sense" in err


@pytest.mark.parametrize("variable", ["HF_ENDPOINT", "POLARIS_RXRX_GITHUB_RAW"])
def test_a_mirror_that_is_no_address_is_misuse(
    variable: str, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "user:secret@mirror.example")
    code, _, err = fetch("annotations")
    assert code == 2 and f"{variable} is not a web address" in err and "secret" not in err


def test_a_token_that_cannot_be_sent_is_not_shown(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}\x0bx")
    code, _, err = fetch("metadata", "--accept-licence")  # the fixture looks for the token
    assert code == 1 and "is HF_TOKEN well-formed?" in err


def test_a_disk_too_small_is_told_before_anything_is_sent(
    fetch: Fetch, server: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 1_000, 1_000))
    code, _, err = fetch("metadata", "--accept-licence")
    assert code == 1 and "224 kB are needed and 1.0 kB are free" in err and "--data" in err
    assert server.sent == []


def test_a_disk_that_fills_up_is_told_and_what_came_is_kept(
    fetch: Fetch, lukewarm: Warm, server: Repository, data: Path
) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
    words = ["fetch", "metadata", "--accept-licence", "--data", str(data)]
    process = lukewarm.start(limit + MAIN, words, apart=True)
    _, err = process.communicate()
    assert process.returncode == 1 and "Traceback" not in err
    assert "cannot be written (File too large)" in err and "goes on from where it stopped" in err
    assert [p.stat().st_size for p in parts(data)] == [100_000] and not (data / METADATA).exists()
    assert fetch("metadata")[0] == 0
    assert server.starts_of(METADATA) == [0, 100_000]


def test_a_folder_that_cannot_be_made_is_misuse(fetch: Fetch, data: Path, server: Repository) -> None:
    data.write_text("a file")
    code, _, err = fetch("annotations")
    assert (code, server.requests) == (2, []) and f"{data}: the folder cannot be made" in err


def test_the_registry_is_cheap_to_import() -> None:
    check = (
        "import sys, polaris_rxrx.cli.fetch; "
        "print([m for m in ('huggingface_hub', 'pyarrow', 'httpx', 'rich', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- the tables of other screens ---------------------------------------------------------------------------


def serve_jump(server: Repository, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files of JUMP's CRISPR side, and a card that knows their sizes and hashes."""
    names = ("plate.csv.gz", "well.csv.gz", "crispr.csv.gz", "perturbation_control.csv")
    held = {name: name.encode() * 100 for name in names}
    server.raw |= {f"metadata/{name}": content for name, content in held.items()}
    card = screens.load_screen("jump-crispr")
    files = tuple(
        f.model_copy(update={"size": len(held[f.name]), "sha256": hashlib.sha256(held[f.name]).hexdigest()})
        for f in card.files
    )
    monkeypatch.setattr(screens, "load_screen", lambda _: card.model_copy(update={"files": files}))
    return held


def test_a_datasets_tables_come_after_their_licence_and_sizes(
    fetch: Fetch, server: Repository, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = serve_jump(server, monkeypatch)
    code, out, err = fetch("--dataset", "jump-crispr")
    assert code == 0, err
    assert out.split() == [str(data / name) for name in held]
    assert {name: (data / name).read_bytes() for name in held} == held
    lines = err.split("\n")
    assert lines[0].startswith("JUMP Cell Painting, CRISPR (cpg0016): Metadata: BSD 3-Clause")
    assert lines[1:5] == [f"{name}: {len(content):,} bytes" for name, content in held.items()]
    assert lines[5].startswith("plate.csv.gz: fetched, 1.2 kB")
    asked = len(server.sent)
    assert fetch("--dataset", "jump-crispr")[0] == 0 and len(server.sent) == asked


def test_a_datasets_table_of_another_content_is_none(
    fetch: Fetch, server: Repository, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_jump(server, monkeypatch)
    server.raw["metadata/well.csv.gz"] = b"x" * 1200
    code, _, err = fetch("--dataset", "jump-crispr")
    assert code == 1 and "well.csv.gz: what 127.0.0.1" in err and "is not the published file" in err
    assert not (data / "well.csv.gz").exists()
    (data / "plate.csv.gz").write_bytes(b"mine")
    code, _, err = fetch("--dataset", "jump-crispr")
    assert code == 1 and "plate.csv.gz: it holds 4 bytes where 1,200 were expected; fetch it again" in err


def test_what_is_had_by_hand_is_told(fetch: Fetch, server: Repository) -> None:
    code, _, err = fetch("--dataset", "rxrx3")
    assert code == 1 and not server.sent
    assert "Recursion Non-Commercial End User License Agreement" in err
    assert "'metadata_rxrx3.csv', 'embeddings.tar': to be had by hand from https://rxrx3.rxrx.ai/down" in err


def test_core_by_its_card_is_fetched_as_ever(fetch: Fetch, data: Path) -> None:
    code, _, err = fetch("--dataset", "rxrx3-core")
    assert code == 2 and "--accept-licence" in err
    assert fetch("--dataset", "rxrx3-core", "--accept-licence")[0] == 0
    assert (data / METADATA).read_bytes() == WELLS


def test_a_dataset_is_all_that_is_fetched(fetch: Fetch) -> None:
    code, _, err = fetch("openphenom", "--dataset", "rxrx3")
    assert code == 2 and "--dataset names all that is fetched" in err
