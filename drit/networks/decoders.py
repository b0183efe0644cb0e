"""Generators of DRIT in both forms, split into the part that no style changes (`prepare`) and the rest (`render`).

One image in many styles costs one `prepare` and many `render`s. The split is exact: docs/architecture.md gives the
argument, tests/methods/test_exactness.py the proof in float64. Code planes are constant over an image, so

- instance normalisation removes what they add inside the residual blocks of the concatenating form:
  blocks([content, z]) = blocks([content, 0]) + [0, z];
- a transposed convolution of constant planes takes 3 x 3 different values only, of even, odd and last rows by even,
  odd and last columns. `CodePlanes` adds them without building the planes;
- a 1 x 1 convolution of them is one number for each channel.

`prepare(content)`: (N, C, h, w), any real values -> a tuple of tensors of N images each.
`render(prepared, style)`: style (M, S), any real values, with M a multiple of N. Style j belongs to image j mod N, so
that M = k N renders k styles of each image. Returns (M, channels, H, W) in [-1, 1], always float32 or wider.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.networks.encoders import CONTENT_SLOPE
from drit.networks.fast import padded_conv
from drit.networks.init import bilinear_init, initialise
from drit.networks.layers import Conv, LayerNorm, ResidualBlock, instance_norm, k_major
from drit.runtime import full, full_precision

Prepared = tuple[Tensor, ...]

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
        for j in range(k):
            own = out[j * n : (j + 1) * n]
            for i, rows in enumerate(_classes(h)):
                for m, columns in enumerate(_classes(w)):
                    torch.add(x[:, :, rows, columns], planes[j, :, :, i, m, None, None], out=own[:, :, rows, columns])
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


class UpsampleBlock(nn.Module):
    """Transposed convolution of stride 2, layer normalisation, ReLU.

    The last `style_dim` input channels of the weight belong to code planes (none in the feature-wise form). norm: off
    for UNIT, whose upsampling has a leaky ReLU alone.
    """

    def __init__(self, features: int, style_dim: int, outputs: int, norm: bool = True) -> None:
        super().__init__()
        self.features = features
        self.conv = nn.ConvTranspose2d(features + style_dim, outputs, 3, stride=2, padding=1, output_padding=1)
        self.norm = LayerNorm(outputs) if norm else None

    def upsample(self, x: Tensor) -> Tensor:
        """The convolution of the features alone, with bias: (N, features, h, w) -> (N, outputs, 2h, 2w), any values."""
        weight = self.conv.weight[: self.features]
        return F.conv_transpose2d(x, weight, self.conv.bias, stride=2, padding=1, output_padding=1)

    def activate(self, x: Tensor) -> Tensor:
        """Normalisation and activation: (M, outputs, H, W), any real values -> the same shape. May overwrite x."""
        if self.norm is None:
            return F.leaky_relu_(x, CONTENT_SLOPE)
        return F.relu_(self.norm(x))  # in place: the normalisation's gradient needs its input only

    def code_planes(self, style: Tensor, weight: Tensor | None = None) -> Tensor:
        """What the code planes add, as classes of pixels: (M, S) -> (M, outputs, 3, 3), any real values.

        weight: (S, outputs, 3, 3), by default the part of this layer's weight that belongs to the code.
        """
        weight = self.conv.weight[self.features :] if weight is None else weight
        with full_precision(style):  # a handful of numbers: full precision costs nothing
            taps = torch.tensor(_TAPS, dtype=weight.dtype, device=weight.device)
            return torch.einsum("ms,sokl,ak,bl->moab", style.to(weight.dtype), weight, taps, taps)


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
    """Fill the initial weights of a generator. smooth: the transposed convolutions start as bilinear upsampling."""
    initialise(generator)
    if smooth:
        for layer in generator.modules():
            if isinstance(layer, UpsampleBlock):
                bilinear_init(layer.conv)


class ConcatDecoder(nn.Module):
    """One domain's generator after the shared blocks, code planes concatenated to the features of every layer.

    (DRIT, arXiv 1808.00948, section 3.1; the layers are those of the official implementation's concatenating form.)
    """

    def __init__(self, channels: int, content: int, style_dim: int, blocks: int, upsamplings: int) -> None:
        super().__init__()
        self.style_dim = style_dim
        self.content = content
        width = content + style_dim
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(blocks))
        self.up = nn.ModuleList()
        for _ in range(upsamplings):
            self.up.append(UpsampleBlock(width, style_dim, (width + style_dim) // 2))
            width = (width + style_dim) // 2
        self.last = OutputConv(width, style_dim, channels)

    def prepare(self, h: Tensor) -> Prepared:
        """The blocks, and the first upsampling without what the code adds to it.

        h: (N, content, h, w) from the shared blocks, any real values. Returns one map (N, outputs, 2 h, 2 w).
        """
        for i, block in enumerate(self.blocks):
            if i == 0:  # the code planes are zero here: their half of the convolution is left out
                first = padded_conv(h, block.conv1.weight[:, : self.content], block.conv1.bias, (1, 1), 1)
                h = F.pad(h, (0, 0, 0, 0, 0, self.style_dim)) + block.residual(first)
            else:
                h = block(h)
        if not len(self.blocks):
            h = F.pad(h, (0, 0, 0, 0, 0, self.style_dim))
        return (self.up[0].upsample(h),)

    def render(self, prepared: Prepared, style: Tensor) -> Tensor:
        """prepared: of N images; style: (M, S), any real values, M a multiple of N. Style j is for image j mod N.

        Returns (M, channels, H, W) in [-1, 1], float32 or wider.
        """
        (h,) = prepared
        s = self.style_dim
        for i, up in enumerate(self.up):
            if i == 0:  # z is still part of the blocks' result (their skip connection) and is concatenated once more
                weight = up.conv.weight
                planes = up.code_planes(style, weight[up.features - s : up.features] + weight[up.features :])
            else:
                h = up.upsample(h)
                planes = up.code_planes(style)
            h = up.activate(CodePlanes.apply(h, planes))
        return self.last(h, style)


class ConcatGenerator(nn.Module):
    """G of all domains, the concatenating form: shared residual blocks, then one decoder for each domain.

    For changes of style. smooth: the transposed convolutions start as bilinear upsampling.
    """

    def __init__(
        self,
        channels: dict[str, int],
        content: int,
        style_dim: int,
        shared_blocks: int,
        blocks: int,
        upsamplings: int,
        smooth: bool = False,
    ) -> None:
        super().__init__()
        self.shared = nn.Sequential(*(ResidualBlock(content) for _ in range(shared_blocks)))
        self.own = nn.ModuleDict(
            {d: ConcatDecoder(c, content, style_dim, blocks, upsamplings) for d, c in channels.items()}
        )
        initialise_generator(self, smooth)

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        """What no style of `domain` changes. content: (N, C, h, w), any real values. Returns a tuple of one map.

        Raises KeyError for a domain that the generator does not have; so does `render`.
        """
        return self.own[domain].prepare(self.shared(content))

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        """prepared: of N images; style: (M, S), any real values, M a multiple of N. Style j is for image j mod N.

        Returns (M, channels, H, W) in [-1, 1], float32 or wider.
        """
        return self.own[domain].render(prepared, style)


class FeatureBlock(nn.Module):
    """Residual block whose 1 x 1 convolutions mix features and code after each 3 x 3 convolution.

    A 1 x 1 convolution of [features, code planes] is W_o features + (W_z z): the planes are never built.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels, 3, padding=1)
        self.mix1 = nn.ModuleList([Conv(2 * channels, 2 * channels, 1), Conv(2 * channels, channels, 1)])
        self.conv2 = Conv(channels, channels, 3, padding=1)
        self.mix2 = nn.ModuleList([Conv(2 * channels, 2 * channels, 1), Conv(2 * channels, channels, 1)])

    def start(self, x: Tensor) -> Tensor:
        """The part before the code enters: (N, C, h, w) -> (N, 2 C, h, w), any real values."""
        return self._features(self.mix1, instance_norm(self.conv1(x)))

    def finish(self, x: Tensor, started: Tensor, code: Tensor) -> Tensor:
        """The rest of the block. x: (N, C, h, w), its input; started: (N, 2 C, h, w), what `start` gave for it.

        code: (M, C), any real values, M a multiple of N. Returns (M, C, h, w).
        """
        h = self._mix(self.mix1, started, code)
        h = self._mix(self.mix2, self._features(self.mix2, instance_norm(self.conv2(h))), code)
        return h + k_major(x, len(code))

    @staticmethod
    def _features(mix: nn.ModuleList, x: Tensor) -> Tensor:
        return F.conv2d(x, mix[0].weight[:, : x.shape[1]], mix[0].bias)

    @staticmethod
    def _mix(mix: nn.ModuleList, features: Tensor, code: Tensor) -> Tensor:
        weight = mix[0].weight[:, code.shape[1] :].flatten(1)  # (2 C, C)
        with full_precision(code):
            planes = F.linear(code, weight)[:, :, None, None].to(features.dtype)  # (M, 2 C, 1, 1)
        return F.relu(mix[1](F.relu(k_major(features, len(code)) + planes)))


class FeatureDecoder(nn.Module):
    """Layers of one domain's feature-wise generator. `FeatureGenerator` runs them, between blocks that domains share.

    An MLP gives every block a code of its own; the code enters nowhere else.
    """

    def __init__(self, channels: int, content: int, style_dim: int, own: int, shared: int, upsamplings: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(FeatureBlock(content) for _ in range(own))
        self.codes = nn.Sequential(
            nn.Linear(style_dim, content),
            nn.ReLU(),
            nn.Linear(content, content),
            nn.ReLU(),
            nn.Linear(content, (own + shared) * content),
        )
        self.up = nn.ModuleList(UpsampleBlock(content >> i, 0, content >> (i + 1)) for i in range(upsamplings))
        self.last = OutputConv(content >> upsamplings, 0, channels)


class FeatureGenerator(nn.Module):
    """G of all domains, the feature-wise form, for changes of shape.

    share: the first blocks serve all domains, as the paper says. smooth: the transposed convolutions start as bilinear
    upsampling.
    """

    def __init__(
        self,
        channels: dict[str, int],
        content: int,
        style_dim: int,
        shared_blocks: int,
        blocks: int,
        upsamplings: int,
        share: bool,
        smooth: bool = False,
    ) -> None:
        super().__init__()
        shared = shared_blocks if share else 0
        own = blocks + shared_blocks - shared
        self.shared = nn.ModuleList(FeatureBlock(content) for _ in range(shared))
        self.own = nn.ModuleDict(
            {d: FeatureDecoder(c, content, style_dim, own, shared, upsamplings) for d, c in channels.items()}
        )
        initialise_generator(self, smooth)

    def _blocks(self, domain: str) -> list[FeatureBlock]:
        return [*self.shared, *self.own[domain].blocks]

    def prepare(self, content: Tensor, domain: str) -> Prepared:
        """What no style of `domain` changes. content: (N, C, h, w), any real values.

        Returns content and the first block's part before the code enters, (N, 2 C, h, w). Raises KeyError for a domain
        that the generator does not have; so does `render`.
        """
        return content, self._blocks(domain)[0].start(content)

    def render(self, prepared: Prepared, style: Tensor, domain: str) -> Tensor:
        """prepared: of N images; style: (M, S), any real values, M a multiple of N. Style j is for image j mod N.

        Returns (M, channels, H, W) in [-1, 1], float32 or wider.
        """
        h, started = prepared
        own = self.own[domain]
        with full_precision(style):
            codes = own.codes(style.to(own.codes[0].weight.dtype)).split(h.shape[1], dim=1)
        for i, (block, code) in enumerate(zip(self._blocks(domain), codes, strict=True)):
            h = block.finish(h, started if i == 0 else block.start(h), code)
        for up in own.up:
            h = up.activate(up.upsample(h))
        return own.last(h, style)
