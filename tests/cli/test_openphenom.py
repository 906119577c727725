"""`featurize openphenom`: a model of a folder or of Hugging Face, its licence, its code, the published table.

What needs torch and transformers (extra `openphenom`) is skipped by name where they are not installed.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from typing import Any

import click
import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polaris_rxrx.cli import _downloads, _openphenom, cli, run
from polaris_rxrx.cli.featurize import command
from polaris_rxrx.dataset.models import PINNED
from polaris_rxrx.featurize import checkpoint as checkpoints
from tests.conftest import ROOT
from tests.featurize.stub_model import WIDTH, expected, tensors, write_checkpoint, write_files
from tests.images.screens import write_screen
from tests.servers.huggingface import COMMIT, MODEL, serving

Run = Callable[..., "tuple[int, str, str]"]
SEEDS = {"A01": 1, "A02": 2, "B01": 3}
WELLS = {
    well: np.random.default_rng(seed).integers(0, 256, (6, 256, 256)).astype(np.uint8)
    for well, seed in SEEDS.items()
}
needs_torch = pytest.mark.skipif(
    not (util.find_spec("torch") and util.find_spec("transformers")),
    reason="extra openphenom: torch and transformers are not installed",
)


@pytest.fixture(scope="module", autouse=True)
def closed_session() -> Iterator[None]:
    yield
    huggingface_hub.close_session()


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three wells of one crop each."""
    folder = tmp_path_factory.mktemp("screen") / "screen"
    write_screen(folder, {(well, "1"): pixels for well, pixels in WELLS.items()})
    return folder / "images.csv"


@pytest.fixture
def featurize(screen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `featurize openphenom …`: exit code, stdout, stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        out = tmp_path / "out"
        code = run(["featurize", "openphenom", "--images", str(screen), "--out", str(out), *words])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return code, told.out, told.err

    return call


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra were installed: what is refused before a model is loaded."""
    monkeypatch.setattr(checkpoints, "require", dict)


def matrix(folder: Path) -> dict[str, Any]:
    tables = [pq.read_table(path) for path in sorted(folder.rglob("*.parquet"))]
    table = pa.concat_tables(tables)
    names = [f"feature_{i}" for i in range(WIDTH)]
    assert set(names) <= set(table.column_names)
    rows = np.array([table.column(name).to_numpy() for name in names]).T
    return dict(zip(table.column("well_id").to_pylist(), rows, strict=True))


def test_the_page_about_it_is_true() -> None:
    """docs/images.md: its lines are understood, and the commit is the one that this was built for."""
    page = (ROOT / "docs" / "images.md").read_text("utf-8")
    lines = [shlex.split(line) for line in page.splitlines() if "featurize openphenom" in line]
    assert len(lines) == 2
    parent = cli.make_context("polaris-rxrx", ["--version"], resilient_parsing=True)
    for words in lines:
        # Without its group the command would have no -h from then on.
        context = command.make_context("featurize", words[2:], parent=parent)
        assert context.params["how"] == "openphenom"
    assert PINNED[MODEL] in lines[0]


# ---- refused before anything is loaded


def test_an_untested_transformers_stops_it(
    featurize: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_installed", {"transformers": "4.57.1", "torch": "2.13.0"}.get)
    code, _, told = featurize("--model", str(write_files(tmp_path / "op")), "--trust-remote-code")
    assert code == 2
    assert "transformers 4.57.1 is installed, with which OpenPhenom was not tested" in told


@pytest.mark.usefixtures("ready")
def test_what_cannot_be_meant(featurize: Run, tmp_path: Path, screen: Path) -> None:
    op = str(write_files(tmp_path / "op"))
    cpu = ("--device", "cpu")
    for words, told in [
        (("--model", op, *cpu), "made by its own Python files (3 there), which run as you do"),
        (("--model", op, "--revision", COMMIT, *cpu), "--revision belongs to a repository"),
        (("--model", str(tmp_path / "gone"), *cpu), "gone': no such folder is there"),
        (("--model", "somebody/else", *cpu), "somebody/else without a --revision; the commit was expected"),
        (("--model", op, "--mended"), "--mended belongs to MODULE:FUNCTION"),
    ]:
        code, _, err = featurize(*words)
        assert code == 2
        assert told in err
    assert not (tmp_path / "out").exists()


def test_its_options_are_its_own(screen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["featurize", "a:b", "--images", str(screen), "--out", "x", "--revision", COMMIT]) == 2
    assert "--revision belongs to openphenom; MODULE:FUNCTION has no use for it" in capsys.readouterr().err


@pytest.mark.usefixtures("ready")
def test_a_folders_licence_is_accepted_too(
    featurize: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = write_files(tmp_path / "op")
    (op / "LICENSE.txt").write_text("You may not sell it.\n")
    words = ("--model", str(op), "--device", "cpu")
    code, _, told = featurize(*words, "--trust-remote-code")
    assert code == 2
    assert f"Read {(op / 'LICENSE.txt')}; if you accept it, add --accept-licence" in told
    asked = list[str]()

    def confirm(text: str, **_: Any) -> bool:
        asked.append(text)
        return len(asked) != 1

    monkeypatch.setattr(click, "confirm", confirm)
    for module in (_downloads, _openphenom):
        monkeypatch.setattr(module, "can_ask", lambda: True)
    code, _, told = featurize(*words)
    assert (code, asked) == (1, [f"Do you accept op's licence ({op / 'LICENSE.txt'})?"])
    assert "You may not sell it." in told
    assert "The licence was not accepted; nothing was done." in told
    monkeypatch.setattr(click, "confirm", lambda text, **_: asked.append(text) or "licence" in text)
    code, _, told = featurize(*words)
    assert (code, asked[-1]) == (1, "Do you trust them?")
    assert "huggingface_mae.py  (SHA-256 " in told
    assert "The model's code was not trusted; nothing was run." in told


# ---- the stub, run for real


@needs_torch
def test_a_folders_model_makes_a_table(featurize: Run, tmp_path: Path, screen: Path) -> None:
    weights = tensors(seed=9)
    op = write_checkpoint(tmp_path / "op", weights)
    wanted = {well: expected(pixels, weights) for well, pixels in WELLS.items()}
    published = pa.table(
        {
            "well_id": list(wanted),
            **{f"feature_{i}": [row[i] for row in wanted.values()] for i in range(WIDTH)},
        }
    )
    pq.write_table(published, tmp_path / "published.parquet")
    words = ("--model", str(op), "--trust-remote-code", "--device", "cpu")
    code, out, told = featurize(*words, "--check-against", str(tmp_path / "published.parquet"))
    assert code == 0, told
    assert "op: on cpu, in float32" in told
    assert "3 wells compared with" in told
    assert "lowest cosine is 1.0000, above 0.99" in told
    assert f"3 wells, {WIDTH} features" in out
    given = matrix(tmp_path / "out")
    assert list(given) == list(WELLS)
    for well, row in given.items():
        assert np.allclose(row, wanted[well], rtol=2e-5, atol=1e-6)


@needs_torch
def test_other_weights_than_the_published_tables_are_stopped(featurize: Run, tmp_path: Path) -> None:
    op = write_checkpoint(tmp_path / "op", tensors(seed=9))
    turned = {name: -tensor for name, tensor in tensors(seed=10).items()}
    other = {well: expected(pixels, turned) for well, pixels in WELLS.items()}
    columns = {f"feature_{i}": [row[i] for row in other.values()] for i in range(WIDTH)}
    pq.write_table(pa.table({"well_id": list(other), **columns}), tmp_path / "published.parquet")
    words = (
        "--model",
        str(op),
        "--trust-remote-code",
        "--check-against",
        str(tmp_path / "published.parquet"),
    )
    code, _, told = featurize(*words)
    assert code == 1
    assert "3 of 3 wells are not as in" in told
    assert "B01 (" in told
    assert not (tmp_path / "out").exists()


@needs_torch
def test_a_model_of_hugging_face(featurize: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched, loaded and run; the manifest says which commit it was."""
    weights = tensors(seed=11)
    held = write_checkpoint(tmp_path / "upstream", weights)
    monkeypatch.setenv("POLARIS_RXRX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "*")
    with serving() as server:
        server.files = {path.name: path.read_bytes() for path in held.iterdir()} | {
            "LICENSE": b"Non-commercial.\n"
        }
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        words = ("--model", MODEL, "--revision", COMMIT, "--trust-remote-code")
        code, _, told = featurize(*words)
        assert code == 2
        assert "comes under a licence of its own, and there is no terminal to ask on" in told
        code, _, told = featurize(*words, "--accept-licence")
        assert code == 0, told
        assert f"Accepted by --accept-licence: {MODEL}'s licence" in told
    given = matrix(tmp_path / "out")
    for well, row in given.items():
        assert np.allclose(row, expected(WELLS[well], weights), rtol=2e-5, atol=1e-6)
    manifest = (tmp_path / "out" / "manifest.json").read_text()
    assert COMMIT in manifest
    assert "huggingface_mae.py" in manifest
