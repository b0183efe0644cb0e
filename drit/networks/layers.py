"""Layers shared by all networks: convolutions, normalisations, residual blocks.

Maps are (N, C, H, W) with any real values. Convolutions pad by reflection, transposed convolutions by zeros, as the
official implementation of DRIT does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from drit import peers
from drit.networks.fast import activate, group_norm, is_channels_last, normalise, pad, padded_conv
from drit.runtime import full


def instance_norm(x: Tensor) -> Tensor:
    """Each channel of each image to mean 0 and variance 1, without gain or bias (Ulyanov et al., arXiv 1607.08022).

    x: (N, C, H, W), any real values. Returns the same shape. A map of one pixel gives 0.
    """
    return normalise(x)


def with_planes(x: Tensor, code: Tensor) -> Tensor:
    """Concatenate each number of a code to maps, as a constant plane behind their channels.

    x: (N, C, H, W), code: (N, S), any real values. Returns (N, C + S, H, W) in the type and memory format of x.
    """
    if has_torch_function_unary(x):  # not a tensor: `strips` computes it
        return handle_torch_function(with_planes, (x,), x, code)
    planes = code.to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[-2:])
    if is_channels_last(x):  # the library would put both in another order
        planes = planes.contiguous(memory_format=torch.channels_last)
    return torch.cat([x, planes], dim=1)


def k_major(x: Tensor, count: int) -> Tensor:
    """Repeat a batch k times: all N, then all N again. Nothing is copied for k = 1.

    x: (N, ...), any real values; count: k N, a multiple of N. Returns (k N, ...).
    """
    return x if len(x) == count else x.repeat(count // len(x), *[1] * (x.dim() - 1))


def _styles_by_image(x: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
    """x: (N, C, H, W); code: (k N, C), k-major. Returns (1, N, C, H, W) and (k, N, C, 1, 1), in the type of x."""
    return x[None], code.to(x.dtype).view(-1, *x.shape[:2], 1, 1)


def add_per_image(x: Tensor, bias: Tensor) -> Tensor:
    """x + bias, a number for each channel and style of each image. The repeated x is never built.

    x: (N, C, H, W); bias: (M, C), M a multiple of N; any real values. Bias j belongs to image j mod N. Returns
    (M, C, H, W) in the type and memory format of x.
    """
    if has_torch_function_unary(x):  # not a tensor: `strips` computes it
        return handle_torch_function(add_per_image, (x,), x, bias)
    if len(bias) == len(x):
        return x + bias.to(x.dtype)[:, :, None, None]
    x, bias = _styles_by_image(x, bias)
    return (x + bias).flatten(0, 1)


def modulate(normed: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Scale and shift after a normalisation, by style: gain times the normalised map, plus bias.

    y = gain x + bias   (FiLM, arXiv 1709.07871, equation 2; with instance normalisation AdaIN, MUNIT, 1804.04732, 5.1)

    normed: (N, C, h, w); gain, bias: (M, C), M a multiple of N; any real values. Style j belongs to image j mod N.
    Returns (M, C, h, w) in the type and memory format of `normed`.
    """
    if has_torch_function_unary(normed):  # not a tensor: `strips` computes it
        return handle_torch_function(modulate, (normed,), normed, gain, bias)
    if len(gain) == len(normed):
        gain, bias = (v.to(normed.dtype)[:, :, None, None] for v in (gain, bias))
        return torch.addcmul(bias, normed, gain)
    normed, gain = _styles_by_image(normed, gain)
    return torch.addcmul(bias.to(normed.dtype).view_as(gain), normed, gain).flatten(0, 1)


def style_mlp(style_dim: int, hidden: int, outputs: int) -> nn.Sequential:
    """What a generator needs of a style: an MLP of three layers with ReLUs, (M, style_dim) -> (M, outputs)."""
    return nn.Sequential(
        nn.Linear(style_dim, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )


class Conv(nn.Conv2d):
    """Convolution with bias after padding by reflection; works on maps of any size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__(inputs, outputs, kernel, stride)
        self.amount = padding

    def forward(self, x: Tensor, slope: float | None = None) -> Tensor:
        """Activate, pad, convolve. An activation given here costs no memory in training; one of its own costs a map.

        slope: of a leaky ReLU before the padding (0: a ReLU); None: no activation. A map that is smaller than the
        kernel when padded is padded further by its border.

        x: (N, inputs, H, W), any real values. Returns (N, outputs, H', W') with H' = (H + 2 padding - kernel) / stride
        + 1, rounded down, and at least 1.
        """
        kernel = self.kernel_size[0]
        if min(x.shape[-2:]) + 2 * self.amount < kernel:
            return F.conv2d(pad(activate(x, slope), self.amount, kernel), self.weight, self.bias, self.stride)
        assert self.bias is not None
        return padded_conv(x, self.weight, self.bias, self.stride, self.amount, slope)


class InstanceNorm(nn.Module):
    """`instance_norm` as a layer, where a list of layers is wanted."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W), any real values. Returns the same shape."""
        return instance_norm(x)


class ImageBatchNorm(nn.Module):
    """Batch normalisation of single images: instance normalisation, then gain and bias for each channel.

    Batch normalisation with a batch of one is the same, in training and (with the batch's own statistics) in use. It is
    what Pix2Pix does (arXiv 1611.07004, section 3.3). So the result for an image does not depend on the other images.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W), any real values. Returns the same shape."""
        return normalise(x, self.weight, self.bias)


def layer_norm(x: Tensor) -> Tensor:
    """Each image to mean 0 and variance 1 over (C, H, W), without gain or bias (Ba et al., arXiv 1607.06450).

    x: (N, C, H, W), any real values. Returns the same shape.
    """
    return group_norm(x, 1)


class LayerNorm(nn.Module):
    """Each image to mean 0 and variance 1 over (C, H, W), then gain and bias per channel (Ba et al., 1607.06450)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W), any real values. Returns the same shape."""
        return group_norm(x, 1, self.weight, self.bias)


class Dropout(nn.Dropout):
    """Dropout with the mask of the whole batch, of which each of several processes takes the rows of its images."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (k N, C, H, W), any real values. Returns the same shape."""
        if peers.count() == 1 or not self.training:
            return super().forward(x)
        ones = torch.ones_like(x[:1]).expand(len(x) * peers.count(), *x.shape[1:])
        whole = ones.contiguous(memory_format=torch.channels_last if is_channels_last(x) else torch.contiguous_format)
        return x * peers.share(super().forward(whole))


class BatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation over the whole batch, also where several processes share it."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C), any real values. Returns the same shape."""
        return _synchronised(self, x) if peers.count() > 1 and self.training else super().forward(x)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the whole batch and all pixels, also where several processes share it."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W), any real values. Returns the same shape."""
        return _synchronised(self, x) if peers.count() > 1 and self.training else super().forward(x)


def _synchronised(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """What a batch normalisation with gain, bias and running statistics gives in training (Ioffe and Szegedy,
    arXiv 1502.03167, algorithm 1), with the mean and the variance of the images of all processes.

    x: (N, C) or (N, C, H, W), any real values, of which every process has as many. Returns the same shape.
    """
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    wide, axes = full(x), [0, *range(2, x.dim())]
    mean = peers.mean(wide.mean(axes, keepdim=True))
    variance = peers.mean((wide - mean).square().mean(axes, keepdim=True))
    with torch.no_grad():
        numbers = peers.count() * x.numel() // x.shape[1]
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean.flatten().to(norm.running_mean.dtype), norm.momentum)
        unbiased = variance.flatten() * numbers / (numbers - 1)
        norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), norm.momentum)
    shape = mean.shape
    normal = (wide - mean) * (variance + norm.eps).rsqrt()
    return (normal * norm.weight.view(shape) + norm.bias.view(shape)).to(x.dtype)


class ResidualBlock(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x))))), 3 x 3 convolutions, no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels, 3, padding=1)
        self.conv2 = Conv(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W), any real values. Returns the same shape."""
        return x + self.residual(self.conv1(x))

    def residual(self, h: Tensor) -> Tensor:
        """What the block adds to its input, from the output h of its first convolution.

        h: (N, C, H, W), any real values. Returns the same shape.
        """
        return instance_norm(self.conv2(instance_norm(h), 0.0))
