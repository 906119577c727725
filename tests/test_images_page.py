"""docs/images.md, and a guide on images, are true: their commands run on the demo's plates, made small."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from PIL import Image

from polaris_rxrx.cli import run
from polaris_rxrx.dataset.sandbox_plates import write_plates
from tests.conftest import ROOT
from tests.plates_factory import small_plates

PAGE = (ROOT / "docs" / "images.md").read_text("utf-8")
GUIDE = (ROOT / "docs" / "guides" / "your-model.md").read_text("utf-8")


def blocks(language: str, page: str = PAGE) -> list[str]:
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```", page, re.M | re.S)


def lines(block: str) -> list[list[str]]:
    """The words of every command, without `polaris-rxrx`."""
    found = [line for line in block.replace("\\\n", "").splitlines() if line.startswith("polaris-rxrx ")]
    return [shlex.split(line)[1:] for line in found]


@pytest.fixture
def plates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `images`, the working directory: where `demo --images` and `cd` lead."""
    small_plates(monkeypatch)
    (tmp_path / "images").mkdir()
    write_plates(tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_images_become_a_score_in_one_go(plates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (first, *rest) = lines(blocks("sh")[0])
    assert first == ["demo", "--images"]
    assert [words[0] for words in rest] == ["view", "view", "featurize", "prepare", "baseline", "score"]
    for words in rest:
        assert run(words) == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"
    for name in ("well.png", "plate.png"):
        with Image.open(plates / name) as picture:
            assert picture.width > 500
    capsys.readouterr()
    assert run([*rest[-1], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pr_auc_above_chance"] > 0.15


def test_ones_own_model_is_tried_and_run(
    plates: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mymodel", raising=False)  # another page's
    cells = "".join(blocks("{code-cell}", GUIDE))
    (code,) = re.findall(r"^cat > mymodel\.py <<'END'\n(.*?)^END$", cells, re.M | re.S)
    (plates / "mymodel.py").write_text(code)
    words = [line for line in lines(cells) if line[0] == "featurize"]
    assert [line[-1] for line in words] == ["--check", "features"]
    for line in words:
        assert run(line) == 0, f"{shlex.join(line)}: {capsys.readouterr().err}"
    assert len(list((plates / "features").glob("*.parquet"))) == 2


def test_the_notebook_example_runs(plates: Path) -> None:
    code = next(block for block in blocks("python") if "pr.view(" in block)
    names: dict[str, object] = {}
    exec(compile(code, "docs/images.md", "exec"), names)
    assert "images" in names
