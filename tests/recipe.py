"""The parity recipe: weights, pictures and codes that the published program's stored numbers were made with."""

from __future__ import annotations

import dataclasses
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from drit.config import TrainConfig, preset
from drit.export.official import from_official
from drit.methods.drit import DRIT

SHARED = Path(__file__).resolve().parents[2] / "shared"
PARITY = SHARED / "parity"
LAYOUT = SHARED / "facts" / "official_checkpoint_layout.json"

needs_parity = pytest.mark.skipif(
    not (PARITY.is_dir() and LAYOUT.is_file()), reason="the published program's stored numbers are not on this machine"
)


def tensor(seed: int, network: str, key: str, shape: list[int]) -> np.ndarray:
    """One weight of the recipe, float64."""
    n = np.random.default_rng(zlib.crc32(f"{seed}/{network}/{key}".encode())).standard_normal(shape)
    if key.endswith("bias"):
        return np.full(shape, 0.05)
    if len(shape) == 3 and shape[1:] == [1, 1]:
        return 1 + 0.1 * n
    return n / np.sqrt(np.prod(shape[1:]))


def states(form: str, seed: int = 0) -> dict[str, dict[str, Tensor]]:
    """All networks of a published checkpoint of this form, by the recipe."""
    layout = json.loads(LAYOUT.read_text())["networks"][form]
    return {
        name: {key: torch.from_numpy(tensor(seed, name, key, shape)) for key, shape in tensors.items()}
        for name, tensors in layout.items()
    }


def official_config(form: str) -> TrainConfig:
    config = preset("official")
    return dataclasses.replace(config, network=dataclasses.replace(config.network, generator=form, content_noise=0.0))


def official_model(form: str, dtype: torch.dtype) -> DRIT:
    """DRIT with the recipe's weights."""
    config = official_config(form)
    model = DRIT.build(config, {"a": 3, "b": 3}).to(dtype)
    model.load_state_dict(from_official(states(form), config.network), strict=True)
    return model


def pictures(i: int, count: int, size: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed + 100 + i).uniform(-1, 1, (count, 3, size, size)))


def codes(i: int, count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed + 200 + i).standard_normal((count, 8)))
