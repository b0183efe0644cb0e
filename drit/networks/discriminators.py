"""Discriminators that several methods use: of images, at several scales or by patches, and of content codes.

All return logits, any real values: high for real images, before the sigmoid.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from drit.networks.fast import one_channel_conv, pad
from drit.networks.init import initialise
from drit.networks.layers import Conv, ImageBatchNorm, InstanceNorm

SLOPE = 0.01  # of the leaky ReLUs (DRIT's)
MAX_WIDENING = 8  # channels of a discriminator grow to at most eight times the first layer's


class PatchDiscriminator(nn.Module):
    """Convolutions of stride 2, then a 1 x 1 to one logit for each patch; no normalisation.

    spectral: spectral normalisation of every layer (Miyato et al., arXiv 1802.05957). scaled: see `init.initialise`.
    kernel, slope: of the convolutions and the leaky ReLUs. widest: channels grow to at most so many times `width`.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        layers: int,
        spectral: bool,
        scaled: bool = False,
        kernel: int = 4,
        widest: int = MAX_WIDENING,
        slope: float = SLOPE,
    ) -> None:
        super().__init__()
        self.slope = slope
        widths = [channels] + [width * min(1 << i, widest) for i in range(layers)]
        self.down = nn.ModuleList(Conv(i, o, kernel, stride=2, padding=1) for i, o in itertools.pairwise(widths))
        self.logit = Conv(widths[-1], 1, 1)
        initialise(self, scaled)
        if spectral:
            for layer in [*self.down, self.logit]:
                spectral_norm(layer)

    def features(self, x: Tensor) -> Tensor:
        """What the last convolution of stride 2 gives, before its activation.

        x: (N, C, H, W) in [-1, 1]. Returns (N, F, h, w), any real values; h = H / 2^layers, rounded down, at least 1.
        """
        slope = None  # of the activation before a layer: none of the image itself
        for layer in self.down:
            x, slope = layer(x, slope), self.slope
        return x

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W) in [-1, 1]. Returns logits (N, 1, h, w), one for each patch."""
        return self.judge(self.features(x))

    def judge(self, features: Tensor) -> Tensor:
        """Logits (N, 1, h, w) of what `features` gives, (N, F, h, w)."""
        return self.logit(features, self.slope)


class MultiScaleDiscriminator(nn.Module):
    """A `PatchDiscriminator` with its own weights for each scale of `image_pyramid` (pix2pixHD, arXiv 1711.11585).

    The other arguments are those of `PatchDiscriminator`.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        layers: int,
        scales: int,
        spectral: bool = False,
        scaled: bool = False,
        kernel: int = 4,
        widest: int = MAX_WIDENING,
        slope: float = SLOPE,
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchDiscriminator(channels, width, layers, spectral, scaled, kernel, widest, slope) for _ in range(scales)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: (N, C, H, W) in [-1, 1]. Returns one map of logits (N, 1, h, w) for each scale, finest first."""
        return [scale(image) for scale, image in zip(self.scales, image_pyramid(x, len(self.scales)), strict=True)]


def image_pyramid(x: Tensor, scales: int) -> Iterator[Tensor]:
    """The image, then each time the 3 x 3 average pooling of stride 2 of the one before: `scales` in all.

    x: (N, C, H, W) in [-1, 1]. Yields (N, C, h, w) in [-1, 1], sides halved each time and rounded up.
    """
    for i in range(scales):
        if i:
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        yield x


def by_batch(maps: Sequence[Tensor], sizes: Sequence[int]) -> list[list[Tensor]]:
    """Split logits of several batches that were judged together: for each batch, its map at every scale.

    maps: one (M, 1, h, w) for each scale, any real values. sizes: the images N of each batch, M in all. Returns for
    each batch one (N, 1, h, w) for each scale. Raises RuntimeError where the sizes do not add up to M.
    """
    return [list(batch) for batch in zip(*(m.split(list(sizes)) for m in maps), strict=True)]


PATCH_SLOPE = 0.2  # of the leaky ReLUs of a PatchGAN
NORMS = {"none": nn.Identity, "instance": InstanceNorm, "batch": ImageBatchNorm}


class PatchGAN(nn.Module):
    """The discriminator of Pix2Pix (1611.07004, appendix 6.1.2): C64-C128-C256-C512, one logit for each 70 x 70 patch.

    4 x 4 convolutions with zero padding: `layers` of stride 2, one of stride 1, and one to the logits. Normalisation
    follows all but the first and the last. A logit sees 70 pixels of a side with three layers, 34 with two. `scaled`
    initial weights are for discriminators without normalisation: with it they would outweigh the L1 at first.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        layers: int = 3,
        norm: Literal["none", "instance", "batch"] = "batch",
        scaled: bool = False,
    ) -> None:
        super().__init__()
        widths = [channels] + [width * min(1 << i, MAX_WIDENING) for i in range(layers + 1)]
        self.convs = nn.ModuleList(
            # a normalisation with a bias of its own needs none before it
            nn.Conv2d(a, b, 4, stride=2 if i < layers else 1, padding=1, bias=not i or norm != "batch")
            for i, (a, b) in enumerate(itertools.pairwise(widths))
        )
        self.norms = nn.ModuleList([nn.Identity(), *map(NORMS[norm], widths[2:])])
        self.logit = nn.Conv2d(widths[-1], 1, 4, padding=1)
        self.min_side = 3 << layers  # of a side: less would leave no logit
        initialise(self, scaled and norm == "none")

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W) in [-1, 1]. Returns logits (N, 1, H / 2^layers - 2, W / 2^layers - 2), float32 or wider.

        Sides are rounded down. A smaller image than 3 x 2^layers pixels is padded by its border to that size.
        """
        x = pad(x, 0, self.min_side)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), PATCH_SLOPE)
        return one_channel_conv(self.logit, x)


class ContentDiscriminator(nn.Module):
    """D^c: one logit for a content code, low for domain a and high for domain b; or one for each of several domains.

    (DRIT, arXiv 1808.00948, section 3.1.) Published: three 7 x 7 convolutions of stride 2 take a map of 54 to 4, one
    4 x 4 without padding takes it to 1. `size`, the side of the content codes in training, chooses kernels that do the
    same for other sizes. Below 11 pixels the next convolution of stride 2 is 3 x 3, below 8 there is none more. The
    last kernel is as wide as what is left, at most 4. Larger maps give several logits, whose mean the loss takes;
    smaller ones are padded by their border.
    """

    def __init__(self, channels: int, size: int, logits: int = 1) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        while len(self.down) < 3 and size >= 8:
            kernel, padding = (7, 1) if size >= 11 else (3, 1)
            self.down.append(Conv(channels, channels, kernel, stride=2, padding=padding))
            size = (size + 2 * padding - kernel) // 2 + 1
        self.last = Conv(channels, channels, min(4, size))
        self.logit = Conv(channels, logits, 1)
        initialise(self)

    def forward(self, content: Tensor) -> Tensor:
        """content: (N, C, h, w), any real values. Returns logits (N, K, h', w'), K = 1 for two domains.

        h' and w' are 1 at the published size, a few at others.
        """
        h, slope = content, None
        for layer in self.down:
            h, slope = layer(h, slope), SLOPE
        return self.logit(self.last(h, slope), SLOPE)
