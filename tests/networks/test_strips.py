"""Networks in strips: the numbers of the whole map, for every method that translates, whatever the cuts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drit.errors import UsageError
from drit.networks import strip_layers
from drit.networks.fast import normalise, padded_conv
from drit.networks.strips import Scratch, Strips
from tests.every_method import METHODS, method


def striped(x: Tensor, pixels: int) -> Strips:
    return strip_layers.striped(Scratch(pixels), x.shape[2], lambda begin, end: x[:, :, begin:end].clone())


def whole(x: Strips) -> Tensor:
    return torch.cat([x.rows(begin, end) for begin, end in x.scratch.strips(*x.shape[2:])], 2)


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


def test_statistics_of_a_map_far_from_zero() -> None:
    """Mean 1000 and std about 0.3 in float32: variances that are differences of squares would be lost."""
    x = 1000 + torch.rand(1, 4, 37, 21)
    with torch.no_grad():
        made = whole(normalise(striped(x, 100)))  # type: ignore[arg-type]
    expected = F.instance_norm(x.double())
    assert float((made - expected).abs().max()) < 2e-3  # float32 holds 1000.3 to 3e-5, a ten-thousandth of its std


def test_layer_normalisation_over_channels_of_different_means() -> None:
    x = torch.randn(1, 6, 33, 20, dtype=torch.float64) + torch.arange(6.0)[:, None, None]
    gain, bias = torch.rand(6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
    for groups in (1, 3):
        made = whole(F.group_norm(striped(x, 90), groups, gain, bias, 1e-5))  # type: ignore[arg-type]
        assert float((made - F.group_norm(x, groups, gain, bias, 1e-5)).abs().max()) < 1e-12


@pytest.mark.parametrize("kernel, stride, padding", [(3, 1, 1), (7, 1, 3), (3, 2, 1), (4, 2, 1), (5, 1, 2), (1, 1, 0)])
def test_convolutions(kernel: int, stride: int, padding: int) -> None:
    """With reflected borders and with zeros, and transposed; strips of one row too."""
    x = torch.randn(1, 3, 22, 16, dtype=torch.float64)
    weight, bias = torch.randn(5, 3, kernel, kernel, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    turned = weight.transpose(0, 1).contiguous()
    calls = [
        lambda h: padded_conv(h, weight, bias, (stride, stride), padding, 0.2),
        lambda h: F.conv2d(h, weight, bias, stride, padding),
        lambda h: F.conv_transpose2d(h, turned, bias, stride, padding, output_padding=stride - 1 if kernel % 2 else 0),
    ]
    for call in calls:
        for pixels in (1, 5 * 16):
            made, expected = whole(call(striped(x, pixels))), call(x)
            assert made.shape == expected.shape
            assert float((made - expected).abs().max()) < 1e-12


def test_what_strips_cannot_do_is_named() -> None:
    x = striped(torch.zeros(1, 2, 8, 8), 16)
    weight = torch.zeros(2, 1, 3, 3)
    for call, message in (
        (lambda: torch.fft.fft2(x), "it uses fft_fft2 on a whole map"),
        (lambda: F.conv2d(x, weight, groups=2), "its convolutions have gaps or groups"),
        (lambda: F.pad(x, (1, 1, 1, 1)), "it pads a whole map in another way"),
        (lambda: torch.cat([x, x]), "it joins maps to a batch"),
        (lambda: x.mean(), "it uses mean of a whole map"),
        (lambda: x[:, :, 1:, :], "it cuts parts out of a whole map"),
        (lambda: x[0], "it cuts parts out of a whole map"),
    ):
        with pytest.raises(UsageError, match=message):
            call()


def test_a_map_is_gone_when_nothing_holds_it() -> None:
    """The file of a map serves the next one of its size."""
    x = striped(torch.zeros(1, 2, 8, 8), 16)
    y = x + x
    assert x.scratch.in_use == x.scratch.bytes == 2 * 8 * 8 * 4
    z = y + x
    assert x.scratch.bytes == 2 * 2 * 8 * 8 * 4
    del y
    w = z + x
    assert x.scratch.bytes == x.scratch.in_use == 2 * 2 * 8 * 8 * 4
    del z, w
    assert x.scratch.in_use == 0
