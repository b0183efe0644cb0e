"""Rendering style by style is exact (float64): each form of the generator against its form with a graph."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from drit.networks import rendering
from drit.networks.decoder_layers import UPSAMPLE_BLOCKS, add_code_planes
from drit.networks.decoders import ConcatGenerator
from drit.networks.film import FilmGenerator
from drit.settings.groups import Upsample

STYLE = 3
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def generator(form: type, upsample: Upsample, upsamplings: int) -> Any:
    torch.manual_seed(0)
    made = form({"b": 3}, 16, STYLE, 1, 1, upsamplings, upsample=upsample).double()
    for parameter in made.parameters():  # gains and biases that differ from 1 and 0, of both signs
        parameter.data.add_(torch.randn_like(parameter) * 0.3)
    return made


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("upsamplings", [1, 2, 3])
@pytest.mark.parametrize("upsample", UPSAMPLE_BLOCKS)
@pytest.mark.parametrize("form", [ConcatGenerator, FilmGenerator])
def test_style_by_style_equals_all_at_once(
    form: type,
    upsample: Upsample,
    upsamplings: int,
    images: int,
    layout: torch.memory_format,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = generator(form, upsample, upsamplings)
    content = torch.randn(images, 16, 3, 5, dtype=torch.float64).contiguous(memory_format=layout)
    styles = 2 * torch.randn(2 * images, STYLE, dtype=torch.float64)
    rendered: list[Tensor] = []
    for large in (0, 100, 1 << 30):  # 100: a map is small first, and large after the next upsampling
        monkeypatch.setattr(rendering, "LARGE_MAP", large)
        with torch.no_grad():
            rendered.append(made.render(made.prepare(content, "b"), styles, "b"))
    with_graph = made.render(made.prepare(content, "b"), styles, "b").detach()
    for without_graph in rendered:
        assert float((without_graph - with_graph).abs().max()) < 1e-12
    assert float(with_graph.std()) > 0.1


def test_only_large_maps_without_a_graph_are_rendered_style_by_style() -> None:
    large, small = torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 63, 64)
    assert not rendering.one_by_one(large)
    with torch.no_grad():
        assert rendering.one_by_one(large) and not rendering.one_by_one(small)
        assert rendering.one_by_one(torch.zeros(1, 1, 64, 64, device="meta"))


def test_sums_of_classes_by_hand() -> None:
    h = torch.arange(16.0).view(1, 1, 4, 4)
    sums, square = rendering.class_sums(h, 3)
    # rows 0 and 2, row 1, row 3 by the same columns
    expected = [[0 + 2 + 8 + 10, 1 + 9, 3 + 11], [4 + 6, 5, 7], [12 + 14, 13, 15]]
    assert sums[0, 0].tolist() == expected and square.tolist() == [1240]
    assert rendering.class_sums(h, 1)[0].flatten().tolist() == [120]


@pytest.mark.parametrize("upsample", UPSAMPLE_BLOCKS)
def test_statistics_far_from_zero_keep_their_precision(upsample: Upsample) -> None:
    """A mean of 1e4 beside a spread of 1: what sums of squares lose in float32."""
    torch.manual_seed(0)
    block = UPSAMPLE_BLOCKS[upsample](4, STYLE, 4)
    h, style = 1e4 + torch.randn(1, 4, 8, 6), torch.randn(1, STYLE)
    planes = block.planes(style).detach()
    sums, square = rendering.class_sums(h, block.CLASSES)
    scale, offset = rendering.affine_of(sums, square, planes, (8, 6), torch.ones(4), torch.zeros(4))
    whole = add_code_planes(h.double(), planes.double().expand(1, 4, 3, 3))
    centred = whole - whole.mean()
    assert torch.allclose(scale, (centred.square().mean() + 1e-5).rsqrt().expand_as(scale), rtol=1e-6)
    assert torch.allclose(offset[0, :, 0, 0], scale[0, :, 0, 0] * (planes[0, :, 0, 0].double() - whole.mean()))


@torch.no_grad()
def test_bfloat16_is_as_near_to_float32_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = generator(ConcatGenerator, "transposed", 2).float()
    content, styles = torch.randn(1, 16, 16, 16).contiguous(memory_format=torch.channels_last), torch.randn(4, STYLE)
    exact = made.render(made.prepare(content, "b"), styles, "b")
    errors = []
    for large in (0, 1 << 30):
        monkeypatch.setattr(rendering, "LARGE_MAP", large)
        with torch.autocast("cpu", torch.bfloat16):
            errors.append(float((made.render(made.prepare(content, "b"), styles, "b") - exact).abs().mean()))
    assert 0 < errors[0] < 1.1 * errors[1]
