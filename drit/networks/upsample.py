"""Nearest-neighbour upsampling and a convolution, without the large map: each pixel becomes 2 x 2, then 3 x 3 or 5 x 5.

With a 5 x 5 convolution (MUNIT), an even output row sees the source rows i - 1, i - 1, i, i, i + 1; an odd one i - 1,
i, i, i + 1, i + 1. So the four outputs of a source pixel are four 3 x 3 convolutions of the source, with sums of the
weights. That is 36 products in place of 100, twice as fast forward and back at published sizes. It holds for all but
the outermost outputs, whose reflected border lies otherwise. They are computed apart, from the two outermost rows and
columns.

With a 3 x 3 convolution, an even output row sees the source rows i - 1, i, i; an odd one i, i, i + 1. So the four
outputs of a source pixel are four 2 x 2 convolutions, or one transposed convolution of 4 x 4: 16 products in place of
36. The reflected border of the large map repeats the outermost source row: the source padded by repetition has no other
case.

The results are exact (tests/networks/test_upsample.py): only the order of summation differs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import handle_torch_function, has_torch_function_unary

from drit.networks.fast import is_channels_last, pad, padded_conv
from drit.networks.layers import Conv, LayerNorm
from drit.runtime import full_precision

# Which taps of 5 fall on source rows i - 1, i, i + 1, for even and odd output rows.
_INNER = (((1.0, 1, 0, 0, 0), (0, 0, 1, 1, 0), (0, 0, 0, 0, 1)), ((1.0, 0, 0, 0, 0), (0, 1, 1, 0, 0), (0, 0, 0, 1, 1)))
# The same of the outermost output row, reflected: the outermost source row, and the one beside it.
OUTERMOST = ((0.0, 1, 1, 1, 0), (1.0, 0, 0, 0, 1))
# Which taps of 3 fall on the two source rows that odd (i, i + 1) and even (i - 1, i) output rows see.
_PAIRS = (((1.0, 1, 0), (0, 0, 1)), ((1.0, 0, 0), (0, 1, 1)))
# Which taps of 3 fall on each of the four output rows 2 i - 1, ..., 2 i + 2 that source row i reaches.
_TRANSPOSED = ((0.0, 0, 1), (0, 1, 1), (1, 1, 0), (1, 0, 0))
# On smaller maps, making the sums of weights costs more than the products that they save.
_SMALL_MAP = 1024


class _WriteBorder(torch.autograd.Function):
    """Writes the outermost rows and columns of a map in place; one copy of the gradient for all four."""

    @staticmethod
    def forward(ctx: Any, inner: Tensor, top: Tensor, bottom: Tensor, left: Tensor, right: Tensor) -> Tensor:
        inner[:, :, :1], inner[:, :, -1:] = top, bottom
        inner[:, :, 1:-1, :1], inner[:, :, 1:-1, -1:] = left, right
        ctx.mark_dirty(inner)
        return inner

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        inner = F.pad(grad[:, :, 1:-1, 1:-1], (1, 1, 1, 1))
        rows, columns = (grad[:, :, :1], grad[:, :, -1:]), (grad[:, :, 1:-1, :1], grad[:, :, 1:-1, -1:])
        return inner, *rows, *columns


def upsample_conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Nearest-neighbour upsampling by 2, then a 3 x 3 or 5 x 5 convolution padded by reflection.

    (5 x 5: MUNIT, 1804.04732, appendix B.2.)

    x: (N, C, h, w); weight: (O, C, k, k), k = 3 or 5; bias: (O,); any real values. Returns (N, O, 2 h, 2 w).
    """
    if has_torch_function_unary(x):  # not a tensor: `strips` computes it
        return handle_torch_function(upsample_conv, (x,), x, weight, bias)
    h, w = x.shape[-2:]
    kernel = weight.shape[-1]
    if h * w < _SMALL_MAP or min(h, w) < 2:
        return padded_conv(F.interpolate(x, scale_factor=2), weight, bias, (1, 1), kernel // 2)
    return _upsample_conv_3(x, weight, bias) if kernel == 3 else _upsample_conv_5(x, weight, bias)


class _FourConvolutions(torch.autograd.Function):
    """Four 2 x 2 convolutions of a padded map, put into the odd and even rows and columns of one output.

    Forward it is one transposed convolution of stride 2 with a 4 x 4 kernel, which writes each output where it belongs.
    The gradients of that one are the library's slowest; here they are those of the four convolutions.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        o, c = weight.shape[:2]
        with full_precision(x):
            taps = torch.tensor(_TRANSPOSED, dtype=weight.dtype, device=weight.device)
            products = torch.kron(taps, taps).t()  # (9, 16): one product makes the kernel in the order that is needed
            kernel = (weight.transpose(0, 1).reshape(c * o, 9) @ products).view(c, o, 4, 4)
        return F.conv_transpose2d(x, kernel, bias, stride=2, padding=3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight, bias = ctx.saved_tensors
        n, o, h, w = grad.shape
        layout = torch.channels_last if is_channels_last(x) else torch.contiguous_format
        maps = grad.new_zeros(n, 4 * o, h // 2 + 1, w // 2 + 1).contiguous(memory_format=layout)
        for part, rows, columns in _quarters(maps):
            part.copy_(grad[:, :, rows, columns])
        taps = torch.tensor(_PAIRS, dtype=weight.dtype, device=weight.device)
        sums = torch.einsum("ockl,pak,qbl->pqocab", weight, taps, taps).flatten(0, 2)  # (4 O, C, 2, 2)
        tensors, needed = (maps, x.to(grad.dtype), sums.to(grad.dtype)), [*ctx.needs_input_grad[:2], False]
        dx, dw, _ = torch.ops.aten.convolution_backward(
            *tensors, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, needed
        )
        if dx is not None:
            dx = dx.to(x.dtype)
        if dw is not None:
            dw = torch.einsum("pqocab,pak,qbl->ockl", dw.to(weight.dtype).view(2, 2, o, -1, 2, 2), taps, taps)
        return dx, dw, grad.sum(dim=(0, 2, 3), dtype=bias.dtype) if ctx.needs_input_grad[2] else None


def _quarters(maps: Tensor) -> Iterator[tuple[Tensor, slice, slice]]:
    """Each of the four maps without what it leaves out, and its rows and columns in the interleaved one.

    maps: (N, 4 O, h + 1, w + 1). Place i of the maps of odd rows is output row 2 i - 1, of even ones row 2 i: each
    leaves out a row at one end.
    """
    ends = (slice(1, None), slice(1, None, 2)), (slice(None, -1), slice(0, None, 2))  # odd, even
    for four, ((rows, out_rows), (columns, out_columns)) in zip(
        maps.chunk(4, dim=1), itertools.product(ends, ends), strict=True
    ):
        yield four[:, :, rows, columns], out_rows, out_columns


def _upsample_conv_3(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    out: Tensor = _FourConvolutions.apply(pad(x, 1, reflect=False), weight, bias)
    return out


def _upsample_conv_5(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    with full_precision(x):
        taps = torch.tensor(_INNER, dtype=weight.dtype, device=weight.device)
        sums = torch.einsum("ockl,pak,qbl->opqcab", weight, taps, taps).flatten(0, 2)  # (4 O, C, 3, 3)
        around = pad(x, 1, reflect=False)
    inner = F.pixel_shuffle(F.conv2d(around, sums, bias.repeat_interleave(4)), 2)
    rows = _outermost(x, weight, bias)
    columns = _outermost(x.transpose(2, 3), weight.transpose(2, 3), bias)
    return _WriteBorder.apply(inner, *rows, *(c.transpose(2, 3)[:, :, 1:-1] for c in columns))


def _outermost(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    """The first and the last output row: each (N, O, 1, 2 w)."""
    edges = torch.cat([x[:, :, :2], x[:, :, -2:].flip(2)])  # (2 N, C, 2, w): the outermost row, the one beside it
    with full_precision(x):
        taps = torch.tensor(OUTERMOST, dtype=weight.dtype, device=weight.device)
        sums = torch.einsum("ockl,ak->ocal", weight, taps)
        edges = F.pad(edges.repeat_interleave(2, dim=3), (2, 2, 0, 0), mode="reflect")
    return F.conv2d(edges, sums, bias).chunk(2)


def binomial(x: Tensor) -> Tensor:
    """Each pixel's mean over 3 x 3 by the weights 1, 2, 1 of rows and of columns; the outermost pixels are repeated.

    It passes a fiftieth of a wave of 2.2 pixels, a half of one of 4. With nearest-neighbour upsampling before it, that
    is upsampling by the weights 1, 3, 3, 1.

    x: (N, C, H, W), any real values. Returns the same shape.
    """
    if has_torch_function_unary(x):  # not a tensor: `strips` computes it
        return handle_torch_function(binomial, (x,), x)
    return F.conv2d(pad(x, 1, reflect=False), binomial_kernel(x.shape[1]).to(x), groups=x.shape[1])


def binomial_kernel(channels: int) -> Tensor:
    """The weights of `binomial` for each channel by itself: (C, 1, 3, 3), their sum 1."""
    side = torch.tensor([0.25, 0.5, 0.25])
    return torch.outer(side, side).expand(channels, 1, 3, 3).contiguous()


class Binomial(nn.Module):
    """`binomial` as a layer. It has no weights."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W), any real values. Returns the same shape."""
        return binomial(x)


class UpsampleConv(nn.Module):
    """`upsample_conv`, layer normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Conv(inputs, outputs, 5, padding=2)
        self.norm = LayerNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x: (M, inputs, h, w), any real values. Returns (M, outputs, 2 h, 2 w), at least 0."""
        return F.relu_(self.norm(upsample_conv(x, self.conv.weight, self.conv.bias)))
