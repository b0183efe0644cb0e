"""The parity recipe: weights, images and codes that the official implementation's stored numbers were made with."""

from __future__ import annotations

import dataclasses
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from drit.methods.drit.importer import NETWORKS
from drit.methods.drit.objective import DRIT
from drit.methods.drit.official import from_official, official_names
from drit.methods.registry import preset
from drit.settings.common import TrainSettings

SHARED = Path(__file__).resolve().parents[2] / "shared"
PARITY = SHARED / "parity"
LAYOUT = SHARED / "facts" / "official_checkpoint_layout.json"
GOLD = Path(__file__).parent / "gold" / "parity.json"

needs_parity = pytest.mark.skipif(
    not (PARITY.is_dir() and LAYOUT.is_file()),
    reason="the official implementation's whole arrays are not on this machine",
)


def some(array: np.ndarray, count: int = 12) -> list[float]:
    """A few values of an array, spread evenly: what tests/gold keeps of it."""
    flat = np.asarray(array, dtype=np.float64).ravel()
    return [float(f"{flat[i]:.7g}") for i in np.linspace(0, flat.size - 1, count).astype(int)]


def tensor(seed: int, network: str, key: str, shape: list[int]) -> np.ndarray:
    """One weight of the recipe, float64."""
    n = np.random.default_rng(zlib.crc32(f"{seed}/{network}/{key}".encode())).standard_normal(shape)
    if key.endswith("bias"):
        return np.full(shape, 0.05)
    if len(shape) == 3 and shape[1:] == [1, 1]:
        return 1 + 0.1 * n
    return n / np.sqrt(np.prod(shape[1:]))


def official_config(form: str) -> TrainSettings:
    config = preset("official")
    return dataclasses.replace(config, network=dataclasses.replace(config.network, generator=form, content_noise=0.0))


def official_model(form: str, dtype: torch.dtype, seed: int = 0) -> DRIT:
    """DRIT with the recipe's weights."""
    config = official_config(form)
    model = DRIT(config, {"a": 3, "b": 3}).to(dtype)
    states: dict[str, dict[str, Tensor]] = {}
    for ours, (network, key) in official_names(config.network).items():
        shape = list(model.state_dict()[ours].shape) + ([1, 1] if ".norm." in ours else [])
        states.setdefault(network, {})[key] = torch.from_numpy(tensor(seed, network, key, shape))
    model.load_state_dict(from_official(states, config.network), strict=True)
    return model


def images(i: int, count: int, size: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed + 100 + i).uniform(-1, 1, (count, 3, size, size)))


def codes(i: int, count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed + 200 + i).standard_normal((count, 8)))


SMALL: dict[str, Any] = {"width": 8, "attribute_width": 6, "discriminator_width": 4, "style_dim": 8}


def published(form: str, steps: int = 0, channels: tuple[int, int] = (3, 3), **network: Any) -> dict[str, Any]:
    """A checkpoint in the published layout, with the recipe's weights; after `steps`, with its optimizers' states."""
    config = official_config(form)
    config = dataclasses.replace(config, network=dataclasses.replace(config.network, **network))
    own = DRIT(config, dict(zip("ab", channels, strict=True))).state_dict()
    states: dict[str, OrderedDict[str, Tensor]] = {name: OrderedDict() for name in NETWORKS}
    for ours, (part, key) in official_names(config.network).items():
        shape = list(own[ours].shape) + ([1, 1] if ".norm." in ours else [])
        states[part][key] = torch.from_numpy(tensor(0, part, key, shape)).float()
    content: dict[str, Any] = dict(states)
    for part in NETWORKS if steps else ():
        parameters = [torch.nn.Parameter(t.clone()) for t in states[part].values()]
        optimizer = torch.optim.Adam(parameters, lr=1e-4, betas=(0.5, 0.999), weight_decay=1e-4)
        for i, p in enumerate(parameters):
            p.grad = torch.full_like(p, 0.01 * (i + 1))
        for _ in range(steps):
            optimizer.step()
        content[f"{part}_opt"] = optimizer.state_dict()
    return content | {"ep": 3, "total_it": steps}
