"""Building blocks shared by all networks: padding, normalisation, convolutions, residual blocks.

Layout everywhere: (N, C, H, W). Convolutions pad by reflection, transposed convolutions by zeros, as the published
program does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from drit.runtime import full, full_precision

EPS = 1e-5  # inside the square root of every normalisation (published value)
INITIAL_STD = 0.02  # of convolution weights (published value)


class _Pad(torch.autograd.Function):
    """Reflection or repetition of the border. For its gradient it keeps the input's shape; torch keeps the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, amount: int, reflect: bool) -> Tensor:
        ctx.shape, ctx.amount, ctx.reflect = x.shape, amount, reflect
        ctx.layout = torch.channels_last if is_channels_last(x) else torch.contiguous_format
        return F.pad(x, (amount,) * 4, mode="reflect" if reflect else "replicate")

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        aten = torch.ops.aten
        gradient = aten.reflection_pad2d_backward if ctx.reflect else aten.replication_pad2d_backward
        shape_only = torch.empty(ctx.shape, dtype=grad.dtype, device=grad.device, memory_format=ctx.layout)
        return gradient(grad, shape_only, [ctx.amount] * 4), None, None


def pad(x: Tensor, amount: int, least: int = 0, reflect: bool = True) -> Tensor:
    """Pad `amount` pixels on each side by reflection; by its border where the image is too small or not `reflect`.

    x: (N, C, H, W). `least`: the smallest height and width of the result (more border is added at the end), so that
    a convolution with a kernel of that size always has somewhere to go.
    """
    h, w = x.shape[-2:]
    if amount:
        # autocast would widen the whole map to float32 here, and the convolution narrow it again
        with full_precision(x):
            x = _Pad.apply(x, amount, reflect and min(h, w) > amount)
    short_h, short_w = max(0, least - x.shape[-2]), max(0, least - x.shape[-1])
    if short_h or short_w:
        with full_precision(x):
            x = F.pad(x, (0, short_w, 0, short_h), mode="replicate")
    return x


# Inputs of fewer numbers are activated, padded and normalised by the library's operations: they keep a map or two more,
# which weigh nothing beside the weights, and save doing it again and the overhead of a function written in Python (a
# seventh of the time of an iteration on 28-pixel digits).
LARGE_INPUT = 1 << 18
# A CPU normalises maps in channels_last fastest one image after another, but for many images of fewer pixels.
_LARGE_MAP, _FEW_IMAGES = 1024, 8


def _normalised(x: Tensor, gain: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Each channel of each image normalised, with gain and bias for each channel or without.

    The library's own backward is several times slower than the convolution beside it in channels_last, and so is its
    forward on small maps. Its batch normalisation of single images is not.
    """
    c = x.shape[1]
    if gain is None or bias is None:
        if torch.is_grad_enabled() and x.numel() >= LARGE_INPUT:
            return _InstanceNorm.apply(x)
        # given gains and biases in full precision the library sums up in full precision
        gain, bias = full(x.new_ones(c)), full(x.new_zeros(c))
    if not torch.is_grad_enabled():
        return _without_graph(x, gain, bias)[0]
    return _together([made[0] for made in _batch_norms(x, gain, bias)], x)


class _InstanceNorm(torch.autograd.Function):
    """Normalisation that keeps for its gradient the map it makes, which the next layer keeps anyhow, in place of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        c = x.shape[1]
        out, rstd = _without_graph(x, full(x.new_ones(c)), full(x.new_zeros(c)))
        ctx.save_for_backward(out, rstd)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """dx = (g - mean(g) - y mean(g y)) / s  for y = (x - m) / s, means over the pixels of a channel.

        That is also the gradient of normalising y itself, of mean 0 and deviation 1, with gain 1 / s.
        """
        y, rstd = ctx.saved_tensors
        layout = torch.channels_last if is_channels_last(y) else torch.contiguous_format
        grads, maps = _images(grad.contiguous(memory_format=layout)), _images(y)
        gains = rstd.view(len(maps), -1)
        zero, one = torch.zeros_like(gains[0]), torch.ones_like(gains[0])
        backward = torch.ops.aten.native_batch_norm_backward
        dx = [
            backward(*given, None, None, zero, one, True, EPS, [True, False, False])[0]
            for given in zip(grads, maps, gains, strict=True)
        ]
        return _together(dx, y)


def _without_graph(x: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """What `_normalised` gives, and 1 / deviations of the channels, the fastest way where no graph is kept."""
    n, c, h, w = x.shape
    if h * w >= _LARGE_MAP and _in_turns(x):
        out, _, rstd = torch.native_group_norm(x, gain, bias, n, c, h * w, c, EPS)
        return out, rstd
    parts, _, rstds = zip(*_batch_norms(x, gain, bias), strict=True)
    return _together(parts, x), torch.cat(rstds)


def _batch_norms(x: Tensor, gain: Tensor, bias: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Batch normalisation of each of `_images`: what it gives, the means and 1 / deviations of the channels."""
    images = _images(x)
    if len(images) < len(x):
        gain, bias = gain.repeat(len(x)), bias.repeat(len(x))
    return [torch.native_batch_norm(p, gain, bias, None, None, True, 0.0, EPS) for p in images]


def eagerly_on_cpu(x: Tensor) -> bool:
    """Whether x is computed with on a CPU, operation by operation: where other formulations than the library's pay."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def cpu_capability() -> str:
    """The widest instructions of the processor that the library uses: "AVX2", "AVX512" or others."""
    return torch.backends.cpu.get_cpu_capability()


def _in_turns(x: Tensor) -> bool:
    """Whether images are normalised one after another; else all channels side by side as those of one image.

    (A tensor without numbers stands for one on a CPU.)
    """
    fastest = len(x) <= _FEW_IMAGES or x.shape[-2] * x.shape[-1] >= _LARGE_MAP
    return fastest and x.device.type in ("cpu", "meta") and is_channels_last(x)


def _images(x: Tensor) -> Sequence[Tensor]:
    """Maps (N, C, H, W) for a normalisation of single images: N of (1, C, H, W), or one of (1, N C, H, W)."""
    if _in_turns(x):
        return x.split(1)
    n, c, h, w = x.shape
    if is_channels_last(x):
        return [x.permute(2, 3, 0, 1).reshape(1, h, w, n * c).permute(0, 3, 1, 2)]
    return [x.reshape(1, n * c, h, w)]


def _together(images: Sequence[Tensor], like: Tensor) -> Tensor:
    """What became of the `_images` of maps `like`, as such maps again."""
    if len(images) == len(like):
        return images[0] if len(like) == 1 else torch.cat(list(images))
    (made,), (n, c, h, w) = images, like.shape
    if is_channels_last(like):
        return made.permute(0, 2, 3, 1).view(h, w, n, c).permute(2, 0, 1, 3).contiguous().permute(0, 3, 1, 2)
    return made.view(n, c, h, w)


def is_channels_last(x: Tensor) -> bool:
    """Whether x, maps or a convolution's weight, is contiguous once its axes are in the order of channels_last."""
    return x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def instance_norm(x: Tensor) -> Tensor:
    """Each channel of each image to mean 0 and variance 1, without gain or bias (Ulyanov et al., 1607.08022).

    x: (N, C, H, W). A map of one pixel gives 0.
    """
    return _normalised(x)


def _activated(x: Tensor, slope: float | None) -> Tensor:
    if slope is None:
        return x
    return F.leaky_relu(x, slope) if slope else F.relu(x)


def with_planes(x: Tensor, code: Tensor) -> Tensor:
    """Maps x (N, C, H, W), and behind them each number of the code (N, S) as a constant plane: (N, C + S, H, W), in the
    memory format of x."""
    planes = code.to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[-2:])
    if is_channels_last(x):  # the library would put both in another order
        planes = planes.contiguous(memory_format=torch.channels_last)
    return torch.cat([x, planes], dim=1)


def k_major(x: Tensor, count: int) -> Tensor:
    """(N, ...) -> (count, ...), count = k N: all N, k times over; no copy where the numbers agree already."""
    return x if len(x) == count else x.repeat(count // len(x), *[1] * (x.dim() - 1))


class _PaddedConv(torch.autograd.Function):
    """Convolution of the padded, activated input. For the gradients it keeps the input as it was given, and activates
    and pads it again: a map that a normalisation keeps anyhow, in place of two more."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, int], amount: int, slope: float | None
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.amount, ctx.slope = stride, amount, slope
        return F.conv2d(pad(_activated(x, slope), amount), weight, bias, stride)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None, None]:
        x, weight = ctx.saved_tensors
        aten = torch.ops.aten
        active = _activated(x, ctx.slope)
        padded = pad(active, ctx.amount).to(grad.dtype)
        needed = list(ctx.needs_input_grad[:3])
        dx, dw, db = _convolution_gradients(grad, padded, weight.to(grad.dtype), ctx.stride, needed)
        if dx is not None:
            if ctx.amount:
                back = (
                    aten.reflection_pad2d_backward
                    if min(x.shape[-2:]) > ctx.amount
                    else aten.replication_pad2d_backward
                )
                dx = back(dx, active.to(grad.dtype), [ctx.amount] * 4)
            if ctx.slope:
                dx = aten.leaky_relu_backward(dx, x.to(grad.dtype), ctx.slope, False)
            elif ctx.slope is not None:
                dx = aten.threshold_backward(dx, x.to(grad.dtype), 0)
            dx = dx.to(x.dtype)
        return (
            dx,
            None if dw is None else dw.to(weight.dtype),
            None if db is None else db.to(weight.dtype),
            None,
            None,
            None,
        )


def _convolution_gradients(
    grad: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], needed: list[bool]
) -> tuple[Tensor | None, ...]:
    """Those of input, weight and bias of a convolution without padding; None for each that is not needed.

    Without AVX-512 the library is slow at weight gradients of large maps in channels_last, 9 to 40 GFLOP/s where it
    reaches 19 to 46 with copies in the other format; it is not slow at the others.
    """

    def gradients(needed: list[bool], *given: Tensor) -> list[Tensor | None]:
        sizes = [grad.shape[1]], stride, (0, 0), (1, 1), False, (0, 0), 1, needed
        found: list[Tensor | None] = torch.ops.aten.convolution_backward(*given, *sizes)
        return found

    if not (needed[1] and is_channels_last(x) and eagerly_on_cpu(x) and cpu_capability() == "AVX2"):
        return tuple(gradients(needed, grad, x, weight))
    dx = gradients([True, False, False], grad, x, weight)[0] if needed[0] else None
    copies = (t.contiguous() for t in (grad, x, weight))
    return dx, *gradients([False, *needed[1:]], *copies)[1:]


def padded_conv(
    x: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, int], amount: int, slope: float | None = None
) -> Tensor:
    """Convolution with bias of the activated input (leaky ReLU of `slope`, 0: ReLU, None: as it is), after padding
    `amount` pixels by reflection. x: (N, C, H, W) at least as large as the kernel when padded."""
    if torch.is_grad_enabled() and x.numel() >= LARGE_INPUT:
        return _PaddedConv.apply(x, weight, bias, stride, amount, slope)
    return F.conv2d(pad(_activated(x, slope), amount), weight, bias, stride)


class Conv(nn.Conv2d):
    """Convolution with bias after padding by reflection; works on maps of any size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__(inputs, outputs, kernel, stride)
        self.amount = padding

    def forward(self, x: Tensor, slope: float | None = None) -> Tensor:
        """x: (N, C, H, W). slope: of a leaky ReLU before the padding (0: a ReLU); None: there is none.

        An activation given here costs no memory in training; one of its own costs a map.
        """
        kernel = self.kernel_size[0]
        if min(x.shape[-2:]) + 2 * self.amount < kernel:
            return F.conv2d(pad(_activated(x, slope), self.amount, kernel), self.weight, self.bias, self.stride)
        assert self.bias is not None
        return padded_conv(x, self.weight, self.bias, self.stride, self.amount, slope)


class InstanceNorm(nn.Module):
    """`instance_norm` as a layer, where a list of layers is wanted."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return instance_norm(x)


class ImageBatchNorm(nn.Module):
    """Batch normalisation of single images: instance normalisation, then gain and bias for each channel.

    What batch normalisation is with a batch of one, in training and (with the batch's own statistics) in use: the way
    of Pix2Pix (1611.07004, section 3.3). So an image's result never depends on what it is computed together with.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return _normalised(x, self.weight, self.bias)


class ResidualBlock(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x))))), 3 x 3 convolutions, no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels, 3, padding=1)
        self.conv2 = Conv(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.change(self.conv1(x))

    def change(self, h: Tensor) -> Tensor:
        """What the block adds to its input, from the output `h` of its first convolution."""
        return instance_norm(self.conv2(instance_norm(h), 0.0))


class LayerNorm(nn.Module):
    """Each image to mean 0 and variance 1 over (C, H, W), then gain and bias per channel (Ba et al., 1607.06450)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, 1, self.weight, self.bias, EPS)


def bilinear_init(layer: nn.ConvTranspose2d) -> None:
    """Make a transposed convolution (kernel 3 or 4, stride 2) start as a bilinear enlargement.

    With independent numbers neighbours differ however smooth the input is, for a kernel of 3 even in size (an even row
    is the sum of one tap, an odd row of two): a grid from the start. The kernel (1/2, 1, 1/2) x (1/2, 1, 1/2), or of
    (1/4, 3/4, 3/4, 1/4), times one number for each pair of channels is bilinear interpolation.
    """
    ramp = torch.tensor([0.5, 1.0, 0.5] if layer.kernel_size[0] == 3 else [0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        layer.weight.copy_(layer.weight[:, :, 1:2, 1:2] * torch.outer(ramp, ramp))


def initialise(module: nn.Module, scaled: bool = False) -> None:
    """Initial weights of convolutions; biases and other layers keep the library's.

    Published (DRIT): normal(0, 0.02). `scaled`: normal with the deviation that keeps the size of activations through
    leaky ReLUs (He et al., 1502.01852), for networks without normalisation.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            if scaled:
                nn.init.kaiming_normal_(layer.weight, a=0.2)
            else:
                nn.init.normal_(layer.weight, 0.0, INITIAL_STD)


def zero_biases(module: nn.Module) -> None:
    """Biases of convolutions to 0 at first, as in the programs of CycleGAN, Pix2Pix and MUNIT (its discriminators)."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def draw_weights(module: nn.Module, draw: Callable[[Tensor], object]) -> None:
    """Initial weights of convolutions and linear layers: `draw` fills them in place; biases 0."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
