"""Fast forms of padding, normalisation and convolution: the same numbers with less memory, or in less time.

Each form is exact: tests/methods/test_exactness.py compares outputs and gradients with the library's in float64. Which
form is taken depends on sizes, memory format and processor alone, never on values. Maps are (N, C, H, W) with any real
values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import handle_torch_function, has_torch_function_unary

from drit.runtime import full, full_precision

EPS = 1e-5  # inside the square root of every normalisation (published value)
# Inputs of fewer numbers are activated, padded and normalised by the library's operations. These keep a map or two
# more, which weigh nothing beside the weights. They save doing it again, and the overhead of a function written in
# Python: a seventh of the time of an iteration on 28-pixel digits.
LARGE_INPUT = 1 << 18
# A CPU normalises maps in channels_last fastest one image after another, except for many images of fewer pixels.
_LARGE_MAP, _FEW_IMAGES = 1024, 8
_LONG, _PIECE = 1 << 16, 1 << 14  # pixels: more are summed up in pieces, of at most so many


def eagerly_on_cpu(x: Tensor) -> bool:
    """Whether x is computed on a CPU, operation by operation: where other forms than the library's pay.

    x: a tensor of any shape, such as (N, C, H, W); its values do not matter.
    """
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def cpu_capability() -> str:
    """The widest instructions of the processor that the library uses: "AVX2", "AVX512" or others."""
    return torch.backends.cpu.get_cpu_capability()


def is_channels_last(x: Tensor) -> bool:
    """Whether x is stored in the order of channels_last, and in no other at once.

    x: maps (N, C, H, W) or a convolution's weight (O, I, k, k). A tensor of another rank gives False.
    """
    return x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


class _Pad(torch.autograd.Function):
    """Padding by reflection or repetition. For its gradient it keeps the input's shape; torch keeps the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, amount: int, reflect: bool) -> Tensor:
        ctx.shape, ctx.amount, ctx.reflect = x.shape, amount, reflect
        ctx.layout = torch.channels_last if is_channels_last(x) else torch.contiguous_format
        return F.pad(x, (amount,) * 4, mode="reflect" if reflect else "replicate")

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        if grad.is_cuda and not ctx.reflect and torch.are_deterministic_algorithms_enabled():
            return _gradient_of_repeated(grad, ctx.amount), None, None  # the library has none that is deterministic
        aten = torch.ops.aten
        gradient = aten.reflection_pad2d_backward if ctx.reflect else aten.replication_pad2d_backward
        shape_only = torch.empty(ctx.shape, dtype=grad.dtype, device=grad.device, memory_format=ctx.layout)
        return gradient(grad, shape_only, [ctx.amount] * 4), None, None


def _gradient_of_repeated(grad: Tensor, amount: int) -> Tensor:
    """Gradient of repeating the border `amount` times on each side, the same bits each time.

    grad: (N, C, H + 2 amount, W + 2 amount), any real values. Returns (N, C, H, W) in its memory format.
    """
    for dim in (2, 3):
        first, inner, last = grad.split([amount, grad.shape[dim] - 2 * amount, amount], dim)
        grad = inner.clone()
        grad.narrow(dim, 0, 1).add_(first.sum(dim, keepdim=True))
        grad.narrow(dim, -1, 1).add_(last.sum(dim, keepdim=True))
    return grad


def pad(x: Tensor, amount: int, min_side: int = 0, reflect: bool = True) -> Tensor:
    """Pad `amount` pixels on each side by reflection, or repeat the border.

    The border is repeated where `reflect` is off, or where a side of x is not larger than `amount`. `min_side` is the
    min height and width of the result: the border is repeated at the end until it is reached. So a convolution with a
    kernel of that size always has an output.

    x: (N, C, H, W), any real values. Returns (N, C, max(H + 2 amount, min_side), max(W + 2 amount, min_side)).
    """
    h, w = x.shape[-2:]
    if amount:
        # autocast would widen the whole map to float32 here, and the convolution narrow it again
        with full_precision(x):
            x = _Pad.apply(x, amount, reflect and min(h, w) > amount)
    short_h, short_w = max(0, min_side - x.shape[-2]), max(0, min_side - x.shape[-1])
    if short_h or short_w:
        with full_precision(x):
            x = F.pad(x, (0, short_w, 0, short_h), mode="replicate")
    return x


def activate(x: Tensor, slope: float | None) -> Tensor:
    """Leaky ReLU of `slope`; a ReLU for 0; x itself for None.

    x: any shape, such as (N, C, H, W), any real values. Returns the same shape.
    """
    if slope is None:
        return x
    return F.leaky_relu(x, slope) if slope else F.relu(x)


def normalise(x: Tensor, gain: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Each channel of each image to mean 0 and variance 1, then times gain, plus bias, if both are given.

    y = gain (x - mean(x)) / sqrt(var(x) + 1e-5) + bias, mean and var over the pixels of one channel of one image
    (Ulyanov et al., arXiv 1607.08022).

    x: (N, C, H, W), any real values; gain, bias: (C,). Returns (N, C, H, W) in the memory format of x. A map of one
    pixel gives 0 before gain and bias.
    """
    if has_torch_function_unary(x):  # not a tensor: `strips` computes it
        return handle_torch_function(normalise, (x,), x, gain, bias)
    # The library's own backward is several times slower than the convolution beside it in channels_last, and so is its
    # forward on small maps. Its batch normalisation of single images is not.
    c = x.shape[1]
    if gain is None or bias is None:
        if torch.is_grad_enabled() and x.numel() >= LARGE_INPUT:
            return _InstanceNorm.apply(x)
        # given gains and biases in full precision the library sums up in full precision
        gain, bias = full(x.new_ones(c)), full(x.new_zeros(c))
    if not torch.is_grad_enabled():
        return _normalise_without_graph(x, gain, bias)[0]
    return _merge_images([out for out, _, _ in _batch_norms(x, gain, bias)], x)


def group_norm(x: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """`F.group_norm` with `EPS`, and with precise sums over large maps.

    x: (N, C, H, W), any real values; weight, bias: (C,). Returns the shape, type and memory format of x. Raises
    RuntimeError where `groups` does not divide C.
    """
    if has_torch_function_unary(x) or not _sums_are_long(x):
        return F.group_norm(x, groups, weight, bias, EPS)
    return _normalise_in_pieces(x, groups, weight, bias)[0]


def _sums_are_long(x: Tensor) -> bool:
    """Whether the library's normalisation of x would sum up too many numbers one by one, without a graph.

    In channels_last on a CPU it keeps sums of values and squares in float32. Of maps of 256 x 256 pixels the standard
    deviation is wrong by 5e-6, of 2048 x 2048 by 3e-3, of 3000 x 3000 white pixels with a few lines by a tenth.
    """
    long = x.shape[-2] * x.shape[-1] > _LONG and x.device.type in ("cpu", "meta")
    return long and is_channels_last(x) and not torch.is_grad_enabled()


def _normalise_in_pieces(x: Tensor, groups: int, gain: Tensor | None, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Group normalisation by statistics that are gathered from pieces of the map: its result, and 1 / std of each group
    of each image, (N groups,).

    mean = sum s_i m_i,   variance = sum s_i (v_i + (m_i - mean)^2),   of pieces i: mean m_i, variance v_i, share s_i
    """
    n, c, _, _ = x.shape
    wide = torch.promote_types(x.dtype, torch.float32)
    out, rstds = torch.empty_like(x), []
    for j in range(n):
        pixels, result = (v[j].permute(1, 2, 0) for v in (x, out))  # (H, W, C)
        means, squares, shares = [], [], []
        for piece in pixels.flatten(0, 1).split(_PIECE):
            piece = piece.to(wide)
            mean = piece.mean(0)
            squares.append((piece - mean).square_().mean(0))
            means.append(mean)
            shares.append(len(piece) / (pixels.shape[0] * pixels.shape[1] * (c // groups)))
        # a piece of one channel counts with its share of the group: (pieces, groups, channels of a group)
        m, v = (torch.stack(found).double().unflatten(1, (groups, -1)) for found in (means, squares))
        share = torch.tensor(shares, dtype=torch.float64, device=x.device)[:, None, None]
        mean = (share * m).sum((0, 2))
        rstd = ((share * (v + (m - mean[:, None]).square())).sum((0, 2)) + EPS).rsqrt()
        scale, shift = (value.repeat_interleave(c // groups) for value in (rstd, -mean * rstd))
        if gain is not None:
            scale, shift = scale * gain, shift * gain
        if bias is not None:
            shift = shift + bias
        torch.addcmul(shift.to(wide), pixels, scale.to(wide), out=result)
        rstds.append(rstd.to(wide))
    return out, torch.cat(rstds)


class _InstanceNorm(torch.autograd.Function):
    """Normalisation that keeps its output for the gradient in place of x: the next layer keeps the output anyhow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        c = x.shape[1]
        out, rstd = _normalise_without_graph(x, full(x.new_ones(c)), full(x.new_zeros(c)))
        ctx.save_for_backward(out, rstd)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """dx = (g - mean(g) - y mean(g y)) / s  for y = (x - m) / s, means over the pixels of a channel.

        That is also the gradient of normalising y itself, of mean 0 and std 1, with gain 1 / s.
        """
        y, rstd = ctx.saved_tensors
        layout = torch.channels_last if is_channels_last(y) else torch.contiguous_format
        grads, maps = _split_images(grad.contiguous(memory_format=layout)), _split_images(y)
        gains = rstd.view(len(maps), -1)
        zero, one = torch.zeros_like(gains[0]), torch.ones_like(gains[0])
        backward = torch.ops.aten.native_batch_norm_backward
        dx = [
            backward(*inputs, None, None, zero, one, True, EPS, [True, False, False])[0]
            for inputs in zip(grads, maps, gains, strict=True)
        ]
        return _merge_images(dx, y)


def _normalise_without_graph(x: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """What `normalise` gives, and 1 / std of each channel, the fastest way where no graph is kept."""
    n, c, h, w = x.shape
    if _sums_are_long(x):
        return _normalise_in_pieces(x, c, gain, bias)
    if h * w >= _LARGE_MAP and _one_image_at_a_time(x):
        out, _, rstd = torch.native_group_norm(x, gain, bias, n, c, h * w, c, EPS)
        return out, rstd
    outs, _, rstds = zip(*_batch_norms(x, gain, bias), strict=True)
    return _merge_images(outs, x), torch.cat(rstds)


def _batch_norms(x: Tensor, gain: Tensor, bias: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Batch normalisation of each of `_split_images`: its output, and mean and 1 / std of each channel."""
    images = _split_images(x)
    if len(images) < len(x):
        gain, bias = gain.repeat(len(x)), bias.repeat(len(x))
    return [torch.native_batch_norm(image, gain, bias, None, None, True, 0.0, EPS) for image in images]


def _one_image_at_a_time(x: Tensor) -> bool:
    """Whether images are normalised one after another; else all channels side by side as those of one image.

    (A tensor without numbers stands for one on a CPU.)
    """
    fastest = len(x) <= _FEW_IMAGES or x.shape[-2] * x.shape[-1] >= _LARGE_MAP
    return fastest and x.device.type in ("cpu", "meta") and is_channels_last(x)


def _split_images(x: Tensor) -> Sequence[Tensor]:
    """Maps (N, C, H, W) for a normalisation of single images: N of (1, C, H, W), or one of (1, N C, H, W)."""
    if _one_image_at_a_time(x):
        return x.split(1)
    n, c, h, w = x.shape
    if is_channels_last(x):
        return [x.permute(2, 3, 0, 1).reshape(1, h, w, n * c).permute(0, 3, 1, 2)]
    return [x.reshape(1, n * c, h, w)]


def _merge_images(images: Sequence[Tensor], like: Tensor) -> Tensor:
    """The inverse of `_split_images`: maps of the shape and the memory format of `like`."""
    if len(images) == len(like):
        return images[0] if len(like) == 1 else torch.cat(list(images))
    (merged,), (n, c, h, w) = images, like.shape
    if is_channels_last(like):
        return merged.permute(0, 2, 3, 1).view(h, w, n, c).permute(2, 0, 1, 3).contiguous().permute(0, 3, 1, 2)
    return merged.view(n, c, h, w)


class _PaddedConv(torch.autograd.Function):
    """Convolution of the activated, padded input, which are computed again for the gradients.

    Kept is the input as it was given, which a normalisation keeps anyhow, in place of two maps more.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, int], amount: int, slope: float | None
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.amount, ctx.slope = stride, amount, slope
        return F.conv2d(pad(activate(x, slope), amount), weight, bias, stride)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None, None]:
        x, weight = ctx.saved_tensors
        aten = torch.ops.aten
        active = activate(x, ctx.slope)
        padded = pad(active, ctx.amount).to(grad.dtype)
        needed = list(ctx.needs_input_grad[:3])
        dx, dw, db = _convolution_gradients(grad, padded, weight.to(grad.dtype), ctx.stride, needed)
        if dx is not None:
            if ctx.amount:
                reflected = min(x.shape[-2:]) > ctx.amount
                unpad = aten.reflection_pad2d_backward if reflected else aten.replication_pad2d_backward
                dx = unpad(dx, active.to(grad.dtype), [ctx.amount] * 4)
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

    Without AVX-512 the library is slow at weight gradients of large maps in channels_last: 9 to 40 GFLOP/s, and 19 to
    46 with copies in the other format. It is not slow at the others.
    """

    def gradients(needed: list[bool], *tensors: Tensor) -> list[Tensor | None]:
        sizes = [grad.shape[1]], stride, (0, 0), (1, 1), False, (0, 0), 1, needed
        all_three: list[Tensor | None] = torch.ops.aten.convolution_backward(*tensors, *sizes)
        return all_three

    if not (needed[1] and is_channels_last(x) and eagerly_on_cpu(x) and cpu_capability() == "AVX2"):
        return tuple(gradients(needed, grad, x, weight))
    dx = gradients([True, False, False], grad, x, weight)[0] if needed[0] else None
    copies = (t.contiguous() for t in (grad, x, weight))
    return dx, *gradients([False, *needed[1:]], *copies)[1:]


def padded_conv(
    x: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, int], amount: int, slope: float | None = None
) -> Tensor:
    """Convolution of the activated input, padded by `amount` pixels as `pad` does.

    slope: of a leaky ReLU before the padding (0: a ReLU); None: no activation.

    x: (N, C, H, W), any real values; weight: (O, C, k, k); bias: (O,). Returns (N, O, H', W'). Raises RuntimeError
    where the padded input is smaller than the kernel.
    """
    if has_torch_function_unary(x):  # not a tensor: `strips` computes it
        return handle_torch_function(padded_conv, (x,), x, weight, bias, stride, amount, slope)
    if torch.is_grad_enabled() and x.numel() >= LARGE_INPUT:
        return _PaddedConv.apply(x, weight, bias, stride, amount, slope)
    return F.conv2d(pad(activate(x, slope), amount), weight, bias, stride)


def one_channel_conv(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """`layer(x)` for a convolution of stride 1 to one channel, in float32 or wider.

    x: (N, C, H, W), any real values. Returns (N, 1, H', W'), the sizes that the layer gives.
    """
    # The library computes one output channel at a fifteenth of its rate. Here a matrix product gives what each pixel
    # adds to each output that it touches, and a fold sums it up, with the kernel turned by 180 degrees.
    if not eagerly_on_cpu(x):
        return layer(x)
    size, padding = layer.kernel_size[0], int(layer.padding[0])
    h, w = (side + 2 * padding - size + 1 for side in x.shape[-2:])
    taps = layer.weight[0].flip(1, 2).flatten(1)  # (C, size^2)
    with full_precision(x):
        parts = full(x).permute(0, 2, 3, 1).flatten(1, 2) @ taps  # (N, H W, size^2)
        out = F.fold(parts.transpose(1, 2), (h, w), size, padding=size - 1 - padding)
    return out if layer.bias is None else out + layer.bias[:, None, None]
