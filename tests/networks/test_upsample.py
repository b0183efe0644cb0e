"""The fast upsampling is exact: float64, all pixels, borders included, output and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from drit.networks import upsample as module
from drit.networks.decoder_layers import SmoothBlock
from drit.networks.init import bilinear_init
from drit.networks.layers import Conv
from drit.networks.upsample import binomial, upsample_conv


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(2, 2), (2, 5), (3, 4), (7, 3), (1, 6), (1, 1)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_upsampling_equals_the_reference(
    kernel: int, size: tuple[int, int], layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SMALL_MAP", 0)
    g = torch.Generator().manual_seed(0)
    shapes = [(2, 3, *size), (4, 3, kernel, kernel), (4,)]
    inputs = [torch.randn(*s, generator=g, dtype=torch.float64).requires_grad_() for s in shapes]
    x, weight, bias = inputs
    fast = upsample_conv(x.contiguous(memory_format=layout), weight, bias)
    mode = "reflect" if min(size) > 1 or kernel == 3 else "replicate"
    large = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    reference = F.conv2d(F.pad(large, (kernel // 2,) * 4, mode=mode), weight, bias)
    assert fast.is_contiguous(memory_format=layout) or 1 in size
    assert fast.shape == reference.shape and float((fast - reference).detach().abs().max()) < 1e-12
    weights = torch.randn(reference.shape, generator=g, dtype=torch.float64)
    gradients = torch.autograd.grad((fast * weights).sum(), inputs)
    reference_gradients = torch.autograd.grad((reference * weights).sum(), inputs)
    assert max(float((o - e).abs().max()) for o, e in zip(gradients, reference_gradients, strict=True)) < 1e-11


def test_large_maps_take_the_fast_form_and_small_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels that convolve tell: four sums of 3 x 3, or the one of 5 x 5; one of 4 x 4, or the one of 3 x 3."""
    kernels: list[tuple[int, ...]] = []

    def noted(convolve: Any) -> Any:
        return lambda x, w, *rest, **named: (kernels.append(tuple(w.shape)), convolve(x, w, *rest, **named))[1]

    monkeypatch.setattr(F, "conv2d", noted(F.conv2d))
    monkeypatch.setattr(F, "conv_transpose2d", noted(F.conv_transpose2d))
    upsample_conv(torch.zeros(1, 2, 32, 32), torch.zeros(4, 2, 5, 5), torch.zeros(4))
    assert kernels == [(16, 2, 3, 3), (4, 2, 2, 5), (4, 2, 2, 5)]
    kernels.clear()
    upsample_conv(torch.zeros(1, 2, 16, 16), torch.zeros(4, 2, 5, 5), torch.zeros(4))
    assert kernels == [(4, 2, 5, 5)]
    kernels.clear()
    upsample_conv(torch.zeros(1, 2, 32, 32), torch.zeros(4, 2, 3, 3), torch.zeros(4))
    upsample_conv(torch.zeros(1, 2, 16, 16), torch.zeros(4, 2, 3, 3), torch.zeros(4))
    assert kernels == [(2, 4, 4, 4), (4, 2, 3, 3)]


def test_a_convolution_after_the_nearest_neighbour_starts_as_bilinear_upsampling() -> None:
    layer = Conv(1, 1, 3, padding=1).double()
    bilinear_init(layer)
    x = torch.rand(1, 1, 5, 4, dtype=torch.float64)
    expected = F.interpolate(x, scale_factor=2, mode="bilinear") * 4 * layer.weight[0, 0, 1, 1] + layer.bias
    assert torch.allclose(upsample_conv(x, layer.weight, layer.bias), expected, atol=1e-14)


def test_the_binomial_filter_by_hand() -> None:
    point = torch.zeros(1, 2, 5, 5)
    point[0, 0, 2, 2] = point[0, 1, 0, 0] = 16
    inner, corner = binomial(point)[0]
    assert inner[1:4, 1:4].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]] and inner.sum() == 16
    assert corner[:2, :2].tolist() == [[9, 3], [3, 1]] and corner.sum() == 16  # the border is repeated
    columns = torch.arange(40.0)
    for wave, share in ((2.0, 0.0), (2.2, 1 / 49), (4.0, 1 / 2)):
        lines = torch.cos(2 * torch.pi * columns / wave).expand(1, 1, 8, 40)
        passed = binomial(lines)[..., 2:-2]
        assert torch.allclose(passed, share * lines[..., 2:-2], atol=1e-3)


def test_a_smooth_block_enlarges_by_the_weights_1_3_3_1() -> None:
    block = SmoothBlock(1, 0, 1).double()
    with torch.no_grad():
        block.conv.weight.zero_()[0, 0, 1, 1] = 1
        block.conv.bias.zero_()  # type: ignore[union-attr]
    x = torch.rand(1, 1, 5, 4, dtype=torch.float64)
    assert torch.allclose(block.upsample(x), F.interpolate(x, scale_factor=2, mode="bilinear"), atol=1e-14)


@pytest.mark.parametrize("kernel", [3, 5])
@torch.no_grad()
def test_upsampling_in_bfloat16_is_close(kernel: int) -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(1, 16, 40, 40, generator=g)
    weight, bias = torch.randn(8, 16, kernel, kernel, generator=g) / 20, torch.zeros(8)
    exact = upsample_conv(x, weight, bias)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = upsample_conv(x, weight, bias)
    assert narrow.dtype == torch.bfloat16
    assert float((narrow.float() - exact).abs().mean() / exact.abs().mean()) < 0.01
