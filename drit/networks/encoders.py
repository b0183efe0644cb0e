"""Content and attribute encoders of DRIT (arXiv 1808.00948, section 3.1).

Images are (N, C, H, W) in [-1, 1]. Content codes are maps (N, C, h, w), attribute codes vectors (N, S), both of any
real values.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.networks.init import initialise
from drit.networks.layers import Conv, ResidualBlock, instance_norm
from drit.networks.upsample import Binomial
from drit.runtime import full, full_precision

CONTENT_SLOPE = 0.01  # of the leaky ReLU after the first layer of the content encoder
ATTRIBUTE_SLOPE = 0.2


class ContentTrunk(nn.Module):
    """A domain's own part of the content encoder: 7 x 7, downsamplings, residual blocks.

    norm: after each downsampling come instance normalisation and a ReLU (DRIT); else a leaky ReLU alone (UNIT).
    filtered: a `Binomial` filter comes last.
    """

    def __init__(
        self, channels: int, width: int, downsamplings: int, blocks: int, norm: bool = True, filtered: bool = False
    ) -> None:
        super().__init__()
        self.norm = norm
        self.first = Conv(channels, width, 7, padding=3)
        self.down = nn.ModuleList(
            Conv(width << i, width << (i + 1), 3, stride=2, padding=1) for i in range(downsamplings)
        )
        self.blocks = nn.ModuleList(_blocks(width << downsamplings, blocks, filtered))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W) in [-1, 1]. Returns (N, width 2^d, H / 2^d, W / 2^d) after d downsamplings, sides rounded up.

        With residual blocks the values are any real ones; without, those of a ReLU.
        """
        h, slope = self.first(x), CONTENT_SLOPE
        for layer in self.down:
            h = layer(h, slope)
            if self.norm:
                h, slope = instance_norm(h), 0.0
        h = F.leaky_relu(h, slope)
        for block in self.blocks:
            h = block(h)
        return h


def _blocks(features: int, count: int, filtered: bool) -> list[nn.Module]:
    """The residual blocks that a content code comes from, and its filter, which has no weights."""
    blocks: list[nn.Module] = [ResidualBlock(features) for _ in range(count)]
    return [*blocks, Binomial()] if filtered else blocks


class ContentEncoder(nn.Module):
    """E^c of all domains: own trunks, last blocks shared, so that one content code serves both (section 3.1).

    filtered: a `Binomial` filter comes last. What the generator filters on the way up, it can still draw from a code
    that carries it at its highest frequency: the encoder learns to put it there (docs/results.md, Levers).
    """

    def __init__(
        self,
        channels: dict[str, int],
        width: int,
        downsamplings: int,
        own_blocks: int,
        shared_blocks: int,
        norm: bool = True,
        filtered: bool = False,
    ) -> None:
        super().__init__()
        self.own = nn.ModuleDict(
            {d: ContentTrunk(c, width, downsamplings, own_blocks, norm) for d, c in channels.items()}
        )
        self.shared = nn.Sequential(*_blocks(width << downsamplings, shared_blocks, filtered))
        initialise(self)

    def forward(self, x: Tensor, domain: str) -> Tensor:
        """x: (N, C, H, W) in [-1, 1], of `domain`. Returns its content code (N, width 2^d, h, w), d downsamplings.

        h = H / 2^d, w = W / 2^d, rounded up. Raises KeyError for a domain that the encoder does not have.
        """
        return self.shared(self.own[domain](x))

    def both(self, images: dict[str, Tensor]) -> dict[str, Tensor]:
        """Content codes of one batch of each domain; the shared blocks run once on all of them.

        Images of different sizes cannot share a batch and are encoded one domain after the other.

        images: for each domain (N, C, H, W) in [-1, 1], N its own. Returns for each domain what `forward` gives.
        """
        trunks = {d: self.own[d](x) for d, x in images.items()}
        if len({t.shape[1:] for t in trunks.values()}) > 1:
            return {d: self.shared(t) for d, t in trunks.items()}
        codes = self.shared(torch.cat(list(trunks.values()))).split([len(t) for t in trunks.values()])
        return dict(zip(trunks, codes, strict=True))


class DownsampleBlock(nn.Module):
    """Residual block with average pooling: no normalisation, so that the statistics that make a style survive.

    norm: instance normalisation before each activation, as in BicycleGAN (the shortcut keeps the statistics).
    """

    def __init__(self, inputs: int, outputs: int, norm: bool = False) -> None:
        super().__init__()
        self.norm = norm
        self.conv1 = Conv(inputs, inputs, 3, padding=1)
        self.conv2 = Conv(inputs, outputs, 3, padding=1)
        self.shortcut = Conv(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, inputs, H, W), any real values. Returns (N, outputs, H / 2, W / 2), sides rounded down, at least 1."""
        h = self.conv1(instance_norm(x) if self.norm else x, ATTRIBUTE_SLOPE)
        h = self.conv2(instance_norm(h) if self.norm else h, ATTRIBUTE_SLOPE)
        return _average_pool(h) + self.shortcut(_average_pool(x))


def _average_pool(x: Tensor) -> Tensor:
    """2 x 2 average pooling, which leaves a side of one pixel as it is."""
    h, w = x.shape[-2:]
    return F.avg_pool2d(x, (min(h, 2), min(w, 2))) if max(h, w) > 1 else x


def attribute_widths(width: int, blocks: int) -> list[int]:
    """Channels after each `DownsampleBlock`: 64 -> 128, 192, 256, then 256 (at most four times the first)."""
    return [min(i + 2, 4) * width for i in range(blocks)]


class VariationalAttributeEncoder(nn.Module):
    """E^a of one domain with a Gaussian posterior (concatenating form): heads for mean and log variance.

    norm: the residual encoder of BicycleGAN (arXiv 1711.11586, section 4). bounded: the log variance is
    1 - softplus(1 - v) of what its head v gives, so that the variance stays below e. Above 1, the prior's, it serves
    nothing, and the exponential of an unbounded v can overflow.
    """

    def __init__(
        self,
        channels: int,
        style_dim: int,
        width: int,
        blocks: int,
        scaled: bool = False,
        norm: bool = False,
        bounded: bool = False,
    ) -> None:
        super().__init__()
        self.bounded = bounded
        widths = [width, *attribute_widths(width, blocks)]
        self.first = Conv(channels, width, 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(DownsampleBlock(i, o, norm) for i, o in itertools.pairwise(widths))
        self.mean = nn.Linear(widths[-1], style_dim)
        self.log_variance = nn.Linear(widths[-1], style_dim)
        initialise(self, scaled)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: (N, C, H, W) in [-1, 1]. Returns mean and log variance of the attribute code, each (N, S), any values.

        Both are float32 or wider.
        """
        h = self.first(x)
        for block in self.blocks:
            h = block(h)
        h = full(F.leaky_relu(h, ATTRIBUTE_SLOPE)).mean(dim=(2, 3))
        with full_precision(h):
            log_variance = self.log_variance(h)
            return self.mean(h), 1 - F.softplus(1 - log_variance) if self.bounded else log_variance


class DeterministicAttributeEncoder(nn.Module):
    """E^a of one domain without a variance (feature-wise form): strided convolutions, global pooling, 1 x 1."""

    def __init__(self, channels: int, style_dim: int, width: int, blocks: int, scaled: bool = False) -> None:
        super().__init__()
        # 64 -> 128, 256, 256, 256: one layer more than the variational encoder has blocks, at most four times the width
        widths = [width] + [min(2 << i, 4) * width for i in range(blocks + 1)]
        self.first = Conv(channels, width, 7, padding=3)
        self.down = nn.ModuleList(Conv(i, o, 4, stride=2, padding=1) for i, o in itertools.pairwise(widths))
        self.mean = Conv(widths[-1], style_dim, 1)
        initialise(self, scaled)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """x: (N, C, H, W) in [-1, 1]. Returns the attribute code (N, S), any values, and None for the log variance.

        The code is float32 or wider.
        """
        h = self.first(x)
        for layer in self.down:
            h = layer(h, 0.0)
        h = full(F.relu(h)).mean(dim=(2, 3), keepdim=True)
        with full_precision(h):
            return self.mean(h).flatten(1), None
