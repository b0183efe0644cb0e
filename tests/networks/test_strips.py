"""Networks in strips: the numbers of the whole map, for every method that translates, whatever the cuts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from drit.methods.base import Method
from drit.methods.registry import method_class
from drit.networks import strip_layers
from drit.networks.strips import Scratch, Strips
from drit.settings.schema import changed
from tests.conftest import tiny

METHODS = [
    "drit", "drit-feature", "drit++", "munit", "unit", "cyclegan", "cyclegan-noise", "cycle-bicycle", "pix2pix",
    "bicyclegan",
]  # fmt: skip


def striped(x: Tensor, pixels: int) -> Strips:
    return strip_layers.striped(Scratch(pixels), x.shape[2], lambda begin, end: x[:, :, begin:end].clone())


def whole(x: Strips) -> Tensor:
    return torch.cat([x.rows(begin, end) for begin, end in x.scratch.strips(*x.shape[2:])], 2)


def method(name: str, folders: tuple[Path, Path]) -> Method:
    base = name.removesuffix("-feature")
    settings = tiny(*folders, method=base)
    if name != base:
        settings = changed(settings, {"network.generator": "feature"})
    torch.manual_seed(0)
    made = method_class(base)(settings, {"a": 3, "b": 3}).double().eval().requires_grad_(False)
    with torch.no_grad():
        for p in made.parameters():  # gains and biases away from 1 and 0
            p.add_(0.05 * torch.randn_like(p))
    return made


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_the_numbers_of_the_whole_map(name: str, folders: tuple[Path, Path]) -> None:
    """In float64, with cuts at odd rows, one of them near the end."""
    made = method(name, folders)
    stride = made.stride
    x = torch.randn(1, 3, stride * -(-45 // stride), stride * -(-22 // stride), dtype=torch.float64)
    style = torch.randn(1, made.capabilities.style_dim, dtype=torch.float64)

    def translate(image: Any) -> Any:
        content = made.content(image, "a")
        return made.render(made.prepare(content, "b"), style, "b")

    with torch.no_grad():
        expected = translate(x.contiguous(memory_format=torch.channels_last))
        for pixels in (7 * x.shape[3], 16 * x.shape[3]):
            strips = striped(x, pixels)
            out = translate(strips)
            assert isinstance(out, Strips) and out.shape == expected.shape
            assert float((whole(out) - expected).abs().max()) < 1e-10
            scratch = strips.scratch
            del out
            assert scratch.in_use == 0 < scratch.bytes  # every file is free again
