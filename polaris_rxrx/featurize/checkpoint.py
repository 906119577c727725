"""A model of OpenPhenom's kind, loaded: its own code makes it, its own file fills it, and both are looked at.

Conventions
    A checkpoint is a folder: `config.json`, whose `auto_map` names the classes of the configuration and of
    the model; their Python files; and `model.safetensors`. The code is run, so whoever loads it has to trust
    it; it is known by the hashes of its files, and other files are not run. Its classes come by
    transformers' `get_class_from_dynamic_module`; code in another repository than the checkpoint's own is
    refused.
    The weights are tensors alone. OpenPhenom's file, whatever its name says, is what `torch.save` wrote, a
    zip, in which `{"state_dict": ...}` stands; a true safetensors file is taken as well, and what a file is
    its first bytes tell. A zip is read by `torch.load(handle, weights_only=True)`: of a path, torch would go
    by the suffix. Nothing else in it is unpickled. `load_state_dict(strict=True)` fills the model, then every
    tensor of the model is compared with the file's, bit by bit.
    transformers' own `from_pretrained` has no part in it: version 5 leaves OpenPhenom with random weights,
    silently. Version 4 wants huggingface_hub below 1, which this package is not held to; `TESTED` is what is
    supported.
    Source of the interface: recursionpharma/maes_microscopy, `huggingface_mae.py` (`MAEConfig`, `MAEModel`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from polaris_rxrx import bounded
from polaris_rxrx.dataset.models import CONFIG, WEIGHTS
from polaris_rxrx.errors import DataError, MissingError, PolarisRxrxError, UsageError, one_line, short, some
from polaris_rxrx.files import sha256

# What loading was tested with: from the first of the two, below the second.
TESTED = {"transformers": ((5, 0), (6, 0)), "torch": ((2, 6), (3, 0))}
INSTALL = "pip install 'polaris-rxrx[openphenom]'"
_CLASS = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*", re.ASCII)
_LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a model, and the hashes of what is in it.

    Attributes:
        folder: Where it is; workers elsewhere find it there, too.
        name: The repository, or the folder's name.
        revision: The commit; empty of a folder of one's own.
        classes: Of the configuration and of the model, as in `huggingface_mae.MAEModel`.
        files: Names of the files and their SHA-256: code, configuration, weights.
    """

    folder: Path
    name: str
    revision: str
    classes: tuple[str, str]
    files: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, folder: Path, name: str = "", revision: str = "") -> Checkpoint:
        """Look at a folder, without running anything.

        Raises:
            MissingError: The folder or a file of it is not there.
            DataError: Its configuration does not say which classes make the model, or names other code.
        """
        folder = folder.resolve()
        for path in (folder / CONFIG, folder / WEIGHTS):
            if not path.is_file():
                raise MissingError(
                    f"{path} is not there; a folder with {CONFIG}, {WEIGHTS} and the model's Python files "
                    "was expected"
                )
        classes = _classes(folder / CONFIG)
        code = sorted(
            path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if _plain(path, folder)
        )
        for reference in classes:
            if (file := f"{reference.split('.')[0]}.py") not in code:
                raise MissingError(f"{folder / file} is not there; {CONFIG} names {reference}")
        files = tuple((file, sha256(folder / file)) for file in (*code, CONFIG, WEIGHTS))
        return cls(folder, name or folder.name, revision, classes, files)

    @property
    def code(self) -> dict[str, str]:
        """The files that are run, and their hashes."""
        return {name: digest for name, digest in self.files if name.endswith(".py")}

    @property
    def weights(self) -> str:
        """The hash of the file with the weights."""
        return dict(self.files)[WEIGHTS]

    def check(self) -> None:
        """Raise `DataError` unless the files are those that were looked at: other code was not accepted."""
        now = Checkpoint.of(self.folder, self.name, self.revision)
        held = dict(self.files)
        other = [name for name, digest in now.files if held.get(name) != digest]
        other += [name for name in held if name not in dict(now.files)]
        if other:
            raise DataError(f"{self.folder}: {some(other)} is not what it was when the model was accepted")


def _plain(path: Path, folder: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _classes(path: Path) -> tuple[str, str]:
    """The classes that a configuration names."""
    try:
        held = bounded.json_loads(bounded.read_file(path))
    except ValueError as error:
        raise DataError(f"{path}: it is no JSON ({one_line(error)})") from None
    named = held.get("auto_map") if isinstance(held, dict) else None
    found = []
    for what in ("AutoConfig", "AutoModel"):
        reference = named.get(what) if isinstance(named, dict) else None
        if isinstance(reference, str) and "--" in reference:
            raise DataError(
                f"{path}: {what} is {short(reference)}, code of another repository; code beside the weights "
                "was expected, which the revision pins"
            )
        if not isinstance(reference, str) or not _CLASS.fullmatch(reference):
            raise DataError(
                f"{path}: auto_map has {what} as {short(reference)}; the class was expected, such as "
                "'huggingface_mae.MAEModel'"
            )
        found.append(reference)
    return found[0], found[1]


# ---- what has to be installed


def require() -> dict[str, str]:
    """The versions of what loading stands on.

    Raises:
        UsageError: Something is not installed, or in a version that loading was not tested with.
    """
    found = {}
    for package, (least, below) in TESTED.items():
        version = _installed(package)
        if version is None:
            raise UsageError(f"OpenPhenom needs {package}, which is not installed: {INSTALL}")
        number = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
        if not least <= number < below:
            wanted = f"{_told(least)} or later, below {_told(below)}"
            raise UsageError(
                f"{package} {version} is installed, with which OpenPhenom was not tested; {wanted} was "
                f"expected: {INSTALL}"
            )
        found[package] = version
    return found


def versions() -> dict[str, str]:
    """Of what computes, for the protocol."""
    names = ("torch", "transformers", "timm", "torchvision")
    return {name: version for name in names if (version := _installed(name)) is not None}


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _told(number: tuple[int, ...]) -> str:
    return ".".join(map(str, number))


# ---- loading


def load(checkpoint: Checkpoint) -> tuple[Any, str]:
    """The model on the CPU, ready to predict, and the checksum of its weights.

    Raises:
        UsageError: Something is not installed, or in another version than was tested.
        DataError: The files are others than were accepted; the code does not run; the weights are no tensors,
            or not those of this model.
    """
    require()
    checkpoint.check()
    make_config, make_model = _code(checkpoint)
    path = checkpoint.folder / WEIGHTS
    with quiet():
        try:
            config = make_config.from_pretrained(str(checkpoint.folder), local_files_only=True)
            model = make_model(config)
        except Exception as error:  # of code that is not ours
            raise DataError(
                f"{checkpoint.folder}: its code cannot make the model ({one_line(error)})"
            ) from error
    weights = read_weights(path)
    wanted = checksum(weights)
    _fill(model, weights, path)
    _compare(model, weights, path)
    model.eval()
    if not callable(getattr(model, "predict", None)):
        raise DataError(
            f"{checkpoint.folder}: {checkpoint.classes[1]} has no predict(images); OpenPhenom's interface "
            "was expected"
        )
    return model, wanted


def _code(checkpoint: Checkpoint) -> list[Any]:
    """The classes of the configuration and of the model; this runs the checkpoint's code."""
    with quiet():
        try:
            from transformers import PreTrainedModel, dynamic_module_utils  # noqa: F401  # the reason, if it cannot

            # transformers copies code to where it imports it from, and processes that share a folder for it
            # may meet half a file.
            dynamic_module_utils.HF_MODULES_CACHE = _modules()
            return [
                dynamic_module_utils.get_class_from_dynamic_module(
                    reference, str(checkpoint.folder), local_files_only=True
                )
                for reference in checkpoint.classes
            ]
        except Exception as error:  # of code that is not ours
            raise _why_not(checkpoint, error) from error


def _why_not(checkpoint: Checkpoint, error: Exception) -> PolarisRxrxError:
    """Why code cannot be run; transformers puts an error of its own before the reason."""
    first: BaseException = error
    while (before := first.__cause__ or first.__context__) is not None:
        first = before
    if "torchvision::" in str(first):
        return UsageError(
            f"{checkpoint.folder}: its code cannot be run, for torchvision is of another build than torch "
            f"({one_line(first)}); both from the same place were expected"
        )
    if isinstance(error, ImportError):
        told = one_line(first).split("Run `pip", 1)[0].strip()
        return UsageError(f"{checkpoint.folder}: its code needs what is not installed ({told}): {INSTALL}")
    return DataError(f"{checkpoint.folder}: its code cannot be run ({one_line(error)})")


@cache
def _modules() -> str:
    """A folder for copies of code, this process's own, until it ends."""
    folder = tempfile.TemporaryDirectory(prefix="polaris-rxrx-code-")
    _kept.append(folder)
    return folder.name


_kept: list[Any] = []


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What foreign code prints goes to stderr; what it says of its own future is not our user's concern."""
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        # torch of the model's own normalization, which has no parameters: how many channels is all the same.
        warnings.filterwarnings("ignore", "input's size at dim=1 does not match num_features", UserWarning)
        yield


def read_weights(path: Path) -> dict[str, Any]:
    """The tensors of a file by their names: of a torch zip, or of a safetensors file.

    Raises:
        DataError: It is neither, is damaged, or holds anything but tensors.
    """
    with path.open("rb") as handle:
        start = handle.read(64)
    if start.startswith(b"PK\x03\x04"):
        held = _read_zip(path)
    elif start[8:9] == b"{":
        held = _read_safetensors(path)
    elif start.startswith(_LFS):
        raise DataError(f"{path}: it is a pointer of Git LFS, not the weights; `git lfs pull` fetches them")
    else:
        raise DataError(
            f"{path}: it is neither a torch zip nor a safetensors file; it starts with {start[:8]!r}"
        )
    import torch

    if isinstance(held, Mapping) and isinstance(held.get("state_dict"), Mapping):
        held = held["state_dict"]
    if not isinstance(held, Mapping) or not held:
        raise DataError(f"{path}: it holds {short(type(held).__name__)}; names with tensors were expected")
    wrong = [str(name) for name, value in held.items() if not isinstance(value, torch.Tensor)]
    if wrong or not all(isinstance(name, str) for name in held):
        raise DataError(f"{path}: {some(wrong)} is no tensor; weights alone were expected")
    return dict(held)


def _read_zip(path: Path) -> Any:
    import pickle

    import torch

    try:
        with path.open("rb") as handle:
            return torch.load(handle, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|global|Unsupported \w+:?|type) ([\w.]+)", str(error))
        what = f", {named[1]}" if named else ""
        raise DataError(f"{path}: it holds more than weights{what}, and is not loaded") from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise DataError(f"{path}: it cannot be read ({one_line(error)})") from None


def _read_safetensors(path: Path) -> Any:
    import safetensors
    import safetensors.torch

    try:
        return safetensors.torch.load_file(str(path), device="cpu")
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path}: it cannot be read ({one_line(error)})") from None


def _fill(model: Any, weights: Mapping[str, Any], path: Path) -> None:
    try:
        model.load_state_dict(dict(weights), strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
        told = "; ".join(short(line, 160).strip("'\"") for line in lines[:3])
        more = f"; and {len(lines) - 3:,} more" if len(lines) > 3 else ""
        raise DataError(f"{path}: these are not the weights of this model. {told}{more}") from None


def _compare(model: Any, weights: Mapping[str, Any], path: Path) -> None:
    """Raise `DataError` unless every tensor of the model is the file's, bit by bit."""
    held = model.state_dict()
    other = [
        name for name in weights if name not in held or _bits(name, held[name]) != _bits(name, weights[name])
    ]
    other += [name for name in held if name not in weights]
    if other:
        raise DataError(
            f"{path}: {len(other):,} of {len(weights):,} tensors of the loaded model are not the file's, bit "
            f"by bit: {some(other, 3)}"
        )


def checksum(tensors: Mapping[str, Any]) -> str:
    """One hash of names, types, shapes and bits of tensors, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(_bits(name, tensors[name]))
    return digest.hexdigest()


def _bits(name: str, tensor: Any) -> bytes:
    import torch

    plain = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(json.dumps([name, str(plain.dtype), list(plain.shape)]).encode())
    if plain.numel():
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()
