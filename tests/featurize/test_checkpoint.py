"""A checkpoint of OpenPhenom's kind is loaded to the bit, by its own code, or refused by a sentence.

What needs torch and transformers (extra `openphenom`) is skipped by name where they are not installed.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from polaris_rxrx.errors import DataError, MissingError, UsageError
from polaris_rxrx.featurize import checkpoint as checkpoints
from polaris_rxrx.featurize.checkpoint import Checkpoint, checksum, load, read_weights, require
from tests.featurize.stub_model import CONFIG, MODEL, tensors, write_checkpoint, write_files


@pytest.fixture
def torch() -> Any:
    """Torch, with transformers beside it, or a skip that says so."""
    pytest.importorskip("transformers", reason="extra openphenom: transformers is not installed")
    return pytest.importorskip("torch", reason="extra openphenom: torch is not installed")


def refused(folder: Path, words: str, kind: type[Exception] = DataError) -> None:
    with pytest.raises(kind, match=words):
        load(Checkpoint.of(folder))


# ---- what is looked at before anything runs


def test_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "op")
    (folder / ".git").mkdir()
    (folder / ".git" / "hook.py").write_text("raise SystemExit")
    found = Checkpoint.of(folder, "recursionpharma/OpenPhenom", "f" * 40)
    assert found.classes == ("huggingface_mae.MAEConfig", "huggingface_mae.MAEModel")
    assert list(found.code) == ["__init__.py", "huggingface_mae.py", "normalizer.py"]
    assert [name for name, _ in found.files[3:]] == ["config.json", "model.safetensors"]
    assert pickle.loads(pickle.dumps(found)) == found
    assert Checkpoint.of(folder).name == "op"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "huggingface_mae.py"])
def test_a_folder_that_lacks_a_file(tmp_path: Path, name: str) -> None:
    (write_files(tmp_path / "op") / name).unlink()
    with pytest.raises(MissingError, match=f"{name} is not there"):
        Checkpoint.of(tmp_path / "op")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{", "config.json: it is no JSON"),
        ({**CONFIG, "auto_map": None}, "auto_map has AutoConfig as None; the class was expected, such as"),
        ({**CONFIG, "auto_map": {"AutoConfig": "a.B", "AutoModel": "../a.B"}}, r"AutoModel as '\.\./a\.B'"),
        (
            {**CONFIG, "auto_map": {"AutoConfig": "a.B", "AutoModel": "x/y--a.B"}},
            "AutoModel is 'x/y--a.B', code of another repository",
        ),
    ],
)
def test_a_configuration_that_names_no_classes(tmp_path: Path, config: Any, words: str) -> None:
    with pytest.raises((DataError, MissingError), match=words):
        Checkpoint.of(write_files(tmp_path, config=config))


@pytest.mark.parametrize("change", ["other", "more", "gone"])
def test_other_files_than_were_accepted(tmp_path: Path, change: str) -> None:
    held = Checkpoint.of(write_files(tmp_path))
    held.check()
    path = tmp_path / {"other": "normalizer.py", "more": "extra.py", "gone": "__init__.py"}[change]
    path.unlink() if change == "gone" else path.write_text("import os\n")
    with pytest.raises(DataError, match=rf"'{path.name}' is not what it was when the model was accepted"):
        held.check()


# ---- what has to be installed


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(checkpoints.metadata, "version", version)


@pytest.mark.parametrize("transformers", ["4.57.1", "6.0.0", "4.99.0.dev0", "3.0"])
def test_an_untested_transformers_is_refused(monkeypatch: pytest.MonkeyPatch, transformers: str) -> None:
    installed(monkeypatch, transformers=transformers, torch="2.13.0+cpu")
    words = (
        f"^transformers {transformers} is installed, with which OpenPhenom was not tested; 5.0 or later, bel"
    )
    with pytest.raises(UsageError, match=words):
        require()


def test_what_is_tested_is_taken_and_what_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"transformers": "5.24.0", "torch": "2.13.0+cpu"}
    installed(monkeypatch, **versions)
    assert require() == versions
    installed(monkeypatch, transformers="5.24.0")
    with pytest.raises(
        UsageError, match=r"needs torch, which is not installed: pip install 'polaris-rxrx\[open"
    ):
        require()
    installed(monkeypatch, transformers="5.24.0", torch="1.13.1")
    with pytest.raises(UsageError, match=r"torch 1.13.1 is installed"):
        require()


# ---- the file with the weights


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "neither a torch zip nor a safetensors file; it starts with b''"),
        (b"\x80\x02}q\x00.", r"neither a torch zip nor a safetensors file; it starts with b'\\x80"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "a pointer of Git LFS, not the weights",
        ),
    ],
)
def test_a_file_that_holds_no_weights(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_weights(path)


class Trap:
    """What makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


def test_a_pickle_with_code_in_it_is_not_run(tmp_path: Path, torch: Any) -> None:
    marker = tmp_path / "was run"
    folder = write_checkpoint(tmp_path / "op", {**tensors(), "trap": Trap(marker)})
    refused(folder, r"model\.safetensors: it holds more than weights, \w+\.mkdir, and is not loaded")
    assert not marker.exists()
    with (folder / "model.safetensors").open("rb") as handle:
        torch.load(handle, weights_only=False)  # with the other way of loading it is run
    assert marker.is_dir()


def test_a_damaged_zip(tmp_path: Path, torch: Any) -> None:
    path = write_checkpoint(tmp_path / "op") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:2_000])
    refused(tmp_path / "op", r"model\.safetensors: it cannot be read")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no weights")
    refused(tmp_path / "op", r"model\.safetensors: it cannot be read")


@pytest.mark.parametrize(
    ("held", "words"), [([1, 2], "'list'"), ({}, "'dict'"), ({"epoch": 3}, "'epoch' is no tensor")]
)
def test_a_zip_without_tensors(tmp_path: Path, torch: Any, held: Any, words: str) -> None:
    refused(write_checkpoint(tmp_path, held, wrapped=False), words)


# ---- the model


def test_the_model_has_the_bits_of_the_file(
    tmp_path: Path, torch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tensors(seed=3)
    model, found = load(Checkpoint.of(write_checkpoint(tmp_path / "op", weights)))
    assert type(model).__name__ == "MAEModel"
    assert not model.training
    assert {name: t.numpy().tobytes() for name, t in model.state_dict().items()} == {
        name: t.numpy().tobytes() for name, t in weights.items()
    }
    assert found == checksum(dict(reversed(weights.items())))
    assert found != checksum({**weights, "project.bias": weights["project.bias"] * (1 + 2**-23)})
    assert found != checksum({**weights, "project.bias": weights["project.bias"].reshape(2, 4)})
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "being made\n")
    assert not (Path.home() / ".cache" / "huggingface" / "modules").exists()


def test_true_safetensors_and_bare_tensors_are_taken_too(tmp_path: Path, torch: Any) -> None:
    from safetensors.torch import save_file

    weights = tensors(seed=4)
    save_file(weights, write_files(tmp_path / "a") / "model.safetensors")
    write_checkpoint(tmp_path / "b", weights, wrapped=False)
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert load(Checkpoint.of(folder))[1] == checksum(weights)
    cut = (tmp_path / "a" / "model.safetensors").read_bytes()[:-5]
    (tmp_path / "a" / "model.safetensors").write_bytes(cut)
    refused(tmp_path / "a", r"model\.safetensors: it cannot be read \(SafetensorError")


def test_weights_of_another_model(tmp_path: Path, torch: Any) -> None:
    weights = tensors()
    missing = {name: weights[name] for name in ("project.bias",)}
    refused(
        write_checkpoint(tmp_path / "a", missing),
        'not the weights of this model.*Missing key.*"project.weight"',
    )
    more = {**weights, "head.weight": weights["project.bias"]}
    refused(
        write_checkpoint(tmp_path / "b", more), 'not the weights of this model.*Unexpected key.*"head.weight"'
    )
    refused(write_checkpoint(tmp_path / "c", tensors(width=4)), "size mismatch for project.weight")


def test_weights_that_loading_alters(tmp_path: Path, torch: Any) -> None:
    half = {name: tensor.half() for name, tensor in tensors().items()}
    refused(
        write_checkpoint(tmp_path / "a", half),
        "2 of 2 tensors of the loaded model are not the file's, bit by bit",
    )
    altered = MODEL + (
        "\n    def load_state_dict(self, *args, **kwargs):\n"
        "        super().load_state_dict(*args, **kwargs)\n"
        "        self.project.bias.data[0] += 1e-3\n"
    )
    refused(
        write_checkpoint(tmp_path / "b", model=altered),
        "1 of 2 tensors of the loaded model are not the file's, bit by bit: 'project.bias'",
    )
    random = MODEL + "\n    def load_state_dict(self, *args, **kwargs):\n        pass\n"
    refused(
        write_checkpoint(tmp_path / "c", model=random),
        "2 of 2 tensors of the loaded model are not the file's",
    )


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        (
            "import no_such_module\n" + MODEL,
            UsageError,
            "its code needs what is not installed .*no_such_module",
        ),
        (
            "raise RuntimeError('operator torchvision::nms does not exist')\n",
            UsageError,
            "of another build than torch",
        ),
        ("1 / 0\n", DataError, "its code cannot be run .ZeroDivisionError: division by zero"),
        (
            MODEL.replace("super().__init__(config)", "raise KeyError('x')"),
            DataError,
            "cannot make the model .KeyError",
        ),
        (
            MODEL.replace("def predict", "def embed"),
            DataError,
            r"huggingface_mae.MAEModel has no predict\(images\)",
        ),
        (MODEL.replace("class MAEModel", "class Other"), DataError, "its code cannot be run .*MAEModel"),
    ],
)
def test_code_that_makes_no_model(
    tmp_path: Path, torch: Any, model: str, kind: type[Exception], words: str
) -> None:
    refused(write_checkpoint(tmp_path, model=model), words, kind)
