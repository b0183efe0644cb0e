"""Generators of DRIT in both published forms, split into what no style changes (`prepare`) and the rest (`render`).

One image in many styles costs one `prepare` and many `render`s. The split is exact: docs/architecture.md gives the
argument, tests/methods/test_exactness.py the proof in float64. Code planes are constant over an image, so

- instance normalisation removes what they add inside the residual blocks of the concatenating form:
  blocks([content, z]) = blocks([content, 0]) + [0, z];
- a transposed convolution of constant planes takes 3 x 3 different values only, of even, odd and last rows by even,
  odd and last columns. `CodePlanes` adds them without building the planes. Through nearest-neighbour upsampling and a
  convolution padded by reflection they stay constant;
- a 1 x 1 convolution of them is one number for each channel.

`prepare(content)`: (N, C, h, w), any real values -> a tuple of tensors of N images each.
`render(prepared, style)`: style (M, S), any real values, with M a multiple of N. Style j belongs to image j mod N, so
that M = k N renders k styles of each image. Returns (M, channels, H, W) in [-1, 1], always float32 or wider.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from drit.networks.decoder_layers import UPSAMPLE_BLOCKS, OutputConv, initialise_generator
from drit.networks.fast import padded_conv
from drit.networks.layers import Conv, ResidualBlock, instance_norm, k_major, style_mlp, with_planes
from drit.networks.rendering import affine_of, affine_relu, class_sums, each_style, one_by_one
from drit.runtime import full_precision
from drit.settings.groups import Upsample

Prepared = tuple[Tensor, ...]


class ConcatDecoder(nn.Module):
    """One domain's generator after the shared blocks, code planes concatenated to the features of every layer.

    (DRIT, arXiv 1808.00948, section 3.1; the layers are those of the official implementation's concatenating form.)
    """

    def __init__(
        self, channels: int, content: int, style_dim: int, blocks: int, upsamplings: int, upsample: Upsample
    ) -> None:
        super().__init__()
        self.style_dim = style_dim
        self.content = content
        width = content + style_dim
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(blocks))
        self.up = nn.ModuleList()
        for _ in range(upsamplings):
            self.up.append(UPSAMPLE_BLOCKS[upsample](width, style_dim, (width + style_dim) // 2))
            width = (width + style_dim) // 2
        self.last = OutputConv(width, style_dim, channels)

    def prepare(self, h: Tensor) -> Prepared:
        """The blocks, and the first upsampling without what the code adds to it.

        h: (N, content, h, w) from the shared blocks, any real values. Returns one map (N, outputs, 2 h, 2 w), and its
        `rendering.class_sums` where styles are rendered one by one.
        """
        for i, block in enumerate(self.blocks):
            if i == 0:  # the code planes are zero here: their half of the convolution is left out
                first = padded_conv(h, block.conv1.weight[:, : self.content], block.conv1.bias, (1, 1), 1)
                h = F.pad(h, (0, 0, 0, 0, 0, self.style_dim)) + block.residual(first)
            else:
                h = block(h)
        if not len(self.blocks):
            h = F.pad(h, (0, 0, 0, 0, 0, self.style_dim))
        first = self.up[0].upsample(h)
        return (first, *class_sums(first, self.up[0].CLASSES)) if one_by_one(first) else (first,)

    def render(self, prepared: Prepared, style: Tensor) -> Tensor:
        """prepared: of N images; style: (M, S), any real values, M a multiple of N. Style j is for image j mod N.

        Returns (M, channels, H, W) in [-1, 1], float32 or wider.
        """
        h, *statistics = prepared
        if statistics and one_by_one(h):
            return each_style(lambda own, j: self._render_one(own, style[j : j + 1]), prepared, len(style))
        for i, up in enumerate(self.up):
            # z is still part of the blocks' result (their skip connection) and is concatenated once more
            h = up.activate(up.add_code(up.upsample(h) if i else h, style, twice=i == 0))
        return self.last(h, style)

    def _render_one(self, prepared: Prepared, style: Tensor) -> Tensor:
        """One style (1, S) of one image, the same by fewer passes: (1, channels, H, W)."""
        h, sums, square = prepared
        first, *others = self.up
        scale, offset = affine_of(
            sums, square, first.planes(style, twice=True), h.shape[-2:], first.norm.weight, first.norm.bias
        )
        h = affine_relu(h, scale, offset, style if others else style[:, :0])
        for i, up in enumerate(others):
            h = up.activate(up.upsample_with_code(with_planes(h, style) if i else h))
        return self.last(h, style)


class ConcatGenerator(nn.Module):
    """G of all domains, the concatenating form: shared residual blocks, then one decoder for each domain.

    For changes of style. smooth: the upsamplings start as bilinear ones.
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
        upsample: Upsample = "transposed",
    ) -> None:
        super().__init__()
        self.shared = nn.Sequential(*(ResidualBlock(content) for _ in range(shared_blocks)))
        self.own = nn.ModuleDict(
            {d: ConcatDecoder(c, content, style_dim, blocks, upsamplings, upsample) for d, c in channels.items()}
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

    def __init__(
        self,
        channels: int,
        content: int,
        style_dim: int,
        own: int,
        shared: int,
        upsamplings: int,
        upsample: Upsample,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(FeatureBlock(content) for _ in range(own))
        self.codes = style_mlp(style_dim, content, (own + shared) * content)
        block = UPSAMPLE_BLOCKS[upsample]
        self.up = nn.ModuleList(block(content >> i, 0, content >> (i + 1)) for i in range(upsamplings))
        self.last = OutputConv(content >> upsamplings, 0, channels)


class FeatureGenerator(nn.Module):
    """G of all domains, the feature-wise form, for changes of shape.

    share: the first blocks serve all domains, as the paper says. smooth: the upsamplings start as bilinear ones.
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
        upsample: Upsample = "transposed",
    ) -> None:
        super().__init__()
        shared = shared_blocks if share else 0
        own = blocks + shared_blocks - shared
        self.shared = nn.ModuleList(FeatureBlock(content) for _ in range(shared))
        self.own = nn.ModuleDict(
            {d: FeatureDecoder(c, content, style_dim, own, shared, upsamplings, upsample) for d, c in channels.items()}
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
