"""A checkpoint with OpenPhenom's interface, a few kilobytes large, written with or without something wrong.

Conventions: the modelling file is what the published one is in small: relative imports, a configuration and a
model of transformers' kinds, a `from_pretrained` of its own (which must never be called), `predict` on crops
(N, C, 256, 256), which normalizes them itself. The weights are `{"state_dict": ...}` in a torch zip that is
named `model.safetensors`. What it gives is known without it: `expected`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WIDTH = 8
Array = npt.NDArray[Any]

NORMALIZER = """
import torch


class Normalizer(torch.nn.Module):
    def forward(self, pixels):
        return pixels.float() / 255.0
"""
MODEL = """
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from .normalizer import Normalizer


class MAEConfig(PretrainedConfig):
    model_type = "MAE"

    def __init__(self, width=8, **kwargs):
        super().__init__(**kwargs)
        self.width = width


class MAEModel(PreTrainedModel):
    config_class = MAEConfig

    def __init__(self, config):
        super().__init__(config)
        print("being made")
        self.input_norm = nn.Sequential(
            Normalizer(), nn.InstanceNorm2d(None, affine=False, track_running_stats=False)
        )
        self.project = nn.Conv2d(1, config.width, 16, stride=16)
        self.drop = nn.Dropout(0.5)

    def predict(self, imgs):
        assert imgs.dtype == torch.uint8
        x = self.input_norm(imgs)
        x = torch.stack([self.project(x[:, i : i + 1]) for i in range(x.shape[1])], dim=2)
        return torch.relu(self.drop(x)).flatten(2).mean(dim=2)

    @classmethod
    def from_pretrained(cls, *_, **__):
        raise AssertionError("its own loading was used")
"""
CONFIG = {
    "architectures": ["MAEModel"],
    "auto_map": {"AutoConfig": "huggingface_mae.MAEConfig", "AutoModel": "huggingface_mae.MAEModel"},
    "model_type": "MAE",
    "width": WIDTH,
    "torch_dtype": "float32",
    "transformers_version": "4.46.2",
}


def write_files(folder: Path, *, model: str = MODEL, config: Any = CONFIG) -> Path:
    """All but the weights, in place of which there are other bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").touch()
    (folder / "normalizer.py").write_text(NORMALIZER)
    (folder / "huggingface_mae.py").write_text(model)
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"not the weights")
    return folder


def tensors(seed: int = 0, width: int = WIDTH) -> dict[str, Any]:
    """Weights of the stub."""
    import torch

    drawn = np.random.default_rng(seed)
    return {
        "project.weight": torch.from_numpy(drawn.normal(0, 0.2, (width, 1, 16, 16)).astype(np.float32)),
        "project.bias": torch.from_numpy(drawn.normal(0, 0.2, width).astype(np.float32)),
    }


def write_checkpoint(folder: Path, weights: Any = None, *, model: str = MODEL, wrapped: bool = True) -> Path:
    """A whole checkpoint."""
    import torch

    write_files(folder, model=model)
    held = tensors() if weights is None else weights
    torch.save({"state_dict": held} if wrapped else held, folder / "model.safetensors")
    return folder


def expected(crop: Array, weights: dict[str, Any]) -> Array:
    """What the stub gives of one crop (C, 256, 256), from its definition: normalized channel by channel, each
    patch of 16x16 times the weights, and the mean of the positive parts."""
    kernel = weights["project.weight"].numpy().astype(float)[:, 0]
    bias = weights["project.bias"].numpy().astype(float)
    given = []
    for channel in crop.astype(float) / 255:
        normal = (channel - channel.mean()) / np.sqrt(channel.var() + 1e-5)
        for row in range(0, 256, 16):
            for column in range(0, 256, 16):
                patch = normal[row : row + 16, column : column + 16]
                given.append(np.maximum((kernel * patch).sum(axis=(1, 2)) + bias, 0))
    return np.mean(given, axis=0)
