"""Rendering one style after another, with fewer passes over large maps: the forms that generators take without a graph.

A pass over a map costs time of its own beside the convolutions. Three are saved, exactly:

- The first layer normalisation after the code's planes needs no pass for its statistics. With the sum of h over each
  class of pixels (`decoder_layers.CodePlanes`) and the sum of its squares, mean and variance of h + planes follow from
  a handful of numbers for each channel. Then planes, normalisation, gain and bias are one affine map of h.
- In later upsamplings the code's planes are channels of the smaller map before the convolution, in place of a pass over
  the larger one after it.
- Scale and shift by style are the gain and bias of the normalisation before them.

Maps are (N, C, H, W) with any real values.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.overrides import has_torch_function_unary

from drit.networks.fast import EPS, is_channels_last
from drit.runtime import full_precision

# On smaller maps several styles at once cost less than the calls for each of them.
LARGE_MAP = 4096


def one_by_one(x: Tensor) -> bool:
    """Whether styles of a map x (N, C, H, W) are rendered one after another: no graph, a CPU, a large map.

    (A tensor without numbers stands for one on a CPU.)
    """
    if torch.is_grad_enabled() or has_torch_function_unary(x) or torch.compiler.is_compiling():
        return False
    return x.device.type in ("cpu", "meta") and x.shape[-2] * x.shape[-1] >= LARGE_MAP


def each_style(render: Callable[[tuple[Tensor, ...], int], Tensor], prepared: tuple[Tensor, ...], count: int) -> Tensor:
    """Images (M, channels, H, W) of `render(prepared of one image, j)`, (1, channels, H, W), for j = 0 ... M - 1.

    prepared: tensors of N images each; style j belongs to image j mod N. count: M.
    """
    n = len(prepared[0])
    return torch.cat([render(tuple(part[j % n : j % n + 1] for part in prepared), j) for j in range(count)])


def class_sums(h: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Sums of a map over each class of pixels, and the sum of all its squares, float64.

    h: (N, C, H, W). classes: 3 for even, odd but last, and last rows (by the same columns), with H and W even; 1 for
    all pixels alike. Returns (N, C, classes, classes) and (N,).
    """
    wide = torch.float64
    square = torch.linalg.vector_norm(h, dim=(1, 2, 3), dtype=wide).square()
    if classes == 1:
        return h.sum(dim=(2, 3), keepdim=True, dtype=wide), square
    n, c, height, width = h.shape
    sums = h.new_zeros(n, c, 3, 3, dtype=wide)
    pairs = h.unflatten(2, (height // 2, 2)).unflatten(4, (width // 2, 2))  # (N, C, H / 2, 2, W / 2, 2)
    sums[:, :, :2, :2] = pairs.sum(dim=(2, 4), dtype=wide)
    last_row, last_column = pairs[:, :, -1, 1], pairs[:, :, :, :, -1, 1]  # (N, C, W / 2, 2), (N, C, H / 2, 2)
    sums[:, :, 2, :2] = last_row.sum(dim=2, dtype=wide)
    sums[:, :, :2, 2] = last_column.sum(dim=2, dtype=wide)
    sums[:, :, 2, 2] = h[:, :, -1, -1].to(wide)
    # the last row and column are odd ones as well
    sums[:, :, 1] -= sums[:, :, 2]
    sums[:, :, :, 1] -= sums[:, :, :, 2]
    return sums, square


def affine_of(
    sums: Tensor, square: Tensor, planes: Tensor, size: tuple[int, int], gain: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """The layer normalisation of h + planes, with gain and bias, as scale h + offset; one image.

    sums: (1, C, k, k), square: (1,), as `class_sums` gives them of h; planes: (1, C, k, k), what each class of pixels
    is raised by; size: height and width of h; gain, bias: (C,); any real values. Returns scale (1, C, 1, 1) and offset
    (1, C, k, k), float64.

        mean = (sum h + sum n p) / N,   variance = (sum h^2 + 2 sum p (sum of h in the class) + sum n p^2) / N - mean^2

    with p the plane of a channel and class, n the pixels of that class, N all pixels of all channels.
    """
    planes, (height, width) = planes.double(), size
    if sums.shape[-1] == 1:
        pixels = sums.new_full((1, 1), height * width)
    else:
        sides = [sums.new_tensor([side // 2, side // 2 - 1, 1]) for side in size]
        pixels = torch.outer(*sides)
    count = sums.shape[1] * height * width
    mean = (sums + pixels * planes).sum() / count
    variance = (square[0] + 2 * (planes * sums).sum() + (pixels * planes.square()).sum()) / count - mean.square()
    scale = gain.double()[:, None, None] * (variance + EPS).rsqrt()
    return scale[None], scale * (planes - mean) + bias.double()[:, None, None]


def affine_relu(h: Tensor, scale: Tensor, offset: Tensor, code: Tensor) -> Tensor:
    """ReLU(scale h + offset), and behind its channels one constant plane for each number of a code.

    h: (1, C, H, W); scale: (1, C, 1, 1); offset: (1, C, k, k), k = 1, or 3 for the classes of `class_sums`; code:
    (1, S); any real values. Returns (1, C + S, H, W) in the type and memory format of h.
    """
    _, c, height, width = h.shape
    layout = torch.channels_last if is_channels_last(h) else torch.contiguous_format
    shape = 1, c + code.shape[1], height, width
    out = torch.empty(shape, dtype=h.dtype, device=h.device, memory_format=layout)
    wide = torch.promote_types(h.dtype, torch.float32)
    # Channels last, in whichever order the numbers lie: then the numbers of a pixel lie side by side in all of them.
    own, pixels = out[:, :c].permute(0, 2, 3, 1), h.permute(0, 2, 3, 1)
    scale, offset = (v.to(wide).permute(0, 2, 3, 1).contiguous() for v in (scale, offset))  # (1, k, k, C)
    with full_precision(h):
        if offset.shape[1] == 1:
            torch.addcmul(offset, pixels, scale, out=own)
        else:
            pairs = (x.unflatten(1, (height // 2, 2)).unflatten(3, (width // 2, 2)) for x in (own, pixels))
            own_pairs, pixel_pairs = pairs  # (1, H / 2, 2, W / 2, 2, C)
            torch.addcmul(offset[:, None, :2, None, :2], pixel_pairs, scale[:, None, :, None], out=own_pairs)
            rows, columns = (_classes(side) for side in (height, width))
            torch.addcmul(offset[:, 2, columns], pixels[:, -1], scale[:, 0], out=own[:, -1])
            torch.addcmul(offset[:, rows, 2], pixels[:, :, -1], scale[:, 0], out=own[:, :, -1])
        own.relu_()
    out[:, c:].permute(0, 2, 3, 1)[:] = code.to(h.dtype)
    return out


def _classes(side: int) -> Tensor:
    """The class of each place of a side: 0, 1, 0, 1, ..., 0, 2."""
    classes = torch.arange(side) % 2
    classes[-1] = 2
    return classes
