"""One's own model: what it is given, what it gives, and what is said where it gives something else."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from polaris_rxrx.errors import DataError, UsageError
from polaris_rxrx.featurize.engine import featurize
from polaris_rxrx.featurize.function import Function
from polaris_rxrx.featurize.rows import metadata_name, table_of
from tests.featurize.plates import Plates, screen, tree, wells

_numbers = itertools.count()
MEANS = """
import numpy as np

def embed(x):
    print("on stdout")
    assert x.shape[1:] == (2, 8, 8) and x.dtype == np.uint8 and len(x) <= 4
    return x.mean(axis=(2, 3), dtype=np.float32)
"""


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that no other test has, in the working directory."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(sys, "path", list(sys.path))
    found = f"model_{next(_numbers)}"
    yield found
    for module in [m for m in sys.modules if m.partition(".")[0] == found]:
        del sys.modules[module]


def write(name: str, text: str) -> None:
    Path(f"{name}.py").write_text(text)


def run(name: str, text: str, out: Path, *, images: Plates | None = None, **how: Any) -> pd.DataFrame:
    write(name, text)
    featurize(images or screen(), Function.find(f"{name}:embed", batch_size=4, wells_a_task=3), out, **how)
    return pd.concat(map(pd.read_parquet, sorted(out.glob("*.parquet")))).set_index("well_id")


def test_sites_are_averaged(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(name, MEANS, tmp_path / "out", images=screen(n_sites=3))
    printed = capsys.readouterr()
    assert not printed.out and "on stdout" in printed.err
    assert list(found.index) == list(wells()) and found.Metadata_Site_Count.eq(3).all()
    x = found[["feature_0", "feature_1"]]
    assert (x.dtypes == np.float32).all()
    expected = [screen(n_sites=3).pixels(well).mean(axis=(0, 2, 3)) for well in wells()]
    np.testing.assert_allclose(x, expected, rtol=1e-6)


def test_tensors_come_from_their_device(name: str, tmp_path: Path) -> None:
    """Whatever walks like a tensor of torch: with gradients, elsewhere, of a type that NumPy has not."""
    tensor = """
class Tensor:
    def __init__(self, x, where, dtype, grad):
        self.x, self.where, self.dtype, self.grad = x, where, dtype, grad
    def detach(self):
        return Tensor(self.x, self.where, self.dtype, False)
    def cpu(self):
        return Tensor(self.x, "cpu", self.dtype, self.grad)
    def float(self):
        return Tensor(self.x, self.where, "torch.float32", self.grad)
    def __array__(self, dtype=None, copy=None):
        assert (self.where, self.dtype, self.grad) == ("cpu", "torch.float32", False)
        return self.x

def embed(x):
    return Tensor(x.mean(axis=(2, 3)), "cuda:0", "torch.bfloat16", True)
"""
    found = run(name, tensor, tmp_path / "out")
    expected = screen().pixels(wells()[0]).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(found[["feature_0", "feature_1"]].iloc[0], expected)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return np.where(np.arange(len(x))[:, None] == 2, np.nan, x.mean((2, 3)))",
            r"embed gave nan for 1 of 4 sites, of the well 'gene-001_1_A02'; finite numbers were expected",
        ),
        (
            "return x.mean((2, 3)) / np.zeros(2)",
            r"gave inf for 4 of 4 sites, of the wells 'gene-",
        ),
        (
            "return x.mean((2, 3))[:, :1 + (len(x) == 4)]",
            r"embed gave 1 features for the well 'gene-001_1_A03', and 2 before; the same number for every",
        ),
        ("return x.mean((2, 3))[:-1]", r"gave float64 \(3, 2\) for a batch of 4 sites of the wells 'gene-00"),
        ("return x.mean((1, 2, 3))", r"gave float64 \(4,\) .*floating-point numbers \(4, D\) were expected"),
        ("return x.sum((2, 3))", r"gave uint64 \(4, 2\) for .*; floating-point numbers \(4, D\) were"),
        ("return x.mean((2, 3))[:, :0]", r"gave float64 \(4, 0\) for "),
        ("return {'features': x}", r"gave object \(\) for "),
        ("return x.mean((2, 3)).astype(str)", r"gave str\d+ \(4, 2\) for "),
        ("return", r"gave object \(\) for "),
        (
            "if len(x) < 4:\n        broken = {}['weights']\n    return x.mean((2, 3))",
            r"embed raised .KeyError: 'weights'. \(model_\d+.py, line 4\) on a batch of 2 sites of the well",
        ),
        ("np.linalg.inv(np.zeros((2, 2)))", r"raised 'LinAlgError: .* \(model_\d+.py, line 3\) on a batch"),
        ("raise SystemExit(3)", r"raised 'SystemExit: 3' \(model_\d+.py, line 3\)"),
    ],
)
def test_answers_that_are_none(name: str, body: str, message: str, tmp_path: Path) -> None:
    with np.errstate(all="ignore"), pytest.raises(DataError, match=message):
        run(name, f"import numpy as np\ndef embed(x):\n    {body}\n", tmp_path / "out")


def test_mended_it_goes_on(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    broken = MEANS.replace("    return", "    assert len(x) == 4 or x[0, 0, 0, 0] != N, 'odd'\n    return")
    first = screen().pixels("gene-001_2_A03")[0, 0, 0, 0]
    broken = broken.replace(" N,", f" {first},")
    with pytest.raises(DataError, match=r"raised 'AssertionError: odd' \(model_\d+.py, line 7\) on a batch"):
        run(name, broken, out)
    kept = sorted(p.name for p in out.glob("*.parquet"))
    assert kept == ["gene-001_Plate1-000.parquet", "gene-001_Plate1-001.parquet"]
    with pytest.raises(UsageError, match=rf"{name}.py has changed since features were made there; --mended"):
        run(name, MEANS, out, resume=True)
    found = run(name, MEANS, out, resume=True, mended=True)
    assert len(found) == 10
    manifest = pd.read_json(out / "manifest.json", typ="series")
    used = [part["code"][f"{name}.py"] for part in manifest["parts"]]
    assert used[0] == used[1] != used[2] == used[3] == manifest["run"]["code"][f"{name}.py"]
    # And once more, with nothing changed.
    before = tree(out)
    run(name, MEANS, out, resume=True, mended=True)
    assert tree(out) == before


def test_code_that_changes_while_it_works(name: str, tmp_path: Path) -> None:
    write(name, MEANS)
    found = Function.find(f"{name}:embed")
    write(name, MEANS + "\n# later\n")
    with pytest.raises(DataError, match=rf"'{name}.py' of {name}:embed changed while features were being"):
        featurize(screen(), found, tmp_path / "out")


def test_modules_and_functions_that_are_not_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(name, "value = 3\n")
    for word, message in {
        "nowhere_at_all:embed": r"no module 'nowhere_at_all': neither nowhere_at_all.py in the working dir",
        f"{name}:embed": rf"{name}.py has no 'embed'",
        f"{name}:value": "is int; a function was expected",
        f"{name}.py:embed": rf"the name of a module, {name}:embed, was expected",
        f"{name}:": "MODULE:FUNCTION, such as mymodel:embed, was expected",
        "a b:embed": "MODULE:FUNCTION, such as",
    }.items():
        with pytest.raises(UsageError, match=message):
            Function.find(word)
    write(name, "import not_installed_at_all\n")
    with pytest.raises(UsageError, match="imported: ModuleNotFoundError: No module named 'not_inst"):
        Function.find(f"{name}:embed")
    write(name, "def embed(x):\n    return x +\n")
    with pytest.raises(UsageError, match=rf"cannot be imported: 'SyntaxError: .* \({name}.py, line 2\)"):
        Function.find(f"{name}:embed")
    write(name, "x = 1\ny = 1 / 0\n")
    with pytest.raises(UsageError, match=rf"ZeroDivisionError: division by zero' \({name}.py, line 2\)"):
        Function.find(f"{name}:embed")
    write("json", MEANS)
    with pytest.raises(UsageError, match=r"json.py: a module 'json' of another place .* is in use already"):
        Function.find("json:embed")
    with pytest.raises(UsageError, match="a batch of 0 sites"):
        Function.find("numpy:mean", batch_size=0)


def test_where_a_function_is(name: str, tmp_path: Path) -> None:
    Path(name).mkdir()
    Path(name, "__init__.py").write_text("")
    Path(name, "nets.py").write_text("class Net:\n    embed = staticmethod(lambda x: x.mean((2, 3)))\n")
    found = Function.find(f"{name}.nets:Net.embed")
    assert found.where == str(Path.cwd() / name / "nets.py")
    assert [n for n, _ in found.code] == [f"{name}/__init__.py", f"{name}/nets.py"]
    installed = Function.find("numpy.linalg:norm")
    assert "numpy" in installed.where and installed.code


def test_names_of_columns() -> None:
    assert metadata_name("experiment_name") == "Metadata_Experiment_Name"
    found = table_of(screen(), ["gene-001_1_A02"], [2], {"feature_0": np.array([0.5])})
    assert found.to_pylist() == [
        {
            "well_id": "gene-001_1_A02",
            "Metadata_Experiment": "gene-001",
            "Metadata_Plate": "1",
            "Metadata_Address": "A02",
            "Metadata_Site_Count": 2,
            "feature_0": 0.5,
        }
    ]
