"""Reads with bounds: documents, packed files, archives' claims, web answers that never end."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polaris_rxrx import bounded
from polaris_rxrx.cli import run
from polaris_rxrx.errors import DataError, UpstreamError
from polaris_rxrx.tables import read_table

MIB = bounded.MIB
DEEP = "[" * 20_000 + "]" * 20_000
BAD_JSON = {
    "deep lists": DEEP,
    "deep objects": '{"a":' * 20_000 + "1" + "}" * 20_000,
    "never closed": "[" * 20_000,
    "deeper than read": "[" * 102 + "]" * 102,
    "400 digits": f'{{"a": {"9" * 400}}}',
    "5,000 digits": f'{{"a": -{"9" * 5000}}}',
}
BAD_TOML = {
    "deep lists": f"a = {DEEP}",
    "deep tables": f"a = {'{a = ' * 20_000}1{'}' * 20_000}",
    "deep keys": f"{'.'.join('a' * 2_000)} = 1",  # twice Python's own depth; its time grows with the square
    "400 digits": f"a = {'9' * 400}",
    "5,000 digits": f"a = {'9' * 5000}",
    "400 hexadecimal digits": f"a = 0x{'f' * 400}",
}
WORDS = r"nested too deeply|too many digits|maximum recursion"


# --- documents ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", BAD_JSON)
def test_json_beyond_a_bound(what: str) -> None:
    for raw in (BAD_JSON[what], BAD_JSON[what].encode()):
        with pytest.raises(ValueError, match=r"nested too deeply: at most 100|too many digits: at most 100"):
            bounded.json_loads(raw)


def test_json_within_bounds() -> None:
    for data in ({"a": [1, -2.5e3, None, True, "x" * 1000]}, [], 10**99, "9" * 5000):
        assert bounded.json_loads(json.dumps(data)) == data
    assert bounded.json_loads("[" * 100 + "]" * 100)
    with pytest.raises(ValueError, match="larger than 5 bytes"):
        bounded.json_loads("123456", 5)
    with pytest.raises(json.JSONDecodeError):
        bounded.json_loads("{")


@pytest.mark.parametrize("what", BAD_TOML)
def test_toml_beyond_a_bound(what: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(BAD_TOML[what])
    with pytest.raises(DataError, match=f"a.toml: not TOML .*({WORDS})"):
        bounded.read_toml(path)


def test_toml_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("#" * (2 * MIB))
    with pytest.raises(DataError, match=r"a.toml is larger than 1 MiB, the most that is read"):
        bounded.read_toml(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device here")
def test_a_device_without_end() -> None:
    with pytest.raises(DataError, match="/dev/zero is larger than 1 MiB"):
        bounded.read_file(Path("/dev/zero"), MIB)


def refused(capsys: pytest.CaptureFixture[str], *words: object, code: int = 1) -> str:
    capsys.readouterr()
    assert run([str(w) for w in words]) == code
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err and len(err) < 2_000
    return err


@pytest.mark.parametrize("what", BAD_JSON)
def test_commands_on_such_documents(
    what: str, demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every document a command reads: the file is named, nothing is a traceback."""
    text = BAD_JSON[what]
    task = tmp_path / "task"
    shutil.copytree(demo / "task", task)
    (task / "task.json").write_text(text)
    assert f"{task / 'task.json'} is not what `prepare` writes" in refused(
        capsys, "score", demo / "random.csv", "--task", task, "--json"
    )
    for folder in ("a", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a" / "benchmark.json").write_text(text)
    saved = tmp_path / "a" / "benchmark.json"
    assert str(saved) in refused(capsys, "prepare", saved, "--out", tmp_path / "b")
    assert not (tmp_path / "b").exists()
    (tmp_path / "data" / "fetched.json").write_text(text)
    assert "fetched.json" in refused(capsys, "fetch", "metadata", "--data", tmp_path / "data")


@pytest.mark.parametrize("what", BAD_TOML)
def test_cards_of_that_kind(
    what: str, demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("card.toml", "submission.toml"):
        (tmp_path / name).write_text(BAD_TOML[what])
    words = ["baseline", tmp_path / "card.toml", "--task", demo / "task", "--data", demo / "data"]
    assert f"{tmp_path / 'card.toml'}: not TOML (" in refused(capsys, *words, "--out", tmp_path / "p.csv")
    words = ["submit", demo / "random.csv", "--card", tmp_path / "submission.toml", "--task", demo / "task"]
    assert f"{tmp_path / 'submission.toml'}: not TOML (" in refused(capsys, *words, "--yes")
    assert not (tmp_path / "p.csv").exists()


# --- packed files ------------------------------------------------------------------------------------------


def bomb(mib: int, block: bytes = b"0,1\n") -> bytes:
    """A gzip file of many times a mebibyte of the same lines."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    large = block * (MIB // len(block))
    return b"".join([*(packer.compress(large) for _ in range(mib)), packer.flush()])


def test_a_bomb_for_predictions(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "preds.csv.gz"
    path.write_bytes(gzip.compress(b"id,active\n") + bomb(300))
    err = refused(capsys, "score", path, "--task", demo / "task")
    assert err == (
        f"Error: {path}: unpacks to more than 256 MiB, the most that is read of such a file; it is "
        f"{bounded.size(path.stat().st_size)} packed\n"
    )


def test_gzip_within_bounds() -> None:
    two = gzip.compress(b"abc") + gzip.compress(b"def")  # of two members, as `cat` makes them
    assert bounded.gunzip(two, "x", 6) == b"abcdef"
    with pytest.raises(DataError, match="x: unpacks to more than 5 bytes"):
        bounded.gunzip(two, "x", 5)
    for broken in (two[:-3], two[:10] + b"\xff" * 20):
        with pytest.raises(DataError, match="x: broken gzip file"):
            bounded.gunzip(broken, "x")


def test_a_bomb_for_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from polaris_rxrx.wells.table import open_table

    monkeypatch.setattr(bounded, "OBJECT", 8 * MIB)
    path = tmp_path / "metadata.csv.gz"
    path.write_bytes(gzip.compress(b"well_id,a\n") + bomb(40))
    with pytest.raises(DataError, match=r"metadata.csv.gz: unpacks to more than .* MiB"):
        open_table(path)
    path.write_bytes(gzip.compress(b"well_id,a\nx,1\n"))
    assert open_table(path).header == ["well_id", "a"]


def test_too_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "ROWS", 3)
    (tmp_path / "a.csv").write_text("a\n1\n2\n3\n4\n")
    pq.write_table(pa.table({"a": [1, 2, 3, 4]}), tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        with pytest.raises(DataError, match=rf"{name}.*(more than 3|4) rows.*read"):
            read_table(tmp_path / name)


def repeated(times: int, kind: Any = None) -> Any:
    """A mebibyte of text so many times: in memory, that of ten."""
    ten = pa.array(["x" * MIB] * 10, kind or pa.string())
    return pa.chunked_array([ten] * (times // 10))


def test_a_long_text_repeated(tmp_path: Path) -> None:
    """A mebibyte of text hundreds of times: two megabytes as a file, and hundreds in memory."""
    from polaris_rxrx.wells.table import open_table

    path = tmp_path / "a.parquet"
    once = {"dictionary_pagesize_limit": 4 * MIB}  # that the second ten refer to the text of the first, too
    pq.write_table(pa.table({"treatment": repeated(300)}), path, **once)
    assert path.stat().st_size < 4 * MIB
    with pytest.raises(DataError, match=r"a.parquet: column 'treatment' has 314,572,800 bytes of text"):
        read_table(path)
    wells = pa.table({"well_id": repeated(1100), "experiment_name": ["e"] * 1100})
    pq.write_table(wells, path, **once)
    for words in (False, True):
        with pytest.raises(DataError, match=r"a.parquet: column 'well_id' has 1,153,433,600 bytes of text"):
            open_table(path, text=words)
    texts = pa.array(["x" * MIB, "y"]).dictionary_encode().dictionary
    coded = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), texts)  # pandas' categories
    for column in (coded, repeated(300, pa.large_string())):
        pq.write_table(pa.table({"treatment": column}), path, **once)
        with pytest.raises(DataError, match=r"column 'treatment' has 314,572,800 bytes of text"):
            read_table(path)
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        pq.write_table(pa.table({"treatment": pa.array(["NA", None, "NA"], kind)}), path)
        assert read_table(path).columns == {"treatment": ["NA", None, "NA"]}


def test_a_parquet_of_equal_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs take no room in the file, and all of it in memory."""
    from polaris_rxrx.wells.table import open_table

    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"well_id": ["w"] * 300_000, "a": np.zeros(300_000)}), path, compression="zstd")
    open_table(path)
    monkeypatch.setattr(bounded, "OBJECT", MIB)
    with pytest.raises(DataError, match=r"a.parquet: claims [\d,]+ bytes unpacked; at most 1 MiB"):
        open_table(path)


@pytest.mark.filterwarnings("ignore:anndata will no longer")
def test_a_map_of_claims(tmp_path: Path) -> None:
    import h5py

    from polaris_rxrx.maps.store import load_map

    path = tmp_path / "a.h5ad"
    with h5py.File(path, "w") as file:
        file.create_dataset("X", shape=(10**7, 10**7), dtype="f8", chunks=(10, 10))
    with pytest.raises(DataError, match=r"a.h5ad: claims 800,000,000,000,000 bytes unpacked"):
        load_map(path)


# --- Zarr archives -----------------------------------------------------------------------------------------


def archive(folder: Path, compressor: Any, values: Any, **more: Any) -> dict[str, Any]:
    """A column `a` as polaris writes one; its `.zarray`."""
    import zarr

    group = zarr.open_group(str(folder), mode="w")
    group.array("a", values, compressor=compressor, chunks=4, **more)
    zarr.consolidate_metadata(group.store)
    about: dict[str, Any] = json.loads((folder / "a" / ".zarray").read_text())
    return about


def columns(folder: Path, **changes: Any) -> Any:
    from polaris_rxrx.hub.files import folder_reader, zarr_columns

    path = folder / ".zmetadata"
    metadata = json.loads(path.read_text())
    metadata["metadata"]["a/.zarray"].update(changes)
    path.write_text(json.dumps(metadata))
    return zarr_columns(folder_reader(folder), ["a"], "a", "archive")["a"]


def codecs() -> dict[str, Any]:
    import numcodecs as n

    return {
        "none": None,
        "blosc": n.Blosc("zstd"),
        "blosc lz4": n.Blosc("lz4", shuffle=2),
        "zlib": n.Zlib(),
        "gzip": n.GZip(),
        "bz2": n.BZ2(),
        "lzma": n.LZMA(),
        "zstd": n.Zstd(),
        "lz4": n.LZ4(),
    }


@pytest.mark.parametrize("name", list(codecs()))
def test_every_codec_within_bounds_and_beyond(name: str, tmp_path: Path) -> None:
    import numcodecs

    codec = codecs()[name]
    numbers, texts = np.arange(10.0), np.array(["NA", "", "β", "x" * 300] * 3, dtype=object)
    archive(tmp_path / "n", codec, numbers)
    assert columns(tmp_path / "n").tolist() == numbers.tolist()
    archive(tmp_path / "t", codec, texts, dtype=object, object_codec=numcodecs.VLenUTF8())
    assert columns(tmp_path / "t").tolist() == texts.tolist()
    large = bytes(8 * MIB)  # where 32 bytes are expected
    packed = codec.encode(large) if codec else large
    assert codec is None or len(packed) < MIB
    (tmp_path / "n" / "a" / "0").write_bytes(packed)
    with pytest.raises(DataError, match=r"archive: a: a chunk of .* unpacks to more than 32 bytes"):
        columns(tmp_path / "n")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shape": [10**15]}, "claims 1,000,000,000,000,000 rows; at most 50,000,000"),
        ({"shape": [10**15], "chunks": [10**15]}, "claims 1,000,000,000,000,000 rows"),
        ({"chunks": [10**15]}, "claims 1,000,000,000,000,000 rows"),
        ({"shape": [10**7], "chunks": [1]}, "claims 10,000,000 chunks; at most 100,000"),
        ({"shape": [10**6], "chunks": [10**6], "dtype": "<U100000"}, "claims 400,000,000,000 bytes"),
        ({"shape": [-1]}, "not a column"),
        ({"shape": [1.5]}, "not a column"),
        ({"chunks": [0]}, "not a column"),
        ({"shape": [10, 10]}, "not a column"),
        ({"shape": "10"}, "not a column"),
        ({"dtype": "nonsense"}, "not a column"),
        ({"filters": [{"id": "astype", "encode_dtype": "u1", "decode_dtype": "<U99999"}]}, "by 'astype'"),
        ({"filters": [{"id": "zlib"}]}, "encoded by 'zlib', which is not read here"),
        ({"filters": [{"id": "delta", "dtype": "<U9999999"}]}, "encoded by 'delta'"),
        ({"filters": [{}]}, "not a column"),
        ({"compressor": {"id": "unheard of"}}, "is damaged"),
        ({"compressor": "blosc"}, "is damaged"),
    ],
)
def test_absurd_claims(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    archive(tmp_path, None, np.arange(10.0))
    before = time.monotonic()
    with pytest.raises(DataError, match=told):
        columns(tmp_path, **changes)
    assert time.monotonic() - before < 5


def test_a_chunk_that_claims_more_texts_than_it_may(tmp_path: Path) -> None:
    import numcodecs

    archive(
        tmp_path, None, np.array(["a"] * 4, dtype=object), dtype=object, object_codec=numcodecs.VLenUTF8()
    )
    (tmp_path / "a" / "0").write_bytes(b"\xff\xff\xff\x7f" + bytes(20))
    with pytest.raises(DataError, match="a chunk claims more than the 4 values of its metadata"):
        columns(tmp_path)


def test_a_zstandard_frame_says_how_large_it_is() -> None:
    import numcodecs

    from polaris_rxrx.hub.zarrs import zstd_size

    for n in (0, 1, 255, 256, 300, 65_791, 65_792, 70_000, 5 * MIB):
        assert zstd_size(numcodecs.Zstd().encode(bytes(n))) == n
    with pytest.raises(ValueError, match="no Zstandard frame"):
        zstd_size(b"garbage")


# --- bundles -----------------------------------------------------------------------------------------------


def test_a_zip_packed_by_a_method_without_a_bound(tmp_path: Path, task: Any) -> None:
    import zipfile

    from polaris_rxrx.submission.verify import verify

    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = tmp_path / f"{method}.zip"
        with zipfile.ZipFile(path, "w", method) as packed:
            packed.writestr("bundle/report.json", bytes(MIB))  # the method is looked at, before any size
        with pytest.raises(DataError, match="packed by another method than stored or deflated"):
            verify(path, task)


# --- web answers -------------------------------------------------------------------------------------------


class Server:
    """Answers every GET by `send`, which writes the body itself."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.send: Callable[[Any], None] = lambda out: None
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.send_response(200)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):  # the other side has had enough
                    outer.send(self.wfile)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def drip(out: Any) -> None:
    """A byte every 20 ms, for 20 s: no timeout of a single read ever strikes."""
    for _ in range(1000):
        out.write(b" ")
        out.flush()
        time.sleep(0.02)


def endless(out: Any) -> None:
    for _ in range(256):  # far beyond any bound here, and no more than a machine holds
        out.write(b"x" * MIB)


def packed_without_end(out: Any) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    while True:
        out.write(packer.compress(bytes(MIB)))


@pytest.mark.parametrize(
    ("send", "headers", "told"),
    [
        (drip, {}, "sent an answer that did not end within 0.3 s"),
        (endless, {}, "sent an answer larger than 2 MiB, the most that is read of one"),
        (packed_without_end, {"Content-Encoding": "gzip"}, "sent an answer larger than 2 MiB"),
        (drip, {"Content-Encoding": "br"}, "sent an answer that is packed in a way that is not read here"),
    ],
)
def test_answers_of_a_hub(
    send: Any, headers: dict[str, str], told: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polaris_rxrx.hub.files import PublicHub

    monkeypatch.setattr(bounded, "SECONDS", 0.3)
    server.send, server.headers = send, headers
    settings = SimpleNamespace(default_timeout=(5, 5), api_url=f"{server.url}/api")
    before = time.monotonic()
    with PublicHub(settings, True) as hub, pytest.raises(UpstreamError) as raised:
        hub.get(f"{server.url}/x", "the table", 2 * MIB)
    assert str(raised.value).startswith("127.0.0.1: asked for the table, but it ") and told in str(
        raised.value
    )
    assert time.monotonic() - before < 4 and server.asked == 1  # asking again would bring the same


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
def test_answers_within_bounds(coding: str, server: Server) -> None:
    body = json.dumps({"a": "β" * 100_000}).encode()
    raw = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[coding](body)
    server.headers = {"Content-Encoding": coding, "Content-Length": str(len(raw))}
    server.send = lambda out: out.write(raw)
    with httpx.Client(event_hooks=bounded.hooks()) as client:
        assert client.get(server.url).json() == json.loads(body)
        asked = client.get(server.url, extensions=bounded.asking(len(body)))
        assert asked.content == body and asked.request.headers["Accept-Encoding"] == "gzip, deflate"
        with pytest.raises(httpx.RequestError, match="larger than") as raised:
            client.get(server.url, extensions=bounded.asking(len(body) - 1))
    assert bounded.overrun(raised.value) and not bounded.overrun(httpx.ReadError("x"))


def test_downloads(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from polaris_rxrx.dataset import transfer

    def told(**fields: Any) -> str:
        job = transfer.Job("table.csv", f"{server.url}/x", **fields)
        with transfer.new_client() as client, pytest.raises(UpstreamError) as raised:
            transfer.receive(job, client, tmp_path, lambda *_: None)
        return str(raised.value)

    server.send = endless
    assert "sent an answer larger than 3 MiB" in told(size=2 * MIB, sha256="0" * 64)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 5 * MIB
    monkeypatch.setattr(bounded, "OBJECT", 4 * MIB)
    assert "sent an answer larger than 4 MiB" in told()
    server.send = drip
    monkeypatch.setattr(bounded, "GRACE", 0.3)
    assert "bytes a second is not waited for" in told(size=5 * MIB)
    monkeypatch.setattr(bounded, "SECONDS", 0.3)
    with transfer.new_client() as client, pytest.raises(UpstreamError, match=r"did not end within 0.3 s"):
        transfer.read(transfer.Job("licence", f"{server.url}/x"), client)


def test_what_hugging_face_says_of_its_files(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from polaris_rxrx.dataset import transfer
    from polaris_rxrx.dataset.sources import HuggingFace

    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setattr(bounded, "DOCUMENT", 2 * MIB)
    monkeypatch.setattr(transfer, "PAUSE", 0.01)
    server.send = endless
    with transfer.new_client() as client:
        with pytest.raises(UpstreamError, match="sent an answer larger than 2 MiB"):
            HuggingFace(client).sizes  # noqa: B018
        monkeypatch.setattr(bounded, "SECONDS", 0.3)
        server.send = drip
        with pytest.raises(UpstreamError, match=r"sent an answer that did not end within 0.3 s"):
            HuggingFace(client).sizes  # noqa: B018
    assert server.asked == 2  # and nobody else asks anything


@pytest.mark.parametrize("digits", [400, 5000])
def test_numbers_of_many_digits_in_tables(
    digits: int, demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is told by its file, its line and its first digits."""
    number = "9" * digits
    shown = f"'{number[:79]}...'"
    table = tmp_path / "table.csv"
    table.write_text(f"treatment,gene_symbol,nM_value\nA,x,5\nA,y,{number}\n")
    err = refused(capsys, "prepare", "--annotations", table, "--out", tmp_path / "task")
    assert f"{table}, line 3: nM_value is {shown}" in err
    preds = tmp_path / "p.csv"
    rows = (demo / "random.csv").read_text().splitlines()
    rows[4] = f"{rows[4].rpartition(',')[0]},{number}"
    preds.write_text("\n".join(rows))
    err = refused(capsys, "score", preds, "--task", demo / "task")
    assert f"{preds}, line 5: active is {shown}" in err
    data = tmp_path / "data"
    data.mkdir()
    name = "metadata_rxrx3_core.csv"
    rows = (demo / "data" / name).read_text().splitlines()
    column = rows[0].split(",").index("concentration")
    at = next(i for i, row in enumerate(rows) if row.startswith("compound") and row.split(",")[column])
    cells = rows[at].split(",")
    rows[at] = ",".join([*cells[:column], number, *cells[column + 1 :]])
    (data / name).write_text("\n".join(rows))
    table = demo / "data" / "OpenPhenom_rxrx3_core_embeddings.parquet"
    words = ["baseline", "openphenom", "--task", demo / "task", "--data", data, "--embeddings", table]
    assert f"concentration is {shown}" in refused(capsys, *words, "--out", tmp_path / "x.csv")
