"""What networks call, carried out on strips (see `drit.networks.strips`): one function here for each of theirs.

Maps are (1, C, H, W), any real values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.errors import UsageError
from drit.networks import decoder_layers, fast, fast_unet, layers, upsample
from drit.networks.strips import HANDLERS, Extended, FromRows, Kept, Scratch, Strips, Sums, local, pointwise
from drit.runtime import full


def striped(scratch: Scratch, height: int, give: Callable[[int, int], Tensor]) -> Strips:
    """A map (1, C, H, W) of that height, which networks take in place of a tensor.

    give: its rows begin .. end - 1, a new tensor (1, C, h, W) each time.
    """
    return FromRows(scratch, height, give)


def _normalise(x: Strips, gain: Tensor | None = None, bias: Tensor | None = None) -> Strips:
    """`fast.normalise` with the statistics of the whole map."""
    mean, variance = _moments(x)
    return _standardised(x, mean, variance, gain, bias)


def _group_norm(
    x: Strips, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = fast.EPS
) -> Strips:
    """`F.group_norm` with the statistics of the whole map."""
    mean, variance = _moments(x)
    own = variance + mean.square()
    mean, square = (v.view(groups, -1).mean(1).repeat_interleave(len(v) // groups) for v in (mean, own))
    return _standardised(x, mean, square - mean.square(), weight, bias, eps)


def _moments(x: Strips) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel (C,), float64."""
    if isinstance(x, Kept):
        return x.sums.moments()
    sums = Sums(x)  # x is computed again when its rows are asked for, which costs less than to keep it
    for begin, end in x.scratch.strips(*x.shape[2:]):
        sums.add(x.rows(begin, end))
    return sums.moments()


def _standardised(
    x: Strips, mean: Tensor, variance: Tensor, gain: Tensor | None, bias: Tensor | None, eps: float = fast.EPS
) -> Strips:
    """gain (x - mean) / sqrt(variance + eps) + bias, in full precision, in the type of x."""
    scale = (variance + eps).rsqrt()
    shift = -mean * scale
    if gain is not None:
        scale, shift = scale * gain.double(), shift * gain.double()
    if bias is not None:
        shift = shift + bias.double()

    def standardise(rows: Tensor) -> Tensor:
        wide = full(rows)
        a, b = (v.to(wide.dtype)[:, None, None] for v in (scale, shift))
        return torch.addcmul(b, wide, a).to(rows.dtype)

    return pointwise(standardise, x)


def _padded_conv(
    x: Strips, weight: Tensor, bias: Tensor, stride: tuple[int, int], amount: int, slope: float | None = None
) -> Strips:
    """`fast.padded_conv`: reflection at a cut is computed and dropped."""
    kernel, step = weight.shape[-1], stride[0]
    height = (x.shape[2] + 2 * amount - kernel) // step + 1

    def layer(rows: Tensor) -> Tensor:
        return fast.padded_conv(rows, weight, bias, stride, amount, slope)

    return local(x, layer, _reach(kernel, amount), weight[0].numel(), height, down=step)


def _conv(
    x: Strips,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Strips:
    """`F.conv2d` with zeros around the map."""
    _plain(dilation, groups)
    (kernel, _), step, amount = weight.shape[2:], _first(stride), _first(padding)
    height = (x.shape[2] + 2 * amount - kernel) // step + 1

    def layer(rows: Tensor) -> Tensor:
        return F.conv2d(rows, weight, bias, stride, padding)

    if kernel == step == 1 and not amount:
        return pointwise(layer, x)
    return local(x, layer, _reach(kernel, amount), weight[0].numel(), height, down=step)


def _reach(kernel: int, padding: int) -> int:
    """How many rows before or after its own an output sees, at most."""
    return max(padding, kernel - 1 - padding)


def _conv_transpose(
    x: Strips,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Strips:
    """`F.conv_transpose2d`."""
    _plain(dilation, groups)
    kernel, step, amount = weight.shape[2], _first(stride), _first(padding)
    height = (x.shape[2] - 1) * step - 2 * amount + kernel + _first(output_padding)
    halo = -(-_reach(kernel, amount) // step)

    def layer(rows: Tensor) -> Tensor:
        return F.conv_transpose2d(rows, weight, bias, stride, padding, output_padding)

    return local(x, layer, halo, weight[:, 0].numel() / step**2, height, up=step)


def _plain(dilation: Any, groups: int) -> None:
    if _first(dilation) != 1 or groups != 1:
        raise UsageError("This method cannot be computed in strips: its convolutions have gaps or groups.")


def _first(value: Any) -> int:
    return int(value[0] if isinstance(value, (tuple, list)) else value)


def _upsample_conv(x: Strips, weight: Tensor, bias: Tensor) -> Strips:
    """`upsample.upsample_conv`: an output row sees the source rows beside its own."""

    products = (4 if weight.shape[-1] == 3 else 9) * weight.shape[1]

    def layer(rows: Tensor) -> Tensor:
        return upsample.upsample_conv(rows, weight, bias)

    return local(x, layer, 1, products, 2 * x.shape[2], up=2)


def _binomial(x: Strips) -> Strips:
    """`upsample.binomial`: a row sees the ones beside it."""
    return local(x, upsample.binomial, 1, 9, x.shape[2])


def _code_planes(x: Strips, planes: Tensor) -> Strips:
    """`decoder_layers.add_code_planes` for one style: the class of a row counts from the top of the whole map."""
    height, width = x.shape[2:]
    own = planes[0].to(x.dtype)[:, :, _classes(torch.arange(width), width)]  # (C, 3, W): each class of rows
    of_rows = own.permute(1, 2, 0).contiguous()

    def add(begin: int, end: int) -> Tensor:
        added = of_rows[_classes(torch.arange(begin, end), height)]  # (h, W, C)
        return x.rows(begin, end) + added.permute(2, 0, 1)

    return FromRows(x.scratch, height, add)


def _classes(places: Tensor, size: int) -> Tensor:
    """Which of even (0), odd (1) and last (2) places of a side are: (n,) whole numbers -> (n,)."""
    return torch.where(places == size - 1, 2, places % 2)


def _with_planes(x: Strips, code: Tensor) -> Strips:
    """`layers.with_planes`, strip by strip."""
    return pointwise(layers.with_planes, x, code)


def _pad(x: Strips, amounts: Sequence[int], mode: str = "constant", value: float | None = None) -> Strips:
    """`F.pad`: channels of zeros behind the others, or the last row and column once more."""
    left, right, top, bottom, *of_channels = amounts
    if mode == "replicate" and not (left or top or of_channels):
        return Extended(x, bottom, right)
    if mode == "constant" and not (left or right or top or bottom) and not value:
        return pointwise(F.pad, x, amounts)
    raise UsageError("This method cannot be computed in strips: it pads a whole map in another way.")


def _cat(maps: Sequence[Any], dim: int = 0) -> Strips:
    """`torch.cat` of channels."""
    if dim != 1:
        raise UsageError("This method cannot be computed in strips: it joins maps to a batch.")
    return pointwise(lambda *rows: torch.cat(rows, 1), *maps)


def _downsample(layer: nn.Conv2d, x: Strips) -> Strips:
    """`fast_unet.downsample`."""
    return local(x, lambda rows: fast_unet.downsample(layer, rows), 2, layer.weight[0].numel(), x.shape[2] // 2, down=2)


def _upsample(layer: nn.ConvTranspose2d, x: Strips) -> Strips:
    """`fast_unet.upsample`."""
    return local(
        x, lambda rows: fast_unet.upsample(layer, rows), 1, layer.weight[:, 0].numel() / 4, 2 * x.shape[2], up=2
    )


def _of_each_pixel(function: Callable[..., Tensor]) -> Callable[..., Strips]:
    return lambda *arguments, **options: pointwise(function, *arguments, **options)


HANDLERS.update({
    function: _of_each_pixel(function)
    for function in (
        F.relu, torch.relu, F.relu_, torch.relu_, F.leaky_relu, F.leaky_relu_, torch.tanh, torch.sigmoid,
        torch.addcmul, F.dropout,
    )
})  # fmt: skip
HANDLERS.update(
    {
        fast.normalise: _normalise,
        fast.padded_conv: _padded_conv,
        fast_unet.downsample: _downsample,
        fast_unet.upsample: _upsample,
        layers.with_planes: _with_planes,
        layers.add_per_image: _of_each_pixel(layers.add_per_image),
        layers.modulate: _of_each_pixel(layers.modulate),
        upsample.binomial: _binomial,
        upsample.upsample_conv: _upsample_conv,
        decoder_layers.add_code_planes: _code_planes,
        F.conv2d: _conv,
        F.conv_transpose2d: _conv_transpose,
        F.group_norm: _group_norm,
        F.pad: _pad,
        torch.cat: _cat,
    }
)
