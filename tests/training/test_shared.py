"""Several processes train one model on the shares of every batch: what one process does with the whole batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from drit.methods.registry import entries
from drit.settings.schema import changed
from tests.conftest import write_images
from tests.methods.test_conformance import case

# What couples the images of a batch, or draws for them, on top of each method's preset.
COUPLED: dict[str, dict[str, Any]] = {
    "network.dropout": 0.5,
    "loss.mode_seeking": 1.0,
    "optim.pool": 6,
    "optim.clip": 0.5,
    "network.content_noise": 0.5,
}
FORMS: dict[str, list[dict[str, Any]]] = {
    "drit": [
        {"optim.split_batch": True, "optim.separate_random_step": True},
        {"accumulate": 2},
        {
            "network.generator": "film",
            "network.spectral_norm": True,
            "network.discriminator_shift": 3,
            "data.crop": 20,
            "loss.gan": "relativistic",
            "loss.gradient_penalty": 0.3,
            "loss.lecam": 0.1,
        },
    ],
    "infogan": [{"accumulate": 2}],
    "cyclegan": [{"accumulate": 2}],
}
NAMES = [f"{name} {i}" for name in entries() for i in range(1 + len(FORMS.get(name, [])))]


def results(root: Path, count: int) -> list[dict[str, dict[str, Any]]]:
    """What one process came to, and what `count` did, for every method."""
    images = {name: write_images(root / name, 5, 3, seed=i) for i, name in enumerate(("a", "b", "c", "negative"))}
    cases = []
    for name in NAMES:
        method, i = name.split()
        form = ({}, *FORMS.get(method, []))[int(i)]
        settings = changed(case(method, images), COUPLED | {"batch": 4 * count} | form, ignore_unknown=True)
        cases.append((name, settings))
    torch.save(cases, root / "cases.pt")
    command = [sys.executable, "-m", "tests.training.shared", str(root / "cases.pt"), str(root), "1", str(count)]
    subprocess.run(command, check=True, timeout=500)
    return [torch.load(root / f"{n}.pt") for n in (1, count)]


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_as_one_process(count: int, tmp_path: Path) -> None:
    """Every method: weights, moving average, pools, statistics and losses after several iterations, in float64."""
    alone, shared = results(tmp_path, count)
    assert list(alone) == list(shared) == NAMES
    for name in NAMES:
        one, several = alone[name], shared[name]
        assert not one["skipped"] and not several["skipped"]
        assert one["state"].keys() == several["state"].keys()
        for kind in ("weights", "average", "state", "losses"):
            for key, expected in one[kind].items():
                assert difference(several[kind][key], expected) < 1e-9, (name, kind, key)


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference, of the largest number where that is above 1."""
    assert found.shape == expected.shape and found.dtype == expected.dtype
    if not expected.numel():
        return 0.0
    scale = max(1.0, float(expected.abs().max()))
    return float((found.double() - expected.double()).abs().max()) / scale
