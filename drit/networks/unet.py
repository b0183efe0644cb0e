"""The U-Net of Pix2Pix (arXiv 1611.07004, appendix 6.1) and of BicycleGAN (1711.11586, section 4), for any size.

The way down goes to a few pixels, the way up back to the image. A skip connection joins each map on the way down to the
one of its size on the way up. U-Net-256 has eight levels, U-Net-64 six. Here is what both papers' networks have in
common; each network is in its method's package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from drit.networks.fast_unet import downsample, upsample
from drit.networks.init import bilinear_init, initialise
from drit.networks.layers import Dropout, ImageBatchNorm, InstanceNorm
from drit.runtime import full, full_precision

SLOPE = 0.2  # of the leaky ReLUs on the way down
MAX_WIDENING = 8  # channels grow to at most eight times the first layer's


def unet_widths(width: int, levels: int) -> list[int]:
    """Channels after each downsampling: 64, 128, 256, 512, then 512 at every level, for a width of 64."""
    return [width * min(1 << i, MAX_WIDENING) for i in range(levels)]


class UNet(nn.Module):
    """Layers of a U-Net: 4 x 4 convolutions of stride 2 with zero padding, and skip connections between them.

    Images of any size: a map with an odd side gets one row or column more, a copy of the last, before it goes down.
    What comes back to its size is cropped. Multiples of 2^levels are as published.

    A subclass says the normalisation, which layers have dropout, and what goes into each layer on the way down: its
    `forward` calls `down_step` for each level, then `ascend`.

    inputs: channels that go into each layer on the way down. widths: channels that come out (`unet_widths`). dropout:
    its rate, in at most three layers on the way up (three from U-Net-128 on). smooth: layers on the way up start as
    bilinear upsampling.
    """

    Norm: ClassVar[type[ImageBatchNorm] | type[InstanceNorm]]
    first_dropped: ClassVar[int]  # the first layer on the way up with dropout

    def __init__(
        self, inputs: Sequence[int], widths: Sequence[int], outputs: int, dropout: float, smooth: bool
    ) -> None:
        super().__init__()
        levels = len(widths)
        # A convolution before a normalisation with a bias of its own needs none; the innermost one has neither, as
        # published: one pixel would be normalised to 0.
        bias = self.Norm is InstanceNorm
        self.down = nn.ModuleList(
            nn.Conv2d(i, o, 4, stride=2, padding=1, bias=bias) for i, o in zip(inputs, widths, strict=True)
        )
        self.down_norm = nn.ModuleList([nn.Identity(), *map(self.Norm, widths[1:-1]), nn.Identity()])
        up_inputs = [widths[-1], *[2 * w for w in reversed(widths[:-1])]]
        up_outputs = widths[-2::-1]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(i, o, 4, stride=2, padding=1, bias=bias)
            for i, o in zip(up_inputs[:-1], up_outputs, strict=True)
        )
        self.up_norm = nn.ModuleList(map(self.Norm, up_outputs))
        self.last = nn.ConvTranspose2d(up_inputs[-1], outputs, 4, stride=2, padding=1)
        self.dropout = Dropout(dropout)
        first = self.first_dropped
        self.dropped = range(first, first + max(1, min(3, levels - 4)) if dropout else 0)  # layers with dropout
        initialise(self)
        if smooth:
            # Not the innermost: an evenly upsampled pixel is normalised to 0, where ReLUs have no slope.
            for layer in [*self.up[1:], self.last]:
                bilinear_init(layer)

    def down_step(self, h: Tensor, level: int) -> Tensor:
        """One level down: leaky ReLU (but for the image), convolution, normalisation.

        h: (N, inputs, H, W), any real values, for level 0 the image in [-1, 1]. Returns (N, widths, H / 2, W / 2),
        sides rounded up.
        """
        h = downsample(self.down[level], _pad_to_even(F.leaky_relu(h, SLOPE) if level else h))
        return self.down_norm[level](h)

    def ascend(self, h: Tensor, skips: list[Tensor]) -> Tensor:
        """The way up, from the innermost map to the image.

        h: (N, C, h, w), what the last `down_step` gave, any real values. skips: what went into each level on the way
        down, before a code was joined to it; the first is the image, (N, C, H, W). All but the image are taken out of
        the list, so that their memory is freed on the way. Returns (N, outputs, H, W) in [-1, 1], float32 or wider.
        """
        for i, (layer, norm) in enumerate(zip(self.up, self.up_norm, strict=True)):
            skip = skips.pop()
            h = _crop_to(norm(upsample(layer, F.relu(h))), skip)
            if i in self.dropped:
                h = self.dropout(h)
            h = torch.cat([h, skip], dim=1)
        return torch.tanh(full(_crop_to(self.last(F.relu(h)), skips[0])))


def _pad_to_even(x: Tensor) -> Tensor:
    """x with its last row and column repeated where a side is odd."""
    odd_h, odd_w = (side % 2 for side in x.shape[-2:])
    if not odd_h and not odd_w:
        return x
    with full_precision(x):  # autocast would widen the map
        return F.pad(x, (0, odd_w, 0, odd_h), mode="replicate")


def _crop_to(x: Tensor, like: Tensor) -> Tensor:
    """x without the last rows and columns that `like` does not have."""
    return x[:, :, : like.shape[-2], : like.shape[-1]]
