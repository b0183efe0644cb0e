"""Domain discriminators (multi-scale) and the content discriminator of DRIT."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from drit.networks.layers import Conv, ImageBatchNorm, InstanceNorm, eagerly_on_cpu, initialise, pad
from drit.runtime import full, full_precision

SLOPE = 0.01  # of the leaky ReLUs
MAX_WIDENING = 8  # channels of a discriminator grow to at most eight times the first layer's


class PatchDiscriminator(nn.Module):
    """Halving convolutions and a 1 x 1 to one logit for each patch; no normalisation."""

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
        """What the last halving gives, before its activation: (N, features, h, w)."""
        slope = None  # of the activation before a layer: none of the image itself
        for layer in self.down:
            x, slope = layer(x, slope), self.slope
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.judge(self.features(x))

    def judge(self, features: Tensor) -> Tensor:
        return self.logit(features, self.slope)


class MultiScaleDiscriminator(nn.Module):
    """The same discriminator, with its own weights, on the image and on its successive halvings (pix2pixHD).

    kernel, slope: of the halving convolutions and the leaky ReLUs. widest: channels grow to at most so many times the
    first layer's."""

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
        return [scale(part) for scale, part in zip(self.scales, halvings(x, len(self.scales)), strict=True)]


class ClassifyingDiscriminator(MultiScaleDiscriminator):
    """A multi-scale discriminator that also tells the domain of an image (DRIT++, 1905.01270; the auxiliary classifier
    of ACGAN, 1610.09585): of every scale, the mean of its features over the patches through one linear layer."""

    def __init__(
        self,
        channels: int,
        width: int,
        layers: int,
        scales: int,
        classes: int,
        spectral: bool = False,
        scaled: bool = False,
    ) -> None:
        super().__init__(channels, width, layers, scales, spectral, scaled)
        features = width * min(1 << (layers - 1), MAX_WIDENING)
        self.classes = nn.ModuleList(nn.Linear(features, classes) for _ in range(scales))

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:  # type: ignore[override]
        """x: (N, C, H, W) in [-1, 1]. Returns one map of logits for each scale, and those of the classes (N, K): the
        sum over scales."""
        logits, votes = [], []
        for scale, head, part in zip(self.scales, self.classes, halvings(x, len(self.scales)), strict=True):
            h = scale.features(part)
            logits.append(scale.judge(h))
            h = full(F.leaky_relu(h, SLOPE)).mean(dim=(2, 3))
            with full_precision(h):
                votes.append(head(h))
        return logits, torch.stack(votes).sum(0)


def halvings(x: Tensor, scales: int) -> Iterator[Tensor]:
    """x and its successive halvings."""
    for i in range(scales):
        if i:
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        yield x


def by_batch(maps: Sequence[Tensor], sizes: Sequence[int]) -> list[list[Tensor]]:
    """Maps of logits of several batches that went through together: for each batch, its map at every scale.

    maps: one (sum of sizes, 1, h, w) for each scale. sizes: images of each batch.
    """
    return [list(batch) for batch in zip(*(m.split(list(sizes)) for m in maps), strict=True)]


PATCH_SLOPE = 0.2  # of the leaky ReLUs of a PatchGAN
NORMS = {"none": nn.Identity, "instance": InstanceNorm, "batch": ImageBatchNorm}


class PatchGAN(nn.Module):
    """The discriminator of Pix2Pix (1611.07004, appendix 6.1.2): C64-C128-C256-C512, one logit for each 70 x 70 patch.

    4 x 4 convolutions with zero padding: `layers` of stride 2, one of stride 1, and one to the logits; normalisation
    after all but the first and the last. A logit sees 70 pixels of a side with three halvings, 34 with two. `scaled`
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
        """x: (N, C, H, W) in [-1, 1]. Returns logits (N, 1, H / 2^layers - 2, W / 2^layers - 2)."""
        x = pad(x, 0, self.min_side)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), PATCH_SLOPE)
        return one_channel(self.logit, x)


def one_channel(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """`layer(x)` for a convolution of stride 1 to one channel, in float32 or wider: (N, C, H, W) to (N, 1, H', W').

    The library computes one output channel at a fifteenth of its rate. Here a matrix product gives what each pixel adds
    to each output that it touches, and a fold, of the kernel turned about, sums up.
    """
    if not eagerly_on_cpu(x):
        return layer(x)
    size, padding = layer.kernel_size[0], int(layer.padding[0])
    h, w = (side + 2 * padding - size + 1 for side in x.shape[-2:])
    taps = layer.weight[0].flip(1, 2).flatten(1)  # (C, size^2)
    with full_precision(x):
        parts = full(x).permute(0, 2, 3, 1).flatten(1, 2) @ taps  # (N, H W, size^2)
        made = F.fold(parts.transpose(1, 2), (h, w), size, padding=size - 1 - padding)
    return made if layer.bias is None else made + layer.bias[:, None, None]


class MultiScalePatchGAN(nn.Module):
    """PatchGANs on the image and on its halvings, each half as wide as the one before (BicycleGAN's program): with
    two scales, logits for 70 x 70 and 140 x 140 patches."""

    def __init__(
        self,
        channels: int,
        width: int,
        layers: int,
        scales: int,
        norm: Literal["none", "instance", "batch"],
        scaled: bool = False,
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchGAN(channels, max(1, width >> i), layers, norm, scaled) for i in range(scales))

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: (N, C, H, W) in [-1, 1]. Returns a map of logits (N, 1, h, w) for each scale, finest first."""
        return [scale(part) for scale, part in zip(self.scales, halvings(x, len(self.scales)), strict=True)]


class ContentDiscriminator(nn.Module):
    """D^c: one logit for a content code, low for domain a and high for domain b; or one for each of several domains.

    Published: three 7 x 7 convolutions of stride 2 take a map of 54 to 4, one 4 x 4 without padding to 1. `size`, the
    side of the content codes in training, chooses kernels that do the same for other sizes: below 11 pixels the next
    halving is 3 x 3, below 8 there is none more, and the last kernel is as wide as what is left (at most 4).
    Larger maps give several logits, whose mean is taken by the loss; smaller ones are padded by their border.
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
        """content: (N, C, h, w). Returns logits (N, 1 or K, h', w'): 1 x 1 at the published size, a few at others."""
        h, slope = content, None
        for layer in self.down:
            h, slope = layer(h, slope), SLOPE
        return self.logit(self.last(h, slope), SLOPE)
