"""Networks of BicycleGAN (arXiv 1711.11586, section 4): a U-Net with a code, and patch discriminators at two scales."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from drit.networks.discriminators import PatchGAN, image_pyramid
from drit.networks.layers import InstanceNorm, with_planes
from drit.networks.unet import UNet, unet_widths


class BicycleUNet(UNet):
    """The U-Net of BicycleGAN: instance normalisation, and a code as constant planes beside the input of layers.

    style_dim: numbers of the code. everywhere: it enters every layer on the way down (figure 3), else the first alone.
    Dropout acts in the layers on the way up after the first, as in the official implementation.
    """

    Norm = InstanceNorm
    first_dropped = 1

    def __init__(
        self,
        channels: int,
        outputs: int,
        width: int,
        levels: int,
        style_dim: int,
        everywhere: bool,
        dropout: float = 0.0,
        smooth: bool = False,
    ) -> None:
        widths = unet_widths(width, levels)
        coded = range(levels if everywhere else 1)
        inputs = [c + style_dim * (i in coded) for i, c in enumerate([channels, *widths[:-1]])]
        super().__init__(inputs, widths, outputs, dropout, smooth)
        self.coded = coded  # layers on the way down that see the code

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x: (N, C, H, W) in [-1, 1]; style: (N, S), any real values. Returns (N, outputs, H, W) in [-1, 1].

        The image is float32 or wider. Raises RuntimeError where x and style differ in number.
        """
        h, skips = x, []
        for level in range(len(self.down)):
            skips.append(h)
            h = self.down_step(with_planes(h, style) if level in self.coded else h, level)
        return self.ascend(h, skips)


class MultiScalePatchGAN(nn.Module):
    """PatchGANs at the scales of `image_pyramid`, each half as wide as the one before (the official implementation's).

    With two scales and three layers, logits are for 70 x 70 and 140 x 140 patches. The other arguments are those of
    `PatchGAN`.
    """

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
        """x: (N, C, H, W) in [-1, 1]. Returns one map of logits (N, 1, h, w) for each scale, finest first."""
        return [scale(image) for scale, image in zip(self.scales, image_pyramid(x, len(self.scales)), strict=True)]
