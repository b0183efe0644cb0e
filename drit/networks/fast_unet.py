"""The innermost layers of a U-Net as matrix products: the same numbers in a third of the time.

Exact: tests/networks/test_unet.py compares outputs and gradients with the library's in float64. Maps are (N, C, H, W)
with any real values.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from drit.networks.fast import eagerly_on_cpu
from drit.runtime import full_precision

# The layers around the innermost pixels have the greater part of the weights and only a few pixels to use them at. A
# convolution spends its time there on reordering the weights. One matrix product takes them as they are, in
# channels_last, three times as fast. It is used for at most so many pixels and at least so many weights:
_FEW_PIXELS, _MANY_WEIGHTS = 256, 1 << 17


def _as_product(layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor, pixels: int) -> bool:
    """Whether a layer is computed as a matrix product, which depends on the sizes alone."""
    few = len(x) * pixels <= _FEW_PIXELS and layer.weight.numel() >= _MANY_WEIGHTS
    return few and eagerly_on_cpu(x)


def downsample(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """`layer(x)` for a 4 x 4 convolution of stride 2 and padding 1.

    x: (N, C, H, W) with even sides, any real values. Returns (N, O, H / 2, W / 2).
    """
    if has_torch_function_unary(x):  # not a tensor: `strips` computes it
        return handle_torch_function(downsample, (x,), layer, x)
    n, _, h, w = x.shape
    if not _as_product(layer, x, h * w // 4):
        return layer(x)
    if (h, w) == (2, 2):
        pixels = x.permute(0, 2, 3, 1).flatten(1)
        return F.linear(pixels, _MiddleWeights.apply(layer.weight), layer.bias)[:, :, None, None]
    rows = layer.weight.permute(0, 2, 3, 1).flatten(1)  # in channels_last a view
    out = F.linear(_Unfold.apply(x.permute(0, 2, 3, 1)), rows, layer.bias)
    return out.view(n, h // 2, w // 2, -1).permute(0, 3, 1, 2)


def upsample(layer: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """`layer(x)` for a 4 x 4 transposed convolution of stride 2 and padding 1.

    x: (N, C, H, W), any real values. Returns (N, O, 2 H, 2 W).
    """
    if has_torch_function_unary(x):  # not a tensor: `strips` computes it
        return handle_torch_function(upsample, (x,), layer, x)
    n, c, h, w = x.shape
    if not _as_product(layer, x, h * w):
        return layer(x)
    pixels = x.permute(0, 2, 3, 1).reshape(-1, c)
    if (h, w) == (1, 1):
        out = (pixels @ _MiddleWeights.apply(layer.weight)).view(n, 2, 2, -1)
    else:
        out = _Fold.apply(pixels @ layer.weight.permute(0, 2, 3, 1).flatten(1), n, h, w)
    out = out.permute(0, 3, 1, 2)
    return out if layer.bias is None else out + layer.bias.to(out.dtype)[:, None, None]


class _MiddleWeights(torch.autograd.Function):
    """The middle 2 x 2 of 4 x 4 weights (O, I, 4, 4) as a matrix (O, 4 I).

    Between one pixel and 2 x 2 the other weights only meet the border. These three quarters are neither read nor
    brought into the type of the product. Their gradient is 0 and written in one step; slices of the library would
    write it three times.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        ctx.shape = weight.shape
        return weight.permute(0, 2, 3, 1)[:, 1:3, 1:3].reshape(len(weight), -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        outputs, inputs, _, _ = ctx.shape
        whole = grad.new_zeros(outputs, 4, 4, inputs)
        whole[:, 1:3, 1:3] = grad.view(outputs, 2, 2, inputs)
        return whole.permute(0, 3, 1, 2)


class _Unfold(torch.autograd.Function):
    """Windows of 4 x 4 at distance 2, with a border of zeros: (N, 2 h, 2 w, C) to (N h w, 16 C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        n, h, w, _ = x.shape
        ctx.size = n, h // 2, w // 2
        return _unfold(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _fold(grad, *ctx.size)


class _Fold(torch.autograd.Function):
    """The sum of windows that lie as `_Unfold` cuts them: (N h w, 16 C) to (N, 2 h, 2 w, C).

    Each of the two is the other's gradient.
    """

    @staticmethod
    def forward(ctx: Any, windows: Tensor, n: int, h: int, w: int) -> Tensor:
        return _fold(windows, n, h, w)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return _unfold(grad), None, None, None


# A window is 2 x 2 blocks of 2 x 2 pixels, and every block lies in four windows: four copies or sums of whole blocks.


def _unfold(x: Tensor) -> Tensor:
    n, h, w, c = x.shape
    with full_precision(x):  # autocast would widen the map
        blocks = F.pad(x, (0, 0, 1, 1, 1, 1)).view(n, h // 2 + 1, 2, w // 2 + 1, 2, c)
    windows = blocks.unfold(1, 2, 1).unfold(3, 2, 1)  # (N, h, 2, w, 2, C, 2, 2): rows, columns, then blocks
    return windows.permute(0, 1, 3, 6, 2, 7, 4, 5).reshape(-1, 16 * c)


def _fold(windows: Tensor, n: int, h: int, w: int) -> Tensor:
    parts = windows.view(n, h, w, 2, 2, 2, 2, -1)
    blocks = windows.new_zeros(n, h + 1, 2, w + 1, 2, parts.shape[-1])
    for i in range(2):
        for j in range(2):
            blocks[:, i : i + h, :, j : j + w].add_(parts[:, :, :, i, :, j].transpose(2, 3))
    return blocks.view(n, 2 * h + 2, 2 * w + 2, -1)[:, 1:-1, 1:-1].contiguous()
