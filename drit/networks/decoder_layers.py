"""Layers of the generators after their residual blocks: upsampling, what a style adds to it, and the last layer.

Three forms of upsampling by 2 have one interface: `UpsampleBlock` (transposed convolution), `ResizeBlock` (nearest
neighbour, then a 3 x 3 convolution) and `SmoothBlock` (the same, then a binomial filter). `upsample` is the convolution
of the features alone, `add_code` adds what code planes would add to it, and `activate` does the rest. Code planes are
constant over an image, and are never built.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from drit.networks.encoders import CONTENT_SLOPE
from drit.networks.init import bilinear_init, initialise
from drit.networks.layers import Conv, LayerNorm, add_per_image
from drit.networks.upsample import binomial, upsample_conv
from drit.runtime import full, full_precision
from drit.settings.groups import Upsample

# Taps of a transposed convolution (kernel 3, stride 2, padding 1, output padding 1) that reach an output row of each
# class: even rows (2m) see tap 1; odd rows (2m + 1) see tap 2 of input m and tap 0 of input m + 1; the last row, odd,
# has no input m + 1.
_TAPS = ((0.0, 1.0, 0.0), (1.0, 0.0, 1.0), (0.0, 0.0, 1.0))


def _classes(size: int) -> tuple[slice, slice, slice]:
    """Even, odd but last, and last positions of a side of `size` (even) pixels."""
    return slice(0, None, 2), slice(1, size - 1, 2), slice(size - 1, None)


class CodePlanes(torch.autograd.Function):
    """x + the transposed convolution of constant code planes, given as the 3 x 3 classes of its values.

    x: (N, C, H, W) with H and W even; planes: (M, C, 3, 3) with M = k N; any real values. Returns (M, C, H, W), all N
    images k times over (see `layers.k_major`).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, planes: Tensor) -> Tensor:
        n, c, h, w = x.shape
        k = len(planes) // n
        last = x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        out = torch.empty((k * n, c, h, w), dtype=x.dtype, device=x.device, memory_format=layout)
        planes = planes.to(x.dtype).view(k, n, c, 3, 3)
        every = out.unflatten(0, (k, n))
        for i, rows in enumerate(_classes(h)):
            for m, columns in enumerate(_classes(w)):
                torch.add(x[:, :, rows, columns], planes[..., i, m, None, None], out=every[..., rows, columns])
        ctx.images = n
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        m, c, h, w = grad.shape
        n = ctx.images
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = grad if m == n else sum(grad.split(n)[1:], start=grad[:n])
        grad_planes = None
        if ctx.needs_input_grad[1]:
            wide = torch.promote_types(grad.dtype, torch.float32)
            sums = [
                grad[:, :, rows, columns].sum(dim=(2, 3), dtype=wide) for rows in _classes(h) for columns in _classes(w)
            ]
            grad_planes = torch.stack(sums, dim=-1).view(m, c, 3, 3)
        return grad_x, grad_planes


def add_code_planes(x: Tensor, planes: Tensor) -> Tensor:
    """`CodePlanes`. x: (N, C, H, W) with H and W even; planes: (M, C, 3, 3), M = k N. Returns (M, C, H, W)."""
    if has_torch_function_unary(x):  # not a tensor: `strips` computes it
        return handle_torch_function(add_code_planes, (x,), x, planes)
    out: Tensor = CodePlanes.apply(x, planes)
    return out


class UpsampleBlock(nn.Module):
    """Transposed convolution of stride 2, layer normalisation, ReLU.

    The last `style_dim` input channels of the weight belong to code planes (none in the feature-wise form). norm: off
    for UNIT, whose upsampling has a leaky ReLU alone, and where styles come after the normalisation.
    """

    CLASSES = 3  # of rows, and of columns, in which constant planes give different values

    def __init__(self, features: int, style_dim: int, outputs: int, norm: bool = True) -> None:
        super().__init__()
        self.features = features
        self.conv = nn.ConvTranspose2d(features + style_dim, outputs, 3, stride=2, padding=1, output_padding=1)
        self.norm = LayerNorm(outputs) if norm else None

    def upsample(self, x: Tensor) -> Tensor:
        """The convolution of the features alone, with bias: (N, features, h, w) -> (N, outputs, 2h, 2w), any values."""
        weight = self.conv.weight[: self.features]
        return F.conv_transpose2d(x, weight, self.conv.bias, stride=2, padding=1, output_padding=1)

    def add_code(self, h: Tensor, style: Tensor, twice: bool = False) -> Tensor:
        """h = `upsample(x)`, and what code planes add: (N, outputs, H, W), (M, S) -> (M, outputs, H, W), any values.

        M is a multiple of N; style j belongs to image j mod N. twice: as in `planes`.
        """
        return add_code_planes(h, self.planes(style, twice))

    def planes(self, style: Tensor, twice: bool = False) -> Tensor:
        """What code planes add to each class of pixels: (M, S) -> (M, outputs, 3, 3), any real values.

        twice: the planes are also the last of the features.
        """
        weight = self.conv.weight[self.features :]  # (S, outputs, 3, 3)
        if twice:
            weight = self.conv.weight[self.features - style.shape[1] : self.features] + weight
        with full_precision(style):  # a handful of numbers: full precision costs nothing
            taps = torch.tensor(_TAPS, dtype=weight.dtype, device=weight.device)
            return torch.einsum("ms,sokl,ak,bl->moab", style.to(weight.dtype), weight, taps, taps)

    def upsample_with_code(self, x: Tensor) -> Tensor:
        """The convolution of features and code planes, (N, features + S, h, w) -> (N, outputs, 2h, 2w), any values."""
        return F.conv_transpose2d(x, self.conv.weight, self.conv.bias, stride=2, padding=1, output_padding=1)

    def activate(self, x: Tensor) -> Tensor:
        """Normalisation and activation: (M, outputs, H, W), any real values -> the same shape. May overwrite x."""
        if self.norm is None:
            return F.leaky_relu_(x, CONTENT_SLOPE)
        return F.relu_(self.norm(x))  # in place: the normalisation's gradient needs its input only


class ResizeBlock(nn.Module):
    """Nearest-neighbour upsampling by 2, a 3 x 3 convolution padded by reflection, layer normalisation, ReLU.

    Every output sees the same taps, so that no grid of 2 pixels comes of the layer itself (Odena et al., Deconvolution
    and Checkerboard Artifacts, Distill 2016). The arguments are those of `UpsampleBlock`. Constant planes stay constant
    through both steps: the code adds one number to each channel.
    """

    CLASSES = 1

    def __init__(self, features: int, style_dim: int, outputs: int, norm: bool = True) -> None:
        super().__init__()
        self.features = features
        self.conv = Conv(features + style_dim, outputs, 3, padding=1)
        self.norm = LayerNorm(outputs) if norm else None

    def upsample(self, x: Tensor) -> Tensor:
        """The convolution of the features alone, with bias: (N, features, h, w) -> (N, outputs, 2h, 2w), any values."""
        assert self.conv.bias is not None
        return upsample_conv(x, self.conv.weight[:, : self.features], self.conv.bias)

    def add_code(self, h: Tensor, style: Tensor, twice: bool = False) -> Tensor:
        """As `UpsampleBlock.add_code`: (N, outputs, H, W), (M, S) -> (M, outputs, H, W), any real values."""
        return add_per_image(h, self.planes(style, twice).flatten(1))

    def planes(self, style: Tensor, twice: bool = False) -> Tensor:
        """As `UpsampleBlock.planes`, all pixels in one class: (M, S) -> (M, outputs, 1, 1), any real values."""
        weight = self.conv.weight[:, self.features :].sum(dim=(2, 3))  # (outputs, S)
        if twice:
            again = self.conv.weight[:, self.features - style.shape[1] : self.features]
            weight = again.sum(dim=(2, 3)) + weight
        with full_precision(style):
            return F.linear(style.to(weight.dtype), weight)[:, :, None, None]

    def upsample_with_code(self, x: Tensor) -> Tensor:
        """The convolution of features and code planes, (N, features + S, h, w) -> (N, outputs, 2h, 2w), any values."""
        assert self.conv.bias is not None
        return upsample_conv(x, self.conv.weight, self.conv.bias)

    def activate(self, x: Tensor) -> Tensor:
        """Normalisation and activation: (M, outputs, H, W), any real values -> the same shape. May overwrite x."""
        return F.relu_(x if self.norm is None else self.norm(x))


class SmoothBlock(ResizeBlock):
    """A `ResizeBlock` with a binomial filter of 3 x 3 after the convolution.

    Nearest-neighbour upsampling repeats the spectrum of the small map near the highest frequencies, where it shows as a
    mesh of about 2 pixels; the filter weakens it (Karras et al., StyleGAN, arXiv 1812.04948, appendix C: a binomial
    filter after each upsampling). Constant planes stay constant through it.
    """

    def upsample(self, x: Tensor) -> Tensor:
        """As `ResizeBlock.upsample`: (N, features, h, w) -> (N, outputs, 2h, 2w), any real values."""
        return binomial(super().upsample(x))

    def upsample_with_code(self, x: Tensor) -> Tensor:
        """As `ResizeBlock.upsample_with_code`: (N, features + S, h, w) -> (N, outputs, 2h, 2w), any real values."""
        return binomial(super().upsample_with_code(x))


UPSAMPLE_BLOCKS: dict[Upsample, type[UpsampleBlock] | type[ResizeBlock]] = {
    "transposed": UpsampleBlock,
    "resize": ResizeBlock,
    "smooth": SmoothBlock,
}


class OutputConv(nn.ConvTranspose2d):
    """The last layer, 1 x 1: features and code planes to an image in [-1, 1].

    Code planes are constant over an image: they add one number to each of its channels. A transposed 1 x 1 convolution
    is a convolution; the class keeps the published layout of the weight.
    """

    def __init__(self, features: int, style_dim: int, channels: int) -> None:
        super().__init__(features + style_dim, channels, 1)
        self.features = features

    def forward(self, h: Tensor, style: Tensor) -> Tensor:  # type: ignore[override]
        """h: (M, features, H, W), style: (M, S), any real values. Returns (M, channels, H, W) in [-1, 1].

        The image is float32 or wider.
        """
        out = full(F.conv2d(h, self.weight[: self.features].transpose(0, 1), self.bias))
        planes = self.weight[self.features :].flatten(1).to(style.dtype)  # (S, channels)
        if len(planes):
            with full_precision(style):
                out = out + (style @ planes)[:, :, None, None]
        return torch.tanh(out)


def initialise_generator(generator: nn.Module, smooth: bool) -> None:
    """Fill the initial weights of a generator. smooth: the upsamplings start as bilinear ones."""
    initialise(generator)
    if smooth:
        for layer in generator.modules():
            if isinstance(layer, (UpsampleBlock, ResizeBlock)):
                bilinear_init(layer.conv)
