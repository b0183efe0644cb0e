"""Normalisations of large maps keep their precision: the library's float32 sums in channels_last do not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from drit.networks import fast
from drit.networks.layers import LayerNorm, layer_norm


def drawing(height: int, width: int) -> Tensor:
    """White, with a few dark lines: the mean is far from 0 and the std small. (2, 4, height, width), channels_last."""
    x = torch.ones(2, 4, height, width)
    x[:, :, ::100] = -1
    x[1, :, :, ::70] = 0.5
    return (x * torch.tensor([1.0, 3.0, -2.0, 0.1]).view(1, 4, 1, 1)).contiguous(memory_format=torch.channels_last)


def exact(x: Tensor, groups: int, gain: Tensor, bias: Tensor) -> Tensor:
    return F.group_norm(x.double().contiguous(), groups, gain.double(), bias.double(), fast.EPS)


@pytest.mark.parametrize("width", [900, 901])
@torch.no_grad()
def test_large_maps_are_normalised_precisely(width: int) -> None:
    x, gain, bias = drawing(1000, width), torch.tensor([1.0, -2.0, 0.0, 3.0]), torch.tensor([0.0, 1.0, 2.0, -1.0])
    ones, zeros = torch.ones(4), torch.zeros(4)
    norm = LayerNorm(4)
    norm.weight.data, norm.bias.data = gain, bias
    results = {
        "instance": (fast.normalise(x), exact(x, 4, ones, zeros)),
        "instance with gain": (fast.normalise(x, gain, bias), exact(x, 4, gain, bias)),
        "layer": (layer_norm(x), exact(x, 1, ones, zeros)),
        "layer with gain": (norm(x), exact(x, 1, gain, bias)),
        "groups": (fast.group_norm(x, 2), exact(x, 2, ones, zeros)),
    }
    for name, (found, expected) in results.items():
        assert fast.is_channels_last(found) and found.dtype == torch.float32
        assert float((found - expected).abs().max()) < 1e-5 * float(expected.abs().max()), name
    # what the library does is wrong by more: without the pieces this test would fail
    library = F.group_norm(x, 4, eps=fast.EPS)
    assert float((library - results["instance"][1]).abs().max()) > 1e-3 * float(results["instance"][1].abs().max())


@torch.no_grad()
def test_pieces_change_nothing_else() -> None:
    x = torch.randn(1, 4, 300, 300).contiguous(memory_format=torch.channels_last)
    assert torch.allclose(fast.group_norm(x, 2), F.group_norm(x, 2, eps=fast.EPS), atol=1e-4)
    narrow = fast.normalise(x.bfloat16())
    assert narrow.dtype == torch.bfloat16 and fast.is_channels_last(narrow)
    assert float((narrow.float() - fast.normalise(x)).abs().max()) < 0.05
    small = x[:, :, :200, :200].contiguous(memory_format=torch.channels_last)
    assert torch.equal(fast.group_norm(small, 1), F.group_norm(small, 1, eps=fast.EPS))
