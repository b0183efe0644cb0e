"""The U-Net of Pix2Pix (arXiv 1611.07004, appendix 6.1) and of BicycleGAN (1711.11586, section 4), for any size.

Halvings down to a few pixels, as many doublings back, and from each map on the way down a skip connection to the one
of its size on the way up. U-Net-256 halves eight times, U-Net-64 six times.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.networks.layers import (
    ImageBatchNorm,
    InstanceNorm,
    bilinear_init,
    eagerly_on_cpu,
    initialise,
    with_planes,
)
from drit.runtime import full, full_precision

SLOPE = 0.2  # of the leaky ReLUs on the way down
MAX_WIDENING = 8  # channels grow to at most eight times the first layer's
MAX_LEVELS = 9  # U-Net-512


def fitting_levels(crop: int) -> int:
    """The most halvings that leave a pixel of a crop's side: 8 for 256, 5 for 32, 4 for 28."""
    return min(MAX_LEVELS, crop.bit_length() - 1)


class UNet(nn.Module):
    """Halving and doubling convolutions, 4 x 4 with zero padding, with skip connections between maps of a size.

    Images of any size: a map with an odd side gets one row or column more (a copy of the last) before it is halved,
    and what comes back to its size is cut. Multiples of 2^levels are as published.

    style_dim: numbers of a code that is laid out as planes beside the input of the first layer, or with `everywhere`
    beside the input of every layer on the way down (1711.11586, figure 3). `gain`: normalisation with gain and bias, as
    batch normalisation of single images. dropout: rate, in the first layers on the way up (three from U-Net-128 on),
    or with `dropout_innermost` off in those after the first.
    smooth: layers on the way up start as bilinear enlargements.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        width: int,
        levels: int,
        gain: bool,
        dropout: float = 0.0,
        dropout_innermost: bool = True,
        style_dim: int = 0,
        everywhere: bool = False,
        smooth: bool = False,
    ) -> None:
        super().__init__()
        self.style_dim, self.everywhere = style_dim, everywhere
        norm: Callable[[int], nn.Module] = ImageBatchNorm if gain else InstanceNorm
        widths = [width * min(1 << i, MAX_WIDENING) for i in range(levels)]
        down, inner = [channels, *widths], widths[1:-1]
        planes = [style_dim if everywhere or not i else 0 for i in range(levels)]
        # A convolution before a normalisation with a bias of its own needs none; the innermost one has neither, as
        # published: one pixel would be normalised to 0.
        self.down = nn.ModuleList(
            nn.Conv2d(i + s, o, 4, stride=2, padding=1, bias=not gain)
            for s, (i, o) in zip(planes, itertools.pairwise(down), strict=True)
        )
        self.down_norm = nn.ModuleList([nn.Identity(), *map(norm, inner), nn.Identity()])
        up = [widths[-1], *[2 * w for w in reversed(widths[:-1])]]
        to = widths[-2::-1]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(i, o, 4, stride=2, padding=1, bias=not gain) for i, o in zip(up, to, strict=False)
        )
        self.up_norm = nn.ModuleList(map(norm, to))
        self.last = nn.ConvTranspose2d(up[-1], outputs, 4, stride=2, padding=1)
        self.dropout = nn.Dropout(dropout)
        first = int(not dropout_innermost)
        self.dropped = range(first, first + max(1, min(3, levels - 4)) if dropout else 0)  # layers with dropout
        initialise(self)
        if smooth:
            # Not the innermost: an evenly enlarged pixel is normalised to 0, where ReLUs have no slope.
            for layer in [*self.up[1:], self.last]:
                bilinear_init(layer)

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """x: (N, C, H, W) in [-1, 1], style (N, S). Returns (N, outputs, H, W) in [-1, 1], float32 or wider."""
        h, maps = x, []
        for i, (layer, norm) in enumerate(zip(self.down, self.down_norm, strict=True)):
            maps.append(h)
            if style is not None and self.style_dim and (self.everywhere or not i):
                h = with_planes(h, style)
            h = norm(halved(layer, _even(F.leaky_relu(h, SLOPE) if i else h)))
        for i, (layer, norm) in enumerate(zip(self.up, self.up_norm, strict=True)):
            skip = maps.pop()
            h = _cut(norm(doubled(layer, F.relu(h))), skip)
            if i in self.dropped:
                h = self.dropout(h)
            h = torch.cat([h, skip], dim=1)
        return torch.tanh(full(_cut(self.last(F.relu(h)), x)))


# The layers around the innermost pixels have most of the weights and hardly any places to use them at. A convolution
# spends its time there on bringing the weights into its own order; one matrix product takes them as they are, in
# channels_last, three times as fast. Up to so many places, and from so many weights, on:
_FEW_PLACES, _MANY_WEIGHTS = 256, 1 << 17


def _as_product(layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor, places: int) -> bool:
    """Whether a layer is computed as a matrix product, which depends on the sizes alone."""
    few = len(x) * places <= _FEW_PLACES and layer.weight.numel() >= _MANY_WEIGHTS
    return few and eagerly_on_cpu(x)


def halved(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """`layer(x)` for a 4 x 4 convolution of stride 2 and padding 1, of maps with even sides: (N, C, H, W) to
    (N, C', H / 2, W / 2)."""
    n, _, h, w = x.shape
    if not _as_product(layer, x, h * w // 4):
        return layer(x)
    if (h, w) == (2, 2):
        return F.linear(x.permute(0, 2, 3, 1).flatten(1), _Middle.apply(layer.weight), layer.bias)[:, :, None, None]
    rows = layer.weight.permute(0, 2, 3, 1).flatten(1)  # in channels_last a view
    made = F.linear(_Windows.apply(x.permute(0, 2, 3, 1)), rows, layer.bias)
    return made.view(n, h // 2, w // 2, -1).permute(0, 3, 1, 2)


def doubled(layer: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """`layer(x)` for a 4 x 4 transposed convolution of stride 2 and padding 1: (N, C, H, W) to (N, C', 2 H, 2 W)."""
    n, c, h, w = x.shape
    if not _as_product(layer, x, h * w):
        return layer(x)
    pixels = x.permute(0, 2, 3, 1).reshape(-1, c)
    if (h, w) == (1, 1):
        out = (pixels @ _Middle.apply(layer.weight)).view(n, 2, 2, -1)
    else:
        out = _Overlay.apply(pixels @ layer.weight.permute(0, 2, 3, 1).flatten(1), n, h, w)
    out = out.permute(0, 3, 1, 2)
    return out if layer.bias is None else out + layer.bias.to(out.dtype)[:, None, None]


class _Middle(torch.autograd.Function):
    """The middle 2 x 2 of 4 x 4 weights (O, I, 4, 4) as a matrix (O, 4 I): between one pixel and 2 x 2 the rest only
    meets the border. Three quarters of these layers' weights are neither read nor brought into the numbers of the
    product; the gradient, which is 0 for them, is made at once (cut twice, the library makes it three times)."""

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


class _Windows(torch.autograd.Function):
    """Windows of 4 x 4 at distance 2, with a border of zeros: (N, 2 h, 2 w, C) to (N h w, 16 C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        n, h, w, _ = x.shape
        ctx.size = n, h // 2, w // 2
        return _cut_out(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _laid_over(grad, *ctx.size)


class _Overlay(torch.autograd.Function):
    """The sum of windows that lie as `_Windows` cuts them: (N h w, 16 C) to (N, 2 h, 2 w, C). Each is the other's
    gradient."""

    @staticmethod
    def forward(ctx: Any, windows: Tensor, n: int, h: int, w: int) -> Tensor:
        return _laid_over(windows, n, h, w)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return _cut_out(grad), None, None, None


# A window is 2 x 2 blocks of 2 x 2 pixels, and every block lies in four windows: four copies or sums of whole blocks.


def _cut_out(x: Tensor) -> Tensor:
    n, h, w, c = x.shape
    with full_precision(x):  # autocast would widen the map
        blocks = F.pad(x, (0, 0, 1, 1, 1, 1)).view(n, h // 2 + 1, 2, w // 2 + 1, 2, c)
    windows = blocks.unfold(1, 2, 1).unfold(3, 2, 1)  # (N, h, 2, w, 2, C, 2, 2): rows, columns, then blocks
    return windows.permute(0, 1, 3, 6, 2, 7, 4, 5).reshape(-1, 16 * c)


def _laid_over(windows: Tensor, n: int, h: int, w: int) -> Tensor:
    parts = windows.view(n, h, w, 2, 2, 2, 2, -1)
    blocks = windows.new_zeros(n, h + 1, 2, w + 1, 2, parts.shape[-1])
    for i in range(2):
        for j in range(2):
            blocks[:, i : i + h, :, j : j + w].add_(parts[:, :, :, i, :, j].transpose(2, 3))
    return blocks.view(n, 2 * h + 2, 2 * w + 2, -1)[:, 1:-1, 1:-1].contiguous()


def _even(x: Tensor) -> Tensor:
    """x with its last row and column repeated where a side is odd."""
    odd_h, odd_w = (side % 2 for side in x.shape[-2:])
    if not odd_h and not odd_w:
        return x
    with full_precision(x):  # autocast would widen the map
        return F.pad(x, (0, odd_w, 0, odd_h), mode="replicate")


def _cut(x: Tensor, to: Tensor) -> Tensor:
    """x without what `to` has no place for."""
    return x[:, :, : to.shape[-2], : to.shape[-1]]
