"""Exported graphs: the numbers of the networks that they are written from, for every method that translates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

pytest.importorskip("onnx")
from onnx.reference import ReferenceEvaluator

from drit.errors import UsageError
from drit.exporting.graph import Graph
from drit.exporting.graphs import Part, of_direction
from drit.exporting.symbols import Side, Symbol
from drit.networks.upsample import upsample_conv
from tests.every_method import METHODS, method

# Attributes of ONNX nodes are float32: a slope of 0.2 or an epsilon of 1e-5 differs from ours in its eighth digit.
ATTRIBUTES = 2e-8


def run(part: Part, *inputs: Tensor) -> list[np.ndarray]:
    """The outputs of a graph, computed by the operators' definitions in float64."""
    return ReferenceEvaluator(part.model).run(None, dict(zip(part.inputs, (x.numpy() for x in inputs), strict=True)))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_the_numbers_of_its_networks(name: str, folders: tuple[Path, Path]) -> None:
    """In float64: two images of odd sides (where the method takes them), three styles of each."""
    made = method(name, folders)
    parts = of_direction(made, "a", "b", torch.float64)
    side = max(part.min_side for part in parts.values())
    height, width = (made.stride * -(-s // made.stride) for s in (side + 7, side + 2))
    image = torch.randn(2, 3, height, width, dtype=torch.float64)
    styles = torch.randn(6, made.capabilities.style_dim, dtype=torch.float64)

    def check(part: Part, expected: tuple[Tensor, ...], *inputs: Tensor) -> None:
        given = run(part, *inputs)
        assert [g.shape for g in given] == [tuple(e.shape) for e in expected]
        assert max(float(np.abs(e.numpy() - g).max()) for e, g in zip(expected, given, strict=True)) < ATTRIBUTES

    with torch.no_grad():
        prepared = made.prepare(made.content(image, "a"), "b")
        if "translate" in parts:
            check(parts["translate"], (made.render(prepared, torch.zeros(2, 0), "b"),), image)
            return
        check(parts["content"], prepared, image)
        check(parts["render"], (made.render(prepared, styles, "b"),), *prepared, styles)
        if made.capabilities.exemplar:
            check(parts["style"], (made.style(image, "b"),), image)


def written(network: Callable[[Any], Any], channels: int, side: int = 8) -> Part:
    """A graph of one network, for maps of at least side x side."""
    graph = Graph(torch.float64)
    name = graph.input("image", ["images", channels, "height", "width"])
    sides = (Side(graph.size(name, axis), side) for axis in (2, 3))
    out = network(Symbol(graph, name, (1, channels, *sides)))
    return Part(graph.model({"images": (out.name, ["images", "c", "h", "w"])}), dict(graph.inputs), {}, side)


@pytest.mark.parametrize("kernel, size", [(3, (5, 7)), (3, (33, 32)), (5, (5, 7)), (5, (2, 40)), (5, (33, 32))])
def test_upsampling_by_a_transposed_convolution(kernel: int, size: tuple[int, int]) -> None:
    """All outputs, the border too, of maps on both sides of the size at which the networks change their form."""
    weight = torch.randn(2, 2, kernel, kernel, dtype=torch.float64)
    bias = torch.randn(2, dtype=torch.float64)
    x = torch.randn(1, 2, *size, dtype=torch.float64)
    (made,) = run(written(lambda h: upsample_conv(h, weight, bias), 2, side=2), x)
    assert float(np.abs(made - upsample_conv(x, weight, bias).numpy()).max()) < 1e-12


def test_normalisation_of_one_image_does_not_see_the_others() -> None:
    """In float64, with gains and biases of which the epsilon is all that differs."""
    gain, bias = torch.rand(3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64) * torch.tensor([1.0, 5.0])[:, None, None, None] + 3
    (made,) = run(written(lambda h: F.group_norm(h, 1, gain, bias, 1e-5), 3), x)
    assert float(np.abs(made - F.group_norm(x, 1, gain, bias, 1e-5).numpy()).max()) < 1e-11


def test_what_graphs_cannot_do_is_named() -> None:
    weight = torch.zeros(2, 1, 3, 3)
    for call, message in (
        (torch.fft.fft2, "it uses fft_fft2"),
        (lambda x: F.conv2d(x, weight, groups=2), "its convolutions have gaps or groups"),
        (lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"), "it pads by circular"),
        (lambda x: torch.cat([x, x]), "it joins maps to a batch"),
        (lambda x: x[:, :, 1:], "it cuts parts out of a map"),
        (lambda x: x.flatten(1), "it flattens a map"),
        (lambda x: x.repeat(3, 1, 1, 1), "it repeats a map"),
        (lambda x: F.dropout(x), "it drops out values in use"),
        (lambda x: F.group_norm(x, 2), "it normalises groups of channels"),
    ):
        with pytest.raises(UsageError, match=f"cannot be exported as ONNX: {message}.*--format safetensors"):
            written(call, 2)
